//! Well-formedness (§3.4): each rule with an input that breaks only it.

use super::{constraint, json, read};
use bailiwick_core::constraint::{Constraint, Dialect};

#[test]
fn each_rule_of_well_formedness_refuses_what_breaks_it() {
    let cases: &[(&str, &str)] = &[
        ("[]", "constraint-not-an-object"),
        ("null", "constraint-not-an-object"),
        ("{}", "constraint-type-missing"),
        (r#"{"constraint_type":1}"#, "constraint-type-missing"),
        (r#"{"constraint_type":"regex"}"#, "constraint-type-unknown"),
        (r#"{"constraint_type":"Exact","value":1}"#, "constraint-type-unknown"),
        (r#"{"constraint_type":"wildcard","note":"x"}"#, "constraint-member-unknown"),
        (r#"{"constraint_type":"exact","value":1,"values":[1]}"#, "constraint-member-unknown"),
        (r#"{"constraint_type":"exact"}"#, "constraint-member-missing"),
        (r#"{"constraint_type":"exact","value":[]}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"exact","value":{}}"#, "constraint-member-invalid"),
        (
            r#"{"constraint_type":"exact","value":9007199254740993}"#,
            "constraint-number-inadmissible",
        ),
        (r#"{"constraint_type":"range","min":"1"}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"range","min":null}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"range","max":[1]}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"range","min":2,"max":1}"#, "constraint-bounds-reversed"),
        (r#"{"constraint_type":"range","min_inclusive":true}"#, "constraint-member-invalid"),
        (
            r#"{"constraint_type":"range","min":1,"max_inclusive":true}"#,
            "constraint-member-invalid",
        ),
        (r#"{"constraint_type":"range","min":1,"min_inclusive":1}"#, "constraint-member-invalid"),
        (
            r#"{"constraint_type":"range","min":1,"min_inclusive":null}"#,
            "constraint-member-invalid",
        ),
        (
            r#"{"constraint_type":"range","max":1.00000000000000001}"#,
            "constraint-number-inadmissible",
        ),
        (r#"{"constraint_type":"one_of"}"#, "constraint-member-missing"),
        (r#"{"constraint_type":"one_of","values":[]}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"one_of","values":"a"}"#, "constraint-member-invalid"),
        (
            r#"{"constraint_type":"one_of","values":[{"a":[9007199254740993]}]}"#,
            "constraint-number-inadmissible",
        ),
        (r#"{"constraint_type":"not_one_of"}"#, "constraint-member-missing"),
        (r#"{"constraint_type":"not_one_of","excluded":{}}"#, "constraint-member-invalid"),
        (
            r#"{"constraint_type":"not_one_of","excluded":[1e-400]}"#,
            "constraint-number-inadmissible",
        ),
        (r#"{"constraint_type":"contains"}"#, "constraint-member-missing"),
        (r#"{"constraint_type":"contains","required":1}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"subset"}"#, "constraint-member-missing"),
        (r#"{"constraint_type":"subset","allowed":null}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"all"}"#, "constraint-member-missing"),
        (r#"{"constraint_type":"all","constraints":[]}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"any","constraints":[]}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"any","constraints":{}}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"any","constraints":[1]}"#, "constraint-not-an-object"),
        (
            r#"{"constraint_type":"all","constraints":[{"constraint_type":"shell"}]}"#,
            "constraint-type-unknown",
        ),
        (
            r#"{"constraint_type":"all","constraints":[{"constraint_type":"wildcard","optional":false}]}"#,
            "constraint-optional-not-allowed",
        ),
        (r#"{"constraint_type":"wildcard","optional":true}"#, "constraint-optional-not-allowed"),
        // path_under
        (r#"{"constraint_type":"path_under"}"#, "constraint-member-missing"),
        (r#"{"constraint_type":"path_under","root":1}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"path_under","root":"a"}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"path_under","root":"/a/"}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"path_under","root":"/a/../b"}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"path_under","root":""}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"path_under","root":"/a","depth":1}"#, "constraint-member-unknown"),
        // url_within
        (r#"{"constraint_type":"url_within","host":"a.b"}"#, "constraint-member-missing"),
        (r#"{"constraint_type":"url_within","scheme":"https"}"#, "constraint-member-missing"),
        (
            r#"{"constraint_type":"url_within","scheme":"ftp","host":"a.b"}"#,
            "constraint-member-invalid",
        ),
        (
            r#"{"constraint_type":"url_within","scheme":"HTTPS","host":"a.b"}"#,
            "constraint-member-invalid",
        ),
        (
            r#"{"constraint_type":"url_within","scheme":"https","host":"a.b","host_suffix":"a.b"}"#,
            "constraint-member-invalid",
        ),
        (
            r#"{"constraint_type":"url_within","scheme":"https","host":"A.b"}"#,
            "constraint-member-invalid",
        ),
        (
            r#"{"constraint_type":"url_within","scheme":"https","host":"a.b."}"#,
            "constraint-member-invalid",
        ),
        (
            r#"{"constraint_type":"url_within","scheme":"https","host":"bücher.example"}"#,
            "constraint-member-invalid",
        ),
        (
            r#"{"constraint_type":"url_within","scheme":"https","host":"0x7f.1"}"#,
            "constraint-member-invalid",
        ),
        (
            r#"{"constraint_type":"url_within","scheme":"https","host":"::1"}"#,
            "constraint-member-invalid",
        ),
        (
            r#"{"constraint_type":"url_within","scheme":"https","host":"a.b:443"}"#,
            "constraint-member-invalid",
        ),
        (
            r#"{"constraint_type":"url_within","scheme":"https","host":"user@a.b"}"#,
            "constraint-member-invalid",
        ),
        (
            r#"{"constraint_type":"url_within","scheme":"https","host":""}"#,
            "constraint-member-invalid",
        ),
        (
            r#"{"constraint_type":"url_within","scheme":"https","host_suffix":"com"}"#,
            "constraint-member-invalid",
        ),
        (
            r#"{"constraint_type":"url_within","scheme":"https","host_suffix":".example.com"}"#,
            "constraint-member-invalid",
        ),
        (
            r#"{"constraint_type":"url_within","scheme":"https","host_suffix":"1.2.3.4"}"#,
            "constraint-member-invalid",
        ),
        (
            r#"{"constraint_type":"url_within","scheme":"https","host":"a.b","port":0}"#,
            "constraint-member-invalid",
        ),
        (
            r#"{"constraint_type":"url_within","scheme":"https","host":"a.b","port":65536}"#,
            "constraint-member-invalid",
        ),
        (
            r#"{"constraint_type":"url_within","scheme":"https","host":"a.b","port":443.0}"#,
            "constraint-member-invalid",
        ),
        (
            r#"{"constraint_type":"url_within","scheme":"https","host":"a.b","path_prefix":"p"}"#,
            "constraint-member-invalid",
        ),
        (
            r#"{"constraint_type":"url_within","scheme":"https","host":"a.b","path_prefix":"/a/../b"}"#,
            "constraint-member-invalid",
        ),
        (
            r#"{"constraint_type":"url_within","scheme":"https","host":"a.b","path_prefix":"/%2e"}"#,
            "constraint-member-invalid",
        ),
        (
            r#"{"constraint_type":"url_within","scheme":"https","host":"a.b","query":true}"#,
            "constraint-member-invalid",
        ),
        (
            r#"{"constraint_type":"url_within","scheme":"https","host":"a.b","query":"some"}"#,
            "constraint-member-invalid",
        ),
        // pattern
        (r#"{"constraint_type":"pattern"}"#, "constraint-member-missing"),
        (r#"{"constraint_type":"pattern","glob":""}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"pattern","glob":"a***"}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"pattern","glob":"a\\b"}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"pattern","glob":"a\\"}"#, "constraint-member-invalid"),
        // cidr
        (r#"{"constraint_type":"cidr","network":"10.0.0.1"}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"cidr","network":"10.0.0.1/8"}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"cidr","network":"10.0.0.0/08"}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"cidr","network":"010.0.0.0/8"}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"cidr","network":"10.0.0.0/33"}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"cidr","network":"2001:DB8::/32"}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"cidr","network":"2001:db8:0::/32"}"#, "constraint-member-invalid"),
        (
            r#"{"constraint_type":"cidr","network":"::ffff:10.0.0.0/104"}"#,
            "constraint-member-invalid",
        ),
        // datetime_range
        (r#"{"constraint_type":"datetime_range"}"#, "constraint-member-missing"),
        (r#"{"constraint_type":"datetime_range","min":1767225600}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"datetime_range","min":"2026-01-01"}"#, "constraint-member-invalid"),
        (
            r#"{"constraint_type":"datetime_range","min":"2026-01-01T00:00:00"}"#,
            "constraint-member-invalid",
        ),
        (
            r#"{"constraint_type":"datetime_range","min":"2026-01-01T00:00:00Z","max":"2026-01-01T00:59:59+01:00"}"#,
            "constraint-bounds-reversed",
        ),
        // length
        (r#"{"constraint_type":"length"}"#, "constraint-member-missing"),
        (r#"{"constraint_type":"length","min":-1}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"length","max":1.0}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"length","max":"9"}"#, "constraint-member-invalid"),
        (r#"{"constraint_type":"length","min":3,"max":2}"#, "constraint-bounds-reversed"),
        (
            r#"{"constraint_type":"length","min":9007199254740993}"#,
            "constraint-number-inadmissible",
        ),
    ];
    for (text, code) in cases {
        match read(text) {
            Ok(_) => panic!("accepted: {text}"),
            Err(error) => {
                assert_eq!(error.code(), *code, "{text}: {error}");
                let message = error.to_string();
                assert!(!message.contains('\n') && !error.remedy().is_empty());
                assert!(!message.starts_with(char::is_uppercase), "{message}");
            }
        }
    }
}

#[test]
fn what_the_rules_allow_is_accepted() {
    for text in [
        r#"{"constraint_type":"range","min":1,"max":1,"min_inclusive":false}"#,
        r#"{"constraint_type":"not_one_of","excluded":[]}"#,
        r#"{"constraint_type":"contains","required":[]}"#,
        r#"{"constraint_type":"subset","allowed":[]}"#,
        r#"{"constraint_type":"exact","value":1152921504606847000}"#,
        r#"{"constraint_type":"url_within","scheme":"http","host":"[::1]","port":8080}"#,
        r#"{"constraint_type":"url_within","scheme":"http","host":"127.0.0.1"}"#,
        r#"{"constraint_type":"url_within","scheme":"wss","host":"localhost"}"#,
        r#"{"constraint_type":"url_within","scheme":"https","host":"xn--bcher-kva.example"}"#,
    ] {
        let read = constraint(text);
        assert_eq!(constraint(&read.to_json().canonical()), read, "{text}");
    }
}

#[test]
fn optional_stands_only_on_an_entry_and_only_as_a_boolean() {
    let entry = |text: &str| Constraint::parse_entry(&json(text), Dialect::Core, 32);
    assert!(!entry(r#"{"constraint_type":"wildcard"}"#).unwrap().1);
    assert!(!entry(r#"{"constraint_type":"wildcard","optional":false}"#).unwrap().1);
    assert!(entry(r#"{"constraint_type":"wildcard","optional":true}"#).unwrap().1);
    for bad in ["null", "0", "\"true\"", "[]"] {
        let text = format!(r#"{{"constraint_type":"wildcard","optional":{bad}}}"#);
        assert_eq!(entry(&text).unwrap_err().code(), "constraint-optional-not-boolean");
    }
    let nested = r#"{"constraint_type":"any","optional":true,"constraints":[{"constraint_type":"wildcard","optional":true}]}"#;
    assert_eq!(entry(nested).unwrap_err().code(), "constraint-optional-not-allowed");
}

#[test]
fn depth_counts_a_leaf_as_one_and_is_bounded() {
    let nest = |levels: usize| {
        let open = r#"{"constraint_type":"all","constraints":["#.repeat(levels);
        format!("{open}{}{}", r#"{"constraint_type":"wildcard"}"#, "]}".repeat(levels))
    };
    for levels in [0, 1, 31] {
        assert_eq!(constraint(&nest(levels)).depth(), levels + 1);
    }
    assert_eq!(read(&nest(32)).unwrap_err().code(), "constraint-too-deep");
    assert!(Constraint::parse(&json(&nest(0)), Dialect::Core, 0).is_err());
}

#[test]
fn the_core_dialect_does_not_know_the_extension_types() {
    for text in [
        r#"{"constraint_type":"path_under","root":"/a"}"#,
        r#"{"constraint_type":"url_within","scheme":"https","host":"a.b"}"#,
        r#"{"constraint_type":"pattern","glob":"*"}"#,
        r#"{"constraint_type":"cidr","network":"10.0.0.0/8"}"#,
        r#"{"constraint_type":"datetime_range","min":"2026-01-01T00:00:00Z"}"#,
        r#"{"constraint_type":"length","min":1}"#,
    ] {
        assert!(read(text).is_ok(), "{text}");
        for text in
            [text.to_owned(), format!(r#"{{"constraint_type":"any","constraints":[{text}]}}"#)]
        {
            let refused = Constraint::parse(&json(&text), Dialect::Core, 32).unwrap_err();
            assert_eq!(refused.code(), "constraint-type-unknown", "{text}");
        }
    }
}

#[test]
fn names_from_outside_are_shown_short_and_escaped() {
    let name = format!("x\\n\\u001b[31m{}", "y".repeat(500));
    let error = read(&format!(r#"{{"constraint_type":"{name}"}}"#)).unwrap_err();
    let shown = error.to_string();
    assert!(shown.len() < 200 && !shown.contains('\n') && !shown.contains('\u{1b}'), "{shown}");
}

#[test]
fn constructors_keep_the_rules() {
    assert!(Constraint::exact(json("[]")).is_err());
    assert!(Constraint::exact((1_u64 << 53) + 1).is_err());
    assert!(Constraint::one_of([]).is_err());
    assert!(Constraint::one_of([json("9007199254740993")]).is_err());
    assert!(Constraint::exact("a").unwrap().permits(&json("\"a\"")));
    assert!(Constraint::wildcard().is_wildcard());
}
