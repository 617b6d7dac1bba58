//! Token exchange (RFC 8693): the state is read, the rule decides, the plan is
//! written.

use std::collections::BTreeSet;

use bailiwick_core::aat::jws::Compact;
use bailiwick_core::aat::{DETAILS_TYPE, TOKEN_TYPE};
use bailiwick_core::accountable::{Authority as Claims, BUDGET};
use bailiwick_core::constraint::Dialect;
use bailiwick_core::ids::{AgentId, PrincipalId, ToolId};
use bailiwick_core::jose::{HeaderRules, Jws, VerifyingKey};
use bailiwick_core::scope::Scope;
use bailiwick_core::wit::{Expected, Identity, read_instance_spiffe_id};
use bailiwick_policy::expand::expand;
use bailiwick_store::Instance;

use crate::oauth::assertion::{MAX_STATEMENT_SECONDS, only_audience, window};
use crate::oauth::details::DelegationDetails;
use crate::oauth::exchange::{
    Actor, Asked, Bound, Exchange, ExchangeRefusal, Output, Part, Standing, Subject as From, decide,
};
use crate::oauth::token::{ExchangeForm, TokenType};
use crate::rules::delegations::Within;
use crate::rules::identities;
use crate::service::introspection::issued_here;

use super::*;

/// Grants of one principal that are looked through for one that stands.
const MAX_GRANTS: u32 = 100;
const MAX_JWT_BYTES: usize = 16 * 1024;
const SUBJECT: &str = "subject-token";

fn bad(reason: &'static str, text: impl AsRef<str>) -> OAuthError {
    // RFC 8693 §2.2.2: a subject or actor token that is not accepted.
    OAuthError::request(reason, text)
}

/// What the subject token says, verified.
struct Verified {
    subject: From,
    bound: Bound,
    /// The grant that it names itself.
    grant: Option<GrantId>,
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
    let verified = subject(cx, tx, moment, form)?;
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
        client_key: None,
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
            (Recipient::Holder { instance: &instance, status_index }, "aat")
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

/// Who the subject token speaks for. What a token is, its own `typ` says; the
/// type that the request states must agree with it.
fn subject(
    cx: &Inner,
    tx: &mut Tx<'_>,
    moment: &Moment<'_>,
    form: &ExchangeForm,
) -> Result<Verified, OAuthError> {
    let token = form.subject.token.as_str();
    match form.subject.kind {
        TokenType::AccessToken => {
            issued_subject(cx, tx, moment, token, bailiwick_core::access::TYPE)
        }
        TokenType::Delegation => issued_subject(cx, tx, moment, token, TOKEN_TYPE),
        TokenType::Jwt => signed_subject(cx, tx, moment, token),
        TokenType::IdToken => {
            let text = "identity tokens of providers are not accepted as subject tokens";
            Err(bad("subject-type", text))
        }
    }
}

/// A token of ours.
fn issued_subject(
    cx: &Inner,
    tx: &Tx<'_>,
    moment: &Moment<'_>,
    token: &str,
    typ: &str,
) -> Result<Verified, OAuthError> {
    let refused = || bad("subject-invalid", "`subject_token` does not hold");
    let jws = Compact::parse(token).map_err(|_| refused())?;
    jws.check_header(typ).map_err(|_| refused())?;
    let known = issued_here(tx, token)?.ok_or_else(refused)?;
    let claims = Claims::from_claims(&known.claims).map_err(|_| refused())?;
    let row = &known.delegation.row;
    let subjects = [
        Subject::Delegation { token: row.root },
        Subject::HolderKey { holder: row.holder, root: row.root },
    ];
    if moment.now() >= row.expires || tx.is_revoked(&subjects)?.is_some() {
        return Err(refused());
    }
    let number = |name: &str| {
        let number = known.claims.member(name).and_then(|n| n.as_number()?.as_plain_integer());
        number.and_then(|n| u64::try_from(n).ok())
    };
    let budget = known.claims.member(BUDGET).and_then(Json::as_object).cloned();
    let bound = Bound {
        scope: Some(scope_of(cx, &known.claims).ok_or_else(refused)?),
        not_after: Some(row.expires),
        // Nothing is derived from an access token, so no depth comes from one.
        max_depth: Some(number("del_max_depth").unwrap_or(0)),
        budget: budget.unwrap_or_default(),
        ..Bound::new(Part::Subject)
    };
    let subject = From {
        principal: claims.principal,
        may_act: vec![claims.agent.clone()],
        actors: vec![claims.agent.to_string()],
    };
    Ok(Verified { subject, bound, grant: Some(claims.grant) })
}

fn scope_of(cx: &Inner, claims: &Object) -> Option<Scope> {
    let details = claims.member("authorization_details")?.as_array()?;
    let of_type = |o: &&Object| o.member("type").and_then(Json::as_str) == Some(DETAILS_TYPE);
    let entry = details.iter().filter_map(Json::as_object).find(of_type)?;
    let tools = entry.member("tools")?.as_object()?;
    let depth = cx.installation.limits.max_constraint_depth;
    Scope::parse(tools, Dialect::Extended, depth).ok()
}

/// A principal's own statement that an agent may act, signed with its
/// registered key: what services send.
fn signed_subject(
    cx: &Inner,
    tx: &mut Tx<'_>,
    moment: &Moment<'_>,
    token: &str,
) -> Result<Verified, OAuthError> {
    let refused = |text: &str| bad("subject-invalid", format!("`subject_token`: {text}"));
    let rules = HeaderRules::typed(&["JWT"]);
    let jws = Jws::parse(token, MAX_JWT_BYTES)
        .and_then(|jws| jws.check_header(&rules))
        .map_err(|e| refused(&e.to_string()))?;
    let unknown = || refused("its principal is not known, or has no key here");
    let name = jws.claim_hint("sub").ok_or_else(unknown)?;
    let id = PrincipalId::parse(&name).map_err(|_| unknown())?;
    let principal = cx.principal(tx, &id)?.ok_or_else(unknown)?.row;
    let jwk = principal.jwk.as_deref().ok_or_else(unknown)?;
    let jwk = Json::parse(jwk.as_bytes(), &JsonLimits::DEFAULT).ok();
    let key = jwk.as_ref().and_then(|jwk| VerifyingKey::from_jwk(jwk.as_object()?).ok());
    let key = key.ok_or_else(unknown)?;
    let claims = jws.verify(&key).map_err(|e| refused(&e.to_string()))?;
    if claims.member("iss").and_then(Json::as_str) != Some(name.as_str()) {
        return Err(refused("`iss` is not its principal"));
    }
    if !only_audience(&claims, &cx.installation.issuer) {
        return Err(refused("`aud` must be the issuer and nothing else"));
    }
    let spent = window(&claims, moment.now(), MAX_STATEMENT_SECONDS);
    let (jti, expires) = spent.map_err(|e| OAuthError {
        code: Code::InvalidRequest,
        reason: "subject-invalid",
        ..e
    })?;
    if spent_before(tx, moment, SUBJECT, &format!("{name}\n{jti}"), expires)? {
        return Err(refused("it was used before"));
    }
    // `may_act` names the agent and nothing else (RFC 8693 §4.4).
    let may_act = claims.member("may_act").and_then(Json::as_object).filter(|m| m.len() == 1);
    let agent = may_act.and_then(|m| AgentId::parse(m.member("sub")?.as_str()?).ok());
    let subject = From { principal: id, may_act: agent.into_iter().collect(), actors: Vec::new() };
    Ok(Verified { subject, bound: Bound::new(Part::Subject), grant: None })
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
        let fits = grant.agent == *agent
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
            let expansion = expand(&state.workflow, &shorthands);
            Some(expansion.map_err(|e| oauth(e.into()))?.scope)
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
    let expanded = |shorthands: &[String]| {
        expand(workflow, shorthands).map(|e| e.scope).map_err(|e| oauth(e.into()))
    };
    let ceiling = workflow.budget.max_calls;
    let mut bounds = vec![
        subject,
        Bound {
            scope: Some(granted),
            not_after: Some(Timestamp::from_seconds(statement.not_after)),
            max_depth: Some(statement.max_depth),
            budget: statement.budget.clone(),
            ..Bound::new(Part::Grant)
        },
        Bound {
            scope: Some(expanded(&statement.requested)?),
            not_after: Some(moment.now().plus_seconds(cx.installation.max_root_seconds)),
            max_depth: Some(workflow.max_depth),
            budget: ceiling.map_or_else(Object::new, |max| Object::new().with("max_calls", max)),
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
