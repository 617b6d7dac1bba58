//! What webhooks are told: rows that are made from the ledger by a place in it,
//! so that nothing is lost with a process, and tried until somebody took them.

use bailiwick_core::ids::{ApprovalId, EntryId};
use bailiwick_core::time::Timestamp;

use crate::apply::execute;
use crate::columns::{count, parsed, time};
use crate::error::StoreError;
use crate::query::{COLUMNS, entry};
use crate::rows::{Approval, Stored, StoredEntry};
use crate::tx::Tx;
use crate::view::View;

/// Entries that are looked at in one go.
const MAX_NOTICED: u32 = 500;
/// Deliveries tried in one go.
const MAX_DUE: u32 = 64;

/// Something that a webhook is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noticed {
    /// The entry that it stands in: the message's id.
    pub entry: EntryId,
    /// What happened, by its name on the wire.
    pub event: String,
    /// The held call.
    pub approval: ApprovalId,
    /// When it happened.
    pub time: Timestamp,
}

/// Something that a webhook is to be told now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What.
    pub noticed: Noticed,
    /// How often it was tried.
    pub tries: u64,
}

/// What became of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tried {
    /// The receiver took it.
    Taken,
    /// It did not; it is tried again then, or never.
    Failed {
        /// Why, in few words.
        why: String,
        /// When it is due again.
        again: Option<Timestamp>,
    },
}

/// How a webhook fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookState {
    /// What is still to be told.
    pub waiting: u64,
    /// What was given up.
    pub given_up: u64,
    /// When the receiver took something last.
    pub delivered: Option<Timestamp>,
    /// When it last did not, and why.
    pub failed: Option<(Timestamp, String)>,
}

impl View<'_> {
    /// The first entry that a webhook was not told of; `None` before it began.
    ///
    /// # Errors
    /// [`StoreError::Fault`], as for every read here.
    pub fn webhook_upto(&self, name: &str) -> Result<Option<u64>, StoreError> {
        let sql = "SELECT upto FROM webhooks WHERE org = ?1 AND name = ?2";
        self.one(sql, (self.org_text(), name), |r| count(r, 0))
    }

    /// Entries about held calls from an index on, in order: those that asked,
    /// verdicts, and those that became void.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn entries_about_approvals(&self, from: u64) -> Result<Vec<StoredEntry>, StoreError> {
        // Three ranges of indexes: the log between is not read.
        let part = |condition: &str| {
            format!(
                "SELECT * FROM (SELECT {COLUMNS} FROM entries
                 WHERE org = ?1 AND {condition} AND idx >= ?2 ORDER BY idx LIMIT ?3)"
            )
        };
        let sql = format!(
            "{} UNION ALL {} UNION ALL {} ORDER BY idx LIMIT ?3",
            part("decision = 'approval_required'"),
            part("kind = 'approval.decided'"),
            part("kind = 'approval.voided'"),
        );
        let from = i64::try_from(from).unwrap_or(i64::MAX);
        self.many(&sql, (self.org_text(), from, MAX_NOTICED), entry)
    }

    /// The held call that an entry asked about.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn approval_of_entry(
        &self,
        entry: &EntryId,
    ) -> Result<Option<Stored<Approval>>, StoreError> {
        self.record("approvals t WHERE org = ?1 AND entry = ?2", (self.org_text(), entry.as_str()))
    }

    /// What a webhook is to be told at `now`, the longest due first.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn due_deliveries(&self, name: &str, now: Timestamp) -> Result<Vec<Delivery>, StoreError> {
        let sql = "SELECT entry, event, approval, time, tries FROM deliveries
                   WHERE org = ?1 AND webhook = ?2 AND due <= ?3 ORDER BY due LIMIT ?4";
        self.many(sql, (self.org_text(), name, now.millis(), MAX_DUE), |r| {
            Ok(Delivery {
                noticed: Noticed {
                    entry: parsed(r, 0)?,
                    event: r.get(1)?,
                    approval: parsed(r, 2)?,
                    time: time(r, 3)?,
                },
                tries: count(r, 4)?,
            })
        })
    }

    /// How a webhook fares.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn webhook_state(&self, name: &str) -> Result<WebhookState, StoreError> {
        let counted =
            "SELECT count(due), count(*) FILTER (WHERE due IS NULL AND delivered IS NULL),
                              max(delivered) FROM deliveries WHERE org = ?1 AND webhook = ?2";
        let mut state = self
            .one(counted, (self.org_text(), name), |r| {
                Ok(WebhookState {
                    waiting: count(r, 0)?,
                    given_up: count(r, 1)?,
                    delivered: r.get::<_, Option<i64>>(2)?.map(Timestamp::from_millis),
                    failed: None,
                })
            })?
            .unwrap_or_default();
        let failed = "SELECT tried, failure FROM deliveries
                      WHERE org = ?1 AND webhook = ?2 AND tried IS NOT NULL
                        AND failure IS NOT NULL ORDER BY tried DESC LIMIT 1";
        state.failed =
            self.one(failed, (self.org_text(), name), |r| Ok((time(r, 0)?, r.get(1)?)))?;
        Ok(state)
    }
}

impl Tx<'_> {
    /// Keeps what a webhook is to be told, and up to which entry it was looked.
    /// What is kept already stays as it is.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn keep_noticed(
        &mut self,
        name: &str,
        noticed: &[Noticed],
        upto: u64,
    ) -> Result<(), StoreError> {
        let (c, org) = (self.view.c, self.view.org_text());
        for n in noticed {
            let sql =
                "INSERT INTO deliveries (org, webhook, entry, event, approval, time, tries, due)
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?6) ON CONFLICT DO NOTHING";
            let params =
                (org, name, n.entry.as_str(), &n.event, n.approval.as_str(), n.time.millis());
            execute(c, sql, params, "delivery")?;
        }
        let sql = "INSERT INTO webhooks (org, name, upto) VALUES (?1, ?2, ?3)
                   ON CONFLICT (org, name) DO UPDATE SET upto = max(upto, excluded.upto)";
        let upto = i64::try_from(upto).unwrap_or(i64::MAX);
        execute(c, sql, (org, name, upto), "webhook").map(drop)
    }

    /// Keeps what became of a try.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn delivery_tried(
        &mut self,
        name: &str,
        entry: &EntryId,
        now: Timestamp,
        tried: &Tried,
    ) -> Result<(), StoreError> {
        let (due, delivered, failure) = match tried {
            Tried::Taken => (None, Some(now), None),
            Tried::Failed { why, again } => (*again, None, Some(why.as_str())),
        };
        let sql = "UPDATE deliveries SET tries = tries + 1, tried = ?4, due = ?5, delivered = ?6,
                       failure = ?7
                   WHERE org = ?1 AND webhook = ?2 AND entry = ?3";
        let params = (
            self.view.org_text(),
            name,
            entry.as_str(),
            now.millis(),
            due.map(Timestamp::millis),
            delivered.map(Timestamp::millis),
            failure,
        );
        execute(self.view.c, sql, params, "delivery").map(drop)
    }

    /// Forgets what was delivered or given up and happened before `before`.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn forget_deliveries(&mut self, before: Timestamp) -> Result<usize, StoreError> {
        let sql = "DELETE FROM deliveries WHERE rowid IN (SELECT rowid FROM deliveries
                   WHERE org = ?1 AND due IS NULL AND time < ?2 LIMIT 1000)";
        execute(self.view.c, sql, (self.view.org_text(), before.millis()), "delivery")
    }
}
