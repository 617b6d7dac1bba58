//! `path_under`: absolute paths at or below a root.
//!
//! | | |
//! |---|---|
//! | members | `root`: string, required, a clean absolute path |
//! | check | the value is a string, a clean absolute path of at most 4096 bytes, and `root` or below it |
//! | covers | the same type when the child's root lies under the parent's; `exact` and `one_of` when every value is permitted |
//! | cost | linear in the length of the value |
//!
//! *Clean* is [`clean::is_path`]: nothing is normalised, what would need
//! normalising is refused. **Soundness**: "lies under" on clean paths is a
//! prefix relation on segments, hence transitive.

use super::ConstraintError;
use super::clean;
use super::parse::Members;
use crate::json::{Json, Object};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct PathUnder {
    root: String,
}

impl PathUnder {
    pub(super) fn read(members: &Members<'_>) -> Result<Self, ConstraintError> {
        let root = members.text("root")?;
        if !clean::is_path(root) {
            return Err(members.invalid(
                "root",
                "a clean absolute path without `..`, `.`, `//`, `\\`, `%` or `/` at its end",
            ));
        }
        Ok(Self { root: root.to_owned() })
    }

    pub(super) fn permits(&self, value: &Json) -> bool {
        value
            .as_str()
            .is_some_and(|path| clean::lies_under(&self.root, path) && clean::is_path(path))
    }

    pub(super) fn covers(&self, child: &Self) -> bool {
        clean::lies_under(&self.root, &child.root)
    }

    pub(super) fn write(&self, object: Object) -> Object {
        object.with("root", self.root.as_str())
    }
}
