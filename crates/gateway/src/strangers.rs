//! Denials without an entry of their own: refusals of callers that nobody
//! knows, kept from filling the ledger, and what the journal could not write.
//! They are counted, and the count is written later.

use std::sync::{Mutex, MutexGuard, PoisonError};

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
    uncounted: Uncounted,
}

/// Denials that no entry tells of yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uncounted {
    /// All of them.
    pub(crate) count: u64,
    /// Those that the journal could not write, known callers' among them.
    pub(crate) unwritten: u64,
    /// When the first was.
    pub(crate) since: Timestamp,
}

impl Uncounted {
    const fn none(since: Timestamp) -> Self {
        Self { count: 0, unwritten: 0, since }
    }
}

impl Strangers {
    pub(crate) fn new((burst, per_second): (u32, u32), now: Timestamp) -> Self {
        let burst = i64::from(burst).saturating_mul(1000);
        let state = State { tokens: burst, at: now, uncounted: Uncounted::none(now) };
        Self { burst, per_second: i64::from(per_second), state: Mutex::new(state) }
    }

    /// Whether this refusal gets an entry of its own; and whether it is the
    /// first of a series that does not.
    pub(crate) fn admit(&self, now: Timestamp) -> Admission {
        let mut state = self.lock();
        let elapsed = now.millis_since(state.at).max(0);
        state.at = now;
        let filled = elapsed.saturating_mul(self.per_second);
        state.tokens = state.tokens.saturating_add(filled).min(self.burst);
        if state.tokens >= 1000 {
            state.tokens = state.tokens.saturating_sub(1000);
            return Admission::Entry;
        }
        if state.add(Uncounted { count: 1, ..Uncounted::none(now) }) {
            Admission::FirstSuppressed
        } else {
            Admission::Suppressed
        }
    }

    /// Counts a denial that the journal could not write; whether it is the
    /// first of a series.
    pub(crate) fn unwritten(&self, now: Timestamp) -> bool {
        self.lock().add(Uncounted { count: 1, unwritten: 1, since: now })
    }

    /// Takes the count of denials without an entry.
    pub(crate) fn take(&self) -> Option<Uncounted> {
        let mut state = self.lock();
        let none = Uncounted::none(state.uncounted.since);
        let taken = std::mem::replace(&mut state.uncounted, none);
        (taken.count > 0).then_some(taken)
    }

    /// A count that was taken and could not be written either.
    pub(crate) fn put_back(&self, taken: Uncounted) {
        self.lock().add(taken);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether nothing was counted before.
    fn add(&mut self, more: Uncounted) -> bool {
        let had = self.uncounted;
        self.uncounted = Uncounted {
            count: had.count.saturating_add(more.count),
            unwritten: had.unwritten.saturating_add(more.unwritten),
            since: if had.count == 0 { more.since } else { had.since.min(more.since) },
        };
        had.count == 0
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
        let counted = Uncounted { count: 2, unwritten: 0, since: start };
        assert_eq!(strangers.take(), Some(counted));
        assert_eq!(strangers.take(), None);
        assert_eq!(strangers.admit(Timestamp::from_millis(100_100)), Admission::Entry);
    }
    #[test]
    fn a_count_that_could_not_be_written_is_kept_with_its_beginning() {
        let start = Timestamp::from_seconds(100);
        let later = Timestamp::from_seconds(200);
        let strangers = Strangers::new((2, 10), start);
        assert!(strangers.unwritten(start));
        assert!(!strangers.unwritten(start));
        let taken = strangers.take().unwrap();
        assert!(strangers.unwritten(later));
        strangers.put_back(taken);
        let counted = Uncounted { count: 3, unwritten: 3, since: start };
        assert_eq!(strangers.take(), Some(counted));
    }
}
