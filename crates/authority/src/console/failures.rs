//! Failures: what went wrong, of what kind it is, and how it was mended.

use askama::Template;

use super::chart::Chart;
use super::{Frame, Moment, Text};

/// One failure on the board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureCard {
    /// Its page.
    pub path: String,
    /// What was detected, in words.
    pub what: &'static str,
    /// The code of a denial or a refusal.
    pub reason: Text,
    /// The tool, the agent, the workflow: what it is about.
    pub about: Vec<Text>,
    /// The class that a person chose, else the one that the rules suggest.
    pub class: &'static str,
    /// The same in words.
    pub class_word: &'static str,
    /// Whether nobody chose it yet.
    pub is_suggested: bool,
    /// Who mends it.
    pub owner: Option<Text>,
    /// How often it was seen.
    pub times: u64,
    /// When last.
    pub last: Moment,
    /// What keeps it from coming back, once it is resolved.
    pub kept: Option<&'static str>,
}

/// One column of the board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureColumn {
    /// Its id on the page.
    pub id: &'static str,
    /// Its name.
    pub title: &'static str,
    /// What is said where nothing is in it.
    pub empty: &'static str,
    /// The newest failures.
    pub cards: Vec<FailureCard>,
    /// Whether there are more.
    pub is_cut: bool,
}

/// `/failures`
#[derive(Clone, Debug, Template)]
#[template(path = "failures.html")]
pub struct FailuresPage {
    /// The frame.
    pub frame: Frame,
    /// The workflow that is asked for.
    pub workflow: Text,
    /// What of it is not understood.
    pub problem: Option<Text>,
    /// The class that is asked for.
    pub class: Text,
    /// Every class, with its words.
    pub classes: Vec<(&'static str, &'static str)>,
    /// The columns.
    pub columns: Vec<FailureColumn>,
    /// Failures by week and class.
    pub trend: Option<Chart>,
}

impl FailuresPage {
    /// Whether nothing is shown at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.columns.iter().all(|column| column.cards.is_empty())
    }
}

/// `/failures/{id}`
#[derive(Clone, Debug, Template)]
#[template(path = "failure.html")]
pub struct FailurePage {
    /// The frame.
    pub frame: Frame,
    /// The failure.
    pub card: FailureCard,
    /// Its id.
    pub id: String,
    /// Where it stands, and the badge's class.
    pub state: (&'static str, &'static str),
    /// What it is about: a name, what, and where that is shown.
    pub facts: Vec<(&'static str, Text, Option<String>)>,
    /// When it was seen first.
    pub first: Moment,
    /// The class that the rules suggest, and why.
    pub suggested: (&'static str, Text),
    /// How it may be mended, where it is one of permissions.
    pub fix: Option<Text>,
    /// Who chose the class, when, and in which words.
    pub classified: Option<(Text, Moment, Option<Text>)>,
    /// When it was resolved, where the fix is, and why there is no regression.
    pub resolved: Option<(Moment, Option<Text>, Option<Text>)>,
    /// Whether something that people said of it was erased.
    pub is_erased: bool,
    /// The digest of the file of cases.
    pub cases: Option<String>,
    /// Whether its case shows a mend: what was wrong before is not any more.
    pub is_mend: Option<bool>,
    /// The earlier failure that it repeats.
    pub again: Option<String>,
    /// Every class, with its words.
    pub classes: Vec<(&'static str, &'static str)>,
    /// Whether this person may classify and resolve it.
    pub may_tend: bool,
    /// Whether its decision can be made a case.
    pub is_replayable: bool,
    /// The case, once it was asked for, with the decision that it expects.
    pub case: Option<(Text, Vec<Text>)>,
}
