//! Sessions of protocol 2025-11-25 belong to a key and a root.

use std::sync::Arc;
use std::time::Duration;

use crate::support::{Holder, Plan, Raw, World, install_tls_provider, object, send};
use bailiwick_demo::agent::Era;
use serde_json::{Value, json};

pub(crate) type Headers = Vec<(&'static str, String)>;

pub(crate) fn presented(
    world: &World,
    holder: &Holder,
    verb: &str,
    session: Option<&str>,
) -> Headers {
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

pub(crate) async fn open(world: &World, holder: &Holder) -> Raw {
    let body = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {"sampling": {}, "roots": {"listChanged": true}, "experimental": {}},
        "clientInfo": {"name": "t", "version": "0"},
    }});
    send("POST", &world.url(), &presented(world, holder, "POST", None), body.to_string()).await
}

pub(crate) fn id_of(raw: &Raw) -> String {
    raw.headers["mcp-session-id"].to_str().unwrap().to_owned()
}

async fn message(world: &World, holder: &Holder, session: &str, method: &str) -> Raw {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method}).to_string();
    send("POST", &world.url(), &presented(world, holder, "POST", Some(session)), body).await
}

async fn call(world: &World, holder: &Holder, session: &str) -> Raw {
    let arguments = json!({"ticket_id": 8821});
    let presentation = holder.present("get_ticket", &arguments);
    let body = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
        "name": "get_ticket", "arguments": arguments, "_meta": {"io.bailiwick/presentation": presentation},
    }});
    let headers: Headers = vec![
        ("content-type", "application/json".into()),
        ("mcp-session-id", session.to_owned()),
        ("mcp-protocol-version", "2025-11-25".into()),
    ];
    send("POST", &world.url(), &headers, body.to_string()).await
}

fn last(world: &World) -> String {
    world.denial_codes().pop().unwrap()
}

#[tokio::test]
async fn a_session_has_an_id_of_the_gateways_and_capabilities_that_pass() {
    let world = World::new().await;
    let runner = world.runner();
    let opened = open(&world, &runner).await;
    assert_eq!(opened.json()["result"]["protocolVersion"], "2025-11-25");
    let id = id_of(&opened);
    assert_eq!(id.len(), 43);
    let initialize = world.tap.of("initialize").remove(0);
    assert_eq!(initialize.json()["params"]["capabilities"], json!({"experimental": {}}));
    assert_eq!(message(&world, &runner, &id, "ping").await.json()["result"], json!({}));
    // The tool server's own id stays on its side.
    let upstream = world.tap.of("ping").remove(0).header("mcp-session-id").unwrap().to_owned();
    assert_ne!(upstream, id);
    assert!(call(&world, &runner, &id).await.json()["result"].is_object());
}

#[tokio::test]
async fn a_session_with_another_key_or_root_is_refused_and_not_admitted_to_exist() {
    let world = World::new().await;
    let runner = world.runner();
    let id = id_of(&open(&world, &runner).await);
    // The same key under another root; another key of its own delegation.
    let other_root = world.runner();
    world.enrol(3, "agent:support-runner");
    let other_key = world.holder(3, vec![world.issue(3, &["ticket:8821"], |_| ())]);
    for thief in [other_root.as_ref(), &other_key] {
        let raw = message(&world, thief, &id, "tools/list").await;
        assert_eq!((raw.status, raw.code().as_str()), (200, "not-authenticated"));
        assert_eq!(last(&world), "session-mismatch");
        assert_eq!(call(&world, thief, &id).await.code(), "not-authenticated");
        assert_eq!(last(&world), "session-mismatch");
        let raw =
            send("DELETE", &world.url(), &presented(&world, thief, "DELETE", Some(&id)), "").await;
        assert_eq!(raw.status, 401);
    }
    assert!(world.tap.of("tools/call").is_empty() && world.tap.of("tools/list").is_empty());
    assert!(call(&world, &runner, &id).await.json()["result"].is_object());
    // Without any presentation.
    let headers: Headers =
        vec![("content-type", "application/json".into()), ("mcp-session-id", id)];
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}).to_string();
    assert_eq!(send("POST", &world.url(), &headers, body).await.code(), "not-authenticated");
}

#[tokio::test]
async fn many_clients_at_once_never_see_each_others_answers() {
    let world = Arc::new(World::new().await);
    let mut clients = Vec::new();
    let orders: Arc<Vec<i64>> =
        Arc::new((1..5000).flat_map(bailiwick_demo::desk::orders_of).take(96).collect());
    assert_eq!(orders.len(), 96);
    for n in 0..24usize {
        let (world, orders) = (world.clone(), orders.clone());
        clients.push(tokio::spawn(async move {
            let client = world.connect(Era::ALL[n % 2], world.runner()).await;
            for i in 0..4 {
                let id = orders[n * 4 + i];
                let outcome = client.call_tool("get_order", object(json!({"order_id": id}))).await;
                let text = serde_json::to_string(&outcome.allowed().unwrap()).unwrap();
                let result: Value = serde_json::from_str(&text).unwrap();
                let inner = result["content"][0]["text"].as_str().unwrap_or(&text).to_owned();
                assert!(inner.contains(&id.to_string()), "{id} {inner}");
            }
            client.close().await;
        }));
    }
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(world.journal.decisions().len(), 96);
}

#[tokio::test]
async fn a_dpop_proof_works_once_for_its_method_address_and_leaf() {
    let world = World::new().await;
    let runner = world.runner();
    let id = id_of(&open(&world, &runner).await);
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    let headers = presented(&world, &runner, "POST", Some(&id));
    assert_eq!(
        send("POST", &world.url(), &headers, body.clone()).await.json()["result"],
        json!({})
    );
    let again = send("POST", &world.url(), &headers, body.clone()).await;
    assert_eq!(
        (again.code().as_str(), last(&world).as_str()),
        ("not-authenticated", "proof-replayed")
    );
    let with = |dpop: String| {
        let mut all = presented(&world, &runner, "POST", Some(&id));
        all.retain(|(n, _)| *n != "dpop");
        all.push(("dpop", dpop));
        all
    };
    let other = world.runner();
    for dpop in [
        runner.dpop("GET", &world.url()),
        runner.dpop("POST", &format!("{}/mcp/other", world.base)),
        other.dpop("POST", &world.url()),
        Holder { key: crate::support::key(66), ..world.holder(1, runner.chain.clone()) }
            .dpop("POST", &world.url()),
    ] {
        let raw = send("POST", &world.url(), &with(dpop), body.clone()).await;
        assert_eq!(
            (raw.code().as_str(), last(&world).as_str()),
            ("not-authenticated", "proof-invalid")
        );
    }
    assert_eq!(world.tap.of("ping").len(), 1);
}

#[tokio::test]
async fn an_ended_session_is_unknown_and_a_client_opens_another() {
    let world = World::new().await;
    let runner = world.runner();
    let id = id_of(&open(&world, &runner).await);
    let closed =
        send("DELETE", &world.url(), &presented(&world, &runner, "DELETE", Some(&id)), "").await;
    assert_eq!(closed.status, 202);
    assert_eq!(call(&world, &runner, &id).await.status, 404);
    assert_eq!(message(&world, &runner, &id, "ping").await.status, 404);
    assert_eq!(world.tap.seen().iter().filter(|e| e.verb == "DELETE").count(), 1);
    // Left alone for too long.
    let id = id_of(&open(&world, &runner).await);
    assert_eq!(message(&world, &runner, &id, "ping").await.status, 200);
    world.host.step(1_800_000);
    let fresh = world.runner();
    world.stand_grant(false);
    assert_ne!(message(&world, &fresh, &id, "ping").await.status, 202);
    world.host.step(-1_800_000);
}

#[tokio::test]
async fn a_key_opens_only_so_many_sessions() {
    let plan = Plan { config: Box::new(|c| c.max_sessions = (100, 2)), ..Plan::default() };
    let world = World::with(plan).await;
    let runner = world.runner();
    for _ in 0..2 {
        assert_eq!(open(&world, &runner).await.status, 200);
    }
    let third = open(&world, &runner).await;
    assert!(!third.headers.contains_key("mcp-session-id"));
    assert!(third.json()["error"].is_object());
}

#[tokio::test]
async fn an_open_stream_ends_when_its_delegation_is_revoked() {
    let world = World::new().await;
    install_tls_provider();
    let runner = world.runner();
    let id = id_of(&open(&world, &runner).await);
    let initialized = json!({"jsonrpc": "2.0", "method": "notifications/initialized"}).to_string();
    let raw =
        send("POST", &world.url(), &presented(&world, &runner, "POST", Some(&id)), initialized)
            .await;
    assert_eq!(raw.status, 202);
    let mut request = reqwest::Client::new().get(world.url());
    for (name, value) in presented(&world, &runner, "GET", Some(&id)) {
        request = request.header(name, value);
    }
    let mut stream = request.send().await.unwrap();
    assert_eq!(stream.status(), 200);
    let quiet = tokio::time::timeout(Duration::from_millis(700), stream.chunk()).await;
    assert!(quiet.is_err(), "the stream stays open while the delegation stands: {quiet:?}");
    world.registry.revoke_token(runner.leaf_hash());
    let ended = tokio::time::timeout(Duration::from_secs(2), stream.chunk()).await.unwrap();
    assert!(matches!(ended, Ok(None)), "{ended:?}");
}

#[tokio::test]
async fn listings_and_messages_need_possession() {
    for era in Era::ALL {
        let world = World::new().await;
        let thief = Arc::new(Holder {
            key: crate::support::key(66),
            ..world.holder(1, world.runner().chain.clone())
        });
        let refused =
            bailiwick_demo::agent::Connection::new(world.url(), crate::support::SERVER, era)
                .presenting(thief)
                .with_timeout(Duration::from_secs(5))
                .connect()
                .await;
        assert_eq!(refused.err().unwrap().code(), "not-authenticated");
        assert!(world.tap.seen().is_empty());
    }
}
