//! The statements behind the figures, and what they are given.

use rusqlite::types::Value;

use super::{MAX_GROUPS, MAX_VALUES, MetricFilter};
use crate::calls::HOUR_MS;
use crate::rollup::{AGENT, TOOL, VERSION, WORKFLOW};

/// A claimed run that counts as complete and was not rejected.
const SUCCESS: &str = "(r.state = 'claimed' AND r.complete = 1 AND r.review IS NOT 'rejected')";

/// What one run or task adds at most: the sums below stay exact for millions of them.
const CAP: i64 = (1 << 40) - 1;

/// A statement with what it is given.
pub(super) struct Query {
    pub(super) sql: String,
    pub(super) params: Vec<Value>,
}

impl Query {
    fn new(org: &str) -> Self {
        Self { sql: String::new(), params: vec![Value::from(org.to_owned())] }
    }

    fn and(&mut self, condition: &str, value: impl Into<Value>) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.params.push(value.into());
    }

    /// `before`, the conditions, `after`.
    fn wrap(mut self, before: &str, after: &str) -> Self {
        self.sql = format!("{before}{}{after}", self.sql);
        self
    }
}

impl MetricFilter {
    /// Which ended runs count; a `+` keeps the engine from another index than that of
    /// their time.
    pub(super) fn runs(&self, org: &str) -> Query {
        let mut query = Query::new(org);
        query.sql.push_str("r.org = ?");
        query.and("r.ended >= ?", self.from.millis());
        query.and("r.ended < ?", self.until.millis());
        if let Some(workflow) = &self.workflow {
            query.and("+r.workflow = ?", workflow.to_string());
        }
        if let Some(version) = &self.version {
            query.and("+r.workflow_digest = ?", version.bytes().to_vec());
        }
        if let Some(agent) = &self.agent {
            query.and("+r.agent = ?", agent.to_string());
        }
        if let Some(tool) = &self.tool {
            let called = "EXISTS (SELECT 1 FROM run_calls c
                          WHERE c.org = r.org AND c.run = r.id AND c.tool = ?)";
            query.and(called, tool.to_string());
        }
        query
    }

    pub(super) fn of_runs(&self, org: &str, select: &str) -> Query {
        self.runs(org).wrap(&format!("SELECT {select} FROM runs r WHERE "), "")
    }

    pub(super) fn success(&self, org: &str) -> Query {
        let select =
            format!("count(DISTINCT CASE WHEN {SUCCESS} THEN r.task END), count(DISTINCT r.task)");
        self.of_runs(org, &select)
    }

    pub(super) fn correction(&self, org: &str) -> Query {
        self.of_runs(
            org,
            "count(*) FILTER (WHERE r.review IN ('corrected', 'rejected')), count(r.review)",
        )
    }

    pub(super) fn escalation(&self, org: &str) -> Query {
        self.of_runs(
            org,
            "count(*) FILTER (WHERE EXISTS (SELECT 1 FROM run_calls c INDEXED BY run_calls_held
                 WHERE c.org = r.org AND c.run = r.id
                   AND c.decision = 'approval_required')), count(*)",
        )
    }

    pub(super) fn failed(&self, org: &str) -> Query {
        self.of_runs(org, &format!("count(*) FILTER (WHERE NOT ifnull({SUCCESS}, 0)), count(*)"))
    }

    pub(super) fn iterations(&self, org: &str) -> Query {
        let before = format!(
            "WITH per AS (SELECT max(ifnull({SUCCESS}, 0)) AS done,
                    min(sum(min(r.iterations, {CAP})), {CAP}) AS x FROM runs r WHERE "
        );
        let after = format!(
            " GROUP BY r.task)
             SELECT count(*) FILTER (WHERE x > 0), {}, count(*) FILTER (WHERE x = 0)
             FROM per WHERE done",
            sums("x", "x > 0")
        );
        self.runs(org).wrap(&before, &after)
    }

    pub(super) fn cost(&self, org: &str) -> Query {
        let before = format!(
            "WITH per AS (SELECT r.currency AS currency, ifnull({SUCCESS}, 0) AS done,
                    min(r.cost_micros, {CAP}) AS x FROM runs r WHERE "
        );
        let after = format!(
            ") SELECT currency, count(*) FILTER (WHERE done), {},
                    ifnull(sum(x) FILTER (WHERE NOT done), 0)
             FROM per GROUP BY currency ORDER BY currency LIMIT {MAX_GROUPS}",
            sums("x", "done")
        );
        self.runs(org).wrap(&before, &after)
    }

    /// The hours that the span touches.
    fn hours(&self) -> (i64, i64) {
        let until = self.until.millis().saturating_add(HOUR_MS - 1);
        (self.from.millis().div_euclid(HOUR_MS), until.div_euclid(HOUR_MS))
    }

    /// Decided calls of the span: of hours that are added up by what is asked for, of
    /// those from `upto` on call by call. `by` is a column that is told apart.
    fn calls(&self, org: &str, upto: i64, select: &str, by: Option<(&str, u8)>) -> Query {
        let mut query = Query::new(org);
        query.params.clear();
        let (from, until) = self.hours();
        let version = self.version.as_ref().map(ToString::to_string);
        let workflow = self.workflow.as_ref().map(ToString::to_string);
        let (agent, tool) = (
            self.agent.as_ref().map(ToString::to_string),
            self.tool.as_ref().map(ToString::to_string),
        );
        let named = [(VERSION, &version), (WORKFLOW, &workflow), (AGENT, &agent), (TOOL, &tool)];
        let named = named.iter().filter(|(_, text)| text.is_some());
        let mut sets = named.fold(by.map_or(0, |(_, set)| set), |sets, (set, _)| sets | set);
        if sets & VERSION != 0 {
            sets &= !WORKFLOW;
        }
        let together = sets & AGENT != 0 && sets & TOOL != 0;
        let upto = if together { from } else { upto.clamp(from, until.max(from)) };
        let column = by.map(|(column, _)| column);
        if upto > from {
            let index = if by.is_some() { " INDEXED BY calls_rolled_hour" } else { "" };
            query.sql = format!("SELECT {select} FROM calls_rolled{index} WHERE org = ?");
            query.params.push(Value::from(org.to_owned()));
            query.and("sets = ?", i64::from(sets));
            query.and("hour >= ?", from);
            query.and("hour < ?", upto);
            for (name, text) in [("agent", &agent), ("tool", &tool), ("workflow_digest", &version)]
            {
                if text.is_some() || column != Some(name) {
                    query.and(&format!("{name} = ?"), text.clone().unwrap_or_default());
                }
            }
            if let Some(workflow) = &workflow {
                query.and("workflow = ?", workflow.clone());
            }
            query.sql.push_str(" UNION ALL ");
        }
        query.sql.push_str(&format!("SELECT {select} FROM calls_hourly WHERE org = ?"));
        query.params.push(Value::from(org.to_owned()));
        query.and("hour >= ?", upto);
        query.and("hour < ?", until);
        let texts = [
            ("workflow = ?", workflow),
            ("workflow_digest = ?", version),
            ("agent = ?", agent),
            ("tool = ?", tool),
        ];
        for (condition, text) in texts {
            if let Some(text) = text {
                query.and(condition, text);
            }
        }
        query
    }

    pub(super) fn decided(&self, org: &str, upto: i64) -> Query {
        self.calls(org, upto, "decision, reason, calls", None).wrap(
            "SELECT decision, reason, sum(calls) FROM (",
            ") GROUP BY decision, reason ORDER BY sum(calls) DESC, decision, reason",
        )
    }

    pub(super) fn values(&self, org: &str, upto: i64, by: (&str, u8)) -> Query {
        let column = by.0;
        let select = format!("{column} AS name, calls");
        self.calls(org, upto, &select, Some(by)).wrap(
            "SELECT name, sum(calls) FROM (",
            ") WHERE name <> '' GROUP BY name ORDER BY sum(calls) DESC, name LIMIT 50",
        )
    }

    /// Which held calls count, by `column`, a time.
    pub(super) fn held(&self, org: &str, column: &str) -> Query {
        let mut query = Query::new(org);
        query.sql.push_str("a.org = ?");
        query.and(&format!("a.{column} >= ?"), self.from.millis());
        query.and(&format!("a.{column} < ?"), self.until.millis());
        if let Some(workflow) = &self.workflow {
            query.and("+a.workflow = ?", workflow.to_string());
        }
        if let Some(version) = &self.version {
            query.and("+a.workflow_digest = ?", version.bytes().to_vec());
        }
        if let Some(agent) = &self.agent {
            query.and("+a.agent = ?", agent.to_string());
        }
        if let Some(tool) = &self.tool {
            query.and("+a.tool = ?", tool.to_string());
        }
        query
    }

    pub(super) fn asked(&self, org: &str) -> Query {
        self.held(org, "asked").wrap(
            "SELECT a.asked / 86400000, count(*) FROM approvals a WHERE ",
            " GROUP BY 1 ORDER BY 1",
        )
    }

    pub(super) fn load(&self, org: &str) -> Query {
        // The verdicts' own time bounds them; the held call says what they are about.
        let mut query = Query::new(org);
        query.sql.push_str("v.org = ?");
        query.and("v.said >= ?", self.from.millis());
        query.and("v.said < ?", self.until.millis());
        let texts = [
            ("a.workflow = ?", self.workflow.as_ref().map(ToString::to_string)),
            ("a.agent = ?", self.agent.as_ref().map(ToString::to_string)),
            ("a.tool = ?", self.tool.as_ref().map(ToString::to_string)),
        ];
        for (condition, text) in texts {
            if let Some(text) = text {
                query.and(condition, text);
            }
        }
        if let Some(version) = &self.version {
            query.and("a.workflow_digest = ?", version.bytes().to_vec());
        }
        let after =
            format!(" GROUP BY v.approver ORDER BY count(*) DESC, v.approver LIMIT {MAX_GROUPS}");
        query.wrap(
            "SELECT v.approver, count(*) FROM verdicts v
             CROSS JOIN approvals a ON a.org = v.org AND a.id = v.approval WHERE ",
            &after,
        )
    }

    pub(super) fn deciding(&self, org: &str) -> Query {
        spread(
            self.held(org, "settled").wrap(
                "SELECT a.settled - a.asked AS x FROM approvals a WHERE ",
                &newest("a.settled"),
            ),
        )
    }

    pub(super) fn lifetimes(&self, org: &str) -> Query {
        let mut query = Query::new(org);
        query.sql.push_str("d.org = ?");
        query.and("d.issued >= ?", self.from.millis());
        query.and("d.issued < ?", self.until.millis());
        if let Some(workflow) = &self.workflow {
            query.and("t.workflow = ?", workflow.to_string());
        }
        if let Some(version) = &self.version {
            query.and("t.workflow_digest = ?", version.bytes().to_vec());
        }
        if let Some(agent) = &self.agent {
            query.and("+d.agent = ?", agent.to_string());
        }
        spread(query.wrap(
            "SELECT (min(d.expires, ifnull((SELECT v.time FROM revocations v WHERE v.org = d.org
                       AND v.kind = 'delegation' AND v.root = x'' AND v.key =
                         (SELECT i.delegation FROM entries i
                          WHERE i.org = d.org AND i.id = d.entry)),
                     d.expires)) - d.issued) / 1000 AS x
             FROM delegations d CROSS JOIN tasks t ON t.org = d.org AND t.id = d.task WHERE ",
            &newest("d.issued"),
        ))
    }
}

/// Values of which a median is taken at most.
fn newest(time: &str) -> String {
    format!(" ORDER BY {time} DESC LIMIT {MAX_VALUES}")
}

/// The sum of `x` and of its squares' parts, over rows where `only`. A square is put
/// together from halves of 20 bits, because the engine's numbers have 64.
fn sums(x: &str, only: &str) -> String {
    let sum = |of: &str| format!("ifnull(sum({of}) FILTER (WHERE {only}), 0)");
    let (high, low) = (format!("({x} >> 20)"), format!("({x} & 1048575)"));
    [
        sum(x),
        sum(&format!("{high} * {high}")),
        sum(&format!("{high} * {low}")),
        sum(&format!("{low} * {low}")),
    ]
    .join(", ")
}

/// Count, median and 90th percentile of the column `x`, by nearest rank.
fn spread(of: Query) -> Query {
    of.wrap(
        "WITH taken AS (",
        "), ranked AS (SELECT x, row_number() OVER (ORDER BY x) AS rank,
                              count(*) OVER () AS n FROM taken)
         SELECT ifnull(max(n), 0), min(x) FILTER (WHERE rank * 2 >= n),
                min(x) FILTER (WHERE rank * 10 >= n * 9) FROM ranked",
    )
}

pub(super) const REFUSED: &str = "SELECT kind, ifnull(reason, ''), count(*)
     FROM entries INDEXED BY entries_refused
     WHERE org = ?1 AND kind IN ('handoff.rejected', 'peer.refused')
       AND time >= ?2 AND time < ?3
     GROUP BY 1, 2 ORDER BY 3 DESC, 2 LIMIT ?4";

pub(super) const ENDED: &str = "SELECT id, expires FROM grants
     WHERE org = ?1 AND expires >= ?2 AND expires < ?3 ORDER BY expires DESC LIMIT ?4";

pub(super) const USED: &str =
    "SELECT tool FROM task_tools WHERE org = ?1 AND task = ?2 ORDER BY tool";

pub(super) const OUTCOMES: &str = "SELECT workflow, CASE
         WHEN state <> 'claimed' THEN state WHEN complete = 1 THEN 'complete'
         ELSE 'incomplete' END AS outcome, count(*)
     FROM runs WHERE org = ?1 GROUP BY 1, 2 ORDER BY 1, 2 LIMIT ?2";

/// Of what is added up since the beginning, and of the hours since.
pub(super) const IN_ALL: &str = "SELECT workflow, agent, tool, decision, reason, sum(calls) FROM (
         SELECT workflow, agent, tool, decision, reason, calls FROM calls_rolled
         WHERE org = ?1 AND sets = 15
         UNION ALL
         SELECT workflow, agent, tool, decision, reason, calls FROM calls_hourly
         WHERE org = ?1 AND hour >= ?2)
     GROUP BY 1, 2, 3, 4, 5 ORDER BY sum(calls) DESC, 1, 2, 3, 4, 5";

pub(super) const DECIDING: &str = "SELECT (settled - asked) / 1000, count(*) FROM approvals
     WHERE org = ?1 AND settled IS NOT NULL GROUP BY 1 ORDER BY 1";

/// For each revocation of a span, the first call of its subject that was denied by it:
/// entries after the revocation's own, by the subject's index.
pub(super) fn latency() -> String {
    let first = |by: &str, decision: &str| {
        format!(
            "(SELECT e.time FROM entries e WHERE e.org = s.org AND {by} AND e.idx > s.idx
              AND {decision} = 'deny' AND e.reason = 'revoked' ORDER BY e.idx LIMIT 1)"
        )
    };
    format!(
        "WITH s AS (SELECT v.org, v.kind, v.key, v.time, r.idx, r.task FROM revocations v
               CROSS JOIN entries r ON r.org = v.org AND r.id = v.entry
               WHERE v.org = ?1 AND v.time >= ?2 AND v.time < ?3
               ORDER BY v.time DESC LIMIT ?4),
         seen AS (SELECT s.time AS revoked, CASE
               WHEN s.kind IN ('task', 'grant', 'delegation', 'holder_key') THEN {}
               WHEN s.kind = 'agent' THEN {}
               WHEN s.kind = 'principal' THEN {}
               WHEN s.kind = 'workflow' THEN {}
               WHEN s.kind = 'instance' THEN {} END AS denied FROM s),
         ranked AS (SELECT denied - revoked AS x,
               row_number() OVER (ORDER BY denied - revoked) AS rank, count(*) OVER () AS n
               FROM seen WHERE denied IS NOT NULL)
         SELECT (SELECT count(*) FROM s), ifnull(max(n), 0),
                min(x) FILTER (WHERE rank * 2 >= n), min(x) FILTER (WHERE rank * 10 >= n * 9)
         FROM ranked",
        first("e.task = s.task", "+e.decision"),
        first("e.agent = s.key", "+e.decision"),
        first("e.principal = s.key", "+e.decision"),
        first("e.workflow = s.key", "e.decision"),
        first("e.instance = s.key", "e.decision"),
    )
}

#[cfg(test)]
mod tests {
    use bailiwick_core::crypto::Digest;
    use bailiwick_core::time::Timestamp;

    use super::*;

    /// Every figure of a span is found by an index, whatever it is narrowed to.
    #[test]
    fn no_figure_goes_through_the_ledger() {
        let c = crate::connection::scratch().unwrap();
        let plan = |query: &Query| -> Vec<String> {
            let mut explain = c.prepare(&format!("EXPLAIN QUERY PLAN {}", query.sql)).unwrap();
            let lines = explain
                .query_map(rusqlite::params_from_iter(&query.params), |r| r.get::<_, String>(3));
            lines.unwrap().map(Result::unwrap).collect()
        };
        let all = MetricFilter::span(Timestamp::from_millis(1), Timestamp::from_millis(9));
        let narrow = MetricFilter {
            workflow: Some("support".parse().unwrap()),
            version: Some(Digest::from_array([1; 32])),
            agent: Some("agent:runner".parse().unwrap()),
            tool: Some("mcp:desk:tools/get_ticket".parse().unwrap()),
            ..all.clone()
        };
        let given = |sql: &str, n: usize| Query {
            sql: sql.to_owned(),
            params: vec![Value::from(1_i64); n],
        };
        let mut queries = vec![
            given(REFUSED, 4),
            given(ENDED, 4),
            given(USED, 2),
            given(OUTCOMES, 2),
            given(IN_ALL, 2),
            given(DECIDING, 1),
            given(&latency(), 4),
        ];
        for filter in [all, narrow] {
            queries.extend([
                filter.success("o"),
                filter.correction("o"),
                filter.escalation("o"),
                filter.failed("o"),
                filter.iterations("o"),
                filter.cost("o"),
                filter.decided("o", 1),
                filter.values("o", 1, ("tool", TOOL)),
                filter.asked("o"),
                filter.load("o"),
                filter.deciding("o"),
                filter.lifetimes("o"),
            ]);
        }
        // What a statement makes for itself is small.
        let own = [
            "SCAN s",
            "SCAN per",
            "SCAN taken",
            "SCAN ranked",
            "SCAN seen",
            "SCAN (",
            "SCAN CONSTANT",
        ];
        for query in queries {
            let plan = plan(&query);
            let scans = |line: &&String| {
                line.starts_with("SCAN") && !own.iter().any(|own| line.starts_with(own))
            };
            assert_eq!(plan.iter().find(scans), None, "{}\n{plan:#?}", query.sql);
            // Neither the other calls of the runs nor the other entries of the span.
            for index in ["run_calls_held", "entries_refused"] {
                if query.sql.contains(&format!("INDEXED BY {index}")) {
                    let covered = format!("COVERING INDEX {index} (");
                    assert!(plan.iter().any(|line| line.contains(&covered)), "{plan:#?}");
                }
            }
            // The rows themselves are not read: the index has everything.
            if query.sql.contains("FROM runs r") {
                let bound = "COVERING INDEX runs_measured (org=? AND ended>? AND ended<?)";
                assert!(plan.iter().any(|line| line.contains(bound)), "{plan:#?}");
            }
        }
    }
}
