//! Principals: who authority comes from. Their private keys are made and stay
//! on their side; the authority sees public keys only (DESIGN rule 6).

use bailiwick_core::crypto::{KeyError, PublicKey};
use bailiwick_core::ids::{Alias, PrincipalId};
use bailiwick_core::jose::VerifyingKey;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_store::{Principal, Row, Status};

use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;

/// What is known about the name and the key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// The principal of this name.
    pub same_name: Option<&'a Principal>,
    /// Whether the key is an instance's, for either of its purposes.
    pub is_instance_key: bool,
}

/// Registers a principal under a random alias, with its public signing key
/// (Ed25519 or P-256) if it has one of its own.
///
/// # Errors
/// [`Refusal::Exists`], [`Refusal::Key`], [`Refusal::KeyTaken`].
pub fn add(
    moment: &Moment<'_>,
    installation: &Installation,
    id: &PrincipalId,
    jwk: Option<&Object>,
    known: Known<'_>,
) -> Result<Plan<Principal>, Refusal> {
    let key = jwk.map(VerifyingKey::from_jwk).transpose()?;
    if known.same_name.is_some() {
        return Err(Refusal::Exists { what: "principal", name: id.to_string() });
    }
    // SECURITY: an agent must never be able to grant to itself.
    if known.is_instance_key {
        return Err(Refusal::KeyTaken { whose: "instance" });
    }
    let row = Principal {
        alias: moment.alias()?,
        issuer: Some(installation.issuer.clone()),
        id: Some(id.clone()),
        jwk: key.map(|key| Json::from(key.to_jwk()).canonical()),
        status: Status::Active,
    };
    let name = Object::new().with("issuer", installation.issuer.as_str()).with("id", id);
    let mut step = Step::new(moment, &installation.org, Kind::PrincipalAdded)?
        .about(|s| s.principal = Some(row.alias.to_string()))
        .with("alias", &row.alias);
    if let Some(key) = key {
        step = step.with("jwk", key.to_jwk()).with("thumbprint", key.thumbprint());
    }
    let step = step.commit(moment, "principal", name)?.row(Row::Principal(row.clone()));
    Ok(Plan::one(step, row))
}

/// Suspends, resumes or retires a principal. A change to the same status
/// writes nothing.
///
/// # Errors
/// [`Refusal::Unknown`], [`Refusal::AlreadyRetired`].
pub fn change(
    moment: &Moment<'_>,
    installation: &Installation,
    name: &str,
    current: Option<&Principal>,
    status: Status,
) -> Result<Plan<Alias>, Refusal> {
    let current = current.ok_or_else(|| Refusal::unknown("principal", name))?;
    let alias = current.alias.clone();
    if !changes(name, current.status, status)? {
        return Ok(Plan::nothing(alias));
    }
    let step = Step::new(moment, &installation.org, Kind::PrincipalChanged)?
        .about(|s| s.principal = Some(alias.to_string()))
        .with("status", status.as_str())
        .row(Row::PrincipalStatus { alias: alias.clone(), status });
    Ok(Plan::one(step, alias))
}

/// Whether a status changes; what is retired stays retired.
pub(crate) fn changes(name: &str, from: Status, to: Status) -> Result<bool, Refusal> {
    if from == to {
        return Ok(false);
    }
    if from == Status::Retired {
        return Err(Refusal::AlreadyRetired { name: name.to_owned() });
    }
    Ok(true)
}

/// The active principal behind `found`.
pub(crate) fn active<'a>(
    name: &str,
    found: Option<&'a Principal>,
) -> Result<&'a Principal, Refusal> {
    let principal = found.ok_or_else(|| Refusal::unknown("principal", name))?;
    if principal.status != Status::Active {
        return Err(Refusal::PrincipalInactive);
    }
    Ok(principal)
}

/// A principal's own signing key.
pub(crate) fn signing_key(principal: &Principal) -> Result<VerifyingKey, Refusal> {
    let jwk = stored(principal.jwk.as_deref().ok_or(Refusal::NoSigningKey)?)?;
    Ok(VerifyingKey::from_jwk(&jwk)?)
}

/// A stored holder key.
pub(crate) fn holder_key(jwk: &str) -> Result<PublicKey, Refusal> {
    Ok(PublicKey::from_jwk(&stored(jwk)?)?)
}

fn stored(jwk: &str) -> Result<Object, KeyError> {
    match Json::parse(jwk.as_bytes(), &JsonLimits::DEFAULT) {
        Ok(Json::Object(jwk)) => Ok(jwk),
        _ => Err(KeyError::Encoding),
    }
}
