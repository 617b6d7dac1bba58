//! Why a constraint is not well-formed.

/// Why a constraint is not well-formed (draft -02 §3.4). Any of these denies
/// the whole chain, also on tools that are not invoked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    /// Not a JSON object.
    #[error("a constraint must be an object")]
    NotAnObject,
    /// `constraint_type` is absent or not a string.
    #[error("a constraint needs a string member `constraint_type`")]
    TypeMissing,
    /// The type is not in the dialect.
    #[error("constraint type `{found}` is not known here")]
    UnknownType {
        /// The name found, shortened and escaped.
        found: String,
    },
    /// A member that the type does not have.
    #[error("a constraint of type `{constraint_type}` has no member `{member}`")]
    UnknownMember {
        /// The type.
        constraint_type: &'static str,
        /// The member found, shortened and escaped.
        member: String,
    },
    /// A member that the type needs is absent.
    #[error("a constraint of type `{constraint_type}` needs {member}")]
    MemberMissing {
        /// The type.
        constraint_type: &'static str,
        /// The member, or a description of the members to choose from.
        member: &'static str,
    },
    /// A member has a value that the type does not allow.
    #[error("member `{member}` of constraint type `{constraint_type}` must be {expected}")]
    MemberInvalid {
        /// The type.
        constraint_type: &'static str,
        /// The member.
        member: &'static str,
        /// What is allowed.
        expected: &'static str,
    },
    /// `min` lies above `max`.
    #[error("a constraint of type `{constraint_type}` has `min` above `max`")]
    BoundsReversed {
        /// The type.
        constraint_type: &'static str,
    },
    /// A number whose canonical form denotes another number.
    #[error(
        "member `{member}` of constraint type `{constraint_type}` holds a number that a double does not keep"
    )]
    NumberInadmissible {
        /// The type.
        constraint_type: &'static str,
        /// The member.
        member: &'static str,
    },
    /// `optional` on a clause or on `*`.
    #[error("`optional` may stand only on the entry of a named argument")]
    OptionalNotAllowed,
    /// `optional` is not a boolean.
    #[error("`optional` must be true or false")]
    OptionalNotBoolean,
    /// The tree is deeper than allowed.
    #[error("a constraint is nested deeper than {max} levels")]
    TooDeep {
        /// The limit.
        max: usize,
    },
}

impl ConstraintError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAnObject => "constraint-not-an-object",
            Self::TypeMissing => "constraint-type-missing",
            Self::UnknownType { .. } => "constraint-type-unknown",
            Self::UnknownMember { .. } => "constraint-member-unknown",
            Self::MemberMissing { .. } => "constraint-member-missing",
            Self::MemberInvalid { .. } => "constraint-member-invalid",
            Self::BoundsReversed { .. } => "constraint-bounds-reversed",
            Self::NumberInadmissible { .. } => "constraint-number-inadmissible",
            Self::OptionalNotAllowed => "constraint-optional-not-allowed",
            Self::OptionalNotBoolean => "constraint-optional-not-boolean",
            Self::TooDeep { .. } => "constraint-too-deep",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotAnObject => "write each constraint as an object with `constraint_type`",
            Self::TypeMissing => "add the member `constraint_type` with the name of a type",
            Self::UnknownType { .. } => {
                "use a constraint type that this enforcement point implements"
            }
            Self::UnknownMember { .. } => "remove the member or correct its name",
            Self::MemberMissing { .. } => "add the member",
            Self::MemberInvalid { .. } => "correct the value of the member",
            Self::BoundsReversed { .. } => "make `min` at most `max`",
            Self::NumberInadmissible { .. } => {
                "write the number with fewer digits, or send it as a string"
            }
            Self::OptionalNotAllowed => "move `optional` to the entry of the argument",
            Self::OptionalNotBoolean => "write `optional` as true or false, or leave it out",
            Self::TooDeep { .. } => "nest fewer `all` and `any` constraints",
        }
    }
}

/// A name from outside as it may stand in a message: escaped and short.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut escaped: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        escaped.push('…');
    }
    escaped
}
