//! What can be revoked, and revocations in their order.

use bailiwick_core::crypto::{Digest, Thumbprint};
use bailiwick_core::ids::{
    AgentId, Alias, EntryId, GrantId, InstanceId, ServerName, TaskId, WorkflowId,
};
use bailiwick_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::Notice;

/// What can be revoked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Subject {
    /// An agent.
    Agent {
        /// Its name.
        id: AgentId,
    },
    /// A token, root or derived, and all its descendants.
    Delegation {
        /// Its token hash.
        token: Digest,
    },
    /// A grant: no root is issued under it any more.
    Grant {
        /// Its id.
        id: GrantId,
    },
    /// A holder key under one root.
    HolderKey {
        /// The key's thumbprint.
        holder: Thumbprint,
        /// The root's token hash.
        root: Digest,
    },
    /// An instance.
    Instance {
        /// Its id.
        id: InstanceId,
    },
    /// A principal.
    Principal {
        /// Its alias.
        alias: Alias,
    },
    /// A task.
    Task {
        /// Its id.
        id: TaskId,
    },
    /// A tool server.
    ToolServer {
        /// Its name.
        name: ServerName,
    },
    /// A workflow, all versions.
    Workflow {
        /// Its name.
        id: WorkflowId,
    },
}

impl Subject {
    /// The kind's name.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Agent { .. } => "agent",
            Self::Delegation { .. } => "delegation",
            Self::Grant { .. } => "grant",
            Self::HolderKey { .. } => "holder_key",
            Self::Instance { .. } => "instance",
            Self::Principal { .. } => "principal",
            Self::Task { .. } => "task",
            Self::ToolServer { .. } => "tool_server",
            Self::Workflow { .. } => "workflow",
        }
    }

    /// Its key within the kind, as text; hashes in base64url.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Agent { id } => id.to_string(),
            Self::Delegation { token } => token.to_string(),
            Self::Grant { id } => id.to_string(),
            Self::HolderKey { holder, .. } => holder.to_string(),
            Self::Instance { id } => id.to_string(),
            Self::Principal { alias } => alias.to_string(),
            Self::Task { id } => id.to_string(),
            Self::ToolServer { name } => name.to_string(),
            Self::Workflow { id } => id.to_string(),
        }
    }

    /// The root under which a holder key is barred.
    #[must_use]
    pub const fn root(&self) -> Option<&Digest> {
        match self {
            Self::HolderKey { root, .. } => Some(root),
            _ => None,
        }
    }

    pub(crate) fn from_columns(kind: &str, key: &str, root: &[u8]) -> Option<Self> {
        Some(match kind {
            "agent" => Self::Agent { id: key.parse().ok()? },
            "delegation" => Self::Delegation { token: Digest::from_text(key)? },
            "grant" => Self::Grant { id: key.parse().ok()? },
            "holder_key" => Self::HolderKey {
                holder: Thumbprint::from_text(key)?,
                root: Digest::from_array(root.try_into().ok()?),
            },
            "instance" => Self::Instance { id: key.parse().ok()? },
            "principal" => Self::Principal { alias: key.parse().ok()? },
            "task" => Self::Task { id: key.parse().ok()? },
            "tool_server" => Self::ToolServer { name: key.parse().ok()? },
            "workflow" => Self::Workflow { id: key.parse().ok()? },
            _ => return None,
        })
    }
}

/// One revocation, in the order in which they were made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Its number, from 1, without gaps.
    pub seq: u64,
    /// What no longer holds.
    pub subject: Subject,
    /// Why, as a code.
    pub reason: String,
    /// When.
    pub time: Timestamp,
    /// The entry that records it.
    pub entry: EntryId,
}

/// Revocations for a follower. Everything up to `upto` was in the state when
/// it was read: the time just before the read is the follower's `as_of`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocations {
    /// In order, those after the number asked for, with what was stopped and
    /// resumed.
    pub rows: Vec<Notice>,
    /// The follower's new position.
    pub upto: u64,
    /// Whether there are more than were returned: the follower is current only
    /// when it is `false`.
    pub more: bool,
}
