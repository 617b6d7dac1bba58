use bailiwick_core::ids::{GrantId, TaskId};
use bailiwick_core::time::Timestamp;

use super::*;

const OWNER: &str = "018cc251-f400-4000-8000-000000000001";
const OTHER: &str = "018cc251-f400-4000-8000-000000000002";

fn json(text: &str) -> Json {
    Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap()
}

fn object(text: &str) -> Object {
    json(text).as_object().unwrap().clone()
}

fn grant(principal: &str, attested: bool) -> Grant {
    let now = Timestamp::from_seconds(1_767_225_660);
    Grant {
        id: GrantId::mint(now, [1; 10]),
        digest: sha256(b"grant"),
        task: TaskId::mint(now, [2; 10]),
        agent: AgentId::parse("agent:checker").unwrap(),
        principal: Alias::parse(principal).unwrap(),
        attested,
        starts: now,
        expires: now,
        account: None,
        statement: String::new(),
        proof: String::new(),
    }
}

const ARGUMENTS: &str = r#"{"ticket_id":8821}"#;
const RESULT: &str =
    r#"{"content":[{"type":"text","text":"{\"status\":\"closed\"}"}],"isError":false}"#;

/// The verdict on a good receipt that `spoil` changes.
fn asked(
    result: &str,
    last_change: Option<u64>,
    spoil: impl FnOnce(&mut Receipt<'_>),
) -> Result<bool, CheckError> {
    let tool = ToolId::parse("mcp:desk:tools/get_ticket").unwrap();
    let agent = AgentId::parse("agent:runner").unwrap();
    let owner = Alias::parse(OWNER).unwrap();
    let (arguments, given) = (object(ARGUMENTS), json(ARGUMENTS));
    let expect = [Expectation { at: "/status".to_owned(), equals: json("\"closed\"") }];
    let wanted = Wanted {
        criterion: "closed",
        tool: &tool,
        arguments: &arguments,
        expect: &expect,
        last_change,
        agent: &agent,
        owner: &owner,
    };
    let signed = grant(OWNER, false);
    let mut receipt = Receipt {
        decided: 20,
        is_ok: true,
        external: false,
        tool: Some("mcp:desk:tools/get_ticket"),
        principal: Some(OWNER),
        agents: vec!["agent:checker"],
        arguments: Some(&given),
        result: Some(sha256(json(RESULT).canonical().as_bytes())),
        grant: Some(&signed),
    };
    spoil(&mut receipt);
    shows(&wanted, &receipt, &json(result))
}

fn fault(found: Result<bool, CheckError>) -> Fault {
    match found {
        Err(CheckError::ShowsNothing { fault, .. }) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_read_of_somebody_else_on_the_owners_authority_shows_what_it_says() {
    assert_eq!(asked(RESULT, None, |_| {}), Ok(true));
    assert_eq!(asked(RESULT, Some(19), |_| {}), Ok(true));
    let open = RESULT.replace("closed", "open");
    let digest = sha256(json(&open).canonical().as_bytes());
    assert_eq!(asked(&open, None, |r| r.result = Some(digest)), Ok(false));
}

#[test]
fn structured_content_is_read_before_any_text() {
    let both = r#"{"structuredContent":{"status":"open"},"content":[{"type":"text","text":"{\"status\":\"closed\"}"}]}"#;
    let digest = sha256(json(both).canonical().as_bytes());
    assert_eq!(asked(both, None, |r| r.result = Some(digest)), Ok(false));
    let none = r#"{"content":[{"type":"text","text":"closed"}]}"#;
    let digest = sha256(json(none).canonical().as_bytes());
    assert_eq!(asked(none, None, |r| r.result = Some(digest)), Ok(false));
}

#[test]
fn a_call_that_is_no_check_shows_nothing() {
    let other = json(r#"{"ticket_id":8822}"#);
    let attested = grant(OWNER, true);
    let somebodys = grant(OTHER, false);
    assert_eq!(fault(asked(RESULT, None, |r| r.is_ok = false)), Fault::NotOk);
    assert_eq!(fault(asked(RESULT, None, |r| r.tool = Some("mcp:x:tools/y"))), Fault::Tool);
    let found = fault(shown_with(&other, &attested, &somebodys, 0));
    assert_eq!(found, Fault::Arguments);
    assert_eq!(fault(asked(RESULT, None, |r| r.arguments = None)), Fault::Arguments);
    assert_eq!(fault(asked(RESULT, None, |r| r.external = true)), Fault::Reported);
    assert_eq!(fault(asked(RESULT, Some(20), |_| {})), Fault::Early);
    assert_eq!(fault(asked(RESULT, Some(u64::MAX), |_| {})), Fault::Early);
    let hands = |r: &mut Receipt<'_>| r.agents.push("agent:runner");
    assert_eq!(fault(asked(RESULT, None, hands)), Fault::OwnAgent);
    assert_eq!(fault(asked(RESULT, None, |r| r.agents.clear())), Fault::OwnAgent);
    assert_eq!(fault(shown_with(&other, &attested, &somebodys, 1)), Fault::Authority);
    assert_eq!(fault(shown_with(&other, &attested, &somebodys, 2)), Fault::Authority);
    assert_eq!(fault(asked(RESULT, None, |r| r.grant = None)), Fault::Authority);
    assert_eq!(fault(asked(RESULT, None, |r| r.principal = Some(OTHER))), Fault::Authority);
    assert_eq!(fault(asked(RESULT, None, |r| r.result = None)), Fault::Result);
    let forged = RESULT.replace("closed", "close\\u0064 ");
    assert_eq!(fault(asked(&forged, None, |_| {})), Fault::Result);
}

/// With a part that must outlive the receipt.
fn shown_with(
    arguments: &Json,
    attested: &Grant,
    somebodys: &Grant,
    which: u8,
) -> Result<bool, CheckError> {
    let tool = ToolId::parse("mcp:desk:tools/get_ticket").unwrap();
    let agent = AgentId::parse("agent:runner").unwrap();
    let owner = Alias::parse(OWNER).unwrap();
    let (wants, given) = (object(ARGUMENTS), json(ARGUMENTS));
    let signed = grant(OWNER, false);
    let wanted = Wanted {
        criterion: "closed",
        tool: &tool,
        arguments: &wants,
        expect: &[],
        last_change: None,
        agent: &agent,
        owner: &owner,
    };
    let receipt = Receipt {
        decided: 20,
        is_ok: true,
        external: false,
        tool: Some("mcp:desk:tools/get_ticket"),
        principal: Some(OWNER),
        agents: vec!["agent:checker"],
        arguments: Some(if which == 0 { arguments } else { &given }),
        result: Some(sha256(json(RESULT).canonical().as_bytes())),
        grant: Some(match which {
            1 => attested,
            2 => somebodys,
            _ => &signed,
        }),
    };
    shows(&wanted, &receipt, &json(RESULT))
}

/// What is looked at: arguments and expected values, as text.
fn looked_at(changes: &[&str], named: bool) -> Result<Vec<String>, CheckError> {
    let template = object(r#"{"id":"{argument:ticket_id}","n":1}"#);
    let equals = json(r#""{argument:status}""#);
    let expect = [Expectation { at: "/status".to_owned(), equals }];
    let changes: Vec<Object> = changes.iter().map(|change| object(change)).collect();
    let shown = |one: Looking| {
        format!("{} {}", Json::from(one.arguments).canonical(), one.expect[0].equals.canonical())
    };
    Ok(looking(&template, &expect, &changes, named)?.into_iter().map(shown).collect())
}

#[test]
fn everything_that_was_changed_is_looked_at_once_for_its_newest_value() {
    let changes = [
        r#"{"ticket_id":2}"#,
        r#"{"ticket_id":1,"status":"closed"}"#,
        r#"{"ticket_id":2,"status":"open"}"#,
        r#"{"ticket_id":1,"status":"open"}"#,
    ];
    assert_eq!(
        looked_at(&changes, true).unwrap(),
        [r#"{"id":2,"n":1} "open""#, r#"{"id":1,"n":1} "closed""#]
    );
    let unfilled = |name: &str| Err(CheckError::Unfilled { name: name.to_owned() });
    // Of a tool that the criterion names every call counts, of others those that can.
    let changes = [r#"{"order_id":5}"#, r#"{"ticket_id":1,"status":"open"}"#];
    assert_eq!(looked_at(&changes, true), unfilled("ticket_id"));
    assert_eq!(looked_at(&changes, false).unwrap(), [r#"{"id":1,"n":1} "open""#]);
    assert_eq!(looked_at(&changes[..1], false), unfilled("ticket_id"));
    assert_eq!(looked_at(&[], true), unfilled("ticket_id"));
    assert_eq!(looked_at(&[r#"{"ticket_id":1}"#], true), unfilled("status"));
    // What depends on no call is looked at whatever was done.
    let plain = object(r#"{"id":1}"#);
    let one = [Looking { arguments: plain.clone(), expect: Vec::new() }];
    assert_eq!(looking(&plain, &[], &[], true).unwrap(), one);
    let many: Vec<String> =
        (0..=MAX_SUBJECTS).map(|n| format!(r#"{{"ticket_id":{n},"status":1}}"#)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(looked_at(&many[1..], true).unwrap().len(), MAX_SUBJECTS);
    assert_eq!(looked_at(&many, true), Err(CheckError::TooManyChanges { max: MAX_SUBJECTS }));
}
