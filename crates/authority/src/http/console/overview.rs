//! The overview.

use axum::http::StatusCode;
use axum::response::Response;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{CallsOfHour, FailureFilter, FailureState, Filter, StoreError};

use super::pages::own_grants;
use super::views::entry_line;
use super::{Failure, Inner, Me, Visit, page};
use crate::console::chart::{About, Bar, Chart, Series, Tone};
use crate::console::{HealthLine, Moment, OverviewPage, Section, Text, TodoLine};
use crate::people::roles::Deed;
use crate::{Overview, Waiting};

/// Entries on the overview.
const LATEST: u32 = 8;
/// Runs and failures that are counted at most.
const MOST_COUNTED: usize = 50;
/// Hours of the chart.
const HOURS: i64 = 24;
const HOUR_SECONDS: i64 = 3_600;
/// Seconds after which entries that are not under a checkpoint are a sign that
/// nobody publishes.
const LATE_SECONDS: i64 = 60;
/// Knowledge of revocations that is older than the default bound, milliseconds.
const STALE_MS: i64 = 10_000;

/// A span in the largest unit that fits.
fn span(ms: i64) -> String {
    let seconds = ms.max(0) / 1_000;
    match seconds {
        0 => format!("{} ms", ms.max(0)),
        1..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

fn checkpoint(found: &Overview, now: Timestamp) -> (String, &'static str) {
    let Some(tree) = found.tree else {
        return ("nothing is published yet".to_owned(), "warn");
    };
    let behind = found.size.saturating_sub(tree);
    let age = found.covered.map_or(0, |covered| now.millis_since(covered));
    match behind {
        0 => ("covers every entry".to_owned(), "good"),
        _ => {
            let class = if age > LATE_SECONDS * 1_000 { "warn" } else { "good" };
            (format!("{behind} entries behind, covers those until {} ago", span(age)), class)
        }
    }
}

fn health(found: &Overview, all_stopped: bool, now: Timestamp) -> Vec<HealthLine> {
    let line = |name, (value, class): (String, &'static str), href| HealthLine {
        name,
        value: Text::of(value),
        class,
        href,
    };
    let calls = if all_stopped {
        ("everything is stopped".to_owned(), "bad")
    } else if found.stops.is_none() {
        ("pass; nothing is stopped".to_owned(), "good")
    } else {
        (format!("{} stops in force", found.stops), "warn")
    };
    let lives = match found.lives {
        0 => ("no process decides calls".to_owned(), "warn"),
        1 => ("1 process decides calls".to_owned(), "good"),
        many => (format!("{many} processes decide calls"), "good"),
    };
    let staleness = match found.staleness_ms {
        None => ("no call was decided yet".to_owned(), "plain"),
        Some(ms) => {
            let class = if ms > STALE_MS { "warn" } else { "good" };
            (format!("known to within {} at the newest call", span(ms)), class)
        }
    };
    let mut lines = vec![
        line("Calls", calls, Some("/stops")),
        line("Gateways", lives, None),
        line("Revocations", staleness, None),
        line("Checkpoint", checkpoint(found, now), Some("/ledger")),
        line("Ledger", (format!("{} entries", found.size), "plain"), Some("/ledger")),
    ];
    if !found.domains.is_empty() {
        let oldest = found.domains.iter().map(|(_, heard)| now.millis_since(*heard)).max();
        let age = oldest.unwrap_or(0);
        let class = if age > 2 * HOUR_SECONDS * 1_000 { "warn" } else { "good" };
        let count = found.domains.len();
        let said = (format!("{count}, the last word {} ago at most", span(age)), class);
        lines.push(line("Other trust domains", said, Some("/settings#domains")));
    }
    lines
}

fn todo(me: &Me, waiting: &Waiting) -> Vec<TodoLine> {
    let mut lines = Vec::new();
    let mut add = |what: &str, why: &str, count: String, href: &str| {
        let (what, why, count) = (Text::of(what), Text::of(why), Text::of(count));
        lines.push(TodoLine { what, why, count, href: href.to_owned() });
    };
    if !waiting.approvals.is_none() {
        let why = "Agents' calls that happen only after a person signs";
        add("Calls wait for an approval", why, waiting.approvals.to_string(), "/approvals");
    }
    if !waiting.requests.is_none() {
        let why = "What agents ask for that they lack";
        add("Agents ask for authority", why, waiting.requests.to_string(), "/requests");
    }
    if !waiting.tools.is_none() && me.may(Deed::TendCatalogue) {
        let why = "New, changed or withdrawn: calls of them are denied until somebody accepts them";
        add("Tools wait for a person", why, waiting.tools.to_string(), "/catalogue");
    }
    if !waiting.idle.is_empty() && me.may(Deed::AddAgents) {
        let names: Vec<&str> = waiting.idle.iter().take(3).map(|id| id.as_str()).collect();
        let more = if waiting.idle.len() > names.len() { " and others" } else { "" };
        let why = format!("No enrolled instance can act for {}{more}", names.join(", "));
        add("Agents without an instance", &why, waiting.idle.len().to_string(), "/agents");
    }
    lines
}

/// What waits of agents' work: runs to be reviewed, failures of which nobody said what
/// kind they are.
fn work_todo(cx: &Inner, me: &Me) -> Result<Vec<TodoLine>, Failure> {
    let line = |what: &str, why: &str, count: usize, href: &str| TodoLine {
        what: Text::of(what),
        why: Text::of(why),
        count: Text::of(match count > MOST_COUNTED {
            true => format!("more than {MOST_COUNTED}"),
            false => count.to_string(),
        }),
        href: href.to_owned(),
    };
    let mut lines = Vec::new();
    let runs = cx.authority.runs_to_review(&me.person, MOST_COUNTED.saturating_add(1))?.len();
    if runs > 0 {
        let why = "Their agents said that they are done, and their workflow asks for a person";
        lines.push(line("Runs wait for your review", why, runs, "/runs"));
    }
    if me.may(Deed::TendFailures) {
        let filter = FailureFilter {
            state: Some(FailureState::Detected),
            limit: u32::try_from(MOST_COUNTED).unwrap_or(u32::MAX).saturating_add(1),
            ..FailureFilter::default()
        };
        let new = cx.authority.store().read(|view| view.failures(&filter))?.len();
        if new > 0 {
            let why = "What went wrong, and nobody said yet what must change";
            lines.push(line("Failures wait for a class", why, new, "/failures"));
        }
    }
    Ok(lines)
}

/// Calls of the last 24 hours, a bar for each hour, also for those without any.
fn chart(found: &[CallsOfHour], now: Timestamp) -> Chart {
    let this = now.seconds().div_euclid(HOUR_SECONDS) * HOUR_SECONDS;
    let bars: Vec<Bar> = (0..HOURS)
        .map(|nth| {
            let began = Timestamp::from_seconds(this - (HOURS - 1 - nth) * HOUR_SECONDS);
            let calls = found.iter().find(|calls| calls.began == began);
            let words = Moment::of(began).words;
            Bar {
                label: Text::of(words.get(11..16).unwrap_or(&words)),
                values: calls.map_or_else(|| vec![0; 3], |c| vec![c.allowed, c.asked, c.denied]),
            }
        })
        .collect();
    let series =
        [("allowed", Tone::Good), ("asked for a person", Tone::Warn), ("denied", Tone::Bad)]
            .map(|(name, tone)| Series { name: Text::of(name), tone });
    let about =
        About { id: "calls", title: Text::of("Calls of the last 24 hours, UTC"), of: "Hour" };
    let is_quiet = bars.iter().all(|bar| bar.values.iter().all(|value| *value == 0));
    Chart::bars(about, series.to_vec(), if is_quiet { &[] } else { &bars })
}

fn view(cx: &Inner, me: &Me) -> Result<OverviewPage, Failure> {
    let filter = Filter {
        principal: Some(me.person.principal.alias.to_string()),
        limit: LATEST,
        ..Filter::default()
    };
    let now = cx.authority.host().now();
    let since = now.plus_seconds(-(HOURS - 1) * HOUR_SECONDS);
    let sees_all = me.may(Deed::SeeActivity);
    let (entries, servers, calls) = cx.authority.store().read(|view| {
        let calls = if sees_all { view.calls_by_hour(since)? } else { Vec::new() };
        Ok::<_, StoreError>((view.query(&filter)?, view.tool_servers()?, calls))
    })?;
    let frame = cx.frame(Some(me), Some(Section::Home));
    let health = match sees_all {
        true => health(&cx.authority.overview()?, frame.all_stopped, now),
        false => Vec::new(),
    };
    let mut grants = own_grants(cx, me)?;
    grants.retain(|grant| grant.standing.is_open());
    let server = servers.first().map_or("NAME", |server| server.name.as_str());
    let is_new = servers.is_empty() && me.may(Deed::AddAgents);
    let mut waits = todo(me, &cx.authority.waiting_for(&me.person)?);
    waits.extend(work_todo(cx, me)?);
    Ok(OverviewPage {
        frame,
        health,
        todo: waits,
        activity: sees_all.then(|| chart(&calls, now)),
        figures: match me.may(Deed::SeeFigures) {
            true => super::figures::of_overview(cx)?,
            false => Vec::new(),
        },
        grants,
        entries: entries.iter().map(entry_line).collect(),
        endpoint: format!("{}/{server}", cx.authority.installation().audience()),
        is_new,
    })
}

pub(super) async fn show(visit: Visit) -> Response {
    visit.read(|cx, me| Ok(page(StatusCode::OK, &view(cx, me)?))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing() -> Overview {
        Overview {
            size: 10,
            tree: Some(10),
            covered: Some(Timestamp::from_seconds(0)),
            lives: 1,
            stops: crate::Bounded::default(),
            staleness_ms: Some(3),
            domains: Vec::new(),
        }
    }

    #[test]
    fn what_is_not_as_it_should_be_is_coloured() {
        let now = Timestamp::from_seconds(300);
        let classes = |found: &Overview, stopped| {
            health(found, stopped, now).iter().map(|line| line.class).collect::<Vec<_>>()
        };
        assert_eq!(classes(&standing(), false), ["good", "good", "good", "good", "plain"]);
        assert_eq!(classes(&standing(), true)[0], "bad");
        let late = Overview { size: 12, ..standing() };
        let lines = health(&late, false, now);
        assert_eq!(lines[3].value.as_str(), "2 entries behind, covers those until 5 min ago");
        assert_eq!(lines[3].class, "warn");
        let alone = Overview { tree: None, lives: 0, staleness_ms: Some(60_000), ..standing() };
        assert_eq!(classes(&alone, false), ["good", "warn", "warn", "warn", "plain"]);
    }

    #[test]
    fn the_chart_has_every_hour_of_the_day_and_none_twice() {
        let now = Timestamp::from_seconds(1_704_067_200 + 90);
        let began = Timestamp::from_seconds(1_704_067_200 - HOUR_SECONDS);
        let calls = CallsOfHour { began, allowed: 7, denied: 1, asked: 2 };
        let chart = chart(&[calls], now);
        assert_eq!(chart.rows.len(), 24);
        assert_eq!(
            chart.rows[22].iter().map(Text::as_str).collect::<Vec<_>>(),
            ["23:00", "7", "2", "1"]
        );
        assert_eq!(chart.rows[23][0].as_str(), "00:00");
        assert!(super::chart(&[], now).is_empty());
    }

    #[test]
    fn spans_are_said_in_one_unit() {
        for (ms, said) in
            [(-5, "0 ms"), (3, "3 ms"), (61_000, "61 s"), (600_000, "10 min"), (90_000_000, "25 h")]
        {
            assert_eq!(span(ms), said);
        }
    }
}
