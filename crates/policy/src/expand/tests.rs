use bailiwick_core::limits::JsonLimits;
use proptest::prelude::*;

use super::*;

const BUNDLED: &str = include_str!("../../../../workflows/support-tickets.yaml");

fn bundled() -> Workflow {
    Workflow::parse(BUNDLED).unwrap()
}

fn try_bundled(shorthands: &[&str]) -> Result<Expansion, ExpandError> {
    let shorthands: Vec<String> = shorthands.iter().map(|s| (*s).to_owned()).collect();
    expand(&bundled(), &shorthands)
}

/// A workflow with these shorthands over tools `d/a` and `d/b`.
fn with(shorthands: &str) -> Workflow {
    let text = format!(
        "workflow: w\nversion: '1'\nowner: user:o\npurpose: p\nagents: [agent:a]\nlevel: bounded\n\
         window_seconds: 60\nmax_depth: 1\n\
         tool_servers: {{d: {{tools: {{a: {{risk: low, effect: read}}, b: {{risk: low, effect: read}}}}}}}}\n\
         shorthands:\n{shorthands}"
    );
    Workflow::parse(&text).unwrap_or_else(|p| panic!("{p:?}\n{text}"))
}

fn asked(workflow: &Workflow, shorthands: &[&str]) -> Result<Expansion, ExpandError> {
    let shorthands: Vec<String> = shorthands.iter().map(|s| (*s).to_owned()).collect();
    expand(workflow, &shorthands)
}

fn object(text: &str) -> Object {
    let json = Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap();
    json.as_object().unwrap().clone()
}

#[test]
fn the_seed_request_reaches_its_ticket_and_orders_and_nothing_else() {
    let expansion = try_bundled(&["ticket:8821", "orders:read"]).unwrap();
    for (tool, arguments, permitted) in [
        ("get_ticket", r#"{"ticket_id":8821}"#, true),
        ("get_ticket", r#"{"ticket_id":9000}"#, false),
        ("get_ticket", r#"{"ticket_id":"8821"}"#, false),
        ("get_ticket", r#"{"ticket_id":8821,"more":1}"#, false),
        ("get_ticket", "{}", false),
        ("list_orders", r#"{"customer_id":17}"#, true),
        ("get_order", r#"{"order_id":1}"#, true),
        ("refund_order", r#"{"order_id":1,"amount_cents":1,"reason":"x"}"#, false),
        ("add_note", r#"{"ticket_id":8821,"text":"x"}"#, false),
    ] {
        let id = format!("mcp:support-desk:tools/{tool}");
        let found = expansion.scope.permits(&id, &object(arguments)).is_ok();
        assert_eq!(found, permitted, "{tool} {arguments}");
    }
}

#[test]
fn an_expansion_explains_itself() {
    let expansion = try_bundled(&[
        "ticket:8821",
        "orders:read",
        "order:4711:read",
        "refund:4711",
        "policies:read",
    ]);
    insta::assert_snapshot!(expansion.unwrap().explain());
}

#[test]
fn an_expansion_shows_as_json() {
    let expansion = try_bundled(&["ticket:8821", "orders:read"]).unwrap();
    insta::assert_snapshot!(expansion.to_json().canonical());
}

#[test]
fn what_cannot_be_expanded_is_named() {
    let long = format!("ticket:{}", "1".repeat(300));
    for (given, code, message) in [
        (
            "order:read",
            "scope-shorthand-unknown",
            "workflow `support-tickets` has no shorthand `order:read`",
        ),
        ("", "scope-shorthand-unknown", "workflow `support-tickets` has no shorthand ``"),
        (
            "ORDERS:READ",
            "scope-shorthand-unknown",
            "workflow `support-tickets` has no shorthand `ORDERS:READ`",
        ),
        (
            "ticket:",
            "scope-parameter-invalid",
            "`ticket:` does not fit `ticket:{id}`: `{id}` must be a decimal number of at most 15 digits without leading zeros",
        ),
        (
            "ticket:08",
            "scope-parameter-invalid",
            "`ticket:08` does not fit `ticket:{id}`: `{id}` must be a decimal number of at most 15 digits without leading zeros",
        ),
        (
            "ticket:{id}",
            "scope-parameter-invalid",
            "`ticket:{id}` does not fit `ticket:{id}`: `{id}` must be a decimal number of at most 15 digits without leading zeros",
        ),
        (
            "ticket:1\u{202e}",
            "scope-parameter-invalid",
            "`ticket:1\\u{202e}` does not fit `ticket:{id}`: `{id}` must be a decimal number of at most 15 digits without leading zeros",
        ),
    ] {
        let e = try_bundled(&[given]).unwrap_err();
        assert_eq!((e.code(), e.to_string().as_str()), (code, message));
        assert!(!e.remedy().is_empty());
    }
    assert_eq!(try_bundled(&[&long]).unwrap_err().code(), "scope-shorthand-unknown");
    assert_eq!(try_bundled(&[]).unwrap_err().code(), "scope-count");
    assert_eq!(try_bundled(&["orders:read"; 65]).unwrap_err().code(), "scope-count");
}

#[test]
fn an_unknown_shorthand_names_those_that_look_alike() {
    let e = try_bundled(&["oders:read"]).unwrap_err();
    assert_eq!(e.remedy(), "did you mean `orders:read`?");
    let e = try_bundled(&["refund:1:now"]).unwrap_err();
    assert_eq!(e.remedy(), "did you mean `refund:{order}`?");
}

#[test]
fn the_same_text_twice_counts_once() {
    let expansion = try_bundled(&["ticket:1", "ticket:1"]).unwrap();
    assert_eq!(expansion.parts.len(), 1);
}

#[test]
fn two_values_of_one_shorthand_become_one_list() {
    let expansion = try_bundled(&["ticket:2", "ticket:1", "ticket:3"]).unwrap();
    assert_eq!(
        expansion.scope.to_json().canonical(),
        r#"{"mcp:support-desk:tools/get_ticket":{"ticket_id":{"constraint_type":"one_of","values":[1,2,3]}}}"#
    );
}

#[test]
fn a_wider_shorthand_takes_in_a_narrower_one() {
    let expansion = try_bundled(&["order:7:read", "orders:read"]).unwrap();
    let alone = try_bundled(&["orders:read"]).unwrap();
    assert_eq!(expansion.scope, alone.scope);
}

#[test]
fn rules_that_differ_in_two_arguments_are_not_joined() {
    let workflow = with("  x: {tools: {d/a: {p: 1, q: 1}}}\n  y: {tools: {d/a: {p: 2, q: 2}}}\n");
    let e = asked(&workflow, &["x", "y"]).unwrap_err();
    assert_eq!(e.code(), "scope-conflict");
    assert_eq!(
        e.to_string(),
        "`x` and `y` permit `mcp:d:tools/a` in ways that one delegation cannot express"
    );
}

#[test]
fn rules_that_name_other_arguments_are_not_joined() {
    let workflow = with("  x: {tools: {d/a: {p: 1}}}\n  y: {tools: {d/a: {q: 1}}}\n");
    assert_eq!(asked(&workflow, &["x", "y"]).unwrap_err().code(), "scope-conflict");
}

#[test]
fn a_third_shorthand_can_bridge_two_whatever_the_order() {
    let workflow = with(
        "  x: {tools: {d/a: {p: 1, q: 1}}}\n  y: {tools: {d/a: {p: 2, q: 2}}}\n  z: {tools: {d/a: any}}\n",
    );
    for order in [["x", "y", "z"], ["z", "y", "x"], ["x", "z", "y"]] {
        assert!(asked(&workflow, &order).unwrap().scope.rules("mcp:d:tools/a").unwrap().is_open());
    }
}

#[test]
fn a_parameters_value_never_becomes_anything_but_a_value() {
    let workflow = with(
        "  \"x:{v}:{w}\":\n    parameters: {v: string, w: {type: string, constraint: [one, two]}}\n    \
         tools: {d/a: {p: \"{v}\", q: {constraint_type: one_of, values: [\"{w}\", {k: \"{v}\"}]}}}\n",
    );
    let expansion = asked(&workflow, &["x:1:one"]).unwrap();
    assert_eq!(
        expansion.scope.to_json().canonical(),
        r#"{"mcp:d:tools/a":{"p":{"constraint_type":"exact","value":"1"},"q":{"constraint_type":"one_of","values":["one",{"k":"1"}]}}}"#
    );
    for text in ["x:{w}:one", "x:\":one", "x:a b:one", "x:ä:one"] {
        assert_eq!(
            asked(&workflow, &[text]).unwrap_err().code(),
            "scope-parameter-invalid",
            "{text}"
        );
    }
    let e = asked(&workflow, &["x:1:three"]).unwrap_err();
    assert!(e.to_string().ends_with("a value that the workflow's constraint on it permits"), "{e}");
}

#[test]
fn values_that_make_a_rule_malformed_are_refused() {
    let workflow = with(
        "  \"x:{v}\":\n    parameters: {v: integer}\n    tools: {d/a: {p: {constraint_type: range, min: \"{v}\", max: 10}}}\n",
    );
    assert!(asked(&workflow, &["x:10"]).is_ok());
    assert_eq!(asked(&workflow, &["x:11"]).unwrap_err().code(), "scope-rule-invalid");
}

#[test]
fn constraints_are_put_into_plain_words() {
    let words = |text: &str| describe(&Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap());
    for (json, expected) in [
        (r#"{"constraint_type":"exact","value":"a\u202eb"}"#, r#"exactly "a\u{202e}b""#),
        (r#"{"constraint_type":"range"}"#, "any number"),
        (
            r#"{"constraint_type":"range","max":2,"max_inclusive":false}"#,
            "a number up to 2 (excluded)",
        ),
        (r#"{"constraint_type":"range","min":1,"max":2}"#, "a number from 1 to 2"),
        (r#"{"constraint_type":"not_one_of","excluded":[]}"#, "anything but nothing"),
        (
            r#"{"constraint_type":"subset","allowed":["a","b"]}"#,
            r#"a list of nothing but "a", "b""#,
        ),
        (
            r#"{"constraint_type":"any","constraints":[{"constraint_type":"exact","value":1},{"constraint_type":"wildcard"}]}"#,
            "exactly 1, or anything",
        ),
        (r#"{"constraint_type":"length","max":5}"#, "a text or list of length 5 or less"),
        (r#"{"constraint_type":"length","min":1,"max":5}"#, "a text or list of length 1 to 5"),
        (r#"{"constraint_type":"path_under","root":"/a"}"#, r#"a path at or below "/a""#),
        (r#"{"constraint_type":"pattern","glob":"a*"}"#, r#"a text like "a*""#),
        (
            r#"{"constraint_type":"cidr","network":"10.0.0.0/8"}"#,
            r#"an address or network in "10.0.0.0/8""#,
        ),
        (
            r#"{"constraint_type":"datetime_range","max":"2026-01-31T08:00:00Z"}"#,
            r#"a time up to "2026-01-31T08:00:00Z""#,
        ),
        (
            r#"{"constraint_type":"url_within","scheme":"https","host_suffix":"example.org","path_prefix":"/a"}"#,
            "a URL with scheme https on example.org or a host below it, at or below /a, without a query",
        ),
        (r#"{"constraint_type":"new_type","a":1,"b":["x"]}"#, r#"new type (a 1, b "x")"#),
    ] {
        assert_eq!(words(json), expected);
    }
}

/// Rules over two arguments with few values, some optional, some open.
fn small_rules() -> impl Strategy<Value = ArgumentRules> {
    let value = || {
        prop_oneof![
            (0..3_u64).prop_map(|v| format!(r#"{{"constraint_type":"exact","value":{v}}}"#)),
            (0..3_u64, 0..3_u64)
                .prop_map(|(a, b)| format!(r#"{{"constraint_type":"one_of","values":[{a},{b}]}}"#)),
            (0..3_u64).prop_map(|v| format!(r#"{{"constraint_type":"range","min":{v}}}"#)),
            (0..3_u64)
                .prop_map(|v| format!(r#"{{"constraint_type":"not_one_of","excluded":[{v}]}}"#)),
            Just(r#"{"constraint_type":"wildcard"}"#.to_owned()),
        ]
    };
    let entry = || {
        (value(), any::<bool>())
            .prop_map(|(v, optional)| v.replacen('{', &format!(r#"{{"optional":{optional},"#), 1))
    };
    (entry(), proptest::option::of(entry()), any::<bool>()).prop_map(|(p, q, open)| {
        let mut text = format!(r#"{{"t":{{"p":{p}"#);
        if let Some(q) = q {
            text.push_str(&format!(r#","q":{q}"#));
        }
        if open {
            text.push_str(r#","*":{"constraint_type":"wildcard"}"#);
        }
        text.push_str("}}");
        let scope = Scope::parse(&object(&text), Dialect::Extended, 8).unwrap();
        scope.rules("t").unwrap().clone()
    })
}

/// Every argument object over `p`, `q` and a third with few values.
fn calls() -> Vec<Object> {
    let choices = [None, Some(0_u64), Some(1), Some(2), Some(3)];
    let mut all = Vec::new();
    for p in choices {
        for q in choices {
            for r in [None, Some(0_u64)] {
                let mut call = Object::new();
                for (name, value) in [("p", p), ("q", q), ("r", r)] {
                    if let Some(value) = value {
                        call.insert(name, value);
                    }
                }
                all.push(call);
            }
        }
    }
    all
}

proptest! {
    // `PROPTEST_CASES` lengthens it, 256 by default.
    #![proptest_config(ProptestConfig::default())]

    /// The oracle: ask each rule by itself.
    #[test]
    fn joined_rules_permit_exactly_what_one_of_them_permits(
        all in proptest::collection::vec(small_rules(), 1..4)
    ) {
        let workflow = bundled();
        let rating = workflow.catalogue.tools().next().unwrap().1.clone();
        let tool = ToolId::parse("mcp:d:tools/t").unwrap();
        let parts: Vec<Part> = all
            .iter()
            .enumerate()
            .map(|(i, rules)| Part {
                shorthand: format!("s{i}"),
                template: format!("s{i}"),
                tools: vec![ToolRules { tool: tool.clone(), rating: rating.clone(), rules: rules.clone() }],
            })
            .collect();
        let Ok(joined) = merge::scope(&parts) else { return Ok(()) };
        let alone: Vec<Scope> = all
            .iter()
            .map(|r| Scope::from_entries([(tool.to_string(), r.clone())]).unwrap())
            .collect();
        for call in calls() {
            let by_one = alone.iter().any(|s| s.permits(tool.as_str(), &call).is_ok());
            prop_assert_eq!(joined.permits(tool.as_str(), &call).is_ok(), by_one, "{:?}", call);
        }
    }
}
