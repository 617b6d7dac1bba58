//! The extension by which a handoff travels in a message.
//!
//! The member of the message's `metadata` that is named like the extension holds
//! `{handshake, offer, chain}`: the transcript that the offer rests on, the
//! signed offer, and the delegation that is handed over, root first. The gateway
//! looks at sizes and form; whether the offer holds is for its taker to see
//! ([`bailiwick_core::peer::handoff::Offered::verify`]). A handoff in a message
//! gives no authority by being there.

use bailiwick_core::crypto::Digest;
use bailiwick_core::jose::{HeaderRules, Jws};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::ChainLimits;
use bailiwick_core::peer::handoff::{MAX_OFFER_BYTES, TYPE};

/// The extension's URI, in `A2A-Extensions`, in cards and in `metadata`.
pub const EXTENSION: &str = "https://bailiwick.dev/a2a/handoff/v1";

const MEMBERS: [&str; 3] = ["handshake", "offer", "chain"];

/// A handoff that is not of its form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{member}`")]
pub struct Malformed {
    /// The member that is missing, too large, or not of its form.
    pub member: &'static str,
}

const fn bad(member: &'static str) -> Malformed {
    Malformed { member }
}

/// Looks at the handoff in a message, where there is one.
///
/// # Errors
/// [`Malformed`].
pub fn check(message: &Object) -> Result<(), Malformed> {
    let metadata = message.member("metadata").and_then(Json::as_object);
    let Some(handoff) = metadata.and_then(|metadata| metadata.member(EXTENSION)) else {
        return Ok(());
    };
    let handoff = handoff.as_object().ok_or(bad("handoff"))?;
    if handoff.iter().any(|(name, _)| !MEMBERS.contains(&name)) {
        return Err(bad("handoff"));
    }
    let text = |member: &'static str| handoff.member(member)?.as_str();
    let handshake = text("handshake").and_then(Digest::from_text).ok_or(bad("handshake"))?;
    let rules = HeaderRules::typed(&[TYPE]);
    let offer = Jws::parse(text("offer").unwrap_or_default(), MAX_OFFER_BYTES)
        .and_then(|jws| jws.check_header(&rules))
        .map_err(|_| bad("offer"))?;
    let limits = ChainLimits::DEFAULT;
    let tokens = handoff.member("chain").and_then(Json::as_array).ok_or(bad("chain"))?;
    let tokens: Option<Vec<&str>> = tokens.iter().map(Json::as_str).collect();
    let tokens = tokens.ok_or(bad("chain"))?;
    let bytes = tokens.iter().fold(0usize, |sum, token| sum.saturating_add(token.len()));
    let depth = u64::try_from(tokens.len()).unwrap_or(u64::MAX);
    let leaf = tokens.last().and_then(|leaf| Jws::parse(leaf, limits.max_token_size).ok());
    let leaf = leaf.ok_or(bad("chain"))?;
    if bytes > limits.max_chain_size || depth > limits.max_delegation_depth.saturating_add(1) {
        return Err(bad("chain"));
    }
    // What the offer says of itself, so that nothing else is sent in its place.
    let says = |claim: &str, digest: Digest| {
        offer.claim_hint(claim).and_then(|text| Digest::from_text(&text)) == Some(digest)
    };
    if !says("handshake", handshake) {
        return Err(bad("handshake"));
    }
    if !says("leaf", leaf.hash()) {
        return Err(bad("chain"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bailiwick_core::crypto::{SigningKey, sha256};
    use bailiwick_core::jose::sign;

    use super::*;

    fn key() -> SigningKey {
        SigningKey::from_seed(&[7; 32]).unwrap()
    }

    fn message(handoff: impl Into<Json>) -> Object {
        Object::new().with("metadata", Object::new().with(EXTENSION, handoff))
    }

    fn offered() -> Object {
        let leaf = sign("aat+jwt", None, &Object::new().with("jti", "x").into(), &key()).unwrap();
        let hash = Jws::parse(&leaf, 4096).unwrap().hash();
        let claims = Object::new().with("handshake", sha256(b"t")).with("leaf", hash);
        let offer = sign(TYPE, None, &claims.into(), &key()).unwrap();
        Object::new()
            .with("handshake", sha256(b"t"))
            .with("offer", offer)
            .with("chain", vec![Json::from(leaf)])
    }

    #[test]
    fn a_message_without_a_handoff_or_with_a_whole_one_passes() {
        assert_eq!(check(&Object::new()), Ok(()));
        assert_eq!(check(&message(offered())), Ok(()));
    }

    #[test]
    fn a_handoff_that_is_not_of_its_form_is_refused_with_the_member() {
        let jwt = sign("JWT", None, &Object::new().into(), &key()).unwrap();
        let other = sign("aat+jwt", None, &Object::new().with("jti", "y").into(), &key()).unwrap();
        for (changed, member) in [
            (Object::new(), "handshake"),
            (offered().with("handshake", sha256(b"u")), "handshake"),
            (offered().with("handshake", 7u64), "handshake"),
            (offered().with("offer", "x.y"), "offer"),
            (offered().with("offer", jwt), "offer"),
            (offered().with("offer", "a".repeat(MAX_OFFER_BYTES + 1)), "offer"),
            (offered().with("chain", Vec::new()), "chain"),
            (offered().with("chain", "x"), "chain"),
            (offered().with("chain", vec![Json::from(other)]), "chain"),
            (offered().with("more", 1u64), "handoff"),
        ] {
            assert_eq!(check(&message(changed)), Err(bad(member)), "{member}");
        }
        assert_eq!(check(&message("x")), Err(bad("handoff")));
    }
}
