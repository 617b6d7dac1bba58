//! Failures: what shows one, what kind it may be, and how a person says so and
//! resolves it.
//!
//! Nothing here changes what anybody may do. A permission is mended by granting
//! less, which needs nobody's leave, or goes through review: by a request for more
//! authority, a published version of the workflow or of the policy.

use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::ids::{Alias, EntryId, FailureId};
use bailiwick_core::ledger::Kind;
use bailiwick_policy::Policies;
use bailiwick_policy::bundle::Answer;
use bailiwick_policy::call::Call;
use bailiwick_policy::cases::{self, case_name};
use bailiwick_store::{
    Failure, FailureClass, FailureClassified, FailureResolved, FailureState, Regression, Row,
};

use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;

mod detect;
mod suggest;

pub use detect::{Detected, Seen, Shows, detect};
pub(crate) use detect::{fold_of_more, fold_of_run};
pub use suggest::{Fix, Suggestion, fix, suggest};

/// Failures of one task that are told apart at most; further ones are one.
pub const MAX_OF_TASK: u64 = 20;
/// Characters of a note, a reason or a link at most.
pub const MAX_NOTE_CHARS: usize = 1_000;
/// Bytes of a file of cases at most.
pub const MAX_CASES_BYTES: usize = 48 * 1024;

/// Why a failure is not classified or resolved so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FailureError {
    /// It is resolved.
    #[error("the failure is resolved")]
    Settled,
    /// Nobody said yet what kind it is.
    #[error("nobody said yet what kind of failure it is")]
    Unclassified,
    /// A reason that must be given.
    #[error("without a regression a reason is needed")]
    NoReason,
    /// A case that must be given.
    #[error("the file of cases is missing or too large")]
    NoCases,
    /// A file that does not read.
    #[error("the file of cases cannot be read: {why}")]
    CasesMalformed {
        /// The first problem.
        why: String,
    },
    /// The case is not in the file, or is about another call.
    #[error("the file has no case `{name}` with the call as it was recorded")]
    CaseMissing {
        /// Its name.
        name: String,
    },
    /// The case does not hold.
    #[error("the case does not hold under the policy in force: {why}")]
    CaseFails {
        /// Why.
        why: String,
    },
    /// It was no decision of policy, or what it looked at is gone.
    #[error("there is no decision to make a case of: {why}")]
    NoDecision {
        /// Why.
        why: String,
    },
    /// One person alone would let more pass than was decided.
    #[error("the case lets more pass than was decided, and nobody else looked at it")]
    WidensAlone,
}

impl FailureError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Settled => "failure-settled",
            Self::Unclassified => "failure-unclassified",
            Self::NoReason => "failure-reason-missing",
            Self::NoCases => "failure-cases-missing",
            Self::CasesMalformed { .. } => "failure-cases-malformed",
            Self::CaseMissing { .. } => "failure-case-missing",
            Self::CaseFails { .. } => "failure-case-fails",
            Self::NoDecision { .. } => "failure-no-decision",
            Self::WidensAlone => "failure-widens-alone",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Settled => "nothing: if it happens again, it is another failure",
            Self::Unclassified => "classify it first, or dismiss it with a reason",
            Self::NoReason => "say why",
            Self::NoCases => {
                "send the file that `bailiwick failure regression` wrote, at most 48 KiB"
            }
            Self::CasesMalformed { .. } => "mend it, and try it with `bailiwick policy test`",
            Self::CaseMissing { .. } => {
                "write the case with `bailiwick failure regression`, and leave its call as it is"
            }
            Self::CaseFails { .. } => "publish the policy that mends it first",
            Self::NoDecision { .. } => "resolve it without a case, and say why",
            Self::WidensAlone => {
                "let somebody else than whoever classified it resolve it, signed in as themselves"
            }
        }
    }
}

/// The entry of a failure that was seen for the first time.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn detected(
    moment: &Moment<'_>,
    installation: &Installation,
    failure: &Failure,
) -> Result<Step, Refusal> {
    Ok(about(moment, installation, Kind::FailureDetected, failure)?
        .about(|s| s.reason = Some(failure.reason.clone()))
        .with("what", failure.what.as_str())
        .with("suggested", failure.suggested.as_str())
        .with("source", &failure.source)
        .with_some("again", failure.again.as_ref())
        .row(Row::Failure(Box::new(failure.clone()))))
}

/// What a person says of a failure.
#[derive(Clone, Debug)]
pub struct Classifying<'a> {
    /// Its class.
    pub class: FailureClass,
    /// Who says so; `None`: the operator, on the data dir.
    pub by: Option<&'a Alias>,
    /// Who mends it.
    pub owner: &'a Alias,
    /// In their words.
    pub note: Option<&'a str>,
}

/// Records what kind of failure it is.
///
/// # Errors
/// [`FailureError::Settled`], [`Refusal::NoteTooLong`].
pub fn classify(
    moment: &Moment<'_>,
    installation: &Installation,
    failure: &Failure,
    said: &Classifying<'_>,
) -> Result<Plan<()>, Refusal> {
    open(failure)?;
    let row = FailureClassified {
        failure: failure.id.clone(),
        class: said.class,
        by: said.by.cloned(),
        owner: said.owner.clone(),
    };
    let step = about(moment, installation, Kind::FailureClassified, failure)?
        .about(|s| s.principal = said.by.map(ToString::to_string))
        .with("class", said.class.as_str())
        .with("suggested", failure.suggested.as_str())
        .with("by", if said.by.is_some() { "person" } else { "operator" })
        .with("owner", said.owner)
        .row(Row::FailureClassified(row));
    let step = noted(moment, step, "note", said.note)?;
    Ok(Plan::one(step, ()))
}

/// How a person resolves a failure.
#[derive(Clone, Debug, Default)]
pub struct Resolving<'a> {
    /// Who; `None`: the operator, on the data dir.
    pub by: Option<&'a Alias>,
    /// Where the fix is.
    pub link: Option<&'a str>,
    /// Why there is no regression, or nothing to mend.
    pub why: Option<&'a str>,
    /// What keeps it from coming back.
    pub how: How<'a>,
}

/// What keeps a failure from coming back.
#[derive(Clone, Debug, Default)]
pub enum How<'a> {
    /// The recorded decision is a case.
    Case {
        /// The file's text.
        cases: &'a str,
        /// What was recorded: the call, and what was decided.
        recorded: Option<(&'a Call, Answer)>,
        /// The policy in force.
        policies: &'a Policies,
    },
    /// Nothing that a test could hold.
    #[default]
    None,
    /// There was nothing to mend.
    Dismissed,
}

/// How much an answer lets pass.
const fn reach(answer: Answer) -> u8 {
    match answer {
        Answer::Deny => 0,
        Answer::ApprovalRequired => 1,
        Answer::Allow => 2,
    }
}

/// What a resolution rests on.
struct Held {
    regression: Regression,
    /// The digest of the file of cases.
    cases: Option<Digest>,
    /// Whether the case expects what was decided: then it held before anything was
    /// mended.
    before: Option<bool>,
}

impl Held {
    const fn without_case(regression: Regression) -> Self {
        Self { regression, cases: None, before: None }
    }
}

/// Whether a file keeps a failure from coming back.
///
/// SECURITY: a case that lets more pass than was decided is signed off by two.
fn held(failure: &Failure, said: &Resolving<'_>) -> Result<Held, FailureError> {
    let (cases, recorded, policies) = match &said.how {
        How::None if said.why.is_none() => return Err(FailureError::NoReason),
        How::Dismissed if said.why.is_none() => return Err(FailureError::NoReason),
        How::None => return Ok(Held::without_case(Regression::None)),
        How::Dismissed => return Ok(Held::without_case(Regression::Dismissed)),
        How::Case { cases, recorded, policies } => (*cases, recorded, policies),
    };
    if cases.is_empty() || cases.len() > MAX_CASES_BYTES {
        return Err(FailureError::NoCases);
    }
    let gone = || FailureError::NoDecision { why: "nothing of it was retained".to_owned() };
    let (call, decided) = recorded.ok_or_else(gone)?;
    let parsed = cases::parse(cases).map_err(|problems| FailureError::CasesMalformed {
        why: problems.first().map(ToString::to_string).unwrap_or_default(),
    })?;
    let name = case_name(&failure.id);
    let found =
        parsed.iter().find(|case| case.name == name && case.call.to_json() == call.to_json());
    let case = found.ok_or(FailureError::CaseMissing { name })?;
    if let Some(why) = case.put_to(policies).failures.into_iter().next() {
        return Err(FailureError::CaseFails { why });
    }
    if reach(case.expect) > reach(decided) {
        // Two people: whoever classified it on the data dir may be either of them.
        let another = matches!(
            (said.by, &failure.classifier),
            (Some(by), Some(classifier)) if by != classifier
        );
        if !another {
            return Err(FailureError::WidensAlone);
        }
    }
    Ok(Held {
        regression: Regression::Case,
        cases: Some(sha256(cases.as_bytes())),
        before: Some(case.expect == decided),
    })
}

/// Records that a failure was mended, or that there is nothing to mend. Gives, for
/// a case, whether it held already by what was decided when the failure was
/// detected; that it holds now is a condition.
///
/// # Errors
/// [`FailureError`], [`Refusal::NoteTooLong`].
pub fn resolve(
    moment: &Moment<'_>,
    installation: &Installation,
    failure: &Failure,
    said: &Resolving<'_>,
) -> Result<Plan<Option<bool>>, Refusal> {
    open(failure)?;
    if failure.state == FailureState::Detected && !matches!(said.how, How::Dismissed) {
        return Err(FailureError::Unclassified.into());
    }
    let Held { regression, cases, before } = held(failure, said)?;
    let step = resolved(moment, installation, failure, regression, (cases, before))?
        .about(|s| s.principal = said.by.map(ToString::to_string))
        .with("by", if said.by.is_some() { "person" } else { "operator" });
    let step = noted(moment, step, "link", said.link)?;
    let step = noted(moment, step, "why", said.why)?;
    Ok(Plan::one(step, before))
}

/// What was missing came later by itself; `source` is the entry that shows it.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn met_later(
    moment: &Moment<'_>,
    installation: &Installation,
    failure: &Failure,
    source: &EntryId,
) -> Result<Step, Refusal> {
    Ok(resolved(moment, installation, failure, Regression::MetLater, (None, None))?
        .with("by", "authority")
        .with("source", source))
}

fn resolved(
    moment: &Moment<'_>,
    installation: &Installation,
    failure: &Failure,
    regression: Regression,
    (cases, held_before): (Option<Digest>, Option<bool>),
) -> Result<Step, Refusal> {
    let row = FailureResolved { failure: failure.id.clone(), regression, cases, held_before };
    Ok(about(moment, installation, Kind::FailureResolved, failure)?
        .with("regression", regression.as_str())
        .with_some("cases", cases)
        .with_some("held_before", held_before)
        .row(Row::FailureResolved(row)))
}

fn open(failure: &Failure) -> Result<(), FailureError> {
    match failure.state {
        FailureState::Resolved => Err(FailureError::Settled),
        FailureState::Detected | FailureState::Classified => Ok(()),
    }
}

fn noted(
    moment: &Moment<'_>,
    step: Step,
    field: &str,
    text: Option<&str>,
) -> Result<Step, Refusal> {
    match text {
        None => Ok(step),
        Some(text) if text.chars().count() > MAX_NOTE_CHARS => {
            Err(Refusal::NoteTooLong { max: MAX_NOTE_CHARS })
        }
        Some(text) => step.commit(moment, field, text),
    }
}

fn about(
    moment: &Moment<'_>,
    installation: &Installation,
    kind: Kind,
    failure: &Failure,
) -> Result<Step, Refusal> {
    let text = |id: Option<&dyn std::fmt::Display>| id.map(ToString::to_string);
    Ok(Step::new(moment, &installation.org, kind)?
        .about(|s| {
            s.agent = text(failure.agent.as_ref().map(|id| id as _));
            s.workflow = text(failure.workflow.as_ref().map(|id| id as _));
            s.task = text(failure.task.as_ref().map(|id| id as _));
            s.run = text(failure.run.as_ref().map(|id| id as _));
            s.tool = text(failure.tool.as_ref().map(|id| id as _));
        })
        .with("failure", &failure.id))
}

/// The id under which a new failure is kept.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn mint(moment: &Moment<'_>) -> Result<FailureId, Refusal> {
    Ok(FailureId::mint(moment.now(), moment.random()?))
}
