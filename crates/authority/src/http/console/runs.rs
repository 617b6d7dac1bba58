//! Runs: the list, one run with its four questions answered, and people's words on it.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use bailiwick_core::ids::RunId;
use bailiwick_core::time::Timestamp;
use bailiwick_evidence::run::QUESTIONS;
use bailiwick_store::{ReviewVerdict, RunFilter, RunState, StoreError};
use url::form_urlencoded::Serializer;

use super::views::{entry_line, nobody_knows};
use super::{Failure, Form, Inner, Me, Visit, page, see, with_headers};
use crate::console::{
    Moment, ReviewDraft, RunFilterView, RunPage, RunsPage, Section, Text, headers,
};
use crate::people::roles::Deed;
use crate::refusal::Refusal;
use crate::rules::runs::{Reviewing, RunError};
use crate::service::named_context;
use crate::{Granter, Named, SeenRun};

mod shown;
use shown::{calls, context, criteria, evidence, line, reviewing, reviews, spent, undo, verdict};

/// Runs on a page.
const PAGE: u32 = 50;
/// Runs that wait for a review that are listed at most.
const MOST_TO_REVIEW: usize = 20;
/// Entries of one run on a page.
const ENTRIES: u32 = 50;
/// Steps of a rollback plan on a page.
const SHOWN_STEPS: usize = 20;
/// Items of context on a page.
const ITEMS: u32 = 50;
const FIELDS: [&str; 4] = ["workflow", "agent", "task", "state"];

fn id(text: &str) -> Result<RunId, Failure> {
    RunId::parse(text).map_err(|_| Failure::NotFound)
}

/// What is asked for, or what of it is not understood.
fn filter(form: &Form) -> Result<RunFilter, &'static str> {
    let text = |name: &str| Some(form.first(name).trim().to_owned()).filter(|t| !t.is_empty());
    let state = match text("state") {
        None => None,
        Some(state) => Some(state.parse::<RunState>().map_err(|_| "There is no such state.")?),
    };
    let before = match (form.number::<i64>("before"), text("id")) {
        (Ok(Some(millis)), Some(id)) => {
            let id = RunId::parse(&id).map_err(|_| "That page is not there.")?;
            Some((Timestamp::from_millis(millis), id))
        }
        (Err(()), _) => return Err("That page is not there."),
        _ => None,
    };
    Ok(RunFilter {
        task: text("task"),
        workflow: text("workflow"),
        agent: text("agent"),
        principal: None,
        state,
        before,
        limit: PAGE,
    })
}

pub(super) async fn list(visit: Visit) -> Response {
    let query = visit.query().to_owned();
    visit
        .read(move |cx, me| {
            let form = Form::parse(query.as_bytes());
            let text = |name: &str| Text::of(form.first(name).trim());
            let asked = filter(&form);
            let problem = match &asked {
                Err(problem) => Some(Text::of(*problem)),
                Ok(asked) => nobody_knows(cx, me, &Named::from(asked))?,
            };
            let asked = asked.unwrap_or(RunFilter { limit: PAGE, ..RunFilter::default() });
            let found = cx.authority.runs_seen(&me.person, &asked)?;
            // What one may not see is left out of a page, so that a short page may
            // still have older ones: the store's own page says so.
            let full = cx.authority.store().read(|view| view.runs(&asked))?;
            let older = full.last().filter(|_| full.len() >= PAGE as usize).map(|last| {
                let mut query = Serializer::new(String::new());
                for name in FIELDS {
                    let value = form.first(name).trim();
                    if !value.is_empty() {
                        query.append_pair(name, value);
                    }
                }
                query.append_pair("before", &last.started.millis().to_string());
                query.append_pair("id", last.row.id.as_str());
                format!("/runs?{}", query.finish())
            });
            let is_newest = asked.before.is_none();
            let to_review = match is_newest {
                true => cx.authority.runs_to_review(&me.person, MOST_TO_REVIEW)?,
                false => Vec::new(),
            };
            let template = RunsPage {
                frame: cx.frame(Some(me), Some(Section::Runs)),
                filter: RunFilterView {
                    workflow: text("workflow"),
                    agent: text("agent"),
                    task: text("task"),
                    state: text("state"),
                },
                problem,
                to_review: to_review.iter().map(line).collect(),
                runs: found.iter().map(line).collect(),
                older,
                is_newest,
                own_only: !me.may(Deed::SeeFigures),
            };
            Ok(page(StatusCode::OK, &template))
        })
        .await
}

pub(super) async fn show(Path(text): Path<String>, visit: Visit) -> Response {
    let query = visit.query().to_owned();
    visit
        .read(move |cx, me| {
            let form = Form::parse(query.as_bytes());
            let seen = cx.authority.run_seen(&me.person, &id(&text)?)?;
            Ok(page(StatusCode::OK, &view(cx, me, &seen, &form)?))
        })
        .await
}

fn view(cx: &Inner, me: &Me, seen: &SeenRun, form: &Form) -> Result<RunPage, Failure> {
    let shown = &seen.shown;
    let run = &shown.listed.run;
    let after: Option<u64> = form.number("after").ok().flatten();
    let from: u32 = form.number("item").ok().flatten().unwrap_or(1).max(1);
    let path = format!("/runs/{}", run.id);
    let (mut entries, items) = cx.authority.store().read(|view| {
        let entries = match seen.has_texts {
            true => view.entries_of_run(&run.id, after, ENTRIES.saturating_add(1))?,
            false => Vec::new(),
        };
        let items = match seen.has_texts {
            true => {
                let mut items = view.run_context(&run.id, from)?;
                items.truncate(ITEMS as usize);
                named_context(view, items)?
            }
            false => Vec::new(),
        };
        Ok::<_, StoreError>((entries, items))
    })?;
    let more = entries.len() > ENTRIES as usize;
    entries.truncate(ENTRIES as usize);
    let last = entries.last().map(|entry| entry.index).filter(|_| more);
    let next_item = from.saturating_add(ITEMS);
    let has_more_items = seen.has_texts && shown.items.0 >= u64::from(next_item);
    let (by_tool, total) = calls(&shown.calls);
    let sees_workflow = me.may(Deed::SeeCatalogue) || seen.workflow.owner == me.person.id;
    let reads = seen.has_texts;
    let plan = match reads && shown.listed.run.state != RunState::Open {
        true => cx.authority.rollback_plan(None, &run.id)?,
        false => Vec::new(),
    };
    Ok(RunPage {
        frame: cx.frame(Some(me), Some(Section::Runs)),
        line: line(&shown.listed),
        questions: QUESTIONS,
        has_texts: reads,
        goal: shown.goal.as_ref().map(|goal| Text::short(goal, 4_000)),
        instruction: shown.instruction.as_ref().map(|digest| Text::short(digest, 100)),
        task: run.task.to_string(),
        grant: run.grant.to_string(),
        version: run.workflow_digest.to_string(),
        sees_workflow,
        deadline: (shown.listed.state == RunState::Open).then(|| Moment::of(run.deadline)),
        context: items.iter().map(context).collect(),
        items: shown.items,
        more_context: has_more_items.then(|| format!("{path}?item={next_item}#context")),
        calls: by_tool,
        total,
        entries: entries.iter().map(entry_line).collect(),
        more_entries: last.map(|last| format!("{path}?after={last}#timeline")),
        is_begin: after.is_none(),
        verdict: verdict(&shown.listed),
        criteria: criteria(&seen.workflow, &shown.derived),
        evidence: evidence(cx, &shown.derived, reads)?,
        reviews: reviews(&shown.reviews, reads),
        reviewing: reviewing(seen),
        draft: ReviewDraft::default(),
        spent: spent(&run.spent),
        more_undo: plan.len().saturating_sub(SHOWN_STEPS),
        undo: plan.iter().take(SHOWN_STEPS).map(undo).collect(),
        failures: super::failures::of_run(cx, me, &run.id)?,
        has_report: me.may(Deed::SeeActivity)
            || run.principal == me.person.principal.alias
            || seen.workflow.owner == me.person.id,
    })
}

/// The report as a file: never shown in the console's own origin, so that what it
/// says cannot act there.
pub(super) async fn report(Path(text): Path<String>, visit: Visit) -> Response {
    let query = visit.query().to_owned();
    visit
        .read(move |cx, me| {
            let (id, form) = (id(&text)?, Form::parse(query.as_bytes()));
            let format = form.first("format");
            let kind = match format {
                "html" => "text/html; charset=utf-8",
                "md" => "text/markdown; charset=utf-8",
                "json" => "application/json",
                _ => return Err(Failure::NotFound),
            };
            let file = cx.authority.run_report(Some(&me.person), &id)?;
            let body = match format {
                "html" => file.report().to_html(),
                "md" => file.report().to_markdown(),
                _ => file.to_text(),
            };
            let name = format!("attachment; filename=\"run-{}.{format}\"", file_name(&id));
            let told =
                [(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, name)];
            Ok(with_headers((told, body).into_response(), &headers::PAGE))
        })
        .await
}

/// The id as a part of a file's name.
fn file_name(id: &RunId) -> String {
    id.as_str().chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect()
}

pub(super) async fn review(Path(text): Path<String>, visit: Visit) -> Response {
    visit
        .change(move |cx, me, form| {
            let id = id(&text)?;
            let verdict: ReviewVerdict =
                form.first("verdict").parse().map_err(|_| Failure::NotFound)?;
            let said = |name: &str| {
                let text = form.first(name).trim();
                (!text.is_empty()).then(|| text.to_owned())
            };
            let criteria: Vec<String> = form.all("criteria").into_iter().collect();
            let reviewing = Reviewing {
                verdict,
                criteria: (!criteria.is_empty()).then_some(criteria),
                what: said("what"),
                why: said("why"),
            };
            let granter = Granter::Person(me.person.principal.alias.clone());
            match cx.authority.run_review(&granter, &id, &reviewing, None) {
                Ok(_) => Ok(see(&format!("/runs/{id}#reviews"))),
                // The words that were written stay in the form.
                Err(refusal @ Refusal::Run(RunError::ReviewWords { .. })) => {
                    let seen = cx.authority.run_seen(&me.person, &id)?;
                    let shown = view(cx, me, &seen, &Form::parse(b""))?;
                    let said = |words: Option<String>| words.unwrap_or_default();
                    let draft = ReviewDraft {
                        problem: Some(Text::of(format!("{refusal}: {}.", refusal.remedy()))),
                        verdict: form.first("verdict").to_owned(),
                        criteria: reviewing.criteria.unwrap_or_default(),
                        what: said(reviewing.what),
                        why: said(reviewing.why),
                    };
                    let shown = RunPage { draft, ..shown };
                    Ok(page(StatusCode::UNPROCESSABLE_ENTITY, &shown))
                }
                Err(refusal) => Err(refusal.into()),
            }
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_named_by_the_run_before_it_and_nothing_is_guessed() {
        let ask = |query: &str| filter(&Form::parse(query.as_bytes()));
        assert!(ask("").unwrap().before.is_none());
        assert_eq!(ask("state=open").unwrap().state, Some(RunState::Open));
        assert_eq!(ask("state=done").unwrap_err(), "There is no such state.");
        assert_eq!(ask("before=x&id=run:1").unwrap_err(), "That page is not there.");
        assert_eq!(ask("before=5&id=nothing").unwrap_err(), "That page is not there.");
        let run = RunId::mint(Timestamp::from_millis(5), [1; 10]);
        let found = ask(&format!("before=5&id={run}&workflow=w")).unwrap();
        assert_eq!(found.before, Some((Timestamp::from_millis(5), run)));
        assert_eq!((found.workflow.as_deref(), found.limit), (Some("w"), PAGE));
    }
}
