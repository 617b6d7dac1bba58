//! Tools and their definitions.

use askama::Template;

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
    /// Whether this person may decide.
    pub can_decide: bool,
}
