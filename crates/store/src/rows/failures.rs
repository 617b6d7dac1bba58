//! Failures: what went wrong, what kind it is, and how it was mended.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{
    ActionId, AgentId, Alias, EntryId, FailureId, RunId, TaskId, ToolId, WorkflowId,
};
use bailiwick_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::UnknownText;

text_enum! {
    /// What was detected.
    FailureKind {
        /// A run simply stopped.
        AbandonedRun = "abandoned_run",
        /// A call was denied.
        BlockedCall = "blocked_call",
        /// A budget was spent before the work was done.
        BudgetEnd = "budget_end",
        /// A person put a run right.
        Correction = "correction",
        /// A person denied a call.
        DeniedApproval = "denied_approval",
        /// A peer was turned away, or turned a task away.
        PeerRefusal = "peer_refusal",
        /// A person found a run to be of no use.
        Rejection = "rejection",
        /// A tool did not answer in time.
        Timeout = "timeout",
        /// A run was claimed and does not count as complete.
        UnmetCriterion = "unmet_criterion",
    }
}

text_enum! {
    /// What must change so that it does not happen again.
    FailureClass {
        /// How the agent is instructed.
        Prompt = "prompt",
        /// Where and how it finds what it must know.
        RetrievalLayer = "retrieval_layer",
        /// What a tool takes, gives or promises.
        ToolContract = "tool_contract",
        /// What is granted, to whom, and what policy says.
        PermissionModel = "permission_model",
        /// What counts as done, and how that is checked.
        EvaluationSuite = "evaluation_suite",
        /// What people do around it.
        HumanProcess = "human_process",
    }
}

text_enum! {
    /// Where a failure stands.
    FailureState {
        /// Nobody said yet what it is.
        Detected = "detected",
        /// A person said what it is.
        Classified = "classified",
        /// It was mended, or there is nothing to mend.
        Resolved = "resolved",
    }
}

text_enum! {
    /// What keeps it from happening again unnoticed.
    Regression {
        /// The recorded decision is a case of the policy's tests.
        Case = "case",
        /// Nothing that a test could hold.
        None = "none",
        /// There was nothing to mend.
        Dismissed = "dismissed",
        /// What was missing came later by itself.
        MetLater = "met_later",
    }
}

/// A failure. Notes, links and reasons in words are behind the entries' commitments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Its id.
    pub id: FailureId,
    /// Where it stands.
    pub state: FailureState,
    /// What was detected.
    pub what: FailureKind,
    /// What equal ones have in common.
    pub fold: String,
    /// The workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<WorkflowId>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// The task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// The run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The first call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionId>,
    /// The tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<ToolId>,
    /// The code of a denial or a refusal; else what was detected.
    pub reason: String,
    /// The class that the rules suggest.
    pub suggested: FailureClass,
    /// The class that a person chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<FailureClass>,
    /// Who chose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classifier: Option<Alias>,
    /// Who mends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Alias>,
    /// What keeps it from coming back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regression: Option<Regression>,
    /// The digest of the file of cases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cases: Option<Digest>,
    /// Whether its case held already when it was detected: then it shows no mend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_before: Option<bool>,
    /// The resolved failure that it repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<FailureId>,
    /// The first entry that shows it.
    pub source: EntryId,
    /// When it happened first.
    pub detected: Timestamp,
    /// When a person said what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classified: Option<Timestamp>,
    /// When it was resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Timestamp>,
}

impl Failure {
    /// The class that a person chose, else the one that the rules suggest.
    #[must_use]
    pub fn class_so_far(&self) -> FailureClass {
        self.class.unwrap_or(self.suggested)
    }
}

/// How often a failure was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailureSeen {
    /// How often.
    pub times: u64,
    /// When last.
    pub last: Timestamp,
}

/// Failures of a week by class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureTrend {
    /// The Monday that the week begins with, UTC.
    pub week: Timestamp,
    /// The class that a person chose; `None` while nobody did.
    pub class: Option<FailureClass>,
    /// How many were detected.
    pub failures: u64,
}

/// What a person said of a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureClassified {
    /// Which.
    pub failure: FailureId,
    /// The class.
    pub class: FailureClass,
    /// Who said so; `None`: the operator, on the data dir.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Alias>,
    /// Who mends it.
    pub owner: Alias,
}

/// How a failure was resolved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailureResolved {
    /// Which.
    pub failure: FailureId,
    /// What keeps it from coming back.
    pub regression: Regression,
    /// The digest of the file of cases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cases: Option<Digest>,
    /// Of a case, whether it held already when the failure was detected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_before: Option<bool>,
}
