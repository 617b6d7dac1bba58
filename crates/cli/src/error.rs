//! Errors as a person at a terminal meets them: what happened, what to do,
//! and an exit status that scripts can rely on.

use std::process::ExitCode;

use bailiwick_core::json::Object;

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
}

/// Exit statuses, documented in `bailiwick help exit-codes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// 1: refused, denied, or does not verify.
    Refused,
    /// 2: the command line or an input file is wrong.
    Usage,
    /// 3: a file, the store or the network is not as it must be.
    Environment,
}

impl CliError {
    pub(crate) fn new(
        class: Class,
        code: impl Into<String>,
        message: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { class, code: code.into(), message: message.into(), remedy: remedy.into() }
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

    /// A file that cannot be read or written.
    pub(crate) fn file(path: &std::path::Path, what: &str, e: &std::io::Error) -> Self {
        Self::environment(
            "file",
            format!("cannot {what} `{}`: {e}", path.display()),
            "check the path and its permissions",
        )
    }

    /// The members that every error and warning has with `--json`.
    pub(crate) fn to_json(&self) -> Object {
        Object::new()
            .with("code", self.code.as_str())
            .with("message", self.message.as_str())
            .with("remedy", self.remedy.as_str())
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.class {
            Class::Refused => 1,
            Class::Usage => 2,
            Class::Environment => 3,
        })
    }
}

/// Errors of our crates that have `code()` and `remedy()`.
macro_rules! from_typed {
    ($class:ident: $($type:ty),* $(,)?) => {$(
        impl From<$type> for CliError {
            fn from(e: $type) -> Self {
                Self::new($crate::error::Class::$class, e.code(), e.to_string(), e.remedy())
            }
        }
    )*};
}
pub(crate) use from_typed;

from_typed!(Usage:
    bailiwick_core::grant::GrantError,
    bailiwick_core::enrolment::EnrolmentError,
    bailiwick_core::aat::make::MakeError,
);

impl From<bailiwick_core::ids::IdError> for CliError {
    fn from(e: bailiwick_core::ids::IdError) -> Self {
        Self::usage("id-malformed", e.to_string(), "see `bailiwick help` for the forms of names")
    }
}

impl From<bailiwick_core::json::JsonError> for CliError {
    fn from(e: bailiwick_core::json::JsonError) -> Self {
        Self::usage(e.code(), e.to_string(), "check the file; it must be strict JSON")
    }
}

impl From<bailiwick_core::denial::Denial> for CliError {
    fn from(d: bailiwick_core::denial::Denial) -> Self {
        Self::refused(d.reason.code(), d.to_string(), d.reason.remedy())
    }
}
