//! What a workflow's checklist does at stage 4: what is missing caps the level,
//! reads from undeclared sources are denied, and so are calls outside of a run
//! where runs are required.

use bailiwick_core::json::Json;
use bailiwick_core::ledger::Event;
use bailiwick_policy::grades::Level;
use serde_json::{Value, json};

use crate::support::{Holder, Plan, World};

const YAML: &str = include_str!("../../../../workflows/support-tickets.yaml");

/// `YAML` without the members that start these lines.
fn without(members: &[&str]) -> String {
    let mut inside = false;
    let mut out = String::new();
    for line in YAML.lines() {
        if !line.starts_with([' ', '#']) && !line.is_empty() {
            inside = members.iter().any(|m| line.starts_with(&format!("{m}:")));
        }
        if !inside {
            out.push_str(line);
            out.push('\n');
        }
    }
    assert_ne!(out, YAML);
    out
}

fn policy_inputs(event: &Event, part: &str) -> Option<Json> {
    let (_, disclosure) = event.disclosures.iter().find(|(name, _)| name == "inputs")?;
    disclosure.value.as_object()?.member(part).cloned()
}

fn retained(event: &Event, part: &str, member: &str) -> Option<String> {
    let part = policy_inputs(event, part)?;
    part.as_object()?.member(member)?.as_str().map(str::to_owned)
}

fn last(world: &World) -> Event {
    world.journal.denials().pop().unwrap()
}

async fn world(workflow: String) -> World {
    World::with(Plan { workflow, ..Plan::default() }).await
}

fn noter(world: &World) -> Holder {
    world.holder(1, vec![world.issue(1, &["ticket:8821:note", "ticket:8821"], |_| ())])
}

/// What a call is answered with: its result, or the code of its denial.
async fn call(world: &World, holder: &Holder, tool: &str, arguments: Value) -> Result<(), String> {
    let presented = holder.present(tool, &arguments);
    let raw = world.call(tool, arguments, Some(&presented)).await;
    let json = raw.json();
    match json["error"]["data"]["code"].as_str() {
        None => {
            assert!(json["result"].is_object(), "{json}");
            Ok(())
        }
        Some(code) => Err(code.to_owned()),
    }
}

fn note() -> Value {
    json!({"ticket_id": 8821, "text": "hello"})
}

fn ticket() -> Value {
    json!({"ticket_id": 8821})
}

#[tokio::test]
async fn a_complete_checklist_lets_the_stated_level_be_in_force() {
    let world = world(YAML.to_owned()).await;
    let holder = noter(&world);
    assert_eq!(call(&world, &holder, "add_note", note()).await, Ok(()));
    let event = world.journal.decisions()[0].event.clone();
    assert_eq!(retained(&event, "catalogue", "level").as_deref(), Some("bounded"));
    assert_eq!(retained(&event, "catalogue", "declared_level"), None);
    assert_eq!(retained(&event, "policy", "source").as_deref(), Some("declared"));
    assert_eq!(retained(&event, "policy", "runs"), None);
}

#[tokio::test]
async fn each_gap_in_the_checklist_leaves_effects_to_people() {
    for member in ["data_sources", "completion", "review", "rollback", "evaluation", "budget"] {
        let world = world(without(&[member])).await;
        let holder = noter(&world);
        let refused = call(&world, &holder, "add_note", note()).await;
        assert_eq!(refused, Err("approval-required".to_owned()), "{member}");
        let event = last(&world);
        assert_eq!(event.body.member("rule").unwrap().as_str(), Some("manual-effect"));
        assert_eq!(retained(&event, "catalogue", "level").as_deref(), Some("manual"));
        assert_eq!(retained(&event, "catalogue", "declared_level").as_deref(), Some("bounded"));
        // Reads of low risk pass as before.
        assert_eq!(call(&world, &holder, "get_ticket", ticket()).await, Ok(()), "{member}");
    }
}

#[tokio::test]
async fn a_lowered_level_counts_from_the_next_call() {
    let world = world(YAML.to_owned()).await;
    let holder = noter(&world);
    assert_eq!(call(&world, &holder, "add_note", note()).await, Ok(()));
    world.catalogue.lower(Level::Supervised);
    let refused = call(&world, &holder, "add_note", note()).await;
    assert_eq!(refused, Err("approval-required".to_owned()));
    let event = last(&world);
    assert_eq!(event.body.member("rule").unwrap().as_str(), Some("supervised-effect"));
    assert_eq!(retained(&event, "catalogue", "level").as_deref(), Some("supervised"));
}

#[tokio::test]
async fn a_read_from_a_source_that_is_not_listed_is_denied() {
    for (from, to) in [
        ("classes: [ticket, customer, order, policy]", "classes: [ticket, order, policy]"),
        ("  tool_servers: [support-desk]\n  classes", "  tool_servers: []\n  classes"),
    ] {
        let workflow = YAML.replace(from, to);
        assert_ne!(workflow, YAML);
        let world = world(workflow).await;
        let holder = noter(&world);
        let refused = call(&world, &holder, "get_ticket", ticket()).await;
        assert_eq!(refused, Err("source-undeclared".to_owned()), "{to}");
        let event = last(&world);
        assert_eq!(event.subjects.decision.as_deref(), Some("deny"));
        assert_eq!(event.body.member("rule").unwrap().as_str(), Some("undeclared-source"));
        assert_eq!(retained(&event, "policy", "source").as_deref(), Some("undeclared"));
        assert!(world.tap.of("tools/call").is_empty(), "nothing was read");
        // Writing is not reading.
        assert_eq!(call(&world, &holder, "add_note", note()).await, Ok(()));
    }
}

#[tokio::test]
async fn without_a_list_of_sources_reads_pass_and_nothing_is_retained_of_it() {
    let world = world(without(&["data_sources"])).await;
    let holder = noter(&world);
    assert_eq!(call(&world, &holder, "get_ticket", ticket()).await, Ok(()));
    let event = world.journal.decisions()[0].event.clone();
    assert_eq!(retained(&event, "policy", "source"), None);
}

#[tokio::test]
async fn where_runs_are_required_a_call_outside_of_one_is_denied() {
    let world = world(format!("{YAML}runs: required\n")).await;
    let holder = noter(&world);
    for (tool, arguments) in [("get_ticket", ticket()), ("add_note", note())] {
        let refused = call(&world, &holder, tool, arguments).await;
        assert_eq!(refused, Err("run-required".to_owned()), "{tool}");
        let event = last(&world);
        assert_eq!(event.body.member("rule").unwrap().as_str(), Some("outside-run"));
        assert_eq!(retained(&event, "policy", "runs").as_deref(), Some("required"));
        assert_eq!(retained(&event, "policy", "run"), None);
    }
    assert!(world.tap.of("tools/call").is_empty());
}

#[tokio::test]
async fn the_level_in_force_that_cannot_be_read_lets_nothing_pass() {
    let world = world(YAML.to_owned()).await;
    let holder = noter(&world);
    world.catalogue.set_autonomy_unavailable(true);
    let refused = call(&world, &holder, "get_ticket", ticket()).await;
    // As with the registry: whoever asks is told nothing of it.
    assert_eq!(refused, Err("not-authenticated".to_owned()));
    assert_eq!(last(&world).subjects.reason.as_deref(), Some("state-unavailable"));
    world.catalogue.set_autonomy_unavailable(false);
    assert_eq!(call(&world, &holder, "get_ticket", ticket()).await, Ok(()));
}

#[test]
fn the_bundled_workflows_carry_the_level_that_they_state() {
    let assistant = include_str!("../../../../workflows/desk-assistant.yaml");
    for text in [YAML, assistant] {
        let workflow = bailiwick_policy::Workflow::parse(text).unwrap();
        assert_eq!(workflow.permitted_level(), Level::Bounded, "{:?}", workflow.missing());
    }
}
