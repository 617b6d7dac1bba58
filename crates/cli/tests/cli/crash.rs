//! Crashes: whatever the moment, every call that a tool executed has an allow
//! entry that was there before it, and what became of it is said or said to be
//! unknown.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bailiwick_testkit::World;
use bailiwick_testkit::present::{Call, SESSIONS, in_session, signed};
use serde_json::{Value, json};

use crate::EXE;

pub(crate) fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The actions of a decision, oldest first.
pub(crate) fn actions(world: &World, decision: &str) -> Vec<Value> {
    let answer = world.ok(&["audit", "query", "--decision", decision, "--limit", "1000"]);
    answer["actions"].as_array().unwrap().clone()
}

pub(crate) fn assert_ledger_holds(world: &World) {
    let report = world.ok(&["audit", "verify"]);
    assert_eq!(report["holds"], true, "{report}");
}

#[test]
fn a_kill_while_the_tool_works_leaves_an_unknown_outcome() {
    let mut world = World::new(EXE);
    let chain = world.delegate(&["reports:read", "ticket:8821"], &[]);
    let call = Call::new(&chain, &world.runner.key, "slow_report", json!({"seconds": 2}));
    std::thread::scope(|scope| {
        let (address, request) = (world.address, call.request());
        let caller = scope.spawn(move || request.send(address));
        wait_until("the desk has the call", || world.executed().len() == 1);
        world.kill_serve();
        assert!(caller.join().unwrap().is_err(), "nobody answers for a dead gateway");
    });
    // Before the restart the decision is there, without an outcome.
    let before = actions(&world, "allow");
    assert_eq!(before.len(), 1, "{before:?}");
    assert!(before[0]["outcome"].is_null(), "{before:?}");

    world.start_serve();
    let after = actions(&world, "allow");
    assert_eq!(after.len(), 1, "{after:?}");
    assert_eq!(after[0]["outcome"], "unknown");
    // The tool's own log knows of exactly this call, and that it ended.
    wait_until("the tool ended", || world.executed()[0].outcome.is_some());
    let [executed] = world.executed().try_into().unwrap();
    assert_eq!(executed.tool, "slow_report");
    assert_eq!(after[0]["tool"], "mcp:support-desk:tools/slow_report");
    // Another start has nothing left to close, and the gateway serves on.
    world.stop_serve();
    world.start_serve();
    assert_eq!(actions(&world, "allow").len(), 1);
    let answer = world.call(&chain, "get_ticket", json!({"ticket_id": 8821}));
    world.assert_allowed(&answer, "ok");
    // The proof of the lost call is spent all the same.
    world.assert_not_authenticated(&world.send(&call), "proof-replayed");
    assert_ledger_holds(&world);
}

#[test]
fn a_stop_lets_the_calls_under_way_end_and_takes_no_new_ones() {
    let mut world = World::new(EXE);
    let chain = world.delegate(&["reports:read"], &[]);
    let call = Call::new(&chain, &world.runner.key, "slow_report", json!({"seconds": 1}));
    let answer = std::thread::scope(|scope| {
        let (address, request) = (world.address, call.request());
        let caller = scope.spawn(move || request.send(address));
        wait_until("the desk has the call", || world.executed().len() == 1);
        world.stop_serve();
        caller.join().unwrap().expect("the call under way is answered")
    });
    world.assert_allowed(&answer, "ok");
    assert!(call.request().send(world.address).is_err(), "nothing listens any more");
    assert_ledger_holds(&world);
    world.start_serve();
    assert_eq!(actions(&world, "allow").len(), 1);
}

#[test]
fn whenever_a_burst_is_cut_off_no_call_was_executed_without_its_entry() {
    let mut world = World::new(EXE);
    let chain = world.chain();
    let acknowledged = AtomicUsize::new(0);
    for (round, pause) in [3, 15, 40, 90, 400].into_iter().enumerate() {
        let stop = AtomicBool::new(false);
        let order = u64::try_from(round).unwrap() + 1;
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let (address, chain, stop) = (world.address, &chain, &stop);
                let (key, acknowledged) = (&world.runner.key, &acknowledged);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let call = Call::new(chain, key, "get_order", json!({"order_id": order}));
                        if let Ok(answer) = call.request().send(address)
                            && answer.json()["result"].is_object()
                        {
                            acknowledged.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(pause));
            // SIGKILL, as the machine would die.
            world.serve.as_ref().unwrap().signal("KILL");
            stop.store(true, Ordering::Relaxed);
        });
        world.kill_serve();
        world.start_serve();
    }
    // What the desk executed, per order, and what the ledger allowed.
    let mut executed: BTreeMap<String, usize> = BTreeMap::new();
    for call in world.executed() {
        *executed.entry(call.arguments).or_default() += 1;
    }
    let allowed = actions(&world, "allow");
    let total: usize = executed.values().sum();
    assert!(total > 0, "some calls got through");
    let acknowledged = acknowledged.load(Ordering::Relaxed);
    assert!(acknowledged <= total, "an answer without an execution");
    assert!(total <= allowed.len(), "{total} executed, {} allowed", allowed.len());
    for action in &allowed {
        let outcome = action["outcome"].as_str();
        // `error`: there is no such order.
        let said = matches!(outcome, Some("ok" | "error" | "unknown" | "not_executed"));
        assert!(said, "an action without an outcome: {action}");
    }
    // Per order: each round's executions have that round's entries.
    let mut by_arguments: BTreeMap<String, usize> = BTreeMap::new();
    for action in &allowed {
        let id = action["action"].as_str().unwrap();
        let shown = world.ok(&["audit", "show", "--plaintext", id]);
        let arguments = shown["plaintext"]["arguments"].to_string();
        *by_arguments.entry(arguments).or_default() += 1;
    }
    for (arguments, count) in &executed {
        let recorded = by_arguments.get(arguments).copied().unwrap_or(0);
        assert!(*count <= recorded, "{arguments}: {count} executed, {recorded} recorded");
    }
    assert_ledger_holds(&world);
}

#[test]
fn the_proof_of_a_message_that_is_no_call_is_spent_also_after_a_restart() {
    let mut world = World::new(EXE);
    let chain = world.chain();
    let hello = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": SESSIONS,
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    });
    let url = world.endpoint();
    let captured = signed(in_session(None, &hello), &chain, &world.runner.key, "POST", &url);
    assert!(captured.send(world.address).unwrap().json()["result"].is_object());
    let again = captured.send(world.address).unwrap();
    world.assert_not_authenticated(&again, "proof-replayed");
    world.kill_serve();
    world.start_serve();
    let after = captured.send(world.address).unwrap();
    world.assert_not_authenticated(&after, "proof-replayed");
}
