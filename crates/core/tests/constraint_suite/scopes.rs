//! Scopes: the key rules of invariant I4, calls, and the laws over both.

use proptest::prelude::*;

use super::laws::extended;
use super::{constraint, json};
use bailiwick_core::constraint::{Constraint, Dialect};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::scope::{ArgumentRules, Scope, ScopeDenial, ScopeError, Widening};

fn object(text: &str) -> Object {
    json(text).as_object().unwrap().clone()
}

fn try_scope(text: &str) -> Result<Scope, ScopeError> {
    Scope::parse(&object(text), Dialect::Extended, 32)
}

fn scope(text: &str) -> Scope {
    try_scope(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// A scope of one tool `t`; `W` is a wildcard, `O` an optional one, `1` exact.
fn map(text: &str) -> Scope {
    let text = text
        .replace("W", r#"{"constraint_type":"wildcard"}"#)
        .replace("O", r#"{"constraint_type":"wildcard","optional":true}"#)
        .replace(":1", r#":{"constraint_type":"exact","value":1}"#);
    scope(&format!(r#"{{"t":{text}}}"#))
}

#[test]
fn the_key_rules_are_those_of_the_draft() {
    let cases: &[(&str, &str, Option<&str>)] = &[
        // rule 1
        (r#"{"a":W}"#, r#"{"a":1}"#, None),
        (r#"{"a":W}"#, r#"{"a":1,"b":1}"#, Some("4p2")),
        (r#"{"*":W}"#, r#"{"a":1}"#, None),
        (r#"{}"#, r#"{"a":1}"#, None),
        // rule 2
        (r#"{"a":O,"b":W}"#, r#"{"b":W}"#, None),
        (r#"{"a":W,"b":W}"#, r#"{"b":W}"#, Some("4p2")),
        (r#"{"a":O,"*":W}"#, r#"{"b":W}"#, None),
        (r#"{"a":O,"*":W}"#, r#"{"*":W}"#, Some("4p2")),
        (r#"{"a":1,"*":W}"#, r#"{"*":W}"#, Some("4p2")),
        (r#"{"a":O,"*":W}"#, r#"{"a":O,"*":W}"#, None),
        (r#"{"a":O}"#, r#"{}"#, Some("4p2")),
        // rule 3
        (r#"{"a":W}"#, r#"{"a":W,"*":W}"#, Some("4p2")),
        (r#"{"a":W}"#, r#"{}"#, Some("4p2")),
        (r#"{}"#, r#"{}"#, None),
        (r#"{}"#, r#"{"*":W}"#, None),
        (r#"{"*":W}"#, r#"{}"#, None),
        // rule 4
        (r#"{"a":W}"#, r#"{"a":O}"#, Some("4p3")),
        (r#"{"a":O}"#, r#"{"a":W}"#, None),
        (r#"{"*":W}"#, r#"{"a":O}"#, None),
        // rule 5
        (r#"{"a":1}"#, r#"{"a":W}"#, Some("4p4")),
        (r#"{"a":1,"*":W}"#, r#"{"a":1,"b":W}"#, None),
        // several: the lowest step is named
        (r#"{"a":1,"b":W}"#, r#"{"a":W,"b":O}"#, Some("4p3")),
        (r#"{"a":1}"#, r#"{"a":O,"b":W}"#, Some("4p2")),
    ];
    for (parent, child, step) in cases {
        let found = map(parent).covers(&map(child));
        assert_eq!(
            found.as_ref().err().map(Widening::step),
            *step,
            "{child} under {parent}: {found:?}"
        );
    }
}

#[test]
fn tools_shrink_and_the_widening_names_tool_and_argument() {
    let parent = scope(r#"{"a":{"x":{"constraint_type":"exact","value":1}},"b":{}}"#);
    assert_eq!(parent.covers(&scope(r#"{"b":{}}"#)), Ok(()));
    assert_eq!(parent.covers(&Scope::empty()), Ok(()));
    assert_eq!(Scope::empty().covers(&Scope::empty()), Ok(()));
    assert_eq!(parent.covers(&scope(r#"{"c":{}}"#)), Err(Widening::ToolAdded { tool: "c".into() }));
    let wider = scope(r#"{"a":{"x":{"constraint_type":"exact","value":2}}}"#);
    let found = parent.covers(&wider).unwrap_err();
    assert_eq!((found.tool(), found.argument(), found.step()), ("a", Some("x"), "4p4"));
    // A tool that was added comes before anything about arguments.
    let both = scope(r#"{"a":{"x":{"constraint_type":"wildcard"}},"z":{}}"#);
    assert_eq!(parent.covers(&both).unwrap_err().step(), "4p1");
    let parent_b = scope(r#"{"b":{"x":{"constraint_type":"exact","value":1}}}"#);
    let both = scope(r#"{"a":{},"b":{"x":{"constraint_type":"wildcard"}}}"#);
    assert_eq!(parent_b.covers(&both).unwrap_err().step(), "4p1");
    // Identifiers are compared byte for byte.
    for other in ["A", "a ", "%61", "a\u{301}"] {
        let child = Scope::from_entries([(other.to_owned(), ArgumentRules::any())]).unwrap();
        assert_eq!(parent.covers(&child).unwrap_err().step(), "4p1", "{other}");
    }
}

#[test]
fn a_call_is_permitted_only_inside_the_scope() {
    let s = scope(
        r#"{"t":{"id":{"constraint_type":"exact","value":8821},"note":{"constraint_type":"length","max":3,"optional":true}}}"#,
    );
    let call = |args: &str| s.permits("t", &object(args));
    assert_eq!(call(r#"{"id":8821}"#), Ok(()));
    assert_eq!(call(r#"{"note":"abc","id":8821.0}"#), Ok(()));
    let denied = |args: &str| {
        let denial = call(args).unwrap_err();
        let text = denial.to_string();
        assert!(!text.contains("9000") && !text.contains("secret"), "{text}");
        (denial.code(), denial.argument().map(str::to_owned))
    };
    let named = |code, argument: &str| (code, Some(argument.to_owned()));
    assert_eq!(denied(r#"{"id":9000}"#), named("argument-not-permitted", "id"));
    assert_eq!(denied(r#"{"id":"8821"}"#), named("argument-not-permitted", "id"));
    assert_eq!(denied(r#"{"id":8821,"note":null}"#), named("argument-not-permitted", "note"));
    assert_eq!(denied(r#"{"id":8821,"note":"secret"}"#), named("argument-not-permitted", "note"));
    assert_eq!(denied(r#"{"id":8821,"bcc":"secret"}"#), named("argument-not-in-scope", "bcc"));
    assert_eq!(denied(r#"{"id":8821,"*":1}"#), named("argument-not-in-scope", "*"));
    assert_eq!(denied(r#"{"note":"abc"}"#), named("argument-missing", "id"));
    assert_eq!(denied("{}"), named("argument-missing", "id"));
    assert_eq!(
        denied(r#"{"id":8821,"note":[[1.00000000000000001]]}"#),
        named("argument-number-inadmissible", "note")
    );
    assert_eq!(
        s.permits("T", &object(r#"{"id":8821}"#)),
        Err(ScopeDenial::ToolNotInScope { tool: "T".into() })
    );
    assert!(Scope::empty().permits("t", &Object::new()).is_err());
}

#[test]
fn an_open_map_frees_only_what_it_does_not_name() {
    let s = map(r#"{"a":1,"*":W}"#);
    assert_eq!(s.permits("t", &object(r#"{"a":1,"z":[],"*":5}"#)), Ok(()));
    assert!(s.permits("t", &object(r#"{"a":2,"z":[]}"#)).is_err());
    assert!(s.permits("t", &object(r#"{"z":[]}"#)).is_err());
    assert!(s.permits("t", &object(r#"{"a":1,"z":9007199254740993}"#)).is_err());
    assert_eq!(map("{}").permits("t", &object(r#"{"anything":{}}"#)), Ok(()));
    assert_eq!(map("{}"), map(r#"{"*":W}"#));
}

#[test]
fn malformed_maps_are_refused_shape_first() {
    let cases: &[(&str, &str, bool)] = &[
        (r#"{"t":[]}"#, "scope-arguments-not-an-object", true),
        (r#"{"t":null}"#, "scope-arguments-not-an-object", true),
        (r#"{"a":{"x":{}},"t":1}"#, "scope-arguments-not-an-object", true),
        (r#"{"t":{"x":{}}}"#, "constraint-type-missing", false),
        (r#"{"t":{"x":1}}"#, "constraint-not-an-object", false),
        (r#"{"t":{"x":{"constraint_type":"nope"}}}"#, "constraint-type-unknown", false),
        (
            r#"{"t":{"x":{"constraint_type":"wildcard","optional":1}}}"#,
            "constraint-optional-not-boolean",
            false,
        ),
        (r#"{"t":{"*":{"constraint_type":"exact","value":1}}}"#, "scope-star-not-wildcard", false),
        (
            r#"{"t":{"*":{"constraint_type":"wildcard","optional":false}}}"#,
            "scope-star-not-wildcard",
            false,
        ),
        (
            r#"{"t":{"*":{"constraint_type":"wildcard","optional":true}}}"#,
            "scope-star-not-wildcard",
            false,
        ),
        (r#"{"t":{"*":{"constraint_type":"wildcard","x":1}}}"#, "scope-star-not-wildcard", false),
        (r#"{"t":{"*":true}}"#, "scope-star-not-wildcard", false),
    ];
    for (text, code, structural) in cases {
        let error = try_scope(text).unwrap_err();
        assert_eq!((error.code(), error.is_structural()), (*code, *structural), "{text}: {error}");
        assert!(!error.remedy().is_empty());
    }
    assert!(scope("{}").is_empty());
    // `optional` is an argument's, `*` another's: both may be names inside.
    assert_eq!(scope(r#"{"t":{"optional":{"constraint_type":"wildcard"}}}"#).tools().len(), 1);
}

#[test]
fn the_order_of_the_input_does_not_show() {
    let a = scope(
        r#"{"b":{"y":{"constraint_type":"one_of","values":[2,1]},"x":{"constraint_type":"wildcard"}},"a":{}}"#,
    );
    let b = scope(
        r#"{"a":{},"b":{"x":{"constraint_type":"wildcard"},"y":{"constraint_type":"one_of","values":[1,2,2]}}}"#,
    );
    assert_eq!(a, b);
    assert_eq!(format!("{:?}", a.to_json()), format!("{:?}", b.to_json()));
    assert_eq!(a.tools().map(|(t, _)| t).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(a.rules("b").unwrap().named().map(|n| n.name()).collect::<Vec<_>>(), ["x", "y"]);
}

#[test]
fn what_code_builds_keeps_the_rules() {
    let one = || Constraint::exact("x").unwrap();
    let rules = ArgumentRules::new([("q".to_owned(), one(), false)], false).unwrap();
    let built = Scope::from_entries([("t".to_owned(), rules)]).unwrap();
    assert_eq!(built, scope(r#"{"t":{"q":{"constraint_type":"exact","value":"x"}}}"#));
    let code = |r: Result<ArgumentRules, ScopeError>| r.unwrap_err().code();
    assert_eq!(code(ArgumentRules::new([], false)), "scope-nothing-named");
    assert_eq!(
        code(ArgumentRules::new([("*".to_owned(), one(), false)], true)),
        "scope-argument-called-star"
    );
    let twice = [("q".to_owned(), one(), false), ("q".to_owned(), one(), true)];
    assert_eq!(code(ArgumentRules::new(twice, false)), "scope-argument-twice");
    let twice = [("t".to_owned(), ArgumentRules::any()), ("t".to_owned(), ArgumentRules::any())];
    assert_eq!(Scope::from_entries(twice).unwrap_err().code(), "scope-tool-twice");
}

#[test]
fn a_tool_without_arguments_stays_without_through_the_wire() {
    let s = Scope::from_entries([("t".to_owned(), ArgumentRules::none())]).unwrap();
    let s = scope(&s.to_json().canonical());
    assert_eq!(s.permits("t", &Object::new()), Ok(()));
    for v in super::oracle::universe() {
        for name in ["x", "bailiwick:no-arguments"] {
            assert!(s.permits("t", &Object::new().with(name, v.clone())).is_err());
        }
    }
    assert_eq!(map("{}").covers(&s), Ok(()));
    assert!(s.covers(&map("{}")).is_err());
}

#[test]
fn a_meet_keeps_the_narrower_side_and_drops_what_cannot_be_named() {
    let cases: &[(&str, &str, Option<&str>)] = &[
        (r#"{"a":W}"#, r#"{"a":1}"#, Some(r#"{"a":1}"#)),
        (r#"{"a":1}"#, r#"{"a":W}"#, Some(r#"{"a":1}"#)),
        (r#"{}"#, r#"{"a":1}"#, Some(r#"{"a":1}"#)),
        (r#"{"a":1,"*":W}"#, r#"{"a":W,"b":1}"#, Some(r#"{"a":1,"b":1}"#)),
        (r#"{"a":O,"b":W}"#, r#"{"b":1}"#, Some(r#"{"b":1}"#)),
        (r#"{"a":W,"b":W}"#, r#"{"b":1}"#, None),
        (r#"{"a":O}"#, r#"{"b":O}"#, None),
        (r#"{"a":O}"#, r#"{"a":W}"#, Some(r#"{"a":W}"#)),
        (r#"{"a":1}"#, r#"{"a":{"constraint_type":"exact","value":2}}"#, None),
        (r#"{}"#, r#"{}"#, Some(r#"{}"#)),
    ];
    for (a, b, expected) in cases {
        let expected = expected.map_or_else(Scope::empty, map);
        assert_eq!(map(a).meet(&map(b)), expected, "{a} and {b}");
        assert_eq!(map(b).meet(&map(a)), expected, "{b} and {a}");
    }
    let two = scope(r#"{"a":{},"b":{}}"#);
    assert_eq!(two.meet(&scope(r#"{"b":{},"c":{}}"#)), scope(r#"{"b":{}}"#));
}

fn rules() -> impl Strategy<Value = String> {
    let name = prop::sample::select(&["a", "b", "c"][..]);
    let entries = prop::collection::btree_map(name, (extended(), any::<bool>()), 0..3);
    (entries, any::<bool>()).prop_map(|(entries, open)| {
        let mut parts: Vec<String> = entries
            .into_iter()
            .map(|(n, (c, optional))| {
                let flag = if optional { ",\"optional\":true" } else { "" };
                format!("\"{n}\":{}{flag}}}", &c[..c.len() - 1])
            })
            .collect();
        if open {
            parts.push(r#""*":{"constraint_type":"wildcard"}"#.to_owned());
        }
        format!("{{{}}}", parts.join(","))
    })
}

fn scopes() -> impl Strategy<Value = Scope> {
    let tool = prop::sample::select(&["s", "t"][..]);
    prop::collection::btree_map(tool, rules(), 0..3).prop_map(|tools| {
        let parts: Vec<String> = tools.iter().map(|(t, r)| format!("\"{t}\":{r}")).collect();
        scope(&format!("{{{}}}", parts.join(",")))
    })
}

/// A child made by narrowing steps, some of which are not narrowing at all.
fn related() -> impl Strategy<Value = (Scope, Scope)> {
    (scopes(), rules(), 0..5_u8).prop_map(|(parent, other, how)| {
        let other = scope(&format!(r#"{{"t":{other}}}"#));
        let child = match how {
            0 => parent.clone(),
            1 => parent.meet(&other),
            2 => other,
            _ => {
                let entries = parent.tools().filter_map(|(tool, rules)| {
                    let kept = rules.named().filter(|n| how == 3 || !n.is_optional());
                    let named = kept.map(|n| (n.name().to_owned(), n.constraint().clone(), false));
                    let rules = ArgumentRules::new(named, how == 3 && rules.is_open()).ok()?;
                    Some((tool.to_owned(), rules))
                });
                Scope::from_entries(entries).unwrap()
            }
        };
        (parent, child)
    })
}

fn calls() -> Vec<Object> {
    let values = super::oracle::universe();
    let mut calls = vec![Object::new()];
    for (i, v) in values.iter().enumerate() {
        calls.push(Object::new().with("a", v.clone()));
        calls.push(Object::new().with("d", v.clone()));
        let w = values[(i * 7 + 3) % values.len()].clone();
        calls.push(Object::new().with("a", v.clone()).with("b", w.clone()));
        calls.push(Object::new().with("c", w).with("b", v.clone()).with("a", Json::from(1_u64)));
    }
    calls
}

proptest! {
    #[test]
    fn a_child_scope_permits_no_call_that_its_parent_refuses((parent, child) in related()) {
        if parent.covers(&child).is_ok() {
            for (tool, _) in child.tools() {
                for call in calls() {
                    if child.permits(tool, &call).is_ok() {
                        prop_assert_eq!(parent.permits(tool, &call), Ok(()), "{:?} {} {}", call, parent.to_json(), child.to_json());
                    }
                }
            }
        }
    }

    #[test]
    fn covers_of_scopes_is_reflexive_and_the_wire_form_reads_back(s in scopes()) {
        prop_assert_eq!(s.covers(&s), Ok(()));
        let again = scope(&s.to_json().canonical());
        prop_assert_eq!(&s, &again);
    }

    #[test]
    fn covers_of_scopes_is_transitive((a, b) in related(), other in scopes()) {
        let c = b.meet(&other);
        prop_assert_eq!(b.covers(&c), Ok(()));
        if a.covers(&b).is_ok() {
            prop_assert_eq!(a.covers(&c), Ok(()), "{} {} {}", a.to_json(), b.to_json(), c.to_json());
        }
    }

    #[test]
    fn both_sides_cover_their_meet(a in scopes(), b in scopes()) {
        let met = a.meet(&b);
        prop_assert_eq!(a.covers(&met), Ok(()));
        prop_assert_eq!(b.covers(&met), Ok(()));
        prop_assert_eq!(a.meet(&a), a.clone());
    }
}

#[test]
fn a_long_list_of_arguments_is_checked_once() {
    let named: Vec<(String, Constraint, bool)> = (0..500)
        .map(|i| (format!("k{i}"), constraint(r#"{"constraint_type":"range"}"#), i % 2 == 0))
        .collect();
    let s =
        Scope::from_entries([("t".to_owned(), ArgumentRules::new(named, false).unwrap())]).unwrap();
    let args: Object = (0..500).map(|i| (format!("k{i}"), Json::from(1_u64))).collect();
    assert_eq!(s.permits("t", &args), Ok(()));
    let mut fewer = args.clone();
    fewer.remove("k0");
    assert_eq!(s.permits("t", &fewer), Ok(()));
    fewer.remove("k7");
    assert_eq!(s.permits("t", &fewer).unwrap_err().argument(), Some("k7"));
}
