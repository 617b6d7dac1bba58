//! Addresses as people type them: an authority's public URL and a tool
//! server's endpoint. One reader for every verb, so that each tells a wrong
//! one in the same words.

use reqwest::Url;

use crate::error::CliError;
use crate::output::one_line;

/// Hosts that are this machine.
const LOCAL: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// An authority's URL as it names itself: lower case, no path, no slash at its
/// end.
///
/// # Errors
/// `authority-url`, with what is wrong and an example of a right one.
pub(crate) fn authority(text: &str) -> Result<String, CliError> {
    let wrong = |fault: Fault| fault.told("authority-url", "an authority's URL", text, "");
    let url = read(text).and_then(bare).map_err(wrong)?;
    if url.path().trim_matches('/').is_empty() {
        Ok(text.trim().trim_end_matches('/').to_ascii_lowercase())
    } else {
        Err(wrong(Fault::Path))
    }
}

/// A tool server's endpoint at the gateway.
///
/// # Errors
/// `endpoint-url`, with what is wrong and an example of a right one.
pub(crate) fn endpoint(text: &str) -> Result<String, CliError> {
    let wrong = |fault: Fault| fault.told("endpoint-url", "an endpoint", text, "/mcp/SERVER");
    let url = read(text).and_then(bare).map_err(wrong)?;
    if url.path().trim_matches('/').is_empty() {
        return Err(wrong(Fault::NoPath));
    }
    Ok(text.trim().to_owned())
}

/// A tool server's own address, wherever it has its endpoint.
///
/// # Errors
/// `tool-server-url`, with what is wrong and an example of a right one.
pub(crate) fn tool_server(text: &str) -> Result<String, CliError> {
    let wrong = |fault: Fault| fault.told("tool-server-url", "a tool server's URL", text, "/mcp");
    // A program on this machine; the rules say which name it must have.
    if text.trim().starts_with("stdio:") {
        return Ok(text.trim().to_owned());
    }
    read(text).map(|_| text.trim().to_owned()).map_err(wrong)
}

/// Scheme, host and port.
pub(crate) fn origin(url: &str) -> String {
    Url::parse(url).map_or_else(|_| url.to_owned(), |url| url.origin().ascii_serialization())
}

fn read(text: &str) -> Result<Url, Fault> {
    let text = text.trim();
    if !text.contains("://") {
        return Err(Fault::NoScheme);
    }
    let url = Url::parse(text).map_err(|_| Fault::Unreadable)?;
    let host = url.host_str().unwrap_or_default();
    match url.scheme() {
        _ if !url.username().is_empty() || url.password().is_some() => Err(Fault::Secret),
        "https" | "http" if host.is_empty() => Err(Fault::Unreadable),
        "https" => Ok(url),
        // SECURITY: chains, proofs and tokens do not cross a network in the clear.
        "http" if !LOCAL.contains(&host) => Err(Fault::InTheClear),
        "http" => Ok(url),
        _ => Err(Fault::Scheme),
    }
}

fn bare(url: Url) -> Result<Url, Fault> {
    if url.query().is_none() && url.fragment().is_none() { Ok(url) } else { Err(Fault::Query) }
}

/// What is wrong with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    InTheClear,
    NoPath,
    NoScheme,
    Path,
    Query,
    Scheme,
    Secret,
    Unreadable,
}

impl Fault {
    fn told(self, code: &str, what: &str, text: &str, path: &str) -> CliError {
        let said = match self {
            Self::InTheClear => "is plain http to another host",
            Self::NoPath => "does not name a tool server: it has no path",
            Self::NoScheme => "does not begin with https:// (or http:// on this machine)",
            Self::Path => "has a path, and an authority's URL has none",
            Self::Query => "has a `?` or a `#` in it",
            Self::Scheme => "is neither https:// nor http://",
            // Not repeated: it may be a password.
            Self::Secret => {
                let message = format!("{what} has no user and no password in it");
                return CliError::usage(code, message, example("", path));
            }
            Self::Unreadable => "cannot be read as a URL",
        };
        // What follows a `?` may be a secret as well.
        let shown = text.split(['?', '#', '@']).next().unwrap_or_default();
        CliError::usage(code, format!("`{}` {said}", one_line(shown)), example(text, path))
    }
}

/// A right address, as near to what was typed as can be told.
fn example(text: &str, path: &str) -> String {
    let rest = text.trim().split_once("://").map_or(text.trim(), |(_, rest)| rest);
    let (host, typed) = rest.split_once('/').unwrap_or((rest, ""));
    let host = host.split(['?', '#']).next().unwrap_or_default();
    let guess = Url::parse(&format!("https://{host}")).ok();
    let guess = guess.filter(|url| url.host_str().is_some() && !host.contains('@'));
    let Some(url) = guess else {
        return format!("write it as https://gate.example.com{path}");
    };
    let is_local = url.host_str().is_some_and(|host| LOCAL.contains(&host));
    let scheme = if is_local { "http" } else { "https" };
    let typed = typed.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    let path =
        if path.is_empty() || typed.is_empty() { path.to_owned() } else { format!("/{typed}") };
    format!("write it as {scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_goes_over_https_or_stays_on_this_device() {
        for good in ["https://gate.example.com/", "http://localhost:7417", "http://127.0.0.1:80"] {
            assert!(authority(good).is_ok(), "{good}");
            assert!(
                endpoint(&format!("{}/mcp/desk", good.trim_end_matches('/'))).is_ok(),
                "{good}"
            );
        }
        for (bad, said) in [
            ("http://localhost:1@evil.example", "no user and no password"),
            ("https://gate.example.com@evil.example", "no user and no password"),
            ("http://gate.example.com", "plain http"),
            ("http://localhost.example", "plain http"),
            ("http://[::2]:7417", "plain http"),
            ("gate.example.com", "does not begin with https://"),
            ("localhost:8443", "does not begin with https://"),
            ("ftp://x", "neither"),
            ("https://", "cannot be read"),
            ("https://a b", "cannot be read"),
            ("https://gate.example.com:99999", "cannot be read"),
            ("https://gate.example.com?x=1", "`?`"),
            ("https://gate.example.com/#x", "`#`"),
            ("", "does not begin with https://"),
        ] {
            for (error, code) in [
                (authority(bad).unwrap_err(), "authority-url"),
                (endpoint(bad).unwrap_err(), "endpoint-url"),
            ] {
                assert_eq!(error.code, code, "{bad}");
                assert!(error.message.contains(said), "{bad}: {}", error.message);
                assert!(error.remedy.starts_with("write it as http"), "{bad}: {}", error.remedy);
            }
        }
        for secret in ["https://user:s3cret@gate.example.com", "x@s3cret", "https://g/?key=s3cret"]
        {
            let hidden = authority(secret).unwrap_err();
            assert!(!format!("{hidden:?}").contains("s3cret"), "{hidden:?}");
        }
        let own = tool_server("https://tools.example.com/?tenant=1").unwrap();
        assert_eq!(own, "https://tools.example.com/?tenant=1");
        assert_eq!(tool_server("desk:80").unwrap_err().code, "tool-server-url");
    }

    #[test]
    fn an_authority_has_no_path_and_an_endpoint_has_one() {
        assert_eq!(authority(" HTTPS://Gate.Example.com// ").unwrap(), "https://gate.example.com");
        let with_path = authority("https://gate.example.com/mcp/desk").unwrap_err();
        assert!(with_path.message.contains("has a path"), "{}", with_path.message);
        assert!(endpoint("https://gate.example.com/").unwrap_err().message.contains("no path"));
        assert_eq!(endpoint("http://[::1]:1/mcp/desk").unwrap(), "http://[::1]:1/mcp/desk");
    }

    #[test]
    fn the_example_is_what_may_have_been_meant() {
        let remedy = |error: CliError| error.remedy;
        for (typed, meant) in [
            ("localhost:8443", "http://localhost:8443"),
            ("gate.example.com/", "https://gate.example.com"),
            ("http://gate.example.com:8443", "https://gate.example.com:8443"),
            ("https://gate.example.com/mcp/desk", "https://gate.example.com"),
            ("what is this", "https://gate.example.com"),
        ] {
            let said = remedy(authority(typed).unwrap_err());
            assert_eq!(said, format!("write it as {meant}"), "{typed}");
        }
        for (typed, meant) in [
            ("localhost:8443", "http://localhost:8443/mcp/SERVER"),
            ("localhost:8443/mcp/desk", "http://localhost:8443/mcp/desk"),
        ] {
            let said = remedy(endpoint(typed).unwrap_err());
            assert_eq!(said, format!("write it as {meant}"), "{typed}");
        }
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert_eq!(origin("http://localhost:7417/mcp/desk"), "http://localhost:7417");
    }
}
