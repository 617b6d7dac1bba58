//! What can go wrong between two agents and their authority.

use bailiwick_core::aat::make::MakeError;
use bailiwick_core::crypto::KeyError;
use bailiwick_core::denial::Denial;
use bailiwick_core::jose::JoseError;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::peer::handoff::HandoffError;
use bailiwick_core::peer::handshake::HandshakeError;

/// Who did not do what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The authority.
    Authority,
    /// The peer.
    Peer,
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Authority => "authority",
            Self::Peer => "peer",
        })
    }
}

/// A step of a handoff that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The handshake failed.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The offer, its answer or what came back is refused.
    #[error(transparent)]
    Handoff(#[from] HandoffError),
    /// No child can be derived.
    #[error(transparent)]
    Make(#[from] MakeError),
    /// The delegation beside an offer does not hold.
    #[error("the delegation beside the offer does not hold: {0}")]
    Delegation(Denial),
    /// The delegation from which to hand over cannot be read.
    #[error("the delegation to hand over from cannot be read")]
    NoDelegation,
    /// The other one refused.
    #[error("the {who} refused: {detail}")]
    Refused {
        /// Who.
        who: Who,
        /// The stable code.
        code: String,
        /// Why, in its words.
        detail: String,
        /// What it says to do about it.
        remedy: String,
    },
    /// The other one does not answer.
    #[error("the {who} does not answer: {why}")]
    Away {
        /// Who.
        who: Who,
        /// Why.
        why: String,
    },
    /// The other one's answer is not what was asked for.
    #[error("the answer of the {who} is not what was asked for: {what}")]
    Unexpected {
        /// Who.
        who: Who,
        /// What.
        what: &'static str,
    },
    /// A peer is reached over plain HTTP on this machine only.
    #[error("`{url}` is no `http` address of this machine, and no other way to a peer is set up")]
    NotLoopback {
        /// What was given.
        url: String,
    },
    /// Anchors that cannot be read.
    #[error("the trust anchors cannot be read: {what}")]
    Anchors {
        /// What is wrong.
        what: &'static str,
    },
    /// A message that is none of the documented ones.
    #[error("the request's member `{member}` is missing or malformed")]
    Malformed {
        /// Which one.
        member: &'static str,
    },
    /// A message that is larger than it may be, or came too slowly.
    #[error("the request is larger than {max_bytes} bytes, or did not arrive in time")]
    TooLarge {
        /// How large it may be.
        max_bytes: usize,
    },
    /// There is no such session, or its peer's identity token has ended.
    #[error("there is no such session, or the peer's identity token has ended")]
    NoSession,
    /// As many handshakes or sessions as there may be.
    #[error("there are as many sessions as there may be")]
    Busy,
    /// As many offers wait as may wait.
    #[error("as many offers wait as may wait")]
    Flood,
    /// The offer was seen before.
    #[error("the offer was handed over before")]
    Repeated,
    /// The authority does not have the offer as open.
    #[error("the authority has the offer as `{status}`")]
    Settled {
        /// How it stands.
        status: String,
    },
    /// The delegation behind the offer was revoked.
    #[error("the delegation behind the offer was revoked")]
    Revoked,
    /// Nothing came in time.
    #[error("nothing came in the time that was waited")]
    Waited,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    NoEntropy,
    /// A key does not sign.
    #[error("a key of this side cannot sign: {0}")]
    Key(#[from] KeyError),
    /// Published keys that cannot be used.
    #[error("the published keys cannot be used: {0}")]
    Keys(#[from] JoseError),
}

impl PeerError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Handshake(e) => e.code(),
            Self::Handoff(e) => e.code(),
            Self::Make(e) => e.code(),
            Self::Delegation(denial) => denial.reason.code(),
            Self::NoDelegation => "handoff-no-delegation",
            Self::Refused { code, .. } => code,
            Self::Away { who: Who::Authority, .. } => "authority-away",
            Self::Away { who: Who::Peer, .. } => "peer-away",
            Self::Unexpected { who: Who::Authority, .. } => "authority-answer",
            Self::Unexpected { who: Who::Peer, .. } => "peer-answer",
            Self::NotLoopback { .. } => "peer-not-loopback",
            Self::Anchors { .. } => "peer-anchors",
            Self::Malformed { .. } => "peer-message-malformed",
            Self::TooLarge { .. } => "peer-message-too-large",
            Self::NoSession => "peer-session-unknown",
            Self::Busy => "peer-busy",
            Self::Flood => "handoff-flood",
            Self::Repeated => "handoff-repeated",
            Self::Settled { .. } => "handoff-settled",
            Self::Revoked => "handoff-revoked",
            Self::Waited => "handoff-unanswered",
            Self::NoEntropy => "no-entropy",
            Self::Key(_) => "handshake-key-unusable",
            Self::Keys(e) => e.code(),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &str {
        match self {
            Self::Handshake(e) => e.remedy(),
            Self::Handoff(e) => e.remedy(),
            Self::Make(e) => e.remedy(),
            Self::Delegation(denial) => denial.reason.remedy(),
            Self::NoDelegation => "hand over from a chain as it was issued, root first",
            Self::Refused { remedy, .. } => remedy,
            Self::Away { who: Who::Authority, .. } => {
                "check that the authority runs, and try again"
            }
            Self::Away { who: Who::Peer, .. } => {
                "check that the peer runs and where, and try again"
            }
            Self::Unexpected { .. } => {
                "check the address, and that both sides run fitting versions"
            }
            Self::NotLoopback { .. } => "reach a peer elsewhere over mutual TLS",
            Self::Anchors { .. } => "write the anchors as the peer plane's documentation has them",
            Self::Malformed { .. } => "send the message as the peer plane's documentation has it",
            Self::TooLarge { .. } => "hand over less context",
            Self::NoSession => "shake hands again",
            Self::Busy => "try again after a while",
            Self::Flood => "wait until the offers that wait are answered",
            Self::Repeated | Self::Settled { .. } | Self::Revoked => {
                "make a fresh offer, from a delegation that stands"
            }
            Self::Waited => "ask again later how the handoff stands",
            Self::NoEntropy => "check that the system offers getrandom(2)",
            Self::Key(_) => "make the instance's keys anew and enrol them",
            Self::Keys(e) => e.remedy(),
        }
    }

    /// The status with which a peer is told; the one place that maps it.
    pub(crate) const fn status(&self) -> u16 {
        match self {
            Self::Malformed { .. } => 400,
            Self::TooLarge { .. } => 413,
            Self::NoSession => 404,
            Self::Repeated | Self::Settled { .. } => 409,
            Self::Flood => 429,
            Self::Busy => 503,
            Self::Away { .. } | Self::Unexpected { .. } | Self::NoEntropy => 503,
            Self::Key(_) | Self::Keys(_) | Self::Anchors { .. } => 503,
            _ => 403,
        }
    }

    /// Problem details (RFC 9457), as a peer is told.
    pub(crate) fn to_json(&self) -> Json {
        Object::new()
            .with("type", format!("urn:bailiwick:problem:{}", self.code()))
            .with("title", self.code())
            .with("status", u64::from(self.status()))
            .with("detail", self.to_string())
            .with("remedy", self.remedy())
            .into()
    }

    /// Whether it is the refused side's doing, which the ledger is told.
    pub(crate) const fn is_refusal(&self) -> bool {
        matches!(self, Self::Handshake(_) | Self::Handoff(_) | Self::Delegation(_) | Self::Repeated)
    }
}
