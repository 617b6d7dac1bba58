//! Standing approvals: the same call again, within bounds that people sign.

use bailiwick_core::approval::standing::{Terms, Use};
use bailiwick_core::approval::{Grade, Signed};
use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::ids::Alias;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{
    Approval, Row, Standing, StandingApproved, StandingSignature, StandingState,
};

use super::approvals::MAX_NOTE_CHARS;
use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;

/// Whether terms may be signed about a waiting call: they cover it, and end no
/// later than what it rests on. `action` is the text whose digest the call's
/// row has, `ends` when its root does.
///
/// # Errors
/// [`Refusal::StandingElsewhere`], [`Refusal::StandingTooLong`].
pub fn about(
    held: &Approval,
    action: &Json,
    terms: &Terms,
    ends: Timestamp,
    now: Timestamp,
) -> Result<(), Refusal> {
    let elsewhere = Refusal::StandingElsewhere;
    // The text is the one that the approver is shown, and nothing else is.
    if sha256(action.canonical().as_bytes()) != held.action {
        return Err(elsewhere);
    }
    let member = |name| action.as_object().and_then(|action| action.member(name));
    let Some(arguments) = member("arguments").and_then(Json::as_object) else {
        return Err(elsewhere);
    };
    let call = Use {
        root: held.root,
        tool: held.tool.as_str(),
        pin: member("pin").and_then(Json::as_str).and_then(Digest::from_text),
        arguments,
        policy: held.policy,
        rule: &held.rule,
    };
    if !terms.covers(&call) {
        return Err(elsewhere);
    }
    if terms.until > ends {
        return Err(Refusal::StandingTooLong { most: ends });
    }
    if now >= terms.until {
        return Err(Refusal::StandingOver { how: "expired" });
    }
    Ok(())
}

/// Standing approvals of one tool under one root that last at once at most: each
/// is looked at when such a call comes.
pub const MAX_LASTING: usize = 20;

/// Whether there may be another one beside those that last.
///
/// # Errors
/// [`Refusal::StandingTooMany`].
pub const fn room(lasting: usize) -> Result<(), Refusal> {
    if lasting < MAX_LASTING { Ok(()) } else { Err(Refusal::StandingTooMany { max: MAX_LASTING }) }
}

/// Where a standing approval stands at `now`, with so many signatures.
#[must_use]
pub fn state(standing: &Standing, signatures: usize, now: Timestamp) -> &'static str {
    let signed = u64::try_from(signatures).unwrap_or(u64::MAX);
    match standing.state {
        StandingState::Revoked => "revoked",
        StandingState::Active if now >= standing.ends => "expired",
        StandingState::Active if standing.used >= standing.count => "used_up",
        StandingState::Active if signed < standing.needed => "waiting",
        StandingState::Active => "active",
    }
}

/// What one person signs.
#[derive(Clone, Copy, Debug)]
pub struct Signing<'a> {
    /// Who.
    pub approver: &'a Alias,
    /// How it is signed.
    pub grade: Grade,
    /// The id of the credential that signed.
    pub credential: &'a str,
    /// The signature.
    pub signed: &'a Signed,
    /// What they add in words.
    pub note: Option<&'a str>,
}

/// Records a signature on terms. That it holds and that they may sign is known.
///
/// # Errors
/// [`Refusal::NoteTooLong`].
pub fn approve(
    moment: &Moment<'_>,
    installation: &Installation,
    held: &Approval,
    terms: &Terms,
    signing: &Signing<'_>,
) -> Result<Plan<()>, Refusal> {
    if signing.note.is_some_and(|note| note.chars().count() > MAX_NOTE_CHARS) {
        return Err(Refusal::NoteTooLong { max: MAX_NOTE_CHARS });
    }
    let standing = Standing {
        id: terms.id.clone(),
        state: StandingState::Active,
        digest: terms.digest(),
        approval: held.id.clone(),
        policy: terms.policy,
        rule: terms.rule.clone(),
        risk: held.risk.clone(),
        server: held.server.clone(),
        tool: held.tool.clone(),
        principal: held.principal.clone(),
        agent: held.agent.clone(),
        workflow: held.workflow.clone(),
        workflow_digest: held.workflow_digest,
        task: held.task.clone(),
        root: terms.root,
        needed: held.needed,
        count: terms.count,
        used: 0,
        starts: terms.from,
        ends: terms.until,
    };
    let signature = StandingSignature {
        standing: terms.id.clone(),
        approver: signing.approver.clone(),
        grade: signing.grade.as_str().to_owned(),
        credential: signing.credential.to_owned(),
        said: moment.now(),
    };
    let step = Step::new(moment, &installation.org, Kind::StandingApproved)?
        .about(|s| {
            s.principal = Some(signing.approver.to_string());
            s.agent = Some(held.agent.to_string());
            s.workflow = Some(held.workflow.to_string());
            s.task = Some(held.task.to_string());
            s.tool = Some(held.tool.to_string());
        })
        .with("standing", &terms.id)
        .with("digest", terms.digest())
        .with("grade", signing.grade.as_str())
        .with("credential", signing.credential)
        .commit(moment, "terms", terms.statement())?
        .commit(moment, "signed", signing.signed.to_text())?;
    let step = match signing.note {
        Some(note) => step.commit(moment, "note", note)?,
        None => step,
    };
    let approved = StandingApproved { standing, signature };
    Ok(Plan::one(step.row(Row::StandingApproved(Box::new(approved))), ()))
}

/// Who takes a standing approval back.
#[derive(Clone, Copy, Debug)]
pub enum By<'a> {
    /// Whoever has the data dir.
    Operator,
    /// Somebody signed in: one of its approvers, the principal, or by a role.
    Session(&'a Alias),
}

/// Takes a standing approval back.
///
/// # Errors
/// [`Refusal::StandingOver`], [`Refusal::NoteTooLong`].
pub fn revoke(
    moment: &Moment<'_>,
    installation: &Installation,
    standing: &Standing,
    by: By<'_>,
    reason: &str,
) -> Result<Plan<()>, Refusal> {
    if standing.state == StandingState::Revoked {
        return Err(Refusal::StandingOver { how: "revoked" });
    }
    if reason.chars().count() > MAX_NOTE_CHARS {
        return Err(Refusal::NoteTooLong { max: MAX_NOTE_CHARS });
    }
    let (by, who) = match by {
        By::Operator => ("operator", None),
        By::Session(who) => ("principal", Some(who)),
    };
    let step = Step::new(moment, &installation.org, Kind::StandingRevoked)?
        .about(|s| {
            s.principal = who.map(ToString::to_string);
            s.agent = Some(standing.agent.to_string());
            s.workflow = Some(standing.workflow.to_string());
            s.task = Some(standing.task.to_string());
            s.tool = Some(standing.tool.to_string());
        })
        .with("standing", &standing.id)
        .with("by", by)
        .with_some("session_of", who.map(ToString::to_string))
        .commit(moment, "reason", reason)?;
    Ok(Plan::one(step.row(Row::StandingRevoked { standing: standing.id.clone() }), ()))
}

/// What the members of a standing approval are, as lists have it.
#[must_use]
pub fn listed(standing: &Standing) -> Object {
    Object::new()
        .with("standing", &standing.id)
        .with("approval", &standing.approval)
        .with("agent", &standing.agent)
        .with("tool", &standing.tool)
        .with("risk", standing.risk.as_str())
        .with("rule", standing.rule.as_str())
        .with("workflow", &standing.workflow)
        .with("task", &standing.task)
        .with("root", standing.root)
        .with("count", standing.count)
        .with("used", standing.used)
        .with("needed", standing.needed)
        .with("from", standing.starts.to_string())
        .with("until", standing.ends.to_string())
}
