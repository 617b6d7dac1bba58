//! The steps of the conformance vectors that are about constraints: 3n, 4o,
//! 4p and 6b, over the payloads alone.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::json;
use bailiwick_core::constraint::Dialect;
use bailiwick_core::json::Json;
use bailiwick_core::scope::{Scope, Widening};

fn at<'j>(json: &'j Json, name: &str) -> Option<&'j Json> {
    json.as_object()?.member(name)
}

/// `None` for a text with a number beyond a double (`1e400`), which the
/// reader refuses already.
fn read(text: &str) -> Option<Json> {
    Json::parse(text.as_bytes(), &super::LIMITS).ok()
}

fn payload(token: &str) -> Option<Json> {
    let part = token.split('.').nth(1).unwrap();
    read(&String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
}

fn tools(token: &Json) -> Option<&Json> {
    let details = at(token, "authorization_details")?.as_array()?;
    let ours = |d: &&Json| at(d, "type").and_then(Json::as_str) == Some("attenuating_agent_token");
    at(details.iter().find(ours)?, "tools")
}

/// The first failing step among those tested here.
fn step(case: &Json) -> Option<&'static str> {
    let max_depth = at(case, "parameters")
        .and_then(|p| at(p, "max_constraint_depth"))
        .and_then(Json::as_number)
        .and_then(|n| n.as_plain_integer())
        .map_or(32, |n| usize::try_from(n).unwrap());
    let mut parent: Option<Scope> = None;
    for token in at(case, "chain").unwrap().as_array().unwrap() {
        let token = payload(token.as_str().unwrap());
        let scope = token.and_then(|token| match tools(&token) {
            None => Some(Scope::empty()),
            Some(tools) => Scope::parse(tools.as_object().unwrap(), Dialect::Core, max_depth).ok(),
        });
        let Some(scope) = scope else {
            return Some(if parent.is_none() { "3n" } else { "4o" });
        };
        if let Some(widening) = parent.and_then(|p| p.covers(&scope).err()) {
            return Some(Widening::step(&widening));
        }
        parent = Some(scope);
    }
    let Some(arguments) = read(at(case, "args_text").unwrap().as_str().unwrap()) else {
        return Some("6b");
    };
    let tool = at(case, "tool").unwrap().as_str().unwrap();
    parent.unwrap().permits(tool, arguments.as_object().unwrap()).err().map(|_| "6b")
}

#[test]
fn the_steps_on_constraints_agree_with_the_vectors() {
    let vectors = json(include_str!("../../../../vectors/aat-02.json"));
    let mut tested = 0;
    for case in at(&vectors, "cases").unwrap().as_array().unwrap() {
        let expected = at(case, "expected").unwrap();
        let permit = at(expected, "verdict").unwrap().as_str() == Some("PERMIT");
        let label = at(expected, "step").and_then(Json::as_str);
        let ours =
            label.is_some_and(|l| ["3n", "4o", "4p1", "4p2", "4p3", "4p4", "6b"].contains(&l));
        if !permit && !ours {
            continue;
        }
        let id = at(case, "id").unwrap().as_str().unwrap();
        assert_eq!(step(case), label, "{id} {}", at(case, "title").unwrap());
        tested += 1;
    }
    assert!(tested >= 250, "{tested}");
}

#[test]
fn the_pairs_that_can_be_valid_are_those_of_the_vectors() {
    let vectors = json(include_str!("../../../../vectors/aat-02.json"));
    let pairs = at(&vectors, "subsumption_pairs").unwrap();
    let pool: Vec<_> = super::table::all_constraints()
        .iter()
        .filter_map(|c| bailiwick_core::constraint::Constraint::parse(c, Dialect::Core, 32).ok())
        .collect();
    for parent in &pool {
        for child in &pool {
            let valid = at(pairs, parent.type_name()).unwrap().as_array().unwrap();
            if parent.covers(child) {
                assert!(valid.iter().any(|v| v.as_str() == Some(child.type_name())));
            }
        }
    }
    for (parent, children) in pairs.as_object().unwrap().iter() {
        for child in children.as_array().unwrap() {
            let child = child.as_str().unwrap();
            let found = pool
                .iter()
                .filter(|p| p.type_name() == parent)
                .any(|p| pool.iter().any(|c| c.type_name() == child && p.covers(c)));
            assert!(found, "{child} under {parent}");
        }
    }
}
