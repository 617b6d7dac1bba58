//! Variables of a program's environment: those that the vault holds, and what a
//! variable may be called and hold, whoever names it.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use bailiwick_core::ids::ServerName;
use bailiwick_gateway::ports::{MIN_SECRET_CHARS, Secret, VaultFault};
use bailiwick_store::VaultPlace;
use zeroize::Zeroizing;

use super::form::{Form, Source, Variable};
use super::{read, source};
use crate::datadir::DataDir;
use crate::error::CliError;

/// Variables of one program at most.
pub(crate) const MAX_VARIABLES: usize = 64;
/// Bytes of a name, and of a value: far below what a system takes.
const MAX_NAME: usize = 128;
const MAX_VALUE: usize = 32 << 10;

/// What names of secrets have in them.
const TELLING: [&str; 11] = [
    "KEY",
    "TOKEN",
    "SECRET",
    "PASS",
    "CREDENTIAL",
    "AUTH",
    "COOKIE",
    "SESSION",
    "PRIVATE",
    "BAILIWICK",
    "DATABASE_URL",
];

/// Whether a name looks like that of a secret.
pub(crate) fn is_telling(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    TELLING.iter().any(|mark| name.contains(mark))
}

/// What every shell takes for a variable's name (POSIX.1-2017, 3.235).
fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Whether the dynamic loader takes code from it, before the program's own.
fn is_loaders(name: &str) -> bool {
    name.starts_with("LD_") || name.starts_with("DYLD_") || name == "GCONV_PATH"
}

/// Whether a variable may be called so.
///
/// # Errors
/// `variable-malformed`, `variable-refused`.
pub(crate) fn check_name(name: &str) -> Result<(), CliError> {
    if !is_name(name) {
        let shown = if name.len() <= MAX_NAME { name } else { "that text" };
        return Err(CliError::usage(
            "variable-malformed",
            format!("`{shown}` is no name of a variable"),
            "write letters, digits and `_`, the first no digit, at most 128 of them",
        ));
    }
    if is_loaders(name) {
        return Err(CliError::usage(
            "variable-refused",
            format!("`{name}` would have the loader run other code than the program's"),
            "leave it out; a program that needs it is started by a script of yours that sets it",
        ));
    }
    Ok(())
}

/// Whether a variable may hold this.
///
/// # Errors
/// `variable-too-large`, `variable-not-text`.
pub(crate) fn check_value(name: &str, value: &OsStr) -> Result<(), CliError> {
    if value.len() > MAX_VALUE {
        return Err(CliError::usage(
            "variable-too-large",
            format!("`{name}` holds more than {} KiB", MAX_VALUE >> 10),
            "hand so much to the program in a file",
        ));
    }
    if value.as_bytes().contains(&0) {
        return Err(CliError::usage(
            "variable-not-text",
            format!("`{name}` holds a zero byte"),
            "set it as text",
        ));
    }
    Ok(())
}

fn place(server: &ServerName) -> VaultPlace {
    VaultPlace { server: server.clone(), principal: None }
}

/// What the vault holds for a program's environment, still as references.
pub(crate) fn held(data: &DataDir, server: &ServerName) -> Result<Vec<Variable>, CliError> {
    let row = data.store().read(|view| view.vault_row(&place(server)))?;
    let Some(row) = row.filter(|row| row.kind == super::ENVIRONMENT) else {
        return Ok(Vec::new());
    };
    match read(data, &row)? {
        Form::Environment { ref mut variables } => Ok(std::mem::take(variables)),
        _ => Ok(Vec::new()),
    }
}

/// The variables that a program is started with.
///
/// # Errors
/// When one cannot be had: then it is not started.
pub(crate) async fn of(
    data: &DataDir,
    server: &ServerName,
) -> Result<Vec<(OsString, Secret)>, CliError> {
    follow(&held(data, server)?).await.map_err(|fault| {
        CliError::environment(
            fault.code,
            format!("a variable of `{server}` cannot be had from the vault"),
            "run `bailiwick doctor`, which says what to do",
        )
    })
}

/// The values of variables, each checked as if it stood on the command line.
pub(super) async fn follow(variables: &[Variable]) -> Result<Vec<(OsString, Secret)>, VaultFault> {
    let mut all = Vec::with_capacity(variables.len());
    for Variable { name, secret } in variables {
        let value: Zeroizing<String> = source::read(secret).await?;
        let fits = check_name(name).and_then(|()| check_value(name, OsStr::new(value.as_str())));
        // A shorter one would be found by chance in answers that do not show it.
        if fits.is_err() || value.chars().count() < MIN_SECRET_CHARS {
            return Err(source::fault("variable-unusable"));
        }
        all.push((OsString::from(name), Secret::new(value.as_str())));
    }
    Ok(all)
}

/// The same variables with this one among them, in place of one of its name.
///
/// # Errors
/// `variables-too-many`.
pub(crate) fn with(
    mut variables: Vec<Variable>,
    name: String,
    secret: Source,
) -> Result<Form, CliError> {
    variables.retain(|variable| variable.name != name);
    if variables.len() >= MAX_VARIABLES {
        return Err(CliError::usage(
            "variables-too-many",
            format!("a program has at most {MAX_VARIABLES} variables of the vault"),
            "remove one with `bailiwick vault remove SERVER --env NAME`",
        ));
    }
    variables.push(Variable { name, secret });
    Ok(Form::Environment { variables })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(checked: Result<(), CliError>) -> Option<String> {
        checked.err().map(|error| error.code)
    }

    #[test]
    fn a_variable_has_a_name_that_every_shell_takes_and_none_of_the_loaders() {
        for name in ["TOKEN", "_x", "GITHUB_TOKEN", "a1", "LDAP_URL"] {
            assert_eq!(code(check_name(name)), None, "{name}");
        }
        let long = "A".repeat(129);
        for name in ["", "1A", "A-B", "A B", "A=B", "A\n", "Ä", "a;rm", long.as_str()] {
            assert_eq!(code(check_name(name)).as_deref(), Some("variable-malformed"), "{name}");
        }
        for name in ["LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "GCONV_PATH"] {
            assert_eq!(code(check_name(name)).as_deref(), Some("variable-refused"), "{name}");
        }
    }

    #[test]
    fn a_variable_holds_what_a_system_takes() {
        assert_eq!(code(check_value("A", OsStr::new("x"))), None);
        let large = "x".repeat(MAX_VALUE + 1);
        assert_eq!(
            code(check_value("A", OsStr::new(&large))).as_deref(),
            Some("variable-too-large")
        );
        assert_eq!(
            code(check_value("A", OsStr::new("a\0b"))).as_deref(),
            Some("variable-not-text")
        );
    }

    #[tokio::test]
    async fn what_the_vault_holds_is_checked_when_it_is_followed() {
        let of = |name: &str, value: &str| {
            vec![Variable { name: name.to_owned(), secret: Source::Value(value.to_owned()) }]
        };
        let found = follow(&of("TOKEN", "long-enough")).await.unwrap();
        assert_eq!(found.first().map(|(name, _)| name.to_str()), Some(Some("TOKEN")));
        for variables in
            [of("LD_PRELOAD", "long-enough"), of("TOKEN", "short"), of("A\0", "xxxxxxxx")]
        {
            assert_eq!(follow(&variables).await.err().map(|f| f.code), Some("variable-unusable"));
        }
    }

    #[test]
    fn one_of_the_same_name_is_replaced_and_there_are_not_too_many() {
        let value = || Source::Value("long-enough".to_owned());
        let mut variables = Vec::new();
        for n in 0..MAX_VARIABLES {
            let form = with(variables, format!("V{n}"), value()).unwrap();
            let Form::Environment { variables: ref all } = form else { panic!("{}", form.kind()) };
            assert_eq!(all.len(), n + 1);
            variables =
                all.iter().map(|v| Variable { name: v.name.clone(), secret: value() }).collect();
        }
        let again = |name: &str| {
            let all = (0..MAX_VARIABLES)
                .map(|n| Variable { name: format!("V{n}"), secret: value() })
                .collect();
            with(all, name.to_owned(), value()).map(|form| form.sources().len())
        };
        assert_eq!(again("V0").ok(), Some(MAX_VARIABLES));
        assert_eq!(again("ONE_MORE").err().map(|e| e.code).as_deref(), Some("variables-too-many"));
    }
}
