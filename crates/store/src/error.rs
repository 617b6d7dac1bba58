//! What can go wrong, split by whose fault it is.

use std::path::PathBuf;

use bailiwick_core::ledger::EntryError;

/// A condition of the machine below us: nothing is wrong with the request.
/// Callers deny; the store works again once the condition is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Fault {
    /// Another process holds the database for longer than we wait.
    #[error("another process holds the database")]
    Busy,
    /// The database does not read as one.
    #[error("the database is damaged")]
    Corrupt,
    /// No room on the disk.
    #[error("the disk is full")]
    Full,
    /// Reading, writing or syncing failed.
    #[error("reading or writing failed")]
    Io,
    /// The database file is gone or is no longer the one that was opened.
    #[error("the database file is missing or was replaced")]
    Missing,
    /// The data dir cannot be written.
    #[error("the data dir is read-only")]
    ReadOnly,
}

impl Fault {
    /// The stable code.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Busy => "store-busy",
            Self::Corrupt => "store-corrupt",
            Self::Full => "store-full",
            Self::Io => "store-io",
            Self::Missing => "store-missing",
            Self::ReadOnly => "store-read-only",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Busy => "try again; if it persists, find the process that holds the data dir",
            Self::Corrupt => {
                "stop the service, keep the data dir as evidence and restore a copy that verifies"
            }
            Self::Full => "free space on the disk of the data dir, then try again",
            Self::Io => "check the disk of the data dir, then try again",
            Self::Missing => "put the data dir back in its place, then restart the service",
            Self::ReadOnly => "make the data dir writable for this user, then try again",
        }
    }
}

/// Why the store did not do what it was asked.
///
/// Whatever the error, a unit of work that failed left nothing behind, except
/// after [`StoreError::Fault`] `during` `commit`: there it is unknown until the
/// store is read again, and a caller treats it as not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The action is not open: never allowed, or its outcome is already recorded.
    #[error("the action `{action}` is not open")]
    ActionNotOpen {
        /// The action.
        action: String,
    },
    /// Another process already does this job on the data dir.
    #[error("another process already runs as `{role}` on this data dir")]
    AlreadyRunning {
        /// The job, for example `serve`.
        role: String,
    },
    /// A row with this key exists.
    #[error("the {what} exists already")]
    Conflict {
        /// What exists.
        what: &'static str,
    },
    /// An entry cannot be made.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// No random bytes.
    #[error("the system gave no random bytes")]
    Entropy,
    /// The machine below failed.
    #[error("{fault} (while trying to {during}): {detail}")]
    Fault {
        /// Its class.
        fault: Fault,
        /// What was tried, as a verb.
        during: &'static str,
        /// What the layer below said.
        detail: String,
    },
    /// The ledger files and the database do not fit together.
    #[error("the ledger cannot be continued: {detail}")]
    Ledger {
        /// A stable code.
        code: &'static str,
        /// What does not fit.
        detail: String,
    },
    /// A secret file can be read by others.
    #[error("`{path}` can be read by others: its mode is {mode:o}, expected 600")]
    LoosePermissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// What the row refers to does not exist.
    #[error("there is no such {what}")]
    NoSuch {
        /// What was referred to.
        what: &'static str,
    },
    /// The file is a database of something else.
    #[error("`{path}` is not a state file of this program")]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// Too many units of work wait already.
    #[error("too many writes are waiting")]
    Overloaded,
    /// The encrypted text cannot be opened with this data dir's key.
    #[error("the encrypted record of entry `{entry}` cannot be opened")]
    Plaintext {
        /// The entry.
        entry: String,
    },
    /// The database was written by a newer version.
    #[error("the state has schema {found}, this program knows up to {known}")]
    SchemaNewer {
        /// The version in the file.
        found: i64,
        /// The newest version known.
        known: i64,
    },
    /// The unit of work was interrupted before it answered.
    #[error("the write was interrupted before it was durable")]
    Interrupted,
    /// A credential in the vault cannot be opened.
    #[error("the credential for `{server}` in the vault cannot be opened")]
    VaultSealed {
        /// The tool server.
        server: String,
    },
    /// A value lies outside what the store holds.
    #[error("the {what} is out of range")]
    Value {
        /// Which value.
        what: &'static str,
    },
}

impl StoreError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::ActionNotOpen { .. } => "action-not-open",
            Self::AlreadyRunning { .. } => "already-running",
            Self::Conflict { .. } => "already-exists",
            Self::Entry(e) => e.code(),
            Self::Entropy => "no-entropy",
            Self::Fault { fault, .. } => fault.code(),
            Self::Interrupted => "store-interrupted",
            Self::Ledger { code, .. } => code,
            Self::LoosePermissions { .. } => "loose-permissions",
            Self::NoSuch { .. } => "no-such-record",
            Self::NotOurs { .. } => "store-not-ours",
            Self::Overloaded => "store-overloaded",
            Self::Plaintext { .. } => "plaintext-unreadable",
            Self::SchemaNewer { .. } => "schema-newer",
            Self::Value { .. } => "value-out-of-range",
            Self::VaultSealed { .. } => "vault-sealed",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::ActionNotOpen { .. } => "record one outcome for each allowed action",
            Self::AlreadyRunning { .. } => "stop the other process or use another data dir",
            Self::Conflict { .. } => "use another name, or change the one that exists",
            Self::Entry(_) => "make the request smaller: large texts are committed, not written",
            Self::Entropy => "check the system's random number source, then try again",
            Self::Fault { fault, .. } => fault.remedy(),
            Self::Interrupted => "read what was recorded, then try again",
            Self::Ledger { .. } => "keep the data dir as evidence and restore a copy that verifies",
            Self::LoosePermissions { .. } => {
                "run `chmod 600` on the file, and replace the key \
                if others may have read it"
            }
            Self::NoSuch { .. } => "add it first, or check its name",
            Self::NotOurs { .. } => "name the data dir that `init` made",
            Self::Overloaded => "try again later",
            Self::Plaintext { .. } => "restore the plaintext key that belongs to this data dir",
            Self::SchemaNewer { .. } => "use the version that wrote this data dir, or a newer one",
            Self::Value { .. } => "use a smaller value",
            Self::VaultSealed { .. } => {
                "restore the key of the vault that belongs to this data dir, or set the credential again"
            }
        }
    }

    /// The fault below, if that is what this is.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Fault { fault, .. } => Some(*fault),
            _ => None,
        }
    }

    pub(crate) fn sql(during: &'static str, error: &rusqlite::Error) -> Self {
        use rusqlite::ffi::ErrorCode as C;
        let fault = match error.sqlite_error_code() {
            Some(C::DatabaseBusy | C::DatabaseLocked) => Fault::Busy,
            Some(C::DiskFull) => Fault::Full,
            Some(C::ReadOnly | C::PermissionDenied) => Fault::ReadOnly,
            Some(C::CannotOpen) => Fault::Missing,
            Some(C::DatabaseCorrupt | C::NotADatabase | C::SchemaChanged) => Fault::Corrupt,
            Some(C::ConstraintViolation) => return Self::Conflict { what: "record" },
            Some(_) => Fault::Io,
            // A value in a column that does not read as what it should be.
            None => Fault::Corrupt,
        };
        Self::Fault { fault, during, detail: error.to_string() }
    }

    pub(crate) fn io(during: &'static str, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as K;
        let fault = match error.kind() {
            K::StorageFull | K::QuotaExceeded | K::FileTooLarge => Fault::Full,
            K::ReadOnlyFilesystem | K::PermissionDenied => Fault::ReadOnly,
            K::NotFound | K::NotADirectory | K::IsADirectory => Fault::Missing,
            _ => Fault::Io,
        };
        Self::Fault { fault, during, detail: error.to_string() }
    }
}
