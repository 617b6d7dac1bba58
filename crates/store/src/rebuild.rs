//! The state as a projection of the ledger: any row can be made again from the
//! entry that wrote it.

use bailiwick_core::ids::EntryId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Disclosure;
use bailiwick_core::limits::JsonLimits;

use crate::apply::{FROM_LEAVES, TABLES, execute};
use crate::approvals::WITHOUT_TEXT;
use crate::error::StoreError;
use crate::rows::{Row, StoredEntry};
use crate::tx::{ROW, Tx};
use crate::view::View;

/// Entries read at a time.
const BATCH: u32 = 1_000;

/// What [`Tx::rebuild`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Rows written again.
    pub rows: u64,
    /// Rows whose text was erased: left as they were.
    pub erased: u64,
}

impl View<'_> {
    /// The row that stands in an entry's leaf, if one does.
    #[must_use]
    pub fn row_in_leaf(&self, entry: &StoredEntry) -> Option<Row> {
        row_in_leaf(&entry.leaf)
    }

    /// The row that an entry wrote; `None` when it wrote none or its text was
    /// erased.
    ///
    /// # Errors
    /// [`StoreError::Fault`] or [`StoreError::Plaintext`].
    pub fn row_of(&self, entry: &EntryId) -> Result<Option<Row>, StoreError> {
        let Some(found) = self.entry_by_id(entry)? else {
            return Ok(None);
        };
        if let Some(row) = row_in_leaf(&found.leaf) {
            return Ok(Some(row));
        }
        let texts = self.read_plaintext(entry)?.unwrap_or_default();
        Ok(row_in_texts(&texts))
    }
}

pub(crate) fn row_in_texts(texts: &[(String, Disclosure)]) -> Option<Row> {
    let (_, d) = texts.iter().find(|(field, _)| field == ROW)?;
    read_row(&d.value)
}

pub(crate) fn row_in_body(body: &Object) -> Option<Row> {
    read_row(body.member(ROW)?)
}

fn read_row(json: &Json) -> Option<Row> {
    serde_json::from_slice(&serde_json::to_vec(json).ok()?).ok()
}

fn row_in_leaf(leaf: &[u8]) -> Option<Row> {
    let leaf = Json::parse(leaf, &JsonLimits::DEFAULT).ok()?;
    row_in_body(leaf.as_object()?.member("body")?.as_object()?)
}

impl Tx<'_> {
    /// Writes every projected table again from entries and their texts. Rows
    /// whose text was erased stay as they are. Guards (spent proofs, budgets)
    /// are no projections and are not touched.
    ///
    /// # Errors
    /// [`StoreError::Plaintext`] when a text cannot be opened, or
    /// [`StoreError::Fault`]; then nothing changed.
    pub fn rebuild(&mut self) -> Result<Rebuilt, StoreError> {
        self.savepoint(|tx| tx.rebuild_inner())
    }

    fn rebuild_inner(&self) -> Result<Rebuilt, StoreError> {
        let c = self.view.c;
        let org = self.view.cx.org.as_str();
        c.execute_batch("PRAGMA defer_foreign_keys = ON")
            .map_err(|e| StoreError::sql("rebuild the state", &e))?;
        let left = self.view.approvals_without_text()?;
        for table in TABLES {
            let erased = match *table {
                // What leaves alone make is made again whatever was erased.
                table if FROM_LEAVES.contains(&table) => String::new(),
                "approvals" => format!("AND id NOT IN ({WITHOUT_TEXT})"),
                "verdicts" => format!("AND approval NOT IN ({WITHOUT_TEXT})"),
                _ => "AND entry NOT IN (SELECT entry FROM sealed WHERE org = ?1 AND key IS NULL)"
                    .to_owned(),
            };
            execute(c, &format!("DELETE FROM {table} WHERE org = ?1 {erased}"), [org], "row")?;
        }
        let mut rebuilt = Rebuilt::default();
        let mut from = 0;
        loop {
            let entries = self.view.tail(from, BATCH)?;
            let Some(last) = entries.last() else {
                self.view.recount_hourly_calls()?;
                self.view.recount_runs()?;
                return Ok(rebuilt);
            };
            from = last.index + 1;
            for entry in &entries {
                match self.view.row_of(&entry.id)? {
                    Some(row) if row.held_call().is_some_and(|id| left.contains(id.as_str())) => {
                        rebuilt.erased += 1;
                    }
                    Some(row) => {
                        self.view.apply(&row, &entry.id, entry.time)?;
                        rebuilt.rows += 1;
                    }
                    None if self.view.is_erased(&entry.id)? => rebuilt.erased += 1,
                    None => {}
                }
            }
        }
    }
}
