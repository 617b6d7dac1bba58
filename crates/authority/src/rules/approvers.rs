//! What may sign verdicts on waiting calls: passkeys, and keys in files.
//!
//! Whoever comes by somebody's session could enrol a key of their own and
//! approve with it. So a new one counts after a while, in which people can see
//! it, or when an owner who is somebody else vouches for it, signed in with what
//! is not new itself: otherwise two new ones would vouch for each other. Only the
//! very first of an installation counts at once: there is nobody yet to ask.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::uuid_v7;
use bailiwick_core::jose::VerifyingKey;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Credential, CredentialKind, Principal, Row, Status};

use crate::host::Moment;
use crate::installation::Installation;
use crate::people::passkeys::label;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;
use crate::rules::principals::active;

/// Seconds after which a passkey or key may sign verdicts whose row does not say:
/// a day, as it was before installations said it.
const WAIT_SECONDS: i64 = 86_400;
/// Approver keys of one person at most.
pub const MAX_KEYS: usize = 10;

/// From when on what is enrolled now may sign verdicts.
#[must_use]
pub fn trusted_from(moment: &Moment<'_>, installation: &Installation, is_first: bool) -> Timestamp {
    if is_first { moment.now() } else { moment.now().plus_seconds(installation.new_key_seconds) }
}

/// From when on a passkey or approver key may sign verdicts.
#[must_use]
pub fn counts_from(credential: &Credential) -> Timestamp {
    credential.trusted.unwrap_or_else(|| credential.added.plus_seconds(WAIT_SECONDS))
}

/// Whether a credential may sign verdicts at `now`.
#[must_use]
pub fn may_sign(credential: &Credential, now: Timestamp) -> bool {
    let signs = matches!(credential.kind, CredentialKind::Passkey | CredentialKind::Approver);
    signs && credential.status == Status::Active && counts_from(credential) <= now
}

/// An approver key's data.
fn to_text(key: &VerifyingKey) -> String {
    Json::from(Object::new().with("jwk", key.to_jwk())).canonical()
}

/// The key of a credential; `None` when it is no approver key or was erased.
#[must_use]
pub fn key_of(credential: &Credential) -> Option<VerifyingKey> {
    if credential.kind != CredentialKind::Approver {
        return None;
    }
    let json = Json::parse(credential.data.as_bytes(), &JsonLimits::DEFAULT).ok()?;
    VerifyingKey::from_jwk(json.as_object()?.member("jwk")?.as_object()?).ok()
}

/// By what an approver key is found.
#[must_use]
pub fn lookup(key: &VerifyingKey) -> Digest {
    Digest::from_array(*key.thumbprint().bytes())
}

/// Registers a key in a file with which a person signs verdicts.
///
/// # Errors
/// [`Refusal::PrincipalInactive`], [`Refusal::NotAPerson`];
/// [`Refusal::KeyTaken`]; [`Refusal::ApproverKeys`] for one too many;
/// [`Refusal::Passkey`] for a name that is none.
pub fn add_key(
    moment: &Moment<'_>,
    installation: &Installation,
    principal: &Principal,
    key: &VerifyingKey,
    name: &str,
    existing: &[Credential],
    (is_taken, is_first): (bool, bool),
) -> Result<Plan<Credential>, Refusal> {
    let principal = active(principal.alias.as_str(), Some(principal))?;
    if let Some(id) = principal.id.as_ref().filter(|id| id.as_str().starts_with("service:")) {
        return Err(Refusal::NotAPerson { id: id.clone() });
    }
    if is_taken {
        return Err(Refusal::KeyTaken { whose: "approver" });
    }
    let stands = |c: &&Credential| c.kind == CredentialKind::Approver && c.status == Status::Active;
    if existing.iter().filter(stands).count() >= MAX_KEYS {
        return Err(Refusal::ApproverKeys { max: MAX_KEYS });
    }
    let name = label(name)?;
    let trusted = trusted_from(moment, installation, is_first);
    let row = Credential {
        id: uuid_v7(moment.now(), moment.random()?),
        principal: principal.alias.clone(),
        kind: CredentialKind::Approver,
        lookup: lookup(key),
        data: to_text(key),
        label: name.to_owned(),
        status: Status::Active,
        added: moment.now(),
        trusted: Some(trusted),
    };
    let step = Step::new(moment, &installation.org, Kind::CredentialAdded)?
        .about(|s| s.principal = Some(principal.alias.to_string()))
        .with("credential", row.id.as_str())
        .with("credential_kind", row.kind.as_str())
        .with("lookup", row.lookup)
        .with("jwk", key.to_jwk())
        .with("trusted", trusted.seconds())
        .commit(moment, "label", name)?
        .row(Row::Credential(row.clone()));
    Ok(Plan::one(step, row))
}

/// With what an owner who vouches is signed in.
#[derive(Clone, Copy, Debug)]
pub struct Voucher<'a> {
    /// The owner.
    pub owner: &'a Principal,
    /// The passkey or login with which they proved who they are, if it is known.
    pub credential: Option<&'a Credential>,
    /// Whether that is the first of all passkeys and approver keys that this
    /// installation ever had.
    pub is_first: bool,
}

impl Voucher<'_> {
    /// SECURITY: by its age alone. Neither the time that its row carries nor
    /// somebody's word counts: what was vouched for within the wait could vouch
    /// on, so that one new key after another would count.
    fn check_age(&self, installation: &Installation, now: Timestamp) -> Result<(), Refusal> {
        let too_new = |from| Refusal::VoucherTooNew { from };
        let credential = self.credential.ok_or_else(|| too_new(None))?;
        let stands = credential.status == Status::Active
            && credential.principal == self.owner.alias
            && credential.kind != CredentialKind::Approver;
        if !stands {
            return Err(too_new(None));
        }
        let from = credential.added.plus_seconds(installation.new_key_seconds);
        if self.is_first || from <= now { Ok(()) } else { Err(too_new(Some(from))) }
    }
}

/// An owner vouches for somebody else's passkey or key: it may sign verdicts
/// from now on.
///
/// # Errors
/// [`Refusal::NotYourself`] for one's own; [`Refusal::Unknown`] for what signs
/// no verdicts; [`Refusal::VoucherTooNew`] where what the owner is signed in with
/// is as new.
pub fn vouch(
    moment: &Moment<'_>,
    installation: &Installation,
    credential: &Credential,
    voucher: Voucher<'_>,
) -> Result<Plan<()>, Refusal> {
    let owner = voucher.owner;
    if credential.principal == owner.alias {
        return Err(Refusal::NotYourself);
    }
    let signs = matches!(credential.kind, CredentialKind::Passkey | CredentialKind::Approver);
    if !signs || credential.status != Status::Active {
        return Err(Refusal::unknown("passkey or approver key", &credential.id));
    }
    if may_sign(credential, moment.now()) {
        return Ok(Plan::nothing(()));
    }
    voucher.check_age(installation, moment.now())?;
    let row = Credential { trusted: Some(moment.now()), ..credential.clone() };
    let step = Step::new(moment, &installation.org, Kind::CredentialTrusted)?
        .about(|s| s.principal = Some(credential.principal.to_string()))
        .with("credential", credential.id.as_str())
        .with("by", &owner.alias)
        .row(Row::Credential(row));
    Ok(Plan::one(step, ()))
}
