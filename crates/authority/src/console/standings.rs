//! Approvals for more than one call: standing ones, and many at once.

use askama::Template;

use super::{ApprovalLine, ArgumentLine, Frame, Moment, SaidLine, Text};

/// How this person can sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signable {
    /// With one of these passkeys.
    Passkey {
        /// Their ids, base64url, between blanks.
        credentials: String,
        /// Where passkeys are used.
        relying_party: String,
        /// What is signed, base64url.
        challenge: String,
    },
    /// Not, and why.
    Not(String),
}

/// A standing approval in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingLine {
    /// Its id.
    pub id: String,
    /// Who may act.
    pub agent: Text,
    /// For whom.
    pub principal: Text,
    /// What may be called.
    pub tool: Text,
    /// Where it stands.
    pub state: &'static str,
    /// How many calls it let pass.
    pub used: u64,
    /// How many it lets pass.
    pub count: u64,
    /// Until when.
    pub until: Moment,
}

impl StandingLine {
    /// The badge's class.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self.state {
            "active" => "good",
            "waiting" => "warn",
            "revoked" => "bad",
            _ => "",
        }
    }

    /// The state in words.
    #[must_use]
    pub fn words(&self) -> &'static str {
        match self.state {
            "waiting" => "waits for others",
            "used_up" => "used up",
            state => state,
        }
    }
}

/// What one argument may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundLine {
    /// Its name.
    pub name: Text,
    /// The constraint, as JSON text.
    pub constraint: Text,
}

/// Terms as they are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermsView {
    /// What each argument may be.
    pub bounds: Vec<BoundLine>,
    /// How many calls.
    pub count: u64,
    /// From when.
    pub from: Moment,
    /// Until when.
    pub until: Moment,
    /// The rule that asked.
    pub rule: Text,
    /// The root's token hash.
    pub root: String,
    /// What is signed.
    pub digest: String,
}

/// One argument of the call, and what was filled in about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LooseLine {
    /// Its name.
    pub name: Text,
    /// Its value in the call that waits, as JSON text.
    pub value: Text,
    /// Whether it is a number.
    pub is_number: bool,
    /// What was filled in: the highest number, or further values.
    pub filled: String,
}

/// `/approvals/{id}/standing`
#[derive(Clone, Debug, Template)]
#[template(path = "standing_new.html")]
pub struct NewStandingPage {
    /// The frame.
    pub frame: Frame,
    /// The call that waits.
    pub line: ApprovalLine,
    /// Its arguments.
    pub arguments: Vec<LooseLine>,
    /// How many calls, as filled in.
    pub count: u64,
    /// How many minutes, as filled in.
    pub minutes: u64,
    /// What is wrong with what was filled in.
    pub problem: Option<String>,
    /// The terms that this makes, with their text for the script.
    pub terms: Option<(TermsView, String)>,
    /// How this person can sign them.
    pub signing: Signable,
}

/// `/standing-approvals/{id}`
#[derive(Clone, Debug, Template)]
#[template(path = "standing.html")]
pub struct StandingPage {
    /// The frame.
    pub frame: Frame,
    /// What it is.
    pub line: StandingLine,
    /// The call because of which it was made.
    pub approval: String,
    /// What was signed, with its text for the script; `None` once erased.
    pub terms: Option<(TermsView, String)>,
    /// Who signed.
    pub signed: Vec<SaidLine>,
    /// How many must.
    pub needed: u64,
    /// How this person can sign it too; `None` when nobody need.
    pub signing: Option<Signable>,
}

/// One call of a batch, in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchLine {
    /// The call.
    pub line: ApprovalLine,
    /// Its arguments; `None` once their text was erased.
    pub arguments: Option<Vec<ArgumentLine>>,
    /// What the task is for.
    pub purpose: Option<Text>,
    /// The rule that asked.
    pub rule: Text,
    /// The action's digest.
    pub action: String,
}

/// `/approvals/batch`
#[derive(Clone, Debug, Template)]
#[template(path = "approvals_batch.html")]
pub struct BatchPage {
    /// The frame.
    pub frame: Frame,
    /// The calls, in the order that is signed.
    pub calls: Vec<BatchLine>,
    /// Their ids between blanks.
    pub ids: String,
    /// How this person can sign.
    pub signing: Signable,
}
