//! Who hands over.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bailiwick_core::aat::make::{Content, Seen, derive};
use bailiwick_core::accountable;
use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::guarantee::Guarantee;
use bailiwick_core::ids::{HandoffId, TaskId, uuid_v7};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::ChainLimits;
use bailiwick_core::peer::claim::Claim;
use bailiwick_core::peer::handoff::{ContextItem, Offer};
use bailiwick_core::peer::handshake::{Ask, Established, Initiator};
use bailiwick_core::peer::record::Record;
use bailiwick_core::peer::{Peer, handoff};
use bailiwick_core::scope::Scope;
use bailiwick_core::time::Timestamp;

use crate::authority::{self, HandoffView, Stands};
use crate::error::{PeerError, Who};
use crate::instance::{Instance, claimed};
use crate::messages::{
    CHALLENGE, FINISH, Finishing, HELLO, OFFER, Offering, read_challenge, read_greeted,
};
use crate::transport::Exchange;
use crate::{CAPABILITY, random};

/// The pause between two times that the authority is asked.
const AGAIN: Duration = Duration::from_millis(500);

/// Something that is handed over beside the words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Context {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Where it came from.
    pub source: String,
    /// How it is labelled.
    pub label: String,
}

/// What is to be handed over.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// The delegation to hand over from, root first; this side holds its leaf.
    pub chain: Vec<String>,
    /// What the taker is to do, in words.
    pub purpose: String,
    /// What the child permits, which its parent covers.
    pub scope: Scope,
    /// Budget members of the child; none: the parent's.
    pub budget: Object,
    /// How long the child stands at most, seconds.
    pub seconds: i64,
    /// How long the offer waits for an answer at most, seconds.
    pub answer_seconds: i64,
    /// What is handed over beside the words.
    pub context: Vec<Context>,
    /// What the taker is told.
    pub claims: Vec<Claim>,
    /// Conditions in words.
    pub constraints: Vec<String>,
}

/// A peer that proved who it is, and that was shown who this side is.
pub struct Meeting {
    side: Arc<Instance>,
    exchange: Box<dyn Exchange>,
    session: String,
    challenge: Option<[u8; 32]>,
    established: Established,
    record: Record,
    recorded: bool,
    own_id: String,
    own_expires: i64,
}

impl std::fmt::Debug for Meeting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meeting").field("established", &self.established).finish_non_exhaustive()
    }
}

impl Instance {
    /// Shakes hands with the agent or instance whose SPIFFE ID is `audience`, at
    /// `url`, for `purpose`. The handshake is recorded before it is used, unless
    /// the peer is of a foreign trust domain, of which the authority knows nobody:
    /// then nothing can be handed over.
    ///
    /// # Errors
    /// [`PeerError::Handshake`] when whoever answers is not that agent; see
    /// [`PeerError`].
    pub async fn greet(
        self: &Arc<Self>,
        url: &str,
        audience: &str,
        purpose: &str,
    ) -> Result<Meeting, PeerError> {
        let credentials = self.credentials().await?;
        let own = self.own(&credentials);
        let exchange = self.transport.open(url).await?;
        let capabilities = BTreeSet::from([CAPABILITY.to_owned()]);
        let ask = Ask {
            audience: audience.to_owned(),
            purpose: purpose.to_owned(),
            offered: capabilities.clone(),
            required: capabilities,
        };
        let channel = exchange.channel().clone();
        let nonce = random(&*self.host)?;
        let (state, hello) = Initiator::begin(&own, ask, channel, nonce, self.now())?;
        let answer = post(&*exchange, HELLO, &hello.to_json()).await?;
        let (session, reply) = read_greeted(&answer)?;
        let met = state.on_reply(&own, &reply, &credentials.anchors, self.now());
        let (established, finish) = met.map_err(PeerError::from).inspect_err(|e| {
            self.tell_refused(e, claimed(&reply.from.wit));
        })?;
        let finishing = Finishing { session, finish };
        let answer = post(&*exchange, FINISH, &finishing.to_json()).await?;
        let challenge = read_challenge(&answer)?;
        let Finishing { session, finish } = finishing;
        let channel = exchange.channel().seen_by_others();
        let record = Record { hello, reply, finish, channel };
        let recorded = credentials.is_own(&established.peer().spiffe_id);
        if recorded {
            self.authority.handshake(&record).await?;
        }
        Ok(Meeting {
            side: Arc::clone(self),
            exchange,
            session,
            challenge: Some(challenge),
            established,
            record,
            recorded,
            own_id: credentials.spiffe_id.clone(),
            own_expires: credentials.expires_at,
        })
    }
}

async fn post(exchange: &dyn Exchange, path: &str, body: &Json) -> Result<Object, PeerError> {
    let answer = exchange.post(path, body.canonical().into_bytes()).await?;
    let unexpected = PeerError::Unexpected { who: Who::Peer, what: "it is empty" };
    authority::read(Who::Peer, answer)?.ok_or(unexpected)
}

impl Meeting {
    /// The peer.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        self.established.peer()
    }

    /// The hash that names this handshake.
    #[must_use]
    pub fn transcript(&self) -> Digest {
        self.established.transcript()
    }

    /// Whether the authority has the handshake.
    #[must_use]
    pub const fn is_recorded(&self) -> bool {
        self.recorded
    }

    /// Until when an offer can rest on it, seconds.
    #[must_use]
    pub fn expires_at(&self) -> i64 {
        self.peer().expires_at.min(self.own_expires)
    }

    /// Derives a child delegation for the key that the peer proved, signs the
    /// offer, records it and delivers it. The child is of use to the peer alone,
    /// and only after its acceptance stands in the ledger does its side use it.
    ///
    /// # Errors
    /// [`PeerError::Make`] for a child that its parent does not cover; see
    /// [`PeerError`].
    pub async fn offer(&mut self, proposal: Proposal) -> Result<Handed, PeerError> {
        let challenge = match self.challenge.take() {
            Some(challenge) => challenge,
            None => {
                let session = Object::new().with("session", self.session.as_str());
                read_challenge(&post(&*self.exchange, CHALLENGE, &session.into()).await?)?
            }
        };
        let side = Arc::clone(&self.side);
        let now = side.now();
        let (child, task, child_ends) = self.child(&proposal, now)?;
        let context = proposal.context.iter().map(|c| ContextItem {
            digest: sha256(&c.bytes),
            source: c.source.clone(),
            label: c.label.clone(),
        });
        let stands = proposal.answer_seconds.clamp(1, handoff::MAX_SECONDS);
        let offer = Offer {
            id: HandoffId::mint(now, random(&*side.host)?),
            from: self.own_id.clone(),
            to: self.peer().spiffe_id.clone(),
            holder: self.peer().holder.thumbprint(),
            handshake: self.transcript(),
            challenge,
            task,
            purpose: proposal.purpose.clone(),
            leaf: Seen::parse(&child, &ChainLimits::DEFAULT)
                .map_err(|_| PeerError::NoDelegation)?
                .hash,
            context: context.collect(),
            claims: proposal.claims.clone(),
            constraints: proposal.constraints.clone(),
            guarantee: self.peer().guarantee,
            issued_at: now.seconds(),
            expires_at: now.seconds().saturating_add(stands).min(child_ends),
        };
        let signed = offer.sign(&side.keys.holder)?;
        let mut chain = proposal.chain;
        chain.push(child);
        let view = side.authority.offered(&signed, &self.record, &chain).await?;
        let hash = sha256(signed.as_bytes());
        let offering = Offering {
            session: self.session.clone(),
            offer: signed,
            chain,
            context: proposal.context.into_iter().map(|c| c.bytes).collect(),
        };
        post(&*self.exchange, OFFER, &offering.to_json()).await?;
        Ok(Handed { side, hash, view, to: offer.to, guarantee: offer.guarantee })
    }

    fn child(
        &self,
        proposal: &Proposal,
        now: Timestamp,
    ) -> Result<(String, TaskId, i64), PeerError> {
        let limits = ChainLimits::DEFAULT;
        let seen = |token: Option<&String>| {
            token.and_then(|t| Seen::parse(t, &limits).ok()).ok_or(PeerError::NoDelegation)
        };
        let root = seen(proposal.chain.first())?;
        let task = root.claims.member(accountable::TASK).and_then(Json::as_str);
        let task = task.and_then(|task| task.parse().ok()).ok_or(PeerError::NoDelegation)?;
        let parent = seen(proposal.chain.last())?;
        let exp = parent.exp.min(now.seconds().saturating_add(proposal.seconds.max(1)));
        let content = Content {
            jti: uuid_v7(now, random(&*self.side.host)?),
            now,
            exp,
            nbf: None,
            holder: self.peer().holder,
            scope: proposal.scope.clone(),
            max_depth: parent.depth.saturating_add(1),
            aud: Vec::new(),
            budget: proposal.budget.clone(),
        };
        let leaf = proposal.chain.last().ok_or(PeerError::NoDelegation)?;
        let child = derive(leaf, &content, &self.side.keys.holder, &limits)?;
        Ok((child, task, exp))
    }
}

/// An offer that the peer has.
#[derive(Clone, Debug)]
pub struct Handed {
    side: Arc<Instance>,
    hash: Digest,
    view: HandoffView,
    to: String,
    guarantee: Guarantee,
}

impl Handed {
    /// The hash of the signed offer, by which both sides and the authority know
    /// it.
    #[must_use]
    pub const fn hash(&self) -> Digest {
        self.hash
    }

    /// The SPIFFE ID of the peer.
    #[must_use]
    pub fn to(&self) -> &str {
        &self.to
    }

    /// How sure this side is of the peer.
    #[must_use]
    pub const fn guarantee(&self) -> Guarantee {
        self.guarantee
    }

    /// As the authority had it when it was last asked.
    #[must_use]
    pub const fn view(&self) -> &HandoffView {
        &self.view
    }

    /// Asks the authority how it stands.
    ///
    /// # Errors
    /// [`PeerError::Away`], [`PeerError::Refused`], [`PeerError::Unexpected`].
    pub async fn ask(&mut self) -> Result<&HandoffView, PeerError> {
        self.view = self.side.authority.view(self.hash).await?;
        Ok(&self.view)
    }

    /// Waits for the peer's answer. It is the ledger's word, not the peer's:
    /// its signature was verified there.
    ///
    /// # Errors
    /// [`PeerError::Waited`] when there is none within `patience`; the offer may
    /// still be answered later. As [`Handed::ask`].
    pub async fn answered(&mut self, patience: Duration) -> Result<Stands, PeerError> {
        self.until(patience, |view| (view.stands != Stands::Offered).then_some(view.stands)).await
    }

    /// Waits for what comes back.
    ///
    /// # Errors
    /// As [`Handed::answered`].
    pub async fn returned(
        &mut self,
        patience: Duration,
    ) -> Result<crate::authority::Returned, PeerError> {
        self.until(patience, |view| view.returned.clone()).await
    }

    async fn until<T>(
        &mut self,
        patience: Duration,
        done: impl Fn(&HandoffView) -> Option<T>,
    ) -> Result<T, PeerError> {
        let waiting = async {
            loop {
                if let Some(found) = done(self.ask().await?) {
                    return Ok(found);
                }
                tokio::time::sleep(AGAIN).await;
            }
        };
        tokio::time::timeout(patience, waiting).await.unwrap_or(Err(PeerError::Waited))
    }
}
