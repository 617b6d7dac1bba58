//! Every test and file that `THREATS.md` cites is there.

use super::{Checkout, Finding};
use crate::repository::Trouble;
use crate::source::blank_comments_and_literals;

const DOCUMENT: &str = "THREATS.md";

/// A place in the code that the document names.
#[derive(Debug, PartialEq, Eq)]
struct Citation<'a> {
    line: usize,
    path: &'a str,
    /// The test's name; none where only the file is named.
    test: Option<&'a str>,
}

/// The rule.
pub(super) fn check(checkout: &Checkout<'_>) -> Result<Vec<Finding>, Trouble> {
    let document = checkout.repository.text(DOCUMENT)?;
    let source = |path: &str| checkout.sources.iter().find(|s| s.path == path).map(|s| s.text);
    Ok(findings(document, source))
}

fn findings<'a>(document: &str, source: impl Fn(&str) -> Option<&'a str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut tests = 0usize;
    for Citation { line, path, test } in citations(document) {
        tests += usize::from(test.is_some());
        let text = match (source(path), test) {
            (None, _) => format!("cites `{path}`, which is not there"),
            (Some(text), Some(test)) if !has_test(text, test) => {
                format!("cites the test `{test}`, which is not in {path}")
            }
            (Some(_), _) => continue,
        };
        findings.push(Finding::new(DOCUMENT, text).at(line));
    }
    if tests == 0 {
        findings.push(Finding::new(DOCUMENT, "cites no test; name one as `FILE.rs::TEST`"));
    }
    findings
}

/// Rust files and tests named in a text, with or without backticks.
fn citations(text: &str) -> impl Iterator<Item = Citation<'_>> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-./:".contains(c);
    (1..).zip(text.lines()).flat_map(move |(line, text)| {
        text.split(move |c: char| !is_part(c)).filter_map(move |word| {
            let word = word.trim_end_matches(['.', ':']);
            let (path, test) = match word.split_once("::") {
                Some((path, test)) => (path, Some(test)),
                None => (word, None),
            };
            path.ends_with(".rs").then_some(Citation { line, path, test })
        })
    })
}

/// Whether a function of this name is there, with a test's attribute on the line before.
fn has_test(text: &str, name: &str) -> bool {
    let code = blank_comments_and_literals(text);
    let mut before = "";
    for line in code.lines().map(str::trim).filter(|l| !l.is_empty()) {
        let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        let rest = function.and_then(|f| f.strip_prefix(name));
        let is_it = rest.is_some_and(|r| r.starts_with('('));
        if is_it && before.starts_with("#[") && before.contains("test") {
            return true;
        }
        before = line;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "crates/x/tests/y.rs";
    const TESTS: &str = "#[test]\nfn one() {}\n\n#[tokio::test]\nasync fn two() {}\n\nfn helper() {}\n// #[test]\n// fn gone() {}\n";

    fn found(document: &str) -> Vec<String> {
        let source = |path: &str| (path == PATH).then_some(TESTS);
        findings(document, source).into_iter().map(|f| f.text).collect()
    }

    #[test]
    fn tests_that_are_there_may_be_cited() {
        let document = "| a | `crates/x/tests/y.rs` | `crates/x/tests/y.rs::one`<br>`crates/x/tests/y.rs::two` |\n";
        assert_eq!(found(document), [""; 0]);
    }

    #[test]
    fn a_cited_test_that_is_no_test_of_that_file_is_found() {
        for name in ["on", "one_more", "helper", "gone", ""] {
            let document = format!("`{PATH}::one` `{PATH}::{name}`");
            // A name that is missing leaves a file alone, which is there.
            let expected = usize::from(!name.is_empty());
            assert_eq!(found(&document).len(), expected, "{name}");
        }
        assert_eq!(found("crates/x/tests/y.rs::one, crates/x/tests/z.rs::one.").len(), 1);
        assert_eq!(found("`crates/x/tests/y.rs::one` in `crates/x/src/z.rs`").len(), 1);
    }

    #[test]
    fn a_document_without_any_test_is_found() {
        assert_eq!(found("`crates/x/tests/y.rs`"), ["cites no test; name one as `FILE.rs::TEST`"]);
    }

    #[test]
    fn citations_know_their_line() {
        let all: Vec<_> = citations("x\n(`a/b.rs::c`) d.rs.\n").collect();
        let c = |path, test| Citation { line: 2, path, test };
        assert_eq!(all, [c("a/b.rs", Some("c")), c("d.rs", None)]);
    }
}
