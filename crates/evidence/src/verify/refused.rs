//! Callers that the gateway refused before it knew them. Nothing they claimed
//! is a fact; where the claim was retained whole, the refusal can be made again.

use bailiwick_core::aat::PROOF_TYPE;
use bailiwick_core::aat::jws::Compact;
use bailiwick_core::aat::verify::{Call, Context, ProofPolicy, Unverified, verify};
use bailiwick_core::accountable::{Accountable, Inputs, Question, Registry, Standing, Unavailable};
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::json::{Json, Object};

use super::Case;
use super::action::{Recorded, stated, verdict};
use super::delegation::{LIMITS, texts};
use crate::check::{Check, Failure, ensure};
use crate::verdict::{Decision, Recomputed};

/// Answers nothing: verification stops where the registry would be asked.
struct Closed;

impl Registry for Closed {
    fn standing(&self, _: &Question<'_>) -> Result<Standing, Unavailable> {
        Err(Unavailable)
    }
}

/// Reasons that depend on nothing but chain, proof, call and anchors.
const OF_THE_CLAIM: [Reason; 16] = [
    Reason::HeaderUnacceptable,
    Reason::SignatureInvalid,
    Reason::ClaimsMalformed,
    Reason::TokenExpired,
    Reason::TokenNotYetValid,
    Reason::LifetimeInvalid,
    Reason::DepthInvalid,
    Reason::ParentMismatch,
    Reason::ChildOutlivesParent,
    Reason::AuthorityWidened,
    Reason::ConstraintInvalid,
    Reason::ProofInvalid,
    Reason::ProofOtherAudience,
    Reason::ProofOtherTool,
    Reason::ProofOtherArguments,
    Reason::ProofNotFresh,
];

/// Those among them that need the call itself.
const OF_THE_CALL: [Reason; 2] = [Reason::ProofOtherTool, Reason::ProofOtherArguments];

pub(super) fn decision(case: &Case<'_>) -> Result<Decision, Failure> {
    const CHECK: Check = Check::Decision;
    ensure(case.receipts.len() == 1, CHECK, || {
        "a refused caller's bundle holds the decision only, because nothing it claimed is a fact"
            .to_owned()
    })?;
    let Recorded::Deny(reason) = verdict(case)? else {
        return Err(Failure::new(CHECK, "decision and reason are none that are known"));
    };
    let claimed = case.decided.disclosed("claimed").and_then(Json::as_object);
    let recomputed = match claimed.and_then(|c| again(case, c)) {
        Some(Again { denial, .. }) if denial.reason == reason => Recomputed::Agrees,
        // Everything before the registry holds, so this cannot be the reason.
        Some(Again { denial, whole })
            if denial.reason == Reason::StateUnavailable
                && OF_THE_CLAIM.contains(&reason)
                && (whole || !OF_THE_CALL.contains(&reason)) =>
        {
            let found = format!("it says `{}`, but chain and proof hold", reason.code());
            return Err(Failure::new(CHECK, found));
        }
        _ => Recomputed::RecordedOnly,
    };
    Ok(stated(case, recomputed))
}

/// The denial that a claimed call gets here.
struct Again {
    denial: Denial,
    /// Whether the call was retained, and not only what the proof says of it.
    whole: bool,
}

/// Verifies the claim again; `None` when too little of it was retained, or it
/// was no call. A call that was not retained is taken from its own proof.
fn again(case: &Case<'_>, claimed: &Object) -> Option<Again> {
    let text = |name| claimed.member(name).and_then(Json::as_str);
    let chain = texts(claimed.member("chain")?)?;
    let proof = text("proof")?;
    let jws = Compact::parse(proof).ok()?;
    // Messages that are no calls prove themselves by DPoP.
    jws.check_header(PROOF_TYPE).ok()?;
    let said = jws.claims(&LIMITS.json).ok()?;
    let tool = text("tool").or_else(|| text("action"));
    let arguments = claimed.member("arguments").and_then(Json::as_object);
    let whole = tool.is_some() && arguments.is_some();
    let tool = tool.or_else(|| said.member("aat_tool")?.as_str())?;
    let arguments = arguments.or_else(|| said.member("hta")?.as_object())?;
    let now = case.decided.entry.time;
    let anchors = case.trust.anchors_at(now);
    let context = Context {
        now,
        anchors: &anchors,
        audiences: &case.trust.audiences,
        require_chain_audience: true,
        proof: ProofPolicy { require_audience: true, accepted_nonces: None, used: &[] },
        limits: &LIMITS,
    };
    let inputs = Inputs { registry: &Closed, staleness_bound: 0 };
    let call = Call { tool, arguments };
    let denial = match Unverified::parse(&chain, &LIMITS) {
        Ok(unverified) => {
            verify::<Accountable>(&unverified, proof, &call, &context, inputs).err()?
        }
        Err(denial) => denial,
    };
    Some(Again { denial, whole })
}
