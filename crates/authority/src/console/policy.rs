//! The organisation's policy: what is in force, why something was decided, and
//! what another bundle would have decided.

use askama::Template;

use super::{Frame, Moment, Text};

/// One policy of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyLine {
    /// Its id.
    pub id: Text,
    /// `permit`, `forbid` or `approval`.
    pub does: &'static str,
    /// Its reason.
    pub reason: Text,
    /// Its file and line.
    pub place: Text,
}

impl PolicyLine {
    /// The badge's class.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self.does {
            "permit" => "good",
            "forbid" => "bad",
            _ => "warn",
        }
    }
}

/// One file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFile {
    /// Its name.
    pub name: Text,
    /// Its lines: texts from outside, each made safe to be read.
    pub lines: Vec<Text>,
}

/// A bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleCard {
    /// What it is to the installation, as a heading.
    pub title: &'static str,
    /// The heading's id on the page.
    pub id: &'static str,
    /// Its digest.
    pub digest: String,
    /// When it was published, where that is known.
    pub published: Option<Moment>,
    /// The number of the entry that says so.
    pub entry: Option<u64>,
    /// Its policies.
    pub policies: Vec<PolicyLine>,
    /// How many of them are asked about every call.
    pub unscoped: usize,
    /// Its texts.
    pub files: Vec<PolicyFile>,
}

/// One publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicationLine {
    /// `enforced` or `candidate`.
    pub place: &'static str,
    /// The digest; none: the trial ended.
    pub digest: Option<String>,
    /// Whether nothing was published to this place since.
    pub is_current: bool,
    /// When.
    pub at: Moment,
}

/// `/policy`
#[derive(Clone, Debug, Template)]
#[template(path = "policy.html")]
pub struct PolicyPage {
    /// The frame.
    pub frame: Frame,
    /// What is in force and on trial, or the one bundle that was asked for.
    pub bundles: Vec<BundleCard>,
    /// Whether one bundle was asked for by its digest.
    pub is_one: bool,
    /// Publications, newest first.
    pub history: Vec<PublicationLine>,
    /// The digest with which a replay begins, if there is a bundle.
    pub replay: Option<String>,
    /// Whether the person may have past decisions explained and replayed.
    pub reads_decisions: bool,
    /// Decisions of one replay at most.
    pub most: u32,
}

/// What a bundle said of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WordCard {
    /// What the bundle was, as a heading.
    pub title: &'static str,
    /// Its digest.
    pub digest: String,
    /// What it answered.
    pub answer: Text,
    /// The policies behind it; those of a bundle that is not kept have only ids.
    pub policies: Vec<PolicyLine>,
}

/// `/policy/explain/{action}`
#[derive(Clone, Debug, Template)]
#[template(path = "explain.html")]
pub struct ExplainPage {
    /// The frame.
    pub frame: Frame,
    /// The call.
    pub action: Text,
    /// The tool.
    pub tool: Option<Text>,
    /// The agent.
    pub agent: Option<Text>,
    /// The number of the decision's entry.
    pub entry: u64,
    /// When.
    pub at: Moment,
    /// The decision in words.
    pub decided: Text,
    /// The badge's class.
    pub class: &'static str,
    /// The reason's code.
    pub reason: Option<Text>,
    /// The rule that settled it; `None`: it did not come to policy.
    pub rule: Option<Text>,
    /// What the rule, or the reason, says.
    pub sentence: Text,
    /// What the bundles said.
    pub words: Vec<WordCard>,
}

/// A decision that would be another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlipLine {
    /// The call.
    pub action: Text,
    /// When.
    pub at: Moment,
    /// The agent.
    pub agent: Text,
    /// The tool.
    pub tool: Text,
    /// What was decided.
    pub was: Text,
    /// What would be.
    pub would: Text,
    /// By which rule.
    pub rule: Text,
    /// What the rule says.
    pub sentence: Text,
}

/// `/policy/replay`
#[derive(Clone, Debug, Template)]
#[template(path = "replay.html")]
pub struct ReplayPage {
    /// The frame.
    pub frame: Frame,
    /// The bundle.
    pub digest: String,
    /// How many of the newest decisions were asked for.
    pub last: u32,
    /// Decisions that stay as they were.
    pub same: u64,
    /// Those of them that ask for a person and have one's approval on record.
    pub approved: u64,
    /// Decisions that would be others.
    pub flipped: u64,
    /// Those by what they were and would be.
    pub by_change: Vec<(Text, u64)>,
    /// Those by the rule that settles them.
    pub by_rule: Vec<(Text, u64)>,
    /// Some of them.
    pub flips: Vec<FlipLine>,
    /// Decisions that cannot be made again, by why.
    pub not_replayable: Vec<(Text, u64)>,
}

impl ReplayPage {
    /// Whether more decisions would be others than are listed.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        u64::try_from(self.flips.len()).is_ok_and(|listed| listed < self.flipped)
    }
}
