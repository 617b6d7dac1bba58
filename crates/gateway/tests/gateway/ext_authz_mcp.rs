//! MCP behind an Envoy, asked about in both forms.

use bailiwick_gateway::{Bounds, ext_authz_router, serve};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::HttpRequest;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::ext_authz_grpc::{Envoy, allowed, request};
use crate::support::{Holder, SERVER, World, body, headers, send};

const VERSION: &str = "io.modelcontextprotocol/protocolVersion";

struct Behind {
    world: World,
    envoy: Envoy,
    /// Where the HTTP form asks, the tool server's path included.
    http: String,
    path: String,
}

impl Behind {
    async fn new() -> Self {
        let world = World::new().await;
        let envoy = Envoy::of(&world, SERVER).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let path = world.tap.url.parse::<url::Url>().unwrap().path().to_owned();
        let http = format!("http://{}/{SERVER}{path}", listener.local_addr().unwrap());
        let router = ext_authz_router(world.gateway.clone());
        tokio::spawn(serve(listener, router, Bounds::new(16), None, std::future::pending()));
        Self { world, envoy, http, path }
    }

    /// A message with whatever headers, as the gRPC form asks about it.
    fn asked(&self, mut said: Vec<(&'static str, String)>, body: &str) -> HttpRequest {
        said.retain(|(_, value)| !value.is_empty());
        let said: Vec<(&str, &str)> = said.iter().map(|(n, v)| (*n, v.as_str())).collect();
        request("POST", &self.path, &said, body)
    }

    fn call(
        &self,
        arguments: &Value,
        message: &Value,
        more: &[(&'static str, &str)],
    ) -> HttpRequest {
        self.asked(
            self.call_headers(&self.world.holder_of_tickets(), arguments, more),
            &message.to_string(),
        )
    }

    fn call_headers(
        &self,
        holder: &Holder,
        arguments: &Value,
        more: &[(&'static str, &str)],
    ) -> Vec<(&'static str, String)> {
        let shown = holder.present("get_ticket", arguments);
        let mut said = headers("get_ticket");
        said.push(("aat-chain", shown.aat_chain.join(",")));
        said.push(("aat-pop", shown.aat_pop));
        for (name, value) in more {
            said.retain(|(there, _)| there != name);
            said.push((*name, (*value).to_owned()));
        }
        said
    }
}

impl World {
    fn holder_of_tickets(&self) -> Holder {
        self.holder(1, vec![self.issue(1, &["ticket:8821", "orders:read"], |_| ())])
    }
}

fn ticket() -> Value {
    json!({"ticket_id": 8821})
}

#[tokio::test]
async fn a_call_is_judged_as_at_the_gateways_endpoint_in_both_forms() {
    let behind = Behind::new().await;
    let message = body("get_ticket", &ticket(), None);
    let said = behind.envoy.check(behind.call(&ticket(), &message, &[])).await;
    assert_eq!(allowed(&said).headers_to_remove[..2], ["aat-chain", "aat-pop"]);
    let mut headers = behind.call_headers(&behind.world.holder_of_tickets(), &ticket(), &[]);
    headers.push(("x-envoy-auth-partial-body", "false".to_owned()));
    let said = send("POST", &behind.http, &headers, message.to_string()).await;
    assert_eq!((said.status, said.text.as_str()), (200, ""));
    let decisions = behind.world.journal.decisions();
    assert_eq!(decisions.len(), 2);
    for decision in decisions {
        let event = decision.event;
        assert_eq!(event.body.member("enforcement").unwrap().as_str(), Some("external"));
        assert_eq!(event.subjects.tool.as_deref(), Some("mcp:support-desk:tools/get_ticket"));
    }
    // The same message asks the same decision: another ticket is not delegated.
    let other = json!({"ticket_id": 9999});
    let message = body("get_ticket", &other, None);
    let told = behind.envoy.told(behind.call(&other, &message, &[])).await;
    assert_eq!(told, (403, "argument-not-delegated".to_owned()));
    let mut headers = behind.call_headers(&behind.world.holder_of_tickets(), &other, &[]);
    headers.push(("x-envoy-auth-partial-body", "false".to_owned()));
    let said = send("POST", &behind.http, &headers, message.to_string()).await;
    // Over HTTP a 200 would be an allow, also with a JSON-RPC error in it.
    assert_eq!((said.status, said.json()["code"].as_str()), (403, Some("argument-not-delegated")));
}

#[tokio::test]
async fn what_only_a_gateway_that_sees_answers_can_enforce_is_denied() {
    let behind = Behind::new().await;
    let holder = behind.world.holder_of_tickets();
    let shown = holder.present("get_ticket", &ticket());
    // Chain and proof would reach the tool server.
    let in_meta = body("get_ticket", &ticket(), Some(&shown));
    let http = behind.asked(headers("get_ticket"), &in_meta.to_string());
    assert_eq!(behind.envoy.told(http).await.0, 401);
    // So would whatever has no meaning.
    let mut baggage = body("get_ticket", &ticket(), None);
    baggage["params"]["_meta"]["example.com/note"] = json!("x");
    assert_eq!(behind.envoy.told(behind.call(&ticket(), &baggage, &[])).await.0, 401);
    // What a tool server may ask because of it would reach the caller unseen.
    let mut able = body("get_ticket", &ticket(), None);
    able["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] =
        json!({"elicitation": {}});
    assert_eq!(behind.envoy.told(behind.call(&ticket(), &able, &[])).await.0, 401);
    // What is the gateway's of a call that waited would reach the tool server.
    let mut waited = body("get_ticket", &ticket(), None);
    waited["params"]["requestState"] = json!("bailiwick-approval.x");
    waited["params"]["inputResponses"] = json!({"q": {"action": "accept"}});
    assert_eq!(behind.envoy.told(behind.call(&ticket(), &waited, &[])).await.0, 401);
    // A number that parsers read differently.
    let text = body("get_ticket", &ticket(), None).to_string();
    let text = text.replace("8821", "8821.0000000000000000001");
    let told = behind.asked(behind.call_headers(&holder, &ticket(), &[]), &text);
    assert_eq!(behind.envoy.told(told).await.0, 401);
    // Sessions.
    let message = body("get_ticket", &ticket(), None);
    for more in [
        [("mcp-session-id", "s1")],
        [("last-event-id", "1")],
        [("mcp-protocol-version", "2025-11-25")],
        [("mcp-name", "reply_ticket")],
        [("mcp-param-ticket", "1")],
        [("x-original-url", "/admin")],
        // The tool server may read the bytes as it says.
        [("content-type", "application/json; charset=utf-7")],
        [("content-type", "application/json; charset=shift_jis")],
    ] {
        let told = behind.envoy.told(behind.call(&ticket(), &message, &more)).await;
        assert_eq!(told.0, 401, "{more:?}");
    }
    let legacy = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call",
        "params": {"name": "get_ticket", "arguments": ticket()}});
    let more = [("mcp-protocol-version", "2025-11-25"), ("mcp-session-id", "s1")];
    assert_eq!(behind.envoy.told(behind.call(&ticket(), &legacy, &more)).await.0, 401);
    // Another path of the tool server's, and no message at all.
    let mut elsewhere = behind.call(&ticket(), &message, &[]);
    elsewhere.path = "/admin".to_owned();
    elsewhere.headers.insert(":path".to_owned(), "/admin".to_owned());
    assert_eq!(behind.envoy.told(elsewhere).await.0, 401);
    let mut stream = behind.call(&ticket(), &message, &[]);
    stream.method = "GET".to_owned();
    stream.headers.insert(":method".to_owned(), "GET".to_owned());
    assert_eq!(behind.envoy.told(stream).await.0, 401);
    let batch = behind.call(&ticket(), &json!([message]), &[]);
    assert_eq!(behind.envoy.told(batch).await.0, 401);
    let mut partial = behind.call(&ticket(), &body("get_ticket", &ticket(), None), &[]);
    partial.headers.insert("x-envoy-auth-partial-body".to_owned(), "true".to_owned());
    assert_eq!(behind.envoy.told(partial).await.0, 401);
    assert!(behind.world.journal.decisions().is_empty());
    assert!(behind.world.denial_codes().contains(&"not-enforceable".to_owned()));
}

#[tokio::test]
async fn of_other_messages_only_what_needs_no_narrowing_passes_and_by_whom_is_known() {
    let behind = Behind::new().await;
    let holder = behind.world.holder_of_tickets();
    let message = |method: &str| {
        json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": {
            VERSION: "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}}})
        .to_string()
    };
    let said = |method: &str, dpop: String| {
        vec![
            ("content-type", "application/json".to_owned()),
            ("mcp-protocol-version", "2026-07-28".to_owned()),
            ("mcp-method", method.to_owned()),
            ("aat-chain", holder.chain.join(",")),
            ("dpop", dpop),
        ]
    };
    let dpop = || holder.dpop("POST", &behind.world.url());
    let discover =
        |dpop: String| behind.asked(said("server/discover", dpop), &message("server/discover"));
    let http = discover(dpop());
    allowed(&behind.envoy.check(http.clone()).await);
    // The proof is spent, was made for another endpoint, or is missing.
    assert_eq!(behind.envoy.told(http).await.0, 401);
    assert_eq!(behind.envoy.told(discover(holder.dpop("POST", "http://x.test/mcp"))).await.0, 401);
    assert_eq!(behind.envoy.told(discover(String::new())).await.0, 401);
    for method in
        ["tools/list", "resources/list", "subscriptions/listen", "completion/complete", "tasks/get"]
    {
        let http = behind.asked(said(method, dpop()), &message(method));
        assert_eq!(behind.envoy.told(http).await.0, 401, "{method}");
    }
    assert!(behind.world.journal.decisions().is_empty());
}
