//! Decided calls, counted by the hour in the transaction of their entry.

use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Kind, Subjects};
use bailiwick_core::time::Timestamp;

use crate::apply::execute;
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
}
