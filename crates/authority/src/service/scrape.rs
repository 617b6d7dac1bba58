//! Figures since the beginning, for a monitoring system that asks again and again.

use bailiwick_store::HistogramRow;

use super::Authority;
use crate::refusal::Refusal;

/// Everything that one scrape says. No principal, task or text is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scrape {
    /// Decided calls by workflow, agent, tool, decision and reason, most first.
    pub calls: Vec<([String; 5], u64)>,
    /// Ended runs by workflow and what became of them.
    pub runs_ended: Vec<([String; 2], u64)>,
    /// Runs that go on.
    pub runs_open: u64,
    /// Calls that wait for a person.
    pub approvals_pending: u64,
    /// Failures that nobody resolved.
    pub failures_unresolved: u64,
    /// Entries of the ledger.
    pub ledger_entries: u64,
    /// Seconds since what is known of a trust domain's revocations was known to be
    /// its last word; of the own, which are read with every call, nothing.
    pub staleness: Vec<(String, i64)>,
    /// Settled held calls by how many seconds they took.
    pub decisions: Vec<HistogramRow>,
}

impl Authority {
    /// What a scrape says now.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn scrape(&self) -> Result<Scrape, Refusal> {
        let (cx, now) = (self.now(), self.0.host.now());
        self.read(|view| {
            let (mut runs_ended, mut runs_open) = (Vec::new(), 0_u64);
            for of in view.run_outcomes()? {
                match of.outcome.as_str() {
                    "open" => runs_open = runs_open.saturating_add(of.runs),
                    _ => runs_ended.push(([of.workflow, of.outcome], of.runs)),
                }
            }
            let mut staleness = vec![(cx.installation.trust_domain.clone(), 0)];
            for known in view.trust_domains()? {
                let age = now.millis_since(known.as_of).max(0) / 1_000;
                staleness.push((known.domain.name, age));
            }
            Ok(Scrape {
                calls: view.calls_in_all()?,
                runs_ended,
                runs_open,
                approvals_pending: view.approvals_waiting(now)?,
                failures_unresolved: view.failures_unresolved()?,
                ledger_entries: view.log_size()?,
                staleness,
                decisions: view.decision_seconds()?,
            })
        })
    }
}
