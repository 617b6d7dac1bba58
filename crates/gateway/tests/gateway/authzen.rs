//! The decision API: AuthZEN 1.0 as its certification scenario asks for it, and
//! what holds beyond it: no chain and proof, no allow.

use std::time::Duration;

use crate::support::{Holder, Plan, Raw, World, send};
use serde_json::{Value, json};

const TOOL: &str = "mcp:support-desk:tools/get_ticket";

async fn post(world: &World, path: &str, body: impl Into<String>) -> Raw {
    let headers = [("content-type", "application/json".to_owned())];
    send("POST", &format!("{}{path}", world.base), &headers, body.into()).await
}

pub(crate) async fn evaluate(world: &World, body: &Value) -> Value {
    let raw = post(world, "/access/v1/evaluation", body.to_string()).await;
    assert_eq!(raw.status, 200, "{}", raw.text);
    assert!(raw.json()["decision"].is_boolean(), "{}", raw.text);
    raw.json()
}

async fn evaluations(world: &World, body: &Value) -> Vec<Value> {
    let raw = post(world, "/access/v1/evaluations", body.to_string()).await;
    assert_eq!(raw.status, 200, "{}", raw.text);
    raw.json()["evaluations"].as_array().unwrap().clone()
}

/// A question with chain and proof for this very call.
fn question(holder: &Holder, name: &str, arguments: &Value) -> Value {
    json!({
        "subject": {"type": "agent", "id": "agent:support-runner"},
        "action": {"name": "call", "properties": {"arguments": arguments}},
        "resource": {"type": "tool", "id": format!("mcp:support-desk:tools/{name}")},
        "context": {"io.bailiwick/presentation": holder.present(name, arguments)},
    })
}

pub(crate) fn ticket(holder: &Holder) -> Value {
    question(holder, "get_ticket", &json!({"ticket_id": 8821}))
}

async fn report(world: &World, decision: &Value, outcome: &str) -> Raw {
    let id = &decision["context"]["decision_id"];
    let body = json!({"decision_id": id, "outcome": outcome,
        "result": {"sha256": "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU", "bytes": 12}});
    post(world, "/access/v1/outcome", body.to_string()).await
}

#[tokio::test]
async fn an_allowed_call_is_recorded_as_external_and_its_outcome_is_what_is_reported() {
    let world = World::new().await;
    let runner = world.runner();
    let answer = evaluate(&world, &ticket(&runner)).await;
    assert_eq!(answer["decision"], true, "{answer}");
    let event = world.journal.decisions().remove(0).event;
    assert_eq!(answer["context"]["decision_id"], event.id.as_str());
    let member = |name: &str| event.body.member(name).unwrap().as_str().unwrap().to_owned();
    assert_eq!(answer["context"]["action_digest"], member("action_digest"));
    assert_eq!(member("enforcement"), "external");
    assert_eq!(event.subjects.tool.as_deref(), Some(TOOL));
    assert!(world.desk.call_log().unwrap().is_empty(), "the gateway does not call");

    let wrong = json!({"decision_id": "0190163d-8694-739b-aea5-966c26f8ad91", "outcome": "ok"});
    assert_eq!(post(&world, "/access/v1/outcome", wrong.to_string()).await.status, 404);
    assert_eq!(report(&world, &answer, "fine").await.status, 400);
    assert_eq!(report(&world, &answer, "error").await.status, 200);
    assert_eq!(world.outcomes(1).await, ["error"]);
    let completed = world.journal.completed().remove(0);
    assert_eq!(completed.body.member("reported").unwrap().as_bool(), Some(true));
    assert!(completed.disclosures.iter().any(|(field, _)| field == "result"));
    assert_eq!(report(&world, &answer, "ok").await.status, 404, "once");
}

#[tokio::test]
async fn an_outcome_that_nobody_reports_is_unknown() {
    let config = |c: &mut bailiwick_gateway::Config| c.call_timeout = Duration::from_millis(50);
    let world = World::with(Plan { config: Box::new(config), ..Plan::default() }).await;
    let answer = evaluate(&world, &ticket(&world.runner())).await;
    assert_eq!(answer["decision"], true);
    assert_eq!(world.outcomes(1).await, ["unknown"]);
    let completed = world.journal.completed().remove(0);
    assert_eq!(completed.body.member("reported").unwrap().as_bool(), Some(false));
    assert_eq!(report(&world, &answer, "ok").await.status, 404);

    // When the gateway stops, nobody waits any longer.
    let world = World::new().await;
    assert_eq!(evaluate(&world, &ticket(&world.runner())).await["decision"], true);
    assert!(world.gateway.drain(Duration::from_secs(5)).await);
    assert_eq!(world.outcomes(1).await, ["unknown"]);
}

#[tokio::test]
async fn without_chain_and_proof_for_this_call_nothing_is_allowed() {
    let world = World::new().await;
    let runner = world.runner();
    let good = ticket(&runner);
    let mut bad = Vec::new();
    let mut spoil = |what: &'static str, change: &dyn Fn(&mut Value)| {
        let mut question = good.clone();
        change(&mut question);
        bad.push((what, question));
    };
    let shown = "/context/io.bailiwick~1presentation";
    spoil("no context", &|q| q["context"] = json!({}));
    spoil("no proof", &|q| *q.pointer_mut(&format!("{shown}/aat_pop")).unwrap() = json!(""));
    spoil("no chain", &|q| *q.pointer_mut(&format!("{shown}/aat_chain")).unwrap() = json!([]));
    spoil("other arguments", &|q| {
        q["action"]["properties"]["arguments"]["ticket_id"] = json!(8822)
    });
    spoil("another tool", &|q| q["resource"]["id"] = json!("mcp:support-desk:tools/list_orders"));
    spoil("another server", &|q| q["resource"]["id"] = json!("mcp:other:tools/get_ticket"));
    spoil("another agent", &|q| q["subject"]["id"] = json!("agent:order-reader"));
    spoil("another principal", &|q| {
        q["subject"] = json!({"type": "principal", "id": "user:1"});
    });
    spoil("no agent at all", &|q| q["subject"] = json!({"type": "user", "id": "user:142"}));
    spoil("another action", &|q| q["action"]["name"] = json!("delete"));
    spoil("no tool", &|q| q["resource"]["type"] = json!("record"));
    for (what, question) in &bad {
        let answer = evaluate(&world, question).await;
        assert_eq!(answer["decision"], false, "{what}");
        assert_eq!(answer["context"]["code"], "not-authenticated", "{what}");
    }
    assert!(world.journal.decisions().is_empty());
    // None of these spent the proof, and it is spent once.
    assert_eq!(evaluate(&world, &good).await["decision"], true);
    assert_eq!(evaluate(&world, &good).await["decision"], false);
    assert!(world.denial_codes().contains(&"agent-mismatch".to_owned()));
    assert!(world.denial_codes().contains(&"proof-replayed".to_owned()));
}

#[tokio::test]
async fn the_stages_are_those_of_calls_that_the_gateway_makes() {
    let world = World::new().await;
    let runner = world.runner();
    let by_principal = |mut question: Value| {
        question["subject"] = json!({"type": "principal", "id": "user:142"});
        question
    };
    assert_eq!(evaluate(&world, &by_principal(ticket(&runner))).await["decision"], true);
    for (name, arguments, code) in [
        ("get_ticket", json!({"ticket_id": 1}), "argument-not-delegated"),
        ("issue_refund", json!({"order_id": 1}), "tool-not-delegated"),
    ] {
        let answer = evaluate(&world, &question(&runner, name, &arguments)).await;
        assert_eq!(answer["decision"], false);
        assert_eq!(answer["context"]["code"], code);
        let denied = world.journal.denials().pop().unwrap();
        assert_eq!(answer["context"]["decision_id"], denied.id.as_str());
        assert_eq!(denied.body.member("enforcement").unwrap().as_str(), Some("external"));
    }
    // A proof that was shown here is worth nothing at the gateway's own door.
    let arguments = json!({"ticket_id": 8821});
    let shown = runner.present("get_ticket", &arguments);
    let mut question = ticket(&runner);
    question["context"]["io.bailiwick/presentation"] = json!(shown);
    assert_eq!(evaluate(&world, &question).await["decision"], true);
    let raw = world.call("get_ticket", arguments, Some(&shown)).await;
    assert_eq!(raw.code(), "not-authenticated");
    assert!(world.desk.call_log().unwrap().is_empty());
}

#[tokio::test]
async fn a_batch_answers_in_order_and_stops_where_it_was_told_to() {
    let world = World::new().await;
    let runner = world.runner();
    let beyond = || question(&runner, "get_ticket", &json!({"ticket_id": 1}));
    let batch = |items: Vec<Value>, semantic: &str| json!({"evaluations": items, "options": {"evaluations_semantic": semantic}});
    let decisions = |answers: Vec<Value>| -> Vec<bool> {
        answers.iter().map(|a| a["decision"].as_bool().unwrap()).collect()
    };
    for (semantic, expected) in [
        ("execute_all", vec![true, false, true]),
        ("deny_on_first_deny", vec![true, false]),
        ("permit_on_first_permit", vec![true]),
    ] {
        let allowed = world.journal.decisions().len();
        let items = vec![ticket(&runner), beyond(), ticket(&runner)];
        let answers = decisions(evaluations(&world, &batch(items, semantic)).await);
        assert_eq!(answers, expected, "{semantic}");
        let permits = answers.iter().filter(|decision| **decision).count();
        assert_eq!(world.journal.decisions().len() - allowed, permits, "{semantic}");
    }
    let unknown = batch(vec![ticket(&runner)], "all_at_once").to_string();
    assert_eq!(post(&world, "/access/v1/evaluations", unknown).await.status, 400);
    let many = batch(vec![json!({}); 65], "execute_all").to_string();
    assert_eq!(post(&world, "/access/v1/evaluations", many).await.status, 400);
    // Entities of the request stand in for those that a question lacks.
    let (mut whole, question) = (ticket(&runner), ticket(&runner));
    whole["context"] = json!({});
    whole["resource"].as_object_mut().unwrap().remove("id");
    whole["evaluations"] = json!([
        {"resource": {"id": TOOL}, "context": question["context"]},
        {"context": question["context"]},
    ]);
    let answers = evaluations(&world, &whole).await;
    assert_eq!(decisions(answers.clone()), [true, false]);
    assert_eq!(answers[1]["context"]["status"], 400);
}

// The certification scenario of AuthZEN 1.0. Its eight fixture decisions allow
// `alice` and `bob` by name alone; here nobody is allowed anything without chain
// and proof, so that every one of them is a denial of the right form.

fn alice() -> Value {
    json!({"subject": {"type": "user", "id": "alice"}, "action": {"name": "read"},
        "resource": {"type": "record", "id": "record-1"}})
}

#[tokio::test]
async fn c_2_2_requests_of_every_form_are_answered() {
    let world = World::new().await;
    let with = |more: Value| {
        let mut question = alice();
        question.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        question
    };
    for question in [
        alice(),
        with(json!({"action": {"name": "write"}})),
        with(json!({"context": {"time": "2025-06-27T18:03-07:00", "ip": "192.168.1.1"}})),
        with(json!({"resource": {"type": "record", "id": "record-2",
            "properties": {"status": "archived"}}})),
        with(json!({"subject": {"type": "user", "id": "bob", "properties": {"role": "admin"}}})),
        with(json!({"action": {"name": "delete", "properties": {"soft": true}}})),
        with(json!({"foo": "bar", "futureField": {"nested": true}})),
    ] {
        for _ in 0..2 {
            assert_eq!(evaluate(&world, &question).await["decision"], false, "{question}");
        }
    }
}

#[tokio::test]
async fn c_2_4_what_is_no_request_is_400() {
    let world = World::new().await;
    let mut bad = vec![String::new(), "{".to_owned(), "[]".to_owned()];
    for pointer in [
        "subject",
        "action",
        "resource",
        "subject/type",
        "subject/id",
        "action/name",
        "resource/type",
        "resource/id",
    ] {
        let mut question = alice();
        let (entity, member) = pointer.split_once('/').unwrap_or((pointer, ""));
        if member.is_empty() {
            question.as_object_mut().unwrap().remove(entity);
        } else {
            question[entity].as_object_mut().unwrap().remove(member);
        }
        bad.push(question.to_string());
        let mut question = alice();
        *question.pointer_mut(&format!("/{pointer}")).unwrap() = json!(123);
        bad.push(question.to_string());
    }
    bad.push(r#"{"subject":{"type":"user","id":"a","id":"b"},"action":{"name":"read"},"resource":{"type":"r","id":"r"}}"#.to_owned());
    for path in ["/access/v1/evaluation", "/access/v1/evaluations"] {
        for body in &bad {
            let raw = post(&world, path, body.clone()).await;
            assert_eq!(raw.status, 400, "{body}");
        }
        let headers = [("content-type", "text/plain".to_owned())];
        let url = format!("{}{path}", world.base);
        let raw = send("POST", &url, &headers, alice().to_string()).await;
        assert_eq!(raw.status, 400);
    }
}

#[tokio::test]
async fn c_2_5_a_requests_id_comes_back() {
    let world = World::new().await;
    let url = format!("{}/access/v1/evaluation", world.base);
    for body in [alice().to_string(), "{".to_owned()] {
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("x-request-id", "bfe9eb29-ab87-4ca3-be83-a1d5d8305716".to_owned()),
        ];
        let raw = send("POST", &url, &headers, body).await;
        assert_eq!(raw.headers["x-request-id"], "bfe9eb29-ab87-4ca3-be83-a1d5d8305716");
    }
    assert!(
        !post(&world, "/access/v1/evaluation", alice().to_string())
            .await
            .headers
            .contains_key("x-request-id")
    );
}

#[tokio::test]
async fn c_3_batches_have_as_many_answers_as_questions() {
    let world = World::new().await;
    let record = |id: &str| json!({"resource": {"type": "record", "id": id}});
    let with = |evaluations: Value| {
        let mut batch = alice();
        batch["evaluations"] = evaluations;
        batch
    };
    for batch in [
        with(json!([record("record-1"), record("record-2")])),
        with(json!([{"action": {"name": "read"}}, {"action": {"name": "write"}}])),
        with(json!([record("record-1"), {"context": {"source": "batch-override"}}])),
        with(json!([{"resource": {"id": "record-1"}}, record("record-2")])),
        json!({"evaluations": [alice(), alice()]}),
    ] {
        assert_eq!(evaluations(&world, &batch).await.len(), 2, "{batch}");
    }
    let mut lacking = with(json!([record("record-1"), {}]));
    lacking.as_object_mut().unwrap().remove("resource");
    let answers = evaluations(&world, &lacking).await;
    assert_eq!(answers.len(), 2);
    assert_eq!(answers[1]["decision"], false);
    assert_eq!(answers[1]["context"]["status"], 400);
    // Without questions of its own it is a single one.
    for single in [alice(), with(json!([]))] {
        let raw = post(&world, "/access/v1/evaluations", single.to_string()).await;
        assert_eq!((raw.status, &raw.json()["decision"]), (200, &json!(false)));
    }
}

#[tokio::test]
async fn c_6_the_decision_point_says_where_it_is() {
    let world = World::new().await;
    let url = format!("{}/.well-known/authzen-configuration", world.base);
    let raw = send("GET", &url, &[], "").await;
    assert_eq!(raw.status, 200);
    let metadata = raw.json();
    assert_eq!(metadata["policy_decision_point"], world.base);
    for (member, path) in [
        ("access_evaluation_endpoint", "/access/v1/evaluation"),
        ("access_evaluations_endpoint", "/access/v1/evaluations"),
    ] {
        assert_eq!(metadata[member], format!("{}{path}", world.base));
    }
    // Search is not offered: it would tell strangers who may do what.
    assert!(metadata.get("search_subject_endpoint").is_none());
}
