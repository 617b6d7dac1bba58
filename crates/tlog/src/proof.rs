//! Inclusion and consistency proofs and how to verify them (RFC 9162 section 2.1).

use thiserror::Error;

use crate::hash::{Hash, empty_root, node_hash};

/// The most hashes a proof of a tree of up to 2^63 - 1 entries can have.
pub const MAX_PROOF_HASHES: usize = 63;

/// Shows that a leaf is in a tree. Unverified until [`InclusionProof::verify`] says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InclusionProof {
    /// Index of the leaf, from 0.
    pub index: u64,
    /// Size of the tree.
    pub size: u64,
    /// Sibling hashes from the leaf's up to the root's child.
    pub hashes: Vec<Hash>,
}

impl InclusionProof {
    /// Verifies that `leaf` is in the tree with `root` (RFC 9162 section 2.1.3.2).
    ///
    /// # Errors
    /// [`ProofError`] when it does not show that.
    pub fn verify(&self, leaf: &Hash, root: &Hash) -> Result<(), ProofError> {
        if self.index >= self.size {
            return Err(ProofError::OutOfRange { index: self.index, size: self.size });
        }
        check_length(&self.hashes)?;
        let mut walk = Walk { old: self.index, new: self.size - 1 };
        let mut hash = *leaf;
        for sibling in &self.hashes {
            hash = if walk.step()? { node_hash(sibling, &hash) } else { node_hash(&hash, sibling) };
        }
        walk.finish()?;
        same(&hash, root)
    }
}

/// Shows that a tree only grew from an earlier one. Unverified until [`ConsistencyProof::verify`]
/// says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// Size of the earlier tree.
    pub old_size: u64,
    /// Size of the later tree.
    pub new_size: u64,
    /// The hashes, in the order of RFC 9162 section 2.1.4.1.
    pub hashes: Vec<Hash>,
}

impl ConsistencyProof {
    /// Verifies that the tree with `new_root` begins with the leaves of the tree with `old_root`
    /// (RFC 9162 section 2.1.4.2). The empty tree is the beginning of every tree.
    ///
    /// # Errors
    /// [`ProofError`] when it does not show that.
    pub fn verify(&self, old_root: &Hash, new_root: &Hash) -> Result<(), ProofError> {
        if self.old_size > self.new_size {
            return Err(ProofError::OutOfRange { index: self.old_size, size: self.new_size });
        }
        check_length(&self.hashes)?;
        if self.old_size == 0 || self.old_size == self.new_size {
            if !self.hashes.is_empty() {
                return Err(ProofError::TooLong);
            }
            if self.old_size == 0 {
                same(old_root, &empty_root())?;
            }
            return if self.new_size == self.old_size { same(new_root, old_root) } else { Ok(()) };
        }
        // When the old size is a power of two the verifier knows the first hash.
        let (first, rest) = if self.old_size.is_power_of_two() {
            (old_root, self.hashes.as_slice())
        } else {
            self.hashes.split_first().ok_or(ProofError::TooShort)?
        };
        let mut walk = Walk { old: self.old_size - 1, new: self.new_size - 1 };
        walk.shift(walk.old.trailing_ones());
        let (mut old, mut new) = (*first, *first);
        for hash in rest {
            if walk.step()? {
                old = node_hash(hash, &old);
                new = node_hash(hash, &new);
            } else {
                new = node_hash(&new, hash);
            }
        }
        walk.finish()?;
        same(&old, old_root)?;
        same(&new, new_root)
    }
}

/// The pair `fn`, `sn` of RFC 9162: the node we stand on and the last node of its level.
struct Walk {
    old: u64,
    new: u64,
}

impl Walk {
    /// Goes one hash of the proof up. `true`: that hash is to our left.
    fn step(&mut self) -> Result<bool, ProofError> {
        if self.new == 0 {
            return Err(ProofError::TooLong);
        }
        let left = self.old & 1 == 1 || self.old == self.new;
        if left && self.old & 1 == 0 {
            // Levels on which the last node has no sibling. `old` is not 0 here, since it is
            // `new`, so it has a bit to stop at.
            self.shift(self.old.trailing_zeros());
        }
        self.shift(1);
        Ok(left)
    }

    fn shift(&mut self, by: u32) {
        self.old = self.old.checked_shr(by).unwrap_or(0);
        self.new = self.new.checked_shr(by).unwrap_or(0);
    }

    fn finish(&self) -> Result<(), ProofError> {
        if self.new == 0 { Ok(()) } else { Err(ProofError::TooShort) }
    }
}

fn check_length(hashes: &[Hash]) -> Result<(), ProofError> {
    if hashes.len() > MAX_PROOF_HASHES { Err(ProofError::TooLong) } else { Ok(()) }
}

fn same(found: &Hash, expected: &Hash) -> Result<(), ProofError> {
    if found == expected { Ok(()) } else { Err(ProofError::Differs) }
}

/// A proof does not show what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProofError {
    /// The hashes do not lead to the expected root.
    #[error("the proof leads to another root hash than expected")]
    Differs,
    /// The index or the earlier size is beyond the tree.
    #[error("`{index}` is beyond the tree of {size} entries")]
    OutOfRange {
        /// The index or earlier size.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// More hashes than this index and size call for.
    #[error("the proof has more hashes than the sizes call for")]
    TooLong,
    /// Fewer hashes than this index and size call for.
    #[error("the proof has fewer hashes than the sizes call for")]
    TooShort,
}

impl ProofError {
    /// A stable kebab-case code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Differs => "tlog-proof-differs",
            Self::OutOfRange { .. } => "tlog-proof-out-of-range",
            Self::TooLong => "tlog-proof-too-long",
            Self::TooShort => "tlog-proof-too-short",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::OutOfRange { .. } => "use a checkpoint at least as new as the entry",
            Self::Differs | Self::TooLong | Self::TooShort => {
                "fetch proof and checkpoint again; if it persists, keep both as evidence that the \
                 log was changed"
            }
        }
    }
}
