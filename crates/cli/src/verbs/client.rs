//! `client`: OAuth clients, and which agent each of them is.

use std::path::Path;

use bailiwick_authority::Refusal;
use bailiwick_authority::oauth::client::{ClientId, ClientMetadata, Source};
use bailiwick_authority::rules::clients::NewClient;
use bailiwick_core::ids::AgentId;
use bailiwick_core::json::{Json, Object};
use bailiwick_store::{Client, ClientSource, Status};

use crate::args::ClientVerb;
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::host;
use crate::keyfile;
use crate::output::Output;
use crate::table::table;

pub(super) fn run(verb: ClientVerb, dir: &Path, out: Output) -> Result<(), CliError> {
    let data = DataDir::open(dir)?;
    let (id, status) = match verb {
        ClientVerb::Add { metadata, agent } => return add(&data, &metadata, agent, out),
        ClientVerb::Map { id, agent } => {
            let client = data.authority.client_map(&id, &AgentId::parse(&agent)?)?;
            show(&client, &format!("{id} is {agent} from now on"), out);
            return Ok(());
        }
        ClientVerb::List => return list(&data, out),
        ClientVerb::Suspend { id } => (id, Status::Suspended),
        ClientVerb::Resume { id } => (id, Status::Active),
        ClientVerb::Retire { id } => (id, Status::Retired),
    };
    let client = data.authority.client_status(&id, status)?;
    show(&client, &format!("{id} is {}", status.as_str()), out);
    Ok(())
}

fn add(
    data: &DataDir,
    metadata: &Path,
    agent: Option<String>,
    out: Output,
) -> Result<(), CliError> {
    let agent = agent.map(|a| AgentId::parse(&a)).transpose()?;
    // Before anything is registered: a client that is nobody helps nobody.
    if let Some(agent) = &agent
        && data.store().read(|view| view.agent(agent))?.is_none()
    {
        return Err(
            Refusal::Unknown { what: "agent", name: agent.to_string(), near: Vec::new() }.into()
        );
    }
    let json = keyfile::read_json(metadata)?;
    let object = json.as_object().ok_or_else(|| {
        CliError::usage(
            "client-metadata-invalid",
            "the metadata is no JSON object",
            "write members as in RFC 7591, for example `redirect_uris`",
        )
    })?;
    let read = ClientMetadata::parse(object, Source::Operator).map_err(|e| {
        CliError::usage("client-metadata-invalid", e.to_string(), "correct the metadata")
    })?;
    let id = ClientId::mint(host::random()?).to_string();
    let new = NewClient {
        name: read.name.clone().unwrap_or_else(|| id.clone()),
        id: id.clone(),
        source: ClientSource::Configured,
        metadata: Json::from(read.to_json()).canonical(),
    };
    let mut client = data.authority.client_register(new)?;
    if let Some(agent) = &agent {
        client = data.authority.client_map(&id, agent)?;
    }
    show(&client, &format!("registered client {id}"), out);
    if agent.is_none() {
        out.next(&[&format!("bailiwick client map {id} --agent agent:NAME")]);
    }
    Ok(())
}

fn json(client: &Client) -> Object {
    Object::new()
        .with("client_id", client.id.as_str())
        .with("name", client.name.as_str())
        .with("source", client.source.as_str())
        .with("agent", client.agent.as_ref().map(|a| a.as_str()))
        .with("instance", client.instance.as_ref().map(|i| i.as_str()))
        .with("status", client.status.as_str())
}

fn show(client: &Client, head: &str, out: Output) {
    let agent = client.agent.as_ref().map_or("none: it gets nothing", |a| a.as_str());
    let text = format!("{head}\n  name    {}\n  agent   {agent}", client.name.escape_debug());
    out.result(json(client), text);
}

fn list(data: &DataDir, out: Output) -> Result<(), CliError> {
    let clients = data.authority.clients()?;
    let rows: Vec<Vec<String>> = clients
        .iter()
        .map(|c| {
            vec![
                c.id.clone(),
                c.name.escape_debug().to_string(),
                c.agent.as_ref().map_or("–".to_owned(), ToString::to_string),
                c.status.as_str().to_owned(),
                c.source.as_str().to_owned(),
            ]
        })
        .collect();
    let text = match rows.as_slice() {
        [] => "no client is registered".to_owned(),
        rows => table(&["client", "name", "agent", "status", "source"], rows),
    };
    let list: Vec<Json> = clients.iter().map(|c| json(c).into()).collect();
    out.result(Object::new().with("clients", list), text);
    Ok(())
}
