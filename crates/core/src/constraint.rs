//! Constraints on one argument: what values a delegation permits.
//!
//! A constraint is read from outside once ([`Constraint::parse`]), which
//! checks that it is well-formed (draft -02 §3.4, steps 3n and 4o). After that
//! two questions can be asked of it, and both have total answers:
//! [`permits`](Constraint::permits), constraint against value, and
//! [`covers`](Constraint::covers), constraint against constraint (§4.5).
//!
//! `covers` is conservative on purpose: it follows the draft's table, so a
//! child may be refused although it is narrower in meaning, but a child is
//! never accepted that permits a value its parent refuses.
//!
//! Beside the nine types of the draft there are six extension types, known
//! only to [`Dialect::Extended`]. An enforcement point that does not know them
//! denies the whole chain. Each is documented as the draft's registry (§5.2,
//! §11.3) asks in `docs/constraints.md` and in its module.

use crate::json::{Json, Object};

mod cidr;
mod clean;
mod datetime_range;
mod error;
mod length;
mod parse;
mod path_under;
mod pattern;
mod range;
mod url_within;
mod values;

pub use error::ConstraintError;
pub(crate) use error::shown;

use cidr::Cidr;
use datetime_range::DatetimeRange;
use length::Length;
use path_under::PathUnder;
use pattern::Pattern;
use range::Range;
use url_within::UrlWithin;
use values::ValueSet;

/// Which constraint types are understood. A type outside the dialect is an
/// unknown type, and an unknown type anywhere denies (§3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The nine types of the draft; what its conformance suite assumes.
    Core,
    /// The draft's types and our extension types.
    Extended,
}

/// A well-formed constraint.
///
/// Equality is equality of meaning as far as the wire form shows it: the order
/// and repetition of set elements and the spelling of numbers do not matter;
/// the order of clauses does.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint(Kind);

/// The closed list of types: the draft's in its order, then ours.
#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Exact(Json),
    Range(Range),
    OneOf(ValueSet),
    NotOneOf(ValueSet),
    Contains(ValueSet),
    Subset(ValueSet),
    Wildcard,
    All(Vec<Constraint>),
    Any(Vec<Constraint>),
    // Extensions, by name. The large ones are boxed to keep the others small.
    Cidr(Cidr),
    DatetimeRange(Box<DatetimeRange>),
    Length(Length),
    PathUnder(PathUnder),
    Pattern(Box<Pattern>),
    UrlWithin(Box<UrlWithin>),
}

impl Kind {
    fn is_extension(&self) -> bool {
        match self {
            Self::Cidr(_)
            | Self::DatetimeRange(_)
            | Self::Length(_)
            | Self::PathUnder(_)
            | Self::Pattern(_)
            | Self::UrlWithin(_) => true,
            Self::Exact(_)
            | Self::Range(_)
            | Self::OneOf(_)
            | Self::NotOneOf(_)
            | Self::Contains(_)
            | Self::Subset(_)
            | Self::Wildcard
            | Self::All(_)
            | Self::Any(_) => false,
        }
    }
}

impl Constraint {
    /// The constraint that permits every value.
    #[must_use]
    pub const fn wildcard() -> Self {
        Self(Kind::Wildcard)
    }

    /// The constraint that permits exactly `value`.
    ///
    /// # Errors
    /// If `value` is an array, an object or an inadmissible number.
    pub fn exact(value: impl Into<Json>) -> Result<Self, ConstraintError> {
        parse::exact(&value.into()).map(Self)
    }

    /// The constraint that permits the values of a non-empty list.
    ///
    /// # Errors
    /// If the list is empty or holds an inadmissible number.
    pub fn one_of(values: impl IntoIterator<Item = Json>) -> Result<Self, ConstraintError> {
        let values: Vec<Json> = values.into_iter().collect();
        parse::one_of(&Json::Array(values)).map(Self)
    }

    /// Reads a constraint that is not the entry of a map: no `optional`.
    ///
    /// `max_depth` bounds the tree: a leaf type counts 1, `all` and `any`
    /// count 1 and their deepest clause.
    ///
    /// # Errors
    /// If it is not well-formed in this dialect (§3.4).
    pub fn parse(json: &Json, dialect: Dialect, max_depth: usize) -> Result<Self, ConstraintError> {
        parse::Reader { dialect, max_depth }.constraint(json)
    }

    /// Reads the entry of a named argument: the constraint, and whether the
    /// argument may be absent (`optional`, default false).
    ///
    /// # Errors
    /// As [`Constraint::parse`]; also if `optional` is not a boolean.
    pub fn parse_entry(
        json: &Json,
        dialect: Dialect,
        max_depth: usize,
    ) -> Result<(Self, bool), ConstraintError> {
        parse::Reader { dialect, max_depth }.entry(json)
    }

    /// Whether the constraint accepts `value` (the draft's `check`).
    ///
    /// Numbers are compared as doubles, so the caller checks first that every
    /// number of the arguments is admissible (step 6b);
    /// [`Scope::permits`](crate::scope::Scope::permits) does.
    #[must_use]
    pub fn permits(&self, value: &Json) -> bool {
        match &self.0 {
            Kind::Exact(expected) => expected == value,
            Kind::Range(range) => range.permits(value),
            Kind::OneOf(values) => values.holds(value),
            Kind::NotOneOf(excluded) => !excluded.holds(value),
            Kind::Contains(required) => {
                value.as_array().is_some_and(|elements| required.is_within(elements))
            }
            Kind::Subset(allowed) => {
                value.as_array().is_some_and(|elements| elements.iter().all(|e| allowed.holds(e)))
            }
            Kind::Wildcard => true,
            Kind::All(clauses) => clauses.iter().all(|c| c.permits(value)),
            Kind::Any(clauses) => clauses.iter().any(|c| c.permits(value)),
            Kind::Cidr(own) => own.permits(value),
            Kind::DatetimeRange(own) => own.permits(value),
            Kind::Length(own) => own.permits(value),
            Kind::PathUnder(own) => own.permits(value),
            Kind::Pattern(own) => own.permits(value),
            Kind::UrlWithin(own) => own.permits(value),
        }
    }

    /// Whether `child` may stand under this constraint in a derived token
    /// (§4.5). A pair of types that is not listed here is refused. Under an
    /// extension type stand its own type by its own rule, and `exact` and
    /// `one_of` when it permits each of their values.
    #[must_use]
    pub fn covers(&self, child: &Self) -> bool {
        match (&self.0, &child.0) {
            (Kind::Wildcard, _) => true,
            (Kind::Exact(parent), Kind::Exact(child)) => parent == child,
            (Kind::Range(parent), Kind::Exact(value)) => parent.permits(value),
            (Kind::Range(parent), Kind::Range(child)) => parent.covers(child),
            (Kind::OneOf(parent), Kind::Exact(value)) => parent.holds(value),
            (Kind::OneOf(parent), Kind::OneOf(child)) => parent.includes(child),
            (Kind::NotOneOf(parent), Kind::NotOneOf(child)) => child.includes(parent),
            (Kind::Contains(parent), Kind::Contains(child)) => child.includes(parent),
            (Kind::Subset(parent), Kind::Subset(child)) => parent.includes(child),
            // One child clause may serve several parent clauses, and further
            // child clauses only narrow.
            (Kind::All(parent), Kind::All(child)) => {
                parent.iter().all(|p| child.iter().any(|c| p.covers(c)))
            }
            (Kind::Any(parent), Kind::Any(child)) => {
                child.iter().all(|c| parent.iter().any(|p| p.covers(c)))
            }
            (Kind::Cidr(parent), Kind::Cidr(child)) => parent.covers(child),
            (Kind::DatetimeRange(parent), Kind::DatetimeRange(child)) => parent.covers(child),
            (Kind::Length(parent), Kind::Length(child)) => parent.covers(child),
            (Kind::PathUnder(parent), Kind::PathUnder(child)) => parent.covers(child),
            (Kind::Pattern(parent), Kind::Pattern(child)) => parent.covers(child),
            (Kind::UrlWithin(parent), Kind::UrlWithin(child)) => parent.covers(child),
            (parent, Kind::Exact(value)) if parent.is_extension() => self.permits(value),
            (parent, Kind::OneOf(values)) if parent.is_extension() => {
                values.iter().all(|value| self.permits(value))
            }
            _ => false,
        }
    }

    /// The depth of the tree: 1 for a leaf type.
    #[must_use]
    pub fn depth(&self) -> usize {
        match &self.0 {
            Kind::All(clauses) | Kind::Any(clauses) => {
                clauses.iter().map(Self::depth).max().unwrap_or(0).saturating_add(1)
            }
            _ => 1,
        }
    }

    /// The name of the type, as `constraint_type` has it.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match &self.0 {
            Kind::Exact(_) => "exact",
            Kind::Range(_) => "range",
            Kind::OneOf(_) => "one_of",
            Kind::NotOneOf(_) => "not_one_of",
            Kind::Contains(_) => "contains",
            Kind::Subset(_) => "subset",
            Kind::Wildcard => "wildcard",
            Kind::All(_) => "all",
            Kind::Any(_) => "any",
            Kind::Cidr(_) => "cidr",
            Kind::DatetimeRange(_) => "datetime_range",
            Kind::Length(_) => "length",
            Kind::PathUnder(_) => "path_under",
            Kind::Pattern(_) => "pattern",
            Kind::UrlWithin(_) => "url_within",
        }
    }

    /// Whether this is the constraint that permits everything.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        matches!(self.0, Kind::Wildcard)
    }

    /// The wire form. Sets come out ordered and without repetition.
    #[must_use]
    pub fn to_json(&self) -> Json {
        Json::Object(self.to_object())
    }

    pub(crate) fn to_object(&self) -> Object {
        let object = Object::new().with("constraint_type", self.type_name());
        match &self.0 {
            Kind::Exact(value) => object.with("value", value.clone()),
            Kind::Range(range) => range.write(object),
            Kind::OneOf(values) => object.with("values", values.to_json()),
            Kind::NotOneOf(excluded) => object.with("excluded", excluded.to_json()),
            Kind::Contains(required) => object.with("required", required.to_json()),
            Kind::Subset(allowed) => object.with("allowed", allowed.to_json()),
            Kind::Wildcard => object,
            Kind::All(clauses) | Kind::Any(clauses) => {
                let clauses: Vec<Json> = clauses.iter().map(Self::to_json).collect();
                object.with("constraints", clauses)
            }
            Kind::Cidr(own) => own.write(object),
            Kind::DatetimeRange(own) => own.write(object),
            Kind::Length(own) => own.write(object),
            Kind::PathUnder(own) => own.write(object),
            Kind::Pattern(own) => own.write(object),
            Kind::UrlWithin(own) => own.write(object),
        }
    }
}
