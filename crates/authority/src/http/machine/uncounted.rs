//! Refusals without an entry of their own: strangers must not be able to fill
//! the ledger, and what they tried must not be lost either. They are counted,
//! and the count becomes one entry after a while.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bailiwick_core::time::Timestamp;

/// How long refusals are gathered before their count is written.
pub(super) const PAUSE: Duration = Duration::from_secs(10);

/// How many there were, since when.
#[derive(Debug, Default)]
pub(super) struct Uncounted(Mutex<Option<(u64, Timestamp)>>);

impl Uncounted {
    /// Counts one; whether it is the first of a series.
    pub(super) fn add(&self, now: Timestamp) -> bool {
        let mut gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, since) = gathered.unwrap_or((0, now));
        *gathered = Some((count.saturating_add(1), since));
        count == 0
    }

    /// Takes the count.
    pub(super) fn take(&self) -> Option<(u64, Timestamp)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A count that was taken and could not be written.
    pub(super) fn put_back(&self, count: u64, since: Timestamp) {
        let mut gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (more, _) = gathered.unwrap_or((0, since));
        *gathered = Some((count.saturating_add(more), since));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_counted_from_its_first_and_survives_a_failed_write() {
        let uncounted = Uncounted::default();
        let at = Timestamp::from_seconds;
        assert_eq!(uncounted.take(), None);
        assert!(uncounted.add(at(1)));
        assert!(!uncounted.add(at(2)));
        let (count, since) = uncounted.take().unwrap();
        assert_eq!((count, since), (2, at(1)));
        assert!(uncounted.add(at(3)));
        uncounted.put_back(count, since);
        assert_eq!(uncounted.take(), Some((3, at(1))));
    }
}
