//! Reading and writing runs.

use bailiwick_core::ids::{RunId, TaskId};
use bailiwick_core::time::Timestamp;
use rusqlite::params;
use rusqlite::types::Value;

use crate::apply::execute;
use crate::autonomy::PATIENCE_SECONDS;
use crate::columns::{Read, Record, count, digest, maybe, parsed, time};
use crate::error::StoreError;
use crate::query::{COLUMNS, entry};
use crate::rows::{
    Run, RunCalls, RunContext, RunEvidence, RunReview, RunSpent, RunState, Stored, StoredEntry,
};
use crate::tx::signed;
use crate::view::View;

/// Runs, or parts of one, given at once at most.
pub const MAX_RUNS: u32 = 500;

/// Which runs to list: all members that are set must fit.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// The task.
    pub task: Option<String>,
    /// The workflow.
    pub workflow: Option<String>,
    /// The agent.
    pub agent: Option<String>,
    /// The principal's alias.
    pub principal: Option<String>,
    /// Where it stands.
    pub state: Option<RunState>,
    /// Only those that began before this one: to page from the newest on.
    pub before: Option<(Timestamp, RunId)>,
    /// How many at most; [`MAX_RUNS`] is the ceiling.
    pub limit: u32,
}

impl Record for Run {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "state",
        "task",
        "attempt",
        "workflow",
        "workflow_digest",
        "agent",
        "instance",
        "principal",
        "grant_id",
        "root",
        "goal",
        "instructed",
        "started",
        "deadline",
        "ended",
        "complete",
        "review",
        "iterations",
        "model_calls",
        "input_tokens",
        "output_tokens",
        "cost_micros",
        "currency",
    ];
    fn read(row: &rusqlite::Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            id: parsed(row, i)?,
            state: parsed(row, i + 1)?,
            task: parsed(row, i + 2)?,
            attempt: row.get(i + 3)?,
            workflow: parsed(row, i + 4)?,
            workflow_digest: digest(row, i + 5)?,
            agent: parsed(row, i + 6)?,
            instance: parsed(row, i + 7)?,
            principal: parsed(row, i + 8)?,
            grant: parsed(row, i + 9)?,
            root: digest(row, i + 10)?,
            goal: digest(row, i + 11)?,
            instructed: row.get(i + 12)?,
            started: time(row, i + 13)?,
            deadline: time(row, i + 14)?,
            ended: row.get::<_, Option<i64>>(i + 15)?.map(Timestamp::from_millis),
            complete: row.get(i + 16)?,
            review: maybe(row, i + 17)?,
            spent: RunSpent {
                iterations: count(row, i + 18)?,
                model_calls: count(row, i + 19)?,
                input_tokens: count(row, i + 20)?,
                output_tokens: count(row, i + 21)?,
                cost_micros: count(row, i + 22)?,
                currency: row.get(i + 23)?,
            },
        })
    }
}

impl Record for RunContext {
    const COLUMNS: &'static [&'static str] =
        &["run", "n", "kind", "digest", "source", "label", "declared", "noted"];
    fn read(row: &rusqlite::Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            run: parsed(row, i)?,
            n: row.get(i + 1)?,
            kind: parsed(row, i + 2)?,
            digest: digest(row, i + 3)?,
            source: row.get(i + 4)?,
            label: row.get(i + 5)?,
            declared: row.get(i + 6)?,
            noted: time(row, i + 7)?,
        })
    }
}

impl Record for RunEvidence {
    const COLUMNS: &'static [&'static str] =
        &["run", "n", "criterion", "grade", "holds", "action", "by_whom", "made", "seen"];
    fn read(row: &rusqlite::Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            run: parsed(row, i)?,
            n: row.get(i + 1)?,
            criterion: row.get(i + 2)?,
            grade: row.get(i + 3)?,
            holds: row.get(i + 4)?,
            action: maybe(row, i + 5)?,
            by: row.get(i + 6)?,
            made: time(row, i + 7)?,
            seen: row.get::<_, Option<i64>>(i + 8)?.and_then(|seen| u64::try_from(seen).ok()),
        })
    }
}

impl Record for RunReview {
    const COLUMNS: &'static [&'static str] = &["run", "n", "verdict", "reviewer", "made"];
    fn read(row: &rusqlite::Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            run: parsed(row, i)?,
            n: row.get(i + 1)?,
            verdict: parsed(row, i + 2)?,
            reviewer: parsed(row, i + 3)?,
            made: time(row, i + 4)?,
        })
    }
}

/// What follows `FROM` in the search for runs that fit, and its parameters.
fn fitting(org: &str, filter: &RunFilter) -> (String, Vec<Value>) {
    let mut from = "runs t WHERE org = ?".to_owned();
    let mut given = vec![Value::from(org.to_owned())];
    let state = filter.state.map(|state| state.as_str().to_owned());
    let texts = [
        (" AND task = ?", &filter.task),
        (" AND workflow = ?", &filter.workflow),
        (" AND agent = ?", &filter.agent),
        (" AND principal = ?", &filter.principal),
        (" AND state = ?", &state),
    ];
    for (condition, text) in texts {
        if let Some(text) = text {
            from.push_str(condition);
            given.push(text.clone().into());
        }
    }
    if let Some((started, id)) = &filter.before {
        from.push_str(" AND (started, id) < (?, ?)");
        given.push(started.millis().into());
        given.push(id.as_str().to_owned().into());
    }
    from.push_str(" ORDER BY started DESC, id DESC LIMIT ?");
    given.push(i64::from(filter.limit.min(MAX_RUNS)).into());
    (from, given)
}

impl View<'_> {
    /// A run.
    ///
    /// # Errors
    /// [`StoreError::Fault`], as for every read here.
    pub fn run(&self, id: &RunId) -> Result<Option<Stored<Run>>, StoreError> {
        self.record("runs t WHERE org = ?1 AND id = ?2", (self.org_text(), id.as_str()))
    }

    /// The run of a task that goes on.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn open_run(&self, task: &TaskId) -> Result<Option<Stored<Run>>, StoreError> {
        let from = "runs t WHERE org = ?1 AND task = ?2 AND state = 'open'";
        self.record(from, (self.org_text(), task.as_str()))
    }

    /// How many attempts at a task there were, and how many of them began since
    /// `since`.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn attempts(&self, task: &TaskId, since: Timestamp) -> Result<(u32, u64), StoreError> {
        let sql = "SELECT coalesce(max(attempt), 0), count(*) FILTER (WHERE started >= ?3)
                   FROM runs WHERE org = ?1 AND task = ?2";
        let params = (self.org_text(), task.as_str(), since.millis());
        Ok(self.one(sql, params, |r| Ok((r.get(0)?, count(r, 1)?)))?.unwrap_or((0, 0)))
    }

    /// When the newest entry of a run was made.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn last_of_run(&self, run: &RunId) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT time FROM entries WHERE org = ?1 AND run = ?2
                   ORDER BY idx DESC LIMIT 1";
        self.one(sql, (self.org_text(), run.as_str()), |r| time(r, 0))
    }

    /// Runs that are open as their rows say, in the order of their deadlines: after
    /// the one given, and with `until` only those whose deadline is not later.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn open_runs(
        &self,
        until: Option<Timestamp>,
        after: Option<(Timestamp, &RunId)>,
        limit: u32,
    ) -> Result<Vec<Stored<Run>>, StoreError> {
        let from = "runs t WHERE org = ?1 AND state = 'open' AND deadline <= ?2
                    AND (deadline, id) > (?3, ?4) ORDER BY deadline, id LIMIT ?5";
        let until = until.map_or(i64::MAX, Timestamp::millis);
        let (deadline, id) = after.map_or((i64::MIN, ""), |(at, id)| (at.millis(), id.as_str()));
        self.records(from, (self.org_text(), until, deadline, id, limit.min(MAX_RUNS)))
    }

    /// Every attempt at a task, in order.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn runs_of_task(&self, task: &TaskId) -> Result<Vec<Stored<Run>>, StoreError> {
        let from = "runs t WHERE org = ?1 AND task = ?2 ORDER BY started, id LIMIT ?3";
        self.records(from, (self.org_text(), task.as_str(), MAX_RUNS))
    }

    /// Runs that fit, newest first.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn runs(&self, filter: &RunFilter) -> Result<Vec<Stored<Run>>, StoreError> {
        let (from, given) = fitting(self.org_text(), filter);
        self.records(&from, rusqlite::params_from_iter(given))
    }

    /// What a run used, in order, from the item `from` on.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn run_context(
        &self,
        run: &RunId,
        from: u32,
    ) -> Result<Vec<Stored<RunContext>>, StoreError> {
        let sql = "run_context t WHERE org = ?1 AND run = ?2 AND n >= ?3 ORDER BY n LIMIT ?4";
        self.records(sql, (self.org_text(), run.as_str(), from, MAX_RUNS))
    }

    /// How many items of context a run noted, and how many of them from sources that
    /// its workflow does not list.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn run_context_counts(&self, run: &RunId) -> Result<(u64, u64), StoreError> {
        let sql = "SELECT count(*), count(*) FILTER (WHERE declared = 0)
                   FROM run_context WHERE org = ?1 AND run = ?2";
        let read = |r: &rusqlite::Row<'_>| Ok((count(r, 0)?, count(r, 1)?));
        Ok(self.one(sql, (self.org_text(), run.as_str()), read)?.unwrap_or((0, 0)))
    }

    /// Whether a run noted context from a source that its workflow does not list.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn run_has_undeclared(&self, run: &RunId) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM run_context
                                  WHERE org = ?1 AND run = ?2 AND declared = 0)";
        Ok(self.one(sql, (self.org_text(), run.as_str()), |r| r.get(0))?.unwrap_or(false))
    }

    /// What speaks for a run's completion, in order.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn run_evidence(&self, run: &RunId) -> Result<Vec<Stored<RunEvidence>>, StoreError> {
        let sql = "run_evidence t WHERE org = ?1 AND run = ?2 ORDER BY n LIMIT ?3";
        self.records(sql, (self.org_text(), run.as_str(), MAX_RUNS))
    }

    /// What people said of a run, in order.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn run_reviews(&self, run: &RunId) -> Result<Vec<Stored<RunReview>>, StoreError> {
        let sql = "run_reviews t WHERE org = ?1 AND run = ?2 ORDER BY n LIMIT ?3";
        self.records(sql, (self.org_text(), run.as_str(), MAX_RUNS))
    }

    /// A run's calls by tool and decision.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn run_calls(&self, run: &RunId) -> Result<Vec<RunCalls>, StoreError> {
        let sql = "SELECT tool, decision, reason, calls FROM run_calls
                   WHERE org = ?1 AND run = ?2 ORDER BY tool, decision, reason LIMIT ?3";
        self.many(sql, (self.org_text(), run.as_str(), MAX_RUNS), |r| {
            let (tool, decision, reason) = (r.get(0)?, r.get(1)?, r.get(2)?);
            Ok(RunCalls { tool, decision, reason, calls: count(r, 3)? })
        })
    }

    /// Entries of a run in the order of the log, after the index `after`.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn entries_of_run(
        &self,
        run: &RunId,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        let after = after.map_or(-1, |after| i64::try_from(after).unwrap_or(i64::MAX));
        let sql = format!(
            "SELECT {COLUMNS} FROM entries
             WHERE org = ?1 AND run = ?2 AND idx > ?3 ORDER BY idx LIMIT ?4"
        );
        self.many(&sql, (self.org_text(), run.as_str(), after, limit.min(MAX_RUNS)), entry)
    }

    pub(crate) fn apply_run(&self, run: &Run, entry: &str) -> Result<(), StoreError> {
        execute(
            self.c,
            "INSERT INTO runs (org, id, state, task, attempt, workflow, workflow_digest, agent,
                 instance, principal, grant_id, root, goal, instructed, started, deadline, ended,
                 complete, review, iterations, model_calls, input_tokens, output_tokens,
                 cost_micros, currency, entry)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                self.org_text(),
                run.id.as_str(),
                run.state.as_str(),
                run.task.as_str(),
                run.attempt,
                run.workflow.as_str(),
                run.workflow_digest.bytes().as_slice(),
                run.agent.as_str(),
                run.instance.as_str(),
                run.principal.as_str(),
                run.grant.as_str(),
                run.root.bytes().as_slice(),
                run.goal.bytes().as_slice(),
                run.instructed,
                run.started.millis(),
                run.deadline.millis(),
                run.ended.map(Timestamp::millis),
                run.complete,
                run.review.map(|review| review.as_str()),
                signed(run.spent.iterations)?,
                signed(run.spent.model_calls)?,
                signed(run.spent.input_tokens)?,
                signed(run.spent.output_tokens)?,
                signed(run.spent.cost_micros)?,
                run.spent.currency,
                entry,
            ],
            "run",
        )
        .map(drop)
    }

    /// An open run ends; one that ended does not end again.
    pub(crate) fn apply_run_ended(
        &self,
        run: &RunId,
        state: RunState,
        (complete, pending): (bool, bool),
        time: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE runs SET state = ?3, complete = ?4, ended = ?5, pending = ?6,
                       failed = CASE WHEN ?4 OR ?6 THEN NULL ELSE ?5 END
                   WHERE org = ?1 AND id = ?2 AND state = 'open'";
        let (org, at) = (self.org_text(), time.millis());
        let params = (org, run.as_str(), state.as_str(), complete, at, pending);
        self.one_run(sql, params)
    }

    /// What later evidence or a review made of a run that was claimed. One that waited
    /// for others failed when it was found so, or when their patience had run out.
    pub(crate) fn apply_run_complete(
        &self,
        run: &RunId,
        (complete, pending): (bool, bool),
        time: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE runs SET complete = ?3, pending = ?4,
                       failed = CASE WHEN ?3 OR ?4 THEN NULL
                                     WHEN complete = 0 AND pending = 1 THEN min(?5, ended + ?6)
                                     ELSE coalesce(failed, ?5) END
                   WHERE org = ?1 AND id = ?2";
        let (org, at) = (self.org_text(), time.millis());
        let patience = PATIENCE_SECONDS.saturating_mul(1_000);
        self.one_run(sql, (org, run.as_str(), complete, pending, at, patience))
    }

    /// Adds to what a run took.
    pub(crate) fn apply_run_spent(
        &self,
        run: &RunId,
        more: &RunSpent,
        deadline: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE runs SET iterations = iterations + ?3, model_calls = model_calls + ?4,
                       input_tokens = input_tokens + ?5, output_tokens = output_tokens + ?6,
                       cost_micros = cost_micros + ?7, currency = coalesce(currency, ?8),
                       deadline = max(deadline, ?9)
                   WHERE org = ?1 AND id = ?2 AND state = 'open'";
        let params = params![
            self.org_text(),
            run.as_str(),
            signed(more.iterations)?,
            signed(more.model_calls)?,
            signed(more.input_tokens)?,
            signed(more.output_tokens)?,
            signed(more.cost_micros)?,
            more.currency,
            deadline.millis(),
        ];
        self.one_run(sql, params)
    }

    pub(crate) fn apply_run_context(
        &self,
        items: &[RunContext],
        entry: &str,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO run_context (org, run, n, kind, digest, source, label, declared,
                       noted, entry)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        for item in items {
            let params = params![
                self.org_text(),
                item.run.as_str(),
                item.n,
                item.kind.as_str(),
                item.digest.bytes().as_slice(),
                item.source,
                item.label,
                item.declared,
                item.noted.millis(),
                entry,
            ];
            execute(self.c, sql, params, "context of a run")?;
        }
        Ok(())
    }

    pub(crate) fn apply_run_evidence(
        &self,
        items: &[RunEvidence],
        entry: &str,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO run_evidence (org, run, n, criterion, grade, holds, action, by_whom,
                       made, seen, entry)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        for item in items {
            let params = params![
                self.org_text(),
                item.run.as_str(),
                item.n,
                item.criterion,
                item.grade,
                item.holds,
                item.action.as_ref().map(|action| action.as_str()),
                item.by,
                item.made.millis(),
                item.seen.map(signed).transpose()?,
                entry,
            ];
            execute(self.c, sql, params, "evidence of a run")?;
        }
        Ok(())
    }

    pub(crate) fn apply_run_review(
        &self,
        review: &RunReview,
        entry: &str,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO run_reviews (org, run, n, verdict, reviewer, made, entry)
                   VALUES (?, ?, ?, ?, ?, ?, ?)";
        let params = params![
            self.org_text(),
            review.run.as_str(),
            review.n,
            review.verdict.as_str(),
            review.reviewer.as_str(),
            review.made.millis(),
            entry,
        ];
        execute(self.c, sql, params, "review of a run")?;
        let sql = "UPDATE runs SET review = ?3 WHERE org = ?1 AND id = ?2";
        self.one_run(sql, (self.org_text(), review.run.as_str(), review.verdict.as_str()))
    }

    fn one_run(&self, sql: &str, params: impl rusqlite::Params) -> Result<(), StoreError> {
        match execute(self.c, sql, params, "run")? {
            0 => Err(StoreError::NoSuch { what: "run that this is about" }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_search_for_runs_walks_an_index_and_stops_at_its_limit() {
        let c = crate::connection::scratch().unwrap();
        let text = || Some("x".to_owned());
        let run = RunId::parse("018cc251-f400-7000-8000-000000000002").unwrap();
        let before = Some((Timestamp::from_millis(5), run));
        let all = || RunFilter { limit: 50, ..RunFilter::default() };
        for filter in [
            all(),
            RunFilter { before: before.clone(), ..all() },
            RunFilter { task: text(), before: before.clone(), ..all() },
            RunFilter { workflow: text(), ..all() },
            RunFilter { agent: text(), before: before.clone(), ..all() },
            RunFilter { principal: text(), ..all() },
            RunFilter { state: Some(RunState::Open), before: before.clone(), ..all() },
            RunFilter { workflow: text(), state: Some(RunState::Claimed), before, ..all() },
        ] {
            let (from, given) = fitting("o", &filter);
            let sql = format!("EXPLAIN QUERY PLAN SELECT t.id FROM {from}");
            let mut query = c.prepare(&sql).unwrap();
            let plan: Vec<String> = query
                .query_map(rusqlite::params_from_iter(given), |r| r.get(3))
                .unwrap()
                .map(Result::unwrap)
                .collect();
            assert!(plan.iter().all(|p| !p.contains("SCAN")), "{plan:?}");
            // Runs of the very same millisecond are sorted among themselves.
            let sorts = |p: &&String| p.contains("TEMP B-TREE") && !p.contains("LAST TERM");
            assert_eq!(plan.iter().find(sorts), None, "{filter:?}: {plan:?}");
        }
    }

    #[test]
    fn open_runs_are_found_in_the_order_of_their_deadlines() {
        let c = crate::connection::scratch().unwrap();
        let sql = "EXPLAIN QUERY PLAN SELECT t.id FROM runs t
                   WHERE org = 'o' AND state = 'open' AND deadline <= 5
                     AND (deadline, id) > (1, 'x') ORDER BY deadline, id LIMIT 9";
        let mut query = c.prepare(sql).unwrap();
        let plan: Vec<String> =
            query.query_map([], |r| r.get(3)).unwrap().map(Result::unwrap).collect();
        assert!(plan.iter().all(|p| p.contains("runs_deadline")), "{plan:?}");
    }
}
