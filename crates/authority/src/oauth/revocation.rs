//! The revocation endpoint's form (RFC 7009): a client gives a token back.

use bailiwick_core::aat::TOKEN_TYPE;
use bailiwick_core::crypto::from_base64url;
use bailiwick_core::json::Json;
use bailiwick_core::limits::JsonLimits;

use super::error::OAuthError;
use super::parameters::Parameters;

/// Bytes of a token at most.
const MAX_TOKEN_BYTES: usize = 64 * 1024;
const HEADER: JsonLimits = JsonLimits { max_bytes: 4096, max_depth: 4, max_values: 64 };

/// What kind of token a text is, by its own form. The client's
/// `token_type_hint` decides nothing (RFC 7009 §2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A signed access token.
    Access,
    /// A signed delegation token.
    Delegation,
    /// A text without form of its own: a refresh token, if it is known.
    Opaque,
}

/// Reads the token of a revocation or introspection form.
///
/// # Errors
/// `invalid_request`.
pub fn token(parameters: &Parameters) -> Result<(String, TokenKind), OAuthError> {
    parameters.once_each()?;
    let token = parameters.required("token")?;
    if token.len() > MAX_TOKEN_BYTES {
        return Err(OAuthError::request(
            "parameter-too-large",
            "the parameter `token` is too large",
        ));
    }
    Ok((token.to_owned(), TokenKind::of(token)))
}

impl TokenKind {
    /// The kind of `token`, by the `typ` of its header; nothing is verified.
    #[must_use]
    pub fn of(token: &str) -> Self {
        let header = token
            .split_once('.')
            .and_then(|(header, _)| from_base64url(header))
            .and_then(|header| Json::parse(&header, &HEADER).ok());
        let typ = header.as_ref().and_then(|h| h.as_object()?.member("typ")?.as_str());
        match typ {
            Some(TOKEN_TYPE) => Self::Delegation,
            Some(typ) if typ.strip_prefix("application/").unwrap_or(typ) == "at+jwt" => {
                Self::Access
            }
            _ => Self::Opaque,
        }
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_core::crypto::base64url;

    use super::*;

    fn with_type(typ: &str) -> String {
        format!("{}.e30.AA", base64url(format!(r#"{{"alg":"Ed25519","typ":"{typ}"}}"#).as_bytes()))
    }

    #[test]
    fn a_token_is_what_its_own_header_says_whatever_the_hint() {
        for (typ, kind) in [
            ("at+jwt", TokenKind::Access),
            ("application/at+jwt", TokenKind::Access),
            ("aat+jwt", TokenKind::Delegation),
            ("JWT", TokenKind::Opaque),
            ("dpop+jwt", TokenKind::Opaque),
        ] {
            let form = format!("token={}&token_type_hint=refresh_token", with_type(typ));
            let (_, found) = token(&Parameters::parse(&form).unwrap()).unwrap();
            assert_eq!(found, kind, "{typ}");
        }
        assert_eq!(TokenKind::of("3f9a"), TokenKind::Opaque);
        assert_eq!(TokenKind::of("a.b.c"), TokenKind::Opaque);
    }

    #[test]
    fn a_form_without_a_token_or_with_a_huge_one_is_refused() {
        let read = |text: &str| token(&Parameters::parse(text).unwrap()).unwrap_err().reason;
        assert_eq!(read("token_type_hint=access_token"), "parameter-missing");
        assert_eq!(read("token=a&token=b"), "parameter-repeated");
        assert_eq!(
            read(&format!("token={}", "x".repeat(MAX_TOKEN_BYTES + 1))),
            "parameter-too-large"
        );
    }
}
