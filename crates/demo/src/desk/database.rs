//! The desk's own SQLite file: its business data, its call log and its refusal log.

use std::{
    path::Path,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _, Row, params};
use serde::Serialize;

use super::{DeskError, seed};

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS customer (
    customer_id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS \"order\" (
    order_id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customer, item TEXT NOT NULL,
    total_cents INTEGER NOT NULL, refunded_cents INTEGER NOT NULL, status TEXT NOT NULL, placed TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS order_by_customer ON \"order\" (customer_id);
CREATE TABLE IF NOT EXISTS ticket (
    ticket_id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customer, order_id INTEGER REFERENCES \"order\",
    subject TEXT NOT NULL, body TEXT NOT NULL, status TEXT NOT NULL, priority TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS note (
    note_id INTEGER PRIMARY KEY, ticket_id INTEGER NOT NULL REFERENCES ticket, text TEXT NOT NULL) STRICT;
CREATE INDEX IF NOT EXISTS note_by_ticket ON note (ticket_id);
CREATE TABLE IF NOT EXISTS refund (
    refund_id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL REFERENCES \"order\", amount_cents INTEGER NOT NULL,
    reason TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS call_log (
    number INTEGER PRIMARY KEY, time TEXT NOT NULL, tool TEXT NOT NULL, arguments TEXT NOT NULL, meta TEXT NOT NULL,
    request_id TEXT NOT NULL, protocol TEXT NOT NULL, outcome TEXT) STRICT;
CREATE TABLE IF NOT EXISTS refusal_log (
    number INTEGER PRIMARY KEY, time TEXT NOT NULL, reason TEXT NOT NULL, method TEXT NOT NULL) STRICT;
";

/// Most rows of the refusal log: whoever has no credential must not be able to fill the disk.
const MAX_REFUSALS: i64 = 10_000;

/// SQLite's own UTC clock, RFC 3339 with milliseconds.
const NOW: &str = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";

/// One call that the desk executed, as its own log has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoggedCall {
    /// Position in the log, from 1.
    pub number: i64,
    /// When it was about to be executed (UTC, RFC 3339).
    pub time: String,
    /// Tool name; `resources/read` and `prompts/<name>` for the other two kinds of call.
    pub tool: String,
    /// Arguments as received, as JSON text.
    pub arguments: String,
    /// The request's `_meta` as received, as JSON text: a presentation must never show here.
    pub meta: String,
    /// JSON-RPC request id as received.
    pub request_id: String,
    /// MCP protocol version the call was served under.
    pub protocol: String,
    /// `ok` or `error` once it ended, `None` while it runs or if the desk died over it.
    pub outcome: Option<String>,
}

/// One request refused for want of the credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// When (UTC, RFC 3339).
    pub time: String,
    /// Why: the text form of a [`RefusalReason`].
    pub reason: String,
    /// HTTP method of the request.
    pub method: String,
}

/// What was wrong with a request's credential. Only the log says which; the caller always gets the same 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalReason {
    /// More than one `Authorization` header, or not a bearer token.
    Malformed,
    /// No `Authorization` header.
    Missing,
    /// Another credential.
    Wrong,
}

impl RefusalReason {
    /// Text form for the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Missing => "missing",
            Self::Wrong => "wrong",
        }
    }
}

/// A call about to be executed.
pub(super) struct NewCall<'a> {
    pub(super) tool: &'a str,
    pub(super) arguments: &'a str,
    pub(super) meta: &'a str,
    pub(super) request_id: &'a str,
    pub(super) protocol: &'a str,
}

/// A customer, as the tools return it.
#[derive(Debug, Serialize)]
pub(super) struct Customer {
    customer_id: i64,
    name: String,
    email: String,
}

/// An order, as the tools return it.
#[derive(Debug, Serialize)]
pub(super) struct Order {
    pub(super) order_id: i64,
    customer_id: i64,
    item: String,
    pub(super) total_cents: i64,
    pub(super) refunded_cents: i64,
    status: String,
    placed: String,
}

/// A ticket with its notes, as the tools return it.
#[derive(Debug, Serialize)]
pub(super) struct Ticket {
    ticket_id: i64,
    customer_id: i64,
    order_id: Option<i64>,
    subject: String,
    body: String,
    status: String,
    priority: String,
    notes: Vec<String>,
}

/// What became of a refund.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Refund {
    Made { refund_id: i64, order_id: i64, amount_cents: i64, refunded_cents: i64 },
    NoSuchOrder,
    TooMuch { left_cents: i64 },
}

/// The desk's database. Statements take microseconds, so one connection behind a lock serves all.
#[derive(Debug)]
pub(super) struct Database {
    connection: Mutex<Connection>,
}

impl Database {
    /// Opens the file, making and filling it if there is none.
    pub(super) fn open(path: &Path) -> Result<Self, DeskError> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        tx.execute_batch(SCHEMA)?;
        let empty: bool =
            tx.query_row("SELECT NOT EXISTS (SELECT 1 FROM customer)", [], |row| row.get(0))?;
        if empty {
            seed::fill(&tx)?;
        }
        tx.commit()?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Opens a file that a desk has made, to read its logs.
    pub(super) fn open_existing(path: &Path) -> Result<Self, DeskError> {
        // Read-write, because a reader of a WAL database may have to recover it; nothing is written here.
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A panic under the lock leaves at most a transaction that SQLite rolls back.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a call to the log and returns its number.
    pub(super) fn log_call(&self, call: &NewCall<'_>) -> Result<i64, DeskError> {
        let connection = self.lock();
        connection
            .prepare_cached(&format!(
                "INSERT INTO call_log (time, tool, arguments, meta, request_id, protocol)
                 VALUES ({NOW}, ?1, ?2, ?3, ?4, ?5)"
            ))?
            .execute(params![
                call.tool,
                call.arguments,
                call.meta,
                call.request_id,
                call.protocol
            ])?;
        Ok(connection.last_insert_rowid())
    }

    /// Notes how a logged call ended.
    pub(super) fn log_outcome(&self, number: i64, outcome: &str) -> Result<(), DeskError> {
        self.lock()
            .prepare_cached("UPDATE call_log SET outcome = ?2 WHERE number = ?1")?
            .execute(params![number, outcome])?;
        Ok(())
    }

    /// The call log, oldest first.
    pub(super) fn call_log(&self) -> Result<Vec<LoggedCall>, DeskError> {
        let connection = self.lock();
        let mut statement = connection.prepare(
            "SELECT number, time, tool, arguments, meta, request_id, protocol, outcome FROM call_log ORDER BY number",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(LoggedCall {
                number: row.get(0)?,
                time: row.get(1)?,
                tool: row.get(2)?,
                arguments: row.get(3)?,
                meta: row.get(4)?,
                request_id: row.get(5)?,
                protocol: row.get(6)?,
                outcome: row.get(7)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Writes a refusal to the log, which keeps the newest [`MAX_REFUSALS`].
    pub(super) fn log_refusal(&self, reason: RefusalReason, method: &str) -> Result<(), DeskError> {
        let connection = self.lock();
        connection
            .prepare_cached(&format!(
                "INSERT INTO refusal_log (time, reason, method) VALUES ({NOW}, ?1, ?2)"
            ))?
            .execute(params![reason.as_str(), method])?;
        connection
            .prepare_cached("DELETE FROM refusal_log WHERE number <= ?1")?
            .execute([connection.last_insert_rowid() - MAX_REFUSALS])?;
        Ok(())
    }

    /// The refusal log, oldest first.
    pub(super) fn refusals(&self) -> Result<Vec<Refusal>, DeskError> {
        let connection = self.lock();
        let mut statement =
            connection.prepare("SELECT time, reason, method FROM refusal_log ORDER BY number")?;
        let rows = statement.query_map([], |row| {
            Ok(Refusal { time: row.get(0)?, reason: row.get(1)?, method: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    pub(super) fn ticket(&self, ticket_id: i64) -> Result<Option<Ticket>, DeskError> {
        let connection = self.lock();
        let mut notes = connection
            .prepare_cached("SELECT text FROM note WHERE ticket_id = ?1 ORDER BY note_id")?;
        let notes =
            notes.query_map([ticket_id], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
        Ok(connection
            .prepare_cached(
                "SELECT ticket_id, customer_id, order_id, subject, body, status, priority FROM ticket WHERE ticket_id = ?1",
            )?
            .query_row([ticket_id], |row| {
                Ok(Ticket {
                    ticket_id: row.get(0)?,
                    customer_id: row.get(1)?,
                    order_id: row.get(2)?,
                    subject: row.get(3)?,
                    body: row.get(4)?,
                    status: row.get(5)?,
                    priority: row.get(6)?,
                    notes,
                })
            })
            .optional()?)
    }

    /// Adds a note; false when there is no such ticket.
    pub(super) fn add_note(&self, ticket_id: i64, text: &str) -> Result<bool, DeskError> {
        let rows = self
            .lock()
            .prepare_cached(
                "INSERT INTO note (ticket_id, text) SELECT ticket_id, ?2 FROM ticket WHERE ticket_id = ?1",
            )?
            .execute(params![ticket_id, text])?;
        Ok(rows == 1)
    }

    fn read_order(row: &Row<'_>) -> rusqlite::Result<Order> {
        Ok(Order {
            order_id: row.get(0)?,
            customer_id: row.get(1)?,
            item: row.get(2)?,
            total_cents: row.get(3)?,
            refunded_cents: row.get(4)?,
            status: row.get(5)?,
            placed: row.get(6)?,
        })
    }

    pub(super) fn order(&self, order_id: i64) -> Result<Option<Order>, DeskError> {
        Self::order_in(&self.lock(), order_id)
    }

    fn order_in(connection: &Connection, order_id: i64) -> Result<Option<Order>, DeskError> {
        Ok(connection
            .prepare_cached(
                "SELECT order_id, customer_id, item, total_cents, refunded_cents, status, placed
                 FROM \"order\" WHERE order_id = ?1",
            )?
            .query_row([order_id], Self::read_order)
            .optional()?)
    }

    pub(super) fn orders(&self, customer_id: i64) -> Result<Vec<Order>, DeskError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT order_id, customer_id, item, total_cents, refunded_cents, status, placed
             FROM \"order\" WHERE customer_id = ?1 ORDER BY order_id",
        )?;
        Ok(statement.query_map([customer_id], Self::read_order)?.collect::<Result<_, _>>()?)
    }

    /// Customers whose name or address contains `query`, at most 20.
    pub(super) fn search_customers(&self, query: &str) -> Result<Vec<Customer>, DeskError> {
        let connection = self.lock();
        let mut statement = connection.prepare_cached(
            "SELECT customer_id, name, email FROM customer
             WHERE instr(lower(name), lower(?1)) > 0 OR instr(email, lower(?1)) > 0 ORDER BY customer_id LIMIT 20",
        )?;
        let rows = statement.query_map([query], |row| {
            Ok(Customer { customer_id: row.get(0)?, name: row.get(1)?, email: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Refunds part of an order, never more than is left of it.
    pub(super) fn refund(
        &self,
        order_id: i64,
        amount_cents: i64,
        reason: &str,
    ) -> Result<Refund, DeskError> {
        let mut connection = self.lock();
        let tx = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let Some(order) = Self::order_in(&tx, order_id)? else {
            return Ok(Refund::NoSuchOrder);
        };
        let left_cents = order.total_cents - order.refunded_cents;
        if amount_cents > left_cents {
            return Ok(Refund::TooMuch { left_cents });
        }
        let refunded_cents = order.refunded_cents + amount_cents;
        tx.execute(
            "UPDATE \"order\" SET refunded_cents = ?2 WHERE order_id = ?1",
            params![order_id, refunded_cents],
        )?;
        tx.execute(
            "INSERT INTO refund (order_id, amount_cents, reason) VALUES (?1, ?2, ?3)",
            params![order_id, amount_cents, reason],
        )?;
        let refund_id = tx.last_insert_rowid();
        tx.commit()?;
        Ok(Refund::Made { refund_id, order_id, amount_cents, refunded_cents })
    }

    /// How many tickets, orders and customers there are.
    pub(super) fn counts(&self) -> Result<[i64; 3], DeskError> {
        Ok(self.lock().query_row(
            "SELECT (SELECT count(*) FROM ticket), (SELECT count(*) FROM \"order\"), (SELECT count(*) FROM customer)",
            [],
            |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]),
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> (tempfile::TempDir, Database) {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(&dir.path().join("desk.db")).unwrap();
        (dir, database)
    }

    #[test]
    fn a_new_file_holds_the_seeded_data_and_reopening_keeps_it() {
        let (dir, database) = open();
        assert_eq!(database.counts().unwrap(), [360, 239, 80]);
        let ticket = database.ticket(8821).unwrap().unwrap();
        assert_eq!((ticket.customer_id, ticket.order_id), (1007, Some(10_072)));
        assert_eq!(database.orders(1007).unwrap().len(), 4);
        assert_eq!(database.ticket(9000).unwrap().unwrap().customer_id, 1042);
        assert!(database.add_note(8821, "called back").unwrap());
        assert!(!database.add_note(1, "nobody").unwrap());
        drop(database);
        let again = Database::open(&dir.path().join("desk.db")).unwrap();
        assert_eq!(again.counts().unwrap(), [360, 239, 80]);
        assert_eq!(again.ticket(8821).unwrap().unwrap().notes, ["called back"]);
    }

    #[test]
    fn every_ticket_is_about_an_order_of_its_own_customer() {
        let (_dir, database) = open();
        let strangers: i64 = database
            .lock()
            .query_row(
                "SELECT count(*) FROM ticket t LEFT JOIN \"order\" o ON o.order_id = t.order_id
                 WHERE o.customer_id IS NOT t.customer_id",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(strangers, 0);
    }

    #[test]
    fn refunds_never_exceed_what_is_left_of_the_order() {
        let (_dir, database) = open();
        let total = database.order(10_072).unwrap().unwrap().total_cents;
        assert!(matches!(
            database.refund(10_072, total - 1, "damaged").unwrap(),
            Refund::Made { .. }
        ));
        assert!(matches!(
            database.refund(10_072, 2, "again").unwrap(),
            Refund::TooMuch { left_cents: 1 }
        ));
        assert!(matches!(database.refund(10_072, 1, "rest").unwrap(), Refund::Made { .. }));
        assert!(matches!(database.refund(7, 1, "none").unwrap(), Refund::NoSuchOrder));
    }

    #[test]
    fn the_refusal_log_is_bounded() {
        let (_dir, database) = open();
        database
            .lock()
            .execute(
                "INSERT INTO refusal_log (number, time, reason, method) VALUES (?1, '', '', '')",
                [MAX_REFUSALS],
            )
            .unwrap();
        database.log_refusal(RefusalReason::Wrong, "POST").unwrap();
        database
            .lock()
            .execute(
                "INSERT INTO refusal_log (number, time, reason, method) VALUES (1, '', '', '')",
                [],
            )
            .unwrap();
        database.log_refusal(RefusalReason::Missing, "GET").unwrap();
        let reasons: Vec<_> =
            database.refusals().unwrap().into_iter().map(|refusal| refusal.reason).collect();
        assert_eq!(reasons, ["", "wrong", "missing"]);
    }
}
