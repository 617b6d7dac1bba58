//! Reading the state: one consistent snapshot per [`View`]. Every read here is
//! by an index, so its cost does not grow with the tables.

use bailiwick_core::ids::{ActionId, Alias, EntryId, OrgId};
use bailiwick_core::ledger::{Disclosure, MakerPosition};
use bailiwick_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Params};

use crate::columns::{Read, count, digest, parsed, revocation, time};
use crate::error::StoreError;
use crate::rows::{Notice, OpenAction, Revocation, Revocations, Subject};
use crate::seal::{self, SealedRecord};
use crate::store::Context;

/// The state as of one moment.
pub struct View<'c> {
    pub(crate) c: &'c Connection,
    pub(crate) cx: &'c Context,
}

pub(crate) fn failed(e: &rusqlite::Error) -> StoreError {
    StoreError::sql("read the state", e)
}

impl<'c> View<'c> {
    /// The organisation whose state this is.
    #[must_use]
    pub fn org(&self) -> &OrgId {
        &self.cx.org
    }

    pub(crate) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&rusqlite::Row<'_>) -> Read<T>,
    ) -> Result<Option<T>, StoreError> {
        self.c
            .prepare_cached(sql)
            .and_then(|mut s| s.query_row(params, read).optional())
            .map_err(|e| failed(&e))
    }

    pub(crate) fn many<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> Read<T>,
    ) -> Result<Vec<T>, StoreError> {
        self.c
            .prepare_cached(sql)
            .and_then(|mut s| s.query_map(params, read)?.collect())
            .map_err(|e| failed(&e))
    }

    pub(crate) fn org_text(&self) -> &str {
        self.cx.org.as_str()
    }

    // Revocations.

    /// The first of `subjects` that is revoked.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn is_revoked(&self, subjects: &[Subject]) -> Result<Option<Revocation>, StoreError> {
        let sql = "SELECT seq, kind, key, root, reason, time, entry FROM revocations
                   WHERE org = ?1 AND kind = ?2 AND key = ?3 AND root = ?4";
        for subject in subjects {
            let root = subject.root().map_or(&[][..], |r| r.bytes().as_slice());
            let params = (self.org_text(), subject.kind(), subject.key(), root);
            if let Some(found) = self.one(sql, params, revocation)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Revocations, stops and ends of stops after number `seq` (0 for all), at
    /// most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn revocations_since(&self, seq: u64, limit: u32) -> Result<Revocations, StoreError> {
        let sql = "SELECT seq, kind, key, root, reason, time, entry FROM revocations
                   WHERE org = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
        let after = i64::try_from(seq).unwrap_or(i64::MAX);
        let limit = limit.max(1);
        let params = (self.org_text(), after, i64::from(limit) + 1);
        let mut rows: Vec<Notice> =
            self.many(sql, params, revocation)?.into_iter().map(Notice::from).collect();
        rows.extend(self.stop_notices(after, i64::from(limit) + 1)?);
        rows.sort_by_key(|row| row.seq);
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > most;
        rows.truncate(most);
        let upto = rows.last().map_or(seq, |r| r.seq);
        Ok(Revocations { rows, upto, more })
    }

    // Ledger.

    /// Entries in the log, sequenced or not.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn log_size(&self) -> Result<u64, StoreError> {
        let sql = "SELECT max(idx) + 1 FROM entries WHERE org = ?1";
        let size = self.one(sql, [self.org_text()], |r| r.get::<_, Option<i64>>(0))?;
        Ok(size.flatten().and_then(|s| u64::try_from(s).ok()).unwrap_or(0))
    }

    /// The latest time of any durable entry. A clock behind it was stepped
    /// back: callers deny.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn last_time(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT max(time) FROM entries WHERE org = ?1";
        let last = self.one(sql, [self.org_text()], |r| r.get::<_, Option<i64>>(0))?;
        Ok(last.flatten().map(Timestamp::from_millis))
    }

    /// A maker's place in its own sequence.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn maker_position(&self, maker: &str) -> Result<MakerPosition, StoreError> {
        let sql = "SELECT next_seq, prev FROM makers WHERE org = ?1 AND maker = ?2";
        let found = self.one(sql, (self.org_text(), maker), |r| {
            Ok(MakerPosition { seq: count(r, 0)?, prev: digest(r, 1)? })
        })?;
        Ok(found.unwrap_or(MakerPosition::START))
    }

    /// Allowed calls without an outcome, under way or not.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn unfinished_actions(&self) -> Result<Vec<OpenAction>, StoreError> {
        let sql = "SELECT action, decided, maker, life FROM actions
                   WHERE org = ?1 AND completed IS NULL ORDER BY decided";
        self.many(sql, [self.org_text()], |r| {
            Ok(OpenAction {
                action: parsed::<ActionId>(r, 0)?,
                decided: count(r, 1)?,
                maker: r.get(2)?,
                life: r.get(3)?,
            })
        })
    }

    /// The texts behind an entry's commitments; `None` when there are none or
    /// they were erased.
    ///
    /// # Errors
    /// [`StoreError::Fault`], or [`StoreError::Plaintext`] when they cannot be
    /// opened with this data dir's key.
    pub fn read_plaintext(
        &self,
        entry: &EntryId,
    ) -> Result<Option<Vec<(String, Disclosure)>>, StoreError> {
        let sql = "SELECT key, ciphertext FROM sealed
                   WHERE org = ?1 AND entry = ?2 AND key IS NOT NULL";
        let sealed = self.one(sql, (self.org_text(), entry.as_str()), |r| {
            Ok(SealedRecord { key: r.get(0)?, ciphertext: r.get(1)? })
        })?;
        sealed.map(|s| seal::open(&self.cx.key, &self.cx.org, entry, s)).transpose()
    }

    /// Whether an entry's texts were there and are erased.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn is_erased(&self, entry: &EntryId) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM sealed WHERE org = ?1 AND entry = ?2 AND key IS NULL";
        Ok(self.one(sql, (self.org_text(), entry.as_str()), |_| Ok(()))?.is_some())
    }

    /// Whether an entry has texts that were not erased.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn has_texts(&self, entry: &EntryId) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM sealed WHERE org = ?1 AND entry = ?2 AND key IS NOT NULL";
        Ok(self.one(sql, (self.org_text(), entry.as_str()), |_| Ok(()))?.is_some())
    }

    /// Entries about a principal that have texts, in order: at most `limit` of
    /// those with an index from `from` to before `until`, with their index.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn entries_with_texts(
        &self,
        principal: &Alias,
        from: u64,
        until: u64,
        limit: u32,
    ) -> Result<Vec<(u64, EntryId)>, StoreError> {
        let sql = "SELECT e.idx, e.id FROM entries e
                   JOIN sealed s ON s.org = e.org AND s.entry = e.id
                   WHERE e.org = ?1 AND e.principal = ?2 AND e.idx >= ?3 AND e.idx < ?4
                     AND s.key IS NOT NULL
                   ORDER BY e.idx LIMIT ?5";
        let index = |i: u64| i64::try_from(i).unwrap_or(i64::MAX);
        let params = (self.org_text(), principal.as_str(), index(from), index(until), limit);
        self.many(sql, params, |r| Ok((count(r, 0)?, parsed(r, 1)?)))
    }

    /// The time before which spent proofs and budgets may have been forgotten.
    pub(crate) fn horizon(&self) -> Result<Option<Timestamp>, StoreError> {
        self.one("SELECT horizon FROM guards WHERE org = ?1", [self.org_text()], |r| time(r, 0))
    }
}
