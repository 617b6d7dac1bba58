//! Scopes: what a parent covers, it permits; and a meet permits what both do, no more.
//!
//! Input: parent, child (`tools` maps), tool, arguments.
#![no_main]

use bailiwick_core::constraint::Dialect;
use bailiwick_core::json::Json;
use bailiwick_core::scope::Scope;
use bailiwick_fuzz::{CASES, JSON, fields, joined, payload, seed, tools};
use libfuzzer_sys::fuzz_target;

fn seeds() -> impl Iterator<Item = Vec<u8>> {
    CASES.iter().filter_map(|c| {
        let map = |token: &String| {
            let claims = Json::parse(&payload(token)?, &JSON).ok()?;
            Some(Json::from(tools(&claims)?.clone()).canonical())
        };
        let (parent, child) = (map(c.chain.first()?)?, map(c.chain.last()?)?);
        Some(joined(&[&parent, &child, &c.tool, &c.arguments]))
    })
}

fn read(text: &str) -> Option<Scope> {
    let json = Json::parse(text.as_bytes(), &JSON).ok()?;
    Scope::parse(json.as_object()?, Dialect::Extended, 8).ok()
}

fuzz_target!(
    init: seed(seeds()),
    |data: &[u8]| {
        let Some(fields) = fields(data) else { return };
        let [parent, child, tool, arguments] = fields.as_slice() else { return };
        let (Some(parent), Some(child)) = (read(parent), read(child)) else { return };
        assert!(parent.covers(&parent).is_ok(), "covers is reflexive");
        let meet = parent.meet(&child);
        let Ok(arguments) = Json::parse(arguments.as_bytes(), &JSON) else { return };
        let Some(arguments) = arguments.as_object() else { return };
        let permits = |scope: &Scope| scope.permits(tool, arguments).is_ok();
        if parent.covers(&child).is_ok() && permits(&child) {
            assert!(permits(&parent), "a covered child permits more than its parent");
        }
        if permits(&meet) {
            assert!(permits(&parent) && permits(&child), "a meet permits what one side does not");
        }
    }
);
