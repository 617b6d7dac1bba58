//! Certificates for tests: X.509 by hand (RFC 5280 §4.1), signed with P-256.

use bailiwick_core::time::Timestamp;
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_ecdsa_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

const SEQUENCE: u8 = 0x30;
const ECDSA_WITH_SHA256: [u8; 8] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const EC_PUBLIC_KEY: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const PRIME256V1: [u8; 8] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut out = vec![tag];
    match content.len() {
        n @ 0..0x80 => out.push(n as u8),
        n @ 0x80..0x100 => out.extend([0x81, n as u8]),
        n => out.extend([0x82, (n >> 8) as u8, n as u8]),
    }
    out.extend(content);
    out
}

fn name(common: &str) -> Vec<u8> {
    let pair = der(SEQUENCE, &[&der(6, &[&[0x55, 4, 3]]), &der(0x0c, &[common.as_bytes()])]);
    der(SEQUENCE, &[&der(0x31, &[&pair])])
}

fn time(at: Timestamp) -> Vec<u8> {
    let text = at.to_string();
    let digits: String = text[..19].chars().filter(char::is_ascii_digit).collect();
    der(0x18, &[format!("{digits}Z").as_bytes()])
}

/// A P-256 key: `n` is its scalar, 32 times over.
pub(crate) struct Key(u8);

impl Key {
    pub(crate) fn new(n: u8) -> Self {
        Self(n)
    }

    fn pkcs8(&self) -> Vec<u8> {
        let key = der(SEQUENCE, &[&der(2, &[&[1]]), &der(4, &[&[self.0; 32]])]);
        let kind = der(SEQUENCE, &[&der(6, &[&EC_PUBLIC_KEY]), &der(6, &[&PRIME256V1])]);
        der(SEQUENCE, &[&der(2, &[&[0]]), &kind, &der(4, &[&key])])
    }

    fn signing(&self) -> std::sync::Arc<dyn rustls::sign::SigningKey> {
        any_ecdsa_type(&PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.pkcs8()))).unwrap()
    }

    pub(crate) fn pem(&self) -> String {
        pem("PRIVATE KEY", &self.pkcs8())
    }
}

pub(crate) fn pem(label: &str, bytes: &[u8]) -> String {
    use bailiwick_core::crypto::base64url;
    let text = base64url(bytes).replace('-', "+").replace('_', "/");
    let padded = format!("{text}{}", "=".repeat((4 - text.len() % 4) % 4));
    format!("-----BEGIN {label}-----\n{padded}\n-----END {label}-----\n")
}

/// Who issues, until when, for whom.
pub(crate) struct Issue<'a> {
    pub(crate) issuer: &'a Key,
    pub(crate) subject: &'a Key,
    /// The host; the issuer's own certificate when there is none.
    pub(crate) host: Option<&'a str>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

impl Issue<'_> {
    pub(crate) fn der(&self) -> Vec<u8> {
        let algorithm = der(SEQUENCE, &[&der(6, &[&ECDSA_WITH_SHA256])]);
        let extension = |id: u8, critical: &[u8], value: &[u8]| {
            der(SEQUENCE, &[&der(6, &[&[0x55, 0x1d, id]]), critical, &der(4, &[value])])
        };
        let (subject, extension) = match self.host {
            None => ("test ca", extension(19, &[1, 1, 0xff], &der(SEQUENCE, &[&[1, 1, 0xff]]))),
            Some(host) => {
                let names = der(SEQUENCE, &[&der(0x82, &[host.as_bytes()])]);
                ("test server", extension(17, &[], &names))
            }
        };
        let tbs = der(
            SEQUENCE,
            &[
                &der(0xa0, &[&der(2, &[&[2]])]),
                &der(2, &[&[1]]),
                &algorithm,
                &name("test ca"),
                &der(SEQUENCE, &[&time(self.not_before), &time(self.not_after)]),
                &name(subject),
                &self.subject.signing().public_key().unwrap(),
                &der(0xa3, &[&der(SEQUENCE, &[&extension])]),
            ],
        );
        let key = self.issuer.signing();
        let signer = key.choose_scheme(&[SignatureScheme::ECDSA_NISTP256_SHA256]).unwrap();
        let signature = signer.sign(&tbs).unwrap();
        der(SEQUENCE, &[&tbs, &algorithm, &der(3, &[&[0], &signature])])
    }
}

/// The test CA's own certificate around `now`.
pub(crate) fn authority(now: Timestamp) -> Vec<u8> {
    let key = Key::new(1);
    let (not_before, not_after) = (now.plus_seconds(-86_400), now.plus_seconds(86_400));
    Issue { issuer: &key, subject: &key, host: None, not_before, not_after }.der()
}

/// A server's certificate by the test CA, as PEM, valid for `window` seconds
/// relative to `now`.
pub(crate) fn server(host: &str, key: &Key, now: Timestamp, window: (i64, i64)) -> String {
    let issue = Issue {
        issuer: &Key::new(1),
        subject: key,
        host: Some(host),
        not_before: now.plus_seconds(window.0),
        not_after: now.plus_seconds(window.1),
    };
    pem("CERTIFICATE", &issue.der())
}
