//! What an Envoy asks about, as it says it. What it could not tell us truly is
//! refused: in the forms that are text it joins doubled headers with commas and
//! writes `!` for bytes that are not UTF-8, and forwards them as they were.

use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::ids::ServerName;
use bailiwick_policy::api::HEADERS_READ;
use bytes::Bytes;
use envoy_types::ext_authz::v3::pb::HeaderValue as EnvoyValue;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::HttpRequest;
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Whether Envoy passed only a part of the body.
const PARTIAL: &str = "x-envoy-auth-partial-body";

/// Headers that are for the gateway alone.
pub(crate) const TAKEN: [&str; 4] = ["aat-chain", "aat-pop", "authorization", "dpop"];

/// A request as an Envoy got it, whichever form it asks in.
pub(crate) struct Envoyed {
    pub(crate) server: ServerName,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Headers of one request at most.
const MAX_HEADERS: usize = 256;

impl Envoyed {
    /// The request that Envoy asks about over gRPC.
    pub(super) fn of_grpc(server: ServerName, http: HttpRequest) -> Result<Self, Denial> {
        let headers = headers(&http)?;
        let body = body(&http, &headers)?;
        if !http.query.is_empty() || !http.fragment.is_empty() || http.path.contains('#') {
            return Err(odd("path"));
        }
        let (path, query) = match http.path.split_once('?') {
            Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
            None => (http.path, None),
        };
        Ok(Self { server, method: http.method, path, query, headers, body })
    }
}

fn headers(http: &HttpRequest) -> Result<HeaderMap, Denial> {
    let raw = http.header_map.as_ref().map(|map| map.headers.as_slice()).unwrap_or_default();
    if !http.headers.is_empty() && !raw.is_empty() {
        return Err(odd("headers"));
    }
    if http.headers.len().max(raw.len()) > MAX_HEADERS {
        return Err(Denial::new(Reason::RequestTooLarge));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &http.headers {
        if is_unclear(name, value) {
            return Err(odd(name));
        }
        put(&mut headers, http, name, value.as_bytes())?;
    }
    for EnvoyValue { key, value, raw_value } in raw {
        if !value.is_empty() {
            return Err(odd(key));
        }
        put(&mut headers, http, key, raw_value)?;
    }
    Ok(headers)
}

/// Adds a header. Those of HTTP/2 itself say what the question says anyway.
fn put(
    headers: &mut HeaderMap,
    http: &HttpRequest,
    name: &str,
    value: &[u8],
) -> Result<(), Denial> {
    match name {
        ":method" if value == http.method.as_bytes() => return Ok(()),
        ":path" if value == http.path.as_bytes() => return Ok(()),
        ":authority" | ":protocol" | ":scheme" => return Ok(()),
        _ => {}
    }
    let read = (HeaderName::from_lowercase(name.as_bytes()), HeaderValue::from_bytes(value));
    let (Ok(name), Ok(value)) = read else { return Err(odd(name)) };
    headers.try_append(name, value).map(|_| ()).map_err(|_| Denial::new(Reason::RequestTooLarge))
}

/// SECURITY: the whole body, byte for byte. What says that there is more than
/// was shown denies.
fn body(http: &HttpRequest, headers: &HeaderMap) -> Result<Bytes, Denial> {
    let body = match (http.raw_body.is_empty(), http.body.is_empty()) {
        (true, true) => Bytes::new(),
        (false, true) => Bytes::copy_from_slice(&http.raw_body),
        // In text `!` may stand for a byte that is not UTF-8.
        (true, false) if !http.body.contains('!') => Bytes::copy_from_slice(http.body.as_bytes()),
        _ => return Err(odd("body")),
    };
    let length = i64::try_from(body.len()).unwrap_or(i64::MAX);
    let mut announced = headers.get_all(header::CONTENT_LENGTH).iter();
    let agrees = announced.all(|n| n.as_bytes() == length.to_string().as_bytes());
    let unseen = body.is_empty()
        && headers.contains_key(header::TRANSFER_ENCODING)
        && !headers.contains_key(PARTIAL);
    if http.size > length || !agrees || unseen {
        return Err(odd(PARTIAL));
    }
    Ok(body)
}

/// Whether a header's text may stand for two headers, or for other bytes than
/// Envoy forwards: it joins what stands twice with commas, and writes `!` for
/// what is not UTF-8. A chain has commas of its own, and is not forwarded.
pub(super) fn is_unclear(name: &str, value: &str) -> bool {
    let matters = HEADERS_READ.contains(&name)
        || name.starts_with("mcp-")
        || name == "origin"
        || name == PARTIAL
        || TAKEN.contains(&name) && name != "aat-chain";
    matters && value.contains([',', '!'])
}

/// A header that is not what Envoy was sent.
pub(super) fn odd(name: &str) -> Denial {
    Denial::new(Reason::RequestMalformed).about(name)
}

/// SECURITY: of a part of a body nothing follows for the rest. With a body Envoy
/// always says whether it is whole.
pub(super) fn whole(headers: &HeaderMap, is_empty: bool) -> Result<(), Denial> {
    let mut said = headers.get_all(PARTIAL).iter();
    let whole = match (said.next(), said.next()) {
        (None, _) => is_empty,
        (Some(partial), None) => partial.as_bytes() == b"false",
        (Some(_), Some(_)) => false,
    };
    if whole { Ok(()) } else { Err(Denial::new(Reason::RequestMalformed).about(PARTIAL)) }
}
