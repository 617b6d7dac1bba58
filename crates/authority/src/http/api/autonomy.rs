//! How far workflows' agents may act without a person, over the API.

use bailiwick_core::approval::Signed;
use bailiwick_core::autonomy::Raise;
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::WorkflowId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;

use super::{Answer, Call, malformed, me};
use crate::http::problem::Problem;
use crate::refusal::Refusal;
use crate::{Login, Sayer};

fn problem(refusal: &Refusal) -> Problem {
    Problem::from(refusal)
}

fn id(call: &Call<'_>) -> Result<WorkflowId, Problem> {
    let text = call.path("id");
    WorkflowId::parse(text).map_err(|_| problem(&Refusal::unknown("workflow", text)))
}

pub(super) fn show(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let shown = call.authority.autonomy_for(&me(login)?.person, &id(call)?);
    Ok(Answer::ok(shown.map_err(|e| problem(&e))?))
}

pub(super) fn lower(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let to = call.required("level")?;
    let to = to.parse().map_err(|e| malformed(format!("`level`: {e}")))?;
    let (who, reason) = (&me(login)?.person, call.required("reason")?);
    let done = call.authority.lower_autonomy(Some(who), &id(call)?, to, reason);
    let level = done.map_err(|e| problem(&e))?;
    Ok(Answer::ok(state(call, level.as_str(), true)))
}

pub(super) fn raise(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let whole = |name: &str| {
        let number = call.body.member(name).and_then(Json::as_number);
        let number = number.and_then(|n| n.as_plain_integer());
        number.ok_or_else(|| malformed(format!("`{name}` is no whole number")))
    };
    let seconds = |name: &str| whole(name).map(Timestamp::from_seconds);
    let changes = u32::try_from(whole("changes")?);
    let digest = |name: &'static str| {
        let digest = Digest::from_text(call.required(name)?);
        digest.ok_or_else(|| malformed(format!("`{name}` is no digest")))
    };
    let workflow = id(call)?;
    let raise = Raise {
        workflow: workflow.clone(),
        version: digest("version")?,
        from: call.required("from")?.to_owned(),
        to: call.required("to")?.to_owned(),
        changes: changes.map_err(|_| malformed("`changes` is no count".to_owned()))?,
        figures: digest("figures")?,
        until: seconds("until")?,
        expires: seconds("expires_at")?,
    };
    let signed = Signed::from_text(call.required("signed")?);
    let signed = signed.map_err(|e| problem(&e.into()))?;
    let sayer = Sayer::Person(me(login)?.person.principal.alias.clone());
    let to = raise.to.clone();
    let raised = call.authority.raise_autonomy(sayer, &workflow, raise, signed);
    let raised = raised.map_err(|e| problem(&e))?;
    Ok(Answer::ok(state(call, &to, raised)))
}

fn state(call: &Call<'_>, level: &str, changed: bool) -> Object {
    Object::new().with("workflow", call.path("id")).with("level", level).with("changed", changed)
}
