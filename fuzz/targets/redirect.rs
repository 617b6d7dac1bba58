//! Redirect URIs: a request meets a registered one only where a browser would go to the same
//! place; nothing but the port of a loopback URI differs.
//!
//! Input: the registered URI and the one asked for.
#![no_main]

use bailiwick_fuzz::oauth::redirect::RedirectUri;
use bailiwick_fuzz::{fields, joined, seed};
use libfuzzer_sys::fuzz_target;
use url::Url;

const PAIRS: [(&str, &str); 8] = [
    ("https://client.example/cb", "https://client.example/cb"),
    ("https://client.example/cb?x=1", "https://client.example/cb?x=1&y=2"),
    ("http://127.0.0.1/cb", "http://127.0.0.1:49152/cb"),
    ("http://[::1]:8080/cb?a=b", "http://[::1]/cb?a=b"),
    ("http://localhost/", "http://localhost:1/../"),
    ("http://127.0.0.1/cb", "http://127.0.0.1:80@evil.example/cb"),
    ("com.example.app:/callback", "com.example.app:/callback"),
    ("http://127.0.0.1", "http://127.0.0.1.evil.example/"),
];

fuzz_target!(
    init: seed(PAIRS.map(|(registered, asked)| joined(&[registered, asked]))),
    |data: &[u8]| {
        let Some(fields) = fields(data) else { return };
        let [registered, asked] = fields.as_slice() else { return };
        let Ok(uri) = RedirectUri::parse(registered) else { return };
        assert_eq!(uri.as_str(), *registered);
        assert!(uri.meets(registered));
        let url = Url::parse(registered).expect("an absolute URI");
        assert!(url.fragment().is_none() && url.username().is_empty() && url.password().is_none());
        let host = url.host_str().unwrap_or_default();
        match url.scheme() {
            "https" => assert!(!host.is_empty()),
            "http" => assert!(["127.0.0.1", "[::1]", "localhost"].contains(&host), "{host}"),
            scheme => assert!(scheme.contains('.'), "{scheme}"),
        }
        if !uri.meets(asked) {
            return;
        }
        // What the browser makes of both, but for the port.
        let mut to = Url::parse(asked).expect("an absolute URI");
        if url.scheme() == "http" {
            assert!(to.port() != Some(0));
            to.set_port(url.port()).expect("a host has a port");
            assert_eq!(to, url);
        } else {
            assert_eq!(asked, registered);
        }
    }
);
