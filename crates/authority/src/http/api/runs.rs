//! Runs: what was attempted, by what it counts as complete, what people say of it.

use bailiwick_core::ids::RunId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_store::{ReviewVerdict, RunFilter};

use super::{Answer, Call, malformed, me};
use crate::http::problem::Problem;
use crate::refusal::Refusal;
use crate::rules::runs::Reviewing;
use crate::{Granter, Login, Named};

/// Runs in one answer at most, and where nothing is said.
const MOST: u32 = 200;

fn problem(refusal: &Refusal) -> Problem {
    Problem::from(refusal)
}

fn id(call: &Call<'_>) -> Result<RunId, Problem> {
    let text = call.path("id");
    RunId::parse(text).map_err(|_| problem(&Refusal::unknown("run", text)))
}

/// A parameter that is parsed, if it is there.
fn parsed<T: std::str::FromStr>(call: &Call<'_>, name: &str) -> Result<Option<T>, Problem> {
    let read = |text: &str| text.parse().map_err(|_| malformed(format!("`{name}` cannot be read")));
    call.query(name)?.map(read).transpose()
}

fn text(call: &Call<'_>, name: &str) -> Result<Option<String>, Problem> {
    Ok(call.query(name)?.map(str::to_owned).filter(|text| !text.is_empty()))
}

pub(super) fn list(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let limit = parsed(call, "limit")?.unwrap_or(MOST);
    if !(1..=MOST).contains(&limit) {
        return Err(malformed(format!("`limit` is from 1 to {MOST}")));
    }
    let before = match call.query("after")? {
        None => None,
        Some(place) => Some(place_of(place).ok_or_else(|| malformed("`after` cannot be read"))?),
    };
    let filter = RunFilter {
        task: text(call, "task")?,
        workflow: text(call, "workflow")?,
        agent: text(call, "agent")?,
        state: parsed(call, "state")?,
        before,
        limit,
        ..RunFilter::default()
    };
    let person = &me(login)?.person;
    let checked = call.authority.check_names(Some(person), &Named::from(&filter));
    checked.map_err(|e| problem(&e))?;
    let page = call.authority.runs(Some(person), &filter);
    Ok(Answer::ok(page.map_err(|e| problem(&e))?.to_json()))
}

/// `next` of an answer.
fn place_of(text: &str) -> Option<(Timestamp, RunId)> {
    let (at, id) = text.split_once('.')?;
    Some((Timestamp::from_millis(at.parse().ok()?), RunId::parse(id).ok()?))
}

pub(super) fn show(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let shown = call.authority.run_read(Some(&me(login)?.person), &id(call)?);
    Ok(Answer::ok(shown.map_err(|e| problem(&e))?.to_json()))
}

/// A review as a body states it.
fn reviewing(call: &Call<'_>) -> Result<Reviewing, Problem> {
    let verdict: ReviewVerdict = call
        .required("verdict")?
        .parse()
        .map_err(|_| malformed("`verdict` is accepted, corrected or rejected"))?;
    let criteria = match call.body.member("criteria") {
        None => None,
        Some(Json::Array(list)) => {
            let ids = list.iter().map(|id| id.as_str().map(str::to_owned)).collect();
            Some(Option::ok_or_else(ids, || malformed("`criteria` is no list of texts"))?)
        }
        Some(_) => return Err(malformed("`criteria` is no list of texts")),
    };
    let words = |name| -> Result<_, Problem> { Ok(call.optional(name)?.map(str::to_owned)) };
    Ok(Reviewing { verdict, criteria, what: words("what")?, why: words("why")? })
}

pub(super) fn review(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let (person, said, id) = (&me(login)?.person, reviewing(call)?, id(call)?);
    let granter = Granter::Person(person.principal.alias.clone());
    let complete = call.authority.run_review(&granter, &id, &said, None);
    let complete = complete.map_err(|e| problem(&e))?;
    let answer = Object::new()
        .with("run", &id)
        .with("review", said.verdict.as_str())
        .with("complete", complete);
    Ok(Answer::ok(answer))
}
