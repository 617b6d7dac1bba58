//! Evidence of real calls: made from the data dir by one command, verified by
//! another that has neither data dir nor network, and never by its own word.

use std::fs;
use std::path::Path;

use bailiwick_evidence::{Trust, verify};
use bailiwick_testkit::World;
use bailiwick_testkit::present::{Call, now};
use bailiwick_testkit::world::{PRINCIPAL, READER, RUNNER};
use serde_json::{Value, json};

use crate::EXE;

fn ticket() -> Value {
    json!({"ticket_id": 8821})
}

/// Writes the bundle of an action and returns its path.
fn bundle(world: &World, action: &str) -> String {
    let path = world.path(&format!("evidence-{action}-{}.json", now().millis()));
    world.ok(&["evidence", "get", action, "-o", &path]);
    path
}

fn trust(world: &World) -> String {
    let path = world.path("trust.json");
    if !Path::new(&path).exists() {
        world.ok(&["keys", "trust", "-o", &path]);
    }
    path
}

/// What `evidence verify` says where there is no data dir.
fn verdict(world: &World, bundle: &str) -> (i32, Value) {
    let trust = trust(world);
    let nowhere = world.base.path().join("nowhere");
    let answer = world.run_on(&nowhere, &["evidence", "verify", bundle, "--trust", &trust]);
    (answer.status, answer.json())
}

fn assert_proves(world: &World, bundle: &str) -> Value {
    let (status, verdict) = verdict(world, bundle);
    assert_eq!(status, 0, "{verdict}");
    verdict
}

#[test]
fn an_allowed_call_is_proved_offline_from_the_grant_to_the_outcome() {
    let mut world = World::new(EXE);
    let chain = world.chain();
    let id = world.assert_allowed(&world.call(&chain, "get_ticket", ticket()), "ok");
    let file = bundle(&world, &id);
    world.stop_serve();
    let verdict = assert_proves(&world, &file);
    let text = verdict.to_string();
    for fact in [PRINCIPAL, RUNNER, "Purpose-Canary", "get_ticket", "8821", "allow", "\"ok\""] {
        assert!(text.contains(fact), "the verdict names {fact}: {verdict}");
    }
    assert_eq!(verdict["proven"]["authority"]["assurance"], "arguments", "{verdict}");
    assert_eq!(verdict["proven"]["authority"]["guarantee"], "key", "{verdict}");
    // A checkpoint that an outsider kept makes it stronger, a foreign one is
    // no part of this log.
    let kept = world.path("kept");
    world.ok(&["audit", "checkpoint", "--save", &kept]);
    let trust = trust(&world);
    let args = ["evidence", "verify", &file, "--trust", &trust, "--kept", &kept];
    assert_eq!(world.run(&args).status, 0, "{}", world.run(&args).out);
}

#[test]
fn without_a_trust_file_nothing_is_verified_and_another_one_proves_nothing() {
    let world = World::new(EXE);
    let chain = world.chain();
    let id = world.assert_allowed(&world.call(&chain, "get_ticket", ticket()), "ok");
    let file = bundle(&world, &id);
    let without = world.run(&["evidence", "verify", &file]);
    assert_eq!((without.status, without.code().as_str()), (2, "no-trust-file"), "{}", without.out);
    let other = World::new(EXE);
    let theirs = trust(&other);
    let foreign = world.run(&["evidence", "verify", &file, "--trust", &theirs]);
    assert_eq!(foreign.status, 1, "{}", foreign.out);
    // A bundle is never written over, and nothing is made up.
    assert_eq!(world.run(&["evidence", "get", &id, "-o", &file]).status, 3);
    let unknown = "01890000-0000-7000-8000-000000000000";
    let missing = world.run(&["evidence", "get", unknown, "-o", &world.path("x.json")]);
    assert_eq!(missing.status, 4, "{}", missing.out);
    assert!(!Path::new(&world.path("x.json")).exists());
}

#[test]
fn no_byte_of_a_bundle_can_be_changed() {
    let world = World::new(EXE);
    let chain = world.chain();
    let id = world.assert_allowed(&world.call(&chain, "get_ticket", ticket()), "ok");
    let file = bundle(&world, &id);
    assert_proves(&world, &file);
    let bytes = fs::read(&file).unwrap();
    let trusted = Trust::parse(&fs::read(trust(&world)).unwrap()).unwrap();
    assert!(verify(&bytes, &trusted, &[]).holds());
    // The function that the command calls, at every 97th byte, in two ways.
    let mut tried = 0;
    for at in (0..bytes.len()).step_by(97) {
        for flip in [0x01, 0x20] {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            let holds = verify(&changed, &trusted, &[]).holds();
            let near = String::from_utf8_lossy(&bytes[at.saturating_sub(20)..at + 1]).into_owned();
            assert!(!holds, "byte {at} changed by {flip:#x}, after `{near}`");
            tried += 1;
        }
    }
    assert!(tried > 300, "{tried}");
    // The command itself, now and then.
    let changed_file = world.path("changed.json");
    for at in (11..bytes.len()).step_by(bytes.len() / 12) {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        fs::write(&changed_file, changed).unwrap();
        let (status, verdict) = verdict(&world, &changed_file);
        assert_eq!(status, 1, "byte {at}: {verdict}");
    }
    for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&changed_file, &bytes[..cut]).unwrap();
        assert_eq!(verdict(&world, &changed_file).0, 1, "cut at {cut}");
    }
}

#[test]
fn a_denied_call_has_evidence_too() {
    let world = World::new(EXE);
    let chain = world.chain();
    let answer = world.call(&chain, "get_ticket", json!({"ticket_id": 9000}));
    let record = world.assert_denied(&answer, "argument-not-delegated");
    let verdict = assert_proves(&world, &bundle(&world, record["action"].as_str().unwrap()));
    let text = verdict.to_string();
    for fact in ["deny", "argument-not-delegated", PRINCIPAL, "\"recomputed\":true"] {
        assert!(text.contains(fact), "the verdict names {fact}: {verdict}");
    }
    // Of a stranger only the refusal is proved, nothing that it claimed.
    let answer = world.send(&Call::new(&chain, &world.reader.key, "get_ticket", ticket()));
    let record = world.assert_not_authenticated(&answer, "proof-invalid");
    let verdict = assert_proves(&world, &bundle(&world, record["action"].as_str().unwrap()));
    assert!(verdict["proven"]["authority"].is_null(), "{verdict}");
}

#[test]
fn a_sub_agents_call_is_proved_hop_by_hop_also_after_revocation() {
    let world = World::new(EXE);
    let chain = world.chain();
    let order = bailiwick_demo::desk::ORDER_OF_TICKET_8821;
    let argument = format!("order_id={order}");
    let more = ["--tool", "mcp:support-desk:tools/get_order", "--argument", &argument];
    let child = world.attenuate(&chain, &world.runner, &world.reader, &more);
    let call = Call::new(&child, &world.reader.key, "get_order", json!({"order_id": order}));
    let id = world.assert_allowed(&world.send(&call), "ok");
    let before = bundle(&world, &id);
    let verdict = assert_proves(&world, &before);
    let text = verdict.to_string();
    for fact in [RUNNER, READER, &world.runner.instance, &world.reader.instance] {
        assert!(text.contains(fact), "the verdict names {fact}: {verdict}");
    }
    // What was allowed stays proved, from the old bundle and from a new one.
    for args in [
        ["delegation", "--chain", &chain.path()].as_slice(),
        &["instance", &world.reader.instance],
        &["agent", READER],
        &["principal", PRINCIPAL],
    ] {
        world.ok(&[&["revoke"], args, &["--reason", "afterwards"]].concat());
    }
    assert_proves(&world, &before);
    assert_proves(&world, &bundle(&world, &id));
}

#[test]
fn a_call_whose_outcome_nobody_knows_is_proved_as_such() {
    let mut world = World::new(EXE);
    let chain = world.delegate(&["reports:read"], &[]);
    let call = Call::new(&chain, &world.runner.key, "slow_report", json!({"seconds": 1}));
    std::thread::scope(|scope| {
        let (address, request) = (world.address, call.request());
        scope.spawn(move || request.send(address));
        while world.executed().is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        world.kill_serve();
    });
    world.start_serve();
    let actions = world.ok(&["audit", "query", "--decision", "allow"]);
    let id = actions["actions"][0]["action"].as_str().unwrap().to_owned();
    let verdict = assert_proves(&world, &bundle(&world, &id));
    assert!(verdict.to_string().contains("unknown"), "{verdict}");
}
