//! The verifier trusts others, or holds another checkpoint.

use bailiwick_core::crypto::Signer;
use bailiwick_core::ids::OrgId;
use bailiwick_core::ledger::Kind;
use bailiwick_core::time::Timestamp;
use bailiwick_evidence::Check;
use bailiwick_evidence::trust::{Role, Trust};
use bailiwick_tlog::LogKey;

use super::{expect, fails, other_log};
use crate::world::{ORIGIN, at, key, plan, seed, trust, witness_key};

#[test]
fn under_another_trust_nothing_holds() {
    use Check::*;
    type Edit = fn(&mut Trust);
    let table: &[(&str, Check, Edit)] = &[
        ("another log key", Inclusion, |t| {
            t.log = LogKey::new(ORIGIN, *key(seed::STRANGER).public_key().as_bytes()).unwrap();
        }),
        ("another origin", Inclusion, |t| {
            t.log = LogKey::new("other/log", *key(seed::LOG).public_key().as_bytes()).unwrap();
        }),
        ("another issuer key", Delegation, |t| {
            t.issuers[0].key = key(seed::STRANGER).public_key();
        }),
        ("another issuer", Enrolment, |t| t.issuers[0].uri = "https://elsewhere".into()),
        ("no issuer", Enrolment, |t| t.issuers.clear()),
        ("the issuer's key was retired", Delegation, |t| {
            t.issuers[0].validity.not_after = Some(at(60));
        }),
        ("another gateway key", Makers, |t| t.makers[1].key = key(seed::STRANGER).public_key()),
        ("another authority key", Makers, |t| t.makers[0].key = key(seed::STRANGER).public_key()),
        ("the gateway is not listed", Makers, |t| drop(t.makers.remove(1))),
        ("the authority is not listed", Makers, |t| drop(t.makers.remove(0))),
        ("the gateway is an authority", Makers, |t| t.makers[1].role = Role::Authority),
        ("the gateway's key came later", Makers, |t| {
            t.makers[1].validity.not_before = Some(Timestamp::from_millis(at(60).millis() + 1));
        }),
        ("the gateway's key was retired", Makers, |t| {
            t.makers[1].validity.not_after = Some(at(60));
        }),
        ("another organisation", Makers, |t| t.org = OrgId::parse("other").unwrap()),
        ("another audience", Delegation, |t| t.audiences = vec!["https://elsewhere/mcp".into()]),
        ("a witness is asked for", Witnesses, |t| {
            t.witnesses = vec![witness_key(seed::WITNESS)];
            t.quorum = 1;
        }),
    ];
    let text = plan().story().seal().text();
    assert_eq!(fails(&text, &trust(), None), None);
    for (name, check, edit) in table {
        let mut trust = trust();
        edit(&mut trust);
        expect(name, *check, fails(&text, &trust, None));
    }
}

#[test]
fn a_forked_log_is_found_by_who_kept_a_checkpoint() {
    let honest = plan().story().seal();
    // The operator rewrites one decision and signs the tree anew.
    let mut story = plan().story();
    story.event(Kind::ActionCompleted, 0).subjects.reason = Some("error".into());
    let fork = story.seal();
    assert_eq!(fails(&fork.text(), &trust(), None), None);
    let found = fails(&fork.text(), &trust(), Some(&honest));
    assert!(found.as_ref().is_some_and(|(_, f)| f.starts_with("diverged")), "{found:?}");
    expect("a kept checkpoint", Check::Witnesses, found);
    // A kept checkpoint of another log is a mistake, not a comfort.
    let found = fails(&honest.text(), &trust(), Some(&other_log()));
    expect("another log's checkpoint", Check::Witnesses, found);
}

#[test]
fn a_forged_cosignature_is_invalid() {
    let mut ledger = plan().story().seal();
    ledger.cosign(seed::STRANGER);
    let mut trust = trust();
    trust.witnesses = vec![witness_key(seed::WITNESS)];
    let found = fails(&ledger.text(), &trust, None);
    assert!(found.as_ref().is_some_and(|(_, f)| f.starts_with("invalid")), "{found:?}");
    expect("forged", Check::Witnesses, found);
}
