//! Compact JWS (RFC 7515 §7.1) with the strict rules of RFC 8725.

use super::{JoseError, JwsSigner, Verifier, VerifyingKey};
use crate::crypto::{Digest, KeyError, base64url, from_base64url, sha256};
use crate::json::{Json, Object};
use crate::limits::JsonLimits;

/// Headers are a handful of short members.
const MAX_HEADER_BYTES: usize = 4096;
const HEADER_JSON: JsonLimits =
    JsonLimits { max_bytes: MAX_HEADER_BYTES, max_depth: 4, max_values: 64 };
/// Claims nest a little: `authorization_details` with constraint trees.
const CLAIMS_DEPTH: usize = 96;
const CLAIMS_VALUES: usize = 20_000;

/// A compact JWS whose three parts decoded; nothing in it is trusted.
#[derive(Clone, Debug)]
pub struct Jws<'t> {
    signing_input: &'t str,
    header: Object,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// A JWS whose header is acceptable; its claims are not trusted yet.
#[derive(Clone, Debug)]
pub struct Acceptable<'t> {
    jws: Jws<'t>,
    algorithm: String,
    kid: Option<String>,
    embedded: Option<VerifyingKey>,
}

/// Which headers are acceptable.
#[derive(Clone, Copy, Debug)]
pub struct HeaderRules<'a> {
    types: &'a [&'a str],
    untyped: bool,
    embedded_key: bool,
    key_set_named: bool,
}

impl<'a> HeaderRules<'a> {
    /// Exactly one of these `typ`s (RFC 8725 §3.11), and no key inside.
    #[must_use]
    pub const fn typed(types: &'a [&'a str]) -> Self {
        Self { types, untyped: false, embedded_key: false, key_set_named: false }
    }

    /// Also without `typ`: for tokens whose standard does not ask for one
    /// (`id_token`, client assertion), whose other claims tell them apart.
    #[must_use]
    pub const fn or_untyped(mut self) -> Self {
        self.untyped = true;
        self
    }

    /// Where the header may say at which address its signer publishes keys (`jku`).
    /// SECURITY: the address is ignored: who verifies has the keys already.
    #[must_use]
    pub const fn key_set_ignored(mut self) -> Self {
        self.key_set_named = true;
        self
    }

    /// With the signer's key as `jwk` inside, as DPoP has it.
    #[must_use]
    pub const fn with_embedded_key(mut self) -> Self {
        self.embedded_key = true;
        self
    }
}

impl<'t> Jws<'t> {
    /// Splits and decodes `text`, of at most `max_bytes` bytes. The header is
    /// read strictly: no member stands twice.
    ///
    /// # Errors
    /// [`JoseError::TooLarge`], [`JoseError::Framing`], [`JoseError::Header`].
    pub fn parse(text: &'t str, max_bytes: usize) -> Result<Self, JoseError> {
        if text.len() > max_bytes {
            return Err(JoseError::TooLarge { max_bytes });
        }
        let (signing_input, signature) = text.rsplit_once('.').ok_or(JoseError::Framing)?;
        let (header, payload) = signing_input.split_once('.').ok_or(JoseError::Framing)?;
        if header.is_empty() || payload.is_empty() {
            return Err(JoseError::Framing);
        }
        // A further dot is no character of base64url.
        let decoded = |part: &str| from_base64url(part).ok_or(JoseError::Framing);
        let (header, payload, signature) =
            (decoded(header)?, decoded(payload)?, decoded(signature)?);
        match Json::parse(&header, &HEADER_JSON) {
            Ok(Json::Object(header)) => Ok(Self { signing_input, header, payload, signature }),
            _ => Err(JoseError::Header { parameter: "header" }),
        }
    }

    /// SHA-256 of the signing input.
    #[must_use]
    pub fn hash(&self) -> Digest {
        sha256(self.signing_input.as_bytes())
    }

    /// The text of a header parameter, unverified: a hint for looking a key up.
    #[must_use]
    pub fn hint(&self, parameter: &str) -> Option<&str> {
        self.header.member(parameter).and_then(Json::as_str)
    }

    /// The text of a claim, unverified: a hint for looking a key up (`iss` of
    /// a client assertion), and for nothing else.
    #[must_use]
    pub fn claim_hint(&self, claim: &str) -> Option<String> {
        let claims = self.read_claims().ok()?;
        claims.member(claim).and_then(Json::as_str).map(str::to_owned)
    }

    /// Checks the header: `typ`, a non-empty `alg` that names a signature, no
    /// `crit` or `b64` (none is understood), and no key or address of one
    /// besides what was asked for (RFC 8725 §3.9, §3.10; RFC 9449 §4.3).
    ///
    /// # Errors
    /// [`JoseError::Header`], [`JoseError::Algorithm`], [`JoseError::Key`].
    pub fn check_header(self, rules: &HeaderRules<'_>) -> Result<Acceptable<'t>, JoseError> {
        let bad = |parameter: &'static str| JoseError::Header { parameter };
        match self.header.member("typ") {
            None if rules.untyped => {}
            Some(Json::String(typ)) if rules.types.contains(&typ.as_str()) => {}
            _ => return Err(bad("typ")),
        }
        for refused in ["crit", "b64", "jku", "x5u", "x5c"] {
            let ignored = refused == "jku" && rules.key_set_named;
            if self.header.member(refused).is_some() && !ignored {
                return Err(bad(refused));
            }
        }
        let embedded = match (self.header.member("jwk"), rules.embedded_key) {
            (None, false) => None,
            (Some(Json::Object(jwk)), true) => Some(VerifyingKey::from_jwk(jwk)?),
            _ => return Err(bad("jwk")),
        };
        let kid = match self.header.member("kid") {
            None => None,
            Some(Json::String(kid)) if !kid.is_empty() => Some(kid.clone()),
            Some(_) => return Err(bad("kid")),
        };
        let Some(Json::String(algorithm)) = self.header.member("alg") else {
            return Err(bad("alg"));
        };
        // SECURITY: no key accepts these names either; a list of what can
        // never be a signature by a public key costs nothing.
        if algorithm.eq_ignore_ascii_case("none") || algorithm.starts_with("HS") {
            return Err(JoseError::Algorithm);
        }
        let algorithm = algorithm.clone();
        Ok(Acceptable { jws: self, algorithm, kid, embedded })
    }

    fn read_claims(&self) -> Result<Object, JoseError> {
        // What was read with a limit of bytes has no more of them.
        let limits = JsonLimits {
            max_bytes: self.payload.len(),
            max_depth: CLAIMS_DEPTH,
            max_values: CLAIMS_VALUES,
        };
        match Json::parse(&self.payload, &limits) {
            Ok(Json::Object(claims)) => Ok(claims),
            _ => Err(JoseError::Claims { claim: "claims" }),
        }
    }
}

impl Acceptable<'_> {
    /// The `kid`, a hint.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The `alg` as the header states it.
    #[must_use]
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// The `typ` as the header states it.
    #[must_use]
    pub fn typ(&self) -> Option<&str> {
        self.jws.hint("typ")
    }

    /// The key inside, where [`HeaderRules::with_embedded_key`] asked for it.
    /// It proves possession of itself and nothing more.
    #[must_use]
    pub fn embedded_key(&self) -> Option<VerifyingKey> {
        self.embedded
    }

    /// SHA-256 of the signing input.
    #[must_use]
    pub fn hash(&self) -> Digest {
        self.jws.hash()
    }

    /// The text of a claim, unverified; see [`Jws::claim_hint`].
    #[must_use]
    pub fn claim_hint(&self, claim: &str) -> Option<String> {
        self.jws.claim_hint(claim)
    }

    /// The claims, if the signature over the bytes as received holds under
    /// `key` by the algorithm of that key.
    ///
    /// # Errors
    /// [`JoseError::Algorithm`], [`JoseError::Signature`], [`JoseError::Claims`].
    pub fn verify(&self, key: &dyn Verifier) -> Result<Object, JoseError> {
        if !key.accepts(&self.algorithm) {
            return Err(JoseError::Algorithm);
        }
        let input = self.jws.signing_input.as_bytes();
        if !key.verify(&self.algorithm, input, &self.jws.signature) {
            return Err(JoseError::Signature);
        }
        self.jws.read_claims()
    }
}

/// A claim of whole seconds since the epoch (RFC 7519 §2, NumericDate).
///
/// # Errors
/// [`JoseError::Claims`] when it is missing or no plain integer.
pub fn numeric_date(claims: &Object, claim: &'static str) -> Result<i64, JoseError> {
    claims
        .member(claim)
        .and_then(|value| value.as_number()?.as_plain_integer())
        .ok_or(JoseError::Claims { claim })
}

/// Signs `claims` as a compact JWS whose header is `{alg, kid?, typ}`.
///
/// # Errors
/// [`KeyError`] when the library refuses to sign.
pub fn sign(
    typ: &str,
    kid: Option<&str>,
    claims: &Json,
    signer: &dyn JwsSigner,
) -> Result<String, KeyError> {
    let mut header = Object::new().with("typ", typ);
    if let Some(kid) = kid {
        header.insert("kid", kid);
    }
    sign_with(header, claims, signer)
}

/// Signs `claims` under `header`, to which the signer's `alg` is added.
///
/// # Errors
/// [`KeyError`] when the library refuses to sign.
pub fn sign_with(
    header: Object,
    claims: &Json,
    signer: &dyn JwsSigner,
) -> Result<String, KeyError> {
    let header = header.with("alg", signer.verifying_key().algorithm());
    let mut text = base64url(Json::Object(header).canonical().as_bytes());
    text.push('.');
    text.push_str(&base64url(claims.canonical().as_bytes()));
    let signature = signer.sign_jws(text.as_bytes())?;
    text.push('.');
    text.push_str(&base64url(&signature));
    Ok(text)
}
