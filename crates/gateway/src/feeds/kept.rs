//! The feeds of one session, by the names of their events.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bailiwick_core::crypto::base64url;
use bailiwick_core::scope::Scope;
use bailiwick_core::time::Timestamp;
use tokio_util::sync::CancellationToken;

use super::Feed;
use crate::ports::{Host, Recheck};

/// Feeds of one session: as many as a key may have calls under way.
pub(super) const MAX_FEEDS: usize = 64;

/// What a feed of a session is about.
#[derive(Clone, Debug)]
pub(crate) enum About {
    /// A call, and what must not be taken back before its events are shown.
    Call(Box<Recheck>),
    /// The session itself.
    Common {
        /// What notices about resources were held against.
        scope: Option<Arc<Scope>>,
        /// Ends what fills it.
        filling: CancellationToken,
        /// From where the tool server's own stream goes on.
        last: LastId,
    },
}

/// The id of the last event of a tool server's stream, for the next connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastId(Arc<Mutex<Option<String>>>);

impl LastId {
    /// An event came; one without an id does not count.
    pub(crate) fn note(&self, id: Option<&str>) {
        if let Some(id) = id {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.to_owned());
        }
    }

    /// The last one that had an id.
    pub(crate) fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What becomes of those who read the feeds of a session that ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rest {
    /// They may read what was said.
    Shown,
    /// The authority behind it is gone: nothing more is shown.
    Withheld,
}

/// A feed that its session can find.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) feed: Arc<Feed>,
    pub(crate) about: About,
}

/// The feeds of one session.
#[derive(Debug, Default)]
pub(crate) struct Feeds(Mutex<VecDeque<Kept>>);

impl Feeds {
    pub(super) fn lock(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a feed a name by which its session finds it. When all places are
    /// taken, it stays without one and cannot be resumed.
    pub(crate) fn keep(&self, host: &dyn Host, feed: &Arc<Feed>, about: About) {
        let mut kept = self.lock();
        if kept.len() >= MAX_FEEDS {
            let Some(idle) = kept.iter().position(|kept| kept.feed.is_idle()) else { return };
            kept.remove(idle);
        }
        let mut bytes = [0; 16];
        host.fill(&mut bytes);
        feed.log().name = Some(base64url(&bytes));
        kept.push_back(Kept { feed: Arc::clone(feed), about });
    }

    /// The feed of an event, and the event's number in it.
    pub(crate) fn find(&self, event: &str) -> Option<(Kept, u64)> {
        let (name, number) = event.rsplit_once('.')?;
        let number = number.parse().ok()?;
        let kept = self.lock();
        let found = kept.iter().find(|kept| kept.feed.log().name.as_deref() == Some(name))?;
        Some((found.clone(), number))
    }

    /// The session's common feed, for this scope, and from where the tool
    /// server's goes on. One for another scope ends.
    pub(crate) fn common(&self, scope: Option<&Scope>) -> Option<(Arc<Feed>, LastId)> {
        let mut kept = self.lock();
        kept.retain(|kept| match &kept.about {
            About::Common { scope: held, filling, .. } if held.as_deref() != scope => {
                filling.cancel();
                kept.feed.finish();
                false
            }
            _ => true,
        });
        kept.iter().find_map(|kept| match &kept.about {
            About::Common { last, .. } => Some((Arc::clone(&kept.feed), last.clone())),
            About::Call(_) => None,
        })
    }

    /// Fills the session's common feed again, and no more from where it was
    /// filled before.
    pub(crate) fn refill(&self, feed: &Arc<Feed>, anew: CancellationToken) {
        for kept in self.lock().iter_mut().filter(|kept| Arc::ptr_eq(&kept.feed, feed)) {
            if let About::Common { filling, .. } = &mut kept.about {
                std::mem::replace(filling, anew.clone()).cancel();
                feed.reopen();
            }
        }
    }

    /// Lets a feed go.
    pub(crate) fn forget(&self, feed: &Arc<Feed>) {
        self.lock().retain(|kept| !Arc::ptr_eq(&kept.feed, feed));
    }

    /// Lets those go that nobody came back for in so many seconds. The feed of
    /// a call under way waits for its answer.
    pub(crate) fn sweep(&self, now: Timestamp, kept_seconds: i64) {
        self.lock().retain(|kept| match &kept.about {
            About::Call(_) => !kept.feed.is_over() || !kept.feed.is_stale(now, kept_seconds),
            About::Common { filling, .. } => {
                let stale = kept.feed.is_stale(now, kept_seconds);
                if stale {
                    filling.cancel();
                    kept.feed.finish();
                }
                !stale
            }
        });
    }

    /// Cuts the feeds of finished calls that somebody still reads and whose
    /// authority is `gone`. A call under way looks after its own.
    pub(crate) fn cut(&self, gone: impl Fn(&Recheck) -> bool) {
        self.lock().retain(|kept| {
            let About::Call(recheck) = &kept.about else { return true };
            let cut = kept.feed.is_being_read_out() && gone(recheck);
            if cut {
                kept.feed.cut();
            }
            !cut
        });
    }

    /// The session is over.
    pub(crate) fn end(&self, rest: Rest) {
        for Kept { feed, about } in self.lock().drain(..) {
            if let About::Common { filling, .. } = &about {
                filling.cancel();
                feed.finish();
            }
            if rest == Rest::Withheld && feed.is_over() {
                feed.cut();
            }
        }
    }
}
