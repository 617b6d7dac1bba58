//! The gateway's ports over the store: what connects the two planes in one
//! process.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bailiwick_authority::ceilings::Ceilings;
use bailiwick_authority::rules::pins::MAX_CANDIDATE_BYTES;
use bailiwick_authority::standing;
use bailiwick_core::accountable::{CLOCK_TOLERANCE_MS, Charge as Due, Unavailable};
use bailiwick_core::crypto::{Digest, Signer};
use bailiwick_core::ids::{EntryId, OrgId, ServerName, ToolId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Event, Kind, Prepared, Subjects};
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_gateway::ports::{
    Catalogue, DecisionRecord, Derivation, Durable, Host, Journal, Pin, PinMismatch, Recheck,
    RecordRefusal, Spend, ToolServer, UpstreamIdentity, Used,
};
use bailiwick_policy::catalogue::Definition;
use bailiwick_policy::{Policies, Workflow};
use bailiwick_store::{
    Candidate, Charge, Charged, Derived, IdentityMode, Pending, PinStatus, Row, Spent, Status,
    Store, StoreError, Subject, Tx,
};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::host;
use crate::policies::PublishedPolicies;

mod holds;
pub(crate) use holds::StoreHolds;
#[cfg(test)]
pub(crate) use holds::voided;

/// The system's clock and entropy.
pub(crate) struct SystemHost;

impl Host for SystemHost {
    fn now(&self) -> Timestamp {
        host::now()
    }

    fn fill(&self, bytes: &mut [u8]) {
        if getrandom::fill(bytes).is_err() {
            // SECURITY: nothing works with guessable salts and session ids.
            tracing::error!("the operating system gives no random bytes; stopping");
            std::process::abort();
        }
    }
}

impl bailiwick_authority::host::Host for SystemHost {
    fn now(&self) -> Timestamp {
        host::now()
    }

    fn fill(&self, out: &mut [u8]) -> bool {
        getrandom::fill(out).is_ok()
    }
}

/// A maker: its name in entries and its key.
#[derive(Clone)]
pub(crate) struct Maker {
    pub(crate) id: String,
    pub(crate) key: Arc<dyn Signer + Send + Sync>,
}

/// The maker as of now: its key may be replaced while the process runs.
#[derive(Clone)]
pub(crate) struct CurrentMaker(Arc<RwLock<Maker>>);

impl CurrentMaker {
    pub(crate) fn new(maker: Maker) -> Self {
        Self(Arc::new(RwLock::new(maker)))
    }

    /// Name and key of one moment.
    pub(crate) fn now(&self) -> Maker {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn replace(&self, maker: Maker) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = maker;
    }
}

/// Decisions and outcomes go straight into the ledger.
pub(crate) struct StoreJournal {
    pub(crate) store: Store,
    pub(crate) maker: CurrentMaker,
    /// The installation's URI, which issues its principals.
    pub(crate) issuer: Arc<str>,
    pub(crate) ceilings: Arc<Ceilings>,
}

/// A refusal inside the recording transaction, or the store's own failure.
enum Stop {
    Refused(RecordRefusal),
    Store(StoreError),
}

impl From<StoreError> for Stop {
    fn from(e: StoreError) -> Self {
        Self::Store(e)
    }
}

impl Journal for StoreJournal {
    fn record<'a>(
        &'a self,
        record: DecisionRecord,
    ) -> BoxFuture<'a, Result<Durable, RecordRefusal>> {
        let maker = self.maker.now();
        let (issuer, ceilings) = (Arc::clone(&self.issuer), Arc::clone(&self.ceilings));
        // All that does not need the one writer is done before it is asked.
        let DecisionRecord { event, charges, spend, recheck, derived, used } = record;
        let event = match used {
            None => Deciding::Plain(Prepared::from(event)),
            Some(used) => Deciding::Approved(Box::new(event), Box::new(used)),
        };
        let last = Last { charges, spend, recheck, derived };
        let pending = self
            .store
            .write(move |tx| write_decision(tx, &maker, &issuer, &ceilings, event, &last));
        async move {
            pending.await.map_err(|stop| match stop {
                Stop::Refused(refusal) => refusal,
                Stop::Store(e) => {
                    tracing::error!(code = e.code(), error = %e, "a decision was not recorded");
                    RecordRefusal::Unavailable
                }
            })
        }
        .boxed()
    }

    fn spend<'a>(&'a self, spend: Spend) -> BoxFuture<'a, Result<(), RecordRefusal>> {
        let pending = self.store.write(move |tx| -> Result<Spent, StoreError> {
            tx.spend_proof(&spend.audience, &spend.key, spend.expires)
        });
        async move {
            match pending.await {
                Ok(Spent::Fresh) => Ok(()),
                Ok(Spent::Already) => Err(RecordRefusal::Replayed),
                Err(e) => {
                    tracing::error!(code = e.code(), error = %e, "a proof was not spent");
                    Err(RecordRefusal::Unavailable)
                }
            }
        }
        .boxed()
    }

    fn record_denial<'a>(
        &'a self,
        event: Event,
        derived: Vec<Derivation>,
    ) -> BoxFuture<'a, Result<(), Unavailable>> {
        self.append(event, derived)
    }

    fn complete<'a>(&'a self, event: Event) -> BoxFuture<'a, Result<(), Unavailable>> {
        let maker = self.maker.now();
        let event = Prepared::from(event);
        let pending = self.store.write(move |tx| -> Result<(), StoreError> {
            match tx.append(&maker.id, &*maker.key, event) {
                // An attempt that was reported as failed was durable after all.
                Ok(_) | Err(StoreError::ActionNotOpen { .. }) => Ok(()),
                Err(e) => Err(e),
            }
        });
        recorded(pending).boxed()
    }
}

impl StoreJournal {
    fn append(
        &self,
        event: Event,
        derived: Vec<Derivation>,
    ) -> BoxFuture<'_, Result<(), Unavailable>> {
        let maker = self.maker.now();
        let event = Prepared::from(event);
        let pending = self.store.write(move |tx| -> Result<(), StoreError> {
            note_derived(tx, &maker, event.event(), &derived, &entry_random)?;
            tx.append(&maker.id, &*maker.key, event).map(|_| ())
        });
        recorded(pending).boxed()
    }

    /// Calls that were allowed in an earlier life of the process and have no
    /// outcome: nobody knows what became of them, and the ledger says so.
    pub(crate) fn close_unfinished(&self) -> Result<usize, StoreError> {
        let maker = self.maker.now();
        self.store
            .write(move |tx| {
                let size = tx.log_size()?;
                let open = tx.unfinished_actions(size)?;
                let count = open.len();
                for action in open {
                    let Some(decided) = tx.entry(action.decided)? else { continue };
                    let event = unknown_outcome(&decided.id, decided.subjects, tx.org())?;
                    tx.append(&maker.id, &*maker.key, event)?;
                }
                Ok::<_, StoreError>(count)
            })
            .wait()
    }
}

async fn recorded(pending: Pending<(), StoreError>) -> Result<(), Unavailable> {
    pending.await.map_err(|e| {
        tracing::error!(code = e.code(), error = %e, "an entry was not recorded");
        Unavailable
    })
}

fn unknown_outcome(
    decided: &EntryId,
    subjects: Subjects,
    org: &OrgId,
) -> Result<Event, StoreError> {
    let now = host::now();
    let random = host::random().map_err(|_| StoreError::Entropy)?;
    Ok(Event {
        id: EntryId::mint(now, random),
        org: org.clone(),
        time: now,
        kind: Kind::ActionCompleted,
        subjects: Subjects { reason: Some("unknown".into()), ..subjects },
        body: Object::new()
            .with("decided", decided)
            .with("is_error", true)
            .with("after_restart", true),
        disclosures: Vec::new(),
    })
}

/// An allow's entry.
enum Deciding {
    /// Policy let it pass.
    Plain(Prepared),
    /// People did: their approval is spent with it.
    Approved(Box<Event>, Box<Used>),
}

/// What is looked at and spent together with an allow's entry.
struct Last {
    charges: Vec<Due>,
    spend: Spend,
    recheck: Recheck,
    derived: Vec<Derivation>,
}

/// Everything that happens with an allow, in one transaction.
fn write_decision(
    tx: &mut Tx<'_>,
    maker: &Maker,
    issuer: &str,
    ceilings: &Ceilings,
    event: Deciding,
    last: &Last,
) -> Result<Durable, Stop> {
    let refuse = |refusal| Err(Stop::Refused(refusal));
    let Last { charges, spend, recheck, derived } = last;
    if let Some(last) = tx.last_time()?
        && last.millis_since(host::now()) > CLOCK_TOLERANCE_MS
    {
        return refuse(RecordRefusal::ClockBehind);
    }
    let question = recheck.question();
    let (server, now) = (&recheck.server, host::now());
    if let Some(kind) = standing::stopped(tx, issuer, &question, server, now, ceilings)? {
        return refuse(RecordRefusal::Revoked { kind });
    }
    if tx.spend_proof(&spend.audience, &spend.key, spend.expires)? == Spent::Already {
        return refuse(RecordRefusal::Replayed);
    }
    let counted: Vec<Charge> = charges
        .iter()
        .map(|c| Charge {
            account: c.account,
            counter: c.counter.clone(),
            amount: c.amount,
            limit: c.limit,
            expires: c.expires,
        })
        .collect();
    if let Charged::Exceeded { which, .. } = tx.charge(&counted)? {
        let spent = charges.get(which).map(RecordRefusal::spent);
        return refuse(spent.unwrap_or(RecordRefusal::Unavailable));
    }
    let appended = match event {
        Deciding::Plain(event) => {
            note_derived(tx, maker, event.event(), derived, &entry_random)?;
            tx.append(&maker.id, &*maker.key, event)?
        }
        Deciding::Approved(event, used) => {
            note_derived(tx, maker, &event, derived, &entry_random)?;
            holds::spend(tx, maker, *event, &used)?
        }
    };
    Ok(Durable { entry: appended.entry })
}

/// The random part of an entry's id.
pub(crate) fn entry_random() -> Result<[u8; 10], StoreError> {
    host::random().map_err(|_| StoreError::Entropy)
}

/// Derived tokens that are seen for the first time get their own entry, before
/// that of the call, whether it was allowed or denied.
pub(crate) fn note_derived(
    tx: &mut Tx<'_>,
    maker: &Maker,
    event: &Event,
    derived: &[Derivation],
    random: &dyn Fn() -> Result<[u8; 10], StoreError>,
) -> Result<(), StoreError> {
    for seen in derived {
        if tx.derived(&seen.token)?.is_some() {
            continue;
        }
        let row = Derived {
            token: seen.token,
            parent: seen.parent,
            root: seen.root,
            depth: seen.depth,
            holder: seen.holder,
            seen: event.time,
            expires: seen.expires,
        };
        let seen = Event {
            id: EntryId::mint(event.time, random()?),
            org: event.org.clone(),
            time: event.time,
            kind: Kind::DelegationSeen,
            subjects: Subjects {
                action: None,
                tool: None,
                decision: None,
                reason: None,
                agent: Some(seen.agent.to_string()),
                instance: Some(seen.instance.to_string()),
                delegation: Some(seen.token.to_string()),
                ..event.subjects.clone()
            },
            body: Object::new().with("root", seen.root).with("parent", seen.parent),
            disclosures: Vec::new(),
        };
        tx.record(&maker.id, &*maker.key, seen, &Row::Derived(row))?;
    }
    Ok(())
}

/// How long what was read of a tool server is kept.
pub(crate) const CATALOGUE_AGE: Duration = Duration::from_millis(500);

/// When a tool server was read, and what was found.
type Looked = (Instant, Option<Arc<ToolServer>>);

/// Workflows, tool servers, pins and policy, read from the store.
pub(crate) struct StoreCatalogue {
    store: Store,
    maker: CurrentMaker,
    workflows: Mutex<BTreeMap<Digest, Arc<Workflow>>>,
    servers: Mutex<BTreeMap<ServerName, Looked>>,
    policies: PublishedPolicies,
}

impl StoreCatalogue {
    pub(crate) fn new(store: Store, maker: CurrentMaker) -> Self {
        let policies = PublishedPolicies::new(store.clone());
        Self { store, maker, workflows: Mutex::default(), servers: Mutex::default(), policies }
    }

    fn read_server(&self, name: &ServerName) -> Result<Option<Arc<ToolServer>>, Unavailable> {
        let (row, pins, revoked) = self
            .store
            .read(|view| -> Result<_, StoreError> {
                Ok((
                    view.tool_server(name)?,
                    view.pins(name)?,
                    view.is_revoked(&[Subject::ToolServer { name: name.clone() }])?.is_some(),
                ))
            })
            .map_err(unavailable)?;
        let Some(row) = row else { return Ok(None) };
        let mut by_operation = BTreeMap::new();
        for pin in pins {
            if pin.row.status != PinStatus::Pinned {
                continue;
            }
            by_operation.insert(operation(&pin.row.tool).to_owned(), read_pin(&pin.row)?);
        }
        let url = row.row.url.parse().map_err(|_| Unavailable)?;
        let identity = match row.row.identity_mode {
            IdentityMode::Principal => UpstreamIdentity::Principal,
            IdentityMode::Shared => UpstreamIdentity::Shared,
        };
        let revoked = revoked || row.row.status != Status::Active;
        Ok(Some(Arc::new(ToolServer::new(name.clone(), url, identity, by_operation, revoked))))
    }
}

fn operation(tool: &ToolId) -> &str {
    tool.operation()
}

pub(crate) fn unavailable(e: StoreError) -> Unavailable {
    tracing::error!(code = e.code(), error = %e, "the store cannot be read");
    Unavailable
}

fn read_pin(pin: &bailiwick_store::Pin) -> Result<Pin, Unavailable> {
    let definition =
        Json::parse(pin.definition.as_bytes(), &JsonLimits::DEFAULT).map_err(|_| Unavailable)?;
    let definition = Definition::of_kept(&definition).map_err(|_| Unavailable)?;
    // The row's digest is the pin; what stands beside it must be what it names.
    Ok(Pin { digest: pin.digest, ..Pin::of(&definition) })
}

impl Catalogue for StoreCatalogue {
    fn policies(&self) -> Result<Arc<Policies>, Unavailable> {
        self.policies.now()
    }

    fn workflow(&self, digest: &Digest) -> Result<Option<Arc<Workflow>>, Unavailable> {
        let mut known = self.workflows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(workflow) = known.get(digest) {
            return Ok(Some(Arc::clone(workflow)));
        }
        let stored = self
            .store
            .read(|v| -> Result<_, StoreError> {
                for workflow in v.workflows()? {
                    if let Some(found) = v.workflow_version(&workflow.row.id, digest)? {
                        return Ok(Some(found));
                    }
                }
                Ok(None)
            })
            .map_err(unavailable)?;
        let Some(stored) = stored else { return Ok(None) };
        let workflow =
            Workflow::parse(&stored.row.document).map_err(|_| Unavailable).map(Arc::new)?;
        // SECURITY: the digest is recomputed; the database is not believed.
        if workflow.digest() != *digest {
            tracing::error!(%digest, "a workflow's text does not have its digest");
            return Err(Unavailable);
        }
        // Versions are few; the bound only keeps a fault from growing.
        if known.len() >= 1024 {
            known.clear();
        }
        known.insert(*digest, Arc::clone(&workflow));
        Ok(Some(workflow))
    }

    fn server(&self, name: &ServerName) -> Result<Option<Arc<ToolServer>>, Unavailable> {
        {
            let known = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((read, server)) = known.get(name)
                && read.elapsed() < CATALOGUE_AGE
            {
                return Ok(server.clone());
            }
        }
        let server = self.read_server(name)?;
        let mut known = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= 4096 {
            known.clear();
        }
        known.insert(name.clone(), (Instant::now(), server.clone()));
        Ok(server)
    }

    fn servers(&self) -> Result<Vec<Arc<ToolServer>>, Unavailable> {
        let rows = self.store.read(|v| v.tool_servers()).map_err(unavailable)?;
        let mut servers = Vec::new();
        for row in rows {
            // One that cannot be read is denied by itself; the others are as they
            // were.
            servers.extend(self.server(&row.row.name).ok().flatten());
        }
        Ok(servers)
    }

    fn pin_mismatch(&self, mismatch: PinMismatch) {
        let maker = self.maker.now();
        let Ok(random) = host::random() else { return };
        let candidate = candidate(&mismatch, host::now());
        let pinned = mismatch.pinned.is_some();
        let event = tool_changed(&mismatch, self.store.org(), host::now(), random);
        let tool = event.subjects.tool.as_deref();
        tracing::warn!(tool, "a tool's definition is not a pinned one; it is quarantined");
        // The writer runs it whether or not anybody waits.
        drop(self.store.write(move |tx| -> Result<(), StoreError> {
            let Some(candidate) = candidate else {
                return tx.append(&maker.id, &*maker.key, event).map(|_| ());
            };
            // Known from before a restart, or from whoever pinned the others.
            let known = tx.candidate(&candidate.tool)?;
            if known.is_some_and(|known| known.digest == candidate.digest) {
                // That an accepted tool changed again is still news.
                return match pinned {
                    true => tx.append(&maker.id, &*maker.key, event).map(|_| ()),
                    false => Ok(()),
                };
            }
            tx.record(&maker.id, &*maker.key, event, &Row::Candidate(candidate)).map(|_| ())
        }));
    }
}

/// What a person will look at; none, if the tool is gone, listed twice or
/// cannot be kept.
fn candidate(mismatch: &PinMismatch, now: Timestamp) -> Option<Candidate> {
    let definition = mismatch.definition.as_ref()?.canonical();
    Some(Candidate {
        tool: ToolId::parse(&format!("mcp:{}:{}", mismatch.server, mismatch.operation)).ok()?,
        digest: mismatch.found?,
        definition: Some(definition).filter(|d| d.len() <= MAX_CANDIDATE_BYTES)?,
        seen: now,
    })
}

/// The entry of a definition that is not the pinned one.
pub(crate) fn tool_changed(
    mismatch: &PinMismatch,
    org: &OrgId,
    now: Timestamp,
    random: [u8; 10],
) -> Event {
    let tool = format!("mcp:{}:{}", mismatch.server, mismatch.operation);
    Event {
        id: EntryId::mint(now, random),
        org: org.clone(),
        time: now,
        kind: Kind::ToolChanged,
        subjects: Subjects { tool: Some(tool.clone()), ..Subjects::default() },
        body: Object::new()
            .with("tool", tool)
            .with("server", &mismatch.server)
            .with("pinned", mismatch.pinned.map(Json::from))
            .with("found", mismatch.found.map(Json::from)),
        disclosures: Vec::new(),
    }
}
