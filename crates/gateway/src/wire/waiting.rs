//! What a client that can send its user to a page hears of a call that waits.

use axum::response::Response;
use bailiwick_core::denial::{Denial, WAIT_SECONDS, Waits};
use bailiwick_core::ids::ToolId;
use bailiwick_core::json::{Json, Object};
use bailiwick_policy::mcp_methods::OWN_QUESTION;
use http::StatusCode;

use super::{data, json};
use crate::questions::URL_REQUIRED;
use crate::rpc;
use crate::stages::effect::DECISION;

/// Member of a result's `_meta` that says which call waits and until when. No
/// tool server's passes.
pub(crate) const APPROVAL: &str = OWN_QUESTION;

fn question(waits: &Waits) -> Object {
    match waits.to_json() {
        Json::Object(waits) => waits.with("retry_after", WAIT_SECONDS),
        _ => Object::new(),
    }
}

/// Where to go and what for. The page itself says what the call is, to whoever
/// may decide about it.
fn page(url: &str, tool: &str) -> Object {
    let message = format!(
        "A person has to approve this call of `{tool}`. The page shows it to whoever may decide. Go on when it is decided."
    );
    Object::new().with("mode", "url").with("message", message).with("url", url)
}

/// A call that is asked again after a visit to the page (MCP 2026-07-28, "Multi
/// Round-Trip Requests").
pub(crate) fn input_required(
    id: &Json,
    decision: &str,
    tool: &ToolId,
    waits: &Waits,
    state: &str,
) -> Response {
    let url = waits.url.as_deref().unwrap_or_default();
    let visit =
        Object::new().with("method", "elicitation/create").with("params", page(url, tool.as_str()));
    let meta = Object::new()
        .with(DECISION, Object::new().with("id", decision))
        .with(APPROVAL, question(waits));
    let result = Object::new()
        .with("resultType", "input_required")
        .with("inputRequests", Object::new().with(OWN_QUESTION, visit))
        .with("requestState", state)
        .with("_meta", meta);
    json(StatusCode::OK, &rpc::result(id, result))
}

/// The same in a session (MCP 2025-11-25, "URL Elicitation Required Error"):
/// what any client hears of a waiting call stands beside it.
pub(crate) fn url_required(
    id: &Json,
    decision: &str,
    tool: &ToolId,
    denial: &Denial,
    waits: &Waits,
) -> Response {
    let url = waits.url.as_deref().unwrap_or_default();
    let (_, message, data) = data(denial, decision);
    let visit = page(url, tool.as_str()).with("elicitationId", &waits.id);
    let data = data.with("elicitations", vec![Json::from(visit)]);
    json(StatusCode::OK, &rpc::error(Some(id), URL_REQUIRED, &message, data))
}
