//! Every write may fail, fail but persist, or never return: afterwards nothing
//! acknowledged is lost and the store works again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use bailiwick_core::ledger::Kind;
use bailiwick_store::{Fault, Injected, Spent, Step, Store, StoreError, Tx};
use bailiwick_tlog::SeedSigner;
use support::*;

fn plain(store: &Store) -> Result<u64, StoreError> {
    append(store, event(Kind::Revoked)).map(|a| a.index)
}

/// Sequences what is there and audits the whole.
fn verifies(path: &Path) -> u64 {
    let report = audited(path);
    assert!(report.holds(), "{report:?}");
    report.size
}

#[test]
fn a_write_that_fails_left_nothing_and_the_next_one_works() {
    for step in [Step::Begin, Step::BeforeCommit] {
        for fault in [Fault::Busy, Fault::Full, Fault::Io, Fault::ReadOnly, Fault::Corrupt] {
            let f = fixture();
            plain(&f.store).unwrap();
            f.script.set(&[(step, Injected::Fail(fault))]);
            let error = plain(&f.store).unwrap_err();
            assert_eq!(error.fault(), Some(fault));
            assert_eq!(error.code(), fault.code());
            assert_eq!(plain(&f.store).unwrap(), 1);
            assert_eq!(verifies(&f.path), 2);
        }
    }
}

#[test]
fn a_write_that_fails_but_persists_is_there_and_the_next_one_continues_it() {
    let f = fixture();
    plain(&f.store).unwrap();
    f.script.set(&[(Step::AfterCommit, Injected::Fail(Fault::Io))]);
    let spend = f.store.write(|tx: &mut Tx<'_>| {
        tx.append(MAKER, &key(), event(Kind::Revoked))?;
        tx.spend_proof("a", &digest("1"), NOW)
    });
    assert_eq!(spend.wait().unwrap_err().code(), "store-io");
    assert_eq!(plain(&f.store).unwrap(), 2);
    let again = f.store.write(|tx: &mut Tx<'_>| tx.spend_proof("a", &digest("1"), NOW)).wait();
    assert_eq!(again, Ok(Spent::Already));
    assert_eq!(verifies(&f.path), 3);
}

#[test]
fn a_crash_around_the_commit_answers_nobody_and_loses_nothing_acknowledged() {
    for (step, survives) in [(Step::Begin, 0), (Step::BeforeCommit, 0), (Step::AfterCommit, 1)] {
        let f = fixture();
        for _ in 0..3 {
            plain(&f.store).unwrap();
        }
        f.script.set(&[(step, Injected::Crash)]);
        assert_eq!(plain(&f.store), Err(StoreError::Interrupted));
        assert_eq!(plain(&f.store), Err(StoreError::Interrupted));
        let store = reopen(&f.path);
        assert_eq!(plain(&store).unwrap(), 3 + survives);
        assert_eq!(verifies(&f.path), 4 + survives);
    }
}

#[test]
fn a_full_disk_fails_the_writes_keeps_the_rest_and_passes_without_a_restart() {
    let f = fixture();
    plain(&f.store).unwrap();
    f.script.set(&[(Step::Begin, Injected::MaxPages(1))]);
    let big = |store: &Store| append(store, secret_event(&"x".repeat(500_000)));
    let error = big(&f.store).unwrap_err();
    assert_eq!(error.code(), "store-full");
    assert!(error.remedy().contains("free space"));
    // Still full: a small write may or may not fit, but is never half there.
    let small = plain(&f.store);
    f.script.set(&[(Step::Begin, Injected::MaxPages(u32::MAX))]);
    let next = big(&f.store).unwrap().index;
    assert_eq!(next, if small.is_ok() { 2 } else { 1 });
    assert_eq!(verifies(&f.path), next + 1);
}

#[test]
fn of_writes_committed_together_each_is_whole_or_told_of_its_failure() {
    let f = fixture();
    f.script.set(&[(Step::Begin, Injected::MaxPages(1))]);
    // The first unit holds the writer while the others queue up behind it.
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let held = f.store.write(move |_: &mut Tx<'_>| {
        wait.recv().unwrap();
        Ok::<_, StoreError>(())
    });
    let waiting: Vec<_> = (0..40)
        .map(|i| {
            let e =
                if i == 20 { secret_event(&"y".repeat(3_000_000)) } else { event(Kind::Revoked) };
            f.store.write(move |tx: &mut Tx<'_>| tx.append(MAKER, &key(), e))
        })
        .collect();
    go.send(()).unwrap();
    // It may have been committed together with some of the others.
    let _ = held.wait();
    let acknowledged: Vec<_> = waiting.into_iter().filter_map(|w| w.wait().ok()).collect();
    let entries = f.store.read(|v| v.tail(0, 100)).unwrap();
    assert!(acknowledged.len() < 40);
    assert_eq!(entries.len(), acknowledged.len());
    for (entry, told) in entries.iter().zip(&acknowledged) {
        assert_eq!((entry.index, &entry.id), (told.index, &told.entry));
    }
    f.script.set(&[(Step::Begin, Injected::MaxPages(u32::MAX))]);
    plain(&f.store).unwrap();
    assert_eq!(verifies(&f.path), entries.len() as u64 + 1);
}

#[test]
fn a_data_dir_that_went_away_denies_writes_and_serves_again_when_it_is_back() {
    let f = fixture();
    plain(&f.store).unwrap();
    let away = f.path.with_extension("away");
    fs::rename(&f.path, &away).unwrap();
    assert_eq!(plain(&f.store).unwrap_err().code(), "store-missing");
    assert_eq!(f.store.read(|v| v.log_size()).unwrap_err().code(), "store-missing");
    // A file in its place is no data dir either, nor is an empty one made.
    fs::write(&f.path, b"in the way").unwrap();
    assert_eq!(plain(&f.store).unwrap_err().code(), "store-missing");
    fs::remove_file(&f.path).unwrap();
    fs::create_dir(&f.path).unwrap();
    assert_eq!(plain(&f.store).unwrap_err().code(), "store-missing");
    assert_eq!(fs::read_dir(&f.path).unwrap().count(), 0);
    fs::remove_dir(&f.path).unwrap();
    fs::rename(&away, &f.path).unwrap();
    assert_eq!(plain(&f.store).unwrap(), 1);
    assert_eq!(verifies(&f.path), 2);
}

/// Whether file modes bind the user who runs the tests; they do not bind root.
fn modes_bind(dir: &Path) -> bool {
    let probe = dir.join("probe");
    fs::write(&probe, b"").unwrap();
    fs::set_permissions(&probe, fs::Permissions::from_mode(0o400)).unwrap();
    fs::OpenOptions::new().write(true).open(&probe).is_err()
}

#[test]
fn a_read_only_data_dir_is_reported_as_such() {
    let f = fixture();
    plain(&f.store).unwrap();
    if modes_bind(f.path.parent().unwrap()) {
        let locked = f.path.with_extension("locked");
        fs::create_dir(&locked).unwrap();
        fs::set_permissions(&locked, fs::Permissions::from_mode(0o500)).unwrap();
        let error = Store::open(&locked, options()).unwrap_err();
        assert_eq!(error.code(), "store-read-only");
    }
    f.script.set(&[(Step::Begin, Injected::Fail(Fault::ReadOnly))]);
    assert_eq!(plain(&f.store).unwrap_err().code(), "store-read-only");
    assert_eq!(plain(&f.store).unwrap(), 1);
}

#[test]
fn a_damaged_database_is_reported_and_not_written_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("data");
    {
        let store = Store::open(&path, options()).unwrap();
        for _ in 0..50 {
            plain(&store).unwrap();
        }
    }
    let file = path.join("state.db");
    let mut bytes = fs::read(&file).unwrap();
    for page in bytes.chunks_mut(4096).skip(1) {
        page[..200].fill(0x5a);
    }
    fs::write(&file, &bytes).unwrap();
    let code = match Store::open(&path, options()) {
        Ok(store) => plain(&store).unwrap_err().code(),
        Err(e) => e.code(),
    };
    assert_eq!(code, "store-corrupt");
}

#[test]
fn another_writer_that_holds_on_is_reported_as_busy() {
    let f = fixture();
    plain(&f.store).unwrap();
    let raw = rusqlite::Connection::open(f.path.join("state.db")).unwrap();
    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(plain(&f.store).unwrap_err().code(), "store-busy");
    assert_eq!(f.store.read(|v| v.log_size()).unwrap(), 1);
    raw.execute_batch("ROLLBACK").unwrap();
    assert_eq!(plain(&f.store).unwrap(), 1);
}

#[test]
fn no_random_bytes_means_no_entry() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options();
    options.entropy = std::sync::Arc::new(|_: &mut [u8]| false);
    let store = Store::open(dir.path(), options).unwrap();
    assert_eq!(append(&store, secret_event("x")), Err(StoreError::Entropy));
    assert_eq!(store.read(|v| v.log_size()).unwrap(), 0);
}

/// What the child process of the next test does: it appends and prints each
/// index once it was acknowledged, until it is killed.
#[test]
fn child_that_appends_until_it_is_killed() {
    let Some(path) = std::env::var_os("STORE_TEST_CHILD") else {
        return;
    };
    let store = reopen(Path::new(&path));
    let log = SeedSigner::new("example.com/log", &[3; 32]).unwrap();
    let sequencer = store.clone();
    std::thread::spawn(move || while sequencer.sequence(&log).is_ok() {});
    let mut out = std::io::stdout();
    loop {
        let index = append(&store, secret_event("text")).unwrap().index;
        writeln!(out, "acknowledged {index}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn a_killed_process_loses_nothing_that_it_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..3u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_appends_until_it_is_killed", "--nocapture"])
            .env("STORE_TEST_CHILD", dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut last = None;
        while let Some(Ok(line)) = lines.next() {
            let Some((_, index)) = line.split_once("acknowledged ") else {
                continue;
            };
            last = index.parse::<u64>().ok();
            if last.is_some_and(|n| n % 40 == 13 + round) {
                child.kill().unwrap();
                break;
            }
        }
        child.wait().unwrap();
        // What was printed between the last line read and the kill counts too.
        for line in lines.map_while(Result::ok) {
            let index = line.split_once("acknowledged ").and_then(|(_, i)| i.parse().ok());
            last = index.or(last);
        }
        assert!(verifies(dir.path()) > last.unwrap());
    }
}
