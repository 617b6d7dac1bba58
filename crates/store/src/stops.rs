//! Reading and writing stops.

use bailiwick_core::ids::StopId;
use bailiwick_core::stop::StopTarget;
use bailiwick_core::time::Timestamp;
use rusqlite::{Row, params};

use crate::apply::execute;
use crate::columns::{Read, Record, count, digest, maybe, parsed, time};
use crate::error::StoreError;
use crate::rows::{Change, Notice, Resumption, Stop, Stored};
use crate::view::View;

/// Stops given at once at most.
pub const MAX_STOPS: u32 = 500;

/// The next number of the sequence that revocations and stops have in common.
pub(crate) const NEXT_SEQ: &str = "(SELECT coalesce(max(n), 0) + 1 FROM (
     SELECT max(seq) AS n FROM revocations WHERE org = ?1
     UNION ALL SELECT max(seq) FROM stops WHERE org = ?1
     UNION ALL SELECT max(resumed_seq) FROM stops WHERE org = ?1))";

impl View<'_> {
    /// A stop.
    ///
    /// # Errors
    /// [`StoreError::Fault`], as for every read here.
    pub fn stop(&self, id: &StopId) -> Result<Option<Stored<Stop>>, StoreError> {
        self.record("stops t WHERE org = ?1 AND id = ?2", (self.org_text(), id.as_str()))
    }

    /// The first of `targets` that is stopped now.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn stopped(&self, targets: &[StopTarget]) -> Result<Option<Stored<Stop>>, StoreError> {
        // Mostly nothing is stopped, and every call asks.
        let any = "SELECT 1 FROM stops WHERE org = ?1 AND resumed IS NULL LIMIT 1";
        if self.one(any, [self.org_text()], |r| r.get::<_, i64>(0))?.is_none() {
            return Ok(None);
        }
        let from = "stops t WHERE org = ?1 AND target = ?2 AND resumed IS NULL";
        for target in targets {
            if let Some(found) = self.record(from, (self.org_text(), target.to_string()))? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Stops that stand, newest first; with `all` also those that ended.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn stops(&self, all: bool, limit: u32) -> Result<Vec<Stored<Stop>>, StoreError> {
        let from = "stops t WHERE org = ?1 AND (?2 OR resumed IS NULL)
                    ORDER BY stopped DESC, id DESC LIMIT ?3";
        self.records(from, (self.org_text(), all, limit.min(MAX_STOPS)))
    }

    /// What people signed so that a stop ends, in the order of their aliases.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn resumptions(&self, id: &StopId) -> Result<Vec<Stored<Resumption>>, StoreError> {
        let from = "resumptions t WHERE org = ?1 AND stop = ?2 ORDER BY principal";
        self.records(from, (self.org_text(), id.as_str()))
    }

    pub(crate) fn stop_notices(&self, after: i64, limit: i64) -> Result<Vec<Notice>, StoreError> {
        let stopped = "SELECT seq, id, target, stopped, entry FROM stops
                       WHERE org = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
        let resumed = "SELECT resumed_seq, id, target, resumed, resumed_entry FROM stops
                       WHERE org = ?1 AND resumed_seq > ?2 ORDER BY resumed_seq LIMIT ?3";
        let params = (self.org_text(), after, limit);
        let mut all = self.many(stopped, params, |row| notice(row, true))?;
        all.extend(self.many(resumed, params, |row| notice(row, false))?);
        Ok(all)
    }

    pub(crate) fn apply_stop(&self, s: &Stop, entry: &str) -> Result<(), StoreError> {
        let sql = format!(
            "INSERT INTO stops (org, id, target, stopped_by, principal, reason, stopped, seq, entry)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, {NEXT_SEQ}, ?8)"
        );
        let principal = s.principal.as_ref().map(|alias| alias.as_str());
        let params = params![
            self.org_text(),
            s.id.as_str(),
            s.target.to_string(),
            s.by.as_str(),
            principal,
            s.reason.bytes().as_slice(),
            s.stopped.millis(),
            entry,
        ];
        execute(self.c, &sql, params, "stop").map(drop)
    }

    pub(crate) fn apply_resumption(
        &self,
        r: &Resumption,
        ends: bool,
        entry: &str,
    ) -> Result<(), StoreError> {
        let org = self.org_text();
        execute(
            self.c,
            "INSERT INTO resumptions (org, stop, principal, credential, grade, signed, expires,
                                      entry)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT (org, stop, principal) DO UPDATE
             SET credential = excluded.credential, grade = excluded.grade,
                 signed = excluded.signed, expires = excluded.expires, entry = excluded.entry",
            (
                org,
                r.stop.as_str(),
                r.principal.as_str(),
                &r.credential,
                &r.grade,
                r.signed.millis(),
                r.expires.millis(),
                entry,
            ),
            "resumption",
        )?;
        if !ends {
            return Ok(());
        }
        let sql = format!(
            "UPDATE stops SET resumed = ?3, resumed_by = ?4, resumed_entry = ?5,
                              resumed_seq = {NEXT_SEQ}
             WHERE org = ?1 AND id = ?2 AND resumed IS NULL"
        );
        let params = (org, r.stop.as_str(), r.signed.millis(), r.principal.as_str(), entry);
        match execute(self.c, &sql, params, "stop")? {
            // What has ended does not end again.
            0 => Err(StoreError::NoSuch { what: "stop that stands" }),
            _ => Ok(()),
        }
    }
}

impl Record for Stop {
    const COLUMNS: &'static [&'static str] =
        &["id", "target", "stopped_by", "principal", "reason", "stopped", "resumed", "resumed_by"];
    fn read(row: &Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            id: parsed(row, i)?,
            target: parsed(row, i + 1)?,
            by: parsed(row, i + 2)?,
            principal: maybe(row, i + 3)?,
            reason: digest(row, i + 4)?,
            stopped: time(row, i + 5)?,
            resumed: row.get::<_, Option<i64>>(i + 6)?.map(Timestamp::from_millis),
            resumed_by: maybe(row, i + 7)?,
        })
    }
}

impl Record for Resumption {
    const COLUMNS: &'static [&'static str] =
        &["stop", "principal", "credential", "grade", "signed", "expires"];
    fn read(row: &Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            stop: parsed(row, i)?,
            principal: parsed(row, i + 1)?,
            credential: row.get(i + 2)?,
            grade: row.get(i + 3)?,
            signed: time(row, i + 4)?,
            expires: time(row, i + 5)?,
        })
    }
}

/// `seq, id, target, time, entry`
fn notice(row: &Row<'_>, stops: bool) -> Read<Notice> {
    let (stop, target) = (parsed(row, 1)?, parsed(row, 2)?);
    let change = match stops {
        true => Change::Stopped { stop, target },
        false => Change::Resumed { stop, target },
    };
    Ok(Notice { seq: count(row, 0)?, change, time: time(row, 3)?, entry: parsed(row, 4)? })
}
