//! Bad framing is refused before anything is looked up, and says nothing.

use std::time::Duration;

use crate::support::{Plan, Raw, World, body, headers, send};
use bailiwick_gateway::Bounds;
use bailiwick_gateway::ports::Catalogue as _;
use serde_json::json;

async fn raw_call(world: &World, bytes: impl Into<reqwest::Body>) -> Raw {
    send("POST", &world.url(), &headers("get_ticket"), bytes).await
}

/// A good call's text.
fn good(world: &World) -> String {
    let arguments = json!({"ticket_id": 8821});
    let presentation = world.runner().present("get_ticket", &arguments);
    body("get_ticket", &arguments, Some(&presentation)).to_string()
}

fn last(world: &World) -> String {
    world.denial_codes().pop().unwrap()
}

fn untouched(world: &World) {
    assert!(world.tap.of("tools/call").is_empty());
    assert!(world.journal.decisions().is_empty());
}

#[tokio::test]
async fn bodies_that_are_not_one_strict_message_are_refused_alike() {
    let world = World::new().await;
    let text = good(&world);
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{}1{}}}"#,
        "[".repeat(200),
        "]".repeat(200)
    );
    let mut broken_utf8 = text.clone().into_bytes();
    let at = text.find("get_ticket").unwrap();
    broken_utf8[at] = 0xff;
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("json-malformed", text[..text.len() / 2].into()),
        ("json-malformed", Vec::new()),
        ("json-malformed", b"not json".to_vec()),
        ("json-malformed", text.replace("8821", "1e400").into()),
        ("json-malformed", text.replace("8821", r#""\ud800""#).into()),
        ("json-not-utf8", broken_utf8),
        (
            "json-duplicate-member",
            text.replace(r#""ticket_id":8821"#, r#""ticket_id":8821,"ticket_id":9000"#).into(),
        ),
        (
            "json-duplicate-member",
            text.replace(r#""ticket_id":8821"#, r#""ticket_id":8821,"ticket\u005fid":9000"#).into(),
        ),
        ("request-too-large", deep.into()),
    ];
    let mut shapes = std::collections::HashSet::new();
    for (reason, bytes) in cases {
        let raw = raw_call(&world, bytes).await;
        assert_eq!(raw.status, 400, "{reason} {}", raw.text);
        assert_eq!(
            (&raw.json()["error"]["code"], &raw.json()["id"]),
            (&json!(-32700), &json!(null))
        );
        assert_eq!(raw.code(), "not-authenticated");
        shapes.insert(format!("{:?}", raw.shape()));
        assert_eq!(last(&world), reason);
    }
    assert_eq!(shapes.len(), 1);
    let huge = raw_call(&world, vec![b' '; (1 << 20) + 1]).await;
    assert_eq!((huge.status, last(&world).as_str()), (413, "request-too-large"));
    // Without a length announced, too.
    let pieces =
        futures_util::stream::iter((0..40).map(|_| Ok::<_, std::io::Error>(vec![b' '; 65_536])));
    let raw = raw_call(&world, reqwest::Body::wrap_stream(pieces)).await;
    assert_eq!((raw.status, last(&world).as_str()), (413, "request-too-large"));
    for not_a_message in [
        format!("[{text}]"),
        text.replace(r#""method""#, r#""Method":"tools/call","method""#),
        text.replace(r#""id":7"#, r#""id":null"#),
        text.replace("2.0", "1.0"),
        json!({"jsonrpc": "2.0", "id": 7, "result": {}}).to_string(),
    ] {
        let raw = raw_call(&world, not_a_message.clone()).await;
        assert_eq!(
            (raw.status, &raw.json()["error"]["code"]),
            (400, &json!(-32600)),
            "{not_a_message}"
        );
        assert_eq!(last(&world), "request-malformed");
    }
    untouched(&world);
    assert!(raw_call(&world, good(&world)).await.json()["result"].is_object());
}

#[tokio::test]
async fn headers_that_contradict_the_body_are_refused() {
    let world = World::new().await;
    let with = |name: &'static str, value: Option<&str>| {
        let mut all = headers("get_ticket");
        all.retain(|(n, _)| *n != name);
        if let Some(value) = value {
            all.push((name, value.to_owned()));
        }
        all
    };
    for headers in [
        with("mcp-method", Some("tools/list")),
        with("mcp-method", None),
        with("mcp-name", Some("refund_order")),
        with("mcp-name", Some("=?base64?cmVmdW5kX29yZGVy?=")),
        with("mcp-name", None),
        with("mcp-protocol-version", Some("2025-11-25")),
        with("mcp-protocol-version", None),
        [with("", None), vec![("mcp-name", "refund_order".to_owned())]].concat(),
        [with("", None), vec![("mcp-protocol-version", "2026-07-28".to_owned())]].concat(),
    ] {
        let raw = send("POST", &world.url(), &headers, good(&world)).await;
        assert_eq!(
            (raw.status, &raw.json()["error"]["code"]),
            (400, &json!(-32020)),
            "{headers:?}"
        );
        assert_eq!(last(&world), "header-mismatch");
    }
    // The same name in base64 agrees.
    let same = with("mcp-name", Some("=?base64?Z2V0X3RpY2tldA==?="));
    assert!(send("POST", &world.url(), &same, good(&world)).await.json()["result"].is_object());
    assert_eq!(world.tap.of("tools/call").len(), 1);
}

#[tokio::test]
async fn a_version_that_is_not_spoken_is_named_with_those_that_are() {
    let world = World::new().await;
    let mut all = headers("get_ticket");
    all.retain(|(n, _)| *n != "mcp-protocol-version");
    all.push(("mcp-protocol-version", "2099-01-01".to_owned()));
    let raw =
        send("POST", &world.url(), &all, good(&world).replace("2026-07-28", "2099-01-01")).await;
    let json = raw.json();
    assert_eq!((raw.status, &json["error"]["code"], &json["id"]), (400, &json!(-32022), &json!(7)));
    assert_eq!(json["error"]["data"]["requested"], "2099-01-01");
    // A session settles its version another way.
    assert_eq!(json["error"]["data"]["supported"], json!(["2026-07-28"]));
    // Members that the version requires.
    let raw =
        raw_call(&world, good(&world).replace("io.modelcontextprotocol/clientCapabilities", "x"))
            .await;
    assert_eq!((raw.status, &raw.json()["error"]["code"]), (400, &json!(-32602)));
    untouched(&world);
}

#[tokio::test]
async fn methods_without_a_row_are_denied() {
    let world = World::new().await;
    for method in ["tasks/list", "no/such", "initialize", "ping", "sampling/createMessage"] {
        let text = good(&world).replace("tools/call", method);
        let mut all = headers("get_ticket");
        all.retain(|(n, _)| *n != "mcp-method");
        all.push(("mcp-method", method.to_owned()));
        let raw = send("POST", &world.url(), &all, text).await;
        assert_eq!((raw.status, &raw.json()["error"]["code"]), (404, &json!(-32601)), "{method}");
        assert_eq!(last(&world), "method-unknown");
    }
    untouched(&world);
}

#[tokio::test]
async fn origins_media_types_and_verbs_are_held_to() {
    let world = World::new().await;
    let with = |name: &'static str, value: &str| {
        let mut all = headers("get_ticket");
        all.retain(|(n, _)| *n != name);
        all.push((name, value.to_owned()));
        all
    };
    for (headers, status) in [
        (with("origin", "http://evil.example"), 403),
        (with("origin", "null"), 403),
        (with("content-type", "text/plain"), 415),
        (with("content-encoding", "gzip"), 415),
        (with("accept", "text/html"), 406),
    ] {
        let raw = send("POST", &world.url(), &headers, good(&world)).await;
        assert_eq!(raw.status, status, "{headers:?}");
        assert_eq!(raw.code(), "not-authenticated");
    }
    untouched(&world);
    let own = with("origin", &world.base);
    assert!(send("POST", &world.url(), &own, good(&world)).await.json()["result"].is_object());
    for verb in ["PUT", "PATCH", "GET", "DELETE"] {
        let raw = send(verb, &world.url(), &[], "").await;
        assert_eq!(raw.status, 405, "{verb}");
        assert!(raw.headers.contains_key("allow"));
    }
    // A session's stream without a presentation: a challenge that points to the metadata.
    let raw = send("GET", &world.url(), &[("mcp-session-id", "x".into())], "").await;
    assert_eq!(raw.status, 401);
    let challenge = raw.headers["www-authenticate"].to_str().unwrap();
    assert!(
        challenge.starts_with("Bearer")
            && challenge.contains("/.well-known/oauth-protected-resource/mcp/support-desk")
    );
    for path in ["/mcp/..%2f", "/mcp/a%00b", "/mcp/%20"] {
        assert_eq!(
            send("POST", &format!("{}{path}", world.base), &headers("x"), "{}").await.status,
            404
        );
    }
}

#[tokio::test]
async fn parameters_that_the_method_does_not_have_are_refused() {
    let world = World::new().await;
    let text = good(&world).replace(r#""params":{"#, r#""params":{"tasks":{},"#);
    let raw = raw_call(&world, text).await;
    assert_eq!((raw.status, &raw.json()["error"]["code"]), (200, &json!(-32602)));
    assert_eq!(raw.code(), "not-authenticated");
    untouched(&world);
}

#[tokio::test]
async fn what_is_forwarded_is_what_was_parsed() {
    let world = World::new().await;
    // White space, order and spelling of the caller do not reach the server.
    let text = good(&world).replace(r#""ticket_id":8821"#, " \"ticket\\u005fid\" :\n8821.0 ");
    assert!(raw_call(&world, text).await.json()["result"].is_object());
    let call = world.tap.of("tools/call").remove(0);
    let sent = String::from_utf8(call.body).unwrap();
    assert!(sent.contains(r#""arguments":{"ticket_id":8821}"#), "{sent}");
    assert!(sent.starts_with(r#"{"id":7,"jsonrpc":"2.0","#), "{sent}");
}

#[tokio::test]
async fn more_calls_at_once_than_there_is_room_for_are_refused_as_busy() {
    let plan = Plan { config: Box::new(|c| c.max_calls = (1, 1)), ..Plan::default() };
    let world = World::with(plan).await;
    let holder = world.holder(1, vec![world.issue(1, &["reports:read"], |_| ())]);
    let call = async |seconds: u64| {
        let arguments = json!({"seconds": seconds});
        let presentation = holder.present("slow_report", &arguments);
        world.call("slow_report", arguments, Some(&presentation)).await
    };
    let late = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        call(0).await
    };
    let (first, second) = tokio::join!(call(1), late);
    assert!(first.json()["result"].is_object(), "{}", first.text);
    assert_eq!((second.status, second.code().as_str()), (503, "not-authenticated"));
    assert_eq!(world.denial_codes(), ["state-unavailable"]);
    assert!(call(0).await.json()["result"].is_object(), "there is room again");
}

#[tokio::test]
async fn one_instance_cannot_take_every_place() {
    let plan = Plan { config: Box::new(|c| c.max_calls = (8, 1)), ..Plan::default() };
    let world = World::with(plan).await;
    let slow = |n: u8| world.holder(n, vec![world.issue(1, &["reports:read"], |_| ())]);
    let runner = slow(1);
    let call = async |holder: &crate::support::Holder, seconds: u64| {
        let arguments = json!({"seconds": seconds});
        let presentation = holder.present("slow_report", &arguments);
        world.call("slow_report", arguments, Some(&presentation)).await
    };
    let child = {
        let root = runner.leaf().to_owned();
        let mut content = world.content(2, world.scope(&["reports:read"]));
        content.exp -= 60;
        let limits = bailiwick_core::limits::ChainLimits::DEFAULT;
        let child = bailiwick_core::aat::make::derive(&root, &content, &runner.key, &limits);
        world.holder(2, vec![root, child.unwrap()])
    };
    let meanwhile = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        (call(&runner, 0).await, call(&child, 0).await)
    };
    let (first, (second, other)) = tokio::join!(call(&runner, 1), meanwhile);
    assert!(first.json()["result"].is_object(), "{}", first.text);
    assert_eq!(second.code(), "too-many-calls", "{}", second.text);
    assert!(other.json()["result"].is_object(), "another instance is not held up: {}", other.text);
    assert!(call(&runner, 0).await.json()["result"].is_object(), "there is room again");
}

#[tokio::test]
async fn a_client_that_does_not_finish_its_request_is_cut_off_and_holds_nobody_up() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let bounds = Bounds { head_timeout: Duration::from_millis(300), ..Bounds::new(1) };
    let world = World::with(Plan { bounds, ..Plan::default() }).await;
    let address = world.base.strip_prefix("http://").unwrap();
    let mut slow = tokio::net::TcpStream::connect(address).await.unwrap();
    slow.write_all(b"POST /mcp/support-desk HTTP/1.1\r\nhost: x\r\nx-slow: ").await.unwrap();
    // It has the one place there is; the next client waits until it lost it.
    let url = format!("{}/healthz", world.base);
    let next = send("GET", &url, &[], "");
    let next = tokio::time::timeout(Duration::from_secs(5), next).await;
    assert_eq!(next.unwrap().status, 200);
    let mut rest = Vec::new();
    let cut = tokio::time::timeout(Duration::from_secs(1), slow.read_to_end(&mut rest)).await;
    assert!(cut.is_ok(), "the slow connection is closed");
}

/// The world whose tool `get_ticket` wants its argument in a header too.
async fn mirroring() -> World {
    let world = World::new().await;
    let name = bailiwick_core::ids::ServerName::parse("support-desk").unwrap();
    let mut server = (*world.catalogue.server(&name).unwrap().unwrap()).clone();
    let pin = std::sync::Arc::make_mut(&mut server.pins).get_mut("tools/get_ticket").unwrap();
    let mut schema: serde_json::Value =
        serde_json::from_str(&bailiwick_core::json::Json::canonical(pin.schema.as_ref().unwrap()))
            .unwrap();
    schema["properties"]["ticket_id"]["x-mcp-header"] = json!("Ticket");
    pin.schema = Some(crate::support::strict(&schema.to_string()));
    world.catalogue.put(server);
    world
}

#[tokio::test]
async fn an_argument_that_a_tool_wants_in_a_header_is_there_and_says_the_same() {
    let world = mirroring().await;
    let runner = world.runner();
    let arguments = json!({"ticket_id": 8821});
    let call = async |stated: &[&str]| {
        let presentation = runner.present("get_ticket", &arguments);
        let mut with = headers("get_ticket");
        with.extend(stated.iter().map(|value| ("mcp-param-ticket", (*value).to_owned())));
        let text = body("get_ticket", &arguments, Some(&presentation)).to_string();
        send("POST", &world.url(), &with, text).await
    };
    // `ODgyMQ==` is base64 of 8821, in one form only.
    for wrong in [
        &[][..],
        &["8822"],
        &[""],
        &["=?base64?ODgyMQ?="],
        &["=?base64?ODgy!MQ==?="],
        &["=?base64?/w==?="],
        &["ODgyMQ=="],
    ] {
        let raw = call(wrong).await;
        let code = raw.json()["error"]["code"].as_i64();
        assert_eq!((raw.status, code), (400, Some(-32020)), "{wrong:?} {}", raw.text);
        assert_eq!(raw.code(), "param-header-mismatch");
        assert_eq!(world.denial_codes().pop().unwrap(), "param-header-mismatch");
    }
    // Two of them: nobody knows which one is meant.
    let raw = call(&["8821", "8821"]).await;
    assert_eq!((raw.status, raw.json()["error"]["code"].as_i64()), (400, Some(-32020)));
    assert!(world.tap.of("tools/call").is_empty());
    for right in ["8821", "=?base64?ODgyMQ==?="] {
        assert_eq!(call(&[right]).await.status, 200);
        let sent = world.tap.of("tools/call").pop().unwrap();
        assert_eq!(sent.header("mcp-param-ticket"), Some("8821"), "made here");
    }
}
