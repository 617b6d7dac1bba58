//! Whether a workflow's runs are good enough for the next level, and whether too many
//! failed for the one that it has.

use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::json::Json;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Workflow;
use bailiwick_policy::autonomy::RaiseError;
use bailiwick_policy::checklist::ErrorBudget;
use bailiwick_policy::metrics::{self, Figures, Target, evaluate};
use bailiwick_store::{Autonomy, MetricFilter, View};

use super::super::Inner;
use super::super::metrics::figures_of;
use crate::refusal::Refusal;
use crate::rules::autonomy::{ERROR_BUDGET, RAISED, counted_since};

/// Tasks that the runs must be of at least: one task that is tried again and again shows
/// little.
const MIN_TASKS: u64 = 2;

/// Figures of a workflow's runs against its evaluation targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The figures, as they are signed.
    pub figures: Json,
    /// What keeps it from being raised; none, if nothing does.
    pub unmet: Vec<String>,
}

impl Judged {
    pub(super) fn digest(&self) -> Digest {
        digest(&self.figures)
    }

    pub(super) fn check(&self) -> Result<(), RaiseError> {
        match self.unmet.first() {
            None => Ok(()),
            Some(why) => Err(RaiseError::Targets { why: why.clone() }),
        }
    }
}

pub(super) fn digest(figures: &Json) -> Digest {
    sha256(figures.canonical().as_bytes())
}

/// Figures of the window that ends at a time.
pub(super) struct Window {
    /// As they are signed.
    pub(super) figures: Json,
    /// What keeps the targets from being met, each with what it is about.
    unmet: Vec<(&'static str, String)>,
}

/// Figures of a version's runs of the window that ends at `until`.
pub(super) fn window(
    view: &View<'_>,
    workflow: &Workflow,
    until: Timestamp,
) -> Result<Window, Refusal> {
    let Some(evaluation) = &workflow.checklist.evaluation else {
        let unmet = vec![("evaluation", "the workflow has no evaluation targets".to_owned())];
        return Ok(Window { figures: Json::Null, unmet });
    };
    let days = i64::from(evaluation.window_days);
    let from = until.plus_seconds(days.saturating_mul(-86_400));
    let filter = MetricFilter {
        workflow: Some(workflow.id.clone()),
        version: Some(workflow.digest()),
        ..MetricFilter::span(from, until)
    };
    let figures = figures_of(view, &filter)?;
    let evaluated = evaluate(evaluation, &figures);
    let mut unmet = few(&figures, evaluated.minimum_runs);
    unmet.extend(evaluated.targets.iter().filter_map(missed));
    let figures = figures
        .to_json()
        .with("workflow", &workflow.id)
        .with("version", workflow.digest())
        .with("from", from.seconds())
        .with("until", until.seconds());
    Ok(Window { figures: figures.into(), unmet })
}

/// Too few runs, or of too few tasks.
fn few(figures: &Figures, minimum: u64) -> Vec<(&'static str, String)> {
    let mut few = Vec::new();
    if figures.runs < minimum {
        let runs = figures.runs;
        few.push(("runs", format!("{runs} of at least {minimum} runs have ended")));
    }
    let tasks = figures.success.of;
    if figures.runs > 0 && tasks < MIN_TASKS {
        few.push(("tasks", format!("its runs are of {tasks} task, of at least {MIN_TASKS}")));
    }
    few
}

/// What keeps a target from being met, in a sentence.
fn missed(target: &Target) -> Option<(&'static str, String)> {
    let measure = target.measure.as_str();
    let why = match target.standing {
        metrics::Standing::Met => return None,
        metrics::Standing::Missed => format!("`{measure}` is beyond its bound"),
        metrics::Standing::Unsure => {
            format!("`{measure}` is within its bound, but too uncertain: it may be luck")
        }
        metrics::Standing::NoData => format!("`{measure}` has no data"),
        metrics::Standing::SeveralCurrencies => format!("`{measure}` is in several currencies"),
    };
    Some((measure, why))
}

/// The last whole hour: calls are counted by the hour, so figures up to it do not
/// change while people sign them.
pub(super) const fn last_hour(now: Timestamp) -> Timestamp {
    Timestamp::from_seconds(now.seconds() - now.seconds().rem_euclid(3_600))
}

/// To the minute, for sentences.
fn minute(time: Timestamp) -> String {
    let text: String = time.to_string().chars().take(16).collect();
    format!("{} UTC", text.replace('T', " "))
}

/// The figures of a window that ends at `until`, and everything that keeps the workflow
/// from being raised at `now`.
///
/// SECURITY: the targets must be met in the window that is signed and in the one that
/// ends now, so that nobody chooses a window without the latest failures; a spent error
/// budget keeps the level where it is.
pub(super) fn judged(
    cx: &Inner,
    view: &View<'_>,
    (workflow, last): (&Workflow, Option<&Autonomy>),
    of: Window,
    (until, now): (Timestamp, Timestamp),
) -> Result<Judged, Refusal> {
    let mut unmet = Vec::new();
    if let Some(last) = last.filter(|last| until < last.changed) {
        let (end, changed) = (minute(until), minute(last.changed));
        unmet.push(format!(
            "the level changed at {changed}, and figures stop at the last whole hour, {end}: sign in the next one"
        ));
    }
    for (about, why) in &of.unmet {
        let hour = if ["runs", "tasks"].contains(about) { ", the last whole hour" } else { "" };
        unmet.push(format!("{why}, up to {}{hour}", minute(until)));
    }
    // What happened in this very moment counts as well.
    let latest = window(view, workflow, Timestamp::from_millis(now.millis().saturating_add(1)))?;
    let told = |about: &str| of.unmet.iter().any(|(other, _)| *other == about);
    let later = latest.unmet.into_iter().filter(|(about, _)| !told(about));
    unmet.extend(later.map(|(_, why)| format!("{why}, up to now")));
    if let Some((budget, failed)) = spent(cx, view, workflow, now)? {
        unmet.push(format!(
            "the error budget is spent: {failed} runs failed within {} hours, and it has {}",
            budget.window_hours, budget.failed_runs
        ));
    }
    Ok(Judged { figures: of.figures, unmet })
}

/// The error budgets that count: of the version that was last raised, and of every one
/// that was published since.
///
/// SECURITY: a new version does not do away with the error budget of the one before it
/// until people raised it.
fn budgets(cx: &Inner, view: &View<'_>, current: &Workflow) -> Result<Vec<ErrorBudget>, Refusal> {
    let budget = |w: &Workflow| w.checklist.evaluation.as_ref().and_then(|e| e.error_budget);
    let raised = view.autonomy_by(&current.id, RAISED)?.and_then(|change| change.row.version);
    let mut all: Vec<ErrorBudget> = budget(current).into_iter().collect();
    if raised == Some(current.digest()) {
        return Ok(all);
    }
    let versions = view.workflow_versions(&current.id)?;
    let base = versions.iter().find(|version| raised == Some(version.digest));
    let since = base.map(|version| version.published);
    for version in versions.iter().filter(|v| since.is_none_or(|since| v.published >= since)) {
        // Under one that cannot be read nobody acts.
        let Ok(workflow) = cx.parsed.of(version) else { continue };
        all.extend(budget(&workflow).filter(|budget| !all.contains(budget)));
    }
    Ok(all)
}

/// The error budget that is spent at `now`, if one is, and how many runs failed.
pub(super) fn spent(
    cx: &Inner,
    view: &View<'_>,
    current: &Workflow,
    now: Timestamp,
) -> Result<Option<(ErrorBudget, u64)>, Refusal> {
    let before = view.autonomy_by(&current.id, ERROR_BUDGET)?.map(|change| change.row);
    for budget in budgets(cx, view, current)? {
        let since = counted_since(&budget, before.as_ref(), now);
        let failed = view.failed_runs(&current.id, since, now)?;
        if failed > u64::from(budget.failed_runs) {
            return Ok(Some((budget, failed)));
        }
    }
    Ok(None)
}
