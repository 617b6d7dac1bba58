//! Project Wycheproof's signatures through our verifiers: every `invalid` one
//! is refused, and the `valid` ones that are refused are listed with the reason.

use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify, rsa_pss_verify};

use super::*;
use crate::crypto::base64url;

/// Which tests of one set were verified otherwise than the set says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    invalid_accepted: Vec<usize>,
    valid_refused: Vec<usize>,
    tests: usize,
}

impl Tally {
    fn count(&mut self, id: usize, result: TestResult, holds: bool) {
        self.tests += 1;
        match result {
            TestResult::Invalid if holds => self.invalid_accepted.push(id),
            TestResult::Valid if !holds => self.valid_refused.push(id),
            _ => {}
        }
    }

    #[track_caller]
    fn is(&self, valid_refused: &[usize], least: usize) {
        assert_eq!(self.invalid_accepted, [0usize; 0]);
        assert_eq!(self.valid_refused, valid_refused);
        assert!(self.tests >= least, "{} tests", self.tests);
    }
}

#[test]
fn ed25519() {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let mut tally = Tally::default();
    for group in set.test_groups {
        let key = <[u8; 32]>::try_from(group.key.pk.as_ref()).unwrap();
        let key = PublicKey::from_bytes(key);
        for test in group.tests {
            let holds = key.is_ok_and(|key| key.verify(&test.msg, &test.sig));
            tally.count(test.tc_id, test.result, holds);
        }
    }
    tally.is(&[], 100);
}

fn p256(name: ecdsa::TestName, verify: fn(&P256PublicKey, &[u8], &[u8]) -> bool) -> Tally {
    let mut tally = Tally::default();
    for group in ecdsa::TestSet::load(name).unwrap().test_groups {
        let point: &[u8] = group.key.key.as_ref();
        let (x, y) = point[1..].split_at(32);
        let key =
            P256PublicKey::from_coordinates(x.try_into().unwrap(), y.try_into().unwrap()).unwrap();
        for test in group.tests {
            tally.count(test.tc_id, test.result, verify(&key, &test.msg, &test.sig));
        }
    }
    tally
}

#[test]
fn es256_in_the_form_of_jose() {
    p256(ecdsa::TestName::EcdsaSecp256r1Sha256P1363, P256PublicKey::verify).is(&[], 200);
}

#[test]
fn es256_in_the_form_of_webauthn() {
    p256(ecdsa::TestName::EcdsaSecp256r1Sha256, P256PublicKey::verify_der).is(&[], 300);
}

/// Signatures over another hash or on another curve are no ES256.
#[test]
fn what_is_not_es256_is_refused() {
    let tally = p256(ecdsa::TestName::EcdsaSecp256r1Sha512P1363, P256PublicKey::verify);
    assert!(tally.invalid_accepted.is_empty() && tally.valid_refused.len() > 100);
}

fn rsa(n: &[u8], e: &[u8]) -> Result<ThirdPartyKey, KeyError> {
    let plain = |number: &[u8]| {
        let start = number.iter().position(|b| *b != 0).unwrap_or(0);
        base64url(&number[start..])
    };
    let jwk = Object::new().with("kty", "RSA").with("n", plain(n)).with("e", plain(e));
    ThirdPartyKey::from_jwk(&jwk)
}

fn pkcs1(name: rsa_pkcs1_verify::TestName) -> Tally {
    let mut tally = Tally::default();
    for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
        let key = rsa(group.key.n.as_ref(), group.key.e.as_ref());
        for test in group.tests {
            let holds = key.as_ref().is_ok_and(|k| k.verify("RS256", &test.msg, &test.sig));
            tally.count(test.tc_id, test.result, holds);
        }
    }
    tally
}

fn pss(name: rsa_pss_verify::TestName) -> Tally {
    let mut tally = Tally::default();
    for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
        let key = rsa(group.key.n.as_ref(), group.key.e.as_ref());
        for test in group.tests {
            let holds = key.as_ref().is_ok_and(|k| k.verify("PS256", &test.msg, &test.sig));
            tally.count(test.tc_id, test.result, holds);
        }
    }
    tally
}

#[test]
fn rs256() {
    use rsa_pkcs1_verify::TestName::{
        Rsa2048Sha224, Rsa2048Sha256, Rsa2048Sha512, Rsa3072Sha256, Rsa4096Sha256, Rsa8192Sha256,
    };
    // Refused on purpose: their keys have the exponent 3.
    pkcs1(Rsa2048Sha256).is(&[258, 259], 200);
    pkcs1(Rsa3072Sha256).is(&[259], 200);
    pkcs1(Rsa4096Sha256).is(&[], 200);
    pkcs1(Rsa8192Sha256).is(&[], 200);
    // Signatures over other hashes are no RS256.
    for other_hash in [Rsa2048Sha224, Rsa2048Sha512] {
        assert!(pkcs1(other_hash).valid_refused.len() >= 7);
    }
}

#[test]
fn ps256() {
    use rsa_pss_verify::TestName::{
        RsaPss2048Sha256Mgf1SaltLen0, RsaPss2048Sha256Mgf1SaltLen32, RsaPss2048Sha256Mgf1Sha1_20,
        RsaPss3072Sha256Mgf1SaltLen32, RsaPss4096Sha256Mgf1SaltLen32,
    };
    pss(RsaPss2048Sha256Mgf1SaltLen32).is(&[], 100);
    pss(RsaPss3072Sha256Mgf1SaltLen32).is(&[], 100);
    pss(RsaPss4096Sha256Mgf1SaltLen32).is(&[], 100);
    // The salt is as long as the hash, and the mask by the same hash (RFC 7518
    // §3.5): all that is valid under other parameters is refused on purpose.
    assert_eq!(pss(RsaPss2048Sha256Mgf1SaltLen0).valid_refused.len(), 61);
    assert_eq!(pss(RsaPss2048Sha256Mgf1Sha1_20).valid_refused.len(), 63);
}
