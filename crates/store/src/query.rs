//! Search over the ledger.

use bailiwick_core::ids::{ActionId, EntryId};
use bailiwick_core::ledger::{Kind, Subjects};
use bailiwick_core::time::Timestamp;
use bailiwick_tlog::Hash;
use rusqlite::types::Value;

use crate::columns::{Read, array, count, parsed, time};
use crate::error::StoreError;
use crate::rows::{Action, StoredEntry};
use crate::view::View;

/// Entries returned at most, whatever is asked for.
pub const MAX_RESULTS: u32 = 10_000;

/// Entries that one search by several conditions looks at, as pages ask.
pub const SEARCH_WINDOW: u64 = 50_000;
/// How far an entry may stand from where its time belongs, entries. Whoever makes one
/// looks at the last time that is durable, so it is those that are under way together.
const DISORDER: u64 = 10_000;

/// What one search found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The entries, newest first.
    pub entries: Vec<StoredEntry>,
    /// The oldest index that was looked at, where there are older ones that were
    /// not: the search goes on before it.
    pub looked_to: Option<u64>,
}

/// Which entries to find: all members that are set must fit.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// The principal's alias.
    pub principal: Option<String>,
    /// The agent.
    pub agent: Option<String>,
    /// The task.
    pub task: Option<String>,
    /// The tool id.
    pub tool: Option<String>,
    /// The decision.
    pub decision: Option<String>,
    /// What happened.
    pub kind: Option<Kind>,
    /// Not before this time.
    pub since: Option<Timestamp>,
    /// Before this time.
    pub until: Option<Timestamp>,
    /// Only entries with a smaller index: to page from the newest on.
    pub before: Option<u64>,
    /// Only entries with this index or a greater one.
    pub from: Option<u64>,
    /// How many at most; [`MAX_RESULTS`] is the ceiling.
    pub limit: u32,
}

pub(crate) const COLUMNS: &str = "idx, id, time, kind, maker, seq, principal, agent, instance, workflow, \
     task, run, grant_id, delegation, action, tool, decision, reason, leaf_hash, leaf";

pub(crate) fn entry(r: &rusqlite::Row<'_>) -> Read<StoredEntry> {
    Ok(StoredEntry {
        index: count(r, 0)?,
        id: parsed(r, 1)?,
        time: time(r, 2)?,
        kind: r.get(3)?,
        maker: r.get(4)?,
        seq: count(r, 5)?,
        subjects: Subjects {
            principal: r.get(6)?,
            agent: r.get(7)?,
            instance: r.get(8)?,
            workflow: r.get(9)?,
            task: r.get(10)?,
            run: r.get(11)?,
            grant: r.get(12)?,
            delegation: r.get(13)?,
            action: r.get(14)?,
            tool: r.get(15)?,
            decision: r.get(16)?,
            reason: r.get(17)?,
        },
        leaf_hash: Hash::from_bytes(array(r, 18)?),
        leaf: r.get(19)?,
    })
}

impl View<'_> {
    /// The entry at an index of the log.
    ///
    /// # Errors
    /// [`StoreError::Fault`], as for every read here.
    pub fn entry(&self, index: u64) -> Result<Option<StoredEntry>, StoreError> {
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        let sql = format!("SELECT {COLUMNS} FROM entries WHERE org = ?1 AND idx = ?2");
        self.one(&sql, (self.cx.org.as_str(), index), entry)
    }

    /// The entry with this id.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn entry_by_id(&self, id: &EntryId) -> Result<Option<StoredEntry>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM entries WHERE org = ?1 AND id = ?2");
        self.one(&sql, (self.cx.org.as_str(), id.as_str()), entry)
    }

    /// Every entry about an action, in order.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn entries_of_action(&self, id: &ActionId) -> Result<Vec<StoredEntry>, StoreError> {
        let sql =
            format!("SELECT {COLUMNS} FROM entries WHERE org = ?1 AND action = ?2 ORDER BY idx");
        self.many(&sql, (self.cx.org.as_str(), id.as_str()), entry)
    }

    /// A decided call and what became of it.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn action(&self, id: &ActionId) -> Result<Option<Action>, StoreError> {
        let mut entries = self.entries_of_action(id)?.into_iter();
        let Some(decided) = entries.find(|e| e.kind == Kind::ActionDecided.as_str()) else {
            return Ok(None);
        };
        let completed = entries.find(|e| e.kind == Kind::ActionCompleted.as_str());
        Ok(Some(Action { decided, completed }))
    }

    /// Entries from an index on, in order.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn tail(&self, from: u64, limit: u32) -> Result<Vec<StoredEntry>, StoreError> {
        let from = i64::try_from(from).unwrap_or(i64::MAX);
        let sql = format!(
            "SELECT {COLUMNS} FROM entries WHERE org = ?1 AND idx >= ?2 ORDER BY idx LIMIT ?3"
        );
        self.many(&sql, (self.cx.org.as_str(), from, limit.min(MAX_RESULTS)), entry)
    }

    /// The newest entries that fit, newest first.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn query(&self, filter: &Filter) -> Result<Vec<StoredEntry>, StoreError> {
        let (sql, params) = statement(self.cx.org.as_str(), filter);
        let mut found = self.many(&sql, rusqlite::params_from_iter(params), entry)?;
        found.sort_by_key(|e| std::cmp::Reverse(e.index));
        Ok(found)
    }

    /// The newest entries that fit, newest first, with bounded work: several
    /// conditions at once are held against `window` entries.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn search(&self, filter: &Filter, window: u64) -> Result<Found, StoreError> {
        let (first, end) = self.span(filter)?;
        let end = filter.before.map_or(end, |before| before.min(end));
        let begin = match conditions(filter) {
            0 | 1 => first,
            _ => end.saturating_sub(window).max(first),
        };
        if begin >= end {
            return Ok(Found::default());
        }
        let bounded = Filter { before: Some(end), from: Some(begin), ..filter.clone() };
        let entries = self.query(&bounded)?;
        let most = usize::try_from(filter.limit.min(MAX_RESULTS)).unwrap_or(usize::MAX);
        let goes_on = begin > first && entries.len() < most;
        Ok(Found { entries, looked_to: goes_on.then_some(begin) })
    }

    /// The indices between which the filter's times lie: the first, and the one
    /// after the last.
    fn span(&self, filter: &Filter) -> Result<(u64, u64), StoreError> {
        let place = |sql: &str, time: Timestamp| {
            self.one(sql, (self.cx.org.as_str(), time.millis()), |r| count(r, 0))
        };
        let size = self.log_size()?;
        let first = match filter.since {
            Some(since) => {
                let sql = "SELECT idx FROM entries WHERE org = ?1 AND time >= ?2
                           ORDER BY time LIMIT 1";
                place(sql, since)?.map_or(size, |index| index.saturating_sub(DISORDER))
            }
            None => 0,
        };
        let end = match filter.until {
            Some(until) => {
                let sql = "SELECT idx FROM entries WHERE org = ?1 AND time < ?2
                           ORDER BY time DESC LIMIT 1";
                place(sql, until)?.map_or(0, |index| index.saturating_add(DISORDER).min(size))
            }
            None => size,
        };
        Ok((first.max(filter.from.unwrap_or(0)), end))
    }

    /// The newest decided calls that fit, newest first, each with its outcome.
    /// `filter.kind` is not looked at.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn actions(&self, filter: &Filter) -> Result<Vec<Action>, StoreError> {
        let filter = Filter { kind: Some(Kind::ActionDecided), ..filter.clone() };
        let sql = format!(
            "SELECT {COLUMNS} FROM entries
             WHERE org = ?1 AND action = ?2 AND kind = ?3 ORDER BY idx LIMIT 1"
        );
        self.query(&filter)?
            .into_iter()
            .map(|decided| {
                let kind = Kind::ActionCompleted.as_str();
                let completed = match &decided.subjects.action {
                    Some(action) => self.one(&sql, (self.cx.org.as_str(), action, kind), entry)?,
                    None => None,
                };
                Ok(Action { decided, completed })
            })
            .collect()
    }
}

/// How many conditions a filter has that an index serves one at a time.
fn conditions(filter: &Filter) -> usize {
    let texts = [&filter.principal, &filter.agent, &filter.task, &filter.tool, &filter.decision];
    texts.iter().filter(|text| text.is_some()).count() + usize::from(filter.kind.is_some())
}

/// The statement and its parameters for a filter.
fn statement(org: &str, filter: &Filter) -> (String, Vec<Value>) {
    let mut sql = format!("SELECT {COLUMNS} FROM entries WHERE org = ?");
    let mut params = vec![Value::from(org.to_owned())];
    let mut add = |condition: &str, value: Value| {
        sql.push_str(" AND ");
        sql.push_str(condition);
        params.push(value);
    };
    let narrowed = conditions(filter) > 0;
    // In the order in which they narrow. The index of the first is walked; the `+`
    // keeps the engine from taking another one, which may hold nearly every entry.
    let texts = [
        ("task", &filter.task),
        ("tool", &filter.tool),
        ("principal", &filter.principal),
        ("agent", &filter.agent),
        ("decision", &filter.decision),
    ];
    let mut plus = "";
    for (column, text) in texts {
        if let Some(text) = text {
            add(&format!("{plus}{column} = ?"), Value::from(text.clone()));
            plus = "+";
        }
    }
    if let Some(kind) = filter.kind {
        add(&format!("{plus}kind = ?"), Value::from(kind.as_str().to_owned()));
    }
    // With another condition its index gives the order, and the `+` keeps
    // the engine from sorting the whole time range instead.
    let by_time =
        !narrowed && filter.from.is_none() && (filter.since.is_some() || filter.until.is_some());
    let (since, until) =
        if by_time { ("time >= ?", "time < ?") } else { ("+time >= ?", "+time < ?") };
    if let Some(time) = filter.since {
        add(since, Value::from(time.millis()));
    }
    if let Some(time) = filter.until {
        add(until, Value::from(time.millis()));
    }
    if let Some(before) = filter.before {
        add("idx < ?", Value::from(i64::try_from(before).unwrap_or(i64::MAX)));
    }
    if let Some(from) = filter.from {
        add("idx >= ?", Value::from(i64::try_from(from).unwrap_or(i64::MAX)));
    }
    sql.push_str(if by_time {
        " ORDER BY time DESC, idx DESC LIMIT ?"
    } else {
        " ORDER BY idx DESC LIMIT ?"
    });
    params.push(Value::from(i64::from(filter.limit.min(MAX_RESULTS))));
    (sql, params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_search_walks_an_index_and_stops_at_its_limit() {
        let c = crate::connection::scratch().unwrap();
        let text = || Some("x".to_owned());
        let time = Some(Timestamp::from_millis(5));
        let all = Filter::default;
        for filter in [
            all(),
            Filter { before: Some(9), ..all() },
            Filter { since: time, until: time, ..all() },
            Filter { since: time, before: Some(9), from: Some(2), ..all() },
            Filter { tool: text(), agent: text(), before: Some(9), from: Some(2), ..all() },
            Filter { principal: text(), since: time, ..all() },
            Filter { agent: text(), until: time, ..all() },
            Filter { task: text(), since: time, until: time, ..all() },
            Filter { tool: text(), decision: text(), ..all() },
            Filter { decision: text(), kind: Some(Kind::Revoked), since: time, ..all() },
        ] {
            let (sql, params) = statement("o", &filter);
            let mut query = c.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let plan: Vec<String> = query
                .query_map(rusqlite::params_from_iter(params), |r| r.get(3))
                .unwrap()
                .map(Result::unwrap)
                .collect();
            assert!(plan.iter().all(|p| !p.contains("SCAN")), "{plan:?}");
            // Entries of the very same millisecond are sorted among themselves.
            let sorts = |p: &&String| p.contains("TEMP B-TREE") && !p.contains("LAST TERM");
            assert_eq!(plan.iter().find(sorts), None, "{filter:?}");
        }
    }
}
