//! A layer that can fail on purpose, so that every write is tested for
//! "fails", "fails but persisted" and "crash".

use crate::error::Fault;

/// A place where the store can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// Before a group's transaction begins.
    Begin,
    /// Every unit ran; the transaction is about to commit.
    BeforeCommit,
    /// The transaction is durable; nobody was told yet.
    AfterCommit,
    /// A ledger file is about to be written; the number counts the files of one
    /// sequencing run, the checkpoint's row and file included.
    BeforeFile(u64),
    /// That file is durable.
    AfterFile(u64),
}

/// What happens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Injected {
    /// The step fails like this. After a commit or a file this means: failed,
    /// but persisted.
    Fail(Fault),
    /// As if the process died: what is under way stops, nobody is answered.
    Crash,
    /// At [`Step::Begin`]: the engine itself may use at most so many pages, so
    /// that it reports a full disk; [`u32::MAX`] takes the ceiling away.
    MaxPages(u32),
}

/// Decides where the store fails. Product code uses [`NoFaults`].
pub trait Faults: Send + Sync {
    /// Asked at each step.
    fn at(&self, step: Step) -> Option<Injected>;
}

/// Nothing fails on purpose.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFaults;

impl Faults for NoFaults {
    fn at(&self, _: Step) -> Option<Injected> {
        None
    }
}
