//! `[[check]]`: programs that check runs, by the names that workflows give them.

use bailiwick_core::json::{Json, Object};
use serde::Deserialize;

use super::provider::row;
use super::{Fault, OptionRow};
use crate::error::CliError;

/// Checks at most.
const MAX_CHECKS: usize = 64;
/// Arguments of one at most, and bytes of each.
const MAX_ARGUMENTS: usize = 64;
const MAX_ARGUMENT_BYTES: usize = 4_096;
/// Characters of a name, as in workflows.
const MAX_NAME: usize = 64;

/// One `[[check]]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CheckOptions {
    pub(crate) name: String,
    pub(crate) command: Vec<String>,
    pub(crate) user: String,
    pub(crate) seconds: u64,
    pub(crate) memory_mb: u64,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            name: String::new(),
            command: Vec::new(),
            user: String::new(),
            seconds: 60,
            memory_mb: 512,
        }
    }
}

/// Every member of `[[check]]`, in the order of the documentation.
pub(crate) const CHECK_OPTIONS: &[OptionRow] = &[
    row(
        "name",
        "1 to 64 letters, digits, `.`, `_`, `-`; another one for each check",
        "what workflows call it",
        "nothing: a workflow names a check and never a program",
    ),
    row(
        "command",
        "a list: the program's absolute path, then its arguments; no shell reads them",
        "what is run; root or the server's user owns the program, and nobody else can write to it",
        "runs a program as `user`, and says of runs that they are complete",
    ),
    row(
        "user",
        "a user of this machine, neither root nor the server's; empty where the server is not root",
        "as whom it runs; a server that is not root puts it into namespaces of its own instead",
        "runs the check as somebody whose files it may read",
    ),
    row(
        "seconds",
        "1 to 300; without it 60",
        "how long it may take; then all of it is killed, and the check was not run",
        "keeps other checks waiting so long",
    ),
    row(
        "memory_mb",
        "16 to 1024; without it 512",
        "the address space of each of its processes, MiB",
        "memory of the server's machine",
    ),
];

impl CheckOptions {
    fn fault(&self) -> Option<&'static str> {
        let named = |text: &str, most: usize| {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
            text.len() <= most && text.bytes().all(plain)
        };
        let argument = |a: &String| a.len() <= MAX_ARGUMENT_BYTES && !a.contains('\0');
        let program = self.command.first();
        let checks = [
            ("name", !self.name.is_empty() && named(&self.name, MAX_NAME)),
            (
                "command",
                program.is_some_and(|program| program.starts_with('/'))
                    && self.command.len() <= MAX_ARGUMENTS
                    && self.command.iter().all(argument),
            ),
            (
                "user",
                named(&self.user, 32)
                    && !self.user.starts_with('-')
                    && !["root", "0"].contains(&self.user.as_str()),
            ),
            ("seconds", (1..=300).contains(&self.seconds)),
            ("memory_mb", (16..=1024).contains(&self.memory_mb)),
        ];
        checks.into_iter().find(|(_, holds)| !holds).map(|(member, _)| member)
    }

    /// As `config show` prints it.
    pub(crate) fn to_json(&self) -> Object {
        let command: Vec<Json> = self.command.iter().map(|c| Json::from(c.as_str())).collect();
        Object::new()
            .with("name", self.name.as_str())
            .with("command", command)
            .with("user", self.user.as_str())
            .with("seconds", self.seconds)
            .with("memory_mb", self.memory_mb)
    }
}

/// The first thing for which the tables cannot stand beside each other.
pub(super) fn fault(checks: &[CheckOptions]) -> Option<Fault> {
    let out =
        |message: String, remedy: String| CliError::usage("config-out-of-range", message, remedy);
    if checks.len() > MAX_CHECKS {
        let error = out(
            format!("there are {} checks", checks.len()),
            format!("configure at most {MAX_CHECKS}"),
        );
        return Some(Fault { option: "check".to_owned(), error });
    }
    checks.iter().enumerate().find_map(|(i, check)| {
        let at = |member: &str| format!("check.{i}.{member}");
        if let Some(member) = check.fault() {
            let takes = CHECK_OPTIONS.iter().find(|row| row.name == member);
            let takes = takes.map_or("", |row| row.range);
            let error = out(
                format!("option `{member}` of check `{}` cannot be used", check.name),
                format!("`{member}` takes {takes}"),
            );
            return Some(Fault { option: at(member), error });
        }
        let twice = checks.iter().take(i).any(|before| before.name == check.name);
        let error = out(
            format!("two checks have one name: `{}`", check.name),
            "give every check a name of its own".to_owned(),
        );
        twice.then(|| Fault { option: at("name"), error })
    })
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::super::tests::{documents, refused};
    use super::*;

    #[test]
    fn the_page_about_configuration_says_what_a_check_takes() {
        documents(CHECK_OPTIONS, &CheckOptions::default().to_json());
    }

    const GOOD: &str =
        "[[check]]\nname = \"books\"\ncommand = [\"/usr/bin/true\", \"-x\"]\nuser = \"checker\"\n";

    #[test]
    fn a_check_that_cannot_be_used_is_named_with_what_is_wrong() {
        toml::from_str::<Config>(GOOD).unwrap().check().unwrap();
        for (member, from, to) in [
            ("name", "\"books\"", "\"a b\""),
            ("name", "\"books\"", "\"\""),
            ("command", "\"/usr/bin/true\"", "\"true\""),
            ("command", "[\"/usr/bin/true\", \"-x\"]", "[]"),
            ("user", "\"checker\"", "\"root\""),
            ("user", "\"checker\"", "\"0\""),
            ("user", "\"checker\"", "\"-x\""),
        ] {
            let said = refused(&GOOD.replace(from, to));
            assert!(said.contains(&format!("`{member}`")), "{said}");
        }
        for more in ["seconds = 0", "seconds = 301", "memory_mb = 8", "memory_mb = 1025"] {
            let member = more.split(' ').next().unwrap();
            assert!(refused(&format!("{GOOD}{more}\n")).contains(member), "{more}");
        }
        assert!(refused(&format!("{GOOD}{GOOD}")).contains("one name"));
        assert!(toml::from_str::<Config>(&format!("{GOOD}shell = true\n")).is_err());
    }
}
