//! Passkeys: made after a one-time link, used to sign in.
//!
//! `webauthn-rs` judges registrations and logins; its challenges are its own.
//! What a passkey signs for a grant has the grant's digest as challenge, which
//! that library cannot set: the core's own verifier judges it, with the key
//! that [`Enrolled::jwk`] holds. So only keys that both know are accepted.
//!
//! The states between the two steps of a ceremony stay on the server, in
//! single-use tickets.

use bailiwick_core::crypto::base64url;
use bailiwick_core::ids::Alias;
use bailiwick_core::jose::{SetKey as _, ThirdPartyKey};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use url::Url;
use webauthn_rs::prelude::{
    COSEKeyType, DiscoverableAuthentication, ECDSACurve, Passkey, PasskeyRegistration,
    PublicKeyCredential, RegisterPublicKeyCredential, Uuid, Webauthn, WebauthnBuilder,
    WebauthnError,
};

/// Passkeys of one person at most.
pub const MAX_PASSKEYS: usize = 20;
/// Characters of a passkey's name at most.
pub const MAX_LABEL: usize = 64;
/// Seconds within which a ceremony is to be finished.
pub const CEREMONY_SECONDS: i64 = 5 * 60;

/// What a browser sends of a credential.
const CREDENTIAL_LIMITS: JsonLimits =
    JsonLimits { max_bytes: 64 * 1024, max_depth: 8, max_values: 200 };

/// `ES256` (COSE -7), which nearly every authenticator has, and `RS256` (-257)
/// for those that have no other, such as Windows Hello on older machines. What
/// is not here is what the library does not verify: `EdDSA` (-8).
const ALGORITHMS: [i64; 2] = [-7, -257];

/// Why a passkey was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasskeyError {
    /// The address cannot have passkeys.
    #[error("passkeys need a host name, and `{issuer}` has none")]
    Address {
        /// The installation's URL.
        issuer: String,
    },
    /// The answer of the browser cannot be read.
    #[error("the passkey's answer cannot be read")]
    Form,
    /// The name is empty or too long.
    #[error("a passkey's name has 1 to {MAX_LABEL} characters")]
    Label,
    /// Taking it away would lock the person out.
    #[error("this is the only passkey: without it nobody could sign in as this person")]
    Last,
    /// A key of a kind that grants cannot be signed with.
    #[error("the passkey's key is of another kind than ES256 or RS256")]
    KeyKind,
    /// The person has no such passkey.
    #[error("this passkey is not registered here")]
    Unknown,
    /// The counter went back: there may be a copy.
    #[error("the passkey's counter went back: there may be a copy of it")]
    Counter,
    /// It is somebody's already.
    #[error("this passkey is registered already")]
    Taken,
    /// As many as a person may have.
    #[error("a person has at most {MAX_PASSKEYS} passkeys")]
    TooMany,
    /// It does not hold.
    #[error("the passkey's answer does not hold")]
    Invalid,
}

impl PasskeyError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Address { .. } => "passkey-address",
            Self::Form => "passkey-malformed",
            Self::Label => "passkey-label",
            Self::Last => "passkey-last",
            Self::KeyKind => "passkey-key-kind",
            Self::Unknown => "passkey-unknown",
            Self::Counter => "passkey-counter",
            Self::Taken => "passkey-taken",
            Self::TooMany => "passkey-too-many",
            Self::Invalid => "passkey-invalid",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Address { .. } => {
                "reach the console by a host name, for example `http://localhost:PORT`"
            }
            Self::Form | Self::Invalid => "load the page again, then try once more",
            Self::Label => "give it a short name",
            Self::Last => "add another passkey first, or ask an owner for a recovery link",
            Self::KeyKind => "use another authenticator",
            Self::Unknown => "use a passkey that you made here, or ask an owner for a link",
            Self::Counter => "remove this passkey and make a new one",
            Self::Taken => "use another authenticator, or sign in with this one",
            Self::TooMany => "remove one that you no longer use",
        }
    }
}

/// A passkey that was just made.
#[derive(Clone, Debug, PartialEq)]
pub struct Enrolled {
    /// Its id, base64url.
    pub id: String,
    /// Its public key.
    pub jwk: Object,
    /// What the library keeps of it, as JSON text.
    pub kept: String,
}

/// A login that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedIn {
    /// The passkey's id.
    pub id: String,
    /// Its signature counter; 0 where the authenticator keeps none.
    pub counter: u32,
}

/// A ceremony that has begun.
#[derive(Clone, Debug, PartialEq)]
pub struct Begun {
    /// What the page's script hands to the browser.
    pub options: Json,
    /// What the server keeps until it is finished.
    pub state: String,
}

/// The relying party of one installation.
#[derive(Clone, Debug)]
pub struct Passkeys {
    webauthn: Webauthn,
    relying_party: String,
}

impl Passkeys {
    /// For the installation's URL: its host is the relying party, and it is the
    /// only origin.
    ///
    /// # Errors
    /// [`PasskeyError::Address`] for an address without a host name.
    pub fn of(issuer: &str) -> Result<Self, PasskeyError> {
        let address = || PasskeyError::Address { issuer: issuer.to_owned() };
        let origin = Url::parse(issuer).map_err(|_| address())?;
        let host = origin.domain().ok_or_else(address)?.to_owned();
        let built =
            WebauthnBuilder::new(&host, &origin).and_then(|b| b.rp_name("Bailiwick").build());
        Ok(Self { webauthn: built.map_err(|_| address())?, relying_party: host })
    }

    /// The relying party id.
    #[must_use]
    pub fn relying_party(&self) -> &str {
        &self.relying_party
    }

    /// Begins making a passkey for a person who has `existing` ones. The
    /// alias, which says nothing, is the handle that authenticators keep.
    ///
    /// # Errors
    /// [`PasskeyError::TooMany`], [`PasskeyError::Form`].
    pub fn begin_enrolment(
        &self,
        principal: &Alias,
        name: &str,
        existing: &[String],
    ) -> Result<Begun, PasskeyError> {
        if existing.len() >= MAX_PASSKEYS {
            return Err(PasskeyError::TooMany);
        }
        let handle = Uuid::parse_str(principal.as_str()).map_err(|_| PasskeyError::Form)?;
        let existing: Result<Vec<_>, _> =
            existing.iter().map(|kept| Ok(passkey(kept)?.cred_id().clone())).collect();
        let (options, state) = self
            .webauthn
            .start_passkey_registration(handle, name, name, Some(existing?))
            .map_err(of_library)?;
        let mut options = to_json(&options)?;
        adjust(&mut options).ok_or(PasskeyError::Form)?;
        Ok(Begun { options, state: to_text(&state)? })
    }

    /// Takes the passkey that was made. The caller sees to it that its id is
    /// nobody's yet.
    ///
    /// # Errors
    /// [`PasskeyError::Form`], [`PasskeyError::KeyKind`],
    /// [`PasskeyError::Invalid`].
    pub fn finish_enrolment(&self, made: &Json, state: &str) -> Result<Enrolled, PasskeyError> {
        let made: RegisterPublicKeyCredential = from_json(made)?;
        let state: PasskeyRegistration = from_text(state)?;
        let passkey =
            self.webauthn.finish_passkey_registration(&made, &state).map_err(of_library)?;
        let jwk = match &passkey.get_public_key().key {
            COSEKeyType::EC_EC2(key) if key.curve == ECDSACurve::SECP256R1 => Object::new()
                .with("crv", "P-256")
                .with("kty", "EC")
                .with("x", base64url(&key.x))
                .with("y", base64url(&key.y)),
            COSEKeyType::RSA(key) => Object::new()
                .with("alg", "RS256")
                .with("e", base64url(&key.e))
                .with("kty", "RSA")
                .with("n", base64url(&key.n)),
            _ => return Err(PasskeyError::KeyKind),
        };
        // What the core cannot verify is never registered.
        ThirdPartyKey::from_jwk(&jwk).map_err(|_| PasskeyError::KeyKind)?;
        let id = base64url(passkey.cred_id().as_ref());
        Ok(Enrolled { id, jwk, kept: to_text(&passkey)? })
    }

    /// Begins a login of whoever comes.
    ///
    /// # Errors
    /// [`PasskeyError::Invalid`].
    pub fn begin_login(&self) -> Result<Begun, PasskeyError> {
        let (options, state) =
            self.webauthn.start_discoverable_authentication().map_err(of_library)?;
        Ok(Begun { options: to_json(&options)?, state: to_text(&state)? })
    }

    /// Who an answer says it comes from, and the passkey's id: to find the
    /// passkey by. It proves nothing yet.
    ///
    /// # Errors
    /// [`PasskeyError::Form`].
    pub fn identify(&self, answer: &Json) -> Result<(Alias, String), PasskeyError> {
        let answer: PublicKeyCredential = from_json(answer)?;
        let (handle, id) = self
            .webauthn
            .identify_discoverable_authentication(&answer)
            .map_err(|_| PasskeyError::Form)?;
        let alias = Alias::parse(&handle.to_string()).map_err(|_| PasskeyError::Form)?;
        Ok((alias, base64url(id)))
    }

    /// Whether the answer is that of the passkey that `kept` describes and whose
    /// counter stood at `counter`.
    ///
    /// # Errors
    /// [`PasskeyError::Counter`], [`PasskeyError::Invalid`],
    /// [`PasskeyError::Form`].
    pub fn finish_login(
        &self,
        answer: &Json,
        state: &str,
        kept: &str,
        counter: u32,
    ) -> Result<LoggedIn, PasskeyError> {
        let answer: PublicKeyCredential = from_json(answer)?;
        let state: DiscoverableAuthentication = from_text(state)?;
        let passkey = passkey_at(kept, counter)?;
        let result = self
            .webauthn
            .finish_discoverable_authentication_v2(&answer, state, &passkey)
            .map_err(of_library)?;
        if !result.user_verified() || result.cred_id() != passkey.cred_id() {
            return Err(PasskeyError::Invalid);
        }
        let id = base64url(passkey.cred_id().as_ref());
        Ok(LoggedIn { id, counter: result.counter() })
    }
}

/// A passkey's name, as the person typed it.
///
/// # Errors
/// [`PasskeyError::Label`].
pub fn label(text: &str) -> Result<&str, PasskeyError> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > MAX_LABEL || text.chars().any(char::is_control) {
        return Err(PasskeyError::Label);
    }
    Ok(text)
}

/// Whether one of `count` passkeys may go.
///
/// # Errors
/// [`PasskeyError::Last`].
pub const fn check_removal(count: usize) -> Result<(), PasskeyError> {
    if count > 1 { Ok(()) } else { Err(PasskeyError::Last) }
}

/// Reads what a browser sent, strictly.
///
/// # Errors
/// [`PasskeyError::Form`].
pub fn read(bytes: &[u8]) -> Result<Json, PasskeyError> {
    Json::parse(bytes, &CREDENTIAL_LIMITS).map_err(|_| PasskeyError::Form)
}

/// Asks for a passkey that the browser finds by itself at login, with a key
/// that the core can verify.
fn adjust(options: &mut Json) -> Option<()> {
    let Json::Object(outer) = options else { return None };
    let mut options = outer.member("publicKey")?.as_object()?.clone();
    let kinds = ALGORITHMS.map(|alg| Object::new().with("type", "public-key").with("alg", alg));
    options.insert("pubKeyCredParams", kinds.map(Json::from).to_vec());
    let mut selection = options.member("authenticatorSelection")?.as_object()?.clone();
    selection.insert("residentKey", "required");
    selection.insert("requireResidentKey", true);
    options.insert("authenticatorSelection", selection);
    outer.insert("publicKey", options);
    Some(())
}

fn passkey(kept: &str) -> Result<Passkey, PasskeyError> {
    from_text(kept)
}

/// The passkey with the counter that was seen last: what is kept of it is as
/// old as its registration.
fn passkey_at(kept: &str, counter: u32) -> Result<Passkey, PasskeyError> {
    let mut json = read(kept.as_bytes())?;
    let mut set = || {
        let Json::Object(outer) = &mut json else { return None };
        let mut inner = outer.member("cred")?.as_object()?.clone();
        inner.insert("counter", u64::from(counter));
        outer.insert("cred", inner);
        Some(())
    };
    set().ok_or(PasskeyError::Form)?;
    from_json(&json)
}

fn of_library(error: WebauthnError) -> PasskeyError {
    match error {
        WebauthnError::CredentialPossibleCompromise => PasskeyError::Counter,
        _ => PasskeyError::Invalid,
    }
}

// The library takes and gives its types through serde only.

fn to_text(value: &impl serde::Serialize) -> Result<String, PasskeyError> {
    serde_json::to_string(value).map_err(|_| PasskeyError::Form)
}

fn to_json(value: &impl serde::Serialize) -> Result<Json, PasskeyError> {
    read(to_text(value)?.as_bytes())
}

fn from_text<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, PasskeyError> {
    serde_json::from_str(text).map_err(|_| PasskeyError::Form)
}

/// From what was read strictly before.
fn from_json<T: serde::de::DeserializeOwned>(json: &Json) -> Result<T, PasskeyError> {
    from_text(&json.canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alias() -> Alias {
        Alias::parse("0b6f0a6e-6a5e-4f3a-9d8b-0d6a1c2b3d4e").unwrap()
    }

    #[test]
    fn an_address_without_a_host_name_has_no_passkeys() {
        let party = Passkeys::of("https://bailiwick.example:8443").unwrap();
        assert_eq!(party.relying_party(), "bailiwick.example");
        assert!(Passkeys::of("http://localhost:4000").is_ok());
        for bad in ["http://127.0.0.1:4000", "http://[::1]:4000", "nonsense"] {
            assert_eq!(Passkeys::of(bad).unwrap_err().code(), "passkey-address", "{bad}");
        }
    }

    #[test]
    fn a_new_passkey_must_verify_its_person_and_be_found_by_the_browser() {
        let party = Passkeys::of("http://localhost:4000").unwrap();
        let begun = party.begin_enrolment(&alias(), "user:a", &[]).unwrap();
        let options = begun.options.as_object().unwrap().member("publicKey").unwrap();
        let options = options.as_object().unwrap();
        let selection = options.member("authenticatorSelection").unwrap().as_object().unwrap();
        let text = |name: &str| selection.member(name).and_then(Json::as_str);
        assert_eq!(text("residentKey"), Some("required"));
        assert_eq!(text("userVerification"), Some("required"));
        let kinds = options.member("pubKeyCredParams").unwrap();
        assert_eq!(
            kinds.canonical(),
            r#"[{"alg":-7,"type":"public-key"},{"alg":-257,"type":"public-key"}]"#
        );
        // The handle that authenticators keep is the alias, not the name.
        let user = options.member("user").unwrap().as_object().unwrap();
        let handle = Uuid::parse_str(alias().as_str()).unwrap();
        assert_eq!(user.member("id").unwrap().as_str(), Some(&*base64url(handle.as_bytes())));
    }

    #[test]
    fn what_a_browser_makes_up_is_no_passkey() {
        let party = Passkeys::of("http://localhost:4000").unwrap();
        let begun = party.begin_enrolment(&alias(), "user:a", &[]).unwrap();
        for bad in [r#"{}"#, r#"{"id":"a","rawId":"AA","type":"public-key"}"#, r#"[]"#] {
            let bad = read(bad.as_bytes()).unwrap();
            let refused = party.finish_enrolment(&bad, &begun.state).unwrap_err();
            assert_eq!(refused.code(), "passkey-malformed");
            assert_eq!(party.identify(&bad).unwrap_err().code(), "passkey-malformed");
        }
        for bad in [&b"{\"id\":1,\"id\":2}"[..], b"{", &vec![b' '; 70_000]] {
            assert_eq!(read(bad), Err(PasskeyError::Form));
        }
    }

    #[test]
    fn a_person_keeps_one_passkey_and_has_a_bounded_number() {
        assert_eq!(check_removal(1), Err(PasskeyError::Last));
        assert_eq!(check_removal(2), Ok(()));
        let party = Passkeys::of("http://localhost:4000").unwrap();
        let many = vec![String::new(); MAX_PASSKEYS];
        let refused = party.begin_enrolment(&alias(), "user:a", &many).unwrap_err();
        assert_eq!(refused.code(), "passkey-too-many");
    }

    #[test]
    fn a_passkeys_name_is_short_and_has_no_control_characters() {
        assert_eq!(label("  Work laptop "), Ok("Work laptop"));
        for bad in ["", "   ", "a\nb", &"x".repeat(65)] {
            assert_eq!(label(bad), Err(PasskeyError::Label), "{bad}");
        }
    }
}
