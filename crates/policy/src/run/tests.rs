use crate::checklist::Runs;

use super::*;
use bailiwick_core::limits::JsonLimits;

fn said(verb: Verb, text: &str) -> Result<Said, Malformed> {
    let json = Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap();
    Said::parse(verb, json.as_object().unwrap())
}

fn refused(verb: Verb, text: &str) -> String {
    said(verb, text).unwrap_err().member
}

const SHA: &str = "abababababababababababababababababababababababababababababababab";

#[test]
fn a_digest_is_read_in_both_forms_in_which_programs_print_it() {
    let hex = format!(r#"{{"goal": "g", "instruction_sha256": "{SHA}"}}"#);
    let base64 = format!(
        r#"{{"goal": "g", "instruction_sha256": "{}"}}"#,
        bailiwick_core::crypto::base64url(&[0xab; 32])
    );
    let expected =
        Word::Begin { goal: "g".into(), instruction: Some(Digest::from_array([0xab; 32])) };
    assert_eq!(said(Verb::Begin, &hex).unwrap().word, expected);
    assert_eq!(said(Verb::Begin, &base64).unwrap().word, expected);
}

#[test]
fn what_is_not_understood_is_named_and_refused() {
    let long = "x".repeat(MAX_GOAL_CHARS + 1);
    let id = "018cc251-f400-7000-8000-000000000002";
    for (verb, text, member) in [
        (Verb::Begin, "{}".to_owned(), "goal"),
        (Verb::Begin, format!(r#"{{"goal": "{long}"}}"#), "goal"),
        (Verb::Begin, format!(r#"{{"goal": "g", "run": "{id}"}}"#), "run"),
        (Verb::Begin, r#"{"goal": "g", "x": 1}"#.to_owned(), "x"),
        (Verb::Context, "{}".to_owned(), "items"),
        (Verb::Context, r#"{"items": [1]}"#.to_owned(), "items"),
        (Verb::Context, r#"{"items": [{"kind": "prompt", "source": "s"}]}"#.to_owned(), "sha256"),
        (
            Verb::Context,
            format!(r#"{{"items": [{{"kind": "prompt", "sha256": "{SHA}"}}]}}"#),
            "source",
        ),
        (Verb::Progress, "{}".to_owned(), "iterations"),
        (Verb::Progress, r#"{"iterations": 1.5}"#.to_owned(), "iterations"),
        (Verb::Progress, r#"{"iterations": 1000000000001}"#.to_owned(), "iterations"),
        (Verb::Progress, r#"{"iterations": 1, "currency": "eur"}"#.to_owned(), "currency"),
        (Verb::Progress, r#"{"model_calls": [{}]}"#.to_owned(), "model"),
        (Verb::Complete, "{}".to_owned(), "claims"),
        (Verb::Complete, r#"{"claims": [{}]}"#.to_owned(), "criterion"),
        (
            Verb::Complete,
            r#"{"claims": [{"criterion": "c", "check": {"name": "n"}}]}"#.to_owned(),
            "passed",
        ),
        (
            Verb::Complete,
            format!(
                r#"{{"claims": [{{"criterion": "c", "receipt": "{id}", "check": {{"name": "n", "passed": true}}}}]}}"#
            ),
            "check",
        ),
    ] {
        assert_eq!(refused(verb, &text), member, "{text}");
    }
}

#[test]
fn a_name_from_outside_is_told_short_and_without_control_characters() {
    let text = format!(r#"{{"goal": "g", "a\u0007{}": 1}}"#, "b".repeat(100));
    let member = refused(Verb::Begin, &text);
    assert_eq!(member, format!("a{}", "b".repeat(39)));
}

#[test]
fn claims_are_read_with_what_is_brought_for_them() {
    let id = "018cc251-f400-7000-8000-000000000002";
    let text = format!(
        r#"{{"claims": [
            {{"criterion": "a"}},
            {{"criterion": "b", "receipt": "{id}"}},
            {{"criterion": "c", "statement": "s", "check": {{"name": "n", "passed": false}}}}
        ], "summary": "done"}}"#
    );
    let Word::Complete { claims, summary } = said(Verb::Complete, &text).unwrap().word else {
        panic!("another word")
    };
    assert_eq!(summary.as_deref(), Some("done"));
    assert_eq!(claims[0].by, Backed::Word);
    assert_eq!(claims[1].by, Backed::Receipt(ActionId::parse(id).unwrap()));
    let check = Backed::Check { name: "n".into(), passed: false, output: None };
    assert_eq!((&claims[2].by, claims[2].statement.as_deref()), (&check, Some("s")));
}

#[test]
fn the_definitions_name_what_the_workflow_asks_for() {
    let workflow =
        crate::Workflow::parse(include_str!("../../../../workflows/support-tickets.yaml"));
    let workflow = workflow.unwrap();
    let complete = Verb::Complete.definition(&workflow).canonical();
    assert!(complete.contains("note-written") && complete.contains("ticket-read-back"));
    let context = Verb::Context.definition(&workflow).canonical();
    assert!(context.contains("customer-message, refund-policy"), "{context}");
    assert!(is_offered(&workflow, "support-desk", Verb::Begin));
    let mut without = workflow.clone();
    without.checklist.completion.clear();
    assert!(!is_offered(&without, "support-desk", Verb::Begin));
    without.checklist.runs = Runs::Required;
    assert!(is_offered(&without, "support-desk", Verb::Begin));
}

#[test]
fn what_is_beyond_a_limit_is_told_with_the_limit() {
    let long = format!(r#"{{"goal": "{}"}}"#, "x".repeat(MAX_GOAL_CHARS + 1));
    for (verb, text, limit) in [
        (Verb::Begin, long.as_str(), "a text of 1 to 4000 characters"),
        (Verb::Begin, "{}", "a text of 1 to 4000 characters"),
        (Verb::Context, r#"{"items": []}"#, "a list of 1 to 64"),
        (Verb::Progress, r#"{"iterations": -1}"#, "from 0 to 1000000000000"),
    ] {
        let told = said(verb, text).unwrap_err().to_string();
        assert!(told.contains(limit), "{told}");
    }
}
