use crate::support::*;

use bailiwick_authority::inspect::inspect;
use bailiwick_core::json::{Json, Object};

fn shown(text: &str) -> Object {
    match inspect(text.as_bytes()).unwrap() {
        Json::Object(o) => o,
        other => panic!("{other}"),
    }
}

fn kind(text: &str) -> String {
    shown(text).member("kind").unwrap().as_str().unwrap().to_owned()
}

#[test]
fn every_document_says_what_it_is() {
    let world = World::desk();
    let request = world.request(&["ticket:8821"], 15);
    let prepared = world.prepare(&request).unwrap();
    let signed = prepared.statement.sign(&*key(11));
    let issued = world.authority.submit(&prepared, &signed, None).unwrap();
    let child = world.derive(&issued.token, 21, 22);
    let identity = identity();
    let enrolment = world.statement("agent:order-reader", 33, &identity);
    let enrolment = enrolment.sign(&*key(33), &identity).unwrap();
    for (text, expected) in [
        (issued.token.clone(), "root delegation"),
        (format!("{}\n", issued.to_json()), "root delegation"),
        (child.clone(), "derived delegation"),
        (format!("{},{child}", issued.token), "chain"),
        (format!("[\"{}\",\"{child}\"]", issued.token), "chain"),
        (format!("{{\"aat_chain\":[\"{}\"]}}", issued.token), "presentation"),
        (signed, "signed grant"),
        (prepared.to_json().to_string(), "prepared grant"),
        (prepared.statement.to_json().to_string(), "grant statement"),
        (enrolment.to_string(), "enrolment"),
        (world.authority.trust().unwrap().to_json().to_string(), "trust file"),
    ] {
        assert_eq!(kind(&text), expected);
    }
    let summary = shown(&issued.token).member("summary").unwrap().as_object().unwrap().clone();
    assert_eq!(summary.member("principal").unwrap().as_str(), Some("user:142"));
    assert_eq!(summary.member("agent").unwrap().as_str(), Some("agent:support-runner"));
    assert_eq!(summary.member("ends").unwrap().as_str(), Some("2026-01-01T00:15:00.000Z"));
}

#[test]
fn private_keys_are_never_shown() {
    let text = r#"{"kty":"OKP","crv":"Ed25519","x":"iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w","d":"c2VjcmV0","seed":"c2VjcmV0"}"#;
    let found = Json::from(shown(text)).canonical();
    assert!(found.contains("private key") && found.contains("thumbprint"));
    assert!(!found.contains("c2VjcmV0"), "{found}");
}

#[test]
fn what_is_nothing_of_ours_is_refused() {
    for text in ["", "hello", "{}", "[]", "1", "a.b.c", "{\"a\":1,\"a\":2}", "\u{0}"] {
        assert!(inspect(text.as_bytes()).is_err(), "{text}");
    }
    assert_eq!(inspect(&[0xff]).unwrap_err().code(), "json-not-utf8");
}
