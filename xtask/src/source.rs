//! Rust source as the rules of `tidy` see it: what is code, what is comment or literal, and what
//! is compiled for tests only. A reader of tokens, not of Rust: enough for rules about names.

/// A Rust source file.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    /// Relative to the root.
    pub(crate) path: &'a str,
    /// As written.
    pub(crate) text: &'a str,
    /// The same lines without comments, literals and tests.
    pub(crate) product: String,
    test_lines: usize,
}

impl<'a> Source<'a> {
    /// Reads `text`.
    pub(crate) fn new(path: &'a str, text: &'a str) -> Self {
        let code = blank_comments_and_literals(text);
        let (product, test_lines) = if is_test_file(path) {
            (blank(&code), text.lines().count())
        } else {
            blank_tests(&code)
        };
        Self { path, text, product, test_lines }
    }

    /// Lines that are not tests.
    pub(crate) fn product_lines(&self) -> usize {
        self.text.lines().count().saturating_sub(self.test_lines)
    }

    /// What is compiled for tests only, as written: all of a test's file, or the rest from the
    /// first test on.
    pub(crate) fn tests(&self) -> &'a str {
        let from = if is_test_file(self.path) { Some(0) } else { self.text.find("#[cfg(test)]") };
        from.and_then(|at| self.text.get(at..)).unwrap_or_default()
    }

    /// What is before the tests, as written.
    pub(crate) fn before_tests(&self) -> &'a str {
        let end = self.text.len() - self.tests().len();
        self.text.get(..end).unwrap_or_default()
    }

    /// Whether the line (from 1) is excepted from `rule` by `// tidy(rule): reason` on it or on
    /// the line before.
    pub(crate) fn excepts(&self, line: usize, rule: &str) -> bool {
        let mark = format!("// tidy({rule}): ");
        let from = line.saturating_sub(2);
        self.text
            .lines()
            .skip(from)
            .take(line - from)
            .any(|text| text.split_once(&mark).is_some_and(|(_, reason)| !reason.trim().is_empty()))
    }
}

/// Whether a file holds only tests, examples or benchmarks, by its place.
pub(crate) fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs")
        || path.split('/').any(|part| matches!(part, "tests" | "benches" | "examples" | "fuzz"))
}

fn blank(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect()
}

/// Replaces comments, strings and character literals by spaces; keeps every line break.
pub(crate) fn blank_comments_and_literals(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut previous = ' ';
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => quoted(rest),
            'r' if !is_word(previous) => raw_string(rest),
            '\'' => character(rest),
            _ => 0,
        };
        if taken == 0 {
            out.push(c);
            previous = c;
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
        } else {
            out.push_str(&blank(rest.get(..taken).unwrap_or_default()));
            previous = ' ';
            rest = rest.get(taken..).unwrap_or_default();
        }
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0usize, 0usize);
    while let Some(rest) = text.get(at..) {
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth.saturating_sub(1), at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            match rest.chars().next() {
                Some(c) => at += c.len_utf8(),
                None => break,
            }
        }
    }
    text.len()
}

fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a raw string at the start of `text`; 0 if there is none.
fn raw_string(text: &str) -> usize {
    let body = text.strip_prefix('r').unwrap_or(text);
    let hashes = body.len() - body.trim_start_matches('#').len();
    if !body.get(hashes..).is_some_and(|b| b.starts_with('"')) {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let inside = 1 + hashes + 1;
    let found = text.get(inside..).and_then(|rest| rest.find(&end));
    found.map_or(text.len(), |at| inside + at + end.len())
}

/// The length of a character literal at the start of `text`; 0 for a lifetime.
fn character(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => {
            let from = 3;
            text.get(from..).and_then(|rest| rest.find('\'')).map_or(0, |at| from + at + 1)
        }
        Some(_) => match chars.next() {
            Some((at, '\'')) => at + 1,
            _ => 0,
        },
        None => 0,
    }
}

/// Replaces every item under `#[cfg(test)]` by spaces, and counts the lines of those.
fn blank_tests(code: &str) -> (String, usize) {
    const MARK: &str = "#[cfg(test)]";
    let mut out = String::with_capacity(code.len());
    let (mut rest, mut lines) = (code, 0);
    while let Some(at) = rest.find(MARK) {
        let (before, item) = rest.split_at(at);
        out.push_str(before);
        let (item, after) = item.split_at(item_length(item));
        out.push_str(&blank(item));
        lines += item.lines().count();
        rest = after;
    }
    out.push_str(rest);
    (out, lines)
}

/// The length of one item: to its `;`, or to the brace that closes its first one.
fn item_length(code: &str) -> usize {
    let mut depth = 0usize;
    for (at, c) in code.char_indices() {
        match c {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_not_code() {
        let text = r##"let a = "x // y"; // clock
/* outer /* inner */ still */ let b = 'c'; let d = '\''; let l: &'a str = r#"raw " one"#; end"##;
        let code = blank_comments_and_literals(text);
        assert_eq!(code.len(), text.len());
        assert_eq!(code.lines().count(), text.lines().count());
        for word in ["clock", "outer", "still", "raw", "x", "y"] {
            assert!(!code.split(|c| !is_word(c)).any(|w| w == word), "{word} is left in {code}");
        }
        for word in ["let a =", "let b =", "&'a str", "end"] {
            assert!(code.contains(word), "{word} is gone from {code}");
        }
    }

    #[test]
    fn a_test_module_is_not_product_and_what_follows_it_is() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { c(); }\n}\nfn d() {}\n";
        let source = Source::new("crates/x/src/lib.rs", text);
        assert!(source.product.contains("fn a") && source.product.contains("fn d"));
        assert!(!source.product.contains("fn b"));
        assert_eq!(source.product_lines(), 2);
    }

    #[test]
    fn a_test_module_in_a_file_of_its_own_ends_at_its_semicolon() {
        let source = Source::new("crates/x/src/lib.rs", "#[cfg(test)]\nmod tests;\nfn a() {}\n");
        assert!(source.product.contains("fn a"));
        assert_eq!(Source::new("crates/x/src/tests.rs", "fn a() {}\n").product_lines(), 0);
    }

    #[test]
    fn an_exception_needs_its_reason() {
        let text = "// tidy(pure): the caller passes it\nInstant::now();\n// tidy(pure): \nx();\n";
        let source = Source::new("a.rs", text);
        assert!(source.excepts(2, "pure"));
        assert!(!source.excepts(2, "length"));
        assert!(!source.excepts(4, "pure"));
    }
}
