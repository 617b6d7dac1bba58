//! Grants, requests for grants, and enrolments: what is read is what was written, so nobody signs
//! more than is shown.
#![no_main]

use bailiwick_core::json::Json;
use bailiwick_core::{enrolment, grant};
use bailiwick_fuzz::{JSON, seed};
use libfuzzer_sys::fuzz_target;

const SEEDS: [&str; 3] = [
    r#"{"principal":"user:142","agent":"agent:support-runner","scope":["ticket:8821","orders:read"],"expiresAt":"2026-01-01T00:00:00.000Z","purpose":"resolve support ticket"}"#,
    r#"{"v":1,"id":"grant_019471f8-0000-7000-8000-000000000001","org":"default","principal":{"issuer":"local","subject":"user:142"},"agent":"agent:support-runner","task":"task_019471f8-0000-7000-8000-000000000002","purpose":"p","workflow":{"id":"support-tickets","digest":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},"requested":["ticket:8821"],"tools":{},"not_before":1704067200,"not_after":1704070800,"max_depth":3,"budget":{},"audience":["http://localhost/mcp"],"salt":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#,
    r#"{"payload":"e30","signatures":[{"protected":"e30","signature":"AA"},{"protected":"e30","signature":"AA"}]}"#,
];

fuzz_target!(
    init: seed(SEEDS),
    |data: &[u8]| {
        let Ok(json) = Json::parse(data, &JSON) else { return };
        if let Ok(statement) = grant::Statement::from_json(&json) {
            assert_eq!(statement.to_json(), json, "a statement says more than was read");
            let again = grant::Statement::from_json(&statement.to_json()).expect("reads back");
            assert_eq!(again.digest(), statement.digest());
        }
        if let Ok(request) = grant::Request::from_json(&json) {
            assert!(!request.scope.is_empty() && !request.purpose.trim().is_empty());
        }
        // Nobody here has a key that the statement would have to name.
        let _ = enrolment::Statement::verify(&json);
    }
);
