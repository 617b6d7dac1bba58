//! Opening the database: how it is configured, how its schema is migrated, and
//! whether it still is the file that was opened.

use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use crate::error::{Fault, StoreError};
use crate::files::sync_parent;

/// How long to wait for another process before reporting it as busy.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// "BLWK", so that `file` and we can tell our files from others'.
const APPLICATION_ID: i64 = 0x424c_574b;

/// The schema's steps; the version of a file is how many it has.
/// INVARIANT: a step that was released is never edited.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/0001_first.sql"),
    include_str!("schema/0002_people.sql"),
    include_str!("schema/0003_candidates.sql"),
    include_str!("schema/0004_policies.sql"),
    include_str!("schema/0005_vault.sql"),
    include_str!("schema/0006_lives.sql"),
    include_str!("schema/0007_approvals.sql"),
    include_str!("schema/0008_standings.sql"),
    include_str!("schema/0009_inbox.sql"),
    include_str!("schema/0010_stops.sql"),
    include_str!("schema/0011_requests.sql"),
    include_str!("schema/0012_handoffs.sql"),
    include_str!("schema/0013_peers.sql"),
    include_str!("schema/0014_handoff_agents.sql"),
    include_str!("schema/0015_trust_domains.sql"),
    include_str!("schema/0016_runs.sql"),
    include_str!("schema/0017_metrics.sql"),
    include_str!("schema/0018_failures.sql"),
    include_str!("schema/0019_autonomy.sql"),
    include_str!("schema/0020_rollup.sql"),
    include_str!("schema/0021_run_failed.sql"),
    include_str!("schema/0022_errands.sql"),
    include_str!("schema/0023_counts.sql"),
    include_str!("schema/0024_run_tools.sql"),
];

/// The newest schema version that this program knows.
#[must_use]
pub fn schema_version() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// A connection to one particular file.
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    path: PathBuf,
    identity: Identity,
}

/// Which file it is, whatever its name: device and inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity(u64, u64);

impl Identity {
    fn of(path: &Path) -> Result<Self, StoreError> {
        let found = std::fs::metadata(path);
        let metadata = found.map_err(|e| StoreError::io("find the database", &e))?;
        Ok(Self(metadata.dev(), metadata.ino()))
    }

    fn must_be(self, expected: Self) -> Result<(), StoreError> {
        if self == expected {
            return Ok(());
        }
        Err(StoreError::Fault {
            fault: Fault::Missing,
            during: "find the database",
            detail: "another file is in its place".to_owned(),
        })
    }
}

impl Opened {
    /// Which file this connection writes to.
    pub(crate) const fn identity(&self) -> Identity {
        self.identity
    }

    /// Whether the file under the path still is the one that this connection
    /// writes to. Without this check a write to a removed file would be
    /// acknowledged and lost.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        Identity::of(&self.path)?.must_be(self.identity)
    }
}

/// Makes the file with mode 0600 if it does not exist, so that the engine
/// gives its companions the same mode.
pub(crate) fn create(path: &Path) -> Result<(), StoreError> {
    let created = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match created {
        Ok(file) => {
            file.sync_all().map_err(|e| StoreError::io("make the database", &e))?;
            sync_parent(path)
        }
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(StoreError::io("make the database", &e)),
    }
}

/// Opens an existing file for writing and brings its schema up to date.
pub(crate) fn open_writer(path: &Path) -> Result<Opened, StoreError> {
    begin_writing(open(path, Identity::of(path)?)?)
}

/// Opens for writing the file that was open before, and no other.
///
/// SECURITY: an older copy put in its place would forget what was revoked.
pub(crate) fn reopen_writer(path: &Path, expected: Identity) -> Result<Opened, StoreError> {
    begin_writing(open(path, expected)?)
}

fn begin_writing(mut opened: Opened) -> Result<Opened, StoreError> {
    let during = "open the database";
    let sql = |e: rusqlite::Error| StoreError::sql(during, &e);
    check_ours(&opened)?;
    let c = &mut opened.connection;
    let mode: String = c.query_row("PRAGMA journal_mode = WAL", [], |r| r.get(0)).map_err(sql)?;
    if mode != "wal" {
        return Err(StoreError::Fault {
            fault: Fault::ReadOnly,
            during,
            detail: format!("the journal mode is `{mode}`, expected `wal`"),
        });
    }
    c.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA fullfsync = ON;
         PRAGMA checkpoint_fullfsync = ON;
         PRAGMA secure_delete = ON;
         PRAGMA cache_size = -8192;
         PRAGMA wal_autocheckpoint = 4000;
         PRAGMA journal_size_limit = 67108864;",
    )
    .map_err(sql)?;
    migrate(c)?;
    Ok(opened)
}

/// Opens an existing file for reading.
pub(crate) fn open_reader(path: &Path) -> Result<Opened, StoreError> {
    reopen_reader(path, Identity::of(path)?)
}

/// Opens for reading the file that was open before, and no other.
pub(crate) fn reopen_reader(path: &Path, expected: Identity) -> Result<Opened, StoreError> {
    // Opened for writing where possible: a reader of a WAL file may have to
    // make the shared index. `query_only` keeps it from writing anything else.
    let opened = open(path, expected)?;
    check_ours(&opened)?;
    opened
        .connection
        .execute_batch("PRAGMA query_only = ON;")
        .map_err(|e| StoreError::sql("open the database", &e))?;
    check_version(version(&opened.connection)?)?;
    Ok(opened)
}

fn open(path: &Path, identity: Identity) -> Result<Opened, StoreError> {
    let during = "open the database";
    let sql = |e: rusqlite::Error| StoreError::sql(during, &e);
    Identity::of(path)?.must_be(identity)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    // NOFOLLOW refuses a symbolic link anywhere in the path, so resolve it.
    let real = path.canonicalize().map_err(|e| StoreError::io(during, &e))?;
    let connection = Connection::open_with_flags(real, flags).map_err(sql)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(sql)?;
    connection.set_prepared_statement_cache_capacity(256);
    // Cached statements keep their plan; without this the engine plans each anew
    // whenever a parameter is bound, because it keeps statistics of samples.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(sql)?;
    // SECURITY: the schema has neither triggers nor views; whoever plants one in
    // the file gets no code run by it.
    for never in [DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW] {
        connection.set_db_config(never, false).map_err(sql)?;
    }
    connection
        .execute_batch(
            "PRAGMA foreign_keys = ON;
             PRAGMA trusted_schema = OFF;
             PRAGMA cell_size_check = ON;
             PRAGMA temp_store = MEMORY;",
        )
        .map_err(sql)?;
    let opened = Opened { connection, path: path.to_owned(), identity };
    opened.check()?;
    Ok(opened)
}

/// Opens an existing file for an audit: closing it does not move the
/// write-ahead log into the database, so what is audited stays as it was.
pub(crate) fn open_auditor(path: &Path) -> Result<Opened, StoreError> {
    let opened = open_reader(path)?;
    opened
        .connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(|e| StoreError::sql("open the database", &e))?;
    Ok(opened)
}

/// An empty database with our schema, in memory only, in which rows may refer
/// to rows that are not there.
pub(crate) fn scratch() -> Result<Connection, StoreError> {
    let sql = |e: rusqlite::Error| StoreError::sql("make a scratch database", &e);
    let mut c = Connection::open_in_memory().map_err(sql)?;
    migrate(&mut c)?;
    c.set_prepared_statement_cache_capacity(64);
    c.execute_batch("PRAGMA foreign_keys = OFF").map_err(sql)?;
    Ok(c)
}

fn pragma(c: &Connection, name: &str) -> Result<i64, StoreError> {
    c.pragma_query_value(None, name, |r| r.get(0))
        .map_err(|e| StoreError::sql("read the schema version", &e))
}

fn version(c: &Connection) -> Result<i64, StoreError> {
    pragma(c, "user_version")
}

fn check_version(found: i64) -> Result<(), StoreError> {
    let known = schema_version();
    if found > known { Err(StoreError::SchemaNewer { found, known }) } else { Ok(()) }
}

fn check_ours(opened: &Opened) -> Result<(), StoreError> {
    let Opened { connection: c, path, .. } = opened;
    let fresh = version(c)? == 0 && {
        let tables: i64 = c
            .query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0))
            .map_err(|e| StoreError::sql("read the schema", &e))?;
        tables == 0
    };
    if fresh || pragma(c, "application_id")? == APPLICATION_ID {
        Ok(())
    } else {
        Err(StoreError::NotOurs { path: path.clone() })
    }
}

/// Brings the schema up to date in one transaction. The version is read
/// inside, so that two processes that start together migrate once.
fn migrate(c: &mut Connection) -> Result<(), StoreError> {
    migrate_with(c, MIGRATIONS)
}

fn migrate_with(c: &mut Connection, steps: &[&str]) -> Result<(), StoreError> {
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    let found = version(c)?;
    if found > known {
        return Err(StoreError::SchemaNewer { found, known });
    }
    if found == known {
        return Ok(());
    }
    let sql = |e: rusqlite::Error| StoreError::sql("migrate the schema", &e);
    let tx = c.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql)?;
    let found = version(&tx)?;
    let done = usize::try_from(found).unwrap_or(usize::MAX);
    for step in steps.iter().skip(done) {
        tx.execute_batch(step).map_err(sql)?;
    }
    tx.pragma_update(None, "application_id", APPLICATION_ID).map_err(sql)?;
    tx.pragma_update(None, "user_version", known.max(found)).map_err(sql)?;
    tx.commit().map_err(sql)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fresh() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.db");
        create(&path).unwrap();
        (dir, path)
    }

    #[test]
    fn a_newer_schema_is_refused_and_left_alone() {
        let (_dir, path) = fresh();
        let opened = open_writer(&path).unwrap();
        opened.connection.pragma_update(None, "user_version", 99).unwrap();
        drop(opened);
        let known = schema_version();
        for refused in [open_writer(&path).err(), open_reader(&path).err()] {
            assert_eq!(refused, Some(StoreError::SchemaNewer { found: 99, known }));
        }
    }

    #[test]
    fn an_older_schema_is_migrated_whole_or_not_at_all() {
        let (_dir, path) = fresh();
        let mut opened = open_writer(&path).unwrap();
        let c = &mut opened.connection;
        let add = "CREATE TABLE later (x INTEGER) STRICT;";
        let first = schema_version();
        let mut steps = MIGRATIONS.to_vec();
        steps.extend([add, "CREATE TABLE broken ("]);
        assert!(migrate_with(c, &steps).is_err());
        assert_eq!(version(c).unwrap(), first);
        assert!(c.prepare("SELECT x FROM later").is_err());
        steps.pop();
        migrate_with(c, &steps).unwrap();
        assert_eq!(version(c).unwrap(), first + 1);
        assert!(c.prepare("SELECT x FROM later").is_ok());
        migrate_with(c, &steps).unwrap();
    }

    /// Installations of before have decisions that nobody counted.
    #[test]
    fn what_was_decided_before_it_was_counted_is_counted_once() {
        let (_dir, path) = fresh();
        let at = MIGRATIONS.iter().position(|s| s.contains("CREATE TABLE calls_hourly")).unwrap();
        let mut c = Connection::open(&path).unwrap();
        migrate_with(&mut c, &MIGRATIONS[..at]).unwrap();
        let add = "INSERT INTO entries (org, idx, id, time, kind, maker, seq, workflow, tool,
                       decision, reason, leaf_hash, leaf)
                   VALUES ('o', ?1, ?1, 7200001, ?2, 'm', ?1, 'w', 't', ?3, ?4, x'00', ?5)";
        let leaf = br#"{"body":{"workflow_digest":"d"}}"#.as_slice();
        let decided = "action.decided";
        c.execute(add, (0, decided, "allow", None::<&str>, leaf)).unwrap();
        c.execute(add, (1, decided, "deny", Some("budget-exceeded"), leaf)).unwrap();
        c.execute(add, (2, decided, "deny", Some("budget-exceeded"), leaf)).unwrap();
        c.execute(add, (3, "action.completed", None::<&str>, Some("ok"), leaf)).unwrap();
        migrate(&mut c).unwrap();
        let sql =
            "SELECT hour || workflow || workflow_digest || agent || tool || decision || reason
                       || calls FROM calls_hourly ORDER BY decision";
        let mut counted = c.prepare(sql).unwrap();
        let counted: Vec<String> =
            counted.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(counted, ["2wdtallow1", "2wdtdenybudget-exceeded2"]);
    }

    #[test]
    fn a_database_of_something_else_is_refused_and_left_alone() {
        let (_dir, path) = fresh();
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
        assert_eq!(open_writer(&path).err().unwrap().code(), "store-not-ours");
        std::fs::write(&path, vec![b'x'; 8192]).unwrap();
        assert_eq!(open_writer(&path).err().unwrap().code(), "store-corrupt");
    }

    #[test]
    fn the_database_is_durable_on_commit_and_readable_by_its_owner_only() {
        let (dir, path) = fresh();
        let opened = open_writer(&path).unwrap();
        let c = &opened.connection;
        assert_eq!(pragma(c, "synchronous").unwrap(), 2);
        assert_eq!(pragma(c, "foreign_keys").unwrap(), 1);
        assert_eq!(pragma(c, "secure_delete").unwrap(), 1);
        for name in ["state.db", "state.db-wal", "state.db-shm"] {
            let mode = std::fs::metadata(dir.path().join(name)).unwrap().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert!(open_reader(&path).unwrap().connection.execute("DELETE FROM entries", []).is_err());
    }

    #[test]
    fn a_database_replaced_under_us_is_noticed() {
        let (dir, path) = fresh();
        let opened = open_writer(&path).unwrap();
        opened.check().unwrap();
        std::fs::rename(&path, dir.path().join("away")).unwrap();
        assert_eq!(opened.check().unwrap_err().code(), "store-missing");
        std::fs::copy(dir.path().join("away"), &path).unwrap();
        assert_eq!(opened.check().unwrap_err().code(), "store-missing");
        for again in [reopen_writer, reopen_reader] {
            let refused = again(&path, opened.identity()).err();
            assert_eq!(refused.map(|e| e.code()), Some("store-missing"));
        }
    }
}
