//! Faults of the machine while the gateway serves: what cannot be recorded is
//! not done, what was acknowledged is not lost, and service comes back by
//! itself when the fault is mended.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use bailiwick_core::crypto::Signer as _;
use bailiwick_core::ids::{EntryId, OrgId};
use bailiwick_core::json::Object;
use bailiwick_core::ledger::{Event, Kind, Subjects};
use bailiwick_store::{Options, PlaintextKey, Store, StoreError};
use bailiwick_testkit::World;
use bailiwick_testkit::expect::decision_id;
use bailiwick_testkit::http::Response;
use bailiwick_testkit::present::{Chain, key_file, now};
use serde_json::{Value, json};

use crate::EXE;

fn call(world: &World, chain: &Chain) -> Response {
    world.call(chain, "get_ticket", json!({"ticket_id": 8821}))
}

fn code(answer: &Response) -> String {
    answer.json()["error"]["data"]["code"].as_str().unwrap_or_default().to_owned()
}

/// Calls until something is denied; returns the decisions that were allowed
/// before, and the denial.
fn until_denied(world: &World, chain: &Chain) -> (Vec<String>, Response) {
    let mut allowed = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < deadline, "{} calls were allowed", allowed.len());
        let answer = call(world, chain);
        if answer.json()["result"].is_object() {
            allowed.push(decision_id(&answer.json()).unwrap());
        } else {
            return (allowed, answer);
        }
    }
}

fn until_allowed(world: &World, chain: &Chain) -> String {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let answer = call(world, chain);
        if answer.json()["result"].is_object() {
            return decision_id(&answer.json()).unwrap();
        }
        assert!(Instant::now() < deadline, "it does not recover: {}", answer.text());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The ledger holds, and has an allow for everything that was acknowledged and
/// for everything that the desk executed.
fn assert_nothing_lost(world: &World, acknowledged: &[String]) {
    let report = world.ok(&["audit", "verify"]);
    assert_eq!(report["holds"], true, "{report}");
    let answer = world.ok(&["audit", "query", "--decision", "allow", "--limit", "1000"]);
    let actions: Vec<&Value> = answer["actions"].as_array().unwrap().iter().collect();
    for id in acknowledged {
        assert!(actions.iter().any(|a| a["action"] == id.as_str()), "{id} was lost");
    }
    assert!(world.executed().len() <= actions.len(), "executed without a record");
}

/// While the disk is full nothing is done, and afterwards all is well.
fn full_disk(world: &mut World, fill: impl FnOnce(&World), mend: impl FnOnce(&World)) {
    let chain = world.chain();
    let mut acknowledged = vec![until_allowed(world, &chain)];
    fill(world);
    let (more, denied) = until_denied(world, &chain);
    acknowledged.extend(more);
    assert_eq!(code(&denied), "record-unavailable", "{denied:?}");
    let executed = world.executed().len();
    for _ in 0..5 {
        let answer = call(world, &chain);
        assert_eq!(code(&answer), "record-unavailable", "{}", answer.text());
    }
    assert_eq!(world.executed().len(), executed, "nothing reaches the desk");
    assert_eq!(executed, acknowledged.len(), "what was executed was acknowledged");
    mend(world);
    acknowledged.push(until_allowed(world, &chain));
    world.stop_serve();
    world.start_serve();
    acknowledged.push(until_allowed(world, &chain));
    assert_nothing_lost(world, &acknowledged);
}

#[test]
fn writes_that_fail_deny_and_the_gateway_recovers() {
    let mut world = World::new(EXE);
    world.stop_serve();
    let mut command = world.serve_under(&["env", "--ignore-signal=XFSZ"]);
    world.start_serve_as(&mut command);
    // No file grows any more, the log of the process included.
    full_disk(
        &mut world,
        |world| file_limit(world, "4096"),
        |world| {
            file_limit(world, "unlimited");
        },
    );
}

/// Bounds the size of files that the serving process may write.
fn file_limit(world: &World, bytes: &str) {
    let pid = world.serve.as_ref().unwrap().pid().to_string();
    let limit = format!("--fsize={bytes}:unlimited");
    let status = Command::new("prlimit").args(["--pid", &pid, &limit]).status().unwrap();
    assert!(status.success(), "the limit is set");
}

/// A small file system of its own, where that is permitted.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=6m,mode=0700", "tmpfs"]).arg(at);
        let mounted = mount.output().is_ok_and(|o| o.status.success());
        mounted.then(|| Self(at.to_owned()))
    }

    fn remount(&self, option: &str) {
        let option = format!("remount,{option}");
        let status = Command::new("mount").args(["-o", &option]).arg(&self.0).status().unwrap();
        assert!(status.success(), "the small disk is remounted");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Moves the data dir of a stopped installation onto a small disk.
fn onto_small_disk(world: &World) -> Option<SmallDisk> {
    let aside = world.base.path().join("aside");
    fs::rename(&world.data, &aside).unwrap();
    fs::create_dir(&world.data).unwrap();
    let Some(disk) = SmallDisk::mount(&world.data) else {
        fs::remove_dir(&world.data).unwrap();
        fs::rename(&aside, &world.data).unwrap();
        return None;
    };
    let source = format!("{}/.", aside.display());
    let copied = Command::new("cp").arg("-a").arg(source).arg(&world.data).status().unwrap();
    assert!(copied.success(), "the data dir is copied");
    Some(disk)
}

#[test]
fn a_full_disk_denies_and_the_gateway_recovers() {
    let mut world = World::new(EXE);
    world.stop_serve();
    // Without the right to mount there is no small disk, and the limit of the
    // test above, on the size of files, is all that can be set.
    let disk = onto_small_disk(&world);
    if disk.is_none() {
        let mut command = world.serve_under(&["env", "--ignore-signal=XFSZ"]);
        world.start_serve_as(&mut command);
        full_disk(
            &mut world,
            |world| file_limit(world, "65536"),
            |world| {
                file_limit(world, "unlimited");
            },
        );
        return world.stop_serve();
    }
    world.start_serve();
    let ballast = |world: &World| world.data.join("ballast");
    full_disk(
        &mut world,
        |world| {
            let mut file = fs::File::create(ballast(world)).unwrap();
            for size in [65536, 1024, 1] {
                while std::io::Write::write_all(&mut file, &vec![0; size]).is_ok() {}
            }
        },
        |world| fs::remove_file(ballast(world)).unwrap(),
    );
    world.stop_serve();
}

#[test]
fn serve_does_not_start_on_a_read_only_data_dir_and_commands_say_why() {
    let mut world = World::new(EXE);
    let chain = world.chain();
    let acknowledged = until_allowed(&world, &chain);
    world.stop_serve();
    let disk = onto_small_disk(&world);
    let writable = |yes: bool| match &disk {
        Some(disk) => disk.remount(if yes { "rw" } else { "ro" }),
        None => {
            // Whoever may not mount is not root: modes bind.
            let mode = if yes { "u+w" } else { "a-w" };
            let args = ["-R", mode];
            let status = Command::new("chmod").args(args).arg(&world.data).status().unwrap();
            assert!(status.success(), "the modes are set");
        }
    };
    writable(false);
    for args in [&["serve"][..], &["principal", "add", "user:new"]] {
        let answer = world.run(args);
        assert_eq!(answer.status, 3, "{args:?}: {}{}", answer.out, answer.err);
        assert!(!answer.code().is_empty(), "{}", answer.out);
        assert!(!answer.err.contains("panicked"), "{}", answer.err);
    }
    writable(true);
    world.start_serve();
    let again = until_allowed(&world, &chain);
    assert_nothing_lost(&world, &[acknowledged, again]);
    world.stop_serve();
}

#[test]
fn a_state_that_goes_away_denies_until_it_is_back() {
    let mut world = World::new(EXE);
    let chain = world.chain();
    let mut acknowledged = vec![until_allowed(&world, &chain)];
    let (state, away) = (world.data.join("state.db"), world.data.join("state.away"));
    // Gone: a write to the removed file would be acknowledged and lost.
    fs::rename(&state, &away).unwrap();
    for _ in 0..3 {
        let answer = call(&world, &chain);
        assert_ne!(answer.json()["error"], Value::Null, "{}", answer.text());
    }
    assert_eq!(world.executed().len(), 1);
    fs::rename(&away, &state).unwrap();
    acknowledged.push(until_allowed(&world, &chain));
    // Another file in its place.
    fs::rename(&state, &away).unwrap();
    fs::copy(&away, &state).unwrap();
    let answer = call(&world, &chain);
    assert_ne!(answer.json()["error"], Value::Null, "{}", answer.text());
    assert_eq!(world.executed().len(), 2);
    fs::rename(&away, &state).unwrap();
    acknowledged.push(until_allowed(&world, &chain));
    world.stop_serve();
    world.start_serve();
    assert_nothing_lost(&world, &acknowledged);
}

#[test]
fn a_ledger_folder_that_cannot_be_written_delays_publishing_and_loses_nothing() {
    let mut world = World::new(EXE);
    let chain = world.chain();
    let mut acknowledged = vec![until_allowed(&world, &chain)];
    let (ledger, away) = (world.data.join("ledger"), world.data.join("ledger.away"));
    std::thread::sleep(Duration::from_millis(600));
    fs::rename(&ledger, &away).unwrap();
    fs::write(&ledger, "in the way").unwrap();
    // Decisions are durable in the state; only publishing waits.
    acknowledged.push(until_allowed(&world, &chain));
    std::thread::sleep(Duration::from_millis(700));
    acknowledged.push(until_allowed(&world, &chain));
    let report = world.run(&["audit", "verify"]);
    assert_ne!(report.status, 0, "{}", report.out);
    fs::remove_file(&ledger).unwrap();
    fs::rename(&away, &ledger).unwrap();
    acknowledged.push(until_allowed(&world, &chain));
    let deadline = Instant::now() + Duration::from_secs(10);
    while world.ok(&["audit", "verify"])["pending"] != 0 {
        assert!(Instant::now() < deadline, "publishing goes on");
        std::thread::sleep(Duration::from_millis(100));
    }
    world.stop_serve();
    assert_nothing_lost(&world, &acknowledged);
}

#[test]
fn a_state_that_somebody_else_holds_denies_until_it_is_let_go() {
    let mut world = World::new(EXE);
    let chain = world.chain();
    let first = until_allowed(&world, &chain);
    let other = rusqlite::Connection::open(world.data.join("state.db")).unwrap();
    other.busy_timeout(Duration::from_secs(5)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let started = Instant::now();
    let answer = call(&world, &chain);
    assert_eq!(code(&answer), "record-unavailable", "{}", answer.text());
    assert!(started.elapsed() < Duration::from_secs(45), "{:?}", started.elapsed());
    assert_eq!(world.executed().len(), 1);
    other.execute_batch("ROLLBACK").unwrap();
    drop(other);
    let second = until_allowed(&world, &chain);
    assert_nothing_lost(&world, &[first, second]);
    world.stop_serve();
}

#[test]
fn a_clock_stepped_back_denies_until_it_has_caught_up() {
    let world = World::new(EXE);
    let chain = world.chain();
    until_allowed(&world, &chain);
    // To the gateway a durable entry of the future and a clock that was set
    // back are the same thing.
    let key = key_file(&world.data.join("keys/gateway.jwk"));
    let maker = format!("gateway:{}", key.public_key().thumbprint());
    let org = OrgId::parse("default").unwrap();
    let text = fs::read_to_string(world.data.join("keys/plaintext.jwk")).unwrap();
    let jwk: Value = serde_json::from_str(&text).unwrap();
    let seed = bailiwick_core::crypto::from_base64url(jwk["d"].as_str().unwrap()).unwrap();
    let entropy = |out: &mut [u8]| getrandom::fill(out).is_ok();
    let plaintext = PlaintextKey::new(seed.try_into().unwrap());
    let options = Options::new(org.clone(), plaintext, std::sync::Arc::new(entropy));
    let append = |ahead: i64| {
        let (maker, org) = (maker.clone(), org.clone());
        let key = key_file(&world.data.join("keys/gateway.jwk"));
        let time = now().plus_seconds(ahead);
        let event = Event {
            id: EntryId::mint(time, [7; 10]),
            org,
            time,
            kind: Kind::PlaintextRead,
            subjects: Subjects::default(),
            body: Object::new().with("by", "operator"),
            disclosures: Vec::new(),
        };
        let store = Store::open(&world.data, options.clone()).unwrap();
        let written = store.write(move |tx| -> Result<(), StoreError> {
            tx.append(&maker, &key, event).map(|_| ())
        });
        written.wait().unwrap();
    };
    append(4);
    let answer = call(&world, &chain);
    world.assert_not_authenticated(&answer, "clock-behind");
    let doctor = world.run(&["doctor"]);
    assert_eq!(doctor.status, 1, "{}", doctor.out);
    assert!(doctor.out.contains("clock-behind"), "{}", doctor.out);
    // A caller without a valid chain learns nothing of it.
    let executed = world.executed().len();
    assert_eq!(executed, 1);
    until_allowed(&world, &chain);
    assert_eq!(world.ok(&["audit", "verify"])["holds"], true);
}
