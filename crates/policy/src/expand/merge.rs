//! Rules of several shorthands for one tool, as one map.
//!
//! Soundness: every step replaces two maps by one that permits a call exactly
//! if one of the two does. Either one map covers the other, or they differ in
//! one argument only: then a call that one of them permits satisfies the common
//! rest and one of the two constraints, and the other way round. Maps that
//! differ in two arguments are never joined: the join would also permit the
//! first argument of one with the second of the other.

use std::collections::BTreeMap;

use bailiwick_core::constraint::{Constraint, Dialect};
use bailiwick_core::ids::ToolId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::scope::{ArgumentRules, Scope};

use super::{ExpandError, Part};
use crate::limits::MAX_CONSTRAINT_DEPTH;

/// The rules of one tool, and the shorthand that brought them.
struct Claim<'p> {
    shorthand: &'p str,
    rules: ArgumentRules,
}

pub(super) fn scope(parts: &[Part]) -> Result<Scope, ExpandError> {
    let mut claims: BTreeMap<&ToolId, Vec<Claim<'_>>> = BTreeMap::new();
    for part in parts {
        for tool in &part.tools {
            claims
                .entry(&tool.tool)
                .or_default()
                .push(Claim { shorthand: &part.shorthand, rules: tool.rules.clone() });
        }
    }
    let mut tools = Vec::new();
    for (tool, claims) in claims {
        let one = join(claims);
        match one.as_slice() {
            [claim] => tools.push((tool.to_string(), claim.rules.clone())),
            [first, second, ..] => {
                return Err(ExpandError::Conflict {
                    tool: tool.clone(),
                    first: first.shorthand.to_owned(),
                    second: second.shorthand.to_owned(),
                });
            }
            [] => {}
        }
    }
    // No tool stands twice in a map; were it so, the empty scope permits nothing.
    Ok(Scope::from_entries(tools).unwrap_or_default())
}

/// Joins until no two claims can be joined.
fn join(mut claims: Vec<Claim<'_>>) -> Vec<Claim<'_>> {
    'again: loop {
        for i in 0..claims.len() {
            for j in (i + 1)..claims.len() {
                let (Some(a), Some(b)) = (claims.get(i), claims.get(j)) else { continue };
                if let Some(rules) = union(&a.rules, &b.rules) {
                    claims.remove(j);
                    if let Some(claim) = claims.get_mut(i) {
                        claim.rules = rules;
                    }
                    continue 'again;
                }
            }
        }
        return claims;
    }
}

/// A map that permits exactly what `a` or `b` permits, if there is one.
fn union(a: &ArgumentRules, b: &ArgumentRules) -> Option<ArgumentRules> {
    if covers(a, b) {
        return Some(a.clone());
    }
    if covers(b, a) {
        return Some(b.clone());
    }
    let same_names = a.is_open() == b.is_open()
        && a.named().len() == b.named().len()
        && a.named().zip(b.named()).all(|(a, b)| a.name() == b.name());
    if !same_names {
        return None;
    }
    let differs = a.named().zip(b.named()).filter(|(a, b)| a != b).count();
    if differs > 1 {
        return None;
    }
    let mut arguments = Vec::new();
    for (a, b) in a.named().zip(b.named()) {
        let constraint = if a.constraint() == b.constraint() {
            a.constraint().clone()
        } else {
            either(a.constraint(), b.constraint())?
        };
        arguments.push((a.name().to_owned(), constraint, a.is_optional() || b.is_optional()));
    }
    ArgumentRules::new(arguments, a.is_open()).ok()
}

fn covers(parent: &ArgumentRules, child: &ArgumentRules) -> bool {
    let scope = |rules: &ArgumentRules| Scope::from_entries([("t".to_owned(), rules.clone())]);
    match (scope(parent), scope(child)) {
        (Ok(parent), Ok(child)) => parent.covers(&child).is_ok(),
        _ => false,
    }
}

/// A constraint that permits what either permits. Lists of values become one
/// list, because under `any` no single value may stand later (draft -02 §4.5).
fn either(a: &Constraint, b: &Constraint) -> Option<Constraint> {
    if a.covers(b) {
        return Some(a.clone());
    }
    if b.covers(a) {
        return Some(b.clone());
    }
    let (a, b) = (a.to_json(), b.to_json());
    if let (Some(mut values), Some(more)) = (values(&a), values(&b)) {
        values.extend(more);
        return Constraint::one_of(values).ok();
    }
    let mut clauses = Vec::new();
    for json in [a, b] {
        match member(&json, "any", "constraints").and_then(Json::as_array) {
            Some(inner) => clauses.extend(inner.iter().cloned()),
            None => clauses.push(json),
        }
    }
    let any = Object::new().with("constraint_type", "any").with("constraints", clauses);
    Constraint::parse(&any.into(), Dialect::Extended, MAX_CONSTRAINT_DEPTH).ok()
}

fn values(json: &Json) -> Option<Vec<Json>> {
    if let Some(value) = member(json, "exact", "value") {
        return Some(vec![value.clone()]);
    }
    member(json, "one_of", "values").and_then(Json::as_array).map(<[Json]>::to_vec)
}

fn member<'j>(json: &'j Json, constraint_type: &str, name: &str) -> Option<&'j Json> {
    let object = json.as_object()?;
    let found = object.member("constraint_type").and_then(Json::as_str)?;
    if found == constraint_type { object.member(name) } else { None }
}
