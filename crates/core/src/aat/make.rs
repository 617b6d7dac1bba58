//! Making tokens and proofs: issuance (§6.1), derivation (§6.2), possession
//! (§7). Each maker checks what it makes, so that nobody ships a token that
//! every verifier denies.

use crate::accountable;
use crate::constraint::Dialect;
use crate::crypto::{Digest, PublicKey, Signer};
use crate::denial::Denial;
use crate::json::{Json, Object};
use crate::limits::ChainLimits;
use crate::scope::Scope;
use crate::time::Timestamp;

use super::jws::{Compact, sign};
use super::{DETAILS_TYPE, PROOF_TYPE, TOKEN_TYPE};

/// Why a token cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MakeError {
    /// The parent token cannot be read.
    #[error("the parent token cannot be read: {0}")]
    Parent(Denial),
    /// The signing key is not the one that the parent names.
    #[error("the parent names another holder key than the one that signs")]
    NotTheHolder,
    /// The parent may not be derived from any further.
    #[error("the parent has reached its maximum depth of {max_depth}")]
    Terminal {
        /// Its `del_max_depth`.
        max_depth: u64,
    },
    /// The child would permit more than the parent.
    #[error("the child would permit more than its parent: {what}")]
    Wider {
        /// Which rule.
        what: String,
    },
    /// The window is empty or outside the parent's.
    #[error("the time window is empty or outside the parent's")]
    Window,
    /// A depth beyond the parent's or the limit.
    #[error("the maximum depth is beyond the parent's")]
    Depth,
    /// A budget member beyond the parent's.
    #[error("the budget member `{member}` is beyond the parent's")]
    Budget {
        /// Which one.
        member: String,
    },
}

impl MakeError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Parent(_) => "parent-unreadable",
            Self::NotTheHolder => "not-the-holder",
            Self::Terminal { .. } => "delegation-terminal",
            Self::Wider { .. } => "authority-widened",
            Self::Window => "window-invalid",
            Self::Depth => "depth-invalid",
            Self::Budget { .. } => "budget-widened",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Parent(_) => "pass the chain as it was issued",
            Self::NotTheHolder => "sign with the key that the last token of the chain names",
            Self::Terminal { .. } => {
                "have the parent derived with `--further`, or ask for a larger depth"
            }
            Self::Wider { .. } => "leave out what the parent does not permit",
            Self::Window => "choose an end between now and the parent's end",
            Self::Depth => "choose a maximum depth within the parent's",
            Self::Budget { .. } => "choose a budget within the parent's",
        }
    }
}

/// What stands in a token besides its place in the chain.
#[derive(Clone, Debug)]
pub struct Content {
    /// `jti`; a UUIDv7 is recommended.
    pub jti: String,
    /// The time of making; a lagging clock uses the parent's `iat`.
    pub now: Timestamp,
    /// `exp`, seconds.
    pub exp: i64,
    /// `nbf`, seconds.
    pub nbf: Option<i64>,
    /// The next holder's key.
    pub holder: PublicKey,
    /// What it permits.
    pub scope: Scope,
    /// `del_max_depth`.
    pub max_depth: u64,
    /// `aud`.
    pub aud: Vec<String>,
    /// Budget members; empty for none.
    pub budget: Object,
}

impl Content {
    fn claims(&self, iss: &str, iat: i64, depth: u64) -> Object {
        let details = Object::new().with("type", DETAILS_TYPE).with("tools", self.scope.to_json());
        let mut claims = Object::new()
            .with("jti", self.jti.as_str())
            .with("iss", iss)
            .with("iat", iat)
            .with("exp", self.exp)
            .with("cnf", Object::new().with("jwk", self.holder.to_jwk()))
            .with("del_depth", depth)
            .with("del_max_depth", self.max_depth)
            .with("authorization_details", vec![Json::from(details)]);
        if let Some(nbf) = self.nbf {
            claims.insert("nbf", nbf);
        }
        match self.aud.as_slice() {
            [] => {}
            [one] => claims.insert("aud", one.as_str()),
            many => claims
                .insert("aud", many.iter().map(|a| Json::from(a.as_str())).collect::<Vec<_>>()),
        }
        if !self.budget.is_empty() {
            claims.insert(accountable::BUDGET, self.budget.clone());
        }
        claims
    }
}

/// Issues a root; `extra` are the accountable claims.
///
/// # Errors
/// [`MakeError::Window`], [`MakeError::Depth`].
pub fn issue(
    issuer: &str,
    content: &Content,
    extra: &Object,
    signer: &dyn Signer,
    limits: &ChainLimits,
) -> Result<String, MakeError> {
    let iat = content.now.seconds();
    if content.exp <= iat || content.exp > iat.saturating_add(limits.max_token_lifetime) {
        return Err(MakeError::Window);
    }
    if content.max_depth > limits.max_delegation_depth {
        return Err(MakeError::Depth);
    }
    let mut claims = content.claims(issuer, iat, 0);
    for (name, value) in extra.iter() {
        claims.insert(name, value.clone());
    }
    let kid = signer.public_key().thumbprint().to_string();
    Ok(sign(TOKEN_TYPE, Some(&kid), &claims.into(), signer))
}

/// Derives a child of `parent` (compact text), offline.
///
/// # Errors
/// See [`MakeError`]; the rules are those of the verifier.
pub fn derive(
    parent: &str,
    content: &Content,
    signer: &dyn Signer,
    limits: &ChainLimits,
) -> Result<String, MakeError> {
    let token = Compact::parse(parent).map_err(MakeError::Parent)?;
    let seen = Seen::read(&token, limits).map_err(MakeError::Parent)?;
    if seen.holder != signer.public_key() {
        return Err(MakeError::NotTheHolder);
    }
    let depth = seen.depth.saturating_add(1);
    if depth > seen.max_depth {
        return Err(MakeError::Terminal { max_depth: seen.max_depth });
    }
    if content.max_depth < depth || content.max_depth > seen.max_depth {
        return Err(MakeError::Depth);
    }
    let iat = content.now.seconds().max(seen.iat);
    let starts_early = matches!((content.nbf, seen.nbf), (Some(a), Some(b)) if a < b);
    if content.exp > seen.exp || content.exp <= iat || starts_early {
        return Err(MakeError::Window);
    }
    seen.scope.covers(&content.scope).map_err(|w| MakeError::Wider { what: w.to_string() })?;
    if let Some(member) = accountable::budget_beyond(&seen.budget, &content.budget) {
        return Err(MakeError::Budget { member });
    }
    let iss = signer.public_key().thumbprint().to_uri();
    let claims = content.claims(&iss, iat, depth).with("par_hash", token.hash());
    Ok(sign(TOKEN_TYPE, None, &claims.into(), signer))
}

/// A token as its holder reads it: no signature is checked, because a holder
/// has no anchor to check against; the verifier will.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `jti`.
    pub jti: String,
    /// `iat`, seconds.
    pub iat: i64,
    /// `exp`, seconds.
    pub exp: i64,
    /// `nbf`, seconds.
    pub nbf: Option<i64>,
    /// The holder's key.
    pub holder: PublicKey,
    /// `del_depth`.
    pub depth: u64,
    /// `del_max_depth`.
    pub max_depth: u64,
    /// What it permits.
    pub scope: Scope,
    /// Its own budget members.
    pub budget: Object,
    /// Its token hash.
    pub hash: Digest,
    /// All claims.
    pub claims: Object,
}

impl Seen {
    /// Reads a compact token.
    ///
    /// # Errors
    /// The denial that a verifier would give for its form.
    pub fn parse(token: &str, limits: &ChainLimits) -> Result<Self, Denial> {
        Self::read(&Compact::parse(token)?, limits)
    }

    fn read(token: &Compact<'_>, limits: &ChainLimits) -> Result<Self, Denial> {
        use super::claims::{Labels, Reading, Strictness};
        token.check_header(TOKEN_TYPE)?;
        let claims = token.claims(&limits.json)?;
        let nbf = claims.member("nbf").and_then(Json::as_number).and_then(|n| n.as_plain_integer());
        let budget = claims
            .member(accountable::BUDGET)
            .and_then(Json::as_object)
            .cloned()
            .unwrap_or_default();
        let reading = Reading::new(claims, Labels::CHILD);
        let (iat, exp) = reading.dates()?;
        let strictness = Strictness { dialect: Dialect::Extended, extra_entry_members: true };
        Ok(Self {
            jti: reading.jti()?,
            iat,
            exp,
            nbf,
            holder: reading.holder()?,
            depth: reading.depth()?,
            max_depth: reading.max_depth()?,
            scope: reading.scope(limits, strictness)?.unwrap_or_else(Scope::empty),
            budget,
            hash: token.hash(),
            claims: reading.into_all(),
        })
    }
}

/// What a proof is made for.
#[derive(Clone, Debug)]
pub struct ProofFor<'a> {
    /// A fresh id.
    pub jti: &'a str,
    /// Now.
    pub now: Timestamp,
    /// The tool id.
    pub tool: &'a str,
    /// The arguments as they will be sent.
    pub arguments: &'a Object,
    /// The gateway's audience.
    pub audience: Option<&'a str>,
    /// A nonce that the gateway supplied.
    pub nonce: Option<&'a str>,
}

/// Makes a proof of possession of `leaf`'s key for one call (§7).
///
/// # Errors
/// [`MakeError::Parent`] when the leaf cannot be read,
/// [`MakeError::NotTheHolder`] when the key is another one.
pub fn prove(
    leaf: &str,
    proof: &ProofFor<'_>,
    signer: &dyn Signer,
    limits: &ChainLimits,
) -> Result<String, MakeError> {
    let seen = Seen::parse(leaf, limits).map_err(MakeError::Parent)?;
    if seen.holder != signer.public_key() {
        return Err(MakeError::NotTheHolder);
    }
    Ok(prove_unchecked(&seen.jti, seen.hash, proof, signer))
}

/// Makes a proof without asking whether the key is the leaf's holder: what a
/// thief would do, for tests and drills.
#[must_use]
pub fn prove_unchecked(
    leaf_jti: &str,
    leaf_hash: Digest,
    proof: &ProofFor<'_>,
    signer: &dyn Signer,
) -> String {
    let mut claims = Object::new()
        .with("jti", proof.jti)
        .with("iat", proof.now.seconds())
        .with("aat_id", leaf_jti)
        .with("aat_hash", leaf_hash)
        .with("aat_tool", proof.tool)
        .with("hta", proof.arguments.clone());
    if let Some(audience) = proof.audience {
        claims.insert("aat_aud", audience);
    }
    if let Some(nonce) = proof.nonce {
        claims.insert("nonce", nonce);
    }
    sign(PROOF_TYPE, None, &claims.into(), signer)
}
