//! The environment of an agent's program: what it needs to find programs and to
//! write to a terminal, what was named, and nothing that was inherited besides.

use std::ffi::{OsStr, OsString};

use crate::error::CliError;
use crate::vault::environment::is_telling;

/// What every program may have.
const PLAIN: &[&str] = &["PATH", "TERM", "COLORTERM", "LANG", "LC_ALL", "LC_CTYPE", "TZ"];
/// What goes in, and the names of what was inherited and stays out.
pub(super) struct Environment {
    pub(super) given: Vec<(OsString, OsString)>,
    pub(super) stripped: Vec<String>,
}

impl Environment {
    /// From what this process inherited, and `NAME=VALUE` or `NAME` as named.
    pub(super) fn new(
        inherited: impl IntoIterator<Item = (OsString, OsString)>,
        named: &[String],
    ) -> Result<Self, CliError> {
        let (mut given, mut stripped) = (Vec::new(), Vec::new());
        let passes = |name: &OsStr| {
            PLAIN.iter().any(|plain| name == *plain) || named.iter().any(|n| name == n.as_str())
        };
        for (name, value) in inherited {
            if passes(&name) {
                given.push((name, value));
            } else {
                stripped.push(name.to_string_lossy().into_owned());
            }
        }
        for named in named {
            match named.split_once('=') {
                Some((name, _)) if !is_name(name) => return Err(no_name(named)),
                None if !is_name(named) => return Err(no_name(named)),
                // Whoever lists this machine's processes reads the command line.
                Some((name, _)) if is_telling(name) => {
                    return Err(CliError::usage(
                        "secret-in-arguments",
                        format!(
                            "`{name}` looks like a secret, and others can read it on the command line"
                        ),
                        format!(
                            "set {name} in this environment, and pass it on with `--env {name}`"
                        ),
                    ));
                }
                Some((name, value)) => given.push((name.into(), value.into())),
                None if given.iter().any(|(name, _)| name == named.as_str()) => {}
                None => {
                    return Err(CliError::usage(
                        "variable-missing",
                        format!("`{named}` is not in the environment"),
                        "set it, or leave it out",
                    ));
                }
            }
        }
        stripped.sort();
        Ok(Self { given, stripped })
    }

    /// One line about what stays out: the names that look like secrets, and how
    /// many others.
    pub(super) fn told(&self) -> String {
        let secret = |name: &&String| is_telling(name);
        let secrets: Vec<&str> = self.stripped.iter().filter(secret).map(String::as_str).collect();
        let others = self.stripped.len() - secrets.len();
        match (secrets.is_empty(), others) {
            (true, 0) => "nothing".to_owned(),
            (true, n) => format!("{n} variables, none of which looks like a secret"),
            (false, 0) => secrets.join(", "),
            (false, n) => format!("{} and {n} others", secrets.join(", ")),
        }
    }
}

/// What a system takes for a variable's name.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

fn no_name(given: &str) -> CliError {
    let shown = given.split_once('=').map_or(given, |(name, _)| name);
    CliError::usage(
        "variable-malformed",
        format!("`{shown}` is no name of a variable"),
        "write --env NAME, or --env NAME=VALUE",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inherited() -> Vec<(OsString, OsString)> {
        [("PATH", "/bin"), ("GITHUB_TOKEN", "t"), ("EDITOR", "vi"), ("aws_secret_access_key", "s")]
            .map(|(name, value)| (name.into(), value.into()))
            .to_vec()
    }

    #[test]
    fn a_secret_is_passed_on_by_its_name_and_not_on_the_command_line() {
        let error = Environment::new(inherited(), &["API_KEY=hunter2".into()]).err().unwrap();
        assert_eq!(error.code, "secret-in-arguments");
        assert!(!format!("{}{}", error.message, error.remedy).contains("hunter2"));
        let environment = Environment::new(inherited(), &["GITHUB_TOKEN".into()]).unwrap();
        assert!(
            environment.given.iter().any(|(name, value)| name == "GITHUB_TOKEN" && value == "t")
        );
    }

    #[test]
    fn only_what_is_plain_or_named_is_passed_on() {
        let environment =
            Environment::new(inherited(), &["EDITOR".into(), "MODE=fast=1".into()]).unwrap();
        let given: Vec<_> = environment
            .given
            .iter()
            .map(|(n, v)| (n.to_str().unwrap(), v.to_str().unwrap()))
            .collect();
        assert_eq!(given, [("PATH", "/bin"), ("EDITOR", "vi"), ("MODE", "fast=1")]);
        assert_eq!(environment.stripped, ["GITHUB_TOKEN", "aws_secret_access_key"]);
        assert_eq!(environment.told(), "GITHUB_TOKEN, aws_secret_access_key");
        let refused = |named: &str| {
            Environment::new(inherited(), &[named.to_owned()]).err().map(|error| error.code)
        };
        assert_eq!(refused("ABSENT").as_deref(), Some("variable-missing"));
        for named in ["=x", "", "="] {
            assert_eq!(refused(named).as_deref(), Some("variable-malformed"), "{named}");
        }
    }
}
