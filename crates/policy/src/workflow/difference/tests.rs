use proptest::prelude::*;

use super::*;
use crate::checklist::tests::WHOLE;

fn read(text: &str) -> Workflow {
    Workflow::parse(text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
}

/// Edits of `WHOLE` that are alone on their place: what to replace by what, where
/// the difference is then told, and whether it widens one way and the other.
const EDITS: &[(&str, &str, &str, bool, bool)] = &[
    ("workflow: w", "workflow: x", "workflow", false, false),
    ("\"1\"", "\"2\"", "version", false, false),
    ("purpose: p", "purpose: q", "purpose", false, false),
    ("user:o", "user:q", "owner", true, true),
    ("[agent:a]", "[agent:a, agent:b]", "agents > agent:b", true, false),
    ("level: autonomous", "level: bounded", "level", false, true),
    ("window_seconds: 60", "window_seconds: 61", "window_seconds", true, false),
    ("max_depth: 1", "max_depth: 2", "max_depth", true, false),
    ("max_calls: 5", "max_calls: 6", "budget > max_calls", true, false),
    ("max_calls: 5", "max_calls: 5, per/60/max_calls: 2", "budget > per/60/max_calls", false, true),
    ("risk: low,", "risk: medium,", "tool_servers > d > tools > get > risk", false, true),
    ("effect: read", "effect: write", "tool_servers > d > tools > get > effect", false, true),
    ("data: [x]", "data: [x, y]", "tool_servers > d > tools > get > data > y", false, true),
    (
        "data: [x]",
        "data: [x], bearer: true",
        "tool_servers > d > tools > get > bearer",
        true,
        false,
    ),
    (
        "data: [x]",
        "data: [x], idempotent: true",
        "tool_servers > d > tools > get > idempotent",
        true,
        false,
    ),
    (
        "data: [x]",
        "data: [x], personal: false",
        "tool_servers > d > tools > get > personal",
        true,
        true,
    ),
    (
        "data: [x]",
        "data: [x], timeout_seconds: 5",
        "tool_servers > d > tools > get > timeout_seconds",
        false,
        false,
    ),
    (
        "    tools:\n      get",
        "    questions: [roots]\n    tools:\n      get",
        "tool_servers > d > questions",
        true,
        false,
    ),
    (
        "    tools:\n      get",
        "    task_seconds: 5\n    tools:\n      get",
        "tool_servers > d > task_seconds",
        true,
        false,
    ),
    (
        "      put:",
        "      new: {risk: low, effect: read}\n      put:",
        "tool_servers > d > tools > new",
        true,
        false,
    ),
    (
        "  d:\n",
        "  e: {tools: {new: {risk: low, effect: read}}}\n  d:\n",
        "tool_servers > e > tools > new",
        true,
        false,
    ),
    (
        "{id: \"{id}\"}\n",
        "{id: \"{id}\", x: 1}\n",
        "shorthands > t:{id} > tools > mcp:d:tools/get",
        true,
        true,
    ),
    (
        "shorthands:\n",
        "shorthands:\n  \"all\": {tools: {d/get: any}}\n",
        "shorthands > all",
        true,
        false,
    ),
    ("classes: [x]", "classes: [x, y]", "data_sources > classes > y", true, false),
    ("context: [handbook]", "context: []", "data_sources > context > handbook", false, true),
    ("it is done", "it is so", "completion > done > says", false, false),
    ("by: {tool: d/put}", "by: self_report", "completion > done > by", true, false),
    ("by: {tool: d/put}", "by: {tool: d/get}", "completion > done > by", true, true),
    ("by: {tool: d/put}", "by: review", "completion > done > by", false, true),
    (
        "by: {tool: d/put}",
        "by: {tool: d/put}, changed_by: [d/put]",
        "completion > done > changed_by",
        true,
        false,
    ),
    (
        "completion:\n",
        "completion:\n  - {id: new, says: s, by: review}\n",
        "completion > new",
        false,
        true,
    ),
    ("by: [owner]", "by: [owner, principal]", "review > by > principal", true, false),
    ("when: always", "when: {every: 2}", "review > when", true, false),
    ("when: always", "when: incomplete", "review > when", true, false),
    ("undo it", "mend it", "rollback > undo > says", false, false),
    (
        "rollback:\n",
        "rollback:\n  - {id: new, says: s, how: manual}\n",
        "rollback > new",
        false,
        true,
    ),
    ("{at_least: 0.9}", "{at_least: 0.8}", "evaluation > targets > task_success_rate", true, false),
    (
        "{at_least: 0.9}",
        "{at_least: 0.9}, escalation_rate: {at_most: 0.5}",
        "evaluation > targets > escalation_rate",
        false,
        true,
    ),
    ("window_days: 30", "window_days: 31", "evaluation > window_days", false, false),
    ("minimum_runs: 20", "minimum_runs: 19", "evaluation > minimum_runs", true, false),
    (
        "confidence_percent: 95",
        "confidence_percent: 90",
        "evaluation > confidence_percent",
        true,
        false,
    ),
    ("failed_runs: 1", "failed_runs: 2", "evaluation > error_budget > failed_runs", true, false),
    (
        "window_hours: 24",
        "window_hours: 23",
        "evaluation > error_budget > window_hours",
        true,
        false,
    ),
    ("max_depth: 1", "max_depth: 1\napprovals: {needed: 2}", "approvals > needed", false, true),
    (
        "max_depth: 1",
        "max_depth: 1\napprovals: {separate: true}",
        "approvals > separate",
        false,
        true,
    ),
    (
        "max_depth: 1",
        "max_depth: 1\napprovals: {key_max_risk: high}",
        "approvals > key_max_risk",
        true,
        false,
    ),
    (
        "max_depth: 1",
        "max_depth: 1\napprovals: {wait_seconds: 60}",
        "approvals > wait_seconds",
        false,
        false,
    ),
];

#[test]
fn each_change_is_told_at_its_place_with_what_it_widens() {
    let one = read(WHOLE);
    for (from, to, place, forth, back) in EDITS {
        let text = WHOLE.replacen(from, to, 1);
        assert_ne!(text, WHOLE, "{from}");
        let other = read(&text);
        for (a, b, widens) in [(&one, &other, *forth), (&other, &one, *back)] {
            let found = Difference::between(a, b);
            let told: Vec<_> = found.changes.iter().map(|c| (c.place(), c.widens)).collect();
            assert_eq!(told, [((*place).to_owned(), widens)], "{to}");
        }
    }
}

#[test]
fn what_is_taken_out_of_a_checklist_widens_even_where_it_lowers_the_level() {
    let one = read(WHOLE);
    for (member, place) in [
        ("data_sources", "data_sources"),
        ("completion", "completion > done"),
        ("review", "review"),
        ("rollback", "rollback > undo"),
        ("runs", "runs"),
    ] {
        let text: String = {
            let mut inside = false;
            let lines = WHOLE.lines().filter(|line| {
                if !line.starts_with(' ') {
                    inside = line.starts_with(&format!("{member}:"));
                }
                !inside
            });
            lines.map(|line| format!("{line}\n")).collect()
        };
        let less = read(&text);
        let found = Difference::between(&one, &less);
        let told: Vec<_> = found.changes.iter().map(|c| (c.place(), c.kind(), c.widens)).collect();
        assert_eq!(told, [(place.to_owned(), "removed", true)]);
        assert!(found.permitted.1 < found.permitted.0);
        // Filling it in again raises what is in force, and that is said too.
        let back = Difference::between(&less, &one);
        assert!(back.changes.iter().all(|c| !c.widens) && back.widens());
    }
}

#[test]
fn lists_in_another_order_differ_and_widen_nothing() {
    let two = |a: &str, b: &str| {
        let of = |id: &str| format!("  - {{id: {id}, says: s, by: review}}\n");
        read(&WHOLE.replacen("completion:\n", &format!("completion:\n{}{}", of(a), of(b)), 1))
    };
    let found = Difference::between(&two("a", "b"), &two("b", "a"));
    let told: Vec<_> = found.changes.iter().map(|c| (c.place(), c.widens)).collect();
    assert_eq!(told, [("completion".to_owned(), false)]);
}

#[test]
fn a_change_shows_as_json() {
    let other = read(&WHOLE.replace("level: autonomous", "level: bounded"));
    let found = Difference::between(&other, &read(WHOLE));
    insta::assert_snapshot!(found.changes[0].to_json().canonical(), @r#"{"after":"autonomous","before":"bounded","change":"changed","path":["level"],"widens":true}"#);
    assert!(found.widens());
}

/// `WHOLE` with some of the edits that can stand beside one another.
fn edited(which: &[bool]) -> Workflow {
    let mut text = WHOLE.to_owned();
    for ((from, to, ..), _) in EDITS.iter().zip(which).filter(|(_, take)| **take) {
        let with = text.replacen(from, to, 1);
        if Workflow::parse(&with).is_ok() {
            text = with;
        }
    }
    read(&text)
}

proptest! {
    #[test]
    fn versions_that_differ_in_nothing_are_the_same_version(
        a in proptest::collection::vec(any::<bool>(), EDITS.len()),
        b in proptest::collection::vec(any::<bool>(), EDITS.len()),
    ) {
        let (a, b) = (edited(&a), edited(&b));
        let forth = Difference::between(&a, &b);
        let back = Difference::between(&b, &a);
        // Default rules about approvals are the same said or not.
        if a.approvals.is_some() == b.approvals.is_some() {
            prop_assert_eq!(forth.changes.is_empty(), a.digest() == b.digest());
        }
        // The way back tells the same places, with the sides changed.
        let sides = |d: &Difference| -> Vec<_> {
            d.changes.iter().map(|c| (c.path.clone(), c.before.clone(), c.after.clone())).collect()
        };
        let turned: Vec<_> = sides(&back).into_iter().map(|(p, x, y)| (p, y, x)).collect();
        prop_assert_eq!(sides(&forth), turned);
        // A higher level never comes without being told.
        if b.permitted_level() > a.permitted_level() {
            prop_assert!(forth.widens());
        }
        prop_assert!(Difference::between(&a, &a).changes.is_empty());
    }
}
