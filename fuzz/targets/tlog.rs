//! Checkpoints, proofs, bundles, keys and tile paths: what is read is written back byte for byte.
//!
//! Input: a letter, then the text of that kind.
#![no_main]

use bailiwick_fuzz::seed;
use bailiwick_tlog::{
    Checkpoint, LogKey, SeedSigner, SignedCheckpoint, TileId, TlogProof, WitnessKey, decode_bundle,
    empty_root, encode_bundle,
};
use libfuzzer_sys::fuzz_target;

fn seeds() -> Vec<Vec<u8>> {
    let signer = SeedSigner::new("example.com/log", &[1; 32]).expect("a signer");
    let checkpoint = Checkpoint::new("example.com/log", 0, empty_root()).expect("a checkpoint");
    let signed = signer.sign(&checkpoint).expect("a signature").to_string();
    let bundle = encode_bundle(&["one", "two"]).expect("a bundle");
    vec![
        format!("c{signed}").into_bytes(),
        format!("pc2sp.org/tlog-proof@v1\nindex 0\n\n{signed}").into_bytes(),
        [b"b\x01".as_slice(), &bundle].concat(),
        format!("k{}", signer.key()).into_bytes(),
        b"ttile/0/x001/234.p/5".to_vec(),
        b"ttile/entries/000".to_vec(),
    ]
}

fuzz_target!(
    init: seed(seeds()),
    |data: &[u8]| {
        let Some((kind, data)) = data.split_first() else { return };
        let text = std::str::from_utf8(data).unwrap_or_default();
        match kind {
            b'c' => {
                if let Ok(checkpoint) = SignedCheckpoint::parse(data) {
                    assert_eq!(checkpoint.to_string().as_bytes(), data);
                }
            }
            b'p' => {
                if let Ok(proof) = TlogProof::parse(data) {
                    assert_eq!(proof.to_string().as_bytes(), data);
                }
            }
            b'b' => {
                let Some((width, data)) = data.split_first() else { return };
                if let Ok(entries) = decode_bundle(data, u16::from(*width) + 1) {
                    assert_eq!(entries.len(), usize::from(*width) + 1);
                    assert_eq!(encode_bundle(&entries).as_deref(), Ok(data));
                }
            }
            b'k' => {
                if let Ok(key) = LogKey::parse(text) {
                    assert_eq!(key.to_string(), text);
                }
                if let Ok(key) = WitnessKey::parse(text) {
                    assert_eq!(key.to_string(), text);
                }
            }
            b't' => {
                if let Ok(tile) = TileId::parse(text) {
                    assert_eq!(tile.to_string(), text);
                }
            }
            _ => {}
        }
    }
);
