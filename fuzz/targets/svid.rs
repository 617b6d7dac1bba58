//! Certificate requests and chains of certificates: bytes of strangers. A request whose key is
//! taken holds that key; a chain whose peer is known is of a trust domain that is known.
//!
//! Input: DER.
#![no_main]

use std::sync::LazyLock;

use bailiwick_core::crypto::P256SigningKey;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_fuzz::{JSON, seed};
use bailiwick_svid::{
    Anchors, Leaf, MAX_REQUEST_BYTES, SpiffeId, SvidAuthority, Usage, peek, request, requested_key,
    split,
};
use libfuzzer_sys::fuzz_target;

const NOW: i64 = 1_704_067_500;
const DOMAIN: &str = "desk.example";
/// RFC 7515 §A.3.1.
const JWK: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#;

fn key() -> P256SigningKey {
    let json = Json::parse(JWK.as_bytes(), &JSON).expect("the key is JSON");
    let jwk: &Object = json.as_object().expect("an object");
    P256SigningKey::from_jwk(jwk).expect("the RFC's key")
}

static CERTIFICATE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let now = Timestamp::from_seconds(NOW);
    SvidAuthority::certificate_for(&key(), DOMAIN, now, [1; 16]).expect("a certificate")
});

static ANCHORS: LazyLock<Anchors> = LazyLock::new(|| {
    let mut anchors = Anchors::default();
    anchors.set(DOMAIN, &[CERTIFICATE.clone()]).expect("an anchor");
    anchors
});

fn seeds() -> Vec<Vec<u8>> {
    let authority = SvidAuthority::new(key(), CERTIFICATE.clone(), Vec::new()).expect("its own");
    let spiffe_id = SpiffeId::parse("spiffe://desk.example/agent/a/1").expect("an id");
    let now = Timestamp::from_seconds(NOW);
    let leaf = Leaf {
        spiffe_id: &spiffe_id,
        key: &key().public_key(),
        now,
        not_after: now.plus_seconds(600),
        serial: [2; 16],
    };
    let leaf = authority.issue(&leaf).expect("a leaf");
    let both = [leaf.as_slice(), &CERTIFICATE].concat();
    vec![request(&key()).expect("a request"), leaf, CERTIFICATE.clone(), both]
}

fuzz_target!(
    init: seed(seeds()),
    |data: &[u8]| {
        if let Ok(key) = requested_key(data) {
            assert!(data.len() <= MAX_REQUEST_BYTES);
            assert!(data.windows(65).any(|window| window == key.point()));
        }
        if let Ok(parts) = split(data, 4) {
            assert!(parts.len() <= 4 && parts.concat() == data);
        }
        let now = Timestamp::from_seconds(NOW);
        for usage in [Usage::Client, Usage::Server] {
            if let Ok(peer) = ANCHORS.verify(data, &[], usage, now) {
                assert_eq!(peer.spiffe_id.trust_domain(), DOMAIN);
                assert!(now < peer.not_after);
                assert_eq!(peek(data), Some(peer));
            }
        }
    }
);
