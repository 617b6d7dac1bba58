//! Grants that come signed to the token endpoint, and their preparation.

use bailiwick_core::grant::Proof;
use bailiwick_core::ids::PrincipalId;

use super::own_name::own_name;
use super::*;
use crate::oauth::assertion::{Accepted, MAX_STATEMENT_SECONDS, only_audience, window};
use crate::oauth::signed_grant::{PrepareForm, SignedGrantForm, claimed, framed};
use crate::rules::delegations::{Options, Prepared};
use crate::service::delegations::{Pick, PrepareOptions, prepared, submitted};

const SPENT: &str = "grant-assertion";

/// The principal whose assertion it is (RFC 7523 §3). It is authenticated by
/// the signature that is its consent; a client assertion beside it is verified
/// as well, and is the same principal's.
pub(super) fn signer(
    cx: &Inner,
    tx: &mut Tx<'_>,
    moment: &Moment<'_>,
    presented: &Presented,
    form: &SignedGrantForm,
) -> Result<KnownClient, OAuthError> {
    let name = claimed(&form.assertion)?;
    if presented.assertion.is_some() {
        let known = known_client(cx, tx, moment, presented)?;
        if known.client.id != name.as_str() {
            let text = "the client is not the principal of `assertion`";
            return Err(invalid_grant("assertion-other-client", text));
        }
    } else if presented.client.as_ref().is_some_and(|client| *client != name) {
        let text = "`client_id` is not the principal of `assertion`";
        return Err(invalid_grant("assertion-other-client", text));
    }
    // One answer for a name that nobody has and for another's signature.
    let unknown = || {
        let text = "`assertion` is not signed with a registered key of its principal";
        invalid_grant("assertion-invalid", text)
    };
    let known = own_name(cx, tx, &name, moment.now())?.ok_or_else(unknown)?;
    let keys = known.metadata.keys.as_ref().ok_or_else(unknown)?;
    let (claims, key) = keys.verify(&framed(&form.assertion)?).map_err(|_| unknown())?;
    if claims.member("iss").and_then(Json::as_str) != Some(name.as_str()) {
        return Err(invalid_grant("assertion-party", "`iss` of `assertion` is not its principal"));
    }
    if !only_audience(&claims, &cx.installation.issuer) {
        let text = "`aud` of `assertion` must be the issuer and nothing else";
        return Err(invalid_grant("assertion-audience", text));
    }
    let (jti, expires) = window(&claims, moment.now(), MAX_STATEMENT_SECONDS).map_err(|e| {
        invalid_grant("assertion-stale", &e.description.replace("client_assertion", "assertion"))
    })?;
    if spent_before(tx, moment, SPENT, &format!("{name}\n{jti}"), expires)? {
        return Err(invalid_grant("assertion-replayed", "`assertion` was used before"));
    }
    let proof = Some(Accepted { jti, expires, key, claims });
    Ok(KnownClient {
        client: known.client,
        metadata: known.metadata,
        authenticated: Authenticated { client: name, proof },
        principal: known.principal,
        by_own_name: true,
    })
}

/// Records the grant and issues its root to an instance of the agent.
pub(super) fn grant(
    cx: &Inner,
    tx: &mut Tx<'_>,
    moment: &Moment<'_>,
    known: &KnownClient,
    form: &SignedGrantForm,
) -> Result<TokenAnswer, OAuthError> {
    let statement = &form.prepared.statement;
    if statement.principal.as_str() != known.client.id {
        let text = "the grant was prepared for another principal than the one of `assertion`";
        return Err(invalid_grant("grant-other-principal", text));
    }
    let proof = Proof::Request(form.assertion.clone());
    let pick = match form.holder {
        Some(key) => Pick::Holder(key.thumbprint()),
        None => Pick::Only,
    };
    let issued = tx.savepoint(|tx| {
        let plan = submitted(cx, tx, moment, &form.prepared, &proof, &pick);
        cx.write(tx, plan.map_err(oauth)?).map_err(oauth)
    })?;
    let left = issued.not_after.seconds().saturating_sub(moment.now().seconds());
    Ok(TokenAnswer {
        issued_token_type: Some(TokenType::Delegation),
        token_type: "aat",
        expires_in_seconds: left,
        scope: statement.requested.clone(),
        refresh_token: None,
        issued,
    })
}

impl Authority {
    /// Makes the statement that a principal is to sign, for that principal
    /// alone. Nothing of it is kept. `recorded` says whether a refusal may have
    /// an entry of its own.
    ///
    /// # Errors
    /// `invalid_client`; `unauthorized_client` for who is no principal with a
    /// registered key; `invalid_authorization_details` and `invalid_scope` name
    /// what cannot be granted.
    pub fn prepare_signed(
        &self,
        presented: &Presented,
        form: &PrepareForm,
        recorded: bool,
    ) -> Result<Prepared, OAuthError> {
        let (presented, form) = (presented.clone(), form.clone());
        self.transact(move |cx, tx, moment| {
            let known = match known_client(cx, tx, moment, &presented) {
                Ok(known) => known,
                Err(error) => return Ok(Err(error)),
            };
            let outcome = prepare(cx, tx, moment, &known, &form);
            judged(cx, tx, moment, &known, outcome, recorded)
        })
        .map_err(oauth)?
    }
}

fn prepare(
    cx: &Inner,
    tx: &Tx<'_>,
    moment: &Moment<'_>,
    known: &KnownClient,
    form: &PrepareForm,
) -> Result<Prepared, OAuthError> {
    let not_a_principal = || {
        let text = "only a principal with a registered key grants by signed request";
        OAuthError::new(Code::UnauthorizedClient, "not-a-principal", text)
    };
    known.principal.as_ref().ok_or_else(not_a_principal)?;
    let principal = PrincipalId::parse(&known.client.id).map_err(|_| not_a_principal())?;
    let request = form.request(principal, moment.now()).ok_or_else(not_a_principal)?;
    let details = form.details();
    let options = PrepareOptions {
        options: Options {
            max_depth: details.max_depth,
            budget: details.budget.clone(),
            ..Options::default()
        },
        task: details.task.clone(),
        request: None,
    };
    prepared(cx, tx, moment, &request, &options).map_err(refused::unprepared)
}
