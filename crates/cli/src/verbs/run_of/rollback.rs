//! `run rollback`.

use std::process::ExitCode;

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{ActionId, RunId, ToolId};
use bailiwick_core::json::{Json, Object};

use super::caller::{Caller, Made};
use super::{LOOKS, PAUSE};
use crate::args::RunCallsArgs;
use crate::error::{CliError, ended};
use crate::output::{Output, one_line};
use crate::verbs::place::{Place, text};

impl Place {
    fn rollback_plan(&self, id: &RunId) -> Result<Vec<Json>, CliError> {
        match self {
            Self::Here(data) => {
                let plan = data.authority.rollback_plan(None, id)?;
                Ok(plan.iter().map(|undo| undo.to_json().into()).collect())
            }
            Self::At(login) => Self::list_of(login, &format!("/runs/{id}/rollback"), "plan"),
        }
    }

    fn start_rollback(
        &self,
        id: &RunId,
        step: &str,
        undoes: Option<&ActionId>,
        root: Digest,
    ) -> Result<Object, CliError> {
        match self {
            Self::Here(data) => {
                let undo = data.authority.start_rollback(None, id, (step, undoes), Some(root))?;
                Ok(undo.to_json())
            }
            Self::At(login) => {
                let mut body = Object::new().with("step", step).with("root", root);
                if let Some(undoes) = undoes {
                    body.insert("undoes", undoes);
                }
                Self::post(login, &format!("/runs/{id}/rollback"), body)
            }
        }
    }
}

pub(super) fn run(
    args: &RunCallsArgs,
    step: Option<&str>,
    place: &Place,
    out: Output,
) -> Result<ExitCode, CliError> {
    let id = RunId::parse(&args.id)?;
    let caller = Caller::of(args, out)?;
    let plan = place.rollback_plan(&id)?;
    let mut wanted: Vec<&Object> = plan.iter().filter_map(Json::as_object).collect();
    if let Some(step) = step {
        wanted.retain(|undo| text(undo, "step") == step);
        if wanted.is_empty() {
            return Err(CliError::not_found(
                "rollback-step-unknown",
                format!("the run's rollback plan has no step `{step}`"),
                "see the plan with `bailiwick run rollback ID`",
            ));
        }
    }
    let Some(caller) = caller else {
        let is_done = wanted.iter().all(|undo| text(undo, "state") == "done");
        let lines: Vec<String> = wanted.iter().map(|undo| shown(undo)).collect();
        let text = match lines.is_empty() {
            true => "the run did nothing that its rollback plan undoes".to_owned(),
            false => lines.join("\n"),
        };
        let undos: Vec<Json> = wanted.into_iter().cloned().map(Json::from).collect();
        out.result(Object::new().with("run", &id).with("plan", undos), text);
        let next = match is_done {
            true => format!("bailiwick run report {id}"),
            false => format!(
                "bailiwick run rollback {id} --chain CHAIN --key KEY   # of a delegation for these tools"
            ),
        };
        out.next(&[&next]);
        return Ok(ExitCode::SUCCESS);
    };
    let runtime = crate::verbs::serve::runtime()?;
    let (mut done, mut lines, mut stopped) = (Vec::new(), Vec::new(), false);
    for undo in wanted {
        if stopped {
            lines.push(format!("not tried: {}", name(undo)));
            done.push(undo.clone().with("outcome", "not_tried").into());
            continue;
        }
        let (outcome, why) = runtime.block_on(one(place, &id, &caller, undo))?;
        stopped = !["done", "done_before", "by_hand"].contains(&outcome);
        let why_told = why.as_deref().map(|why| format!(": {}", one_line(why)));
        lines.push(format!(
            "{}: {}{}",
            outcome.replace('_', " "),
            name(undo),
            why_told.unwrap_or_default()
        ));
        done.push(Json::from(undo.clone().with("outcome", outcome).with("why", why)));
    }
    if stopped {
        lines.push(
            "a step failed, and those after it were not tried; call again when its cause is mended"
                .to_owned(),
        );
    }
    out.result(
        Object::new().with("run", &id).with("stopped", stopped).with("plan", done),
        lines.join("\n"),
    );
    out.next(&[&format!("bailiwick run report {id}")]);
    Ok(ended(!stopped))
}

/// Starts one thing of the plan and does it; gives what became of it, and why.
async fn one(
    place: &Place,
    id: &RunId,
    caller: &Caller,
    undo: &Object,
) -> Result<(&'static str, Option<String>), CliError> {
    let fault = text(undo, "fault");
    if !fault.is_empty() {
        return Ok(("failed", Some(fault.to_owned())));
    }
    let undoes = match text(undo, "undoes") {
        "" => None,
        undoes => Some(ActionId::parse(undoes)?),
    };
    if text(undo, "state") == "done" {
        return Ok(("done_before", None));
    }
    // What somebody did a moment ago is over before its outcome is in the ledger.
    let start = || place.start_rollback(id, text(undo, "step"), undoes.as_ref(), caller.root());
    let mut started = start();
    for _ in 0..LOOKS {
        match &started {
            Err(e) if e.code == "rollback-started" => {
                tokio::time::sleep(PAUSE).await;
                started = start();
            }
            _ => break,
        }
    }
    let started = match started {
        Err(e) if e.code == "rollback-started" => {
            let why = format!("{} [{}]; {}", e.message, e.code, e.remedy);
            return Ok(("started_by_others", Some(why)));
        }
        started => started?,
    };
    if started.member("tool").is_none() {
        return Ok(("by_hand", Some(text(undo, "says").to_owned())));
    }
    if text(&started, "state") == "done" {
        return Ok(("done_before", None));
    }
    let tool = ToolId::parse(text(&started, "tool"))?;
    let arguments = started.member("arguments").and_then(Json::as_object).cloned();
    match caller.call(&tool, &arguments.unwrap_or_default()).await? {
        Made::Well { action, .. } => Ok(("done", Some(format!("call {action}")))),
        Made::Not { what, why } => Ok((what, Some(why))),
    }
}

fn name(undo: &Object) -> String {
    let of = match text(undo, "undoes") {
        "" => String::new(),
        action => format!(" of call {action}"),
    };
    format!("`{}`{of}", one_line(text(undo, "step")))
}

fn shown(undo: &Object) -> String {
    let how = match (text(undo, "tool"), text(undo, "fault")) {
        ("", _) => "by hand".to_owned(),
        (tool, "") => format!("by {tool}"),
        (tool, fault) => format!("by {tool}, but {fault}"),
    };
    let (state, says) = (text(undo, "state"), one_line(text(undo, "says")));
    format!("{state}: {}, {how}\n  {says}", name(undo))
}
