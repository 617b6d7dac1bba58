//! Search over held calls.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{Alias, ApprovalId, ToolId, WorkflowId};
use bailiwick_core::json::Json;
use bailiwick_core::time::Timestamp;
use rusqlite::params_from_iter;
use rusqlite::types::Value;

use crate::approvals::MAX_APPROVALS;
use crate::columns::{digest, parsed};
use crate::error::StoreError;
use crate::rows::{Approval, Stored, UnknownText};
use crate::view::View;

/// Words of a search that count.
const MAX_WORDS: usize = 6;

/// Which held calls to find: all members that are set must fit.
#[derive(Clone, Debug, Default)]
pub struct ApprovalFilter {
    /// Only those that nobody settled and that still count at this time, those
    /// that end first first. Without it those of every state, newest first.
    pub waiting_at: Option<Timestamp>,
    /// The agent.
    pub agent: Option<String>,
    /// The tool id.
    pub tool: Option<String>,
    /// The task.
    pub task: Option<String>,
    /// The workflow.
    pub workflow: Option<String>,
    /// The tool's risk.
    pub risk: Option<String>,
    /// Words, each of which stands in a name: id, agent, tool, workflow, task,
    /// rule or principal.
    pub search: Option<String>,
    /// Only what somebody may see; everything without it.
    pub visible: Option<Visible>,
    /// Only those that come after this one.
    pub after: Option<Place>,
    /// How many at most; [`MAX_APPROVALS`] is the ceiling.
    pub limit: u32,
}

/// What one person may see, without a role that shows everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visible {
    /// Calls of their own agents.
    pub own: Alias,
    /// Calls of these tools under these versions of workflows.
    pub of: BTreeSet<(Digest, ToolId)>,
}

/// The place of a held call in the order that it was found in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its end where waiting calls are listed, else when it was asked.
    pub time: Timestamp,
    /// Its id.
    pub id: ApprovalId,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.time.millis(), self.id)
    }
}

impl FromStr for Place {
    type Err = UnknownText;
    fn from_str(text: &str) -> Result<Self, UnknownText> {
        let (time, id) = text.split_once('.').ok_or(UnknownText)?;
        Ok(Self {
            time: Timestamp::from_millis(time.parse().map_err(|_| UnknownText)?),
            id: ApprovalId::parse(id).map_err(|_| UnknownText)?,
        })
    }
}

impl ApprovalFilter {
    /// Where `approval` stands in this order.
    #[must_use]
    pub fn place(&self, approval: &Approval) -> Place {
        let time = if self.waiting_at.is_some() { approval.expires } else { approval.asked };
        Place { time, id: approval.id.clone() }
    }

    fn statement(&self, org: &str) -> (String, Vec<Value>) {
        let mut sql = "approvals t WHERE t.org = ?".to_owned();
        let mut params = vec![Value::from(org.to_owned())];
        let mut add = |condition: &str, values: Vec<Value>| {
            sql.push_str(" AND ");
            sql.push_str(condition);
            params.extend(values);
        };
        if let Some(now) = self.waiting_at {
            add("t.state = 'pending' AND t.expires > ?", vec![now.millis().into()]);
        }
        for (condition, text) in [
            ("t.agent = ?", &self.agent),
            ("t.tool = ?", &self.tool),
            ("t.task = ?", &self.task),
            ("t.workflow = ?", &self.workflow),
            ("t.risk = ?", &self.risk),
        ] {
            if let Some(text) = text {
                add(condition, vec![text.clone().into()]);
            }
        }
        let words = self.search.as_deref().unwrap_or_default().split_whitespace();
        for word in words.take(MAX_WORDS) {
            let word = Value::from(word.to_lowercase());
            let condition = "(instr(lower(t.tool), ?) OR instr(lower(t.agent), ?)
                 OR instr(lower(t.workflow), ?) OR instr(t.task, ?) OR instr(lower(t.rule), ?)
                 OR instr(t.id, ?) OR t.principal IN (SELECT alias FROM principals p
                     WHERE p.org = t.org AND instr(lower(p.id), ?)))";
            add(condition, vec![word; 7]);
        }
        if let Some(visible) = &self.visible {
            let of = visible.of.iter().map(|(workflow, tool)| Json::from(key(workflow, tool)));
            let of = Json::from(of.collect::<Vec<_>>()).canonical();
            let condition = "(t.principal = ? OR lower(hex(t.workflow_digest)) || ' ' || t.tool
                 IN (SELECT value FROM json_each(?)))";
            add(condition, vec![visible.own.to_string().into(), of.into()]);
        }
        // Rows compare by their members in order, so the index gives the place.
        let (after, order) = match self.waiting_at {
            Some(_) => ("(t.expires, t.id) > (?, ?)", "t.expires, t.id"),
            None => ("(t.asked, t.id) < (?, ?)", "t.asked DESC, t.id DESC"),
        };
        if let Some(place) = &self.after {
            add(after, vec![place.time.millis().into(), place.id.to_string().into()]);
        }
        sql.push_str(" ORDER BY ");
        sql.push_str(order);
        sql.push_str(" LIMIT ?");
        params.push(i64::from(self.limit.min(MAX_APPROVALS)).into());
        (sql, params)
    }
}

fn key(workflow: &Digest, tool: &ToolId) -> String {
    let mut text = String::with_capacity(65);
    for byte in workflow.bytes() {
        text.push_str(&format!("{byte:02x}"));
    }
    text.push(' ');
    text.push_str(tool.as_str());
    text
}

impl View<'_> {
    /// Held calls that fit, in the filter's order.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn find_approvals(
        &self,
        filter: &ApprovalFilter,
    ) -> Result<Vec<Stored<Approval>>, StoreError> {
        let (from, params) = filter.statement(self.org_text());
        self.records(&from, params_from_iter(params))
    }

    /// Which tools, under which versions of workflows, held calls are about: of
    /// those that wait at `waiting_at`, or of all.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn tools_of_approvals(
        &self,
        waiting_at: Option<Timestamp>,
    ) -> Result<Vec<(WorkflowId, Digest, ToolId)>, StoreError> {
        let waiting = "AND state = 'pending' AND expires > ?2";
        let sql = format!(
            "SELECT DISTINCT workflow, workflow_digest, tool FROM approvals
             WHERE org = ?1 {} LIMIT 10000",
            if waiting_at.is_some() { waiting } else { "AND ?2 = 0" }
        );
        let params = (self.org_text(), waiting_at.map_or(0, Timestamp::millis));
        self.many(&sql, params, |r| Ok((parsed(r, 0)?, digest(r, 1)?, parsed(r, 2)?)))
    }
}
