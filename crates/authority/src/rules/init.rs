//! A new installation: the log begins.

use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;

use crate::host::Moment;
use crate::installation::{Installation, Maker};
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;

/// The makers as they stand in the entry.
fn makers(makers: &[Maker]) -> Vec<Json> {
    makers
        .iter()
        .map(|m| {
            Object::new()
                .with("id", m.id.as_str())
                .with("jwk", m.key.to_jwk())
                .with("role", m.role.as_str())
                .into()
        })
        .collect()
}

/// The first entry: everything public that a verifier must know of this log.
///
/// # Errors
/// [`Refusal::AlreadyInitialised`] when the log has entries,
/// [`Refusal::Installation`].
pub fn init(
    moment: &Moment<'_>,
    installation: &Installation,
    log_size: u64,
) -> Result<Plan<()>, Refusal> {
    installation.check()?;
    if log_size != 0 {
        return Err(Refusal::AlreadyInitialised);
    }
    let i = installation;
    let step = Step::new(moment, &i.org, Kind::LogStarted)?
        .with("org", &i.org)
        .with("trust_domain", i.trust_domain.as_str())
        .with(
            "issuer",
            Object::new().with("uri", i.issuer.as_str()).with("jwk", i.issuer_key.to_jwk()),
        )
        .with(
            "log",
            Object::new().with("origin", i.log_key.name()).with("vkey", i.log_key.to_string()),
        )
        .with("makers", makers(&i.makers))
        .with("audience", vec![Json::from(i.audience())]);
    Ok(Plan::one(step, ()))
}
