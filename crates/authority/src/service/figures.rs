//! Figures of agents' work, read together: by which a workflow is measured, and what
//! is asked beside them.

use std::collections::BTreeMap;

use bailiwick_core::grant::Statement;
use bailiwick_core::ids::PrincipalId;
use bailiwick_core::json::Json;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::metrics::Figures;
use bailiwick_store::{Blocked, Latency, MetricFilter, RefusedPeers, Spread, StoreError, View};

use super::Authority;
use crate::refusal::Refusal;

/// The figures of a span by which a workflow is measured.
///
/// # Errors
/// [`StoreError::Fault`].
pub fn figures_of(view: &View<'_>, filter: &MetricFilter) -> Result<Figures, StoreError> {
    let cost = view.cost(filter)?.by_currency;
    Ok(Figures {
        runs: view.unsuccessful_runs(filter)?.of,
        success: view.task_success(filter)?,
        correction: view.human_correction(filter)?,
        escalation: view.escalation(filter)?,
        blocked: view.blocked(filter)?.denied,
        iterations: view.iterations(filter)?.tasks,
        cost: cost.into_iter().map(|(currency, (successful, _))| (currency, successful)).collect(),
    })
}

/// A tool that was granted: in how many grants, and in how many of them it was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeUse {
    /// The tool id.
    pub tool: String,
    /// Grants that ended and included it.
    pub granted: u64,
    /// Those of them whose task was allowed a call of it.
    pub used: u64,
}

/// What is asked beside the six.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtherFigures {
    /// Denied and held calls, and denied ones by reason.
    pub blocked: Blocked,
    /// Held calls by the day on which they were asked about, as days since the epoch.
    pub asked: Vec<(i64, u64)>,
    /// Verdicts by person, most first; no name once it was erased.
    pub approvers: Vec<(Option<PrincipalId>, u64)>,
    /// Milliseconds from question to settlement.
    pub deciding: Spread,
    /// Seconds that roots live.
    pub lifetimes: Spread,
    /// Tools that were granted, those first that were used least.
    pub scope: Vec<ScopeUse>,
    /// How long revocations took to be seen.
    pub revocations: Latency,
    /// Peers that were turned away.
    pub peers: RefusedPeers,
}

fn scope_used(view: &View<'_>, filter: &MetricFilter) -> Result<Vec<ScopeUse>, StoreError> {
    let mut tools: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for ended in view.used_scope(filter)? {
        let Some((text, _)) = view.grant_texts(&ended.grant.id)? else { continue };
        let json = Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).ok();
        let statement = json.and_then(|json| Statement::from_json(&json).ok());
        let granted = statement.map(|statement| statement.tools);
        for (tool, _) in granted.iter().flat_map(bailiwick_core::json::Object::iter) {
            if filter.tool.as_ref().is_some_and(|only| only.as_str() != tool) {
                continue;
            }
            let count = tools.entry(tool.to_owned()).or_default();
            count.0 = count.0.saturating_add(1);
            let was_used = ended.used.iter().any(|used| used == tool);
            count.1 = count.1.saturating_add(u64::from(was_used));
        }
    }
    let mut all: Vec<ScopeUse> =
        tools.into_iter().map(|(tool, (granted, used))| ScopeUse { tool, granted, used }).collect();
    // Least used of those that were granted, most granted first among equals.
    all.sort_by(|a, b| {
        let share = |s: &ScopeUse, other: &ScopeUse| u128::from(s.used) * u128::from(other.granted);
        share(a, b).cmp(&share(b, a)).then(b.granted.cmp(&a.granted))
    });
    Ok(all)
}

impl Authority {
    /// The six figures of each span, in order.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn figures(&self, filters: &[MetricFilter]) -> Result<Vec<Figures>, Refusal> {
        self.read(|view| filters.iter().map(|filter| figures_of(view, filter)).collect())
    }

    /// What is asked beside them. Revocations and peers are of the whole installation.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn other_figures(&self, filter: &MetricFilter) -> Result<OtherFigures, Refusal> {
        let (from, until) = (filter.from, filter.until);
        self.read(|view| {
            let mut approvers = Vec::new();
            for load in view.approval_load(filter)? {
                let who = view.principal_by_alias(&load.approver)?.and_then(|p| p.row.id);
                approvers.push((who, load.verdicts));
            }
            Ok(OtherFigures {
                blocked: view.blocked(filter)?,
                asked: view.asked_by_day(filter)?,
                approvers,
                deciding: view.time_to_decide(filter)?,
                lifetimes: view.delegation_lifetime(filter)?,
                scope: scope_used(view, filter)?,
                revocations: view.revocation_latency(from, until)?,
                peers: view.refused_peers(from, until)?,
            })
        })
    }
}

/// A span of as many days that ends at `until`, as so many parts of equal length, the
/// first one first.
#[must_use]
pub fn parts(until: Timestamp, days: u32, count: u32) -> Vec<(Timestamp, Timestamp)> {
    let count = i64::from(count.max(1));
    let seconds = i64::from(days).saturating_mul(86_400);
    let edge =
        |nth: i64| until.plus_seconds(-(seconds.saturating_mul(count.saturating_sub(nth)) / count));
    (0..count).map(|nth| (edge(nth), edge(nth.saturating_add(1)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_follow_each_other_without_a_gap_and_end_now() {
        let until = Timestamp::from_seconds(1_700_000_000);
        let all = parts(until, 7, 7);
        assert_eq!(all.len(), 7);
        assert_eq!(all[0].0, until.plus_seconds(-7 * 86_400));
        assert_eq!(all[6].1, until);
        assert!(all.windows(2).all(|pair| pair[0].1 == pair[1].0));
        assert_eq!(parts(until, 1, 0), [(until.plus_seconds(-86_400), until)]);
    }
}
