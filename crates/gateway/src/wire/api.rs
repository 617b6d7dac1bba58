//! Answers of the endpoints of HTTP APIs: an API's own, or problem details
//! (RFC 9457) of ours. Headers that begin with `Bailiwick-` are the gateway's
//! alone, so that no API can forge a denial: `Bailiwick-Outcome` stands with
//! every allowed call, `Bailiwick-Failed` with one that has no answer.

use axum::response::{IntoResponse as _, Response};
use bailiwick_core::accountable::Ended;
use bailiwick_core::denial::{Denial, WAIT_SECONDS};
use bailiwick_core::ids::EntryId;
use bailiwick_core::json::{Json, Object};
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::{challenged, json, withheld_because};
use crate::stages::evidence::Outcome;
use crate::upstream::Failure;
use crate::upstream::api::Answer;

/// Header that names the decision.
pub(crate) const DECISION: HeaderName = HeaderName::from_static("bailiwick-decision");
/// Header of an allowed call without an answer of the API: why.
const FAILED: HeaderName = HeaderName::from_static("bailiwick-failed");
/// Header of an answer to an allowed call: its outcome.
const OUTCOME: HeaderName = HeaderName::from_static("bailiwick-outcome");

/// An API's answer, to nobody but this caller, and inert in a browser: the
/// console is served from the same origin.
pub(crate) fn api_answer(answer: Answer, outcome: Outcome, decision: &str) -> Response {
    let mut response = (answer.status, answer.body).into_response();
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    headers.extend(answer.headers);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox");
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    named(&mut response, decision, Some(outcome.as_str()));
    response
}

fn named(response: &mut Response, decision: &str, outcome: Option<&'static str>) {
    if let Ok(value) = HeaderValue::from_str(decision) {
        response.headers_mut().insert(DECISION, value);
    }
    if let Some(outcome) = outcome {
        response.headers_mut().insert(OUTCOME, HeaderValue::from_static(outcome));
    }
}

struct Problem<'a> {
    status: StatusCode,
    code: &'a str,
    detail: &'a str,
    remedy: &'a str,
    decision: Option<&'a str>,
    retry_at: Option<String>,
    approval: Option<Json>,
    suggestion: Option<Json>,
}

impl Problem<'_> {
    fn response(self) -> Response {
        let mut body = Object::new()
            .with("type", format!("urn:bailiwick:problem:{}", self.code))
            .with("title", self.code)
            .with("status", u64::from(self.status.as_u16()))
            .with("detail", self.detail)
            .with("code", self.code)
            .with("remedy", self.remedy);
        if let Some(decision) = self.decision {
            body.insert("decision_id", decision);
        }
        if let Some(at) = self.retry_at {
            body.insert("retry_at", at);
        }
        if let Some(approval) = self.approval {
            body.insert("approval", approval);
            body.insert("retry_after", WAIT_SECONDS);
        }
        if let Some(suggestion) = self.suggestion {
            body.insert("suggestion", suggestion);
        }
        let mut response = json(self.status, &body.into());
        let problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, problem);
        if let Some(decision) = self.decision {
            named(&mut response, decision, None);
        }
        response
    }
}

/// A path at which there is nothing.
pub(crate) fn nothing_here(remedy: &str) -> Response {
    Problem {
        status: StatusCode::NOT_FOUND,
        code: "not-found",
        detail: "there is nothing at this path",
        remedy,
        decision: None,
        retry_at: None,
        approval: None,
        suggestion: None,
    }
    .response()
}

fn told(denial: &Denial, status: StatusCode, decision: &str) -> Response {
    let wire = denial.on_the_wire();
    Problem {
        status,
        code: wire.code,
        detail: &wire.message,
        remedy: wire.remedy,
        decision: Some(decision),
        retry_at: wire.retry_at.map(|at| at.to_string()),
        approval: wire.waits.as_ref().map(|waits| waits.to_json()),
        suggestion: wire.suggestion.map(|suggestion| Json::Object(*suggestion)),
    }
    .response()
}

/// A denied request; `token`: the caller came with an access token. A
/// `challenge` is scheme and scope that would help.
pub(crate) fn api_denied(
    denial: &Denial,
    decision: &str,
    metadata: &str,
    token: bool,
    challenge: Option<(&str, &str)>,
) -> Response {
    if !denial.caller_is_known() {
        let response = told(denial, StatusCode::UNAUTHORIZED, decision);
        return challenged(response, denial, token.then_some("invalid_token"), metadata);
    }
    let mut response = told(denial, StatusCode::FORBIDDEN, decision);
    if let Some((scheme, scope)) = challenge {
        super::ask_for_scope(&mut response, scheme, scope, metadata);
    }
    response
}

/// A request that is not well-formed. Only what its bytes alone say is told.
pub(crate) fn api_malformed(
    denial: &Denial,
    status: StatusCode,
    decision: &str,
    metadata: &str,
) -> Response {
    let response = told(denial, status, decision);
    if status == StatusCode::UNAUTHORIZED {
        return challenged(response, denial, None, metadata);
    }
    response
}

/// An allowed call that the API did not answer as it should.
pub(crate) fn api_failed(failure: Failure, decision: &str) -> Response {
    let (code, detail, remedy) = failure.words();
    let status = match failure {
        Failure::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    };
    let decision_id = Some(decision);
    let mut response = Problem {
        status,
        code,
        detail,
        remedy,
        decision: decision_id,
        retry_at: None,
        approval: None,
        suggestion: None,
    }
    .response();
    response.headers_mut().insert(FAILED, HeaderValue::from_static(code));
    named(&mut response, decision, Some(failure.outcome().as_str()));
    response
}

/// A call whose authority was taken back while the API worked.
pub(crate) fn api_withheld(ended: &Ended, decision: &str) -> Response {
    let (what, remedy) = withheld_because(ended);
    let detail = format!("{what} while the API worked; the call was made, its answer is withheld");
    let mut response = Problem {
        status: StatusCode::BAD_GATEWAY,
        code: "answer-withheld",
        detail: &detail,
        remedy,
        decision: Some(decision),
        retry_at: None,
        approval: None,
        suggestion: None,
    }
    .response();
    response.headers_mut().insert(FAILED, HeaderValue::from_static("answer-withheld"));
    named(&mut response, decision, Some("unknown"));
    response
}

/// What another enforcement point may pass on; a call has a decision.
pub(crate) fn external_allowed(decision: Option<&EntryId>) -> Response {
    let mut response = StatusCode::OK.into_response();
    if let Some(decision) = decision {
        named(&mut response, decision.as_str(), None);
    }
    response
}

/// As many calls are under way as this gateway takes at once.
pub(crate) fn busy() -> Response {
    Problem {
        status: StatusCode::SERVICE_UNAVAILABLE,
        code: "busy",
        detail: "too many calls are under way",
        remedy: "try again",
        decision: None,
        retry_at: None,
        approval: None,
        suggestion: None,
    }
    .response()
}
