//! Figures: decided calls by the hour, and each metric on a history whose answers were
//! worked out by hand (`docs/metrics-fixture.md`).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "support/mod.rs"]
mod support;

#[path = "history/mod.rs"]
mod history;

use bailiwick_core::figures::{Rate, Sample};
use bailiwick_core::ids::ActionId;
use bailiwick_core::ledger::{Event, Kind, Subjects};
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Latency, MetricFilter, Spread, StoreError, Tx, View};
use history::{D1, D2, V1, V2, history};
use support::{NOW, action, append, audited, bytes, digest, event, fixture};

const HOUR: i64 = 3_600_000;

/// A decision about a call at a time.
fn call(at: Timestamp, tool: &str, decision: &str, reason: Option<&str>) -> Event {
    let mut event = event(Kind::ActionDecided);
    event.id = bailiwick_core::ids::EntryId::mint(at, bytes());
    event.time = at;
    event.subjects = Subjects {
        action: Some(ActionId::mint(at, bytes()).to_string()),
        workflow: Some("support".to_owned()),
        agent: Some("agent:runner".to_owned()),
        tool: Some(tool.to_owned()),
        decision: Some(decision.to_owned()),
        reason: reason.map(str::to_owned),
        ..Subjects::default()
    };
    event.body.insert("workflow_digest", digest("workflow"));
    event
}

type Counted = (i64, String, String, String, String, String, String, i64);

fn counted(path: &std::path::Path) -> Vec<Counted> {
    let raw = rusqlite::Connection::open(path.join("state.db")).unwrap();
    let mut all = raw
        .prepare(
            "SELECT hour, workflow, workflow_digest, agent, tool, decision, reason, calls
             FROM calls_hourly ORDER BY 1, 2, 3, 4, 5, 6, 7",
        )
        .unwrap();
    let read = |r: &rusqlite::Row<'_>| {
        Ok((r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?, r.get(4)?, r.get(5)?, r.get(6)?, r.get(7)?))
    };
    all.query_map([], read).unwrap().map(Result::unwrap).collect()
}

#[test]
fn decided_calls_are_counted_by_the_hour_and_alike_from_the_ledger_alone() {
    let f = fixture();
    let hour = NOW.millis() / HOUR;
    let later = NOW.plus_seconds(3_599);
    for (at, tool, decision, reason) in [
        (NOW, "mcp:desk:tools/get_ticket", "allow", None),
        (later, "mcp:desk:tools/get_ticket", "allow", None),
        (later, "mcp:desk:tools/get_ticket", "deny", Some("scope-exceeded")),
        (NOW.plus_seconds(3_600), "mcp:desk:tools/get_ticket", "allow", None),
    ] {
        append(&f.store, call(at, tool, decision, reason)).unwrap();
    }
    // A caller that nobody knows names nothing; what is no decision is not counted.
    append(&f.store, support::decided(&action(), "deny")).unwrap();
    append(&f.store, event(Kind::PlaintextRead)).unwrap();
    let all = counted(&f.path);
    let version = digest("workflow").to_string();
    let row = |hour: i64, decision: &str, reason: &str, calls: i64| {
        let text = str::to_owned;
        let (workflow, tool) = (text("support"), text("mcp:desk:tools/get_ticket"));
        let agent = text("agent:runner");
        (hour, workflow, version.clone(), agent, tool, text(decision), text(reason), calls)
    };
    let mut stranger = row(hour, "deny", "", 1);
    (stranger.1, stranger.2, stranger.4) = Default::default();
    let expected = vec![
        stranger,
        row(hour, "allow", "", 2),
        row(hour, "deny", "scope-exceeded", 1),
        row(hour + 1, "allow", "", 1),
    ];
    assert_eq!(all, expected);
    let raw = rusqlite::Connection::open(f.path.join("state.db")).unwrap();
    raw.execute("UPDATE calls_hourly SET calls = 7", []).unwrap();
    raw.execute("DELETE FROM calls_hourly WHERE decision = 'deny'", []).unwrap();
    let report = audited(&f.path);
    let doctored = |finding: &&bailiwick_store::Finding| finding.detail.contains("calls_hourly");
    assert!(report.findings.iter().any(|finding| doctored(&finding)), "{:?}", report.findings);
    f.store.write(|tx: &mut Tx<'_>| tx.rebuild()).wait().unwrap();
    assert_eq!(counted(&f.path), expected);
    assert!(audited(&f.path).findings.is_empty(), "{:?}", audited(&f.path).findings);
}

/// Adds up the hours that are over at `now`.
fn roll_up(store: &bailiwick_store::Store, now: Timestamp) {
    while !store.write(move |tx: &mut Tx<'_>| tx.roll_up_calls(now)).wait().unwrap() {}
}

fn span() -> MetricFilter {
    MetricFilter::span(D1, D2.plus_seconds(86_400))
}

/// What of calls is read from counts, for one filter.
fn all_of(
    store: &bailiwick_store::Store,
    filter: &MetricFilter,
) -> impl PartialEq + std::fmt::Debug + use<> {
    store
        .read(|v| {
            let names = (
                v.called_workflows(filter)?,
                v.called_versions(filter)?,
                v.calling_agents(filter)?,
                v.called_tools(filter)?,
            );
            let hours = v.calls_by_hour(filter.from)?;
            Ok::<_, StoreError>((v.blocked(filter)?, names, hours, v.calls_in_all()?))
        })
        .unwrap()
}

/// Every filter there is, over hours that are added up and others, also where an
/// entry comes late; and what is added up is what the entries make of it.
#[test]
fn figures_are_the_same_whether_hours_are_added_up_or_not() {
    let f = fixture();
    let agents = ["agent:runner", "agent:helper"];
    let tools = ["mcp:desk:tools/get_ticket", "mcp:desk:tools/add_note"];
    let put = |n: u32, at: Timestamp| {
        let (decision, reason) = match n % 5 {
            0 => ("deny", Some("revoked")),
            1 => ("approval_required", None),
            2 => ("deny", Some("scope-exceeded")),
            _ => ("allow", None),
        };
        let mut event = call(at, tools[(n / 2 % 2) as usize], decision, reason);
        event.subjects.agent = Some(agents[(n / 3 % 2) as usize].to_owned());
        let workflow = if n % 7 < 3 { "support" } else { "another" };
        event.subjects.workflow = Some(workflow.to_owned());
        let version = format!("{workflow} {}", n % 2);
        event.body.insert("workflow_digest", digest(&version));
        append(&f.store, event).unwrap();
    };
    for n in 0..120 {
        put(n, NOW.plus_seconds(i64::from(n) * 600));
    }
    let mut filters = Vec::new();
    for n in 0..81_u32 {
        let of = |place: u32, all: [&str; 2]| match n / place % 3 {
            0 => None,
            nth => Some(all[nth as usize - 1].to_owned()),
        };
        let version = of(1, ["support 0", "another 1"]).map(|v| digest(&v));
        for (from, until) in [(0, 20), (3, 8), (7, 12), (9, 30)] {
            let at = |hours: i64| NOW.plus_seconds(hours * 3_600);
            filters.push(MetricFilter {
                workflow: of(3, ["support", "another"]).map(|w| w.parse().unwrap()),
                version,
                agent: of(9, agents).map(|a| a.parse().unwrap()),
                tool: of(27, tools).map(|t| t.parse().unwrap()),
                ..MetricFilter::span(at(from), at(until))
            });
        }
    }
    let figures = || filters.iter().map(|filter| all_of(&f.store, filter)).collect::<Vec<_>>();
    let rolled = || {
        let raw = rusqlite::Connection::open(f.path.join("state.db")).unwrap();
        let sql = "SELECT count(*) FROM calls_rolled";
        raw.query_row(sql, [], |r| r.get::<_, i64>(0)).unwrap()
    };
    let before = figures();
    assert_eq!(rolled(), 0);
    roll_up(&f.store, NOW.plus_seconds(10 * 3_600));
    let some = rolled();
    assert!(some > 0);
    assert_eq!(figures(), before);
    // Nothing is added up twice.
    roll_up(&f.store, NOW.plus_seconds(10 * 3_600));
    assert_eq!(rolled(), some);
    for n in 0..30 {
        put(n, NOW.plus_seconds(i64::from(n) * 1_800));
    }
    let late = figures();
    assert_ne!(late, before);
    roll_up(&f.store, NOW.plus_seconds(40 * 3_600));
    assert_eq!(figures(), late);
    assert!(audited(&f.path).findings.is_empty(), "{:?}", audited(&f.path).findings);
    let raw = rusqlite::Connection::open(f.path.join("state.db")).unwrap();
    raw.execute("UPDATE calls_rolled SET calls = calls + 1 WHERE sets = 0", []).unwrap();
    assert_ne!(figures(), late);
    let report = audited(&f.path);
    let doctored = |finding: &bailiwick_store::Finding| finding.detail.contains("calls_rolled");
    assert!(report.findings.iter().any(doctored), "{:?}", report.findings);
    f.store.write(|tx: &mut Tx<'_>| tx.rebuild()).wait().unwrap();
    assert_eq!(figures(), late);
}

fn read<T>(h: &history::History, work: impl FnOnce(&View<'_>) -> Result<T, StoreError>) -> T {
    h.fixture.store.read(work).unwrap()
}

const fn rate(hits: u64, of: u64) -> Rate {
    Rate { hits, of }
}

/// `docs/metrics-fixture.md`, section by section.
#[test]
fn the_figures_of_runs_are_those_worked_out_by_hand() {
    let h = history();
    let version = |v: &str| MetricFilter { version: Some(digest(v)), ..span() };
    let agent = |a: &str| MetricFilter { agent: Some(a.parse().unwrap()), ..span() };
    let tool = |t: &str| MetricFilter { tool: Some(t.parse().unwrap()), ..span() };
    let workflow = |w: &str| MetricFilter { workflow: Some(w.parse().unwrap()), ..span() };
    let d1 = MetricFilter::span(D1, D2);
    let d2 = MetricFilter::span(D2, D2.plus_seconds(86_400));
    for (filter, success) in [
        (span(), rate(7, 9)),
        (workflow("support"), rate(7, 9)),
        (d1.clone(), rate(3, 4)),
        (d2, rate(4, 5)),
        (version(V1), rate(4, 5)),
        (version(V2), rate(3, 4)),
        (agent("agent:runner"), rate(5, 6)),
        (agent("agent:helper"), rate(2, 3)),
        (tool("mcp:desk:tools/add_note"), rate(5, 7)),
        (workflow("another"), rate(0, 0)),
    ] {
        assert_eq!(read(&h, |v| v.task_success(&filter)), success, "{filter:?}");
    }
    for (filter, correction) in [
        (span(), rate(2, 6)),
        (version(V1), rate(2, 4)),
        (version(V2), rate(0, 2)),
        (d1.clone(), rate(2, 3)),
    ] {
        assert_eq!(read(&h, |v| v.human_correction(&filter)), correction, "{filter:?}");
    }
    for (filter, n, sum, squares, unreported) in [
        (span(), 6, 34, 326, 1),
        (version(V1), 3, 25, 297, 1),
        (version(V2), 3, 9, 29, 0),
        (workflow("another"), 0, 0, 0, 0),
    ] {
        let found = read(&h, |v| v.iterations(&filter));
        assert_eq!(found.tasks, Sample { n, sum, squares }, "{filter:?}");
        assert_eq!(found.unreported, unreported, "{filter:?}");
    }
    let cost = read(&h, |v| v.cost(&span()));
    let usd = Sample { n: 5, sum: 5_600_000, squares: 7_440_000_000_000 };
    let eur = Sample { n: 1, sum: 900_000, squares: 810_000_000_000 };
    let by: Vec<_> = cost.by_currency.into_iter().collect();
    assert_eq!(by, [("EUR".to_owned(), (eur, 400_000)), ("USD".to_owned(), (usd, 3_500_000))]);
    assert_eq!(cost.unreported, 1);
    for (filter, escalated) in
        [(span(), rate(3, 11)), (version(V1), rate(2, 6)), (version(V2), rate(1, 5))]
    {
        assert_eq!(read(&h, |v| v.escalation(&filter)), escalated, "{filter:?}");
    }
    // Without success: R2, R4, R10, R11.
    assert_eq!(read(&h, |v| v.unsuccessful_runs(&span())), rate(4, 11));
    let support = "support".parse().unwrap();
    assert_eq!(read(&h, |v| v.failed_runs(&support, D2, Timestamp::from_millis(i64::MAX))), 2);
    assert_eq!(read(&h, |v| v.failed_runs(&support, D1, Timestamp::from_millis(i64::MAX))), 4);
}

#[test]
fn the_figures_of_calls_are_those_worked_out_by_hand() {
    let h = history();
    calls_are_those_worked_out_by_hand(&h);
    // Whether hours are added up, some of them or all, is no difference.
    roll_up(&h.fixture.store, D2);
    calls_are_those_worked_out_by_hand(&h);
    roll_up(&h.fixture.store, D2.plus_seconds(2 * 86_400));
    calls_are_those_worked_out_by_hand(&h);
}

fn calls_are_those_worked_out_by_hand(h: &history::History) {
    let blocked = read(h, |v| v.blocked(&span()));
    assert_eq!((blocked.denied, blocked.held), (rate(9, 40), rate(4, 40)));
    let by_reason: Vec<(&str, u64)> =
        blocked.by_reason.iter().map(|(reason, n)| (reason.as_str(), *n)).collect();
    let expected = [
        ("argument-not-delegated", 4),
        ("revoked", 2),
        ("budget-spent", 1),
        ("signature-invalid", 1),
        ("tool-not-delegated", 1),
    ];
    assert_eq!(by_reason, expected);
    let tool = |t: &str| MetricFilter { tool: Some(t.parse().unwrap()), ..span() };
    let version = |v: &str| MetricFilter { version: Some(digest(v)), ..span() };
    let workflow = MetricFilter { workflow: Some("support".parse().unwrap()), ..span() };
    for (filter, calls, denied, held) in [
        (workflow, 39, 8, 4),
        (version(V1), 23, 6, 3),
        (version(V2), 16, 2, 1),
        (tool("mcp:desk:tools/refund_order"), 8, 6, 1),
        (tool("mcp:desk:tools/add_note"), 10, 2, 3),
        (MetricFilter::span(D1, D2), 17, 4, 1),
        // A span is as long as the hours that it touches.
        (MetricFilter::span(D1.plus_seconds(600), D1.plus_seconds(601)), 3, 0, 0),
    ] {
        let found = read(h, |v| v.blocked(&filter));
        assert_eq!((found.denied, found.held), (rate(denied, calls), rate(held, calls)));
    }
}

#[test]
fn the_other_figures_are_those_worked_out_by_hand() {
    let h = history();
    let day = D1.millis() / 86_400_000;
    assert_eq!(read(&h, |v| v.asked_by_day(&span())), [(day, 1), (day + 1, 3)]);
    let load = read(&h, |v| v.approval_load(&span()));
    let load: Vec<_> = load.into_iter().map(|l| (l.approver, l.verdicts)).collect();
    assert_eq!(load, [(h.alice.clone(), 2), (h.bob.clone(), 1)]);
    let deciding = Spread { n: 3, median: Some(60_000), p90: Some(600_000) };
    assert_eq!(read(&h, |v| v.time_to_decide(&span())), deciding);
    let lives = Spread { n: 3, median: Some(900), p90: Some(1_800) };
    assert_eq!(read(&h, |v| v.delegation_lifetime(&span())), lives);
    let first_denial_ms = Spread { n: 1, median: Some(1_500), p90: Some(1_500) };
    let latency = Latency { revocations: 2, first_denial_ms };
    assert_eq!(read(&h, |v| v.revocation_latency(span().from, span().until)), latency);
    let peers = read(&h, |v| v.refused_peers(span().from, span().until));
    let refused = [("peer-unregistered".to_owned(), 2), ("peer-other-agent".to_owned(), 1)];
    assert_eq!((peers.refused.as_slice(), peers.handoffs_rejected), (refused.as_slice(), 1));
    let used = read(&h, |v| v.used_scope(&span()));
    let tools: Vec<_> = used.iter().map(|u| (u.grant.task.clone(), u.used.clone())).collect();
    let names = |names: &[&str]| {
        names.iter().map(|name| format!("mcp:desk:tools/{name}")).collect::<Vec<_>>()
    };
    let expected = [
        (h.tasks[1].clone(), names(&["get_ticket", "refund_order"])),
        (h.tasks[0].clone(), names(&["add_note", "get_ticket"])),
    ];
    assert_eq!(tools, expected);
    // Nothing at all is no data.
    let before = MetricFilter::span(Timestamp::from_millis(0), D1);
    assert_eq!(read(&h, |v| v.time_to_decide(&before)), Spread::default());
    assert_eq!(read(&h, |v| v.task_success(&before)).value(), None);
}

/// Beyond the cap nothing is added, and no sum overflows.
#[test]
fn what_an_agent_states_of_itself_is_capped() {
    let h = history();
    let raw = rusqlite::Connection::open(h.fixture.path.join("state.db")).unwrap();
    raw.execute("UPDATE runs SET iterations = ?1, cost_micros = ?1, currency = 'USD'", [i64::MAX])
        .unwrap();
    let cap = (1_u128 << 40) - 1;
    let tasks = read(&h, |v| v.iterations(&span())).tasks;
    assert_eq!(tasks, Sample { n: 7, sum: 7 * cap, squares: 7 * cap * cap });
    let cost = read(&h, |v| v.cost(&span()));
    // Successful: R1, R3, R5, R6, R7, R8, R9.
    assert_eq!(cost.by_currency["USD"].0, tasks);
}
