//! Which client a request comes from.

use bailiwick_core::ids::{AgentId, InstanceId};

use super::own_name::{OwnName, own_name};
use super::*;

/// A client that is on record, active, and proved what it is registered to
/// prove.
pub(in crate::service) struct KnownClient {
    pub(in crate::service) client: Client,
    pub(in crate::service) metadata: ClientMetadata,
    pub(in crate::service) authenticated: Authenticated,
    /// The principal that it is, where it is one by its own name.
    pub(in crate::service) principal: Option<Alias>,
    /// Whether it is known by its own name, not by a registration.
    pub(in crate::service) by_own_name: bool,
}

impl KnownClient {
    /// The agent that it is mapped to; unmapped, it gets nothing.
    pub(in crate::service) fn agent(&self) -> Result<&AgentId, OAuthError> {
        self.client.agent.as_ref().ok_or_else(unmapped)
    }

    pub(in crate::service) fn instance(&self) -> Result<&InstanceId, OAuthError> {
        self.client.instance.as_ref().ok_or_else(unmapped)
    }
}

fn unmapped() -> OAuthError {
    let text = "the client is not mapped to a registered agent; ask the operator";
    OAuthError::new(Code::UnauthorizedClient, "client-unmapped", text)
}

/// Authenticates the client of a request and spends its assertion.
pub(in crate::service) fn known_client(
    cx: &Inner,
    tx: &mut Tx<'_>,
    moment: &Moment<'_>,
    presented: &Presented,
) -> Result<KnownClient, OAuthError> {
    let assertion = presented.assertion.as_deref().map(Unverified::parse).transpose()?;
    let claimed = assertion.as_ref().map(|a| a.client().clone());
    let id = presented.client.clone().or(claimed);
    // One answer for all that is not known: nobody learns which clients there
    // are.
    let unknown = || {
        let text = "the client is unknown, suspended or retired";
        OAuthError::new(Code::InvalidClient, "client-unknown", text)
    };
    let id = id.ok_or_else(unknown)?;
    let (issuer, now) = (cx.installation.issuer.as_str(), moment.now());
    let registered = tx.client(id.as_str())?.map(|stored| stored.row);
    let by_own_name = registered.is_none();
    let (client, metadata, principal) = match registered {
        Some(client) => {
            let metadata = stored_metadata(&client)?;
            (client, metadata, None)
        }
        None => {
            let OwnName { client, metadata, principal } =
                own_name(cx, tx, &id, now)?.ok_or_else(unknown)?;
            (client, metadata, principal)
        }
    };
    if client.status != Status::Active {
        return Err(unknown());
    }
    let authenticated = authenticate(presented, assertion.as_ref(), &metadata, issuer, now);
    // SECURITY: names of principals can be guessed. Who does not prove to be
    // one hears what it hears of a name that nobody has.
    let authenticated = authenticated.map_err(|e| match by_own_name {
        true => OAuthError { description: unknown().description, ..e },
        false => e,
    })?;
    if let Some(proof) = &authenticated.proof {
        let id = format!("{}\n{}", client.id, proof.jti);
        if spent_before(tx, moment, ASSERTION, &id, proof.expires)? {
            let text = "`client_assertion` was used before";
            let reason = "client-assertion-replayed";
            return Err(OAuthError::new(Code::InvalidClient, reason, text));
        }
    }
    Ok(KnownClient { client, metadata, authenticated, principal, by_own_name })
}

/// The metadata of a client on record, which were judged when it was registered.
pub(in crate::service) fn stored_metadata(client: &Client) -> Result<ClientMetadata, OAuthError> {
    Json::parse(client.metadata.as_bytes(), &JsonLimits::DEFAULT)
        .ok()
        .and_then(|json| ClientMetadata::parse(json.as_object()?, Source::Operator).ok())
        .ok_or_else(|| OAuthError::server("client-metadata-unreadable"))
}
