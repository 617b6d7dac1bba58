//! Short-lived things that are not projections of the ledger: sessions, codes,
//! challenges, requests under way. Whoever redeems one shows a secret; only its
//! SHA-256 is kept.

use bailiwick_core::crypto::Digest;
use bailiwick_core::time::Timestamp;

use crate::apply::execute;
use crate::error::StoreError;
use crate::tx::Tx;
use crate::view::View;

/// Bytes of a ticket's value at most.
pub const MAX_TICKET_BYTES: usize = 64 << 10;

/// One short-lived thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// What it is, for example `code`; a secret of one kind is none of another.
    pub kind: &'static str,
    /// SHA-256 of the secret.
    pub key: Digest,
    /// What it ends with; empty for nothing.
    pub family: String,
    /// What it stands for, as JSON text.
    pub value: String,
    /// From when on it is as if it were not there.
    pub expires: Timestamp,
}

impl View<'_> {
    /// The ticket of this kind and key, unless it has expired.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn ticket(
        &self,
        kind: &'static str,
        key: &Digest,
        now: Timestamp,
    ) -> Result<Option<Ticket>, StoreError> {
        let sql = "SELECT family, value, expires FROM tickets
                   WHERE org = ?1 AND kind = ?2 AND key = ?3 AND expires > ?4";
        let params = (self.org().as_str(), kind, key.bytes().as_slice(), now.millis());
        self.one(sql, params, |r| {
            Ok(Ticket {
                kind,
                key: *key,
                family: r.get(0)?,
                value: r.get(1)?,
                expires: Timestamp::from_millis(r.get(2)?),
            })
        })
    }

    /// How many tickets of a kind and family have not expired.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn tickets_of(
        &self,
        kind: &'static str,
        family: &str,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM tickets
                   WHERE org = ?1 AND kind = ?2 AND family = ?3 AND expires > ?4";
        let params = (self.org().as_str(), kind, family, now.millis());
        Ok(self.one(sql, params, |r| crate::columns::count(r, 0))?.unwrap_or(0))
    }
}

impl Tx<'_> {
    /// Keeps a ticket, in place of one with the same kind and key.
    ///
    /// # Errors
    /// [`StoreError::Value`] when it is too large, [`StoreError::Fault`].
    pub fn keep_ticket(&mut self, ticket: &Ticket) -> Result<(), StoreError> {
        if ticket.value.len() > MAX_TICKET_BYTES {
            return Err(StoreError::Value { what: "ticket" });
        }
        let sql = "INSERT INTO tickets (org, kind, key, family, value, expires)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                   ON CONFLICT (org, kind, key) DO UPDATE
                   SET family = excluded.family, value = excluded.value,
                       expires = excluded.expires";
        let params = (
            self.view.org().as_str(),
            ticket.kind,
            ticket.key.bytes().as_slice(),
            &ticket.family,
            &ticket.value,
            ticket.expires.millis(),
        );
        execute(self.view.c, sql, params, "ticket").map(|_| ())
    }

    /// Takes a ticket: whoever gets it is the only one who does.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn take_ticket(
        &mut self,
        kind: &'static str,
        key: &Digest,
        now: Timestamp,
    ) -> Result<Option<Ticket>, StoreError> {
        let found = self.view.ticket(kind, key, now)?;
        if found.is_some() {
            let sql = "DELETE FROM tickets WHERE org = ?1 AND kind = ?2 AND key = ?3";
            let params = (self.view.org().as_str(), kind, key.bytes().as_slice());
            execute(self.view.c, sql, params, "ticket")?;
        }
        Ok(found)
    }

    /// Ends all tickets of a kind and family; gives how many.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn drop_tickets(&mut self, kind: &'static str, family: &str) -> Result<usize, StoreError> {
        let sql = "DELETE FROM tickets WHERE org = ?1 AND kind = ?2 AND family = ?3";
        execute(self.view.c, sql, (self.view.org().as_str(), kind, family), "ticket")
    }
}
