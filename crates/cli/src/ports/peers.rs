//! Agents behind the gateway: their tasks from the store, who may sign their
//! cards from the registry, and this installation's signature over those that it
//! publishes.

use bailiwick_authority::Authority;
use bailiwick_core::accountable::Unavailable;
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{AgentId, ServerName};
use bailiwick_core::jose::{JwsSigner as _, VerifyingKey, sign_with};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_gateway::ports::{NotKept, PeerTask, Peers, Seen};
use bailiwick_store::{PeerSeen, Status, Store, StoreError, Subject, View};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::unavailable;
use crate::host;

/// The identity keys of an agent's instances; `None`, if the agent may not act.
pub(crate) fn signers(
    view: &View<'_>,
    agent: &AgentId,
) -> Result<Option<Vec<VerifyingKey>>, StoreError> {
    let known = view.agent(agent)?.is_some_and(|a| a.status == Status::Active);
    let of_agent = [Subject::Agent { id: agent.clone() }];
    if !known || view.is_revoked(&of_agent)?.is_some() {
        return Ok(None);
    }
    let mut keys = Vec::new();
    for instance in view.instances(Some(agent))? {
        let of_instance = [Subject::Instance { id: instance.id.clone() }];
        if instance.status != Status::Active || view.is_revoked(&of_instance)?.is_some() {
            continue;
        }
        let jwk = Json::parse(instance.identity_jwk.as_bytes(), &JsonLimits::DEFAULT).ok();
        let key = jwk.and_then(|jwk| VerifyingKey::from_jwk(jwk.as_object()?).ok());
        keys.extend(key);
    }
    Ok(Some(keys))
}

/// The store's tasks of agents, and the authority's key.
pub(crate) struct StorePeers {
    store: Store,
    authority: Authority,
}

impl StorePeers {
    pub(crate) fn new(store: Store, authority: Authority) -> Self {
        Self { store, authority }
    }
}

impl Peers for StorePeers {
    fn task(&self, server: &ServerName, task: &str) -> Result<Option<PeerTask>, Unavailable> {
        let found = self.store.read(|view| view.peer_task(server, task)).map_err(unavailable)?;
        Ok(found.map(|task| PeerTask { owner: task.owner, ended: task.ended }))
    }

    fn context(&self, server: &ServerName, context: &str) -> Result<Option<Digest>, Unavailable> {
        self.store.read(|view| view.peer_context(server, context)).map_err(unavailable)
    }

    fn remember<'a>(
        &'a self,
        server: &'a ServerName,
        owner: Digest,
        seen: Vec<Seen>,
    ) -> BoxFuture<'a, Result<(), NotKept>> {
        let server = server.clone();
        let pending = self.store.write(move |tx| -> Result<bool, StoreError> {
            let seen: Vec<PeerSeen<'_>> = seen
                .iter()
                .map(|one| PeerSeen {
                    task: one.task.as_deref(),
                    context: one.context.as_deref(),
                    ended: one.ended == Some(true),
                })
                .collect();
            tx.note_peer(&server, &owner, &seen, host::now())
        });
        async move {
            match pending.await {
                Ok(true) => Ok(()),
                Ok(false) => Err(NotKept::Foreign),
                Err(e) => {
                    tracing::error!(code = e.code(), error = %e, "a task was not kept");
                    Err(NotKept::Unavailable)
                }
            }
        }
        .boxed()
    }

    /// By the key that signs the identity tokens of instances: it is the one by
    /// which this installation says who its agents are, and is published with those
    /// that it replaced. The `typ` keeps the two kinds apart.
    fn sign_card(&self, card: &Json) -> Option<Object> {
        let key = self.authority.identity_key();
        let kid = key.verifying_key().thumbprint().to_string();
        let header = Object::new().with("typ", "JOSE").with("kid", kid);
        let compact = sign_with(header, card, &*key).ok()?;
        let mut parts = compact.split('.');
        let (protected, signature) = (parts.next()?, parts.nth(1)?);
        Some(Object::new().with("protected", protected).with("signature", signature))
    }
}
