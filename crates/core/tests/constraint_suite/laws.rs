//! The laws of `covers` and `permits`, over generated constraints and over all
//! pairs of a fixed pool.

use proptest::prelude::*;

use super::oracle::{accepts, stands_under, universe};
use super::table::all_constraints;
use super::{constraint, json};
use bailiwick_core::constraint::{Constraint, Dialect};
use bailiwick_core::json::Json;

fn quoted(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(texts).prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = String> {
    quoted(&[
        "null",
        "true",
        "0",
        "1",
        "1.0",
        "2",
        "3",
        "\"\"",
        "\"a\"",
        "\"b\"",
        "\"/a\"",
        "\"/a/b\"",
        "[]",
        "[1]",
        "[1,\"a\"]",
        "{\"a\":1}",
        "{\"b\":2,\"a\":1}",
        "\"10.1.0.1\"",
        "\"2026-01-01T00:00:00Z\"",
        "\"https://a.b/p\"",
    ])
}

fn values() -> impl Strategy<Value = String> {
    prop::collection::vec(value(), 0..4).prop_map(|v| format!("[{}]", v.join(",")))
}

fn scalar() -> impl Strategy<Value = String> {
    value().prop_filter("scalar", |v| !v.starts_with(['[', '{']))
}

fn bound(name: &'static str) -> impl Strategy<Value = String> {
    (0..4_i32, prop::option::of(any::<bool>()), any::<bool>()).prop_map(
        move |(at, inclusive, there)| match (there, inclusive) {
            (false, _) => String::new(),
            (true, None) => format!(",\"{name}\":{at}"),
            (true, Some(flag)) => format!(",\"{name}\":{at},\"{name}_inclusive\":{flag}"),
        },
    )
}

fn core_leaf() -> impl Strategy<Value = String> {
    prop_oneof![
        1 => Just(r#"{"constraint_type":"wildcard"}"#.to_owned()),
        2 => scalar().prop_map(|v| format!(r#"{{"constraint_type":"exact","value":{v}}}"#)),
        3 => (bound("min"), bound("max"))
            .prop_map(|(a, b)| format!(r#"{{"constraint_type":"range"{a}{b}}}"#))
            .prop_filter("ordered", |text| Constraint::parse(&json(text), Dialect::Core, 1).is_ok()),
        2 => values().prop_filter("non-empty", |v| v != "[]")
            .prop_map(|v| format!(r#"{{"constraint_type":"one_of","values":{v}}}"#)),
        2 => values().prop_map(|v| format!(r#"{{"constraint_type":"not_one_of","excluded":{v}}}"#)),
        2 => values().prop_map(|v| format!(r#"{{"constraint_type":"contains","required":{v}}}"#)),
        2 => values().prop_map(|v| format!(r#"{{"constraint_type":"subset","allowed":{v}}}"#)),
    ]
}

fn extension_leaf() -> impl Strategy<Value = String> {
    let root = quoted(&["/", "/a", "/a/b", "/ab"]);
    let glob =
        quoted(&["**", "*", "?", "/a*", "/a/*", "/**", "/?", "/a", "?*", "*?", "/a/b", "1**"]);
    let network = quoted(&["10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "::/0", "2001:db8::/32"]);
    let time =
        || quoted(&["2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00"]);
    let host = quoted(&[
        r#""host":"a.b""#,
        r#""host":"x.a.b""#,
        r#""host_suffix":"a.b""#,
        r#""host_suffix":"x.a.b""#,
        r#""host_suffix":"xn--e1afmkfd.a.b""#,
    ]);
    let rest = quoted(&[
        "",
        r#","path_prefix":"/p""#,
        r#","path_prefix":"/p/""#,
        r#","query":"any""#,
        r#","port":8443"#,
    ]);
    prop_oneof![
        root.prop_map(|r| format!(r#"{{"constraint_type":"path_under","root":"{r}"}}"#)),
        glob.prop_map(|g| format!(r#"{{"constraint_type":"pattern","glob":"{g}"}}"#)),
        network.prop_map(|n| format!(r#"{{"constraint_type":"cidr","network":"{n}"}}"#)),
        time().prop_map(|t| format!(r#"{{"constraint_type":"datetime_range","min":"{t}"}}"#)),
        time().prop_map(|t| format!(r#"{{"constraint_type":"datetime_range","max":"{t}"}}"#)),
        (0..3_u8).prop_map(|n| format!(r#"{{"constraint_type":"length","min":{n}}}"#)),
        (0..3_u8, 0..3_u8).prop_map(|(n, m)| format!(
            r#"{{"constraint_type":"length","min":{n},"max":{}}}"#,
            n + m
        )),
        (host, rest).prop_map(|(h, r)| format!(
            r#"{{"constraint_type":"url_within","scheme":"https",{h}{r}}}"#
        )),
    ]
}

fn tree(leaf: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = String> {
    leaf.prop_recursive(2, 8, 3, |inner| {
        (prop::collection::vec(inner, 1..4), prop::sample::select(&["all", "any"][..])).prop_map(
            |(clauses, kind)| {
                format!(r#"{{"constraint_type":"{kind}","constraints":[{}]}}"#, clauses.join(","))
            },
        )
    })
}

pub(super) fn core() -> impl Strategy<Value = String> {
    tree(core_leaf())
}

pub(super) fn extended() -> impl Strategy<Value = String> {
    tree(prop_oneof![core_leaf(), extension_leaf()])
}

fn accepted<'v>(c: &Constraint, values: &'v [Json]) -> Vec<&'v Json> {
    values.iter().filter(|v| c.permits(v)).collect()
}

fn agree_with_the_oracle(a: &str, b: &str) -> Result<(), TestCaseError> {
    let (a_json, b_json) = (json(a), json(b));
    let (a, b) = (constraint(a), constraint(b));
    for v in universe() {
        prop_assert_eq!(a.permits(&v), accepts(&a_json, &v), "{} on {}", a_json, v);
    }
    prop_assert_eq!(a.covers(&b), stands_under(&a_json, &b_json), "{} under {}", b_json, a_json);
    prop_assert_eq!(b.covers(&a), stands_under(&b_json, &a_json), "{} under {}", a_json, b_json);
    Ok(())
}

proptest! {
    #[test]
    fn permits_and_covers_agree_with_the_oracle(a in core(), b in core()) {
        agree_with_the_oracle(&a, &b)?;
    }

    #[test]
    fn extended_types_agree_with_the_oracle_too(a in extended(), b in extended()) {
        agree_with_the_oracle(&a, &b)?;
    }

    #[test]
    fn covers_is_reflexive(a in extended()) {
        let a = constraint(&a);
        prop_assert!(a.covers(&a), "{}", a.to_json());
    }

    #[test]
    fn what_is_written_reads_back_as_the_same_constraint(a in extended()) {
        let a = constraint(&a);
        let again = constraint(&a.to_json().canonical());
        prop_assert_eq!(&a, &again);
        prop_assert!(a.covers(&again) && again.covers(&a));
    }

    #[test]
    fn a_parent_that_covers_permits_whatever_its_child_permits(a in extended(), b in extended()) {
        let (a, b) = (constraint(&a), constraint(&b));
        if a.covers(&b) {
            for v in universe() {
                prop_assert!(!b.permits(&v) || a.permits(&v), "{}: {} under {}", v, b.to_json(), a.to_json());
            }
        }
    }
}

/// Random pairs seldom cover one another; the pool is made of pairs that do.
#[test]
fn every_pair_of_the_pool_agrees_with_the_oracle() {
    let values = universe();
    let pool = all_constraints();
    let read: Vec<Constraint> = pool.iter().map(|c| constraint(&c.canonical())).collect();
    for (parent, own) in pool.iter().zip(&read) {
        for v in &values {
            assert_eq!(own.permits(v), accepts(parent, v), "{parent} on {v}");
        }
        for (child, other) in pool.iter().zip(&read) {
            // Containment of these longer globs needs more texts than the oracle's.
            let globs = [parent, child].map(|c| c.canonical().contains("\"pattern\""));
            if globs != [true, true] {
                assert_eq!(
                    own.covers(other),
                    stands_under(parent, child),
                    "{child} under {parent}"
                );
            }
        }
    }
}

/// All triples of a pool are better than random ones, which seldom cover one
/// another.
#[test]
fn covers_is_reflexive_transitive_and_sound_over_the_whole_pool() {
    let values = universe();
    let pool: Vec<Constraint> =
        all_constraints().iter().map(|c| constraint(&c.canonical())).collect();
    let sets: Vec<Vec<&Json>> = pool.iter().map(|c| accepted(c, &values)).collect();
    let covered: Vec<Vec<usize>> =
        pool.iter().map(|p| (0..pool.len()).filter(|c| p.covers(&pool[*c])).collect()).collect();
    for (a, under_a) in covered.iter().enumerate() {
        assert!(under_a.contains(&a), "reflexive: {}", pool[a].to_json());
        for b in under_a {
            for v in &sets[*b] {
                assert!(
                    pool[a].permits(v),
                    "{v}: {} under {}",
                    pool[*b].to_json(),
                    pool[a].to_json()
                );
            }
            for c in &covered[*b] {
                assert!(
                    under_a.contains(c),
                    "{} under {} under {}",
                    pool[*c].to_json(),
                    pool[*b].to_json(),
                    pool[a].to_json()
                );
            }
        }
    }
    assert!(pool.len() > 100 && covered.iter().map(Vec::len).sum::<usize>() > 400);
}
