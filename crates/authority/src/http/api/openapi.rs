//! The OpenAPI 3.1 document: the table of routes, with the schemas that stand
//! in `openapi.json` beside this file, and the few paths that are served
//! elsewhere. The endpoints of OAuth are not described here: their metadata
//! document does (RFC 8414).

use std::sync::LazyLock;

use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;

use super::routes::{Access, ROUTES, Route};

const TEXT: &str = include_str!("openapi.json");

/// What is written down; it reads, or the tests of this crate fail.
static WRITTEN: LazyLock<Object> = LazyLock::new(|| {
    let json = Json::parse(TEXT.as_bytes(), &JsonLimits::DEFAULT).ok();
    json.and_then(|json| json.as_object().cloned()).unwrap_or_default()
});

fn written(path: &[&str]) -> Option<&'static Object> {
    path.iter().try_fold(&*WRITTEN, |object, name| object.member(name)?.as_object())
}

/// The members that a body of this schema may have.
pub(super) fn members(schema: &str) -> Vec<&'static str> {
    let properties = written(&["components", "schemas", schema, "properties"]);
    properties.map(|p| p.iter().map(|(name, _)| name).collect()).unwrap_or_default()
}

/// The whole document: the same at every authority, so its server is wherever
/// it was read from.
pub(super) fn document() -> Json {
    let mut paths = written(&["paths"]).cloned().unwrap_or_default();
    for route in ROUTES {
        let mut path =
            paths.member(route.path).and_then(Json::as_object).cloned().unwrap_or_default();
        path.insert(if route.is_read() { "get" } else { "post" }, operation(route));
        paths.insert(route.path, path);
    }
    let info = Object::new()
        .with("title", "Bailiwick")
        .with("summary", "Accountable authority for AI agents.")
        .with("version", env!("CARGO_PKG_VERSION"))
        .with("license", Object::new().with("name", "Apache-2.0").with("identifier", "Apache-2.0"));
    Object::new()
        .with("openapi", "3.1.0")
        .with("info", info)
        .with("servers", vec![Json::from(Object::new().with("url", "/"))])
        .with("security", vec![Json::from(Object::new().with("login", Vec::<Json>::new()))])
        .with("paths", paths)
        .with("components", written(&["components"]).cloned().unwrap_or_default())
        .into()
}

fn reference(kind: &str, name: &str) -> Object {
    Object::new().with("$ref", format!("#/components/{kind}/{name}"))
}

fn content(schema: &str) -> Object {
    let media = Object::new().with("schema", reference("schemas", schema));
    Object::new().with("application/json", media)
}

/// What a path parameter looks like.
fn example(path: &str) -> &'static str {
    match path.split('/').nth(3) {
        Some("agents") => "agent:support-runner",
        Some("principals") => "user:142",
        Some("grants") => "01a217df-3963-7cc4-85ff-4548a0f38598",
        Some("delegations") => "6UDniRYia7tfMMjPcfJNlpHV7JAmh7fN-isJeQq_EwU",
        _ => "kq3bX0cS0m4yGJmQd3nW5A",
    }
}

fn operation(route: &Route) -> Object {
    let mut parameters: Vec<Json> = Vec::new();
    for name in route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
        let schema = Object::new().with("type", "string").with("minLength", 1u64);
        let parameter = Object::new()
            .with("example", example(route.path))
            .with("name", name)
            .with("in", "path")
            .with("required", true)
            .with("schema", schema);
        parameters.push(parameter.into());
    }
    let key = route.creates.then_some("IdempotencyKey");
    // Elsewhere the proof is a part of the security scheme.
    let proof = (route.access == Access::Anyone).then_some("DPoP");
    for name in route.query.iter().copied().chain(proof).chain(key) {
        parameters.push(reference("parameters", name).into());
    }
    let (status, schema) = route.answer;
    let mut done = Object::new().with("description", "Done.");
    if let Some(schema) = schema {
        done.insert("content", content(schema));
    }
    let mut responses = Object::new().with(status.to_string(), done);
    // What every route may answer: RFC 9457.
    let mut refusals = vec![400, 401, 403, 429, 500, 503];
    refusals.extend(route.changes.then_some(415));
    refusals.extend(route.refusals);
    refusals.sort_unstable();
    for status in refusals {
        responses.insert(status.to_string(), reference("responses", "Problem"));
    }
    let mut operation = Object::new()
        .with("operationId", route.id)
        .with("summary", route.summary)
        .with("parameters", parameters)
        .with("responses", responses);
    if let Some(schema) = route.body {
        let body = Object::new().with("required", true).with("content", content(schema));
        operation.insert("requestBody", body);
    }
    if route.access == Access::Anyone {
        operation.insert("security", Vec::<Json>::new());
    }
    operation
}
