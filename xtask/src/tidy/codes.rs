//! A stable code names one thing: no two error enums of a crate share one, and none takes a
//! denial's code for something else.

use std::collections::BTreeMap;

use bailiwick_core::denial::Reason;

use super::sources::names;
use super::{Checkout, Finding};
use crate::repository::Trouble;
use crate::source::Source;

/// A code and where it is given.
#[derive(Debug, PartialEq, Eq)]
struct Code {
    code: String,
    line: usize,
    /// The line on which the function that gives it begins.
    function: usize,
}

/// The rule.
pub(super) fn check(checkout: &Checkout<'_>) -> Result<Vec<Finding>, Trouble> {
    let mut givers: BTreeMap<(String, String), Vec<(String, Code)>> = BTreeMap::new();
    let mut findings = Vec::new();
    for source in &checkout.sources {
        let Some(name) = source.path.strip_prefix("crates/").and_then(|p| p.split('/').next())
        else {
            continue;
        };
        for code in codes(source.text, &source.product) {
            if !is_kebab_case(&code.code) {
                let text = format!("the code `{}` is not kebab-case", code.code);
                findings.push(Finding::new(source.path, text).at(code.line));
            }
            let key = (name.to_owned(), code.code.clone());
            givers.entry(key).or_default().push((source.path.to_owned(), code));
        }
    }
    for ((_, code), places) in givers {
        let Some(((first_path, first), others)) = places.split_first() else {
            continue;
        };
        for (path, other) in others {
            // One enum may give one code for several variants.
            if path == first_path && other.function == first.function {
                continue;
            }
            let text = format!("`{code}` is also a code in {first_path}:{}", first.line);
            findings.push(Finding::new(path, text).at(other.line));
        }
    }
    Ok(findings)
}

/// Every reason for a denial is given somewhere, and some test expects it.
pub(super) fn reasons(checkout: &Checkout<'_>) -> Result<Vec<Finding>, Trouble> {
    const TABLE: &str = "crates/core/src/denial.rs";
    let others = || checkout.sources.iter().filter(|s| s.path != TABLE);
    let is_expectation = |path: &str| path.starts_with("vectors/") || path.ends_with(".snap");
    let files = checkout.repository.files().iter().filter(|f| is_expectation(&f.path));
    let expectations: Vec<&str> = files.map(|f| f.text.as_str()).collect();
    let mut findings = Vec::new();
    for reason in Reason::ALL {
        let (variant, code) = (format!("Reason::{reason:?}"), format!("\"{}\"", reason.code()));
        let given =
            |s: &Source<'_>| names(&s.product, &variant) || s.before_tests().contains(&code);
        if !others().any(given) {
            let text = format!("nothing denies with `{}`", reason.code());
            findings.push(Finding::new(TABLE, text));
        }
        let in_tests = |s: &Source<'_>| {
            let tests = s.tests();
            names(tests, &variant) || tests.contains(&code)
        };
        if !others().any(in_tests) && !expectations.iter().any(|text| text.contains(reason.code()))
        {
            let text = format!("no test and no vector expects `{}`", reason.code());
            findings.push(Finding::new(TABLE, text));
        }
    }
    Ok(findings)
}

/// The literals in the bodies of `fn code(`.
fn codes(text: &str, product: &str) -> Vec<Code> {
    let mut found = Vec::new();
    let mut function: Option<(usize, usize)> = None;
    let mut depth = 0usize;
    for ((line, text), code) in (1..).zip(text.lines()).zip(product.lines()) {
        if function.is_none() && code.contains("fn code(") {
            function = Some((line, depth));
        }
        if let Some((start, _)) = function {
            let literals = text.split("//").next().unwrap_or_default().split('"');
            let literals = literals.skip(1).step_by(2);
            found.extend(literals.map(|l| Code { code: l.to_owned(), line, function: start }));
        }
        for c in code.chars() {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        if function.is_some_and(|(start, outside)| depth <= outside && line > start) {
            function = None;
        }
    }
    found
}

fn is_kebab_case(code: &str) -> bool {
    !code.is_empty()
        && code.split('-').all(|part| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_literals_of_a_code_function_are_its_codes() {
        let text = "impl E {\n    fn code(&self) -> &str {\n        match self {\n            Self::A => \"a-b\",\n            Self::B => \"c\",\n        }\n    }\n    fn remedy(&self) -> &str {\n        \"do it\"\n    }\n}\n";
        let source = Source::new("crates/x/src/e.rs", text);
        let codes: Vec<_> = codes(text, &source.product).into_iter().map(|c| c.code).collect();
        assert_eq!(codes, ["a-b", "c"]);
    }

    #[test]
    fn codes_are_kebab_case() {
        assert!(is_kebab_case("json-not-utf8"));
        for bad in ["", "A", "a_b", "a--b", "-a", "a b"] {
            assert!(!is_kebab_case(bad), "{bad}");
        }
    }
}
