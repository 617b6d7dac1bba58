//! Evidence bundles and trust files: each has one text, and nobody without the makers' keys
//! writes a bundle that holds.
//!
//! Input: a trust file, then a bundle without its digest, which the target puts in.
#![no_main]

use bailiwick_core::crypto::sha256;
use bailiwick_core::json::Json;
use bailiwick_evidence::{Bundle, Trust, verify};
use bailiwick_fuzz::{JSON, fields, joined, public_key, seed};
use bailiwick_tlog::SeedSigner;
use libfuzzer_sys::fuzz_target;

fn seeds() -> Vec<Vec<u8>> {
    let log = SeedSigner::new("localhost/log", &[4; 32])
        .expect("a signer")
        .key()
        .to_string();
    let jwk = |index| Json::from(public_key(index).to_jwk()).canonical();
    let valid = r#""not_before":"2024-01-01T00:00:00.000Z""#;
    let trust = format!(
        r#"{{"v":1,"kind":"bailiwick-trust","org":"default","issuers":[{{"uri":"http://localhost","jwk":{},{valid}}}],"log":{{"origin":"localhost/log","vkey":"{log}"}},"makers":[{{"id":"gateway:1","jwk":{},"role":"gateway",{valid}}}],"witnesses":[],"quorum":0,"audiences":["http://localhost/mcp"]}}"#,
        jwk(0),
        jwk(1)
    );
    let bundle = r#"{"v":1,"kind":"bailiwick-evidence","action":"019471f8-0000-7000-8000-000000000001","receipts":[{"name":"action.decided","entry":"e30","proof":"c2sp.org/tlog-proof@v1\nindex 0\n\nlocalhost/log\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"}],"disclosures":{}}"#;
    vec![joined(&[trust.as_str(), bundle])]
}

fuzz_target!(
    init: seed(seeds()),
    |data: &[u8]| {
        let Some(fields) = fields(data) else { return };
        let [trust, bundle] = fields.as_slice() else { return };
        let _ = Bundle::parse(bundle.as_bytes());
        let Ok(Json::Object(mut bundle)) = Json::parse(bundle.as_bytes(), &JSON) else { return };
        bundle.remove("digest");
        let digest = sha256(Json::Object(bundle.clone()).canonical().as_bytes());
        let text = format!("{}\n", Json::Object(bundle.with("digest", digest)).canonical());
        if let Ok(bundle) = Bundle::parse(text.as_bytes()) {
            assert_eq!(bundle.to_text(), text, "a bundle has one text");
        }
        let Ok(trust) = Trust::parse(trust.as_bytes()) else { return };
        let again = Trust::parse(trust.to_json().canonical().as_bytes()).expect("reads back");
        assert_eq!(again.fingerprint(), trust.fingerprint());
        assert!(!verify(text.as_bytes(), &trust, &[]).holds(), "forged evidence holds");
    }
);
