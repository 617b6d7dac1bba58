//! From the texts of a bundle to its policies, each named, explained and
//! validated against the schema.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr as _;

use cedar_policy::{Effect, Policy, PolicyId, PolicySet, Schema, ValidationMode, Validator};
use miette::Diagnostic;
use serde_json::Value;

use super::problem::{BundleProblem as Problem, BundleProblemCode as Code};
use super::scan::{beginnings, line_of};
use super::{About, Does, SCHEMA, handoff};
use crate::limits::{
    MAX_BUNDLE_NAME_BYTES, MAX_LABEL_CHARS, MAX_POLICY_ID_CHARS, MAX_POLICY_LEVELS, MAX_PROBLEMS,
};

/// Reads every file; a bundle is whole or refused.
pub(super) fn policies(
    files: &BTreeMap<String, String>,
) -> Result<Vec<(About, Policy)>, Vec<Problem>> {
    let Ok((schema, _)) = Schema::from_cedarschema_str(SCHEMA) else {
        // The schema is ours, and a test reads it.
        return Err(vec![Problem::of_bundle(Code::Document)]);
    };
    let Ok((with_handoffs, _)) = Schema::from_cedarschema_str(&handoff::schema()) else {
        return Err(vec![Problem::of_bundle(Code::Document)]);
    };
    let validators =
        Validators { calls: Validator::new(schema), handoffs: Validator::new(with_handoffs) };
    let mut problems = Vec::new();
    let mut all = Vec::new();
    let mut ids = BTreeSet::new();
    for (name, text) in files {
        match file(&validators, name, text) {
            Ok(found) => {
                for (about, policy) in found {
                    if ids.insert(about.id.clone()) {
                        all.push((about, policy));
                    } else {
                        let found = format!("the id `{}` is taken", about.id);
                        problems.push(Problem::at(Code::IdRepeated, name, about.line, found));
                    }
                }
            }
            Err(found) => problems.extend(found),
        }
        if problems.len() >= MAX_PROBLEMS {
            problems.truncate(MAX_PROBLEMS);
            break;
        }
    }
    if problems.is_empty() && all.is_empty() {
        problems.push(Problem::of_bundle(Code::Empty));
    }
    if problems.is_empty() { Ok(all) } else { Err(problems) }
}

/// Policies about handoffs are validated apart: a policy about calls that names
/// no action means every call, and no handoff.
struct Validators {
    calls: Validator,
    handoffs: Validator,
}

fn file(
    validators: &Validators,
    name: &str,
    text: &str,
) -> Result<Vec<(About, Policy)>, Vec<Problem>> {
    let one = |code, line, found: String| Err(vec![Problem::at(code, name, line, found)]);
    if !is_name(name) {
        return one(Code::Name, 1, "the file's name cannot stand in a bundle".to_owned());
    }
    let large = |line| one(Code::TooLarge, line, "the policy is too long or too deep".to_owned());
    let lines = match beginnings(text) {
        Ok(lines) => lines,
        Err(line) => return large(line),
    };
    let set = PolicySet::from_str(text).map_err(|errors| {
        errors
            .iter()
            .take(MAX_PROBLEMS)
            .map(|e| Problem::at(Code::Syntax, name, line(text, e), e.to_string()))
            .collect::<Vec<_>>()
    })?;
    if let Some(template) = set.templates().next() {
        let line = begins(&lines, template.id());
        return one(Code::Template, line, "a template has slots".to_owned());
    }
    // Before anything is evaluated: what a call comes to must not depend on
    // how much stack is left.
    let deep = set.policies().find(|p| p.to_json().map_or(true, |json| !is_flat(&json)));
    if let Some(policy) = deep {
        return large(begins(&lines, policy.id()));
    }
    let mut problems = Vec::new();
    let mut named = Vec::new();
    for policy in set.policies() {
        let line = begins(&lines, policy.id());
        match about(policy, name, line) {
            Ok(about) => {
                let policy = policy.new_id(PolicyId::new(&about.id));
                named.push((about, policy));
            }
            Err((code, found)) => problems.push(Problem::at(code, name, line, found)),
        }
    }
    let (mut calls, mut handoffs) = (PolicySet::new(), PolicySet::new());
    for policy in set.policies() {
        let part = if handoff::is_about(policy) { &mut handoffs } else { &mut calls };
        // The reader numbered them: no id is there twice.
        let _ = part.add(policy.clone());
    }
    for (validator, part) in [(&validators.calls, &calls), (&validators.handoffs, &handoffs)] {
        let checked = validator.validate(part, ValidationMode::Strict);
        for error in checked.validation_errors().take(MAX_PROBLEMS) {
            problems.push(Problem::at(Code::Type, name, line(text, error), told(error)));
        }
        // A policy that can never apply, or whose letters deceive, is a mistake.
        for warning in checked.validation_warnings().take(MAX_PROBLEMS) {
            problems.push(Problem::at(Code::Type, name, line(text, warning), told(warning)));
        }
    }
    problems.sort_by_key(|p| p.place.as_ref().map(|(_, line)| *line));
    named.sort_by_key(|(about, _)| about.line);
    if problems.is_empty() { Ok(named) } else { Err(problems) }
}

/// The message without the number that the reader gave to the policy.
fn told(error: &impl ToString) -> String {
    let text = error.to_string();
    match text.split_once("`, ") {
        Some((head, rest)) if head.starts_with("for policy `") => rest.to_owned(),
        _ => text,
    }
}

/// The line of a message's first label, from 1.
fn line(text: &str, diagnostic: &dyn Diagnostic) -> usize {
    let label = diagnostic.labels().and_then(|mut labels| labels.next());
    line_of(text, label.map_or(0, |label| label.offset()))
}

/// The line on which a policy begins: the reader numbers them in their order.
fn begins(lines: &[usize], id: &PolicyId) -> usize {
    let id = id.to_string();
    let number = id.strip_prefix("policy").and_then(|n| n.parse::<usize>().ok());
    number.and_then(|n| lines.get(n)).copied().unwrap_or(1)
}

/// Whether a policy's expressions are nested no deeper than is allowed.
fn is_flat(policy: &Value) -> bool {
    let mut level = vec![policy];
    for _ in 0..MAX_POLICY_LEVELS {
        level = level
            .into_iter()
            .flat_map(|value| -> Vec<&Value> {
                match value {
                    Value::Array(items) => items.iter().collect(),
                    Value::Object(members) => members.values().collect(),
                    _ => Vec::new(),
                }
            })
            .collect();
        if level.is_empty() {
            return true;
        }
    }
    false
}

fn about(policy: &Policy, file: &str, line: usize) -> Result<About, (Code, String)> {
    for (name, value) in policy.annotations() {
        let known = matches!((name, value.is_empty()), ("id" | "reason", _) | ("approval", true));
        if !known {
            let found = if name == "approval" {
                "`@approval` takes no text: the sentence stands in `@reason`".to_owned()
            } else {
                format!("`@{name}` is no annotation that is known")
            };
            return Err((Code::Annotation, found));
        }
    }
    let id = policy.annotation("id").unwrap_or_default();
    if !is_id(id) {
        return Err((Code::Id, "the policy has no well-formed `@id`".to_owned()));
    }
    let reason = policy.annotation("reason").unwrap_or_default();
    let sane = reason.chars().count() <= MAX_LABEL_CHARS && !reason.contains(char::is_control);
    if reason.trim().is_empty() || !sane {
        return Err((Code::Reason, format!("`{id}` has no well-formed `@reason`")));
    }
    if handoff::is_about(policy) && policy.annotation("approval").is_some() {
        let found = "nobody is asked about a handoff: forbid it, or leave it".to_owned();
        return Err((Code::Annotation, found));
    }
    let does = match (policy.effect(), policy.annotation("approval").is_some()) {
        (Effect::Permit, false) => Does::Permit,
        (Effect::Forbid, false) => Does::Forbid,
        (Effect::Forbid, true) => Does::Approval,
        (Effect::Permit, true) => {
            // A permit that asks would allow, were another permit to apply.
            return Err((Code::Annotation, "`@approval` stands on a `forbid` only".to_owned()));
        }
    };
    let (id, reason, file) = (id.to_owned(), reason.to_owned(), file.to_owned());
    Ok(About { id, reason, does, file, line })
}

fn is_id(text: &str) -> bool {
    (1..=MAX_POLICY_ID_CHARS).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_name(name: &str) -> bool {
    name.len() <= MAX_BUNDLE_NAME_BYTES
        && name.ends_with(".cedar")
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b))
        && name.split('/').all(|part| !part.is_empty() && !part.starts_with('.'))
}
