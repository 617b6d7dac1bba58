//! What a client is called: an id of ours, or the URL of its metadata document.

use bailiwick_core::crypto::base64url;
use url::Url;

use super::MAX_URL_BYTES;
use crate::oauth::error::{Code, OAuthError};

/// A client's id: one of ours, or the URL of its metadata document.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(String);

impl ClientId {
    /// Reads an id: visible ASCII (RFC 6749 §A.1), bounded.
    ///
    /// # Errors
    /// `invalid_client`.
    pub fn parse(text: &str) -> Result<Self, OAuthError> {
        let fits = (1..=MAX_URL_BYTES).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
        if fits {
            return Ok(Self(text.to_owned()));
        }
        let text = "`client_id` is missing or malformed";
        Err(OAuthError::new(Code::InvalidClient, "client-id-malformed", text))
    }

    /// A new id, from 16 random bytes. It begins with a letter: nobody takes it
    /// for a flag on a command line.
    #[must_use]
    pub fn mint(random: [u8; 16]) -> Self {
        Self(format!("c{}", base64url(&random)))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the URL of a metadata document.
    #[must_use]
    pub fn is_url(&self) -> bool {
        self.0.starts_with("https://") || self.0.starts_with("http://")
    }
}

impl std::fmt::Display for ClientId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The URL of a Client ID Metadata Document (draft-ietf-oauth-client-id-
/// metadata-document, "Client Identifier"): https, with a path, without
/// fragment, credentials or dot segments.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DocumentUrl(Url, String);

impl DocumentUrl {
    /// Reads the URL. `loopback` also accepts plain http to this very machine,
    /// for tests: an operator's choice.
    ///
    /// # Errors
    /// `invalid_client`.
    pub fn parse(text: &str, loopback: bool) -> Result<Self, OAuthError> {
        let bad = |what: &str| {
            let text = format!("the `client_id` URL {what}");
            OAuthError::new(Code::InvalidClient, "client-url-unacceptable", text)
        };
        let url = Url::parse(text).map_err(|_| bad("is not a URL"))?;
        let here = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
        match url.scheme() {
            "https" => {}
            "http" if loopback && here => {}
            _ => return Err(bad("is not https")),
        }
        if text.len() > MAX_URL_BYTES {
            return Err(bad("is too long"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("carries a user name or password"));
        }
        if text.contains('#') {
            return Err(bad("has a fragment"));
        }
        if matches!(url.path(), "" | "/") {
            return Err(bad("has no path"));
        }
        // SECURITY: what a parser would repair (dot segments, upper case, a
        // default port, a tab) is refused, so that a document has one name and
        // what is fetched is what was named.
        if url.as_str() != text {
            return Err(bad("is not in its normal form"));
        }
        Ok(Self(url, text.to_owned()))
    }

    /// The URL, to be fetched.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.1
    }

    /// The host, which the person who consents is shown.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The client's id.
    #[must_use]
    pub fn client_id(&self) -> ClientId {
        ClientId(self.1.clone())
    }
}
