//! Workload identity tokens of instances and proofs by their keys (WIMSE
//! workload credentials, WIMSE workload proof token, SPIFFE WIT-SVID).
//!
//! A WIT says which SPIFFE ID the holder of one ES256 key has, for a short
//! time. It is never a bearer credential: beside it stands a WPT, signed with
//! that key for one endpoint.

use crate::crypto::{Digest, KeyError, P256PublicKey, P256SigningKey, sha256};
use crate::guarantee::Isolation;
use crate::ids::{AgentId, InstanceId};
use crate::jose::{self, HeaderRules, JoseError, Jws, VerifyingKey, numeric_date};
use crate::json::{Json, Object};
use crate::time::Timestamp;

#[cfg(test)]
mod tests;

/// Claim: what keeps the instance's program from its keys. Left out where
/// nothing is stated.
pub const ISOLATION: &str = "urn:bailiwick:claim:isolation";

/// The `typ` of an identity token.
pub const TYPE: &str = "wit+jwt";
/// The `typ` of a proof by its key.
pub const PROOF_TYPE: &str = "wpt+jwt";

const MAX_TOKEN_BYTES: usize = 4096;
const MAX_PROOF_BYTES: usize = 4096;
/// A SPIFFE ID has at most 2048 bytes (SPIFFE-ID §2.3).
const MAX_SUBJECT_BYTES: usize = 2048;
/// Identifiers that end up in records are short.
const MAX_JTI_BYTES: usize = 256;

/// What an identity token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The authority that says it.
    pub issuer: String,
    /// The one SPIFFE ID: `spiffe://<trust domain>/agent/<name>/<instance>`.
    pub spiffe_id: String,
    /// The instance's identity key.
    pub key: P256PublicKey,
    /// When it was issued.
    pub issued_at: i64,
    /// When it ends, seconds.
    pub expires_at: i64,
    /// Its id.
    pub jti: String,
    /// What keeps the instance's program from its keys, as the issuer vouches.
    pub isolation: Isolation,
}

/// What a verifier asks of an identity token.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The issuer that speaks for the trust domain; configured, never taken
    /// from a token.
    pub issuer: &'a str,
    /// The trust domain.
    pub trust_domain: &'a str,
    /// The issuer's keys by `kid`.
    pub keys: &'a [(String, VerifyingKey)],
    /// Now.
    pub now: Timestamp,
    /// Seconds that clocks may differ.
    pub skew_seconds: i64,
    /// Seconds from `iat` to `exp` at most.
    pub max_lifetime_seconds: i64,
}

/// What a verifier asks of a proof.
#[derive(Clone, Copy, Debug)]
pub struct ProofExpected<'a> {
    /// The endpoint's URI as configured, without query and fragment.
    pub audience: &'a str,
    /// Now.
    pub now: Timestamp,
    /// Seconds that clocks may differ.
    pub skew_seconds: i64,
    /// Seconds that a proof may still live at most.
    pub max_lifetime_seconds: i64,
}

/// A proof that held; its `jti` must be spent until `expires_at` plus the skew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Its `jti`.
    pub jti: String,
    /// Its `exp`, seconds.
    pub expires_at: i64,
}

/// An identity token or proof that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitError {
    /// Framing, header, signature or claims.
    #[error(transparent)]
    Jws(#[from] JoseError),
    /// The header names no key of the issuer.
    #[error("the identity token's `kid` names no key of its issuer")]
    Key,
    /// Of another issuer.
    #[error("the identity token is of an issuer that does not speak for this trust domain")]
    Issuer,
    /// No SPIFFE ID of the trust domain.
    #[error("the identity token's subject is no SPIFFE ID of this trust domain")]
    Subject,
    /// Over, not begun, or living too long.
    #[error("the identity token has run out, has not begun, or lives longer than allowed")]
    Time,
    /// For another endpoint.
    #[error("the workload proof was made for another endpoint")]
    ProofAudience,
    /// Beside another identity token.
    #[error("the workload proof was made for another identity token")]
    ProofToken,
    /// Over, or living too long.
    #[error("the workload proof has run out or lives longer than allowed")]
    ProofTime,
    /// Binds a token that did not come with the request.
    #[error("the workload proof names a token that did not come with the request")]
    ProofOtherToken,
}

impl WitError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Jws(e) => e.code(),
            Self::Key => "wit-key-unknown",
            Self::Issuer => "wit-issuer-untrusted",
            Self::Subject => "wit-subject-invalid",
            Self::Time => "wit-time-invalid",
            Self::ProofAudience => "wpt-other-audience",
            Self::ProofToken => "wpt-other-identity",
            Self::ProofTime => "wpt-time-invalid",
            Self::ProofOtherToken => "wpt-other-token",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Jws(e) => e.remedy(),
            Self::Key | Self::Issuer | Self::Subject => {
                "use the identity token that this authority issued to the instance"
            }
            Self::Time => "renew the identity token, and check the clocks",
            Self::ProofAudience => "make the proof for the endpoint's URI without its query",
            Self::ProofToken => "make the proof for the identity token that goes with it",
            Self::ProofTime => "make a fresh proof for each request, and check the clocks",
            Self::ProofOtherToken => "send the tokens that the proof names",
        }
    }
}

/// The SPIFFE ID of an instance: below its agent's, so that one statement
/// names both.
#[must_use]
pub fn instance_spiffe_id(trust_domain: &str, agent: &AgentId, instance: &InstanceId) -> String {
    format!("{}/{}", agent.spiffe_id(trust_domain), instance.as_str())
}

/// Reads what [`instance_spiffe_id`] writes.
#[must_use]
pub fn read_instance_spiffe_id(
    spiffe_id: &str,
    trust_domain: &str,
) -> Option<(AgentId, InstanceId)> {
    let path = spiffe_id.strip_prefix("spiffe://")?.strip_prefix(trust_domain)?;
    let (agent, instance) = path.strip_prefix("/agent/")?.split_once('/')?;
    let agent = AgentId::parse(&format!("agent:{agent}")).ok()?;
    Some((agent, InstanceId::parse(instance).ok()?))
}

/// How an instance of another trust domain is named here: its SPIFFE ID is never
/// that of a local agent, whatever its path is.
#[must_use]
pub fn read_peer_spiffe_id(spiffe_id: &str, trust_domain: &str) -> Option<(AgentId, InstanceId)> {
    let (agent, _) = read_instance_spiffe_id(spiffe_id, trust_domain)?;
    Some((agent.of_peer(trust_domain)?, InstanceId::of_peer(spiffe_id)))
}

/// SPIFFE-ID §2: scheme and trust domain in lower case, a path of plain
/// segments, no query, fragment, port or user.
fn is_spiffe_id_of(spiffe_id: &str, trust_domain: &str) -> bool {
    let Some(path) = spiffe_id
        .strip_prefix("spiffe://")
        .and_then(|rest| rest.strip_prefix(trust_domain))
        .and_then(|path| path.strip_prefix('/'))
    else {
        return false;
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    spiffe_id.len() <= MAX_SUBJECT_BYTES
        && path.split('/').all(|segment| {
            !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(plain)
        })
}

impl Identity {
    /// Issues the token, signed with the identity CA's ES256 key under `kid`,
    /// which SPIFFE requires (WIT-SVID §4).
    ///
    /// # Errors
    /// [`KeyError`] when the library refuses to sign.
    pub fn issue(&self, kid: &str, signer: &P256SigningKey) -> Result<String, KeyError> {
        let claims = Object::new()
            .with("iss", self.issuer.as_str())
            .with("sub", self.spiffe_id.as_str())
            .with("cnf", Object::new().with("jwk", self.key.to_jwk().with("alg", "ES256")))
            .with("iat", self.issued_at)
            .with("exp", self.expires_at)
            .with("jti", self.jti.as_str());
        let claims = match self.isolation.stated() {
            None => claims,
            Some(stated) => claims.with(ISOLATION, stated),
        };
        jose::sign(TYPE, Some(kid), &claims.into(), signer)
    }

    /// Verifies a token.
    ///
    /// # Errors
    /// See [`WitError`].
    pub fn verify(token: &str, expected: &Expected<'_>) -> Result<Self, WitError> {
        const RULES: HeaderRules<'_> = HeaderRules::typed(&[TYPE]);
        let jws = Jws::parse(token, MAX_TOKEN_BYTES)?.check_header(&RULES)?;
        let kid = jws.kid().ok_or(WitError::Key)?;
        let (_, key) = expected.keys.iter().find(|(k, _)| k == kid).ok_or(WitError::Key)?;
        // WIT-SVID §3 lists no EdDSA.
        if !matches!(key, VerifyingKey::P256(_)) {
            return Err(JoseError::Algorithm.into());
        }
        let claims = jws.verify(key)?;
        let issuer = text(&claims, "iss", MAX_SUBJECT_BYTES)?;
        if issuer != expected.issuer {
            return Err(WitError::Issuer);
        }
        let spiffe_id = text(&claims, "sub", MAX_SUBJECT_BYTES)?;
        if !is_spiffe_id_of(spiffe_id, expected.trust_domain) {
            return Err(WitError::Subject);
        }
        let (issued_at, expires_at) =
            (numeric_date(&claims, "iat")?, numeric_date(&claims, "exp")?);
        let (now, skew) = (expected.now.seconds(), expected.skew_seconds);
        if now >= expires_at.saturating_add(skew)
            || issued_at > now.saturating_add(skew)
            || expires_at <= issued_at
            || expires_at.saturating_sub(issued_at) > expected.max_lifetime_seconds
        {
            return Err(WitError::Time);
        }
        let jti = text(&claims, "jti", MAX_JTI_BYTES)?.to_owned();
        let bad = JoseError::Claims { claim: "cnf" };
        let jwk = claims
            .member("cnf")
            .and_then(Json::as_object)
            .filter(|cnf| cnf.len() == 1)
            .and_then(|cnf| cnf.member("jwk")?.as_object())
            .ok_or(bad)?;
        // The algorithm of the proof is stated here, and nowhere else.
        if jwk.member("alg").and_then(Json::as_str) != Some("ES256") {
            return Err(bad.into());
        }
        let Ok(VerifyingKey::P256(key)) = VerifyingKey::from_jwk(jwk) else {
            return Err(bad.into());
        };
        let isolation = Isolation::recorded(claims.member(ISOLATION));
        let isolation = isolation.ok_or(JoseError::Claims { claim: "isolation" })?;
        let (issuer, spiffe_id) = (issuer.to_owned(), spiffe_id.to_owned());
        Ok(Self { issuer, spiffe_id, key, issued_at, expires_at, jti, isolation })
    }

    /// Verifies a proof that came with the verified identity token `token` as
    /// client authentication, without access or transaction token beside it
    /// (WPT §2.2, §3).
    ///
    /// # Errors
    /// See [`WitError`].
    pub fn verify_proof(
        &self,
        token: &str,
        proof: &str,
        expected: &ProofExpected<'_>,
    ) -> Result<Proof, WitError> {
        const RULES: HeaderRules<'_> = HeaderRules::typed(&[PROOF_TYPE]);
        let jws = Jws::parse(proof, MAX_PROOF_BYTES)?.check_header(&RULES)?;
        let claims = jws.verify(&VerifyingKey::P256(self.key))?;
        if claims.member("aud").and_then(Json::as_str) != Some(expected.audience) {
            return Err(WitError::ProofAudience);
        }
        let hash = claims.member("wth").and_then(Json::as_str).and_then(Digest::from_text);
        if hash != Some(sha256(token.as_bytes())) {
            return Err(WitError::ProofToken);
        }
        // What these bind did not come; nothing in `oth` is understood.
        if ["ath", "tth", "oth"].iter().any(|bound| claims.member(bound).is_some()) {
            return Err(WitError::ProofOtherToken);
        }
        let expires_at = numeric_date(&claims, "exp")?;
        let (now, skew) = (expected.now.seconds(), expected.skew_seconds);
        if now >= expires_at.saturating_add(skew)
            || expires_at.saturating_sub(now) > expected.max_lifetime_seconds.saturating_add(skew)
        {
            return Err(WitError::ProofTime);
        }
        Ok(Proof { jti: text(&claims, "jti", MAX_JTI_BYTES)?.to_owned(), expires_at })
    }
}

/// Makes a proof by an instance's identity key.
///
/// # Errors
/// [`KeyError`] when the library refuses to sign.
pub fn prove(
    signer: &P256SigningKey,
    token: &str,
    audience: &str,
    expires_at: i64,
    jti: &str,
) -> Result<String, KeyError> {
    let claims = Object::new()
        .with("aud", audience)
        .with("exp", expires_at)
        .with("jti", jti)
        .with("wth", sha256(token.as_bytes()));
    jose::sign(PROOF_TYPE, None, &claims.into(), signer)
}

fn text<'c>(claims: &'c Object, claim: &'static str, max: usize) -> Result<&'c str, JoseError> {
    claims
        .member(claim)
        .and_then(Json::as_str)
        .filter(|text| (1..=max).contains(&text.len()))
        .ok_or(JoseError::Claims { claim })
}
