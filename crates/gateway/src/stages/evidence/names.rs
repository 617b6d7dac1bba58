//! Which names may stand in an entry as they are.

use bailiwick_core::accountable::Facts;
use bailiwick_core::ids::{ServerName, ToolId};

use super::Decision;
use crate::gateway::Inner;

/// The names of a known caller's request.
///
/// SECURITY: a leaf can never be erased, so a name stands in it only when the
/// operator gave it. What a caller made up may be anybody's personal data; it
/// is committed to, and its text lies beside the ledger.
pub(super) struct Names<'a> {
    /// The tool server, if it is catalogued.
    pub(super) server: Option<&'a str>,
    /// The action, if it is catalogued.
    pub(super) action: Option<&'a str>,
    /// The action otherwise.
    pub(super) chosen: Option<&'a str>,
}

impl<'a> Names<'a> {
    pub(super) fn of(gateway: &Inner, decision: &Decision<'a>, facts: &Facts) -> Self {
        let (server, action) = (decision.server, decision.action);
        // A decision that has its ground was looked up already.
        let found = decision.ground.is_some();
        let known = found || knows_server(gateway, server, facts);
        let named = found || (known && action.is_some_and(|a| knows(gateway, server, a, facts)));
        let (action, chosen) = if named { (action, None) } else { (None, action) };
        Self { server: known.then_some(server.as_str()), action, chosen }
    }
}

fn knows_server(gateway: &Inner, server: &ServerName, facts: &Facts) -> bool {
    let catalogue = &gateway.ports.catalogue;
    // Whatever cannot be read is not known: then the name is committed.
    matches!(catalogue.server(server), Ok(Some(_)))
        || matches!(
            catalogue.workflow(&facts.authority.workflow_digest),
            Ok(Some(workflow)) if workflow.catalogue.servers().any(|(name, _)| name == server)
        )
}

/// Whether the action of a known server is rated, pinned, or one of ours, whose
/// names have no part that a caller chooses.
fn knows<'a>(gateway: &Inner, server: &ServerName, action: &'a str, facts: &Facts) -> bool {
    let of_server = |action: &'a str| {
        let rest = ["mcp:", "http:", "a2a:"].iter().find_map(|p| action.strip_prefix(p))?;
        rest.strip_prefix(server.as_str())?.strip_prefix(':')
    };
    let Some(operation) = of_server(action) else { return false };
    let of_mcp = action.starts_with("mcp:");
    if of_mcp && (operation == "resources/read" || operation.starts_with("rpc:")) {
        return true;
    }
    let catalogue = &gateway.ports.catalogue;
    let rated = ToolId::parse(action).is_ok_and(|tool| {
        matches!(
            catalogue.workflow(&facts.authority.workflow_digest),
            Ok(Some(workflow)) if workflow.catalogue.rating(&tool).is_some()
        )
    });
    rated || matches!(catalogue.server(server), Ok(Some(s)) if s.pins.contains_key(operation))
}
