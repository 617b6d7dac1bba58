//! A journal in memory.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bailiwick_core::accountable::{Registry, Unavailable};
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{ApprovalId, StandingId};
use bailiwick_core::ledger::Event;
use futures_util::future::BoxFuture;

use super::lock;
use crate::ports::{DecisionRecord, Derivation, Durable, Journal, RecordRefusal, Spend, Used};

/// What a journal is told to do wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    #[default]
    None,
    /// Allows are not recorded.
    Record,
    /// Allows are recorded, and the answer says that they were not.
    RecordedButUnknown,
    /// Outcomes are not recorded.
    Complete,
    /// Denials are not recorded.
    Denial,
    /// The run of whatever is recorded has just ended.
    RunEnded,
}

#[derive(Debug, Default)]
struct Written {
    decisions: Vec<DecisionRecord>,
    denials: Vec<Event>,
    derived: Vec<Derivation>,
    completed: Vec<Event>,
    spent: HashSet<(String, Digest)>,
    counters: HashMap<(Digest, String), i64>,
    approvals: HashSet<ApprovalId>,
    standings: HashMap<StandingId, u64>,
    fault: Fault,
}

/// A journal in memory that spends proofs, charges budgets and asks about
/// revocations as the real one does.
pub struct MemoryJournal {
    registry: Arc<dyn Registry + Send + Sync>,
    written: Mutex<Written>,
    /// How long a write takes.
    latency: Duration,
}

impl MemoryJournal {
    /// An empty journal that asks `registry` again.
    #[must_use]
    pub fn new(registry: Arc<dyn Registry + Send + Sync>, latency: Duration) -> Self {
        Self { registry, written: Mutex::default(), latency }
    }

    /// Fails like this from now on.
    pub fn set_fault(&self, fault: Fault) {
        lock(&self.written).fault = fault;
    }

    /// The allows.
    #[must_use]
    pub fn decisions(&self) -> Vec<DecisionRecord> {
        lock(&self.written).decisions.clone()
    }

    /// The denials, and counts of denials.
    #[must_use]
    pub fn denials(&self) -> Vec<Event> {
        lock(&self.written).denials.clone()
    }

    /// The derived tokens that came with allows and denials, again each time.
    #[must_use]
    pub fn derived(&self) -> Vec<Derivation> {
        lock(&self.written).derived.clone()
    }

    /// The outcomes.
    #[must_use]
    pub fn completed(&self) -> Vec<Event> {
        lock(&self.written).completed.clone()
    }

    pub(crate) fn has_spent(&self, approval: &ApprovalId) -> bool {
        lock(&self.written).approvals.contains(approval)
    }

    pub(crate) fn uses(&self, standing: &StandingId) -> u64 {
        lock(&self.written).standings.get(standing).copied().unwrap_or(0)
    }

    /// A denial that comes with what waits because of it.
    pub(crate) fn note(&self, event: Event, derived: &[Derivation]) {
        let mut written = lock(&self.written);
        written.denials.push(event);
        written.derived.extend_from_slice(derived);
    }

    async fn wait(&self) {
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
    }

    fn write(&self, record: DecisionRecord) -> Result<Durable, RecordRefusal> {
        let standing = self
            .registry
            .standing(&record.recheck.question())
            .map_err(|Unavailable| RecordRefusal::Unavailable)?;
        if let Some(kind) = standing.revoked {
            return Err(RecordRefusal::Revoked { kind });
        }
        if let Some(what) = standing.stop {
            return Err(RecordRefusal::Stopped { what });
        }
        let mut written = lock(&self.written);
        if written.fault == Fault::Record {
            return Err(RecordRefusal::Unavailable);
        }
        let of_run = record.run.is_some() || record.errand.is_some();
        if written.fault == Fault::RunEnded && of_run {
            return Err(RecordRefusal::RunEnded);
        }
        let spend = (record.spend.audience.clone(), record.spend.key);
        if written.spent.contains(&spend) {
            return Err(RecordRefusal::Replayed);
        }
        if let Some(used) = record.used.as_ref().and_then(Used::approval)
            && written.approvals.contains(&used.question.id)
        {
            return Err(RecordRefusal::ApprovalSpent);
        }
        if let Some(Used::Standing(used)) = &record.used
            && written.standings.get(&used.terms.id).copied().unwrap_or(0) >= used.terms.count
        {
            return Err(RecordRefusal::ApprovalSpent);
        }
        let counted = |written: &Written, account: Digest, counter: &str| {
            written.counters.get(&(account, counter.to_owned())).copied().unwrap_or(0)
        };
        for charge in &record.charges {
            let sum =
                counted(&written, charge.account, &charge.counter).saturating_add(charge.amount);
            if sum > charge.limit {
                return Err(RecordRefusal::spent(charge));
            }
        }
        for charge in &record.charges {
            let counter =
                written.counters.entry((charge.account, charge.counter.clone())).or_default();
            *counter = counter.saturating_add(charge.amount);
        }
        written.spent.insert(spend);
        if let Some(used) = &record.used {
            match used {
                Used::Approval(used) => {
                    written.approvals.insert(used.question.id.clone());
                }
                Used::Standing(used) => {
                    *written.standings.entry(used.terms.id.clone()).or_default() += 1;
                    written.approvals.extend(used.answers.clone());
                }
            }
        }
        let entry = record.event.id.clone();
        written.derived.extend(record.derived.iter().cloned());
        written.decisions.push(record);
        if written.fault == Fault::RecordedButUnknown {
            return Err(RecordRefusal::Unavailable);
        }
        Ok(Durable { entry })
    }
}

impl Journal for MemoryJournal {
    fn record<'a>(
        &'a self,
        record: DecisionRecord,
    ) -> BoxFuture<'a, Result<Durable, RecordRefusal>> {
        Box::pin(async move {
            self.wait().await;
            self.write(record)
        })
    }

    fn spend<'a>(&'a self, spend: Spend) -> BoxFuture<'a, Result<(), RecordRefusal>> {
        Box::pin(async move {
            self.wait().await;
            let mut written = lock(&self.written);
            if written.fault == Fault::Record {
                return Err(RecordRefusal::Unavailable);
            }
            let fresh = written.spent.insert((spend.audience, spend.key));
            if fresh { Ok(()) } else { Err(RecordRefusal::Replayed) }
        })
    }

    fn record_denial<'a>(
        &'a self,
        event: Event,
        derived: Vec<Derivation>,
    ) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async move {
            self.wait().await;
            let mut written = lock(&self.written);
            if written.fault == Fault::Denial {
                return Err(Unavailable);
            }
            written.denials.push(event);
            written.derived.extend(derived);
            Ok(())
        })
    }

    fn complete<'a>(&'a self, event: Event) -> BoxFuture<'a, Result<(), Unavailable>> {
        Box::pin(async move {
            self.wait().await;
            let mut written = lock(&self.written);
            if written.fault == Fault::Complete {
                return Err(Unavailable);
            }
            written.completed.push(event);
            Ok(())
        })
    }
}
