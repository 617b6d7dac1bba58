//! Claims and what stands behind them.

use super::*;
use crate::crypto::{Signer as _, SigningKey};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const PEER: &str = "spiffe://b.example/agent/billing-specialist/i-7";
const OTHER: &str = "spiffe://b.example/agent/warehouse/i-3";
const SAID: &str = "order 17 was delivered on the 3rd";

fn entry(n: u8) -> EntryId {
    EntryId::mint(NOW, [n; 10])
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

/// A ledger with one outcome of this task and one of another, and one agent who
/// is identified.
struct Known;

impl Sources for Known {
    fn receipt(&self, cited: &EntryId) -> Option<Receipt> {
        let result = sha256(b"delivered");
        let receipt = |same_lineage| Some(Receipt { same_lineage, result });
        match cited {
            c if *c == entry(1) => receipt(true),
            c if *c == entry(2) => receipt(false),
            _ => None,
        }
    }

    fn key(&self, speaker: &str) -> Option<VerifyingKey> {
        (speaker == OTHER).then(|| VerifyingKey::Ed25519(key(3).public_key()))
    }
}

fn claim(speaker: &str, provenance: Provenance) -> Claim {
    Claim { statement: SAID.to_owned(), speaker: speaker.to_owned(), provenance }
}

fn receipt(n: u8, result: &[u8]) -> Provenance {
    Provenance::Receipt { entry: entry(n), result: sha256(result) }
}

fn grade(claim: &Claim) -> Result<Grade, ClaimError> {
    // What travels is what is graded.
    Claim::from_json(&claim.to_json()).unwrap().grade(PEER, &Known)
}

#[test]
fn a_receipt_of_the_same_lineage_proves_and_a_false_one_refuses() {
    assert_eq!(grade(&claim(PEER, receipt(1, b"delivered"))), Ok(Grade::Proven));
    // It proves whoever passes it on, because the ledger says it.
    assert_eq!(grade(&claim(OTHER, receipt(1, b"delivered"))), Ok(Grade::Proven));
    assert_eq!(grade(&claim(PEER, receipt(9, b"delivered"))), Err(ClaimError::Forged));
    assert_eq!(grade(&claim(PEER, receipt(2, b"delivered"))), Err(ClaimError::Borrowed));
    assert_eq!(grade(&claim(PEER, receipt(1, b"lost"))), Err(ClaimError::OtherResult));
}

#[test]
fn who_passes_a_claim_on_does_not_raise_its_grade() {
    assert_eq!(grade(&claim(PEER, Provenance::None)), Ok(Grade::Signed));
    assert_eq!(grade(&claim(OTHER, Provenance::None)), Ok(Grade::Asserted));
    let signed = sign(SAID, OTHER, NOW, &key(3)).unwrap();
    assert_eq!(grade(&claim(OTHER, Provenance::Signature(signed.clone()))), Ok(Grade::Signed));
    // Signed by the one who passes it on, in the speaker's name.
    let forged = sign(SAID, OTHER, NOW, &key(2)).unwrap();
    let by_peer = claim(OTHER, Provenance::Signature(forged));
    assert_eq!(grade(&by_peer), Err(ClaimError::Signature));
    // Of a speaker whom nobody knows.
    let stranger = "spiffe://c.example/agent/x/i-1";
    let unknown = sign(SAID, stranger, NOW, &key(4)).unwrap();
    let unknown = claim(stranger, Provenance::Signature(unknown));
    assert_eq!(grade(&unknown), Ok(Grade::Asserted));
    // Their words for something else, and under another name.
    let mut other = claim(OTHER, Provenance::Signature(signed.clone()));
    other.statement.push('!');
    assert_eq!(grade(&other), Err(ClaimError::Signature));
    let as_peer = sign(SAID, PEER, NOW, &key(3)).unwrap();
    let as_peer = claim(OTHER, Provenance::Signature(as_peer));
    assert_eq!(grade(&as_peer), Err(ClaimError::Signature));
    let no_jws = claim(OTHER, Provenance::Signature("e30.e30.e30".to_owned()));
    assert_eq!(grade(&no_jws), Err(ClaimError::Signature));
}

#[test]
fn grades_are_ordered_and_read_back() {
    assert!(Grade::Asserted < Grade::Signed && Grade::Signed < Grade::Proven);
    for grade in [Grade::Asserted, Grade::Signed, Grade::Proven] {
        assert_eq!(Grade::parse(grade.as_str()), Some(grade));
    }
    assert_eq!(Grade::parse("Proven"), None);
}

#[test]
fn claims_are_read_strictly() {
    let good = claim(PEER, receipt(1, b"delivered")).to_json();
    let with = |member: &str, value: Json| {
        let changed = good.as_object().unwrap().clone().with(member, value);
        Claim::from_json(&changed.into()).map(drop)
    };
    let bad = |member| Err(ClaimError::Malformed { member });
    assert_eq!(with("grade", "proven".into()), bad("claim"));
    assert_eq!(with("statement", "".into()), bad("statement"));
    assert_eq!(with("statement", "x".repeat(MAX_STATEMENT_CHARS + 1).into()), bad("statement"));
    assert_eq!(with("speaker", "billing".into()), bad("speaker"));
    assert_eq!(with("signature", "a.b.c".into()), bad("receipt"));
    assert_eq!(with("receipt", Object::new().with("entry", "x").into()), bad("receipt"));
}
