//! The token endpoint: codes and refresh tokens become access tokens.
//!
//! One request is one transaction. What a request spends (an assertion's and a
//! proof's id) stays spent when it is refused; what it would have issued is
//! undone.

use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::dpop::Possession;
use bailiwick_core::grant::Statement;
use bailiwick_core::ids::{Alias, GrantId};
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
use crate::oauth::error::{Code, OAuthError};
use crate::oauth::token::{Presented, TokenForm, TokenType};
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;
use crate::rules::delegations::{self, Issued, Recipient};

mod exchange;
mod families;
mod known;
mod own_name;
mod redeemed;
mod refused;
mod signed_grant;
pub(super) use families::{end_issued, end_root};
pub(super) use known::{KnownClient, known_client};
pub(super) use redeemed::refresh_of;
use redeemed::{REFRESH, Redeeming, redeem, refresh};
pub(super) use refused::oauth;

/// Seconds that an access token lives at most.
pub(super) const ACCESS_SECONDS: i64 = 900;
/// Bearer tokens are for a short while (DESIGN rule 1).
const BEARER_SECONDS: i64 = bailiwick_core::access::MAX_BEARER_SECONDS;

/// Ticket kinds.
const ASSERTION: &str = "client-assertion";
const PROOF: &str = "dpop-token";

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

/// A place in the status lists for an access token.
fn place(tx: &Tx<'_>, moment: &Moment<'_>) -> Result<u32, OAuthError> {
    let place = free_place(tx, moment).map_err(oauth)?;
    place.ok_or_else(|| OAuthError::unavailable("status-list-full"))
}
