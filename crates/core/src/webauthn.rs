//! WebAuthn assertions: how a person's passkey signs a grant or an approval
//! (WebAuthn L3 §7.2). The challenge is the 32-byte digest that is signed.
//!
//! Registration is the authority's and needs a library; verifying what a
//! registered passkey signed is a short, pure function, so that anybody can do
//! it offline.

use crate::crypto::{base64url, from_base64url, sha256};
use crate::jose::{ThirdPartyKey, Verifier, VerifyingKey};
use crate::json::{Json, Object};
use crate::limits::JsonLimits;

#[cfg(test)]
pub(crate) mod tests;

/// Longest credential id that authenticators make (WebAuthn L3 §4).
const MAX_CREDENTIAL_ID: usize = 1023;
/// 37 bytes, and room for extension outputs.
const MAX_AUTHENTICATOR_DATA: usize = 1024;
const MAX_CLIENT_DATA: usize = 4096;
/// An ECDSA signature in DER has at most 72 bytes, one by the RSA keys of
/// authenticators (2048 bits) 256.
const MAX_SIGNATURE: usize = 256;
const CLIENT_DATA_JSON: JsonLimits =
    JsonLimits { max_bytes: MAX_CLIENT_DATA, max_depth: 4, max_values: 64 };

/// Flags of authenticator data (WebAuthn L3 §6.1).
mod flag {
    pub(super) const USER_PRESENT: u8 = 1;
    pub(super) const USER_VERIFIED: u8 = 1 << 2;
    pub(super) const BACKUP_ELIGIBLE: u8 = 1 << 3;
    pub(super) const BACKED_UP: u8 = 1 << 4;
    pub(super) const EXTENSIONS: u8 = 1 << 7;
    /// All that an assertion may have: no attested credential data and no
    /// reserved bit.
    pub(super) const KNOWN: u8 =
        USER_PRESENT | USER_VERIFIED | BACKUP_ELIGIBLE | BACKED_UP | EXTENSIONS;
}

/// For whom passkeys were made and where they may be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelyingParty {
    /// The relying party's id: a domain.
    pub id: String,
    /// The origins whose pages may ask, exact texts: `https://console.example`.
    pub origins: Vec<String>,
}

/// An assertion as it is kept; nothing in it is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion {
    /// Which credential signed.
    pub credential_id: Vec<u8>,
    /// What the authenticator says.
    pub authenticator_data: Vec<u8>,
    /// What the browser says, as it was signed.
    pub client_data_json: Vec<u8>,
    /// ES256 in DER, RS256, or Ed25519.
    pub signature: Vec<u8>,
}

/// What an assertion that held says about its authenticator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asserted {
    /// The signature counter; 0 where the authenticator keeps none.
    pub counter: u32,
    /// Whether the credential may be copied to other devices.
    pub backup_eligible: bool,
    /// Whether it was.
    pub backed_up: bool,
}

impl Asserted {
    /// Whether the counter follows the one seen last; if not, the credential
    /// may have been cloned (WebAuthn L3 §7.2 step 22).
    #[must_use]
    pub fn follows(&self, last_counter: u32) -> bool {
        (self.counter == 0 && last_counter == 0) || self.counter > last_counter
    }
}

/// An assertion that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    /// A member is missing, too long or malformed.
    #[error("the assertion's member `{member}` is missing, too long or malformed")]
    Member {
        /// Which one.
        member: &'static str,
    },
    /// Made for something else than an assertion.
    #[error("the client data's type is not `webauthn.get`")]
    Type,
    /// Over another digest.
    #[error("the passkey signed another digest than the expected one")]
    Challenge,
    /// Asked for by a page elsewhere.
    #[error("the passkey was asked by a page of an origin that is not allowed")]
    Origin,
    /// Asked for inside another site's page.
    #[error("the passkey was asked from inside a page of another origin")]
    CrossOrigin,
    /// Made for another relying party.
    #[error("the passkey signed for another relying party")]
    RelyingParty,
    /// Nobody was there.
    #[error("the authenticator does not say that a person was present")]
    NotPresent,
    /// Whoever was there was not verified.
    #[error("the authenticator does not say that it verified the person")]
    NotVerified,
    /// Flags that contradict each other, or that an assertion cannot have.
    #[error("the authenticator's flags contradict each other or are not known")]
    Flags,
    /// The signature does not hold.
    #[error("the passkey's signature does not hold under the registered key")]
    Signature,
}

impl AssertionError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Member { .. } => "assertion-malformed",
            Self::Type => "assertion-type-invalid",
            Self::Challenge => "assertion-other-digest",
            Self::Origin | Self::CrossOrigin => "assertion-origin-not-allowed",
            Self::RelyingParty => "assertion-other-relying-party",
            Self::NotPresent | Self::NotVerified => "assertion-person-not-verified",
            Self::Flags => "assertion-flags-invalid",
            Self::Signature => "assertion-signature-invalid",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Member { .. } | Self::Type | Self::Flags => {
                "send the assertion as the browser returned it"
            }
            Self::Challenge => "sign what is shown now: load the page again",
            Self::Origin | Self::CrossOrigin | Self::RelyingParty => {
                "sign on the authority's own page"
            }
            Self::NotPresent | Self::NotVerified => {
                "unlock the passkey with its PIN, fingerprint or face"
            }
            Self::Signature => "use a passkey that is registered for this person",
        }
    }
}

impl Assertion {
    /// The JSON form that is kept.
    #[must_use]
    pub fn to_json(&self) -> Json {
        Object::new()
            .with("credential_id", base64url(&self.credential_id))
            .with("authenticator_data", base64url(&self.authenticator_data))
            .with("client_data_json", base64url(&self.client_data_json))
            .with("signature", base64url(&self.signature))
            .into()
    }

    /// Reads what [`Assertion::to_json`] writes, and nothing more.
    ///
    /// # Errors
    /// [`AssertionError::Member`].
    pub fn from_json(json: &Json) -> Result<Self, AssertionError> {
        let o = json.as_object().filter(|o| o.len() == 4);
        let o = o.ok_or(AssertionError::Member { member: "assertion" })?;
        Ok(Self {
            credential_id: bytes(o, "credential_id", MAX_CREDENTIAL_ID)?,
            authenticator_data: bytes(o, "authenticator_data", MAX_AUTHENTICATOR_DATA)?,
            client_data_json: bytes(o, "client_data_json", MAX_CLIENT_DATA)?,
            signature: bytes(o, "signature", MAX_SIGNATURE)?,
        })
    }

    /// Reads what `PublicKeyCredential.toJSON()` gives in a browser
    /// (WebAuthn L3 §5.1, `AuthenticationResponseJSON`). Members that verify
    /// nothing are ignored.
    ///
    /// # Errors
    /// [`AssertionError::Member`].
    pub fn from_browser(json: &Json) -> Result<Self, AssertionError> {
        let bad = |member| AssertionError::Member { member };
        let o = json.as_object().ok_or(bad("assertion"))?;
        if o.member("type").and_then(Json::as_str) != Some("public-key") {
            return Err(bad("type"));
        }
        let response = o.member("response").and_then(Json::as_object).ok_or(bad("response"))?;
        Ok(Self {
            credential_id: bytes(o, "id", MAX_CREDENTIAL_ID)?,
            authenticator_data: bytes(response, "authenticatorData", MAX_AUTHENTICATOR_DATA)?,
            client_data_json: bytes(response, "clientDataJSON", MAX_CLIENT_DATA)?,
            signature: bytes(response, "signature", MAX_SIGNATURE)?,
        })
    }

    /// Verifies that the holder of `key` signed `challenge` on a page of
    /// `relying_party`, present and verified (WebAuthn L3 §7.2, steps 11 to 21).
    /// That `key` is the one registered under
    /// [`credential_id`](Assertion::credential_id), for the person in question,
    /// is the caller's to look up.
    ///
    /// # Errors
    /// See [`AssertionError`].
    pub fn verify(
        &self,
        challenge: &[u8; 32],
        key: &ThirdPartyKey,
        relying_party: &RelyingParty,
    ) -> Result<Asserted, AssertionError> {
        self.check_client_data(challenge, relying_party)?;
        let asserted = self.check_authenticator_data(relying_party)?;
        let mut signed = self.authenticator_data.clone();
        signed.extend_from_slice(sha256(&self.client_data_json).bytes());
        let holds = match key {
            ThirdPartyKey::Own(VerifyingKey::Ed25519(key)) => key.verify(&signed, &self.signature),
            ThirdPartyKey::Own(VerifyingKey::P256(key)) => key.verify_der(&signed, &self.signature),
            // WebAuthn L3 §5.8.5: -257 is what authenticators with RSA have.
            ThirdPartyKey::Rsa(_) => Verifier::verify(key, "RS256", &signed, &self.signature),
        };
        if holds { Ok(asserted) } else { Err(AssertionError::Signature) }
    }

    fn check_client_data(
        &self,
        challenge: &[u8; 32],
        relying_party: &RelyingParty,
    ) -> Result<(), AssertionError> {
        let bad = AssertionError::Member { member: "client_data_json" };
        let data = Json::parse(&self.client_data_json, &CLIENT_DATA_JSON).map_err(|_| bad)?;
        let data = data.as_object().ok_or(bad)?;
        let text = |name| data.member(name).and_then(Json::as_str);
        if text("type") != Some("webauthn.get") {
            return Err(AssertionError::Type);
        }
        if text("challenge") != Some(base64url(challenge).as_str()) {
            return Err(AssertionError::Challenge);
        }
        if !text("origin").is_some_and(|o| relying_party.origins.iter().any(|known| known == o)) {
            return Err(AssertionError::Origin);
        }
        // SECURITY: another site's page may frame ours, and show what it likes
        // around it.
        match data.member("crossOrigin") {
            None | Some(Json::Bool(false)) => {}
            Some(_) => return Err(AssertionError::CrossOrigin),
        }
        if data.member("topOrigin").is_some() {
            return Err(AssertionError::CrossOrigin);
        }
        Ok(())
    }

    fn check_authenticator_data(
        &self,
        relying_party: &RelyingParty,
    ) -> Result<Asserted, AssertionError> {
        let bad = AssertionError::Member { member: "authenticator_data" };
        let (hash, rest) = self.authenticator_data.split_first_chunk::<32>().ok_or(bad)?;
        let (flags, rest) = rest.split_first().ok_or(bad)?;
        let (counter, extensions) = rest.split_first_chunk::<4>().ok_or(bad)?;
        if hash != sha256(relying_party.id.as_bytes()).bytes() {
            return Err(AssertionError::RelyingParty);
        }
        let has = |flag: u8| flags & flag != 0;
        if !has(flag::USER_PRESENT) {
            return Err(AssertionError::NotPresent);
        }
        if !has(flag::USER_VERIFIED) {
            return Err(AssertionError::NotVerified);
        }
        if flags & !flag::KNOWN != 0 || (has(flag::BACKED_UP) && !has(flag::BACKUP_ELIGIBLE)) {
            return Err(AssertionError::Flags);
        }
        // Nobody asked for extensions, so what they say changes nothing; but
        // bytes that no flag announces are something else.
        if has(flag::EXTENSIONS) == extensions.is_empty() {
            return Err(bad);
        }
        Ok(Asserted {
            counter: u32::from_be_bytes(*counter),
            backup_eligible: has(flag::BACKUP_ELIGIBLE),
            backed_up: has(flag::BACKED_UP),
        })
    }
}

fn bytes(o: &Object, member: &'static str, max: usize) -> Result<Vec<u8>, AssertionError> {
    o.member(member)
        .and_then(Json::as_str)
        .filter(|text| text.len() <= max.div_ceil(3) * 4)
        .and_then(from_base64url)
        .filter(|bytes| (1..=max).contains(&bytes.len()))
        .ok_or(AssertionError::Member { member })
}
