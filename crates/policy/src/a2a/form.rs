//! The JSON form of protocol buffers, read into one spelling.
//!
//! A parser of protocol buffers takes a member in two spellings (`taskId`,
//! `task_id`), an absent one and a default for the same, and drops what it does
//! not know. Two parties that read one text so may see two different things;
//! here there is one form, and whatever is not in it is refused or dropped.

use bailiwick_core::json::{Json, Object};

/// What a value is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// Any value.
    Any,
    /// One of these names; the first is the default.
    Choice(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// A message of its own.
    Group(&'static Group),
    /// A whole number of 32 bits.
    Integer,
    /// As many as there are.
    List(&'static Form),
    /// By names that somebody chose.
    Named(&'static Form),
    /// Any object.
    Open,
    /// A text.
    Text,
}

/// One member of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    name: &'static str,
    form: Form,
    /// Whether its default says something else than its absence.
    kept: bool,
}

/// A message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Group {
    /// Its members.
    pub(crate) fields: &'static [Field],
    /// Of these exactly one is there.
    pub(crate) one_of: &'static [&'static str],
}

/// A member whose default is its absence.
pub(crate) const fn plain(name: &'static str, form: Form) -> Field {
    Field { name, form, kept: false }
}

/// A member whose default is a value of its own.
pub(crate) const fn kept(name: &'static str, form: Form) -> Field {
    Field { name, form, kept: true }
}

/// A message of these members.
pub(crate) const fn group(fields: &'static [Field]) -> Group {
    Group { fields, one_of: &[] }
}

/// What becomes of members that no message has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// They are left out.
    Dropped,
    /// The whole is refused.
    Refused,
}

/// A value that has not the form of its message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{place}` is unknown, missing or not of its form")]
pub struct Misshapen {
    /// The members that lead there, joined by `/`.
    pub place: String,
}

impl Misshapen {
    pub(crate) fn at(place: &str) -> Self {
        Self { place: place.to_owned() }
    }

    fn below(mut self, place: &str) -> Self {
        self.place = if self.place.is_empty() {
            place.to_owned()
        } else {
            format!("{place}/{}", self.place)
        };
        self
    }
}

/// A name as a message may show it.
fn shown(name: &str) -> String {
    name.chars().take(64).flat_map(char::escape_debug).collect()
}

impl Group {
    /// The message in its one spelling: members in the order of the message,
    /// without defaults.
    pub(crate) fn read(&self, object: &Object, unknown: Unknown) -> Result<Object, Misshapen> {
        let known = |name: &str| self.fields.iter().any(|field| field.name == name);
        if unknown == Unknown::Refused
            && let Some((name, _)) = object.iter().find(|(name, _)| !known(name))
        {
            return Err(Misshapen::at(&shown(name)));
        }
        let mut out = Object::new();
        for field in self.fields {
            let Some(value) = object.member(field.name) else { continue };
            // Null is absence, where it is no value.
            if matches!(value, Json::Null) && !matches!(field.form, Form::Any) {
                continue;
            }
            let value = field.form.read(value, unknown).map_err(|e| e.below(field.name))?;
            if field.kept || !field.form.is_default(&value) {
                out.insert(field.name, value);
            }
        }
        let chosen = self.one_of.iter().filter(|name| out.member(name).is_some()).count();
        if !self.one_of.is_empty() && chosen != 1 {
            return Err(Misshapen::at(self.one_of.first().copied().unwrap_or_default()));
        }
        Ok(out)
    }
}

impl Form {
    fn read(self, value: &Json, unknown: Unknown) -> Result<Json, Misshapen> {
        let fits = match (self, value) {
            (Self::Any, _)
            | (Self::Open, Json::Object(_))
            | (Self::Flag, Json::Bool(_))
            | (Self::Text, Json::String(_)) => true,
            (Self::Choice(names), Json::String(text)) => names.contains(&text.as_str()),
            (Self::Integer, Json::Number(number)) => {
                number.as_plain_integer().is_some_and(|n| i32::try_from(n).is_ok())
            }
            (Self::Group(group), Json::Object(object)) => {
                return group.read(object, unknown).map(Json::Object);
            }
            (Self::List(form), Json::Array(items)) => {
                let items = items.iter().enumerate().map(|(at, item)| {
                    form.read(item, unknown).map_err(|e| e.below(&at.to_string()))
                });
                return items.collect::<Result<Vec<_>, _>>().map(Json::Array);
            }
            (Self::Named(form), Json::Object(object)) => {
                let members = object.iter().map(|(name, item)| {
                    let read = form.read(item, unknown).map_err(|e| e.below(&shown(name)))?;
                    Ok((name.to_owned(), read))
                });
                return members.collect::<Result<Object, Misshapen>>().map(Json::Object);
            }
            _ => false,
        };
        if fits { Ok(value.clone()) } else { Err(Misshapen::at("")) }
    }

    fn is_default(self, value: &Json) -> bool {
        match (self, value) {
            (Self::Choice(names), Json::String(text)) => names.first() == Some(&text.as_str()),
            (Self::Flag, Json::Bool(flag)) => !flag,
            (Self::Integer, Json::Number(number)) => number.as_plain_integer() == Some(0),
            (Self::List(_), Json::Array(items)) => items.is_empty(),
            (Self::Named(_), Json::Object(members)) => members.is_empty(),
            (Self::Text, Json::String(text)) => text.is_empty(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_core::limits::JsonLimits;

    use super::*;

    const INNER: Group =
        Group { fields: &[kept("a", Form::Text), kept("b", Form::Any)], one_of: &["a", "b"] };
    const OUTER: Group = group(&[
        plain("taskId", Form::Text),
        kept("length", Form::Integer),
        plain("flag", Form::Flag),
        plain("state", Form::Choice(&["NONE", "ONE"])),
        plain("parts", Form::List(&Form::Group(&INNER))),
        plain("names", Form::Named(&Form::Text)),
        kept("more", Form::Open),
    ]);

    fn read(text: &str, unknown: Unknown) -> Result<String, String> {
        let json = Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap();
        let read = OUTER.read(json.as_object().unwrap(), unknown);
        read.map(|o| Json::from(o).canonical()).map_err(|e| e.place)
    }

    #[test]
    fn a_message_has_one_spelling_in_which_defaults_are_absent() {
        let long = r#"{"taskId":"","length":0,"flag":false,"state":"NONE","parts":[],"names":{},"more":{}}"#;
        assert_eq!(read(long, Unknown::Refused).unwrap(), r#"{"length":0,"more":{}}"#);
        let parts = r#"{"parts":[{"a":""},{"b":null}]}"#;
        assert_eq!(read(parts, Unknown::Refused).unwrap(), parts);
        assert_eq!(read(r#"{"flag":null,"length":null}"#, Unknown::Refused).unwrap(), "{}");
    }

    #[test]
    fn a_second_spelling_of_a_member_is_refused_or_dropped() {
        let second = r#"{"task_id":"t"}"#;
        assert_eq!(read(second, Unknown::Refused).unwrap_err(), "task_id");
        assert_eq!(read(second, Unknown::Dropped).unwrap(), "{}");
    }

    #[test]
    fn values_of_another_kind_are_refused_with_their_place() {
        for (text, place) in [
            (r#"{"taskId":1}"#, "taskId"),
            (r#"{"length":"1"}"#, "length"),
            (r#"{"length":2147483648}"#, "length"),
            (r#"{"length":1.5}"#, "length"),
            (r#"{"state":1}"#, "state"),
            (r#"{"state":"TWO"}"#, "state"),
            (r#"{"parts":[{"a":"x"},{}]}"#, "parts/1/a"),
            (r#"{"parts":[{"a":"x","b":1}]}"#, "parts/0/a"),
            (r#"{"names":{"n":1}}"#, "names/n"),
            (r#"{"more":[]}"#, "more"),
        ] {
            assert_eq!(read(text, Unknown::Dropped).unwrap_err(), place, "{text}");
        }
    }
}
