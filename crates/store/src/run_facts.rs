//! What a run's completion is derived from: its calls and when they were over, and
//! the places in the log of what speaks for it.

use bailiwick_core::ids::{ActionId, AgentId, EntryId, RunId, ToolId};
use bailiwick_core::ledger::Kind;

use crate::columns::{Read, count, maybe, parsed};
use crate::error::StoreError;
use crate::query::{COLUMNS, MAX_RESULTS, entry};
use crate::rows::StoredEntry;
use crate::runs::MAX_RUNS;
use crate::view::View;

const LAST_CALLS: &str = "SELECT tool, CASE WHEN sum(going) = 0 THEN max(over) END
           FROM run_tools WHERE org = ?1 AND run = ?2
           GROUP BY tool HAVING sum(going) > 0 OR max(over) IS NOT NULL";
const LAST_OK_CALLS: &str = "SELECT t.tool, e.action, e.agent, t.ok, t.external
           FROM run_tools t CROSS JOIN entries e ON e.org = t.org AND e.idx = t.ok
           WHERE t.org = ?1 AND t.run = ?2";

/// Entries of one kind. `+idx`: the order is made of the few that are found, not found by
/// walking all.
fn of_kind() -> String {
    format!(
        "SELECT {COLUMNS} FROM entries
         WHERE org = ?1 AND run = ?2 AND kind = ?3 ORDER BY +idx LIMIT ?4"
    )
}

/// Entries that are no calls: those below and above the two kinds of calls, each searched,
/// so that calls are not walked over one by one. No other kind lies between them.
fn told() -> String {
    let part = |kinds: &str| {
        format!(
            "SELECT {COLUMNS} FROM entries INDEXED BY entries_run_calls
             WHERE org = ?1 AND run = ?2 AND {kinds}"
        )
    };
    let (below, above) = (part("kind < 'action.completed'"), part("kind > 'action.decided'"));
    format!("{below} UNION ALL {above} ORDER BY idx LIMIT ?3")
}

/// The last call of one tool in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastCall {
    /// The tool.
    pub tool: ToolId,
    /// The index of the entry by which every call of it was over; none, while one
    /// goes on.
    pub over: Option<u64>,
}

/// The newest call of one tool in a run whose outcome is `ok`, among those that the
/// gateway made or among those that others report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastOk {
    /// The tool.
    pub tool: ToolId,
    /// The call.
    pub action: ActionId,
    /// Who called.
    pub agent: AgentId,
    /// The index of its outcome's entry.
    pub over: u64,
    /// Whether another enforcement point says so.
    pub external: bool,
}

/// Where something that speaks for a run stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidencePlace {
    /// Its number in the run.
    pub n: u32,
    /// The criterion.
    pub criterion: String,
    /// Its grade.
    pub grade: String,
    /// What it says.
    pub holds: bool,
    /// The call whose receipt it is.
    pub action: Option<ActionId>,
    /// Who says so.
    pub by: String,
    /// The index of its entry; of a receipt's outcome; of an independent call's
    /// decision, since what it read may have been read then; of the last entry that a
    /// named check was told of.
    pub at: u64,
    /// Whether it is a call that another enforcement point made.
    pub external: bool,
}

impl View<'_> {
    /// The last allowed call of each tool in a run, whatever became of it, unless
    /// it was not executed.
    ///
    /// # Errors
    /// [`StoreError::Fault`], as for every read here.
    pub fn last_calls_of_run(&self, run: &RunId) -> Result<Vec<LastCall>, StoreError> {
        self.many(LAST_CALLS, (self.org_text(), run.as_str()), |r| {
            let over: Option<i64> = r.get(1)?;
            let over = over.and_then(|over| u64::try_from(over).ok());
            Ok(LastCall { tool: parsed(r, 0)?, over })
        })
    }

    /// The newest call of each tool in a run whose outcome is `ok`: as the gateway saw
    /// it, and as others report it.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn last_ok_calls_of_run(&self, run: &RunId) -> Result<Vec<LastOk>, StoreError> {
        self.many(LAST_OK_CALLS, (self.org_text(), run.as_str()), |r| {
            let (tool, action, agent) = (parsed(r, 0)?, parsed(r, 1)?, parsed(r, 2)?);
            Ok(LastOk { tool, action, agent, over: count(r, 3)?, external: r.get(4)? })
        })
    }

    /// What speaks for a run, with its place in the log; the newest
    /// [`MAX_RUNS`](crate::MAX_RUNS).
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn evidence_places(&self, run: &RunId) -> Result<Vec<EvidencePlace>, StoreError> {
        let sql = "SELECT t.n, t.criterion, t.grade, t.holds, t.action, t.by_whom,
                          coalesce(t.seen, CASE t.grade WHEN 'observed' THEN a.completed
                                                        WHEN 'self_check' THEN a.completed
                                                        WHEN 'independent' THEN a.decided END,
                                   e.idx),
                          coalesce(a.external, 0)
                   FROM run_evidence t JOIN entries e ON e.org = t.org AND e.id = t.entry
                        LEFT JOIN actions a ON a.org = t.org AND a.action = t.action
                   WHERE t.org = ?1 AND t.run = ?2 ORDER BY t.n DESC LIMIT ?3";
        let read = |r: &rusqlite::Row<'_>| -> Read<EvidencePlace> {
            Ok(EvidencePlace {
                n: r.get(0)?,
                criterion: r.get(1)?,
                grade: r.get(2)?,
                holds: r.get(3)?,
                action: maybe(r, 4)?,
                by: r.get(5)?,
                at: count(r, 6)?,
                external: r.get(7)?,
            })
        };
        self.many(sql, (self.org_text(), run.as_str(), MAX_RUNS), read)
    }

    /// The index of the last entry by which a step of the rollback plan was started
    /// from a run.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn last_rollback(&self, run: &RunId) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT max(idx) FROM entries INDEXED BY entries_run_calls
                   WHERE org = ?1 AND run = ?2 AND kind = 'rollback.started'";
        let last =
            self.one(sql, (self.org_text(), run.as_str()), |r| r.get::<_, Option<i64>>(0))?;
        Ok(last.flatten().and_then(|last| u64::try_from(last).ok()))
    }
}

/// An allowed call and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunCall {
    /// The index of its decision's entry.
    pub decided: u64,
    /// Its decision's entry.
    pub entry: EntryId,
    /// The call.
    pub action: ActionId,
    /// The tool.
    pub tool: ToolId,
    /// What became of it; none, while it goes on.
    pub outcome: Option<String>,
    /// The index of its outcome's entry.
    pub over: Option<u64>,
    /// Whether another enforcement point made it: then its outcome is that one's word.
    pub external: bool,
}

impl RunCall {
    /// Whether it may have had an effect: it went well, nobody knows, or what is said
    /// of it is somebody's word.
    #[must_use]
    pub fn had_effect(&self) -> bool {
        self.external || matches!(self.outcome.as_deref(), Some("ok" | "timeout" | "unknown"))
    }
}

const CALL: &str = "e.idx, e.id, e.action, e.tool, a.outcome, a.completed, a.external
    FROM entries e JOIN actions a ON a.org = e.org AND a.action = e.action
    WHERE e.org = ?1 AND e.kind = 'action.decided' AND e.decision = 'allow'
      AND e.tool IS NOT NULL";

fn call(r: &rusqlite::Row<'_>) -> Read<RunCall> {
    Ok(RunCall {
        decided: count(r, 0)?,
        entry: parsed(r, 1)?,
        action: parsed(r, 2)?,
        tool: parsed(r, 3)?,
        outcome: r.get(4)?,
        over: r.get::<_, Option<i64>>(5)?.and_then(|over| u64::try_from(over).ok()),
        external: r.get(6)?,
    })
}

impl View<'_> {
    /// Allowed calls of a run, newest first, of those decided before the index
    /// `before`.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn calls_of_run(
        &self,
        run: &RunId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<RunCall>, StoreError> {
        let before = before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX));
        let sql =
            format!("SELECT {CALL} AND e.run = ?2 AND e.idx < ?3 ORDER BY e.idx DESC LIMIT ?4");
        self.many(&sql, (self.org_text(), run.as_str(), before, limit.min(MAX_RUNS)), call)
    }

    /// Allowed calls of one tool in a run, newest first, of those decided before the
    /// index `before`.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn calls_of_run_to(
        &self,
        run: &RunId,
        tool: &ToolId,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<RunCall>, StoreError> {
        let before = before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX));
        let sql = format!(
            "SELECT {CALL} AND e.run = ?2 AND e.tool = ?3 AND e.idx < ?4
             ORDER BY e.idx DESC LIMIT ?5"
        );
        let params = (self.org_text(), run.as_str(), tool.as_str(), before, limit.min(MAX_RUNS));
        self.many(&sql, params, call)
    }

    /// Runs that were claimed after the index `after`, each with the index of its
    /// entry, in order.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn claims_since(&self, after: u64, limit: u32) -> Result<Vec<(u64, RunId)>, StoreError> {
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let sql = "SELECT idx, run FROM entries
                   WHERE org = ?1 AND kind = 'run.claimed' AND idx > ?2 AND run IS NOT NULL
                   ORDER BY idx LIMIT ?3";
        self.many(sql, (self.org_text(), after, limit.min(MAX_RUNS)), |r| {
            Ok((count(r, 0)?, parsed(r, 1)?))
        })
    }

    /// Entries of one kind in a run, in order.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn entries_of_run_kind(
        &self,
        run: &RunId,
        kind: Kind,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        self.many(&of_kind(), (self.org_text(), run.as_str(), kind.as_str(), MAX_RUNS), entry)
    }
}

impl View<'_> {
    /// What is told of a run besides its calls: every entry of it that is no decision
    /// and no outcome, in order, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn told_of_run(&self, run: &RunId, limit: u32) -> Result<Vec<StoredEntry>, StoreError> {
        self.many(&told(), (self.org_text(), run.as_str(), limit.min(MAX_RESULTS)), entry)
    }

    /// Decisions of a run, the first or the last ones, in order.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn decisions_of_run(
        &self,
        run: &RunId,
        last: bool,
        limit: u32,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        let order = if last { "DESC" } else { "ASC" };
        let sql = format!(
            "SELECT {COLUMNS} FROM entries
             WHERE org = ?1 AND run = ?2 AND kind = 'action.decided'
             ORDER BY idx {order} LIMIT ?3"
        );
        let params = (self.org_text(), run.as_str(), limit.min(MAX_RESULTS));
        let mut found = self.many(&sql, params, entry)?;
        found.sort_by_key(|entry| entry.index);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_of_very_many_calls_came_to_is_found_without_its_entries() {
        let c = crate::connection::scratch().unwrap();
        for sql in [LAST_CALLS, LAST_OK_CALLS] {
            let mut query = c.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let plan: Vec<String> =
                query.query_map(["o", "r"], |r| r.get(3)).unwrap().map(Result::unwrap).collect();
            // A row of each tool, and then at most one entry of each.
            let few = |p: &&String| {
                p.contains("PRIMARY KEY (org=? AND run=?)") || p.contains("(org=? AND idx=?)")
            };
            let searched = plan.iter().filter(|p| p.contains("SEARCH")).collect::<Vec<_>>();
            assert!(!searched.is_empty() && searched.into_iter().all(|p| few(&p)), "{plan:?}");
            assert!(plan.iter().all(|p| !p.contains("SCAN")), "{plan:?}");
        }
    }

    #[test]
    fn what_is_told_of_a_run_is_found_without_walking_over_its_calls() {
        let c = crate::connection::scratch().unwrap();
        for sql in [of_kind(), told()] {
            let sql = format!("EXPLAIN QUERY PLAN {sql}");
            let mut query = c.prepare(&sql).unwrap();
            let values = vec!["1"; query.parameter_count()];
            let values = rusqlite::params_from_iter(values);
            let plan = query.query_map(values, |r| r.get(3)).unwrap();
            let plan: Vec<String> = plan.map(Result::unwrap).collect();
            let searched = plan.iter().filter(|p| p.contains("SEARCH")).collect::<Vec<_>>();
            let by_kind = |p: &&String| p.contains("entries_run_calls (org=? AND run=? AND kind");
            assert!(
                !searched.is_empty() && searched.iter().copied().all(|p| by_kind(&p)),
                "{plan:?}"
            );
            assert!(plan.iter().all(|p| !p.contains("SCAN")), "{plan:?}");
        }
        let calls = "action.completed"..="action.decided";
        let between = Kind::ALL.iter().filter(|kind| calls.contains(&kind.as_str()));
        assert_eq!(between.count(), 2);
    }
}
