//! Calls that wait for a person: from the question to the one call that happens,
//! and the proof of it.

use std::fs;
use std::path::Path;

use bailiwick_testkit::http::Response;
use bailiwick_testkit::present::{Call, Chain};
use bailiwick_testkit::world::{OWNER, command};
use bailiwick_testkit::{Answer, World};
use serde_json::{Value, json};

use crate::EXE;
use crate::concurrency::{CROWD, at_once};

const ASK: &str = r#"
@id("all")
@reason("the rules decide")
permit (principal, action, resource);
@id("ask-first")
@reason("a person looks at this")
@approval
forbid (principal, action, resource == Tool::"mcp:support-desk:tools/get_ticket");
"#;

/// A world in which reading a ticket takes a person, from the gateway's first call on.
pub(crate) fn asking() -> World {
    let mut world = World::new(EXE);
    ask_first(&mut world, ASK);
    world
}

/// This policy is in force when it serves again.
pub(crate) fn ask_first(world: &mut World, policy: &str) {
    world.stop_serve();
    let folder = world.path("asking");
    fs::create_dir_all(&folder).unwrap();
    fs::write(Path::new(&folder).join("ask.cedar"), policy).unwrap();
    world.ok(&["policy", "publish", &folder]);
    world.start_serve();
}

/// The key with which somebody signs verdicts.
pub(crate) fn key(world: &World, who: &str, file: &str) -> (String, Value) {
    let path = world.path(file);
    let made = world.ok(&["approvals", "key", "new", "--for", who, "--out", &path]);
    (path, made)
}

pub(crate) fn ticket(world: &World, chain: &Chain) -> Response {
    world.call(chain, "get_ticket", json!({"ticket_id": 8821}))
}

fn ticket_of(world: &World, chain: &Chain, id: u64) -> Response {
    world.call(chain, "get_ticket", json!({"ticket_id": id}))
}

pub(crate) fn data(answer: &Response) -> Value {
    answer.json()["error"]["data"].clone()
}

pub(crate) fn is_asked(answer: &Response) -> String {
    let data = data(answer);
    assert_eq!(data["code"], "approval-required", "{data}");
    data["approval"]["id"].as_str().unwrap_or_else(|| panic!("{data}")).to_owned()
}

pub(crate) fn first_question(world: &World, chain: &Chain) -> String {
    is_asked(&ticket(world, chain))
}

pub(crate) fn is_allowed(answer: &Response) -> bool {
    answer.json()["result"].is_object()
}

#[test]
fn of_twenty_approved_calls_at_once_exactly_one_spends_the_approval() {
    let world = asking();
    let (owner, _) = key(&world, OWNER, "owner-approver.json");
    let chain = world.chain();
    let id = first_question(&world, &chain);
    world.ok(&["approvals", "approve", &id, "--key", &owner]);
    let before = world.executed().len();
    // Each with its own proof: nothing but the approval is used twice.
    let call = || Call::new(&chain, &world.runner.key, "get_ticket", json!({"ticket_id": 8821}));
    let calls: Vec<Call> = std::iter::repeat_with(call).take(CROWD).collect();
    let answers = at_once(&world, &calls);
    let (passed, denied): (Vec<_>, Vec<_>) = answers.iter().partition(|a| is_allowed(a));
    assert_eq!(passed.len(), 1, "{:?}", answers.iter().map(Response::text).collect::<Vec<_>>());
    assert_eq!(world.executed().len(), before + 1);
    for answer in denied {
        // Whoever came when it was spent already asks anew.
        let code = data(answer)["code"].clone();
        assert!(code == "approval-spent" || code == "approval-required", "{}", answer.text());
    }
}

#[test]
fn what_a_person_approved_happens_once_and_its_evidence_names_them() {
    let mut world = asking();
    let (owner, made) = key(&world, OWNER, "owner-approver.json");
    assert!(made["trusted"].is_string(), "{made}");
    let chain = world.chain();
    let before = world.executed().len();
    let id = first_question(&world, &chain);
    // On the command line it is told in words, with what comes next.
    let (file, key) = (chain.path(), world.runner.key_file());
    let url = world.endpoint();
    let mut waits = command(Path::new(EXE), world.base.path());
    waits.args(["call", "--url", &url, "--chain", &file, "--key", &key]);
    let waits = Answer::of(waits.args(["get_ticket", "ticket_id=8821"]));
    assert_eq!(waits.status, 1, "{}{}", waits.out, waits.err);
    assert!(waits.out.contains(&format!("bailiwick approvals show {id}")), "{}", waits.out);
    assert!(!waits.out.contains('{'), "{}", waits.out);
    assert_eq!(is_asked(&ticket(&world, &chain)), id);
    assert_eq!(world.executed().len(), before);

    let listed = world.ok(&["approvals", "list"]);
    assert_eq!(listed["approvals"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed["approvals"][0]["approval"], id.as_str());
    let shown = world.ok(&["approvals", "show", &id]);
    assert_eq!(shown["recomputed"], true, "{shown}");
    assert_eq!(shown["action"]["arguments"]["ticket_id"], 8821, "{shown}");
    let approved = world.ok(&["approvals", "approve", &id, "--key", &owner, "--note", "looked"]);
    assert_eq!(approved["state"], "approved", "{approved}");

    // Nothing happens by itself, and the approval outlives a restart.
    assert_eq!(world.executed().len(), before);
    world.stop_serve();
    world.start_serve();
    let answer = ticket(&world, &chain);
    assert!(is_allowed(&answer), "{}", answer.text());
    assert_eq!(world.executed().len(), before + 1);

    // A second use is another question.
    let second = is_asked(&ticket(&world, &chain));
    assert_ne!(second, id);
    let all = world.ok(&["approvals", "list", "--all"]);
    let states: Vec<&str> =
        all["approvals"].as_array().unwrap().iter().map(|a| a["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["pending", "spent"]);

    // Under the policy in force nothing would be otherwise: the approval is given.
    let replayed = world.ok(&["policy", "replay", &world.path("asking")]);
    assert_eq!((&replayed["flipped"], &replayed["approved"]), (&json!(0), &json!(1)), "{replayed}");

    let found = world.ok(&["audit", "query", "--decision", "allow"]);
    let action = found["actions"][0]["action"].as_str().unwrap_or_else(|| panic!("{found}"));
    let (bundle, trust) = (world.path("evidence.json"), world.path("trust.json"));
    world.ok(&["evidence", "get", action, "-o", &bundle]);
    world.ok(&["keys", "trust", "-o", &trust]);
    let nowhere = world.base.path().join("nowhere");
    let verified = world.run_on(&nowhere, &["evidence", "verify", &bundle, "--trust", &trust]);
    let verified = verified.json();
    let approver = verified.pointer("/proven/authority/approval/approvers/0");
    let approver = approver.unwrap_or_else(|| panic!("{verified}"));
    assert_eq!((&approver["approver"], &approver["grade"]), (&json!(OWNER), &json!("key")));
    world.ok(&["audit", "verify"]);
}

#[test]
fn a_denial_is_told_and_whoever_may_not_decide_is_refused_by_name() {
    let world = asking();
    let (owner, _) = key(&world, OWNER, "owner-approver.json");
    let (late, _) = key(&world, OWNER, "late.json");
    let (other, _) = key(&world, "user:142", "other.json");
    let chain = world.chain();
    let id = first_question(&world, &chain);
    let approve = |key: &str| world.run(&["approvals", "approve", &id, "--key", key]);
    // A key that is new counts tomorrow; whoever is not named never does.
    assert_eq!(approve(&late).code(), "approval-signer-not-enrolled");
    assert_eq!(approve(&other).code(), "approver-not-named");
    assert_eq!(is_asked(&ticket(&world, &chain)), id);

    let denied = world.ok(&["approvals", "deny", &id, "--key", &owner, "--note", "not this one"]);
    assert_eq!(denied["state"], "denied");
    assert_eq!(data(&ticket(&world, &chain))["code"], "approval-denied");
    assert_eq!(approve(&owner).code(), "approval-settled");
    assert!(world.executed().iter().all(|call| call.tool != "get_ticket"));
    let shown = world.ok(&["approvals", "show", &id]);
    assert_eq!(shown["verdicts"][0]["note"], "not this one", "{shown}");
}

#[test]
fn an_owner_who_offboards_or_a_stopped_agent_ends_what_waits() {
    let world = asking();
    let (owner, _) = key(&world, OWNER, "owner-approver.json");
    let chain = world.chain();
    let id = first_question(&world, &chain);
    world.ok(&["approvals", "approve", &id, "--key", &owner]);
    world.ok(&["agent", "suspend", "agent:support-runner"]);
    assert!(!is_allowed(&ticket(&world, &chain)));
    world.ok(&["agent", "resume", "agent:support-runner"]);
    // The approver is stopped: what they said counts no more.
    world.ok(&["principal", "suspend", OWNER]);
    let answer = ticket(&world, &chain);
    assert!(!is_allowed(&answer), "{}", answer.text());
    assert!(world.executed().iter().all(|call| call.tool != "get_ticket"));
}

#[test]
fn a_task_that_asks_too_often_is_stopped_until_an_owner_resumes_it() {
    let world = asking();
    let (owner, _) = key(&world, OWNER, "owner-approver.json");
    world.ok(&["principal", "role", OWNER, "owner"]);
    let scope: Vec<String> = (1..=22).map(|n| format!("ticket:{n}")).collect();
    let scope: Vec<&str> = scope.iter().map(String::as_str).collect();
    let chain = world.delegate(&scope, &[]);
    let mut codes = Vec::new();
    for n in 1..=22 {
        let answer = world.call(&chain, "get_ticket", json!({"ticket_id": n}));
        codes.push(data(&answer)["code"].as_str().unwrap_or_default().to_owned());
    }
    assert_eq!(codes.iter().filter(|code| *code == "approval-required").count(), 20, "{codes:?}");
    assert_eq!(codes[20..], ["approval-flood", "stopped"], "{codes:?}");

    let stops = world.ok(&["stops", "list"]);
    let [stop] = &stops["stops"].as_array().unwrap()[..] else { panic!("{stops}") };
    assert_eq!((&stop["by"], &stop["reason"]), (&json!("gateway"), &json!("approval-flood")));
    assert!(stop["target"].as_str().unwrap().starts_with("task:"), "{stop}");
    let entry = world.ok(&["audit", "show", stop["entry"].as_str().unwrap()]);
    assert!(entry.to_string().contains("approval-flood"), "{entry}");
    // Others ask as before.
    let other = world.chain();
    is_asked(&ticket(&world, &other));
    let id = stop["stop"].as_str().unwrap();
    world.ok(&["resume", id, "--key", &owner]);
    crate::stops::followed();
    assert_eq!(data(&ticket_of(&world, &chain, 1))["code"], "approval-required");
    world.ok(&["audit", "verify"]);
}
