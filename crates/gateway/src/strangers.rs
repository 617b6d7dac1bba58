//! Refusals of callers that nobody knows, kept from filling the ledger.

use std::sync::{Mutex, PoisonError};

use bailiwick_core::time::Timestamp;

/// A token bucket; what finds it empty is counted.
#[derive(Debug)]
pub(crate) struct Strangers {
    burst: i64,
    per_second: i64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Thousandths of an entry.
    tokens: i64,
    at: Timestamp,
    suppressed: u64,
    since: Timestamp,
}

impl Strangers {
    pub(crate) fn new((burst, per_second): (u32, u32), now: Timestamp) -> Self {
        let burst = i64::from(burst).saturating_mul(1000);
        let state = State { tokens: burst, at: now, suppressed: 0, since: now };
        Self { burst, per_second: i64::from(per_second), state: Mutex::new(state) }
    }

    /// Whether this refusal gets an entry of its own; and whether it is the
    /// first of a series that does not.
    pub(crate) fn admit(&self, now: Timestamp) -> Admission {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = now.millis_since(state.at).max(0);
        state.at = now;
        let filled = elapsed.saturating_mul(self.per_second);
        state.tokens = state.tokens.saturating_add(filled).min(self.burst);
        if state.tokens >= 1000 {
            state.tokens = state.tokens.saturating_sub(1000);
            return Admission::Entry;
        }
        state.suppressed = state.suppressed.saturating_add(1);
        if state.suppressed == 1 {
            state.since = now;
            Admission::FirstSuppressed
        } else {
            Admission::Suppressed
        }
    }

    /// Takes the count of refusals without an entry.
    pub(crate) fn take(&self) -> Option<(u64, Timestamp)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let count = std::mem::take(&mut state.suppressed);
        (count > 0).then_some((count, state.since))
    }
}

/// What becomes of a refusal in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// An entry of its own.
    Entry,
    /// Counted; the count is to be written in a while.
    FirstSuppressed,
    /// Counted.
    Suppressed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_burst_refusals_are_counted_and_the_bucket_fills_again() {
        let start = Timestamp::from_seconds(100);
        let strangers = Strangers::new((2, 10), start);
        assert_eq!(strangers.admit(start), Admission::Entry);
        assert_eq!(strangers.admit(start), Admission::Entry);
        assert_eq!(strangers.admit(start), Admission::FirstSuppressed);
        assert_eq!(strangers.admit(start), Admission::Suppressed);
        assert_eq!(strangers.take(), Some((2, start)));
        assert_eq!(strangers.take(), None);
        assert_eq!(strangers.admit(Timestamp::from_millis(100_100)), Admission::Entry);
    }
}
