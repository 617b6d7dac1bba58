//! What people say about calls that wait for them.

use bailiwick_core::approval::{ApprovalError, Grade, Question, Signed, Verdict};
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{Alias, ApprovalId, EntryId};
use bailiwick_core::json::Object;
use bailiwick_core::ledger::Kind;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Approval, ApprovalState, Row, Said};

use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;

/// Characters of what an approver adds in words at most.
pub const MAX_NOTE_CHARS: usize = 1_000;

/// What a person is asked by a waiting call.
#[must_use]
pub fn question(approval: &Approval) -> Question {
    Question {
        id: approval.id.clone(),
        action: approval.action,
        policy: approval.policy,
        rule: approval.rule.clone(),
        expires: approval.expires,
    }
}

/// Whether somebody may still say something about it.
///
/// # Errors
/// [`Refusal::ApprovalSettled`].
pub fn open(approval: &Approval, now: Timestamp) -> Result<(), Refusal> {
    let settled = |how| Err(Refusal::ApprovalSettled { how });
    match approval.state {
        ApprovalState::Pending if now < approval.expires => Ok(()),
        ApprovalState::Pending => settled("expired"),
        state => settled(state.as_str()),
    }
}

/// What a signature that says `verdict` about these questions is over: about one
/// the question itself, about more their batch.
///
/// # Errors
/// [`ApprovalError::OtherQuestion`]: a batch that is not exactly these, in this
/// order.
pub fn challenge(
    questions: &[Question],
    verdict: Verdict,
    signed: &Signed,
) -> Result<Digest, ApprovalError> {
    match (signed, questions) {
        (Signed::Batch(signed), all) => {
            let asked = all.iter().map(|question| question.digest(Verdict::Approve));
            match asked.eq(signed.batch().digests().iter().copied()) {
                true => Ok(*signed.batch().signable().digest()),
                false => Err(ApprovalError::OtherQuestion),
            }
        }
        (_, [question]) => Ok(question.digest(verdict)),
        _ => Err(ApprovalError::OtherQuestion),
    }
}

/// What one person says.
#[derive(Clone, Copy, Debug)]
pub struct Saying<'a> {
    /// Who.
    pub approver: &'a Alias,
    /// What.
    pub verdict: Verdict,
    /// How it is signed.
    pub grade: Grade,
    /// The id of the credential that signed.
    pub credential: &'a str,
    /// The signature.
    pub signed: &'a Signed,
    /// What they add in words.
    pub note: Option<&'a str>,
    /// The arguments that they suggest instead, of a denial.
    pub suggestion: Option<&'a Object>,
}

/// Records what a person said. That their signature holds and that they may is
/// known.
///
/// # Errors
/// [`Refusal::ApprovalSettled`], [`Refusal::NoteTooLong`].
pub fn say(
    moment: &Moment<'_>,
    installation: &Installation,
    approval: &Approval,
    asked: &EntryId,
    saying: &Saying<'_>,
) -> Result<Plan<()>, Refusal> {
    open(approval, moment.now())?;
    if saying.note.is_some_and(|note| note.chars().count() > MAX_NOTE_CHARS) {
        return Err(Refusal::NoteTooLong { max: MAX_NOTE_CHARS });
    }
    let said = match saying.verdict {
        Verdict::Approve => Said::Approve,
        Verdict::Deny => Said::Deny,
    };
    let row = bailiwick_store::Verdict {
        approval: approval.id.clone(),
        approver: saying.approver.clone(),
        verdict: said,
        grade: saying.grade.as_str().to_owned(),
        credential: saying.credential.to_owned(),
        signed: saying.signed.to_text(),
        said: moment.now(),
    };
    let step = Step::new(moment, &installation.org, Kind::ApprovalDecided)?
        .about(|s| {
            s.principal = Some(saying.approver.to_string());
            s.agent = Some(approval.agent.to_string());
            s.workflow = Some(approval.workflow.to_string());
            s.task = Some(approval.task.to_string());
            s.tool = Some(approval.tool.to_string());
        })
        .with("approval", &approval.id)
        .with("asked", asked)
        .with("verdict", saying.verdict.as_str())
        .with("grade", saying.grade.as_str())
        .with("credential", saying.credential)
        .with("action_digest", approval.action)
        .with("policy", approval.policy)
        .with("rule", approval.rule.as_str())
        .with("expires", approval.expires.seconds())
        .commit(moment, "signed", row.signed.as_str())?;
    let step = match saying.note {
        Some(note) => step.commit(moment, "note", note)?,
        None => step,
    };
    let step = match saying.suggestion {
        Some(arguments) => step.commit(moment, "suggestion", arguments.clone())?,
        None => step,
    };
    Ok(Plan::one(step.row(Row::Verdict(row)), ()))
}

/// That somebody read the text of a waiting call.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn read(
    moment: &Moment<'_>,
    installation: &Installation,
    id: &ApprovalId,
    asked: &EntryId,
    by: &'static str,
) -> Result<Plan<()>, Refusal> {
    let step = Step::new(moment, &installation.org, Kind::PlaintextRead)?
        .about(|s| s.action = Some(asked.to_string()))
        .with("by", by)
        .with("approval", id);
    Ok(Plan::one(step, ()))
}
