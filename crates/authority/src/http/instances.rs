//! Instances over HTTP: enrolment by a one-time token, identity tokens that are
//! renewed without a person, and the end.

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::problem::{MEDIA_TYPE, Problem};
use crate::Authority;
use crate::people::sessions::Secret;
use crate::refusal::Refusal;
use crate::rules::svids::IssuedSvids;

/// Bytes of a body at most: an enrolment has under 4 KiB.
const MAX_BODY: usize = 16 * 1024;

const LIMITS: JsonLimits = JsonLimits { max_bytes: MAX_BODY, max_depth: 8, max_values: 256 };

/// `POST /instances`, `/instances/identity`, `/instances/svid` and `/instances/retirement`, and
/// `GET /spiffe/bundle.json`.
pub fn instances_router(authority: Authority) -> Router {
    Router::new()
        .route("/instances", post(enrol))
        .route("/instances/identity", post(renew))
        .route("/instances/svid", post(svid))
        .route("/instances/retirement", post(retire))
        .route("/spiffe/bundle.json", get(bundle))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(authority)
}

/// A body within `MAX` bytes, which the route's own limit sees to, else a problem
/// like every other.
pub(super) struct Body<const MAX: usize = MAX_BODY>(pub(super) Bytes);

impl<S: Send + Sync, const MAX: usize> FromRequest<S> for Body<MAX> {
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let refused = |why: BytesRejection| match why.status() {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let detail = format!("the body has more than {MAX} bytes");
                let remedy = "send the members that `/openapi.json` names, within their lengths";
                answer(&Problem::new(413, "request-too-large", &detail, remedy))
            }
            _ => malformed("the body did not arrive whole"),
        };
        Bytes::from_request(request, state).await.map(Self).map_err(refused)
    }
}

/// A body of exactly these members.
fn members(body: &[u8], names: &[&str]) -> Option<Object> {
    members_within(body, names, &LIMITS)
}

/// The same within other limits.
pub(super) fn members_within(body: &[u8], names: &[&str], limits: &JsonLimits) -> Option<Object> {
    match Json::parse(body, limits) {
        Ok(Json::Object(o)) if o.len() == names.len() => {
            names.iter().all(|name| o.member(name).is_some()).then_some(o)
        }
        _ => None,
    }
}

/// The one text of a body of one member.
fn text(body: &[u8], name: &str) -> Option<String> {
    members(body, &[name]).and_then(|o| Some(o.member(name)?.as_str()?.to_owned()))
}

pub(super) fn malformed(detail: &str) -> Response {
    let remedy = "send the members that `/openapi.json` names, as strict JSON";
    answer(&Problem::new(400, "request-malformed", detail, remedy))
}

fn answer(problem: &Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
    let headers = [(header::CONTENT_TYPE, MEDIA_TYPE), (header::CACHE_CONTROL, "no-store")];
    (status, headers, problem.to_json().canonical()).into_response()
}

fn outcome(status: StatusCode, outcome: Result<Json, Refusal>) -> Response {
    match outcome {
        Ok(body) => {
            let headers =
                [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
            (status, headers, body.canonical()).into_response()
        }
        Err(refusal) => answer(&Problem::from(&refusal)),
    }
}

pub(super) async fn blocking(
    status: StatusCode,
    work: impl FnOnce() -> Result<Json, Refusal> + Send + 'static,
) -> Response {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => outcome(status, done),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn enrol(State(authority): State<Authority>, Body(body): Body) -> Response {
    let Some(mut o) = members(&body, &["token", "enrolment"]) else {
        return malformed("expected `{token, enrolment}`");
    };
    let token = o.member("token").and_then(Json::as_str).and_then(Secret::parse);
    let (Some(token), Some(enrolment)) = (token, o.remove("enrolment")) else {
        return malformed("`token` is not an enrolment token");
    };
    let admit = move || Ok(authority.instance_admit(&token, &enrolment)?.to_json());
    blocking(StatusCode::CREATED, admit).await
}

async fn renew(State(authority): State<Authority>, Body(body): Body) -> Response {
    let Some(request) = text(&body, "request") else {
        return malformed("expected `{request}`");
    };
    blocking(StatusCode::OK, move || Ok(authority.identity_renew(&request)?.to_json())).await
}

async fn svid(State(authority): State<Authority>, Body(body): Body) -> Response {
    let Some(request) = text(&body, "request") else {
        return malformed("expected `{request}`");
    };
    let issue = move || {
        let (issued, bundle) = authority.svid_issue(&request)?;
        Ok(svids_json(&issued, bundle))
    };
    blocking(StatusCode::OK, issue).await
}

/// SVIDs as they are answered; certificates as in JOSE's `x5c`, leaf first.
fn svids_json(issued: &IssuedSvids, bundle: Json) -> Json {
    let identity = &issued.identity;
    let chain: Vec<Json> = issued.chain.iter().map(|der| STANDARD.encode(der).into()).collect();
    Object::new()
        .with("instance", &identity.instance)
        .with("spiffe_id", identity.spiffe_id.as_str())
        .with("x5c", chain)
        .with("wit_svid", identity.token.as_str())
        .with("expires_at", identity.expires.to_string())
        .with("expires_in", issued.seconds)
        .with("trust_bundle", bundle)
        .into()
}

/// The trust bundle for everybody (SPIFFE Federation §5.2, `https_web`).
async fn bundle(State(authority): State<Authority>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "public, max-age=10"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, authority.trust_bundle().canonical()).into_response()
}

async fn retire(State(authority): State<Authority>, Body(body): Body) -> Response {
    let Some(statement) = text(&body, "statement") else {
        return malformed("expected `{statement}`");
    };
    let retire = move || {
        let instance = authority.instance_retire_signed(&statement)?;
        Ok(Object::new().with("instance", &instance).with("status", "retired").into())
    };
    blocking(StatusCode::OK, retire).await
}
