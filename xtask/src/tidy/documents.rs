//! Rules that hold documents against code.

use std::collections::BTreeSet;

use super::{Checkout, Finding};
use crate::denials;
use crate::repository::Trouble;

const DEPENDENCIES: &str = "docs/dependencies.md";
const SUMMARY: &str = "docs/SUMMARY.md";

/// Every dependency of the workspace has a row, and every row a dependency.
pub(super) fn dependencies(checkout: &Checkout<'_>) -> Result<Vec<Finding>, Trouble> {
    let manifest = checkout.repository.text("Cargo.toml")?;
    let table = checkout.repository.text(DEPENDENCIES)?;
    let declared: Vec<(usize, &str, &str)> = workspace_dependencies(manifest);
    let mut findings = Vec::new();
    for (line, name, value) in &declared {
        if value.contains("\"*\"") {
            let text = format!("`{name}` has no version; name the one that is tested");
            findings.push(Finding::new("Cargo.toml", text).at(*line));
        }
        let used = checkout.crates.iter().flat_map(|c| &c.dependencies).any(|d| d.name == *name);
        if !used {
            let text = format!("no crate uses `{name}`; remove the line");
            findings.push(Finding::new("Cargo.toml", text).at(*line));
        }
        if !rows(table).any(|(_, row)| row == *name) {
            let text = format!("no row for `{name}`: what for, what it replaces, who keeps it");
            findings.push(Finding::new(DEPENDENCIES, text));
        }
    }
    for (line, row) in rows(table) {
        if !declared.iter().any(|(_, name, _)| *name == row) {
            let text = format!("`{row}` is not a dependency of the workspace");
            findings.push(Finding::new(DEPENDENCIES, text).at(line));
        }
    }
    Ok(findings)
}

/// Line, name and value of each dependency that is not ours.
fn workspace_dependencies(manifest: &str) -> Vec<(usize, &str, &str)> {
    (1..)
        .zip(manifest.lines())
        .skip_while(|(_, line)| line.trim() != "[workspace.dependencies]")
        .skip(1)
        .take_while(|(_, line)| !line.starts_with('['))
        .filter_map(|(at, line)| {
            let (name, value) = line.split_once('=')?;
            let name = name.trim();
            (!name.starts_with('#') && !value.contains("path =")).then_some((at, name, value))
        })
        .collect()
}

/// Line and first cell of each row of the table that is in backticks.
fn rows(table: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(table.lines()).filter_map(|(at, line)| {
        let (name, _) = line.strip_prefix("| `")?.split_once('`')?;
        Some((at, name))
    })
}

/// What is fuzzed is what is shipped: the lock file of `fuzz/` names no other version.
pub(super) fn fuzz_lock(checkout: &Checkout<'_>) -> Result<Vec<Finding>, Trouble> {
    const PATH: &str = "fuzz/Cargo.lock";
    let ours: Vec<_> = locked(checkout.repository.text("Cargo.lock")?).collect();
    let fuzzed = locked(checkout.repository.text(PATH)?);
    let differs = fuzzed.filter(|(name, version)| {
        ours.iter().any(|(n, _)| n == name) && !ours.contains(&(*name, *version))
    });
    Ok(differs
        .map(|(name, version)| {
            let text =
                format!("`{name}` {version} is not the version shipped; run `cargo xtask lock`");
            Finding::new(PATH, text)
        })
        .collect())
}

/// Name and version of each package of a lock file.
fn locked(lock: &str) -> impl Iterator<Item = (&str, &str)> {
    lock.split("[[package]]").skip(1).filter_map(|package| {
        let member = |name: &str| {
            package
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \"")?.strip_suffix('"'))
        };
        Some((member("name")?, member("version")?))
    })
}

/// `docs/denials.md` is what `cargo xtask docs` would write.
pub(super) fn denials(checkout: &Checkout<'_>) -> Result<Vec<Finding>, Trouble> {
    let written = checkout.repository.text(denials::PATH).unwrap_or_default();
    let text = "differs from the table in crates/core/src/denial.rs; run `cargo xtask docs`";
    let finding = Finding::new(denials::PATH, text);
    Ok(if written == denials::document() { Vec::new() } else { vec![finding] })
}

/// Every page is linked from the summary, and every link has its page.
pub(super) fn summary(checkout: &Checkout<'_>) -> Result<Vec<Finding>, Trouble> {
    let summary = checkout.repository.text(SUMMARY)?;
    let linked: BTreeSet<&str> = links(summary).collect();
    let mut findings = Vec::new();
    for file in checkout.repository.files() {
        let Some(page) = file.path.strip_prefix("docs/") else {
            continue;
        };
        if page.ends_with(".md") && page != "SUMMARY.md" && !linked.contains(page) {
            findings.push(Finding::new(&file.path, "is not linked from docs/SUMMARY.md"));
        }
    }
    for page in linked {
        let path = format!("docs/{page}");
        if !page.contains("://") && checkout.repository.text(&path).is_err() {
            findings.push(Finding::new(SUMMARY, format!("links `{page}`, which is not there")));
        }
    }
    Ok(findings)
}

/// The targets of Markdown links.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| {
        let target = rest.split_once(')')?.0;
        Some(target.split('#').next().unwrap_or(target))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_of_the_workspace_are_read_without_our_own_crates() {
        let manifest = "[workspace.dependencies]\nours = { path = \"x\" }\n\na = \"1\"\n# b = \"2\"\n\n[lints]\nc = \"3\"\n";
        let names: Vec<_> = workspace_dependencies(manifest).iter().map(|d| (d.0, d.1)).collect();
        assert_eq!(names, [(4, "a")]);
    }

    #[test]
    fn a_lock_file_is_read_by_name_and_version() {
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.2.3\"\ndependencies = [\n \"b\",\n]\n";
        assert_eq!(locked(lock).collect::<Vec<_>>(), [("a", "1.2.3")]);
    }

    #[test]
    fn links_are_found_without_their_anchors() {
        let found: Vec<_> = links("- [A](a.md)\n  - [B](b/c.md#part)\n").collect();
        assert_eq!(found, ["a.md", "b/c.md"]);
    }
}
