//! JOSE beside chains. The target signs what the fuzzer writes with the first key: an accepted
//! token says what it must, and nobody else's key verifies it.
//!
//! Input: header, claims; or one field: the token as it is.
#![no_main]

use bailiwick_core::crypto::{Signer, base64url};
use bailiwick_core::jose::{
    HeaderRules, JwkSet, Jws, JwsSigner, ThirdPartyKey, VerifyingKey, sign,
};
use bailiwick_core::json::{Json, Object};
use bailiwick_fuzz::{JSON, KEYS, fields, joined, payload, seed};
use libfuzzer_sys::fuzz_target;

const TYPE: &str = "fuzz+jwt";
const MAX: usize = 16 << 10;

fn seeds() -> Vec<Vec<u8>> {
    let header = format!(r#"{{"alg":"EdDSA","typ":"{TYPE}"}}"#);
    let claims = r#"{"iss":"me","aud":["you"],"exp":1704067500}"#;
    let claims_json = Json::parse(claims.as_bytes(), &JSON).expect("claims");
    let made = sign(TYPE, Some("k"), &claims_json, &KEYS[0]).expect("a token");
    let jwk = KEYS[0].verifying_key().to_jwk().with("kid", "k");
    let set = Object::new().with("keys", vec![Json::from(jwk)]);
    vec![
        joined(&[header.as_str(), claims]),
        made.into_bytes(),
        Json::from(set).canonical().into_bytes(),
        br#"{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"EC","crv":"P-256"}]}"#.to_vec(),
    ]
}

fuzz_target!(
    init: seed(seeds()),
    |data: &[u8]| {
        // A set of keys from outside gives only keys that can be written again.
        if let Ok(set) = JwkSet::<ThirdPartyKey>::parse(data) {
            for (_, key) in set.iter() {
                let jwk = Json::from(key.to_jwk()).canonical();
                let again = Json::parse(format!(r#"{{"keys":[{jwk}]}}"#).as_bytes(), &JSON);
                let again = JwkSet::<ThirdPartyKey>::from_json(&again.expect("JSON"));
                assert_eq!(again.expect("a set").iter().next().map(|(_, k)| k), Some(key));
            }
        }
        let Some(fields) = fields(data) else { return };
        let token = match fields.as_slice() {
            [token] => (*token).to_owned(),
            [header, claims] => {
                let (header, claims) = (header.as_bytes(), claims.as_bytes());
                let input = format!("{}.{}", base64url(header), base64url(claims));
                let signature = base64url(&KEYS[0].sign(input.as_bytes()));
                format!("{input}.{signature}")
            }
            _ => return,
        };
        let own: VerifyingKey = KEYS[0].verifying_key();
        for rules in [
            HeaderRules::typed(&[TYPE]),
            HeaderRules::typed(&[TYPE]).or_untyped(),
            HeaderRules::typed(&[TYPE]).with_embedded_key(),
        ] {
            let Ok(jws) = Jws::parse(&token, MAX).and_then(|jws| jws.check_header(&rules)) else {
                continue;
            };
            assert!(jws.typ().is_none_or(|typ| typ == TYPE));
            assert!(jws.verify(&KEYS[1].verifying_key()).is_err());
            if let Ok(claims) = jws.verify(&own) {
                assert!(matches!(jws.algorithm(), "Ed25519" | "EdDSA"));
                let read = payload(&token).and_then(|p| Json::parse(&p, &JSON).ok());
                assert_eq!(read, Some(Json::from(claims)));
            }
        }
    }
);
