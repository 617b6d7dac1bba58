//! A passkey in software: makes what a browser sends (WebAuthn L3 §6.5, §7).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256,
};
use bailiwick_core::crypto::{base64url, sha256};
use bailiwick_core::json::{Json, Object};

const PRESENT: u8 = 1;
const VERIFIED: u8 = 1 << 2;
const ATTESTED: u8 = 1 << 6;

enum Key {
    /// `ES256`.
    P256(EcdsaKeyPair),
    /// `RS256`, as Windows Hello has it.
    Rsa(RsaKeyPair),
}

impl Key {
    /// RFC 9052 §7: `{1: 2, 3: -7, -1: 1, -2: x, -3: y}`, or RFC 8230 §4:
    /// `{1: 3, 3: -257, -1: n, -2: e}`.
    fn cose(&self) -> Vec<u8> {
        match self {
            Self::P256(key) => {
                let point = key.public_key().as_ref();
                let mut cose = vec![0xa5, 1, 2, 3, 0x26, 0x20, 1, 0x21, 0x58, 32];
                cose.extend_from_slice(&point[1..33]);
                cose.extend_from_slice(&[0x22, 0x58, 32]);
                cose.extend_from_slice(&point[33..]);
                cose
            }
            Self::Rsa(key) => {
                // RFC 8017 §A.1.1: SEQUENCE { INTEGER n, INTEGER e }, 2048 bits.
                let public = key.public_key().as_ref();
                let mut cose = vec![0xa4, 1, 3, 3, 0x39, 1, 0, 0x20, 0x59, 1, 0];
                cose.extend_from_slice(&public[9..265]);
                cose.extend_from_slice(&[0x21, 0x43]);
                cose.extend_from_slice(&public[267..270]);
                cose
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::P256(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }
}

pub(crate) struct Authenticator {
    key: Key,
    id: Vec<u8>,
    handle: String,
    pub(crate) counter: u32,
    pub(crate) is_verified: bool,
    pub(crate) origin: String,
}

fn member<'a>(options: &'a Json, path: &[&str]) -> &'a Json {
    path.iter().fold(options, |json, name| json.as_object().unwrap().member(name).unwrap())
}

impl Authenticator {
    /// One that is used on pages of `origin`.
    pub(crate) fn new(origin: &str) -> Self {
        Self::with(
            Key::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap()),
            origin,
        )
    }

    /// One that has RSA keys only.
    pub(crate) fn with_rsa(origin: &str) -> Self {
        Self::with(Key::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()), origin)
    }

    fn with(key: Key, origin: &str) -> Self {
        let id = sha256(&key.cose()).bytes()[..16].to_vec();
        let (handle, origin) = (String::new(), origin.to_owned());
        Self { key, id, handle, counter: 0, is_verified: true, origin }
    }

    fn data(&self, flags: u8) -> Vec<u8> {
        let host = self.origin.split("://").nth(1).unwrap().split(':').next().unwrap();
        let mut data = sha256(host.as_bytes()).bytes().to_vec();
        data.push(flags | if self.is_verified { VERIFIED } else { 0 });
        data.extend_from_slice(&self.counter.to_be_bytes());
        data
    }

    fn client_data(&self, kind: &str, challenge: &str) -> Vec<u8> {
        let origin = &self.origin;
        format!(
            r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}","crossOrigin":false}}"#
        )
        .into_bytes()
    }

    /// What a browser answers to a registration's options.
    pub(crate) fn make(&mut self, options: &Json) -> Json {
        let challenge = member(options, &["publicKey", "challenge"]).as_str().unwrap();
        self.handle = member(options, &["publicKey", "user", "id"]).as_str().unwrap().to_owned();
        let mut data = self.data(PRESENT | ATTESTED);
        data.extend_from_slice(&[0; 16]);
        data.extend_from_slice(&u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend_from_slice(&self.id);
        data.extend_from_slice(&self.key.cose());
        let mut object = vec![0xa3, 0x63];
        object.extend_from_slice(b"fmt\x64none\x67attStmt\xa0\x68authData\x59");
        object.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
        object.extend_from_slice(&data);
        let response = Object::new()
            .with("attestationObject", base64url(&object))
            .with("clientDataJSON", base64url(&self.client_data("webauthn.create", challenge)))
            .with("transports", Vec::new());
        self.credential(response)
    }

    /// What a browser answers when `challenge` is to be signed.
    pub(crate) fn sign(&self, challenge: &str) -> Json {
        let data = self.data(PRESENT);
        let client_data = self.client_data("webauthn.get", challenge);
        let mut signed = data.clone();
        signed.extend_from_slice(sha256(&client_data).bytes());
        let signature = self.key.sign(&signed);
        let response = Object::new()
            .with("authenticatorData", base64url(&data))
            .with("clientDataJSON", base64url(&client_data))
            .with("signature", base64url(&signature))
            .with("userHandle", self.handle.as_str());
        self.credential(response)
    }

    /// What a browser answers to a login's options.
    pub(crate) fn log_in(&self, options: &Json) -> Json {
        self.sign(member(options, &["publicKey", "challenge"]).as_str().unwrap())
    }

    fn credential(&self, response: Object) -> Json {
        Object::new()
            .with("id", base64url(&self.id))
            .with("rawId", base64url(&self.id))
            .with("type", "public-key")
            .with("response", response)
            .with("extensions", Object::new())
            .into()
    }
}
