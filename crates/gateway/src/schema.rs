//! Arguments against the pinned definition, compiled once per pin.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bailiwick_core::crypto::Digest;
use bailiwick_core::json::{Json, Object};
use bailiwick_policy::mcp_methods::{CallForm, is_reserved};
use jsonschema::{PatternOptions, Validator};

use crate::ports::Pin;
use crate::rpc::to_value;

/// Bytes of a schema that is compiled.
const MAX_SCHEMA_BYTES: usize = 256 * 1024;
/// Compiled schemas that are kept.
const MAX_COMPILED: usize = 4096;

/// Compiled schemas by pin; `None`: the schema cannot be compiled, so nothing
/// fits it.
#[derive(Default)]
pub(crate) struct Schemas {
    compiled: Mutex<HashMap<Digest, Option<Arc<Validator>>>>,
}

impl Schemas {
    fn validator(&self, pin: &Pin) -> Option<Arc<Validator>> {
        let lock = || self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = lock().get(&pin.digest) {
            return found.clone();
        }
        let compiled = pin.schema.as_ref().and_then(compile).map(Arc::new);
        let mut all = lock();
        if all.len() >= MAX_COMPILED {
            all.clear();
        }
        all.insert(pin.digest, compiled.clone());
        compiled
    }

    /// Whether `arguments` fit what was pinned.
    pub(crate) fn fit(&self, form: CallForm, pin: &Pin, arguments: &Object) -> bool {
        match form {
            CallForm::Tool => {
                let Some(validator) = self.validator(pin) else { return false };
                let value = arguments
                    .iter()
                    .filter(|(name, _)| !is_reserved(name))
                    .map(|(name, value)| (name.to_owned(), to_value(value)))
                    .collect();
                validator.is_valid(&serde_json::Value::Object(value))
            }
            CallForm::Prompt => prompt_fits(pin.schema.as_ref(), arguments),
            CallForm::Resource => true,
        }
    }
}

/// No reference leaves the schema, and patterns run in linear time.
fn compile(schema: &Json) -> Option<Validator> {
    if schema.canonical().len() > MAX_SCHEMA_BYTES {
        return None;
    }
    jsonschema::options()
        .with_pattern_options(PatternOptions::regex())
        .build(&to_value(schema))
        .ok()
}

/// A prompt's arguments are texts, each declared, the required ones there.
fn prompt_fits(declared: Option<&Json>, arguments: &Object) -> bool {
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

#[cfg(test)]
mod tests {
    use bailiwick_core::limits::JsonLimits;

    use super::*;

    fn json(text: &str) -> Json {
        Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap()
    }

    fn fits(form: CallForm, schema: &str, arguments: &str) -> bool {
        let pin = Pin {
            digest: Digest::from_array([1; 32]),
            schema: Some(json(schema)),
            operation: None,
        };
        Schemas::default().fit(form, &pin, json(arguments).as_object().unwrap())
    }

    #[test]
    fn arguments_are_held_against_the_pinned_schema() {
        let schema = r#"{"type":"object","required":["id"],"properties":{"id":{"type":"integer"}},"additionalProperties":false}"#;
        assert!(fits(CallForm::Tool, schema, r#"{"id":1}"#));
        assert!(fits(CallForm::Tool, schema, r#"{"id":1,"$input":{"a":1},"$state":"s"}"#));
        for bad in [r#"{"id":"1"}"#, "{}", r#"{"id":1,"x":2}"#, r#"{"id":1.5}"#] {
            assert!(!fits(CallForm::Tool, schema, bad), "{bad}");
        }
    }

    #[test]
    fn a_schema_that_points_elsewhere_or_cannot_be_compiled_fits_nothing() {
        for schema in [
            r#"{"$ref":"http://169.254.169.254/schema.json"}"#,
            r#"{"$ref":"file:///etc/passwd"}"#,
            r#"{"properties":{"a":{"pattern":"(?<=x)y"}}}"#,
            r#"{"type":7}"#,
        ] {
            assert!(!fits(CallForm::Tool, schema, "{}"), "{schema}");
        }
    }

    #[test]
    fn prompt_arguments_are_declared_texts() {
        let declared = r#"[{"name":"ticket","required":true},{"name":"tone"}]"#;
        assert!(fits(CallForm::Prompt, declared, r#"{"ticket":"1"}"#));
        for bad in ["{}", r#"{"ticket":1}"#, r#"{"ticket":"1","x":"y"}"#] {
            assert!(!fits(CallForm::Prompt, declared, bad), "{bad}");
        }
    }
}
