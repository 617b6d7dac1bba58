//! Other trust domains, as the operator configured them, and what they publish.
//!
//! SECURITY: an anchor speaks for agents of its own domain, never for a principal:
//! roots are signed by this installation's issuer alone. Nothing of a foreign bundle
//! is put among the keys of this domain or of another one.

use bailiwick_core::guarantee::Guarantee;
use bailiwick_core::ids::{PrincipalId, ToolId, is_trust_domain};
use bailiwick_core::peer::domain::DomainError;
use bailiwick_core::time::Timestamp;
use bailiwick_store::KnownDomain;
use openidconnect::AsyncHttpClient as _;
use url::Url;

use crate::http::provider::{Network, ProviderHttp, ProviderHttpError};
use crate::installation::url_fault;

/// Trust domains at most: each is polled on its own.
pub const MAX_DOMAINS: usize = 32;
/// Tools that one of them may be handed at most.
const MAX_TOOLS: usize = 256;
/// Seconds that a delegation of a foreign taker may last at most. A domain names
/// whom it revoked for longer than that, so nobody outlives being named.
pub const MAX_CHILD_SECONDS: i64 = 3_600;
/// Seconds for which our own word names instances that ended.
pub const NAMED_SECONDS: i64 = 7_200;

/// Why a trust domain cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FederationError {
    /// A member of its configuration.
    #[error("`{member}` of the trust domain cannot be used: expected {expected}")]
    Config {
        /// Which.
        member: &'static str,
        /// What it takes.
        expected: &'static str,
    },
    /// It cannot be reached, or not so.
    #[error("the trust domain cannot be asked: {0}")]
    Http(#[from] ProviderHttpError),
    /// It answers something else.
    #[error("the trust domain answered {status}, expected 200")]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// What it publishes is not believed.
    #[error(transparent)]
    Domain(#[from] DomainError),
    /// What it publishes is older than what it published before.
    #[error("the trust domain published something older than before")]
    Older,
}

impl FederationError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config { .. } => "trust-domain-config",
            Self::Http(_) => "trust-domain-unreachable",
            Self::Status { .. } => "trust-domain-status",
            Self::Domain(e) => e.code(),
            Self::Older => "trust-domain-older",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Config { .. } => "mend this member of `[[federates_with]]`",
            Self::Http(_) | Self::Status { .. } => {
                "ask the trust domain's operators, or check the URL"
            }
            Self::Domain(e) => e.remedy(),
            Self::Older => "ask the trust domain's operators whether it was set back",
        }
    }
}

/// One configured trust domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainConfig {
    /// Its name.
    pub name: String,
    /// Who speaks for it: the `iss` of its identity tokens, exact text.
    pub issuer: String,
    /// Where its bundle is (SPIFFE Federation, profile `https_web`).
    pub bundle: String,
    /// Where its word on whom it revoked is.
    pub revocations: String,
    /// The local principal that answers for dealings with it.
    pub owner: PrincipalId,
    /// The tools that its agents may be handed.
    pub tools: Vec<ToolId>,
    /// The highest guarantee that it may give.
    pub max_guarantee: Guarantee,
    /// Where the two URLs may lead.
    pub network: Network,
}

/// Whether two names of trust domains differ in spelling alone, by letter case or a
/// dot at the end.
fn is_look_alike(one: &str, other: &str) -> bool {
    let plain = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
    plain(one) == plain(other)
}

impl DomainConfig {
    /// Checks every member against the own trust domain and those before it.
    ///
    /// # Errors
    /// [`FederationError::Config`] names the first that cannot be used.
    pub fn check<'a>(
        &self,
        own: &str,
        mut earlier: impl Iterator<Item = &'a str>,
    ) -> Result<(), FederationError> {
        let bad = |member, expected| Err(FederationError::Config { member, expected });
        if is_look_alike(&self.name, own) {
            return bad("name", "another trust domain than this installation's own");
        }
        if earlier.any(|other| is_look_alike(&self.name, other)) {
            return bad("name", "each trust domain once");
        }
        if !is_trust_domain(&self.name) {
            return bad("name", "a trust domain in lower case, without a dot at its end");
        }
        if Url::parse(&self.issuer).is_err() || self.issuer.len() > 2_048 {
            return bad("issuer", "the `iss` of its identity tokens, a URL");
        }
        let url = "an https:// URL; http:// on this machine with `network = \"inside\"`";
        for (member, place) in [("bundle", &self.bundle), ("revocations", &self.revocations)] {
            let parsed = Url::parse(place).ok().filter(|_| url_fault(place).is_none());
            let is_good = |u: &Url| u.scheme() == "https" || self.network == Network::Inside;
            if !parsed.as_ref().is_some_and(is_good) {
                return bad(member, url);
            }
        }
        if self.tools.len() > MAX_TOOLS {
            return bad("tools", "at most 256 tool ids");
        }
        Ok(())
    }

    /// Fetches its bundle.
    ///
    /// # Errors
    /// [`FederationError::Http`], [`FederationError::Status`].
    pub async fn fetch_bundle(&self) -> Result<Vec<u8>, FederationError> {
        self.fetch(&self.bundle).await
    }

    /// Fetches its word on whom it revoked.
    ///
    /// # Errors
    /// [`FederationError::Http`], [`FederationError::Status`].
    pub async fn fetch_revocations(&self) -> Result<Vec<u8>, FederationError> {
        self.fetch(&self.revocations).await
    }

    async fn fetch(&self, url: &str) -> Result<Vec<u8>, FederationError> {
        let request =
            http::Request::get(url).body(Vec::new()).map_err(|_| ProviderHttpError::Unreachable)?;
        let answer = ProviderHttp { network: self.network }.call(request).await?;
        match answer.status().as_u16() {
            200 => Ok(answer.into_body()),
            status => Err(FederationError::Status { status }),
        }
    }
}

/// Until when what a domain says is known, if it can count for anything: without
/// keys it never does.
#[must_use]
pub fn known_until(domain: &KnownDomain) -> Timestamp {
    if domain.keys.is_empty() { Timestamp::from_millis(0) } else { domain.as_of }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain() -> DomainConfig {
        DomainConfig {
            name: "b.example".to_owned(),
            issuer: "https://b.example".to_owned(),
            bundle: "https://b.example/spiffe/bundle.json".to_owned(),
            revocations: "https://b.example/spiffe/revocations".to_owned(),
            owner: PrincipalId::parse("user:owner").unwrap(),
            tools: Vec::new(),
            max_guarantee: Guarantee::Key,
            network: Network::Public,
        }
    }

    #[test]
    fn the_own_domain_a_repeated_one_and_look_alikes_are_refused() {
        assert_eq!(domain().check("a.example", ["c.example"].into_iter()), Ok(()));
        let of = |name: &str, own: &str, earlier: &str| {
            let domain = DomainConfig { name: name.to_owned(), ..domain() };
            domain.check(own, [earlier].into_iter()).is_err()
        };
        assert!(of("a.example", "a.example", "c.example"));
        assert!(of("a.example", "A.Example", "c.example"));
        assert!(of("a.example.", "a.example", "c.example"));
        assert!(of("B.example", "a.example", "c.example"));
        assert!(of("b.example.", "a.example", "c.example"));
        assert!(of("b.example", "a.example", "b.example"));
        assert!(of("b.example", "a.example", "B.EXAMPLE."));
    }

    #[test]
    fn nothing_is_fetched_in_the_clear_over_a_network() {
        let with = |bundle: &str, network| {
            let domain = DomainConfig { bundle: bundle.to_owned(), network, ..domain() };
            domain.check("a.example", std::iter::empty()).is_ok()
        };
        assert!(!with("http://127.0.0.1:1/bundle", Network::Public));
        assert!(with("http://127.0.0.1:1/bundle", Network::Inside));
        assert!(!with("http://b.example/bundle", Network::Inside));
        assert!(!with("https://user:pass@b.example/bundle", Network::Public));
    }
}
