//! Grants and roots.

use std::sync::Arc;

use bailiwick_core::crypto::{Digest, Thumbprint};
use bailiwick_core::grant::{Proof, Registered, Request, Statement};
use bailiwick_core::guarantee::Guarantee;
use bailiwick_core::ids::{
    AgentId, GrantId, InstanceId, PrincipalId, RequestId, TaskId, WorkflowId,
};
use bailiwick_core::jose::VerifyingKey;
use bailiwick_core::json::Json;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::stop::StopTarget;
use bailiwick_policy::Workflow;
use bailiwick_policy::entitlements::Ceiling;
use bailiwick_store::{
    Agent, Delegation, Grant, Instance, Principal, Status, Stored, Subject, View,
};

use super::places::free_place;
use super::requests::Answered;
use super::stops::stopped;
use super::{Authority, Inner, disclosed, revoked};
use crate::host::Moment;
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::rules::delegations::{
    self, Issued, Onto, Options, Parties, Prepared, Recipient, Submission, choose_instance,
    choose_workflow,
};
use crate::rules::principals::signing_key;

/// What may be said about a grant beside the request in the seed shape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PrepareOptions {
    /// Begin, depth and budget.
    pub options: Options,
    /// A task that was minted before; a new one, if absent.
    pub task: Option<TaskId>,
    /// The request of an agent that the grant answers; its task then.
    pub request: Option<RequestId>,
}

/// What a grant rests on, read from one snapshot.
pub(super) struct State {
    pub(super) principal: Option<Stored<Principal>>,
    pub(super) agent: Option<Stored<Agent>>,
    pub(super) owner: Option<Stored<Principal>>,
    pub(super) workflow: Arc<Workflow>,
    pub(super) revoked: Option<&'static str>,
    pub(super) stopped: Option<StopTarget>,
    pub(super) ceiling: Ceiling,
}

impl State {
    pub(super) fn read(
        cx: &Inner,
        view: &View<'_>,
        principal: &PrincipalId,
        agent: &AgentId,
        workflow: &WorkflowId,
    ) -> Result<Self, Refusal> {
        let current = view.workflow(workflow)?;
        let current = current.ok_or_else(|| Refusal::unknown("workflow", workflow))?;
        let workflow = cx.parsed.of(&current)?;
        let principal = cx.principal(view, principal)?;
        let agent = view.agent(agent)?;
        let owner = match &agent {
            Some(agent) => view.principal_by_alias(&agent.owner)?,
            None => None,
        };
        let mut subjects = vec![Subject::Workflow { id: workflow.id.clone() }];
        for principal in [&principal, &owner].into_iter().flatten() {
            subjects.push(Subject::Principal { alias: principal.alias.clone() });
        }
        if let Some(agent) = &agent {
            subjects.push(Subject::Agent { id: agent.id.clone() });
        }
        let revoked = revoked(view, &subjects)?;
        let mut targets = vec![StopTarget::Everything, StopTarget::Workflow(workflow.id.clone())];
        targets.extend(agent.as_ref().map(|agent| StopTarget::Agent(agent.id.clone())));
        let stopped = stopped(view, &targets)?;
        let ceiling = match &principal {
            Some(principal) => cx.ceilings.of(view, principal)?,
            None => Ceiling::nothing(),
        };
        Ok(Self { principal, agent, owner, workflow, revoked, stopped, ceiling })
    }

    pub(super) fn parties(&self) -> Parties<'_> {
        Parties {
            principal: self.principal.as_deref(),
            agent: self.agent.as_deref(),
            owner: self.owner.as_deref(),
            revoked: self.revoked,
            stopped: self.stopped.as_ref(),
            ceiling: &self.ceiling,
        }
    }

    pub(super) fn also_revoked(
        &mut self,
        view: &View<'_>,
        subjects: &[Subject],
    ) -> Result<(), Refusal> {
        if self.revoked.is_none() {
            self.revoked = revoked(view, subjects)?;
        }
        if self.stopped.is_none() {
            let tasks = subjects.iter().filter_map(|subject| match subject {
                Subject::Task { id } => Some(StopTarget::Task(id.clone())),
                _ => None,
            });
            self.stopped = stopped(view, &tasks.collect::<Vec<_>>())?;
        }
        Ok(())
    }
}

/// The agent's instances that a root may name.
pub(super) fn instances(view: &View<'_>, agent: &AgentId) -> Result<Vec<Instance>, Refusal> {
    let mut standing = Vec::new();
    for instance in view.instances(Some(agent))? {
        let subject = [Subject::Instance { id: instance.id.clone() }];
        if instance.status == Status::Active && revoked(view, &subject)?.is_none() {
            standing.push(instance.row);
        }
    }
    Ok(standing)
}

/// The key with which a principal signs by itself.
pub(super) fn own_keys(principal: Option<&Principal>) -> Result<Vec<VerifyingKey>, Refusal> {
    let key = principal.filter(|p| p.status == Status::Active).map(signing_key);
    Ok(key.transpose()?.into_iter().collect())
}

/// Which instance a root is to name.
pub(super) enum Pick {
    /// The one whose holder key it is.
    Holder(Thumbprint),
    /// This one.
    Id(InstanceId),
    /// The only one.
    Only,
}

/// Makes the statement that the principal is to sign.
pub(super) fn prepared(
    cx: &Inner,
    view: &View<'_>,
    moment: &Moment<'_>,
    request: &Request,
    options: &PrepareOptions,
) -> Result<Prepared, Refusal> {
    let published = match &request.workflow {
        Some(id) => Vec::from_iter(view.workflow(id)?),
        None => view.workflows()?,
    };
    let published = published.iter().map(|row| cx.parsed.of(row)).collect::<Result<Vec<_>, _>>()?;
    let workflow = match choose_workflow(request, &published) {
        // That no workflow lists it is no news of an agent that there is not.
        Err(Refusal::NoWorkflow { agent, .. }) if view.agent(&agent)?.is_none() => {
            return Err(Refusal::unknown("agent", agent));
        }
        chosen => chosen?,
    };
    let mut state = State::read(cx, view, &request.principal, &request.agent, &workflow.id)?;
    let answered = options.request.as_ref().map(|id| Answered::read(view, id)).transpose()?;
    let mut task = None;
    let asked_for = answered.as_ref().map(|answered| &answered.request.task);
    if let Some(id) = asked_for.or(options.task.as_ref()) {
        let found = view.task(id)?.ok_or_else(|| Refusal::unknown("task", id))?;
        state.also_revoked(view, &[Subject::Task { id: id.clone() }])?;
        let purpose = disclosed(view, &found.entry, "purpose")?;
        let purpose = purpose.as_ref().and_then(Json::as_str).unwrap_or_default();
        task = Some((found.row, purpose.to_owned()));
    }
    let mut terms = options.options.clone();
    if let Some(answered) = &answered {
        state.also_revoked(view, &[Subject::Grant { id: answered.request.grant.clone() }])?;
        answered.bound(&mut terms);
    }
    let onto = Onto {
        task: task.as_ref().map(|(task, purpose)| (task, purpose.as_str())),
        answers: answered.as_ref().map(Answered::rule),
    };
    let (installation, parties) = (&cx.installation, state.parties());
    let statement = delegations::prepare(
        moment,
        installation,
        parties,
        &state.workflow,
        request,
        &terms,
        onto,
    )?;
    Ok(Prepared::new(statement, moment.now(), &*cx.keys.maker))
}

/// What a grant that came back signed with a key of the principal's own makes.
pub(super) fn submitted(
    cx: &Inner,
    view: &View<'_>,
    moment: &Moment<'_>,
    prepared: &Prepared,
    proof: &Proof,
    pick: &Pick,
) -> Result<Plan<Issued>, Refusal> {
    let statement = &prepared.statement;
    let (principal, agent) = (&statement.principal, &statement.agent);
    let mut state = State::read(cx, view, principal, agent, &statement.workflow)?;
    state.also_revoked(view, &[Subject::Task { id: statement.task.clone() }])?;
    let answered = Answered::of(view, statement)?;
    if let Some(answered) = &answered {
        state.also_revoked(view, &[Subject::Grant { id: answered.request.grant.clone() }])?;
    }
    let task = view.task(&statement.task)?;
    let instances = instances(view, agent)?;
    let keys = own_keys(state.principal.as_deref())?;
    let instance = match pick {
        Pick::Holder(holder) => {
            let found = instances.iter().find(|i| i.holder == *holder);
            Some(&found.ok_or_else(|| Refusal::InstanceMissing { agent: agent.clone() })?.id)
        }
        Pick::Id(id) => Some(id),
        Pick::Only => None,
    };
    let submission = Submission {
        prepared,
        proof,
        registered: Registered { keys: &keys, ..Registered::NOTHING },
        credential: None,
        parties: state.parties(),
        workflow: &state.workflow,
        task: task.as_deref(),
        grant_exists: view.grant(&statement.id)?.is_some(),
        instances: &instances,
        instance,
        status_index: free_place(view, moment)?,
        answers: answered.as_ref().map(Answered::rule),
    };
    delegations::submit(moment, &cx.installation, &cx.keys, submission)
}

impl Authority {
    /// Makes the statement that the principal is to sign: resolves the
    /// workflow, expands the scope, mints task and grant ids. Nothing is
    /// written.
    ///
    /// # Errors
    /// See [`delegations::prepare`] and [`choose_workflow`].
    pub fn prepare(
        &self,
        request: &Request,
        options: &PrepareOptions,
    ) -> Result<Prepared, Refusal> {
        let moment = Moment::of(&*self.0.host);
        let inner = self.now();
        let cx = &*inner;
        cx.store.read(|view| prepared(cx, view, &moment, request, options))
    }

    /// Takes the grant back, signed with the principal's own key: records task
    /// and grant and issues the root to an enrolled instance of the agent.
    ///
    /// # Errors
    /// See [`delegations::submit`].
    pub fn submit(
        &self,
        prepared: &Prepared,
        signed: &str,
        instance: Option<&InstanceId>,
    ) -> Result<Issued, Refusal> {
        self.workflow(&prepared.statement.workflow)?;
        let (prepared, proof) = (prepared.clone(), Proof::Request(signed.to_owned()));
        let pick = instance.map_or(Pick::Only, |id| Pick::Id(id.clone()));
        self.commit(move |cx, tx, moment| submitted(cx, tx, moment, &prepared, &proof, &pick))
    }

    /// Issues another root under a grant that stands, for an active instance of
    /// its agent.
    ///
    /// # Errors
    /// See [`delegations::reissue`].
    pub fn reissue(
        &self,
        grant: &GrantId,
        instance: Option<&InstanceId>,
    ) -> Result<Issued, Refusal> {
        let (grant, instance) = (grant.clone(), instance.cloned());
        self.commit(move |cx, tx, moment| {
            let unknown = || Refusal::unknown("grant", &grant);
            let (text, _) = tx.grant_texts(&grant)?.ok_or_else(unknown)?;
            let statement = Json::parse(text.as_bytes(), &JsonLimits::DEFAULT)
                .ok()
                .and_then(|json| Statement::from_json(&json).ok())
                .ok_or_else(unknown)?;
            let (principal, agent) = (&statement.principal, &statement.agent);
            let mut state = State::read(cx, tx, principal, agent, &statement.workflow)?;
            let subjects = [
                Subject::Grant { id: grant.clone() },
                Subject::Task { id: statement.task.clone() },
            ];
            state.also_revoked(tx, &subjects)?;
            let instances = instances(tx, agent)?;
            let chosen = choose_instance(agent, &instances, instance.as_ref())?;
            let status_index = free_place(tx, moment)?;
            let to =
                Recipient::Holder { instance: chosen, status_index, guarantee: Guarantee::Key };
            delegations::reissue(
                moment,
                &cx.installation,
                &cx.keys,
                &statement,
                state.parties(),
                &state.workflow,
                to,
            )
        })
    }

    /// A grant, without its texts.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn grant(&self, id: &GrantId) -> Result<Stored<Grant>, Refusal> {
        self.read(|view| view.grant(id))?.ok_or_else(|| Refusal::unknown("grant", id))
    }

    /// A grant's statement and the principal's signature, while they are kept.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn grant_texts(&self, id: &GrantId) -> Result<Option<(String, String)>, Refusal> {
        self.read(|view| view.grant_texts(id))
    }

    /// The roots issued under a grant.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn delegations(&self, grant: &GrantId) -> Result<Vec<Stored<Delegation>>, Refusal> {
        self.read(|view| view.delegations_of_grant(grant))
    }

    /// The text of a root, while it is kept.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn root(&self, root: &Digest) -> Result<String, Refusal> {
        let token = self.read(|view| view.delegation_token(root))?;
        token.ok_or_else(|| Refusal::unknown("delegation", root))
    }
}
