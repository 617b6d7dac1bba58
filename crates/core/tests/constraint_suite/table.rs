//! The subsumption table of §4.5, each ordered pair of types, also the invalid
//! ones (§9.2), and our extension types.

use super::{constraint, json};
use bailiwick_core::json::Json;

/// One constraint of each type. Under a reading by meaning many of these would
/// cover others: all of them permit few or many values around `1` and `"a"`.
const ONE_OF_EACH: [(&str, &str); 15] = [
    ("exact", r#"{"constraint_type":"exact","value":1}"#),
    ("range", r#"{"constraint_type":"range"}"#),
    ("one_of", r#"{"constraint_type":"one_of","values":[1]}"#),
    ("not_one_of", r#"{"constraint_type":"not_one_of","excluded":[]}"#),
    ("contains", r#"{"constraint_type":"contains","required":[]}"#),
    ("subset", r#"{"constraint_type":"subset","allowed":[]}"#),
    ("all", r#"{"constraint_type":"all","constraints":[{"constraint_type":"wildcard"}]}"#),
    ("any", r#"{"constraint_type":"any","constraints":[{"constraint_type":"wildcard"}]}"#),
    ("wildcard", r#"{"constraint_type":"wildcard"}"#),
    ("cidr", r#"{"constraint_type":"cidr","network":"::/0"}"#),
    ("datetime_range", r#"{"constraint_type":"datetime_range","min":"2000-01-01T00:00:00Z"}"#),
    ("length", r#"{"constraint_type":"length","min":0}"#),
    ("path_under", r#"{"constraint_type":"path_under","root":"/"}"#),
    ("pattern", r#"{"constraint_type":"pattern","glob":"**"}"#),
    ("url_within", r#"{"constraint_type":"url_within","scheme":"https","host":"a.example"}"#),
];

/// The pairs of different types that are valid under some condition; what the
/// child looks like then.
const CROSS: [(&str, &str); 13] = [
    ("range", "exact"),
    ("one_of", "exact"),
    ("cidr", "exact"),
    ("cidr", "one_of"),
    ("datetime_range", "exact"),
    ("datetime_range", "one_of"),
    ("length", "exact"),
    ("length", "one_of"),
    ("path_under", "exact"),
    ("path_under", "one_of"),
    ("pattern", "exact"),
    ("pattern", "one_of"),
    ("url_within", "exact"),
];

#[test]
fn every_ordered_pair_of_types_is_as_the_table_says() {
    for (parent, parent_text) in ONE_OF_EACH {
        for (child, child_text) in ONE_OF_EACH {
            // The child in the table's row is `1`, which of the cross pairs
            // only the number types permit.
            let expected = parent == "wildcard"
                || parent == child
                || matches!((parent, child), ("range" | "one_of", "exact"));
            assert_eq!(
                constraint(parent_text).covers(&constraint(child_text)),
                expected,
                "{child} under {parent}"
            );
        }
    }
}

#[test]
fn exact_and_one_of_stand_under_an_extension_type_when_it_permits_each_value() {
    let fitting = [
        ("cidr", "\"2001:db8::1\""),
        ("datetime_range", "\"2024-01-01T00:00:00Z\""),
        ("length", "\"abc\""),
        ("path_under", "\"/a/b\""),
        ("pattern", "\"x/y\""),
        ("url_within", "\"https://a.example/x\""),
    ];
    for (name, value) in fitting {
        let parent = constraint(ONE_OF_EACH.iter().find(|(n, _)| *n == name).unwrap().1);
        let exact = |v: &str| constraint(&format!(r#"{{"constraint_type":"exact","value":{v}}}"#));
        let one_of =
            |v: &str| constraint(&format!(r#"{{"constraint_type":"one_of","values":[{v}]}}"#));
        assert!(parent.permits(&json(value)), "{name}");
        assert!(parent.covers(&exact(value)), "{name}");
        assert!(parent.covers(&one_of(value)), "{name}");
        assert!(!parent.covers(&exact("7")), "{name}");
        assert!(!parent.covers(&one_of(&format!("{value},7"))), "{name}");
        // Never the other way, whatever the meaning.
        assert!(!exact(value).covers(&parent), "{name}");
        assert!(!one_of(value).covers(&parent), "{name}");
    }
}

#[test]
fn the_cross_pairs_are_the_documented_ones() {
    let docs = include_str!("../../../../docs/constraints.md");
    for (parent, child) in CROSS {
        assert!(docs.contains(&format!("`{parent}`")), "{parent} is documented");
        assert!(docs.contains(&format!("`{child}`")), "{child} is documented");
    }
}

/// Parent, child, whether it covers.
const CASES: &[(&str, &str, bool)] = &[
    // exact
    (r#"exact","value":1"#, r#"exact","value":1.0"#, true),
    (r#"exact","value":1"#, r#"exact","value":"1""#, false),
    (r#"exact","value":-0"#, r#"exact","value":0"#, true),
    (r#"exact","value":null"#, r#"exact","value":false"#, false),
    (r#"exact","value":"é""#, "exact\",\"value\":\"e\u{301}\"", false),
    (r#"exact","value":1"#, r#"one_of","values":[1]"#, false),
    (r#"exact","value":1"#, r#"range","min":1,"max":1"#, false),
    // range over exact
    (r#"range","min":1"#, r#"exact","value":1"#, true),
    (r#"range","min":1,"min_inclusive":false"#, r#"exact","value":1"#, false),
    (r#"range"#, r#"exact","value":"1""#, false),
    // range over range
    (r#"range","min":1,"max":9"#, r#"range","min":1,"max":9"#, true),
    (r#"range","min":1,"max":9"#, r#"range","min":2,"max":8"#, true),
    (r#"range","min":1,"max":9"#, r#"range","min":1"#, false),
    (r#"range","min":1,"max":9"#, r#"range","max":9"#, false),
    (r#"range","min":1"#, r#"range","min":1,"max":9"#, true),
    (r#"range","max":9"#, r#"range","min":1,"max":9"#, true),
    (r#"range","min":1"#, r#"range","min":0"#, false),
    (r#"range","max":9"#, r#"range","max":10"#, false),
    (r#"range","min":1,"min_inclusive":false"#, r#"range","min":1"#, false),
    (r#"range","min":1,"min_inclusive":false"#, r#"range","min":1,"min_inclusive":false"#, true),
    (r#"range","min":1"#, r#"range","min":1,"min_inclusive":false"#, true),
    (r#"range","max":9,"max_inclusive":false"#, r#"range","max":9,"max_inclusive":true"#, false),
    (r#"range","max":9,"max_inclusive":false"#, r#"range","max":8"#, true),
    (r#"range"#, r#"range"#, true),
    (r#"range"#, r#"range","min":0"#, true),
    (r#"range","min":0"#, r#"range"#, false),
    (r#"range","min":0"#, r#"one_of","values":[1]"#, false),
    // one_of
    (r#"one_of","values":[1,2]"#, r#"exact","value":2"#, true),
    (r#"one_of","values":[1,2]"#, r#"exact","value":3"#, false),
    (r#"one_of","values":[1,2,{"a":1,"b":[]}]"#, r#"one_of","values":[{"b":[],"a":1.0},2]"#, true),
    (r#"one_of","values":[1,2]"#, r#"one_of","values":[2,2,1]"#, true),
    (r#"one_of","values":[1,2]"#, r#"one_of","values":[1,3]"#, false),
    (r#"one_of","values":[[1,2]]"#, r#"one_of","values":[[2,1]]"#, false),
    // not_one_of
    (r#"not_one_of","excluded":[1]"#, r#"not_one_of","excluded":[2,1]"#, true),
    (r#"not_one_of","excluded":[1,2]"#, r#"not_one_of","excluded":[1]"#, false),
    (r#"not_one_of","excluded":[]"#, r#"not_one_of","excluded":[]"#, true),
    (r#"not_one_of","excluded":[1]"#, r#"exact","value":2"#, false),
    (r#"not_one_of","excluded":[1]"#, r#"one_of","values":[2]"#, false),
    // contains
    (r#"contains","required":["a"]"#, r#"contains","required":["b","a"]"#, true),
    (r#"contains","required":["a","b"]"#, r#"contains","required":["a"]"#, false),
    (r#"contains","required":[]"#, r#"subset","allowed":[]"#, false),
    // subset
    (r#"subset","allowed":["a","b"]"#, r#"subset","allowed":["b"]"#, true),
    (r#"subset","allowed":["a"]"#, r#"subset","allowed":["a","b"]"#, false),
    (r#"subset","allowed":[]"#, r#"subset","allowed":[]"#, true),
    // all: every parent clause has a child clause under it
    (r#"all","constraints":[R]"#, r#"all","constraints":[S]"#, true),
    (r#"all","constraints":[R]"#, r#"all","constraints":[S,E]"#, true),
    (r#"all","constraints":[R,W]"#, r#"all","constraints":[S]"#, true),
    (r#"all","constraints":[R,E]"#, r#"all","constraints":[S]"#, false),
    (r#"all","constraints":[S]"#, r#"all","constraints":[R]"#, false),
    (r#"all","constraints":[R]"#, r#"range","min":5"#, false),
    (r#"all","constraints":[W]"#, r#"exact","value":1"#, false),
    (r#"range","min":0"#, r#"all","constraints":[S]"#, false),
    // any: every child clause stands under a parent clause
    (r#"any","constraints":[R,E]"#, r#"any","constraints":[S]"#, true),
    (r#"any","constraints":[R,E]"#, r#"any","constraints":[S,S,E]"#, true),
    (r#"any","constraints":[R]"#, r#"any","constraints":[S,E]"#, false),
    (r#"any","constraints":[R]"#, r#"exact","value":5"#, false),
    (r#"any","constraints":[O]"#, r#"any","constraints":[E]"#, true),
    (
        r#"any","constraints":[{"constraint_type":"all","constraints":[R]}]"#,
        r#"any","constraints":[{"constraint_type":"all","constraints":[S,W]}]"#,
        true,
    ),
    // wildcard
    (r#"wildcard"#, r#"all","constraints":[S]"#, true),
    (r#"not_one_of","excluded":[]"#, r#"wildcard"#, false),
    // path_under
    (r#"path_under","root":"/a""#, r#"path_under","root":"/a/b""#, true),
    (r#"path_under","root":"/a""#, r#"path_under","root":"/a""#, true),
    (r#"path_under","root":"/""#, r#"path_under","root":"/a""#, true),
    (r#"path_under","root":"/a""#, r#"path_under","root":"/ab""#, false),
    (r#"path_under","root":"/a/b""#, r#"path_under","root":"/a""#, false),
    (r#"path_under","root":"/a""#, r#"path_under","root":"/""#, false),
    (r#"path_under","root":"/a""#, r#"one_of","values":["/a/b","/b"]"#, false),
    (r#"path_under","root":"/a""#, r#"pattern","glob":"/a/*""#, false),
    // url_within
    (
        r#"url_within","scheme":"https","host":"a.b""#,
        r#"url_within","scheme":"https","host":"a.b","port":443"#,
        true,
    ),
    (
        r#"url_within","scheme":"https","host":"a.b""#,
        r#"url_within","scheme":"http","host":"a.b""#,
        false,
    ),
    (
        r#"url_within","scheme":"https","host":"a.b""#,
        r#"url_within","scheme":"https","host":"a.b","port":8443"#,
        false,
    ),
    (
        r#"url_within","scheme":"https","host":"a.b""#,
        r#"url_within","scheme":"https","host":"c.a.b""#,
        false,
    ),
    (
        r#"url_within","scheme":"https","host":"a.b""#,
        r#"url_within","scheme":"https","host_suffix":"a.b""#,
        false,
    ),
    (
        r#"url_within","scheme":"https","host_suffix":"a.b""#,
        r#"url_within","scheme":"https","host":"a.b""#,
        true,
    ),
    (
        r#"url_within","scheme":"https","host_suffix":"a.b""#,
        r#"url_within","scheme":"https","host":"x.a.b""#,
        true,
    ),
    (
        r#"url_within","scheme":"https","host_suffix":"a.b""#,
        r#"url_within","scheme":"https","host":"xa.b""#,
        false,
    ),
    (
        r#"url_within","scheme":"https","host_suffix":"a.b""#,
        r#"url_within","scheme":"https","host_suffix":"x.a.b""#,
        true,
    ),
    (
        r#"url_within","scheme":"https","host_suffix":"x.a.b""#,
        r#"url_within","scheme":"https","host_suffix":"a.b""#,
        false,
    ),
    (
        r#"url_within","scheme":"https","host_suffix":"a.b""#,
        r#"url_within","scheme":"https","host_suffix":"xn--e1afmkfd.a.b""#,
        false,
    ),
    (
        r#"url_within","scheme":"https","host_suffix":"xn--e1afmkfd.com""#,
        r#"url_within","scheme":"https","host":"x.xn--e1afmkfd.com""#,
        true,
    ),
    (
        r#"url_within","scheme":"https","host":"a.b","path_prefix":"/p""#,
        r#"url_within","scheme":"https","host":"a.b","path_prefix":"/p/q""#,
        true,
    ),
    (
        r#"url_within","scheme":"https","host":"a.b","path_prefix":"/p""#,
        r#"url_within","scheme":"https","host":"a.b","path_prefix":"/pq""#,
        false,
    ),
    (
        r#"url_within","scheme":"https","host":"a.b","path_prefix":"/p""#,
        r#"url_within","scheme":"https","host":"a.b""#,
        false,
    ),
    (
        r#"url_within","scheme":"https","host":"a.b","path_prefix":"/""#,
        r#"url_within","scheme":"https","host":"a.b""#,
        true,
    ),
    (
        r#"url_within","scheme":"https","host":"a.b","path_prefix":"/p/""#,
        r#"url_within","scheme":"https","host":"a.b","path_prefix":"/p""#,
        false,
    ),
    (
        r#"url_within","scheme":"https","host":"a.b","path_prefix":"/p""#,
        r#"url_within","scheme":"https","host":"a.b","path_prefix":"/p/""#,
        true,
    ),
    (
        r#"url_within","scheme":"https","host":"a.b","query":"any""#,
        r#"url_within","scheme":"https","host":"a.b""#,
        true,
    ),
    (
        r#"url_within","scheme":"https","host":"a.b""#,
        r#"url_within","scheme":"https","host":"a.b","query":"any""#,
        false,
    ),
    (
        r#"url_within","scheme":"https","host":"a.b""#,
        r#"url_within","scheme":"wss","host":"a.b""#,
        false,
    ),
    // pattern
    (r#"pattern","glob":"**""#, r#"pattern","glob":"a/*""#, true),
    (r#"pattern","glob":"*""#, r#"pattern","glob":"**""#, false),
    (r#"pattern","glob":"*""#, r#"pattern","glob":"a?c""#, true),
    (r#"pattern","glob":"*""#, r#"pattern","glob":"a/c""#, false),
    (r#"pattern","glob":"?*""#, r#"pattern","glob":"*?""#, true),
    (r#"pattern","glob":"a*c""#, r#"pattern","glob":"ab*bc""#, true),
    (r#"pattern","glob":"ab*""#, r#"pattern","glob":"a*b*""#, false),
    (r#"pattern","glob":"ticket-????""#, r#"pattern","glob":"ticket-88??""#, true),
    (r#"pattern","glob":"ticket-????""#, r#"pattern","glob":"ticket-88*""#, false),
    (r#"pattern","glob":"\\*""#, r#"pattern","glob":"*""#, false),
    (r#"pattern","glob":"*""#, r#"pattern","glob":"\\*""#, true),
    // cidr
    (r#"cidr","network":"10.0.0.0/8""#, r#"cidr","network":"10.1.0.0/16""#, true),
    (r#"cidr","network":"10.1.0.0/16""#, r#"cidr","network":"10.0.0.0/8""#, false),
    (r#"cidr","network":"::/0""#, r#"cidr","network":"10.0.0.0/8""#, false),
    (r#"cidr","network":"0.0.0.0/0""#, r#"cidr","network":"::/0""#, false),
    (r#"cidr","network":"2001:db8::/32""#, r#"cidr","network":"2001:db8:1::/48""#, true),
    // datetime_range
    (
        r#"datetime_range","min":"2026-01-01T00:00:00Z""#,
        r#"datetime_range","min":"2026-01-01T01:00:00+01:00""#,
        true,
    ),
    (
        r#"datetime_range","min":"2026-01-01T00:00:00Z""#,
        r#"datetime_range","max":"2026-01-01T00:00:00Z""#,
        false,
    ),
    (
        r#"datetime_range","min":"2026-01-01T00:00:00.5Z""#,
        r#"datetime_range","min":"2026-01-01T00:00:00.49Z""#,
        false,
    ),
    (
        r#"datetime_range","max":"2026-01-01T00:00:00Z""#,
        r#"datetime_range","min":"2025-01-01T00:00:00Z","max":"2025-12-31T23:59:59Z""#,
        true,
    ),
    // length
    (r#"length","max":5"#, r#"length","min":1,"max":5"#, true),
    (r#"length","max":5"#, r#"length","min":1"#, false),
    (r#"length","min":2"#, r#"length","min":1"#, false),
    (r#"length","max":2"#, r#"one_of","values":["ab",[1,2]]"#, true),
    (r#"length","max":2"#, r#"one_of","values":["abc"]"#, false),
    // extension types as clauses
    (
        r#"any","constraints":[{"constraint_type":"path_under","root":"/a"},O]"#,
        r#"any","constraints":[{"constraint_type":"exact","value":"/a/b"},E]"#,
        true,
    ),
    (
        r#"all","constraints":[{"constraint_type":"length","max":9}]"#,
        r#"all","constraints":[{"constraint_type":"pattern","glob":"a"},{"constraint_type":"length","max":8}]"#,
        true,
    ),
];

pub(super) fn written_out(body: &str) -> Json {
    let body = body
        .replace("[R", r#"[{"constraint_type":"range","min":0}"#)
        .replace("[S", r#"[{"constraint_type":"range","min":5}"#)
        .replace(",S", r#",{"constraint_type":"range","min":5}"#)
        .replace("[E", r#"[{"constraint_type":"exact","value":"x"}"#)
        .replace(",E", r#",{"constraint_type":"exact","value":"x"}"#)
        .replace("[O", r#"[{"constraint_type":"one_of","values":["x"]}"#)
        .replace(",O", r#",{"constraint_type":"one_of","values":["x"]}"#)
        .replace(",W", r#",{"constraint_type":"wildcard"}"#)
        .replace("[W", r#"[{"constraint_type":"wildcard"}"#);
    let quote = if body.contains('"') { "" } else { "\"" };
    json(&format!(r#"{{"constraint_type":"{body}{quote}}}"#))
}

#[test]
fn the_conditions_of_each_pair_hold_at_their_edges() {
    for (parent, child, expected) in CASES {
        let parent = constraint(&written_out(parent).canonical());
        let child = constraint(&written_out(child).canonical());
        assert_eq!(
            parent.covers(&child),
            *expected,
            "{} under {}",
            child.to_json(),
            parent.to_json()
        );
    }
}

pub(super) fn all_constraints() -> Vec<Json> {
    let mut all: Vec<Json> = ONE_OF_EACH.iter().map(|(_, text)| json(text)).collect();
    for (parent, child, _) in CASES {
        all.push(written_out(parent));
        all.push(written_out(child));
    }
    all.sort_by_key(Json::canonical);
    all.dedup();
    all
}
