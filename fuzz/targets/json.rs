//! The strict JSON reader: what it accepts has one canonical form, which reads back as itself.
#![no_main]

use bailiwick_core::json::Json;
use bailiwick_fuzz::{CASES, JSON, payloads, seed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: seed(payloads().chain(CASES.iter().map(|c| c.arguments.clone().into_bytes()))),
    |data: &[u8]| {
        let Ok(json) = Json::parse(data, &JSON) else { return };
        assert!(json == json, "a value equals itself");
        let library = serde_json_canonicalizer::to_string(&json).expect("a canonical form");
        assert_eq!(json.canonical(), library, "another library writes it otherwise");
        // A number beyond doubles has no canonical form to read back.
        if !json.is_admissible() {
            return;
        }
        let text = json.canonical();
        let again = Json::parse(text.as_bytes(), &JSON).expect("canonical JSON is JSON");
        assert_eq!(again.canonical(), text, "the canonical form is stable");
    }
);
