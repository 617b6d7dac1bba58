//! JSON-RPC 2.0 messages, read strictly and written without loss.

use bailiwick_core::json::{Json, Object};

/// Longest text of a request's id, in bytes.
const MAX_ID_BYTES: usize = 256;

/// One message.
#[derive(Clone, Debug)]
pub enum Message {
    /// A request.
    Request {
        /// Its id: a text or an integer.
        id: Json,
        /// The method.
        method: String,
        /// The parameters.
        params: Option<Object>,
    },
    /// A notification.
    Notification {
        /// The method.
        method: String,
        /// The parameters.
        params: Option<Object>,
    },
    /// An answer: `result` or `error`.
    Response {
        /// The id of the request; null when it could not be read.
        id: Json,
        /// The whole message.
        message: Object,
    },
}

/// The value is no message; its id, if it has a usable one.
#[derive(Clone, Debug, PartialEq)]
pub struct NotAMessage {
    /// The id to answer with.
    pub id: Option<Json>,
}

fn is_id(json: &Json) -> bool {
    match json {
        Json::String(s) => s.len() <= MAX_ID_BYTES,
        // Beyond 2^53 two ids could look alike to another parser.
        Json::Number(n) => n.as_plain_integer().is_some_and(|i| i.unsigned_abs() <= 1 << 53),
        _ => false,
    }
}

impl Message {
    /// Reads one message: exactly the members of JSON-RPC, no batch.
    ///
    /// # Errors
    /// [`NotAMessage`].
    pub fn read(json: Json) -> Result<Self, NotAMessage> {
        let Json::Object(mut o) = json else {
            return Err(NotAMessage { id: None });
        };
        let id = o.member("id").cloned();
        let usable = id.as_ref().filter(|id| is_id(id)).cloned();
        let not = || NotAMessage { id: usable.clone() };
        let known =
            |name| matches!(name, "jsonrpc" | "id" | "method" | "params" | "result" | "error");
        if o.member("jsonrpc").and_then(Json::as_str) != Some("2.0")
            || !o.iter().all(|(name, _)| known(name))
        {
            return Err(not());
        }
        let answers = o.member("result").is_some() || o.member("error").is_some();
        let Some(method) = o.remove("method") else {
            let one = o.member("result").is_some() != o.member("error").is_some();
            let id = id.filter(|id| is_id(id) || matches!(id, Json::Null));
            return match id {
                Some(id) if one && o.member("params").is_none() => {
                    Ok(Self::Response { id, message: o })
                }
                _ => Err(not()),
            };
        };
        let Json::String(method) = method else {
            return Err(not());
        };
        let params = match o.remove("params") {
            None => None,
            Some(Json::Object(params)) => Some(params),
            Some(_) => return Err(not()),
        };
        match id {
            _ if answers => Err(not()),
            None => Ok(Self::Notification { method, params }),
            Some(_) => match usable {
                Some(id) => Ok(Self::Request { id, method, params }),
                None => Err(not()),
            },
        }
    }
}

/// A request or, without an id, a notification.
#[must_use]
pub fn compose(id: Option<&Json>, method: &str, params: Option<&Object>) -> Json {
    let mut o = Object::new().with("jsonrpc", "2.0");
    if let Some(id) = id {
        o.insert("id", id.clone());
    }
    o.insert("method", method);
    if let Some(params) = params {
        o.insert("params", params.clone());
    }
    o.into()
}

/// An answer with a result.
#[must_use]
pub fn result(id: &Json, result: Object) -> Json {
    Object::new().with("jsonrpc", "2.0").with("id", id.clone()).with("result", result).into()
}

/// An answer with an error.
#[must_use]
pub fn error(id: Option<&Json>, code: i64, message: &str, data: Object) -> Json {
    let mut error = Object::new().with("code", code).with("message", message);
    if !data.is_empty() {
        error.insert("data", data);
    }
    Object::new()
        .with("jsonrpc", "2.0")
        .with("id", id.cloned().unwrap_or(Json::Null))
        .with("error", error)
        .into()
}

/// JSON text that keeps every number as it was written and the order of
/// members: an answer must not change because it passed through here.
#[must_use]
pub fn text(json: &Json) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write(json, &mut out);
    out
}

fn write(json: &Json, out: &mut Vec<u8>) {
    match json {
        Json::Null => out.extend_from_slice(b"null"),
        Json::Bool(true) => out.extend_from_slice(b"true"),
        Json::Bool(false) => out.extend_from_slice(b"false"),
        Json::Number(n) => out.extend_from_slice(n.text().as_bytes()),
        Json::String(s) => write_string(s, out),
        Json::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        Json::Object(o) => {
            out.push(b'{');
            for (i, (name, value)) in o.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_string(name, out);
                out.push(b':');
                write(value, out);
            }
            out.push(b'}');
        }
    }
}

fn write_string(s: &str, out: &mut Vec<u8>) {
    // Writing a text into memory cannot fail.
    let _ = serde_json::to_writer(&mut *out, s);
}

#[cfg(test)]
mod tests {
    use bailiwick_core::limits::JsonLimits;

    use super::*;

    fn read(text: &str) -> Result<Message, NotAMessage> {
        Message::read(Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap())
    }

    #[test]
    fn only_the_members_of_json_rpc_are_taken() {
        assert!(matches!(
            read(r#"{"jsonrpc":"2.0","id":0,"method":"ping"}"#),
            Ok(Message::Request { .. })
        ));
        for bad in [
            r#"[{"jsonrpc":"2.0","id":0,"method":"ping"}]"#,
            r#"{"jsonrpc":"2.0","id":0,"method":"ping","Method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}"#,
            r#"{"jsonrpc":"1.0","id":0,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":0,"method":7}"#,
            r#"{"jsonrpc":"2.0","id":0,"method":"ping","params":[]}"#,
            r#"{"jsonrpc":"2.0","id":0,"method":"ping","result":{}}"#,
            r#"{"jsonrpc":"2.0","id":0,"result":{},"error":{}}"#,
            r#"{"jsonrpc":"2.0","id":0}"#,
            "7",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_answer_passes_without_loss() {
        let written = r#"{"b":[1.0,9007199254740993,-0,1e3,"\u0001é"],"a":{"x":null,"y":true}}"#;
        let json = Json::parse(written.as_bytes(), &JsonLimits::DEFAULT).unwrap();
        assert_eq!(String::from_utf8(text(&json)).unwrap(), written);
    }
}
