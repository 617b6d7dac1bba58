//! Schemas of a file, written out and in JSON Schema 2020-12.

use bailiwick_core::json::{Json, Object};

/// References one within the other.
const MAX_REFERENCES: usize = 24;
/// Levels of one schema, followed.
const MAX_LEVELS: usize = 40;
/// Schemas within one operation, followed.
const MAX_SCHEMAS: usize = 5_000;

/// What a schema says to people and generators, and nothing of values.
const DECORATION: [&str; 11] = [
    "$comment",
    "default",
    "deprecated",
    "discriminator",
    "example",
    "examples",
    "externalDocs",
    "readOnly",
    "title",
    "writeOnly",
    "xml",
];

/// Members that are a schema, a list of some, or a map of some.
const ONE: [&str; 11] = [
    "additionalProperties",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
];
const LIST: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
const MAP: [&str; 3] = ["properties", "patternProperties", "dependentSchemas"];
/// Members that would change what others mean, or where they are looked for.
const REFUSED: [&str; 7] =
    ["$anchor", "$defs", "$dynamicAnchor", "$dynamicRef", "$id", "$schema", "definitions"];

/// Follows references within one document.
pub(super) struct Resolver<'d> {
    document: &'d Json,
    /// OpenAPI 3.0, whose schemas are a dialect of an early draft.
    old: bool,
    schemas: usize,
    under_way: Vec<&'d str>,
}

impl<'d> Resolver<'d> {
    pub(super) fn new(document: &'d Json, old: bool) -> Self {
        Self { document, old, schemas: 0, under_way: Vec::new() }
    }

    /// What `json` names, if it is a reference within the document.
    pub(super) fn followed(&self, json: &'d Json) -> Option<&'d Json> {
        let mut json = json;
        for _ in 0..MAX_REFERENCES {
            match json.as_object().and_then(|o| o.member("$ref")) {
                None => return Some(json),
                Some(reference) => json = self.target(reference.as_str()?)?,
            }
        }
        None
    }

    /// `#/components/schemas/Order` (RFC 6901 §6).
    fn target(&self, reference: &str) -> Option<&'d Json> {
        let mut json = self.document;
        for part in reference.strip_prefix("#/")?.split('/') {
            if part.contains('%') {
                return None;
            }
            let part = part.replace("~1", "/").replace("~0", "~");
            json = json.as_object()?.member(&part)?;
        }
        Some(json)
    }

    /// A schema, written out.
    pub(super) fn schema(&mut self, json: &'d Json) -> Result<Json, &'static str> {
        self.level(json, 0)
    }

    fn level(&mut self, json: &'d Json, level: usize) -> Result<Json, &'static str> {
        self.schemas = self.schemas.saturating_add(1);
        if self.schemas > MAX_SCHEMAS || level > MAX_LEVELS {
            return Err("its schemas are too many or too deep");
        }
        let schema = match json {
            Json::Bool(_) => return Ok(json.clone()),
            Json::Object(schema) => schema,
            _ => return Err("a schema is no object"),
        };
        let Some(reference) = schema.member("$ref") else { return self.members(schema, level) };
        let reference = reference.as_str().ok_or("a reference is no text")?;
        if self.under_way.contains(&reference) {
            return Err("a schema contains itself");
        }
        let target = self.target(reference).ok_or("a reference leads nowhere in the file")?;
        self.under_way.push(reference);
        let named = self.level(target, level + 1);
        self.under_way.pop();
        let named = named?;
        if self.old {
            // What stands beside a reference counts for nothing in 3.0.
            return Ok(named);
        }
        let beside: Object = schema
            .iter()
            .filter(|(name, _)| *name != "$ref" && *name != "description" && is_said(name))
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .collect();
        if beside.is_empty() {
            return Ok(named);
        }
        Err("a schema has more than decoration beside its reference")
    }

    fn members(&mut self, schema: &'d Object, level: usize) -> Result<Json, &'static str> {
        let mut out = Object::new();
        for (name, value) in schema.iter().filter(|(name, _)| is_said(name)) {
            if REFUSED.contains(&name) {
                return Err("a schema has members that change what others mean");
            }
            let value = if ONE.contains(&name) {
                self.level(value, level + 1)?
            } else if LIST.contains(&name) {
                let items = value.as_array().ok_or("a list of schemas is none")?;
                let items = items.iter().map(|item| self.level(item, level + 1));
                Json::Array(items.collect::<Result<_, _>>()?)
            } else if MAP.contains(&name) {
                let members = value.as_object().ok_or("a map of schemas is none")?;
                let members = members
                    .iter()
                    .map(|(name, schema)| Ok((name.to_owned(), self.level(schema, level + 1)?)));
                Json::Object(members.collect::<Result<Object, &'static str>>()?)
            } else {
                value.clone()
            };
            out.insert(name, value);
        }
        Ok(if self.old { modern(out) } else { out }.into())
    }
}

fn is_said(name: &str) -> bool {
    !DECORATION.contains(&name) && !name.starts_with("x-")
}

/// The dialect of 3.0 in the words of 2020-12.
fn modern(mut schema: Object) -> Object {
    if schema.remove("nullable") == Some(Json::Bool(true)) {
        if let Some(Json::String(kind)) = schema.remove("type") {
            schema.insert("type", vec![Json::from(kind), Json::from("null")]);
        }
        if let Some(Json::Array(mut values)) = schema.remove("enum") {
            if !values.contains(&Json::Null) {
                values.push(Json::Null);
            }
            schema.insert("enum", values);
        }
    }
    for (exclusive, bound) in [("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")] {
        match schema.member(exclusive) {
            Some(Json::Bool(true)) => {
                schema.remove(exclusive);
                if let Some(value) = schema.remove(bound) {
                    schema.insert(exclusive, value);
                }
            }
            Some(Json::Bool(false)) => {
                schema.remove(exclusive);
            }
            _ => {}
        }
    }
    schema
}

/// The schema of a parameter's value, which is never null: a parameter that is
/// not there is left out.
pub(super) fn without_null(schema: Json) -> Json {
    let Json::Object(mut o) = schema else { return schema };
    let is_null = |j: &Json| {
        j.as_object().is_some_and(|o| o.member("type").and_then(Json::as_str) == Some("null"))
    };
    for choice in ["anyOf", "oneOf"] {
        if let Some(Json::Array(choices)) = o.member(choice) {
            let rest: Vec<&Json> = choices.iter().filter(|c| !is_null(c)).collect();
            if let ([one], 1) = (rest.as_slice(), o.len()) {
                return (*one).clone();
            }
            if let ([one], true) = (rest.as_slice(), rest.len() < choices.len()) {
                let mut only = o.clone();
                only.remove(choice);
                // Whatever else it says stays, where it says something else.
                if let Some(one) = one.as_object()
                    && one.iter().all(|(name, _)| only.member(name).is_none())
                {
                    for (name, value) in one.iter() {
                        only.insert(name, value.clone());
                    }
                    return only.into();
                }
            }
        }
    }
    if let Some(Json::Array(kinds)) = o.member("type") {
        let rest: Vec<&Json> = kinds.iter().filter(|k| k.as_str() != Some("null")).collect();
        if let [one] = rest.as_slice() {
            let one = (*one).clone();
            o.insert("type", one);
        }
    }
    o.into()
}
