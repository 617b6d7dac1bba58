//! Calls that wait for people, and what signs their verdicts.

use bailiwick_core::approval::{Signed, Verdict};
use bailiwick_core::ids::ApprovalId;
use bailiwick_core::jose::VerifyingKey;
use bailiwick_core::json::{Json, Object};

use super::{Answer, Call, malformed, me};
use crate::http::problem::Problem;
use crate::refusal::Refusal;
use crate::{Denying, Login, Sayer};

fn problem(refusal: &Refusal) -> Problem {
    Problem::from(refusal)
}

fn id(call: &Call<'_>) -> Result<ApprovalId, Problem> {
    let text = call.path("id");
    ApprovalId::parse(text).map_err(|_| problem(&Refusal::unknown("approval", text)))
}

pub(super) fn show(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let person = &me(login)?.person;
    let shown = call.authority.approval_read(Some(person), &id(call)?).map_err(|e| problem(&e))?;
    Ok(Answer::ok(shown.to_json()))
}

pub(super) fn say(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let verdict = Verdict::parse(call.required("verdict")?);
    let verdict = verdict.ok_or_else(|| malformed("`verdict` is neither `approve` nor `deny`"))?;
    let signed = Signed::from_text(call.required("signed")?);
    let signed = signed.map_err(|e| problem(&e.into()))?;
    let note = call.optional("note")?.map(str::to_owned);
    let sayer = Sayer::Person(me(login)?.person.principal.alias.clone());
    let revoke = match call.body.member("revoke") {
        None => false,
        Some(revoke) => revoke.as_bool().ok_or_else(|| malformed("`revoke` is no boolean"))?,
    };
    let suggestion = call.body.member("suggestion").cloned();
    let id = id(call)?;
    let state = match verdict {
        Verdict::Deny => {
            call.authority.approval_deny(sayer, &id, signed, Denying { note, suggestion, revoke })
        }
        Verdict::Approve if revoke || suggestion.is_some() => {
            return Err(malformed("`suggestion` and `revoke` come with a denial"));
        }
        Verdict::Approve => call.authority.approval_say(sayer, &id, verdict, signed, note),
    };
    let state = state.map_err(|e| problem(&e))?;
    Ok(Answer::ok(Object::new().with("approval", call.path("id")).with("state", state.as_str())))
}

pub(super) fn keys(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let keys = call.authority.approver_keys(&me(login)?.person.id).map_err(|e| problem(&e))?;
    let keys: Vec<Json> = keys.iter().map(|key| key.to_json().into()).collect();
    Ok(Answer::ok(Object::new().with("keys", keys)))
}

pub(super) fn add_key(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let jwk = call.body.member("jwk").and_then(Json::as_object);
    let jwk = jwk.ok_or_else(|| malformed("`jwk` is missing"))?;
    let key = VerifyingKey::from_jwk(jwk).map_err(|e| malformed(format!("`jwk`: {e}")))?;
    let made = call.authority.approver_key_add(&me(login)?.person.id, &key, call.required("name")?);
    let made = made.map_err(|e| problem(&e))?;
    let body = Object::new()
        .with("credential", made.id.as_str())
        .with("trusted", made.trusted.map(|at| at.to_string()));
    Ok(Answer::created(body))
}

pub(super) fn vouch(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let session = &me(login)?.person.session;
    call.authority.credential_vouch(session, call.path("id")).map_err(|e| problem(&e))?;
    Ok(Answer::done())
}
