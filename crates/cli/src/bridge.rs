//! An MCP server on the standard streams that stands in for a gateway's: what
//! a client writes goes to the gateway with chain and proof, and what the
//! gateway answers comes back unchanged. It decides nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_gateway::headers;
use bailiwick_gateway::lines::Lines;
use bailiwick_gateway::rpc::{self, Message};
use bailiwick_gateway::sse;
use futures_util::StreamExt as _;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};

mod api;
mod door;
mod http;
mod messages;
mod peer;
mod peers;
mod session;
mod siblings;
mod way;

pub(crate) use api::{Api, DECISION, FAILED, NoCall, NoList, OUTCOME};
pub(crate) use door::Door;
pub(crate) use http::Side;
pub(crate) use peer::Peer;
pub(crate) use peers::{Peers, serve_api as serve_peer_api};
use session::{AGAIN, Session};
pub(crate) use way::Way;

use crate::presenter::Moment;

/// The largest message that a client may write: what a gateway takes at most
/// by default.
const REQUESTS: JsonLimits = JsonLimits::DEFAULT;
/// Answers are larger than requests.
const ANSWERS: JsonLimits =
    JsonLimits { max_bytes: 64 << 20, max_depth: 96, max_values: 5_000_000 };
/// Requests of one client under way at once.
const MAX_UNDER_WAY: usize = 64;
/// Tools whose schemas are remembered.
const MAX_SCHEMAS: usize = 1_000;
/// Lines that wait for a slow client.
const BUFFERED: usize = 64;
/// How long answers are waited for when the client wrote its last word.
const LAST_ANSWERS: Duration = Duration::from_secs(10);
/// How long an end may take to be told.
const FAREWELL: Duration = Duration::from_secs(2);

/// One client's way to one tool server of a gateway.
pub(crate) struct Bridge {
    way: Way,
    session: tokio::sync::Mutex<Session>,
    /// Requests of the stateless protocol under way: the end of the connection
    /// is how they are cancelled there.
    under_way: Mutex<HashMap<String, AbortHandle>>,
    events: Mutex<Option<AbortHandle>>,
    /// Schemas of tools that want arguments in headers too, which a client on
    /// standard streams knows nothing of.
    schemas: Mutex<HashMap<String, Object>>,
    /// Other agents, where they are dealt with.
    peers: Option<peers::Beside>,
    to: mpsc::Sender<Vec<u8>>,
}

/// What came instead of an answer.
#[derive(Debug)]
pub(crate) enum Fault {
    /// No answer from the gateway.
    Away(String),
    /// An answer that is none of a gateway.
    Stranger(String),
    /// The instance's own keys or chain cannot be used.
    Own(String),
}

impl Fault {
    /// Its code, what happened, and what to do.
    pub(crate) fn words(self) -> (&'static str, String, &'static str) {
        match self {
            Self::Away(why) => (
                "gateway-unreachable",
                format!("the gateway does not answer: {why}"),
                "check that it runs; whether a call was made is in its ledger",
            ),
            Self::Stranger(why) => (
                "gateway-answer",
                format!("what answers is no Bailiwick gateway: {why}"),
                "check the URL that `connect` was given",
            ),
            Self::Own(why) => ("presentation", why, "check the instance's key and chain files"),
        }
    }

    fn told(self, id: Option<&Json>) -> Json {
        let (code, reason, remedy) = self.words();
        tracing::error!(code, "{reason}");
        let data =
            Object::new().with("code", code).with("reason", reason.as_str()).with("remedy", remedy);
        rpc::error(id, -32603, &reason, data)
    }
}

/// Serves one client until it closes its side, or `stop` ends.
pub(crate) async fn serve(
    way: Way,
    peers: Option<Arc<Peers>>,
    input: impl AsyncRead + Unpin,
    output: impl AsyncWrite + Unpin + Send + 'static,
    stop: impl Future<Output = ()>,
) {
    let (to, lines) = mpsc::channel(BUFFERED);
    let writing = tokio::spawn(write(output, lines));
    let bridge = Arc::new(Bridge {
        way,
        session: tokio::sync::Mutex::default(),
        under_way: Mutex::default(),
        events: Mutex::default(),
        schemas: Mutex::default(),
        peers: peers.map(peers::Beside::new),
        to,
    });
    tokio::select! {
        () = bridge.read(input) => {}
        () = stop => {}
    }
    bridge.stop_events();
    if tokio::time::timeout(FAREWELL, bridge.close()).await.is_err() {
        tracing::warn!("the session at the gateway may still be open");
    }
    drop(bridge);
    let _ = tokio::time::timeout(FAREWELL, writing).await;
}

async fn write(mut output: impl AsyncWrite + Unpin, mut lines: mpsc::Receiver<Vec<u8>>) {
    while let Some(mut line) = lines.recv().await {
        line.push(b'\n');
        if output.write_all(&line).await.is_err() || output.flush().await.is_err() {
            return;
        }
    }
}

impl Bridge {
    fn under_way(&self) -> MutexGuard<'_, HashMap<String, AbortHandle>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what a listing says of headers.
    fn learn(&self, message: &Json) {
        let result = message.as_object().and_then(|m| m.member("result")?.as_object());
        let Some(tools) = result.and_then(|r| r.member("tools")?.as_array()) else { return };
        let mut schemas = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        for tool in tools.iter().filter_map(Json::as_object) {
            let name = tool.member("name").and_then(Json::as_str);
            let schema = tool.member("inputSchema").and_then(Json::as_object);
            let (Some(name), Some(schema)) = (name, schema) else { continue };
            let wants = Json::from(schema.clone()).canonical().contains("\"x-mcp-header\"");
            if !wants {
                schemas.remove(name);
            } else if schemas.len() < MAX_SCHEMAS {
                schemas.insert(name.to_owned(), schema.clone());
            }
        }
    }

    /// `Mcp-Param-…` headers of a call.
    fn mirrored(&self, params: Option<&Object>) -> Vec<(HeaderName, HeaderValue)> {
        let schemas = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        let member = |name: &str| params.and_then(|params| params.member(name));
        let schema = member("name").and_then(Json::as_str).and_then(|name| schemas.get(name));
        match member("arguments").and_then(Json::as_object) {
            Some(arguments) => headers::mirrored(schema, arguments),
            None => Vec::new(),
        }
    }

    async fn say(&self, message: &Json) {
        self.learn(message);
        let listed = self.peers.as_ref().and_then(|peers| peers.passes(message));
        let _ = self.to.send(rpc::text(listed.as_ref().unwrap_or(message))).await;
    }

    /// Takes what the client writes. Requests run beside each other; a
    /// notification is delivered before the next line is read, so that order
    /// is kept where it matters.
    async fn read(self: &Arc<Self>, input: impl AsyncRead + Unpin) {
        let mut lines = Lines::new(input, REQUESTS.max_bytes);
        let room = Arc::new(Semaphore::new(MAX_UNDER_WAY));
        let mut requests = JoinSet::new();
        loop {
            let line = match lines.next().await {
                Ok(Some(line)) => line,
                Ok(None) => break,
                Err(_) => {
                    self.say(&rpc::error(None, -32600, "the message is too long", Object::new()))
                        .await;
                    break;
                }
            };
            if line.trim_ascii().is_empty() {
                continue;
            }
            let read = Json::parse(&line, &REQUESTS).map(Message::read);
            match read {
                Ok(Ok(Message::Request { id, method, params })) => {
                    let Ok(place) = Arc::clone(&room).acquire_owned().await else { break };
                    let bridge = Arc::clone(self);
                    let name = id.canonical();
                    let stateless = way::stated_version(params.as_ref()).is_some();
                    let running = requests.spawn(async move {
                        if let Err(fault) = bridge.request(&id, &method, params).await {
                            bridge.say(&fault.told(Some(&id))).await;
                        }
                        bridge.under_way().remove(&id.canonical());
                        drop(place);
                    });
                    if stateless && !running.is_finished() {
                        self.under_way().insert(name, running);
                    }
                }
                Ok(Ok(Message::Notification { method, params })) => {
                    self.notification(&method, params).await;
                }
                Ok(Ok(Message::Response { message, .. })) => self.reply(message).await,
                Ok(Err(not)) => {
                    let error =
                        rpc::error(not.id.as_ref(), -32600, "invalid request", Object::new());
                    self.say(&error).await;
                }
                Err(_) => self.say(&rpc::error(None, -32700, "parse error", Object::new())).await,
            }
            while requests.try_join_next().is_some() {}
        }
        let rest = async { while requests.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(LAST_ANSWERS, rest).await;
    }

    /// Passes an answer on: one message, or events and then the message. The
    /// rest of a stream that ended before is asked for in its session.
    async fn relay(
        &self,
        mut response: axum::http::Response<Body>,
        id: Option<&Json>,
        within: Option<(&HeaderValue, &Moment<'_>)>,
    ) -> Result<(), Fault> {
        let mut last = None;
        let mut resumed = false;
        while is_media(&response, "text/event-stream") && response.status().is_success() {
            let before = last.clone();
            let ended = self.relay_events(response.into_body(), id, &mut last).await;
            if matches!(ended, Ok(true)) || id.is_none() {
                return ended.map(drop);
            }
            let (Some((session, moment)), Some(from)) = (within, &last) else {
                return Err(unanswered(ended));
            };
            if resumed && before == last {
                return Err(unanswered(ended));
            }
            tokio::time::sleep(AGAIN).await;
            response = self.events_after(session, Some(from), moment).await?;
            resumed = true;
        }
        let status = response.status();
        let stranger = || Fault::Stranger(format!("it answers {status}"));
        if !is_media(&response, "application/json") {
            return match id {
                Some(_) => Err(stranger()),
                None => Ok(()),
            };
        }
        let body = whole(response.into_body()).await?;
        let message = Json::parse(&body, &ANSWERS).map_err(|_| stranger())?;
        match Message::read(message.clone()) {
            Ok(Message::Response { .. }) => {
                self.say(&message).await;
                Ok(())
            }
            _ => Err(stranger()),
        }
    }

    /// Passes events on; true, once the answer was among them. The id of the
    /// last event goes into `last`.
    async fn relay_events(
        &self,
        body: Body,
        id: Option<&Json>,
        last: &mut Option<String>,
    ) -> Result<bool, Fault> {
        let mut reader = sse::Reader::new(ANSWERS.max_bytes);
        let mut pieces = body.into_data_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|e| Fault::Away(e.to_string()))?;
            let large = |_| Fault::Stranger("an event is too large".to_owned());
            for data in reader.feed(&piece).map_err(large)? {
                let Ok(message) = Json::parse(&data, &ANSWERS) else { continue };
                let answered = match Message::read(message.clone()) {
                    Ok(Message::Response { id: answered, .. }) => Some(&answered) == id,
                    Ok(_) => false,
                    Err(_) => continue,
                };
                self.say(&message).await;
                if answered {
                    return Ok(true);
                }
            }
            if let Some(id) = reader.last_id() {
                *last = Some(id.to_owned());
            }
        }
        Ok(false)
    }
}

/// A stream that ended without the answer.
fn unanswered(ended: Result<bool, Fault>) -> Fault {
    match ended {
        Ok(_) => Fault::Away("the stream ended without an answer".to_owned()),
        Err(fault) => fault,
    }
}

/// A body up to the bound on answers.
async fn whole(body: Body) -> Result<Vec<u8>, Fault> {
    let mut pieces = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|e| Fault::Away(e.to_string()))?;
        if bytes.len().saturating_add(piece.len()) > ANSWERS.max_bytes {
            return Err(Fault::Stranger("the answer is too large".to_owned()));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

fn is_media(response: &axum::http::Response<Body>, media_type: &str) -> bool {
    let stated = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    stated
        .and_then(|v| v.split(';').next())
        .is_some_and(|v| v.trim().eq_ignore_ascii_case(media_type))
}

/// Whether a session of before is not there any more; nothing was done then.
fn session_ended(response: &axum::http::Response<Body>) -> bool {
    response.status() == StatusCode::NOT_FOUND
}
