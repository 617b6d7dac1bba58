//! `datetime_range`: points in time between bounds.
//!
//! | | |
//! |---|---|
//! | members | `min`?, `max`?: RFC 3339 date-times, both inclusive, at least one |
//! | check | the value is a string, a date-time in the profile below, and its instant lies within the bounds |
//! | covers | the same type when every bound of the parent is there and at least as tight; `exact` and `one_of` when every value is permitted |
//! | cost | constant |
//!
//! The profile: `YYYY-MM-DDThh:mm:ss`, a fraction of 1 to 9 digits or none, `Z`
//! or `±hh:mm`. Upper case; no leap second (its instant is not defined alike
//! everywhere); no `-00:00` (an unknown offset). Days must exist.
//!
//! **Soundness**: instants are totally ordered, so tighter bounds hold a subset.

use super::ConstraintError;
use super::parse::Members;
use crate::json::{Json, Object};

#[derive(Clone, Debug, PartialEq)]
pub(super) struct DatetimeRange {
    min: Option<Bound>,
    max: Option<Bound>,
}

#[derive(Clone, Debug)]
struct Bound {
    text: String,
    at: Instant,
}

impl PartialEq for Bound {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

/// Seconds since 1970-01-01T00:00:00Z and nanoseconds of that second.
type Instant = (i64, u32);

impl DatetimeRange {
    pub(super) fn read(members: &Members<'_>) -> Result<Self, ConstraintError> {
        let bound = |member| match members.get(member) {
            None => Ok(None),
            Some(value) => value
                .as_str()
                .and_then(|text| Some(Bound { text: text.to_owned(), at: instant(text)? }))
                .map(Some)
                .ok_or_else(|| {
                    members.invalid(
                        member,
                        "an RFC 3339 date-time with offset, such as `2026-01-31T08:00:00Z`",
                    )
                }),
        };
        let (min, max) = (bound("min")?, bound("max")?);
        match (&min, &max) {
            (None, None) => return Err(members.missing("`min` or `max`")),
            (Some(min), Some(max)) if min.at > max.at => return Err(members.reversed()),
            _ => {}
        }
        Ok(Self { min, max })
    }

    pub(super) fn permits(&self, value: &Json) -> bool {
        let Some(at) = value.as_str().and_then(instant) else { return false };
        self.min.as_ref().is_none_or(|min| min.at <= at)
            && self.max.as_ref().is_none_or(|max| at <= max.at)
    }

    pub(super) fn covers(&self, child: &Self) -> bool {
        let min = match (&self.min, &child.min) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(parent), Some(child)) => parent.at <= child.at,
        };
        let max = match (&self.max, &child.max) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(parent), Some(child)) => child.at <= parent.at,
        };
        min && max
    }

    pub(super) fn write(&self, mut object: Object) -> Object {
        if let Some(min) = &self.min {
            object.insert("min", min.text.as_str());
        }
        if let Some(max) = &self.max {
            object.insert("max", max.text.as_str());
        }
        object
    }
}

/// Reads one date-time of the profile.
fn instant(text: &str) -> Option<Instant> {
    let mut rest = Digits(text.as_bytes());
    let year = rest.number(4)?;
    rest.byte(b'-')?;
    let month = rest.number(2)?;
    rest.byte(b'-')?;
    let day = rest.number(2)?;
    rest.byte(b'T')?;
    let hour = rest.number(2)?;
    rest.byte(b':')?;
    let minute = rest.number(2)?;
    rest.byte(b':')?;
    let second = rest.number(2)?;
    let nanos = if rest.byte(b'.').is_some() { rest.fraction()? } else { 0 };
    let offset = match rest.byte(b'Z') {
        Some(()) => 0,
        None => {
            let west = rest.byte(b'-').is_some();
            if !west {
                rest.byte(b'+')?;
            }
            let hours = rest.number(2).filter(|h| *h < 24)?;
            rest.byte(b':')?;
            let minutes = rest.number(2).filter(|m| *m < 60)?;
            let minutes = hours * 60 + minutes;
            match (west, minutes) {
                (true, 0) => return None,
                (true, minutes) => -minutes,
                (false, minutes) => minutes,
            }
        }
    };
    if !rest.0.is_empty() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days(year, month, day)? * 86_400 + hour * 3600 + (minute - offset) * 60 + second;
    Some((seconds, nanos))
}

/// Days since 1970-01-01, if the day exists (Gregorian, years 0 to 9999).
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => return None,
    };
    if day < 1 || day > length {
        return None;
    }
    // Years are counted from March, so that the leap day is the last one.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let century_days =
        year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    Some(century_days + (month * 153 + 2) / 5 + day - 1 - 719_468)
}

struct Digits<'t>(&'t [u8]);

impl Digits<'_> {
    fn byte(&mut self, expected: u8) -> Option<()> {
        let (first, rest) = self.0.split_first()?;
        (*first == expected).then(|| self.0 = rest)
    }

    fn digit(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        first.is_ascii_digit().then(|| {
            self.0 = rest;
            first - b'0'
        })
    }

    fn number(&mut self, digits: usize) -> Option<i64> {
        (0..digits).try_fold(0, |n, _| Some(n * 10 + i64::from(self.digit()?)))
    }

    /// One to nine digits as nanoseconds.
    fn fraction(&mut self) -> Option<u32> {
        let mut nanos = u32::from(self.digit()?) * 100_000_000;
        let mut unit = 10_000_000;
        while let Some(digit) = self.digit() {
            if unit == 0 {
                return None;
            }
            nanos += u32::from(digit) * unit;
            unit /= 10;
        }
        Some(nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn instants_are_those_of_the_calendar() {
        assert_eq!(instant("1970-01-01T00:00:00Z"), Some((0, 0)));
        assert_eq!(instant("2024-01-01T00:05:00.042Z"), Some((1_704_067_500, 42_000_000)));
        assert_eq!(instant("2024-02-29T23:59:59.999999999+23:59").map(|i| i.1), Some(999_999_999));
        assert_eq!(instant("0000-03-01T00:00:00Z"), Some((-62_162_035_200, 0)));
    }

    proptest! {
        #[test]
        fn instants_agree_with_jiff(
            y in 1_i64..9998, mo in 0_u8..14, d in 0_u8..33, h in 0_u8..25, mi in 0_u8..61,
            s in 0_u8..60, n in 0_u32..1_000_000_000, oh in 0_u8..24, om in 0_u8..60, west: bool,
        ) {
            let sign = if west && (oh, om) != (0, 0) { '-' } else { '+' };
            let text = format!("{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}.{n:09}{sign}{oh:02}:{om:02}");
            let theirs = text.parse::<jiff::Timestamp>().ok();
            let nanos = instant(&text).map(|(s, n)| i128::from(s) * 1_000_000_000 + i128::from(n));
            // jiff also takes 24:00:00; we do not.
            if h < 24 {
                prop_assert_eq!(nanos, theirs.map(jiff::Timestamp::as_nanosecond), "{}", text);
            } else {
                prop_assert_eq!(nanos, None);
            }
        }
    }
}
