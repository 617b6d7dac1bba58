//! Small readers for objects whose members are all known.

use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;

/// A member that is missing, malformed or not known, by its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadMember(pub(crate) String);

/// An object that is read strictly: `at` is its path, for the error.
pub(crate) struct Reader<'a> {
    at: String,
    object: &'a Object,
}

impl<'a> Reader<'a> {
    /// An object with no other members than `known`.
    pub(crate) fn new(at: &str, json: &'a Json, known: &[&str]) -> Result<Self, BadMember> {
        let object = json.as_object().ok_or_else(|| BadMember(at.to_owned()))?;
        let reader = Self { at: at.to_owned(), object };
        match object.iter().find(|(name, _)| !known.contains(name)) {
            Some((name, _)) => Err(reader.bad(name)),
            None => Ok(reader),
        }
    }

    pub(crate) fn bad(&self, name: &str) -> BadMember {
        if self.at.is_empty() {
            BadMember(name.to_owned())
        } else {
            BadMember(format!("{}.{name}", self.at))
        }
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.bad(name).0
    }

    pub(crate) fn optional(&self, name: &str) -> Option<&'a Json> {
        self.object.member(name)
    }

    pub(crate) fn member(&self, name: &str) -> Result<&'a Json, BadMember> {
        self.object.member(name).ok_or_else(|| self.bad(name))
    }

    pub(crate) fn text(&self, name: &str) -> Result<&'a str, BadMember> {
        self.member(name)?.as_str().ok_or_else(|| self.bad(name))
    }

    pub(crate) fn object(&self, name: &str) -> Result<&'a Object, BadMember> {
        self.member(name)?.as_object().ok_or_else(|| self.bad(name))
    }

    pub(crate) fn list(&self, name: &str) -> Result<&'a [Json], BadMember> {
        self.member(name)?.as_array().ok_or_else(|| self.bad(name))
    }

    pub(crate) fn integer(&self, name: &str) -> Result<i64, BadMember> {
        self.member(name)?
            .as_number()
            .and_then(|n| n.as_plain_integer())
            .ok_or_else(|| self.bad(name))
    }

    pub(crate) fn time(&self, name: &str) -> Result<Option<Timestamp>, BadMember> {
        match self.object.member(name) {
            None => Ok(None),
            Some(t) => {
                t.as_str().and_then(|t| t.parse().ok()).map(Some).ok_or_else(|| self.bad(name))
            }
        }
    }
}
