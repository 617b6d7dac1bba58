//! Answers: one place where they get their headers.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bailiwick_core::json::Json;
use futures_util::StreamExt as _;

use crate::oauth::error::OAuthError;
use crate::oauth::{introspection, status_list};

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

fn with_type(
    status: StatusCode,
    kind: &'static str,
    body: String,
    cache: &'static str,
) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, cache),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, body).into_response()
}

/// What anybody may read and keep for a while.
pub(super) fn public(body: &Json, kind: &'static str) -> Response {
    with_type(StatusCode::OK, kind, body.canonical(), "public, max-age=60")
}

/// What is for one caller only (RFC 6749 §5.1).
pub(super) fn private(body: &Json) -> Response {
    with_type(StatusCode::OK, "application/json", body.canonical(), "no-store")
}

/// Something that was created.
pub(super) fn created(body: &Json) -> Response {
    with_type(StatusCode::CREATED, "application/json", body.canonical(), "no-store")
}

/// Nothing to say (RFC 7009 §2.2).
pub(super) fn empty() -> Response {
    (StatusCode::OK, [(header::CACHE_CONTROL, "no-store")]).into_response()
}

/// A signed status list; its own `ttl` says how long it may be kept.
pub(super) fn status_list(token: String) -> Response {
    with_type(StatusCode::OK, status_list::MEDIA_TYPE, token, "public, max-age=10")
}

/// A signed introspection answer (RFC 9701 §5).
pub(super) fn introspection(token: String) -> Response {
    with_type(StatusCode::OK, introspection::MEDIA_TYPE, token, "no-store")
}

/// The one place where an error becomes an answer.
pub(super) fn refused(error: &OAuthError) -> Response {
    tracing::info!(error = error.code.as_str(), reason = error.reason, "request refused");
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = error.to_json().canonical();
    let mut response = with_type(status, "application/json", body, "no-store");
    if let Some(nonce) = &error.nonce {
        with_nonce(&mut response, nonce);
    }
    if let Some(seconds) = error.retry_after_seconds {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

pub(super) fn with_nonce(response: &mut Response, nonce: &str) {
    if let Ok(value) = HeaderValue::from_str(nonce) {
        response.headers_mut().insert("dpop-nonce", value);
    }
}

/// The body's kind is said, and is this one.
pub(super) fn content_type(headers: &HeaderMap, expected: &str) -> Result<(), OAuthError> {
    let said = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let said = said.map(|v| v.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    if said.as_deref() == Some(expected) {
        return Ok(());
    }
    let text = format!("the body must be `{expected}`");
    Err(OAuthError::request("content-type", text))
}

/// Reads a body up to `max` bytes, and no longer than a client may take.
pub(super) async fn read(body: Body, max: usize) -> Result<Vec<u8>, OAuthError> {
    let large = || OAuthError::request("request-too-large", "the request is too large");
    let broken = || OAuthError::request("body-broken", "the body did not arrive");
    let work = async {
        let mut pieces = body.into_data_stream();
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|_| broken())?;
            if bytes.len().saturating_add(piece.len()) > max {
                return Err(large());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    };
    tokio::time::timeout(BODY_TIMEOUT, work).await.unwrap_or_else(|_| Err(broken()))
}
