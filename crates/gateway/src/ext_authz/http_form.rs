//! The HTTP form: Envoy sends the request as it came, with `path_prefix`
//! `/<tool server>` in front, and forwards it when the answer is 200.

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::response::{IntoResponse as _, Response};
use bailiwick_core::ids::ServerName;
use http::StatusCode;

use super::{Envoyed, Told, check, denied, is_unclear, odd};
use crate::gateway::Gateway;
use crate::http::read;
use crate::wire;

/// The endpoint for Envoy: every method and path, on a listener of its own.
///
/// SECURITY: that listener has no other endpoint. Whatever answers 200 there
/// allows the request whose path it is, and a client chooses its path.
pub fn router(gateway: Gateway) -> Router {
    Router::new().fallback(asked).layer(DefaultBodyLimit::disable()).with_state(gateway)
}

async fn asked(State(gateway): State<Gateway>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let at = path.strip_prefix('/').and_then(|rest| rest.find('/'));
    let named = at.and_then(|at| Some((path.get(1..=at)?, path.get(at.saturating_add(1)..)?)));
    let named = named.and_then(|(name, path)| Some((ServerName::parse(name).ok()?, path)));
    let Some((server, path)) = named else {
        // What is about no tool server of anybody leaves nothing.
        return StatusCode::NOT_FOUND.into_response();
    };
    let (max, limit) = (gateway.config.max_request_bytes, gateway.config.body_timeout);
    let clear = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        value.to_str().is_ok_and(|text| !is_unclear(name.as_str(), text))
    };
    if let Some((name, _)) = parts.headers.iter().find(|header| !clear(*header)) {
        let Told::Denied(response) = denied(&gateway, &server, &odd(name.as_str())).await else {
            return StatusCode::BAD_REQUEST.into_response();
        };
        return *response;
    }
    let told = match read(body, &parts.headers, max, limit).await {
        Ok(body) => {
            let envoyed = Envoyed {
                server,
                method: parts.method.as_str().to_owned(),
                path: path.to_owned(),
                query: parts.uri.query().map(str::to_owned),
                headers: parts.headers,
                body,
            };
            check(&gateway, &envoyed).await
        }
        Err(malformed) => denied(&gateway, &server, &malformed.denial).await,
    };
    match told {
        Told::Allowed(entry) => wire::external_allowed(entry.as_ref()),
        Told::Denied(response) => *response,
    }
}
