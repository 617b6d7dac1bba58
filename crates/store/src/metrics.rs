//! Figures of a span of time: one query for each, as `docs/metrics.md` defines them.
//!
//! Calls are read from their count by the hour, runs by when they ended, the rest by an
//! index over its time: none goes through the ledger.

use std::collections::BTreeMap;

use bailiwick_core::crypto::Digest;
use bailiwick_core::figures::{Rate, Sample};
use bailiwick_core::ids::{AgentId, Alias, GrantId, ToolId, WorkflowId};
use bailiwick_core::time::Timestamp;
use rusqlite::types::Value;

use crate::calls::HOUR_MS;
use crate::columns::{Read, count, parsed, time};
use crate::error::StoreError;
use crate::rows::{Grant, Stored};
use crate::view::View;

/// Rows of one figure at most, the largest first.
const MAX_GROUPS: u32 = 1_000;
/// Revocations whose latency is looked for at most, the newest first.
const MAX_REVOCATIONS: u32 = 1_000;
/// Grants of which it is asked what was never used at most, the newest first.
const MAX_GRANTS: u32 = 200;

/// A claimed run that counts as complete and was not rejected.
const SUCCESS: &str = "(r.state = 'claimed' AND r.complete = 1 AND r.review IS NOT 'rejected')";

/// What one run or task adds at most: the sums below stay exact for millions of them.
const CAP: i64 = (1 << 40) - 1;

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

/// A statement with what it is given.
struct Query {
    sql: String,
    params: Vec<Value>,
}

impl Query {
    fn new(org: &str) -> Self {
        Self { sql: String::new(), params: vec![Value::from(org.to_owned())] }
    }

    fn and(&mut self, condition: &str, value: impl Into<Value>) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.params.push(value.into());
    }

    /// `before`, the conditions, `after`.
    fn wrap(mut self, before: &str, after: &str) -> Self {
        self.sql = format!("{before}{}{after}", self.sql);
        self
    }
}

impl MetricFilter {
    /// Everything of a span.
    #[must_use]
    pub const fn span(from: Timestamp, until: Timestamp) -> Self {
        Self { workflow: None, version: None, agent: None, tool: None, from, until }
    }

    /// Which ended runs count; a `+` keeps the engine from another index than that of
    /// their time.
    fn runs(&self, org: &str) -> Query {
        let mut query = Query::new(org);
        query.sql.push_str("r.org = ?");
        query.and("r.ended >= ?", self.from.millis());
        query.and("r.ended < ?", self.until.millis());
        if let Some(workflow) = &self.workflow {
            query.and("+r.workflow = ?", workflow.to_string());
        }
        if let Some(version) = &self.version {
            query.and("+r.workflow_digest = ?", version.bytes().to_vec());
        }
        if let Some(agent) = &self.agent {
            query.and("+r.agent = ?", agent.to_string());
        }
        if let Some(tool) = &self.tool {
            let called = "EXISTS (SELECT 1 FROM run_calls c
                          WHERE c.org = r.org AND c.run = r.id AND c.tool = ?)";
            query.and(called, tool.to_string());
        }
        query
    }

    fn of_runs(&self, org: &str, select: &str) -> Query {
        self.runs(org).wrap(&format!("SELECT {select} FROM runs r WHERE "), "")
    }

    fn success(&self, org: &str) -> Query {
        let select =
            format!("count(DISTINCT CASE WHEN {SUCCESS} THEN r.task END), count(DISTINCT r.task)");
        self.of_runs(org, &select)
    }

    fn correction(&self, org: &str) -> Query {
        self.of_runs(
            org,
            "count(*) FILTER (WHERE r.review IN ('corrected', 'rejected')), count(r.review)",
        )
    }

    fn escalation(&self, org: &str) -> Query {
        self.of_runs(
            org,
            "count(*) FILTER (WHERE EXISTS (SELECT 1 FROM run_calls c WHERE c.org = r.org
                 AND c.run = r.id AND c.decision = 'approval_required')), count(*)",
        )
    }

    fn failed(&self, org: &str) -> Query {
        self.of_runs(org, &format!("count(*) FILTER (WHERE NOT ifnull({SUCCESS}, 0)), count(*)"))
    }

    fn iterations(&self, org: &str) -> Query {
        let before = format!(
            "WITH per AS (SELECT max(ifnull({SUCCESS}, 0)) AS done,
                    min(sum(min(r.iterations, {CAP})), {CAP}) AS x FROM runs r WHERE "
        );
        let after = format!(
            " GROUP BY r.task)
             SELECT count(*) FILTER (WHERE x > 0), {}, count(*) FILTER (WHERE x = 0)
             FROM per WHERE done",
            sums("x", "x > 0")
        );
        self.runs(org).wrap(&before, &after)
    }

    fn cost(&self, org: &str) -> Query {
        let before = format!(
            "WITH per AS (SELECT r.currency AS currency, ifnull({SUCCESS}, 0) AS done,
                    min(r.cost_micros, {CAP}) AS x FROM runs r WHERE "
        );
        let after = format!(
            ") SELECT currency, count(*) FILTER (WHERE done), {},
                    ifnull(sum(x) FILTER (WHERE NOT done), 0)
             FROM per GROUP BY currency ORDER BY currency LIMIT {MAX_GROUPS}",
            sums("x", "done")
        );
        self.runs(org).wrap(&before, &after)
    }

    /// Which hours count: those that the span touches.
    fn calls(&self, org: &str) -> Query {
        let until = self.until.millis();
        let mut query = Query::new(org);
        query.sql.push_str("org = ?");
        query.and("hour >= ?", self.from.millis().div_euclid(HOUR_MS));
        query.and("hour < ?", until.saturating_add(HOUR_MS - 1).div_euclid(HOUR_MS));
        let texts = [
            ("workflow = ?", self.workflow.as_ref().map(ToString::to_string)),
            ("workflow_digest = ?", self.version.as_ref().map(ToString::to_string)),
            ("agent = ?", self.agent.as_ref().map(ToString::to_string)),
            ("tool = ?", self.tool.as_ref().map(ToString::to_string)),
        ];
        for (condition, text) in texts {
            if let Some(text) = text {
                query.and(condition, text);
            }
        }
        query
    }

    fn decided(&self, org: &str) -> Query {
        self.calls(org).wrap(
            "SELECT decision, reason, sum(calls) FROM calls_hourly WHERE ",
            " GROUP BY decision, reason ORDER BY sum(calls) DESC, decision, reason",
        )
    }

    fn values(&self, org: &str, column: &str) -> Query {
        let before =
            format!("SELECT {column}, sum(calls) FROM calls_hourly WHERE {column} <> '' AND ");
        let after = format!(" GROUP BY {column} ORDER BY sum(calls) DESC, {column} LIMIT 50");
        self.calls(org).wrap(&before, &after)
    }

    /// Which held calls count, by `column`, a time.
    fn held(&self, org: &str, column: &str) -> Query {
        let mut query = Query::new(org);
        query.sql.push_str("a.org = ?");
        query.and(&format!("a.{column} >= ?"), self.from.millis());
        query.and(&format!("a.{column} < ?"), self.until.millis());
        if let Some(workflow) = &self.workflow {
            query.and("+a.workflow = ?", workflow.to_string());
        }
        if let Some(version) = &self.version {
            query.and("+a.workflow_digest = ?", version.bytes().to_vec());
        }
        if let Some(agent) = &self.agent {
            query.and("+a.agent = ?", agent.to_string());
        }
        if let Some(tool) = &self.tool {
            query.and("+a.tool = ?", tool.to_string());
        }
        query
    }

    fn asked(&self, org: &str) -> Query {
        self.held(org, "asked").wrap(
            "SELECT a.asked / 86400000, count(*) FROM approvals a WHERE ",
            " GROUP BY 1 ORDER BY 1",
        )
    }

    fn load(&self, org: &str) -> Query {
        // The verdicts' own time bounds them; the held call says what they are about.
        let mut query = Query::new(org);
        query.sql.push_str("v.org = ?");
        query.and("v.said >= ?", self.from.millis());
        query.and("v.said < ?", self.until.millis());
        let texts = [
            ("a.workflow = ?", self.workflow.as_ref().map(ToString::to_string)),
            ("a.agent = ?", self.agent.as_ref().map(ToString::to_string)),
            ("a.tool = ?", self.tool.as_ref().map(ToString::to_string)),
        ];
        for (condition, text) in texts {
            if let Some(text) = text {
                query.and(condition, text);
            }
        }
        if let Some(version) = &self.version {
            query.and("a.workflow_digest = ?", version.bytes().to_vec());
        }
        let after =
            format!(" GROUP BY v.approver ORDER BY count(*) DESC, v.approver LIMIT {MAX_GROUPS}");
        query.wrap(
            "SELECT v.approver, count(*) FROM verdicts v
             CROSS JOIN approvals a ON a.org = v.org AND a.id = v.approval WHERE ",
            &after,
        )
    }

    fn deciding(&self, org: &str) -> Query {
        spread(
            self.held(org, "settled")
                .wrap("SELECT a.settled - a.asked AS x FROM approvals a WHERE ", ""),
        )
    }

    fn lifetimes(&self, org: &str) -> Query {
        let mut query = Query::new(org);
        query.sql.push_str("d.org = ?");
        query.and("d.issued >= ?", self.from.millis());
        query.and("d.issued < ?", self.until.millis());
        if let Some(workflow) = &self.workflow {
            query.and("t.workflow = ?", workflow.to_string());
        }
        if let Some(version) = &self.version {
            query.and("t.workflow_digest = ?", version.bytes().to_vec());
        }
        if let Some(agent) = &self.agent {
            query.and("+d.agent = ?", agent.to_string());
        }
        spread(query.wrap(
            "SELECT (min(d.expires, ifnull((SELECT v.time FROM revocations v WHERE v.org = d.org
                       AND v.kind = 'delegation' AND v.root = x'' AND v.key =
                         (SELECT i.delegation FROM entries i
                          WHERE i.org = d.org AND i.id = d.entry)),
                     d.expires)) - d.issued) / 1000 AS x
             FROM delegations d CROSS JOIN tasks t ON t.org = d.org AND t.id = d.task WHERE ",
            "",
        ))
    }
}

/// The sum of `x` and of its squares' parts, over rows where `only`. A square is put
/// together from halves of 20 bits, because the engine's numbers have 64.
fn sums(x: &str, only: &str) -> String {
    let sum = |of: &str| format!("ifnull(sum({of}) FILTER (WHERE {only}), 0)");
    let (high, low) = (format!("({x} >> 20)"), format!("({x} & 1048575)"));
    [
        sum(x),
        sum(&format!("{high} * {high}")),
        sum(&format!("{high} * {low}")),
        sum(&format!("{low} * {low}")),
    ]
    .join(", ")
}

/// Reads a count and what [`sums`] selects.
fn sample(r: &rusqlite::Row<'_>, i: usize) -> Read<Sample> {
    let part = |i: usize| count(r, i).map(u128::from);
    let (high, cross, low) = (part(i + 2)?, part(i + 3)?, part(i + 4)?);
    let squares = (high << 40) + (cross << 21) + low;
    Ok(Sample { n: count(r, i)?, sum: part(i + 1)?, squares })
}

/// Count, median and 90th percentile of the column `x`, by nearest rank.
fn spread(of: Query) -> Query {
    of.wrap(
        "WITH taken AS (",
        "), ranked AS (SELECT x, row_number() OVER (ORDER BY x) AS rank,
                              count(*) OVER () AS n FROM taken)
         SELECT ifnull(max(n), 0), min(x) FILTER (WHERE rank * 2 >= n),
                min(x) FILTER (WHERE rank * 10 >= n * 9) FROM ranked",
    )
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
        let rows = self.figures(filter.decided(self.org_text()), |r| {
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
        self.called(filter, "workflow")
    }

    /// Versions of workflows.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn called_versions(&self, filter: &MetricFilter) -> Result<Vec<String>, StoreError> {
        self.called(filter, "workflow_digest")
    }

    /// Agents.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn calling_agents(&self, filter: &MetricFilter) -> Result<Vec<String>, StoreError> {
        self.called(filter, "agent")
    }

    /// Tools.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn called_tools(&self, filter: &MetricFilter) -> Result<Vec<String>, StoreError> {
        self.called(filter, "tool")
    }

    fn called(&self, filter: &MetricFilter, column: &str) -> Result<Vec<String>, StoreError> {
        self.figures(filter.values(self.org_text(), column), |r| r.get(0))
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
        self.many(IN_ALL, [self.org_text()], |r| {
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

const REFUSED: &str = "SELECT kind, ifnull(reason, ''), count(*) FROM entries
     WHERE org = ?1 AND kind IN ('peer.refused', 'handoff.rejected')
       AND time >= ?2 AND time < ?3
     GROUP BY 1, 2 ORDER BY 3 DESC, 2 LIMIT ?4";

const ENDED: &str = "SELECT id, expires FROM grants
     WHERE org = ?1 AND expires >= ?2 AND expires < ?3 ORDER BY expires DESC LIMIT ?4";

const USED: &str = "SELECT DISTINCT tool FROM entries
     WHERE org = ?1 AND task = ?2 AND +decision = 'allow' AND tool IS NOT NULL ORDER BY tool";

const OUTCOMES: &str = "SELECT workflow, CASE
         WHEN state <> 'claimed' THEN state WHEN complete = 1 THEN 'complete'
         ELSE 'incomplete' END AS outcome, count(*)
     FROM runs WHERE org = ?1 GROUP BY 1, 2 ORDER BY 1, 2 LIMIT ?2";

const IN_ALL: &str = "SELECT workflow, agent, tool, decision, reason, sum(calls) FROM calls_hourly
     WHERE org = ?1 GROUP BY 1, 2, 3, 4, 5 ORDER BY sum(calls) DESC, 1, 2, 3, 4, 5";

const DECIDING: &str = "SELECT (settled - asked) / 1000, count(*) FROM approvals
     WHERE org = ?1 AND settled IS NOT NULL GROUP BY 1 ORDER BY 1";

/// For each revocation of a span, the first call of its subject that was denied by it:
/// entries after the revocation's own, by the subject's index.
fn latency() -> String {
    let first = |by: &str, decision: &str| {
        format!(
            "(SELECT e.time FROM entries e WHERE e.org = s.org AND {by} AND e.idx > s.idx
              AND {decision} = 'deny' AND e.reason = 'revoked' ORDER BY e.idx LIMIT 1)"
        )
    };
    format!(
        "WITH s AS (SELECT v.org, v.kind, v.key, v.time, r.idx, r.task FROM revocations v
               CROSS JOIN entries r ON r.org = v.org AND r.id = v.entry
               WHERE v.org = ?1 AND v.time >= ?2 AND v.time < ?3
               ORDER BY v.time DESC LIMIT ?4),
         seen AS (SELECT s.time AS revoked, CASE
               WHEN s.kind IN ('task', 'grant', 'delegation', 'holder_key') THEN {}
               WHEN s.kind = 'agent' THEN {}
               WHEN s.kind = 'principal' THEN {}
               WHEN s.kind = 'workflow' THEN {}
               WHEN s.kind = 'instance' THEN {} END AS denied FROM s),
         ranked AS (SELECT denied - revoked AS x,
               row_number() OVER (ORDER BY denied - revoked) AS rank, count(*) OVER () AS n
               FROM seen WHERE denied IS NOT NULL)
         SELECT (SELECT count(*) FROM s), ifnull(max(n), 0),
                min(x) FILTER (WHERE rank * 2 >= n), min(x) FILTER (WHERE rank * 10 >= n * 9)
         FROM ranked",
        first("e.task = s.task", "+e.decision"),
        first("e.agent = s.key", "+e.decision"),
        first("e.principal = s.key", "+e.decision"),
        first("e.workflow = s.key", "e.decision"),
        first("e.instance = s.key", "e.decision"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every figure of a span is found by an index, whatever it is narrowed to.
    #[test]
    fn no_figure_goes_through_the_ledger() {
        let c = crate::connection::scratch().unwrap();
        let plan = |query: &Query| -> Vec<String> {
            let mut explain = c.prepare(&format!("EXPLAIN QUERY PLAN {}", query.sql)).unwrap();
            let lines = explain
                .query_map(rusqlite::params_from_iter(&query.params), |r| r.get::<_, String>(3));
            lines.unwrap().map(Result::unwrap).collect()
        };
        let all = MetricFilter::span(Timestamp::from_millis(1), Timestamp::from_millis(9));
        let narrow = MetricFilter {
            workflow: Some("support".parse().unwrap()),
            version: Some(Digest::from_array([1; 32])),
            agent: Some("agent:runner".parse().unwrap()),
            tool: Some("mcp:desk:tools/get_ticket".parse().unwrap()),
            ..all.clone()
        };
        let given = |sql: &str, n: usize| Query {
            sql: sql.to_owned(),
            params: vec![Value::from(1_i64); n],
        };
        let mut queries = vec![
            given(REFUSED, 4),
            given(ENDED, 4),
            given(USED, 2),
            given(OUTCOMES, 2),
            given(IN_ALL, 1),
            given(DECIDING, 1),
            given(&latency(), 4),
        ];
        for filter in [all, narrow] {
            queries.extend([
                filter.success("o"),
                filter.correction("o"),
                filter.escalation("o"),
                filter.failed("o"),
                filter.iterations("o"),
                filter.cost("o"),
                filter.decided("o"),
                filter.values("o", "tool"),
                filter.asked("o"),
                filter.load("o"),
                filter.deciding("o"),
                filter.lifetimes("o"),
            ]);
        }
        // What a statement makes for itself is small.
        let own = [
            "SCAN s",
            "SCAN per",
            "SCAN taken",
            "SCAN ranked",
            "SCAN seen",
            "SCAN (",
            "SCAN CONSTANT",
        ];
        for query in queries {
            let plan = plan(&query);
            let scans = |line: &&String| {
                line.starts_with("SCAN") && !own.iter().any(|own| line.starts_with(own))
            };
            assert_eq!(plan.iter().find(scans), None, "{}\n{plan:#?}", query.sql);
            // The rows themselves are not read: the index has everything.
            if query.sql.contains("FROM runs r") {
                let bound = "COVERING INDEX runs_measured (org=? AND ended>? AND ended<?)";
                assert!(plan.iter().any(|line| line.contains(bound)), "{plan:#?}");
            }
        }
    }
}
