//! What a tool is, pinned by digest.
//!
//! The pin covers what a model is told (name, title, description) and what a
//! call looks like (both schemas). Everything else of a `tools/list` item
//! (annotations, icons, `_meta`) is decoration that we neither trust nor pass
//! into a decision.

use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::json::{Json, Object};

use super::suspicion::{self, Flag};

/// What is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefinitionKind {
    /// An agent's card, as [`crate::a2a::card::Card::definition`] makes it.
    Card,
    /// An item of `tools/list`.
    Tool,
    /// An item of `prompts/list`.
    Prompt,
    /// An operation of an HTTP API, as [`crate::api::openapi::read`] makes it.
    Operation,
}

impl DefinitionKind {
    /// The name under which it enters the digest, so that a tool and a prompt
    /// of the same content have different pins.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Tool => "tool",
            Self::Prompt => "prompt",
            Self::Operation => "operation",
        }
    }

    /// The member of a listing that holds such items.
    #[must_use]
    pub const fn member(self) -> &'static str {
        match self {
            Self::Card => "cards",
            Self::Tool => "tools",
            Self::Prompt => "prompts",
            Self::Operation => "operations",
        }
    }

    /// The id of one of the tool server `server`, as text.
    #[must_use]
    pub fn tool_id(self, server: &str, name: &str) -> String {
        match self {
            Self::Card => format!("a2a:{server}:{name}"),
            Self::Tool => format!("mcp:{server}:tools/{name}"),
            Self::Prompt => format!("mcp:{server}:prompts/{name}"),
            Self::Operation => format!("http:{server}:{name}"),
        }
    }

    const fn members(self) -> &'static [&'static str] {
        match self {
            Self::Card => &["name", "title", "description", "agent", "keys", "card"],
            Self::Tool => &["name", "title", "description", "inputSchema", "outputSchema"],
            Self::Prompt => &["name", "title", "description", "arguments"],
            Self::Operation => &[
                "name",
                "title",
                "description",
                "method",
                "path",
                "except",
                "parameters",
                "body",
                "inputSchema",
            ],
        }
    }
}

/// Why an item of a listing is no definition. Such an item is not shown to
/// callers and cannot be called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DefinitionError {
    /// Not an object.
    #[error("an item of the listing is not an object")]
    NotAnObject,
    /// `name` is absent, empty or not a string.
    #[error("an item of the listing has no name")]
    NameMissing,
    /// A tool without an object as `inputSchema`.
    #[error("the tool `{name}` has no input schema")]
    SchemaMissing {
        /// The tool's name.
        name: String,
    },
    /// A number that two definitions could differ in and still share a digest.
    #[error("the definition of `{name}` holds a number that a double does not keep")]
    Number {
        /// The tool's name.
        name: String,
    },
}

impl DefinitionError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAnObject => "definition-not-an-object",
            Self::NameMissing => "definition-name-missing",
            Self::SchemaMissing { .. } => "definition-schema-missing",
            Self::Number { .. } => "definition-number-inadmissible",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        "ask the tool server's owner to send a definition that follows the MCP schema"
    }
}

/// The pinned part of a definition.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    kind: DefinitionKind,
    name: String,
    members: Object,
}

impl Definition {
    /// Reads an item of `tools/list`.
    ///
    /// # Errors
    /// See [`DefinitionError`].
    pub fn of_tool(item: &Json) -> Result<Self, DefinitionError> {
        Self::read(DefinitionKind::Tool, item)
    }

    /// Reads an item of `prompts/list`.
    ///
    /// # Errors
    /// See [`DefinitionError`].
    pub fn of_prompt(item: &Json) -> Result<Self, DefinitionError> {
        Self::read(DefinitionKind::Prompt, item)
    }

    /// Reads an item that [`crate::api::openapi::read`] made.
    ///
    /// # Errors
    /// See [`DefinitionError`].
    pub fn of_operation(item: &Json) -> Result<Self, DefinitionError> {
        Self::read(DefinitionKind::Operation, item)
    }

    /// Reads what [`crate::a2a::card::Card::definition`] made.
    ///
    /// # Errors
    /// See [`DefinitionError`].
    pub fn of_card(item: &Json) -> Result<Self, DefinitionError> {
        Self::read(DefinitionKind::Card, item)
    }

    /// Reads an item of a listing of this kind.
    ///
    /// # Errors
    /// See [`DefinitionError`].
    pub fn read(kind: DefinitionKind, item: &Json) -> Result<Self, DefinitionError> {
        let item = item.as_object().ok_or(DefinitionError::NotAnObject)?;
        let name = item.member("name").and_then(Json::as_str).filter(|n| !n.is_empty());
        let name = name.ok_or(DefinitionError::NameMissing)?.to_owned();
        let is_schema = |json: &Json| json.as_object().is_some();
        let described = match kind {
            DefinitionKind::Card => Some("card"),
            DefinitionKind::Prompt => None,
            DefinitionKind::Operation | DefinitionKind::Tool => Some("inputSchema"),
        };
        if described.is_some_and(|member| !item.member(member).is_some_and(is_schema)) {
            return Err(DefinitionError::SchemaMissing { name });
        }
        let members: Object = kind
            .members()
            .iter()
            .filter_map(|m| Some(((*m).to_owned(), item.member(m)?.clone())))
            .collect();
        if members.iter().any(|(_, value)| !value.is_admissible()) {
            return Err(DefinitionError::Number { name });
        }
        Ok(Self { kind, name, members })
    }

    /// Reads what [`Definition::to_json`] made.
    ///
    /// # Errors
    /// See [`DefinitionError`].
    pub fn of_kept(kept: &Json) -> Result<Self, DefinitionError> {
        let kept = kept.as_object().ok_or(DefinitionError::NotAnObject)?;
        let item = kept.member("definition").ok_or(DefinitionError::NotAnObject)?;
        match kept.member("kind").and_then(Json::as_str) {
            Some("tool") => Self::of_tool(item),
            Some("prompt") => Self::of_prompt(item),
            Some("operation") => Self::of_operation(item),
            Some("card") => Self::of_card(item),
            _ => Err(DefinitionError::NotAnObject),
        }
    }

    /// What is defined.
    #[must_use]
    pub const fn kind(&self) -> DefinitionKind {
        self.kind
    }

    /// The title, where it has one.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.members.member("title").and_then(Json::as_str)
    }

    pub(crate) fn members(&self) -> &Object {
        &self.members
    }

    /// The MCP name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The schema of a tool's arguments.
    #[must_use]
    pub fn input_schema(&self) -> Option<&Json> {
        self.members.member("inputSchema")
    }

    /// What a prompt declares of its arguments.
    #[must_use]
    pub fn arguments(&self) -> Option<&Json> {
        self.members.member("arguments")
    }

    /// The pinned members, to keep beside the pin and to show a difference.
    #[must_use]
    pub fn to_json(&self) -> Json {
        Object::new()
            .with("kind", self.kind.as_str())
            .with("definition", self.members.clone())
            .into()
    }

    /// The pin: SHA-256 over the canonical form of [`Definition::to_json`].
    #[must_use]
    pub fn digest(&self) -> Digest {
        sha256(self.to_json().canonical().as_bytes())
    }

    /// What looks suspicious, for the person who accepts the definition. It is
    /// data, not a verdict.
    #[must_use]
    pub fn flags(&self) -> Vec<Flag> {
        let mut flags = suspicion::flags(&self.members);
        // Cards are full of addresses; none of them is asked but the catalogued
        // one.
        if self.kind == DefinitionKind::Card {
            flags.retain(|flag| flag.suspicion != suspicion::Suspicion::NamesAddress);
        }
        flags
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_core::limits::JsonLimits;

    use super::*;

    fn tool(text: &str) -> Result<Definition, DefinitionError> {
        Definition::of_tool(&Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap())
    }

    const DESK: &str =
        r#"{"name":"get_ticket","description":"Reads.","inputSchema":{"type":"object"}}"#;

    #[test]
    fn the_pin_does_not_depend_on_formatting_annotations_or_meta() {
        let other = r#"{ "inputSchema": {"type": "object"}, "_meta": {"x": 1},
            "annotations": {"readOnlyHint": true}, "description": "Reads.", "name": "get_ticket" }"#;
        assert_eq!(tool(DESK).unwrap().digest(), tool(other).unwrap().digest());
    }

    #[test]
    fn the_pin_is_frozen() {
        assert_eq!(
            tool(DESK).unwrap().digest(),
            sha256(
                br#"{"definition":{"description":"Reads.","inputSchema":{"type":"object"},"name":"get_ticket"},"kind":"tool"}"#
            )
        );
    }

    #[test]
    fn the_pin_changes_with_everything_that_a_model_reads_or_a_call_follows() {
        let pin = tool(DESK).unwrap().digest();
        for changed in [
            r#"{"name":"get_ticket2","description":"Reads.","inputSchema":{"type":"object"}}"#,
            r#"{"name":"get_ticket","description":"Reads!","inputSchema":{"type":"object"}}"#,
            r#"{"name":"get_ticket","description":"Reads.","inputSchema":{"type":"object","x":1}}"#,
            r#"{"name":"get_ticket","title":"T","description":"Reads.","inputSchema":{"type":"object"}}"#,
            r#"{"name":"get_ticket","description":"Reads.","inputSchema":{"type":"object"},"outputSchema":{}}"#,
            r#"{"name":"get_ticket","description":"Reads.\u200b","inputSchema":{"type":"object"}}"#,
        ] {
            assert_ne!(tool(changed).unwrap().digest(), pin, "{changed}");
        }
    }

    #[test]
    fn a_prompt_never_has_a_tools_pin() {
        let item = Json::parse(DESK.as_bytes(), &JsonLimits::DEFAULT).unwrap();
        assert_ne!(
            Definition::of_prompt(&item).unwrap().digest(),
            Definition::of_tool(&item).unwrap().digest()
        );
    }

    #[test]
    fn an_item_without_name_schema_or_exact_numbers_is_refused() {
        for (text, code) in [
            ("[]", "definition-not-an-object"),
            (r#"{"inputSchema":{}}"#, "definition-name-missing"),
            (r#"{"name":"","inputSchema":{}}"#, "definition-name-missing"),
            (r#"{"name":"x"}"#, "definition-schema-missing"),
            (r#"{"name":"x","inputSchema":true}"#, "definition-schema-missing"),
            (
                r#"{"name":"x","inputSchema":{"maximum":9007199254740993}}"#,
                "definition-number-inadmissible",
            ),
        ] {
            assert_eq!(tool(text).unwrap_err().code(), code, "{text}");
        }
    }
}
