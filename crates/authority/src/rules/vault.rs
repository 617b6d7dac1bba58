//! The vault: that a tool server's credential was put there or removed, and by
//! which right. The credential itself stands in no entry, nor does anything
//! from which one could be guessed.

use bailiwick_core::ids::{Alias, EntryId};
use bailiwick_core::ledger::Kind;
use bailiwick_store::{Principal, Status, ToolServer, VaultPlace};

use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;

/// The kind of what a program gets in its environment.
pub const ENVIRONMENT: &str = "environment";

/// Where a credential is put, as it stands.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The tool server, if it is catalogued.
    pub server: Option<&'a ToolServer>,
    /// Whether it was revoked.
    pub revoked: bool,
    /// Whose it is to be, by name; `None` for the gateway's own.
    pub principal: Option<(&'a str, Option<&'a Principal>)>,
    /// Whether another one is there.
    pub replaced: bool,
}

/// Puts a credential there. `kind` is what sort it is and `source` where its
/// value comes from, both codes of ours.
///
/// # Errors
/// [`Refusal::Unknown`], [`Refusal::Revoked`], [`Refusal::PrincipalInactive`],
/// [`Refusal::ProgramCredential`] for a program, which has an environment and
/// nothing else, one for everybody; [`Refusal::NotAProgram`] the other way round.
pub fn set(
    moment: &Moment<'_>,
    installation: &Installation,
    place: &VaultPlace,
    (kind, source): (&str, &str),
    known: Known<'_>,
) -> Result<Plan<EntryId>, Refusal> {
    let server = known.server.ok_or_else(|| Refusal::unknown("tool server", &place.server))?;
    if known.revoked || server.status != Status::Active {
        return Err(Refusal::Revoked { kind: "tool server" });
    }
    match (server.url.starts_with("stdio:"), kind == ENVIRONMENT) {
        (true, true) if known.principal.is_none() => {}
        (true, _) => return Err(Refusal::ProgramCredential),
        (false, true) => return Err(Refusal::NotAProgram),
        (false, false) => {}
    }
    if let Some((name, principal)) = known.principal {
        let principal = principal.ok_or_else(|| Refusal::unknown("principal", name))?;
        if principal.status != Status::Active {
            return Err(Refusal::PrincipalInactive);
        }
    }
    let step = Step::new(moment, &installation.org, Kind::VaultCredentialSet)?
        .with("server", &place.server)
        .with("credential", kind)
        .with("source", source)
        .with("replaced", known.replaced);
    let step = of(step, place.principal.as_ref());
    let entry = step.event.id.clone();
    Ok(Plan::one(step, entry))
}

/// Removes one; `reason` is a code.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn remove(
    moment: &Moment<'_>,
    installation: &Installation,
    place: &VaultPlace,
    reason: &'static str,
) -> Result<Step, Refusal> {
    let step = Step::new(moment, &installation.org, Kind::VaultCredentialRemoved)?
        .about(|s| s.reason = Some(reason.to_owned()))
        .with("server", &place.server);
    Ok(of(step, place.principal.as_ref()))
}

/// The vault has another key.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn rekeyed(
    moment: &Moment<'_>,
    installation: &Installation,
    credentials: usize,
) -> Result<Plan<usize>, Refusal> {
    let count = u64::try_from(credentials).unwrap_or(u64::MAX);
    let step =
        Step::new(moment, &installation.org, Kind::VaultKeyChanged)?.with("credentials", count);
    Ok(Plan::one(step, credentials))
}

fn of(step: Step, principal: Option<&Alias>) -> Step {
    match principal {
        Some(alias) => step.about(|s| s.principal = Some(alias.to_string())),
        None => step,
    }
}
