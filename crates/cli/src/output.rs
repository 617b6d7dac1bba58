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
            self.line(&Json::Object(object).canonical());
        } else {
            self.line(text.as_ref());
        }
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
        let mut out = std::io::stdout().lock();
        // A closed pipe is the reader's choice, not an error.
        let _ = writeln!(out, "{}", printable(text));
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
            self.line(&Json::Object(object).canonical());
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
                    text.push_str(&format!("{indent}{name}\n"));
                    write(value, depth + 1, text);
                }
                Json::Array(items) if items.iter().any(|i| i.as_object().is_some()) => {
                    for (i, item) in items.iter().enumerate() {
                        text.push_str(&format!("{indent}{name} {i}\n"));
                        write(item, depth + 1, text);
                    }
                }
                Json::String(s) => text.push_str(&format!("{indent}{name:<16} {s}\n")),
                other => text.push_str(&format!("{indent}{name:<16} {other}\n")),
            }
        }
    }
    let mut text = String::new();
    write(json, 0, &mut text);
    text.trim_end().to_owned()
}

/// Control and bidirectional characters shown escaped: names and texts from
/// outside must not steer the terminal.
pub(crate) fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let hidden = matches!(c,
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
            | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
        if c == '\n' || c == '\t' || (!c.is_control() && !hidden) {
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
    }
}
