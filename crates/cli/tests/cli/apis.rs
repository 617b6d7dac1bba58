//! HTTP APIs from the command line: the binary serving, a real API behind it,
//! `call`, and `connect` for programs that know no chain and no proof.

use std::net::SocketAddr;
use std::path::Path;

use bailiwick_core::aat::make::{ProofFor, prove_unchecked};
use bailiwick_testkit::World;
use bailiwick_testkit::http::Request;
use bailiwick_testkit::present::{Chain, fresh_id, now, object, seen};
use bailiwick_testkit::world::{RUNNER, Setup, command, free_port};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{self, HttpRequest};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest};
use serde_json::{Value, json};

use crate::EXE;
use crate::connect::Spoken;
use crate::stock_clients::Program;
use crate::suites::python_sdk::orders;

struct Orders {
    world: World,
    api: Program,
    url: String,
    chain: String,
    key: String,
}

impl Orders {
    fn new(setup: &Setup) -> Self {
        let world = World::with(EXE, setup);
        let key = world.path("service.key");
        world.ok(&["principal", "add", "service:billing", "--key", &key]);
        let authority = world.public_url.clone();
        let what = ["delegate", "--authority", &authority, "--agent", RUNNER, "--key", &key];
        let (api, _) = orders(&world, &what);
        let (chain, key) = (world.path("orders.json"), world.runner.key_file());
        Self { url: format!("{authority}/http/orders"), world, api, chain, key }
    }

    fn call<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let first = ["call", "--url", &self.url, "--chain", &self.chain, "--key", &self.key];
        [&first[..], more].concat()
    }

    /// Chain and proof as headers.
    fn shown(&self, tool: &str, arguments: &Value) -> Vec<(String, String)> {
        let chain = Chain::read(Path::new(&self.chain));
        let (leaf, jti, arguments) = (seen(chain.leaf()), fresh_id(), object(arguments));
        let proof = ProofFor {
            jti: &jti,
            now: now(),
            tool,
            arguments: &arguments,
            audience: Some(&chain.audience),
            nonce: None,
        };
        let proof = prove_unchecked(&leaf.jti, leaf.hash, &proof, &self.world.runner.key);
        vec![("aat-chain".to_owned(), chain.tokens.join(",")), ("aat-pop".to_owned(), proof)]
    }

    /// What it says, and its exit status.
    fn told(&self, more: &[&str]) -> (Value, i32) {
        let answer = self.world.run(&self.call(more));
        (serde_json::from_str(&answer.out).unwrap_or_default(), answer.status)
    }
}

#[test]
fn call_reaches_an_operation_and_tells_denials_like_those_of_tools() {
    let orders = Orders::new(&Setup::default());
    let listed = orders.world.ok(&orders.call(&[]));
    assert_eq!(listed["operations"].as_array().map(Vec::len), Some(3), "{listed}");
    let got = orders.world.ok(&orders.call(&["getOrder", "id=10072"]));
    assert_eq!((&got["decision"], &got["status"]), (&json!("allow"), &json!(200)), "{got}");
    assert_eq!(got["body"]["state"], "paid", "{got}");
    assert_eq!(got["outcome"], "ok");
    let arrived = orders.api.expect("request");
    assert_eq!(arrived["method"], "GET");
    assert!(!arrived["headers"].to_string().contains("aat-"), "{arrived}");
    // The decision is in the ledger, under the id that was told.
    let id = got["decision_id"].as_str().expect("an id");
    orders.world.ok(&["audit", "show", id]);
    // An error of the API is an answer.
    let (missing, status) = orders.told(&["getOrder", "id=4"]);
    assert_eq!(
        (missing["status"].clone(), missing["outcome"].clone(), status),
        (json!(404), json!("error"), 0)
    );
    let (denied, status) = orders.told(&["getOrder", "id=-7"]);
    assert_eq!((denied["code"].clone(), status), (json!("argument-not-delegated"), 1), "{denied}");
    assert!(denied["decision_id"].is_string(), "{denied}");
    // What is none of its requests is not sent; what is not permitted is not known.
    assert_eq!(orders.told(&["getOrder", "id=10072", "admin=true"]).1, 2);
    assert_eq!(orders.told(&["deleteOrder", "id=10072"]).1, 4);
    assert_eq!(orders.told(&["--direct", "getOrder", "id=10072"]).1, 2);
    // A chain of somebody else's is a stranger's.
    let other = orders.world.reader.key_file();
    let line = ["call", "--url", &orders.url, "--chain", &orders.chain, "--key", &other];
    let refused = orders.world.run(&[&line[..], &["getOrder", "id=10072"]].concat());
    assert_eq!(refused.status, 1, "{} {}", refused.out, refused.err);
    assert!(refused.out.contains("not-authenticated"), "{}", refused.out);
}

#[allow(dead_code, reason = "its `main` is the program's")]
#[path = "../../examples/embedded.rs"]
mod embedded;

#[test]
fn a_service_that_is_its_own_gateway_decides_on_the_real_store_beside_a_serve() {
    let orders = Orders::new(&Setup::default());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let data = orders.world.data.clone();
    let serving = runtime.spawn(async move {
        let stop = async {
            let _ = stopped.await;
        };
        embedded::serve(&data, listener, stop).await
    });
    let get = |id: u64, shown: &[(String, String)]| {
        let mut request = Request::bare("GET", format!("/orders/{id}"));
        for (name, value) in shown {
            request = request.with(name, value);
        }
        request.send(address).unwrap()
    };
    let shown = orders.shown("http:orders:getOrder", &json!({"id": 10072}));
    let got = get(10072, &shown);
    let said = format!("order 10072, read by {RUNNER} for service:billing (look after orders)");
    assert_eq!((got.status, got.text()), (200, said));
    // What was spent here is spent at the `serve` beside, and the other way round.
    let again = Request::bare("GET", "/http/orders/orders/10072");
    let again = shown.iter().fold(again, |request, (name, value)| request.with(name, value));
    assert_eq!(again.send(orders.world.address).unwrap().status, 401);
    assert_eq!(get(10072, &shown).status, 401);
    assert_eq!(get(10072, &[]).status, 401);
    let denied = orders.shown("http:orders:getOrder", &json!({"id": 4}));
    assert_eq!(get(10072, &denied).status, 401, "a proof for another order");
    stop.send(()).unwrap();
    runtime.block_on(serving).unwrap().unwrap();
    let allowed = orders.world.ok(&["audit", "query", "--decision", "allow"]);
    let actions = allowed["actions"].as_array().unwrap();
    assert_eq!((actions.len(), &actions[0]["outcome"]), (1, &json!("ok")), "{allowed}");
    assert_eq!(orders.world.ok(&["audit", "verify"])["holds"], true);
}

#[test]
fn a_plain_http_client_uses_the_api_that_connect_stands_in_for() {
    let orders = Orders::new(&Setup::default());
    let mut command = command(Path::new(EXE), orders.world.base.path());
    let line = ["--json", "connect", &orders.url, "--chain", &orders.chain, "--key", &orders.key];
    let mut spoken = Spoken::start(command.args(line).args(["--listen", "127.0.0.1:0"]));
    let base = spoken.next()["url"].as_str().expect("a URL").to_owned();
    let (host, path) = base.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let (address, path): (SocketAddr, String) = (host.parse().unwrap(), format!("/{path}"));
    let get = |below: &str| Request::bare("GET", format!("{path}{below}"));
    let got = get("/orders/10072").with("authorization", "Bearer mine").send(address).unwrap();
    assert_eq!((got.status, got.json()["state"].clone()), (200, json!("paid")));
    let refund = format!("{path}/orders/10072/refund");
    let paid = Request::post(&refund, r#"{ "amount_cents" : 100 }"#).send(address).unwrap();
    assert_eq!((paid.status, paid.json()["refunded"].clone()), (200, json!(100)));
    // The credential is the gateway's, and the request is written anew.
    for (method, body) in [("GET", ""), ("POST", r#"{"amount_cents":100}"#)] {
        let arrived = orders.api.expect("request");
        assert_eq!((&arrived["method"], &arrived["body"]), (&json!(method), &json!(body)));
        assert!(!arrived["headers"].to_string().contains("aat-"), "{arrived}");
    }
    // A denial is the gateway's; what nothing describes is told here.
    let denied = get("/orders/0").send(address).unwrap();
    assert!([400, 403].contains(&denied.status), "{}", denied.status);
    assert!(denied.json()["code"].is_string());
    for (below, status) in
        [("/orders/10072?admin=1", 400), ("/orders/../orders/10072", 400), ("/nothing", 404)]
    {
        let told = get(below).send(address).unwrap();
        assert_eq!(told.status, status, "{below}");
        assert!(told.json()["remedy"].is_string(), "{below}");
    }
    let twisted = get("/orders/10072").with("x-http-method-override", "DELETE");
    assert_eq!(twisted.send(address).unwrap().status, 400);
    // Who does not know the secret, and pages of other sites, get nothing.
    let secret = path.trim_start_matches('/').split('/').next().unwrap();
    let guessed = path.replace(secret, &"a".repeat(secret.len()));
    let strange = Request::bare("GET", format!("{guessed}/orders/10072"));
    assert_eq!(strange.send(address).unwrap().status, 404);
    let page = get("/orders/10072").with("origin", "http://evil.example");
    assert_eq!(page.send(address).unwrap().status, 403);
    drop(spoken.child.kill());
    // On standard streams there is no HTTP.
    let streams = orders.world.run(&line[1..]);
    assert_eq!(streams.status, 2, "{}", streams.err);
}

#[test]
fn serve_answers_an_envoy_over_grpc() {
    let port = free_port();
    let config = vec![("ext_authz.grpc_listen", format!("\"127.0.0.1:{port}\""))];
    let orders = Orders::new(&Setup { config, ..Setup::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let check = |headers: Vec<(String, String)>| {
        let http = HttpRequest {
            method: "GET".to_owned(),
            path: "/v1/orders/10072".to_owned(),
            headers: headers.into_iter().collect(),
            ..HttpRequest::default()
        };
        let request = attribute_context::Request { http: Some(http), ..Default::default() };
        let named = [("tool_server".to_owned(), "orders".to_owned())];
        let attributes = AttributeContext {
            request: Some(request),
            context_extensions: named.into_iter().collect(),
            ..AttributeContext::default()
        };
        runtime.block_on(async {
            let url = format!("http://127.0.0.1:{port}");
            let mut client = AuthorizationClient::connect(url).await.expect("it listens");
            let asked = CheckRequest { attributes: Some(attributes) };
            client.check(asked).await.expect("an answer").into_inner().http_response
        })
    };
    let Some(HttpResponse::DeniedResponse(denied)) = check(Vec::new()) else { panic!("allowed") };
    assert_eq!(denied.status.map(|status| status.code), Some(401));
    let shown = orders.shown("http:orders:getOrder", &json!({"id": 10072}));
    let Some(HttpResponse::OkResponse(_)) = check(shown) else { panic!("denied") };
    let found = orders.world.ok(&["audit", "query", "--tool", "getOrder"]);
    assert_eq!(found["actions"][0]["decision"], "allow", "{found}");
}
