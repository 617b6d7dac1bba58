//! A first look at a file, before the language's own reader: that reader, the
//! validator and evaluation recurse, and a text from outside must not choose
//! how deep.

use crate::limits::{MAX_POLICY_BYTES, MAX_POLICY_DEPTH, MAX_POLICY_STEPS};

/// The lines, from 1, on which the file's policies begin, in their order.
///
/// # Errors
/// The line of the first policy that is too long, too deep or too involved.
pub(super) fn beginnings(text: &str) -> Result<Vec<usize>, usize> {
    let mut look = Look::default();
    let (mut lines, mut line) = (Vec::new(), 1usize);
    let mut bytes = text.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        if byte == b'/' && bytes.peek().is_some_and(|(_, next)| *next == b'/') {
            // A comment ends with its line, as the language has it.
            while bytes.next_if(|(_, b)| *b != b'\n').is_some() {}
            continue;
        }
        if byte == b'\n' {
            line += 1;
        }
        if look.begins.is_none() && !byte.is_ascii_whitespace() {
            look.begins = Some((at, line));
        }
        match byte {
            // A text in quotes, with escapes.
            b'"' => {
                while let Some((_, inner)) = bytes.next() {
                    line += usize::from(inner == b'\n');
                    match inner {
                        b'\\' => line += usize::from(bytes.next().is_some_and(|(_, b)| b == b'\n')),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            b'(' | b'[' | b'{' => look.depth += 1,
            b')' | b']' | b'}' => look.depth = look.depth.saturating_sub(1),
            b'&' | b'|' | b'.' | b'+' | b'-' | b'*' | b'!' | b'<' | b'>' | b'=' => look.steps += 1,
            // A word ends here: `if`, `then`, `in`, `has`, `is`, `like`.
            b' ' | b'\n' | b'\r' | b'\t' => look.steps += usize::from(look.in_word),
            _ => {}
        }
        look.in_word = byte.is_ascii_alphanumeric() || byte == b'_';
        let end = bytes.peek().map_or(text.len(), |(next, _)| *next);
        if let Some((start, line)) = look.begins {
            let bytes = end.saturating_sub(start);
            if look.depth > MAX_POLICY_DEPTH
                || look.steps > MAX_POLICY_STEPS
                || bytes > MAX_POLICY_BYTES
            {
                return Err(line);
            }
            if byte == b';' {
                lines.push(line);
                look = Look::default();
            }
        }
    }
    Ok(lines)
}

/// What was seen of one policy.
#[derive(Default)]
struct Look {
    /// Byte and line of its first letter.
    begins: Option<(usize, usize)>,
    depth: usize,
    steps: usize,
    in_word: bool,
}

/// The line of a byte, from 1.
pub(super) fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    before.iter().filter(|b| **b == b'\n').count().saturating_add(1)
}
