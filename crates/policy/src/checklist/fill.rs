//! Arguments that a checklist takes from a call of the run.

use bailiwick_core::json::{Json, Object};

const OPEN: &str = "{argument:";

/// A template's argument that the call does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the call has no argument `{name}`")]
pub struct FillError {
    /// Which one.
    pub name: String,
}

/// The name in a text that is wholly `{argument:NAME}`. A value replaces a whole
/// text, never a part of one, so that it cannot turn into anything else.
pub(crate) fn placeholder(text: &str) -> Option<&str> {
    let name = text.strip_prefix(OPEN)?.strip_suffix('}')?;
    (!name.is_empty() && !name.contains(['{', '}'])).then_some(name)
}

/// Whether a text holds what looks like a placeholder and is none.
pub(crate) fn is_broken(text: &str) -> bool {
    text.contains(OPEN) && placeholder(text).is_none()
}

/// Every text in a value.
pub(crate) fn texts(value: &Json) -> Vec<&str> {
    match value {
        Json::String(text) => vec![text],
        Json::Array(items) => items.iter().flat_map(texts).collect(),
        Json::Object(members) => members.iter().flat_map(|(_, v)| texts(v)).collect(),
        _ => Vec::new(),
    }
}

/// `template` with every text `{argument:NAME}` replaced by the argument NAME of
/// `call`: for a rollback step, the call that it undoes; for a check, the run's
/// last call that changed what the criterion is about.
///
/// # Errors
/// [`FillError`]: the call has no such argument.
pub fn fill(template: &Json, call: &Object) -> Result<Json, FillError> {
    Ok(match template {
        Json::String(text) => match placeholder(text) {
            Some(name) => {
                let value = call.member(name).cloned();
                value.ok_or_else(|| FillError { name: name.to_owned() })?
            }
            None => template.clone(),
        },
        Json::Array(items) => {
            let items: Result<Vec<Json>, _> = items.iter().map(|item| fill(item, call)).collect();
            Json::Array(items?)
        }
        Json::Object(members) => {
            let mut filled = Object::new();
            for (name, value) in members.iter() {
                filled.insert(name, fill(value, call)?);
            }
            Json::Object(filled)
        }
        plain => plain.clone(),
    })
}
