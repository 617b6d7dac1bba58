//! Texts that are erased go; entries, proofs and everybody else's texts stay.

use crate::support::*;

use bailiwick_authority::{Erased, Erasure};
use bailiwick_core::ids::EntryId;
use bailiwick_store::{Status, StoreError, StoredEntry};

fn entries(world: &World) -> Vec<StoredEntry> {
    let read: Result<_, StoreError> = world.authority.store().read(|view| view.tail(0, 1000));
    read.unwrap()
}

fn texts(world: &World, entry: &EntryId) -> Option<usize> {
    let read: Result<_, StoreError> =
        world.authority.store().read(|view| view.read_plaintext(entry));
    read.unwrap().map(|texts| texts.len())
}

#[test]
fn a_principal_that_may_still_grant_keeps_its_texts() {
    let world = World::desk();
    world.delegate();
    let before = entries(&world);
    let all = Erasure::Principal(principal("user:142"));
    assert_eq!(code(world.authority.erase(&all)), "still-active");
    let nobody = Erasure::Principal(principal("user:nobody"));
    assert_eq!(code(world.authority.erase(&nobody)), "unknown-name");
    assert_eq!(entries(&world), before);
}

#[test]
fn everything_about_a_principal_goes_with_its_name_and_nobody_elses() {
    let world = World::desk();
    world.delegate();
    let a = &world.authority;
    let alias = a.principal(&principal("user:142")).unwrap().row.alias;
    let before = entries(&world);
    a.principal_status(&principal("user:142"), Status::Suspended).unwrap();
    let erased = a.erase(&Erasure::Principal(principal("user:142"))).unwrap();
    // Registered, task, grant, delegation: each has texts.
    assert_eq!(erased, Erased { entries: 4 });
    for entry in &before {
        let about = entry.subjects.principal.as_deref() == Some(alias.as_str());
        let kept = texts(&world, &entry.id);
        assert!(!about || kept.is_none(), "{}", entry.kind);
    }
    let others = before.iter().filter(|e| e.kind == "principal.added");
    assert_eq!(others.filter(|e| texts(&world, &e.id).is_some()).count(), 2);
    // The name is gone from the registry; the entries are as they were.
    assert_eq!(code(a.principal(&principal("user:142"))), "unknown-name");
    let after = entries(&world);
    assert_eq!(after[..before.len()], before[..]);
    let said = after.iter().filter(|e| e.kind == "plaintext.erased").count();
    assert_eq!(said, 2, "the history, then the name");
}

#[test]
fn one_entry_is_erased_once() {
    let world = World::desk();
    world.delegate();
    let task = entries(&world).into_iter().find(|e| e.kind == "task.created").unwrap();
    let one = Erasure::Entry(task.id.clone());
    assert_eq!(world.authority.erase(&one), Ok(Erased { entries: 1 }));
    assert_eq!(texts(&world, &task.id), None);
    let size = world.log_size();
    assert_eq!(world.authority.erase(&one), Ok(Erased { entries: 0 }));
    assert_eq!(world.log_size(), size);
    let unknown = Erasure::Entry(EntryId::mint(world.now(), [9; 10]));
    assert_eq!(code(world.authority.erase(&unknown)), "unknown-name");
}
