//! From records to what the API says.

use bailiwick_core::grant::Statement;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{
    Agent, Client, Delegation, Grant, Status, StoreError, Stored, StoredEntry, Subject, View,
};

use super::{Call, malformed};
use crate::http::problem::Problem;
use crate::http::standing;

pub(super) fn grant_json(
    view: &View<'_>,
    grant: &Stored<Grant>,
    now: Timestamp,
) -> Result<Object, StoreError> {
    let purpose = view.grant_texts(&grant.id)?.and_then(|(text, _)| {
        let json = Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).ok()?;
        Some(Statement::from_json(&json).ok()?.purpose)
    });
    Ok(Object::new()
        .with("grant", &grant.id)
        .with("agent", &grant.agent)
        .with("task", &grant.task)
        .with("purpose", purpose)
        .with("digest", grant.digest)
        .with("not_before", grant.starts.to_string())
        .with("not_after", grant.expires.to_string())
        .with("state", standing::of_grant(view, grant, now)?.state()))
}

pub(super) fn root_json(
    view: &View<'_>,
    root: &Stored<Delegation>,
    grant: &Stored<Grant>,
    now: Timestamp,
) -> Result<Object, StoreError> {
    Ok(Object::new()
        .with("root", root.root)
        .with("form", root.form.as_str())
        .with("client", root.client.as_deref())
        .with("issued", root.issued.to_string())
        .with("expires", root.expires.to_string())
        .with("state", standing::of_root(view, root, grant, now)?.state()))
}

pub(super) fn agent_json(
    view: &View<'_>,
    agent: &Stored<Agent>,
    spiffe_id: &str,
    with_instances: bool,
) -> Result<Object, StoreError> {
    let owner = view.principal_by_alias(&agent.owner)?.and_then(|p| p.row.id);
    let subject = [Subject::Agent { id: agent.id.clone() }];
    let status = match view.is_revoked(&subject)? {
        Some(_) => "revoked",
        None => agent.status.as_str(),
    };
    let object = Object::new()
        .with("agent", &agent.id)
        .with("owner", owner.as_ref().map(|id| id.as_str()))
        .with("status", status)
        .with("spiffe_id", spiffe_id)
        .with("publisher", agent.publisher.as_deref())
        .with("version", agent.version.as_deref())
        .with("artifact", agent.artifact.map(|digest| digest.to_string()));
    if !with_instances {
        return Ok(object);
    }
    let instances = view.instances(Some(&agent.id))?;
    let instances: Vec<Json> = instances
        .iter()
        .map(|i| {
            Object::new()
                .with("instance", &i.id)
                .with("holder", i.holder)
                .with("status", i.status.as_str())
                .into()
        })
        .collect();
    Ok(object.with("instances", instances))
}

pub(super) fn client_json(client: &Client) -> Object {
    Object::new()
        .with("client_id", client.id.as_str())
        .with("name", client.name.as_str())
        .with("source", client.source.as_str())
        .with("agent", client.agent.as_ref().map(|a| a.as_str()))
        .with("status", client.status.as_str())
        .with("registered", client.registered.to_string())
}

pub(super) fn entry_json(entry: &StoredEntry) -> Object {
    let subjects = entry.subjects.members();
    let about: Object = subjects
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), Json::from(value.as_ref()?.as_str()))))
        .collect();
    Object::new()
        .with("index", entry.index)
        .with("id", &entry.id)
        .with("time", entry.time.to_string())
        .with("kind", entry.kind.as_str())
        .with("about", about)
        .with("leaf_hash", entry.leaf_hash.to_string())
}

/// The status that a body asks for.
pub(super) fn status_of(call: &Call<'_>) -> Result<Status, Problem> {
    match call.required("status")? {
        "active" => Ok(Status::Active),
        "suspended" => Ok(Status::Suspended),
        "retired" => Ok(Status::Retired),
        _ => Err(malformed("`status` is `active`, `suspended` or `retired`")),
    }
}
