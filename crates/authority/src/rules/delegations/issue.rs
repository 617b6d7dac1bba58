//! Issuing: a root under a grant that is on record.

use bailiwick_core::aat::jws::Compact;
use bailiwick_core::aat::make::{self, Content};
use bailiwick_core::accountable::Authority;
use bailiwick_core::crypto::{Digest, Signer};
use bailiwick_core::grant::Statement;
use bailiwick_core::ids::{AgentId, GrantId, InstanceId, TaskId, uuid_v7};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::scope::Scope;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Workflow;
use bailiwick_store::{Delegation, Instance, Principal, Row, Status};

use super::{Parties, still_holds};
use crate::host::Moment;
use crate::installation::{Installation, Keys};
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;
use crate::rules::principals::{active, key_of};

/// An issued root.
#[derive(Clone, Debug, PartialEq)]
pub struct Issued {
    /// The root, compact. It is worth nothing without the instance's key.
    pub token: String,
    /// Its token hash.
    pub root: Digest,
    /// The grant.
    pub grant: GrantId,
    /// The digest that the principal signed.
    pub grant_digest: Digest,
    /// The task.
    pub task: TaskId,
    /// The agent.
    pub agent: AgentId,
    /// The instance whose key it names.
    pub instance: InstanceId,
    /// Begin.
    pub not_before: Timestamp,
    /// End of the root.
    pub not_after: Timestamp,
    /// How deep it may be delegated further.
    pub max_depth: u64,
    /// Where it may be used.
    pub audience: Vec<String>,
    /// What it permits: the `tools` map.
    pub tools: Object,
}

impl Issued {
    /// The answer as JSON, token included.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let audience: Vec<Json> = self.audience.iter().map(|a| a.as_str().into()).collect();
        Object::new()
            .with("token", self.token.as_str())
            .with("root", self.root)
            .with("grant", &self.grant)
            .with("grant_digest", self.grant_digest)
            .with("task", &self.task)
            .with("agent", &self.agent)
            .with("instance", &self.instance)
            .with("not_before", self.not_before.to_string())
            .with("not_after", self.not_after.to_string())
            .with("max_depth", self.max_depth)
            .with("audience", audience)
            .with("tools", self.tools.clone())
            .into()
    }
}

/// The instance whose holder key a root names: the one asked for, or the only
/// one. `instances` are the agent's active, unrevoked ones.
///
/// # Errors
/// [`Refusal::InstanceMissing`], [`Refusal::InstanceAmbiguous`],
/// [`Refusal::InstanceUnsuitable`].
pub fn choose_instance<'a>(
    agent: &AgentId,
    instances: &'a [Instance],
    wanted: Option<&InstanceId>,
) -> Result<&'a Instance, Refusal> {
    let mut fitting = instances
        .iter()
        .filter(|i| i.agent == *agent && i.status == Status::Active)
        .filter(|i| wanted.is_none_or(|w| i.id == *w));
    match (fitting.next(), fitting.next(), wanted) {
        (Some(one), None, _) => Ok(one),
        (Some(_), Some(_), _) => Err(Refusal::InstanceAmbiguous {
            agent: agent.clone(),
            instances: instances.iter().map(|i| i.id.clone()).collect(),
        }),
        (None, _, Some(wanted)) => {
            let (instance, agent) = (wanted.clone(), agent.clone());
            Err(Refusal::InstanceUnsuitable { instance, agent })
        }
        (None, _, None) => Err(Refusal::InstanceMissing { agent: agent.clone() }),
    }
}

/// Signs a root and makes its entry.
pub(super) fn root(
    moment: &Moment<'_>,
    installation: &Installation,
    issuer: &dyn Signer,
    statement: &Statement,
    scope: &Scope,
    principal: &Principal,
    instance: &Instance,
) -> Result<(Step, Issued), Refusal> {
    let starts = statement.not_before.max(moment.now().seconds());
    let exp = statement.not_after.min(starts.saturating_add(installation.max_root_seconds));
    let authority = Authority {
        principal: statement.principal.clone(),
        agent: statement.agent.clone(),
        task: statement.task.clone(),
        purpose: statement.purpose.clone(),
        workflow: statement.workflow.clone(),
        workflow_digest: statement.workflow_digest,
        grant: statement.id.clone(),
        grant_digest: statement.digest(),
    };
    let content = Content {
        jti: uuid_v7(moment.now(), moment.random()?),
        now: moment.now(),
        exp,
        nbf: Some(statement.not_before),
        holder: key_of(&instance.holder_jwk)?,
        scope: scope.clone(),
        max_depth: statement.max_depth,
        aud: statement.audience.clone(),
        budget: statement.budget.clone(),
    };
    let token = make::issue(
        &installation.issuer,
        &content,
        &authority.to_claims(),
        issuer,
        &installation.limits,
    )?;
    let root = Compact::parse(&token).map_err(Refusal::Token)?.hash();
    let issued = Issued {
        token,
        root,
        grant: statement.id.clone(),
        grant_digest: authority.grant_digest,
        task: statement.task.clone(),
        agent: statement.agent.clone(),
        instance: instance.id.clone(),
        not_before: Timestamp::from_seconds(statement.not_before),
        not_after: Timestamp::from_seconds(exp),
        max_depth: statement.max_depth,
        audience: statement.audience.clone(),
        tools: statement.tools.clone(),
    };
    let row = Delegation {
        root,
        grant: issued.grant.clone(),
        task: issued.task.clone(),
        agent: issued.agent.clone(),
        holder: instance.holder,
        issued: moment.now(),
        expires: issued.not_after,
        token: issued.token.clone(),
    };
    let audience: Vec<Json> = issued.audience.iter().map(|a| a.as_str().into()).collect();
    let step = Step::new(moment, &installation.org, Kind::DelegationIssued)?
        .about(|s| {
            s.principal = Some(principal.alias.to_string());
            s.agent = Some(issued.agent.to_string());
            s.instance = Some(instance.id.to_string());
            s.workflow = Some(statement.workflow.to_string());
            s.task = Some(issued.task.to_string());
            s.grant = Some(issued.grant.to_string());
            s.delegation = Some(root.to_string());
        })
        .with("root", root)
        .with("grant", &issued.grant)
        .with("holder", instance.holder)
        .with("grant_digest", issued.grant_digest)
        .with("not_before", statement.not_before)
        .with("not_after", exp)
        .with("max_depth", issued.max_depth)
        .with("audience", audience)
        .commit(moment, "token", issued.token.as_str())?
        .row(Row::Delegation(row));
    Ok((step, issued))
}

/// Issues another root under a grant that stands, inside its window and as far
/// as the rules would still grant the same today. It adds no authority.
///
/// # Errors
/// As for a new grant; [`Refusal::Revoked`] when the grant was ended (the
/// caller states it in `parties`).
pub fn reissue(
    moment: &Moment<'_>,
    installation: &Installation,
    keys: &Keys,
    statement: &Statement,
    parties: Parties<'_>,
    workflow: &Workflow,
    instance: &Instance,
) -> Result<Plan<Issued>, Refusal> {
    let (principal, _) = active(statement.principal.as_str(), parties.principal)?;
    let scope = still_holds(installation, moment.now(), parties, workflow, statement)?;
    let (step, issued) =
        root(moment, installation, &*keys.issuer, statement, &scope, principal, instance)?;
    Ok(Plan::one(step, issued))
}
