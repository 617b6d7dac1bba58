//! Workflow files: what is read has a canonical form, which reads back as the same workflow; and
//! its shorthands expand or are refused.
#![no_main]

use bailiwick_fuzz::seed;
use bailiwick_policy::expand::expand;
use bailiwick_policy::workflow::Workflow;
use libfuzzer_sys::fuzz_target;

fuzz_target!(
    init: seed([include_str!("../../workflows/support-tickets.yaml")]),
    |data: &[u8]| {
        let Ok(text) = std::str::from_utf8(data) else { return };
        let workflow = match Workflow::parse(text) {
            Ok(workflow) => workflow,
            Err(problems) => {
                assert!(!problems.is_empty(), "a refusal says why");
                return;
            }
        };
        // JSON is YAML.
        let again = Workflow::parse(&workflow.canonical_json()).expect("reads back");
        assert_eq!(again.digest(), workflow.digest());
        for shorthand in ["ticket:8821", "orders:read", "x:1"] {
            if let Ok(expansion) = expand(&workflow, &[shorthand.to_owned()]) {
                assert!(!expansion.scope.is_empty(), "an expansion permits something");
            }
        }
    }
);
