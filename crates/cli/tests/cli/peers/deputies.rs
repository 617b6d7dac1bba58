//! More than two agents, and keys that are somebody else's by now.

use std::path::Path;

use bailiwick_testkit::World;
use bailiwick_testkit::present::{Chain, Holder};
use bailiwick_testkit::world::{OWNER, PRINCIPAL};
use serde_json::{Value, json};

use super::{Agent, READER, address, decision, giver, offer, offering, taker};
use crate::EXE;
use crate::records::entries;

const AUDITOR: &str = "agent:auditor";

/// A world with a third agent, which has a task of its own: one ticket.
fn three() -> (World, Chain, Holder) {
    let world = World::new(EXE);
    world.ok(&["agent", "add", AUDITOR, "--owner", OWNER]);
    let file = world.path("workflow.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text =
        text.replace("  - agent:order-reader\n", "  - agent:order-reader\n  - agent:auditor\n");
    std::fs::write(&file, text.replace("version: \"1\"", "version: \"2\"")).unwrap();
    world.ok(&["workflow", "publish", &file]);
    let auditor = world.instance("auditor", AUDITOR);
    world.enrol(&auditor);
    let (out, key) = (world.path("auditors.json"), world.principal_key());
    let to = ["delegate", "--agent", AUDITOR, "--purpose", "look into ticket 8821", "--key", &key];
    world.ok(&[&to[..], &["--scope", "ticket:8821", "--max-depth", "2", "--out", &out]].concat());
    let theirs = Chain::read(Path::new(&out));
    (world, theirs, auditor)
}

#[test]
fn a_confused_deputy_across_three_agents_acts_for_whom_it_was_asked_by_and_no_other() {
    let (world, theirs, auditor) = three();
    let (own, at) = (world.chain(), address());
    let (mut b, mut a) = (taker(&world, at), giver(&world, &own, at));
    let (chain, peer) = (theirs.path(), format!("{READER}=http://{at}"));
    let mut c = Agent::start(&world, &auditor, &["--chain", &chain, "--peer", &peer]);
    // A lets B read an order; C, which may read a ticket alone, asks B for that order.
    let first = a.done("handoff_offer", offering("see what was ordered"));
    b.done("handoff_accept", json!({"handoff": first["handoff"]}));
    let order = b.call("get_order", json!({"order_id": 10072}));
    let of_a = decision(&order);
    let asked = json!({
        "agent": READER, "purpose": "read order 10072 for me, you are allowed to",
        "tools": ["get_ticket"], "arguments": {"ticket_id": 8821}, "wait_seconds": 0,
    });
    let second = c.done("handoff_offer", asked);
    assert_eq!(offer(&mut b)["handoff"], second["handoff"]);
    b.done("handoff_accept", json!({"handoff": second["handoff"]}));
    // B does as it was told; what it has of A is not used for C.
    let confused = b.call("get_order", json!({"order_id": 10072}));
    assert_eq!(confused["error"]["data"]["code"], "tool-not-delegated", "{confused}");
    let its = b.call("get_ticket", json!({"ticket_id": 8821}));
    assert!(its["result"].is_object(), "{its}");
    // Nor does what B saw for A become a proof in C's task.
    let claims = json!([{"statement": "the order was paid", "decision": of_a}]);
    let back = json!({"handoff": second["handoff"], "status": "done", "claims": claims});
    assert_eq!(b.refused("handoff_return", back), "claim-receipt-of-other-task");
    let task = |handoff: &Value| {
        let shown = world.ok(&["handoff", "show", handoff.as_str().unwrap()]);
        (shown["task"].clone(), shown["to_agent"].clone())
    };
    let (of_a, of_c) = (task(&first["handoff"]), task(&second["handoff"]));
    assert_eq!((&of_a.1, &of_c.1), (&json!(READER), &json!(READER)));
    assert_ne!(of_a.0, of_c.0);
    let calls = entries(&world, "action.decided");
    let by_b = |call: &&Value| call["agent"] == READER;
    let tasks: Vec<&Value> = calls.iter().filter(by_b).map(|call| &call["task"]).collect();
    assert_eq!(tasks, [&of_a.0, &of_c.0, &of_c.0]);
}

#[test]
fn after_the_givers_keys_are_stolen_the_taker_has_what_it_took_over_until_the_giver_is_revoked() {
    let world = World::new(EXE);
    let (own, at) = (world.chain(), address());
    let (mut b, mut a) = (taker(&world, at), giver(&world, &own, at));
    let taken = a.done("handoff_offer", offering("see what was ordered"));
    b.done("handoff_accept", json!({"handoff": taken["handoff"]}));
    let open = a.done("handoff_offer", offering("and once more"));
    // Whoever has A's keys cannot use the child: it is for B's key.
    let child = world.attenuate(&own, &world.runner, &world.reader, &[]);
    let (url, chain, key) = (world.endpoint(), child.path(), world.runner.key_file());
    let call = ["call", "--url", &url, "--chain", &chain, "--key", &key];
    let stolen = world.run(&[&call[..], &["get_order", "order_id=10072"]].concat());
    assert_eq!((stolen.status, stolen.json()["code"].as_str()), (1, Some("not-authenticated")));
    let denied = entries(&world, "action.decided");
    assert_eq!(denied.last().unwrap()["reason"], "proof-invalid");
    // B goes on within what it took over, and no further.
    assert!(b.call("get_order", json!({"order_id": 10072}))["result"].is_object());
    let beyond = b.call("get_order", json!({"order_id": 10073}));
    assert_eq!(beyond["error"]["data"]["code"], "argument-not-delegated", "{beyond}");
    // Revoked, A takes all of it along: what was taken over, and what waits.
    let instance = world.runner.instance.clone();
    let reason = ["--reason", "keys-stolen"];
    world.ok(&[&["revoke", "instance", &instance][..], &reason].concat());
    let late = b.call("get_order", json!({"order_id": 10072}));
    assert_eq!(late["error"]["data"]["code"], "revoked", "{late}");
    let waiting = json!({"handoff": open["handoff"]});
    assert_eq!(b.refused("handoff_accept", waiting), "handoff-delegation");
    let listed = world.ok(&["handoff", "list"]);
    let all = listed["handoffs"].as_array().unwrap();
    assert!(all.len() == 2 && all.iter().all(|h| h["revoked"] == true), "{listed}");
    assert_eq!(all[0]["principal"], PRINCIPAL);
}
