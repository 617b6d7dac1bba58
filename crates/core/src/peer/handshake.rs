//! The mutual handshake of two agents: three messages, four signatures.
//!
//! A signature-only transcript in the manner of SIGMA. Each side signs, with
//! both its identity key and its holder key, the hash of everything that was
//! said and of who said it, under its own role. There is no form without
//! signatures, and none that is weaker: what the two sides agreed on (purpose,
//! capabilities, connection) is in the hash, so whoever changes it ends the
//! handshake.
//!
//! ```text
//! A ─ hello:  WIT(A), holder(A), nonce(A), audience, purpose, offered ─▶ B
//! A ◀─ reply: WIT(B), holder(B), nonce(B), chosen, signatures(B)      ─ B
//! A ─ finish: signatures(A)                                           ─▶ B
//! ```
//!
//! No I/O, clock or randomness: the caller sends the bytes and passes time and
//! nonces in. Each state is used once; a message that is replayed meets a state
//! with another nonce.

use std::collections::BTreeSet;

use crate::crypto::{Digest, KeyError, Signer as _, sha256};
use crate::jose::{self, HeaderRules, Jws, Verifier};
use crate::json::{Json, Object};
use crate::time::Timestamp;
use crate::wit::WitError;

use super::party::{Anchor, Binding, Channel, Claimed, Facts, Own, Peer};
use super::wire::{self, Presented};
pub use super::wire::{Finish, Hello, MAX_MESSAGE_BYTES, Reply, Signatures};

#[cfg(test)]
pub(crate) mod tests;

/// The `typ` of the four signatures.
pub const TYPE: &str = "bailiwick-handshake+jwt";
/// Seconds from a side's first message to its last at most.
pub const MAX_SECONDS: i64 = 30;
const MAX_SIGNATURE_BYTES: usize = 1_024;

/// A handshake that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// A message is not of the documented form.
    #[error("the handshake's member `{member}` is missing or malformed")]
    Malformed {
        /// Which one.
        member: &'static str,
    },
    /// The peer's trust domain is not configured.
    #[error("the peer's trust domain is none that is configured here")]
    UnknownTrustDomain,
    /// The peer's identity token is refused.
    #[error("the peer's identity token is refused: {0}")]
    Identity(#[from] WitError),
    /// The handshake was meant for somebody else.
    #[error("the handshake was meant for another agent")]
    OtherAudience,
    /// Who answered is not who was asked.
    #[error("whoever answered is not the agent that was asked for")]
    OtherPeer,
    /// The peer shows this side's own name or key.
    #[error("the peer shows the name or a key of this very side")]
    Reflected,
    /// The connection belongs to another SPIFFE ID.
    #[error("the peer's identity token names another identity than the connection's certificate")]
    OtherConnection,
    /// More was chosen than was offered, or less than is required.
    #[error("what the peer chose was not offered, or leaves out what is required")]
    Capabilities,
    /// A signature does not hold over this handshake.
    #[error("a signature of the peer does not hold over this handshake")]
    Signature,
    /// It took too long, or an identity ended meanwhile.
    #[error("the handshake took longer than {MAX_SECONDS} s, or an identity token ended meanwhile")]
    Expired,
    /// A key would not sign.
    #[error("a key of this side cannot sign")]
    Key(KeyError),
}

impl HandshakeError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "handshake-malformed",
            Self::UnknownTrustDomain => "peer-trust-domain-unknown",
            Self::Identity(e) => e.code(),
            Self::OtherAudience => "handshake-other-audience",
            Self::OtherPeer => "peer-other-than-asked",
            Self::Reflected => "handshake-reflected",
            Self::OtherConnection => "handshake-other-connection",
            Self::Capabilities => "handshake-capabilities",
            Self::Signature => "handshake-signature-invalid",
            Self::Expired => "handshake-expired",
            Self::Key(_) => "handshake-key-unusable",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "send the message as the peer plane's documentation has it",
            Self::UnknownTrustDomain => "configure the trust domain with its issuer and keys first",
            Self::Identity(e) => e.remedy(),
            Self::OtherAudience | Self::OtherPeer => {
                "ask for the agent by its registered SPIFFE ID, and find out who answers there"
            }
            Self::Reflected => "find out who sends this side's own messages back to it",
            Self::OtherConnection => "use one identity for connection and handshake",
            Self::Capabilities => "let both sides run versions that share what is required",
            Self::Signature => "begin again, and find out who changes messages on the way",
            Self::Expired => "begin again, and check the clocks",
            Self::Key(_) => "make the instance's keys anew and enrol them",
        }
    }
}

/// What the asking side wants.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Whom: the SPIFFE ID of an agent or of one instance.
    pub audience: String,
    /// What for, in words.
    pub purpose: String,
    /// What this side can do.
    pub offered: BTreeSet<String>,
    /// What the other side must choose.
    pub required: BTreeSet<String>,
}

/// What both sides hold after a handshake: who the other one is, proved for
/// this very exchange. Only a handshake makes it.
///
/// ```compile_fail,E0451
/// use bailiwick_core::peer::handshake::Established;
/// fn forge(real: &Established) -> Established {
///     Established { peer: real.peer().clone(), ..todo!() }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Established {
    peer: Peer,
    purpose: String,
    capabilities: BTreeSet<String>,
    transcript: Digest,
    at: Timestamp,
}

impl Established {
    /// The other side.
    #[must_use]
    pub const fn peer(&self) -> &Peer {
        &self.peer
    }

    /// What for, as the asking side said and both signed.
    #[must_use]
    pub fn purpose(&self) -> &str {
        &self.purpose
    }

    /// What both agreed on.
    #[must_use]
    pub const fn capabilities(&self) -> &BTreeSet<String> {
        &self.capabilities
    }

    /// The hash that both signed: it names this handshake and no other.
    #[must_use]
    pub const fn transcript(&self) -> Digest {
        self.transcript
    }

    /// When it was complete on this side.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        self.at
    }
}

/// Who signs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    Initiator,
    Responder,
}

impl Role {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Initiator => "initiator",
            Self::Responder => "responder",
        }
    }
}

/// Everything that was said, but who signs.
pub(super) struct Transcript<'a> {
    pub(super) initiator: &'a Facts,
    pub(super) responder: &'a Facts,
    pub(super) hello: &'a Hello,
    pub(super) chosen: &'a BTreeSet<String>,
    pub(super) channel: Binding,
}

impl Transcript<'_> {
    pub(super) fn digest(&self) -> Digest {
        let list = |set: &BTreeSet<String>| -> Vec<Json> {
            set.iter().map(|c| Json::from(c.as_str())).collect()
        };
        let all = Object::new()
            .with("v", 1u64)
            .with("context", TYPE)
            .with("initiator", self.initiator.to_json())
            .with("responder", self.responder.to_json())
            .with("audience", self.hello.audience.as_str())
            .with("purpose", self.hello.purpose.as_str())
            .with("offered", list(&self.hello.offered))
            .with("chosen", list(self.chosen))
            .with("channel", self.channel.to_json());
        sha256(Json::from(all).canonical().as_bytes())
    }
}

fn payload(role: Role, transcript: Digest) -> Object {
    Object::new().with("role", role.as_str()).with("transcript", transcript)
}

fn sign(own: &Own<'_>, role: Role, transcript: Digest) -> Result<Signatures, HandshakeError> {
    let payload: Json = payload(role, transcript).into();
    let with = |signer: &dyn jose::JwsSigner| {
        jose::sign(TYPE, None, &payload, signer).map_err(HandshakeError::Key)
    };
    Ok(Signatures { holder: with(own.holder)?, identity: with(own.identity)? })
}

/// Both keys signed this transcript in this role.
pub(super) fn verify(
    facts: &Facts,
    signatures: &Signatures,
    role: Role,
    transcript: Digest,
) -> Result<(), HandshakeError> {
    const RULES: HeaderRules<'_> = HeaderRules::typed(&[TYPE]);
    let expected = payload(role, transcript);
    let holds = |text: &str, key: &dyn Verifier| {
        let jws = Jws::parse(text, MAX_SIGNATURE_BYTES).ok()?.check_header(&RULES).ok()?;
        jws.verify(key).ok().filter(|signed| *signed == expected)
    };
    let holder = jose::VerifyingKey::Ed25519(facts.holder);
    let identity = jose::VerifyingKey::P256(facts.identity);
    holds(&signatures.holder, &holder)
        .and_then(|_| holds(&signatures.identity, &identity))
        .map(drop)
        .ok_or(HandshakeError::Signature)
}

/// Whether `audience`, an agent's or an instance's SPIFFE ID, means `spiffe_id`.
pub(super) fn means(audience: &str, spiffe_id: &str) -> bool {
    spiffe_id.strip_prefix(audience).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn in_time(from: Timestamp, now: Timestamp, claimed: &Claimed) -> Result<(), HandshakeError> {
    let took = now.millis_since(from);
    let stands = now.seconds() < claimed.expires_at;
    if (0..=MAX_SECONDS * 1_000).contains(&took) && stands {
        Ok(())
    } else {
        Err(HandshakeError::Expired)
    }
}

/// The asking side, which waits for a reply.
#[derive(Debug)]
pub struct Initiator {
    hello: Hello,
    own: Facts,
    required: BTreeSet<String>,
    channel: Channel,
    began: Timestamp,
}

impl Initiator {
    /// Begins. `nonce` is fresh randomness.
    ///
    /// # Errors
    /// [`HandshakeError::Malformed`] for an audience, a purpose or capabilities
    /// that no peer would read.
    pub fn begin(
        own: &Own<'_>,
        ask: Ask,
        channel: Channel,
        nonce: [u8; 32],
        now: Timestamp,
    ) -> Result<(Self, Hello), HandshakeError> {
        if !wire::is_audience(&ask.audience) {
            return Err(HandshakeError::Malformed { member: "audience" });
        }
        if !wire::is_purpose(&ask.purpose) {
            return Err(HandshakeError::Malformed { member: "purpose" });
        }
        if !wire::are_capabilities(&ask.offered) || !ask.required.is_subset(&ask.offered) {
            return Err(HandshakeError::Malformed { member: "offered" });
        }
        let hello = Hello {
            from: presented(own, nonce),
            audience: ask.audience,
            purpose: ask.purpose,
            offered: ask.offered,
        };
        let state = Self {
            hello: hello.clone(),
            own: own.facts(nonce),
            required: ask.required,
            channel,
            began: now,
        };
        Ok((state, hello))
    }

    /// Takes the reply: the peer is known from here on, and the message that
    /// lets it know this side is made.
    ///
    /// # Errors
    /// See [`HandshakeError`].
    pub fn on_reply(
        self,
        own: &Own<'_>,
        reply: &Reply,
        anchors: &[Anchor],
        now: Timestamp,
    ) -> Result<(Established, Finish), HandshakeError> {
        let claimed = Claimed::read(&reply.from, anchors, &self.channel, now)?;
        in_time(self.began, now, &claimed)?;
        if !means(&self.hello.audience, &claimed.facts.spiffe_id) {
            return Err(HandshakeError::OtherPeer);
        }
        if self.own.is_same(&claimed.facts) {
            return Err(HandshakeError::Reflected);
        }
        let chosen = &reply.chosen;
        if !chosen.is_subset(&self.hello.offered) || !self.required.is_subset(chosen) {
            return Err(HandshakeError::Capabilities);
        }
        let transcript = Transcript {
            initiator: &self.own,
            responder: &claimed.facts,
            hello: &self.hello,
            chosen,
            channel: self.channel.seen_by_others(),
        };
        let transcript = transcript.digest();
        verify(&claimed.facts, &reply.signatures, Role::Responder, transcript)?;
        let finish = Finish { signatures: sign(own, Role::Initiator, transcript)? };
        let established = Established {
            peer: claimed.into(),
            purpose: self.hello.purpose,
            capabilities: reply.chosen.clone(),
            transcript,
            at: now,
        };
        Ok((established, finish))
    }
}

/// The answering side, which waits for the asking side's signatures. Until then
/// nobody is known.
#[derive(Debug)]
pub struct Responder {
    claimed: Claimed,
    purpose: String,
    chosen: BTreeSet<String>,
    transcript: Digest,
    began: Timestamp,
}

impl Responder {
    /// Answers a hello. `able` is what this side can do; `nonce` is fresh
    /// randomness.
    ///
    /// # Errors
    /// See [`HandshakeError`].
    pub fn on_hello(
        own: &Own<'_>,
        hello: &Hello,
        able: &BTreeSet<String>,
        anchors: &[Anchor],
        channel: &Channel,
        nonce: [u8; 32],
        now: Timestamp,
    ) -> Result<(Self, Reply), HandshakeError> {
        if !means(&hello.audience, own.spiffe_id) {
            return Err(HandshakeError::OtherAudience);
        }
        let claimed = Claimed::read(&hello.from, anchors, channel, now)?;
        let facts = own.facts(nonce);
        if facts.is_same(&claimed.facts) || nonce == claimed.facts.nonce {
            return Err(HandshakeError::Reflected);
        }
        let chosen: BTreeSet<String> = hello.offered.intersection(able).cloned().collect();
        let transcript = Transcript {
            initiator: &claimed.facts,
            responder: &facts,
            hello,
            chosen: &chosen,
            channel: channel.seen_by_others(),
        };
        let transcript = transcript.digest();
        let reply = Reply {
            from: presented(own, nonce),
            chosen: chosen.clone(),
            signatures: sign(own, Role::Responder, transcript)?,
        };
        let purpose = hello.purpose.clone();
        Ok((Self { claimed, purpose, chosen, transcript, began: now }, reply))
    }

    /// Takes the asking side's signatures: it is known from here on.
    ///
    /// # Errors
    /// See [`HandshakeError`].
    pub fn on_finish(self, finish: &Finish, now: Timestamp) -> Result<Established, HandshakeError> {
        in_time(self.began, now, &self.claimed)?;
        verify(&self.claimed.facts, &finish.signatures, Role::Initiator, self.transcript)?;
        Ok(Established {
            peer: self.claimed.into(),
            purpose: self.purpose,
            capabilities: self.chosen,
            transcript: self.transcript,
            at: now,
        })
    }
}

fn presented(own: &Own<'_>, nonce: [u8; 32]) -> Presented {
    Presented { wit: own.wit.to_owned(), holder: own.holder.public_key(), nonce }
}
