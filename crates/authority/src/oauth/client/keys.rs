//! A client's public keys (RFC 7517), in its metadata.

use bailiwick_core::json::{Json, Object};

use crate::oauth::error::{Code, OAuthError};

const MAX_KEYS: usize = 8;
const MAX_KID_BYTES: usize = 256;
/// Members of private and symmetric keys (RFC 7518 §6).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A client's keys that can sign what we accept: P-256 for ES256, Ed25519.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientKeys(Vec<Object>);

fn bad(what: &str) -> OAuthError {
    let text = format!("`jwks` {what}");
    OAuthError::new(Code::InvalidClientMetadata, "client-keys-invalid", text)
}

impl ClientKeys {
    /// Reads a JWK set. Keys of other kinds or for other uses are left out
    /// (RFC 7517 §5); private or symmetric ones are refused.
    ///
    /// # Errors
    /// `invalid_client_metadata`.
    pub fn parse(jwks: &Json) -> Result<Self, OAuthError> {
        let list = jwks
            .as_object()
            .and_then(|o| o.member("keys")?.as_array())
            .filter(|keys| keys.len() <= MAX_KEYS)
            .ok_or_else(|| bad("must be a JWK set of at most 8 keys"))?;
        let mut keys = Vec::new();
        for key in list {
            let key = key.as_object().ok_or_else(|| bad("holds something that is no key"))?;
            if key.iter().any(|(name, _)| PRIVATE.contains(&name)) {
                return Err(bad("holds a private or symmetric key"));
            }
            if let Some(key) = usable(key) {
                keys.push(key);
            }
        }
        let kids: Vec<_> = keys.iter().filter_map(kid).collect();
        let distinct = kids.iter().collect::<std::collections::BTreeSet<_>>().len();
        if distinct != kids.len() {
            return Err(bad("holds two keys with the same `kid`"));
        }
        if keys.is_empty() {
            return Err(bad("holds no key on P-256 or Ed25519 for signatures"));
        }
        Ok(Self(keys))
    }

    /// The keys that may have made a signature: the one that `wanted` names,
    /// or all when it is not said.
    pub fn candidates<'k>(&'k self, wanted: Option<&'k str>) -> impl Iterator<Item = &'k Object> {
        self.0.iter().filter(move |key| wanted.is_none_or(|w| kid(key).is_none_or(|kid| kid == w)))
    }

    /// The JWK set.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let keys: Vec<Json> = self.0.iter().cloned().map(Json::from).collect();
        Object::new().with("keys", keys).into()
    }
}

fn kid(key: &Object) -> Option<&str> {
    key.member("kid").and_then(Json::as_str)
}

/// The key with the members that matter, if it can sign what we accept. Points
/// themselves are judged when a signature is verified.
fn usable(key: &Object) -> Option<Object> {
    let text = |name: &str| key.member(name).and_then(Json::as_str);
    let curve = match (text("kty")?, text("crv")?) {
        ("OKP", "Ed25519") => ["crv", "kty", "x"].as_slice(),
        ("EC", "P-256") => &["crv", "kty", "x", "y"],
        _ => return None,
    };
    if text("use").is_some_and(|u| u != "sig") {
        return None;
    }
    let mut kept = Object::new();
    for name in curve {
        kept.insert(*name, text(name).filter(|t| t.len() <= 64)?);
    }
    if let Some(kid) = text("kid").filter(|kid| kid.len() <= MAX_KID_BYTES) {
        kept.insert("kid", kid);
    }
    Some(kept)
}

#[cfg(test)]
mod tests {
    use bailiwick_core::limits::JsonLimits;

    use super::*;

    fn parse(text: &str) -> Result<ClientKeys, OAuthError> {
        ClientKeys::parse(&Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap())
    }

    const ED: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA","kid":"a","alg":"EdDSA"}"#;
    const EC: &str = r#"{"kty":"EC","crv":"P-256","x":"AAAA","y":"BBBB","kid":"b","use":"sig"}"#;
    const RSA: &str = r#"{"kty":"RSA","n":"AAAA","e":"AQAB"}"#;

    #[test]
    fn keys_of_other_kinds_are_left_out_and_the_rest_is_found_by_its_kid() {
        let keys = parse(&format!(r#"{{"keys":[{ED},{EC},{RSA}]}}"#)).unwrap();
        assert_eq!(keys.candidates(None).count(), 2);
        assert_eq!(keys.candidates(Some("a")).count(), 1);
        assert_eq!(keys.candidates(Some("c")).count(), 0);
        assert_eq!(ClientKeys::parse(&keys.to_json()), Ok(keys));
    }

    #[test]
    fn private_symmetric_and_useless_sets_are_refused() {
        let private = ED.replace(r#""kid""#, r#""d":"AAAA","kid""#);
        let symmetric = r#"{"kty":"oct","k":"AAAA"}"#;
        let encrypting = EC.replace("sig", "enc");
        let nine = [ED; 9].join(",");
        for keys in [&private, symmetric, &encrypting, RSA, "1", &format!("{ED},{ED}"), &nine, ""] {
            let error = parse(&format!(r#"{{"keys":[{keys}]}}"#)).unwrap_err();
            assert_eq!(error.reason, "client-keys-invalid", "{keys}");
        }
        assert!(parse("{}").is_err() && parse("[]").is_err());
    }
}
