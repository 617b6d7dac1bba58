//! The accountable profile (DESIGN §6): who authorised what, for which task.
//!
//! The claims are read from the root only, where the issuer signed them; a
//! child that states another value is denied. Two claims attenuate by rules of
//! their own: `nbf` (honoured in every token, children not earlier) and the
//! budget (each member at most the parent's; absent means inherited; a new
//! window beside what is inherited only limits further).

use crate::aat::claims::Strictness;
use crate::aat::verify::{Chain, Context, Profile, Unaccounted, private};
use crate::constraint::Dialect;
use crate::crypto::{Digest, Thumbprint};
use crate::denial::{Denial, Reason};
use crate::guarantee::{Guarantee, Isolation};
use crate::ids::{AgentId, GrantId, HandoffId, InstanceId, PrincipalId, TaskId, WorkflowId};
use crate::json::{Json, Object};
use crate::time::Timestamp;

mod budget;
mod retained;
pub use budget::{BudgetMember, BudgetWindow, Charge, ChargeError, Counted, budget_beyond};

/// Claim: the task's id.
pub const TASK: &str = "urn:bailiwick:claim:task";
/// Claim: the purpose, in words.
pub const PURPOSE: &str = "urn:bailiwick:claim:purpose";
/// Claim: `{id, digest}` of the workflow version.
pub const WORKFLOW: &str = "urn:bailiwick:claim:workflow";
/// Claim: `{id, digest}` of the grant.
pub const GRANT: &str = "urn:bailiwick:claim:grant";
/// Claim: the budget, attenuating.
pub const BUDGET: &str = "urn:bailiwick:claim:budget";

/// Claims that only a root may state.
const ROOT_ONLY: [&str; 8] = ["sub", "act", "client_id", "status", TASK, PURPOSE, WORKFLOW, GRANT];

/// Milliseconds by which the last durable entry may be ahead of a decision's
/// clock reading: entries of calls that were decided at the same time. A clock
/// that was stepped back is further behind.
pub const CLOCK_TOLERANCE_MS: i64 = 1000;

/// Milliseconds after which another trust domain's word on whom it revoked is too
/// old: its agents are denied then.
pub const PEER_DOMAIN_STALE_MS: i64 = 10_000;

/// What the root says about the authority behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// `sub`: the principal.
    pub principal: PrincipalId,
    /// `act.sub`: the agent to whom the delegation was issued.
    pub agent: AgentId,
    /// `client_id`: the OAuth client that is the agent; only in access tokens.
    pub client: Option<String>,
    /// The task.
    pub task: TaskId,
    /// The purpose, in words.
    pub purpose: String,
    /// The workflow.
    pub workflow: WorkflowId,
    /// The digest of the workflow's version.
    pub workflow_digest: Digest,
    /// The grant.
    pub grant: GrantId,
    /// The digest of the grant's statement.
    pub grant_digest: Digest,
}

impl Authority {
    /// The claims for a root.
    #[must_use]
    pub fn to_claims(&self) -> Object {
        let named = |id: &str, digest: Digest| Object::new().with("id", id).with("digest", digest);
        let mut claims = Object::new()
            .with("sub", &self.principal)
            .with("act", Object::new().with("sub", &self.agent))
            .with(TASK, &self.task)
            .with(PURPOSE, self.purpose.as_str())
            .with(WORKFLOW, named(self.workflow.as_str(), self.workflow_digest))
            .with(GRANT, named(self.grant.as_str(), self.grant_digest));
        if let Some(client) = &self.client {
            claims.insert("client_id", client.as_str());
        }
        claims
    }

    /// Reads the claims of a root.
    ///
    /// # Errors
    /// [`Reason::AccountabilityMissing`] names the claim.
    pub fn from_claims(claims: &Object) -> Result<Self, Denial> {
        let missing = |claim: &str| Denial::new(Reason::AccountabilityMissing).about(claim);
        let text =
            |claim: &str| claims.member(claim).and_then(Json::as_str).ok_or_else(|| missing(claim));
        let named = |claim: &str| {
            let o = claims.member(claim).and_then(Json::as_object);
            let id = o.and_then(|o| o.member("id")?.as_str());
            let digest = o.and_then(|o| Digest::from_text(o.member("digest")?.as_str()?));
            id.zip(digest).ok_or_else(|| missing(claim))
        };
        let agent = claims
            .member("act")
            .and_then(Json::as_object)
            .filter(|act| act.len() == 1)
            .and_then(|act| act.member("sub")?.as_str())
            .ok_or_else(|| missing("act"))?;
        let (workflow, workflow_digest) = named(WORKFLOW)?;
        let (grant, grant_digest) = named(GRANT)?;
        let client = claims.member("client_id").map(|_| text("client_id")).transpose()?;
        Ok(Self {
            principal: PrincipalId::parse(text("sub")?).map_err(|_| missing("sub"))?,
            agent: AgentId::parse(agent).map_err(|_| missing("act"))?,
            client: client.map(str::to_owned),
            task: TaskId::parse(text(TASK)?).map_err(|_| missing(TASK))?,
            purpose: text(PURPOSE)?.to_owned(),
            workflow: WorkflowId::parse(workflow).map_err(|_| missing(WORKFLOW))?,
            workflow_digest,
            grant: GrantId::parse(grant).map_err(|_| missing(GRANT))?,
            grant_digest,
        })
    }
}

/// What a registry is asked about one chain.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// What the root says.
    pub authority: &'a Authority,
    /// Every token's hash, root first.
    pub tokens: Vec<Digest>,
    /// Every hop's holder key, root first.
    pub holders: Vec<Thumbprint>,
}

/// What the registry knew: all values, retained with the decision.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The instance behind every hop's key, root first; `None`: not enrolled.
    pub hops: Vec<Option<Hop>>,
    /// Whether the principal is registered and active.
    pub principal_active: bool,
    /// The principal's alias in the ledger.
    pub principal_alias: Option<String>,
    /// The grant, if it is on record.
    pub grant: Option<GrantStanding>,
    /// What of this chain was revoked, by kind: `delegation`, `holder`,
    /// `instance`, `agent`, `principal`, `task`, `workflow`, `tool_server`; or
    /// `handoff`, for a token that its holder was offered and did not take over.
    pub revoked: Option<String>,
    /// What this chain comes under was stopped: `agent:NAME`, `task:ID`,
    /// `workflow:NAME` or `everything`; `None` while nothing of it is.
    pub stop: Option<String>,
    /// What of the grant is beyond what its principal may do now, as a code;
    /// `None` while it is inside.
    pub exceeds: Option<String>,
    /// Until when revocations are known.
    pub revocations_as_of: Timestamp,
    /// The time of the last durable entry.
    pub last_durable: Timestamp,
}

/// Why a chain that was verified earlier does not hold now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Something that it rests on was revoked, suspended or has ended: its kind.
    TakenBack(String),
    /// What it comes under is stopped until an owner resumes it: which.
    Stopped(String),
}

impl Ended {
    /// What is told to whoever comes with it.
    #[must_use]
    pub fn denial(&self) -> Denial {
        match self {
            Self::TakenBack(kind) => Denial::new(Reason::Revoked).about(kind),
            Self::Stopped(what) => Denial::new(Reason::Stopped).about(what),
        }
    }

    /// The kind of what was taken back, or what was stopped: for logs.
    #[must_use]
    pub fn what(&self) -> &str {
        match self {
            Self::TakenBack(what) | Self::Stopped(what) => what,
        }
    }
}

impl Standing {
    /// What of a chain that was verified earlier no longer holds at `now`;
    /// `None` while all of it stands. How fresh this knowledge is, is another
    /// question ([`Standing::is_fresh`]).
    #[must_use]
    pub fn ended(&self, now: Timestamp) -> Option<Ended> {
        if let Some(kind) = &self.revoked {
            return Some(Ended::TakenBack(kind.clone()));
        }
        if let Some(what) = &self.stop {
            return Some(Ended::Stopped(what.clone()));
        }
        let every = |holds: fn(&Hop) -> bool| {
            !self.hops.is_empty() && self.hops.iter().all(|hop| hop.as_ref().is_some_and(holds))
        };
        let grant_stands = self.grant.as_ref().is_some_and(|g| !g.ended && now < g.not_after);
        let is_known = |hop: &Option<Hop>| hop.as_ref().is_none_or(|h| h.is_domain_fresh(now));
        let kinds = [
            ("trust_domain", self.hops.iter().all(is_known)),
            ("instance", every(|hop| hop.instance_active)),
            ("agent", every(|hop| hop.agent_active && hop.owner.is_some())),
            ("principal", self.principal_active),
            ("grant", grant_stands),
            ("entitlement", self.exceeds.is_none()),
        ];
        let gone = kinds.iter().find(|(_, stands)| !stands);
        gone.map(|(kind, _)| Ended::TakenBack((*kind).to_owned()))
    }

    /// Whether what is known of revocations is at most `staleness_bound`
    /// seconds old.
    #[must_use]
    pub fn is_fresh(&self, now: Timestamp, staleness_bound: i64) -> bool {
        now.millis_since(self.revocations_as_of) <= staleness_bound.saturating_mul(1000)
    }
}

/// One hop's enrolled instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hop {
    /// The instance.
    pub instance: InstanceId,
    /// Its agent.
    pub agent: AgentId,
    /// The agent's owner.
    pub owner: Option<PrincipalId>,
    /// Whether the instance is active.
    pub instance_active: bool,
    /// Whether the agent is active.
    pub agent_active: bool,
    /// How sure we are of it.
    pub guarantee: Guarantee,
    /// The handoff by which it took the task over, if that is how it came to it.
    pub handoff: Option<HandoffId>,
    /// What keeps its program from its keys.
    pub isolation: Isolation,
    /// Of an agent of another trust domain: until when that domain's own word on
    /// whom it revoked is known. `None` for a local one.
    pub domain_as_of: Option<Timestamp>,
}

impl Hop {
    /// Whether what is known of its trust domain is recent enough at `now`.
    const fn is_domain_fresh(&self, now: Timestamp) -> bool {
        match self.domain_as_of {
            Some(as_of) => now.millis_since(as_of) <= PEER_DOMAIN_STALE_MS,
            None => true,
        }
    }
}

/// The grant on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantStanding {
    /// The digest of its statement.
    pub digest: Digest,
    /// Its end.
    pub not_after: Timestamp,
    /// Whether an administrator attested it because the principal did not sign.
    pub attested: bool,
    /// Whether it was ended.
    pub ended: bool,
    /// Whose counters its budget counts in, if not its own: a grant for a task
    /// that is under way goes on with what the task has spent.
    pub account: Option<Account>,
}

/// The grant in whose counters another one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// The digest of its statement.
    pub digest: Digest,
    /// Its end: what was counted is kept until then.
    pub not_after: Timestamp,
}

/// The registry as seen by verification.
pub trait Registry {
    /// Answers with values.
    ///
    /// # Errors
    /// [`Unavailable`] when it cannot be read; the call is denied.
    fn standing(&self, question: &Question<'_>) -> Result<Standing, Unavailable>;
}

/// The registry cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unavailable;

/// What the accountable profile needs.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// The registry.
    pub registry: &'a dyn Registry,
    /// Seconds after which what is known of revocations is stale.
    pub staleness_bound: i64,
}

/// What the accountable profile established.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What the root says.
    pub authority: Authority,
    /// What the registry knew.
    pub standing: Standing,
    /// The enrolled instance of every hop, root first.
    pub hops: Vec<Hop>,
    /// The weakest hop's guarantee.
    pub guarantee: Guarantee,
    /// The weakest hop's isolation.
    pub isolation: Isolation,
    /// Whether the grant carries the principal's own signature.
    pub grant_signed: bool,
    /// Age of what was known of revocations, milliseconds.
    pub staleness_ms: i64,
}

impl Facts {
    /// The calling hop: the leaf's instance.
    #[must_use]
    pub fn caller(&self) -> Option<&Hop> {
        self.hops.last()
    }
}

/// What this system permits by.
#[derive(Debug)]
pub enum Accountable {}

impl private::Sealed for Accountable {}

impl Profile for Accountable {
    type Facts = Facts;
    type Inputs<'a> = Inputs<'a>;
    const STRICTNESS: Strictness =
        Strictness { dialect: Dialect::Extended, extra_entry_members: false };

    fn account(
        chain: &Chain,
        context: &Context<'_>,
        inputs: Inputs<'_>,
    ) -> Result<Facts, Unaccounted<Facts>> {
        let links = chain.links();
        let root = links.first().ok_or_else(|| Denial::new(Reason::ChainEmpty))?;
        // Every root names the gateways that implement this profile.
        if root.claims.aud.is_none() {
            return Err(Denial::new(Reason::AudienceMismatch).of_token(0).about("aud").into());
        }
        let authority = Authority::from_claims(&root.claims.all).map_err(|d| d.of_token(0))?;
        check_children(chain)?;
        check_not_before(chain, context.now)?;
        budget::check(chain)?;
        let question = Question {
            authority: &authority,
            tokens: links.iter().map(|l| l.hash).collect(),
            holders: links.iter().map(|l| l.holder).collect(),
        };
        let standing = inputs
            .registry
            .standing(&question)
            .map_err(|Unavailable| Denial::new(Reason::StateUnavailable))?;
        stand(authority, standing, context, inputs.staleness_bound)
    }
}

/// Claims of the root that a child states otherwise.
fn check_children(chain: &Chain) -> Result<(), Denial> {
    let Some((root, children)) = chain.links().split_first() else { return Ok(()) };
    for (i, child) in children.iter().enumerate() {
        for claim in ROOT_ONLY {
            let stated = child.claims.all.member(claim);
            if stated.is_some() && stated != root.claims.all.member(claim) {
                return Err(Denial::new(Reason::ClaimContradiction)
                    .of_token(i.saturating_add(1))
                    .about(claim));
            }
        }
    }
    Ok(())
}

/// `nbf` in every token: not in the future, not earlier than the parent's.
fn check_not_before(chain: &Chain, now: Timestamp) -> Result<(), Denial> {
    let mut earliest = None;
    for (i, link) in chain.links().iter().enumerate() {
        let Some(nbf) = link.claims.all.member("nbf") else { continue };
        let malformed = || Denial::new(Reason::ClaimsMalformed).of_token(i).about("nbf");
        let nbf = nbf.as_number().and_then(|n| n.as_plain_integer()).ok_or_else(malformed)?;
        if Timestamp::from_seconds(nbf) > now {
            return Err(Denial::new(Reason::TokenNotYetValid).of_token(i).about("nbf"));
        }
        if earliest.is_some_and(|e| nbf < e) {
            return Err(Denial::new(Reason::ChildOutlivesParent).of_token(i).about("nbf"));
        }
        earliest = Some(nbf);
    }
    Ok(())
}

/// Holds the chain against what the registry knew.
fn stand(
    authority: Authority,
    standing: Standing,
    context: &Context<'_>,
    staleness_bound: i64,
) -> Result<Facts, Unaccounted<Facts>> {
    if context.now < standing.last_durable {
        return Err(Denial::new(Reason::ClockBehind).into());
    }
    let staleness_ms = context.now.millis_since(standing.revocations_as_of).max(0);
    if staleness_ms > staleness_bound.saturating_mul(1000) {
        return Err(Denial::new(Reason::RevocationStale).into());
    }
    let mut hops = Vec::with_capacity(standing.hops.len());
    for (i, hop) in standing.hops.iter().enumerate() {
        let denied = |reason| Err(Denial::new(reason).of_token(i).into());
        let Some(hop) = hop else { return denied(Reason::KeyNotEnrolled) };
        // Whether its own domain still stands behind it is not known.
        if !hop.is_domain_fresh(context.now) {
            return denied(Reason::PeerDomainStale);
        }
        if !hop.instance_active {
            return denied(Reason::InstanceInactive);
        }
        // An agent that nobody owns gets nothing.
        if !hop.agent_active || hop.owner.is_none() {
            return denied(Reason::AgentInactive);
        }
        hops.push(hop.clone());
    }
    match hops.first() {
        Some(first) if first.agent == authority.agent => {}
        _ => return Err(Denial::new(Reason::AgentMismatch).of_token(0).into()),
    }
    if !standing.principal_active {
        return Err(Denial::new(Reason::PrincipalInactive).into());
    }
    // From here on the caller is known: a denial names it in the record.
    let grant = standing.grant.as_ref().filter(|grant| {
        grant.digest == authority.grant_digest && !grant.ended && context.now < grant.not_after
    });
    let grant_stands = grant.is_some();
    let grant_signed = grant.is_some_and(|grant| !grant.attested);
    let guarantee = hops.iter().map(|h| h.guarantee).min().unwrap_or(Guarantee::Key);
    let isolation = hops.iter().map(|h| h.isolation).min().unwrap_or(Isolation::None);
    let facts =
        Facts { authority, standing, hops, guarantee, isolation, grant_signed, staleness_ms };
    let denial = if let Some(kind) = &facts.standing.revoked {
        Denial::new(Reason::Revoked).about(kind.as_str())
    } else if let Some(what) = &facts.standing.stop {
        Denial::new(Reason::Stopped).about(what.as_str())
    } else if !grant_stands {
        Denial::new(Reason::GrantNotStanding)
    } else if let Some(part) = &facts.standing.exceeds {
        // DESIGN rule 2: what the principal may do *now*.
        Denial::new(Reason::EntitlementExceeded).about(part.as_str())
    } else {
        return Ok(facts);
    };
    Err(Unaccounted { denial, facts: Some(Box::new(facts)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_stopped_by_the_first_thing_that_was_taken_back() {
        let now = Timestamp::from_seconds(1000);
        let hop = Hop {
            instance: InstanceId::mint(now, [1; 10]),
            agent: AgentId::parse("agent:runner").unwrap(),
            owner: Some(PrincipalId::parse("user:7").unwrap()),
            instance_active: true,
            agent_active: true,
            guarantee: Guarantee::Key,
            handoff: None,
            isolation: Isolation::Unstated,
            domain_as_of: None,
        };
        let whole = Standing {
            hops: vec![Some(hop.clone()), Some(hop)],
            principal_active: true,
            principal_alias: None,
            grant: Some(GrantStanding {
                digest: Digest::from_array([1; 32]),
                not_after: now.plus_seconds(1),
                attested: false,
                ended: false,
                account: None,
            }),
            revoked: None,
            stop: None,
            exceeds: None,
            revocations_as_of: now,
            last_durable: now,
        };
        let taken = |kind: &str| Some(Ended::TakenBack(kind.to_owned()));
        assert_eq!(whole.ended(now), None);
        assert_eq!(whole.ended(now.plus_seconds(1)), taken("grant"));
        let stopped = Standing { stop: Some("everything".to_owned()), ..whole.clone() };
        assert_eq!(stopped.ended(now), Some(Ended::Stopped("everything".to_owned())));
        type Change = fn(&mut Standing);
        let cases: [(&str, Change); 11] = [
            ("task", |s| s.revoked = Some("task".to_owned())),
            ("trust_domain", |s| {
                s.hops[1].as_mut().unwrap().domain_as_of = Some(Timestamp::from_millis(989_999));
            }),
            ("instance", |s| s.hops.clear()),
            ("instance", |s| s.hops[1] = None),
            ("instance", |s| s.hops[1].as_mut().unwrap().instance_active = false),
            ("agent", |s| s.hops[1].as_mut().unwrap().agent_active = false),
            ("agent", |s| s.hops[1].as_mut().unwrap().owner = None),
            ("principal", |s| s.principal_active = false),
            ("grant", |s| s.grant = None),
            ("grant", |s| s.grant.as_mut().unwrap().ended = true),
            ("grant", |s| s.grant.as_mut().unwrap().not_after = Timestamp::from_seconds(1000)),
        ];
        for (kind, change) in cases {
            let mut standing = whole.clone();
            change(&mut standing);
            assert_eq!(standing.ended(now), taken(kind));
        }
        assert!(whole.is_fresh(now.plus_seconds(10), 10));
        assert!(!whole.is_fresh(Timestamp::from_millis(1_010_001), 10));
    }
}
