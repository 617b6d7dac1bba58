//! The pages that only show.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_core::ids::{AgentId, GrantId};
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::stop::StopTarget;
use bailiwick_store::{Filter, Grant, StoreError, StoredEntry};
use serde::Deserialize;

use super::views::{agent_line, client_line, entry_line, grant_line};
use super::{Failure, Inner, Me, Visit, page};
use crate::console::{
    ActivityFilter, ActivityPage, AgentPage, AgentsPage, ClientsPage, EntryPage, GrantLine,
    GrantPage, GrantsPage, HomePage, InstanceLine, Limit, Moment, Pairs, RootLine, Section,
    Standing, Text, ToolCard,
};
use crate::http::standing;
use crate::people::roles::Deed;

/// Grants and agents on one page at most.
const MAX_ROWS: u32 = 200;
/// Entries on one page.
const PAGE: u32 = 50;
/// Entries on the overview.
const LATEST: u32 = 8;

fn own_grants(cx: &Inner, me: &Me) -> Result<Vec<GrantLine>, Failure> {
    let now = cx.authority.host().now();
    let alias = &me.person.principal.alias;
    Ok(cx.authority.store().read(|view| {
        let found = view.grants_of_principal(alias, MAX_ROWS)?;
        let lines = found.iter().map(|grant| Ok(grant_line(view, grant, now)?.0));
        lines.collect::<Result<Vec<_>, StoreError>>()
    })?)
}

pub(super) async fn home(visit: Visit) -> Response {
    visit
        .read(|cx, me| {
            let filter = Filter {
                principal: Some(me.person.principal.alias.to_string()),
                limit: LATEST,
                ..Filter::default()
            };
            let (entries, servers) = cx
                .authority
                .store()
                .read(|view| Ok::<_, StoreError>((view.query(&filter)?, view.tool_servers()?)))?;
            let mut grants = own_grants(cx, me)?;
            grants.retain(|grant| grant.standing.is_open());
            let server = servers.first().map_or("NAME", |server| server.name.as_str());
            let template = HomePage {
                frame: cx.frame(Some(me), Some(Section::Home)),
                grants,
                entries: entries.iter().map(entry_line).collect(),
                endpoint: format!("{}/{server}", cx.authority.installation().audience()),
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
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
                for root in view.delegations_of_grant(&id)? {
                    roots.push(RootLine {
                        hash: root.root.to_string(),
                        issued: Moment::of(root.issued),
                        until: Moment::of(root.expires),
                        standing: standing::of_root(view, &root, &grant, now)?,
                    });
                }
                Ok::<_, StoreError>(Some((grant, line, statement, roots)))
            })?;
            let (grant, line, statement, roots) = found.ok_or(Failure::NotFound)?;
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
    visit
        .read(|cx, me| {
            let own_only = !me.may(Deed::SeeAgents);
            let agents = cx.authority.store().read(|view| {
                let mut agents = view.agents()?;
                agents.retain(|a| !own_only || a.owner == me.person.principal.alias);
                let rows = agents.iter().take(usize::try_from(MAX_ROWS).unwrap_or(usize::MAX));
                rows.map(|agent| agent_line(view, agent)).collect::<Result<Vec<_>, StoreError>>()
            })?;
            let frame = cx.frame(Some(me), Some(Section::Agents));
            Ok(page(StatusCode::OK, &AgentsPage { frame, agents, own_only }))
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
    visit
        .read(|cx, me| {
            me.require(Deed::SeeClients)?;
            let found = cx.authority.store().read(|view| view.clients())?;
            let mut clients: Vec<_> = found.iter().map(|client| client_line(client)).collect();
            clients.sort_by_key(|client| client.agent.is_some());
            let frame = cx.frame(Some(me), Some(Section::Clients));
            Ok(page(StatusCode::OK, &ClientsPage { frame, clients }))
        })
        .await
}

#[derive(Clone, Default, Deserialize)]
pub(super) struct ActivityQuery {
    #[serde(default)]
    agent: String,
    #[serde(default)]
    tool: String,
    #[serde(default)]
    task: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    decision: String,
    before: Option<u64>,
}

impl ActivityQuery {
    fn members(&self) -> [(&'static str, &str); 5] {
        [
            ("agent", self.agent.trim()),
            ("tool", self.tool.trim()),
            ("task", self.task.trim()),
            ("kind", self.kind.trim()),
            ("decision", self.decision.trim()),
        ]
    }

    /// The address of the entries before `index`.
    fn older(&self, index: u64) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.members().iter().filter(|(_, value)| !value.is_empty()) {
            query.append_pair(name, value);
        }
        query.append_pair("before", &index.to_string());
        format!("/activity?{}", query.finish())
    }
}

pub(super) async fn activity(
    query: Result<Query<ActivityQuery>, QueryRejection>,
    visit: Visit,
) -> Response {
    let query = query.map(|Query(query)| query).unwrap_or_default();
    visit
        .read(move |cx, me| {
            let own_only = !me.may(Deed::SeeActivity);
            let text = |text: &str| Some(text.trim().to_owned()).filter(|t| !t.is_empty());
            let filter = Filter {
                // SECURITY: without the role only what concerns the person.
                principal: own_only.then(|| me.person.principal.alias.to_string()),
                agent: text(&query.agent),
                task: text(&query.task),
                tool: text(&query.tool),
                decision: text(&query.decision),
                kind: Kind::parse(query.kind.trim()),
                before: query.before,
                limit: PAGE + 1,
                ..Filter::default()
            };
            let mut entries = cx.authority.store().read(|view| view.query(&filter))?;
            let most = usize::try_from(PAGE).unwrap_or(usize::MAX);
            let more = entries.len() > most;
            entries.truncate(most);
            let older = entries.last().filter(|_| more).map(|e| query.older(e.index));
            let template = ActivityPage {
                frame: cx.frame(Some(me), Some(Section::Activity)),
                entries: entries.iter().map(entry_line).collect(),
                filter: ActivityFilter {
                    agent: Text::of(query.agent.trim()),
                    tool: Text::of(query.tool.trim()),
                    task: Text::of(query.task.trim()),
                    kind: Text::of(query.kind.trim()),
                    decision: Text::of(query.decision.trim()),
                },
                kinds: Kind::ALL.iter().map(|kind| kind.as_str()).collect(),
                older,
                own_only,
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

pub(super) async fn entry(Path(index): Path<String>, visit: Visit) -> Response {
    visit
        .read(move |cx, me| {
            let index: u64 = index.parse().map_err(|_| Failure::NotFound)?;
            let found = cx.authority.store().read(|view| view.entry(index))?;
            let found = found.filter(|entry| {
                let own =
                    entry.subjects.principal.as_deref() == Some(me.person.principal.alias.as_str());
                own || me.may(Deed::SeeActivity)
            });
            let entry = found.ok_or(Failure::NotFound)?;
            let template = EntryPage {
                frame: cx.frame(Some(me), Some(Section::Activity)),
                entry: entry_line(&entry),
                subjects: subjects(&entry),
                leaf_hash: entry.leaf_hash.to_string(),
                leaf: Text::of(leaf(&entry)),
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

fn subjects(entry: &StoredEntry) -> Pairs {
    let said = entry.subjects.members();
    said.into_iter().filter_map(|(name, value)| Some((name, Text::of(value.as_ref()?)))).collect()
}

fn leaf(entry: &StoredEntry) -> String {
    let json = Json::parse(&entry.leaf, &JsonLimits::DEFAULT);
    json.map(|json| json.canonical()).unwrap_or_default()
}
