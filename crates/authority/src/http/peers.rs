//! Handshakes and handoffs over HTTP. Nobody signs in: what is brought is signed
//! by the agents themselves, and only those who have an offer know its hash.

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bailiwick_core::crypto::Digest;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;

use super::instances::{Body, blocking, malformed, members_within};
use crate::Authority;

/// Bytes of a body at most: an offer, a record and a chain.
const MAX_BODY: usize = 512 * 1024;
const LIMITS: JsonLimits = JsonLimits { max_bytes: MAX_BODY, max_depth: 16, max_values: 4_096 };
/// Tokens of a chain at most; the chain's own limits are stricter.
const MAX_TOKENS: usize = 64;

/// `POST /handoffs`, `/handoffs/answer`, `/handoffs/return`, `/handoffs/view`,
/// `/peers/handshakes` and `/peers/refusals`.
pub fn peers_router(authority: Authority) -> Router {
    Router::new()
        .route("/handoffs", post(offer))
        .route("/handoffs/answer", post(answer))
        .route("/handoffs/return", post(give_back))
        .route("/handoffs/view", post(view))
        .route("/peers/handshakes", post(handshake))
        .route("/peers/refusals", post(refusal))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(authority)
}

fn text(o: &Object, name: &str) -> Option<String> {
    o.member(name)?.as_str().map(str::to_owned)
}

fn hash(o: &Object) -> Option<Digest> {
    Digest::from_text(o.member("handoff")?.as_str()?)
}

async fn offer(State(authority): State<Authority>, Body(body): Body<MAX_BODY>) -> Response {
    let read = || {
        let mut o = members_within(&body, &["offer", "handshake", "chain"], &LIMITS)?;
        let chain = o.member("chain")?.as_array().filter(|c| c.len() <= MAX_TOKENS)?;
        let chain: Vec<String> =
            chain.iter().map(|t| t.as_str().map(str::to_owned)).collect::<Option<_>>()?;
        Some((text(&o, "offer")?, o.remove("handshake")?, chain))
    };
    let Some((offer, handshake, chain)) = read() else {
        return malformed("expected `{offer, handshake, chain: [tokens]}`");
    };
    let work = move || Ok(authority.handoff_offer(&offer, &handshake, &chain)?.to_json().into());
    blocking(StatusCode::CREATED, work).await
}

async fn answer(State(authority): State<Authority>, Body(body): Body<MAX_BODY>) -> Response {
    let o = members_within(&body, &["handoff", "answer"], &LIMITS);
    let Some((hash, answer)) = o.and_then(|o| Some((hash(&o)?, text(&o, "answer")?))) else {
        return malformed("expected `{handoff: HASH, answer}`");
    };
    let work = move || Ok(authority.handoff_answer(&hash, &answer)?.to_json().into());
    blocking(StatusCode::OK, work).await
}

async fn give_back(State(authority): State<Authority>, Body(body): Body<MAX_BODY>) -> Response {
    let o = members_within(&body, &["handoff", "return"], &LIMITS);
    let Some((hash, back)) = o.and_then(|o| Some((hash(&o)?, text(&o, "return")?))) else {
        return malformed("expected `{handoff: HASH, return}`");
    };
    let work = move || Ok(authority.handoff_return(&hash, &back)?.to_json().into());
    blocking(StatusCode::OK, work).await
}

async fn view(State(authority): State<Authority>, Body(body): Body<MAX_BODY>) -> Response {
    let Some(hash) = members_within(&body, &["handoff"], &LIMITS).and_then(|o| hash(&o)) else {
        return malformed("expected `{handoff: HASH}`");
    };
    let work = move || Ok(authority.handoff_by_hash(&hash)?.to_json().into());
    blocking(StatusCode::OK, work).await
}

async fn handshake(State(authority): State<Authority>, Body(body): Body<MAX_BODY>) -> Response {
    let o = members_within(&body, &["handshake"], &LIMITS);
    let Some(record) = o.and_then(|mut o| o.remove("handshake")) else {
        return malformed("expected `{handshake}`");
    };
    let work = move || {
        let proven = authority.peer_handshake(&record)?;
        let object = Object::new()
            .with("transcript", proven.transcript())
            .with("initiator", proven.initiator().spiffe_id.as_str())
            .with("responder", proven.responder().spiffe_id.as_str());
        Ok(Json::from(object))
    };
    blocking(StatusCode::CREATED, work).await
}

async fn refusal(State(authority): State<Authority>, Body(body): Body<MAX_BODY>) -> Response {
    let o = members_within(&body, &["refusal"], &LIMITS);
    let Some(signed) = o.and_then(|o| text(&o, "refusal")) else {
        return malformed("expected `{refusal}`");
    };
    let work = move || authority.peer_refused(&signed).map(|()| Json::from(Object::new()));
    let answer = blocking(StatusCode::OK, work).await;
    if answer.status() == StatusCode::OK { StatusCode::NO_CONTENT.into_response() } else { answer }
}
