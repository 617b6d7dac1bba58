//! Keys of identity providers and of passkeys: they sign with RSA too. No other
//! kind of statement is verified under one of these.

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaParameters, RsaPublicKeyComponents,
};

use super::{SetKey, Verifier, VerifyingKey};
use crate::crypto::{KeyError, PRIVATE_MEMBERS, base64url, from_base64url};
use crate::json::{Json, Object};

/// Bits of a modulus (RFC 7518 §3.3 asks for 2048).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// 2^16 + 1, the least public exponent of FIPS 186-5 §5.1.
const LEAST_EXPONENT: u64 = 65_537;

/// A key that a third party signs `id_token`s with, or an authenticator its
/// assertions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ThirdPartyKey {
    /// `Ed25519` or `ES256`.
    Own(VerifyingKey),
    /// `RS256` and `PS256`, or the one of them that its JWK states.
    Rsa(RsaKey),
}

/// An RSA public key of at least 2048 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RsaKey {
    modulus: Vec<u8>,
    exponent: Vec<u8>,
    only: Option<&'static str>,
}

impl RsaKey {
    /// Accepts a big-endian modulus and exponent without leading zeros.
    ///
    /// # Errors
    /// [`KeyError::Encoding`] for leading zeros, [`KeyError::Unsupported`] for
    /// an even number, a modulus outside 2048 to 8192 bits, or an exponent
    /// below 65537 or beyond 64 bits.
    fn new(
        modulus: Vec<u8>,
        exponent: Vec<u8>,
        only: Option<&'static str>,
    ) -> Result<Self, KeyError> {
        let bits = |bytes: &[u8]| {
            let first = bytes.first().filter(|first| **first != 0)?;
            Some(bytes.len() * 8 - first.leading_zeros() as usize)
        };
        let modulus_bits = bits(&modulus).ok_or(KeyError::Encoding)?;
        let exponent_bits = bits(&exponent).ok_or(KeyError::Encoding)?;
        let odd = |bytes: &[u8]| bytes.last().is_some_and(|last| last & 1 == 1);
        if !RSA_BITS.contains(&modulus_bits)
            || exponent_bits > 64
            || exponent.iter().fold(0u64, |e, byte| e << 8 | u64::from(*byte)) < LEAST_EXPONENT
            || !odd(&modulus)
            || !odd(&exponent)
        {
            return Err(KeyError::Unsupported);
        }
        Ok(Self { modulus, exponent, only })
    }

    fn parameters(&self, alg: &str) -> Option<&'static RsaParameters> {
        if self.only.is_some_and(|only| only != alg) {
            return None;
        }
        match alg {
            "RS256" => Some(&RSA_PKCS1_2048_8192_SHA256),
            "PS256" => Some(&RSA_PSS_2048_8192_SHA256),
            _ => None,
        }
    }
}

impl ThirdPartyKey {
    /// The public JWK with its required members, and `alg` where it states one.
    #[must_use]
    pub fn to_jwk(&self) -> Object {
        match self {
            Self::Own(key) => key.to_jwk(),
            Self::Rsa(key) => {
                let jwk = Object::new()
                    .with("e", base64url(&key.exponent))
                    .with("kty", "RSA")
                    .with("n", base64url(&key.modulus));
                match key.only {
                    Some(alg) => jwk.with("alg", alg),
                    None => jwk,
                }
            }
        }
    }
}

impl SetKey for ThirdPartyKey {
    /// Reads a public JWK on RSA, P-256 or Ed25519.
    fn from_jwk(jwk: &Object) -> Result<Self, KeyError> {
        let text = |name| jwk.member(name).and_then(Json::as_str);
        if text("kty") != Some("RSA") {
            return VerifyingKey::from_jwk(jwk).map(Self::Own);
        }
        if jwk.iter().any(|(name, _)| PRIVATE_MEMBERS.contains(&name)) {
            return Err(KeyError::Private);
        }
        let only = match jwk.member("alg").map(Json::as_str) {
            None => None,
            Some(Some("RS256")) => Some("RS256"),
            Some(Some("PS256")) => Some("PS256"),
            Some(_) => return Err(KeyError::Unsupported),
        };
        if !super::is_for_signatures(jwk) {
            return Err(KeyError::Unsupported);
        }
        let number = |name| text(name).and_then(from_base64url).ok_or(KeyError::Encoding);
        RsaKey::new(number("n")?, number("e")?, only).map(Self::Rsa)
    }
}

impl Verifier for ThirdPartyKey {
    fn accepts(&self, alg: &str) -> bool {
        match self {
            Self::Own(key) => key.accepts(alg),
            Self::Rsa(key) => key.parameters(alg).is_some(),
        }
    }

    fn verify(&self, alg: &str, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Own(key) => Verifier::verify(key, alg, message, signature),
            Self::Rsa(key) => key.parameters(alg).is_some_and(|parameters| {
                RsaPublicKeyComponents { n: &key.modulus, e: &key.exponent }
                    .verify(parameters, message, signature)
                    .is_ok()
            }),
        }
    }
}
