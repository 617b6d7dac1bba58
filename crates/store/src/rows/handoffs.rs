//! Handshakes of agents, and the tasks that they hand to each other.

use bailiwick_core::crypto::{Digest, Thumbprint};
use bailiwick_core::guarantee::{Grade, Guarantee};
use bailiwick_core::ids::{
    AgentId, Alias, EntryId, GrantId, HandoffId, InstanceId, TaskId, WorkflowId,
};
use bailiwick_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::UnknownText;

text_enum! {
    /// Where a handoff stands. Whether it has expired is its time's matter.
    HandoffState {
        /// The other side did not answer yet.
        Offered = "offered",
        /// The other side took it over.
        Accepted = "accepted",
        /// The other side did not take it over.
        Rejected = "rejected",
    }
}

/// Two agents that proved to each other who they are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handshake {
    /// The hash that both signed.
    pub transcript: Digest,
    /// The SPIFFE ID of who asked.
    pub initiator: String,
    /// The SPIFFE ID of who answered.
    pub responder: String,
    /// Whether both signed the connection's own value with it.
    pub bound: bool,
    /// When it was recorded.
    pub seen: Timestamp,
    /// When the first of the two identities ends.
    pub expires: Timestamp,
}

/// A task that one agent hands to another. Purpose, context and claims are behind
/// the entry's commitments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handoff {
    /// Its id, as the offer has it.
    pub id: HandoffId,
    /// Where it stands.
    pub state: HandoffState,
    /// SHA-256 of the signed offer.
    pub hash: Digest,
    /// The handshake that it rests on.
    pub transcript: Digest,
    /// The taker's challenge.
    pub challenge: Digest,
    /// On whose authority the task is done.
    pub principal: Alias,
    /// The workflow.
    pub workflow: WorkflowId,
    /// The task.
    pub task: TaskId,
    /// The grant behind its chain.
    pub grant: GrantId,
    /// The root's token hash.
    pub root: Digest,
    /// The giver's own token, from which the child was derived.
    pub parent: Digest,
    /// The child's token hash.
    pub leaf: Digest,
    /// The giver's SPIFFE ID.
    pub from_id: String,
    /// The giver's agent.
    pub from_agent: AgentId,
    /// The giver's instance.
    pub from_instance: InstanceId,
    /// The taker's SPIFFE ID.
    pub to_id: String,
    /// The taker's agent.
    pub to_agent: AgentId,
    /// The taker's instance.
    pub to_instance: InstanceId,
    /// The taker's holder key.
    pub holder: Thumbprint,
    /// Who answers here for a taker of another trust domain; `None` for a local one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Alias>,
    /// How sure the two are of each other: the less sure of both, once both said.
    pub guarantee: Guarantee,
    /// The worst grade among the claims; `None`: there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claims: Option<Grade>,
    /// When it was offered.
    pub offered: Timestamp,
    /// Until when it can be taken over.
    pub expires: Timestamp,
    /// When the other side answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Timestamp>,
    /// When the other side said how it went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returned: Option<Timestamp>,
    /// The entry of what it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_entry: Option<EntryId>,
}
