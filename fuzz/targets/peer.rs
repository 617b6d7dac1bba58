//! What peers send each other: the messages of a handshake, and claims.
//! What is read is written again as it was.
#![no_main]

use bailiwick_core::json::Json;
use bailiwick_core::peer::claim::Claim;
use bailiwick_core::peer::handshake::{Finish, Hello, Reply};
use bailiwick_fuzz::{JSON, seed};
use libfuzzer_sys::fuzz_target;

const SEEDS: [&str; 5] = [
    r#"{"v":1,"wit":"a.b.c","holder":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},"nonce":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","audience":"spiffe://b.example/agent/billing","purpose":"refund","offered":["handoff.1"]}"#,
    r#"{"v":1,"wit":"a.b.c","holder":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},"nonce":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","chosen":["handoff.1"],"signatures":{"holder":"a.b.c","identity":"a.b.c"}}"#,
    r#"{"v":1,"signatures":{"holder":"a.b.c","identity":"a.b.c"}}"#,
    r#"{"statement":"it arrived","speaker":"spiffe://b.example/agent/billing/i-7","receipt":{"entry":"018cc251-f400-7101-8101-010101010101","result":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}}"#,
    r#"{"statement":"it arrived","speaker":"spiffe://b.example/agent/billing/i-7","signature":"a.b.c"}"#,
];

fuzz_target!(
    init: seed(SEEDS),
    |data: &[u8]| {
        if let Ok(hello) = Hello::parse(data) {
            assert_eq!(Hello::parse(hello.to_json().canonical().as_bytes()), Ok(hello));
        }
        if let Ok(reply) = Reply::parse(data) {
            assert_eq!(Reply::parse(reply.to_json().canonical().as_bytes()), Ok(reply));
        }
        if let Ok(finish) = Finish::parse(data) {
            assert_eq!(Finish::parse(finish.to_json().canonical().as_bytes()), Ok(finish));
        }
        let Ok(json) = Json::parse(data, &JSON) else { return };
        if let Ok(claim) = Claim::from_json(&json) {
            assert_eq!(claim.to_json(), json, "a claim says more than was read");
        }
    }
);
