//! What the command line takes, and that every command that is written down is one.

use clap::CommandFactory as _;

use super::*;

/// The commands in a page: on lines of code, with what continues them.
fn commands(page: &str) -> Vec<Vec<String>> {
    let joined = page.replace("\\\n", " ");
    let lines = joined.lines().map(|l| l.trim_start().trim_start_matches("$ "));
    let lines = lines.filter(|l| l.starts_with("bailiwick ") && !l.contains(" VERB "));
    lines.map(words).collect()
}

/// Words as a shell takes them, up to what is no argument any more.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (None, '#' | '|' | '&' | '<' | '>' | ';') => break,
            (None, '\'' | '"') => quote = Some(c),
            (Some(q), c) if q == c => quote = None,
            (None, c) if c.is_whitespace() => words.push(String::new()),
            (_, c) => words.last_mut().unwrap().push(c),
        }
    }
    // `2> serve.log` leaves its number behind.
    words.retain(|word| !word.is_empty() && word != "2");
    words
}

fn help(command: &clap::Command) -> String {
    let own = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    command.get_subcommands().fold(own, |text, below| format!("{text}\n{}", help(below)))
}

#[test]
fn every_command_in_readme_docs_and_help_is_one() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut pages = vec![root.join("README.md"), root.join("THREATS.md")];
    let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|file| file.unwrap().path());
    pages.extend(docs.filter(|path| path.extension().is_some_and(|e| e == "md")));
    let mut texts: Vec<String> =
        pages.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    texts.push(help(&Args::command()));
    let mut found = 0;
    for text in &texts {
        for line in commands(text) {
            found += 1;
            let parsed = Args::try_parse_from(&line);
            let help = parsed.as_ref().is_err_and(|e| !e.use_stderr());
            assert!(parsed.is_ok() || help, "{line:?}: {}", parsed.unwrap_err());
        }
    }
    assert!(found > 60, "{found} commands");
}

/// Help is at most 100 columns wide: a longer example would be shown on lines that
/// do not paste.
#[test]
fn examples_paste_as_help_shows_them() {
    let text = help(&Args::command());
    let long: Vec<&str> =
        text.lines().filter(|l| l.starts_with("  bailiwick ") && l.chars().count() > 100).collect();
    assert!(long.is_empty(), "{long:#?}");
}

/// Where `--at` is refused, it is not offered; where it is taken, it is.
#[test]
fn at_stands_in_the_help_of_those_verbs_that_take_it() {
    Args::shown().debug_assert();
    let mut shown = Args::shown();
    shown.build();
    for (verb, offers) in [("serve", false), ("workflow", false), ("agent", true), ("runs", true)] {
        let found = shown.find_subcommand(verb).unwrap().clone().render_long_help().to_string();
        assert_eq!(found.contains("--at <URL>"), offers, "{verb}: {found}");
    }
    let below = shown.find_subcommand("workflow").unwrap().find_subcommand("check").unwrap();
    assert!(!below.clone().render_long_help().to_string().contains("--at <URL>"));
}

/// Base64url, which hashes and one-time tokens are, may begin with a hyphen.
#[test]
fn a_hash_or_a_token_that_begins_with_a_hyphen_is_a_value() {
    let parsed = |line: &str| Args::try_parse_from(line.split(' '));
    for line in [
        "bailiwick revoke delegation -9aB_c --reason why",
        "bailiwick revoke delegation --reason why -9aB_c",
        "bailiwick revoke holder-key -9aB_c --root --aB_c --reason why",
        "bailiwick instance join --authority u --token -9aB_c --agent a --owner o --key k",
    ] {
        assert!(parsed(line).is_ok(), "{line}: {}", parsed(line).unwrap_err());
    }
}
