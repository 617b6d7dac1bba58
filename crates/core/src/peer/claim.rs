//! What one agent tells another, and what stands behind it.
//!
//! A claim does not state its grade: whoever reads it finds the grade out, from
//! the ledger and from signatures. So none can be inflated, and one that is
//! passed on has no better grade than what comes with it.

use crate::crypto::{Digest, sha256};
pub use crate::guarantee::Grade;
use crate::ids::EntryId;
use crate::jose::{self, HeaderRules, Jws, JwsSigner, VerifyingKey};
use crate::json::{Json, Object};
use crate::{crypto::KeyError, time::Timestamp};

#[cfg(test)]
mod tests;

/// The `typ` of a claim that its speaker signed.
pub const TYPE: &str = "bailiwick-claim+jwt";

/// Characters of a statement at most.
pub const MAX_STATEMENT_CHARS: usize = 4_000;
const MAX_SPEAKER_BYTES: usize = 2_048;
const MAX_SIGNED_BYTES: usize = 24 << 10;

/// What a claim says to rest on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provenance {
    /// The output of a recorded call: the outcome's entry, and the digest of the
    /// result.
    Receipt {
        /// The entry `action.completed`, or the decision that it completes.
        entry: EntryId,
        /// SHA-256 of the result, as that entry has it.
        result: Digest,
    },
    /// The speaker's own signature, [`sign`]ed once and passed on with it.
    Signature(String),
    /// Nothing.
    None,
}

/// One claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What is said.
    pub statement: String,
    /// Who says it first: a SPIFFE ID.
    pub speaker: String,
    /// What it rests on.
    pub provenance: Provenance,
}

/// What the ledger says about a cited outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Whether it belongs to the same task, or to one from which this task was
    /// handed over.
    pub same_lineage: bool,
    /// The digest of its result.
    pub result: Digest,
}

/// A claim that cannot be true as it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// Not of the documented form.
    #[error("a claim's member `{member}` is missing or malformed")]
    Malformed {
        /// Which one.
        member: &'static str,
    },
    /// The cited entry is none.
    #[error("a claim cites an outcome that the ledger does not have")]
    Forged,
    /// The cited entry belongs to something else.
    #[error("a claim cites an outcome of another task")]
    Borrowed,
    /// The cited entry has another result.
    #[error("a claim cites an outcome whose result was another one")]
    OtherResult,
    /// The signature is not the speaker's, or over something else.
    #[error("a claim's signature is not its speaker's over this statement")]
    Signature,
}

impl ClaimError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "claim-malformed",
            Self::Forged => "claim-receipt-unknown",
            Self::Borrowed => "claim-receipt-of-other-task",
            Self::OtherResult => "claim-receipt-other-result",
            Self::Signature => "claim-signature-invalid",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "write claims as the peer plane's documentation has them",
            Self::Forged | Self::Borrowed | Self::OtherResult => {
                "cite an outcome of this task with the digest that its entry has, or cite none"
            }
            Self::Signature => "pass a claim on with the signature that its speaker made, or none",
        }
    }
}

/// Where the reader of claims looks things up.
pub trait Sources {
    /// The recorded outcome; `None` when there is none.
    fn receipt(&self, entry: &EntryId) -> Option<Receipt>;
    /// The key of a speaker who is identified; `None` for everybody else.
    fn key(&self, speaker: &str) -> Option<VerifyingKey>;
}

const fn bad(member: &'static str) -> ClaimError {
    ClaimError::Malformed { member }
}

fn payload(statement: &str, speaker: &str, at: i64) -> Object {
    Object::new()
        .with("statement", sha256(statement.as_bytes()))
        .with("speaker", speaker)
        .with("iat", at)
}

/// Signs a statement as its speaker, so that others can pass it on.
///
/// # Errors
/// [`KeyError`] when the library refuses to sign.
pub fn sign(
    statement: &str,
    speaker: &str,
    now: Timestamp,
    signer: &dyn JwsSigner,
) -> Result<String, KeyError> {
    jose::sign(TYPE, None, &payload(statement, speaker, now.seconds()).into(), signer)
}

impl Claim {
    /// How well it is founded. `from` is the identified peer that hands it over
    /// under a signature of its own.
    ///
    /// # Errors
    /// [`ClaimError`] for one that rests on something that is not so: that is no
    /// weak claim but a false one.
    pub fn grade(&self, from: &str, sources: &dyn Sources) -> Result<Grade, ClaimError> {
        match &self.provenance {
            Provenance::Receipt { entry, result } => {
                let receipt = sources.receipt(entry).ok_or(ClaimError::Forged)?;
                if !receipt.same_lineage {
                    return Err(ClaimError::Borrowed);
                }
                if receipt.result != *result {
                    return Err(ClaimError::OtherResult);
                }
                Ok(Grade::Proven)
            }
            Provenance::Signature(jws) => self.signed(jws, sources),
            // The handoff around it is signed by its speaker.
            Provenance::None if self.speaker == from => Ok(Grade::Signed),
            // SECURITY: who passes on what somebody else said vouches for
            // nothing but that it was said.
            Provenance::None => Ok(Grade::Asserted),
        }
    }

    fn signed(&self, jws: &str, sources: &dyn Sources) -> Result<Grade, ClaimError> {
        const RULES: HeaderRules<'_> = HeaderRules::typed(&[TYPE]);
        let jws = Jws::parse(jws, MAX_SIGNED_BYTES).and_then(|jws| jws.check_header(&RULES));
        let jws = jws.map_err(|_| ClaimError::Signature)?;
        // A speaker whom nobody identified may say what they like.
        let Some(key) = sources.key(&self.speaker) else { return Ok(Grade::Asserted) };
        let claims = jws.verify(&key).map_err(|_| ClaimError::Signature)?;
        let at = jose::numeric_date(&claims, "iat").map_err(|_| ClaimError::Signature)?;
        if claims == payload(&self.statement, &self.speaker, at) {
            Ok(Grade::Signed)
        } else {
            Err(ClaimError::Signature)
        }
    }

    /// As it is handed over.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let claim = Object::new()
            .with("statement", self.statement.as_str())
            .with("speaker", self.speaker.as_str());
        match &self.provenance {
            Provenance::Receipt { entry, result } => {
                let receipt = Object::new().with("entry", entry).with("result", *result);
                claim.with("receipt", receipt).into()
            }
            Provenance::Signature(jws) => claim.with("signature", jws.as_str()).into(),
            Provenance::None => claim.into(),
        }
    }

    /// Reads what [`Claim::to_json`] writes, and nothing more.
    ///
    /// # Errors
    /// [`ClaimError::Malformed`].
    pub fn from_json(json: &Json) -> Result<Self, ClaimError> {
        let o = json.as_object().ok_or(bad("claim"))?;
        let text = |member: &'static str| o.member(member).and_then(Json::as_str);
        let statement = text("statement")
            .filter(|s| (1..=MAX_STATEMENT_CHARS).contains(&s.chars().count()))
            .ok_or(bad("statement"))?;
        let speaker = text("speaker")
            .filter(|s| s.starts_with("spiffe://") && s.len() <= MAX_SPEAKER_BYTES)
            .ok_or(bad("speaker"))?;
        let (provenance, members) = match (o.member("receipt"), text("signature")) {
            (Some(receipt), None) => (read_receipt(receipt)?, 3),
            (None, Some(jws)) => (Provenance::Signature(jws.to_owned()), 3),
            (None, None) => (Provenance::None, 2),
            (Some(_), Some(_)) => return Err(bad("receipt")),
        };
        if o.len() != members {
            return Err(bad("claim"));
        }
        Ok(Self { statement: statement.to_owned(), speaker: speaker.to_owned(), provenance })
    }
}

fn read_receipt(json: &Json) -> Result<Provenance, ClaimError> {
    let o = json.as_object().filter(|o| o.len() == 2).ok_or(bad("receipt"))?;
    let text = |member: &'static str| o.member(member).and_then(Json::as_str);
    let entry = text("entry").and_then(|entry| entry.parse().ok()).ok_or(bad("receipt"))?;
    let result = text("result").and_then(Digest::from_text).ok_or(bad("receipt"))?;
    Ok(Provenance::Receipt { entry, result })
}
