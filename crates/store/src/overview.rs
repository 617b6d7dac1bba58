//! How an installation stands, at a glance: counts that stop at a bound, and the
//! calls of the last hours.

use bailiwick_core::ids::AgentId;
use bailiwick_core::time::Timestamp;

use crate::calls::HOUR_MS;
use crate::columns::{count, parsed};
use crate::error::StoreError;
use crate::view::View;

/// The calls that were decided within an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallsOfHour {
    /// When the hour began: a whole hour, UTC.
    pub began: Timestamp,
    /// Calls that were allowed.
    pub allowed: u64,
    /// Calls that were denied.
    pub denied: u64,
    /// Calls that asked for a person.
    pub asked: u64,
}

impl View<'_> {
    /// Active agents without an active instance, by id, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Fault`], as for every read here.
    pub fn idle_agents(&self, limit: u32) -> Result<Vec<AgentId>, StoreError> {
        let sql = "SELECT id FROM agents WHERE org = ?1 AND status = 'active' AND NOT EXISTS
                     (SELECT 1 FROM instances i WHERE i.org = agents.org AND i.agent = agents.id
                      AND i.status = 'active')
                   ORDER BY id LIMIT ?2";
        self.many(sql, (self.org_text(), limit), |r| parsed(r, 0))
    }

    /// The calls of each hour from the one that `since` is in, oldest first; hours
    /// without calls are left out.
    ///
    /// # Errors
    /// [`StoreError::Fault`].
    pub fn calls_by_hour(&self, since: Timestamp) -> Result<Vec<CallsOfHour>, StoreError> {
        let begin = since.millis().div_euclid(HOUR_MS);
        let sql = "SELECT hour,
                          coalesce(sum(calls) FILTER (WHERE decision = 'allow'), 0),
                          coalesce(sum(calls) FILTER (WHERE decision = 'deny'), 0),
                          coalesce(sum(calls) FILTER (WHERE decision = 'approval_required'), 0)
                   FROM (SELECT hour, decision, calls FROM calls_rolled
                         WHERE org = ?1 AND sets = 0 AND agent = '' AND tool = ''
                           AND workflow_digest = '' AND hour >= ?2
                         UNION ALL
                         SELECT hour, decision, calls FROM calls_hourly
                         WHERE org = ?1 AND hour >= max(?2, ?3))
                   GROUP BY hour ORDER BY hour";
        self.many(sql, (self.org_text(), begin, self.rolled_upto()?), |r| {
            let hour: i64 = r.get(0)?;
            Ok(CallsOfHour {
                began: Timestamp::from_millis(hour.saturating_mul(HOUR_MS)),
                allowed: count(r, 1)?,
                denied: count(r, 2)?,
                asked: count(r, 3)?,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    /// The page that is looked at most.
    #[test]
    fn calls_of_a_day_are_found_by_their_hours() {
        let c = crate::connection::scratch().unwrap();
        let sql = "EXPLAIN QUERY PLAN SELECT hour, sum(calls) FROM calls_hourly
                   WHERE org = ?1 AND hour >= ?2 GROUP BY hour ORDER BY hour";
        let mut query = c.prepare(sql).unwrap();
        let plan: Vec<String> =
            query.query_map(("o", 5), |r| r.get(3)).unwrap().map(Result::unwrap).collect();
        assert!(plan.iter().all(|p| p.starts_with("SEARCH") && p.contains("hour>?")), "{plan:?}");
    }
}
