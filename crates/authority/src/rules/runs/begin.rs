//! Beginning a run.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::RunId;
use bailiwick_core::ledger::Kind;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Workflow;
use bailiwick_policy::checklist::Runs;
use bailiwick_store::{Row, Run, RunSpent, RunState, Task};

use super::{MAX_HOURLY, RunError, Why, abandon, deadline, step};
use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::rules::requests::Asker;

/// What a run rests on.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// The task.
    pub task: &'a Task,
    /// The version of its workflow under which it is.
    pub workflow: &'a Workflow,
    /// The end of the grant behind the asker's chain.
    pub ends: Timestamp,
    /// Attempts at the task so far.
    pub attempts: u32,
    /// Those of them within the last hour.
    pub hourly: u64,
    /// The run that is open, and why it is not any more, if it is not.
    pub open: Option<(&'a Run, Option<Why>)>,
    /// The keyed digest of the goal.
    pub goal_digest: Digest,
}

/// Begins a run: an equal one that is open is it already; another one is abandoned
/// first.
///
/// # Errors
/// [`RunError`]; [`Refusal::NoEntropy`].
pub fn begin(
    moment: &Moment<'_>,
    installation: &Installation,
    asker: &Asker,
    (goal, instruction): (&str, Option<Digest>),
    ground: &Ground<'_>,
) -> Result<Plan<Run>, Refusal> {
    let now = moment.now();
    // SECURITY: whoever was delegated a part does not say what the whole attempts.
    if asker.agent != ground.task.agent {
        return Err(RunError::NotTheTasks.into());
    }
    let checklist = &ground.workflow.checklist;
    if checklist.completion.is_empty() && checklist.runs == Runs::Optional {
        return Err(RunError::NotOffered.into());
    }
    if ground.ends <= now {
        return Err(RunError::Ending.into());
    }
    if let Some((open, None)) = ground.open
        && open.goal == ground.goal_digest
        && open.instance == asker.instance
    {
        return Ok(Plan::nothing(open.clone()));
    }
    if ground.hourly >= MAX_HOURLY {
        let (what, max) = ("attempts within an hour", MAX_HOURLY);
        return Err(RunError::TooMany { what, max }.into());
    }
    let run = Run {
        id: RunId::mint(now, moment.random()?),
        state: RunState::Open,
        task: asker.task.clone(),
        attempt: ground.attempts.saturating_add(1),
        workflow: ground.task.workflow.clone(),
        workflow_digest: ground.task.workflow_digest,
        agent: asker.agent.clone(),
        instance: asker.instance.clone(),
        principal: asker.principal.clone(),
        grant: asker.grant.clone(),
        root: asker.root,
        goal: ground.goal_digest,
        instructed: instruction.is_some(),
        started: now,
        deadline: deadline(now, ground.ends),
        ended: None,
        complete: None,
        review: None,
        spent: RunSpent::default(),
    };
    let mut started = step(moment, installation, Kind::RunStarted, &run)?
        .about(|s| {
            s.instance = Some(run.instance.to_string());
            s.delegation = Some(asker.leaf.to_string());
        })
        .with("attempt", u64::from(run.attempt))
        .with("root", run.root)
        .with("workflow_digest", run.workflow_digest)
        .with("deadline", run.deadline.seconds())
        .commit(moment, "goal", goal)?;
    if let Some(instruction) = instruction {
        started = started.commit(moment, "instruction_sha256", instruction)?;
    }
    let started = started.row(Row::Run(Box::new(run.clone())));
    let mut steps = Vec::with_capacity(2);
    if let Some((open, why)) = ground.open {
        steps.push(abandon(moment, installation, open, why.unwrap_or(Why::Replaced))?);
    }
    steps.push(started);
    Ok(Plan { steps, outcome: run })
}
