//! OAuth clients: what a caller that knows nothing of delegation chains is
//! registered as. One that is mapped to no agent gets nothing.

use bailiwick_core::guarantee::Guarantee;
use bailiwick_core::ids::{AgentId, InstanceId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_store::{Agent, Client, ClientSource, Principal, Row, Status};

use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;
use crate::rules::agents::acting;
use crate::rules::principals::changes;

/// A client whose metadata was validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewClient {
    /// Its `client_id`.
    pub id: String,
    /// How it became known.
    pub source: ClientSource,
    /// Its name, as it states it.
    pub name: String,
    /// Its metadata in canonical form (RFC 7591 §2).
    pub metadata: String,
}

/// Registers a client. Only a document's client may come again: what its
/// document says now replaces what it said before, and its mapping stays.
///
/// # Errors
/// [`Refusal::Exists`], [`Refusal::AlreadyRetired`].
pub fn register(
    moment: &Moment<'_>,
    installation: &Installation,
    new: NewClient,
    known: Option<&Client>,
) -> Result<Plan<Client>, Refusal> {
    let NewClient { id, source, name, metadata } = new;
    let Some(known) = known else {
        let row = Client {
            id,
            source,
            name,
            metadata,
            agent: None,
            instance: None,
            status: Status::Active,
            registered: moment.now(),
        };
        let step = entry(moment, installation, Kind::ClientRegistered, &row)?;
        return Ok(Plan::one(step, row));
    };
    if source != ClientSource::Document || known.source != source {
        return Err(Refusal::Exists { what: "client", name: id });
    }
    if known.status == Status::Retired {
        return Err(Refusal::AlreadyRetired { name: id });
    }
    if known.metadata == metadata && known.name == name {
        return Ok(Plan::nothing(known.clone()));
    }
    let row = Client { name, metadata, ..known.clone() };
    let step = entry(moment, installation, Kind::ClientChanged, &row)?;
    Ok(Plan::one(step, row))
}

/// The agent that a client is to be mapped to, as the state knows it.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Its name.
    pub id: &'a AgentId,
    /// The agent.
    pub agent: Option<&'a Agent>,
    /// Its owner.
    pub owner: Option<&'a Principal>,
    /// The kind of what was revoked of agent and owner.
    pub revoked: Option<&'static str>,
}

/// Maps a client to a registered agent: from now on it acts as an instance of
/// it. Every mapping has an instance of its own, so that what was revoked with
/// an earlier one stays revoked.
///
/// # Errors
/// [`Refusal::Unknown`], [`Refusal::AgentInactive`], [`Refusal::Revoked`],
/// [`Refusal::AlreadyRetired`].
pub fn map(
    moment: &Moment<'_>,
    installation: &Installation,
    name: &str,
    client: Option<&Client>,
    target: Target<'_>,
) -> Result<Plan<Client>, Refusal> {
    let client = client.ok_or_else(|| Refusal::unknown("client", name))?;
    if client.status == Status::Retired {
        return Err(Refusal::AlreadyRetired { name: name.to_owned() });
    }
    let agent = acting(target.id, target.agent, target.owner)?;
    if let Some(kind) = target.revoked {
        return Err(Refusal::Revoked { kind });
    }
    if client.agent.as_ref() == Some(&agent.id) {
        return Ok(Plan::nothing(client.clone()));
    }
    let row = Client {
        agent: Some(agent.id.clone()),
        instance: Some(InstanceId::mint(moment.now(), moment.random()?)),
        ..client.clone()
    };
    let step = entry(moment, installation, Kind::ClientChanged, &row)?;
    let owner = agent.owner.to_string();
    Ok(Plan::one(step.about(|s| s.principal = Some(owner.clone())).with("owner", owner), row))
}

/// Takes a client's agent away: it gets nothing until it is mapped again, under
/// another instance.
pub(crate) fn unmap(
    moment: &Moment<'_>,
    installation: &Installation,
    client: &Client,
) -> Result<Step, Refusal> {
    let row = Client { agent: None, instance: None, ..client.clone() };
    let step = entry(moment, installation, Kind::ClientChanged, &row)?;
    let former = client.agent.as_ref().map(ToString::to_string);
    // Not the instance: entries about one say what it is, not what it was.
    Ok(step.about(|s| s.agent = former))
}

/// Suspends, resumes or retires a client.
///
/// # Errors
/// [`Refusal::Unknown`], [`Refusal::AlreadyRetired`].
pub fn change(
    moment: &Moment<'_>,
    installation: &Installation,
    name: &str,
    client: Option<&Client>,
    status: Status,
) -> Result<Plan<Client>, Refusal> {
    let client = client.ok_or_else(|| Refusal::unknown("client", name))?;
    if !changes(name, client.status, status)? {
        return Ok(Plan::nothing(client.clone()));
    }
    let row = Client { status, ..client.clone() };
    let step = entry(moment, installation, Kind::ClientChanged, &row)?;
    Ok(Plan::one(step, row))
}

/// The entry that makes `row`. The id is committed: it may be a URL that says
/// more than an id should.
fn entry(
    moment: &Moment<'_>,
    installation: &Installation,
    kind: Kind,
    row: &Client,
) -> Result<Step, Refusal> {
    let client = Object::new().with("id", row.id.as_str()).with("name", row.name.as_str());
    let mut step = Step::new(moment, &installation.org, kind)?
        .about(|s| {
            s.agent = row.agent.as_ref().map(ToString::to_string);
            s.instance = row.instance.as_ref().map(ToString::to_string);
        })
        .with("source", row.source.as_str())
        .with("status", row.status.as_str());
    if let (Some(agent), Some(instance)) = (&row.agent, &row.instance) {
        step = step
            .with("agent", agent)
            .with("instance", instance)
            .with("guarantee", Guarantee::Key.as_str());
    }
    Ok(step.commit(moment, "client", Json::from(client))?.row(Row::Client(row.clone())))
}
