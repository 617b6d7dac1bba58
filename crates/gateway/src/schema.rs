//! Arguments against the pinned definition, compiled once per pin.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bailiwick_core::crypto::Digest;
use bailiwick_core::json::Object;
use bailiwick_policy::input_schema::{InputSchema, prompt_fits};
use bailiwick_policy::mcp_methods::CallForm;

use crate::ports::Pin;

/// Compiled schemas that are kept.
const MAX_COMPILED: usize = 4096;

/// Compiled schemas by pin; `None`: the schema cannot be compiled, so nothing
/// fits it.
#[derive(Default)]
pub(crate) struct Schemas {
    compiled: Mutex<HashMap<Digest, Option<Arc<InputSchema>>>>,
}

impl Schemas {
    fn validator(&self, pin: &Pin) -> Option<Arc<InputSchema>> {
        let lock = || self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = lock().get(&pin.digest) {
            return found.clone();
        }
        let compiled = pin.schema.as_ref().and_then(InputSchema::compile).map(Arc::new);
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
            CallForm::Tool => self.validator(pin).is_some_and(|schema| schema.fits(arguments)),
            CallForm::Prompt => prompt_fits(pin.schema.as_ref(), arguments),
            CallForm::Resource => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_core::json::Json;
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
            card: None,
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
