//! Values of parameters: one text for each, and one value for each text.

use bailiwick_core::json::{Json, Number};

use super::text::is_plain;

/// What a parameter's text stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Integer,
    Number,
    Text,
    Truth,
}

impl Kind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Text => "string",
            Self::Truth => "boolean",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Integer, Self::Number, Self::Text, Self::Truth]
            .into_iter()
            .find(|kind| kind.as_str() == text)
    }

    /// The value of a text: `8821`, not `08821`, `+8821` or `8821.0`.
    pub(super) fn value(self, text: &str) -> Option<Json> {
        let value = match self {
            Self::Text => return is_plain(text).then(|| Json::from(text)),
            Self::Truth => Json::Bool(match text {
                "true" => true,
                "false" => false,
                _ => return None,
            }),
            Self::Integer => Json::from(text.parse::<i64>().ok()?),
            Self::Number => Json::Number(Number::from_text(text)?),
        };
        (value.is_admissible() && value.canonical() == text).then_some(value)
    }

    /// The text of a value.
    pub(super) fn spelled(self, value: &Json) -> Option<String> {
        let text = match value {
            Json::String(text) => text.clone(),
            Json::Number(_) | Json::Bool(_) => value.canonical(),
            Json::Null | Json::Array(_) | Json::Object(_) => return None,
        };
        // A text of another kind has another value.
        (self.value(&text).as_ref() == Some(value)).then_some(text)
    }
}
