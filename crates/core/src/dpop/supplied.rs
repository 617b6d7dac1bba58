//! Nonces that a server supplies, for proofs to carry (RFC 9449 §8, §9).

use zeroize::Zeroizing;

use crate::crypto::sha256;
use crate::time::Timestamp;

/// Seconds for which a nonce is the current one; the one before is accepted
/// too.
const EPOCH_SECONDS: i64 = 120;

/// Nonces made from a secret and the time: nothing is kept per client, and a
/// proof made ahead of time fits none. Two servers never share a secret, so
/// that the nonce of one is none of the other's.
pub struct Supplied(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Supplied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Supplied(…)")
    }
}

impl Supplied {
    /// Nonces from 32 random bytes.
    #[must_use]
    pub fn new(secret: [u8; 32]) -> Self {
        Self(Zeroizing::new(secret))
    }

    /// The nonce to be used now.
    #[must_use]
    pub fn current(&self, now: Timestamp) -> String {
        self.of(now.seconds().div_euclid(EPOCH_SECONDS))
    }

    /// The nonces that are accepted now.
    #[must_use]
    pub fn accepted(&self, now: Timestamp) -> [String; 2] {
        let epoch = now.seconds().div_euclid(EPOCH_SECONDS);
        [self.of(epoch), self.of(epoch.saturating_sub(1))]
    }

    /// SHA-256 over secret and epoch, both of fixed length.
    fn of(&self, epoch: i64) -> String {
        let mut bytes = Zeroizing::new(b"bailiwick-dpop-nonce-v1\n".to_vec());
        bytes.extend_from_slice(self.0.as_slice());
        bytes.extend_from_slice(&epoch.to_be_bytes());
        sha256(&bytes).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_accepted_for_two_epochs_and_by_its_own_server_only() {
        let nonces = Supplied::new([1; 32]);
        let now = Timestamp::from_seconds(1_000_000);
        let nonce = nonces.current(now);
        assert!(nonces.accepted(now).contains(&nonce));
        assert!(nonces.accepted(now.plus_seconds(EPOCH_SECONDS)).contains(&nonce));
        assert!(!nonces.accepted(now.plus_seconds(2 * EPOCH_SECONDS)).contains(&nonce));
        assert!(!nonces.accepted(now.plus_seconds(-EPOCH_SECONDS)).contains(&nonce));
        assert!(!Supplied::new([2; 32]).accepted(now).contains(&nonce));
        assert_eq!(format!("{nonces:?}"), "Supplied(…)");
    }
}
