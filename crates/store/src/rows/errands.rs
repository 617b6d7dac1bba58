//! Calls because of a run that is over, which are none of its own.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{ActionId, EntryId, RunId, ToolId};
use bailiwick_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::UnknownText;

text_enum! {
    /// What an errand is for.
    ErrandKind {
        /// Somebody else's check of the run.
        Check = "check",
        /// A step of the workflow's rollback plan.
        Rollback = "rollback",
    }
}

/// A call of a tool that an errand is announced for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrandCall {
    /// The token hash of the root of the delegation that makes it.
    pub root: Digest,
    /// The tool.
    pub tool: ToolId,
    /// The keyed digest of its arguments.
    pub arguments: Digest,
}

/// Something that somebody set out to do because of a run. The entry's id is its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errand {
    /// The run.
    pub run: RunId,
    /// What for.
    pub what: ErrandKind,
    /// The step's id, or the criterion's.
    pub name: String,
    /// The call that is undone, if it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<ActionId>,
    /// The call; none where a person does it by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<ErrandCall>,
    /// Until when the call is waited for.
    pub until: Timestamp,
}

/// An errand, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunErrand {
    /// Its entry.
    pub entry: EntryId,
    /// The step's id, or the criterion's.
    pub name: String,
    /// The call that is undone, if it is one.
    pub undoes: Option<ActionId>,
    /// Until when its call is waited for.
    pub until: Timestamp,
    /// The decision that it was announced for, once there is one.
    pub decision: Option<String>,
    /// The call that was decided.
    pub action: Option<ActionId>,
    /// What became of an allowed one.
    pub outcome: Option<String>,
    /// The index of its outcome's entry.
    pub over: Option<u64>,
}

impl RunErrand {
    /// Whether it led to a call that was allowed.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.decision.as_deref() == Some("allow")
    }
}
