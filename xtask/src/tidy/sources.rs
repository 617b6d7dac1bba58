//! Rules about Rust source.

use super::{Checkout, Finding};
use crate::repository::Trouble;
use crate::source::{Source, is_test_file};

const WARN_LINES: usize = 500;
const FAIL_LINES: usize = 600;

/// Crates whose decisions are functions of their arguments.
const PURE: [&str; 4] = ["core", "policy", "tlog", "evidence"];

/// What a pure crate does not name, and what to do instead.
const IMPURE: &[(&str, &str)] = &[
    ("SystemTime", "take a `Timestamp`"),
    ("time::Instant", "take a `Timestamp`"),
    ("Instant::now", "take a `Timestamp`"),
    ("Timestamp::now", "take a `Timestamp`"),
    ("Zoned::now", "take a `Timestamp`"),
    ("thread_rng", "take the random bytes"),
    ("getrandom", "take the random bytes"),
    ("SystemRandom", "take the random bytes, or a signer"),
    ("rand::", "take the random bytes"),
    ("new_v4", "take the random bytes"),
    ("now_v7", "take the time and the random bytes"),
    ("std::env", "take the value"),
    ("env::var", "take the value"),
    ("std::fs", "take the bytes"),
    ("fs::", "take the bytes"),
    ("std::io", "take the bytes"),
    ("std::process", "return a value"),
    ("std::thread", "return a value"),
    ("TcpStream", "take the bytes"),
    ("UdpSocket", "take the bytes"),
    ("tokio", "return a value"),
    ("async fn", "return a value"),
    ("thread_local", "take the value"),
    ("println", "return a value"),
];

/// Product code of at most 600 lines a file.
pub(super) fn length(checkout: &Checkout<'_>) -> Result<Vec<Finding>, Trouble> {
    Ok(checkout
        .sources
        .iter()
        .filter_map(|source| {
            let lines = source.product_lines();
            let text = format!(
                "{lines} lines that are not tests; at most {FAIL_LINES}, better {WARN_LINES}"
            );
            let finding = Finding::new(source.path, text);
            if lines > FAIL_LINES {
                Some(finding)
            } else {
                (lines > WARN_LINES).then(|| finding.warning())
            }
        })
        .collect())
}

/// No clock, randomness, environment, files, network or threads in the pure crates.
pub(super) fn pure(checkout: &Checkout<'_>) -> Result<Vec<Finding>, Trouble> {
    let is_pure =
        |path: &str| PURE.iter().any(|name| path.starts_with(&format!("crates/{name}/src/")));
    Ok(checkout.sources.iter().filter(|s| is_pure(s.path)).flat_map(impure_names).collect())
}

fn impure_names(source: &Source<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, code) in (1..).zip(source.product.lines()) {
        for (name, instead) in IMPURE {
            if names(code, name) && !source.excepts(line, "pure") {
                let text = format!("a pure crate names `{name}`; {instead}");
                findings.push(Finding::new(source.path, text).at(line));
            }
        }
    }
    findings
}

/// Whether `code` names `name` as a whole word.
pub(super) fn names(code: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(at, _)| {
        let before = code.get(..at).and_then(|b| b.chars().next_back());
        let after = code.get(at + name.len()..).and_then(|a| a.chars().next());
        let open_ended = name.ends_with(':');
        !before.is_some_and(is_word) && (open_ended || !after.is_some_and(is_word))
    })
}

/// `#[allow]` outlives its reason silently, `#[expect]` does not; and what panics by another name
/// than clippy's is not used either.
pub(super) fn exceptions(checkout: &Checkout<'_>) -> Result<Vec<Finding>, Trouble> {
    let mut findings = Vec::new();
    for source in checkout.sources.iter().filter(|s| !is_test_file(s.path)) {
        for (line, code) in (1..).zip(source.product.lines()) {
            let text = if code.contains("#[allow(") {
                "write `#[expect(lint, reason = \"…\")]` instead of `#[allow]`"
            } else if ["unreachable!", "unimplemented!"].iter().any(|m| names(code, m)) {
                "make the state impossible or return an error instead of panicking"
            } else {
                continue;
            };
            if !source.excepts(line, "exceptions") {
                findings.push(Finding::new(source.path, text).at(line));
            }
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_in_a_pure_crate_is_found_and_one_in_its_tests_is_not() {
        let text = "fn a() { SystemTime::now(); }\n#[cfg(test)]\nmod tests { fn b() { SystemTime::now(); } }\n";
        let findings = impure_names(&Source::new("crates/core/src/a.rs", text));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].line, Some(1));
    }

    #[test]
    fn a_name_inside_another_is_not_that_name() {
        assert!(!names("struct RedInstant::now", "Instant::now"));
        assert!(!names("offs::a()", "fs::"));
        assert!(names("use std::fs::read;", "fs::"));
        assert!(names("std::time::Instant::now()", "Instant::now"));
    }

    #[test]
    fn every_impure_name_says_what_to_do_instead() {
        assert!(IMPURE.iter().all(|(name, instead)| !name.is_empty() && !instead.is_empty()));
    }
}
