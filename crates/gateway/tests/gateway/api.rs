//! HTTP APIs: a real API behind the gateway, described by its OpenAPI file.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use bailiwick_core::dpop::Occasion;
use bailiwick_core::ids::ServerName;
use bailiwick_core::json::Object;
use bailiwick_gateway::ports::{Credential, Host as _, Pin, ToolServer, UpstreamIdentity};
use bailiwick_policy::api::openapi;
use bailiwick_policy::catalogue::Definition;
use http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Holder, Plan, World, key, random_id, strict};

pub(crate) const OPENAPI: &str = include_str!("orders.openapi.yaml");
const CREDENTIAL: &str = "orders-credential-0123456789";

pub(crate) const WORKFLOW: &str = r#"
workflow: orders
version: "1"
owner: user:owner
purpose: Look after orders.
agents: [agent:support-runner]
level: bounded
window_seconds: 3600
max_depth: 1
budget: {max_calls: 100}
tool_servers:
  orders:
    operations:
      getOrder: {risk: low, effect: read, idempotent: true, timeout_seconds: 2, personal: false}
      findOrders: {risk: low, effect: read, personal: false}
      refundOrder: {risk: medium, effect: write, personal: false}
      nobody: {risk: low, effect: read, personal: false}
shorthands:
  "orders:read":
    tools:
      "http:orders:getOrder": {id: {constraint_type: range, min: 1, max: 20000}, expand: {constraint_type: wildcard, optional: true}}
      "http:orders:findOrders": any
  "orders:refund":
    tools:
      "http:orders:refundOrder": {id: {constraint_type: exact, value: 10072}, amount_cents: {constraint_type: range, min: 1, max: 5000}}
data_sources: {tool_servers: [orders]}
completion:
  - {id: refunded, says: The order is refunded., by: {tool: "http:orders:refundOrder"}}
review: {by: [owner], when: incomplete}
rollback:
  - {id: by-hand, says: Charge the order again., how: manual}
evaluation:
  targets: {task_success_rate: {at_least: 0.9}}
  window_days: 30
  minimum_runs: 20
  confidence_percent: 95
"#;

/// A request that reached the API.
#[derive(Clone, Debug)]
pub(crate) struct Arrived {
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// What the API does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Fine,
    Leaks,
    Redirects,
    Sleeps,
    Packed,
    Large,
    Html,
    Refuses,
}

#[derive(Clone)]
pub(crate) struct Api {
    arrived: Arc<Mutex<Vec<Arrived>>>,
    mood: Arc<Mutex<Mood>>,
}

impl Api {
    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().unwrap().clone()
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

async fn answer(
    State(api): State<Api>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let line = format!("{method} {uri}");
    let body = String::from_utf8_lossy(&body).into_owned();
    api.arrived.lock().unwrap().push(Arrived { line, headers, body });
    let mood = *api.mood.lock().unwrap();
    match mood {
        Mood::Fine => axum::Json(json!({"id": 10072, "state": "paid"})).into_response(),
        Mood::Leaks => format!("{{\"token\":\"{CREDENTIAL}\"}}").into_response(),
        Mood::Redirects => {
            (StatusCode::FOUND, [("location", "http://169.254.169.254/")]).into_response()
        }
        Mood::Sleeps => {
            tokio::time::sleep(Duration::from_secs(20)).await;
            StatusCode::OK.into_response()
        }
        Mood::Packed => ([("content-encoding", "gzip")], "x").into_response(),
        Mood::Large => "x".repeat(70_000).into_response(),
        Mood::Html => {
            let headers = [
                ("content-type", "text/html"),
                ("set-cookie", "a=b"),
                ("bailiwick-decision", "forged"),
                ("www-authenticate", "Bearer"),
                ("location", "http://elsewhere.example/"),
            ];
            (headers, "<script>alert(1)</script>").into_response()
        }
        Mood::Refuses => (StatusCode::FORBIDDEN, "no").into_response(),
    }
}

pub(crate) async fn serve_api() -> (Api, String) {
    let api = Api { arrived: Arc::default(), mood: Arc::new(Mutex::new(Mood::Fine)) };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}/v1", listener.local_addr().unwrap());
    let app = Router::new().fallback(any(answer)).with_state(api.clone());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (api, base)
}

pub(crate) fn pins(but: &str) -> std::collections::BTreeMap<String, Pin> {
    let listing = openapi::read(OPENAPI).unwrap().listing;
    let items = listing.as_object().unwrap().member("operations").unwrap();
    let read = |item| Definition::of_operation(item).unwrap();
    let all = items.as_array().unwrap().iter().map(read);
    all.filter(|d| d.name() != but).map(|d| (d.name().to_owned(), Pin::of(&d))).collect()
}

pub(crate) fn orders(url: &str) -> ToolServer {
    let name = ServerName::parse("orders").unwrap();
    let url = url.parse().unwrap();
    ToolServer::new(name, url, UpstreamIdentity::Shared, pins("burnOrder"), false)
}

pub(crate) async fn world() -> (World, Api) {
    let (api, base) = serve_api().await;
    let plan = Plan {
        workflow: WORKFLOW.to_owned(),
        config: Box::new(|config| config.max_response_bytes = 64 << 10),
        ..Plan::default()
    };
    let world = World::with(plan).await;
    let server = orders(&base);
    world.vault.put(&server.name, None, Credential::bearer(CREDENTIAL).unwrap());
    world.catalogue.put(server);
    (world, api)
}

pub(crate) fn runner(world: &World) -> Holder {
    world.holder(1, vec![world.issue(1, &["orders:read", "orders:refund"], |_| ())])
}

/// Chain and proof for a call, as headers.
pub(crate) fn shown(holder: &Holder, operation: &str, arguments: Value) -> String {
    let tool = format!("http:orders:{operation}");
    let arguments = strict(&arguments.to_string());
    let proof = holder.proof(&tool, arguments.as_object().unwrap(), |_| ());
    format!("AAT-Chain: {}\r\nAAT-PoP: {proof}\r\n", holder.chain.join(","))
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    fn problem(&self) -> Value {
        assert!(self.head.contains("content-type: application/problem+json"), "{}", self.head);
        serde_json::from_str(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Bytes as a client on the wire sends them: no library cleans them up.
pub(crate) async fn raw(base: &str, line: &str, headers: &str, body: &str) -> Answer {
    let address = base.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

const JSON: &str = "Content-Type: application/json\r\n";

#[tokio::test]
async fn an_allowed_call_is_made_of_its_checked_arguments_and_nothing_else() {
    let (world, api) = world().await;
    let holder = runner(&world);
    let proof = shown(&holder, "getOrder", json!({"expand": ["items", "a b"], "id": 10072}));
    let more = "X-Forwarded-For: 6.6.6.6\r\nCookie: a=b\r\nX-Api-Key: mine\r\nTE: trailers\r\nUser-Agent: curl\r\n";
    let line = "GET /http/orders/orders/10072?expand=items&expand=a%20b";
    let said = raw(&world.base, line, &format!("{proof}{more}"), "").await;
    assert_eq!(said.status, 200, "{}\n{}", said.head, said.body);
    assert!(said.body.contains("paid"));
    assert_eq!(said.header("bailiwick-outcome"), Some("ok"));
    let [arrived] = api.arrived().try_into().unwrap();
    assert_eq!(arrived.line, "GET /v1/orders/10072?expand=items&expand=a%20b");
    assert_eq!(arrived.headers["authorization"], format!("Bearer {CREDENTIAL}"));
    for name in
        ["aat-chain", "aat-pop", "cookie", "x-api-key", "x-forwarded-for", "te", "user-agent"]
    {
        assert!(!arrived.headers.contains_key(name), "{name} passed");
    }
    assert_eq!(world.outcomes(1).await, ["ok"]);
    let decision = world.journal.decisions().remove(0).event;
    assert_eq!(said.header("bailiwick-decision"), Some(decision.id.as_str()));
    assert_eq!(decision.subjects.tool.as_deref(), Some("http:orders:getOrder"));
    let digest = bailiwick_core::crypto::sha256(said.body.as_bytes()).to_string();
    let (_, result) = world.journal.completed().remove(0).disclosures.remove(0);
    assert!(result.value.canonical().contains(&digest), "the result's digest is recorded");
}

#[tokio::test]
async fn a_body_is_written_anew_from_what_was_checked() {
    let (world, api) = world().await;
    let proof = shown(&runner(&world), "refundOrder", json!({"id": 10072, "amount_cents": 100}));
    let body = "{ \"amount_cents\" : 1e2 }";
    let said =
        raw(&world.base, "POST /http/orders/orders/10072/refund", &format!("{proof}{JSON}"), body)
            .await;
    assert_eq!(said.status, 200, "{}", said.body);
    let [arrived] = api.arrived().try_into().unwrap();
    assert_eq!(arrived.body, r#"{"amount_cents":100}"#);
    assert_eq!(arrived.headers["content-type"], "application/json");
}

#[tokio::test]
async fn what_the_delegation_or_the_schema_does_not_allow_is_denied_with_its_reason() {
    let (world, api) = world().await;
    let holder = runner(&world);
    for (line, operation, arguments, body, code) in [
        (
            "GET /http/orders/orders/99999",
            "getOrder",
            json!({"id": 99999}),
            "",
            "argument-not-delegated",
        ),
        (
            "POST /http/orders/orders/7/refund",
            "refundOrder",
            json!({"id": 7, "amount_cents": 1}),
            r#"{"amount_cents":1}"#,
            "argument-not-delegated",
        ),
        (
            "POST /http/orders/orders/10072/refund",
            "refundOrder",
            json!({"id": 10072, "amount_cents": 1, "to": "me"}),
            r#"{"amount_cents":1,"to":"me"}"#,
            "argument-unnamed",
        ),
        (
            "GET /http/orders/orders?state=lost",
            "findOrders",
            json!({"state": "lost"}),
            "",
            "arguments-invalid",
        ),
        ("DELETE /http/orders/orders/7", "deleteOrder", json!({"id": 7}), "", "tool-not-delegated"),
    ] {
        let headers = format!(
            "{}{}",
            shown(&holder, operation, arguments),
            if body.is_empty() { "" } else { JSON }
        );
        let said = raw(&world.base, line, &headers, body).await;
        assert_eq!(
            (said.status, &said.problem()["code"]),
            (403, &json!(code)),
            "{line}: {}",
            said.body
        );
        assert!(said.header("bailiwick-outcome").is_none());
    }
    assert!(api.arrived().is_empty());
    assert_eq!(world.journal.denials().len(), 5);
}

#[tokio::test]
async fn who_proves_nothing_or_something_else_learns_only_that() {
    let (world, api) = world().await;
    let holder = runner(&world);
    let line = "GET /http/orders/orders/10072";
    let other = shown(&holder, "getOrder", json!({"id": 10073}));
    let tool = shown(&holder, "findOrders", json!({"id": 10072}));
    let fine = shown(&holder, "getOrder", json!({"id": 10072}));
    let chain = fine.lines().next().unwrap().to_owned() + "\r\n";
    let thief = world.holder(2, holder.chain.clone());
    let stolen = shown(&thief, "getOrder", json!({"id": 10072}));
    let mut cases = vec![
        (line, String::new()),
        (line, other),
        (line, tool),
        (line, chain),
        (line, stolen),
        (line, format!("{fine}{fine}")),
        (line, format!("{fine}X-HTTP-Method-Override: DELETE\r\n")),
        ("GET /http/nobody/orders/10072", fine.clone()),
    ];
    for target in [
        "GET /http/orders/orders/10072/",
        "GET /http/orders//orders/10072",
        "GET /http/orders/./orders/10072",
        "GET /http/orders/orders/../orders/10072",
        "GET /http/orders/orders%2F10072",
        "GET /http/orders/orders/%31%30072",
        "GET /http/orders/orders/010072",
        "GET /http/orders/orders/10072?",
        "GET /http/orders/orders/10072?id=7",
        "GET /http/orders/orders/10072?admin=true",
        "GET /http/orders/orders/10072;v=2",
        "GET /http/orders/ORDERS/10072",
        "GET /http/orders/orders/burn",
        "HEAD /http/orders/orders/10072",
        "get /http/orders/orders/10072",
        "PATCH /http/orders/orders/10072",
        "GET /http/orders/admin",
        "GET /http/orders/",
    ] {
        cases.push((target, fine.clone()));
    }
    for (line, headers) in cases {
        let said = raw(&world.base, line, &headers, "").await;
        assert!([400, 401].contains(&said.status), "{line}: {} {}", said.status, said.body);
        if said.status == 401 && !line.starts_with("HEAD") {
            assert_eq!(said.problem()["code"], "not-authenticated", "{line}");
        }
        assert!(!said.body.contains("operation") && !said.body.contains("api-"), "{}", said.body);
    }
    assert!(api.arrived().is_empty(), "{:?}", api.arrived());
    // The very same proof is good for the request that it was made for, once.
    assert_eq!(raw(&world.base, line, &fine, "").await.status, 200);
    assert_eq!(raw(&world.base, line, &fine, "").await.status, 401);
}

#[tokio::test]
async fn bodies_that_two_parsers_could_read_differently_do_not_pass() {
    let (world, api) = world().await;
    let holder = runner(&world);
    let line = "POST /http/orders/orders/10072/refund";
    let proof = || shown(&holder, "refundOrder", json!({"id": 10072, "amount_cents": 100}));
    for (headers, body) in [
        (JSON, r#"{"amount_cents":100,"amount_cents":5000000}"#),
        (JSON, r#"{"amount_cents":100,"id":7}"#),
        (JSON, r#"{"amount_cents":100,"$input":{"amount_cents":9}}"#),
        (JSON, r#"{"amount_cents":100}{"amount_cents":9}"#),
        (JSON, r#"{"amount_cents":100.00000000000000001}"#),
        ("Content-Type: text/plain\r\n", r#"{"amount_cents":100}"#),
        ("Content-Type: application/json\r\nContent-Encoding: gzip\r\n", r#"{"amount_cents":100}"#),
        ("", r#"{"amount_cents":100}"#),
    ] {
        let said = raw(&world.base, line, &format!("{}{headers}", proof()), body).await;
        assert!([400, 401].contains(&said.status), "{body}: {} {}", said.status, said.body);
    }
    // Two lengths are no length (RFC 9112 §6.3).
    let twice = format!("{}{JSON}Content-Length: 3\r\n", proof());
    assert_eq!(raw(&world.base, line, &twice, r#"{"amount_cents":100}"#).await.status, 400);
    assert!(api.arrived().is_empty(), "{:?}", api.arrived());
}

#[tokio::test]
async fn a_withdrawn_operation_is_nobodys() {
    let (world, api) = world().await;
    let mut server = orders("http://127.0.0.1:9/v1");
    server.pins = pins("getOrder").into();
    world.catalogue.put(server);
    let proof = shown(&runner(&world), "getOrder", json!({"id": 10072}));
    let said = raw(&world.base, "GET /http/orders/orders/10072", &proof, "").await;
    assert_eq!(said.status, 401, "{}", said.body);
    assert!(api.arrived().is_empty());
}

#[tokio::test]
async fn a_hostile_api_gains_nothing() {
    let (world, api) = world().await;
    let holder = runner(&world);
    let ask = async || {
        let proof = shown(&holder, "getOrder", json!({"id": 10072}));
        raw(&world.base, "GET /http/orders/orders/10072", &proof, "").await
    };
    for (mood, status, code, outcome) in [
        (Mood::Leaks, 502, "upstream-leak", "error"),
        (Mood::Redirects, 502, "upstream-status", "error"),
        (Mood::Sleeps, 504, "upstream-timeout", "timeout"),
        (Mood::Packed, 502, "upstream-garbage", "error"),
        (Mood::Large, 502, "upstream-too-large", "error"),
    ] {
        api.set(mood);
        let said = ask().await;
        assert_eq!((said.status, &said.problem()["code"]), (status, &json!(code)), "{mood:?}");
        assert_eq!(said.header("bailiwick-outcome"), Some(outcome));
        assert!(!said.body.contains(CREDENTIAL) && !said.head.contains("location"));
    }
    api.set(Mood::Refuses);
    let said = ask().await;
    assert_eq!((said.status, said.header("bailiwick-outcome")), (403, Some("error")));
    api.set(Mood::Html);
    let said = ask().await;
    for header in ["set-cookie", "www-authenticate", "location"] {
        assert!(said.header(header).is_none(), "{header} passed");
    }
    assert_ne!(said.header("bailiwick-decision"), Some("forged"));
    assert!(said.header("content-security-policy").unwrap().contains("sandbox"));
    assert_eq!(said.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(world.outcomes(7).await.last().map(String::as_str), Some("ok"));
}

#[tokio::test]
async fn a_listing_shows_what_is_delegated_and_nothing_else() {
    let (world, api) = world().await;
    let holder = runner(&world);
    let url = format!("{}/http/orders", world.base);
    let signed = |url: &str| {
        let proof = holder.dpop("GET", url);
        format!("AAT-Chain: {}\r\nDPoP: {proof}\r\n", holder.chain.join(","))
    };
    let said = raw(&world.base, "GET /http/orders", &signed(&url), "").await;
    let found: Value = serde_json::from_str(&said.body).unwrap();
    let names: Vec<&str> = found["operations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|o| o["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["findOrders", "getOrder", "refundOrder"], "{}", said.body);
    let elsewhere = format!("{}/mcp/orders", world.base);
    assert_eq!(raw(&world.base, "GET /http/orders", &signed(&elsewhere), "").await.status, 401);
    assert_eq!(raw(&world.base, "GET /http/orders", "", "").await.status, 401);
    // Nothing of MCP is said to an API, whose credential would go with it.
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}}}});
    let proof = holder.dpop("POST", &elsewhere);
    let headers = format!(
        "AAT-Chain: {}\r\nDPoP: {proof}\r\n{JSON}Mcp-Method: tools/list\r\nMcp-Protocol-Version: 2026-07-28\r\n",
        holder.chain.join(",")
    );
    let said = raw(&world.base, "POST /mcp/orders", &headers, &message.to_string()).await;
    assert!(said.body.contains("tool-not-catalogued"), "{}", said.body);
    assert!(api.arrived().is_empty());
}

#[tokio::test]
async fn a_read_is_tried_again_only_where_a_person_rated_it_idempotent() {
    let (world, _api) = world().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(Mutex::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        // Takes the request and hangs up.
        while let Ok((mut stream, _)) = listener.accept().await {
            *counted.lock().unwrap() += 1;
            let mut bytes = [0; 1024];
            let _ = stream.read(&mut bytes).await;
        }
    });
    let server = orders(&format!("http://{address}/v1"));
    world.vault.put(&server.name, None, Credential::bearer(CREDENTIAL).unwrap());
    world.catalogue.put(server);
    let holder = runner(&world);
    let get = shown(&holder, "getOrder", json!({"id": 1}));
    let said = raw(&world.base, "GET /http/orders/orders/1", &get, "").await;
    assert_eq!((said.status, said.header("bailiwick-outcome")), (502, Some("unknown")));
    assert_eq!(*count.lock().unwrap(), 2);
    let refund = shown(&holder, "refundOrder", json!({"id": 10072, "amount_cents": 1}));
    let line = "POST /http/orders/orders/10072/refund";
    raw(&world.base, line, &format!("{refund}{JSON}"), r#"{"amount_cents":1}"#).await;
    assert_eq!(*count.lock().unwrap(), 3);
}

#[tokio::test]
async fn the_decision_api_decides_on_operations_too() {
    let (world, api) = world().await;
    let holder = runner(&world);
    let ask = async |id: i64, proved: i64| {
        let proved = Object::new().with("id", proved);
        let proof = holder.proof("http:orders:getOrder", &proved, |_| ());
        let body = json!({
            "subject": {"type": "agent", "id": "agent:support-runner"},
            "action": {"name": "call", "properties": {"arguments": {"id": id}}},
            "resource": {"type": "tool", "id": "http:orders:getOrder"},
            "context": {"io.bailiwick/presentation": {"aat_chain": holder.chain, "aat_pop": proof}},
        });
        let said = raw(&world.base, "POST /access/v1/evaluation", JSON, &body.to_string()).await;
        serde_json::from_str::<Value>(&said.body).unwrap()["decision"].clone()
    };
    assert_eq!(ask(10072, 10072).await, json!(true));
    assert_eq!(ask(10072, 10073).await, json!(false));
    assert_eq!(ask(99999, 99999).await, json!(false));
    assert!(api.arrived().is_empty());
}

#[tokio::test]
async fn an_access_token_is_good_for_the_request_that_its_proof_names() {
    let (world, api) = world().await;
    let resource = format!("{}/orders", world.audience());
    let token = crate::access::token(&world, Some(7), &resource, &["orders:read"]);
    let url = format!("{}/http/orders/orders/10072", world.base);
    let shown = |method: &str, uri: &str| {
        let (jti, now) = (random_id(world.host.as_ref()), world.host.now());
        let token_text = Some(token.as_str());
        let occasion = Occasion { jti: &jti, now, method, uri, token: token_text, nonce: None };
        let proof = occasion.prove(&key(7)).unwrap();
        format!("Authorization: DPoP {token}\r\nDPoP: {proof}\r\n")
    };
    let line = "GET /http/orders/orders/10072";
    for (method, uri) in
        [("POST", url.as_str()), ("GET", resource.as_str()), ("GET", &format!("{url}/refund"))]
    {
        let said = raw(&world.base, line, &shown(method, uri), "").await;
        assert_eq!(said.status, 401, "{method} {uri}: {}", said.body);
        assert!(said.head.contains("invalid_token"), "{}", said.head);
    }
    assert!(api.arrived().is_empty());
    let said = raw(&world.base, line, &shown("GET", &url), "").await;
    assert_eq!(said.status, 200, "{}", said.body);
    let event = world.journal.decisions().remove(0).event;
    assert_eq!(event.body.member("assurance").unwrap().as_str(), Some("token"));
    // Outside its scope.
    let refund = format!("{}/http/orders/orders/10072/refund", world.base);
    let headers = format!("{}{JSON}", shown("POST", &refund));
    let line = "POST /http/orders/orders/10072/refund";
    let said = raw(&world.base, line, &headers, r#"{"amount_cents":1}"#).await;
    assert_eq!((said.status, &said.problem()["code"]), (403, &json!("tool-not-delegated")));
}
