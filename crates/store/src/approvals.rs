//! Reading and writing calls that are held for a person.

use std::collections::BTreeSet;

use aws_lc_rs::hmac;
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{Alias, ApprovalId, InstanceId, TaskId};
use bailiwick_core::time::Timestamp;
use rusqlite::params;

use crate::apply::execute;
use crate::columns::count;
use crate::error::StoreError;
use crate::rows::{Approval, ApprovalState, Row, Said, Stored, Verdict};
use crate::tx::signed;
use crate::view::View;

/// Held calls of which a text was erased, or one of what people said about them:
/// their rows cannot be made again, and stay as they are.
pub(crate) const WITHOUT_TEXT: &str = "SELECT a.id FROM approvals a WHERE a.org = ?1 AND (
     a.entry IN (SELECT entry FROM sealed WHERE org = ?1 AND key IS NULL)
     OR a.id IN (SELECT v.approval FROM verdicts v WHERE v.org = ?1 AND v.entry IN
         (SELECT entry FROM sealed WHERE org = ?1 AND key IS NULL)))";

/// Held calls given at once at most.
pub const MAX_APPROVALS: u32 = 500;

impl Row {
    /// The held call that a row is about.
    pub(crate) const fn held_call(&self) -> Option<&ApprovalId> {
        match self {
            Self::Approval(approval) => Some(&approval.id),
            Self::ApprovalState { approval, .. } => Some(approval),
            Self::Verdict(verdict) => Some(&verdict.approval),
            _ => None,
        }
    }
}

impl View<'_> {
    /// The ids that [`WITHOUT_TEXT`] gives.
    pub(crate) fn approvals_without_text(&self) -> Result<BTreeSet<String>, StoreError> {
        let failed = |e: rusqlite::Error| StoreError::sql("read held calls", &e);
        let mut found = self.c.prepare_cached(WITHOUT_TEXT).map_err(failed)?;
        let ids = found.query_map([self.org_text()], |r| r.get(0)).map_err(failed)?;
        ids.collect::<Result<_, _>>().map_err(failed)
    }

    /// A MAC of `text` under the data dir's own key: equal texts fold, and whoever
    /// reads the database alone can try none. `domain` keeps uses apart.
    #[must_use]
    pub fn keyed_digest(&self, domain: &'static str, text: &[u8]) -> Digest {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.cx.key.bytes());
        let mut context = hmac::Context::with_key(&key);
        context.update(b"bailiwick-fold-v1\n");
        context.update(domain.as_bytes());
        context.update(b"\n");
        context.update(text);
        let mut out = [0; 32];
        out.copy_from_slice(context.sign().as_ref());
        Digest::from_array(out)
    }

    /// A held call.
    ///
    /// # Errors
    /// [`StoreError::Fault`], as for every read here.
    pub fn approval(&self, id: &ApprovalId) -> Result<Option<Stored<Approval>>, StoreError> {
        self.record("approvals t WHERE org = ?1 AND id = ?2", (self.org_text(), id.as_str()))
    }

    /// Held calls that nobody settled and that still count at `now`, those that
    /// end first first.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn pending_approvals(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<Stored<Approval>>, StoreError> {
        let from = "approvals t WHERE org = ?1 AND state = 'pending' AND expires > ?2
                    ORDER BY expires, id LIMIT ?3";
        self.records(from, (self.org_text(), now.millis(), limit.min(MAX_APPROVALS)))
    }

    /// Held calls of any state, newest first.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn approvals(&self, limit: u32) -> Result<Vec<Stored<Approval>>, StoreError> {
        let from = "approvals t WHERE org = ?1 ORDER BY asked DESC, id DESC LIMIT ?2";
        self.records(from, (self.org_text(), limit.min(MAX_APPROVALS)))
    }

    /// The last call like this one, by the same agent on the same tool for the
    /// same principal, whose approval was used. Nobody is shown another
    /// principal's call beside their own.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn approved_before(&self, like: &Approval) -> Result<Option<Stored<Approval>>, StoreError> {
        let from = "approvals t WHERE org = ?1 AND state = 'spent' AND agent = ?2 AND tool = ?3
                    AND id <> ?4 AND principal = ?5 ORDER BY asked DESC, id DESC LIMIT 1";
        let params = (
            self.org_text(),
            like.agent.as_str(),
            like.tool.as_str(),
            like.id.as_str(),
            like.principal.as_str(),
        );
        self.record(from, params)
    }

    /// How many held calls a task asked about since `since`.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn approvals_asked(&self, task: &TaskId, since: Timestamp) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) FROM approvals WHERE org = ?1 AND task = ?2 AND asked >= ?3";
        let params = (self.org_text(), task.as_str(), since.millis());
        Ok(self.one(sql, params, |r| count(r, 0))?.unwrap_or(0))
    }

    /// What people said about a held call, in the order of their aliases.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn verdicts(&self, id: &ApprovalId) -> Result<Vec<Stored<Verdict>>, StoreError> {
        let from = "verdicts t WHERE org = ?1 AND approval = ?2 ORDER BY approver";
        self.records(from, (self.org_text(), id.as_str()))
    }

    /// Whether somebody said something about a held call.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn has_said(&self, id: &ApprovalId, approver: &Alias) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM verdicts WHERE org = ?1 AND approval = ?2 AND approver = ?3";
        let params = (self.org_text(), id.as_str(), approver.as_str());
        Ok(self.one(sql, params, |r| r.get::<_, i64>(0))?.is_some())
    }

    pub(crate) fn apply_approval(&self, a: &Approval, entry: &str) -> Result<(), StoreError> {
        execute(
            self.c,
            "INSERT INTO approvals (org, id, state, action, policy, rule, risk, server, tool,
                 principal, agent, instance, workflow, workflow_digest, task, root, leaf, needed,
                 asked, expires, settled, entry)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                self.org_text(),
                a.id.as_str(),
                a.state.as_str(),
                a.action.bytes().as_slice(),
                a.policy.bytes().as_slice(),
                a.rule,
                a.risk,
                a.server.as_str(),
                a.tool.as_str(),
                a.principal.as_str(),
                a.agent.as_str(),
                a.instance.as_ref().map(InstanceId::as_str),
                a.workflow.as_str(),
                a.workflow_digest.bytes().as_slice(),
                a.task.as_str(),
                a.root.bytes().as_slice(),
                a.leaf.bytes().as_slice(),
                signed(a.needed)?,
                a.asked.millis(),
                a.expires.millis(),
                a.settled.map(Timestamp::millis),
                entry,
            ],
            "approval",
        )
        .map(drop)
    }

    /// One denial settles a held call, and so do as many approvals as it needs.
    pub(crate) fn apply_verdict(&self, v: &Verdict, entry: &str) -> Result<(), StoreError> {
        let org = self.org_text();
        execute(
            self.c,
            "INSERT INTO verdicts (org, approval, approver, verdict, grade, credential, signed,
                 said, entry)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            (
                org,
                v.approval.as_str(),
                v.approver.as_str(),
                v.verdict.as_str(),
                &v.grade,
                &v.credential,
                &v.signed,
                v.said.millis(),
                entry,
            ),
            "verdict",
        )?;
        let settled = match v.verdict {
            Said::Deny => ApprovalState::Denied,
            Said::Approve => ApprovalState::Approved,
        };
        let changed = execute(
            self.c,
            "UPDATE approvals SET state = ?3, settled = ?4
             WHERE org = ?1 AND id = ?2 AND state = 'pending' AND (?3 = 'denied' OR needed <=
                 (SELECT count(*) FROM verdicts v WHERE v.org = approvals.org
                  AND v.approval = approvals.id AND v.verdict = 'approve'))",
            (org, v.approval.as_str(), settled.as_str(), v.said.millis()),
            "approval",
        )?;
        let open = "SELECT 1 FROM approvals WHERE org = ?1 AND id = ?2 AND state = 'pending'";
        let is_open = self.one(open, (org, v.approval.as_str()), |r| r.get::<_, i64>(0))?;
        // A verdict on what was settled before is none.
        match changed == 1 || is_open.is_some() {
            true => Ok(()),
            false => Err(StoreError::NoSuch { what: "pending approval" }),
        }
    }

    /// An approval is spent once, and only what nobody used becomes void.
    pub(crate) fn apply_approval_state(
        &self,
        id: &ApprovalId,
        state: ApprovalState,
    ) -> Result<(), StoreError> {
        let sql = match state {
            ApprovalState::Spent => {
                "UPDATE approvals SET state = ?3
                 WHERE org = ?1 AND id = ?2 AND state = 'approved'"
            }
            _ => {
                "UPDATE approvals SET state = ?3
                 WHERE org = ?1 AND id = ?2 AND state IN ('pending', 'approved')"
            }
        };
        match execute(self.c, sql, (self.org_text(), id.as_str(), state.as_str()), "approval")? {
            0 => Err(StoreError::NoSuch { what: "approval in that state" }),
            _ => Ok(()),
        }
    }
}
