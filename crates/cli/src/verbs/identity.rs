//! `instance invite`, `join` and `identity`: enrolment over the network, and
//! identity tokens that are renewed without a person.

use std::path::Path;
use std::time::Duration;

use bailiwick_authority::rules::identities::{REQUEST_TYPE, request_claims};
use bailiwick_core::guarantee::Isolation;
use bailiwick_core::ids::{AgentId, PrincipalId};
use bailiwick_core::jose;
use bailiwick_core::json::{Json, Object};

use super::instance::enrolment;
use crate::address;
use crate::datadir::DataDir;
use crate::error::{Class, CliError};
use crate::host;
use crate::keyfile::InstanceKeys;
use crate::output::Output;
use crate::web;

/// The share of its life after which a token is renewed, in percent.
const RENEW_AFTER: u64 = 50;
/// The pause after a renewal that failed.
const AGAIN: Duration = Duration::from_secs(5);

/// Makes a one-time enrolment token.
pub(super) fn invite(agent: &str, dir: &Path, out: Output) -> Result<(), CliError> {
    let data = DataDir::open(dir)?;
    let agent = AgentId::parse(agent)?;
    let token = data.authority.instance_invite(&agent)?.reveal();
    let url = data.config.public_url();
    out.result(
        Object::new()
            .with("agent", &agent)
            .with("enrolment_token", token.as_str())
            .with("authority", url.as_str()),
        format!("{token}\n  enrols one instance of {agent}, once, within an hour"),
    );
    out.next(&[&format!(
        "bailiwick instance join --authority {url} --token TOKEN --agent {agent} --owner OWNER --key instance.key"
    )]);
    Ok(())
}

/// What an instance is told to join with.
pub(super) struct Joining<'a> {
    pub(super) authority: &'a str,
    pub(super) token: &'a str,
    pub(super) agent: &'a str,
    pub(super) owner: &'a str,
    pub(super) key: &'a Path,
    pub(super) identity: Option<&'a Path>,
}

/// Makes an instance's keys and enrols it over the network.
pub(super) fn join(joining: &Joining<'_>, out: Output) -> Result<(), CliError> {
    let (agent, owner) = (AgentId::parse(joining.agent)?, PrincipalId::parse(joining.owner)?);
    let authority = &address::authority(joining.authority)?;
    let keys = InstanceKeys::create(joining.key, &agent)?;
    let answer = enrol(authority, joining.token, &agent, &owner, &keys, Isolation::Unstated)
        .inspect_err(|e| {
            // Keys that were not enrolled are nobody's. Where an authority was
            // reached and no answer came, they may be enrolled.
            if e.class != Class::Environment || web::NEVER_ASKED.contains(&e.code.as_str()) {
                let _ = std::fs::remove_file(joining.key);
            }
        })?;
    keep(&answer, joining.identity)?;
    let text = |name: &str| answer.member(name).and_then(Json::as_str).unwrap_or_default();
    let said = format!(
        "enrolled {}\n  identity  {}, until {}\n  keys      {} (stays here, mode 0600)",
        keys.instance,
        text("spiffe_id"),
        text("expires_at"),
        joining.key.display(),
    );
    out.result(answer.clone().with("key", joining.key.display().to_string()), said);
    out.next(&[&format!(
        "bailiwick instance identity --authority {authority} --key {} --out identity.jwt --keep",
        joining.key.display()
    )]);
    Ok(())
}

/// Enrols keys with a one-time token; gives what the authority says of them.
pub(super) fn enrol(
    authority: &str,
    token: &str,
    agent: &AgentId,
    owner: &PrincipalId,
    keys: &InstanceKeys,
    isolation: Isolation,
) -> Result<Object, CliError> {
    let enrolment = enrolment(keys, agent, owner, authority, isolation)?;
    let body = Object::new().with("token", token).with("enrolment", enrolment);
    web::json(authority, "/instances", &body.into())
}

/// Gets an identity token; with `keep_on`, again and again before it ends.
pub(super) fn identity(
    authority: &str,
    key: &Path,
    file: Option<&Path>,
    keep_on: bool,
    out: Output,
) -> Result<(), CliError> {
    let authority = &address::authority(authority)?;
    let keys = InstanceKeys::read(key)?;
    loop {
        let renewed = renew(authority, &keys).and_then(|answer| {
            keep(&answer, file)?;
            Ok(answer)
        });
        let pause = match renewed {
            Ok(answer) => {
                let text = |name: &str| answer.member(name).and_then(Json::as_str);
                let said = match (file, text("identity_token")) {
                    (None, Some(token)) => token.to_owned(),
                    _ => format!(
                        "{} until {}",
                        text("spiffe_id").unwrap_or_default(),
                        text("expires_at").unwrap_or_default()
                    ),
                };
                let seconds = answer
                    .member("expires_in")
                    .and_then(|s| u64::try_from(s.as_number()?.as_plain_integer()?).ok())
                    .unwrap_or(60);
                out.result(answer, said);
                Duration::from_secs(seconds.saturating_mul(RENEW_AFTER) / 100).max(AGAIN)
            }
            // An authority that is away for a moment costs nothing: the token
            // of before lives as long again. A refusal is the end.
            Err(e) if keep_on && e.class == Class::Environment => {
                out.warn(&e);
                AGAIN
            }
            Err(e) => return Err(e),
        };
        if !keep_on {
            return Ok(());
        }
        std::thread::sleep(pause);
    }
}

/// A fresh identity token, with what is said beside it.
pub(super) fn renew(authority: &str, keys: &InstanceKeys) -> Result<Object, CliError> {
    let jti = bailiwick_core::crypto::base64url(&host::random::<16>()?);
    let claims = request_claims(&keys.instance, authority, host::now(), &jti);
    let request = jose::sign(REQUEST_TYPE, None, &claims, &keys.identity)
        .map_err(|e| CliError::environment("key", e.to_string(), "try again"))?;
    let body = Object::new().with("request", request);
    web::json(authority, "/instances/identity", &body.into())
}

/// Writes the token where others read it; mode 0600.
fn keep(answer: &Object, file: Option<&Path>) -> Result<(), CliError> {
    let Some(file) = file else { return Ok(()) };
    let token = answer.member("identity_token").and_then(Json::as_str).unwrap_or_default();
    bailiwick_store::write_durably(file, token.as_bytes()).map_err(CliError::from)
}
