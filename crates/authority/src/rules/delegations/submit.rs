//! Submission: the signed grant comes back.

use bailiwick_core::grant::{self, GrantError, Proof, Registered, SignedBy};
use bailiwick_core::guarantee::Guarantee;
use bailiwick_core::ids::InstanceId;
use bailiwick_core::ledger::Kind;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Workflow;
use bailiwick_store::{Grant, Instance, Row, Task};

use super::issue::{Recipient, issue};
use super::{Issued, Parties, Prepared, choose_instance, fits, still_holds};
use crate::host::Moment;
use crate::installation::{Installation, Keys};
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;
use crate::rules::principals::{active, signing_key};
use crate::rules::requests::{self, Answering};
use crate::rules::tasks;
use bailiwick_core::scope::Scope;

/// Seconds that the clock of an identity provider may differ from ours.
const SKEW_SECONDS: i64 = 30;

/// A signed grant with the state that it is held against.
#[derive(Clone, Copy, Debug)]
pub struct Submission<'a> {
    /// What was prepared.
    pub prepared: &'a Prepared,
    /// The principal's signature.
    pub proof: &'a Proof,
    /// What the principal could have signed with.
    pub registered: Registered<'a>,
    /// The id of the credential that signed, if it is one on record.
    pub credential: Option<&'a str>,
    /// Principal, agent and owner.
    pub parties: Parties<'a>,
    /// The current version of the workflow that the statement names.
    pub workflow: &'a Workflow,
    /// The task, if it exists already.
    pub task: Option<&'a Task>,
    /// Whether a grant of this id is on record.
    pub grant_exists: bool,
    /// The agent's active, unrevoked instances.
    pub instances: &'a [Instance],
    /// Which of them is meant.
    pub instance: Option<&'a InstanceId>,
    /// The root's place in the status lists.
    pub status_index: Option<u32>,
    /// The request that the statement names.
    pub answers: Option<Answering<'a>>,
}

/// Records task and grant and issues the root, in this order.
///
/// # Errors
/// As [`record`], and [`choose_instance`].
pub fn submit(
    moment: &Moment<'_>,
    installation: &Installation,
    keys: &Keys,
    submission: Submission<'_>,
) -> Result<Plan<Issued>, Refusal> {
    let Plan { mut steps, outcome: scope } = record(moment, installation, keys, submission)?;
    let statement = &submission.prepared.statement;
    let principal = active(statement.principal.as_str(), submission.parties.principal)?;
    let instance = choose_instance(&statement.agent, submission.instances, submission.instance)?;
    let to = Recipient::Holder {
        instance,
        status_index: submission.status_index,
        guarantee: Guarantee::Key,
    };
    let (step, issued) = issue(moment, installation, keys, statement, &scope, principal, to)?;
    steps.push(step);
    Ok(Plan { steps, outcome: issued })
}

/// Records task and grant; gives the scope that a root may have under it.
///
/// # Errors
/// [`Refusal::PreparedUnknown`], [`Refusal::GrantUsed`], [`Refusal::Grant`] when
/// the principal's own signature does not hold, [`Refusal::StatementChanged`]
/// when the rules would say something else now, and whatever else stands in the
/// way of the grant.
pub fn record(
    moment: &Moment<'_>,
    installation: &Installation,
    keys: &Keys,
    submission: Submission<'_>,
) -> Result<Plan<Scope>, Refusal> {
    let Submission { prepared, proof, parties, workflow, task, .. } = submission;
    let statement = &prepared.statement;
    prepared.check(moment.now(), &keys.maker.public_key())?;
    if submission.grant_exists {
        return Err(Refusal::GrantUsed);
    }
    // DESIGN rule 9: the principal's own signature, under its registered key.
    // Nothing else stands for it, whoever submits.
    let principal = active(statement.principal.as_str(), parties.principal)?;
    let when = grant::Moment { signed_at: moment.now(), skew_seconds: SKEW_SECONDS };
    let signed_by = statement.verify_proof(proof, &submission.registered, &when)?;
    let (true, Some(signed)) = (signed_by.is_the_principals(), proof.to_text()) else {
        return Err(GrantError::NotRegistered.into());
    };
    let scope = still_holds(installation, moment.now(), parties, workflow, statement)?;

    let answers = submission.answers;
    // INVARIANT: what names a request answers that one, while it waits.
    match (&statement.request, answers) {
        (None, _) => {}
        (Some(id), Some(answering)) if answering.request.id == *id => {
            answering.permits(statement, moment.now())?;
        }
        (Some(id), _) => return Err(Refusal::unknown("request", id)),
    }

    let mut steps = Vec::new();
    match task {
        Some(task) => fits(task, statement, parties)?,
        // Nobody answers for a task that there is not.
        None if statement.request.is_some() => {
            return Err(Refusal::unknown("task", &statement.task));
        }
        None => {
            let row = Task {
                id: statement.task.clone(),
                workflow: statement.workflow.clone(),
                workflow_digest: statement.workflow_digest,
                agent: statement.agent.clone(),
                principal: principal.alias.clone(),
                created: moment.now(),
            };
            steps.push(tasks::created(moment, installation, &row, &statement.purpose)?);
        }
    }
    let row = Grant {
        id: statement.id.clone(),
        digest: statement.digest(),
        task: statement.task.clone(),
        agent: statement.agent.clone(),
        principal: principal.alias.clone(),
        attested: false,
        starts: Timestamp::from_seconds(statement.not_before),
        expires: Timestamp::from_seconds(statement.not_after),
        statement: statement.to_json().canonical(),
        proof: signed.clone(),
        account: answers.map(|answering| answering.account),
    };
    let audience: Vec<_> = statement.audience.iter().map(|a| a.as_str().into()).collect();
    let mut step = Step::new(moment, &installation.org, Kind::GrantRecorded)?
        .about(|s| {
            s.principal = Some(principal.alias.to_string());
            s.agent = Some(statement.agent.to_string());
            s.workflow = Some(statement.workflow.to_string());
            s.task = Some(statement.task.to_string());
            s.grant = Some(statement.id.to_string());
        })
        .with("grant", &row.id)
        .with("digest", row.digest)
        .with("workflow_digest", statement.workflow_digest)
        .with("not_before", statement.not_before)
        .with("not_after", statement.not_after)
        .with("max_depth", statement.max_depth)
        .with("audience", audience)
        .with("signed", true)
        .with_some("request", statement.request.as_ref());
    step = match signed_by {
        SignedBy::Key => step.with("key", signing_key(principal)?.thumbprint()),
        other => step.with("signed_by", other.as_str()),
    };
    if let Some(credential) = submission.credential {
        step = step.with("credential", credential);
    }
    steps.push(
        step.commit(moment, "statement", statement.to_json())?
            .commit(moment, "signature", signed)?
            .row(Row::Grant(row)),
    );
    if let Some(answering) = answers {
        let granter = &principal.alias;
        steps.push(requests::granted(moment, installation, &answering, statement, granter)?);
    }
    Ok(Plan { steps, outcome: scope })
}
