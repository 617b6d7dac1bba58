//! Search with bounded work: what it finds, where it goes on, and that times
//! narrow it without losing entries whose clock was a little off.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use bailiwick_core::ledger::Kind;
use bailiwick_store::{Filter, Found, Store};
use support::*;

/// Calls, a second apart; every tenth is denied.
fn filled(store: &Store, n: i64) {
    for nth in 0..n {
        let mut event = decided(&action(), if nth % 10 == 0 { "deny" } else { "allow" });
        event.time = NOW.plus_seconds(nth);
        append(store, event).unwrap();
    }
}

fn indices(found: &Found) -> Vec<u64> {
    found.entries.iter().map(|entry| entry.index).collect()
}

#[test]
fn several_conditions_are_looked_for_window_by_window_until_the_beginning() {
    let f = fixture();
    filled(&f.store, 50);
    let text = |text: &str| Some(text.to_owned());
    let rare = |before| Filter {
        agent: text("agent:runner"),
        decision: text("deny"),
        before,
        limit: 3,
        ..Filter::default()
    };
    let search = |before| f.store.read(|v| v.search(&rare(before), 15)).unwrap();
    let (mut before, mut all, mut steps) = (None, Vec::new(), 0);
    loop {
        let found = search(before);
        all.extend(indices(&found));
        steps += 1;
        match found.looked_to {
            Some(index) => before = Some(index),
            None => break,
        }
    }
    assert_eq!((all.as_slice(), steps), (&[40, 30, 20, 10, 0][..], 4));
    // One condition walks its own index: no window.
    let one = Filter { decision: text("deny"), limit: 9, ..Filter::default() };
    let found = f.store.read(|v| v.search(&one, 15)).unwrap();
    assert_eq!((indices(&found), found.looked_to), (vec![40, 30, 20, 10, 0], None));
    // A page that is full goes on after its last entry, not after the window.
    let full = Filter { limit: 1, ..rare(None) };
    let found = f.store.read(|v| v.search(&full, 15)).unwrap();
    assert_eq!((indices(&found), found.looked_to), (vec![40], None));
}

#[test]
fn times_narrow_a_search_with_or_without_other_conditions() {
    let f = fixture();
    filled(&f.store, 30);
    let (since, until) = (Some(NOW.plus_seconds(5)), Some(NOW.plus_seconds(12)));
    let kind = Some(Kind::ActionDecided);
    for filter in [
        Filter { since, until, limit: 99, ..Filter::default() },
        Filter { since, until, kind, limit: 99, ..Filter::default() },
    ] {
        let found = f.store.read(|v| v.search(&filter, 1_000)).unwrap();
        assert_eq!(indices(&found), [11, 10, 9, 8, 7, 6, 5], "{filter:?}");
        let rest = Filter { before: Some(7), ..filter };
        let found = f.store.read(|v| v.search(&rest, 1_000)).unwrap();
        assert_eq!(indices(&found), [6, 5]);
    }
    // An entry that stands elsewhere than its time says is found all the same.
    let mut early = decided(&action(), "allow");
    early.time = NOW.plus_seconds(6);
    append(&f.store, early).unwrap();
    let filter = Filter { since, until, limit: 99, ..Filter::default() };
    let found = f.store.read(|v| v.search(&filter, 1_000)).unwrap();
    assert_eq!(indices(&found), [30, 11, 10, 9, 8, 7, 6, 5]);
    // Times that nothing lies between.
    let none = Filter { since: Some(NOW.plus_seconds(900)), limit: 9, ..Filter::default() };
    assert_eq!(f.store.read(|v| v.search(&none, 1_000)).unwrap(), Found::default());
    let none = Filter { until: Some(NOW.plus_seconds(-9)), limit: 9, ..Filter::default() };
    assert_eq!(f.store.read(|v| v.search(&none, 1_000)).unwrap(), Found::default());
}
