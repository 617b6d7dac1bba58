//! The database's side of an audit.

use std::sync::{Arc, OnceLock};

use crate::connection::{self, Opened};
use crate::error::{Fault, StoreError};
use crate::fault::NoFaults;
use crate::rows::StoredEntry;
use crate::seal::PlaintextKey;
use crate::store::Context;
use crate::view::View;

use super::AuditInput;

/// Rows read at a time.
const BATCH: u32 = 500;

/// The database's entries, in order, a batch at a time.
pub(super) struct Staging {
    opened: Opened,
    cx: Context,
    rows: std::vec::IntoIter<StoredEntry>,
    from: u64,
}

impl Staging {
    pub(super) fn open(input: &AuditInput<'_>) -> Result<Self, StoreError> {
        let opened = connection::open_auditor(&input.dir.join("state.db"))?;
        let sql = |e: rusqlite::Error| StoreError::sql("audit the database", &e);
        let check: String = opened
            .connection
            .query_row("PRAGMA integrity_check(1)", [], |r| r.get(0))
            .map_err(sql)?;
        if check != "ok" {
            return Err(StoreError::Fault {
                fault: Fault::Corrupt,
                during: "audit the database",
                detail: check,
            });
        }
        // One snapshot for the whole audit.
        opened.connection.execute_batch("BEGIN").map_err(sql)?;
        let cx = Context {
            org: input.org.clone(),
            key: input.plaintext_key.clone().unwrap_or_else(|| PlaintextKey::new([0; 32])),
            entropy: Arc::new(|_: &mut [u8]| false),
            faults: Arc::new(NoFaults),
            dir: input.dir.to_owned(),
            life: OnceLock::new(),
        };
        Ok(Self { opened, cx, rows: Vec::new().into_iter(), from: 0 })
    }

    pub(super) const fn context(&self) -> &Context {
        &self.cx
    }

    pub(super) fn view(&self) -> View<'_> {
        View { c: &self.opened.connection, cx: &self.cx }
    }

    pub(super) fn next(&mut self) -> Result<Option<StoredEntry>, StoreError> {
        if self.rows.len() == 0 {
            let rows = self.view().tail(self.from, BATCH)?;
            self.from = rows.last().map_or(self.from, |r| r.index + 1);
            self.rows = rows.into_iter();
        }
        Ok(self.rows.next())
    }
}
