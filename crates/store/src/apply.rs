//! The projection: what each row does to the tables.

use bailiwick_core::ids::EntryId;
use bailiwick_core::json::Object;
use bailiwick_core::ledger::{Kind, Subjects};
use bailiwick_core::time::Timestamp;
use rusqlite::{Connection, Params};

use crate::errands::is_external;
use crate::error::StoreError;
use crate::rows::{Row, Subject};
use crate::stops::NEXT_SEQ;
use crate::view::View;

/// The projected tables, referring ones first.
pub(crate) const TABLES: &[&str] = &[
    "autonomy_signatures",
    "autonomy",
    "errands",
    "failures",
    "run_reviews",
    "run_evidence",
    "run_context",
    "runs",
    "standing_signatures",
    "standings",
    "authority_requests",
    "handoffs",
    "handshakes",
    "verdicts",
    "approvals",
    "resumptions",
    "stops",
    "revocations",
    "derived",
    "delegations",
    "grants",
    "tasks",
    "pins",
    "candidates",
    "tool_servers",
    "workflows",
    "instances",
    "entitlements",
    "policies",
    "roles",
    "credentials",
    "clients",
    "agents",
    "principals",
];

/// Those of them whose rows stand in leaves whole ([`Row::is_public`]), with their
/// texts sealed beside them: they are made again whatever was erased.
pub(crate) const FROM_LEAVES: &[&str] = &[
    "authority_requests",
    "autonomy",
    "autonomy_signatures",
    "derived",
    "errands",
    "failures",
    "handoffs",
    "handshakes",
    "resumptions",
    "revocations",
    "roles",
    "run_context",
    "run_evidence",
    "run_reviews",
    "runs",
    "standing_signatures",
    "standings",
    "stops",
];

/// Runs one writing statement; `what` names the record in errors.
pub(crate) fn execute(
    c: &Connection,
    sql: &str,
    params: impl Params,
    what: &'static str,
) -> Result<usize, StoreError> {
    use rusqlite::ffi;
    c.prepare_cached(sql).and_then(|mut s| s.execute(params)).map_err(|e| {
        match e.sqlite_error().map(|e| e.extended_code) {
            Some(ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => {
                StoreError::Conflict { what }
            }
            Some(ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => {
                StoreError::NoSuch { what: "record that this one refers to" }
            }
            _ => StoreError::sql("write the state", &e),
        }
    })
}

impl View<'_> {
    fn put(&self, sql: &str, params: impl Params, what: &'static str) -> Result<(), StoreError> {
        execute(self.c, sql, params, what).map(|_| ())
    }

    /// A change of an existing row.
    fn change(&self, sql: &str, params: impl Params, what: &'static str) -> Result<(), StoreError> {
        match execute(self.c, sql, params, what)? {
            0 => Err(StoreError::NoSuch { what }),
            _ => Ok(()),
        }
    }

    /// Opens an action that an entry allowed, closes one that it completed; counts it
    /// in its run.
    pub(crate) fn project_action(
        &self,
        maker: &str,
        kind: Kind,
        subjects: &Subjects,
        body: &Object,
        idx: i64,
    ) -> Result<(), StoreError> {
        let org = self.cx.org.as_str();
        self.project_run_call(kind, subjects)?;
        self.project_task_tool(kind, subjects)?;
        self.project_errand_call(kind, subjects, body, idx)?;
        let Some(action) = &subjects.action else {
            return Ok(());
        };
        match kind {
            Kind::ActionDecided if subjects.decision.as_deref() == Some("allow") => {
                let external = is_external(body);
                self.put(
                    "INSERT INTO actions (org, action, decided, maker, life, external)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    (org, action, idx, maker, self.cx.life.get(), external),
                    "action",
                )?;
                self.project_run_tool_begun(subjects, external)
            }
            Kind::ActionCompleted => {
                let sql = "UPDATE actions SET completed = ?3, outcome = ?4, life = NULL
                           WHERE org = ?1 AND action = ?2 AND completed IS NULL
                           RETURNING external";
                let params = (org, action, idx, &subjects.reason);
                let Some(external) = self.one(sql, params, |r| r.get(0))? else {
                    return Err(StoreError::ActionNotOpen { action: action.clone() });
                };
                self.project_run_tool_over(subjects, external, idx)
            }
            _ => Ok(()),
        }
    }

    /// Writes `row`, which `entry` made at `time`.
    pub(crate) fn apply(
        &self,
        row: &Row,
        entry: &EntryId,
        time: Timestamp,
    ) -> Result<(), StoreError> {
        let org = self.cx.org.as_str();
        let entry = entry.as_str();
        match row {
            Row::Principal(p) => self.put(
                "INSERT INTO principals (org, alias, issuer, id, jwk, status, entry)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                (
                    org,
                    p.alias.as_str(),
                    &p.issuer,
                    p.id.as_ref().map(|id| id.as_str()),
                    p.jwk.as_deref().unwrap_or_default(),
                    p.status.as_str(),
                    entry,
                ),
                "principal",
            ),
            Row::PrincipalStatus { alias, status } => self.change(
                "UPDATE principals SET status = ?3 WHERE org = ?1 AND alias = ?2",
                (org, alias.as_str(), status.as_str()),
                "principal",
            ),
            Row::Agent(a) => self.put(
                "INSERT INTO agents (org, id, owner, status, publisher, version, artifact, entry)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                (
                    org,
                    a.id.as_str(),
                    a.owner.as_str(),
                    a.status.as_str(),
                    &a.publisher,
                    &a.version,
                    a.artifact.as_ref().map(|d| d.bytes().as_slice()),
                    entry,
                ),
                "agent",
            ),
            Row::AgentOwner { agent, owner } => self.change(
                "UPDATE agents SET owner = ?3 WHERE org = ?1 AND id = ?2",
                (org, agent.as_str(), owner.as_str()),
                "agent",
            ),
            Row::AgentStatus { agent, status } => self.change(
                "UPDATE agents SET status = ?3 WHERE org = ?1 AND id = ?2",
                (org, agent.as_str(), status.as_str()),
                "agent",
            ),
            Row::Instance(i) => self.put(
                "INSERT INTO instances (org, id, agent, holder, holder_jwk, identity_jwk,
                                        statement, status, entry)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                (
                    org,
                    i.id.as_str(),
                    i.agent.as_str(),
                    i.holder.bytes().as_slice(),
                    &i.holder_jwk,
                    &i.identity_jwk,
                    &i.statement,
                    i.status.as_str(),
                    entry,
                ),
                "instance or holder key",
            ),
            Row::InstanceStatus { instance, status } => self.change(
                "UPDATE instances SET status = ?3 WHERE org = ?1 AND id = ?2",
                (org, instance.as_str(), status.as_str()),
                "instance",
            ),
            Row::Workflow(w) => {
                self.put(
                    "UPDATE workflows SET current = 0 WHERE org = ?1 AND id = ?2 AND current = 1",
                    (org, w.id.as_str()),
                    "workflow",
                )?;
                // A version published again becomes current again.
                self.put(
                    "INSERT INTO workflows (org, id, digest, document, published, current, entry)
                     VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6)
                     ON CONFLICT (org, id, digest) DO UPDATE
                     SET current = 1, published = excluded.published, entry = excluded.entry",
                    (
                        org,
                        w.id.as_str(),
                        w.digest.bytes().as_slice(),
                        &w.document,
                        w.published.millis(),
                        entry,
                    ),
                    "workflow",
                )
            }
            Row::ToolServer(s) => self.put(
                "INSERT INTO tool_servers (org, name, url, credential, identity_mode, status, entry)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (org, name) DO UPDATE
                 SET url = excluded.url, credential = excluded.credential,
                     identity_mode = excluded.identity_mode, status = excluded.status,
                     entry = excluded.entry",
                (
                    org,
                    s.name.as_str(),
                    &s.url,
                    &s.credential,
                    s.identity_mode.as_str(),
                    s.status.as_str(),
                    entry,
                ),
                "tool server",
            ),
            Row::Candidate(c) => self.put(
                "INSERT INTO candidates (org, tool, server, digest, definition, seen, entry)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT (org, tool) DO UPDATE
                 SET digest = excluded.digest, definition = excluded.definition,
                     seen = excluded.seen, entry = excluded.entry",
                (
                    org,
                    c.tool.as_str(),
                    c.tool.server(),
                    c.digest.bytes().as_slice(),
                    &c.definition,
                    c.seen.millis(),
                    entry,
                ),
                "candidate",
            ),
            Row::Pin(p) => {
                // Somebody decided: what waited for it does not wait any more.
                execute(
                    self.c,
                    "DELETE FROM candidates WHERE org = ?1 AND tool = ?2",
                    (org, p.tool.as_str()),
                    "candidate",
                )?;
                self.put(
                "INSERT INTO pins (org, tool, server, digest, definition, status, pinned, entry)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
                 ON CONFLICT (org, tool) DO UPDATE
                 SET digest = excluded.digest, definition = excluded.definition,
                     status = excluded.status, pinned = excluded.pinned, entry = excluded.entry",
                (
                    org,
                    p.tool.as_str(),
                    p.tool.server(),
                    p.digest.bytes().as_slice(),
                    &p.definition,
                    p.status.as_str(),
                    p.pinned.millis(),
                    entry,
                ),
                "pin",
            )
            }
            Row::PinStatus { tool, status } => self.change(
                "UPDATE pins SET status = ?3 WHERE org = ?1 AND tool = ?2",
                (org, tool.as_str(), status.as_str()),
                "pin",
            ),
            Row::Task(_) | Row::Grant(_) | Row::Delegation(_) | Row::Derived(_) => {
                self.apply_delegated(row, entry)
            }
            Row::Client(_) | Row::Credential(_) | Row::Entitlements(_) | Row::Role { .. } => {
                self.apply_people(row, entry)
            }
            Row::Policy(p) => self.put(
                "INSERT INTO policies (org, place, digest, document, published, entry)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                (
                    org,
                    p.place.as_str(),
                    p.digest.as_ref().map(|d| d.bytes().as_slice()),
                    &p.document,
                    p.published.millis(),
                    entry,
                ),
                "policy",
            ),
            Row::Approval(a) => self.apply_approval(a, entry),
            Row::ApprovalState { approval, state } => self.apply_approval_state(approval, *state),
            Row::Stop(s) => self.apply_stop(s, entry),
            Row::Resumption { signed, ends } => self.apply_resumption(signed, *ends, entry),
            Row::AuthorityRequest(r) => self.apply_request(r, entry),
            Row::AuthorityRequestState { request, state, grant } => {
                self.apply_request_state(request, *state, grant.as_ref(), time)
            }
            Row::Errand(errand) => self.apply_errand(errand, entry, time),
            Row::Run(_)
            | Row::RunComplete { .. }
            | Row::RunContext { .. }
            | Row::RunEnded { .. }
            | Row::RunProgress { .. }
            | Row::RunReviewed { .. } => self.apply_runs(row, entry, time),
            Row::Autonomy { autonomy, signed } => {
                if let Some(signed) = signed {
                    self.apply_autonomy_signature(signed, entry)?;
                }
                self.apply_autonomy(autonomy, entry)
            }
            Row::AutonomySigned(signed) => self.apply_autonomy_signature(signed, entry),
            Row::Failure(f) => self.apply_failure(f, entry),
            Row::FailureClassified(said) => self.apply_failure_class(said, entry, time),
            Row::FailureResolved(resolved) => self.apply_failure_resolved(resolved, entry, time),
            Row::Handshake(h) => self.apply_handshake(h, entry),
            Row::Handoff(h) => self.apply_handoff(h, entry),
            Row::HandoffAnswer { handoff, state, guarantee } => {
                self.apply_handoff_answer(handoff, *state, *guarantee, time)
            }
            Row::HandoffReturn { handoff } => self.apply_handoff_return(handoff, entry, time),
            Row::Verdict(v) => self.apply_verdict(v, entry),
            Row::StandingApproved(approved) => self.apply_standing(approved, entry),
            Row::StandingRevoked { standing } => self.apply_standing_revoked(standing),
            Row::StandingUsed { standing } => self.apply_standing_used(standing),
            Row::Revocation { subject, reason } => self.revoke(subject, reason, entry, time),
        }
    }

    fn apply_runs(&self, row: &Row, entry: &str, time: Timestamp) -> Result<(), StoreError> {
        match row {
            Row::Run(run) => self.apply_run(run, entry),
            Row::RunContext { items } => self.apply_run_context(items, entry),
            Row::RunProgress { run, more, deadline } => self.apply_run_spent(run, more, *deadline),
            Row::RunEnded { run, state, complete, pending, evidence } => {
                self.apply_run_evidence(evidence, entry)?;
                self.apply_run_ended(run, *state, (*complete, *pending), time)
            }
            Row::RunComplete { run, complete, pending, evidence } => {
                self.apply_run_evidence(evidence, entry)?;
                self.apply_run_complete(run, (*complete, *pending), time)
            }
            Row::RunReviewed { review, complete, evidence } => {
                self.apply_run_evidence(evidence, entry)?;
                self.apply_run_review(review, entry)?;
                self.apply_run_complete(&review.run, (*complete, false), time)
            }
            _ => Ok(()),
        }
    }

    fn apply_people(&self, row: &Row, entry: &str) -> Result<(), StoreError> {
        let org = self.cx.org.as_str();
        match row {
            Row::Client(c) => self.put(
                "INSERT INTO clients (org, id, source, name, metadata, agent, instance, status,
                                      registered, entry)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                 ON CONFLICT (org, id) DO UPDATE
                 SET source = excluded.source, name = excluded.name, metadata = excluded.metadata,
                     agent = excluded.agent, instance = excluded.instance,
                     status = excluded.status, entry = excluded.entry",
                (
                    org,
                    &c.id,
                    c.source.as_str(),
                    &c.name,
                    &c.metadata,
                    c.agent.as_ref().map(|a| a.as_str()),
                    c.instance.as_ref().map(|i| i.as_str()),
                    c.status.as_str(),
                    c.registered.millis(),
                    entry,
                ),
                "client",
            ),
            Row::Credential(c) => self.put(
                "INSERT INTO credentials (org, id, principal, kind, lookup, data, label, status,
                                          added, trusted, entry)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
                 ON CONFLICT (org, id) DO UPDATE
                 SET data = excluded.data, label = excluded.label, status = excluded.status,
                     trusted = excluded.trusted, entry = excluded.entry",
                (
                    org,
                    &c.id,
                    c.principal.as_str(),
                    c.kind.as_str(),
                    c.lookup.bytes().as_slice(),
                    &c.data,
                    &c.label,
                    c.status.as_str(),
                    c.added.millis(),
                    c.trusted.map(Timestamp::millis),
                    entry,
                ),
                "credential",
            ),
            Row::Entitlements(e) => self.put(
                "INSERT INTO entitlements (org, digest, document, published, entry)
                 VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (org) DO UPDATE
                 SET digest = excluded.digest, document = excluded.document,
                     published = excluded.published, entry = excluded.entry",
                (org, e.digest.bytes().as_slice(), &e.document, e.published.millis(), entry),
                "entitlements",
            ),
            Row::Role { principal, role, held: true } => self.put(
                "INSERT INTO roles (org, principal, role, entry) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (org, principal, role) DO UPDATE SET entry = excluded.entry",
                (org, principal.as_str(), role, entry),
                "role",
            ),
            Row::Role { principal, role, held: false } => self.change(
                "DELETE FROM roles WHERE org = ?1 AND principal = ?2 AND role = ?3",
                (org, principal.as_str(), role),
                "role",
            ),
            _ => Ok(()),
        }
    }

    fn apply_delegated(&self, row: &Row, entry: &str) -> Result<(), StoreError> {
        let org = self.cx.org.as_str();
        match row {
            Row::Task(t) => self.put(
                "INSERT INTO tasks (org, id, workflow, workflow_digest, agent, principal, created,
                                    entry)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                (
                    org,
                    t.id.as_str(),
                    t.workflow.as_str(),
                    t.workflow_digest.bytes().as_slice(),
                    t.agent.as_str(),
                    t.principal.as_str(),
                    t.created.millis(),
                    entry,
                ),
                "task",
            ),
            Row::Grant(g) => self.put(
                "INSERT INTO grants (org, id, digest, task, agent, principal, attested, starts,
                                     expires, account, entry)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                (
                    org,
                    g.id.as_str(),
                    g.digest.bytes().as_slice(),
                    g.task.as_str(),
                    g.agent.as_str(),
                    g.principal.as_str(),
                    g.attested,
                    g.starts.millis(),
                    g.expires.millis(),
                    g.account.as_ref().map(|account| account.bytes().as_slice()),
                    entry,
                ),
                "grant",
            ),
            Row::Delegation(d) => self.put(
                "INSERT INTO delegations (org, root, grant_id, task, agent, holder, issued,
                                          expires, form, client, status_index, guarantee,
                                          entry)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
                (
                    org,
                    d.root.bytes().as_slice(),
                    d.grant.as_str(),
                    d.task.as_str(),
                    d.agent.as_str(),
                    d.holder.bytes().as_slice(),
                    d.issued.millis(),
                    d.expires.millis(),
                    d.form.as_str(),
                    &d.client,
                    d.status_index,
                    d.guarantee.as_str(),
                    entry,
                ),
                "delegation",
            ),
            Row::Derived(d) => self.put(
                "INSERT INTO derived (org, token, parent, root, depth, holder, seen, expires,
                                      entry)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                (
                    org,
                    d.token.bytes().as_slice(),
                    d.parent.bytes().as_slice(),
                    d.root.bytes().as_slice(),
                    d.depth,
                    d.holder.bytes().as_slice(),
                    d.seen.millis(),
                    d.expires.millis(),
                    entry,
                ),
                "derived token",
            ),
            _ => Ok(()),
        }
    }

    fn revoke(
        &self,
        subject: &Subject,
        reason: &str,
        entry: &str,
        time: Timestamp,
    ) -> Result<(), StoreError> {
        let root = subject.root().map_or(&[][..], |r| r.bytes().as_slice());
        let sql = format!(
            "INSERT INTO revocations (org, seq, kind, key, root, reason, time, entry)
             VALUES (?1, {NEXT_SEQ}, ?2, ?3, ?4, ?5, ?6, ?7)"
        );
        self.put(
            &sql,
            (
                self.cx.org.as_str(),
                subject.kind(),
                subject.key(),
                root,
                reason,
                time.millis(),
                entry,
            ),
            "revocation",
        )
    }
}
