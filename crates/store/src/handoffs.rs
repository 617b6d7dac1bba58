//! Reading and writing handshakes and handoffs.

use bailiwick_core::crypto::Digest;
use bailiwick_core::guarantee::Guarantee;
use bailiwick_core::ids::{HandoffId, InstanceId, TaskId};
use bailiwick_core::time::Timestamp;
use rusqlite::{Row, params};

use crate::apply::execute;
use crate::columns::{Read, Record, count, digest, maybe, parsed, thumbprint, time};
use crate::error::StoreError;
use crate::rows::{Handoff, HandoffState, Handshake, Stored};
use crate::view::View;

/// Handoffs or handshakes given at once at most.
pub const MAX_HANDOFFS: u32 = 500;

impl View<'_> {
    /// A recorded handshake.
    ///
    /// # Errors
    /// [`StoreError::Fault`], as for every read here.
    pub fn handshake(&self, transcript: &Digest) -> Result<Option<Stored<Handshake>>, StoreError> {
        let from = "handshakes t WHERE org = ?1 AND transcript = ?2";
        self.record(from, (self.org_text(), transcript.bytes().as_slice()))
    }

    /// Handshakes, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn handshakes(&self, limit: u32) -> Result<Vec<Stored<Handshake>>, StoreError> {
        let from = "handshakes t WHERE org = ?1 ORDER BY seen DESC, transcript LIMIT ?2";
        self.records(from, (self.org_text(), limit.min(MAX_HANDOFFS)))
    }

    /// A handoff.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn handoff(&self, id: &HandoffId) -> Result<Option<Stored<Handoff>>, StoreError> {
        let from = "handoffs t WHERE org = ?1 AND id = ?2";
        self.record(from, (self.org_text(), id.as_str()))
    }

    /// The handoff whose signed offer has this hash.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn handoff_by_hash(&self, hash: &Digest) -> Result<Option<Stored<Handoff>>, StoreError> {
        let from = "handoffs t WHERE org = ?1 AND hash = ?2";
        self.record(from, (self.org_text(), hash.bytes().as_slice()))
    }

    /// The handoff with which a derived token went to its holder.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn handoff_by_leaf(&self, leaf: &Digest) -> Result<Option<Stored<Handoff>>, StoreError> {
        let from = "handoffs t WHERE org = ?1 AND leaf = ?2";
        self.record(from, (self.org_text(), leaf.bytes().as_slice()))
    }

    /// Handoffs, the newest first; those of one task in the order in which they
    /// were offered.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn handoffs(
        &self,
        task: Option<&TaskId>,
        limit: u32,
    ) -> Result<Vec<Stored<Handoff>>, StoreError> {
        let limit = limit.min(MAX_HANDOFFS);
        match task {
            Some(task) => {
                let from = "handoffs t WHERE org = ?1 AND task = ?2 ORDER BY offered, id LIMIT ?3";
                self.records(from, (self.org_text(), task.as_str(), limit))
            }
            None => {
                let from = "handoffs t WHERE org = ?1 ORDER BY offered DESC, id DESC LIMIT ?2";
                self.records(from, (self.org_text(), limit))
            }
        }
    }

    /// How many offers an instance made since `since`, and how many of them are
    /// unanswered at `now`.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn offers_of(
        &self,
        instance: &InstanceId,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<(u64, u64), StoreError> {
        let sql = "SELECT count(*),
                          count(*) FILTER (WHERE state = 'offered' AND expires > ?4)
                   FROM handoffs WHERE org = ?1 AND from_instance = ?2 AND offered >= ?3";
        let params = (self.org_text(), instance.as_str(), since.millis(), now.millis());
        Ok(self.one(sql, params, |r| Ok((count(r, 0)?, count(r, 1)?)))?.unwrap_or((0, 0)))
    }

    pub(crate) fn apply_handshake(&self, h: &Handshake, entry: &str) -> Result<(), StoreError> {
        execute(
            self.c,
            "INSERT INTO handshakes (org, transcript, initiator, responder, bound, seen, expires, entry)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                self.org_text(),
                h.transcript.bytes().as_slice(),
                h.initiator,
                h.responder,
                h.bound,
                h.seen.millis(),
                h.expires.millis(),
                entry,
            ],
            "handshake",
        )
        .map(drop)
    }

    pub(crate) fn apply_handoff(&self, h: &Handoff, entry: &str) -> Result<(), StoreError> {
        execute(
            self.c,
            "INSERT INTO handoffs (org, id, state, hash, transcript, challenge, principal, workflow,
                 task, grant_id, root, parent, leaf, from_id, from_agent, from_instance, to_id,
                 to_agent, to_instance, holder, guarantee, claims, offered, expires, settled,
                 returned, return_entry, owner, entry)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
                 ?, ?, ?)",
            params![
                self.org_text(),
                h.id.as_str(),
                h.state.as_str(),
                h.hash.bytes().as_slice(),
                h.transcript.bytes().as_slice(),
                h.challenge.bytes().as_slice(),
                h.principal.as_str(),
                h.workflow.as_str(),
                h.task.as_str(),
                h.grant.as_str(),
                h.root.bytes().as_slice(),
                h.parent.bytes().as_slice(),
                h.leaf.bytes().as_slice(),
                h.from_id,
                h.from_agent.as_str(),
                h.from_instance.as_str(),
                h.to_id,
                h.to_agent.as_str(),
                h.to_instance.as_str(),
                h.holder.bytes().as_slice(),
                h.guarantee.as_str(),
                h.claims.map(|grade| grade.as_str()),
                h.offered.millis(),
                h.expires.millis(),
                h.settled.map(Timestamp::millis),
                h.returned.map(Timestamp::millis),
                h.return_entry.as_ref().map(|entry| entry.as_str()),
                h.owner.as_ref().map(|owner| owner.as_str()),
                entry,
            ],
            "handoff",
        )
        .map(drop)
    }

    /// One answer settles an offer; another one is none.
    pub(crate) fn apply_handoff_answer(
        &self,
        id: &HandoffId,
        state: HandoffState,
        guarantee: Guarantee,
        time: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE handoffs SET state = ?3, guarantee = ?4, settled = ?5
                   WHERE org = ?1 AND id = ?2 AND state = 'offered'";
        let (state, guarantee) = (state.as_str(), guarantee.as_str());
        let params = (self.org_text(), id.as_str(), state, guarantee, time.millis());
        match execute(self.c, sql, params, "handoff")? {
            0 => Err(StoreError::NoSuch { what: "unanswered handoff" }),
            _ => Ok(()),
        }
    }

    /// What comes back comes back once.
    pub(crate) fn apply_handoff_return(
        &self,
        id: &HandoffId,
        entry: &str,
        time: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE handoffs SET returned = ?3, return_entry = ?4
                   WHERE org = ?1 AND id = ?2 AND state = 'accepted' AND returned IS NULL";
        let params = (self.org_text(), id.as_str(), time.millis(), entry);
        match execute(self.c, sql, params, "handoff")? {
            0 => Err(StoreError::NoSuch { what: "accepted handoff" }),
            _ => Ok(()),
        }
    }
}

impl Record for Handshake {
    const COLUMNS: &'static [&'static str] =
        &["transcript", "initiator", "responder", "bound", "seen", "expires"];
    fn read(row: &Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            transcript: digest(row, i)?,
            initiator: row.get(i + 1)?,
            responder: row.get(i + 2)?,
            bound: row.get(i + 3)?,
            seen: time(row, i + 4)?,
            expires: time(row, i + 5)?,
        })
    }
}

impl Record for Handoff {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "state",
        "hash",
        "transcript",
        "challenge",
        "principal",
        "workflow",
        "task",
        "grant_id",
        "root",
        "parent",
        "leaf",
        "from_id",
        "from_agent",
        "from_instance",
        "to_id",
        "to_agent",
        "to_instance",
        "holder",
        "guarantee",
        "claims",
        "offered",
        "expires",
        "settled",
        "returned",
        "return_entry",
        "owner",
    ];
    fn read(row: &Row<'_>, i: usize) -> Read<Self> {
        Ok(Self {
            id: parsed(row, i)?,
            state: parsed(row, i + 1)?,
            hash: digest(row, i + 2)?,
            transcript: digest(row, i + 3)?,
            challenge: digest(row, i + 4)?,
            principal: parsed(row, i + 5)?,
            workflow: parsed(row, i + 6)?,
            task: parsed(row, i + 7)?,
            grant: parsed(row, i + 8)?,
            root: digest(row, i + 9)?,
            parent: digest(row, i + 10)?,
            leaf: digest(row, i + 11)?,
            from_id: row.get(i + 12)?,
            from_agent: parsed(row, i + 13)?,
            from_instance: parsed(row, i + 14)?,
            to_id: row.get(i + 15)?,
            to_agent: parsed(row, i + 16)?,
            to_instance: parsed(row, i + 17)?,
            holder: thumbprint(row, i + 18)?,
            guarantee: parsed(row, i + 19)?,
            claims: maybe(row, i + 20)?,
            offered: time(row, i + 21)?,
            expires: time(row, i + 22)?,
            settled: row.get::<_, Option<i64>>(i + 23)?.map(Timestamp::from_millis),
            returned: row.get::<_, Option<i64>>(i + 24)?.map(Timestamp::from_millis),
            return_entry: maybe(row, i + 25)?,
            owner: maybe(row, i + 26)?,
        })
    }
}
