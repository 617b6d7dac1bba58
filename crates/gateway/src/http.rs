//! The HTTP side: endpoints, bodies, answers.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use bailiwick_core::denial::Reason;
use bailiwick_core::ids::ServerName;
use bailiwick_core::json::{Json, Object};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::gateway::Gateway;
use crate::stages::boundary::{self, Malformed, WellFormed};
use crate::wire;

/// The gateway's endpoints: `/mcp/{server}`, its waiting calls (`crate::approvals`), its metadata, HTTP APIs
/// (`crate::api`), agents (`crate::a2a`), the decision API
/// ([`crate::authzen`]), `/healthz`, `/readyz`.
pub fn router(gateway: Gateway) -> Router {
    Router::new()
        .route("/mcp/{server}", any(endpoint))
        .route("/mcp/{server}/approvals/{id}", get(crate::approvals::poll))
        .route("/.well-known/oauth-protected-resource/mcp/{server}", get(metadata))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .merge(crate::a2a::router())
        .merge(crate::api::router())
        .merge(crate::authzen::router())
        .merge(crate::own::router())
        .with_state(gateway)
}

async fn ready(State(gateway): State<Gateway>) -> Response {
    let servers = gateway.ports.catalogue.servers();
    if gateway.stopping.is_cancelled() || servers.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response();
    }
    "ready\n".into_response()
}

/// RFC 9728. The same for every name, so that it does not say which tool
/// servers there are.
async fn metadata(State(gateway): State<Gateway>, Path(server): Path<String>) -> Response {
    let Ok(server) = ServerName::parse(&server) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let texts = |items: &[String]| items.iter().map(|i| Json::from(i.as_str())).collect::<Vec<_>>();
    let algorithms = wire::DPOP_ALGORITHMS.split(' ').map(Json::from).collect::<Vec<_>>();
    let body = Object::new()
        .with("resource", gateway.config.endpoint(server.as_str()))
        .with("authorization_servers", texts(&gateway.config.authorization_servers))
        .with("bearer_methods_supported", vec![Json::from("header")])
        .with("dpop_signing_alg_values_supported", algorithms)
        // Bearer tokens reach what a workflow lists for them, and nothing else.
        .with("dpop_bound_access_tokens_required", false)
        .with("bailiwick_audience", gateway.audience.as_str());
    wire::json(StatusCode::OK, &body.into())
}

async fn endpoint(
    State(gateway): State<Gateway>,
    Path(server): Path<String>,
    request: Request,
) -> Response {
    match ServerName::parse(&server) {
        Ok(server) => answer(&gateway, server, request).await,
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

/// Answers one request to a tool server's endpoint: what [`router`] does at
/// `/mcp/{server}`, for a caller in the same process.
pub async fn answer(gateway: &Gateway, server: ServerName, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let result = match parts.method {
        Method::POST => post(gateway, server.clone(), &parts.headers, body).await,
        Method::GET | Method::DELETE => {
            session(gateway, parts.method, server.clone(), &parts.headers).await
        }
        _ => {
            let allow = [(header::ALLOW, "POST, GET, DELETE")];
            return (StatusCode::METHOD_NOT_ALLOWED, allow).into_response();
        }
    };
    let mut response = match result {
        Ok(response) => response,
        Err(malformed) => {
            let entry = gateway.deny_malformed(&server, &malformed).await;
            let metadata = gateway.metadata_url(server.as_str());
            wire::malformed(&malformed, entry.as_str(), &metadata)
        }
    };
    if let Some(nonce) = gateway.nonce().filter(|_| parts.headers.contains_key("dpop")) {
        wire::with_nonce(&mut response, &nonce);
    }
    response
}

async fn post(
    gateway: &Gateway,
    server: ServerName,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Malformed> {
    boundary::check_headers(&gateway.config, headers)?;
    boundary::check_post(headers)?;
    let body =
        read(body, headers, gateway.config.max_request_bytes, gateway.config.body_timeout).await?;
    match boundary::parse(&gateway.config, server, headers, &body)? {
        WellFormed::Message(request) => Ok(gateway.message(request).await),
        WellFormed::Answer(answer) => Ok(gateway.take_answer(answer).await),
        WellFormed::Call(request) => match request.own() {
            Some(own) if gateway.is_own(&request, own) => {
                Ok(gateway.answer_own(request, own).await)
            }
            _ => {
                let slot = gateway.call_slot().ok_or_else(busy)?;
                Ok(gateway.start_call(request, slot).response().await)
            }
        },
    }
}

/// As many calls are under way as this gateway takes at once.
fn busy() -> Malformed {
    let (reason, status) = (Reason::StateUnavailable, StatusCode::SERVICE_UNAVAILABLE);
    Malformed::new(reason, status, wire::NOT_AUTHENTICATED, "too many calls are under way")
}

/// Reads a body up to `max` bytes within `limit`.
pub(crate) async fn read(
    body: Body,
    headers: &HeaderMap,
    max: usize,
    limit: Duration,
) -> Result<Bytes, Malformed> {
    let too_large = || {
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        Malformed::new(Reason::RequestTooLarge, status, -32600, "the request is too large")
    };
    let broken = || {
        let status = StatusCode::BAD_REQUEST;
        Malformed::new(Reason::RequestMalformed, status, -32700, "parse error")
    };
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|n| n > max) {
        return Err(too_large());
    }
    let work = async {
        let mut pieces = body.into_data_stream();
        // What is announced is not believed: memory grows with what arrives.
        let mut bytes = Vec::with_capacity(announced.unwrap_or(0).min(64 << 10));
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| broken())?;
            if bytes.len().saturating_add(piece.len()) > max {
                return Err(too_large());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(Bytes::from(bytes))
    };
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(broken()))
}

/// `GET` and `DELETE`: a session's stream and its end.
async fn session(
    gateway: &Gateway,
    verb: Method,
    server: ServerName,
    headers: &HeaderMap,
) -> Result<Response, Malformed> {
    boundary::check_headers(&gateway.config, headers)?;
    // The stateless protocol has neither.
    let stateless = headers
        .get("mcp-protocol-version")
        .is_some_and(|v| v == HeaderValue::from_static("2026-07-28"));
    if stateless || !headers.contains_key("mcp-session-id") {
        let allow = [(header::ALLOW, "POST")];
        return Ok((StatusCode::METHOD_NOT_ALLOWED, allow).into_response());
    }
    match boundary::of_message(&gateway.config, headers) {
        Ok(presentation) => Ok(gateway.session_request(verb, server, headers, presentation).await),
        Err(denial) => {
            let metadata = gateway.metadata_url(server.as_str());
            let reason = denial.reason;
            let malformed =
                Malformed::new(reason, StatusCode::UNAUTHORIZED, wire::NOT_AUTHENTICATED, "");
            let entry = gateway.deny_malformed(&server, &malformed).await;
            Ok(wire::challenge(&denial, entry.as_str(), &metadata))
        }
    }
}

/// A request below the endpoint of an API or an agent; the path is as it was
/// written.
pub(crate) struct Target {
    pub(crate) server: ServerName,
    /// `None`: the endpoint itself.
    pub(crate) path: Option<String>,
}

impl Target {
    /// Reads `path`, which begins with `base`.
    pub(crate) fn of(base: &str, path: &str) -> Option<Self> {
        let rest = path.strip_prefix(base)?;
        let (server, path) = match rest.find('/') {
            Some(at) => (rest.get(..at)?, Some(rest.get(at..)?.to_owned())),
            None => (rest, None),
        };
        Some(Self { server: ServerName::parse(server).ok()?, path })
    }
}
