//! `metrics`: how well agents work.

use bailiwick_authority::{MetricsBy, Named, line_json};
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{AgentId, ToolId, WorkflowId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_store::MetricFilter;
use url::form_urlencoded::Serializer;

use super::parse::seconds;
use super::place::{Place, text};
use crate::args::{MetricsAbout, MetricsArgs, MetricsVerb};
use crate::error::CliError;
use crate::output::{Output, one_line};
use crate::table::table;

/// The six, with what they are called for people.
const SIX: [(&str, &str); 5] = [
    ("task_success_rate", "task success"),
    ("human_correction_rate", "human correction"),
    ("iterations_per_task", "iterations per completed task"),
    ("escalation_rate", "runs that needed a person"),
    ("blocked_call_rate", "blocked calls"),
];
/// Days back at most.
const MAX_DAYS: i64 = 92;
const COST: &str = "cost_per_success";

fn digest(text: &str) -> Result<Digest, CliError> {
    Digest::from_text(text).ok_or_else(|| {
        CliError::usage(
            "digest-malformed",
            format!("`{text}` is no digest of a version"),
            "copy it from `bailiwick workflow history NAME`",
        )
    })
}

fn query(pairs: &[(&str, Option<String>)]) -> String {
    let mut query = Serializer::new(String::new());
    for (name, value) in pairs {
        if let Some(value) = value {
            query.append_pair(name, value);
        }
    }
    query.finish()
}

/// Seconds back, as many as the API takes as well.
fn span(since: &str) -> Result<i64, CliError> {
    let seconds = seconds(since)?;
    if seconds > MAX_DAYS * 86_400 {
        return Err(CliError::usage(
            "duration-too-long",
            format!("figures are about {MAX_DAYS} days back at most, not `{since}`"),
            "say `92d` or less; `bailiwick metrics compare` takes any two spans of times",
        ));
    }
    Ok(seconds)
}

fn hours(since: &str) -> Result<String, CliError> {
    Ok(span(since)?.saturating_add(3_599).div_euclid(3_600).to_string())
}

impl MetricsAbout {
    fn filter(&self, span: MetricFilter) -> Result<MetricFilter, CliError> {
        Ok(MetricFilter {
            workflow: self.workflow.as_deref().map(WorkflowId::parse).transpose()?,
            version: self.version.as_deref().map(digest).transpose()?,
            agent: self.agent.as_deref().map(AgentId::parse).transpose()?,
            tool: self.tool.as_deref().map(ToolId::parse).transpose()?,
            ..span
        })
    }
}

pub(super) fn run(args: MetricsArgs, place: &Place, out: Output) -> Result<(), CliError> {
    match args.verb {
        None => show(&args, place, out),
        Some(MetricsVerb::Compare { workflow, before, after, agent, confidence }) => {
            let of = Sides { workflow, before, after, agent, confidence };
            compare(&of, place, out)
        }
        Some(MetricsVerb::Unused { workflow, since }) => unused(workflow, &since, place, out),
    }
}

fn found(args: &MetricsArgs, place: &Place) -> Result<Object, CliError> {
    let about = &args.about;
    match place {
        Place::Here(data) => {
            let filter = about.filter(data.authority.metrics_span(span(&about.since)?))?;
            data.authority.check_names(None, &Named::from(&filter))?;
            let mut answer = data.authority.metrics(&filter, about.confidence)?.to_json();
            if let Some(by) = args.by {
                let lines = data.authority.metrics_by(&filter, by.into())?;
                let line = |(name, of): &(String, _)| line_json(name, of, about.confidence).into();
                answer.insert("lines", lines.iter().map(line).collect::<Vec<Json>>());
            }
            Ok(answer)
        }
        Place::At(login) => {
            let query = query(&[
                ("workflow", about.workflow.clone()),
                ("version", about.version.clone()),
                ("agent", about.agent.clone()),
                ("tool", about.tool.clone()),
                ("hours", Some(hours(&about.since)?)),
                ("confidence", Some(about.confidence.to_string())),
                ("by", args.by.map(|by| MetricsBy::from(by).as_str().to_owned())),
            ]);
            Place::get(login, &format!("/metrics?{query}"))
        }
    }
}

fn number(object: &Object, name: &str) -> u64 {
    let number = object.member(name).and_then(Json::as_number).and_then(|n| n.as_plain_integer());
    number.and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
}

fn object<'o>(of: &'o Object, name: &str) -> Option<&'o Object> {
    of.member(name).and_then(Json::as_object)
}

/// `7/9 = 0.7778 (0.4526 to 0.9368)`, or `no data`.
fn figure(of: &Object) -> String {
    let value = text(of, "value");
    if value.is_empty() {
        return "no data".to_owned();
    }
    let made = match of.member("denominator") {
        Some(_) => format!("{}/{} = ", number(of, "numerator"), number(of, "denominator")),
        None => format!("n = {}, mean ", number(of, "n")),
    };
    format!("{made}{value}{}", interval(of))
}

fn interval(of: &Object) -> String {
    let ends = of.member("interval").and_then(Json::as_array).unwrap_or_default();
    match ends {
        [Json::String(low), Json::String(high)] => format!(" ({low} to {high})"),
        _ => String::new(),
    }
}

fn counts(of: &Object, name: &str) -> String {
    let all = object(of, name).into_iter().flat_map(|all| all.iter());
    let all: Vec<String> =
        all.map(|(name, n)| format!("{} {}", one_line(name), n.canonical())).collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

fn spread(of: &Object, name: &str, unit: &str) -> String {
    let Some(of) = object(of, name) else { return "no data".to_owned() };
    if number(of, "n") == 0 {
        return "no data".to_owned();
    }
    let n = number(of, "n");
    format!("n = {n}, median {} {unit}, 90 % {} {unit}", number(of, "median"), number(of, "p90"))
}

fn show(args: &MetricsArgs, place: &Place, out: Output) -> Result<(), CliError> {
    let answer = found(args, place)?;
    let none = Object::new();
    let figures = object(&answer, "figures").unwrap_or(&none);
    let mut lines = vec![format!(
        "since {}: {} ended",
        object(&answer, "about").map_or("", |about| text(about, "from")),
        match number(figures, "runs") {
            1 => "1 run".to_owned(),
            runs => format!("{runs} runs"),
        }
    )];
    let mut line = |name: &str, value: String| lines.push(format!("  {name:<30} {value}"));
    for (name, title) in SIX {
        line(title, object(figures, name).map_or_else(|| "no data".to_owned(), figure));
    }
    let costs = object(figures, COST).map(|all| all.iter().collect::<Vec<_>>()).unwrap_or_default();
    if costs.is_empty() {
        line("cost per success", "no data".to_owned());
    }
    for (currency, of) in costs {
        let of = of.as_object().map(figure).unwrap_or_default();
        line(&format!("cost per success, {}", one_line(currency)), of);
    }
    line("blocked by reason", counts(&answer, "blocked_by_reason"));
    line("held calls asked, by day", counts(&answer, "approvals_asked"));
    line("time to decide", spread(&answer, "time_to_decide_ms", "ms"));
    line("delegations lived", spread(&answer, "delegation_lifetime_seconds", "s"));
    line("revocation to first denial", spread(&answer, "revocation_latency_ms", "ms"));
    line("peers turned away", counts(&answer, "denied_peers"));
    let told = answer.member("lines").and_then(Json::as_array).unwrap_or_default();
    let rows: Vec<Vec<String>> = told.iter().filter_map(Json::as_object).map(row).collect();
    if !rows.is_empty() {
        lines.push(table(&["", "runs", "success", "correction", "escalation", "blocked"], &rows));
    }
    out.result(answer, lines.join("\n"));
    out.next(&["bailiwick metrics --by day", "bailiwick metrics unused", "bailiwick failure list"]);
    Ok(())
}

fn row(line: &Object) -> Vec<String> {
    let none = Object::new();
    let figures = object(line, "figures").unwrap_or(&none);
    let short = |name: &str| {
        let of = object(figures, name);
        of.map_or_else(String::new, |of| match text(of, "value") {
            "" => "no data".to_owned(),
            _ => format!("{}/{}", number(of, "numerator"), number(of, "denominator")),
        })
    };
    vec![
        one_line(text(line, "name")).to_string(),
        number(figures, "runs").to_string(),
        short("task_success_rate"),
        short("human_correction_rate"),
        short("escalation_rate"),
        short("blocked_call_rate"),
    ]
}

struct Sides {
    workflow: String,
    before: String,
    after: String,
    agent: Option<String>,
    confidence: u8,
}

/// A version, or a span `FROM..UNTIL`.
fn side(of: &str, sides: &Sides, now: Timestamp) -> Result<MetricFilter, CliError> {
    let time = |text: &str| -> Result<Timestamp, CliError> {
        text.parse().map_err(|_| {
            CliError::usage(
                "span-malformed",
                format!("`{text}` is no time"),
                "write two times such as 2026-01-01T00:00:00Z with `..` between them, or a digest",
            )
        })
    };
    let all = MetricFilter::span(Timestamp::from_millis(0), now);
    let filter = match of.split_once("..") {
        Some((from, until)) => MetricFilter::span(time(from)?, time(until)?),
        None => MetricFilter { version: Some(digest(of)?), ..all },
    };
    Ok(MetricFilter {
        workflow: Some(WorkflowId::parse(&sides.workflow)?),
        agent: sides.agent.as_deref().map(AgentId::parse).transpose()?,
        ..filter
    })
}

fn compare(sides: &Sides, place: &Place, out: Output) -> Result<(), CliError> {
    let answer = match place {
        Place::Here(data) => {
            let now = data.authority.metrics_span(1).until;
            let (before, after) =
                (side(&sides.before, sides, now)?, side(&sides.after, sides, now)?);
            data.authority.check_names(None, &Named::from(&before))?;
            data.authority.metrics_compare(&before, &after, sides.confidence)?.to_json()
        }
        Place::At(login) => {
            let query = query(&[
                ("workflow", Some(sides.workflow.clone())),
                ("agent", sides.agent.clone()),
                ("baseline", Some(sides.before.clone())),
                ("changed", Some(sides.after.clone())),
                ("confidence", Some(sides.confidence.to_string())),
            ]);
            Place::get(login, &format!("/metrics/compare?{query}"))?
        }
    };
    let none = Object::new();
    let measures = object(&answer, "measures").unwrap_or(&none);
    let mut rows = Vec::new();
    for (name, of) in measures.iter() {
        let Some(of) = of.as_object() else { continue };
        let value = |side: &str| {
            object(of, side).map_or_else(
                || "no data".to_owned(),
                |of| {
                    let value = text(of, "value");
                    if value.is_empty() { "no data".to_owned() } else { value.to_owned() }
                },
            )
        };
        let verdict = match (text(of, "verdict"), number(of, "more")) {
            ("cannot-tell", 0) => "cannot tell".to_owned(),
            ("cannot-tell", more) => format!("cannot tell (needs about {more} more)"),
            (verdict, _) => verdict.to_owned(),
        };
        let difference = format!("{}{}", text(of, "difference"), interval(of));
        rows.push(vec![name.to_owned(), value("before"), value("after"), difference, verdict]);
    }
    let shown = table(&["measure", "before", "after", "difference", "verdict"], &rows);
    out.result(answer, shown);
    out.next(&["bailiwick failure trends"]);
    Ok(())
}

fn unused(
    workflow: Option<String>,
    since: &str,
    place: &Place,
    out: Output,
) -> Result<(), CliError> {
    let answer = match place {
        Place::Here(data) => {
            let span = data.authority.metrics_span(span(since)?);
            let workflow = workflow.as_deref().map(WorkflowId::parse).transpose()?;
            let filter = MetricFilter { workflow, ..span };
            data.authority.check_names(None, &Named::from(&filter))?;
            let found = data.authority.metrics_unused(&filter)?;
            let tools: Vec<Json> = found.iter().map(|unused| unused.to_json().into()).collect();
            Object::new().with("tools", tools)
        }
        Place::At(login) => {
            let query = query(&[("workflow", workflow), ("hours", Some(hours(since)?))]);
            Place::get(login, &format!("/metrics/unused?{query}"))?
        }
    };
    let tools = answer.member("tools").and_then(Json::as_array).unwrap_or_default();
    let rows: Vec<Vec<String>> = tools
        .iter()
        .filter_map(Json::as_object)
        .map(|o| {
            let named = o.member("shorthands").and_then(Json::as_array).unwrap_or_default();
            let named: Vec<&str> = named.iter().filter_map(Json::as_str).collect();
            let advice = match number(o, "used") {
                0 => "never used: grant without it",
                _ => "",
            };
            vec![
                one_line(text(o, "tool")).to_string(),
                number(o, "granted").to_string(),
                number(o, "used").to_string(),
                one_line(&named.join(" ")).to_string(),
                advice.to_owned(),
            ]
        })
        .collect();
    let shown = match rows.as_slice() {
        [] => "no grant ended in that time".to_owned(),
        rows => table(&["tool", "granted", "used", "shorthands", ""], rows),
    };
    out.result(answer, shown);
    Ok(())
}
