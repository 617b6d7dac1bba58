//! What a token is worth, and giving it back.

use bailiwick_core::aat::jws::Compact;
use bailiwick_core::accountable::{Authority as Claims, Question};
use bailiwick_core::crypto::Digest;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Stored, View};

use super::tokens::{end_issued, end_root, known_client, oauth};
use super::{Authority, Inner};
use crate::oauth::client::ClientId;
use crate::oauth::error::{Code, OAuthError};
use crate::oauth::introspection::{Answer, Caller, Form, TokenState, answer, signed};
use crate::oauth::revocation::TokenKind;
use crate::oauth::token::Presented;
use crate::people::sessions::Secret;
use crate::rules::revocations::By;

/// A token that was issued here, by its own text.
pub(super) struct Known {
    pub(super) delegation: Stored<bailiwick_store::Delegation>,
    pub(super) claims: Object,
}

/// The root on record whose text `token` is, letter by letter: a text that only
/// reads alike was not issued.
pub(super) fn issued_here(view: &View<'_>, token: &str) -> Result<Option<Known>, OAuthError> {
    let Ok(jws) = Compact::parse(token) else { return Ok(None) };
    let Some(chain) = view.delegation(&jws.hash())? else { return Ok(None) };
    if view.delegation_token(&jws.hash())?.as_deref() != Some(token) {
        return Ok(None);
    }
    let Ok(claims) = jws.claims(&JsonLimits::DEFAULT) else { return Ok(None) };
    Ok(Some(Known { delegation: chain.delegation, claims }))
}

impl Known {
    fn state(
        &self,
        registry: &dyn bailiwick_core::accountable::Registry,
        now: Timestamp,
    ) -> Option<TokenState> {
        let authority = Claims::from_claims(&self.claims).ok()?;
        let row = &self.delegation.row;
        let question =
            Question { authority: &authority, tokens: vec![row.root], holders: vec![row.holder] };
        let standing = registry.standing(&question).ok()?;
        let text = |name: &str| self.claims.member(name).and_then(Json::as_str);
        let number = |name: &str| self.claims.member(name)?.as_number()?.as_plain_integer();
        let audience = match self.claims.member("aud")? {
            Json::String(one) => vec![one.clone()],
            Json::Array(list) => {
                list.iter().filter_map(|a| a.as_str().map(str::to_owned)).collect()
            }
            _ => return None,
        };
        let scope = text("scope").unwrap_or_default();
        Some(TokenState {
            holds: standing.ended(now).is_none(),
            jti: text("jti")?.to_owned(),
            // A delegation token has no client: only who serves its audience
            // may ask about it.
            client: row.client.as_deref().map(ClientId::parse).transpose().ok()?,
            subject: authority.principal.to_string(),
            actor: authority.agent.to_string(),
            audience,
            issued: Timestamp::from_seconds(number("iat")?),
            not_before: number("nbf").map(Timestamp::from_seconds),
            expires: Timestamp::from_seconds(number("exp")?),
            scope: scope.split(' ').filter(|s| !s.is_empty()).map(str::to_owned).collect(),
            details: self.claims.member("authorization_details")?.clone(),
            key: (row.form != bailiwick_store::TokenForm::Bearer).then_some(row.holder),
        })
    }
}

impl Authority {
    /// Answers an introspection request (RFC 7662) in the form that was asked
    /// for (RFC 9701). Only clients that authenticate with a key may ask;
    /// `resources` are those that the operator says the client serves.
    ///
    /// # Errors
    /// `invalid_client`.
    pub fn introspect(
        &self,
        presented: &Presented,
        token: &str,
        resources: &dyn Fn(&str) -> Vec<String>,
        form: Form,
    ) -> Result<Answer, OAuthError> {
        let client = self.authenticated(presented)?;
        let caller = Caller { resources: resources(client.as_str()), client };
        let now = self.0.host.now();
        let known = self.0.store.read(|view| issued_here(view, token))?;
        let registry = self.registry(None);
        let state = known.and_then(|known| known.state(&registry, now));
        let cx = self.now();
        let issuer = &cx.installation.issuer;
        let answer = answer(issuer, &caller, state.as_ref(), now);
        Ok(match form {
            Form::Json => Answer::Json(answer),
            Form::Signed => Answer::Signed(signed(issuer, &caller, answer, now, &*cx.keys.issuer)),
        })
    }

    fn authenticated(&self, presented: &Presented) -> Result<ClientId, OAuthError> {
        let presented = presented.clone();
        self.transact(move |cx, tx, moment| {
            let known = match known_client(cx, tx, moment, &presented) {
                Ok(known) => known,
                Err(error) => return Ok(Err(error)),
            };
            if known.authenticated.proof.is_none() {
                let text = "introspection needs `private_key_jwt`";
                let reason = "client-assertion-missing";
                return Ok(Err(OAuthError::new(Code::InvalidClient, reason, text)));
            }
            Ok(Ok(known.authenticated.client))
        })
        .map_err(oauth)?
    }

    /// Takes a token back for its client (RFC 7009): a refresh token with all
    /// that was issued beside it, a root with everything derived from it. One
    /// that is not known is none, which is what was asked for.
    ///
    /// # Errors
    /// `invalid_client`; `unauthorized_client` for another client's token;
    /// `unsupported_token_type` for a derived token, which only its holder's
    /// principal or the operator takes back.
    pub fn revoke_token(&self, presented: &Presented, token: &str) -> Result<(), OAuthError> {
        let (presented, token) = (presented.clone(), token.to_owned());
        self.transact(move |cx, tx, moment| {
            let known = match known_client(cx, tx, moment, &presented) {
                Ok(known) => known,
                Err(error) => return Ok(Err(error)),
            };
            Ok(give_back(cx, tx, moment, &known.client.id, &token))
        })
        .map_err(oauth)?
    }
}

fn give_back(
    cx: &Inner,
    tx: &mut bailiwick_store::Tx<'_>,
    moment: &crate::host::Moment<'_>,
    client: &str,
    token: &str,
) -> Result<(), OAuthError> {
    let other = || {
        let text = "the token was issued to another client";
        Err(OAuthError::new(Code::UnauthorizedClient, "token-other-client", text))
    };
    if TokenKind::of(token) == TokenKind::Opaque {
        let Some(secret) = Secret::parse(token) else { return Ok(()) };
        return match super::tokens::refresh_of(tx, &secret.hash(), moment.now())? {
            Some((owner, _)) if owner != client => other(),
            Some((_, grant)) => end_issued(cx, tx, moment, &grant, client, "given-back"),
            None => Ok(()),
        };
    }
    let hash: Option<Digest> = Compact::parse(token).ok().map(|jws| jws.hash());
    let Some(hash) = hash else { return Ok(()) };
    if let Some(known) = issued_here(tx, token)? {
        if known.delegation.client.as_deref() != Some(client) {
            return other();
        }
        return end_root(cx, tx, moment, &hash, By::Client, "given-back");
    }
    if tx.derived(&hash)?.is_some() {
        let text = "a derived token is taken back by its principal or the operator";
        return Err(OAuthError::new(Code::UnsupportedTokenType, "token-derived", text));
    }
    Ok(())
}
