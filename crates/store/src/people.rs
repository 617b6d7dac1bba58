//! Reading clients, credentials, roles and entitlements.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{AgentId, Alias, EntryId};

use crate::columns::{Record, parsed};
use crate::error::StoreError;
use crate::rows::{
    Agent, Client, ClientHolder, Credential, CredentialKind, Entitlements, Grant, Principal,
    Stored, Subject,
};
use crate::view::View;

impl View<'_> {
    /// The client with this `client_id`.
    ///
    /// # Errors
    /// [`StoreError::Fault`], as for every read here.
    pub fn client(&self, id: &str) -> Result<Option<Stored<Client>>, StoreError> {
        self.record("clients t WHERE org = ?1 AND id = ?2", (self.org_text(), id))
    }

    /// Every client, by id.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn clients(&self) -> Result<Vec<Stored<Client>>, StoreError> {
        self.records("clients t WHERE org = ?1 ORDER BY id", [self.org_text()])
    }

    /// The clients that are mapped to an agent, by id.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn clients_of_agent(&self, agent: &AgentId) -> Result<Vec<Stored<Client>>, StoreError> {
        let from = "clients t WHERE org = ?1 AND agent = ?2 ORDER BY id";
        self.records(from, (self.org_text(), agent.as_str()))
    }

    /// A mapped client, its agent and that agent's owner, in one read; `None`
    /// when there is no such client or it is mapped to no agent.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn client_holder(&self, id: &str) -> Result<Option<ClientHolder>, StoreError> {
        let sql = format!(
            "SELECT {}, {}, {} FROM clients c
             JOIN agents a ON a.org = c.org AND a.id = c.agent
             JOIN principals p ON p.org = a.org AND p.alias = a.owner
             WHERE c.org = ?1 AND c.id = ?2",
            Client::select("c"),
            Agent::select("a"),
            Principal::select("p")
        );
        let agent_at = Client::COLUMNS.len() + 1;
        let owner_at = agent_at + Agent::COLUMNS.len() + 1;
        self.one(&sql, (self.org_text(), id), |r| {
            Ok(ClientHolder {
                client: Client::stored(r, 0)?,
                agent: Agent::stored(r, agent_at)?,
                owner: Principal::stored(r, owner_at)?,
            })
        })
    }

    /// The credential of this kind that is found by `lookup`.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn credential_by_lookup(
        &self,
        kind: CredentialKind,
        lookup: &Digest,
    ) -> Result<Option<Stored<Credential>>, StoreError> {
        let from = "credentials t WHERE org = ?1 AND kind = ?2 AND lookup = ?3";
        self.record(from, (self.org_text(), kind.as_str(), lookup.bytes().as_slice()))
    }

    /// The credential with this id.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn credential(&self, id: &str) -> Result<Option<Stored<Credential>>, StoreError> {
        self.record("credentials t WHERE org = ?1 AND id = ?2", (self.org_text(), id))
    }

    /// Whether anybody has a passkey or key that may sign verdicts, now or later.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn has_signers(&self) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM credentials
                   WHERE org = ?1 AND kind IN ('passkey', 'approver') AND status = 'active' LIMIT 1";
        Ok(self.one(sql, [self.org_text()], |r| r.get::<_, i64>(0))?.is_some())
    }

    /// The id of the first passkey or approver key that anybody ever enrolled,
    /// whether it still counts or not.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn first_signer(&self) -> Result<Option<String>, StoreError> {
        let sql = "SELECT id FROM credentials
                   WHERE org = ?1 AND kind IN ('passkey', 'approver')
                   ORDER BY added, rowid LIMIT 1";
        self.one(sql, [self.org_text()], |r| r.get(0))
    }

    /// A principal's credentials, by id.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn credentials_of(&self, alias: &Alias) -> Result<Vec<Stored<Credential>>, StoreError> {
        let from = "credentials t WHERE org = ?1 AND principal = ?2 ORDER BY id";
        self.records(from, (self.org_text(), alias.as_str()))
    }

    /// A principal's roles, in order of their names.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn roles_of(&self, alias: &Alias) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT role FROM roles WHERE org = ?1 AND principal = ?2 ORDER BY role";
        self.many(sql, (self.org_text(), alias.as_str()), |r| r.get(0))
    }

    /// Everybody who holds a role, by alias.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn holders_of_role(&self, role: &str) -> Result<Vec<Alias>, StoreError> {
        let sql = "SELECT principal FROM roles WHERE org = ?1 AND role = ?2 ORDER BY principal";
        self.many(sql, (self.org_text(), role), |r| crate::columns::parsed(r, 0))
    }

    /// The entry that published the entitlements in force, if any were.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn entitlements_version(&self) -> Result<Option<EntryId>, StoreError> {
        let sql = "SELECT entry FROM entitlements WHERE org = ?1";
        self.one(sql, [self.org_text()], |r| parsed(r, 0))
    }

    /// The entitlements in force, if any were published.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn entitlements(&self) -> Result<Option<Stored<Entitlements>>, StoreError> {
        self.record("entitlements t WHERE org = ?1", [self.org_text()])
    }

    /// A principal's grants without their texts, newest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn grants_of_principal(
        &self,
        alias: &Alias,
        limit: u32,
    ) -> Result<Vec<Stored<Grant>>, StoreError> {
        let from = "grants t WHERE org = ?1 AND principal = ?2 ORDER BY id DESC LIMIT ?3";
        self.records(from, (self.org_text(), alias.as_str(), limit))
    }

    /// Whether a place in the status lists is taken.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn status_index_taken(&self, index: u32) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM delegations WHERE org = ?1 AND status_index = ?2";
        Ok(self.one(sql, (self.org_text(), index), |r| r.get::<_, i64>(0))?.is_some())
    }

    /// The highest place in the status lists that was given out.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn newest_status_index(&self) -> Result<Option<u32>, StoreError> {
        let sql = "SELECT status_index FROM delegations
                   WHERE org = ?1 AND status_index IS NOT NULL
                   ORDER BY status_index DESC LIMIT 1";
        self.one(sql, (self.org_text(),), |r| r.get(0))
    }

    /// The places in the status lists of the roots that end with `subject`.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn status_indices(&self, subject: &Subject) -> Result<Vec<u32>, StoreError> {
        let of = |condition: &str, key: &dyn rusqlite::ToSql| {
            let sql = format!(
                "SELECT d.status_index FROM delegations d {condition}
                 AND d.org = ?1 AND d.status_index IS NOT NULL ORDER BY 1"
            );
            self.many(&sql, rusqlite::params![self.org_text(), key], |r| r.get(0))
        };
        match subject {
            Subject::Delegation { token } => of("WHERE d.root = ?2", &token.bytes().as_slice()),
            Subject::Grant { id } => of("WHERE d.grant_id = ?2", &id.as_str()),
            Subject::Task { id } => of("WHERE d.task = ?2", &id.as_str()),
            Subject::Agent { id } => of("WHERE d.agent = ?2", &id.as_str()),
            Subject::Instance { id } => of(
                "WHERE (d.holder IN (SELECT holder FROM instances WHERE org = ?1 AND id = ?2)
                     OR d.client IN (SELECT id FROM clients WHERE org = ?1 AND instance = ?2))",
                &id.as_str(),
            ),
            Subject::Principal { alias } => of(
                "JOIN grants g ON g.org = d.org AND g.id = d.grant_id WHERE g.principal = ?2",
                &alias.as_str(),
            ),
            Subject::Workflow { id } => of(
                "JOIN tasks t ON t.org = d.org AND t.id = d.task WHERE t.workflow = ?2",
                &id.as_str(),
            ),
            // A key is barred under one root, which itself stands; a tool
            // server ends no root.
            Subject::HolderKey { .. } | Subject::ToolServer { .. } => Ok(Vec::new()),
        }
    }
}
