//! Where dependencies come from and under which licence: the part of `cargo deny` that needs no
//! network and no tool that would first have to be built. `deny.toml` says the same and more.

use bailiwick_core::json::{Json, Object};

use super::{Checkout, Finding};
use crate::repository::{Trouble, host};

const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

const ALLOWED: [&str; 15] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "OpenSSL",
    "Unicode-3.0",
    "Zlib",
];

/// The rule.
pub(super) fn check(checkout: &Checkout<'_>) -> Result<Vec<Finding>, Trouble> {
    let host = host()?;
    let metadata = checkout.repository.metadata(&["--filter-platform", &host])?;
    let member = |o: &Object, name: &str| o.member(name).and_then(Json::as_str).map(str::to_owned);
    let packages = metadata.as_object().and_then(|m| m.member("packages")?.as_array());
    let mut findings = Vec::new();
    for package in packages.unwrap_or_default().iter().filter_map(Json::as_object) {
        let name = member(package, "name").unwrap_or_default();
        let version = member(package, "version").unwrap_or_default();
        let place = format!("{name} {version}");
        match member(package, "source") {
            // Ours have no source.
            None => continue,
            Some(source) if source == REGISTRY => {}
            Some(source) => {
                findings
                    .push(Finding::new(&place, format!("comes from `{source}`, not crates.io")));
            }
        }
        match member(package, "license") {
            Some(licence) if permitted(&licence) => {}
            Some(licence) => {
                findings
                    .push(Finding::new(place, format!("`{licence}` is not an allowed licence")));
            }
            None => findings.push(Finding::new(place, "states no licence")),
        }
    }
    Ok(findings)
}

/// Whether an SPDX expression can be satisfied by allowed licences alone.
fn permitted(expression: &str) -> bool {
    // Before SPDX 2.1 cargo took a slash for OR.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any(&mut rest) && rest.is_empty()
}

fn any(words: &mut &[&str]) -> bool {
    let mut holds = all(words);
    while let Some(("OR", rest)) = words.split_first().map(|(w, r)| (*w, r)) {
        *words = rest;
        holds |= all(words);
    }
    holds
}

fn all(words: &mut &[&str]) -> bool {
    let mut holds = one(words);
    while let Some(("AND", rest)) = words.split_first().map(|(w, r)| (*w, r)) {
        *words = rest;
        holds &= one(words);
    }
    holds
}

fn one(words: &mut &[&str]) -> bool {
    match words {
        ["(", rest @ ..] => {
            *words = rest;
            let holds = any(words);
            if let [")", rest @ ..] = words {
                *words = rest;
            }
            holds
        }
        [licence, "WITH", exception, rest @ ..] => {
            let name = format!("{licence} WITH {exception}");
            *words = rest;
            ALLOWED.contains(&name.as_str())
        }
        [licence, rest @ ..] => {
            let holds = ALLOWED.contains(licence);
            *words = rest;
            holds
        }
        [] => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_judged_by_their_logic() {
        for good in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0 OR MIT",
            "ISC AND (Apache-2.0 OR ISC) AND OpenSSL",
            "Apache-2.0 WITH LLVM-exception OR GPL-2.0",
        ] {
            assert!(permitted(good), "{good}");
        }
        for bad in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND AGPL-3.0", "", "MIT WITH x"] {
            assert!(!permitted(bad), "{bad}");
        }
    }
}
