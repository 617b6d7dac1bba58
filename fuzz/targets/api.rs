//! Requests to HTTP APIs: what is understood has arguments, which stand for a request that has the
//! same arguments and is its own canonical form. OpenAPI files: what is read is understood.
//!
//! Input: method, path, query, a header parameter, body, and an OpenAPI file.
#![no_main]

use bailiwick_core::json::Json;
use bailiwick_core::limits::JsonLimits;
use bailiwick_fuzz::{fields, joined, seed};
use bailiwick_policy::api::{Incoming, Operation, matching, openapi};
use bailiwick_policy::catalogue::Definition;
use libfuzzer_sys::fuzz_target;

const ORDERS: &str = include_str!("../../crates/gateway/tests/gateway/orders.openapi.yaml");

fn operations(text: &str) -> Vec<Operation> {
    let Ok(described) = openapi::read(text) else { return Vec::new() };
    let listing = described.listing.as_object().and_then(|o| o.member("operations").cloned());
    let items = listing.as_ref().and_then(Json::as_array).unwrap_or_default();
    // A number that a double does not keep makes no definition.
    let kept = items.iter().filter_map(|item| Definition::of_operation(item).ok());
    kept.map(|definition| Operation::of(&definition).expect("what is read is understood")).collect()
}

fn check(all: &[Operation], parts: &[&str]) {
    let part = |at: usize| parts.get(at).copied().unwrap_or_default();
    let limits = JsonLimits::DEFAULT;
    let json = ("content-type", &b"application/json"[..]);
    let header = ("if-none-match", part(3).as_bytes());
    let headers: &[(&str, &[u8])] = if part(3).is_empty() { &[json] } else { &[json, header] };
    let incoming = Incoming {
        method: part(0),
        path: part(1),
        query: Some(part(2)).filter(|query| !query.is_empty()),
        headers,
        body: part(4).as_bytes(),
        limits: &limits,
    };
    let Ok((operation, (), arguments)) = matching(all.iter().map(|o| (o, ())), &incoming) else {
        return;
    };
    let built = operation.request(&arguments).expect("arguments of a request make one");
    let mut headers: Vec<(&str, &[u8])> =
        built.headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    headers.push(json);
    let again = Incoming {
        method: built.verb.as_str(),
        path: &built.path,
        query: built.query.as_deref(),
        headers: &headers,
        body: built.body.as_deref().unwrap_or_default(),
        limits: &limits,
    };
    let (same, (), read) = matching(all.iter().map(|o| (o, ())), &again).expect("it is described");
    assert_eq!((same.name(), &read), (operation.name(), &arguments));
    assert_eq!(same.request(&read), Ok(built));
}

fuzz_target!(
    init: seed([
        joined(&["GET", "/orders/10072", "expand=a&expand=b%20c", "", "", ORDERS]),
        joined(&["GET", "/orders", "state=paid", "", "", ORDERS]),
        joined(&["POST", "/orders/7/refund", "", "", r#"{"amount_cents":1e2,"reason":"é"}"#, ORDERS]),
        joined(&["GET", "/orders/burn", "", "\"v1\"", "", ORDERS]),
    ]),
    |data: &[u8]| {
        let Some(parts) = fields(data) else { return };
        // What is encoded may be longer than what was written, and then too long.
        if parts.iter().take(3).any(|part| part.len() > 2_000) {
            return;
        }
        check(&operations(ORDERS), &parts);
        if let Some(file) = parts.get(5) {
            check(&operations(file), &parts);
        }
    }
);
