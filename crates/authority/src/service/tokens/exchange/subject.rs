//! Subject tokens: who speaks, and how far.

use bailiwick_core::aat::jws::Compact;
use bailiwick_core::aat::{DETAILS_TYPE, TOKEN_TYPE};
use bailiwick_core::accountable::{Authority as Claims, BUDGET};
use bailiwick_core::jose::{HeaderRules, Jws};

use super::*;
use crate::oauth::assertion::{MAX_STATEMENT_SECONDS, only_audience, window};
use crate::service::introspection::issued_here;

const MAX_JWT_BYTES: usize = 16 * 1024;
const SUBJECT: &str = "subject-token";
/// Roots of one instance under one grant that are looked through: a month of
/// renewals every ten minutes. Beyond it none is issued, because an older one
/// could have been revoked.
const MAX_ROOTS: u32 = 4096;

/// What the subject token says, verified.
pub(super) struct Verified {
    pub(super) subject: From,
    pub(super) bound: Bound,
    /// The grant that it names itself.
    pub(super) grant: Option<GrantId>,
}

/// Who the subject token speaks for. What a token is, its own `typ` says; the
/// type that the request states must agree with it.
pub(super) fn subject(
    cx: &Inner,
    tx: &mut Tx<'_>,
    moment: &Moment<'_>,
    form: &ExchangeForm,
    actor: &Actor,
) -> Result<Verified, OAuthError> {
    let token = form.subject.token.as_str();
    match form.subject.kind {
        TokenType::AccessToken => {
            issued_subject(cx, tx, moment, token, bailiwick_core::access::TYPE)
        }
        TokenType::Delegation => issued_subject(cx, tx, moment, token, TOKEN_TYPE),
        TokenType::Grant => granted_subject(cx, tx, moment, token, actor),
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
    let (jti, expires) = window(&claims, moment.now(), MAX_STATEMENT_SECONDS)
        .map_err(|e| OAuthError { code: Code::InvalidRequest, reason: "subject-invalid", ..e })?;
    if spent_before(tx, moment, SUBJECT, &format!("{name}\n{jti}"), expires)? {
        return Err(refused("it was used before"));
    }
    // `may_act` names the agent and nothing else (RFC 8693 §4.4).
    let may_act = claims.member("may_act").and_then(Json::as_object).filter(|m| m.len() == 1);
    let agent = may_act.and_then(|m| AgentId::parse(m.member("sub")?.as_str()?).ok());
    let subject = From { principal: id, may_act: agent.into_iter().collect(), actors: Vec::new() };
    Ok(Verified { subject, bound: Bound::new(Part::Subject), grant: None })
}

/// A grant on record, for when its principal is absent: it carries the
/// principal's own signature and names the agent that may act, so it is the
/// `may_act` that RFC 8693 §4.4 has a token state. Its id is no secret; what
/// counts is the key of the instance that shows it.
fn granted_subject(
    cx: &Inner,
    tx: &Tx<'_>,
    moment: &Moment<'_>,
    token: &str,
    actor: &Actor,
) -> Result<Verified, OAuthError> {
    // One answer for grants that are not there and for other agents' grants.
    let missing = || OAuthError::from(ExchangeRefusal::GrantMissing);
    let id = GrantId::parse(token).map_err(|_| missing())?;
    let grant = tx.grant(&id)?.ok_or_else(missing)?;
    if grant.agent != actor.agent {
        return Err(missing());
    }
    let (statement, _) = standing_grant(cx, tx, &id)?;
    // SECURITY: who took a root of this instance back did not mean that it
    // gets the next one by itself.
    let roots = tx.delegations_to(&id, &actor.holder, MAX_ROOTS)?;
    if roots.len() >= MAX_ROOTS as usize {
        let text = "this instance had as many roots under the grant as are looked through; \
                    ask the principal for a grant";
        return Err(invalid_grant("roots-too-many", text));
    }
    for root in roots {
        let (holder, root) = (actor.holder, root.row.root);
        let subjects = [Subject::Delegation { token: root }, Subject::HolderKey { holder, root }];
        if tx.is_revoked(&subjects)?.is_some() {
            let text = "a root of this instance under the grant was revoked; \
                        ask the principal for a grant";
            return Err(invalid_grant("root-revoked", text));
        }
    }
    let bound = Bound {
        not_after: Some(moment.now().plus_seconds(ABSENT_SECONDS)),
        ..Bound::new(Part::Absence)
    };
    let may_act = vec![statement.agent.clone()];
    let subject = From { principal: statement.principal, may_act, actors: Vec::new() };
    Ok(Verified { subject, bound, grant: Some(id) })
}
