//! Many at once: one signature that approves several questions.
//!
//! What is signed lists the digests of the questions, in order, each for the
//! verdict `approve`. Each question keeps a verdict of its own with the list and
//! the signature, and is verified by itself.

use super::{ApprovalError, Signable, Signed};
use crate::crypto::{Digest, sha256};
use crate::json::{Json, Object};
use crate::webauthn::Assertion;

/// The `typ` of a batch signed with an approver's key.
pub const BATCH_TYPE: &str = "bailiwick-approval-batch+jwt";
/// Questions in one batch at most: all of them are read before it is signed.
pub const MAX_BATCH: usize = 20;

/// The digests that one signature approves: at least one, none twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch(Vec<Digest>);

impl Batch {
    /// A batch of these, in this order.
    ///
    /// # Errors
    /// [`ApprovalError::Batch`] for none, too many, or one that stands there
    /// twice.
    pub fn new(digests: Vec<Digest>) -> Result<Self, ApprovalError> {
        let twice = |(n, digest): (usize, &Digest)| digests.iter().take(n).any(|d| d == digest);
        let fits = !digests.is_empty() && digests.len() <= MAX_BATCH;
        if !fits || digests.iter().enumerate().any(twice) {
            return Err(ApprovalError::Batch);
        }
        Ok(Self(digests))
    }

    /// The digests, in order.
    #[must_use]
    pub fn digests(&self) -> &[Digest] {
        &self.0
    }

    /// Whether it approves the question with this digest.
    #[must_use]
    pub fn holds(&self, digest: &Digest) -> bool {
        self.0.contains(digest)
    }

    /// What is signed, before it is hashed: `{v, batch}`.
    #[must_use]
    pub fn statement(&self) -> Json {
        Object::new().with("v", 1u64).with("batch", self.listed()).into()
    }

    fn listed(&self) -> Vec<Json> {
        self.0.iter().map(|digest| Json::from(*digest)).collect()
    }

    /// What a signature is over.
    #[must_use]
    pub fn signable(&self) -> Signable {
        let digest = sha256(self.statement().canonical().as_bytes());
        Signable::new(BATCH_TYPE, digest, Object::new().with("digest", digest))
    }
}

/// A batch with its signature; nothing in it is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedBatch {
    batch: Batch,
    /// Never a batch itself.
    by: Signed,
}

impl SignedBatch {
    /// A batch and the signature over it.
    ///
    /// # Errors
    /// [`ApprovalError::Malformed`] for the signature of another batch.
    pub fn new(batch: Batch, by: Signed) -> Result<Self, ApprovalError> {
        match by {
            Signed::Batch(_) => Err(ApprovalError::Malformed),
            Signed::Passkey(_) | Signed::Key(_) => Ok(Self { batch, by }),
        }
    }

    /// What it approves.
    #[must_use]
    pub const fn batch(&self) -> &Batch {
        &self.batch
    }

    /// The signature: a passkey's or a key's.
    #[must_use]
    pub const fn by(&self) -> &Signed {
        &self.by
    }

    /// `{batch, passkey}` or `{batch, jws}`.
    pub(super) fn to_json(&self) -> Json {
        let o = Object::new().with("batch", self.batch.listed());
        match &self.by {
            Signed::Passkey(assertion) => o.with("passkey", assertion.to_json()).into(),
            by @ (Signed::Key(_) | Signed::Batch(_)) => o.with("jws", by.to_text()).into(),
        }
    }

    pub(super) fn from_json(o: &Object, batch: &Json) -> Result<Self, ApprovalError> {
        let malformed = ApprovalError::Malformed;
        let digests = batch.as_array().ok_or(malformed)?;
        let digests = digests.iter().map(|d| Digest::from_text(d.as_str()?)).collect();
        let batch = Batch::new(Option::ok_or(digests, malformed)?)?;
        let by = match (o.len(), o.member("passkey"), o.member("jws").and_then(Json::as_str)) {
            (2, Some(assertion), None) => Assertion::from_json(assertion)
                .map(Signed::Passkey)
                .map_err(ApprovalError::Assertion)?,
            (2, None, Some(jws)) => Signed::Key(jws.to_owned()),
            _ => return Err(malformed),
        };
        Self::new(batch, by)
    }
}
