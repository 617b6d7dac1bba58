//! The delegation beside an offer, verified as its taker can.

use bailiwick_core::aat::make::Seen;
use bailiwick_core::aat::verify::{Anchors, Chain, Context, ProofPolicy, Unverified};
use bailiwick_core::accountable::{Accountable, Authority};
use bailiwick_core::json::Json;
use bailiwick_core::limits::ChainLimits;
use bailiwick_core::peer::handoff::Child;
use bailiwick_core::time::Timestamp;

use crate::error::PeerError;

/// Verifies every signature, window, depth and scope of a chain. Whether its
/// keys are enrolled and nothing of it is revoked, the authority says when the
/// offer is recorded, and the gateway with every call.
pub(crate) fn verify(
    chain: &[String],
    roots: &Anchors,
    now: Timestamp,
) -> Result<Child, PeerError> {
    let limits = ChainLimits::DEFAULT;
    let unverified = Unverified::parse(chain, &limits).map_err(PeerError::Delegation)?;
    // For which gateways it is, they see to: here it is for whichever it names.
    let seen = chain.iter().filter_map(|token| Seen::parse(token, &limits).ok());
    let audiences: Vec<String> = seen.flat_map(|seen| named(seen.claims.member("aud"))).collect();
    let context = Context {
        now,
        anchors: roots,
        audiences: &audiences,
        require_chain_audience: true,
        proof: ProofPolicy { require_audience: true, accepted_nonces: None, used: &[] },
        limits: &limits,
    };
    let chain =
        Chain::verify::<Accountable>(&unverified, &context).map_err(PeerError::Delegation)?;
    let mut links = chain.links().iter().rev();
    let (leaf, parent) = (links.next(), links.next());
    let (Some(leaf), Some(parent), Some(root)) = (leaf, parent, chain.links().first()) else {
        return Err(PeerError::NoDelegation);
    };
    let authority = Authority::from_claims(&root.claims.all).map_err(PeerError::Delegation)?;
    Ok(Child {
        leaf: leaf.hash,
        holder: leaf.holder,
        parent_holder: parent.holder,
        task: authority.task,
        expires: chain.expires(),
    })
}

fn named(aud: Option<&Json>) -> Vec<String> {
    match aud {
        Some(Json::String(one)) => vec![one.clone()],
        Some(Json::Array(many)) => {
            many.iter().filter_map(|a| a.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    }
}
