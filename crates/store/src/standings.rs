//! Reading and writing standing approvals.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{Alias, EntryId, StandingId};
use bailiwick_core::time::Timestamp;
use rusqlite::{Row, params};

use crate::apply::execute;
use crate::columns::{Read, Record, count, digest, parsed, time};
use crate::error::StoreError;
use crate::rows::{Standing, StandingApproved, StandingSignature, StandingState, Stored};
use crate::tx::signed;
use crate::view::View;

/// Standing approvals given at once at most.
pub(crate) const MAX_STANDINGS: u32 = 500;

impl Record for Standing {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "state",
        "digest",
        "approval",
        "policy",
        "rule",
        "risk",
        "server",
        "tool",
        "principal",
        "agent",
        "workflow",
        "workflow_digest",
        "task",
        "root",
        "needed",
        "count",
        "used",
        "starts",
        "ends",
    ];
    fn read(row: &Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            id: parsed(row, i)?,
            state: parsed(row, i + 1)?,
            digest: digest(row, i + 2)?,
            approval: parsed(row, i + 3)?,
            policy: digest(row, i + 4)?,
            rule: row.get(i + 5)?,
            risk: row.get(i + 6)?,
            server: parsed(row, i + 7)?,
            tool: parsed(row, i + 8)?,
            principal: parsed(row, i + 9)?,
            agent: parsed(row, i + 10)?,
            workflow: parsed(row, i + 11)?,
            workflow_digest: digest(row, i + 12)?,
            task: parsed(row, i + 13)?,
            root: digest(row, i + 14)?,
            needed: count(row, i + 15)?,
            count: count(row, i + 16)?,
            used: count(row, i + 17)?,
            starts: time(row, i + 18)?,
            ends: time(row, i + 19)?,
        })
    }
}

impl Record for StandingSignature {
    const COLUMNS: &'static [&'static str] =
        &["standing", "approver", "grade", "credential", "said"];
    fn read(row: &Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            standing: parsed(row, i)?,
            approver: parsed(row, i + 1)?,
            grade: row.get(i + 2)?,
            credential: row.get(i + 3)?,
            said: time(row, i + 4)?,
        })
    }
}

impl View<'_> {
    /// A standing approval.
    ///
    /// # Errors
    /// [`StoreError::Fault`], as for every read here.
    pub fn standing(&self, id: &StandingId) -> Result<Option<Stored<Standing>>, StoreError> {
        self.record("standings t WHERE org = ?1 AND id = ?2", (self.org_text(), id.as_str()))
    }

    /// Standing approvals that end after `now`, were not revoked and are not used
    /// up, those that end first first.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn lasting_standings(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Stored<Standing>>, StoreError> {
        let from = "standings t WHERE org = ?1 AND ends > ?2 AND state = 'active'
                    AND used < count ORDER BY ends, id LIMIT ?3";
        self.records(from, (self.org_text(), now.millis(), limit.min(MAX_STANDINGS)))
    }

    /// Standing approvals of any state, newest first.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn all_standings(&self, limit: u32) -> Result<Vec<Stored<Standing>>, StoreError> {
        let from = "standings t WHERE org = ?1 ORDER BY id DESC LIMIT ?2";
        self.records(from, (self.org_text(), limit.min(MAX_STANDINGS)))
    }

    /// The standing approvals for a tool under a root that last at `now`, were
    /// not revoked and are not used up, those that end first first.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn standings_for(
        &self,
        root: &Digest,
        tool: &str,
        now: Timestamp,
    ) -> Result<Vec<Stored<Standing>>, StoreError> {
        let from = "standings t WHERE org = ?1 AND root = ?2 AND tool = ?3 AND ends > ?4
                    AND starts <= ?4 AND state = 'active' AND used < count
                    ORDER BY ends, id LIMIT ?5";
        let params = (self.org_text(), root.bytes().as_slice(), tool, now.millis(), MAX_STANDINGS);
        self.records(from, params)
    }

    /// Who signed a standing approval, in the order of their aliases.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn standing_signatures(
        &self,
        id: &StandingId,
    ) -> Result<Vec<Stored<StandingSignature>>, StoreError> {
        let from = "standing_signatures t WHERE org = ?1 AND standing = ?2 ORDER BY approver";
        self.records(from, (self.org_text(), id.as_str()))
    }

    /// The entries with the texts of standing approvals of calls that are made on
    /// a principal's authority, whoever signed them.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn standing_entries_of(&self, principal: &Alias) -> Result<Vec<EntryId>, StoreError> {
        let from = "standing_signatures t WHERE org = ?1 AND standing IN
                    (SELECT id FROM standings WHERE org = ?1 AND principal = ?2)";
        let found: Vec<Stored<StandingSignature>> =
            self.records(from, (self.org_text(), principal.as_str()))?;
        Ok(found.into_iter().map(|signature| signature.entry).collect())
    }

    /// Whether somebody signed a standing approval.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn has_signed(&self, id: &StandingId, approver: &Alias) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM standing_signatures
                   WHERE org = ?1 AND standing = ?2 AND approver = ?3";
        let params = (self.org_text(), id.as_str(), approver.as_str());
        Ok(self.one(sql, params, |r| r.get::<_, i64>(0))?.is_some())
    }

    /// The first signature makes a standing approval; further ones must be on the
    /// same terms, and on one that still stands.
    pub(crate) fn apply_standing(
        &self,
        approved: &StandingApproved,
        entry: &str,
    ) -> Result<(), StoreError> {
        let (s, by) = (&approved.standing, &approved.signature);
        match self.standing(&s.id)? {
            None => self.put_standing(s, entry)?,
            Some(kept) if kept.digest == s.digest && kept.state == StandingState::Active => {}
            Some(_) => return Err(StoreError::Conflict { what: "standing approval" }),
        }
        execute(
            self.c,
            "INSERT INTO standing_signatures (org, standing, approver, grade, credential, said,
                 entry)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            (
                self.org_text(),
                by.standing.as_str(),
                by.approver.as_str(),
                &by.grade,
                &by.credential,
                by.said.millis(),
                entry,
            ),
            "signature on a standing approval",
        )
        .map(drop)
    }

    fn put_standing(&self, s: &Standing, entry: &str) -> Result<(), StoreError> {
        execute(
            self.c,
            "INSERT INTO standings (org, id, state, digest, approval, policy, rule, risk, server,
                 tool, principal, agent, workflow, workflow_digest, task, root, needed, count,
                 used, starts, ends, entry)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                self.org_text(),
                s.id.as_str(),
                s.state.as_str(),
                s.digest.bytes().as_slice(),
                s.approval.as_str(),
                s.policy.bytes().as_slice(),
                s.rule,
                s.risk,
                s.server.as_str(),
                s.tool.as_str(),
                s.principal.as_str(),
                s.agent.as_str(),
                s.workflow.as_str(),
                s.workflow_digest.bytes().as_slice(),
                s.task.as_str(),
                s.root.bytes().as_slice(),
                signed(s.needed)?,
                signed(s.count)?,
                // Uses have entries of their own.
                0i64,
                s.starts.millis(),
                s.ends.millis(),
                entry,
            ],
            "standing approval",
        )
        .map(drop)
    }

    /// Only what stands is used, and no more often than it says.
    pub(crate) fn apply_standing_used(&self, id: &StandingId) -> Result<(), StoreError> {
        let sql = "UPDATE standings SET used = used + 1
                   WHERE org = ?1 AND id = ?2 AND state = 'active' AND used < count";
        self.standing_changed(sql, id)
    }

    pub(crate) fn apply_standing_revoked(&self, id: &StandingId) -> Result<(), StoreError> {
        let sql = "UPDATE standings SET state = 'revoked'
                   WHERE org = ?1 AND id = ?2 AND state = 'active'";
        self.standing_changed(sql, id)
    }

    fn standing_changed(&self, sql: &str, id: &StandingId) -> Result<(), StoreError> {
        match execute(self.c, sql, (self.org_text(), id.as_str()), "standing approval")? {
            0 => Err(StoreError::NoSuch { what: "standing approval that may be used" }),
            _ => Ok(()),
        }
    }
}
