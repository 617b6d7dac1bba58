//! Logins elsewhere: by which (issuer, subject) at an identity provider a
//! principal is known here.
//!
//! The pair is the identity. An e-mail address, a user name or a group says
//! nothing about who somebody is: providers let people change them. A pair that
//! was one principal's is never another's.

use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::grant::Login;
use bailiwick_core::ids::{PrincipalId, uuid_v7};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_store::{Credential, CredentialKind, Principal, Row, Status};

use crate::host::Moment;
use crate::installation::Installation;
use crate::people::oidc::{LoggedIn, OidcError, ProviderConfig};
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;
use crate::rules::credentials;
use crate::rules::principals::{self, Known, active};

/// Logins that a person may have, of those that they add themselves.
pub const MAX_LOGINS: usize = 20;

/// By what a login is found: SHA-256 of its canonical form.
#[must_use]
pub fn lookup(login: &Login) -> Digest {
    sha256(login.to_json().canonical().as_bytes())
}

/// What a login stated last about its person, as entitlements ask it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Groups, in order.
    pub groups: Vec<String>,
    /// Text claims.
    pub claims: Vec<(String, String)>,
}

impl Facts {
    /// What this login states.
    #[must_use]
    pub fn of(person: &LoggedIn) -> Self {
        Self { groups: person.groups.clone(), claims: person.claims.clone() }
    }
}

/// A login as it is kept in a [`Credential`]'s data.
#[derive(Clone, Debug, PartialEq)]
pub struct KeptLogin {
    /// Where, and as whom.
    pub login: Login,
    groups: Json,
    claims: Json,
}

impl KeptLogin {
    fn new(login: &Login, facts: &Facts) -> Self {
        let groups: Vec<Json> = facts.groups.iter().map(|g| Json::from(g.as_str())).collect();
        let claims = facts.claims.iter().map(|(n, v)| (n.clone(), Json::from(v.as_str())));
        let claims: Object = claims.collect();
        Self { login: login.clone(), groups: groups.into(), claims: claims.into() }
    }

    fn to_text(&self) -> String {
        let object = Object::new()
            .with("login", self.login.to_json())
            .with("groups", self.groups.clone())
            .with("claims", self.claims.clone());
        Json::from(object).canonical()
    }

    /// Reads a credential's data; `None` when it is no login or was erased.
    #[must_use]
    pub fn of(credential: &Credential) -> Option<Self> {
        if credential.kind != CredentialKind::Login {
            return None;
        }
        let json = Json::parse(credential.data.as_bytes(), &JsonLimits::DEFAULT).ok()?;
        let o = json.as_object()?;
        Some(Self {
            login: Login::from_json(o.member("login")?)?,
            groups: o.member("groups")?.clone(),
            claims: o.member("claims")?.clone(),
        })
    }
}

/// Registers by which login at `provider` a principal is known. The same again
/// writes nothing; one that was taken away counts again.
///
/// # Errors
/// [`Refusal::PrincipalInactive`]; [`OidcError::Namespace`] when the provider
/// may not speak for the principal; [`OidcError::Taken`].
pub fn add(
    moment: &Moment<'_>,
    installation: &Installation,
    principal: &Principal,
    provider: &ProviderConfig,
    subject: &str,
    facts: &Facts,
    existing: Option<&Credential>,
) -> Result<Plan<Credential>, Refusal> {
    let principal = active(principal.alias.as_str(), Some(principal))?;
    check_namespace(provider, principal.id.as_ref())?;
    if subject.is_empty() || subject.len() > 255 || subject.chars().any(char::is_control) {
        let expected = "the person's `sub` at the provider";
        return Err(OidcError::Config { member: "subject", expected }.into());
    }
    let login = Login { issuer: provider.issuer.clone(), subject: subject.to_owned() };
    if let Some(existing) = existing {
        if existing.principal != principal.alias {
            return Err(OidcError::Taken.into());
        }
        return status(moment, installation, existing, Status::Active);
    }
    let row = Credential {
        id: uuid_v7(moment.now(), moment.random()?),
        principal: principal.alias.clone(),
        kind: CredentialKind::Login,
        lookup: lookup(&login),
        data: KeptLogin::new(&login, facts).to_text(),
        label: provider.label.clone(),
        status: Status::Active,
        added: moment.now(),
        trusted: None,
    };
    let step = Step::new(moment, &installation.org, Kind::CredentialAdded)?
        .about(|s| s.principal = Some(principal.alias.to_string()))
        .with("credential", row.id.as_str())
        .with("credential_kind", row.kind.as_str())
        .with("lookup", row.lookup)
        .commit(moment, "login", login.to_json())?
        .row(Row::Credential(row.clone()));
    Ok(Plan::one(step, row))
}

/// Adds a login that a signed-in person just proved to be theirs. The same
/// again writes nothing.
///
/// # Errors
/// [`OidcError::TooMany`]; [`OidcError::Taken`], also for one of their own that
/// was taken away: whoever took it gives it back. See [`add`].
pub fn link(
    moment: &Moment<'_>,
    installation: &Installation,
    principal: &Principal,
    provider: &ProviderConfig,
    person: &LoggedIn,
    own: &[Credential],
    existing: Option<&Credential>,
) -> Result<Plan<Credential>, Refusal> {
    let counts = |c: &&Credential| c.kind == CredentialKind::Login && c.status == Status::Active;
    match existing {
        Some(existing) if existing.status != Status::Active => return Err(OidcError::Taken.into()),
        None if own.iter().filter(counts).count() >= MAX_LOGINS => {
            return Err(OidcError::TooMany.into());
        }
        _ => {}
    }
    let facts = Facts::of(person);
    add(moment, installation, principal, provider, &person.subject, &facts, existing)
}

/// Whether a provider may speak for the principal of this name.
///
/// # Errors
/// [`OidcError::Namespace`]; also for one whose name was erased.
pub fn check_namespace(
    provider: &ProviderConfig,
    principal: Option<&PrincipalId>,
) -> Result<(), OidcError> {
    if principal.is_some_and(|id| provider.speaks_for(id)) {
        return Ok(());
    }
    Err(OidcError::Namespace { provider: provider.name.clone() })
}

/// A login is to count, or not to count any more.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn status(
    moment: &Moment<'_>,
    installation: &Installation,
    credential: &Credential,
    status: Status,
) -> Result<Plan<Credential>, Refusal> {
    if credential.status == status {
        return Ok(Plan::nothing(credential.clone()));
    }
    let row = Credential { status, ..credential.clone() };
    Ok(Plan::one(credentials::changed(moment, installation, row.clone())?, row))
}

/// Keeps what the login states about its person now. The same again writes
/// nothing.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn restate(
    moment: &Moment<'_>,
    installation: &Installation,
    credential: &Credential,
    login: &Login,
    facts: &Facts,
) -> Result<Plan<()>, Refusal> {
    let kept = KeptLogin::new(login, facts);
    if KeptLogin::of(credential).is_some_and(|before| before == kept) {
        return Ok(Plan::nothing(()));
    }
    let row = Credential { data: kept.to_text(), ..credential.clone() };
    let step = credentials::changed(moment, installation, row)?.with("restated", true);
    Ok(Plan::one(step, ()))
}

/// The name of a person who comes for the first time, where the operator says
/// that such a person becomes a principal.
///
/// # Errors
/// [`OidcError::Unknown`] where they do not, [`OidcError::Name`].
pub fn new_name(provider: &ProviderConfig, person: &LoggedIn) -> Result<PrincipalId, OidcError> {
    let Some(namespace) = provider.principals.as_ref().filter(|_| provider.provision) else {
        return Err(unknown(provider, person));
    };
    let name = person.name.as_deref().and_then(|value| namespace.name(value));
    name.ok_or_else(|| OidcError::Name {
        provider: provider.name.clone(),
        claim: provider.name_claim.clone(),
    })
}

/// Registers a person who comes for the first time, under a name that nobody
/// has: the name is chosen once, and later logins find the pair, not the name.
///
/// # Errors
/// [`OidcError::NameTaken`]; see [`add`].
pub fn provision(
    moment: &Moment<'_>,
    installation: &Installation,
    provider: &ProviderConfig,
    person: &LoggedIn,
    id: &PrincipalId,
    known: Known<'_>,
) -> Result<Plan<Principal>, Refusal> {
    if known.same_name.is_some() {
        let (provider, subject) = (provider.name.clone(), person.subject.clone());
        return Err(OidcError::NameTaken { provider, subject }.into());
    }
    let mut plan = principals::add(moment, installation, id, None, known)?;
    let facts = Facts::of(person);
    let principal = &plan.outcome;
    let added = add(moment, installation, principal, provider, &person.subject, &facts, None)?;
    plan.steps.extend(added.steps);
    Ok(plan)
}

/// Nobody is known by this login.
pub(crate) fn unknown(provider: &ProviderConfig, person: &LoggedIn) -> OidcError {
    OidcError::Unknown { provider: provider.name.clone(), subject: person.subject.clone() }
}
