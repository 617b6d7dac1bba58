//! The links of a chain: steps 3 to 5, 6a and 6c.

use std::sync::Arc;

use crate::aat::claims::{Claims, Holder, Labels, Reading, Strictness};
use crate::aat::jws::Compact;
use crate::crypto::{Digest, Thumbprint};
use crate::denial::{Denial, Reason};
use crate::scope::Scope;
use crate::time::Timestamp;

use super::anchors::is_uri;
use super::{Context, Profile, Unverified};

/// One token of a verified chain.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its claims.
    pub claims: Claims,
    /// SHA-256 of its signing input.
    pub hash: Digest,
    /// The thumbprint of its holder's key.
    pub holder: Thumbprint,
}

impl Link {
    pub(super) fn new(claims: Claims, hash: Digest) -> Self {
        let holder = claims.holder.thumbprint();
        Self { claims, hash, holder }
    }
}

/// A chain whose every link was verified (steps 1 to 5, 6a, 6c).
#[derive(Clone, Debug)]
pub struct Chain {
    pub(super) links: Arc<Vec<Link>>,
    pub(super) issuer: String,
}

impl Chain {
    /// The tokens, root first.
    #[must_use]
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The issuer of the root.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The hash of the root.
    #[must_use]
    pub fn root_hash(&self) -> Digest {
        self.links.first().map_or(Digest::from_array([0; 32]), |l| l.hash)
    }

    /// The hash of the leaf.
    #[must_use]
    pub fn leaf_hash(&self) -> Digest {
        self.links.last().map_or(Digest::from_array([0; 32]), |l| l.hash)
    }

    /// The scope of the leaf.
    #[must_use]
    pub fn scope(&self) -> Option<&Scope> {
        self.links.last().and_then(|l| l.claims.scope.as_ref())
    }

    /// The earliest `exp` of the chain, seconds.
    #[must_use]
    pub fn expires(&self) -> i64 {
        self.links.iter().map(|l| l.claims.exp).min().unwrap_or(0)
    }

    /// Verifies the links of `unverified` (steps 3 to 5, 6a, 6c).
    ///
    /// # Errors
    /// Denials of the identity stage, at most one signature after the first
    /// bad token.
    pub fn verify<P: Profile>(
        unverified: &Unverified<'_>,
        context: &Context<'_>,
    ) -> Result<Self, Denial> {
        let mut tokens = unverified.tokens.iter();
        let root = tokens.next().ok_or_else(|| Denial::new(Reason::ChainEmpty))?;
        let (root, issuer) = verify_root(root, unverified.kid.as_deref(), context, P::STRICTNESS)
            .map_err(|d| d.of_token(0))?;
        let mut links = Vec::with_capacity(unverified.tokens.len());
        links.push(root);
        for (i, token) in tokens.enumerate() {
            let parent = links.last().ok_or_else(|| Denial::new(Reason::ChainEmpty))?;
            let child = verify_child(parent, token, context, P::STRICTNESS)
                .map_err(|d| d.of_token(i.saturating_add(1)))?;
            links.push(child);
        }
        let chain = Self { links: Arc::new(links), issuer };
        chain.check_leaf_and_audience(context)?;
        Ok(chain)
    }

    /// Repeats what the time and the enforcement point decide.
    pub(super) fn check_moment(&self, context: &Context<'_>) -> Result<(), Denial> {
        for (i, Link { claims, .. }) in self.links.iter().enumerate() {
            let steps = if i == 0 { ROOT_WINDOW } else { CHILD_WINDOW };
            check_window(claims.iat, claims.exp, context, steps).map_err(|d| d.of_token(i))?;
        }
        self.check_leaf_and_audience(context)
    }

    fn check_leaf_and_audience(&self, context: &Context<'_>) -> Result<(), Denial> {
        let leaf = self.links.last().ok_or_else(|| Denial::new(Reason::ChainEmpty))?;
        // 5, defence in depth: the length of the chain.
        if u64::try_from(self.links.len()).ok() != leaf.claims.depth.checked_add(1) {
            return Err(Denial::new(Reason::DepthInvalid).at_step("5"));
        }
        // 6a: exactly one entry in the leaf.
        if leaf.claims.scope.is_none() {
            return Err(Denial::new(Reason::ClaimsMalformed)
                .at_step("6a")
                .about("authorization_details"));
        }
        // 6c: every token with `aud` names this enforcement point.
        let mut named = false;
        for (i, link) in self.links.iter().enumerate() {
            let Some(aud) = &link.claims.aud else { continue };
            named = true;
            if !aud.iter().any(|a| context.audiences.contains(a)) {
                return Err(Denial::new(Reason::AudienceMismatch).at_step("6c").of_token(i));
            }
        }
        if context.require_chain_audience && !named {
            return Err(Denial::new(Reason::AudienceMismatch).at_step("6c"));
        }
        Ok(())
    }
}

fn verify_root(
    token: &Compact<'_>,
    kid: Option<&str>,
    context: &Context<'_>,
    strictness: Strictness,
) -> Result<(Link, String), Denial> {
    let limits = context.limits;
    // 3a was checked when the chain was framed. 3b: the signature first, then
    // the payload.
    let (issuer, _) = context
        .anchors
        .candidates(kid)
        .find(|(_, key)| token.verify(key))
        .ok_or_else(|| Denial::new(Reason::SignatureInvalid).at_step("3b"))?;
    let claims = token.claims(&limits.json).map_err(|d| d.at_step("3b"))?;
    let reading = Reading::new(claims, Labels::ROOT);
    let (iat, exp) = reading.dates()?;
    let depth = reading.depth()?;
    if depth != 0 {
        return Err(Denial::new(Reason::DepthInvalid).at_step("3c"));
    }
    if reading.par_hash().is_some() {
        return Err(Denial::new(Reason::ParentMismatch).at_step("3d"));
    }
    check_window(iat, exp, context, ROOT_WINDOW)?;
    if exp > iat.saturating_add(limits.max_token_lifetime) {
        return Err(Denial::new(Reason::LifetimeInvalid).at_step("3h"));
    }
    let max_depth = reading.max_depth()?;
    if max_depth > limits.max_delegation_depth {
        return Err(Denial::new(Reason::DepthInvalid).at_step("3i"));
    }
    let jti = reading.jti()?;
    let iss = reading.iss()?;
    if iss != *issuer || !is_uri(iss) {
        return Err(Denial::new(Reason::IssuerUntrusted).at_step("3k"));
    }
    let holder = Holder::Key(reading.holder()?);
    let scope = reading.scope(limits, strictness)?;
    // 3m: a root has exactly one entry.
    if scope.is_none() {
        return Err(Denial::new(Reason::ClaimsMalformed)
            .at_step("3m")
            .about("authorization_details"));
    }
    let aud = reading.aud()?;
    let all = reading.into_all();
    let claims = Claims { jti, iat, exp, holder, aud, depth, max_depth, scope, all };
    Ok((Link::new(claims, token.hash()), issuer.clone()))
}

fn verify_child(
    parent: &Link,
    token: &Compact<'_>,
    context: &Context<'_>,
    strictness: Strictness,
) -> Result<Link, Denial> {
    let limits = context.limits;
    let mother = &parent.claims;
    // 4a was checked when the chain was framed. 4b: under the parent's
    // `cnf` key, before anything of the payload is read.
    if !mother.holder.key().is_some_and(|key| token.verify(key)) {
        return Err(Denial::new(Reason::SignatureInvalid).at_step("4b"));
    }
    let claims = token.claims(&limits.json).map_err(|d| d.at_step("4b"))?;
    let reading = Reading::new(claims, Labels::CHILD);
    let jti = reading.jti()?;
    let holder = Holder::Key(reading.holder()?);
    reading.details()?;
    let depth = reading.depth()?;
    let max_depth = reading.max_depth()?;
    let iss = reading.iss()?;
    let par_hash = reading.parent_hash()?;
    let (iat, exp) = reading.dates()?;
    if Thumbprint::from_uri(iss) != Some(parent.holder) {
        return Err(Denial::new(Reason::IssuerUntrusted).at_step("4c"));
    }
    // I2.
    let deep = |step| Err(Denial::new(Reason::DepthInvalid).at_step(step));
    if mother.depth.checked_add(1) != Some(depth) {
        return deep("4d");
    }
    if depth > mother.max_depth {
        return deep("4e");
    }
    if depth > limits.max_delegation_depth {
        return deep("4f");
    }
    if max_depth > mother.max_depth {
        return deep("4g");
    }
    // I3.
    let outlives = |step| Err(Denial::new(Reason::ChildOutlivesParent).at_step(step));
    if exp > mother.exp {
        return outlives("4h");
    }
    check_expiry(exp, context, "4i")?;
    if iat < mother.iat {
        return outlives("4j");
    }
    check_window(iat, exp, context, CHILD_WINDOW)?;
    if depth > max_depth {
        return deep("4m");
    }
    let scope = reading.scope(limits, strictness)?;
    // 4p: a missing entry counts as the empty set on either side.
    let empty = Scope::empty();
    mother.scope.as_ref().unwrap_or(&empty).covers(scope.as_ref().unwrap_or(&empty)).map_err(
        |widening| {
            Denial::new(Reason::AuthorityWidened)
                .at_step(widening.step())
                .about(widening.argument().unwrap_or(widening.tool()))
        },
    )?;
    if par_hash != Some(parent.hash) {
        return Err(Denial::new(Reason::ParentMismatch).at_step("4q"));
    }
    let aud = reading.aud()?;
    let all = reading.into_all();
    let claims = Claims { jti, iat, exp, holder, aud, depth, max_depth, scope, all };
    Ok(Link::new(claims, token.hash()))
}

fn check_expiry(exp: i64, context: &Context<'_>, step: &'static str) -> Result<(), Denial> {
    if Timestamp::from_seconds(exp) <= context.now {
        return Err(Denial::new(Reason::TokenExpired).at_step(step));
    }
    Ok(())
}

/// The steps of [`check_window`] for a root and for a child.
const ROOT_WINDOW: [&str; 3] = ["3e", "3f", "3g"];
const CHILD_WINDOW: [&str; 3] = ["4i", "4k", "4l"];

/// `exp` after now, `iat` at most the skew ahead, `exp` after `iat`.
pub(super) fn check_window(
    iat: i64,
    exp: i64,
    context: &Context<'_>,
    [expired, early, empty]: [&'static str; 3],
) -> Result<(), Denial> {
    check_expiry(exp, context, expired)?;
    if iat > context.now.seconds().saturating_add(context.limits.max_iat_skew) {
        return Err(Denial::new(Reason::TokenNotYetValid).at_step(early));
    }
    if exp <= iat {
        return Err(Denial::new(Reason::LifetimeInvalid).at_step(empty));
    }
    Ok(())
}
