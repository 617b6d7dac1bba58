//! A program as the command line has it, with the environment that it gets.

use std::collections::BTreeSet;
use std::ffi::OsString;

use bailiwick_gateway::ports::MIN_SECRET_CHARS;
use bailiwick_gateway::stdio::{Program, Secret};

use crate::args::ProgramArgs;
use crate::error::CliError;
use crate::vault::environment::{MAX_VARIABLES, check_name, check_value, is_telling};

pub(in crate::verbs) fn no_command() -> CliError {
    CliError::usage(
        "no-command",
        "the program is not named",
        "write its command after `--`, as in `-- npx some-mcp-server`",
    )
}

/// The program with what the vault holds for it, what is named, and those of this
/// process's variables that are `plain`; nothing else is inherited.
///
/// # Errors
/// No command, or a variable that may not be set so.
pub(in crate::verbs) fn program(
    args: &ProgramArgs,
    plain: &[&str],
    held: Vec<(OsString, Secret)>,
) -> Result<Program, CliError> {
    let (command, arguments) = args.command.split_first().ok_or_else(no_command)?;
    let mut names = Names::default();
    for (name, _) in &held {
        names.take(&name.to_string_lossy())?;
    }
    let has_account = !held.is_empty();
    let (mut environment, mut secrets) = (Vec::new(), held);
    for given in &args.env {
        let (name, value) = match given.split_once('=') {
            Some((name, value)) => {
                names.take(name)?;
                check_shown(name)?;
                (name, OsString::from(value))
            }
            None => {
                names.take(given)?;
                (given.as_str(), inherited(given)?)
            }
        };
        check_value(name, &value)?;
        match value.to_str() {
            // Its name says that no answer may show it, unless it is so short that
            // answers have it by chance.
            Some(text) if is_telling(name) && text.chars().count() >= MIN_SECRET_CHARS => {
                secrets.push((name.into(), Secret::new(text)));
            }
            _ => environment.push((name.into(), value)),
        }
    }
    for name in &args.secret {
        names.take(name)?;
        let value = inherited(name)?;
        check_value(name, &value)?;
        let text = value.into_string().map_err(|_| {
            CliError::usage("variable-not-text", format!("`{name}` is no text"), "set it as text")
        })?;
        secrets.push((name.into(), Secret::new(text)));
    }
    for name in plain.iter().filter(|name| !names.0.contains(**name)) {
        environment.extend(std::env::var_os(name).map(|value| (name.into(), value)));
    }
    Ok(Program {
        command: command.clone(),
        arguments: arguments.to_vec(),
        environment,
        secrets,
        has_account,
        directory: None,
    })
}

/// Names of variables, each once.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl Names {
    fn take(&mut self, name: &str) -> Result<(), CliError> {
        check_name(name)?;
        if !self.0.insert(name.to_owned()) {
            return Err(CliError::usage(
                "variable-twice",
                format!("`{name}` is named twice, or held in the vault and named too"),
                "name it once; what the vault holds needs no option",
            ));
        }
        if self.0.len() > MAX_VARIABLES {
            return Err(CliError::usage(
                "variables-too-many",
                format!("more than {MAX_VARIABLES} variables are named"),
                "hand so much to the program in a file",
            ));
        }
        Ok(())
    }
}

/// Whoever lists this machine's processes reads the command line.
fn check_shown(name: &str) -> Result<(), CliError> {
    if !is_telling(name) {
        return Ok(());
    }
    Err(CliError::usage(
        "secret-in-arguments",
        format!("`{name}` looks like a secret, and others can read it on the command line"),
        format!(
            "put it into the vault with `bailiwick vault set SERVER --env {name}`, or pass it on with `--env {name}`"
        ),
    ))
}

fn inherited(name: &str) -> Result<OsString, CliError> {
    std::env::var_os(name).ok_or_else(|| {
        CliError::usage(
            "variable-missing",
            format!("`{name}` is not in the environment"),
            "set it, or leave it out",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(env: &[&str], held: &[&str]) -> Result<Program, CliError> {
        let args = ProgramArgs {
            env: env.iter().map(|e| (*e).to_owned()).collect(),
            secret: Vec::new(),
            command: vec!["true".into()],
        };
        let secret = |name: &&str| (OsString::from(name), Secret::new("held-in-the-vault"));
        program(&args, &["PATH"], held.iter().map(secret).collect())
    }

    fn names<T>(all: &[(OsString, T)]) -> Vec<&str> {
        all.iter().filter_map(|(name, _)| name.to_str()).collect()
    }

    #[test]
    fn a_program_gets_what_is_held_and_named_and_nothing_else() {
        let program = with(&["MODE=fast=1"], &["TOKEN"]).unwrap();
        assert_eq!(names(&program.environment), ["MODE", "PATH"]);
        assert_eq!(names(&program.secrets), ["TOKEN"]);
        assert!(program.has_account && !with(&[], &[]).unwrap().has_account);
        assert!(!format!("{program:?}").contains("held-in-the-vault"));
        // What is named takes the place of what would be inherited.
        let program = with(&["PATH=/opt/bin"], &[]).unwrap();
        let only = (OsString::from("PATH"), OsString::from("/opt/bin"));
        assert_eq!(program.environment, [only]);
    }

    #[test]
    fn a_variable_that_may_not_be_set_so_is_refused_without_its_value() {
        for (env, held, code) in [
            (&["=hunter2"][..], &[][..], "variable-malformed"),
            (&["A B=hunter2"][..], &[][..], "variable-malformed"),
            (&["LD_PRELOAD=/tmp/hunter2.so"][..], &[][..], "variable-refused"),
            (&["LD_PRELOAD"][..], &[][..], "variable-refused"),
            (&["API_KEY=hunter2"][..], &[][..], "secret-in-arguments"),
            (&["A=1", "A=hunter2"][..], &[][..], "variable-twice"),
            (&["MODE=hunter2"][..], &["MODE"][..], "variable-twice"),
            (&["SURELY_NOT_SET_ANYWHERE"][..], &[][..], "variable-missing"),
        ] {
            let error = with(env, held).err().unwrap();
            assert_eq!(error.code, code, "{env:?}");
            assert!(!format!("{}{}", error.message, error.remedy).contains("hunter2"), "{env:?}");
        }
        let many: Vec<String> = (0..=MAX_VARIABLES).map(|n| format!("V{n}=1")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(with(&many, &[]).err().unwrap().code, "variables-too-many");
    }
}
