//! Delegations: a principal's signed grant, and the root issued under it.
//!
//! In two steps, so that what is signed is what the rules made: [`prepare`]
//! resolves the workflow, expands the scope and mints the ids; the principal
//! signs that statement with its own key; [`submit`] checks everything again
//! against the state of that moment, records task and grant, and only then
//! signs the root.

use std::collections::BTreeSet;
use std::sync::Arc;

use bailiwick_core::accountable::{BudgetMember, budget_beyond};
use bailiwick_core::constraint::Dialect;
use bailiwick_core::grant::{Request, Statement};
use bailiwick_core::ids::{AgentId, GrantId, PrincipalId, RequestId, TaskId, ToolId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::scope::Scope;
use bailiwick_core::stop::StopTarget;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Workflow;
use bailiwick_policy::entitlements::{Asked, Ceiling};
use bailiwick_policy::expand::{Expansion, expand, expand_scope};
use bailiwick_store::{Agent, Principal, Task};

use crate::ceilings::parts;
use crate::host::Moment;
use crate::installation::Installation;
use crate::refusal::Refusal;
use crate::rules::agents::acting;
use crate::rules::principals::active;
use crate::rules::requests::Answering;
use crate::rules::stops::stands;

mod access;
mod issue;
mod narrow;
mod prepared;
mod submit;

pub use access::{Standing, access, exchanged, only_server};
pub use issue::{Issued, Recipient, Within, choose_instance, issue, issue_within, reissue};
pub use narrow::{NarrowError, Narrowing, narrow};
pub use prepared::{PREPARED_MINUTES, Prepared};
pub use submit::{Submission, record, submit};

/// The state that a grant rests on.
#[derive(Clone, Copy, Debug)]
pub struct Parties<'a> {
    /// The principal.
    pub principal: Option<&'a Principal>,
    /// The agent.
    pub agent: Option<&'a Agent>,
    /// The agent's owner.
    pub owner: Option<&'a Principal>,
    /// The kind of the first of principal, agent, workflow and task that was
    /// revoked.
    pub revoked: Option<&'static str>,
    /// What of them is stopped.
    pub stopped: Option<&'a StopTarget>,
    /// What the principal may do and grant at most.
    pub ceiling: &'a Ceiling,
}

/// What a grant is to say, before the rules have looked at it.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// Who grants.
    pub principal: PrincipalId,
    /// Who may act.
    pub agent: AgentId,
    /// What for.
    pub purpose: String,
    /// Shorthands.
    pub requested: Vec<String>,
    /// Begin, seconds.
    pub not_before: i64,
    /// End, seconds.
    pub not_after: i64,
    /// How deep it may be delegated further.
    pub max_depth: u64,
    /// Budget members.
    pub budget: Object,
    /// Tools that the shorthands stand for and that are not granted.
    pub withheld: BTreeSet<String>,
    /// The agent's request that it answers.
    pub request: Option<RequestId>,
}

/// The task that a grant is for, where it exists already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Onto<'a> {
    /// The task and its purpose.
    pub task: Option<(&'a Task, &'a str)>,
    /// The request of its agent that the grant answers.
    pub answers: Option<Answering<'a>>,
}

/// What the authority minted for a grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minted {
    /// The grant's id.
    pub grant: GrantId,
    /// The task's id.
    pub task: TaskId,
    /// The salt.
    pub salt: [u8; 32],
}

/// What may be said about a grant beside the request itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// When it begins; now, if absent.
    pub starts: Option<Timestamp>,
    /// How deep it may be delegated further; the workflow's depth, if absent.
    pub max_depth: Option<u64>,
    /// Budget members; the workflow's ceilings are added where they are absent.
    pub budget: Object,
    /// Tools that the shorthands stand for and that are not granted.
    pub withheld: BTreeSet<String>,
}

/// The workflow that a request is for: the named one, or the only one that
/// lists the agent and knows all shorthands.
///
/// # Errors
/// [`Refusal::Unknown`], [`Refusal::AgentNotInWorkflow`], [`Refusal::Expand`],
/// [`Refusal::NoWorkflow`], [`Refusal::WorkflowAmbiguous`].
pub fn choose_workflow(
    request: &Request,
    published: &[Arc<Workflow>],
) -> Result<Arc<Workflow>, Refusal> {
    if let Some(id) = &request.workflow {
        let named = published.iter().find(|w| w.id == *id);
        return named.cloned().ok_or_else(|| Refusal::unknown("workflow", id));
    }
    let listing: Vec<_> = published.iter().filter(|w| w.permits_agent(&request.agent)).collect();
    let mut fitting = listing.iter().filter(|w| expand(w, &request.scope).is_ok());
    match (fitting.next(), fitting.next(), listing.as_slice()) {
        (Some(only), None, _) => Ok(Arc::clone(only)),
        (Some(first), Some(second), _) => {
            let mut workflows = vec![first.id.clone(), second.id.clone()];
            workflows.extend(fitting.map(|w| w.id.clone()));
            Err(Refusal::WorkflowAmbiguous { workflows })
        }
        // With a single candidate its own refusal says more.
        (None, _, [only]) => match expand(only, &request.scope) {
            Ok(_) => Ok(Arc::clone(only)),
            Err(e) => Err(e.into()),
        },
        (None, _, _) => Err(Refusal::NoWorkflow {
            agent: request.agent.clone(),
            candidates: listing.iter().map(|w| w.id.clone()).collect(),
        }),
    }
}

/// Makes the statement that the principal is to sign.
///
/// # Errors
/// Everything that stands in the way of the grant; see [`Refusal`].
pub fn prepare(
    moment: &Moment<'_>,
    installation: &Installation,
    parties: Parties<'_>,
    workflow: &Workflow,
    request: &Request,
    options: &Options,
    onto: Onto<'_>,
) -> Result<Statement, Refusal> {
    let Onto { task, answers } = onto;
    let not_before = match options.starts {
        Some(starts) if starts.seconds() < moment.now().seconds() => {
            return Err(Refusal::WindowInvalid);
        }
        starts => starts.unwrap_or(moment.now()).seconds(),
    };
    let mut budget = options.budget.clone();
    for (member, ceiling) in workflow.budget.to_object().iter() {
        if budget.member(member).is_none() {
            budget.insert(member, ceiling.clone());
        }
    }
    let terms = Terms {
        principal: request.principal.clone(),
        agent: request.agent.clone(),
        purpose: request.purpose.clone(),
        requested: request.scope.clone(),
        not_before,
        not_after: request.expires_at.seconds(),
        max_depth: options.max_depth.unwrap_or(workflow.max_depth),
        budget,
        withheld: options.withheld.clone(),
        request: answers.map(|answering| answering.request.id.clone()),
    };
    if let Some((_, purpose)) = task
        && purpose != request.purpose
    {
        return Err(Refusal::TaskMismatch { member: "purpose" });
    }
    let minted = Minted {
        grant: GrantId::mint(moment.now(), moment.random()?),
        task: match task {
            Some((task, _)) => task.id.clone(),
            None => TaskId::mint(moment.now(), moment.random()?),
        },
        salt: moment.random()?,
    };
    let (statement, _) = state(installation, moment.now(), parties, workflow, &terms, &minted)?;
    if let Some((task, _)) = task {
        fits(task, &statement, parties)?;
    }
    if let Some(answering) = answers {
        answering.permits(&statement, moment.now())?;
    }
    Ok(statement)
}

/// What the rules make of terms now: the statement and the scope behind it.
///
/// # Errors
/// The first thing that stands in the way.
pub fn state(
    installation: &Installation,
    now: Timestamp,
    parties: Parties<'_>,
    workflow: &Workflow,
    terms: &Terms,
    minted: &Minted,
) -> Result<(Statement, Scope), Refusal> {
    active(terms.principal.as_str(), parties.principal)?;
    acting(&terms.agent, parties.agent, parties.owner)?;
    if !workflow.permits_agent(&terms.agent) {
        let (agent, workflow) = (terms.agent.clone(), workflow.id.clone());
        return Err(Refusal::AgentNotInWorkflow { agent, workflow });
    }
    if let Some(kind) = parties.revoked {
        return Err(Refusal::Revoked { kind });
    }
    stands(parties.stopped)?;
    let Expansion { workflow_digest, scope, .. } = expand(workflow, &terms.requested)?;
    let scope = without(scope, &terms.withheld)?;
    check_window(installation, now, workflow, terms)?;
    let deepest = workflow.max_depth.min(installation.limits.max_delegation_depth);
    if terms.max_depth > deepest {
        return Err(Refusal::DepthTooLarge { asked: terms.max_depth, max: deepest });
    }
    check_budget(workflow, &terms.budget)?;
    let tools = match scope.to_json() {
        Json::Object(tools) => tools,
        _ => Object::new(),
    };
    // DESIGN rule 2: nobody grants what they may not grant, or may not do.
    let window = terms.not_after.saturating_sub(terms.not_before);
    parties.ceiling.permits_grant(&Asked {
        workflow: &workflow.id,
        parts: &parts(workflow, &terms.requested, &tools)?,
        window_seconds: u64::try_from(window).unwrap_or(u64::MAX),
        max_depth: terms.max_depth,
    })?;
    let statement = Statement {
        id: minted.grant.clone(),
        org: installation.org.clone(),
        principal_issuer: installation.issuer.clone(),
        principal: terms.principal.clone(),
        agent: terms.agent.clone(),
        task: minted.task.clone(),
        purpose: terms.purpose.clone(),
        workflow: workflow.id.clone(),
        workflow_digest,
        requested: terms.requested.clone(),
        tools,
        not_before: terms.not_before,
        not_after: terms.not_after,
        max_depth: terms.max_depth,
        budget: terms.budget.clone(),
        audience: vec![installation.audience()],
        salt: minted.salt,
        request: terms.request.clone(),
    };
    Ok((statement, scope))
}

/// A scope without some of its tools.
fn without(scope: Scope, withheld: &BTreeSet<String>) -> Result<Scope, Refusal> {
    if withheld.is_empty() {
        return Ok(scope);
    }
    let kept: Object = match scope.to_json() {
        Json::Object(tools) => tools
            .iter()
            .filter(|(tool, _)| !withheld.contains(*tool))
            .map(|(tool, rules)| (tool.to_owned(), rules.clone()))
            .collect(),
        _ => Object::new(),
    };
    if kept.is_empty() {
        return Err(NarrowError::Nothing.into());
    }
    let depth = bailiwick_policy::limits::MAX_CONSTRAINT_DEPTH;
    Scope::parse(&kept, Dialect::Extended, depth)
        .map_err(|_| Refusal::StatementChanged { member: "tools".to_owned() })
}

/// The window ends after now and after its begin, is no longer than the
/// workflow allows, and does not end later than any token could.
fn check_window(
    installation: &Installation,
    now: Timestamp,
    workflow: &Workflow,
    terms: &Terms,
) -> Result<(), Refusal> {
    let Terms { not_before, not_after, .. } = *terms;
    if Timestamp::from_seconds(not_after) <= now || not_after <= not_before {
        return Err(Refusal::WindowInvalid);
    }
    let limits = [
        (not_before, i64::try_from(workflow.window_seconds).unwrap_or(i64::MAX)),
        (now.seconds(), installation.limits.max_token_lifetime),
    ];
    for (from, max) in limits {
        let asked = not_after.saturating_sub(from);
        if asked > max {
            return Err(Refusal::WindowTooLong { asked, max });
        }
    }
    Ok(())
}

fn check_budget(workflow: &Workflow, budget: &Object) -> Result<(), Refusal> {
    for (member, value) in budget.iter() {
        let number = value.as_number().and_then(|n| n.as_plain_integer());
        if !is_member(member) || number.is_none_or(|n| n < 0) {
            return Err(Refusal::BudgetInvalid { member: member.chars().take(200).collect() });
        }
    }
    let ceilings = workflow.budget.to_object();
    if let Some((absent, _)) = ceilings.iter().find(|(m, _)| budget.member(m).is_none()) {
        return Err(Refusal::BudgetTooLarge { member: absent.to_owned() });
    }
    match budget_beyond(&ceilings, budget) {
        Some(member) => Err(Refusal::BudgetTooLarge { member }),
        None => Ok(()),
    }
}

fn is_member(member: &str) -> bool {
    BudgetMember::parse(member)
        .is_some_and(|m| m.counted.tool().is_none_or(|tool| ToolId::parse(tool).is_ok()))
}

/// Whether a task is the statement's: a grant for one task reaches no other. One
/// that answers a request of the task's agent is anybody's, as themselves.
fn fits(task: &Task, statement: &Statement, parties: Parties<'_>) -> Result<(), Refusal> {
    let others = parties.principal.is_none_or(|p| p.alias != task.principal);
    let differs = [
        ("principal", others && statement.request.is_none()),
        ("agent", task.agent != statement.agent),
        ("workflow", task.workflow != statement.workflow),
        ("workflow version", task.workflow_digest != statement.workflow_digest),
    ];
    match differs.iter().find(|(_, differs)| *differs) {
        Some((member, _)) => Err(Refusal::TaskMismatch { member }),
        None => Ok(()),
    }
}

/// Whether `statement` is what the rules would make of it now; gives the scope.
fn still_holds(
    installation: &Installation,
    now: Timestamp,
    parties: Parties<'_>,
    workflow: &Workflow,
    statement: &Statement,
) -> Result<Scope, Refusal> {
    let terms = Terms {
        principal: statement.principal.clone(),
        agent: statement.agent.clone(),
        purpose: statement.purpose.clone(),
        requested: statement.requested.clone(),
        not_before: statement.not_before,
        not_after: statement.not_after,
        max_depth: statement.max_depth,
        budget: statement.budget.clone(),
        // A tool that the statement leaves out was withheld; one that it adds
        // makes it another statement than the rules'.
        withheld: expand_scope(workflow, &statement.requested)?
            .tools()
            .map(|(tool, _)| tool.to_owned())
            .filter(|tool| statement.tools.member(tool).is_none())
            .collect(),
        request: statement.request.clone(),
    };
    let minted =
        Minted { grant: statement.id.clone(), task: statement.task.clone(), salt: statement.salt };
    let (expected, scope) = state(installation, now, parties, workflow, &terms, &minted)?;
    let (expected, found) = (expected.to_json(), statement.to_json());
    if let (Json::Object(expected), Json::Object(found)) = (&expected, &found)
        && let Some((member, _)) =
            expected.iter().find(|(name, value)| found.member(name) != Some(value))
    {
        return Err(Refusal::StatementChanged { member: member.to_owned() });
    }
    Ok(scope)
}
