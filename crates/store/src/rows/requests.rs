//! What agents asked for that they lack.

use bailiwick_core::crypto::{Digest, Thumbprint};
use bailiwick_core::ids::{AgentId, Alias, GrantId, InstanceId, RequestId, TaskId, WorkflowId};
use bailiwick_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::UnknownText;

text_enum! {
    /// Where a request stands. Whether it has expired is its time's matter.
    RequestState {
        /// Nobody decided yet.
        Pending = "pending",
        /// Somebody granted it, or a part of it.
        Granted = "granted",
        /// Somebody refused it.
        Refused = "refused",
    }
}

/// An agent's request for authority that it lacks. Scope and reason are behind
/// the entry's commitments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityRequest {
    /// Its id.
    pub id: RequestId,
    /// Where it stands.
    pub state: RequestState,
    /// On whose authority the agent acted when it asked.
    pub principal: Alias,
    /// The agent.
    pub agent: AgentId,
    /// The instance.
    pub instance: InstanceId,
    /// The instance's holder key: what is granted is bound to it.
    pub holder: Thumbprint,
    /// The workflow.
    pub workflow: WorkflowId,
    /// Its version.
    pub workflow_digest: Digest,
    /// The task.
    pub task: TaskId,
    /// The grant under which it was asked.
    pub grant: GrantId,
    /// The root's token hash.
    pub root: Digest,
    /// The leaf's token hash.
    pub leaf: Digest,
    /// For how long at most.
    pub seconds: u64,
    /// When it was asked.
    pub asked: Timestamp,
    /// Until when somebody may decide.
    pub expires: Timestamp,
    /// When somebody decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Timestamp>,
    /// The grant that answers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<GrantId>,
}
