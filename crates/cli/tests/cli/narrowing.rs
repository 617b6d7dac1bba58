//! Denying with more than a no: a tighter call that is suggested, and the
//! delegation that is taken back in the same step.

use bailiwick_testkit::World;
use bailiwick_testkit::world::OWNER;
use serde_json::{Value, json};

use crate::approvals::{asking, data, first_question, is_asked, key, ticket};
use crate::ledger::leaves;

/// Every entry of the ledger, in order.
fn entries(world: &World) -> Vec<Value> {
    let leaves = leaves(&world.data).into_iter();
    leaves.map(|leaf| serde_json::from_slice(&leaf).unwrap()).collect()
}

/// Those of one kind, each with its index.
fn of_kind(entries: &[Value], kind: &str) -> Vec<(usize, Value)> {
    let all = entries.iter().cloned().enumerate();
    all.filter(|(_, entry)| entry["kind"] == kind).collect()
}

#[test]
fn a_suggestion_is_told_with_the_denial_and_grants_nothing() {
    let world = asking();
    let (owner, _) = key(&world, OWNER, "owner-approver.json");
    let chain = world.delegate(&["ticket:8821", "ticket:8822"], &[]);
    let id = first_question(&world, &chain);
    let deny = |suggestion: &str| {
        world.run(&["approvals", "deny", &id, "--key", &owner, "--suggest", suggestion])
    };
    // What the tool would not take is not suggested, and then nothing is denied.
    for (suggestion, code) in [
        ("{\"ticket_id\": \"all\"}", "suggestion-unfit"),
        ("{\"other\": 1}", "suggestion-unfit"),
        ("{\"ticket_id\": 8821}", "suggestion-unchanged"),
        ("[8822]", "suggestion-malformed"),
        ("8822 please", "suggestion-malformed"),
    ] {
        assert_eq!(deny(suggestion).code(), code, "{suggestion}");
    }
    assert_eq!(is_asked(&ticket(&world, &chain)), id);

    let denied = deny("{\"ticket_id\": 8822}").json();
    assert_eq!(denied["state"], "denied", "{denied}");
    let told = data(&ticket(&world, &chain));
    assert_eq!(told["code"], "approval-denied");
    assert_eq!(told["suggestion"], json!({"ticket_id": 8822}), "{told}");
    let shown = world.ok(&["approvals", "show", &id]);
    assert_eq!(shown["verdicts"][0]["suggestion"], json!({"ticket_id": 8822}), "{shown}");

    // The suggested call asks like any other.
    let second = is_asked(&world.call(&chain, "get_ticket", json!({"ticket_id": 8822})));
    assert_ne!(second, id);
    assert!(world.executed().iter().all(|call| call.tool != "get_ticket"));
    // The text is behind a commitment.
    let verdicts = of_kind(&entries(&world), "approval.decided");
    assert_eq!(verdicts.len(), 1);
    assert!(!verdicts[0].1.to_string().contains("8822"), "{}", verdicts[0].1);
    world.ok(&["audit", "verify"]);
}

#[test]
fn denying_and_taking_back_is_one_step_or_nothing() {
    let world = asking();
    let (owner, _) = key(&world, OWNER, "owner-approver.json");
    let chain = world.chain();
    let id = first_question(&world, &chain);
    let deny = || world.run(&["approvals", "deny", &id, "--key", &owner, "--revoke"]);
    // Who may decide may not take back for that.
    assert_eq!(deny().code(), "not-yours");
    let shown = world.ok(&["approvals", "show", &id]);
    assert_eq!((&shown["state"], &shown["verdicts"]), (&json!("pending"), &json!([])), "{shown}");
    assert_eq!(is_asked(&ticket(&world, &chain)), id, "the delegation stands");

    world.ok(&["principal", "role", OWNER, "operator"]);
    let denied = deny().json();
    assert_eq!((&denied["state"], &denied["revoked"]), (&json!("denied"), &json!(true)));
    assert_eq!(data(&ticket(&world, &chain))["code"], "revoked");
    let all = entries(&world);
    let (said, ended) = (of_kind(&all, "approval.decided"), of_kind(&all, "revoked"));
    assert_eq!((said.len(), ended.len()), (1, 1));
    assert_eq!(said[0].0 + 1, ended[0].0, "one transaction");
    let body = &ended[0].1["body"];
    assert_eq!((&body["by"], &body["approval"]), (&json!("operator"), &json!(id)), "{body}");
    world.ok(&["audit", "verify"]);
}
