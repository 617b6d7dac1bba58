//! Reading a tree from its tiles: roots and proofs.

use std::collections::BTreeMap;
use std::convert::Infallible;

use thiserror::Error;

use crate::bundle::{EntryError, decode_bundle, decode_prefix};
use crate::hash::{Hash, empty_root, split_hashes};
use crate::proof::{ConsistencyProof, InclusionProof, ProofError};
use crate::tile::{TILE_WIDTH, TileId, TileKind};
use crate::tree::{fold_right, root_of};

/// Where tiles are read from. Nothing it returns is trusted: what is computed from tiles is to be
/// compared with a verified checkpoint's root.
pub trait TileSource {
    /// What may go wrong other than absence.
    type Error: std::error::Error;

    /// The bytes of exactly this tile file; `None` when there is no such file. Asked for a partial
    /// tile it must not answer with the full one: the caller does that.
    ///
    /// # Errors
    /// When it cannot tell, for example because a file cannot be read.
    fn tile(&self, id: TileId) -> Result<Option<Vec<u8>>, Self::Error>;
}

impl<S: TileSource + ?Sized> TileSource for &S {
    type Error = S::Error;

    fn tile(&self, id: TileId) -> Result<Option<Vec<u8>>, Self::Error> {
        (**self).tile(id)
    }
}

impl TileSource for BTreeMap<TileId, Vec<u8>> {
    type Error = Infallible;

    fn tile(&self, id: TileId) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.get(&id).cloned())
    }
}

/// The tile as it is, or else the full tile that has replaced a partial one.
fn read<S: TileSource>(source: &S, id: TileId) -> Result<(TileId, Vec<u8>), ReadError<S::Error>> {
    for candidate in [id, id.full()] {
        let found =
            source.tile(candidate).map_err(|error| ReadError::Source { tile: candidate, error })?;
        if let Some(bytes) = found {
            return Ok((candidate, bytes));
        }
    }
    Err(ReadError::Missing { tile: id })
}

/// The hashes of a tile, as many as `id` is wide.
pub(crate) fn read_hashes<S: TileSource>(
    source: &S,
    id: TileId,
) -> Result<Vec<Hash>, ReadError<S::Error>> {
    let (found, bytes) = read(source, id)?;
    let mut hashes = split_hashes(&bytes)
        .filter(|hashes| hashes.len() == usize::from(found.width()))
        .ok_or(ReadError::Length {
            tile: found,
            found: bytes.len(),
            expected: usize::from(found.width()) * Hash::LEN,
        })?;
    hashes.truncate(usize::from(id.width()));
    Ok(hashes)
}

/// The bytes of an entry bundle, cut to as many entries as `id` is wide.
pub(crate) fn read_bundle<S: TileSource>(
    source: &S,
    id: TileId,
) -> Result<Vec<u8>, ReadError<S::Error>> {
    let (found, mut bytes) = read(source, id)?;
    let length = decode_bundle(&bytes, found.width())
        .and_then(|_| decode_prefix(&bytes, id.width()))
        .map(|(_, rest)| bytes.len() - rest.len())
        .map_err(|error| ReadError::Bundle { tile: found, error })?;
    bytes.truncate(length);
    Ok(bytes)
}

/// Reads hashes of one tree from its tiles, each tile once. Keeps what it read, so make one for a
/// few proofs rather than for a process.
#[derive(Debug)]
pub struct TreeReader<S> {
    source: S,
    size: u64,
    tiles: BTreeMap<TileId, Vec<Hash>>,
}

impl<S: TileSource> TreeReader<S> {
    /// Reads the tree of `size` entries.
    pub fn new(source: S, size: u64) -> Self {
        Self { source, size, tiles: BTreeMap::new() }
    }

    /// Root of the tree as its tiles have it.
    ///
    /// # Errors
    /// [`ReadError`] when a tile cannot be read.
    pub fn root(&mut self) -> Result<Hash, ReadError<S::Error>> {
        self.range(0, self.size)
    }

    /// Hash of the leaf at `index` as the tiles have it.
    ///
    /// # Errors
    /// [`ReadError`] when a tile cannot be read or the tree has no such leaf.
    pub fn leaf(&mut self, index: u64) -> Result<Hash, ReadError<S::Error>> {
        self.check(index < self.size, index)?;
        self.node(0, index)
    }

    /// The entry at `index` as its bundle has it; compare its [`crate::leaf_hash`] with a proof.
    ///
    /// # Errors
    /// [`ReadError`] when the bundle cannot be read or the tree has no such entry.
    pub fn entry(&self, index: u64) -> Result<Vec<u8>, ReadError<S::Error>> {
        let width = u64::from(TILE_WIDTH);
        let id = TileId::at(TileKind::Entries, index / width, self.size)
            .filter(|_| index < self.size)
            .ok_or(ReadError::Proof(ProofError::OutOfRange { index, size: self.size }))?;
        let bytes = read_bundle(&self.source, id)?;
        let place = usize::try_from(index % width).unwrap_or(usize::MAX);
        decode_bundle(&bytes, id.width())
            .map_err(|error| ReadError::Bundle { tile: id, error })?
            .get(place)
            .map(|entry| entry.to_vec())
            .ok_or(ReadError::Missing { tile: id })
    }

    /// Proof that the leaf at `index` is in the tree (RFC 9162 section 2.1.3.1).
    ///
    /// # Errors
    /// [`ReadError`] when a tile cannot be read or the tree has no such leaf.
    pub fn inclusion_proof(&mut self, index: u64) -> Result<InclusionProof, ReadError<S::Error>> {
        self.check(index < self.size, index)?;
        let (mut low, mut high) = (0, self.size);
        let mut hashes = Vec::new();
        while high - low > 1 {
            let middle = low + split(high - low);
            if index < middle {
                hashes.push(self.range(middle, high)?);
                high = middle;
            } else {
                hashes.push(self.range(low, middle)?);
                low = middle;
            }
        }
        hashes.reverse();
        Ok(InclusionProof { index, size: self.size, hashes })
    }

    /// Proof that the tree begins with its first `old_size` entries (RFC 9162 section 2.1.4.1).
    ///
    /// # Errors
    /// [`ReadError`] when a tile cannot be read or the tree is smaller than that.
    pub fn consistency_proof(
        &mut self,
        old_size: u64,
    ) -> Result<ConsistencyProof, ReadError<S::Error>> {
        self.check(old_size <= self.size, old_size)?;
        let mut hashes = Vec::new();
        if old_size > 0 {
            let (mut low, mut high) = (0, self.size);
            while old_size != high {
                let middle = low + split(high - low);
                if old_size <= middle {
                    hashes.push(self.range(middle, high)?);
                    high = middle;
                } else {
                    hashes.push(self.range(low, middle)?);
                    low = middle;
                }
            }
            if low > 0 {
                hashes.push(self.range(low, high)?);
            }
            hashes.reverse();
        }
        Ok(ConsistencyProof { old_size, new_size: self.size, hashes })
    }

    fn check(&self, holds: bool, index: u64) -> Result<(), ReadError<S::Error>> {
        if holds {
            Ok(())
        } else {
            Err(ReadError::Proof(ProofError::OutOfRange { index, size: self.size }))
        }
    }

    /// MTH(D[low:high]). `low` is a multiple of the largest power of two within the range.
    fn range(&mut self, low: u64, high: u64) -> Result<Hash, ReadError<S::Error>> {
        let mut subtrees = Vec::new();
        let mut low = low;
        while let Some(level) = (high - low).checked_ilog2() {
            subtrees.push(self.node(level, low >> level)?);
            low += 1 << level;
        }
        Ok(fold_right(subtrees.into_iter()).unwrap_or_else(empty_root))
    }

    /// Root of the complete subtree of 2^`level` leaves at `index`.
    fn node(&mut self, level: u32, index: u64) -> Result<Hash, ReadError<S::Error>> {
        let tile_level = u8::try_from(level / 8).unwrap_or(u8::MAX);
        let height = level % 8;
        let first = index << height;
        let width = u64::from(TILE_WIDTH);
        let kind = TileKind::Hashes { level: tile_level };
        let tile = TileId::at(kind, first / width, self.size)
            .ok_or(ReadError::Proof(ProofError::OutOfRange { index, size: self.size }))?;
        let hashes = match self.tiles.entry(tile) {
            std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(read_hashes(&self.source, tile)?)
            }
        };
        let from = usize::try_from(first % width).unwrap_or(usize::MAX);
        hashes
            .get(from..from.saturating_add(1 << height))
            .and_then(root_of)
            .ok_or(ReadError::Missing { tile })
    }
}

/// The largest power of two smaller than `size`, which is at least 2.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// The tiles cannot be read as the tree they should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReadError<E: std::error::Error> {
    /// An entry bundle is malformed.
    #[error("`{tile}`: {error}")]
    Bundle {
        /// The bundle.
        tile: TileId,
        /// What is wrong.
        error: EntryError,
    },
    /// An entry's bytes do not have the hash that the tile next to it states.
    #[error("entry {index} does not have the hash that the tile states")]
    EntryDiffers {
        /// Index of the entry in the log.
        index: u64,
    },
    /// A tile has the wrong length.
    #[error("`{tile}` has {found} bytes, expected {expected}")]
    Length {
        /// The tile.
        tile: TileId,
        /// Its length in bytes.
        found: usize,
        /// The length it should have.
        expected: usize,
    },
    /// A tile that the tree size calls for is absent.
    #[error("`{tile}` is missing")]
    Missing {
        /// The tile.
        tile: TileId,
    },
    /// The index or size asked for is beyond the tree.
    #[error(transparent)]
    Proof(ProofError),
    /// The tiles make another root than the checkpoint states.
    #[error("the tiles of the first {size} entries make the root `{found}`, expected `{expected}`")]
    RootDiffers {
        /// Size of the tree.
        size: u64,
        /// The root that the tiles make.
        found: Hash,
        /// The root that was expected.
        expected: Hash,
    },
    /// The source failed.
    #[error("`{tile}` cannot be read: {error}")]
    Source {
        /// The tile.
        tile: TileId,
        /// Why.
        error: E,
    },
}

impl<E: std::error::Error> ReadError<E> {
    /// A stable kebab-case code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Bundle { error, .. } => error.code(),
            Self::EntryDiffers { .. } => "tlog-entry-differs",
            Self::Length { .. } => "tlog-tile-length",
            Self::Missing { .. } => "tlog-tile-missing",
            Self::Proof(error) => error.code(),
            Self::RootDiffers { .. } => "tlog-root-differs",
            Self::Source { .. } => "tlog-source-failed",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Bundle { error, .. } => error.remedy(),
            Self::EntryDiffers { .. }
            | Self::Length { .. }
            | Self::Missing { .. }
            | Self::RootDiffers { .. } => {
                "keep the ledger folder as evidence and restore it from a copy that verifies"
            }
            Self::Proof(error) => error.remedy(),
            Self::Source { .. } => "make the ledger folder readable and try again",
        }
    }
}
