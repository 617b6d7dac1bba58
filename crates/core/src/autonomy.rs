//! How far a workflow's agents may act without a person, and what is signed to
//! let them go further.
//!
//! Lowering is quick and takes the right alone. Raising takes more: the workflow's
//! owner and somebody else sign a [`Raise`]'s digest, which fixes the version, the
//! two levels, how often the autonomy changed before, the figures that meet its
//! evaluation targets, and until when the signature counts.

use crate::approval::{ApprovalError, Grade, Registered, Signable, Signed};
use crate::crypto::{Digest, KeyError, sha256};
use crate::ids::WorkflowId;
use crate::jose::JwsSigner;
use crate::json::{Json, Object};
use crate::time::Timestamp;

/// The `typ` of a raise signed with an approver's key.
pub const TYPE: &str = "bailiwick-autonomy+jwt";

/// Seconds for which a raise may be signed at most: two people must.
pub const MAX_RAISE_SECONDS: i64 = 86_400;

/// What people sign so that a workflow's autonomy is raised by one level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raise {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The version: another one is not raised by this.
    pub version: Digest,
    /// The level in force.
    pub from: String,
    /// The next one.
    pub to: String,
    /// How often the workflow's autonomy changed before. SECURITY: so every change
    /// spends what was signed before it.
    pub changes: u32,
    /// The digest of the figures of its runs.
    pub figures: Digest,
    /// The end of the window that the figures are of, seconds.
    pub until: Timestamp,
    /// Until when the signature counts, seconds.
    pub expires: Timestamp,
}

impl Raise {
    /// What is signed, before it is hashed.
    #[must_use]
    pub fn statement(&self) -> Json {
        Object::new()
            .with("v", 1u64)
            .with("raise", &self.workflow)
            .with("version", self.version)
            .with("from", self.from.as_str())
            .with("to", self.to.as_str())
            .with("changes", u64::from(self.changes))
            .with("figures", self.figures)
            .with("until", self.until.seconds())
            .with("expires", self.expires.seconds())
            .into()
    }

    /// SHA-256 of the statement's canonical form: what people sign.
    #[must_use]
    pub fn digest(&self) -> Digest {
        sha256(self.statement().canonical().as_bytes())
    }

    fn signable(&self) -> Signable {
        let digest = self.digest();
        let payload = Object::new().with("digest", digest).with("raise", &self.workflow);
        Signable::new(TYPE, digest, payload)
    }

    /// Signs it with an approver's key.
    ///
    /// # Errors
    /// [`KeyError`] when the library refuses to sign.
    pub fn sign(&self, signer: &dyn JwsSigner) -> Result<String, KeyError> {
        self.signable().sign(signer)
    }

    /// Whether `signed` is a signature over this very raise by something that is
    /// registered, and how it was made.
    ///
    /// # Errors
    /// See [`ApprovalError`].
    pub fn verify(
        &self,
        signed: &Signed,
        registered: &Registered<'_>,
    ) -> Result<Grade, ApprovalError> {
        self.signable().verify(signed, registered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{P256SigningKey, fresh_p256};
    use crate::ids::{AgentId, StopId};
    use crate::stop::{Resumption, StopTarget};

    fn raise() -> Raise {
        Raise {
            workflow: WorkflowId::parse("support").unwrap(),
            version: Digest::from_array([1; 32]),
            from: "supervised".to_owned(),
            to: "bounded".to_owned(),
            changes: 4,
            figures: Digest::from_array([2; 32]),
            until: Timestamp::from_seconds(1_700_000_000),
            expires: Timestamp::from_seconds(1_700_000_600),
        }
    }

    #[test]
    fn a_signature_is_for_this_version_these_figures_and_no_other_raise() {
        let signer: P256SigningKey = fresh_p256();
        let keys = [signer.verifying_key()];
        let registered = Registered { passkeys: &[], keys: &keys, relying_party: None };
        let asked = raise();
        let signed = Signed::Key(asked.sign(&signer).unwrap());
        assert_eq!(asked.verify(&signed, &registered), Ok(Grade::Key));
        let others = [
            Raise { workflow: WorkflowId::parse("other").unwrap(), ..asked.clone() },
            Raise { version: Digest::from_array([3; 32]), ..asked.clone() },
            Raise { from: "manual".to_owned(), ..asked.clone() },
            Raise { to: "autonomous".to_owned(), ..asked.clone() },
            Raise { changes: 5, ..asked.clone() },
            Raise { figures: Digest::from_array([3; 32]), ..asked.clone() },
            Raise { until: asked.until.plus_seconds(1), ..asked.clone() },
            Raise { expires: asked.expires.plus_seconds(1), ..asked.clone() },
        ];
        for other in others {
            assert_eq!(other.verify(&signed, &registered), Err(ApprovalError::OtherQuestion));
        }
    }

    #[test]
    fn a_signature_that_resumes_raises_nothing() {
        let signer: P256SigningKey = fresh_p256();
        let keys = [signer.verifying_key()];
        let registered = Registered { passkeys: &[], keys: &keys, relying_party: None };
        let asked = raise();
        let resumption = Resumption {
            stop: StopId::mint(asked.expires, [1; 10]),
            target: StopTarget::Agent(AgentId::parse("agent:a").unwrap()),
            reason: asked.figures,
            expires: asked.expires,
        };
        let signed = Signed::Key(resumption.sign(&signer).unwrap());
        assert!(matches!(asked.verify(&signed, &registered), Err(ApprovalError::Jws(_))));
    }
}
