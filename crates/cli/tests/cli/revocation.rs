//! Taking authority back while the gateway serves: whatever is revoked, the
//! next call is denied, and nothing that does not depend on it is.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bailiwick_core::crypto::Signer as _;
use bailiwick_testkit::World;
use bailiwick_testkit::http::Response;
use bailiwick_testkit::present::{Call, Chain, SESSIONS, in_session, seen, signed};
use bailiwick_testkit::world::{OWNER, PRINCIPAL, READER, RUNNER};
use serde_json::{Value, json};

use crate::EXE;

fn ticket() -> Value {
    json!({"ticket_id": 8821})
}

fn by_runner(world: &World, chain: &Chain) -> Response {
    world.call(chain, "get_ticket", ticket())
}

fn by_reader(world: &World, chain: &Chain) -> Response {
    world.send(&Call::new(chain, &world.reader.key, "get_ticket", ticket()))
}

fn revoke(world: &World, args: &[&str]) {
    let answer = world.ok(&[&["revoke"], args, &["--reason", "test"]].concat());
    assert_eq!(answer["changed"], true, "{answer}");
}

/// A world with a delegation, a child of it, and a sibling, all of which work.
fn family() -> (World, Chain, Chain, Chain) {
    let world = World::new(EXE);
    let chain = world.chain();
    let child = world.attenuate(&chain, &world.runner, &world.reader, &["--further"]);
    let sibling = world.chain();
    world.assert_allowed(&by_runner(&world, &chain), "ok");
    world.assert_allowed(&by_reader(&world, &child), "ok");
    world.assert_allowed(&by_runner(&world, &sibling), "ok");
    (world, chain, child, sibling)
}

#[test]
fn a_revoked_root_takes_its_descendants_and_no_sibling() {
    let (world, chain, child, sibling) = family();
    revoke(&world, &["delegation", "--chain", &chain.path(), "--key", &world.principal_key()]);
    world.assert_denied(&by_runner(&world, &chain), "revoked");
    world.assert_denied(&by_reader(&world, &child), "revoked");
    // Derived again from it, whenever: no.
    let again = world.attenuate(&chain, &world.runner, &world.reader, &[]);
    world.assert_denied(&by_reader(&world, &again), "revoked");
    world.assert_allowed(&by_runner(&world, &sibling), "ok");
    assert_eq!(world.executed().len(), 4);
}

#[test]
fn a_revoked_child_is_not_derived_back_and_its_parent_stands() {
    let (world, chain, child, sibling) = family();
    let grandchild = world.attenuate(&child, &world.reader, &world.runner, &[]);
    world.assert_allowed(&by_runner(&world, &grandchild), "ok");
    revoke(&world, &["delegation", "--chain", &child.path()]);
    world.assert_denied(&by_reader(&world, &child), "revoked");
    world.assert_denied(&by_runner(&world, &grandchild), "revoked");
    // Offline, under a new `jti`, by the parent's holder or by hand: its key is
    // barred under this root.
    let again = world.attenuate(&chain, &world.runner, &world.reader, &[]);
    assert_ne!(seen(again.leaf()).jti, seen(child.leaf()).jti);
    world.assert_denied(&by_reader(&world, &again), "revoked");
    let by_hand = chain.child(&world.runner.key, &world.reader.key.public_key(), |_| {});
    world.assert_denied(&by_reader(&world, &by_hand), "revoked");
    // The parent stands, and may delegate to somebody else; under another root
    // the same key may act.
    world.assert_allowed(&by_runner(&world, &chain), "ok");
    let third = world.instance("third", READER);
    world.enrol(&third);
    let other = world.attenuate(&chain, &world.runner, &third, &[]);
    let answer = world.send(&Call::new(&other, &third.key, "get_ticket", ticket()));
    world.assert_allowed(&answer, "ok");
    let elsewhere = world.attenuate(&sibling, &world.runner, &world.reader, &[]);
    world.assert_allowed(&by_reader(&world, &elsewhere), "ok");
}

#[test]
fn a_revoked_holder_key_holds_nothing_more_under_that_root() {
    let (world, chain, child, sibling) = family();
    let elsewhere = world.attenuate(&sibling, &world.runner, &world.reader, &[]);
    let holder = world.reader.key.public_key().thumbprint().to_string();
    let root = seen(&chain.tokens[0]).hash.to_string();
    let key = world.principal_key();
    revoke(&world, &["holder-key", &holder, "--root", &root, "--key", &key]);
    world.assert_denied(&by_reader(&world, &child), "revoked");
    // Nor what is derived for it later; others, and other roots, stand.
    let again = world.attenuate(&chain, &world.runner, &world.reader, &[]);
    world.assert_denied(&by_reader(&world, &again), "revoked");
    world.assert_allowed(&by_runner(&world, &chain), "ok");
    world.assert_allowed(&by_reader(&world, &elsewhere), "ok");
    // Named by the chain that it holds.
    revoke(&world, &["holder-key", "--chain", &elsewhere.path()]);
    world.assert_denied(&by_reader(&world, &elsewhere), "revoked");
    world.assert_allowed(&by_runner(&world, &sibling), "ok");
    let code = |args: &[&str]| {
        let answer = world.run(&[&["revoke"], args, &["--reason", "x"]].concat());
        assert_ne!(answer.status, 0, "{}", answer.out);
        answer.code()
    };
    assert_eq!(code(&["holder-key", &holder]), "root-missing");
    assert_eq!(code(&["holder-key"]), "argument-missing");
    assert_eq!(code(&["holder-key", "x", "--root", &root]), "thumbprint-malformed");
    assert_eq!(code(&["holder-key", &holder, "--root", "x"]), "token-hash-malformed");
    assert_eq!(code(&["holder-key", &holder, "--root", &"A".repeat(43)]), "unknown-name");
    assert_eq!(code(&["agent", RUNNER, "--root", &root]), "argument-surplus");
    assert_eq!(code(&["agent", "--chain", &chain.path()]), "argument-surplus");
}

#[test]
fn a_revoked_grant_or_task_ends_what_was_issued_under_it() {
    let (world, chain, child, sibling) = family();
    let record = world.assert_denied(
        &world.call(&chain, "get_ticket", json!({"ticket_id": 1})),
        "argument-not-delegated",
    );
    revoke(&world, &["grant", record["grant"].as_str().unwrap()]);
    for answer in [by_runner(&world, &chain), by_reader(&world, &child)] {
        denied_any(&world, &answer, &["revoked", "grant-not-standing"]);
    }
    let record = world.assert_denied(
        &world.call(&sibling, "get_ticket", json!({"ticket_id": 1})),
        "argument-not-delegated",
    );
    let third = world.chain();
    revoke(&world, &["task", record["task"].as_str().unwrap()]);
    world.assert_denied(&by_runner(&world, &sibling), "revoked");
    world.assert_allowed(&by_runner(&world, &third), "ok");
}

#[test]
fn a_revoked_instance_takes_every_chain_it_stands_in() {
    let (world, chain, child, _) = family();
    revoke(&world, &["instance", &world.reader.instance]);
    denied_any(&world, &by_reader(&world, &child), &["revoked", "instance-inactive"]);
    world.assert_allowed(&by_runner(&world, &chain), "ok");
    revoke(&world, &["instance", &world.runner.instance]);
    denied_any(&world, &by_runner(&world, &chain), &["revoked", "instance-inactive"]);
}

#[test]
fn a_revoked_agent_takes_its_instances() {
    let (world, chain, child, _) = family();
    revoke(&world, &["agent", READER]);
    denied_any(&world, &by_reader(&world, &child), &["revoked", "agent-inactive"]);
    world.assert_allowed(&by_runner(&world, &chain), "ok");
    revoke(&world, &["agent", RUNNER]);
    denied_any(&world, &by_runner(&world, &chain), &["revoked", "agent-inactive"]);
}

#[test]
fn a_revoked_principal_takes_everything_it_granted() {
    let (world, chain, child, sibling) = family();
    revoke(&world, &["principal", PRINCIPAL]);
    for answer in
        [by_runner(&world, &chain), by_reader(&world, &child), by_runner(&world, &sibling)]
    {
        denied_any(&world, &answer, &["revoked", "principal-inactive"]);
    }
    // Nor does it grant anything new.
    let key = world.principal_key();
    let again = world.run(&[
        "delegate",
        "--agent",
        RUNNER,
        "--scope",
        "orders:read",
        "--purpose",
        "x",
        "--key",
        &key,
        "--out",
        &world.path("again.json"),
    ]);
    assert_eq!(again.status, 1, "{}", again.out);
}

#[test]
fn the_owner_of_an_agent_takes_it_along() {
    let (world, chain, _, _) = family();
    revoke(&world, &["principal", OWNER]);
    denied_any(&world, &by_runner(&world, &chain), &["revoked", "agent-inactive"]);
}

#[test]
fn a_revoked_workflow_or_tool_server_ends_all_calls_under_it() {
    let (world, chain, _, _) = family();
    revoke(&world, &["tool-server", "support-desk"]);
    world.assert_denied(&by_runner(&world, &chain), "revoked");
    let world = World::new(EXE);
    let chain = world.chain();
    world.assert_allowed(&by_runner(&world, &chain), "ok");
    revoke(&world, &["workflow", "support-tickets"]);
    world.assert_denied(&by_runner(&world, &chain), "revoked");
}

/// Denied for one of these reasons: some ends are seen by the registry first.
fn denied_any(world: &World, answer: &Response, reasons: &[&str]) {
    let json = answer.json();
    let id = json["error"]["data"]["decision_id"].as_str().expect("denied");
    let record = world.recorded(id);
    assert_eq!(record["decision"], "deny", "{record}");
    let reason = record["reason"].as_str().unwrap();
    assert!(reasons.contains(&reason), "{record}");
}

#[test]
fn somebody_elses_key_takes_nothing_back_and_only_once_it_is_new() {
    let (world, chain, _, _) = family();
    let owner = world.path("owner/key.json");
    let path = chain.path();
    let args = ["revoke", "delegation", "--chain", &path, "--reason", "x", "--key", &owner];
    let refused = world.run(&args);
    assert_eq!(refused.status, 1, "{}", refused.out);
    world.assert_allowed(&by_runner(&world, &chain), "ok");
    revoke(&world, &["delegation", "--chain", &path]);
    let again = world.ok(&["revoke", "delegation", "--chain", &path, "--reason", "x"]);
    assert_eq!(again["changed"], false, "{again}");
    assert_eq!(world.run(&["revoke", "delegation", &"A".repeat(43), "--reason", "x"]).status, 4);
    assert_eq!(world.run(&["revoke", "agent", "agent:nobody", "--reason", "x"]).status, 4);
    assert_eq!(world.run(&["revoke", "agent", RUNNER, "--reason", " "]).status, 2);
}

#[test]
fn no_call_that_began_after_a_revocation_passes() {
    let world = World::new(EXE);
    let chain = world.chain();
    let stop = AtomicBool::new(false);
    let passed: Mutex<Vec<Instant>> = Mutex::default();
    let revoked = std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    if by_runner(&world, &chain).json()["result"].is_object() {
                        passed.lock().unwrap().push(began);
                    }
                }
            });
        }
        std::thread::sleep(Duration::from_millis(300));
        revoke(&world, &["delegation", "--chain", &chain.path()]);
        let revoked = Instant::now();
        std::thread::sleep(Duration::from_millis(300));
        stop.store(true, Ordering::Relaxed);
        revoked
    });
    let passed = passed.into_inner().unwrap();
    assert!(!passed.is_empty(), "calls passed before");
    let late = passed.iter().filter(|began| **began > revoked).count();
    assert_eq!(late, 0, "calls passed that began after the revocation");
}

#[test]
fn sessions_and_open_streams_end_with_their_delegation() {
    let world = World::new(EXE);
    let chain = world.chain();
    let url = world.endpoint();
    let key = &world.runner.key;
    let session = world.open_session(&chain, key).unwrap();
    let stream = bailiwick_testkit::http::Request::bare("GET", "/mcp/support-desk")
        .with("accept", "text/event-stream")
        .with("mcp-protocol-version", SESSIONS)
        .with("mcp-session-id", &session);
    let stream = signed(stream, &chain, key, "GET", &url);
    std::thread::scope(|scope| {
        let listener = scope.spawn(|| {
            let answer = stream.send(world.address).unwrap();
            (answer.status, Instant::now())
        });
        std::thread::sleep(Duration::from_millis(300));
        assert!(!listener.is_finished(), "the stream stays open");
        revoke(&world, &["delegation", "--chain", &chain.path()]);
        let revoked = Instant::now();
        let (status, ended) = listener.join().unwrap();
        assert_eq!(status, 200);
        let late = ended.saturating_duration_since(revoked);
        assert!(late < Duration::from_secs(2), "the stream outlived it by {late:?}");
    });
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let ping = signed(in_session(Some(&session), &ping), &chain, key, "POST", &url);
    world.assert_denied(&ping.send(world.address).unwrap(), "revoked");
}
