//! Codes and refresh tokens that become access tokens.

use bailiwick_core::crypto::{Digest, Thumbprint};
use bailiwick_core::dpop::Possession;
use bailiwick_core::ids::{GrantId, ServerName};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Ticket, Tx};

use super::{
    ACCESS_SECONDS, BEARER_SECONDS, KnownClient, TokenAnswer, end_issued, invalid_grant, oauth,
    place, standing_grant,
};
use crate::host::Moment;
use crate::oauth::client::GrantType;
use crate::oauth::code::{self, IssuedCode};
use crate::oauth::error::{Code, OAuthError};
use crate::oauth::resource::Resource;
use crate::people::sessions::Secret;
use crate::rules::delegations::{self, Recipient};
use crate::service::Inner;

const USED_CODE: &str = "code-used";
pub(super) const REFRESH: &str = "refresh";
const USED_REFRESH: &str = "refresh-used";

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

pub(super) struct Redeeming<'a> {
    pub(super) code: &'a str,
    pub(super) redirect_uri: &'a Option<String>,
    pub(super) verifier: &'a Option<String>,
    pub(super) resource: &'a Option<Resource>,
}

/// A code becomes an access token (RFC 6749 §4.1.3).
pub(super) fn redeem(
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
pub(super) fn refresh(
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

/// The client and grant of a refresh token that stands.
pub(in crate::service) fn refresh_of(
    tx: &Tx<'_>,
    key: &Digest,
    now: Timestamp,
) -> Result<Option<(String, String)>, OAuthError> {
    let ticket = tx.ticket(REFRESH, key, now)?;
    let kept = ticket.as_ref().and_then(|ticket| Refresh::read(&ticket.value));
    Ok(kept.map(|kept| (kept.client, kept.grant.to_string())))
}
