//! A verdict counts for the question and the word that were signed, and for
//! nothing else.

use proptest::prelude::*;

use super::*;
use crate::crypto::{P256SigningKey, SigningKey, fresh_p256};
use crate::grant;
use crate::webauthn::tests::{Passkey as Device, relying_party};

const NOW: Timestamp = Timestamp::from_seconds(1_704_067_500);

fn question() -> Question {
    Question {
        id: ApprovalId::mint(NOW, [1; 10]),
        action: sha256(b"action"),
        policy: policy_version(Some(sha256(b"bundle")), sha256(b"workflow")),
        rule: "guardrail:supervised-effect".to_owned(),
        expires: NOW.plus_seconds(600),
    }
}

/// One approver's device and key file.
struct Approver {
    device: Device,
    passkeys: [Passkey; 1],
    file: P256SigningKey,
    keys: [VerifyingKey; 1],
}

impl Approver {
    fn new() -> Self {
        let (device, file) = (Device::P256(fresh_p256()), fresh_p256());
        let passkeys = [Passkey { credential_id: b"credential".to_vec(), key: device.key() }];
        let keys = [file.verifying_key()];
        Self { device, passkeys, file, keys }
    }

    fn with_passkey(&self, question: &Question, verdict: Verdict) -> Signed {
        Signed::Passkey(self.device.assert(question.digest(verdict).bytes()))
    }

    fn with_key(&self, question: &Question, verdict: Verdict) -> Signed {
        Signed::Key(question.sign(verdict, &self.file).unwrap())
    }

    fn judge(
        &self,
        question: &Question,
        verdict: Verdict,
        signed: &Signed,
    ) -> Result<Grade, ApprovalError> {
        let relying_party = relying_party();
        let registered = Registered {
            passkeys: &self.passkeys,
            keys: &self.keys,
            relying_party: Some(&relying_party),
        };
        question.verify(verdict, signed, &registered)
    }
}

#[test]
fn a_passkey_and_a_key_sign_either_verdict_and_their_grade_is_told() {
    let (approver, question) = (Approver::new(), question());
    for verdict in [Verdict::Approve, Verdict::Deny] {
        for (signed, grade) in [
            (approver.with_passkey(&question, verdict), Grade::Passkey),
            (approver.with_key(&question, verdict), Grade::Key),
        ] {
            assert_eq!(approver.judge(&question, verdict, &signed), Ok(grade));
            assert_eq!(Signed::from_text(&signed.to_text()), Ok(signed));
        }
        assert_eq!(Verdict::parse(verdict.as_str()), Some(verdict));
    }
    assert!(Grade::Key < Grade::Passkey);
}

#[test]
fn a_denial_is_no_approval_and_the_other_way_round() {
    let (approver, question) = (Approver::new(), question());
    let other_digest = Err(ApprovalError::Assertion(AssertionError::Challenge));
    for (said, claimed) in [(Verdict::Deny, Verdict::Approve), (Verdict::Approve, Verdict::Deny)] {
        let signed = approver.with_passkey(&question, said);
        assert_eq!(approver.judge(&question, claimed, &signed), other_digest);
        let signed = approver.with_key(&question, said);
        let judged = approver.judge(&question, claimed, &signed);
        assert_eq!(judged, Err(ApprovalError::OtherQuestion));
    }
}

#[test]
fn a_verdict_on_one_question_is_none_on_another() {
    let (approver, question) = (Approver::new(), question());
    let later = question.expires.plus_seconds(1);
    let bundle = sha256(b"bundle");
    let others = [
        Question { id: ApprovalId::mint(NOW, [2; 10]), ..question.clone() },
        Question { action: sha256(b"another"), ..question.clone() },
        Question { policy: policy_version(None, sha256(b"workflow")), ..question.clone() },
        Question { policy: policy_version(Some(bundle), sha256(b"newer")), ..question.clone() },
        Question { rule: "policy:refunds".to_owned(), ..question.clone() },
        Question { expires: later, ..question.clone() },
    ];
    for other in others {
        for signed in [
            approver.with_passkey(&question, Verdict::Approve),
            approver.with_key(&question, Verdict::Approve),
        ] {
            assert!(approver.judge(&other, Verdict::Approve, &signed).is_err(), "{other:?}");
        }
    }
}

#[test]
fn only_what_this_approver_enrolled_signs() {
    let (approver, other, question) = (Approver::new(), Approver::new(), question());
    let signed = other.with_key(&question, Verdict::Approve);
    let judged = approver.judge(&question, Verdict::Approve, &signed);
    assert_eq!(judged, Err(ApprovalError::NotRegistered));
    let signed = other.with_passkey(&question, Verdict::Approve);
    let judged = approver.judge(&question, Verdict::Approve, &signed);
    assert_eq!(judged, Err(ApprovalError::Assertion(AssertionError::Signature)));
    // Another credential's id, and a place without passkeys.
    let Signed::Passkey(mut assertion) = approver.with_passkey(&question, Verdict::Approve) else {
        panic!("a passkey signed");
    };
    let nowhere = Registered { passkeys: &approver.passkeys, keys: &[], relying_party: None };
    let signed = Signed::Passkey(assertion.clone());
    let judged = question.verify(Verdict::Approve, &signed, &nowhere);
    assert_eq!(judged, Err(ApprovalError::NotRegistered));
    assertion.credential_id = b"another".to_vec();
    let judged = approver.judge(&question, Verdict::Approve, &Signed::Passkey(assertion));
    assert_eq!(judged, Err(ApprovalError::NotRegistered));
}

#[test]
fn a_signature_for_something_else_is_no_verdict() {
    let (approver, question) = (Approver::new(), question());
    // The same payload under the type of a grant.
    let payload = question.signable(Verdict::Approve).payload.into();
    let typed = jose::sign(grant::TYPE, None, &payload, &approver.file).unwrap();
    let judged = approver.judge(&question, Verdict::Approve, &Signed::Key(typed));
    assert!(matches!(judged, Err(ApprovalError::Jws(_))), "{judged:?}");
    // The digest alone, and with a member more.
    for payload in [
        Object::new().with("digest", question.digest(Verdict::Approve)),
        question.signable(Verdict::Approve).payload.with("and", "more"),
    ] {
        let signed = jose::sign(TYPE, None, &payload.into(), &approver.file).unwrap();
        let judged = approver.judge(&question, Verdict::Approve, &Signed::Key(signed));
        assert_eq!(judged, Err(ApprovalError::OtherQuestion));
    }
    // `none`, and a key of another kind.
    let ed = SigningKey::from_seed(&[1; 32]).unwrap();
    let signed = question.sign(Verdict::Approve, &ed).unwrap();
    let judged = approver.judge(&question, Verdict::Approve, &Signed::Key(signed));
    assert_eq!(judged, Err(ApprovalError::NotRegistered));
}

#[test]
fn what_is_signed_is_written_down() {
    let question = Question {
        id: ApprovalId::parse("018cc251-f400-7101-8101-010101010101").unwrap(),
        ..question()
    };
    is_frozen(&question.statement(Verdict::Approve).canonical());
    assert_ne!(question.digest(Verdict::Approve), question.digest(Verdict::Deny));
}

/// The form is frozen: approvers' machines recompute it.
fn is_frozen(canonical: &str) {
    let action = sha256(b"action");
    let policy = policy_version(Some(sha256(b"bundle")), sha256(b"workflow"));
    let expected = format!(
        "{{\"action\":\"{action}\",\"approval\":\"018cc251-f400-7101-8101-010101010101\",\
         \"expires\":1704068100,\"policy\":\"{policy}\",\
         \"rule\":\"guardrail:supervised-effect\",\"v\":1,\"verdict\":\"approve\"}}"
    );
    assert_eq!(canonical, expected);
}

proptest! {
    #[test]
    fn texts_that_are_no_signature_are_refused_without_a_panic(text in ".{0,300}") {
        let approver = Approver::new();
        if let Ok(signed) = Signed::from_text(&text) {
            prop_assert!(approver.judge(&question(), Verdict::Approve, &signed).is_err());
        }
    }
}
