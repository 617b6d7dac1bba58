//! What an agent puts on the wire, and what it makes of the answers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::{sync::Arc, time::Duration};

use bailiwick_demo::agent::{
    AgentError, CallOutcome, Connection, DirectCaller, Era, FixedPresenter, MessageHeaders,
    Outcome, PRESENTATION_META_KEY, PresentError, Presentation, Presenter, RecordingPresenter,
    connect,
};
use bailiwick_demo::desk::{REFUND_POLICY_URI, REPLY_PROMPT};
use rmcp::model::JsonObject;
use serde_json::{Value, json};
use support::{Exchange, FakePresenter, RecordingProxy, answering, arguments, desk, ticket};

/// Whether this exchange is a call in the sense of the binding.
fn is_call(exchange: &Exchange) -> bool {
    matches!(
        exchange.body["method"].as_str(),
        Some("tools/call" | "resources/read" | "prompts/get")
    )
}

#[tokio::test]
async fn calls_carry_the_presentation_in_meta_and_all_other_messages_carry_headers() {
    for era in Era::ALL {
        let desk = desk().await;
        let proxy = RecordingProxy::start(desk.desk.url()).await;
        let presenter = Arc::new(FakePresenter::default());
        let client = connect(&proxy.url(), "desk", era, presenter.clone()).await.unwrap();
        client.list_tools().await.unwrap();
        assert!(client.call_tool("get_ticket", ticket(8821)).await.allowed().is_some());
        assert!(client.read_resource(REFUND_POLICY_URI).await.allowed().is_some());
        let ticket_id = arguments(json!({"ticket_id": "8821"}));
        assert!(client.get_prompt(REPLY_PROMPT, ticket_id).await.allowed().is_some());
        client.close().await;

        let mut labels = proxy.labels();
        let calls =
            ["POST tools/list", "POST tools/call", "POST resources/read", "POST prompts/get"];
        match era {
            Era::Stateless => assert_eq!(labels, [&["POST server/discover"][..], &calls].concat()),
            Era::Sessions => {
                // The event stream is opened beside the first calls.
                let stream = labels.iter().position(|label| label == "GET").unwrap();
                labels.remove(stream);
                let opening = &["POST initialize", "POST notifications/initialized"][..];
                assert_eq!(labels, [opening, &calls, &["DELETE"]].concat());
            }
        }
        for exchange in proxy.seen() {
            let label = exchange.label();
            let presented = &exchange.body["params"]["_meta"][PRESENTATION_META_KEY];
            if is_call(&exchange) {
                assert_eq!(presented["aat_chain"], json!(["root", "leaf"]), "{label}");
                assert!(
                    exchange.header("aat-chain").is_none() && exchange.header("dpop").is_none(),
                    "{label}"
                );
            } else {
                assert_eq!(presented, &Value::Null, "{label}");
                assert_eq!(exchange.header("aat-chain"), Some("root,leaf"), "{label}");
                let expected = format!("dpop {} {}", exchange.method, proxy.url());
                assert_eq!(exchange.header("dpop"), Some(expected.as_str()), "{label}");
            }
            if era == Era::Stateless {
                assert_eq!(
                    exchange.header("mcp-method"),
                    exchange.body["method"].as_str(),
                    "{label}"
                );
                assert_eq!(exchange.header("mcp-protocol-version"), Some("2026-07-28"), "{label}");
            }
        }
        let expected = [
            ("mcp:desk:tools/get_ticket".to_owned(), ticket(8821)),
            ("mcp:desk:resources/read".to_owned(), arguments(json!({"uri": REFUND_POLICY_URI}))),
            (
                "mcp:desk:prompts/reply_to_ticket".to_owned(),
                arguments(json!({"ticket_id": "8821"})),
            ),
        ];
        assert_eq!(presenter.calls(), expected);
    }
}

#[tokio::test]
async fn nothing_is_answered_from_a_cache_even_if_the_server_allows_it() {
    use axum::{Json, Router, body::Bytes};

    support::install_tls_provider();
    let app = Router::new().fallback(|body: Bytes| async move {
        let message: Value = serde_json::from_slice(&body).unwrap_or_default();
        let result = match message["method"].as_str() {
            Some("server/discover") => json!({"resultType": "complete", "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {}}, "ttlMs": 60_000, "cacheScope": "private"}),
            // Each answer is another one.
            _ => json!({"resultType": "complete", "ttlMs": 60_000, "cacheScope": "public", "tools":
                [{"name": format!("answer-{}", message["id"]), "inputSchema": {"type": "object"}}]}),
        };
        Json(json!({"jsonrpc": "2.0", "id": message["id"], "result": result}))
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let presenter = Arc::new(FakePresenter::default());
    let client = connect(&url, "desk", Era::Stateless, presenter).await.unwrap();
    let first = client.list_tools().await.unwrap();
    assert_ne!(client.list_tools().await.unwrap(), first);
    server.abort();
}

/// Presents messages like [`FakePresenter`] and has nothing to sign calls with.
struct NoCalls;

impl Presenter for NoCalls {
    fn for_call(&self, _: &str, _: &JsonObject) -> Result<Presentation, PresentError> {
        Err(PresentError::new("the delegation has run out"))
    }

    fn for_message(&self, method: &str, url: &str) -> Result<MessageHeaders, PresentError> {
        FakePresenter::default().for_message(method, url)
    }
}

#[tokio::test]
async fn what_cannot_be_signed_is_not_sent() {
    let desk = desk().await;
    let proxy = RecordingProxy::start(desk.desk.url()).await;
    let client = connect(&proxy.url(), "desk", Era::Stateless, Arc::new(NoCalls)).await.unwrap();
    let outcome = client.call_tool("get_ticket", ticket(8821)).await;
    assert!(
        matches!(&outcome, Outcome::Transport { reason } if reason.contains("has run out")),
        "{outcome:?}"
    );
    assert_eq!(proxy.labels(), ["POST server/discover"]);
}

#[tokio::test]
async fn a_captured_presentation_can_be_sent_again_with_other_arguments() {
    let desk = desk().await;
    let proxy = RecordingProxy::start(desk.desk.url()).await;
    let victim = Arc::new(RecordingPresenter::new(FakePresenter::default()));
    let client = connect(&proxy.url(), "desk", Era::Sessions, victim.clone()).await.unwrap();
    assert!(client.call_tool("get_ticket", ticket(8821)).await.allowed().is_some());
    let captured = victim.last().unwrap();

    let thief = Arc::new(FixedPresenter::new(captured.clone(), FakePresenter::default()));
    let thief = connect(&proxy.url(), "desk", Era::Stateless, thief).await.unwrap();
    assert!(thief.call_tool("get_ticket", ticket(9000)).await.allowed().is_some());
    let direct = DirectCaller::new(proxy.url()).unwrap();
    assert!(
        direct.call_tool("get_ticket", &ticket(9001), Some(&captured)).await.allowed().is_some()
    );
    assert!(matches!(
        direct.call_tool("get_ticket", &ticket(1), Some(&captured)).await,
        Outcome::ToolError(_)
    ));

    let pops: Vec<_> = proxy
        .seen()
        .into_iter()
        .filter(is_call)
        .map(|call| {
            call.body["params"]["_meta"][PRESENTATION_META_KEY]["aat_pop"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(pops, vec![captured.aat_pop; 4]);
}

#[tokio::test]
async fn a_session_the_server_forgot_is_opened_again_and_the_call_is_signed_again() {
    let desk = desk().await;
    let proxy = RecordingProxy::start(desk.desk.url()).await;
    let presenter = Arc::new(FakePresenter::default());
    let client = connect(&proxy.url(), "desk", Era::Sessions, presenter.clone()).await.unwrap();
    assert!(client.call_tool("get_ticket", ticket(8821)).await.allowed().is_some());
    let session = proxy
        .seen()
        .iter()
        .find_map(|exchange| exchange.header("mcp-session-id").map(str::to_owned))
        .unwrap();
    let ended = reqwest::Client::new().delete(proxy.url()).header("mcp-session-id", session);
    assert_eq!(
        ended.header("mcp-protocol-version", "2025-11-25").send().await.unwrap().status(),
        202
    );

    assert!(client.call_tool("get_ticket", ticket(8821)).await.allowed().is_some());
    assert_eq!(
        presenter.calls().len(),
        3,
        "the call that met the 404 and the one sent again have a proof each"
    );
    let initialized = proxy.labels().iter().filter(|label| *label == "POST initialize").count();
    assert_eq!(initialized, 2);
    assert_eq!(desk.desk.call_log().unwrap().len(), 2);
}

const DENIAL: &str = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32040,"message":"denied","data":{"code":"constraint-violated","reason":"ticket 9000 is outside the scope","remedy":"ask for it","decision_id":"0199"}}}"#;

fn assert_denied(outcome: CallOutcome, code: &str) {
    let denial = outcome.denied().unwrap();
    assert_eq!(denial.code, code);
}

#[tokio::test]
async fn a_direct_caller_understands_denials_whatever_the_status() {
    for status in [200, 400, 401, 403] {
        let (url, server) = answering(status, "application/json", DENIAL).await;
        let outcome =
            DirectCaller::new(url).unwrap().call_tool("get_ticket", &ticket(9000), None).await;
        assert_denied(outcome, "constraint-violated");
        server.abort();
    }
    let (url, server) = answering(401, "text/plain", "go away").await;
    let outcome =
        DirectCaller::new(url).unwrap().call_tool("get_ticket", &ticket(9000), None).await;
    assert_denied(outcome, "not-authenticated");
    server.abort();
    let (url, server) = answering(502, "text/html", "<p>bad gateway").await;
    let outcome =
        DirectCaller::new(url).unwrap().call_tool("get_ticket", &ticket(9000), None).await;
    assert!(matches!(outcome, Outcome::Transport { .. }));
    server.abort();
}

#[tokio::test]
async fn a_denied_connection_says_why() {
    const AT_0: &str = r#"{"jsonrpc":"2.0","id":0,"error":{"code":-32041,"message":"not authenticated","data":{"code":"not-authenticated","reason":"the caller was not authenticated","remedy":"present a chain and a proof"}}}"#;
    for era in Era::ALL {
        for status in [200, 400, 401, 403] {
            let (url, server) = answering(status, "application/json", AT_0).await;
            let error =
                connect(&url, "desk", era, Arc::new(FakePresenter::default())).await.err().unwrap();
            let AgentError::Denied(denial) = &error else { panic!("{era:?} {status}: {error}") };
            assert_eq!(
                (denial.rpc_code, denial.remedy.as_str()),
                (-32041, "present a chain and a proof")
            );
            server.abort();
        }
    }
}

#[tokio::test]
async fn a_denied_call_on_an_open_connection_says_why() {
    use axum::{Json, Router, body::Bytes, response::IntoResponse};

    support::install_tls_provider();
    for status in [200_u16, 400, 401, 403, 500] {
        let app = Router::new().fallback(move |body: Bytes| async move {
            let message: Value = serde_json::from_slice(&body).unwrap_or_default();
            match message["method"].as_str() {
                Some("initialize") => Json(json!({"jsonrpc": "2.0", "id": message["id"], "result": {
                    "protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                    "serverInfo": {"name": "gateway", "version": "1"}}})).into_response(),
                Some("server/discover") => Json(json!({"jsonrpc": "2.0", "id": message["id"], "result": {
                    "resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}},
                    "ttlMs": 0, "cacheScope": "private"}})).into_response(),
                Some("notifications/initialized") => http::StatusCode::ACCEPTED.into_response(),
                Some(_) => {
                    let mut denial: Value = serde_json::from_str(DENIAL).unwrap();
                    denial["id"] = message["id"].clone();
                    (http::StatusCode::from_u16(status).unwrap(), Json(denial)).into_response()
                }
                None => http::StatusCode::METHOD_NOT_ALLOWED.into_response(),
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        for era in Era::ALL {
            let client = Connection::new(&url, "desk", era)
                .presenting(Arc::new(FakePresenter::default()))
                .with_timeout(Duration::from_secs(3))
                .connect()
                .await
                .unwrap();
            let denial = client.call_tool("get_ticket", ticket(9000)).await.denied();
            let denial = denial.unwrap_or_else(|| panic!("{era:?} {status}"));
            assert_eq!((denial.rpc_code, denial.code.as_str()), (-32040, "constraint-violated"));
            assert_eq!(denial.decision_id.as_deref(), Some("0199"));
            assert!(
                matches!(client.list_tools().await, Err(AgentError::Denied(_))),
                "{era:?} {status}"
            );
        }
        server.abort();
    }
}

#[tokio::test]
async fn a_server_that_is_away_or_mute_is_a_transport_error() {
    support::install_tls_provider();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let mute = Connection::new(&url, "desk", Era::Stateless)
        .with_timeout(Duration::from_millis(200))
        .connect()
        .await;
    assert!(
        matches!(mute.err().unwrap(), AgentError::Transport { reason } if reason.contains("timed out"))
    );
    drop(listener);
    let away = Connection::new(&url, "desk", Era::Sessions).connect().await;
    let AgentError::Transport { reason } = away.err().unwrap() else {
        panic!("no transport error")
    };
    assert!(!reason.contains("::"), "no type names for people: {reason}");
}
