//! Failures: the board, and one of them with how it is classified and resolved.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_core::ids::{FailureId, PrincipalId, RunId};
use bailiwick_core::time::Timestamp;
use bailiwick_policy::bundle::Answer;
use bailiwick_store::{
    Failure as Row, FailureClass, FailureFilter, FailureKind, FailureState, FailureTrend,
    Regression,
};

use super::views::nobody_knows;
use super::{Failure, Form, Inner, Me, Visit, page, see};
use crate::console::chart::{About, Bar, Chart, Series, Tone};
use crate::console::{
    FailureCard, FailureColumn, FailurePage, FailuresPage, Moment, Section, Text,
};
use crate::people::roles::Deed;
use crate::refusal::Refusal;
use crate::rules::failures::Fix;
use crate::{Classification, Kept, ListedFailure, Named, Resolution, ShownFailure};

/// Cards in one column at most.
const MOST: u32 = 50;
/// Days of the trend: a quarter.
const TREND_DAYS: i64 = 91;
/// Weeks before the last one that the trend shows at least.
const LEAST_WEEKS: i64 = 7;
const WEEK_SECONDS: i64 = 7 * 86_400;
/// Failures of one run that are named on its page at most.
const MOST_OF_RUN: usize = 20;

const CLASSES: [FailureClass; 6] = [
    FailureClass::Prompt,
    FailureClass::RetrievalLayer,
    FailureClass::ToolContract,
    FailureClass::PermissionModel,
    FailureClass::EvaluationSuite,
    FailureClass::HumanProcess,
];

const fn class_word(class: FailureClass) -> &'static str {
    match class {
        FailureClass::Prompt => "prompt",
        FailureClass::RetrievalLayer => "retrieval layer",
        FailureClass::ToolContract => "tool contract",
        FailureClass::PermissionModel => "permission model",
        FailureClass::EvaluationSuite => "evaluation suite",
        FailureClass::HumanProcess => "human process",
    }
}

const fn tone(class: FailureClass) -> Tone {
    match class {
        FailureClass::Prompt => Tone::Accent,
        FailureClass::RetrievalLayer => Tone::Cool,
        FailureClass::ToolContract => Tone::Warn,
        FailureClass::PermissionModel => Tone::Bad,
        FailureClass::EvaluationSuite => Tone::Good,
        FailureClass::HumanProcess => Tone::Plain,
    }
}

fn classes() -> Vec<(&'static str, &'static str)> {
    CLASSES.iter().map(|class| (class.as_str(), class_word(*class))).collect()
}

const fn what(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::AbandonedRun => "Run abandoned",
        FailureKind::BlockedCall => "Call denied",
        FailureKind::BudgetEnd => "Budget spent",
        FailureKind::Correction => "Run corrected",
        FailureKind::DeniedApproval => "Approval denied",
        FailureKind::PeerRefusal => "Peer turned away",
        FailureKind::Rejection => "Run rejected",
        FailureKind::Timeout => "Tool timed out",
        FailureKind::UnmetCriterion => "Criterion not met",
    }
}

const fn kept(regression: Regression) -> &'static str {
    match regression {
        Regression::Case => "kept by a case",
        Regression::None => "no regression",
        Regression::Dismissed => "dismissed",
        Regression::MetLater => "met later",
    }
}

fn path(id: &FailureId) -> String {
    format!("/failures/{id}")
}

fn card(listed: &ListedFailure) -> FailureCard {
    let failure = &listed.failure.row;
    let about = [
        failure.tool.as_ref().map(|tool| tool.as_str()),
        failure.agent.as_ref().map(|agent| agent.as_str()),
        failure.workflow.as_ref().map(|workflow| workflow.as_str()),
    ];
    let class = failure.class_so_far();
    FailureCard {
        path: path(&failure.id),
        what: what(failure.what),
        reason: Text::of(&failure.reason),
        about: about.into_iter().flatten().map(Text::of).collect(),
        class: class.as_str(),
        class_word: class_word(class),
        is_suggested: failure.class.is_none(),
        owner: listed.owner.as_ref().map(|id| Text::of(id.as_str())),
        times: listed.seen.map_or(1, |seen| seen.times),
        last: Moment::of(listed.seen.map_or(failure.detected, |seen| seen.last)),
        kept: failure.regression.map(kept),
    }
}

/// Every week from the first with a failure to the last, and at least the
/// [`LEAST_WEEKS`] before it: one without failures is no gap.
fn weeks(found: &[FailureTrend]) -> Vec<Timestamp> {
    let week = |line: &FailureTrend| line.week;
    let Some(last) = found.iter().map(week).max() else { return Vec::new() };
    let before = |n: i64| last.plus_seconds(-n * WEEK_SECONDS);
    let first = found.iter().map(week).min().unwrap_or(last).min(before(LEAST_WEEKS));
    let mut weeks: Vec<_> =
        (0..=TREND_DAYS / 7).map(before).take_while(|week| *week >= first).collect();
    weeks.reverse();
    weeks
}

/// Failures by week, those of each class on top of each other.
fn trend(found: &[FailureTrend]) -> Chart {
    let bars: Vec<Bar> = weeks(found)
        .into_iter()
        .map(|week| {
            let count = |class: Option<FailureClass>| {
                let fits = found.iter().filter(|line| line.week == week && line.class == class);
                fits.fold(0u64, |sum, line| sum.saturating_add(line.failures))
            };
            let words = Moment::of(week).words;
            let values = CLASSES.iter().map(|class| count(Some(*class)));
            Bar {
                label: Text::of(words.get(..10).unwrap_or(&words)),
                values: values.chain([count(None)]).collect(),
            }
        })
        .collect();
    let series = CLASSES
        .iter()
        .map(|class| Series { name: Text::of(class_word(*class)), tone: tone(*class) })
        .chain([Series { name: Text::of("not classified"), tone: Tone::Faint }]);
    let about =
        About { id: "trend", title: Text::of("Failures by week and class"), of: "Week from" };
    Chart::bars(about, series.collect(), &bars)
}

pub(super) async fn list(visit: Visit) -> Response {
    let query = visit.query().to_owned();
    visit
        .read(move |cx, me| {
            me.require(Deed::SeeFailures)?;
            let form = Form::parse(query.as_bytes());
            let text = |name: &str| form.first(name).trim().to_owned();
            let (workflow, class) = (text("workflow"), text("class"));
            let chosen: Option<FailureClass> = class.parse().ok();
            let named = Some(workflow.clone()).filter(|workflow| !workflow.is_empty());
            let named = Named { workflow: named, ..Named::default() };
            let column = |state, id, title, empty| {
                let filter = FailureFilter {
                    workflow: named.workflow.clone(),
                    state: Some(state),
                    // While nobody chose a class it is suggested, which the store does
                    // not look for.
                    class: chosen.filter(|_| state != FailureState::Detected),
                    limit: MOST + 1,
                    ..FailureFilter::default()
                };
                let found = cx.authority.failures(Some(&me.person), &filter)?.failures;
                let is_cut = found.len() > MOST as usize;
                let fits =
                    |f: &&ListedFailure| chosen.is_none_or(|c| f.failure.class_so_far() == c);
                let cards = found.iter().take(MOST as usize).filter(fits).map(card).collect();
                Ok::<_, Refusal>(FailureColumn { id, title, empty, cards, is_cut })
            };
            let columns = vec![
                column(FailureState::Detected, "new", "New", "Nothing waits for a class.")?,
                column(FailureState::Classified, "classified", "Classified", "Nothing is open.")?,
                column(FailureState::Resolved, "done", "Fixed or dismissed", "Nothing yet.")?,
            ];
            let trends = cx.authority.failure_trends(Some(&me.person), TREND_DAYS)?;
            let template = FailuresPage {
                frame: cx.frame(Some(me), Some(Section::Failures)),
                problem: nobody_knows(cx, me, &named)?,
                workflow: Text::of(&workflow),
                class: Text::of(&class),
                classes: classes(),
                columns,
                trend: (!trends.is_empty()).then(|| trend(&trends)),
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

fn id(text: &str) -> Result<FailureId, Failure> {
    FailureId::parse(text).map_err(|_| Failure::NotFound)
}

pub(super) async fn show(Path(text): Path<String>, visit: Visit) -> Response {
    let query = visit.query().to_owned();
    visit
        .read(move |cx, me| {
            let id = id(&text)?;
            let shown = cx.authority.failure_read(Some(&me.person), &id);
            let shown = shown.map_err(unseen)?;
            let asked = Form::parse(query.as_bytes()).first("case").to_owned();
            let expect = [Answer::Allow, Answer::ApprovalRequired, Answer::Deny];
            let expect = expect.into_iter().find(|answer| answer.as_str() == asked);
            let case = match expect {
                Some(expect) => {
                    let text = cx.authority.failure_case(Some(&me.person), &id, expect)?;
                    Some((expect, text))
                }
                None => None,
            };
            Ok(page(StatusCode::OK, &view(cx, me, &shown, case)?))
        })
        .await
}

/// SECURITY: to whoever may not see it, it is not there.
fn unseen(refusal: Refusal) -> Failure {
    match refusal {
        Refusal::NotYourRole(_) => Failure::NotFound,
        other => other.into(),
    }
}

fn name(id: Option<&PrincipalId>) -> Text {
    Text::of(id.map_or("somebody whose name was erased", |id| id.as_str()))
}

/// A name, what it says, and the page that tells more.
type Fact = (&'static str, Text, Option<String>);

fn facts(cx: &Inner, me: &Me, row: &Row) -> Result<Vec<Fact>, Failure> {
    let entry = cx.authority.store().read(|view| view.entry_by_id(&row.source))?;
    let mut facts = Vec::new();
    let mut add = |name, what: Option<&str>, path: Option<String>| {
        facts.extend(what.map(|what| (name, Text::of(what), path)));
    };
    add("Tool", row.tool.as_ref().map(|id| id.as_str()), None);
    let agent = row.agent.as_ref();
    add("Agent", agent.map(|id| id.as_str()), agent.map(|id| format!("/agents/{id}")));
    let workflow = row.workflow.as_ref();
    let page = workflow.map(|id| format!("/workflows/{id}"));
    add("Workflow", workflow.map(|id| id.as_str()), page);
    let run = row.run.as_ref();
    add("Run", run.map(|id| id.as_str()), run.map(|id| format!("/runs/{id}")));
    let reads = me.may(Deed::SeeActivity);
    let task = row.task.as_ref();
    let page = task.filter(|_| reads).map(|id| format!("/tasks/{id}"));
    add("Task", task.map(|id| id.as_str()), page);
    if let Some(entry) = entry {
        let said = format!("entry {}", entry.index);
        add("In the ledger", Some(&said), reads.then(|| format!("/activity/{}", entry.index)));
    }
    Ok(facts)
}

fn fix(fix: &Fix) -> Text {
    Text::of(match fix {
        Fix::Narrower { leave_out } => format!(
            "Grant less: nobody used {}. Nothing here lets anybody do more.",
            leave_out.join(", ")
        ),
        Fix::Review(how) => {
            format!("More is for review: {how}. Nothing here lets anybody do more.")
        }
    })
}

fn view(
    cx: &Inner,
    me: &Me,
    shown: &ShownFailure,
    case: Option<(Answer, String)>,
) -> Result<FailurePage, Failure> {
    let row = &shown.listed.failure.row;
    let text = |text: &Option<String>| text.as_ref().map(|text| Text::short(text, 1_000));
    Ok(FailurePage {
        frame: cx.frame(Some(me), Some(Section::Failures)),
        card: card(&shown.listed),
        id: row.id.to_string(),
        state: match row.state {
            FailureState::Detected => ("new", "warn"),
            FailureState::Classified => ("classified", "plain"),
            FailureState::Resolved => ("resolved", "good"),
        },
        facts: facts(cx, me, row)?,
        first: Moment::of(row.detected),
        suggested: (
            class_word(shown.suggestion.class),
            Text::of(format!("{}.", shown.suggestion.why)),
        ),
        fix: shown.fix.as_ref().map(fix),
        classified: row.classified.map(|at| {
            let who = match row.classifier {
                Some(_) => name(shown.classifier.as_ref()),
                None => Text::of("the operator"),
            };
            (who, Moment::of(at), text(&shown.note))
        }),
        resolved: row.resolved.map(|at| (Moment::of(at), text(&shown.link), text(&shown.why))),
        is_erased: shown.is_erased,
        cases: row.cases.map(|digest| digest.to_string()),
        is_mend: row.held_before.map(|held| !held),
        again: row.again.as_ref().map(path),
        classes: classes(),
        may_tend: cx.authority.may_tend_failure(&me.person, row)?,
        is_replayable: shown.is_replayable,
        case: case.map(|(expect, text)| (Text::of(expect.as_str()), lines(&text))),
    })
}

/// A text of several lines: each made safe by itself.
fn lines(text: &str) -> Vec<Text> {
    text.lines().map(Text::of).collect()
}

/// Failures that were detected in a run, for whoever sees failures.
pub(super) fn of_run(cx: &Inner, me: &Me, run: &RunId) -> Result<Vec<(Text, String)>, Failure> {
    if !me.may(Deed::SeeFailures) {
        return Ok(Vec::new());
    }
    let found = cx.authority.store().read(|view| view.failures_of_run(run))?;
    let line = |failure: &bailiwick_store::Stored<Row>| {
        let said = format!("{}: {}", what(failure.what), failure.reason);
        (Text::of(said), path(&failure.row.id))
    };
    Ok(found.iter().take(MOST_OF_RUN).map(line).collect())
}

fn said(form: &Form, name: &str) -> Option<String> {
    let text = form.first(name).trim();
    (!text.is_empty()).then(|| text.to_owned())
}

pub(super) async fn classify(Path(text): Path<String>, visit: Visit) -> Response {
    visit
        .change(move |cx, me, form| {
            let id = id(&text)?;
            let class = form.first("class").parse().map_err(|_| Failure::NotFound)?;
            let owner = match said(form, "owner") {
                None => None,
                Some(name) => {
                    let id = PrincipalId::parse(&name);
                    Some(id.map_err(|_| Refusal::unknown("principal", &name))?)
                }
            };
            let said = Classification { class, owner, note: said(form, "note") };
            cx.authority.failure_classify(Some(&me.person), &id, said)?;
            Ok(see(&path(&id)))
        })
        .await
}

pub(super) async fn resolve(Path(text): Path<String>, visit: Visit) -> Response {
    visit
        .change(move |cx, me, form| {
            let id = id(&text)?;
            let regression = match form.first("regression") {
                "case" => Kept::Case(form.first("cases").replace("\r\n", "\n")),
                "dismissed" => Kept::Dismissed,
                "none" => Kept::None,
                _ => return Err(Failure::NotFound),
            };
            let (link, why) = (said(form, "link"), said(form, "why"));
            let said = Resolution { link, why, regression };
            cx.authority.failure_resolve(Some(&me.person), &id, said)?;
            Ok(see(&path(&id)))
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_is_one_bar_with_every_class_and_what_has_none() {
        let week = |n: i64| Timestamp::from_seconds(4 * 86_400 + (100 + n) * WEEK_SECONDS);
        let line = |n, class, failures| FailureTrend { week: week(n), class, failures };
        let found = [
            line(1, Some(FailureClass::Prompt), 2),
            line(0, Some(FailureClass::HumanProcess), 1),
            line(1, None, 3),
        ];
        let chart = trend(&found);
        assert_eq!(chart.rows.len(), 8);
        let row: Vec<&str> = chart.rows[7].iter().map(Text::as_str).collect();
        assert_eq!(row, ["1971-12-13", "2", "0", "0", "0", "0", "0", "3"]);
        assert_eq!(chart.legend.len(), 7);
    }

    #[test]
    fn weeks_without_failures_are_shown_as_such() {
        let week = |n: i64| Timestamp::from_seconds((100 + n) * WEEK_SECONDS);
        let line = |n| FailureTrend { week: week(n), class: None, failures: 1 };
        assert_eq!(weeks(&[]), []);
        assert_eq!(weeks(&[line(3), line(13)]), (3..=13).map(week).collect::<Vec<_>>());
        assert_eq!(weeks(&[line(13)]), (6..=13).map(week).collect::<Vec<_>>());
    }

    #[test]
    fn the_classes_of_the_form_are_those_of_the_records() {
        for (name, _) in classes() {
            assert!(name.parse::<FailureClass>().is_ok(), "{name}");
        }
    }
}
