//! People's approval of the action, where one was needed: their signatures over
//! exactly this action's digest, under keys whose enrolment is in the log.

use bailiwick_core::approval::standing::Terms;
use bailiwick_core::approval::{Question, Signed, Verdict, policy_version};
use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::grant::Passkey;
use bailiwick_core::ids::{ApprovalId, EntryId, PrincipalId};
use bailiwick_core::jose::{SetKey as _, ThirdPartyKey, VerifyingKey};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::time::Timestamp;

use super::receipts::Opened;
use super::{Case, agree, authority, policy};
use crate::check::{Check, Failure, ensure};
use crate::subject::Subject;
use crate::verdict::{Approval, ApprovalOf, Approver};

mod right;
mod standing;

const CHECK: Check = Check::Approval;

/// The call that people approved, as far as it is verified.
pub(super) struct Call<'a> {
    /// The action's digest.
    pub(super) action: Digest,
    /// The root's token hash.
    pub(super) root: Digest,
    pub(super) tool: &'a str,
    pub(super) pin: Option<&'a str>,
    pub(super) arguments: &'a Object,
    pub(super) principal: &'a PrincipalId,
}

/// What people signed.
enum Signable {
    Question(Question),
    Standing(Box<Terms>),
}

/// Somebody's signature, with the keys under which it is to hold.
struct Voiced {
    alias: String,
    who: PrincipalId,
    at: Timestamp,
    entry: EntryId,
    signed: Signed,
    passkeys: Vec<Passkey>,
    keys: Vec<VerifyingKey>,
    /// How it was made, as the entry says.
    grade: String,
}

/// The approval that the decision was allowed by; `None`, if it names none.
pub(super) fn check(case: &Case<'_>, call: &Call<'_>) -> Result<Option<Approval>, Failure> {
    let decided = case.decided;
    let allowed = decided.entry.subjects.decision.as_deref() == Some("allow");
    let Some(stated) = decided.body("approval").filter(|_| allowed) else { return Ok(None) };
    let stated = stated.as_object().ok_or_else(|| malformed("approval"))?;
    let (what, voices) = match stated.member("standing") {
        None => question(case, stated, call.action)?,
        Some(_) => standing::read(case, stated, call)?,
    };
    let right = right::Rules::read(case, call)?;
    let mut approvers: Vec<Approver> = Vec::new();
    for voice in voices {
        let (grade, right) = right.ask(case, &what, &voice)?;
        agree(CHECK, voice.grade == grade.as_str(), "how the verdict was signed")?;
        ensure(approvers.iter().all(|a| a.id != voice.who), CHECK, || {
            "one approver is counted twice".to_owned()
        })?;
        approvers.push(Approver { id: voice.who, grade, right, at: voice.at, entry: voice.entry });
    }
    let weakest = approvers.iter().map(|a| a.grade).min();
    let weakest = weakest.ok_or_else(|| Failure::new(CHECK, "nobody approved the action"))?;
    let said = stated.member("grade").and_then(Json::as_str);
    agree(CHECK, said == Some(weakest.as_str()), "how the approval was signed")?;
    let needed = right.needed();
    let given = u64::try_from(approvers.len()).unwrap_or(u64::MAX);
    ensure(needed.is_none_or(|needed| given >= needed), CHECK, || {
        format!("{given} approved, and the workflow asks for {}", needed.unwrap_or_default())
    })?;
    let of = match what {
        Signable::Question(question) => ApprovalOf::Action(question.id),
        Signable::Standing(terms) => ApprovalOf::Standing(terms),
    };
    Ok(Some(Approval { of, needed, approvers }))
}

fn malformed(what: &str) -> Failure {
    Failure::new(CHECK, format!("the decision's `{what}` is malformed"))
}

/// The version of the policy that asked, which is the one of the decision.
fn version(case: &Case<'_>, stated: &Object) -> Result<Digest, Failure> {
    let version = stated.member("policy").and_then(Json::as_str).and_then(Digest::from_text);
    let version = version.ok_or_else(|| malformed("approval.policy"))?;
    let workflow = case.decided.digest(CHECK, "workflow_digest")?;
    let now = policy_version(policy::named(case)?, workflow);
    agree(CHECK, version == now, "the version of the policy that asked")?;
    Ok(version)
}

/// The entries that are named under `name`.
fn entries<'a>(stated: &'a Object, name: &'static str) -> Result<Vec<&'a str>, Failure> {
    let listed = stated.member(name).and_then(Json::as_array);
    let listed = listed.ok_or_else(|| malformed(name))?;
    listed.iter().map(|id| id.as_str().ok_or_else(|| malformed(name))).collect()
}

/// What the approvers were asked, from what was verified and from the record,
/// and what each said.
fn question(
    case: &Case<'_>,
    stated: &Object,
    action: Digest,
) -> Result<(Signable, Vec<Voiced>), Failure> {
    let decided = case.decided;
    let id = stated.member("id").and_then(Json::as_str).and_then(|id| ApprovalId::parse(id).ok());
    let expires = stated.member("expires").and_then(|e| e.as_number()?.as_plain_integer());
    let (Some(id), Some(expires)) = (id, expires) else {
        return Err(malformed("approval"));
    };
    let question = Question {
        id,
        action,
        policy: version(case, stated)?,
        rule: decided.text(CHECK, "rule")?.to_owned(),
        expires: Timestamp::from_seconds(expires),
    };
    ensure(decided.entry.time < question.expires, CHECK, || {
        "the approval had expired when it was used".to_owned()
    })?;
    let mut voices = Vec::new();
    for entry in entries(stated, "verdicts")? {
        voices.push(verdict(case, &question, entry)?);
    }
    Ok((Signable::Question(question), voices))
}

/// One person's verdict.
fn verdict(case: &Case<'_>, question: &Question, entry: &str) -> Result<Voiced, Failure> {
    let of = case.receipts.by_id(CHECK, Kind::ApprovalDecided, entry)?;
    agree(CHECK, of.text(CHECK, "approval")? == question.id.as_str(), "the verdict's question")?;
    agree(CHECK, of.digest(CHECK, "action_digest")? == question.action, "the verdict's action")?;
    ensure(of.text(CHECK, "verdict")? == Verdict::Approve.as_str(), CHECK, || {
        "a verdict that is counted is no approval".to_owned()
    })?;
    ensure(of.entry.time < question.expires, CHECK, || {
        "a verdict was given after its end".to_owned()
    })?;
    voiced(case, of)
}

/// Who signed what an entry records, with the key that they had enrolled.
fn voiced(case: &Case<'_>, of: &Opened) -> Result<Voiced, Failure> {
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
    Ok(Voiced {
        alias: alias.to_owned(),
        who: approver.id,
        at: of.entry.time,
        entry: of.entry.id.clone(),
        signed,
        passkeys,
        keys,
        grade: of.text(CHECK, "grade")?.to_owned(),
    })
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
    match (enrolled.text(CHECK, "credential_kind")?, signed.by()) {
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
