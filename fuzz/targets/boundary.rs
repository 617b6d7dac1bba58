//! The gateway's first stage: bytes and headers to a well-formed message. What is forwarded never
//! carries chain or proof.
//!
//! Input: headers, one a line, then the body.
#![no_main]

use bailiwick_core::aat::verify::Anchors;
use bailiwick_core::ids::{OrgId, ServerName};
use bailiwick_core::json::{Json, Object};
use bailiwick_fuzz::{CASES, fields, joined, seed};
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

// Private modules of the gateway, compiled here as they are: its crate would bring servers and
// clients along.
#[allow(dead_code, unreachable_pub, unused_imports, reason = "the target uses a part of it")]
#[path = "../../crates/gateway/src/stages/boundary.rs"]
mod boundary;
#[allow(dead_code, unreachable_pub, reason = "the target uses a part of it")]
#[path = "../../crates/gateway/src/config.rs"]
mod config;
#[allow(dead_code, unreachable_pub, reason = "the target uses a part of it")]
#[path = "../../crates/gateway/src/upstream/headers.rs"]
mod headers;
#[allow(dead_code, unreachable_pub, reason = "the target uses a part of it")]
#[path = "../../crates/gateway/src/rpc.rs"]
mod rpc;

/// What the headers take from the gateway's ports.
mod ports {
    pub(crate) struct Pin {
        pub(crate) schema: Option<bailiwick_core::json::Json>,
    }
}

/// What the stage takes from the gateway's module of this name.
mod wire {
    pub(crate) const NOT_AUTHENTICATED: i64 = -32041;
    pub(crate) const NOT_AUTHENTICATED_TEXT: &str = "the caller is not authenticated";

    pub(crate) mod peer {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Binding {}
    }
}

use boundary::{PRESENTATION, WellFormed};

fn seeds() -> Vec<Vec<u8>> {
    let modern = "content-type: application/json\naccept: application/json, text/event-stream\n\
        mcp-protocol-version: 2026-07-28\nmcp-method: tools/call\nmcp-name: get_ticket";
    let legacy = "content-type: application/json\nmcp-protocol-version: 2025-11-25\n\
        mcp-session-id: s1\ndpop: a.b.c\naat-chain: a.b.c";
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}"#;
    let mut seeds = vec![
        joined(&[legacy, r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#]),
        joined(&[
            legacy,
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        ]),
        joined(&[
            legacy,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","task":{"ttl":1}}}"#,
        ]),
        joined(&[
            legacy,
            r#"{"jsonrpc":"2.0","id":"q1","result":{"action":"accept","content":{"a":1}}}"#,
        ]),
        joined(&[
            legacy,
            r#"{"jsonrpc":"2.0","id":"x","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"a","version":"1"}}}"#,
        ]),
    ];
    for case in CASES.iter().take(20) {
        let chain: Vec<String> = case.chain.iter().map(|t| format!("\"{t}\"")).collect();
        let presentation = format!(
            r#""{PRESENTATION}":{{"aat_chain":[{}],"aat_pop":"{}"}}"#,
            chain.join(","),
            case.proof
        );
        for (headers, meta) in [
            (modern, format!("{meta},{presentation}}}")),
            (legacy, format!("\"_meta\":{{{presentation}}}")),
        ] {
            let body = format!(
                r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"get_ticket","arguments":{},{meta}}}}}"#,
                case.arguments
            );
            seeds.push(joined(&[headers, &body]));
        }
    }
    seeds
}

fn headers(text: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in text.lines().filter_map(|line| line.split_once(": ")) {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    }
    headers
}

fn carries_presentation(params: &Object) -> bool {
    let meta = params.member("_meta").and_then(Json::as_object);
    meta.is_some_and(|meta| meta.member(PRESENTATION).is_some())
}

fuzz_target!(
    init: seed(seeds()),
    |data: &[u8]| {
        let Some(fields) = fields(data) else { return };
        let [head, body] = fields.as_slice() else { return };
        let headers = headers(head);
        let config = config::Config::new(
            "http://localhost:4000",
            OrgId::parse("default").expect("an organisation"),
            "localhost",
            Anchors::new(Vec::new()).expect("no anchors"),
        );
        let _ = boundary::check_headers(&config, &headers);
        let _ = boundary::check_post(&headers);
        let server = ServerName::parse("desk").expect("a name");
        match boundary::parse(&config, server, &headers, body.as_bytes()) {
            Ok(WellFormed::Call(call)) => {
                assert!(!call.presentation.chain.is_empty(), "a call presents a chain");
                let boundary::Speech::Mcp { params, .. } = &call.speech else {
                    panic!("a message of MCP is a call of MCP")
                };
                assert!(!carries_presentation(params), "a presentation is forwarded");
                assert!(call.call.tool.as_str().starts_with("mcp:desk:"));
            }
            Ok(WellFormed::Message(message)) => {
                let params = message.params.as_ref();
                assert!(!params.is_some_and(carries_presentation), "a presentation is forwarded");
            }
            Ok(WellFormed::Answer(answer)) => {
                assert!(!answer.presentation.chain.is_empty(), "an answer presents a chain");
            }
            Err(malformed) => {
                assert!(malformed.status.is_client_error() || malformed.status.is_success());
            }
        }
    }
);
