//! The inbox, and how much people are asked.

use bailiwick_store::ApprovalPlace;

use super::{Answer, Call, malformed, me};
use crate::http::problem::Problem;
use crate::people::roles::Deed;
use crate::{InboxQuery, Login};

/// Calls in one answer at most, and where nothing is said.
const MOST: u32 = 200;
/// Hours that figures may be about: a quarter of a year.
const MAX_HOURS: i64 = 2_208;
/// Hours that figures are about where nothing is said: a week.
const HOURS: i64 = 168;

fn text(call: &Call<'_>, name: &str) -> Result<Option<String>, Problem> {
    Ok(call.query(name)?.map(str::to_owned).filter(|text| !text.is_empty()))
}

/// A parameter that is parsed, if it is there.
fn parsed<T: std::str::FromStr>(call: &Call<'_>, name: &str) -> Result<Option<T>, Problem> {
    let read = |text: &str| text.parse().map_err(|_| malformed(format!("`{name}` cannot be read")));
    call.query(name)?.map(read).transpose()
}

fn limit(call: &Call<'_>) -> Result<u32, Problem> {
    let limit = parsed(call, "limit")?.unwrap_or(MOST);
    let fits = (1..=MOST).contains(&limit);
    fits.then_some(limit).ok_or_else(|| malformed(format!("`limit` is from 1 to {MOST}")))
}

pub(super) fn list(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let all = match call.query("all")? {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(malformed("`all` is neither `true` nor `false`")),
    };
    let query = InboxQuery {
        all,
        agent: text(call, "agent")?,
        tool: text(call, "tool")?,
        task: text(call, "task")?,
        workflow: text(call, "workflow")?,
        risk: parsed(call, "risk")?,
        search: text(call, "search")?,
        after: parsed::<ApprovalPlace>(call, "after")?,
        limit: limit(call)?,
    };
    let page = call.authority.inbox(Some(&me(login)?.person), &query);
    Ok(Answer::ok(page.map_err(|e| Problem::from(&e))?.to_json()))
}

pub(super) fn metrics(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    me(login)?;
    let hours = parsed::<i64>(call, "hours")?.unwrap_or(HOURS);
    if !(1..=MAX_HOURS).contains(&hours) {
        return Err(malformed(format!("`hours` is not from 1 to {MAX_HOURS}")));
    }
    let figures = call.authority.fatigue(hours.saturating_mul(3_600));
    Ok(Answer::ok(figures.map_err(|e| Problem::from(&e))?.to_json()))
}

/// Who reads the figures: they are about people.
pub(super) const METRICS: Deed = Deed::SeeActivity;
