//! Bytes: no changed byte verifies, with the bundle's digest or without it.

use bailiwick_evidence::{Bundle, Check, verify};

use crate::world::{plan, trust};

#[test]
fn no_flipped_byte_verifies() {
    let text = plan().story().seal().text().into_bytes();
    let trust = trust();
    assert!(verify(&text, &trust, &[]).holds());
    // Every seventh byte, because each try reads the whole file; the bit moves
    // with it.
    for i in (0..text.len()).step_by(7) {
        let mut bad = text.clone();
        bad[i] ^= 1 << (i % 8);
        let verdict = verify(&bad, &trust, &[]);
        assert!(!verdict.holds(), "byte {i} of {}", text.len());
        assert_eq!(verdict.result.unwrap_err().check, Check::Bundle, "byte {i}");
    }
}

/// Somebody who changes a byte can make the digest anew: then a signature, a
/// proof or a commitment fails.
#[test]
fn no_flipped_byte_verifies_when_the_digest_is_made_anew() {
    let bundle = plan().story().seal().bundle();
    let trust = trust();
    let mut tried = 0;
    let mut flip = |text: &str, i: usize, put: &dyn Fn(String) -> Bundle| {
        let mut bad = text.as_bytes().to_vec();
        bad[i] ^= 1 << (i % 5);
        let Ok(bad) = String::from_utf8(bad) else {
            return;
        };
        let verdict = verify(put(bad).to_text().as_bytes(), &trust, &[]);
        assert!(!verdict.holds(), "byte {i} of {text}");
        tried += 1;
    };
    // Each receipt begins at another byte, so that the strides cover together
    // what all receipts have in common.
    for (n, receipt) in bundle.receipts.iter().enumerate() {
        for i in (n..receipt.entry.len()).step_by(29) {
            flip(&receipt.entry, i, &|entry| {
                let mut bad = bundle.clone();
                bad.receipts[n].entry = entry;
                bad
            });
        }
        for i in (n..receipt.proof.len()).step_by(13) {
            flip(&receipt.proof, i, &|proof| {
                let mut bad = bundle.clone();
                bad.receipts[n].proof = proof;
                bad
            });
        }
    }
    for (n, (_, fields)) in bundle.disclosures.iter().enumerate() {
        for f in 0..fields.len() {
            for i in (f % 8..32).step_by(8) {
                let mut bad = bundle.clone();
                bad.disclosures[n].1[f].1.salt[i] ^= 1;
                assert!(!verify(bad.to_text().as_bytes(), &trust, &[]).holds());
                tried += 1;
            }
        }
    }
    assert!(tried > 700, "{tried}");
}

#[test]
fn files_that_are_no_bundle_are_named_so() {
    let text = plan().story().seal().text();
    let bundle = Bundle::parse(text.as_bytes()).unwrap();
    let again = |from: &str, to: &str| text.replacen(from, to, 1);
    let cases = [
        (String::new(), "json-malformed"),
        ("[]\n".to_owned(), "bundle-malformed"),
        (text.trim_end().to_owned(), "bundle-not-canonical"),
        (format!("{text} "), "bundle-not-canonical"),
        (again("{\"action\"", "{ \"action\""), "bundle-not-canonical"),
        (again("\"v\":1}\n", "\"v\":1,\"v\":1}\n"), "json-duplicate-member"),
        (again("\"v\":1}\n", "\"v\":2}\n"), "bundle-malformed"),
        (again("\"v\":1}\n", "\"note\":\"\",\"v\":1}\n"), "bundle-malformed"),
        (
            again("\"kind\":\"bailiwick-evidence\"", "\"kind\":\"bailiwick-trust\""),
            "bundle-malformed",
        ),
        (again("\"name\":\"tool.pinned\"", "\"name\":\"revoked\""), "bundle-malformed"),
        (
            again(&bundle.digest().to_string(), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
            "bundle-damaged",
        ),
        (text.replace("\"index", "\"x").chars().take(100).collect(), "json-malformed"),
        (format!("{}{}", "[".repeat(200), "]".repeat(200)), "json-too-large"),
        (" ".repeat(bailiwick_evidence::bundle::MAX_BUNDLE_BYTES + 1), "bundle-too-large"),
    ];
    for (bad, code) in cases {
        let error = Bundle::parse(bad.as_bytes()).unwrap_err();
        let shown: String = bad.chars().take(60).collect();
        assert_eq!(error.code(), code, "{shown}: {error}");
        assert!(!verify(bad.as_bytes(), &trust(), &[]).holds());
    }
}
