use bailiwick_core::limits::JsonLimits;

use super::*;

fn object(text: &str) -> Object {
    match Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap() {
        Json::Object(object) => object,
        _ => panic!("an object"),
    }
}

fn rpc(method: &str, params: &str) -> Result<Asked, String> {
    Asked::of_rpc(method, Some(&object(params))).map_err(|e| e.subject().to_owned())
}

const SEND: &str = r#"{"message":{"messageId":"m","role":"ROLE_USER","parts":[{"text":"hi"}]}}"#;

fn with(member: &str) -> String {
    SEND.replace(r#""messageId":"m","#, &format!(r#""messageId":"m",{member},"#))
}

#[test]
fn both_bindings_ask_for_the_same() {
    for (method, params, verb, path, query, body) in [
        ("SendMessage", SEND, "POST", "/message:send", None, Some(SEND)),
        ("SendStreamingMessage", SEND, "POST", "/message:stream", None, Some(SEND)),
        (
            "GetTask",
            r#"{"id":"t","historyLength":2}"#,
            "GET",
            "/tasks/t",
            Some("historyLength=2"),
            None,
        ),
        (
            "ListTasks",
            r#"{"includeArtifacts":true}"#,
            "GET",
            "/tasks",
            Some("includeArtifacts=true"),
            None,
        ),
        ("CancelTask", r#"{"id":"t"}"#, "POST", "/tasks/t:cancel", None, Some(r#"{"id":"t"}"#)),
        ("SubscribeToTask", r#"{"id":"t"}"#, "POST", "/tasks/t:subscribe", None, None),
        ("SubscribeToTask", r#"{"id":"t"}"#, "GET", "/tasks/t:subscribe", None, None),
        (
            "CreateTaskPushNotificationConfig",
            r#"{"taskId":"t","url":"https://x"}"#,
            "POST",
            "/tasks/t/pushNotificationConfigs",
            None,
            Some(r#"{"url":"https://x"}"#),
        ),
        (
            "GetTaskPushNotificationConfig",
            r#"{"taskId":"t","id":"c"}"#,
            "GET",
            "/tasks/t/pushNotificationConfigs/c",
            None,
            None,
        ),
        (
            "DeleteTaskPushNotificationConfig",
            r#"{"taskId":"t","id":"c"}"#,
            "DELETE",
            "/tasks/t/pushNotificationConfigs/c",
            None,
            None,
        ),
        (
            "ListTaskPushNotificationConfigs",
            r#"{"taskId":"t"}"#,
            "GET",
            "/tasks/t/pushNotificationConfigs",
            None,
            None,
        ),
        ("GetExtendedAgentCard", "{}", "GET", "/extendedAgentCard", None, None),
    ] {
        let body = body.map(object);
        let http = Asked::of_http(verb, path, query, body.as_ref()).unwrap();
        assert_eq!(rpc(method, params).unwrap(), http, "{method}");
    }
}

#[test]
fn what_names_a_task_in_any_place_is_found() {
    let asked =
        rpc("SendMessage", &with(r#""taskId":"a","contextId":"c","referenceTaskIds":["b"]"#));
    let asked = asked.unwrap();
    assert_eq!(asked.tasks(), ["a", "b"]);
    assert_eq!((asked.continued(), asked.context()), (Some("a"), Some("c")));
    let push = r#"{"message":{"messageId":"m","role":"ROLE_USER","parts":[{"text":"hi"}]},
        "configuration":{"taskPushNotificationConfig":{"url":"https://x","taskId":"p"}}}"#;
    let asked = rpc("SendMessage", push).unwrap();
    assert_eq!((asked.tasks(), asked.push_target()), (vec!["p"], Some("https://x")));
}

#[test]
fn a_second_way_to_say_something_is_refused() {
    for (params, place) in [
        (with(r#""task_id":"a""#), "message/task_id"),
        (with(r#""taskId":7"#), "message/taskId"),
        (SEND.replace("ROLE_USER", "ROLE_AGENT"), "message/role"),
        (SEND.replace("\"ROLE_USER\"", "1"), "message/role"),
        (SEND.replace(r#"[{"text":"hi"}]"#, "[]"), "message/parts"),
        (SEND.replace(r#""messageId":"m","#, ""), "message/messageId"),
        (SEND.replace(r#"{"message""#, r#"{"tenant":"x","message""#), "tenant"),
        (SEND.replace(r#"{"message""#, r#"{"request":1,"message""#), "request"),
    ] {
        assert_eq!(rpc("SendMessage", &params).unwrap_err(), place, "{params}");
    }
    assert_eq!(rpc("ListTasks", r#"{"pageToken":"x"}"#).unwrap_err(), "pageToken");
    assert_eq!(rpc("message/send", SEND).unwrap_err(), "method");
    assert_eq!(rpc("GetTask", r#"{"id":""}"#).unwrap_err(), "id");
}

#[test]
fn a_path_has_one_spelling() {
    for (verb, path) in [
        ("GET", "/tasks/"),
        ("GET", "/tasks/a%2Fb"),
        ("GET", "/tasks/.."),
        ("GET", "/tasks/a/b"),
        ("GET", "//tasks/a"),
        ("PUT", "/tasks/a"),
        ("POST", "/tasks/a"),
        ("POST", "/tasks/a:resubscribe"),
        ("GET", "/tenant/tasks/a"),
        ("GET", "/message:send"),
    ] {
        assert_eq!(Asked::of_http(verb, path, None, None), Err(Refused::Method), "{path}");
    }
    let other = object(r#"{"taskId":"other","url":"https://x"}"#);
    let found = Asked::of_http("POST", "/tasks/t/pushNotificationConfigs", None, Some(&other));
    assert_eq!(found.unwrap_err().subject(), "taskId");
    for query in ["historyLength=07", "historyLength=1&historyLength=1", "id=x", "tenant=x"] {
        let found = Asked::of_http("GET", "/tasks/t", Some(query), None);
        assert!(matches!(found, Err(Refused::Params(_))), "{query}");
    }
}
