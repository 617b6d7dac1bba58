//! Handing a task over: one agent's signed offer to another, and the answer.
//!
//! An offer rests on a [handshake](super::handshake): it is for that peer, for
//! the key that it proved there, and answers the challenge that it gave. It
//! carries a child delegation for that key. The offer itself gives no
//! authority; the delegation does, and no more than its parent had.

use crate::crypto::{Digest, KeyError, PublicKey, SigningKey, Thumbprint, sha256};
use crate::guarantee::Guarantee;
use crate::ids::{HandoffId, TaskId};
use crate::jose::{self, HeaderRules, Jws, VerifyingKey, numeric_date};
use crate::json::{Json, Object};
use crate::time::Timestamp;

use super::claim::{Claim, ClaimError};
use super::handshake::Established;
use super::record::Proven;

#[cfg(test)]
mod tests;

/// The `typ` of an offer.
pub const TYPE: &str = "bailiwick-handoff+jwt";
/// The `typ` of an answer.
pub const ANSWER_TYPE: &str = "bailiwick-handoff-answer+jwt";

/// Bytes of an offer at most.
pub const MAX_OFFER_BYTES: usize = 64 << 10;
/// Seconds that an offer stands at most.
pub const MAX_SECONDS: i64 = 3_600;
/// Claims and context items of one offer at most, each.
pub const MAX_ITEMS: usize = 64;
const MAX_ANSWER_BYTES: usize = 4_096;
const MAX_TEXT_CHARS: usize = 500;
const MAX_CONSTRAINTS: usize = 16;
const SKEW_SECONDS: i64 = 30;

/// Something that is handed over beside the words: its bytes travel elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextItem {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Where it came from.
    pub source: String,
    /// How it is labelled.
    pub label: String,
}

/// What is handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its id.
    pub id: HandoffId,
    /// The SPIFFE ID of who hands over.
    pub from: String,
    /// The SPIFFE ID of who is to take over.
    pub to: String,
    /// The thumbprint of the holder key that the taker proved.
    pub holder: Thumbprint,
    /// The transcript of the handshake that this rests on.
    pub handshake: Digest,
    /// The taker's 32 random bytes.
    pub challenge: [u8; 32],
    /// The task.
    pub task: TaskId,
    /// What the taker is to do, in words.
    pub purpose: String,
    /// The token hash of the child delegation.
    pub leaf: Digest,
    /// What is handed over beside it.
    pub context: Vec<ContextItem>,
    /// What the other agent is told.
    pub claims: Vec<Claim>,
    /// Conditions in words.
    pub constraints: Vec<String>,
    /// How sure its maker is of the taker.
    pub guarantee: Guarantee,
    /// When it was made, seconds.
    pub issued_at: i64,
    /// When it ends, seconds.
    pub expires_at: i64,
}

/// The child delegation that came with an offer, as the taker verified it.
#[derive(Clone, Debug)]
pub struct Child {
    /// The token hash of its leaf.
    pub leaf: Digest,
    /// The thumbprint of the leaf's holder key.
    pub holder: Thumbprint,
    /// The thumbprint of the holder key of the token above it.
    pub parent_holder: Thumbprint,
    /// The task that its root names.
    pub task: TaskId,
    /// When the leaf ends, seconds.
    pub expires: i64,
}

/// What the taker knows when an offer arrives.
#[derive(Clone, Copy, Debug)]
pub struct Taker<'a> {
    /// Its own SPIFFE ID.
    pub spiffe_id: &'a str,
    /// The thumbprint of its own holder key.
    pub holder: Thumbprint,
    /// The challenge that it gave for this offer, once.
    pub challenge: [u8; 32],
    /// The delegation that came with the offer.
    pub child: &'a Child,
    /// Now.
    pub now: Timestamp,
}

/// An offer or answer that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandoffError {
    /// Not of the documented form.
    #[error("the handoff's member `{member}` is missing or malformed")]
    Malformed {
        /// Which one.
        member: &'static str,
    },
    /// A claim of it is malformed.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// Not signed by the peer of the handshake.
    #[error("the handoff was not signed by the peer that proved itself")]
    Signature,
    /// By or for somebody else, or made for another handshake.
    #[error("the handoff was made for another agent, key or handshake")]
    Redirected,
    /// More certainty is stated than the handshake can have given.
    #[error("the handoff states more certainty of its peer than the handshake can have given")]
    Guarantee,
    /// It does not answer the challenge.
    #[error("the handoff does not answer the challenge that was given for it")]
    Challenge,
    /// The delegation beside it is another one.
    #[error("the delegation beside the handoff is not the one that it names")]
    OtherDelegation,
    /// The delegation beside it belongs to another task.
    #[error("the delegation beside the handoff belongs to another task")]
    OtherTask,
    /// Who hands over did not derive the delegation from its own.
    #[error("the delegation beside the handoff was not derived by whoever hands over")]
    NotTheirs,
    /// Its time is over or has not begun, or it would stand too long.
    #[error("the handoff has run out, has not begun or would outlive its delegation")]
    Time,
    /// Context does not have the digest that was signed.
    #[error("a piece of context is not the one that was handed over")]
    Context,
    /// An answer to something else.
    #[error("the answer is to another handoff")]
    OtherHandoff,
}

impl HandoffError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "handoff-malformed",
            Self::Claim(e) => e.code(),
            Self::Signature => "handoff-signature-invalid",
            Self::Redirected => "handoff-redirected",
            Self::Guarantee => "handoff-guarantee",
            Self::Challenge => "handoff-challenge",
            Self::OtherDelegation => "handoff-other-delegation",
            Self::OtherTask => "handoff-other-task",
            Self::NotTheirs => "handoff-delegation-not-theirs",
            Self::Time => "handoff-time",
            Self::Context => "handoff-context-changed",
            Self::OtherHandoff => "handoff-answer-to-other",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "write handoffs as the peer plane's documentation has them",
            Self::Claim(e) => e.remedy(),
            Self::Signature | Self::Redirected | Self::Guarantee | Self::Challenge => {
                "shake hands again, and make the offer for that very peer and challenge"
            }
            Self::OtherDelegation | Self::OtherTask | Self::NotTheirs => {
                "derive a child of the delegation of this task for the peer's key, and name it"
            }
            Self::Time => "make a fresh offer, and check the clocks",
            Self::Context => "hand the context over again as it is now",
            Self::OtherHandoff => "answer the handoff that was offered",
        }
    }
}

pub(super) const fn bad(member: &'static str) -> HandoffError {
    HandoffError::Malformed { member }
}

fn fits(text: &str) -> bool {
    (1..=MAX_TEXT_CHARS).contains(&text.chars().count())
}

pub(super) fn text<'o>(o: &'o Object, member: &'static str) -> Result<&'o str, HandoffError> {
    o.member(member).and_then(Json::as_str).filter(|t| fits(t)).ok_or(bad(member))
}

pub(super) fn digest(o: &Object, member: &'static str) -> Result<Digest, HandoffError> {
    o.member(member).and_then(Json::as_str).and_then(Digest::from_text).ok_or(bad(member))
}

pub(super) fn list<T>(
    o: &Object,
    member: &'static str,
    most: usize,
    read: impl Fn(&Json) -> Result<T, HandoffError>,
) -> Result<Vec<T>, HandoffError> {
    let all = o.member(member).and_then(Json::as_array).ok_or(bad(member))?;
    if all.len() > most {
        return Err(bad(member));
    }
    all.iter().map(read).collect()
}

impl ContextItem {
    fn to_json(&self) -> Json {
        Object::new()
            .with("digest", self.digest)
            .with("source", self.source.as_str())
            .with("label", self.label.as_str())
            .into()
    }

    fn read(json: &Json) -> Result<Self, HandoffError> {
        let o = json.as_object().filter(|o| o.len() == 3).ok_or(bad("context"))?;
        Ok(Self {
            digest: digest(o, "digest")?,
            source: text(o, "source")?.to_owned(),
            label: text(o, "label")?.to_owned(),
        })
    }

    /// Whether `bytes` are what was handed over.
    ///
    /// # Errors
    /// [`HandoffError::Context`].
    pub fn check(&self, bytes: &[u8]) -> Result<(), HandoffError> {
        if sha256(bytes) == self.digest { Ok(()) } else { Err(HandoffError::Context) }
    }
}

impl Offer {
    fn to_json(&self) -> Json {
        let context: Vec<Json> = self.context.iter().map(ContextItem::to_json).collect();
        let claims: Vec<Json> = self.claims.iter().map(Claim::to_json).collect();
        let constraints: Vec<Json> =
            self.constraints.iter().map(|c| Json::from(c.as_str())).collect();
        Object::new()
            .with("v", 1u64)
            .with("jti", &self.id)
            .with("iss", self.from.as_str())
            .with("aud", self.to.as_str())
            .with("holder", self.holder)
            .with("handshake", self.handshake)
            .with("challenge", Digest::from_array(self.challenge))
            .with("task", &self.task)
            .with("purpose", self.purpose.as_str())
            .with("leaf", self.leaf)
            .with("context", context)
            .with("claims", claims)
            .with("constraints", constraints)
            .with("guarantee", self.guarantee.as_str())
            .with("iat", self.issued_at)
            .with("exp", self.expires_at)
            .into()
    }

    fn read(o: &Object) -> Result<Self, HandoffError> {
        if o.member("v") != Some(&Json::from(1u64)) || o.len() != 16 {
            return Err(bad("v"));
        }
        let holder = digest(o, "holder")?;
        let constraint = |json: &Json| {
            json.as_str().filter(|t| fits(t)).map(str::to_owned).ok_or(bad("constraints"))
        };
        Ok(Self {
            id: text(o, "jti")?.parse().map_err(|_| bad("jti"))?,
            from: spiffe_id(o, "iss")?,
            to: spiffe_id(o, "aud")?,
            holder: Thumbprint::from_array(*holder.bytes()),
            handshake: digest(o, "handshake")?,
            challenge: *digest(o, "challenge")?.bytes(),
            task: text(o, "task")?.parse().map_err(|_| bad("task"))?,
            purpose: text(o, "purpose")?.to_owned(),
            leaf: digest(o, "leaf")?,
            context: list(o, "context", MAX_ITEMS, ContextItem::read)?,
            claims: list(o, "claims", MAX_ITEMS, |json| Ok(Claim::from_json(json)?))?,
            constraints: list(o, "constraints", MAX_CONSTRAINTS, constraint)?,
            guarantee: guarantee(o)?,
            issued_at: numeric_date(o, "iat").map_err(|_| bad("iat"))?,
            expires_at: numeric_date(o, "exp").map_err(|_| bad("exp"))?,
        })
    }

    /// An offer that this key signed; for whom it is, and whether it stands, is
    /// not asked.
    ///
    /// # Errors
    /// [`HandoffError::Signature`], [`HandoffError::Malformed`].
    pub fn signed(signed: &str, holder: PublicKey) -> Result<Self, HandoffError> {
        const RULES: HeaderRules<'_> = HeaderRules::typed(&[TYPE]);
        let jws = Jws::parse(signed, MAX_OFFER_BYTES).and_then(|jws| jws.check_header(&RULES));
        let jws = jws.map_err(|_| HandoffError::Signature)?;
        let key = VerifyingKey::Ed25519(holder);
        Self::read(&jws.verify(&key).map_err(|_| HandoffError::Signature)?)
    }

    /// Signs the offer with the holder key that its maker proved.
    ///
    /// # Errors
    /// [`KeyError`] when the library refuses to sign.
    pub fn sign(&self, holder: &SigningKey) -> Result<String, KeyError> {
        jose::sign(TYPE, None, &self.to_json(), holder)
    }
}

fn guarantee(o: &Object) -> Result<Guarantee, HandoffError> {
    text(o, "guarantee").and_then(|g| Guarantee::parse(g).ok_or(bad("guarantee")))
}

fn spiffe_id(o: &Object, member: &'static str) -> Result<String, HandoffError> {
    let id = o.member(member).and_then(Json::as_str);
    let id = id.filter(|id| id.starts_with("spiffe://") && id.len() <= 2_048);
    id.map(str::to_owned).ok_or(bad(member))
}

/// An offer that is what it says, for this very taker. That it is taken once is
/// the ledger's to see to.
///
/// ```compile_fail,E0451
/// use bailiwick_core::peer::handoff::Offered;
/// fn forge(real: &Offered) -> Offered {
///     Offered { offer: real.offer().clone(), ..todo!() }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Offered {
    offer: Offer,
    hash: Digest,
}

impl Offered {
    /// What is offered.
    #[must_use]
    pub const fn offer(&self) -> &Offer {
        &self.offer
    }

    /// SHA-256 of the signed offer: what the answer is to.
    #[must_use]
    pub const fn hash(&self) -> Digest {
        self.hash
    }

    /// Verifies a signed offer that came from the peer of `handshake`.
    ///
    /// # Errors
    /// See [`HandoffError`].
    pub fn verify(
        signed: &str,
        handshake: &Established,
        taker: &Taker<'_>,
    ) -> Result<Self, HandoffError> {
        let peer = handshake.peer();
        let offer = Offer::signed(signed, peer.holder)?;
        let is_for_this = offer.from == peer.spiffe_id
            && offer.to == taker.spiffe_id
            && offer.holder == taker.holder
            && offer.handshake == handshake.transcript();
        if !is_for_this {
            return Err(HandoffError::Redirected);
        }
        if offer.challenge != taker.challenge {
            return Err(HandoffError::Challenge);
        }
        carries(&offer, taker.child, peer.holder.thumbprint())?;
        in_time(&offer, taker.child, taker.now)?;
        if taker.now.seconds() >= peer.expires_at {
            return Err(HandoffError::Time);
        }
        Ok(Self { offer, hash: sha256(signed.as_bytes()) })
    }

    /// Verifies a signed offer as a third party: between the sides of `proven`,
    /// with this delegation beside it. Whether the challenge is the taker's, the
    /// taker's answer confirms.
    ///
    /// # Errors
    /// See [`HandoffError`].
    pub fn witness(
        signed: &str,
        proven: &Proven,
        child: &Child,
        now: Timestamp,
    ) -> Result<Self, HandoffError> {
        let (from, to) = proven.maker(signed, MAX_OFFER_BYTES).ok_or(HandoffError::Redirected)?;
        let offer = Offer::signed(signed, from.holder)?;
        let is_between = offer.from == from.spiffe_id
            && offer.to == to.spiffe_id
            && offer.holder == to.holder.thumbprint()
            && offer.handshake == proven.transcript();
        if !is_between {
            return Err(HandoffError::Redirected);
        }
        if offer.guarantee > to.guarantee {
            return Err(HandoffError::Guarantee);
        }
        carries(&offer, child, from.holder.thumbprint())?;
        in_time(&offer, child, now)?;
        if now.seconds() >= to.expires_at.min(from.expires_at) {
            return Err(HandoffError::Time);
        }
        Ok(Self { offer, hash: sha256(signed.as_bytes()) })
    }

    /// Signs what the taker says.
    ///
    /// # Errors
    /// [`KeyError`] when the library refuses to sign.
    pub fn answer(
        &self,
        answer: &Answer,
        guarantee: Guarantee,
        now: Timestamp,
        holder: &SigningKey,
    ) -> Result<String, KeyError> {
        let answer = answer.to_json(self.hash, guarantee, now);
        jose::sign(ANSWER_TYPE, None, &answer.into(), holder)
    }
}

/// The delegation is the named one, of this task, derived by whoever hands over
/// for the taker's key.
fn carries(offer: &Offer, child: &Child, from: Thumbprint) -> Result<(), HandoffError> {
    if child.leaf != offer.leaf || child.holder != offer.holder {
        return Err(HandoffError::OtherDelegation);
    }
    if child.task != offer.task {
        return Err(HandoffError::OtherTask);
    }
    if child.parent_holder != from {
        return Err(HandoffError::NotTheirs);
    }
    Ok(())
}

fn in_time(offer: &Offer, child: &Child, now: Timestamp) -> Result<(), HandoffError> {
    let now = now.seconds();
    let stands = offer.issued_at <= now.saturating_add(SKEW_SECONDS)
        && now < offer.expires_at
        && offer.expires_at <= child.expires
        && offer.expires_at.saturating_sub(offer.issued_at) <= MAX_SECONDS;
    if stands { Ok(()) } else { Err(HandoffError::Time) }
}

/// A taker's answer that held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// What it says.
    pub answer: Answer,
    /// How sure it is of who handed over.
    pub guarantee: Guarantee,
}

/// What the taker says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It takes over.
    Accepted,
    /// It does not, and why.
    Rejected {
        /// Why, in words.
        reason: String,
    },
}

impl Answer {
    fn to_json(&self, handoff: Digest, guarantee: Guarantee, now: Timestamp) -> Object {
        let answer = Object::new()
            .with("v", 1u64)
            .with("handoff", handoff)
            .with("guarantee", guarantee.as_str())
            .with("iat", now.seconds());
        match self {
            Self::Accepted => answer.with("answer", "accepted"),
            Self::Rejected { reason } => {
                answer.with("answer", "rejected").with("reason", reason.as_str())
            }
        }
    }

    /// Verifies the signed answer to the offer whose hash is `handoff`, by the
    /// holder key that its taker proved.
    ///
    /// # Errors
    /// [`HandoffError::Signature`], [`HandoffError::OtherHandoff`],
    /// [`HandoffError::Malformed`].
    pub fn verify(
        signed: &str,
        holder: PublicKey,
        handoff: Digest,
    ) -> Result<Answered, HandoffError> {
        const RULES: HeaderRules<'_> = HeaderRules::typed(&[ANSWER_TYPE]);
        let jws = Jws::parse(signed, MAX_ANSWER_BYTES).and_then(|jws| jws.check_header(&RULES));
        let jws = jws.map_err(|_| HandoffError::Signature)?;
        let key = VerifyingKey::Ed25519(holder);
        let o = jws.verify(&key).map_err(|_| HandoffError::Signature)?;
        if digest(&o, "handoff")? != handoff {
            return Err(HandoffError::OtherHandoff);
        }
        let at = numeric_date(&o, "iat").map_err(|_| bad("iat"))?;
        let answer = match text(&o, "answer")? {
            "accepted" => Self::Accepted,
            "rejected" => Self::Rejected { reason: text(&o, "reason")?.to_owned() },
            _ => return Err(bad("answer")),
        };
        let guarantee = guarantee(&o)?;
        // Nothing beside what is understood.
        if o == answer.to_json(handoff, guarantee, Timestamp::from_seconds(at)) {
            Ok(Answered { answer, guarantee })
        } else {
            Err(bad("answer"))
        }
    }
}
