//! What is due with time, in every process that decides calls: runs end of which nothing
//! comes any more, error budgets are spent, hours of calls are added up.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bailiwick_authority::Refusal;

use crate::datadir::DataDir;

/// Revocations that are read at a time.
const BATCH: u32 = 1_000;

/// Looks for such runs, again and again.
pub(crate) struct Ending {
    data: Arc<DataDir>,
    /// The last revocation after which every open run was looked at.
    seen: AtomicU64,
}

impl Ending {
    pub(crate) fn new(data: &Arc<DataDir>) -> Self {
        Self { data: Arc::clone(data), seen: AtomicU64::new(0) }
    }

    /// Ends what is overdue; after something was revoked, whatever rests on it.
    pub(crate) fn tend(&self) {
        match self.end() {
            Ok(0) => {}
            Ok(runs) => tracing::info!(runs, "runs were abandoned"),
            Err(e) => tracing::warn!(code = e.code(), error = %e, "runs that are over stay open"),
        }
    }

    fn end(&self) -> Result<usize, Refusal> {
        let from = self.seen.load(Ordering::Relaxed);
        let mut upto = from;
        loop {
            let read = self.data.store().read(|view| view.revocations_since(upto, BATCH))?;
            upto = read.upto;
            if !read.more {
                break;
            }
        }
        let ended = self.data.authority.abandon_runs(upto > from)?;
        let lowered = self.data.authority.spend_error_budgets()?;
        if lowered > 0 {
            tracing::warn!(lowered, "workflows were lowered: too many runs failed");
        }
        self.data.authority.roll_up_calls()?;
        self.seen.store(upto, Ordering::Relaxed);
        Ok(ended)
    }
}
