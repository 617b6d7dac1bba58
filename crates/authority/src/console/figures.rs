//! Figures of agents' work.

use askama::Template;

use super::chart::Chart;
use super::{Frame, Text};

/// One of the six.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FigureCard {
    /// Its name in the API and in workflows.
    pub id: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// The value; `None` without data, which is not zero.
    pub value: Option<Text>,
    /// What stands above and below the line.
    pub counted: Text,
    /// Where the true value lies.
    pub interval: Option<Text>,
    /// The target, with whether it is met and the badge's class.
    pub target: Option<(Text, &'static str, &'static str)>,
    /// Its course.
    pub course: Option<Chart>,
}

/// What figures are narrowed to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FigureFilter {
    /// Days back.
    pub days: u32,
    /// A workflow.
    pub workflow: Text,
    /// A version of it.
    pub version: Text,
    /// An agent.
    pub agent: Text,
    /// A tool.
    pub tool: Text,
}

impl FigureFilter {
    /// Whether it is narrowed at all.
    #[must_use]
    pub fn is_set(&self) -> bool {
        [&self.workflow, &self.version, &self.agent, &self.tool].iter().any(|t| !t.is_empty())
    }
}

/// Names to choose from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FigureChoices {
    /// Workflows.
    pub workflows: Vec<Text>,
    /// Versions, of the chosen workflow.
    pub versions: Vec<Text>,
    /// Agents.
    pub agents: Vec<Text>,
    /// Tools.
    pub tools: Vec<Text>,
}

/// A name with a count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counted {
    /// What.
    pub what: Text,
    /// How many.
    pub count: u64,
}

/// A tool that was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeLine {
    /// The tool.
    pub tool: Text,
    /// In how many grants.
    pub granted: u64,
    /// In how many of them it was used.
    pub used: u64,
    /// What of the workflow stands for it, where one is asked for.
    pub shorthands: Vec<Text>,
}

/// `/figures`
#[derive(Clone, Debug, Template)]
#[template(path = "figures.html")]
pub struct FiguresPage {
    /// The frame.
    pub frame: Frame,
    /// What was asked for.
    pub filter: FigureFilter,
    /// Names to choose from.
    pub choices: FigureChoices,
    /// What of it is not understood.
    pub problem: Option<Text>,
    /// How many runs ended.
    pub runs: u64,
    /// The six.
    pub cards: Vec<FigureCard>,
    /// Denied calls by reason, most first.
    pub reasons: Vec<Counted>,
    /// Held calls of all.
    pub held: Text,
    /// Held calls by the day.
    pub asked: Chart,
    /// Verdicts by approver; empty for those who do not read names.
    pub approvers: Vec<Counted>,
    /// How long things took, in words.
    pub times: Vec<(&'static str, Text)>,
    /// What was granted and how much of it was used.
    pub scope: Vec<ScopeLine>,
    /// Peers that were turned away.
    pub peers: Vec<Counted>,
    /// Versions to be compared, with their labels, newest first.
    pub versions: Vec<(Text, Text)>,
}

/// One of the six before and after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComparedLine {
    /// Its name.
    pub title: &'static str,
    /// Before.
    pub before: Text,
    /// After.
    pub after: Text,
    /// The difference, with its interval.
    pub difference: Text,
    /// What it says.
    pub verdict: Text,
    /// The badge's class.
    pub class: &'static str,
}

/// `/figures/compare`
#[derive(Clone, Debug, Template)]
#[template(path = "compare.html")]
pub struct ComparePage {
    /// The frame.
    pub frame: Frame,
    /// The workflow.
    pub workflow: Text,
    /// The two sides, in words.
    pub sides: [Text; 2],
    /// The sides as the form takes them.
    pub asked: [Text; 2],
    /// What of it is not understood.
    pub problem: Option<&'static str>,
    /// The six.
    pub lines: Vec<ComparedLine>,
}

impl ComparePage {
    /// Whether anything was asked for yet.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        !self.workflow.is_empty() || self.asked.iter().any(|side| !side.is_empty())
    }
}
