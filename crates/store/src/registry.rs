//! Reading the registry, the catalogue, and what was granted and delegated.

use bailiwick_core::crypto::{Digest, Thumbprint};
use bailiwick_core::ids::{
    AgentId, Alias, GrantId, InstanceId, PrincipalId, ServerName, TaskId, ToolId, WorkflowId,
};
use bailiwick_core::time::Timestamp;
use rusqlite::Params;

use crate::columns::Record;
use crate::error::StoreError;
use crate::rows::{
    Agent, Candidate, Chain, Delegation, Derived, Grant, Holder, Instance, Pin, Principal, Row,
    Stored, Task, ToolServer, Workflow,
};
use crate::view::View;

impl View<'_> {
    pub(crate) fn record<T: Record>(
        &self,
        from: &str,
        params: impl Params,
    ) -> Result<Option<Stored<T>>, StoreError> {
        self.one(&format!("SELECT {} FROM {from}", T::select("t")), params, |r| T::stored(r, 0))
    }

    pub(crate) fn records<T: Record>(
        &self,
        from: &str,
        params: impl Params,
    ) -> Result<Vec<Stored<T>>, StoreError> {
        self.many(&format!("SELECT {} FROM {from}", T::select("t")), params, |r| T::stored(r, 0))
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
        self.records("principals t WHERE org = ?1 ORDER BY alias", [self.org_text()])
    }

    /// The agent with this name.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn agent(&self, id: &AgentId) -> Result<Option<Stored<Agent>>, StoreError> {
        self.record("agents t WHERE org = ?1 AND id = ?2", (self.org_text(), id.as_str()))
    }

    /// Every agent, by name.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn agents(&self) -> Result<Vec<Stored<Agent>>, StoreError> {
        self.records("agents t WHERE org = ?1 ORDER BY id", [self.org_text()])
    }

    /// The agents that a principal answers for, by name.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn agents_of_owner(&self, owner: &Alias) -> Result<Vec<Stored<Agent>>, StoreError> {
        let from = "agents t WHERE org = ?1 AND owner = ?2 ORDER BY id";
        self.records(from, (self.org_text(), owner.as_str()))
    }

    /// The instance with this id.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn instance(&self, id: &InstanceId) -> Result<Option<Stored<Instance>>, StoreError> {
        self.record("instances t WHERE org = ?1 AND id = ?2", (self.org_text(), id.as_str()))
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

    /// The instance with this identity key, its public JWK in canonical form.
    /// Looks through all instances: for registrations, not for calls.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn instance_by_identity(&self, jwk: &str) -> Result<Option<Stored<Instance>>, StoreError> {
        let from = "instances t WHERE org = ?1 AND identity_jwk = ?2 LIMIT 1";
        self.record(from, (self.org_text(), jwk))
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
        self.record(from, (self.org_text(), id.as_str(), version.bytes().as_slice()))
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
        self.records("tool_servers t WHERE org = ?1 ORDER BY name", [self.org_text()])
    }

    /// The catalogued definition of a tool.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn pin(&self, tool: &ToolId) -> Result<Option<Stored<Pin>>, StoreError> {
        self.record("pins t WHERE org = ?1 AND tool = ?2", (self.org_text(), tool.as_str()))
    }

    /// The catalogued definitions of a tool server, by tool.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn pins(&self, server: &ServerName) -> Result<Vec<Stored<Pin>>, StoreError> {
        let from = "pins t WHERE org = ?1 AND server = ?2 ORDER BY tool";
        self.records(from, (self.org_text(), server.as_str()))
    }

    /// What a tool server says a tool is, where nobody accepted it.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn candidate(&self, tool: &ToolId) -> Result<Option<Stored<Candidate>>, StoreError> {
        self.record("candidates t WHERE org = ?1 AND tool = ?2", (self.org_text(), tool.as_str()))
    }

    /// The same for every tool of a tool server, by tool.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn candidates(&self, server: &ServerName) -> Result<Vec<Stored<Candidate>>, StoreError> {
        let from = "candidates t WHERE org = ?1 AND server = ?2 ORDER BY tool";
        self.records(from, (self.org_text(), server.as_str()))
    }

    // Tasks, grants, delegations.

    /// The task with this id.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn task(&self, id: &TaskId) -> Result<Option<Stored<Task>>, StoreError> {
        self.record("tasks t WHERE org = ?1 AND id = ?2", (self.org_text(), id.as_str()))
    }

    /// The grant with this id, without its texts.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn grant(&self, id: &GrantId) -> Result<Option<Stored<Grant>>, StoreError> {
        self.record("grants t WHERE org = ?1 AND id = ?2", (self.org_text(), id.as_str()))
    }

    /// A grant, by the digest of its statement.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn grant_by_digest(&self, digest: &Digest) -> Result<Option<Stored<Grant>>, StoreError> {
        let key = (self.org_text(), digest.bytes().as_slice());
        self.record("grants t WHERE org = ?1 AND digest = ?2", key)
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

    /// The newest roots issued under a grant, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn newest_delegations_of_grant(
        &self,
        grant: &GrantId,
        limit: u32,
    ) -> Result<Vec<Stored<Delegation>>, StoreError> {
        let from = "delegations t WHERE org = ?1 AND grant_id = ?2
                    ORDER BY issued DESC, root LIMIT ?3";
        self.records(from, (self.org_text(), grant.as_str(), limit))
    }

    /// Roots issued under a grant to one holder key, newest first.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn delegations_to(
        &self,
        grant: &GrantId,
        holder: &Thumbprint,
        limit: u32,
    ) -> Result<Vec<Stored<Delegation>>, StoreError> {
        let from = "delegations t WHERE org = ?1 AND grant_id = ?2 AND holder = ?3
                    ORDER BY issued DESC, root LIMIT ?4";
        let holder = holder.bytes().as_slice();
        self.records(from, (self.org_text(), grant.as_str(), holder, limit))
    }

    /// Roots that have not ended at `now`, by token hash, after `after`.
    /// Walks the whole table page by page: for the rare case that everything
    /// under a key has to end.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn live_delegations(
        &self,
        after: Option<&Digest>,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Stored<Delegation>>, StoreError> {
        let after = after.map_or(&[][..], |d| d.bytes().as_slice());
        let from =
            "delegations t WHERE org = ?1 AND root > ?2 AND expires > ?3 ORDER BY root LIMIT ?4";
        self.records(from, (self.org_text(), after, now.millis(), limit))
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
}
