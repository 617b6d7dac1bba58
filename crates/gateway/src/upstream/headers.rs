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

/// `Mcp-Param-…` for the arguments whose pinned schema asks for it
/// (2026-07-28): rebuilt from what was checked, never taken from the caller.
pub(crate) fn param_headers(pin: &Pin, arguments: &Object) -> Vec<(HeaderName, HeaderValue)> {
    let properties = pin
        .schema
        .as_ref()
        .and_then(Json::as_object)
        .and_then(|schema| schema.member("properties")?.as_object());
    let Some(properties) = properties else { return Vec::new() };
    let header = |(name, property): (&str, &Json)| {
        let asked = property.as_object()?.member("x-mcp-header")?.as_str()?;
        let value = match arguments.member(name)? {
            Json::String(text) => encoded(text)?,
            scalar @ (Json::Bool(_) | Json::Number(_)) => {
                HeaderValue::from_str(&scalar.canonical()).ok()?
            }
            _ => return None,
        };
        let name = format!("mcp-param-{}", asked.to_ascii_lowercase());
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
    };
    properties.iter().filter_map(header).collect()
}
