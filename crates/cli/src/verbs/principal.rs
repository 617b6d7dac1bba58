//! `principal`: on whose authority agents act.

use std::path::{Path, PathBuf};

use bailiwick_authority::Refusal;
use bailiwick_authority::people::roles::Role;
use bailiwick_authority::people::sessions::Secret;
use bailiwick_authority::rules::logins::check_namespace;
use bailiwick_core::ids::PrincipalId;
use bailiwick_core::jose::VerifyingKey;
use bailiwick_core::json::{Json, Object};
use bailiwick_store::{Status, StoreError, Subject};

use crate::args::{PasskeyVerb, PrincipalVerb};
use crate::datadir::DataDir;
use crate::error::CliError;
use crate::keyfile::{Algorithm, PrincipalKey};
use crate::output::Output;
use crate::table::table;

mod keys;
mod life;
mod logins;
pub(super) use keys::read_public;

pub(super) fn run(verb: PrincipalVerb, dir: &Path, out: Output) -> Result<(), CliError> {
    // A key is made where it stays: no data dir is needed.
    if let PrincipalVerb::Key { id, algorithm, key, jwk } = verb {
        return keys::make(&PrincipalId::parse(&id)?, algorithm, key, jwk, out);
    }
    let data = DataDir::open(dir)?;
    match verb {
        PrincipalVerb::Key { .. } => {}
        PrincipalVerb::Add { id, key, jwk, passkey, provider, subject, role } => {
            let new = New { key, jwk, passkey, login: provider.zip(subject) };
            add(&data, &id, new, &role, out)?;
        }
        PrincipalVerb::Login { id, provider, subject, remove } => {
            let id = PrincipalId::parse(&id)?;
            logins::run(&data, &id, provider.zip(subject), remove, out)?;
        }
        PrincipalVerb::Link { id } => link(&data, &PrincipalId::parse(&id)?, out)?,
        PrincipalVerb::Role { id, role, remove } => {
            let (id, role) = (PrincipalId::parse(&id)?, role_of(&role)?);
            data.authority.role_change(&id, role, !remove)?;
            let said = if remove { "is no longer" } else { "is" };
            out.result(
                Object::new()
                    .with("principal", &id)
                    .with("role", role.as_str())
                    .with("held", !remove),
                format!("{id} {said} {role}"),
            );
        }
        PrincipalVerb::List => list(&data, out)?,
        PrincipalVerb::Suspend { id } => {
            status(&data, &id, Status::Suspended, "nothing it granted works from now on", out)?;
        }
        PrincipalVerb::Resume { id } => {
            status(&data, &id, Status::Active, "its grants work again while they last", out)?;
        }
        PrincipalVerb::Offboard { id, agents_to, reason } => {
            life::offboard(&data, &id, agents_to.as_deref(), &reason, out)?;
        }
        PrincipalVerb::Passkey(PasskeyVerb::List { id }) => {
            life::passkeys(&data, &PrincipalId::parse(&id)?, out)?;
        }
        PrincipalVerb::Passkey(PasskeyVerb::Remove { id, passkey }) => {
            life::remove(&data, &PrincipalId::parse(&id)?, passkey.as_deref(), out)?;
        }
        PrincipalVerb::Recover { id } => life::recover(&data, &PrincipalId::parse(&id)?, out)?,
        PrincipalVerb::Retire { id } => {
            status(&data, &id, Status::Retired, "for good; nothing it granted works", out)?;
        }
    }
    Ok(())
}

fn role_of(text: &str) -> Result<Role, CliError> {
    text.parse::<Role>().map_err(|e| {
        CliError::usage("role-unknown", format!("`{text}` is {e}"), "choose one of these")
    })
}

/// What a new principal proves itself with.
struct New {
    /// Where the key that is made for it goes.
    key: Option<PathBuf>,
    /// The public key that it made itself.
    jwk: Option<PathBuf>,
    passkey: bool,
    /// Provider and subject.
    login: Option<(String, String)>,
}

fn add(data: &DataDir, id: &str, new: New, roles: &[String], out: Output) -> Result<(), CliError> {
    let id = PrincipalId::parse(id)?;
    let roles = roles.iter().map(|r| role_of(r)).collect::<Result<Vec<_>, _>>()?;
    if data.authority.principal(&id).is_ok() {
        return Err(CliError::refused(
            "already-exists",
            format!("`{id}` is registered already"),
            "choose another name",
        ));
    }
    let New { key, jwk, passkey, login } = new;
    if let Some((provider, subject)) = &login {
        let provider = logins::provider(data, provider)?;
        // Asked before, so that nobody is left without a way in.
        check_namespace(&provider, Some(&id)).map_err(Refusal::from)?;
        let principal = data.authority.principal_add(&id, None)?;
        data.authority.login_add(&id, &provider, subject)?;
        for role in roles {
            data.authority.role_change(&id, role, true)?;
        }
        let link = if passkey { Some(enrolment_link(data, &id)?) } else { None };
        let mut text = format!(
            "registered {id}\n  ledger alias  {}\n  logs in at    {} as {subject}",
            principal.alias, provider.label,
        );
        if let Some(link) = &link {
            text.push_str(&format!("\n  passkey link  {link}"));
        }
        let object = Object::new()
            .with("principal", &id)
            .with("alias", &principal.alias)
            .with("provider", provider.name.as_str())
            .with("enrolment_link", link);
        out.result(object, text);
        out.next(&[&format!("open {}/login", data.config.public_url())]);
        return Ok(());
    }
    if passkey {
        let principal = data.authority.principal_add(&id, None)?;
        for role in roles {
            data.authority.role_change(&id, role, true)?;
        }
        let link = enrolment_link(data, &id)?;
        out.result(
            Object::new()
                .with("principal", &id)
                .with("alias", &principal.alias)
                .with("enrolment_link", link.as_str()),
            format!(
                "registered {id}\n  ledger alias  {}\n  passkey link  {link}\n                (once, within a day; whoever opens it first becomes {id})",
                principal.alias,
            ),
        );
        return Ok(());
    }
    let (jwk, path) = match jwk {
        Some(path) => (read_public(&path)?, None),
        None => {
            let path = key.unwrap_or_else(|| keys::file(&id, "key"));
            let made = PrincipalKey::create(&path, &id, Algorithm::Ed25519)?;
            (made.jwk(), Some(path))
        }
    };
    let thumbprint = VerifyingKey::from_jwk(&jwk).map_err(Refusal::from)?.thumbprint();
    let principal = data.authority.principal_add(&id, Some(&jwk))?;
    for role in roles {
        data.authority.role_change(&id, role, true)?;
    }
    let object = Object::new()
        .with("principal", &id)
        .with("alias", &principal.alias)
        .with("key", path.as_ref().map(|path| path.display().to_string()))
        .with("thumbprint", thumbprint);
    let key = match path {
        Some(path) => format!(
            "{} (the principal's own; keep it with the principal, mode 0600)",
            path.display()
        ),
        None => format!("{thumbprint} (public; the private one stays where it was made)"),
    };
    let text =
        format!("registered {id}\n  ledger alias  {}\n  signing key   {key}", principal.alias);
    out.result(object, text);
    out.next(&["bailiwick agent add agent:NAME --owner user:NAME"]);
    Ok(())
}

/// The one-time link by which a person enrols a passkey.
pub(super) fn enrolment_link(data: &DataDir, id: &PrincipalId) -> Result<String, CliError> {
    Ok(address(data, &data.authority.enrolment_link(id)?))
}

/// Where a link leads.
fn address(data: &DataDir, secret: &Secret) -> String {
    format!("{}/enrol/{}", data.config.public_url(), secret.reveal())
}

fn link(data: &DataDir, id: &PrincipalId, out: Output) -> Result<(), CliError> {
    let link = enrolment_link(data, id)?;
    out.result(
        Object::new().with("principal", id).with("enrolment_link", link.as_str()),
        format!("{link}\n  once, within a day; links that {id} had before have ended"),
    );
    Ok(())
}

fn list(data: &DataDir, out: Output) -> Result<(), CliError> {
    let rows = data.authority.principals()?;
    let name = |p: &bailiwick_store::Principal| {
        p.id.as_ref().map_or("(erased)".to_owned(), ToString::to_string)
    };
    let roles = data.store().read(|v| -> Result<Vec<Vec<String>>, StoreError> {
        rows.iter().map(|p| v.roles_of(&p.alias)).collect()
    })?;
    let subjects: Vec<_> = rows
        .iter()
        .map(|p| (Subject::Principal { alias: p.alias.clone() }, p.status.as_str()))
        .collect();
    let states = data.states(&subjects)?;
    let list: Vec<Json> = rows
        .iter()
        .zip(&roles)
        .zip(&states)
        .map(|((p, roles), state)| {
            Object::new()
                .with("principal", name(p))
                .with("alias", &p.alias)
                .with("status", *state)
                .with("roles", roles.iter().map(|r| Json::from(r.as_str())).collect::<Vec<_>>())
                .into()
        })
        .collect();
    let lines: Vec<Vec<String>> = rows
        .iter()
        .zip(&roles)
        .zip(&states)
        .map(|((p, roles), state)| {
            vec![name(p), (*state).to_owned(), roles.join(" "), p.alias.to_string()]
        })
        .collect();
    let text = match lines.as_slice() {
        [] => "no principal is registered".to_owned(),
        lines => table(&["principal", "status", "roles", "ledger alias"], lines),
    };
    out.result(Object::new().with("principals", list), text);
    Ok(())
}

fn status(data: &DataDir, id: &str, status: Status, so: &str, out: Output) -> Result<(), CliError> {
    let id = PrincipalId::parse(id)?;
    data.authority.principal_status(&id, status)?;
    out.result(
        Object::new().with("principal", &id).with("status", status.as_str()),
        format!("{id} is {}: {so}", status.as_str()),
    );
    Ok(())
}
