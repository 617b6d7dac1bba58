//! The ledger's files: sequencing, proofs, and what an audit finds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bailiwick_core::crypto::{PublicKey, Signer as _, SigningKey};
use bailiwick_core::ledger::{Kind, MakerPosition};
use bailiwick_core::time::Timestamp;
use bailiwick_store::{
    AuditInput, Fault, Injected, PlaintextKey, Report, Row, Status, Step, Store, StoreError,
    Subject, Tx, audit,
};
use bailiwick_tlog::{RightEdge, SeedSigner, SignedCheckpoint};
use support::*;

fn log() -> SeedSigner {
    SeedSigner::new("example.com/log", &[3; 32]).unwrap()
}

/// Appends `n` entries with texts, one transaction.
fn fill(store: &Store, n: usize) {
    store
        .write(move |tx: &mut Tx<'_>| {
            for i in 0..n {
                tx.append(MAKER, &key(), secret_event(&format!("text {i}")))?;
            }
            Ok::<_, StoreError>(())
        })
        .wait()
        .unwrap();
}

fn tree(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(folder).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().to_string_lossy().into_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn copy(from: &Path, to: &Path) {
    for (name, bytes) in tree(from) {
        let path = to.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn trusted(maker: &str, _: Timestamp) -> Option<PublicKey> {
    (maker == MAKER).then(|| key().public_key())
}

fn check(dir: &Path, since: Option<&SignedCheckpoint>) -> Report {
    let log = log();
    audit(&AuditInput {
        dir,
        org: org(),
        log_key: log.key(),
        makers: &trusted,
        since,
        plaintext_key: Some(PlaintextKey::new([5; 32])),
        files_only: false,
    })
    .unwrap()
}

fn codes(report: &Report) -> Vec<&'static str> {
    report.findings.iter().map(|f| f.code).collect()
}

/// A data dir with `n` entries, sequenced, closed.
fn sequenced(n: usize) -> (tempfile::TempDir, SignedCheckpoint) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), options()).unwrap();
    fill(&store, n);
    let done = store.sequence(&log()).unwrap();
    assert_eq!(done.added, n as u64);
    (dir, done.checkpoint.unwrap())
}

/// Replaces tiles and checkpoint by those that `leaves` imply, signed with the
/// log's key: what a dishonest operator can do.
fn rebuild_tiles(dir: &Path, leaves: &[Vec<u8>]) {
    let ledger = dir.join("ledger");
    fs::remove_dir_all(&ledger).unwrap();
    let plan = RightEdge::empty().append(leaves).unwrap();
    for file in plan.files() {
        let path = ledger.join(file.id.to_string());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &file.bytes).unwrap();
    }
    let checkpoint = log().sign(&plan.checkpoint("example.com/log").unwrap()).unwrap();
    fs::write(ledger.join("checkpoint"), checkpoint.to_string()).unwrap();
}

fn leaves(dir: &Path) -> Vec<Vec<u8>> {
    let raw = rusqlite::Connection::open(dir.join("state.db")).unwrap();
    let mut query = raw.prepare("SELECT leaf FROM entries ORDER BY idx").unwrap();
    query.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn every_sequenced_entry_is_proven_and_growth_is_consistent() {
    let f = fixture();
    assert_eq!(f.store.sequence(&log()).unwrap().checkpoint, None);
    assert!(f.store.inclusion(0).unwrap().is_none());
    let signer = log();
    let mut earlier: Vec<SignedCheckpoint> = Vec::new();
    for n in [1, 4, 250, 2, 300] {
        fill(&f.store, n);
        let size = f.store.read(|v| v.log_size()).unwrap();
        assert!(f.store.inclusion(size - 1).unwrap().is_none());
        let done = f.store.sequence(&signer).unwrap();
        let now = done.checkpoint.unwrap().verify("example.com/log", signer.key()).unwrap();
        assert_eq!((done.added, now.size()), (n as u64, size));
        for old in &earlier {
            let (proof, newest) = f.store.consistency(old.unverified().size()).unwrap();
            assert_eq!(&newest, now.signed());
            proof.verify(old.unverified().root(), now.root()).unwrap();
        }
        earlier.push(now.signed().clone());
    }
    assert_eq!(f.store.sequence(&signer).unwrap().added, 0);
    for entry in f.store.read(|v| v.tail(0, 1000)).unwrap() {
        let proof = f.store.inclusion(entry.index).unwrap().unwrap();
        proof.verify("example.com/log", signer.key(), &entry.leaf_hash).unwrap();
    }
    for old in &earlier {
        assert!(check(&f.path, Some(old)).holds());
    }
}

#[test]
fn a_run_cut_off_anywhere_is_completed_with_the_same_bytes() {
    let base = tempfile::tempdir().unwrap();
    {
        let store = Store::open(base.path(), options()).unwrap();
        fill(&store, 200);
        store.sequence(&log()).unwrap();
        fill(&store, 100);
    }
    let whole = tempfile::tempdir().unwrap();
    copy(base.path(), whole.path());
    Store::open(whole.path(), options()).unwrap().sequence(&log()).unwrap();
    // Partial tiles that full ones have replaced may stay behind after a cut;
    // the audit compares them.
    let published = |dir: &Path| {
        let mut files = tree(&dir.join("ledger"));
        files.retain(|name, _| !name.starts_with("tile/0/000.p") && !name.contains("s/000.p"));
        files
    };
    let expected = published(whole.path());
    assert_eq!(expected.len(), 6);
    let mut cuts = 0;
    for n in 0.. {
        let mut reached = false;
        for (step, what) in [
            (Step::BeforeFile(n), Injected::Crash),
            (Step::AfterFile(n), Injected::Crash),
            (Step::BeforeFile(n), Injected::Fail(Fault::Full)),
            (Step::AfterFile(n), Injected::Fail(Fault::Io)),
        ] {
            let dir = tempfile::tempdir().unwrap();
            copy(base.path(), dir.path());
            let script = std::sync::Arc::new(Script::default());
            let options = bailiwick_store::Options { faults: script.clone(), ..options() };
            let store = Store::open(dir.path(), options).unwrap();
            script.set(&[(step, what)]);
            if store.sequence(&log()).is_err() {
                reached = true;
                cuts += 1;
                if what == Injected::Crash {
                    drop(store);
                    reopen(dir.path()).sequence(&log()).unwrap();
                } else {
                    // A fault that passes needs no restart.
                    store.sequence(&log()).unwrap();
                }
            }
            assert!(published(dir.path()) == expected, "{step:?} {what:?}");
            assert!(check(dir.path(), None).holds());
        }
        if !reached {
            break;
        }
    }
    assert!(cuts >= 20, "{cuts}");
}

#[test]
fn two_processes_sequence_one_after_the_other() {
    let f = fixture();
    let other = reopen(&f.path);
    let threads: Vec<_> = [f.store.clone(), other]
        .into_iter()
        .map(|store| {
            std::thread::spawn(move || {
                for _ in 0..5 {
                    fill(&store, 3);
                    store.sequence(&log()).unwrap();
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().unwrap());
    let report = check(&f.path, None);
    assert!(report.holds(), "{report:?}");
    assert_eq!((report.size, report.pending), (30, 0));
}

#[test]
fn only_the_standards_paths_are_read() {
    let f = fixture();
    fill(&f.store, 3);
    f.store.sequence(&log()).unwrap();
    let files = f.store.ledger();
    for there in ["checkpoint", "tile/0/000.p/3", "tile/entries/000.p/3"] {
        assert!(files.read(there).unwrap().is_some(), "{there}");
    }
    for bad in [
        "",
        "/etc/passwd",
        "../state.db",
        "tile/../../state.db",
        "tile/0/../../../state.db",
        "tile/0/000",
        "tile/0/000.p/0",
        "tile/0/000.p/03",
        "tile/00/000.p/3",
        "checkpoint/",
        "./checkpoint",
        "tile/entries/000.p/../000.p/3",
        "tile/0/%2e%2e",
        "sequence.lock",
        "tile\\0\\000.p\\3",
        "checkpoint\0",
    ] {
        assert_eq!(files.read(bad).unwrap(), None, "{bad}");
    }
}

#[test]
fn nothing_is_signed_that_does_not_continue_the_last_checkpoint() {
    let (dir, _) = sequenced(5);
    let old = tempfile::tempdir().unwrap();
    copy(dir.path(), old.path());
    {
        let store = reopen(dir.path());
        fill(&store, 3);
        store.sequence(&log()).unwrap();
    }
    let refused = |dir: &Path, code: &str| {
        let before = fs::read(dir.join("ledger/checkpoint")).ok();
        let store = reopen(dir);
        fill(&store, 1);
        let error = store.sequence(&log()).unwrap_err();
        assert_eq!(error.code(), code);
        assert!(!error.remedy().is_empty());
        assert_eq!(fs::read(dir.join("ledger/checkpoint")).ok(), before);
    };
    // The database was put back to an older copy.
    let behind = tempfile::tempdir().unwrap();
    copy(dir.path(), behind.path());
    fs::copy(old.path().join("state.db"), behind.path().join("state.db")).unwrap();
    refused(behind.path(), "ledger-state-behind");
    // The database is lost.
    let lost = tempfile::tempdir().unwrap();
    copy(&dir.path().join("ledger"), &lost.path().join("ledger"));
    refused(lost.path(), "ledger-state-behind");
    // A tile was damaged.
    let damaged = tempfile::tempdir().unwrap();
    copy(dir.path(), damaged.path());
    let tile = damaged.path().join("ledger/tile/0/000.p/8");
    let mut bytes = fs::read(&tile).unwrap();
    bytes[40] ^= 1;
    fs::write(&tile, bytes).unwrap();
    refused(damaged.path(), "tlog-root-differs");
    // Another log's checkpoint lies there.
    let strange = tempfile::tempdir().unwrap();
    copy(dir.path(), strange.path());
    let stranger = SeedSigner::new("example.com/other", &[4; 32]).unwrap();
    let plan = RightEdge::empty().append([b"x"]).unwrap();
    let note = stranger.sign(&plan.checkpoint("example.com/other").unwrap()).unwrap();
    fs::write(strange.path().join("ledger/checkpoint"), note.to_string()).unwrap();
    let error = reopen(strange.path()).sequence(&log()).unwrap_err();
    assert!(error.code().starts_with("tlog-"), "{}", error.code());
    // A lost file is published again, from the database.
    fs::remove_file(dir.path().join("ledger/checkpoint")).unwrap();
    assert_eq!(reopen(dir.path()).sequence(&log()).unwrap().added, 0);
    assert!(check(dir.path(), None).holds());
}

#[test]
fn a_whole_ledger_holds_and_counts_what_was_checked() {
    let (dir, kept) = sequenced(300);
    fill(&reopen(dir.path()), 2);
    let report = check(dir.path(), Some(&kept));
    assert!(report.holds(), "{report:?}");
    assert_eq!((report.size, report.pending, report.texts), (300, 2, 302));
    assert_eq!(report.makers, BTreeMap::from([(MAKER.to_owned(), 302)]));
    assert_eq!(report.since, Some(300));
}

#[test]
fn any_flipped_byte_of_the_ledgers_files_is_found() {
    let (dir, _) = sequenced(270);
    let store = reopen(dir.path());
    fill(&store, 3);
    store.sequence(&log()).unwrap();
    drop(store);
    let ledger = dir.path().join("ledger");
    for (name, bytes) in tree(&ledger) {
        let step = (bytes.len() / 15).max(1);
        for at in (0..bytes.len()).step_by(step) {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << (at % 8);
            fs::write(ledger.join(&name), &bad).unwrap();
            let report = check(dir.path(), None);
            assert!(!report.holds(), "{name} byte {at}");
        }
        fs::write(ledger.join(&name), &bytes).unwrap();
        fs::write(ledger.join(&name), &bytes[..bytes.len() - 1]).unwrap();
        assert!(!check(dir.path(), None).holds(), "{name} cut short");
        fs::write(ledger.join(&name), &bytes).unwrap();
    }
    assert!(check(dir.path(), None).holds());
}

#[test]
fn the_first_bad_entry_is_named() {
    let (dir, _) = sequenced(270);
    let bundle = dir.path().join("ledger/tile/entries/000");
    let bytes = fs::read(&bundle).unwrap();
    // The 7th entry, found by its length prefixes; then a later one as well.
    let mut at = 0;
    for _ in 0..7 {
        at += 2 + usize::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    }
    let mut bad = bytes.clone();
    bad[at + 50] ^= 1;
    bad[at + 5000] ^= 1;
    fs::write(&bundle, bad).unwrap();
    assert_eq!(check(dir.path(), None).first_bad_entry(), Some(7));
}

#[test]
fn an_edit_with_rebuilt_tiles_is_found_by_the_makers_signature() {
    let (dir, kept) = sequenced(20);
    let mut leaves = leaves(dir.path());
    let text = String::from_utf8(leaves[4].clone()).unwrap();
    leaves[4] = text.replace("task.created", "tool.changed").into_bytes();
    rebuild_tiles(dir.path(), &leaves);
    let raw = rusqlite::Connection::open(dir.path().join("state.db")).unwrap();
    raw.execute("UPDATE entries SET leaf = ?1 WHERE idx = 4", [&leaves[4]]).unwrap();
    drop(raw);
    let report = check(dir.path(), None);
    assert_eq!(report.first_bad_entry(), Some(4));
    assert!(codes(&report).contains(&"entry-bad-signature"), "{report:?}");
    // The next one no longer follows it, and an old checkpoint sees it too.
    assert!(report.findings.iter().any(|f| f.code == "maker-sequence-broken"));
    assert!(codes(&check(dir.path(), Some(&kept))).contains(&"tlog-root-differs"));
}

#[test]
fn a_removed_entry_is_found_by_its_makers_sequence() {
    let (dir, kept) = sequenced(20);
    let mut leaves = leaves(dir.path());
    leaves.remove(6);
    rebuild_tiles(dir.path(), &leaves);
    let raw = rusqlite::Connection::open(dir.path().join("state.db")).unwrap();
    raw.execute("DELETE FROM entries WHERE idx = 6", []).unwrap();
    raw.execute_batch(
        "UPDATE entries SET idx = -idx WHERE idx > 6;
         UPDATE entries SET idx = -idx - 1 WHERE idx < 0;",
    )
    .unwrap();
    drop(raw);
    let report = check(dir.path(), None);
    assert_eq!(report.first_bad_entry(), Some(6));
    assert_eq!(report.findings[0].code, "maker-sequence-broken");
    assert!(!check(dir.path(), Some(&kept)).holds());
}

#[test]
fn a_history_signed_anew_or_cut_short_is_found_by_a_checkpoint_kept_elsewhere() {
    let (dir, kept) = sequenced(12);
    // Whoever has every key can sign another history.
    let mut position = MakerPosition::START;
    let other: Vec<_> = (0..15)
        .map(|_| {
            let sealed = event(Kind::Revoked).seal(MAKER, position, &key()).unwrap();
            position = sealed.next;
            sealed.bytes
        })
        .collect();
    let all = leaves(dir.path());
    let files_only = |since| {
        let log = log();
        audit(&AuditInput {
            dir: dir.path(),
            org: org(),
            log_key: log.key(),
            makers: &trusted,
            since,
            plaintext_key: None,
            files_only: true,
        })
        .unwrap()
    };
    rebuild_tiles(dir.path(), &other);
    assert!(files_only(None).holds());
    assert_eq!(codes(&files_only(Some(&kept))), ["tlog-root-differs"]);
    rebuild_tiles(dir.path(), &all[..10]);
    assert!(files_only(None).holds());
    let report = files_only(Some(&kept));
    assert_eq!((codes(&report), report.first_bad_entry()), (vec!["tlog-shrunk"], Some(10)));
    // A checkpoint by somebody else proves nothing.
    let stranger = SeedSigner::new("example.com/log", &[9; 32]).unwrap();
    let forged = stranger.sign(kept.unverified()).unwrap();
    assert!(!files_only(Some(&forged)).holds());
    fs::remove_file(dir.path().join("ledger/checkpoint")).unwrap();
    assert_eq!(codes(&files_only(None)), ["checkpoint-missing"]);
}

#[test]
fn an_unknown_maker_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), options()).unwrap();
    fill(&store, 2);
    let stranger = SigningKey::from_seed(&[8; 32]).unwrap();
    store
        .write(move |tx: &mut Tx<'_>| tx.append("gateway:x", &stranger, event(Kind::Revoked)))
        .wait()
        .unwrap();
    let report = check(dir.path(), None);
    assert_eq!((codes(&report), report.pending), (vec!["entry-unknown-maker"], 3));
    assert_eq!(report.first_bad_entry(), Some(2));
}

#[test]
fn what_the_database_says_besides_the_leaves_is_checked_too() {
    let (dir, _) = sequenced(10);
    fill(&reopen(dir.path()), 2);
    for (sql, code, index) in [
        ("UPDATE entries SET leaf = x'00' WHERE idx = 3", "staging-differs", Some(3)),
        ("DELETE FROM entries WHERE idx = 3", "staging-missing", Some(3)),
        ("UPDATE entries SET decision = 'allow' WHERE idx = 2", "columns-differ", Some(2)),
        ("UPDATE entries SET leaf_hash = zeroblob(32) WHERE idx = 2", "columns-differ", Some(2)),
        ("UPDATE entries SET time = time + 1 WHERE idx = 11", "columns-differ", Some(11)),
        ("DELETE FROM entries WHERE idx = 10", "staging-missing", Some(10)),
        ("UPDATE entries SET leaf = x'7b7d' WHERE idx = 11", "entry-malformed", Some(11)),
        ("DELETE FROM entries WHERE idx = 11", "maker-position-differs", None),
        ("UPDATE makers SET next_seq = 3", "maker-position-differs", None),
        ("DELETE FROM sealed WHERE rowid = 5", "texts-missing", Some(4)),
        (
            "UPDATE sealed SET ciphertext = zeroblob(99) WHERE rowid = 5",
            "plaintext-unreadable",
            Some(4),
        ),
        ("PRAGMA user_version = 99", "schema-newer", None),
    ] {
        let copied = tempfile::tempdir().unwrap();
        copy(dir.path(), copied.path());
        let raw = rusqlite::Connection::open(copied.path().join("state.db")).unwrap();
        raw.execute_batch(sql).unwrap();
        drop(raw);
        let report = check(copied.path(), None);
        assert_eq!(report.findings.first().map(|f| f.code), Some(code), "{sql}: {report:?}");
        assert_eq!(report.first_bad_entry(), index, "{sql}");
    }
    let report = check(dir.path(), None);
    assert!(report.holds(), "{report:?}");
    fs::write(dir.path().join("ledger/tile/0/extra"), b"x").unwrap();
    assert_eq!(codes(&check(dir.path(), None)), ["unexpected-file"]);
}

#[test]
fn state_that_the_entries_do_not_make_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let principal;
    {
        let store = Store::open(dir.path(), options()).unwrap();
        let w = world(&store);
        principal = w.entries[0].entry.clone();
        let row = Row::Revocation {
            subject: Subject::Instance { id: w.instance.id.clone() },
            reason: "lost".into(),
        };
        record(&store, Kind::Revoked, row).unwrap();
        let row = Row::PrincipalStatus { alias: w.alias, status: Status::Suspended };
        record(&store, Kind::PrincipalAdded, row).unwrap();
        let (done, open) = (action(), action());
        append(&store, decided(&done, "allow")).unwrap();
        append(&store, decided(&open, "allow")).unwrap();
        append(&store, completed(&done, "ok")).unwrap();
        store.sequence(&log()).unwrap();
    }
    for tampered in [
        "DELETE FROM revocations",
        "UPDATE revocations SET key = 'agent:x', kind = 'agent'",
        "UPDATE instances SET holder = zeroblob(32)",
        "UPDATE principals SET status = 'active'",
        "UPDATE grants SET expires = expires + 1",
        "UPDATE pins SET status = 'changed'",
        "UPDATE delegations SET agent = 'agent:x'",
        "UPDATE actions SET outcome = 'error' WHERE outcome IS NOT NULL",
        "UPDATE actions SET completed = 1 WHERE completed IS NULL",
        "DELETE FROM derived",
        "INSERT INTO derived SELECT org, zeroblob(32), parent, root, depth, holder, seen, expires, entry FROM derived",
        "UPDATE checkpoint SET note = x'00'",
        "DELETE FROM checkpoint",
    ] {
        let copied = tempfile::tempdir().unwrap();
        copy(dir.path(), copied.path());
        let raw = rusqlite::Connection::open(copied.path().join("state.db")).unwrap();
        raw.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
        raw.execute_batch(tampered).unwrap();
        drop(raw);
        let report = check(copied.path(), None);
        assert_eq!(codes(&report), ["state-differs"], "{tampered}");
    }
    // An audit changes nothing, and erased texts are no difference.
    let before = tree(dir.path());
    assert!(check(dir.path(), None).holds());
    let after = tree(dir.path());
    assert!(before.iter().all(|(name, bytes)| after.get(name) == Some(bytes)));
    let store = reopen(dir.path());
    erase(&store, &[principal]).unwrap();
    store.sequence(&log()).unwrap();
    drop(store);
    let report = check(dir.path(), None);
    assert!(report.holds(), "{report:?}");
    // Texts that went without an entry that says so are a finding.
    let raw = rusqlite::Connection::open(dir.path().join("state.db")).unwrap();
    let gone = "UPDATE sealed SET key = NULL, ciphertext = NULL WHERE entry =
                (SELECT entry FROM sealed WHERE key IS NOT NULL LIMIT 1)";
    assert_eq!(raw.execute(gone, []).unwrap(), 1);
    drop(raw);
    assert_eq!(codes(&check(dir.path(), None)), ["erased-unrecorded"]);
}

/// An entry of a run.
fn of_run(run: &str) -> bailiwick_core::ledger::Event {
    let mut event = event(Kind::RunProgress);
    event.subjects.run = Some(run.to_owned());
    event
}

fn run_seq(store: &bailiwick_store::Store, index: u64) -> Option<u64> {
    let leaf = store.read(|v| v.entry(index)).unwrap().unwrap().leaf;
    let public = key().public_key();
    bailiwick_core::ledger::Entry::open(&leaf, &|_, _| Some(public)).unwrap().run_seq
}

#[test]
fn entries_of_a_run_are_numbered_whoever_made_them() {
    let f = support::fixture();
    let put = |event| support::append(&f.store, event).unwrap().index;
    let another = |event: bailiwick_core::ledger::Event| {
        let write = move |tx: &mut bailiwick_store::Tx<'_>| tx.append("gateway:1", &key(), event);
        f.store.write(write).wait().unwrap().index
    };
    let (a, b) = (put(of_run("a")), put(of_run("b")));
    let (of_none, again) = (put(event(Kind::RunProgress)), another(of_run("a")));
    let numbers = [a, b, of_none, again].map(|index| run_seq(&f.store, index));
    assert_eq!(numbers, [Some(1), Some(1), None, Some(2)]);
    // Counting again from the entries goes on where they ended.
    f.store.write(|tx: &mut bailiwick_store::Tx<'_>| tx.rebuild()).wait().unwrap();
    assert_eq!(run_seq(&f.store, put(of_run("a"))), Some(3));
}

#[test]
fn a_gap_in_the_numbers_of_a_runs_entries_is_found() {
    let f = support::fixture();
    let put = || support::append(&f.store, of_run("a")).unwrap().index;
    put();
    assert!(support::audited(&f.path).findings.is_empty());
    let raw = rusqlite::Connection::open(f.path.join("state.db")).unwrap();
    raw.execute("UPDATE run_entries SET entries = 9", []).unwrap();
    let skipped = put();
    assert_eq!(run_seq(&f.store, skipped), Some(10));
    let report = support::audited(&f.path);
    let broken = report.findings.iter().find(|f| f.code == "run-sequence-broken");
    assert_eq!(broken.map(|f| f.index), Some(Some(skipped)), "{:?}", report.findings);
}

#[test]
fn failures_that_were_looked_for_beyond_the_ledger_are_found() {
    let f = support::fixture();
    support::append(&f.store, of_run("a")).unwrap();
    f.store.write(|tx: &mut bailiwick_store::Tx<'_>| tx.keep_failures_upto(1)).wait().unwrap();
    assert!(support::audited(&f.path).findings.is_empty());
    let raw = rusqlite::Connection::open(f.path.join("state.db")).unwrap();
    raw.execute("UPDATE failures_upto SET upto = 1000000", []).unwrap();
    let report = support::audited(&f.path);
    let codes: Vec<_> = report.findings.iter().map(|f| f.code).collect();
    assert_eq!(codes, ["failures-ahead"]);
}
