//! Entries, actions and guards.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{ActionId, EntryId};
use bailiwick_core::ledger::Subjects;
use bailiwick_core::time::Timestamp;
use bailiwick_tlog::Hash;

/// An entry as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its index in the log.
    pub index: u64,
    /// Its id.
    pub id: EntryId,
    /// When it happened.
    pub time: Timestamp,
    /// What happened, as [`bailiwick_core::ledger::Kind::as_str`] names it.
    pub kind: String,
    /// Who made it.
    pub maker: String,
    /// Its number in its maker's sequence.
    pub seq: u64,
    /// Who or what it is about.
    pub subjects: Subjects,
    /// The leaf's hash in the tree (RFC 6962).
    pub leaf_hash: Hash,
    /// The exact leaf.
    pub leaf: Vec<u8>,
}

/// An entry just appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Its index in the log.
    pub index: u64,
    /// The leaf's hash in the tree.
    pub leaf_hash: Hash,
    /// Its id.
    pub entry: EntryId,
}

/// An allowed call whose outcome is not recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAction {
    /// The action.
    pub action: ActionId,
    /// Its decision entry's index.
    pub decided: u64,
    /// Who decided.
    pub maker: String,
    /// The life of the process that has it under way; none where it was not noted.
    pub life: Option<String>,
}

/// A decided call and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// The decision.
    pub decided: StoredEntry,
    /// The outcome entry, if there is one.
    pub completed: Option<StoredEntry>,
}

/// One charge to one budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Whose budget: a token's hash, or a grant's digest.
    pub account: Digest,
    /// Which counter, for example `calls`.
    pub counter: String,
    /// How much; not negative.
    pub amount: i64,
    /// How much may be spent in all.
    pub limit: i64,
    /// When the account ends; its counters may be forgotten afterwards.
    pub expires: Timestamp,
}

/// What became of charges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Charged {
    /// All were made; the new totals, in the order asked for.
    All(Vec<i64>),
    /// None was made, because this one would exceed its limit.
    Exceeded {
        /// The charge's place in what was asked for.
        which: usize,
        /// What its counter had spent before.
        spent: i64,
    },
}

/// What became of a proof's identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// It was fresh and is now spent.
    Fresh,
    /// It was spent before, or is so old that nobody remembers.
    Already,
}
