//! Writing: what one unit of work may do inside its transaction.

use std::cell::Cell;
use std::ops::Deref;

use bailiwick_core::crypto::{Digest, Signer};
use bailiwick_core::ids::EntryId;
use bailiwick_core::json::Json;
use bailiwick_core::ledger::{Disclosure, Event, Prepared};
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_tlog::leaf_hash;

use crate::apply::execute;
use crate::error::StoreError;
use crate::rows::{Appended, Charge, Charged, Row, Spent};
use crate::seal;
use crate::view::View;

/// The member of a leaf's body, or the field of its commitments, that holds
/// the row. Callers must not use the name themselves.
pub(crate) const ROW: &str = "row";

/// The member of the body of `plaintext.erased` that lists the entries.
pub(crate) const ERASED: &str = "entries";

/// One unit of work. It sees its own writes and everything committed before;
/// all reads of [`View`] are there too. Nobody else writes meanwhile, in this
/// process or another.
pub struct Tx<'c> {
    pub(crate) view: View<'c>,
    pub(crate) erased: Cell<bool>,
}

impl<'c> Deref for Tx<'c> {
    type Target = View<'c>;
    fn deref(&self) -> &View<'c> {
        &self.view
    }
}

impl Tx<'_> {
    fn execute(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        what: &'static str,
    ) -> Result<usize, StoreError> {
        execute(self.view.c, sql, params, what)
    }

    fn plain(&self, sql: &str) -> Result<(), StoreError> {
        self.execute(sql, [], "savepoint").map(|_| ())
    }

    /// Runs `work`; when it fails, what it wrote is undone and the unit may go
    /// on.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn savepoint<T, E: From<StoreError>>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, E>,
    ) -> Result<T, E> {
        self.plain("SAVEPOINT part")?;
        let done = work(self);
        if done.is_err() {
            // Fails only when the engine rolled everything back already, which
            // the writer notices.
            let _ = self.plain("ROLLBACK TO part");
        }
        match self.plain("RELEASE part") {
            Err(e) if done.is_ok() => Err(e.into()),
            _ => done,
        }
    }

    /// Seals `event` as `maker`'s next entry and writes it with its texts.
    /// Decisions and outcomes also open and close their action.
    ///
    /// # Errors
    /// [`StoreError::Entry`] when it is too large, [`StoreError::Conflict`]
    /// when the entry id or the action exists, [`StoreError::ActionNotOpen`]
    /// for an outcome without an open action, [`StoreError::Fault`].
    pub fn append(
        &mut self,
        maker: &str,
        signer: &dyn Signer,
        event: impl Into<Prepared>,
    ) -> Result<Appended, StoreError> {
        let event = event.into();
        self.savepoint(|tx| tx.append_inner(maker, signer, &event))
    }

    /// [`Tx::append`], and writes `row` in the same step. The entry commits to
    /// the row: in its body where it holds ids, hashes and codes only,
    /// otherwise as the disclosure `row`.
    ///
    /// # Errors
    /// As [`Tx::append`]; also [`StoreError::Conflict`] when the row exists
    /// and [`StoreError::NoSuch`] when what it refers to does not.
    pub fn record(
        &mut self,
        maker: &str,
        signer: &dyn Signer,
        mut event: Event,
        row: &Row,
    ) -> Result<Appended, StoreError> {
        let json = to_json(row)?;
        if row.is_public() {
            event.body.insert(ROW, json);
        } else {
            let salt = seal::random(&*self.view.cx.entropy)?;
            event.disclosures.push((ROW.to_owned(), Disclosure { salt, value: json }));
        }
        let event = Prepared::from(event);
        self.savepoint(|tx| {
            let appended = tx.append_inner(maker, signer, &event)?;
            tx.view.apply(row, &event.event().id, event.event().time)?;
            Ok(appended)
        })
    }

    fn append_inner(
        &self,
        maker: &str,
        signer: &dyn Signer,
        prepared: &Prepared,
    ) -> Result<Appended, StoreError> {
        let event = prepared.event();
        let org = self.view.cx.org.as_str();
        if event.org != self.view.cx.org {
            return Err(StoreError::Value { what: "entry's organisation" });
        }
        // INVARIANT: both positions are read inside the transaction, because
        // other processes append too.
        let position = self.view.maker_position(maker)?;
        let index = self.view.log_size()?;
        let s = &event.subjects;
        let run_seq = self.view.project_run_entry(s)?;
        let sealed = prepared.seal(maker, position, run_seq, signer)?;
        let hash = leaf_hash(&sealed.bytes);
        let idx = signed(index)?;
        self.execute(
            "INSERT INTO entries (org, idx, id, time, kind, maker, seq, principal, agent,
                 instance, workflow, task, run, grant_id, delegation, action, tool, decision,
                 reason, leaf_hash, leaf)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rusqlite::params![
                org,
                idx,
                event.id.as_str(),
                event.time.millis(),
                event.kind.as_str(),
                maker,
                signed(position.seq)?,
                s.principal,
                s.agent,
                s.instance,
                s.workflow,
                s.task,
                s.run,
                s.grant,
                s.delegation,
                s.action,
                s.tool,
                s.decision,
                s.reason,
                hash.as_bytes().as_slice(),
                sealed.bytes,
            ],
            "entry",
        )?;
        self.execute(
            "INSERT INTO makers (org, maker, next_seq, prev) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (org, maker) DO UPDATE
             SET next_seq = excluded.next_seq, prev = excluded.prev",
            (org, maker, signed(sealed.next.seq)?, sealed.next.prev.bytes().as_slice()),
            "maker",
        )?;
        if !sealed.texts.is_empty() {
            let cx = self.view.cx;
            let record = seal::seal(&cx.key, &*cx.entropy, &cx.org, &event.id, &sealed.texts)?;
            self.execute(
                "INSERT INTO sealed (org, entry, key, ciphertext) VALUES (?1, ?2, ?3, ?4)",
                (org, event.id.as_str(), record.key, record.ciphertext),
                "sealed record",
            )?;
        }
        self.view.project_action(maker, event.kind, s, &event.body, idx)?;
        self.view.project_hourly_call(event.kind, event.time, s, &event.body)?;
        Ok(Appended { index, leaf_hash: hash, entry: event.id.clone() })
    }

    /// Spends a proof's identifier for an audience, once and for all, also
    /// across restarts. `expires` is when the proof would be refused as too
    /// old anyway; afterwards the row may be forgotten.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn spend_proof(
        &mut self,
        audience: &str,
        jti: &Digest,
        expires: Timestamp,
    ) -> Result<Spent, StoreError> {
        // SECURITY: what expired before the horizon may have been forgotten,
        // so with a clock that was stepped back it counts as spent.
        if self.view.horizon()?.is_some_and(|horizon| expires < horizon) {
            return Ok(Spent::Already);
        }
        let added = self.execute(
            "INSERT INTO spent_proofs (org, audience, jti, expires) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
            (self.view.cx.org.as_str(), audience, jti.bytes().as_slice(), expires.millis()),
            "proof",
        )?;
        Ok(if added == 1 { Spent::Fresh } else { Spent::Already })
    }

    /// Charges the budgets of every token of a chain: all, or none when one
    /// would exceed its limit.
    ///
    /// # Errors
    /// [`StoreError::Value`] for a negative amount or a token whose counters
    /// may have been forgotten, [`StoreError::Fault`].
    pub fn charge(&mut self, charges: &[Charge]) -> Result<Charged, StoreError> {
        let horizon = self.view.horizon()?;
        let org = self.view.cx.org.as_str();
        let mut totals = Vec::with_capacity(charges.len());
        self.plain("SAVEPOINT charge")?;
        let mut made = || -> Result<Option<Charged>, StoreError> {
            for (which, charge) in charges.iter().enumerate() {
                if charge.amount < 0 {
                    return Err(StoreError::Value { what: "amount of a charge" });
                }
                // SECURITY: a counter that may have been forgotten counts as
                // spent; a clock that was stepped back opens no window again.
                if horizon.is_some_and(|h| charge.expires < h) {
                    return Err(StoreError::Value { what: "expiry of a charged account" });
                }
                let key = (org, charge.account.bytes().as_slice(), charge.counter.as_str());
                let sql = "SELECT spent FROM budgets
                           WHERE org = ?1 AND account = ?2 AND counter = ?3";
                let spent = self.view.one(sql, key, |r| r.get::<_, i64>(0))?.unwrap_or(0);
                let total = spent.checked_add(charge.amount).filter(|t| *t <= charge.limit);
                let Some(total) = total else {
                    return Ok(Some(Charged::Exceeded { which, spent }));
                };
                self.execute(
                    "INSERT INTO budgets (org, account, counter, spent, expires)
                     VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (org, account, counter) DO UPDATE
                     SET spent = excluded.spent, expires = max(expires, excluded.expires)",
                    (key.0, key.1, key.2, total, charge.expires.millis()),
                    "budget",
                )?;
                totals.push(total);
            }
            Ok(None)
        };
        let made = made();
        if !matches!(made, Ok(None)) {
            let _ = self.plain("ROLLBACK TO charge");
        }
        let released = self.plain("RELEASE charge");
        let made = made?;
        released?;
        Ok(made.unwrap_or(Charged::All(totals)))
    }

    /// Forgets at most `limit` each of spent proofs, budgets and tickets that
    /// ended before `now`, and of agents' tasks of long ago; gives how many. What it forgets stays refused.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn purge_expired(&mut self, now: Timestamp, limit: u32) -> Result<usize, StoreError> {
        let org = self.view.cx.org.as_str();
        let params = (org, now.millis(), limit);
        let proofs = self.execute(
            "DELETE FROM spent_proofs WHERE (org, audience, jti) IN
             (SELECT org, audience, jti FROM spent_proofs WHERE org = ?1 AND expires < ?2 LIMIT ?3)",
            params,
            "proof",
        )?;
        let budgets = self.execute(
            "DELETE FROM budgets WHERE (org, account, counter) IN
             (SELECT org, account, counter FROM budgets WHERE org = ?1 AND expires < ?2 LIMIT ?3)",
            params,
            "budget",
        )?;
        let tickets = self.execute(
            "DELETE FROM tickets WHERE (org, kind, key) IN
             (SELECT org, kind, key FROM tickets WHERE org = ?1 AND expires < ?2 LIMIT ?3)",
            params,
            "ticket",
        )?;
        if proofs + budgets > 0 {
            self.execute(
                "INSERT INTO guards (org, horizon) VALUES (?1, ?2)
                 ON CONFLICT (org) DO UPDATE SET horizon = max(horizon, excluded.horizon)",
                (org, now.millis()),
                "guard",
            )?;
        }
        let peers = self.forget_peers(now, limit)?;
        Ok(proofs + budgets + tickets + peers)
    }

    /// Appends `event`, which says so, and erases the texts behind the
    /// commitments of `entries`, with the names in the rows of principals that
    /// they registered. The entries and every proof stay as they are.
    ///
    /// # Errors
    /// As [`Tx::append`].
    pub fn erase(
        &mut self,
        maker: &str,
        signer: &dyn Signer,
        mut event: Event,
        entries: &[EntryId],
    ) -> Result<Appended, StoreError> {
        let ids: Vec<Json> = entries.iter().map(|id| Json::from(id.as_str())).collect();
        event.body.insert(ERASED, ids);
        let event = Prepared::from(event);
        self.savepoint(|tx| {
            let appended = tx.append_inner(maker, signer, &event)?;
            entries.iter().try_for_each(|entry| tx.erase_texts(entry))?;
            Ok(appended)
        })
    }

    fn erase_texts(&self, entry: &EntryId) -> Result<(), StoreError> {
        let key = (self.view.cx.org.as_str(), entry.as_str());
        self.execute(
            "UPDATE sealed SET key = NULL, ciphertext = NULL
             WHERE org = ?1 AND entry = ?2 AND key IS NOT NULL",
            key,
            "sealed record",
        )?;
        self.execute(
            "UPDATE principals SET id = NULL, issuer = NULL WHERE org = ?1 AND entry = ?2",
            key,
            "principal",
        )?;
        self.execute(
            "UPDATE credentials SET data = '', label = '' WHERE org = ?1 AND entry = ?2",
            key,
            "credential",
        )?;
        self.erased.set(true);
        Ok(())
    }
}

pub(crate) fn signed(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::Value { what: "number" })
}

fn to_json(row: &Row) -> Result<Json, StoreError> {
    let limits = JsonLimits { max_bytes: seal::MAX_PLAINTEXT_BYTES, ..JsonLimits::DEFAULT };
    serde_json::to_vec(row)
        .ok()
        .and_then(|text| Json::parse(&text, &limits).ok())
        .ok_or(StoreError::Value { what: "row" })
}
