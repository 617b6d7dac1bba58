//! The inbox on the command line: found by what calls are about, in parts; and
//! the figures about it.

use bailiwick_testkit::world::OWNER;
use serde_json::{Value, json};

use crate::approvals::{asking, is_asked, key};

fn ids(listed: &Value) -> Vec<String> {
    let calls = listed["approvals"].as_array().unwrap().iter();
    calls.map(|call| call["approval"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn calls_are_found_by_what_they_are_about_in_parts() {
    let world = asking();
    let (owner, _) = key(&world, OWNER, "owner-approver.json");
    let chain = world.delegate(&["ticket:1", "ticket:2", "ticket:3"], &[]);
    let asked: Vec<String> = (1..=3)
        .map(|n| is_asked(&world.call(&chain, "get_ticket", json!({"ticket_id": n}))))
        .collect();
    let list = |args: &[&str]| world.ok(&[&["approvals", "list"], args].concat());

    let all = ids(&list(&[]));
    assert_eq!(all.len(), 3);
    let first = list(&["--limit", "2"]);
    let next = first["next"].as_str().unwrap_or_else(|| panic!("{first}"));
    let second = list(&["--limit", "2", "--after", next]);
    assert_eq!([ids(&first), ids(&second)].concat(), all);
    assert_eq!(second["next"], Value::Null);
    assert_eq!(world.run(&["approvals", "list", "--after", "x"]).status, 2);

    let tool = "mcp:support-desk:tools/get_ticket";
    let task = list(&[])["approvals"][0]["task"].as_str().unwrap().to_owned();
    for fits in [
        &["--agent", "agent:support-runner"][..],
        &["--tool", tool],
        &["--task", &task],
        &["--workflow", "support-tickets"],
        &["--risk", "low"],
        &["--search", "GET_ticket runner"],
        &["--search", "user:142"],
    ] {
        assert_eq!(ids(&list(fits)).len(), 3, "{fits:?}");
    }
    assert_eq!(ids(&list(&["--search", &asked[1]])), [asked[1].clone()]);
    for misses in [
        &["--agent", "agent:other"][..],
        &["--risk", "critical"],
        &["--search", "get_ticket nobody"],
        &["--search", "%"],
    ] {
        assert!(ids(&list(misses)).is_empty(), "{misses:?}");
    }

    world.ok(&["approvals", "deny", &asked[0], "--key", &owner]);
    assert_eq!(ids(&list(&[])).len(), 2);
    let newest: Vec<String> = asked.iter().rev().cloned().collect();
    assert_eq!(ids(&list(&["--all"])), newest);

    let figures = world.ok(&["approvals", "metrics", "--since", "1h"]);
    assert_eq!((&figures["asked"], &figures["over"]), (&json!(3), &json!(1)), "{figures}");
    assert_eq!(figures["approvers"][0]["approver"], OWNER, "{figures}");
    assert_eq!(figures["approvers"][0]["verdicts"], 1);
    assert_eq!(figures["approvals"], 0);
    assert!(figures["median_ms_to_decide"].is_u64(), "{figures}");
}
