//! The form of the ledger, frozen: one golden entry per kind at least.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests fail by panicking and read files"
)]

mod golden;

use std::collections::BTreeSet;

use bailiwick_core::ledger::{Entry, EntryError, Kind, MAX_ENTRY_BYTES};
use golden::{names, read, shown, strict};

#[test]
fn every_kind_has_a_golden_entry() {
    for kind in Kind::ALL {
        let golden = read(kind.as_str());
        assert_eq!(golden.kind, kind.as_str());
    }
    let known: BTreeSet<&str> = Kind::ALL.iter().map(|k| k.as_str()).collect();
    for name in names() {
        let kind = name.split_once('+').map_or(name.as_str(), |(kind, _)| kind);
        assert!(known.contains(kind), "`{name}` is of no kind that there is");
        assert_eq!(read(&name).kind, kind);
    }
}

#[test]
fn every_golden_entry_opens_under_its_maker_and_nobody_else() {
    for name in names() {
        let golden = read(&name);
        assert!(golden.leaf.len() <= MAX_ENTRY_BYTES, "{name}");
        let key_of = |maker: &str, _| (maker == golden.maker).then(|| golden.public_key());
        let entry = Entry::open(golden.leaf.as_bytes(), &key_of)
            .unwrap_or_else(|e| panic!("`{name}` does not open: {e}"));
        assert_eq!(entry.kind.as_str(), golden.kind);
        assert_eq!(entry.maker, golden.maker);
        let stranger = Entry::open(golden.leaf.as_bytes(), &|_, _| None);
        assert_eq!(stranger.unwrap_err(), EntryError::UnknownMaker);
        // What a person reads there is what was signed.
        let (leaf, entry) = shown(&name);
        assert_eq!(strict(leaf.as_bytes()), entry, "{name}");
    }
}

#[test]
fn every_commitment_of_a_golden_entry_is_disclosed_and_nothing_else_is() {
    for name in names() {
        let golden = read(&name);
        let key_of = |_: &str, _| Some(golden.public_key());
        let entry = Entry::open(golden.leaf.as_bytes(), &key_of).unwrap();
        for (field, disclosure) in &golden.disclosures {
            assert!(entry.discloses(field, disclosure), "`{field}` of `{name}`");
            let other = bailiwick_core::ledger::Disclosure {
                salt: [0; 32],
                value: disclosure.value.clone(),
            };
            assert!(!entry.discloses(field, &other), "`{field}` of `{name}` has no salt");
        }
        let committed: BTreeSet<&str> = entry.commits.iter().map(|(f, _)| f.as_str()).collect();
        let disclosed: BTreeSet<&str> =
            golden.disclosures.iter().map(|(f, _)| f.as_str()).collect();
        assert_eq!(committed, disclosed, "{name}");
    }
}
