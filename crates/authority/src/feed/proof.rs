//! How a gateway shows that it is one: a short-lived JWS by its maker's key in
//! `Authorization: Bailiwick-Gateway <JWS>`.
//!
//! It is bound to one URL and to half a minute. A copy made in that time gives
//! what the gateway itself was given, revocations, and nothing else; it is
//! therefore not spent.

use bailiwick_core::aat::jws::{Compact, sign};
use bailiwick_core::crypto::{PublicKey, Signer};
use bailiwick_core::json::{Json, Number, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;

/// The `typ` of a proof.
pub const TYPE: &str = "bailiwick-gateway+jwt";

/// The scheme in `Authorization`.
pub const SCHEME: &str = "Bailiwick-Gateway";

/// Seconds between the making of a proof and its arrival, either way.
pub const FRESH_SECONDS: i64 = 30;

/// Characters of a proof at most.
const MAX_PROOF: usize = 2_048;

/// A gateway that is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// There is none, or it is malformed.
    #[error("the request carries no gateway's proof")]
    Missing,
    /// Another gateway's, or a forgery.
    #[error("no gateway that is known signed the proof")]
    Unknown,
    /// For another URL.
    #[error("the proof was made for another URL")]
    Audience,
    /// Too old, or from the future.
    #[error("the proof was made at another time than now")]
    Stale,
}

impl ProofError {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "gateway-proof-missing",
            Self::Unknown => "gateway-unknown",
            Self::Audience => "gateway-proof-audience",
            Self::Stale => "gateway-proof-stale",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Missing => "send a JWS by the gateway's maker key in `Authorization`",
            Self::Unknown => "let the authority know this gateway's maker key",
            Self::Audience => "use the authority's public URL",
            Self::Stale => "check the clocks of both sides",
        }
    }
}

/// The value of `Authorization` for a `GET` of `url` (without query) by the
/// gateway with this maker name.
#[must_use]
pub fn make(maker: &str, url: &str, now: Timestamp, key: &dyn Signer) -> String {
    let claims = Object::new()
        .with("iss", maker)
        .with("aud", url)
        .with("htm", "GET")
        .with("iat", now.seconds());
    format!("{SCHEME} {}", sign(TYPE, None, &claims.into(), key))
}

/// Checks the value of `Authorization`; `key_of` knows the gateways. Gives the
/// gateway's name.
///
/// # Errors
/// See [`ProofError`].
pub fn check(
    value: Option<&str>,
    url: &str,
    now: Timestamp,
    key_of: impl FnOnce(&str) -> Option<PublicKey>,
) -> Result<String, ProofError> {
    let proof = value
        .filter(|v| v.len() <= MAX_PROOF)
        .and_then(|v| v.strip_prefix(SCHEME)?.strip_prefix(' '))
        .ok_or(ProofError::Missing)?;
    let jws = Compact::parse(proof).map_err(|_| ProofError::Missing)?;
    jws.check_header(TYPE).map_err(|_| ProofError::Missing)?;
    // Who it says that it is chooses the key; nothing else is believed before
    // the signature holds.
    let claims = jws.claims(&JsonLimits::DEFAULT).map_err(|_| ProofError::Missing)?;
    let text = |name| claims.member(name).and_then(Json::as_str).ok_or(ProofError::Missing);
    let maker = text("iss")?;
    if !key_of(maker).is_some_and(|key| jws.verify(&key)) {
        return Err(ProofError::Unknown);
    }
    if text("aud")? != url || text("htm")? != "GET" {
        return Err(ProofError::Audience);
    }
    let made = claims
        .member("iat")
        .and_then(Json::as_number)
        .and_then(Number::as_plain_integer)
        .ok_or(ProofError::Missing)?;
    if now.seconds().abs_diff(made) > FRESH_SECONDS.unsigned_abs() {
        return Err(ProofError::Stale);
    }
    Ok(maker.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiwick_core::crypto::SigningKey;

    const URL: &str = "https://gate.example/revocations";

    fn key(n: u8) -> SigningKey {
        SigningKey::from_seed(&[n; 32]).unwrap()
    }

    fn checked(value: Option<&str>, url: &str, s: i64) -> Result<String, ProofError> {
        let known = |maker: &str| (maker == "gateway:a").then(|| key(1).public_key());
        check(value, url, Timestamp::from_seconds(s), known)
    }

    #[test]
    fn a_gateways_proof_holds_at_one_url_for_half_a_minute() {
        let proof = make("gateway:a", URL, Timestamp::from_seconds(100), &key(1));
        for now in [70, 100, 130] {
            assert_eq!(checked(Some(&proof), URL, now).unwrap(), "gateway:a");
        }
        assert_eq!(checked(Some(&proof), URL, 131), Err(ProofError::Stale));
        assert_eq!(checked(Some(&proof), URL, 69), Err(ProofError::Stale));
        let other = "https://gate.example/revocations/stream";
        assert_eq!(checked(Some(&proof), other, 100), Err(ProofError::Audience));
    }

    #[test]
    fn nobody_else_is_a_gateway() {
        let now = Timestamp::from_seconds(100);
        let by_another_key = make("gateway:a", URL, now, &key(2));
        let unknown = make("gateway:b", URL, now, &key(1));
        for proof in [by_another_key, unknown] {
            assert_eq!(checked(Some(&proof), URL, 100), Err(ProofError::Unknown));
        }
        let good = make("gateway:a", URL, now, &key(1));
        let bare = good.strip_prefix("Bailiwick-Gateway ").unwrap();
        let dpop = sign("dpop+jwt", None, &Object::new().with("iss", "gateway:a").into(), &key(1));
        let long = format!("{good}{}", "A".repeat(MAX_PROOF));
        for value in [
            None,
            Some(""),
            Some(bare),
            Some("Bearer secret"),
            Some("Bailiwick-Gateway"),
            Some("Bailiwick-Gateway a.b.c"),
            Some(&format!("Bearer {bare}")),
            Some(&format!("Bailiwick-Gateway {dpop}")),
            Some(&long),
        ] {
            assert_eq!(checked(value, URL, 100), Err(ProofError::Missing), "{value:?}");
        }
        for error in
            [ProofError::Missing, ProofError::Unknown, ProofError::Audience, ProofError::Stale]
        {
            assert!(!error.code().is_empty() && !error.remedy().is_empty());
        }
    }
}
