//! The text form of an inclusion proof with its checkpoint (tlog-proof).

use std::fmt;

use thiserror::Error;

use crate::checkpoint::{CheckpointError, MAX_TREE_SIZE, SignedCheckpoint, VerifiedCheckpoint};
use crate::decimal;
use crate::hash::{Hash, decode_base64, encode_base64};
use crate::key::LogKey;
use crate::note::MAX_NOTE_BYTES;
use crate::proof::{InclusionProof, MAX_PROOF_HASHES, ProofError};

const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// The most extra data we read, in bytes.
pub const MAX_EXTRA_BYTES: usize = 64 * 1024;
const MAX_TEXT_BYTES: usize = MAX_NOTE_BYTES + MAX_EXTRA_BYTES / 3 * 4 + 4 * 1024;

/// An entry's index, inclusion proof and checkpoint, none of them verified. Shown as the text of a
/// `.tlog-proof` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    extra: Option<Vec<u8>>,
    index: u64,
    hashes: Vec<Hash>,
    checkpoint: SignedCheckpoint,
}

impl TlogProof {
    /// Puts a proof and the checkpoint of the same size together.
    ///
    /// # Errors
    /// [`TlogProofError::Proof`] when the sizes differ, or the proof's own index or length cannot
    /// be right.
    pub fn new(
        proof: InclusionProof,
        checkpoint: SignedCheckpoint,
    ) -> Result<Self, TlogProofError> {
        let size = checkpoint.unverified().size();
        if proof.size != size || proof.index >= size {
            return Err(ProofError::OutOfRange { index: proof.index, size }.into());
        }
        if proof.hashes.len() > MAX_PROOF_HASHES {
            return Err(ProofError::TooLong.into());
        }
        Ok(Self { extra: None, index: proof.index, hashes: proof.hashes, checkpoint })
    }

    /// Adds extra data, which the proof does not authenticate.
    ///
    /// # Errors
    /// [`TlogProofError::Extra`] when it is empty or longer than [`MAX_EXTRA_BYTES`].
    pub fn with_extra(mut self, extra: Vec<u8>) -> Result<Self, TlogProofError> {
        if extra.is_empty() || extra.len() > MAX_EXTRA_BYTES {
            return Err(TlogProofError::Extra);
        }
        self.extra = Some(extra);
        Ok(self)
    }

    /// Reads the text. Writing it again gives the same bytes.
    ///
    /// # Errors
    /// [`TlogProofError`] for anything but the canonical text.
    pub fn parse(bytes: &[u8]) -> Result<Self, TlogProofError> {
        if bytes.len() > MAX_TEXT_BYTES {
            return Err(TlogProofError::TooLarge { found: bytes.len() });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| TlogProofError::Encoding)?;
        // The proof's own lines are not empty, so the first empty line ends them.
        let (head, checkpoint) = text.split_once("\n\n").ok_or(TlogProofError::Separator)?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(TlogProofError::Header);
        }
        let extra = match lines.peek().and_then(|line| line.strip_prefix("extra ")) {
            None => None,
            Some(extra) => {
                lines.next();
                let extra = decode_base64(extra)
                    .filter(|extra| !extra.is_empty() && extra.len() <= MAX_EXTRA_BYTES);
                Some(extra.ok_or(TlogProofError::Extra)?)
            }
        };
        let index = lines
            .next()
            .and_then(|line| line.strip_prefix("index "))
            .and_then(|index| decimal::parse(index, MAX_TREE_SIZE))
            .ok_or(TlogProofError::Index)?;
        let mut hashes = Vec::new();
        for line in lines {
            if hashes.len() >= MAX_PROOF_HASHES {
                return Err(ProofError::TooLong.into());
            }
            let hash = Hash::from_base64(line);
            hashes.push(hash.map_err(|_| TlogProofError::HashLine { line: hashes.len() + 1 })?);
        }
        let checkpoint = SignedCheckpoint::parse(checkpoint.as_bytes())?;
        Ok(Self { extra, index, hashes, checkpoint })
    }

    /// Verifies that the log with `origin` and `key` signed the checkpoint and that the entry with
    /// hash `leaf` is in its tree at [`TlogProof::index`].
    ///
    /// # Errors
    /// [`TlogProofError::Checkpoint`] or [`TlogProofError::Proof`].
    pub fn verify(
        &self,
        origin: &str,
        key: &LogKey,
        leaf: &Hash,
    ) -> Result<VerifiedCheckpoint, TlogProofError> {
        let checkpoint = self.checkpoint.verify(origin, key)?;
        let proof = InclusionProof {
            index: self.index,
            size: checkpoint.size(),
            hashes: self.hashes.clone(),
        };
        proof.verify(leaf, checkpoint.root())?;
        Ok(checkpoint)
    }

    /// Index of the entry in the log.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The sibling hashes, from the leaf's up to the root's child, unverified.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Extra data, which nothing authenticates.
    #[must_use]
    pub fn extra(&self) -> Option<&[u8]> {
        self.extra.as_deref()
    }

    /// The checkpoint, unverified.
    #[must_use]
    pub const fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", encode_base64(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.hashes.iter().try_for_each(|hash| writeln!(f, "{hash}"))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

/// A text is not a tlog-proof, or does not prove what it should.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TlogProofError {
    /// The checkpoint is malformed or not the log's.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Not UTF-8.
    #[error("the proof is not UTF-8 text")]
    Encoding,
    /// The extra data is malformed, empty or too long.
    #[error("the extra data is not 1 to {MAX_EXTRA_BYTES} bytes in canonical base64")]
    Extra,
    /// A hash line is malformed.
    #[error("hash line {line} is not 32 bytes in canonical base64")]
    HashLine {
        /// Which hash line, from 1.
        line: usize,
    },
    /// The first line is not that of the format.
    #[error("the first line is not `{HEADER}`")]
    Header,
    /// The index line is malformed.
    #[error("the index line is not `index` and a number without sign or leading zeros")]
    Index,
    /// The hashes do not prove inclusion.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// No empty line before the checkpoint.
    #[error("no empty line separates the proof from its checkpoint")]
    Separator,
    /// The text is too long.
    #[error("the proof has {found} bytes, expected at most {MAX_TEXT_BYTES}")]
    TooLarge {
        /// Its length in bytes.
        found: usize,
    },
}

impl TlogProofError {
    /// A stable kebab-case code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Checkpoint(error) => error.code(),
            Self::Encoding => "tlog-proof-encoding",
            Self::Extra => "tlog-proof-extra",
            Self::HashLine { .. } => "tlog-proof-hash-line",
            Self::Header => "tlog-proof-header",
            Self::Index => "tlog-proof-index",
            Self::Proof(error) => error.code(),
            Self::Separator => "tlog-proof-separator",
            Self::TooLarge { .. } => "tlog-proof-too-large",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Checkpoint(error) => error.remedy(),
            Self::Proof(error) => error.remedy(),
            Self::Encoding
            | Self::Extra
            | Self::HashLine { .. }
            | Self::Header
            | Self::Index
            | Self::Separator
            | Self::TooLarge { .. } => "fetch the proof again and keep it byte for byte",
        }
    }
}
