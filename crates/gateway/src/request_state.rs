//! `requestState` of a call that waits for a person (MCP 2026-07-28).
//!
//! Its client keeps it and sends it back. It is sealed to the principal, the
//! leaf, the method and the call for which it was made, and to an end, so it
//! opens nowhere else and no later. It grants nothing: a call that comes with it
//! passes through all stages like any other, and people's word is looked for
//! under the call itself.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use bailiwick_core::aat::verify::Chain;
use bailiwick_core::accountable::Facts;
use bailiwick_core::crypto::{base64url, from_base64url, sha256};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_policy::mcp_methods::OWN_STATE;

use crate::config::StateKey;
use crate::ports::Host;
use crate::stages::approval::fold;
use crate::stages::boundary::{CallRequest, Speech};

/// The end, in seconds, and its tag.
const SEALED_BYTES: usize = 8 + 16;

/// For whom and for which call a state is.
pub(crate) struct Bound(String);

impl Bound {
    /// Of this call by this caller; none for what is no call of MCP, which
    /// carries no state.
    pub(crate) fn of(request: &CallRequest, chain: &Chain, facts: &Facts) -> Option<Self> {
        let Speech::Mcp { method, .. } = &request.speech else { return None };
        let bound: Json = Object::new()
            .with("v", 1u64)
            .with("principal", &facts.authority.principal)
            .with("leaf", chain.leaf_hash())
            .with("method", method.name)
            .with("call", sha256(fold(request, chain).as_bytes()))
            .into();
        Some(Self(bound.canonical()))
    }

    fn associated(&self) -> Aad<&[u8]> {
        Aad::from(self.0.as_bytes())
    }
}

fn aead(key: &StateKey) -> Option<LessSafeKey> {
    Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.bytes()).ok()?))
}

/// Makes a state that holds until `expires`, which has whole seconds.
pub(crate) fn seal(
    key: &StateKey,
    host: &dyn Host,
    bound: &Bound,
    expires: Timestamp,
) -> Option<String> {
    // Random nonces under one key. Each state costs its client a whole call, so
    // there are fewer than 2^32; and whoever could make one would gain nothing.
    let mut nonce = [0; NONCE_LEN];
    host.fill(&mut nonce);
    let mut sealed = expires.seconds().to_be_bytes().to_vec();
    aead(key)?
        .seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            bound.associated(),
            &mut sealed,
        )
        .ok()?;
    let mut state = nonce.to_vec();
    state.append(&mut sealed);
    Some(format!("{OWN_STATE}{}", base64url(&state)))
}

/// Whether a state was made here for this, and has not run out.
pub(crate) fn opens(key: &StateKey, state: &str, bound: &Bound, now: Timestamp) -> bool {
    expiry(key, state, bound).is_some_and(|expires| now < expires)
}

fn expiry(key: &StateKey, state: &str, bound: &Bound) -> Option<Timestamp> {
    let mut state = from_base64url(state.strip_prefix(OWN_STATE)?)?;
    let (nonce, sealed) = state.split_first_chunk_mut::<NONCE_LEN>()?;
    if sealed.len() != SEALED_BYTES {
        return None;
    }
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let seconds = aead(key)?.open_in_place(nonce, bound.associated(), sealed).ok()?;
    Some(Timestamp::from_seconds(i64::from_be_bytes((*seconds).try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FixedHost;

    fn bound(text: &str) -> Bound {
        Bound(text.to_owned())
    }

    #[test]
    fn a_state_opens_for_what_it_was_made_and_until_its_end() {
        let now = Timestamp::from_seconds(1_700_000_000);
        let host = FixedHost::at(now);
        let (key, other) = (StateKey::new([7; 32]), StateKey::new([8; 32]));
        let state = seal(&key, &host, &bound("this"), now.plus_seconds(60)).unwrap();
        assert!(opens(&key, &state, &bound("this"), now));
        assert!(opens(&key, &state, &bound("this"), now.plus_seconds(59)));
        assert!(!opens(&key, &state, &bound("this"), now.plus_seconds(60)));
        assert!(!opens(&key, &state, &bound("that"), now));
        assert!(!opens(&other, &state, &bound("this"), now));
        // Two of the same are two texts.
        assert_ne!(seal(&key, &host, &bound("this"), now.plus_seconds(60)).unwrap(), state);
        // No byte of it can be changed, none be left out or added.
        let bytes = from_base64url(state.strip_prefix(OWN_STATE).unwrap()).unwrap();
        for n in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[n] ^= 1;
            let changed = format!("{OWN_STATE}{}", base64url(&changed));
            assert!(!opens(&key, &changed, &bound("this"), now), "byte {n}");
        }
        for text in [
            String::new(),
            OWN_STATE.to_owned(),
            format!("{OWN_STATE}%"),
            format!("{OWN_STATE}{}", base64url(&bytes[..bytes.len() - 1])),
            format!("{state}AAAA"),
            state.replacen(OWN_STATE, "", 1),
        ] {
            assert!(!opens(&key, &text, &bound("this"), now), "{text}");
        }
    }
}
