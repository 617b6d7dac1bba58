//! Who acts at a hop for another trust domain: whoever took the task over from an
//! agent here, and nobody else.

use bailiwick_core::crypto::{Digest, Thumbprint};
use bailiwick_core::guarantee::Isolation;
use bailiwick_core::wit::read_peer_spiffe_id;
use bailiwick_store::{Agent, HandoffState, KnownDomain, Status, StoreError, View};

use super::Actor;
use crate::federation::known_until;

/// A taker of another trust domain that is to be: its handoff is being recorded, or
/// waits for its answer.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Its holder key.
    pub holder: Thumbprint,
    /// Its SPIFFE ID.
    pub spiffe_id: &'a str,
}

/// The trust domain of a SPIFFE ID. The name proves nothing.
#[must_use]
pub fn domain_of(spiffe_id: &str) -> Option<&str> {
    spiffe_id.strip_prefix("spiffe://")?.split('/').next()
}

impl Actor {
    /// Who took over with this very token and has the key of this thumbprint, if its
    /// domain is configured and still has the same owner here.
    pub(super) fn taker(
        view: &View<'_>,
        holder: &Thumbprint,
        token: &Digest,
    ) -> Result<Option<Self>, StoreError> {
        let handoff = view.handoff_by_leaf(token)?;
        let taken = |h: &&bailiwick_store::Stored<bailiwick_store::Handoff>| {
            h.state == HandoffState::Accepted
                && h.holder == *holder
                && h.to_agent.trust_domain().is_some()
        };
        let Some(handoff) = handoff.as_ref().filter(taken) else { return Ok(None) };
        let actor = Self::elsewhere(view, &handoff.to_id)?;
        Ok(actor.filter(|a| Some(&a.owner.alias) == handoff.owner.as_ref()))
    }

    /// The agent and instance of this SPIFFE ID, if its domain is configured.
    pub(super) fn elsewhere(view: &View<'_>, spiffe_id: &str) -> Result<Option<Self>, StoreError> {
        let Some(domain) = domain_of(spiffe_id) else { return Ok(None) };
        let Some(known) = view.trust_domain(domain)? else { return Ok(None) };
        let owner = view.principal_by_alias(&known.domain.owner)?;
        Ok(owner.and_then(|owner| Self::of_domain(&known, spiffe_id, owner.row)))
    }

    fn of_domain(
        known: &KnownDomain,
        spiffe_id: &str,
        owner: bailiwick_store::Principal,
    ) -> Option<Self> {
        let (agent, instance) = read_peer_spiffe_id(spiffe_id, &known.domain.name)?;
        let of_agent = agent.spiffe_id(&known.domain.name);
        let (agent_stands, instance_stands) = known.stands_behind(&of_agent, spiffe_id);
        let status = if agent_stands { Status::Active } else { Status::Suspended };
        Some(Self {
            instance,
            active: instance_stands,
            agent: Agent {
                id: agent,
                owner: owner.alias.clone(),
                status,
                publisher: None,
                version: None,
                artifact: None,
            },
            owner,
            isolation: Isolation::Unstated,
            domain_as_of: Some(known_until(known)),
        })
    }
}
