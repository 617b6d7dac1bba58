//! Percent-encoding with one spelling for every text (RFC 3986 §2, §6.2.2).

use std::fmt::Write as _;

use crate::catalogue::is_hidden;

/// Bytes that never need encoding, and that are never encoded here.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Reads a part of a path or query.
///
/// Every byte that must be encoded is, in upper-case hex, and none that need
/// not be; punctuation that clients encode or leave alone may stand either
/// way. `None` for all else: bad hex, bytes that are no UTF-8, characters that
/// are not seen or have another form.
pub(super) fn decoded(text: &str, punctuation: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let value = (hex(rest.next()?)? << 4) | hex(rest.next()?)?;
            if is_unreserved(value) {
                return None;
            }
            bytes.push(value);
        } else if is_unreserved(byte) || punctuation.contains(&byte) {
            bytes.push(byte);
        } else {
            return None;
        }
    }
    String::from_utf8(bytes).ok().filter(|text| is_plain(text))
}

/// Upper case only: `%2f` and `%2F` are one text, and one of them is enough.
fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Writes a part of a path or query, encoding whatever is not unreserved.
pub(super) fn encoded(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if is_unreserved(byte) {
            out.push(char::from(byte));
        } else {
            // Writing into a text cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// Nothing that hides or reorders, and the composed form (NFC): what a person
/// reads in a record is what was sent.
pub(super) fn is_plain(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() || is_hidden(c)) && unicode_normalization::is_nfc(text)
}
