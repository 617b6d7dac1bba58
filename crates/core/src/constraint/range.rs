//! `range`: numbers within bounds.

use super::ConstraintError;
use super::parse::Members;
use crate::json::{Json, Number, Object};

/// Bounds on a number; without bounds any number, and nothing but numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Range {
    min: Option<Bound>,
    max: Option<Bound>,
}

#[derive(Clone, Debug, PartialEq)]
struct Bound {
    at: Number,
    inclusive: bool,
}

impl Range {
    pub(super) fn read(members: &Members<'_>) -> Result<Self, ConstraintError> {
        let min = bound(members, "min", "min_inclusive")?;
        let max = bound(members, "max", "max_inclusive")?;
        if let (Some(min), Some(max)) = (&min, &max)
            && min.at.value() > max.at.value()
        {
            return Err(members.reversed());
        }
        Ok(Self { min, max })
    }

    pub(super) fn permits(&self, value: &Json) -> bool {
        let Some(number) = value.as_number() else { return false };
        let v = number.value();
        self.min.as_ref().is_none_or(|b| v > b.at.value() || (b.inclusive && v == b.at.value()))
            && self
                .max
                .as_ref()
                .is_none_or(|b| v < b.at.value() || (b.inclusive && v == b.at.value()))
    }

    /// §4.5: every bound of the parent is there and at least as tight; a bound
    /// that the parent lacks may be added.
    pub(super) fn covers(&self, child: &Self) -> bool {
        let tighter = |parent: &Bound, child: &Bound, beyond: bool| {
            beyond
                || (child.at.value() == parent.at.value() && (parent.inclusive || !child.inclusive))
        };
        let min = match (&self.min, &child.min) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(p), Some(c)) => tighter(p, c, c.at.value() > p.at.value()),
        };
        let max = match (&self.max, &child.max) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(p), Some(c)) => tighter(p, c, c.at.value() < p.at.value()),
        };
        min && max
    }

    pub(super) fn write(&self, mut object: Object) -> Object {
        if let Some(min) = &self.min {
            object.insert("min", min.at.clone());
            if !min.inclusive {
                object.insert("min_inclusive", false);
            }
        }
        if let Some(max) = &self.max {
            object.insert("max", max.at.clone());
            if !max.inclusive {
                object.insert("max_inclusive", false);
            }
        }
        object
    }
}

fn bound(
    members: &Members<'_>,
    bound: &'static str,
    flag: &'static str,
) -> Result<Option<Bound>, ConstraintError> {
    let inclusive = match members.get(flag) {
        None => None,
        Some(value) => Some(value.as_bool().ok_or_else(|| members.invalid(flag, "true or false"))?),
    };
    match (members.number(bound)?, inclusive) {
        (Some(at), inclusive) => {
            Ok(Some(Bound { at: at.clone(), inclusive: inclusive.unwrap_or(true) }))
        }
        (None, None) => Ok(None),
        (None, Some(_)) => Err(members.invalid(flag, "absent without its bound")),
    }
}
