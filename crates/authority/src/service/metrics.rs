//! Figures, as `docs/metrics.md` defines them.

use std::collections::BTreeMap;

use bailiwick_core::crypto::Digest;
use bailiwick_core::figures::{Rate, Sample};
use bailiwick_core::grant::Statement;
use bailiwick_core::ids::PrincipalId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::checklist::Measure;
use bailiwick_policy::metrics::statistics::Interval;
use bailiwick_policy::metrics::{Compared, Figures, Measured, Verdict, compare};
use bailiwick_store::{
    Blocked, CostFigures, Latency, MetricFilter, RefusedPeers, Spread, StoreError, View,
};

use super::{Authority, Inner};
use crate::refusal::Refusal;

const DAY_MS: i64 = 86_400_000;
/// 1970-01-05, a Monday.
const FIRST_MONDAY_MS: i64 = 4 * DAY_MS;
/// Lines of a series at most: two months of days.
const MAX_LINES: usize = 62;

/// What a figure is told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsBy {
    /// The workflow.
    Workflow,
    /// The version of it.
    Version,
    /// The agent.
    Agent,
    /// The tool.
    Tool,
    /// Days, UTC.
    Day,
    /// Weeks from Monday on, UTC.
    Week,
}

/// A text that names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `workflow`, `version`, `agent`, `tool`, `day` or `week`")]
pub struct MetricsByError;

impl MetricsBy {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Workflow => "workflow",
            Self::Version => "version",
            Self::Agent => "agent",
            Self::Tool => "tool",
            Self::Day => "day",
            Self::Week => "week",
        }
    }
}

impl std::str::FromStr for MetricsBy {
    type Err = MetricsByError;
    fn from_str(text: &str) -> Result<Self, MetricsByError> {
        Ok(match text {
            "workflow" => Self::Workflow,
            "version" => Self::Version,
            "agent" => Self::Agent,
            "tool" => Self::Tool,
            "day" => Self::Day,
            "week" => Self::Week,
            _ => return Err(MetricsByError),
        })
    }
}

/// Everything about a span.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// What it is about.
    pub filter: MetricFilter,
    /// How sure intervals are, percent.
    pub confidence_percent: u8,
    /// The six.
    pub figures: Figures,
    /// Completed tasks that noted no iteration.
    pub iterations_unreported: u64,
    /// Cost, with what was spent without success.
    pub cost: CostFigures,
    /// Denied and held calls.
    pub blocked: Blocked,
    /// Held calls by day.
    pub asked: Vec<(i64, u64)>,
    /// Verdicts by approver; `None` once erased.
    pub load: Vec<(Option<PrincipalId>, u64)>,
    /// Milliseconds to decide.
    pub deciding: Spread,
    /// Seconds that delegations lived.
    pub lifetime: Spread,
    /// How long revocations took to be seen.
    pub latency: Latency,
    /// Peers that were turned away.
    pub peers: RefusedPeers,
}

/// A tool that grants included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusedScope {
    /// The tool.
    pub tool: String,
    /// Grants that ended and included it.
    pub granted: u64,
    /// Those of them whose task was allowed a call of it.
    pub used: u64,
    /// Shorthands of the workflow that stand for it, where it is one workflow.
    pub shorthands: Vec<String>,
}

impl UnusedScope {
    /// As the API and the command line have it.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let shorthands: Vec<Json> = self.shorthands.iter().map(|s| s.as_str().into()).collect();
        Object::new()
            .with("tool", self.tool.as_str())
            .with("granted", self.granted)
            .with("used", self.used)
            .with("shorthands", shorthands)
    }
}

/// Two sides of a change.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Before.
    pub before: MetricFilter,
    /// After.
    pub after: MetricFilter,
    /// How sure intervals are, percent.
    pub confidence_percent: u8,
    /// Each of the six.
    pub measures: Vec<Compared>,
}

/// A number for people: JSON that is hashed has no fractions, so it is a text.
fn decimal(value: f64) -> String {
    format!("{value:.4}")
}

fn interval(of: Option<Interval>) -> Option<Json> {
    of.map(|i| Json::Array(vec![decimal(i.low).into(), decimal(i.high).into()]))
}

fn rate(rate: Rate, confidence: u8) -> Object {
    measured(Measured::Rate(rate), confidence)
}

/// A figure with its value and interval.
fn measured(of: Measured, confidence: u8) -> Object {
    let object = match of {
        Measured::Rate(rate) => {
            Object::new().with("numerator", rate.hits).with("denominator", rate.of)
        }
        Measured::Mean { of, .. } => Object::new()
            .with("n", of.n)
            .with("sum", of.sum.to_string())
            .with("squares", of.squares.to_string()),
    };
    object
        .with("value", of.value().map(decimal))
        .with("interval", interval(of.interval(confidence)))
}

fn spread(of: Spread) -> Object {
    Object::new().with("n", of.n).with("median", of.median).with("p90", of.p90)
}

fn filter(of: &MetricFilter) -> Object {
    Object::new()
        .with("workflow", of.workflow.as_ref())
        .with("version", of.version)
        .with("agent", of.agent.as_ref())
        .with("tool", of.tool.as_ref())
        .with("from", of.from.to_string())
        .with("until", of.until.to_string())
}

fn counted(all: &[(String, u64)]) -> Object {
    all.iter().map(|(name, n)| (name.clone(), Json::from(*n))).collect()
}

/// The six of figures, each under its name.
fn six(figures: &Figures, confidence: u8) -> Object {
    let cost: Object = figures
        .cost
        .iter()
        .map(|(currency, of)| {
            let of = Measured::Mean { of: *of, unit: 1_000_000 };
            (currency.clone(), Json::from(measured(of, confidence)))
        })
        .collect();
    let mut object = Object::new().with("runs", figures.runs);
    for measure in Measure::ALL {
        match (measure, figures.measured(*measure)) {
            (Measure::CostPerSuccess, _) | (_, None) => {}
            (measure, Some(of)) => object.insert(measure.as_str(), measured(of, confidence)),
        }
    }
    object.with(Measure::CostPerSuccess.as_str(), cost)
}

impl Metrics {
    /// As the API and the command line have it.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let others: Object = self
            .cost
            .by_currency
            .iter()
            .map(|(currency, (_, others))| (currency.clone(), Json::from(others.to_string())))
            .collect();
        let asked: Object = self
            .asked
            .iter()
            .map(|(day, n)| (date(day.saturating_mul(DAY_MS)), Json::from(*n)))
            .collect();
        let load = self.load.iter().map(|(approver, n)| {
            Json::from(Object::new().with("approver", approver.as_ref()).with("verdicts", *n))
        });
        let latency =
            spread(self.latency.first_denial_ms).with("revocations", self.latency.revocations);
        Object::new()
            .with("about", filter(&self.filter))
            .with("confidence_percent", u64::from(self.confidence_percent))
            .with("figures", six(&self.figures, self.confidence_percent))
            .with("digest", self.figures.digest())
            .with("iterations_unreported", self.iterations_unreported)
            .with("cost_unreported", self.cost.unreported)
            .with("cost_without_success", others)
            .with("held_call_rate", rate(self.blocked.held, self.confidence_percent))
            .with("blocked_by_reason", counted(&self.blocked.by_reason))
            .with("approvals_asked", asked)
            .with("approval_load", load.collect::<Vec<_>>())
            .with("time_to_decide_ms", spread(self.deciding))
            .with("delegation_lifetime_seconds", spread(self.lifetime))
            .with("revocation_latency_ms", latency)
            .with("denied_peers", counted(&self.peers.refused))
            .with("handoffs_rejected", self.peers.handoffs_rejected)
    }
}

impl Comparison {
    /// As the API and the command line have it.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let confidence = self.confidence_percent;
        let measures: Object = self
            .measures
            .iter()
            .map(|c| {
                let more = match c.verdict {
                    Verdict::CannotTell { more } => more,
                    Verdict::Better | Verdict::Worse => None,
                };
                let object = Object::new()
                    .with("before", c.before.map(|of| measured(of, confidence)))
                    .with("after", c.after.map(|of| measured(of, confidence)))
                    .with("difference", c.difference.map(decimal))
                    .with("interval", interval(c.interval))
                    .with("verdict", c.verdict.as_str())
                    .with("more", more);
                (c.measure.as_str().to_owned(), Json::from(object))
            })
            .collect();
        Object::new()
            .with("before", filter(&self.before))
            .with("after", filter(&self.after))
            .with("confidence_percent", u64::from(confidence))
            .with("measures", measures)
    }
}

/// One line of a series, as the API has it.
#[must_use]
pub fn line_json(name: &str, figures: &Figures, confidence_percent: u8) -> Object {
    Object::new().with("name", name).with("figures", six(figures, confidence_percent))
}

/// The figures by which a workflow is measured, in one snapshot.
///
/// # Errors
/// [`StoreError::Fault`].
pub fn figures_of(view: &View<'_>, filter: &MetricFilter) -> Result<Figures, StoreError> {
    Ok(read(view, filter)?.0)
}

type Read = (Figures, u64, CostFigures, Blocked);

fn read(view: &View<'_>, filter: &MetricFilter) -> Result<Read, StoreError> {
    let (iterations, cost) = (view.iterations(filter)?, view.cost(filter)?);
    let (blocked, escalation) = (view.blocked(filter)?, view.escalation(filter)?);
    let by = |(currency, (of, _)): (&String, &(Sample, u64))| (currency.clone(), *of);
    let priced = cost.by_currency.iter().map(by).filter(|(_, of)| of.n > 0);
    let figures = Figures {
        runs: escalation.of,
        success: view.task_success(filter)?,
        correction: view.human_correction(filter)?,
        escalation,
        blocked: blocked.denied,
        iterations: iterations.tasks,
        cost: priced.collect::<BTreeMap<_, _>>(),
    };
    Ok((figures, iterations.unreported, cost, blocked))
}

/// The day of a time, as `2026-01-31`.
fn date(millis: i64) -> String {
    Timestamp::from_millis(millis).to_string().chars().take(10).collect()
}

/// What [`Authority::metrics_by`] tells apart.
fn lines(
    view: &View<'_>,
    filter: &MetricFilter,
    by: MetricsBy,
) -> Result<Vec<(String, MetricFilter)>, StoreError> {
    let named = |names: Vec<String>, narrow: &dyn Fn(&mut MetricFilter, &str) -> bool| {
        let one = |name: String| {
            let mut own = filter.clone();
            narrow(&mut own, &name).then_some((name, own))
        };
        names.into_iter().filter_map(one).collect()
    };
    Ok(match by {
        MetricsBy::Workflow => named(view.called_workflows(filter)?, &|own, name| {
            own.workflow = name.parse().ok();
            own.workflow.is_some()
        }),
        MetricsBy::Version => named(view.called_versions(filter)?, &|own, name| {
            own.version = Digest::from_text(name);
            own.version.is_some()
        }),
        MetricsBy::Agent => named(view.calling_agents(filter)?, &|own, name| {
            own.agent = name.parse().ok();
            own.agent.is_some()
        }),
        MetricsBy::Tool => named(view.called_tools(filter)?, &|own, name| {
            own.tool = name.parse().ok();
            own.tool.is_some()
        }),
        MetricsBy::Day => spans(filter, DAY_MS, 0),
        MetricsBy::Week => spans(filter, 7 * DAY_MS, FIRST_MONDAY_MS),
    })
}

/// The last parts of a span, whole ones but for the first and the last.
fn spans(filter: &MetricFilter, length: i64, first: i64) -> Vec<(String, MetricFilter)> {
    let mut all = Vec::new();
    let mut until = filter.until;
    while until > filter.from && all.len() < MAX_LINES {
        let last = until.millis().saturating_sub(1).saturating_sub(first);
        let begins = last.div_euclid(length).saturating_mul(length).saturating_add(first);
        let from = Timestamp::from_millis(begins).max(filter.from);
        all.push((date(begins), MetricFilter { from, until, ..filter.clone() }));
        until = from;
    }
    all.reverse();
    all
}

fn statement_of(text: &str) -> Option<Statement> {
    let json = Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).ok()?;
    Statement::from_json(&json).ok()
}

/// What grants that ended in the span included, and what of it was used.
pub(super) fn unused(
    cx: &Inner,
    view: &View<'_>,
    filter: &MetricFilter,
) -> Result<Vec<UnusedScope>, Refusal> {
    let mut tools: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for scope in view.used_scope(filter)? {
        // What was erased says nothing any more.
        let Some((text, _)) = view.grant_texts(&scope.grant.id)? else { continue };
        let Some(statement) = statement_of(&text) else { continue };
        for (tool, _) in statement.tools.iter() {
            let (granted, used) = tools.entry(tool.to_owned()).or_default();
            *granted = granted.saturating_add(1);
            if scope.used.iter().any(|name| name == tool) {
                *used = used.saturating_add(1);
            }
        }
    }
    let workflow = match &filter.workflow {
        Some(id) => view.workflow(id)?.map(|row| cx.parsed.of(&row)).transpose()?,
        None => None,
    };
    let shorthands = |tool: &str| -> Vec<String> {
        let all = workflow.iter().flat_map(|workflow| &workflow.shorthands);
        let stands = all.filter(|s| s.tools().any(|of| of.as_str() == tool));
        stands.map(|s| s.template().to_owned()).collect()
    };
    let named = |(tool, (granted, used)): (String, (u64, u64))| {
        let shorthands = shorthands(&tool);
        UnusedScope { tool, granted, used, shorthands }
    };
    Ok(tools.into_iter().map(named).collect())
}

impl Authority {
    /// Everything about a span.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn metrics(
        &self,
        filter: &MetricFilter,
        confidence_percent: u8,
    ) -> Result<Metrics, Refusal> {
        let (from, until) = (filter.from, filter.until);
        self.read(|view| {
            let (figures, iterations_unreported, cost, blocked) = read(view, filter)?;
            let mut load = Vec::new();
            for of in view.approval_load(filter)? {
                let name = view.principal_by_alias(&of.approver)?.and_then(|p| p.row.id);
                load.push((name, of.verdicts));
            }
            Ok(Metrics {
                filter: filter.clone(),
                confidence_percent,
                figures,
                iterations_unreported,
                cost,
                blocked,
                asked: view.asked_by_day(filter)?,
                load,
                deciding: view.time_to_decide(filter)?,
                lifetime: view.delegation_lifetime(filter)?,
                latency: view.revocation_latency(from, until)?,
                peers: view.refused_peers(from, until)?,
            })
        })
    }

    /// The six of a span.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn figures(&self, filter: &MetricFilter) -> Result<Figures, Refusal> {
        self.read(|view| figures_of(view, filter))
    }

    /// The six, told apart; days and weeks in order, others by their calls, most
    /// first.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn metrics_by(
        &self,
        filter: &MetricFilter,
        by: MetricsBy,
    ) -> Result<Vec<(String, Figures)>, Refusal> {
        self.read(|view| {
            let all = lines(view, filter, by)?.into_iter();
            all.map(|(name, own)| Ok((name, figures_of(view, &own)?))).collect()
        })
    }

    /// The six before and after a change.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn metrics_compare(
        &self,
        before: &MetricFilter,
        after: &MetricFilter,
        confidence_percent: u8,
    ) -> Result<Comparison, Refusal> {
        let (b, a) = self.read(|view| Ok((figures_of(view, before)?, figures_of(view, after)?)))?;
        let measures = compare(&b, &a, confidence_percent);
        Ok(Comparison {
            before: before.clone(),
            after: after.clone(),
            confidence_percent,
            measures,
        })
    }

    /// What grants that ended in the span included, and what of it was used.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn metrics_unused(&self, filter: &MetricFilter) -> Result<Vec<UnusedScope>, Refusal> {
        let cx = self.now();
        self.0.store.read(|view| unused(&cx, view, filter))
    }

    /// Adds up the decided calls of hours that are over, so that figures are quick; they
    /// are the same before and after. An hour is one transaction.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn roll_up_calls(&self) -> Result<(), Refusal> {
        let store = &self.0.store;
        let now = self.0.host.now();
        while store.read(|view| view.calls_to_roll_up(now))?.is_some() {
            store.write(move |tx| tx.roll_up_calls(now)).wait()?;
        }
        Ok(())
    }

    /// The span of the last `seconds` until now.
    #[must_use]
    pub fn metrics_span(&self, seconds: i64) -> MetricFilter {
        let now = self.0.host.now();
        // What happens in this very moment counts as well.
        let until = Timestamp::from_millis(now.millis().saturating_add(1));
        MetricFilter::span(now.plus_seconds(seconds.max(1).saturating_neg()), until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_falls_into_days_and_into_weeks_from_monday_on() {
        // 2026-01-01 is a Thursday.
        let from = Timestamp::from_millis(1_767_225_600_000 + 3_600_000);
        let until = from.plus_seconds(6 * 86_400);
        let filter = MetricFilter::span(from, until);
        let days = spans(&filter, DAY_MS, 0);
        let names: Vec<&str> = days.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names.first(), Some(&"2026-01-01"));
        assert_eq!((names.last(), names.len()), (Some(&"2026-01-07"), 7));
        let weeks = spans(&filter, 7 * DAY_MS, FIRST_MONDAY_MS);
        let names: Vec<&str> = weeks.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["2025-12-29", "2026-01-05"]);
        for all in [days, weeks] {
            // Nothing is counted twice or left out.
            assert_eq!(all.first().unwrap().1.from, from);
            assert_eq!(all.last().unwrap().1.until, until);
            for pair in all.windows(2) {
                assert_eq!(pair[0].1.until, pair[1].1.from);
            }
        }
        let long = MetricFilter::span(Timestamp::from_millis(0), until);
        assert_eq!(spans(&long, DAY_MS, 0).len(), MAX_LINES);
    }
}
