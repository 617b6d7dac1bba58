//! `pattern` against an obvious matcher over every short glob and text.

use super::constraint;
use bailiwick_core::constraint::Constraint;
use bailiwick_core::json::{Json, Object};

/// The language of `pattern`, word for word.
pub(super) fn matches(glob: &[char], text: &[char]) -> bool {
    match glob {
        [] => text.is_empty(),
        ['*', '*', rest @ ..] => (0..=text.len()).any(|n| matches(rest, &text[n..])),
        ['*', rest @ ..] => (0..=text.len())
            .take_while(|n| !text[..*n].contains(&'/'))
            .any(|n| matches(rest, &text[n..])),
        ['\\', c, rest @ ..] => matches!(text, [d, tail @ ..] if c == d && matches(rest, tail)),
        ['?', rest @ ..] => matches!(text, [c, tail @ ..] if *c != '/' && matches(rest, tail)),
        [c, rest @ ..] => matches!(text, [d, tail @ ..] if c == d && matches(rest, tail)),
    }
}

fn words(letters: &[&str], longest: usize) -> Vec<String> {
    let mut all = vec![String::new()];
    let mut last = all.clone();
    for _ in 0..longest {
        last = last.iter().flat_map(|w| letters.iter().map(move |l| format!("{w}{l}"))).collect();
        all.extend(last.iter().cloned());
    }
    all.sort();
    all.dedup();
    all
}

fn pattern(glob: &str) -> Constraint {
    let json = Object::new().with("constraint_type", "pattern").with("glob", glob);
    constraint(&Json::Object(json).canonical())
}

/// Each glob of up to three parts, with the set of texts that it matches.
fn languages() -> Vec<(Constraint, Vec<bool>)> {
    let texts: Vec<Vec<char>> =
        words(&["a", "b", "/"], 5).iter().map(|t| t.chars().collect()).collect();
    words(&["a", "/", "?", "*", "**"], 3)
        .into_iter()
        .filter(|glob| !glob.is_empty() && !glob.contains("***"))
        .map(|glob| {
            let chars: Vec<char> = glob.chars().collect();
            let pattern = pattern(&glob);
            let language: Vec<bool> = texts.iter().map(|text| matches(&chars, text)).collect();
            for (text, expected) in texts.iter().zip(&language) {
                let value = Json::from(text.iter().collect::<String>());
                assert_eq!(pattern.permits(&value), *expected, "{glob} against {text:?}");
            }
            (pattern, language)
        })
        .collect()
}

#[test]
fn every_short_glob_matches_what_it_says_and_covers_only_what_it_contains() {
    let languages = languages();
    let (mut covered, mut missed) = (vec![Vec::new(); languages.len()], Vec::new());
    for (p, (parent, parent_language)) in languages.iter().enumerate() {
        for (c, (child, child_language)) in languages.iter().enumerate() {
            // The letter b stands in no glob, so it shows what `?` and `*` let in.
            let contained = child_language.iter().zip(parent_language).all(|(c, p)| !c || *p);
            if parent.covers(child) {
                assert!(contained, "{} under {}", child.to_json(), parent.to_json());
                covered[p].push(c);
            } else if contained {
                missed.push(format!("{} under {}", child.to_json(), parent.to_json()));
            }
        }
    }
    for (a, under_a) in covered.iter().enumerate() {
        assert!(under_a.contains(&a), "reflexive: {}", languages[a].0.to_json());
        for b in under_a {
            for c in &covered[*b] {
                assert!(
                    under_a.contains(c),
                    "{} under {} under {}",
                    languages[*c].0.to_json(),
                    languages[*b].0.to_json(),
                    languages[a].0.to_json()
                );
            }
        }
    }
    // Conservative, but not so much as to be useless: of what is contained
    // nearly everything is found.
    let found: usize = covered.iter().map(Vec::len).sum();
    assert!(missed.len() * 20 < found, "{found} covered, {} missed: {missed:#?}", missed.len());
}

#[test]
fn long_globs_and_texts_do_not_explode() {
    let hostile = pattern(&format!("{}b", "*a".repeat(60)));
    assert!(!hostile.permits(&Json::from("a".repeat(16_000))));
    let all = pattern("**");
    assert!(all.permits(&Json::from("a".repeat(16_384))));
    assert!(!all.permits(&Json::from("a".repeat(16_385))));
    let wide = pattern(&format!("**{}**", "?a".repeat(63)));
    let child = pattern(&format!("**{}**", "a?".repeat(63)));
    assert!(!hostile.covers(&wide) && !wide.covers(&hostile));
    assert!(wide.covers(&wide));
    let _ = wide.covers(&child);
    assert!(
        super::read(&format!(r#"{{"constraint_type":"pattern","glob":"{}"}}"#, "a".repeat(128)))
            .is_err()
    );
    let longest = pattern(&"?".repeat(127));
    assert!(
        longest.permits(&Json::from("x".repeat(127)))
            && !longest.permits(&Json::from("x".repeat(128)))
    );
}
