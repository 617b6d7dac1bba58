//! The steps of WebAuthn L3 §7.2, one thing changed at a time.

use super::*;
use crate::crypto::{P256SigningKey, Signer, SigningKey, fresh_p256};
use crate::jose::{JwsSigner, SetKey as _};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};

const CHALLENGE: [u8; 32] = [7; 32];

pub(crate) fn relying_party() -> RelyingParty {
    RelyingParty {
        id: "console.example".to_owned(),
        origins: vec![
            "https://console.example".to_owned(),
            "https://alt.console.example:8443".to_owned(),
        ],
    }
}

/// A passkey in software: what an authenticator and a browser do together.
pub(crate) enum Passkey {
    Ed25519(SigningKey),
    P256(P256SigningKey),
    Rsa(RsaKeyPair),
}

fn rsa() -> Passkey {
    Passkey::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
}

/// `r || s` as `SEQUENCE { INTEGER r, INTEGER s }`.
fn der(fixed: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let start = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len() - 1);
        let mut value = bytes[start..].to_vec();
        if value[0] >= 0x80 {
            value.insert(0, 0);
        }
        let mut out = vec![2, u8::try_from(value.len()).unwrap()];
        out.extend(value);
        out
    };
    let body = [integer(&fixed[..32]), integer(&fixed[32..])].concat();
    let mut out = vec![0x30, u8::try_from(body.len()).unwrap()];
    out.extend(body);
    out
}

impl Passkey {
    pub(crate) fn key(&self) -> ThirdPartyKey {
        match self {
            Self::Ed25519(key) => ThirdPartyKey::Own(key.verifying_key()),
            Self::P256(key) => ThirdPartyKey::Own(key.verifying_key()),
            Self::Rsa(_) => self.rsa_key("RS256"),
        }
    }

    fn rsa_key(&self, alg: &str) -> ThirdPartyKey {
        let Self::Rsa(key) = self else { panic!("no RSA key") };
        // RFC 8017 §A.1.1: SEQUENCE { INTEGER n, INTEGER e }, 2048 bits.
        let public = key.public_key().as_ref();
        let (modulus, exponent) = (&public[9..265], &public[267..270]);
        let jwk = Object::new()
            .with("alg", alg)
            .with("kty", "RSA")
            .with("n", base64url(modulus))
            .with("e", base64url(exponent));
        ThirdPartyKey::from_jwk(&jwk).unwrap()
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => Signer::sign(key, message).to_vec(),
            Self::P256(key) => der(&key.sign(message).unwrap()),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                let random = SystemRandom::new();
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }

    fn over(&self, client_data: &str, authenticator_data: &[u8]) -> Assertion {
        let mut signed = authenticator_data.to_vec();
        signed.extend_from_slice(sha256(client_data.as_bytes()).bytes());
        Assertion {
            credential_id: b"credential".to_vec(),
            authenticator_data: authenticator_data.to_vec(),
            client_data_json: client_data.as_bytes().to_vec(),
            signature: self.sign(&signed),
        }
    }

    /// Signs `challenge` on the first origin of [`relying_party`].
    pub(crate) fn assert(&self, challenge: &[u8; 32]) -> Assertion {
        self.over(&client_data(challenge), &authenticator_data(0x05, 9, &[]))
    }
}

fn passkeys() -> [Passkey; 2] {
    [Passkey::Ed25519(SigningKey::from_seed(&[1; 32]).unwrap()), Passkey::P256(fresh_p256())]
}

fn client_data(challenge: &[u8; 32]) -> String {
    format!(
        r#"{{"type":"webauthn.get","challenge":"{}","origin":"https://console.example","crossOrigin":false}}"#,
        base64url(challenge)
    )
}

fn authenticator_data(flags: u8, counter: u32, extensions: &[u8]) -> Vec<u8> {
    let mut data = sha256(b"console.example").bytes().to_vec();
    data.push(flags);
    data.extend(counter.to_be_bytes());
    data.extend_from_slice(extensions);
    data
}

fn judged(assertion: &Assertion, key: &ThirdPartyKey) -> Result<Asserted, AssertionError> {
    assertion.verify(&CHALLENGE, key, &relying_party())
}

/// Judges validly signed client data with plain authenticator data.
fn client(client_data: &str) -> Result<(), AssertionError> {
    let [_, passkey] = passkeys();
    let assertion = passkey.over(client_data, &authenticator_data(0x05, 9, &[]));
    judged(&assertion, &passkey.key()).map(drop)
}

/// Judges validly signed authenticator data with plain client data.
fn authenticator(data: &[u8]) -> Result<Asserted, AssertionError> {
    let [_, passkey] = passkeys();
    judged(&passkey.over(&client_data(&CHALLENGE), data), &passkey.key())
}

#[test]
fn a_passkey_of_every_algorithm_signs_a_digest() {
    for passkey in passkeys().into_iter().chain([rsa()]) {
        let assertion = passkey.assert(&CHALLENGE);
        let expected = Asserted { counter: 9, backup_eligible: false, backed_up: false };
        assert_eq!(judged(&assertion, &passkey.key()), Ok(expected));
        assert_eq!(Assertion::from_json(&assertion.to_json()), Ok(assertion));
    }
}

#[test]
fn an_rsa_passkey_signs_by_its_own_algorithm_and_under_its_own_key_only() {
    let (passkey, other) = (rsa(), rsa());
    let mut assertion = passkey.assert(&CHALLENGE);
    assert!(judged(&assertion, &passkey.key()).is_ok());
    for key in [other.key(), passkey.rsa_key("PS256"), passkeys()[1].key()] {
        assert_eq!(judged(&assertion, &key), Err(AssertionError::Signature));
    }
    assert_eq!(
        judged(&passkeys()[1].assert(&CHALLENGE), &passkey.key()),
        Err(AssertionError::Signature)
    );
    for at in [0, 100, 255] {
        assertion.signature[at] ^= 1;
        assert_eq!(judged(&assertion, &passkey.key()), Err(AssertionError::Signature), "{at}");
        assertion.signature[at] ^= 1;
    }
    assertion.signature.push(0);
    let kept = Assertion::from_json(&assertion.to_json());
    assert_eq!(kept, Err(AssertionError::Member { member: "signature" }), "257 bytes");
}

#[test]
fn the_type_is_that_of_an_assertion() {
    let good = client_data(&CHALLENGE);
    for typ in ["webauthn.create", "payment.get", "webauthn.Get", ""] {
        assert_eq!(client(&good.replace("webauthn.get", typ)), Err(AssertionError::Type), "{typ}");
    }
    assert_eq!(client(&good.replacen(r#""type":"#, r#""typ":"#, 1)), Err(AssertionError::Type));
}

#[test]
fn another_digest_is_refused() {
    assert_eq!(client(&client_data(&[8; 32])), Err(AssertionError::Challenge));
    let good = base64url(&CHALLENGE);
    for challenge in ["", &good[..42], &format!("{good}="), &good.to_lowercase()] {
        let data = client_data(&CHALLENGE).replace(&good, challenge);
        assert_eq!(client(&data), Err(AssertionError::Challenge), "{challenge}");
    }
}

#[test]
fn the_origin_is_one_of_the_list_in_every_letter() {
    let with =
        |origin: &str| client(&client_data(&CHALLENGE).replace("https://console.example", origin));
    assert_eq!(with("https://alt.console.example:8443"), Ok(()));
    for origin in [
        "https://evil.example",
        "https://console.example.evil.example",
        "https://evil.console.example",
        "https://console.example/",
        "https://console.example:443",
        "http://console.example",
        "HTTPS://console.example",
        "null",
        "",
    ] {
        assert_eq!(with(origin), Err(AssertionError::Origin), "{origin}");
    }
}

#[test]
fn a_page_inside_another_sites_page_is_refused() {
    let with =
        |member: &str| client(&client_data(&CHALLENGE).replace(r#""crossOrigin":false"#, member));
    assert_eq!(with(r#""other":1"#), Ok(()));
    for member in [
        r#""crossOrigin":true"#,
        r#""crossOrigin":null"#,
        r#""crossOrigin":"false""#,
        r#""crossOrigin":false,"topOrigin":"https://evil.example""#,
    ] {
        assert_eq!(with(member), Err(AssertionError::CrossOrigin), "{member}");
    }
}

#[test]
fn client_data_is_strict_json() {
    let good = client_data(&CHALLENGE);
    let bad = AssertionError::Member { member: "client_data_json" };
    for data in [
        String::new(),
        "[]".to_owned(),
        good.replacen('{', r#"{"origin":"https://evil.example","#, 1),
        good.replacen('{', r#"{"type":"webauthn.create","#, 1),
        format!("\u{feff}{good}"),
        format!("{good}{good}"),
        good.replacen('{', &format!(r#"{{"x":"{}","#, "x".repeat(4096)), 1),
    ] {
        assert_eq!(client(&data), Err(bad), "{data}");
    }
    // Browsers add members to keep readers honest (WebAuthn L3 §5.8.1).
    assert_eq!(client(&good.replacen('{', r#"{"other_keys_can_be_added_here":"x","#, 1)), Ok(()));
}

#[test]
fn another_relying_party_is_refused() {
    let mut data = authenticator_data(0x05, 9, &[]);
    data[31] ^= 1;
    assert_eq!(authenticator(&data), Err(AssertionError::RelyingParty));
}

#[test]
fn the_person_must_be_present_and_verified() {
    let with = |flags| authenticator(&authenticator_data(flags, 9, &[]));
    assert_eq!(with(0x04), Err(AssertionError::NotPresent));
    assert_eq!(with(0x01), Err(AssertionError::NotVerified));
    assert_eq!(with(0x00), Err(AssertionError::NotPresent));
}

#[test]
fn flags_that_contradict_each_other_or_are_unknown_are_refused() {
    let with = |flags| authenticator(&authenticator_data(flags, 9, &[]));
    let asserted = with(0x1d).unwrap();
    assert!(asserted.backup_eligible && asserted.backed_up);
    assert!(with(0x0d).is_ok_and(|a| a.backup_eligible && !a.backed_up));
    // Backed up without being eligible, reserved bits, attested data.
    for flags in [0x15, 0x07, 0x25, 0x45] {
        assert_eq!(with(flags), Err(AssertionError::Flags), "{flags:#x}");
    }
}

#[test]
fn bytes_beyond_the_counter_must_be_announced() {
    let bad = Err(AssertionError::Member { member: "authenticator_data" });
    assert!(authenticator(&authenticator_data(0x85, 9, &[0xa0])).is_ok());
    assert_eq!(authenticator(&authenticator_data(0x05, 9, &[0xa0])), bad);
    assert_eq!(authenticator(&authenticator_data(0x85, 9, &[])), bad);
    for length in [0, 31, 32, 33, 36] {
        assert_eq!(authenticator(&authenticator_data(0x05, 9, &[])[..length]), bad, "{length}");
    }
}

#[test]
fn the_signature_is_the_registered_keys_over_both_parts() {
    for passkey in passkeys() {
        let good = passkey.assert(&CHALLENGE);
        let key = passkey.key();
        for other in passkeys().iter().filter(|p| p.key() != key) {
            assert_eq!(judged(&good, &other.key()), Err(AssertionError::Signature));
        }
        // The counter is signed too.
        let mut bad = good.clone();
        bad.authenticator_data[36] ^= 1;
        assert_eq!(judged(&bad, &key), Err(AssertionError::Signature));
        for i in 0..good.signature.len() {
            let mut bad = good.clone();
            bad.signature[i] ^= 1;
            assert_eq!(judged(&bad, &key), Err(AssertionError::Signature), "byte {i}");
        }
    }
    // The form that JOSE has is not the one that authenticators have.
    let [_, Passkey::P256(key)] = passkeys() else { panic!("the second") };
    let mut assertion = Passkey::P256(fresh_p256()).assert(&CHALLENGE);
    let mut signed = assertion.authenticator_data.clone();
    signed.extend_from_slice(sha256(&assertion.client_data_json).bytes());
    assertion.signature = key.sign(&signed).unwrap();
    assert_eq!(
        judged(&assertion, &ThirdPartyKey::Own(key.verifying_key())),
        Err(AssertionError::Signature)
    );
    assertion.signature = der(&assertion.signature);
    assert!(judged(&assertion, &ThirdPartyKey::Own(key.verifying_key())).is_ok());
}

#[test]
fn any_flipped_byte_is_refused() {
    for passkey in passkeys() {
        let good = passkey.assert(&CHALLENGE);
        for part in 0..3 {
            let length =
                [&good.authenticator_data, &good.client_data_json, &good.signature][part].len();
            for i in 0..length {
                let mut bad = good.clone();
                let bytes =
                    [&mut bad.authenticator_data, &mut bad.client_data_json, &mut bad.signature];
                bytes.into_iter().nth(part).unwrap()[i] ^= 0x20;
                assert!(judged(&bad, &passkey.key()).is_err(), "part {part} byte {i}");
            }
        }
    }
}

#[test]
fn only_the_kept_form_reads_back_within_its_limits() {
    let [passkey, _] = passkeys();
    let good = passkey.assert(&CHALLENGE).to_json();
    let good = good.as_object().unwrap();
    let read = |o: Object| Assertion::from_json(&o.into()).map(drop);
    assert!(read(good.clone().with("user_handle", "AA")).is_err());
    for (member, max) in [
        ("credential_id", MAX_CREDENTIAL_ID),
        ("authenticator_data", MAX_AUTHENTICATOR_DATA),
        ("client_data_json", MAX_CLIENT_DATA),
        ("signature", MAX_SIGNATURE),
    ] {
        let with = |value: Json| read(good.clone().with(member, value));
        assert_eq!(with(base64url(&vec![1; max]).into()), Ok(()));
        let bad = Err(AssertionError::Member { member });
        for value in [Json::from(base64url(&vec![1; max + 1])), "".into(), "A+".into(), Json::Null]
        {
            assert_eq!(with(value), bad, "{member}");
        }
        let mut without = good.clone();
        without.remove(member);
        assert!(read(without).is_err());
    }
}

#[test]
fn what_a_browser_returns_is_read() {
    let [_, passkey] = passkeys();
    let good = passkey.assert(&CHALLENGE);
    let response = Object::new()
        .with("authenticatorData", base64url(&good.authenticator_data))
        .with("clientDataJSON", base64url(&good.client_data_json))
        .with("signature", base64url(&good.signature))
        .with("userHandle", Json::Null);
    let returned = Object::new()
        .with("id", base64url(&good.credential_id))
        .with("rawId", base64url(&good.credential_id))
        .with("type", "public-key")
        .with("clientExtensionResults", Object::new())
        .with("response", response);
    assert_eq!(Assertion::from_browser(&returned.clone().into()), Ok(good));
    assert!(Assertion::from_browser(&returned.clone().with("type", "password").into()).is_err());
    assert!(Assertion::from_browser(&returned.with("response", "x").into()).is_err());
}

#[test]
fn a_counter_that_does_not_grow_says_so() {
    let at = |counter| Asserted { counter, backup_eligible: false, backed_up: false };
    assert!(at(0).follows(0) && at(1).follows(0) && at(10).follows(9));
    assert!(!at(9).follows(9) && !at(0).follows(9) && !at(8).follows(9));
}
