//! A client that loses its stream gets the rest of it, and of no other; a tool
//! server that closes its own is asked for the rest.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use bailiwick_core::ids::ServerName;
use bailiwick_gateway::ports::Catalogue as _;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::sessions::{id_of, open, presented};
use crate::support::{CREDENTIAL, Holder, Plan, Raw, World, listen, send};

/// What the tool server does with the stream of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Says something, and answers on the same stream once it is told to.
    Waits,
    /// The same, and says a lot before it answers.
    Pours,
    /// Closes it, and answers on another that is asked for by the event's id.
    Closes,
    /// The same, and does not know the event any more.
    Forgets,
    /// The same, with the gateway's credential in what comes later.
    Leaks,
}

/// A tool server whose calls answer when the test says so.
struct Slow {
    url: String,
    go: Arc<Notify>,
    /// `Last-Event-ID` of those who came back.
    came_back: Arc<Mutex<Vec<String>>>,
    calls: Arc<AtomicUsize>,
}

fn events(parts: impl futures_util::Stream<Item = String> + Send + 'static) -> Response {
    let body = Body::from_stream(parts.map(|part| Ok::<_, std::io::Error>(Bytes::from(part))));
    ([("content-type", "text/event-stream")], body).into_response()
}

fn log(text: &str) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": text}})
}

impl Slow {
    async fn start(way: Way) -> Self {
        let (go, came_back) = (Arc::new(Notify::new()), Arc::<Mutex<Vec<String>>>::default());
        let calls = Arc::<AtomicUsize>::default();
        let state = (go.clone(), came_back.clone(), calls.clone());
        let app = Router::new().fallback(move |verb: Method, headers: HeaderMap, body: Bytes| {
            let (go, came_back, calls) = state.clone();
            async move {
                let answer = json!({"jsonrpc": "2.0", "id": 2, "result": {"content": []}});
                if verb == Method::GET {
                    let Some(last) = headers.get("last-event-id") else {
                        return events(
                            stream::iter([format!("id: c-1\ndata: {}\n\n", log("common"))])
                                .chain(stream::pending()),
                        );
                    };
                    came_back.lock().unwrap().push(last.to_str().unwrap().to_owned());
                    if way == Way::Forgets {
                        return StatusCode::BAD_REQUEST.into_response();
                    }
                    let said = if way == Way::Leaks { CREDENTIAL } else { "later" };
                    let said = format!("id: up-2\ndata: {}\n\n", log(said));
                    let answer = format!("id: up-3\ndata: {answer}\n\n");
                    let rest = stream::once(async move {
                        go.notified().await;
                        answer
                    });
                    return events(stream::iter([said]).chain(rest));
                }
                let message: Value = serde_json::from_slice(&body).unwrap_or_default();
                let result = |result: Value| {
                    let text = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
                    (
                        [("content-type", "application/json"), ("mcp-session-id", "up")],
                        text.to_string(),
                    )
                        .into_response()
                };
                match message["method"].as_str() {
                    Some("initialize") => result(json!({
                        "protocolVersion": "2025-11-25", "capabilities": {},
                        "serverInfo": {"name": "x", "version": "1"},
                    })),
                    Some("tools/call") => {
                        calls.fetch_add(1, Ordering::Relaxed);
                        let primed = "id: up-0\nretry: 60\ndata: \n\n".to_owned();
                        let said = format!("id: up-1\ndata: {}\n\n", log("first"));
                        let begun = stream::iter([primed, said]);
                        if way != Way::Waits && way != Way::Pours {
                            return events(begun);
                        }
                        let much = if way == Way::Pours { 12 } else { 0 };
                        let much = format!("data: {}\n\n", log(&"x".repeat(1 << 20))).repeat(much);
                        let rest = stream::once(async move {
                            go.notified().await;
                            format!("{much}data: {answer}\n\n")
                        });
                        events(begun.chain(rest))
                    }
                    _ => StatusCode::ACCEPTED.into_response(),
                }
            }
        });
        Self { url: listen(app).await.0, go, came_back, calls }
    }

    async fn world(&self) -> World {
        let world = World::with(Plan::default()).await;
        world.gateway.check_pins().await;
        let name = ServerName::parse("support-desk").unwrap();
        let mut server = (*world.catalogue.server(&name).unwrap().unwrap()).clone();
        server.url = self.url.parse().unwrap();
        world.catalogue.put(server);
        world
    }
}

/// A stream of events that is open.
struct Open(reqwest::Response, String);

impl Open {
    async fn call(world: &World, holder: &Holder, session: &str) -> Self {
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

    async fn get(world: &World, holder: &Holder, session: &str, last: Option<&str>) -> Self {
        let mut request = reqwest::Client::new().get(world.url());
        for (name, value) in presented(world, holder, "GET", Some(session)) {
            request = request.header(name, value);
        }
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        Self(request.send().await.unwrap(), String::new())
    }

    /// The next event as its id and its message; nothing at the end.
    async fn next(&mut self) -> Option<(String, Value)> {
        while !self.1.contains("\n\n") {
            let piece = tokio::time::timeout(Duration::from_secs(5), self.0.chunk()).await;
            let piece = piece.expect("in time").expect("readable")?;
            self.1.push_str(std::str::from_utf8(&piece).unwrap());
        }
        let (event, rest) = self.1.split_once("\n\n").unwrap();
        let line =
            |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let found =
            (line("id: ").to_owned(), serde_json::from_str(line("data: ")).unwrap_or_default());
        self.1 = rest.to_owned();
        Some(found)
    }

    async fn refused(self) -> Raw {
        let (status, headers) = (self.0.status().as_u16(), self.0.headers().clone());
        Raw { status, headers, text: self.0.text().await.unwrap() }
    }
}

fn is(raw: &Raw, status: u16, code: &str) {
    let found = raw.json()["code"].as_str().unwrap_or_default().to_owned();
    assert_eq!((raw.status, found.as_str()), (status, code), "{}", raw.text);
}

#[tokio::test]
async fn a_lost_stream_goes_on_after_the_last_event_and_the_outcome_is_recorded_once() {
    let slow = Slow::start(Way::Waits).await;
    let world = slow.world().await;
    let runner = world.runner();
    let session = id_of(&open(&world, &runner).await);
    let mut call = Open::call(&world, &runner, &session).await;
    let (primed, nothing) = call.next().await.unwrap();
    assert_eq!(nothing, Value::Null);
    let (first, said) = call.next().await.unwrap();
    assert_eq!(said["params"]["data"], "first");
    assert!(!first.contains("up-") && !primed.contains("up-"), "ids of its own: {first}");
    // The connection breaks; meanwhile the call is answered.
    drop(call);
    slow.go.notify_one();
    assert_eq!(world.outcomes(1).await, ["ok"]);
    for (from, expected) in [(&first, vec!["answer"]), (&primed, vec!["first", "answer"])] {
        let mut rest = Open::get(&world, &runner, &session, Some(from)).await;
        assert_eq!(rest.0.status(), 200);
        let mut found = Vec::new();
        while let Some((_, message)) = rest.next().await {
            let said = message["params"]["data"].as_str().unwrap_or("answer").to_owned();
            assert!(
                said != "answer" || message["result"]["_meta"]["io.bailiwick/decision"].is_object()
            );
            found.push(said);
        }
        assert_eq!(found, expected);
    }
    assert_eq!((slow.calls.load(Ordering::Relaxed), world.journal.decisions().len()), (1, 1));
    assert_eq!(world.outcomes(1).await.len(), 1);
}

#[tokio::test]
async fn an_event_is_found_only_in_its_session_with_its_key_and_its_proof() {
    let slow = Slow::start(Way::Waits).await;
    let world = slow.world().await;
    let runner = world.runner();
    let session = id_of(&open(&world, &runner).await);
    let mut call = Open::call(&world, &runner, &session).await;
    let (primed, _) = call.next().await.unwrap();
    // Another session of the same key; another key's own; another key in this one.
    let second = id_of(&open(&world, &runner).await);
    world.enrol(3, "agent:support-runner");
    let thief = world.holder(3, vec![world.issue(3, &["ticket:8821"], |_| ())]);
    let thiefs = id_of(&open(&world, &thief).await);
    for (holder, session) in [(&*runner, &second), (&thief, &thiefs)] {
        let raw = Open::get(&world, holder, session, Some(&primed)).await.refused().await;
        is(&raw, 403, "event-unknown");
        assert_eq!(world.denial_codes().pop().unwrap(), "event-unknown");
    }
    let raw = Open::get(&world, &thief, &session, Some(&primed)).await.refused().await;
    is(&raw, 401, "not-authenticated");
    // Without a proof, without a session, and an event that never was.
    let mut headers = presented(&world, &runner, "GET", Some(&session));
    headers.retain(|(name, _)| *name != "dpop");
    headers.push(("last-event-id", primed.clone()));
    assert_eq!(send("GET", &world.url(), &headers, "").await.status, 401);
    let mut headers = presented(&world, &runner, "GET", Some(&session));
    headers.retain(|(name, _)| *name != "mcp-session-id");
    headers.push(("last-event-id", primed.clone()));
    assert_eq!(send("GET", &world.url(), &headers, "").await.status, 405);
    let (name, _) = primed.split_once('.').unwrap();
    for never in ["up-1", "x", &format!("{name}.2"), &format!("{name}.99")] {
        let raw = Open::get(&world, &runner, &session, Some(never)).await.refused().await;
        is(&raw, 403, "event-unknown");
    }
    // Its owner still has it all.
    assert_eq!(call.next().await.unwrap().1["params"]["data"], "first");
    slow.go.notify_one();
    assert_eq!(call.next().await.unwrap().1["id"], 2);
    assert_eq!(call.next().await, None);
}

#[tokio::test]
async fn after_a_revocation_nothing_is_sent_again() {
    let slow = Slow::start(Way::Waits).await;
    let world = slow.world().await;
    let runner = world.runner();
    let session = id_of(&open(&world, &runner).await);
    let mut call = Open::call(&world, &runner, &session).await;
    let (primed, _) = call.next().await.unwrap();
    drop(call);
    slow.go.notify_one();
    assert_eq!(world.outcomes(1).await, ["ok"]);
    world.registry.revoke_token(runner.leaf_hash());
    let raw = Open::get(&world, &runner, &session, Some(&primed)).await.refused().await;
    assert!([403, 404].contains(&raw.status), "{raw:?}");
    assert!(!raw.text.contains("first") && !raw.text.contains("result"), "{}", raw.text);
    // The session ends with it, and what was kept goes.
    world.gateway.tend_once();
    let raw = Open::get(&world, &runner, &session, Some(&primed)).await.refused().await;
    assert!(!raw.text.contains("first"), "{}", raw.text);
}

#[tokio::test]
async fn a_call_whose_authority_goes_while_its_client_is_away_shows_nothing_more() {
    let slow = Slow::start(Way::Waits).await;
    let world = slow.world().await;
    let runner = world.runner();
    let session = id_of(&open(&world, &runner).await);
    let mut call = Open::call(&world, &runner, &session).await;
    assert!(call.next().await.is_some());
    assert!(call.next().await.is_some());
    world.registry.revoke_token(runner.leaf_hash());
    let (_, last) = call.next().await.unwrap();
    assert_eq!(last["error"]["data"]["code"], "answer-withheld", "{last}");
    assert_eq!(call.next().await, None);
    slow.go.notify_one();
    assert_eq!(world.outcomes(1).await, ["ok"]);
}

#[tokio::test]
async fn a_stream_that_the_tool_server_closes_is_asked_for_by_its_last_event() {
    let slow = Slow::start(Way::Closes).await;
    let world = slow.world().await;
    let runner = world.runner();
    let session = id_of(&open(&world, &runner).await);
    let mut call = Open::call(&world, &runner, &session).await;
    call.next().await.unwrap();
    let (first, _) = call.next().await.unwrap();
    // The caller's is closed too, and the caller comes back as the gateway does.
    assert_eq!(call.next().await, None);
    let mut rest = Open::get(&world, &runner, &session, Some(&first)).await;
    assert_eq!(rest.next().await.unwrap().1["params"]["data"], "later");
    slow.go.notify_one();
    assert_eq!(rest.next().await.unwrap().1["id"], 2);
    assert_eq!(rest.next().await, None);
    assert_eq!(*slow.came_back.lock().unwrap(), ["up-1"]);
    assert_eq!(
        (slow.calls.load(Ordering::Relaxed), world.outcomes(1).await),
        (1, vec!["ok".to_owned()])
    );
}

#[tokio::test]
async fn what_comes_on_a_resumed_stream_is_screened_as_on_the_first() {
    for (way, code, outcome) in
        [(Way::Leaks, "upstream-leak", "error"), (Way::Forgets, "upstream-broken", "unknown")]
    {
        let slow = Slow::start(way).await;
        let world = slow.world().await;
        let runner = world.runner();
        let session = id_of(&open(&world, &runner).await);
        let mut call = Open::call(&world, &runner, &session).await;
        call.next().await.unwrap();
        let (first, _) = call.next().await.unwrap();
        let mut rest = Open::get(&world, &runner, &session, Some(&first)).await;
        let (_, last) = rest.next().await.unwrap();
        assert_eq!(last["error"]["data"]["code"], code, "{last}");
        assert!(!last.to_string().contains(CREDENTIAL));
        assert_eq!(rest.next().await, None);
        assert_eq!(world.outcomes(1).await, [outcome]);
    }
}

#[tokio::test]
async fn the_common_stream_is_taken_over_and_resumed_but_not_under_another_scope() {
    let slow = Slow::start(Way::Waits).await;
    let world = slow.world().await;
    let runner = world.runner();
    let session = id_of(&open(&world, &runner).await);
    let mut common = Open::get(&world, &runner, &session, None).await;
    let (id, said) = common.next().await.unwrap();
    assert_eq!(said["params"]["data"], "common");
    // Who asks again takes it over: no event goes out twice.
    let mut again = Open::get(&world, &runner, &session, None).await;
    assert_eq!(again.0.status(), 200);
    assert_eq!(common.next().await, None);
    let quiet = tokio::time::timeout(Duration::from_millis(300), again.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    let (name, _) = id.split_once('.').unwrap();
    let raw =
        Open::get(&world, &runner, &session, Some(&format!("{name}.7"))).await.refused().await;
    is(&raw, 403, "event-unknown");
    let resumed = Open::get(&world, &runner, &session, Some(&id)).await;
    assert_eq!(resumed.0.status(), 200);
}

/// A tool server whose common streams say something and end; how many it gave.
async fn brief(most: usize) -> (World, Arc<AtomicUsize>) {
    let given = Arc::<AtomicUsize>::default();
    let count = given.clone();
    let app = Router::new().fallback(move |verb: Method, body: Bytes| {
        let count = count.clone();
        async move {
            if verb == Method::GET {
                return match count.fetch_add(1, Ordering::Relaxed) < most {
                    true => events(stream::iter([
                        format!("data: {}\n\n", log("one")),
                        format!("data: {}\n\n", log("two")),
                    ])),
                    false => StatusCode::METHOD_NOT_ALLOWED.into_response(),
                };
            }
            let message: Value = serde_json::from_slice(&body).unwrap_or_default();
            let text = json!({"jsonrpc": "2.0", "id": message["id"], "result": {
                "protocolVersion": "2025-11-25", "capabilities": {},
                "serverInfo": {"name": "x", "version": "1"},
            }});
            let headers = [("content-type", "application/json"), ("mcp-session-id", "up")];
            (headers, text.to_string()).into_response()
        }
    });
    let (go, came_back, calls) = (Arc::default(), Arc::default(), Arc::default());
    let slow = Slow { url: listen(app).await.0, go, came_back, calls };
    (slow.world().await, given)
}

#[tokio::test]
async fn a_common_stream_that_ended_is_not_opened_for_an_event_that_is_gone_and_shows_its_rest() {
    let (world, given) = brief(1).await;
    let runner = world.runner();
    let session = id_of(&open(&world, &runner).await);
    let mut common = Open::get(&world, &runner, &session, None).await;
    let (first, said) = common.next().await.unwrap();
    assert_eq!(said["params"]["data"], "one");
    assert_eq!(common.next().await.unwrap().1["params"]["data"], "two");
    assert_eq!(common.next().await, None);
    let (name, _) = first.split_once('.').unwrap();
    let raw =
        Open::get(&world, &runner, &session, Some(&format!("{name}.7"))).await.refused().await;
    is(&raw, 403, "event-unknown");
    assert_eq!(given.load(Ordering::Relaxed), 1, "the tool server is not asked");
    // It gives no other: what was kept comes, and the end.
    let mut rest = Open::get(&world, &runner, &session, Some(&first)).await;
    assert_eq!(rest.next().await.unwrap().1["params"]["data"], "two");
    assert_eq!(rest.next().await, None);
    let raw = Open::get(&world, &runner, &session, None).await.refused().await;
    assert_eq!(raw.status, 405);
}

/// A tool server whose common streams open slowly, each with one event; what
/// it was asked to go on from, and how many are open.
async fn slow_to_open(ends: bool) -> (World, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let told = asked.clone();
    let app = Router::new().fallback(move |verb: Method, headers: HeaderMap, body: Bytes| {
        let asked = told.clone();
        async move {
            if verb == Method::GET {
                let last = headers.get("last-event-id").map(|v| v.to_str().unwrap().to_owned());
                let number = {
                    let mut asked = asked.lock().unwrap();
                    asked.push(last.unwrap_or_default());
                    asked.len()
                };
                tokio::time::sleep(Duration::from_millis(200)).await;
                let said = format!("id: up-{number}\ndata: {}\n\n", log(&number.to_string()));
                return match ends {
                    true => events(stream::iter([said])),
                    false => events(stream::iter([said]).chain(stream::pending())),
                };
            }
            let message: Value = serde_json::from_slice(&body).unwrap_or_default();
            let text = json!({"jsonrpc": "2.0", "id": message["id"], "result": {
                "protocolVersion": "2025-11-25", "capabilities": {},
                "serverInfo": {"name": "x", "version": "1"},
            }});
            let headers = [("content-type", "application/json"), ("mcp-session-id", "up")];
            (headers, text.to_string()).into_response()
        }
    });
    let (go, came_back, calls) = (Arc::default(), Arc::default(), Arc::default());
    let slow = Slow { url: listen(app).await.0, go, came_back, calls };
    (slow.world().await, asked)
}

#[tokio::test]
async fn two_who_ask_for_the_common_stream_at_once_open_one_at_the_tool_server() {
    let (world, asked) = slow_to_open(false).await;
    let runner = world.runner();
    let session = id_of(&open(&world, &runner).await);
    let get = || Open::get(&world, &runner, &session, None);
    let (mut one, mut two) = tokio::join!(get(), get());
    assert_eq!(asked.lock().unwrap().len(), 1);
    // One of them took it over; no event went out twice, and none was lost.
    let (first, second) = tokio::join!(
        tokio::time::timeout(Duration::from_secs(4), one.next()),
        tokio::time::timeout(Duration::from_secs(4), two.next()),
    );
    let said = [first, second].into_iter().filter_map(|next| next.ok().flatten());
    assert_eq!(said.map(|(_, said)| said["params"]["data"].clone()).collect::<Vec<_>>(), ["1"]);
}

#[tokio::test]
async fn a_common_stream_that_ended_is_opened_again_from_the_tool_servers_last_event() {
    let (world, asked) = slow_to_open(true).await;
    let runner = world.runner();
    let session = id_of(&open(&world, &runner).await);
    for number in ["1", "2", "3"] {
        let mut common = Open::get(&world, &runner, &session, None).await;
        let (id, said) = common.next().await.unwrap();
        assert_eq!(said["params"]["data"], number);
        assert!(!id.contains("up-"), "ids of its own: {id}");
        assert_eq!(common.next().await, None);
    }
    assert_eq!(*asked.lock().unwrap(), ["", "up-1", "up-2"]);
}

#[tokio::test]
async fn a_revocation_cuts_off_who_reads_the_answer_of_a_finished_call() {
    for revoked in [true, false] {
        let slow = Slow::start(Way::Pours).await;
        let world = slow.world().await;
        let runner = world.runner();
        let session = id_of(&open(&world, &runner).await);
        let mut call = Open::call(&world, &runner, &session).await;
        assert!(call.next().await.is_some() && call.next().await.is_some());
        slow.go.notify_one();
        // It is answered, and its client does not read: most of it waits here.
        assert_eq!(world.outcomes(1).await, ["ok"]);
        if revoked {
            world.registry.revoke_token(runner.leaf_hash());
            world.gateway.tend_once();
        }
        let mut read = call.1.len();
        while let Some(piece) = call.0.chunk().await.unwrap() {
            read += piece.len();
        }
        assert_eq!(read > 12 << 20, !revoked, "{read}");
    }
}
