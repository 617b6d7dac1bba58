//! One installation: its names and keys.

use std::sync::Arc;

use bailiwick_core::crypto::{PublicKey, Signer};
use bailiwick_core::enrolment::IdentitySigningKey;
use bailiwick_core::ids::{AgentId, OrgId, ServerName};
use bailiwick_core::limits::ChainLimits;
use bailiwick_evidence::trust::Role;
use bailiwick_svid::SvidAuthority;
use bailiwick_tlog::LogKey;
use url::{Host, Url};

use crate::keyring::KeyRing;
use crate::oauth::status_list::PLACES;
use crate::refusal::Refusal;

/// Seconds that a root lives at most: an hour. A grant may live longer; its
/// roots are reissued while it stands.
pub const MAX_ROOT_SECONDS: i64 = 3600;

/// Somebody who signs ledger entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maker {
    /// Its name in entries: `authority:<thumbprint>`, `gateway:<thumbprint>`.
    pub id: String,
    /// Its key.
    pub key: PublicKey,
    /// What it may say.
    pub role: Role,
}

impl Maker {
    /// An authority's name and key.
    #[must_use]
    pub fn authority(key: PublicKey) -> Self {
        Self { id: format!("authority:{}", key.thumbprint()), key, role: Role::Authority }
    }

    /// A gateway's name and key.
    #[must_use]
    pub fn gateway(key: PublicKey) -> Self {
        Self { id: format!("gateway:{}", key.thumbprint()), key, role: Role::Gateway }
    }
}

/// The names and public keys of an installation.
#[derive(Clone, Debug)]
pub struct Installation {
    /// The organisation.
    pub org: OrgId,
    /// The SPIFFE trust domain.
    pub trust_domain: String,
    /// The public URL, which is the issuer's URI: no trailing slash.
    pub issuer: String,
    /// The key that signs roots.
    pub issuer_key: PublicKey,
    /// Who may sign entries, the authority first.
    pub makers: Vec<Maker>,
    /// The log's key; its name is the log's origin.
    pub log_key: LogKey,
    /// The keys before these.
    pub ring: KeyRing,
    /// Seconds that a root lives at most.
    pub max_root_seconds: i64,
    /// Seconds after which a new passkey or approver key may sign verdicts.
    pub new_key_seconds: i64,
    /// Limits on tokens.
    pub limits: ChainLimits,
}

/// The private keys that the authority signs with; different keys for
/// different purposes (DESIGN rule 6).
#[derive(Clone)]
pub struct Keys {
    /// Signs roots.
    pub issuer: Arc<dyn Signer + Send + Sync>,
    /// Signs the authority's ledger entries and its prepared grants.
    pub maker: Arc<dyn Signer + Send + Sync>,
    /// Signs the identity tokens of instances.
    pub identity: Arc<IdentitySigningKey>,
    /// Signs snapshots of the revocations.
    pub snapshot: Arc<dyn Signer + Send + Sync>,
    /// Signs X.509-SVIDs; with its certificate and those of keys before it.
    pub svid: Arc<SvidAuthority>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(…)")
    }
}

/// Whether `url` names this very machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Why a URL is not accepted, as the end of a sentence; `None` when it is.
pub(crate) fn url_fault(text: &str) -> Option<&'static str> {
    let Ok(url) = Url::parse(text) else {
        return Some("is not an absolute URL");
    };
    if text.len() > 2048 || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Some("is too long or holds white space");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Some("carries a user name or password");
    }
    if url.fragment().is_some() {
        return Some("has a fragment");
    }
    match url.scheme() {
        "https" => None,
        "http" if is_loopback(&url) => None,
        "http" => Some("is plain HTTP beyond this machine"),
        _ => Some("is neither http nor https"),
    }
}

impl Installation {
    /// Checks the names: an issuer of scheme, host and port only; a trust
    /// domain as SPIFFE ID §2.1 wants it; the authority's maker first.
    ///
    /// # Errors
    /// [`Refusal::Installation`].
    pub fn check(&self) -> Result<(), Refusal> {
        let bad = |member, expected| Err(Refusal::Installation { member, expected });
        let bare = Url::parse(&self.issuer).is_ok_and(|url| {
            url.path() == "/" && url.query().is_none() && !self.issuer.ends_with('/')
        });
        if url_fault(&self.issuer).is_some() || !bare {
            return bad(
                "public_url",
                "`https://HOST` or `http://localhost:PORT`, without path or trailing slash",
            );
        }
        let domain = &self.trust_domain;
        let charset = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
        if domain.is_empty() || domain.len() > 255 || !domain.bytes().all(charset) {
            return bad("trust_domain", "lower-case letters, digits, `.`, `_`, `-`");
        }
        // The trust file knows when keys serve more than one purpose.
        if crate::rules::trust::export(self, None).check().is_err() {
            return bad("keys", "a key of its own for every maker");
        }
        let log = *self.log_key.public_key();
        let issuer = *self.issuer_key.as_bytes();
        if issuer == log
            || self.makers.iter().any(|m| *m.key.as_bytes() == issuer || *m.key.as_bytes() == log)
        {
            return bad("keys", "different keys for issuing, the log and each maker");
        }
        if !self.makers.iter().any(|m| m.role == Role::Authority) {
            return bad("makers", "the authority among them");
        }
        if self.new_key_seconds <= 0 {
            return bad("new_key_seconds", "a positive number of seconds");
        }
        if self.max_root_seconds <= 0 {
            return bad("max_root_seconds", "a positive number of seconds");
        }
        Ok(())
    }

    /// The gateway's audience: what the `aud` of a root names.
    #[must_use]
    pub fn audience(&self) -> String {
        format!("{}/mcp", self.issuer)
    }

    /// The resource of one tool server behind the gateway: what the `aud` of an
    /// access token names (RFC 8707).
    #[must_use]
    pub fn resource(&self, server: &ServerName) -> String {
        format!("{}/{server}", self.audience())
    }

    /// Where a status list of roots is published (Token Status List); the first
    /// is 0.
    #[must_use]
    pub fn status_list(&self, list: u32) -> String {
        format!("{}/statuslists/{}", self.issuer, u64::from(list).saturating_add(1))
    }

    /// The claim `status` of the token that has this place.
    #[must_use]
    pub fn status(&self, place: u32) -> (u32, String) {
        (place % PLACES, self.status_list(place / PLACES))
    }

    /// An agent's SPIFFE ID.
    #[must_use]
    pub fn spiffe_id(&self, agent: &AgentId) -> String {
        agent.spiffe_id(&self.trust_domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_only_and_urls_carry_no_secrets() {
        for good in [
            "http://localhost:1/mcp",
            "http://127.0.0.1:9/",
            "http://[::1]:9/mcp",
            "https://tools.example/mcp",
        ] {
            assert_eq!(url_fault(good), None, "{good}");
        }
        for bad in [
            "http://tools.example/",
            "ftp://localhost/",
            "localhost:1",
            "https://u:p@x.example/",
            "https://x.example/#f",
            "http://localhost.evil.example/",
            "http://127.0.0.1.nip.io/",
            "https://x.example/a b",
            "file:///etc/passwd",
            "",
        ] {
            assert!(url_fault(bad).is_some(), "{bad}");
        }
    }
}
