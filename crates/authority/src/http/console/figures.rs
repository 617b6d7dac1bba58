//! Figures of agents' work: the six, what is asked beside them, and a comparison of
//! before and after a change.

use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{AgentId, ToolId, WorkflowId};
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Workflow;
use bailiwick_policy::metrics::{
    CONFIDENCE_PERCENT, Compared, Figures, Measured, Verdict, evaluate,
};
use bailiwick_store::{MetricFilter, Spread, StoreError};

use super::views::nobody_knows;
use super::{Failure, Form, Inner, Visit, page};
use crate::console::chart::{About, Bar, Chart, Series, Tone};
use crate::console::{
    ComparePage, ComparedLine, Counted, FigureCard, FigureChoices, FigureFilter, FiguresPage,
    Moment, ScopeLine, Section, Text,
};
use crate::people::roles::Deed;
use crate::refusal::Refusal;
use crate::{Metrics, MetricsBy, Named, Publication, UnusedScope};

mod cards;
pub(super) use cards::{bound, title};
use cards::{cards, shown};

/// Days of the overview.
const OVERVIEW_DAYS: u32 = 14;
/// Days that are asked about at most.
const MAX_DAYS: u32 = 366;
const DAY_SECONDS: i64 = 86_400;
/// Lines of a list at most.
const MOST: usize = 20;

/// The six of a span by day, each under its label.
fn days_of(cx: &Inner, filter: &MetricFilter) -> Result<Vec<(String, Figures)>, Failure> {
    Ok(cx.authority.metrics_by(filter, MetricsBy::Day)?)
}

fn span(cx: &Inner, days: u32) -> MetricFilter {
    cx.authority.metrics_span(i64::from(days).saturating_mul(DAY_SECONDS))
}

/// The cards of the overview.
pub(super) fn of_overview(cx: &Inner) -> Result<Vec<FigureCard>, Failure> {
    let filter = span(cx, OVERVIEW_DAYS);
    Ok(cards(&cx.authority.figures(&filter)?, &days_of(cx, &filter)?, None))
}

/// The cards of a workflow's version against its targets, over its own window.
pub(super) fn of_workflow(
    cx: &Inner,
    workflow: &Workflow,
    until: Timestamp,
) -> Result<Vec<FigureCard>, Failure> {
    let Some(evaluation) = workflow.checklist.evaluation.as_ref() else { return Ok(Vec::new()) };
    let seconds = i64::from(evaluation.window_days).saturating_mul(DAY_SECONDS);
    let filter = MetricFilter {
        workflow: Some(workflow.id.clone()),
        version: Some(workflow.digest()),
        ..MetricFilter::span(until.plus_seconds(seconds.saturating_neg()), until)
    };
    let found = cx.authority.figures(&filter)?;
    let evaluated = evaluate(evaluation, &found);
    Ok(cards(&found, &days_of(cx, &filter)?, Some((evaluation, &evaluated))))
}

/// What is asked for, or what of it is not understood.
fn filter(
    form: &Form,
    span: impl Fn(u32) -> MetricFilter,
) -> (FigureFilter, Result<MetricFilter, &'static str>) {
    let text = |name: &str| Text::of(form.first(name).trim());
    let days = form.number("days").ok().flatten().unwrap_or(7).clamp(1, MAX_DAYS);
    let view = FigureFilter {
        days,
        workflow: text("workflow"),
        version: text("version"),
        agent: text("agent"),
        tool: text("tool"),
    };
    let given = |name: &str| Some(form.first(name).trim().to_owned()).filter(|t| !t.is_empty());
    let asked = || {
        let mut filter = span(days);
        if let Some(text) = given("workflow") {
            filter.workflow = Some(WorkflowId::parse(&text).map_err(|_| "That is no workflow.")?);
        }
        if let Some(text) = given("version") {
            filter.version =
                Some(Digest::from_text(&text).ok_or("A version is named by its digest.")?);
        }
        if let Some(text) = given("agent") {
            filter.agent = Some(AgentId::parse(&text).map_err(|_| "That is no agent.")?);
        }
        if let Some(text) = given("tool") {
            filter.tool = Some(ToolId::parse(&text).map_err(|_| "That is no tool.")?);
        }
        Ok(filter)
    };
    (view, asked())
}

/// What there is to choose from: what calls were decided of in the span.
fn choices(cx: &Inner, filter: &MetricFilter) -> Result<FigureChoices, Failure> {
    let all = MetricFilter::span(filter.from, filter.until);
    let of_workflow = MetricFilter { workflow: filter.workflow.clone(), ..all.clone() };
    let texts = |found: Vec<String>| {
        found.into_iter().filter(|t| !t.is_empty()).map(Text::of).collect::<Vec<_>>()
    };
    let read = cx.authority.store().read(|view| {
        Ok::<_, StoreError>(FigureChoices {
            workflows: texts(view.called_workflows(&all)?),
            versions: match &filter.workflow {
                Some(_) => texts(view.called_versions(&of_workflow)?),
                None => Vec::new(),
            },
            agents: texts(view.calling_agents(&of_workflow)?),
            tools: texts(view.called_tools(&of_workflow)?),
        })
    });
    let mut found = read?;
    // What was asked for is there to be kept, also where nothing was called.
    let asked = [
        (&mut found.workflows, filter.workflow.as_ref().map(|w| w.to_string())),
        (&mut found.agents, filter.agent.as_ref().map(|a| a.to_string())),
        (&mut found.tools, filter.tool.as_ref().map(|t| t.to_string())),
    ];
    for (list, asked) in asked {
        if let Some(asked) = asked.map(Text::of).filter(|asked| !list.contains(asked)) {
            list.push(asked);
        }
    }
    Ok(found)
}

fn milliseconds(value: i64) -> String {
    match value {
        ..1_000 => format!("{value} ms"),
        1_000..120_000 => format!("{:.1} s", value as f64 / 1e3),
        120_000..7_200_000 => format!("{} min", value / 60_000),
        7_200_000..172_800_000 => format!("{} h", value / 3_600_000),
        _ => format!("{} days", value / 86_400_000),
    }
}

fn spread(found: &Spread, factor: i64) -> Text {
    let said = |value: i64| milliseconds(value.saturating_mul(factor));
    Text::of(match (found.median, found.p90) {
        (Some(median), Some(p90)) => {
            format!("{} median, {} for nine of ten; {} in all", said(median), said(p90), found.n)
        }
        _ => "no data".to_owned(),
    })
}

fn times(found: &Metrics) -> Vec<(&'static str, Text)> {
    let tried = found.latency.first_denial_ms.n;
    let revoked = match found.latency.revocations {
        0 => Text::of("no data"),
        all if tried == 0 => Text::of(format!("{all} revocations, none was tried against")),
        _ => spread(&found.latency.first_denial_ms, 1),
    };
    vec![
        ("To decide on a call", spread(&found.deciding, 1)),
        ("Life of a delegation", spread(&found.lifetime, 1_000)),
        ("Revocation to first denial", revoked),
    ]
}

/// What was granted, those first that were used least.
fn scope(mut all: Vec<UnusedScope>) -> Vec<ScopeLine> {
    let share = |line: &UnusedScope, other: &UnusedScope| {
        u128::from(line.used).saturating_mul(other.granted.into())
    };
    all.sort_by(|a, b| share(a, b).cmp(&share(b, a)).then(b.granted.cmp(&a.granted)));
    let line = |line: UnusedScope| ScopeLine {
        tool: Text::of(&line.tool),
        granted: line.granted,
        used: line.used,
        shorthands: line.shorthands.iter().map(Text::of).collect(),
    };
    all.into_iter().take(MOST).map(line).collect()
}

/// Held calls by the day, also for days without any.
fn asked_chart(found: &Metrics, filter: &MetricFilter) -> Chart {
    let day = |at: Timestamp| at.seconds().div_euclid(DAY_SECONDS);
    let bars: Vec<Bar> = (day(filter.from)..=day(filter.until.plus_seconds(-1)))
        .map(|day| {
            let began = Timestamp::from_seconds(day.saturating_mul(DAY_SECONDS));
            let words = Moment::of(began).words;
            let asked = found.asked.iter().find(|(of, _)| *of == day).map_or(0, |(_, n)| *n);
            Bar { label: Text::of(words.get(..10).unwrap_or(&words)), values: vec![asked] }
        })
        .collect();
    let is_quiet = bars.iter().all(|bar| bar.values.iter().all(|value| *value == 0));
    let series = Series { name: Text::of("asked"), tone: Tone::Warn };
    let title = Text::of("Calls that were held for a person, by day");
    let about = About { id: "asked", title, of: "Day" };
    Chart::bars(about, vec![series], if is_quiet { &[] } else { &bars })
}

pub(super) async fn show(visit: Visit) -> Response {
    let query = visit.query().to_owned();
    visit
        .read(move |cx, me| {
            me.require(Deed::SeeFigures)?;
            let form = Form::parse(query.as_bytes());
            let (view, asked) = filter(&form, |days| span(cx, days));
            let problem = match &asked {
                Err(problem) => Some(Text::of(*problem)),
                Ok(asked) => nobody_knows(cx, me, &Named::from(asked))?,
            };
            let asked = asked.unwrap_or_else(|_| span(cx, view.days));
            let parts = days_of(cx, &asked)?;
            let other = cx.authority.metrics(&asked, CONFIDENCE_PERCENT)?;
            let unused = cx.authority.metrics_unused(&asked)?;
            let held = other.blocked.held;
            let names = me.may(Deed::SeeActivity);
            let counted = |(what, count): (String, u64)| Counted { what: Text::of(what), count };
            let rejected = match other.peers.handoffs_rejected {
                0 => None,
                many => Some(("handoffs that their taker rejected".to_owned(), many)),
            };
            let template = FiguresPage {
                frame: cx.frame(Some(me), Some(Section::Figures)),
                choices: choices(cx, &asked)?,
                problem,
                runs: other.figures.runs,
                cards: cards(&other.figures, &parts, None),
                held: Text::of(format!(
                    "{} of {} decided calls were held for a person, each repetition counted.",
                    held.hits, held.of
                )),
                asked: asked_chart(&other, &asked),
                times: times(&other),
                approvers: other
                    .load
                    .iter()
                    .filter(|_| names)
                    .take(MOST)
                    .map(|(who, count)| Counted {
                        what: Text::of(who.as_ref().map_or("somebody erased", |id| id.as_str())),
                        count: *count,
                    })
                    .collect(),
                scope: scope(unused),
                peers: other.peers.refused.into_iter().chain(rejected).map(counted).collect(),
                reasons: other.blocked.by_reason.into_iter().take(MOST).map(counted).collect(),
                versions: versions(cx, &asked)?,
                filter: view,
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

fn versions(cx: &Inner, filter: &MetricFilter) -> Result<Vec<(Text, Text)>, Failure> {
    let Some(workflow) = &filter.workflow else { return Ok(Vec::new()) };
    let found = match cx.authority.workflow_history(workflow) {
        Err(Refusal::Unknown { .. }) => Vec::new(),
        other => other?,
    };
    let line = |version: &Publication| {
        let published = Moment::of(version.time).words;
        let label = format!("{}, published {published}", version.workflow.version);
        (Text::of(version.workflow.digest().to_string()), Text::of(label))
    };
    Ok(found.iter().take(MOST).map(line).collect())
}

/// One side of a comparison: a version, or a span of days `A..B`.
fn side(text: &str, workflow: &WorkflowId, now: Timestamp) -> Option<(MetricFilter, String)> {
    let of = Some(workflow.clone());
    if let Some(version) = Digest::from_text(text) {
        let all = MetricFilter::span(Timestamp::from_seconds(0), now);
        let short: String = text.chars().take(20).collect();
        let filter = MetricFilter { workflow: of, version: Some(version), ..all };
        return Some((filter, format!("version {short}…")));
    }
    let (from, until) = text.split_once("..")?;
    let day = |text: &str| -> Option<Timestamp> {
        let text = text.trim();
        (text.len() == 10).then(|| format!("{text}T00:00:00Z").parse().ok()).flatten()
    };
    let (begin, end) = (day(from)?, day(until)?);
    let filter = MetricFilter { workflow: of, ..MetricFilter::span(begin, end) };
    (begin < end).then(|| (filter, format!("{} to {}", from.trim(), until.trim())))
}

fn compared(line: &Compared) -> ComparedLine {
    let measure = line.measure;
    let said = |measured: Option<Measured>| {
        let value = measured.and_then(Measured::value);
        let of = measured.map_or(0, Measured::size);
        let said = |value| format!("{} (of {of})", shown(measure, value, ""));
        Text::of(value.map_or_else(|| "no data".to_owned(), said))
    };
    let (verdict, class) = match line.verdict {
        Verdict::Better => ("better".to_owned(), "good"),
        Verdict::Worse => ("worse".to_owned(), "bad"),
        Verdict::CannotTell { more: Some(more) } => {
            (format!("cannot tell: about {more} more"), "plain")
        }
        Verdict::CannotTell { more: None } => ("cannot tell".to_owned(), "plain"),
    };
    let difference = match (line.difference, line.interval) {
        (Some(difference), Some(i)) => {
            let sign = if difference > 0.0 { "+" } else { "" };
            let scale = if measure.is_rate() { 100.0 } else { 1.0 };
            let unit = if measure.is_rate() { " points" } else { "" };
            format!(
                "{sign}{:.2}{unit} ({:.2} to {:.2})",
                difference * scale,
                i.low * scale,
                i.high * scale
            )
        }
        _ => "no data".to_owned(),
    };
    ComparedLine {
        title: title(measure),
        before: said(line.before),
        after: said(line.after),
        difference: Text::of(difference),
        verdict: Text::of(verdict),
        class,
    }
}

pub(super) async fn before_and_after(visit: Visit) -> Response {
    let query = visit.query().to_owned();
    visit
        .read(move |cx, me| {
            me.require(Deed::SeeFigures)?;
            let form = Form::parse(query.as_bytes());
            let now = cx.authority.host().now().plus_seconds(1);
            let asked = ["before", "after"].map(|name| form.first(name).trim().to_owned());
            let workflow = form.first("workflow").trim().to_owned();
            let mut template = ComparePage {
                frame: cx.frame(Some(me), Some(Section::Figures)),
                workflow: Text::of(&workflow),
                sides: Default::default(),
                asked: [Text::of(&asked[0]), Text::of(&asked[1])],
                problem: None,
                lines: Vec::new(),
            };
            let sides = WorkflowId::parse(&workflow).ok().and_then(|workflow| {
                Some([side(&asked[0], &workflow, now)?, side(&asked[1], &workflow, now)?])
            });
            match sides {
                None => {
                    template.problem = Some(
                        "Name a workflow and two sides of it: the digest of a version, or days as \
                         2026-11-01..2026-11-15.",
                    );
                }
                Some([(before, said), (after, then)]) => {
                    let found =
                        cx.authority.metrics_compare(&before, &after, CONFIDENCE_PERCENT)?;
                    template.lines = found.measures.iter().map(compared).collect();
                    template.sides = [Text::of(said), Text::of(then)];
                }
            }
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_is_a_version_or_a_span_of_days() {
        let workflow = WorkflowId::parse("support").unwrap();
        let now = Timestamp::from_seconds(1_800_000_000);
        let digest = Digest::from_array([7; 32]).to_string();
        let (of, _) = side(&digest, &workflow, now).unwrap();
        assert_eq!((of.version.map(|v| v.to_string()), of.until), (Some(digest), now));
        let (of, said) = side("2026-11-01..2026-11-15", &workflow, now).unwrap();
        assert_eq!(of.until.seconds() - of.from.seconds(), 14 * DAY_SECONDS);
        assert_eq!(said, "2026-11-01 to 2026-11-15");
        for bad in
            ["", "..", "2026-11-15..2026-11-01", "2026-11-01", "x..y", "2026-13-01..2026-14-01"]
        {
            assert!(side(bad, &workflow, now).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_understood_is_said_and_not_guessed() {
        let until = Timestamp::from_seconds(1_800_000_000);
        let span = |_| MetricFilter::span(until, until);
        let ask = |query: &str| filter(&Form::parse(query.as_bytes()), span).1.err();
        assert_eq!(ask("days=7&workflow=support"), None);
        assert_eq!(ask("version=nothing"), Some("A version is named by its digest."));
        assert_eq!(ask("tool=%22"), Some("That is no tool."));
        assert_eq!(filter(&Form::parse(b"days=99999999"), span).0.days, MAX_DAYS);
    }
}
