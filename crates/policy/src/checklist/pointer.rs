//! JSON pointers (RFC 6901).

use bailiwick_core::json::Json;

use crate::limits::MAX_POINTER_BYTES;

/// A place in a JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pointer {
    tokens: Vec<String>,
}

/// A text that is no pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a JSON pointer such as `/status` or `/notes/0`, at most {MAX_POINTER_BYTES} bytes long"
)]
pub struct PointerError;

impl Pointer {
    /// Reads a pointer; the empty one is the whole value.
    ///
    /// # Errors
    /// [`PointerError`].
    pub fn parse(text: &str) -> Result<Self, PointerError> {
        if text.len() > MAX_POINTER_BYTES {
            return Err(PointerError);
        }
        if text.is_empty() {
            return Ok(Self { tokens: Vec::new() });
        }
        let rest = text.strip_prefix('/').ok_or(PointerError)?;
        let tokens: Option<Vec<String>> = rest.split('/').map(unescaped).collect();
        Ok(Self { tokens: tokens.ok_or(PointerError)? })
    }

    /// What stands at this place in `value`.
    #[must_use]
    pub fn find<'j>(&self, value: &'j Json) -> Option<&'j Json> {
        self.tokens.iter().try_fold(value, |value, token| match value {
            Json::Object(members) => members.member(token),
            Json::Array(items) => items.get(index(token)?),
            _ => None,
        })
    }
}

/// §4: an index has no leading zero.
fn index(token: &str) -> Option<usize> {
    let plain = token.bytes().all(|b| b.is_ascii_digit());
    let short = token == "0" || !token.starts_with('0');
    (plain && short).then(|| token.parse().ok()).flatten()
}

/// §3: `~1` is `/` and `~0` is `~`; any other `~` is an error.
fn unescaped(token: &str) -> Option<String> {
    let mut text = String::new();
    let mut rest = token.chars();
    while let Some(c) = rest.next() {
        text.push(match c {
            '~' => match rest.next()? {
                '0' => '~',
                '1' => '/',
                _ => return None,
            },
            c => c,
        });
    }
    Some(text)
}
