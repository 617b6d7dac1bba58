//! `instance`: keys and enrolment of running processes.

use std::path::Path;

use bailiwick_core::crypto::Signer as _;
use bailiwick_core::enrolment::Statement;
use bailiwick_core::guarantee::Isolation;
use bailiwick_core::ids::{AgentId, InstanceId, PrincipalId};
use bailiwick_core::json::{Json, Object};

use super::{identity, svid};
use crate::address;
use crate::args::InstanceVerb;
use crate::config::Config;
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::host;
use crate::keyfile::{self, InstanceKeys};
use crate::output::Output;

pub(super) fn run(verb: InstanceVerb, dir: &Path, out: Output) -> Result<(), CliError> {
    match verb {
        InstanceVerb::New { agent, owner, authority, key, out: document } => {
            let authority = match authority {
                Some(url) => address::authority(&url)?,
                None if dir.join("keys").is_dir() => Config::load(dir)?.public_url(),
                // On another host nothing here knows the authority's name.
                None => {
                    return Err(CliError::usage(
                        "authority-missing",
                        "there is no data dir here that knows the authority's URL",
                        "pass --authority URL, as the operator's `bailiwick config show` has it",
                    ));
                }
            };
            let agent = AgentId::parse(&agent)?;
            let owner = PrincipalId::parse(&owner)?;
            let instance = create(&agent, &owner, &authority, &key, &document)?;
            let object = Object::new()
                .with("instance", &instance.instance)
                .with("agent", &agent)
                .with("holder", instance.holder.public_key().thumbprint())
                .with("key", key.display().to_string())
                .with("document", document.display().to_string());
            let text = format!(
                "made the two keys of instance {}\n  keys      {} (stays here, mode 0600)\n  document  {} (hand it to the authority within 10 minutes)",
                instance.instance,
                key.display(),
                document.display(),
            );
            out.result(object, text);
            out.next(&[&format!("bailiwick instance enrol {}", document.display())]);
            Ok(())
        }
        InstanceVerb::Invite { agent } => identity::invite(&agent, dir, out),
        InstanceVerb::Join { authority, token, agent, owner, key, identity: file } => {
            let joining = identity::Joining {
                authority: &authority,
                token: &token,
                agent: &agent,
                owner: &owner,
                key: &key,
                identity: file.as_deref(),
            };
            identity::join(&joining, out)
        }
        InstanceVerb::Identity { authority, key, out: file, keep } => {
            identity::identity(&authority, &key, file.as_deref(), keep, out)
        }
        InstanceVerb::Svid(args) => svid::run(&args, out),
        InstanceVerb::Enrol { document } => {
            let document = keyfile::read_json(&document)?;
            DataDir::open(dir)?.enrol(&document, out)
        }
        InstanceVerb::List => DataDir::open(dir)?.list_instances(out),
        InstanceVerb::Retire { id } => {
            let id = InstanceId::parse(&id)?;
            DataDir::open(dir)?.authority.instance_retire(&id)?;
            out.result(
                Object::new().with("instance", &id).with("status", "retired"),
                format!("instance {id} is retired: every chain it stands in is denied"),
            );
            Ok(())
        }
    }
}

/// Makes an instance's keys and writes both files.
pub(crate) fn create(
    agent: &AgentId,
    owner: &PrincipalId,
    authority: &str,
    key: &Path,
    document: &Path,
) -> Result<InstanceKeys, CliError> {
    let keys = InstanceKeys::create(key, agent)?;
    let enrolment = enrolment(&keys, agent, owner, authority, Isolation::Unstated)?;
    keyfile::write_new(document, &enrolment.canonical())?;
    Ok(keys)
}

/// The document that binds both keys to instance, agent and owner.
pub(super) fn enrolment(
    keys: &InstanceKeys,
    agent: &AgentId,
    owner: &PrincipalId,
    authority: &str,
    isolation: Isolation,
) -> Result<Json, CliError> {
    let statement = Statement {
        instance: keys.instance.clone(),
        agent: agent.clone(),
        owner: owner.clone(),
        audience: authority.to_owned(),
        made_at: host::now(),
        holder: keys.holder.public_key(),
        identity: keys.identity.public_key(),
        isolation,
    };
    statement
        .sign(&keys.holder, &keys.identity)
        .map_err(|e| CliError::environment("key", e.to_string(), "try again"))
}
