//! The rules. Each has a name, says why it is there, and gives findings; a finding fails the run,
//! a warning does not.

use crate::repository::{Repository, Trouble};
use crate::source::Source;

mod codes;
mod crates;
mod documents;
mod licences;
mod sources;
mod threats;
mod words;

/// Something that does not follow a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The file, or what else it is in.
    pub(crate) place: String,
    /// The line, from 1.
    pub(crate) line: Option<usize>,
    /// What is there and what should be.
    pub(crate) text: String,
    /// Whether it only warns.
    pub(crate) warning: bool,
}

impl Finding {
    pub(crate) fn new(place: impl Into<String>, text: impl Into<String>) -> Self {
        Self { place: place.into(), line: None, text: text.into(), warning: false }
    }

    pub(crate) fn at(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    pub(crate) fn warning(mut self) -> Self {
        self.warning = true;
        self
    }
}

/// What the rules look at.
pub(crate) struct Checkout<'a> {
    pub(crate) repository: &'a Repository,
    pub(crate) sources: Vec<Source<'a>>,
    pub(crate) crates: Vec<crates::Crate>,
}

type Check = fn(&Checkout<'_>) -> Result<Vec<Finding>, Trouble>;

const RULES: &[(&str, &str, Check)] = &[
    ("length", "a file fits in a reader's head", sources::length),
    ("pure", "the same inputs give the same decision on any machine", sources::pure),
    ("exceptions", "an exception says why and ends when its reason does", sources::exceptions),
    ("lints", "no crate escapes the workspace's lints", crates::lints),
    ("directions", "dependencies point inward", crates::directions),
    ("core-dependencies", "what the core links is decided, not drifted into", crates::pinned),
    ("wrappers", "one place for HTTP serving, one for SQL", crates::wrappers),
    ("serde-json-features", "no crate changes how JSON is read for all", crates::json_features),
    ("sources-and-licences", "what we ship, we may ship", licences::check),
    ("dependencies-documented", "each dependency says what it is for", documents::dependencies),
    ("fuzz-lock", "what is fuzzed is what is shipped", documents::fuzz_lock),
    ("denials-documented", "docs/denials.md is what the code says", documents::denials),
    ("reasons", "a reason is given somewhere and expected by a test", codes::reasons),
    ("codes", "a code names one thing", codes::check),
    ("threats", "every attack has its control and its test", threats::check),
    ("summary", "every page of the book can be reached", documents::summary),
    ("words", "the repository is the same on every machine", words::files),
    ("messages", "so is its history", words::messages),
];

/// Runs every rule and prints what does not hold.
///
/// # Errors
/// When the checkout cannot be read.
pub(crate) fn run() -> Result<bool, Trouble> {
    let repository = Repository::open()?;
    let sources = repository
        .files()
        .iter()
        .filter(|f| f.path.ends_with(".rs"))
        .map(|f| Source::new(&f.path, &f.text))
        .collect();
    let crates = crates::read(&repository)?;
    let checkout = Checkout { repository: &repository, sources, crates };
    let (mut passed, mut failed) = (0u32, 0u32);
    for (name, why, check) in RULES {
        let findings = check(&checkout)?;
        let holds = findings.iter().all(|f| f.warning);
        println!("{} {name}: {why}", if holds { "ok  " } else { "FAIL" });
        for finding in &findings {
            let kind = if finding.warning { "warning: " } else { "" };
            let line = finding.line.map(|l| format!(":{l}")).unwrap_or_default();
            println!("       {}{line}: {kind}{}", finding.place, finding.text);
        }
        if holds {
            passed += 1;
        } else {
            failed += 1;
        }
    }
    println!("tidy: {passed} passed, {failed} failed");
    Ok(failed == 0)
}
