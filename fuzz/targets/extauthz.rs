//! Envoy's question over gRPC (`CheckRequest`): bytes to the request that is decided on. What is
//! decided on is what the question says, byte for byte, or it is refused.
//!
//! Input: the message as protobuf.
#![no_main]

use bailiwick_core::ids::ServerName;
use bailiwick_fuzz::{CASES, seed};
use envoy_types::ext_authz::v3::pb::{CheckRequest, HeaderValue};
use envoy_types::pb::envoy::config::core::v3::HeaderMap;
use envoy_types::pb::envoy::service::auth::v3::AttributeContext;
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request};
use libfuzzer_sys::fuzz_target;
use prost::Message as _;

// A private module of the gateway, compiled here as it is.
#[allow(dead_code, unreachable_pub, reason = "the target uses a part of it")]
#[path = "../../crates/gateway/src/ext_authz/question.rs"]
mod question;

use question::Envoyed;

/// A question about `http`, as an Envoy encodes it.
fn asked(http: HttpRequest) -> Vec<u8> {
    let request = Request { http: Some(http), ..Request::default() };
    let attributes = AttributeContext { request: Some(request), ..AttributeContext::default() };
    CheckRequest { attributes: Some(attributes) }.encode_to_vec()
}

fn http(method: &str, path: &str, headers: &[(&str, &str)], raw: bool, body: &[u8]) -> HttpRequest {
    let mut http = HttpRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        size: i64::try_from(body.len()).expect("a short body"),
        ..HttpRequest::default()
    };
    if raw {
        let headers = headers.iter().map(|(key, value)| HeaderValue {
            key: (*key).to_owned(),
            raw_value: value.as_bytes().to_vec(),
            ..HeaderValue::default()
        });
        http.header_map = Some(HeaderMap { headers: headers.collect() });
        http.raw_body = body.to_vec();
    } else {
        let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        http.headers = headers.iter().map(pair).collect();
        http.body = String::from_utf8_lossy(body).into_owned();
    }
    http
}

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (case, raw) in CASES.iter().take(10).zip([true, false].into_iter().cycle()) {
        let (chain, body) = (case.chain.join(","), case.arguments.as_bytes());
        let length = body.len().to_string();
        let headers = [
            (":method", "POST"),
            (":path", "/orders/10072?expand=lines"),
            (":authority", "orders.example.com"),
            ("content-type", "application/json"),
            ("content-length", length.as_str()),
            ("x-envoy-auth-partial-body", "false"),
            ("aat-chain", chain.as_str()),
            ("aat-pop", case.proof.as_str()),
        ];
        seeds.push(asked(http("POST", "/orders/10072?expand=lines", &headers, raw, body)));
    }
    // What Envoy cannot tell truly, and what says that there is more than was shown.
    let partial = [("x-envoy-auth-partial-body", "true"), ("content-length", "9")];
    seeds.push(asked(http("POST", "/", &partial, true, b"{")));
    seeds.push(asked(http("POST", "/", &[("origin", "a,b")], false, b"{!}")));
    seeds.push(asked(http("GET", "/a#b", &[("transfer-encoding", "chunked")], true, b"")));
    seeds
}

fuzz_target!(
    init: seed(seeds()),
    |data: &[u8]| {
        let Ok(question) = CheckRequest::decode(data) else { return };
        let request = question.attributes.and_then(|attributes| attributes.request);
        let Some(http) = request.and_then(|request| request.http) else { return };
        let said = http.clone();
        let server = ServerName::parse("desk").expect("a name");
        let Ok(envoyed) = Envoyed::of_grpc(server, http) else { return };
        assert_eq!(envoyed.method, said.method);
        let path = match &envoyed.query {
            Some(query) => format!("{}?{query}", envoyed.path),
            None => envoyed.path.clone(),
        };
        assert_eq!(path, said.path, "the target is what was said");
        assert!(!path.contains('#') && said.query.is_empty() && said.fragment.is_empty());
        // One form of body and headers, never a choice between two.
        let bodies = [said.raw_body.as_slice(), said.body.as_bytes()];
        assert!(bodies.iter().any(|body| **body == envoyed.body[..]), "the body is what was said");
        assert!(bodies.iter().any(|body| body.is_empty()), "two bodies, and one of them counts");
        assert!(said.size <= i64::try_from(envoyed.body.len()).expect("it fits"));
        let raw = said.header_map.map(|map| map.headers).unwrap_or_default();
        assert!(raw.is_empty() || said.headers.is_empty(), "two sets of headers");
        for (name, value) in &envoyed.headers {
            assert!(!name.as_str().starts_with(':'));
            let text = said.headers.get(name.as_str()).map(String::as_bytes);
            let is_raw = |h: &HeaderValue| h.key == name.as_str() && h.raw_value == value.as_bytes();
            assert!(
                text == Some(value.as_bytes()) || raw.iter().any(is_raw),
                "a header that nobody sent: {name:?}"
            );
            if name == "content-length" {
                assert_eq!(value.as_bytes(), envoyed.body.len().to_string().as_bytes());
            }
        }
    }
);
