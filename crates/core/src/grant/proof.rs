//! How a principal signs a grant (DESIGN §3.9): with a passkey, by logging in
//! at an identity provider with the grant's digest as `nonce`, or by a signed
//! request. A grant that nobody signed is attested by an administrator.

use super::{GrantError, Statement, TYPE, assertion};
use crate::crypto::KeyError;
use crate::id_token::{self, Expected, IdTokenIssuer, IdTokenProblem};
use crate::jose::{
    self, HeaderRules, JoseError, Jws, JwsSigner, SetKey, ThirdPartyKey, VerifyingKey,
};
use crate::json::{Json, Object};
use crate::limits::JsonLimits;
use crate::time::Timestamp;
use crate::webauthn::{Assertion, RelyingParty};

#[cfg(test)]
mod tests;

/// An `id_token` with its key is the largest.
const PROOF_JSON: JsonLimits = JsonLimits { max_bytes: 32 << 10, max_depth: 4, max_values: 64 };
const MAX_REQUEST_BYTES: usize = 4096;

/// A principal's signature over a grant's digest, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A compact JWS `{digest, grant}` of type [`TYPE`] by a key of the
    /// principal: a person's, or a service's. It may be an assertion
    /// (RFC 7523 §3) as well, and then carries its claims beside them.
    Request(String),
    /// A passkey's assertion whose challenge is the digest.
    Passkey(Assertion),
    /// An OpenID `id_token` whose `nonce` is the digest, with the provider's
    /// key that verified it: providers forget theirs.
    IdToken {
        /// The token.
        token: String,
        /// The key.
        key: ThirdPartyKey,
    },
    /// None: an administrator attests the grant.
    Attested,
}

/// How a grant was signed: what evidence reports and policy asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedBy {
    /// By a person's own key.
    Key,
    /// By a passkey.
    Passkey,
    /// By a login.
    IdToken,
    /// By a service's key.
    Service,
    /// By nobody but an administrator.
    Attested,
}

impl SignedBy {
    /// Its name in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Passkey => "passkey",
            Self::IdToken => "id_token",
            Self::Service => "service",
            Self::Attested => "attested",
        }
    }

    /// Whether the principal signed.
    #[must_use]
    pub const fn is_the_principals(self) -> bool {
        !matches!(self, Self::Attested)
    }
}

/// A passkey that a principal registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passkey {
    /// Its credential id.
    pub credential_id: Vec<u8>,
    /// Its key.
    pub key: ThirdPartyKey,
}

/// How a principal is known at an identity provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The provider's issuer identifier.
    pub issuer: String,
    /// `sub` there.
    pub subject: String,
}

impl Login {
    /// `{issuer, subject}`, as its registration commits to it.
    #[must_use]
    pub fn to_json(&self) -> Json {
        Object::new()
            .with("issuer", self.issuer.as_str())
            .with("subject", self.subject.as_str())
            .into()
    }

    /// Reads what [`Login::to_json`] writes, and nothing more.
    #[must_use]
    pub fn from_json(json: &Json) -> Option<Self> {
        let o = json.as_object().filter(|o| o.len() == 2)?;
        let text = |name: &str| o.member(name)?.as_str().map(str::to_owned);
        Some(Self { issuer: text("issuer")?, subject: text("subject")? })
    }
}

/// What this principal registered, and what is trusted beside it. All of it
/// was usable when the grant was signed; that is the caller's to know.
#[derive(Clone, Copy, Debug)]
pub struct Registered<'a> {
    /// The principal's own keys.
    pub keys: &'a [VerifyingKey],
    /// The principal's passkeys.
    pub passkeys: &'a [Passkey],
    /// The principal's names at identity providers.
    pub logins: &'a [Login],
    /// Where passkeys are used; without it none are.
    pub relying_party: Option<&'a RelyingParty>,
    /// The configured identity providers.
    pub issuers: &'a [IdTokenIssuer<'a>],
}

impl Registered<'_> {
    /// Nothing at all.
    pub const NOTHING: Registered<'static> =
        Registered { keys: &[], passkeys: &[], logins: &[], relying_party: None, issuers: &[] };
}

/// When a grant was signed.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Now; in evidence the time of the grant's entry.
    pub signed_at: Timestamp,
    /// Seconds that clocks may differ.
    pub skew_seconds: i64,
}

impl Proof {
    /// The text that is kept; nothing for an attested grant. A signed request
    /// is its own text.
    #[must_use]
    pub fn to_text(&self) -> Option<String> {
        let json = match self {
            Self::Attested => return None,
            Self::Request(jws) => return Some(jws.clone()),
            Self::Passkey(assertion) => Object::new().with("passkey", assertion.to_json()),
            Self::IdToken { token, key } => Object::new().with(
                "id_token",
                Object::new().with("token", token.as_str()).with("jwk", key.to_jwk()),
            ),
        };
        Some(Json::from(json).canonical())
    }

    /// Reads what [`Proof::to_text`] writes, and nothing more.
    ///
    /// # Errors
    /// [`GrantError::Member`], [`GrantError::Assertion`], [`GrantError::IdToken`].
    pub fn from_text(text: Option<&str>) -> Result<Self, GrantError> {
        let bad = GrantError::Member { member: "signature" };
        let Some(text) = text else { return Ok(Self::Attested) };
        // No compact JWS begins with a brace.
        if !text.starts_with('{') {
            return Ok(Self::Request(text.to_owned()));
        }
        let json = Json::parse(text.as_bytes(), &PROOF_JSON).map_err(|_| bad.clone())?;
        let o = json.as_object().filter(|o| o.len() == 1).ok_or(bad.clone())?;
        if let Some(assertion) = o.member("passkey") {
            return Assertion::from_json(assertion)
                .map(Self::Passkey)
                .map_err(GrantError::Assertion);
        }
        let o = o.member("id_token").and_then(Json::as_object).filter(|o| o.len() == 2);
        let o = o.ok_or(bad.clone())?;
        let token = o.member("token").and_then(Json::as_str).ok_or(bad.clone())?.to_owned();
        let jwk = o.member("jwk").and_then(Json::as_object).ok_or(bad)?;
        let key = ThirdPartyKey::from_jwk(jwk)
            .map_err(|e| GrantError::IdToken(IdTokenProblem::Jws(e.into())))?;
        Ok(Self::IdToken { token, key })
    }
}

impl Statement {
    /// The payload of a signed request.
    pub(super) fn request(&self) -> Object {
        Object::new().with("digest", self.digest()).with("grant", &self.id)
    }

    /// Signs the digest with a key of either kind, as a service does.
    ///
    /// # Errors
    /// [`KeyError`] when the library refuses to sign.
    pub fn sign_request(&self, signer: &dyn JwsSigner) -> Result<String, KeyError> {
        jose::sign(TYPE, None, &self.request().into(), signer)
    }

    /// Whether `proof` is this principal's signature over this very statement,
    /// and how it was made. For an attested grant it says so, and proves
    /// nothing.
    ///
    /// # Errors
    /// See [`GrantError`].
    pub fn verify_proof(
        &self,
        proof: &Proof,
        registered: &Registered<'_>,
        moment: &Moment,
    ) -> Result<SignedBy, GrantError> {
        match proof {
            Proof::Attested => Ok(SignedBy::Attested),
            Proof::Request(jws) => self.verify_request(jws, registered.keys, moment),
            Proof::Passkey(assertion) => self.verify_passkey(assertion, registered),
            Proof::IdToken { token, key } => self.verify_login(token, key, registered, moment),
        }
    }

    fn verify_request(
        &self,
        jws: &str,
        keys: &[VerifyingKey],
        moment: &Moment,
    ) -> Result<SignedBy, GrantError> {
        const RULES: HeaderRules<'_> = HeaderRules::typed(&[TYPE]);
        let jws = Jws::parse(jws, MAX_REQUEST_BYTES)
            .and_then(|jws| jws.check_header(&RULES))
            .map_err(GrantError::Jws)?;
        let mut refusal = GrantError::NotRegistered;
        for key in keys.iter().filter(|k| k.accepts(jws.algorithm())) {
            match jws.verify(key) {
                Ok(payload) if assertion::states(&payload, &self.request()) => {
                    assertion::check(&payload, self, moment).map_err(GrantError::Jws)?;
                    let service = self.principal.as_str().starts_with("service:");
                    return Ok(if service { SignedBy::Service } else { SignedBy::Key });
                }
                Ok(_) => return Err(GrantError::OtherStatement),
                Err(JoseError::Signature) => refusal = GrantError::Signature,
                Err(error) => return Err(GrantError::Jws(error)),
            }
        }
        Err(refusal)
    }

    fn verify_passkey(
        &self,
        assertion: &Assertion,
        registered: &Registered<'_>,
    ) -> Result<SignedBy, GrantError> {
        let relying_party = registered.relying_party.ok_or(GrantError::NotRegistered)?;
        let passkey = registered
            .passkeys
            .iter()
            .find(|p| p.credential_id == assertion.credential_id)
            .ok_or(GrantError::NotRegistered)?;
        assertion
            .verify(self.digest().bytes(), &passkey.key, relying_party)
            .map_err(GrantError::Assertion)?;
        Ok(SignedBy::Passkey)
    }

    fn verify_login(
        &self,
        token: &str,
        key: &ThirdPartyKey,
        registered: &Registered<'_>,
        moment: &Moment,
    ) -> Result<SignedBy, GrantError> {
        let mut refusal = GrantError::NotRegistered;
        for login in registered.logins {
            for issuer in registered.issuers.iter().filter(|i| i.issuer == login.issuer) {
                match self.logged_in(token, key, issuer, &login.subject, moment) {
                    Ok(()) => return Ok(SignedBy::IdToken),
                    Err(problem) => refusal = GrantError::IdToken(problem),
                }
            }
        }
        Err(refusal)
    }

    fn logged_in(
        &self,
        token: &str,
        key: &ThirdPartyKey,
        issuer: &IdTokenIssuer<'_>,
        subject: &str,
        moment: &Moment,
    ) -> Result<(), IdTokenProblem> {
        if !issuer.keys.contains(key) {
            return Err(IdTokenProblem::Key);
        }
        let claims = id_token::parse(token)?.verify(key)?;
        let expected = Expected {
            issuer: issuer.issuer,
            client_id: issuer.client_id,
            nonce: &self.digest().to_string(),
            now: moment.signed_at,
            skew_seconds: moment.skew_seconds,
            fresh: true,
        };
        if id_token::read(&claims, &expected)?.subject != subject {
            return Err(IdTokenProblem::Subject);
        }
        Ok(())
    }
}
