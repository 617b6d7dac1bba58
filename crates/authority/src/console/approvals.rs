//! Calls that wait for a person, and the page on which they decide.

use askama::Template;

use super::{Frame, Moment, Text, ToolFacts};

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
    /// The arguments that they suggest instead, as JSON text.
    pub suggestion: Option<Text>,
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

/// What becomes of a call that was wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undoing {
    /// By our rating, in words.
    pub words: &'static str,
    /// Whether a second call would change nothing more.
    pub idempotent: bool,
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
    /// What becomes of it if it is wrong.
    pub undoing: Undoing,
    /// The arguments as JSON text, to suggest others; empty once erased.
    pub suggest: Text,
    /// Whether this person may take the delegation back.
    pub may_revoke: bool,
    /// Says how it stands, for the page that reads itself again.
    pub mark: String,
    /// What the task is for.
    pub purpose: Option<Text>,
    /// The task.
    pub task: String,
    /// The workflow.
    pub workflow: Text,
    /// Why its level in force is below the one that it states, if it is.
    pub capped: Option<String>,
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

/// `/approvals/{id}/revoke`: asks whether the delegation is taken back with a no.
#[derive(Clone, Debug, Template)]
#[template(path = "approval_revoke.html")]
pub struct ApprovalRevokePage {
    /// The frame.
    pub frame: Frame,
    /// The call.
    pub line: ApprovalLine,
    /// How this person can decide.
    pub deciding: Deciding,
}
