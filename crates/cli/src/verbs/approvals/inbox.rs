//! What waits, found by what it is about; and how much people are asked.

use bailiwick_authority::InboxQuery;
use bailiwick_core::json::{Json, Object};
use url::form_urlencoded::Serializer;

use super::super::place::{Place, text};
use crate::args::ListArgs;
use crate::error::CliError;
use crate::output::{Output, one_line};
use crate::table::table;

fn found(place: &Place, args: ListArgs) -> Result<Object, CliError> {
    match place {
        Place::Here(data) => {
            let ListArgs { all, agent, tool, task, workflow, risk, search, after, limit } = args;
            let query = InboxQuery { all, agent, tool, task, workflow, risk, search, after, limit };
            Ok(data.authority.inbox(None, &query)?.to_json())
        }
        Place::At(login) => {
            let mut query = Serializer::new(String::new());
            query.append_pair("limit", &args.limit.to_string());
            if args.all {
                query.append_pair("all", "true");
            }
            for (name, value) in [
                ("agent", args.agent),
                ("tool", args.tool),
                ("task", args.task),
                ("workflow", args.workflow),
                ("risk", args.risk.map(|risk| risk.as_str().to_owned())),
                ("search", args.search),
                ("after", args.after.map(|place| place.to_string())),
            ] {
                if let Some(value) = value {
                    query.append_pair(name, &value);
                }
            }
            Place::get(login, &format!("/approvals?{}", query.finish()))
        }
    }
}

pub(super) fn list(place: &Place, args: ListArgs, out: Output) -> Result<(), CliError> {
    let answer = found(place, args)?;
    let list = answer.member("approvals").and_then(Json::as_array).unwrap_or_default();
    let columns = ["approval", "agent", "tool", "risk", "principal", "state", "expires"];
    let rows: Vec<Vec<String>> = list
        .iter()
        .filter_map(Json::as_object)
        .map(|o| columns.iter().map(|name| one_line(text(o, name)).to_string()).collect())
        .collect();
    let shown = match rows.as_slice() {
        [] => "no call waits for a person".to_owned(),
        rows => table(&columns, rows),
    };
    let first = list.first().and_then(Json::as_object).map(|o| text(o, "approval").to_owned());
    let more = text(&answer, "next").to_owned();
    out.result(answer, shown);
    let show = first.map(|id| format!("bailiwick approvals show {id}"));
    let after = (!more.is_empty()).then(|| format!("bailiwick approvals list --after {more}"));
    let steps: Vec<&str> = show.iter().chain(&after).map(String::as_str).collect();
    if !steps.is_empty() {
        out.next(&steps);
    }
    Ok(())
}

/// A share as people read it.
fn percent(figures: &Object, name: &str) -> String {
    let share = text(figures, name).parse::<f64>();
    share.map_or_else(|_| "none".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

fn number(figures: &Object, name: &str) -> i64 {
    figures.member(name).and_then(|n| n.as_number()?.as_plain_integer()).unwrap_or(0)
}

pub(super) fn metrics(place: &Place, seconds: i64, out: Output) -> Result<(), CliError> {
    let figures = match place {
        Place::Here(data) => data.authority.fatigue(seconds)?.to_json(),
        Place::At(login) => {
            let hours = seconds.div_euclid(3_600).max(1);
            Place::get(login, &format!("/approvals/metrics?hours={hours}"))?
        }
    };
    let median = figures.member("median_ms_to_decide").and_then(|m| m.as_number());
    let median = median.map_or("none".to_owned(), |ms| format!("{:.1} s", ms.value() / 1_000.0));
    let columns = ["approver", "verdicts", "per_hour", "busiest_hour"];
    let approvers = figures.member("approvers").and_then(Json::as_array).unwrap_or_default();
    let rows: Vec<Vec<String>> = approvers
        .iter()
        .filter_map(Json::as_object)
        .map(|o| {
            vec![
                one_line(text(o, "approver")).to_string(),
                number(o, "verdicts").to_string(),
                text(o, "per_hour").to_owned(),
                number(o, "busiest_hour").to_string(),
            ]
        })
        .collect();
    let people = match rows.as_slice() {
        [] => "nobody decided anything".to_owned(),
        rows => table(&columns, rows),
    };
    let words = format!(
        "since {since}\n  calls that asked      {asked}\n  expired               {expired} ({expired_share} of those that are over)\n  median to decide      {median}\n  approved in a second  {quick} ({quick_share} of approvals)\n{people}",
        since = text(&figures, "since"),
        asked = number(&figures, "asked"),
        expired = number(&figures, "expired"),
        expired_share = percent(&figures, "expired_share"),
        quick = number(&figures, "within_second"),
        quick_share = percent(&figures, "within_second_share"),
    );
    out.result(figures, words);
    out.next(&["bailiwick approvals list --all"]);
    Ok(())
}
