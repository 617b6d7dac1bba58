//! From JSON to a well-formed constraint (draft -02 §3.4).

use super::cidr::Cidr;
use super::datetime_range::DatetimeRange;
use super::length::Length;
use super::path_under::PathUnder;
use super::pattern::Pattern;
use super::range::Range;
use super::url_within::UrlWithin;
use super::values::ValueSet;
use super::{Constraint, ConstraintError, Dialect, Kind, shown};
use crate::json::{Json, Number, Object};

pub(super) struct Reader {
    pub(super) dialect: Dialect,
    pub(super) max_depth: usize,
}

impl Reader {
    /// A top-level entry: `optional` may stand on it.
    pub(super) fn entry(&self, json: &Json) -> Result<(Constraint, bool), ConstraintError> {
        let object = json.as_object().ok_or(ConstraintError::NotAnObject)?;
        let optional = match object.member("optional") {
            None => false,
            Some(flag) => flag.as_bool().ok_or(ConstraintError::OptionalNotBoolean)?,
        };
        Ok((self.object(object, self.max_depth)?, optional))
    }

    /// A constraint on which `optional` may not stand, not even as false.
    pub(super) fn constraint(&self, json: &Json) -> Result<Constraint, ConstraintError> {
        self.clause(json, self.max_depth)
    }

    fn clause(&self, json: &Json, depth_left: usize) -> Result<Constraint, ConstraintError> {
        let object = json.as_object().ok_or(ConstraintError::NotAnObject)?;
        if object.member("optional").is_some() {
            return Err(ConstraintError::OptionalNotAllowed);
        }
        self.object(object, depth_left)
    }

    fn object(&self, object: &Object, depth_left: usize) -> Result<Constraint, ConstraintError> {
        let depth_left =
            depth_left.checked_sub(1).ok_or(ConstraintError::TooDeep { max: self.max_depth })?;
        let name = object
            .member("constraint_type")
            .and_then(Json::as_str)
            .ok_or(ConstraintError::TypeMissing)?;
        let kind = match name {
            "exact" => exact(Members::of(object, "exact", &["value"])?.required("value")?)?,
            "range" => {
                let members = Members::of(
                    object,
                    "range",
                    &["min", "max", "min_inclusive", "max_inclusive"],
                )?;
                Kind::Range(Range::read(&members)?)
            }
            "one_of" => one_of(Members::of(object, "one_of", &["values"])?.required("values")?)?,
            "not_one_of" => {
                Kind::NotOneOf(Members::of(object, "not_one_of", &["excluded"])?.set("excluded")?)
            }
            "contains" => {
                Kind::Contains(Members::of(object, "contains", &["required"])?.set("required")?)
            }
            "subset" => Kind::Subset(Members::of(object, "subset", &["allowed"])?.set("allowed")?),
            "wildcard" => {
                Members::of(object, "wildcard", &[])?;
                Kind::Wildcard
            }
            "all" => {
                let members = Members::of(object, "all", &["constraints"])?;
                Kind::All(self.clauses(&members, depth_left)?)
            }
            "any" => {
                let members = Members::of(object, "any", &["constraints"])?;
                Kind::Any(self.clauses(&members, depth_left)?)
            }
            other => match self.dialect {
                Dialect::Core => None,
                Dialect::Extended => extension(object, other)?,
            }
            .ok_or_else(|| ConstraintError::UnknownType { found: shown(other) })?,
        };
        Ok(Constraint(kind))
    }

    fn clauses(
        &self,
        members: &Members<'_>,
        depth_left: usize,
    ) -> Result<Vec<Constraint>, ConstraintError> {
        let expected = "a non-empty array of constraints";
        let clauses = members
            .required("constraints")?
            .as_array()
            .filter(|clauses| !clauses.is_empty())
            .ok_or_else(|| members.invalid("constraints", expected))?;
        clauses.iter().map(|clause| self.clause(clause, depth_left)).collect()
    }
}

/// Our own types; `None` for a name that is none of them.
fn extension(object: &Object, name: &str) -> Result<Option<Kind>, ConstraintError> {
    Ok(Some(match name {
        "path_under" => {
            Kind::PathUnder(PathUnder::read(&Members::of(object, "path_under", &["root"])?)?)
        }
        "url_within" => {
            let own = ["scheme", "host", "host_suffix", "port", "path_prefix", "query"];
            let members = Members::of(object, "url_within", &own)?;
            Kind::UrlWithin(Box::new(UrlWithin::read(&members)?))
        }
        "pattern" => {
            let members = Members::of(object, "pattern", &["glob"])?;
            Kind::Pattern(Box::new(Pattern::read(&members)?))
        }
        "cidr" => Kind::Cidr(Cidr::read(&Members::of(object, "cidr", &["network"])?)?),
        "datetime_range" => {
            let members = Members::of(object, "datetime_range", &["min", "max"])?;
            Kind::DatetimeRange(Box::new(DatetimeRange::read(&members)?))
        }
        "length" => Kind::Length(Length::read(&Members::of(object, "length", &["min", "max"])?)?),
        _ => return Ok(None),
    }))
}

pub(super) fn exact(value: &Json) -> Result<Kind, ConstraintError> {
    if matches!(value, Json::Array(_) | Json::Object(_)) {
        return Err(ConstraintError::MemberInvalid {
            constraint_type: "exact",
            member: "value",
            expected: "a string, a number, a boolean or null",
        });
    }
    admissible(value, "exact", "value")?;
    Ok(Kind::Exact(value.clone()))
}

pub(super) fn one_of(values: &Json) -> Result<Kind, ConstraintError> {
    let values = values.as_array().filter(|values| !values.is_empty()).ok_or(
        ConstraintError::MemberInvalid {
            constraint_type: "one_of",
            member: "values",
            expected: "a non-empty array",
        },
    )?;
    set(values, "one_of", "values").map(Kind::OneOf)
}

fn set(
    values: &[Json],
    constraint_type: &'static str,
    member: &'static str,
) -> Result<ValueSet, ConstraintError> {
    for value in values {
        admissible(value, constraint_type, member)?;
    }
    Ok(ValueSet::new(values))
}

fn admissible(
    value: &Json,
    constraint_type: &'static str,
    member: &'static str,
) -> Result<(), ConstraintError> {
    if value.is_admissible() {
        Ok(())
    } else {
        Err(ConstraintError::NumberInadmissible { constraint_type, member })
    }
}

/// The members of one constraint, none of which is unknown to its type.
pub(super) struct Members<'j> {
    object: &'j Object,
    constraint_type: &'static str,
}

impl<'j> Members<'j> {
    fn of(
        object: &'j Object,
        constraint_type: &'static str,
        own: &[&str],
    ) -> Result<Self, ConstraintError> {
        for (name, _) in object.iter() {
            if name != "constraint_type" && name != "optional" && !own.contains(&name) {
                return Err(ConstraintError::UnknownMember {
                    constraint_type,
                    member: shown(name),
                });
            }
        }
        Ok(Self { object, constraint_type })
    }

    pub(super) fn get(&self, member: &'static str) -> Option<&'j Json> {
        self.object.member(member)
    }

    pub(super) fn required(&self, member: &'static str) -> Result<&'j Json, ConstraintError> {
        self.get(member)
            .ok_or(ConstraintError::MemberMissing { constraint_type: self.constraint_type, member })
    }

    /// A string that must be there.
    pub(super) fn text(&self, member: &'static str) -> Result<&'j str, ConstraintError> {
        self.required(member)?.as_str().ok_or_else(|| self.invalid(member, "a string"))
    }

    pub(super) fn missing(&self, member: &'static str) -> ConstraintError {
        ConstraintError::MemberMissing { constraint_type: self.constraint_type, member }
    }

    pub(super) fn invalid(&self, member: &'static str, expected: &'static str) -> ConstraintError {
        ConstraintError::MemberInvalid { constraint_type: self.constraint_type, member, expected }
    }

    pub(super) fn reversed(&self) -> ConstraintError {
        ConstraintError::BoundsReversed { constraint_type: self.constraint_type }
    }

    /// An admissible number, if the member is there.
    pub(super) fn number(
        &self,
        member: &'static str,
    ) -> Result<Option<&'j Number>, ConstraintError> {
        let Some(value) = self.get(member) else { return Ok(None) };
        let number = value.as_number().ok_or_else(|| self.invalid(member, "a number"))?;
        admissible(value, self.constraint_type, member)?;
        Ok(Some(number))
    }

    fn set(&self, member: &'static str) -> Result<ValueSet, ConstraintError> {
        let values =
            self.required(member)?.as_array().ok_or_else(|| self.invalid(member, "an array"))?;
        set(values, self.constraint_type, member)
    }
}
