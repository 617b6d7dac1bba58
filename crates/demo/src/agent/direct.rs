//! A single call without a handshake, as somebody who only wants the effect would send it.

use std::time::Duration;

use futures_util::StreamExt as _;
use http::header;
use rmcp::model::{CallToolResult, JsonObject};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    AgentError, CallOutcome, Denial, Outcome, Presentation, presenter::PRESENTATION_META_KEY,
    transport::http_client,
};

/// Longest answer read, in bytes.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// Sends `tools/call` requests of protocol 2026-07-28 with whatever presentation it is given, or none.
pub struct DirectCaller {
    http: reqwest::Client,
    url: String,
    timeout: Duration,
}

#[derive(Deserialize)]
struct Answer {
    result: CallToolResult,
}

impl DirectCaller {
    /// A caller of the MCP endpoint `url`.
    ///
    /// # Errors
    /// [`AgentError::Transport`] when the HTTP client cannot be made.
    pub fn new(url: impl Into<String>) -> Result<Self, AgentError> {
        Ok(Self { http: http_client()?, url: url.into(), timeout: super::DEFAULT_TIMEOUT })
    }

    /// The request's body: what [`DirectCaller::call_tool`] sends.
    pub fn body(name: &str, arguments: &JsonObject, presentation: Option<&Presentation>) -> Value {
        let mut meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "bailiwick-direct", "version": env!("CARGO_PKG_VERSION")},
            "io.modelcontextprotocol/clientCapabilities": {},
        });
        if let (Some(presentation), Some(members)) = (presentation, meta.as_object_mut()) {
            members.insert(PRESENTATION_META_KEY.to_owned(), json!(presentation));
        }
        json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": {"name": name, "arguments": arguments, "_meta": meta},
        })
    }

    /// Calls a tool with this presentation, or with none.
    pub async fn call_tool(
        &self,
        name: &str,
        arguments: &JsonObject,
        presentation: Option<&Presentation>,
    ) -> CallOutcome {
        self.call_tool_with_text(name, arguments, presentation).await.0
    }

    /// The same, with the answer's message as it came: whoever must show what was
    /// answered cannot use what this client read of it.
    pub async fn call_tool_with_text(
        &self,
        name: &str,
        arguments: &JsonObject,
        presentation: Option<&Presentation>,
    ) -> (CallOutcome, String) {
        let body = Self::body(name, arguments, presentation).to_string();
        match tokio::time::timeout(self.timeout, self.post(name, body)).await {
            Ok(Ok(answered)) => answered,
            Ok(Err(error)) => (AgentError::transport(&error).into(), String::new()),
            Err(_) => (AgentError::timed_out(self.timeout).into(), String::new()),
        }
    }

    async fn post(
        &self,
        name: &str,
        body: String,
    ) -> Result<(CallOutcome, String), reqwest::Error> {
        let response = self
            .http
            .post(&self.url)
            .header(header::ACCEPT, "application/json, text/event-stream")
            .header(header::CONTENT_TYPE, "application/json")
            .header("MCP-Protocol-Version", "2026-07-28")
            .header("Mcp-Method", "tools/call")
            .header("Mcp-Name", name)
            .body(body)
            .send()
            .await?;
        let status = response.status();
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let kind = kind.unwrap_or("without a media type").to_owned();
        let mut bytes = Vec::new();
        let mut stream = response.bytes_stream();
        while let Some(piece) = stream.next().await {
            bytes.extend_from_slice(&piece?);
            if bytes.len() > MAX_ANSWER_BYTES {
                let reason = "the answer is too long".to_owned();
                return Ok((Outcome::Transport { reason }, String::new()));
            }
        }
        let text = String::from_utf8_lossy(&bytes);
        // An event stream that answers one request holds one message, on one `data:` line.
        let message = text
            .lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .map(str::trim)
            .rfind(|data| !data.is_empty());
        let message = message.unwrap_or(&text);
        let outcome = if let Ok(answer) = serde_json::from_str::<Answer>(message) {
            Outcome::of_tool(answer.result)
        } else if let Some(error) = AgentError::from_rpc_body(message) {
            error.into()
        } else if matches!(status.as_u16(), 401 | 403) {
            Outcome::Denied(Denial::unauthenticated(format!(
                "the server refused the caller (HTTP {status})"
            )))
        } else {
            let reason = format!("HTTP {status}, {kind}, which is no JSON-RPC message");
            Outcome::Transport { reason }
        };
        Ok((outcome, message.to_owned()))
    }
}
