//! A proxy that writes down what a tool server is sent.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use axum::serve::ListenerExt as _;
use http::{HeaderMap, header};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// One request that reached the tool server's side.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub verb: String,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Exchange {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub fn method(&self) -> String {
        self.json()["method"].as_str().unwrap_or_default().to_owned()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|v| v.to_str().unwrap())
    }
}

#[derive(Clone)]
struct Tapped {
    to: String,
    http: reqwest::Client,
    seen: Arc<Mutex<Vec<Exchange>>>,
}

/// A proxy that writes down what a tool server is sent.
pub struct Tap {
    pub url: String,
    seen: Arc<Mutex<Vec<Exchange>>>,
    task: JoinHandle<()>,
}

impl Tap {
    pub async fn start(to: String) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let state = Tapped { to, http: reqwest::Client::new(), seen: Arc::clone(&seen) };
        let app = Router::new().fallback(pass).with_state(state);
        let (url, task) = listen(app).await;
        Self { url, seen, task }
    }

    pub fn seen(&self) -> Vec<Exchange> {
        self.seen.lock().unwrap().clone()
    }

    /// The requests of this method.
    pub fn of(&self, method: &str) -> Vec<Exchange> {
        self.seen().into_iter().filter(|e| e.method() == method).collect()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub async fn listen(app: Router) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let listener = listener.tap_io(|s| s.set_nodelay(true).unwrap());
    (url, tokio::spawn(async move { axum::serve(listener, app).await.unwrap() }))
}

async fn pass(State(tapped): State<Tapped>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, 1 << 24).await.unwrap();
    tapped.seen.lock().unwrap().push(Exchange {
        verb: parts.method.to_string(),
        headers: parts.headers.clone(),
        body: bytes.to_vec(),
    });
    let mut headers = parts.headers;
    for hop in [header::HOST, header::CONNECTION, header::CONTENT_LENGTH] {
        headers.remove(hop);
    }
    let sent = tapped.http.request(parts.method, &tapped.to).headers(headers).body(bytes).send();
    let Ok(answer) = sent.await else {
        return Response::builder().status(502).body(Body::empty()).unwrap();
    };
    let mut response = Response::builder().status(answer.status());
    for (name, value) in answer.headers() {
        if ![header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION].contains(name) {
            response = response.header(name, value);
        }
    }
    response.body(Body::from_stream(answer.bytes_stream())).unwrap()
}
