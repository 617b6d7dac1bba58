//! Decisions for enforcement points that make the call themselves (DESIGN §4):
//! the same stages 1 to 5, the same durable record, `enforcement: external`.
//!
//! The outcome is `unknown` unless the enforcement point reports it under the
//! decision's id, which only it was told, within the time that a call may take.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bailiwick_core::accountable::Authority;
use bailiwick_core::crypto::Digest;
use bailiwick_core::denial::Denial;
use bailiwick_core::ids::{AgentId, EntryId};
use bailiwick_core::ledger::Subjects;
use bailiwick_core::time::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::gateway::Gateway;
use crate::stages::boundary::CallRequest;
use crate::stages::evidence::{self, Finished, Outcome};

/// Outcomes that are waited for at most; beyond them a call is `unknown` at
/// once.
const MAX_AWAITED: usize = 65_536;

/// What was decided.
pub(crate) struct Ruled {
    /// The entry, which is also the decision's id.
    pub(crate) entry: EntryId,
    /// For whom it may be made, or why not.
    pub(crate) verdict: Result<Granted, Denial>,
}

/// What is known of a call that may be made.
pub(crate) struct Granted {
    /// The action's digest.
    pub(crate) digest: Option<Digest>,
    /// What the root says.
    pub(crate) authority: Authority,
    /// The agent that acts.
    pub(crate) agent: AgentId,
    /// When the delegation ends.
    pub(crate) expires: Timestamp,
}

/// What an enforcement point says became of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    pub(crate) outcome: Outcome,
    /// Digest and length of the result, where it says them.
    pub(crate) result: Option<(Digest, usize)>,
}

/// Allowed calls whose outcome may still be reported.
#[derive(Default)]
pub(crate) struct Awaited(Mutex<HashMap<EntryId, oneshot::Sender<Report>>>);

impl Awaited {
    fn expect(&self, entry: &EntryId) -> oneshot::Receiver<Report> {
        let (to, report) = oneshot::channel();
        let mut awaited = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if awaited.len() < MAX_AWAITED {
            awaited.insert(entry.clone(), to);
        }
        report
    }

    fn forget(&self, entry: &EntryId) -> Option<oneshot::Sender<Report>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(entry)
    }

    /// Takes a report; false, when no outcome of this decision is waited for.
    pub(crate) fn report(&self, entry: &EntryId, report: Report) -> bool {
        self.forget(entry).is_some_and(|to| to.send(report).is_ok())
    }
}

impl Gateway {
    /// Decides on a call that somebody else makes, and records it, in a task of
    /// its own: an enforcement point that goes away stops neither the record
    /// nor the outcome, nor frees the place among the calls under way.
    pub(crate) async fn rule(&self, request: CallRequest, slot: OwnedSemaphorePermit) -> Ruled {
        let gateway = self.clone();
        let ruling = async move {
            let _slot = slot;
            gateway.ruled(request).await
        };
        match self.tracker.spawn(ruling).await {
            Ok(ruled) => ruled,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The process ends: nobody is answered any more.
                Err(_) => std::future::pending().await,
            },
        }
    }

    async fn ruled(&self, request: CallRequest) -> Ruled {
        let (request, now) = (Arc::new(request), self.ports.host.now());
        // The caller's place is free again at once: how long the call takes is
        // not seen here.
        let recorded = match self.decide(Arc::clone(&request), now).await {
            Ok((recorded, _place)) => recorded,
            Err(mut stopped) => {
                let entry = self.record_denied_call(&request, &mut stopped, now).await;
                return Ruled { entry, verdict: Err(stopped.denial) };
            }
        };
        let (entry, subjects, granted) = recorded.handed_over();
        let report = self.awaited.expect(&entry);
        let (gateway, decided) = (self.clone(), entry.clone());
        self.tracker.spawn(async move {
            gateway.await_outcome(&decided, &subjects, now, report).await;
        });
        Ruled { entry, verdict: Ok(granted) }
    }

    async fn await_outcome(
        &self,
        decided: &EntryId,
        subjects: &Subjects,
        started: Timestamp,
        report: oneshot::Receiver<Report>,
    ) {
        let reported = tokio::select! {
            report = report => report.ok(),
            () = tokio::time::sleep(self.config.call_timeout) => None,
            () = self.stopping.cancelled() => None,
        };
        self.awaited.forget(decided);
        let outcome = reported.map_or(Outcome::Unknown, |report| report.outcome);
        let result = reported.and_then(|report| report.result);
        let finished = Finished {
            answers: Vec::new(),
            outcome,
            duration_ms: self.ports.host.now().millis_since(started).max(0),
            bytes: result.map_or(0, |(_, bytes)| bytes),
            is_error: outcome != Outcome::Ok,
            result: result.map(|(digest, _)| digest),
            reported: Some(reported.is_some()),
        };
        self.complete(evidence::completed(self, subjects, decided, &finished)).await;
    }
}
