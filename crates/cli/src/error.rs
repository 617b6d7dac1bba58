//! Errors as a person at a terminal meets them: what happened, what to do,
//! and an exit status that scripts can rely on.

use std::process::ExitCode;

use bailiwick_core::json::{Json, Object};

mod classes;

/// What a verb can end with besides success.
#[derive(Debug)]
pub(crate) struct CliError {
    /// The class, which is the exit status.
    pub(crate) class: Class,
    /// The stable code.
    pub(crate) code: String,
    /// What happened.
    pub(crate) message: String,
    /// What to do.
    pub(crate) remedy: String,
    /// Each problem by itself, where there are several; with `--json` only.
    pub(crate) problems: Vec<Json>,
}

/// Exit statuses, documented in `bailiwick --help`. Which error has which
/// class is said in [`classes`] and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// 1: refused, denied, or does not verify.
    Refused,
    /// 2: the command line, or a file that it names, cannot be used.
    Usage,
    /// 3: the installation's own files, the store or the network are not as
    /// they must be.
    Environment,
    /// 4: there is nothing by that name.
    NotFound,
}

impl Class {
    pub(crate) fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::Refused => 1,
            Self::Usage => 2,
            Self::Environment => 3,
            Self::NotFound => 4,
        })
    }
}

/// How a verb ends whose answer is a verdict, already printed.
pub(crate) fn ended(holds: bool) -> ExitCode {
    if holds { ExitCode::SUCCESS } else { Class::Refused.exit_code() }
}

impl CliError {
    pub(crate) fn new(
        class: Class,
        code: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (code, message, remedy) = (code.into(), message.into(), remedy.into());
        Self { class, code, message, remedy, problems: Vec::new() }
    }

    pub(crate) fn refused(
        code: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(Class::Refused, code, message, remedy)
    }

    pub(crate) fn usage(
        code: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(Class::Usage, code, message, remedy)
    }

    pub(crate) fn environment(
        code: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(Class::Environment, code, message, remedy)
    }

    pub(crate) fn not_found(
        code: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(Class::NotFound, code, message, remedy)
    }

    /// A file that cannot be written.
    pub(crate) fn file(path: &std::path::Path, what: &str, e: &std::io::Error) -> Self {
        Self::environment(
            "file",
            format!("cannot {what} `{}`: {e}", path.display()),
            "check the path and its permissions",
        )
    }

    /// The members that every error and warning has with `--json`.
    pub(crate) fn to_json(&self) -> Object {
        let object = Object::new()
            .with("code", self.code.as_str())
            .with("message", self.message.as_str())
            .with("remedy", self.remedy.as_str());
        if self.problems.is_empty() {
            object
        } else {
            object.with("problems", self.problems.clone())
        }
    }
}
/// Problems of a file, one a line, each with its code. The error's own code is shown after the
/// message: after the only problem, or after how many there are.
pub(crate) fn listed(problems: &[impl ToString], code: &str) -> String {
    let mut lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    match lines.as_mut_slice() {
        [only] => {
            let bare = only.strip_suffix(&format!(" [{code}]")).map(str::to_owned);
            bare.unwrap_or_else(|| only.clone())
        }
        several => {
            let many = format!("{} problems", several.len());
            lines.push(many);
            lines.join("\n  ")
        }
    }
}
