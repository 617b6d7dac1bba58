//! The layer: a service in the gateway's own process.

use std::convert::Infallible;
use std::future::Ready;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::body::Body;
use axum::routing::{any, get};
use axum::{Extension, Router};
use bailiwick_core::ids::ServerName;
use bailiwick_core::json::Json;
use bailiwick_gateway::layer::{Authorize, Checked, Outcome};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use serde_json::json;
use tokio::net::TcpListener;
use tower::ServiceExt as _;
use tower_layer::Layer as _;
use tower_service::Service;

use crate::api::{WORKFLOW, orders, raw, runner, shown};
use crate::support::{Holder, Plan, World};

async fn world() -> World {
    let world = World::with(Plan { workflow: WORKFLOW.to_owned(), ..Plan::default() }).await;
    world.catalogue.put(orders("http://127.0.0.1:9/"));
    world
}

fn door(world: &World) -> Authorize {
    Authorize::new(world.gateway.clone(), ServerName::parse("orders").unwrap())
}

async fn served() -> (World, String) {
    let world = world().await;
    let seen = async |Extension(checked): Extension<Checked>, headers: HeaderMap, uri: Uri| {
        let hidden = ["aat-chain", "aat-pop"].iter().all(|name| !headers.contains_key(*name));
        let who = (checked.agent.to_string(), checked.authority.principal.to_string());
        format!(
            "{} {} {uri} {hidden} {} {}",
            checked.tool,
            Json::from(checked.arguments).canonical(),
            who.0,
            who.1
        )
    };
    let service = Router::new()
        .route("/orders/{id}", get(seen))
        .route("/orders/burn", any(|| async { "burnt" }))
        .fallback(|| async { "unguarded" });
    // Around all of it, also what it does for paths that it has not.
    let app = Router::new().fallback_service(door(&world).layer(service));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (world, base)
}

#[tokio::test]
async fn the_service_sees_checked_arguments_of_an_allowed_request() {
    let (world, base) = served().await;
    let proof = shown(&runner(&world), "getOrder", json!({"id": 7}));
    let said = raw(&base, "GET /orders/7", &proof, "").await;
    assert_eq!(said.status, 200, "{}", said.body);
    let told = r#"http:orders:getOrder {"id":7} /orders/7 true agent:support-runner user:142"#;
    assert!(said.body.contains(told), "{}", said.body);
    assert_eq!(world.outcomes(1).await, ["ok"]);
    let decision = world.journal.decisions().remove(0).event;
    assert_eq!(decision.body.member("enforcement").unwrap().as_str(), Some("external"));
}

#[tokio::test]
async fn nothing_else_reaches_the_service() {
    let (world, base) = served().await;
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

/// A service of nobody's framework.
#[derive(Clone, Default)]
struct Plain {
    seen: Arc<Mutex<Vec<Bytes>>>,
    status: StatusCode,
    says: Option<Outcome>,
}

impl Service<Request<Full<Bytes>>> for Plain {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let checked = request.extensions().get::<Checked>().unwrap();
        assert_eq!(checked.tool.as_str(), "http:orders:refundOrder");
        let mut body = std::pin::pin!(request.into_body());
        let frame = http_body::Body::poll_frame(
            body.as_mut(),
            &mut Context::from_waker(std::task::Waker::noop()),
        );
        if let Poll::Ready(Some(Ok(frame))) = frame {
            self.seen.lock().unwrap().push(frame.into_data().unwrap());
        }
        let mut response = Response::new(Full::from("refunded"));
        *response.status_mut() = self.status;
        if let Some(says) = self.says {
            response.extensions_mut().insert(says);
        }
        std::future::ready(Ok(response))
    }
}

fn refund(holder: &Holder, body: Body) -> Request<Body> {
    let mut request =
        Request::post("/orders/10072/refund").header("content-type", "application/json");
    for line in shown(holder, "refundOrder", json!({"id": 10072, "amount_cents": 100})).lines() {
        let (name, value) = line.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    request.body(body).unwrap()
}

const REFUND: &str = r#" { "amount_cents" : 100 } "#;

#[tokio::test]
async fn any_tower_service_is_put_behind_it_and_its_outcome_is_recorded() {
    let world = world().await;
    let holder = runner(&world);
    let plain = Plain::default();
    let service = door(&world).layer(plain.clone());
    let said = service.oneshot(refund(&holder, Body::from(REFUND))).await.unwrap();
    let body = said.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(&body[..], b"refunded");
    // Written anew from what was checked.
    assert_eq!(plain.seen.lock().unwrap()[..], [&br#"{"amount_cents":100}"#[..]]);
    assert_eq!(world.outcomes(1).await, ["ok"]);
    let completed = world.journal.completed().remove(0);
    assert_eq!(completed.body.member("reported").unwrap().as_bool(), Some(true));
    // Its digest is committed; its length stands there.
    assert_eq!(completed.body.member("bytes").unwrap(), &Json::from(8u64));
    assert!(completed.disclosures.iter().any(|(field, _)| field == "result"));
}

#[tokio::test]
async fn the_outcome_is_what_the_status_or_the_service_says_or_unknown() {
    let world = world().await;
    let holder = runner(&world);
    for (n, (status, says, read, outcome)) in [
        (StatusCode::BAD_GATEWAY, None, true, "error"),
        (StatusCode::OK, Some(Outcome::Timeout), true, "timeout"),
        (StatusCode::OK, None, false, "unknown"),
        (StatusCode::NOT_FOUND, None, false, "error"),
    ]
    .into_iter()
    .enumerate()
    {
        let service = door(&world).layer(Plain { status, says, ..Plain::default() });
        let said = service.oneshot(refund(&holder, Body::from(REFUND))).await.unwrap();
        if read {
            said.into_body().collect().await.unwrap();
        } else {
            drop(said);
        }
        assert_eq!(world.outcomes(n + 1).await[n], outcome, "{status} {says:?}");
    }
}

#[tokio::test]
async fn a_body_is_read_up_to_a_bound_and_nothing_larger_reaches_the_service() {
    let world = World::with(Plan {
        workflow: WORKFLOW.to_owned(),
        config: Box::new(|config| config.max_request_bytes = 64),
        ..Plan::default()
    })
    .await;
    world.catalogue.put(orders("http://127.0.0.1:9/"));
    let holder = runner(&world);
    let plain = Plain::default();
    let endless =
        futures_util::stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(b" ")));
    let service = door(&world).layer(plain.clone());
    let said = service.oneshot(refund(&holder, Body::from_stream(endless))).await.unwrap();
    assert_eq!(said.status(), StatusCode::UNAUTHORIZED);
    assert!(plain.seen.lock().unwrap().is_empty());
}

#[allow(dead_code, reason = "its `main` is the program's")]
#[path = "../../examples/embedded.rs"]
mod embedded;

#[tokio::test]
async fn the_example_does_what_it_says() {
    let seen = embedded::run().await.unwrap();
    let said = "agent:support-runner refunded 100 for user:142 (a late delivery)";
    assert_eq!(seen[0], (StatusCode::OK, said.to_owned(), vec!["ok".to_owned()]));
    assert_eq!((seen[1].0, seen[1].2.len()), (StatusCode::FORBIDDEN, 1));
    assert!(seen[1].1.contains("argument-not-delegated"), "{}", seen[1].1);
}
