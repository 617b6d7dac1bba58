//! What several of the tests need: a desk in a temporary folder, a presenter without keys, a proxy that records.

#![allow(dead_code, unreachable_pub, reason = "each test file uses some of it")]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, Once},
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    response::Response,
};
use bailiwick_demo::{
    agent::{Connection, Era, MessageHeaders, PresentError, Presentation, Presenter},
    desk::{self, DeskConfig, RunningDesk},
};
use http::{HeaderMap, header};
use rmcp::model::JsonObject;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

pub const CREDENTIAL: &str = "desk-credential-0123456789";

/// With all crates of the workspace tested in one build, reqwest is built with TLS and wants a provider.
pub fn install_tls_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _already = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
}

/// A desk whose files go with it.
pub struct TestDesk {
    pub desk: RunningDesk,
    pub dir: tempfile::TempDir,
}

pub async fn desk_with(change: impl FnOnce(&mut DeskConfig)) -> TestDesk {
    install_tls_provider();
    let dir = tempfile::tempdir().unwrap();
    let credential = dir.path().join("desk.credential");
    std::fs::write(&credential, format!("{CREDENTIAL}\n")).unwrap();
    let mut config = DeskConfig::new(dir.path().join("desk.db"), credential);
    change(&mut config);
    TestDesk { desk: desk::serve(config).await.unwrap(), dir }
}

pub async fn desk() -> TestDesk {
    desk_with(|_| ()).await
}

/// A connection straight to the desk, as a gateway makes it.
pub fn to_desk(desk: &TestDesk, era: Era) -> Connection {
    Connection::new(desk.desk.url(), "desk", era).with_bearer(CREDENTIAL)
}

pub fn arguments(value: Value) -> JsonObject {
    match value {
        Value::Object(members) => members,
        other => panic!("`{other}` is no object"),
    }
}

/// A presenter without keys: what it "signs" says what it was asked to sign.
#[derive(Default)]
pub struct FakePresenter {
    calls: Mutex<Vec<(String, JsonObject)>>,
}

impl FakePresenter {
    pub fn calls(&self) -> Vec<(String, JsonObject)> {
        self.calls.lock().unwrap().clone()
    }
}

impl Presenter for FakePresenter {
    fn for_call(
        &self,
        tool_id: &str,
        arguments: &JsonObject,
    ) -> Result<Presentation, PresentError> {
        let mut calls = self.calls.lock().unwrap();
        calls.push((tool_id.to_owned(), arguments.clone()));
        Ok(Presentation {
            aat_chain: vec!["root".to_owned(), "leaf".to_owned()],
            aat_pop: format!("pop {} {tool_id} {}", calls.len(), Value::Object(arguments.clone())),
        })
    }

    fn for_message(&self, method: &str, url: &str) -> Result<MessageHeaders, PresentError> {
        Ok(MessageHeaders {
            aat_chain: "root,leaf".to_owned(),
            dpop: format!("dpop {method} {url}"),
        })
    }
}

/// One request that passed the proxy, with what came back.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub method: String,
    pub headers: HeaderMap,
    pub body: Value,
    pub status: u16,
    pub response_headers: HeaderMap,
}

impl Exchange {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// `POST tools/call`, or `GET`.
    pub fn label(&self) -> String {
        match self.body.get("method").and_then(Value::as_str) {
            Some(method) => format!("{} {method}", self.method),
            None => self.method.clone(),
        }
    }
}

#[derive(Clone)]
struct Proxied {
    upstream: String,
    http: reqwest::Client,
    seen: Arc<Mutex<Vec<Exchange>>>,
}

/// A proxy that adds the desk's credential and writes down what passes.
pub struct RecordingProxy {
    pub addr: SocketAddr,
    seen: Arc<Mutex<Vec<Exchange>>>,
    task: JoinHandle<()>,
}

impl RecordingProxy {
    pub async fn start(upstream: String) -> Self {
        install_tls_provider();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let state = Proxied { upstream, http: reqwest::Client::new(), seen: Arc::clone(&seen) };
        let app = Router::new().fallback(pass).with_state(state);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { addr, seen, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}/mcp", self.addr)
    }

    pub fn seen(&self) -> Vec<Exchange> {
        self.seen.lock().unwrap().clone()
    }

    pub fn labels(&self) -> Vec<String> {
        self.seen().iter().map(Exchange::label).collect()
    }
}

impl Drop for RecordingProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(State(proxied): State<Proxied>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, 1 << 20).await.unwrap();
    let mut headers = parts.headers.clone();
    for hop in [header::HOST, header::CONNECTION, header::CONTENT_LENGTH] {
        headers.remove(hop);
    }
    headers.insert(header::AUTHORIZATION, format!("Bearer {CREDENTIAL}").parse().unwrap());
    let at = {
        let mut seen = proxied.seen.lock().unwrap();
        seen.push(Exchange {
            method: parts.method.to_string(),
            headers: parts.headers,
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
            status: 0,
            response_headers: HeaderMap::new(),
        });
        seen.len() - 1
    };
    let answer = proxied
        .http
        .request(parts.method, &proxied.upstream)
        .headers(headers)
        .body(bytes)
        .send()
        .await
        .unwrap();
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if name != header::CONTENT_LENGTH
            && name != header::TRANSFER_ENCODING
            && name != header::CONNECTION
        {
            response = response.header(name, value);
        }
    }
    {
        let mut seen = proxied.seen.lock().unwrap();
        seen[at].status = answer.status().as_u16();
        seen[at].response_headers = answer.headers().clone();
    }
    response.body(Body::from_stream(answer.bytes_stream())).unwrap()
}

/// A server that gives every POST the same answer.
pub async fn answering(
    status: u16,
    content_type: &'static str,
    body: &'static str,
) -> (String, JoinHandle<()>) {
    install_tls_provider();
    let app = Router::new().fallback(move || async move {
        Response::builder()
            .status(status)
            .header(header::CONTENT_TYPE, content_type)
            .body(Body::from(body))
            .unwrap()
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    (url, tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }))
}

pub fn ticket(id: i64) -> JsonObject {
    arguments(json!({"ticket_id": id}))
}
