//! Agents and their instances.

use askama::Template;
use bailiwick_store::Status;

use super::{Frame, Text};

/// One agent in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentLine {
    /// Its name.
    pub id: Text,
    /// Its page.
    pub path: String,
    /// Its owner's name; `None` once erased.
    pub owner: Option<Text>,
    /// Whether it may act.
    pub status: Status,
    /// Whether it was revoked.
    pub revoked: bool,
    /// Whether it is stopped.
    pub stopped: bool,
    /// Who publishes it.
    pub publisher: Option<Text>,
    /// Its version.
    pub version: Option<Text>,
    /// How many instances are enrolled and active.
    pub instances: usize,
}

impl AgentLine {
    /// Its standing in a word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match (self.revoked, self.stopped) {
            (true, _) => "revoked",
            (false, true) => "stopped",
            (false, false) => self.status.as_str(),
        }
    }

    /// The badge's class.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match (self.revoked || self.stopped, self.status) {
            (true, _) => "bad",
            (_, Status::Active) => "good",
            (_, Status::Suspended) => "warn",
            (_, Status::Retired) => "plain",
        }
    }
}

/// `/agents`
#[derive(Clone, Debug, Template)]
#[template(path = "agents.html")]
pub struct AgentsPage {
    /// The frame.
    pub frame: Frame,
    /// The agents, by name.
    pub agents: Vec<AgentLine>,
    /// Whether only the person's own are listed.
    pub own_only: bool,
    /// Where the next part of the list begins.
    pub next: Option<usize>,
}

/// One instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceLine {
    /// Its id.
    pub id: String,
    /// The holder key's thumbprint.
    pub holder: String,
    /// Whether it may act.
    pub status: Status,
}

impl InstanceLine {
    /// The badge's class.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self.status {
            Status::Active => "good",
            Status::Suspended => "warn",
            Status::Retired => "plain",
        }
    }
}

/// `/agents/{id}`
#[derive(Clone, Debug, Template)]
#[template(path = "agent.html")]
pub struct AgentPage {
    /// The frame.
    pub frame: Frame,
    /// The agent.
    pub agent: AgentLine,
    /// Its SPIFFE ID.
    pub spiffe_id: Text,
    /// The digest of what is run.
    pub artifact: Option<String>,
    /// Its instances.
    pub instances: Vec<InstanceLine>,
    /// Whether this person may stop it.
    pub can_stop: bool,
    /// Whether this person may suspend and resume it.
    pub can_pause: bool,
    /// Whether this person may retire it.
    pub can_retire: bool,
}
