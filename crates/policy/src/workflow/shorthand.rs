//! Shorthands: short scope texts such as `orders:read` and `ticket:{id}`.

use std::collections::BTreeMap;

use bailiwick_core::constraint::{Constraint, Dialect};
use bailiwick_core::ids::ToolId;
use bailiwick_core::json::{Json, Number, Object};

use crate::limits::{
    MAX_CONSTRAINT_DEPTH, MAX_INTEGER_DIGITS, MAX_PARAMETER_CHARS, MAX_SHORTHAND_BYTES,
};

/// What a parameter's text may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// A decimal number without sign or leading zeros, at most 15 digits;
    /// becomes a JSON number.
    Integer,
    /// 1 to 128 of `A-Z a-z 0-9 . _ -`; becomes a JSON string.
    String,
}

impl ParameterKind {
    /// Its name in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::String => "string",
        }
    }

    /// What is accepted, for messages.
    #[must_use]
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Integer => "a decimal number of at most 15 digits without leading zeros",
            Self::String => "1 to 128 letters, digits, `.`, `_` or `-`",
        }
    }

    fn value(self, text: &str) -> Option<Json> {
        match self {
            Self::Integer => {
                let digits = (1..=MAX_INTEGER_DIGITS).contains(&text.len())
                    && text.bytes().all(|b| b.is_ascii_digit())
                    && (text == "0" || !text.starts_with('0'));
                digits.then(|| Number::from_text(text).map(Json::Number)).flatten()
            }
            Self::String => {
                let plain =
                    (1..=MAX_PARAMETER_CHARS).contains(&text.len()) && text.bytes().all(is_plain);
                plain.then(|| Json::from(text))
            }
        }
    }
}

/// A declared parameter of a shorthand.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    pub(super) kind: ParameterKind,
    /// A further condition on the value, as written.
    pub(super) constraint: Option<Json>,
}

impl Parameter {
    /// The kind of text.
    #[must_use]
    pub fn kind(&self) -> ParameterKind {
        self.kind
    }

    /// The typed value of `text`, if the parameter accepts it.
    #[must_use]
    pub fn value(&self, text: &str) -> Option<Json> {
        let value = self.kind.value(text)?;
        match &self.constraint {
            None => Some(value),
            Some(json) => Constraint::parse(json, Dialect::Extended, MAX_CONSTRAINT_DEPTH)
                .is_ok_and(|c| c.permits(&value))
                .then_some(value),
        }
    }

    fn to_json(&self) -> Json {
        let object = Object::new().with("type", self.kind.as_str());
        match &self.constraint {
            Some(constraint) => object.with("constraint", constraint.clone()).into(),
            None => object.into(),
        }
    }
}

/// A part of a shorthand between colons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    Literal(String),
    Parameter(String),
}

/// A published shorthand.
#[derive(Clone, Debug, PartialEq)]
pub struct Shorthand {
    pub(super) template: String,
    pub(super) segments: Vec<Segment>,
    pub(super) parameters: BTreeMap<String, Parameter>,
    /// Argument maps as the file has them; a string `{name}` stands for the
    /// parameter's value.
    pub(super) tools: BTreeMap<ToolId, Object>,
}

/// How a text fits a shorthand.
pub(crate) enum Fit {
    /// It does not.
    No,
    /// It does but for a parameter's value.
    BadValue { parameter: String, expected: &'static str, constrained: bool },
    /// It does, with these values.
    Yes(BTreeMap<String, Json>),
}

impl Shorthand {
    /// The text as published, for example `ticket:{id}`.
    #[must_use]
    pub fn template(&self) -> &str {
        &self.template
    }

    /// The parameters by name.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &Parameter)> {
        self.parameters.iter().map(|(name, p)| (name.as_str(), p))
    }

    /// The tools that it reaches.
    pub fn tools(&self) -> impl Iterator<Item = &ToolId> {
        self.tools.keys()
    }

    pub(crate) fn argument_maps(&self) -> impl Iterator<Item = (&ToolId, &Object)> {
        self.tools.iter()
    }

    /// How `text` fits.
    pub(crate) fn fit(&self, text: &str) -> Fit {
        let parts: Vec<&str> = text.split(':').collect();
        if parts.len() != self.segments.len() {
            return Fit::No;
        }
        let mut values = BTreeMap::new();
        let mut bad = None;
        for (segment, part) in self.segments.iter().zip(parts) {
            match segment {
                Segment::Literal(literal) if literal != part => return Fit::No,
                Segment::Literal(_) => {}
                Segment::Parameter(name) => {
                    let Some(parameter) = self.parameters.get(name) else { return Fit::No };
                    match parameter.value(part) {
                        Some(value) => {
                            values.insert(name.clone(), value);
                        }
                        None => {
                            bad.get_or_insert(Fit::BadValue {
                                parameter: name.clone(),
                                expected: parameter.kind.expected(),
                                constrained: parameter.kind.value(part).is_some(),
                            });
                        }
                    }
                }
            }
        }
        bad.unwrap_or(Fit::Yes(values))
    }

    /// Whether some text could fit both.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let may_hold = |shorthand: &Self, name: &str, literal: &str| {
            shorthand.parameters.get(name).is_none_or(|p| p.kind.value(literal).is_some())
        };
        self.segments.len() == other.segments.len()
            && self.segments.iter().zip(&other.segments).all(|(a, b)| match (a, b) {
                (Segment::Literal(a), Segment::Literal(b)) => a == b,
                (Segment::Parameter(name), Segment::Literal(l)) => may_hold(self, name, l),
                (Segment::Literal(l), Segment::Parameter(name)) => may_hold(other, name, l),
                (Segment::Parameter(_), Segment::Parameter(_)) => true,
            })
    }

    pub(super) fn to_json(&self) -> Json {
        let tools: Object =
            self.tools.iter().map(|(t, m)| (t.to_string(), m.clone().into())).collect();
        let mut object = Object::new().with("tools", tools);
        if !self.parameters.is_empty() {
            let parameters: Object =
                self.parameters.iter().map(|(n, p)| (n.clone(), p.to_json())).collect();
            object.insert("parameters", parameters);
        }
        object.into()
    }
}

fn is_plain(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')
}

/// The name in `{name}`: a letter, then letters, digits or `_`.
pub(super) fn parameter_name(text: &str) -> Option<&str> {
    let name = text.strip_prefix('{')?.strip_suffix('}')?;
    let fits = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 64
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    fits.then_some(name)
}

/// Reads a template: parts between colons, each a literal or one `{name}`; the
/// first is a literal; no parameter twice.
pub(super) fn segments(template: &str) -> Option<Vec<Segment>> {
    if template.len() > MAX_SHORTHAND_BYTES {
        return None;
    }
    let mut found: Vec<Segment> = Vec::new();
    for part in template.split(':') {
        let segment = if let Some(name) = parameter_name(part) {
            Segment::Parameter(name.to_owned())
        } else if !part.is_empty() && part.bytes().all(is_plain) {
            Segment::Literal(part.to_owned())
        } else {
            return None;
        };
        if found.contains(&segment) && matches!(segment, Segment::Parameter(_)) {
            return None;
        }
        found.push(segment);
    }
    matches!(found.first(), Some(Segment::Literal(_))).then_some(found)
}
