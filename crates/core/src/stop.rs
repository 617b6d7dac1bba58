//! The stop button: what can be stopped, and what is signed to resume it.
//!
//! Stopping is quick and takes the right alone. Resuming takes more: an owner
//! signs a [`Resumption`]'s digest, which fixes the stop, what it stops, why,
//! and until when the signature counts, with a passkey or an approver's key.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::approval::{ApprovalError, Grade, Registered, Signable, Signed};
use crate::crypto::{Digest, KeyError, sha256};
use crate::ids::{AgentId, IdError, StopId, TaskId, WorkflowId};
use crate::jose::JwsSigner;
use crate::json::{Json, Object};
use crate::time::Timestamp;

/// The `typ` of a resumption signed with an approver's key.
pub const TYPE: &str = "bailiwick-resume+jwt";

/// Seconds for which a resumption may be signed at most.
pub const MAX_RESUME_SECONDS: i64 = 600;

/// What can be stopped: `agent:NAME`, `task:ID`, `workflow:NAME`, `everything`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StopTarget {
    /// Every call in whose chain the agent is.
    Agent(AgentId),
    /// Every call of this installation.
    Everything,
    /// Every call of the task.
    Task(TaskId),
    /// Every call of the workflow's tasks, whatever its version.
    Workflow(WorkflowId),
}

impl StopTarget {
    /// Reads the text.
    ///
    /// # Errors
    /// [`IdError`] names the expected form.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let bad = || IdError {
            what: "target of a stop",
            expected: "`agent:NAME`, `task:ID`, `workflow:NAME` or `everything`",
        };
        if text == "everything" {
            return Ok(Self::Everything);
        }
        if let Some(id) = text.strip_prefix("task:") {
            return TaskId::parse(id).map(Self::Task).map_err(|_| bad());
        }
        if let Some(id) = text.strip_prefix("workflow:") {
            return WorkflowId::parse(id).map(Self::Workflow).map_err(|_| bad());
        }
        AgentId::parse(text).map(Self::Agent).map_err(|_| bad())
    }
}

impl fmt::Display for StopTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent(id) => write!(f, "{id}"),
            Self::Everything => f.write_str("everything"),
            Self::Task(id) => write!(f, "task:{id}"),
            Self::Workflow(id) => write!(f, "workflow:{id}"),
        }
    }
}

impl FromStr for StopTarget {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::parse(text)
    }
}

impl From<&StopTarget> for Json {
    fn from(target: &StopTarget) -> Self {
        Self::from(target.to_string())
    }
}

impl Serialize for StopTarget {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StopTarget {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

/// What an owner signs so that a stop ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumption {
    /// Which stop.
    pub stop: StopId,
    /// What it stops.
    pub target: StopTarget,
    /// The commitment to why it was stopped, as in its entry.
    pub reason: Digest,
    /// Until when the signature counts, seconds.
    pub expires: Timestamp,
}

impl Resumption {
    /// What is signed, before it is hashed.
    #[must_use]
    pub fn statement(&self) -> Json {
        Object::new()
            .with("v", 1u64)
            .with("resume", &self.stop)
            .with("target", &self.target)
            .with("reason", self.reason)
            .with("expires", self.expires.seconds())
            .into()
    }

    /// SHA-256 of the statement's canonical form: what an owner signs.
    #[must_use]
    pub fn digest(&self) -> Digest {
        sha256(self.statement().canonical().as_bytes())
    }

    fn signable(&self) -> Signable {
        let digest = self.digest();
        let payload = Object::new().with("digest", digest).with("resume", &self.stop);
        Signable { typ: TYPE, digest, payload }
    }

    /// Signs it with an approver's key.
    ///
    /// # Errors
    /// [`KeyError`] when the library refuses to sign.
    pub fn sign(&self, signer: &dyn JwsSigner) -> Result<String, KeyError> {
        self.signable().sign(signer)
    }

    /// Whether `signed` is a signature over this very resumption by something
    /// that is registered, and how it was made.
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
    use crate::approval::{Question, Verdict};
    use crate::crypto::{P256SigningKey, fresh_p256};
    use crate::grant::Passkey;
    use crate::ids::ApprovalId;
    use crate::webauthn::tests::{Passkey as Device, relying_party};

    fn resumption() -> Resumption {
        let now = Timestamp::from_seconds(1_700_000_000);
        Resumption {
            stop: StopId::mint(now, [1; 10]),
            target: StopTarget::Agent(AgentId::parse("agent:runner").unwrap()),
            reason: Digest::from_array([3; 32]),
            expires: now.plus_seconds(600),
        }
    }

    #[test]
    fn a_target_reads_back_and_nothing_else_is_one() {
        let task = TaskId::mint(Timestamp::from_seconds(1), [1; 10]);
        for text in ["agent:a", &format!("task:{task}"), "workflow:support", "everything"] {
            assert_eq!(StopTarget::parse(text).unwrap().to_string(), text);
        }
        for bad in ["", "Everything", "task:1", "workflow:", "agent:", "user:142", "support"] {
            assert!(StopTarget::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_signature_is_for_this_stop_and_for_no_other_statement() {
        let signer: P256SigningKey = fresh_p256();
        let keys = [signer.verifying_key()];
        let registered = Registered { passkeys: &[], keys: &keys, relying_party: None };
        let asked = resumption();
        let signed = Signed::Key(asked.sign(&signer).unwrap());
        assert_eq!(asked.verify(&signed, &registered), Ok(Grade::Key));
        let others = [
            Resumption { stop: StopId::mint(asked.expires, [2; 10]), ..asked.clone() },
            Resumption { target: StopTarget::Everything, ..asked.clone() },
            Resumption { reason: Digest::from_array([4; 32]), ..asked.clone() },
            Resumption { expires: asked.expires.plus_seconds(1), ..asked.clone() },
        ];
        for other in others {
            assert_eq!(other.verify(&signed, &registered), Err(ApprovalError::OtherQuestion));
        }
        // An approver's signature resumes nothing, and the other way round, even
        // when the ids are the same.
        let question = Question {
            id: ApprovalId::parse(asked.stop.as_str()).unwrap(),
            action: asked.reason,
            policy: asked.reason,
            rule: "all".to_owned(),
            expires: asked.expires,
        };
        let approved = Signed::Key(question.sign(Verdict::Approve, &signer).unwrap());
        assert!(matches!(asked.verify(&approved, &registered), Err(ApprovalError::Jws(_))));
        let taken = question.verify(Verdict::Approve, &signed, &registered);
        assert!(matches!(taken, Err(ApprovalError::Jws(_))));
        assert_ne!(question.digest(Verdict::Approve), asked.digest());
    }

    #[test]
    fn a_passkey_signs_this_resumption_and_no_other() {
        let device = Device::P256(fresh_p256());
        let passkeys = [Passkey { credential_id: b"credential".to_vec(), key: device.key() }];
        let party = relying_party();
        let registered = Registered { passkeys: &passkeys, keys: &[], relying_party: Some(&party) };
        let asked = resumption();
        let signed = Signed::Passkey(device.assert(asked.digest().bytes()));
        assert_eq!(asked.verify(&signed, &registered), Ok(Grade::Passkey));
        let other = Resumption { target: StopTarget::Everything, ..asked };
        assert!(matches!(other.verify(&signed, &registered), Err(ApprovalError::Assertion(_))));
    }
}
