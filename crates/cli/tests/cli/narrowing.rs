//! Denying with more than a no: a tighter call that is suggested, and the
//! delegation that is taken back in the same step.

use bailiwick_testkit::world::OWNER;
use serde_json::json;

use crate::approvals::{asking, data, first_question, is_asked, key, ticket};

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
    // An approval has nothing to suggest, and the text is behind a commitment.
    let verdict = world.ok(&["audit", "query", "--kind", "approval.decided"]).to_string();
    assert!(!verdict.contains("8822"), "{verdict}");
    world.ok(&["audit", "verify"]);
}

#[test]
fn denying_and_taking_back_is_one_step_or_nothing() {
    let world = asking();
    let (owner, _) = key(&world, OWNER, "owner-approver.json");
    let chain = world.chain();
    let id = first_question(&world, &chain);
    let entries = || {
        let found = world.ok(&["audit", "query"]);
        found["entries"].as_array().unwrap_or_else(|| panic!("{found}")).clone()
    };
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
    let all = entries();
    let kind = |name: &str| all.iter().position(|entry| entry["kind"] == name);
    let (said, ended) = (kind("approval.decided").unwrap(), kind("revoked").unwrap());
    assert_eq!(said.abs_diff(ended), 1, "one transaction");
    assert_eq!(all[ended]["reason"], "denied-by-approver", "{}", all[ended]);
    world.ok(&["audit", "verify"]);
}
