//! JSON Web Key Sets (RFC 7517 §5).

use super::{Acceptable, JoseError, Verifier, VerifyingKey, is_for_signatures};
use crate::crypto::{KeyError, PRIVATE_MEMBERS};
use crate::json::{Json, Object};
use crate::limits::JsonLimits;

/// A large provider publishes about ten keys.
const MAX_KEYS: usize = 64;
const MAX_KID_BYTES: usize = 256;
/// How many signatures one token may cost when it names no key.
const MAX_CANDIDATES: usize = 8;
const SET_JSON: JsonLimits = JsonLimits { max_bytes: 256 << 10, max_depth: 8, max_values: 4096 };

/// A kind of key that a set may hold.
pub trait SetKey: Verifier + Sized {
    /// Reads a public JWK.
    ///
    /// # Errors
    /// [`KeyError::Unsupported`] for keys of another kind, which sets skip.
    fn from_jwk(jwk: &Object) -> Result<Self, KeyError>;
}

impl SetKey for VerifyingKey {
    fn from_jwk(jwk: &Object) -> Result<Self, KeyError> {
        VerifyingKey::from_jwk(jwk)
    }
}

/// The usable keys of one set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwkSet<K> {
    keys: Vec<(Option<String>, K)>,
}

impl<K: SetKey> JwkSet<K> {
    /// Reads `{"keys": […]}` of at most 256 KiB and 64 keys. Keys for
    /// something else than signatures and kinds that are not understood are
    /// skipped, as RFC 7517 §5 asks; a malformed or private key condemns the set.
    ///
    /// # Errors
    /// [`JoseError::KeySet`] and [`JoseError::Key`].
    pub fn parse(bytes: &[u8]) -> Result<Self, JoseError> {
        let set = Json::parse(bytes, &SET_JSON)
            .map_err(|_| JoseError::KeySet { problem: "it is not strict JSON within limits" })?;
        Self::from_json(&set)
    }

    /// [`JwkSet::parse`] for a set that stands inside another document.
    ///
    /// # Errors
    /// As [`JwkSet::parse`].
    pub fn from_json(set: &Json) -> Result<Self, JoseError> {
        let refused = |problem| JoseError::KeySet { problem };
        let entries = set
            .as_object()
            .and_then(|s| s.member("keys")?.as_array())
            .ok_or(refused("it has no array `keys`"))?;
        if entries.len() > MAX_KEYS {
            return Err(refused("it has more than 64 keys"));
        }
        let mut keys = Vec::new();
        for entry in entries {
            let jwk = entry.as_object().ok_or(refused("a key is not an object"))?;
            // Whoever publishes a private key has lost it, whatever its kind.
            if jwk.iter().any(|(name, _)| PRIVATE_MEMBERS.contains(&name)) {
                return Err(KeyError::Private.into());
            }
            if !is_for_signatures(jwk) {
                continue;
            }
            let kid = match jwk.member("kid") {
                None => None,
                Some(Json::String(kid)) if (1..=MAX_KID_BYTES).contains(&kid.len()) => {
                    Some(kid.clone())
                }
                Some(_) => return Err(refused("a `kid` is not a short text")),
            };
            match K::from_jwk(jwk) {
                Ok(key) => keys.push((kid, key)),
                Err(KeyError::Unsupported) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Self { keys })
    }

    /// Whether it has no usable key: nobody is who they say they are.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The keys with their `kid`s.
    pub fn iter(&self) -> impl Iterator<Item = (Option<&str>, &K)> {
        self.keys.iter().map(|(kid, key)| (kid.as_deref(), key))
    }

    /// The claims, and the key under which the signature holds. A `kid` in the
    /// header must be that of the key; without one, the first eight keys of
    /// the header's algorithm are tried.
    ///
    /// # Errors
    /// [`JoseError::UnknownKey`], [`JoseError::Algorithm`],
    /// [`JoseError::Signature`], [`JoseError::Claims`].
    pub fn verify(&self, jws: &Acceptable<'_>) -> Result<(Object, &K), JoseError> {
        let named = |kid: &Option<String>| jws.kid().is_none_or(|k| kid.as_deref() == Some(k));
        let mut named =
            self.keys.iter().filter(|(kid, _)| named(kid)).map(|(_, key)| key).peekable();
        if named.peek().is_none() {
            return Err(JoseError::UnknownKey);
        }
        let mut refusal = JoseError::Algorithm;
        for key in named.filter(|k| k.accepts(jws.algorithm())).take(MAX_CANDIDATES) {
            match jws.verify(key) {
                Ok(claims) => return Ok((claims, key)),
                Err(error) => refusal = error,
            }
        }
        Err(refusal)
    }
}
