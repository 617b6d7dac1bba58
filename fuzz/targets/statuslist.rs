//! Token Status Lists of others: a few bytes never become many, and a list counts only as its
//! issuer signed it, for its own URI and while it is fresh.
//!
//! Input: a digit for the bits of a status and what follows as the compressed list; or claims that
//! the target signs as a list.
#![no_main]

use bailiwick_core::crypto::{Signer, base64url};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_fuzz::oauth::status_list::{MAX_BYTES, Status, StatusList, TYPE};
use bailiwick_fuzz::{JSON, KEYS, payload, public_key, seed};
use libfuzzer_sys::fuzz_target;

const URI: &str = "https://auth.example.com/statuslists/1";
const NOW: i64 = 1_704_067_500;

/// The claims as the list that their issuer signed.
fn signed(claims: &[u8]) -> String {
    let header = format!(r#"{{"alg":"Ed25519","typ":"{TYPE}"}}"#);
    let input = format!("{}.{}", base64url(header.as_bytes()), base64url(claims));
    format!("{input}.{}", base64url(&KEYS[0].sign(input.as_bytes())))
}

fn seeds() -> Vec<Vec<u8>> {
    let now = Timestamp::from_seconds(NOW);
    let mut list = StatusList::valid(4096);
    list.invalidate(17).expect("an index");
    let token = list.sign(URI, now, 3600, 60, &KEYS[0]);
    let compressed = |bytes: usize| {
        let list = StatusList::valid(bytes * 8).to_json();
        let lst = list.as_object().and_then(|l| l.member("lst")?.as_str().map(str::to_owned));
        bailiwick_core::crypto::from_base64url(&lst.unwrap_or_default()).unwrap_or_default()
    };
    let claims = payload(&token).expect("claims");
    // The target reaches what it is about.
    let read = StatusList::verify(&signed(&claims), URI, &public_key(0), now, now);
    assert_eq!(read, Ok(list));
    let mut seeds = vec![claims];
    seeds.extend([1, 300, MAX_BYTES].map(|bytes| [b"1".as_slice(), &compressed(bytes)].concat()));
    seeds.extend([b'2', b'4', b'8', b'3'].map(|bits| [&[bits], compressed(9).as_slice()].concat()));
    seeds
}

fn check(list: &StatusList, bits: u64) {
    let held = list.len();
    assert!(held * bits <= MAX_BYTES as u64 * 8, "a list became larger than allowed");
    for index in [held, held.saturating_add(1), u64::MAX] {
        assert!(list.status(index).is_err(), "an index beyond the list has a status");
    }
    for index in (0..held).step_by(997) {
        let status = list.status(index).expect("an index within the list");
        assert!(bits > 1 || matches!(status, Status::Valid | Status::Invalid));
    }
    let again = StatusList::from_json(&list.to_json()).expect("what was written can be read");
    assert_eq!(&again, list);
}

fuzz_target!(
    init: seed(seeds()),
    |data: &[u8]| {
        let Some((first, rest)) = data.split_first() else { return };
        if let Some(bits) = char::from(*first).to_digit(10) {
            let json = Object::new().with("bits", u64::from(bits)).with("lst", base64url(rest));
            if let Ok(list) = StatusList::from_json(&json.into()) {
                assert!([1, 2, 4, 8].contains(&bits));
                check(&list, u64::from(bits));
            }
            return;
        }
        let token = signed(data);
        let (now, key) = (Timestamp::from_seconds(NOW), public_key(0));
        let Ok(list) = StatusList::verify(&token, URI, &key, now, now) else { return };
        let claims = Json::parse(data, &JSON).expect("claims");
        let claims = claims.as_object().expect("an object");
        let number = |name: &str| claims.member(name)?.as_number()?.as_plain_integer();
        assert_eq!(claims.member("sub").and_then(Json::as_str), Some(URI));
        assert!(number("iat").is_some_and(|iat| iat <= NOW + 60));
        assert!(number("exp").is_none_or(|exp| NOW < exp), "a list is accepted after its end");
        assert!(StatusList::verify(&token, URI, &public_key(1), now, now).is_err());
        assert!(StatusList::verify(&token, "https://x.example/1", &key, now, now).is_err());
        let object = claims.member("status_list").and_then(Json::as_object);
        let bits = object.and_then(|o| o.member("bits")?.as_number()?.as_plain_integer());
        check(&list, u64::try_from(bits.expect("bits")).expect("a number"));
    }
);
