//! People and services: who may grant, and who runs the installation.

use askama::Template;
use bailiwick_store::Status;

use super::{AgentLine, Frame, Moment, PasskeyLine, Text};

/// One principal in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonLine {
    /// Their name; `None` once erased.
    pub name: Option<Text>,
    /// Their page.
    pub path: String,
    /// Their roles.
    pub roles: Vec<String>,
    /// Passkeys that prove something.
    pub passkeys: usize,
    /// Agents that they answer for.
    pub agents: usize,
    /// Whether they may act.
    pub status: Status,
    /// Whether they were revoked.
    pub revoked: bool,
}

impl PersonLine {
    /// Their standing in a word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match (self.revoked, self.status) {
            (true, Status::Retired) => "left",
            (true, _) => "revoked",
            _ => self.status.as_str(),
        }
    }

    /// The badge's class.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match (self.revoked, self.status) {
            (_, Status::Retired) => "plain",
            (true, _) => "bad",
            (_, Status::Active) => "good",
            (_, Status::Suspended) => "warn",
        }
    }

    /// Whether they can still be suspended, resumed or let go.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.status != Status::Retired && self.name.is_some()
    }
}

/// `/people`
#[derive(Clone, Debug, Template)]
#[template(path = "people.html")]
pub struct PeoplePage {
    /// The frame.
    pub frame: Frame,
    /// Everybody, by name; who left comes last.
    pub people: Vec<PersonLine>,
    /// Where the next part of the list begins.
    pub next: Option<usize>,
}

/// `/people/{alias}`
#[derive(Clone, Debug, Template)]
#[template(path = "person.html")]
pub struct PersonPage {
    /// The frame.
    pub frame: Frame,
    /// Who.
    pub person: PersonLine,
    /// Their name in the ledger.
    pub alias: String,
    /// Whether it is the viewer: nobody ends or stops their own account here.
    pub is_self: bool,
    /// Grants of theirs that have not ended.
    pub grants: usize,
    /// Their passkeys.
    pub passkeys: Vec<PasskeyLine>,
    /// Their agents.
    pub agents: Vec<AgentLine>,
    /// Published workflows that name them as owner.
    pub workflows: Vec<String>,
}

/// One who could take agents over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeirChoice {
    /// Their alias, for the form.
    pub alias: String,
    /// Their name.
    pub name: Text,
}

/// `/people/{alias}/offboard`
#[derive(Clone, Debug, Template)]
#[template(path = "offboard.html")]
pub struct OffboardPage {
    /// The frame.
    pub frame: Frame,
    /// Who leaves.
    pub name: Text,
    /// Their page.
    pub path: String,
    /// Grants of theirs that have not ended.
    pub grants: usize,
    /// Their agents that are not retired.
    pub agents: Vec<Text>,
    /// Who could take the agents over.
    pub heirs: Vec<HeirChoice>,
    /// Published workflows that name them as owner.
    pub workflows: Vec<String>,
}

/// The answer to `POST /people/{alias}/link`: shown once.
#[derive(Clone, Debug, Template)]
#[template(path = "link.html")]
pub struct LinkPage {
    /// The frame.
    pub frame: Frame,
    /// Whose.
    pub name: Text,
    /// Their page.
    pub path: String,
    /// The whole link.
    pub link: String,
    /// Until when it may be used.
    pub until: Moment,
}
