//! At which tool servers people can connect their own account, as the operator
//! configured it.

use bailiwick_core::ids::ServerName;
use url::{Host, Url};
use zeroize::Zeroizing;

use crate::http::provider::Network;

use super::{AccountError, TokenSite};

/// Scopes named at most.
const MAX_SCOPES: usize = 32;

/// Endpoints of an authorization server that publishes no metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Where the person is sent.
    pub authorization: String,
    /// Where codes and refresh tokens are exchanged.
    pub token: String,
    /// Where tokens are taken back (RFC 7009).
    pub revocation: Option<String>,
}

/// How people connect their own account at one tool server.
#[derive(Clone)]
pub struct AccountConfig {
    /// The tool server.
    pub server: ServerName,
    /// Our client id at its authorization server.
    pub client_id: String,
    /// Our client secret there, if it wants one; PKCE is used either way.
    pub client_secret: Option<Zeroizing<String>>,
    /// Its authorization server, exact text. Without it the tool server says
    /// which (RFC 9728).
    pub issuer: Option<String>,
    /// Its endpoints, where it publishes no metadata (RFC 8414).
    pub endpoints: Option<Endpoints>,
    /// What to ask for.
    pub scopes: Vec<String>,
    /// Where the authorization server may be.
    pub network: Network,
}

impl std::fmt::Debug for AccountConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccountConfig")
            .field("server", &self.server)
            .field("issuer", &self.issuer)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

impl AccountConfig {
    /// Checks every member; `has_secret` says whether there is a client secret.
    ///
    /// # Errors
    /// [`AccountError::Config`] names the first that cannot be used.
    pub fn check(&self, has_secret: bool) -> Result<(), AccountError> {
        let bad = |member, expected| Err(AccountError::Config { member, expected });
        if self.client_id.is_empty()
            || self.client_id.len() > 256
            || self.client_id.chars().any(char::is_control)
        {
            return bad("client_id", "our client id at the authorization server");
        }
        let url = "an https:// URL; http:// on this machine with `network = \"inside\"`";
        if let Some(issuer) = &self.issuer {
            let plain = |u: &Url| u.query().is_none() && u.fragment().is_none();
            if !self.place(issuer).as_ref().is_some_and(plain) {
                return bad("issuer", url);
            }
        }
        if let Some(endpoints) = &self.endpoints {
            let revocation = endpoints.revocation.as_ref();
            for (member, place) in
                [("authorization_url", &endpoints.authorization), ("token_url", &endpoints.token)]
                    .into_iter()
                    .chain(revocation.map(|place| ("revocation_url", place)))
            {
                if self.place(place).is_none() {
                    return bad(member, url);
                }
            }
        }
        // SECURITY: else the tool server could name any host as the one that is
        // sent the secret.
        if has_secret && self.issuer.is_none() && self.endpoints.is_none() {
            return bad(
                "issuer",
                "the authorization server, where there is a client secret for it",
            );
        }
        let word = |s: &String| {
            (1..=256).contains(&s.len())
                && s.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
        };
        if self.scopes.len() > MAX_SCOPES || !self.scopes.iter().all(word) {
            return bad("scopes", "at most 32 scope names");
        }
        Ok(())
    }

    /// A URL of the authorization server's.
    pub(super) fn place(&self, text: &str) -> Option<Url> {
        let url = Url::parse(text).ok().filter(|_| text.len() <= 2048)?;
        let scheme = match url.scheme() {
            "https" => true,
            // In the clear only on this machine.
            "http" => self.network == Network::Inside && is_loopback(&url),
            _ => false,
        };
        let plain = url.host().is_some() && url.username().is_empty() && url.password().is_none();
        (scheme && plain && url.fragment().is_none()).then_some(url)
    }

    /// Whether tokens of this place may be handled with this configuration.
    ///
    /// # Errors
    /// [`AccountError::Moved`].
    pub(super) fn check_site(&self, site: &TokenSite) -> Result<(), AccountError> {
        let issuer = self.issuer.is_none() || self.issuer == site.issuer;
        // SECURITY: what is given back is sent to where it ends, secret and all. Where
        // no place was known, nothing is sent.
        let endpoint = self.endpoints.as_ref().is_none_or(|e| {
            e.token == site.token && (site.revocation.is_none() || e.revocation == site.revocation)
        });
        if issuer && endpoint && self.client_id == site.client_id {
            Ok(())
        } else {
            Err(AccountError::Moved)
        }
    }
}
