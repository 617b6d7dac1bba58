//! What is allowed arrives, in both eras, with nothing lost and nothing leaked.

use crate::support::{CREDENTIAL, OWN, Plan, SHOWN, World, body, headers, object, send};
use bailiwick_demo::agent::Era;
use bailiwick_demo::desk::{CUSTOMER_OF_TICKET_8821, REFUND_POLICY_URI, REPLY_PROMPT};
use serde_json::json;

#[tokio::test]
async fn an_allowed_call_reaches_the_tool_and_is_recorded_in_both_eras() {
    for (era, json_response) in
        [(Era::Sessions, true), (Era::Stateless, true), (Era::Stateless, false)]
    {
        let world = World::with(Plan { json_response, ..Plan::default() }).await;
        let client = world.connect(era, world.runner()).await;
        assert_eq!(client.protocol_version().as_deref(), Some(era.version()));
        let outcome = client.call_tool("get_ticket", object(json!({"ticket_id": 8821}))).await;
        let result = outcome.allowed().expect("allowed");
        let meta = serde_json::to_value(result).unwrap()["_meta"]["io.bailiwick/decision"].clone();
        let orders = object(json!({"customer_id": CUSTOMER_OF_TICKET_8821}));
        assert!(client.call_tool("list_orders", orders).await.allowed().is_some());

        assert_eq!(world.outcomes(2).await, ["ok", "ok"]);
        let decisions = world.journal.decisions();
        let event = &decisions[0].event;
        assert_eq!(meta["id"], event.id.as_str());
        assert_eq!(
            meta["action_digest"],
            event.body.member("action_digest").unwrap().as_str().unwrap()
        );
        assert_eq!(event.subjects.agent.as_deref(), Some("agent:support-runner"));
        assert_eq!(event.subjects.decision.as_deref(), Some("allow"));
        assert_eq!(event.subjects.tool.as_deref(), Some("mcp:support-desk:tools/get_ticket"));
        let completed = &world.journal.completed()[0];
        assert_eq!(completed.body.member("decided").unwrap().as_str(), Some(event.id.as_str()));
        assert_eq!(world.desk.call_log().unwrap().len(), 2);
        client.close().await;
    }
}

#[tokio::test]
async fn the_action_digest_is_that_of_its_disclosed_preimage() {
    let world = World::new().await;
    let runner = world.runner();
    let arguments = json!({"ticket_id": 8821});
    let raw = world
        .call("get_ticket", arguments.clone(), Some(&runner.present("get_ticket", &arguments)))
        .await;
    assert_eq!(raw.status, 200);
    let event = world.journal.decisions().remove(0).event;
    let find = |name: &str| &event.disclosures.iter().find(|(n, _)| n == name).unwrap().1;
    let digest = bailiwick_core::crypto::sha256(find("action").value.canonical().as_bytes());
    assert_eq!(
        event.body.member("action_digest").unwrap().as_str(),
        Some(digest.to_string().as_str())
    );
    let inputs = find("inputs").commitment().to_string();
    assert_eq!(event.body.member("inputs").unwrap().as_str(), Some(inputs.as_str()));
    let names: Vec<&str> = event.disclosures.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(names, ["arguments", "action", "chain", "proof", "inputs"]);
    let salts: std::collections::HashSet<_> =
        event.disclosures.iter().map(|(_, d)| d.salt).collect();
    assert_eq!(salts.len(), 5);
    assert!(!salts.contains(&[0; 32]));
}

#[tokio::test]
async fn resources_and_prompts_pass_the_same_stages() {
    for era in Era::ALL {
        let world = World::new().await;
        let mut scope = world.scope(&["policies:read"]);
        let more = bailiwick_core::scope::Scope::parse(
            crate::support::strict(r#"{"mcp:support-desk:prompts/reply_to_ticket":{"ticket_id":{"constraint_type":"exact","value":"8821"}}}"#)
                .as_object()
                .unwrap(),
            bailiwick_core::constraint::Dialect::Core,
            32,
        )
        .unwrap();
        scope = bailiwick_core::scope::Scope::from_entries(
            scope
                .tools()
                .chain(more.tools())
                .map(|(t, r)| (t.to_owned(), r.clone()))
                .collect::<Vec<_>>(),
        )
        .unwrap();
        let root = world.issue(1, &["ticket:8821"], |content| content.scope = scope);
        let client = world.connect(era, world.holder(1, vec![root]).into()).await;
        assert_eq!(client.list_resources().await.unwrap().len(), 1);
        assert_eq!(client.list_prompts().await.unwrap().len(), 1);
        assert_eq!(client.list_tools().await.unwrap().len(), OWN, "the gateway's own");
        assert!(client.read_resource(REFUND_POLICY_URI).await.allowed().is_some());
        let ticket = object(json!({"ticket_id": "8821"}));
        assert!(client.get_prompt(REPLY_PROMPT, ticket).await.allowed().is_some());
        let other = object(json!({"ticket_id": "9000"}));
        let denied = client.get_prompt(REPLY_PROMPT, other).await;
        assert_eq!(denied.denied().unwrap().code, "argument-not-delegated");
        assert_eq!(world.outcomes(2).await, ["ok", "ok"]);
        client.close().await;
    }
}

#[tokio::test]
async fn a_listing_shows_only_what_the_delegation_permits() {
    for era in Era::ALL {
        let world = World::new().await;
        let client = world.connect(era, world.runner()).await;
        let mut tools: Vec<String> =
            client.list_tools().await.unwrap().into_iter().map(|t| t.name.to_string()).collect();
        tools.sort();
        assert_eq!(tools, SHOWN);
        assert!(client.list_resources().await.unwrap().is_empty());
        assert!(client.list_prompts().await.unwrap().is_empty());
        client.close().await;
    }
}

#[tokio::test]
async fn no_presentation_goes_up_and_no_credential_comes_down() {
    for era in Era::ALL {
        let world = World::new().await;
        let runner = world.runner();
        let client = world.connect(era, runner.clone()).await;
        client.list_tools().await.unwrap();
        let outcome = client.call_tool("get_ticket", object(json!({"ticket_id": 8821}))).await;
        assert!(outcome.clone().allowed().is_some());
        let denied = client.call_tool("get_ticket", object(json!({"ticket_id": 9000}))).await;
        let down = format!("{outcome:?} {denied:?}");
        assert!(!down.contains(CREDENTIAL));
        client.close().await;
        for exchange in world.tap.seen() {
            let head = format!("{:?}", exchange.headers);
            let body = String::from_utf8_lossy(&exchange.body).into_owned();
            assert_eq!(
                exchange.header("authorization"),
                Some(format!("Bearer {CREDENTIAL}").as_str())
            );
            for secret in
                [runner.leaf(), "aat-chain", "aat-pop", "dpop", "io.bailiwick/presentation"]
            {
                assert!(!head.contains(secret) && !body.contains(secret), "{secret} {head} {body}");
            }
        }
    }
}

#[tokio::test]
async fn headers_of_the_caller_do_not_pass() {
    let world = World::new().await;
    let runner = world.runner();
    let arguments = json!({"ticket_id": 8821});
    let presentation = runner.present("get_ticket", &arguments);
    let mut with = headers("get_ticket");
    with.push(("cookie", "session=client".into()));
    with.push(("x-forwarded-for", "10.0.0.1".into()));
    with.push(("mcp-param-region", "client".into()));
    let text = body("get_ticket", &arguments, Some(&presentation)).to_string();
    assert_eq!(send("POST", &world.url(), &with, text).await.status, 200);
    let call = world.tap.of("tools/call").remove(0);
    for absent in ["cookie", "x-forwarded-for", "mcp-param-region"] {
        assert!(call.header(absent).is_none(), "{absent}");
    }
    assert_eq!(call.header("authorization"), Some(format!("Bearer {CREDENTIAL}").as_str()));
    assert_eq!(call.header("mcp-method"), Some("tools/call"));
    assert_eq!(call.header("mcp-name"), Some("get_ticket"));
    // Who shows two things is asked which one is meant.
    with.push(("authorization", "Bearer client-token".into()));
    let presentation = runner.present("get_ticket", &arguments);
    let text = body("get_ticket", &arguments, Some(&presentation)).to_string();
    assert_eq!(send("POST", &world.url(), &with, text).await.status, 401);
    assert_eq!(world.denial_codes(), ["presentation-malformed"]);
}

#[tokio::test]
async fn of_meta_only_what_the_protocol_defines_passes() {
    let world = World::new().await;
    let runner = world.runner();
    let arguments = json!({"ticket_id": 8821});
    let presentation = runner.present("get_ticket", &arguments);
    let mut message = body("get_ticket", &arguments, Some(&presentation));
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (name, value) in [
        ("progressToken", json!(1)),
        ("traceparent", json!(trace)),
        ("baggage", json!("out=of-band")),
        ("tracestate", json!("out=of-band")),
        ("io.modelcontextprotocol/related-task", json!({"taskId": "out-of-band"})),
        ("com.example/hidden", json!({"ticket_id": 9000})),
    ] {
        message["params"]["_meta"][name] = value;
    }
    let raw = send("POST", &world.url(), &headers("get_ticket"), message.to_string()).await;
    assert!(raw.json()["result"].is_object() || raw.text.contains("\"result\""), "{}", raw.text);
    let call = world.tap.of("tools/call").remove(0).json();
    let meta = call["params"]["_meta"].as_object().unwrap();
    assert_eq!(meta["traceparent"], trace);
    let mut names: Vec<&str> = meta.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "io.modelcontextprotocol/clientCapabilities",
            "io.modelcontextprotocol/clientInfo",
            "io.modelcontextprotocol/protocolVersion",
            "progressToken",
            "traceparent",
        ]
    );
}

#[tokio::test]
async fn state_that_goes_back_to_a_tool_server_is_proved_and_delegated_like_an_argument() {
    let world = World::new().await;
    let runner = world.runner();
    let arguments = json!({"ticket_id": 8821});
    let mut with_state = body("get_ticket", &arguments, None);
    with_state["params"]["requestState"] = json!("opaque");
    let mut present = |proved: serde_json::Value| {
        with_state["params"]["_meta"]["io.bailiwick/presentation"] =
            json!(runner.present("get_ticket", &proved));
        with_state.to_string()
    };
    for (proved, code) in [
        (json!({"ticket_id": 8821}), "proof-other-arguments"),
        (json!({"ticket_id": 8821, "$state": "opaque"}), "argument-unnamed"),
    ] {
        let text = present(proved);
        send("POST", &world.url(), &headers("get_ticket"), text).await;
        assert_eq!(world.denial_codes().last().unwrap(), code);
    }
    assert!(world.tap.of("tools/call").is_empty());
}

#[tokio::test]
async fn a_bearer_token_alone_is_no_presentation_and_goes_nowhere() {
    let world = World::new().await;
    let mut with = headers("get_ticket");
    with.push(("authorization", format!("Bearer {CREDENTIAL}")));
    let text = body("get_ticket", &json!({"ticket_id": 8821}), None).to_string();
    let raw = send("POST", &world.url(), &with, text).await;
    assert_eq!(raw.code(), "not-authenticated");
    assert_eq!(world.denial_codes(), ["presentation-malformed"]);
    assert!(world.tap.of("tools/call").is_empty());
}

#[tokio::test]
async fn chain_and_proof_may_stand_in_headers_up_to_8_kib() {
    let world = World::new().await;
    let runner = world.runner();
    let arguments = json!({"ticket_id": 8821});
    let presentation = runner.present("get_ticket", &arguments);
    let text = body("get_ticket", &arguments, None).to_string();
    let mut with = headers("get_ticket");
    with.push(("aat-chain", presentation.aat_chain.join(",")));
    with.push(("aat-pop", presentation.aat_pop.clone()));
    let raw = send("POST", &world.url(), &with, text.clone()).await;
    assert_eq!(raw.json()["id"], 7);
    assert!(raw.json()["result"].is_object(), "{}", raw.text);
    // Both forms at once are refused.
    let both = body("get_ticket", &arguments, Some(&presentation)).to_string();
    assert_eq!(send("POST", &world.url(), &with, both).await.code(), "not-authenticated");
    // A chain that is too long for headers.
    let mut with = headers("get_ticket");
    with.push(("aat-chain", format!("{},{}", presentation.aat_chain[0], "x".repeat(8192))));
    with.push(("aat-pop", presentation.aat_pop));
    assert_eq!(send("POST", &world.url(), &with, text).await.code(), "not-authenticated");
    assert_eq!(world.denial_codes(), ["presentation-malformed", "chain-too-large"]);
}

#[tokio::test]
async fn metadata_names_the_audience_and_not_the_tool_servers() {
    let world = World::new().await;
    for server in ["support-desk", "no-such-server"] {
        let url = format!("{}/.well-known/oauth-protected-resource/mcp/{server}", world.base);
        let raw = send("GET", &url, &[], "").await;
        assert_eq!(raw.status, 200);
        assert_eq!(raw.json()["bailiwick_audience"], world.audience());
        assert_eq!(raw.json()["resource"], format!("{}/mcp/{server}", world.base));
    }
    for path in ["healthz", "readyz"] {
        assert_eq!(send("GET", &format!("{}/{path}", world.base), &[], "").await.status, 200);
    }
}

#[tokio::test]
async fn draining_waits_for_the_outcome_of_calls_in_flight() {
    let world = World::new().await;
    let root = world.issue(1, &["reports:read"], |_| ());
    let client = world.connect(Era::Stateless, world.holder(1, vec![root]).into()).await;
    let call = tokio::spawn(async move {
        let slow = object(json!({"seconds": 1}));
        client.call_tool("slow_report", slow).await.allowed().is_some()
    });
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    assert_eq!(world.journal.decisions().len(), 1);
    assert!(world.gateway.drain(std::time::Duration::from_secs(10)).await);
    assert_eq!(world.journal.completed().len(), 1);
    assert!(call.await.unwrap());
}
