//! Runs that nobody reviewed yet.

use crate::error::StoreError;
use crate::rows::{Run, Stored};
use crate::runs::MAX_RUNS;
use crate::view::View;

/// Walks the index `runs_unreviewed`.
const UNREVIEWED: &str = "runs t WHERE org = ?1 AND state = 'claimed' AND review IS NULL
     ORDER BY ended DESC LIMIT ?2";

impl View<'_> {
    /// Runs that were claimed and of which nobody said anything yet, those first that
    /// ended last.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn unreviewed_runs(&self, limit: u32) -> Result<Vec<Stored<Run>>, StoreError> {
        self.records(UNREVIEWED, (self.org_text(), limit.min(MAX_RUNS)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_walks_its_index_and_sorts_nothing() {
        let c = crate::connection::scratch().unwrap();
        let mut query =
            c.prepare(&format!("EXPLAIN QUERY PLAN SELECT t.id FROM {UNREVIEWED}")).unwrap();
        let plan: Vec<String> =
            query.query_map(("o", 5), |r| r.get(3)).unwrap().map(Result::unwrap).collect();
        assert!(plan.iter().all(|line| line.contains("runs_unreviewed")), "{plan:?}");
    }
}
