//! What each type accepts (`check` of §3.4), at its edges.

use super::{constraint, json};

fn accepts(body: &str, yes: &[&str], no: &[&str]) {
    let quote = if body.contains('"') { "" } else { "\"" };
    let c = constraint(&format!(r#"{{"constraint_type":"{body}{quote}}}"#));
    for v in yes {
        assert!(c.permits(&json(v)), "{body} should permit {v}");
    }
    for v in no {
        assert!(!c.permits(&json(v)), "{body} should refuse {v}");
    }
}

#[test]
fn core_types_accept_what_the_draft_says() {
    accepts(r#"exact","value":1"#, &["1", "1.0", "1e0"], &["\"1\"", "true", "[1]", "null", "2"]);
    accepts(r#"exact","value":0"#, &["-0", "0.0"], &["false", "null"]);
    accepts(r#"exact","value":null"#, &["null"], &["false", "0", "\"\""]);
    accepts(r#"exact","value":"é""#, &["\"\\u00e9\""], &["\"e\\u0301\""]);
    accepts(
        r#"range","min":1,"max":2"#,
        &["1", "2", "1.5"],
        &["0.999", "2.001", "\"1\"", "null", "[1]"],
    );
    accepts(
        r#"range","min":1,"max":2,"min_inclusive":false,"max_inclusive":false"#,
        &["1.5"],
        &["1", "2"],
    );
    accepts(r#"range","min":1,"max":1,"max_inclusive":false"#, &[], &["1", "0", "2"]);
    accepts("range", &["1e308", "-5"], &[]);
    accepts(
        r#"one_of","values":["a",1,{"x":1,"y":2},[1,2]]"#,
        &["\"a\"", "1.0", "{\"y\":2,\"x\":1}", "[1,2]"],
        &["[2,1]", "{\"x\":1}", "{}", "[]", "null"],
    );
    accepts(r#"not_one_of","excluded":["a",[]]"#, &["\"b\"", "1", "null", "{}"], &["\"a\"", "[]"]);
    accepts(
        r#"contains","required":["a",1]"#,
        &["[1,\"a\"]", "[\"a\",\"a\",1,2]"],
        &["[\"a\"]", "[\"a\",\"a\"]", "\"a\"", "{}", "[[\"a\",1]]"],
    );
    accepts(r#"contains","required":[]"#, &["[]", "[1]"], &["{}", "null"]);
    accepts(
        r#"subset","allowed":["a",{}]"#,
        &["[]", "[\"a\",\"a\",{}]"],
        &["[\"b\"]", "\"a\"", "[null]"],
    );
    accepts(
        r#"all","constraints":[{"constraint_type":"range","min":1},{"constraint_type":"not_one_of","excluded":[2]}]"#,
        &["1", "3"],
        &["0", "2", "\"x\""],
    );
    accepts(
        r#"any","constraints":[{"constraint_type":"range","max":1},{"constraint_type":"exact","value":"x"}]"#,
        &["1", "\"x\""],
        &["2", "\"y\""],
    );
    accepts("wildcard", &["null", "[]", "\"\""], &[]);
}

#[test]
fn large_sets_hold_what_small_ones_hold() {
    let many: Vec<String> =
        (0..200).map(|i| format!("\"v{i}\"")).chain(["{\"a\":1}".into()]).collect();
    let all = format!("[{}]", many.join(","));
    accepts(
        &format!(r#"contains","required":{all}"#),
        &[&all],
        &[&format!("[{}]", many[1..].join(","))],
    );
    accepts(&format!(r#"subset","allowed":{all}"#), &[&all, "[]"], &["[\"v200\"]", "[{\"a\":2}]"]);
}

#[test]
fn cidr_takes_addresses_and_networks_in_canonical_spelling() {
    accepts(
        r#"cidr","network":"10.0.0.0/8""#,
        &[
            "\"10.0.0.0\"",
            "\"10.255.255.255\"",
            "\"10.1.0.0/16\"",
            "\"10.0.0.0/8\"",
            "\"10.1.2.3/32\"",
        ],
        &[
            "\"11.0.0.0\"",
            "\"10.1\"",
            "\"010.0.0.1\"",
            "\"0x0a.0.0.1\"",
            "\"167772161\"",
            "167772161",
            "\"10.0.0.1/8\"",
            "\"0.0.0.0/0\"",
            "\"10.0.0.0/7\"",
            "\" 10.0.0.1\"",
            "\"10.0.0.1 \"",
            "\"::ffff:10.0.0.1\"",
            "\"10.0.0.1:80\"",
            "\"10.1.0.0/016\"",
            "\"10.1.0.0/+16\"",
            "\"\"",
        ],
    );
    accepts(
        r#"cidr","network":"::/0""#,
        &["\"::1\"", "\"2001:db8::/32\"", "\"fe80::1\""],
        &[
            "\"::ffff:10.0.0.1\"",
            "\"::ffff:a00:1\"",
            "\"::ffff:0.0.0.0/96\"",
            "\"::/0\"",
            "\"::/64\"",
            "\"10.0.0.1\"",
            "\"2001:DB8::1\"",
            "\"2001:db8:0:0::1\"",
            "\"fe80::1%eth0\"",
            "\"[::1]\"",
            "\"0:0:0:0:0:0:0:1\"",
        ],
    );
}

#[test]
fn datetime_range_compares_instants_and_takes_one_spelling_of_them() {
    accepts(
        r#"datetime_range","min":"2026-01-01T00:00:00Z","max":"2026-12-31T23:59:59.999999999Z""#,
        &[
            "\"2026-01-01T00:00:00Z\"",
            "\"2026-01-01T01:00:00+01:00\"",
            "\"2025-12-31T23:00:00-01:00\"",
            "\"2026-12-31T23:59:59.999999999Z\"",
            "\"2026-06-01T12:00:00.5Z\"",
            "\"2026-01-01T00:00:00+00:00\"",
        ],
        &[
            "\"2025-12-31T23:59:59.999999999Z\"",
            "\"2027-01-01T00:00:00Z\"",
            "\"2026-01-01T00:00:00+00:01\"",
            "\"2026-06-01T12:00:00\"",
            "\"2026-06-01\"",
            "\"2026-06-01t12:00:00Z\"",
            "\"2026-06-01T12:00:00z\"",
            "\"2026-06-01 12:00:00Z\"",
            "\"2026-06-31T12:00:00Z\"",
            "\"2026-02-29T12:00:00Z\"",
            "\"2026-06-01T24:00:00Z\"",
            "\"2026-06-01T12:00:60Z\"",
            "\"2026-06-01T12:00:00-00:00\"",
            "\"2026-06-01T12:00:00+24:00\"",
            "\"2026-06-01T12:00:00.Z\"",
            "\"2026-06-01T12:00:00.0000000001Z\"",
            "\"2026-06-01T12:00:00Z \"",
            "\"2026-06-01T12:00:00Z[UTC]\"",
            "\"+2026-06-01T12:00:00Z\"",
            "\"2026-06-01T12:00:00+0100\"",
            "1780315200",
            "null",
            "\"2026-00-01T12:00:00Z\"",
            "\"2026-06-00T12:00:00Z\"",
        ],
    );
}

#[test]
fn length_counts_scalar_values_and_elements() {
    accepts(
        r#"length","min":1,"max":2"#,
        &["\"a\"", "\"éß\"", "\"\u{1f600}\u{1f600}\"", "[1]", "[[],[]]", "\"e\\u0301\""],
        &["\"\"", "\"abc\"", "[]", "[1,2,3]", "1", "12", "{\"a\":1}", "null", "true"],
    );
}

#[test]
fn pattern_matches_the_whole_text() {
    accepts(
        r#"pattern","glob":"/t/*/x?.txt""#,
        &["\"/t/a/x1.txt\"", "\"/t//x1.txt\"", "\"/t/abc/xé.txt\""],
        &[
            "\"/t/a/b/x1.txt\"",
            "\"/t/a/x/.txt\"",
            "\"/t/a/x1.txt \"",
            "\"x/t/a/x1.txt\"",
            "\"/t/a/x.txt\"",
            "1",
        ],
    );
    accepts(
        r#"pattern","glob":"a**b""#,
        &["\"ab\"", "\"a/x/b\"", "\"abab\""],
        &["\"aba\"", "\"\""],
    );
    accepts(r#"pattern","glob":"a\\*\\?\\\\""#, &[r#""a*?\\""#], &["\"axx\""]);
    accepts(r#"pattern","glob":"*""#, &["\"\"", "\"[a-z]\""], &["\"/\"", "[]"]);
}
