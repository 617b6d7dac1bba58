//! The end of an instance whose authority is elsewhere: its own word that it is over, signed while
//! its keys are there. It is brought when the run ends. What a killed run could not bring lies in
//! a note among the logins, and the next run at that authority brings it.

use std::path::{Path, PathBuf};

use bailiwick_authority::rules::identities::{RETIREMENT_TYPE, retirement_claims};
use bailiwick_core::jose;
use bailiwick_core::json::Object;
use bailiwick_store::{Note, Notes};

use crate::error::{Class, CliError};
use crate::keyfile::InstanceKeys;
use crate::web;

/// The kind of note.
const KIND: &str = "word";

/// The word of an instance, kept for the end.
pub(super) struct Word {
    said: Said,
    /// None where there is no place for logins: then it is brought in good order only.
    note: Option<Note>,
}

/// What a note says: to whom, and the statement. It opens nothing: it ends one instance.
struct Said {
    authority: String,
    statement: String,
}

impl Said {
    fn read(text: &str) -> Option<Self> {
        let (authority, statement) = text.trim_end().split_once('\n')?;
        Some(Self { authority: authority.to_owned(), statement: statement.to_owned() })
    }

    /// Brings it to the authority. One that knows of no such instance has nothing to end.
    fn bring(&self) -> Result<(), CliError> {
        let body = Object::new().with("statement", self.statement.as_str());
        match web::json(&self.authority, "/instances/retirement", &body.into()) {
            Err(e) if e.class == Class::Environment => Err(e),
            _ => Ok(()),
        }
    }
}

fn folder(logins: &Path) -> PathBuf {
    logins.join("lives")
}

impl Word {
    /// Signs and keeps it, before the instance is enrolled.
    pub(super) fn give(
        logins: Option<&Path>,
        authority: &str,
        keys: &InstanceKeys,
    ) -> Result<Self, CliError> {
        let claims = retirement_claims(&keys.instance, authority);
        let statement =
            jose::sign(RETIREMENT_TYPE, None, &claims, &keys.identity).map_err(web::signing)?;
        let text = format!("{authority}\n{statement}\n");
        let leave = |logins| Note::leave(&folder(logins), keys.instance.as_str(), KIND, &text);
        let note = logins.map(leave).transpose()?;
        Ok(Self { said: Said { authority: authority.to_owned(), statement }, note })
    }

    /// Brings it, in good order.
    pub(super) fn bring(&self) {
        match self.said.bring() {
            Ok(()) => self.note.iter().for_each(Note::remove),
            // The note stays, and the next run brings it.
            Err(e) => tracing::warn!(code = %e.code, "the instance still stands: {}", e.message),
        }
    }
}

/// Brings to this authority what killed runs left for it.
pub(super) fn tend(logins: &Path, authority: &str) -> Result<(), CliError> {
    for note in Notes::find(&folder(logins), KIND)?.left {
        match note.text().as_deref().and_then(Said::read) {
            Some(said) if said.authority != authority => continue,
            Some(said) => said.bring()?,
            None => tracing::warn!("a note of an instance cannot be read"),
        }
        note.remove()?;
    }
    Ok(())
}
