//! A chain that was verified before and is presented again.

use std::marker::PhantomData;

use crate::denial::Denial;
use crate::limits::ChainLimits;

use super::{
    Anchors, Call, Chain, Context, Profile, Refused, Unverified, Verified, conclude, possession,
};

/// A chain kept from an earlier verification, so that the next call under it
/// costs one signature: that of its own proof.
///
/// Only what follows from the text, the anchors and the limits is kept:
/// signatures, links and scopes. Everything that the moment decides is asked
/// again for every call: times, audiences, possession, and all that the
/// profile asks (registry, revocations, `nbf`, budgets).
///
/// A different text, other anchors or other limits are verified in full, so
/// that looking up the wrong chain costs time and never changes a verdict.
pub struct Kept<P: Profile> {
    tokens: Vec<Box<str>>,
    anchors: Anchors,
    limits: ChainLimits,
    chain: Chain,
    profile: PhantomData<fn() -> P>,
}

impl<P: Profile> Kept<P> {
    /// Verifies `tokens`, root first, and keeps the chain.
    ///
    /// # Errors
    /// As [`Unverified::parse`] and [`Chain::verify`].
    pub fn verify<T: AsRef<str>>(tokens: &[T], context: &Context<'_>) -> Result<Self, Denial> {
        let unverified = Unverified::parse(tokens, context.limits)?;
        Ok(Self {
            chain: Chain::verify::<P>(&unverified, context)?,
            tokens: tokens.iter().map(|t| t.as_ref().into()).collect(),
            anchors: context.anchors.clone(),
            limits: *context.limits,
            profile: PhantomData,
        })
    }

    /// The chain as it was verified.
    #[must_use]
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Whether verifying `tokens` in full could only differ by the moment.
    fn stands_for<T: AsRef<str>>(&self, tokens: &[T], context: &Context<'_>) -> bool {
        // SECURITY: the whole text, signatures included. A token's hash does
        // not cover its signature.
        self.tokens.len() == tokens.len()
            && self.tokens.iter().zip(tokens).all(|(kept, token)| **kept == *token.as_ref())
            && self.anchors == *context.anchors
            && self.limits == *context.limits
    }

    /// [`examine`](super::examine), with the same verdict for less work when
    /// `tokens` are those of this chain.
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn examine<T: AsRef<str>>(
        &self,
        tokens: &[T],
        proof: &str,
        call: &Call<'_>,
        context: &Context<'_>,
        inputs: P::Inputs<'_>,
    ) -> Result<Verified<P>, Refused<P>> {
        if !self.stands_for(tokens, context) {
            let chain = Unverified::parse(tokens, context.limits)?;
            return super::examine(&chain, proof, call, context, inputs);
        }
        let proof = possession::Unproved::parse(proof, context.limits)?;
        self.chain.check_moment(context)?;
        conclude(self.chain.clone(), proof, call, context, inputs)
    }
}
