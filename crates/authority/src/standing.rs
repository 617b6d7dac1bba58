//! What still holds of a chain, at one moment: the answer to the gateway.
//!
//! Every read is by an index, so a call costs the same with ten delegations
//! and with a million.

use std::sync::Arc;

use bailiwick_core::accountable::{
    Account, Ended, GrantStanding, Hop, Question, Registry, Standing, Unavailable,
};
use bailiwick_core::crypto::{Digest, Thumbprint};
use bailiwick_core::enrolment::Statement;
use bailiwick_core::guarantee::{Guarantee, Isolation};
use bailiwick_core::ids::{InstanceId, ServerName};
use bailiwick_core::stop::StopTarget;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{
    Agent, Chain, HandoffState, Principal, Status, Store, StoreError, Subject, View,
};

use crate::ceilings::Ceilings;
use crate::follower::RevocationFollower;
use crate::host::Host;

mod elsewhere;
pub use elsewhere::{Expected, domain_of};

/// Entries that were made durable up to this many milliseconds after a request
/// read its own time do not make its clock look stepped back: requests overlap.
pub(crate) const OVERLAP_MS: i64 = 1_000;

/// Where revocations are looked up.
#[derive(Clone, Copy)]
pub enum Revoked<'a> {
    /// In what a follower knows.
    Follower(&'a RevocationFollower),
    /// In the state itself, as of the time given.
    Direct(Timestamp),
}

/// The registry over the store, as verification asks it.
pub struct StandingReader {
    store: Store,
    host: Arc<dyn Host>,
    issuer: String,
    follower: Option<Arc<RevocationFollower>>,
    ceilings: Arc<Ceilings>,
}

impl StandingReader {
    /// A reader for the installation whose URI is `issuer`. Without a follower
    /// revocations are read from the state with every call.
    #[must_use]
    pub fn new(
        store: Store,
        host: Arc<dyn Host>,
        issuer: &str,
        follower: Option<Arc<RevocationFollower>>,
        ceilings: Arc<Ceilings>,
    ) -> Self {
        Self { store, host, issuer: issuer.to_owned(), follower, ceilings }
    }

    /// Whether a tool server may be called, and until when that is known.
    ///
    /// # Errors
    /// [`StoreError`] when the state cannot be read: deny.
    pub fn tool_server_stands(&self, name: &ServerName) -> Result<(bool, Timestamp), StoreError> {
        let now = self.host.now();
        self.store.read(|view| {
            let subject = [Subject::ToolServer { name: name.clone() }];
            let (revoked, as_of) = self.source(now).look(view, &subject)?;
            let active = view.tool_server(name)?.is_some_and(|s| s.status == Status::Active);
            Ok((active && revoked.is_none(), as_of))
        })
    }

    fn source(&self, now: Timestamp) -> Revoked<'_> {
        match &self.follower {
            Some(follower) => Revoked::Follower(follower),
            None => Revoked::Direct(now),
        }
    }
}

impl std::fmt::Debug for StandingReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StandingReader").field("follower", &self.follower).finish_non_exhaustive()
    }
}

impl Registry for StandingReader {
    fn standing(&self, question: &Question<'_>) -> Result<Standing, Unavailable> {
        let now = self.host.now();
        self.store
            .read(|view| read(view, &self.issuer, question, self.source(now), &self.ceilings))
            .map_err(|_: StoreError| Unavailable)
    }
}

impl Revoked<'_> {
    /// The kind of the first revoked subject, and until when that is known.
    fn look(
        self,
        view: &View<'_>,
        subjects: &[Subject],
    ) -> Result<(Option<&'static str>, Timestamp), StoreError> {
        let kind = |s: &Subject| match s {
            Subject::HolderKey { .. } => "holder",
            other => other.kind(),
        };
        match self {
            Self::Follower(follower) => {
                let (found, as_of) = follower.look(subjects);
                Ok((found.map(kind), as_of))
            }
            Self::Direct(now) => Ok((view.is_revoked(subjects)?.map(|r| kind(&r.subject)), now)),
        }
    }
}

impl Revoked<'_> {
    /// The first of `targets` that is stopped.
    fn stopped(
        self,
        view: &View<'_>,
        targets: &[StopTarget],
    ) -> Result<Option<StopTarget>, StoreError> {
        match self {
            Self::Follower(follower) => Ok(follower.stopped(targets)),
            Self::Direct(_) => Ok(view.stopped(targets)?.map(|stop| stop.row.target)),
        }
    }
}

/// Every stop under which a chain comes, the widest first.
fn stops(question: &Question<'_>, actors: &[Option<Actor>]) -> Vec<StopTarget> {
    let authority = question.authority;
    let mut all = vec![
        StopTarget::Everything,
        StopTarget::Workflow(authority.workflow.clone()),
        StopTarget::Agent(authority.agent.clone()),
        StopTarget::Task(authority.task.clone()),
    ];
    let others = actors.iter().flatten().map(|actor| &actor.agent.id);
    all.extend(others.filter(|id| **id != authority.agent).cloned().map(StopTarget::Agent));
    all
}

/// Everything that may end a chain, in the order in which it is reported.
#[must_use]
pub fn subjects(
    question: &Question<'_>,
    chain: Option<&Chain>,
    actors: &[Option<Actor>],
) -> Vec<Subject> {
    let mut all: Vec<Subject> =
        question.tokens.iter().map(|token| Subject::Delegation { token: *token }).collect();
    if let Some(root) = question.tokens.first() {
        let barred =
            question.holders.iter().map(|h| Subject::HolderKey { holder: *h, root: *root });
        all.extend(barred);
    }
    for actor in actors.iter().flatten() {
        all.push(Subject::Instance { id: actor.instance.clone() });
        all.push(Subject::Agent { id: actor.agent.id.clone() });
    }
    if let Some(chain) = chain {
        all.push(Subject::Principal { alias: chain.principal.alias.clone() });
    }
    all.push(Subject::Task { id: question.authority.task.clone() });
    all.push(Subject::Workflow { id: question.authority.workflow.clone() });
    all.push(Subject::Grant { id: question.authority.grant.clone() });
    all
}

/// Answers `question` from one snapshot; `issuer` is this installation's URI.
/// Inside a transaction with [`Revoked::Direct`] it is the last look before the
/// record.
///
/// # Errors
/// [`StoreError`] when the state cannot be read.
pub fn read(
    view: &View<'_>,
    issuer: &str,
    question: &Question<'_>,
    source: Revoked<'_>,
    ceilings: &Ceilings,
) -> Result<Standing, StoreError> {
    expecting(view, issuer, question, (source, ceilings), None)
}

/// The same while the last hop may be a taker of another trust domain that did not
/// answer yet.
///
/// # Errors
/// [`StoreError`] when the state cannot be read.
pub fn expecting(
    view: &View<'_>,
    issuer: &str,
    question: &Question<'_>,
    (source, ceilings): (Revoked<'_>, &Ceilings),
    expected: Option<&Expected<'_>>,
) -> Result<Standing, StoreError> {
    let authority = question.authority;
    let actors = actors(view, question, expected)?;
    let root: Option<&Digest> = question.tokens.first();
    let chain = match root {
        Some(root) => view.delegation(root)?,
        None => None,
    };
    let (mut revoked, as_of) = source.look(view, &subjects(question, chain.as_ref(), &actors))?;
    let stop = source.stopped(view, &stops(question, &actors))?;
    // A grant that ended is reported as such, not as something revoked.
    let ended = revoked == Some("grant");
    if ended {
        revoked = None;
    }
    let mut hops = Vec::with_capacity(actors.len());
    for (i, actor) in actors.into_iter().enumerate() {
        let token = question.tokens.get(i).filter(|_| i > 0);
        hops.push(actor.map(|actor| hop(view, actor, token, source)).transpose()?);
    }
    let first: Option<&mut Hop> = hops.first_mut().and_then(Option::as_mut);
    if let (Some(first), Some(chain)) = (first, &chain) {
        first.guarantee = first.guarantee.max(chain.delegation.guarantee);
    }
    // The root must say what was recorded when it was issued: a root that is
    // not on record, or says something else, has no grant.
    let recorded = chain.filter(|c| {
        c.grant.id == authority.grant
            && c.delegation.task == authority.task
            && c.delegation.agent == authority.agent
            && c.task.workflow == authority.workflow
            && c.task.workflow_digest == authority.workflow_digest
            && c.delegation.client == authority.client
            && question.holders.first() == Some(&c.delegation.holder)
    });
    let named = recorded.as_ref().filter(|c| {
        c.principal.issuer.as_deref() == Some(issuer)
            && c.principal.id.as_ref() == Some(&authority.principal)
    });
    // Who is named by none is denied anyway, and has no ceiling.
    let exceeds = match named {
        Some(chain) => ceilings.exceeded(view, chain)?,
        None => None,
    };
    let account = match recorded.as_ref().and_then(|c| Some((c.grant.account?, c))) {
        Some((digest, c)) => {
            let first = view.grant_by_digest(&digest)?;
            let not_after = first.map_or(c.grant.expires, |first| first.expires);
            Some(Account { digest, not_after })
        }
        None => None,
    };
    let last = view.last_time()?.unwrap_or(Timestamp::from_millis(0));
    Ok(Standing {
        hops,
        principal_active: named.is_some_and(|c| c.principal.status == Status::Active),
        principal_alias: named.map(|c| c.principal.alias.to_string()),
        grant: recorded.as_ref().map(|c| GrantStanding {
            digest: c.grant.digest,
            not_after: c.grant.expires,
            attested: c.grant.attested,
            ended,
            account,
        }),
        revoked: revoked.map(str::to_owned),
        stop: stop.map(|target| target.to_string()),
        exceeds: exceeds.map(str::to_owned),
        revocations_as_of: as_of,
        last_durable: Timestamp::from_millis(last.millis().saturating_sub(OVERLAP_MS)),
    })
}

/// Who acts at every hop, root first; `None` for a key that belongs to nobody.
fn actors(
    view: &View<'_>,
    question: &Question<'_>,
    expected: Option<&Expected<'_>>,
) -> Result<Vec<Option<Actor>>, StoreError> {
    let mut actors = Vec::with_capacity(question.holders.len());
    for (i, holder) in question.holders.iter().enumerate() {
        let local = Actor::of(view, holder, question.authority.client.as_deref())?;
        let is_last = i.saturating_add(1) == question.holders.len();
        let expected = expected.filter(|e| is_last && e.holder == *holder);
        // SECURITY: a root is for an agent here; and whoever took over from here
        // hands nothing on.
        let token = question.tokens.get(i).filter(|_| i > 0 && is_last);
        actors.push(match (local, expected, token) {
            (Some(local), ..) => Some(local),
            (None, Some(expected), Some(_)) => Actor::elsewhere(view, expected.spiffe_id)?,
            (None, None, Some(token)) => Actor::taker(view, holder, token)?,
            (None, _, None) => None,
        });
    }
    Ok(actors)
}

/// What ends a chain and a call of `server` at this moment, if anything: the
/// last look, made inside the transaction that records an allow. Gives what was
/// revoked, suspended, stopped or ended since verification.
///
/// # Errors
/// [`StoreError`] when the state cannot be read: deny.
pub fn ended(
    view: &View<'_>,
    issuer: &str,
    question: &Question<'_>,
    server: &ServerName,
    now: Timestamp,
    ceilings: &Ceilings,
) -> Result<Option<Ended>, StoreError> {
    let source = Revoked::Direct(now);
    if let Some(ended) = read(view, issuer, question, source, ceilings)?.ended(now) {
        return Ok(Some(ended));
    }
    let subject = [Subject::ToolServer { name: server.clone() }];
    let called = view.tool_server(server)?.is_some_and(|s| s.status == Status::Active)
        && view.is_revoked(&subject)?.is_none();
    Ok((!called).then(|| Ended::TakenBack("tool_server".to_owned())))
}

/// Who acts at one hop: an enrolled instance, or a client that is mapped to an
/// agent and acts under an instance of its own.
#[derive(Clone, Debug)]
pub struct Actor {
    instance: InstanceId,
    active: bool,
    agent: Agent,
    owner: Principal,
    isolation: Isolation,
    /// Until when its own domain's word is known, if that is another.
    domain_as_of: Option<Timestamp>,
}

impl Actor {
    /// Who has the key of this thumbprint, or is this client.
    fn of(
        view: &View<'_>,
        holder: &Thumbprint,
        client: Option<&str>,
    ) -> Result<Option<Self>, StoreError> {
        if let Some(client) = client
            && let Some(known) = view.client(client)?
        {
            let Some(instance) = known.row.instance else { return Ok(None) };
            return Ok(view.client_holder(client)?.map(|mapped| Self {
                instance,
                active: mapped.client.row.status == Status::Active,
                agent: mapped.agent.row,
                owner: mapped.owner.row,
                isolation: Isolation::Unstated,
                domain_as_of: None,
            }));
        }
        Ok(view.instance_by_holder(holder)?.map(|h| Self {
            active: h.instance.row.status == Status::Active,
            isolation: Statement::recorded_isolation(&h.instance.row.statement),
            domain_as_of: None,
            instance: h.instance.row.id,
            agent: h.agent.row,
            owner: h.owner.row,
        }))
    }
}

/// One hop, with its own token where that was derived. An owner that is not
/// active, or was revoked, is no owner. Whoever took the task over from a peer is
/// as sure as the two were of each other.
fn hop(
    view: &View<'_>,
    actor: Actor,
    token: Option<&Digest>,
    source: Revoked<'_>,
) -> Result<Hop, StoreError> {
    let handoff = match token {
        Some(token) => view
            .handoff_by_leaf(token)?
            .filter(|h| h.state == HandoffState::Accepted && h.to_instance == actor.instance),
        None => None,
    };
    let owner = [Subject::Principal { alias: actor.owner.alias.clone() }];
    let (revoked, _) = source.look(view, &owner)?;
    let stands = actor.owner.status == Status::Active && revoked.is_none();
    Ok(Hop {
        instance: actor.instance,
        agent: actor.agent.id,
        owner: actor.owner.id.filter(|_| stands),
        instance_active: actor.active,
        agent_active: actor.agent.status == Status::Active,
        guarantee: handoff.as_ref().map_or(Guarantee::Key, |h| h.guarantee),
        handoff: handoff.map(|h| h.row.id),
        isolation: actor.isolation,
        domain_as_of: actor.domain_as_of,
    })
}
