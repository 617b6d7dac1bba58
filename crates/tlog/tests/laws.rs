//! Laws of the tree, its tiles and its proofs, partly against `tlog_tiles` as an oracle.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::collections::BTreeMap;

use bailiwick_tlog::{
    ConsistencyProof, Hash, InclusionProof, ProofError, RightEdge, TileId, TileKind, TreeHasher,
    TreeReader, empty_root, leaf_hash, node_hash,
};
use proptest::prelude::*;
use support::{Tiles, entry, grow, roots, tree};

#[test]
fn every_entry_is_provably_included_in_trees_of_up_to_600() {
    let (tiles, edge) = tree(600);
    let roots = roots(600);
    assert_eq!(edge.root(), roots[600]);
    for size in (0..130).chain([255, 256, 257, 300, 511, 512, 513, 600]) {
        // Tiles of the larger tree serve the smaller one where they are full; write its own edge.
        let mut tiles = tiles.clone();
        grow(&mut tiles, RightEdge::empty(), size, false);
        let mut reader = TreeReader::new(&tiles, size);
        let root = roots[usize::try_from(size).unwrap()];
        assert_eq!(reader.root().unwrap(), root);
        for index in 0..size {
            let proof = reader.inclusion_proof(index).unwrap();
            let leaf = leaf_hash(&entry(index));
            assert_eq!(reader.leaf(index).unwrap(), leaf);
            assert_eq!(reader.entry(index).unwrap(), entry(index));
            proof.verify(&leaf, &root).unwrap();
            assert!(proof.verify(&leaf_hash(b"another"), &root).is_err());
            assert!(proof.verify(&leaf, &empty_root()).is_err());
            let mut longer = proof.clone();
            longer.hashes.push(root);
            assert!(longer.verify(&leaf, &root).is_err());
            let mut shorter = proof.clone();
            if shorter.hashes.pop().is_some() {
                assert!(shorter.verify(&leaf, &root).is_err());
            }
            let mut elsewhere = proof.clone();
            elsewhere.index = index ^ 1;
            assert!(elsewhere.verify(&leaf, &root).is_err());
        }
        for beyond in [size, size + 1, u64::MAX] {
            let error = reader.inclusion_proof(beyond).unwrap_err();
            assert_eq!(error.code(), "tlog-proof-out-of-range");
            assert!(reader.leaf(beyond).is_err());
            assert!(reader.entry(beyond).is_err());
        }
    }
}

#[test]
fn all_pairs_of_sizes_up_to_80_are_provably_consistent() {
    let roots = roots(80);
    for new in 0..=80_u64 {
        let (tiles, _) = tree(new);
        let mut reader = TreeReader::new(&tiles, new);
        let new_root = roots[usize::try_from(new).unwrap()];
        for old in 0..=new {
            let old_root = roots[usize::try_from(old).unwrap()];
            let proof = reader.consistency_proof(old).unwrap();
            proof.verify(&old_root, &new_root).unwrap();
            let other = leaf_hash(b"another");
            assert!(proof.verify(&other, &new_root).is_err());
            if old > 0 {
                // Of the empty tree every tree is a continuation.
                assert!(proof.verify(&old_root, &other).is_err());
            }
            let mut longer = proof.clone();
            longer.hashes.push(new_root);
            assert!(longer.verify(&old_root, &new_root).is_err());
            let mut shorter = proof.clone();
            if shorter.hashes.pop().is_some() {
                assert!(shorter.verify(&old_root, &new_root).is_err());
            }
            for (place, hash) in proof.hashes.iter().enumerate() {
                let mut changed = proof.clone();
                changed.hashes[place] = node_hash(hash, hash);
                assert!(changed.verify(&old_root, &new_root).is_err());
            }
        }
        assert!(reader.consistency_proof(new + 1).is_err());
    }
}

#[test]
fn a_proof_that_ends_below_the_root_of_the_stated_size_is_too_short() {
    // Both would verify for two entries; they are stated for three.
    let leaves: Vec<Hash> = (0..2).map(|index| leaf_hash(&entry(index))).collect();
    let root_of_two = node_hash(&leaves[0], &leaves[1]);
    let mut inclusion = InclusionProof { index: 0, size: 3, hashes: vec![leaves[1]] };
    assert_eq!(inclusion.verify(&leaves[0], &root_of_two), Err(ProofError::TooShort));
    inclusion.size = 2;
    assert_eq!(inclusion.verify(&leaves[0], &root_of_two), Ok(()));
    let mut consistency = ConsistencyProof { old_size: 1, new_size: 3, hashes: vec![leaves[1]] };
    assert_eq!(consistency.verify(&leaves[0], &root_of_two), Err(ProofError::TooShort));
    consistency.new_size = 2;
    assert_eq!(consistency.verify(&leaves[0], &root_of_two), Ok(()));
}

#[test]
fn proofs_agree_with_tlog_tiles() {
    struct Stored(Vec<tlog_tiles::Hash>);
    impl tlog_tiles::HashReader for Stored {
        fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
            Ok(indexes.iter().map(|at| self.0[usize::try_from(*at).unwrap()]).collect())
        }
    }
    let ours = |hashes: &[tlog_tiles::Hash]| -> Vec<Hash> {
        hashes.iter().map(|hash| Hash::from_bytes(hash.0)).collect()
    };
    let mut stored = Stored(Vec::new());
    for size in 1..=530_u64 {
        let new = tlog_tiles::stored_hashes(size - 1, &entry(size - 1), &stored).unwrap();
        stored.0.extend(new);
        if size > 20 && size % 53 != 0 && !(254..=258).contains(&size) {
            continue;
        }
        let (tiles, edge) = tree(size);
        let root = tlog_tiles::tree_hash(size, &stored).unwrap();
        assert_eq!(edge.root(), Hash::from_bytes(root.0));
        let mut reader = TreeReader::new(&tiles, size);
        for index in 0..size {
            let theirs = tlog_tiles::prove_record(size, index, &stored).unwrap();
            assert_eq!(reader.inclusion_proof(index).unwrap().hashes, ours(&theirs));
            let theirs = tlog_tiles::prove_tree(size, index + 1, &stored).unwrap();
            assert_eq!(reader.consistency_proof(index + 1).unwrap().hashes, ours(&theirs));
        }
        // The tile files, byte for byte and under the same paths.
        let expected: BTreeMap<String, Vec<u8>> = tlog_tiles::Tile::new_tiles(8, 0, size)
            .iter()
            .map(|tile| {
                // Their path begins with the tile height, which tlog-tiles fixes at 8.
                (tile.path().replace("tile/8/", "tile/"), tile.read_data(&stored).unwrap())
            })
            .collect();
        let found: BTreeMap<String, Vec<u8>> = tiles
            .iter()
            .filter(|(id, _)| id.kind() != TileKind::Entries)
            .map(|(id, bytes)| (id.to_string(), bytes.clone()))
            .collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn crossing_256_and_65536_writes_the_tiles_that_the_size_calls_for() {
    for start in [255_u64, 256, 257, 65_535, 65_536, 65_537] {
        let (mut tiles, edge) = tree(start);
        let edge = grow(&mut tiles, edge, 3, true);
        let size = start + 3;
        let (at_once, expected) = tree(size);
        assert_eq!(edge, expected);
        for id in TileId::all(size) {
            assert_eq!(tiles.get(&id), at_once.get(&id), "{id}");
        }
        assert_eq!(TileId::all(size).count(), at_once.len());
        // A reader of the older tree falls back from replaced partial tiles to full ones.
        let mut old = TreeReader::new(&tiles, start);
        assert_eq!(RightEdge::read(&tiles, size, &edge.root()).unwrap(), edge);
        let old_root = old.root().unwrap();
        let proof = TreeReader::new(&tiles, size).consistency_proof(start).unwrap();
        proof.verify(&old_root, &edge.root()).unwrap();
        let index = start - 1;
        let proof = TreeReader::new(&tiles, size).inclusion_proof(index).unwrap();
        proof.verify(&leaf_hash(&entry(index)), &edge.root()).unwrap();
    }
}

#[test]
fn an_append_of_nothing_writes_nothing() {
    for size in [0, 5, 256] {
        let (_, edge) = tree(size);
        let plan = edge.append(Vec::<Vec<u8>>::new()).unwrap();
        assert!(plan.files().is_empty());
        assert_eq!(plan.into_edge(), edge);
    }
}

#[test]
fn an_unchanged_higher_partial_tile_is_not_written_again() {
    let (_, edge) = tree(300);
    let plan = edge.append([b"x"]).unwrap();
    let paths: Vec<String> = plan.files().iter().map(|file| file.id.to_string()).collect();
    assert_eq!(paths, ["tile/entries/001.p/45", "tile/0/001.p/45"]);
    let (_, edge) = tree(511);
    let plan = edge.append([b"x"]).unwrap();
    let paths: Vec<String> = plan.files().iter().map(|file| file.id.to_string()).collect();
    assert_eq!(paths, ["tile/entries/001", "tile/0/001", "tile/1/000.p/2"]);
    let folders: Vec<String> = plan.replaced_folders().collect();
    assert_eq!(folders, ["tile/entries/001.p", "tile/0/001.p"]);
}

#[test]
fn an_entry_over_the_limit_is_refused_and_changes_nothing() {
    let (_, edge) = tree(3);
    let before = edge.clone();
    let error = edge.append([vec![0; 60 * 1024], vec![0; 60 * 1024 + 1]]).unwrap_err();
    assert_eq!(error.code(), "tlog-entry-too-large");
    assert_eq!(edge, before);
    assert!(edge.append([vec![0; 60 * 1024]]).is_ok());
}

#[test]
fn the_right_edge_is_read_only_from_the_tree_of_the_checkpoint() {
    for size in [0_u64, 1, 255, 256, 300, 600] {
        let (tiles, edge) = tree(size);
        assert_eq!(RightEdge::read(&tiles, size, &edge.root()).unwrap(), edge);
        let error = RightEdge::read(&tiles, size, &leaf_hash(b"x")).unwrap_err();
        assert_eq!(error.code(), "tlog-root-differs");
    }
    let (mut tiles, edge) = tree(300);
    let bundle = TileId::parse("tile/entries/001.p/44").unwrap();
    tiles.get_mut(&bundle).unwrap()[5] ^= 1;
    let error = RightEdge::read(&tiles, 300, &edge.root()).unwrap_err();
    assert_eq!(error.code(), "tlog-entry-differs");
    tiles.remove(&bundle);
    let error = RightEdge::read(&tiles, 300, &edge.root()).unwrap_err();
    assert_eq!(error.code(), "tlog-tile-missing");
    let tile = TileId::parse("tile/0/001.p/44").unwrap();
    tiles.get_mut(&tile).unwrap().pop();
    let error = RightEdge::read(&tiles, 300, &edge.root()).unwrap_err();
    assert_eq!(error.code(), "tlog-tile-length");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn random_batches_equal_one_append_byte_for_byte(
        batches in proptest::collection::vec(0_u64..200, 1..8),
        clean in any::<bool>(),
        reload in any::<bool>(),
    ) {
        let mut tiles = Tiles::new();
        let mut edge = RightEdge::empty();
        for count in &batches {
            if reload {
                edge = RightEdge::read(&tiles, edge.size(), &edge.root()).unwrap();
            }
            let again = edge.append((edge.size()..edge.size() + count).map(entry)).unwrap();
            prop_assert_eq!(&again, &edge.append((edge.size()..edge.size() + count).map(entry)).unwrap());
            edge = grow(&mut tiles, edge, *count, clean);
        }
        let size = batches.iter().sum();
        let (at_once, expected) = tree(size);
        prop_assert_eq!(&edge, &expected);
        for id in TileId::all(size) {
            prop_assert_eq!(tiles.get(&id), at_once.get(&id));
        }
        if clean {
            let full = tiles.keys().filter(|id| !id.is_partial());
            for id in full {
                prop_assert!(!tiles.keys().any(|p| p.is_partial() && p.full() == *id));
            }
        }
    }

    #[test]
    fn larger_trees_are_consistent_and_a_flipped_byte_never_verifies(
        (old, new) in (1_u64..3000).prop_flat_map(|new| (1..=new, Just(new))),
        index in any::<prop::sample::Index>(),
        flip in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let (tiles, edge) = tree(new);
        let mut old_tree = TreeHasher::new();
        (0..old).for_each(|i| old_tree.push(leaf_hash(&entry(i))));
        let mut reader = TreeReader::new(&tiles, new);

        let proof = reader.consistency_proof(old).unwrap();
        prop_assert!(proof.verify(&old_tree.root(), &edge.root()).is_ok());
        if !proof.hashes.is_empty() {
            let mut changed = proof;
            flip_bit(&mut changed.hashes, &flip, bit);
            prop_assert!(changed.verify(&old_tree.root(), &edge.root()).is_err());
        }

        let index = u64::try_from(index.index(usize::try_from(new).unwrap())).unwrap();
        let leaf = leaf_hash(&entry(index));
        let proof = reader.inclusion_proof(index).unwrap();
        prop_assert!(proof.verify(&leaf, &edge.root()).is_ok());
        if !proof.hashes.is_empty() {
            let mut changed = proof;
            flip_bit(&mut changed.hashes, &flip, bit);
            prop_assert!(changed.verify(&leaf, &edge.root()).is_err());
        }
    }

    #[test]
    fn arbitrary_paths_never_panic_and_are_canonical(path in "tile/(entries|[0-9]{1,2})/(x?[0-9]{3}/){0,7}[0-9]{3}(\\.p/[0-9]{1,3})?") {
        if let Ok(id) = TileId::parse(&path) {
            prop_assert_eq!(id.to_string(), path);
        }
    }
}

fn flip_bit(hashes: &mut [Hash], at: &prop::sample::Index, bit: u8) {
    let at = at.index(hashes.len() * Hash::LEN);
    let mut bytes = *hashes[at / Hash::LEN].as_bytes();
    bytes[at % Hash::LEN] ^= 1 << bit;
    hashes[at / Hash::LEN] = Hash::from_bytes(bytes);
}
