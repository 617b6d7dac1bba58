//! JOSE for everything but delegation chains: compact JWS, keys and key sets.
//!
//! Chains are Ed25519 only and have their own reader (`aat::jws`). Here a
//! signature is by Ed25519 or by ES256; what third parties sign (`id_token`s) and
//! what authenticators do (passkeys) may be RS256 or PS256 too, under a type of key of its own
//! ([`ThirdPartyKey`]) that no other function takes.
//!
//! The order cannot be confused: [`Jws::parse`] frames, [`Jws::check_header`]
//! gives an [`Acceptable`], and only [`Acceptable::verify`] with a key gives
//! claims. The algorithm is the key's; the header may only agree with it
//! (RFC 8725 §3.1).

use crate::crypto::{KeyError, P256PublicKey, P256SigningKey, PublicKey, Signer, Thumbprint};
use crate::json::{Json, Object};

mod jws;
mod set;
mod third_party;

pub use jws::{Acceptable, HeaderRules, Jws, numeric_date, sign, sign_with};
pub use set::{JwkSet, SetKey};
pub use third_party::ThirdPartyKey;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

/// A JWS, key or key set that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoseError {
    /// More bytes than this kind of token may have.
    #[error("the signed token is larger than {max_bytes} bytes")]
    TooLarge {
        /// How many it may have.
        max_bytes: usize,
    },
    /// Not three parts of base64url without padding (RFC 7515 §7.1).
    #[error("the signed token is not a compact JWS: three base64url parts without padding")]
    Framing,
    /// A header parameter is missing, malformed or not accepted here.
    #[error("the signed token's header parameter `{parameter}` is not acceptable")]
    Header {
        /// Which one.
        parameter: &'static str,
    },
    /// The header names another algorithm than the key's, or none.
    #[error("the signed token's `alg` is not one that its key signs with")]
    Algorithm,
    /// No key of the set is the one that the header names.
    #[error("no registered key is the one that the signed token names")]
    UnknownKey,
    /// The signature does not hold.
    #[error("the signed token's signature does not hold under its key")]
    Signature,
    /// The payload is not one strict JSON object, or lacks a claim.
    #[error("the signed token's claim `{claim}` is missing or malformed")]
    Claims {
        /// Which one; `claims` for the whole.
        claim: &'static str,
    },
    /// A key is refused.
    #[error("the key is refused: {0}")]
    Key(KeyError),
    /// A key set is refused.
    #[error("the key set is refused: {problem}")]
    KeySet {
        /// Why.
        problem: &'static str,
    },
}

impl JoseError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "jws-too-large",
            Self::Framing => "jws-malformed",
            Self::Header { .. } => "jws-header-unacceptable",
            Self::Algorithm => "jws-algorithm-unacceptable",
            Self::UnknownKey => "jws-key-unknown",
            Self::Signature => "jws-signature-invalid",
            Self::Claims { .. } => "jws-claims-malformed",
            Self::Key(_) => "jwk-unacceptable",
            Self::KeySet { .. } => "jwks-unacceptable",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "send a token with fewer and shorter claims",
            Self::Framing => "send header, payload and signature in base64url, joined by dots",
            Self::Header { .. } => {
                "use the documented `typ`, and leave `crit`, `b64`, `jku`, `x5u`, `x5c` and unasked keys out"
            }
            Self::Algorithm => {
                "sign with the algorithm of the registered key: `ES256` or `Ed25519`"
            }
            Self::UnknownKey => "register the key, and name it by the `kid` it was registered with",
            Self::Signature => "sign with the registered key, and send the token unchanged",
            Self::Claims { .. } => "state every required claim once, in its documented form",
            Self::Key(_) => "use a public JWK on P-256 or Ed25519 without private members",
            Self::KeySet { .. } => "publish a JSON Web Key Set of a few public signing keys",
        }
    }
}

impl From<KeyError> for JoseError {
    fn from(error: KeyError) -> Self {
        Self::Key(error)
    }
}

/// A key that something signed with; each kind has one algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VerifyingKey {
    /// `Ed25519` (RFC 9864), which older libraries call `EdDSA`.
    Ed25519(PublicKey),
    /// `ES256`.
    P256(P256PublicKey),
}

impl VerifyingKey {
    /// Reads a public JWK on Ed25519 or P-256. Private members are refused,
    /// and so is a key whose `use` or `alg` says that it is for something else
    /// (RFC 7517 §4.2, §4.4). Other members are ignored.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_jwk(jwk: &Object) -> Result<Self, KeyError> {
        let key = match jwk.member("kty").and_then(Json::as_str) {
            Some("EC") => Self::P256(P256PublicKey::from_jwk(jwk)?),
            _ => Self::Ed25519(PublicKey::from_jwk(jwk)?),
        };
        if !is_for_signatures(jwk) {
            return Err(KeyError::Unsupported);
        }
        match jwk.member("alg") {
            None => Ok(key),
            Some(Json::String(alg)) if key.accepts(alg) => Ok(key),
            Some(_) => Err(KeyError::Unsupported),
        }
    }

    /// The public JWK with its required members only.
    #[must_use]
    pub fn to_jwk(&self) -> Object {
        match self {
            Self::Ed25519(key) => key.to_jwk(),
            Self::P256(key) => key.to_jwk(),
        }
    }

    /// The RFC 7638 thumbprint: `cnf.jkt`.
    #[must_use]
    pub fn thumbprint(&self) -> Thumbprint {
        match self {
            Self::Ed25519(key) => key.thumbprint(),
            Self::P256(key) => key.thumbprint(),
        }
    }

    /// The `alg` that is written for it.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "Ed25519",
            Self::P256(_) => "ES256",
        }
    }

    /// Whether `alg` is a name of its algorithm.
    #[must_use]
    pub fn accepts(&self, alg: &str) -> bool {
        match self {
            Self::Ed25519(_) => matches!(alg, "Ed25519" | "EdDSA"),
            Self::P256(_) => alg == "ES256",
        }
    }

    /// Whether `signature` over `message` holds, in the form that JOSE has it.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ed25519(key) => key.verify(message, signature),
            Self::P256(key) => key.verify(message, signature),
        }
    }
}

impl From<PublicKey> for VerifyingKey {
    fn from(key: PublicKey) -> Self {
        Self::Ed25519(key)
    }
}

impl From<P256PublicKey> for VerifyingKey {
    fn from(key: P256PublicKey) -> Self {
        Self::P256(key)
    }
}

/// `use`, where it stands, says `sig`; `key_ops`, where it stands, has `verify`.
fn is_for_signatures(jwk: &Object) -> bool {
    let usage = jwk.member("use").is_none_or(|u| u.as_str() == Some("sig"));
    let operations = jwk.member("key_ops").is_none_or(|o| {
        o.as_array().is_some_and(|o| o.iter().any(|o| o.as_str() == Some("verify")))
    });
    usage && operations
}

/// Something whose signatures a JWS may carry.
pub trait Verifier {
    /// Whether `alg` is a name of an algorithm that it signs with.
    fn accepts(&self, alg: &str) -> bool;
    /// Whether `signature` by `alg` over `message` holds.
    fn verify(&self, alg: &str, message: &[u8], signature: &[u8]) -> bool;
}

impl Verifier for VerifyingKey {
    fn accepts(&self, alg: &str) -> bool {
        VerifyingKey::accepts(self, alg)
    }

    fn verify(&self, alg: &str, message: &[u8], signature: &[u8]) -> bool {
        VerifyingKey::accepts(self, alg) && VerifyingKey::verify(self, message, signature)
    }
}

/// Something that signs JWSs: every [`Signer`], and keys for ES256.
pub trait JwsSigner {
    /// The key that verifies.
    fn verifying_key(&self) -> VerifyingKey;
    /// The signature in the form that JOSE has it.
    ///
    /// # Errors
    /// [`KeyError`] when the library refuses to sign.
    fn sign_jws(&self, message: &[u8]) -> Result<Vec<u8>, KeyError>;
}

impl<S: Signer + ?Sized> JwsSigner for S {
    fn verifying_key(&self) -> VerifyingKey {
        self.public_key().into()
    }

    fn sign_jws(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        Ok(self.sign(message).to_vec())
    }
}

impl JwsSigner for P256SigningKey {
    fn verifying_key(&self) -> VerifyingKey {
        self.public_key().into()
    }

    fn sign_jws(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.sign(message)
    }
}
