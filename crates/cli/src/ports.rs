//! The gateway's ports over the store: what connects the two planes in one
//! process.

use std::sync::{Arc, PoisonError, RwLock};

use bailiwick_authority::ceilings::Ceilings;
use bailiwick_authority::standing;
use bailiwick_core::accountable::{CLOCK_TOLERANCE_MS, Charge as Due, Unavailable};
use bailiwick_core::crypto::Signer;
use bailiwick_core::ids::{EntryId, OrgId, RunId};
use bailiwick_core::json::Object;
use bailiwick_core::ledger::{Event, Kind, Prepared, Subjects};
use bailiwick_core::time::Timestamp;
use bailiwick_gateway::ports::{
    DecisionRecord, Derivation, Durable, Host, Journal, Recheck, RecordRefusal, Spend, Used,
};
use bailiwick_store::{
    Charge, Charged, Derived, OpenAction, Pending, Row, Spent, Store, StoreError, Tx,
};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::host;

mod catalogue;
#[cfg(test)]
pub(crate) use catalogue::tool_changed;
pub(crate) use catalogue::{CATALOGUE_AGE, StoreCatalogue, unavailable};

mod holds;
mod peers;
mod requests;
mod runs;
pub(crate) use holds::StoreHolds;
#[cfg(test)]
pub(crate) use holds::voided;
pub(crate) use peers::{StorePeers, signers};
pub(crate) use requests::AuthorityRequests;
pub(crate) use runs::AuthorityRuns;

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
        let DecisionRecord { event, charges, spend, recheck, derived, used, run, errand } = record;
        let event = match used {
            None => Deciding::Plain(Box::new(Prepared::from(event))),
            Some(used) => Deciding::Approved(Box::new(event), Box::new(used)),
        };
        let last = Last { charges, spend, recheck, derived, run, errand };
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

    /// Records that nobody knows what became of these calls; gives how many there were. Whoever
    /// had them under way lives no more.
    pub(crate) fn close(&self, open: Vec<OpenAction>) -> Result<usize, StoreError> {
        let maker = self.maker.now();
        self.store
            .write(move |tx| {
                let mut closed = 0;
                for action in open {
                    let Some(decided) = tx.entry(action.decided)? else { continue };
                    let event = unknown_outcome(&decided.id, decided.subjects, tx.org())?;
                    match tx.append(&maker.id, &*maker.key, event) {
                        Ok(_) => closed += 1,
                        // Somebody else looked at the same time.
                        Err(StoreError::ActionNotOpen { .. }) => {}
                        Err(e) => return Err(e),
                    }
                }
                Ok::<_, StoreError>(closed)
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
    Plain(Box<Prepared>),
    /// People did: their approval is spent with it.
    Approved(Box<Event>, Box<Used>),
}

/// What is looked at and spent together with an allow's entry.
struct Last {
    charges: Vec<Due>,
    spend: Spend,
    recheck: Recheck,
    derived: Vec<Derivation>,
    run: Option<RunId>,
    errand: Option<EntryId>,
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
    let Last { charges, spend, recheck, derived, run, errand } = last;
    if let Some(last) = tx.last_time()?
        && last.millis_since(host::now()) > CLOCK_TOLERANCE_MS
    {
        return refuse(RecordRefusal::ClockBehind);
    }
    let question = recheck.question();
    let (server, now) = (&recheck.server, host::now());
    if let Some(ended) = standing::ended(tx, issuer, &question, server, now, ceilings)? {
        return refuse(RecordRefusal::ended(ended));
    }
    // A call that was decided as part of a run is of no run that ended meanwhile.
    if let Some(run) = run
        && tx.open_run(&question.authority.task)?.is_none_or(|open| open.id != *run)
    {
        return refuse(RecordRefusal::RunEnded);
    }
    // What was announced is done once.
    if let Some(errand) = errand
        && !tx.errand_waits(errand, now)?
    {
        return refuse(RecordRefusal::RunEnded);
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
            tx.append(&maker.id, &*maker.key, *event)?
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
