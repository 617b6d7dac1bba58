//! A provider as the operator configured it, and for whom it may speak.

use bailiwick_core::ids::PrincipalId;
use zeroize::Zeroizing;

use crate::http::provider::Network;

use super::OidcError;

/// Claims and scopes named at most.
const MAX_NAMES: usize = 16;

/// Which principals a foreign trust anchor may speak for (DESIGN §6): all whose
/// name begins with a text, or a single one. Never a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    text: String,
    is_prefix: bool,
}

impl Namespace {
    /// Reads `user:acme-*`, `user:*` or `user:alice`.
    ///
    /// # Errors
    /// [`OidcError::Config`].
    pub fn parse(text: &str) -> Result<Self, OidcError> {
        const BAD: OidcError = OidcError::Config {
            member: "principals",
            expected: "`user:NAME`, or the begin of a name and `*`: `user:acme-*`",
        };
        let (begin, is_prefix) = match text.strip_suffix('*') {
            Some(begin) => (begin, true),
            None => (text, false),
        };
        let whole = if is_prefix { format!("{begin}x") } else { begin.to_owned() };
        if !begin.starts_with("user:") || PrincipalId::parse(&whole).is_err() {
            return Err(BAD);
        }
        Ok(Self { text: begin.to_owned(), is_prefix })
    }

    /// Whether the principal is inside.
    #[must_use]
    pub fn holds(&self, principal: &PrincipalId) -> bool {
        let name = principal.as_str();
        if self.is_prefix { name.starts_with(&self.text) } else { name == self.text }
    }

    /// The name inside that ends with `value`; `None` where there is none.
    #[must_use]
    pub fn name(&self, value: &str) -> Option<PrincipalId> {
        let has_room = self.is_prefix && !value.is_empty();
        let name = has_room.then(|| format!("{}{value}", self.text))?;
        PrincipalId::parse(&name).ok()
    }

    /// Whether it has room for more than one name.
    #[must_use]
    pub const fn is_prefix(&self) -> bool {
        self.is_prefix
    }
}

/// A provider as the operator configured it.
#[derive(Clone)]
pub struct ProviderConfig {
    /// Its name here: in addresses, and to register logins by.
    pub name: String,
    /// What people read on the button.
    pub label: String,
    /// Its issuer identifier, exact text.
    pub issuer: String,
    /// Our client id there.
    pub client_id: String,
    /// Our client secret there, if the provider wants one; PKCE is used either
    /// way.
    pub client_secret: Option<Zeroizing<String>>,
    /// What to ask for besides `openid`.
    pub scopes: Vec<String>,
    /// The claim that lists a person's groups.
    pub groups_claim: Option<String>,
    /// Text claims that entitlements may ask for.
    pub claims: Vec<String>,
    /// Where it may be.
    pub network: Network,
    /// For whom it may speak; for nobody, if it is not said.
    pub principals: Option<Namespace>,
    /// Whether a person who comes for the first time becomes a principal.
    pub provision: bool,
    /// The claim of which such a principal's name is made.
    pub name_claim: String,
}

impl std::fmt::Debug for ProviderConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProviderConfig")
            .field("name", &self.name)
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

impl ProviderConfig {
    /// Whether the provider may speak for a principal.
    #[must_use]
    pub fn speaks_for(&self, principal: &PrincipalId) -> bool {
        self.principals.as_ref().is_some_and(|namespace| namespace.holds(principal))
    }

    /// Checks every member.
    ///
    /// # Errors
    /// [`OidcError::Config`] names the first that cannot be used.
    pub fn check(&self) -> Result<(), OidcError> {
        let bad = |member, expected| Err(OidcError::Config { member, expected });
        let name = |text: &str, max: usize| {
            (1..=max).contains(&text.len())
                && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        let word = |text: &String| {
            (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
        };
        let label = self.label.trim();
        if !name(&self.name, 32) {
            return bad("name", "1 to 32 of `a-z`, `0-9` and `-`");
        }
        if label.is_empty() || label.len() > 64 || label.chars().any(char::is_control) {
            return bad("label", "a short text");
        }
        if !self.is_issuer() {
            return bad(
                "issuer",
                "an https:// URL without query; http:// only with `network = \"inside\"`",
            );
        }
        if self.client_id.is_empty() || self.client_id.len() > 256 {
            return bad("client_id", "our client id at the provider");
        }
        if self.scopes.len() > MAX_NAMES || !self.scopes.iter().all(word) {
            return bad("scopes", "at most 16 scope names");
        }
        if self.claims.len() > MAX_NAMES || !self.claims.iter().all(word) {
            return bad("claims", "at most 16 claim names");
        }
        if !self.groups_claim.iter().chain([&self.name_claim]).all(word) {
            return bad("groups_claim", "a claim's name, as `name_claim` is");
        }
        // What says who wrote the token, for whom and when is nobody's name.
        if ["iss", "aud", "nonce", "exp", "iat", "auth_time"].contains(&self.name_claim.as_str()) {
            return bad("name_claim", "a claim about the person, such as `sub`");
        }
        let has_room = self.principals.as_ref().is_some_and(Namespace::is_prefix);
        if self.provision && !has_room {
            return bad("provision", "`principals` with a `*`, where names can be made");
        }
        Ok(())
    }

    fn is_issuer(&self) -> bool {
        let Ok(url) = url::Url::parse(&self.issuer) else { return false };
        let scheme = match url.scheme() {
            "https" => true,
            "http" => self.network == Network::Inside,
            _ => false,
        };
        let plain = url.query().is_none() && url.fragment().is_none() && url.host().is_some();
        scheme && plain && url.username().is_empty() && url.password().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> PrincipalId {
        PrincipalId::parse(text).unwrap()
    }

    #[test]
    fn a_provider_speaks_for_its_namespace_and_nobody_else() {
        let acme = Namespace::parse("user:acme-*").unwrap();
        assert!(acme.holds(&id("user:acme-7")));
        for other in ["user:acme", "user:bob", "service:acme-7"] {
            assert!(!acme.holds(&id(other)), "{other}");
        }
        assert_eq!(acme.name("7"), Some(id("user:acme-7")));
        for unusable in ["", "a b", "../x", "auth0|7", &"x".repeat(200)] {
            assert_eq!(acme.name(unusable), None, "{unusable}");
        }
        let alice = Namespace::parse("user:alice").unwrap();
        assert!(alice.holds(&id("user:alice")) && !alice.holds(&id("user:alice2")));
        assert_eq!(alice.name("x"), None);
        assert!(Namespace::parse("user:*").unwrap().holds(&id("user:anyone")));
    }

    #[test]
    fn no_namespace_reaches_services_or_everything() {
        for bad in ["", "*", "service:*", "service:billing", "user", "user:", "user:a*b", "user:é*"]
        {
            assert!(Namespace::parse(bad).is_err(), "{bad}");
        }
    }
}
