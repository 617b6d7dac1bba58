//! Asking before something is done.

use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_store::Status;

use super::{Inner, Me, page};
use crate::console::{ConfirmPage, Section, Text};

/// What a person is asked.
pub(super) struct Question {
    /// The question itself.
    pub(super) title: &'static str,
    /// What it is about.
    pub(super) what: Text,
    /// What will happen, a sentence each.
    pub(super) consequences: Vec<String>,
    /// Where the answer goes.
    pub(super) action: String,
    /// What the button says.
    pub(super) button: &'static str,
    /// The way back.
    pub(super) back: String,
    /// Whether it cannot be undone.
    pub(super) is_final: bool,
}

impl Question {
    /// The page that asks it.
    pub(super) fn page(self, cx: &Inner, me: &Me, section: Section) -> Response {
        let template = ConfirmPage {
            frame: cx.frame(Some(me), Some(section)),
            title: self.title.to_owned(),
            what: self.what,
            consequences: self.consequences,
            action: self.action,
            button: self.button.to_owned(),
            back: self.back,
            is_final: self.is_final,
        };
        page(StatusCode::OK, &template)
    }
}

/// Another standing for an agent or an account.
pub(super) struct Verb {
    /// Which.
    pub(super) status: Status,
    pub(super) title: &'static str,
    pub(super) button: &'static str,
    pub(super) consequence: &'static str,
}

impl Verb {
    /// Asks whether it is meant for `what`, whose page is `back`; `word` stands
    /// in the address.
    pub(super) fn question(&self, what: Text, back: String, word: &str) -> Question {
        Question {
            title: self.title,
            what,
            consequences: vec![self.consequence.to_owned()],
            action: format!("{back}/{word}"),
            button: self.button,
            back,
            is_final: self.status == Status::Retired,
        }
    }
}
