use std::collections::BTreeSet;

use bailiwick_core::approval::standing::{Bounds, Use};
use bailiwick_core::approval::{
    ApprovalError, Batch, Question, Signed, SignedBatch, Verdict, standing::exactly,
};
use bailiwick_core::crypto::{SigningKey, sha256};
use bailiwick_core::ids::{ApprovalId, EntryId, PrincipalId, StandingId, ToolId};
use bailiwick_core::jose::JwsSigner as _;
use bailiwick_core::json::Object;

use super::*;
use crate::approvers::{Approver, Matter, Spoken};

const NOW: Timestamp = Timestamp::from_seconds(1_704_067_500);
const TOOL: &str = "mcp:support-desk:tools/refund_order";

fn user(name: &str) -> PrincipalId {
    PrincipalId::parse(name).unwrap()
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n + 1; 32]).unwrap()
}

fn matter(needed: u64, risk: Risk) -> Matter {
    let by = [Approver::Role].into();
    Matter {
        rules: Approvals { by, needed, key_max_risk: Risk::High, ..Approvals::default() },
        principal: user("user:142"),
        workflow_owner: user("user:owner"),
        tool_owner: user("user:owner"),
        risk,
        relying_party: None,
    }
}

fn terms() -> Terms {
    let arguments = Object::new().with("order", "o-17");
    let bounds = Bounds {
        arguments: exactly(&arguments).unwrap(),
        count: 3,
        from: NOW,
        until: NOW.plus_seconds(60),
    };
    let call = Use {
        root: sha256(b"root"),
        tool: TOOL,
        pin: None,
        arguments: &arguments,
        policy: sha256(b"policy"),
        rule: "policy:refunds",
    };
    let id = StandingId::mint(NOW, [1; 10]);
    Terms::new(id, ToolId::parse(TOOL).unwrap(), &call, bounds).unwrap()
}

fn says(who: &str, n: u8, has_role: bool, signed: Signed) -> Spoken {
    Spoken {
        approver: user(who),
        has_role,
        groups: BTreeSet::new(),
        verdict: Verdict::Approve,
        signed,
        passkeys: Vec::new(),
        keys: vec![key(n).verifying_key()],
        entry: EntryId::parse("018cc251-f400-7101-8101-010101010101").unwrap(),
    }
}

fn signs(terms: &Terms, who: &str, n: u8, has_role: bool) -> Spoken {
    says(who, n, has_role, Signed::Key(terms.sign(&key(n)).unwrap()))
}

fn settle(matter: &Matter, spoken: &[Spoken], now: Timestamp) -> Result<Grade, Unsettled> {
    matter.settle_standing(&terms(), spoken, now).map(|approved| {
        assert_eq!(approved.terms(), &terms());
        approved.grade()
    })
}

#[test]
fn as_many_different_people_as_are_needed_sign_the_same_terms() {
    let two = matter(2, Risk::High);
    let terms = terms();
    let (one, other) = (signs(&terms, "user:1", 1, true), signs(&terms, "user:2", 2, true));
    let waiting = Err(Unsettled::Waiting { missing: 1, lost: None });
    assert_eq!(settle(&two, std::slice::from_ref(&one), NOW), waiting);
    assert_eq!(settle(&two, &[one.clone(), one.clone()], NOW), waiting);
    assert_eq!(settle(&two, &[one.clone(), other], NOW), Ok(Grade::Key));
    // Somebody who signed other terms signed nothing.
    let mut more = terms;
    more.count = 4;
    let elsewhere = signs(&more, "user:2", 2, true);
    let lost = Some(Lost::Signature(ApprovalError::OtherQuestion));
    assert_eq!(settle(&two, &[one, elsewhere], NOW), Err(Unsettled::Waiting { missing: 1, lost }));
}

#[test]
fn who_lost_the_right_and_what_is_over_lets_nothing_pass() {
    let (matter, terms) = (matter(1, Risk::High), terms());
    let lost = Some(Lost::Barred(Barred::NotNamed));
    let waiting = Err(Unsettled::Waiting { missing: 1, lost });
    assert_eq!(settle(&matter, &[signs(&terms, "user:1", 1, false)], NOW), waiting);
    let good = [signs(&terms, "user:1", 1, true)];
    assert_eq!(settle(&matter, &good, NOW), Ok(Grade::Key));
    for over in [terms.until, terms.from.plus_seconds(-1)] {
        assert_eq!(settle(&matter, &good, over), Err(Unsettled::Expired));
    }
}

#[test]
fn calls_of_critical_risk_are_never_the_same_again() {
    let signed = [signs(&terms(), "user:1", 1, true)];
    let mut matter = matter(1, Risk::Critical);
    matter.rules.key_max_risk = Risk::Critical;
    let lost = Some(Lost::Barred(Barred::StandingTooRisky));
    let settled = settle(&matter, &signed, NOW);
    assert_eq!(settled, Err(Unsettled::Waiting { missing: 1, lost }));
    // The bound of key files is that of single approvals.
    matter.risk = Risk::High;
    matter.rules.key_max_risk = Risk::Medium;
    let lost = Some(Lost::Barred(Barred::GradeTooLow));
    let settled = settle(&matter, &signed, NOW);
    assert_eq!(settled, Err(Unsettled::Waiting { missing: 1, lost }));
}

#[test]
fn a_key_file_approves_a_batch_up_to_medium_risk_whatever_the_workflow_says() {
    let question = Question {
        id: ApprovalId::mint(NOW, [1; 10]),
        action: sha256(b"action"),
        policy: sha256(b"policy"),
        rule: "policy:refunds".to_owned(),
        expires: NOW.plus_seconds(600),
    };
    let batch = Batch::new(vec![question.digest(Verdict::Approve)]).unwrap();
    let by = Signed::Key(batch.signable().sign(&key(1)).unwrap());
    let signed = Signed::Batch(Box::new(SignedBatch::new(batch, by).unwrap()));
    let spoken = [says("user:1", 1, true, signed)];
    let medium = matter(1, Risk::Medium).settle(&question, &spoken, NOW);
    assert_eq!(medium.unwrap().grade(), Grade::Key);
    let high = matter(1, Risk::High).settle(&question, &spoken, NOW).map(drop);
    let lost = Some(Lost::Barred(Barred::GradeTooLow));
    assert_eq!(high, Err(Unsettled::Waiting { missing: 1, lost }));
    // Alone the same key may.
    let alone = Signed::Key(question.sign(Verdict::Approve, &key(1)).unwrap());
    let alone = [says("user:1", 1, true, alone)];
    assert!(matter(1, Risk::High).settle(&question, &alone, NOW).is_ok());
}
