//! What comes back: the taker's signed word that the task is done, or that it
//! could not be, with claims. It carries no authority and asks for nothing;
//! whoever reads it grades its claims like any other.

use crate::crypto::{Digest, KeyError, PublicKey, SigningKey};
use crate::jose::{self, HeaderRules, Jws, VerifyingKey, numeric_date};
use crate::json::{Json, Object};
use crate::time::Timestamp;

use super::claim::Claim;
use super::handoff::{HandoffError, MAX_ITEMS, bad, digest, list, text};

/// The `typ` of what comes back.
pub const TYPE: &str = "bailiwick-handoff-return+jwt";
/// Bytes of it at most.
pub const MAX_RETURN_BYTES: usize = 64 << 10;

/// How the taker says that it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Done,
    /// Not done.
    Failed,
}

impl Status {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Done, Self::Failed].into_iter().find(|status| status.as_str() == text)
    }
}

/// What comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// The hash of the signed offer that it answers.
    pub handoff: Digest,
    /// How it went.
    pub status: Status,
    /// What is told.
    pub claims: Vec<Claim>,
}

impl Return {
    fn to_json(&self, at: i64) -> Object {
        let claims: Vec<Json> = self.claims.iter().map(Claim::to_json).collect();
        Object::new()
            .with("v", 1u64)
            .with("handoff", self.handoff)
            .with("status", self.status.as_str())
            .with("claims", claims)
            .with("iat", at)
    }

    /// Signs it with the holder key that the taker proved.
    ///
    /// # Errors
    /// [`KeyError`] when the library refuses to sign.
    pub fn sign(&self, now: Timestamp, holder: &SigningKey) -> Result<String, KeyError> {
        jose::sign(TYPE, None, &self.to_json(now.seconds()).into(), holder)
    }

    /// Verifies what came back from the taker of the offer whose hash is
    /// `handoff`, by the holder key that it proved.
    ///
    /// # Errors
    /// [`HandoffError::Signature`], [`HandoffError::OtherHandoff`],
    /// [`HandoffError::Malformed`], [`HandoffError::Claim`].
    pub fn verify(signed: &str, holder: PublicKey, handoff: Digest) -> Result<Self, HandoffError> {
        const RULES: HeaderRules<'_> = HeaderRules::typed(&[TYPE]);
        let jws = Jws::parse(signed, MAX_RETURN_BYTES).and_then(|jws| jws.check_header(&RULES));
        let jws = jws.map_err(|_| HandoffError::Signature)?;
        let key = VerifyingKey::Ed25519(holder);
        let o = jws.verify(&key).map_err(|_| HandoffError::Signature)?;
        if digest(&o, "handoff")? != handoff {
            return Err(HandoffError::OtherHandoff);
        }
        let read = Self {
            handoff,
            status: Status::parse(text(&o, "status")?).ok_or(bad("status"))?,
            claims: list(&o, "claims", MAX_ITEMS, |json| Ok(Claim::from_json(json)?))?,
        };
        let at = numeric_date(&o, "iat").map_err(|_| bad("iat"))?;
        // Nothing beside what is understood.
        if o == read.to_json(at) { Ok(read) } else { Err(bad("return")) }
    }
}
