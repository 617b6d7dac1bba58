//! Held calls: found in parts, counted exactly, and told of.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use std::collections::BTreeSet;

use bailiwick_core::ids::{
    AgentId, Alias, ApprovalId, EntryId, InstanceId, ServerName, TaskId, ToolId, WorkflowId,
};
use bailiwick_core::ledger::{Event, Kind, Subjects};
use bailiwick_core::time::Timestamp;
use bailiwick_store::{
    Approval, ApprovalFilter, ApprovalState, Asked, Hours, Noticed, Quick, Row, Said, Store, Tried,
    Tx, Verdict, Visible,
};
use support::*;

const TOOL: &str = "mcp:desk:tools/get_ticket";

fn alias() -> Alias {
    Alias::mint(NOW, bytes())
}

/// A call of `principal` that asked `asked` seconds after the beginning.
fn approval(principal: &Alias, asked: i64, wait: i64) -> Approval {
    let asked = NOW.plus_seconds(asked);
    Approval {
        id: ApprovalId::mint(asked, bytes()),
        state: ApprovalState::Pending,
        action: digest("action"),
        policy: digest("policy"),
        rule: "policy:refunds".into(),
        risk: "high".into(),
        server: ServerName::parse("desk").unwrap(),
        tool: ToolId::parse(TOOL).unwrap(),
        principal: principal.clone(),
        agent: AgentId::parse("agent:runner").unwrap(),
        instance: Some(InstanceId::mint(NOW, bytes())),
        workflow: WorkflowId::parse("support").unwrap(),
        workflow_digest: digest("workflow"),
        task: TaskId::mint(NOW, bytes()),
        root: digest("root"),
        leaf: digest("leaf"),
        needed: 1,
        asked,
        expires: asked.plus_seconds(wait),
        settled: None,
    }
}

fn hold(store: &Store, approval: &Approval) -> EntryId {
    let subjects = Subjects { decision: Some("approval_required".into()), ..Subjects::default() };
    let event = Event { subjects, ..event(Kind::ActionDecided) };
    let row = Row::Approval(Box::new(approval.clone()));
    let written = store.write(move |tx: &mut Tx<'_>| tx.record(MAKER, &key(), event, &row));
    written.wait().unwrap().entry
}

/// `approver` says something `after` milliseconds after the question.
fn say(store: &Store, approval: &Approval, approver: &Alias, verdict: Said, after: i64) {
    let row = Verdict {
        approval: approval.id.clone(),
        approver: approver.clone(),
        verdict,
        grade: "key".into(),
        credential: "credential".into(),
        signed: "signed".into(),
        said: Timestamp::from_millis(approval.asked.millis() + after),
    };
    record(store, Kind::ApprovalDecided, Row::Verdict(row)).unwrap();
}

#[test]
fn figures_about_people_are_exact() {
    let f = fixture();
    let (ana, ben, principal) = (alias(), alias(), alias());
    // NOW is a full hour. Five calls ask; each waits ten minutes:
    //   a   0 s: Ana approves after 0.5 s       (hour 0)
    //   b  60 s: Ana approves after 30 s        (hour 0)
    //   c 120 s: Ben denies after 90 s          (hour 0)
    //   d 3600 s: Ana approves after 1 s exactly (hour 1): not within the second
    //   e 3700 s: nobody says anything: over at 4300 s
    //   f 4000 s: still waits at 4300 s (until 4600 s)
    assert_eq!(NOW.millis() % 3_600_000, 0);
    let asked: Vec<Approval> =
        [0, 60, 120, 3600, 3700, 4000].map(|at| approval(&principal, at, 600)).into();
    for held in &asked {
        hold(&f.store, held);
    }
    say(&f.store, &asked[0], &ana, Said::Approve, 500);
    say(&f.store, &asked[1], &ana, Said::Approve, 30_000);
    say(&f.store, &asked[2], &ben, Said::Deny, 90_000);
    say(&f.store, &asked[3], &ana, Said::Approve, 1_000);
    let now = NOW.plus_seconds(4300);
    let span = NOW..now;
    let view = |work: &dyn Fn(&bailiwick_store::View<'_>)| {
        f.store
            .read(|v| {
                work(v);
                Ok::<_, bailiwick_store::StoreError>(())
            })
            .unwrap();
    };
    view(&|v| {
        // Ana said three things, two of them in hour 0; Ben one.
        let hours = [
            Hours { approver: ana.clone(), said: 3, busiest_hour: 2 },
            Hours { approver: ben.clone(), said: 1, busiest_hour: 1 },
        ];
        assert_eq!(v.verdicts_by_approver(span.clone()).unwrap(), hours);
        // 500, 1000, 30000, 90000: the mean of the two in the middle is 15500.
        assert_eq!(v.median_time_to_decide(span.clone()).unwrap(), Some(15_500));
        // Without the first hour's three there is one: 1000.
        let late = NOW.plus_seconds(3600)..now;
        assert_eq!(v.median_time_to_decide(late.clone()).unwrap(), Some(1_000));
        // Three approvals; half a second is within one, a second is not.
        let quick = Quick { approvals: 3, within_second: 1 };
        assert_eq!(v.quick_approvals(span.clone()).unwrap(), quick);
        // Six asked; f still waits; e expired.
        let figures = Asked { asked: 6, over: 5, expired: 1 };
        assert_eq!(v.asked_and_expired(span.clone(), now).unwrap(), figures);
        // Nothing of nothing.
        let never = now..now;
        assert_eq!(v.median_time_to_decide(never.clone()).unwrap(), None);
        assert_eq!(v.quick_approvals(never.clone()).unwrap(), Quick::default());
        assert_eq!(v.asked_and_expired(never.clone(), now).unwrap(), Asked::default());
        assert!(v.verdicts_by_approver(never).unwrap().is_empty());
    });
}

#[test]
fn parts_of_a_list_have_every_call_once_whatever_their_times() {
    let f = fixture();
    let principal = alias();
    // Many end and ask at the same moment: the id tells them apart.
    let all: BTreeSet<ApprovalId> = (0..120)
        .map(|n| {
            let held = approval(&principal, n % 3, 600 + n % 2);
            hold(&f.store, &held);
            held.id.clone()
        })
        .collect();
    for waiting_at in [Some(NOW), None] {
        let mut filter = ApprovalFilter { waiting_at, limit: 7, ..ApprovalFilter::default() };
        let (mut seen, mut times) = (Vec::new(), Vec::new());
        loop {
            let found = f.store.read(|v| v.find_approvals(&filter)).unwrap();
            let Some(last) = found.last() else { break };
            filter.after = Some(filter.place(last));
            seen.extend(found.iter().map(|held| held.id.clone()));
            times.extend(found.iter().map(|held| (held.expires, held.asked)));
        }
        assert_eq!(seen.len(), all.len(), "each once");
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), all);
        let in_order = match waiting_at {
            Some(_) => times.is_sorted_by_key(|(expires, _)| *expires),
            None => times.is_sorted_by(|a, b| a.1 >= b.1),
        };
        assert!(in_order);
        let place = filter.after.unwrap();
        assert_eq!(place.to_string().parse(), Ok(place));
    }
    for bad in ["", "x", "1", "1.", "x.018cc251-f400-7000-8000-000000000009"] {
        assert!(bad.parse::<bailiwick_store::ApprovalPlace>().is_err(), "{bad}");
    }
}

#[test]
fn whoever_may_see_some_sees_no_other() {
    let f = fixture();
    let (me, other) = (alias(), alias());
    let mine = approval(&me, 0, 600);
    let theirs = approval(&other, 1, 600);
    let elsewhere = Approval {
        tool: ToolId::parse("mcp:desk:tools/refund").unwrap(),
        ..approval(&other, 2, 600)
    };
    let older = Approval { workflow_digest: digest("older"), ..approval(&other, 3, 600) };
    for held in [&mine, &theirs, &elsewhere, &older] {
        hold(&f.store, held);
    }
    let seen = |visible: Option<Visible>| {
        let filter = ApprovalFilter { visible, limit: 100, ..ApprovalFilter::default() };
        let found = f.store.read(|v| v.find_approvals(&filter)).unwrap();
        found.into_iter().map(|held| held.row.id).collect::<BTreeSet<_>>()
    };
    let id = |held: &Approval| held.id.clone();
    assert_eq!(seen(None).len(), 4);
    let own = Visible { own: me.clone(), of: BTreeSet::new() };
    assert_eq!(seen(Some(own)), [id(&mine)].into());
    let of = [(digest("workflow"), ToolId::parse(TOOL).unwrap())].into();
    assert_eq!(seen(Some(Visible { own: me, of })), [id(&mine), id(&theirs)].into());
}

#[test]
fn what_a_webhook_is_told_is_kept_once_and_outlives_a_rebuild() {
    let f = fixture();
    let principal = alias();
    let held = approval(&principal, 0, 600);
    let entry = hold(&f.store, &held);
    append(&f.store, event(Kind::PlaintextRead)).unwrap();
    say(&f.store, &held, &alias(), Said::Approve, 10);
    let entries = f.store.read(|v| v.entries_about_approvals(0)).unwrap();
    assert_eq!(entries.iter().map(|e| e.index).collect::<Vec<_>>(), [0, 2]);
    let found = f.store.read(|v| v.approval_of_entry(&entry)).unwrap().unwrap();
    assert_eq!((&found.id, found.settled.is_some()), (&held.id, true));

    let noticed = Noticed {
        entry: entry.clone(),
        event: "approval.requested".into(),
        approval: held.id.clone(),
        time: NOW,
    };
    let keep = |upto| {
        let noticed = noticed.clone();
        f.store.write(move |tx| tx.keep_noticed("chat", &[noticed], upto)).wait().unwrap();
    };
    assert_eq!(f.store.read(|v| v.webhook_upto("chat")).unwrap(), None);
    keep(3);
    let tried = |tried: Tried, at| {
        let entry = entry.clone();
        let tried = f.store.write(move |tx| tx.delivery_tried("chat", &entry, at, &tried));
        tried.wait().unwrap();
    };
    let due = |at| f.store.read(|v| v.due_deliveries("chat", at)).unwrap();
    assert_eq!((due(NOW).len(), due(NOW.plus_seconds(-1)).len()), (1, 0));
    let again = Some(NOW.plus_seconds(5));
    tried(Tried::Failed { why: "webhook-status".into(), again }, NOW);
    // Looking again neither repeats it nor goes back.
    keep(1);
    assert_eq!(f.store.read(|v| v.webhook_upto("chat")).unwrap(), Some(3));
    assert_eq!((due(NOW).len(), due(NOW.plus_seconds(5))[0].tries), (0, 1));
    f.store.write(|tx| tx.rebuild()).wait().unwrap();
    assert_eq!(due(NOW.plus_seconds(5)).len(), 1, "no projection");
    tried(Tried::Taken, NOW.plus_seconds(6));
    let state = f.store.read(|v| v.webhook_state("chat")).unwrap();
    assert_eq!((state.waiting, state.given_up), (0, 0));
    assert_eq!(state.delivered, Some(NOW.plus_seconds(6)));
    assert!(due(NOW.plus_seconds(1_000_000)).is_empty());
    let forget = |before| f.store.write(move |tx| tx.forget_deliveries(before)).wait().unwrap();
    assert_eq!((forget(NOW), forget(NOW.plus_seconds(1))), (0, 1));
}
