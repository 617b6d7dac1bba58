//! Stage 5: what people are asked, and what their word lets pass.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::support::{Holder, Plan, Raw, World, key};
use bailiwick_core::approval::standing::{Bounds, Terms, Use, exactly};
use bailiwick_core::approval::{Question, Signed, Verdict};
use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::ids::{EntryId, PrincipalId, StandingId};
use bailiwick_core::jose::JwsSigner as _;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Event;
use bailiwick_gateway::ports::{HoldRefusal, Spoken, Standing, Used};
use bailiwick_policy::{Bundle, Policies};
use serde_json::json;

pub(crate) const ASK: &str = r#"
    @id("all") @reason("everything") permit (principal, action, resource);
    @id("ask-first") @reason("a person looks at this") @approval
    forbid (principal, action, resource == Tool::"mcp:support-desk:tools/get_ticket");"#;
pub(crate) const WORKFLOW: &str = include_str!("../../../../workflows/support-tickets.yaml");
/// Two of those with the role, whose key files count up to high risk.
const TWO: &str = "approvals: {by: [approvers], needed: 2, key_max_risk: high, wait_seconds: 60}\n";

pub(crate) async fn world() -> World {
    asking(WORKFLOW.to_owned()).await
}

pub(crate) async fn asking(workflow: String) -> World {
    planned(Plan { workflow, ..Plan::default() }).await
}

async fn planned(plan: Plan) -> World {
    let world = World::with(Plan {
        config: Box::new(|config| {
            config.approvals_url = Some("https://console.example/approvals".to_owned());
        }),
        ..plan
    })
    .await;
    enforce(&world, ASK);
    world
}

pub(crate) fn enforce(world: &World, policy: &str) {
    let bundle = Bundle::parse([("test.cedar".to_owned(), policy.to_owned())]).unwrap();
    world.catalogue.enforce(Policies { enforced: Some(Arc::new(bundle)), candidate: None });
}

pub(crate) async fn call(world: &World, holder: &Holder, ticket: i64) -> Raw {
    let arguments = json!({"ticket_id": ticket});
    let presented = holder.present("get_ticket", &arguments);
    world.call("get_ticket", arguments, Some(&presented)).await
}

pub(crate) fn code(raw: &Raw) -> String {
    raw.json()["error"]["data"]["code"].as_str().unwrap_or_default().to_owned()
}

pub(crate) fn asked(world: &World) -> Question {
    world.holds.asked().pop().unwrap().question
}

fn spoken(who: &str, n: u8, verdict: Verdict, signed: Signed) -> Spoken {
    Spoken {
        approver: PrincipalId::parse(who).unwrap(),
        has_role: true,
        groups: BTreeSet::new(),
        verdict,
        signed,
        passkeys: Vec::new(),
        keys: vec![key(n).verifying_key()],
        entry: EntryId::parse("018cc251-f400-7101-8101-010101010101").unwrap(),
    }
}

/// Somebody with the role `approver` and a key file says it.
pub(crate) fn say(world: &World, question: &Question, who: &str, n: u8, verdict: Verdict) {
    let signed = Signed::Key(question.sign(verdict, &key(n)).unwrap());
    world.holds.say(&question.id, spoken(who, n, verdict, signed));
}

pub(crate) fn approve(world: &World) -> Question {
    let question = asked(world);
    say(world, &question, "user:9", 9, Verdict::Approve);
    question
}

fn member<'e>(event: &'e Event, name: &str) -> &'e Object {
    event.body.member(name).and_then(Json::as_object).unwrap()
}

pub(crate) fn upstream_calls(world: &World) -> usize {
    world.tap.seen().iter().filter(|m| m.method() == "tools/call").count()
}

#[tokio::test]
async fn a_call_waits_and_passes_once_after_a_person_approved_it() {
    let world = world().await;
    let runner = world.runner();
    let raw = call(&world, &runner, 8821).await;
    assert_eq!(code(&raw), "approval-required");
    let question = asked(&world);
    let data = &raw.json()["error"]["data"];
    assert_eq!(data["approval"]["id"], question.id.as_str());
    let url = format!("https://console.example/approvals/{}", question.id);
    assert_eq!(data["approval"]["url"], url);
    assert_eq!(data["retry_after"], 2);
    let event = world.journal.denials().pop().unwrap();
    assert_eq!(data["decision_id"], event.id.as_str());
    assert_eq!(event.subjects.decision.as_deref(), Some("approval_required"));
    assert_eq!(event.body.member("action_digest"), Some(&Json::from(question.action)));
    assert_eq!(member(&event, "approval").member("id"), Some(&Json::from(&question.id)));

    // It comes again: the same question, and nothing new in the ledger.
    let again = call(&world, &runner, 8821).await;
    assert_eq!(again.json()["error"]["data"], raw.json()["error"]["data"]);
    assert_eq!((world.holds.asked().len(), world.journal.denials().len()), (1, 1));
    assert_eq!(upstream_calls(&world), 0);

    approve(&world);
    let passed = call(&world, &runner, 8821).await;
    assert!(passed.json()["result"].is_object(), "{}", passed.text);
    let record = world.journal.decisions().pop().unwrap();
    assert_eq!(record.used.unwrap().approval().unwrap().question, question);
    let event = record.event;
    // What was approved is what the entry says happened.
    assert_eq!(event.body.member("action_digest"), Some(&Json::from(question.action)));
    let approval = member(&event, "approval");
    assert_eq!(approval.member("id"), Some(&Json::from(&question.id)));
    assert_eq!(approval.member("grade"), Some(&Json::from("key")));
    let (_, action) = event.disclosures.iter().find(|(name, _)| name == "action").unwrap();
    assert_eq!(sha256(action.value.canonical().as_bytes()), question.action);

    // A second use asks anew.
    let second = call(&world, &runner, 8821).await;
    assert_eq!(code(&second), "approval-required");
    assert_ne!(asked(&world).id, question.id);
    assert_eq!(upstream_calls(&world), 1);
}

#[tokio::test]
async fn an_approval_is_for_these_arguments_and_this_delegation_only() {
    let world = world().await;
    let open = world.issue(1, &["tickets:note", "ticket:8821", "ticket:8822"], |_| ());
    let runner = world.holder(1, vec![open]);
    call(&world, &runner, 8821).await;
    let first = approve(&world);
    // Other arguments.
    assert_eq!(code(&call(&world, &runner, 8822).await), "approval-required");
    // Another delegation of the same agent for the same task.
    let other = world.runner();
    assert_eq!(code(&call(&world, &other, 8821).await), "approval-required");
    assert_eq!(world.holds.asked().len(), 3);
    assert!(world.holds.asked().iter().skip(1).all(|hold| hold.question.id != first.id));
    assert_eq!(upstream_calls(&world), 0);
    assert!(call(&world, &runner, 8821).await.json()["result"].is_object());
}

#[tokio::test]
async fn under_another_policy_people_are_asked_anew() {
    let world = world().await;
    let runner = world.runner();
    call(&world, &runner, 8821).await;
    let first = approve(&world);
    enforce(
        &world,
        &format!(
            "{ASK}\n// changed\n@id(\"more\") @reason(\"r\") permit (principal, action, resource);"
        ),
    );
    assert_eq!(code(&call(&world, &runner, 8821).await), "approval-required");
    let hold = world.holds.asked().pop().unwrap();
    assert_ne!(hold.question.id, first.id);
    assert_eq!(hold.replaces, Some(first.id));
    assert_eq!(upstream_calls(&world), 0);
}

#[tokio::test]
async fn a_denial_is_told_and_no_signature_for_deny_lets_a_call_pass() {
    let world = world().await;
    let runner = world.runner();
    call(&world, &runner, 8821).await;
    let question = asked(&world);
    // A signed denial that is presented as an approval.
    let denial = Signed::Key(question.sign(Verdict::Deny, &key(9)).unwrap());
    let presented = spoken("user:9", 9, Verdict::Approve, denial);
    world.holds.say(&question.id, presented);
    assert_eq!(code(&call(&world, &runner, 8821).await), "approval-required");
    say(&world, &question, "user:8", 8, Verdict::Deny);
    assert_eq!(code(&call(&world, &runner, 8821).await), "approval-denied");
    let event = world.journal.denials().pop().unwrap();
    assert_eq!(event.subjects.reason.as_deref(), Some("approval-denied"));
    assert_eq!(event.body.member("stage"), Some(&Json::from("approval")));
    assert_eq!(upstream_calls(&world), 0);
}

#[tokio::test]
async fn a_forged_verdict_and_one_for_another_question_are_nothing() {
    let world = world().await;
    let runner = world.runner();
    call(&world, &runner, 8821).await;
    let question = asked(&world);
    let forged = Signed::Key(question.sign(Verdict::Approve, &key(66)).unwrap());
    world.holds.say(&question.id, spoken("user:9", 9, Verdict::Approve, forged));
    let other = Question { action: sha256(b"another"), ..question.clone() };
    let spliced = Signed::Key(other.sign(Verdict::Approve, &key(8)).unwrap());
    world.holds.say(&question.id, spoken("user:8", 8, Verdict::Approve, spliced));
    assert_eq!(code(&call(&world, &runner, 8821).await), "approval-required");
    assert_eq!(upstream_calls(&world), 0);
}

#[tokio::test]
async fn an_approver_who_lost_the_right_meanwhile_lets_nothing_pass() {
    let world = world().await;
    let runner = world.runner();
    call(&world, &runner, 8821).await;
    approve(&world);
    world.holds.take_roles();
    assert_eq!(code(&call(&world, &runner, 8821).await), "approval-required");
    assert_eq!(upstream_calls(&world), 0);
}

#[tokio::test]
async fn as_many_as_the_workflow_asks_for_must_approve_in_its_time() {
    let world = asking(WORKFLOW.replacen("tool_servers:", &format!("{TWO}tool_servers:"), 1)).await;
    let runner = world.runner();
    call(&world, &runner, 8821).await;
    let question = asked(&world);
    say(&world, &question, "user:9", 9, Verdict::Approve);
    assert_eq!(code(&call(&world, &runner, 8821).await), "approval-required");
    // The same person again, with the same key.
    say(&world, &question, "user:9", 9, Verdict::Approve);
    assert_eq!(code(&call(&world, &runner, 8821).await), "approval-required");
    say(&world, &question, "user:8", 8, Verdict::Approve);
    world.host.step(61_000);
    assert_eq!(code(&call(&world, &runner, 8821).await), "approval-required");
    assert_ne!(asked(&world).id, question.id);
    assert_eq!(upstream_calls(&world), 0);
    let question = asked(&world);
    say(&world, &question, "user:9", 9, Verdict::Approve);
    say(&world, &question, "user:8", 8, Verdict::Approve);
    assert!(call(&world, &runner, 8821).await.json()["result"].is_object());
}

#[tokio::test]
async fn a_revocation_while_a_call_waits_counts() {
    let world = world().await;
    let runner = world.runner();
    call(&world, &runner, 8821).await;
    approve(&world);
    world.registry.revoke_token(runner.leaf_hash());
    assert_eq!(code(&call(&world, &runner, 8821).await), "revoked");
    assert_eq!(upstream_calls(&world), 0);
}

#[tokio::test]
async fn of_two_calls_at_once_one_uses_the_approval() {
    // Both have read the approval when the first is recorded.
    let latency = std::time::Duration::from_millis(500);
    let world = planned(Plan { latency, ..Plan::default() }).await;
    let runner = world.runner();
    call(&world, &runner, 8821).await;
    approve(&world);
    let (one, two) = tokio::join!(call(&world, &runner, 8821), call(&world, &runner, 8821));
    let (passed, denied): (Vec<_>, Vec<_>) =
        [&one, &two].into_iter().partition(|raw| raw.json()["result"].is_object());
    assert_eq!((passed.len(), upstream_calls(&world)), (1, 1), "{} {}", one.text, two.text);
    assert_eq!(code(denied[0]), "approval-spent");
    let spent = world.journal.denials().pop().unwrap();
    assert_eq!(spent.subjects.reason.as_deref(), Some("approval-spent"));
}

#[tokio::test]
async fn where_nothing_can_be_read_or_too_much_is_asked_the_call_is_denied_by_name() {
    for (fault, expected) in
        [(HoldRefusal::Unavailable, "approval-unavailable"), (HoldRefusal::Flood, "approval-flood")]
    {
        let world = world().await;
        world.holds.set_fault(Some(fault));
        assert_eq!(code(&call(&world, &world.runner(), 8821).await), expected);
        let event = world.journal.denials().pop().unwrap();
        assert_eq!(event.subjects.reason.as_deref(), Some(expected));
        assert_eq!(upstream_calls(&world), 0);
    }
}

/// Somebody with the role `approver` signed that calls like the one that was
/// asked about last are the same again, so many times.
fn stand(world: &World, count: u64, edit: impl FnOnce(Terms) -> Terms) -> Terms {
    stand_for(world, "agent:support-runner", count, edit)
}

/// The same for another agent's question.
fn stand_for(world: &World, agent: &str, count: u64, edit: impl FnOnce(Terms) -> Terms) -> Terms {
    let hold = world.holds.asked().pop().unwrap();
    let (_, action) = hold.event.disclosures.iter().find(|(name, _)| name == "action").unwrap();
    let action = action.value.as_object().unwrap();
    let pin = action.member("pin").and_then(Json::as_str).and_then(Digest::from_text);
    let arguments = action.member("arguments").and_then(Json::as_object).unwrap();
    let call = Use {
        root: hold.root,
        tool: hold.tool.as_str(),
        pin,
        arguments,
        policy: hold.question.policy,
        rule: &hold.question.rule,
    };
    let from = hold.event.time;
    let until = from.plus_seconds(300);
    let bounds = Bounds { arguments: exactly(arguments).unwrap(), count, from, until };
    let id = StandingId::mint(from, [5; 10]);
    let terms = edit(Terms::new(id, hold.tool.clone(), &call, bounds).unwrap());
    let signed = Signed::Key(terms.sign(&key(9)).unwrap());
    let signed = vec![spoken("user:9", 9, Verdict::Approve, signed)];
    let agent = agent.parse().unwrap();
    world.holds.stand(Standing { agent, terms: terms.clone(), signed, relying_party: None });
    terms
}

#[tokio::test]
async fn a_call_within_signed_terms_passes_as_often_as_they_say() {
    let world = world().await;
    let runner = world.runner();
    call(&world, &runner, 8821).await;
    let question = asked(&world);
    let terms = stand(&world, 2, |terms| terms);
    assert!(call(&world, &runner, 8821).await.json()["result"].is_object());
    let record = world.journal.decisions().pop().unwrap();
    let Some(Used::Standing(used)) = record.used else { panic!("a standing approval") };
    assert_eq!((&used.terms, used.answers), (&terms, Some(question.id)));
    let approval = member(&record.event, "approval");
    assert_eq!(approval.member("standing"), Some(&Json::from(&terms.id)));
    assert_eq!(approval.member("grade"), Some(&Json::from("key")));
    assert!(call(&world, &runner, 8821).await.json()["result"].is_object());
    assert_eq!(code(&call(&world, &runner, 8821).await), "approval-required");
    assert_eq!(upstream_calls(&world), 2);
}

#[tokio::test]
async fn a_standing_approval_is_for_the_agent_that_people_saw() {
    let world = world().await;
    let runner = world.runner();
    call(&world, &runner, 8821).await;
    // Both work under one root: the runner passed its delegation on to the reader.
    stand_for(&world, "agent:order-reader", 2, |terms| terms);
    assert_eq!(code(&call(&world, &runner, 8821).await), "approval-required");
    assert_eq!(upstream_calls(&world), 0);
}

#[tokio::test]
async fn terms_for_another_call_or_time_let_nothing_pass() {
    let elsewhere: [fn(Terms) -> Terms; 5] = [
        |mut terms| {
            terms.root = sha256(b"another");
            terms
        },
        |mut terms| {
            terms.pin = Some(sha256(b"changed"));
            terms
        },
        |mut terms| {
            terms.policy = sha256(b"older");
            terms
        },
        |mut terms| {
            terms.rule = "policy:another".to_owned();
            terms
        },
        |mut terms| {
            terms.from = terms.from.plus_seconds(200);
            terms
        },
    ];
    for edit in elsewhere {
        let world = world().await;
        let runner = world.runner();
        call(&world, &runner, 8821).await;
        stand(&world, 2, edit);
        assert_eq!(code(&call(&world, &runner, 8821).await), "approval-required");
        assert_eq!(upstream_calls(&world), 0);
    }
    // Other arguments, and after the end.
    let world = world().await;
    let open = world.issue(1, &["ticket:8821", "ticket:8822"], |_| ());
    let runner = world.holder(1, vec![open]);
    call(&world, &runner, 8821).await;
    stand(&world, 9, |terms| terms);
    assert_eq!(code(&call(&world, &runner, 8822).await), "approval-required");
    assert!(call(&world, &runner, 8821).await.json()["result"].is_object());
    world.host.step(300_000);
    assert_eq!(code(&call(&world, &runner, 8821).await), "approval-required");
}

#[tokio::test]
async fn who_signed_and_lost_the_right_and_who_signed_something_else_let_nothing_pass() {
    let world = world().await;
    let runner = world.runner();
    call(&world, &runner, 8821).await;
    stand(&world, 9, |terms| terms);
    assert!(call(&world, &runner, 8821).await.json()["result"].is_object());
    world.holds.take_roles();
    assert_eq!(code(&call(&world, &runner, 8821).await), "approval-required");
    // The signature of a verdict presented as one on terms.
    let question = asked(&world);
    let verdict = Signed::Key(question.sign(Verdict::Approve, &key(9)).unwrap());
    let terms = stand(&world, 9, |mut terms| {
        terms.count = 8;
        terms
    });
    let forged = vec![spoken("user:9", 9, Verdict::Approve, verdict)];
    let mut other = terms;
    other.count = 7;
    let forged = Standing {
        agent: "agent:support-runner".parse().unwrap(),
        terms: other,
        signed: forged,
        relying_party: None,
    };
    world.holds.take_roles();
    world.holds.stand(forged);
    assert_eq!(code(&call(&world, &runner, 8821).await), "approval-required");
}
