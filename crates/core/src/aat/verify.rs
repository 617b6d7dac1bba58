//! The verification algorithm of draft -02 §8, the one front door.
//!
//! [`verify`] takes a [`Profile`]: `Core` is what the draft says, for
//! conformance; `Accountable` is what this system permits by. Both run the
//! same steps; the accountable profile adds its own between possession and
//! the leaf's scope, so that nothing about scope is said before the caller is
//! known.

use std::collections::HashSet;

use crate::crypto::Digest;
use crate::denial::{Denial, Reason};
use crate::guarantee::Assurance;
use crate::json::{Json, Object};
use crate::limits::ChainLimits;
use crate::scope::ScopeDenial;
use crate::time::Timestamp;

use super::TOKEN_TYPE;
use super::claims::Strictness;
use super::jws::Compact;

mod access;
mod anchors;
mod chain;
mod kept;
mod possession;
#[cfg(test)]
mod tests;
pub use access::{Shown, access_presence, examine_access};
pub use anchors::{AnchorError, Anchors};
pub use chain::{Chain, Link};
pub use kept::Kept;
pub use possession::{Proof, ProofPolicy};

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
            let denied = |reason| Denial::new(reason).at_step("2c").of_token(i);
            let jti = token.peek_jti();
            let jti = jti.ok_or_else(|| denied(Reason::ClaimsMalformed).about("jti"))?;
            if !seen.insert(jti) {
                return Err(denied(Reason::TokenIdRepeated));
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

    /// What possession was proved.
    #[must_use]
    pub const fn assurance(&self) -> Assurance {
        self.proof.assurance
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
        .and_then(|l| l.claims.holder.key().copied())
        .ok_or_else(|| Denial::new(Reason::ChainEmpty))?;
    let accepted = proof.verify(&holder, leaf, context.now, context.limits)?;
    match P::account(&chain, context, inputs) {
        Ok(facts) => Ok((Present { chain, facts }, accepted)),
        Err(no) => Err(Refused::unaccounted(chain, no)),
    }
}

/// Verifies a chain and a proof over a call that needs no authority of its own:
/// whoever asks for more is known, and that is all. The proof's `jti` is the
/// caller's to spend.
///
/// # Errors
/// The first thing that does not hold, with the caller once it is known.
pub fn attend<P: Profile>(
    chain: &Unverified<'_>,
    proof: &str,
    call: &Call<'_>,
    context: &Context<'_>,
    inputs: P::Inputs<'_>,
) -> Result<(Present<P>, Proof), Refused<P>> {
    let proof = possession::Unproved::parse(proof, context.limits)?;
    let chain = Chain::verify::<P>(chain, context)?;
    let proof = proof.verify(&chain, call, context)?;
    match P::account(&chain, context, inputs) {
        Ok(facts) => Ok((Present { chain, facts }, proof)),
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
