//! Envoy's `ext_authz`, HTTP form: an Envoy in front of an HTTP API asks before
//! it forwards a request.
//!
//! Envoy sends the request as it came, with `path_prefix` `/<tool server>` in
//! front, and forwards it when the answer is 200. The request is understood as
//! at the gateway's own door ([`crate::api`]), with chain and proof in its
//! headers; the record says `enforcement: external`. A body counts only whole:
//! Envoy says so in `x-envoy-auth-partial-body`. What it does not forward as
//! it was asked about, nobody here can see; the shipped configuration does.

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::response::{IntoResponse as _, Response};
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::ids::ServerName;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::api::{Asked, Came};
use crate::external::Ruled;
use crate::gateway::Gateway;
use crate::http::read;
use crate::stages::boundary::{self, CallRequest, Enforcement, Form, Presentation, check_headers};
use crate::wire;

/// Whether Envoy passed only a part of the body.
const PARTIAL: &str = "x-envoy-auth-partial-body";

/// The endpoint for Envoy: every method and path, on a listener of its own.
pub fn router(gateway: Gateway) -> Router {
    Router::new().fallback(check).layer(DefaultBodyLimit::disable()).with_state(gateway)
}

async fn check(State(gateway): State<Gateway>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let at = path.strip_prefix('/').and_then(|rest| rest.find('/'));
    let named = at.and_then(|at| Some((path.get(1..=at)?, path.get(at.saturating_add(1)..)?)));
    let named = named.and_then(|(name, path)| Some((ServerName::parse(name).ok()?, path)));
    let Some((server, path)) = named else {
        // What is about no tool server of anybody leaves nothing.
        return StatusCode::NOT_FOUND.into_response();
    };
    let metadata = gateway.metadata_url(server.as_str());
    let asked = match asked(&gateway, &server, path, request).await {
        Ok(asked) => asked,
        Err(denial) => {
            let entry = gateway.deny_question(&server, &format!("http:{server}:"), &denial).await;
            return wire::api_denied(&denial, entry.as_str(), &metadata, false, None);
        }
    };
    let Some(_slot) = gateway.call_slot() else { return wire::busy() };
    match gateway.rule(asked).await {
        Ruled { entry, verdict: Ok(_) } => wire::api_allowed(entry.as_str()),
        Ruled { entry, verdict: Err(denial) } => {
            wire::api_denied(&denial, entry.as_str(), &metadata, false, None)
        }
    }
}

async fn asked(
    gateway: &Gateway,
    server: &ServerName,
    path: &str,
    request: Request,
) -> Result<CallRequest, Denial> {
    let (parts, body) = request.into_parts();
    let (presentation, body) = presented(gateway, &parts.headers, body).await?;
    if !is_whole(&parts.headers, body.is_empty()) {
        return Err(Denial::new(Reason::RequestMalformed).about(PARTIAL));
    }
    let base = gateway.api(server)?.url.path().trim_end_matches('/').to_owned();
    let below = path.strip_prefix(&base).ok_or_else(|| Denial::new(Reason::RequestMalformed))?;
    let came = Came {
        method: parts.method.as_str(),
        path: below,
        query: parts.uri.query(),
        headers: &parts.headers,
        body: &body,
    };
    let Asked { call, .. } = gateway.understood(server, &came)?;
    let enforcement = Enforcement::External(None);
    Ok(CallRequest::of_api(server.clone(), call, None, presentation, enforcement))
}

/// Chain and proof of a request that somebody else forwards, and its whole body.
pub(crate) async fn presented(
    gateway: &Gateway,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Presentation, Bytes), Denial> {
    let config = &gateway.config;
    check_headers(config, headers).map_err(|malformed| malformed.denial)?;
    let presentation = boundary::of_call(config, None, headers)?;
    if presentation.form != Form::Chain {
        // A DPoP proof names a URL that is not known here, a bearer proves
        // nothing.
        return Err(Denial::new(Reason::PresentationMalformed).about("authorization"));
    }
    let (max, limit) = (config.max_request_bytes, config.body_timeout);
    let body = read(body, headers, max, limit).await.map_err(|m| m.denial)?;
    Ok((presentation, body))
}

/// SECURITY: of a part of a body nothing follows for the rest. With a body Envoy
/// always says whether it is whole.
fn is_whole(headers: &HeaderMap, is_empty: bool) -> bool {
    let mut said = headers.get_all(PARTIAL).iter();
    match (said.next(), said.next()) {
        (None, _) => is_empty,
        (Some(partial), None) => partial.as_bytes() == b"false",
        (Some(_), Some(_)) => false,
    }
}
