//! Who is a client without being registered as one: a principal with a key of
//! its own (a service, for one) and an enrolled instance. Their name is their
//! `client_id`, their registered key the one of `private_key_jwt`.

use bailiwick_core::ids::PrincipalId;
use bailiwick_core::wit::read_instance_spiffe_id;
use bailiwick_store::{ClientSource, View};

use super::*;
use crate::oauth::client::{ClientId, ClientKeys};

/// A party that is known by its own name.
pub(super) struct OwnName {
    pub(super) client: Client,
    pub(super) metadata: ClientMetadata,
    /// The principal, if it is one.
    pub(super) principal: Option<Alias>,
}

/// The active, unrevoked party of this name.
pub(super) fn own_name(
    cx: &Inner,
    view: &View<'_>,
    id: &ClientId,
    now: Timestamp,
) -> Result<Option<OwnName>, OAuthError> {
    if let Ok(principal) = PrincipalId::parse(id.as_str()) {
        return of_principal(cx, view, &principal, now);
    }
    of_instance(cx, view, id.as_str(), now)
}

fn client(name: &str, now: Timestamp) -> Client {
    Client {
        id: name.to_owned(),
        source: ClientSource::Configured,
        name: name.to_owned(),
        metadata: String::new(),
        agent: None,
        instance: None,
        status: Status::Active,
        registered: now,
    }
}

fn keys(jwk: &str) -> Option<ClientKeys> {
    let jwk = Json::parse(jwk.as_bytes(), &JsonLimits::DEFAULT).ok()?;
    ClientKeys::of(jwk.as_object()?).ok()
}

fn of_principal(
    cx: &Inner,
    view: &View<'_>,
    id: &PrincipalId,
    now: Timestamp,
) -> Result<Option<OwnName>, OAuthError> {
    let Some(principal) = cx.principal(view, id)? else { return Ok(None) };
    let revoked = [Subject::Principal { alias: principal.alias.clone() }];
    if principal.status != Status::Active || view.is_revoked(&revoked)?.is_some() {
        return Ok(None);
    }
    Ok(principal.jwk.as_deref().and_then(keys).map(|keys| OwnName {
        client: client(id.as_str(), now),
        metadata: ClientMetadata::of_key(id.as_str(), keys, GrantType::JwtBearer),
        principal: Some(principal.alias.clone()),
    }))
}

/// An instance gets what its agent may have, by its identity key.
fn of_instance(
    cx: &Inner,
    view: &View<'_>,
    name: &str,
    now: Timestamp,
) -> Result<Option<OwnName>, OAuthError> {
    let Some((agent, id)) = read_instance_spiffe_id(name, &cx.installation.trust_domain) else {
        return Ok(None);
    };
    let Some(instance) = view.instance(&id)? else { return Ok(None) };
    let revoked = [Subject::Instance { id: id.clone() }, Subject::Agent { id: agent.clone() }];
    let stands = instance.agent == agent && instance.status == Status::Active;
    if !stands || view.is_revoked(&revoked)?.is_some() {
        return Ok(None);
    }
    Ok(keys(&instance.identity_jwk).map(|keys| OwnName {
        client: Client { agent: Some(agent), instance: Some(id), ..client(name, now) },
        metadata: ClientMetadata::of_key(name, keys, GrantType::TokenExchange),
        principal: None,
    }))
}
