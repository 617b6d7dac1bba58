//! DPoP proofs (RFC 9449): by a chain's leaf key for messages that are not
//! calls ([`verify_presence`](crate::aat::verify::verify_presence), where `ath`
//! is the hash of the leaf token's text), by the key of a bound access token at
//! a resource ([`aat::verify`](crate::aat::verify)), and by any key at the token
//! endpoint ([`verify_for_key`]).
//!
//! **`alg`**: `ES256`, `Ed25519` (RFC 9864) and its older name `EdDSA`, which
//! must be the key's. DPoP is a standard of its own, whose libraries commonly
//! know the older name only, and it costs nothing: of a key on Ed25519 `EdDSA`
//! cannot mean anything else. The delegation draft forbids the polymorphic
//! name, so in tokens and proofs of calls `EdDSA` stays refused. What is made
//! here says `Ed25519`.
//!
//! **`htu`** is compared as text after the parts that mean the same however they
//! are spelled (RFC 3986 §6.2.2, §6.2.3): case of scheme and host, the scheme's
//! default port, an empty path. Nothing is parsed, decoded or repaired beyond
//! that, because what one parser repairs another reads as a different host. A
//! query or fragment is refused, as RFC 9449 §4.2 asks.

use crate::crypto::{KeyError, PublicKey, Signer, Thumbprint, base64url, sha256};
use crate::denial::{Denial, Reason};
use crate::jose::{self, Acceptable, HeaderRules, JoseError, Jws, JwsSigner, VerifyingKey};
use crate::json::{Json, Object};
use crate::limits::ChainLimits;
use crate::time::Timestamp;

mod supplied;
pub use supplied::Supplied;

#[cfg(test)]
mod tests;

/// The `typ` of a proof (RFC 9449 §4.2).
pub const TYPE: &str = "dpop+jwt";

const MAX_PROOF_BYTES: usize = 4096;

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
}

/// Whether a proof must carry a nonce that the server supplied (RFC 9449 §8, §9).
#[derive(Clone, Copy, Debug)]
pub enum Nonces<'a> {
    /// None was asked for; one that is there is reported, not judged.
    NotAsked,
    /// One of these, each supplied recently by this very server.
    OneOf(&'a [String]),
}

/// When a proof is accepted.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// Now.
    pub now: Timestamp,
    /// Seconds on both sides of now for `iat`; both edges are inside.
    pub window_seconds: i64,
    /// The nonces.
    pub nonces: Nonces<'a>,
}

/// A proof of possession of a key that held. Its `jti` must be spent, with the
/// thumbprint, until `iat` leaves the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Possession {
    /// The key.
    pub key: VerifyingKey,
    /// Its thumbprint: `cnf.jkt` of what is issued to it.
    pub thumbprint: Thumbprint,
    /// The proof's `jti`.
    pub jti: String,
    /// Its `iat`, seconds.
    pub iat: i64,
    /// Its `nonce`.
    pub nonce: Option<String>,
}

/// A proof whose framing and header are acceptable.
pub(crate) struct Unproved<'a> {
    request: Request<'a>,
    jws: Acceptable<'a>,
    key: VerifyingKey,
}

fn bad(subject: &str) -> Denial {
    Denial::new(Reason::ProofInvalid).about(subject)
}

fn refused(error: JoseError) -> Denial {
    match error {
        JoseError::TooLarge { .. } => Denial::new(Reason::TokenTooLarge).about("DPoP"),
        JoseError::Framing => Denial::new(Reason::PresentationMalformed).about("DPoP"),
        JoseError::Header { parameter } => bad(parameter),
        JoseError::Algorithm => bad("alg"),
        JoseError::Signature => bad("signature"),
        JoseError::Claims { claim } => bad(claim),
        JoseError::Key(_) | JoseError::UnknownKey | JoseError::KeySet { .. } => bad("jwk"),
    }
}

impl<'a> Unproved<'a> {
    pub(crate) fn parse(request: &Request<'a>) -> Result<Self, Denial> {
        const RULES: HeaderRules<'_> = HeaderRules::typed(&[TYPE]).with_embedded_key();
        let jws = Jws::parse(request.proof, MAX_PROOF_BYTES)
            .and_then(|jws| jws.check_header(&RULES))
            .map_err(refused)?;
        let key = jws.embedded_key().ok_or_else(|| bad("jwk"))?;
        Ok(Self { request: *request, jws, key })
    }

    /// The list of RFC 9449 §4.3, with the leaf's key as the required one.
    pub(crate) fn verify(
        self,
        holder: &PublicKey,
        leaf: &str,
        now: Timestamp,
        limits: &ChainLimits,
    ) -> Result<Accepted, Denial> {
        if self.key != VerifyingKey::Ed25519(*holder) {
            return Err(bad("jwk"));
        }
        let moment = Moment { now, window_seconds: limits.pop_window, nonces: Nonces::NotAsked };
        let Possession { jti, iat, .. } = self.conclude(Some(leaf), &moment)?;
        Ok(Accepted { jti, iat })
    }

    /// The list of RFC 9449 §4.3, with the key of this thumbprint as the
    /// required one.
    pub(crate) fn verify_bound(
        self,
        required: &Thumbprint,
        token: &str,
        moment: &Moment<'_>,
    ) -> Result<Possession, Denial> {
        if self.key.thumbprint() != *required {
            return Err(bad("jwk"));
        }
        self.conclude(Some(token), moment)
    }

    /// What the list asks of signature and claims.
    fn conclude(self, token: Option<&str>, moment: &Moment<'_>) -> Result<Possession, Denial> {
        let claims = self.jws.verify(&self.key).map_err(refused)?;
        let text = |name: &str| claims.member(name).and_then(Json::as_str);
        let jti = text("jti").filter(|j| !j.is_empty()).ok_or_else(|| bad("jti"))?;
        if text("htm") != Some(self.request.method) {
            return Err(bad("htm"));
        }
        if text("htu").map(respelled) != Some(respelled(self.request.uri)) {
            return Err(bad("htu"));
        }
        if token.is_some_and(|token| text("ath") != Some(access_token_hash(token).as_str())) {
            return Err(bad("ath"));
        }
        let nonce = match claims.member("nonce") {
            None => None,
            Some(Json::String(nonce)) => Some(nonce.clone()),
            Some(_) => return Err(bad("nonce")),
        };
        let iat = claims
            .member("iat")
            .and_then(Json::as_number)
            .and_then(|n| n.as_plain_integer())
            .ok_or_else(|| bad("iat"))?;
        let age = moment.now.seconds().saturating_sub(iat);
        if age.saturating_abs() > moment.window_seconds {
            return Err(Denial::new(Reason::ProofNotFresh).about("DPoP"));
        }
        match (moment.nonces, &nonce) {
            (Nonces::NotAsked, _) => {}
            (Nonces::OneOf(accepted), Some(nonce)) if accepted.contains(nonce) => {}
            (Nonces::OneOf(_), _) => return Err(Denial::new(Reason::ProofNonce).about("DPoP")),
        }
        let (key, thumbprint) = (self.key, self.key.thumbprint());
        Ok(Possession { key, thumbprint, jti: jti.to_owned(), iat, nonce })
    }
}

/// Verifies a proof for a token that is bound to the key with thumbprint
/// `required` (RFC 9449 §4.3, §7.1).
///
/// # Errors
/// [`Reason::ProofInvalid`] about the part that does not hold,
/// [`Reason::ProofNotFresh`], [`Reason::ProofNonce`].
pub fn verify_bound(
    request: &Request<'_>,
    required: &Thumbprint,
    token: &str,
    moment: &Moment<'_>,
) -> Result<Possession, Denial> {
    Unproved::parse(request)?.verify_bound(required, token, moment)
}

/// Verifies a proof where no token is presented yet, as at the token endpoint
/// (RFC 9449 §5): whoever sent it holds the key that it states. Which key that
/// must be, if any, the caller knows.
///
/// # Errors
/// [`Reason::ProofInvalid`] about the part that does not hold,
/// [`Reason::ProofNotFresh`], [`Reason::ProofNonce`] (`use_dpop_nonce`),
/// [`Reason::TokenTooLarge`], [`Reason::PresentationMalformed`].
pub fn verify_for_key(request: &Request<'_>, moment: &Moment<'_>) -> Result<Possession, Denial> {
    Unproved::parse(request)?.conclude(None, moment)
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

/// What a proof is made for.
#[derive(Clone, Copy, Debug)]
pub struct Occasion<'a> {
    /// A fresh `jti`.
    pub jti: &'a str,
    /// Now.
    pub now: Timestamp,
    /// The HTTP method.
    pub method: &'a str,
    /// The target URI without query and fragment.
    pub uri: &'a str,
    /// The token that goes with the request.
    pub token: Option<&'a str>,
    /// The nonce that the server supplied last.
    pub nonce: Option<&'a str>,
}

impl Occasion<'_> {
    fn claims(&self) -> Json {
        let mut claims = Object::new()
            .with("htm", self.method)
            .with("htu", self.uri)
            .with("iat", self.now.seconds())
            .with("jti", self.jti);
        if let Some(token) = self.token {
            claims.insert("ath", access_token_hash(token));
        }
        if let Some(nonce) = self.nonce {
            claims.insert("nonce", nonce);
        }
        claims.into()
    }

    /// Makes the proof with a key of either kind.
    ///
    /// # Errors
    /// [`KeyError`] when the library refuses to sign.
    pub fn prove(&self, signer: &dyn JwsSigner) -> Result<String, KeyError> {
        let header = Object::new().with("jwk", signer.verifying_key().to_jwk()).with("typ", TYPE);
        jose::sign_with(header, &self.claims(), signer)
    }
}

/// Makes a proof by a leaf's key for one request.
#[must_use]
pub fn prove(
    signer: &dyn Signer,
    jti: &str,
    now: Timestamp,
    method: &str,
    uri: &str,
    leaf: &str,
) -> String {
    let occasion = Occasion { jti, now, method, uri, token: Some(leaf), nonce: None };
    let header = Object::new()
        .with("alg", "Ed25519")
        .with("jwk", signer.public_key().to_jwk())
        .with("typ", TYPE);
    let mut text = base64url(Json::from(header).canonical().as_bytes());
    text.push('.');
    text.push_str(&base64url(occasion.claims().canonical().as_bytes()));
    let signature = signer.sign(text.as_bytes());
    text.push('.');
    text.push_str(&base64url(&signature));
    text
}
