//! `length`: how long a string or an array is.
//!
//! | | |
//! |---|---|
//! | members | `min`?, `max`?: integers from 0, written without fraction and exponent, both inclusive, at least one |
//! | check | the value is a string whose number of Unicode scalar values, or an array whose number of elements, lies within the bounds |
//! | covers | the same type when every bound of the parent is there and at least as tight; `exact` and `one_of` when every value is permitted |
//! | cost | linear in the value |
//!
//! Nothing is normalised: `é` in two scalar values counts two.
//!
//! **Soundness**: integers are totally ordered, so tighter bounds hold a subset.

use super::ConstraintError;
use super::parse::Members;
use crate::json::{Json, Number, Object};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Length {
    min: Option<u64>,
    max: Option<u64>,
}

impl Length {
    pub(super) fn read(members: &Members<'_>) -> Result<Self, ConstraintError> {
        let bound = |member| match members.number(member)? {
            None => Ok(None),
            Some(number) => Number::as_plain_integer(number)
                .and_then(|n| u64::try_from(n).ok())
                .map(Some)
                .ok_or_else(|| members.invalid(member, "a whole number from 0")),
        };
        let (min, max) = (bound("min")?, bound("max")?);
        match (min, max) {
            (None, None) => return Err(members.missing("`min` or `max`")),
            (Some(min), Some(max)) if min > max => return Err(members.reversed()),
            _ => {}
        }
        Ok(Self { min, max })
    }

    pub(super) fn permits(&self, value: &Json) -> bool {
        let length = match value {
            Json::String(text) => text.chars().count(),
            Json::Array(elements) => elements.len(),
            _ => return false,
        };
        let Ok(length) = u64::try_from(length) else { return false };
        self.min.is_none_or(|min| min <= length) && self.max.is_none_or(|max| length <= max)
    }

    pub(super) fn covers(&self, child: &Self) -> bool {
        self.min.is_none_or(|parent| child.min.is_some_and(|child| parent <= child))
            && self.max.is_none_or(|parent| child.max.is_some_and(|child| child <= parent))
    }

    pub(super) fn write(&self, mut object: Object) -> Object {
        if let Some(min) = self.min {
            object.insert("min", min);
        }
        if let Some(max) = self.max {
            object.insert("max", max);
        }
        object
    }
}
