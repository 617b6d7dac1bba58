//! Errors, confirmations, and the way back to a client.

use askama::Template;

use super::{Frame, Text};

/// Something did not work.
#[derive(Clone, Debug, Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    /// The frame.
    pub frame: Frame,
    /// The status, for example 403.
    pub status: u16,
    /// What happened, as a heading.
    pub title: String,
    /// What happened, in a sentence.
    pub message: Text,
    /// What to do about it.
    pub remedy: Text,
    /// A command that somebody must run, if that is what is to be done.
    pub command: Option<Text>,
    /// The stable code.
    pub code: String,
    /// The id under which the log of `serve` has it; no entry of the ledger.
    pub logged: Option<String>,
}

/// Asks before something is done that cannot be undone.
#[derive(Clone, Debug, Template)]
#[template(path = "confirm.html")]
pub struct ConfirmPage {
    /// The frame.
    pub frame: Frame,
    /// The question.
    pub title: String,
    /// What it is about.
    pub what: Text,
    /// What will happen, a sentence each.
    pub consequences: Vec<String>,
    /// Where the answer goes.
    pub action: String,
    /// What the button says.
    pub button: String,
    /// The way back.
    pub back: String,
    /// Whether it cannot be undone.
    pub is_final: bool,
}

/// `/login/program`: asks whether a command line may act for the person.
#[derive(Clone, Debug, Template)]
#[template(path = "program.html")]
pub struct ProgramPage {
    /// The frame.
    pub frame: Frame,
    /// What it calls itself.
    pub name: Text,
    /// The beginning of its key's thumbprint, which it shows as well.
    pub mark: String,
    /// For how long.
    pub hours: i64,
    /// Where the answer goes.
    pub action: String,
}

/// Sends the browser back to a client. A page that navigates, because the
/// policy on forms would stop a redirect to another origin.
#[derive(Clone, Debug, Template)]
#[template(path = "leave.html")]
pub struct LeavePage {
    /// The frame.
    pub frame: Frame,
    /// What was done.
    pub title: String,
    /// The client.
    pub client: Text,
    /// The host that the browser goes to.
    pub host: Text,
    /// The whole redirect.
    pub url: String,
}
