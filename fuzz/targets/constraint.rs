//! Constraints: what a parent covers, it permits.
//!
//! Input: parent, child, value, each JSON.
#![no_main]

use bailiwick_core::constraint::{Constraint, Dialect};
use bailiwick_core::json::Json;
use bailiwick_fuzz::{JSON, fields, joined, payloads, seed, tools};
use libfuzzer_sys::fuzz_target;

const DEPTH: usize = 8;

/// One of each extension type, each with a narrower one and a value.
const EXTENSIONS: &[[&str; 3]] = &[
    [
        r#"{"constraint_type":"path_under","root":"/data"}"#,
        r#"{"constraint_type":"path_under","root":"/data/q3"}"#,
        r#""/data/q3/a.pdf""#,
    ],
    [
        r#"{"constraint_type":"url_within","url":"https://example.com/a"}"#,
        r#"{"constraint_type":"url_within","url":"https://example.com/a/b"}"#,
        r#""https://example.com/a/b/c""#,
    ],
    [
        r#"{"constraint_type":"pattern","pattern":"a*"}"#,
        r#"{"constraint_type":"pattern","pattern":"a*b"}"#,
        r#""axb""#,
    ],
    [
        r#"{"constraint_type":"cidr","network":"10.0.0.0/8"}"#,
        r#"{"constraint_type":"cidr","network":"10.1.0.0/16"}"#,
        r#""10.1.2.3""#,
    ],
    [
        r#"{"constraint_type":"datetime_range","min":"2026-01-01T00:00:00Z"}"#,
        r#"{"constraint_type":"datetime_range","min":"2026-02-01T00:00:00Z"}"#,
        r#""2026-03-01T00:00:00Z""#,
    ],
    [
        r#"{"constraint_type":"length","max":9}"#,
        r#"{"constraint_type":"length","max":4}"#,
        r#""abc""#,
    ],
    [
        r#"{"constraint_type":"range","min":1,"max":9}"#,
        r#"{"constraint_type":"exact","value":3}"#,
        "3",
    ],
    [
        r#"{"constraint_type":"any","constraints":[{"constraint_type":"exact","value":1}]}"#,
        r#"{"constraint_type":"any","constraints":[{"constraint_type":"exact","value":1}]}"#,
        "1",
    ],
];

fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<_> = EXTENSIONS.iter().map(|fields| joined(fields)).collect();
    for payload in payloads() {
        let Ok(claims) = Json::parse(&payload, &JSON) else {
            continue;
        };
        for (_, rules) in tools(&claims).into_iter().flat_map(|t| t.iter()) {
            for (_, constraint) in rules.as_object().into_iter().flat_map(|r| r.iter()) {
                let text = constraint.canonical();
                seeds.push(joined(&[text.as_str(), text.as_str(), "1"]));
            }
        }
    }
    seeds.sort();
    seeds.dedup();
    seeds
}

fn read(text: &str) -> Option<Constraint> {
    let json = Json::parse(text.as_bytes(), &JSON).ok()?;
    Constraint::parse(&json, Dialect::Extended, DEPTH).ok()
}

fuzz_target!(
    init: seed(seeds()),
    |data: &[u8]| {
        let Some(fields) = fields(data) else { return };
        let [parent, child, value] = fields.as_slice() else { return };
        let Some(parent) = read(parent) else { return };
        let again = read(&parent.to_json().canonical()).expect("a constraint reads back");
        assert!(parent.covers(&again) && again.covers(&parent), "covers is reflexive");
        let Some(child) = read(child) else { return };
        let Ok(value) = Json::parse(value.as_bytes(), &JSON) else { return };
        if !value.is_admissible() {
            return;
        }
        assert_eq!(parent.permits(&value), again.permits(&value), "reading back changes nothing");
        if parent.covers(&child) && child.permits(&value) {
            assert!(parent.permits(&value), "a covered child permits more than its parent");
        }
    }
);
