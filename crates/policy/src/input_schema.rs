//! Arguments against a tool's accepted definition.

use bailiwick_core::json::{Json, Object};
use jsonschema::{PatternOptions, Validator};

use crate::api::Operation;
use crate::catalogue::Definition;
use crate::mcp_methods::is_reserved;

/// Bytes of a schema that is compiled.
const MAX_SCHEMA_BYTES: usize = 256 * 1024;

/// An `inputSchema`, compiled.
#[derive(Debug)]
pub struct InputSchema(Validator);

impl InputSchema {
    /// Compiles a schema: no reference leaves it, and patterns run in linear
    /// time. `None`: it cannot be compiled, so nothing fits it.
    #[must_use]
    pub fn compile(schema: &Json) -> Option<Self> {
        if schema.canonical().len() > MAX_SCHEMA_BYTES {
            return None;
        }
        jsonschema::options()
            .with_pattern_options(PatternOptions::regex())
            .build(&to_value(schema))
            .ok()
            .map(Self)
    }

    /// Whether these arguments fit it, apart from what the protocol adds to them.
    #[must_use]
    pub fn fits(&self, arguments: &Object) -> bool {
        let value = arguments
            .iter()
            .filter(|(name, _)| !is_reserved(name))
            .map(|(name, value)| (name.to_owned(), to_value(value)))
            .collect();
        self.0.is_valid(&serde_json::Value::Object(value))
    }
}

/// A prompt's arguments are texts, each declared, the required ones there.
#[must_use]
pub fn prompt_fits(declared: Option<&Json>, arguments: &Object) -> bool {
    let declared = declared.and_then(Json::as_array).unwrap_or_default();
    let name = |d: &Json| d.as_object()?.member("name")?.as_str().map(str::to_owned);
    let required =
        |d: &Json| d.as_object().and_then(|d| d.member("required")?.as_bool()).unwrap_or(false);
    arguments.iter().filter(|(n, _)| !is_reserved(n)).all(|(n, value)| {
        value.as_str().is_some() && declared.iter().any(|d| name(d).as_deref() == Some(n))
    }) && declared
        .iter()
        .filter(|d| required(d))
        .all(|d| name(d).is_some_and(|n| arguments.member(&n).is_some()))
}

/// Whether arguments fit what an accepted definition describes.
#[must_use]
pub fn arguments_fit(definition: &Definition, arguments: &Object) -> bool {
    if Operation::of(definition).is_some_and(|operation| operation.request(arguments).is_err()) {
        return false;
    }
    match definition.input_schema() {
        Some(schema) => InputSchema::compile(schema).is_some_and(|schema| schema.fits(arguments)),
        None => prompt_fits(definition.arguments(), arguments),
    }
}

/// The same value for `jsonschema`, which reads serde_json's type.
fn to_value(json: &Json) -> serde_json::Value {
    use serde_json::Value;
    match json {
        Json::Null => Value::Null,
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(n) => match n.as_plain_integer() {
            Some(i) => Value::from(i),
            None => {
                n.text().parse::<u64>().map(Value::from).unwrap_or_else(|_| Value::from(n.value()))
            }
        },
        Json::String(s) => Value::String(s.clone()),
        Json::Array(items) => Value::Array(items.iter().map(to_value).collect()),
        Json::Object(o) => {
            Value::Object(o.iter().map(|(n, v)| (n.to_owned(), to_value(v))).collect())
        }
    }
}
