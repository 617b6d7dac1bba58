//! Calls that wait for a person, and the page on which they decide.

use askama::Template;

use super::{Frame, Moment, StandingLine, Text, ToolFacts};

/// One waiting call in the inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalLine {
    /// Its id.
    pub id: String,
    /// Who would act.
    pub agent: Text,
    /// For whom.
    pub principal: Text,
    /// What would be called.
    pub tool: Text,
    /// Our rating.
    pub risk: Text,
    /// Where it stands.
    pub state: &'static str,
    /// Until when.
    pub until: Moment,
}

impl ApprovalLine {
    /// The badge's class.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self.state {
            "pending" => "warn",
            "approved" | "spent" => "good",
            "denied" => "bad",
            _ => "",
        }
    }
}

/// `/approvals`
#[derive(Clone, Debug, Template)]
#[template(path = "approvals.html")]
pub struct ApprovalsPage {
    /// The frame.
    pub frame: Frame,
    /// Those that wait.
    pub waiting: Vec<ApprovalLine>,
    /// Standing approvals that let calls pass.
    pub standings: Vec<StandingLine>,
    /// The newest of those that do not.
    pub settled: Vec<ApprovalLine>,
    /// Says which calls wait: when it changes, so did the page.
    pub mark: String,
}

/// One argument of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArgumentLine {
    /// Its name.
    pub name: Text,
    /// Its value, as JSON text.
    pub value: Text,
    /// What it was the last time that somebody approved such a call, where it
    /// differs.
    pub before: Option<Text>,
}

/// What somebody said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaidLine {
    /// Who.
    pub approver: Text,
    /// Whether they approved.
    pub approved: bool,
    /// How it was signed.
    pub grade: Text,
    /// When.
    pub at: Moment,
    /// What they added.
    pub note: Option<Text>,
}

/// What the task did before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierLine {
    /// The tool.
    pub tool: Text,
    /// When.
    pub at: Moment,
    /// The entry's page.
    pub index: u64,
}

/// How this person can decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deciding {
    /// With one of these passkeys.
    Passkey {
        /// Their ids, base64url, between blanks.
        credentials: String,
        /// Where passkeys are used.
        relying_party: String,
        /// What is signed to approve, base64url.
        approve: String,
        /// What is signed to deny.
        deny: String,
    },
    /// Not, and why.
    Not(String),
}

/// `/approvals/{id}`
#[derive(Clone, Debug, Template)]
#[template(path = "approval.html")]
pub struct ApprovalPage {
    /// The frame.
    pub frame: Frame,
    /// The call.
    pub line: ApprovalLine,
    /// Its arguments; `None` once their text was erased.
    pub arguments: Option<Vec<ArgumentLine>>,
    /// Whether such a call was approved before.
    pub has_earlier: bool,
    /// Our rating of the tool, if the catalogue has it.
    pub facts: Option<ToolFacts>,
    /// Whether a second call would change nothing more.
    pub idempotent: bool,
    /// What the task is for.
    pub purpose: Option<Text>,
    /// The task.
    pub task: String,
    /// The workflow.
    pub workflow: Text,
    /// The rule that asked.
    pub rule: Text,
    /// How many must approve.
    pub needed: u64,
    /// What people said.
    pub said: Vec<SaidLine>,
    /// What the task did before.
    pub earlier: Vec<EarlierLine>,
    /// The action's digest.
    pub action: String,
    /// The root under which it is called.
    pub root: String,
    /// How this person can decide.
    pub deciding: Deciding,
}
