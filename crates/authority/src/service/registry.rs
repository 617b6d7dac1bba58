//! Principals, agents, instances.

use bailiwick_core::enrolment::Statement;
use bailiwick_core::ids::{AgentId, Alias, InstanceId, PrincipalId};
use bailiwick_core::jose::VerifyingKey;
use bailiwick_core::json::{Json, Object};
use bailiwick_store::{Agent, Instance, Principal, Status, StoreError, Stored, Subject, View};

use super::life::stop;
use super::{Authority, revoked};
use crate::refusal::Refusal;
use crate::rules::agents::{self, Provenance};
use crate::rules::{instances, principals};

/// The kind of what was revoked of an agent and its owner.
pub(super) fn revoked_of(
    view: &View<'_>,
    agent: &AgentId,
    owner: Option<&Principal>,
) -> Result<Option<&'static str>, StoreError> {
    let mut subjects = vec![Subject::Agent { id: agent.clone() }];
    subjects.extend(owner.map(|o| Subject::Principal { alias: o.alias.clone() }));
    revoked(view, &subjects)
}

/// The state that an enrolment rests on.
pub(super) struct EnrolmentState {
    agent: Option<Stored<Agent>>,
    owner: Option<Stored<Principal>>,
    revoked: Option<&'static str>,
    holder_enrolled: bool,
    instance_exists: bool,
}

impl EnrolmentState {
    pub(super) fn known(&self) -> instances::Known<'_> {
        instances::Known {
            agent: self.agent.as_deref(),
            owner: self.owner.as_deref(),
            revoked: self.revoked,
            holder_enrolled: self.holder_enrolled,
            instance_exists: self.instance_exists,
        }
    }
}

pub(super) fn enrolment_state(
    view: &View<'_>,
    statement: &Statement,
) -> Result<EnrolmentState, StoreError> {
    let agent = view.agent(&statement.agent)?;
    let owner = match &agent {
        Some(agent) => view.principal_by_alias(&agent.owner)?,
        None => None,
    };
    let holder = statement.holder.thumbprint();
    Ok(EnrolmentState {
        revoked: revoked_of(view, &statement.agent, owner.as_deref())?,
        holder_enrolled: view.instance_by_holder(&holder)?.is_some(),
        instance_exists: view.instance(&statement.instance)?.is_some(),
        agent,
        owner,
    })
}

fn is_instance_key(view: &View<'_>, key: &VerifyingKey) -> Result<bool, StoreError> {
    match key {
        VerifyingKey::Ed25519(key) => {
            view.instance_by_holder(&key.thumbprint()).map(|i| i.is_some())
        }
        VerifyingKey::P256(key) => {
            view.instance_by_identity(&Json::from(key.to_jwk()).canonical()).map(|i| i.is_some())
        }
    }
}

impl Authority {
    /// Registers a principal, with the public key that was made on its side if
    /// it is to sign with one.
    ///
    /// # Errors
    /// See [`principals::add`].
    pub fn principal_add(
        &self,
        id: &PrincipalId,
        jwk: Option<&Object>,
    ) -> Result<Principal, Refusal> {
        let (id, jwk) = (id.clone(), jwk.cloned());
        self.commit(move |cx, tx, moment| {
            let key = jwk.as_ref().map(VerifyingKey::from_jwk).transpose()?;
            let same_name = cx.principal(tx, &id)?;
            let known = principals::Known {
                same_name: same_name.as_deref(),
                is_instance_key: match key {
                    Some(key) => is_instance_key(tx, &key)?,
                    None => false,
                },
            };
            principals::add(moment, &cx.installation, &id, jwk.as_ref(), known)
        })
    }

    /// Every principal, by alias.
    ///
    /// # Errors
    /// [`Refusal::Store`], as for every list here.
    pub fn principals(&self) -> Result<Vec<Stored<Principal>>, Refusal> {
        self.read(|view| view.principals())
    }

    /// One principal of this installation.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn principal(&self, id: &PrincipalId) -> Result<Stored<Principal>, Refusal> {
        let found = self.read(|view| self.now().principal(view, id))?;
        found.ok_or_else(|| Refusal::unknown("principal", id))
    }

    /// Suspends, resumes or retires a principal.
    ///
    /// # Errors
    /// See [`principals::change`].
    pub fn principal_status(&self, id: &PrincipalId, status: Status) -> Result<Alias, Refusal> {
        let id = id.clone();
        self.transact(move |cx, tx, moment| {
            let current = cx.principal(tx, &id)?;
            let current = current.as_deref();
            let plan = principals::change(moment, &cx.installation, id.as_str(), current, status)?;
            let alias = cx.write(tx, plan)?;
            stop(tx, &alias, status)?;
            Ok(alias)
        })
    }

    /// Registers an agent under its owner.
    ///
    /// # Errors
    /// See [`agents::add`].
    pub fn agent_add(
        &self,
        id: &AgentId,
        owner: &PrincipalId,
        provenance: Provenance,
    ) -> Result<Agent, Refusal> {
        let (id, owner) = (id.clone(), owner.clone());
        self.commit(move |cx, tx, moment| {
            let (same_name, found) = (tx.agent(&id)?, cx.principal(tx, &owner)?);
            let known = agents::Known {
                same_name: same_name.as_deref(),
                owner_name: owner.as_str(),
                owner: found.as_deref(),
                revoked: revoked_of(tx, &id, found.as_deref())?,
            };
            agents::add(moment, &cx.installation, &id, provenance, known)
        })
    }

    /// Every agent, by name.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn agents(&self) -> Result<Vec<Stored<Agent>>, Refusal> {
        self.read(|view| view.agents())
    }

    /// Suspends, resumes or retires an agent.
    ///
    /// # Errors
    /// See [`agents::change`].
    pub fn agent_status(&self, id: &AgentId, status: Status) -> Result<(), Refusal> {
        let id = id.clone();
        self.commit(move |cx, tx, moment| {
            agents::change(moment, &cx.installation, &id, tx.agent(&id)?.as_deref(), status)
        })
    }

    /// Enrols an instance from the document that its host signed with both keys.
    ///
    /// # Errors
    /// See [`instances::enrol`].
    pub fn instance_enrol(&self, enrolment: &Json) -> Result<Instance, Refusal> {
        let statement = instances::read(enrolment)?;
        let enrolment = enrolment.clone();
        self.commit(move |cx, tx, moment| {
            let state = enrolment_state(tx, &statement)?;
            instances::enrol(moment, &cx.installation, &enrolment, &statement, state.known())
        })
    }

    /// The instances of an agent, or all, by id.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn instances(&self, agent: Option<&AgentId>) -> Result<Vec<Stored<Instance>>, Refusal> {
        self.read(|view| view.instances(agent))
    }

    /// Retires an instance, for good.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn instance_retire(&self, id: &InstanceId) -> Result<(), Refusal> {
        let id = id.clone();
        self.commit(move |cx, tx, moment| {
            instances::retire(moment, &cx.installation, &id, tx.instance(&id)?.as_deref())
        })
    }
}
