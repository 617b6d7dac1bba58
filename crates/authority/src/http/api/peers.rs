//! Peers and handoffs over the API, for people.

use bailiwick_core::ids::TaskId;
use bailiwick_core::json::{Json, Object};

use super::{Answer, Call, me};
use crate::Login;
use crate::http::problem::Problem;
use crate::refusal::Refusal;

/// Handoffs in one answer at most.
const MOST: u32 = 200;

fn problem(refusal: &Refusal) -> Problem {
    Problem::from(refusal)
}

pub(super) fn list(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let task = call.query("task")?.map(|task| Call::read(task, TaskId::parse)).transpose()?;
    let found = call.authority.handoffs(Some(&me(login)?.person), task.as_ref(), MOST);
    let found = found.map_err(|e| problem(&e))?;
    let found: Vec<Json> = found.iter().map(|listed| listed.to_json().into()).collect();
    Ok(Answer::ok(Object::new().with("handoffs", found)))
}

pub(super) fn show(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let id = call.authority.handoff_named(call.path("id")).map_err(|e| problem(&e))?;
    let shown = call.authority.handoff_read(Some(&me(login)?.person), &id);
    Ok(Answer::ok(shown.map_err(|e| problem(&e))?.to_json()))
}

pub(super) fn peers(call: &Call<'_>, _: Option<&Login>) -> Result<Answer, Problem> {
    Ok(Answer::ok(call.authority.peers().map_err(|e| problem(&e))?.to_json()))
}
