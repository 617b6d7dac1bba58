//! Runs: an agent says what it attempts, what it uses and that it is done; people say
//! what they think of it.
//!
//! A run changes nothing that anybody may do. What an agent says of it is written
//! down as its word; what follows from it is derived from the ledger
//! ([`crate::completion`]).

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{ActionId, RunId};
use bailiwick_core::ledger::Kind;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Workflow;
use bailiwick_store::{Run, RunSpent};

use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::Step;
use crate::refusal::Refusal;

mod begin;
mod claim;
mod end;
mod note;
mod review;

pub use begin::{Ground, begin};
pub use claim::{Claiming, claim};
pub use end::{Why, abandon};
pub(crate) use note::cited;
pub use note::{Noting, UNDECLARED, context, progress};
pub use review::{Reviewing, counts, may_review, review};

/// Seconds without a word and without a call after which a run is abandoned.
pub const IDLE_SECONDS: i64 = 3_600;
/// Runs of one task that begin within an hour at most.
pub const MAX_HOURLY: u64 = 60;
/// Seconds over which [`MAX_HOURLY`] counts.
pub const FLOOD_SECONDS: i64 = 3_600;
/// Items of context of one run at most.
pub const MAX_CONTEXT: u64 = 10_000;
/// Each sum of what a run took at most.
pub const MAX_SUM: u64 = 1_000_000_000_000_000;
/// Pieces of evidence of one run at most; the store gives no more at once.
pub const MAX_EVIDENCE: usize = 400;
/// Reviews of one run at most.
pub const MAX_REVIEWS: usize = 100;
/// Characters of a reviewer's words at most, each.
pub const MAX_REVIEW_CHARS: usize = 4_000;

/// Why something that is said of a run does not stand. Nothing of it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// Two prices in two currencies.
    #[error("a run has one currency, and this is another")]
    Currency,
    /// Two claims of one criterion.
    #[error("`{criterion}` is claimed twice")]
    CriterionTwice {
        /// Which.
        criterion: String,
    },
    /// A criterion that the workflow does not have.
    #[error("the task's workflow has no criterion `{criterion}`; it has {}", listed(known))]
    CriterionUnknown {
        /// Which.
        criterion: String,
        /// Those that it has.
        known: Vec<String>,
    },
    /// What it rests on ends now.
    #[error("the grant under which the run would begin has ended")]
    Ending,
    /// A member that is missing, too long or malformed.
    #[error("`{member}` is missing, too long or malformed")]
    Form {
        /// Which one.
        member: &'static str,
    },
    /// Words of a reviewer that are missing, or too many.
    #[error(
        "`{member}` is missing, empty or longer than {MAX_REVIEW_CHARS} characters; a review that corrects or rejects says `what` and `why`"
    )]
    ReviewWords {
        /// Which.
        member: &'static str,
    },
    /// No run of the task is open.
    #[error("no run of the task is open")]
    NoneOpen,
    /// The workflow has no runs.
    #[error("the task's workflow says nothing of when a task is complete, so it has no runs")]
    NotOffered,
    /// An open run is not reviewed.
    #[error("the run goes on")]
    NotEnded,
    /// Somebody whom the workflow does not name as a reviewer.
    #[error("the run's workflow lets others review it")]
    NotReviewer,
    /// Another agent than the one that has the task.
    #[error("only the agent to which the task was delegated speaks of its runs")]
    NotTheTasks,
    /// A run that is not the one that is open.
    #[error("that run is not the open one of this task")]
    OtherRun,
    /// A call that was not allowed.
    #[error("the call `{action}` was not allowed")]
    ReceiptDenied {
        /// Which.
        action: ActionId,
    },
    /// A call that did not go well, or not yet.
    #[error("the outcome of the call `{action}` is not `ok`")]
    ReceiptFailed {
        /// Which.
        action: ActionId,
    },
    /// A call that is not in the ledger, or not of this run.
    #[error("this run has no call `{action}`")]
    ReceiptForeign {
        /// Which.
        action: ActionId,
    },
    /// A call of another tool than shows the criterion.
    #[error("the call `{action}` is not of the tool that shows `{criterion}`")]
    ReceiptOther {
        /// Which.
        action: ActionId,
        /// For what.
        criterion: String,
    },
    /// The signature over a review does not hold.
    #[error("the review is not signed with a registered key of its author")]
    Unsigned,
    /// More than is kept.
    #[error("a run has at most {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        max: u64,
    },
}

impl RunError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Currency => "run-currency",
            Self::CriterionTwice { .. } => "run-criterion-twice",
            Self::CriterionUnknown { .. } => "run-criterion-unknown",
            Self::Ending => "run-ending",
            Self::Form { .. } => "run-malformed",
            Self::NoneOpen => "run-none-open",
            Self::NotEnded => "run-not-ended",
            Self::NotOffered => "run-not-offered",
            Self::NotReviewer => "run-not-reviewer",
            Self::NotTheTasks => "run-not-the-tasks",
            Self::OtherRun => "run-not-open",
            Self::ReviewWords { .. } => "run-review-words",
            Self::ReceiptDenied { .. } => "run-receipt-denied",
            Self::ReceiptFailed { .. } => "run-receipt-failed",
            Self::ReceiptForeign { .. } => "run-foreign-receipt",
            Self::ReceiptOther { .. } => "run-receipt-other-tool",
            Self::TooMany { .. } => "run-too-many",
            Self::Unsigned => "run-review-unsigned",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Currency => "note every cost of the run in the currency of the first",
            Self::CriterionTwice { .. } => "claim each criterion once",
            Self::CriterionUnknown { .. } => "name one of these, as it is written",
            Self::Ending => "ask the principal for a new grant",
            Self::Form { .. } => "send what the tool's definition describes",
            Self::NoneOpen => "begin a run with `run_begin`",
            Self::NotEnded => "wait until its agent has claimed it, or it is abandoned",
            Self::NotOffered => "call without a run; the workflow's owner may add `completion`",
            Self::NotReviewer => "ask somebody whom the workflow's `review` names",
            Self::NotTheTasks => "tell the agent that delegated to you",
            Self::OtherRun => "leave `run` out, or name the run that `run_begin` answered",
            Self::ReviewWords { .. } => "say what was put right or is wrong, and why",
            Self::ReceiptDenied { .. } => "claim by a call that was allowed",
            Self::ReceiptFailed { .. } => {
                "make the call again, and claim by the one that went well"
            }
            Self::ReceiptForeign { .. } => {
                "name the decision id of a call that this run made: its result's `_meta` has it"
            }
            Self::ReceiptOther { .. } => "claim by a call of the tool that the criterion names",
            Self::TooMany { .. } => "keep to what matters; for more begin another run",
            Self::Unsigned => "sign with your own registered key, or sign in and use --at",
        }
    }
}

/// The criteria of a checklist, for a message.
fn listed(known: &[String]) -> String {
    match known {
        [] => "none".to_owned(),
        known => format!("`{}`", known.join("`, `")),
    }
}

impl RunError {
    /// For a criterion that a workflow does not have.
    pub(crate) fn unknown_criterion(criterion: &str, workflow: &Workflow) -> Self {
        let known = workflow.checklist.completion.iter().map(|c| c.id.clone()).collect();
        Self::CriterionUnknown { criterion: criterion.to_owned(), known }
    }
}

/// What the ledger has of a call that somebody cites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The call.
    pub action: ActionId,
    /// The run to which its decision belongs.
    pub run: Option<String>,
    /// The tool id, as far as the ledger names it.
    pub tool: Option<String>,
    /// The agent that called.
    pub agent: Option<String>,
    /// Whether it was allowed.
    pub allowed: bool,
    /// Its outcome, once it has one.
    pub outcome: Option<String>,
    /// The digest of what it gave; none, if it was erased.
    pub result: Option<Digest>,
    /// Whether another enforcement point made it, whose word all this is.
    pub external: bool,
}

impl Receipt {
    /// SECURITY: what is cited must be a call of this very run, and have been allowed.
    fn of<'r>(receipts: &'r [Self], action: &ActionId, run: &RunId) -> Result<&'r Self, RunError> {
        let found = receipts.iter().find(|receipt| receipt.action == *action);
        let found = found.filter(|receipt| receipt.run.as_deref() == Some(run.as_str()));
        let found = found.ok_or_else(|| RunError::ReceiptForeign { action: action.clone() })?;
        match found.allowed {
            true => Ok(found),
            false => Err(RunError::ReceiptDenied { action: action.clone() }),
        }
    }
}

/// Until when a run goes on if nothing more comes of it: no longer than the grant
/// under which it began.
#[must_use]
pub fn deadline(last: Timestamp, ends: Timestamp) -> Timestamp {
    last.plus_seconds(IDLE_SECONDS).min(ends)
}

/// The run that is spoken of: the open one, whatever is named.
///
/// # Errors
/// [`RunError::NoneOpen`], [`RunError::OtherRun`].
pub fn meant<'r>(open: Option<&'r Run>, named: Option<&RunId>) -> Result<&'r Run, RunError> {
    let open = open.ok_or(RunError::NoneOpen)?;
    match named {
        Some(named) if *named != open.id => Err(RunError::OtherRun),
        _ => Ok(open),
    }
}

/// A step about a run.
fn step(
    moment: &Moment<'_>,
    installation: &Installation,
    kind: Kind,
    run: &Run,
) -> Result<Step, Refusal> {
    Ok(Step::new(moment, &installation.org, kind)?.about(|s| {
        s.principal = Some(run.principal.to_string());
        s.agent = Some(run.agent.to_string());
        s.workflow = Some(run.workflow.to_string());
        s.task = Some(run.task.to_string());
        s.run = Some(run.id.to_string());
        s.grant = Some(run.grant.to_string());
    }))
}

/// `more` on top of `sum`, within [`MAX_SUM`].
fn added(sum: &RunSpent, more: &RunSpent) -> Result<(), RunError> {
    let sums = [
        ("iterations", sum.iterations, more.iterations),
        ("model calls", sum.model_calls, more.model_calls),
        ("tokens read", sum.input_tokens, more.input_tokens),
        ("tokens written", sum.output_tokens, more.output_tokens),
        ("millionths of cost", sum.cost_micros, more.cost_micros),
    ];
    match sums.into_iter().find(|(_, sum, more)| sum.saturating_add(*more) > MAX_SUM) {
        Some((what, ..)) => Err(RunError::TooMany { what, max: MAX_SUM }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
