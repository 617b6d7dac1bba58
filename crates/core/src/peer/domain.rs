//! What another trust domain publishes: its bundle, and its word on whom it no
//! longer stands behind.
//!
//! Neither says what anybody may do. A foreign key speaks for agents of its own
//! domain alone, and never for a principal.

use std::collections::BTreeSet;

use crate::crypto::{KeyError, P256SigningKey};
use crate::jose::{self, HeaderRules, JoseError, Jws, VerifyingKey, numeric_date};
use crate::json::{Json, Object};
use crate::limits::JsonLimits;

/// The `typ` of a domain's word on whom it revoked.
pub const REVOCATIONS_TYPE: &str = "bailiwick-trust-domain-revocations+jwt";
/// Names in one word at most.
pub const MAX_REVOKED: usize = 1_500;
/// Bytes of a signed word at most.
pub const MAX_REVOCATIONS_BYTES: usize = 240 << 10;
/// Seconds after which a bundle is looked at again at the latest.
pub const MAX_REFRESH_SECONDS: i64 = 300;
/// Bytes and keys of a bundle at most.
const MAX_BUNDLE_KEYS: usize = 64;
const BUNDLE: JsonLimits = JsonLimits { max_bytes: 256 << 10, max_depth: 8, max_values: 4_096 };
/// Seconds that the clocks of two trust domains may differ.
const SKEW_SECONDS: i64 = 30;

/// Why what a trust domain publishes is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DomainError {
    /// The bundle does not read.
    #[error("the trust domain's bundle is malformed: {what}")]
    Bundle {
        /// What is wrong.
        what: &'static str,
    },
    /// Framing, header, signature or claims.
    #[error("the trust domain's revocations do not hold: {0}")]
    Jws(#[from] JoseError),
    /// Its bundle has no such key.
    #[error("the trust domain's revocations are signed with a key that is not in its bundle")]
    Key,
    /// Another domain's, or another issuer's.
    #[error("the revocations are not those of this trust domain and its issuer")]
    Other,
    /// Made later than now.
    #[error("the trust domain's revocations are from the future")]
    Future,
    /// More names than one word may have.
    #[error("the trust domain revoked more than can be said in {MAX_REVOKED} names")]
    TooMany,
}

impl DomainError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Bundle { .. } => "trust-bundle-malformed",
            Self::Jws(e) => e.code(),
            Self::Key => "trust-domain-key-unknown",
            Self::Other => "trust-domain-other",
            Self::Future => "trust-domain-clock",
            Self::TooMany => "trust-domain-revocations",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Bundle { .. } | Self::Other => {
                "compare `[[federates_with]]` with what its operators say"
            }
            Self::Jws(e) => e.remedy(),
            Self::Key => "wait until its bundle is read again",
            Self::Future => "check the clocks of both",
            Self::TooMany => "suspend whole agents instead of many instances",
        }
    }
}

/// Keys of a trust domain (SPIFFE Trust Domain and Bundle §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    /// Those of identity tokens, by `kid`.
    pub keys: Vec<(String, VerifyingKey)>,
    /// Grows with each change.
    pub sequence: u64,
    /// Seconds after which to look again.
    pub refresh_seconds: i64,
}

impl Bundle {
    /// Reads a bundle. Keys that are not for identity tokens are left out; a key
    /// for them that does not read condemns the bundle.
    ///
    /// # Errors
    /// [`DomainError::Bundle`].
    pub fn read(bytes: &[u8]) -> Result<Self, DomainError> {
        let bad = |what| DomainError::Bundle { what };
        let json = Json::parse(bytes, &BUNDLE).map_err(|_| bad("it is no strict JSON"))?;
        let o = json.as_object().ok_or(bad("it is no object"))?;
        let all = o.member("keys").and_then(Json::as_array).ok_or(bad("it has no `keys`"))?;
        if all.len() > MAX_BUNDLE_KEYS {
            return Err(bad("it has more than 64 keys"));
        }
        let mut keys: Vec<(String, VerifyingKey)> = Vec::new();
        for jwk in all {
            let jwk = jwk.as_object().ok_or(bad("a key is no object"))?;
            if jwk.member("use").and_then(Json::as_str) != Some("wit-svid") {
                continue;
            }
            let kid = jwk.member("kid").and_then(Json::as_str).filter(|k| k.len() <= 128);
            let kid = kid.ok_or(bad("a key has no `kid`"))?;
            // The members that make the key; what it is for was just read.
            let plain: Object = ["kty", "crv", "x", "y", "d"]
                .into_iter()
                .filter_map(|name| Some((name.to_owned(), jwk.member(name)?.clone())))
                .collect();
            let key = VerifyingKey::from_jwk(&plain).map_err(|_| bad("a key does not read"))?;
            if !matches!(key, VerifyingKey::P256(_)) || keys.iter().any(|(k, _)| k == kid) {
                return Err(bad("a key is of another kind, or one `kid` names two"));
            }
            keys.push((kid.to_owned(), key));
        }
        let number = |name| o.member(name)?.as_number()?.as_plain_integer();
        let sequence = number("spiffe_sequence").and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
        let refresh = number("spiffe_refresh_hint").unwrap_or(MAX_REFRESH_SECONDS);
        let refresh_seconds = refresh.clamp(1, MAX_REFRESH_SECONDS);
        Ok(Self { keys, sequence, refresh_seconds })
    }
}

/// A trust domain's word on whom it does not stand behind at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocations {
    /// Who speaks for the domain.
    pub issuer: String,
    /// The domain.
    pub trust_domain: String,
    /// When it was said, seconds.
    pub issued_at: i64,
    /// SPIFFE IDs of agents and instances.
    pub revoked: BTreeSet<String>,
}

impl Revocations {
    /// Signs it with the key of identity tokens that has this `kid`.
    ///
    /// # Errors
    /// [`DomainError::TooMany`]; [`DomainError::Jws`] when the library refuses.
    pub fn sign(&self, kid: &str, signer: &P256SigningKey) -> Result<String, DomainError> {
        if self.revoked.len() > MAX_REVOKED {
            return Err(DomainError::TooMany);
        }
        let revoked: Vec<Json> = self.revoked.iter().map(|id| Json::from(id.as_str())).collect();
        let claims = Object::new()
            .with("iss", self.issuer.as_str())
            .with("trust_domain", self.trust_domain.as_str())
            .with("iat", self.issued_at)
            .with("revoked", revoked);
        let signed = jose::sign(REVOCATIONS_TYPE, Some(kid), &claims.into(), signer);
        let signed = signed.map_err(|e: KeyError| JoseError::from(e))?;
        if signed.len() > MAX_REVOCATIONS_BYTES { Err(DomainError::TooMany) } else { Ok(signed) }
    }

    /// Verifies the word of `trust_domain`, for which `issuer` speaks with `keys`.
    /// Whether it is recent enough, and not older than one that is known, its reader
    /// asks.
    ///
    /// # Errors
    /// See [`DomainError`].
    pub fn verify(
        signed: &str,
        (trust_domain, issuer): (&str, &str),
        keys: &[(String, VerifyingKey)],
        now: i64,
    ) -> Result<Self, DomainError> {
        const RULES: HeaderRules<'_> = HeaderRules::typed(&[REVOCATIONS_TYPE]);
        let jws = Jws::parse(signed, MAX_REVOCATIONS_BYTES)?.check_header(&RULES)?;
        let kid = jws.kid().ok_or(DomainError::Key)?;
        // SECURITY: a `kid` belongs to its domain; the keys of others are not looked at.
        let (_, key) = keys.iter().find(|(k, _)| k == kid).ok_or(DomainError::Key)?;
        let claims = jws.verify(key)?;
        let text = |name| claims.member(name).and_then(Json::as_str);
        if text("iss") != Some(issuer) || text("trust_domain") != Some(trust_domain) {
            return Err(DomainError::Other);
        }
        let issued_at = numeric_date(&claims, "iat")?;
        if issued_at > now.saturating_add(SKEW_SECONDS) {
            return Err(DomainError::Future);
        }
        let malformed = JoseError::Claims { claim: "revoked" };
        let all = claims.member("revoked").and_then(Json::as_array).ok_or(malformed)?;
        if all.len() > MAX_REVOKED {
            return Err(DomainError::TooMany);
        }
        let named = all.iter().map(|id| id.as_str().map(str::to_owned));
        Ok(Self {
            issuer: issuer.to_owned(),
            trust_domain: trust_domain.to_owned(),
            issued_at,
            revoked: named.collect::<Option<_>>().ok_or(malformed)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> (String, P256SigningKey) {
        let key = crate::crypto::fresh_p256();
        (VerifyingKey::P256(key.public_key()).thumbprint().to_string(), key)
    }

    fn word() -> Revocations {
        Revocations {
            issuer: "https://b.example".to_owned(),
            trust_domain: "b.example".to_owned(),
            issued_at: 1_000,
            revoked: ["spiffe://b.example/agent/billing".to_owned()].into(),
        }
    }

    #[test]
    fn a_word_counts_for_its_own_domain_under_its_own_keys_alone() {
        let ((kid, signer), (other_kid, other)) = (key(), key());
        let keys = vec![(kid.clone(), VerifyingKey::P256(signer.public_key()))];
        let b = ("b.example", "https://b.example");
        let signed = word().sign(&kid, &signer).unwrap();
        assert_eq!(Revocations::verify(&signed, b, &keys, 1_000), Ok(word()));
        let verify = |of, keys: &[_], now| Revocations::verify(&signed, of, keys, now);
        let c = ("c.example", "https://b.example");
        assert_eq!(verify(c, &keys, 1_000), Err(DomainError::Other));
        assert_eq!(
            verify(("b.example", "https://c.example"), &keys, 1_000),
            Err(DomainError::Other)
        );
        assert_eq!(verify(b, &[], 1_000), Err(DomainError::Key));
        assert_eq!(verify(b, &keys, 969), Err(DomainError::Future));
        // Another's key under this `kid`, and a key that the bundle has not.
        let forged = word().sign(&kid, &other).unwrap();
        assert!(matches!(Revocations::verify(&forged, b, &keys, 1_000), Err(DomainError::Jws(_))));
        let stranger = word().sign(&other_kid, &other).unwrap();
        assert_eq!(Revocations::verify(&stranger, b, &keys, 1_000), Err(DomainError::Key));
        let many = (0..=MAX_REVOKED).map(|n| n.to_string()).collect();
        let many = Revocations { revoked: many, ..word() };
        assert_eq!(many.sign(&kid, &signer), Err(DomainError::TooMany));
    }

    #[test]
    fn a_bundle_gives_the_keys_of_identity_tokens_and_no_others() {
        let (kid, signer) = key();
        let jwk = signer.public_key().to_jwk();
        let wit = jwk.clone().with("use", "wit-svid").with("kid", kid.as_str());
        let x509 = jwk.clone().with("use", "x509-svid");
        let bundle = |keys: Vec<Json>| {
            let json = Object::new().with("keys", keys).with("spiffe_sequence", 3u64);
            Json::from(json.with("spiffe_refresh_hint", 900u64)).canonical()
        };
        let read = Bundle::read(bundle(vec![wit.clone().into(), x509.into()]).as_bytes()).unwrap();
        assert_eq!(read.keys, [(kid, VerifyingKey::P256(signer.public_key()))]);
        assert_eq!((read.sequence, read.refresh_seconds), (3, MAX_REFRESH_SECONDS));
        let nameless = jwk.with("use", "wit-svid");
        let private = wit.clone().with("d", "AAAA");
        for keys in
            [vec![nameless.into()], vec![private.into()], vec![wit.clone().into(), wit.into()]]
        {
            assert!(Bundle::read(bundle(keys).as_bytes()).is_err());
        }
    }
}
