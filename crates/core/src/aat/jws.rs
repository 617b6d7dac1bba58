//! Compact JWS framing (RFC 7515) and the strict header rules of draft -02
//! §3.5: nothing here checks a signature, and nothing parses a payload beyond
//! its `jti` (step 2c) before the signature holds.

use serde::Deserialize;

use std::borrow::Cow;

use crate::crypto::{
    Digest, PublicKey, Signature, Signer, append_from_base64url, array_from_base64url, base64url,
    sha256,
};
use crate::denial::{Denial, Reason};
use crate::json::{Json, Object};
use crate::limits::JsonLimits;

/// Headers are a handful of short members.
const HEADER_LIMITS: JsonLimits = JsonLimits { max_bytes: 4096, max_depth: 4, max_values: 64 };

/// A compact JWS whose three parts decoded; nothing in it is trusted.
#[derive(Clone, Debug)]
pub struct Compact<'t> {
    signing_input: &'t str,
    /// The header, then the payload.
    decoded: Vec<u8>,
    header_length: usize,
    signature: Signature,
}

impl<'t> Compact<'t> {
    /// Splits and decodes `text`.
    ///
    /// # Errors
    /// [`Reason::PresentationMalformed`].
    pub fn parse(text: &'t str) -> Result<Self, Denial> {
        let malformed = || Denial::new(Reason::PresentationMalformed);
        let (signing_input, signature) = text.rsplit_once('.').ok_or_else(malformed)?;
        let (header, payload) = signing_input.split_once('.').ok_or_else(malformed)?;
        if payload.contains('.') || header.is_empty() || payload.is_empty() {
            return Err(malformed());
        }
        // Ed25519 is the only algorithm on the allowlist; its signatures have
        // 64 bytes, so any other length is bad framing.
        let signature = array_from_base64url(signature).ok_or_else(malformed)?;
        let mut decoded = Vec::with_capacity(signing_input.len() / 4 * 3 + 6);
        append_from_base64url(header, &mut decoded).ok_or_else(malformed)?;
        let header_length = decoded.len();
        append_from_base64url(payload, &mut decoded).ok_or_else(malformed)?;
        Ok(Self { signing_input, decoded, header_length, signature })
    }

    fn header(&self) -> &[u8] {
        self.decoded.get(..self.header_length).unwrap_or_default()
    }

    /// SHA-256 of the JWS signing input: the token hash (`par_hash`, `aat_hash`).
    #[must_use]
    pub fn hash(&self) -> Digest {
        sha256(self.signing_input.as_bytes())
    }

    /// The decoded payload bytes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.decoded.get(self.header_length..).unwrap_or_default()
    }

    /// Whether the signature over the bytes as received holds under `key`.
    #[must_use]
    pub fn verify(&self, key: &PublicKey) -> bool {
        key.verify(self.signing_input.as_bytes(), &self.signature)
    }

    /// Checks the header (steps 3a, 4a, 7a): `alg` `Ed25519`, the exact `typ`,
    /// no duplicate names, and no `crit`: every list of critical parameters is
    /// refused, because none is understood and an empty one is malformed.
    /// Keys in the header are never looked at. Returns the `kid`, a hint.
    ///
    /// # Errors
    /// [`Reason::HeaderUnacceptable`].
    pub fn check_header(&self, typ: &str) -> Result<Option<String>, Denial> {
        let bad = |subject: &str| Denial::new(Reason::HeaderUnacceptable).about(subject);
        // The shortest acceptable header, as `sign` writes it.
        let written = self
            .header()
            .strip_prefix(br#"{"alg":"Ed25519","typ":""#)
            .and_then(|rest| rest.strip_suffix(br#""}"#));
        if written == Some(typ.as_bytes()) {
            return Ok(None);
        }
        let header = Json::parse(self.header(), &HEADER_LIMITS).map_err(|_| bad("header"))?;
        let header = header.as_object().ok_or_else(|| bad("header"))?;
        if header.member("alg").and_then(Json::as_str) != Some("Ed25519") {
            return Err(bad("alg"));
        }
        if header.member("typ").and_then(Json::as_str) != Some(typ) {
            return Err(bad("typ"));
        }
        if header.member("crit").is_some() || header.member("b64").is_some() {
            return Err(bad("crit"));
        }
        Ok(header.member("kid").and_then(Json::as_str).map(str::to_owned))
    }

    /// Pulls the `jti` out of the unverified payload (step 2c). Only member
    /// names of the top level are looked at; everything else is skipped.
    #[must_use]
    pub fn peek_jti(&self) -> Option<Cow<'_, str>> {
        #[derive(Deserialize)]
        struct Peek<'p> {
            #[serde(borrow)]
            jti: Cow<'p, str>,
        }
        // Serde would take an array of one string for this struct too.
        if !self.payload().trim_ascii_start().starts_with(b"{") {
            return None;
        }
        serde_json::from_slice::<Peek<'_>>(self.payload()).ok().map(|p| p.jti)
    }

    /// Reads the payload strictly; call it only after [`Compact::verify`].
    ///
    /// # Errors
    /// [`Reason::ClaimsMalformed`].
    pub fn claims(&self, limits: &JsonLimits) -> Result<Object, Denial> {
        match Json::parse(self.payload(), limits) {
            Ok(Json::Object(claims)) => Ok(claims),
            _ => Err(Denial::new(Reason::ClaimsMalformed)),
        }
    }
}

/// Signs `payload` as a compact JWS whose header is `{alg, kid?, typ}`.
#[must_use]
pub fn sign(typ: &str, kid: Option<&str>, payload: &Json, signer: &dyn Signer) -> String {
    let mut header = Object::new().with("alg", "Ed25519").with("typ", typ);
    if let Some(kid) = kid {
        header.insert("kid", kid);
    }
    let mut text = base64url(Json::Object(header).canonical().as_bytes());
    text.push('.');
    text.push_str(&base64url(payload.canonical().as_bytes()));
    let signature = signer.sign(text.as_bytes());
    text.push('.');
    text.push_str(&base64url(&signature));
    text
}
