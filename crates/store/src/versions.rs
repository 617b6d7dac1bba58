//! Versions of workflows, and runs that nobody reviewed yet.

use bailiwick_core::ids::WorkflowId;

use crate::error::StoreError;
use crate::rows::{Run, Stored, Workflow};
use crate::runs::MAX_RUNS;
use crate::view::View;

/// Versions of one workflow that are given at once at most, the newest.
pub const MAX_VERSIONS: u32 = 200;

impl View<'_> {
    /// The newest versions of a workflow, the last published one first; which of them
    /// is current says [`View::workflow`].
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn versions_of_workflow(
        &self,
        id: &WorkflowId,
    ) -> Result<Vec<Stored<Workflow>>, StoreError> {
        let from = "workflows t WHERE org = ?1 AND id = ?2
                    ORDER BY published DESC, digest LIMIT ?3";
        self.records(from, (self.org_text(), id.as_str(), MAX_VERSIONS))
    }

    /// Runs that were claimed and of which nobody said anything yet, those first that
    /// ended last.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn unreviewed_runs(&self, limit: u32) -> Result<Vec<Stored<Run>>, StoreError> {
        let from = "runs t WHERE org = ?1 AND state = 'claimed' AND review IS NULL
                    ORDER BY ended DESC LIMIT ?2";
        self.records(from, (self.org_text(), limit.min(MAX_RUNS)))
    }
}
