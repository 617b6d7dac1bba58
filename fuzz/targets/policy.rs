//! Bundles of policies, described calls and cases: what is read has one document,
//! which reads back as the same bundle; asked, it ends, alike with and without
//! its shelves; and a call that it cannot be asked about is denied.
#![no_main]

use bailiwick_fuzz::seed;
use bailiwick_policy::bundle::Answer;
use bailiwick_policy::call::Call;
use bailiwick_policy::{Bundle, cases};
use libfuzzer_sys::fuzz_target;

const CALL: &str = "agent: agent:a\ntool: mcp:desk:tools/refund_order\nrisk: high\neffect: write\n\
    arguments: {amount_cents: 10001, text: hello, list: [a, b], deep: {flag: true}}\n";

fuzz_target!(
    init: seed([
        include_str!("../../policies/guardrails/guardrails.cedar"),
        include_str!("../../policies/guardrails/cases.yaml"),
        CALL,
    ]),
    |data: &[u8]| {
        let Ok(text) = std::str::from_utf8(data) else { return };
        if let Err(problems) = cases::parse(text) {
            assert!(!problems.is_empty(), "a refusal says why");
        }
        let _ = Bundle::from_document(text);
        let call = Call::parse(text)
            .unwrap_or_else(|_| Call::parse(CALL).expect("the call that is always asked reads"));
        let bundle = match Bundle::parse([("a.cedar".to_owned(), text.to_owned())]) {
            Ok(bundle) => bundle,
            Err(problems) => {
                assert!(!problems.is_empty(), "a refusal says why");
                Bundle::guardrails().expect("the shipped guardrails read")
            }
        };
        let again = Bundle::from_document(&bundle.to_json().canonical()).expect("reads back");
        assert_eq!(again.digest(), bundle.digest());
        let (said, _) = bundle.ask(&call.input());
        assert_eq!(said, bundle.unsliced().ask(&call.input()).0);
        assert!(said.errors.is_empty() || said.answer == Answer::Deny);
    }
);
