//! `runs`: what agents attempted, by what it counts as complete, what people say.

use bailiwick_authority::rules::runs::Reviewing;
use bailiwick_authority::{Granter, Named};
use bailiwick_core::ids::RunId;
use bailiwick_core::json::{Json, Object};
use bailiwick_store::{ReviewVerdict, RunFilter};

use super::place::{Place, text};
use crate::args::{ReviewArgs, RunsListArgs, RunsVerb, Verdict};
use crate::error::CliError;
use crate::keyfile::PrincipalKey;
use crate::output::{Output, one_line};
use crate::table::table;
use crate::web;

impl Place {
    fn runs(&self, args: &RunsListArgs) -> Result<Object, CliError> {
        match self {
            Self::Here(data) => {
                let filter = RunFilter {
                    task: args.task.clone(),
                    workflow: args.workflow.clone(),
                    agent: args.agent.clone(),
                    state: args.state.and_then(|state| state.as_str().parse().ok()),
                    limit: args.limit,
                    ..RunFilter::default()
                };
                data.authority.check_names(None, &Named::from(&filter))?;
                Ok(data.authority.runs(None, &filter)?.to_json())
            }
            Self::At(login) => {
                let mut query = url::form_urlencoded::Serializer::new(String::new());
                query.append_pair("limit", &args.limit.to_string());
                let texts =
                    [("task", &args.task), ("workflow", &args.workflow), ("agent", &args.agent)];
                for (name, value) in texts {
                    if let Some(value) = value {
                        query.append_pair(name, value);
                    }
                }
                if let Some(state) = args.state {
                    query.append_pair("state", state.as_str());
                }
                Self::get(login, &format!("/runs?{}", query.finish()))
            }
        }
    }

    fn run(&self, id: &RunId) -> Result<Object, CliError> {
        match self {
            Self::Here(data) => Ok(data.authority.run_read(None, id)?.to_json()),
            Self::At(login) => Self::get(login, &format!("/runs/{id}")),
        }
    }
}

pub(super) fn run(verb: &RunsVerb, place: &Place, out: Output) -> Result<(), CliError> {
    match verb {
        RunsVerb::List(args) => list(place, args, out),
        RunsVerb::Show { id } => show(place, &RunId::parse(id)?, out),
        RunsVerb::Review(args) => review(place, args, out),
    }
}

fn items<'o>(object: &'o Object, name: &str) -> impl Iterator<Item = &'o Object> {
    let list = object.member(name).and_then(Json::as_array).unwrap_or_default();
    list.iter().filter_map(Json::as_object)
}

fn plain(object: &Object, name: &str) -> String {
    match object.member(name) {
        Some(Json::String(text)) => one_line(text).to_string(),
        Some(Json::Bool(true)) => "yes".to_owned(),
        Some(Json::Bool(false)) => "no".to_owned(),
        Some(Json::Null) | None => "–".to_owned(),
        Some(other) => other.canonical(),
    }
}

fn list(place: &Place, args: &RunsListArgs, out: Output) -> Result<(), CliError> {
    let found = place.runs(args)?;
    let columns = ["run", "agent", "workflow", "state", "complete", "review", "started"];
    let rows: Vec<Vec<String>> = items(&found, "runs")
        .map(|run| columns.iter().map(|name| plain(run, name)).collect())
        .collect();
    let shown = match rows.as_slice() {
        [] => "no runs: an agent begins one with `run_begin`".to_owned(),
        rows => table(&columns, rows),
    };
    let first = items(&found, "runs").next().map(|run| text(run, "run").to_owned());
    out.result(found, shown);
    if let Some(id) = first {
        out.next(&[&format!("bailiwick runs show {id}")]);
    }
    Ok(())
}

/// In plain words, control characters escaped.
fn described(run: &Object) -> String {
    let of = |name: &str| plain(run, name);
    let mut words = format!(
        "{agent} attempts, for {principal} (attempt {attempt})\n  goal       {goal}\n  workflow   {workflow}\n  task       {task}\n  state      {state}\n  started    {started}",
        agent = of("agent"),
        principal = of("principal"),
        attempt = of("attempt"),
        goal = of("goal"),
        workflow = of("workflow"),
        task = of("task"),
        state = of("state"),
        started = of("started"),
    );
    if run.member("ended").is_some() {
        words.push_str(&format!("\n  ended      {}", of("ended")));
    }
    words.push_str(&format!(
        "\n  complete   {}\n  context    {} items, {} undeclared",
        of("complete"),
        of("items"),
        of("undeclared")
    ));
    let reasons = run.member("reasons").and_then(Json::as_array).unwrap_or_default();
    for reason in reasons.iter().filter_map(Json::as_str) {
        words.push_str(&format!("\n    {}", one_line(reason)));
    }
    for calls in items(run, "calls") {
        let tool = match text(calls, "tool") {
            "" => "unnamed".to_owned(),
            tool => one_line(tool).to_string(),
        };
        let why = match text(calls, "reason") {
            "" => String::new(),
            reason => format!(" ({})", one_line(reason)),
        };
        words.push_str(&format!(
            "\n  calls      {} × {tool}: {}{why}",
            plain(calls, "calls"),
            plain(calls, "decision"),
        ));
    }
    for review in items(run, "reviews") {
        words.push_str(&format!(
            "\n  review     {} by {}: {} {}",
            plain(review, "verdict"),
            plain(review, "reviewer"),
            one_line(text(review, "what")),
            one_line(text(review, "why")),
        ));
    }
    words
}

fn show(place: &Place, id: &RunId, out: Output) -> Result<(), CliError> {
    let shown = place.run(id)?;
    let words = described(&shown);
    let ended = text(&shown, "state") != "open";
    out.result(shown, words);
    if ended {
        out.next(&[
            &format!("bailiwick runs review {id} --verdict accepted --key FILE"),
            &format!(
                "bailiwick runs review {id} --verdict corrected --what '…' --why '…' --key FILE   # or rejected"
            ),
            &format!("bailiwick run rollback {id}   # what its workflow's plan undoes"),
            &format!("bailiwick run report {id}"),
        ]);
    }
    Ok(())
}

fn reviewing(args: &ReviewArgs) -> Reviewing {
    Reviewing {
        verdict: match args.verdict {
            Verdict::Accepted => ReviewVerdict::Accepted,
            Verdict::Corrected => ReviewVerdict::Corrected,
            Verdict::Rejected => ReviewVerdict::Rejected,
        },
        criteria: (!args.criteria.is_empty()).then(|| args.criteria.clone()),
        what: args.what.clone(),
        why: args.why.clone(),
    }
}

fn review(place: &Place, args: &ReviewArgs, out: Output) -> Result<(), CliError> {
    let (id, said) = (RunId::parse(&args.id)?, reviewing(args));
    let complete = match (place, &args.key) {
        (Place::Here(data), Some(key)) => {
            // SECURITY: known by the key that signs, not by the rights to the data dir.
            let key = PrincipalKey::read(key)?;
            let before = data.authority.reviews_of(&id)?;
            let signed = said.sign((&id, before), &*key.key).map_err(web::signing)?;
            let granter = Granter::Key(key.id);
            data.authority.run_review(&granter, &id, &said, Some(&signed))?
        }
        (Place::Here(_), None) => {
            return Err(CliError::usage(
                "argument-missing",
                "who reviews?",
                "pass --key FILE, or sign in and use --at",
            ));
        }
        (Place::At(login), _) => {
            let mut body = Object::new().with("verdict", said.verdict.as_str());
            if let Some(criteria) = &said.criteria {
                let ids: Vec<Json> = criteria.iter().map(|id| Json::from(id.as_str())).collect();
                body.insert("criteria", ids);
            }
            for (name, words) in [("what", &said.what), ("why", &said.why)] {
                if let Some(words) = words {
                    body.insert(name, words.as_str());
                }
            }
            let answer = Place::post(login, &format!("/runs/{id}/reviews"), body)?;
            answer.member("complete").and_then(Json::as_bool).unwrap_or(false)
        }
    };
    let verdict = said.verdict.as_str();
    let counts = if complete { "counts as complete" } else { "does not count as complete" };
    let object = Object::new().with("run", &id).with("review", verdict).with("complete", complete);
    out.result(object, format!("{verdict}: the run {counts}"));
    out.next(&[&format!("bailiwick runs show {id}")]);
    Ok(())
}
