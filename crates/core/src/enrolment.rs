//! Enrolment: one statement, signed by both of an instance's keys, that binds
//! them to instance, agent and owner (DESIGN §2, `instance`).
//!
//! The form is the general JSON serialization of a JWS (RFC 7515 §7.2.1) with
//! two signatures over the same payload: Ed25519 by the holder key and ES256
//! by the identity key. Each proves possession of its own key.

/// An instance's ES256 key, public half.
pub use crate::crypto::P256PublicKey as IdentityKey;
/// An instance's ES256 key, private half.
pub use crate::crypto::P256SigningKey as IdentitySigningKey;
use crate::crypto::{KeyError, PublicKey, Signer, base64url, from_base64url, sha256};
use crate::guarantee::Isolation;
use crate::ids::{AgentId, InstanceId, PrincipalId};
use crate::json::{Json, Object};
use crate::limits::JsonLimits;
use crate::time::Timestamp;

/// The `typ` of both signatures.
pub const TYPE: &str = "bailiwick-enrolment+jwt";

/// What both keys sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The instance.
    pub instance: InstanceId,
    /// Its agent.
    pub agent: AgentId,
    /// The agent's owner.
    pub owner: PrincipalId,
    /// Which authority it enrols at.
    pub audience: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// The holder key.
    pub holder: PublicKey,
    /// The identity key.
    pub identity: IdentityKey,
    /// What keeps the program that runs as it from these keys.
    pub isolation: Isolation,
}

/// An enrolment that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnrolmentError {
    /// Not of the documented form.
    #[error("the enrolment's member `{member}` is missing or malformed")]
    Member {
        /// Which one.
        member: &'static str,
    },
    /// The holder key did not sign it.
    #[error("the holder key did not sign this enrolment")]
    HolderSignature,
    /// The identity key did not sign it.
    #[error("the identity key did not sign this enrolment")]
    IdentitySignature,
}

impl EnrolmentError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Member { .. } => "enrolment-malformed",
            Self::HolderSignature | Self::IdentitySignature => "enrolment-signature-invalid",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        "make the enrolment on the instance's host with `bailiwick instance new`"
    }
}

fn header(alg: &str) -> String {
    let header = Object::new().with("alg", alg).with("typ", TYPE);
    base64url(Json::from(header).canonical().as_bytes())
}

impl Statement {
    fn to_json(&self) -> Json {
        let statement = Object::new()
            .with("v", 1u64)
            .with("instance", &self.instance)
            .with("agent", &self.agent)
            .with("owner", &self.owner)
            .with("aud", self.audience.as_str())
            .with("made_at", self.made_at.to_string())
            .with("holder", self.holder.to_jwk())
            .with("identity", self.identity.to_jwk());
        match self.isolation.stated() {
            None => statement.into(),
            Some(stated) => statement.with("isolation", stated).into(),
        }
    }

    /// Signs the statement with both keys; the result is the enrolment request.
    ///
    /// # Errors
    /// [`KeyError`] when the library refuses to sign.
    pub fn sign(
        &self,
        holder: &dyn Signer,
        identity: &IdentitySigningKey,
    ) -> Result<Json, KeyError> {
        let payload = base64url(self.to_json().canonical().as_bytes());
        let (ed, es) = (header("Ed25519"), header("ES256"));
        let by_holder = holder.sign(format!("{ed}.{payload}").as_bytes());
        let by_identity = identity.sign(format!("{es}.{payload}").as_bytes())?;
        let signature = |protected: String, signature: &[u8]| {
            Json::from(
                Object::new().with("protected", protected).with("signature", base64url(signature)),
            )
        };
        Ok(Object::new()
            .with("payload", payload)
            .with("signatures", vec![signature(ed, &by_holder), signature(es, &by_identity)])
            .into())
    }

    /// Reads an enrolment and checks both signatures.
    ///
    /// # Errors
    /// See [`EnrolmentError`].
    pub fn verify(enrolment: &Json) -> Result<Self, EnrolmentError> {
        let bad = |member: &'static str| EnrolmentError::Member { member };
        let o = enrolment.as_object().filter(|o| o.len() == 2).ok_or(bad("payload"))?;
        let payload = o.member("payload").and_then(Json::as_str).ok_or(bad("payload"))?;
        let statement = from_base64url(payload)
            .and_then(|p| Json::parse(&p, &JsonLimits::DEFAULT).ok())
            .ok_or(bad("payload"))?;
        let statement = Self::read(&statement)?;
        let signatures =
            o.member("signatures").and_then(Json::as_array).ok_or(bad("signatures"))?;
        let [by_holder, by_identity] = signatures else { return Err(bad("signatures")) };
        // The two protected headers are fixed texts: nothing in them is chosen
        // by the sender.
        let part = |signature: &Json, alg: &str| {
            let o = signature.as_object().filter(|o| o.len() == 2)?;
            let protected = o.member("protected")?.as_str()?;
            let bytes = from_base64url(o.member("signature")?.as_str()?)?;
            (protected == header(alg)).then(|| (format!("{protected}.{payload}"), bytes))
        };
        let (input, bytes) = part(by_holder, "Ed25519").ok_or(bad("signatures"))?;
        if !statement.holder.verify(input.as_bytes(), &bytes) {
            return Err(EnrolmentError::HolderSignature);
        }
        let (input, bytes) = part(by_identity, "ES256").ok_or(bad("signatures"))?;
        if !statement.identity.verify(input.as_bytes(), &bytes) {
            return Err(EnrolmentError::IdentitySignature);
        }
        Ok(statement)
    }

    fn read(json: &Json) -> Result<Self, EnrolmentError> {
        let bad = |member: &'static str| EnrolmentError::Member { member };
        let o = json.as_object().ok_or(bad("payload"))?;
        let text =
            |member: &'static str| o.member(member).and_then(Json::as_str).ok_or(bad(member));
        let jwk =
            |member: &'static str| o.member(member).and_then(Json::as_object).ok_or(bad(member));
        let statement = Self {
            instance: InstanceId::parse(text("instance")?).map_err(|_| bad("instance"))?,
            agent: AgentId::parse(text("agent")?).map_err(|_| bad("agent"))?,
            owner: PrincipalId::parse(text("owner")?).map_err(|_| bad("owner"))?,
            audience: text("aud")?.to_owned(),
            made_at: text("made_at")?.parse().map_err(|_| bad("made_at"))?,
            holder: PublicKey::from_jwk(jwk("holder")?).map_err(|_| bad("holder"))?,
            identity: IdentityKey::from_jwk(jwk("identity")?).map_err(|_| bad("identity"))?,
            isolation: Isolation::recorded(o.member("isolation")).ok_or(bad("isolation"))?,
        };
        if statement.to_json() != *json {
            return Err(bad("(unknown)"));
        }
        Ok(statement)
    }

    /// What an enrolment on record states of isolation. Its signatures were
    /// verified when it was recorded; what cannot be read is no isolation.
    #[must_use]
    pub fn recorded_isolation(enrolment: &str) -> Isolation {
        let stated = || {
            let enrolment = Json::parse(enrolment.as_bytes(), &JsonLimits::DEFAULT).ok()?;
            let payload = from_base64url(enrolment.as_object()?.member("payload")?.as_str()?)?;
            let statement = Json::parse(&payload, &JsonLimits::DEFAULT).ok()?;
            Isolation::recorded(statement.as_object()?.member("isolation"))
        };
        stated().unwrap_or(Isolation::None)
    }

    /// SHA-256 over the canonical enrolment, as the ledger states it.
    #[must_use]
    pub fn digest(enrolment: &Json) -> crate::crypto::Digest {
        sha256(enrolment.canonical().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{SigningKey, fresh_p256};

    #[test]
    fn an_enrolment_holds_only_with_both_keys_signatures() {
        let holder = SigningKey::from_seed(&[1; 32]).unwrap();
        let identity = fresh_p256();
        let now = Timestamp::from_seconds(1_704_067_500);
        let statement = Statement {
            instance: InstanceId::mint(now, [1; 10]),
            agent: AgentId::parse("agent:support-runner").unwrap(),
            owner: PrincipalId::parse("user:7").unwrap(),
            audience: "http://localhost:4000".into(),
            made_at: now,
            holder: holder.public_key(),
            identity: identity.public_key(),
            isolation: Isolation::Unstated,
        };
        for isolation in Isolation::ALL {
            let stated = Statement { isolation: *isolation, ..statement.clone() };
            let enrolment = stated.sign(&holder, &identity).unwrap();
            assert_eq!(Statement::verify(&enrolment), Ok(stated));
            assert_eq!(Statement::recorded_isolation(&enrolment.canonical()), *isolation);
        }
        assert_eq!(Statement::recorded_isolation("{}"), Isolation::None);
        let enrolment = statement.sign(&holder, &identity).unwrap();
        assert_eq!(Statement::verify(&enrolment), Ok(statement.clone()));

        let other = SigningKey::from_seed(&[2; 32]).unwrap();
        let forged = statement.sign(&other, &identity).unwrap();
        assert_eq!(Statement::verify(&forged), Err(EnrolmentError::HolderSignature));
        let forged = statement.sign(&holder, &fresh_p256()).unwrap();
        assert_eq!(Statement::verify(&forged), Err(EnrolmentError::IdentitySignature));

        let text = enrolment.canonical();
        for i in 0..text.len() {
            let mut bad = text.clone().into_bytes();
            bad[i] ^= 1;
            if let Ok(bad) = Json::parse(&bad, &JsonLimits::DEFAULT) {
                assert!(Statement::verify(&bad).is_err(), "byte {i}");
            }
        }
    }
}
