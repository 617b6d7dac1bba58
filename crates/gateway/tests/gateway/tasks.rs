//! Calls that go on as tasks: only where the workflow lists it, followed by the
//! delegation that started them and by nobody else, and never open on record.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bailiwick_core::ids::ServerName;
use bailiwick_gateway::ports::Catalogue as _;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::questions::Call;
use crate::sessions::{id_of, open, presented};
use crate::support::{Holder, Plan, Raw, World, body, headers, listen, send};

const WORKFLOW: &str = include_str!("../../../../workflows/support-tickets.yaml");
const EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// A tool server in both eras that goes on with calls as tasks, `t-1`, `t-2`…,
/// when their client asks for it or says that it can follow.
struct Jobs {
    url: String,
    state: Arc<Mutex<State>>,
    changed: Arc<watch::Sender<()>>,
}

#[derive(Default)]
struct State {
    /// What it says of each, besides the id.
    tasks: BTreeMap<String, Value>,
    /// Messages as they came, and the verbs of those without a body.
    heard: Vec<Value>,
    /// The id of every task, if they are not to differ.
    always: Option<&'static str>,
    /// Makes a task of every call.
    detaches: bool,
}

impl Jobs {
    async fn start() -> Self {
        let state = Arc::<Mutex<State>>::default();
        let changed = Arc::new(watch::channel(()).0);
        let (to, told) = (state.clone(), changed.clone());
        let app = Router::new().fallback(move |verb: Method, body: Bytes| {
            let (state, changed) = (to.clone(), told.subscribe());
            async move { answer(verb, &body, state, changed).await }
        });
        Self { url: listen(app).await.0, state, changed }
    }

    fn set(&self, id: &str, said: Value) {
        self.state.lock().unwrap().tasks.insert(id.to_owned(), said);
        self.changed.send_replace(());
    }

    fn heard(&self, method: &str) -> Vec<Value> {
        let state = self.state.lock().unwrap();
        state.heard.iter().filter(|m| m["method"] == method).cloned().collect()
    }

    fn methods(&self) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state.heard.iter().filter_map(|m| m["method"].as_str().map(str::to_owned)).collect()
    }

    async fn world(&self, seconds: Option<u32>, most: (usize, usize)) -> World {
        let listed = seconds.map(|s| format!("    task_seconds: {s}\n")).unwrap_or_default();
        let entry = format!("  support-desk:\n    questions: [elicitation]\n{listed}    tools:");
        let workflow = WORKFLOW.replacen("  support-desk:\n    tools:", &entry, 1);
        let config = Box::new(move |config: &mut bailiwick_gateway::Config| {
            config.max_tasks = most;
        });
        let world = World::with(Plan { workflow, config, ..Plan::default() }).await;
        world.gateway.check_pins().await;
        let name = ServerName::parse("support-desk").unwrap();
        let mut server = (*world.catalogue.server(&name).unwrap().unwrap()).clone();
        server.url = self.url.parse().unwrap();
        world.catalogue.put(server);
        world
    }
}

fn message(id: &Value, result: Value) -> Response {
    let text = json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
    ([("content-type", "application/json"), ("mcp-session-id", "up")], text).into_response()
}

fn detailed(id: &str, said: &Value, stateless: bool) -> Value {
    let mut task = json!({
        "taskId": id, "status": "working",
        "createdAt": "2026-11-27T10:00:00Z", "lastUpdatedAt": "2026-11-27T10:00:00Z",
    });
    task[if stateless { "ttlMs" } else { "ttl" }] = json!(null);
    for (name, value) in said.as_object().unwrap() {
        task[name] = value.clone();
    }
    task
}

async fn answer(
    verb: Method,
    body: &[u8],
    state: Arc<Mutex<State>>,
    mut changed: watch::Receiver<()>,
) -> Response {
    let sent: Value = serde_json::from_slice(body).unwrap_or(json!({"method": verb.as_str()}));
    state.lock().unwrap().heard.push(sent.clone());
    let meta = &sent["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"];
    let stateless = !meta.is_null();
    let follows = meta["extensions"][EXTENSION].is_object() || sent["params"]["task"].is_object();
    let id = &sent["id"];
    let task = sent["params"]["taskId"].as_str().unwrap_or_default().to_owned();
    match sent["method"].as_str().unwrap_or_default() {
        "initialize" => message(
            id,
            json!({
                "protocolVersion": "2025-11-25", "serverInfo": {"name": "x", "version": "1"},
                "capabilities": {"tasks": {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}},
            }),
        ),
        "tools/call" => {
            let mut state = state.lock().unwrap();
            if !follows && !state.detaches {
                return message(id, json!({"content": []}));
            }
            let name = match state.always {
                Some(name) => name.to_owned(),
                None => format!("t-{}", state.tasks.len() + 1),
            };
            state.tasks.insert(name.clone(), json!({}));
            let mut begun = detailed(&name, &json!({}), stateless);
            if stateless {
                begun["resultType"] = json!("task");
                return message(id, begun);
            }
            message(id, json!({"task": begun}))
        }
        "tasks/list" => {
            let state = state.lock().unwrap();
            let all = state.tasks.iter().map(|(id, said)| detailed(id, said, false));
            message(id, json!({"tasks": all.collect::<Vec<_>>(), "nextCursor": "more"}))
        }
        "tasks/get" => {
            let said = state.lock().unwrap().tasks[&task].clone();
            message(id, detailed(&task, &said, stateless))
        }
        "tasks/cancel" => {
            let cancelled = json!({"status": "cancelled"});
            state.lock().unwrap().tasks.insert(task.clone(), cancelled.clone());
            match stateless {
                true => message(id, json!({"resultType": "complete"})),
                false => message(id, detailed(&task, &cancelled, false)),
            }
        }
        "tasks/update" => message(id, json!({"resultType": "complete"})),
        // Asks first, then waits for the end.
        "tasks/result" => {
            let question = json!({"jsonrpc": "2.0", "id": "q", "method": "elicitation/create",
                "params": {"message": "?", "requestedSchema": {}}});
            let id = id.clone();
            let asked = stream::once(async move {
                Ok::<_, std::io::Error>(Bytes::from(format!("data: {question}\n\n")))
            });
            let rest = stream::once(async move {
                loop {
                    let said = state.lock().unwrap().tasks[&task].clone();
                    if said["status"].is_string() {
                        let result = json!({"content": [{"type": "text", "text": "done"}]});
                        let text = json!({"jsonrpc": "2.0", "id": id, "result": result});
                        return Ok(Bytes::from(format!("data: {text}\n\n")));
                    }
                    if changed.changed().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                }
            });
            let stream = Body::from_stream(asked.chain(rest));
            ([("content-type", "text/event-stream")], stream).into_response()
        }
        "subscriptions/listen" => {
            let notice = |id: &str| {
                let task = detailed(id, &json!({"status": "working"}), true);
                let text =
                    json!({"jsonrpc": "2.0", "method": "notifications/tasks", "params": task});
                format!("data: {text}\n\n")
            };
            let said = Bytes::from(notice("t-2") + &notice("t-1"));
            let said = stream::once(async move { Ok::<_, std::io::Error>(said) });
            let stream = Body::from_stream(said.chain(stream::pending()));
            ([("content-type", "text/event-stream")], stream).into_response()
        }
        _ => StatusCode::ACCEPTED.into_response(),
    }
}

/// A session of 2025-11-25.
struct Client<'w> {
    world: &'w World,
    holder: Arc<Holder>,
    session: String,
}

impl<'w> Client<'w> {
    async fn open(world: &'w World, holder: Arc<Holder>) -> Self {
        let session = id_of(&open(world, &holder).await);
        Self { world, holder, session }
    }

    async fn call(&self, task: Option<Value>) -> Raw {
        let arguments = json!({"ticket_id": 8821});
        let presentation = self.holder.present("get_ticket", &arguments);
        let mut params = json!({"name": "get_ticket", "arguments": arguments,
            "_meta": {"io.bailiwick/presentation": presentation}});
        if let Some(task) = task {
            params["task"] = task;
        }
        let body = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params});
        let headers = [
            ("content-type", "application/json".to_owned()),
            ("mcp-session-id", self.session.clone()),
            ("mcp-protocol-version", "2025-11-25".to_owned()),
        ];
        send("POST", &self.world.url(), &headers, body.to_string()).await
    }

    fn ask(&self, method: &str, params: Value) -> impl Future<Output = Raw> + use<> {
        let body = json!({"jsonrpc": "2.0", "id": 3, "method": method, "params": params});
        let headers = presented(self.world, &self.holder, "POST", Some(&self.session));
        let url = self.world.url();
        async move { send("POST", &url, &headers, body.to_string()).await }
    }

    async fn about(&self, method: &str, task: &str) -> Raw {
        self.ask(method, json!({"taskId": task})).await
    }

    async fn close(&self) {
        let headers = presented(self.world, &self.holder, "DELETE", Some(&self.session));
        assert_eq!(send("DELETE", &self.world.url(), &headers, "").await.status, 202);
    }
}

fn unknown(world: &World, raw: &Raw) {
    let found = (raw.json()["error"]["code"].clone(), raw.code());
    assert_eq!(found, (json!(-32602), "task-unknown".to_owned()), "{}", raw.text);
    assert_eq!(world.denial_codes().pop().unwrap(), "task-unknown");
}

#[tokio::test]
async fn a_task_is_followed_by_its_delegation_alone_and_its_result_is_the_calls_outcome() {
    let jobs = Jobs::start().await;
    let world = jobs.world(Some(600), (9, 9)).await;
    let opened = open(&world, &world.runner()).await.json();
    assert!(opened["result"]["capabilities"]["tasks"]["list"].is_object(), "{opened}");
    let client = Client::open(&world, world.runner()).await;
    let begun = client.call(Some(json!({"ttl": 3_600_000}))).await.json();
    let task = &begun["result"]["task"];
    // No longer than the workflow says, on both sides.
    assert_eq!((&task["taskId"], &task["status"]), (&json!("t-1"), &json!("working")), "{begun}");
    assert!((590_000..=600_000).contains(&task["ttl"].as_u64().unwrap()), "{begun}");
    assert_eq!(jobs.heard("tools/call")[0]["params"]["task"], json!({"ttl": 600_000}));
    assert!(begun["result"]["_meta"]["io.bailiwick/decision"]["id"].is_string(), "{begun}");
    assert_eq!((world.journal.decisions().len(), world.journal.completed().len()), (1, 0));
    // Somebody else's session, another one of the same key, another key in this one.
    world.enrol(3, "agent:support-runner");
    let thief = Arc::new(world.holder(3, vec![world.issue(3, &["ticket:8821"], |_| ())]));
    let thiefs = Client::open(&world, thief.clone()).await;
    let second = Client::open(&world, client.holder.clone()).await;
    for method in ["tasks/get", "tasks/result", "tasks/cancel"] {
        unknown(&world, &thiefs.about(method, "t-1").await);
        unknown(&world, &second.about(method, "t-1").await);
        let stolen =
            Client { world: &world, holder: thief.clone(), session: client.session.clone() };
        assert_eq!(stolen.about(method, "t-1").await.code(), "not-authenticated");
        unknown(&world, &client.about(method, "t-9").await);
        assert!(jobs.heard(method).is_empty(), "{method}");
    }
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("mcp-session-id", client.session.clone()),
    ];
    let get =
        json!({"jsonrpc": "2.0", "id": 3, "method": "tasks/get", "params": {"taskId": "t-1"}});
    let bare = send("POST", &world.url(), &headers, get.to_string()).await;
    assert_eq!(bare.code(), "not-authenticated");
    // Its own: status, list, result.
    assert!(thiefs.call(Some(json!({}))).await.json()["result"]["task"].is_object());
    let got = client.about("tasks/get", "t-1").await.json();
    assert_eq!(got["result"]["status"], "working", "{got}");
    let listed = client.ask("tasks/list", json!({})).await.json();
    let ids: Vec<_> =
        listed["result"]["tasks"].as_array().unwrap().iter().map(|t| &t["taskId"]).collect();
    assert_eq!((ids, &listed["result"]["nextCursor"]), (vec![&json!("t-1")], &json!("more")));
    jobs.set("t-1", json!({"status": "completed"}));
    assert_eq!(client.about("tasks/get", "t-1").await.json()["result"]["status"], "completed");
    assert!(world.journal.completed().is_empty(), "nobody saw the result yet");
    for _ in 0..2 {
        let ended = client.about("tasks/result", "t-1").await.json();
        assert_eq!(ended["result"]["content"][0]["text"], "done", "{ended}");
        assert!(ended["result"]["_meta"]["io.bailiwick/decision"]["id"].is_string(), "{ended}");
    }
    assert_eq!(world.outcomes(1).await, ["ok"]);
    let completed = &world.journal.completed()[0];
    assert_eq!(completed.subjects.action, world.journal.decisions()[0].event.subjects.action);
    assert!(completed.disclosures.iter().any(|(name, _)| name == "result"), "{completed:?}");
}

#[tokio::test]
async fn where_the_workflow_lists_no_tasks_none_is_begun_offered_or_followed() {
    let jobs = Jobs::start().await;
    let world = jobs.world(None, (9, 9)).await;
    let client = Client::open(&world, world.runner()).await;
    assert_eq!(open(&world, &client.holder).await.json()["result"]["capabilities"], json!({}));
    assert_eq!(client.call(Some(json!({}))).await.code(), "task-not-listed");
    assert_eq!(world.denial_codes().pop().unwrap(), "task-not-listed");
    for method in ["tasks/get", "tasks/result", "tasks/cancel", "tasks/list"] {
        assert_eq!(client.about(method, "t-1").await.code(), "task-not-listed", "{method}");
    }
    for bad in [json!(1), json!({"ttl": "1"}), json!({"x": 1})] {
        let raw = client.call(Some(bad)).await;
        assert_eq!(raw.json()["error"]["code"], -32602, "{}", raw.text);
    }
    assert!(jobs.heard("tools/call").is_empty() && jobs.methods().iter().all(|m| m != "tasks/get"));
    // A tool server that goes on with a call unasked goes on out of sight.
    jobs.state.lock().unwrap().detaches = true;
    let raw = client.call(None).await;
    assert_eq!(raw.code(), "upstream-detached", "{}", raw.text);
    assert!(!raw.text.contains("t-1"), "{}", raw.text);
    assert_eq!(world.outcomes(1).await, ["unknown"]);
    // The same where tasks are listed and this call's client did not ask.
    let world = jobs.world(Some(600), (9, 9)).await;
    let client = Client::open(&world, world.runner()).await;
    assert_eq!(client.call(None).await.code(), "upstream-detached");
    assert_eq!(world.outcomes(1).await, ["unknown"]);
}

#[tokio::test]
async fn what_ends_a_task_ends_its_call_on_record_and_the_work_behind_it() {
    let cases: [(&str, &[&str], &str); 5] = [
        ("the client cancels", &["tasks/cancel"], "unknown"),
        ("the session ends", &["tasks/cancel", "DELETE"], "unknown"),
        ("a revocation", &["tasks/cancel"], "unknown"),
        ("its time", &["tasks/cancel"], "unknown"),
        ("the gateway stops", &["tasks/cancel"], "unknown"),
    ];
    for (why, heard, outcome) in cases {
        let jobs = Jobs::start().await;
        let world = jobs.world(Some(60), (9, 9)).await;
        let client = Client::open(&world, world.runner()).await;
        client.call(Some(json!({}))).await;
        match why {
            "the client cancels" => {
                let raw = client.about("tasks/cancel", "t-1").await;
                assert_eq!(raw.json()["result"]["status"], "cancelled", "{}", raw.text);
            }
            "the session ends" => client.close().await,
            "a revocation" => {
                world.registry.revoke_token(client.holder.leaf_hash());
                let raw = client.about("tasks/get", "t-1").await;
                assert_eq!(raw.code(), "revoked", "{}", raw.text);
                world.gateway.tend_once();
            }
            "its time" => {
                world.host.step(59_000);
                world.gateway.tend_once();
                assert!(client.about("tasks/get", "t-1").await.json()["result"].is_object());
                world.host.step(1_500);
                unknown(&world, &client.about("tasks/get", "t-1").await);
                world.gateway.tend_once();
            }
            _ => assert!(world.gateway.drain(Duration::from_secs(5)).await),
        }
        assert_eq!(world.outcomes(1).await, [outcome], "{why}");
        let methods = jobs.methods();
        let at = |method: &&&str| methods.iter().position(|m| m == **method).unwrap_or(usize::MAX);
        assert!(heard.iter().all(|m| at(&m) < usize::MAX), "{why}: {methods:?}");
        assert!(heard.iter().is_sorted_by_key(|m| at(&m)), "{why}: {methods:?}");
        world.gateway.tend_once();
        assert!(world.gateway.drain(Duration::from_secs(5)).await, "{why}");
        assert_eq!(world.journal.completed().len(), 1, "{why}");
    }
}

#[tokio::test]
async fn a_result_that_nobody_fetched_is_an_outcome_all_the_same() {
    for (status, outcome) in [("completed", "ok"), ("failed", "error")] {
        let jobs = Jobs::start().await;
        let world = jobs.world(Some(60), (9, 9)).await;
        let client = Client::open(&world, world.runner()).await;
        client.call(Some(json!({}))).await;
        jobs.set("t-1", json!({"status": status}));
        client.about("tasks/get", "t-1").await;
        client.close().await;
        assert_eq!(world.outcomes(1).await, [outcome]);
        assert!(jobs.heard("tasks/cancel").is_empty(), "it is not at work any more");
    }
}

#[tokio::test]
async fn a_question_of_a_task_comes_with_its_result_and_the_answer_is_on_record() {
    let jobs = Jobs::start().await;
    let world = jobs.world(Some(600), (9, 9)).await;
    let holder = world.runner();
    let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}, "tasks": {}},
        "clientInfo": {"name": "t", "version": "0"},
    }});
    let opened =
        send("POST", &world.url(), &presented(&world, &holder, "POST", None), body.to_string())
            .await;
    // A client's own tasks would detach its answers.
    assert_eq!(jobs.heard("initialize")[0]["params"]["capabilities"], json!({"elicitation": {}}));
    let client = Client { world: &world, holder, session: id_of(&opened) };
    client.call(Some(json!({}))).await;
    let ask =
        json!({"jsonrpc": "2.0", "id": 3, "method": "tasks/result", "params": {"taskId": "t-1"}});
    let mut request = reqwest::Client::new().post(world.url()).body(ask.to_string());
    for (name, value) in presented(&world, &client.holder, "POST", Some(&client.session)) {
        request = request.header(name, value);
    }
    let mut result = Call(request.send().await.unwrap(), String::new());
    let question = result.next().await;
    assert_eq!(question["method"], "elicitation/create", "{question}");
    let reply = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept"}});
    let headers = presented(&world, &client.holder, "POST", Some(&client.session));
    assert_eq!(send("POST", &world.url(), &headers, reply.to_string()).await.status, 202);
    jobs.set("t-1", json!({"status": "completed"}));
    assert_eq!(result.next().await["result"]["content"][0]["text"], "done");
    assert_eq!(world.outcomes(1).await, ["ok"]);
    let completed = &world.journal.completed()[0];
    assert!(completed.disclosures.iter().any(|(name, _)| name == "answers"), "{completed:?}");
}

#[tokio::test]
async fn who_waits_for_a_result_hears_when_its_authority_is_taken_back() {
    let jobs = Jobs::start().await;
    let world = jobs.world(Some(600), (9, 9)).await;
    let client = Client::open(&world, world.runner()).await;
    client.call(Some(json!({}))).await;
    let waiting = tokio::spawn(client.ask("tasks/result", json!({"taskId": "t-1"})));
    for _ in 0..500 {
        if !jobs.heard("tasks/result").is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.registry.revoke_token(client.holder.leaf_hash());
    let raw = waiting.await.unwrap();
    assert_eq!(raw.code(), "answer-withheld", "{}", raw.text);
    world.gateway.tend_once();
    assert_eq!(world.outcomes(1).await, ["unknown"]);
}

#[tokio::test]
async fn there_are_so_many_tasks_at_once_and_no_two_of_one_name() {
    let jobs = Jobs::start().await;
    let world = jobs.world(Some(600), (9, 1)).await;
    let client = Client::open(&world, world.runner()).await;
    client.call(Some(json!({}))).await;
    assert_eq!(client.call(Some(json!({}))).await.code(), "too-many-calls");
    assert_eq!(jobs.heard("tools/call").len(), 1);
    assert!(client.call(None).await.json()["result"].is_object(), "a plain call is none");
    client.about("tasks/cancel", "t-1").await;
    assert!(client.call(Some(json!({}))).await.json()["result"]["task"].is_object());
    // Who only can follow one gets an answer.
    let runner = world.runner();
    assert!(follow(&world, &runner).await.json()["result"]["content"].is_array());
    // A tool server that gives one name twice.
    let jobs = Jobs::start().await;
    jobs.state.lock().unwrap().always = Some("t");
    let world = jobs.world(Some(600), (9, 9)).await;
    let client = Client::open(&world, world.runner()).await;
    assert!(client.call(Some(json!({}))).await.json()["result"]["task"].is_object());
    assert_eq!(client.call(Some(json!({}))).await.code(), "upstream-detached");
    assert_eq!(world.outcomes(1).await, ["unknown"]);
}

fn following(mut body: Value) -> Value {
    let extensions = json!({"extensions": {EXTENSION: {}}});
    body["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = extensions;
    body
}

/// A call of 2026-07-28, of a client that can follow a task.
async fn follow(world: &World, holder: &Holder) -> Raw {
    let arguments = json!({"ticket_id": 8821});
    let presentation = holder.present("get_ticket", &arguments);
    let body = following(body("get_ticket", &arguments, Some(&presentation)));
    send("POST", &world.url(), &headers("get_ticket"), body.to_string()).await
}

/// Head and body of another message of such a client.
fn about(
    world: &World,
    holder: &Holder,
    method: &str,
    mut params: Value,
) -> (Vec<(&'static str, String)>, String) {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "0"},
    });
    let mut headers = presented(world, holder, "POST", None);
    headers.push(("mcp-protocol-version", "2026-07-28".to_owned()));
    headers.push(("mcp-method", method.to_owned()));
    if let Some(task) = params["taskId"].as_str() {
        headers.push(("mcp-name", task.to_owned()));
    }
    let body = json!({"jsonrpc": "2.0", "id": 3, "method": method, "params": params});
    (headers, following(body).to_string())
}

async fn ask(world: &World, holder: &Holder, method: &str, params: Value) -> Raw {
    let (headers, body) = about(world, holder, method, params);
    send("POST", &world.url(), &headers, body).await
}

#[tokio::test]
async fn without_sessions_a_task_is_its_delegations_and_ends_with_what_its_status_holds() {
    let jobs = Jobs::start().await;
    let world = jobs.world(Some(600), (9, 9)).await;
    let (runner, other) = (world.runner(), world.runner());
    let begun = follow(&world, &runner).await.json();
    assert_eq!(
        (&begun["result"]["resultType"], &begun["result"]["taskId"]),
        (&json!("task"), &json!("t-1"))
    );
    assert!(begun["result"]["ttlMs"].as_u64().unwrap() <= 600_000, "{begun}");
    // The same key under another root.
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        unknown(&world, &ask(&world, &other, method, json!({"taskId": "t-1"})).await);
        assert!(jobs.heard(method).is_empty(), "{method}");
    }
    // Who does not say that it follows tasks hears what it lacks.
    let (headers, body) = about(&world, &runner, "tasks/get", json!({"taskId": "t-1"}));
    let silent = body.replace(EXTENSION, "com.example/x");
    let raw = send("POST", &world.url(), &headers, silent).await;
    let lacks = &raw.json()["error"]["data"]["requiredCapabilities"]["extensions"];
    assert!(raw.status == 400 && lacks[EXTENSION].is_object(), "{}", raw.text);
    assert_eq!(
        (raw.code(), world.denial_codes().pop().unwrap()),
        ("task-not-declared".into(), "task-not-declared".into())
    );
    let get = || ask(&world, &runner, "tasks/get", json!({"taskId": "t-1"}));
    // A question that is not listed, and one that is.
    let asks = |method: &str| json!({"status": "input_required", "inputRequests": {"name": {"method": method, "params": {}}}});
    jobs.set("t-1", asks("sampling/createMessage"));
    assert_eq!(get().await.code(), "upstream-asks");
    jobs.set("t-1", asks("elicitation/create"));
    assert!(get().await.json()["result"]["inputRequests"]["name"].is_object());
    let said = json!({"name": {"action": "accept"}, "other": {"action": "accept"}});
    let update = json!({"taskId": "t-1", "inputResponses": said});
    assert!(ask(&world, &runner, "tasks/update", update).await.json()["result"].is_object());
    let sent = &jobs.heard("tasks/update")[0]["params"];
    assert_eq!(sent["inputResponses"], json!({"name": {"action": "accept"}}), "what was asked");
    // About another task, as if it were this one.
    jobs.set("t-1", json!({"taskId": "t-2"}));
    assert_eq!(get().await.code(), "upstream-garbage");
    assert!(world.journal.completed().is_empty());
    jobs.set("t-1", json!({"status": "completed", "result": {"content": [], "isError": true}}));
    let ended = get().await.json();
    assert!(
        ended["result"]["result"]["_meta"]["io.bailiwick/decision"]["id"].is_string(),
        "{ended}"
    );
    assert_eq!(world.outcomes(1).await, ["error"]);
    let completed = &world.journal.completed()[0];
    let named: Vec<_> = completed.disclosures.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(named, ["result", "answers"]);
}

#[tokio::test]
async fn a_tool_server_hears_that_a_task_can_be_followed_only_where_it_may_begin_one() {
    let jobs = Jobs::start().await;
    let world = jobs.world(None, (9, 9)).await;
    let runner = world.runner();
    assert_eq!(follow(&world, &runner).await.json()["result"]["content"], json!([]));
    let arguments = json!({"ticket_id": 8821});
    let presentation = runner.present("get_ticket", &arguments);
    // What older clients say is no argument, and nothing here.
    let mut older = body("get_ticket", &arguments, Some(&presentation));
    older["params"]["task"] = json!({"ttl": 1, "pollInterval": 1});
    let raw = send("POST", &world.url(), &headers("get_ticket"), older.to_string()).await;
    assert_eq!(raw.json()["result"]["content"], json!([]), "{}", raw.text);
    assert_eq!(jobs.heard("tools/call")[1]["params"]["task"], Value::Null);
    let declared = &jobs.heard("tools/call")[0]["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"];
    assert_eq!(*declared, json!({}));
    let raw = ask(&world, &runner, "tasks/get", json!({"taskId": "t-1"})).await;
    assert_eq!(raw.code(), "task-not-listed");
    assert_eq!(world.outcomes(2).await, ["ok", "ok"]);
}

#[tokio::test]
async fn a_subscription_tells_of_the_callers_own_tasks() {
    let jobs = Jobs::start().await;
    let world = jobs.world(Some(600), (9, 9)).await;
    let (runner, other) = (world.runner(), world.runner());
    follow(&world, &runner).await;
    follow(&world, &other).await;
    let of = |ids: Value| json!({"notifications": {"taskIds": ids}});
    for foreign in [json!(["t-2"]), json!(["t-1", "t-2"]), json!("t-1"), json!([1])] {
        unknown(&world, &ask(&world, &runner, "subscriptions/listen", of(foreign)).await);
    }
    assert!(jobs.heard("subscriptions/listen").is_empty());
    let (headers, body) = about(&world, &runner, "subscriptions/listen", of(json!(["t-1"])));
    let mut request = reqwest::Client::new().post(world.url()).body(body);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let mut stream = Call(request.send().await.unwrap(), String::new());
    // The tool server tells of the other's first.
    assert_eq!(stream.next().await["params"]["taskId"], "t-1");
}
