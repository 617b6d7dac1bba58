//! Tools and their definitions.

use askama::Template;
use bailiwick_policy::grades::Risk;

use super::{Frame, Moment, Text};
use crate::ToolState;

/// One tool in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolLine {
    /// Its id.
    pub id: Text,
    /// Its page.
    pub path: String,
    /// How it stands.
    pub state: ToolState,
    /// How many signs there are to look at.
    pub flags: usize,
    /// When it was accepted or, if it waits, seen.
    pub since: Moment,
    /// The highest risk at which a workflow lists it; `None`: no workflow does.
    pub risk: Option<RiskMark>,
}

/// A risk as a picture: as many bars as it is high, and the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RiskMark(pub Risk);

impl RiskMark {
    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        self.0.as_str()
    }

    /// How many of the four bars are filled.
    #[must_use]
    pub const fn bars(self) -> u8 {
        match self.0 {
            Risk::Low => 1,
            Risk::Medium => 2,
            Risk::High => 3,
            Risk::Critical => 4,
        }
    }
}

/// What a workflow says about a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RatingLine {
    /// The workflow.
    pub workflow: Text,
    /// The risk.
    pub risk: RiskMark,
    /// `read` or `write`.
    pub effect: &'static str,
    /// The classes of data.
    pub data: Text,
    /// Whose data they are.
    pub whose: Text,
}

impl ToolLine {
    /// The badge's class.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self.state {
            ToolState::Pinned => "good",
            ToolState::New => "warn",
            ToolState::Changed | ToolState::Quarantined => "bad",
        }
    }
}

/// `/catalogue`
#[derive(Clone, Debug, Template)]
#[template(path = "catalogue.html")]
pub struct CataloguePage {
    /// The frame.
    pub frame: Frame,
    /// What waits for a person.
    pub waiting: Vec<ToolLine>,
    /// What is pinned.
    pub pinned: Vec<ToolLine>,
    /// Where the next part of the list begins.
    pub next: Option<usize>,
}

/// One sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagLine {
    /// Its code.
    pub code: &'static str,
    /// What it means.
    pub sentence: &'static str,
    /// Where it stands.
    pub place: Text,
    /// What was found there.
    pub found: Text,
}

/// One member that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DifferenceLine {
    /// Which.
    pub place: Text,
    /// As it was.
    pub before: Option<Text>,
    /// As it is.
    pub after: Option<Text>,
}

/// `/catalogue/tool?id=…`
#[derive(Clone, Debug, Template)]
#[template(path = "definition.html")]
pub struct DefinitionPage {
    /// The frame.
    pub frame: Frame,
    /// The tool.
    pub tool: ToolLine,
    /// The tool's id as the forms send it.
    pub id: String,
    /// The digest of what was accepted.
    pub pinned: Option<String>,
    /// The digest of what the buttons accept.
    pub digest: String,
    /// Whether two definitions are compared.
    pub compares: bool,
    /// Signs to look at.
    pub flags: Vec<FlagLine>,
    /// What differs or, where only one is there, what it is.
    pub differences: Vec<DifferenceLine>,
    /// The workflows that list it.
    pub ratings: Vec<RatingLine>,
    /// Whether this person may decide.
    pub can_decide: bool,
}
