//! OpenID `id_token`s (OpenID Connect Core §2, §3.1.3.7), read strictly: as a
//! login, and as a principal's signature over a grant whose digest is the
//! `nonce`.

use crate::jose::{Acceptable, HeaderRules, JoseError, Jws, ThirdPartyKey, numeric_date};
use crate::json::{Json, Object};
use crate::time::Timestamp;

/// Seconds from a login to what rests on it.
pub const MAX_LOGIN_AGE_SECONDS: i64 = 600;

/// Providers put groups into them.
const MAX_ID_TOKEN_BYTES: usize = 16 << 10;
/// OpenID Connect Core §2 allows 255 characters.
const MAX_SUBJECT_BYTES: usize = 255;

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
    /// Of another login, or over another grant.
    #[error("the token's nonce is not the one that was asked for")]
    Nonce,
    /// Run out, from another time, or not made by a fresh login.
    #[error("the token was not made by a fresh login at that time")]
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
            Self::Nonce => "log in for what is shown now",
            Self::NotFresh => "log in again when asked, and check the clocks",
        }
    }
}

/// What a token must say.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The provider, exact text.
    pub issuer: &'a str,
    /// Our client id there.
    pub client_id: &'a str,
    /// The nonce that the login was begun with.
    pub nonce: &'a str,
    /// Now.
    pub now: Timestamp,
    /// Seconds that clocks may differ.
    pub skew_seconds: i64,
    /// Whether the person must have been asked just now.
    pub fresh: bool,
}

/// Who logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// `sub` at the provider.
    pub subject: String,
    /// When the person was asked last, seconds, if the provider says so.
    pub auth_time: Option<i64>,
}

/// Frames a token and checks its header; nothing in it is trusted yet.
///
/// # Errors
/// [`IdTokenProblem::Jws`].
pub fn parse(token: &str) -> Result<Acceptable<'_>, IdTokenProblem> {
    const RULES: HeaderRules<'_> = HeaderRules::typed(&["JWT"]).or_untyped();
    Ok(Jws::parse(token, MAX_ID_TOKEN_BYTES)?.check_header(&RULES)?)
}

/// Judges the claims of a token whose signature held under one of the
/// provider's keys (OpenID Connect Core §3.1.3.7).
///
/// # Errors
/// See [`IdTokenProblem`].
pub fn read(claims: &Object, expected: &Expected<'_>) -> Result<Identity, IdTokenProblem> {
    let text = |name| claims.member(name).and_then(Json::as_str);
    if text("iss") != Some(expected.issuer) {
        return Err(IdTokenProblem::Issuer);
    }
    // A token for several clients is one that another of them may have got.
    let for_us = match claims.member("aud") {
        Some(Json::String(aud)) => aud == expected.client_id,
        Some(Json::Array(list)) => {
            matches!(list.as_slice(), [Json::String(aud)] if aud == expected.client_id)
        }
        _ => false,
    };
    let authorized = claims.member("azp").is_none_or(|p| p.as_str() == Some(expected.client_id));
    if !for_us || !authorized {
        return Err(IdTokenProblem::Audience);
    }
    let subject = text("sub").filter(|s| (1..=MAX_SUBJECT_BYTES).contains(&s.len()));
    let subject = subject.ok_or(IdTokenProblem::Subject)?.to_owned();
    if text("nonce") != Some(expected.nonce) {
        return Err(IdTokenProblem::Nonce);
    }
    let (iat, exp) = (numeric_date(claims, "iat")?, numeric_date(claims, "exp")?);
    let auth_time = match claims.member("auth_time") {
        None if !expected.fresh => None,
        _ => Some(numeric_date(claims, "auth_time")?),
    };
    let (now, skew) = (expected.now.seconds(), expected.skew_seconds);
    let recent = |time: i64| {
        time <= now.saturating_add(skew)
            && time >= now.saturating_sub(MAX_LOGIN_AGE_SECONDS).saturating_sub(skew)
    };
    // A login of yesterday that the provider remembers is nobody's consent.
    let fresh = !expected.fresh || auth_time.is_some_and(recent);
    if !fresh || !recent(iat) || exp.saturating_add(skew) <= now || exp <= iat {
        return Err(IdTokenProblem::NotFresh);
    }
    Ok(Identity { subject, auth_time })
}
