//! What a workflow says beyond scope and level: where its agents may read, when
//! a run counts as complete, who reviews it, how it is undone and by what it is
//! measured.
//!
//! Everything here is optional in a file and has a price when it is absent:
//! [`Checklist::missing`] names each gap and the level that it caps.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use bailiwick_core::ids::{PrincipalId, ServerName, ToolId};
use bailiwick_core::json::{Json, Object};

use crate::catalogue::Rating;
pub use crate::grades::{EvidenceGrade, Measure, RunState, Runs, Source};

mod bound;
mod fill;
mod form;
mod missing;
mod pointer;

pub use bound::{Bound, MILLION};
pub use fill::{FillError, fill};
pub(crate) use fill::{is_broken, placeholder, texts};
pub use missing::{Missing, PLACEHOLDERS};
pub use pointer::{Pointer, PointerError};

/// The checklist of one version of a workflow. The default is empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checklist {
    /// Where its agents may read; absent, wherever the catalogue lets them.
    pub data_sources: Option<DataSources>,
    /// What must hold for a run to count as complete, in the file's order. Ids
    /// are unique.
    pub completion: Vec<Criterion>,
    /// Who looks at a run when it has ended.
    pub review: Option<Review>,
    /// How what a run did is undone, in order. Ids are unique.
    pub rollback: Vec<RollbackStep>,
    /// By what its runs are measured.
    pub evaluation: Option<Evaluation>,
    /// Whether calls must belong to a run.
    pub runs: Runs,
}

#[expect(clippy::derivable_impls, reason = "the grades are made by a macro, without defaults")]
impl Default for Runs {
    fn default() -> Self {
        Self::Optional
    }
}

/// Where agents may read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataSources {
    /// The tool servers.
    pub tool_servers: BTreeSet<ServerName>,
    /// The classes of data, as ratings state them.
    pub classes: BTreeSet<String>,
    /// Sources of a run's context besides tools, in the workflow's own words:
    /// `handbook`, `memory`. Context of another source is labelled undeclared.
    pub context: BTreeSet<String>,
}

impl Source {
    /// What `sources` say of a call of `tool`: whether they list its tool server
    /// and every class of data of its rating. `None` without a list.
    #[must_use]
    pub fn of(sources: Option<&DataSources>, tool: &ToolId, rating: &Rating) -> Option<Self> {
        let sources = sources?;
        let server = ServerName::parse(tool.server()).ok();
        let listed = server.is_some_and(|server| sources.tool_servers.contains(&server));
        Some(match listed && rating.data.is_subset(&sources.classes) {
            true => Self::Declared,
            false => Self::Undeclared,
        })
    }
}

/// One thing that must hold for a run to count as complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Criterion {
    /// Its name in the workflow: letters, digits, `.`, `_`, `-`.
    pub id: String,
    /// What must hold, for people.
    pub says: String,
    /// By what it is shown.
    pub by: Backing,
    /// Calls of which tools make earlier evidence of it stale; absent, every
    /// catalogued tool that writes.
    pub changed_by: Option<BTreeSet<ToolId>>,
}

impl Criterion {
    /// Whether a call of `tool`, which the workflow rates as `rating`, makes
    /// earlier evidence of this criterion stale.
    #[must_use]
    pub fn is_changed_by(&self, tool: &ToolId, rating: &Rating) -> bool {
        match &self.changed_by {
            Some(tools) => tools.contains(tool),
            None => rating.effect == crate::grades::Effect::Write,
        }
    }
}

/// By what a criterion is shown to hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Backing {
    /// The agent's word.
    SelfReport,
    /// The agent's word that it checked, with what it found.
    SelfCheck,
    /// A call of this tool in the run, whose outcome is `ok`.
    Tool {
        /// The tool.
        tool: ToolId,
    },
    /// What a read through the gateway, on the workflow owner's authority,
    /// answers.
    ToolCheck {
        /// The tool: one that only reads.
        tool: ToolId,
        /// Its arguments; texts `{argument:NAME}` are [filled](fill).
        arguments: Object,
        /// What its answer must say.
        expect: Vec<Expectation>,
    },
    /// A check of the server's configuration, by name.
    NamedCheck {
        /// The name.
        check: String,
    },
    /// A person's review of the run.
    Review,
}

impl Backing {
    /// The grade of the least evidence that suffices.
    #[must_use]
    pub const fn least(&self) -> EvidenceGrade {
        match self {
            Self::SelfReport => EvidenceGrade::SelfReport,
            Self::SelfCheck => EvidenceGrade::SelfCheck,
            Self::Tool { .. } => EvidenceGrade::Observed,
            Self::ToolCheck { .. } | Self::NamedCheck { .. } => EvidenceGrade::Independent,
            Self::Review => EvidenceGrade::Human,
        }
    }
}

/// What a tool's answer must say at one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// A JSON pointer (RFC 6901) into the result's `structuredContent`, else
    /// into its first text read as JSON.
    pub at: String,
    /// The value that must stand there; a text `{argument:NAME}` is filled as in
    /// the arguments.
    pub equals: Json,
}

impl Expectation {
    /// Whether `answer` says it. A place that is not there says nothing.
    #[must_use]
    pub fn holds(&self, answer: &Json) -> bool {
        let found = Pointer::parse(&self.at).ok();
        found.and_then(|at| at.find(answer).cloned()) == Some(self.equals.clone())
    }
}

/// Who looks at a run when it has ended, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// Whoever is one of these.
    pub by: BTreeSet<Reviewer>,
    /// Which runs.
    pub when: ReviewWhen,
}

/// One way to be a reviewer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reviewer {
    /// Answers for the workflow.
    Owner,
    /// The agent acted for them.
    Principal,
    /// Has this role in the console.
    Role(String),
    /// Is this very person.
    Named(PrincipalId),
}

/// The console's roles, as `role:NAME` names them.
pub const ROLES: &[&str] = &["owner", "operator", "approver", "auditor", "developer"];

/// A text that names no reviewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected `owner`, `principal`, `user:NAME` or `role:ROLE` with one of owner, operator, approver, auditor, developer"
)]
pub struct ReviewerError;

impl fmt::Display for Reviewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner => f.write_str("owner"),
            Self::Principal => f.write_str("principal"),
            Self::Role(role) => write!(f, "role:{role}"),
            Self::Named(id) => write!(f, "{id}"),
        }
    }
}

impl FromStr for Reviewer {
    type Err = ReviewerError;
    fn from_str(text: &str) -> Result<Self, ReviewerError> {
        match text {
            "owner" => return Ok(Self::Owner),
            "principal" => return Ok(Self::Principal),
            _ => {}
        }
        if let Some(role) = text.strip_prefix("role:") {
            let known = ROLES.contains(&role);
            return known.then(|| Self::Role(role.to_owned())).ok_or(ReviewerError);
        }
        // A service reviews nothing in a person's place.
        let person = PrincipalId::parse(text).ok().filter(|p| p.as_str().starts_with("user:"));
        person.map(Self::Named).ok_or(ReviewerError)
    }
}

/// Which runs are reviewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewWhen {
    /// All.
    Always,
    /// Those that ended without every criterion shown.
    Incomplete,
    /// Those that ended without every criterion shown, and every nth of the
    /// others.
    Every {
        /// 1 to [`MAX_REVIEW_EVERY`](crate::limits::MAX_REVIEW_EVERY).
        nth: u32,
    },
}

/// One step of a rollback plan.
#[derive(Clone, Debug, PartialEq)]
pub struct RollbackStep {
    /// Its name in the workflow: letters, digits, `.`, `_`, `-`.
    pub id: String,
    /// What it undoes, for people.
    pub says: String,
    /// How.
    pub how: Rollback,
}

/// How a step undoes something.
#[derive(Clone, Debug, PartialEq)]
pub enum Rollback {
    /// By a call of a tool, itself an authorised action.
    Tool {
        /// The tool.
        tool: ToolId,
        /// Its arguments: plain values, or texts `{argument:NAME}` that are
        /// [filled](fill) from the call that is undone.
        arguments: Object,
        /// The tool whose call is undone, if it is one.
        undoes: Option<ToolId>,
    },
    /// By a person, as the step says.
    Manual,
}

/// By what a workflow's runs are measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evaluation {
    /// What each measure must reach.
    pub targets: BTreeMap<Measure, Bound>,
    /// Over how many days back.
    pub window_days: u32,
    /// How many runs there must be for the targets to say anything.
    pub minimum_runs: u32,
    /// How sure it must be that a target is met, in percent.
    pub confidence_percent: u8,
    /// How many runs may fail before the level is lowered.
    pub error_budget: Option<ErrorBudget>,
}

/// More failed runs than this within the window lower the level at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorBudget {
    /// Failed runs that are still within it.
    pub failed_runs: u32,
    /// The window, hours back from now.
    pub window_hours: u32,
}

#[cfg(test)]
pub(crate) mod tests;
