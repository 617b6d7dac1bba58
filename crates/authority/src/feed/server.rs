//! The authority's side: revocations over HTTP.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::{PATH, STREAM_PATH, proof, signed};
use crate::follower::{Batch, FeedError, RevocationFeed};
use crate::http::problem::{MEDIA_TYPE, Problem};
use crate::service::Authority;

/// How often the state is looked at for the streams.
const LOOK: Duration = Duration::from_millis(20);

/// Between two signs of life on a stream.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

/// Streams open at once; the gateways of more ask for batches.
pub const MAX_STREAMS: usize = 1_024;

/// Serves revocations to gateways; clones share everything.
#[derive(Clone)]
pub struct RevocationServer(Arc<Inner>);

struct Inner {
    authority: Authority,
    /// The last number that the state has.
    latest: watch::Sender<u64>,
    streams: Arc<Semaphore>,
}

impl std::fmt::Debug for RevocationServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RevocationServer")
    }
}

impl RevocationServer {
    /// A server over `authority`.
    #[must_use]
    pub fn new(authority: Authority) -> Self {
        let streams = Arc::new(Semaphore::new(MAX_STREAMS));
        Self(Arc::new(Inner { authority, latest: watch::Sender::new(0), streams }))
    }

    /// `GET /revocations` and `GET /revocations/stream`.
    pub fn router(&self) -> Router {
        Router::new().route(PATH, get(one)).route(STREAM_PATH, get(stream)).with_state(self.clone())
    }

    /// Looks at the state for every stream, until it is dropped. One task does
    /// it: what a stream costs does not depend on how often anything happens.
    pub async fn tend(&self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let (authority, from) = (self.0.authority.clone(), *self.0.latest.borrow());
            let found = tokio::task::spawn_blocking(move || authority.feed().since(from)).await;
            match found {
                Ok(Ok(batch)) => {
                    self.0.latest.send_if_modified(|latest| {
                        let news = batch.next > *latest;
                        *latest = batch.next.max(*latest);
                        news
                    });
                }
                Ok(Err(error)) => {
                    tracing::error!(code = error.code(), %error, "revocations cannot be served")
                }
                Err(_) => tracing::error!("a background job failed"),
            }
        }
    }

    async fn batch(&self, after: u64) -> Result<(Batch, Vec<u8>), FeedError> {
        let authority = self.0.authority.clone();
        let sealed = move || {
            let batch = authority.feed().since(after)?;
            let installation = authority.installation();
            let json =
                signed::seal(&installation.issuer, after, &batch, &*authority.snapshot_key());
            Ok((batch, json.canonical().into_bytes()))
        };
        let unavailable = |_| FeedError::Unavailable { detail: "a background job failed".into() };
        tokio::task::spawn_blocking(sealed).await.map_err(unavailable)?
    }

    /// Refuses whoever is no gateway of this installation.
    fn admit(&self, headers: &HeaderMap, path: &str) -> Result<(), Box<Response>> {
        let authority = &self.0.authority;
        let value = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
        let url = format!("{}{path}", authority.installation().issuer);
        let known = |maker: &str| authority.gateway_key(maker);
        match proof::check(value, &url, authority.time(), known) {
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::debug!(code = error.code(), "a request for revocations was refused");
                // Whoever is not authenticated learns only that.
                let remedy = "prove a gateway's key of this installation";
                let mut response =
                    problem(&Problem::new(401, "not-a-gateway", "not authenticated", remedy));
                let challenge = HeaderValue::from_static(proof::SCHEME);
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
                Err(Box::new(response))
            }
        }
    }
}

fn problem(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let kind = [(header::CONTENT_TYPE, MEDIA_TYPE)];
    (status, kind, problem.to_json().canonical()).into_response()
}

fn unavailable() -> Response {
    let (detail, remedy) = ("the revocations cannot be read now", "try again");
    problem(&Problem::new(503, "feed-unavailable", detail, remedy))
}

/// The number to go on from: `Last-Event-ID` of a stream that is taken up
/// again, or `?after=SEQ`; 0 for all.
fn after(headers: &HeaderMap, query: Option<&str>) -> Result<u64, Box<Response>> {
    let last = headers.get("last-event-id").map(|v| v.to_str().unwrap_or("?"));
    let asked = match query {
        None | Some("") => None,
        Some(query) => Some(query.strip_prefix("after=").unwrap_or("?")),
    };
    // The header is newer: it names what arrived on the stream.
    let text = last.or(asked).unwrap_or("0");
    let number = text.parse::<u64>().ok().filter(|n| i64::try_from(*n).is_ok());
    number.filter(|n| n.to_string() == text).ok_or_else(|| {
        let detail = "`after` is not a whole number";
        let remedy = "send the last number that was seen, or nothing for all";
        Box::new(problem(&Problem::new(400, "after-malformed", detail, remedy)))
    })
}

fn answer(kind: &'static str, body: Body) -> Response {
    let headers = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-store")];
    (headers, body).into_response()
}

async fn one(
    State(server): State<RevocationServer>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let asked = server.admit(&headers, PATH).and_then(|()| after(&headers, query.as_deref()));
    let after = match asked {
        Ok(after) => after,
        Err(response) => return *response,
    };
    match server.batch(after).await {
        Ok((_, body)) => answer("application/json", Body::from(body)),
        Err(_) => unavailable(),
    }
}

/// One stream: where it stands, and its place among those that are open.
struct Open {
    server: RevocationServer,
    latest: watch::Receiver<u64>,
    seq: u64,
    /// Whether the next batch is due at once.
    now: bool,
    _place: OwnedSemaphorePermit,
}

impl Open {
    /// The next event, when something was revoked or a second has passed.
    async fn event(mut self) -> Option<(Bytes, Self)> {
        if !self.now {
            let seq = self.seq;
            let news = self.latest.wait_for(|latest| *latest > seq);
            let _ = tokio::time::timeout(HEARTBEAT, news).await;
        }
        // A stream that cannot be gone on with ends: the gateway comes again.
        let (batch, body) = self.server.batch(self.seq).await.ok()?;
        (self.seq, self.now) = (batch.next, batch.more);
        let mut event = format!("id: {}\ndata: ", batch.next).into_bytes();
        event.extend_from_slice(&body);
        event.extend_from_slice(b"\n\n");
        Some((event.into(), self))
    }
}

async fn stream(
    State(server): State<RevocationServer>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let asked =
        server.admit(&headers, STREAM_PATH).and_then(|()| after(&headers, query.as_deref()));
    let seq = match asked {
        Ok(after) => after,
        Err(response) => return *response,
    };
    let Ok(place) = Arc::clone(&server.0.streams).try_acquire_owned() else {
        return unavailable();
    };
    let latest = server.0.latest.subscribe();
    let open = Open { server, latest, seq, now: true, _place: place };
    let events = futures_util::stream::unfold(open, |open| async move {
        let (event, open) = open.event().await?;
        Some((Ok::<_, Infallible>(event), open))
    });
    answer("text/event-stream", Body::from_stream(events))
}
