//! `grant` and `delegation`: what was granted, and the roots under it.

use std::path::Path;

use bailiwick_core::grant::Statement;
use bailiwick_core::ids::{GrantId, InstanceId, PrincipalId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_store::{Delegation, Grant, StoreError, Stored, Subject};

use crate::args::{DelegationVerb, GrantVerb};
use crate::chainfile::ChainFile;
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::host;
use crate::output::Output;
use crate::table::table;

use super::renew;

/// Grants shown at most.
const MOST: u32 = 200;

pub(super) fn run(verb: GrantVerb, dir: &Path, out: Output) -> Result<(), CliError> {
    let data = DataDir::open(dir)?;
    match verb {
        GrantVerb::List { principal } => {
            let principal = principal.ok_or_else(|| {
                CliError::usage("argument-missing", "whose grants?", "pass --principal user:NAME")
            })?;
            list(&data, &PrincipalId::parse(&principal)?, out)
        }
        GrantVerb::Show { id } => show(&data, &GrantId::parse(&id)?, out),
    }
}

/// Whether a grant stands, in one word.
fn state(data: &DataDir, grant: &Grant) -> Result<&'static str, CliError> {
    let subjects = [
        Subject::Grant { id: grant.id.clone() },
        Subject::Task { id: grant.task.clone() },
        Subject::Agent { id: grant.agent.clone() },
        Subject::Principal { alias: grant.principal.clone() },
    ];
    let revoked = data.store().read(|v| v.is_revoked(&subjects))?.is_some();
    Ok(match host::now() {
        _ if revoked => "revoked",
        now if now >= grant.expires => "over",
        now if now < grant.starts => "not yet",
        _ => "stands",
    })
}

fn list(data: &DataDir, principal: &PrincipalId, out: Output) -> Result<(), CliError> {
    let alias = data.authority.principal(principal)?.row.alias;
    let grants =
        data.store().read(|v| -> Result<_, StoreError> { v.grants_of_principal(&alias, MOST) })?;
    let mut rows = Vec::new();
    let mut all: Vec<Json> = Vec::new();
    for grant in &grants {
        let state = state(data, grant)?;
        rows.push(vec![
            grant.id.to_string(),
            grant.agent.to_string(),
            state.to_owned(),
            grant.expires.to_string(),
        ]);
        all.push(
            Object::new()
                .with("grant", &grant.id)
                .with("agent", &grant.agent)
                .with("task", &grant.task)
                .with("state", state)
                .with("not_before", grant.starts.to_string())
                .with("not_after", grant.expires.to_string())
                .into(),
        );
    }
    let text = match rows.as_slice() {
        [] => format!("{principal} has granted nothing"),
        rows => table(&["grant", "agent", "state", "until"], rows),
    };
    out.result(Object::new().with("principal", principal).with("grants", all), text);
    Ok(())
}

fn show(data: &DataDir, id: &GrantId, out: Output) -> Result<(), CliError> {
    let grant = data.authority.grant(id)?;
    let state = state(data, &grant)?;
    let texts = data.authority.grant_texts(id)?;
    let statement = texts
        .as_ref()
        .and_then(|(text, _)| Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).ok());
    let read = statement.as_ref().and_then(|json| Statement::from_json(json).ok());
    let roots = data.authority.delegations(id)?;
    let states = root_states(data, &grant, &roots)?;
    let object = Object::new()
        .with("grant", id)
        .with("digest", grant.digest)
        .with("state", state)
        .with("statement", statement)
        .with("signature", texts.map(|(_, signature)| signature))
        .with("roots", listed(&roots, &states));
    let what = match &read {
        Some(s) => format!(
            "  principal  {}\n  agent      {}\n  task       {}\n  purpose    {}\n  scope      {}\n",
            s.principal,
            s.agent,
            s.task,
            s.purpose.escape_debug(),
            s.requested.join(" "),
        ),
        None => "  its text was erased\n".to_owned(),
    };
    out.result(
        object,
        format!(
            "{id} {state}\n{what}  until      {}\n  digest     {}\n  roots      {}",
            grant.expires,
            grant.digest,
            roots.len()
        ),
    );
    out.next(&[&format!("bailiwick revoke grant {id} --reason 'why'")]);
    Ok(())
}

fn root(d: &Stored<Delegation>, state: &str) -> Object {
    Object::new()
        .with("root", d.root)
        .with("form", d.form.as_str())
        .with("client", d.client.as_deref())
        .with("issued", d.issued.to_string())
        .with("expires", d.expires.to_string())
        .with("state", state)
}

fn listed(roots: &[Stored<Delegation>], states: &[&str]) -> Vec<Json> {
    roots.iter().zip(states).map(|(d, state)| root(d, state).into()).collect()
}

/// Whether each root stands: by itself, and by its grant.
fn root_states(
    data: &DataDir,
    of: &Grant,
    roots: &[Stored<Delegation>],
) -> Result<Vec<&'static str>, CliError> {
    let (of, now) = (state(data, of)?, host::now());
    let subjects: Vec<_> = roots
        .iter()
        .map(|d| {
            let state = match of {
                "revoked" => "revoked",
                _ if now >= d.expires => "over",
                other => other,
            };
            (Subject::Delegation { token: d.root }, state)
        })
        .collect();
    data.states(&subjects)
}

pub(super) fn delegation(verb: DelegationVerb, dir: &Path, out: Output) -> Result<(), CliError> {
    if let DelegationVerb::Renew { authority, key, grant, scope, out: file, keep } = &verb {
        let renewal = renew::Renewal { authority, key, grant, scope, out: file, keep: *keep };
        return renew::run(&renewal, out);
    }
    let data = DataDir::open(dir)?;
    match verb {
        // It needs no data dir and went its way above.
        DelegationVerb::Renew { .. } => Ok(()),
        DelegationVerb::List { grant } => roots(&data, &GrantId::parse(&grant)?, out),
        DelegationVerb::Reissue { grant, instance, out: file } => {
            let instance = instance.map(|i| InstanceId::parse(&i)).transpose()?;
            let issued = data.authority.reissue(&GrantId::parse(&grant)?, instance.as_ref())?;
            let audience = data.config.audience();
            ChainFile { chain: vec![issued.token.clone()], audience }.write(&file)?;
            out.result(
                Object::new()
                    .with("grant", &issued.grant)
                    .with("root", issued.root)
                    .with("instance", &issued.instance)
                    .with("not_after", issued.not_after.to_string())
                    .with("chain", file.display().to_string()),
                format!(
                    "issued a root under {} for {}, until {}\n  chain  {}",
                    issued.grant,
                    issued.instance,
                    issued.not_after,
                    file.display()
                ),
            );
            Ok(())
        }
    }
}

fn roots(data: &DataDir, grant: &GrantId, out: Output) -> Result<(), CliError> {
    let roots = data.authority.delegations(grant)?;
    let states = root_states(data, &*data.authority.grant(grant)?, &roots)?;
    let rows: Vec<Vec<String>> = roots
        .iter()
        .zip(&states)
        .map(|(d, state)| {
            vec![
                d.root.to_string(),
                d.form.as_str().to_owned(),
                d.issued.to_string(),
                d.expires.to_string(),
                (*state).to_owned(),
            ]
        })
        .collect();
    let text = match rows.as_slice() {
        [] => "no root was issued under it".to_owned(),
        rows => table(&["root", "form", "issued", "expires", "state"], rows),
    };
    let list = listed(&roots, &states);
    out.result(Object::new().with("grant", grant).with("roots", list), text);
    Ok(())
}
