//! Calls because of a run that is over: announced by an entry, and taken up by the
//! first decision on exactly such a call.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{EntryId, RunId, ToolId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Kind, Subjects};
use bailiwick_core::time::Timestamp;

use crate::apply::execute;
use crate::columns::{Read, maybe, parsed, time};
use crate::error::StoreError;
use crate::rows::{Errand, ErrandKind, RunErrand};
use crate::view::View;

/// What equal arguments share is known by their keyed digest.
const ARGUMENTS: &str = "errand-arguments";
/// The member of a decision's body that names the errand which it takes up.
const ERRAND: &str = "errand";

/// Whether a decision is about a call that another enforcement point makes.
pub(crate) fn is_external(body: &Object) -> bool {
    let enforcement = body.member("enforcement").and_then(Json::as_str);
    enforcement.is_some_and(|enforcement| enforcement != "gateway")
}

/// The run's errands first, then their entries: in the other order the engine would walk
/// the whole ledger to have them sorted.
const OF_RUN: &str = "SELECT t.entry, t.name, t.undoes, t.until, c.decision, c.action, a.outcome,
            a.completed
     FROM errands t CROSS JOIN entries e ON e.org = t.org AND e.id = t.entry
          LEFT JOIN errand_calls c ON c.org = t.org AND c.errand = t.entry
          LEFT JOIN actions a ON a.org = t.org AND a.action = c.action
     WHERE t.org = ?1 AND t.run = ?2 AND t.what = ?3 ORDER BY +e.idx DESC";

impl View<'_> {
    /// By what equal arguments of errands' calls are known.
    #[must_use]
    pub fn errand_arguments(&self, arguments: &Object) -> Digest {
        let text = Json::from(arguments.clone()).canonical();
        self.keyed_digest(ARGUMENTS, text.as_bytes())
    }

    /// The errand that waits at `now` for exactly this call of this delegation, and
    /// its run.
    ///
    /// # Errors
    /// [`StoreError::Fault`], as for every read here.
    pub fn awaited_errand(
        &self,
        root: &Digest,
        tool: &ToolId,
        arguments: &Object,
        now: Timestamp,
    ) -> Result<Option<(EntryId, RunId)>, StoreError> {
        let sql = "SELECT t.entry, t.run FROM errands t
                   WHERE t.org = ?1 AND t.root = ?2 AND t.tool = ?3 AND t.arguments = ?4
                     AND t.until > ?5
                     AND NOT EXISTS (SELECT 1 FROM errand_calls c
                                     WHERE c.org = t.org AND c.errand = t.entry)
                   ORDER BY t.until, t.entry LIMIT 1";
        let arguments = self.errand_arguments(arguments);
        let params = (
            self.org_text(),
            root.bytes().as_slice(),
            tool.as_str(),
            arguments.bytes().as_slice(),
            now.millis(),
        );
        self.one(sql, params, |r| Ok((parsed(r, 0)?, parsed(r, 1)?)))
    }

    /// Whether the errand still waits for its call at `now`.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn errand_waits(&self, errand: &EntryId, now: Timestamp) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM errands t
                                  WHERE t.org = ?1 AND t.entry = ?2 AND t.until > ?3)
                      AND NOT EXISTS (SELECT 1 FROM errand_calls c
                                      WHERE c.org = ?1 AND c.errand = ?2)";
        let params = (self.org_text(), errand.as_str(), now.millis());
        Ok(self.one(sql, params, |r| r.get(0))?.unwrap_or(false))
    }

    /// Every errand of a kind because of a run, newest first.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn errands_of_run(
        &self,
        run: &RunId,
        what: ErrandKind,
    ) -> Result<Vec<RunErrand>, StoreError> {
        let sql = OF_RUN;
        let read = |r: &rusqlite::Row<'_>| -> Read<RunErrand> {
            Ok(RunErrand {
                entry: parsed(r, 0)?,
                name: r.get(1)?,
                undoes: maybe(r, 2)?,
                until: time(r, 3)?,
                decision: r.get(4)?,
                action: maybe(r, 5)?,
                outcome: r.get(6)?,
                over: r.get::<_, Option<i64>>(7)?.and_then(|over| u64::try_from(over).ok()),
            })
        };
        self.many(sql, (self.org_text(), run.as_str(), what.as_str()), read)
    }

    pub(crate) fn apply_errand(
        &self,
        errand: &Errand,
        entry: &str,
        time: Timestamp,
    ) -> Result<(), StoreError> {
        let call = errand.call.as_ref();
        execute(
            self.c,
            "INSERT INTO errands (org, run, what, name, undoes, root, tool, arguments, until, entry)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            rusqlite::params![
                self.org_text(),
                errand.run.as_str(),
                errand.what.as_str(),
                errand.name,
                errand.undoes.as_ref().map(|action| action.as_str()),
                call.map(|call| call.root.bytes().as_slice()),
                call.map(|call| call.tool.as_str()),
                call.map(|call| call.arguments.bytes().as_slice()),
                errand.until.millis(),
                entry,
            ],
            "errand",
        )?;
        match errand.what {
            // What was undone is not complete any more.
            ErrandKind::Rollback => self.apply_run_complete(&errand.run, (false, false), time),
            ErrandKind::Check => Ok(()),
        }
    }

    /// Notes that a decision takes an errand up, whichever way it goes.
    pub(crate) fn project_errand_call(
        &self,
        kind: Kind,
        subjects: &Subjects,
        body: &Object,
        idx: i64,
    ) -> Result<(), StoreError> {
        let named = body.member(ERRAND).and_then(|errand| errand.as_object()?.member("entry"));
        let (Kind::ActionDecided, Some(errand)) = (kind, named.and_then(Json::as_str)) else {
            return Ok(());
        };
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        execute(
            self.c,
            "INSERT INTO errand_calls (org, errand, decided, action, decision)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            (self.org_text(), errand, idx, text(&subjects.action), text(&subjects.decision)),
            "call of an errand",
        )
        .map(drop)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_errands_of_a_run_are_found_before_their_entries() {
        let c = crate::connection::scratch().unwrap();
        let mut query = c.prepare(&format!("EXPLAIN QUERY PLAN {}", super::OF_RUN)).unwrap();
        let plan: Vec<String> = query
            .query_map(("o", "r", "check"), |r| r.get(3))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert!(plan[0].contains("SEARCH t") && plan[0].contains("errands_run"), "{plan:?}");
        assert!(plan[1].contains("SEARCH e") && plan[1].contains("id=?"), "{plan:?}");
    }

    #[test]
    fn an_errand_is_found_by_its_call_without_a_scan() {
        let c = crate::connection::scratch().unwrap();
        let sql = "EXPLAIN QUERY PLAN SELECT t.entry FROM errands t
                   WHERE t.org = 'o' AND t.root = x'01' AND t.tool = 't' AND t.arguments = x'02'";
        let mut query = c.prepare(sql).unwrap();
        let plan: Vec<String> =
            query.query_map([], |r| r.get(3)).unwrap().map(Result::unwrap).collect();
        assert!(plan.iter().all(|p| p.contains("errands_call")), "{plan:?}");
    }
}
