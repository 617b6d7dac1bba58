//! The extension types against the oracle, over texts that are nearly right.

use proptest::prelude::*;

use super::oracle::{accepts, stands_under};
use super::read;
use bailiwick_core::constraint::Constraint;
use bailiwick_core::json::{Json, Object};

/// Texts of these pieces, in any order.
fn pieces(of: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(of), 0..most).prop_map(|p| p.concat())
}

fn paths() -> impl Strategy<Value = String> {
    let segment = || {
        prop_oneof![
            6 => prop::sample::select(&["a", "b", "ab", ".a", "a b", "é", "..", "a.", ""][..])
                .prop_map(str::to_owned),
            1 => pieces(
                &[
                    "a", ".", "..", " ", "%2e", "%", "\\", "e\u{301}", "\u{34f}", "\u{3164}",
                    "\u{200b}", "\u{ff0e}", "\u{2215}", "\u{7f}", "\u{0}", "\n", "٣", "日", ";", "~",
                ],
                4,
            ),
        ]
    };
    (
        prop::sample::select(&["/", "/", "/", "", "//", "/a/"][..]),
        prop::collection::vec(segment(), 0..5),
    )
        .prop_map(|(start, segments)| format!("{start}{}", segments.join("/")))
}

/// Mostly one of `good`, now and then one of `odd`.
fn mostly(
    good: &'static [&'static str],
    odd: &'static [&'static str],
) -> impl Strategy<Value = &'static str> {
    prop_oneof![9 => prop::sample::select(good), 1 => prop::sample::select(odd)]
}

fn urls() -> impl Strategy<Value = String> {
    let scheme =
        mostly(&["https", "https", "https", "http", "ws"], &["wss", "HTTPS", "ftp", "file"]);
    let slashes = mostly(&["://"], &[":/", ":", ":///", ":\\\\"]);
    let host = mostly(
        &["a.b", "a.b", "x.a.b", "y.x.a.b", "xn--e1afmkfd.a.b", "[::1]", "127.0.0.1"],
        &[
            "xa.b",
            "A.b",
            "a.b.",
            "a..b",
            ".a.b",
            "-x.a.b",
            "x-.a.b",
            "x_.a.b",
            "[::0]",
            "127.1",
            "x.xn--e1afmkfd.a.b",
            "u@a.b",
            "@a.b",
            ":@a.b",
            "a.b@c.d",
            "c.d\\@a.b",
            "é.b",
            "%61.b",
            "",
        ],
    );
    let port = mostly(&["", "", ":8443"], &[":443", ":80", ":08443", ":", ":0", ":65536"]);
    let segment = || {
        prop_oneof![
            9 => prop::sample::select(&["p", "p", "q", "pq", "a%20b", "caf%C3%A9"][..])
                .prop_map(str::to_owned),
            1 => pieces(
                &[
                    "p", ".", "..", "%20", "%2e", "%2F", "%5C", "%25", "%c3%a9", "%C3%A9", "%C3",
                    "%E2%80%A5", "%CD%8F", "%", ";", "@", ":", "é", " ", "\t", "\\", "|", "{", "'",
                ],
                4,
            ),
        ]
    };
    let end = mostly(
        &["", "", "", "/", "?x", "?a=%2e/&b"],
        &["//", "/..", "/.", "?", "?x#y", "#", "#y", "?\u{e9}", "?x y"],
    );
    (scheme, slashes, host, port, prop::collection::vec(segment(), 0..4), end).prop_map(
        |(scheme, slashes, host, port, segments, end)| {
            let path: String = segments.iter().map(|s| format!("/{s}")).collect();
            format!("{scheme}{slashes}{host}{port}{path}{end}")
        },
    )
}

fn addresses() -> impl Strategy<Value = String> {
    use std::net::{Ipv4Addr, Ipv6Addr};
    let v4 = prop_oneof![any::<u32>(), (0..4_u32).prop_map(|n| 0x0a01_0000 + n), Just(0)];
    let v6 = prop_oneof![
        any::<u128>(),
        (0..4_u128).prop_map(|n| 0x2001_0db8 << 96 | n << 78),
        any::<u32>().prop_map(|n| 0xffff << 32 | u128::from(n)),
        any::<u32>().prop_map(u128::from),
        (0..96_u32).prop_map(|n| 0xffff_u128 << n),
    ];
    let start = prop_oneof![
        4 => v4.prop_map(|n| Ipv4Addr::from(n).to_string()),
        4 => v6.prop_map(|n| Ipv6Addr::from(n).to_string()),
        1 => pieces(&["10", ".", "1", ":", "::", "ffff", "0", "A", "01", "%lo", " "], 8),
    ];
    let truncated = (any::<u128>(), 0..=128_u8).prop_map(|(n, p)| {
        let n = if p == 0 { 0 } else { n >> (128 - p) << (128 - p) };
        format!("{}/{p}", Ipv6Addr::from(n))
    });
    let truncated_v4 = (any::<u32>(), 0..=32_u8).prop_map(|(n, p)| {
        let n = if p == 0 { 0 } else { n >> (32 - p) << (32 - p) };
        format!("{}/{p}", Ipv4Addr::from(n))
    });
    let length = prop::sample::select(
        &[
            "", "", "", "/0", "/8", "/16", "/32", "/33", "/48", "/96", "/128", "/129", "/08",
            "/+8", "/",
        ][..],
    );
    prop_oneof![
        3 => (start, length).prop_map(|(start, length)| format!("{start}{length}")),
        1 => truncated,
        1 => truncated_v4,
    ]
}

fn datetimes() -> impl Strategy<Value = String> {
    let day = prop_oneof![
        4 => mostly(
            &["2025-12-31", "2026-01-01", "2024-02-29", "2000-02-29", "0000-01-01", "9999-12-31"],
            &["2026-02-29", "1900-02-29", "2026-13-01", "2026-00-10", "2026-04-31", "2026-1-01"],
        )
        .prop_map(str::to_owned),
        1 => (0..10_000_u16, 0..14_u8, 0..33_u8).prop_map(|(y, m, d)| format!("{y:04}-{m:02}-{d:02}")),
    ];
    let time = mostly(
        &["T00:00:00", "T23:59:59", "T01:00:00"],
        &["T24:00:00", "T23:59:60", "T12:60:00", "t00:00:00", " 00:00:00", "T00:00"],
    );
    let fraction =
        mostly(&["", "", ".5", ".49", ".000000001"], &[".0000000001", ".", ",5", ".5e1", ".+5"]);
    let zone = mostly(
        &["Z", "Z", "+00:00", "+01:00", "-01:00", "+23:59", "-23:59"],
        &["-00:00", "+24:00", "+00:60", "z", "", "+0100", "+01", "Z ", "+-1:00"],
    );
    (day, time, fraction, zone)
        .prop_map(|(day, time, fraction, zone)| format!("{day}{time}{fraction}{zone}"))
}

fn strings_and_arrays() -> impl Strategy<Value = Json> {
    let words = pieces(&["a", "é", "e\u{301}", "日", "\u{1f600}", ""], 7);
    prop_oneof![
        words.prop_map(Json::from),
        (0..7_usize).prop_map(|n| Json::from(vec![Json::Null; n])),
        Just(Json::from(3_u64)),
        Just(Json::from(Object::new().with("a", 1_u64))),
    ]
}

/// The constraint of this type with these members, if it is well-formed.
fn of(kind: &str, members: &[(&str, Option<Json>)]) -> Option<Json> {
    let mut object = Object::new().with("constraint_type", kind);
    for (name, value) in members {
        if let Some(value) = value {
            object.insert(*name, value.clone());
        }
    }
    let json = Json::from(object);
    read(&json.canonical()).is_ok().then_some(json)
}

/// What the code says of two constraints and a value is what the oracle says.
fn agree(parent: Option<Json>, child: Option<Json>, values: &[Json]) -> Result<(), TestCaseError> {
    for c in [&parent, &child].into_iter().flatten() {
        let own = read(&c.canonical()).unwrap();
        for v in values {
            prop_assert_eq!(own.permits(v), accepts(c, v), "{} on {}", c, v);
            if let Ok(exact) = Constraint::exact(v.clone()) {
                prop_assert_eq!(own.covers(&exact), accepts(c, v), "{} under {}", v, c);
            }
        }
    }
    if let (Some(p), Some(c)) = (parent, child) {
        let covers = read(&p.canonical()).unwrap().covers(&read(&c.canonical()).unwrap());
        prop_assert_eq!(covers, stands_under(&p, &c), "{} under {}", c, p);
        // Soundness, said by the oracle alone.
        for v in values {
            prop_assert!(!covers || !accepts(&c, v) || accepts(&p, v), "{}: {} under {}", v, c, p);
        }
    }
    Ok(())
}

fn maybe<T: Into<Json>>(value: Option<T>) -> Option<Json> {
    value.map(Into::into)
}

proptest! {
    #[test]
    fn path_under_agrees_with_lists_of_segments(a in paths(), b in paths(), vs in prop::collection::vec(paths(), 8)) {
        let under = |root: &str| of("path_under", &[("root", Some(root.into()))]);
        let below = |root: &str, v: &String| Json::from(format!("{root}{v}"));
        let mut values: Vec<Json> = vs.iter().map(|v| Json::from(v.as_str())).collect();
        values.extend(vs.iter().flat_map(|v| [below(&a, v), below(&b, v)]));
        values.extend([Json::from(a.as_str()), Json::from(b.as_str())]);
        agree(under(&a), under(&b), &values)?;
        // A root that is below the other more often than by chance.
        agree(under(&a), under(&format!("{a}{b}")), &values)?;
        agree(under("/"), under(&a), &values)?;
    }

    #[test]
    fn cidr_agrees_with_ranges_of_numbers(a in addresses(), b in addresses(), vs in prop::collection::vec(addresses(), 12)) {
        let within = |network: &str| of("cidr", &[("network", Some(network.into()))]);
        let mut values: Vec<Json> = vs.iter().map(|v| Json::from(v.as_str())).collect();
        values.extend([Json::from(a.as_str()), Json::from(b.as_str())]);
        agree(within(&a), within(&b), &values)?;
        for all in ["0.0.0.0/0", "::/0", "10.0.0.0/8", "2001:db8::/32", "::ffff:0:0/95", "::/80"] {
            agree(within(all), within(&a), &values)?;
        }
    }

    #[test]
    fn length_agrees_with_counting(
        a in prop::option::of(0..6_u64), b in prop::option::of(0..6_u64),
        c in prop::option::of(0..6_u64), d in prop::option::of(0..6_u64),
        values in prop::collection::vec(strings_and_arrays(), 8),
    ) {
        let bounded = |min, max| of("length", &[("min", maybe(min)), ("max", maybe(max))]);
        agree(bounded(a, b), bounded(c, d), &values)?;
    }

    #[test]
    fn datetime_range_agrees_with_counting_days(
        bounds in prop::array::uniform4(prop::option::of(datetimes())),
        vs in prop::collection::vec(datetimes(), 12),
    ) {
        let [a, b, c, d] = bounds;
        let bounded = |min: &Option<String>, max: &Option<String>| {
            of("datetime_range", &[("min", maybe(min.clone())), ("max", maybe(max.clone()))])
        };
        let mut values: Vec<Json> = vs.iter().map(|v| Json::from(v.as_str())).collect();
        values.extend([&a, &b, &c, &d].into_iter().flatten().map(|v| Json::from(v.as_str())));
        agree(bounded(&a, &b), bounded(&c, &d), &values)?;
        agree(bounded(&a, &None), bounded(&c, &None), &values)?;
        agree(bounded(&None, &b), bounded(&c, &d), &values)?;
        // Bounds within one second.
        let second = a.as_ref().and_then(|a| a.get(..19));
        let within = |fraction| second.map(|s| format!("{s}{fraction}Z"));
        let ([start, half], none) = ([within(""), within(".5")], None);
        for (one, other) in [(&start, &half), (&half, &start)] {
            agree(bounded(one, &none), bounded(other, &none), &values)?;
            agree(bounded(&none, one), bounded(&none, other), &values)?;
        }
    }

    #[test]
    fn url_within_agrees_with_lists_of_labels_and_segments(
        rules in prop::array::uniform2((
            prop::sample::select(&["https", "https", "https", "http", "ws"][..]),
            prop::sample::select(&[
                ("host", "a.b"), ("host", "x.a.b"), ("host", "[::1]"), ("host", "127.0.0.1"),
                ("host_suffix", "a.b"), ("host_suffix", "x.a.b"), ("host_suffix", "xn--e1afmkfd.a.b"),
                ("host", "xn--e1afmkfd.a.b"), ("host_suffix", "1.a.b"),
            ][..]),
            prop::option::weighted(0.2, prop::sample::select(&[80_u64, 443, 8443][..])),
            prop::option::of(prop::sample::select(&["/", "/p", "/p/", "/p/p", "/q", "/a%20b"][..])),
            prop::option::of(prop::sample::select(&["none", "any"][..])),
        )),
        vs in prop::collection::vec(urls(), 12),
        tails in prop::collection::vec(
            pieces(
                &["/p", "/p", "/q", "x", "/", "/", "%20", "%C3%A9", "?x", "/..", "//", "%2e", "#", "."], 4,
            ), 8,
        ),
    ) {
        let mut values: Vec<Json> = vs.iter().map(|v| Json::from(v.as_str())).collect();
        let [a, b] = rules.map(|(scheme, (name, host), port, prefix, query)| {
            // Values that begin as the rule does.
            let port_text = port.map_or(String::new(), |p| format!(":{p}"));
            let start = format!("{scheme}://{host}{port_text}{}", prefix.unwrap_or(""));
            values.extend(tails.iter().map(|tail| Json::from(format!("{start}{tail}"))));
            of("url_within", &[
                ("scheme", Some(scheme.into())), (name, Some(host.into())), ("port", maybe(port)),
                ("path_prefix", maybe(prefix)), ("query", maybe(query)),
            ])
        });
        prop_assert!(a.is_some() && b.is_some());
        agree(a, b, &values)?;
    }
}
