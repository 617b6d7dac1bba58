//! A handoff for others: what two agents signed between themselves, in one file
//! that anyone can verify offline, given the trust file.
//!
//! ```text
//! {"v":1,"kind":"bailiwick-handoff","handshake":RECORD,"offer":JWS,"chain":[TOKENS],
//!  "answer":JWS?,"return":JWS?}
//! ```

use bailiwick_core::aat::verify::{Chain, Context, ProofPolicy, Unverified};
use bailiwick_core::accountable::{Accountable, Authority};
use bailiwick_core::guarantee::Guarantee;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::{ChainLimits, JsonLimits};
use bailiwick_core::peer::handoff::{Answer, Child, Offer, Offered};
use bailiwick_core::peer::record::{Proven, Record};
use bailiwick_core::peer::returned::Return;
use bailiwick_core::time::Timestamp;

use crate::trust::Trust;

/// Bytes of a file at most.
pub const MAX_BYTES: usize = 512 << 10;
/// `kind` of the file.
pub const KIND: &str = "bailiwick-handoff";

const LIMITS: JsonLimits = JsonLimits { max_bytes: MAX_BYTES, max_depth: 16, max_values: 4_096 };

/// A handoff that does not hold: what was found, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandoffFault {
    /// The file is none.
    #[error("the file is no handoff of the documented form: `{member}`")]
    Form {
        /// Which member.
        member: &'static str,
    },
    /// Something that was signed does not hold.
    #[error("{what}: {found}")]
    Fails {
        /// Which part.
        what: &'static str,
        /// What was found.
        found: String,
    },
}

impl HandoffFault {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Form { .. } => "handoff-file-malformed",
            Self::Fails { .. } => "handoff-does-not-hold",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Form { .. } => "get the file again with `bailiwick handoff show ID --out FILE`",
            Self::Fails { .. } => {
                "do not rely on this handoff; ask both agents' owners, and compare the trust file's fingerprint"
            }
        }
    }
}

/// What a file proves.
#[derive(Clone, Debug)]
pub struct HandoffProof {
    /// What was offered, by whom, to whom.
    pub offer: Offer,
    /// The handshake on which it rests.
    pub handshake: Proven,
    /// What the root behind the delegation says.
    pub authority: Authority,
    /// How many tokens the chain has.
    pub depth: usize,
    /// What the taker answered, if it did.
    pub answer: Option<Answer>,
    /// What came back.
    pub returned: Option<Return>,
    /// How sure the two were of each other.
    pub guarantee: Guarantee,
}

fn fails(what: &'static str, found: impl std::fmt::Display) -> HandoffFault {
    HandoffFault::Fails { what, found: found.to_string() }
}

/// Verifies a file under `trust`, as of the time at which the offer was made.
///
/// # Errors
/// See [`HandoffFault`].
pub fn verify_handoff(bytes: &[u8], trust: &Trust) -> Result<HandoffProof, HandoffFault> {
    let bad = |member| HandoffFault::Form { member };
    let json = Json::parse(bytes, &LIMITS).map_err(|_| bad("file"))?;
    let o = json.as_object().ok_or(bad("file"))?;
    let text = |member: &'static str| o.member(member).and_then(Json::as_str);
    let known = ["v", "kind", "handshake", "offer", "chain", "answer", "return"];
    if text("kind") != Some(KIND)
        || o.member("v") != Some(&Json::from(1u64))
        || o.iter().any(|(member, _)| !known.contains(&member))
    {
        return Err(bad("kind"));
    }
    let record = o.member("handshake").ok_or(bad("handshake"))?;
    let record = Record::read(record).map_err(|e| fails("the handshake", e))?;
    let signed = text("offer").ok_or(bad("offer"))?;
    let at = made_at(signed).ok_or(bad("offer"))?;
    let proven =
        record.verify(&trust.identities_at(at), at).map_err(|e| fails("the handshake", e))?;
    let tokens: Vec<&str> = o
        .member("chain")
        .and_then(Json::as_array)
        .and_then(|chain| chain.iter().map(Json::as_str).collect())
        .ok_or(bad("chain"))?;
    let (chain, authority) = chain(&tokens, trust, at)?;
    let [.., parent, leaf] = chain.links() else {
        return Err(fails("the delegation", "it was derived from nothing"));
    };
    let child = Child {
        leaf: leaf.hash,
        holder: leaf.holder,
        parent_holder: parent.holder,
        task: authority.task.clone(),
        expires: chain.expires(),
    };
    let offered =
        Offered::witness(signed, &proven, &child, at).map_err(|e| fails("the offer", e))?;
    let offer = offered.offer().clone();
    let (from, to) = proven.sides(&offer.from).ok_or(bad("offer"))?;
    let answered = text("answer")
        .map(|answer| Answer::verify(answer, to.holder, offered.hash()))
        .transpose()
        .map_err(|e| fails("the answer", e))?;
    if answered.as_ref().is_some_and(|a| a.guarantee > from.guarantee) {
        return Err(fails("the answer", "it states more certainty than the handshake gave"));
    }
    let returned = text("return")
        .map(|back| Return::verify(back, to.holder, offered.hash()))
        .transpose()
        .map_err(|e| fails("what came back", e))?;
    if returned.is_some() && answered.as_ref().map(|a| &a.answer) != Some(&Answer::Accepted) {
        return Err(fails("what came back", "the handoff was not taken over"));
    }
    let guarantee = answered.as_ref().map_or(Guarantee::Key, |a| offer.guarantee.min(a.guarantee));
    Ok(HandoffProof {
        depth: chain.links().len(),
        handshake: proven,
        authority,
        answer: answered.map(|a| a.answer),
        returned,
        guarantee,
        offer,
    })
}

/// When an offer says that it was made. A claim until its signature holds.
fn made_at(signed: &str) -> Option<Timestamp> {
    let payload = bailiwick_core::crypto::from_base64url(signed.split('.').nth(1)?)?;
    let claims = Json::parse(&payload, &LIMITS).ok()?;
    let at = claims.as_object()?.member("iat")?.as_number()?.as_plain_integer()?;
    Some(Timestamp::from_seconds(at))
}

fn chain(
    tokens: &[&str],
    trust: &Trust,
    at: Timestamp,
) -> Result<(Chain, Authority), HandoffFault> {
    let fail = |found: bailiwick_core::denial::Denial| fails("the delegation", found);
    let anchors = trust.anchors_at(at);
    let context = Context {
        now: at,
        anchors: &anchors,
        audiences: &trust.audiences,
        require_chain_audience: true,
        proof: ProofPolicy { require_audience: true, accepted_nonces: None, used: &[] },
        limits: &ChainLimits::DEFAULT,
    };
    let unverified = Unverified::parse(tokens, context.limits).map_err(fail)?;
    let chain = Chain::verify::<Accountable>(&unverified, &context).map_err(fail)?;
    let root = chain.links().first().ok_or_else(|| fails("the delegation", "it is empty"))?;
    let authority = Authority::from_claims(&root.claims.all).map_err(fail)?;
    Ok((chain, authority))
}

impl HandoffProof {
    /// For people and programs.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let answer = self.answer.as_ref().map(|answer| match answer {
            Answer::Accepted => "accepted",
            Answer::Rejected { .. } => "rejected",
        });
        Object::new()
            .with("holds", true)
            .with("handoff", &self.offer.id)
            .with("principal", &self.authority.principal)
            .with("agent", &self.authority.agent)
            .with("task", &self.authority.task)
            .with("from", self.offer.from.as_str())
            .with("to", self.offer.to.as_str())
            .with("purpose", self.offer.purpose.as_str())
            .with("delegation", self.offer.leaf)
            .with("depth", u64::try_from(self.depth).unwrap_or(u64::MAX))
            .with("transcript", self.handshake.transcript())
            .with("guarantee", self.guarantee.as_str())
            .with("answer", answer)
            .with("returned", self.returned.as_ref().map(|back| back.status.as_str()))
    }
}
