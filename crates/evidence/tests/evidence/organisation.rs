//! The organisation's policy in evidence: published before the decision, of the
//! digest that it names, and asked again.

use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_evidence::verdict::Recomputed;
use bailiwick_evidence::{Check, assemble, verify, verify_with};
use bailiwick_policy::Bundle;

use crate::world::{Plan, Story, plan, trust};

const DECIDED: Kind = Kind::ActionDecided;

fn bundle(text: &str) -> Bundle {
    let all = r#"@id("all") @reason("r") permit (principal, action, resource);"#;
    Bundle::parse([("a.cedar".to_owned(), format!("{all}\n{text}"))]).unwrap()
}

/// Denies what the rules let pass, by data class and argument.
fn orders() -> Bundle {
    bundle(
        r#"@id("no-orders") @reason("r") forbid (principal, action, resource) when {
            resource.data.contains("order") && context.arguments.texts.hasTag("order") };"#,
    )
}

fn word(bundle: &Bundle, answer: &str, reason: &str) -> Json {
    Object::new()
        .with("bundle", bundle.digest())
        .with("answer", answer)
        .with("reasons", vec![Json::from(reason)])
        .into()
}

/// The call was put to `bundle`; `rule` settled it.
fn story(plan: &Plan, bundle: &Bundle, word: Json, rule: &str) -> Story {
    let mut story = plan.story();
    let pin = story.event(DECIDED, 1).body.member("pin").unwrap().clone();
    let catalogue = Object::new()
        .with("pin", pin)
        .with("risk", "low")
        .with("effect", "read")
        .with("data", vec![Json::from("order")])
        .with("idempotent", true)
        .with("timeout_seconds", Json::Null)
        .with("level", "bounded");
    let inputs = story.value(DECIDED, 1, "inputs");
    *inputs = inputs.as_object().unwrap().clone().with("catalogue", catalogue).into();
    story.body(DECIDED, 1, "risk", "low");
    story.body(DECIDED, 1, "rule", rule);
    story.put_to_policy(bundle, word);
    story
}

fn allowed(bundle: &Bundle) -> Story {
    story(&plan(), bundle, word(bundle, "allow", "policy:all"), "within-level")
}

fn denied(bundle: &Bundle) -> Story {
    let denied = Plan { decision: "deny", reason: Some("policy-denied"), outcome: None, ..plan() };
    story(&denied, bundle, word(bundle, "deny", "policy:no-orders"), "policy:no-orders")
}

fn fails(story: &Story, found: &str) {
    let failure = story.seal().verdict().result.unwrap_err();
    assert_eq!(failure.check, Check::Decision, "{failure:?}");
    assert!(failure.found.contains(found), "{failure:?}");
}

#[test]
fn the_policy_of_then_is_carried_along_and_asked_again() {
    let (lets, forbids) = (bundle(""), orders());
    for (story, bundle) in [(allowed(&lets), &lets), (denied(&forbids), &forbids)] {
        let verdict = story.seal().verdict();
        let proven = verdict.result.as_ref().unwrap_or_else(|f| panic!("{f:?}"));
        assert_eq!(proven.decision.recomputed, Recomputed::WithPolicy);
        assert_eq!(proven.decision.policy, Some(bundle.digest()));
        assert!(verdict.report().contains(&format!("{}, asked again", bundle.digest())));
    }
}

#[test]
fn a_policy_that_says_otherwise_makes_a_false_record() {
    // It was allowed, and the policy forbids it.
    let forbids = orders();
    fails(&allowed(&forbids), "what the policy said");
    let mut lying = allowed(&forbids);
    lying.body(DECIDED, 1, "policy", word(&forbids, "deny", "policy:no-orders"));
    lying.body(DECIDED, 1, "rule", "policy:no-orders");
    fails(&lying, "it says `allowed`, but policy says `deny`");
    // Data classes that were not retained, or that are others.
    let mut story = denied(&forbids);
    let inputs = story.value(DECIDED, 1, "inputs").as_object().unwrap().clone();
    let catalogue = inputs.member("catalogue").unwrap().as_object().unwrap().clone();
    let other = catalogue.with("data", vec![Json::from("ticket")]);
    *story.value(DECIDED, 1, "inputs") = inputs.with("catalogue", other).into();
    fails(&story, "what the policy said");
}

#[test]
fn a_policy_is_the_one_that_the_decision_names_and_was_there_before_it() {
    let (lets, other) = (bundle(""), bundle("// the same, in other words\n"));
    // Another text under the digest.
    let mut story = allowed(&lets);
    *story.value(Kind::PolicyPublished, 0, "document") = other.to_json();
    fails(&story, "the policy's digest");
    // What the entry names and what was retained are one.
    let mut story = allowed(&lets);
    let inputs = story.value(DECIDED, 1, "inputs").as_object().unwrap().clone();
    *story.value(DECIDED, 1, "inputs") =
        inputs.with("policy", Object::new().with("bundle", other.digest())).into();
    fails(&story, "the retained policy");
    // A receipt of another policy does not stand for it, and none does not either.
    let story = allowed(&lets);
    let mut without = assemble(&story.seal(), &story.action).unwrap();
    without.receipts.retain(|r| r.name != Kind::PolicyPublished);
    without.disclosures.retain(|(_, fields)| fields.iter().all(|(f, _)| f != "document"));
    let failure = verify(without.to_text().as_bytes(), &trust(), &[]).result.unwrap_err();
    assert!(failure.found.contains("no receipt `policy.published`"), "{failure:?}");
    // Published afterwards.
    let mut story = allowed(&lets);
    story.publish_policy_last();
    let error = assemble(&story.seal(), &story.action).unwrap_err();
    assert_eq!(error.code(), "evidence-not-found");
}

#[test]
fn a_policy_without_its_text_is_not_asked_unless_it_is_given() {
    let lets = bundle("");
    let story = allowed(&lets);
    let mut small = assemble(&story.seal(), &story.action).unwrap();
    small.disclosures.retain(|(_, fields)| fields.iter().all(|(f, _)| f != "document"));
    let text = small.to_text();
    let recomputed = |given: &[Bundle]| {
        let verdict = verify_with(text.as_bytes(), &trust(), &[], given);
        verdict.result.unwrap().decision.recomputed
    };
    assert_eq!(recomputed(&[]), Recomputed::Agrees);
    assert_eq!(recomputed(&[orders()]), Recomputed::Agrees);
    assert_eq!(recomputed(&[orders(), lets.clone()]), Recomputed::WithPolicy);
    // Erased texts are left out likewise.
    let mut ledger = story.seal();
    ledger.values.retain(|(_, field), _| field != "document");
    assert!(ledger.verdict().holds());
}
