//! Decided calls and entries of runs, counted in the transaction of their entry.

use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Kind, Subjects};
use bailiwick_core::time::Timestamp;

use crate::apply::execute;
use crate::columns::count;
use crate::error::StoreError;
use crate::view::View;

/// Milliseconds of an hour.
pub(crate) const HOUR_MS: i64 = 3_600_000;

/// The member of a decision's body that names the version of its workflow.
const VERSION: &str = "workflow_digest";

/// Counts every decision of an organisation from its leaf.
const AGAIN: &str = "INSERT INTO calls_hourly (org, hour, workflow, workflow_digest, agent, tool,
         decision, reason, calls)
     SELECT org, time / 3600000, coalesce(workflow, ''),
            coalesce(json_extract(CAST(leaf AS TEXT), '$.body.workflow_digest'), ''),
            coalesce(agent, ''), coalesce(tool, ''), coalesce(decision, ''),
            CASE decision WHEN 'allow' THEN '' ELSE coalesce(reason, '') END, count(*)
     FROM entries WHERE org = ?1 AND kind = 'action.decided'
     GROUP BY 1, 2, 3, 4, 5, 6, 7, 8";

impl View<'_> {
    /// Counts a decided call in its hour.
    pub(crate) fn project_hourly_call(
        &self,
        kind: Kind,
        time: Timestamp,
        subjects: &Subjects,
        body: &Object,
    ) -> Result<(), StoreError> {
        if kind != Kind::ActionDecided {
            return Ok(());
        }
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let reason = match subjects.decision.as_deref() {
            Some("allow") => String::new(),
            _ => text(&subjects.reason),
        };
        let hour = time.millis().div_euclid(HOUR_MS);
        let call = rusqlite::params![
            self.org_text(),
            hour,
            text(&subjects.workflow),
            body.member(VERSION).and_then(Json::as_str).unwrap_or_default(),
            text(&subjects.agent),
            text(&subjects.tool),
            text(&subjects.decision),
            reason,
        ];
        execute(
            self.c,
            "INSERT INTO calls_hourly (org, hour, workflow, workflow_digest, agent, tool,
                 decision, reason, calls)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1)
             ON CONFLICT DO UPDATE SET calls = calls + 1",
            call,
            "call of an hour",
        )?;
        // A clock that lags: its hour is added up already.
        if hour < self.rolled_upto()? { self.roll_up_one(call) } else { Ok(()) }
    }

    /// Counts all of them again.
    pub(crate) fn recount_hourly_calls(&self) -> Result<(), StoreError> {
        let org = [self.org_text()];
        for table in ["calls_hourly", "calls_rolled", "calls_rolled_upto"] {
            execute(
                self.c,
                &format!("DELETE FROM {table} WHERE org = ?1"),
                org,
                "call of an hour",
            )?;
        }
        execute(self.c, AGAIN, org, "call of an hour").map(drop)
    }

    /// Counts an entry in its run; gives its number there, from 1.
    pub(crate) fn project_run_entry(&self, subjects: &Subjects) -> Result<Option<u64>, StoreError> {
        let Some(run) = &subjects.run else { return Ok(None) };
        let sql = "INSERT INTO run_entries (org, run, entries) VALUES (?1, ?2, 1)
                   ON CONFLICT DO UPDATE SET entries = entries + 1 RETURNING entries";
        self.one(sql, (self.org_text(), run), |r| count(r, 0))
    }

    /// Keeps the tool of an allowed call with its task.
    pub(crate) fn project_task_tool(
        &self,
        kind: Kind,
        subjects: &Subjects,
    ) -> Result<(), StoreError> {
        let (Some(task), Some(tool)) = (&subjects.task, &subjects.tool) else { return Ok(()) };
        if kind != Kind::ActionDecided || subjects.decision.as_deref() != Some("allow") {
            return Ok(());
        }
        let sql = "INSERT INTO task_tools (org, task, tool) VALUES (?1, ?2, ?3)
                   ON CONFLICT DO NOTHING";
        execute(self.c, sql, (self.org_text(), task, tool), "tool of a task").map(drop)
    }

    /// An allowed call of a tool goes on in its run.
    pub(crate) fn project_run_tool_begun(
        &self,
        subjects: &Subjects,
        external: bool,
    ) -> Result<(), StoreError> {
        let (Some(run), Some(tool)) = (&subjects.run, &subjects.tool) else { return Ok(()) };
        let sql = "INSERT INTO run_tools (org, run, tool, external, going)
                   VALUES (?1, ?2, ?3, ?4, 1)
                   ON CONFLICT DO UPDATE SET going = going + 1";
        execute(self.c, sql, (self.org_text(), run, tool, external), "tool of a run").map(drop)
    }

    /// An allowed call of a tool is over; its outcome's entry is at `idx`.
    pub(crate) fn project_run_tool_over(
        &self,
        subjects: &Subjects,
        external: bool,
        idx: i64,
    ) -> Result<(), StoreError> {
        let (Some(run), Some(tool)) = (&subjects.run, &subjects.tool) else { return Ok(()) };
        let outcome = subjects.reason.as_deref();
        // What another enforcement point says was not done is its word.
        let may_have_changed = external || outcome != Some("not_executed");
        let over = may_have_changed.then_some(idx);
        let ok = (outcome == Some("ok")).then_some(idx);
        // Indexes rise, so the newest is the last.
        let sql = "UPDATE run_tools SET going = going - 1, over = coalesce(?5, over),
                          ok = coalesce(?6, ok)
                   WHERE org = ?1 AND run = ?2 AND tool = ?3 AND external = ?4";
        let params = (self.org_text(), run, tool, external, over, ok);
        execute(self.c, sql, params, "tool of a run").map(drop)
    }

    /// Counts the entries and calls of every run again, and the tools of every task.
    pub(crate) fn recount_runs(&self) -> Result<(), StoreError> {
        let org = [self.org_text()];
        for sql in [
            "DELETE FROM run_entries WHERE org = ?1",
            "INSERT INTO run_entries (org, run, entries)
             SELECT org, run, count(*) FROM entries WHERE org = ?1 AND run IS NOT NULL GROUP BY 1, 2",
            "DELETE FROM run_calls WHERE org = ?1",
            "INSERT INTO run_calls (org, run, tool, decision, reason, calls)
             SELECT org, run, coalesce(tool, ''), coalesce(decision, ''),
                    CASE decision WHEN 'allow' THEN '' ELSE coalesce(reason, '') END, count(*)
             FROM entries WHERE org = ?1 AND run IS NOT NULL AND kind = 'action.decided'
             GROUP BY 1, 2, 3, 4, 5",
            "DELETE FROM task_tools WHERE org = ?1",
            "INSERT INTO task_tools (org, task, tool)
             SELECT DISTINCT org, task, tool FROM entries
             WHERE org = ?1 AND kind = 'action.decided' AND decision = 'allow'
               AND task IS NOT NULL AND tool IS NOT NULL",
            "DELETE FROM run_tools WHERE org = ?1",
            "INSERT INTO run_tools (org, run, tool, external, going, over, ok)
             SELECT e.org, e.run, e.tool, a.external,
                    count(*) FILTER (WHERE a.completed IS NULL),
                    max(a.completed)
                        FILTER (WHERE a.external = 1 OR a.outcome IS NOT 'not_executed'),
                    max(a.completed) FILTER (WHERE a.outcome = 'ok')
             FROM entries e JOIN actions a ON a.org = e.org AND a.action = e.action
             WHERE e.org = ?1 AND e.kind = 'action.decided' AND e.decision = 'allow'
               AND e.run IS NOT NULL AND e.tool IS NOT NULL
             GROUP BY 1, 2, 3, 4",
        ] {
            execute(self.c, sql, org, "entry of a run")?;
        }
        Ok(())
    }

    /// Counts a decided call in its run.
    pub(crate) fn project_run_call(
        &self,
        kind: Kind,
        subjects: &Subjects,
    ) -> Result<(), StoreError> {
        let (Kind::ActionDecided, Some(run)) = (kind, &subjects.run) else { return Ok(()) };
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let reason = match subjects.decision.as_deref() {
            Some("allow") => String::new(),
            _ => text(&subjects.reason),
        };
        execute(
            self.c,
            "INSERT INTO run_calls (org, run, tool, decision, reason, calls)
             VALUES (?1, ?2, ?3, ?4, ?5, 1)
             ON CONFLICT DO UPDATE SET calls = calls + 1",
            (self.org_text(), run, text(&subjects.tool), text(&subjects.decision), reason),
            "call of a run",
        )
        .map(drop)
    }
}
