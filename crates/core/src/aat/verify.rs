//! The verification algorithm of draft -02 §8, the one front door.
//!
//! [`verify`] takes a [`Profile`]: `Core` is what the draft says, for
//! conformance; `Accountable` is what this system permits by. Both run the
//! same steps; the accountable profile adds its own between possession and
//! the leaf's scope, so that nothing about scope is said before the caller is
//! known.

use std::collections::HashSet;
use std::sync::Arc;

use crate::crypto::{Digest, PublicKey, Thumbprint};
use crate::denial::{Denial, Reason};
use crate::json::{Json, Object};
use crate::limits::ChainLimits;
use crate::scope::{Scope, ScopeDenial};
use crate::time::Timestamp;

use super::TOKEN_TYPE;
use super::claims::{Claims, Labels, Reading, Strictness};
use super::jws::Compact;

mod kept;
mod possession;
#[cfg(test)]
mod tests;
pub use kept::Kept;
pub use possession::{Proof, ProofPolicy};

/// Issuers whose roots are accepted, with their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Anchors(Vec<(String, PublicKey)>);

/// A set of anchors that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// One key under two issuers: which of them signed would be ambiguous.
    #[error("one key is configured under two issuers; give each issuer its own key")]
    SharedKey,
}

impl Anchors {
    /// Takes (issuer, key) pairs.
    ///
    /// # Errors
    /// See [`AnchorError`].
    pub fn new(pairs: Vec<(String, PublicKey)>) -> Result<Self, AnchorError> {
        for (i, (issuer, key)) in pairs.iter().enumerate() {
            if pairs.iter().take(i).any(|(other, k)| k == key && other != issuer) {
                return Err(AnchorError::SharedKey);
            }
        }
        Ok(Self(pairs))
    }

    /// The keys to try: the one that `kid` names by thumbprint, or all.
    fn candidates(&self, kid: Option<&str>) -> impl Iterator<Item = &(String, PublicKey)> {
        let named = kid.and_then(|kid| {
            let kid = Thumbprint::from_text(kid)?;
            self.0.iter().find(|(_, key)| key.thumbprint() == kid)
        });
        let all = if named.is_some() { &[] } else { self.0.as_slice() };
        named.into_iter().chain(all)
    }
}

/// RFC 3986 §3.1: a scheme and something behind it.
fn is_uri(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, rest)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
            && !rest.is_empty()
            && !text.contains(|c: char| c.is_whitespace() || c.is_control())
    })
}

/// What the enforcement point knows and asks; all values.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// The time of the decision.
    pub now: Timestamp,
    /// Whose roots are accepted.
    pub anchors: &'a Anchors,
    /// The identifiers of this enforcement point, compared as exact strings.
    pub audiences: &'a [String],
    /// Whether at least one token must have `aud` (6c).
    pub require_chain_audience: bool,
    /// What the proof must have.
    pub proof: ProofPolicy<'a>,
    /// Limits in force.
    pub limits: &'a ChainLimits,
}

/// The call to be authorised.
#[derive(Clone, Debug)]
pub struct Call<'a> {
    /// The tool id.
    pub tool: &'a str,
    /// The arguments as they will be forwarded.
    pub arguments: &'a Object,
}

/// What a profile adds to the draft's steps.
pub trait Profile: private::Sealed + Sized {
    /// What it established.
    type Facts;
    /// What it needs to know.
    type Inputs<'a>;
    /// How strictly tokens are read.
    const STRICTNESS: Strictness;
    /// Its own checks, after possession was proved.
    ///
    /// # Errors
    /// A denial of the identity or authority stage; one of the authority stage
    /// comes with the facts, because the caller is known then.
    fn account(
        chain: &Chain,
        context: &Context<'_>,
        inputs: Self::Inputs<'_>,
    ) -> Result<Self::Facts, Unaccounted<Self::Facts>>;
}

/// A profile's no.
#[derive(Debug)]
pub struct Unaccounted<F> {
    /// Why.
    pub denial: Denial,
    /// What had been established, when the caller is known.
    pub facts: Option<Box<F>>,
}

impl<F> From<Denial> for Unaccounted<F> {
    fn from(denial: Denial) -> Self {
        Self { denial, facts: None }
    }
}

pub(crate) mod private {
    /// Keeps the set of profiles closed.
    pub trait Sealed {}
}

/// What the draft says, for conformance; never a permit.
#[derive(Debug)]
pub enum Core {}

impl private::Sealed for Core {}

impl Profile for Core {
    type Facts = ();
    type Inputs<'a> = ();
    const STRICTNESS: Strictness =
        Strictness { dialect: crate::constraint::Dialect::Core, extra_entry_members: true };

    fn account(_: &Chain, _: &Context<'_>, (): ()) -> Result<(), Unaccounted<()>> {
        Ok(())
    }
}

/// A presentation whose framing and sizes are acceptable; no signature was
/// checked and nothing in it is trusted (steps 1 and 2).
#[derive(Debug)]
pub struct Unverified<'t> {
    tokens: Vec<Compact<'t>>,
    /// The root's `kid`, a hint at the issuer's key.
    kid: Option<String>,
}

impl<'t> Unverified<'t> {
    /// Frames a chain, root first.
    ///
    /// # Errors
    /// Denials of the boundary stage, and of headers (3a, 4a), before any
    /// signature is checked.
    pub fn parse<T: AsRef<str>>(chain: &'t [T], limits: &ChainLimits) -> Result<Self, Denial> {
        if chain.is_empty() {
            return Err(Denial::new(Reason::ChainEmpty).at_step("1"));
        }
        let mut sum = 0usize;
        for (i, token) in chain.iter().enumerate() {
            let size = token.as_ref().len();
            if size > limits.max_token_size {
                return Err(Denial::new(Reason::TokenTooLarge).at_step("2a").of_token(i));
            }
            sum = sum.saturating_add(size);
        }
        if sum > limits.max_chain_size {
            return Err(Denial::new(Reason::ChainTooLarge).at_step("2b"));
        }
        let tokens = chain
            .iter()
            .enumerate()
            .map(|(i, token)| Compact::parse(token.as_ref()).map_err(|d| d.of_token(i)))
            .collect::<Result<Vec<_>, _>>()?;
        let mut seen = HashSet::with_capacity(tokens.len());
        for (i, token) in tokens.iter().enumerate() {
            if !token.peek_jti().is_some_and(|jti| seen.insert(jti)) {
                return Err(Denial::new(Reason::TokenIdRepeated).at_step("2c").of_token(i));
            }
        }
        drop(seen);
        let mut kid = None;
        for (i, token) in tokens.iter().enumerate() {
            let step = if i == 0 { "3a" } else { "4a" };
            let stated = token.check_header(TOKEN_TYPE).map_err(|d| d.at_step(step).of_token(i))?;
            if i == 0 {
                kid = stated;
            }
        }
        Ok(Self { tokens, kid })
    }

    /// The hashes of the tokens as presented, for the record of a denial.
    #[must_use]
    pub fn claimed_hashes(&self) -> Vec<Digest> {
        self.tokens.iter().map(Compact::hash).collect()
    }
}

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
    fn of(claims: Claims, token: &Compact<'_>) -> Self {
        let holder = claims.holder.thumbprint();
        Self { claims, hash: token.hash(), holder }
    }
}

/// A chain whose every link was verified (steps 1 to 5, 6a, 6c).
#[derive(Clone, Debug)]
pub struct Chain {
    links: Arc<Vec<Link>>,
    issuer: String,
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
    fn check_moment(&self, context: &Context<'_>) -> Result<(), Denial> {
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
    let holder = reading.holder()?;
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
    Ok((Link::of(claims, token), issuer.clone()))
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
    if !token.verify(&mother.holder) {
        return Err(Denial::new(Reason::SignatureInvalid).at_step("4b"));
    }
    let claims = token.claims(&limits.json).map_err(|d| d.at_step("4b"))?;
    let reading = Reading::new(claims, Labels::CHILD);
    let jti = reading.jti()?;
    let holder = reading.holder()?;
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
    Ok(Link::of(claims, token))
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
fn check_window(
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

/// A call whose chain, possession and scope were verified under profile `P`.
/// Only `Verified<Accountable>` can become a permit.
#[derive(Debug)]
pub struct Verified<P: Profile> {
    chain: Chain,
    tool: String,
    arguments: Object,
    proof: Proof,
    now: Timestamp,
    facts: P::Facts,
}

impl<P: Profile> Verified<P> {
    /// The verified chain.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The tool that was proved and permitted.
    #[must_use]
    pub fn tool(&self) -> &str {
        &self.tool
    }

    /// The arguments that were proved and permitted: forward these.
    #[must_use]
    pub fn arguments(&self) -> &Object {
        &self.arguments
    }

    /// The proof of possession.
    #[must_use]
    pub fn proof(&self) -> &Proof {
        &self.proof
    }

    /// The time of the decision.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// What the profile established.
    #[must_use]
    pub fn facts(&self) -> &P::Facts {
        &self.facts
    }
}

/// Verifies one call: chain, proof of possession, the profile's own rules and
/// the leaf's scope, in this order (steps 1 to 8; recording the `jti` is the
/// caller's, with the decision).
///
/// # Errors
/// The first thing that does not hold.
pub fn verify<P: Profile>(
    chain: &Unverified<'_>,
    proof: &str,
    call: &Call<'_>,
    context: &Context<'_>,
    inputs: P::Inputs<'_>,
) -> Result<Verified<P>, Denial> {
    examine(chain, proof, call, context, inputs).map_err(|refused| refused.denial)
}

/// A call or message that was refused, with who sent it once that is known:
/// the record of a denial then names principal, agent and task.
pub struct Refused<P: Profile> {
    /// Why.
    pub denial: Denial,
    /// The caller, if it proved possession and the profile accounted for it.
    pub known: Option<Box<Present<P>>>,
}

impl<P: Profile> std::fmt::Debug for Refused<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Refused")
            .field("denial", &self.denial)
            .field("known", &self.known.is_some())
            .finish()
    }
}

impl<P: Profile> From<Denial> for Refused<P> {
    fn from(denial: Denial) -> Self {
        Self { denial, known: None }
    }
}

impl<P: Profile> Refused<P> {
    fn unaccounted(chain: Chain, no: Unaccounted<P::Facts>) -> Self {
        let known = no.facts.map(|facts| Box::new(Present { chain, facts: *facts }));
        Self { denial: no.denial, known }
    }
}

/// [`verify`], which also names a refused caller that is known.
///
/// # Errors
/// The first thing that does not hold.
pub fn examine<P: Profile>(
    chain: &Unverified<'_>,
    proof: &str,
    call: &Call<'_>,
    context: &Context<'_>,
    inputs: P::Inputs<'_>,
) -> Result<Verified<P>, Refused<P>> {
    let proof = possession::Unproved::parse(proof, context.limits)?;
    let chain = Chain::verify::<P>(chain, context)?;
    conclude(chain, proof, call, context, inputs)
}

/// Possession, the profile's rules and the leaf's scope, on a verified chain.
fn conclude<P: Profile>(
    chain: Chain,
    proof: possession::Unproved<'_>,
    call: &Call<'_>,
    context: &Context<'_>,
    inputs: P::Inputs<'_>,
) -> Result<Verified<P>, Refused<P>> {
    let proof = proof.verify(&chain, call, context)?;
    let facts = match P::account(&chain, context, inputs) {
        Ok(facts) => facts,
        Err(no) => return Err(Refused::unaccounted(chain, no)),
    };
    if let Err(denial) = permits(&chain, call) {
        let known = Some(Box::new(Present { chain, facts }));
        return Err(Refused { denial, known });
    }
    Ok(Verified {
        chain,
        tool: call.tool.to_owned(),
        arguments: call.arguments.clone(),
        proof,
        now: context.now,
        facts,
    })
}

/// 6b: the leaf's tool and argument constraints.
fn permits(chain: &Chain, call: &Call<'_>) -> Result<(), Denial> {
    let scope = chain.scope().ok_or_else(|| Denial::new(Reason::ToolNotDelegated))?;
    scope.permits(call.tool, call.arguments).map_err(|denial| {
        let reason = match denial {
            ScopeDenial::ToolNotInScope { .. } => Reason::ToolNotDelegated,
            ScopeDenial::NumberInadmissible { .. } => Reason::NumberInadmissible,
            ScopeDenial::ArgumentNotNamed { .. } => Reason::ArgumentUnnamed,
            ScopeDenial::ArgumentNotPermitted { .. } => Reason::ArgumentNotDelegated,
            ScopeDenial::ArgumentMissing { .. } => Reason::ArgumentMissing,
        };
        Denial::new(reason).at_step("6b").about(denial.argument().unwrap_or(denial.tool()))
    })
}

/// A caller that proved possession of the leaf's key for a message that is
/// not a call (DESIGN §6, MCP binding).
#[derive(Debug)]
pub struct Present<P: Profile> {
    chain: Chain,
    facts: P::Facts,
}

impl<P: Profile> Present<P> {
    /// The verified chain.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// What the profile established.
    #[must_use]
    pub fn facts(&self) -> &P::Facts {
        &self.facts
    }
}

/// Verifies a chain and a DPoP proof by its leaf's key.
///
/// # Errors
/// The first thing that does not hold, with the caller once it is known.
pub fn verify_presence<P: Profile>(
    chain: &Unverified<'_>,
    leaf: &str,
    proof: &crate::dpop::Request<'_>,
    context: &Context<'_>,
    inputs: P::Inputs<'_>,
) -> Result<(Present<P>, crate::dpop::Accepted), Refused<P>> {
    let proof = crate::dpop::Unproved::parse(proof)?;
    let chain = Chain::verify::<P>(chain, context)?;
    let holder = chain
        .links()
        .last()
        .map(|l| l.claims.holder)
        .ok_or_else(|| Denial::new(Reason::ChainEmpty))?;
    let accepted = proof.verify(&holder, leaf, context.now, context.limits)?;
    match P::account(&chain, context, inputs) {
        Ok(facts) => Ok((Present { chain, facts }, accepted)),
        Err(no) => Err(Refused::unaccounted(chain, no)),
    }
}

/// Convenience for callers that hold arguments as JSON.
impl<'a> Call<'a> {
    /// The call of `tool` with `arguments`, which must be an object.
    ///
    /// # Errors
    /// [`Reason::RequestMalformed`].
    pub fn new(tool: &'a str, arguments: &'a Json) -> Result<Self, Denial> {
        let arguments =
            arguments.as_object().ok_or_else(|| Denial::new(Reason::RequestMalformed))?;
        Ok(Self { tool, arguments })
    }
}
