//! Requests and chains that are made and judged here, and what must not pass.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use bailiwick_core::crypto::P256SigningKey;
use bailiwick_core::time::Timestamp;
use bailiwick_svid::{
    Anchors, ChainError, Leaf, MAX_REQUEST_BYTES, RequestError, SpiffeId, SvidAuthority, Usage,
    request, requested_key, split,
};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose as Eku, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, SanType,
};

const DOMAIN: &str = "desk.example";
const ID: &str = "spiffe://desk.example/agent/runner/01";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_790_000_000 + seconds)
}

fn key() -> P256SigningKey {
    P256SigningKey::from_pkcs8(&KeyPair::generate().unwrap().serialize_der()).unwrap()
}

fn authority(domain: &str) -> (SvidAuthority, Vec<u8>) {
    let key = key();
    let made = SvidAuthority::certificate_for(&key, domain, at(0), [7; 16]).unwrap();
    (SvidAuthority::new(key, made.clone(), Vec::new()).unwrap(), made)
}

fn leaf(by: &SvidAuthority, id: &str, key: &P256SigningKey) -> Vec<u8> {
    let (spiffe_id, key) = (SpiffeId::parse(id).unwrap(), key.public_key());
    let leaf =
        Leaf { spiffe_id: &spiffe_id, key: &key, now: at(0), not_after: at(600), serial: [9; 16] };
    by.issue(&leaf).unwrap()
}

fn anchors(domain: &str, certificate: &[u8]) -> Anchors {
    let mut anchors = Anchors::default();
    anchors.set(domain, &[certificate.to_vec()]).unwrap();
    anchors
}

#[test]
fn a_chain_is_whose_its_leaf_says_for_its_time_on_both_sides() {
    let (authority, own) = authority(DOMAIN);
    let key = key();
    let made = leaf(&authority, ID, &key);
    let anchors = anchors(DOMAIN, &own);
    for usage in [Usage::Client, Usage::Server] {
        let peer = anchors.verify(&made, &[], usage, at(1)).unwrap();
        assert_eq!((peer.spiffe_id.as_str(), peer.key), (ID, Some(key.public_key())));
        assert_eq!(peer.not_after, at(600));
        assert_eq!(anchors.verify(&made, &[], usage, at(600)), Err(ChainError::Time));
        assert_eq!(anchors.verify(&made, &[], usage, at(-31)), Err(ChainError::Time));
    }
    // An authority's own certificate names no workload and signs for others.
    assert_eq!(anchors.verify(&own, &[], Usage::Client, at(1)), Err(ChainError::Usage));
    let two = [made.clone(), own].concat();
    assert_eq!(split(&two, 2).unwrap().len(), 2);
    assert_eq!(split(&two, 1), Err(ChainError::Malformed));
    assert_eq!(split(&two[..two.len() - 1], 2), Err(ChainError::Malformed));
    for i in 0..made.len() {
        let mut bad = made.clone();
        bad[i] ^= 1;
        assert!(anchors.verify(&bad, &[], Usage::Client, at(1)).is_err(), "byte {i}");
    }
}

/// A trust domain's authority speaks for no other trust domain.
#[test]
fn a_foreign_authority_speaks_for_its_own_trust_domain_only() {
    let (local, own) = authority(DOMAIN);
    let (foreign, theirs) = authority("other.example");
    let mut both = anchors(DOMAIN, &own);
    both.set("other.example", std::slice::from_ref(&theirs)).unwrap();
    let key = key();
    let spoofed = leaf(&foreign, ID, &key);
    assert_eq!(both.verify(&spoofed, &[], Usage::Client, at(1)), Err(ChainError::Signature));
    let honest = leaf(&foreign, "spiffe://other.example/agent/runner/01", &key);
    assert!(both.verify(&honest, &[], Usage::Client, at(1)).is_ok());
    let unknown = leaf(&local, "spiffe://third.example/agent/x", &key);
    assert_eq!(both.verify(&unknown, &[], Usage::Client, at(1)), Err(ChainError::TrustDomain));
    // An empty bundle revokes a trust domain.
    both.set("other.example", &[]).unwrap();
    assert_eq!(both.verify(&honest, &[], Usage::Client, at(1)), Err(ChainError::TrustDomain));
    assert!(both.set("Not A Domain", &[theirs]).is_err());
    assert!(both.set("other.example", &[vec![1, 2, 3]]).is_err());
}

/// A leaf as another authority might make it, changed in one thing.
fn odd(change: impl FnOnce(&mut CertificateParams)) -> Result<(), ChainError> {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let own = ca.self_signed(&ca_key).unwrap();
    let issuer = Issuer::from_params(&ca, &ca_key);
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(ID.try_into().unwrap())];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![Eku::ServerAuth, Eku::ClientAuth];
    change(&mut params);
    let made = params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
    anchors(DOMAIN, own.der()).verify(made.der(), &[], Usage::Client, at(1)).map(drop)
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

#[test]
fn a_leaf_names_exactly_one_workload_and_signs_for_nobody() {
    assert_eq!(odd(|_| ()), Ok(()));
    let other = "spiffe://desk.example/agent/other/02";
    assert_eq!(odd(|p| p.subject_alt_names.push(uri(other))), Err(ChainError::Name));
    assert_eq!(odd(|p| p.subject_alt_names.clear()), Err(ChainError::Name));
    for bad in ["spiffe://desk.example", "https://desk.example/agent", "spiffe://desk.example/a//b"]
    {
        assert_eq!(odd(|p| p.subject_alt_names = vec![uri(bad)]), Err(ChainError::Name), "{bad}");
    }
    let ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    assert_eq!(odd(|p| p.is_ca = ca), Err(ChainError::Usage));
    assert_eq!(odd(|p| p.key_usages.push(KeyUsagePurpose::KeyCertSign)), Err(ChainError::Usage));
    assert_eq!(odd(|p| p.key_usages.push(KeyUsagePurpose::CrlSign)), Err(ChainError::Usage));
    assert_eq!(odd(|p| p.key_usages.clear()), Err(ChainError::Usage));
    assert_eq!(odd(|p| p.extended_key_usages = vec![Eku::ServerAuth]), Err(ChainError::Usage));
    assert_eq!(odd(|p| p.extended_key_usages = vec![Eku::ClientAuth]), Err(ChainError::Usage));
}

#[test]
fn a_request_proves_its_own_key_and_says_nothing_else() {
    let (key, made) = ending_in(0);
    assert!(made.len() < 256, "{}", made.len());
    assert_eq!(requested_key(&made), Ok(key.public_key()));
    // Signatures that end in either bit: what follows a zero bit could count it as unused.
    for made in [made.clone(), ending_in(1).1] {
        for i in 0..made.len() {
            let mut bad = made.clone();
            bad[i] ^= 1;
            assert!(requested_key(&bad).is_err(), "byte {i}");
        }
    }
    let more = [made.as_slice(), &[0]].concat();
    assert_eq!(requested_key(&more), Err(RequestError::Malformed));
    assert_eq!(requested_key(&[]), Err(RequestError::Malformed));
    assert_eq!(requested_key(&vec![0x30; MAX_REQUEST_BYTES + 1]), Err(RequestError::Malformed));

    // Of a key that was seen somewhere, signed with one's own.
    let stranger = request(&self::key()).unwrap();
    let swapped = swap_key(&stranger, &made);
    assert_eq!(requested_key(&swapped), Err(RequestError::Signature));

    // Names and extensions that it asks for are not looked at.
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
    let mut params = CertificateParams::new(vec!["evil.example".to_owned()]).unwrap();
    params.subject_alt_names.push(uri("spiffe://desk.example/agent/admin/00"));
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "admin");
    params.distinguished_name = name;
    let asked = params.serialize_request(&pair).unwrap();
    let got = requested_key(asked.der()).unwrap();
    let (authority, own) = authority(DOMAIN);
    let spiffe_id = SpiffeId::parse(ID).unwrap();
    let leaf =
        Leaf { spiffe_id: &spiffe_id, key: &got, now: at(0), not_after: at(60), serial: [0; 16] };
    let issued = authority.issue(&leaf).unwrap();
    let text = String::from_utf8_lossy(&issued);
    assert!(!text.contains("evil.example") && !text.contains("admin"));
    assert!(anchors(DOMAIN, &own).verify(&issued, &[], Usage::Server, at(1)).is_ok());

    let other = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let asked = CertificateParams::default().serialize_request(&other).unwrap();
    assert_eq!(requested_key(asked.der()), Err(RequestError::Key));
}

/// A request whose signature ends in this bit.
fn ending_in(bit: u8) -> (P256SigningKey, Vec<u8>) {
    loop {
        let key = key();
        let made = request(&key).unwrap();
        if made.last().unwrap() & 1 == bit {
            return (key, made);
        }
    }
}

/// The request `of` with the public key of `from` in the place of its own.
fn swap_key(from: &[u8], of: &[u8]) -> Vec<u8> {
    let point = |der: &[u8]| der.windows(3).position(|w| w == [0x42, 0x00, 0x04]).unwrap() + 3;
    let (source, target) = (point(from), point(of));
    let mut out = of.to_vec();
    out[target..target + 64].copy_from_slice(&from[source..source + 64]);
    out
}

#[test]
fn a_certificate_of_another_key_is_not_taken_up() {
    let (_, own) = authority(DOMAIN);
    assert!(SvidAuthority::new(key(), own, Vec::new()).is_err());
    assert!(SvidAuthority::new(key(), b"nothing".to_vec(), Vec::new()).is_err());
    assert!(SvidAuthority::certificate_for(&key(), "Desk", at(0), [1; 16]).is_err());
}
