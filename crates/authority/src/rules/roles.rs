//! Giving and taking roles.

use bailiwick_core::ledger::Kind;
use bailiwick_store::{Principal, Row};

use crate::host::Moment;
use crate::installation::Installation;
use crate::people::roles::Role;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;
use crate::rules::principals::active;

/// Gives a principal a role, or takes it. Nothing is written when it is so
/// already. `others` are the holders beside this one who can sign in.
///
/// # Errors
/// [`Refusal::PrincipalInactive`] for who is to get one; [`Refusal::LastOwner`]
/// when nobody would be left who answers for the installation.
pub fn change(
    moment: &Moment<'_>,
    installation: &Installation,
    principal: &Principal,
    role: Role,
    is_held: bool,
    holds: bool,
    others: usize,
) -> Result<Plan<()>, Refusal> {
    if is_held == holds {
        return Ok(Plan::nothing(()));
    }
    if is_held {
        active(principal.alias.as_str(), Some(principal))?;
    } else if role == Role::Owner && others == 0 {
        return Err(Refusal::LastOwner);
    }
    let step = Step::new(moment, &installation.org, Kind::RoleChanged)?
        .about(|s| s.principal = Some(principal.alias.to_string()))
        .with("role", role.as_str())
        .with("held", is_held)
        .row(Row::Role {
            principal: principal.alias.clone(),
            role: role.as_str().to_owned(),
            held: is_held,
        });
    Ok(Plan::one(step, ()))
}
