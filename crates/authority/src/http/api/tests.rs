//! The table, the document and the schemas agree.

use bailiwick_core::json::Json;

use super::openapi;
use super::routes::ROUTES;

fn document() -> serde_json::Value {
    let text = openapi::document().canonical();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn the_document_is_the_one_that_was_read_last() {
    let text = format!("{:#}\n", document());
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    if std::env::var_os("BAILIWICK_REGENERATE").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == text,
        "docs/openapi.json: read the change, then run with BAILIWICK_REGENERATE=1"
    );
}

#[test]
fn every_reference_leads_somewhere() {
    let document = document();
    let mut found = 0;
    let mut open = vec![&document];
    while let Some(value) = open.pop() {
        match value {
            serde_json::Value::Object(map) => {
                if let Some(reference) = map.get("$ref") {
                    let path = reference.as_str().unwrap().strip_prefix('#').unwrap();
                    assert!(document.pointer(path).is_some(), "{path}");
                    found += 1;
                }
                open.extend(map.values());
            }
            serde_json::Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    assert!(found > 100, "{found}");
}

#[test]
fn operations_are_named_once_and_bodies_have_members() {
    let mut names: Vec<&str> = ROUTES.iter().map(|route| route.id).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ROUTES.len());
    for route in ROUTES {
        if let Some(schema) = route.body {
            assert!(!openapi::members(schema).is_empty(), "{schema}");
        }
        assert!(!route.creates || route.changes, "{}", route.id);
    }
}

#[test]
fn what_is_written_down_is_strict_json() {
    let text = include_str!("openapi.json");
    assert!(Json::parse(text.as_bytes(), &bailiwick_core::limits::JsonLimits::DEFAULT).is_ok());
}
