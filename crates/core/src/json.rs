//! The one strict JSON reader for input from outside, and canonical JSON.
//!
//! One visitor over `serde_json` that refuses duplicate member names, too much
//! depth or size, lone surrogates and numbers outside the range of a double,
//! and that keeps every number as it was written (draft -02 §3.4: whether a
//! number is *admissible* cannot be judged after conversion).
//!
//! `serde_json::Value` is never an input type: it silently keeps the last of
//! two duplicate members.

use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::limits::JsonLimits;

mod name;
mod number;
mod plain;
use name::Name;
pub use number::Number;

/// A JSON value whose objects have no duplicate members and whose numbers
/// remember their text.
///
/// Equality is equality of canonical forms (RFC 8785): `1` equals `1.0`, and
/// the order of members does not matter.
#[derive(Clone, Debug)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number within the range of a double.
    Number(Number),
    /// A string of Unicode scalar values.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object.
    Object(Object),
}

/// A JSON object: members in document order, no name twice.
#[derive(Clone, Debug, Default)]
pub struct Object(Vec<(Name, Json)>);

/// Why a text was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// More bytes, values or levels than allowed.
    #[error("JSON is larger or deeper than allowed ({what})")]
    TooLarge {
        /// Which limit was exceeded.
        what: &'static str,
    },
    /// Not UTF-8.
    #[error("JSON text is not UTF-8")]
    NotUtf8,
    /// A member name stands twice in one object.
    #[error("a member name stands twice in one JSON object")]
    DuplicateMember,
    /// Anything else that RFC 8259 does not allow, lone surrogates included.
    #[error("not valid JSON at line {line}, column {column}")]
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column, from 0.
        column: usize,
    },
}

impl JsonError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "json-too-large",
            Self::NotUtf8 => "json-not-utf8",
            Self::DuplicateMember => "json-duplicate-member",
            Self::Syntax { .. } => "json-malformed",
        }
    }
}

const DUPLICATE: &str = "\u{1}duplicate";
const TOO_DEEP: &str = "\u{1}depth";
const TOO_MANY: &str = "\u{1}values";
/// The key under which serde_json hands out numbers when some crate of the
/// binary switched its `arbitrary_precision` feature on.
const RAW_NUMBER_KEY: &str = "$serde_json::private::Number";

/// The canonical form (RFC 8785) of any value.
fn canonical(value: &Json) -> String {
    serde_json_canonicalizer::to_string(value).unwrap_or_default()
}

impl Json {
    /// Reads one JSON text.
    ///
    /// # Errors
    /// See [`JsonError`].
    pub fn parse(bytes: &[u8], limits: &JsonLimits) -> Result<Self, JsonError> {
        if bytes.len() > limits.max_bytes {
            return Err(JsonError::TooLarge { what: "bytes" });
        }
        let text = std::str::from_utf8(bytes).map_err(|_| JsonError::NotUtf8)?;
        let mut reader = Reader {
            numbers: number::Lexemes::new(text),
            numbers_behind: 0,
            values_left: limits.max_values,
        };
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let value = Slot { reader: &mut reader, depth_left: limits.max_depth }
            .deserialize(&mut deserializer)
            .and_then(|value| deserializer.end().map(|()| value))
            .map_err(|e| classify(&e))?;
        Ok(value)
    }

    /// The canonical form (RFC 8785).
    #[must_use]
    pub fn canonical(&self) -> String {
        if plain::is_plain(self) {
            return serde_json::to_string(&plain::InOrder(self)).unwrap_or_default();
        }
        canonical(self)
    }

    /// The members, if this is an object.
    #[must_use]
    pub fn as_object(&self) -> Option<&Object> {
        if let Self::Object(o) = self { Some(o) } else { None }
    }

    /// The elements, if this is an array.
    #[must_use]
    pub fn as_array(&self) -> Option<&[Json]> {
        if let Self::Array(a) = self { Some(a) } else { None }
    }

    /// The text, if this is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Self::String(s) = self { Some(s) } else { None }
    }

    /// The truth value, if this is one.
    #[must_use]
    pub fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(b) = self { Some(*b) } else { None }
    }

    /// The number, if this is one.
    #[must_use]
    pub fn as_number(&self) -> Option<&Number> {
        if let Self::Number(n) = self { Some(n) } else { None }
    }

    /// Whether every number inside, at any depth, is admissible (§3.4).
    #[must_use]
    pub fn is_admissible(&self) -> bool {
        match self {
            Self::Number(n) => n.is_admissible(),
            Self::Array(a) => a.iter().all(Self::is_admissible),
            Self::Object(o) => o.iter().all(|(_, v)| v.is_admissible()),
            Self::Null | Self::Bool(_) | Self::String(_) => true,
        }
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => a == b,
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Array(a), Self::Array(b)) => a == b,
            (Self::Object(a), Self::Object(b)) => a == b,
            _ => false,
        }
    }
}

/// Numbers are finite, so equality is total.
impl Eq for Json {}
impl Eq for Object {}

impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        if self.len() != other.len() {
            return false;
        }
        // A look-up is a search; many members from outside get an index, so
        // that comparing stays linear.
        if self.len() > 16 {
            let index: HashMap<&str, &Json> = other.iter().collect();
            return self.iter().all(|(name, value)| index.get(name) == Some(&value));
        }
        self.iter().all(|(name, value)| other.member(name) == Some(value))
    }
}

impl Object {
    /// An object without members.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of member `name`.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<&Json> {
        self.0.iter().find(|(n, _)| n.as_str() == name).map(|(_, v)| v)
    }

    /// Sets member `name`, replacing an earlier value.
    pub fn insert(&mut self, name: impl AsRef<str> + Into<String>, value: impl Into<Json>) {
        let value = value.into();
        match self.0.iter_mut().find(|(n, _)| n.as_str() == name.as_ref()) {
            Some((_, slot)) => *slot = value,
            None => self.0.push((Name::new(name), value)),
        }
    }

    /// The same object with member `name` set.
    #[must_use]
    pub fn with(mut self, name: impl AsRef<str> + Into<String>, value: impl Into<Json>) -> Self {
        self.insert(name, value);
        self
    }

    /// Takes member `name` out.
    pub fn remove(&mut self, name: &str) -> Option<Json> {
        let at = self.0.iter().position(|(n, _)| n.as_str() == name)?;
        Some(self.0.remove(at).1)
    }

    /// The members whose names are less than `at`, and the others.
    #[must_use]
    pub fn split(self, at: &str) -> (Self, Self) {
        let (before, after) = self.0.into_iter().partition(|(name, _)| name.as_str() < at);
        (Self(before), Self(after))
    }

    /// The members in document order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v))
    }

    /// How many members there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, Json)> for Object {
    fn from_iter<I: IntoIterator<Item = (String, Json)>>(members: I) -> Self {
        let mut object = Self::new();
        for (name, value) in members {
            object.insert(name, value);
        }
        object
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(b) => serializer.serialize_bool(*b),
            Self::Number(n) => n.serialize(serializer),
            Self::String(s) => serializer.serialize_str(s),
            Self::Array(a) => {
                let mut seq = serializer.serialize_seq(Some(a.len()))?;
                for v in a {
                    seq.serialize_element(v)?;
                }
                seq.end()
            }
            Self::Object(o) => o.serialize(serializer),
        }
    }
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.len()))?;
        for (n, v) in self.iter() {
            map.serialize_entry(n, v)?;
        }
        map.end()
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical())
    }
}

impl From<bool> for Json {
    fn from(v: bool) -> Self {
        Self::Bool(v)
    }
}
impl From<i64> for Json {
    fn from(v: i64) -> Self {
        Self::Number(v.into())
    }
}
impl From<u64> for Json {
    fn from(v: u64) -> Self {
        Self::Number(v.into())
    }
}
impl From<Number> for Json {
    fn from(v: Number) -> Self {
        Self::Number(v)
    }
}
impl From<&str> for Json {
    fn from(v: &str) -> Self {
        Self::String(v.to_owned())
    }
}
impl From<String> for Json {
    fn from(v: String) -> Self {
        Self::String(v)
    }
}
impl From<Vec<Json>> for Json {
    fn from(v: Vec<Json>) -> Self {
        Self::Array(v)
    }
}
impl From<Object> for Json {
    fn from(v: Object) -> Self {
        Self::Object(v)
    }
}
impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(v: Option<T>) -> Self {
        v.map_or(Self::Null, Into::into)
    }
}

fn classify(e: &serde_json::Error) -> JsonError {
    // serde_json reports a visitor's own error as text with a position; the
    // markers start with a control character that no parser message contains.
    let text = e.to_string();
    if text.starts_with(DUPLICATE) {
        JsonError::DuplicateMember
    } else if text.starts_with(TOO_DEEP) || text.starts_with("recursion limit") {
        JsonError::TooLarge { what: "depth" }
    } else if text.starts_with(TOO_MANY) {
        JsonError::TooLarge { what: "values" }
    } else {
        JsonError::Syntax { line: e.line(), column: e.column() }
    }
}

struct Reader<'t> {
    numbers: number::Lexemes<'t>,
    /// Numbers that the parser reported and `numbers` has not passed yet.
    numbers_behind: usize,
    values_left: usize,
}

impl<'t> Reader<'t> {
    fn count<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.values_left = self.values_left.checked_sub(1).ok_or_else(|| E::custom(TOO_MANY))?;
        Ok(())
    }

    /// An integer that the parser just reported. JSON has one way to write it,
    /// so that the text need not be looked up.
    fn integer<E>(&mut self, number: Number) -> Result<Json, E> {
        self.numbers_behind = self.numbers_behind.saturating_add(1);
        Ok(Json::Number(number))
    }

    /// Any other number that the parser just reported, as it was written:
    /// numbers are visited in the order in which they stand in the text.
    fn written<E: serde::de::Error>(&mut self) -> Result<Json, E> {
        self.numbers
            .nth(std::mem::take(&mut self.numbers_behind))
            .and_then(Number::from_text)
            .map(Json::Number)
            .ok_or_else(|| E::custom("number out of range"))
    }
}

struct Slot<'r, 't> {
    reader: &'r mut Reader<'t>,
    depth_left: usize,
}

impl<'de> DeserializeSeed<'de> for Slot<'_, '_> {
    type Value = Json;

    fn deserialize<D: serde::Deserializer<'de>>(self, d: D) -> Result<Json, D::Error> {
        self.reader.count()?;
        d.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Slot<'_, '_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, v: bool) -> Result<Json, E> {
        Ok(Json::Bool(v))
    }

    fn visit_i64<E: serde::de::Error>(self, v: i64) -> Result<Json, E> {
        self.reader.integer(v.into())
    }

    fn visit_u64<E: serde::de::Error>(self, v: u64) -> Result<Json, E> {
        self.reader.integer(v.into())
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Json, E> {
        self.reader.written()
    }

    fn visit_str<E: serde::de::Error>(self, v: &str) -> Result<Json, E> {
        Ok(Json::String(v.to_owned()))
    }

    fn visit_string<E: serde::de::Error>(self, v: String) -> Result<Json, E> {
        Ok(Json::String(v))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let depth_left =
            self.depth_left.checked_sub(1).ok_or_else(|| A::Error::custom(TOO_DEEP))?;
        let mut items = Vec::new();
        while let Some(item) =
            access.next_element_seed(Slot { reader: &mut *self.reader, depth_left })?
        {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let depth_left =
            self.depth_left.checked_sub(1).ok_or_else(|| A::Error::custom(TOO_DEEP))?;
        let mut members: Vec<(Name, Json)> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        while let Some(name) = access.next_key_seed(name::Reading)? {
            // SECURITY: fail closed rather than confuse a number with an
            // object, should another crate enable `arbitrary_precision`.
            if name.as_str() == RAW_NUMBER_KEY {
                return Err(A::Error::custom("reserved member name"));
            }
            self.reader.count()?;
            let duplicate = if members.len() < 16 {
                members.iter().any(|(n, _)| n.as_str() == name.as_str())
            } else {
                if seen.is_empty() {
                    seen.extend(members.iter().map(|(n, _)| n.as_str().to_owned()));
                }
                !seen.insert(name.as_str().to_owned())
            };
            if duplicate {
                return Err(A::Error::custom(DUPLICATE));
            }
            let value = access.next_value_seed(Slot { reader: &mut *self.reader, depth_left })?;
            members.push((name, value));
        }
        Ok(Json::Object(Object(members)))
    }
}

#[cfg(test)]
mod tests;
