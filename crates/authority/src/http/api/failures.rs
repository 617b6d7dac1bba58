//! Failures: seen, classified and resolved.

use bailiwick_core::ids::{FailureId, PrincipalId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_policy::bundle::Answer as Expected;
use bailiwick_store::{FailureFilter, FailureState};

use super::{Answer, Call, malformed, me};
use crate::http::problem::Problem;
use crate::refusal::Refusal;
use crate::{Classification, Kept, Login, Named, Resolution};

/// Failures in one answer at most, and where nothing is said.
const MOST: u32 = 200;
/// Days that trends are about.
const TREND_DAYS: i64 = 91;

fn problem(refusal: &Refusal) -> Problem {
    Problem::from(refusal)
}

fn id(call: &Call<'_>) -> Result<FailureId, Problem> {
    let text = call.path("id");
    FailureId::parse(text).map_err(|_| problem(&Refusal::unknown("failure", text)))
}

fn parsed<T: std::str::FromStr>(call: &Call<'_>, name: &str) -> Result<Option<T>, Problem> {
    let read = |text: &str| text.parse().map_err(|_| malformed(format!("`{name}` cannot be read")));
    call.query(name)?.map(read).transpose()
}

/// The place after which a list goes on.
fn place(text: &str) -> Option<(Timestamp, FailureId)> {
    let (millis, id) = text.split_once('.')?;
    Some((Timestamp::from_millis(millis.parse().ok()?), FailureId::parse(id).ok()?))
}

pub(super) fn list(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let limit = parsed(call, "limit")?.unwrap_or(MOST);
    if !(1..=MOST).contains(&limit) {
        return Err(malformed(format!("`limit` is from 1 to {MOST}")));
    }
    let (unresolved, state) = match call.query("failure_state")? {
        None | Some("unresolved") => (true, None),
        Some("any") => (false, None),
        Some(_) => (false, parsed::<FailureState>(call, "failure_state")?),
    };
    let after = |text: &str| place(text).ok_or_else(|| malformed("`after` cannot be read"));
    let filter = FailureFilter {
        workflow: call.query("workflow")?.map(str::to_owned),
        agent: call.query("agent")?.map(str::to_owned),
        state,
        class: parsed(call, "class")?,
        unresolved,
        before: call.query("after")?.map(after).transpose()?,
        limit,
    };
    let person = &me(login)?.person;
    let checked = call.authority.check_names(Some(person), &Named::from(&filter));
    checked.map_err(|e| problem(&e))?;
    let found = call.authority.failures(Some(person), &filter);
    let page = found.map_err(|e| problem(&e))?;
    Ok(Answer::ok(page.to_json()))
}

pub(super) fn show(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let shown = call.authority.failure_read(Some(&me(login)?.person), &id(call)?);
    Ok(Answer::ok(shown.map_err(|e| problem(&e))?.to_json()))
}

pub(super) fn trends(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let found = call.authority.failure_trends(Some(&me(login)?.person), TREND_DAYS);
    let found = found.map_err(|e| problem(&e))?;
    let weeks: Vec<Json> = found.iter().map(|trend| crate::trend_json(trend).into()).collect();
    Ok(Answer::ok(Object::new().with("trends", weeks)))
}

pub(super) fn classify(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let class = call.required("class")?.parse();
    let owner = call.optional("owner")?.map(PrincipalId::parse).transpose();
    let said = Classification {
        class: class.map_err(|_| malformed("`class` is no class of failures"))?,
        owner: owner.map_err(|_| malformed("`owner` is no principal"))?,
        note: call.optional("note")?.map(str::to_owned),
    };
    let done = call.authority.failure_classify(Some(&me(login)?.person), &id(call)?, said);
    done.map_err(|e| problem(&e))?;
    Ok(Answer::done())
}

pub(super) fn resolve(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let how = call.required("regression")?;
    let regression = match how {
        "case" => Kept::Case(call.required("cases")?.to_owned()),
        "none" => Kept::None,
        "dismissed" => Kept::Dismissed,
        _ => return Err(malformed("`regression` is none of `case`, `none`, `dismissed`")),
    };
    let said = Resolution {
        link: call.optional("link")?.map(str::to_owned),
        why: call.optional("why")?.map(str::to_owned),
        regression,
    };
    let id = id(call)?;
    let held = call.authority.failure_resolve(Some(&me(login)?.person), &id, said);
    let answer = Object::new()
        .with("failure", &id)
        .with("regression", how)
        .with("held_before", held.map_err(|e| problem(&e))?);
    Ok(Answer::ok(answer))
}

pub(super) fn case(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let text = call.required("expect")?;
    let all = [Expected::Allow, Expected::ApprovalRequired, Expected::Deny];
    let expect = all.into_iter().find(|answer| answer.as_str() == text);
    let expect = expect.ok_or_else(|| malformed("`expect` is no decision"))?;
    let text = call.authority.failure_case(Some(&me(login)?.person), &id(call)?, expect);
    let text = text.map_err(|e| problem(&e))?;
    Ok(Answer::ok(Object::new().with("case", text)))
}
