//! Hashes of the Merkle tree (RFC 6962 section 2.1).

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

/// A SHA-256 hash of a leaf, a node or a whole tree. Shown as standard base64, as in a checkpoint;
/// `{:x}` shows it as hex.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash([u8; 32]);

impl Hash {
    /// Length of a hash in bytes.
    pub const LEN: usize = 32;

    /// Wraps 32 bytes that already are a hash.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads the standard base64 form (RFC 4648 section 4), which must be canonical: padded, and
    /// with unused bits zero, so that a hash has exactly one text.
    ///
    /// # Errors
    /// [`HashError`] when `text` is not the canonical base64 of 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, HashError> {
        decode_base64(text)
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .map(Self)
            .ok_or(HashError)
    }

    /// The standard base64 form, 44 characters.
    #[must_use]
    pub fn to_base64(self) -> String {
        encode_base64(&self.0)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64())
    }
}

impl fmt::LowerHex for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self:x})")
    }
}

/// A text is not the canonical base64 of 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected 32 bytes in canonical standard base64")]
pub struct HashError;

impl HashError {
    /// A stable kebab-case code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "tlog-hash-malformed"
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        "give the hash as 44 characters of standard base64, exactly as the log wrote it"
    }
}

/// The hash of one entry: SHA-256 of `0x00` and the entry's bytes.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&[0]);
    context.update(entry);
    from_slice(context.finish().as_ref())
}

/// The hash of an inner node: SHA-256 of `0x01`, the left and the right child.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut input = [1_u8; 1 + 2 * Hash::LEN];
    for (to, from) in input.iter_mut().skip(1).zip(left.0.iter().chain(&right.0)) {
        *to = *from;
    }
    sha256(&input)
}

/// The root of the tree with no entries: SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> Hash {
    sha256(&[])
}

pub(crate) fn sha256(bytes: &[u8]) -> Hash {
    from_slice(digest(&SHA256, bytes).as_ref())
}

fn from_slice(bytes: &[u8]) -> Hash {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
    Hash(out)
}

pub(crate) fn encode_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Decodes standard base64 and accepts only the one canonical text of those bytes.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(text).ok()?;
    (STANDARD.encode(&bytes) == text).then_some(bytes)
}

/// Splits the bytes of a hash tile; `None` unless they are whole hashes.
pub(crate) fn split_hashes(bytes: &[u8]) -> Option<Vec<Hash>> {
    let (chunks, rest) = bytes.as_chunks::<{ Hash::LEN }>();
    rest.is_empty().then(|| chunks.iter().map(|chunk| Hash(*chunk)).collect())
}

/// The bytes of a hash tile.
pub(crate) fn join_hashes(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_root_is_sha256_of_nothing() {
        assert_eq!(
            format!("{:x}", empty_root()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(empty_root().to_string(), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
    }

    #[test]
    fn leaf_and_node_hashes_are_domain_separated() {
        // RFC 6962 reference: the hash of the empty leaf.
        assert_eq!(
            format!("{:x}", leaf_hash(b"")),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
        let (a, b) = (leaf_hash(b"a"), leaf_hash(b"b"));
        let mut both = a.as_bytes().to_vec();
        both.extend(b.as_bytes());
        assert_ne!(node_hash(&a, &b), leaf_hash(&both));
        assert_ne!(node_hash(&a, &b), node_hash(&b, &a));
    }

    #[test]
    fn base64_has_one_text_per_hash() {
        let text = empty_root().to_base64();
        assert_eq!(Hash::from_base64(&text), Ok(empty_root()));
        // The last character before the padding carries two unused bits.
        let odd = text.replace("FU=", "FV=");
        for bad in [
            odd.as_str(),
            text.trim_end_matches('='),
            &text.replace('+', "-").replace('/', "_"),
            &format!("{text}\n"),
            &format!(" {text}"),
            "",
            "AAAA",
        ] {
            let error = Hash::from_base64(bad).unwrap_err();
            assert_eq!(error.code(), "tlog-hash-malformed", "{bad:?}");
            assert!(!error.remedy().is_empty());
        }
    }
}
