//! OAuth clients.

use bailiwick_core::ids::AgentId;
use bailiwick_core::json::{Json, Object};
use bailiwick_store::ClientSource;

use super::views::{client_json, status_of};
use super::{Answer, Call, malformed};
use crate::Login;
use crate::host::Moment;
use crate::http::problem::Problem;
use crate::oauth::client::{ClientId, ClientMetadata, Source};
use crate::refusal::Refusal;
use crate::rules::clients::NewClient;

fn refused(refusal: Refusal) -> Problem {
    Problem::from(&refusal)
}

pub(super) fn list(call: &Call<'_>, _: Option<&Login>) -> Result<Answer, Problem> {
    let clients = call.authority.clients().map_err(refused)?;
    let clients: Vec<Json> = clients.iter().map(|c| client_json(c).into()).collect();
    Ok(Answer::ok(Object::new().with("clients", clients)))
}

pub(super) fn add(call: &Call<'_>, _: Option<&Login>) -> Result<Answer, Problem> {
    let agent = call.optional("agent")?.map(|a| Call::read(a, AgentId::parse)).transpose()?;
    // Before anything is registered: a client that is nobody helps nobody.
    if let Some(agent) = &agent {
        let found = call.authority.store().read(|view| view.agent(agent));
        let found = found.map_err(|e| refused(e.into()))?;
        found.ok_or_else(|| refused(Refusal::unknown("agent", agent)))?;
    }
    let metadata = call.body.member("metadata").and_then(Json::as_object);
    let metadata = metadata.ok_or_else(|| malformed("`metadata` is missing or no object"))?;
    let read = ClientMetadata::parse(metadata, Source::Operator).map_err(|e| {
        let remedy = "write members as in RFC 7591";
        Problem::new(422, "client-metadata-invalid", e.to_string(), remedy)
    })?;
    let random = Moment::of(call.authority.host()).random::<16>().map_err(refused)?;
    let id = ClientId::mint(random).to_string();
    let new = NewClient {
        name: read.name.clone().unwrap_or_else(|| id.clone()),
        id: id.clone(),
        source: ClientSource::Configured,
        metadata: Json::from(read.to_json()).canonical(),
    };
    let mut client = call.authority.client_register(new).map_err(refused)?;
    if let Some(agent) = &agent {
        client = call.authority.client_map(&id, agent).map_err(refused)?;
    }
    Ok(Answer::created(client_json(&client)))
}

pub(super) fn map(call: &Call<'_>, _: Option<&Login>) -> Result<Answer, Problem> {
    let agent = Call::read(call.required("agent")?, AgentId::parse)?;
    let client = call.authority.client_map(call.path("id"), &agent).map_err(refused)?;
    Ok(Answer::ok(client_json(&client)))
}

pub(super) fn status(call: &Call<'_>, _: Option<&Login>) -> Result<Answer, Problem> {
    let status = status_of(call)?;
    let client = call.authority.client_status(call.path("id"), status).map_err(refused)?;
    Ok(Answer::ok(client_json(&client)))
}
