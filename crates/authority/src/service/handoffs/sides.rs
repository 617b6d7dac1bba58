//! The two sides of a handshake and a handoff: instances that are registered here, and
//! those of configured trust domains.

use bailiwick_core::accountable::PEER_DOMAIN_STALE_MS;
use bailiwick_core::crypto::PublicKey;
use bailiwick_core::guarantee::Guarantee;
use bailiwick_core::jose::VerifyingKey;
use bailiwick_core::json::Json;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::peer::record::{Proven, Record};
use bailiwick_core::peer::{Anchor, Peer};
use bailiwick_core::time::Timestamp;
use bailiwick_core::wit::{read_instance_spiffe_id, read_peer_spiffe_id};
use bailiwick_store::{Handoff, Instance, Status, StoreError, Subject, TrustDomain, Tx, View};

use super::super::{Inner, revoked, trust_domains as domains};
use super::shown;
use crate::federation::known_until;
use crate::host::Moment;
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::rules::handoffs::{self, HandoffRefusal, Side};
use crate::rules::trust_domains;
use crate::standing;

/// The holder key that an instance enrolled.
pub(super) fn holder_key(instance: &Instance) -> Option<PublicKey> {
    let jwk = Json::parse(instance.holder_jwk.as_bytes(), &JsonLimits::DEFAULT).ok()?;
    PublicKey::from_jwk(jwk.as_object()?).ok()
}

/// A side of a handshake, and its trust domain if that is another.
pub(super) type Sided = (Side, Option<TrustDomain>);

/// A side of a handshake, if it is an active instance here with these keys, or one of
/// a configured trust domain that stands behind it.
pub(super) fn registered(
    cx: &Inner,
    view: &View<'_>,
    peer: &Peer,
    now: Timestamp,
) -> Result<Sided, Refusal> {
    let unknown = || HandoffRefusal::Unregistered { claimed: peer.spiffe_id.clone() };
    let named = read_instance_spiffe_id(&peer.spiffe_id, &cx.installation.trust_domain);
    let Some((agent, id)) = named else {
        // SECURITY: a key that is somebody's here is nobody else's.
        if view.instance_by_holder(&peer.holder.thumbprint())?.is_some() {
            return Err(unknown().into());
        }
        return elsewhere(view, &peer.spiffe_id, now).map(|(side, domain)| (side, Some(domain)));
    };
    let instance = view.instance(&id)?.ok_or_else(unknown)?;
    let identity = Json::parse(instance.identity_jwk.as_bytes(), &JsonLimits::DEFAULT).ok();
    let identity = identity.as_ref().and_then(|jwk| VerifyingKey::from_jwk(jwk.as_object()?).ok());
    let is_same = instance.agent == agent
        && instance.holder == peer.holder.thumbprint()
        && identity == Some(VerifyingKey::P256(peer.identity));
    let subjects = [Subject::Instance { id: id.clone() }, Subject::Agent { id: agent.clone() }];
    if !is_same || instance.status != Status::Active || revoked(view, &subjects)?.is_some() {
        return Err(unknown().into());
    }
    Ok((Side { agent, instance: id }, None))
}

/// An instance of a configured trust domain that stands behind it, as is known at
/// `now`.
fn elsewhere(
    view: &View<'_>,
    spiffe_id: &str,
    now: Timestamp,
) -> Result<(Side, TrustDomain), Refusal> {
    let unknown = || HandoffRefusal::Unregistered { claimed: spiffe_id.to_owned() };
    let domain = standing::domain_of(spiffe_id).ok_or_else(unknown)?;
    let known = view.trust_domain(domain)?.ok_or_else(unknown)?;
    let (agent, instance) = read_peer_spiffe_id(spiffe_id, domain).ok_or_else(unknown)?;
    if now.millis_since(known_until(&known)) > PEER_DOMAIN_STALE_MS {
        return Err(HandoffRefusal::DomainStale { domain: domain.to_owned() }.into());
    }
    let subjects =
        [Subject::Instance { id: instance.clone() }, Subject::Agent { id: agent.clone() }];
    let stands = known.stands_behind(&agent.spiffe_id(domain), spiffe_id);
    if stands != (true, true) || revoked(view, &subjects)?.is_some() {
        return Err(unknown().into());
    }
    Ok((Side { agent, instance }, known.domain))
}

impl Inner {
    /// The trust domains whose identities are believed: this one, and those that are
    /// configured.
    fn peer_anchors(&self, view: &View<'_>, now: Timestamp) -> Result<Vec<Anchor>, StoreError> {
        let own = Anchor {
            trust_domain: self.installation.trust_domain.clone(),
            issuer: self.installation.issuer.clone(),
            keys: self.identity_keys(now),
            max_guarantee: Guarantee::Attested,
        };
        let others = view.trust_domains()?.into_iter().map(|known| Anchor {
            trust_domain: known.domain.name,
            issuer: known.domain.issuer,
            keys: known.keys,
            max_guarantee: known.domain.max_guarantee,
        });
        Ok(std::iter::once(own).chain(others).collect())
    }

    pub(super) fn proven(
        &self,
        view: &View<'_>,
        record: &Record,
        now: Timestamp,
    ) -> Result<Proven, Refusal> {
        let anchors = self.peer_anchors(view, now)?;
        Ok(record.verify(&anchors, now).map_err(HandoffRefusal::from)?)
    }
}

/// The taker's holder key, while it may act.
pub(super) fn taker_key(
    cx: &Inner,
    view: &View<'_>,
    handoff: &Handoff,
    now: Timestamp,
) -> Result<PublicKey, Refusal> {
    let unknown = || HandoffRefusal::Unregistered { claimed: handoff.to_id.clone() };
    if let Some(owner) = &handoff.owner {
        let (_, domain) = elsewhere(view, &handoff.to_id, now)?;
        if domain.owner != *owner {
            return Err(unknown().into());
        }
        return Ok(shown::foreign_key(view, handoff)?.ok_or_else(unknown)?);
    }
    let instance = view.instance(&handoff.to_instance)?.ok_or_else(unknown)?;
    let subjects = [
        Subject::Instance { id: handoff.to_instance.clone() },
        Subject::Agent { id: handoff.to_agent.clone() },
    ];
    let named = read_instance_spiffe_id(&handoff.to_id, &cx.installation.trust_domain);
    let is_same = named == Some((instance.agent.clone(), instance.id.clone()))
        && instance.holder == handoff.holder
        && instance.status == Status::Active
        && revoked(view, &subjects)?.is_none();
    let key = is_same.then(|| holder_key(&instance)).flatten();
    Ok(key.ok_or_else(unknown)?)
}

/// Writes a handshake down, once, with the keys of other trust domains on which it is
/// the first to rest.
pub(super) fn write_handshake(
    cx: &Inner,
    tx: &mut Tx<'_>,
    moment: &Moment<'_>,
    record: &Record,
    proven: &Proven,
) -> Result<(), Refusal> {
    let now = moment.now();
    let (initiator, first) = registered(cx, tx, proven.initiator(), now)?;
    let (responder, second) = registered(cx, tx, proven.responder(), now)?;
    // What two others prove to each other is recorded elsewhere.
    if first.is_some() && second.is_some() {
        let claimed = proven.initiator().spiffe_id.clone();
        return Err(HandoffRefusal::Unregistered { claimed }.into());
    }
    if tx.handshake(&proven.transcript())?.is_some() {
        return Ok(());
    }
    let sides = (&initiator, &responder);
    let mut plan = Plan::nothing(());
    for (domain, kid) in [first, second].iter().zip(record.token_kids()) {
        let Some(domain) = domain else { continue };
        let known = tx.trust_domain(&domain.name)?;
        let keys = known.iter().flat_map(|known| &known.keys);
        let used = { keys }.find(|(k, _)| Some(k) == kid.as_ref());
        let recorded = domains::used_keys(tx)?;
        if let Some((_, key)) = used {
            let step = trust_domains::used(moment, &cx.installation, domain, key, &recorded)?;
            plan.steps.extend(step);
        }
    }
    plan.steps.push(handoffs::handshake(moment, &cx.installation, record, proven, sides)?);
    cx.write(tx, plan)
}
