//! Grants and the delegations under them.

use askama::Template;

use super::{Frame, Moment, Text};

/// How a grant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is in force.
    Active,
    /// It begins later.
    Waiting,
    /// It has ended by itself.
    Ended,
    /// It was taken back.
    Revoked,
    /// What it comes under is stopped.
    Stopped,
}

impl Standing {
    /// In a word, for programs.
    #[must_use]
    pub const fn state(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Waiting => "waiting",
            Self::Ended => "ended",
            Self::Revoked => "revoked",
            Self::Stopped => "stopped",
        }
    }

    /// In a word, for people.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "not yet begun",
            other => other.state(),
        }
    }

    /// Whether it can still be taken back.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Active | Self::Waiting | Self::Stopped)
    }

    /// The badge's class.
    #[must_use]
    pub const fn class(self) -> &'static str {
        match self {
            Self::Active => "good",
            Self::Waiting | Self::Ended => "plain",
            Self::Revoked | Self::Stopped => "bad",
        }
    }
}

/// One grant in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantLine {
    /// Its id.
    pub id: String,
    /// The agent.
    pub agent: Text,
    /// The purpose, while its text is kept.
    pub purpose: Option<Text>,
    /// The workflow.
    pub workflow: Text,
    /// When it ends.
    pub until: Moment,
    /// How it stands.
    pub standing: Standing,
}

/// `/grants`
#[derive(Clone, Debug, Template)]
#[template(path = "grants.html")]
pub struct GrantsPage {
    /// The frame.
    pub frame: Frame,
    /// Grants in force or yet to begin.
    pub open: Vec<GrantLine>,
    /// Those that ended or were taken back.
    pub closed: Vec<GrantLine>,
}

/// One root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootLine {
    /// Its token hash.
    pub hash: String,
    /// When it was issued.
    pub issued: Moment,
    /// When it ends.
    pub until: Moment,
    /// How it stands.
    pub standing: Standing,
}

/// `/grants/{id}`
#[derive(Clone, Debug, Template)]
#[template(path = "grant.html")]
pub struct GrantPage {
    /// The frame.
    pub frame: Frame,
    /// The grant.
    pub grant: GrantLine,
    /// The task.
    pub task: Text,
    /// From when.
    pub from: Moment,
    /// The digest that was signed.
    pub digest: String,
    /// What was asked for, while its text is kept.
    pub requested: Vec<Text>,
    /// The tools, while their text is kept.
    pub tools: Vec<super::ToolCard>,
    /// The limits in words.
    pub limits: Vec<super::Limit>,
    /// The roots issued under it, the newest first.
    pub roots: Vec<RootLine>,
    /// Whether there are older ones.
    pub has_older: bool,
    /// How it was signed.
    pub signed: String,
    /// What of it this person may stop: its task, its workflow.
    pub stops: Vec<(&'static str, String)>,
}
