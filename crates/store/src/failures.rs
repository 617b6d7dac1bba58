//! Reading and writing failures.

use bailiwick_core::ids::{EntryId, FailureId, RunId, TaskId};
use bailiwick_core::time::Timestamp;
use rusqlite::params;
use rusqlite::types::Value;

use crate::apply::execute;
use crate::columns::{Read, Record, count, maybe, maybe_digest, parsed, time};
use crate::error::StoreError;
use crate::query::{COLUMNS, entry};
use crate::rows::{
    Failure, FailureClass, FailureClassified, FailureResolved, FailureSeen, FailureState,
    FailureTrend, Regression, Stored, StoredEntry,
};
use crate::tx::{Tx, signed};
use crate::view::View;

/// Failures given at once at most.
pub const MAX_FAILURES: u32 = 500;
/// Places of the ledger that are looked at in one go.
pub const FAILURE_WINDOW: u64 = 2_000;

/// Which failures to list: all members that are set must fit.
#[derive(Clone, Debug, Default)]
pub struct FailureFilter {
    /// The workflow.
    pub workflow: Option<String>,
    /// The agent.
    pub agent: Option<String>,
    /// Where it stands.
    pub state: Option<FailureState>,
    /// The class that a person chose.
    pub class: Option<FailureClass>,
    /// Only those not resolved.
    pub unresolved: bool,
    /// Only those detected before this one: to page from the newest on.
    pub before: Option<(Timestamp, FailureId)>,
    /// How many at most; [`MAX_FAILURES`] is the ceiling.
    pub limit: u32,
}

impl Record for Failure {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "state",
        "what",
        "fold",
        "workflow",
        "version",
        "agent",
        "task",
        "run",
        "action",
        "tool",
        "reason",
        "suggested",
        "class",
        "classifier",
        "owner",
        "regression",
        "cases",
        "again",
        "source",
        "detected",
        "classified",
        "resolved",
        "held_before",
    ];
    fn read(row: &rusqlite::Row<'_>, i: usize) -> Read<Self> {
        let moment = |i: usize| -> Read<Option<Timestamp>> {
            Ok(row.get::<_, Option<i64>>(i)?.map(Timestamp::from_millis))
        };
        Ok(Self {
            id: parsed(row, i)?,
            state: parsed(row, i + 1)?,
            what: parsed(row, i + 2)?,
            fold: row.get(i + 3)?,
            workflow: maybe(row, i + 4)?,
            version: row.get(i + 5)?,
            agent: maybe(row, i + 6)?,
            task: maybe(row, i + 7)?,
            run: maybe(row, i + 8)?,
            action: maybe(row, i + 9)?,
            tool: maybe(row, i + 10)?,
            reason: row.get(i + 11)?,
            suggested: parsed(row, i + 12)?,
            class: maybe(row, i + 13)?,
            classifier: maybe(row, i + 14)?,
            owner: maybe(row, i + 15)?,
            regression: maybe(row, i + 16)?,
            cases: maybe_digest(row, i + 17)?,
            again: maybe(row, i + 18)?,
            source: parsed(row, i + 19)?,
            detected: time(row, i + 20)?,
            classified: moment(i + 21)?,
            resolved: moment(i + 22)?,
            held_before: row.get(i + 23)?,
        })
    }
}

/// The statement that lists, and what it is given.
fn listing(org: &str, filter: &FailureFilter) -> (String, Vec<Value>) {
    let mut from = "failures t WHERE org = ?".to_owned();
    let mut given = vec![Value::from(org.to_owned())];
    let texts = [
        (" AND workflow = ?", filter.workflow.clone()),
        (" AND +agent = ?", filter.agent.clone()),
        (" AND state = ?", filter.state.map(|state| state.as_str().to_owned())),
        (" AND +class = ?", filter.class.map(|class| class.as_str().to_owned())),
    ];
    for (condition, text) in texts {
        if let Some(text) = text {
            from.push_str(condition);
            given.push(text.into());
        }
    }
    if filter.unresolved {
        from.push_str(" AND +state <> 'resolved'");
    }
    if let Some((detected, id)) = &filter.before {
        from.push_str(" AND (detected, id) < (?, ?)");
        given.push(detected.millis().into());
        given.push(id.as_str().to_owned().into());
    }
    from.push_str(" ORDER BY detected DESC, id DESC LIMIT ?");
    given.push(i64::from(filter.limit.min(MAX_FAILURES)).into());
    (from, given)
}

/// Monday, 1970-01-05, and the milliseconds of a week.
const FIRST_MONDAY: i64 = 4 * 86_400_000;
const WEEK: i64 = 7 * 86_400_000;

impl View<'_> {
    /// A failure.
    ///
    /// # Errors
    /// [`StoreError::Fault`], as for every read here.
    pub fn failure(&self, id: &FailureId) -> Result<Option<Stored<Failure>>, StoreError> {
        self.record("failures t WHERE org = ?1 AND id = ?2", (self.org_text(), id.as_str()))
    }

    /// The unresolved one of those that are equal.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn unresolved_failure(&self, fold: &str) -> Result<Option<Stored<Failure>>, StoreError> {
        let from = "failures t WHERE org = ?1 AND fold = ?2 AND state <> 'resolved'";
        self.record(from, (self.org_text(), fold))
    }

    /// The newest one of those that are equal, resolved or not.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn last_failure(&self, fold: &str) -> Result<Option<Stored<Failure>>, StoreError> {
        let from =
            "failures t WHERE org = ?1 AND fold = ?2 ORDER BY detected DESC, id DESC LIMIT 1";
        self.record(from, (self.org_text(), fold))
    }

    /// The entries in which it was classified last, and resolved.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn failure_entries(
        &self,
        id: &FailureId,
    ) -> Result<(Option<EntryId>, Option<EntryId>), StoreError> {
        let sql = "SELECT said, mended FROM failures WHERE org = ?1 AND id = ?2";
        let params = (self.org_text(), id.as_str());
        let found = self.one(sql, params, |r| Ok((maybe(r, 0)?, maybe(r, 1)?)))?;
        Ok(found.unwrap_or_default())
    }

    /// Failures of a run, in the order in which they were detected.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn failures_of_run(&self, run: &RunId) -> Result<Vec<Stored<Failure>>, StoreError> {
        let from = "failures t WHERE org = ?1 AND run = ?2 ORDER BY detected, id LIMIT ?3";
        self.records(from, (self.org_text(), run.as_str(), MAX_FAILURES))
    }

    /// How many failures of a task there are.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn failures_of_task(&self, task: &TaskId) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM failures WHERE org = ?1 AND task = ?2";
        Ok(self.one(sql, (self.org_text(), task.as_str()), |r| count(r, 0))?.unwrap_or(0))
    }

    /// Failures that fit, newest first.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn failures(&self, filter: &FailureFilter) -> Result<Vec<Stored<Failure>>, StoreError> {
        let (from, given) = listing(self.org_text(), filter);
        self.records(&from, rusqlite::params_from_iter(given))
    }

    /// How many are not resolved.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn failures_unresolved(&self) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM failures
                   WHERE org = ?1 AND state IN ('detected', 'classified')";
        Ok(self.one(sql, [self.org_text()], |r| count(r, 0))?.unwrap_or(0))
    }

    /// How often a failure was seen; `None` before it was counted.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn failure_seen(&self, id: &FailureId) -> Result<Option<FailureSeen>, StoreError> {
        let sql = "SELECT times, last FROM failures_seen WHERE org = ?1 AND failure = ?2";
        self.one(sql, (self.org_text(), id.as_str()), |r| {
            Ok(FailureSeen { times: count(r, 0)?, last: time(r, 1)? })
        })
    }

    /// Failures detected in a span by week and class, in this order.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn failure_trends(
        &self,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<FailureTrend>, StoreError> {
        let sql = "SELECT (detected - ?4) / ?5 AS week, class, count(*) FROM failures
                   WHERE org = ?1 AND detected >= ?2 AND detected < ?3
                   GROUP BY week, class ORDER BY week, class LIMIT 1000";
        let params = (self.org_text(), from.millis(), until.millis(), FIRST_MONDAY, WEEK);
        self.many(sql, params, |r| {
            let week = r.get::<_, i64>(0)?.saturating_mul(WEEK).saturating_add(FIRST_MONDAY);
            let week = Timestamp::from_millis(week);
            Ok(FailureTrend { week, class: maybe(r, 1)?, failures: count(r, 2)? })
        })
    }

    /// The first entry in which no failure was looked for yet; `None` before it was
    /// begun.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn failures_upto(&self) -> Result<Option<u64>, StoreError> {
        self.one("SELECT upto FROM failures_upto WHERE org = ?1", [self.org_text()], |r| {
            count(r, 0)
        })
    }

    /// The first entry from a time on; the end of the log, if there is none.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn first_entry_since(&self, since: Timestamp) -> Result<u64, StoreError> {
        let sql = "SELECT idx FROM entries WHERE org = ?1 AND time >= ?2 ORDER BY time LIMIT 1";
        match self.one(sql, (self.org_text(), since.millis()), |r| count(r, 0))? {
            Some(index) => Ok(index),
            None => self.log_size(),
        }
    }

    /// Entries that may show a failure, or that one is over, from an index to before
    /// another, in order.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn entries_about_failures(
        &self,
        from: u64,
        until: u64,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM entries WHERE org = ?1 AND idx >= ?2 AND idx < ?3
               AND (decision = 'deny' OR kind IN ('approval.decided', 'handoff.rejected',
                        'peer.refused', 'run.abandoned', 'run.checked', 'run.claimed',
                        'run.reviewed')
                    OR (kind = 'action.completed' AND reason = 'timeout'))
             ORDER BY idx"
        );
        self.many(&sql, (self.org_text(), signed(from)?, signed(until)?), entry)
    }

    pub(crate) fn apply_failure(&self, f: &Failure, entry: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO failures (org, id, state, what, fold, workflow, version, agent, task,
                       run, action, tool, reason, suggested, class, classifier, owner, regression,
                       cases, again, source, detected, classified, resolved, held_before,
                       entry)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let params = params![
            self.org_text(),
            f.id.as_str(),
            f.state.as_str(),
            f.what.as_str(),
            f.fold,
            f.workflow.as_ref().map(|w| w.as_str()),
            f.version,
            f.agent.as_ref().map(|a| a.as_str()),
            f.task.as_ref().map(|t| t.as_str()),
            f.run.as_ref().map(|r| r.as_str()),
            f.action.as_ref().map(|a| a.as_str()),
            f.tool.as_ref().map(|t| t.as_str()),
            f.reason,
            f.suggested.as_str(),
            f.class.map(FailureClass::as_str),
            f.classifier.as_ref().map(|a| a.as_str()),
            f.owner.as_ref().map(|a| a.as_str()),
            f.regression.map(Regression::as_str),
            f.cases.as_ref().map(|d| d.bytes().as_slice()),
            f.again.as_ref().map(|id| id.as_str()),
            f.source.as_str(),
            f.detected.millis(),
            f.classified.map(Timestamp::millis),
            f.resolved.map(Timestamp::millis),
            f.held_before,
            entry,
        ];
        execute(self.c, sql, params, "failure").map(drop)
    }

    /// A person may change their mind about the class until it is resolved.
    pub(crate) fn apply_failure_class(
        &self,
        said: &FailureClassified,
        entry: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql =
            "UPDATE failures SET state = 'classified', class = ?3, classifier = ?4, owner = ?5,
                       classified = ?6, said = ?7
                   WHERE org = ?1 AND id = ?2 AND state <> 'resolved'";
        let (id, class) = (said.failure.as_str(), said.class.as_str());
        let by = said.by.as_ref().map(|by| by.as_str());
        let params = (self.org_text(), id, class, by, said.owner.as_str(), at.millis(), entry);
        self.one_failure(sql, params)
    }

    pub(crate) fn apply_failure_resolved(
        &self,
        resolved: &FailureResolved,
        entry: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql =
            "UPDATE failures SET state = 'resolved', regression = ?3, cases = ?4, resolved = ?5,
                       mended = ?6, held_before = ?7
                   WHERE org = ?1 AND id = ?2 AND state <> 'resolved'";
        let (id, regression) = (resolved.failure.as_str(), resolved.regression.as_str());
        let cases = resolved.cases.as_ref().map(|d| d.bytes().as_slice());
        let (org, held) = (self.org_text(), resolved.held_before);
        self.one_failure(sql, (org, id, regression, cases, at.millis(), entry, held))
    }

    fn one_failure(&self, sql: &str, params: impl rusqlite::Params) -> Result<(), StoreError> {
        match execute(self.c, sql, params, "failure")? {
            0 => Err(StoreError::NoSuch { what: "unresolved failure" }),
            _ => Ok(()),
        }
    }
}

impl Tx<'_> {
    /// Counts that a failure was seen at a time.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn count_failure(&mut self, id: &FailureId, at: Timestamp) -> Result<(), StoreError> {
        let sql = "INSERT INTO failures_seen (org, failure, times, last) VALUES (?1, ?2, 1, ?3)
                   ON CONFLICT (org, failure) DO UPDATE
                   SET times = times + 1, last = max(last, excluded.last)";
        let params = (self.view.org_text(), id.as_str(), at.millis());
        execute(self.view.c, sql, params, "failure").map(drop)
    }

    /// Keeps up to which entry failures were looked for.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn keep_failures_upto(&mut self, upto: u64) -> Result<(), StoreError> {
        let sql = "INSERT INTO failures_upto (org, upto) VALUES (?1, ?2)
                   ON CONFLICT (org) DO UPDATE SET upto = max(upto, excluded.upto)";
        let params = (self.view.org_text(), signed(upto)?);
        execute(self.view.c, sql, params, "place in the ledger").map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_walks_an_index() {
        let c = crate::connection::scratch().unwrap();
        let text = || Some("x".to_owned());
        let all = FailureFilter::default;
        let id: FailureId = FailureId::mint(Timestamp::from_millis(1), [0; 10]);
        for filter in [
            all(),
            FailureFilter { workflow: text(), ..all() },
            FailureFilter { agent: text(), unresolved: true, ..all() },
            FailureFilter { state: Some(FailureState::Detected), ..all() },
            FailureFilter { class: Some(FailureClass::Prompt), ..all() },
            FailureFilter { before: Some((Timestamp::from_millis(5), id)), ..all() },
        ] {
            let (from, given) = listing("o", &filter);
            let sql = format!("EXPLAIN QUERY PLAN SELECT t.id FROM {from}");
            let mut query = c.prepare(&sql).unwrap();
            let plan: Vec<String> = query
                .query_map(rusqlite::params_from_iter(given), |r| r.get(3))
                .unwrap()
                .map(Result::unwrap)
                .collect();
            assert!(plan.iter().all(|line| !line.contains("SCAN")), "{plan:?}");
        }
    }
}
