//! The search over the whole ledger.

use askama::Template;

use super::{EntryLine, Frame, Text};

/// What is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerFilter {
    /// An entry's number or id, or a call's.
    pub entry: Text,
    /// A principal's name or alias.
    pub principal: Text,
    /// An agent.
    pub agent: Text,
    /// A task.
    pub task: Text,
    /// A tool.
    pub tool: Text,
    /// A kind.
    pub kind: Text,
    /// A decision.
    pub decision: Text,
    /// Not before this time.
    pub since: Text,
    /// Before this time.
    pub until: Text,
}

impl LedgerFilter {
    /// Whether anything is asked for.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self != &Self::default()
    }
}

/// `/ledger`
#[derive(Clone, Debug, Template)]
#[template(path = "ledger.html")]
pub struct LedgerPage {
    /// The frame.
    pub frame: Frame,
    /// What is looked for.
    pub filter: LedgerFilter,
    /// Every kind there is.
    pub kinds: Vec<&'static str>,
    /// What was found, newest first.
    pub entries: Vec<EntryLine>,
    /// Where the search goes on.
    pub older: Option<String>,
    /// The oldest number that was looked at, where there are older ones and the
    /// page is not full.
    pub looked_to: Option<u64>,
    /// Whether this is the newest part.
    pub is_newest: bool,
    /// Entries on record.
    pub size: u64,
    /// Entries under the published checkpoint; `None` while nothing is published.
    pub tree: Option<u64>,
    /// What of the search is not understood, or was not found.
    pub problem: Option<&'static str>,
}
