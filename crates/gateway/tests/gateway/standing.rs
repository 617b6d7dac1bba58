//! What stays open (a stream, a session, a call under way) ends with the
//! authority behind it.

use std::time::{Duration, Instant};

use crate::support::{Holder, Plan, Raw, World, key, listen, send};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::IntoResponse as _;
use bailiwick_core::accountable::Hop;
use bailiwick_core::crypto::Signer as _;
use bailiwick_core::ids::ServerName;
use bailiwick_gateway::ports::Catalogue as _;
use serde_json::{Value, json};

type Headers = Vec<(&'static str, String)>;

fn presented(world: &World, holder: &Holder, verb: &str, session: Option<&str>) -> Headers {
    let mut all: Headers = vec![
        ("accept", "application/json, text/event-stream".into()),
        ("content-type", "application/json".into()),
        ("aat-chain", holder.chain.join(",")),
        ("dpop", holder.dpop(verb, &world.url())),
    ];
    if let Some(session) = session {
        all.push(("mcp-session-id", session.to_owned()));
        all.push(("mcp-protocol-version", "2025-11-25".into()));
    }
    all
}

async fn post(world: &World, holder: &Holder, session: Option<&str>, body: Value) -> Raw {
    let headers = presented(world, holder, "POST", session);
    send("POST", &world.url(), &headers, body.to_string()).await
}

/// A session that is ready, by its id.
async fn session(world: &World, holder: &Holder) -> String {
    let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {},
        "clientInfo": {"name": "t", "version": "0"},
    }});
    let opened = post(world, holder, None, hello).await;
    let id = opened.headers["mcp-session-id"].to_str().unwrap().to_owned();
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(post(world, holder, Some(&id), ready).await.status, 202);
    id
}

async fn stream(world: &World, holder: &Holder, session: &str) -> reqwest::Response {
    let mut request = reqwest::Client::new().get(world.url());
    for (name, value) in presented(world, holder, "GET", Some(session)) {
        request = request.header(name, value);
    }
    let stream = request.send().await.unwrap();
    assert_eq!(stream.status(), 200);
    stream
}

/// Changes the hop of the runner's instance.
fn change(world: &World, change: impl FnOnce(&mut Hop)) {
    let mut hop = world.hop(1, "agent:support-runner");
    change(&mut hop);
    world.registry.enrol(key(1).public_key().thumbprint(), hop);
}

fn revoke_server(world: &World) {
    let name = ServerName::parse("support-desk").unwrap();
    let mut server = (*world.catalogue.server(&name).unwrap().unwrap()).clone();
    server.revoked = true;
    world.catalogue.put(server);
}

/// A way of taking authority back.
type Taking = (&'static str, fn(&World, &Holder));

const TAKINGS: [Taking; 9] = [
    ("delegation", |world, holder| world.registry.revoke_token(holder.leaf_hash())),
    ("holder key", |world, _| world.registry.revoke_holder(key(1).public_key().thumbprint())),
    ("enrolment", |world, _| world.registry.forget(key(1).public_key().thumbprint())),
    ("instance", |world, _| change(world, |hop| hop.instance_active = false)),
    ("agent", |world, _| change(world, |hop| hop.agent_active = false)),
    ("owner", |world, _| change(world, |hop| hop.owner = None)),
    ("principal", |world, _| world.registry.set_principal_inactive(true)),
    ("grant", |world, _| world.stand_grant(true)),
    ("tool server", |world, _| revoke_server(world)),
];

#[tokio::test]
async fn an_open_stream_ends_with_whatever_it_rests_on() {
    let one = async |(what, take): Taking| {
        let world = World::new().await;
        let runner = world.runner();
        let id = session(&world, &runner).await;
        let mut stream = stream(&world, &runner, &id).await;
        let quiet = tokio::time::timeout(Duration::from_millis(700), stream.chunk()).await;
        assert!(quiet.is_err(), "{what}: the stream stays open while all stands: {quiet:?}");
        take(&world, &runner);
        let ended = tokio::time::timeout(Duration::from_secs(5), stream.chunk()).await;
        assert!(matches!(ended, Ok(Ok(None))), "{what}: {ended:?}");
    };
    futures_util::future::join_all(TAKINGS.map(one)).await;
}

#[tokio::test]
async fn a_stream_ends_when_nobody_can_say_whether_it_stands() {
    for hide in [
        |world: &World| world.registry.set_unavailable(true),
        |world: &World| {
            world.registry.set_stale_ms(11_000);
        },
    ] {
        let world = World::new().await;
        let runner = world.runner();
        let id = session(&world, &runner).await;
        let mut stream = stream(&world, &runner, &id).await;
        hide(&world);
        let ended = tokio::time::timeout(Duration::from_secs(5), stream.chunk()).await;
        assert!(matches!(ended, Ok(Ok(None))), "{ended:?}");
    }
}

#[tokio::test]
async fn the_answer_of_a_call_under_way_is_withheld_and_its_outcome_recorded() {
    let world = World::new().await;
    let holder = world.holder(1, vec![world.issue(1, &["reports:read"], |_| ())]);
    let arguments = json!({"seconds": 3});
    let presentation = holder.present("slow_report", &arguments);
    let call = world.call("slow_report", arguments, Some(&presentation));
    let before = Instant::now();
    let taken = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(world.journal.decisions().len(), 1, "the call has begun");
        world.registry.revoke_token(holder.leaf_hash());
    };
    let (raw, ()) = tokio::join!(call, taken);
    assert_eq!(raw.code(), "answer-withheld", "{}", raw.text);
    assert!(before.elapsed() < Duration::from_millis(2_800), "not only when the tool is done");
    assert!(raw.json()["error"]["data"]["decision_id"].is_string());
    assert_eq!(world.outcomes(1).await, ["ok"]);
}

#[tokio::test]
async fn the_answer_of_a_call_is_not_withheld_while_nobody_can_say() {
    let world = World::new().await;
    let holder = world.holder(1, vec![world.issue(1, &["reports:read"], |_| ())]);
    let arguments = json!({"seconds": 2});
    let presentation = holder.present("slow_report", &arguments);
    let call = world.call("slow_report", arguments, Some(&presentation));
    let hidden = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        world.registry.set_unavailable(true);
    };
    let (raw, ()) = tokio::join!(call, hidden);
    assert!(raw.json()["result"].is_object(), "{}", raw.text);
}

#[tokio::test]
async fn sessions_that_are_over_are_closed_at_the_tool_server() {
    let plan = Plan { config: Box::new(|c| c.session_idle_seconds = 60), ..Plan::default() };
    let world = World::with(plan).await;
    let runner = world.runner();
    let closed = || world.tap.seen().iter().filter(|e| e.verb == "DELETE").count();
    let until = async |count: usize| {
        for _ in 0..100 {
            if closed() == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{} sessions were closed, expected {count}", closed());
    };
    // Idle.
    session(&world, &runner).await;
    world.gateway.tend_once();
    assert_eq!(closed(), 0);
    world.host.step(61_000);
    world.gateway.tend_once();
    until(1).await;
    world.host.step(-61_000);
    // Taken back.
    session(&world, &runner).await;
    world.registry.revoke_token(runner.leaf_hash());
    world.gateway.tend_once();
    until(2).await;
}

/// A tool server whose every answer is a stream that never ends.
async fn chatting() -> String {
    let app = Router::new().fallback(|| async {
        let notice = json!({"jsonrpc": "2.0", "method": "notifications/message",
            "params": {"level": "info", "data": "still here"}});
        let events = futures_util::stream::unfold((), move |()| {
            let event = Bytes::from(format!("data: {notice}\n\n"));
            async move {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Some((Ok::<_, std::convert::Infallible>(event), ()))
            }
        });
        ([("content-type", "text/event-stream")], Body::from_stream(events)).into_response()
    });
    listen(app).await.0
}

#[tokio::test]
async fn a_listening_client_of_the_stateless_protocol_hears_nothing_after_a_revocation() {
    let world = World::new().await;
    let runner = world.runner();
    let name = ServerName::parse("support-desk").unwrap();
    let mut server = (*world.catalogue.server(&name).unwrap().unwrap()).clone();
    server.url = chatting().await.parse().unwrap();
    world.catalogue.put(server);
    let listen = json!({"jsonrpc": "2.0", "id": 5, "method": "subscriptions/listen", "params": {
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "0"},
            "io.modelcontextprotocol/clientCapabilities": {},
        },
        "notifications": {"toolsListChanged": true},
    }});
    let mut request = reqwest::Client::new().post(world.url()).body(listen.to_string());
    let mut headers = presented(&world, &runner, "POST", None);
    headers.push(("mcp-protocol-version", "2026-07-28".into()));
    headers.push(("mcp-method", "subscriptions/listen".into()));
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let mut stream = request.send().await.unwrap();
    let media = stream.headers()["content-type"].to_str().unwrap().to_owned();
    assert_eq!(media, "text/event-stream", "{:?}", stream.chunk().await);
    let open = tokio::time::timeout(Duration::from_millis(900), async {
        while let Ok(Some(_)) = stream.chunk().await {}
    });
    assert!(open.await.is_err(), "the stream stays open while the delegation stands");
    world.registry.revoke_token(runner.leaf_hash());
    let ended = tokio::time::timeout(Duration::from_secs(3), async {
        while let Ok(Some(_)) = stream.chunk().await {}
    });
    assert!(ended.await.is_ok(), "the stream ends with its delegation");
}
