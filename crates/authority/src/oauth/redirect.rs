//! Redirect URIs: which may be registered, and which request meets which.

use url::Url;

use super::error::{Code, OAuthError};

/// Bytes of one redirect URI at most.
const MAX_BYTES: usize = 2048;

/// The hosts that stand for the client's own machine, as they are written in a
/// URI (RFC 8252 §7.3; `localhost` as its §8.3 tolerates).
const LOOPBACK: [&str; 3] = ["127.0.0.1", "[::1]", "localhost"];

/// What kind of client may use a redirect URI (OpenID Connect Registration §2,
/// `application_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ApplicationType {
    /// Runs on the user's machine.
    Native,
    /// Runs on a server.
    Web,
}

impl ApplicationType {
    /// Its name in metadata.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Web => "web",
        }
    }
}

/// A redirect URI that may be registered.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RedirectUri {
    text: String,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Https,
    Loopback,
    PrivateUse,
}

impl RedirectUri {
    /// Reads a redirect URI: absolute, without fragment, wildcard or
    /// credentials; https, or http to the client's own machine, or a
    /// private-use scheme in reverse domain form (RFC 8252 §7.1, §7.2, §7.3;
    /// RFC 9700 §2.1).
    ///
    /// # Errors
    /// `invalid_redirect_uri`.
    pub fn parse(text: &str) -> Result<Self, OAuthError> {
        let bad = |what: &str| {
            let text: String = text.chars().take(100).collect();
            let description = format!("the redirect URI `{text}` {what}");
            OAuthError::new(Code::InvalidRedirectUri, "redirect-uri-unacceptable", description)
        };
        if text.len() > MAX_BYTES {
            return Err(bad("is too long"));
        }
        // Other characters are read differently by different parsers.
        if !text.bytes().all(|b| b.is_ascii_graphic() && !b"\\\"<>^`{|}".contains(&b)) {
            return Err(bad("holds characters that a URI may not hold"));
        }
        let url = Url::parse(text).map_err(|_| bad("is not an absolute URI"))?;
        if text.contains('#') {
            return Err(bad("has a fragment"));
        }
        if text.contains('*') {
            return Err(bad("has a wildcard"));
        }
        if !url.username().is_empty() || url.password().is_some() || authority(text).contains('@') {
            return Err(bad("carries a user name or password"));
        }
        let kind = match url.scheme() {
            "https" if text.starts_with("https://") && !authority(text).is_empty() => Kind::Https,
            "http" if Loopback::parse(text).is_some() => Kind::Loopback,
            "http" => return Err(bad("is plain http beyond the client's own machine")),
            // A scheme with a period belongs to who owns the domain; it cannot
            // be `javascript`, `data` or an application's short name.
            scheme if scheme.contains('.') && text.starts_with(scheme) => Kind::PrivateUse,
            _ => return Err(bad("has a scheme that is not https, http or a reverse domain name")),
        };
        Ok(Self { text: text.to_owned(), kind })
    }

    /// The text as registered.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether only a native client may use it.
    #[must_use]
    pub fn is_native(&self) -> bool {
        self.kind != Kind::Https
    }

    /// Whether `asked` is this URI: the very same text, but for the port of a
    /// loopback URI, which a native client learns when it listens (RFC 8252
    /// §7.3, OAuth 2.1 §4.1.1).
    #[must_use]
    pub fn meets(&self, asked: &str) -> bool {
        if self.text == asked {
            return true;
        }
        self.kind == Kind::Loopback
            && asked.len() <= MAX_BYTES
            && Loopback::parse(asked).is_some_and(|a| Loopback::parse(&self.text) == Some(a))
    }
}

/// A loopback URI without its port. Read as text, not by a URL parser, which
/// would repair what a browser repairs differently.
#[derive(Debug, PartialEq, Eq)]
struct Loopback<'t> {
    host: &'t str,
    target: &'t str,
}

impl<'t> Loopback<'t> {
    fn parse(text: &'t str) -> Option<Self> {
        if !text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\' && b != b'#') {
            return None;
        }
        let rest = text.strip_prefix("http://")?;
        let host = LOOPBACK.into_iter().find(|host| rest.starts_with(host))?;
        let rest = rest.strip_prefix(host)?;
        let target = match rest.strip_prefix(':') {
            None => rest,
            Some(ported) => {
                let end = ported.find(|c: char| !c.is_ascii_digit()).unwrap_or(ported.len());
                let (port, target) = ported.split_at(end);
                port.parse::<u16>().ok().filter(|port| *port != 0)?;
                target
            }
        };
        (target.is_empty() || target.starts_with(['/', '?'])).then_some(Self { host, target })
    }
}

/// What stands between `//` and the path.
fn authority(text: &str) -> &str {
    let Some((_, rest)) = text.split_once("//") else { return "" };
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> RedirectUri {
        RedirectUri::parse(text).unwrap()
    }

    #[test]
    fn https_loopback_and_reverse_domain_schemes_may_be_registered() {
        for (good, native) in [
            ("https://app.example/cb", false),
            ("https://app.example/cb?x=1", false),
            ("http://127.0.0.1/cb", true),
            ("http://127.0.0.1:33418/", true),
            ("http://[::1]:1/cb", true),
            ("http://localhost:6274/oauth/callback", true),
            ("com.example.app:/cb", true),
            ("com.example.app://cb", true),
        ] {
            assert_eq!(parse(good).is_native(), native, "{good}");
        }
    }

    #[test]
    fn redirect_tricks_are_refused_at_registration() {
        for bad in [
            "",
            "/cb",
            "app.example/cb",
            "https:///cb",
            "https:app.example/cb",
            "HTTPS://app.example/cb#x",
            "https://app.example/cb#",
            "https://app.example/cb#f",
            "https://*.app.example/cb",
            "https://app.example/*",
            "https://user@app.example/cb",
            "https://user:pass@app.example/cb",
            "https://@app.example/cb",
            "https://app.example/\\evil",
            "https://app.example/ cb",
            "https://app.example/c\u{202e}b",
            "https://app.example/cb\r\nx",
            "http://app.example/cb",
            "http://localhost.evil.example/cb",
            "http://127.0.0.1.evil.example/cb",
            "http://127.0.0.1@evil.example/cb",
            "http://127.0.0.1:1@evil.example/cb",
            "http://0.0.0.0/cb",
            "http://127.1/cb",
            "http://127.0.0.1:0/cb",
            "http://127.0.0.1:99999/cb",
            "http://10.0.0.1/cb",
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "myapp://cb",
            "urn:ietf:wg:oauth:2.0:oob",
        ] {
            let error = RedirectUri::parse(bad).unwrap_err();
            assert_eq!(error.code, Code::InvalidRedirectUri, "{bad}");
        }
        assert!(RedirectUri::parse(&format!("https://a.example/{}", "x".repeat(2048))).is_err());
    }

    #[test]
    fn a_request_meets_the_very_text_only() {
        let registered = parse("https://app.example/cb");
        assert!(registered.meets("https://app.example/cb"));
        for other in [
            "https://app.example/cb/",
            "https://app.example/cb?x=1",
            "https://app.example/cb#",
            "https://app.example/CB",
            "https://APP.example/cb",
            "https://app.example:443/cb",
            "https://app.example/cb/../cb",
            "https://app.example/%63b",
            "https://app.example.evil.example/cb",
            "http://app.example/cb",
        ] {
            assert!(!registered.meets(other), "{other}");
        }
    }

    #[test]
    fn a_loopback_port_is_free_and_nothing_else_of_it() {
        let registered = parse("http://127.0.0.1/cb");
        assert!(registered.meets("http://127.0.0.1:51004/cb"));
        assert!(parse("http://localhost:1/cb").meets("http://localhost:2/cb"));
        assert!(parse("http://[::1]/cb").meets("http://[::1]:2/cb"));
        for other in [
            "http://127.0.0.1:51004/other",
            "http://127.0.0.1:51004/cb?x",
            "http://localhost:51004/cb",
            "http://[::1]:51004/cb",
            "http://127.0.0.1:51004@evil.example/cb",
            "http://127.0.0.1:/cb",
            "http://127.0.0.1:51004/cb#x",
            "http://127.0.0.1.evil.example/cb",
            "https://127.0.0.1:51004/cb",
        ] {
            assert!(!registered.meets(other), "{other}");
        }
        // Only http has free ports.
        assert!(!parse("https://localhost/cb").meets("https://localhost:1/cb"));
        assert!(!parse("com.example.app://cb").meets("com.example.app://cb:1"));
    }
}
