//! What a standing approval covers, and that its signature is none for
//! anything else.

use super::*;
use crate::approval::tests::{Approver, NOW, question};
use crate::approval::{Batch, SignedBatch};
use crate::limits::JsonLimits;
use crate::webauthn::tests::relying_party;

const REFUND: &str = "mcp:support-desk:tools/refund_order";

fn object(text: &str) -> Object {
    let json = Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap();
    json.as_object().unwrap().clone()
}

fn tool() -> ToolId {
    ToolId::parse(REFUND).unwrap()
}

fn rules(constraints: &str) -> ArgumentRules {
    let tools = Object::new().with(REFUND, object(constraints));
    let scope = Scope::parse(&tools, Dialect::Extended, 32).unwrap();
    scope.rules(REFUND).unwrap().clone()
}

fn call(arguments: &Object) -> Use<'_> {
    Use {
        root: sha256(b"root"),
        tool: REFUND,
        pin: Some(sha256(b"definition")),
        arguments,
        policy: sha256(b"policy"),
        rule: "policy:refunds",
    }
}

fn bounds(arguments: ArgumentRules) -> Bounds {
    Bounds { arguments, count: 5, from: NOW, until: NOW.plus_seconds(3600) }
}

fn terms(arguments: ArgumentRules) -> Result<Terms, TermsError> {
    made(bounds(arguments))
}

fn made(bounds: Bounds) -> Result<Terms, TermsError> {
    let (id, arguments) = (StandingId::mint(NOW, [4; 10]), Object::new());
    Terms::new(id, tool(), &call(&arguments), bounds)
}

fn judge(approver: &Approver, terms: &Terms, signed: &Signed) -> Result<Grade, ApprovalError> {
    let relying_party = relying_party();
    let registered = Registered {
        passkeys: &approver.passkeys,
        keys: &approver.keys,
        relying_party: Some(&relying_party),
    };
    terms.verify(signed, &registered)
}

#[test]
fn it_covers_the_arguments_that_it_names_and_no_others() {
    let same = object(r#"{"order":"o-17","lines":[1,2],"amount":20}"#);
    let exact = terms(exactly(&same).unwrap()).unwrap();
    assert!(exact.covers(&call(&same)));
    let within = rules(
        r#"{"order":{"constraint_type":"one_of","values":["o-17","o-18"]},
            "lines":{"constraint_type":"wildcard","optional":true},
            "amount":{"constraint_type":"range","max":50}}"#,
    );
    let within = terms(within).unwrap();
    assert!(within.covers(&call(&same)));
    assert!(within.covers(&call(&object(r#"{"order":"o-18","amount":50}"#))));
    for outside in [
        r#"{"order":"o-17","lines":[1,2],"amount":51}"#,
        r#"{"order":"o-19","amount":20}"#,
        r#"{"order":"o-17"}"#,
        r#"{"order":"o-17","amount":20,"note":"more"}"#,
    ] {
        assert!(!exact.covers(&call(&object(outside))), "{outside}");
        assert!(!within.covers(&call(&object(outside))), "{outside}");
    }
    let nothing = terms(exactly(&Object::new()).unwrap()).unwrap();
    assert!(nothing.covers(&call(&Object::new())));
    assert!(!nothing.covers(&call(&same)));
}

#[test]
fn another_root_tool_pin_policy_or_rule_is_not_covered() {
    let arguments = object(r#"{"amount":20}"#);
    let terms = terms(exactly(&arguments).unwrap()).unwrap();
    let same = call(&arguments);
    assert!(terms.covers(&same));
    for other in [
        Use { root: sha256(b"another"), ..same },
        Use { tool: "mcp:support-desk:tools/refund_all", ..same },
        Use { pin: Some(sha256(b"changed")), ..same },
        Use { pin: None, ..same },
        Use { policy: sha256(b"newer"), ..same },
        Use { rule: "policy:large-refunds", ..same },
    ] {
        assert!(!terms.covers(&other), "{other:?}");
    }
}

#[test]
fn it_lasts_as_long_as_it_says_and_no_longer_than_a_day() {
    let terms = terms(ArgumentRules::none()).unwrap();
    assert!(terms.lasts(NOW) && terms.lasts(NOW.plus_seconds(3599)));
    assert!(!terms.lasts(NOW.plus_seconds(-1)) && !terms.lasts(NOW.plus_seconds(3600)));
    let lasting = |seconds| made(Bounds { until: NOW.plus_seconds(seconds), ..none() });
    assert!(lasting(MAX_SECONDS).is_ok());
    for seconds in [MAX_SECONDS + 1, 0, -5] {
        assert_eq!(lasting(seconds), Err(TermsError::Window));
    }
}

fn none() -> Bounds {
    bounds(ArgumentRules::none())
}

#[test]
fn it_counts_to_a_hundred_and_names_every_argument() {
    assert!(made(Bounds { count: 100, ..none() }).is_ok());
    for count in [0, 101] {
        assert_eq!(made(Bounds { count, ..none() }), Err(TermsError::Count { count }));
    }
    assert_eq!(terms(ArgumentRules::any()), Err(TermsError::Open));
    let mut open = terms(ArgumentRules::none()).unwrap().statement();
    if let Json::Object(o) = &mut open {
        o.insert("constraints", Object::new());
    }
    assert_eq!(Terms::from_json(&open), Err(TermsError::Open));
}

#[test]
fn what_is_signed_is_written_down_and_reads_back() {
    let arguments = object(r#"{"amount":20,"order":"o-17"}"#);
    let terms = terms(exactly(&arguments).unwrap()).unwrap();
    let terms =
        Terms { id: StandingId::parse("018cc251-f400-7101-8101-010101010101").unwrap(), ..terms };
    let expected = format!(
        "{{\"constraints\":{{\"amount\":{{\"constraint_type\":\"exact\",\"value\":20}},\
         \"order\":{{\"constraint_type\":\"exact\",\"value\":\"o-17\"}}}},\"count\":5,\
         \"from\":1704067500,\"pin\":\"{}\",\"policy\":\"{}\",\"root\":\"{}\",\
         \"rule\":\"policy:refunds\",\"standing\":\"018cc251-f400-7101-8101-010101010101\",\
         \"tool\":\"{REFUND}\",\"until\":1704071100,\"v\":1,\"verdict\":\"approve\"}}",
        sha256(b"definition"),
        sha256(b"policy"),
        sha256(b"root"),
    );
    assert_eq!(terms.statement().canonical(), expected);
    assert_eq!(Terms::from_json(&terms.statement()), Ok(terms.clone()));
    for (member, value) in [
        ("v", Json::from(2u64)),
        ("verdict", "deny".into()),
        ("count", (-1i64).into()),
        ("pin", "x".into()),
        ("root", Json::Null),
        ("more", "x".into()),
    ] {
        let Json::Object(o) = terms.statement() else { panic!("an object") };
        assert!(Terms::from_json(&o.with(member, value).into()).is_err(), "{member}");
    }
}

#[test]
fn its_signature_is_no_verdict_and_a_verdict_is_none_for_it() {
    let (approver, question) = (Approver::new(), question());
    let terms = terms(ArgumentRules::none()).unwrap();
    let key = Signed::Key(terms.sign(&approver.file).unwrap());
    let passkey = approver.assert(&terms.digest());
    assert_eq!(judge(&approver, &terms, &key), Ok(Grade::Key));
    assert_eq!(judge(&approver, &terms, &passkey), Ok(Grade::Passkey));
    let batch = Batch::new(vec![terms.digest()]).unwrap();
    let in_batch = Signed::Key(batch.signable().sign(&approver.file).unwrap());
    let in_batch = SignedBatch::new(batch, in_batch).unwrap();
    let registered =
        Registered { passkeys: &approver.passkeys, keys: &approver.keys, relying_party: None };
    for signed in [key, passkey] {
        let judged = question.verify(Verdict::Approve, &signed, &registered);
        assert!(judged.is_err(), "{judged:?}");
        // Other terms.
        let more = Terms { count: 6, ..terms.clone() };
        assert!(judge(&approver, &more, &signed).is_err());
    }
    for signed in [
        Signed::Key(question.sign(Verdict::Approve, &approver.file).unwrap()),
        approver.assert(&question.digest(Verdict::Approve)),
        Signed::Batch(Box::new(in_batch)),
    ] {
        assert!(judge(&approver, &terms, &signed).is_err());
    }
}
