//! Token exchange (RFC 8693): the state is read, the rule decides, the plan is
//! written.

use std::collections::BTreeSet;

use bailiwick_core::constraint::Dialect;
use bailiwick_core::guarantee::Guarantee;
use bailiwick_core::ids::{AgentId, PrincipalId, ToolId};
use bailiwick_core::jose::VerifyingKey;
use bailiwick_core::scope::Scope;
use bailiwick_core::wit::{Expected, Identity, read_instance_spiffe_id};
use bailiwick_policy::expand::expand_scope;
use bailiwick_store::Instance;

use crate::ceilings::honoured;
use crate::oauth::details::DelegationDetails;
use crate::oauth::exchange::{
    Actor, Asked, Bound, Exchange, ExchangeRefusal, Output, Part, Standing, Subject as From, decide,
};
use crate::oauth::token::{ExchangeForm, TokenType};
use crate::rules::delegations::Within;
use crate::rules::identities;

use super::*;

mod subject;
use subject::{Verified, subject};

/// Seconds that a root lives at most whose principal is absent: until then it
/// need not be asked again whether the grant stands.
const ABSENT_SECONDS: i64 = 900;
/// Grants of one principal that are looked through for one that stands.
const MAX_GRANTS: u32 = 100;

fn bad(reason: &'static str, text: impl AsRef<str>) -> OAuthError {
    // RFC 8693 §2.2.2: a subject or actor token that is not accepted.
    OAuthError::request(reason, text)
}

pub(super) fn exchange(
    cx: &Inner,
    tx: &mut Tx<'_>,
    moment: &Moment<'_>,
    known: &KnownClient,
    form: &ExchangeForm,
    proof: Option<&Possession>,
) -> Result<TokenAnswer, OAuthError> {
    let agent = known.agent()?.clone();
    let (actor, instance) = actor(cx, tx, moment, &form.actor.token)?;
    let verified: Verified = subject(cx, tx, moment, form, &actor)?;
    one_key(known, form, proof)?;
    let details = form.details.delegation.clone().unwrap_or_default();
    let grant = match &verified.grant {
        Some(grant) => Some(grant.clone()),
        None => grant_for(cx, tx, moment, &verified.subject.principal, &agent, &details)?,
    };
    let grant = grant.ok_or(ExchangeRefusal::GrantMissing)?;
    let (statement, state) = standing_grant(cx, tx, &grant)?;
    let standing = Standing {
        id: grant.clone(),
        principal: statement.principal.clone(),
        agent: statement.agent.clone(),
        not_before: Timestamp::from_seconds(statement.not_before),
        not_after: Timestamp::from_seconds(statement.not_after),
        ended: state.revoked.is_some(),
    };
    let asked = asked(&state, form, &details, moment.now())?;
    let bounds = bounds(cx, moment, known, &statement, &state, verified.bound)?;
    let listed = state.workflow.catalogue.tools().filter(|(_, rating)| rating.bearer);
    let bearer_tools: BTreeSet<ToolId> = listed.map(|(tool, _)| tool).collect();
    let granted = decide(&Exchange {
        now: moment.now(),
        subject: &verified.subject,
        actor: &actor,
        client_agent: Some(&agent),
        // Known by its own name it is the very instance that acts.
        client_key: known.authenticated.key().filter(|_| known.by_own_name),
        proof_key: proof.map(|p| p.thumbprint),
        grant: Some(&standing),
        bounds: &bounds,
        bearer_tools: &bearer_tools,
        asked: &asked,
    })?;
    let shorthands =
        if form.scope.is_empty() { statement.requested.clone() } else { form.scope.clone() };
    let within = Within {
        not_after: granted.not_after,
        max_depth: granted.max_depth,
        budget: granted.budget.clone(),
        shorthands: shorthands.clone(),
    };
    let uri = granted.resource.uri(&cx.installation.issuer);
    let client = |key, max_seconds, status_index| Recipient::Client {
        id: &known.client.id,
        instance: &instance.id,
        key,
        resource: &uri,
        max_seconds,
        status_index: Some(status_index),
    };
    let (to, token_type) = match granted.output {
        Output::Root => {
            let status_index = free_place(tx, moment).map_err(oauth)?;
            // The instance showed its identity token, beside a proof by its key.
            let guarantee = Guarantee::Jwt;
            (Recipient::Holder { instance: &instance, status_index, guarantee }, "aat")
        }
        Output::Bound { key } => (client(Some(key), ACCESS_SECONDS, place(tx, moment)?), "DPoP"),
        Output::Bearer => (client(None, BEARER_SECONDS, place(tx, moment)?), "Bearer"),
    };
    let rests = delegations::Standing {
        statement: &statement,
        parties: state.parties(),
        workflow: &state.workflow,
    };
    let issued = tx.savepoint(|tx| {
        let (installation, keys) = (&cx.installation, &cx.keys);
        let said = (&granted.scope, &within);
        let plan = delegations::exchanged(moment, installation, keys, rests, said, to);
        cx.write(tx, plan.map_err(oauth)?).map_err(oauth)
    })?;
    let left = issued.not_after.seconds().saturating_sub(moment.now().seconds());
    // No refresh token: what was exchanged is exchanged again.
    Ok(TokenAnswer {
        issued_token_type: Some(if granted.output == Output::Root {
            TokenType::Delegation
        } else {
            TokenType::AccessToken
        }),
        token_type,
        expires_in_seconds: left,
        scope: shorthands,
        refresh_token: None,
        issued,
    })
}

/// Where nothing but keys stands for the caller, they must be shown.
fn one_key(
    known: &KnownClient,
    form: &ExchangeForm,
    proof: Option<&Possession>,
) -> Result<(), OAuthError> {
    // The gateway takes access tokens of registered clients only.
    if known.by_own_name && form.requested != TokenType::Delegation {
        let text = "an instance by its own name gets delegations; register a client, \
                    and have it mapped, for access tokens";
        return Err(OAuthError::new(Code::UnauthorizedClient, "client-unregistered", text));
    }
    // An identity token is shown to many, and a grant's id is no secret.
    if form.subject.kind == TokenType::Grant && proof.is_none() {
        return Err(ExchangeRefusal::ProofMissing.into());
    }
    Ok(())
}

/// The instance whose identity token was presented, as it is on record now.
fn actor(
    cx: &Inner,
    tx: &Tx<'_>,
    moment: &Moment<'_>,
    token: &str,
) -> Result<(Actor, Instance), OAuthError> {
    let refused = |text: String| bad("actor-invalid", format!("`actor_token`: {text}"));
    let keys: Vec<(String, VerifyingKey)> = cx.identity_keys(moment.now());
    let expected = Expected {
        issuer: &cx.installation.issuer,
        trust_domain: &cx.installation.trust_domain,
        keys: &keys,
        now: moment.now(),
        skew_seconds: 30,
        max_lifetime_seconds: identities::LIFETIME_SECONDS,
    };
    let identity = Identity::verify(token, &expected).map_err(|e| refused(e.to_string()))?;
    let named = read_instance_spiffe_id(&identity.spiffe_id, &cx.installation.trust_domain);
    let (agent, id) = named.ok_or_else(|| refused("it names no instance".to_owned()))?;
    let unknown = || refused("its instance is not active".to_owned());
    let instance = tx.instance(&id)?.ok_or_else(unknown)?.row;
    let key = Json::parse(instance.identity_jwk.as_bytes(), &JsonLimits::DEFAULT).ok();
    let key = key.as_ref().and_then(|jwk| VerifyingKey::from_jwk(jwk.as_object()?).ok());
    let same = key == Some(VerifyingKey::P256(identity.key)) && instance.agent == agent;
    let subjects = [Subject::Instance { id }, Subject::Agent { id: agent.clone() }];
    if !same || instance.status != Status::Active || tx.is_revoked(&subjects)?.is_some() {
        return Err(unknown());
    }
    let identity = VerifyingKey::P256(identity.key).thumbprint();
    Ok((Actor { agent, holder: instance.holder, identity }, instance))
}

/// The principal's newest grant for this agent that stands: for the task and
/// the workflow that are asked for, where they are.
fn grant_for(
    cx: &Inner,
    tx: &Tx<'_>,
    moment: &Moment<'_>,
    principal: &PrincipalId,
    agent: &AgentId,
    details: &DelegationDetails,
) -> Result<Option<GrantId>, OAuthError> {
    let Some(principal) = cx.principal(tx, principal)? else { return Ok(None) };
    for grant in tx.grants_of_principal(&principal.alias, MAX_GRANTS)? {
        let now = moment.now();
        // What was granted beside another grant is taken up by who asked for it.
        let fits = grant.agent == *agent
            && grant.account.is_none()
            && grant.starts <= now
            && now < grant.expires
            && details.task.as_ref().is_none_or(|task| *task == grant.task)
            && tx.is_revoked(&[Subject::Grant { id: grant.id.clone() }])?.is_none();
        let of_workflow = match &details.workflow {
            Some(workflow) => tx.task(&grant.task)?.is_some_and(|t| t.workflow == *workflow),
            None => true,
        };
        if fits && of_workflow {
            return Ok(Some(grant.row.id));
        }
    }
    Ok(None)
}

fn asked(
    state: &State,
    form: &ExchangeForm,
    details: &DelegationDetails,
    now: Timestamp,
) -> Result<Asked, OAuthError> {
    let mut shorthands = form.scope.clone();
    for shorthand in &details.scope {
        if !shorthands.contains(shorthand) {
            shorthands.push(shorthand.clone());
        }
    }
    let scope = match (&form.details.narrowing, shorthands.is_empty()) {
        (Some(_), false) => {
            let text = "name the scope by shorthands or by tools, not by both";
            return Err(OAuthError::new(Code::InvalidScope, "scope-twice", text));
        }
        (Some(tools), true) => Some(tools.clone()),
        (None, false) => {
            let scope = expand_scope(&state.workflow, &shorthands);
            Some(scope.map_err(|e| oauth(e.into()))?)
        }
        (None, true) => None,
    };
    Ok(Asked {
        kind: form.requested,
        resource: form.resource.clone(),
        scope,
        not_after: details.expires_in_seconds.map(|s| now.plus_seconds(s)),
        max_depth: details.max_depth,
        budget: details.budget.clone(),
        holder: form.holder.map(|key| key.thumbprint()),
    })
}

fn bounds(
    cx: &Inner,
    moment: &Moment<'_>,
    known: &KnownClient,
    statement: &Statement,
    state: &State,
    subject: Bound,
) -> Result<Vec<Bound>, OAuthError> {
    let gone = || invalid_grant("grant-gone", "the grant's scope cannot be read any more");
    let depth = cx.installation.limits.max_constraint_depth;
    let granted = Scope::parse(&statement.tools, Dialect::Extended, depth).map_err(|_| gone())?;
    let workflow = &state.workflow;
    let expanded =
        |shorthands: &[String]| expand_scope(workflow, shorthands).map_err(|e| oauth(e.into()));
    let mut bounds = vec![
        subject,
        Bound {
            scope: Some(granted),
            not_after: Some(Timestamp::from_seconds(statement.not_after)),
            max_depth: Some(statement.max_depth),
            budget: statement.budget.clone(),
            ..Bound::new(Part::Grant)
        },
        ceiling(state, statement)?,
        Bound {
            scope: Some(expanded(&statement.requested)?),
            not_after: Some(moment.now().plus_seconds(cx.installation.max_root_seconds)),
            max_depth: Some(workflow.max_depth),
            budget: workflow.budget.to_object(),
            ..Bound::new(Part::Policy)
        },
    ];
    // A client that restricted itself: of its shorthands those that the grant
    // has, so that one of another workflow does no harm.
    if !known.metadata.scope.is_empty() {
        let own: Vec<String> = statement
            .requested
            .iter()
            .filter(|s| known.metadata.scope.contains(s))
            .cloned()
            .collect();
        let scope = if own.is_empty() { Scope::empty() } else { expanded(&own)? };
        bounds.push(Bound { scope: Some(scope), ..Bound::new(Part::Client) });
    }
    Ok(bounds)
}

/// What the principal's present ceiling leaves of a grant.
fn ceiling(state: &State, statement: &Statement) -> Result<Bound, OAuthError> {
    let left = honoured(&state.ceiling, &state.workflow, statement).map_err(oauth)?;
    Ok(match left {
        Some((scope, max_depth)) => {
            Bound { scope: Some(scope), max_depth: Some(max_depth), ..Bound::new(Part::Ceiling) }
        }
        None => Bound::new(Part::Ceiling),
    })
}
