//! Row 11 of the attack list: ways round a path or URL rule by another
//! spelling. Row 10: exfiltration by URL.

use super::{constraint, json};
use bailiwick_core::json::Json;

/// Values that must never pass a rule for `/docs`.
const PATHS: &[&str] = &[
    "",
    "docs",
    "docs/a",
    "./docs/a",
    "/",
    "/doc",
    "/docsx",
    "/docs2/a",
    "/docs/",
    "/docs//a",
    "//docs/a",
    "//host/docs/a",
    "/docs/../etc/passwd",
    "/docs/..",
    "/docs/../docs/a",
    "/docs/./a",
    "/docs/.",
    "/docs/a/../../etc",
    "/docs/...",
    "/docs/....//a",
    "/docs/..;/etc",
    "/docs/..::$INDEX_ALLOCATION/etc",
    "/docs/%2e%2e/etc",
    "/docs/%2E%2E%2Fetc",
    "/docs/..%2fetc",
    "/docs/%252e%252e/etc",
    "/docs/%c0%ae%c0%ae/etc",
    "/docs/a%00.txt",
    "/docs/a\u{0}.txt",
    "/docs/a\n",
    "/docs/\r\n/etc",
    "/docs/a\u{7f}",
    "/docs/\u{85}a",
    "/docs\\..\\etc",
    "/docs/..\\etc",
    "/docs/a\\..\\..\\etc",
    "\\docs\\a",
    "C:\\docs\\a",
    "C:/docs/a",
    "file:///docs/a",
    "~/docs/a",
    " /docs/a",
    "/docs/a ",
    "/docs/ ../etc",
    "/docs/.. /etc",
    "/docs/a.",
    "/docs/a./b",
    "/docs/\u{ff0e}\u{ff0e}/etc",
    "/docs/\u{2024}\u{2024}/etc",
    "/docs/\u{2025}/etc",
    "/docs/\u{fe52}\u{fe52}/etc",
    "/docs/..\u{ff0f}etc",
    "/docs\u{2215}..\u{2215}etc",
    "/docs\u{2044}a",
    "\u{ff0f}docs\u{ff0f}a",
    "/docs/..\u{ff3c}etc",
    "/docs/a\u{200b}",
    "/docs/\u{202e}txt.exe",
    "/docs/\u{2066}a",
    "/docs/\u{feff}a",
    "/docs/\u{ad}a",
    "/docs/\u{3164}",
    "/Docs/a",
    "/DOCS/a",
    "/d\u{43e}cs/a",
    "/docs\u{301}/a",
    "/docs/\u{e000}",
    "/docs/\u{fffd}",
];

#[test]
fn no_other_spelling_of_a_path_passes() {
    let rule = constraint(r#"{"constraint_type":"path_under","root":"/docs"}"#);
    for path in PATHS {
        assert!(!rule.permits(&Json::from(*path)), "{path:?}");
    }
    let long = format!("/docs/{}", "a".repeat(5000));
    assert!(!rule.permits(&Json::from(long)));
    for value in ["null", "1", "[\"/docs/a\"]", "{\"path\":\"/docs/a\"}"] {
        assert!(!rule.permits(&json(value)), "{value}");
    }
    for path in [
        "/docs",
        "/docs/a",
        "/docs/a/b.txt",
        "/docs/.hidden",
        "/docs/a b/c",
        "/docs/résumé.pdf",
        "/docs/re\u{301}sume\u{301}.pdf",
        "/docs/日本語",
        "/docs/a..b",
        "/docs/C:/x",
        "/docs/~/x",
        "/docs/*?",
    ] {
        assert!(rule.permits(&Json::from(path)), "{path:?}");
    }
}

#[test]
fn the_root_of_all_paths_still_asks_for_clean_ones() {
    let rule = constraint(r#"{"constraint_type":"path_under","root":"/"}"#);
    assert!(rule.permits(&json("\"/\"")) && rule.permits(&json("\"/etc/passwd\"")));
    for path in ["", "a", "//", "/a/../b", "/a/"] {
        assert!(!rule.permits(&Json::from(path)), "{path:?}");
    }
}

/// Values that must never pass a rule for `https://allowed.com/docs`.
const URLS: &[&str] = &[
    "",
    "allowed.com/docs",
    "//allowed.com/docs",
    "/docs",
    "https:/allowed.com/docs",
    "https:allowed.com/docs",
    "https:///allowed.com/docs",
    "https:\\\\allowed.com\\docs",
    "http://allowed.com/docs",
    "HTTPS://allowed.com/docs",
    "https://ALLOWED.com/docs",
    "ftp://allowed.com/docs",
    "javascript://allowed.com/docs",
    "https://evil/?d=secret",
    "https://evil.com/docs",
    "https://allowed.com@evil.com/docs",
    "https://allowed.com:pw@evil.com/docs",
    "https://user@allowed.com/docs",
    "https://@allowed.com/docs",
    "https://allowed.com%40evil.com/docs",
    "https://allowed.com\\@evil.com/docs",
    "https://evil.com\\.allowed.com/docs",
    "https://evil.com#@allowed.com/docs",
    "https://evil.com?@allowed.com/docs",
    "https://allowed.com.evil.com/docs",
    "https://evilallowed.com/docs",
    "https://www.allowed.com/docs",
    "https://allowed.com./docs",
    "https://.allowed.com/docs",
    "https://allowed..com/docs",
    "https://allowed.com:443/docs",
    "https://allowed.com:8443/docs",
    "https://allowed.com:/docs",
    "https://allowed.com:0443/docs",
    "https://allowed.com:+443/docs",
    "https://al\u{43b}owed.com/docs",
    "https://\u{430}llowed.com/docs",
    "https://xn--llowed-7of.com/docs",
    "https://allowed\u{3002}com/docs",
    "https://allowed\u{ff0e}com/docs",
    "https://\u{ff41}llowed.com/docs",
    "https://allo\u{ad}wed.com/docs",
    "https://allo\u{200d}wed.com/docs",
    "https://allo%77ed.com/docs",
    "https://allowed.com",
    "https://allowed.com/",
    "https://allowed.com/docsx",
    "https://allowed.com/Docs",
    "https://allowed.com/docs/../admin",
    "https://allowed.com/docs/./x",
    "https://allowed.com/docs/..",
    "https://allowed.com/docs/%2e%2e/admin",
    "https://allowed.com/docs/%2E%2E/admin",
    "https://allowed.com/docs/.%2e/admin",
    "https://allowed.com/docs/..%2fadmin",
    "https://allowed.com/docs/%2f..%2fadmin",
    "https://allowed.com/docs%2fx",
    "https://allowed.com/docs%5c..%5cadmin",
    "https://allowed.com/docs\\..\\admin",
    "https://allowed.com/docs/%252e%252e/admin",
    "https://allowed.com/docs/%c0%ae%c0%ae/admin",
    "https://allowed.com/docs/%C0%AE%C0%AE/admin",
    "https://allowed.com/docs/..;/admin",
    "https://allowed.com/docs;/x",
    "https://allowed.com/docs/..%3B/admin",
    "https://allowed.com/docs/%EF%BC%8E%EF%BC%8E/admin",
    "https://allowed.com/docs/%E2%80%A5/admin",
    "https://allowed.com/docs/%20../admin",
    "https://allowed.com/docs/..%20/admin",
    "https://allowed.com/docs//admin",
    "https://allowed.com//docs/x",
    "https://allowed.com/docs/a%00",
    "https://allowed.com/docs/a%2Fb",
    "https://allowed.com/docs/a%5Cb",
    "https://allowed.com/docs/a%25b",
    "https://allowed.com/docs/a%3Bb",
    "https://allowed.com/docs/a./b",
    "https://allowed.com/docs/a%20/b",
    "https://allowed.com/docs/%20a",
    "https://allowed.com/docs/a%0d%0aX:1",
    "https://allowed.com/docs/%61",
    "https://allowed.com/docs/%c3%a9",
    "https://allowed.com/docs/%C3",
    "https://allowed.com/docs/%",
    "https://allowed.com/docs/%zz",
    "https://allowed.com/docs/a\u{0}",
    "https://allowed.com/docs/\ta",
    "https://allowed.com/do\ncs",
    " https://allowed.com/docs",
    "https://allowed.com/docs ",
    "https://allowed.com/docs/a b",
    "https://allowed.com/docs/é",
    "https://allowed.com/docs#x",
    "https://allowed.com/docs#",
    "https://allowed.com/docs?",
    "https://allowed.com/docs?d=secret",
    "https://allowed.com/docs/..#/../x",
    "https://allowed.com/docs/{a}",
    "https://allowed.com/docs/a|b",
    "https://[::1]/docs",
    "https://127.0.0.1/docs",
    "view-source:https://allowed.com/docs",
];

#[test]
fn no_other_spelling_of_a_url_passes() {
    let rule = constraint(
        r#"{"constraint_type":"url_within","scheme":"https","host":"allowed.com","path_prefix":"/docs"}"#,
    );
    for url in URLS {
        assert!(!rule.permits(&Json::from(*url)), "{url:?}");
    }
    let long = format!("https://allowed.com/docs/{}", "a".repeat(9000));
    assert!(!rule.permits(&Json::from(long)));
    assert!(!rule.permits(&json("[\"https://allowed.com/docs\"]")));
    for url in [
        "https://allowed.com/docs",
        "https://allowed.com/docs/",
        "https://allowed.com/docs/a/b.html",
        "https://allowed.com/docs/a%20b",
        "https://allowed.com/docs/caf%C3%A9",
        "https://allowed.com/docs/%E6%97%A5",
        "https://allowed.com/docs/a:b@c~d_e-f(1)",
    ] {
        assert!(rule.permits(&Json::from(url)), "{url:?}");
    }
}

#[test]
fn a_query_passes_only_where_it_was_granted() {
    let rule = constraint(
        r#"{"constraint_type":"url_within","scheme":"https","host":"allowed.com","path_prefix":"/q","query":"any"}"#,
    );
    for url in
        ["https://allowed.com/q", "https://allowed.com/q?", "https://allowed.com/q?a=%2e%2e/&b"]
    {
        assert!(rule.permits(&Json::from(url)), "{url:?}");
    }
    for url in [
        "https://allowed.com/q?a#b",
        "https://allowed.com?/q",
        "https://allowed.com/q?a b",
        "https://allowed.com/q?\\",
    ] {
        assert!(!rule.permits(&Json::from(url)), "{url:?}");
    }
}

#[test]
fn a_host_suffix_admits_the_host_and_its_subdomains_on_a_label_boundary() {
    let rule = constraint(
        r#"{"constraint_type":"url_within","scheme":"https","host_suffix":"example.com","port":8443}"#,
    );
    for url in
        ["https://example.com:8443/", "https://example.com:8443", "https://a.b.example.com:8443/x/"]
    {
        assert!(rule.permits(&Json::from(url)), "{url:?}");
    }
    for url in [
        "https://example.com/",
        "https://evilexample.com:8443/",
        "https://example.com.evil.com:8443/",
        "https://xn--e1afmkfd.example.com:8443/",
        "https://-a.example.com:8443/",
        "https://a..example.com:8443/",
        "https://.example.com:8443/",
        "https://user@example.com:8443/",
        "https://example.com:08443/",
        "https://example.com.:8443/",
    ] {
        assert!(!rule.permits(&Json::from(url)), "{url:?}");
    }
}

#[test]
fn addresses_are_hosts_only_in_the_spelling_named() {
    let v4 = constraint(
        r#"{"constraint_type":"url_within","scheme":"http","host":"127.0.0.1","port":80}"#,
    );
    let v6 = constraint(r#"{"constraint_type":"url_within","scheme":"http","host":"[::1]"}"#);
    assert!(v4.permits(&json("\"http://127.0.0.1/\"")));
    assert!(v6.permits(&json("\"http://[::1]/\"")));
    for url in [
        "http://127.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://127.0.0.1./",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[0:0:0:0:0:0:0:1]/",
        "http://[::1%25lo]/",
        "http://[::0001]/",
        "http://localhost/",
    ] {
        assert!(!v4.permits(&Json::from(url)) && !v6.permits(&Json::from(url)), "{url:?}");
    }
}
