//! A signed grant that is an assertion as well (RFC 7523 §3): one signature
//! authenticates the principal at the token endpoint and is the consent that is
//! kept, so that evidence verifies the very text that the endpoint accepted.

use super::{Moment, Statement, TYPE};
use crate::crypto::KeyError;
use crate::jose::{self, JoseError, JwsSigner, numeric_date};
use crate::json::{Json, Object};
use crate::time::Timestamp;

/// What an assertion may say beside `digest` and `grant`. Anything else would
/// be signed without being looked at.
const CLAIMS: [&str; 7] = ["aud", "exp", "iat", "iss", "jti", "nbf", "sub"];

/// What the maker of an assertion chooses.
#[derive(Clone, Copy, Debug)]
pub struct AssertionClaims<'a> {
    /// Its `jti`; it counts once.
    pub jti: &'a str,
    /// Now.
    pub issued: Timestamp,
    /// Until when it is accepted; minutes at most.
    pub expires: Timestamp,
}

impl Statement {
    /// Signs the digest as an assertion for the authority that prepared the
    /// grant (RFC 7523 §2.1).
    ///
    /// # Errors
    /// [`KeyError`] when the library refuses to sign.
    pub fn sign_assertion(
        &self,
        claims: &AssertionClaims<'_>,
        signer: &dyn JwsSigner,
    ) -> Result<String, KeyError> {
        let payload = self
            .request()
            .with("iss", &self.principal)
            .with("sub", &self.principal)
            .with("aud", self.principal_issuer.as_str())
            .with("jti", claims.jti)
            .with("iat", claims.issued.seconds())
            .with("exp", claims.expires.seconds());
        jose::sign(TYPE, None, &payload.into(), signer)
    }
}

/// Whether `payload` states `request`: that and nothing else, or that with the
/// claims of an assertion.
pub(super) fn states(payload: &Object, request: &Object) -> bool {
    request.iter().all(|(name, value)| payload.member(name) == Some(value))
        && payload.iter().all(|(n, _)| request.member(n).is_some() || CLAIMS.contains(&n))
}

/// The claims of an assertion, where there are some: it is the principal's own,
/// for the authority alone, and was in force when the grant was signed.
///
/// # Errors
/// [`JoseError::Claims`] names the claim.
pub(super) fn check(
    payload: &Object,
    statement: &Statement,
    moment: &Moment,
) -> Result<(), JoseError> {
    if CLAIMS.iter().all(|claim| payload.member(claim).is_none()) {
        return Ok(());
    }
    let holds = |claim, holds: bool| if holds { Ok(()) } else { Err(JoseError::Claims { claim }) };
    for claim in ["iss", "sub"] {
        let party = payload.member(claim).and_then(Json::as_str);
        holds(claim, party == Some(statement.principal.as_str()))?;
    }
    let audience = match payload.member("aud") {
        Some(Json::Array(list)) => match list.as_slice() {
            [only] => only.as_str(),
            _ => None,
        },
        other => other.and_then(Json::as_str),
    };
    holds("aud", audience == Some(statement.principal_issuer.as_str()))?;
    let (now, skew) = (moment.signed_at.seconds(), moment.skew_seconds);
    holds("exp", numeric_date(payload, "exp")? > now.saturating_sub(skew))?;
    for claim in ["iat", "nbf"] {
        if payload.member(claim).is_some() {
            holds(claim, numeric_date(payload, claim)? <= now.saturating_add(skew))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Signer as _, SigningKey};
    use crate::grant::tests::statement;
    use crate::grant::{GrantError, Proof, Registered, SignedBy};
    use crate::ids::PrincipalId;
    use crate::jose::VerifyingKey;

    const NOW: Timestamp = Timestamp::from_seconds(1_704_067_500);

    fn key() -> SigningKey {
        SigningKey::from_seed(&[1; 32]).unwrap()
    }

    fn service() -> Statement {
        Statement { principal: PrincipalId::parse("service:billing").unwrap(), ..statement() }
    }

    fn verify(jws: String) -> Result<SignedBy, GrantError> {
        let keys = [VerifyingKey::Ed25519(key().public_key())];
        let registered = Registered { keys: &keys, ..Registered::NOTHING };
        let moment = Moment { signed_at: NOW, skew_seconds: 30 };
        service().verify_proof(&Proof::Request(jws), &registered, &moment)
    }

    fn changed(name: &str, value: Json) -> Result<SignedBy, GrantError> {
        let statement = service();
        let payload = statement
            .request()
            .with("iss", "service:billing")
            .with("sub", "service:billing")
            .with("aud", statement.principal_issuer.as_str())
            .with("jti", "j")
            .with("exp", NOW.seconds() + 60)
            .with(name, value);
        verify(jose::sign(TYPE, None, &payload.into(), &key()).unwrap())
    }

    #[test]
    fn one_signature_is_assertion_and_consent() {
        let claims = AssertionClaims { jti: "j", issued: NOW, expires: NOW.plus_seconds(60) };
        let jws = service().sign_assertion(&claims, &key()).unwrap();
        assert_eq!(verify(jws), Ok(SignedBy::Service));
        assert_eq!(verify(service().sign_request(&key()).unwrap()), Ok(SignedBy::Service));
        assert_eq!(
            changed("aud", vec![Json::from(service().principal_issuer.as_str())].into()),
            Ok(SignedBy::Service)
        );
    }

    #[test]
    fn an_assertion_of_another_party_audience_or_time_is_no_consent() {
        let claims = |claim| Err(GrantError::Jws(JoseError::Claims { claim }));
        assert_eq!(changed("iss", "service:other".into()), claims("iss"));
        assert_eq!(changed("sub", "service:other".into()), claims("sub"));
        assert_eq!(changed("aud", "https://other.example".into()), claims("aud"));
        let two = vec![Json::from(service().principal_issuer.as_str()), "b".into()];
        assert_eq!(changed("aud", two.into()), claims("aud"));
        assert_eq!(changed("exp", (NOW.seconds() - 30).into()), claims("exp"));
        assert_eq!(changed("exp", Json::Null), claims("exp"));
        assert_eq!(changed("iat", (NOW.seconds() + 31).into()), claims("iat"));
        assert_eq!(changed("nbf", (NOW.seconds() + 31).into()), claims("nbf"));
    }

    #[test]
    fn what_is_signed_beside_it_is_refused() {
        for (name, value) in [("scope", Json::from("x")), ("digest", "x".into())] {
            assert_eq!(changed(name, value), Err(GrantError::OtherStatement), "{name}");
        }
        let bare = Object::new().with("iss", "service:billing").with("sub", "service:billing");
        let jws = jose::sign(TYPE, None, &bare.into(), &key()).unwrap();
        assert_eq!(verify(jws), Err(GrantError::OtherStatement));
    }
}
