//! Golden texts of checkpoints and proofs, their bad neighbours, and agreement with `signed_note`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::collections::BTreeMap;

use bailiwick_tlog::{
    Checkpoint, Hash, InclusionProof, LogKey, MAX_EXTRA_BYTES, MAX_TREE_SIZE, RightEdge,
    SeedSigner, SignedCheckpoint, TileId, TlogProof, TreeReader, VerifiedCheckpoint, empty_root,
    leaf_hash,
};
use proptest::prelude::*;

const ORIGIN: &str = "bailiwick.example/ledger";
const VKEY: &str = "bailiwick.example/ledger+94eb5293+AepKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs";
const CHECKPOINT: &str = "\
    bailiwick.example/ledger\n\
    5\n\
    AFBfNtQWa1am7HAoR27NCo5W0Ob3Jty8OKv5r6ANejM=\n\n\
    \u{2014} bailiwick.example/ledger lOtSk8av8iZCo/5BUahBgFThhm9DkkoSlGanqp+Fe+TS+iDXy/G4HasETlBSczLJxdYL3sl2MIfRIS4xSObMKbNc0w8=\n";
const PROOF: &str = "\
    c2sp.org/tlog-proof@v1\n\
    extra ZXh0cmE=\n\
    index 3\n\
    4GLrDJ6KUIYh4ssHXmWbFj6TDKaILeyW/SWEVZ/IStM=\n\
    1yJmiTDveOgUkZ065iKoHgGwoXpZMeO6ZOm8D8vQkvU=\n\
    1tfYHRnx59cOo3g5BlGHO3iBieERMxwtZUmczQwcNBU=\n\n\
    bailiwick.example/ledger\n\
    5\n\
    AFBfNtQWa1am7HAoR27NCo5W0Ob3Jty8OKv5r6ANejM=\n\n\
    \u{2014} bailiwick.example/ledger lOtSk8av8iZCo/5BUahBgFThhm9DkkoSlGanqp+Fe+TS+iDXy/G4HasETlBSczLJxdYL3sl2MIfRIS4xSObMKbNc0w8=\n";

fn signer() -> SeedSigner {
    SeedSigner::new(ORIGIN, &[7; 32]).unwrap()
}

fn entries() -> Vec<Vec<u8>> {
    (0..5_u8).map(|i| vec![b'e', i]).collect()
}

fn signed() -> SignedCheckpoint {
    let plan = RightEdge::empty().append(entries()).unwrap();
    signer().sign(&plan.checkpoint(ORIGIN).unwrap()).unwrap()
}

fn proof(index: u64) -> TlogProof {
    let plan = RightEdge::empty().append(entries()).unwrap();
    let tiles: BTreeMap<TileId, Vec<u8>> =
        plan.files().iter().map(|file| (file.id, file.bytes.clone())).collect();
    let proof = TreeReader::new(&tiles, plan.size()).inclusion_proof(index).unwrap();
    TlogProof::new(proof, signed()).unwrap()
}

#[test]
fn the_golden_checkpoint_is_written_read_and_verified() {
    let key = LogKey::parse(VKEY).unwrap();
    assert_eq!(signer().key(), &key);
    assert_eq!(signed().to_string(), CHECKPOINT);
    let parsed = SignedCheckpoint::parse(CHECKPOINT.as_bytes()).unwrap();
    assert_eq!(parsed.to_string(), CHECKPOINT);
    let verified = parsed.verify(ORIGIN, &key).unwrap();
    assert_eq!((verified.origin(), verified.size()), (ORIGIN, 5));
    assert_eq!(verified.root(), signed().unverified().root());
    assert_eq!(verified.signed(), &parsed);
}

/// The example of tlog-cosignature; its keys are not published, so it is only read.
#[test]
fn the_example_of_the_specification_is_read_and_written_unchanged() {
    let text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
        \u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
        \u{2014} witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";
    let checkpoint = SignedCheckpoint::parse(text.as_bytes()).unwrap();
    assert_eq!(checkpoint.to_string(), text);
    assert_eq!(checkpoint.unverified().size(), 20_852_163);
    let error = checkpoint.verify("example.com/behind-the-sofa", signer().key()).unwrap_err();
    assert_eq!(error.code(), "tlog-checkpoint-unsigned");
}

#[test]
fn signed_note_verifies_what_we_sign_and_we_verify_what_it_signs() {
    let verifier = signed_note::StandardVerifier::new(VKEY).unwrap();
    let known = signed_note::VerifierList::new(vec![Box::new(verifier)]);
    let note = signed_note::Note::from_bytes(CHECKPOINT.as_bytes()).unwrap();
    assert_eq!(note.verify(&known).unwrap().0.len(), 1);

    // Type 0x01 and the seed, as that crate and Go encode a private key.
    let id = VKEY.split('+').nth(1).unwrap();
    let private = format!("PRIVATE+KEY+{ORIGIN}+{id}+AQcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH");
    let theirs = signed_note::StandardSigner::new(&private).unwrap();
    let mut note =
        signed_note::Note::new(signed().unverified().to_string().as_bytes(), &[]).unwrap();
    note.add_sigs(&[&theirs]).unwrap();
    assert_eq!(note.to_bytes(), CHECKPOINT.as_bytes());
}

#[test]
fn a_checkpoint_of_another_log_or_key_does_not_verify() {
    let signed = signed();
    let key = signer().key().clone();
    let code = |result: Result<VerifiedCheckpoint, bailiwick_tlog::CheckpointError>| {
        let error = result.unwrap_err();
        assert!(!error.remedy().is_empty());
        error.code()
    };
    assert_eq!(code(signed.verify("other.example", &key)), "tlog-checkpoint-other-origin");
    let other = SeedSigner::new(ORIGIN, &[8; 32]).unwrap();
    assert_eq!(code(signed.verify(ORIGIN, other.key())), "tlog-checkpoint-unsigned");
    let renamed = LogKey::new("other.example", *key.public_key()).unwrap();
    assert_eq!(code(signed.verify(ORIGIN, &renamed)), "tlog-checkpoint-unsigned");
    for (from, to) in [("\n5\n", "\n6\n"), ("bailiwick", "bailiwicк")] {
        let changed = CHECKPOINT.replacen(from, to, 1);
        let changed = SignedCheckpoint::parse(changed.as_bytes()).unwrap();
        let origin = changed.unverified().origin().to_owned();
        assert_eq!(code(changed.verify(&origin, &key)), "tlog-checkpoint-signature");
    }
}

#[test]
fn a_malformed_checkpoint_is_refused_by_name() {
    let root = signed().unverified().root().to_base64();
    let line = CHECKPOINT.lines().last().unwrap().to_owned() + "\n";
    let long = "o".repeat(256);
    let lower = empty_root().to_base64();
    for (text, expected) in [
        (format!("{ORIGIN}\n5\n"), "tlog-checkpoint-lines"),
        (format!("{ORIGIN}\n\n{root}\n"), "tlog-checkpoint-lines"),
        (format!("\n5\n{root}\n"), "tlog-checkpoint-lines"),
        (format!("{ORIGIN}\n5\n{root}\nextension\n"), "tlog-checkpoint-extension"),
        (format!("{ORIGIN}\n5\n{root}\n\nmore\n"), "tlog-checkpoint-extension"),
        (format!("{ORIGIN}\n05\n{root}\n"), "tlog-checkpoint-size"),
        (format!("{ORIGIN}\n+5\n{root}\n"), "tlog-checkpoint-size"),
        (format!("{ORIGIN}\n-5\n{root}\n"), "tlog-checkpoint-size"),
        (format!("{ORIGIN}\n 5\n{root}\n"), "tlog-checkpoint-size"),
        (format!("{ORIGIN}\n0x5\n{root}\n"), "tlog-checkpoint-size"),
        (format!("{ORIGIN}\n9223372036854775808\n{root}\n"), "tlog-checkpoint-size"),
        (format!("{ORIGIN}\n0\n{root}\n"), "tlog-checkpoint-root"),
        (format!("{ORIGIN}\n5\n{}\n", &root[..43]), "tlog-checkpoint-root"),
        (format!("{ORIGIN}\n5\n{}V=\n", &lower[..42]), "tlog-checkpoint-root"),
        (format!("{ORIGIN}\n5\n{root} \n"), "tlog-checkpoint-root"),
        (format!("{ORIGIN}\n5\nAAAA\n"), "tlog-checkpoint-root"),
        (format!("{long}\n5\n{root}\n"), "tlog-checkpoint-origin"),
    ] {
        let error = SignedCheckpoint::parse(format!("{text}\n{line}").as_bytes()).unwrap_err();
        assert_eq!(error.code(), expected, "{text:?}");
        assert!(!error.remedy().is_empty());
    }
    for (bytes, expected) in [
        (format!("{CHECKPOINT}{line}"), "tlog-note-duplicate-signature"),
        (format!("{CHECKPOINT}x"), "tlog-note-trailing"),
        (format!("{CHECKPOINT}\n"), "tlog-note-trailing"),
        (CHECKPOINT.trim_end().to_owned(), "tlog-note-trailing"),
        (CHECKPOINT.replace('\n', "\r\n"), "tlog-note-encoding"),
        ("a".repeat(300_000), "tlog-note-too-large"),
    ] {
        let error = SignedCheckpoint::parse(bytes.as_bytes()).unwrap_err();
        assert_eq!(error.code(), expected);
    }
}

#[test]
fn only_the_origins_own_key_signs_and_a_wrong_signature_is_not_published() {
    let checkpoint = Checkpoint::new(ORIGIN, 0, empty_root()).unwrap();
    let signer = signer();
    assert!(signer.sign(&checkpoint).is_ok());
    let other = SeedSigner::new("other.example", &[7; 32]).unwrap();
    assert_eq!(other.sign(&checkpoint).unwrap_err().code(), "tlog-sign-name");
    let refused = checkpoint.sign_with(signer.key(), |_| None).unwrap_err();
    assert_eq!(refused.code(), "tlog-sign-refused");
    let wrong = checkpoint.sign_with(signer.key(), |_| Some([0; 64])).unwrap_err();
    assert_eq!(wrong.code(), "tlog-sign-wrong-key");
    assert!(!wrong.remedy().is_empty());
    for origin in ["", "a b", "a+b", "a\nb", "a\u{2003}b", "a\u{7f}"] {
        let error = Checkpoint::new(origin, 0, empty_root()).unwrap_err();
        assert_eq!(error.code(), "tlog-checkpoint-origin", "{origin:?}");
    }
    let error = Checkpoint::new(ORIGIN, 0, leaf_hash(b"")).unwrap_err();
    assert_eq!(error.code(), "tlog-checkpoint-root");
    assert!(Checkpoint::new(ORIGIN, MAX_TREE_SIZE, empty_root()).is_ok());
    let error = Checkpoint::new(ORIGIN, MAX_TREE_SIZE + 1, empty_root()).unwrap_err();
    assert_eq!(error.code(), "tlog-checkpoint-size");
}

#[test]
fn the_golden_proof_is_written_read_and_verified() {
    let golden = proof(3).with_extra(b"extra".to_vec()).unwrap();
    assert_eq!(golden.to_string(), PROOF);
    let parsed = TlogProof::parse(PROOF.as_bytes()).unwrap();
    assert_eq!(parsed, golden);
    assert_eq!((parsed.index(), parsed.extra()), (3, Some(&b"extra"[..])));
    let key = LogKey::parse(VKEY).unwrap();
    let verified = parsed.verify(ORIGIN, &key, &leaf_hash(&entries()[3])).unwrap();
    assert_eq!(verified.size(), 5);
    for (index, entry) in (0..).zip(entries()) {
        let text = proof(index).to_string();
        let parsed = TlogProof::parse(text.as_bytes()).unwrap();
        assert_eq!(parsed.to_string(), text);
        assert!(parsed.extra().is_none());
        parsed.verify(ORIGIN, &key, &leaf_hash(&entry)).unwrap();
        let error = parsed.verify(ORIGIN, &key, &leaf_hash(b"x")).unwrap_err();
        assert_eq!(error.code(), "tlog-proof-differs");
        let error = parsed.verify("other.example", &key, &leaf_hash(&entry)).unwrap_err();
        assert_eq!(error.code(), "tlog-checkpoint-other-origin");
    }
}

#[test]
fn the_proof_of_the_only_entry_has_no_hashes() {
    let plan = RightEdge::empty().append([b"only"]).unwrap();
    let signed = signer().sign(&plan.checkpoint(ORIGIN).unwrap()).unwrap();
    let proof = InclusionProof { index: 0, size: 1, hashes: Vec::new() };
    let text = TlogProof::new(proof, signed).unwrap().to_string();
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\nindex 0\n\nbailiwick.example/ledger\n1\n"));
    let proof = TlogProof::parse(text.as_bytes()).unwrap();
    assert!(proof.verify(ORIGIN, signer().key(), &leaf_hash(b"only")).is_ok());
}

#[test]
fn a_malformed_proof_is_refused_by_name() {
    let hash = empty_root().to_base64();
    let build = |head: &str| format!("{head}\n{CHECKPOINT}");
    let hashes = |count: usize| format!("{hash}\n").repeat(count);
    let v1 = "c2sp.org/tlog-proof@v1\n";
    for (text, expected) in [
        (String::new(), "tlog-proof-separator"),
        (v1.to_owned(), "tlog-proof-separator"),
        (build("c2sp.org/tlog-proof@v2\nindex 3\n"), "tlog-proof-header"),
        (build("index 3\n"), "tlog-proof-header"),
        (build(v1), "tlog-proof-index"),
        (build(&format!("{v1}index\n")), "tlog-proof-index"),
        (build(&format!("{v1}index \n")), "tlog-proof-index"),
        (build(&format!("{v1}index 03\n")), "tlog-proof-index"),
        (build(&format!("{v1}index +3\n")), "tlog-proof-index"),
        (build(&format!("{v1}index -3\n")), "tlog-proof-index"),
        (build(&format!("{v1}index  3\n")), "tlog-proof-index"),
        (build(&format!("{v1}index 9223372036854775808\n")), "tlog-proof-index"),
        (build(&format!("{v1}{hash}\nindex 3\n")), "tlog-proof-index"),
        (build(&format!("{v1}extra \nindex 3\n")), "tlog-proof-extra"),
        (build(&format!("{v1}extra AA\nindex 3\n")), "tlog-proof-extra"),
        (build(&format!("{v1}extra AB==\nindex 3\n")), "tlog-proof-extra"),
        (build(&format!("{v1}extra AA==\nextra AA==\nindex 3\n")), "tlog-proof-index"),
        (build(&format!("{v1}index 3\nextra AA==\n")), "tlog-proof-hash-line"),
        (build(&format!("{v1}index 3\nAAAA\n")), "tlog-proof-hash-line"),
        (build(&format!("{v1}index 3\n{}V=\n", &hash[..42])), "tlog-proof-hash-line"),
        (build(&format!("{v1}index 3\n{hash} \n")), "tlog-proof-hash-line"),
        (build(&format!("{v1}index 3\r\n")), "tlog-proof-index"),
        (build(&format!("{v1}index 3\n{}", hashes(64))), "tlog-proof-too-long"),
        (format!("{PROOF}x"), "tlog-note-trailing"),
        (format!("{PROOF}\n"), "tlog-note-trailing"),
        (PROOF.trim_end().to_owned(), "tlog-note-trailing"),
        (format!("{v1}index 3\n\n\n{CHECKPOINT}"), "tlog-checkpoint-lines"),
        ("a".repeat(400_000), "tlog-proof-too-large"),
    ] {
        let error = TlogProof::parse(text.as_bytes()).unwrap_err();
        assert_eq!(error.code(), expected, "{:?}", &text[..text.len().min(80)]);
        assert!(!error.remedy().is_empty());
    }
    assert_eq!(TlogProof::parse(b"\xff").unwrap_err().code(), "tlog-proof-encoding");
    // 63 hashes are read; they are too many for a tree of 5.
    let long = TlogProof::parse(build(&format!("{v1}index 3\n{}", hashes(63))).as_bytes()).unwrap();
    let error = long.verify(ORIGIN, signer().key(), &leaf_hash(b"x")).unwrap_err();
    assert_eq!(error.code(), "tlog-proof-too-long");
    let beyond = TlogProof::parse(build(&format!("{v1}index 5\n")).as_bytes()).unwrap();
    let error = beyond.verify(ORIGIN, signer().key(), &leaf_hash(b"x")).unwrap_err();
    assert_eq!(error.code(), "tlog-proof-out-of-range");
}

#[test]
fn a_proof_and_a_checkpoint_of_different_sizes_are_not_put_together() {
    for (index, size) in [(0, 4), (0, 6), (5, 5)] {
        let proof = InclusionProof { index, size, hashes: Vec::new() };
        assert_eq!(TlogProof::new(proof, signed()).unwrap_err().code(), "tlog-proof-out-of-range");
    }
    let hashes = vec![empty_root(); 64];
    let proof = InclusionProof { index: 0, size: 5, hashes };
    assert_eq!(TlogProof::new(proof, signed()).unwrap_err().code(), "tlog-proof-too-long");
    for extra in [Vec::new(), vec![0; MAX_EXTRA_BYTES + 1]] {
        assert_eq!(proof_error(extra), "tlog-proof-extra");
    }
    let largest = proof_with(vec![0; MAX_EXTRA_BYTES]).to_string();
    assert!(TlogProof::parse(largest.as_bytes()).is_ok());
}

fn proof_with(extra: Vec<u8>) -> TlogProof {
    proof(3).with_extra(extra).unwrap()
}

fn proof_error(extra: Vec<u8>) -> &'static str {
    proof(3).with_extra(extra).unwrap_err().code()
}

/// Every bit of every byte, but for the unauthenticated extra data.
#[test]
fn a_proof_with_any_bit_flipped_never_verifies() {
    let text = proof(3).to_string();
    let key = signer().key().clone();
    let leaf = leaf_hash(&entries()[3]);
    for at in 0..text.len() {
        for bit in 0..8 {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let verified = TlogProof::parse(&bytes)
                .is_ok_and(|proof| proof.verify(ORIGIN, &key, &leaf).is_ok());
            assert!(!verified, "byte {at}, bit {bit}");
        }
    }
}

proptest! {
    #[test]
    fn what_is_read_is_written_unchanged(at in 0_usize..PROOF.len(), new in any::<u8>()) {
        let mut bytes = PROOF.as_bytes().to_vec();
        bytes[at] = new;
        if let Ok(proof) = TlogProof::parse(&bytes) {
            prop_assert_eq!(proof.to_string().into_bytes(), bytes);
        }
        let mut bytes = CHECKPOINT.as_bytes().to_vec();
        bytes[at % CHECKPOINT.len()] = new;
        if let Ok(checkpoint) = SignedCheckpoint::parse(&bytes) {
            prop_assert_eq!(checkpoint.to_string().into_bytes(), bytes);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = TlogProof::parse(&bytes);
        let _ = SignedCheckpoint::parse(&bytes);
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let _ = LogKey::parse(text);
            let _ = TileId::parse(text);
            let _ = Hash::from_base64(text);
        }
    }
}
