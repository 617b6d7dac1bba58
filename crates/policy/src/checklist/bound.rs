//! Bounds on measures, as whole numbers: nothing that is signed or compared
//! rests on a double.

use std::fmt;

use bailiwick_core::json::{Json, Number, Object};

use crate::limits::MAX_BOUND;

/// Bounds count millionths: of a rate (0.9 is 900000), of an iteration, and of
/// the unit of the currency in which model calls are reported.
pub const MILLION: u64 = 1_000_000;

/// Digits after the point.
const DIGITS: usize = 6;

/// What a measure must reach, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// At least so much.
    AtLeast(u64),
    /// At most so much.
    AtMost(u64),
}

impl Bound {
    /// The value, in millionths.
    #[must_use]
    pub const fn millionths(self) -> u64 {
        match self {
            Self::AtLeast(value) | Self::AtMost(value) => value,
        }
    }

    /// Its name in a workflow file.
    #[must_use]
    pub const fn member(self) -> &'static str {
        match self {
            Self::AtLeast(_) => "at_least",
            Self::AtMost(_) => "at_most",
        }
    }

    /// Whether `value`, in millionths, is within it.
    #[must_use]
    pub const fn permits(self, value: u64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    /// Reads a decimal number that is not negative, with at most six digits after
    /// the point and no exponent, as millionths.
    #[must_use]
    pub fn parse_millionths(text: &str) -> Option<u64> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > DIGITS {
            return None;
        }
        let whole: u64 = whole.parse().ok()?;
        let fraction: u64 = format!("{fraction:0<DIGITS$}").parse().ok()?;
        let value = whole.checked_mul(MILLION)?.checked_add(fraction)?;
        (value <= MAX_BOUND).then_some(value)
    }

    /// Millionths as the shortest decimal number.
    #[must_use]
    pub fn decimal(millionths: u64) -> String {
        let (whole, fraction) = (millionths / MILLION, millionths % MILLION);
        if fraction == 0 {
            return whole.to_string();
        }
        let fraction = format!("{fraction:0DIGITS$}");
        format!("{whole}.{}", fraction.trim_end_matches('0'))
    }

    pub(super) fn to_json(self) -> Json {
        let number = Number::from_text(&Self::decimal(self.millionths()));
        Object::new().with(self.member(), number.map(Json::from)).into()
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = Self::decimal(self.millionths());
        match self {
            Self::AtLeast(_) => write!(f, "at least {value}"),
            Self::AtMost(_) => write!(f, "at most {value}"),
        }
    }
}
