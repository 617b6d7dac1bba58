//! The same again, and many at once: approvals for more than one call.

use bailiwick_testkit::World;
use bailiwick_testkit::http::Response;
use bailiwick_testkit::present::{Call, Chain};
use bailiwick_testkit::world::{OWNER, PRINCIPAL};
use serde_json::{Value, json};

use crate::approvals::{asking, data, is_allowed, is_asked, key};
use crate::concurrency::at_once;

/// A delegation over four tickets.
fn tickets(world: &World) -> Chain {
    world.delegate(&["ticket:8821", "ticket:8822", "ticket:8823", "ticket:8824"], &[])
}

fn read(world: &World, chain: &Chain, ticket: i64) -> Response {
    world.call(chain, "get_ticket", json!({"ticket_id": ticket}))
}

/// Approves calls like the waiting one; gives the id.
fn stand(world: &World, id: &str, key: &str, count: &str, more: &[&str]) -> String {
    let args = ["approvals", "standing", "approve", id, "--key", key, "--count", count];
    let args: Vec<&str> = args.iter().copied().chain(["--for", "10m"]).collect();
    let made = world.ok(&[args.as_slice(), more].concat());
    assert_eq!(made["state"], "active", "{made}");
    made["standing"].as_str().unwrap().to_owned()
}

/// Evidence of the last allowed call, verified on another machine.
fn verified(world: &World) -> Value {
    let found = world.ok(&["audit", "query", "--decision", "allow"]);
    let action = found["actions"][0]["action"].as_str().unwrap_or_else(|| panic!("{found}"));
    let (bundle, trust) = (world.path("evidence.json"), world.path("trust.json"));
    world.ok(&["evidence", "get", action, "-o", &bundle]);
    world.ok(&["keys", "trust", "-o", &trust]);
    let nowhere = world.base.path().join("nowhere");
    let verified = world.run_on(&nowhere, &["evidence", "verify", &bundle, "--trust", &trust]);
    let verified = verified.json();
    assert_eq!(verified["holds"], true, "{verified}");
    verified
}

#[test]
fn calls_within_the_terms_pass_as_often_as_was_signed_and_their_evidence_says_by_whom() {
    let mut world = asking();
    let (owner, _) = key(&world, OWNER, "owner-approver.json");
    let chain = tickets(&world);
    let id = is_asked(&read(&world, &chain, 8821));
    let within = ["--one-of", "ticket_id=8821,8822"];
    let standing = stand(&world, &id, &owner, "3", &within);
    assert!(is_allowed(&read(&world, &chain, 8821)));
    assert!(is_allowed(&read(&world, &chain, 8822)));
    // The question needs no answer any more; other arguments are another one.
    let all = world.ok(&["approvals", "list", "--all"]);
    assert_eq!(all["approvals"][0]["state"], "void", "{all}");
    is_asked(&read(&world, &chain, 8823));

    let shown = world.ok(&["approvals", "standing", "show", &standing]);
    assert_eq!((&shown["used"], &shown["state"]), (&json!(2), &json!("active")), "{shown}");
    let verified = verified(&world);
    let approval = &verified["proven"]["authority"]["approval"];
    assert_eq!(approval["standing"], standing.as_str(), "{approval}");
    assert_eq!(approval["terms"]["count"], 3, "{approval}");
    assert_eq!(approval["needed"], 1, "{approval}");
    let by = &approval["approvers"][0];
    assert_eq!((&by["approver"], &by["right"]), (&json!(OWNER), &json!("named")), "{approval}");

    // It outlives a restart, and is used up.
    world.stop_serve();
    world.start_serve();
    assert!(is_allowed(&read(&world, &chain, 8821)));
    is_asked(&read(&world, &chain, 8821));
    let shown = world.ok(&["approvals", "standing", "show", &standing]);
    assert_eq!(shown["state"], "used_up", "{shown}");
    assert_eq!(world.ok(&["approvals", "standing", "list"])["standings"], json!([]));
    world.ok(&["audit", "verify"]);
}

#[test]
fn of_many_calls_at_once_no_more_pass_than_are_left() {
    let world = asking();
    let (owner, _) = key(&world, OWNER, "owner-approver.json");
    let chain = tickets(&world);
    let id = is_asked(&read(&world, &chain, 8821));
    let standing = stand(&world, &id, &owner, "4", &[]);
    let before = world.executed().len();
    let call = || Call::new(&chain, &world.runner.key, "get_ticket", json!({"ticket_id": 8821}));
    let calls: Vec<Call> = std::iter::repeat_with(call).take(12).collect();
    let answers = at_once(&world, &calls);
    let passed = answers.iter().filter(|answer| is_allowed(answer)).count();
    assert_eq!(passed, 4, "{:?}", answers.iter().map(Response::text).collect::<Vec<_>>());
    assert_eq!(world.executed().len(), before + 4);
    for answer in answers.iter().filter(|answer| !is_allowed(answer)) {
        let code = data(answer)["code"].clone();
        assert!(code == "approval-spent" || code == "approval-required", "{}", answer.text());
    }
    let shown = world.ok(&["approvals", "standing", "show", &standing]);
    assert_eq!((&shown["used"], &shown["state"]), (&json!(4), &json!("used_up")), "{shown}");
}

#[test]
fn a_standing_approval_is_for_its_own_root_and_ends_when_it_is_taken_back() {
    let world = asking();
    let (owner, _) = key(&world, OWNER, "owner-approver.json");
    let chain = tickets(&world);
    let id = is_asked(&read(&world, &chain, 8821));
    let standing = stand(&world, &id, &owner, "9", &[]);
    // Another delegation of the same agent for the same thing.
    is_asked(&read(&world, &tickets(&world), 8821));
    assert!(is_allowed(&read(&world, &chain, 8821)));
    let args = ["approvals", "standing", "revoke", &standing, "--reason", "enough"];
    let revoked = world.ok(&args);
    assert_eq!(revoked["state"], "revoked", "{revoked}");
    is_asked(&read(&world, &chain, 8821));
    assert_eq!(world.run(&args).code(), "standing-over");
    // Nobody signs it any more, either.
    let again = world.run(&["approvals", "standing", "sign", &standing, "--key", &owner]);
    assert_eq!(again.code(), "standing-over");
    world.ok(&["audit", "verify"]);
}

#[test]
fn whoever_signed_and_is_suspended_lets_nothing_pass_any_more() {
    let world = asking();
    let (owner, _) = key(&world, OWNER, "owner-approver.json");
    let approver = "user:approver";
    world.ok(&["principal", "add", approver]);
    world.ok(&["principal", "role", approver, "approver"]);
    let (other, _) = key(&world, approver, "approver.json");
    let chain = tickets(&world);
    let id = is_asked(&read(&world, &chain, 8821));
    // A key that is new counts tomorrow, for terms as for verdicts.
    let args = ["approvals", "standing", "approve", &id, "--key", &other];
    let args = [args.as_slice(), &["--count", "2", "--for", "5m"]].concat();
    assert_eq!(world.run(&args).code(), "approval-signer-not-enrolled");
    stand(&world, &id, &owner, "9", &[]);
    assert!(is_allowed(&read(&world, &chain, 8821)));
    world.ok(&["principal", "suspend", OWNER]);
    assert!(!is_allowed(&read(&world, &chain, 8821)));
}

#[test]
fn terms_that_nobody_may_sign_are_refused_by_name() {
    let world = asking();
    let (owner, _) = key(&world, OWNER, "owner-approver.json");
    let chain = tickets(&world);
    let id = is_asked(&read(&world, &chain, 8821));
    let approve = |count: &str, lasts: &str, more: &[&str]| {
        let args = ["approvals", "standing", "approve", &id, "--key", &owner];
        let args = [args.as_slice(), &["--count", count, "--for", lasts], more].concat();
        world.run(&args).code()
    };
    assert_eq!(approve("101", "5m", &[]), "standing-count");
    assert_eq!(approve("0", "5m", &[]), "standing-count");
    assert_eq!(approve("5", "25h", &[]), "standing-window");
    // Longer than the delegation.
    assert_eq!(approve("5", "20h", &[]), "standing-too-long");
    assert_eq!(approve("5", "5m", &["--most", "ticket_id=8000"]), "standing-elsewhere");
    assert_eq!(approve("5", "5m", &["--most", "other=1"]), "argument-unknown");
    is_asked(&read(&world, &chain, 8821));
    // A settled question is no occasion.
    world.ok(&["approvals", "deny", &id, "--key", &owner]);
    assert_eq!(approve("5", "5m", &[]), "approval-settled");
}

#[test]
fn a_person_who_denies_a_call_is_heard_before_a_standing_approval() {
    let world = asking();
    let (owner, _) = key(&world, OWNER, "owner-approver.json");
    let chain = tickets(&world);
    let second = is_asked(&read(&world, &chain, 8822));
    let id = is_asked(&read(&world, &chain, 8821));
    world.ok(&["approvals", "deny", &second, "--key", &owner]);
    stand(&world, &id, &owner, "5", &["--one-of", "ticket_id=8821,8822"]);
    assert!(is_allowed(&read(&world, &chain, 8821)));
    assert_eq!(data(&read(&world, &chain, 8822))["code"], "approval-denied");
}

#[test]
fn one_signature_approves_several_calls_and_each_is_proved_by_itself() {
    let world = asking();
    let (owner, _) = key(&world, OWNER, "owner-approver.json");
    let chain = tickets(&world);
    let waiting = [8821, 8822, 8823].map(|n| is_asked(&read(&world, &chain, n)));
    let approve =
        |ids: &[&str]| world.run(&[&["approvals", "approve"], ids, &["--key", &owner]].concat());
    let [first, second, third] = &waiting;
    // Twice the same is no batch; one that is settled takes none with it.
    assert_eq!(approve(&[first, first]).code(), "approval-batch");
    world.ok(&["approvals", "deny", third, "--key", &owner]);
    assert_eq!(approve(&[first, second, third]).code(), "approval-settled");
    is_asked(&read(&world, &chain, 8821));
    let approved = world.ok(&["approvals", "approve", first, second, "--key", &owner]);
    for decided in approved["approvals"].as_array().unwrap() {
        assert_eq!(decided["state"], "approved", "{approved}");
    }
    assert!(is_allowed(&read(&world, &chain, 8821)));
    assert!(is_allowed(&read(&world, &chain, 8822)));
    assert_eq!(data(&read(&world, &chain, 8823))["code"], "approval-denied");
    // Each once.
    is_asked(&read(&world, &chain, 8821));
    let verified = verified(&world);
    let by = &verified["proven"]["authority"]["approval"]["approvers"][0];
    assert_eq!((&by["approver"], &by["grade"]), (&json!(OWNER), &json!("key")), "{verified}");
    world.ok(&["audit", "verify"]);
}

#[test]
fn what_was_signed_goes_with_the_principal_whose_calls_it_is_about() {
    let world = asking();
    let (owner, _) = key(&world, OWNER, "owner-approver.json");
    let chain = tickets(&world);
    let id = is_asked(&read(&world, &chain, 8821));
    let standing = stand(&world, &id, &owner, "9", &[]);
    let show = ["approvals", "standing", "show", &standing];
    assert!(world.ok(&show)["terms"].is_object());
    world.ok(&["principal", "suspend", PRINCIPAL]);
    world.ok(&["audit", "erase", PRINCIPAL, "--yes"]);
    // Without its terms nobody can say what it covers.
    assert_eq!(world.run(&show).code(), "standing-other-digest");
    world.ok(&["audit", "verify"]);
}
