//! `run check`.

use std::process::ExitCode;

use bailiwick_authority::Checked;
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{ActionId, RunId, ToolId};
use bailiwick_core::json::{Json, Object};

use super::caller::{Caller, Made};
use super::{LOOKS, PAUSE};
use crate::args::RunCallsArgs;
use crate::checks::check_now;
use crate::error::{CliError, ended};
use crate::output::{Output, one_line};
use crate::verbs::place::{Place, text};

impl Place {
    fn run_checks(&self, id: &RunId) -> Result<Object, CliError> {
        match self {
            Self::Here(data) => Ok(data.authority.run_checks(None, id)?.to_json()),
            Self::At(login) => Self::get(login, &format!("/runs/{id}/checks")),
        }
    }

    fn take_up(
        &self,
        id: &RunId,
        criterion: &str,
        action: &ActionId,
        result: &Json,
    ) -> Result<Object, CliError> {
        match self {
            Self::Here(data) => {
                let checked = Checked {
                    criterion: criterion.to_owned(),
                    action: action.clone(),
                    result: result.clone(),
                };
                Ok(data.authority.take_up_check(None, id, &checked)?.to_json())
            }
            Self::At(login) => {
                let body = Object::new()
                    .with("criterion", criterion)
                    .with("action", action)
                    .with("result", result.canonical());
                Self::post(login, &format!("/runs/{id}/checks"), body)
            }
        }
    }

    fn announce(
        &self,
        id: &RunId,
        criterion: &str,
        arguments: &Object,
        root: Digest,
    ) -> Result<(), CliError> {
        match self {
            Self::Here(data) => {
                Ok(data.authority.announce_check(None, id, criterion, (arguments, root))?)
            }
            Self::At(login) => {
                let body = Object::new()
                    .with("criterion", criterion)
                    .with("arguments", Json::from(arguments.clone()).canonical())
                    .with("root", root);
                Self::post(login, &format!("/runs/{id}/checks"), body).map(drop)
            }
        }
    }

    /// Has the named checks made: here at once, elsewhere soon.
    async fn named_checks(&self, id: &RunId) -> Result<Vec<Json>, CliError> {
        match self {
            Self::Here(data) => {
                let taken = check_now(data, id).await?;
                Ok(taken.iter().map(|taken| taken.to_json().into()).collect())
            }
            Self::At(login) => {
                let answer = Self::post(login, &format!("/runs/{id}/checks"), Object::new())?;
                if answer.member("queued").and_then(Json::as_bool) != Some(true) {
                    return Err(CliError::environment(
                        "checks-busy",
                        "the server has no room for more checks",
                        "try again in a minute",
                    ));
                }
                Ok(vec![answer.into()])
            }
        }
    }
}

/// The checks of one kind that are not met: those whose object has this member.
fn open<'o>(checks: &'o [Json], kind: &'o str) -> impl Iterator<Item = &'o Object> {
    let due = checks.iter().filter_map(Json::as_object);
    due.filter(move |check| check.member(kind).is_some() && text(check, "finding") != "met")
}

pub(super) fn run(args: &RunCallsArgs, place: &Place, out: Output) -> Result<ExitCode, CliError> {
    let id = RunId::parse(&args.id)?;
    let caller = Caller::of(args, out)?;
    let checks = place.run_checks(&id)?;
    let list = checks.member("checks").and_then(Json::as_array).unwrap_or_default().to_vec();
    let runtime = crate::verbs::serve::runtime()?;
    let (mut done, mut lines, mut needs_chain) = (Vec::new(), Vec::new(), false);
    for check in open(&list, "tool") {
        let Some(caller) = &caller else {
            needs_chain = true;
            lines.push(format!("open: `{}` by {}", text(check, "criterion"), text(check, "tool")));
            continue;
        };
        let made = runtime.block_on(one(place, &id, caller, check))?;
        lines.push(told(&made));
        done.push(Json::from(made));
    }
    if open(&list, "check").next().is_some() {
        let made = runtime.block_on(place.named_checks(&id))?;
        lines.extend(made.iter().filter_map(Json::as_object).map(told));
        done.extend(made);
    }
    let after = place.run_checks(&id)?;
    let complete = after.member("complete").and_then(Json::as_bool) == Some(true);
    let reasons = after.member("reasons").and_then(Json::as_array).unwrap_or_default();
    lines.push(
        if complete { "the run counts as complete" } else { "the run does not count as complete" }
            .to_owned(),
    );
    lines.extend(reasons.iter().filter_map(Json::as_str).map(|why| format!("  {}", one_line(why))));
    out.result(after.clone().with("made", done), lines.join("\n"));
    if needs_chain {
        out.next(&[
            &format!("bailiwick run check {id} --chain CHAIN --key KEY   # of a delegation by the workflow's owner, to another agent"),
        ]);
    } else {
        out.next(&[&format!("bailiwick run report {id}")]);
    }
    Ok(ended(complete))
}

/// Makes one tool check, and has it taken up.
async fn one(
    place: &Place,
    id: &RunId,
    caller: &Caller,
    check: &Object,
) -> Result<Object, CliError> {
    let criterion = text(check, "criterion");
    let told = Object::new().with("criterion", criterion).with("tool", text(check, "tool"));
    let Some(arguments) = check.member("arguments").and_then(Json::as_object) else {
        return Ok(told.with("verdict", "not_run").with("why", text(check, "fault")));
    };
    let tool = ToolId::parse(text(check, "tool"))?;
    // So that the gateway knows whose it is.
    if let Err(e) = place.announce(id, criterion, arguments, caller.root()) {
        return Ok(told.with("verdict", "not_run").with("code", e.code).with("why", e.message));
    }
    match caller.call(&tool, arguments).await? {
        Made::Not { what, why } => {
            Ok(told.with("verdict", "not_run").with("call", what).with("why", why))
        }
        Made::Well { action, result } => {
            let action = ActionId::parse(&action)?;
            // An answer is given before its outcome is in the ledger.
            let mut taken = place.take_up(id, criterion, &action, &result);
            for _ in 0..LOOKS {
                match &taken {
                    Err(e) if e.code == "check-shows-nothing" => {
                        tokio::time::sleep(PAUSE).await;
                        taken = place.take_up(id, criterion, &action, &result);
                    }
                    _ => break,
                }
            }
            match taken {
                Ok(taken) => Ok(taken.with("action", &action)),
                Err(e) => Ok(told
                    .with("verdict", "not_run")
                    .with("action", &action)
                    .with("code", e.code)
                    .with("why", e.message)),
            }
        }
    }
}

fn told(made: &Object) -> String {
    if made.member("queued").is_some() {
        return "the server makes the named checks now; ask again in a moment".to_owned();
    }
    let why = match text(made, "why") {
        "" => String::new(),
        why => format!(": {}", one_line(why)),
    };
    let verdict = text(made, "verdict").replace('_', " ");
    format!("checked: `{}` {verdict}{why}", one_line(text(made, "criterion")))
}
