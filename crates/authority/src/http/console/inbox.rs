//! The inbox: calls that wait for a person, found by what they are about.

use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_core::crypto::{base64url, sha256};
use bailiwick_core::json::Object;
use bailiwick_policy::grades::Risk;
use url::form_urlencoded::Serializer;

use super::approvals::{line, name};
use super::form::Form;
use super::standings::standing_line;
use super::{Failure, Inner, Me, Visit, json, page};
use crate::console::{ApprovalsPage, ApproverLine, FatigueFigures, InboxFilter, Section, Text};
use crate::people::roles::Deed;
use crate::{Fatigue, InboxPage, InboxQuery};

/// Calls on one page.
const PAGE: u32 = 50;
/// Calls that are over, below those that wait.
const LATEST: usize = 20;
/// Standing approvals, below them.
const MOST_STANDING: u32 = 100;
/// Seconds that the figures are about: a week.
const SPAN_SECONDS: i64 = 604_800;

/// What the address asks for.
fn asked(query: &str) -> InboxQuery {
    let form = Form::parse(query.as_bytes());
    let text = |name: &str| Some(form.first(name).trim().to_owned()).filter(|t| !t.is_empty());
    InboxQuery {
        all: form.first("all") == "true",
        agent: text("agent"),
        tool: text("tool"),
        task: text("task"),
        workflow: text("workflow"),
        risk: form.first("risk").parse::<Risk>().ok(),
        search: text("search"),
        // A place that is none is the beginning.
        after: form.first("after").parse().ok(),
        limit: PAGE,
    }
}

/// The address's members, in one way of writing them.
fn members(query: &InboxQuery) -> String {
    let mut written = Serializer::new(String::new());
    let texts = [
        ("search", query.search.as_deref()),
        ("agent", query.agent.as_deref()),
        ("tool", query.tool.as_deref()),
        ("task", query.task.as_deref()),
        ("workflow", query.workflow.as_deref()),
        ("risk", query.risk.map(Risk::as_str)),
        ("all", query.all.then_some("true")),
    ];
    for (name, value) in texts {
        if let Some(value) = value {
            written.append_pair(name, value);
        }
    }
    let after = query.after.as_ref().map(ToString::to_string);
    if let Some(after) = after {
        written.append_pair("after", &after);
    }
    written.finish()
}

/// An address of ours with these members.
fn at(path: &str, query: &InboxQuery) -> String {
    match members(query) {
        members if members.is_empty() => path.to_owned(),
        members => format!("{path}?{members}"),
    }
}

/// Says what was found, for the page that reads itself again.
fn mark_of(found: &InboxPage) -> String {
    let of = |listed: &crate::ListedApproval| format!("{} {}", listed.approval.id, listed.state);
    let all: Vec<String> = found.calls.iter().map(of).collect();
    base64url(sha256(all.join("\n").as_bytes()).bytes())
}

fn filter(query: &InboxQuery) -> InboxFilter {
    let text = |text: &Option<String>| Text::of(text.as_deref().unwrap_or_default());
    InboxFilter {
        search: text(&query.search),
        agent: text(&query.agent),
        tool: text(&query.tool),
        task: text(&query.task),
        workflow: text(&query.workflow),
        risk: query.risk.map_or("", Risk::as_str),
        all: query.all,
    }
}

fn percent(share: Option<f64>, of: &str) -> String {
    share.map_or_else(|| "none yet".to_owned(), |share| format!("{:.1} % of {of}", share * 100.0))
}

fn figures(found: &Fatigue) -> FatigueFigures {
    let seconds = |ms: i64| {
        let (minutes, seconds) = (ms / 60_000, ms % 60_000 / 1_000);
        if minutes > 0 { format!("{minutes} min {seconds} s") } else { format!("{seconds} s") }
    };
    FatigueFigures {
        asked: found.asked.asked,
        expired: percent(found.expired_share(), "those that are over"),
        median: found.median_ms.map_or_else(|| "none yet".to_owned(), seconds),
        quick: percent(found.quick_share(), "approvals"),
        approvers: found
            .approvers
            .iter()
            .map(|of| ApproverLine {
                approver: name(of.approver.as_ref()),
                said: of.said,
                per_hour: format!("{:.2}", found.per_hour(of)),
                busiest_hour: of.busiest_hour,
            })
            .collect(),
    }
}

fn view(cx: &Inner, me: &Me, query: &InboxQuery) -> Result<ApprovalsPage, Failure> {
    let found = cx.authority.inbox(Some(&me.person), query)?;
    let filter = filter(query);
    let is_first = !filter.is_set() && query.after.is_none();
    let standings = if is_first {
        let found = cx.authority.standings(Some(&me.person), false, MOST_STANDING)?;
        found.iter().map(standing_line).collect()
    } else {
        Vec::new()
    };
    let settled = if is_first {
        let latest = InboxQuery { all: true, limit: PAGE, ..InboxQuery::default() };
        let latest = cx.authority.inbox(Some(&me.person), &latest)?;
        let over = latest.calls.iter().filter(|listed| listed.state != "pending");
        over.take(LATEST).map(line).collect()
    } else {
        Vec::new()
    };
    let next = found
        .next
        .clone()
        .map(|place| at("/approvals", &InboxQuery { after: Some(place), ..query.clone() }));
    let figures = match is_first && me.may(Deed::SeeActivity) {
        true => Some(figures(&cx.authority.fatigue(SPAN_SECONDS)?)),
        false => None,
    };
    Ok(ApprovalsPage {
        frame: cx.frame(Some(me), Some(Section::Approvals)),
        filter,
        risks: Risk::ALL.iter().map(|risk| risk.as_str()).collect(),
        mark: mark_of(&found),
        live: at("/approvals/mark", query),
        found: found.calls.iter().map(line).collect(),
        standings,
        settled,
        next,
        figures,
    })
}

pub(super) async fn list(visit: Visit) -> Response {
    let query = asked(visit.query());
    visit.read(move |cx, me| Ok(page(StatusCode::OK, &view(cx, me, &query)?))).await
}

pub(super) async fn mark(visit: Visit) -> Response {
    let query = asked(visit.query());
    visit
        .read(move |cx, me| {
            let found = cx.authority.inbox(Some(&me.person), &query)?;
            Ok(json(Object::new().with("mark", mark_of(&found))))
        })
        .await
}
