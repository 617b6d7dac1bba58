//! The overview: how things stand, what happened, and what needs a person.

use askama::Template;

use super::chart::Chart;
use super::{EntryLine, Frame, GrantLine, Text};

/// One thing to know about the installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthLine {
    /// What.
    pub name: &'static str,
    /// How it stands.
    pub value: Text,
    /// The badge's class: `good`, `warn`, `bad`, or `plain` where there is
    /// nothing to judge.
    pub class: &'static str,
    /// Where more is said.
    pub href: Option<&'static str>,
}

/// Something that waits for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TodoLine {
    /// What.
    pub what: Text,
    /// Why it matters, or what to do.
    pub why: Text,
    /// How many; more than are counted are said so.
    pub count: Text,
    /// Where.
    pub href: String,
}

/// `/`
#[derive(Clone, Debug, Template)]
#[template(path = "overview.html")]
pub struct OverviewPage {
    /// The frame.
    pub frame: Frame,
    /// How things stand, for whoever reads every entry.
    pub health: Vec<HealthLine>,
    /// What needs a person.
    pub todo: Vec<TodoLine>,
    /// Calls of the last 24 hours, for whoever reads every entry.
    pub activity: Option<Chart>,
    /// How well agents work, for whoever sees that.
    pub figures: Vec<super::FigureCard>,
    /// The person's grants that stand.
    pub grants: Vec<GrantLine>,
    /// The newest entries that concern the person.
    pub entries: Vec<EntryLine>,
    /// The URL that clients are pointed to.
    pub endpoint: String,
    /// Whether nothing is set up yet, and the person is one who does that.
    pub is_new: bool,
}
