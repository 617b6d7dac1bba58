//! OpenAPI 3.0 and 3.1 files, read into definitions that stand alone.
//!
//! Nothing of the file is needed afterwards: references are followed and what
//! they name is written out. What cannot be carried to the API in one way
//! only is left out and named, never guessed.

use std::collections::BTreeSet;

use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;

use super::operation::{BODY, is_name};
use super::value::Kind;
use super::{HEADER_PARAMETERS, Template, Verb};
use crate::mcp_methods::is_reserved;
use crate::workflow::yaml_document;

mod schema;
use schema::{Resolver, without_null};

/// Bytes of a file.
pub const MAX_DOCUMENT_BYTES: usize = 8 << 20;
/// Values in it.
const MAX_DOCUMENT_VALUES: usize = 400_000;
/// Levels of it.
const MAX_DOCUMENT_DEPTH: usize = 64;
/// Operations of one API.
pub const MAX_OPERATIONS: usize = 2_000;
/// Characters of an operation's name.
const MAX_NAME: usize = 128;

/// Why a file describes no API.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenApiError {
    /// Neither JSON nor the part of YAML that is read.
    #[error("the file cannot be read: {what}")]
    Unreadable {
        /// What is wrong, with its place.
        what: String,
    },
    /// `openapi` is not 3.0 or 3.1.
    #[error("`openapi` is not `3.0.x` or `3.1.x`")]
    Version,
    /// No `paths`, or no object.
    #[error("the file has no `paths`")]
    NoPaths,
    /// Larger than any API described by people.
    #[error("the file has more than {MAX_OPERATIONS} operations")]
    TooMany,
}

impl OpenApiError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "openapi-unreadable",
            Self::Version => "openapi-version",
            Self::NoPaths => "openapi-no-paths",
            Self::TooMany => "openapi-too-many",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "mend the file; YAML is read without anchors and tags",
            Self::Version => "convert the description to OpenAPI 3.0 or 3.1",
            Self::NoPaths => "pass the API's OpenAPI file",
            Self::TooMany => "split the API in two tool servers",
        }
    }
}

/// An operation that cannot become a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Method and path.
    pub operation: String,
    /// Why, in a sentence.
    pub why: &'static str,
}

/// What a file describes.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// `{"operations": […]}`, items of [`crate::catalogue::Definition::of_operation`].
    pub listing: Json,
    /// Operations that are not among them.
    pub left_out: Vec<LeftOut>,
}

/// Reads a file, JSON or YAML.
///
/// # Errors
/// [`OpenApiError`].
pub fn read(text: &str) -> Result<Described, OpenApiError> {
    let unreadable = |what: String| OpenApiError::Unreadable { what };
    let limits = JsonLimits {
        max_bytes: MAX_DOCUMENT_BYTES,
        max_depth: MAX_DOCUMENT_DEPTH,
        max_values: MAX_DOCUMENT_VALUES,
    };
    let document = if text.trim_start().starts_with('{') {
        Json::parse(text.as_bytes(), &limits).map_err(|e| unreadable(e.to_string()))?
    } else {
        yaml_document(text, &limits).map_err(|problem| unreadable(problem.to_string()))?
    };
    described(&document)
}

fn described(document: &Json) -> Result<Described, OpenApiError> {
    let root = document.as_object().ok_or(OpenApiError::NoPaths)?;
    let version = root.member("openapi").and_then(Json::as_str).unwrap_or_default();
    let old = version.starts_with("3.0.");
    if !old && !version.starts_with("3.1.") {
        return Err(OpenApiError::Version);
    }
    let paths = root.member("paths").and_then(Json::as_object).ok_or(OpenApiError::NoPaths)?;
    let templates: Vec<(&str, Option<Template>)> =
        paths.iter().map(|(path, _)| (path, Template::parse(path))).collect();
    let mut operations = Vec::new();
    let mut left_out = Vec::new();
    let mut names = BTreeSet::new();
    let mut twice = BTreeSet::new();
    for ((path, template), (_, item)) in templates.iter().zip(paths.iter()) {
        for verb in Verb::ALL {
            let resolver = Resolver::new(document, old);
            let Some(item) = resolver.followed(item).and_then(Json::as_object) else { continue };
            let Some(operation) = item.member(&verb.as_str().to_ascii_lowercase()) else {
                continue;
            };
            if operations.len() + left_out.len() >= MAX_OPERATIONS {
                return Err(OpenApiError::TooMany);
            }
            let mut reading = Reading { resolver, item, verb, path };
            let made = match template {
                Some(template) => reading.operation(operation, template, &templates),
                None => Err("a parameter is only a part of a path segment, or a segment is odd"),
            };
            match made {
                Ok((name, json)) => {
                    if !names.insert(name.clone()) {
                        twice.insert(name.clone());
                    }
                    operations.push((name, json));
                }
                Err(why) => {
                    left_out.push(LeftOut { operation: format!("{} {path}", verb.as_str()), why })
                }
            }
        }
    }
    for (name, _) in operations.iter().filter(|(name, _)| twice.contains(name)) {
        let why = "another operation has the same name";
        left_out.push(LeftOut { operation: name.clone(), why });
    }
    let items = operations.into_iter().filter(|(name, _)| !twice.contains(name));
    let items: Vec<Json> = items.map(|(_, json)| json).collect();
    Ok(Described { listing: Object::new().with("operations", items).into(), left_out })
}

/// One operation under way.
struct Reading<'d> {
    resolver: Resolver<'d>,
    item: &'d Object,
    verb: Verb,
    path: &'d str,
}

/// A parameter as the file has it, followed.
struct Found<'d> {
    name: String,
    place: &'d str,
    json: &'d Object,
}

type Made<T> = Result<T, &'static str>;

impl<'d> Reading<'d> {
    fn operation(
        &mut self,
        json: &'d Json,
        template: &Template,
        all: &[(&str, Option<Template>)],
    ) -> Made<(String, Json)> {
        let operation = json.as_object().ok_or("it is no object")?;
        let name = self.name(operation)?;
        let mut placed = Vec::new();
        let mut properties = Object::new();
        let mut required = Vec::new();
        for found in self.parameters(operation)? {
            let Some((parameter, schema)) = self.parameter(&found, template)? else { continue };
            if properties.member(&found.name).is_some() || is_reserved(&found.name) {
                return Err("two parameters have one name, or one has a reserved name");
            }
            if parameter.member("required") == Some(&Json::Bool(true)) {
                required.push(Json::from(found.name.as_str()));
            }
            properties.insert(found.name.as_str(), schema);
            placed.push(Json::from(parameter));
        }
        let declared = |name: &str| {
            placed.iter().filter_map(Json::as_object).any(|p| {
                p.member("name").and_then(Json::as_str) == Some(name)
                    && p.member("in").and_then(Json::as_str) == Some("path")
            })
        };
        if !template.parameters().all(declared) {
            return Err("a parameter of the path is not described");
        }
        let mut schema = Object::new().with("type", "object");
        let mut open = Json::Bool(false);
        let body = match self.body(operation)? {
            None => None,
            Some((is_required, body)) => {
                Some(add_body(&body, is_required, &mut properties, &mut required, &mut open)?)
            }
        };
        schema.insert("properties", properties);
        if !required.is_empty() {
            schema.insert("required", required);
        }
        schema.insert("additionalProperties", open);
        let except: Vec<Json> = all
            .iter()
            .filter(|(path, _)| *path != self.path)
            .filter(|(_, other)| other.as_ref().is_some_and(|other| template.yields_to(other)))
            .map(|(path, _)| Json::from(*path))
            .collect();
        let text = |member: &str| operation.member(member).and_then(Json::as_str);
        let mut made = Object::new()
            .with("name", name.as_str())
            .with("method", self.verb.as_str())
            .with("path", self.path);
        if let Some(summary) = text("summary") {
            made.insert("title", summary);
        }
        if let Some(description) = text("description") {
            made.insert("description", description);
        }
        if !except.is_empty() {
            made.insert("except", except);
        }
        if !placed.is_empty() {
            made.insert("parameters", placed);
        }
        if let Some(body) = body {
            made.insert("body", body);
        }
        made.insert("inputSchema", schema);
        Ok((name, made.into()))
    }

    /// `operationId`, or method and path.
    fn name(&self, operation: &Object) -> Made<String> {
        let plain = |b: char| b.is_ascii_alphanumeric() || "._-".contains(b);
        let name = match operation.member("operationId").and_then(Json::as_str) {
            Some(id) => id.to_owned(),
            None => {
                let path = self.path.trim_matches('/').replace(['{', '}'], "");
                let path = path.replace(|c| !plain(c), "_");
                format!("{}_{path}", self.verb.as_str().to_ascii_lowercase())
            }
        };
        let fits = name.len() <= MAX_NAME
            && name.chars().all(plain)
            && name.starts_with(|c: char| c.is_ascii_alphanumeric());
        fits.then_some(name).ok_or("its name is not of letters, digits, `.`, `_`, `-`")
    }

    /// Those of the path, and those of the operation in their place.
    fn parameters(&mut self, operation: &'d Object) -> Made<Vec<Found<'d>>> {
        let mut all: Vec<Found<'d>> = Vec::new();
        for owner in [self.item, operation] {
            let Some(list) = owner.member("parameters") else { continue };
            for json in list.as_array().ok_or("`parameters` is no list")? {
                let json = self.resolver.followed(json).and_then(Json::as_object);
                let json = json.ok_or("a parameter cannot be read")?;
                let text = |name: &str| json.member(name).and_then(Json::as_str);
                let (name, place) =
                    text("name").zip(text("in")).ok_or("a parameter has no name")?;
                let name = if place == "header" { name.to_ascii_lowercase() } else { name.into() };
                all.retain(|found| (&found.name, found.place) != (&name, place));
                all.push(Found { name, place, json });
            }
        }
        Ok(all)
    }

    /// Its place and its schema; nothing for one that may be and is left out.
    fn parameter(
        &mut self,
        found: &Found<'d>,
        template: &Template,
    ) -> Made<Option<(Object, Json)>> {
        let required = match found.json.member("required") {
            None => false,
            Some(required) => required.as_bool().ok_or("`required` is no truth value")?,
        };
        let or_nothing = |why| if required { Err(why) } else { Ok(None) };
        match found.place {
            "path" if !required => return Err("a parameter of the path is not required"),
            "path" if !template.parameters().any(|name| name == found.name) => {
                return Err("a parameter of the path does not stand in it");
            }
            // These are not parameters (OpenAPI, "Parameter Object").
            "header" if ["accept", "authorization", "content-type"].contains(&&*found.name) => {
                return Ok(None);
            }
            "header" if !HEADER_PARAMETERS.contains(&&*found.name) => {
                return or_nothing("a header that is needed is not among those that are passed");
            }
            "query" if !is_name(&found.name) => {
                return or_nothing("a parameter that is needed has an odd name");
            }
            "path" | "query" | "header" => {}
            _ => return or_nothing("a cookie is needed"),
        }
        let default_style = if found.place == "query" { "form" } else { "simple" };
        let style = found.json.member("style").map_or(Some(default_style), Json::as_str);
        let explode = found.json.member("explode").map_or(Some(true), Json::as_bool);
        let Some(schema) = found.json.member("schema") else {
            return or_nothing("a parameter that is needed has no schema");
        };
        let schema = without_null(self.resolver.schema(schema)?);
        let simple = style == Some(default_style);
        let (kind, many) = match kind(&schema) {
            Some(kind) => (kind, false),
            None => {
                let items = schema.as_object().and_then(|s| s.member("items")).and_then(kind);
                match items {
                    Some(kind) if found.place == "query" && explode == Some(true) => (kind, true),
                    _ => return or_nothing("a parameter that is needed is no simple value"),
                }
            }
        };
        if !simple {
            return or_nothing("a parameter that is needed has a style that is not read");
        }
        let mut placed = Object::new()
            .with("name", found.name.as_str())
            .with("in", found.place)
            .with("type", kind.as_str());
        if many {
            placed.insert("many", true);
        }
        if required {
            placed.insert("required", true);
        }
        Ok(Some((placed, schema)))
    }

    /// Whether a body is required, and its schema.
    fn body(&mut self, operation: &'d Object) -> Made<Option<(bool, Json)>> {
        let Some(body) = operation.member("requestBody") else { return Ok(None) };
        let body = self.resolver.followed(body).and_then(Json::as_object);
        let body = body.ok_or("the body cannot be read")?;
        let required = body.member("required").and_then(Json::as_bool).unwrap_or(false);
        let content = body.member("content").and_then(Json::as_object);
        let json = content.and_then(|c| c.member("application/json")).and_then(Json::as_object);
        let Some(json) = json else {
            return if required { Err("its body is not application/json") } else { Ok(None) };
        };
        let schema = match json.member("schema") {
            Some(schema) => self.resolver.schema(schema)?,
            None => Object::new().into(),
        };
        Ok(Some((required, schema)))
    }
}

/// The only type that a schema's values have.
fn kind(schema: &Json) -> Option<Kind> {
    let schema = schema.as_object()?;
    match schema.member("type") {
        Some(kind) => Kind::parse(kind.as_str()?),
        // Texts by their values; anything at all is a text.
        None => match schema.member("enum").and_then(Json::as_array) {
            Some(values) => values.iter().all(|v| v.as_str().is_some()).then_some(Kind::Text),
            None => schema.is_empty().then_some(Kind::Text),
        },
    }
}

/// Members of a schema that does nothing but list an object's members.
const PLAIN: [&str; 6] =
    ["type", "properties", "required", "additionalProperties", "title", "description"];

/// Makes arguments of a body: of its members, where they are told apart from
/// the parameters, otherwise of the whole.
fn add_body(
    schema: &Json,
    is_required: bool,
    properties: &mut Object,
    required: &mut Vec<Json>,
    open: &mut Json,
) -> Made<Object> {
    let placed = |form: &str| Object::new().with("form", form).with("required", is_required);
    let object = schema.as_object();
    let members = object.filter(|o| {
        o.member("type").and_then(Json::as_str) == Some("object")
            && o.iter().all(|(name, _)| PLAIN.contains(&name))
    });
    let members = members.and_then(|o| Some((o, o.member("properties")?.as_object()?)));
    let apart = |m: &Object| {
        m.iter().all(|(name, _)| properties.member(name).is_none() && !is_reserved(name))
    };
    if let Some((o, members)) = members.filter(|(_, members)| apart(members)) {
        let must = o.member("required").and_then(Json::as_array).unwrap_or_default();
        // Without a body nothing of it is there.
        if is_required || must.is_empty() {
            for (name, schema) in members.iter() {
                properties.insert(name, schema.clone());
            }
            required.extend(must.iter().cloned());
            *open = o.member("additionalProperties").cloned().unwrap_or(Json::Bool(true));
            return Ok(placed("members"));
        }
    }
    if properties.member(BODY).is_some() {
        return Err("a parameter is called `body`, and the body's members are not apart from it");
    }
    properties.insert(BODY, schema.clone());
    if is_required {
        required.push(Json::from(BODY));
    }
    Ok(placed("argument"))
}

#[cfg(test)]
mod tests;
