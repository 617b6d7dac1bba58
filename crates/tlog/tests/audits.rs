//! What an audit finds in honest, damaged and dishonest logs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use bailiwick_tlog::{AuditError, KnownRoot, RightEdge, TileId, audit, audit_leftover};
use support::{Tiles, entry, grow, roots, tree};

fn known(edge: &RightEdge) -> KnownRoot {
    KnownRoot { size: edge.size(), root: edge.root() }
}

#[test]
fn an_audit_reads_every_entry_in_order_and_counts_what_it_checked() {
    let (tiles, edge) = tree(600);
    let roots = roots(600);
    let kept: Vec<KnownRoot> = [600_u64, 0, 257, 256, 1]
        .iter()
        .map(|size| KnownRoot { size: *size, root: roots[usize::try_from(*size).unwrap()] })
        .collect();
    let mut seen = Vec::new();
    let report = audit(&tiles, known(&edge), &kept, |index, bytes| {
        assert_eq!(bytes, entry(index));
        seen.push(index);
    })
    .unwrap();
    assert_eq!(seen, (0..600).collect::<Vec<u64>>());
    assert_eq!(report.entries, 600);
    assert_eq!(report.tiles, u64::try_from(tiles.len()).unwrap());
    assert_eq!(report.checkpoints, 6);
    for size in [0, 1, 256, 65_536] {
        let (tiles, edge) = tree(size);
        let report = audit(&tiles, known(&edge), &[], |_, _| ()).unwrap();
        assert_eq!(report.tiles, u64::try_from(tiles.len()).unwrap());
    }
}

#[test]
fn an_audit_finds_a_flipped_bit_in_any_tile() {
    let (tiles, edge) = tree(260);
    for (id, bytes) in &tiles {
        for at in (0..bytes.len()).step_by(97).chain([0, bytes.len() - 1]) {
            let mut tampered = tiles.clone();
            tampered.get_mut(id).unwrap()[at] ^= 0x10;
            let error = audit(&tampered, known(&edge), &[], |_, _| ()).unwrap_err();
            assert!(!error.remedy().is_empty());
            assert!(error.code().starts_with("tlog-"), "{id} at {at}");
        }
        let mut tampered = tiles.clone();
        tampered.remove(id);
        let error = audit(&tampered, known(&edge), &[], |_, _| ()).unwrap_err();
        assert_eq!(error.code(), "tlog-tile-missing", "{id}");
        let mut tampered = tiles.clone();
        tampered.get_mut(id).unwrap().push(0);
        assert!(audit(&tampered, known(&edge), &[], |_, _| ()).is_err(), "{id}");
        // A whole hash, or an empty entry and more, too many.
        tampered.get_mut(id).unwrap().extend([0; 31]);
        let error = audit(&tampered, known(&edge), &[], |_, _| ()).unwrap_err();
        let code = error.code();
        assert!(code == "tlog-tile-length" || code == "tlog-bundle-trailing", "{id}: {code}");
    }
}

#[test]
fn an_audit_finds_a_log_that_was_rebuilt_shrunk_or_forked() {
    let (_, honest) = tree(300);
    let kept = known(&honest);
    // The operator changes entry 17 and rebuilds every tile and the checkpoint.
    let mut entries: Vec<Vec<u8>> = (0..310).map(entry).collect();
    entries[17] = b"never happened".to_vec();
    let plan = RightEdge::empty().append(&entries).unwrap();
    let tiles: Tiles = plan.files().iter().map(|file| (file.id, file.bytes.clone())).collect();
    let rebuilt = plan.into_edge();
    assert!(audit(&tiles, known(&rebuilt), &[], |_, _| ()).is_ok());
    let error = audit(&tiles, known(&rebuilt), &[kept], |_, _| ()).unwrap_err();
    assert_eq!(error.code(), "tlog-root-differs");
    let (tiles, shorter) = tree(299);
    let error = audit(&tiles, known(&shorter), &[kept], |_, _| ()).unwrap_err();
    assert_eq!(error.code(), "tlog-shrunk");
}

#[test]
fn an_audit_of_an_older_checkpoint_reads_the_tiles_of_the_grown_log() {
    let (mut tiles, old) = tree(200);
    let at = known(&old);
    grow(&mut tiles, old, 400, true);
    assert!(audit(&tiles, at, &[], |_, _| ()).is_ok());
}

#[test]
fn a_leftover_partial_tile_must_be_the_beginning_of_what_replaced_it() {
    let mut tiles = Tiles::new();
    let mut edge = RightEdge::empty();
    for count in [200, 50, 300] {
        edge = grow(&mut tiles, edge, count, false);
    }
    // Written for a checkpoint that was never published.
    let mut crashed = tiles.clone();
    let unpublished = grow(&mut crashed, edge.clone(), 2, false);
    let published: Vec<TileId> = TileId::all(edge.size()).collect();
    let leftovers: Vec<TileId> =
        crashed.keys().filter(|id| !published.contains(id)).copied().collect();
    assert_eq!(leftovers.len(), 6);
    for id in leftovers {
        let beyond = TileId::all(unpublished.size()).any(|other| other == id);
        assert_eq!(audit_leftover(&crashed, id, edge.size()), Ok(!beyond), "{id}");
        let last = crashed[&id].len() - 1;
        for at in [0, 2, last] {
            let mut tampered = crashed.clone();
            tampered.get_mut(&id).unwrap()[at] ^= 1;
            let result = audit_leftover(&tampered, id, edge.size());
            let found = result.as_ref().map_err(AuditError::code);
            assert_eq!(found, if beyond { Ok(&false) } else { Err("tlog-tile-differs") }, "{id}");
        }
        if !beyond {
            let mut longer = crashed.clone();
            longer.get_mut(&id).unwrap().push(0);
            assert!(audit_leftover(&longer, id, edge.size()).is_err());
            longer.remove(&id);
            let error = audit_leftover(&longer, id, edge.size()).unwrap_err();
            assert_eq!(error.code(), "tlog-tile-missing");
        }
    }
}
