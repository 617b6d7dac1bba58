//! What changed between two definitions, member by member, for a person.

use bailiwick_core::json::{Json, Object};

use super::Definition;

/// Differences that are told; a definition that differs in more is another one.
const MAX_DIFFERENCES: usize = 200;

/// One member that is not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The members that lead there, joined by `/`.
    pub place: String,
    /// As it was, as JSON; none, if it was not there.
    pub before: Option<String>,
    /// As it is, as JSON; none, if it is gone.
    pub after: Option<String>,
}

/// What differs, by the order of the members; where there was nothing before,
/// everything. Values are JSON text: line breaks and quotes in them are
/// escaped, and whoever shows them escapes what cannot be seen.
#[must_use]
pub fn differences(before: Option<&Definition>, after: Option<&Definition>) -> Vec<Difference> {
    let mut found = Vec::new();
    members(before.map(Definition::members), after.map(Definition::members), "", &mut found);
    found.truncate(MAX_DIFFERENCES);
    found
}

fn members(
    before: Option<&Object>,
    after: Option<&Object>,
    place: &str,
    out: &mut Vec<Difference>,
) {
    let names = |o: Option<&Object>| -> Vec<String> {
        o.map(|o| o.iter().map(|(name, _)| name.to_string()).collect()).unwrap_or_default()
    };
    let mut all = names(before);
    all.extend(names(after).into_iter().filter(|n| before.is_none_or(|b| b.member(n).is_none())));
    for name in all {
        let (old, new) =
            (before.and_then(|o| o.member(&name)), after.and_then(|o| o.member(&name)));
        let place = if place.is_empty() { name } else { format!("{place}/{name}") };
        value(old, new, place, out);
    }
}

fn value(before: Option<&Json>, after: Option<&Json>, place: String, out: &mut Vec<Difference>) {
    if out.len() >= MAX_DIFFERENCES || before == after {
        return;
    }
    let object = |json: Option<&Json>| {
        json.is_none_or(|j| j.as_object().is_some_and(|o| o.iter().next().is_some()))
    };
    if object(before) && object(after) {
        let (old, new) = (before.and_then(Json::as_object), after.and_then(Json::as_object));
        return members(old, new, &place, out);
    }
    let text = |json: Option<&Json>| json.map(Json::canonical);
    out.push(Difference { place, before: text(before), after: text(after) });
}

#[cfg(test)]
mod tests {
    use bailiwick_core::limits::JsonLimits;

    use super::*;

    fn tool(text: &str) -> Definition {
        Definition::of_tool(&Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap()).unwrap()
    }

    const BEFORE: &str = r#"{"name":"get","description":"Reads.","inputSchema":{"type":"object",
        "properties":{"id":{"type":"integer"}},"required":["id"]}}"#;

    #[test]
    fn only_what_differs_is_told_with_its_place() {
        let after = tool(
            r#"{"name":"get","description":"Reads.\nAll.","inputSchema":{"type":"object",
            "properties":{"id":{"type":"string"},"bcc":{"type":"string"}},"required":["id"]}}"#,
        );
        let found = differences(Some(&tool(BEFORE)), Some(&after));
        let told: Vec<_> = found
            .iter()
            .map(|d| (d.place.as_str(), d.before.as_deref(), d.after.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                ("description", Some(r#""Reads.""#), Some(r#""Reads.\nAll.""#)),
                ("inputSchema/properties/id/type", Some(r#""integer""#), Some(r#""string""#)),
                ("inputSchema/properties/bcc/type", None, Some(r#""string""#)),
            ]
        );
    }

    #[test]
    fn equal_definitions_differ_in_nothing_and_a_new_one_in_everything() {
        assert_eq!(differences(Some(&tool(BEFORE)), Some(&tool(BEFORE))), []);
        let found = differences(None, Some(&tool(BEFORE)));
        assert!(found.iter().all(|d| d.before.is_none() && d.after.is_some()));
        let places: Vec<_> = found.iter().map(|d| d.place.as_str()).collect();
        for place in ["name", "description", "inputSchema/properties/id/type"] {
            assert!(places.contains(&place), "{places:?}");
        }
    }

    #[test]
    fn an_empty_object_that_appears_or_goes_is_a_difference() {
        let with =
            tool(r#"{"name":"get","description":"Reads.","inputSchema":{},"outputSchema":{}}"#);
        let without = tool(r#"{"name":"get","description":"Reads.","inputSchema":{}}"#);
        for (a, b) in [(&with, &without), (&without, &with)] {
            let found = differences(Some(a), Some(b));
            assert_eq!((found.len(), found[0].place.as_str()), (1, "outputSchema"));
        }
    }

    #[test]
    fn the_number_of_differences_is_bounded() {
        let many: Object = (0..1000).map(|i| (format!("p{i}"), Json::from(1u64))).collect();
        let item = Object::new().with("name", "x").with("inputSchema", many);
        let new = Definition::of_tool(&item.into()).unwrap();
        assert_eq!(differences(None, Some(&new)).len(), MAX_DIFFERENCES);
    }
}
