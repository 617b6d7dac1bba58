//! People's approval of the action, where one was needed: their signatures over
//! exactly this action's digest, under keys whose enrolment is in the log.

use bailiwick_core::approval::{Question, Registered, Signed, Verdict, policy_version};
use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::grant::Passkey;
use bailiwick_core::ids::ApprovalId;
use bailiwick_core::jose::{SetKey as _, ThirdPartyKey, VerifyingKey};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::time::Timestamp;
use bailiwick_core::webauthn::RelyingParty;

use super::receipts::Opened;
use super::{Case, agree, authority, policy};
use crate::check::{Check, Failure, ensure};
use crate::subject::Subject;
use crate::verdict::{Approval, Approver};

const CHECK: Check = Check::Approval;

/// The approval that the decision was allowed by; `None`, if it names none.
pub(super) fn check(case: &Case<'_>, action: Digest) -> Result<Option<Approval>, Failure> {
    let decided = case.decided;
    let allowed = decided.entry.subjects.decision.as_deref() == Some("allow");
    let Some(stated) = decided.body("approval").filter(|_| allowed) else { return Ok(None) };
    let stated = stated.as_object().ok_or_else(|| malformed("approval"))?;
    let question = question(case, stated, action)?;
    ensure(decided.entry.time < question.expires, CHECK, || {
        "the approval had expired when it was used".to_owned()
    })?;
    let verdicts = stated.member("verdicts").and_then(Json::as_array);
    let verdicts = verdicts.ok_or_else(|| malformed("approval.verdicts"))?;
    let mut approvers: Vec<Approver> = Vec::new();
    for id in verdicts {
        let id = id.as_str().ok_or_else(|| malformed("approval.verdicts"))?;
        let approver = verdict(case, &question, id)?;
        ensure(approvers.iter().all(|a| a.id != approver.id), CHECK, || {
            "one approver is counted twice".to_owned()
        })?;
        approvers.push(approver);
    }
    let weakest = approvers.iter().map(|a| a.grade).min();
    let weakest = weakest.ok_or_else(|| Failure::new(CHECK, "nobody approved the action"))?;
    let said = stated.member("grade").and_then(Json::as_str);
    agree(CHECK, said == Some(weakest.as_str()), "how the approval was signed")?;
    Ok(Some(Approval { id: question.id, approvers }))
}

fn malformed(what: &str) -> Failure {
    Failure::new(CHECK, format!("the decision's `{what}` is malformed"))
}

/// What the approvers were asked, from what was verified and from the record.
fn question(case: &Case<'_>, stated: &Object, action: Digest) -> Result<Question, Failure> {
    let decided = case.decided;
    let id = stated.member("id").and_then(Json::as_str).and_then(|id| ApprovalId::parse(id).ok());
    let version = stated.member("policy").and_then(Json::as_str).and_then(Digest::from_text);
    let expires = stated.member("expires").and_then(|e| e.as_number()?.as_plain_integer());
    let (Some(id), Some(version), Some(expires)) = (id, version, expires) else {
        return Err(malformed("approval"));
    };
    let workflow = decided.digest(CHECK, "workflow_digest")?;
    let now = policy_version(policy::named(case)?, workflow);
    agree(CHECK, version == now, "the version of the policy that asked")?;
    Ok(Question {
        id,
        action,
        policy: version,
        rule: decided.text(CHECK, "rule")?.to_owned(),
        expires: Timestamp::from_seconds(expires),
    })
}

/// One person's verdict.
fn verdict(case: &Case<'_>, question: &Question, entry: &str) -> Result<Approver, Failure> {
    let of = case.receipts.by_id(CHECK, Kind::ApprovalDecided, entry)?;
    agree(CHECK, of.text(CHECK, "approval")? == question.id.as_str(), "the verdict's question")?;
    agree(CHECK, of.digest(CHECK, "action_digest")? == question.action, "the verdict's action")?;
    ensure(of.text(CHECK, "verdict")? == Verdict::Approve.as_str(), CHECK, || {
        "a verdict that is counted is no approval".to_owned()
    })?;
    ensure(of.entry.time < question.expires, CHECK, || {
        "a verdict was given after its end".to_owned()
    })?;
    let alias = of.subject(CHECK, Subject::Principal)?;
    let approver = authority::principal(case.receipts, alias)?;
    let credential = of.text(CHECK, "credential")?;
    let enrolled = case.receipts.credential(CHECK, credential)?;
    agree(
        CHECK,
        enrolled.subject(CHECK, Subject::Principal)? == alias,
        "whose the approver's key is",
    )?;
    ensure(
        approver.index < enrolled.index
            && enrolled.index < of.index
            && of.index < case.decided.index,
        CHECK,
        || "approver, key, verdict and decision are not in this order in the log".to_owned(),
    )?;
    came_of_age(case, enrolled, credential, of)?;
    let signed = Signed::from_text(of.value_text(CHECK, "signed")?)
        .map_err(|e| Failure::new(CHECK, e.to_string()))?;
    let (passkeys, keys) = signers(enrolled, &signed)?;
    let relying_party = case
        .trust
        .approvers
        .as_ref()
        .map(|a| RelyingParty { id: a.rp_id.clone(), origins: a.origins.clone() });
    let registered =
        Registered { passkeys: &passkeys, keys: &keys, relying_party: relying_party.as_ref() };
    let grade = question
        .verify(Verdict::Approve, &signed, &registered)
        .map_err(|e| Failure::new(CHECK, e.to_string()))?;
    agree(CHECK, of.text(CHECK, "grade")? == grade.as_str(), "how the verdict was signed")?;
    Ok(Approver { id: approver.id, grade, at: of.entry.time, entry: of.entry.id.clone() })
}

/// A new key counts after a while, or when an owner vouched for it.
fn came_of_age(
    case: &Case<'_>,
    enrolled: &Opened,
    credential: &str,
    verdict: &Opened,
) -> Result<(), Failure> {
    // What was enrolled before keys were given a time is older than this rule.
    let Some(from) = enrolled.body("trusted") else { return Ok(()) };
    let from = from.as_number().and_then(|n| n.as_plain_integer());
    let from = from.ok_or_else(|| Failure::new(CHECK, "the key's `trusted` is malformed"))?;
    let vouched = case.receipts.vouched(credential).is_some_and(|at| at < verdict.index);
    ensure(vouched || from <= verdict.entry.time.seconds(), CHECK, || {
        "the approver's key was too new, and nobody had vouched for it".to_owned()
    })
}

/// The enrolled key, as what may have signed.
fn signers(
    enrolled: &Opened,
    signed: &Signed,
) -> Result<(Vec<Passkey>, Vec<VerifyingKey>), Failure> {
    let unusable = || Failure::new(CHECK, "the approver's key is not usable");
    let lookup = enrolled.digest(CHECK, "lookup")?;
    let jwk = enrolled.body("jwk").and_then(Json::as_object).ok_or_else(unusable)?;
    match (enrolled.text(CHECK, "credential_kind")?, signed) {
        ("passkey", Signed::Passkey(assertion)) => {
            let credential_id = assertion.credential_id.clone();
            agree(CHECK, sha256(&credential_id) == lookup, "the passkey that signed")?;
            let key = ThirdPartyKey::from_jwk(jwk).map_err(|_| unusable())?;
            Ok((vec![Passkey { credential_id, key }], Vec::new()))
        }
        ("approver", Signed::Key(_)) => {
            let key = VerifyingKey::from_jwk(jwk).map_err(|_| unusable())?;
            agree(CHECK, key.thumbprint().bytes() == lookup.bytes(), "the key that signed")?;
            Ok((Vec::new(), vec![key]))
        }
        _ => Err(Failure::new(CHECK, "the verdict is signed with another kind of key")),
    }
}
