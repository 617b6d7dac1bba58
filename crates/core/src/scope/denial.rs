//! Why a scope is malformed, a call outside it, or a child wider than it.
//!
//! None of these carries an argument's value. Names come from outside: they
//! are kept as they are, and escaped and shortened where they are shown.

use crate::constraint::{ConstraintError, shown};

/// Why a `tools` map is no scope.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// The value of a tool is not an object (steps 3m, 4n).
    #[error("the arguments of tool `{}` must be an object", shown(tool))]
    ArgumentsNotAnObject {
        /// The tool.
        tool: String,
    },
    /// The constraint of an argument is not well-formed (steps 3n, 4o).
    #[error("argument `{}` of tool `{}`: {error}", shown(argument), shown(tool))]
    Constraint {
        /// The tool.
        tool: String,
        /// The argument.
        argument: String,
        /// What is wrong.
        error: ConstraintError,
    },
    /// The entry for `*` is not a plain wildcard (steps 3n, 4o).
    #[error("the entry for `*` of tool `{}` must be a wildcard without `optional`", shown(tool))]
    StarNotWildcard {
        /// The tool.
        tool: String,
    },
    /// Built in code: a tool stands there twice.
    #[error("tool `{}` stands there twice", shown(tool))]
    ToolTwice {
        /// The tool.
        tool: String,
    },
    /// Built in code: an argument stands there twice.
    #[error("argument `{}` stands there twice", shown(argument))]
    ArgumentTwice {
        /// The argument.
        argument: String,
    },
    /// Built in code: an argument called `*`.
    #[error("`*` cannot be named as an argument")]
    ArgumentCalledStar,
    /// Built in code: a closed map that names no argument.
    #[error("a closed map must name at least one argument")]
    NothingNamed,
}

impl ScopeError {
    /// Whether the shape of the map is wrong (steps 3m and 4n) rather than a
    /// constraint in it (steps 3n and 4o).
    #[must_use]
    pub fn is_structural(&self) -> bool {
        !matches!(self, Self::Constraint { .. } | Self::StarNotWildcard { .. })
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ArgumentsNotAnObject { .. } => "scope-arguments-not-an-object",
            Self::Constraint { error, .. } => error.code(),
            Self::StarNotWildcard { .. } => "scope-star-not-wildcard",
            Self::ToolTwice { .. } => "scope-tool-twice",
            Self::ArgumentTwice { .. } => "scope-argument-twice",
            Self::ArgumentCalledStar => "scope-argument-called-star",
            Self::NothingNamed => "scope-nothing-named",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::ArgumentsNotAnObject { .. } => {
                "map each tool to an object of argument names and constraints"
            }
            Self::Constraint { error, .. } => error.remedy(),
            Self::StarNotWildcard { .. } => {
                "write the entry for `*` as {\"constraint_type\":\"wildcard\"}"
            }
            Self::ToolTwice { .. } => "state each tool once",
            Self::ArgumentTwice { .. } => "state each argument once",
            Self::ArgumentCalledStar => "open the map instead of naming `*`",
            Self::NothingNamed => "name an argument, or say that the tool takes none",
        }
    }
}

/// Why a call is outside a scope (step 6b).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeDenial {
    /// The tool is not delegated.
    #[error("tool `{}` is not delegated", shown(tool))]
    ToolNotInScope {
        /// The tool.
        tool: String,
    },
    /// An argument holds a number that a double does not keep.
    #[error("argument `{}` holds a number that a double does not keep", shown(argument))]
    NumberInadmissible {
        /// The tool.
        tool: String,
        /// The argument.
        argument: String,
    },
    /// The argument is not named and the map is closed.
    #[error("argument `{}` is not delegated", shown(argument))]
    ArgumentNotNamed {
        /// The tool.
        tool: String,
        /// The argument.
        argument: String,
    },
    /// The argument's value does not satisfy its constraint.
    #[error("argument `{}` is outside its `{constraint_type}` constraint", shown(argument))]
    ArgumentNotPermitted {
        /// The tool.
        tool: String,
        /// The argument.
        argument: String,
        /// The type of the constraint.
        constraint_type: &'static str,
    },
    /// A required argument is absent.
    #[error("argument `{}` is required and absent", shown(argument))]
    ArgumentMissing {
        /// The tool.
        tool: String,
        /// The argument.
        argument: String,
    },
}

impl ScopeDenial {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ToolNotInScope { .. } => "tool-not-in-scope",
            Self::NumberInadmissible { .. } => "argument-number-inadmissible",
            Self::ArgumentNotNamed { .. } => "argument-not-in-scope",
            Self::ArgumentNotPermitted { .. } => "argument-not-permitted",
            Self::ArgumentMissing { .. } => "argument-missing",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::ToolNotInScope { .. } => "ask the principal for a delegation with this tool",
            Self::NumberInadmissible { .. } => {
                "write the number with fewer digits, or send it as a string"
            }
            Self::ArgumentNotNamed { .. } => {
                "leave the argument out, or ask for a delegation that names it"
            }
            Self::ArgumentNotPermitted { .. } => {
                "use a value that the delegation permits, or ask for another delegation"
            }
            Self::ArgumentMissing { .. } => "send the argument with a value that is permitted",
        }
    }

    /// The tool of the call.
    #[must_use]
    pub fn tool(&self) -> &str {
        match self {
            Self::ToolNotInScope { tool }
            | Self::NumberInadmissible { tool, .. }
            | Self::ArgumentNotNamed { tool, .. }
            | Self::ArgumentNotPermitted { tool, .. }
            | Self::ArgumentMissing { tool, .. } => tool,
        }
    }

    /// The argument that is at fault, if it is one.
    #[must_use]
    pub fn argument(&self) -> Option<&str> {
        match self {
            Self::ToolNotInScope { .. } => None,
            Self::NumberInadmissible { argument, .. }
            | Self::ArgumentNotNamed { argument, .. }
            | Self::ArgumentNotPermitted { argument, .. }
            | Self::ArgumentMissing { argument, .. } => Some(argument),
        }
    }
}

/// How a child scope is wider than its parent (step 4p, invariant I4).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Widening {
    /// 4p1: a tool that the parent does not have.
    #[error("tool `{}` is not in the parent", shown(tool))]
    ToolAdded {
        /// The tool.
        tool: String,
    },
    /// 4p2, key rule 1: the parent is closed and does not name the argument.
    #[error("argument `{}` of tool `{}` is not in the parent", shown(argument), shown(tool))]
    ArgumentAdded {
        /// The tool.
        tool: String,
        /// The argument.
        argument: String,
    },
    /// 4p2, key rule 2: an argument that the parent requires is not named.
    #[error(
        "argument `{}` of tool `{}` is required by the parent and not named",
        shown(argument),
        shown(tool)
    )]
    RequiredDropped {
        /// The tool.
        tool: String,
        /// The argument.
        argument: String,
    },
    /// 4p2, key rule 2: not naming the argument would free it, because the
    /// child has `*`.
    #[error(
        "argument `{}` of tool `{}` is no longer named but admitted by `*`",
        shown(argument),
        shown(tool)
    )]
    FreedByStar {
        /// The tool.
        tool: String,
        /// The argument.
        argument: String,
    },
    /// 4p2, key rule 3: the child has `*` and the parent has not.
    #[error("tool `{}` has `*` and the parent has not", shown(tool))]
    Opened {
        /// The tool.
        tool: String,
    },
    /// 4p3: an argument that the parent requires became optional.
    #[error(
        "argument `{}` of tool `{}` is required by the parent and optional here",
        shown(argument),
        shown(tool)
    )]
    MadeOptional {
        /// The tool.
        tool: String,
        /// The argument.
        argument: String,
    },
    /// 4p4: the constraint is not subsumed.
    #[error(
        "the constraint on argument `{}` of tool `{}` does not narrow the parent's",
        shown(argument),
        shown(tool)
    )]
    ConstraintWider {
        /// The tool.
        tool: String,
        /// The argument.
        argument: String,
    },
}

impl Widening {
    /// The label of the failing step in the draft's §8.
    #[must_use]
    pub fn step(&self) -> &'static str {
        match self {
            Self::ToolAdded { .. } => "4p1",
            Self::ArgumentAdded { .. }
            | Self::RequiredDropped { .. }
            | Self::FreedByStar { .. }
            | Self::Opened { .. } => "4p2",
            Self::MadeOptional { .. } => "4p3",
            Self::ConstraintWider { .. } => "4p4",
        }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ToolAdded { .. } => "widened-tool-added",
            Self::ArgumentAdded { .. } => "widened-argument-added",
            Self::RequiredDropped { .. } => "widened-required-argument-dropped",
            Self::FreedByStar { .. } => "widened-argument-freed",
            Self::Opened { .. } => "widened-arguments-opened",
            Self::MadeOptional { .. } => "widened-argument-made-optional",
            Self::ConstraintWider { .. } => "widened-constraint",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::ToolAdded { .. } => "derive only tools that the parent has",
            Self::ArgumentAdded { .. } => "name only arguments that the parent names",
            Self::RequiredDropped { .. } => "name every argument that the parent requires",
            Self::FreedByStar { .. } => "name the argument, or leave `*` out",
            Self::Opened { .. } => "name the arguments; an empty map also means `*`",
            Self::MadeOptional { .. } => "leave `optional` out",
            Self::ConstraintWider { .. } => {
                "derive a constraint that the parent's covers by the draft's table"
            }
        }
    }

    /// The tool.
    #[must_use]
    pub fn tool(&self) -> &str {
        match self {
            Self::ToolAdded { tool }
            | Self::ArgumentAdded { tool, .. }
            | Self::RequiredDropped { tool, .. }
            | Self::FreedByStar { tool, .. }
            | Self::Opened { tool }
            | Self::MadeOptional { tool, .. }
            | Self::ConstraintWider { tool, .. } => tool,
        }
    }

    /// The argument, if it is one.
    #[must_use]
    pub fn argument(&self) -> Option<&str> {
        match self {
            Self::ToolAdded { .. } | Self::Opened { .. } => None,
            Self::ArgumentAdded { argument, .. }
            | Self::RequiredDropped { argument, .. }
            | Self::FreedByStar { argument, .. }
            | Self::MadeOptional { argument, .. }
            | Self::ConstraintWider { argument, .. } => Some(argument),
        }
    }
}
