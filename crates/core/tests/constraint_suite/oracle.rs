//! Slow and obvious versions of `permits` and of the draft's table, written
//! over JSON and canonical texts, and a small universe of values. The extension
//! types are in `oracle_extensions.rs`.

use super::{json, oracle_extensions};
use bailiwick_core::json::Json;

fn member<'j>(c: &'j Json, name: &str) -> Option<&'j Json> {
    c.as_object().unwrap().member(name)
}

fn list(c: &Json, name: &str) -> Vec<String> {
    member(c, name).unwrap().as_array().unwrap().iter().map(Json::canonical).collect()
}

fn clauses(c: &Json) -> &[Json] {
    member(c, "constraints").unwrap().as_array().unwrap()
}

fn kind(c: &Json) -> &str {
    member(c, "constraint_type").unwrap().as_str().unwrap()
}

fn bound(c: &Json, name: &str, flag: &str) -> Option<(f64, bool)> {
    let at = member(c, name)?.as_number().unwrap().value();
    Some((at, member(c, flag).is_none_or(|f| f.as_bool().unwrap())))
}

/// `check` of §3.4.
pub(super) fn accepts(c: &Json, v: &Json) -> bool {
    let text = v.canonical();
    match kind(c) {
        "exact" => member(c, "value").unwrap().canonical() == text,
        "range" => v.as_number().is_some_and(|n| {
            let n = n.value();
            let above =
                bound(c, "min", "min_inclusive").is_none_or(|(m, i)| n > m || (i && n == m));
            let below =
                bound(c, "max", "max_inclusive").is_none_or(|(m, i)| n < m || (i && n == m));
            above && below
        }),
        "one_of" => list(c, "values").contains(&text),
        "not_one_of" => !list(c, "excluded").contains(&text),
        "contains" => v.as_array().is_some_and(|a| {
            let held: Vec<String> = a.iter().map(Json::canonical).collect();
            list(c, "required").iter().all(|r| held.contains(r))
        }),
        "subset" => v
            .as_array()
            .is_some_and(|a| a.iter().all(|e| list(c, "allowed").contains(&e.canonical()))),
        "wildcard" => true,
        "all" => clauses(c).iter().all(|k| accepts(k, v)),
        "any" => clauses(c).iter().any(|k| accepts(k, v)),
        other => oracle_extensions::accepts(other, c, v),
    }
}

const EXTENSIONS: [&str; 6] =
    ["cidr", "datetime_range", "length", "path_under", "pattern", "url_within"];

/// The table of §4.5, row by row.
pub(super) fn stands_under(parent: &Json, child: &Json) -> bool {
    let inside = |small: Vec<String>, large: Vec<String>| small.iter().all(|v| large.contains(v));
    match (kind(parent), kind(child)) {
        ("wildcard", _) => true,
        ("exact", "exact") | ("range" | "one_of", "exact") => {
            accepts(parent, member(child, "value").unwrap())
        }
        ("one_of", "one_of") => inside(list(child, "values"), list(parent, "values")),
        ("not_one_of", "not_one_of") => inside(list(parent, "excluded"), list(child, "excluded")),
        ("contains", "contains") => inside(list(parent, "required"), list(child, "required")),
        ("subset", "subset") => inside(list(child, "allowed"), list(parent, "allowed")),
        ("all", "all") => {
            clauses(parent).iter().all(|p| clauses(child).iter().any(|c| stands_under(p, c)))
        }
        ("any", "any") => {
            clauses(child).iter().all(|c| clauses(parent).iter().any(|p| stands_under(p, c)))
        }
        ("range", "range") => {
            let tight =
                |name, flag, sign: f64| match (bound(parent, name, flag), bound(child, name, flag))
                {
                    (None, _) => true,
                    (Some(_), None) => false,
                    (Some((p, pi)), Some((c, ci))) => {
                        sign * c > sign * p || (c == p && (pi || !ci))
                    }
                };
            tight("min", "min_inclusive", 1.0) && tight("max", "max_inclusive", -1.0)
        }
        (own, "exact") if EXTENSIONS.contains(&own) => {
            accepts(parent, member(child, "value").unwrap())
        }
        (own, "one_of") if EXTENSIONS.contains(&own) => {
            member(child, "values").unwrap().as_array().unwrap().iter().all(|v| accepts(parent, v))
        }
        (own, same) if own == same && EXTENSIONS.contains(&own) => {
            oracle_extensions::stands_under(own, parent, child)
        }
        _ => false,
    }
}

/// Values near the edges of every constraint in these tests.
pub(super) fn universe() -> Vec<Json> {
    let mut texts: Vec<String> = [
        "null",
        "true",
        "false",
        "0",
        "-0",
        "1",
        "1.0",
        "1.5",
        "2",
        "3",
        "5",
        "8",
        "9",
        "10",
        "-1",
        "1e300",
        "{}",
        "[]",
        "[1]",
        "[2,1]",
        "[1,2,\"a\"]",
        "[\"a\"]",
        "[\"a\",\"b\"]",
        "[\"a\",\"a\"]",
        "[[1]]",
        "[null]",
        "{\"a\":1}",
        "{\"a\":1,\"b\":[]}",
        "[1,2,3,4,5,6,7,8,9,10]",
    ]
    .map(str::to_owned)
    .into();
    for text in [
        "",
        "1",
        "a",
        "b",
        "x",
        "ab",
        "abc",
        "abbc",
        "a/b",
        "a/c",
        "a/",
        "/",
        "/a",
        "/a/b",
        "/a/b/c",
        "/ab",
        "/b",
        "/a/../b",
        "*",
        "?",
        "\\",
        "ticket-8821",
        "ticket-9000",
        "ticket-88",
        "é",
        "e\u{301}",
        "/a/é",
        "10.0.0.1",
        "10.1.0.1",
        "10.1.0.0/16",
        "10.0.0.0/8",
        "11.0.0.1",
        "0.0.0.0/0",
        "::1",
        "2001:db8::1",
        "2001:db8:1::/48",
        "::ffff:10.1.0.1",
        "::/0",
        "2024-01-01T00:00:00Z",
        "2026-01-01T00:00:00Z",
        "2026-01-01T01:00:00+01:00",
        "2025-12-31T23:59:59Z",
        "2026-01-01T00:00:00.49Z",
        "2026-01-01T00:00:00.5Z",
        "2025-01-01T00:00:00Z",
        "1999-01-01T00:00:00Z",
        "https://a.b/",
        "https://a.b",
        "https://a.b/p",
        "https://a.b/p/",
        "https://a.b/p/q",
        "https://a.b/pq",
        "https://a.b/p?x",
        "https://a.b/?x",
        "http://a.b/",
        "https://a.b:8443/",
        "https://x.a.b/",
        "https://xa.b/",
        "https://y.x.a.b/p",
        "https://xn--e1afmkfd.a.b/",
        "https://x.xn--e1afmkfd.com/",
        "https://xn--e1afmkfd.com/",
        "https://c.a.b/",
        "https://a.example/x",
        "https://a.example/",
    ] {
        texts.push(Json::from(text).canonical());
    }
    texts.iter().map(|t| json(t)).collect()
}
