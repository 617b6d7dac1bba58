//! Cosignatures and what they and kept checkpoints say.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use bailiwick_tlog::{
    Checkpoint, RightEdge, SeedSigner, SignedCheckpoint, Verdict, WitnessKey, leaf_hash,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const ORIGIN: &str = "bailiwick.example/ledger";

fn signer() -> SeedSigner {
    SeedSigner::new(ORIGIN, &[7; 32]).unwrap()
}

fn signed() -> SignedCheckpoint {
    let plan = RightEdge::empty().append((0..5_u8).map(|i| [i])).unwrap();
    signer().sign(&plan.checkpoint(ORIGIN).unwrap()).unwrap()
}

struct Witness {
    pair: Ed25519KeyPair,
    key: WitnessKey,
}

fn witness(name: &str, seed: u8) -> Witness {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let public = <[u8; 32]>::try_from(pair.public_key().as_ref()).unwrap();
    Witness { pair, key: WitnessKey::new(name, public).unwrap() }
}

impl Witness {
    fn cosign(&self, checkpoint: &mut SignedCheckpoint, time: u64) {
        let message = checkpoint.cosignature_message(time);
        let signature = self.pair.sign(&message);
        let signature = <[u8; 64]>::try_from(signature.as_ref()).unwrap();
        checkpoint.add_cosignature(&self.key, time, signature).unwrap();
    }
}

#[test]
fn a_cosignature_signs_time_and_note_text() {
    let text = signed().unverified().to_string();
    let expected = format!("cosignature/v1\ntime 1679315147\n{text}");
    assert_eq!(signed().cosignature_message(1_679_315_147), expected.as_bytes());
}

#[test]
fn known_witnesses_are_counted_once_per_key() {
    let (one, two) = (witness("w.example/1", 1), witness("w.example/2", 2));
    let alias = witness("w.example/alias", 1);
    let keys = [one.key.clone(), two.key.clone(), alias.key.clone()];
    let mut signed = signed();
    let verify = |signed: &SignedCheckpoint| signed.verify(ORIGIN, signer().key()).unwrap();
    assert_eq!(verify(&signed).witnessed_by(&keys, &[]), Verdict::Unwitnessed);
    one.cosign(&mut signed, 1000);
    alias.cosign(&mut signed, 1000);
    let error = signed.add_cosignature(&one.key, 2000, [0; 64]).unwrap_err();
    assert_eq!(error.code(), "tlog-note-duplicate-signature");
    let again = SignedCheckpoint::parse(signed.to_string().as_bytes()).unwrap();
    assert_eq!(again, signed);
    let verdict = verify(&again).witnessed_by(&keys, &[]);
    assert_eq!((verdict.code(), verdict.witnesses()), ("witnessed", 1));
    two.cosign(&mut signed, 1001);
    let Verdict::Witnessed { cosignatures } = verify(&signed).witnessed_by(&keys, &[]) else {
        panic!("not witnessed");
    };
    let seen: Vec<(&str, u64)> =
        cosignatures.iter().map(|one| (one.witness.as_str(), one.time_seconds)).collect();
    assert_eq!(seen, [("w.example/1", 1000), ("w.example/2", 1001)]);
    // A witness that nobody asked for does not count.
    assert_eq!(verify(&signed).witnessed_by(&[], &[]).code(), "unwitnessed");
}

#[test]
fn a_cosignature_that_does_not_verify_makes_the_verdict_invalid() {
    let one = witness("w.example/1", 1);
    let keys = [one.key.clone()];
    let verdict = |signed: &SignedCheckpoint| {
        signed.verify(ORIGIN, signer().key()).unwrap().witnessed_by(&keys, &[])
    };
    let invalid = Verdict::Invalid { witness: "w.example/1".to_owned() };
    let sign = |time: u64, stated: u64| {
        let mut signed = signed();
        let signature = one.pair.sign(&signed.cosignature_message(time));
        let signature = <[u8; 64]>::try_from(signature.as_ref()).unwrap();
        signed.add_cosignature(&one.key, stated, signature).unwrap();
        signed
    };
    assert_eq!(verdict(&sign(5, 5)).code(), "witnessed");
    // Another time than the one signed, and a time beyond 2^63 - 1.
    assert_eq!(verdict(&sign(5, 6)), invalid);
    assert_eq!(verdict(&sign(1 << 63, 1 << 63)), invalid);
    // A plain signature of the note, without time, in the witness's name.
    let mut short = signed().to_string();
    let id = one.key.id();
    let mut blob = id.to_vec();
    blob.extend(one.pair.sign(signed().unverified().to_string().as_bytes()).as_ref());
    let blob = STANDARD.encode(blob);
    short.push_str(&format!("\u{2014} w.example/1 {blob}\n"));
    assert_eq!(verdict(&SignedCheckpoint::parse(short.as_bytes()).unwrap()), invalid);
}

#[test]
fn another_root_for_the_same_size_is_divergence_whoever_cosigned_it() {
    let one = witness("w.example/1", 1);
    let mut here = signed();
    one.cosign(&mut here, 9);
    let here = here.verify(ORIGIN, signer().key()).unwrap();
    let kept = |size, root| {
        let checkpoint = Checkpoint::new(ORIGIN, size, root).unwrap();
        signer().sign(&checkpoint).unwrap().verify(ORIGIN, signer().key()).unwrap()
    };
    let fork = kept(5, leaf_hash(b"fork"));
    let keys = [one.key];
    let verdict = here.witnessed_by(&keys, &[here.clone(), fork]);
    assert_eq!((verdict.code(), verdict.witnesses()), ("diverged", 0));
    // Another size says nothing by itself.
    let verdict = here.witnessed_by(&keys, &[kept(4, leaf_hash(b"other"))]);
    assert_eq!(verdict.code(), "witnessed");
}
