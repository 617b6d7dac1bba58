//! Ledger entries, signed by the target whatever the fuzzer writes: an entry that opens is
//! canonical, whole and of bounded size.
//!
//! Input: the entry without its signature; or with it, as it is.
#![no_main]

use bailiwick_core::crypto::{Signer, base64url};
use bailiwick_core::json::Json;
use bailiwick_core::ledger::{Disclosure, Entry, MAX_ENTRY_BYTES};
use bailiwick_fuzz::{JSON, KEYS, public_key, seed};
use libfuzzer_sys::fuzz_target;

const SEEDS: [&str; 2] = [
    r#"{"body":{"risk":"low"},"commits":{"arguments":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},"decision":"allow","id":"entry_019471f8-0000-7000-8000-000000000001","kind":"action.decided","maker":{"id":"gateway:1","prev":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","seq":0},"org":"default","time":"2024-01-01T00:05:00.042Z","v":1}"#,
    r#"{"salt":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","value":{"a":1}}"#,
];

fn opens(bytes: &[u8]) -> bool {
    Entry::open(bytes, &|_, _| Some(public_key(1))).is_ok()
}

fuzz_target!(
    init: seed(SEEDS),
    |data: &[u8]| {
        let _ = opens(data);
        let Ok(json) = Json::parse(data, &JSON) else { return };
        if let Some(disclosure) = Disclosure::from_json(&json) {
            let again = Disclosure::from_json(&disclosure.to_json()).expect("reads back");
            assert_eq!(again.commitment(), disclosure.commitment());
        }
        let Json::Object(mut entry) = json else { return };
        entry.remove("sig");
        let mut input = b"bailiwick-entry-v1\n".to_vec();
        input.extend(Json::Object(entry.clone()).canonical().as_bytes());
        let signature = KEYS[1].sign(&input);
        entry.insert("sig", base64url(&signature));
        let bytes = Json::Object(entry).canonical().into_bytes();
        if opens(&bytes) {
            assert!(bytes.len() <= MAX_ENTRY_BYTES);
            let mut spaced = bytes.clone();
            spaced.insert(1, b' ');
            assert!(!opens(&spaced), "an entry has one form");
        }
    }
);
