//! Proof key for code exchange (RFC 7636), `S256` only.

use bailiwick_core::crypto::{Digest, sha256};
use subtle::ConstantTimeEq as _;

use super::error::{Code, OAuthError};

/// The only method: `plain` proves nothing to who sees the request (OAuth 2.1
/// §4.1.1 asks for more than it).
pub const METHOD: &str = "S256";

/// What a client committed to in its authorization request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge(Digest);

impl Challenge {
    /// Reads `code_challenge` and `code_challenge_method`; both are required,
    /// because an absent method means `plain` (RFC 7636 §4.3).
    ///
    /// # Errors
    /// `invalid_request`.
    pub fn parse(challenge: Option<&str>, method: Option<&str>) -> Result<Self, OAuthError> {
        let challenge = challenge.ok_or_else(|| {
            OAuthError::request("pkce-missing", "the parameter `code_challenge` is missing")
        })?;
        if method != Some(METHOD) {
            let text = "`code_challenge_method` must be `S256`";
            return Err(OAuthError::request("pkce-method", text));
        }
        Self::from_text(challenge).ok_or_else(|| {
            let text = "`code_challenge` must be a SHA-256 hash in base64url";
            OAuthError::request("pkce-challenge-malformed", text)
        })
    }

    /// Reads the challenge as it is stored.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Digest::from_text(text).map(Self)
    }

    /// The challenge of `verifier`, as clients make it (RFC 7636 §4.2).
    #[must_use]
    pub fn of(verifier: &str) -> Self {
        Self(sha256(verifier.as_bytes()))
    }

    /// Whether `verifier` is what the challenge commits to (RFC 7636 §4.6).
    ///
    /// # Errors
    /// `invalid_grant`; `invalid_request` when it is malformed or missing.
    pub fn verify(&self, verifier: Option<&str>) -> Result<(), OAuthError> {
        let verifier = verifier.ok_or_else(|| {
            OAuthError::request("pkce-missing", "the parameter `code_verifier` is missing")
        })?;
        if !is_verifier(verifier) {
            let text = "`code_verifier` must be 43 to 128 unreserved characters";
            return Err(OAuthError::request("pkce-verifier-malformed", text));
        }
        let holds = Self::of(verifier).0.bytes().ct_eq(self.0.bytes());
        if bool::from(holds) {
            return Ok(());
        }
        let text = "`code_verifier` is not the one of the authorization request";
        Err(OAuthError::new(Code::InvalidGrant, "pkce-mismatch", text))
    }
}

/// Whether `text` has a verifier's form: 43 to 128 unreserved characters
/// (RFC 7636 §4.1).
#[must_use]
pub fn is_verifier(text: &str) -> bool {
    let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    (43..=128).contains(&text.len()) && text.bytes().all(unreserved)
}

impl std::fmt::Display for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn the_example_of_rfc_7636_holds() {
        let challenge = Challenge::parse(Some(CHALLENGE), Some("S256")).unwrap();
        assert_eq!(challenge.verify(Some(VERIFIER)), Ok(()));
        assert_eq!(challenge, Challenge::of(VERIFIER));
        assert_eq!(Challenge::from_text(&challenge.to_string()), Some(challenge));
    }

    #[test]
    fn there_is_no_way_down_to_plain_or_to_nothing() {
        let reason = |c, m| Challenge::parse(c, m).unwrap_err().reason;
        assert_eq!(reason(None, Some("S256")), "pkce-missing");
        assert_eq!(reason(Some(CHALLENGE), None), "pkce-method");
        assert_eq!(reason(Some(CHALLENGE), Some("plain")), "pkce-method");
        assert_eq!(reason(Some(CHALLENGE), Some("s256")), "pkce-method");
        assert_eq!(reason(Some("short"), Some("S256")), "pkce-challenge-malformed");
        let padded = format!("{CHALLENGE}=");
        assert_eq!(reason(Some(&padded), Some("S256")), "pkce-challenge-malformed");
        assert_eq!(
            reason(Some(VERIFIER.get(1..).unwrap()), Some("S256")),
            "pkce-challenge-malformed"
        );
    }

    #[test]
    fn only_the_very_verifier_opens_the_code() {
        let challenge = Challenge::of(VERIFIER);
        let verify = |v: Option<&str>| challenge.verify(v).unwrap_err();
        assert_eq!(verify(None).reason, "pkce-missing");
        // The challenge itself is not its own verifier.
        assert_eq!(verify(Some(CHALLENGE)).code, Code::InvalidGrant);
        assert_eq!(verify(Some(&"a".repeat(42))).reason, "pkce-verifier-malformed");
        assert_eq!(verify(Some(&"a".repeat(129))).reason, "pkce-verifier-malformed");
        assert_eq!(verify(Some(&format!("{VERIFIER}+"))).reason, "pkce-verifier-malformed");
        assert_eq!(verify(Some(&"a".repeat(128))).reason, "pkce-mismatch");
    }
}
