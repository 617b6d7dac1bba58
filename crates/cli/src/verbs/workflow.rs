//! `workflow`: init, check, publish, diff, history, show, list.

use std::path::Path;
use std::process::ExitCode;

use bailiwick_core::ids::PrincipalId;
use bailiwick_core::json::{Json, Object};
use bailiwick_policy::Workflow;
use bailiwick_policy::grades::Level;
use bailiwick_policy::workflow::Problem;

use crate::args::WorkflowVerb;
use crate::datadir::DataDir;
use crate::error::{CliError, ended, listed};
use crate::keyfile;
use crate::output::Output;

mod diff;
mod history;
mod registered;
mod state;
mod template;

use super::named_checks;
use registered::Unregistered;
use state::State;

/// Reads a workflow file; all its problems make one error.
pub(super) fn read(path: &Path) -> Result<Workflow, CliError> {
    parse(&text(path)?, path)
}

fn text(path: &Path) -> Result<String, CliError> {
    String::from_utf8(keyfile::read(path)?).map_err(|_| {
        CliError::usage("workflow-not-utf8", "the file is not UTF-8", "save it as UTF-8")
    })
}

fn parse(text: &str, path: &Path) -> Result<Workflow, CliError> {
    Workflow::parse(text).map_err(|problems| invalid(path, "workflow", &problems))
}

/// A file with problems, each on a line with what to do about it. The error has
/// the first one's code.
pub(super) fn invalid(path: &Path, what: &str, problems: &[Problem]) -> CliError {
    let code = problems.first().map_or("workflow-malformed", Problem::code);
    let lines = listed(problems, code);
    CliError::usage(
        code,
        format!("`{}` is no valid {what}:\n  {lines}", path.display()),
        "mend the file and check it again",
    )
}

pub(super) fn run(
    verb: WorkflowVerb,
    dir: &Path,
    logins: Option<&Path>,
    out: Output,
) -> Result<ExitCode, CliError> {
    match verb {
        WorkflowVerb::Init(args) => template::run(&args, dir, logins, out)?,
        WorkflowVerb::Check { file, require } => return check(&file, require, dir, out),
        WorkflowVerb::Publish { file, author } => {
            publish(&file, author.as_deref(), dir, out)?;
        }
        WorkflowVerb::Diff { what, versions } => diff::run(&what, &versions, dir, out)?,
        WorkflowVerb::History { name } => history::history(&name, dir, out)?,
        WorkflowVerb::Show { name, digest } => {
            history::show(&name, digest.as_deref(), dir, out)?;
        }
        WorkflowVerb::List => DataDir::open(dir)?.list_workflows(out)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn check(
    file: &Path,
    require: Option<Level>,
    dir: &Path,
    out: Output,
) -> Result<ExitCode, CliError> {
    let w = read(file)?;
    let state = State::of(&w);
    let unregistered = match DataDir::is_there(dir) {
        true => Some(Unregistered::of(&w, &DataDir::open(dir)?)?),
        false => None,
    };
    let holds = require.is_none_or(|level| state.supports >= level);
    let shorthands: Vec<Json> = w.shorthands.iter().map(|s| Json::from(s.template())).collect();
    let object = Object::new()
        .with("workflow", &w.id)
        .with("digest", w.digest())
        .with("owner", &w.owner)
        .with("shorthands", shorthands);
    let mut object = state.insert_into(object);
    object.insert("unregistered", unregistered.as_ref().map(Unregistered::to_json));
    let names: Vec<&str> = w.shorthands.iter().map(|s| s.template()).collect();
    let mut text = format!(
        "workflow {} is valid\n  digest      {}\n  owner       {}\n{}\n  shorthands  {}{}",
        w.id,
        w.digest(),
        w.owner,
        state.levels(),
        names.join(", "),
        state.gaps(),
    );
    if let Some(level) = require {
        object = object.with("required", level).with("holds", holds);
        let word = if holds { "carries" } else { "does not carry" };
        text.push_str(&format!("\nits checklist {word} level {level}"));
    }
    let unregistered = unregistered.unwrap_or_default();
    text.push_str(&unregistered.told());
    out.result(object, text);
    let file = file.display();
    let mut steps = unregistered.steps();
    if state.capped.is_some() || !holds {
        steps.extend([
            "bailiwick workflow init   # each member of the checklist, with an example".to_owned(),
            format!("bailiwick workflow check '{file}'   # once they stand in the file"),
        ]);
    } else {
        steps.extend([
            format!("bailiwick workflow diff '{file}'   # if a version is published"),
            format!("bailiwick workflow publish '{file}'"),
        ]);
    }
    out.next(&steps.iter().map(String::as_str).collect::<Vec<_>>());
    Ok(ended(holds))
}

fn publish(file: &Path, author: Option<&str>, dir: &Path, out: Output) -> Result<(), CliError> {
    let author = author.map(PrincipalId::parse).transpose()?;
    let text = text(file)?;
    let workflow = parse(&text, file)?;
    let state = State::of(&workflow);
    let data = DataDir::open(dir)?;
    let published = data.authority.workflow_publish_by(&text, author.as_ref())?;
    let id = &published.id;
    let shown = data.authority.autonomy(id)?;
    let (level, why) = (shown.level, shown.why());
    let alike = data.authority.lowered_alike(&workflow)?;
    let object = Object::new()
        .with("workflow", id)
        .with("digest", published.digest)
        .with("changed", published.changed)
        .with("in_force", level)
        .with("why", why.as_str())
        .with("lowered_alike", alike.iter().map(|(id, _)| Json::from(id)).collect::<Vec<_>>());
    let mut said = if published.changed {
        format!("published workflow {id} ({})", published.digest)
    } else {
        format!("workflow {id} is this version already")
    };
    said.push_str(&format!("\n  level       {}\n  in force    {level}: {why}", state.declared));
    if let Some(capped) = &state.capped {
        said.push_str(&format!("\n  {capped}"));
    }
    let unknown = named_checks::unknown(&workflow, &data.config);
    let unknown: Vec<Json> = unknown.into_iter().map(Json::from).collect();
    let object = match unknown.is_empty() {
        true => object,
        false => object.with("checks_not_configured", unknown),
    };
    out.result(state.insert_into(object), said);
    if let Some(missing) = named_checks::missing(&workflow, &data.config) {
        out.warn(&missing);
    }
    for (other, level) in &alike {
        out.note(&format!(
            "agents of {id} have the same tools under workflow {other}, which was lowered to `{level}`: a new workflow is not bound by that"
        ));
    }
    let unregistered = Unregistered::of(&workflow, &data)?;
    let mut steps: Vec<String> = Vec::new();
    if state.capped.is_some() {
        steps.push(format!("bailiwick workflow check '{}'   # why it is capped", file.display()));
    } else if level < state.permitted {
        steps.push(format!("bailiwick autonomy show {id}   # what raises it"));
    }
    steps.extend(unregistered.steps());
    if unregistered.tool_servers.is_empty() {
        let agent = workflow.agents.first().map_or_else(String::new, ToString::to_string);
        let scope = workflow.shorthands.first().map_or("SCOPE", |s| s.template());
        steps.push(format!(
            "bailiwick delegate --workflow {id} --agent {agent} --scope '{scope}' --purpose WHY --key FILE"
        ));
    }
    out.next(&steps.iter().map(String::as_str).collect::<Vec<_>>());
    Ok(())
}
