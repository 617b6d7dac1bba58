//! The ledger's entries, read-only.

use askama::Template;

use super::{Frame, Moment, Text};

/// One entry in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryLine {
    /// Its number in the log.
    pub index: u64,
    /// Its id.
    pub id: String,
    /// When.
    pub time: Moment,
    /// What happened, in words.
    pub what: String,
    /// Its kind.
    pub kind: String,
    /// The agent.
    pub agent: Option<Text>,
    /// The tool, or whatever else it is about.
    pub about: Option<Text>,
    /// `allow`, `deny` or `approval_required`.
    pub decision: Option<String>,
    /// The reason code or outcome.
    pub reason: Option<Text>,
}

impl EntryLine {
    /// The badge's class.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self.decision.as_deref() {
            Some("allow") => "good",
            Some("deny") => "bad",
            Some(_) => "warn",
            None => "plain",
        }
    }

    /// The decision in words.
    #[must_use]
    pub fn decided(&self) -> &str {
        match self.decision.as_deref() {
            Some("allow") => "allowed",
            Some("deny") => "denied",
            Some("approval_required") => "needs approval",
            Some(other) => other,
            None => "",
        }
    }
}

/// What the list is narrowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActivityFilter {
    /// An agent.
    pub agent: Text,
    /// A tool.
    pub tool: Text,
    /// A task.
    pub task: Text,
    /// A kind.
    pub kind: Text,
    /// A decision.
    pub decision: Text,
}

impl ActivityFilter {
    /// Whether anything is asked for.
    #[must_use]
    pub fn is_set(&self) -> bool {
        [&self.agent, &self.tool, &self.task, &self.kind, &self.decision]
            .iter()
            .any(|text| !text.is_empty())
    }
}

/// `/activity`
#[derive(Clone, Debug, Template)]
#[template(path = "activity.html")]
pub struct ActivityPage {
    /// The frame.
    pub frame: Frame,
    /// The entries, newest first.
    pub entries: Vec<EntryLine>,
    /// What was asked for.
    pub filter: ActivityFilter,
    /// Every kind there is.
    pub kinds: Vec<&'static str>,
    /// The next, older page.
    pub older: Option<String>,
    /// Whether only what concerns the person is listed.
    pub own_only: bool,
    /// Says what is newest.
    pub mark: String,
    /// Where the script asks whether it still is; `None` on older pages, which
    /// do not change.
    pub live: Option<String>,
}

/// One member of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: Text,
    /// Its value, as JSON where it is no text.
    pub value: Text,
}

/// `/activity/{index}`
#[derive(Clone, Debug, Template)]
#[template(path = "entry.html")]
pub struct EntryPage {
    /// The frame.
    pub frame: Frame,
    /// The entry.
    pub entry: EntryLine,
    /// Who or what it is about.
    pub subjects: Vec<(&'static str, Text)>,
    /// Who made it, and its signature.
    pub made: Vec<Member>,
    /// What its kind says beside.
    pub body: Vec<Member>,
    /// The commitments to texts that lie beside the ledger.
    pub commitments: Vec<Member>,
    /// The leaf's hash.
    pub leaf_hash: String,
    /// The leaf as it was signed.
    pub leaf: Text,
    /// Where the decision is explained, if it is one and the person may read it.
    pub explained: Option<String>,
}
