//! What denials leave behind: no caller's words in the clear, what was sent,
//! what the decision stood on, the derived tokens that were seen, and a count
//! of those that could not be written.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{Holder, Plan, SERVER, World, body, headers, key, send, strict};
use bailiwick_core::aat::make;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Event, MakerPosition};
use bailiwick_core::limits::ChainLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_demo::agent::Presentation;
use bailiwick_gateway::testing::Fault;
use serde_json::{Value, json};

const YAML: &str = include_str!("../../../../workflows/support-tickets.yaml");
/// A name, and a birthday, that nobody but the caller ever wrote.
const CANARY: &str = "tell alice@example.com, born 1970";

fn disclosed(event: &Event, field: &str) -> Option<Json> {
    let found = event.disclosures.iter().find(|(name, _)| name == field);
    found.map(|(_, disclosure)| disclosure.value.clone())
}

fn member(event: &Event, field: &str, name: &str) -> Option<Json> {
    disclosed(event, field)?.as_object()?.member(name).cloned()
}

fn last(world: &World) -> Event {
    world.journal.denials().pop().unwrap()
}

fn reason(event: &Event) -> &str {
    event.subjects.reason.as_deref().unwrap()
}

/// Sends `method` of `name` to any server, as any caller.
async fn ask(world: &World, server: &str, method: &str, name: &str, holder: Option<&Holder>) {
    let kind = method.split_once('/').unwrap().0;
    let arguments = json!({});
    let presented = holder.map(|holder| {
        let tool = format!("mcp:{server}:{kind}/{name}");
        Presentation {
            aat_chain: holder.chain.clone(),
            aat_pop: holder.proof(&tool, &Object::new(), |_| ()),
        }
    });
    let mut body = body(name, &arguments, presented.as_ref());
    body["method"] = json!(method);
    let mut headers = headers(name);
    headers.retain(|(name, _)| *name != "mcp-method");
    headers.push(("mcp-method", method.to_owned()));
    let url = format!("{}/mcp/{server}", world.base);
    let answer = send("POST", &url, &headers, body.to_string()).await;
    assert!(answer.json()["error"].is_object(), "{}", answer.text);
}

#[tokio::test]
async fn names_that_a_caller_made_up_stand_in_no_leaf() {
    let world = World::new().await;
    let runner = world.runner();
    let thief = Holder { key: key(66), ..world.holder(1, runner.chain.clone()) };
    let callers = [
        (Some(&*runner), "tool-not-delegated", "tool"),
        (Some(&thief), "proof-invalid", "claimed"),
        (None, "presentation-missing", "claimed"),
    ];
    for (caller, expected, field) in callers {
        for (server, method, name) in [
            (SERVER, "tools/call", CANARY),
            (SERVER, "prompts/get", CANARY),
            ("alice-born-1970", "tools/call", "get_ticket"),
        ] {
            ask(&world, server, method, name, caller).await;
            let event = last(&world);
            assert_eq!(reason(&event), expected);
            let leaf = event.seal("gateway:x", MakerPosition::START, &key(3)).unwrap().bytes;
            let leaf = String::from_utf8(leaf).unwrap();
            assert!(!leaf.contains("alice") && !leaf.contains("1970"), "{leaf}");
            assert_eq!(event.subjects.tool, None);
            // The operator can still read it.
            let kept = disclosed(&event, field).unwrap().canonical();
            assert!(kept.contains("alice"), "{kept}");
        }
    }
}

#[tokio::test]
async fn names_that_the_operator_gave_are_written_as_they_are() {
    let world = World::new().await;
    let runner = world.runner();
    for (method, name) in [("tools/call", "refund_order"), ("prompts/get", "reply_to_ticket")] {
        ask(&world, SERVER, method, name, Some(&runner)).await;
        let event = last(&world);
        let kind = method.split_once('/').unwrap().0;
        let tool = format!("mcp:{SERVER}:{kind}/{name}");
        assert_eq!(event.subjects.tool.as_deref(), Some(tool.as_str()));
        assert_eq!(event.body.member("server"), Some(&Json::from(SERVER)));
        assert_eq!(disclosed(&event, "tool"), None);
    }
}

#[tokio::test]
async fn a_strangers_arguments_are_kept_up_to_a_bound() {
    let world = World::new().await;
    let thief = Holder { key: key(66), ..world.holder(1, world.runner().chain.clone()) };
    let sent = |arguments: Value| {
        let (world, thief) = (&world, &thief);
        async move {
            let presented = thief.present("get_ticket", &arguments);
            world.call("get_ticket", arguments, Some(&presented)).await;
            last(world)
        }
    };
    let event = sent(json!({"ticket_id": 8821})).await;
    assert_eq!(reason(&event), "proof-invalid");
    assert_eq!(member(&event, "claimed", "arguments"), Some(strict(r#"{"ticket_id":8821}"#)));
    let event = sent(json!({"text": "x".repeat(17_000)})).await;
    assert_eq!(member(&event, "claimed", "arguments"), None);
    assert_eq!(member(&event, "claimed", "argument_bytes"), Some(Json::from(17_011u64)));
}

/// What the denial says of the tool: risk and pin, in the leaf and retained.
fn assert_ground(event: &Event, risk: &str, level: &str) {
    let catalogue = member(event, "inputs", "catalogue").expect("the catalogue is retained");
    let catalogue = catalogue.as_object().unwrap();
    let text = |name: &str| catalogue.member(name).and_then(Json::as_str).map(str::to_owned);
    assert_eq!((text("risk").as_deref(), text("level").as_deref()), (Some(risk), Some(level)));
    assert_eq!(event.body.member("risk"), Some(&Json::from(risk)));
    assert!(text("pin").is_some());
    assert_eq!(event.body.member("pin"), catalogue.member("pin"));
    assert!(member(event, "inputs", "policy").is_some());
}

#[tokio::test]
async fn a_denial_retains_the_catalogue_and_what_policy_looked_at() {
    // By policy.
    let manual = YAML.replace("level: bounded", "level: manual");
    let world = World::with(Plan { workflow: manual, ..Plan::default() }).await;
    let holder = world.holder(1, vec![world.issue(1, &["ticket:8821:note"], |_| ())]);
    let note = json!({"ticket_id": 8821, "text": "hello"});
    world.call("add_note", note.clone(), Some(&holder.present("add_note", &note))).await;
    assert_eq!(reason(&last(&world)), "approval-required");
    assert_ground(&last(&world), "medium", "manual");

    // By the workflow, before the rules were asked.
    let one = YAML.replace("  - agent:support-runner\n", "");
    let world = World::with(Plan { workflow: one, ..Plan::default() }).await;
    let ticket = json!({"ticket_id": 8821});
    let runner = world.runner();
    let call = async |world: &World, holder: &Holder, name: &str, arguments: &Value| {
        let presented = holder.present(name, arguments);
        world.call(name, arguments.clone(), Some(&presented)).await;
        last(world)
    };
    let event = call(&world, &runner, "get_ticket", &ticket).await;
    assert_eq!(reason(&event), "policy-denied");
    assert_ground(&event, "low", "bounded");

    // By the schema, by the budget, by a record that failed.
    let world = World::new().await;
    let runner = world.runner();
    let event = call(&world, &runner, "list_orders", &json!({"customer_id": 1.5})).await;
    assert_eq!(reason(&event), "arguments-invalid");
    assert_ground(&event, "low", "bounded");
    let spent =
        world.issue(1, &["ticket:8821"], |c| c.budget = Object::new().with("max_calls", 0u64));
    let spent = world.holder(1, vec![spent]);
    let event = call(&world, &spent, "get_ticket", &ticket).await;
    assert_eq!(reason(&event), "budget-spent");
    assert_ground(&event, "low", "bounded");
    world.journal.set_fault(Fault::Record);
    let event = call(&world, &runner, "get_ticket", &ticket).await;
    assert_eq!(reason(&event), "record-unavailable");
    assert_ground(&event, "low", "bounded");

    // What was stopped before the catalogue knows nothing of it.
    let event = call(&world, &runner, "get_ticket", &json!({"ticket_id": 9000})).await;
    assert_eq!(reason(&event), "argument-not-delegated");
    assert_eq!(member(&event, "inputs", "catalogue"), None);
    assert_eq!(event.body.member("risk"), None);
}

#[tokio::test]
async fn a_derived_token_is_seen_when_its_first_call_is_denied() {
    let world = World::new().await;
    let runner = world.runner();
    let mut content = world.content(2, world.scope(&["order:1:read"]));
    let end = content.exp - 60;
    content.exp = end;
    let child = make::derive(runner.leaf(), &content, &key(1), &ChainLimits::DEFAULT).unwrap();
    // And a grandchild, back to the runner, that ends still earlier.
    let mut content = world.content(1, world.scope(&["order:1:read"]));
    content.exp = end - 60;
    let grandchild = make::derive(&child, &content, &key(2), &ChainLimits::DEFAULT).unwrap();
    let chain = vec![runner.leaf().to_owned(), child, grandchild];
    let seen = |n: usize| make::Seen::parse(&chain[n], &ChainLimits::DEFAULT).unwrap().hash;
    let arguments = json!({"order_id": 2});
    let stranger = Holder { key: key(66), ..world.holder(1, chain.clone()) };
    let holder = world.holder(1, chain.clone());
    for (who, expected, count) in
        [(&stranger, "proof-invalid", 0), (&holder, "argument-not-delegated", 2)]
    {
        let presented = who.present("get_order", &arguments);
        world.call("get_order", arguments.clone(), Some(&presented)).await;
        assert_eq!(reason(&last(&world)), expected);
        assert_eq!(world.journal.derived().len(), count);
    }
    let derived = world.journal.derived();
    for (n, (agent, ends)) in
        [("agent:order-reader", end), ("agent:support-runner", end - 60)].into_iter().enumerate()
    {
        let one = &derived[n];
        assert_eq!((one.token, one.parent, one.root), (seen(n + 1), seen(n), seen(0)));
        assert_eq!(one.depth, u32::try_from(n + 1).unwrap());
        assert_eq!(one.agent.as_str(), agent);
        // Each has its own end, not the chain's.
        assert_eq!(one.expires, Timestamp::from_seconds(ends));
    }
}

#[tokio::test]
async fn denials_that_could_not_be_written_are_counted_and_the_count_is() {
    let world = Arc::new(World::new().await);
    let runner = world.runner();
    let arguments = json!({"ticket_id": 9000});
    world.journal.set_fault(Fault::Denial);
    for _ in 0..3 {
        let presented = runner.present("get_ticket", &arguments);
        let answer = world.call("get_ticket", arguments.clone(), Some(&presented)).await;
        assert_eq!(answer.code(), "argument-not-delegated");
    }
    assert!(world.journal.denials().is_empty());
    // The first attempt to write the count fails as well; it is not lost.
    tokio::time::sleep(Duration::from_millis(5_500)).await;
    assert!(world.journal.denials().is_empty());
    world.journal.set_fault(Fault::None);
    assert!(world.gateway.drain(Duration::from_secs(10)).await);
    let denials = world.journal.denials();
    assert_eq!(denials.len(), 1);
    assert_eq!(denials[0].kind.as_str(), "denials.suppressed");
    let number = |name: &str| denials[0].body.member(name)?.as_number()?.as_plain_integer();
    assert_eq!((number("count"), number("unwritten")), (Some(3), Some(3)));
}
