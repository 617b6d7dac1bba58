//! Headers of MCP over HTTP that repeat what a body says.

use bailiwick_core::json::{Json, Object};
use bailiwick_policy::mcp_methods::Era;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::ports::Pin;

/// `Mcp-Method` and `Mcp-Name` (2026-07-28); none in sessions. `None`, if a
/// header cannot say it.
#[must_use]
pub fn repeated(era: Era, method: Option<&str>, name: Option<&str>) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    if era == Era::Stateless {
        if let Some(method) = method {
            headers.insert("mcp-method", HeaderValue::from_str(method).ok()?);
        }
        if let Some(name) = name {
            headers.insert("mcp-name", encoded(name)?);
        }
    }
    Some(headers)
}

/// What `Mcp-Name` repeats of a message.
#[must_use]
pub fn name_of<'p>(method: &str, params: Option<&'p Object>) -> Option<&'p str> {
    let member = match method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => "uri",
        "tasks/cancel" | "tasks/get" | "tasks/result" | "tasks/update" => "taskId",
        _ => return None,
    };
    params?.member(member)?.as_str()
}

/// A header value, in base64 where it is not plain.
fn encoded(text: &str) -> Option<HeaderValue> {
    let plain = text.bytes().all(|b| (0x21..=0x7e).contains(&b) || b == b' ')
        && text.trim() == text
        && !text.starts_with("=?base64?");
    if plain {
        return HeaderValue::from_str(text).ok();
    }
    HeaderValue::from_str(&format!("=?base64?{}?=", base64(text.as_bytes()))).ok()
}

/// Standard base64 with padding, from the core's URL-safe form.
pub(crate) fn base64(bytes: &[u8]) -> String {
    let mut text: String = bailiwick_core::crypto::base64url(bytes)
        .chars()
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            c => c,
        })
        .collect();
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    text
}

/// `=?base64?…?=`, in canonical base64 of UTF-8, or the text itself. `None`, if
/// it claims to be base64 and is not.
pub(crate) fn decoded(value: &str) -> Option<String> {
    let Some(inner) = value.strip_prefix("=?base64?").and_then(|v| v.strip_suffix("?=")) else {
        return Some(value.to_owned());
    };
    let url_safe: String = inner
        .trim_end_matches('=')
        .chars()
        .map(|c| match c {
            '+' => '-',
            '/' => '_',
            c => c,
        })
        .collect();
    let bytes = bailiwick_core::crypto::from_base64url(&url_safe)?;
    // One text has one form: padding and alphabet are not free.
    (base64(&bytes) == inner).then(|| String::from_utf8(bytes).ok())?
}

/// What begins the name of a header that repeats an argument.
pub const PARAM: &str = "mcp-param-";

/// Depth of properties in which a schema may ask for a header.
const MAX_DEPTH: usize = 16;

/// `Mcp-Param-…` for the arguments whose pinned schema asks for it
/// (2026-07-28): rebuilt from what was checked, never taken from the caller.
pub(crate) fn param_headers(pin: &Pin, arguments: &Object) -> Vec<(HeaderName, HeaderValue)> {
    let schema = pin.schema.as_ref().and_then(Json::as_object);
    mirrored(schema, arguments)
}

/// The same for a schema: a header for each argument, at any depth of
/// `properties`, that has `x-mcp-header` and a plain value.
#[must_use]
pub fn mirrored(schema: Option<&Object>, arguments: &Object) -> Vec<(HeaderName, HeaderValue)> {
    let mut found = Vec::new();
    repeat(schema, arguments, 0, &mut found);
    found
}

fn repeat(
    schema: Option<&Object>,
    arguments: &Object,
    depth: usize,
    found: &mut Vec<(HeaderName, HeaderValue)>,
) {
    let properties = schema.and_then(|schema| schema.member("properties")?.as_object());
    let Some(properties) = properties.filter(|_| depth < MAX_DEPTH) else { return };
    for (name, property) in properties.iter() {
        let (Some(property), Some(value)) = (property.as_object(), arguments.member(name)) else {
            continue;
        };
        let asked = property.member("x-mcp-header").and_then(Json::as_str);
        if let Some((name, value)) = asked.and_then(|asked| header(asked, value)) {
            found.push((name, value));
        }
        if let Some(inner) = value.as_object() {
            repeat(Some(property), inner, depth.saturating_add(1), found);
        }
    }
}

fn header(asked: &str, value: &Json) -> Option<(HeaderName, HeaderValue)> {
    let value = match value {
        Json::String(text) => encoded(text)?,
        scalar @ (Json::Bool(_) | Json::Number(_)) => {
            HeaderValue::from_str(&scalar.canonical()).ok()?
        }
        _ => return None,
    };
    let name = format!("{PARAM}{}", asked.to_ascii_lowercase());
    Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
}

/// The header that a client left out or that does not say what the argument
/// says, if there is one. A header for an
/// argument that is absent, or that no schema asks for, is not looked at.
pub(crate) fn disagreeing(
    pin: &Pin,
    arguments: &Object,
    stated: &[(String, String)],
) -> Option<String> {
    let agrees = |(name, value): &(HeaderName, HeaderValue)| {
        let stated = stated.iter().find(|(stated, _)| stated == name.as_str())?;
        let stated = decoded(&stated.1)?;
        let meant = decoded(value.to_str().ok()?)?;
        (stated == meant).then_some(())
    };
    let all = param_headers(pin, arguments);
    all.iter().find(|header| agrees(header).is_none()).map(|(name, _)| name.to_string())
}
