//! Misbehaviour on demand, for the tests of whatever stands in front of a tool server.

use std::{
    io,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::stream;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::Value;

use super::MAX_REQUEST_BYTES;

/// A way in which a desk misbehaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Quirk {
    /// It behaves.
    #[default]
    None,
    /// `tools/list` gives `get_ticket` another description than before: a changed tool definition.
    ChangedDescription,
    /// Each call is executed, and its answer is replaced by bytes that are not JSON, called JSON.
    GarbageAnswer,
    /// Each call is executed, and its answer is replaced by a well-formed one of 100 MB.
    HugeAnswer,
}

/// The name of no quirk.
#[derive(Debug, thiserror::Error)]
#[error(
    "unknown quirk `{name}`, expected one of `none`, `changed-description`, `garbage-answer`, `huge-answer`"
)]
pub struct UnknownQuirk {
    /// The name given.
    pub name: String,
}

impl FromStr for Quirk {
    type Err = UnknownQuirk;

    fn from_str(name: &str) -> Result<Self, UnknownQuirk> {
        match name {
            "none" => Ok(Self::None),
            "changed-description" => Ok(Self::ChangedDescription),
            "garbage-answer" => Ok(Self::GarbageAnswer),
            "huge-answer" => Ok(Self::HugeAnswer),
            _ => Err(UnknownQuirk { name: name.to_owned() }),
        }
    }
}

/// The quirk of a running desk, shared by its parts.
#[derive(Clone, Debug)]
pub(super) struct QuirkSwitch(Arc<Mutex<Quirk>>);

impl QuirkSwitch {
    pub(super) fn new(quirk: Quirk) -> Self {
        Self(Arc::new(Mutex::new(quirk)))
    }

    pub(super) fn set(&self, quirk: Quirk) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = quirk;
    }

    pub(super) fn now(&self) -> Quirk {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of text in a [`Quirk::HugeAnswer`].
const HUGE_BYTES: usize = 100 * 1024 * 1024;
/// It is sent in pieces of this size, so that it costs the desk no memory.
static PIECE: [u8; 64 * 1024] = [b'x'; 64 * 1024];

/// Replaces the answers of calls when a quirk asks for it.
pub(super) async fn misbehave(
    State(switch): State<QuirkSwitch>,
    request: Request,
    next: Next,
) -> Response {
    let quirk = switch.now();
    if !matches!(quirk, Quirk::GarbageAnswer | Quirk::HugeAnswer)
        || request.method() != Method::POST
    {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let Ok(bytes) = to_bytes(body, MAX_REQUEST_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let message: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let executed = next.run(Request::from_parts(parts, Body::from(bytes))).await;
    if message.get("method").and_then(Value::as_str) != Some("tools/call") {
        return executed;
    }
    // The answer may be a stream that is still being made: only its end says that the call was executed.
    if to_bytes(executed.into_body(), usize::MAX).await.is_err() {
        tracing::debug!("the replaced answer broke off");
    }
    let body = match quirk {
        Quirk::HugeAnswer => huge(message.get("id").unwrap_or(&Value::Null)),
        _ => Body::from(&b"{\"jsonrpc\":\"2.0\",\"id\":\xff\xfe not JSON"[..]),
    };
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A tool result of 100 MB for this request id.
fn huge(id: &Value) -> Body {
    let head = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"resultType":"complete","content":[{{"type":"text","text":""#
    );
    let tail = r#""}],"isError":false}}"#;
    let pieces = std::iter::once(Bytes::from(head))
        .chain(std::iter::repeat_n(Bytes::from_static(&PIECE), HUGE_BYTES / PIECE.len()))
        .chain(std::iter::once(Bytes::from_static(tail.as_bytes())));
    Body::from_stream(stream::iter(pieces.map(Ok::<_, io::Error>)))
}
