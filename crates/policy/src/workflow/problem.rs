//! What is wrong with a workflow file, where, and how to mend it.

use std::fmt;

use bailiwick_core::json::{Json, Object};

/// A position in the file; both count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// The kinds of problem.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ProblemCode { $($(#[$doc])* $variant,)* }

        impl ProblemCode {
            /// Every code.
            pub const ALL: &'static [ProblemCode] = &[$(ProblemCode::$variant,)*];

            /// The stable code.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(ProblemCode::$variant => $text,)* }
            }
        }
    };
}

codes! {
    /// Two shorthands could be meant by one text.
    AmbiguousShorthand = "workflow-shorthand-ambiguous",
    /// An anchor, an alias or a merge key.
    Anchor = "workflow-anchor",
    /// A tool is listed for bearer tokens and is more than a read of low risk.
    BearerTooRisky = "workflow-bearer-too-risky",
    /// A check says what to run, instead of naming what the server runs.
    CheckExecuted = "workflow-check-executed",
    /// A check is a call of a tool that writes.
    CheckWrites = "workflow-check-writes",
    /// A constraint is not well-formed.
    Constraint = "workflow-constraint-invalid",
    /// A list or a text that must not be empty is.
    Empty = "workflow-empty",
    /// A name has not the form that its kind asks for.
    Identifier = "workflow-identifier-invalid",
    /// Something is listed twice.
    ListedTwice = "workflow-listed-twice",
    /// Not YAML, or not one document.
    Malformed = "workflow-malformed",
    /// A member that must be there is not.
    MemberMissing = "workflow-member-missing",
    /// A member stands twice in one map.
    MemberTwice = "workflow-member-twice",
    /// A member that is not known here.
    MemberUnknown = "workflow-member-unknown",
    /// A number that is not written as JSON writes it.
    Number = "workflow-number-invalid",
    /// A tool that writes is left open to any argument.
    OpenWrite = "workflow-open-write",
    /// A number beyond its bounds.
    OutOfRange = "workflow-out-of-range",
    /// A parameter that is used and not declared.
    ParameterUnknown = "workflow-parameter-unknown",
    /// A parameter that is declared and not used.
    ParameterUnused = "workflow-parameter-unused",
    /// A tool's data are said to be nobody's own, and somebody's.
    PersonalTwice = "workflow-personal-twice",
    /// A text that is a placeholder only in part, or that nothing fills.
    Placeholder = "workflow-placeholder-invalid",
    /// A text that is no JSON pointer.
    Pointer = "workflow-pointer-invalid",
    /// The name of a shorthand has not the right form.
    Shorthand = "workflow-shorthand-invalid",
    /// More bytes, levels or values than allowed.
    TooLarge = "workflow-too-large",
    /// A tool that the workflow's catalogue does not have.
    ToolUnknown = "workflow-tool-unknown",
    /// A value of another kind than expected.
    Type = "workflow-type-wrong",
    /// A text that is not one of the listed ones.
    Value = "workflow-value-unknown",
}

/// One thing that is wrong with a workflow file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The kind.
    pub code: ProblemCode,
    /// Where, if it stands somewhere.
    pub at: Option<Place>,
    /// The members that lead there, joined by ` > `; empty at the top.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub remedy: String,
}

impl Problem {
    pub(super) fn nowhere(code: ProblemCode, message: String, remedy: &str) -> Self {
        Self { code, at: None, path: String::new(), message, remedy: remedy.to_owned() }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code.as_str()
    }

    /// The problem as JSON, for `--json`.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let mut object = Object::new().with("code", self.code());
        if let Some(at) = self.at {
            object = object.with("line", at.line).with("column", at.column);
        }
        if !self.path.is_empty() {
            object = object.with("path", self.path.as_str());
        }
        object.with("message", self.message.as_str()).with("remedy", self.remedy.as_str()).into()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.at {
            write!(f, "line {}, column {}: ", at.line, at.column)?;
        }
        write!(f, "{}", self.message)?;
        if !self.path.is_empty() {
            write!(f, " (in {})", self.path)?;
        }
        write!(f, "; {} [{}]", self.remedy, self.code())
    }
}
