//! Recomputing a whole log from its entries.

use thiserror::Error;

use crate::append::Levels;
use crate::bundle::{decode_bundle, decode_prefix};
use crate::hash::{Hash, join_hashes, leaf_hash};
use crate::reader::{ReadError, TileSource, read_bundle, read_hashes};
use crate::tile::{TILE_WIDTH, TileId, TileKind};
use crate::tree::TreeHasher;

/// A size and the root that a verified checkpoint states for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownRoot {
    /// Number of entries.
    pub size: u64,
    /// Root of the tree over the first `size` entries.
    pub root: Hash,
}

/// What an audit found to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditReport {
    /// Entries read and hashed.
    pub entries: u64,
    /// Tile files compared with what the entries imply, bundles included.
    pub tiles: u64,
    /// Checkpoints whose root was recomputed, the current one included.
    pub checkpoints: u64,
}

/// Reads every entry of the log up to `current`, recomputes every tile and the root, and compares
/// them with what is stored and with `current` and the checkpoints kept from `earlier` (in any
/// order). Holds one bundle and O(log n) tiles in memory.
///
/// `on_entry` is called with each index and entry in order, before it is known whether the root is
/// right: what it gathers counts only when the audit succeeds.
///
/// # Errors
/// [`AuditError`] at the first thing that does not hold.
pub fn audit<S: TileSource>(
    source: &S,
    current: KnownRoot,
    earlier: &[KnownRoot],
    mut on_entry: impl FnMut(u64, &[u8]),
) -> Result<AuditReport, AuditError<S::Error>> {
    let mut known = earlier.to_vec();
    known.push(current);
    known.sort_by_key(|known| known.size);
    if let Some(largest) = known.last().filter(|largest| largest.size > current.size) {
        return Err(AuditError::Shrunk { found: current.size, known: largest.size });
    }
    let checkpoints = u64::try_from(known.len()).unwrap_or(u64::MAX);
    let mut known = known.into_iter().peekable();
    let mut tree = TreeHasher::new();
    let mut levels = Levels::default();
    let mut tiles = 0;
    let mut check_roots = |tree: &TreeHasher| {
        while let Some(KnownRoot { size, root }) = known.next_if(|known| known.size == tree.size())
        {
            let found = tree.root();
            if found != root {
                let error = ReadError::RootDiffers { size, found, expected: root };
                return Err(AuditError::Read(error));
            }
        }
        Ok(())
    };
    check_roots(&tree)?;
    for bundle in (0..).map_while(|index| TileId::at(TileKind::Entries, index, current.size)) {
        let stated = TileId::new(TileKind::Hashes { level: 0 }, bundle.index(), bundle.width());
        let stated = read_hashes(source, stated)?;
        let bytes = read_bundle(source, bundle)?;
        let entries = decode_bundle(&bytes, bundle.width())
            .map_err(|error| ReadError::Bundle { tile: bundle, error })?;
        tiles += 2;
        let first = bundle.index() * u64::from(TILE_WIDTH);
        for ((index, entry), stated) in (first..).zip(entries).zip(stated) {
            let hash = leaf_hash(entry);
            if hash != stated {
                return Err(AuditError::Read(ReadError::EntryDiffers { index }));
            }
            on_entry(index, entry);
            tree.push(hash);
            for (tile, hashes) in levels.push(hash) {
                tiles += compare(source, tile, &hashes)?;
            }
            check_roots(&tree)?;
        }
    }
    for (tile, hashes) in levels.partials() {
        tiles += compare(source, tile, hashes)?;
    }
    Ok(AuditReport { entries: tree.size(), tiles, checkpoints })
}

/// Checks a partial tile that lies in the log's folder though the tree of `size` entries no longer
/// needs it: it must be the beginning of the tile that replaced it. Together with [`audit`] this
/// covers every tile file there is. `false`: the tile belongs to a larger tree that was never
/// published (a writer crashed), so there is nothing to compare it with.
///
/// # Errors
/// [`AuditError::TileDiffers`] when it is not, and [`AuditError::Read`] when one of the two cannot
/// be read.
pub fn audit_leftover<S: TileSource>(
    source: &S,
    leftover: TileId,
    size: u64,
) -> Result<bool, AuditError<S::Error>> {
    let current = TileId::at(leftover.kind(), leftover.index(), size)
        .filter(|current| current.width() >= leftover.width());
    let Some(current) = current else {
        return Ok(false);
    };
    let found = source
        .tile(leftover)
        .map_err(|error| ReadError::Source { tile: leftover, error })?
        .ok_or(ReadError::Missing { tile: leftover })?;
    let same = match leftover.kind() {
        TileKind::Entries => {
            let bytes = read_bundle(source, current)?;
            let (_, rest) = decode_prefix(&bytes, leftover.width())
                .map_err(|error| ReadError::Bundle { tile: current, error })?;
            bytes.strip_suffix(rest) == Some(&found)
        }
        TileKind::Hashes { .. } => {
            let hashes = read_hashes(source, current)?;
            let width = usize::from(leftover.width());
            hashes.get(..width).map(join_hashes) == Some(found)
        }
    };
    if same { Ok(true) } else { Err(AuditError::TileDiffers { tile: leftover }) }
}

/// Compares a tile above level 0 (those at level 0 were compared entry by entry) and counts it.
fn compare<S: TileSource>(
    source: &S,
    tile: TileId,
    expected: &[Hash],
) -> Result<u64, AuditError<S::Error>> {
    if tile.kind().level() == 0 {
        return Ok(0);
    }
    if read_hashes(source, tile)? != expected {
        return Err(AuditError::TileDiffers { tile });
    }
    Ok(1)
}

/// The log is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AuditError<E: std::error::Error> {
    /// A tile cannot be read or does not fit its entries or a known root.
    #[error(transparent)]
    Read(#[from] ReadError<E>),
    /// The log is smaller than a checkpoint that was kept.
    #[error("the log has {found} entries, but a checkpoint kept from earlier has {known}")]
    Shrunk {
        /// Its size now.
        found: u64,
        /// The size it once had.
        known: u64,
    },
    /// A tile does not hold the hashes that the entries imply.
    #[error("`{tile}` does not hold the hashes of the entries below it")]
    TileDiffers {
        /// The tile.
        tile: TileId,
    },
}

impl<E: std::error::Error> AuditError<E> {
    /// A stable kebab-case code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Read(error) => error.code(),
            Self::Shrunk { .. } => "tlog-shrunk",
            Self::TileDiffers { .. } => "tlog-tile-differs",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Read(error) => error.remedy(),
            Self::Shrunk { .. } => "keep both checkpoints as evidence that entries were removed",
            Self::TileDiffers { .. } => {
                "keep the ledger folder as evidence and restore it from a copy that verifies"
            }
        }
    }
}
