//! An OpenID `id_token` as a principal's signature: its `nonce` is the grant's
//! digest, from a login made for this very grant (OpenID Connect Core §2,
//! §3.1.3.7).

use super::proof::{MAX_LOGIN_AGE_SECONDS, Moment};
use crate::crypto::Digest;
use crate::jose::{HeaderRules, JoseError, Jws, ThirdPartyKey, numeric_date};
use crate::json::Json;

/// Providers put groups into them.
const MAX_ID_TOKEN_BYTES: usize = 16 << 10;

/// A configured provider. Nothing in it comes from a token.
#[derive(Clone, Copy, Debug)]
pub struct IdTokenIssuer<'a> {
    /// Its issuer identifier, exact text.
    pub issuer: &'a str,
    /// The client id under which logins for grants are made, here.
    pub client_id: &'a str,
    /// The keys that are known to be its own.
    pub keys: &'a [ThirdPartyKey],
}

/// An `id_token` that signs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenProblem {
    /// Framing, header, signature or claims.
    #[error(transparent)]
    Jws(#[from] JoseError),
    /// The key is none of the provider's.
    #[error("the key that verifies the token is none of the provider's known keys")]
    Key,
    /// Of another provider, or one that is not configured.
    #[error("the token is of a provider that is not trusted here")]
    Issuer,
    /// For another client.
    #[error("the token was made for another client")]
    Audience,
    /// Another person's.
    #[error("the token is another person's")]
    Subject,
    /// Over another grant.
    #[error("the token's nonce is not the digest of this grant")]
    Nonce,
    /// Not made by a fresh login for this grant.
    #[error("the token was not made by a fresh login when the grant was signed")]
    NotFresh,
}

impl IdTokenProblem {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Jws(e) => e.code(),
            Self::Key => "id-token-key-unknown",
            Self::Issuer => "id-token-issuer-untrusted",
            Self::Audience => "id-token-other-client",
            Self::Subject => "id-token-other-person",
            Self::Nonce => "id-token-other-digest",
            Self::NotFresh => "id-token-not-fresh",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Jws(_) => "log in again at the configured provider",
            Self::Key => "add the provider's signing key to what is trusted",
            Self::Issuer | Self::Audience => "log in at the provider and client configured here",
            Self::Subject => "log in as the person who grants",
            Self::Nonce => "log in for the grant that is shown now",
            Self::NotFresh => "log in again when asked, and check the clocks",
        }
    }
}

/// Verifies `token` under `key`, which must be one of the issuer's, as the
/// signature of (`issuer.issuer`, `subject`) over `digest`.
pub(super) fn verify(
    token: &str,
    key: &ThirdPartyKey,
    issuer: &IdTokenIssuer<'_>,
    subject: &str,
    digest: Digest,
    moment: &Moment,
) -> Result<(), IdTokenProblem> {
    const RULES: HeaderRules<'_> = HeaderRules::typed(&["JWT"]).or_untyped();
    if !issuer.keys.contains(key) {
        return Err(IdTokenProblem::Key);
    }
    let claims = Jws::parse(token, MAX_ID_TOKEN_BYTES)?.check_header(&RULES)?.verify(key)?;
    let text = |name| claims.member(name).and_then(Json::as_str);
    if text("iss") != Some(issuer.issuer) {
        return Err(IdTokenProblem::Issuer);
    }
    // A token for several clients is one that another of them may have got.
    let for_us = match claims.member("aud") {
        Some(Json::String(aud)) => aud == issuer.client_id,
        Some(Json::Array(list)) => {
            matches!(list.as_slice(), [Json::String(aud)] if aud == issuer.client_id)
        }
        _ => false,
    };
    let authorized = claims.member("azp").is_none_or(|p| p.as_str() == Some(issuer.client_id));
    if !for_us || !authorized {
        return Err(IdTokenProblem::Audience);
    }
    if text("sub") != Some(subject) {
        return Err(IdTokenProblem::Subject);
    }
    if text("nonce") != Some(digest.to_string().as_str()) {
        return Err(IdTokenProblem::Nonce);
    }
    let (iat, exp, auth_time) = (
        numeric_date(&claims, "iat")?,
        numeric_date(&claims, "exp")?,
        numeric_date(&claims, "auth_time")?,
    );
    let (now, skew) = (moment.signed_at.seconds(), moment.skew_seconds);
    let recent = |time: i64| {
        time <= now.saturating_add(skew)
            && time >= now.saturating_sub(MAX_LOGIN_AGE_SECONDS).saturating_sub(skew)
    };
    // A login of yesterday that the provider remembers is nobody's consent.
    if !recent(iat) || !recent(auth_time) || exp.saturating_add(skew) <= now || exp <= iat {
        return Err(IdTokenProblem::NotFresh);
    }
    Ok(())
}
