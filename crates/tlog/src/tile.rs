//! Tile coordinates and their paths (tlog-tiles, "Merkle Tree" and "Log entries").

use std::fmt;

use thiserror::Error;

use crate::checkpoint::MAX_TREE_SIZE;
use crate::decimal;

/// Hashes or entries in a full tile.
pub const TILE_WIDTH: u16 = 256;

/// The highest tile level a tree of up to [`MAX_TREE_SIZE`] entries has (256^7 = 2^56).
pub(crate) const MAX_LEVEL: u8 = 7;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TileKind {
    /// The entries themselves, each with a two-byte length (an "entry bundle").
    Entries,
    /// Hashes; at level 0 of entries, above of full tiles of the level below.
    Hashes {
        /// The tile level, 0 to 7.
        level: u8,
    },
}

impl TileKind {
    /// Which power of 256 of entries one item of the tile stands for.
    pub(crate) const fn level(self) -> u8 {
        match self {
            Self::Entries => 0,
            Self::Hashes { level } => level,
        }
    }
}

/// One tile file: kind, index in its level and width (1 to 256; below 256 it is partial).
/// Shown as its path below the log's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TileId {
    kind: TileKind,
    index: u64,
    width: u16,
}

impl TileId {
    /// The tile at `index` as a tree of `size` entries has it; `None` when that tree has no such
    /// tile.
    #[must_use]
    pub fn at(kind: TileKind, index: u64, size: u64) -> Option<Self> {
        if kind.level() > MAX_LEVEL || size > MAX_TREE_SIZE {
            return None;
        }
        let items = items_at(kind.level(), size);
        let before = index.checked_mul(u64::from(TILE_WIDTH))?;
        let width = items.checked_sub(before)?.min(u64::from(TILE_WIDTH));
        let width = u16::try_from(width).ok().filter(|width| *width > 0)?;
        Some(Self { kind, index, width })
    }

    /// Every tile of a tree of `size` entries: bundles first, then hashes level by level, each from
    /// left to right.
    pub fn all(size: u64) -> impl Iterator<Item = Self> {
        std::iter::once(TileKind::Entries)
            .chain((0..=MAX_LEVEL).map(|level| TileKind::Hashes { level }))
            .flat_map(move |kind| (0..).map_while(move |index| Self::at(kind, index, size)))
    }

    pub(crate) const fn new(kind: TileKind, index: u64, width: u16) -> Self {
        Self { kind, index, width }
    }

    /// What the tile holds.
    #[must_use]
    pub const fn kind(self) -> TileKind {
        self.kind
    }

    /// Index of the tile within its level, from 0.
    #[must_use]
    pub const fn index(self) -> u64 {
        self.index
    }

    /// How many hashes or entries it holds, 1 to 256.
    #[must_use]
    pub const fn width(self) -> u16 {
        self.width
    }

    /// Whether it holds fewer than 256 items.
    #[must_use]
    pub const fn is_partial(self) -> bool {
        self.width < TILE_WIDTH
    }

    /// The full tile that takes this tile's place once the tree has grown enough.
    #[must_use]
    pub const fn full(self) -> Self {
        Self { kind: self.kind, index: self.index, width: TILE_WIDTH }
    }

    /// Path of the folder with this tile's partial versions, such as `tile/0/000.p`. It may be
    /// deleted once the full tile is durable and a checkpoint that needs it is published.
    #[must_use]
    pub fn partial_folder(self) -> String {
        format!("{}.p", self.full())
    }

    /// Reads a path such as `tile/0/x001/234.p/5` or `tile/entries/000`, which must be the
    /// canonical one.
    ///
    /// # Errors
    /// [`TileError`] when `path` is not the path of a tile.
    pub fn parse(path: &str) -> Result<Self, TileError> {
        Self::parse_canonical(path)
            .ok_or_else(|| TileError { path: path.chars().take(80).collect() })
    }

    fn parse_canonical(path: &str) -> Option<Self> {
        // The longest path: `tile/entries`, seven path elements of `x000/`, `.p/255`.
        if path.len() > 64 {
            return None;
        }
        let (kind, rest) = path.strip_prefix("tile/")?.split_once('/')?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes {
                level: u8::try_from(decimal::parse(level, u64::from(MAX_LEVEL))?).ok()?,
            },
        };
        let (number, width) = match rest.split_once(".p/") {
            None => (rest, TILE_WIDTH),
            Some((number, width)) => {
                let width = decimal::parse(width, u64::from(TILE_WIDTH) - 1)?;
                (number, u16::try_from(width).ok().filter(|width| *width > 0)?)
            }
        };
        let mut index: u64 = 0;
        for element in number.split('/') {
            let digits = element.strip_prefix('x').unwrap_or(element);
            if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
        }
        let tile = Self { kind, index, width };
        // Which elements carry an `x`, superfluous leading elements: decided by writing it again.
        (tile.to_string() == path).then_some(tile)
    }
}

impl fmt::Display for TileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Entries => f.write_str("tile/entries/")?,
            TileKind::Hashes { level } => write!(f, "tile/{level}/")?,
        }
        let mut groups = vec![self.index % 1000];
        let mut rest = self.index / 1000;
        while rest > 0 {
            groups.push(rest % 1000);
            rest /= 1000;
        }
        for (place, group) in groups.iter().enumerate().rev() {
            if place > 0 {
                write!(f, "x{group:03}/")?;
            } else {
                write!(f, "{group:03}")?;
            }
        }
        if self.is_partial() {
            write!(f, ".p/{}", self.width)?;
        }
        Ok(())
    }
}

/// How many items the level has in a tree of `size` entries: floor(size / 256^level).
pub(crate) fn items_at(level: u8, size: u64) -> u64 {
    size.checked_shr(8 * u32::from(level)).unwrap_or(0)
}

/// A text is not the path of a tile.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{path}` is not the path of a tile")]
pub struct TileError {
    /// The text, cut after 80 characters.
    pub path: String,
}

impl TileError {
    /// A stable kebab-case code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "tlog-tile-path"
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        "use a path as in `tile/0/x001/234`, `tile/0/000.p/5` or `tile/entries/000`"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_specification() {
        let level0 = TileKind::Hashes { level: 0 };
        for (tile, path) in [
            (TileId::new(level0, 0, 256), "tile/0/000"),
            (TileId::new(level0, 1_234_067, 256), "tile/0/x001/x234/067"),
            (TileId::new(level0, 1_234, 5), "tile/0/x001/234.p/5"),
            (TileId::new(TileKind::Entries, 999, 1), "tile/entries/999.p/1"),
            (TileId::new(TileKind::Hashes { level: 7 }, 1000, 255), "tile/7/x001/000.p/255"),
        ] {
            assert_eq!(tile.to_string(), path);
            assert_eq!(TileId::parse(path), Ok(tile));
        }
        assert_eq!(TileId::new(level0, 1_234, 5).partial_folder(), "tile/0/x001/234.p");
    }

    #[test]
    fn a_path_has_one_spelling() {
        for bad in [
            "",
            "tile",
            "tile/",
            "tile/0",
            "tile/0/",
            "tile/0/0",
            "tile/0/00",
            "tile/0/0000",
            "tile/00/000",
            "tile/+0/000",
            "tile/8/000",
            "tile/-1/000",
            "tile/data/000",
            "tile/0/x000/001",
            "tile/0/001/001",
            "tile/0/x001",
            "tile/0/x001/x001",
            "tile/0/000.p",
            "tile/0/000.p/",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/+1",
            "tile/0/000/",
            "/tile/0/000",
            "tile/0/../000",
            "tile/0/00a",
            "tile/0/+01",
            "tile/0/000.p/1.p/1",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
        ] {
            let error = TileId::parse(bad).unwrap_err();
            assert_eq!(error.code(), "tlog-tile-path", "{bad:?}");
            assert!(!error.remedy().is_empty());
        }
    }

    /// The example of tlog-tiles, "Partial Tiles".
    #[test]
    fn a_tree_of_70000_has_the_tiles_the_specification_counts() {
        let tiles: Vec<TileId> = TileId::all(70_000).collect();
        let count = |level, partial| {
            tiles
                .iter()
                .filter(|tile| tile.kind() == TileKind::Hashes { level })
                .filter(|tile| tile.is_partial() == partial)
                .count()
        };
        assert_eq!((count(0, false), count(0, true)), (273, 1));
        assert_eq!((count(1, false), count(1, true)), (1, 1));
        assert_eq!((count(2, false), count(2, true)), (0, 1));
        assert_eq!(count(3, false) + count(3, true), 0);
        let texts: Vec<String> = tiles.iter().map(ToString::to_string).collect();
        for path in
            ["tile/0/273.p/112", "tile/entries/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]
        {
            assert!(texts.iter().any(|text| text == path), "{path}");
        }
        let small: Vec<String> = TileId::all(256).map(|tile| tile.to_string()).collect();
        assert_eq!(small, ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]);
        assert_eq!(TileId::all(0).count(), 0);
    }
}
