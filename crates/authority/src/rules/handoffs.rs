//! Handshakes and handoffs as the authority records them: what two agents signed
//! between themselves, verified by the one party that knows both.
//!
//! An offer gives nothing: the child delegation beside it does, and no more than
//! its parent had. Taking it over is an entry that can be written once.

use std::collections::BTreeSet;

use bailiwick_core::aat::verify::Chain;
use bailiwick_core::accountable::Facts;
use bailiwick_core::crypto::Digest;
use bailiwick_core::denial::Denial;
use bailiwick_core::guarantee::{Grade, Guarantee};
use bailiwick_core::ids::{AgentId, InstanceId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Kind, Subjects};
use bailiwick_core::peer::handoff::{Answer, Answered, Child, HandoffError, Offered};
use bailiwick_core::peer::handshake::HandshakeError;
use bailiwick_core::peer::record::{Proven, Record};
use bailiwick_core::peer::returned::Return;
use bailiwick_core::peer::{Binding, Peer};
use bailiwick_core::time::Timestamp;
use bailiwick_policy::decide::Finding;
use bailiwick_policy::handoff::{HandoffInput, permits};
use bailiwick_policy::{Policies, Workflow};
use bailiwick_store::{Handoff, HandoffState, Handshake, Row, TrustDomain};

use crate::federation::MAX_CHILD_SECONDS;
use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;

/// Offers of one instance that wait at once at most.
pub const MAX_OPEN: u64 = 16;
/// Offers of one instance within an hour at most.
pub const MAX_HOURLY: u64 = 240;
/// Seconds over which [`MAX_HOURLY`] counts.
pub const FLOOD_SECONDS: i64 = 3_600;
/// Times a minute at most that an instance is heard about whom it turned away.
pub const MAX_REFUSALS: u8 = 6;
/// The `typ` of such a report, signed by the instance's identity key.
pub const REFUSAL_TYPE: &str = "bailiwick-peer-refusal+jwt";

/// Why a handshake or handoff is not recorded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HandoffRefusal {
    /// The handshake does not hold.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// The offer, answer or return does not hold.
    #[error(transparent)]
    Signed(#[from] HandoffError),
    /// The delegation beside it does not stand.
    #[error("the delegation beside the handoff does not stand: {code}")]
    Delegation {
        /// Why, as a denial's code.
        code: &'static str,
    },
    /// No active instance that is registered here has the name and the keys.
    #[error("`{claimed}` is no active instance here with the keys that it showed")]
    Unregistered {
        /// The SPIFFE ID that it claimed.
        claimed: String,
    },
    /// What another trust domain revoked is not known.
    #[error("whom the trust domain `{domain}` revoked is not known for now")]
    DomainStale {
        /// Which.
        domain: String,
    },
    /// A tool that agents of another trust domain are not handed.
    #[error("agents of the trust domain `{domain}` are not handed `{tool}`")]
    Tools {
        /// Which domain.
        domain: String,
        /// Which tool.
        tool: String,
    },
    /// A delegation that its taker in another trust domain could hand on.
    #[error("an agent of another trust domain hands nothing on: the delegation lets it")]
    HandsOn,
    /// A delegation that lasts longer than one for another trust domain may.
    #[error("a delegation for another trust domain lasts {MAX_CHILD_SECONDS} seconds at most")]
    Lasting,
    /// The handoff would go back to an agent that handed the task on.
    #[error("`{agent}` had this task before: a task is not handed round")]
    Loop {
        /// Which agent.
        agent: AgentId,
    },
    /// The workflow or the organisation's policy does not let it be.
    #[error("{why}")]
    Policy {
        /// The stable code.
        code: &'static str,
        /// The rule behind it.
        rule: String,
        /// In a sentence.
        why: String,
    },
    /// The instance offers too much.
    #[error("the instance offers too many handoffs")]
    Flood,
    /// The same offer, or an answer to the same challenge, was recorded before.
    #[error("the offer, or one for the same challenge or delegation, was recorded before")]
    Repeated,
    /// It is settled, expired or unknown.
    #[error("the handoff cannot be answered so any more: {how}")]
    Settled {
        /// `accepted`, `rejected`, `expired`, `offered` or `returned`.
        how: &'static str,
    },
}

impl HandoffRefusal {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Handshake(e) => e.code(),
            Self::Signed(e) => e.code(),
            Self::Delegation { .. } => "handoff-delegation",
            Self::Unregistered { .. } => "peer-unregistered",
            Self::DomainStale { .. } => "peer-domain-stale",
            Self::Tools { .. } => "peer-tools",
            Self::HandsOn => "peer-hands-on",
            Self::Lasting => "peer-lasting",
            Self::Loop { .. } => "handoff-loop",
            Self::Policy { code, .. } => code,
            Self::Flood => "handoff-flood",
            Self::Repeated => "handoff-repeated",
            Self::Settled { .. } => "handoff-settled",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Handshake(e) => e.remedy(),
            Self::Signed(e) => e.remedy(),
            Self::Delegation { .. } => {
                "derive a child of a delegation that stands, for the peer's key, within its scope"
            }
            Self::Unregistered { .. } => {
                "deal with agents that are registered: look at `bailiwick peers`"
            }
            Self::DomainStale { .. } => {
                "try again; the operator sees why that domain's feed is late"
            }
            Self::Tools { .. } => {
                "hand over less, or have the operator list the tool in `[[federates_with]]`"
            }
            Self::HandsOn => "derive the child with its own depth as `del_max_depth`",
            Self::Lasting => "derive a child that ends within the hour",
            Self::Loop { .. } => "give back what came of it instead of handing it on",
            Self::Policy { .. } => {
                "list the agent in the workflow, or let the policy about handoffs permit it"
            }
            Self::Flood => "wait for answers, and hand over less",
            Self::Repeated => "shake hands again, and make a fresh offer",
            Self::Settled { .. } => "nothing: ask the other side for a new offer if there is need",
        }
    }
}

impl From<Denial> for HandoffRefusal {
    fn from(denial: Denial) -> Self {
        Self::Delegation { code: denial.reason.code() }
    }
}

impl From<Finding> for HandoffRefusal {
    fn from(finding: Finding) -> Self {
        Self::Policy {
            code: finding.denial_code,
            rule: finding.rule.into_owned(),
            why: finding.reason.into_owned(),
        }
    }
}

/// A side of a handshake, as it is registered here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    /// Its agent.
    pub agent: AgentId,
    /// Its instance.
    pub instance: InstanceId,
}

impl Side {
    /// Whether a delegation may go to it at `now`, if it is of another trust domain:
    /// for the tools that its domain may be handed, not for long, and no further.
    ///
    /// # Errors
    /// [`HandoffRefusal`].
    pub fn check_child(
        &self,
        domain: Option<&TrustDomain>,
        chain: &Chain,
        now: Timestamp,
    ) -> Result<(), HandoffRefusal> {
        let Some(domain) = domain else { return Ok(()) };
        let leaf = chain.links().last().ok_or(HandoffError::NotTheirs)?;
        if leaf.claims.depth < leaf.claims.max_depth {
            return Err(HandoffRefusal::HandsOn);
        }
        let ends = now.plus_seconds(MAX_CHILD_SECONDS).seconds();
        if chain.expires() > ends {
            return Err(HandoffRefusal::Lasting);
        }
        let is_listed = |tool: &str| domain.tools.iter().any(|listed| listed.as_str() == tool);
        let scope = leaf.claims.scope.as_ref();
        let refused = |tool: &str| HandoffRefusal::Tools {
            domain: domain.name.clone(),
            tool: tool.to_owned(),
        };
        // SECURITY: what names no tools is no bound.
        let scope = scope.ok_or_else(|| refused("everything"))?;
        match scope.tools().map(|(tool, _)| tool).find(|tool| !is_listed(tool)) {
            Some(tool) => Err(refused(tool)),
            None => Ok(()),
        }
    }
}

/// Records a handshake.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn handshake(
    moment: &Moment<'_>,
    installation: &Installation,
    record: &Record,
    proven: &Proven,
    (initiator, responder): (&Side, &Side),
) -> Result<Step, Refusal> {
    let party = |peer: &Peer, side: &Side| -> Json {
        Object::new()
            .with("spiffe_id", peer.spiffe_id.as_str())
            .with("agent", &side.agent)
            .with("instance", &side.instance)
            .with("holder", peer.holder.thumbprint())
            .with("not_after", peer.expires_at)
            .into()
    };
    let capabilities: Vec<Json> =
        proven.capabilities().iter().map(|c| Json::from(c.as_str())).collect();
    let bound = record.channel != Binding::None;
    let ends = proven.initiator().expires_at.min(proven.responder().expires_at);
    let row = Handshake {
        transcript: proven.transcript(),
        initiator: proven.initiator().spiffe_id.clone(),
        responder: proven.responder().spiffe_id.clone(),
        bound,
        seen: moment.now(),
        expires: Timestamp::from_seconds(ends),
    };
    let step = Step::new(moment, &installation.org, Kind::PeerHandshake)?
        .about(|s| {
            s.agent = Some(initiator.agent.to_string());
            s.instance = Some(initiator.instance.to_string());
        })
        .with("transcript", proven.transcript())
        .with("initiator", party(proven.initiator(), initiator))
        .with("responder", party(proven.responder(), responder))
        .with("capabilities", capabilities)
        .with("channel", if bound { "tls-exporter" } else { "none" })
        .commit(moment, "handshake", record.to_json())?
        .row(Row::Handshake(row));
    Ok(step)
}

/// An offer that was verified, with what it rests on.
pub struct Offering<'a> {
    /// The offer.
    pub offered: &'a Offered,
    /// As it was signed.
    pub signed: &'a str,
    /// The chain beside it.
    pub chain: &'a Chain,
    /// Its tokens, root first.
    pub tokens: &'a [String],
    /// What the chain rests on.
    pub facts: &'a Facts,
    /// Who hands over.
    pub from: &'a Side,
    /// Who is to take over.
    pub to: &'a Side,
    /// Its trust domain, if that is another.
    pub domain: Option<&'a TrustDomain>,
    /// The workflow of the task.
    pub workflow: &'a Workflow,
    /// The organisation's policy.
    pub policies: &'a Policies,
    /// The grade of every claim.
    pub grades: &'a [Grade],
    /// Offers of the giver within the last hour, and those of them that wait.
    pub flood: (u64, u64),
}

/// The child of a verified chain, as an offer has to name it.
#[must_use]
pub fn child(chain: &Chain, facts: &Facts) -> Option<Child> {
    let [.., parent, leaf] = chain.links() else { return None };
    Some(Child {
        leaf: leaf.hash,
        holder: leaf.holder,
        parent_holder: parent.holder,
        task: facts.authority.task.clone(),
        expires: chain.expires(),
    })
}

impl Offering<'_> {
    fn check(&self, now: Timestamp) -> Result<(), HandoffRefusal> {
        let [earlier @ .., giver, taker] = self.facts.hops.as_slice() else {
            return Err(HandoffError::NotTheirs.into());
        };
        if giver.instance != self.from.instance || taker.instance != self.to.instance {
            return Err(HandoffError::NotTheirs.into());
        }
        let had = earlier.iter().chain([giver]).find(|hop| hop.agent == self.to.agent);
        if let Some(hop) = had {
            return Err(HandoffRefusal::Loop { agent: hop.agent.clone() });
        }
        self.to.check_child(self.domain, self.chain, now)?;
        let offer = self.offered.offer();
        let labels: BTreeSet<String> = offer.context.iter().map(|i| i.label.clone()).collect();
        let authority = &self.facts.authority;
        permits(
            self.policies,
            self.workflow,
            &HandoffInput {
                from: &self.from.agent,
                to: &self.to.agent,
                principal: &authority.principal,
                task: &authority.task,
                workflow: &authority.workflow,
                guarantee: offer.guarantee,
                hops: self.facts.hops.len(),
                labels: &labels,
                claims: self.grades.iter().min().copied(),
                now,
            },
        )?;
        let (hourly, open) = self.flood;
        if open >= MAX_OPEN || hourly >= MAX_HOURLY {
            return Err(HandoffRefusal::Flood);
        }
        Ok(())
    }

    fn row(
        &self,
        now: Timestamp,
        principal: bailiwick_core::ids::Alias,
        parent: Digest,
    ) -> Handoff {
        let (offer, authority) = (self.offered.offer(), &self.facts.authority);
        Handoff {
            id: offer.id.clone(),
            state: HandoffState::Offered,
            hash: self.offered.hash(),
            transcript: offer.handshake,
            challenge: Digest::from_array(offer.challenge),
            principal,
            workflow: authority.workflow.clone(),
            task: authority.task.clone(),
            grant: authority.grant.clone(),
            root: self.chain.root_hash(),
            parent,
            leaf: self.chain.leaf_hash(),
            from_id: offer.from.clone(),
            from_agent: self.from.agent.clone(),
            from_instance: self.from.instance.clone(),
            to_id: offer.to.clone(),
            to_agent: self.to.agent.clone(),
            to_instance: self.to.instance.clone(),
            holder: offer.holder,
            owner: self.domain.map(|domain| domain.owner.clone()),
            guarantee: offer.guarantee,
            claims: self.grades.iter().min().copied(),
            offered: now,
            expires: Timestamp::from_seconds(offer.expires_at),
            settled: None,
            returned: None,
            return_entry: None,
        }
    }
}

fn graded(grades: &[Grade]) -> Vec<Json> {
    grades.iter().map(|grade| Json::from(grade.as_str())).collect()
}

fn subjects(s: &mut Subjects, handoff: &Handoff, acting: (&AgentId, &InstanceId)) {
    s.principal = Some(handoff.principal.to_string());
    s.agent = Some(acting.0.to_string());
    s.instance = Some(acting.1.to_string());
    s.workflow = Some(handoff.workflow.to_string());
    s.task = Some(handoff.task.to_string());
    s.grant = Some(handoff.grant.to_string());
    s.delegation = Some(handoff.leaf.to_string());
}

/// Records an offer.
///
/// # Errors
/// [`HandoffRefusal`].
pub fn offer(
    moment: &Moment<'_>,
    installation: &Installation,
    offering: &Offering<'_>,
) -> Result<Plan<Handoff>, Refusal> {
    offering.check(moment.now())?;
    let alias = offering.facts.standing.principal_alias.as_deref();
    let alias = alias.and_then(|alias| alias.parse().ok()).ok_or(Refusal::PrincipalInactive)?;
    let [.., parent, _] = offering.chain.links() else {
        return Err(HandoffRefusal::from(HandoffError::NotTheirs).into());
    };
    let row = offering.row(moment.now(), alias, parent.hash);
    let tokens: Vec<Json> = offering.tokens.iter().map(|t| Json::from(t.as_str())).collect();
    let step = Step::new(moment, &installation.org, Kind::HandoffOffered)?
        .about(|s| subjects(s, &row, (&row.from_agent, &row.from_instance)))
        .with("handoff", &row.id)
        .with("hash", row.hash)
        .with("transcript", row.transcript)
        .with("from", row.from_id.as_str())
        .with("to", row.to_id.as_str())
        .with("holder", row.holder)
        .with("root", row.root)
        .with("parent", row.parent)
        .with("leaf", row.leaf)
        .with("guarantee", row.guarantee.as_str())
        .with("claims", graded(offering.grades))
        .with("expires", row.expires.seconds())
        .with_some("owner", row.owner.as_ref())
        .commit(moment, "offer", offering.signed)?
        .commit(moment, "chain", tokens)?
        .row(Row::Handoff(Box::new(row.clone())));
    Ok(Plan::one(step, row))
}

/// Where a handoff stands at `now`, in a word.
#[must_use]
pub fn stands(handoff: &Handoff, now: Timestamp) -> &'static str {
    match handoff.state {
        HandoffState::Offered if handoff.expires <= now => "expired",
        HandoffState::Accepted if handoff.returned.is_some() => "returned",
        state => state.as_str(),
    }
}

/// Whether the handoff stands so.
///
/// # Errors
/// [`HandoffRefusal::Settled`].
pub fn expect(
    handoff: &Handoff,
    state: &'static str,
    now: Timestamp,
) -> Result<(), HandoffRefusal> {
    match stands(handoff, now) {
        how if how == state => Ok(()),
        how => Err(HandoffRefusal::Settled { how }),
    }
}

/// Records the taker's answer, once.
///
/// # Errors
/// [`HandoffRefusal`].
pub fn answer(
    moment: &Moment<'_>,
    installation: &Installation,
    handoff: &Handoff,
    handshake: &Handshake,
    answered: &Answered,
    signed: &str,
) -> Result<Plan<Handoff>, Refusal> {
    let now = moment.now();
    expect(handoff, "offered", now)?;
    // Who was known only as long as its identity lived is not known any more.
    if handshake.expires <= now {
        return Err(HandoffRefusal::from(HandoffError::Time).into());
    }
    // SECURITY: no side can have been surer than the connection let it be.
    if !handshake.bound && answered.guarantee > Guarantee::Key {
        return Err(HandoffRefusal::from(HandoffError::Guarantee).into());
    }
    let (kind, state) = match answered.answer {
        Answer::Accepted => (Kind::HandoffAccepted, HandoffState::Accepted),
        Answer::Rejected { .. } => (Kind::HandoffRejected, HandoffState::Rejected),
    };
    let guarantee = handoff.guarantee.min(answered.guarantee);
    let row = Handoff { state, guarantee, settled: Some(now), ..handoff.clone() };
    let step = Step::new(moment, &installation.org, kind)?
        .about(|s| subjects(s, &row, (&row.to_agent, &row.to_instance)))
        .with("handoff", &row.id)
        .with("hash", row.hash)
        .with("from", row.from_id.as_str())
        .with("to", row.to_id.as_str())
        .with("guarantee", guarantee.as_str())
        .commit(moment, "answer", signed)?
        .row(Row::HandoffAnswer { handoff: row.id.clone(), state, guarantee });
    Ok(Plan::one(step, row))
}

/// Records what came back, once.
///
/// # Errors
/// [`HandoffRefusal`].
pub fn returned(
    moment: &Moment<'_>,
    installation: &Installation,
    handoff: &Handoff,
    (back, grades): (&Return, &[Grade]),
    signed: &str,
) -> Result<Plan<Handoff>, Refusal> {
    let now = moment.now();
    expect(handoff, "accepted", now)?;
    let step = Step::new(moment, &installation.org, Kind::HandoffReturned)?
        .about(|s| subjects(s, handoff, (&handoff.to_agent, &handoff.to_instance)))
        .with("handoff", &handoff.id)
        .with("hash", handoff.hash)
        .with("status", back.status.as_str())
        .with("claims", graded(grades))
        .commit(moment, "return", signed)?
        .row(Row::HandoffReturn { handoff: handoff.id.clone() });
    let entry = Some(step.event.id.clone());
    let row = Handoff { returned: Some(now), return_entry: entry, ..handoff.clone() };
    Ok(Plan::one(step, row))
}

/// Records that an instance turned somebody away.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn refused(
    moment: &Moment<'_>,
    installation: &Installation,
    by: &Side,
    code: &str,
    claimed: &str,
) -> Result<Plan<()>, Refusal> {
    let step = Step::new(moment, &installation.org, Kind::PeerRefused)?
        .about(|s| {
            s.agent = Some(by.agent.to_string());
            s.instance = Some(by.instance.to_string());
            s.reason = Some(code.to_owned());
        })
        .with("code", code)
        .commit(moment, "claimed", claimed)?;
    Ok(Plan::one(step, ()))
}
