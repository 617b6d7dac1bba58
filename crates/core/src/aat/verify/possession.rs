//! Step 7: the proof of possession over tool and arguments.

use crate::aat::jws::Compact;
use crate::crypto::Digest;
use crate::denial::{Denial, Reason};
use crate::guarantee::Assurance;
use crate::json::{Json, Object};
use crate::limits::ChainLimits;

use super::{Call, Chain, Context};
use crate::aat::PROOF_TYPE;

/// What an enforcement point asks of a proof.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProofPolicy<'a> {
    /// Whether `aat_aud` must be there (7d).
    pub require_audience: bool,
    /// If set, a nonce is required and must be one of these (7h; RFC 9449 §9
    /// where an access token is shown).
    pub accepted_nonces: Option<&'a [String]>,
    /// `jti` values that were accepted within the window (7i). An enforcement
    /// point with durable state leaves this empty and spends the `jti` with
    /// the decision.
    pub used: &'a [String],
}

/// A proof that held, or what stands for one where nothing is proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Its `jti`, to be spent with the decision.
    pub jti: String,
    /// Its `iat`, seconds.
    pub iat: i64,
    /// `aat_aud`.
    pub audience: Option<String>,
    /// `nonce`.
    pub nonce: Option<String>,
    /// What it proves.
    pub assurance: Assurance,
}

/// A proof whose framing is acceptable.
pub(super) struct Unproved<'t> {
    jws: Compact<'t>,
}

impl<'t> Unproved<'t> {
    pub(super) fn parse(proof: &'t str, limits: &ChainLimits) -> Result<Self, Denial> {
        if proof.len() > limits.max_token_size {
            return Err(Denial::new(Reason::TokenTooLarge).about("proof"));
        }
        let jws = Compact::parse(proof).map_err(|d| d.about("proof"))?;
        jws.check_header(PROOF_TYPE).map_err(|d| d.at_step("7a"))?;
        Ok(Self { jws })
    }

    pub(super) fn verify(
        self,
        chain: &Chain,
        call: &Call<'_>,
        context: &Context<'_>,
    ) -> Result<Proof, Denial> {
        let leaf = chain.links().last().ok_or_else(|| Denial::new(Reason::ChainEmpty))?;
        if !leaf.claims.holder.key().is_some_and(|key| self.jws.verify(key)) {
            return Err(Denial::new(Reason::ProofInvalid).at_step("7b"));
        }
        let claims = self
            .jws
            .claims(&context.limits.json)
            .map_err(|_| Denial::new(Reason::ProofInvalid).at_step("7b"))?;
        let bad = |claim: &str| Denial::new(Reason::ProofInvalid).at_step("7c").about(claim);
        let text = |name: &str| match claims.member(name).and_then(Json::as_str) {
            Some(text) if !text.is_empty() => Ok(text),
            _ => Err(bad(name)),
        };
        let jti = text("jti")?.to_owned();
        let id = text("aat_id")?;
        let hash = text("aat_hash")?;
        let tool = text("aat_tool")?;
        let iat = claims
            .member("iat")
            .and_then(Json::as_number)
            .and_then(|n| n.as_plain_integer())
            .ok_or_else(|| bad("iat"))?;
        let arguments: &Object =
            claims.member("hta").and_then(Json::as_object).ok_or_else(|| bad("hta"))?;
        if id != leaf.claims.jti {
            return Err(bad("aat_id"));
        }
        if Digest::from_text(hash) != Some(leaf.hash) {
            return Err(bad("aat_hash"));
        }
        let audience = audience(&claims, context)?;
        if tool != call.tool {
            return Err(Denial::new(Reason::ProofOtherTool).at_step("7e"));
        }
        // 7f. The equality is that of canonical forms. A number in `hta` that
        // is not admissible can have the form of another one (chapter 16).
        if arguments != call.arguments
            || !arguments.iter().all(|(_, v)| v.is_admissible())
                && call.arguments.iter().all(|(_, v)| v.is_admissible())
        {
            return Err(Denial::new(Reason::ProofOtherArguments).at_step("7f"));
        }
        let age = context.now.seconds().saturating_sub(iat);
        if age.saturating_abs() > context.limits.pop_window {
            return Err(Denial::new(Reason::ProofNotFresh).at_step("7g"));
        }
        let nonce = nonce(&claims, context)?;
        if context.proof.used.contains(&jti) {
            return Err(Denial::new(Reason::ProofReplayed).at_step("7i"));
        }
        Ok(Proof { jti, iat, audience, nonce, assurance: Assurance::Arguments })
    }
}

/// 7d: a string, present or not as the policy asks, naming this one.
fn audience(claims: &Object, context: &Context<'_>) -> Result<Option<String>, Denial> {
    let other = || Denial::new(Reason::ProofOtherAudience).at_step("7d");
    match claims.member("aat_aud") {
        None if context.proof.require_audience => Err(other()),
        None => Ok(None),
        Some(Json::String(a)) if context.audiences.contains(a) => Ok(Some(a.clone())),
        Some(_) => Err(other()),
    }
}

/// 7h: enforced only where a nonce is required.
fn nonce(claims: &Object, context: &Context<'_>) -> Result<Option<String>, Denial> {
    let nonce = claims.member("nonce").and_then(Json::as_str).map(str::to_owned);
    match (context.proof.accepted_nonces, &nonce) {
        (None, _) => Ok(nonce),
        (Some(accepted), Some(n)) if accepted.contains(n) => Ok(nonce),
        (Some(_), _) => Err(Denial::new(Reason::ProofNonce).at_step("7h")),
    }
}
