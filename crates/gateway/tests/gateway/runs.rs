//! Runs: the tools by which agents speak of them, and the link of every call.

use bailiwick_core::aat::make;
use bailiwick_core::ids::{EntryId, RunId};
use bailiwick_core::limits::ChainLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_gateway::ports::{Errand, OpenRun, RunRefusal};
use bailiwick_gateway::testing::Fault;
use bailiwick_policy::run::{Verb, Word};
use serde_json::{Value, json};

use crate::support::{Holder, Plan, Raw, World, key, send};

const WITHOUT_RUNS: &str = include_str!("../../../../workflows/support-tickets.yaml");

fn code(raw: &Raw) -> Value {
    raw.json()["error"]["data"]["code"].clone()
}

async fn call(world: &World, holder: &Holder, tool: &str, arguments: Value) -> Raw {
    let presentation = holder.present(tool, &arguments);
    world.call(tool, arguments, Some(&presentation)).await
}

fn run(n: u8) -> RunId {
    RunId::mint(Timestamp::from_seconds(1_700_000_000), [n; 10])
}

fn open(world: &World, n: u8, undeclared: bool) {
    let open = OpenRun { run: run(n), undeclared };
    world.runs.set_open(&world.authority().task, Some(open));
}

fn digest() -> String {
    "ab".repeat(32)
}

#[tokio::test]
async fn whoever_has_the_task_speaks_of_its_run_and_nothing_reaches_the_tool_server() {
    let world = World::new().await;
    let runner = world.runner();
    for (tool, arguments) in [
        ("run_begin", json!({"goal": "answer the ticket"})),
        (
            "note_context",
            json!({"items": [{"kind": "document", "sha256": digest(), "source": "refund-policy"}]}),
        ),
        ("note_progress", json!({"iterations": 1})),
        ("complete_task", json!({"claims": [{"criterion": "note-written"}]})),
    ] {
        let raw = call(&world, &runner, tool, arguments).await;
        assert_eq!(raw.json()["result"]["structuredContent"]["state"], "open", "{}", raw.text);
    }
    let said = world.runs.said();
    assert_eq!(said.len(), Verb::ALL.len());
    assert!(matches!(&said[0].1.word, Word::Begin { goal, .. } if goal == "answer the ticket"));
    let asker = &said[3].0;
    assert_eq!(asker.agent.as_str(), "agent:support-runner");
    assert_eq!((asker.root, asker.task.clone()), (runner.leaf_hash(), world.authority().task));
    // Proofs are spent, and are for this call alone.
    let goal = json!({"goal": "again"});
    let once = runner.present("run_begin", &goal);
    assert!(world.call("run_begin", goal.clone(), Some(&once)).await.json()["result"].is_object());
    for (arguments, presentation) in [
        (goal.clone(), Some(once)),
        (goal.clone(), None),
        (json!({"goal": "other"}), Some(runner.present("run_begin", &goal))),
    ] {
        let raw = world.call("run_begin", arguments, presentation.as_ref()).await;
        assert_eq!(raw.json()["error"]["code"], -32041, "{}", raw.text);
    }
    assert_eq!(world.runs.said().len(), 5);
    assert!(world.tap.of("tools/call").is_empty());
}

#[tokio::test]
async fn what_is_not_understood_or_not_taken_is_told_by_its_reason() {
    let world = World::new().await;
    let runner = world.runner();
    for (tool, arguments, member) in [
        ("run_begin", json!({"goal": " "}), "goal"),
        ("run_begin", json!({"goal": "g", "colour": 1}), "colour"),
        ("run_begin", json!({"goal": "g", "instruction_sha256": "00"}), "instruction_sha256"),
        ("note_context", json!({"items": []}), "items"),
        (
            "note_context",
            json!({"items": [{"kind": "dream", "sha256": digest(), "source": "s"}]}),
            "kind",
        ),
        ("note_progress", json!({"iterations": -1}), "iterations"),
        ("note_progress", json!({"run": "7", "iterations": 1}), "run"),
        ("complete_task", json!({"claims": [{"criterion": "c", "receipt": "x"}]}), "receipt"),
    ] {
        let raw = call(&world, &runner, tool, arguments).await;
        assert_eq!(code(&raw), "run-refused", "{}", raw.text);
        let why = &raw.json()["error"]["data"]["why"];
        assert_eq!(why["code"], "run-malformed");
        assert!(why["reason"].as_str().unwrap().contains(&format!("`{member}`")), "{why}");
    }
    assert!(world.runs.said().is_empty());
    let refused = RunRefusal::Refused {
        code: "run-foreign-receipt",
        text: "there is no such call".into(),
        remedy: "name another".into(),
    };
    for (refusal, reason) in [
        (refused, "run-refused"),
        (RunRefusal::Unknown, "run-unknown"),
        (RunRefusal::Unavailable, "run-unavailable"),
    ] {
        world.runs.set_fault(Some(refusal));
        let raw = call(&world, &runner, "note_progress", json!({"iterations": 1})).await;
        assert_eq!(code(&raw), reason, "{}", raw.text);
        let why = &raw.json()["error"]["data"]["why"]["code"];
        assert_eq!(why.as_str(), (reason == "run-refused").then_some("run-foreign-receipt"));
    }
}

/// Over HTTP: bytes that are no JSON are told as such, and so is a path of which
/// there is nothing.
#[tokio::test]
async fn what_is_no_json_or_nowhere_is_told_as_that() {
    let world = World::new().await;
    let headers = [("content-type", "application/json".to_owned())];
    let ask = |path: &str, body: &str| {
        let (url, body) = (format!("{}{path}", world.base), body.to_owned());
        let headers = headers.clone();
        async move { send("POST", &url, &headers, body).await }
    };
    let broken = ask("/runs/v1/begin", "{\"goal\": ").await;
    assert_eq!(broken.status, 400, "{}", broken.text);
    assert_eq!(broken.json()["code"], "json-malformed", "{}", broken.text);
    assert!(broken.json()["remedy"].is_string() && broken.json()["decision_id"].is_string());
    assert_eq!(ask("/runs/v1/begin", "[]").await.json()["code"], "request-malformed");
    // Whoever says nothing of who they are learns no more than that.
    let stranger = ask("/runs/v1/begin", "{\"goal\": 1}").await;
    assert_eq!(
        (stranger.status, stranger.json()["code"].clone()),
        (401, json!("not-authenticated"))
    );
    let nowhere = ask("/runs/v1/nowhere", "{}").await;
    assert_eq!((nowhere.status, &nowhere.json()["status"]), (404, &json!(404)));
    assert_eq!(nowhere.headers["content-type"], "application/problem+json");
    assert!(world.runs.said().is_empty());
}

#[tokio::test]
async fn every_decision_and_outcome_of_the_task_names_its_open_run_whoever_calls() {
    let world = World::new().await;
    let runner = world.runner();
    let mut content = world.content(2, world.scope(&["order:1:read"]));
    content.exp -= 60;
    let child = make::derive(runner.leaf(), &content, &key(1), &ChainLimits::DEFAULT).unwrap();
    let sub = world.holder(2, vec![runner.leaf().to_owned(), child]);
    let ticket = json!({"ticket_id": 8821});
    call(&world, &runner, "get_ticket", ticket.clone()).await;
    open(&world, 1, false);
    call(&world, &runner, "get_ticket", ticket.clone()).await;
    call(&world, &sub, "get_order", json!({"order_id": 1})).await;
    let outcomes = world.outcomes(3).await;
    assert_eq!(outcomes.len(), 3);
    // Out of the delegation's scope, which ends before the catalogue is looked at; of
    // a sub-agent too; and a word about the run that is not taken.
    call(&world, &runner, "get_ticket", json!({"ticket_id": 9000})).await;
    call(&world, &sub, "get_order", json!({"order_id": 2})).await;
    call(&world, &runner, "run_begin", json!({})).await;
    world.runs.set_open(&world.authority().task, None);
    call(&world, &runner, "get_ticket", ticket).await;
    world.outcomes(4).await;

    let (mine, none) = (Some(run(1).to_string()), None);
    let decisions: Vec<_> =
        world.journal.decisions().into_iter().map(|d| d.event.subjects.run).collect();
    assert_eq!(decisions, [none.clone(), mine.clone(), mine.clone(), none.clone()]);
    let outcomes: Vec<_> = world.journal.completed().into_iter().map(|e| e.subjects.run).collect();
    assert_eq!(outcomes.iter().filter(|run| **run == mine).count(), 2);
    let denials: Vec<_> = world.journal.denials().into_iter().map(|e| e.subjects.run).collect();
    assert_eq!(denials, [mine.clone(), mine.clone(), mine]);
    assert!(none.is_none());
}

#[tokio::test]
async fn who_is_not_known_is_linked_to_no_run() {
    let world = World::new().await;
    let runner = world.runner();
    open(&world, 1, false);
    let ticket = json!({"ticket_id": 8821});
    world.call("get_ticket", ticket.clone(), None).await;
    let other = runner.present("get_order", &ticket);
    world.call("get_ticket", ticket, Some(&other)).await;
    let denials: Vec<_> = world.journal.denials().into_iter().map(|e| e.subjects.run).collect();
    assert!(!denials.is_empty() && denials.iter().all(Option::is_none), "{denials:?}");
}

#[tokio::test]
async fn a_run_that_ends_before_the_record_takes_its_call_with_it() {
    let world = World::new().await;
    let runner = world.runner();
    open(&world, 1, false);
    world.journal.set_fault(Fault::RunEnded);
    let raw = call(&world, &runner, "get_ticket", json!({"ticket_id": 8821})).await;
    assert_eq!(code(&raw), "run-ended", "{}", raw.text);
    assert!(world.tap.of("tools/call").is_empty());
    let denial = world.journal.denials().remove(0);
    assert_eq!(denial.subjects.run, None);
}

#[tokio::test]
async fn a_call_is_denied_while_nobody_can_say_to_which_run_it_belongs() {
    let world = World::new().await;
    let runner = world.runner();
    world.runs.set_unavailable(true);
    let raw = call(&world, &runner, "get_ticket", json!({"ticket_id": 8821})).await;
    assert_eq!(code(&raw), "run-unavailable", "{}", raw.text);
    assert!(world.tap.of("tools/call").is_empty());
}

#[tokio::test]
async fn where_runs_are_required_a_call_outside_of_one_is_denied() {
    let workflow = format!("{WITHOUT_RUNS}\nruns: required\n");
    let world = World::with(Plan { workflow, ..Plan::default() }).await;
    let runner = world.runner();
    let ticket = json!({"ticket_id": 8821});
    let raw = call(&world, &runner, "get_ticket", ticket.clone()).await;
    assert_eq!(code(&raw), "run-required", "{}", raw.text);
    open(&world, 1, false);
    let raw = call(&world, &runner, "get_ticket", ticket).await;
    assert!(raw.json()["result"].is_object(), "{}", raw.text);
}

#[tokio::test]
async fn a_call_that_checks_or_undoes_a_run_needs_none_of_its_own_and_names_it() {
    let workflow = format!("{WITHOUT_RUNS}\nruns: required\n");
    let world = World::with(Plan { workflow, ..Plan::default() }).await;
    let runner = world.runner();
    let ticket = json!({"ticket_id": 8821});
    let tool = bailiwick_core::ids::ToolId::parse("mcp:support-desk:tools/get_ticket").unwrap();
    let entry = EntryId::mint(Timestamp::from_seconds(1_767_225_660), [3; 10]);
    let errand = Errand { entry: entry.clone(), run: run(7) };
    world.runs.set_errand(&tool, Some(errand));
    let raw = call(&world, &runner, "get_ticket", ticket.clone()).await;
    assert!(raw.json()["result"].is_object(), "{}", raw.text);
    let decision = world.journal.decisions().remove(0);
    // It is linked to the run, and none of the run's own.
    assert_eq!((decision.event.subjects.run, decision.run), (None, None));
    assert_eq!(decision.errand.as_ref(), Some(&entry));
    let named = decision.event.body.member("errand").unwrap().canonical();
    assert_eq!(named, format!(r#"{{"entry":"{entry}","run":"{}"}}"#, run(7)));
    // One that was taken up meanwhile is nobody's.
    world.journal.set_fault(Fault::RunEnded);
    let raw = call(&world, &runner, "get_ticket", ticket.clone()).await;
    assert_eq!(code(&raw), "run-ended", "{}", raw.text);
    assert!(world.journal.denials().remove(0).body.member("errand").is_none());
    world.runs.set_errand(&tool, None);
    let raw = call(&world, &runner, "get_ticket", ticket).await;
    assert_eq!(code(&raw), "run-required", "{}", raw.text);
}

#[tokio::test]
async fn the_tools_are_there_only_where_the_workflow_has_runs() {
    // The checklist's part about completion, cut out.
    let (before, rest) = WITHOUT_RUNS.split_once("completion:\n").unwrap();
    let (_, after) = rest.split_once("review:\n").unwrap();
    let workflow = format!("{before}review:\n{after}");
    let world = World::with(Plan { workflow, ..Plan::default() }).await;
    let runner = world.runner();
    let client = world.connect(bailiwick_demo::agent::Era::Stateless, runner.clone()).await;
    let tools: Vec<String> =
        client.list_tools().await.unwrap().into_iter().map(|t| t.name.to_string()).collect();
    assert!(tools.iter().any(|t| t == "request_authority"), "{tools:?}");
    assert!(!tools.iter().any(|t| Verb::ALL.iter().any(|v| v.tool() == t)), "{tools:?}");
    client.close().await;
    // The name is whoever's the catalogue says: here nobody's.
    let raw = call(&world, &runner, "run_begin", json!({"goal": "g"})).await;
    assert_eq!(code(&raw), "tool-not-delegated", "{}", raw.text);
    assert!(world.runs.said().is_empty());
}

#[tokio::test]
async fn policy_hears_of_the_run_and_of_undeclared_context() {
    let world = World::new().await;
    let runner = world.runner();
    let ticket = json!({"ticket_id": 8821});
    for (n, undeclared, word) in [(1, false, "open"), (2, true, "undeclared")] {
        open(&world, n, undeclared);
        call(&world, &runner, "get_ticket", ticket.clone()).await;
        let event = world.journal.decisions().pop().unwrap().event;
        let inputs = event.disclosures.iter().find(|(name, _)| name == "inputs").unwrap();
        let policy = inputs.1.value.as_object().unwrap().member("policy").unwrap();
        let said = policy.as_object().unwrap().member("run").and_then(|run| run.as_str());
        assert_eq!(said, Some(word));
    }
}
