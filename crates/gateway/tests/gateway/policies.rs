//! The organisation's policy at the gateway: it is asked about every call,
//! however it comes, and only the one in force decides.

use std::sync::Arc;

use crate::support::{Raw, World, key, send};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Event, MakerPosition};
use bailiwick_policy::{Bundle, Policies};
use serde_json::{Value, json};

const ALL: &str = r#"@id("all") @reason("everything") permit (principal, action, resource);"#;
/// Data classes are asked for too, so that what is retained has to have them.
const NO_TICKETS: &str = r#"
    @id("all") @reason("everything") permit (principal, action, resource);
    @id("no-tickets") @reason("tickets are closed to agents")
    forbid (principal == Agent::"agent:support-runner", action == Action::"call", resource)
    when { resource.data.contains("ticket") };"#;
const ASK: &str = r#"
    @id("all") @reason("everything") permit (principal, action, resource);
    @id("ask-first") @reason("a person looks at this") @approval
    forbid (principal, action, resource == Tool::"mcp:support-desk:tools/get_ticket");"#;
const OVERFLOWS: &str = r#"
    @id("all") @reason("everything") permit (principal, action, resource);
    @id("sum") @reason("adds up") forbid (principal, action, resource)
    when { context.arguments.integers.hasTag("ticket_id") &&
      context.arguments.integers.getTag("ticket_id") * 9007199254740991 > 0 };"#;

fn bundle(text: &str) -> Arc<Bundle> {
    Arc::new(Bundle::parse([("test.cedar".to_owned(), text.to_owned())]).unwrap())
}

fn policies(enforced: Option<&str>, candidate: Option<&str>) -> Policies {
    Policies { enforced: enforced.map(bundle), candidate: candidate.map(bundle) }
}

async fn ticket(world: &World) -> Raw {
    let (arguments, runner) = (json!({"ticket_id": 8821}), world.runner());
    world
        .call("get_ticket", arguments.clone(), Some(&runner.present("get_ticket", &arguments)))
        .await
}

fn denied(world: &World, raw: &Raw, code: &str) -> Event {
    assert_eq!(raw.json()["error"]["data"]["code"], code, "{}", raw.text);
    let event = world.journal.denials().pop().unwrap();
    assert_eq!(event.subjects.reason.as_deref(), Some(code));
    event
}

fn member(event: &Event, name: &str) -> Option<Object> {
    event.body.member(name)?.as_object().cloned()
}

/// What an entry says that a bundle said.
fn says(event: &Event, name: &str, text: &str, answer: &str, reasons: &[&str]) {
    let word = member(event, name).unwrap_or_else(|| panic!("no `{name}`"));
    assert_eq!(word.member("bundle"), Some(&Json::from(bundle(text).digest())));
    assert_eq!(word.member("answer"), Some(&Json::from(answer)));
    let reasons: Vec<Json> = reasons.iter().map(|r| Json::from(*r)).collect();
    assert_eq!(word.member("reasons"), Some(&Json::Array(reasons)));
}

#[tokio::test]
async fn without_a_policy_in_force_every_call_is_denied() {
    let world = World::new().await;
    for candidate in [None, Some(ALL)] {
        world.catalogue.enforce(policies(None, candidate));
        let event = denied(&world, &ticket(&world).await, "no-policy");
        assert_eq!(member(&event, "policy"), None);
        assert!(ticket(&world).await.text.contains("bailiwick policy publish"));
    }
    assert!(world.tap.of("tools/call").is_empty());
}

#[tokio::test]
async fn a_policy_that_cannot_be_read_denies() {
    let world = World::new().await;
    let runner = world.runner();
    let arguments = json!({"ticket_id": 8821});
    let presented = runner.present("get_ticket", &arguments);
    world.catalogue.set_policies_unavailable(true);
    let raw = world.call("get_ticket", arguments, Some(&presented)).await;
    denied(&world, &raw, "policy-unavailable");
    assert!(world.tap.of("tools/call").is_empty());
    world.catalogue.set_policies_unavailable(false);
    assert!(ticket(&world).await.json()["result"].is_object());
}

#[tokio::test]
async fn the_strictest_word_of_rules_and_policy_counts_and_is_recorded() {
    let world = World::new().await;
    world.catalogue.enforce(policies(Some(ALL), None));
    assert!(ticket(&world).await.json()["result"].is_object());
    let allowed = world.journal.decisions().pop().unwrap().event;
    says(&allowed, "policy", ALL, "allow", &["policy:all"]);
    assert_eq!(member(&allowed, "candidate"), None);

    // Another bundle counts from the next call on.
    world.catalogue.enforce(policies(Some(NO_TICKETS), None));
    let event = denied(&world, &ticket(&world).await, "policy-denied");
    says(&event, "policy", NO_TICKETS, "deny", &["policy:no-tickets"]);
    assert_eq!(event.body.member("rule"), Some(&Json::from("policy:no-tickets")));

    world.catalogue.enforce(policies(Some(ASK), None));
    let event = denied(&world, &ticket(&world).await, "approval-required");
    assert_eq!(event.subjects.decision.as_deref(), Some("approval_required"));
    says(&event, "policy", ASK, "approval_required", &["policy:ask-first"]);

    world.catalogue.enforce(policies(Some(OVERFLOWS), None));
    let event = denied(&world, &ticket(&world).await, "policy-error");
    says(&event, "policy", OVERFLOWS, "deny", &["policy:sum"]);

    world.catalogue.enforce(policies(
        Some(&ALL.replace("resource)", "resource) when { false || context.hops > 7 }")),
        None,
    ));
    denied(&world, &ticket(&world).await, "no-policy");
    assert_eq!(world.journal.decisions().len(), 1);
}

#[tokio::test]
async fn a_candidate_is_recorded_and_neither_decides_nor_shows() {
    let world = World::new().await;
    world.catalogue.enforce(policies(Some(ALL), Some(NO_TICKETS)));
    let raw = ticket(&world).await;
    assert!(raw.json()["result"].is_object(), "{}", raw.text);
    let event = world.journal.decisions().pop().unwrap().event;
    says(&event, "policy", ALL, "allow", &["policy:all"]);
    says(&event, "candidate", NO_TICKETS, "deny", &["policy:no-tickets"]);

    world.catalogue.enforce(policies(Some(NO_TICKETS), Some(ASK)));
    let denial = ticket(&world).await;
    let event = denied(&world, &denial, "policy-denied");
    says(&event, "candidate", ASK, "approval_required", &["policy:ask-first"]);
    for shown in [&raw.text, &denial.text] {
        assert!(!shown.contains("candidate") && !shown.contains("ask-first"), "{shown}");
    }
}

#[tokio::test]
async fn what_policy_looked_at_is_retained_with_the_decision() {
    let world = World::new().await;
    world.catalogue.enforce(policies(Some(ALL), None));
    ticket(&world).await;
    let event = world.journal.decisions().pop().unwrap().event;
    let inputs = event.disclosures.iter().find(|(name, _)| name == "inputs").unwrap();
    let inputs: Value = serde_json::from_str(&inputs.1.value.canonical()).unwrap();
    assert_eq!(inputs["policy"]["bundle"], bundle(ALL).digest().to_string());
    let digest = world.workflow_digest;
    assert_eq!(inputs["workflow_digest"], digest.to_string());
    let tool = "mcp:support-desk:tools/get_ticket".parse().unwrap();
    let rated: Vec<&String> = world.workflow.catalogue.rating(&tool).unwrap().data.iter().collect();
    assert_eq!(inputs["catalogue"]["data"], json!(rated));
    assert!(!rated.is_empty());
    // A decision entry stays small, however many policies there are.
    let many: String = (0..2_000).map(|i| ALL.replace("all", &format!("p{i}"))).collect();
    world.catalogue.enforce(policies(Some(&many), Some(&many)));
    ticket(&world).await;
    let event = world.journal.decisions().pop().unwrap().event;
    assert!(event.seal("gateway:x", MakerPosition::START, &key(3)).is_ok());
    assert_eq!(member(&event, "policy").unwrap().member("more"), Some(&Json::from(1_984u64)));
}

#[tokio::test]
async fn another_enforcement_point_asks_the_same_policy() {
    let world = World::new().await;
    world.catalogue.enforce(policies(Some(NO_TICKETS), None));
    let arguments = json!({"ticket_id": 8821});
    let question = json!({
        "subject": {"type": "agent", "id": "agent:support-runner"},
        "action": {"name": "call", "properties": {"arguments": arguments}},
        "resource": {"type": "tool", "id": "mcp:support-desk:tools/get_ticket"},
        "context": {"io.bailiwick/presentation": world.runner().present("get_ticket", &arguments)},
    });
    let headers = [("content-type", "application/json".to_owned())];
    let url = format!("{}/access/v1/evaluation", world.base);
    let raw = send("POST", &url, &headers, question.to_string()).await;
    assert_eq!(raw.json()["decision"], false, "{}", raw.text);
    let event = world.journal.denials().pop().unwrap();
    assert_eq!(event.body.member("enforcement"), Some(&Json::from("external")));
    says(&event, "policy", NO_TICKETS, "deny", &["policy:no-tickets"]);
}

#[tokio::test]
async fn calls_under_way_are_not_disturbed_by_another_policy() {
    let world = Arc::new(World::new().await);
    world.catalogue.enforce(policies(Some(ALL), None));
    let calls: Vec<_> = (0..16)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { ticket(&world).await })
        })
        .collect();
    for n in 0..50 {
        let text = if n % 2 == 0 { ALL.replace("everything", "all of it") } else { ALL.to_owned() };
        world.catalogue.enforce(policies(Some(&text), None));
        tokio::task::yield_now().await;
    }
    for call in calls {
        assert!(call.await.unwrap().json()["result"].is_object());
    }
}
