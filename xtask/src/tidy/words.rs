//! Nothing in the repository or its history says on whose machine it was made.

use super::{Checkout, Finding};
use crate::repository::Trouble;

/// Places that exist on one machine only. Written in pieces, so that this file keeps its own rule.
const MACHINE_PATHS: [&[&str]; 4] =
    [&["/ro", "ot/"], &["/wo", "rk/"], &["/Us", "ers/"], &["C:\\Us", "ers\\"]];

fn machine_path(text: &str) -> Option<String> {
    MACHINE_PATHS.iter().map(|parts| parts.concat()).find(|path| {
        // A path begins where a word does: `spec/work/x` is another matter.
        text.match_indices(path.as_str()).any(|(at, _)| {
            let before = text.get(..at).and_then(|b| b.chars().next_back());
            !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '}' | '~'))
        })
    })
}

/// In tracked files.
pub(super) fn files(checkout: &Checkout<'_>) -> Result<Vec<Finding>, Trouble> {
    let mut findings = Vec::new();
    for file in checkout.repository.files() {
        for (line, text) in (1..).zip(file.text.lines()) {
            if let Some(path) = machine_path(text) {
                let text = format!("`{path}` exists on one machine only; write it relative");
                findings.push(Finding::new(&file.path, text).at(line));
            }
        }
    }
    Ok(findings)
}

/// In commit messages.
pub(super) fn messages(checkout: &Checkout<'_>) -> Result<Vec<Finding>, Trouble> {
    let log = checkout.repository.output("git", &["log", "--format=%h%x00%B%x01"])?;
    Ok(log
        .split('\u{1}')
        .filter_map(|commit| {
            let (id, message) = commit.trim_start().split_once('\0')?;
            let path = machine_path(message)?;
            let text = format!("the message names `{path}`, which exists on one machine only");
            Some(Finding::new(format!("commit {id}"), text))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_one_machine_is_found_where_a_path_begins() {
        let path = MACHINE_PATHS[0].concat();
        assert!(machine_path(&format!("see {path}x")).is_some());
        assert!(machine_path(&format!("`{path}x`")).is_some());
        assert!(machine_path(&format!("https://example.com{path}x")).is_none());
        assert!(machine_path("docs/constraints.md").is_none());
    }
}
