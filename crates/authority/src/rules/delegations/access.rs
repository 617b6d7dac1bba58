//! Access tokens under a grant that is on record.

use bailiwick_core::grant::Statement;
use bailiwick_core::ids::{ServerName, ToolId};
use bailiwick_core::scope::Scope;
use bailiwick_policy::Workflow;

use super::issue::{Issued, Recipient, issue};
use super::{Parties, still_holds};
use crate::host::Moment;
use crate::installation::{Installation, Keys};
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;
use crate::rules::principals::active;

/// The one tool server that a grant reaches, if it is only one.
#[must_use]
pub fn only_server(statement: &Statement) -> Option<ServerName> {
    let mut servers = statement.tools.iter().map(|(tool, _)| {
        ToolId::parse(tool).ok().and_then(|tool| ServerName::parse(tool.server()).ok())
    });
    let first = servers.next()??;
    servers.all(|server| server.as_ref() == Some(&first)).then_some(first)
}

/// Issues an access token for `server` under a grant that stands, as far as the
/// rules would still grant the same today. It adds no authority: only the
/// server's own tools go in.
///
/// # Errors
/// As for a new grant; [`Refusal::NothingThere`] when the grant reaches no tool
/// of the server, [`Refusal::NotForBearer`] when the token would be bound to no
/// key and holds a tool that the workflow does not list for that.
pub fn access(
    moment: &Moment<'_>,
    installation: &Installation,
    keys: &Keys,
    statement: &Statement,
    parties: Parties<'_>,
    workflow: &Workflow,
    server: &ServerName,
    to: Recipient<'_>,
) -> Result<Plan<Issued>, Refusal> {
    let principal = active(statement.principal.as_str(), parties.principal)?;
    let scope = still_holds(installation, moment.now(), parties, workflow, statement)?;
    let here = |tool: &str| ToolId::parse(tool).is_ok_and(|t| t.server() == server.as_str());
    let entries = scope.tools().filter(|(tool, _)| here(tool));
    let entries = entries.map(|(tool, rules)| (tool.to_owned(), rules.clone()));
    // The tools of a scope stand there once.
    let scope = Scope::from_entries(entries).unwrap_or_default();
    if scope.is_empty() {
        return Err(Refusal::NothingThere { server: server.clone() });
    }
    if matches!(to, Recipient::Client { key: None, .. }) {
        let listed = |tool: &str| {
            let rating = ToolId::parse(tool).ok().and_then(|t| workflow.catalogue.rating(&t));
            rating.is_some_and(|rating| rating.bearer)
        };
        if let Some((tool, _)) = scope.tools().find(|(tool, _)| !listed(tool)) {
            return Err(Refusal::NotForBearer { tool: tool.to_owned() });
        }
    }
    let (step, issued): (Step, Issued) =
        issue(moment, installation, keys, statement, &scope, principal, to)?;
    Ok(Plan::one(step, issued))
}
