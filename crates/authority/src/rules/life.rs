//! The life of an account: a way in for who lost theirs, and the end.

use bailiwick_core::ids::{AgentId, Alias, PrincipalId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{
    Agent, Client, Credential, Instance, Principal, Revocation, Status, VaultTaken,
};

use crate::host::Moment;
use crate::installation::Installation;
use crate::people::roles::Role;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;
use crate::rules::agents::{self, Moved};
use crate::rules::principals::active;
use crate::rules::revocations::{By, Resolved, revoke};
use crate::rules::{credentials, principals, roles};

/// The reason's code in the entries of somebody who leaves.
pub const OFFBOARDED: &str = "offboarded";
/// The reason's code of a link by which an owner comes back.
pub const RECOVERY: &str = "recovery";
/// Bytes of the reason for which somebody leaves, at most.
const MAX_REASON: usize = 500;

/// Who tends the accounts of others. Neither can act as one of them without
/// leaving an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Administrator {
    /// Whoever can read and write the data dir on the authority's host: that
    /// is the proof.
    OnHost,
    /// An owner who is signed in to the console.
    SignedIn(Alias),
}

impl Administrator {
    /// The same step, with who did it.
    pub(crate) fn note(&self, step: Step) -> Step {
        match self {
            Self::OnHost => step.with("by", "operator"),
            Self::SignedIn(owner) => step.with("by", "owner").with("session_of", owner),
        }
    }

    /// Nobody ends or stops their own account in the console.
    ///
    /// # Errors
    /// [`Refusal::NotYourself`].
    pub(crate) fn check_other(&self, principal: &Alias) -> Result<(), Refusal> {
        match self {
            Self::SignedIn(owner) if owner == principal => Err(Refusal::NotYourself),
            _ => Ok(()),
        }
    }
}

/// The entry of a one-time link by which a principal enrols a passkey: whoever
/// opens it first can act as that principal, so it is never made unseen.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn invited(
    moment: &Moment<'_>,
    installation: &Installation,
    principal: &Alias,
    by: &Administrator,
    reason: Option<&'static str>,
    until: Timestamp,
) -> Result<Plan<()>, Refusal> {
    let step = Step::new(moment, &installation.org, Kind::PrincipalInvited)?
        .about(|s| {
            s.principal = Some(principal.to_string());
            s.reason = reason.map(str::to_owned);
        })
        .with("until", until.seconds());
    Ok(Plan::one(by.note(step), ()))
}

/// An agent with what runs as it.
#[derive(Clone, Debug, PartialEq)]
pub struct Owned {
    /// The agent.
    pub agent: Agent,
    /// The kind of what was revoked of it.
    pub revoked: Option<&'static str>,
    /// Its instances.
    pub instances: Vec<Instance>,
    /// The clients that are mapped to it.
    pub clients: Vec<Client>,
}

/// Somebody who leaves, as the state knows them.
#[derive(Clone, Copy, Debug)]
pub struct Leaving<'a> {
    /// Their name.
    pub id: &'a PrincipalId,
    /// Who.
    pub principal: &'a Principal,
    /// Their roles.
    pub roles: &'a [Role],
    /// Owners beside them who can sign in.
    pub other_owners: usize,
    /// Their credentials.
    pub credentials: &'a [Credential],
    /// Their agents.
    pub agents: &'a [Owned],
    /// An earlier revocation of them.
    pub revoked: Option<&'a Revocation>,
}

/// Who takes the agents over.
#[derive(Clone, Copy, Debug)]
pub struct Heir<'a> {
    /// Their name.
    pub id: &'a PrincipalId,
    /// Who; `None` when nobody has that name.
    pub principal: Option<&'a Principal>,
    /// The kind of what was revoked of them.
    pub revoked: Option<&'static str>,
}

/// What ended with somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offboarded {
    /// Their alias: their name may be erased from now on.
    pub alias: Alias,
    /// Whether anything was left to end; nothing is written otherwise.
    pub changed: bool,
    /// Agents that somebody else answers for now.
    pub moved: Vec<Moved>,
    /// Agents that are retired.
    pub retired: Vec<AgentId>,
    /// Roles that were taken.
    pub roles: Vec<Role>,
    /// Passkeys, logins and keys that prove nothing any more.
    pub credentials: usize,
    /// Grants that had not ended.
    pub grants: usize,
    /// Sessions that were ended.
    pub sessions: usize,
    /// Workflows that name them as owner: publish each with another one.
    pub workflows: Vec<String>,
    /// Their credentials at tool servers, taken out of the vault: whose server
    /// can be told that they ended is to be told.
    pub taken: Vec<VaultTaken>,
}

impl Offboarded {
    /// What ended with `id`, as programs read it.
    #[must_use]
    pub fn to_json(&self, id: &PrincipalId) -> Object {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let workflows: Vec<Json> = self.workflows.iter().map(|w| Json::from(w.as_str())).collect();
        let roles: Vec<Json> = self.roles.iter().map(|role| Json::from(role.as_str())).collect();
        let moved: Vec<Json> = self.moved.iter().map(|moved| moved.to_json().into()).collect();
        Object::new()
            .with("principal", id)
            .with("alias", &self.alias)
            .with("changed", self.changed)
            .with("status", Status::Retired.as_str())
            .with("grants_ended", count(self.grants))
            .with("sessions_ended", count(self.sessions))
            .with("credentials_retired", count(self.credentials))
            .with("roles_taken", roles)
            .with("agents_moved", moved)
            .with("agents_retired", self.retired.iter().map(Json::from).collect::<Vec<_>>())
            .with("workflows", workflows)
    }
}

/// Ends a person's authority: one revocation ends every grant with all that was
/// derived from it, roles are taken, credentials and the account are retired,
/// agents move to `heir` or are retired. What is so already is not written
/// again.
///
/// # Errors
/// [`Refusal::LastOwner`], [`Refusal::NotYourself`]; [`Refusal::ReasonMissing`]
/// when `reason` is empty or too long to be one; [`Refusal::SamePrincipal`],
/// [`Refusal::Unknown`], [`Refusal::PrincipalInactive`] or [`Refusal::Revoked`]
/// for the heir.
pub fn offboard(
    moment: &Moment<'_>,
    installation: &Installation,
    leaving: &Leaving<'_>,
    heir: Option<Heir<'_>>,
    by: &Administrator,
    reason: &str,
) -> Result<Plan<Offboarded>, Refusal> {
    let principal = leaving.principal;
    let alias = &principal.alias;
    by.check_other(alias)?;
    let reason = reason.trim();
    if reason.is_empty() || reason.len() > MAX_REASON {
        return Err(Refusal::ReasonMissing);
    }
    if leaving.roles.contains(&Role::Owner) && leaving.other_owners == 0 {
        return Err(Refusal::LastOwner);
    }
    let mut steps = Vec::new();
    let mut outcome = Offboarded {
        alias: alias.clone(),
        changed: false,
        moved: Vec::new(),
        retired: Vec::new(),
        roles: leaving.roles.to_vec(),
        credentials: 0,
        grants: 0,
        sessions: 0,
        workflows: Vec::new(),
        taken: Vec::new(),
    };
    for role in leaving.roles {
        let others = leaving.other_owners;
        let taken = roles::change(moment, installation, principal, *role, false, true, others)?;
        steps.extend(taken.steps.into_iter().map(|step| by.note(step)));
    }
    for credential in leaving.credentials.iter().filter(|c| c.status != Status::Retired) {
        steps.push(credentials::retire(moment, installation, credential, Some(by))?);
        outcome.credentials += 1;
    }
    let heir = heir.map(|heir| heir.check(alias)).transpose()?;
    for owned in leaving.agents.iter().filter(|o| o.agent.status != Status::Retired) {
        // What was revoked works for nobody, so it stays with whoever had it.
        match heir.filter(|_| owned.revoked.is_none()) {
            Some(heir) => {
                let plan = agents::transfer(moment, installation, owned, heir, by)?;
                steps.extend(plan.steps);
                outcome.moved.extend(plan.outcome);
            }
            None => {
                let (id, agent) = (&owned.agent.id, Some(&owned.agent));
                let plan = agents::change(moment, installation, id, agent, Status::Retired)?;
                steps.extend(plan.steps.into_iter().map(|step| by.note(step)));
                outcome.retired.push(id.clone());
            }
        }
    }
    steps.extend(end(moment, installation, leaving, by, reason)?);
    outcome.changed = !steps.is_empty();
    Ok(Plan { steps, outcome })
}

/// The revocation and the end of the account.
fn end(
    moment: &Moment<'_>,
    installation: &Installation,
    leaving: &Leaving<'_>,
    by: &Administrator,
    reason: &str,
) -> Result<Vec<Step>, Refusal> {
    let alias = &leaving.principal.alias;
    let resolved = Resolved::principal(alias);
    let already: Vec<_> = leaving.revoked.into_iter().cloned().collect();
    let author = match by {
        Administrator::OnHost => By::Operator,
        Administrator::SignedIn(owner) => By::Session { principal: owner, any: true },
    };
    let detail = Some(reason);
    let mut steps =
        revoke(moment, installation, &resolved, OFFBOARDED, detail, author, &already)?.steps;
    let (name, current) = (leaving.id.as_str(), Some(leaving.principal));
    let retired = principals::change(moment, installation, name, current, Status::Retired)?;
    steps.extend(retired.steps.into_iter().map(|step| {
        let step = step.about(|s| s.reason = Some(OFFBOARDED.to_owned()));
        by.note(step)
    }));
    Ok(steps)
}

impl<'a> Heir<'a> {
    /// The heir, if they can answer for an agent of `former`.
    pub(crate) fn check(self, former: &Alias) -> Result<&'a Principal, Refusal> {
        let heir = active(self.id.as_str(), self.principal)?;
        if let Some(kind) = self.revoked {
            return Err(Refusal::Revoked { kind });
        }
        if heir.alias == *former {
            return Err(Refusal::SamePrincipal);
        }
        Ok(heir)
    }
}
