//! Issuing: a root under a grant that is on record.

use bailiwick_core::aat::jws::Compact;
use bailiwick_core::aat::make::{self, Content};
use bailiwick_core::access;
use bailiwick_core::accountable::Authority;
use bailiwick_core::crypto::{Digest, Thumbprint};
use bailiwick_core::grant::Statement;
use bailiwick_core::guarantee::Guarantee;
use bailiwick_core::ids::{AgentId, GrantId, InstanceId, TaskId, uuid_v7};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::scope::Scope;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Workflow;
use bailiwick_store::{Delegation, Instance, Principal, Row, Status, TokenForm};

use super::{Parties, still_holds};
use crate::host::Moment;
use crate::installation::{Installation, Keys};
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;
use crate::rules::principals::{active, holder_key};

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

/// To whom a token is issued.
#[derive(Clone, Copy, Debug)]
pub enum Recipient<'a> {
    /// An enrolled instance: a delegation token, bound to its holder key.
    Holder {
        /// The instance.
        instance: &'a Instance,
        /// The root's place in the status lists.
        status_index: Option<u32>,
        /// How surely it is known.
        guarantee: Guarantee,
    },
    /// An OAuth client that is mapped to the agent: an access token, bound to a
    /// key by DPoP or, where the workflow lists tools for it, to nobody.
    Client {
        /// Its `client_id`.
        id: &'a str,
        /// The instance under which it acts.
        instance: &'a InstanceId,
        /// The thumbprint of the key that it proves by DPoP; `None`: bearer.
        key: Option<Thumbprint>,
        /// The gateway resource that the token is for.
        resource: &'a str,
        /// Seconds that it lives at most.
        max_seconds: i64,
        /// Its place in the status lists.
        status_index: Option<u32>,
    },
}

/// What a token may say at most, where that is less than its grant.
#[derive(Clone, Debug, PartialEq)]
pub struct Within {
    /// The latest end.
    pub not_after: Timestamp,
    /// The largest depth.
    pub max_depth: u64,
    /// Budget members.
    pub budget: Object,
    /// The shorthands that an access token states.
    pub shorthands: Vec<String>,
}

impl Within {
    /// All of a grant.
    #[must_use]
    pub fn grant(statement: &Statement) -> Self {
        Self {
            not_after: Timestamp::from_seconds(statement.not_after),
            max_depth: statement.max_depth,
            budget: statement.budget.clone(),
            shorthands: statement.requested.clone(),
        }
    }
}

/// Signs a root under all of a grant and makes its entry.
///
/// # Errors
/// [`Refusal::Make`], [`Refusal::Installation`].
pub fn issue(
    moment: &Moment<'_>,
    installation: &Installation,
    keys: &Keys,
    statement: &Statement,
    scope: &Scope,
    principal: &Principal,
    to: Recipient<'_>,
) -> Result<(Step, Issued), Refusal> {
    let within = Within::grant(statement);
    issue_within(moment, installation, keys, statement, scope, &within, principal, to)
}

/// Signs a root that may say less than its grant, never more.
///
/// # Errors
/// As [`issue`].
#[expect(clippy::too_many_arguments, reason = "what is said, by whom, to whom and within what")]
pub fn issue_within(
    moment: &Moment<'_>,
    installation: &Installation,
    keys: &Keys,
    statement: &Statement,
    scope: &Scope,
    within: &Within,
    principal: &Principal,
    to: Recipient<'_>,
) -> Result<(Step, Issued), Refusal> {
    let lifetime = match to {
        Recipient::Holder { .. } => installation.max_root_seconds,
        Recipient::Client { max_seconds, .. } => max_seconds.min(installation.max_root_seconds),
    };
    let starts = statement.not_before.max(moment.now().seconds());
    let latest = statement.not_after.min(within.not_after.seconds());
    let exp = latest.min(starts.saturating_add(lifetime));
    let authority = authority(statement, to);
    let jti = uuid_v7(moment.now(), moment.random()?);
    let (now, nbf, budget) = (moment.now(), Some(statement.not_before), within.budget.clone());
    let (issuer, limits) = (installation.issuer.as_str(), &installation.limits);
    let (token, max_depth, audience) = match to {
        Recipient::Holder { instance, status_index, .. } => {
            let max_depth = statement.max_depth.min(within.max_depth);
            let aud = statement.audience.clone();
            let holder = holder_key(&instance.holder_jwk)?;
            let scope = scope.clone();
            let content =
                Content { jti, now, exp, nbf, holder, scope, max_depth, aud: aud.clone(), budget };
            let mut claims = authority.to_claims();
            if let Some(place) = status_index {
                let (index, list) = installation.status(place);
                claims.insert("status", access::status(index, &list));
            }
            (make::issue(issuer, &content, &claims, &*keys.issuer, limits)?, max_depth, aud)
        }
        Recipient::Client { key, resource, status_index, .. } => {
            let content = access::Content {
                jti,
                now,
                exp,
                nbf,
                key,
                scope: scope.clone(),
                shorthands: within.shorthands.clone(),
                aud: resource.to_owned(),
                budget,
                status: status_index.map(|place| installation.status(place)),
            };
            let claims = authority.to_claims();
            let token = access::issue(issuer, &content, &claims, &*keys.issuer, limits)?;
            (token, 0, vec![resource.to_owned()])
        }
    };
    let root = Compact::parse(&token).map_err(Refusal::Token)?.hash();
    let issued = Issued {
        token,
        root,
        grant: statement.id.clone(),
        grant_digest: authority.grant_digest,
        task: statement.task.clone(),
        agent: statement.agent.clone(),
        instance: to.instance().clone(),
        not_before: Timestamp::from_seconds(statement.not_before),
        not_after: Timestamp::from_seconds(exp),
        max_depth,
        audience,
        tools: scope_tools(scope),
    };
    let step = entry(moment, installation, statement, principal, &issued, to)?;
    Ok((step, issued))
}

impl Recipient<'_> {
    fn instance(&self) -> &InstanceId {
        match self {
            Self::Holder { instance, .. } => &instance.id,
            Self::Client { instance, .. } => instance,
        }
    }

    fn holder(&self) -> Thumbprint {
        match self {
            Self::Holder { instance, .. } => instance.holder,
            Self::Client { key: Some(key), .. } => *key,
            Self::Client { id, .. } => access::bearer_thumbprint(id),
        }
    }

    const fn form(&self) -> TokenForm {
        match self {
            Self::Holder { .. } => TokenForm::Aat,
            Self::Client { key: Some(_), .. } => TokenForm::Dpop,
            Self::Client { key: None, .. } => TokenForm::Bearer,
        }
    }
}

fn authority(statement: &Statement, to: Recipient<'_>) -> Authority {
    Authority {
        principal: statement.principal.clone(),
        agent: statement.agent.clone(),
        client: match to {
            Recipient::Holder { .. } => None,
            Recipient::Client { id, .. } => Some(id.to_owned()),
        },
        task: statement.task.clone(),
        purpose: statement.purpose.clone(),
        workflow: statement.workflow.clone(),
        workflow_digest: statement.workflow_digest,
        grant: statement.id.clone(),
        grant_digest: statement.digest(),
    }
}

fn scope_tools(scope: &Scope) -> Object {
    match scope.to_json() {
        Json::Object(tools) => tools,
        _ => Object::new(),
    }
}

fn entry(
    moment: &Moment<'_>,
    installation: &Installation,
    statement: &Statement,
    principal: &Principal,
    issued: &Issued,
    to: Recipient<'_>,
) -> Result<Step, Refusal> {
    let (client, status_index, guarantee) = match to {
        Recipient::Holder { status_index, guarantee, .. } => (None, status_index, guarantee),
        Recipient::Client { id, status_index, .. } => {
            (Some(id.to_owned()), status_index, Guarantee::Key)
        }
    };
    let row = Delegation {
        root: issued.root,
        grant: issued.grant.clone(),
        task: issued.task.clone(),
        agent: issued.agent.clone(),
        holder: to.holder(),
        issued: moment.now(),
        expires: issued.not_after,
        form: to.form(),
        client: client.clone(),
        status_index,
        guarantee,
        token: issued.token.clone(),
    };
    let audience: Vec<Json> = issued.audience.iter().map(|a| a.as_str().into()).collect();
    let mut step = Step::new(moment, &installation.org, Kind::DelegationIssued)?
        .about(|s| {
            s.principal = Some(principal.alias.to_string());
            s.agent = Some(issued.agent.to_string());
            s.instance = Some(issued.instance.to_string());
            s.workflow = Some(statement.workflow.to_string());
            s.task = Some(issued.task.to_string());
            s.grant = Some(issued.grant.to_string());
            s.delegation = Some(issued.root.to_string());
        })
        .with("root", issued.root)
        .with("grant", &issued.grant)
        .with("holder", to.holder())
        .with("grant_digest", issued.grant_digest)
        .with("not_before", statement.not_before)
        .with("not_after", issued.not_after.seconds())
        .with("max_depth", issued.max_depth)
        .with("audience", audience);
    if guarantee > Guarantee::Key {
        step = step.with("guarantee", guarantee.as_str());
    }
    if let Some(client) = client {
        step = step.with("form", to.form().as_str()).commit(moment, "client", client)?;
    }
    Ok(step.commit(moment, "token", issued.token.as_str())?.row(Row::Delegation(row)))
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
    to: Recipient<'_>,
) -> Result<Plan<Issued>, Refusal> {
    let principal = active(statement.principal.as_str(), parties.principal)?;
    let scope = still_holds(installation, moment.now(), parties, workflow, statement)?;
    let (step, issued) = issue(moment, installation, keys, statement, &scope, principal, to)?;
    Ok(Plan::one(step, issued))
}
