//! The life of accounts: links, lost passkeys, recovery, and people who leave.

use bailiwick_core::ids::{AgentId, Alias, PrincipalId};
use bailiwick_store::{Principal, Status, StoreError, Stored, Subject, Ticket, Tx, View};

use super::logins::end_sessions;
use super::passkeys::{OwnPasskey, own_passkeys};
use super::people::{LINK, person, rows};
use super::registry::revoked_of;
use super::{Authority, Inner, revoked};
use crate::host::Moment;
use crate::people::passkeys::PasskeyError;
use crate::people::roles::Role;
use crate::people::sessions::Secret;
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::rules::agents::{self, Moved};
use crate::rules::life::{self, Administrator, Heir, Leaving, Offboarded, Owned, RECOVERY};
use crate::rules::{credentials, principals, roles, vault};

/// Seconds for which an enrolment link may be used.
const LINK_SECONDS: i64 = 24 * 60 * 60;
/// Grants that are counted when somebody leaves; all of them end.
const MAX_COUNTED: u32 = 100_000;

/// Passkeys that an administrator retired for their person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Which.
    pub passkeys: Vec<OwnPasskey>,
    /// How many are left.
    pub left: usize,
    /// Sessions that were ended.
    pub sessions: usize,
}

/// An owner who can come back in.
pub struct Recovered {
    /// The one-time link.
    pub link: Secret,
    /// Whether the role was given; otherwise they held it.
    pub role_given: bool,
    /// Sessions of theirs that were ended.
    pub sessions: usize,
    /// Other owners who can sign in: they could have made a link.
    pub others: Vec<PrincipalId>,
}

impl std::fmt::Debug for Recovered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recovered").field("others", &self.others).finish_non_exhaustive()
    }
}

/// Whoever stops being active is signed out everywhere and has no link: to be
/// active again later brings none of it back.
pub(super) fn stop(tx: &mut Tx<'_>, alias: &Alias, status: Status) -> Result<(), Refusal> {
    if status != Status::Active {
        end_sessions(tx, alias)?;
        tx.drop_tickets(LINK, alias.as_str())?;
    }
    Ok(())
}

impl Authority {
    /// Makes a one-time link by which a principal enrols its first passkey, or
    /// another one when the others are lost. Links that it had before end. The
    /// entry says who made it: for whom this authority acts, or the operator on
    /// the host.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::PrincipalInactive`].
    pub fn enrolment_link(&self, id: &PrincipalId) -> Result<Secret, Refusal> {
        let person = self.1.clone();
        let by = person.map_or(Administrator::OnHost, Administrator::SignedIn);
        self.enrolment_link_by(id, &by)
    }

    /// The same, and who makes it.
    ///
    /// # Errors
    /// As [`Authority::enrolment_link`].
    pub fn enrolment_link_by(
        &self,
        id: &PrincipalId,
        by: &Administrator,
    ) -> Result<Secret, Refusal> {
        let (id, by) = (id.clone(), by.clone());
        self.transact(move |cx, tx, moment| {
            let principal = find(cx, tx, &id)?;
            invite(cx, tx, moment, &principal.alias, &by, None)
        })
    }

    /// Suspends or resumes a principal for an owner who is signed in.
    ///
    /// # Errors
    /// [`Refusal::NotYourself`], and see [`principals::change`].
    pub fn principal_status_by(
        &self,
        id: &PrincipalId,
        status: Status,
        by: &Administrator,
    ) -> Result<Alias, Refusal> {
        let (id, by) = (id.clone(), by.clone());
        self.transact(move |cx, tx, moment| {
            let current = find(cx, tx, &id)?;
            by.check_other(&current.alias)?;
            let name = id.as_str();
            let mut plan =
                principals::change(moment, &cx.installation, name, Some(&current), status)?;
            plan.steps = plan.steps.into_iter().map(|step| by.note(step)).collect();
            stop(tx, &current.alias, status)?;
            cx.write(tx, plan)
        })
    }

    /// Retires passkeys of a person who lost them, also the last one: the one
    /// with this id, or all. Their sessions end, whoever began them.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::Passkey`] when there is none.
    pub fn passkeys_lost(
        &self,
        id: &PrincipalId,
        which: Option<&str>,
        by: &Administrator,
    ) -> Result<Removed, Refusal> {
        let (id, which, by) = (id.clone(), which.map(str::to_owned), by.clone());
        self.transact(move |cx, tx, moment| {
            let alias = find(cx, tx, &id)?.row.alias;
            let mut passkeys = own_passkeys(tx, &alias, moment.now())?;
            let all = passkeys.len();
            passkeys.retain(|p| which.as_ref().is_none_or(|which| p.id == *which));
            if passkeys.is_empty() {
                return Err(PasskeyError::Unknown.into());
            }
            for credential in rows(tx.credentials_of(&alias)?) {
                if passkeys.iter().any(|passkey| passkey.id == credential.id) {
                    let (installation, by) = (&cx.installation, Some(&by));
                    let step = credentials::retire(moment, installation, &credential, by)?;
                    cx.write(tx, crate::plan::Plan::one(step, ()))?;
                }
            }
            let left = all.saturating_sub(passkeys.len());
            Ok(Removed { left, passkeys, sessions: end_sessions(tx, &alias)? })
        })
    }

    /// Lets a person be an owner again who has lost every way in: the role, if
    /// they do not hold it, and a one-time link. Whoever works on the data dir
    /// itself may do it; the entry says that it was done there, and why.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::PrincipalInactive`].
    pub fn recover(&self, id: &PrincipalId) -> Result<Recovered, Refusal> {
        let id = id.clone();
        self.transact(move |cx, tx, moment| {
            let principal = find(cx, tx, &id)?;
            let alias = principal.alias.clone();
            person(tx, &alias)?.ok_or(Refusal::PrincipalInactive)?;
            let others = other_owners(tx, &alias)?;
            let holds = tx.roles_of(&alias)?.iter().any(|role| role == Role::Owner.as_str());
            let installation = &cx.installation;
            let given = roles::change(
                moment,
                installation,
                &principal,
                Role::Owner,
                true,
                holds,
                others.len(),
            )?;
            cx.write(tx, given)?;
            let sessions = end_sessions(tx, &alias)?;
            let by = Administrator::OnHost;
            let link = invite(cx, tx, moment, &alias, &by, Some(RECOVERY))?;
            Ok(Recovered { link, role_given: !holds, sessions, others })
        })
    }

    /// Ends a person's authority, in one transaction; their agents move to
    /// `agents_to` or are retired. `reason` is committed to.
    ///
    /// # Errors
    /// See [`life::offboard`].
    pub fn offboard(
        &self,
        id: &PrincipalId,
        agents_to: Option<&PrincipalId>,
        by: &Administrator,
        reason: &str,
    ) -> Result<Offboarded, Refusal> {
        let (id, to, by) = (id.clone(), agents_to.cloned(), by.clone());
        let reason = reason.to_owned();
        let mut left = self.transact(move |cx, tx, moment| {
            let principal = find(cx, tx, &id)?;
            let alias = &principal.alias;
            let subject = [Subject::Principal { alias: alias.clone() }];
            let revoked = tx.is_revoked(&subject)?;
            let held = tx.roles_of(alias)?;
            let held: Vec<Role> = held.iter().filter_map(|role| role.parse().ok()).collect();
            let credentials = rows(tx.credentials_of(alias)?);
            let agents = tx.agents_of_owner(alias)?;
            let agents = agents.into_iter().map(|a| owned(tx, a)).collect::<Result<Vec<_>, _>>()?;
            let leaving = Leaving {
                id: &id,
                principal: &principal,
                roles: &held,
                other_owners: other_owners(tx, alias)?.len(),
                credentials: &credentials,
                agents: &agents,
                revoked: revoked.as_ref(),
            };
            let found = to.as_ref().map(|to| cx.principal(tx, to)).transpose()?.flatten();
            let heir = match &to {
                Some(to) => Some(heir(tx, to, found.as_deref())?),
                None => None,
            };
            let plan = life::offboard(moment, &cx.installation, &leaving, heir, &by, &reason)?;
            let now = moment.now();
            let grants = tx.grants_of_principal(alias, MAX_COUNTED)?;
            // What was ended before does not end again.
            let stands = |expires| revoked.is_none() && expires > now;
            let open = grants.iter().filter(|grant| stands(grant.expires)).count();
            for owned in &agents {
                tx.drop_tickets(super::identities::INVITATION, owned.agent.id.as_str())?;
            }
            tx.drop_tickets(LINK, alias.as_str())?;
            let sessions = end_sessions(tx, alias)?;
            let left = cx.write(tx, plan)?;
            // What others' services let the principal do ends here as well.
            let taken = tx.vault_take_of(alias)?;
            for taken in &taken {
                let place = &taken.row.place;
                let step = vault::remove(moment, &cx.installation, place, "offboarded")?;
                cx.write(tx, Plan::one(step, ()))?;
            }
            Ok(Offboarded { grants: open, sessions, taken, ..left })
        })?;
        left.workflows = self.workflows_of_owner(&left.alias)?;
        Ok(left)
    }

    /// Moves an agent to another active owner; what ran as it has to be
    /// enrolled and mapped again. `None` when it is that owner's already.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::PrincipalInactive`], and see
    /// [`agents::transfer`].
    pub fn agent_transfer(
        &self,
        id: &AgentId,
        to: &PrincipalId,
        by: &Administrator,
    ) -> Result<Option<Moved>, Refusal> {
        let (id, to, by) = (id.clone(), to.clone(), by.clone());
        self.transact(move |cx, tx, moment| {
            let agent = tx.agent(&id)?.ok_or_else(|| Refusal::unknown("agent", &id))?;
            let owned = owned(tx, agent)?;
            let found = cx.principal(tx, &to)?;
            let found = principals::active(to.as_str(), found.as_deref())?;
            if let Some(kind) = revoked(tx, &[Subject::Principal { alias: found.alias.clone() }])? {
                return Err(Refusal::Revoked { kind });
            }
            let plan = agents::transfer(moment, &cx.installation, &owned, found, &by)?;
            if plan.outcome.is_some() {
                // Whoever has an unused token would enrol under the new owner.
                tx.drop_tickets(super::identities::INVITATION, id.as_str())?;
            }
            cx.write(tx, plan)
        })
    }

    /// Names of the published workflows whose owner is the principal of this
    /// alias.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn workflows_of_owner(&self, alias: &Alias) -> Result<Vec<String>, Refusal> {
        let read = |view: &View<'_>| Ok((view.principal_by_alias(alias)?, view.workflows()?));
        let (owner, published) = self.read(read)?;
        let name = owner.and_then(|owner| owner.row.id);
        let inner = self.now();
        let mut found = Vec::new();
        for row in &published {
            if name.as_ref() == Some(&inner.parsed.of(row)?.owner) {
                found.push(row.id.to_string());
            }
        }
        Ok(found)
    }
}

fn find(cx: &Inner, view: &View<'_>, id: &PrincipalId) -> Result<Stored<Principal>, Refusal> {
    cx.principal(view, id)?.ok_or_else(|| Refusal::unknown("principal", id))
}

/// A new link for a person who may sign in, and its entry.
fn invite(
    cx: &Inner,
    tx: &mut Tx<'_>,
    moment: &Moment<'_>,
    alias: &Alias,
    by: &Administrator,
    reason: Option<&'static str>,
) -> Result<Secret, Refusal> {
    let (principal, id) = person(tx, alias)?.ok_or(Refusal::PrincipalInactive)?;
    if is_service(&id) {
        return Err(Refusal::NotAPerson { id });
    }
    let until = moment.now().plus_seconds(LINK_SECONDS);
    let installation = &cx.installation;
    let plan = life::invited(moment, installation, &principal.alias, by, reason, until)?;
    cx.write(tx, plan)?;
    let secret = Secret::mint(moment)?;
    let family = principal.alias.to_string();
    tx.drop_tickets(LINK, &family)?;
    let (key, value) = (secret.hash(), "{}".to_owned());
    tx.keep_ticket(&Ticket { kind: LINK, key, family, value, expires: until })?;
    Ok(secret)
}

/// Services have keys and sign requests; they sign in nowhere.
pub(super) fn is_service(id: &PrincipalId) -> bool {
    id.as_str().starts_with("service:")
}

/// Owners beside this one who can sign in: active, with a passkey or a login
/// that counts. One who has none would leave the installation to nobody.
pub(super) fn other_owners(view: &View<'_>, alias: &Alias) -> Result<Vec<PrincipalId>, Refusal> {
    let mut others = Vec::new();
    for holder in view.holders_of_role(Role::Owner.as_str())? {
        let has_way_in = view.credentials_of(&holder)?.iter().any(|c| c.status == Status::Active);
        if holder != *alias && has_way_in {
            others.extend(person(view, &holder)?.map(|(_, id)| id));
        }
    }
    Ok(others)
}

fn owned(view: &View<'_>, agent: Stored<bailiwick_store::Agent>) -> Result<Owned, StoreError> {
    let agent = agent.row;
    let instances = view.instances(Some(&agent.id))?.into_iter().map(|i| i.row).collect();
    let clients = view.clients_of_agent(&agent.id)?.into_iter().map(|c| c.row).collect();
    Ok(Owned { revoked: revoked_of(view, &agent.id, None)?, agent, instances, clients })
}

fn heir<'a>(
    view: &View<'_>,
    id: &'a PrincipalId,
    principal: Option<&'a Principal>,
) -> Result<Heir<'a>, StoreError> {
    let revoked = match principal {
        Some(p) => revoked(view, &[Subject::Principal { alias: p.alias.clone() }])?,
        None => None,
    };
    Ok(Heir { id, principal, revoked })
}
