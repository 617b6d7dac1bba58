//! Which shorthand a caller would need for a call that its delegation does not
//! cover (MCP authorization, "Scope Challenge Handling"; RFC 6750 §3.1).

use std::collections::BTreeMap;

use bailiwick_core::ids::ToolId;
use bailiwick_core::json::{Json, Object};

use crate::expand::expand_scope;
use crate::workflow::{Shorthand, Workflow, fill};

/// The narrowest of the workflow's shorthands that permits this very call, with
/// its parameters filled in from the arguments; nothing, if none does.
///
/// The narrowest, not all: they are alternatives, and whoever asks for all of
/// them asks a person for more than the call needs.
#[must_use]
pub fn shorthand_for(workflow: &Workflow, tool: &ToolId, arguments: &Object) -> Option<String> {
    let mut fitting: Vec<(usize, usize, String)> = workflow
        .shorthands
        .iter()
        .filter_map(|shorthand| {
            let text = filled(shorthand, tool, arguments)?;
            let scope = expand_scope(workflow, std::slice::from_ref(&text)).ok()?;
            scope.permits(tool.as_str(), arguments).ok()?;
            let free = usize::from(shorthand.parameters().next().is_none());
            Some((scope.tools().len(), free, text))
        })
        .collect();
    fitting.sort();
    fitting.into_iter().next().map(|(_, _, text)| text)
}

/// The shorthand's text with the values that the arguments give its
/// parameters.
fn filled(shorthand: &Shorthand, tool: &ToolId, arguments: &Object) -> Option<String> {
    let (_, map) = shorthand.argument_maps().find(|(t, _)| *t == tool)?;
    let mut parts: Vec<String> = Vec::new();
    for part in shorthand.template().split(':') {
        let name = part.strip_prefix('{').and_then(|p| p.strip_suffix('}'));
        let Some(name) = name else {
            parts.push(part.to_owned());
            continue;
        };
        // The argument whose rule names the parameter.
        let marked = BTreeMap::from([(name.to_owned(), Json::Null)]);
        let (argument, _) = map.iter().find(|(_, rule)| fill(rule, &marked) != **rule)?;
        parts.push(match arguments.member(argument)? {
            Json::String(text) => text.clone(),
            Json::Number(number) => number.as_plain_integer()?.to_string(),
            _ => return None,
        });
    }
    Some(parts.join(":"))
}

#[cfg(test)]
mod tests {
    use bailiwick_core::limits::JsonLimits;

    use super::*;

    fn needed(tool: &str, arguments: &str) -> Option<String> {
        let text = include_str!("../../../workflows/support-tickets.yaml");
        let workflow = Workflow::parse(text).unwrap();
        let arguments = Json::parse(arguments.as_bytes(), &JsonLimits::DEFAULT).unwrap();
        let tool = ToolId::parse(&format!("mcp:support-desk:{tool}")).unwrap();
        shorthand_for(&workflow, &tool, arguments.as_object().unwrap())
    }

    #[test]
    fn the_narrowest_shorthand_that_permits_the_call_is_named() {
        assert_eq!(
            needed("tools/get_ticket", r#"{"ticket_id":8821}"#).as_deref(),
            Some("ticket:8821")
        );
        // `orders:read` would permit it as well, and more.
        assert_eq!(
            needed("tools/get_order", r#"{"order_id":10072}"#).as_deref(),
            Some("order:10072:read")
        );
        assert_eq!(
            needed("tools/list_orders", r#"{"customer_id":7}"#).as_deref(),
            Some("orders:read")
        );
        assert_eq!(
            needed("tools/add_note", r#"{"ticket_id":1,"text":"x"}"#).as_deref(),
            Some("ticket:1:note")
        );
        assert_eq!(
            needed("resources/read", r#"{"uri":"desk://policy/refunds"}"#).as_deref(),
            Some("policies:read")
        );
    }

    #[test]
    fn a_call_that_no_shorthand_permits_names_none() {
        for (tool, arguments) in [
            ("tools/drop_tables", r#"{}"#),
            ("tools/get_ticket", r#"{}"#),
            ("tools/get_ticket", r#"{"ticket_id":"8821 orders:read"}"#),
            ("tools/get_ticket", r#"{"ticket_id":8821,"extra":1}"#),
            ("tools/refund_order", r#"{"order_id":1,"amount_cents":10001,"reason":"x"}"#),
        ] {
            assert_eq!(needed(tool, arguments), None, "{tool} {arguments}");
        }
    }
}
