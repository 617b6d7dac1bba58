//! Resources (RFC 8707): where a token may be used.

use bailiwick_core::ids::ServerName;

use super::error::{Code, OAuthError};
use super::parameters::Parameters;

/// A resource of this installation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Resource {
    /// The gateway as a whole: the audience of delegation tokens, which name
    /// the tools themselves.
    Gateway,
    /// One tool server behind it: the audience of access tokens.
    Server(ServerName),
}

impl Resource {
    /// Reads a resource: `{issuer}/mcp` or `{issuer}/mcp/<tool server>`, letter
    /// by letter, without a slash at its end.
    ///
    /// # Errors
    /// `invalid_target`.
    pub fn parse(issuer: &str, text: &str) -> Result<Self, OAuthError> {
        let rest = text.strip_prefix(issuer).and_then(|rest| rest.strip_prefix("/mcp"));
        let found = match rest {
            Some("") => Some(Self::Gateway),
            Some(rest) => rest
                .strip_prefix('/')
                .and_then(|name| ServerName::parse(name).ok())
                .map(Self::Server),
            None => None,
        };
        found.ok_or_else(|| unknown(text))
    }

    /// The one resource that a request names, if it names any: a token has one
    /// audience (RFC 8707 §2.2, RFC 9068 §3).
    ///
    /// # Errors
    /// `invalid_target` when it is none of ours, or there are several.
    pub fn one_of(issuer: &str, parameters: &Parameters) -> Result<Option<Self>, OAuthError> {
        let mut found = None;
        for text in parameters.all("resource") {
            let resource = Self::parse(issuer, text)?;
            if found.replace(resource.clone()).is_some_and(|earlier| earlier != resource) {
                let text = "a token is for one resource; name only one";
                return Err(OAuthError::new(Code::InvalidTarget, "resource-several", text));
            }
        }
        Ok(found)
    }

    /// The tool server; none for the gateway as a whole.
    #[must_use]
    pub fn server(&self) -> Option<&ServerName> {
        match self {
            Self::Gateway => None,
            Self::Server(name) => Some(name),
        }
    }

    /// The URI.
    #[must_use]
    pub fn uri(&self, issuer: &str) -> String {
        match self {
            Self::Gateway => format!("{issuer}/mcp"),
            Self::Server(name) => format!("{issuer}/mcp/{name}"),
        }
    }
}

fn unknown(text: &str) -> OAuthError {
    let text: String = text.chars().take(100).collect();
    let text = format!("the resource `{text}` is none of this installation's");
    OAuthError::new(Code::InvalidTarget, "resource-unknown", text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://as.example";

    #[test]
    fn a_resource_reads_back_and_only_in_its_own_spelling() {
        for text in ["https://as.example/mcp", "https://as.example/mcp/support-desk"] {
            assert_eq!(Resource::parse(ISSUER, text).unwrap().uri(ISSUER), text);
        }
        for bad in [
            "https://as.example",
            "https://as.example/mcp/",
            "https://as.example/mcp/support-desk/",
            "https://as.example/mcp/support-desk#x",
            "https://as.example/mcp/support-desk?x",
            "https://as.example/mcp/../mcp/support-desk",
            "https://as.example/mcpx",
            "https://as.example.evil/mcp",
            "https://AS.example/mcp",
            "https://other.example/mcp/support-desk",
            "support-desk",
        ] {
            let error = Resource::parse(ISSUER, bad).unwrap_err();
            assert_eq!(error.code, Code::InvalidTarget, "{bad}");
        }
    }

    #[test]
    fn a_token_has_one_audience() {
        let one = |text: &str| Resource::one_of(ISSUER, &Parameters::parse(text).unwrap());
        let a = "resource=https://as.example/mcp/a";
        assert_eq!(one(""), Ok(None));
        assert_eq!(one(a).unwrap().unwrap().server().unwrap().as_str(), "a");
        assert!(one(&format!("{a}&{a}")).is_ok());
        let two = one(&format!("{a}&resource=https://as.example/mcp/b"));
        assert_eq!(two.unwrap_err().reason, "resource-several");
        assert_eq!(one("resource=https://evil.example").unwrap_err().reason, "resource-unknown");
    }
}
