//! Agents.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{AgentId, PrincipalId};
use bailiwick_core::json::{Json, Object};
use bailiwick_store::{Agent, Status, StoreError, Stored};

use super::views::{agent_json, status_of};
use super::{Answer, Call, malformed, may, me};
use crate::Login;
use crate::http::problem::Problem;
use crate::people::roles::{Deed, require};
use crate::refusal::Refusal;
use crate::rules::agents::Provenance;
use crate::rules::life::Administrator;

/// Agents in one answer at most.
const MOST: usize = 1000;

fn failed(error: StoreError) -> Problem {
    Problem::from(&Refusal::from(error))
}

pub(super) fn list(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let login = me(login)?;
    let all = may(login, Deed::SeeAgents);
    let spiffe = |id: &AgentId| call.authority.installation().spiffe_id(id);
    let agents = call.authority.store().read(|view| {
        let found = view.agents()?;
        let own = |a: &&Stored<Agent>| all || a.owner == login.person.principal.alias;
        let shown = found.iter().filter(own).take(MOST);
        shown
            .map(|a| Ok(Json::from(agent_json(view, a, &spiffe(&a.id), false)?)))
            .collect::<Result<Vec<_>, StoreError>>()
    });
    Ok(Answer::ok(Object::new().with("agents", agents.map_err(failed)?)))
}

/// The agent of the path, if the person may see it.
fn visible(call: &Call<'_>, login: &Login) -> Result<Stored<Agent>, Problem> {
    let text = call.path("id");
    let unknown = || Problem::from(&Refusal::unknown("agent", text));
    let id = AgentId::parse(text).map_err(|_| unknown())?;
    let found = call.authority.store().read(|view| view.agent(&id)).map_err(failed)?;
    let own =
        |a: &Stored<Agent>| a.owner == login.person.principal.alias || may(login, Deed::SeeAgents);
    found.filter(own).ok_or_else(unknown)
}

fn answer(call: &Call<'_>, agent: &Stored<Agent>) -> Result<Object, Problem> {
    let spiffe = call.authority.installation().spiffe_id(&agent.id);
    call.authority.store().read(|view| agent_json(view, agent, &spiffe, true)).map_err(failed)
}

pub(super) fn show(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    Ok(Answer::ok(answer(call, &visible(call, me(login)?)?)?))
}

pub(super) fn add(call: &Call<'_>, _: Option<&Login>) -> Result<Answer, Problem> {
    let id = Call::read(call.required("agent")?, AgentId::parse)?;
    let owner = Call::read(call.required("owner")?, PrincipalId::parse)?;
    let artifact =
        match call.optional("artifact")? {
            None => None,
            Some(text) => Some(Digest::from_text(text).ok_or_else(|| {
                malformed("`artifact` is no SHA-256 in base64url without padding")
            })?),
        };
    let provenance = Provenance {
        publisher: call.optional("publisher")?.map(str::to_owned),
        version: call.optional("version")?.map(str::to_owned),
        artifact,
    };
    call.authority.agent_add(&id, &owner, provenance).map_err(|e| Problem::from(&e))?;
    let added = call.authority.store().read(|view| view.agent(&id)).map_err(failed)?;
    let added = added.ok_or_else(|| Problem::from(&Refusal::unknown("agent", &id)))?;
    Ok(Answer::created(answer(call, &added)?))
}

pub(super) fn status(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let login = me(login)?;
    let status = status_of(call)?;
    let deed = if status == Status::Retired { Deed::RetireAgents } else { Deed::PauseAgents };
    let agent = visible(call, login)?;
    require(&login.person.roles, deed).map_err(|e| Problem::from(&Refusal::from(e)))?;
    call.authority.agent_status(&agent.id, status).map_err(|e| Problem::from(&e))?;
    show(call, Some(login))
}

pub(super) fn transfer(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let login = me(login)?;
    let agent = visible(call, login)?;
    let to = Call::read(call.required("owner")?, PrincipalId::parse)?;
    let by = Administrator::SignedIn(login.person.principal.alias.clone());
    let moved = call.authority.agent_transfer(&agent.id, &to, &by);
    let moved = moved.map_err(|e| Problem::from(&e))?;
    let body = Object::new().with("agent", &agent.id).with("owner", &to);
    let body = body.with("changed", moved.is_some());
    Ok(Answer::ok(body.with("moved", moved.map(|moved| moved.to_json()))))
}

/// An owner invites instances of what is theirs.
pub(super) fn invite(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let login = me(login)?;
    let agent = visible(call, login)?;
    if agent.owner != login.person.principal.alias {
        let allowed = require(&login.person.roles, Deed::AddAgents);
        allowed.map_err(|e| Problem::from(&Refusal::from(e)))?;
    }
    let token = call.authority.instance_invite(&agent.id).map_err(|e| Problem::from(&e))?;
    let body = Object::new().with("agent", &agent.id).with("enrolment_token", token.reveal());
    Ok(Answer::created(body))
}
