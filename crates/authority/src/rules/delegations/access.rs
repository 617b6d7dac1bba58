//! Tokens for callers that know OAuth, under a grant that is on record.

use bailiwick_core::grant::Statement;
use bailiwick_core::ids::{ServerName, ToolId};
use bailiwick_core::scope::Scope;
use bailiwick_policy::Workflow;

use super::issue::{Issued, Recipient, Within, issue, issue_within};
use super::{Parties, still_holds};
use crate::host::Moment;
use crate::installation::{Installation, Keys};
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::rules::principals::active;

/// A grant on record with what it rests on now.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// What was consented to.
    pub statement: &'a Statement,
    /// Principal, agent and owner.
    pub parties: Parties<'a>,
    /// The workflow, in its current version.
    pub workflow: &'a Workflow,
}

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
    standing: Standing<'_>,
    server: &ServerName,
    to: Recipient<'_>,
) -> Result<Plan<Issued>, Refusal> {
    let Standing { statement, parties, workflow } = standing;
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
    bearer(workflow, &scope, to)?;
    let (step, issued) = issue(moment, installation, keys, statement, &scope, principal, to)?;
    Ok(Plan::one(step, issued))
}

/// Issues what a token exchange decided on: less than the grant or all of it.
///
/// # Errors
/// As for a new grant; [`Refusal::StatementChanged`] when `scope` is not within
/// what the rules would grant today, [`Refusal::NotForBearer`].
pub fn exchanged(
    moment: &Moment<'_>,
    installation: &Installation,
    keys: &Keys,
    standing: Standing<'_>,
    (scope, within): (&Scope, &Within),
    to: Recipient<'_>,
) -> Result<Plan<Issued>, Refusal> {
    let Standing { statement, parties, workflow } = standing;
    let principal = active(statement.principal.as_str(), parties.principal)?;
    let whole = still_holds(installation, moment.now(), parties, workflow, statement)?;
    // INVARIANT: authority only shrinks, whatever decided.
    if whole.covers(scope).is_err() {
        return Err(Refusal::StatementChanged { member: "tools".to_owned() });
    }
    bearer(workflow, scope, to)?;
    let (step, issued) =
        issue_within(moment, installation, keys, statement, scope, within, principal, to)?;
    Ok(Plan::one(step, issued))
}

/// A token that is bound to no key holds listed tools only (DESIGN rule 1).
fn bearer(workflow: &Workflow, scope: &Scope, to: Recipient<'_>) -> Result<(), Refusal> {
    let Recipient::Client { key: None, .. } = to else { return Ok(()) };
    let listed = |tool: &str| {
        let rating = ToolId::parse(tool).ok().and_then(|t| workflow.catalogue.rating(&t));
        rating.is_some_and(|rating| rating.bearer)
    };
    match scope.tools().find(|(tool, _)| !listed(tool)) {
        Some((tool, _)) => Err(Refusal::NotForBearer { tool: tool.to_owned() }),
        None => Ok(()),
    }
}
