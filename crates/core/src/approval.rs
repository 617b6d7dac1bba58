//! Approvals: a person's signed verdict on exactly one action.
//!
//! What is signed is a [`Question`]'s digest, which fixes the action's own
//! digest, the policy that asked, its rule, the verdict and the end. An approval
//! adds no authority: it satisfies stage 5 for that action, once.

use crate::crypto::{Digest, KeyError, sha256};
use crate::grant::Passkey;
use crate::ids::ApprovalId;
use crate::jose::{self, HeaderRules, JoseError, Jws, JwsSigner, VerifyingKey};
use crate::json::{Json, Object};
use crate::limits::JsonLimits;
use crate::time::Timestamp;
use crate::webauthn::{Assertion, AssertionError, RelyingParty};

#[cfg(test)]
mod tests;

/// The `typ` of a verdict signed with an approver's key.
pub const TYPE: &str = "bailiwick-approval+jwt";

const PROOF_JSON: JsonLimits = JsonLimits { max_bytes: 16 << 10, max_depth: 4, max_values: 64 };
const MAX_SIGNED_BYTES: usize = 4096;

/// What a person decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It may happen, once.
    Approve,
    /// It may not.
    Deny,
}

impl Verdict {
    /// Its name in what is signed, in entries and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "approve" => Some(Self::Approve),
            "deny" => Some(Self::Deny),
            _ => None,
        }
    }
}

/// What a person is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Its id.
    pub id: ApprovalId,
    /// The action's digest (DESIGN §2).
    pub action: Digest,
    /// The version of the policy that asked: see [`policy_version`].
    pub policy: Digest,
    /// The rule that asked.
    pub rule: String,
    /// Until when a verdict counts, seconds.
    pub expires: Timestamp,
}

/// The version of everything that may ask for a person: the organisation's
/// bundle in force, if there is one, and the workflow.
#[must_use]
pub fn policy_version(bundle: Option<Digest>, workflow: Digest) -> Digest {
    let both = Object::new().with("bundle", bundle).with("workflow", workflow);
    sha256(Json::from(both).canonical().as_bytes())
}

impl Question {
    /// What is signed for `verdict`, before it is hashed.
    #[must_use]
    pub fn statement(&self, verdict: Verdict) -> Json {
        Object::new()
            .with("v", 1u64)
            .with("approval", &self.id)
            .with("verdict", verdict.as_str())
            .with("action", self.action)
            .with("policy", self.policy)
            .with("rule", self.rule.as_str())
            .with("expires", self.expires.seconds())
            .into()
    }

    /// SHA-256 of the statement's canonical form: what an approver signs.
    #[must_use]
    pub fn digest(&self, verdict: Verdict) -> Digest {
        sha256(self.statement(verdict).canonical().as_bytes())
    }

    /// What is signed for `verdict`, and how with an approver's key.
    fn signable(&self, verdict: Verdict) -> Signable {
        let digest = self.digest(verdict);
        let payload = Object::new().with("digest", digest).with("approval", &self.id);
        Signable { typ: TYPE, digest, payload }
    }

    /// Signs `verdict` with an approver's key.
    ///
    /// # Errors
    /// [`KeyError`] when the library refuses to sign.
    pub fn sign(&self, verdict: Verdict, signer: &dyn JwsSigner) -> Result<String, KeyError> {
        self.signable(verdict).sign(signer)
    }

    /// Whether `signed` is an approver's signature for `verdict` on this very
    /// question, and how it was made.
    ///
    /// # Errors
    /// See [`ApprovalError`].
    pub fn verify(
        &self,
        verdict: Verdict,
        signed: &Signed,
        registered: &Registered<'_>,
    ) -> Result<Grade, ApprovalError> {
        self.signable(verdict).verify(signed, registered)
    }
}

/// A statement that people sign with a passkey or an approver's key.
///
/// SECURITY: what is a signature for one kind of statement is none for another:
/// a passkey signs the digest of the statement, which has members of its kind,
/// and a key signs under its kind's own `typ`.
pub(crate) struct Signable {
    /// The `typ` of its JWS.
    pub(crate) typ: &'static str,
    /// SHA-256 of the statement's canonical form: a passkey's challenge.
    pub(crate) digest: Digest,
    /// The JWS's payload.
    pub(crate) payload: Object,
}

impl Signable {
    pub(crate) fn sign(self, signer: &dyn JwsSigner) -> Result<String, KeyError> {
        jose::sign(self.typ, None, &self.payload.into(), signer)
    }

    pub(crate) fn verify(
        &self,
        signed: &Signed,
        registered: &Registered<'_>,
    ) -> Result<Grade, ApprovalError> {
        match signed {
            Signed::Passkey(assertion) => self.verify_passkey(assertion, registered),
            Signed::Key(jws) => self.verify_key(jws, registered.keys),
        }
    }

    fn verify_passkey(
        &self,
        assertion: &Assertion,
        registered: &Registered<'_>,
    ) -> Result<Grade, ApprovalError> {
        let relying_party = registered.relying_party.ok_or(ApprovalError::NotRegistered)?;
        let passkey = registered
            .passkeys
            .iter()
            .find(|p| p.credential_id == assertion.credential_id)
            .ok_or(ApprovalError::NotRegistered)?;
        assertion
            .verify(self.digest.bytes(), &passkey.key, relying_party)
            .map_err(ApprovalError::Assertion)?;
        Ok(Grade::Passkey)
    }

    fn verify_key(&self, jws: &str, keys: &[VerifyingKey]) -> Result<Grade, ApprovalError> {
        let typ = [self.typ];
        let rules = HeaderRules::typed(&typ);
        let jws = Jws::parse(jws, MAX_SIGNED_BYTES)
            .and_then(|jws| jws.check_header(&rules))
            .map_err(ApprovalError::Jws)?;
        for key in keys.iter().filter(|k| k.accepts(jws.algorithm())) {
            match jws.verify(key) {
                Ok(payload) if payload == self.payload => return Ok(Grade::Key),
                Ok(_) => return Err(ApprovalError::OtherQuestion),
                Err(JoseError::Signature) => {}
                Err(error) => return Err(ApprovalError::Jws(error)),
            }
        }
        Err(ApprovalError::NotRegistered)
    }
}

/// How a verdict was signed, weakest first: policy bounds the risk that each
/// may approve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Grade {
    /// By an approver's key in a file.
    Key,
    /// By a passkey, the person present and verified.
    Passkey,
}

impl Grade {
    /// Its name in entries and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Passkey => "passkey",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "key" => Some(Self::Key),
            "passkey" => Some(Self::Passkey),
            _ => None,
        }
    }
}

/// What one approver enrolled, usable when the verdict was signed: that is the
/// caller's to know.
#[derive(Clone, Copy, Debug)]
pub struct Registered<'a> {
    /// Passkeys.
    pub passkeys: &'a [Passkey],
    /// Approver keys.
    pub keys: &'a [VerifyingKey],
    /// Where passkeys are used; without it none are.
    pub relying_party: Option<&'a RelyingParty>,
}

/// A verdict's signature as it is kept; nothing in it is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signed {
    /// A passkey's assertion whose challenge is the digest.
    Passkey(Assertion),
    /// A compact JWS `{digest, approval}` of type [`TYPE`].
    Key(String),
}

impl Signed {
    /// The text that is kept. A JWS is its own text.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Key(jws) => jws.clone(),
            Self::Passkey(assertion) => {
                Json::from(Object::new().with("passkey", assertion.to_json())).canonical()
            }
        }
    }

    /// Reads what [`Signed::to_text`] writes, and nothing more.
    ///
    /// # Errors
    /// [`ApprovalError::Malformed`], [`ApprovalError::Assertion`].
    pub fn from_text(text: &str) -> Result<Self, ApprovalError> {
        // No compact JWS begins with a brace.
        if !text.starts_with('{') {
            return Ok(Self::Key(text.to_owned()));
        }
        let json = Json::parse(text.as_bytes(), &PROOF_JSON);
        let json = json.map_err(|_| ApprovalError::Malformed)?;
        let o = json.as_object().filter(|o| o.len() == 1).ok_or(ApprovalError::Malformed)?;
        let assertion = o.member("passkey").ok_or(ApprovalError::Malformed)?;
        Assertion::from_json(assertion).map(Self::Passkey).map_err(ApprovalError::Assertion)
    }
}

/// A verdict that does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalError {
    /// Not of the documented form.
    #[error("the verdict's signature is malformed")]
    Malformed,
    /// Signed with something that is not enrolled for this approver.
    #[error("the verdict was not signed with a key or passkey that this approver enrolled")]
    NotRegistered,
    /// The signature is over something else: another action, verdict or end.
    #[error("the signature is over another question or verdict than the one presented")]
    OtherQuestion,
    /// The JWS is refused.
    #[error("the signed verdict is refused: {0}")]
    Jws(JoseError),
    /// The passkey's assertion is refused.
    #[error("the passkey's signature over the verdict is refused: {0}")]
    Assertion(AssertionError),
}

impl ApprovalError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "approval-malformed",
            Self::NotRegistered => "approval-signer-not-enrolled",
            Self::OtherQuestion => "approval-other-question",
            Self::Jws(e) => e.code(),
            Self::Assertion(e) => e.code(),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Malformed => "decide with `bailiwick approvals` or on the approval's page",
            Self::NotRegistered => {
                "sign with a passkey or approver key that is enrolled for you and has come of age"
            }
            Self::OtherQuestion => "sign what is shown now: load the approval again",
            Self::Jws(e) => e.remedy(),
            Self::Assertion(e) => e.remedy(),
        }
    }
}
