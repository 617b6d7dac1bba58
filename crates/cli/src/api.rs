//! The authority's small HTTP side: reading the ledger at the standard's
//! paths. Tiles are for auditors: they need the admin credential unless the
//! operator publishes the log.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bailiwick_core::crypto::sha256;
use subtle::ConstantTimeEq as _;

use crate::datadir::{ADMIN, DataDir};
use crate::error::CliError;
use crate::keyfile;

struct Api {
    data: Arc<DataDir>,
    /// SHA-256 of the admin credential: comparing hashes takes the same time
    /// whatever the length of a guess.
    admin: [u8; 32],
}

/// `/ledger/checkpoint`, `/ledger/tile/…`.
pub(crate) fn router(data: Arc<DataDir>) -> Result<Router, CliError> {
    let credential = keyfile::own(keyfile::read_private(&data.dir.join("keys").join(ADMIN)))?;
    let admin = *sha256(credential.trim_ascii()).bytes();
    Ok(Router::new()
        .route("/ledger/{*path}", get(ledger))
        .with_state(Arc::new(Api { data, admin })))
}

fn is_admin(api: &Api, headers: &HeaderMap) -> bool {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.strip_prefix("Bearer "))
        .is_some_and(|token| sha256(token.as_bytes()).bytes().ct_eq(&api.admin).into())
}

async fn ledger(
    State(api): State<Arc<Api>>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Response {
    if !api.data.config.publish_ledger && !is_admin(&api, &headers) {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        return (StatusCode::UNAUTHORIZED, challenge, "the ledger is for auditors\n")
            .into_response();
    }
    let files = api.data.store().ledger();
    let name = path.clone();
    match tokio::task::spawn_blocking(move || files.read(&name)).await {
        Ok(Ok(Some(bytes))) => {
            // Full tiles never change; the checkpoint and partial tiles do.
            let (kind, cache) = if path == "checkpoint" {
                ("text/plain; charset=utf-8", "no-cache")
            } else if path.contains(".p/") {
                ("application/octet-stream", "no-cache")
            } else {
                ("application/octet-stream", "private, max-age=31536000, immutable")
            };
            ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, cache)], bytes).into_response()
        }
        Ok(Ok(None)) => (StatusCode::NOT_FOUND, "no such tile\n").into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the ledger cannot be read\n").into_response(),
    }
}
