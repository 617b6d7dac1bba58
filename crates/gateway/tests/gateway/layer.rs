//! The layer: a service in the gateway's own process.

use axum::routing::{any, get};
use axum::{Extension, Router};
use bailiwick_core::ids::ServerName;
use bailiwick_core::json::Json;
use bailiwick_gateway::layer::{Checked, authorized};
use http::{HeaderMap, Uri};
use serde_json::json;
use tokio::net::TcpListener;

use crate::api::{WORKFLOW, orders, raw, runner, shown};
use crate::support::{Plan, World};

async fn world() -> (World, String) {
    let world = World::with(Plan { workflow: WORKFLOW.to_owned(), ..Plan::default() }).await;
    world.catalogue.put(orders("http://127.0.0.1:9/"));
    let seen = async |Extension(checked): Extension<Checked>, headers: HeaderMap, uri: Uri| {
        let hidden = ["aat-chain", "aat-pop"].iter().all(|name| !headers.contains_key(*name));
        format!("{} {} {uri} {hidden}", checked.tool, Json::from(checked.arguments).canonical())
    };
    let service = Router::new()
        .route("/orders/{id}", get(seen))
        .route("/orders/burn", any(|| async { "burnt" }))
        .fallback(|| async { "unguarded" });
    let name = ServerName::parse("orders").unwrap();
    let app = authorized(service, world.gateway.clone(), name);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (world, base)
}

#[tokio::test]
async fn the_service_sees_checked_arguments_of_an_allowed_request() {
    let (world, base) = world().await;
    let proof = shown(&runner(&world), "getOrder", json!({"id": 7}));
    let said = raw(&base, "GET /orders/7", &proof, "").await;
    assert_eq!(said.status, 200, "{}", said.body);
    assert!(said.body.contains(r#"http:orders:getOrder {"id":7} /orders/7 true"#), "{}", said.body);
    assert_eq!(world.outcomes(1).await, ["ok"]);
    let decision = world.journal.decisions().remove(0).event;
    assert_eq!(decision.body.member("enforcement").unwrap().as_str(), Some("external"));
}

#[tokio::test]
async fn nothing_else_reaches_the_service() {
    let (world, base) = world().await;
    let holder = runner(&world);
    let fine = || shown(&holder, "getOrder", json!({"id": 7}));
    for (line, headers, status) in [
        ("GET /orders/7", String::new(), 401),
        ("GET /orders/8", fine(), 401),
        ("GET /orders/burn", fine(), 401),
        ("GET /anything", fine(), 401),
        ("GET /", fine(), 401),
        ("POST /orders/7", fine(), 401),
        ("GET /orders/99999", shown(&holder, "getOrder", json!({"id": 99999})), 403),
    ] {
        let said = raw(&base, line, &headers, "").await;
        assert_eq!(said.status, status, "{line}: {}", said.body);
        assert!(!said.body.contains("burnt") && !said.body.contains("unguarded"), "{}", said.body);
    }
    assert!(world.journal.decisions().is_empty());
}
