//! Decided calls of hours that are over, added up by what figures are asked for.
//!
//! Added up when an hour is over, not with each entry: a call costs what it did, and a
//! figure reads the hours that are added up and, of the rest, the calls' own counts.

use bailiwick_core::time::Timestamp;
use rusqlite::ToSql;

use crate::apply::execute;
use crate::calls::HOUR_MS;
use crate::error::StoreError;
use crate::tx::Tx;
use crate::view::View;

/// A row names the workflow.
pub(crate) const WORKFLOW: u8 = 1;
/// A row names the workflow and its version.
pub(crate) const VERSION: u8 = 2;
/// A row names the agent.
pub(crate) const AGENT: u8 = 4;
/// A row names the tool.
pub(crate) const TOOL: u8 = 8;
/// A row names workflow, agent and tool, of all hours together.
pub(crate) const IN_ALL: u8 = 15;

/// What is added up: whatever a figure may be narrowed to, but for an agent together
/// with a tool, of which there are nearly as many as calls.
const SETS: [u8; 10] = [
    0,
    WORKFLOW,
    VERSION,
    AGENT,
    AGENT | WORKFLOW,
    AGENT | VERSION,
    TOOL,
    TOOL | WORKFLOW,
    TOOL | VERSION,
    IN_ALL,
];

const WHAT: &str = "hour of calls";

/// Adds up what `source` has, into the rows of one set.
fn statement(sets: u8, source: &str) -> String {
    let all = sets == IN_ALL;
    let named = |is: bool, column: &str| if is { column.to_owned() } else { "''".to_owned() };
    let agent = named(sets & AGENT != 0, "agent");
    let tool = named(sets & TOOL != 0, "tool");
    let version = named(sets & VERSION != 0 && !all, "workflow_digest");
    let workflow = named(sets & (WORKFLOW | VERSION) != 0, "workflow");
    let hour = if all { "0" } else { "hour" };
    format!(
        "INSERT INTO calls_rolled (org, sets, agent, tool, workflow_digest, hour, workflow,
             decision, reason, calls)
         SELECT org, {sets}, {agent}, {tool}, {version}, {hour}, {workflow}, decision, reason,
                sum(calls)
         FROM {source} GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
         ON CONFLICT DO UPDATE SET calls = calls + excluded.calls"
    )
}

impl View<'_> {
    /// The first hour that is not added up yet.
    pub(crate) fn rolled_upto(&self) -> Result<i64, StoreError> {
        let sql = "SELECT hour FROM calls_rolled_upto WHERE org = ?1";
        Ok(self.one(sql, [self.org_text()], |r| r.get(0))?.unwrap_or(i64::MIN))
    }

    /// Adds one call to its hour; given as `calls_hourly` has it.
    pub(crate) fn roll_up_one(&self, call: &[&dyn ToSql]) -> Result<(), StoreError> {
        let source = "(SELECT ?1 AS org, ?2 AS hour, ?3 AS workflow, ?4 AS workflow_digest,
             ?5 AS agent, ?6 AS tool, ?7 AS decision, ?8 AS reason, 1 AS calls) WHERE true";
        SETS.iter()
            .try_for_each(|sets| execute(self.c, &statement(*sets, source), call, WHAT).map(drop))
    }

    /// Adds up the hours before `upto` that are not yet; whoever calls it bounds them.
    pub(crate) fn roll_up_to(&self, upto: i64) -> Result<(), StoreError> {
        let from = self.rolled_upto()?;
        let source = "calls_hourly WHERE org = ?1 AND hour >= ?2 AND hour < ?3";
        for sets in SETS {
            execute(self.c, &statement(sets, source), (self.org_text(), from, upto), WHAT)?;
        }
        let mark = "INSERT INTO calls_rolled_upto (org, hour) VALUES (?1, ?2)
                    ON CONFLICT DO UPDATE SET hour = excluded.hour";
        execute(self.c, mark, (self.org_text(), upto), WHAT).map(drop)
    }

    /// The first hour with calls that is over at `now` and not added up yet.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn calls_to_roll_up(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT hour FROM calls_hourly WHERE org = ?1 AND hour >= ?2 AND hour < ?3
                   ORDER BY hour LIMIT 1";
        let over = now.millis().div_euclid(HOUR_MS);
        let hour = self.one(sql, (self.org_text(), self.rolled_upto()?, over), |r| r.get(0))?;
        Ok(hour.map(|hour: i64| Timestamp::from_millis(hour.saturating_mul(HOUR_MS))))
    }
}

impl Tx<'_> {
    /// Adds up the decided calls of one hour, and says whether it was the last that is
    /// over at `now`. Figures are the same before and after.
    ///
    /// # Errors
    /// [`StoreError::Fault`]; then nothing changed.
    pub fn roll_up_calls(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        let Some(hour) = self.view.calls_to_roll_up(now)? else { return Ok(true) };
        let upto = hour.millis().div_euclid(HOUR_MS).saturating_add(1);
        self.savepoint(|tx| tx.view.roll_up_to(upto))?;
        Ok(false)
    }
}
