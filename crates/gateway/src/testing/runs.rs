//! Runs, in memory.

use std::collections::HashMap;
use std::sync::Mutex;

use bailiwick_core::accountable::Unavailable;
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{TaskId, ToolId};
use bailiwick_core::json::Object;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::run::Said;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::lock;
use crate::ports::{Asker, Errand, OpenRun, RunRefusal, Runs};

/// Keeps what is said, and says which run is open as it was told.
#[derive(Default)]
pub struct MemoryRuns(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    said: Vec<(Asker, Said)>,
    open: HashMap<TaskId, OpenRun>,
    errands: HashMap<ToolId, Errand>,
    fault: Option<RunRefusal>,
    unavailable: bool,
}

impl MemoryRuns {
    /// What was said, in order.
    #[must_use]
    pub fn said(&self) -> Vec<(Asker, Said)> {
        lock(&self.0).said.clone()
    }

    /// Opens a run of a task, or ends it.
    pub fn set_open(&self, task: &TaskId, open: Option<OpenRun>) {
        let mut kept = lock(&self.0);
        match open {
            Some(open) => kept.open.insert(task.clone(), open),
            None => kept.open.remove(task),
        };
    }

    /// Has an errand wait for the next call of a tool, or none.
    pub fn set_errand(&self, tool: &ToolId, errand: Option<Errand>) {
        let mut kept = lock(&self.0);
        match errand {
            Some(errand) => kept.errands.insert(tool.clone(), errand),
            None => kept.errands.remove(tool),
        };
    }

    /// Refuses what is said like this from now on, or not any more.
    pub fn set_fault(&self, fault: Option<RunRefusal>) {
        lock(&self.0).fault = fault;
    }

    /// Makes them unreadable, or readable again.
    pub fn set_unavailable(&self, unavailable: bool) {
        lock(&self.0).unavailable = unavailable;
    }
}

impl Runs for MemoryRuns {
    fn of_task(&self, task: &TaskId, _now: Timestamp) -> Result<Option<OpenRun>, Unavailable> {
        let kept = lock(&self.0);
        if kept.unavailable { Err(Unavailable) } else { Ok(kept.open.get(task).cloned()) }
    }

    fn errand(
        &self,
        _root: &Digest,
        (tool, _): (&ToolId, &Object),
        _now: Timestamp,
    ) -> Result<Option<Errand>, Unavailable> {
        Ok(lock(&self.0).errands.get(tool).cloned())
    }

    fn say<'a>(&'a self, asker: Asker, said: Said) -> BoxFuture<'a, Result<Object, RunRefusal>> {
        let mut kept = lock(&self.0);
        let answer = match kept.fault.clone() {
            Some(fault) => Err(fault),
            None => Ok(Object::new().with("state", "open")),
        };
        kept.said.push((asker, said));
        async move { answer }.boxed()
    }
}
