use std::collections::BTreeSet;

use bailiwick_core::limits::JsonLimits;

use super::*;

fn form(method_name: &str, params: &str) -> Result<Call, CallError> {
    let row = method(method_name, Era::Stateless, Sender::Client, Shape::Request).unwrap();
    let params = Json::parse(params.as_bytes(), &JsonLimits::DEFAULT).unwrap();
    row.call(&ServerName::parse("desk").unwrap(), params.as_object().unwrap())
}

#[test]
fn the_document_in_docs_is_the_one_that_the_table_gives() {
    assert!(
        document() == include_str!("../../../../docs/mcp-methods.md"),
        "run `cargo run -p bailiwick-policy --example mcp_methods > docs/mcp-methods.md`"
    );
}

#[test]
fn no_two_rows_speak_about_one_message() {
    let mut seen = BTreeSet::new();
    for m in METHODS {
        assert!(!m.eras.is_empty());
        for era in m.eras {
            let shape = m.shape == Shape::Request;
            assert!(seen.insert((m.name, *era, m.sender, shape)), "{}", m.name);
        }
    }
}

#[test]
fn a_method_without_a_row_is_denied() {
    for (name, era, sender, shape) in [
        ("tools/Call", Era::Stateless, Sender::Client, Shape::Request),
        ("tools/call ", Era::Stateless, Sender::Client, Shape::Request),
        ("skills/list", Era::Stateless, Sender::Client, Shape::Request),
        ("", Era::Sessions, Sender::Client, Shape::Request),
        // The other era, the other side, the other shape.
        ("initialize", Era::Stateless, Sender::Client, Shape::Request),
        ("server/discover", Era::Sessions, Sender::Client, Shape::Request),
        ("tools/call", Era::Sessions, Sender::Server, Shape::Request),
        ("sampling/createMessage", Era::Sessions, Sender::Client, Shape::Request),
        ("tools/call", Era::Sessions, Sender::Client, Shape::Notification),
    ] {
        assert_eq!(method(name, era, sender, shape), None, "{name}");
    }
}

#[test]
fn the_rows_are_the_unions_of_the_two_schemas_and_the_tasks_extension() {
    use Sender::{Client, Server};
    use Shape::{Notification, Request};
    const CHANGES: &str = "notifications/cancelled notifications/progress notifications/message \
        notifications/resources/updated notifications/resources/list_changed \
        notifications/tools/list_changed notifications/prompts/list_changed";
    for (era, sender, shape, names, more) in [
        (
            Era::Sessions,
            Client,
            Request,
            "ping initialize completion/complete logging/setLevel prompts/get prompts/list resources/list \
             resources/templates/list resources/read resources/subscribe resources/unsubscribe tools/call \
             tools/list tasks/get tasks/result tasks/list tasks/cancel",
            "",
        ),
        (
            Era::Stateless,
            Client,
            Request,
            "server/discover completion/complete prompts/get prompts/list resources/list \
             resources/templates/list resources/read subscriptions/listen tools/call tools/list",
            "tasks/get tasks/update tasks/cancel",
        ),
        (
            Era::Sessions,
            Client,
            Notification,
            "notifications/cancelled notifications/progress notifications/initialized \
             notifications/roots/list_changed notifications/tasks/status",
            "",
        ),
        (Era::Stateless, Client, Notification, "notifications/cancelled", ""),
        (
            Era::Sessions,
            Server,
            Request,
            "ping sampling/createMessage roots/list elicitation/create tasks/get tasks/result tasks/list \
             tasks/cancel",
            "",
        ),
        (Era::Stateless, Server, Request, "", ""),
        (
            Era::Sessions,
            Server,
            Notification,
            CHANGES,
            "notifications/elicitation/complete notifications/tasks/status",
        ),
        (
            Era::Stateless,
            Server,
            Notification,
            CHANGES,
            "notifications/subscriptions/acknowledged notifications/tasks",
        ),
    ] {
        let expected: BTreeSet<&str> =
            names.split_whitespace().chain(more.split_whitespace()).collect();
        let found: BTreeSet<&str> = METHODS
            .iter()
            .filter(|m| m.sender == sender && m.shape == shape && m.eras.contains(&era))
            .map(|m| m.name)
            .collect();
        assert_eq!(found, expected, "{era:?} {sender:?} {shape:?}");
    }
}

#[test]
fn a_call_has_the_tool_id_and_arguments_that_the_table_says() {
    for (name, params, tool, arguments) in [
        (
            "tools/call",
            r#"{"name":"get","arguments":{"id":1}}"#,
            "mcp:desk:tools/get",
            r#"{"id":1}"#,
        ),
        ("tools/call", r#"{"name":"get","_meta":{"x":1}}"#, "mcp:desk:tools/get", "{}"),
        ("tools/call", r#"{"name":"get","task":{"ttl":1}}"#, "mcp:desk:tools/get", "{}"),
        ("prompts/get", r#"{"name":"p","arguments":{}}"#, "mcp:desk:prompts/p", "{}"),
        ("resources/read", r#"{"uri":"a://b"}"#, "mcp:desk:resources/read", r#"{"uri":"a://b"}"#),
        (
            "tools/call",
            r#"{"name":"get","inputResponses":{"q":{"action":"accept"}},"requestState":"s"}"#,
            "mcp:desk:tools/get",
            r#"{"$input":{"q":{"action":"accept"}},"$state":"s"}"#,
        ),
    ] {
        let call = form(name, params).unwrap();
        assert_eq!(call.tool.as_str(), tool);
        assert_eq!(Json::from(call.arguments).canonical(), arguments);
    }
}

#[test]
fn what_the_gateway_asked_is_no_part_of_the_call() {
    let again = r#"{"name":"get","arguments":{"id":1},"requestState":"bailiwick-approval.x","inputResponses":{"io.bailiwick/approval":{"action":"ACTION"},"q":{}}}"#;
    for (action, declined) in [("accept", false), ("decline", true), ("cancel", true)] {
        let Json::Object(mut params) =
            Json::parse(again.replace("ACTION", action).as_bytes(), &JsonLimits::DEFAULT).unwrap()
        else {
            panic!("no object")
        };
        let formed = form("tools/call", &again.replace("ACTION", action)).unwrap();
        assert_eq!(Json::from(formed.arguments).canonical(), r#"{"id":1}"#);
        let waited = take_waited(&mut params).unwrap();
        assert_eq!((waited.state.as_str(), waited.declined), ("bailiwick-approval.x", declined));
        assert_eq!(Json::from(params).canonical(), r#"{"arguments":{"id":1},"name":"get"}"#);
    }
    // A tool server's own is a part of the call, and stays where it is.
    let theirs = r#"{"name":"get","requestState":"x.bailiwick-approval.","inputResponses":{"io.bailiwick/approval":{"action":"accept"}}}"#;
    let Json::Object(mut params) = Json::parse(theirs.as_bytes(), &JsonLimits::DEFAULT).unwrap()
    else {
        panic!("no object")
    };
    let before = params.clone();
    assert_eq!(take_waited(&mut params), None);
    assert_eq!(params, before);
    let call = form("tools/call", theirs).unwrap();
    assert!(call.arguments.member(STATE_ARGUMENT).is_some());
    assert!(call.arguments.member(INPUT_ARGUMENT).is_some());
}

#[test]
fn what_is_not_a_plain_call_is_refused() {
    for (name, params, code) in [
        ("tools/list", "{}", "call-not-a-call"),
        ("tools/call", "{}", "call-parameter-invalid"),
        ("tools/call", r#"{"name":""}"#, "call-parameter-invalid"),
        ("tools/call", r#"{"name":1}"#, "call-parameter-invalid"),
        ("tools/call", r#"{"name":"a\u0000b"}"#, "call-parameter-invalid"),
        ("tools/call", r#"{"name":"x","arguments":[]}"#, "call-parameter-invalid"),
        ("tools/call", r#"{"name":"x","arguments":null}"#, "call-parameter-invalid"),
        ("tools/call", r#"{"name":"x","inputResponses":[]}"#, "call-parameter-invalid"),
        ("tools/call", r#"{"name":"x","requestState":{}}"#, "call-parameter-invalid"),
        ("tools/call", r#"{"name":"x","Arguments":{}}"#, "call-parameter-unknown"),
        ("prompts/get", r#"{"name":"x","task":{"ttl":1}}"#, "call-parameter-unknown"),
        ("tools/call", r#"{"name":"x","arguments":{"$input":{}}}"#, "call-argument-reserved"),
        ("tools/call", r#"{"name":"x","arguments":{"$state":""}}"#, "call-argument-reserved"),
        ("resources/read", r#"{"uri":"x","name":"y"}"#, "call-parameter-unknown"),
        ("resources/read", "{}", "call-parameter-invalid"),
    ] {
        assert_eq!(form(name, params).unwrap_err().code(), code, "{params}");
    }
}

#[test]
fn no_reserved_action_name_is_a_tool_id() {
    for m in METHODS.iter().filter(|m| !matches!(m.treatment, Treatment::Call(_))) {
        let action = m.action().replace("<server>", "desk");
        assert!(ToolId::parse(&action).is_err(), "{action}");
    }
}

#[test]
fn only_the_two_versions_are_spoken() {
    assert_eq!(Era::of_version("2025-11-25"), Some(Era::Sessions));
    assert_eq!(Era::of_version("2026-07-28"), Some(Era::Stateless));
    assert_eq!(Era::of_version("2025-03-26"), None);
}
