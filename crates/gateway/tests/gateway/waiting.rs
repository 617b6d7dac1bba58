//! A waiting call for clients that can send their user to a page, in both eras,
//! and where its own caller asks how it stands.

use serde_json::{Value, json};

use crate::approvals::{
    ASK, WORKFLOW, approve, asked, asking, call, code, enforce, say, upstream_calls, world,
};
use crate::sessions::{id_of, presented};
use crate::support::{Holder, Raw, SERVER, World, body, headers, key, send};
use bailiwick_core::approval::Verdict;
use bailiwick_core::json::Json;
use bailiwick_gateway::ports::HoldRefusal;

const OWN: &str = "io.bailiwick/approval";
/// Nobody decides for longer than a minute.
const BRIEF: &str = "approvals: {by: [approvers], key_max_risk: high, wait_seconds: 60}\n";

fn able() -> Value {
    json!({"elicitation": {"form": {}, "url": {}}})
}

/// A call as a client sends it that can do so much; the proof is over the call
/// itself, whatever it sends back beside it.
async fn able_call(
    world: &World,
    holder: &Holder,
    (tool, arguments): (&str, Value),
    capabilities: Value,
    back: Value,
) -> Raw {
    let presented = holder.present(tool, &arguments);
    let mut message = body(tool, &arguments, Some(&presented));
    message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = capabilities;
    for (name, value) in back.as_object().unwrap() {
        message["params"][name] = value.clone();
    }
    send("POST", &world.url(), &headers(tool), message.to_string()).await
}

fn ticket(n: i64) -> (&'static str, Value) {
    ("get_ticket", json!({"ticket_id": n}))
}

/// What a client sends back when its user did this.
fn back(state: &str, action: &str) -> Value {
    json!({"requestState": state, "inputResponses": {OWN: {"action": action}}})
}

fn state(raw: &Raw) -> String {
    let state = raw.json()["result"]["requestState"].as_str().map(str::to_owned);
    state.unwrap_or_else(|| panic!("{}", raw.text))
}

/// The first try of a client that opens pages.
async fn held(world: &World, holder: &Holder) -> String {
    state(&able_call(world, holder, ticket(8821), able(), json!({})).await)
}

#[tokio::test]
async fn a_client_that_opens_pages_is_sent_to_the_one_of_the_approval_and_its_next_try_passes() {
    let world = world().await;
    let runner = world.runner();
    let raw = able_call(&world, &runner, ticket(8821), able(), json!({})).await;
    let question = asked(&world);
    let result = &raw.json()["result"];
    assert_eq!((raw.status, &result["resultType"]), (200, &json!("input_required")));
    let visit = &result["inputRequests"][OWN];
    assert_eq!(visit["method"], "elicitation/create");
    let url = format!("https://console.example/approvals/{}", question.id);
    assert_eq!((&visit["params"]["mode"], &visit["params"]["url"]), (&json!("url"), &json!(url)));
    assert!(visit["params"]["message"].as_str().unwrap().contains("tools/get_ticket"), "{visit}");
    assert!(visit["params"]["elicitationId"].is_null(), "the version has none: {visit}");
    let meta = &result["_meta"];
    let event = world.journal.denials().pop().unwrap();
    assert_eq!(meta["io.bailiwick/decision"]["id"], event.id.as_str());
    assert_eq!(meta[OWN]["id"], question.id.as_str());
    assert_eq!(meta[OWN]["retry_after"], 2);
    // It is the record of any call that waits.
    assert_eq!(event.subjects.decision.as_deref(), Some("approval_required"));
    assert_eq!(event.subjects.reason.as_deref(), Some("approval-required"));

    // The state grants nothing by itself, whatever the client says of its user.
    let first = state(&raw);
    let again = able_call(&world, &runner, ticket(8821), able(), back(&first, "accept")).await;
    assert_eq!(again.json()["result"]["_meta"][OWN]["id"], question.id.as_str());
    assert_eq!((world.holds.asked().len(), world.journal.denials().len()), (1, 1));
    assert_eq!(upstream_calls(&world), 0);

    // It is the same call, so what people approve is that.
    approve(&world);
    let second = state(&again);
    assert_ne!(first, second);
    let passed = able_call(&world, &runner, ticket(8821), able(), back(&second, "accept")).await;
    assert_eq!(passed.json()["result"]["isError"], false, "{}", passed.text);
    let record = world.journal.decisions().pop().unwrap();
    assert_eq!(record.used.unwrap().approval().unwrap().question, question);
    assert_eq!(record.event.body.member("action_digest"), Some(&Json::from(question.action)));
    // Nothing of it reaches the tool server.
    let sent = world.tap.of("tools/call").pop().unwrap();
    for ours in ["requestState", "inputResponses", "bailiwick-approval", OWN] {
        assert!(!String::from_utf8_lossy(&sent.body).contains(ours), "{ours}");
    }
    // Another use of the same state is another question.
    let third = able_call(&world, &runner, ticket(8821), able(), back(&second, "accept")).await;
    assert_ne!(third.json()["result"]["_meta"][OWN]["id"], question.id.as_str());
    assert_eq!(upstream_calls(&world), 1);
}

#[tokio::test]
async fn without_the_capability_or_when_the_user_declines_the_denial_is_told_as_it_is() {
    let world = world().await;
    let runner = world.runner();
    for capabilities in [
        json!({}),
        json!({"elicitation": {}}),
        json!({"elicitation": {"form": {}}}),
        json!({"elicitation": {"url": true}}),
    ] {
        let raw = able_call(&world, &runner, ticket(8821), capabilities, json!({})).await;
        assert_eq!(raw.json()["error"]["code"], -32040, "{}", raw.text);
        assert_eq!(code(&raw), "approval-required");
    }
    let state = held(&world, &runner).await;
    for action in ["decline", "cancel"] {
        let raw = able_call(&world, &runner, ticket(8821), able(), back(&state, action)).await;
        assert_eq!(raw.json()["error"]["code"], -32040, "{}", raw.text);
        assert_eq!(code(&raw), "approval-required");
    }
    // Whoever may decide may still do so, and the call passes.
    assert_eq!(world.holds.asked().len(), 1);
    approve(&world);
    assert!(call(&world, &runner, 8821).await.json()["result"].is_object());
}

#[tokio::test]
async fn a_state_that_was_made_for_something_else_or_by_nobody_is_denied_by_name() {
    let world =
        asking(WORKFLOW.replacen("tool_servers:", &format!("{BRIEF}tool_servers:"), 1)).await;
    let open = world.issue(1, &["ticket:8821", "ticket:8822", "orders:read"], |_| ());
    let runner = world.holder(1, vec![open]);
    let state = held(&world, &runner).await;
    approve(&world);
    let other = world.runner();
    let tampered =
        format!("{}{}", &state[..state.len() - 1], if state.ends_with('A') { 'Q' } else { 'A' });
    for (why, holder, called, presented) in [
        ("tampered", &runner, ticket(8821), tampered.as_str()),
        ("made up", &runner, ticket(8821), "bailiwick-approval.AAAA"),
        ("empty", &runner, ticket(8821), "bailiwick-approval."),
        ("another delegation's", &*other, ticket(8821), state.as_str()),
        ("another call's", &runner, ticket(8822), state.as_str()),
        // A call that needs nobody.
        ("another tool's", &runner, ("get_order", json!({"order_id": 10072})), state.as_str()),
    ] {
        let raw = able_call(&world, holder, called, able(), back(presented, "accept")).await;
        assert_eq!(code(&raw), "request-state-invalid", "{why}: {}", raw.text);
        let event = world.journal.denials().pop().unwrap();
        assert_eq!(event.subjects.reason.as_deref(), Some("request-state-invalid"), "{why}");
        assert_eq!(event.body.member("stage"), Some(&Json::from("approval")), "{why}");
        // What the rules said of the call stays their word.
        let asks = event.body.member("rule").is_some();
        let decision = if asks { "approval_required" } else { "deny" };
        assert_eq!(event.subjects.decision.as_deref(), Some(decision), "{why}");
        assert_eq!(asks, why != "another tool's", "{why}");
    }
    assert_eq!((world.holds.asked().len(), upstream_calls(&world)), (1, 0));
    // Past its end, also where the call would pass without it.
    world.host.step(61_000);
    let late = able_call(&world, &runner, ticket(8821), able(), back(&state, "accept")).await;
    assert_eq!(code(&late), "request-state-invalid", "{}", late.text);
    assert_eq!(upstream_calls(&world), 0);
    // The bare call asks anew.
    assert_eq!(code(&call(&world, &runner, 8821).await), "approval-required");
}

#[tokio::test]
async fn a_call_that_carries_a_tool_servers_state_is_not_told_to_drop_it() {
    let rules = "get_order:\n        order_id: {constraint_type: range, min: 1}";
    let workflow = WORKFLOW.replace(rules, "get_order: any");
    assert_ne!(workflow, WORKFLOW);
    let world = asking(workflow).await;
    enforce(&world, &ASK.replace("get_ticket", "get_order"));
    let runner = world.runner();
    let arguments = json!({"order_id": 10072});
    let message = || {
        let signed = json!({"order_id": 10072, "$state": "theirs"});
        let presented = runner.present("get_order", &signed);
        let mut message = body("get_order", &arguments, Some(&presented));
        message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = able();
        message["params"]["requestState"] = json!("theirs");
        message.to_string()
    };
    let raw = send("POST", &world.url(), &headers("get_order"), message()).await;
    assert_eq!(raw.json()["error"]["code"], -32040, "{}", raw.text);
    assert_eq!(code(&raw), "approval-required");
    approve(&world);
    let passed = send("POST", &world.url(), &headers("get_order"), message()).await;
    assert!(passed.json()["result"].is_object(), "{}", passed.text);
    // Theirs is passed on as it is.
    let sent = world.tap.of("tools/call").pop().unwrap();
    assert_eq!(sent.json()["params"]["requestState"], "theirs");
}

async fn in_session(world: &World, holder: &Holder, capabilities: Value) -> Raw {
    let hello = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": capabilities,
        "clientInfo": {"name": "t", "version": "0"},
    }});
    let opening = presented(world, holder, "POST", None);
    let opened = send("POST", &world.url(), &opening, hello.to_string()).await;
    let shown = holder.present("get_ticket", &json!({"ticket_id": 8821}));
    let called = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
        "name": "get_ticket", "arguments": {"ticket_id": 8821},
        "_meta": {"io.bailiwick/presentation": shown},
    }});
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("mcp-session-id", id_of(&opened)),
        ("mcp-protocol-version", "2025-11-25".to_owned()),
    ];
    send("POST", &world.url(), &headers, called.to_string()).await
}

#[tokio::test]
async fn in_a_session_a_client_that_opens_pages_hears_that_a_visit_is_required() {
    let world = world().await;
    let runner = world.runner();
    let raw = in_session(&world, &runner, able()).await;
    let question = asked(&world);
    let error = &raw.json()["error"];
    assert_eq!((raw.status, &error["code"]), (200, &json!(-32042)), "{}", raw.text);
    let url = format!("https://console.example/approvals/{}", question.id);
    let visit = &error["data"]["elicitations"][0];
    assert_eq!((&visit["mode"], &visit["url"]), (&json!("url"), &json!(url)));
    assert_eq!(visit["elicitationId"], question.id.as_str());
    assert!(visit["message"].is_string());
    // What any client hears stands beside it.
    let data = &error["data"];
    assert_eq!((&data["code"], &data["retry_after"]), (&json!("approval-required"), &json!(2)));
    assert_eq!(data["approval"]["id"], question.id.as_str());
    // A client that does not, or only shows forms, hears only that.
    for capabilities in
        [json!({}), json!({"elicitation": {}}), json!({"elicitation": {"form": {}}})]
    {
        let raw = in_session(&world, &runner, capabilities).await;
        assert_eq!(raw.json()["error"]["code"], -32040, "{}", raw.text);
        assert!(!raw.text.contains("elicitations"), "{}", raw.text);
    }
    // The tool server was told of no elicitation: it may not ask.
    for message in world.tap.seen().iter().filter(|message| message.method() == "initialize") {
        assert!(!String::from_utf8_lossy(&message.body).contains("elicitation"));
    }
    approve(&world);
    assert!(in_session(&world, &runner, able()).await.json()["result"].is_object());
}

/// Where a call's denial says that its caller may ask.
fn poll_url(world: &World, raw: &Raw) -> String {
    let url = raw.json()["error"]["data"]["approval"]["poll"].as_str().unwrap().to_owned();
    assert_eq!(url, format!("{}/approvals/{}", world.url(), asked(world).id));
    url
}

async fn poll(holder: &Holder, url: &str) -> Raw {
    let headers = [("aat-chain", holder.chain.join(",")), ("dpop", holder.dpop("GET", url))];
    send("GET", url, &headers, "").await
}

fn stands(raw: &Raw) -> String {
    assert_eq!(raw.status, 200, "{}", raw.text);
    assert_eq!(raw.headers["cache-control"], "no-store");
    raw.json()["state"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn whoever_asked_is_told_how_it_stands() {
    let world =
        asking(WORKFLOW.replacen("tool_servers:", &format!("{BRIEF}tool_servers:"), 1)).await;
    let runner = world.runner();
    let url = poll_url(&world, &call(&world, &runner, 8821).await);
    let pending = poll(&runner, &url).await;
    assert_eq!(stands(&pending), "pending");
    assert_eq!(pending.json()["approval"], asked(&world).id.as_str());
    assert_eq!(pending.json()["retry_after"], 2);
    approve(&world);
    let approved = poll(&runner, &url).await;
    assert_eq!(stands(&approved), "approved");
    assert!(approved.json()["retry_after"].is_null());
    // Asking makes no call, and writes nothing.
    assert_eq!((upstream_calls(&world), world.journal.denials().len()), (0, 1));
    assert!(call(&world, &runner, 8821).await.json()["result"].is_object());
    assert_eq!(stands(&poll(&runner, &url).await), "spent");

    let url = poll_url(&world, &call(&world, &runner, 8821).await);
    say(&world, &asked(&world), "user:9", 9, Verdict::Deny);
    assert_eq!(stands(&poll(&runner, &url).await), "denied");
    let late = world.holder(1, vec![world.issue(1, &["ticket:8821"], |_| ())]);
    let url = poll_url(&world, &call(&world, &late, 8821).await);
    world.host.step(61_000);
    assert_eq!(stands(&poll(&late, &url).await), "expired");
}

#[tokio::test]
async fn nobody_else_learns_that_there_is_a_question() {
    let world = world().await;
    let runner = world.runner();
    let url = poll_url(&world, &call(&world, &runner, 8821).await);
    // The same agent under another delegation, which asked nothing.
    let other = world.runner();
    let foreign = poll(&other, &url).await;
    let nobodys = url.replace(asked(&world).id.as_str(), "018cc251-f400-7101-8101-010101010101");
    let unknown = poll(&runner, &nobodys).await;
    assert_eq!((foreign.status, foreign.text.as_str()), (404, ""));
    assert_eq!((unknown.status, unknown.text.as_str()), (404, ""));
    assert_eq!(poll(&runner, &format!("{}/approvals/x", world.url())).await.status, 404);
    let elsewhere = url.replace(&format!("/mcp/{SERVER}/"), "/mcp/other/");
    assert_eq!(poll(&runner, &elsewhere).await.status, 404);
    // Without a proof, with one that was used, and with one for another URL.
    let chain = ("aat-chain", runner.chain.join(","));
    assert_eq!(send("GET", &url, std::slice::from_ref(&chain), "").await.status, 401);
    let used = [chain.clone(), ("dpop", runner.dpop("GET", &url))];
    assert_eq!(send("GET", &url, &used, "").await.status, 200);
    assert_eq!(send("GET", &url, &used, "").await.status, 401);
    let for_messages = [chain.clone(), ("dpop", runner.dpop("GET", &world.url()))];
    assert_eq!(send("GET", &url, &for_messages, "").await.status, 401);
    // By somebody else's key.
    let stolen = Holder { key: key(2), ..world.holder(1, runner.chain.clone()) };
    assert_eq!(poll(&stolen, &url).await.status, 401);
    // What cannot be read is no answer.
    world.holds.set_fault(Some(HoldRefusal::Unavailable));
    let away = poll(&runner, &url).await;
    assert_eq!((away.status, &away.json()["code"]), (403, &json!("approval-unavailable")));
}

#[tokio::test]
async fn the_caller_of_an_http_api_is_told_how_its_call_stands_too() {
    let (world, api) = crate::api::world().await;
    enforce(&world, &ASK.replace("mcp:support-desk:tools/get_ticket", "http:orders:getOrder"));
    let holder = crate::api::runner(&world);
    let proof = crate::api::shown(&holder, "getOrder", json!({"id": 10072}));
    let said = crate::api::raw(&world.base, "GET /http/orders/orders/10072", &proof, "").await;
    let told: Value = serde_json::from_str(&said.body).unwrap();
    assert_eq!(told["code"], "approval-required", "{told}");
    let url = told["approval"]["poll"].as_str().unwrap();
    assert_eq!(url, format!("{}/mcp/orders/approvals/{}", world.base, asked(&world).id));
    assert_eq!(stands(&poll(&holder, url).await), "pending");
    assert_eq!(api.arrived().len(), 0);
}
