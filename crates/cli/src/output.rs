//! What a verb prints: text for people or one JSON object per line.

use std::io::Write;

use bailiwick_core::json::{Json, Object};

use crate::error::CliError;

/// Where and how to print.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// One JSON object per line instead of text.
    pub(crate) json: bool,
}

impl Output {
    /// Prints a result: the object with `--json`, else the text.
    pub(crate) fn result(&self, object: Object, text: impl AsRef<str>) {
        if self.json {
            self.json_line(object);
        } else {
            self.line(text.as_ref());
        }
    }

    /// One JSON object; what would steer a terminal is escaped as JSON does it.
    fn json_line(&self, object: Object) {
        let text = Json::Object(object).canonical();
        let mut safe = String::with_capacity(text.len());
        for c in text.chars() {
            if is_hidden(c) || c.is_control() {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    safe.push_str(&format!("\\u{unit:04x}"));
                }
            } else {
                safe.push(c);
            }
        }
        self.raw(&safe);
    }

    /// A result beside what another program writes: on standard error.
    pub(crate) fn beside(&self, object: Object, text: &str) {
        let mut err = std::io::stderr().lock();
        let text = if self.json { Json::Object(object).canonical() } else { printable(text) };
        let _ = writeln!(err, "{text}");
    }

    /// Text only; nothing with `--json`.
    pub(crate) fn say(&self, text: impl AsRef<str>) {
        if !self.json {
            self.line(text.as_ref());
        }
    }

    /// Clear next steps after a command.
    pub(crate) fn next(&self, steps: &[&str]) {
        if self.json || steps.is_empty() {
            return;
        }
        self.line("\nnext:");
        for step in steps {
            self.line(&format!("  {step}"));
        }
    }

    /// A remark beside the result, on standard error; nothing with `--json`.
    pub(crate) fn note(&self, text: &str) {
        if !self.json {
            let mut err = std::io::stderr().lock();
            let _ = writeln!(err, "note: {}", printable(text));
        }
    }

    /// One raw line.
    pub(crate) fn line(&self, text: &str) {
        self.raw(&printable(text));
    }

    fn raw(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        // A closed pipe is the reader's choice, not an error.
        let _ = writeln!(out, "{text}");
        let _ = out.flush();
    }

    /// Something that works and is probably not meant, on standard error; with
    /// `--json` the result carries it.
    pub(crate) fn warn(&self, e: &CliError) {
        if !self.json {
            let mut err = std::io::stderr().lock();
            let _ = writeln!(err, "warning: {} [{}]", printable(&e.message), e.code);
            let _ = writeln!(err, "  try: {}", printable(&e.remedy));
        }
    }

    /// An error, on standard error.
    pub(crate) fn error(&self, e: &CliError) {
        if self.json {
            let object = Object::new().with("error", e.to_json());
            self.json_line(object);
        } else {
            let mut err = std::io::stderr().lock();
            let _ = writeln!(err, "error: {} [{}]", printable(&e.message), e.code);
            if !e.remedy.is_empty() {
                let _ = writeln!(err, "  try: {}", printable(&e.remedy));
            }
        }
    }
}

/// Members a line each, nested ones indented.
pub(crate) fn pretty(json: &Json) -> String {
    fn write(json: &Json, depth: usize, text: &mut String) {
        let Json::Object(o) = json else { return };
        let indent = "  ".repeat(depth);
        for (name, value) in o.iter() {
            match value {
                Json::Object(inner) if !inner.is_empty() => {
                    text.push_str(&format!("{indent}{}\n", one_line(name)));
                    write(value, depth + 1, text);
                }
                Json::Array(items) if items.iter().any(|i| i.as_object().is_some()) => {
                    for (i, item) in items.iter().enumerate() {
                        text.push_str(&format!("{indent}{} {i}\n", one_line(name)));
                        write(item, depth + 1, text);
                    }
                }
                Json::String(s) => {
                    let (name, s) = (one_line(name), one_line(s));
                    text.push_str(&format!("{indent}{name:<16} {s}\n"));
                }
                other => text.push_str(&format!("{indent}{:<16} {other}\n", one_line(name))),
            }
        }
    }
    let mut text = String::new();
    write(json, 0, &mut text);
    text.trim_end().to_owned()
}

/// Characters that steer how a line is shown or read without being seen.
fn is_hidden(c: char) -> bool {
    matches!(c,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
        | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// Control and bidirectional characters shown escaped: names and texts from
/// outside must not steer the terminal.
pub(crate) fn printable(text: &str) -> String {
    escaped(text, |c| c == '\n' || c == '\t')
}

/// The same for a value within a line: it cannot begin a line of its own.
pub(crate) fn one_line(text: &str) -> String {
    escaped(text, |_| false)
}

fn escaped(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if keep(c) || (!c.is_control() && !is_hidden(c)) {
            out.push(c);
        } else {
            out.extend(c.escape_unicode());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_bidirectional_characters_are_shown_escaped() {
        assert_eq!(printable("a\u{1b}[31mb"), "a\\u{1b}[31mb");
        assert_eq!(printable("x\u{202e}y\u{200b}"), "x\\u{202e}y\\u{200b}");
        assert_eq!(printable("plain\ntext"), "plain\ntext");
        assert_eq!(one_line("a\nnext:\u{2028}b"), "a\\u{a}next:\\u{2028}b");
    }

    #[test]
    fn a_value_cannot_begin_a_line_of_its_own() {
        let object = Object::new().with("kid", "x\nsignature        verified").with("a\nb", 1u64);
        let text = pretty(&Json::Object(object));
        assert_eq!(text.lines().count(), 2, "{text}");
    }
}
