//! Texts and times as they are shown.

use std::fmt;

use bailiwick_core::json::Json;
use bailiwick_core::time::Timestamp;

/// A text that may come from anybody, made safe to be read by a person:
/// control, bidirectional and invisible characters are written out as
/// `\u{…}`, so that what is seen is what is there. The templates escape HTML.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text(String);

impl Text {
    /// The text as shown.
    #[must_use]
    pub fn of(text: impl AsRef<str>) -> Self {
        let text = text.as_ref();
        let mut shown = String::with_capacity(text.len());
        for c in text.chars() {
            if is_hidden(c) {
                shown.extend(c.escape_unicode());
            } else {
                shown.push(c);
            }
        }
        Self(shown)
    }

    /// JSON, made safe in the same way by JSON's own escapes: it still reads as
    /// the same value.
    #[must_use]
    pub fn of_json(json: &Json) -> Self {
        let mut shown = String::new();
        for c in json.canonical().chars() {
            if is_hidden(c) {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    shown.push_str(&format!("\\u{unit:04x}"));
                }
            } else {
                shown.push(c);
            }
        }
        Self(shown)
    }

    /// The same, cut after `longest` characters.
    #[must_use]
    pub fn short(text: impl AsRef<str>, longest: usize) -> Self {
        let text = text.as_ref();
        match text.char_indices().nth(longest) {
            None => Self::of(text),
            Some((end, _)) => {
                let mut shown = Self::of(text.get(..end).unwrap_or_default());
                shown.0.push('…');
                shown
            }
        }
    }

    /// As shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing to show.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a character is not seen, or moves the ones around it (Unicode
/// TR #36: bidirectional controls, format characters, fillers).
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// A point in time as shown: in UTC, with the form that the page's script turns
/// into the viewer's own zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// RFC 3339, for `<time datetime>`.
    pub iso: String,
    /// `2026-11-26 15:04 UTC`
    pub words: String,
}

impl Moment {
    /// The time as shown.
    #[must_use]
    pub fn of(time: Timestamp) -> Self {
        let iso = Timestamp::from_seconds(time.seconds()).to_string();
        let words = match (iso.get(..10), iso.get(11..16)) {
            (Some(day), Some(clock)) => format!("{day} {clock} UTC"),
            _ => iso.clone(),
        };
        Self { iso, words }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_written_out() {
        let shown = |text: &str| Text::of(text).to_string();
        assert_eq!(shown("refund\u{202e}reverse"), "refund\\u{202e}reverse");
        assert_eq!(shown("a\u{200b}b\nc\u{feff}"), "a\\u{200b}b\\u{a}c\\u{feff}");
        assert_eq!(shown("\u{2066}x\u{2069}\u{e0041}"), "\\u{2066}x\\u{2069}\\u{e0041}");
        // Writing systems with marks stay readable.
        for text in ["Ticket lösen", "टिकट हल करें", "解决工单", "e\u{301}té", "\"quoted\" \\ text"]
        {
            assert_eq!(shown(text), text);
        }
        assert_eq!(Text::short("abcdef", 3).as_str(), "abc…");
        assert_eq!(Text::short("abc", 3).as_str(), "abc");
    }

    #[test]
    fn a_time_is_shown_in_utc_and_kept_exactly_to_the_second() {
        let moment = Moment::of(Timestamp::from_millis(1_704_067_500_042));
        assert_eq!(moment.words, "2024-01-01 00:05 UTC");
        assert_eq!(moment.iso, "2024-01-01T00:05:00.000Z");
    }
}
