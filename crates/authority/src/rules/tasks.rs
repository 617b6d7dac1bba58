//! Tasks: minted here, never by the caller.

use bailiwick_core::ids::TaskId;
use bailiwick_core::ledger::Kind;
use bailiwick_core::stop::StopTarget;
use bailiwick_policy::Workflow;
use bailiwick_store::{Agent, Principal, Row, Task};

use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;
use crate::rules::agents::acting;
use crate::rules::principals::active;
use crate::rules::stops::stands;

/// Bytes of a purpose at most.
pub const MAX_PURPOSE_BYTES: usize = 2000;

/// Who and what a task is for.
#[derive(Clone, Copy, Debug)]
pub struct Parties<'a> {
    /// The principal's name, for the refusal.
    pub principal_name: &'a str,
    /// The principal.
    pub principal: Option<&'a Principal>,
    /// The agent.
    pub agent: Option<&'a Agent>,
    /// The agent's owner.
    pub owner: Option<&'a Principal>,
    /// The workflow's current version.
    pub workflow: &'a Workflow,
    /// The kind of the first of them that was revoked.
    pub revoked: Option<&'static str>,
    /// What of them is stopped.
    pub stopped: Option<&'a StopTarget>,
}

/// Mints a task.
///
/// # Errors
/// [`Refusal::Unknown`], [`Refusal::PrincipalInactive`],
/// [`Refusal::AgentInactive`], [`Refusal::AgentNotInWorkflow`],
/// [`Refusal::Revoked`], [`Refusal::TaskMismatch`] for an empty purpose.
pub fn create(
    moment: &Moment<'_>,
    installation: &Installation,
    parties: Parties<'_>,
    agent: &bailiwick_core::ids::AgentId,
    purpose: &str,
) -> Result<Plan<Task>, Refusal> {
    let principal = active(parties.principal_name, parties.principal)?;
    let agent = acting(agent, parties.agent, parties.owner)?;
    let workflow = parties.workflow;
    if !workflow.permits_agent(&agent.id) {
        let (agent, workflow) = (agent.id.clone(), workflow.id.clone());
        return Err(Refusal::AgentNotInWorkflow { agent, workflow });
    }
    if let Some(kind) = parties.revoked {
        return Err(Refusal::Revoked { kind });
    }
    stands(parties.stopped)?;
    if purpose.trim().is_empty() || purpose.len() > MAX_PURPOSE_BYTES {
        return Err(Refusal::TaskMismatch { member: "purpose" });
    }
    let row = Task {
        id: TaskId::mint(moment.now(), moment.random()?),
        workflow: workflow.id.clone(),
        workflow_digest: workflow.digest(),
        agent: agent.id.clone(),
        principal: principal.alias.clone(),
        created: moment.now(),
    };
    let step = created(moment, installation, &row, purpose)?;
    Ok(Plan::one(step, row))
}

/// The entry and row of a task.
pub(crate) fn created(
    moment: &Moment<'_>,
    installation: &Installation,
    task: &Task,
    purpose: &str,
) -> Result<Step, Refusal> {
    Ok(Step::new(moment, &installation.org, Kind::TaskCreated)?
        .about(|s| {
            s.principal = Some(task.principal.to_string());
            s.agent = Some(task.agent.to_string());
            s.workflow = Some(task.workflow.to_string());
            s.task = Some(task.id.to_string());
        })
        .with("task", &task.id)
        .with("workflow", &task.workflow)
        .with("workflow_digest", task.workflow_digest)
        .commit(moment, "purpose", purpose)?
        .row(Row::Task(task.clone())))
}
