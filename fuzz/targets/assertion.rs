//! WebAuthn assertions, kept grants' proofs and identity tokens. The target signs what the fuzzer
//! writes as a passkey would: an accepted assertion says what it must.
//!
//! Input: client data, flags and what follows in hexadecimal; or one field: a kept proof, or verdict.
#![no_main]

use std::sync::LazyLock;

use bailiwick_core::approval::{Question, Registered, Signed, Verdict};
use bailiwick_core::crypto::{Signer, base64url, sha256};
use bailiwick_core::grant::Proof;
use bailiwick_core::ids::ApprovalId;
use bailiwick_core::jose::{JwsSigner, ThirdPartyKey};
use bailiwick_core::json::Json;
use bailiwick_core::time::Timestamp;
use bailiwick_core::webauthn::{Assertion, RelyingParty};
use bailiwick_fuzz::{JSON, KEYS, fields, joined, seed};
use libfuzzer_sys::fuzz_target;

const CHALLENGE: [u8; 32] = [7; 32];
const ORIGIN: &str = "https://console.example";

fn client_data() -> String {
    let challenge = base64url(&CHALLENGE);
    format!(r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"{ORIGIN}"}}"#)
}

fn assertion(client_data: &str, rest: &[u8]) -> Assertion {
    let mut data = sha256(b"console.example").bytes().to_vec();
    data.extend_from_slice(rest);
    let mut signed = data.clone();
    signed.extend_from_slice(sha256(client_data.as_bytes()).bytes());
    Assertion {
        credential_id: b"credential".to_vec(),
        authenticator_data: data,
        client_data_json: client_data.as_bytes().to_vec(),
        signature: KEYS[0].sign(&signed).to_vec(),
    }
}

fn hexadecimal(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    Some(digits?.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// What people are asked.
static QUESTION: LazyLock<Question> = LazyLock::new(|| Question {
    id: ApprovalId::parse("018cc251-f400-7101-8101-010101010101").expect("an id"),
    action: sha256(b"action"),
    policy: sha256(b"policy"),
    rule: "policy:refunds".to_owned(),
    expires: Timestamp::from_seconds(1_704_068_100),
});
static VERDICT: LazyLock<String> =
    LazyLock::new(|| QUESTION.sign(Verdict::Approve, &KEYS[0]).expect("signed"));

/// Of all that is signed as a verdict, one text counts, for one word.
fn counts(kept: &str, signed: &Signed) {
    let keys = [KEYS[0].verifying_key()];
    let registered = Registered { passkeys: &[], keys: &keys, relying_party: None };
    let judged = |verdict| QUESTION.verify(verdict, signed, &registered).is_ok();
    assert_eq!(judged(Verdict::Approve), kept == VERDICT.as_str());
    assert!(!judged(Verdict::Deny));
}

fn seeds() -> Vec<Vec<u8>> {
    let kept = Proof::Passkey(assertion(&client_data(), &[5, 0, 0, 0, 9]));
    vec![
        joined(&[client_data().as_str(), "0500000009"]),
        joined(&[client_data().as_str(), "9d00000009a0"]),
        kept.to_text().expect("a text").into_bytes(),
        VERDICT.clone().into_bytes(),
        br#"{"id_token":{"token":"a.b.c","jwk":{"kty":"OKP"}}}"#.to_vec(),
    ]
}

fuzz_target!(
    init: seed(seeds()),
    |data: &[u8]| {
        let Some(fields) = fields(data) else { return };
        let relying_party =
            RelyingParty { id: "console.example".to_owned(), origins: vec![ORIGIN.to_owned()] };
        let key = ThirdPartyKey::Own(KEYS[0].verifying_key());
        match fields.as_slice() {
            [kept] => {
                if let Ok(signed) = Signed::from_text(kept) {
                    let again = Signed::from_text(&signed.to_text());
                    assert_eq!(again.as_ref(), Ok(&signed));
                    counts(kept, &signed);
                }
                let Ok(proof) = Proof::from_text(Some(kept)) else { return };
                let again = proof.to_text().expect("a text");
                assert_eq!(Proof::from_text(Some(&again)), Ok(proof));
            }
            [client_data, rest] => {
                let Some(rest) = hexadecimal(rest) else { return };
                let made = assertion(client_data, &rest);
                let Ok(asserted) = made.verify(&CHALLENGE, &key, &relying_party) else { return };
                let read = Json::parse(client_data.as_bytes(), &JSON).expect("client data");
                let text = |name: &str| read.as_object()?.member(name)?.as_str();
                assert_eq!(text("type"), Some("webauthn.get"));
                assert_eq!(text("challenge"), Some(base64url(&CHALLENGE).as_str()));
                assert_eq!(text("origin"), Some(ORIGIN));
                assert_eq!(rest[0] & 0x05, 0x05);
                assert!(asserted.backup_eligible || !asserted.backed_up);
                let other = ThirdPartyKey::Own(KEYS[1].verifying_key());
                assert!(made.verify(&CHALLENGE, &other, &relying_party).is_err());
                assert!(made.verify(&[8; 32], &key, &relying_party).is_err());
            }
            _ => {}
        }
    }
);
