//! Envoy's `ext_authz`, HTTP form, with requests as Envoy sends them.

use bailiwick_core::dpop::Occasion;
use bailiwick_gateway::ports::Host as _;
use bailiwick_gateway::{Bounds, ext_authz_router, serve};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::api::{WORKFLOW, orders, raw, runner, shown};
use crate::support::{Plan, World, key, random_id};

const WHOLE: &str = "Content-Type: application/json\r\nX-Envoy-Auth-Partial-Body: false\r\n";
const BODY: &str = r#"{"amount_cents":100}"#;

async fn world() -> (World, String) {
    let world = World::with(Plan { workflow: WORKFLOW.to_owned(), ..Plan::default() }).await;
    // Nobody calls it from here.
    world.catalogue.put(orders("http://127.0.0.1:9/v1"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let router = ext_authz_router(world.gateway.clone());
    tokio::spawn(serve(listener, router, Bounds::new(16), None, std::future::pending()));
    (world, base)
}

#[tokio::test]
async fn an_allowed_request_is_recorded_as_external() {
    let (world, envoy) = world().await;
    let proof = shown(&runner(&world), "refundOrder", json!({"id": 10072, "amount_cents": 100}));
    let line = "POST /orders/v1/orders/10072/refund";
    let said = raw(&envoy, line, &format!("{proof}{WHOLE}"), BODY).await;
    assert_eq!((said.status, said.body.as_str()), (200, ""), "{}", said.head);
    let decision = world.journal.decisions().remove(0).event;
    assert!(said.head.contains(decision.id.as_str()));
    assert_eq!(decision.body.member("enforcement").unwrap().as_str(), Some("external"));
    assert_eq!(decision.subjects.tool.as_deref(), Some("http:orders:refundOrder"));
    // The proof was good for one request.
    let again = raw(&envoy, line, &format!("{proof}{WHOLE}"), BODY).await;
    assert_eq!(again.status, 401, "{}", again.body);
}

#[tokio::test]
async fn a_part_of_a_body_or_one_that_envoy_does_not_vouch_for_is_denied() {
    let (world, envoy) = world().await;
    let holder = runner(&world);
    let json = "Content-Type: application/json\r\n";
    for partial in [
        "X-Envoy-Auth-Partial-Body: true\r\n",
        "",
        "X-Envoy-Auth-Partial-Body: FALSE\r\n",
        "X-Envoy-Auth-Partial-Body: false\r\nX-Envoy-Auth-Partial-Body: true\r\n",
    ] {
        let proof = shown(&holder, "refundOrder", json!({"id": 10072, "amount_cents": 100}));
        let headers = format!("{proof}{json}{partial}");
        let said = raw(&envoy, "POST /orders/v1/orders/10072/refund", &headers, BODY).await;
        assert_eq!(said.status, 401, "{partial}: {}", said.body);
    }
    let proof = shown(&holder, "getOrder", json!({"id": 7}));
    let partial = format!("{proof}X-Envoy-Auth-Partial-Body: true\r\n");
    assert_eq!(raw(&envoy, "GET /orders/v1/orders/7", &partial, "").await.status, 401);
    assert!(world.journal.decisions().is_empty());
}

#[tokio::test]
async fn no_chain_and_proof_no_allow_and_denials_say_why() {
    let (world, envoy) = world().await;
    let holder = runner(&world);
    let fine = || shown(&holder, "getOrder", json!({"id": 7}));
    for (line, headers) in [
        ("GET /orders/v1/orders/7", String::new()),
        ("GET /orders/v1/orders/7", "Authorization: Bearer abc\r\n".to_owned()),
        ("GET /orders/v1/orders/8", fine()),
        ("GET /orders/orders/7", fine()),
        ("GET /orders/v1/../v1/orders/7", fine()),
        ("GET /orders/v1/orders/7?admin=1", fine()),
        ("GET /other/v1/orders/7", fine()),
        ("DELETE /orders/v1/orders/7", fine()),
        ("GET /orders/v1/orders/7", format!("{}X-HTTP-Method: DELETE\r\n", fine())),
        // What Envoy joined, and what it could not write.
        ("GET /orders/v1/orders/7", format!("{}Prefer: a,b\r\n", fine())),
        ("GET /orders/v1/orders/7", format!("{}If-Match: \"a!\"\r\n", fine())),
    ] {
        let said = raw(&envoy, line, &headers, "").await;
        assert_eq!(said.status, 401, "{line}: {}", said.body);
        let problem: Value = serde_json::from_str(&said.body).unwrap();
        assert_eq!(problem["code"], "not-authenticated");
    }
    for line in ["GET /", "GET /orders", "GET /or%20ders/v1/orders/7"] {
        assert_eq!(raw(&envoy, line, &fine(), "").await.status, 404, "{line}");
    }
    let proof = shown(&holder, "getOrder", json!({"id": 99999}));
    let said = raw(&envoy, "GET /orders/v1/orders/99999", &proof, "").await;
    let problem: Value = serde_json::from_str(&said.body).unwrap();
    assert_eq!((said.status, &problem["code"]), (403, &json!("argument-not-delegated")));
    assert!(world.journal.decisions().is_empty());
    // On the gateway's own address nobody asks.
    let said = raw(&world.base, "GET /orders/v1/orders/7", &fine(), "").await;
    assert_eq!(said.status, 404);
}

#[tokio::test]
async fn a_token_that_is_no_chain_is_not_even_looked_at() {
    let (world, envoy) = world().await;
    let resource = format!("{}/orders", world.audience());
    for holder in [Some(7), None] {
        let token = crate::access::token(&world, holder, &resource, &["orders:read"]);
        let (jti, now) = (random_id(world.host.as_ref()), world.host.now());
        let uri = format!("{}/http/orders/orders/7", world.base);
        let (method, token_text) = ("GET", Some(token.as_str()));
        let occasion =
            Occasion { jti: &jti, now, method, uri: &uri, token: token_text, nonce: None };
        let shown = match holder {
            Some(n) => format!("DPoP {token}\r\nDPoP: {}", occasion.prove(&key(n)).unwrap()),
            None => format!("Bearer {token}"),
        };
        let headers = format!("Authorization: {shown}\r\n");
        let said = raw(&envoy, "GET /orders/v1/orders/7", &headers, "").await;
        assert_eq!(said.status, 401, "{}", said.body);
    }
    assert!(world.journal.decisions().is_empty());
    assert_eq!(world.denial_codes(), ["presentation-malformed"; 2]);
}

#[test]
fn the_shipped_configuration_denies_when_in_doubt() {
    let text = include_str!("../../../../docs/envoy.yaml");
    let grpc = include_str!("../../../../docs/envoy-grpc.yaml");
    for line in [
        "failure_mode_allow: false",
        "allow_partial_message: false",
        "path_with_escaped_slashes_action: REJECT_REQUEST",
        "normalize_path: false",
        "request_headers_to_remove: [aat-chain, aat-pop, authorization, dpop, x-forwarded-host]",
        "host_rewrite_literal: orders.example.com",
        "pack_as_bytes: true",
    ] {
        assert!(text.contains(line) && grpc.contains(line), "{line}");
    }
    assert!(grpc.contains("encode_raw_headers: true"));
    assert!(grpc.contains("context_extensions: {tool_server: orders}"));
    // Whatever is looked at must be shown: the headers that would make it another request too.
    for name in bailiwick_policy::api::HEADERS_READ {
        assert!(text.contains(&format!("{{exact: {name}}}")), "{name} is not shown");
    }
}
