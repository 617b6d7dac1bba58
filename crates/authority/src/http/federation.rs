//! Our own word for other trust domains, over HTTP.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use bailiwick_core::time::Timestamp;

use super::problem::{MEDIA_TYPE, Problem};
use crate::Authority;
use crate::refusal::Refusal;

/// Milliseconds for which a word is given out again: who asks often makes little work.
const KEPT_MS: i64 = 1_000;

#[derive(Clone)]
struct Word {
    authority: Authority,
    kept: Arc<Mutex<Option<(Timestamp, String)>>>,
}

/// `GET /spiffe/revocations`.
pub fn federation_router(authority: Authority) -> Router {
    let state = Word { authority, kept: Arc::default() };
    Router::new().route("/spiffe/revocations", get(revocations)).with_state(state)
}

impl Word {
    fn read(&self) -> Result<String, Refusal> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.authority.time();
        match &*kept {
            Some((at, word)) if (0..KEPT_MS).contains(&now.millis_since(*at)) => Ok(word.clone()),
            _ => {
                let word = self.authority.revocations_word()?;
                *kept = Some((now, word.clone()));
                Ok(word)
            }
        }
    }
}

async fn revocations(State(state): State<Word>) -> Response {
    let work = tokio::task::spawn_blocking(move || state.read()).await;
    match work.unwrap_or(Err(Refusal::Busy)) {
        Ok(word) => {
            let headers = [
                (header::CONTENT_TYPE, "application/jwt"),
                (header::CACHE_CONTROL, "public, max-age=1"),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            ];
            (headers, word).into_response()
        }
        Err(refusal) => {
            let problem = Problem::from(&refusal);
            let status = StatusCode::from_u16(problem.status);
            let headers = [(header::CONTENT_TYPE, MEDIA_TYPE), (header::CACHE_CONTROL, "no-store")];
            let status = status.unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            (status, headers, problem.to_json().canonical()).into_response()
        }
    }
}
