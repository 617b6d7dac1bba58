//! Client authentication by `private_key_jwt` (RFC 7523 §2.2, §3, as
//! draft-ietf-oauth-rfc7523bis tightened it).

use bailiwick_core::crypto::Thumbprint;
use bailiwick_core::jose::{Acceptable, HeaderRules, JoseError, Jws, VerifyingKey};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;

use super::client::{AuthMethod, ClientId, ClientMetadata};
use super::error::{Code, OAuthError};
use super::token::Presented;

/// Bytes of an assertion at most.
const MAX_BYTES: usize = 16 * 1024;
/// The `typ`s of an assertion: its own, and the general one. Every other kind
/// of token says another, so that none can be taken for an assertion.
const TYPES: [&str; 2] = ["client-authentication+jwt", "JWT"];
const MAX_JTI_BYTES: usize = 256;

/// Seconds that a client's assertion may be valid for: spent `jti`s are
/// remembered for as long. Authlib, for one, makes them for an hour.
pub const MAX_SECONDS: i64 = 3600;

/// Seconds that a principal's own statement may be valid for.
pub(crate) const MAX_STATEMENT_SECONDS: i64 = 600;
/// Seconds by which clocks may differ.
pub const SKEW_SECONDS: i64 = 30;

/// An assertion that was framed; nothing in it is trusted.
#[derive(Clone, Debug)]
pub struct Unverified<'t> {
    jws: Acceptable<'t>,
    client: ClientId,
}

/// Claims that were verified, and by which key.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// Its `jti`, to be spent once until `expires`.
    pub jti: String,
    /// When it ends.
    pub expires: Timestamp,
    /// The key that signed.
    pub key: VerifyingKey,
    /// All claims.
    pub claims: Object,
}

/// A client that a request comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Authenticated {
    /// Which one.
    pub client: ClientId,
    /// What it proved; `None` for a public client, which proves nothing.
    pub proof: Option<Accepted>,
}

impl Authenticated {
    /// The key with which it authenticated.
    #[must_use]
    pub fn key(&self) -> Option<Thumbprint> {
        self.proof.as_ref().map(|proof| proof.key.thumbprint())
    }
}

fn bad(reason: &'static str, text: impl AsRef<str>) -> OAuthError {
    OAuthError::new(Code::InvalidClient, reason, text)
}

fn refused(error: JoseError) -> OAuthError {
    bad("client-assertion-invalid", format!("`client_assertion`: {error}"))
}

impl<'t> Unverified<'t> {
    /// Frames the assertion and says whose it claims to be.
    ///
    /// # Errors
    /// `invalid_client`.
    pub fn parse(text: &'t str) -> Result<Self, OAuthError> {
        let rules = HeaderRules::typed(&TYPES).or_untyped();
        let jws = Jws::parse(text, MAX_BYTES).and_then(|j| j.check_header(&rules));
        let jws = jws.map_err(refused)?;
        let client = jws.claim_hint("sub").ok_or_else(|| {
            bad("client-assertion-invalid", "`sub` of `client_assertion` is missing")
        })?;
        Ok(Self { client: ClientId::parse(&client)?, jws })
    }

    /// Whose it claims to be.
    #[must_use]
    pub fn client(&self) -> &ClientId {
        &self.client
    }

    /// Verifies it with the client's registered keys.
    ///
    /// # Errors
    /// `invalid_client`.
    pub fn verify(
        &self,
        metadata: &ClientMetadata,
        issuer: &str,
        now: Timestamp,
    ) -> Result<Accepted, OAuthError> {
        let Some(keys) = &metadata.keys else {
            return Err(bad("client-is-public", "the client is registered without a key"));
        };
        let (claims, key) = keys.verify(&self.jws).map_err(refused)?;
        let client = self.client.as_str();
        for claim in ["iss", "sub"] {
            if claims.member(claim).and_then(Json::as_str) != Some(client) {
                let text = format!("`{claim}` of `client_assertion` is not the client");
                return Err(bad("client-assertion-party", text));
            }
        }
        if !only_audience(&claims, issuer) {
            // A second audience could be somebody who passes it on to us, and
            // a token endpoint's URL somebody else's choice (7523bis §4).
            let text = "`aud` of `client_assertion` must be the issuer and nothing else";
            return Err(bad("client-assertion-audience", text));
        }
        // SECURITY: a statement that lets an agent act (RFC 8693 §4.4) is handed to
        // that agent. It must not be the one who made it.
        if claims.member("may_act").is_some() {
            let text = "`client_assertion` is a statement for a token exchange";
            return Err(bad("client-assertion-confused", text));
        }
        let (jti, expires) = window(&claims, now, MAX_SECONDS)?;
        Ok(Accepted { jti, expires, key, claims })
    }
}

/// The issuer as text, or as the only member of an array.
pub(crate) fn only_audience(claims: &Object, issuer: &str) -> bool {
    match claims.member("aud") {
        Some(Json::String(one)) => one == issuer,
        Some(Json::Array(list)) => match list.as_slice() {
            [Json::String(one)] => one == issuer,
            _ => false,
        },
        _ => false,
    }
}

/// `exp` is there and at most `max_seconds` away, `iat` and `nbf` are not ahead,
/// `jti` is there.
pub(crate) fn window(
    claims: &Object,
    now: Timestamp,
    max_seconds: i64,
) -> Result<(String, Timestamp), OAuthError> {
    let stale = |text: &str| bad("client-assertion-stale", text);
    let number = |claim: &str| match claims.member(claim) {
        None => Ok(None),
        Some(value) => {
            let number = value.as_number().and_then(|n| n.as_plain_integer());
            let malformed = || {
                let text = format!("`{claim}` of `client_assertion` is no number of seconds");
                bad("client-assertion-invalid", text)
            };
            number.map(Some).ok_or_else(malformed)
        }
    };
    let seconds = now.seconds();
    let exp = number("exp")?.ok_or_else(|| stale("`exp` of `client_assertion` is missing"))?;
    if exp <= seconds.saturating_sub(SKEW_SECONDS) {
        return Err(stale("`client_assertion` is over"));
    }
    if exp > seconds.saturating_add(max_seconds).saturating_add(SKEW_SECONDS) {
        let minutes = max_seconds / 60;
        let text = format!("`client_assertion` is valid for longer than {minutes} minutes");
        return Err(stale(&text));
    }
    let ahead = |t: i64| t > seconds.saturating_add(SKEW_SECONDS);
    if number("iat")?.is_some_and(ahead) || number("nbf")?.is_some_and(ahead) {
        return Err(stale("`client_assertion` is of the future"));
    }
    let jti = claims.member("jti").and_then(Json::as_str);
    let jti = jti.filter(|jti| (1..=MAX_JTI_BYTES).contains(&jti.len()));
    let jti = jti.ok_or_else(|| {
        bad("client-assertion-invalid", "`jti` of `client_assertion` is missing or too long")
    })?;
    // Remembered until no clock within the skew would accept it again.
    let remembered = exp.saturating_add(SKEW_SECONDS);
    Ok((jti.to_owned(), Timestamp::from_seconds(remembered)))
}

/// Who sends a request, judged by how the client is registered. `assertion` is
/// the one that `presented` holds, framed.
///
/// # Errors
/// `invalid_client`.
pub fn authenticate(
    presented: &Presented,
    assertion: Option<&Unverified<'_>>,
    metadata: &ClientMetadata,
    issuer: &str,
    now: Timestamp,
) -> Result<Authenticated, OAuthError> {
    match (metadata.auth_method, assertion, &presented.client) {
        (_, Some(assertion), Some(client)) if client != assertion.client() => {
            // RFC 7521 §4.2.
            let text = "`client_id` is not the client of `client_assertion`";
            Err(bad("client-assertion-party", text))
        }
        (AuthMethod::PrivateKeyJwt, Some(assertion), _) => Ok(Authenticated {
            client: assertion.client().clone(),
            proof: Some(assertion.verify(metadata, issuer, now)?),
        }),
        (AuthMethod::PrivateKeyJwt, None, _) => {
            let text = "the client must authenticate with `private_key_jwt`";
            Err(bad("client-assertion-missing", text))
        }
        (AuthMethod::None, None, Some(client)) => {
            Ok(Authenticated { client: client.clone(), proof: None })
        }
        (AuthMethod::None, None, None) => {
            Err(bad("client-missing", "the request does not say which client sends it"))
        }
        // An assertion that is not looked at would be taken for a proof.
        (AuthMethod::None, Some(_), _) => {
            Err(bad("client-is-public", "the client is registered without a key"))
        }
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_core::crypto::{Signer as _, SigningKey};
    use bailiwick_core::jose::{sign, sign_with};

    use super::*;
    use crate::oauth::client::Source;

    const ISSUER: &str = "https://as.example";
    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32]).unwrap()
    }

    fn metadata(with_key: bool) -> ClientMetadata {
        let mut object =
            Object::new().with("redirect_uris", vec![Json::from("https://c.example/cb")]);
        if with_key {
            let jwk = key(1).public_key().to_jwk().with("kid", "a");
            object.insert("jwks", Object::new().with("keys", vec![Json::from(jwk)]));
        }
        ClientMetadata::parse(&object, Source::Operator).unwrap()
    }

    fn claims() -> Object {
        Object::new()
            .with("iss", "c1")
            .with("sub", "c1")
            .with("aud", ISSUER)
            .with("iat", NOW.seconds())
            .with("exp", NOW.plus_seconds(60).seconds())
            .with("jti", "j1")
    }

    fn signed(claims: Object) -> String {
        sign("client-authentication+jwt", Some("a"), &claims.into(), &key(1)).unwrap()
    }

    fn verify(text: &str) -> Result<Authenticated, OAuthError> {
        let assertion = Unverified::parse(text)?;
        let presented = Presented { client: None, assertion: Some(text.to_owned()) };
        authenticate(&presented, Some(&assertion), &metadata(true), ISSUER, NOW)
    }

    fn reason(claims: Object) -> &'static str {
        let error = verify(&signed(claims)).unwrap_err();
        assert_eq!(error.code, Code::InvalidClient);
        error.reason
    }

    fn without(claim: &str) -> Object {
        let mut claims = claims();
        claims.remove(claim);
        claims
    }

    #[test]
    fn a_client_authenticates_with_its_registered_key() {
        let client = verify(&signed(claims())).unwrap();
        assert_eq!(client.client.as_str(), "c1");
        assert_eq!(client.key(), Some(key(1).public_key().thumbprint()));
        assert_eq!(client.proof.unwrap().jti, "j1");
        assert!(verify(&signed(claims().with("aud", vec![Json::from(ISSUER)]))).is_ok());
        assert!(verify(&signed(without("iat"))).is_ok());
        let general = sign("JWT", None, &claims().into(), &key(1)).unwrap();
        assert!(verify(&general).is_ok());
    }

    #[test]
    fn the_issuer_is_the_only_audience() {
        let token = format!("{ISSUER}/token");
        for aud in [
            Json::from(token.as_str()),
            Json::from(vec![Json::from(ISSUER), Json::from("https://other.example")]),
            Json::from(vec![Json::from(ISSUER), Json::from(token.as_str())]),
            Json::from(Vec::<Json>::new()),
            Json::from(format!("{ISSUER}/")),
            Json::Null,
        ] {
            assert_eq!(reason(claims().with("aud", aud)), "client-assertion-audience");
        }
        assert_eq!(reason(without("aud")), "client-assertion-audience");
    }

    #[test]
    fn an_assertion_is_short_lived_and_of_now() {
        let at =
            |claim: &str, seconds: i64| claims().with(claim, NOW.plus_seconds(seconds).seconds());
        assert_eq!(reason(at("exp", -30)), "client-assertion-stale");
        assert_eq!(reason(at("exp", 3631)), "client-assertion-stale");
        assert_eq!(reason(at("iat", 31)), "client-assertion-stale");
        assert_eq!(reason(at("nbf", 31)), "client-assertion-stale");
        assert_eq!(reason(without("exp")), "client-assertion-stale");
        assert_eq!(reason(claims().with("exp", "soon")), "client-assertion-invalid");
        assert_eq!(reason(claims().with("iat", "now")), "client-assertion-invalid");
        assert!(verify(&signed(at("exp", -29))).is_ok());
        assert!(verify(&signed(at("exp", 3630))).is_ok());
    }

    #[test]
    fn an_assertion_names_its_client_and_an_id() {
        assert_eq!(reason(claims().with("iss", "c2")), "client-assertion-party");
        assert_eq!(reason(without("iss")), "client-assertion-party");
        assert_eq!(reason(without("sub")), "client-assertion-invalid");
        assert_eq!(reason(without("jti")), "client-assertion-invalid");
        assert_eq!(reason(claims().with("jti", "x".repeat(257))), "client-assertion-invalid");
        assert_eq!(reason(claims().with("sub", "a b")), "client-id-malformed");
        let text = signed(claims());
        let assertion = Unverified::parse(&text).unwrap();
        let other = ClientId::parse("c2").unwrap();
        let presented = Presented { client: Some(other), assertion: Some(text.clone()) };
        let outcome = authenticate(&presented, Some(&assertion), &metadata(true), ISSUER, NOW);
        assert_eq!(outcome.unwrap_err().reason, "client-assertion-party");
    }

    #[test]
    fn signatures_types_and_algorithms_of_others_are_refused() {
        let sign_as = |typ: &str, kid: Option<&str>, seed: u8| {
            let text = sign(typ, kid, &claims().into(), &key(seed)).unwrap();
            verify(&text).unwrap_err().reason
        };
        let invalid = "client-assertion-invalid";
        assert_eq!(sign_as("client-authentication+jwt", Some("a"), 2), invalid);
        assert_eq!(sign_as("client-authentication+jwt", Some("b"), 1), invalid);
        for other in ["at+jwt", "aat+jwt", "dpop+jwt", "wit+jwt", "bailiwick-grant+jwt", ""] {
            assert_eq!(sign_as(other, Some("a"), 1), invalid, "{other}");
        }
        for extra in ["crit", "jku", "x5u", "jwk"] {
            let header = Object::new().with("typ", "JWT").with(extra, "x");
            let text = sign_with(header, &claims().into(), &key(1)).unwrap();
            assert_eq!(verify(&text).unwrap_err().reason, invalid, "{extra}");
        }
        // The example of RFC 7515, appendix A.5.
        let none = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJjMSJ9.";
        assert_eq!(verify(none).unwrap_err().reason, invalid);
        assert_eq!(verify("a.b").unwrap_err().reason, invalid);
    }

    #[test]
    fn a_client_with_a_key_must_use_it_and_one_without_cannot() {
        let client = ClientId::parse("c1").unwrap();
        let named = Presented { client: Some(client), assertion: None };
        let nobody = Presented { client: None, assertion: None };
        let text = signed(claims());
        let assertion = Unverified::parse(&text).unwrap();
        let try_as = |presented, assertion, with_key| {
            authenticate(presented, assertion, &metadata(with_key), ISSUER, NOW)
        };
        assert_eq!(try_as(&named, None, false).unwrap().key(), None);
        let reason = |outcome: Result<Authenticated, OAuthError>| outcome.unwrap_err().reason;
        assert_eq!(reason(try_as(&named, None, true)), "client-assertion-missing");
        assert_eq!(reason(try_as(&nobody, None, false)), "client-missing");
        assert_eq!(reason(try_as(&named, Some(&assertion), false)), "client-is-public");
    }
}
