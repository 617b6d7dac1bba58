//! Standing approvals, and who signed them.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{
    AgentId, Alias, ApprovalId, ServerName, StandingId, TaskId, ToolId, WorkflowId,
};
use bailiwick_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::UnknownText;

text_enum! {
    /// Where a standing approval stands. Whether it has ended or is used up is
    /// its time's and its count's matter.
    StandingState {
        /// Whoever signed stands by it.
        Active = "active",
        /// Somebody took it back.
        Revoked = "revoked",
    }
}

/// A standing approval without its terms, which stand sealed beside its entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Its id.
    pub id: StandingId,
    /// Where it stands.
    pub state: StandingState,
    /// SHA-256 of what is signed.
    pub digest: Digest,
    /// The question because of which it was made.
    pub approval: ApprovalId,
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
    /// The workflow.
    pub workflow: WorkflowId,
    /// Its version.
    pub workflow_digest: Digest,
    /// The task.
    pub task: TaskId,
    /// The root's token hash.
    pub root: Digest,
    /// How many must sign.
    pub needed: u64,
    /// How many calls it lets pass.
    pub count: u64,
    /// How many it let pass.
    pub used: u64,
    /// From when.
    pub starts: Timestamp,
    /// Until when.
    pub ends: Timestamp,
}

/// Somebody's signature on a standing approval; its text stands sealed beside
/// the entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingSignature {
    /// On which.
    pub standing: StandingId,
    /// Who.
    pub approver: Alias,
    /// How it was made: `passkey` or `key`.
    pub grade: String,
    /// The id of the credential that signed.
    pub credential: String,
    /// When.
    pub said: Timestamp,
}

/// A signature, with the standing approval that it is on: the first one makes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingApproved {
    /// What was signed.
    pub standing: Standing,
    /// By whom.
    pub signature: StandingSignature,
}
