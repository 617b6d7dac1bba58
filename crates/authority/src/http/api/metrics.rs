//! Figures, as `docs/metrics.md` defines them.

use bailiwick_core::crypto::Digest;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_policy::metrics::CONFIDENCE_PERCENT;
use bailiwick_store::MetricFilter;

use super::{Answer, Call, malformed, me};
use crate::http::problem::Problem;
use crate::people::roles::Deed;
use crate::refusal::Refusal;
use crate::{Login, MetricsBy, Named, line_json};

/// Hours that figures are about where nothing is said: a week.
const HOURS: i64 = 168;
/// Hours at most: a quarter of a year.
const MAX_HOURS: i64 = 2_208;

/// Who reads the figures: they are about what others do.
pub(super) const METRICS: Deed = Deed::SeeActivity;

fn problem(refusal: &Refusal) -> Problem {
    Problem::from(refusal)
}

fn parsed<T: std::str::FromStr>(call: &Call<'_>, name: &str) -> Result<Option<T>, Problem> {
    let read = |text: &str| text.parse().map_err(|_| malformed(format!("`{name}` cannot be read")));
    call.query(name)?.map(read).transpose()
}

fn digest(text: &str, name: &str) -> Result<Digest, Problem> {
    Digest::from_text(text).ok_or_else(|| malformed(format!("`{name}` is no digest")))
}

fn confidence(call: &Call<'_>) -> Result<u8, Problem> {
    let percent = parsed(call, "confidence")?.unwrap_or(CONFIDENCE_PERCENT);
    let fits = (80..=99).contains(&percent);
    fits.then_some(percent).ok_or_else(|| malformed("`confidence` is from 80 to 99"))
}

/// What the figures are about, without the version and the span's own names.
fn narrowed(call: &Call<'_>, span: MetricFilter) -> Result<MetricFilter, Problem> {
    Ok(MetricFilter {
        workflow: parsed(call, "workflow")?,
        agent: parsed(call, "agent")?,
        tool: parsed(call, "tool")?,
        ..span
    })
}

/// What is asked about, if there is such a thing.
fn known(
    call: &Call<'_>,
    login: Option<&Login>,
    filter: MetricFilter,
) -> Result<MetricFilter, Problem> {
    let person = &me(login)?.person;
    let checked = call.authority.check_names(Some(person), &Named::from(&filter));
    checked.map_err(|e| problem(&e))?;
    Ok(filter)
}

fn filter(call: &Call<'_>) -> Result<MetricFilter, Problem> {
    let hours = parsed::<i64>(call, "hours")?.unwrap_or(HOURS);
    if !(1..=MAX_HOURS).contains(&hours) {
        return Err(malformed(format!("`hours` is not from 1 to {MAX_HOURS}")));
    }
    let recent = call.authority.metrics_span(hours.saturating_mul(3_600));
    let (from, until) = (parsed(call, "from")?, parsed(call, "until")?);
    let span = MetricFilter::span(from.unwrap_or(recent.from), until.unwrap_or(recent.until));
    let version = call.query("version")?.map(|text| digest(text, "version")).transpose()?;
    Ok(MetricFilter { version, ..narrowed(call, span)? })
}

pub(super) fn show(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let (filter, confidence) = (known(call, login, filter(call)?)?, confidence(call)?);
    let metrics = call.authority.metrics(&filter, confidence).map_err(|e| problem(&e))?;
    let mut answer = metrics.to_json();
    if let Some(by) = parsed::<MetricsBy>(call, "by")? {
        let lines = call.authority.metrics_by(&filter, by).map_err(|e| problem(&e))?;
        let lines = lines.iter().map(|(name, of)| line_json(name, of, confidence).into());
        answer.insert("lines", lines.collect::<Vec<Json>>());
    }
    Ok(Answer::ok(answer))
}

/// One side of a comparison: a version of the workflow, or a span `FROM..UNTIL`.
fn side(call: &Call<'_>, name: &str) -> Result<MetricFilter, Problem> {
    let text = call.query(name)?.ok_or_else(|| malformed(format!("`{name}` is missing")))?;
    let time = |text: &str| -> Result<Timestamp, Problem> {
        text.parse().map_err(|_| malformed(format!("`{name}` is no span FROM..UNTIL of times")))
    };
    let all = MetricFilter::span(Timestamp::from_millis(0), call.authority.metrics_span(1).until);
    let of = match text.split_once("..") {
        Some((from, until)) => MetricFilter::span(time(from)?, time(until)?),
        None => MetricFilter { version: Some(digest(text, name)?), ..all },
    };
    Ok(MetricFilter { version: of.version, ..narrowed(call, of)? })
}

pub(super) fn compare(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let (before, after) = (side(call, "baseline")?, side(call, "changed")?);
    let before = known(call, login, before)?;
    let found = call.authority.metrics_compare(&before, &after, confidence(call)?);
    Ok(Answer::ok(found.map_err(|e| problem(&e))?.to_json()))
}

pub(super) fn unused(call: &Call<'_>, login: Option<&Login>) -> Result<Answer, Problem> {
    let filter = known(call, login, filter(call)?)?;
    let found = call.authority.metrics_unused(&filter).map_err(|e| problem(&e))?;
    let tools: Vec<Json> = found.iter().map(|unused| unused.to_json().into()).collect();
    Ok(Answer::ok(Object::new().with("tools", tools)))
}
