//! Access tokens (RFC 9068) for callers that know OAuth and nothing of
//! delegation tokens: the same authority, for one gateway resource, bound to a
//! key by DPoP or to nobody.
//!
//! The claims are those of a root (the accountable ones, and the tools under
//! the delegation draft's `type` in `authorization_details`), so that one set
//! of rules reads both. What differs is written here: `typ` is `at+jwt`, `aud`
//! names exactly one resource, `client_id` is required, `cnf` holds a
//! thumbprint or is absent, and nothing can be derived from the token.

use crate::aat::DETAILS_TYPE;
use crate::aat::claims::Holder;
use crate::aat::jws::{Compact, sign};
use crate::aat::make::MakeError;
use crate::accountable;
use crate::crypto::{Signer, Thumbprint, sha256};
use crate::denial::{Denial, Reason};
use crate::json::{Json, Object};
use crate::limits::ChainLimits;
use crate::scope::Scope;
use crate::time::Timestamp;

/// The `typ` of an access token (RFC 9068 §2.1).
pub const TYPE: &str = "at+jwt";

/// Seconds that a bearer token lives at most (DESIGN rule 1).
pub const MAX_BEARER_SECONDS: i64 = 300;

/// What stands in an access token besides who authorised it.
#[derive(Clone, Debug)]
pub struct Content {
    /// `jti`; a UUIDv7.
    pub jti: String,
    /// The time of making.
    pub now: Timestamp,
    /// `exp`, seconds.
    pub exp: i64,
    /// `nbf`, seconds.
    pub nbf: Option<i64>,
    /// The thumbprint of the key that it is bound to; `None`: bearer.
    pub key: Option<Thumbprint>,
    /// What it permits.
    pub scope: Scope,
    /// The same as OAuth scope values, for clients to read.
    pub shorthands: Vec<String>,
    /// The one resource that it is for.
    pub aud: String,
    /// Budget members; empty for none.
    pub budget: Object,
    /// Its place in a status list, and that list's URI.
    pub status: Option<(u32, String)>,
}

/// Issues an access token; `authority` are the accountable claims, which name
/// the client.
///
/// # Errors
/// [`MakeError::Window`], also for a bearer token that would live longer than
/// [`MAX_BEARER_SECONDS`].
pub fn issue(
    issuer: &str,
    content: &Content,
    authority: &Object,
    signer: &dyn Signer,
    limits: &ChainLimits,
) -> Result<String, MakeError> {
    let iat = content.now.seconds();
    let longest = match content.key {
        Some(_) => limits.max_token_lifetime,
        None => MAX_BEARER_SECONDS.min(limits.max_token_lifetime),
    };
    if content.exp <= iat || content.exp > iat.saturating_add(longest) {
        return Err(MakeError::Window);
    }
    let details = Object::new().with("type", DETAILS_TYPE).with("tools", content.scope.to_json());
    let mut claims = Object::new()
        .with("jti", content.jti.as_str())
        .with("iss", issuer)
        .with("iat", iat)
        .with("exp", content.exp)
        .with("aud", content.aud.as_str())
        .with("scope", content.shorthands.join(" "))
        .with("authorization_details", vec![Json::from(details)]);
    if let Some(nbf) = content.nbf {
        claims.insert("nbf", nbf);
    }
    if let Some(key) = content.key {
        claims.insert("cnf", Object::new().with("jkt", key));
    }
    if !content.budget.is_empty() {
        claims.insert(accountable::BUDGET, content.budget.clone());
    }
    if let Some((index, list)) = &content.status {
        claims.insert("status", status(*index, list));
    }
    for (name, value) in authority.iter() {
        claims.insert(name, value.clone());
    }
    let kid = signer.public_key().thumbprint().to_string();
    Ok(sign(TYPE, Some(&kid), &claims.into(), signer))
}

/// The claim `status` (Token Status List §6.2) of the token that has place
/// `index` in the list at `uri`.
#[must_use]
pub fn status(index: u32, uri: &str) -> Object {
    let place = Object::new().with("idx", u64::from(index)).with("uri", uri);
    Object::new().with("status_list", place)
}

/// What stands for the key of a bearer token, which has none: its client, so
/// that sessions and bars are not shared between clients.
#[must_use]
pub fn bearer_thumbprint(client: &str) -> Thumbprint {
    let text = format!("urn:bailiwick:bearer:{client}");
    Thumbprint::from_array(*sha256(text.as_bytes()).bytes())
}

/// An access token whose framing is acceptable; nothing in it is trusted.
#[derive(Clone, Debug)]
pub struct Unverified<'t> {
    pub(crate) text: &'t str,
    pub(crate) jws: Compact<'t>,
    pub(crate) kid: Option<String>,
}

impl<'t> Unverified<'t> {
    /// Frames `text`. The media type may be written in full
    /// (`application/at+jwt`).
    ///
    /// # Errors
    /// Denials of the boundary stage; [`Reason::HeaderUnacceptable`] for any
    /// other kind of token (RFC 9068 §4).
    pub fn parse(text: &'t str, limits: &ChainLimits) -> Result<Self, Denial> {
        if text.len() > limits.max_token_size {
            return Err(Denial::new(Reason::TokenTooLarge).of_token(0));
        }
        let jws = Compact::parse(text).map_err(|d| d.of_token(0))?;
        let kid = jws
            .check_header(TYPE)
            .or_else(|_| jws.check_header("application/at+jwt"))
            .map_err(|d| d.of_token(0))?;
        Ok(Self { text, jws, kid })
    }

    /// Whose token it says it is, before its signature is checked: the
    /// thumbprint of its key, or what stands for one.
    ///
    /// # Errors
    /// [`Reason::ClaimsMalformed`].
    pub fn claimed_holder(&self, limits: &ChainLimits) -> Result<Thumbprint, Denial> {
        let claims = self.jws.claims(&limits.json)?;
        Ok(holder(&claims)?.thumbprint())
    }
}

/// What the token is bound to; `cnf` in a form that is not known binds it to
/// something that cannot be checked.
pub(crate) fn holder(claims: &Object) -> Result<Holder, Denial> {
    let bad = |claim: &str| Denial::new(Reason::ClaimsMalformed).at_step("at+jwt").about(claim);
    let client =
        claims.member("client_id").and_then(Json::as_str).ok_or_else(|| bad("client_id"))?;
    let Some(cnf) = claims.member("cnf") else {
        return Ok(Holder::Bearer(bearer_thumbprint(client)));
    };
    cnf.as_object()
        .filter(|cnf| cnf.len() == 1)
        .and_then(|cnf| Thumbprint::from_text(cnf.member("jkt")?.as_str()?))
        .map(Holder::Bound)
        .ok_or_else(|| bad("cnf"))
}
