//! What a run's calls of each tool came to, beside a count of its entries one by one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::collections::BTreeMap;

use bailiwick_core::ids::{ActionId, RunId, ToolId};
use bailiwick_core::ledger::Event;
use bailiwick_store::{LastCall, LastOk, Store, StoreError};
use support::*;

const OUTCOMES: [&str; 5] = ["ok", "error", "timeout", "not_executed", "unknown"];

/// A call as the test itself remembers it.
struct Call {
    run: usize,
    tool: ToolId,
    external: bool,
    action: ActionId,
    /// Its outcome with the index of the outcome's entry.
    over: Option<(&'static str, u64)>,
}

fn in_run(mut event: Event, run: &RunId, tool: &ToolId) -> Event {
    event.subjects.run = Some(run.to_string());
    event.subjects.tool = Some(tool.to_string());
    event.subjects.agent = Some("agent:runner".to_owned());
    event
}

/// The last calls of a run, and the last that went well, by the remembered calls.
fn expected(calls: &[Call], run: usize) -> (Vec<LastCall>, Vec<LastOk>) {
    let mut last: BTreeMap<&ToolId, Option<u64>> = BTreeMap::new();
    let mut well: BTreeMap<(&ToolId, bool), (u64, &ActionId)> = BTreeMap::new();
    for call in calls.iter().filter(|call| call.run == run) {
        if let Some(("not_executed", _)) = call.over
            && !call.external
        {
            continue;
        }
        let over = call.over.map(|(_, index)| index);
        let slot = last.entry(&call.tool).or_insert(over);
        *slot = match (*slot, over) {
            (Some(a), Some(b)) => Some(a.max(b)),
            _ => None,
        };
        if let Some(("ok", index)) = call.over {
            let slot = well.entry((&call.tool, call.external)).or_insert((index, &call.action));
            if index > slot.0 {
                *slot = (index, &call.action);
            }
        }
    }
    let last = last.into_iter().map(|(tool, over)| LastCall { tool: tool.clone(), over });
    let well = well.into_iter().map(|((tool, external), (over, action))| LastOk {
        tool: tool.clone(),
        action: action.clone(),
        agent: "agent:runner".parse().unwrap(),
        over,
        external,
    });
    (last.collect(), well.collect())
}

fn found(store: &Store, run: &RunId) -> (Vec<LastCall>, Vec<LastOk>) {
    store
        .read(|v| -> Result<_, StoreError> {
            Ok((v.last_calls_of_run(run)?, v.last_ok_calls_of_run(run)?))
        })
        .unwrap()
}

#[test]
fn the_last_calls_of_runs_are_those_that_their_entries_tell_of() {
    let f = fixture();
    let runs: Vec<RunId> = (0..2).map(|_| RunId::mint(NOW, bytes())).collect();
    let tools: Vec<ToolId> =
        (0..3).map(|n| format!("mcp:desk:tools/t{n}").parse().unwrap()).collect();
    let mut calls: Vec<Call> = Vec::new();
    let mut seen = (0, 0);
    for _ in 0..250 {
        let [what, which, other] = bytes::<3>();
        let open: Vec<usize> = (0..calls.len()).filter(|n| calls[*n].over.is_none()).collect();
        if what.is_multiple_of(2) || open.is_empty() {
            let run = usize::from(which) % runs.len();
            let tool = tools[usize::from(other) % tools.len()].clone();
            let (call, external) = (action(), what.is_multiple_of(5));
            // What was denied, or has no run, is no call of a run.
            append(&f.store, in_run(decided(&action(), "deny"), &runs[run], &tool)).unwrap();
            append(&f.store, decided(&action(), "allow")).unwrap();
            let mut event = in_run(decided(&call, "allow"), &runs[run], &tool);
            event.body.insert("enforcement", if external { "mesh" } else { "gateway" });
            append(&f.store, event).unwrap();
            calls.push(Call { run, tool, external, action: call, over: None });
        } else {
            let nth = open[usize::from(which) % open.len()];
            let outcome = OUTCOMES[usize::from(other) % OUTCOMES.len()];
            let call = &calls[nth];
            let event = in_run(completed(&call.action, outcome), &runs[call.run], &call.tool);
            let index = append(&f.store, event).unwrap().index;
            calls[nth].over = Some((outcome, index));
        }
        for (nth, run) in runs.iter().enumerate() {
            let (last, well) = expected(&calls, nth);
            assert_eq!(found(&f.store, run), (last.clone(), well.clone()));
            seen = (seen.0.max(last.len()), seen.1.max(well.len()));
        }
    }
    assert_eq!(seen.0, tools.len(), "each tool was called");
    assert!(seen.1 > tools.len(), "calls of the gateway and of others went well");

    let before: Vec<_> = runs.iter().map(|run| found(&f.store, run)).collect();
    f.store.write(|tx: &mut bailiwick_store::Tx<'_>| tx.rebuild()).wait().unwrap();
    assert_eq!(runs.iter().map(|run| found(&f.store, run)).collect::<Vec<_>>(), before);
    assert!(audited(&f.path).findings.is_empty());
    let raw = rusqlite::Connection::open(f.path.join("state.db")).unwrap();
    raw.execute("UPDATE run_tools SET going = 0, ok = 1", []).unwrap();
    let report = audited(&f.path);
    assert!(report.findings.iter().any(|f| f.code == "state-differs"), "{:?}", report.findings);
}
