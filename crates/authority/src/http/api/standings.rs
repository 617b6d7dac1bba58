//! Standing approvals, and approvals of many calls at once.

use bailiwick_core::approval::standing::{Terms, TermsError};
use bailiwick_core::approval::{Signed, Verdict};
use bailiwick_core::ids::{ApprovalId, StandingId};
use bailiwick_core::json::{Json, Object};

use super::{Answer, Call, malformed, me};
use crate::http::problem::Problem;
use crate::refusal::Refusal;
use crate::{Login, Sayer};

/// Standing approvals in one answer at most.
const MOST: u32 = 200;

fn problem(refusal: &Refusal) -> Problem {
    Problem::from(refusal)
}

fn id(call: &Call<'_>) -> Result<StandingId, Problem> {
    let text = call.path("id");
    StandingId::parse(text).map_err(|_| problem(&Refusal::unknown("standing approval", text)))
}

fn signed(call: &Call<'_>) -> Result<Signed, Problem> {
    Signed::from_text(call.required("signed")?).map_err(|e| problem(&e.into()))
}

pub(super) fn list(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let all = match call.query("all")? {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(malformed("`all` is neither `true` nor `false`")),
    };
    let found = call.authority.standings(Some(&me(login)?.person), all, MOST);
    let found = found.map_err(|e| problem(&e))?;
    let found: Vec<Json> = found.iter().map(|shown| shown.to_json().into()).collect();
    Ok(Answer::ok(Object::new().with("standings", found)))
}

pub(super) fn show(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let shown = call.authority.standing(Some(&me(login)?.person), &id(call)?);
    Ok(Answer::ok(shown.map_err(|e| problem(&e))?.to_json()))
}

pub(super) fn approve(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let text = call.path("id");
    let asked = ApprovalId::parse(text);
    let asked = asked.map_err(|_| problem(&Refusal::unknown("approval", text)))?;
    let terms = call.body.member("terms").ok_or_else(|| malformed("`terms` is missing"))?;
    let terms = Terms::from_json(terms).map_err(|e: TermsError| problem(&e.into()))?;
    let (standing, signed) = (terms.id.clone(), signed(call)?);
    let note = call.optional("note")?.map(str::to_owned);
    let sayer = Sayer::Person(me(login)?.person.principal.alias.clone());
    let state = call.authority.standing_approve(sayer, &asked, terms, signed, note);
    let state = state.map_err(|e| problem(&e))?;
    Ok(Answer::ok(Object::new().with("standing", &standing).with("state", state)))
}

pub(super) fn revoke(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let (person, reason) = (&me(login)?.person, call.required("reason")?);
    let revoked = call.authority.standing_revoke(Some(person), &id(call)?, reason);
    revoked.map_err(|e| problem(&e))?;
    Ok(Answer::done())
}

pub(super) fn batch(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let listed = call.body.member("approvals").and_then(Json::as_array);
    let listed = listed.ok_or_else(|| malformed("`approvals` is missing"))?;
    let mut ids = Vec::with_capacity(listed.len());
    for text in listed {
        let text = text.as_str().ok_or_else(|| malformed("`approvals` holds no text"))?;
        let id = ApprovalId::parse(text);
        ids.push(id.map_err(|_| problem(&Refusal::unknown("approval", text)))?);
    }
    let signed = signed(call)?;
    let note = call.optional("note")?.map(str::to_owned);
    let sayer = Sayer::Person(me(login)?.person.principal.alias.clone());
    let states = call.authority.approvals_say(sayer, &ids, Verdict::Approve, signed, note);
    let states = states.map_err(|e| problem(&e))?;
    let decided = ids.iter().zip(states).map(|(id, state)| -> Json {
        Object::new().with("approval", id).with("state", state.as_str()).into()
    });
    Ok(Answer::ok(Object::new().with("approvals", decided.collect::<Vec<_>>())))
}
