//! The stop button over the API.

use bailiwick_core::approval::Signed;
use bailiwick_core::ids::StopId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::stop::StopTarget;
use bailiwick_core::time::Timestamp;

use super::{Answer, Call, malformed, me};
use crate::http::problem::Problem;
use crate::refusal::Refusal;
use crate::{Login, Sayer};

/// Stops in one answer at most.
const MOST: u32 = 200;

fn problem(refusal: &Refusal) -> Problem {
    Problem::from(refusal)
}

fn id(call: &Call<'_>) -> Result<StopId, Problem> {
    let text = call.path("id");
    StopId::parse(text).map_err(|_| problem(&Refusal::unknown("stop", text)))
}

pub(super) fn list(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let all = match call.query("all")? {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(malformed("`all` is neither `true` nor `false`")),
    };
    let found = call.authority.stops_for(&me(login)?.person, all, MOST);
    let found = found.map_err(|e| problem(&e))?;
    let found: Vec<Json> = found.iter().map(|listed| listed.to_json().into()).collect();
    Ok(Answer::ok(Object::new().with("stops", found)))
}

pub(super) fn show(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let person = &me(login)?.person;
    let shown = call.authority.stop_shown(Some(person), &id(call)?).map_err(|e| problem(&e))?;
    Ok(Answer::ok(shown.to_json()))
}

pub(super) fn stop(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let target = StopTarget::parse(call.required("target")?);
    let target = target.map_err(|e| malformed(format!("`target`: {e}")))?;
    let reason = call.required("reason")?;
    let made = call.authority.stop_in_session(&me(login)?.person, &target, reason);
    let made = made.map_err(|e| problem(&e))?;
    let body = Object::new()
        .with("stop", &made.stop)
        .with("target", &target)
        .with("changed", made.changed);
    Ok(Answer::created(body))
}

pub(super) fn resume(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let expires = call.body.member("expires_at").and_then(Json::as_number);
    let expires = expires.and_then(|n| n.as_plain_integer());
    let expires = expires.ok_or_else(|| malformed("`expires_at` is no whole number of seconds"))?;
    let signed = Signed::from_text(call.required("signed")?);
    let signed = signed.map_err(|e| problem(&e.into()))?;
    let sayer = Sayer::Person(me(login)?.person.principal.alias.clone());
    let expires = Timestamp::from_seconds(expires);
    let done = call.authority.resume(sayer, &id(call)?, expires, signed);
    let done = done.map_err(|e| problem(&e))?;
    Ok(Answer::ok(done.to_json().with("stop", call.path("id"))))
}
