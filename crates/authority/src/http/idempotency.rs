//! Idempotency keys on calls that create something
//! (draft-ietf-httpapi-idempotency-key-header): a call that is sent again,
//! because its answer got lost, has its effect once.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::time::Timestamp;

/// Seconds for which an answer is kept.
pub const KEPT_SECONDS: i64 = 600;
/// Bytes of a key at most.
const MAX_KEY_BYTES: usize = 255;

/// Why a call is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdempotencyError {
    /// No key of this form.
    #[error("the idempotency key must be 1 to 255 visible characters")]
    Malformed,
    /// The key came with another request before.
    #[error("the idempotency key was used for another request")]
    Reused,
    /// The first call is still under way.
    #[error("the call with this idempotency key is still under way")]
    UnderWay,
    /// Too many answers are kept.
    #[error("too many calls with idempotency keys are remembered")]
    Full,
}

impl IdempotencyError {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed => "idempotency-key-malformed",
            Self::Reused => "idempotency-key-reused",
            Self::UnderWay => "idempotency-under-way",
            Self::Full => "idempotency-full",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Malformed => "send a fresh UUID",
            Self::Reused => "use a fresh key for every request",
            Self::UnderWay | Self::Full => "send the same request again in a while",
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Reused => 422,
            Self::UnderWay => 409,
            Self::Full => 503,
        }
    }
}

/// Answers of one kind, by caller and key, in bounded memory. An answer may be
/// a secret that was handed out once, so it is never written down.
#[derive(Debug)]
pub struct Idempotency<A> {
    max: usize,
    state: Mutex<State<A>>,
}

#[derive(Debug)]
struct State<A> {
    calls: HashMap<Digest, Call<A>>,
    /// Keys in the order in which they came.
    order: VecDeque<(Timestamp, Digest)>,
}

#[derive(Debug)]
struct Call<A> {
    request: Digest,
    /// None while the call is under way.
    answer: Option<A>,
}

/// What becomes of a call with a key.
#[derive(Debug)]
pub enum Admission<A: Clone> {
    /// It is the first: make it, then say what came of it.
    First(Place<A>),
    /// It was made: this was the answer.
    Again(A),
}

/// The place of a call under way. Dropped without an answer, the call may be
/// made again.
#[derive(Debug)]
pub struct Place<A: Clone> {
    keeper: Arc<Idempotency<A>>,
    key: Digest,
    answered: bool,
}

impl<A: Clone> Idempotency<A> {
    /// Keeps at most `max` answers.
    #[must_use]
    pub fn new(max: usize) -> Arc<Self> {
        let state = State { calls: HashMap::new(), order: VecDeque::new() };
        Arc::new(Self { max, state: Mutex::new(state) })
    }

    /// Begins a call of `caller` with `key`; `request` is all that it says.
    ///
    /// # Errors
    /// See [`IdempotencyError`].
    pub fn begin(
        self: &Arc<Self>,
        caller: &str,
        key: &str,
        request: &[u8],
        now: Timestamp,
    ) -> Result<Admission<A>, IdempotencyError> {
        let visible = key.bytes().all(|b| b.is_ascii_graphic());
        if !(1..=MAX_KEY_BYTES).contains(&key.len()) || !visible {
            return Err(IdempotencyError::Malformed);
        }
        // One caller's key is nothing to another. The length keeps the two
        // apart from any other pair.
        let key = sha256(format!("{}:{caller}{key}", caller.len()).as_bytes());
        let request = sha256(request);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.forget(now);
        if let Some(call) = state.calls.get(&key) {
            if call.request != request {
                return Err(IdempotencyError::Reused);
            }
            return call.answer.clone().map(Admission::Again).ok_or(IdempotencyError::UnderWay);
        }
        if state.calls.len() >= self.max || state.order.len() >= self.max.saturating_mul(2) {
            return Err(IdempotencyError::Full);
        }
        state.calls.insert(key, Call { request, answer: None });
        state.order.push_back((now, key));
        Ok(Admission::First(Place { keeper: Arc::clone(self), key, answered: false }))
    }
}

impl<A> State<A> {
    fn forget(&mut self, now: Timestamp) {
        while let Some((at, key)) = self.order.front() {
            if now.millis_since(*at) < KEPT_SECONDS.saturating_mul(1000) {
                return;
            }
            self.calls.remove(key);
            self.order.pop_front();
        }
    }
}

impl<A: Clone> Place<A> {
    /// Keeps what came of the call.
    pub fn answer(mut self, answer: A) {
        let mut state = self.keeper.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(call) = state.calls.get_mut(&self.key) {
            call.answer = Some(answer);
        }
        drop(state);
        self.answered = true;
    }
}

impl<A: Clone> Drop for Place<A> {
    fn drop(&mut self) {
        if !self.answered {
            let mut state = self.keeper.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.calls.remove(&self.key);
            state.order.retain(|(_, key)| *key != self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1000);

    fn code(outcome: Result<Admission<u8>, IdempotencyError>) -> &'static str {
        match outcome {
            Ok(Admission::First(_)) => "first",
            Ok(Admission::Again(_)) => "again",
            Err(e) => {
                assert!(!e.remedy().is_empty() && (400..=503).contains(&e.status()));
                e.code()
            }
        }
    }

    #[test]
    fn a_call_sent_again_gets_the_first_answer() {
        let kept = Idempotency::<u8>::new(10);
        let Ok(Admission::First(place)) = kept.begin("c", "k", b"r", NOW) else { panic!() };
        assert_eq!(code(kept.begin("c", "k", b"r", NOW)), "idempotency-under-way");
        place.answer(7);
        assert!(matches!(kept.begin("c", "k", b"r", NOW), Ok(Admission::Again(7))));
        assert_eq!(code(kept.begin("c", "k", b"other", NOW)), "idempotency-key-reused");
        assert_eq!(code(kept.begin("d", "k", b"r", NOW)), "first");
        let later = NOW.plus_seconds(KEPT_SECONDS);
        assert_eq!(code(kept.begin("c", "k", b"other", later)), "first");
    }

    #[test]
    fn a_call_that_came_to_nothing_may_be_made_again() {
        let kept = Idempotency::<u8>::new(10);
        drop(kept.begin("c", "k", b"r", NOW));
        assert_eq!(code(kept.begin("c", "k", b"r", NOW)), "first");
    }

    #[test]
    fn keys_are_bounded_in_form_and_number() {
        let kept = Idempotency::<u8>::new(1);
        for bad in ["", "a b", "é", &"x".repeat(256)] {
            assert_eq!(code(kept.begin("c", bad, b"r", NOW)), "idempotency-key-malformed");
        }
        let held = kept.begin("c", "k", b"r", NOW);
        assert_eq!(code(kept.begin("c", "l", b"r", NOW)), "idempotency-full");
        drop(held);
        assert_eq!(code(kept.begin("c", "l", b"r", NOW)), "first");
    }
}
