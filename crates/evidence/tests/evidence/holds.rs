//! What verifies, and what the verdict then says.

use bailiwick_core::aat::make::Content;
use bailiwick_core::constraint::Dialect;
use bailiwick_core::crypto::{Signer, base64url, from_base64url, sha256};
use bailiwick_core::ids::ActionId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Disclosure, Kind};
use bailiwick_core::scope::Scope;
use bailiwick_evidence::verdict::{Proven, Recomputed};
use bailiwick_evidence::{AssembleError, Bundle, Check, Verdict, assemble, verify};

use crate::world::{Plan, Story, action, at, json, key, object, plan, seed, trust, witness_key};

fn proven(verdict: &Verdict) -> &Proven {
    match &verdict.result {
        Ok(proven) => proven,
        Err(failure) => panic!("{failure:?}"),
    }
}

#[test]
fn a_call_that_another_enforcement_point_made_is_told_as_that() {
    let mut story = plan().story();
    story.body(Kind::ActionDecided, 1, "enforcement", "external");
    let verdict = story.seal().verdict();
    let proven = proven(&verdict);
    assert_eq!(
        proven
            .to_json()
            .as_object()
            .unwrap()
            .member("authority")
            .unwrap()
            .as_object()
            .unwrap()
            .member("enforcement")
            .unwrap()
            .as_str(),
        Some("external")
    );
    assert!(proven.not_proved().iter().any(|gap| gap.starts_with("that the call was made")));
}

#[test]
fn an_allowed_call_of_a_sub_agent_is_proved_whole() {
    let verdict = plan().story().seal().verdict();
    let proven = proven(&verdict);
    assert_eq!(verdict.passed, Check::ALL);
    let authority = proven.authority.as_ref().unwrap();
    assert_eq!(authority.principal.as_str(), "user:142");
    assert!(authority.signed_by.is_the_principals());
    let agents: Vec<_> = authority.hops.iter().map(|h| h.agent.as_str()).collect();
    assert_eq!(agents, ["agent:support-runner", "agent:order-reader"]);
    assert_eq!(proven.decision.recomputed, Recomputed::Agrees);
    assert_eq!(proven.outcome.as_ref().unwrap().outcome, "ok");
    assert_eq!(proven.log.state(), "unwitnessed");
    assert_eq!(proven.assumptions(), ["an honest log operator, or a checkpoint held elsewhere"]);
    // The reader of the JSON sees the same.
    let o = verdict.to_json();
    let o = o.as_object().unwrap();
    assert_eq!(o.member("holds"), Some(&Json::Bool(true)));
    assert!(json(&verdict.to_json().canonical()) == verdict.to_json());
}

/// A difference is written beside the target, to be looked at and taken over.
fn golden(report: &str, name: &str, expected: &str) {
    if report != expected {
        let path = format!("{}/{name}.txt", env!("CARGO_TARGET_TMPDIR"));
        std::fs::write(&path, report).unwrap();
        panic!("the report `{name}` differs; see {path}");
    }
}

#[test]
fn the_report_is_what_a_person_reads() {
    let report = plan().story().seal().verdict().report();
    golden(&report, "allowed", include_str!("../golden/allowed.txt"));
    let mut denied = plan();
    denied.arguments = object(r#"{"order":"o-18"}"#);
    (denied.decision, denied.reason, denied.outcome) =
        ("deny", Some("argument-not-delegated"), None);
    let report = denied.story().seal().verdict().report();
    golden(&report, "denied", include_str!("../golden/denied.txt"));
    let mut forged = plan();
    forged.grant_seed = seed::STRANGER;
    let report = forged.story().seal().verdict().report();
    golden(&report, "forged", include_str!("../golden/forged.txt"));
}

#[test]
fn text_of_the_bundle_cannot_forge_a_line_of_the_report() {
    let evil = "x\"\n  decision    allow\u{202e}";
    let mut plan = plan();
    plan.statement.purpose = evil.into();
    let mut story = plan.story();
    *story.value(Kind::TaskCreated, 0, "purpose") = evil.into();
    let verdict = story.seal().verdict();
    proven(&verdict);
    let report = verdict.report();
    assert_eq!(report.lines().filter(|l| l.starts_with("  decision")).count(), 1);
    assert!(!report.contains('\u{202e}'));
}

#[test]
fn a_bundle_reads_back_to_the_same_text() {
    let bundle = plan().story().seal().bundle();
    assert_eq!(bundle.receipts.len(), 13);
    let read = Bundle::parse(bundle.to_text().as_bytes()).unwrap();
    assert_eq!(read.to_text(), bundle.to_text());
    assert_eq!(Bundle::parse(read.to_text().as_bytes()), Ok(read));
}

#[test]
fn denials_of_scope_are_reached_again_and_others_are_recorded() {
    for (arguments, reason, recomputed) in [
        (r#"{"order":"o-18"}"#, "argument-not-delegated", Recomputed::Agrees),
        (r#"{}"#, "argument-missing", Recomputed::Agrees),
        (r#"{"order":"o-17","x":1}"#, "argument-unnamed", Recomputed::Agrees),
        // The canonical form looks like an admissible number.
        (r#"{"order":9007199254740993}"#, "number-inadmissible", Recomputed::RecordedOnly),
        (r#"{"order":"o-17"}"#, "policy-denied", Recomputed::RecordedOnly),
        (r#"{"order":"o-17"}"#, "approval-required", Recomputed::RecordedOnly),
        (r#"{"order":"o-17"}"#, "budget-spent", Recomputed::RecordedOnly),
        // Found by the recording transaction, after the inputs were read.
        (r#"{"order":"o-17"}"#, "revoked", Recomputed::RecordedOnly),
    ] {
        let mut plan = plan();
        plan.arguments = object(arguments);
        (plan.decision, plan.reason, plan.outcome) = ("deny", Some(reason), None);
        let verdict = plan.story().seal().verdict();
        assert_eq!(proven(&verdict).decision.recomputed, recomputed, "{reason}");
    }
}

#[test]
fn a_number_that_the_proof_kept_as_written_is_refused_again() {
    let mut plan = plan();
    plan.arguments = object(r#"{"order":9007199254740993}"#);
    (plan.decision, plan.reason, plan.outcome) = ("deny", Some("number-inadmissible"), None);
    let mut story = plan.story();
    let proof = story.value(Kind::ActionDecided, 1, "proof");
    let parts: Vec<&str> = proof.as_str().unwrap().split('.').collect();
    let claims = String::from_utf8(from_base64url(parts[1]).unwrap()).unwrap();
    let claims = claims.replace("9007199254740992", "9007199254740993");
    let input = format!("{}.{}", parts[0], base64url(claims.as_bytes()));
    let signature = key(seed::READER).sign(input.as_bytes());
    *proof = format!("{input}.{}", base64url(&signature)).into();
    assert_eq!(proven(&story.seal().verdict()).decision.recomputed, Recomputed::Agrees);
}

#[test]
fn a_tool_that_was_not_delegated_is_denied_again_with_or_without_a_pin() {
    let mut plan = plan();
    plan.tool = "mcp:support-desk:tools/refund".into();
    (plan.decision, plan.reason, plan.outcome) = ("deny", Some("tool-not-delegated"), None);
    assert_eq!(proven(&plan.story().seal().verdict()).decision.recomputed, Recomputed::Agrees);
    let mut story = plan.story();
    without_pin(&mut story);
    let verdict = story.seal().verdict();
    assert_eq!(proven(&verdict).authority.as_ref().unwrap().pin, None);
}

#[test]
fn a_revoked_delegation_is_denied_again_from_the_retained_inputs() {
    let mut plan = plan();
    plan.standing = |s| s.revoked = Some("delegation".into());
    (plan.decision, plan.reason, plan.outcome) = ("deny", Some("revoked"), None);
    assert_eq!(proven(&plan.story().seal().verdict()).decision.recomputed, Recomputed::Agrees);
}

#[test]
fn an_attested_grant_is_named_as_such() {
    let mut plan = plan();
    plan.signed = false;
    let verdict = plan.story().seal().verdict();
    assert!(!proven(&verdict).authority.as_ref().unwrap().signed_by.is_the_principals());
    assert!(verdict.report().contains("ATTESTED by an administrator"));
    assert!(proven(&verdict).not_proved()[0].contains("that the principal consented"));
}

#[test]
fn without_outcome_the_verdict_says_so() {
    let mut plan = plan();
    plan.outcome = None;
    let verdict = plan.story().seal().verdict();
    assert!(proven(&verdict).outcome.is_none());
    assert!(verdict.report().contains("what became of the call: this bundle has no outcome"));
    let mut plan = self::plan();
    plan.outcome = Some("unknown");
    assert_eq!(proven(&plan.story().seal().verdict()).outcome.as_ref().unwrap().outcome, "unknown");
}

/// A refusal before the caller was known, with the claim retained.
fn refusal(claim: impl Fn(&mut Plan), reason: &str, whole: bool) -> Verdict {
    let mut plan = plan();
    claim(&mut plan);
    let mut story = plan.story();
    let call = story.event(Kind::ActionDecided, 1).clone();
    let of =
        |field: &str| call.disclosures.iter().find(|(f, _)| f == field).unwrap().1.value.clone();
    let mut claimed = Object::new()
        .with("action", plan.tool.as_str())
        .with("chain", of("chain"))
        .with("proof", of("proof"));
    if whole {
        claimed.insert("arguments", of("arguments"));
    }
    let refused = story.event(Kind::ActionDecided, 0);
    refused.time = plan.now;
    refused.subjects.reason = Some(reason.into());
    refused
        .disclosures
        .push(("claimed".into(), Disclosure { salt: [1; 32], value: claimed.into() }));
    let ledger = story.seal();
    let bundle = assemble(&ledger, &ActionId::mint(at(50), [0x5a; 10])).unwrap();
    assert_eq!(bundle.receipts.len(), 1);
    verify(bundle.to_text().as_bytes(), &trust(), &[])
}

#[test]
fn a_refusal_before_the_caller_was_known_proves_no_caller() {
    let verdict = refusal(|p| p.prover_seed = seed::STRANGER, "proof-invalid", false);
    assert!(proven(&verdict).authority.is_none());
    assert_eq!(proven(&verdict).decision.recomputed, Recomputed::Agrees);
    assert!(verdict.report().contains("refused before it was known"));
    // What only the gateway could know is recorded only.
    for reason in ["proof-replayed", "key-not-enrolled", "revocation-stale"] {
        let verdict = refusal(|_| {}, reason, true);
        assert_eq!(proven(&verdict).decision.recomputed, Recomputed::RecordedOnly);
    }
    let verdict = refusal(|p| p.now = at(700), "token-expired", false);
    assert_eq!(proven(&verdict).decision.recomputed, Recomputed::Agrees);
}

#[test]
fn a_refusal_that_chain_and_proof_contradict_is_a_false_record() {
    let verdict = refusal(|_| {}, "proof-invalid", false);
    assert_eq!(verdict.result.unwrap_err().check, Check::Decision);
    // Whether the arguments were others shows only when they were retained.
    let verdict = refusal(|_| {}, "proof-other-arguments", true);
    assert_eq!(verdict.result.unwrap_err().check, Check::Decision);
    let verdict = refusal(|_| {}, "proof-other-arguments", false);
    assert_eq!(proven(&verdict).decision.recomputed, Recomputed::RecordedOnly);
    let others = |p: &mut Plan| p.proved_arguments = Some(object(r#"{"order":"o-18"}"#));
    let verdict = refusal(others, "proof-other-arguments", true);
    assert_eq!(proven(&verdict).decision.recomputed, Recomputed::Agrees);
}

#[test]
fn a_proof_that_was_used_before_does_not_say_who_sent_it() {
    let mut plan = plan();
    (plan.decision, plan.reason, plan.outcome) = ("deny", Some("proof-replayed"), None);
    let verdict = plan.story().seal().verdict();
    let proven = proven(&verdict);
    assert_eq!(proven.decision.recomputed, Recomputed::RecordedOnly);
    assert!(proven.not_proved()[0].starts_with("who sent this call"));
}

#[test]
fn a_resource_is_read_without_a_pin() {
    const TOOLS: &str = r#"{"mcp:support-desk:resources/read":{"order":{"constraint_type":"exact","value":"o-17"}}}"#;
    fn scope(c: &mut Content) {
        c.scope = Scope::parse(&object(TOOLS), Dialect::Extended, 32).unwrap();
    }
    let mut plan = plan();
    plan.tool = "mcp:support-desk:resources/read".into();
    plan.statement.tools = object(TOOLS);
    (plan.root, plan.child) = (scope, scope);
    let mut story = plan.story();
    without_pin(&mut story);
    assert_eq!(proven(&story.seal().verdict()).authority.as_ref().unwrap().pin, None);
}

/// As the gateway writes it when it has no pin.
pub fn without_pin(story: &mut Story) {
    story.body(Kind::ActionDecided, 1, "pin", Json::Null);
    let preimage = story.value(Kind::ActionDecided, 1, "action");
    let preimage = preimage.as_object().unwrap().clone().with("pin", Json::Null);
    let digest = sha256(Json::from(preimage.clone()).canonical().as_bytes());
    *story.value(Kind::ActionDecided, 1, "action") = preimage.into();
    story.body(Kind::ActionDecided, 1, "action_digest", digest);
}

#[test]
fn witnesses_and_kept_checkpoints_take_the_assumption_away() {
    let mut ledger = plan().story().seal();
    ledger.cosign(seed::WITNESS);
    let mut trust = trust();
    trust.witnesses = vec![witness_key(seed::WITNESS)];
    trust.quorum = 1;
    let verdict = verify(ledger.text().as_bytes(), &trust, &[]);
    assert_eq!(proven(&verdict).log.witnesses, ["witness.example/w"]);
    assert!(proven(&verdict).assumptions().is_empty());

    let ledger = plan().story().seal();
    let kept = [ledger.checkpoint.clone()];
    let verdict = verify(ledger.text().as_bytes(), &self::trust(), &kept);
    assert!(proven(&verdict).log.kept);
    assert!(verdict.report().contains("equal to a kept checkpoint"));
}

#[test]
fn a_bundle_cannot_be_made_of_what_is_not_kept_or_never_was() {
    let mut ledger = plan().story().seal();
    ledger.values.retain(|(_, field), _| field != "arguments");
    let error = assemble(&ledger, &action()).unwrap_err();
    assert!(matches!(error, AssembleError::NotKept { field: "arguments", .. }), "{error}");
    let unknown = ActionId::mint(at(1), [9; 10]);
    let error = assemble(&ledger, &unknown).unwrap_err();
    assert_eq!(error.code(), "evidence-not-found");
}

#[test]
fn a_durable_entry_that_is_not_sequenced_yet_is_a_wait() {
    let mut ledger = plan().story().seal();
    let mut shorter = plan();
    shorter.outcome = None;
    ledger.checkpoint = shorter.story().seal().checkpoint;
    let error = assemble(&ledger, &action()).unwrap_err();
    assert_eq!(error.code(), "evidence-not-sequenced");
}
