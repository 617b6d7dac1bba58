//! What approvers sign, and the one place where their signatures are verified.

use super::{ApprovalError, BATCH_TYPE, Grade, Registered, Signed, standing};
use crate::crypto::{Digest, KeyError};
use crate::jose::{self, HeaderRules, JoseError, Jws, JwsSigner, VerifyingKey};
use crate::json::Object;
use crate::webauthn::Assertion;

const MAX_SIGNED_BYTES: usize = 4096;

/// The `typ` of every statement that is signed with an approver's key.
const TYPES: [&str; 5] =
    [super::TYPE, BATCH_TYPE, standing::TYPE, crate::stop::TYPE, crate::autonomy::TYPE];

/// A digest that an approver signs, and the form in which a key file does.
///
/// Every kind of statement has a `typ` and members of its own, so that a
/// signature for one is none for another.
#[derive(Clone, Debug, PartialEq)]
pub struct Signable {
    typ: &'static str,
    digest: Digest,
    pub(super) payload: Object,
}

impl Signed {
    /// Whether this key made the signature, over whatever: of the keys of somebody
    /// whose signature [`Signable::verify`] accepted, this names the one.
    #[must_use]
    pub fn is_by(&self, key: &VerifyingKey) -> bool {
        const RULES: HeaderRules<'_> = HeaderRules::typed(&TYPES);
        let Self::Key(jws) = self.by() else { return false };
        let jws = Jws::parse(jws, MAX_SIGNED_BYTES).and_then(|jws| jws.check_header(&RULES));
        jws.is_ok_and(|jws| key.accepts(jws.algorithm()) && jws.verify(key).is_ok())
    }
}

impl Signable {
    pub(crate) const fn new(typ: &'static str, digest: Digest, payload: Object) -> Self {
        Self { typ, digest, payload }
    }

    /// What a passkey signs: the challenge.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Signs with an approver's key.
    ///
    /// # Errors
    /// [`KeyError`] when the library refuses to sign.
    pub fn sign(&self, signer: &dyn JwsSigner) -> Result<String, KeyError> {
        jose::sign(self.typ, None, &self.payload.clone().into(), signer)
    }

    /// Whether `signed` is a signature over this by somebody who enrolled
    /// `registered`, and how it was made.
    ///
    /// # Errors
    /// See [`ApprovalError`]; that of a batch is over something else.
    pub fn verify(
        &self,
        signed: &Signed,
        registered: &Registered<'_>,
    ) -> Result<Grade, ApprovalError> {
        match signed {
            Signed::Passkey(assertion) => self.verify_passkey(assertion, registered),
            Signed::Key(jws) => self.verify_key(jws, registered.keys),
            Signed::Batch(_) => Err(ApprovalError::OtherQuestion),
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
        let types = [self.typ];
        let rules = HeaderRules::typed(&types);
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
