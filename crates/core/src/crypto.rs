//! Ed25519, ECDSA on P-256 and SHA-256, by aws-lc-rs, behind a small surface.
//!
//! Verification is strict: besides RFC 8032's own rules (canonical `S`, and a
//! recomputed `R` compared byte for byte) it refuses public keys that are
//! small-order points or not canonically encoded, so that no signature holds
//! under two keys or for every message.

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::json::{Json, Object};

mod p256;
#[cfg(test)]
pub(crate) use p256::fresh as fresh_p256;
pub use p256::{P256PublicKey, P256SigningKey};

/// What only a private or symmetric JWK has (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
pub(crate) const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Something that signs with one Ed25519 key.
pub trait Signer {
    /// The public key that verifies what [`Signer::sign`] makes.
    fn public_key(&self) -> PublicKey;
    /// The signature over `message` (RFC 8032, pure Ed25519).
    fn sign(&self, message: &[u8]) -> Signature;
}

/// An Ed25519 signature.
pub type Signature = [u8; 64];

/// Why bytes or a JWK are no acceptable public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Wrong length or not base64url without padding.
    #[error("a key's bytes have the wrong length or are not base64url without padding")]
    Encoding,
    /// Not of a kind, curve, size or use that is accepted here.
    #[error("keys of this kind, curve, size or use are not accepted here")]
    Unsupported,
    /// A point that does not lie on its curve.
    #[error("the key's point does not lie on its curve")]
    OffCurve,
    /// A private or symmetric member is present.
    #[error("a public key must not carry private or symmetric members")]
    Private,
    /// A small-order or non-canonically encoded point.
    #[error("the key is not a canonical point of large order")]
    WeakPoint,
}

/// An Ed25519 public key that passed the strict checks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

/// The RFC 7638 SHA-256 thumbprint of a public key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Thumbprint([u8; 32]);

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// A private Ed25519 key held in memory. Its bytes never leave through
/// `Debug`; the library wipes them when it is dropped.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

/// SHA-256 of `bytes`.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Digest {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    Digest(out)
}

/// SHA-256 of bytes that come in pieces.
pub struct Sha256(digest::Context);

impl Default for Sha256 {
    fn default() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }
}

impl Sha256 {
    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The digest of all pieces.
    #[must_use]
    pub fn finish(self) -> Digest {
        let mut out = [0; 32];
        out.copy_from_slice(self.0.finish().as_ref());
        Digest(out)
    }
}

/// Base64url without padding.
#[must_use]
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads base64url without padding; stray trailing bits, padding and white
/// space are refused.
#[must_use]
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// [`from_base64url`] for values whose length is known.
pub(crate) fn array_from_base64url<const N: usize>(text: &str) -> Option<[u8; N]> {
    // What the values here need, and what decoding in blocks rounds up to.
    let mut bytes = [0; 96];
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    bytes.get(..length)?.try_into().ok()
}

/// Appends what `text` decodes to; says whether it did.
pub(crate) fn append_from_base64url(text: &str, bytes: &mut Vec<u8>) -> Option<()> {
    URL_SAFE_NO_PAD.decode_vec(text, bytes).ok()
}

/// The `y` coordinates of the eight small-order points. The sign bit is masked
/// before the comparison, so each row stands for both points with that `y`.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    [
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0x7f,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

impl PublicKey {
    /// Accepts 32 bytes as a key.
    ///
    /// # Errors
    /// [`KeyError::WeakPoint`] for small-order or non-canonical encodings.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, KeyError> {
        let mut y = bytes;
        y[31] &= 0x7f;
        let [first, middle @ .., last] = y;
        let non_canonical = last == 0x7f && first >= 0xed && middle == [0xff; 30];
        // SECURITY: not constant time; public keys are not secret.
        if non_canonical || SMALL_ORDER.contains(&y) {
            return Err(KeyError::WeakPoint);
        }
        Ok(Self(bytes))
    }

    /// The encoded point.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads a public JWK (RFC 8037): `kty` `OKP`, `crv` `Ed25519`, no private
    /// or symmetric members (draft -02 steps 3l, 4b2). Other members are
    /// ignored.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_jwk(jwk: &Object) -> Result<Self, KeyError> {
        if jwk.iter().any(|(name, _)| PRIVATE_MEMBERS.contains(&name)) {
            return Err(KeyError::Private);
        }
        let text = |name| jwk.member(name).and_then(Json::as_str);
        match (text("kty"), text("crv")) {
            (Some("OKP"), Some("Ed25519")) => {}
            _ => return Err(KeyError::Unsupported),
        }
        let x = text("x").and_then(array_from_base64url).ok_or(KeyError::Encoding)?;
        Self::from_bytes(x)
    }

    /// The public JWK with its required members only.
    #[must_use]
    pub fn to_jwk(&self) -> Object {
        Object::new().with("crv", "Ed25519").with("kty", "OKP").with("x", base64url(&self.0))
    }

    /// The RFC 7638 thumbprint.
    #[must_use]
    pub fn thumbprint(&self) -> Thumbprint {
        // The canonical form of the required members, written out: its shape
        // is fixed (RFC 7638 §3.1, RFC 8037 §2).
        let mut jwk = String::with_capacity(96);
        jwk.push_str(r#"{"crv":"Ed25519","kty":"OKP","x":""#);
        URL_SAFE_NO_PAD.encode_string(self.0, &mut jwk);
        jwk.push_str(r#""}"#);
        Thumbprint(sha256(jwk.as_bytes()).0)
    }

    /// Whether `signature` over `message` holds under this key.
    #[must_use]
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        #[cfg(test)]
        VERIFICATIONS.set(VERIFICATIONS.get() + 1);
        let Some(r) = signature.first_chunk::<32>() else { return false };
        // A small-order R only occurs in signatures made to be odd.
        if Self::from_bytes(*r).is_err() {
            return false;
        }
        UnparsedPublicKey::new(&ED25519, &self.0).verify(message, signature).is_ok()
    }
}

impl SigningKey {
    /// The key of a 32-byte seed (RFC 8032 §5.1.5).
    ///
    /// # Errors
    /// [`KeyError::WeakPoint`] never occurs for a seed in practice; the
    /// library's refusal is passed on.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Encoding)?;
        let bytes: [u8; 32] =
            pair.public_key().as_ref().try_into().map_err(|_| KeyError::Encoding)?;
        Ok(Self { public: PublicKey::from_bytes(bytes)?, pair })
    }
}

impl Signer for SigningKey {
    fn public_key(&self) -> PublicKey {
        self.public
    }

    fn sign(&self, message: &[u8]) -> Signature {
        let mut out = [0; 64];
        let signature = self.pair.sign(message);
        // The library always makes 64 bytes; a shorter one would not verify.
        for (to, from) in out.iter_mut().zip(signature.as_ref()) {
            *to = *from;
        }
        out
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public.thumbprint())
    }
}

macro_rules! base64url_bytes {
    ($type:ident, $what:literal) => {
        impl $type {
            /// The 32 bytes.
            #[must_use]
            pub fn bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Wraps 32 bytes.
            #[must_use]
            pub const fn from_array(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// Reads base64url without padding.
            #[must_use]
            pub fn from_text(text: &str) -> Option<Self> {
                array_from_base64url(text).map(Self)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&base64url(&self.0))
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($what, "({})"), self)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                Self::from_text(&text)
                    .ok_or_else(|| serde::de::Error::custom("expected 32 bytes in base64url"))
            }
        }

        impl From<$type> for Json {
            fn from(v: $type) -> Json {
                Json::String(v.to_string())
            }
        }
    };
}

base64url_bytes!(Thumbprint, "Thumbprint");
base64url_bytes!(Digest, "Digest");

/// RFC 9278, for SHA-256.
const THUMBPRINT_URI: &str = "urn:ietf:params:oauth:jwk-thumbprint:sha-256:";

impl Thumbprint {
    /// The RFC 9278 URI, which is the `iss` of a derived token.
    #[must_use]
    pub fn to_uri(&self) -> String {
        format!("{THUMBPRINT_URI}{self}")
    }

    /// Reads what [`Thumbprint::to_uri`] writes, and nothing else.
    #[must_use]
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::from_text(uri.strip_prefix(THUMBPRINT_URI)?)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", base64url(&self.0))
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.to_jwk().serialize(s)
    }
}

#[cfg(test)]
thread_local! {
    /// How many signatures this thread checked, for tests of what a denial costs.
    pub(crate) static VERIFICATIONS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SigningKey {
        SigningKey::from_seed(&[byte; 32]).unwrap()
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_7638() {
        assert_eq!(
            key(1).public_key().thumbprint().to_string(),
            "UDDReOZl1ipXAfp9wYsm13sDBMK5og--QWdBjzuf6o4"
        );
    }

    #[test]
    fn a_flipped_bit_anywhere_breaks_the_signature() {
        let key = key(2);
        let signature = key.sign(b"message");
        assert!(key.public_key().verify(b"message", &signature));
        assert!(!key.public_key().verify(b"messagf", &signature));
        for i in 0..64 {
            let mut bad = signature;
            bad[i] ^= 1;
            assert!(!key.public_key().verify(b"message", &bad), "byte {i}");
        }
        assert!(!key.public_key().verify(b"message", &signature[..63]));
    }

    #[test]
    fn a_scalar_beyond_the_group_order_is_refused() {
        // S + L denotes the same scalar; RFC 8032 requires S < L.
        const L: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9,
            0xde, 0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let key = key(3);
        let mut signature = key.sign(b"m");
        let mut carry = 0u16;
        for (s, l) in signature[32..].iter_mut().zip(L) {
            let sum = u16::from(*s) + u16::from(l) + carry;
            *s = sum as u8;
            carry = sum >> 8;
        }
        assert!(!key.public_key().verify(b"m", &signature));
    }

    #[test]
    fn small_order_and_non_canonical_keys_are_refused() {
        let hex = |s: &str| -> [u8; 32] {
            let v: Vec<u8> =
                (0..64).step_by(2).map(|i| u8::from_str_radix(&s[i..i + 2], 16).unwrap()).collect();
            v.try_into().unwrap()
        };
        for bad in [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000080",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000080",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ] {
            assert_eq!(PublicKey::from_bytes(hex(bad)), Err(KeyError::WeakPoint), "{bad}");
        }
        assert!(PublicKey::from_bytes(*key(4).public_key().as_bytes()).is_ok());
    }

    #[test]
    fn a_jwk_with_private_or_foreign_members_is_refused() {
        let good = key(5).public_key().to_jwk();
        assert!(PublicKey::from_jwk(&good.clone().with("kid", "x").with("use", "sig")).is_ok());
        for private in ["d", "k", "p", "oth"] {
            assert_eq!(
                PublicKey::from_jwk(&good.clone().with(private, "AA")),
                Err(KeyError::Private)
            );
        }
        assert_eq!(
            PublicKey::from_jwk(&good.clone().with("kty", "EC")),
            Err(KeyError::Unsupported)
        );
        assert_eq!(PublicKey::from_jwk(&good.with("x", "AA")), Err(KeyError::Encoding));
    }

    #[test]
    fn base64url_with_stray_bits_padding_or_white_space_is_refused() {
        assert_eq!(from_base64url("AA").as_deref(), Some(&[0][..]));
        for bad in ["AB", "AA==", " AA", "A", "A+", "AA\n"] {
            assert_eq!(from_base64url(bad), None, "{bad}");
        }
    }
}
