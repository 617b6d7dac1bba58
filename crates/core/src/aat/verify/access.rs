//! Access tokens through the same front door: their own framing and
//! possession, then the same profile and the same scope.

use std::sync::Arc;

use crate::aat::claims::{Claims, Holder, Labels, Reading};
use crate::access::{MAX_BEARER_SECONDS, Unverified, holder};
use crate::denial::{Denial, Reason};
use crate::dpop;
use crate::guarantee::Assurance;

use super::anchors::is_uri;
use super::chain::{Link, check_window};
use super::{Call, Chain, Context, Present, Profile, Proof, Refused, Verified, permits};

/// How the caller showed an access token (RFC 9449 §7.1, RFC 6750 §2.1).
#[derive(Clone, Copy, Debug)]
pub enum Shown<'a> {
    /// `Authorization: DPoP` with a proof for this request.
    Dpop(dpop::Request<'a>),
    /// `Authorization: Bearer`. Nothing is proved; `request` is an id that the
    /// server made for this request, to be spent once in place of a proof's.
    Bearer {
        /// The id.
        request: &'a str,
    },
}

/// [`super::examine`] for a call that came with an access token.
///
/// # Errors
/// The first thing that does not hold, with the caller once it is known.
pub fn examine_access<P: Profile>(
    token: &Unverified<'_>,
    shown: Shown<'_>,
    call: &Call<'_>,
    context: &Context<'_>,
    inputs: P::Inputs<'_>,
) -> Result<Verified<P>, Refused<P>> {
    let (chain, proof) = possess::<P>(token, shown, context)?;
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

/// [`super::verify_presence`] for a message that came with an access token.
///
/// # Errors
/// The first thing that does not hold, with the caller once it is known.
pub fn access_presence<P: Profile>(
    token: &Unverified<'_>,
    shown: Shown<'_>,
    context: &Context<'_>,
    inputs: P::Inputs<'_>,
) -> Result<(Present<P>, Proof), Refused<P>> {
    let (chain, proof) = possess::<P>(token, shown, context)?;
    match P::account(&chain, context, inputs) {
        Ok(facts) => Ok((Present { chain, facts }, proof)),
        Err(no) => Err(Refused::unaccounted(chain, no)),
    }
}

/// The token's signature and claims, then possession as it is bound.
fn possess<P: Profile>(
    token: &Unverified<'_>,
    shown: Shown<'_>,
    context: &Context<'_>,
) -> Result<(Chain, Proof), Denial> {
    // What is malformed costs no signature.
    let unproved = match shown {
        Shown::Dpop(request) => Some(dpop::Unproved::parse(&request)?),
        Shown::Bearer { .. } => None,
    };
    let chain = Chain::of_access_token::<P>(token, context).map_err(|d| d.of_token(0))?;
    let link = chain.links().first().ok_or_else(|| Denial::new(Reason::ChainEmpty))?;
    // SECURITY: a bound token is never taken as a bearer's, nor the other way
    // round (RFC 9449 §7.2).
    let unbound = || Denial::new(Reason::ProofInvalid).of_token(0).about("cnf");
    let proof = match (&link.claims.holder, shown, unproved) {
        (Holder::Bound(key), Shown::Dpop(_), Some(unproved)) => {
            let moment = dpop::Moment {
                now: context.now,
                window_seconds: context.limits.pop_window,
                nonces: context
                    .proof
                    .accepted_nonces
                    .map_or(dpop::Nonces::NotAsked, dpop::Nonces::OneOf),
            };
            let accepted = unproved.verify_bound(key, token.text, &moment)?;
            Proof {
                jti: accepted.jti,
                iat: accepted.iat,
                audience: None,
                nonce: accepted.nonce,
                assurance: Assurance::Token,
            }
        }
        (Holder::Bearer(_), Shown::Bearer { request }, None) => Proof {
            jti: request.to_owned(),
            iat: context.now.seconds(),
            audience: None,
            nonce: None,
            assurance: Assurance::None,
        },
        _ => return Err(unbound()),
    };
    Ok((chain, proof))
}

impl Chain {
    /// The one link of an access token (RFC 9068 §4).
    fn of_access_token<P: Profile>(
        token: &Unverified<'_>,
        context: &Context<'_>,
    ) -> Result<Self, Denial> {
        let limits = context.limits;
        let (issuer, _) = context
            .anchors
            .candidates(token.kid.as_deref())
            .find(|(_, key)| token.jws.verify(key))
            .ok_or_else(|| Denial::new(Reason::SignatureInvalid).at_step("at+jwt"))?;
        let claims = token.jws.claims(&limits.json).map_err(|d| d.at_step("at+jwt"))?;
        let reading = Reading::new(claims, Labels::ROOT);
        let (iat, exp) = reading.dates()?;
        check_window(iat, exp, context, ["at+jwt", "at+jwt", "at+jwt"])?;
        if exp > iat.saturating_add(limits.max_token_lifetime) {
            return Err(Denial::new(Reason::LifetimeInvalid).at_step("at+jwt"));
        }
        let jti = reading.jti()?;
        let iss = reading.iss()?;
        if iss != *issuer || !is_uri(iss) {
            return Err(Denial::new(Reason::IssuerUntrusted).at_step("at+jwt"));
        }
        let aud = match reading.aud()?.as_deref() {
            Some([one]) if context.audiences.contains(one) => vec![one.clone()],
            _ => return Err(Denial::new(Reason::AudienceMismatch).at_step("at+jwt")),
        };
        let scope = reading.scope(limits, P::STRICTNESS)?;
        if scope.is_none() {
            let denial = Denial::new(Reason::ClaimsMalformed).at_step("at+jwt");
            return Err(denial.about("authorization_details"));
        }
        let all = reading.into_all();
        let holder = holder(&all)?;
        // What nobody has to prove anything for is short-lived (DESIGN rule 1).
        if matches!(holder, Holder::Bearer(_)) && exp > iat.saturating_add(MAX_BEARER_SECONDS) {
            return Err(Denial::new(Reason::LifetimeInvalid).at_step("at+jwt"));
        }
        let claims =
            Claims { jti, iat, exp, holder, aud: Some(aud), depth: 0, max_depth: 0, scope, all };
        let link = Link::new(claims, token.jws.hash());
        Ok(Self { links: Arc::new(vec![link]), issuer: issuer.clone() })
    }
}
