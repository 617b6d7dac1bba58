//! Numbers that remember how they were written.

use std::fmt;

use serde::{Serialize, Serializer};

/// A JSON number: its text and the double it denotes (always finite).
///
/// Two numbers are equal when their doubles are, which is equality of
/// canonical forms: `-0` equals `0`.
#[derive(Clone, Debug)]
pub struct Number {
    text: Text,
    value: f64,
}

/// Most numbers are short; those need no allocation.
#[derive(Clone)]
enum Text {
    /// The first `length` bytes are the text.
    Short {
        length: u8,
        bytes: [u8; SHORT],
    },
    Long(Box<str>),
}

const SHORT: usize = 14;

impl Text {
    fn as_str(&self) -> &str {
        match self {
            Self::Short { length, bytes } => bytes
                .get(..usize::from(*length))
                .and_then(|text| std::str::from_utf8(text).ok())
                .unwrap_or_default(),
            Self::Long(text) => text,
        }
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        let mut bytes = [0; SHORT];
        match (bytes.get_mut(..text.len()), u8::try_from(text.len())) {
            (Some(to), Ok(length)) => {
                to.copy_from_slice(text.as_bytes());
                Self::Short { length, bytes }
            }
            _ => Self::Long(text.into()),
        }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

/// No number is a NaN.
impl Eq for Number {}

impl Number {
    /// Reads a number in JSON syntax; `None` for anything else and for values
    /// beyond the range of a double.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        if !is_json_number(text) {
            return None;
        }
        let value: f64 = text.parse().ok()?;
        value.is_finite().then(|| Self { text: text.into(), value })
    }

    /// The text as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        self.text.as_str()
    }

    /// The nearest double.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.value
    }

    /// The value of an integer written without fraction, exponent or `-0`
    /// (draft -02 §3.2: NumericDates and depths); `None` for any other text.
    #[must_use]
    pub fn as_plain_integer(&self) -> Option<i64> {
        // Rust reads no fraction or exponent as part of an integer.
        Some(self.text()).filter(|text| *text != "-0")?.parse().ok()
    }

    /// A plain integer that a double holds exactly.
    pub(super) fn as_exact_integer(&self) -> Option<i64> {
        self.as_plain_integer().filter(|i| i.unsigned_abs() <= (1 << 53))
    }

    /// Whether the canonical text of the double denotes the same number as
    /// the text as written (draft -02 §3.4).
    #[must_use]
    pub fn is_admissible(&self) -> bool {
        // Short integers are exact doubles and their own canonical form.
        if self.text().len() <= 15 && self.as_plain_integer().is_some() {
            return true;
        }
        let canonical = serde_json_canonicalizer::to_string(&self.value).unwrap_or_default();
        match (decimal(self.text()), decimal(&canonical)) {
            (Some(a), Some(b)) => a == b,
            _ => false,
        }
    }
}

impl From<i64> for Number {
    #[expect(clippy::cast_precision_loss, reason = "the nearest double is what is meant")]
    fn from(v: i64) -> Self {
        Self { text: integer(v.unsigned_abs(), v < 0), value: v as f64 }
    }
}

impl From<u64> for Number {
    #[expect(clippy::cast_precision_loss, reason = "the nearest double is what is meant")]
    fn from(v: u64) -> Self {
        Self { text: integer(v, false), value: v as f64 }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Plain serde_json writes `1.0` for a double where an integer was
        // meant; the canonicalizer writes the same text for both.
        match self.as_exact_integer() {
            Some(i) => serializer.serialize_i64(i),
            None => serializer.serialize_f64(self.value),
        }
    }
}

/// The decimal digits of an integer.
fn integer(magnitude: u64, negative: bool) -> Text {
    // u64::MAX has twenty digits; the sign is one more.
    let mut bytes = [b'0'; 21];
    let mut rest = magnitude;
    let mut length = 0_usize;
    for byte in bytes.iter_mut().rev() {
        *byte = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
        length += 1;
        if rest == 0 {
            break;
        }
    }
    if negative && let Some(byte) = bytes.iter_mut().rev().nth(length) {
        *byte = b'-';
        length += 1;
    }
    let digits = bytes.get(bytes.len() - length..).unwrap_or_default();
    Text::from(std::str::from_utf8(digits).unwrap_or_default())
}

/// A decimal number as (negative, digits without zeros at either end, power
/// of ten of the last digit); zero has no digits and no sign.
type Decimal = (bool, String, i64);

fn decimal(text: &str) -> Option<Decimal> {
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = rest.split_once(['e', 'E']).unwrap_or((rest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let trimmed = digits.trim_start_matches('0').trim_end_matches('0');
    if trimmed.is_empty() {
        return Some((false, String::new(), 0));
    }
    let exponent: i64 = exponent.parse().ok()?;
    let zeros = digits.len() - digits.trim_end_matches('0').len();
    let power = exponent
        .checked_sub(i64::try_from(fraction.len()).ok()?)?
        .checked_add(i64::try_from(zeros).ok()?)?;
    Some((negative, trimmed.to_owned(), power))
}

/// RFC 8259 §6, `number`.
fn is_json_number(text: &str) -> bool {
    let rest = text.strip_prefix('-').unwrap_or(text);
    let digits = |s: &str| s.bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest.starts_with('0')) {
        return false;
    }
    let Some(mut rest) = rest.get(whole..) else { return false };
    if let Some(fraction) = rest.strip_prefix('.') {
        let n = digits(fraction);
        if n == 0 {
            return false;
        }
        rest = fraction.get(n..).unwrap_or_default();
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let n = digits(exponent);
        if n == 0 {
            return false;
        }
        rest = exponent.get(n..).unwrap_or_default();
    }
    rest.is_empty()
}

/// The number tokens of a JSON text, in order. On text that is not valid JSON
/// the tokens mean nothing; the parser refuses such a text anyway.
pub(super) struct Lexemes<'t> {
    rest: &'t str,
}

impl<'t> Lexemes<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { rest: text }
    }
}

impl<'t> Iterator for Lexemes<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let bytes = self.rest.as_bytes();
        let mut at = 0;
        let mut in_string = false;
        while let Some(&b) = bytes.get(at) {
            if in_string {
                match b {
                    b'\\' => at += 1,
                    b'"' => in_string = false,
                    _ => {}
                }
            } else if b == b'"' {
                in_string = true;
            } else if b == b'-' || b.is_ascii_digit() {
                let end = bytes
                    .iter()
                    .skip(at)
                    .position(|b| !matches!(b, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
                    .map_or(bytes.len(), |n| at + n);
                let token = self.rest.get(at..end)?;
                self.rest = self.rest.get(end..)?;
                return Some(token);
            }
            at += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use crate::json::Json;
    use crate::limits::JsonLimits;

    #[test]
    fn every_number_keeps_its_text_whatever_stands_before_it() {
        let texts = [
            "0",
            "-1",
            "1.0",
            "7",
            "-0",
            "12345678901234",
            "-1234567890123",
            "123456789012345",
            "1e2",
            "-9223372036854775808",
            "9223372036854775807",
            "-9223372036854775809",
            "18446744073709551615",
            "18446744073709551616",
            "1.50",
            "1700000000",
            "1E+2",
        ];
        let array = format!("[\"1\",{}]", texts.join(","));
        let array = Json::parse(array.as_bytes(), &JsonLimits::DEFAULT).unwrap();
        let read: Vec<_> = array
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Json::as_number)
            .map(|n| (n.text().to_owned(), n.value().to_bits()))
            .collect();
        let expected: Vec<_> =
            texts.map(|t| (t.to_owned(), t.parse::<f64>().unwrap().to_bits())).into();
        assert_eq!(read, expected);
    }
}
