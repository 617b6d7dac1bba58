//! Checks of runs, their undoing, and their reports.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{ActionId, RunId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;

use super::{Answer, Call, malformed, me};
use crate::http::problem::Problem;
use crate::refusal::Refusal;
use crate::{Checked, Login};

/// What makes the checks that a server's configuration names.
pub trait NamedChecks: Send + Sync {
    /// Has those of a run made soon; whether there was room for it.
    fn ask(&self, run: RunId) -> bool;
}

/// Where no check is configured.
pub(super) struct NoChecks;

impl NamedChecks for NoChecks {
    fn ask(&self, _: RunId) -> bool {
        false
    }
}

fn problem(refusal: &Refusal) -> Problem {
    Problem::from(refusal)
}

fn id(call: &Call<'_>) -> Result<RunId, Problem> {
    let text = call.path("id");
    RunId::parse(text).map_err(|_| problem(&Refusal::unknown("run", text)))
}

fn action(text: &str) -> Result<ActionId, Problem> {
    ActionId::parse(text).map_err(|_| problem(&Refusal::unknown("action", text)))
}

/// The delegation by which a call is made: the token hash of its root.
fn root(call: &Call<'_>) -> Result<Option<Digest>, Problem> {
    let Some(text) = call.optional("root")? else { return Ok(None) };
    let root = Digest::from_text(text);
    root.map(Some).ok_or_else(|| malformed("`root` is no SHA-256, base64url"))
}

pub(super) fn list(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let person = &me(login)?.person;
    let checks = call.authority.run_checks(Some(person), &id(call)?);
    Ok(Answer::ok(checks.map_err(|e| problem(&e))?.to_json()))
}

pub(super) fn make(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let (person, id) = (&me(login)?.person, id(call)?);
    if let Some(arguments) = call.optional("arguments")? {
        let arguments = Json::parse(arguments.as_bytes(), &JsonLimits::DEFAULT);
        let Ok(Json::Object(arguments)) = arguments else {
            return Err(malformed("`arguments` is no JSON text of an object"));
        };
        let root = root(call)?.ok_or_else(|| malformed("`root` is missing"))?;
        let (authority, criterion) = (call.authority.by(person), call.required("criterion")?);
        let announced = authority.announce_check(Some(person), &id, criterion, (&arguments, root));
        announced.map_err(|e| problem(&e))?;
        return Ok(Answer::ok(Object::new().with("run", &id).with("announced", true)));
    }
    let members = (call.optional("criterion")?, call.optional("action")?, call.optional("result")?);
    match members {
        (None, None, None) => {
            call.authority.may_check(Some(person), &id).map_err(|e| problem(&e))?;
            let queued = call.checks.ask(id.clone());
            Ok(Answer::ok(Object::new().with("run", &id).with("queued", queued)))
        }
        (Some(criterion), Some(called), Some(result)) => {
            let result = Json::parse(result.as_bytes(), &JsonLimits::DEFAULT);
            let result = result.map_err(|_| malformed("`result` is no JSON text"))?;
            let checked =
                Checked { criterion: criterion.to_owned(), action: action(called)?, result };
            let taken = call.authority.by(person).take_up_check(Some(person), &id, &checked);
            Ok(Answer::ok(taken.map_err(|e| problem(&e))?.to_json()))
        }
        _ => Err(malformed("`criterion`, `action` and `result` come together")),
    }
}

pub(super) fn plan(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let (person, id) = (&me(login)?.person, id(call)?);
    let plan = call.authority.rollback_plan(Some(person), &id).map_err(|e| problem(&e))?;
    let plan: Vec<Json> = plan.iter().map(|undo| undo.to_json().into()).collect();
    Ok(Answer::ok(Object::new().with("run", &id).with("plan", plan)))
}

pub(super) fn start(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let (person, id) = (&me(login)?.person, id(call)?);
    let undoes = call.optional("undoes")?.map(action).transpose()?;
    let authority = call.authority.by(person);
    let step = call.required("step")?;
    let undo = authority.start_rollback(Some(person), &id, (step, undoes.as_ref()), root(call)?);
    Ok(Answer::ok(undo.map_err(|e| problem(&e))?.to_json()))
}

pub(super) fn report(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let (person, id) = (&me(login)?.person, id(call)?);
    let report = call.authority.by(person).run_report(Some(person), &id);
    Ok(Answer::ok(report.map_err(|e| problem(&e))?.to_json()))
}
