//! Verifier keys and the log's signer (signed-note, "Signatures" and "Verifier keys").

use std::fmt;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use thiserror::Error;

use crate::checkpoint::{Checkpoint, SignError, SignedCheckpoint};
use crate::hash::{decode_base64, encode_base64, sha256};

/// Ed25519 over the note text (signed-note, "Signature types").
const TYPE_ED25519: u8 = 0x01;
/// Timestamped Ed25519 cosignature (tlog-cosignature).
const TYPE_COSIGNATURE: u8 = 0x04;
/// Longest key name or origin, in bytes.
pub(crate) const MAX_NAME_BYTES: usize = 255;

/// Name, algorithm and public key; the algorithm is fixed by the type that wraps it.
#[derive(Clone, PartialEq, Eq)]
struct NamedKey<const TYPE: u8> {
    name: String,
    id: [u8; 4],
    public: [u8; 32],
}

impl<const TYPE: u8> NamedKey<TYPE> {
    fn new(name: &str, public: [u8; 32]) -> Result<Self, KeyError> {
        if !name_is_valid(name) {
            return Err(KeyError::Name);
        }
        let mut input = name.as_bytes().to_vec();
        input.extend([b'\n', TYPE]);
        input.extend(public);
        let id = match sha256(&input).as_bytes() {
            [a, b, c, d, ..] => [*a, *b, *c, *d],
        };
        Ok(Self { name: name.to_owned(), id, public })
    }

    fn parse(text: &str) -> Result<Self, KeyError> {
        if text.len() > MAX_NAME_BYTES + 64 {
            return Err(KeyError::Format);
        }
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(material)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(KeyError::Format);
        };
        let material = decode_base64(material).ok_or(KeyError::Format)?;
        let (algorithm, public) = material.split_first().ok_or(KeyError::Format)?;
        if *algorithm != TYPE {
            return Err(KeyError::Algorithm { found: *algorithm, expected: TYPE });
        }
        let public = <[u8; 32]>::try_from(public).map_err(|_| KeyError::Format)?;
        let key = Self::new(name, public)?;
        if key.id_hex() != id {
            return Err(KeyError::Id);
        }
        Ok(key)
    }

    fn id_hex(&self) -> String {
        self.id.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.public).verify(message, signature).is_ok()
    }
}

impl<const TYPE: u8> fmt::Display for NamedKey<TYPE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut material = vec![TYPE];
        material.extend(self.public);
        write!(f, "{}+{}+{}", self.name, self.id_hex(), encode_base64(&material))
    }
}

/// Key names are not empty and hold neither Unicode spaces nor `+` (signed-note, "Format"); we also
/// limit their length and refuse control characters.
pub(crate) fn name_is_valid(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME_BYTES
        && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

macro_rules! verifier_key {
    ($(#[$doc:meta])* $name:ident, $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq)]
        pub struct $name(NamedKey<$type>);

        impl $name {
            /// From a name and the 32 bytes of an Ed25519 public key.
            ///
            /// # Errors
            /// [`KeyError::Name`] when the name is empty, too long, or holds a space or `+`.
            pub fn new(name: &str, public_key: [u8; 32]) -> Result<Self, KeyError> {
                NamedKey::new(name, public_key).map(Self)
            }

            /// Reads the text form, `name+hexid+base64`, which must be the canonical one.
            ///
            /// # Errors
            /// [`KeyError`] when it is malformed, of another algorithm, or the id is not the key's.
            pub fn parse(text: &str) -> Result<Self, KeyError> {
                NamedKey::parse(text).map(Self)
            }

            /// The key's name.
            #[must_use]
            pub fn name(&self) -> &str {
                &self.0.name
            }

            /// The four bytes that stand for the key in a signature line.
            #[must_use]
            pub const fn id(&self) -> [u8; 4] {
                self.0.id
            }

            /// The 32 bytes of the Ed25519 public key.
            #[must_use]
            pub const fn public_key(&self) -> &[u8; 32] {
                &self.0.public
            }

            pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
                self.0.verify(message, signature)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }
    };
}

verifier_key! {
    /// The public key that a log signs its checkpoints with (signature type `0x01`). Shown as a
    /// verifier key, `name+hexid+base64`.
    LogKey, TYPE_ED25519
}

verifier_key! {
    /// The public key that a witness cosigns with (signature type `0x04`). Shown as a verifier key,
    /// `name+hexid+base64`.
    WitnessKey, TYPE_COSIGNATURE
}

/// A log's signing key in memory. Its name is the origin of the checkpoints that it signs.
pub struct SeedSigner {
    pair: Ed25519KeyPair,
    key: LogKey,
}

impl SeedSigner {
    /// From the 32-byte Ed25519 seed (RFC 8032).
    ///
    /// # Errors
    /// [`KeyError::Name`] when the name is not valid, [`KeyError::Seed`] when the library refuses
    /// the seed.
    pub fn new(name: &str, seed: &[u8; 32]) -> Result<Self, KeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| KeyError::Seed)?;
        let public = pair.public_key().as_ref();
        let public = <[u8; 32]>::try_from(public).map_err(|_| KeyError::Seed)?;
        Ok(Self { pair, key: LogKey::new(name, public)? })
    }

    /// The public key to publish.
    #[must_use]
    pub fn key(&self) -> &LogKey {
        &self.key
    }

    /// Signs a checkpoint.
    ///
    /// # Errors
    /// [`SignError`] when the checkpoint's origin is not this key's name or signing fails.
    pub fn sign(&self, checkpoint: &Checkpoint) -> Result<SignedCheckpoint, SignError> {
        checkpoint.sign_with(&self.key, |message| self.sign_bytes(message))
    }

    pub(crate) fn sign_bytes(&self, message: &[u8]) -> Option<[u8; 64]> {
        let signature = self.pair.try_sign(message).ok()?;
        <[u8; 64]>::try_from(signature.as_ref()).ok()
    }
}

impl fmt::Debug for SeedSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SECURITY: shows the public key only.
        write!(f, "SeedSigner({})", self.key)
    }
}

/// A key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The key is of another signature type.
    #[error("the key has signature type 0x{found:02x}, expected 0x{expected:02x}")]
    Algorithm {
        /// The type found.
        found: u8,
        /// The type expected.
        expected: u8,
    },
    /// Not of the form `name+hexid+base64`.
    #[error("the verifier key is not of the form `name+hexid+base64`")]
    Format,
    /// The id is not that of name and key, or not eight lower-case hexadecimal digits.
    #[error("the id in the verifier key is not that of its name and public key")]
    Id,
    /// The name is not valid.
    #[error("a key name has 1 to {MAX_NAME_BYTES} bytes and neither spaces nor `+`")]
    Name,
    /// The seed is not usable.
    #[error("the seed is not usable as an Ed25519 private key")]
    Seed,
}

impl KeyError {
    /// A stable kebab-case code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Algorithm { .. } => "tlog-key-algorithm",
            Self::Format => "tlog-key-format",
            Self::Id => "tlog-key-id",
            Self::Name => "tlog-key-name",
            Self::Seed => "tlog-key-seed",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Algorithm { .. } => {
                "use a log's key (type 0x01) for a log and a witness's key (type 0x04) for a witness"
            }
            Self::Format | Self::Id => "copy the verifier key again, whole and unchanged",
            Self::Name => "use a name such as `example.com/log`",
            Self::Seed => "make a new key",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the documentation of golang.org/x/mod/sumdb/note.
    const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

    #[test]
    fn the_known_verifier_key_is_read_and_written_unchanged() {
        let key = LogKey::parse(VKEY).unwrap();
        assert_eq!(key.name(), "PeterNeumann");
        assert_eq!(key.id(), [0xc7, 0x4f, 0x20, 0xa3]);
        assert_eq!(key.to_string(), VKEY);
        assert_eq!(LogKey::new(key.name(), *key.public_key()), Ok(key));
    }

    #[test]
    fn a_seed_gives_the_known_public_key_and_is_not_shown() {
        // The signer key of the same documentation: type 0x01 and seed.
        let material = decode_base64("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz").unwrap();
        let seed = <[u8; 32]>::try_from(&material[1..]).unwrap();
        let signer = SeedSigner::new("PeterNeumann", &seed).unwrap();
        assert_eq!(signer.key().to_string(), VKEY);
        assert_eq!(format!("{signer:?}"), format!("SeedSigner({VKEY})"));
    }

    #[test]
    fn a_verifier_key_has_one_text() {
        let cases = [
            ("", "tlog-key-format"),
            ("PeterNeumann", "tlog-key-format"),
            ("PeterNeumann+c74f20a3", "tlog-key-format"),
            ("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "tlog-key-id"),
            ("PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "tlog-key-id"),
            ("Peter+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "tlog-key-id"),
            ("+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "tlog-key-name"),
            ("Peter N+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "tlog-key-name"),
            (
                "PeterNeumann+c74f20a3+BBpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
                "tlog-key-algorithm",
            ),
            (
                "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10Q=",
                "tlog-key-format",
            ),
            (
                "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n",
                "tlog-key-format",
            ),
            ("PeterNeumann+c74f20a3+", "tlog-key-format"),
        ];
        for (text, code) in cases {
            let error = LogKey::parse(text).unwrap_err();
            assert_eq!(error.code(), code, "{text:?}");
            assert!(!error.remedy().is_empty());
        }
        assert_eq!(WitnessKey::parse(VKEY).unwrap_err().code(), "tlog-key-algorithm");
        let long = "n".repeat(256);
        assert_eq!(LogKey::new(&long, [0; 32]).unwrap_err(), KeyError::Name);
        assert!(LogKey::new(&long[..255], [0; 32]).is_ok());
    }

    #[test]
    fn a_witness_key_with_the_same_bytes_has_another_id() {
        let log = LogKey::parse(VKEY).unwrap();
        let witness = WitnessKey::new(log.name(), *log.public_key()).unwrap();
        assert_ne!(log.id(), witness.id());
        assert_eq!(WitnessKey::parse(&witness.to_string()), Ok(witness));
    }
}
