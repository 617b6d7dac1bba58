//! Whose the tasks and contexts of agents behind the gateway are. Like spent
//! proofs they are no projections of the ledger: what is lost is nobody's.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::ServerName;
use bailiwick_core::time::Timestamp;

use crate::apply::execute;
use crate::columns::digest;
use crate::error::StoreError;
use crate::tx::Tx;
use crate::view::View;

/// Seconds after which a task or context that nothing was heard of is forgotten.
pub const PEER_TASK_SECONDS: i64 = 30 * 86_400;

/// A task of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerTask {
    /// Whose it is.
    pub owner: Digest,
    /// Whether it has ended.
    pub ended: bool,
}

/// A task or context that an agent spoke of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerSeen<'a> {
    /// The task.
    pub task: Option<&'a str>,
    /// The context.
    pub context: Option<&'a str>,
    /// Whether the task has ended; what has ended stays so.
    pub ended: bool,
}

impl View<'_> {
    /// A task of the agent catalogued as `server`.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn peer_task(
        &self,
        server: &ServerName,
        task: &str,
    ) -> Result<Option<PeerTask>, StoreError> {
        let sql =
            "SELECT owner, ended FROM peer_tasks WHERE org = ?1 AND server = ?2 AND task = ?3";
        self.one(sql, (self.org().as_str(), server.as_str(), task), |r| {
            Ok(PeerTask { owner: digest(r, 0)?, ended: r.get(1)? })
        })
    }

    /// Whose a context of that agent is.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn peer_context(
        &self,
        server: &ServerName,
        context: &str,
    ) -> Result<Option<Digest>, StoreError> {
        let sql = "SELECT owner FROM peer_contexts WHERE org = ?1 AND server = ?2 AND context = ?3";
        self.one(sql, (self.org().as_str(), server.as_str(), context), |r| digest(r, 0))
    }
}

impl Tx<'_> {
    /// Takes note of tasks and contexts as those of `owner`: all of them, or none
    /// when one is somebody else's, which is told by `false`.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn note_peer(
        &mut self,
        server: &ServerName,
        owner: &Digest,
        seen: &[PeerSeen<'_>],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        for one in seen {
            let task = one.task.map(|task| self.view.peer_task(server, task)).transpose()?;
            let task = task.flatten().map(|task| task.owner);
            let context = one.context.map(|c| self.view.peer_context(server, c)).transpose()?;
            if task.into_iter().chain(context.flatten()).any(|whose| whose != *owner) {
                return Ok(false);
            }
        }
        let org = self.view.org().as_str().to_owned();
        for one in seen {
            if let Some(task) = one.task {
                execute(
                    self.view.c,
                    "INSERT INTO peer_tasks (org, server, task, owner, ended, seen)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                     ON CONFLICT (org, server, task) DO UPDATE
                     SET ended = max(ended, excluded.ended), seen = excluded.seen",
                    (
                        org.as_str(),
                        server.as_str(),
                        task,
                        owner.bytes().as_slice(),
                        one.ended,
                        now.millis(),
                    ),
                    "task of an agent",
                )?;
            }
            if let Some(context) = one.context {
                execute(
                    self.view.c,
                    "INSERT INTO peer_contexts (org, server, context, owner, seen)
                     VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (org, server, context) DO UPDATE SET seen = excluded.seen",
                    (
                        org.as_str(),
                        server.as_str(),
                        context,
                        owner.bytes().as_slice(),
                        now.millis(),
                    ),
                    "context of an agent",
                )?;
            }
        }
        Ok(true)
    }

    /// Forgets at most `limit` each of tasks and contexts that nothing was heard of
    /// for long; gives how many.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn forget_peers(&mut self, now: Timestamp, limit: u32) -> Result<usize, StoreError> {
        let before = now.plus_seconds(-PEER_TASK_SECONDS).millis();
        let org = self.view.org().as_str().to_owned();
        let params = (org.as_str(), before, limit);
        let tasks = execute(
            self.view.c,
            "DELETE FROM peer_tasks WHERE (org, server, task) IN
             (SELECT org, server, task FROM peer_tasks WHERE org = ?1 AND seen < ?2 LIMIT ?3)",
            params,
            "task of an agent",
        )?;
        let contexts = execute(
            self.view.c,
            "DELETE FROM peer_contexts WHERE (org, server, context) IN
             (SELECT org, server, context FROM peer_contexts
              WHERE org = ?1 AND seen < ?2 LIMIT ?3)",
            params,
            "context of an agent",
        )?;
        Ok(tasks.saturating_add(contexts))
    }
}
