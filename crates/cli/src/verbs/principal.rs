//! `principal`: on whose authority agents act.

use std::path::Path;

use bailiwick_core::crypto::Signer as _;
use bailiwick_core::ids::PrincipalId;
use bailiwick_core::json::{Json, Object};
use bailiwick_store::Status;

use crate::args::PrincipalVerb;
use crate::datadir::{DataDir, or_none};
use crate::error::CliError;
use crate::keyfile::PrincipalKey;
use crate::output::Output;

pub(super) fn run(verb: PrincipalVerb, dir: &Path, out: Output) -> Result<(), CliError> {
    let data = DataDir::open(dir)?;
    match verb {
        PrincipalVerb::Add { id, key } => {
            let id = PrincipalId::parse(&id)?;
            let path =
                key.unwrap_or_else(|| format!("{}.key", id.as_str().replace(':', "-")).into());
            if data.authority.principal(&id).is_ok() {
                return Err(CliError::refused(
                    "already-exists",
                    format!("`{id}` is registered already"),
                    "choose another name",
                ));
            }
            let made = PrincipalKey::create(&path, &id)?;
            let jwk = made.key.public_key().to_jwk();
            let principal = data.authority.principal_add(&id, Some(&jwk))?;
            let object = Object::new()
                .with("principal", &id)
                .with("alias", &principal.alias)
                .with("key", path.display().to_string())
                .with("thumbprint", made.key.public_key().thumbprint());
            let text = format!(
                "registered {id}\n  ledger alias  {}\n  signing key   {} (the principal's own; keep it with the principal, mode 0600)",
                principal.alias,
                path.display(),
            );
            out.result(object, text);
            out.next(&["bailiwick agent add agent:NAME --owner user:NAME"]);
        }
        PrincipalVerb::List => list(&data, out)?,
        PrincipalVerb::Suspend { id } => {
            status(&data, &id, Status::Suspended, "nothing it granted works from now on", out)?;
        }
        PrincipalVerb::Resume { id } => {
            status(&data, &id, Status::Active, "its grants work again while they last", out)?;
        }
        PrincipalVerb::Retire { id } => {
            status(&data, &id, Status::Retired, "for good; nothing it granted works", out)?;
        }
    }
    Ok(())
}

fn list(data: &DataDir, out: Output) -> Result<(), CliError> {
    let rows = data.authority.principals()?;
    let name = |p: &bailiwick_store::Principal| {
        p.id.as_ref().map_or("(erased)".to_owned(), ToString::to_string)
    };
    let list: Vec<Json> = rows
        .iter()
        .map(|p| {
            Object::new()
                .with("principal", name(p))
                .with("alias", &p.alias)
                .with("status", p.status.as_str())
                .into()
        })
        .collect();
    let text: Vec<String> = rows
        .iter()
        .map(|p| format!("{:<24} {:<10} {}", name(p), p.status.as_str(), p.alias))
        .collect();
    out.result(
        Object::new().with("principals", list),
        or_none(&text, "no principal is registered"),
    );
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
