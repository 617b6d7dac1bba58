//! Credentials: what people prove themselves with. The public part only; the
//! private one stays on their device.

use bailiwick_core::crypto::{Digest, from_base64url, sha256};
use bailiwick_core::ids::uuid_v7;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Credential, CredentialKind, Principal, Row, Status};

use crate::host::Moment;
use crate::installation::Installation;
use crate::people::passkeys::{Enrolled, MAX_PASSKEYS, PasskeyError, check_removal, label};
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;
use crate::rules::approvers;
use crate::rules::life::Administrator;
use crate::rules::principals::active;

/// By what a passkey is found: SHA-256 of its id.
///
/// # Errors
/// [`PasskeyError::Form`] when the id is no base64url.
pub fn lookup(id: &str) -> Result<Digest, PasskeyError> {
    from_base64url(id).map(|bytes| sha256(&bytes)).ok_or(PasskeyError::Form)
}

/// A passkey as it is kept in a [`Credential`]'s data.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptPasskey {
    /// Its id, base64url.
    pub id: String,
    /// Its public key.
    pub jwk: Object,
    /// What the library keeps of it, as JSON text.
    pub kept: String,
}

impl KeptPasskey {
    fn to_text(&self) -> String {
        let object = Object::new()
            .with("id", self.id.as_str())
            .with("jwk", self.jwk.clone())
            .with("kept", self.kept.as_str());
        Json::from(object).canonical()
    }

    /// The signature counter with which it was registered.
    #[must_use]
    pub fn registered_counter(&self) -> u32 {
        let json = Json::parse(self.kept.as_bytes(), &JsonLimits::DEFAULT).ok();
        let counter = json.as_ref().and_then(|json| {
            let counter = json.as_object()?.member("cred")?.as_object()?.member("counter")?;
            u32::try_from(counter.as_number()?.as_plain_integer()?).ok()
        });
        // SECURITY: an unreadable counter must not become a small one.
        counter.unwrap_or(u32::MAX)
    }

    /// Reads a credential's data; `None` when it is no passkey or was erased.
    #[must_use]
    pub fn of(credential: &Credential) -> Option<Self> {
        if credential.kind != CredentialKind::Passkey {
            return None;
        }
        let json = Json::parse(credential.data.as_bytes(), &JsonLimits::DEFAULT).ok()?;
        let o = json.as_object()?;
        let text = |name: &str| o.member(name)?.as_str().map(str::to_owned);
        Some(Self {
            id: text("id")?,
            jwk: o.member("jwk")?.as_object()?.clone(),
            kept: text("kept")?,
        })
    }
}

/// What a new passkey comes to.
#[derive(Clone, Copy, Debug)]
pub struct Beside<'a> {
    /// The person's own credentials.
    pub existing: &'a [Credential],
    /// Whether somebody has a passkey of this id.
    pub is_taken: bool,
    /// Whether nobody has anything yet that may sign verdicts.
    pub is_first: bool,
}

/// Registers a passkey that a person just made.
///
/// # Errors
/// [`Refusal::PrincipalInactive`]; [`Refusal::Passkey`] when its id is taken,
/// its name unusable, or the person has as many as one may.
pub fn add_passkey(
    moment: &Moment<'_>,
    installation: &Installation,
    principal: &Principal,
    made: &Enrolled,
    name: &str,
    beside: Beside<'_>,
) -> Result<Plan<Credential>, Refusal> {
    let principal = active(principal.alias.as_str(), Some(principal))?;
    let name = label(name)?;
    if beside.is_taken {
        return Err(PasskeyError::Taken.into());
    }
    if beside.existing.iter().filter(|c| stands(c)).count() >= MAX_PASSKEYS {
        return Err(PasskeyError::TooMany.into());
    }
    let kept = KeptPasskey { id: made.id.clone(), jwk: made.jwk.clone(), kept: made.kept.clone() };
    let row = Credential {
        id: uuid_v7(moment.now(), moment.random()?),
        principal: principal.alias.clone(),
        kind: CredentialKind::Passkey,
        lookup: lookup(&made.id)?,
        data: kept.to_text(),
        label: name.to_owned(),
        status: Status::Active,
        added: moment.now(),
        trusted: Some(approvers::trusted_from(moment, installation, beside.is_first)),
    };
    let step = Step::new(moment, &installation.org, Kind::CredentialAdded)?
        .about(|s| s.principal = Some(principal.alias.to_string()))
        .with("credential", row.id.as_str())
        .with("credential_kind", row.kind.as_str())
        .with("lookup", row.lookup)
        .with("jwk", made.jwk.clone())
        .with_some("trusted", row.trusted.map(Timestamp::seconds))
        .commit(moment, "label", name)?
        .row(Row::Credential(row.clone()));
    Ok(Plan::one(step, row))
}

/// Retires a passkey of a person, but never the last one.
///
/// # Errors
/// [`Refusal::Passkey`].
pub fn remove_passkey(
    moment: &Moment<'_>,
    installation: &Installation,
    principal: &Principal,
    id: &str,
    existing: &[Credential],
) -> Result<Plan<()>, Refusal> {
    let found = existing.iter().find(|c| c.id == id && stands(c));
    let found = found.filter(|c| c.principal == principal.alias).ok_or(PasskeyError::Unknown)?;
    check_removal(existing.iter().filter(|c| stands(c)).count())?;
    Ok(Plan::one(retire(moment, installation, found, None)?, ()))
}

/// Retires a credential; `by` says who did it for its person.
pub(crate) fn retire(
    moment: &Moment<'_>,
    installation: &Installation,
    credential: &Credential,
    by: Option<&Administrator>,
) -> Result<Step, Refusal> {
    let row = Credential { status: Status::Retired, ..credential.clone() };
    let step = changed(moment, installation, row)?;
    Ok(match by {
        Some(by) => by.note(step),
        None => step,
    })
}

/// The entry of a credential that is something else now.
pub(super) fn changed(
    moment: &Moment<'_>,
    installation: &Installation,
    row: Credential,
) -> Result<Step, Refusal> {
    Ok(Step::new(moment, &installation.org, Kind::CredentialChanged)?
        .about(|s| s.principal = Some(row.principal.to_string()))
        .with("credential", row.id.as_str())
        .with("status", row.status.as_str())
        .row(Row::Credential(row)))
}

/// Whether a credential is a passkey that still proves anything.
pub(crate) fn stands(credential: &Credential) -> bool {
    credential.kind == CredentialKind::Passkey && credential.status == Status::Active
}
