//! Questions of a tool server to the agent's client: only those that the
//! workflow lists, answered once, in their session, while the call runs.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::sessions::{id_of, open, presented};
use crate::support::{Holder, Plan, Raw, World, listen, send};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bailiwick_core::ids::ServerName;
use bailiwick_gateway::ports::Catalogue as _;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::sync::watch;

const WORKFLOW: &str = include_str!("../../../../workflows/support-tickets.yaml");
const LISTED: &str = "  support-desk:\n    questions: [sampling]\n    tools:";

/// A tool server that asks before it answers a call, and what it heard.
struct Asker {
    url: String,
    /// Answers to its questions.
    heard: Arc<Mutex<Vec<Value>>>,
    /// The last session's capabilities, as it was told.
    declared: Arc<Mutex<Value>>,
}

impl Asker {
    /// Asks on the stream of the call.
    async fn start(question: Value) -> Self {
        Self::with(question, false).await
    }

    /// Asks on the common stream of the session instead, if `common`.
    async fn with(question: Value, common: bool) -> Self {
        let heard: Arc<Mutex<Vec<Value>>> = Arc::default();
        let declared: Arc<Mutex<Value>> = Arc::default();
        let (to, started) = (watch::channel(0).0, Arc::new(watch::channel(0).0));
        let state = (heard.clone(), declared.clone(), Arc::new(to), question);
        let app = Router::new().fallback(move |verb: Method, body: Bytes| {
            let (heard, declared, to, question) = state.clone();
            let started = started.clone();
            async move {
                if verb == Method::GET {
                    return later(started.subscribe(), &question);
                }
                let asked = if common { json!({}) } else { question };
                let answer = answer(&body, &heard, &declared, &to, &asked);
                started.send_modify(|n| *n += usize::from(is_call(&body)));
                answer
            }
        });
        Self { url: listen(app).await.0, heard, declared }
    }

    fn heard(&self) -> Vec<Value> {
        self.heard.lock().unwrap().clone()
    }
}

fn is_call(body: &[u8]) -> bool {
    let message: Value = serde_json::from_slice(body).unwrap_or_default();
    message["method"] == "tools/call"
}

/// A common stream that asks once a call has begun, and stays open.
fn later(mut started: watch::Receiver<usize>, question: &Value) -> Response {
    let question = format!("data: {question}\n\n");
    let asked = stream::once(async move {
        let _ = started.changed().await;
        // The call's own stream is there by then.
        tokio::time::sleep(Duration::from_millis(200)).await;
        Ok::<_, std::io::Error>(Bytes::from(question))
    });
    let stream = asked.chain(stream::pending());
    ([("content-type", "text/event-stream")], Body::from_stream(stream)).into_response()
}

fn answer(
    body: &[u8],
    heard: &Mutex<Vec<Value>>,
    declared: &Mutex<Value>,
    to: &watch::Sender<usize>,
    question: &Value,
) -> Response {
    let message: Value = serde_json::from_slice(body).unwrap_or_default();
    let result = |result: Value| {
        let text = json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string();
        ([("content-type", "application/json"), ("mcp-session-id", "up")], text).into_response()
    };
    match message["method"].as_str() {
        Some("initialize") => {
            *declared.lock().unwrap() = message["params"]["capabilities"].clone();
            result(json!({
                "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "x", "version": "1"},
            }))
        }
        Some("tools/call") => {
            let mut answered = to.subscribe();
            let questions = question.as_array().cloned().unwrap_or_else(|| vec![question.clone()]);
            let questions = questions.iter().filter(|q| q["method"].is_string());
            let asked: String = questions.map(|q| format!("data: {q}\n\n")).collect();
            let result = json!({"jsonrpc": "2.0", "id": message["id"], "result": {"content": []}});
            let asked = stream::once(async { Ok::<_, std::io::Error>(Bytes::from(asked)) });
            let stream = asked.chain(stream::once(async move {
                let _ = answered.changed().await;
                Ok(Bytes::from(format!("data: {result}\n\n")))
            }));
            ([("content-type", "text/event-stream")], Body::from_stream(stream)).into_response()
        }
        Some(_) => StatusCode::ACCEPTED.into_response(),
        // The end of a session.
        None if message.is_null() => StatusCode::ACCEPTED.into_response(),
        None => {
            heard.lock().unwrap().push(message);
            to.send_modify(|n| *n += 1);
            StatusCode::ACCEPTED.into_response()
        }
    }
}

fn sampling() -> Value {
    json!({"jsonrpc": "2.0", "id": "up-1", "method": "sampling/createMessage",
        "params": {"messages": [], "maxTokens": 9}})
}

async fn world(asker: &Asker, listed: bool) -> World {
    let workflow = match listed {
        true => WORKFLOW.replacen("  support-desk:\n    tools:", LISTED, 1),
        false => WORKFLOW.to_owned(),
    };
    let world = World::with(Plan { workflow, ..Plan::default() }).await;
    world.gateway.check_pins().await;
    let name = ServerName::parse("support-desk").unwrap();
    let mut server = (*world.catalogue.server(&name).unwrap().unwrap()).clone();
    server.url = asker.url.parse().unwrap();
    world.catalogue.put(server);
    world
}

/// A call whose stream stays open, and what of it was not read yet.
pub(crate) struct Call(pub(crate) reqwest::Response, pub(crate) String);

impl Call {
    async fn start(world: &World, holder: &Holder, session: &str) -> Self {
        let arguments = json!({"ticket_id": 8821});
        let presentation = holder.present("get_ticket", &arguments);
        let body = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
            "name": "get_ticket", "arguments": arguments, "_meta": {"io.bailiwick/presentation": presentation},
        }});
        let request = reqwest::Client::new()
            .post(world.url())
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-session-id", session)
            .header("mcp-protocol-version", "2025-11-25")
            .body(body.to_string());
        Self(request.send().await.unwrap(), String::new())
    }

    /// The next event that says something.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            while !self.1.contains("\n\n") {
                let piece = tokio::time::timeout(Duration::from_secs(5), self.0.chunk()).await;
                let piece = piece.expect("in time").unwrap().expect("an event");
                self.1.push_str(std::str::from_utf8(&piece).unwrap());
            }
            let (event, rest) = self.1.split_once("\n\n").unwrap();
            let data = event.lines().find_map(|line| line.strip_prefix("data: "));
            let said = data.and_then(|data| serde_json::from_str(data).ok());
            self.1 = rest.to_owned();
            if let Some(said) = said {
                return said;
            }
        }
    }
}

async fn reply(world: &World, holder: &Holder, session: &str, id: &Value) -> Raw {
    let result =
        json!({"role": "assistant", "content": {"type": "text", "text": "yes"}, "model": "m"});
    let body = json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
    send("POST", &world.url(), &presented(world, holder, "POST", Some(session)), body).await
}

fn unasked(world: &World, raw: &Raw) {
    assert_eq!((raw.status, raw.code().as_str()), (403, "answer-unasked"), "{}", raw.text);
    assert_eq!(world.denial_codes().pop().unwrap(), "answer-unasked");
}

#[tokio::test]
async fn a_listed_question_is_answered_once_while_its_call_runs_and_is_on_record() {
    let asker = Asker::start(sampling()).await;
    let world = world(&asker, true).await;
    let runner = world.runner();
    let session = id_of(&open(&world, &runner).await);
    // The client offers roots too.
    let declared = asker.declared.lock().unwrap().clone();
    assert_eq!(declared, json!({"sampling": {}, "experimental": {}}));
    let mut call = Call::start(&world, &runner, &session).await;
    let question = call.next().await;
    assert_eq!(question["method"], "sampling/createMessage");
    assert_eq!(question["params"]["maxTokens"], 9);
    let id = question["id"].clone();
    assert_eq!(id.as_str().unwrap().len(), 22, "minted here: {id}");
    // The tool server's own id, and one that nobody made, are no answers.
    unasked(&world, &reply(&world, &runner, &session, &json!("up-1")).await);
    unasked(&world, &reply(&world, &runner, &session, &json!("A".repeat(22))).await);
    assert_eq!(reply(&world, &runner, &session, &id).await.status, 202);
    unasked(&world, &reply(&world, &runner, &session, &id).await);
    assert_eq!(call.next().await["id"], 2);
    let heard = asker.heard();
    assert_eq!((heard.len(), &heard[0]["id"]), (1, &json!("up-1")), "{heard:?}");
    assert_eq!(heard[0]["result"]["content"]["text"], "yes");
    assert_eq!(world.outcomes(1).await, ["ok"]);
    let completed = world.journal.completed();
    let answers = completed[0].disclosures.iter().find(|(name, _)| name == "answers");
    assert!(answers.is_some(), "{completed:?}");
}

#[tokio::test]
async fn an_answer_of_another_session_or_after_the_end_is_refused() {
    let asker = Asker::start(sampling()).await;
    let world = world(&asker, true).await;
    let runner = world.runner();
    let session = id_of(&open(&world, &runner).await);
    let mut call = Call::start(&world, &runner, &session).await;
    let id = call.next().await["id"].clone();
    // Another session of the same key; another key in the same session.
    let other = id_of(&open(&world, &runner).await);
    unasked(&world, &reply(&world, &runner, &other, &id).await);
    world.enrol(3, "agent:support-runner");
    let thief = world.holder(3, vec![world.issue(3, &["ticket:8821"], |_| ())]);
    let stolen = reply(&world, &thief, &session, &id).await;
    assert_eq!(stolen.code(), "not-authenticated");
    assert_eq!(world.denial_codes().pop().unwrap(), "session-mismatch");
    // Without a proof, and without a session.
    let body = json!({"jsonrpc": "2.0", "id": id, "result": {}}).to_string();
    let mut headers = presented(&world, &runner, "POST", Some(&session));
    headers.retain(|(name, _)| *name != "dpop");
    assert_eq!(
        send("POST", &world.url(), &headers, body.clone()).await.code(),
        "not-authenticated"
    );
    let mut headers = presented(&world, &runner, "POST", Some(&session));
    headers.retain(|(name, _)| *name != "mcp-session-id");
    assert_eq!(send("POST", &world.url(), &headers, body).await.status, 400);
    assert!(asker.heard().is_empty());
    // Its own session ends: nothing waits any more.
    let headers = presented(&world, &runner, "DELETE", Some(&session));
    assert_eq!(send("DELETE", &world.url(), &headers, "").await.status, 202);
    let late = reply(&world, &runner, &session, &id).await;
    assert_eq!(late.status, 404);
    assert!(asker.heard().is_empty());
}

#[tokio::test]
async fn a_question_after_whose_call_nobody_waits_is_not_answered() {
    // It asks for nothing that is listed, then the call goes on: what was asked
    // by the call before is over with it.
    let asker = Asker::start(sampling()).await;
    let world = world(&asker, true).await;
    let runner = world.runner();
    let session = id_of(&open(&world, &runner).await);
    let mut first = Call::start(&world, &runner, &session).await;
    let old = first.next().await["id"].clone();
    let mut second = Call::start(&world, &runner, &session).await;
    let new = second.next().await["id"].clone();
    assert_ne!(old, new);
    // One answer lets this tool server finish both calls.
    assert_eq!(reply(&world, &runner, &session, &new).await.status, 202);
    assert_eq!(first.next().await["id"], 2);
    assert_eq!(world.outcomes(2).await, ["ok", "ok"]);
    unasked(&world, &reply(&world, &runner, &session, &old).await);
    assert_eq!(asker.heard().len(), 1);
}

#[tokio::test]
async fn a_tool_server_that_may_not_ask_hears_that_nobody_offers_it() {
    let roots = json!({"jsonrpc": "2.0", "id": "up-1", "method": "roots/list"});
    let mut detached = sampling();
    detached["params"]["task"] = json!({"ttl": 1});
    for (question, listed) in [(sampling(), false), (roots, true), (detached, true)] {
        let asker = Asker::start(question).await;
        let world = world(&asker, listed).await;
        let runner = world.runner();
        let session = id_of(&open(&world, &runner).await);
        let mut call = Call::start(&world, &runner, &session).await;
        assert_eq!(call.next().await["id"], 2, "only the answer to the call comes");
        let heard = asker.heard();
        assert_eq!(heard[0]["error"]["code"], -32601, "{heard:?}");
        assert!(
            world
                .journal
                .completed()
                .iter()
                .all(|e| e.disclosures.iter().all(|d| d.0 != "answers"))
        );
    }
}

#[tokio::test]
async fn a_question_on_the_common_stream_is_the_only_calls_or_nobodys() {
    for calls in [1, 2] {
        let asker = Asker::with(sampling(), true).await;
        let world = world(&asker, true).await;
        let runner = world.runner();
        let session = id_of(&open(&world, &runner).await);
        let mut common = reqwest::Client::new().get(world.url());
        for (name, value) in presented(&world, &runner, "GET", Some(&session)) {
            common = common.header(name, value);
        }
        let common = common.send().await.unwrap();
        assert_eq!(common.status(), 200);
        let (one, two) = tokio::join!(Call::start(&world, &runner, &session), async {
            if calls == 2 { Some(Call::start(&world, &runner, &session).await) } else { None }
        });
        let mut one = one;
        if calls == 1 {
            let question = one.next().await;
            assert_eq!(question["method"], "sampling/createMessage");
            assert_eq!(reply(&world, &runner, &session, &question["id"]).await.status, 202);
            assert_eq!(asker.heard()[0]["result"]["model"], "m");
        } else {
            assert_eq!(two.unwrap().next().await["id"], 2);
            assert_eq!(asker.heard()[0]["error"]["code"], -32601);
        }
        assert_eq!(one.next().await["id"], 2);
        drop(common);
    }
}

#[tokio::test]
async fn a_flood_of_questions_is_bounded() {
    let flood = (0..40).map(|n| {
        let mut question = sampling();
        question["id"] = json!(n);
        question
    });
    let asker = Asker::start(flood.collect()).await;
    let world = world(&asker, true).await;
    let runner = world.runner();
    let session = id_of(&open(&world, &runner).await);
    let call = Call::start(&world, &runner, &session).await;
    let text = call.0.text().await.unwrap();
    assert_eq!(text.matches("sampling/createMessage").count(), 16, "{text}");
    for _ in 0..50 {
        if asker.heard().len() >= 24 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let heard = asker.heard();
    assert_eq!(heard.len(), 24);
    assert!(heard.iter().all(|m| m["error"]["code"] == -32601), "{heard:?}");
}

/// A tool server of 2026-07-28 that answers every call with `result`; it hears
/// what is said to it.
async fn stateless(result: Value) -> (String, Arc<Mutex<Vec<Value>>>) {
    stateless_with("result", result, false).await
}

/// The same with another member of the answer, perhaps as an event.
async fn stateless_with(
    member: &'static str,
    answer: Value,
    streams: bool,
) -> (String, Arc<Mutex<Vec<Value>>>) {
    let heard: Arc<Mutex<Vec<Value>>> = Arc::default();
    let kept = heard.clone();
    let app = Router::new().fallback(move |body: Bytes| {
        let message: Value = serde_json::from_slice(&body).unwrap_or_default();
        kept.lock().unwrap().push(message.clone());
        let text = json!({"jsonrpc": "2.0", "id": message["id"], member: answer}).to_string();
        async move {
            match streams {
                true => ([("content-type", "text/event-stream")], format!("data: {text}\n\n")),
                false => ([("content-type", "application/json")], text),
            }
        }
    });
    (listen(app).await.0, heard)
}

async fn answered_with(result: Value, listed: bool) -> (World, Arc<Mutex<Vec<Value>>>) {
    let (url, heard) = stateless(result).await;
    let asker = Asker { url, heard: heard.clone(), declared: Arc::default() };
    (world(&asker, listed).await, heard)
}

/// A world whose tool server fails everything with the error `code`, and lets it
/// ask `question`.
async fn failing(code: i64, data: Value, streams: bool, question: &str) -> World {
    let error = json!({"code": code, "message": "no", "data": data});
    let (url, _heard) = stateless_with("error", error, streams).await;
    let listed = LISTED.replace("sampling", question);
    let workflow = WORKFLOW.replacen("  support-desk:\n    tools:", &listed, 1);
    assert_ne!(workflow, WORKFLOW);
    let world = World::with(Plan { workflow, ..Plan::default() }).await;
    world.gateway.check_pins().await;
    let name = ServerName::parse("support-desk").unwrap();
    let mut server = (*world.catalogue.server(&name).unwrap().unwrap()).clone();
    server.url = url.parse().unwrap();
    world.catalogue.put(server);
    world
}

fn elsewhere() -> Value {
    json!({"elicitations": [{"mode": "url", "url": "https://evil.test/", "elicitationId": "e"}]})
}

#[tokio::test]
async fn an_error_that_sends_a_person_to_a_url_passes_only_where_elicitation_is_listed() {
    for (code, data, question, passes) in [
        (-32042, elsewhere(), "elicitation", true),
        (-32042, elsewhere(), "sampling", false),
        (-32042, json!({}), "sampling", false),
        (-32000, elsewhere(), "sampling", false),
        (-32000, json!({}), "sampling", true),
    ] {
        let world = failing(code, data, false, question).await;
        let arguments = json!({"ticket_id": 8821});
        let presentation = world.runner().present("get_ticket", &arguments);
        let raw = world.call("get_ticket", arguments, Some(&presentation)).await;
        if passes {
            assert_eq!(raw.json()["error"]["code"], code, "{}", raw.text);
        } else {
            assert_eq!(raw.code(), "upstream-asks", "{}", raw.text);
            assert!(!raw.text.contains("evil.test"), "{}", raw.text);
        }
        assert_eq!(world.outcomes(1).await, ["error"]);
    }
}

#[tokio::test]
async fn what_is_no_call_sends_nobody_to_a_url() {
    for (method, streams) in [("tools/list", false), ("subscriptions/listen", true)] {
        let world = failing(-32042, elsewhere(), streams, "elicitation").await;
        let runner = world.runner();
        let mut message = crate::support::body("get_ticket", &json!({}), None);
        message["method"] = json!(method);
        message["params"].as_object_mut().unwrap().retain(|name, _| name == "_meta");
        if streams {
            message["params"]["notifications"] = json!({"toolsListChanged": true});
        }
        let mut headers = presented(&world, &runner, "POST", None);
        headers.push(("mcp-protocol-version", "2026-07-28".into()));
        headers.push(("mcp-method", method.into()));
        let raw = send("POST", &world.url(), &headers, message.to_string()).await;
        assert_eq!(raw.code(), "upstream-asks", "{method}: {}", raw.text);
        assert!(!raw.text.contains("evil.test"), "{}", raw.text);
    }
}

fn asks(method: &str) -> Value {
    json!({"resultType": "input_required", "inputRequests": {"q": {"method": method, "params": {}}}})
}

#[tokio::test]
async fn a_result_that_asks_passes_only_where_the_question_is_listed() {
    for (result, listed, expected) in [
        (asks("sampling/createMessage"), true, None),
        (asks("sampling/createMessage"), false, Some(("upstream-asks", "error"))),
        (asks("elicitation/create"), true, Some(("upstream-asks", "error"))),
        (asks("tools/call"), true, Some(("upstream-asks", "error"))),
        (
            json!({"resultType": "input_required", "inputRequests": []}),
            true,
            Some(("upstream-asks", "error")),
        ),
        (
            json!({"resultType": "complete", "content": [], "inputRequests": {}}),
            true,
            Some(("upstream-asks", "error")),
        ),
        (json!({"resultType": "input_required", "requestState": "s"}), false, None),
        // The gateway's own, which a client would send back to the gateway.
        (
            json!({"resultType": "input_required", "requestState": "bailiwick-approval.s"}),
            true,
            Some(("upstream-asks", "error")),
        ),
        (
            json!({"resultType": "task", "taskId": "t-1"}),
            true,
            Some(("upstream-detached", "unknown")),
        ),
        (
            json!({"task": {"taskId": "t-1", "status": "working"}}),
            true,
            Some(("upstream-detached", "unknown")),
        ),
    ] {
        let (world, _heard) = answered_with(result.clone(), listed).await;
        let arguments = json!({"ticket_id": 8821});
        let presentation = world.runner().present("get_ticket", &arguments);
        let raw = world.call("get_ticket", arguments, Some(&presentation)).await;
        match expected {
            None => {
                assert_eq!(
                    raw.json()["result"]["resultType"],
                    "input_required",
                    "{result} {}",
                    raw.text
                );
                assert_eq!(world.outcomes(1).await, ["ok"]);
            }
            Some((code, outcome)) => {
                assert_eq!(raw.code(), code, "{result} {}", raw.text);
                assert!(
                    !raw.text.contains("inputRequests") && !raw.text.contains("t-1"),
                    "{}",
                    raw.text
                );
                assert_eq!(world.outcomes(1).await, [outcome]);
            }
        }
    }
}

#[tokio::test]
async fn that_a_call_waits_is_the_gateways_word() {
    let own = "io.bailiwick/approval";
    let said = json!({own: {"id": "a", "retry_after": 1}, "example.com/x": 1});
    let result = json!({"resultType": "complete", "content": [], "_meta": said});
    let (world, _heard) = answered_with(result, true).await;
    let arguments = json!({"ticket_id": 8821});
    let presentation = world.runner().present("get_ticket", &arguments);
    let raw = world.call("get_ticket", arguments, Some(&presentation)).await;
    let meta = &raw.json()["result"]["_meta"];
    assert!(meta["io.bailiwick/decision"]["id"].is_string(), "{}", raw.text);
    assert_eq!((&meta[own], &meta["example.com/x"]), (&Value::Null, &json!(1)));
}

#[tokio::test]
async fn a_listing_that_asks_is_withheld() {
    let mut result = asks("sampling/createMessage");
    result["tools"] = json!([]);
    let (world, _heard) = answered_with(result, true).await;
    let runner = world.runner();
    let mut message = crate::support::body("get_ticket", &json!({}), None);
    message["method"] = json!("tools/list");
    message["params"].as_object_mut().unwrap().retain(|name, _| name == "_meta");
    let mut headers = presented(&world, &runner, "POST", None);
    headers.push(("mcp-protocol-version", "2026-07-28".into()));
    headers.push(("mcp-method", "tools/list".into()));
    let raw = send("POST", &world.url(), &headers, message.to_string()).await;
    assert_eq!(raw.code(), "upstream-asks", "{}", raw.text);
}

#[tokio::test]
async fn a_stateless_tool_server_is_told_only_of_what_it_may_ask() {
    let (world, heard) =
        answered_with(json!({"resultType": "complete", "content": []}), true).await;
    let arguments = json!({"ticket_id": 8821});
    let presentation = world.runner().present("get_ticket", &arguments);
    let mut message = crate::support::body("get_ticket", &arguments, Some(&presentation));
    message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({
        "sampling": {}, "elicitation": {}, "roots": {}, "experimental": {},
        "extensions": {"io.modelcontextprotocol/tasks": {}, "com.example/x": {}},
    });
    let headers = crate::support::headers("get_ticket");
    let raw = send("POST", &world.url(), &headers, message.to_string()).await;
    assert!(raw.json()["result"].is_object(), "{}", raw.text);
    let heard = heard.lock().unwrap();
    let call = heard.iter().find(|message| message["method"] == "tools/call").unwrap();
    let declared = &call["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"];
    assert_eq!(
        *declared,
        json!({"sampling": {}, "experimental": {}, "extensions": {"com.example/x": {}}})
    );
}

#[tokio::test]
async fn answers_for_a_tool_server_that_may_not_ask_are_not_sent_to_it() {
    let (url, heard) = stateless(json!({"resultType": "complete", "content": []})).await;
    for listed in [false, true] {
        let any = WORKFLOW.replace(
            "get_order:\n        order_id: {constraint_type: range, min: 1}",
            "get_order: any",
        );
        assert_ne!(any, WORKFLOW);
        let workflow = match listed {
            true => any.replacen("  support-desk:\n    tools:", LISTED, 1),
            false => any,
        };
        let world = World::with(Plan { workflow, ..Plan::default() }).await;
        world.gateway.check_pins().await;
        let name = ServerName::parse("support-desk").unwrap();
        let mut server = (*world.catalogue.server(&name).unwrap().unwrap()).clone();
        server.url = url.parse().unwrap();
        world.catalogue.put(server);
        let answers = json!({"q": {"role": "assistant", "model": "m", "content": {"type": "text", "text": "yes"}}});
        let signed = json!({"order_id": 7, "$input": answers});
        let presentation = world.runner().present("get_order", &signed);
        let mut message =
            crate::support::body("get_order", &json!({"order_id": 7}), Some(&presentation));
        message["params"]["inputResponses"] = answers;
        let headers = crate::support::headers("get_order");
        heard.lock().unwrap().clear();
        let raw = send("POST", &world.url(), &headers, message.to_string()).await;
        let sent = heard.lock().unwrap().iter().any(|m| m["params"]["inputResponses"].is_object());
        if listed {
            assert!(raw.json()["result"].is_object() && sent, "{}", raw.text);
        } else {
            assert_eq!((raw.code().as_str(), sent), ("answer-unasked", false), "{}", raw.text);
            assert_eq!(world.denial_codes().pop().unwrap(), "answer-unasked");
        }
    }
}

#[tokio::test]
async fn an_error_with_a_status_of_its_own_is_no_stream() {
    let world = failing(-32021, json!({}), true, "sampling").await;
    let arguments = json!({"ticket_id": 8821});
    let presentation = world.runner().present("get_ticket", &arguments);
    let raw = world.call("get_ticket", arguments, Some(&presentation)).await;
    assert_eq!((raw.status, &raw.json()["error"]["code"]), (400, &json!(-32021)), "{}", raw.text);
    assert_eq!(raw.headers["content-type"], "application/json");
}
