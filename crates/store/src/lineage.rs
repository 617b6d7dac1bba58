//! Reading who handed what to whom, and what was made of a task's delegations.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{AgentId, HandoffId, TaskId};
use bailiwick_core::time::Timestamp;

use crate::error::StoreError;
use crate::handoffs::MAX_HANDOFFS;
use crate::rows::{Delegation, Derived, Handoff, Stored};
use crate::view::View;

/// Where a page of handoffs begins: after this one, which was offered then.
pub type HandoffCursor = (Timestamp, HandoffId);

impl View<'_> {
    /// Handoffs, the newest first, at most `limit`: those from one agent to
    /// another, those before a cursor.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn handoffs_before(
        &self,
        between: Option<(&AgentId, &AgentId)>,
        before: Option<&HandoffCursor>,
        limit: u32,
    ) -> Result<Vec<Stored<Handoff>>, StoreError> {
        let limit = limit.min(MAX_HANDOFFS);
        let (offered, id) = before.map_or((i64::MAX, ""), |(at, id)| (at.millis(), id.as_str()));
        match between {
            Some((from, to)) => {
                let sql = "handoffs t WHERE org = ?1 AND from_agent = ?5 AND to_agent = ?6
                           AND (offered, id) < (?2, ?3) ORDER BY offered DESC, id DESC LIMIT ?4";
                let params = (self.org_text(), offered, id, limit, from.as_str(), to.as_str());
                self.records(sql, params)
            }
            None => {
                let sql = "handoffs t WHERE org = ?1 AND (offered, id) < (?2, ?3)
                           ORDER BY offered DESC, id DESC LIMIT ?4";
                self.records(sql, (self.org_text(), offered, id, limit))
            }
        }
    }

    /// The roots issued for a task, the first ones first.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn delegations_of_task(
        &self,
        task: &TaskId,
        limit: u32,
    ) -> Result<Vec<Stored<Delegation>>, StoreError> {
        let from = "delegations t WHERE org = ?1 AND task = ?2 ORDER BY issued, root LIMIT ?3";
        self.records(from, (self.org_text(), task.as_str(), limit))
    }

    /// Derived tokens seen under a root, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn derived_under(
        &self,
        root: &Digest,
        limit: u32,
    ) -> Result<Vec<Stored<Derived>>, StoreError> {
        let from = "derived t WHERE org = ?1 AND root = ?2 LIMIT ?3";
        self.records(from, (self.org_text(), root.bytes().as_slice(), limit))
    }
}
