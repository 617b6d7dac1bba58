//! Figures of a span of time: one query for each, as `docs/metrics.md` defines them.
//!
//! Calls are read from their count by the hour, runs by when they ended, the rest by an
//! index over its time: none goes through the ledger.

use std::collections::BTreeMap;

use bailiwick_core::crypto::Digest;
use bailiwick_core::figures::{Rate, Sample};
use bailiwick_core::ids::{AgentId, Alias, GrantId, ToolId, WorkflowId};
use bailiwick_core::time::Timestamp;

use crate::columns::{Read, count, parsed, time};
use crate::error::StoreError;
use crate::rollup::{AGENT, TOOL, VERSION, WORKFLOW};
use crate::rows::{Grant, Stored};
use crate::view::View;

mod queries;
use queries::{DECIDING, ENDED, IN_ALL, OUTCOMES, Query, REFUSED, USED, latency};

/// Rows of one figure at most, the largest first.
const MAX_GROUPS: u32 = 1_000;
/// Revocations whose latency is looked for at most, the newest first.
const MAX_REVOCATIONS: u32 = 1_000;
/// Times of which a median is taken at most, the newest.
const MAX_VALUES: u32 = 5_000;
/// Grants of which it is asked what was never used at most, the newest first.
const MAX_GRANTS: u32 = 200;

/// What a figure is about. Every member that is set must fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricFilter {
    /// The workflow.
    pub workflow: Option<WorkflowId>,
    /// The version of it.
    pub version: Option<Digest>,
    /// The agent.
    pub agent: Option<AgentId>,
    /// The tool.
    pub tool: Option<ToolId>,
    /// From then on.
    pub from: Timestamp,
    /// Before then.
    pub until: Timestamp,
}

impl MetricFilter {
    /// Everything of a span.
    #[must_use]
    pub const fn span(from: Timestamp, until: Timestamp) -> Self {
        Self { workflow: None, version: None, agent: None, tool: None, from, until }
    }
}

/// Reads a count and what [`sums`] selects.
fn sample(r: &rusqlite::Row<'_>, i: usize) -> Read<Sample> {
    let part = |i: usize| count(r, i).map(u128::from);
    let (high, cross, low) = (part(i + 2)?, part(i + 3)?, part(i + 4)?);
    let squares = (high << 40) + (cross << 21) + low;
    Ok(Sample { n: count(r, i)?, sum: part(i + 1)?, squares })
}

/// How numbers spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spread {
    /// How many.
    pub n: u64,
    /// The median, by nearest rank.
    pub median: Option<i64>,
    /// The 90th percentile, by nearest rank.
    pub p90: Option<i64>,
}

/// Iterations of completed tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IterationFigures {
    /// By task.
    pub tasks: Sample,
    /// Completed tasks whose runs noted none.
    pub unreported: u64,
}

/// What runs cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CostFigures {
    /// Successful runs by currency, in millionths, with what runs without success
    /// cost.
    pub by_currency: BTreeMap<String, (Sample, u64)>,
    /// Successful runs that noted no cost.
    pub unreported: u64,
}

/// What was decided about calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocked {
    /// Denied calls of all.
    pub denied: Rate,
    /// Calls held for a person, each repetition counted, of all.
    pub held: Rate,
    /// Denied calls by reason, most first.
    pub by_reason: Vec<(String, u64)>,
}

/// What one approver said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApproverLoad {
    /// Who.
    pub approver: Alias,
    /// Verdicts.
    pub verdicts: u64,
}

/// How long revocations took to be seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Revocations that were looked at.
    pub revocations: u64,
    /// Milliseconds to the first denial, over those that were tried against.
    pub first_denial_ms: Spread,
}

/// Peers that were turned away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusedPeers {
    /// Those who did not prove who they are, by code, most first.
    pub refused: Vec<(String, u64)>,
    /// Handoffs that their taker rejected.
    pub handoffs_rejected: u64,
}

/// A grant that ended, and what its task was allowed to call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedScope {
    /// The grant.
    pub grant: Stored<Grant>,
    /// The tools.
    pub used: Vec<String>,
}

/// Runs by what became of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunOutcomes {
    /// The workflow.
    pub workflow: String,
    /// `open`, `complete`, `incomplete` or `abandoned`.
    pub outcome: String,
    /// How many.
    pub runs: u64,
}

/// Held calls that people settled, up to a bound of seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramRow {
    /// Whole seconds from question to settlement.
    pub seconds: u64,
    /// How many took so long.
    pub calls: u64,
}

fn rate(r: &rusqlite::Row<'_>) -> Read<Rate> {
    Ok(Rate { hits: count(r, 0)?, of: count(r, 1)? })
}

fn spread_row(r: &rusqlite::Row<'_>) -> Read<Spread> {
    Ok(Spread { n: count(r, 0)?, median: r.get(1)?, p90: r.get(2)? })
}

fn pair<A: rusqlite::types::FromSql>(r: &rusqlite::Row<'_>) -> Read<(A, u64)> {
    Ok((r.get(0)?, count(r, 1)?))
}

impl View<'_> {
    fn figure<T: Default>(
        &self,
        query: Query,
        read: impl FnOnce(&rusqlite::Row<'_>) -> Read<T>,
    ) -> Result<T, StoreError> {
        let found = self.one(&query.sql, rusqlite::params_from_iter(query.params), read)?;
        Ok(found.unwrap_or_default())
    }

    fn figures<T>(
        &self,
        query: Query,
        read: impl FnMut(&rusqlite::Row<'_>) -> Read<T>,
    ) -> Result<Vec<T>, StoreError> {
        self.many(&query.sql, rusqlite::params_from_iter(query.params), read)
    }

    /// Completed tasks, of those with an ended run.
    ///
    /// # Errors
    /// [`StoreError::Fault`], as for every read here.
    pub fn task_success(&self, filter: &MetricFilter) -> Result<Rate, StoreError> {
        self.figure(filter.success(self.org_text()), rate)
    }

    /// Runs that a person corrected or rejected, of those reviewed.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn human_correction(&self, filter: &MetricFilter) -> Result<Rate, StoreError> {
        self.figure(filter.correction(self.org_text()), rate)
    }

    /// Runs with a call that needed a person, of those that ended.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn escalation(&self, filter: &MetricFilter) -> Result<Rate, StoreError> {
        self.figure(filter.escalation(self.org_text()), rate)
    }

    /// Ended runs without success, of all that ended: what an error budget counts.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn unsuccessful_runs(&self, filter: &MetricFilter) -> Result<Rate, StoreError> {
        self.figure(filter.failed(self.org_text()), rate)
    }

    /// Iterations of completed tasks.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn iterations(&self, filter: &MetricFilter) -> Result<IterationFigures, StoreError> {
        self.figure(filter.iterations(self.org_text()), |r| {
            Ok(IterationFigures { tasks: sample(r, 0)?, unreported: count(r, 5)? })
        })
    }

    /// What successful runs cost.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn cost(&self, filter: &MetricFilter) -> Result<CostFigures, StoreError> {
        let mut figures = CostFigures::default();
        let rows = self.figures(filter.cost(self.org_text()), |r| {
            Ok((r.get::<_, Option<String>>(0)?, sample(r, 1)?, count(r, 6)?))
        })?;
        for (currency, successful, others) in rows {
            match currency {
                None => figures.unreported = successful.n,
                Some(currency) => {
                    figures.by_currency.insert(currency, (successful, others));
                }
            }
        }
        Ok(figures)
    }

    /// What was decided about calls.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn blocked(&self, filter: &MetricFilter) -> Result<Blocked, StoreError> {
        let rows = self.figures(filter.decided(self.org_text(), self.rolled_upto()?), |r| {
            Ok((r.get::<_, String>(0)?, r.get::<_, String>(1)?, count(r, 2)?))
        })?;
        let mut blocked = Blocked::default();
        for (decision, reason, calls) in rows {
            for rate in [&mut blocked.denied, &mut blocked.held] {
                rate.of = rate.of.saturating_add(calls);
            }
            match decision.as_str() {
                "deny" => {
                    blocked.denied.hits = blocked.denied.hits.saturating_add(calls);
                    blocked.by_reason.push((reason, calls));
                }
                "approval_required" => {
                    blocked.held.hits = blocked.held.hits.saturating_add(calls);
                }
                _ => {}
            }
        }
        Ok(blocked)
    }

    /// Workflows that calls were decided under, most calls first; likewise below.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn called_workflows(&self, filter: &MetricFilter) -> Result<Vec<String>, StoreError> {
        self.called(filter, ("workflow", WORKFLOW))
    }

    /// Versions of workflows.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn called_versions(&self, filter: &MetricFilter) -> Result<Vec<String>, StoreError> {
        self.called(filter, ("workflow_digest", VERSION))
    }

    /// Agents.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn calling_agents(&self, filter: &MetricFilter) -> Result<Vec<String>, StoreError> {
        self.called(filter, ("agent", AGENT))
    }

    /// Tools.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn called_tools(&self, filter: &MetricFilter) -> Result<Vec<String>, StoreError> {
        self.called(filter, ("tool", TOOL))
    }

    fn called(&self, filter: &MetricFilter, by: (&str, u8)) -> Result<Vec<String>, StoreError> {
        self.figures(filter.values(self.org_text(), self.rolled_upto()?, by), |r| r.get(0))
    }

    /// Held calls by the day on which they were asked about, as the number of whole
    /// days since the epoch.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn asked_by_day(&self, filter: &MetricFilter) -> Result<Vec<(i64, u64)>, StoreError> {
        self.figures(filter.asked(self.org_text()), pair)
    }

    /// Verdicts by approver, most first.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn approval_load(&self, filter: &MetricFilter) -> Result<Vec<ApproverLoad>, StoreError> {
        self.figures(filter.load(self.org_text()), |r| {
            Ok(ApproverLoad { approver: parsed(r, 0)?, verdicts: count(r, 1)? })
        })
    }

    /// Milliseconds from question to settlement.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn time_to_decide(&self, filter: &MetricFilter) -> Result<Spread, StoreError> {
        self.figure(filter.deciding(self.org_text()), spread_row)
    }

    /// Seconds that roots lived, or live until.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn delegation_lifetime(&self, filter: &MetricFilter) -> Result<Spread, StoreError> {
        self.figure(filter.lifetimes(self.org_text()), spread_row)
    }

    /// How long revocations of a span took until a call was denied by them.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn revocation_latency(
        &self,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Latency, StoreError> {
        let params = (self.org_text(), from.millis(), until.millis(), MAX_REVOCATIONS);
        let read = |r: &rusqlite::Row<'_>| {
            let first_denial_ms = Spread { n: count(r, 1)?, median: r.get(2)?, p90: r.get(3)? };
            Ok(Latency { revocations: count(r, 0)?, first_denial_ms })
        };
        Ok(self.one(&latency(), params, read)?.unwrap_or_default())
    }

    /// Peers that were turned away.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn refused_peers(
        &self,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<RefusedPeers, StoreError> {
        let params = (self.org_text(), from.millis(), until.millis(), MAX_GROUPS);
        let rows = self.many(REFUSED, params, |r| {
            Ok((r.get::<_, String>(0)?, r.get::<_, String>(1)?, count(r, 2)?))
        })?;
        let mut peers = RefusedPeers::default();
        for (kind, reason, n) in rows {
            match kind.as_str() {
                "handoff.rejected" => {
                    peers.handoffs_rejected = peers.handoffs_rejected.saturating_add(n);
                }
                _ => peers.refused.push((reason, n)),
            }
        }
        Ok(peers)
    }

    /// Grants that ended in a span, newest first, with the tools that their tasks were
    /// allowed to call.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn used_scope(&self, filter: &MetricFilter) -> Result<Vec<UsedScope>, StoreError> {
        let (from, until) = (filter.from.millis(), filter.until.millis());
        let params = (self.org_text(), from, until, MAX_GRANTS);
        let ended: Vec<(GrantId, Timestamp)> =
            self.many(ENDED, params, |r| Ok((parsed(r, 0)?, time(r, 1)?)))?;
        let mut all = Vec::new();
        for (id, _) in ended {
            let Some(grant) = self.grant(&id)? else { continue };
            let task = self.task(&grant.task)?;
            let fits = task.is_some_and(|task| {
                filter.workflow.as_ref().is_none_or(|w| *w == task.workflow)
                    && filter.version.is_none_or(|v| v == task.workflow_digest)
            });
            if !fits || filter.agent.as_ref().is_some_and(|agent| *agent != grant.agent) {
                continue;
            }
            let used = self.many(USED, (self.org_text(), grant.task.as_str()), |r| r.get(0))?;
            all.push(UsedScope { grant, used });
        }
        Ok(all)
    }

    /// Runs by workflow and what became of them, since the beginning.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn run_outcomes(&self) -> Result<Vec<RunOutcomes>, StoreError> {
        self.many(OUTCOMES, (self.org_text(), MAX_GROUPS), |r| {
            Ok(RunOutcomes { workflow: r.get(0)?, outcome: r.get(1)?, runs: count(r, 2)? })
        })
    }

    /// Calls by workflow, agent, tool, decision and reason, since the beginning, most
    /// first: labels, and how many.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn calls_in_all(&self) -> Result<Vec<([String; 5], u64)>, StoreError> {
        self.many(IN_ALL, (self.org_text(), self.rolled_upto()?), |r| {
            let labels = [r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?];
            Ok((labels, count(r, 5)?))
        })
    }

    /// Held calls that wait at `now`.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn approvals_waiting(&self, now: Timestamp) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM approvals
                   WHERE org = ?1 AND state = 'pending' AND expires > ?2";
        Ok(self.one(sql, (self.org_text(), now.millis()), |r| count(r, 0))?.unwrap_or(0))
    }

    /// How many seconds settled held calls took, since the beginning.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn decision_seconds(&self) -> Result<Vec<HistogramRow>, StoreError> {
        self.many(DECIDING, [self.org_text()], |r| {
            Ok(HistogramRow { seconds: count(r, 0)?, calls: count(r, 1)? })
        })
    }
}
