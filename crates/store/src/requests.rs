//! Reading and writing what agents asked for that they lack.

use bailiwick_core::ids::{GrantId, RequestId, TaskId};
use bailiwick_core::time::Timestamp;
use rusqlite::params;

use crate::apply::execute;
use crate::columns::count;
use crate::error::StoreError;
use crate::rows::{AuthorityRequest, RequestState, Stored};
use crate::tx::signed;
use crate::view::View;

/// Requests given at once at most.
pub const MAX_REQUESTS: u32 = 500;

impl View<'_> {
    /// A request.
    ///
    /// # Errors
    /// [`StoreError::Fault`], as for every read here.
    pub fn authority_request(
        &self,
        id: &RequestId,
    ) -> Result<Option<Stored<AuthorityRequest>>, StoreError> {
        let from = "authority_requests t WHERE org = ?1 AND id = ?2";
        self.record(from, (self.org_text(), id.as_str()))
    }

    /// Requests that nobody decided and that still count at `now`, those that end
    /// first first.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn pending_requests(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Stored<AuthorityRequest>>, StoreError> {
        let from = "authority_requests t WHERE org = ?1 AND state = 'pending' AND expires > ?2
                    ORDER BY expires, id LIMIT ?3";
        self.records(from, (self.org_text(), now.millis(), limit.min(MAX_REQUESTS)))
    }

    /// Requests of any state, newest first.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn authority_requests(
        &self,
        limit: u32,
    ) -> Result<Vec<Stored<AuthorityRequest>>, StoreError> {
        let from = "authority_requests t WHERE org = ?1 ORDER BY asked DESC, id DESC LIMIT ?2";
        self.records(from, (self.org_text(), limit.min(MAX_REQUESTS)))
    }

    /// How many requests a task made since `since`, and how many of it are open at
    /// `now`.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn requests_of_task(
        &self,
        task: &TaskId,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<(u64, u64), StoreError> {
        let sql = "SELECT count(*) FILTER (WHERE asked >= ?3),
                          count(*) FILTER (WHERE state = 'pending' AND expires > ?4)
                   FROM authority_requests WHERE org = ?1 AND task = ?2";
        let params = (self.org_text(), task.as_str(), since.millis(), now.millis());
        Ok(self.one(sql, params, |r| Ok((count(r, 0)?, count(r, 1)?)))?.unwrap_or((0, 0)))
    }

    pub(crate) fn apply_request(
        &self,
        request: &AuthorityRequest,
        entry: &str,
    ) -> Result<(), StoreError> {
        let seconds = signed(request.seconds)?;
        execute(
            self.c,
            "INSERT INTO authority_requests (org, id, state, principal, agent, instance, holder,
                 workflow, workflow_digest, task, grant_id, root, leaf, seconds, asked, expires,
                 settled, granted, entry)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                self.org_text(),
                request.id.as_str(),
                request.state.as_str(),
                request.principal.as_str(),
                request.agent.as_str(),
                request.instance.as_str(),
                request.holder.bytes().as_slice(),
                request.workflow.as_str(),
                request.workflow_digest.bytes().as_slice(),
                request.task.as_str(),
                request.grant.as_str(),
                request.root.bytes().as_slice(),
                request.leaf.bytes().as_slice(),
                seconds,
                request.asked.millis(),
                request.expires.millis(),
                request.settled.map(Timestamp::millis),
                request.granted.as_ref().map(|grant| grant.as_str()),
                entry,
            ],
            "request",
        )
        .map(drop)
    }

    /// One decision settles a request; another one is none.
    pub(crate) fn apply_request_state(
        &self,
        id: &RequestId,
        state: RequestState,
        grant: Option<&GrantId>,
        time: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE authority_requests SET state = ?3, granted = ?4, settled = ?5
                   WHERE org = ?1 AND id = ?2 AND state = 'pending'";
        let grant = grant.map(|grant| grant.as_str());
        let params = (self.org_text(), id.as_str(), state.as_str(), grant, time.millis());
        match execute(self.c, sql, params, "request")? {
            0 => Err(StoreError::NoSuch { what: "pending request" }),
            _ => Ok(()),
        }
    }
}
