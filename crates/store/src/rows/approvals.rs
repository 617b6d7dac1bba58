//! Calls that are held for a person, and what people said about them.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{
    AgentId, Alias, ApprovalId, InstanceId, ServerName, TaskId, ToolId, WorkflowId,
};
use bailiwick_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::UnknownText;

text_enum! {
    /// Where a held call stands. Whether it has expired is its time's matter.
    ApprovalState {
        /// Nobody settled it yet.
        Pending = "pending",
        /// As many approved as are needed.
        Approved = "approved",
        /// Somebody denied it.
        Denied = "denied",
        /// The approval was used.
        Spent = "spent",
        /// What it was asked about is something else now.
        Void = "void",
    }
}

/// A call that is held for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// Where it stands.
    pub state: ApprovalState,
    /// The action's digest.
    pub action: Digest,
    /// The version of the policy that asked.
    pub policy: Digest,
    /// The rule that asked.
    pub rule: String,
    /// The tool's risk.
    pub risk: String,
    /// The tool server.
    pub server: ServerName,
    /// The tool.
    pub tool: ToolId,
    /// On whose authority the agent acts.
    pub principal: Alias,
    /// The agent.
    pub agent: AgentId,
    /// The instance; none, where a client presents an access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<InstanceId>,
    /// The workflow.
    pub workflow: WorkflowId,
    /// Its version.
    pub workflow_digest: Digest,
    /// The task.
    pub task: TaskId,
    /// The root's token hash.
    pub root: Digest,
    /// The leaf's token hash.
    pub leaf: Digest,
    /// How many must approve.
    pub needed: u64,
    /// When it was asked for first.
    pub asked: Timestamp,
    /// Until when a verdict counts.
    pub expires: Timestamp,
    /// When it was approved or denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Timestamp>,
}

text_enum! {
    /// What somebody said.
    Said {
        /// It may happen.
        Approve = "approve",
        /// It may not.
        Deny = "deny",
    }
}

/// What one person said about a held call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// About which.
    pub approval: ApprovalId,
    /// Who.
    pub approver: Alias,
    /// What.
    pub verdict: Said,
    /// How it was signed: `passkey` or `key`.
    pub grade: String,
    /// The id of the credential that signed.
    pub credential: String,
    /// The signature, as `bailiwick_core::approval::Signed` writes it.
    pub signed: String,
    /// When.
    pub said: Timestamp,
}
