//! `agent`: registered software identities and their owners.

use std::path::Path;

use bailiwick_authority::rules::agents::Provenance;
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{AgentId, PrincipalId};
use bailiwick_core::json::{Json, Object};
use bailiwick_store::Status;

use crate::args::AgentVerb;
use crate::datadir::{DataDir, or_none};
use crate::error::CliError;
use crate::output::Output;

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
        AgentVerb::Suspend { id } => (id, Status::Suspended),
        AgentVerb::Resume { id } => (id, Status::Active),
        AgentVerb::Retire { id } => (id, Status::Retired),
    };
    let id = AgentId::parse(&id)?;
    data.authority.agent_status(&id, status)?;
    out.result(
        Object::new().with("agent", &id).with("status", status.as_str()),
        format!("{id} is {}", status.as_str()),
    );
    Ok(())
}

fn list(data: &DataDir, out: Output) -> Result<(), CliError> {
    let rows = data.authority.agents()?;
    let list: Vec<Json> = rows
        .iter()
        .map(|a| {
            Object::new()
                .with("agent", &a.id)
                .with("owner_alias", &a.owner)
                .with("status", a.status.as_str())
                .with("publisher", a.publisher.clone())
                .with("version", a.version.clone())
                .into()
        })
        .collect();
    let text: Vec<String> =
        rows.iter().map(|a| format!("{:<32} {}", a.id, a.status.as_str())).collect();
    out.result(Object::new().with("agents", list), or_none(&text, "no agent is registered"));
    Ok(())
}
