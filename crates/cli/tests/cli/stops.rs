//! The stop button: whatever is stopped, no call under it passes from the answer
//! on, and it takes an owner's signature to resume it.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bailiwick_testkit::World;
use bailiwick_testkit::http::Response;
use bailiwick_testkit::present::{Call, Chain, SESSIONS, in_session, signed};
use bailiwick_testkit::process::Answer;
use bailiwick_testkit::world::{OWNER, PRINCIPAL, READER, RUNNER, command};
use serde_json::{Value, json};

use crate::EXE;
use crate::approvals::{asking, key};

fn ticket() -> Value {
    json!({"ticket_id": 8821})
}

fn by_runner(world: &World, chain: &Chain) -> Response {
    world.call(chain, "get_ticket", ticket())
}

/// Stops something; gives the stop's id.
fn stop(world: &World, target: &str) -> String {
    let made = world.ok(&["stop", target, "--reason", "it does what nobody asked for"]);
    assert_eq!((&made["changed"], &made["target"]), (&json!(true), &json!(target)));
    made["stop"].as_str().unwrap().to_owned()
}

fn resume(world: &World, stop: &str, key: &str) -> Answer {
    world.run(&["resume", stop, "--key", key])
}

fn resumed(world: &World, stop: &str, key: &str) {
    let done = world.ok(&["resume", stop, "--key", key]);
    assert_eq!(done["state"], "resumed", "{done}");
    followed();
}

/// The gateway learns of the end of a stop as it does of revocations: soon.
pub(crate) fn followed() {
    std::thread::sleep(Duration::from_millis(500));
}

/// An owner by role, with the installation's first approver key.
fn owner(world: &World) -> String {
    world.ok(&["principal", "role", OWNER, "owner"]);
    key(world, OWNER, "owner-approver.json").0
}

/// The task of a chain.
fn task_of(world: &World, chain: &Chain) -> String {
    let answer = world.call(chain, "get_ticket", json!({"ticket_id": 1}));
    let record = world.assert_denied(&answer, "argument-not-delegated");
    format!("task:{}", record["task"].as_str().unwrap())
}

#[test]
fn whatever_is_stopped_no_call_that_began_after_the_answer_passes() {
    let world = World::new(EXE);
    let owner = owner(&world);
    for target in [RUNNER, "task", "workflow:support-tickets", "everything"] {
        // A budget of its own, which the calls do not spend.
        let chain = world.chain();
        let task = task_of(&world, &chain);
        let target = if target == "task" { task.as_str() } else { target };
        let end = AtomicBool::new(false);
        let passed: Mutex<Vec<Instant>> = Mutex::default();
        let (id, stopped) = std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !end.load(Ordering::Relaxed) {
                        let began = Instant::now();
                        if by_runner(&world, &chain).json()["result"].is_object() {
                            passed.lock().unwrap().push(began);
                        }
                        std::thread::sleep(Duration::from_millis(5));
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(300));
            let id = stop(&world, target);
            let stopped = Instant::now();
            std::thread::sleep(Duration::from_millis(300));
            end.store(true, Ordering::Relaxed);
            (id, stopped)
        });
        let passed = passed.into_inner().unwrap();
        assert!(!passed.is_empty(), "calls passed before {target}");
        let late = passed.iter().filter(|began| **began > stopped).count();
        assert_eq!(late, 0, "calls passed that began after {target} was stopped");
        let answer = by_runner(&world, &chain);
        assert!(answer.text().contains(target), "{}", answer.text());
        world.assert_denied(&answer, "stopped");
        resumed(&world, &id, &owner);
        world.assert_allowed(&by_runner(&world, &chain), "ok");
    }
    assert_eq!(world.ok(&["audit", "verify"])["holds"], true);
}

#[test]
fn what_is_stopped_is_that_and_nothing_beside_it() {
    let world = World::new(EXE);
    let owner = owner(&world);
    let chain = world.chain();
    let child = world.attenuate(&chain, &world.runner, &world.reader, &[]);
    let sibling = world.chain();
    let by_reader = || world.send(&Call::new(&child, &world.reader.key, "get_ticket", ticket()));
    // An agent anywhere in the chain.
    let id = stop(&world, READER);
    world.assert_denied(&by_reader(), "stopped");
    world.assert_allowed(&by_runner(&world, &chain), "ok");
    resumed(&world, &id, &owner);
    world.assert_allowed(&by_reader(), "ok");
    // A task with all that was derived for it, and no other one.
    let id = stop(&world, &task_of(&world, &chain));
    world.assert_denied(&by_reader(), "stopped");
    world.assert_denied(&by_runner(&world, &chain), "stopped");
    world.assert_allowed(&by_runner(&world, &sibling), "ok");
    // Stopping it again changes nothing.
    let shown = world.ok(&["stops", "show", &id]);
    let target = shown["target"].as_str().unwrap();
    let again = world.ok(&["stop", target, "--reason", "again"]);
    assert_eq!((&again["changed"], &again["stop"]), (&json!(false), &json!(id)));
    // Two stops: both must end.
    let all = stop(&world, "everything");
    resumed(&world, &id, &owner);
    world.assert_denied(&by_runner(&world, &chain), "stopped");
    resumed(&world, &all, &owner);
    world.assert_allowed(&by_runner(&world, &chain), "ok");
    for (args, code) in [
        (["stop", "agent:nobody", "--reason", "x"], "unknown-name"),
        (["stop", RUNNER, "--reason", " "], "stop-reason-missing"),
    ] {
        assert_eq!(world.run(&args).code(), code, "{args:?}");
    }
    assert_ne!(world.run(&["stop", "user:142", "--reason", "x"]).status, 0);
}

#[test]
fn sessions_and_open_streams_end_with_a_stop() {
    let world = World::new(EXE);
    let chain = world.chain();
    let (url, key) = (world.endpoint(), &world.runner.key);
    let session = world.open_session(&chain, key).unwrap();
    let stream = bailiwick_testkit::http::Request::bare("GET", "/mcp/support-desk")
        .with("accept", "text/event-stream")
        .with("mcp-protocol-version", SESSIONS)
        .with("mcp-session-id", &session);
    let stream = signed(stream, &chain, key, "GET", &url);
    std::thread::scope(|scope| {
        let listener = scope.spawn(|| stream.send(world.address).unwrap().status);
        std::thread::sleep(Duration::from_millis(300));
        assert!(!listener.is_finished(), "the stream stays open");
        stop(&world, "everything");
        // It would stay open for minutes otherwise.
        assert_eq!(listener.join().unwrap(), 200);
    });
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let ping = signed(in_session(Some(&session), &ping), &chain, key, "POST", &url);
    world.assert_denied(&ping.send(world.address).unwrap(), "stopped");
}

#[test]
fn nothing_is_issued_or_renewed_while_it_is_stopped() {
    const SERVICE: &str = "service:billing";
    let world = World::new(EXE);
    let owner = owner(&world);
    world.ok(&["principal", "add", SERVICE, "--key", &world.path("service.key")]);
    let elsewhere = |args: &[&str]| {
        let mut command = command(Path::new(EXE), world.base.path());
        Answer::of(command.args(["--json", "--data-dir", "/nowhere"]).args(args))
    };
    let (url, service) = (world.public_url.as_str(), world.path("service.key"));
    let (out, again) = (world.path("out.json"), world.path("again.json"));
    let delegate = |out: &str| {
        let what = ["delegate", "--authority", url, "--agent", RUNNER, "--scope", "orders:read"];
        let more = ["--purpose", "p", "--for", "20m", "--key", &service, "--out", out];
        elsewhere(&[&what[..], &more[..]].concat())
    };
    let granted = delegate(&out);
    assert_eq!(granted.status, 0, "{}{}", granted.out, granted.err);
    let grant = granted.json()["grant"].as_str().unwrap().to_owned();
    let runner = world.runner.key_file();
    let renew = || {
        let what = ["delegation", "renew", "--authority", url, "--grant", &grant];
        elsewhere(&[&what[..], &["--key", &runner, "--out", &again]].concat())
    };
    let renewed = renew();
    assert_eq!(renewed.status, 0, "{}{}", renewed.out, renewed.err);
    let chain = world.chain();
    for target in [RUNNER, "workflow:support-tickets", "everything"] {
        let id = stop(&world, target);
        // To be tried again: what is stopped goes on some time.
        let refused = renew();
        assert_eq!(refused.status, 3, "{target}: {}", refused.out);
        assert!(refused.out.contains("is stopped"), "{}", refused.out);
        assert_ne!(delegate(&world.path("lost.json")).status, 0, "{target}");
        let lost = world.path("lost.json");
        let issue = ["delegation", "reissue", "--grant", &grant, "--out", &lost];
        assert_eq!(world.run(&issue).code(), "stopped", "{target}");
        world.assert_denied(&by_runner(&world, &chain), "stopped");
        resumed(&world, &id, &owner);
        assert_eq!(renew().status, 0, "{target}");
    }
}

#[test]
fn resuming_takes_an_owner_with_a_key_that_counts() {
    let world = World::new(EXE);
    let owner = owner(&world);
    let (late, _) = key(&world, OWNER, "late.json");
    let (other, _) = key(&world, PRINCIPAL, "other.json");
    let chain = world.chain();
    let id = stop(&world, RUNNER);
    // The data dir's credential alone is nothing: a key must sign.
    assert_eq!(world.run(&["resume", &id]).status, 2);
    assert_eq!(resume(&world, &id, &other).code(), "role-missing");
    assert_eq!(resume(&world, &id, &late).code(), "approval-signer-not-enrolled");
    // Nobody's key, though it names the owner.
    let never = world.path("never.json");
    let public = world.path("never.jwk");
    world.ok(&["principal", "key", OWNER, "--key", &never, "--jwk", &public]);
    assert_ne!(resume(&world, &id, &never).status, 0);
    assert_eq!(resume(&world, &"0".repeat(8), &owner).status, 2);
    world.assert_denied(&by_runner(&world, &chain), "stopped");
    resumed(&world, &id, &owner);
    assert_eq!(resume(&world, &id, &owner).code(), "stop-ended");
    world.assert_allowed(&by_runner(&world, &chain), "ok");
    // Whoever lost the role meanwhile resumes nothing.
    let id = stop(&world, RUNNER);
    world.ok(&["principal", "role", PRINCIPAL, "owner"]);
    world.ok(&["principal", "role", OWNER, "owner", "--remove"]);
    assert_eq!(resume(&world, &id, &owner).code(), "role-missing");
    world.assert_denied(&by_runner(&world, &chain), "stopped");
}

#[test]
fn a_stop_outlives_a_kill_and_its_reason_is_committed_to() {
    let mut world = World::new(EXE);
    let owner = owner(&world);
    let chain = world.chain();
    world.assert_allowed(&by_runner(&world, &chain), "ok");
    let id = stop(&world, "everything");
    world.kill_serve();
    world.start_serve();
    world.assert_denied(&by_runner(&world, &chain), "stopped");
    world.stop_serve();
    world.start_serve();
    world.assert_denied(&by_runner(&world, &chain), "stopped");

    let shown = world.ok(&["stops", "show", &id]);
    assert_eq!(shown["reason"], "it does what nobody asked for", "{shown}");
    assert_eq!((&shown["by"], &shown["state"]), (&json!("operator"), &json!("stands")));
    let entry = shown["entry"].as_str().unwrap();
    let leaf = world.ok(&["audit", "show", entry]);
    assert!(!leaf.to_string().contains("nobody asked"), "{leaf}");
    assert!(leaf.to_string().contains(shown["reason_digest"].as_str().unwrap()), "{leaf}");
    let read = world.ok(&["audit", "show", entry, "--plaintext"]);
    assert!(read.to_string().contains("it does what nobody asked for"), "{read}");
    let doctor = world.run(&["doctor"]);
    assert_eq!(doctor.status, 1, "{}", doctor.out);
    assert!(doctor.out.contains("stopped: everything"), "{}", doctor.out);

    resumed(&world, &id, &owner);
    assert_eq!(world.ok(&["stops", "list"])["stops"], json!([]));
    let all = world.ok(&["stops", "list", "--all"]);
    assert_eq!(all["stops"][0]["resumed_by"], OWNER, "{all}");
    // What the ledger makes is what the database has.
    assert_eq!(world.ok(&["audit", "verify"])["holds"], true);
}

#[test]
fn an_approval_given_before_a_stop_passes_only_after_it() {
    let world = asking();
    let owner = owner(&world);
    let chain = world.chain();
    let asked = by_runner(&world, &chain).json()["error"]["data"].clone();
    let id = asked["approval"]["id"].as_str().unwrap();
    world.ok(&["approvals", "approve", id, "--key", &owner]);
    let before = world.executed().len();
    let stopped = stop(&world, RUNNER);
    world.assert_denied(&by_runner(&world, &chain), "stopped");
    assert_eq!(world.executed().len(), before);
    resumed(&world, &stopped, &owner);
    assert!(by_runner(&world, &chain).json()["result"].is_object());
    assert_eq!(world.executed().len(), before + 1);
    // Spent, and not by what was refused.
    assert_eq!(world.ok(&["approvals", "show", id])["state"], "spent");
}
