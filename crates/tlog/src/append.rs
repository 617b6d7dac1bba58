//! Appending as data: from the tree's right edge and new entries to the files to write.

use crate::bundle::{EntryError, decode_bundle, push_entry};
use crate::checkpoint::{Checkpoint, CheckpointError, MAX_TREE_SIZE};
use crate::hash::{Hash, empty_root, join_hashes, leaf_hash};
use crate::reader::{ReadError, TileSource, read_bundle, read_hashes};
use crate::tile::{MAX_LEVEL, TILE_WIDTH, TileId, TileKind, items_at};
use crate::tree::{TreeHasher, fold_right, root_of};

/// One tile file to write. Its path is `id.to_string()`, below the log's prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileFile {
    /// Which tile.
    pub id: TileId,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// The partial tiles of a tree, one per level: all that is needed to append to it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Levels {
    size: u64,
    // INVARIANT: `partial[l]` has `items_at(l, size) % 256` hashes.
    partial: Vec<Vec<Hash>>,
}

impl Levels {
    /// Appends a leaf and gives the hash tiles that it filled, if any, lowest level first.
    pub(crate) fn push(&mut self, leaf: Hash) -> Vec<(TileId, Vec<Hash>)> {
        self.size += 1;
        let mut filled = Vec::new();
        let mut carry = Some(leaf);
        for level in 0..=MAX_LEVEL {
            let Some(hash) = carry.take() else { break };
            if self.partial.len() <= usize::from(level) {
                self.partial.push(Vec::new());
            }
            let Some(hashes) = self.partial.get_mut(usize::from(level)) else {
                break;
            };
            hashes.push(hash);
            if hashes.len() == usize::from(TILE_WIDTH) {
                let full = std::mem::take(hashes);
                carry = root_of(&full);
                let index = items_at(level + 1, self.size).saturating_sub(1);
                filled.push((TileId::new(TileKind::Hashes { level }, index, TILE_WIDTH), full));
            }
        }
        filled
    }

    /// The partial tiles, lowest level first.
    pub(crate) fn partials(&self) -> impl Iterator<Item = (TileId, &[Hash])> {
        (0..=MAX_LEVEL).zip(&self.partial).filter_map(|(level, hashes)| {
            let kind = TileKind::Hashes { level };
            let id =
                TileId::at(kind, items_at(level, self.size) / u64::from(TILE_WIDTH), self.size)?;
            Some((id, hashes.as_slice()))
        })
    }

    fn root(&self) -> Hash {
        let mut subtrees = Vec::new();
        for hashes in self.partial.iter().rev() {
            let mut tree = TreeHasher::new();
            hashes.iter().for_each(|hash| tree.push(*hash));
            subtrees.extend(tree.into_subtrees());
        }
        fold_right(subtrees.into_iter()).unwrap_or_else(empty_root)
    }
}

/// What a writer must know of a tree to append to it: the partial tiles and the partial entry
/// bundle. At most 8 × 8 KiB of hashes and one bundle.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RightEdge {
    levels: Levels,
    bundle: Vec<u8>,
}

impl RightEdge {
    /// The right edge of the empty tree.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Reads the right edge of the tree with `size` entries from its tiles and checks it against
    /// `root`, both from a verified checkpoint, and the last bundle's entries against their hashes.
    ///
    /// # Errors
    /// [`ReadError`] when a tile cannot be read or the tiles are not those of that tree.
    pub fn read<S: TileSource>(
        source: &S,
        size: u64,
        root: &Hash,
    ) -> Result<Self, ReadError<S::Error>> {
        let mut edge = Self { levels: Levels { size, partial: Vec::new() }, bundle: Vec::new() };
        for level in 0..=MAX_LEVEL {
            let hashes = match partial_at(TileKind::Hashes { level }, size) {
                Some(id) => read_hashes(source, id)?,
                None => Vec::new(),
            };
            edge.levels.partial.push(hashes);
        }
        let found = edge.root();
        if found != *root {
            return Err(ReadError::RootDiffers { size, found, expected: *root });
        }
        if let Some(tile) = partial_at(TileKind::Entries, size) {
            edge.bundle = read_bundle(source, tile)?;
            let entries = decode_bundle(&edge.bundle, tile.width())
                .map_err(|error| ReadError::Bundle { tile, error })?;
            let first = tile.index() * u64::from(TILE_WIDTH);
            let hashes = edge.levels.partial.first().into_iter().flatten();
            for ((index, entry), hash) in (first..).zip(entries).zip(hashes) {
                if leaf_hash(entry) != *hash {
                    return Err(ReadError::EntryDiffers { index });
                }
            }
        }
        edge.levels.trim();
        Ok(edge)
    }

    /// Number of entries of the tree.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.levels.size
    }

    /// Root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.levels.root()
    }

    /// Plans to append `entries`. The same edge and entries always give the same plan, so a writer
    /// that crashed may plan and write again; nothing is taken over until the caller replaces this
    /// edge by the plan's.
    ///
    /// # Errors
    /// [`EntryError`] when an entry is too large or the log is full.
    pub fn append<I>(&self, entries: I) -> Result<AppendPlan, EntryError>
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let old_size = self.size();
        let mut edge = self.clone();
        let mut files = Vec::new();
        for entry in entries {
            if edge.size() >= MAX_TREE_SIZE {
                return Err(EntryError::Full);
            }
            push_entry(&mut edge.bundle, entry.as_ref())?;
            for (id, hashes) in edge.levels.push(leaf_hash(entry.as_ref())) {
                if id.kind().level() == 0 {
                    let id = TileId::new(TileKind::Entries, id.index(), TILE_WIDTH);
                    files.push(TileFile { id, bytes: std::mem::take(&mut edge.bundle) });
                }
                files.push(TileFile { id, bytes: join_hashes(&hashes) });
            }
        }
        if edge.size() > old_size
            && let Some(id) = partial_at(TileKind::Entries, edge.size())
        {
            files.push(TileFile { id, bytes: edge.bundle.clone() });
        }
        for (id, hashes) in edge.levels.partials() {
            let level = id.kind().level();
            if items_at(level, edge.size()) != items_at(level, old_size) {
                files.push(TileFile { id, bytes: join_hashes(hashes) });
            }
        }
        files.sort_by_key(|file| file.id);
        Ok(AppendPlan { first_index: old_size, files, edge })
    }
}

impl Levels {
    /// Drops the empty levels at the top, so that equal trees are equal values.
    fn trim(&mut self) {
        let levels = (0..=MAX_LEVEL).filter(|level| items_at(*level, self.size) > 0).count();
        self.partial.truncate(levels);
    }
}

fn partial_at(kind: TileKind, size: u64) -> Option<TileId> {
    TileId::at(kind, items_at(kind.level(), size) / u64::from(TILE_WIDTH), size)
}

/// What to do to append: write [`AppendPlan::files`] durably, then publish a signed
/// [`AppendPlan::checkpoint`], then keep [`AppendPlan::into_edge`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendPlan {
    first_index: u64,
    files: Vec<TileFile>,
    edge: RightEdge,
}

impl AppendPlan {
    /// Index in the log of the first new entry.
    #[must_use]
    pub fn first_index(&self) -> u64 {
        self.first_index
    }

    /// The files to write, bundles first, in order of kind, level and index. A file that exists
    /// already (from a run that crashed) has the same bytes and may be replaced.
    #[must_use]
    pub fn files(&self) -> &[TileFile] {
        &self.files
    }

    /// Number of entries after the append.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.edge.size()
    }

    /// Root after the append.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.edge.root()
    }

    /// The checkpoint to sign and publish, once all files are durable.
    ///
    /// # Errors
    /// [`CheckpointError::Origin`] when `origin` is not a valid name.
    pub fn checkpoint(&self, origin: &str) -> Result<Checkpoint, CheckpointError> {
        Checkpoint::new(origin, self.size(), self.root())
    }

    /// Folders of partial tiles that full tiles have replaced. They may be deleted (if they exist)
    /// after the checkpoint is published; readers fall back to the full tile.
    pub fn replaced_folders(&self) -> impl Iterator<Item = String> {
        self.files.iter().filter(|file| !file.id.is_partial()).map(|file| file.id.partial_folder())
    }

    /// The right edge to append to next.
    #[must_use]
    pub fn into_edge(self) -> RightEdge {
        self.edge
    }
}
