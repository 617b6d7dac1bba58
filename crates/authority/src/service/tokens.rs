//! The token endpoint: codes and refresh tokens become access tokens.
//!
//! One request is one transaction. What a request spends (an assertion's and a
//! proof's id) stays spent when it is refused; what it would have issued is
//! undone.

use bailiwick_core::crypto::{Digest, Thumbprint, sha256};
use bailiwick_core::dpop::Possession;
use bailiwick_core::grant::Statement;
use bailiwick_core::ids::{Alias, GrantId, ServerName};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Client, Status, Subject, Ticket, Tx};

use super::delegations::State;
use super::places::free_place;
use super::{Authority, Inner};
use crate::host::Moment;
use crate::oauth::assertion::{Authenticated, Unverified, authenticate};
use crate::oauth::client::{ClientMetadata, GrantType, Source};
use crate::oauth::code::{self, IssuedCode};
use crate::oauth::error::{Code, OAuthError};
use crate::oauth::resource::Resource;
use crate::oauth::token::{Presented, TokenForm, TokenType};
use crate::people::sessions::Secret;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;
use crate::rules::delegations::{self, Issued, Recipient};

mod exchange;
mod families;
mod known;
mod own_name;
mod refused;
mod signed_grant;
pub(super) use families::{end_issued, end_root};
pub(super) use known::{KnownClient, known_client};
pub(super) use refused::oauth;

/// Seconds that an access token lives at most.
pub(super) const ACCESS_SECONDS: i64 = 900;
/// Bearer tokens are for a short while (DESIGN rule 1).
const BEARER_SECONDS: i64 = bailiwick_core::access::MAX_BEARER_SECONDS;

/// Ticket kinds.
const ASSERTION: &str = "client-assertion";
const PROOF: &str = "dpop-token";
const USED_CODE: &str = "code-used";
const REFRESH: &str = "refresh";
const USED_REFRESH: &str = "refresh-used";

/// What the token endpoint answers (RFC 6749 §5.1).
#[derive(Clone, PartialEq)]
pub struct TokenAnswer {
    /// What was issued.
    pub issued: Issued,
    /// What kind of token an exchange gave.
    pub issued_token_type: Option<TokenType>,
    /// `DPoP`, `Bearer`, or `aat` for a delegation token.
    pub token_type: &'static str,
    /// Seconds until it ends.
    pub expires_in_seconds: i64,
    /// Shorthands.
    pub scope: Vec<String>,
    /// The next refresh token, if the client may have one.
    pub refresh_token: Option<String>,
}

impl std::fmt::Debug for TokenAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenAnswer").field("root", &self.issued.root).finish_non_exhaustive()
    }
}

impl TokenAnswer {
    /// The body.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let details = Object::new()
            .with("type", bailiwick_core::aat::DETAILS_TYPE)
            .with("tools", self.issued.tools.clone());
        let mut object = Object::new()
            .with("access_token", self.issued.token.as_str())
            .with("token_type", self.token_type)
            .with("expires_in", self.expires_in_seconds)
            .with("scope", self.scope.join(" "))
            // The name that Grant Management for OAuth 2.0 gives it.
            .with("grant_id", &self.issued.grant)
            .with("authorization_details", vec![Json::from(details)]);
        if let Some(kind) = self.issued_token_type {
            object.insert("issued_token_type", kind.as_str());
        }
        if let Some(refresh) = &self.refresh_token {
            object.insert("refresh_token", refresh.as_str());
        }
        object.into()
    }
}

/// What stands behind a refresh token.
struct Refresh {
    client: String,
    grant: GrantId,
    server: ServerName,
    jkt: Option<Thumbprint>,
}

impl Refresh {
    fn to_text(&self) -> String {
        let mut object = Object::new()
            .with("client", self.client.as_str())
            .with("grant", &self.grant)
            .with("server", &self.server);
        if let Some(jkt) = self.jkt {
            object.insert("jkt", jkt);
        }
        Json::from(object).canonical()
    }

    fn read(text: &str) -> Option<Self> {
        let json = Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).ok()?;
        let object = json.as_object()?;
        let text = |name: &str| object.member(name).and_then(Json::as_str);
        Some(Self {
            client: text("client")?.to_owned(),
            grant: GrantId::parse(text("grant")?).ok()?,
            server: ServerName::parse(text("server")?).ok()?,
            jkt: match text("jkt") {
                Some(jkt) => Some(Thumbprint::from_text(jkt)?),
                None => None,
            },
        })
    }
}

impl Authority {
    /// Answers a token request. `proof` is the verified DPoP proof that came
    /// with it, if one did. `recorded` says whether a refusal may have an entry
    /// of its own.
    ///
    /// # Errors
    /// The standard's error, of the first thing that stands in the way.
    pub fn token(
        &self,
        presented: &Presented,
        form: &TokenForm,
        proof: Option<&Possession>,
        recorded: bool,
    ) -> Result<TokenAnswer, OAuthError> {
        let (presented, form, proof) = (presented.clone(), form.clone(), proof.cloned());
        self.transact(move |cx, tx, moment| {
            let known = match &form {
                TokenForm::SignedGrant(form) => {
                    signed_grant::signer(cx, tx, moment, &presented, form)
                }
                _ => known_client(cx, tx, moment, &presented),
            };
            let known = match known {
                Ok(known) => known,
                Err(error) => return Ok(Err(error)),
            };
            let outcome = request(cx, tx, moment, &known, &form, proof.as_ref());
            judged(cx, tx, moment, &known, outcome, recorded)
        })
        .map_err(oauth)?
    }
}

impl Authority {
    /// Records how many requests were refused since `since` without an entry of
    /// their own.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn refusals_counted(&self, count: u64, since: Timestamp) -> Result<(), Refusal> {
        self.commit(move |cx, _, moment| {
            let step = Step::new(moment, &cx.installation.org, Kind::DenialsSuppressed)?
                .with("count", count)
                .with("unwritten", 0u64)
                .with("from", since.to_string())
                .with("to", moment.now().to_string());
            Ok(Plan::one(step, ()))
        })
    }
}

/// What was decided; a refusal to somebody known gets its entry.
fn judged<T>(
    cx: &Inner,
    tx: &mut Tx<'_>,
    moment: &Moment<'_>,
    known: &KnownClient,
    outcome: Result<T, OAuthError>,
    recorded: bool,
) -> Result<Result<T, OAuthError>, Refusal> {
    match outcome {
        Err(error) if recorded => {
            let step = refused::entry(cx, moment, known, &error)?;
            cx.write(tx, Plan::one(step, ()))?;
            Ok(Err(OAuthError { recorded: true, ..error }))
        }
        outcome => Ok(outcome),
    }
}

fn invalid_grant(reason: &'static str, text: &str) -> OAuthError {
    OAuthError::new(Code::InvalidGrant, reason, text)
}

fn request(
    cx: &Inner,
    tx: &mut Tx<'_>,
    moment: &Moment<'_>,
    known: &KnownClient,
    form: &TokenForm,
    proof: Option<&Possession>,
) -> Result<TokenAnswer, OAuthError> {
    if let Some(proof) = proof {
        spend_proof(cx, tx, moment, proof)?;
    } else if known.metadata.dpop_bound {
        let text = "the client is registered for DPoP-bound tokens only";
        return Err(OAuthError::new(Code::InvalidDpopProof, "dpop-required", text));
    }
    known.metadata.permits(form.grant_type())?;
    match form {
        TokenForm::AuthorizationCode { code, redirect_uri, verifier, resource } => {
            let asked = Redeeming { code, redirect_uri, verifier, resource };
            redeem(cx, tx, moment, known, &asked, proof)
        }
        TokenForm::RefreshToken { token, scope, resource } => {
            refresh(cx, tx, moment, known, token, scope, resource.as_ref(), proof)
        }
        TokenForm::SignedGrant(form) => signed_grant::grant(cx, tx, moment, known, form),
        TokenForm::TokenExchange(form) => exchange::exchange(cx, tx, moment, known, form, proof),
    }
}

/// A proof counts once (RFC 9449 §11.1).
fn spend_proof(
    cx: &Inner,
    tx: &mut Tx<'_>,
    moment: &Moment<'_>,
    proof: &Possession,
) -> Result<(), OAuthError> {
    let window = cx.installation.limits.pop_window;
    let expires = Timestamp::from_seconds(proof.iat).plus_seconds(window.saturating_add(1));
    let id = format!("{}\n{}", proof.thumbprint, proof.jti);
    if spent_before(tx, moment, PROOF, &id, expires)? {
        let text = "the DPoP proof was used before";
        return Err(OAuthError::new(Code::InvalidDpopProof, "dpop-replayed", text));
    }
    Ok(())
}

/// Whether `id` was spent before; if not, it is now.
pub(super) fn spent_before(
    tx: &mut Tx<'_>,
    moment: &Moment<'_>,
    kind: &'static str,
    id: &str,
    expires: Timestamp,
) -> Result<bool, OAuthError> {
    let key = sha256(id.as_bytes());
    if tx.ticket(kind, &key, moment.now())?.is_some() {
        return Ok(true);
    }
    let (family, value) = (String::new(), String::new());
    tx.keep_ticket(&Ticket { kind, key, family, value, expires })?;
    Ok(false)
}

struct Redeeming<'a> {
    code: &'a str,
    redirect_uri: &'a Option<String>,
    verifier: &'a Option<String>,
    resource: &'a Option<Resource>,
}

/// A code becomes an access token (RFC 6749 §4.1.3).
fn redeem(
    cx: &Inner,
    tx: &mut Tx<'_>,
    moment: &Moment<'_>,
    known: &KnownClient,
    asked: &Redeeming<'_>,
    proof: Option<&Possession>,
) -> Result<TokenAnswer, OAuthError> {
    let unknown = || invalid_grant("code-unknown", "the code is unknown, used or over");
    let key = Secret::parse(asked.code).ok_or_else(unknown)?.hash();
    if let Some(used) = tx.ticket(USED_CODE, &key, moment.now())? {
        // RFC 6749 §4.1.2: who redeemed it first may have stolen it.
        if used.value == known.client.id {
            end_issued(cx, tx, moment, &used.family, &known.client.id, "code-replayed")?;
        }
        return Err(invalid_grant("code-replayed", "the code was used before"));
    }
    let issuer = cx.installation.issuer.as_str();
    let ticket = tx.ticket(code::KIND, &key, moment.now())?.ok_or_else(unknown)?;
    let issued = Json::parse(ticket.value.as_bytes(), &JsonLimits::DEFAULT)
        .ok()
        .and_then(|json| IssuedCode::from_json(&json, issuer))
        .ok_or_else(unknown)?;
    // SECURITY: somebody else's code is left alone, or anybody who saw one
    // could take it from its owner.
    if issued.client.as_str() != known.client.id {
        return Err(invalid_grant("code-other-client", "the code is another client's"));
    }
    tx.take_ticket(code::KIND, &key, moment.now())?;
    let grant = issued.grant.clone();
    tx.keep_ticket(&Ticket {
        kind: USED_CODE,
        key,
        family: grant.to_string(),
        value: known.client.id.clone(),
        expires: moment.now().plus_seconds(ACCESS_SECONDS.saturating_mul(4)),
    })?;
    if asked.redirect_uri.as_ref().is_some_and(|uri| *uri != issued.redirect_uri) {
        let text = "`redirect_uri` is not the one of the authorization request";
        return Err(invalid_grant("redirect-uri-other", text));
    }
    issued.challenge.verify(asked.verifier.as_deref())?;
    let jkt = proof.map(|p| p.thumbprint);
    if issued.dpop_jkt.is_some() && issued.dpop_jkt != jkt {
        let text = "the DPoP proof is not by the key of `dpop_jkt`";
        return Err(OAuthError::new(Code::InvalidDpopProof, "dpop-key-other", text));
    }
    if let (Some(asked), Some(before)) = (asked.resource, &issued.resource)
        && asked != before
    {
        let text = "`resource` is not the one of the authorization request";
        return Err(OAuthError::new(Code::InvalidTarget, "resource-other", text));
    }
    let resource = issued.resource.as_ref().or(asked.resource.as_ref());
    tx.savepoint(|tx| access(cx, tx, moment, known, &grant, resource, jkt))
}

/// A refresh token becomes an access token and the next refresh token (RFC 9700
/// §4.14).
#[expect(
    clippy::too_many_arguments,
    reason = "the request's parts with what they are held against"
)]
fn refresh(
    cx: &Inner,
    tx: &mut Tx<'_>,
    moment: &Moment<'_>,
    known: &KnownClient,
    token: &str,
    scope: &[String],
    resource: Option<&Resource>,
    proof: Option<&Possession>,
) -> Result<TokenAnswer, OAuthError> {
    let unknown = || invalid_grant("refresh-unknown", "the refresh token is unknown or over");
    let key = Secret::parse(token).ok_or_else(unknown)?.hash();
    if let Some(used) = tx.ticket(USED_REFRESH, &key, moment.now())? {
        // Two parties have it: none of them keeps anything.
        if used.value == known.client.id {
            end_issued(cx, tx, moment, &used.family, &known.client.id, "refresh-replayed")?;
        }
        return Err(invalid_grant("refresh-replayed", "the refresh token was used before"));
    }
    let ticket = tx.ticket(REFRESH, &key, moment.now())?.ok_or_else(unknown)?;
    let kept = Refresh::read(&ticket.value).ok_or_else(unknown)?;
    if kept.client != known.client.id {
        return Err(invalid_grant("refresh-other-client", "the refresh token is another client's"));
    }
    let jkt = proof.map(|p| p.thumbprint);
    // RFC 9449 §5: a public client's refresh token is bound as the access token.
    if kept.jkt != jkt {
        let text = "the DPoP proof is not by the key that the refresh token is bound to";
        return Err(OAuthError::new(Code::InvalidDpopProof, "dpop-key-other", text));
    }
    let expected = Resource::Server(kept.server.clone());
    if resource.is_some_and(|resource| *resource != expected) {
        let text = "`resource` is not the one that was granted";
        return Err(OAuthError::new(Code::InvalidTarget, "resource-other", text));
    }
    let answer = tx.savepoint(|tx| {
        tx.take_ticket(REFRESH, &key, moment.now())?;
        tx.keep_ticket(&Ticket {
            kind: USED_REFRESH,
            key,
            family: ticket.family.clone(),
            value: known.client.id.clone(),
            expires: ticket.expires,
        })?;
        let answer = access(cx, tx, moment, known, &kept.grant, Some(&expected), jkt)?;
        let same = scope.len() == answer.scope.len() || scope.is_empty();
        if !same || !scope.iter().all(|s| answer.scope.contains(s)) {
            let text = "a refresh gives the scope that was granted, no other";
            return Err(OAuthError::new(Code::InvalidScope, "scope-other", text));
        }
        Ok(answer)
    })?;
    Ok(answer)
}

/// Issues an access token under a grant to a client, and the refresh token that
/// follows it.
fn access(
    cx: &Inner,
    tx: &mut Tx<'_>,
    moment: &Moment<'_>,
    known: &KnownClient,
    grant: &GrantId,
    resource: Option<&Resource>,
    jkt: Option<Thumbprint>,
) -> Result<TokenAnswer, OAuthError> {
    let (statement, state) = standing_grant(cx, tx, grant)?;
    // One that is mapped to no agent, or to another than the grant's, gets
    // nothing.
    if known.agent()? != &statement.agent {
        let text = "the grant is another agent's than the client's";
        return Err(invalid_grant("grant-other-agent", text));
    }
    let server = match resource {
        Some(Resource::Server(server)) => server.clone(),
        _ => delegations::only_server(&statement).ok_or_else(|| {
            let text = "name the tool server's `resource`: the grant reaches several";
            OAuthError::new(Code::InvalidTarget, "resource-missing", text)
        })?,
    };
    let status_index = place(tx, moment)?;
    let uri = cx.installation.resource(&server);
    let to = Recipient::Client {
        id: &known.client.id,
        instance: known.instance()?,
        key: jkt,
        resource: &uri,
        max_seconds: if jkt.is_some() { ACCESS_SECONDS } else { BEARER_SECONDS },
        status_index: Some(status_index),
    };
    let standing = delegations::Standing {
        statement: &statement,
        parties: state.parties(),
        workflow: &state.workflow,
    };
    let plan = delegations::access(moment, &cx.installation, &cx.keys, standing, &server, to);
    let plan = plan.map_err(oauth)?;
    let issued = cx.write(tx, plan).map_err(oauth)?;
    let refresh_token = if known.metadata.grant_types.contains(&GrantType::RefreshToken) {
        let secret = Secret::mint(moment).map_err(oauth)?;
        let kept = Refresh { client: known.client.id.clone(), grant: grant.clone(), server, jkt };
        tx.keep_ticket(&Ticket {
            kind: REFRESH,
            key: secret.hash(),
            family: grant.to_string(),
            value: kept.to_text(),
            expires: Timestamp::from_seconds(statement.not_after),
        })?;
        Some(secret.reveal())
    } else {
        None
    };
    let left = issued.not_after.seconds().saturating_sub(moment.now().seconds());
    Ok(TokenAnswer {
        issued_token_type: None,
        token_type: if jkt.is_some() { "DPoP" } else { "Bearer" },
        expires_in_seconds: left,
        scope: statement.requested.clone(),
        refresh_token,
        issued,
    })
}

/// The statement of a grant on record, and what it rests on now.
pub(super) fn standing_grant(
    cx: &Inner,
    tx: &Tx<'_>,
    grant: &GrantId,
) -> Result<(Statement, State), OAuthError> {
    let gone = || invalid_grant("grant-gone", "the grant is not on record any more");
    let (text, _) = tx.grant_texts(grant)?.ok_or_else(gone)?;
    let statement = Json::parse(text.as_bytes(), &JsonLimits::DEFAULT)
        .ok()
        .and_then(|json| Statement::from_json(&json).ok())
        .ok_or_else(gone)?;
    let (principal, agent) = (&statement.principal, &statement.agent);
    let mut state = State::read(cx, tx, principal, agent, &statement.workflow).map_err(oauth)?;
    let subjects =
        [Subject::Grant { id: grant.clone() }, Subject::Task { id: statement.task.clone() }];
    state.also_revoked(tx, &subjects).map_err(oauth)?;
    Ok((statement, state))
}

/// The client and grant of a refresh token that stands.
pub(super) fn refresh_of(
    tx: &Tx<'_>,
    key: &Digest,
    now: Timestamp,
) -> Result<Option<(String, String)>, OAuthError> {
    let ticket = tx.ticket(REFRESH, key, now)?;
    let kept = ticket.as_ref().and_then(|ticket| Refresh::read(&ticket.value));
    Ok(kept.map(|kept| (kept.client, kept.grant.to_string())))
}

/// A place in the status lists for an access token.
fn place(tx: &Tx<'_>, moment: &Moment<'_>) -> Result<u32, OAuthError> {
    let place = free_place(tx, moment).map_err(oauth)?;
    place.ok_or_else(|| OAuthError::unavailable("status-list-full"))
}
