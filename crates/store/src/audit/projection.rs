//! The state that the entries make, beside the state that the database has.

use std::collections::BTreeSet;

use bailiwick_core::ledger::Entry;
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::apply::{FROM_LEAVES, TABLES};
use crate::connection;
use crate::error::StoreError;
use crate::rows::Row;
use crate::store::Context;
use crate::view::View;

use super::staging::Staging;

/// Tables that are made of entries' subjects.
const OF_SUBJECTS: &[&str] = &[
    "actions",
    "calls_hourly",
    "calls_rolled",
    "errand_calls",
    "run_calls",
    "run_entries",
    "run_tools",
    "task_tools",
];

/// Whether entries make a table without their texts.
fn is_without_texts(table: &str) -> bool {
    OF_SUBJECTS.contains(&table) || FROM_LEAVES.contains(&table)
}

/// The state made from entries, in memory.
pub(super) struct Projection {
    scratch: Connection,
}

impl Projection {
    pub(super) fn new() -> Result<Self, StoreError> {
        Ok(Self { scratch: connection::scratch()? })
    }

    /// What `row` does. It cannot do anything when it changes a row whose
    /// text was erased; any other difference shows when states are compared.
    pub(super) fn row(&self, cx: &Context, row: &Row, entry: &Entry) {
        let _ = View { c: &self.scratch, cx }.apply(row, &entry.id, entry.time);
    }

    /// The number that an entry has in its run.
    pub(super) fn run_seq(&self, cx: &Context, entry: &Entry) -> Option<u64> {
        View { c: &self.scratch, cx }.project_run_entry(&entry.subjects).ok().flatten()
    }

    /// What a decision or an outcome does; as for rows.
    pub(super) fn action(&self, cx: &Context, index: u64, entry: &Entry) {
        if let Ok(index) = i64::try_from(index) {
            let view = View { c: &self.scratch, cx };
            let _ =
                view.project_action(&entry.maker, entry.kind, &entry.subjects, &entry.body, index);
            let _ = view.project_hourly_call(entry.kind, entry.time, &entry.subjects, &entry.body);
        }
    }

    /// The first difference, table by table; rows whose text was erased are
    /// left out.
    pub(super) fn compare(
        &self,
        staging: &Staging,
        with_texts: bool,
    ) -> Result<Option<String>, StoreError> {
        let sql_failed = |e: rusqlite::Error| StoreError::sql("audit the state", &e);
        // As far as theirs are added up, ours are.
        let upto = staging.view().rolled_upto()?;
        View { c: &self.scratch, cx: staging.view().cx }.roll_up_to(upto)?;
        let all = TABLES.iter().chain(OF_SUBJECTS);
        for table in all.filter(|table| with_texts || is_without_texts(table)) {
            // What entries make without their texts is there whatever was erased.
            let erased = if is_without_texts(table) {
                ""
            } else {
                "AND entry NOT IN (SELECT entry FROM sealed WHERE org = ?1 AND key IS NULL)"
            };
            // Which process has a call under way is no projection.
            let columns = match *table {
                "actions" => "org, action, decided, maker, completed, outcome, external",
                _ => "*",
            };
            let order = match *table {
                "calls_hourly" | "calls_rolled" => "1, 2, 3, 4, 5, 6, 7, 8, 9",
                _ => "1, 2, 3",
            };
            let sql =
                format!("SELECT {columns} FROM {table} WHERE org = ?1 {erased} ORDER BY {order}");
            let view = staging.view();
            let left = match *table {
                "approvals" => view.approvals_without_text()?,
                _ => BTreeSet::new(),
            };
            let org = view.org().as_str();
            let mut theirs = view.c.prepare(&sql).map_err(sql_failed)?;
            let mut ours = self.scratch.prepare(&sql).map_err(sql_failed)?;
            let columns = theirs.column_count();
            let mut theirs = theirs.query([org]).map_err(sql_failed)?;
            let mut ours = ours.query([org]).map_err(sql_failed)?;
            loop {
                let found = next(&mut theirs, columns, &left).map_err(sql_failed)?;
                let made = next(&mut ours, columns, &left).map_err(sql_failed)?;
                if found != made {
                    let entry = made.or(found).and_then(|row| row.into_iter().next_back());
                    let by = match entry {
                        Some(Value::Text(id)) if *table != "actions" => format!(" by entry `{id}`"),
                        _ => String::new(),
                    };
                    return Ok(Some(format!(
                        "the table `{table}` is not what the entries make of it: see the row{by}"
                    )));
                }
                if found.is_none() {
                    break;
                }
            }
        }
        Ok(None)
    }
}

/// The next row; those whose id is `left` out are not compared.
fn next(
    rows: &mut rusqlite::Rows<'_>,
    columns: usize,
    left: &BTreeSet<String>,
) -> rusqlite::Result<Option<Vec<Value>>> {
    while let Some(row) = rows.next()? {
        if left.is_empty() || !left.contains(&row.get::<_, String>(1)?) {
            return (0..columns).map(|i| row.get(i)).collect::<Result<_, _>>().map(Some);
        }
    }
    Ok(None)
}
