//! Sessions of the taking side: what strangers and peers may hold, and that
//! everything that is good once is good once. No I/O and no clock.

use std::collections::HashMap;
use std::sync::Arc;

use bailiwick_core::crypto::Digest;
use bailiwick_core::peer::Channel;
use bailiwick_core::peer::handoff::HandoffError;
use bailiwick_core::peer::handshake::{Established, HandshakeError, MAX_SECONDS, Responder};
use bailiwick_core::time::Timestamp;

use crate::error::PeerError;

/// Offers that are remembered, so that none is taken twice by this process.
const MAX_SEEN: usize = 4_096;

/// What peers may hold at the taking side.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Handshakes under way.
    pub handshakes: usize,
    /// Handshakes under way of one SPIFFE ID. What names it can be a copy, so
    /// this is what keeps one name from using up all.
    pub handshakes_per_peer: usize,
    /// Sessions.
    pub sessions: usize,
    /// Sessions of one peer; its oldest makes room.
    pub sessions_per_peer: usize,
    /// Offers that wait for an answer.
    pub offers: usize,
    /// Offers of one peer that wait.
    pub offers_per_peer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshakes: 64,
            handshakes_per_peer: 8,
            sessions: 256,
            sessions_per_peer: 8,
            offers: 32,
            offers_per_peer: 8,
        }
    }
}

/// A handshake that waits for the asking side's signatures.
struct Half {
    responder: Responder,
    claimed: String,
    channel: Channel,
    began: Timestamp,
}

/// A session with a peer that is known.
struct Open {
    established: Arc<Established>,
    channel: Channel,
    challenge: Option<[u8; 32]>,
    order: u64,
}

/// All sessions of one process.
pub(super) struct Sessions {
    limits: Limits,
    half: HashMap<String, Half>,
    open: HashMap<String, Open>,
    /// Offers that were brought, and when they end.
    seen: HashMap<Digest, i64>,
    opened: u64,
}

/// What an offer is held against.
pub(super) struct Expected {
    pub(super) established: Arc<Established>,
    pub(super) challenge: [u8; 32],
}

impl Sessions {
    pub(super) fn new(limits: Limits) -> Self {
        let (half, open, seen) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { limits, half, open, seen, opened: 0 }
    }

    fn prune(&mut self, now: Timestamp) {
        self.half.retain(|_, half| now.millis_since(half.began) <= MAX_SECONDS * 1_000);
        // A peer is known for as long as its identity token stands.
        self.open.retain(|_, open| now.seconds() < open.established.peer().expires_at);
        self.seen.retain(|_, ends| now.seconds() < *ends);
    }

    /// Keeps a handshake that was answered.
    pub(super) fn begin(
        &mut self,
        session: String,
        responder: Responder,
        claimed: String,
        channel: Channel,
        now: Timestamp,
    ) -> Result<(), PeerError> {
        self.prune(now);
        let of_peer = self.half.values().filter(|half| half.claimed == claimed).count();
        if self.half.len() >= self.limits.handshakes || of_peer >= self.limits.handshakes_per_peer {
            return Err(PeerError::Busy);
        }
        self.half.insert(session, Half { responder, claimed, channel, began: now });
        Ok(())
    }

    /// The asking side's signatures, which have one try. From here on the
    /// session is the peer's.
    pub(super) fn finish(
        &mut self,
        session: &str,
        channel: &Channel,
        challenge: [u8; 32],
        now: Timestamp,
        finish: impl FnOnce(Responder) -> Result<Established, HandshakeError>,
    ) -> Result<(), (PeerError, Option<String>)> {
        self.prune(now);
        let half = self.half.remove(session).ok_or((PeerError::NoSession, None))?;
        if half.channel != *channel {
            return Err((HandshakeError::OtherConnection.into(), Some(half.claimed)));
        }
        let established =
            finish(half.responder).map_err(|e| (PeerError::from(e), Some(half.claimed)))?;
        let peer = &established.peer().spiffe_id;
        let of_peer = |open: &Open| open.established.peer().spiffe_id == *peer;
        if self.open.values().filter(|open| of_peer(open)).count() >= self.limits.sessions_per_peer
        {
            let oldest = self.open.iter().filter(|(_, open)| of_peer(open));
            let oldest = oldest.min_by_key(|(_, open)| open.order).map(|(id, _)| id.clone());
            oldest.map(|id| self.open.remove(&id));
        }
        if self.open.len() >= self.limits.sessions {
            return Err((PeerError::Busy, None));
        }
        self.opened = self.opened.saturating_add(1);
        let open = Open {
            established: Arc::new(established),
            channel: channel.clone(),
            challenge: Some(challenge),
            order: self.opened,
        };
        self.open.insert(session.to_owned(), open);
        Ok(())
    }

    fn session(&mut self, session: &str, channel: &Channel) -> Result<&mut Open, PeerError> {
        let open = self.open.get_mut(session).ok_or(PeerError::NoSession)?;
        if open.channel != *channel {
            return Err(HandshakeError::OtherConnection.into());
        }
        Ok(open)
    }

    /// Gives a session another challenge; the one of before is void.
    pub(super) fn challenge(
        &mut self,
        session: &str,
        channel: &Channel,
        challenge: [u8; 32],
        now: Timestamp,
    ) -> Result<(), PeerError> {
        self.prune(now);
        self.session(session, channel)?.challenge = Some(challenge);
        Ok(())
    }

    /// What an offer in this session is held against. The challenge is spent,
    /// whatever the offer turns out to be.
    pub(super) fn expect(
        &mut self,
        session: &str,
        channel: &Channel,
        now: Timestamp,
    ) -> Result<Expected, PeerError> {
        self.prune(now);
        let open = self.session(session, channel)?;
        let challenge = open.challenge.take().ok_or(HandoffError::Challenge)?;
        Ok(Expected { established: Arc::clone(&open.established), challenge })
    }

    /// Notes an offer that held; one that was noted before is refused. After a
    /// restart its session and challenge are gone, and the authority takes one
    /// answer to it and no second.
    pub(super) fn note(&mut self, hash: Digest, ends: i64) -> Result<(), PeerError> {
        if self.seen.contains_key(&hash) {
            return Err(PeerError::Repeated);
        }
        if self.seen.len() >= MAX_SEEN {
            return Err(PeerError::Flood);
        }
        self.seen.insert(hash, ends);
        Ok(())
    }
}
