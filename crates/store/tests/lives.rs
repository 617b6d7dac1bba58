//! Lives: whose calls are still under way, whoever looks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use bailiwick_store::{Store, StoreError};
use support::*;

#[test]
fn only_the_calls_of_a_process_that_lives_no_more_are_abandoned() {
    let f = fixture();
    let (dead, living) = (reopen(&f.path), reopen(&f.path));
    let abandoned = |store: &Store| -> Vec<_> {
        let open = store.abandoned_actions().unwrap();
        open.into_iter().map(|open| open.action).collect()
    };
    let alone = std::cell::Cell::new(0);
    let join = |store: &Store| {
        let counted = || {
            alone.set(alone.get() + 1);
            Ok::<_, StoreError>(())
        };
        store.join(counted).unwrap()
    };
    let (of_before, of_dead, of_living, done) = (action(), action(), action(), action());
    append(&f.store, decided(&of_before, "allow")).unwrap();
    let (dying, _stays) = (join(&dead), join(&living));
    assert_eq!(alone.get(), 1, "the second is not alone");
    append(&dead, decided(&of_dead, "allow")).unwrap();
    append(&dead, decided(&done, "allow")).unwrap();
    append(&dead, completed(&done, "ok")).unwrap();
    append(&living, decided(&of_living, "allow")).unwrap();
    assert!(abandoned(&f.store).is_empty(), "both live");
    drop(dying);
    assert_eq!(abandoned(&f.store), std::slice::from_ref(&of_dead));
    // Also for whoever comes beside, and for the one that lives.
    assert_eq!(abandoned(&living), std::slice::from_ref(&of_dead));
    append(&living, completed(&of_dead, "unknown")).unwrap();
    assert!(abandoned(&f.store).is_empty());
    let open = f.store.read(|v| v.unfinished_actions()).unwrap();
    let open: Vec<_> = open.into_iter().map(|open| (open.action, open.life.is_some())).collect();
    assert_eq!(open, [(of_before, false), (of_living, true)]);
    // A handle decides in one life only, so that no call could name the wrong one.
    assert_eq!(living.join(|| Ok::<_, StoreError>(())).unwrap_err().code(), "already-running");
    // Which process has a call under way is no projection: an audit does not miss it.
    let report = audited(&f.path);
    assert!(report.holds(), "{report:?}");
}

#[test]
fn a_note_that_nobody_holds_is_removed_and_one_of_another_kind_stays() {
    let f = fixture();
    let lives = f.path.join("lives");
    let join = |store: &Store| store.join(|| Ok::<_, StoreError>(())).unwrap();
    let joined = join(&f.store);
    let notes = || {
        let names = std::fs::read_dir(&lives).unwrap().map(|note| note.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    };
    let [own] = notes().try_into().unwrap();
    // As a killed process leaves it, and the note of an instance.
    for left in ["AAAA.gateway", "ZZZZ.life"] {
        std::fs::write(lives.join(left), "").unwrap();
    }
    assert!(f.store.abandoned_actions().unwrap().is_empty());
    let mut expected = [own, "ZZZZ.life".to_owned()];
    expected.sort();
    assert_eq!(notes(), expected);
    drop(joined);
    assert_eq!(notes(), ["ZZZZ.life"]);
}
