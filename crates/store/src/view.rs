//! Reading the state: one consistent snapshot per [`View`]. Every read here is
//! by an index, so its cost does not grow with the tables.

use bailiwick_core::crypto::{Digest, Thumbprint};
use bailiwick_core::ids::{
    ActionId, AgentId, Alias, EntryId, GrantId, InstanceId, OrgId, PrincipalId, ServerName, TaskId,
    ToolId, WorkflowId,
};
use bailiwick_core::ledger::{Disclosure, MakerPosition};
use bailiwick_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Params};

use crate::columns::{Read, Record, count, digest, parsed, revocation, time};
use crate::error::StoreError;
use crate::rows::{
    Agent, Chain, Delegation, Derived, Grant, Holder, Instance, OpenAction, Pin, Principal,
    Revocation, Revocations, Row, Stored, Subject, Task, ToolServer, Workflow,
};
use crate::seal::{self, SealedRecord};
use crate::store::Context;

/// The state as of one moment.
pub struct View<'c> {
    pub(crate) c: &'c Connection,
    pub(crate) cx: &'c Context,
}

pub(crate) fn failed(e: &rusqlite::Error) -> StoreError {
    StoreError::sql("read the state", e)
}

impl<'c> View<'c> {
    /// The organisation whose state this is.
    #[must_use]
    pub fn org(&self) -> &OrgId {
        &self.cx.org
    }

    pub(crate) fn one<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&rusqlite::Row<'_>) -> Read<T>,
    ) -> Result<Option<T>, StoreError> {
        self.c
            .prepare_cached(sql)
            .and_then(|mut s| s.query_row(params, read).optional())
            .map_err(|e| failed(&e))
    }

    pub(crate) fn many<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> Read<T>,
    ) -> Result<Vec<T>, StoreError> {
        self.c
            .prepare_cached(sql)
            .and_then(|mut s| s.query_map(params, read)?.collect())
            .map_err(|e| failed(&e))
    }

    fn record<T: Record>(
        &self,
        from: &str,
        params: impl Params,
    ) -> Result<Option<Stored<T>>, StoreError> {
        self.one(
            &format!("SELECT {} FROM {from}", T::select("t")),
            params,
            |r| T::stored(r, 0),
        )
    }

    fn records<T: Record>(
        &self,
        from: &str,
        params: impl Params,
    ) -> Result<Vec<Stored<T>>, StoreError> {
        self.many(
            &format!("SELECT {} FROM {from}", T::select("t")),
            params,
            |r| T::stored(r, 0),
        )
    }

    fn org_text(&self) -> &str {
        self.cx.org.as_str()
    }

    // Principals, agents, instances.

    /// The principal with this issuer and name.
    ///
    /// # Errors
    /// [`StoreError::Fault`], as for every read here.
    pub fn principal(
        &self,
        issuer: &str,
        id: &PrincipalId,
    ) -> Result<Option<Stored<Principal>>, StoreError> {
        let from = "principals t WHERE org = ?1 AND issuer = ?2 AND id = ?3";
        self.record(from, (self.org_text(), issuer, id.as_str()))
    }

    /// The principal with this alias.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn principal_by_alias(
        &self,
        alias: &Alias,
    ) -> Result<Option<Stored<Principal>>, StoreError> {
        let from = "principals t WHERE org = ?1 AND alias = ?2";
        self.record(from, (self.org_text(), alias.as_str()))
    }

    /// Every principal, by alias.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn principals(&self) -> Result<Vec<Stored<Principal>>, StoreError> {
        self.records(
            "principals t WHERE org = ?1 ORDER BY alias",
            [self.org_text()],
        )
    }

    /// The agent with this name.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn agent(&self, id: &AgentId) -> Result<Option<Stored<Agent>>, StoreError> {
        self.record(
            "agents t WHERE org = ?1 AND id = ?2",
            (self.org_text(), id.as_str()),
        )
    }

    /// Every agent, by name.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn agents(&self) -> Result<Vec<Stored<Agent>>, StoreError> {
        self.records("agents t WHERE org = ?1 ORDER BY id", [self.org_text()])
    }

    /// The instance with this id.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn instance(&self, id: &InstanceId) -> Result<Option<Stored<Instance>>, StoreError> {
        self.record(
            "instances t WHERE org = ?1 AND id = ?2",
            (self.org_text(), id.as_str()),
        )
    }

    /// The instances of `agent`, or all, by id.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn instances(&self, agent: Option<&AgentId>) -> Result<Vec<Stored<Instance>>, StoreError> {
        match agent {
            Some(agent) => self.records(
                "instances t WHERE org = ?1 AND agent = ?2 ORDER BY id",
                (self.org_text(), agent.as_str()),
            ),
            None => self.records("instances t WHERE org = ?1 ORDER BY id", [self.org_text()]),
        }
    }

    /// The instance that enrolled this holder key, its agent and the agent's
    /// owner, in one read.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn instance_by_holder(&self, holder: &Thumbprint) -> Result<Option<Holder>, StoreError> {
        let sql = format!(
            "SELECT {}, {}, {} FROM instances i
             JOIN agents a ON a.org = i.org AND a.id = i.agent
             JOIN principals p ON p.org = a.org AND p.alias = a.owner
             WHERE i.org = ?1 AND i.holder = ?2",
            Instance::select("i"),
            Agent::select("a"),
            Principal::select("p")
        );
        let agent_at = Instance::COLUMNS.len() + 1;
        let owner_at = agent_at + Agent::COLUMNS.len() + 1;
        self.one(&sql, (self.org_text(), holder.bytes().as_slice()), |r| {
            Ok(Holder {
                instance: Instance::stored(r, 0)?,
                agent: Agent::stored(r, agent_at)?,
                owner: Principal::stored(r, owner_at)?,
            })
        })
    }

    // Catalogue.

    /// The current version of a workflow.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn workflow(&self, id: &WorkflowId) -> Result<Option<Stored<Workflow>>, StoreError> {
        let from = "workflows t WHERE org = ?1 AND id = ?2 AND current = 1";
        self.record(from, (self.org_text(), id.as_str()))
    }

    /// One version of a workflow.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn workflow_version(
        &self,
        id: &WorkflowId,
        version: &Digest,
    ) -> Result<Option<Stored<Workflow>>, StoreError> {
        let from = "workflows t WHERE org = ?1 AND id = ?2 AND digest = ?3";
        self.record(
            from,
            (self.org_text(), id.as_str(), version.bytes().as_slice()),
        )
    }

    /// The current version of every workflow, by name.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn workflows(&self) -> Result<Vec<Stored<Workflow>>, StoreError> {
        let from = "workflows t WHERE org = ?1 AND current = 1 ORDER BY id";
        self.records(from, [self.org_text()])
    }

    /// The tool server with this name.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn tool_server(&self, name: &ServerName) -> Result<Option<Stored<ToolServer>>, StoreError> {
        let from = "tool_servers t WHERE org = ?1 AND name = ?2";
        self.record(from, (self.org_text(), name.as_str()))
    }

    /// Every tool server, by name.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn tool_servers(&self) -> Result<Vec<Stored<ToolServer>>, StoreError> {
        self.records(
            "tool_servers t WHERE org = ?1 ORDER BY name",
            [self.org_text()],
        )
    }

    /// The catalogued definition of a tool.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn pin(&self, tool: &ToolId) -> Result<Option<Stored<Pin>>, StoreError> {
        self.record(
            "pins t WHERE org = ?1 AND tool = ?2",
            (self.org_text(), tool.as_str()),
        )
    }

    /// The catalogued definitions of a tool server, by tool.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn pins(&self, server: &ServerName) -> Result<Vec<Stored<Pin>>, StoreError> {
        let from = "pins t WHERE org = ?1 AND server = ?2 ORDER BY tool";
        self.records(from, (self.org_text(), server.as_str()))
    }

    // Tasks, grants, delegations.

    /// The task with this id.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn task(&self, id: &TaskId) -> Result<Option<Stored<Task>>, StoreError> {
        self.record(
            "tasks t WHERE org = ?1 AND id = ?2",
            (self.org_text(), id.as_str()),
        )
    }

    /// The grant with this id, without its texts.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn grant(&self, id: &GrantId) -> Result<Option<Stored<Grant>>, StoreError> {
        self.record(
            "grants t WHERE org = ?1 AND id = ?2",
            (self.org_text(), id.as_str()),
        )
    }

    /// The grants under a task, without their texts, by id.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn grants_of_task(&self, task: &TaskId) -> Result<Vec<Stored<Grant>>, StoreError> {
        let from = "grants t WHERE org = ?1 AND task = ?2 ORDER BY id";
        self.records(from, (self.org_text(), task.as_str()))
    }

    /// A grant's statement and proof; `None` when there is no such grant or
    /// they were erased.
    ///
    /// # Errors
    /// [`StoreError::Fault`] or [`StoreError::Plaintext`].
    pub fn grant_texts(&self, id: &GrantId) -> Result<Option<(String, String)>, StoreError> {
        let Some(grant) = self.grant(id)? else {
            return Ok(None);
        };
        Ok(match self.row_of(&grant.entry)? {
            Some(Row::Grant(g)) => Some((g.statement, g.proof)),
            _ => None,
        })
    }

    /// A root, its grant, task and principal, in one read.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn delegation(&self, root: &Digest) -> Result<Option<Chain>, StoreError> {
        let sql = format!(
            "SELECT {}, {}, {}, {} FROM delegations d
             JOIN grants g ON g.org = d.org AND g.id = d.grant_id
             JOIN tasks t ON t.org = d.org AND t.id = d.task
             JOIN principals p ON p.org = g.org AND p.alias = g.principal
             WHERE d.org = ?1 AND d.root = ?2",
            Delegation::select("d"),
            Grant::select("g"),
            Task::select("t"),
            Principal::select("p")
        );
        let grant_at = Delegation::COLUMNS.len() + 1;
        let task_at = grant_at + Grant::COLUMNS.len() + 1;
        let principal_at = task_at + Task::COLUMNS.len() + 1;
        self.one(&sql, (self.org_text(), root.bytes().as_slice()), |r| {
            Ok(Chain {
                delegation: Delegation::stored(r, 0)?,
                grant: Grant::stored(r, grant_at)?,
                task: Task::stored(r, task_at)?,
                principal: Principal::stored(r, principal_at)?,
            })
        })
    }

    /// The root's token text; `None` when there is no such root or it was
    /// erased.
    ///
    /// # Errors
    /// [`StoreError::Fault`] or [`StoreError::Plaintext`].
    pub fn delegation_token(&self, root: &Digest) -> Result<Option<String>, StoreError> {
        let Some(chain) = self.delegation(root)? else {
            return Ok(None);
        };
        Ok(match self.row_of(&chain.delegation.entry)? {
            Some(Row::Delegation(d)) => Some(d.token),
            _ => None,
        })
    }

    /// The roots issued under a grant, by token hash.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn delegations_of_grant(
        &self,
        grant: &GrantId,
    ) -> Result<Vec<Stored<Delegation>>, StoreError> {
        let from = "delegations t WHERE org = ?1 AND grant_id = ?2 ORDER BY root";
        self.records(from, (self.org_text(), grant.as_str()))
    }

    /// A derived token, if it was seen.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn derived(&self, token: &Digest) -> Result<Option<Stored<Derived>>, StoreError> {
        let from = "derived t WHERE org = ?1 AND token = ?2";
        self.record(from, (self.org_text(), token.bytes().as_slice()))
    }

    /// The derived tokens seen under a root, by token hash.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn derived_of(&self, root: &Digest) -> Result<Vec<Stored<Derived>>, StoreError> {
        let from = "derived t WHERE org = ?1 AND root = ?2 ORDER BY token";
        self.records(from, (self.org_text(), root.bytes().as_slice()))
    }

    // Revocations.

    /// The first of `subjects` that is revoked.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn is_revoked(&self, subjects: &[Subject]) -> Result<Option<Revocation>, StoreError> {
        let sql = "SELECT seq, kind, key, root, reason, time, entry FROM revocations
                   WHERE org = ?1 AND kind = ?2 AND key = ?3 AND root = ?4";
        for subject in subjects {
            let root = subject.root().map_or(&[][..], |r| r.bytes().as_slice());
            let params = (self.org_text(), subject.kind(), subject.key(), root);
            if let Some(found) = self.one(sql, params, revocation)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Revocations after number `seq` (0 for all), at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn revocations_since(&self, seq: u64, limit: u32) -> Result<Revocations, StoreError> {
        let sql = "SELECT seq, kind, key, root, reason, time, entry FROM revocations
                   WHERE org = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
        let after = i64::try_from(seq).unwrap_or(i64::MAX);
        let limit = limit.max(1);
        let params = (self.org_text(), after, i64::from(limit) + 1);
        let mut rows = self.many(sql, params, revocation)?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = rows.len() > most;
        rows.truncate(most);
        let upto = rows.last().map_or(seq, |r| r.seq);
        Ok(Revocations { rows, upto, more })
    }

    // Ledger.

    /// Entries in the log, sequenced or not.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn log_size(&self) -> Result<u64, StoreError> {
        let sql = "SELECT max(idx) + 1 FROM entries WHERE org = ?1";
        let size = self.one(sql, [self.org_text()], |r| r.get::<_, Option<i64>>(0))?;
        Ok(size
            .flatten()
            .and_then(|s| u64::try_from(s).ok())
            .unwrap_or(0))
    }

    /// The latest time of any durable entry. A clock behind it was stepped
    /// back: callers deny.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn last_time(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT max(time) FROM entries WHERE org = ?1";
        let last = self.one(sql, [self.org_text()], |r| r.get::<_, Option<i64>>(0))?;
        Ok(last.flatten().map(Timestamp::from_millis))
    }

    /// A maker's place in its own sequence.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn maker_position(&self, maker: &str) -> Result<MakerPosition, StoreError> {
        let sql = "SELECT next_seq, prev FROM makers WHERE org = ?1 AND maker = ?2";
        let found = self.one(sql, (self.org_text(), maker), |r| {
            Ok(MakerPosition {
                seq: count(r, 0)?,
                prev: digest(r, 1)?,
            })
        })?;
        Ok(found.unwrap_or(MakerPosition::START))
    }

    /// Allowed calls without an outcome that were decided before the log had
    /// `before` entries: with the log's size at start-up, those of an earlier
    /// process life.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn unfinished_actions(&self, before: u64) -> Result<Vec<OpenAction>, StoreError> {
        let sql = "SELECT action, decided, maker FROM actions
                   WHERE org = ?1 AND completed IS NULL AND decided < ?2 ORDER BY decided";
        let before = i64::try_from(before).unwrap_or(i64::MAX);
        self.many(sql, (self.org_text(), before), |r| {
            Ok(OpenAction {
                action: parsed::<ActionId>(r, 0)?,
                decided: count(r, 1)?,
                maker: r.get(2)?,
            })
        })
    }

    /// The texts behind an entry's commitments; `None` when there are none or
    /// they were erased.
    ///
    /// # Errors
    /// [`StoreError::Fault`], or [`StoreError::Plaintext`] when they cannot be
    /// opened with this data dir's key.
    pub fn read_plaintext(
        &self,
        entry: &EntryId,
    ) -> Result<Option<Vec<(String, Disclosure)>>, StoreError> {
        let sql = "SELECT key, ciphertext FROM sealed
                   WHERE org = ?1 AND entry = ?2 AND key IS NOT NULL";
        let sealed = self.one(sql, (self.org_text(), entry.as_str()), |r| {
            Ok(SealedRecord {
                key: r.get(0)?,
                ciphertext: r.get(1)?,
            })
        })?;
        sealed
            .map(|s| seal::open(&self.cx.key, &self.cx.org, entry, s))
            .transpose()
    }

    /// Whether an entry's texts were there and are erased.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn is_erased(&self, entry: &EntryId) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM sealed WHERE org = ?1 AND entry = ?2 AND key IS NULL";
        Ok(self
            .one(sql, (self.org_text(), entry.as_str()), |_| Ok(()))?
            .is_some())
    }

    /// The time before which spent proofs and budgets may have been forgotten.
    pub(crate) fn horizon(&self) -> Result<Option<Timestamp>, StoreError> {
        self.one(
            "SELECT horizon FROM guards WHERE org = ?1",
            [self.org_text()],
            |r| time(r, 0),
        )
    }
}
