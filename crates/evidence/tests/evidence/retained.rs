//! What the gateway retained of the catalogue, and names that it committed to
//! instead of writing them.

use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Disclosure, Kind};
use bailiwick_evidence::verdict::{Proven, Recomputed};
use bailiwick_evidence::{Check, Verdict};

use crate::world::{Plan, Story, object, plan};

const DECIDED: Kind = Kind::ActionDecided;

fn proven(verdict: &Verdict) -> &Proven {
    match &verdict.result {
        Ok(proven) => proven,
        Err(failure) => panic!("{failure:?}"),
    }
}

fn fails(story: &Story, check: Check, found: &str) {
    let failure = story.seal().verdict().result.unwrap_err();
    assert_eq!(failure.check, check, "{failure:?}");
    assert!(failure.found.contains(found), "{failure:?}");
}

/// The gateway retained this of the catalogue; the rules said `rule`.
fn retain(story: &mut Story, risk: &str, effect: &str, level: &str, rule: Option<&str>) {
    let pin = story.event(DECIDED, 1).body.member("pin").unwrap().clone();
    let catalogue = Object::new()
        .with("pin", pin)
        .with("risk", risk)
        .with("effect", effect)
        .with("idempotent", true)
        .with("timeout_seconds", Json::Null)
        .with("level", level);
    let inputs = story.value(DECIDED, 1, "inputs");
    *inputs = inputs.as_object().unwrap().clone().with("catalogue", catalogue).into();
    story.body(DECIDED, 1, "risk", risk);
    if let Some(rule) = rule {
        story.body(DECIDED, 1, "rule", rule);
    }
}

fn denied(decision: &'static str, reason: &'static str) -> Plan {
    Plan { decision, reason: Some(reason), outcome: None, ..plan() }
}

#[test]
fn an_allow_is_reached_again_by_the_rules() {
    let mut story = plan().story();
    retain(&mut story, "low", "read", "bounded", Some("within-level"));
    let verdict = story.seal().verdict();
    assert_eq!(proven(&verdict).decision.recomputed, Recomputed::WithPolicy);
    assert!(verdict.report().contains("recomputed with policy"));
    let gaps = proven(&verdict).not_proved();
    assert!(gaps.contains(&"catalogue and budgets at that time: recorded, not recomputed"));
}

#[test]
fn an_allow_that_the_rules_do_not_give_is_a_false_record() {
    let mut story = plan().story();
    retain(&mut story, "medium", "write", "manual", None);
    fails(&story, Check::Decision, "policy says `approval_required` (`manual-effect`)");
    let mut story = plan().story();
    retain(&mut story, "low", "read", "bounded", Some("critical-risk"));
    fails(&story, Check::Decision, "the rule that settled it");
    // What the entry states and what was retained are one.
    let mut story = plan().story();
    retain(&mut story, "low", "read", "bounded", None);
    story.body(DECIDED, 1, "risk", "high");
    fails(&story, Check::Decision, "the retained risk");
}

#[test]
fn an_attested_grant_is_weighed_as_the_log_proves_it() {
    let mut plan = denied("deny", "attested-grant-capped");
    plan.signed = false;
    let mut story = plan.story();
    retain(&mut story, "medium", "read", "bounded", Some("attested-grant"));
    assert_eq!(proven(&story.seal().verdict()).decision.recomputed, Recomputed::WithPolicy);
    // The same denial of a signed grant is none of the rules'.
    let mut story = denied("deny", "attested-grant-capped").story();
    retain(&mut story, "medium", "read", "bounded", Some("attested-grant"));
    fails(&story, Check::Decision, "the rule that settled it");
}

#[test]
fn a_question_to_a_person_is_asked_again() {
    let plan = denied("approval_required", "approval-required");
    let mut story = plan.story();
    retain(&mut story, "medium", "write", "manual", Some("manual-effect"));
    assert_eq!(proven(&story.seal().verdict()).decision.recomputed, Recomputed::WithPolicy);
    let mut story = plan.story();
    retain(&mut story, "low", "read", "bounded", None);
    fails(&story, Check::Decision, "policy says `allow`");
}

/// What the gateway retained of sources and runs.
fn of_checklist(story: &mut Story, members: &[(&str, &str)]) {
    let inputs = story.value(DECIDED, 1, "inputs");
    let mut all = inputs.as_object().unwrap().clone();
    let policy = all.member("policy").and_then(Json::as_object).cloned();
    let mut policy = policy.unwrap_or_default();
    for (name, value) in members {
        policy.insert(*name, *value);
    }
    all.insert("policy", policy);
    *inputs = all.into();
}

#[test]
fn sources_and_runs_are_asked_about_again() {
    for (reason, rule, members) in [
        ("source-undeclared", "undeclared-source", &[("source", "undeclared")][..]),
        ("run-required", "outside-run", &[("runs", "required")][..]),
    ] {
        let mut story = denied("deny", reason).story();
        retain(&mut story, "low", "read", "bounded", Some(rule));
        of_checklist(&mut story, members);
        assert_eq!(proven(&story.seal().verdict()).decision.recomputed, Recomputed::WithPolicy);
        // A denial that what was retained does not give.
        let mut story = denied("deny", reason).story();
        retain(&mut story, "low", "read", "bounded", Some(rule));
        fails(&story, Check::Decision, "the rule that settled it");
        // An allow beside what forbids it.
        let mut story = plan().story();
        retain(&mut story, "low", "read", "bounded", None);
        of_checklist(&mut story, members);
        fails(&story, Check::Decision, &format!("policy says `deny` (`{rule}`)"));
    }
    let mut story = plan().story();
    retain(&mut story, "low", "read", "bounded", None);
    let inside = [("source", "declared"), ("runs", "required"), ("run", "open")];
    of_checklist(&mut story, &inside);
    // In a run by what was retained, and in none by the entry.
    fails(&story, Check::Decision, "the retained run");
    story.event(DECIDED, 1).subjects.run = Some("018cc251-f400-7000-8000-000000000007".into());
    assert_eq!(proven(&story.seal().verdict()).decision.recomputed, Recomputed::WithPolicy);
    for word in ["source", "runs", "run"] {
        let mut story = plan().story();
        retain(&mut story, "low", "read", "bounded", None);
        of_checklist(&mut story, &[(word, "nonsense")]);
        fails(&story, Check::Decision, "malformed");
    }
}

#[test]
fn a_denial_after_the_rules_is_recorded_only() {
    let mut story = denied("deny", "budget-spent").story();
    retain(&mut story, "low", "read", "bounded", None);
    assert_eq!(proven(&story.seal().verdict()).decision.recomputed, Recomputed::RecordedOnly);
}

/// As the gateway writes it when the caller made the tool's name up.
fn commit_tool(story: &mut Story) {
    let event = story.event(DECIDED, 1);
    let tool = event.subjects.tool.take().unwrap();
    event.disclosures.push(("tool".into(), Disclosure { salt: [8; 32], value: tool.into() }));
}

fn made_up() -> Story {
    let mut plan = denied("deny", "tool-not-delegated");
    plan.tool = "mcp:support-desk:tools/tell Mrs Example".into();
    plan.arguments = object("{}");
    let mut story = plan.story();
    crate::holds::without_pin(&mut story);
    story
}

#[test]
fn a_tool_whose_name_was_committed_to_is_proved_from_its_text() {
    let mut story = made_up();
    commit_tool(&mut story);
    let verdict = story.seal().verdict();
    let proven = proven(&verdict);
    assert_eq!(proven.decision.recomputed, Recomputed::Agrees);
    let tool = &proven.authority.as_ref().unwrap().tool;
    assert_eq!(tool, "mcp:support-desk:tools/tell Mrs Example");
    // Also at a tool server that nobody catalogued.
    story.body(DECIDED, 1, "server", Json::Null);
    assert_eq!(self::proven(&story.seal().verdict()).decision.recomputed, Recomputed::Agrees);
}

#[test]
fn the_text_of_a_committed_name_is_held_against_proof_and_action() {
    let mut story = made_up();
    commit_tool(&mut story);
    *story.value(DECIDED, 1, "tool") = "mcp:support-desk:tools/get_order".into();
    fails(&story, Check::Delegation, "proof-other-tool");
    let mut story = made_up();
    commit_tool(&mut story);
    story.body(DECIDED, 1, "server", "elsewhere");
    fails(&story, Check::Action, "tool server");
    // Without the text nothing of it is proved, and an allow cannot hide behind it.
    let mut story = made_up();
    story.event(DECIDED, 1).subjects.tool = None;
    let error = bailiwick_evidence::assemble(&story.seal(), &story.action).unwrap_err();
    assert_eq!(error.code(), "evidence-not-kept");
    let mut story = plan().story();
    commit_tool(&mut story);
    assert!(story.seal().verdict().result.is_err());
}
