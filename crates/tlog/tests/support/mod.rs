//! Trees of made-up entries.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]

use std::collections::BTreeMap;

use bailiwick_tlog::{Hash, RightEdge, TileId, TreeHasher, leaf_hash};

pub type Tiles = BTreeMap<TileId, Vec<u8>>;

pub fn entry(index: u64) -> Vec<u8> {
    let length = usize::try_from(index % 7).unwrap();
    let mut entry = index.to_be_bytes().to_vec();
    entry.extend(vec![0xa5; length]);
    entry
}

/// Appends `count` entries and writes the plan; deletes replaced partial tiles if asked.
pub fn grow(tiles: &mut Tiles, edge: RightEdge, count: u64, clean: bool) -> RightEdge {
    let first = edge.size();
    let plan = edge.append((first..first + count).map(entry)).unwrap();
    assert_eq!(plan.first_index(), first);
    for file in plan.files() {
        assert_eq!(TileId::parse(&file.id.to_string()).as_ref(), Ok(&file.id));
        tiles.insert(file.id, file.bytes.clone());
    }
    if clean {
        let folders: Vec<String> = plan.replaced_folders().collect();
        tiles.retain(|id, _| !id.is_partial() || !folders.contains(&id.partial_folder()));
    }
    plan.into_edge()
}

pub fn tree(size: u64) -> (Tiles, RightEdge) {
    let mut tiles = Tiles::new();
    let edge = grow(&mut tiles, RightEdge::empty(), size, false);
    (tiles, edge)
}

pub fn roots(size: u64) -> Vec<Hash> {
    let mut tree = TreeHasher::new();
    let mut roots = vec![tree.root()];
    for index in 0..size {
        tree.push(leaf_hash(&entry(index)));
        roots.push(tree.root());
    }
    roots
}
