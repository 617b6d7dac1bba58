//! Argument rules as a workflow file writes them.
//!
//! An argument's rule is an AAT constraint object, or one of two short forms:
//! a scalar stands for `exact`, a list for `one_of`. A string that is wholly
//! `{name}` stands for a parameter of the shorthand.

use std::collections::{BTreeMap, BTreeSet};

use bailiwick_core::json::{Json, Object};

use super::shorthand::parameter_name;

/// The AAT entry that `json` stands for.
pub(super) fn entry(json: Json) -> Json {
    match json {
        Json::Array(values) => {
            Object::new().with("constraint_type", "one_of").with("values", values).into()
        }
        Json::Bool(_) | Json::Number(_) | Json::String(_) => {
            Object::new().with("constraint_type", "exact").with("value", json).into()
        }
        // A bare `name:` is far more often forgotten than meant.
        Json::Null | Json::Object(_) => json,
    }
}

/// The parameters that `json` names.
pub(super) fn named(json: &Json, names: &mut BTreeSet<String>) {
    match json {
        Json::String(text) => names.extend(parameter_name(text).map(str::to_owned)),
        Json::Array(items) => items.iter().for_each(|item| named(item, names)),
        Json::Object(members) => members.iter().for_each(|(_, value)| named(value, names)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// `json` with every `{name}` replaced by its value.
///
/// INVARIANT: values replace whole strings and are never looked at again, so a
/// value cannot become a member, a constraint or another parameter.
pub(crate) fn fill(json: &Json, values: &BTreeMap<String, Json>) -> Json {
    match json {
        Json::String(text) => {
            parameter_name(text).and_then(|name| values.get(name)).unwrap_or(json).clone()
        }
        Json::Array(items) => Json::Array(items.iter().map(|item| fill(item, values)).collect()),
        Json::Object(members) => {
            let filled = members.iter().map(|(name, value)| (name.to_owned(), fill(value, values)));
            Json::Object(filled.collect())
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => json.clone(),
    }
}
