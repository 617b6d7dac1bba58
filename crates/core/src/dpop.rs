//! DPoP proofs (RFC 9449) by a chain's leaf key, for messages that are not
//! calls. `ath` is the hash of the leaf token's text.
//!
//! **`alg`**: `Ed25519` (RFC 9864) and its older name `EdDSA` are both accepted
//! here. DPoP is a standard of its own, whose libraries commonly know the older
//! name only, and it costs nothing: the key is the leaf's holder key, which is
//! one on Ed25519, so that `EdDSA` cannot mean anything else. The delegation
//! draft forbids the polymorphic name, so in tokens and proofs of calls `EdDSA`
//! stays refused. [`prove`] writes `Ed25519`.
//!
//! **`htu`** is compared as text after the parts that mean the same however they
//! are spelled (RFC 3986 §6.2.2, §6.2.3): case of scheme and host, the scheme's
//! default port, an empty path. Nothing is parsed, decoded or repaired beyond
//! that, because what one parser repairs another reads as a different host. A
//! query or fragment is refused, as RFC 9449 §4.2 asks.

use crate::crypto::{PublicKey, Signer, Thumbprint, base64url, from_base64url, sha256};
use crate::denial::{Denial, Reason};
use crate::json::{Json, Object};
use crate::limits::{ChainLimits, JsonLimits};
use crate::time::Timestamp;

#[cfg(test)]
mod tests;

/// The `typ` of a proof (RFC 9449 §4.2).
pub const TYPE: &str = "dpop+jwt";

const MAX_PROOF_BYTES: usize = 4096;
const PROOF_JSON: JsonLimits = JsonLimits { max_bytes: 4096, max_depth: 4, max_values: 64 };

/// A proof with the request that it came with.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The value of the one `DPoP` header.
    pub proof: &'a str,
    /// The HTTP method.
    pub method: &'a str,
    /// The target URI as configured for this endpoint, without query and
    /// fragment; never taken from `Host`.
    pub uri: &'a str,
}

/// A proof that held; its `jti` must be spent until `iat` leaves the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its `jti`.
    pub jti: String,
    /// Its `iat`, seconds.
    pub iat: i64,
    /// Its `nonce`.
    pub nonce: Option<String>,
}

/// A proof whose framing is acceptable.
pub(crate) struct Unproved<'a> {
    request: Request<'a>,
    signing_input: &'a str,
    signature: Vec<u8>,
    payload: Vec<u8>,
    key: PublicKey,
}

fn bad(subject: &str) -> Denial {
    Denial::new(Reason::ProofInvalid).about(subject)
}

impl<'a> Unproved<'a> {
    pub(crate) fn parse(request: &Request<'a>) -> Result<Self, Denial> {
        let text = request.proof;
        if text.len() > MAX_PROOF_BYTES {
            return Err(Denial::new(Reason::TokenTooLarge).about("DPoP"));
        }
        let malformed = || Denial::new(Reason::PresentationMalformed).about("DPoP");
        let (signing_input, signature) = text.rsplit_once('.').ok_or_else(malformed)?;
        let (header, payload) = signing_input.split_once('.').ok_or_else(malformed)?;
        let header = from_base64url(header).ok_or_else(malformed)?;
        let header = Json::parse(&header, &PROOF_JSON).map_err(|_| bad("header"))?;
        let header = header.as_object().ok_or_else(|| bad("header"))?;
        if header.member("typ").and_then(Json::as_str) != Some(TYPE) {
            return Err(bad("typ"));
        }
        if !matches!(header.member("alg").and_then(Json::as_str), Some("Ed25519" | "EdDSA")) {
            return Err(bad("alg"));
        }
        // Nothing critical is understood, and no key but `jwk` is looked at:
        // whoever states another one expects something else.
        for refused in ["crit", "b64", "jku", "x5u", "x5c"] {
            if header.member(refused).is_some() {
                return Err(bad(refused));
            }
        }
        let key = header
            .member("jwk")
            .and_then(Json::as_object)
            .and_then(|jwk| PublicKey::from_jwk(jwk).ok())
            .ok_or_else(|| bad("jwk"))?;
        Ok(Self {
            request: *request,
            signing_input,
            signature: from_base64url(signature).ok_or_else(malformed)?,
            payload: from_base64url(payload).ok_or_else(malformed)?,
            key,
        })
    }

    /// The list of RFC 9449 §4.3, with the leaf's key as the required one.
    pub(crate) fn verify(
        self,
        holder: &PublicKey,
        leaf: &str,
        now: Timestamp,
        limits: &ChainLimits,
    ) -> Result<Accepted, Denial> {
        self.verify_bound(&holder.thumbprint(), leaf, now, limits)
    }

    /// The list of RFC 9449 §4.3, with the key of this thumbprint as the
    /// required one.
    pub(crate) fn verify_bound(
        self,
        required: &Thumbprint,
        token: &str,
        now: Timestamp,
        limits: &ChainLimits,
    ) -> Result<Accepted, Denial> {
        if self.key.thumbprint() != *required {
            return Err(bad("jwk"));
        }
        if !self.key.verify(self.signing_input.as_bytes(), &self.signature) {
            return Err(bad("signature"));
        }
        let claims = Json::parse(&self.payload, &PROOF_JSON).map_err(|_| bad("claims"))?;
        let claims = claims.as_object().ok_or_else(|| bad("claims"))?;
        let text = |name: &str| claims.member(name).and_then(Json::as_str);
        let jti = text("jti").filter(|j| !j.is_empty()).ok_or_else(|| bad("jti"))?;
        if text("htm") != Some(self.request.method) {
            return Err(bad("htm"));
        }
        if text("htu").map(respelled) != Some(respelled(self.request.uri)) {
            return Err(bad("htu"));
        }
        if text("ath") != Some(access_token_hash(token).as_str()) {
            return Err(bad("ath"));
        }
        let iat = claims
            .member("iat")
            .and_then(Json::as_number)
            .and_then(|n| n.as_plain_integer())
            .ok_or_else(|| bad("iat"))?;
        let age = now.seconds().saturating_sub(iat);
        if age.saturating_abs() > limits.pop_window {
            return Err(Denial::new(Reason::ProofNotFresh).about("DPoP"));
        }
        let nonce = text("nonce").map(str::to_owned);
        Ok(Accepted { jti: jti.to_owned(), iat, nonce })
    }
}

/// `uri` with scheme and host in lower case, without the scheme's default port,
/// and with `/` for an empty path; all else as it was written.
fn respelled(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else { return uri.to_owned() };
    let scheme = scheme.to_ascii_lowercase();
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    let authority = authority.to_ascii_lowercase();
    let default_port = match scheme.as_str() {
        "https" => ":443",
        "http" => ":80",
        _ => "",
    };
    let authority = authority.strip_suffix(default_port).unwrap_or(&authority);
    let target = if target.is_empty() { "/" } else { target };
    format!("{scheme}://{authority}{target}")
}

/// `ath`: base64url SHA-256 of the token's text.
#[must_use]
pub fn access_token_hash(token: &str) -> String {
    sha256(token.as_bytes()).to_string()
}

/// Makes a proof for one request.
#[must_use]
pub fn prove(
    signer: &dyn Signer,
    jti: &str,
    now: Timestamp,
    method: &str,
    uri: &str,
    leaf: &str,
) -> String {
    let header = Object::new()
        .with("alg", "Ed25519")
        .with("jwk", signer.public_key().to_jwk())
        .with("typ", TYPE);
    let claims = Object::new()
        .with("ath", access_token_hash(leaf))
        .with("htm", method)
        .with("htu", uri)
        .with("iat", now.seconds())
        .with("jti", jti);
    let mut text = base64url(Json::from(header).canonical().as_bytes());
    text.push('.');
    text.push_str(&base64url(Json::from(claims).canonical().as_bytes()));
    let signature = signer.sign(text.as_bytes());
    text.push('.');
    text.push_str(&base64url(&signature));
    text
}
