//! `agent`: registered software identities and their owners.

use std::path::Path;

use bailiwick_authority::rules::agents::{Moved, Provenance};
use bailiwick_authority::rules::life::Administrator;
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{AgentId, PrincipalId};
use bailiwick_core::json::{Json, Object};
use bailiwick_store::{Status, Subject};

use crate::args::AgentVerb;
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::output::{Output, one_line};
use crate::table::{NONE, table_or};

pub(super) fn run(verb: AgentVerb, dir: &Path, out: Output) -> Result<(), CliError> {
    let data = DataDir::open(dir)?;
    let (id, status) = match verb {
        AgentVerb::Add { id, owner, publisher, version_label, artifact } => {
            let id = AgentId::parse(&id)?;
            let owner = PrincipalId::parse(&owner)?;
            let artifact = match artifact {
                None => None,
                Some(text) => Some(Digest::from_text(&text).ok_or_else(|| {
                    CliError::usage(
                        "digest-malformed",
                        "the artifact digest is no SHA-256 in base64url",
                        "pass 43 characters of base64url without padding",
                    )
                })?),
            };
            let provenance = Provenance { publisher, version: version_label, artifact };
            let agent = data.authority.agent_add(&id, &owner, provenance)?;
            out.result(
                Object::new()
                    .with("agent", &id)
                    .with("owner", &owner)
                    .with("status", agent.status.as_str())
                    .with("spiffe_id", data.authority.installation().spiffe_id(&id)),
                format!(
                    "registered {id}, owned by {owner}\n  {}",
                    data.authority.installation().spiffe_id(&id)
                ),
            );
            out.next(&[&format!(
                "bailiwick instance new --agent {id} --owner {owner} --key instance.key --out enrolment.json"
            )]);
            return Ok(());
        }
        AgentVerb::List => return list(&data, out),
        AgentVerb::Transfer { id, to } => {
            return transfer(&data, &AgentId::parse(&id)?, &PrincipalId::parse(&to)?, out);
        }
        AgentVerb::Suspend { id } => (id, Status::Suspended),
        AgentVerb::Resume { id } => (id, Status::Active),
        AgentVerb::Retire { id } => (id, Status::Retired),
    };
    let id = AgentId::parse(&id)?;
    let subject = [Subject::Agent { id: id.clone() }];
    if data.store().read(|v| v.is_revoked(&subject))?.is_some() {
        return Err(CliError::refused(
            "revoked",
            format!("{id} was revoked, which is for good"),
            "register another agent; to pause one, suspend it",
        ));
    }
    data.authority.agent_status(&id, status)?;
    out.result(
        Object::new().with("agent", &id).with("status", status.as_str()),
        format!("{id} is {}", status.as_str()),
    );
    Ok(())
}

fn transfer(data: &DataDir, id: &AgentId, to: &PrincipalId, out: Output) -> Result<(), CliError> {
    let moved = data.authority.agent_transfer(id, to, &Administrator::OnHost)?;
    let object = Object::new().with("agent", id).with("owner", to);
    let Some(moved) = moved else {
        out.result(object.with("changed", false), format!("{id} is owned by {to} already"));
        return Ok(());
    };
    let text = format!("{id} is owned by {to} now{}", moved_lines(std::slice::from_ref(&moved)));
    out.result(object.with("changed", true).with("moved", moved.to_json()), text);
    let steps = steps_of_moved(&[moved], to);
    out.next(&steps.iter().map(String::as_str).collect::<Vec<_>>());
    Ok(())
}

/// What ended with moves, for people, each line begun by a line break.
pub(super) fn moved_lines(moved: &[Moved]) -> String {
    let mut text = String::new();
    for moved in moved {
        for instance in &moved.instances {
            text.push_str(&format!("\n  retired   instance {instance} of {}", moved.agent));
        }
        for client in &moved.clients {
            text.push_str(&format!("\n  unmapped  client {client} of {}", moved.agent));
        }
    }
    text
}

/// What has to be done before a moved agent acts again.
pub(super) fn steps_of_moved(moved: &[Moved], owner: &PrincipalId) -> Vec<String> {
    let mut steps = Vec::new();
    for moved in moved {
        let agent = &moved.agent;
        if !moved.instances.is_empty() {
            steps.push(format!(
                "bailiwick instance invite --agent {agent}   # join with --owner {owner}, and keys of its own"
            ));
        }
        for client in &moved.clients {
            steps.push(format!("bailiwick client map {client} --agent {agent}"));
        }
    }
    steps
}

fn list(data: &DataDir, out: Output) -> Result<(), CliError> {
    let rows = data.authority.agents()?;
    let subjects: Vec<_> =
        rows.iter().map(|a| (Subject::Agent { id: a.id.clone() }, a.status.as_str())).collect();
    let mut list = Vec::with_capacity(rows.len());
    let mut lines = Vec::with_capacity(rows.len());
    for (a, state) in rows.iter().zip(data.states(&subjects)?) {
        let owner = data.name(&a.owner)?;
        lines.push(vec![
            a.id.to_string(),
            owner.clone().unwrap_or_else(|| "(erased)".to_owned()),
            state.to_owned(),
            a.version.as_deref().map_or(NONE.to_owned(), one_line),
        ]);
        list.push(Json::from(
            Object::new()
                .with("agent", &a.id)
                .with("owner", owner)
                .with("owner_alias", &a.owner)
                .with("status", state)
                .with("publisher", a.publisher.clone())
                .with("version", a.version.clone()),
        ));
    }
    let heads = ["agent", "owner", "status", "version"];
    let text = table_or(&heads, &lines, "no agent is registered");
    out.result(Object::new().with("agents", list), text);
    Ok(())
}
