//! Figures: decided calls by the hour, and each metric on a history whose answers were
//! worked out by hand (`docs/metrics-fixture.md`).

#[path = "support/mod.rs"]
mod support;

use bailiwick_core::ids::ActionId;
use bailiwick_core::ledger::{Event, Kind, Subjects};
use bailiwick_core::time::Timestamp;
use bailiwick_store::Tx;
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
