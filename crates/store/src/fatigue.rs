//! How much people are asked, and how they answer: one query for each figure.
//!
//! Each is about a span of time from `since` to before `until`.

use std::ops::Range;

use bailiwick_core::ids::Alias;
use bailiwick_core::time::Timestamp;

use crate::columns::{count, parsed};
use crate::error::StoreError;
use crate::view::View;

/// Approvers that are told apart at most, the busiest first.
const MAX_APPROVERS: u32 = 100;

/// What one approver said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hours {
    /// Who.
    pub approver: Alias,
    /// Verdicts.
    pub said: u64,
    /// Verdicts in their busiest hour of the clock, UTC.
    pub busiest_hour: u64,
}

/// Approvals, and those that came within a second of the question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quick {
    /// All.
    pub approvals: u64,
    /// Those said less than a second after the call asked.
    pub within_second: u64,
}

/// Calls that asked, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// All.
    pub asked: u64,
    /// Those that do not wait any more.
    pub over: u64,
    /// Of these, those that nobody settled in time.
    pub expired: u64,
}

impl View<'_> {
    /// Verdicts by approver, most first.
    ///
    /// # Errors
    /// [`StoreError::Fault`], as for every read here.
    pub fn verdicts_by_approver(&self, span: Range<Timestamp>) -> Result<Vec<Hours>, StoreError> {
        let sql = "SELECT approver, sum(n), max(n) FROM
                     (SELECT approver, said / 3600000 AS hour, count(*) AS n FROM verdicts
                      WHERE org = ?1 AND said >= ?2 AND said < ?3 GROUP BY approver, hour)
                   GROUP BY approver ORDER BY sum(n) DESC, approver LIMIT ?4";
        let (since, until) = (span.start.millis(), span.end.millis());
        self.many(sql, (self.org_text(), since, until, MAX_APPROVERS), |r| {
            Ok(Hours { approver: parsed(r, 0)?, said: count(r, 1)?, busiest_hour: count(r, 2)? })
        })
    }

    /// The median time between question and verdict, milliseconds; of an even
    /// number the mean of the two in the middle.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn median_time_to_decide(&self, span: Range<Timestamp>) -> Result<Option<i64>, StoreError> {
        let sql = "WITH taken AS (
                     SELECT v.said - a.asked AS ms FROM verdicts v
                     JOIN approvals a ON a.org = v.org AND a.id = v.approval
                     WHERE v.org = ?1 AND v.said >= ?2 AND v.said < ?3)
                   SELECT CAST(avg(ms) AS INTEGER) FROM (
                     SELECT ms FROM taken ORDER BY ms
                     LIMIT 2 - (SELECT count(*) FROM taken) % 2
                     OFFSET (SELECT (count(*) - 1) / 2 FROM taken))";
        let params = (self.org_text(), span.start.millis(), span.end.millis());
        Ok(self.one(sql, params, |r| r.get::<_, Option<i64>>(0))?.flatten())
    }

    /// How many approvals came within a second.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn quick_approvals(&self, span: Range<Timestamp>) -> Result<Quick, StoreError> {
        let sql = "SELECT count(*), coalesce(sum(v.said - a.asked < 1000), 0) FROM verdicts v
                   JOIN approvals a ON a.org = v.org AND a.id = v.approval
                   WHERE v.org = ?1 AND v.said >= ?2 AND v.said < ?3 AND v.verdict = 'approve'";
        let params = (self.org_text(), span.start.millis(), span.end.millis());
        let read = |r: &rusqlite::Row<'_>| {
            Ok(Quick { approvals: count(r, 0)?, within_second: count(r, 1)? })
        };
        Ok(self.one(sql, params, read)?.unwrap_or_default())
    }

    /// How many calls asked, and how many of them expired by `now`.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn asked_and_expired(
        &self,
        span: Range<Timestamp>,
        now: Timestamp,
    ) -> Result<Asked, StoreError> {
        let sql = "SELECT count(*), coalesce(sum(state <> 'pending' OR expires <= ?4), 0),
                          coalesce(sum(state = 'pending' AND expires <= ?4), 0)
                   FROM approvals WHERE org = ?1 AND asked >= ?2 AND asked < ?3";
        let params = (self.org_text(), span.start.millis(), span.end.millis(), now.millis());
        let read = |r: &rusqlite::Row<'_>| {
            Ok(Asked { asked: count(r, 0)?, over: count(r, 1)?, expired: count(r, 2)? })
        };
        Ok(self.one(sql, params, read)?.unwrap_or_default())
    }
}
