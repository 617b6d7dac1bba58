//! Handoffs: that whoever acts took the task over from a peer, and that both had
//! proved to each other who they are.

use bailiwick_core::aat::verify::Unverified;
use bailiwick_core::accountable::Hop;
use bailiwick_core::crypto::Thumbprint;
use bailiwick_core::guarantee::{Guarantee, Isolation};
use bailiwick_core::ids::{AgentId, HandoffId, InstanceId};
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Kind;
use bailiwick_core::peer::handoff::{Answer, Child, Offered};
use bailiwick_core::peer::record::{Proven, Record};
use bailiwick_core::peer::{Peer, handoff::HandoffError};
use bailiwick_core::wit::{read_instance_spiffe_id, read_peer_spiffe_id};

use super::authority::{Enrolled, principal};
use super::receipts::Opened;
use super::{Case, agree};
use crate::check::{Check, Failure, ensure};
use crate::subject::Subject;

const CHECK: Check = Check::Peers;

/// Proves that `taker` took the task over from `giver` by the handoff of this id,
/// with the delegation `token`, and says how sure they were of each other.
pub(super) fn take_over(
    case: &Case<'_>,
    handoff: &str,
    token: &str,
    giver: &Enrolled,
    taker: &mut Enrolled,
) -> Result<(), Failure> {
    let fail = |e: HandoffError| Failure::new(CHECK, format!("handoff {handoff}: {e}"));
    let id = HandoffId::parse(handoff)
        .map_err(|_| Failure::new(CHECK, "the decision names a malformed handoff"))?;
    let named = ("handoff", handoff);
    let offered = case.receipts.stating(CHECK, Kind::HandoffOffered, named)?;
    let accepted = case.receipts.stating(CHECK, Kind::HandoffAccepted, named)?;
    let transcript = ("transcript", offered.text(CHECK, "transcript")?);
    let shaken = case.receipts.stating(CHECK, Kind::PeerHandshake, transcript)?;
    ensure(
        shaken.index < offered.index
            && offered.index < accepted.index
            && accepted.index < case.decided.index,
        CHECK,
        || "handshake, offer, acceptance and decision are not in this order in the log".to_owned(),
    )?;
    let proven = handshake(case, shaken)?;
    let at = offered.entry.time;
    let signed = offered.value_text(CHECK, "offer")?;
    let tokens = [token];
    let leaf = Unverified::parse(&tokens, &super::delegation::LIMITS)
        .ok()
        .and_then(|token| token.claimed_hashes().first().copied())
        .ok_or_else(|| Failure::new(CHECK, "the taker's token is malformed"))?;
    let task = case.decided.subject(CHECK, Subject::Task)?;
    let child = Child {
        leaf,
        holder: taker.holder,
        parent_holder: giver.holder,
        task: task.parse().map_err(|_| Failure::new(CHECK, "the task is malformed"))?,
        // That the chain stood when the action was decided is the next check.
        expires: i64::MAX,
    };
    let offer = Offered::witness(signed, &proven, &child, at).map_err(fail)?;
    agree(CHECK, offer.offer().id == id, "the id of the signed offer")?;
    let (from, to) = proven
        .sides(&offer.offer().from)
        .ok_or_else(|| Failure::new(CHECK, "the offer is of neither side of its handshake"))?;
    is_instance(case, from, giver)?;
    is_instance(case, to, taker)?;
    let answer = accepted.value_text(CHECK, "answer")?;
    let answered = Answer::verify(answer, to.holder, offer.hash()).map_err(fail)?;
    ensure(answered.answer == Answer::Accepted, CHECK, || {
        "the taker did not accept the handoff".to_owned()
    })?;
    ensure(answered.guarantee <= from.guarantee, CHECK, || {
        "the taker states more certainty than the handshake can have given".to_owned()
    })?;
    taker.hop.guarantee = offer.offer().guarantee.min(answered.guarantee);
    taker.hop.handoff = Some(id);
    Ok(())
}

/// A hop of another trust domain: no enrolment here says who it is, its handoff does,
/// as [`take_over`] proves. Who answers for it here stands in the offer's entry.
pub(super) fn elsewhere(
    case: &Case<'_>,
    handoff: &str,
    (agent, instance): (AgentId, &str),
    holder: Thumbprint,
) -> Result<Enrolled, Failure> {
    let offered = case.receipts.stating(CHECK, Kind::HandoffOffered, ("handoff", handoff))?;
    let owner = principal(case.receipts, offered.text(CHECK, "owner")?)?;
    ensure(owner.index < offered.index, CHECK, || {
        "the offer is in the log before the principal that answers for its taker".to_owned()
    })?;
    let hop = Hop {
        instance: InstanceId::parse(instance)
            .map_err(|_| Failure::new(CHECK, "the instance is malformed"))?,
        agent,
        owner: Some(owner.id),
        instance_active: true,
        agent_active: true,
        guarantee: Guarantee::Key,
        handoff: None,
        isolation: Isolation::Unstated,
        domain_as_of: None,
    };
    Ok(Enrolled { hop, holder })
}

fn handshake(case: &Case<'_>, shaken: &Opened) -> Result<Proven, Failure> {
    let at = shaken.entry.time;
    let anchors = case.trust.identities_at(at);
    ensure(!anchors.is_empty(), CHECK, || {
        "the trust file lists no key that signed identity tokens then".to_owned()
    })?;
    let record: &Json = shaken.value("handshake")?;
    let proven = Record::read(record)
        .and_then(|record| record.verify(&anchors, at))
        .map_err(|e| Failure::new(CHECK, format!("the handshake does not hold: {e}")))?;
    let stated = shaken.digest(CHECK, "transcript")?;
    agree(CHECK, proven.transcript() == stated, "the transcript of the handshake")?;
    Ok(proven)
}

/// The peer is this hop's instance, with the holder key that it enrolled.
fn is_instance(case: &Case<'_>, peer: &Peer, hop: &Enrolled) -> Result<(), Failure> {
    let named = case.trust.identities.iter().find_map(|i| {
        let (id, domain) = (&peer.spiffe_id, &i.trust_domain);
        // SECURITY: who is named by another domain's issuer is no local agent.
        if case.trust.issuers.iter().any(|own| own.uri == i.issuer) {
            read_instance_spiffe_id(id, domain)
        } else {
            read_peer_spiffe_id(id, domain)
        }
    });
    let is_it = named
        .is_some_and(|(agent, instance)| agent == hop.hop.agent && instance == hop.hop.instance);
    ensure(is_it && peer.holder.thumbprint() == hop.holder, CHECK, || {
        format!("`{}` is not the instance that acted", peer.spiffe_id)
    })
}
