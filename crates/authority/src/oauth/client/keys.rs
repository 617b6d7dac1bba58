//! A client's public keys (RFC 7517), in its metadata.

use bailiwick_core::jose::{Acceptable, JoseError, JwkSet, VerifyingKey};
use bailiwick_core::json::{Json, Object};

use crate::oauth::error::{Code, OAuthError};

const MAX_KEYS: usize = 8;

/// A client's keys that can sign what we accept: P-256 for ES256, Ed25519.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKeys(JwkSet<VerifyingKey>);

fn bad(what: &str) -> OAuthError {
    let text = format!("`jwks` is not acceptable: {what}");
    OAuthError::new(Code::InvalidClientMetadata, "client-keys-invalid", text)
}

impl ClientKeys {
    /// Reads a JWK set. Keys of other kinds or for other uses are left out
    /// (RFC 7517 §5); private or symmetric ones are refused.
    ///
    /// # Errors
    /// `invalid_client_metadata`.
    pub fn parse(jwks: &Json) -> Result<Self, OAuthError> {
        let set = JwkSet::from_json(jwks).map_err(|e| bad(&e.to_string()))?;
        let count = set.iter().count();
        if !(1..=MAX_KEYS).contains(&count) {
            return Err(bad("it must hold 1 to 8 keys on P-256 or Ed25519 for signatures"));
        }
        let kids: Vec<_> = set.iter().filter_map(|(kid, _)| kid).collect();
        let distinct = kids.iter().collect::<std::collections::BTreeSet<_>>().len();
        if distinct != kids.len() {
            return Err(bad("two keys have the same `kid`"));
        }
        Ok(Self(set))
    }

    /// One key.
    ///
    /// # Errors
    /// As [`ClientKeys::parse`].
    pub fn of(jwk: &Object) -> Result<Self, OAuthError> {
        Self::parse(&Object::new().with("keys", vec![Json::from(jwk.clone())]).into())
    }

    /// The claims of `jws`, and the key under which its signature holds.
    ///
    /// # Errors
    /// See [`JwkSet::verify`].
    pub fn verify(&self, jws: &Acceptable<'_>) -> Result<(Object, VerifyingKey), JoseError> {
        self.0.verify(jws).map(|(claims, key)| (claims, *key))
    }

    /// The JWK set, with the members that matter.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let key = |(kid, key): (Option<&str>, &VerifyingKey)| {
            let jwk = key.to_jwk();
            Json::from(kid.map_or(jwk.clone(), |kid| jwk.with("kid", kid)))
        };
        Object::new().with("keys", self.0.iter().map(key).collect::<Vec<_>>()).into()
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_core::crypto::{Signer as _, SigningKey};
    use bailiwick_core::limits::JsonLimits;

    use super::*;

    fn parse(keys: &[String]) -> Result<ClientKeys, OAuthError> {
        let text = format!(r#"{{"keys":[{}]}}"#, keys.join(","));
        ClientKeys::parse(&Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap())
    }

    fn key(seed: u8, kid: &str) -> Object {
        SigningKey::from_seed(&[seed; 32]).unwrap().public_key().to_jwk().with("kid", kid)
    }

    fn text(key: Object) -> String {
        Json::from(key).canonical()
    }

    const RSA: &str = r#"{"kty":"RSA","n":"AAAA","e":"AQAB"}"#;

    #[test]
    fn keys_of_other_kinds_are_left_out_and_the_rest_reads_back() {
        let keys = parse(&[text(key(1, "a")), RSA.to_owned(), text(key(2, "b"))]).unwrap();
        let json = keys.to_json();
        assert_eq!(json.as_object().unwrap().member("keys").unwrap().as_array().unwrap().len(), 2);
        assert_eq!(ClientKeys::parse(&json), Ok(keys));
    }

    #[test]
    fn private_symmetric_and_useless_sets_are_refused() {
        let private = text(key(1, "a").with("d", "AAAA"));
        let encrypting = text(key(1, "a").with("use", "enc"));
        let weak = text(key(1, "a").with("x", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"));
        let nine: Vec<String> = (1..=9).map(|i| text(key(i, &i.to_string()))).collect();
        for keys in [
            vec![private],
            vec![r#"{"kty":"oct","k":"AAAA"}"#.to_owned()],
            vec![encrypting],
            vec![weak],
            vec![RSA.to_owned()],
            vec!["1".to_owned()],
            vec![text(key(1, "a")), text(key(2, "a"))],
            nine,
            vec![],
        ] {
            assert_eq!(parse(&keys).unwrap_err().reason, "client-keys-invalid", "{keys:?}");
        }
        assert!(ClientKeys::parse(&Json::Null).is_err());
    }
}
