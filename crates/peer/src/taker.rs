//! Who takes over.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use bailiwick_core::crypto::{Digest, base64url};
use bailiwick_core::guarantee::Guarantee;
use bailiwick_core::ids::TaskId;
use bailiwick_core::peer::Channel;
use bailiwick_core::peer::claim::Claim;
use bailiwick_core::peer::handoff::{Answer, HandoffError, Offer, Offered, Taker as Side};
use bailiwick_core::peer::handshake::{Hello, Reply, Responder};
use bailiwick_core::peer::returned::{Return, Status};
use bailiwick_core::time::Timestamp;
use tokio::sync::Notify;

use crate::authority::{Authority, Graded, HandoffView, Stands};
use crate::error::{PeerError, Who};
use crate::giver::Context;
use crate::instance::{Instance, claimed};
use crate::messages::{Finishing, Offering};
use crate::{CAPABILITY, child, random};

mod http;
mod sessions;
#[cfg(test)]
mod tests;

pub use sessions::Limits;
use sessions::{Expected, Sessions};

/// The taking side of one instance. Clones are the same one.
#[derive(Clone)]
pub struct Taker(Arc<Inner>);

struct Inner {
    side: Arc<Instance>,
    limits: Limits,
    sessions: Mutex<Sessions>,
    waiting: Mutex<Vec<Waiting>>,
    arrived: Notify,
}

/// An offer that waits for an answer.
struct Waiting {
    offer: Arc<Verified>,
    /// [`Taker::next`] gave it out.
    given: bool,
}

/// An offer that held, and what travelled beside it.
struct Verified {
    /// Whose record it stands in.
    authority: Authority,
    offered: Offered,
    chain: Vec<String>,
    context: Vec<Context>,
    claims: Vec<Graded>,
    guarantee: Guarantee,
    /// An answer went to the authority and nothing came back.
    unsure: std::sync::atomic::AtomicBool,
}

impl std::fmt::Debug for Taker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Taker").field("side", &self.0.side).finish_non_exhaustive()
    }
}

impl Taker {
    /// The taking side of `side`.
    #[must_use]
    pub fn new(side: Arc<Instance>, limits: Limits) -> Self {
        Self(Arc::new(Inner {
            side,
            limits,
            sessions: Mutex::new(Sessions::new(limits)),
            waiting: Mutex::default(),
            arrived: Notify::new(),
        }))
    }

    /// What peers reach. Over plain HTTP it is for loopback only; whoever serves
    /// it over mutual TLS adds the connection's [`Channel`] to each request.
    pub fn router(&self) -> Router {
        http::router(self.clone())
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.0.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting_now(&self, now: Timestamp) -> MutexGuard<'_, Vec<Waiting>> {
        let mut waiting = self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|w| now.seconds() < w.offer.offered.offer().expires_at);
        waiting
    }

    async fn on_hello(
        &self,
        hello: &Hello,
        channel: Channel,
    ) -> Result<(String, Reply), PeerError> {
        let side = &self.0.side;
        let credentials = side.credentials().await?;
        let able = BTreeSet::from([CAPABILITY.to_owned()]);
        let (own, now) = (side.own(&credentials), side.now());
        let (nonce, anchors) = (random(&*side.host)?, &credentials.anchors);
        let met = Responder::on_hello(&own, hello, &able, anchors, &channel, nonce, now);
        let said = claimed(&hello.from.wit);
        let (responder, reply) =
            met.map_err(PeerError::from).inspect_err(|e| side.tell_refused(e, said.clone()))?;
        let session = base64url(&random::<32>(&*side.host)?);
        let said = said.unwrap_or_default();
        self.sessions().begin(session.clone(), responder, said, channel, now)?;
        Ok((session, reply))
    }

    fn on_finish(&self, message: &Finishing, channel: &Channel) -> Result<[u8; 32], PeerError> {
        let (side, challenge) = (&self.0.side, random(&*self.0.side.host)?);
        let now = side.now();
        let finished =
            self.sessions().finish(&message.session, channel, challenge, now, |responder| {
                responder.on_finish(&message.finish, now)
            });
        finished.map_err(|(error, claimed)| {
            side.tell_refused(&error, claimed);
            error
        })?;
        Ok(challenge)
    }

    fn on_challenge(&self, session: &str, channel: &Channel) -> Result<[u8; 32], PeerError> {
        let (side, challenge) = (&self.0.side, random(&*self.0.side.host)?);
        self.sessions().challenge(session, channel, challenge, side.now())?;
        Ok(challenge)
    }

    async fn on_offer(&self, message: Offering, channel: &Channel) -> Result<(), PeerError> {
        let now = self.0.side.now();
        let expected = self.sessions().expect(&message.session, channel, now)?;
        let from = expected.established.peer().spiffe_id.clone();
        self.has_room(&from, now)?;
        let verified = self.verified(message, &expected).await;
        let verified = verified.inspect_err(|e| self.0.side.tell_refused(e, Some(from.clone())))?;
        let (hash, ends) = (verified.offered.hash(), verified.offered.offer().expires_at);
        self.sessions().note(hash, ends)?;
        // Others may have come while the authority was asked.
        self.has_room(&from, now)?;
        self.waiting_now(now).push(Waiting { offer: Arc::new(verified), given: false });
        self.0.arrived.notify_waiters();
        Ok(())
    }

    fn has_room(&self, from: &str, now: Timestamp) -> Result<(), PeerError> {
        let waiting = self.waiting_now(now);
        let of_peer = waiting.iter().filter(|w| w.offer.offered.offer().from == from).count();
        let Limits { offers, offers_per_peer, .. } = self.0.limits;
        if waiting.len() >= offers || of_peer >= offers_per_peer {
            return Err(PeerError::Flood);
        }
        Ok(())
    }

    async fn verified(
        &self,
        message: Offering,
        expected: &Expected,
    ) -> Result<Verified, PeerError> {
        let side = &self.0.side;
        let credentials = side.credentials().await?;
        let peer = expected.established.peer().spiffe_id.as_str();
        let authority = side.authority_of(&message.chain, peer);
        let theirs;
        let roots = if authority.url() == side.authority.url() {
            &credentials.roots
        } else {
            theirs = authority.keys().await?.roots;
            &theirs
        };
        let now = side.now();
        let child = child::verify(&message.chain, roots, now)?;
        let taker = Side {
            spiffe_id: &credentials.spiffe_id,
            holder: side.keys.holder_thumbprint(),
            challenge: expected.challenge,
            child: &child,
            now,
        };
        let offered = Offered::verify(&message.offer, &expected.established, &taker)?;
        let context = context(offered.offer(), message.context)?;
        let view = authority.view(offered.hash()).await?;
        if view.revoked {
            return Err(PeerError::Revoked);
        }
        if view.stands != Stands::Offered {
            return Err(PeerError::Settled { status: view.stands.as_str().to_owned() });
        }
        let claims = graded(offered.offer(), view)?;
        Ok(Verified {
            authority: authority.clone(),
            guarantee: expected.established.peer().guarantee,
            offered,
            chain: message.chain,
            context,
            claims,
            unsure: false.into(),
        })
    }

    fn received(&self, offer: &Arc<Verified>) -> Received {
        Received { taker: self.clone(), offer: Arc::clone(offer) }
    }

    /// The offers that wait for an answer, oldest first.
    #[must_use]
    pub fn waiting(&self) -> Vec<Received> {
        let waiting = self.waiting_now(self.0.side.now());
        waiting.iter().map(|w| self.received(&w.offer)).collect()
    }

    /// Waits for the next offer that this function has not given out. It was
    /// verified, its context has the digests that were signed, its claims are
    /// graded, and the authority has it as open.
    pub async fn next(&self) -> Received {
        loop {
            let arrived = self.0.arrived.notified();
            let mut arrived = std::pin::pin!(arrived);
            // Whoever comes between the look and the wait is not missed.
            arrived.as_mut().enable();
            let next = {
                let mut waiting = self.waiting_now(self.0.side.now());
                waiting.iter_mut().find(|w| !w.given).map(|w| {
                    w.given = true;
                    Arc::clone(&w.offer)
                })
            };
            match next {
                Some(offer) => return self.received(&offer),
                None => arrived.await,
            }
        }
    }

    /// Takes an offer out, so that it is answered once.
    fn take(&self, hash: Digest, now: Timestamp) -> Result<Arc<Verified>, PeerError> {
        let mut waiting = self.waiting_now(now);
        let at = waiting.iter().position(|w| w.offer.offered.hash() == hash);
        let settled = || PeerError::Settled { status: "answered or run out".to_owned() };
        at.map(|at| waiting.remove(at).offer).ok_or_else(settled)
    }

    async fn answer(&self, hash: Digest, answer: &Answer) -> Result<Arc<Verified>, PeerError> {
        use std::sync::atomic::Ordering;
        let (side, now) = (&self.0.side, self.0.side.now());
        let offer = self.take(hash, now)?;
        let signed = offer.offered.answer(answer, offer.guarantee, now, &side.keys.holder)?;
        let expected = match answer {
            Answer::Accepted => Stands::Accepted,
            Answer::Rejected { .. } => Stands::Rejected,
        };
        match offer.authority.clone().answered(hash, &signed).await {
            Ok(view) if view.stands == expected && view.hash == hash => Ok(offer),
            Ok(view) => Err(PeerError::Settled { status: view.stands.as_str().to_owned() }),
            Err(e) => {
                let was_unsure = offer.unsure.load(Ordering::SeqCst);
                if matches!(e, PeerError::Away { .. } | PeerError::Unexpected { .. }) {
                    // Whether it was taken is not known: the same can be asked again.
                    offer.unsure.store(true, Ordering::SeqCst);
                    self.waiting_now(now).push(Waiting { offer, given: true });
                    return Err(e);
                }
                // Only this side's key can have answered: the answer of before.
                let stands = offer.authority.view(hash).await.map(|view| view.stands);
                if was_unsure && stands.is_ok_and(|s| s == expected) { Ok(offer) } else { Err(e) }
            }
        }
    }
}

/// Each piece of context with the digest that was signed for it, in order.
fn context(offer: &Offer, pieces: Vec<Vec<u8>>) -> Result<Vec<Context>, HandoffError> {
    if offer.context.len() != pieces.len() {
        return Err(HandoffError::Context);
    }
    let checked = offer.context.iter().zip(pieces).map(|(item, bytes)| {
        item.check(&bytes)?;
        Ok(Context { bytes, source: item.source.clone(), label: item.label.clone() })
    });
    checked.collect()
}

/// The signed claims with the authority's grades, which are for exactly them.
fn graded(offer: &Offer, view: HandoffView) -> Result<Vec<Graded>, PeerError> {
    let is_of = |(graded, claim): (&Graded, &Claim)| {
        graded.statement == claim.statement && graded.speaker == claim.speaker
    };
    let all =
        view.claims.len() == offer.claims.len() && view.claims.iter().zip(&offer.claims).all(is_of);
    if all {
        Ok(view.claims)
    } else {
        Err(PeerError::Unexpected { who: Who::Authority, what: "grades of other claims" })
    }
}

/// A verified offer. Its texts are the peer's words: data, and no instruction.
#[derive(Clone)]
pub struct Received {
    taker: Taker,
    offer: Arc<Verified>,
}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Received").field("offer", self.offer()).finish_non_exhaustive()
    }
}

impl Received {
    /// What is offered.
    #[must_use]
    pub fn offer(&self) -> &Offer {
        self.offer.offered.offer()
    }

    /// The hash of the signed offer.
    #[must_use]
    pub fn hash(&self) -> Digest {
        self.offer.offered.hash()
    }

    /// How sure this side is of who hands over.
    #[must_use]
    pub fn guarantee(&self) -> Guarantee {
        self.offer.guarantee
    }

    /// The claims with their grades.
    #[must_use]
    pub fn claims(&self) -> &[Graded] {
        &self.offer.claims
    }

    /// What was handed over beside the words.
    #[must_use]
    pub fn context(&self) -> &[Context] {
        &self.offer.context
    }

    /// Takes over. The acceptance is recorded first; only then is the
    /// delegation given out.
    ///
    /// # Errors
    /// [`PeerError::Settled`] and the authority's refusals when it was answered
    /// before, has run out or is revoked. When the authority is away the offer
    /// still waits.
    pub async fn accept(self) -> Result<Taken, PeerError> {
        let offer = self.taker.answer(self.hash(), &Answer::Accepted).await?;
        Ok(Taken { side: Arc::clone(&self.taker.0.side), offer })
    }

    /// Does not take over, and says why: at most 500 characters.
    ///
    /// # Errors
    /// As [`Received::accept`].
    pub async fn reject(self, reason: &str) -> Result<(), PeerError> {
        let rejected = Answer::Rejected { reason: reason.to_owned() };
        self.taker.answer(self.hash(), &rejected).await.map(drop)
    }
}

/// A task that was taken over.
#[derive(Clone)]
pub struct Taken {
    side: Arc<Instance>,
    offer: Arc<Verified>,
}

impl std::fmt::Debug for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Taken").field("offer", self.offer()).finish_non_exhaustive()
    }
}

impl Taken {
    /// What was offered.
    #[must_use]
    pub fn offer(&self) -> &Offer {
        self.offer.offered.offer()
    }

    /// The task.
    #[must_use]
    pub fn task(&self) -> &TaskId {
        &self.offer().task
    }

    /// The hash of the signed offer.
    #[must_use]
    pub fn hash(&self) -> Digest {
        self.offer.offered.hash()
    }

    /// The delegation, root first, whose leaf this instance holds: present it
    /// with proofs by the holder key.
    #[must_use]
    pub fn chain(&self) -> &[String] {
        &self.offer.chain
    }

    /// Tells how it went, with claims. It carries no authority.
    ///
    /// # Errors
    /// The authority's refusals, [`PeerError::Away`], [`PeerError::Unexpected`].
    pub async fn give_back(
        &self,
        status: Status,
        claims: Vec<Claim>,
    ) -> Result<HandoffView, PeerError> {
        let returned = Return { handoff: self.hash(), status, claims };
        let signed = returned.sign(self.side.now(), &self.side.keys.holder)?;
        self.offer.authority.came_back(self.hash(), &signed).await
    }
}
