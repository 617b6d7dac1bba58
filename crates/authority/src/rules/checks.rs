//! Checks of a run by whoever is not its agent, and the undoing of what it did.
//!
//! A check that somebody made counts by what the ledger has of it, and by nothing
//! that is said about it: [`shows`] looks at the entries of the call.

use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::ids::{ActionId, AgentId, Alias, ToolId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_policy::checklist::{Expectation, FillError, fill};
use bailiwick_policy::completion::Completion;
use bailiwick_store::{Grant, Row, Run, RunEvidence, RunState};

use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;

/// Checks of one run that are recorded at most, so that nobody fills it.
pub const MAX_CHECKS: u32 = 200;
/// Different things that one criterion's check is made of at most.
pub const MAX_SUBJECTS: usize = 32;
/// Calls that changed something and that are looked through for these at most.
pub const MAX_CHANGES: usize = 2_000;
/// Bytes of a named check's output that are kept.
pub const MAX_OUTPUT_BYTES: usize = 64 * 1024;

/// Why a check is not taken up, or nothing is undone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// The run goes on.
    #[error("the run goes on: it is checked and undone when it was claimed or abandoned")]
    RunOpen,
    /// A call of the run that changes something goes on.
    #[error("a call of the run is still under way, and what it changes cannot be checked yet")]
    UnderWay,
    /// As many checks as one run may have.
    #[error("the run was checked {max} times already")]
    TooMany {
        /// How many.
        max: u32,
    },
    /// No criterion of the run's workflow that is checked so.
    #[error("the run's workflow has no criterion `{criterion}` that is checked so")]
    NoCriterion {
        /// Its name.
        criterion: String,
    },
    /// Nothing in the run to fill the check's arguments from.
    #[error(
        "a call of the run that changes this has no argument `{name}` any more, or there is none"
    )]
    Unfilled {
        /// Which argument.
        name: String,
    },
    /// A call that is no evidence.
    #[error("the call shows nothing about `{criterion}`: {fault}")]
    ShowsNothing {
        /// The criterion.
        criterion: String,
        /// What is wrong with it.
        fault: Fault,
    },
    /// An entry that is durable and not yet under the checkpoint.
    #[error("an entry of the run is not yet under the log's checkpoint")]
    NotPublished,
    /// The run changed more than is checked one by one.
    #[error("the run changed more than can be checked one by one: {max}")]
    TooManyChanges {
        /// How many are.
        max: usize,
    },
    /// Nothing that the criterion's check looks at.
    #[error("the check of `{criterion}` is of other arguments than these")]
    OtherArguments {
        /// The criterion.
        criterion: String,
    },
    /// Somebody has started the step, and it goes on.
    #[error("the step was started already, and its call goes on or is waited for")]
    Started,
    /// Nobody said by which delegation the step's call is made.
    #[error("this step is a call, and nobody said by which delegation it is made")]
    NoDelegation,
    /// The receipt is taken up already.
    #[error("this call was taken up already")]
    TakenUp,
    /// No step of the run's rollback plan.
    #[error("the run's workflow has no rollback step `{step}` for this call")]
    NoStep {
        /// Its name.
        step: String,
    },
    /// Somebody who only reads.
    #[error(
        "only the workflow's owner, the run's principal, or an owner or operator of this installation does this"
    )]
    NotYours,
}

/// What is wrong with a call that is shown as a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Denied, or it did not go well.
    #[error("it was not allowed, or its outcome is not `ok`")]
    NotOk,
    /// Of another tool.
    #[error("it is a call of another tool")]
    Tool,
    /// With other arguments.
    #[error("its arguments are others, or were erased")]
    Arguments,
    /// Not by the gateway.
    #[error("another enforcement point reported it, and the gateway did not see it")]
    Reported,
    /// Decided before the last change was over.
    #[error("it was made before the last change to what it checks was over")]
    Early,
    /// Made by the run's own agent.
    #[error("the run's own agent made it, or had a hand in it")]
    OwnAgent,
    /// On somebody else's authority, or without their signature.
    #[error("it was not made under a grant that the workflow's owner signed")]
    Authority,
    /// Another result than the recorded one.
    #[error("the result is not the one that the gateway recorded, or that was erased")]
    Result,
}

impl CheckError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::RunOpen => "run-open",
            Self::UnderWay => "run-under-way",
            Self::TooMany { .. } => "checks-too-many",
            Self::NoCriterion { .. } => "check-unknown",
            Self::Unfilled { .. } => "check-argument-missing",
            Self::ShowsNothing { .. } => "check-shows-nothing",
            Self::NotPublished => "run-not-published",
            Self::TooManyChanges { .. } => "check-changes-too-many",
            Self::OtherArguments { .. } => "check-other-arguments",
            Self::Started => "rollback-started",
            Self::NoDelegation => "rollback-no-delegation",
            Self::TakenUp => "check-taken-up",
            Self::NoStep { .. } => "rollback-step-unknown",
            Self::NotYours => "check-not-yours",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::RunOpen => "wait until its agent claims it, or until it is abandoned",
            Self::UnderWay => "try again when every call of the run has its outcome",
            Self::TooMany { .. } => "review the run: a person's word counts more than any check",
            Self::NoCriterion { .. } => "see `bailiwick run show` for the criteria",
            Self::Unfilled { .. } => {
                "name in the criterion's `changed_by` the tools that have this argument, or have a person review the run"
            }
            Self::ShowsNothing { .. } => "make the check again with `bailiwick run check`",
            Self::NotPublished => "try again in a second",
            Self::TooManyChanges { .. } => "have a person review the run",
            Self::OtherArguments { .. } => "see `bailiwick run check` for what is to be checked",
            Self::Started => "wait for it, and see `bailiwick run rollback` for where it stands",
            Self::NoDelegation => "pass --chain and --key of a delegation for the step's tool",
            Self::TakenUp => "nothing: it counts",
            Self::NoStep { .. } => "see `bailiwick run rollback` for the steps",
            Self::NotYours => "ask one of them",
        }
    }
}

/// A call as the ledger has it.
#[derive(Clone, Debug)]
pub struct Receipt<'a> {
    /// The index of its decision's entry.
    pub decided: u64,
    /// Whether it was allowed and its outcome is `ok`.
    pub is_ok: bool,
    /// Whether another enforcement point made it.
    pub external: bool,
    /// The tool.
    pub tool: Option<&'a str>,
    /// On whose authority.
    pub principal: Option<&'a str>,
    /// Every agent of its chain.
    pub agents: Vec<&'a str>,
    /// Its arguments; none, if they were erased.
    pub arguments: Option<&'a Json>,
    /// The digest of its result; none, if that was erased.
    pub result: Option<Digest>,
    /// The grant behind its chain.
    pub grant: Option<&'a Grant>,
}

/// What must be shown, and by whom.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// The criterion's id.
    pub criterion: &'a str,
    /// The tool.
    pub tool: &'a ToolId,
    /// Its arguments, filled.
    pub arguments: &'a Object,
    /// What the answer must say, filled.
    pub expect: &'a [Expectation],
    /// By when the last change to it was over; none, if there was none.
    pub last_change: Option<u64>,
    /// The run's agent, whose word does not count here.
    pub agent: &'a AgentId,
    /// The workflow's owner.
    pub owner: &'a Alias,
}

/// Whether the criterion holds by this call, whose result is `result`.
///
/// # Errors
/// [`CheckError::ShowsNothing`] when the call is no evidence for either.
pub fn shows(
    wanted: &Wanted<'_>,
    receipt: &Receipt<'_>,
    result: &Json,
) -> Result<bool, CheckError> {
    let nothing =
        |fault| Err(CheckError::ShowsNothing { criterion: wanted.criterion.to_owned(), fault });
    if !receipt.is_ok {
        return nothing(Fault::NotOk);
    }
    if receipt.tool != Some(wanted.tool.as_str()) {
        return nothing(Fault::Tool);
    }
    if receipt.arguments.and_then(Json::as_object) != Some(wanted.arguments) {
        return nothing(Fault::Arguments);
    }
    // SECURITY: an answer that the gateway did not see can be made up.
    if receipt.external {
        return nothing(Fault::Reported);
    }
    // SECURITY: what was read before the last change was over says nothing of now.
    if wanted.last_change.is_some_and(|last| receipt.decided <= last) {
        return nothing(Fault::Early);
    }
    // SECURITY: nobody checks their own work, nor has it checked by whom they sent.
    if receipt.agents.is_empty() || receipt.agents.contains(&wanted.agent.as_str()) {
        return nothing(Fault::OwnAgent);
    }
    // SECURITY: an administrator's word is not the owner's signature.
    let owner = wanted.owner.as_str();
    let signed = receipt.grant.is_some_and(|g| g.principal.as_str() == owner && !g.attested);
    if !signed || receipt.principal != Some(owner) {
        return nothing(Fault::Authority);
    }
    // SECURITY: whoever shows the result is not believed, the recorded digest is.
    if receipt.result != Some(sha256(result.canonical().as_bytes())) {
        return nothing(Fault::Result);
    }
    let answer = answer(result);
    Ok(wanted.expect.iter().all(|e| answer.as_ref().is_some_and(|answer| e.holds(answer))))
}

/// What a tool answered, as expectations read it: the structured content, else the
/// first text read as JSON.
fn answer(result: &Json) -> Option<Json> {
    let result = result.as_object()?;
    if let Some(structured) = result.member("structuredContent") {
        return Some(structured.clone());
    }
    let content = result.member("content")?.as_array()?;
    let text = content.iter().find_map(|item| item.as_object()?.member("text")?.as_str())?;
    Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).ok()
}

/// One thing that a criterion's check looks at.
#[derive(Clone, Debug, PartialEq)]
pub struct Looking {
    /// The call's arguments.
    pub arguments: Object,
    /// What the answer must say.
    pub expect: Vec<Expectation>,
}

/// Everything that a check looks at: `template` filled from each of `changes`, the
/// arguments of the calls that changed what it is about, newest first. Calls that lead
/// to the same arguments are one thing, of which the newest values are expected.
///
/// SECURITY: nothing else of a run is asked, or its agent would choose by a call of no
/// consequence what is looked at. With `named`, calls of tools that the criterion names
/// itself, each must fill the template; of others those count that do.
///
/// # Errors
/// [`CheckError::Unfilled`], [`CheckError::TooManyChanges`].
pub fn looking(
    template: &Object,
    expect: &[Expectation],
    changes: &[Object],
    named: bool,
) -> Result<Vec<Looking>, CheckError> {
    let unfilled = |FillError { name }| CheckError::Unfilled { name };
    let template = Json::from(template.clone());
    let mut found: Vec<(Object, Object)> = Vec::new();
    let mut missing = None;
    for change in changes {
        let arguments = match fill(&template, change) {
            Ok(Json::Object(arguments)) => arguments,
            Ok(_) => Object::new(),
            Err(e) if named => return Err(unfilled(e)),
            Err(e) => {
                missing.get_or_insert(e);
                continue;
            }
        };
        let many = found.len() == MAX_SUBJECTS;
        match found.iter_mut().find(|(known, _)| *known == arguments) {
            Some((_, newest)) => merge(newest, change),
            None if many => {
                return Err(CheckError::TooManyChanges { max: MAX_SUBJECTS });
            }
            None => found.push((arguments, change.clone())),
        }
    }
    if found.is_empty() {
        // What depends on no call is looked at whatever the run did.
        let nothing = Object::new();
        match fill(&template, &nothing) {
            Ok(Json::Object(arguments)) => found.push((arguments, nothing)),
            Ok(_) => found.push((Object::new(), nothing)),
            Err(e) => return Err(unfilled(missing.unwrap_or(e))),
        }
    }
    let whole = |(arguments, newest): (Object, Object)| {
        let filled = |e: &Expectation| {
            let equals = fill(&e.equals, &newest).map_err(unfilled)?;
            Ok(Expectation { at: e.at.clone(), equals })
        };
        let expect = expect.iter().map(filled).collect::<Result<_, _>>()?;
        Ok(Looking { arguments, expect })
    };
    found.into_iter().map(whole).collect()
}

/// Adds of `older` what `newest` does not have.
fn merge(newest: &mut Object, older: &Object) {
    for (name, value) in older.iter() {
        if newest.member(name).is_none() {
            newest.insert(name, value.clone());
        }
    }
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The criterion holds.
    Holds,
    /// It does not.
    DoesNotHold,
    /// There was no check: it could not be made, or not to its end.
    NotRun,
}

impl Verdict {
    /// Its name in entries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::DoesNotHold => "does_not_hold",
            Self::NotRun => "not_run",
        }
    }
}

/// A check that was made.
#[derive(Clone, Debug)]
pub struct Made<'a> {
    /// Of which criterion.
    pub criterion: &'a str,
    /// By what: `check:NAME` or `tool:ID`.
    pub by: String,
    /// What came of it.
    pub verdict: Verdict,
    /// The call that it is, if it is one.
    pub receipt: Option<&'a ActionId>,
    /// The evidence that it is; none, if it was not run, or if more is to be checked.
    pub evidence: Option<RunEvidence>,
    /// What it said.
    pub output: Option<&'a str>,
    /// What was derived with it.
    pub completion: &'a Completion,
    /// Whether the run counts as complete from now on.
    pub complete: bool,
    /// Whether it waits for others alone.
    pub pending: bool,
}

/// Records a check.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn record(
    moment: &Moment<'_>,
    installation: &Installation,
    run: &Run,
    made: Made<'_>,
) -> Result<Plan<()>, Refusal> {
    let mut step = about(Step::new(moment, &installation.org, Kind::RunChecked)?, run)
        .with("criterion", made.criterion)
        .with("by", made.by)
        .with("verdict", made.verdict.as_str())
        .with_some("receipt", made.receipt)
        .with("derived", made.completion.to_json());
    if let Some(output) = made.output {
        step = step.commit(moment, "output", output)?;
    }
    let evidence = made.evidence.into_iter().collect();
    let (complete, pending) = (made.complete, made.pending);
    let row = Row::RunComplete { run: run.id.clone(), complete, pending, evidence };
    Ok(Plan::one(step.row(row), ()))
}

/// A run is checked and undone when it is over.
///
/// # Errors
/// [`CheckError::RunOpen`].
pub fn is_over(run: &Run) -> Result<(), CheckError> {
    match run.state {
        RunState::Open => Err(CheckError::RunOpen),
        RunState::Claimed | RunState::Abandoned => Ok(()),
    }
}

pub(super) fn about(step: Step, run: &Run) -> Step {
    step.about(|s| {
        s.principal = Some(run.principal.to_string());
        s.agent = Some(run.agent.to_string());
        s.workflow = Some(run.workflow.to_string());
        s.task = Some(run.task.to_string());
        s.run = Some(run.id.to_string());
        s.grant = Some(run.grant.to_string());
    })
}

#[cfg(test)]
mod tests;
