//! The store: one writer, a few readers, one data dir.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use bailiwick_core::ids::OrgId;

use crate::connection::{self, Identity, Opened};
use crate::error::{Fault, StoreError};
use crate::fault::{Faults, NoFaults};
use crate::files::create_private_dir;
use crate::lives::Life;
use crate::pending::{Pending, pending};
use crate::seal::{Entropy, PlaintextKey};
use crate::tx::Tx;
use crate::view::View;
use crate::writer::{Job, MAX_WAITING, Unit, Writer};

/// Connections that read at the same time at most.
const MAX_READERS: usize = 16;

/// What a store needs from its surroundings.
#[derive(Clone)]
pub struct Options {
    /// The organisation whose state this handle reads and writes.
    pub org: OrgId,
    /// The key that wraps every record's key.
    pub plaintext_key: PlaintextKey,
    /// Random bytes.
    pub entropy: Arc<dyn Entropy>,
    /// Failures on purpose; [`NoFaults`] outside tests.
    pub faults: Arc<dyn Faults>,
}

impl Options {
    /// Options without failures on purpose.
    #[must_use]
    pub fn new(org: OrgId, plaintext_key: PlaintextKey, entropy: Arc<dyn Entropy>) -> Self {
        Self { org, plaintext_key, entropy, faults: Arc::new(NoFaults) }
    }
}

pub(crate) struct Context {
    pub(crate) org: OrgId,
    pub(crate) key: PlaintextKey,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) faults: Arc<dyn Faults>,
    pub(crate) dir: PathBuf,
    /// The life in which calls are decided here, once it began.
    pub(crate) life: OnceLock<String>,
}

struct Inner {
    cx: Arc<Context>,
    path: PathBuf,
    identity: Identity,
    queue: Option<SyncSender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
    readers: Mutex<Readers>,
    freed: Condvar,
}

#[derive(Default)]
struct Readers {
    idle: Vec<Opened>,
    lent: usize,
}

/// A handle on a data dir; clones share one writer and its readers.
///
/// Several processes may have the same data dir open: nothing about sequence
/// numbers or positions is remembered between transactions. Dropping the last
/// clone waits for the writes that were handed in.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

/// A job on the data dir that only one process does; free again when dropped
/// or when the process ends, however it ends.
#[derive(Debug)]
pub struct Claim {
    _file: File,
}

/// A part in a job that several processes do beside each other; over when dropped or when the
/// process ends, however it ends.
#[derive(Debug)]
pub struct Joined {
    _life: Life,
    _file: File,
}

impl Store {
    /// Opens the data dir, makes what is missing and migrates the schema.
    ///
    /// # Errors
    /// [`StoreError::SchemaNewer`], [`StoreError::NotOurs`] or
    /// [`StoreError::Fault`].
    pub fn open(dir: &Path, options: Options) -> Result<Self, StoreError> {
        create_private_dir(dir)?;
        let path = dir.join("state.db");
        connection::create(&path)?;
        let opened = connection::open_writer(&path)?;
        let Options { org, plaintext_key: key, entropy, faults } = options;
        let (dir, life) = (dir.to_owned(), OnceLock::new());
        let cx = Arc::new(Context { org, key, entropy, faults, dir, life });
        let (queue, jobs) = sync_channel(MAX_WAITING);
        let identity = opened.identity();
        let writer = Writer {
            cx: Arc::clone(&cx),
            path: path.clone(),
            identity,
            opened: Some(opened),
            scrub: false,
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(&jobs))
            .map_err(|e| StoreError::io("start the writer", &e))?;
        Ok(Self(Arc::new(Inner {
            cx,
            path,
            identity,
            queue: Some(queue),
            thread: Some(thread),
            readers: Mutex::default(),
            freed: Condvar::new(),
        })))
    }

    /// The data dir.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.0.cx.dir
    }

    /// The organisation whose state this handle reads and writes.
    #[must_use]
    pub fn org(&self) -> &OrgId {
        &self.0.cx.org
    }

    pub(crate) fn context(&self) -> &Context {
        &self.0.cx
    }

    /// Hands a unit of work to the writer. Its outcome arrives once it is
    /// durable: await it, or call [`Pending::wait`]. The unit runs even when
    /// the outcome is dropped. When it gives an error, nothing of it remains.
    ///
    /// The closure runs on the writer's thread: it must not wait for anything.
    pub fn write<T, E, F>(&self, work: F) -> Pending<T, E>
    where
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (answer, outcome) = pending();
        let job: Box<dyn Job> = Box::new(Unit { work, answer });
        if let Some(queue) = &self.0.queue {
            match queue.try_send(job) {
                Ok(()) => {}
                Err(TrySendError::Full(job)) => job.fail(StoreError::Overloaded),
                Err(TrySendError::Disconnected(job)) => job.fail(StoreError::Interrupted),
            }
        }
        outcome
    }

    /// Reads one consistent snapshot of what is committed. Blocks for as long
    /// as the reads take, which is microseconds for those by key.
    ///
    /// # Errors
    /// What `work` fails with, or [`StoreError::Fault`].
    pub fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&View<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut lent = self.lend()?;
        let c = &lent.connection()?.connection;
        let sql = |e: rusqlite::Error| StoreError::sql("read the state", &e);
        c.execute_batch("BEGIN").map_err(sql)?;
        let found = work(&View { c, cx: &self.0.cx });
        // A connection that cannot end its snapshot is not used again.
        if c.execute_batch("COMMIT").is_ok() {
            lent.give_back();
        }
        found
    }

    fn lend(&self) -> Result<Lent<'_>, StoreError> {
        let mut readers = self.0.readers.lock().unwrap_or_else(PoisonError::into_inner);
        while readers.lent >= MAX_READERS {
            readers = self.0.freed.wait(readers).unwrap_or_else(PoisonError::into_inner);
        }
        readers.lent += 1;
        let idle = readers.idle.pop();
        drop(readers);
        let mut lent = Lent { inner: &self.0, opened: None, reusable: false };
        lent.opened = match idle.filter(|opened| opened.check().is_ok()) {
            Some(opened) => Some(opened),
            None => Some(connection::reopen_reader(&self.0.path, self.0.identity)?),
        };
        Ok(lent)
    }

    /// Claims a job, such as `serve`, on this data dir for this process.
    ///
    /// # Errors
    /// [`StoreError::AlreadyRunning`] when another process does it, or
    /// [`StoreError::Fault`].
    pub fn claim(&self, role: &'static str) -> Result<Claim, StoreError> {
        let file = lock_file(&self.dir().join(format!("{role}.lock")))?;
        match file.try_lock() {
            Ok(()) => Ok(Claim { _file: file }),
            Err(TryLockError::WouldBlock) => {
                Err(StoreError::AlreadyRunning { role: role.to_owned() })
            }
            Err(TryLockError::Error(e)) => Err(StoreError::io("lock the data dir", &e)),
        }
    }

    /// Joins the processes that decide calls on this data dir beside each other: from here on the
    /// calls that this handle allows name this process. `alone` is done before, where no other
    /// process decides: nobody can join while it lasts.
    ///
    /// # Errors
    /// What `alone` fails with, [`StoreError::AlreadyRunning`] when this handle joined before, or
    /// [`StoreError::Fault`].
    pub fn join<E: From<StoreError>>(
        &self,
        alone: impl FnOnce() -> Result<(), E>,
    ) -> Result<Joined, E> {
        let failed = |e: std::io::Error| StoreError::io("lock the data dir", &e);
        let file = lock_file(&self.dir().join("gateway.lock"))?;
        match file.try_lock() {
            Ok(()) => alone()?,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(e)) => return Err(failed(e).into()),
        }
        // Waits for nobody but who is at its own `alone`.
        file.lock_shared().map_err(failed)?;
        Ok(Joined { _life: self.begin_life()?, _file: file })
    }
}

pub(crate) fn lock_file(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|e| StoreError::io("lock the data dir", &e))
}

/// A reader's connection while it is used.
struct Lent<'s> {
    inner: &'s Inner,
    opened: Option<Opened>,
    reusable: bool,
}

impl Lent<'_> {
    fn connection(&self) -> Result<&Opened, StoreError> {
        self.opened.as_ref().ok_or(StoreError::Interrupted)
    }

    fn give_back(&mut self) {
        self.reusable = true;
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        let mut readers = self.inner.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.lent -= 1;
        if self.reusable {
            readers.idle.extend(self.opened.take());
        }
        drop(readers);
        self.inner.freed.notify_one();
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            // The last handle may have been owned by a unit of work.
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("dir", &self.0.cx.dir).finish_non_exhaustive()
    }
}

impl Fault {
    /// Whether trying again later may help without anybody doing anything.
    #[must_use]
    pub const fn is_passing(self) -> bool {
        matches!(self, Self::Busy)
    }
}
