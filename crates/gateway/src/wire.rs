//! What callers are told: the one place where denials become HTTP and JSON-RPC.

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bailiwick_core::accountable::Ended;
use bailiwick_core::denial::{Denial, Reason, WAIT_SECONDS};
use bailiwick_core::json::{Json, Object};
use bailiwick_policy::mcp_methods::{Era, TASKS};
use http::{HeaderValue, StatusCode, header};

use crate::rpc;
use crate::sse;
use crate::stages::boundary::Malformed;
use crate::streams::events_response;

mod api;
pub(crate) mod peer;
mod waiting;

pub(crate) use api::{
    DECISION, api_answer, api_denied, api_failed, api_malformed, api_withheld, busy,
    external_allowed, nothing_here,
};
pub(crate) use waiting::{APPROVAL, input_required, url_required};

/// JSON-RPC code: denied, and the caller is known.
pub(crate) const DENIED: i64 = -32040;
/// JSON-RPC code: the caller is not authenticated.
pub(crate) const NOT_AUTHENTICATED: i64 = -32041;
/// Its message.
pub(crate) const NOT_AUTHENTICATED_TEXT: &str = "the caller is not authenticated";
/// JSON-RPC code: the call was allowed and the tool server failed.
pub(crate) const UPSTREAM_FAILED: i64 = -32603;

/// JSON-RPC code: the client did not declare a capability that the tool needs
/// (MCP 2026-07-28).
const CAPABILITY_MISSING: i64 = -32021;

/// JSON-RPC code: the parameters name nothing that is there.
const INVALID_PARAMS: i64 = -32602;

/// JSON-RPC code: headers and body disagree (MCP 2026-07-28).
const HEADER_MISMATCH: i64 = -32020;

/// The status of an answer over HTTP: an error that the protocol wants to be
/// seen there is (MCP 2026-07-28).
pub(crate) fn status_of(answer: &Json, era: Era) -> StatusCode {
    let error = answer.as_object().and_then(|a| a.member("error")?.as_object());
    let code = error.and_then(|e| e.member("code")?.as_number()?.as_plain_integer());
    match code {
        Some(CAPABILITY_MISSING) if era == Era::Stateless => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

/// A tool server's answer, as one JSON text or as the one event of a stream.
pub(crate) fn answered(answer: &Json, era: Era, streamed: bool) -> Response {
    match status_of(answer, era) {
        StatusCode::OK if streamed => events_response(Body::from(sse::event(&rpc::text(answer)))),
        status => json(status, answer),
    }
}

/// One JSON text that nobody may keep.
pub(crate) fn json(status: StatusCode, body: &Json) -> Response {
    json_bytes(status, rpc::text(body))
}

pub(crate) fn json_bytes(status: StatusCode, body: Vec<u8>) -> Response {
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn data(denial: &Denial, decision: &str) -> (i64, String, Object) {
    let wire = denial.on_the_wire();
    let code = if denial.caller_is_known() { DENIED } else { NOT_AUTHENTICATED };
    let mut data = Object::new()
        .with("code", wire.code)
        .with("reason", wire.message.as_str())
        .with("remedy", wire.remedy)
        .with("decision_id", decision);
    if let Some(retry_at) = wire.retry_at {
        data.insert("retry_at", retry_at.to_string());
    }
    if let Some(waits) = &wire.waits {
        data.insert("approval", waits.to_json());
        data.insert("retry_after", WAIT_SECONDS);
    }
    if let Some(suggestion) = wire.suggestion {
        data.insert("suggestion", *suggestion);
    }
    (code, wire.message, data)
}

/// A denied request; a notification has no id.
pub(crate) fn denied(id: Option<&Json>, denial: &Denial, decision: &str) -> Response {
    let (code, message, data) = data(denial, decision);
    let status = if id.is_some() { StatusCode::OK } else { StatusCode::FORBIDDEN };
    json(status, &rpc::error(id, code, &message, data))
}

/// A request with an access token that does not hold (RFC 6750 §3.1).
pub(crate) fn invalid_token(
    id: Option<&Json>,
    denial: &Denial,
    decision: &str,
    metadata: &str,
) -> Response {
    let (code, message, data) = data(denial, decision);
    let response = json(StatusCode::UNAUTHORIZED, &rpc::error(id, code, &message, data));
    challenged(response, denial, Some("invalid_token"), metadata)
}

/// A call that the caller's access token does not cover, and that another scope
/// would (RFC 6750 §3.1, RFC 9449 §7.1; MCP authorization, "Scope Challenge
/// Handling"). The body is that of any denied call.
pub(crate) fn insufficient_scope(
    id: &Json,
    denial: &Denial,
    decision: &str,
    metadata: &str,
    (scheme, scope): (&str, &str),
) -> Response {
    let (code, message, data) = data(denial, decision);
    let mut response = json(StatusCode::FORBIDDEN, &rpc::error(Some(id), code, &message, data));
    ask_for_scope(&mut response, scheme, scope, metadata);
    response
}

fn ask_for_scope(response: &mut Response, scheme: &str, scope: &str, metadata: &str) {
    let challenge = format!(
        "{scheme} error=\"insufficient_scope\", scope=\"{scope}\", resource_metadata=\"{metadata}\""
    );
    // A scope is of visible ASCII without quotes (RFC 6749 §3.3).
    if let Ok(value) = HeaderValue::from_str(&challenge) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
}

/// Tells an unauthenticated caller where to get authority (RFC 9728 §5.1). The
/// scheme that every client knows comes first.
fn challenged(
    mut response: Response,
    denial: &Denial,
    error: Option<&str>,
    metadata: &str,
) -> Response {
    // RFC 9449 §9: the token holds, and the proof but for its nonce. Who came
    // with a bound token has no use for another scheme.
    let nonce = denial.reason == Reason::ProofNonce;
    let error = if nonce { Some("use_dpop_nonce") } else { error };
    let error = error.map(|e| format!("error=\"{e}\", ")).unwrap_or_default();
    let bearer = (!nonce).then(|| format!("Bearer {error}resource_metadata=\"{metadata}\""));
    let dpop = format!("DPoP {error}algs=\"{DPOP_ALGORITHMS}\", resource_metadata=\"{metadata}\"");
    let challenges: Vec<String> = bearer.into_iter().chain([dpop]).collect();
    for value in challenges.iter().filter_map(|text| HeaderValue::from_str(text).ok()) {
        response.headers_mut().append(header::WWW_AUTHENTICATE, value);
    }
    response
}

/// Algorithms of DPoP proofs.
pub(crate) const DPOP_ALGORITHMS: &str = "ES256 Ed25519 EdDSA";

/// A request whose session ended: the client opens another.
pub(crate) fn session_ended(id: Option<&Json>, denial: &Denial, decision: &str) -> Response {
    let (code, message, data) = data(denial, decision);
    json(StatusCode::NOT_FOUND, &rpc::error(id, code, &message, data))
}

/// A call whose headers do not repeat its arguments (MCP 2026-07-28).
pub(crate) fn header_mismatch(id: Option<&Json>, denial: &Denial, decision: &str) -> Response {
    let (_, message, data) = data(denial, decision);
    json(StatusCode::BAD_REQUEST, &rpc::error(id, HEADER_MISMATCH, &message, data))
}

/// A message about tasks of a client that does not declare them (MCP
/// 2026-07-28).
pub(crate) fn capability_missing(id: Option<&Json>, denial: &Denial, decision: &str) -> Response {
    let (_, message, data) = data(denial, decision);
    let extensions = Object::new().with(TASKS, Object::new());
    let data = data.with("requiredCapabilities", Object::new().with("extensions", extensions));
    json(StatusCode::BAD_REQUEST, &rpc::error(id, CAPABILITY_MISSING, &message, data))
}

/// A message about a task that its caller does not have (MCP, tasks).
pub(crate) fn invalid_params(id: Option<&Json>, denial: &Denial, decision: &str) -> Response {
    let (_, message, data) = data(denial, decision);
    json(StatusCode::OK, &rpc::error(id, INVALID_PARAMS, &message, data))
}

/// A request without a JSON-RPC body (GET, DELETE).
pub(crate) fn challenge(denial: &Denial, decision: &str, metadata: &str) -> Response {
    let status =
        if denial.caller_is_known() { StatusCode::FORBIDDEN } else { StatusCode::UNAUTHORIZED };
    let (_, _, data) = data(denial, decision);
    let response = json(status, &data.into());
    if status == StatusCode::UNAUTHORIZED {
        return challenged(response, denial, None, metadata);
    }
    response
}

/// A call of one of the gateway's own tools that is refused; `why` is the caller's
/// alone.
pub(crate) fn request_refused(
    id: Option<&Json>,
    denial: &Denial,
    decision: &str,
    why: Option<Object>,
) -> Response {
    let (code, message, mut data) = data(denial, decision);
    if let Some(why) = why {
        data.insert("why", why);
    }
    json(StatusCode::OK, &rpc::error(id, code, &message, data))
}

/// The same, asked over HTTP.
pub(crate) fn refused_question(
    denial: &Denial,
    decision: &str,
    metadata: &str,
    why: Option<Object>,
) -> Response {
    if !denial.caller_is_known() {
        return challenge(denial, decision, metadata);
    }
    let (_, _, mut data) = data(denial, decision);
    if let Some(why) = why {
        data.insert("why", why);
    }
    let status = match denial.reason {
        Reason::RequestFlood => StatusCode::TOO_MANY_REQUESTS,
        Reason::RequestUnknown | Reason::RunUnknown => StatusCode::NOT_FOUND,
        Reason::RequestUnavailable | Reason::RunUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        Reason::RequestRefused | Reason::RunRefused => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::FORBIDDEN,
    };
    json(status, &data.into())
}

/// A request that is not well-formed.
pub(crate) fn malformed(malformed: &Malformed, decision: &str, metadata: &str) -> Response {
    let (_, _, mut data) = data(&malformed.denial, decision);
    if let Some((requested, spoken)) = &malformed.requested {
        let supported: Vec<Json> = spoken.iter().map(|era| Json::from(era.version())).collect();
        data.insert("requested", requested.as_str());
        data.insert("supported", supported);
    }
    let body = rpc::error(malformed.id.as_ref(), malformed.code, malformed.message, data);
    let response = json(malformed.status, &body);
    if malformed.status == StatusCode::UNAUTHORIZED {
        return challenged(response, &malformed.denial, None, metadata);
    }
    response
}

/// A question over HTTP that is not well-formed. What is wrong with it depends on
/// its bytes alone, so whoever sent them is told.
pub(crate) fn malformed_question(
    malformed: &Malformed,
    decision: &str,
    metadata: &str,
) -> Response {
    if malformed.status == StatusCode::UNAUTHORIZED {
        return challenge(&malformed.denial, decision, metadata);
    }
    let reason = malformed.denial.reason;
    let data = Object::new()
        .with("code", reason.code())
        .with("reason", reason.message())
        .with("remedy", reason.remedy())
        .with("decision_id", decision);
    json(malformed.status, &data.into())
}

/// The nonce for the next proof, with any answer (RFC 9449 §9, §8.2).
pub(crate) fn with_nonce(response: &mut Response, nonce: &str) {
    if let Ok(value) = HeaderValue::from_str(nonce) {
        response.headers_mut().insert("dpop-nonce", value);
    }
}

/// An allowed request that the tool server failed.
pub(crate) fn upstream_failed(
    id: Option<&Json>,
    code: &str,
    reason: &str,
    remedy: &str,
    decision: Option<&str>,
) -> Response {
    json(StatusCode::OK, &upstream_error(id, code, reason, remedy, decision))
}

/// Why an answer is withheld, and what to do.
fn withheld_because(ended: &Ended) -> (String, &'static str) {
    match ended {
        Ended::TakenBack(kind) => (
            format!("the authority behind the call was taken back ({kind})"),
            "ask the principal for a new delegation",
        ),
        Ended::Stopped(what) => (format!("`{what}` was stopped"), Reason::Stopped.remedy()),
    }
}

/// A call whose authority was taken back, or stopped, while the tool worked.
pub(crate) fn withheld(id: &Json, ended: &Ended, decision: &str) -> Vec<u8> {
    let (what, remedy) = withheld_because(ended);
    let reason = format!("{what} while the tool worked; the call was made, its answer is withheld");
    let data = Object::new()
        .with("code", "answer-withheld")
        .with("reason", reason.as_str())
        .with("remedy", remedy)
        .with("decision_id", decision);
    rpc::text(&rpc::error(Some(id), UPSTREAM_FAILED, &reason, data))
}

/// Of the answer to a call whose client was away, where it was too large.
pub(crate) fn not_kept(id: &Json, decision: &str) -> Vec<u8> {
    let reason = "the call was made; its answer came while nobody read its stream, and was too large to be kept";
    let remedy = "find out what happened before calling again";
    let data = Object::new()
        .with("code", "answer-not-kept")
        .with("reason", reason)
        .with("remedy", remedy)
        .with("decision_id", decision);
    rpc::text(&rpc::error(Some(id), UPSTREAM_FAILED, reason, data))
}

/// The same as a JSON-RPC message.
pub(crate) fn upstream_error(
    id: Option<&Json>,
    code: &str,
    reason: &str,
    remedy: &str,
    decision: Option<&str>,
) -> Json {
    let mut data = Object::new().with("code", code).with("reason", reason).with("remedy", remedy);
    if let Some(decision) = decision {
        data.insert("decision_id", decision);
    }
    rpc::error(id, UPSTREAM_FAILED, reason, data)
}
