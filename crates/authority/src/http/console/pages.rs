//! The pages that only show.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_core::ids::{AgentId, GrantId};
use bailiwick_core::stop::StopTarget;
use bailiwick_store::{Grant, StoreError};

use super::form::Part;
use super::views::{agent_line, client_line, grant_line};
use super::{Failure, Inner, Me, Visit, page};
use crate::console::{
    AgentPage, AgentsPage, ClientsPage, GrantLine, GrantPage, GrantsPage, InstanceLine, Limit,
    Moment, RootLine, Section, Standing, Text, ToolCard,
};
use crate::http::standing;
use crate::people::roles::Deed;

/// Roots of a grant on its page at most: one lives for minutes, a grant for months.
const MAX_ROOTS: u32 = 50;
/// Grants on one page at most.
const MAX_ROWS: u32 = 200;

pub(super) fn own_grants(cx: &Inner, me: &Me) -> Result<Vec<GrantLine>, Failure> {
    let now = cx.authority.host().now();
    let alias = &me.person.principal.alias;
    Ok(cx.authority.store().read(|view| {
        let found = view.grants_of_principal(alias, MAX_ROWS)?;
        let lines = found.iter().map(|grant| Ok(grant_line(view, grant, now)?.0));
        lines.collect::<Result<Vec<_>, StoreError>>()
    })?)
}

pub(super) async fn grants(visit: Visit) -> Response {
    visit
        .read(|cx, me| {
            let grants = own_grants(cx, me)?;
            let (open, closed) = grants.into_iter().partition(|g| g.standing.is_open());
            let frame = cx.frame(Some(me), Some(Section::Grants));
            Ok(page(StatusCode::OK, &GrantsPage { frame, open, closed }))
        })
        .await
}

pub(super) async fn grant(Path(id): Path<String>, visit: Visit) -> Response {
    visit
        .read(move |cx, me| {
            let id = GrantId::parse(&id).map_err(|_| Failure::NotFound)?;
            let now = cx.authority.host().now();
            let found = cx.authority.store().read(|view| {
                let Some(grant) = view.grant(&id)? else { return Ok(None) };
                if grant.principal != me.person.principal.alias && !me.may(Deed::SeeActivity) {
                    return Ok(None);
                }
                let (line, statement) = grant_line(view, &grant, now)?;
                let mut roots = Vec::new();
                for root in view.newest_delegations_of_grant(&id, MAX_ROOTS + 1)? {
                    roots.push(RootLine {
                        hash: root.root.to_string(),
                        issued: Moment::of(root.issued),
                        until: Moment::of(root.expires),
                        standing: standing::of_root(view, &root, &grant, now)?,
                    });
                }
                Ok::<_, StoreError>(Some((grant, line, statement, roots)))
            })?;
            let (grant, line, statement, mut roots) = found.ok_or(Failure::NotFound)?;
            let most = usize::try_from(MAX_ROOTS).unwrap_or(usize::MAX);
            let has_older = roots.len() > most;
            roots.truncate(most);
            let proof = cx.authority.grant_texts(&id)?.map(|(_, proof)| proof);
            let stops = stops_of(cx, me, &grant, &line)?;
            let template = GrantPage {
                frame: cx.frame(Some(me), Some(Section::Grants)),
                grant: line,
                task: Text::of(grant.task.as_str()),
                from: Moment::of(grant.starts),
                digest: grant.digest.to_string(),
                requested: statement
                    .as_ref()
                    .map(|s| s.requested.iter().map(Text::of).collect())
                    .unwrap_or_default(),
                tools: statement
                    .as_ref()
                    .and_then(|s| ToolCard::list(&s.tools, None))
                    .unwrap_or_default(),
                limits: statement.as_ref().map(|s| Limit::list(&s.budget)).unwrap_or_default(),
                roots,
                has_older,
                signed: match proof.as_deref() {
                    Some(proof) if proof.starts_with(r#"{"passkey""#) => "with a passkey",
                    Some(proof) if proof.starts_with(r#"{"id_token""#) => {
                        "by a login at the identity provider"
                    }
                    Some(_) => "with the principal's own key",
                    None => "the signature's text was erased",
                }
                .to_owned(),
                stops,
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

/// What of a grant this person may stop, with the addresses that ask.
fn stops_of(
    cx: &Inner,
    me: &Me,
    grant: &Grant,
    line: &GrantLine,
) -> Result<Vec<(&'static str, String)>, Failure> {
    if !line.standing.is_open() || line.standing == Standing::Stopped {
        return Ok(Vec::new());
    }
    let task = cx.authority.store().read(|view| view.task(&grant.task))?;
    let workflow = task.map(|task| StopTarget::Workflow(task.row.workflow));
    let task = Some(StopTarget::Task(grant.task.clone()));
    let mut offered = Vec::new();
    for (word, target) in [("Stop the task", task), ("Stop the workflow", workflow)] {
        let Some(target) = target else { continue };
        if cx.authority.may_stop(&me.person, &target)? {
            offered.push((word, format!("/stop?target={target}")));
        }
    }
    Ok(offered)
}

pub(super) async fn agents(visit: Visit) -> Response {
    let query = visit.query().to_owned();
    visit
        .read(move |cx, me| {
            let own_only = !me.may(Deed::SeeAgents);
            let (agents, next) = cx.authority.store().read(|view| {
                let mut agents = view.agents()?;
                agents.retain(|a| !own_only || a.owner == me.person.principal.alias);
                let part = Part::of(agents, &query);
                let lines = part.rows.iter().map(|agent| agent_line(view, agent));
                Ok::<_, StoreError>((lines.collect::<Result<Vec<_>, _>>()?, part.next))
            })?;
            let frame = cx.frame(Some(me), Some(Section::Agents));
            Ok(page(StatusCode::OK, &AgentsPage { frame, agents, own_only, next }))
        })
        .await
}

pub(super) async fn agent(Path(id): Path<String>, visit: Visit) -> Response {
    visit
        .read(move |cx, me| {
            let id = AgentId::parse(&id).map_err(|_| Failure::NotFound)?;
            let found = cx.authority.store().read(|view| {
                let Some(agent) = view.agent(&id)? else { return Ok(None) };
                if agent.owner != me.person.principal.alias && !me.may(Deed::SeeAgents) {
                    return Ok(None);
                }
                let (line, instances) = (agent_line(view, &agent)?, view.instances(Some(&id))?);
                Ok::<_, StoreError>(Some((agent, line, instances)))
            })?;
            let (agent, line, instances) = found.ok_or(Failure::NotFound)?;
            let template = AgentPage {
                frame: cx.frame(Some(me), Some(Section::Agents)),
                agent: line,
                spiffe_id: Text::of(cx.authority.installation().spiffe_id(&id)),
                artifact: agent.artifact.map(|digest| digest.to_string()),
                instances: instances
                    .iter()
                    .map(|instance| InstanceLine {
                        id: instance.id.to_string(),
                        holder: instance.holder.to_string(),
                        status: instance.status,
                    })
                    .collect(),
                can_stop: cx.authority.may_stop(&me.person, &StopTarget::Agent(id.clone()))?,
                can_pause: me.may(Deed::PauseAgents),
                can_retire: me.may(Deed::RetireAgents),
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

pub(super) async fn clients(visit: Visit) -> Response {
    let query = visit.query().to_owned();
    visit
        .read(move |cx, me| {
            me.require(Deed::SeeClients)?;
            let mut found = cx.authority.store().read(|view| view.clients())?;
            found.sort_by_key(|client| client.agent.is_some());
            let Part { rows, next } = Part::of(found, &query);
            let clients = rows.iter().map(|client| client_line(client)).collect();
            let frame = cx.frame(Some(me), Some(Section::Clients));
            let endpoint = format!("{}/NAME", cx.authority.installation().audience());
            Ok(page(StatusCode::OK, &ClientsPage { frame, clients, next, endpoint }))
        })
        .await
}
