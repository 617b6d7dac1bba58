//! YAML into a tree that knows where each value stands.
//!
//! A small, strict part of YAML 1.2: one document, no anchors, aliases, merge
//! keys or tags, no member twice, decimal numbers as JSON writes them.

use std::fmt;

use bailiwick_core::json::{Json, Number, Object};
use bailiwick_core::limits::JsonLimits;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{Error, Location, Spanned};

use super::problem::{Place, Problem, ProblemCode};
use crate::limits::{MAX_WORKFLOW_BYTES, MAX_WORKFLOW_DEPTH, MAX_WORKFLOW_NODES};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) at: Place,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Member>),
}

/// A member of a map.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) at: Place,
    pub(super) node: Node,
}

impl Node {
    /// What stands here, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a truth value",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }

    /// The same value as JSON.
    pub(super) fn to_json(&self) -> Json {
        match &self.value {
            Value::Null => Json::Null,
            Value::Bool(b) => Json::Bool(*b),
            Value::Number(n) => Json::Number(n.clone()),
            Value::Text(t) => Json::String(t.clone()),
            Value::List(items) => Json::Array(items.iter().map(Self::to_json).collect()),
            Value::Map(members) => {
                let members = members.iter().map(|m| (m.name.clone(), m.node.to_json()));
                Json::Object(members.collect::<Object>())
            }
        }
    }
}

/// Bounds on a workflow file.
const WORKFLOW: JsonLimits = JsonLimits {
    max_bytes: MAX_WORKFLOW_BYTES,
    max_depth: MAX_WORKFLOW_DEPTH,
    max_values: MAX_WORKFLOW_NODES,
};

/// Reads a workflow file.
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    within(text, &WORKFLOW)
}

/// Reads one document within bounds.
pub(super) fn within(text: &str, limits: &JsonLimits) -> Result<Node, Problem> {
    if text.len() > limits.max_bytes {
        return Err(Problem::nowhere(
            ProblemCode::TooLarge,
            format!("the file has {} bytes, more than {}", text.len(), limits.max_bytes),
            "split it in two",
        ));
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_anchors: 0,
            max_aliases: 0,
            max_merge_keys: 0,
            max_documents: 1,
            max_depth: limits.max_depth,
            max_nodes: limits.max_values,
            max_events: limits.max_values.saturating_mul(2),
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        non_finite_float_policy: NonFiniteFloatPolicy::Reject,
        strict_booleans: true,
        reject_unsupported_tags: true,
        reject_tagged_field_names: true,
        with_snippet: false,
    };
    let raw: Spanned<Raw> =
        serde_saphyr::from_str_with_options(text, options).map_err(|e| refused(&e, limits))?;
    node(raw, text)
}

fn place(at: Location) -> Place {
    Place { line: at.line(), column: at.column() }
}

fn refused(e: &Error, limits: &JsonLimits) -> Problem {
    use serde_saphyr::budget::BudgetBreach as B;
    let (code, message, remedy): (_, String, _) = match e {
        Error::DuplicateMappingKey { key, .. } => (
            ProblemCode::MemberTwice,
            match key {
                Some(key) => format!("the member `{key}` stands twice in one map"),
                None => "a member stands twice in one map".to_owned(),
            },
            "keep one of the two",
        ),
        Error::Budget {
            breach: B::Anchors { .. } | B::Aliases { .. } | B::MergeKeys { .. },
            ..
        }
        | Error::MergeKeyNotAllowed { .. }
        | Error::UnknownAnchor { .. } => (
            ProblemCode::Anchor,
            "anchors, aliases and merge keys are not accepted".to_owned(),
            "write the value out where it is needed",
        ),
        Error::Budget { breach: B::Documents { .. }, .. } | Error::MultipleDocuments { .. } => (
            ProblemCode::Malformed,
            "the file holds more than one document".to_owned(),
            "keep one workflow in one file",
        ),
        Error::Budget { .. } => (
            ProblemCode::TooLarge,
            format!(
                "the file is deeper than {} levels or has more than {} values",
                limits.max_depth, limits.max_values
            ),
            "split it in two",
        ),
        _ => (
            ProblemCode::Malformed,
            format!("not valid YAML: {}", one_line(&e.to_string())),
            "mend the line; indent with spaces, and quote texts that hold `: `, `#`, `{` or `*`",
        ),
    };
    Problem {
        code,
        at: e.location().map(place).filter(|p| p.line > 0),
        path: String::new(),
        message,
        remedy: remedy.to_owned(),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What the YAML reader gives; numbers are read again from their own text.
enum Raw {
    Null,
    Bool(bool),
    Number,
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

fn node(raw: Spanned<Raw>, text: &str) -> Result<Node, Problem> {
    let at = place(raw.referenced);
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Bool(b) => Value::Bool(b),
        Raw::Text(t) => Value::Text(t),
        Raw::Number => Value::Number(number(raw.referenced, text).ok_or_else(|| Problem {
            code: ProblemCode::Number,
            at: Some(at),
            path: String::new(),
            message: "a number that is not written as JSON writes it".to_owned(),
            remedy: "write a plain decimal number, or quote it if it is a text".to_owned(),
        })?),
        Raw::List(items) => {
            Value::List(items.into_iter().map(|i| node(i, text)).collect::<Result<_, _>>()?)
        }
        Raw::Map(members) => Value::Map(
            members
                .into_iter()
                .map(|(name, value)| {
                    let at = place(name.referenced);
                    Ok(Member { name: name.value, at, node: node(value, text)? })
                })
                .collect::<Result<_, Problem>>()?,
        ),
    };
    Ok(Node { value, at })
}

/// The number at `at`, from its text: `0x10`, `1_000` and numbers that no
/// double denotes would otherwise change silently.
fn number(at: Location, text: &str) -> Option<Number> {
    let start = usize::try_from(at.span().byte_offset()?).ok()?;
    let rest = text.get(start..)?;
    let end = rest
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_')))
        .unwrap_or(rest.len());
    Number::from_text(rest.get(..end)?).filter(Number::is_admissible)
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }
    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }
    fn visit_bool<E>(self, v: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(v))
    }
    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }
    fn visit_i128<E>(self, _: i128) -> Result<Raw, E> {
        Ok(Raw::Number)
    }
    fn visit_u128<E>(self, _: u128) -> Result<Raw, E> {
        Ok(Raw::Number)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }
    fn visit_str<E>(self, v: &str) -> Result<Raw, E> {
        Ok(Raw::Text(v.to_owned()))
    }
    fn visit_string<E>(self, v: String) -> Result<Raw, E> {
        Ok(Raw::Text(v))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = access.next_entry()? {
            members.push(member);
        }
        Ok(Raw::Map(members))
    }
}
