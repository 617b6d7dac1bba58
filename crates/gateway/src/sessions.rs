//! Sessions of protocol 2025-11-25.
//!
//! The id that a client sees is minted here, unguessable, and bound to the
//! leaf key and the root that opened it, or to the client and person of an access token; the tool server's own id stays on its
//! side. A session ends with its chain: expired, revoked, idle or closed.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bailiwick_core::crypto::{Digest, Thumbprint, base64url};
use bailiwick_core::ids::ServerName;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::grades::Question;
use tokio_util::sync::CancellationToken;

use crate::feeds::{Feeds, Rest};
use crate::ports::{Host, Recheck};
use crate::questions::Open;

/// To whom a session belongs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    pub(crate) server: ServerName,
    pub(crate) key: Thumbprint,
    /// The root. For access tokens, which are renewed and give way to those of
    /// another grant when more is needed: whose they are, for which agent and
    /// client.
    pub(crate) root: Digest,
}

/// An open session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: String,
    pub(crate) owner: Owner,
    /// The tool server's own session id, if it gave one.
    pub(crate) upstream: Option<String>,
    /// What the tool server was told that it may ask.
    pub(crate) offers: BTreeSet<Question>,
    /// Whether its client opens pages for its user.
    pub(crate) opens_urls: bool,
    /// What it asked and nobody answered yet.
    pub(crate) questions: Open,
    /// What was said in it, for a client that comes back.
    pub(crate) feeds: Feeds,
    /// Held while its common stream is opened: there is one.
    pub(crate) opening: tokio::sync::Mutex<()>,
    /// Cancelled when the session ends; its streams listen.
    pub(crate) ended: CancellationToken,
    held: Mutex<Held>,
}

/// What a client declared when it opened a session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Declared {
    /// What the tool server is told that it may ask.
    pub(crate) offers: BTreeSet<Question>,
    /// Whether the client opens pages for its user, whoever asks.
    pub(crate) opens_urls: bool,
}

/// What keeps a session open: a client that renews its access token keeps the
/// session that it opened with the one before.
#[derive(Clone, Debug)]
pub(crate) struct Lease {
    /// The end of the chain.
    pub(crate) expires: Timestamp,
    /// What must not be revoked meanwhile.
    pub(crate) recheck: Recheck,
}

#[derive(Debug)]
struct Held {
    used: Timestamp,
    lease: Lease,
}

impl Session {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn over(&self, rest: Rest) {
        self.ended.cancel();
        self.feeds.end(rest);
    }

    /// What keeps it open now.
    pub(crate) fn lease(&self) -> Lease {
        self.held().lease.clone()
    }
}

/// Why there is no such session for this caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoSession {
    /// It never was, or it ended.
    Ended,
    /// It belongs to another key or delegation.
    Foreign,
}

/// All open sessions.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    open: Mutex<HashMap<String, Arc<Session>>>,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a session, or refuses when there are too many.
    pub(crate) fn open(
        &self,
        host: &dyn Host,
        owner: Owner,
        upstream: Option<String>,
        declared: Declared,
        lease: Lease,
        (most, most_per_key): (usize, usize),
    ) -> Option<Arc<Session>> {
        let mut bytes = [0; 32];
        host.fill(&mut bytes);
        let session = Arc::new(Session {
            id: base64url(&bytes),
            upstream,
            offers: declared.offers,
            opens_urls: declared.opens_urls,
            questions: Open::default(),
            feeds: Feeds::default(),
            opening: tokio::sync::Mutex::default(),
            ended: CancellationToken::new(),
            held: Mutex::new(Held { used: host.now(), lease }),
            owner,
        });
        let mut open = self.lock();
        let of_key = open.values().filter(|s| s.owner.key == session.owner.key).count();
        if open.len() >= most || of_key >= most_per_key {
            return None;
        }
        open.insert(session.id.clone(), Arc::clone(&session));
        Some(session)
    }

    /// The session `id` if it belongs to `owner`, whose present authority is
    /// `lease`.
    pub(crate) fn of(
        &self,
        id: &str,
        owner: &Owner,
        lease: Lease,
        now: Timestamp,
        idle_seconds: i64,
    ) -> Result<Arc<Session>, NoSession> {
        let session = self.lock().get(id).cloned().ok_or(NoSession::Ended)?;
        if session.owner != *owner {
            return Err(NoSession::Foreign);
        }
        let mut held = session.held();
        if held.lease.expires <= now || held.used.plus_seconds(idle_seconds) <= now {
            drop(held);
            self.end(&session);
            return Err(NoSession::Ended);
        }
        held.used = now;
        // A later token keeps it open for longer. One of another grant is what
        // the client goes on with, so that the revocation of that ends it.
        let of_grant = |lease: &Lease| lease.recheck.authority.grant_digest;
        if held.lease.expires < lease.expires || of_grant(&held.lease) != of_grant(&lease) {
            held.lease = lease;
        }
        drop(held);
        Ok(session)
    }

    /// Whether the client of an open session opens pages for its user.
    pub(crate) fn opens_urls(&self, id: &str) -> bool {
        self.lock().get(id).is_some_and(|session| session.opens_urls)
    }

    /// Ends a session and its streams; who reads them gets what was said.
    pub(crate) fn end(&self, session: &Session) {
        self.lock().remove(&session.id);
        session.over(Rest::Shown);
    }

    /// Ends a session whose authority is gone: nothing more of it is shown.
    pub(crate) fn cut(&self, session: &Session) {
        self.lock().remove(&session.id);
        session.over(Rest::Withheld);
    }

    /// Ends what is expired or idle and gives it back, so that the tool servers
    /// can be told.
    pub(crate) fn sweep(&self, now: Timestamp, idle_seconds: i64) -> Vec<Arc<Session>> {
        let mut over = Vec::new();
        self.lock().retain(|_, session| {
            let held = session.held();
            let stands = held.lease.expires > now && held.used.plus_seconds(idle_seconds) > now;
            drop(held);
            if !stands {
                session.over(Rest::Shown);
                over.push(Arc::clone(session));
            }
            stands
        });
        over
    }

    /// All that are open.
    pub(crate) fn open_ones(&self) -> Vec<Arc<Session>> {
        self.lock().values().cloned().collect()
    }

    /// Ends all.
    pub(crate) fn end_all(&self) {
        for (_, session) in self.lock().drain() {
            session.over(Rest::Shown);
        }
    }
}
