//! Proofs of messages that are not calls, remembered in memory until they are
//! too old to be accepted. Proofs of calls are spent in the ledger instead.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bailiwick_core::crypto::Digest;
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::time::Timestamp;

/// The window of remembered proofs.
#[derive(Debug)]
pub(crate) struct Window {
    started: Timestamp,
    most: usize,
    seen: Mutex<HashMap<Digest, Timestamp>>,
}

impl Window {
    pub(crate) fn new(started: Timestamp, most: usize) -> Self {
        Self { started, most, seen: Mutex::new(HashMap::new()) }
    }

    /// Takes a proof once.
    ///
    /// # Errors
    /// Replayed; or made before this process started, when nobody remembers
    /// whether it was used; or more proofs than can be remembered.
    pub(crate) fn spend(
        &self,
        key: Digest,
        iat: i64,
        expires: Timestamp,
        now: Timestamp,
    ) -> Result<(), Denial> {
        // SECURITY: proofs carry whole seconds, so one of the very second in
        // which the process started may be from before; it is let in.
        if iat < self.started.seconds() {
            return Err(Denial::new(Reason::ProofNotFresh).about("DPoP"));
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() >= self.most {
            seen.retain(|_, expires| *expires > now);
            if seen.len() >= self.most {
                return Err(Denial::new(Reason::StateUnavailable).about("DPoP"));
            }
        }
        match seen.insert(key, expires) {
            None => Ok(()),
            Some(_) => Err(Denial::new(Reason::ProofReplayed).about("DPoP")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn a_proof_works_once_and_never_from_before_the_start() {
        let window = Window::new(at(100), 2);
        let (a, b, c) =
            (Digest::from_array([1; 32]), Digest::from_array([2; 32]), Digest::from_array([3; 32]));
        assert!(window.spend(a, 100, at(130), at(100)).is_ok());
        assert_eq!(
            window.spend(a, 100, at(130), at(101)).unwrap_err().reason,
            Reason::ProofReplayed
        );
        assert_eq!(
            window.spend(b, 99, at(129), at(101)).unwrap_err().reason,
            Reason::ProofNotFresh
        );
        assert!(window.spend(b, 101, at(131), at(101)).is_ok());
        // Full of proofs that still count: fail closed; forgotten ones make room.
        assert_eq!(
            window.spend(c, 102, at(132), at(102)).unwrap_err().reason,
            Reason::StateUnavailable
        );
        assert!(window.spend(c, 130, at(160), at(130)).is_ok());
    }
}
