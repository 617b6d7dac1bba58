//! Rate limits per caller: token buckets in bounded memory.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use bailiwick_core::time::Timestamp;

/// How often a caller may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Requests at once.
    pub burst: u32,
    /// Requests a minute after that.
    pub per_minute: u32,
}

/// One rate for many callers. Callers beyond `max_callers` at a time share one
/// bucket: a flood of new names slows down new names, not those known, and
/// costs no memory.
#[derive(Debug)]
pub struct RateLimiter<K> {
    rate: Rate,
    max_callers: usize,
    state: Mutex<State<K>>,
}

#[derive(Debug)]
struct State<K> {
    callers: HashMap<K, Bucket>,
    others: Bucket,
    /// When buckets were last looked through.
    swept: Timestamp,
}

/// Sixty-thousandths of a request, so that a minute's rate fills by whole
/// numbers every millisecond.
const UNIT: i64 = 60_000;

#[derive(Clone, Copy, Debug)]
struct Bucket {
    level: i64,
    at: Timestamp,
}

impl Bucket {
    const fn full(rate: Rate, now: Timestamp) -> Self {
        Self { level: capacity(rate), at: now }
    }

    fn fill(&mut self, rate: Rate, now: Timestamp) {
        // A clock that was stepped back fills nothing, and is caught up with.
        let elapsed = now.millis_since(self.at).max(0);
        let filled = elapsed.saturating_mul(rate.per_minute as i64);
        self.level = self.level.saturating_add(filled).min(capacity(rate));
        self.at = now;
    }

    fn take(&mut self, rate: Rate, now: Timestamp) -> Result<(), u32> {
        self.fill(rate, now);
        if self.level >= UNIT {
            self.level = self.level.saturating_sub(UNIT);
            return Ok(());
        }
        let missing = UNIT.saturating_sub(self.level);
        let per_second = (rate.per_minute as i64).max(1).saturating_mul(1000);
        let seconds = missing.saturating_add(per_second.saturating_sub(1)) / per_second;
        Err(u32::try_from(seconds).unwrap_or(u32::MAX).max(1))
    }
}

const fn capacity(rate: Rate) -> i64 {
    (rate.burst as i64).saturating_mul(UNIT)
}

impl<K: Eq + Hash> RateLimiter<K> {
    /// A limiter that remembers at most `max_callers` callers.
    #[must_use]
    pub fn new(rate: Rate, max_callers: usize, now: Timestamp) -> Self {
        let others = Bucket::full(rate, now);
        let state = Mutex::new(State { callers: HashMap::new(), others, swept: now });
        Self { rate, max_callers, state }
    }

    /// Whether `caller` may ask now.
    ///
    /// # Errors
    /// The seconds after which it may, at least one.
    pub fn admit(&self, caller: K, now: Timestamp) -> Result<(), u32> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = state.callers.get_mut(&caller) {
            return bucket.take(self.rate, now);
        }
        // A full bucket says nothing about its caller. Looking for them costs
        // time, so at most once a second.
        if state.callers.len() >= self.max_callers && now.millis_since(state.swept).abs() >= 1000 {
            let (rate, full) = (self.rate, capacity(self.rate));
            state.callers.retain(|_, bucket| {
                bucket.fill(rate, now);
                bucket.level < full
            });
            state.swept = now;
        }
        if state.callers.len() >= self.max_callers {
            return state.others.take(self.rate, now);
        }
        let mut bucket = Bucket::full(self.rate, now);
        let admitted = bucket.take(self.rate, now);
        state.callers.insert(caller, bucket);
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_seconds(1000);
    const RATE: Rate = Rate { burst: 2, per_minute: 60 };

    #[test]
    fn a_caller_has_its_burst_and_then_its_rate() {
        let limiter = RateLimiter::new(RATE, 10, START);
        assert_eq!(limiter.admit("a", START), Ok(()));
        assert_eq!(limiter.admit("a", START), Ok(()));
        assert_eq!(limiter.admit("a", START), Err(1));
        assert_eq!(limiter.admit("b", START), Ok(()));
        assert_eq!(limiter.admit("a", START.plus_seconds(1)), Ok(()));
        assert_eq!(limiter.admit("a", START.plus_seconds(1)), Err(1));
        // No more than the burst is saved up.
        let later = START.plus_seconds(1000);
        assert_eq!(limiter.admit("a", later), Ok(()));
        assert_eq!(limiter.admit("a", later), Ok(()));
        assert!(limiter.admit("a", later).is_err());
    }

    #[test]
    fn it_says_when_to_come_back() {
        let slow = Rate { burst: 1, per_minute: 2 };
        let limiter = RateLimiter::new(slow, 10, START);
        assert_eq!(limiter.admit("a", START), Ok(()));
        assert_eq!(limiter.admit("a", START), Err(30));
        assert_eq!(limiter.admit("a", START.plus_seconds(29)), Err(1));
        assert_eq!(limiter.admit("a", START.plus_seconds(30)), Ok(()));
        let never = RateLimiter::new(Rate { burst: 0, per_minute: 0 }, 10, START);
        assert!(never.admit("a", START).is_err());
    }

    #[test]
    fn a_flood_of_names_shares_one_bucket_and_costs_no_memory() {
        let limiter = RateLimiter::new(RATE, 3, START);
        let admitted = (0..1000).filter(|i| limiter.admit(*i, START).is_ok()).count();
        assert_eq!(admitted, 3 + 2);
        assert_eq!(limiter.state.lock().unwrap().callers.len(), 3);
        // Those known are not slowed down by it.
        assert_eq!(limiter.admit(0, START), Ok(()));
        // Once their buckets are full again there is room.
        let later = START.plus_seconds(60);
        assert_eq!(limiter.admit(2000, later), Ok(()));
        assert_eq!(limiter.state.lock().unwrap().callers.len(), 1);
    }

    #[test]
    fn a_clock_stepped_back_gives_nothing_away() {
        let limiter = RateLimiter::new(RATE, 3, START);
        assert!(limiter.admit("a", START).is_ok() && limiter.admit("a", START).is_ok());
        assert!(limiter.admit("a", START.plus_seconds(-3600)).is_err());
        assert!(limiter.admit("a", START.plus_seconds(-3599)).is_ok());
    }
}
