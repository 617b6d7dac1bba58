//! Tool servers that are down, slow, changed or answer nonsense, behind the
//! real gateway: the caller gets an answer it can read, the ledger an outcome
//! that the tool's own log agrees with.

use std::time::{Duration, Instant};

use bailiwick_testkit::http::Response;
use bailiwick_testkit::{Setup, World};
use serde_json::{Value, json};

use crate::EXE;

fn ticket() -> Value {
    json!({"ticket_id": 8821})
}

/// An allowed call that the tool server failed.
fn assert_failed(world: &World, answer: &Response, outcome: &str) -> Value {
    assert!(answer.body.len() < 4096, "{} bytes", answer.body.len());
    let json = answer.json();
    assert_eq!(json["error"]["code"], -32603, "{json}");
    let data = &json["error"]["data"];
    assert!(data["remedy"].as_str().is_some_and(|r| !r.is_empty()), "{json}");
    let text = answer.text();
    assert!(!text.contains("canary"), "{text}");
    let port = world.desk_url.split(':').nth(2).and_then(|p| p.split('/').next()).unwrap();
    assert!(!text.contains(port), "the tool server's address is not the caller's: {text}");
    world.assert_allowed(answer, outcome);
    data.clone()
}

#[test]
fn a_tool_server_that_is_down_gets_the_outcome_not_executed() {
    let mut world = World::new(EXE);
    let chain = world.chain();
    world.stop_desk();
    // Its definitions were never compared with their pins: nothing is allowed.
    let answer = world.call(&chain, "get_ticket", ticket());
    world.assert_denied(&answer, "upstream-unavailable");
    world.start_desk("none");
    world.assert_allowed(&world.call(&chain, "get_ticket", ticket()), "ok");
    // They were, a moment ago: the call is allowed and cannot be made.
    world.stop_desk();
    let answer = world.call(&chain, "get_ticket", ticket());
    let data = assert_failed(&world, &answer, "not_executed");
    assert_eq!(data["code"], "upstream-unavailable");
    world.start_desk("none");
    assert_eq!(world.executed().len(), 1);
    world.assert_allowed(&world.call(&chain, "get_ticket", ticket()), "ok");
}

#[test]
fn a_slow_tool_is_cut_off_when_the_delegation_ends() {
    let world = World::new(EXE);
    let chain = world.delegate(&["reports:read"], &["--for", "2s"]);
    let started = Instant::now();
    let answer = world.call(&chain, "slow_report", json!({"seconds": 30}));
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_failed(&world, &answer, "timeout");
    // It was executed, for all anybody knows: the log says so.
    assert_eq!(world.executed().len(), 1);
}

#[test]
fn a_slow_tool_is_cut_off_at_the_configured_time() {
    let config = vec![("upstream_timeout_seconds", "1".to_owned())];
    let mut world = World::with(EXE, &Setup { config, ..Setup::default() });
    let chain = world.chain();
    world.assert_allowed(&world.call(&chain, "get_ticket", ticket()), "ok");
    // The desk stops in the middle of things: it takes the call, and no more.
    world.desk.as_ref().unwrap().signal("STOP");
    let started = Instant::now();
    let answer = world.call(&chain, "get_ticket", ticket());
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_failed(&world, &answer, "timeout");
    world.desk.as_ref().unwrap().signal("CONT");
    world.stop_desk();
}

#[test]
fn garbage_is_not_passed_on() {
    let world = World::with(EXE, &Setup { quirk: Some("garbage-answer"), ..Setup::default() });
    let chain = world.chain();
    let answer = world.call(&chain, "get_ticket", ticket());
    assert_failed(&world, &answer, "error");
    assert_eq!(world.executed().len(), 1);
}

#[test]
fn an_answer_of_100_megabytes_is_not_taken() {
    let world = World::with(EXE, &Setup { quirk: Some("huge-answer"), ..Setup::default() });
    let chain = world.chain();
    let answer = world.call(&chain, "get_ticket", ticket());
    assert_failed(&world, &answer, "error");
    assert_eq!(world.executed().len(), 1);
    // The gateway did not keep what it was sent.
    let pid = world.serve.as_ref().unwrap().pid();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 150_000, "the gateway's memory reached {kilobytes} kB");
}

#[test]
fn a_tool_that_changed_since_it_was_pinned_is_not_called() {
    let config = vec![("pin_check_seconds", "1".to_owned())];
    let mut world = World::with(EXE, &Setup { config, ..Setup::default() });
    let chain = world.chain();
    world.assert_allowed(&world.call(&chain, "get_ticket", ticket()), "ok");
    world.stop_desk();
    world.start_desk("changed-description");
    std::thread::sleep(Duration::from_millis(1100));
    world.assert_denied(&world.call(&chain, "get_ticket", ticket()), "tool-changed");
    assert_eq!(world.executed().len(), 1);
    let tail = world.run(&["audit", "tail", "-n", "50"]).out;
    assert!(tail.contains("\"kind\":\"tool.changed\""), "{tail}");
    // Pinning as it is now says so and does not make it pass by itself.
    let pin = world.run(&["tool-server", "pin", "support-desk"]);
    assert_eq!(pin.status, 1, "{}", pin.out);
    world.assert_denied(&world.call(&chain, "get_ticket", ticket()), "tool-changed");
    // A person sees the difference, and only what was shown can be accepted.
    let tool = "mcp:support-desk:tools/get_ticket";
    let diff = world.run(&["catalogue", "diff", tool]);
    assert_eq!(diff.status, 0, "{}", diff.out);
    let shown: Value = serde_json::from_str(diff.out.lines().next().unwrap()).unwrap();
    let shown = &shown["tools"][0];
    assert_eq!(shown["state"], "changed");
    assert_eq!(shown["differences"][0]["place"], "description");
    assert_ne!(shown["differences"][0]["before"], shown["differences"][0]["after"]);
    assert_eq!(
        shown["flags"].as_array().unwrap().last().unwrap()["code"],
        "changed-after-acceptance"
    );
    let wrong = world.run(&["catalogue", "accept", tool, &"A".repeat(43)]);
    assert_eq!(wrong.status, 1, "{}", wrong.out);
    world.ok(&["catalogue", "accept", tool, shown["waiting"].as_str().unwrap()]);
    std::thread::sleep(Duration::from_millis(600));
    world.assert_allowed(&world.call(&chain, "get_ticket", ticket()), "ok");
    world.ok(&["catalogue", "quarantine", tool]);
    std::thread::sleep(Duration::from_millis(600));
    world.assert_denied(&world.call(&chain, "get_ticket", ticket()), "tool-not-catalogued");
    world.ok(&["catalogue", "accept", tool, shown["waiting"].as_str().unwrap()]);
    // The other tools are as they were.
    let order = json!({"order_id": bailiwick_demo::desk::ORDER_OF_TICKET_8821});
    world.assert_allowed(&world.call(&chain, "get_order", order), "ok");
    assert_eq!(world.executed().len(), 3);
    // As it was before, it is called only once somebody accepts that again.
    world.stop_desk();
    world.start_desk("none");
    std::thread::sleep(Duration::from_millis(1100));
    world.assert_denied(&world.call(&chain, "get_ticket", ticket()), "tool-changed");
    world.ok(&["catalogue", "accept", tool, shown["pinned"].as_str().unwrap()]);
    std::thread::sleep(Duration::from_millis(600));
    world.assert_allowed(&world.call(&chain, "get_ticket", ticket()), "ok");
}

#[test]
fn the_desk_itself_sees_no_chain_no_proof_and_only_the_gateways_credential() {
    let world = World::new(EXE);
    let chain = world.chain();
    world.assert_allowed(&world.call(&chain, "get_ticket", ticket()), "ok");
    let [call] = world.executed().try_into().unwrap();
    assert!(!call.meta.contains("bailiwick"), "{}", call.meta);
    assert!(!call.meta.contains(chain.leaf()), "{}", call.meta);
    // Round the gateway nothing is served.
    let direct = world.run(&[
        "call",
        "--url",
        &world.desk_url,
        "--chain",
        &chain.path(),
        "--key",
        &world.runner.key_file(),
        "--direct",
        "get_ticket",
        "ticket_id=8821",
    ]);
    assert_eq!(direct.status, 1, "{}", direct.out);
    assert_eq!(world.executed().len(), 1);
}
