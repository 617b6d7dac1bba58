//! Answers of the endpoints of agents: an agent's own, or errors in the form of
//! either binding of A2A (§5.4). Every error carries an `ErrorInfo`; what is denied
//! here has code, reason, remedy and decision in its `metadata`, and the domain says
//! whose word it is.

use axum::response::Response;
use bailiwick_core::accountable::Ended;
use bailiwick_core::denial::{Denial, Reason, WAIT_SECONDS};
use bailiwick_core::json::{Json, Object};
use bailiwick_policy::a2a::{Fault, Operation};
use http::{HeaderValue, StatusCode, header};

use super::{DENIED, NOT_AUTHENTICATED, challenged, json, withheld_because};
use crate::rpc;
use crate::sse;
use crate::stages::boundary::Malformed;
use crate::upstream::Failure;

const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";
const OF_A2A: &str = "a2a-protocol.org";
const OURS: &str = "bailiwick.dev";

/// The two bindings that are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binding {
    /// HTTP+JSON.
    Http,
    /// JSON-RPC.
    Rpc,
}

/// An error, not yet in the form of a binding.
pub(crate) struct Told {
    code: i64,
    status: StatusCode,
    name: &'static str,
    reason: String,
    domain: &'static str,
    message: String,
    metadata: Object,
    /// Whether the status is the answer's in the JSON-RPC binding too.
    over_http: bool,
}

impl Told {
    fn of(fault: Fault, message: &str, metadata: Object) -> Self {
        Self {
            code: fault.code,
            status: StatusCode::from_u16(fault.status).unwrap_or(StatusCode::BAD_REQUEST),
            name: fault.name,
            reason: fault.reason.to_owned(),
            domain: OF_A2A,
            message: message.to_owned(),
            metadata,
            over_http: false,
        }
    }

    /// A denied call. What A2A has an error for is told by that.
    pub(crate) fn denied(denial: &Denial, operation: Option<Operation>, decision: &str) -> Self {
        let wire = denial.on_the_wire();
        let mut metadata = Object::new()
            .with("code", wire.code)
            .with("reason", wire.message.as_str())
            .with("remedy", wire.remedy)
            .with("decision_id", decision);
        if let Some(at) = wire.retry_at {
            metadata.insert("retry_at", at.to_string());
        }
        if let Some(waits) = &wire.waits {
            for (name, value) in waits.to_json().as_object().into_iter().flat_map(Object::iter) {
                metadata.insert(format!("approval_{name}"), value.clone());
            }
            metadata.insert("retry_after", WAIT_SECONDS.to_string());
        }
        if let Some(suggestion) = wire.suggestion {
            metadata.insert("suggestion", Json::Object(*suggestion).canonical());
        }
        let known = denial.caller_is_known();
        let fault = match denial.reason {
            Reason::PeerTaskUnknown => Some(Fault::TASK_NOT_FOUND),
            Reason::PeerTaskEnded => Some(Fault::UNSUPPORTED),
            Reason::PushTargetRefused => Some(Fault::PUSH),
            // There is one card, and it is published.
            _ if known && operation == Some(Operation::GetExtendedAgentCard) => {
                Some(Fault::EXTENDED_CARD)
            }
            _ => None,
        };
        if let Some(fault) = fault {
            return Self::of(fault, &wire.message, metadata);
        }
        let (code, status, name) = match known {
            true => (DENIED, StatusCode::FORBIDDEN, "PERMISSION_DENIED"),
            false => (NOT_AUTHENTICATED, StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
        };
        let reason = wire.code.to_uppercase().replace('-', "_");
        let (domain, message) = (OURS, wire.message);
        Self { code, status, name, reason, domain, message, metadata, over_http: !known }
    }

    /// A request that is not well-formed.
    pub(crate) fn malformed(malformed: &Malformed, decision: &str) -> Self {
        let denied = Self::denied(&malformed.denial, None, decision);
        if malformed.status == StatusCode::UNAUTHORIZED {
            return denied;
        }
        let (metadata, status) = (denied.metadata.clone(), malformed.status);
        // What is wrong with the message is told in it, the rest by the status.
        let over_http = ![StatusCode::BAD_REQUEST, StatusCode::NOT_FOUND].contains(&status);
        match Fault::of_code(malformed.code) {
            // What it is about depends on the bytes alone.
            Some(fault) => {
                let about = malformed.denial.subject.as_deref();
                let about = about.map(|s| format!(" (`{s}`)")).unwrap_or_default();
                let told = Self::of(fault, &format!("{}{about}", malformed.message), metadata);
                Self { status, over_http, ..told }
            }
            None => Self { status, over_http, ..denied },
        }
    }

    /// An allowed call that the agent did not answer as it should.
    pub(crate) fn failed(failure: Failure, decision: &str) -> Self {
        let (code, reason, remedy) = failure.words();
        let told = Self::unmade(code, reason, remedy, decision);
        let status = match failure {
            Failure::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        };
        Self { status, ..told }
    }

    /// A call whose authority was taken back while the agent worked.
    pub(crate) fn withheld(ended: &Ended, decision: &str) -> Self {
        let (what, remedy) = withheld_because(ended);
        let reason =
            format!("{what} while the agent worked; the call was made, the rest is withheld");
        let told = Self::unmade("answer-withheld", &reason, remedy, decision);
        Self { status: StatusCode::BAD_GATEWAY, ..told }
    }

    /// As many calls are under way as this gateway takes at once.
    pub(crate) fn busy() -> Self {
        let told = Self::unmade("busy", "too many calls are under way", "try again", "");
        let mut metadata = told.metadata;
        metadata.remove("decision_id");
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self { status, name: "UNAVAILABLE", metadata, over_http: true, ..told }
    }

    /// What came of an allowed call cannot be shown.
    pub(crate) fn unmade(code: &str, reason: &str, remedy: &str, decision: &str) -> Self {
        let metadata = Object::new()
            .with("code", code)
            .with("reason", reason)
            .with("remedy", remedy)
            .with("decision_id", decision);
        let told = Self::of(Fault::INTERNAL, reason, metadata);
        let reason = code.to_uppercase().replace('-', "_");
        Self { domain: OURS, reason, ..told }
    }

    /// An agent's own error. Its code and text are data like every answer of it; what
    /// it says besides is left out.
    pub(crate) fn of_agent(error: &Object, decision: &str) -> Self {
        let code = error.member("code").and_then(|c| c.as_number()?.as_plain_integer());
        let message = error.member("message").and_then(Json::as_str).unwrap_or_default();
        let message: String = message.chars().take(1_000).collect();
        let fault = code.and_then(Fault::of_code).unwrap_or(Fault::INTERNAL);
        Self::of(fault, &message, Object::new().with("decision_id", decision))
    }

    fn details(&self) -> Vec<Json> {
        let info = Object::new()
            .with("@type", ERROR_INFO)
            .with("reason", self.reason.as_str())
            .with("domain", self.domain)
            .with("metadata", self.metadata.clone());
        vec![info.into()]
    }

    fn body(&self, binding: Binding, id: &Json) -> Json {
        match binding {
            Binding::Rpc => {
                let error = Object::new()
                    .with("code", self.code)
                    .with("message", self.message.as_str())
                    .with("data", self.details());
                Object::new()
                    .with("jsonrpc", "2.0")
                    .with("id", id.clone())
                    .with("error", error)
                    .into()
            }
            Binding::Http => {
                let error = Object::new()
                    .with("code", u64::from(self.status.as_u16()))
                    .with("status", self.name)
                    .with("message", self.message.as_str())
                    .with("details", self.details());
                Object::new().with("error", error).into()
            }
        }
    }

    /// As the whole answer. Errors of JSON-RPC come with status 200, but for those
    /// that are HTTP's.
    pub(crate) fn response(&self, binding: Binding, id: &Json) -> Response {
        let status = match binding {
            Binding::Rpc if !self.over_http => StatusCode::OK,
            _ => self.status,
        };
        answer(status, binding, &self.body(binding, id))
    }

    /// As the last event of a stream.
    pub(crate) fn event(&self, binding: Binding, id: &Json) -> Vec<u8> {
        let event = sse::event(&rpc::text(&self.body(binding, id)));
        match binding {
            Binding::Rpc => event,
            Binding::Http => [&b"event: error\n"[..], &event].concat(),
        }
    }
}

/// A result in the form of its binding.
pub(crate) fn result(binding: Binding, id: &Json, result: Object) -> Json {
    match binding {
        Binding::Rpc => rpc::result(id, result),
        Binding::Http => result.into(),
    }
}

/// One JSON text to nobody but this caller, inert in a browser.
pub(crate) fn answer(status: StatusCode, binding: Binding, body: &Json) -> Response {
    let mut response = json(status, body);
    let headers = response.headers_mut();
    if binding == Binding::Http {
        let media = HeaderValue::from_static("application/a2a+json");
        headers.insert(header::CONTENT_TYPE, media);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The same with the way to an access token.
pub(crate) fn challenged_peer(
    response: Response,
    denial: &Denial,
    token: bool,
    metadata: &str,
) -> Response {
    challenged(response, denial, token.then_some("invalid_token"), metadata)
}

/// A denied call that a wider scope would let pass.
pub(crate) fn step_up(
    mut response: Response,
    (scheme, scope): (&str, &str),
    metadata: &str,
) -> Response {
    *response.status_mut() = StatusCode::FORBIDDEN;
    super::ask_for_scope(&mut response, scheme, scope, metadata);
    response
}
