//! What a person who denies a call suggests instead: other arguments for the
//! same tool.
//!
//! A suggestion grants nothing. The agent is told, makes that call itself or
//! not, and that call asks anew.

use bailiwick_core::json::{Json, Object};
use bailiwick_policy::catalogue::Definition;
use bailiwick_policy::input_schema::arguments_fit;
use bailiwick_policy::mcp_methods::is_reserved;

/// Bytes of suggested arguments at most, as canonical JSON.
pub const MAX_BYTES: usize = 16 << 10;

/// Why a suggestion is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuggestionError {
    /// Something else than an object of arguments.
    #[error("a suggestion is an object of arguments")]
    NotAnObject,
    /// The text of the call was erased, so that nothing can be put in its place.
    #[error("the call's arguments were erased")]
    TextGone,
    /// What is suggested is the call that is denied.
    #[error("the suggested call is the one that you deny")]
    Unchanged,
    /// The tool would not take it.
    #[error("the suggested arguments do not fit the tool's accepted definition")]
    Unfit,
    /// Too large.
    #[error("suggested arguments have at most {MAX_BYTES} bytes")]
    TooLarge,
}

impl SuggestionError {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotAnObject => "suggestion-malformed",
            Self::TextGone => "suggestion-text-gone",
            Self::Unchanged => "suggestion-unchanged",
            Self::Unfit => "suggestion-unfit",
            Self::TooLarge => "suggestion-too-large",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::NotAnObject => "write a JSON object such as {\"amount\": 20}",
            Self::TextGone => "deny it without a suggestion",
            Self::Unchanged => "change an argument, or approve the call",
            Self::Unfit => "suggest arguments that the tool takes: see its page in the catalogue",
            Self::TooLarge => "suggest less, or say it in words",
        }
    }
}

/// The arguments that are suggested: those of the call with `patch` applied as
/// RFC 7396 has it, where `null` takes a member away.
///
/// # Errors
/// See [`SuggestionError`].
pub fn suggested(
    action: Option<&Json>,
    definition: Option<&Definition>,
    patch: &Json,
) -> Result<Object, SuggestionError> {
    let patch = patch.as_object().ok_or(SuggestionError::NotAnObject)?;
    let asked = action.and_then(|action| action.as_object()?.member("arguments")?.as_object());
    let asked: Object = asked
        .ok_or(SuggestionError::TextGone)?
        .iter()
        // What the protocol adds is the client's to add again.
        .filter(|(name, _)| !is_reserved(name))
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect();
    let merged = merge(asked.clone(), patch);
    if Json::from(merged.clone()) == Json::from(asked) {
        return Err(SuggestionError::Unchanged);
    }
    if Json::from(merged.clone()).canonical().len() > MAX_BYTES {
        return Err(SuggestionError::TooLarge);
    }
    let reserved = merged.iter().any(|(name, _)| is_reserved(name));
    match definition.filter(|_| !reserved) {
        Some(definition) if arguments_fit(definition, &merged) => Ok(merged),
        _ => Err(SuggestionError::Unfit),
    }
}

/// RFC 7396 §2. As deep as the patch, whose depth its reader bounds.
fn merge(mut into: Object, patch: &Object) -> Object {
    for (name, value) in patch.iter() {
        match value {
            Json::Null => {
                into.remove(name);
            }
            Json::Object(inner) => {
                let below = into.remove(name).and_then(|old| old.as_object().cloned());
                into.insert(name, merge(below.unwrap_or_default(), inner));
            }
            other => into.insert(name, other.clone()),
        }
    }
    into
}

#[cfg(test)]
mod tests {
    use bailiwick_core::limits::JsonLimits;

    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap()
    }

    fn tool() -> Definition {
        let schema = r#"{"type":"object","required":["order"],"additionalProperties":false,
            "properties":{"order":{"type":"integer"},"amount":{"type":"integer","maximum":100},
            "note":{"type":"string"}}}"#;
        let item = Object::new().with("name", "refund").with("inputSchema", json(schema));
        Definition::of_tool(&item.into()).unwrap()
    }

    fn of(patch: &str) -> Result<String, SuggestionError> {
        let action = json(r#"{"arguments":{"order":17,"amount":80,"note":"x","$input":{"a":1}}}"#);
        suggested(Some(&action), Some(&tool()), &json(patch)).map(|o| Json::from(o).canonical())
    }

    #[test]
    fn members_are_replaced_added_and_taken_away() {
        assert_eq!(of(r#"{"amount":20}"#).unwrap(), r#"{"amount":20,"note":"x","order":17}"#);
        assert_eq!(of(r#"{"amount":20,"note":null}"#).unwrap(), r#"{"amount":20,"order":17}"#);
    }

    #[test]
    fn what_the_tool_would_not_take_is_not_suggested() {
        for (patch, why) in [
            (r#"{"amount":"20"}"#, SuggestionError::Unfit),
            (r#"{"amount":101}"#, SuggestionError::Unfit),
            (r#"{"order":null}"#, SuggestionError::Unfit),
            (r#"{"other":1}"#, SuggestionError::Unfit),
            (r#"{"$input":{"a":2}}"#, SuggestionError::Unfit),
            (r#"{"amount":80}"#, SuggestionError::Unchanged),
            ("{}", SuggestionError::Unchanged),
            ("[1]", SuggestionError::NotAnObject),
        ] {
            assert_eq!(of(patch).unwrap_err(), why, "{patch}");
        }
        let long = format!(r#"{{"note":"{}"}}"#, "x".repeat(MAX_BYTES));
        assert_eq!(of(&long).unwrap_err(), SuggestionError::TooLarge);
        let action = json(r#"{"arguments":{"order":17}}"#);
        let patch = json(r#"{"order":18}"#);
        assert_eq!(suggested(Some(&action), None, &patch).unwrap_err(), SuggestionError::Unfit);
        let gone = suggested(None, Some(&tool()), &patch);
        assert_eq!(gone.unwrap_err(), SuggestionError::TextGone);
    }
}
