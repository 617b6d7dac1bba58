//! The inbox, and how much people are asked.

use askama::Template;

use super::{ApprovalLine, Frame, StandingLine, Text};

/// What is looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InboxFilter {
    /// Words.
    pub search: Text,
    /// The agent.
    pub agent: Text,
    /// The tool.
    pub tool: Text,
    /// The task.
    pub task: Text,
    /// The workflow.
    pub workflow: Text,
    /// The risk; empty for any.
    pub risk: &'static str,
    /// Whether calls of every state are looked at.
    pub all: bool,
}

impl InboxFilter {
    /// Whether anything is looked for.
    #[must_use]
    pub fn is_set(&self) -> bool {
        *self != Self::default()
    }

    /// Whether more is looked for than words and a risk.
    #[must_use]
    pub fn is_narrow(&self) -> bool {
        let general = Self { search: self.search.clone(), risk: self.risk, ..Self::default() };
        *self != general
    }
}

/// One approver's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApproverLine {
    /// Who.
    pub approver: Text,
    /// Verdicts.
    pub said: u64,
    /// On average in an hour.
    pub per_hour: String,
    /// In the busiest hour.
    pub busiest_hour: u64,
}

/// How much people are asked, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FatigueFigures {
    /// Calls that asked.
    pub asked: u64,
    /// The share that expired.
    pub expired: String,
    /// The median time to decide.
    pub median: String,
    /// The share of approvals within a second.
    pub quick: String,
    /// Approvers, the busiest first.
    pub approvers: Vec<ApproverLine>,
}

/// `/approvals`
#[derive(Clone, Debug, Template)]
#[template(path = "approvals.html")]
pub struct ApprovalsPage {
    /// The frame.
    pub frame: Frame,
    /// What is looked for.
    pub filter: InboxFilter,
    /// Risks that can be looked for.
    pub risks: Vec<&'static str>,
    /// What was found.
    pub found: Vec<ApprovalLine>,
    /// Standing approvals that let calls pass, beside a list that looks for
    /// nothing.
    pub standings: Vec<StandingLine>,
    /// The newest of those that do not wait, beside a list that looks for
    /// nothing.
    pub settled: Vec<ApprovalLine>,
    /// Where the list goes on.
    pub next: Option<String>,
    /// Where the page asks whether it changed; empty where it does not.
    pub live: String,
    /// Says what was found: when it changes, so did the page.
    pub mark: String,
    /// Figures, for those who read everything.
    pub figures: Option<FatigueFigures>,
}
