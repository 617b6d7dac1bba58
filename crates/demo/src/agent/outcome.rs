//! How a call ended, told apart: allowed, refused by the tool, denied by the gateway, or not delivered.

use std::{error::Error, time::Duration};

use rmcp::{
    ErrorData, ServiceError, model::CallToolResult, service::ClientInitializeError,
    transport::streamable_http_client::StreamableHttpError,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// JSON-RPC error code of a denial.
pub(super) const DENIED: i32 = -32040;
/// JSON-RPC error code for a caller that was not authenticated.
pub(super) const NOT_AUTHENTICATED: i32 = -32041;

/// A gateway's no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Denial {
    /// JSON-RPC error code: -32040 denied, -32041 not authenticated.
    pub rpc_code: i32,
    /// Stable kebab-case reason code; `not-authenticated` when the answer named none.
    pub code: String,
    /// A sentence for people.
    pub reason: String,
    /// What to do about it; may be empty.
    pub remedy: String,
    /// Id of the decision in the ledger, where the answer named one.
    pub decision_id: Option<String>,
    /// From when on the same call may pass (RFC 3339), where only waiting helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<String>,
    /// What else the gateway says of it: `approval`, `retry_after`, `suggestion`, `why`.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// Members of `error.data` that only some denials have: the question to people, how many seconds
/// until it is worth asking again, what somebody suggests instead, and why a request was refused.
const MORE: [&str; 4] = ["approval", "retry_after", "suggestion", "why"];

/// `error.data` of a denial. Members may be missing: it comes from outside.
#[derive(Default, Deserialize)]
#[serde(default)]
struct DenialData {
    code: Option<String>,
    reason: Option<String>,
    remedy: Option<String>,
    decision_id: Option<String>,
    retry_at: Option<String>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

impl Denial {
    pub(super) fn from_rpc(error: &ErrorData) -> Option<Self> {
        let rpc_code = error.code.0;
        let otherwise = match rpc_code {
            DENIED => "denied",
            NOT_AUTHENTICATED => "not-authenticated",
            _ => return None,
        };
        let mut data: DenialData = error
            .data
            .clone()
            .and_then(|data| serde_json::from_value(data).ok())
            .unwrap_or_default();
        data.more.retain(|name, _| MORE.contains(&name.as_str()));
        Some(Self {
            rpc_code,
            code: data.code.unwrap_or_else(|| otherwise.to_owned()),
            reason: data.reason.unwrap_or_else(|| error.message.to_string()),
            remedy: data.remedy.unwrap_or_default(),
            decision_id: data.decision_id,
            retry_at: data.retry_at,
            more: data.more,
        })
    }

    /// A 401 or 403 without a JSON-RPC body, as a tool server gives to whoever goes round the gateway.
    pub(super) fn unauthenticated(reason: impl Into<String>) -> Self {
        Self {
            rpc_code: NOT_AUTHENTICATED,
            code: "not-authenticated".to_owned(),
            reason: reason.into(),
            remedy: String::new(),
            decision_id: None,
            retry_at: None,
            more: Map::new(),
        }
    }
}

/// Why there is no answer to show.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// The other side refused this caller or this call.
    #[error("denied: {} ({})", .0.reason, .0.code)]
    Denied(Denial),
    /// The other side answered with another JSON-RPC error.
    #[error("the server answered with error {code}: {message}")]
    Rpc {
        /// JSON-RPC error code.
        code: i32,
        /// Its message.
        message: String,
        /// The gateway's decision, where it names one.
        decision_id: Option<String>,
    },
    /// Nothing usable came back.
    #[error("no usable answer: {reason}")]
    Transport {
        /// What happened, with its causes, in one line.
        reason: String,
    },
}

/// An error and its causes in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let line = next.to_string();
        if !text.contains(&line) {
            text.push_str(": ");
            text.push_str(&line);
        }
        cause = next.source();
    }
    text
}

impl AgentError {
    /// Stable kebab-case name of this error; a denial's own code where there is one.
    pub fn code(&self) -> &str {
        match self {
            Self::Denied(denial) => &denial.code,
            Self::Rpc { .. } => "agent-rpc",
            Self::Transport { .. } => "agent-transport",
        }
    }

    /// What the agent's operator should do; a denial's own remedy where there is one.
    pub fn remedy(&self) -> &str {
        match self {
            Self::Denied(denial) => &denial.remedy,
            Self::Rpc { .. } => "check the tool's name and arguments against `tools/list`",
            Self::Transport { .. } => "check that the URL is right and that the server runs",
        }
    }

    pub(super) fn transport(error: &(dyn Error + 'static)) -> Self {
        Self::Transport { reason: chain(error) }
    }

    pub(super) fn timed_out(after: Duration) -> Self {
        Self::Transport { reason: format!("timed out after {} ms", after.as_millis()) }
    }

    pub(super) fn from_rpc(error: &ErrorData) -> Self {
        Denial::from_rpc(error).map_or_else(
            || Self::Rpc {
                code: error.code.0,
                message: error.message.to_string(),
                decision_id: error.data.as_ref().and_then(decision_of),
            },
            Self::Denied,
        )
    }

    /// rmcp keeps no JSON-RPC error of a 401 or 403: what it does keep is found in the causes.
    fn from_causes(error: &(dyn Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(cause) = next {
            match cause.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
                Some(StreamableHttpError::AuthRequired(_)) => {
                    return Self::Denied(Denial::unauthenticated(
                        "the server asks for authentication (HTTP 401)",
                    ));
                }
                Some(StreamableHttpError::InsufficientScope(_)) => {
                    return Self::Denied(Denial::unauthenticated(
                        "the server asks for more scope (HTTP 403)",
                    ));
                }
                Some(StreamableHttpError::UnexpectedServerResponse(text)) => {
                    if let Some(error) = Self::from_refusal(text) {
                        return error;
                    }
                }
                _ => {}
            }
            next = cause.source();
        }
        Self::transport(error)
    }

    /// rmcp's text for a 401 or 403 without a challenge: `HTTP 401 Unauthorized: <body>`.
    fn from_refusal(text: &str) -> Option<Self> {
        if !text.starts_with("HTTP 401") && !text.starts_with("HTTP 403") {
            return None;
        }
        let (status, body) = text.split_once(": ").unwrap_or((text, ""));
        Some(
            Self::from_rpc_body(body)
                .unwrap_or_else(|| Self::Denied(Denial::unauthenticated(status))),
        )
    }

    /// The error of a JSON-RPC error response.
    pub(super) fn from_rpc_body(body: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Body {
            error: ErrorData,
        }
        serde_json::from_str::<Body>(body).ok().map(|body| Self::from_rpc(&body.error))
    }

    pub(super) fn from_service(error: &ServiceError) -> Self {
        match error {
            ServiceError::McpError(error) => Self::from_rpc(error),
            // rmcp wraps the error in one that names Rust types, which say nothing to a person.
            ServiceError::TransportSend(error) => Self::from_causes(error.error.as_ref()),
            other => Self::from_causes(other),
        }
    }

    pub(super) fn from_initialize(error: &ClientInitializeError) -> Self {
        match error {
            ClientInitializeError::JsonRpcError(error) => Self::from_rpc(error),
            // The same wrapper, which rmcp gives as a field here, not as the source.
            ClientInitializeError::TransportError { error, .. } => {
                Self::from_causes(error.error.as_ref())
            }
            other => Self::from_causes(other),
        }
    }
}

/// The decision that an error's data names: the gateway's own errors as
/// `decision_id`, a tool server's under the gateway's name.
fn decision_of(data: &serde_json::Value) -> Option<String> {
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    data.pointer("/io.bailiwick~1decision/id").or(data.get("decision_id")).and_then(text)
}

/// How a call ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome<T> {
    /// It was executed.
    Allowed(T),
    /// It was executed, and the tool says that it failed.
    ToolError(T),
    /// It was not executed: the gateway denied it.
    Denied(Denial),
    /// The tool server answered with a JSON-RPC error that is no denial (unknown tool, bad arguments, internal).
    RpcError {
        /// JSON-RPC error code.
        code: i32,
        /// Its message.
        message: String,
        /// The gateway's decision, where it names one: the call was allowed.
        decision_id: Option<String>,
    },
    /// No usable answer: whether it was executed is unknown to the agent.
    Transport {
        /// What happened, in one line.
        reason: String,
    },
}

/// How a call of a tool ended.
pub type CallOutcome = Outcome<CallToolResult>;

impl<T> Outcome<T> {
    pub(super) fn unsupported() -> Self {
        Self::Transport {
            reason: "the server answered with a task or a request for input".to_owned(),
        }
    }

    /// The result, where the call was allowed and succeeded.
    pub fn allowed(self) -> Option<T> {
        match self {
            Self::Allowed(result) => Some(result),
            _ => None,
        }
    }

    /// The denial, where it was denied.
    pub fn denied(self) -> Option<Denial> {
        match self {
            Self::Denied(denial) => Some(denial),
            _ => None,
        }
    }
}

impl Outcome<CallToolResult> {
    pub(super) fn of_tool(result: CallToolResult) -> Self {
        if result.is_error == Some(true) { Self::ToolError(result) } else { Self::Allowed(result) }
    }
}

impl<T> From<AgentError> for Outcome<T> {
    fn from(error: AgentError) -> Self {
        match error {
            AgentError::Denied(denial) => Self::Denied(denial),
            AgentError::Rpc { code, message, decision_id } => {
                Self::RpcError { code, message, decision_id }
            }
            AgentError::Transport { reason } => Self::Transport { reason },
        }
    }
}

#[cfg(test)]
mod tests {
    use rmcp::model::ErrorCode;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_denial_s_data_is_read_and_missing_members_are_filled_in() {
        let data = json!({"code": "constraint-violated", "reason": "no", "remedy": "ask", "decision_id": "d1",
            "retry_at": "2027-01-15T08:01:00.000Z"});
        let denial =
            Denial::from_rpc(&ErrorData::new(ErrorCode(DENIED), "denied", Some(data))).unwrap();
        assert_eq!(
            (denial.code.as_str(), denial.decision_id.as_deref()),
            ("constraint-violated", Some("d1"))
        );
        assert_eq!(denial.retry_at.as_deref(), Some("2027-01-15T08:01:00.000Z"));
        let bare =
            Denial::from_rpc(&ErrorData::new(ErrorCode(NOT_AUTHENTICATED), "who?", None)).unwrap();
        assert_eq!((bare.code.as_str(), bare.reason.as_str()), ("not-authenticated", "who?"));
    }

    #[test]
    fn another_json_rpc_error_is_no_denial() {
        assert!(Denial::from_rpc(&ErrorData::new(ErrorCode(-32602), "bad", None)).is_none());
    }

    #[test]
    fn a_refusal_s_json_rpc_body_is_found_in_the_text_rmcp_keeps() {
        let text = r#"HTTP 403 Forbidden: {"jsonrpc":"2.0","id":1,"error":{"code":-32040,"message":"no","data":{"code":"revoked"}}}"#;
        let Some(AgentError::Denied(denial)) = AgentError::from_refusal(text) else {
            panic!("no denial")
        };
        assert_eq!(denial.code, "revoked");
        let Some(AgentError::Denied(denial)) =
            AgentError::from_refusal("HTTP 401 Unauthorized: go away")
        else {
            panic!("no denial")
        };
        assert_eq!(denial.code, "not-authenticated");
        assert!(AgentError::from_refusal("HTTP 400 Bad Request: x").is_none());
    }
}
