//! Agents: registered software identities. An agent that nobody owns gets
//! nothing.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{AgentId, InstanceId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_store::{Agent, Principal, Row, Status};

use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;
use crate::rules::life::{Administrator, Owned};
use crate::rules::principals::{active, changes};
use crate::rules::{clients, instances};

/// Where an agent comes from, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// Who publishes it.
    pub publisher: Option<String>,
    /// Its version, as its publisher states it.
    pub version: Option<String>,
    /// The digest of what is run.
    pub artifact: Option<Digest>,
}

/// What is known about the name and the owner.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// The agent of this name.
    pub same_name: Option<&'a Agent>,
    /// The owner's name, for the refusal.
    pub owner_name: &'a str,
    /// The owner.
    pub owner: Option<&'a Principal>,
    /// The kind of what was revoked of agent and owner.
    pub revoked: Option<&'static str>,
}

/// Registers an agent under an active owner.
///
/// # Errors
/// [`Refusal::Exists`], [`Refusal::Unknown`] or [`Refusal::PrincipalInactive`]
/// for the owner, [`Refusal::Revoked`].
pub fn add(
    moment: &Moment<'_>,
    installation: &Installation,
    id: &AgentId,
    provenance: Provenance,
    known: Known<'_>,
) -> Result<Plan<Agent>, Refusal> {
    // SECURITY: who is named by another trust domain is none of ours.
    if id.trust_domain().is_some() {
        return Err(Refusal::AgentElsewhere { agent: id.clone() });
    }
    if known.same_name.is_some() {
        return Err(Refusal::Exists { what: "agent", name: id.to_string() });
    }
    let owner = active(known.owner_name, known.owner)?;
    if let Some(kind) = known.revoked {
        return Err(Refusal::Revoked { kind });
    }
    let Provenance { publisher, version, artifact } = provenance;
    let row = Agent {
        id: id.clone(),
        owner: owner.alias.clone(),
        status: Status::Active,
        publisher,
        version,
        artifact,
    };
    let mut step = Step::new(moment, &installation.org, Kind::AgentAdded)?
        .about(|s| {
            s.principal = Some(owner.alias.to_string());
            s.agent = Some(id.to_string());
        })
        .with("agent", id)
        .with("owner", &owner.alias)
        .with("spiffe_id", installation.spiffe_id(id));
    if let Some(artifact) = artifact {
        step = step.with("artifact", artifact);
    }
    Ok(Plan::one(step.row(Row::Agent(row.clone())), row))
}

/// Suspends, resumes or retires an agent.
///
/// # Errors
/// [`Refusal::Unknown`], [`Refusal::AlreadyRetired`].
pub fn change(
    moment: &Moment<'_>,
    installation: &Installation,
    id: &AgentId,
    current: Option<&Agent>,
    status: Status,
) -> Result<Plan<()>, Refusal> {
    let current = current.ok_or_else(|| Refusal::unknown("agent", id))?;
    if !changes(id.as_str(), current.status, status)? {
        return Ok(Plan::nothing(()));
    }
    let step = Step::new(moment, &installation.org, Kind::AgentChanged)?
        .about(|s| s.agent = Some(id.to_string()))
        .with("status", status.as_str())
        .row(Row::AgentStatus { agent: id.clone(), status });
    Ok(Plan::one(step, ()))
}

/// An agent that somebody else answers for now, and what ran as it before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// The agent.
    pub agent: AgentId,
    /// Instances that are retired with it.
    pub instances: Vec<InstanceId>,
    /// Clients that are mapped to no agent any more.
    pub clients: Vec<String>,
}

impl Moved {
    /// What ended with the move, as programs read it.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let instances: Vec<Json> = self.instances.iter().map(Json::from).collect();
        let clients: Vec<Json> = self.clients.iter().map(|c| Json::from(c.as_str())).collect();
        Object::new()
            .with("agent", &self.agent)
            .with("instances_retired", instances)
            .with("clients_unmapped", clients)
    }
}

/// Moves an agent to another owner. What runs as it was enrolled, or mapped,
/// under the former one: its enrolment statement names that owner. So its
/// instances are retired and its clients unmapped, and the new owner decides
/// what runs as the agent from now on. Grants that name the agent stand.
///
/// Nothing is written when it is that owner's already.
///
/// # Errors
/// [`Refusal::AlreadyRetired`], [`Refusal::Revoked`] for the agent.
pub fn transfer(
    moment: &Moment<'_>,
    installation: &Installation,
    owned: &Owned,
    to: &Principal,
    by: &Administrator,
) -> Result<Plan<Option<Moved>>, Refusal> {
    let Owned { agent, revoked, instances, clients } = owned;
    if agent.owner == to.alias {
        return Ok(Plan::nothing(None));
    }
    if agent.status == Status::Retired {
        return Err(Refusal::AlreadyRetired { name: agent.id.to_string() });
    }
    if let Some(kind) = revoked {
        return Err(Refusal::Revoked { kind });
    }
    let step = Step::new(moment, &installation.org, Kind::AgentChanged)?
        .about(|s| {
            s.principal = Some(to.alias.to_string());
            s.agent = Some(agent.id.to_string());
            s.reason = Some("transferred".to_owned());
        })
        .with("owner", &to.alias)
        .with("former_owner", &agent.owner)
        .row(Row::AgentOwner { agent: agent.id.clone(), owner: to.alias.clone() });
    let mut steps = vec![by.note(step)];
    let mut moved = Moved { agent: agent.id.clone(), instances: Vec::new(), clients: Vec::new() };
    for instance in instances.iter().filter(|i| i.status != Status::Retired) {
        let retired = instances::retire(moment, installation, &instance.id, Some(instance))?;
        steps.extend(retired.steps.into_iter().map(|step| by.note(step)));
        moved.instances.push(instance.id.clone());
    }
    for client in clients.iter().filter(|c| c.agent.as_ref() == Some(&agent.id)) {
        steps.push(by.note(clients::unmap(moment, installation, client)?));
        moved.clients.push(client.id.clone());
    }
    Ok(Plan { steps, outcome: Some(moved) })
}

/// The agent, if it and its owner are active.
pub(crate) fn acting<'a>(
    id: &AgentId,
    agent: Option<&'a Agent>,
    owner: Option<&Principal>,
) -> Result<&'a Agent, Refusal> {
    let agent = agent.ok_or_else(|| Refusal::unknown("agent", id))?;
    let owned = owner.is_some_and(|o| o.alias == agent.owner && o.status == Status::Active);
    if agent.status != Status::Active || !owned {
        return Err(Refusal::AgentInactive { agent: id.clone() });
    }
    Ok(agent)
}
