//! The taking side over HTTP. What a connection proves comes as an extension of
//! its requests, from whoever serves: a [`Channel`]. Without one it is plain
//! HTTP, which proves nothing.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::peer::Channel;
use bailiwick_core::peer::handshake::{Hello, MAX_MESSAGE_BYTES};

use super::Taker;
use crate::error::PeerError;
use crate::messages::{
    CHALLENGE, FINISH, Finishing, HELLO, MAX_OFFER_MESSAGE, OFFER, Offering, challenge, greeted,
    read_session,
};

/// How long a message may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(10);

pub(super) fn router(taker: Taker) -> Router {
    Router::new()
        .route(HELLO, post(hello))
        .route(FINISH, post(finish))
        .route(CHALLENGE, post(another))
        .route(OFFER, post(offer))
        .with_state(taker)
}

/// One message with what its connection proves.
async fn message(request: Request, max_bytes: usize) -> Result<(Channel, Vec<u8>), PeerError> {
    let channel = request.extensions().get::<Channel>().cloned().unwrap_or(Channel::Unbound);
    let too_large = PeerError::TooLarge { max_bytes };
    let read = axum::body::to_bytes(request.into_body(), max_bytes);
    match tokio::time::timeout(ARRIVAL, read).await {
        Ok(Ok(bytes)) => Ok((channel, bytes.to_vec())),
        _ => Err(too_large),
    }
}

fn answered(answer: Result<Json, PeerError>) -> Response {
    let (status, media, body) = match answer {
        Ok(body) => (StatusCode::OK, "application/json", body),
        Err(error) => {
            tracing::info!(code = error.code(), "a peer was refused: {error}");
            let status = StatusCode::from_u16(error.status());
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, "application/problem+json", error.to_json())
        }
    };
    let headers = [(header::CONTENT_TYPE, media), (header::CACHE_CONTROL, "no-store")];
    (status, headers, Body::from(body.canonical())).into_response()
}

async fn hello(State(taker): State<Taker>, request: Request) -> Response {
    let answer = async {
        let (channel, bytes) = message(request, MAX_MESSAGE_BYTES).await?;
        let (session, reply) = taker.on_hello(&Hello::parse(&bytes)?, channel).await?;
        Ok(greeted(&session, &reply))
    };
    answered(answer.await)
}

async fn finish(State(taker): State<Taker>, request: Request) -> Response {
    let answer = async {
        let (channel, bytes) = message(request, MAX_MESSAGE_BYTES + 1_024).await?;
        let finishing = Finishing::read(&bytes)?;
        taker.on_finish(&finishing, &channel).map(challenge)
    };
    answered(answer.await)
}

async fn another(State(taker): State<Taker>, request: Request) -> Response {
    let answer = async {
        let (channel, bytes) = message(request, MAX_MESSAGE_BYTES).await?;
        taker.on_challenge(&read_session(&bytes)?, &channel).map(challenge)
    };
    answered(answer.await)
}

async fn offer(State(taker): State<Taker>, request: Request) -> Response {
    let answer = async {
        let (channel, bytes) = message(request, MAX_OFFER_MESSAGE).await?;
        taker.on_offer(Offering::read(&bytes)?, &channel).await?;
        Ok(Object::new().with("status", "received").into())
    };
    answered(answer.await)
}
