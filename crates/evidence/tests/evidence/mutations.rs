//! Lies, by those who can sign them and by those who cannot: each is found by
//! the check that is meant for it.

use bailiwick_evidence::trust::Trust;
use bailiwick_evidence::{Check, verify};

use crate::ledger::Ledger;
use crate::world::{plan, seed};

mod happened;
mod lies;
mod splices;
mod trusts;

/// The same events by the same makers, sequenced by another log.
fn other_log() -> Ledger {
    plan().story().seal_into(seed::STRANGER)
}

/// The first check that fails, or `None` when everything holds.
fn fails(bytes: &str, trust: &Trust, ledger: Option<&Ledger>) -> Option<(Check, String)> {
    let kept: Vec<_> = ledger.iter().map(|l| l.checkpoint.clone()).collect();
    let verdict = verify(bytes.as_bytes(), trust, &kept);
    // INVARIANT: checks are made in order, and none after the first failure.
    if let Err(failure) = &verdict.result {
        assert!(!verdict.passed.contains(&failure.check));
        assert!(verdict.passed.iter().all(|c| *c < failure.check));
        assert!(verdict.report().starts_with("EVIDENCE DOES NOT HOLD"));
    }
    verdict.result.err().map(|f| (f.check, f.found))
}

fn expect(name: &str, expected: Check, found: Option<(Check, String)>) {
    match found {
        Some((check, _)) if check == expected => {}
        other => panic!("{name}: expected `{}` to fail, got {other:?}", expected.id()),
    }
}
