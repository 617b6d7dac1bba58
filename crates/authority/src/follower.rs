//! Following revocations and stops: sequenced, resumable, with a heartbeat.
//!
//! A [`RevocationFeed`] gives what was revoked, stopped and resumed after a number; the
//! [`RevocationFollower`] keeps it in memory and knows until when it is
//! current. In one process the feed is the store ([`StoreFeed`]); a remote
//! gateway follows the same interface over the network. A gap, or a feed that
//! does not continue what was seen, is an error: the follower then keeps its
//! old `as_of`, and past the staleness bound every call is denied.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::ids::EntryId;
use bailiwick_core::stop::StopTarget;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Change, Notice, Store, Subject};

use crate::host::Host;

/// Revocations in one batch at most.
pub const MAX_BATCH: u32 = 4_096;

/// One answer of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The entry that stands at the number asked from, so that the follower
    /// knows the feed for the same one; `None` for 0.
    pub previous: Option<EntryId>,
    /// In order, those after the number asked for: what was revoked, stopped and
    /// resumed.
    pub rows: Vec<Notice>,
    /// Ask from here next.
    pub next: u64,
    /// Whether there are more already.
    pub more: bool,
    /// Everything revoked before this time is in this batch or an earlier one,
    /// unless there are more.
    pub as_of: Timestamp,
}

/// Where revocations come from.
pub trait RevocationFeed: Send + Sync {
    /// Revocations after number `seq`; 0 for all.
    ///
    /// # Errors
    /// [`FeedError::Unavailable`].
    fn since(&self, seq: u64) -> Result<Batch, FeedError>;
}

/// A feed that cannot be followed now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// Numbers are missing.
    #[error("the revocation feed has a gap: expected number {expected}, found {found}")]
    Gap {
        /// The number that should have come.
        expected: u64,
        /// The number that came.
        found: u64,
    },
    /// Not the feed that was followed so far, or one that was set back.
    #[error("the revocation feed does not continue what was seen up to number {seq}")]
    OtherFeed {
        /// The last number seen.
        seq: u64,
    },
    /// A batch that the authority did not sign like this.
    #[error("a batch of revocations is refused: {what}")]
    Forged {
        /// Why, as the end of a sentence.
        what: &'static str,
    },
    /// Nothing came, not even a heartbeat.
    #[error("the revocation feed fell silent")]
    Silent,
    /// A heartbeat that is far from our clock.
    #[error("the revocation feed's heartbeat of {as_of} is far from this clock")]
    Stale {
        /// What it says.
        as_of: Timestamp,
    },
    /// It gave no answer.
    #[error("the revocation feed cannot be read: {detail}")]
    Unavailable {
        /// Why.
        detail: String,
    },
}

impl FeedError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Forged { .. } => "feed-forged",
            Self::Gap { .. } => "feed-gap",
            Self::OtherFeed { .. } => "feed-not-continued",
            Self::Silent => "feed-silent",
            Self::Stale { .. } => "feed-stale",
            Self::Unavailable { .. } => "feed-unavailable",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Gap { .. } | Self::OtherFeed { .. } => {
                "find out why the authority's state changed, then restart the gateway"
            }
            Self::Forged { .. } => {
                "compare the snapshot keys with `bailiwick keys list` at the authority"
            }
            Self::Silent | Self::Unavailable { .. } => {
                "mend the connection to the authority or its disk"
            }
            Self::Stale { .. } => "check the clocks of both sides",
        }
    }
}

/// The store as a feed.
pub struct StoreFeed {
    store: Store,
    host: Arc<dyn Host>,
}

impl StoreFeed {
    /// A feed over `store`.
    #[must_use]
    pub fn new(store: Store, host: Arc<dyn Host>) -> Self {
        Self { store, host }
    }
}

impl RevocationFeed for StoreFeed {
    fn since(&self, seq: u64) -> Result<Batch, FeedError> {
        // The time just before the snapshot: what it shows was there by then.
        let as_of = self.host.now();
        // From one number earlier, so that the last one seen can be compared.
        let from = seq.saturating_sub(1);
        let read = self.store.read(|view| view.revocations_since(from, MAX_BATCH));
        let found = read.map_err(|e| FeedError::Unavailable { detail: e.to_string() })?;
        let mut rows = found.rows;
        let previous = match rows.first() {
            Some(first) if seq > 0 && first.seq == seq => Some(rows.remove(0).entry),
            _ => None,
        };
        Ok(Batch { previous, rows, next: found.upto.max(seq), more: found.more, as_of })
    }
}

/// What is known of revocations, in memory.
///
/// A subject is kept as one hash, so a million of them take some 50 MB.
pub struct RevocationFollower {
    feed: Option<Arc<dyn RevocationFeed>>,
    known: RwLock<Known>,
    polling: Mutex<Position>,
}

struct Known {
    subjects: HashSet<[u8; 32]>,
    stops: HashSet<StopTarget>,
    as_of: Timestamp,
}

impl Known {
    fn learn(&mut self, change: &Change) {
        match change {
            Change::Revoked { subject, .. } => {
                self.subjects.insert(key(subject));
            }
            Change::Stopped { target, .. } => {
                self.stops.insert(target.clone());
            }
            // INVARIANT: a target has one stop at a time, so the stop that ends
            // is the one that is known.
            Change::Resumed { target, .. } => {
                self.stops.remove(target);
            }
        }
    }
}

#[derive(Default)]
struct Position {
    seq: u64,
    last: Option<EntryId>,
}

fn key(subject: &Subject) -> [u8; 32] {
    let root = subject.root().map(Digest::to_string).unwrap_or_default();
    *sha256(format!("{}\n{}\n{root}", subject.kind(), subject.key()).as_bytes()).bytes()
}

impl RevocationFollower {
    /// Begins to follow, and catches up at once.
    ///
    /// # Errors
    /// See [`FeedError`]: without a first answer nothing is known.
    pub fn start(feed: Arc<dyn RevocationFeed>) -> Result<Self, FeedError> {
        let follower = Self { feed: Some(feed), ..Self::waiting() };
        follower.poll()?;
        Ok(follower)
    }

    /// Knows nothing, which is known to be old, until batches are accepted.
    #[must_use]
    pub fn waiting() -> Self {
        let as_of = Timestamp::from_millis(0);
        let known = Known { subjects: HashSet::new(), stops: HashSet::new(), as_of };
        Self { feed: None, known: RwLock::new(known), polling: Mutex::new(Position::default()) }
    }

    /// Catches up with the feed; gives how many revocations were new. `serve`
    /// calls it at least every 50 ms.
    ///
    /// # Errors
    /// See [`FeedError`]; what was known stays known, and `as_of` stays behind.
    pub fn poll(&self) -> Result<usize, FeedError> {
        let mut position = self.polling.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(feed) = &self.feed else { return Ok(0) };
        let mut news = 0;
        loop {
            let batch = feed.since(position.seq)?;
            let more = batch.more;
            news += self.take(&mut position, batch)?;
            if !more {
                return Ok(news);
            }
        }
    }

    /// The last number that is known.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.polling.lock().unwrap_or_else(PoisonError::into_inner).seq
    }

    /// Takes the batch after [`RevocationFollower::position`]; gives how many
    /// revocations were new.
    ///
    /// # Errors
    /// [`FeedError::Gap`], [`FeedError::OtherFeed`]; what was known stays
    /// known, and `as_of` stays behind.
    pub fn accept(&self, batch: Batch) -> Result<usize, FeedError> {
        let mut position = self.polling.lock().unwrap_or_else(PoisonError::into_inner);
        self.take(&mut position, batch)
    }

    fn take(&self, position: &mut Position, batch: Batch) -> Result<usize, FeedError> {
        if batch.previous != position.last {
            return Err(FeedError::OtherFeed { seq: position.seq });
        }
        let mut expected = position.seq;
        for row in &batch.rows {
            expected = expected.saturating_add(1);
            if row.seq != expected {
                return Err(FeedError::Gap { expected, found: row.seq });
            }
        }
        if batch.next != expected || (batch.more && batch.rows.is_empty()) {
            return Err(FeedError::Gap { expected, found: batch.next });
        }
        if let Some(last) = batch.rows.last() {
            *position = Position { seq: expected, last: Some(last.entry.clone()) };
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for row in &batch.rows {
            known.learn(&row.change);
        }
        if !batch.more {
            // INVARIANT: only an answer without more says until when
            // everything is known.
            known.as_of = batch.as_of;
        }
        Ok(batch.rows.len())
    }

    /// The first of `subjects` that is known to be revoked, and until when
    /// everything is known.
    #[must_use]
    pub fn look<'s>(&self, subjects: &'s [Subject]) -> (Option<&'s Subject>, Timestamp) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let found = if known.subjects.is_empty() {
            None
        } else {
            subjects.iter().find(|s| known.subjects.contains(&key(s)))
        };
        (found, known.as_of)
    }

    /// The first of `targets` that is known to be stopped.
    #[must_use]
    pub fn stopped(&self, targets: &[StopTarget]) -> Option<StopTarget> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        targets.iter().find(|target| known.stops.contains(*target)).cloned()
    }

    /// Until when everything is known.
    #[must_use]
    pub fn as_of(&self) -> Timestamp {
        self.known.read().unwrap_or_else(PoisonError::into_inner).as_of
    }
}

impl std::fmt::Debug for RevocationFollower {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RevocationFollower(as of {})", self.as_of())
    }
}

#[cfg(test)]
mod tests;
