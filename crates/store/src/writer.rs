//! One thread writes; what waits is committed together.
//!
//! The thread drains its queue, begins one transaction, runs each unit in a
//! savepoint, commits once (one fsync) and only then answers all. A unit that
//! fails takes only its own writes back; a commit that fails fails all.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use std::cell::Cell;

use rusqlite::Connection;

use crate::connection::{self, Identity, Opened};
use crate::error::{Fault, StoreError};
use crate::fault::{Injected, Step};
use crate::pending::Answer;
use crate::store::Context;
use crate::tx::Tx;
use crate::view::View;

/// Units waiting at most; more are refused at once.
pub(crate) const MAX_WAITING: usize = 4_096;

/// Units in one transaction at most.
const MAX_GROUP: usize = 1_024;

/// Tells one caller: what its unit gave, unless the group failed.
type Finish = Box<dyn FnOnce(Option<StoreError>)>;

/// What a job did inside the transaction.
pub(crate) struct Ran {
    finish: Finish,
    erased: bool,
}

pub(crate) trait Job: Send {
    fn run(self: Box<Self>, c: &Connection, cx: &Context) -> Ran;
    fn fail(self: Box<Self>, error: StoreError);
}

pub(crate) struct Unit<F, T, E> {
    pub(crate) work: F,
    pub(crate) answer: Answer<T, E>,
}

impl<F, T, E> Job for Unit<F, T, E>
where
    F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send,
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    fn run(self: Box<Self>, c: &Connection, cx: &Context) -> Ran {
        let Self { work, answer } = *self;
        let mut tx = Tx { view: View { c, cx }, erased: Cell::new(false) };
        // A unit that panics is undone and its caller told of an interruption.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            // `savepoint` undoes on errors; a panic passes it by.
            tx.savepoint(work)
        }));
        let erased = tx.erased.get();
        match outcome {
            Ok(outcome) => Ran {
                finish: Box::new(move |failed| {
                    answer.send(match (outcome, failed) {
                        (Ok(_), Some(error)) => Err(error.into()),
                        (outcome, _) => outcome,
                    });
                }),
                erased,
            },
            Err(_) => {
                // Nested savepoints of the same name: undo down to the unit's.
                while c.execute_batch("ROLLBACK TO part; RELEASE part").is_ok() {}
                Ran { finish: Box::new(move |_| drop(answer)), erased: false }
            }
        }
    }

    fn fail(self: Box<Self>, error: StoreError) {
        self.answer.send(Err(error.into()));
    }
}

/// The process is to be taken for dead.
struct Crashed;

pub(crate) struct Writer {
    pub(crate) cx: Arc<Context>,
    pub(crate) path: PathBuf,
    pub(crate) identity: Identity,
    pub(crate) opened: Option<Opened>,
    /// Erased texts still lie in the write-ahead log.
    pub(crate) scrub: bool,
}

impl Writer {
    pub(crate) fn run(mut self, queue: &Receiver<Box<dyn Job>>) {
        while let Ok(first) = queue.recv() {
            let mut group = vec![first];
            group.extend(queue.try_iter().take(MAX_GROUP - 1));
            if self.commit_group(group).is_err() {
                return;
            }
            if self.scrub {
                self.scrub();
            }
        }
    }

    fn commit_group(&mut self, group: Vec<Box<dyn Job>>) -> Result<(), Crashed> {
        let mut waiting = group.into_iter();
        while waiting.len() > 0 {
            if let Err(error) = self.begin()? {
                self.forget_if_broken(&error);
                for job in waiting {
                    job.fail(error.clone());
                }
                return Ok(());
            }
            self.run_units(&mut waiting)?;
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<Result<(), StoreError>, Crashed> {
        let injected = self.cx.faults.at(Step::Begin);
        match injected {
            Some(Injected::Fail(fault)) => return Ok(Err(injected_fault(fault, "begin"))),
            Some(Injected::Crash) => return Err(Crashed),
            _ => {}
        }
        Ok(self.try_begin(injected))
    }

    fn try_begin(&mut self, injected: Option<Injected>) -> Result<(), StoreError> {
        let sql = |e: rusqlite::Error| StoreError::sql("begin", &e);
        let opened = match &mut self.opened {
            Some(opened) => {
                opened.check()?;
                opened
            }
            none => none.insert(connection::reopen_writer(&self.path, self.identity)?),
        };
        if let Some(Injected::MaxPages(pages)) = injected {
            opened.connection.pragma_update(None, "max_page_count", pages).map_err(sql)?;
        }
        opened.connection.execute_batch("BEGIN IMMEDIATE").map_err(sql)
    }

    /// Runs units until all are done or the engine gave the transaction up;
    /// then the rest starts anew.
    fn run_units(&mut self, waiting: &mut std::vec::IntoIter<Box<dyn Job>>) -> Result<(), Crashed> {
        let Some(opened) = &self.opened else {
            return Ok(());
        };
        let c = &opened.connection;
        let mut ran = Vec::new();
        let mut erased = false;
        let mut failed = None;
        let mut lost = false;
        for job in waiting.by_ref() {
            let one = job.run(c, &self.cx);
            ran.push(one.finish);
            erased |= one.erased;
            // Some errors (a full disk among them) end the whole transaction.
            if c.is_autocommit() {
                failed = Some(StoreError::Fault {
                    fault: Fault::Full,
                    during: "write together with others",
                    detail: "one of them met a full or failing disk".to_owned(),
                });
                lost = true;
                break;
            }
        }
        if failed.is_none() {
            failed = self.commit()?;
        }
        if lost {
            self.opened = None;
        } else if let Some(error) = &failed {
            self.forget_if_broken(error);
        } else {
            self.scrub |= erased;
        }
        for finish in ran {
            finish(failed.clone());
        }
        Ok(())
    }

    fn commit(&self) -> Result<Option<StoreError>, Crashed> {
        let Some(opened) = &self.opened else {
            return Ok(None);
        };
        let c = &opened.connection;
        let roll_back = || c.execute_batch("ROLLBACK");
        match self.cx.faults.at(Step::BeforeCommit) {
            Some(Injected::Fail(fault)) => {
                let _ = roll_back();
                return Ok(Some(injected_fault(fault, "commit")));
            }
            Some(Injected::Crash) => {
                let _ = roll_back();
                return Err(Crashed);
            }
            _ => {}
        }
        if let Err(e) = c.execute_batch("COMMIT") {
            let error = StoreError::sql("commit", &e);
            let _ = roll_back();
            return Ok(Some(error));
        }
        match self.cx.faults.at(Step::AfterCommit) {
            Some(Injected::Fail(fault)) => Ok(Some(injected_fault(fault, "commit"))),
            Some(Injected::Crash) => Err(Crashed),
            _ => Ok(None),
        }
    }

    /// After these faults nothing the connection believes can be relied on:
    /// the next group opens the file anew.
    fn forget_if_broken(&mut self, error: &StoreError) {
        if !matches!(error.fault(), Some(Fault::Busy | Fault::Full)) {
            self.opened = None;
        }
    }

    /// Copies the write-ahead log into the database and empties it, so that
    /// erased texts lie nowhere. Repeated after later groups until it works.
    fn scrub(&mut self) {
        let Some(opened) = &self.opened else { return };
        let done = opened
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |r| r.get::<_, i64>(0));
        self.scrub = done != Ok(0);
    }
}

fn injected_fault(fault: Fault, during: &'static str) -> StoreError {
    StoreError::Fault { fault, during, detail: "injected".to_owned() }
}
