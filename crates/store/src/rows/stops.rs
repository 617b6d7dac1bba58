//! Stops, and what people signed so that they end.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{Alias, EntryId, StopId};
use bailiwick_core::stop::StopTarget;
use bailiwick_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Revocation, Subject, UnknownText};

text_enum! {
    /// In which capacity somebody stopped something.
    StoppedBy {
        /// The gateway itself.
        Gateway = "gateway",
        /// Whoever has the data dir.
        Operator = "operator",
        /// Somebody who is signed in.
        Person = "person",
    }
}

/// A stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Its id.
    pub id: StopId,
    /// What it stops.
    pub target: StopTarget,
    /// Who stopped it.
    pub by: StoppedBy,
    /// Which person, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<Alias>,
    /// The commitment to why, as in its entry.
    pub reason: Digest,
    /// When.
    pub stopped: Timestamp,
    /// When it ended; the row of the entry that stops has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed: Option<Timestamp>,
    /// Who signed last, so that it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_by: Option<Alias>,
}

/// What one person signed so that a stop ends. The signature itself is
/// committed to in the entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumption {
    /// Which stop.
    pub stop: StopId,
    /// Who.
    pub principal: Alias,
    /// The id of the credential that signed.
    pub credential: String,
    /// How it was signed: `passkey` or `key`.
    pub grade: String,
    /// When.
    pub signed: Timestamp,
    /// Until when it counts.
    pub expires: Timestamp,
}

/// One change that followers learn of, in the order in which they were made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Its number, from 1, without gaps.
    pub seq: u64,
    /// What changed.
    pub change: Change,
    /// When.
    pub time: Timestamp,
    /// The entry that records it.
    pub entry: EntryId,
}

/// What changed of what may act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Something was revoked, for good.
    Revoked {
        /// What no longer holds.
        subject: Subject,
        /// Why, as a code.
        reason: String,
    },
    /// Something was stopped.
    Stopped {
        /// The stop.
        stop: StopId,
        /// What.
        target: StopTarget,
    },
    /// A stop ended.
    Resumed {
        /// The stop.
        stop: StopId,
        /// What it stopped.
        target: StopTarget,
    },
}

impl From<Revocation> for Notice {
    fn from(revocation: Revocation) -> Self {
        let Revocation { seq, subject, reason, time, entry } = revocation;
        Self { seq, change: Change::Revoked { subject, reason }, time, entry }
    }
}
