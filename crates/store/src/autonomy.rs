//! Reading and writing how far workflows' agents may act without a person.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::WorkflowId;
use bailiwick_core::time::Timestamp;
use rusqlite::params;

use crate::apply::execute;
use crate::columns::{Read, Record, count, digest, maybe_digest, parsed, time};
use crate::error::StoreError;
use crate::rows::{Autonomy, AutonomySignature, Stored, Workflow};
use crate::view::View;

/// Changes of one workflow's autonomy given at once at most.
const MAX_CHANGES: u32 = 200;

/// Seconds for which a claimed run may wait for checks and reviews by others before it
/// counts as failed.
pub const PATIENCE_SECONDS: i64 = 86_400;

impl Record for Autonomy {
    const COLUMNS: &'static [&'static str] =
        &["workflow", "n", "level", "version", "cause", "changed"];
    fn read(row: &rusqlite::Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            workflow: parsed(row, i)?,
            n: row.get(i + 1)?,
            level: row.get(i + 2)?,
            version: maybe_digest(row, i + 3)?,
            cause: row.get(i + 4)?,
            changed: time(row, i + 5)?,
        })
    }
}

impl Record for AutonomySignature {
    const COLUMNS: &'static [&'static str] = &[
        "workflow",
        "statement",
        "principal",
        "credential",
        "grade",
        "until",
        "signed",
        "expires",
    ];
    fn read(row: &rusqlite::Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            workflow: parsed(row, i)?,
            statement: digest(row, i + 1)?,
            principal: parsed(row, i + 2)?,
            credential: row.get(i + 3)?,
            grade: row.get(i + 4)?,
            until: time(row, i + 5)?,
            signed: time(row, i + 6)?,
            expires: time(row, i + 7)?,
        })
    }
}

impl View<'_> {
    /// The last change of a workflow's autonomy.
    ///
    /// # Errors
    /// [`StoreError::Fault`], as for every read here.
    pub fn autonomy(&self, id: &WorkflowId) -> Result<Option<Stored<Autonomy>>, StoreError> {
        let from = "autonomy t WHERE org = ?1 AND workflow = ?2 ORDER BY n DESC LIMIT 1";
        self.record(from, (self.org_text(), id.as_str()))
    }

    /// Every change of a workflow's autonomy, newest first.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn autonomy_changes(&self, id: &WorkflowId) -> Result<Vec<Stored<Autonomy>>, StoreError> {
        let from = "autonomy t WHERE org = ?1 AND workflow = ?2 ORDER BY n DESC LIMIT ?3";
        self.records(from, (self.org_text(), id.as_str(), MAX_CHANGES))
    }

    /// The last change of a workflow's autonomy with this cause.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn autonomy_by(
        &self,
        id: &WorkflowId,
        cause: &str,
    ) -> Result<Option<Stored<Autonomy>>, StoreError> {
        let from = "autonomy t WHERE org = ?1 AND workflow = ?2 AND cause = ?3
                    ORDER BY n DESC LIMIT 1";
        self.record(from, (self.org_text(), id.as_str(), cause))
    }

    /// Every version of a workflow, as last published, the current one first.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn workflow_versions(&self, id: &WorkflowId) -> Result<Vec<Stored<Workflow>>, StoreError> {
        let from = "workflows t WHERE org = ?1 AND id = ?2
                    ORDER BY current DESC, published DESC, digest";
        self.records(from, (self.org_text(), id.as_str()))
    }

    /// Runs of a workflow that failed since then, up to `now`: abandoned, claimed without
    /// being complete, or rejected, each counted once. One that waits for others alone
    /// failed [`PATIENCE_SECONDS`] after it ended.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn failed_runs(
        &self,
        id: &WorkflowId,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM (
                       SELECT id FROM runs
                       WHERE org = ?1 AND workflow = ?2 AND complete = 0 AND pending = 0
                         AND failed >= ?3
                       UNION
                       SELECT id FROM runs
                       WHERE org = ?1 AND workflow = ?2 AND complete = 0 AND pending = 1
                         AND ended >= ?4 AND ended <= ?5
                       UNION
                       SELECT r.id FROM run_reviews v JOIN runs r ON r.org = v.org AND r.id = v.run
                       WHERE v.org = ?1 AND v.made >= ?3 AND r.workflow = ?2
                         AND r.review = 'rejected')";
        let patient = |t: Timestamp| t.plus_seconds(-PATIENCE_SECONDS).millis();
        let (org, id) = (self.org_text(), id.as_str());
        let params = (org, id, since.millis(), patient(since), patient(now));
        Ok(self.one(sql, params, |r| count(r, 0))?.unwrap_or(0))
    }

    /// What people signed about this statement.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn autonomy_signatures(
        &self,
        id: &WorkflowId,
        statement: &Digest,
    ) -> Result<Vec<Stored<AutonomySignature>>, StoreError> {
        let from = "autonomy_signatures t WHERE org = ?1 AND workflow = ?2 AND statement = ?3
                    ORDER BY signed, principal";
        self.records(from, (self.org_text(), id.as_str(), statement.bytes().as_slice()))
    }

    /// What people signed to raise a workflow that still counts at `now`, newest
    /// first.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn autonomy_waiting(
        &self,
        id: &WorkflowId,
        now: Timestamp,
    ) -> Result<Vec<Stored<AutonomySignature>>, StoreError> {
        let from = "autonomy_signatures t WHERE org = ?1 AND workflow = ?2 AND expires > ?3
                    ORDER BY signed DESC LIMIT ?4";
        self.records(from, (self.org_text(), id.as_str(), now.millis(), MAX_CHANGES))
    }

    pub(crate) fn apply_autonomy(&self, row: &Autonomy, entry: &str) -> Result<(), StoreError> {
        execute(
            self.c,
            "INSERT INTO autonomy (org, workflow, n, level, version, cause, changed, entry)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                self.org_text(),
                row.workflow.as_str(),
                row.n,
                row.level,
                row.version.as_ref().map(|d| d.bytes().as_slice()),
                row.cause,
                row.changed.millis(),
                entry,
            ],
            "change of autonomy",
        )
        .map(drop)
    }

    /// Whoever signs the same again signs it once.
    pub(crate) fn apply_autonomy_signature(
        &self,
        row: &AutonomySignature,
        entry: &str,
    ) -> Result<(), StoreError> {
        execute(
            self.c,
            "INSERT INTO autonomy_signatures (org, workflow, statement, principal, credential,
                 grade, until, signed, expires, entry)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT DO UPDATE SET credential = excluded.credential,
                 grade = excluded.grade, signed = excluded.signed, entry = excluded.entry",
            params![
                self.org_text(),
                row.workflow.as_str(),
                row.statement.bytes().as_slice(),
                row.principal.as_str(),
                row.credential,
                row.grade,
                row.until.millis(),
                row.signed.millis(),
                row.expires.millis(),
                entry,
            ],
            "signature",
        )
        .map(drop)
    }
}
