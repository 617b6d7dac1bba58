use bailiwick_core::limits::JsonLimits;
use proptest::prelude::*;

use super::*;
use crate::grades::{Effect, Level};
use crate::workflow::Workflow;

const BUNDLED: &str = include_str!("../../../../workflows/support-tickets.yaml");

/// A workflow of one tool that writes, whose checklist lacks nothing.
pub(crate) const WHOLE: &str = r#"workflow: w
version: "1"
owner: user:o
purpose: p
agents: [agent:a]
level: autonomous
window_seconds: 60
max_depth: 1
budget: {max_calls: 5}
tool_servers:
  d:
    tools:
      get: {risk: low, effect: read, data: [x]}
      put: {risk: high, effect: write, data: [y]}
shorthands:
  "t:{id}":
    parameters: {id: integer}
    tools:
      d/get: {id: "{id}"}
data_sources: {tool_servers: [d], classes: [x], context: [handbook]}
completion:
  - {id: done, says: it is done, by: {tool: d/put}}
review: {by: [owner], when: always}
rollback:
  - {id: undo, says: undo it, how: {tool: d/put, arguments: {id: "{argument:id}"}, undoes: d/put}}
evaluation:
  targets: {task_success_rate: {at_least: 0.9}}
  window_days: 30
  minimum_runs: 20
  confidence_percent: 95
  error_budget: {failed_runs: 1, window_hours: 24}
runs: required
"#;

fn read(text: &str) -> Workflow {
    Workflow::parse(text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"))
}

fn json(text: &str) -> Json {
    Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap()
}

/// `WHOLE` without the lines from the one that starts with `from` to the next
/// that starts a member.
fn without(member: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for line in WHOLE.lines() {
        if !line.starts_with(' ') {
            inside = line.starts_with(&format!("{member}:"));
        }
        if !inside {
            out.push_str(line);
            out.push('\n');
        }
    }
    assert_ne!(out, WHOLE, "{member}");
    out
}

fn gaps(workflow: &Workflow) -> Vec<(&'static str, Level)> {
    workflow.missing().into_iter().map(|m| (m.member, m.caps)).collect()
}

#[test]
fn a_checklist_that_lacks_nothing_carries_every_level() {
    let whole = read(WHOLE);
    assert_eq!(gaps(&whole), []);
    assert_eq!((whole.supports(), whole.permitted_level()), (Level::Autonomous, Level::Autonomous));
    let bounded = read(&WHOLE.replace("level: autonomous", "level: bounded"));
    assert_eq!(bounded.permitted_level(), Level::Bounded, "it raises nothing");
}

#[test]
fn each_gap_caps_the_level() {
    for (member, level) in [
        ("data_sources", Level::Manual),
        ("completion", Level::Manual),
        ("review", Level::Manual),
        ("rollback", Level::Manual),
        ("budget", Level::Manual),
        ("runs", Level::Bounded),
    ] {
        let workflow = read(&without(member));
        assert_eq!(gaps(&workflow), [(member, level)]);
        assert_eq!((workflow.supports(), workflow.permitted_level()), (level, level), "{member}");
    }
    let none = read(&without("evaluation"));
    let both = [("evaluation", Level::Manual), ("evaluation.error_budget", Level::Bounded)];
    assert_eq!((gaps(&none), none.permitted_level()), (both.to_vec(), Level::Manual));
    let unbudgeted = WHOLE.replace("  error_budget: {failed_runs: 1, window_hours: 24}\n", "");
    let unbudgeted = read(&unbudgeted);
    assert_eq!(gaps(&unbudgeted), [("evaluation.error_budget", Level::Bounded)]);
    for (by, caps) in [
        ("self_report", true),
        ("self_check", true),
        ("review", false),
        ("{check: lint}", false),
        ("{tool_check: d/get, expect: [{at: /x, equals: 1}]}", false),
    ] {
        let workflow = read(&WHOLE.replace("by: {tool: d/put}", &format!("by: {by}")));
        let expected: &[_] = if caps { &[("completion.by", Level::Bounded)] } else { &[] };
        assert_eq!(gaps(&workflow), expected, "{by}");
    }
}

#[test]
fn autonomous_asks_for_targets_that_say_something() {
    for (from, to, member) in [
        ("{at_least: 0.9}", "{at_least: 0.49}", "evaluation.targets"),
        (
            "task_success_rate: {at_least: 0.9}",
            "blocked_call_rate: {at_most: 0.1}",
            "evaluation.targets",
        ),
        ("minimum_runs: 20", "minimum_runs: 19", "evaluation.minimum_runs"),
    ] {
        let workflow = read(&WHOLE.replace(from, to));
        assert_eq!(gaps(&workflow), [(member, Level::Bounded)], "{to}");
    }
    assert_eq!(gaps(&read(&WHOLE.replace("{at_least: 0.9}", "{at_least: 0.5}"))), []);
}

#[test]
fn what_a_new_file_says_in_the_place_of_a_person_is_missing() {
    let [purpose, says, undoes] = PLACEHOLDERS;
    for (from, to, member) in [
        ("purpose: p", format!("purpose: {purpose}"), "purpose"),
        ("says: it is done", format!("says: {says}"), "completion.says"),
        ("says: undo it", format!("says: \"{undoes}\""), "rollback.says"),
    ] {
        let workflow = read(&WHOLE.replace(from, &to));
        assert_eq!(gaps(&workflow), [(member, Level::Manual)], "{to}");
    }
}

#[test]
fn a_capped_level_is_told_with_the_members_that_would_lift_it() {
    assert_eq!(read(WHOLE).capped(), None);
    let told = read(&without("review")).capped().unwrap();
    assert_eq!(told, "level autonomous is stated, manual is in force at most: without review");
    let stated = without("review").replace("level: autonomous", "level: manual");
    assert_eq!(read(&stated).capped(), None);
    let told = read(&without("runs")).capped().unwrap();
    assert_eq!(told, "level autonomous is stated, bounded is in force at most: without runs");
}

#[test]
fn what_only_reads_needs_no_rollback() {
    let reads = without("rollback").replace("effect: write", "effect: read");
    let reads = reads.replace("{tool: d/put}", "{tool: d/get}");
    assert_eq!(read(&reads).supports(), Level::Autonomous);
}

#[test]
fn an_empty_checklist_leaves_every_effect_to_people_and_the_digest_as_it_was() {
    let text = WHOLE.split("data_sources:").next().unwrap();
    let workflow = read(text);
    assert_eq!(workflow.checklist, Checklist::default());
    assert_eq!(workflow.permitted_level(), Level::Manual);
    for member in ["data_sources", "completion", "review", "rollback", "evaluation", "runs"] {
        assert!(!workflow.canonical_json().contains(&format!("\"{member}\":")), "{member}");
    }
    assert_eq!(workflow.checklist.to_json(), Json::from(Object::new()));
}

#[test]
fn a_checklist_reads_back_as_the_same_version() {
    for text in [WHOLE, BUNDLED] {
        let one = read(text);
        let again = read(&one.canonical_json());
        assert_eq!((again.digest(), &again), (one.digest(), &one));
    }
    insta::assert_snapshot!(read(WHOLE).checklist.to_json().canonical());
}

#[test]
fn everything_that_a_checklist_says_changes_the_digest() {
    let one = read(WHOLE).digest();
    for (from, to) in [
        ("[d], classes", "[], classes"),
        ("classes: [x]", "classes: [x, y]"),
        ("[handbook]", "[memory]"),
        ("id: done", "id: ready"),
        ("it is done", "it is so"),
        ("by: {tool: d/put}", "by: {tool: d/get}"),
        ("by: {tool: d/put}", "by: review"),
        ("by: {tool: d/put}", "by: {check: lint}"),
        ("by: {tool: d/put}}", "by: {tool: d/put}, changed_by: [d/put]}"),
        ("when: always", "when: incomplete"),
        ("when: always", "when: {every: 2}"),
        ("by: [owner]", "by: [principal]"),
        ("by: [owner]", "by: [\"role:approver\"]"),
        ("by: [owner]", "by: [\"user:x\"]"),
        ("id: undo", "id: redo"),
        ("undo it", "mend it"),
        ("{id: \"{argument:id}\"}", "{id: 1}"),
        (", undoes: d/put}", "}"),
        ("{tool: d/put, arguments: {id: \"{argument:id}\"}, undoes: d/put}", "manual"),
        ("at_least: 0.9", "at_least: 0.95"),
        ("task_success_rate: {at_least", "escalation_rate: {at_most"),
        ("window_days: 30", "window_days: 31"),
        ("minimum_runs: 20", "minimum_runs: 21"),
        ("confidence_percent: 95", "confidence_percent: 90"),
        ("failed_runs: 1", "failed_runs: 0"),
        ("window_hours: 24", "window_hours: 48"),
        ("runs: required", "runs: optional"),
    ] {
        let mut text = WHOLE.replacen(from, to, 1);
        assert_ne!(text, WHOLE, "{from}");
        if to == "}" {
            text = text.replacen("\"{argument:id}\"", "1", 1);
        }
        assert_ne!(read(&text).digest(), one, "{to}");
    }
}

#[test]
fn grades_follow_from_what_shows_a_criterion() {
    let tool = || ToolId::parse("mcp:d:tools/get").unwrap();
    let check = Backing::ToolCheck { tool: tool(), arguments: Object::new(), expect: Vec::new() };
    for (by, grade) in [
        (Backing::SelfReport, EvidenceGrade::SelfReport),
        (Backing::SelfCheck, EvidenceGrade::SelfCheck),
        (Backing::Tool { tool: tool() }, EvidenceGrade::Observed),
        (check, EvidenceGrade::Independent),
        (Backing::NamedCheck { check: "lint".to_owned() }, EvidenceGrade::Independent),
        (Backing::Review, EvidenceGrade::Human),
    ] {
        assert_eq!(by.least(), grade);
    }
}

#[test]
fn evidence_is_made_stale_by_the_tools_named_or_by_all_that_write() {
    let workflow = read(WHOLE);
    let named = read(&WHOLE.replace("d/put}}\nreview", "d/get}, changed_by: [d/put]}\nreview"));
    for (workflow, put) in [(&workflow, true), (&named, true)] {
        let criterion = &workflow.checklist.completion[0];
        for (tool, rating) in workflow.catalogue.tools() {
            let expected = put && rating.effect == Effect::Write;
            assert_eq!(criterion.is_changed_by(&tool, rating), expected, "{tool}");
        }
    }
    assert!(named.checklist.completion[0].changed_by.is_some());
}

#[test]
fn placeholders_stand_for_whole_values_of_the_call() {
    let template = json(r#"{"a":"{argument:id}","b":["{argument:note}",1],"c":"plain"}"#);
    let call = json(r#"{"id":7,"note":{"x":"{argument:id}"}}"#);
    let filled = fill(&template, call.as_object().unwrap()).unwrap();
    // What a call carried is a value; it is not read again.
    let expected = json(r#"{"a":7,"b":[{"x":"{argument:id}"},1],"c":"plain"}"#);
    assert_eq!(filled, expected);
    let missing = fill(&template, &Object::new()).unwrap_err();
    assert_eq!(missing.to_string(), "the call has no argument `id`");
    for broken in
        ["x{argument:id}", "{argument:id} ", "{argument:}", "{argument:a{b}", "{argument:id"]
    {
        assert!(is_broken(broken), "{broken}");
    }
    for fine in ["{argument:id}", "plain", "{id}", ""] {
        assert!(!is_broken(fine), "{fine}");
    }
}

#[test]
fn an_expectation_holds_only_where_its_value_stands() {
    let answer = json(r#"{"status":"open","notes":["a","b"],"a/b":{"~":1},"":0}"#);
    for (at, equals, holds) in [
        ("/status", r#""open""#, true),
        ("/status", r#""closed""#, false),
        ("/notes/1", r#""b""#, true),
        ("/notes/01", r#""b""#, false),
        ("/notes/-", r#""b""#, false),
        ("/notes/2", "null", false),
        ("/a~1b/~0", "1", true),
        ("/", "0", true),
        ("/missing", "null", false),
        ("/status/x", "null", false),
    ] {
        let expectation = Expectation { at: at.to_owned(), equals: json(equals) };
        assert_eq!(expectation.holds(&answer), holds, "{at} {equals}");
    }
    let whole = Expectation { at: String::new(), equals: answer.clone() };
    assert!(whole.holds(&answer));
    for bad in ["status", "/~2", "/~", &"/x".repeat(200)] {
        assert!(Pointer::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn reviewers_are_people_or_roles_of_the_console() {
    for text in ["owner", "principal", "role:approver", "role:developer", "user:7"] {
        assert_eq!(text.parse::<Reviewer>().unwrap().to_string(), text);
    }
    for bad in ["", "Owner", "role:", "role:admin", "service:billing", "group:x", "agent:a"] {
        assert!(bad.parse::<Reviewer>().is_err(), "{bad}");
    }
}

#[test]
fn bounds_are_whole_millionths() {
    for (text, millionths) in [
        ("0", 0),
        ("0.9", 900_000),
        ("0.900000", 900_000),
        ("1", MILLION),
        ("12.000001", 12_000_001),
        ("1000000000", 1_000_000_000_000_000),
    ] {
        assert_eq!(Bound::parse_millionths(text), Some(millionths), "{text}");
    }
    for bad in
        ["", ".", ".5", "-1", "1e3", "0.0000001", "1000000001", "99999999999999999999", "1.+2"]
    {
        assert_eq!(Bound::parse_millionths(bad), None, "{bad}");
    }
    assert!(Bound::AtLeast(5).permits(5) && !Bound::AtLeast(5).permits(4));
    assert!(Bound::AtMost(5).permits(5) && !Bound::AtMost(5).permits(6));
    assert_eq!(Bound::AtLeast(950_000).to_string(), "at least 0.95");
}

proptest! {
    #[test]
    fn a_bound_reads_back(millionths in 0..=crate::limits::MAX_BOUND) {
        let text = Bound::decimal(millionths);
        prop_assert_eq!(Bound::parse_millionths(&text), Some(millionths));
    }

    #[test]
    fn removing_a_part_of_a_checklist_never_raises_the_level(mask in 0u8..64) {
        let all = read(WHOLE);
        let mut less = all.clone();
        let list = &mut less.checklist;
        if mask & 1 != 0 { list.data_sources = None; }
        if mask & 2 != 0 { list.completion.clear(); }
        if mask & 4 != 0 { list.review = None; }
        if mask & 8 != 0 { list.rollback.clear(); }
        if mask & 16 != 0 { list.evaluation = None; }
        if mask & 32 != 0 { list.runs = Runs::Optional; }
        prop_assert!(less.supports() <= all.supports());
        prop_assert_eq!(less.supports() == Level::Autonomous, mask == 0);
    }
}
