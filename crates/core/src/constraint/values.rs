//! Sets of JSON values under equality of canonical forms (draft -02 §3.4).

use std::cmp::Ordering;

use crate::json::Json;

/// A set that answers membership in logarithmic time, so that neither a long
/// list in a token nor a long array in a call makes the check quadratic.
///
/// Scalars are ordered among themselves. Arrays and objects are ordered by
/// their canonical text, which is what equality is defined by.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ValueSet {
    scalars: Vec<Json>,
    composites: Vec<(Box<str>, Json)>,
}

impl ValueSet {
    pub(super) fn new(values: &[Json]) -> Self {
        let mut scalars = Vec::with_capacity(values.len());
        let mut composites = Vec::new();
        for value in values {
            match value {
                Json::Array(_) | Json::Object(_) => {
                    composites.push((value.canonical().into_boxed_str(), value.clone()));
                }
                scalar => scalars.push(scalar.clone()),
            }
        }
        scalars.sort_unstable_by(order);
        scalars.dedup_by(|a, b| order(a, b).is_eq());
        composites.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        composites.dedup_by(|a, b| a.0 == b.0);
        Self { scalars, composites }
    }

    /// The place of `value` in the set.
    fn place(&self, value: &Json) -> Option<usize> {
        match value {
            Json::Array(_) | Json::Object(_) => {
                // The canonical text costs an allocation: only when it can help.
                if self.composites.is_empty() {
                    return None;
                }
                let text = value.canonical();
                let at = self
                    .composites
                    .binary_search_by(|(member, _)| (**member).cmp(text.as_str()))
                    .ok()?;
                Some(self.scalars.len().saturating_add(at))
            }
            scalar => self.scalars.binary_search_by(|member| order(member, scalar)).ok(),
        }
    }

    /// Whether `value` is an element.
    pub(super) fn holds(&self, value: &Json) -> bool {
        self.place(value).is_some()
    }

    /// Whether every element of `other` is an element of this set.
    pub(super) fn includes(&self, other: &Self) -> bool {
        other.scalars.iter().all(|v| self.holds(v))
            && other.composites.iter().all(|(text, _)| {
                self.composites.binary_search_by(|(member, _)| member.cmp(text)).is_ok()
            })
    }

    /// Whether every element of this set is among `elements`.
    pub(super) fn is_within(&self, elements: &[Json]) -> bool {
        let size = self.scalars.len().saturating_add(self.composites.len());
        if size <= 64 {
            let mut seen = 0_u64;
            for place in elements.iter().filter_map(|e| self.place(e)) {
                seen |= 1 << place;
            }
            seen.count_ones() as usize == size
        } else {
            let mut seen = vec![false; size];
            for place in elements.iter().filter_map(|e| self.place(e)) {
                if let Some(mark) = seen.get_mut(place) {
                    *mark = true;
                }
            }
            seen.iter().all(|mark| *mark)
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Json> {
        self.scalars.iter().chain(self.composites.iter().map(|(_, value)| value))
    }

    pub(super) fn to_json(&self) -> Vec<Json> {
        self.iter().cloned().collect()
    }
}

/// A total order on scalars under which "equal" is equality of canonical
/// forms: `-0` and `0` are one number, `1` and `"1"` are two values.
fn order(a: &Json, b: &Json) -> Ordering {
    match (a, b) {
        (Json::String(a), Json::String(b)) => a.cmp(b),
        // Numbers are finite, so they always compare.
        (Json::Number(a), Json::Number(b)) => {
            a.value().partial_cmp(&b.value()).unwrap_or(Ordering::Equal)
        }
        (Json::Bool(a), Json::Bool(b)) => a.cmp(b),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn rank(value: &Json) -> u8 {
    match value {
        Json::Null => 0,
        Json::Bool(_) => 1,
        Json::Number(_) => 2,
        Json::String(_) => 3,
        Json::Array(_) | Json::Object(_) => 4,
    }
}
