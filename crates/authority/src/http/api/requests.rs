//! What agents ask for that they lack, and what people decide about it.

use bailiwick_core::ids::RequestId;
use bailiwick_core::json::{Json, Object};

use super::{Answer, Call, malformed, me};
use crate::http::problem::Problem;
use crate::refusal::Refusal;
use crate::rules::delegations::Prepared;
use crate::{Granter, Lesser, Login};

/// Requests in one answer at most.
const MOST: u32 = 200;

fn problem(refusal: &Refusal) -> Problem {
    Problem::from(refusal)
}

fn id(call: &Call<'_>) -> Result<RequestId, Problem> {
    let text = call.path("id");
    RequestId::parse(text).map_err(|_| problem(&Refusal::unknown("request", text)))
}

fn granter(login: Option<&Login>) -> Result<Granter, Problem> {
    Ok(Granter::Person(me(login)?.person.principal.alias.clone()))
}

pub(super) fn list(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let all = match call.query("all")? {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(malformed("`all` is neither `true` nor `false`")),
    };
    let found = call.authority.requests(Some(&me(login)?.person), all, MOST);
    let found = found.map_err(|e| problem(&e))?;
    let found: Vec<Json> = found.iter().map(|listed| listed.to_json().into()).collect();
    Ok(Answer::ok(Object::new().with("requests", found)))
}

pub(super) fn show(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let person = &me(login)?.person;
    let shown = call.authority.request_read(Some(person), &id(call)?).map_err(|e| problem(&e))?;
    Ok(Answer::ok(shown.to_json()))
}

pub(super) fn prepare(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let scope = match call.body.member("scope") {
        None => Some(Vec::new()),
        Some(Json::Array(list)) => list.iter().map(|s| s.as_str().map(str::to_owned)).collect(),
        Some(_) => None,
    };
    let scope = scope.ok_or_else(|| malformed("`scope` is no list of texts"))?;
    let seconds = match call.body.member("seconds") {
        None => None,
        Some(seconds) => {
            let number = seconds.as_number().and_then(|n| n.as_plain_integer());
            let number = number.and_then(|n| u64::try_from(n).ok());
            Some(number.ok_or_else(|| malformed("`seconds` is no number of seconds"))?)
        }
    };
    let (granter, lesser) = (granter(login)?, Lesser { scope, seconds });
    let prepared = call.authority.request_prepare(&granter, &id(call)?, &lesser);
    Ok(Answer::ok(prepared.map_err(|e| problem(&e))?.to_json()))
}

pub(super) fn grant(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let member = |name: &str| call.body.member(name).cloned().unwrap_or(Json::Null);
    let prepared =
        Object::new().with("statement", member("statement")).with("seal", member("seal"));
    let prepared = Prepared::from_json(&prepared.into()).map_err(|e| problem(&e.into()))?;
    let (statement, person) = (&prepared.statement, &me(login)?.person);
    // SECURITY: nobody brings somebody else's grant, and it answers this request.
    if statement.principal != person.id || statement.request.as_ref() != Some(&id(call)?) {
        return Err(problem(&Refusal::NotYours));
    }
    let granted = call.authority.request_grant(&prepared, call.required("signed")?);
    let granted = granted.map_err(|e| problem(&e))?;
    Ok(Answer::ok(Object::new().with("request", call.path("id")).with("grant", &granted)))
}

pub(super) fn refuse(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let (granter, id) = (granter(login)?, id(call)?);
    let refused = call.authority.request_refuse(&granter, &id, None, call.optional("note")?);
    refused.map_err(|e| problem(&e))?;
    Ok(Answer::done())
}
