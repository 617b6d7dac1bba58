//! Envoy's `ext_authz`, gRPC form: a gRPC client asks what Envoy asks.

use std::time::Duration;

use bailiwick_gateway::{Bounds, Speaks, ext_authz_grpc_router, serve};
use envoy_types::pb::envoy::config::core::v3::{HeaderMap as RawHeaders, HeaderValue};
use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{
    AttributeContext, CheckRequest, CheckResponse, DeniedHttpResponse, OkHttpResponse,
};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tonic::Code;
use tonic::transport::Channel;

use crate::api::{WORKFLOW, orders, runner};
use crate::support::{Holder, Plan, World, strict};

const REFUND: &str = r#"{"amount_cents":100}"#;

pub(crate) struct Envoy {
    pub(crate) client: AuthorizationClient<Channel>,
    pub(crate) server: &'static str,
}

impl Envoy {
    pub(crate) async fn of(world: &World, server: &'static str) -> Self {
        Self::bounded(world, server, Bounds::new(16)).await.0
    }

    async fn bounded(world: &World, server: &'static str, bounds: Bounds) -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router = ext_authz_grpc_router(world.gateway.clone());
        let bounds = Bounds { speaks: Speaks::Http2, ..bounds };
        tokio::spawn(serve(listener, router, bounds, None, std::future::pending()));
        let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect_lazy();
        let client = AuthorizationClient::new(channel);
        (Self { client, server }, address)
    }

    pub(crate) async fn check(&self, http: HttpRequest) -> CheckResponse {
        let named = [("tool_server".to_owned(), self.server.to_owned())];
        let attributes = AttributeContext {
            request: Some(Request { http: Some(http), ..Request::default() }),
            context_extensions: named.into_iter().collect(),
            ..AttributeContext::default()
        };
        let asked = CheckRequest { attributes: Some(attributes) };
        self.client.clone().check(asked).await.unwrap().into_inner()
    }

    async fn denied(&self, http: HttpRequest) -> (DeniedHttpResponse, Value) {
        let said = self.check(http).await;
        assert_ne!(said.status.as_ref().unwrap().code, i32::from(Code::Ok));
        let Some(HttpResponse::DeniedResponse(denied)) = said.http_response else {
            panic!("{said:?}")
        };
        let problem = serde_json::from_str(&denied.body).unwrap();
        (denied, problem)
    }

    /// The status and the code of a denial.
    pub(crate) async fn told(&self, http: HttpRequest) -> (i32, String) {
        let (denied, problem) = self.denied(http).await;
        (denied.status.unwrap().code, problem["code"].as_str().unwrap().to_owned())
    }
}

pub(crate) fn allowed(said: &CheckResponse) -> &OkHttpResponse {
    assert_eq!(said.status.as_ref().unwrap().code, i32::from(Code::Ok), "{said:?}");
    match said.http_response.as_ref() {
        Some(HttpResponse::OkResponse(ok)) => ok,
        other => panic!("{other:?}"),
    }
}

/// A request as Envoy describes it, its headers as a map.
pub(crate) fn request(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> HttpRequest {
    let mut http = HttpRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        host: "api.test".to_owned(),
        scheme: "http".to_owned(),
        size: i64::try_from(body.len()).unwrap(),
        protocol: "HTTP/1.1".to_owned(),
        raw_body: body.as_bytes().to_vec(),
        ..HttpRequest::default()
    };
    let pseudo =
        [(":method", method), (":path", path), (":authority", "api.test"), (":scheme", "http")];
    for (name, value) in pseudo.iter().chain(headers) {
        http.headers.insert((*name).to_owned(), (*value).to_owned());
    }
    if !body.is_empty() {
        let length = body.len().to_string();
        http.headers.insert("content-length".to_owned(), length);
        http.headers.insert("x-envoy-auth-partial-body".to_owned(), "false".to_owned());
    }
    http
}

/// The same, its headers one by one.
fn raw(mut http: HttpRequest) -> HttpRequest {
    let headers = std::mem::take(&mut http.headers).into_iter().map(|(key, value)| HeaderValue {
        key,
        raw_value: value.into_bytes(),
        ..HeaderValue::default()
    });
    http.header_map = Some(RawHeaders { headers: headers.collect() });
    http
}

fn proof(holder: &Holder, operation: &str, arguments: Value) -> String {
    let arguments = strict(&arguments.to_string());
    let tool = format!("http:orders:{operation}");
    holder.proof(&tool, arguments.as_object().unwrap(), |_| ())
}

fn refund(holder: &Holder) -> HttpRequest {
    let pop = proof(holder, "refundOrder", json!({"id": 10072, "amount_cents": 100}));
    let chain = holder.chain.join(",");
    let headers =
        [("aat-chain", chain.as_str()), ("aat-pop", &pop), ("content-type", "application/json")];
    request("POST", "/v1/orders/10072/refund", &headers, REFUND)
}

fn get(holder: &Holder) -> HttpRequest {
    let (chain, pop) = (holder.chain.join(","), proof(holder, "getOrder", json!({"id": 7})));
    request("GET", "/v1/orders/7", &[("aat-chain", &chain), ("aat-pop", &pop)], "")
}

async fn world() -> (World, Envoy) {
    let world = World::with(Plan { workflow: WORKFLOW.to_owned(), ..Plan::default() }).await;
    // Nobody calls it from here.
    world.catalogue.put(orders("http://127.0.0.1:9/v1"));
    let envoy = Envoy::of(&world, "orders").await;
    (world, envoy)
}

#[tokio::test]
async fn an_allowed_request_is_recorded_and_passes_without_chain_and_proof() {
    let (world, envoy) = world().await;
    let holder = runner(&world);
    let text = |mut http: HttpRequest| {
        http.body = String::from_utf8(std::mem::take(&mut http.raw_body)).unwrap();
        http
    };
    for (n, http) in [
        refund(&holder),
        raw(refund(&holder)),
        text(refund(&holder)),
        get(&holder),
        raw(get(&holder)),
    ]
    .into_iter()
    .enumerate()
    {
        let said = envoy.check(http).await;
        let ok = allowed(&said);
        assert_eq!(ok.headers_to_remove, ["aat-chain", "aat-pop", "authorization", "dpop"]);
        let decision = world.journal.decisions().remove(n).event;
        let shown = ok.headers[0].header.as_ref().unwrap();
        assert_eq!(shown.key, "bailiwick-decision");
        assert_eq!(shown.value, decision.id.as_str());
        assert_eq!(decision.body.member("enforcement").unwrap().as_str(), Some("external"));
        assert!(ok.response_headers_to_add.is_empty(), "the caller does not learn what to report");
    }
    assert_eq!(
        world.journal.decisions()[0].event.subjects.tool.as_deref(),
        Some("http:orders:refundOrder")
    );
    assert!(world.journal.completed().is_empty(), "nobody saw an outcome yet");
}

#[tokio::test]
async fn a_proof_counts_once_and_in_one_place() {
    let (world, envoy) = world().await;
    let holder = runner(&world);
    let http = refund(&holder);
    allowed(&envoy.check(http.clone()).await);
    assert_eq!(envoy.told(http).await.0, 401);
    // Made for another gateway.
    let arguments = strict(r#"{"id":7}"#);
    let elsewhere = holder.proof("http:orders:getOrder", arguments.as_object().unwrap(), |proof| {
        proof.audience = Some("https://other.test/mcp");
    });
    let chain = holder.chain.join(",");
    let http =
        request("GET", "/v1/orders/7", &[("aat-chain", &chain), ("aat-pop", &elsewhere)], "");
    assert_eq!(envoy.told(http).await, (401, "not-authenticated".to_owned()));
    // A chain for another gateway.
    let root = world.issue(1, &["orders:read"], |content| {
        content.aud = vec!["https://other.test/mcp".to_owned()];
    });
    let foreign = world.holder(1, vec![root]);
    assert_eq!(envoy.told(get(&foreign)).await, (401, "not-authenticated".to_owned()));
    assert_eq!(world.journal.decisions().len(), 1);
}

#[tokio::test]
async fn a_body_that_is_not_whole_for_certain_is_denied() {
    let (world, envoy) = world().await;
    let holder = runner(&world);
    let set = |mut http: HttpRequest, name: &str, value: &str| {
        http.headers.insert(name.to_owned(), value.to_owned());
        http
    };
    let unsaid = {
        let mut http = refund(&holder);
        http.headers.remove("x-envoy-auth-partial-body");
        http
    };
    let twice = {
        let mut http = raw(refund(&holder));
        let more = HeaderValue {
            key: "x-envoy-auth-partial-body".to_owned(),
            raw_value: b"true".to_vec(),
            ..HeaderValue::default()
        };
        http.header_map.as_mut().unwrap().headers.push(more);
        http
    };
    let two_bodies = HttpRequest { body: REFUND.to_owned(), ..refund(&holder) };
    // A `!` stands where Envoy found no UTF-8.
    let mended = {
        let mut http = refund(&holder);
        http.raw_body.clear();
        http.body = r#"{"amount_cents":100,"!":1}"#.to_owned();
        set(http, "content-length", "26")
    };
    for (why, http) in [
        ("partial", set(refund(&holder), "x-envoy-auth-partial-body", "true")),
        ("odd", set(refund(&holder), "x-envoy-auth-partial-body", "false,true")),
        ("nothing said", unsaid),
        ("said twice", twice),
        ("announced longer", set(refund(&holder), "content-length", "99")),
        ("counted longer", HttpRequest { size: 99, ..refund(&holder) }),
        ("two bodies", two_bodies),
        ("mended text", mended),
        ("a body to come", set(get(&holder), "transfer-encoding", "chunked")),
    ] {
        assert_eq!(envoy.told(http).await, (401, "not-authenticated".to_owned()), "{why}");
    }
    assert!(world.journal.decisions().is_empty());
}

#[tokio::test]
async fn headers_that_envoy_could_not_tell_truly_are_denied() {
    let (world, envoy) = world().await;
    let holder = runner(&world);
    let set = |mut http: HttpRequest, name: &str, value: &str| {
        http.headers.insert(name.to_owned(), value.to_owned());
        http
    };
    let doubled = |name: &str| {
        let mut http = raw(get(&holder));
        let map = http.header_map.as_mut().unwrap();
        let one = map.headers.iter().find(|h| h.key == name).unwrap().clone();
        map.headers.push(one);
        http
    };
    let both = {
        let mut http = raw(get(&holder));
        http.headers.insert("prefer".to_owned(), "a".to_owned());
        http
    };
    let valued = {
        let mut http = raw(get(&holder));
        http.header_map.as_mut().unwrap().headers[0].value = "a".to_owned();
        http
    };
    for (why, http) in [
        ("two proofs", doubled("aat-pop")),
        ("two chains", doubled("aat-chain")),
        ("two encodings", both),
        ("two values", valued),
        ("joined", set(refund(&holder), "content-type", "application/json,text/plain")),
        ("mended", set(refund(&holder), "if-match", "a!b")),
        ("not lower case", set(get(&holder), "AAT-Pop", "x")),
        ("another method", set(get(&holder), ":method", "DELETE")),
        ("another path", set(get(&holder), ":path", "/v1/orders/8")),
        ("override", set(get(&holder), "x-http-method-override", "DELETE")),
        ("a line in a value", set(get(&holder), "prefer", "a\r\nb: c")),
        ("an access token", set(get(&holder), "authorization", "Bearer abc")),
        ("a page", set(get(&holder), "origin", "https://evil.test")),
    ] {
        assert_eq!(envoy.told(http).await, (401, "not-authenticated".to_owned()), "{why}");
    }
    let many = (0..300).fold(get(&holder), |http, n| set(http, &format!("x-{n}"), "a"));
    assert_eq!(envoy.told(many).await.0, 401);
    assert!(world.journal.decisions().is_empty());
}

#[tokio::test]
async fn another_spelling_or_request_is_denied_as_over_http() {
    let (world, envoy) = world().await;
    let holder = runner(&world);
    for path in [
        "/v1/orders/8",
        "/orders/7",
        "/v1/../v1/orders/7",
        "/v1//orders/7",
        "/v1/orders/%37",
        "/v1/orders/7?admin=1",
        "/v1/orders/7?",
        "/v1/orders/7#top",
        "http://api.test/v1/orders/7",
        "",
    ] {
        let mut http = get(&holder);
        http.path = path.to_owned();
        http.headers.insert(":path".to_owned(), path.to_owned());
        assert_eq!(envoy.told(http).await, (401, "not-authenticated".to_owned()), "{path}");
    }
    let mut hidden = get(&holder);
    hidden.query = "admin=1".to_owned();
    assert_eq!(envoy.told(hidden).await.0, 401);
    let unproved = request("GET", "/v1/orders/7", &[], "");
    let (denied, problem) = envoy.denied(unproved).await;
    let names: Vec<String> =
        denied.headers.iter().map(|h| h.header.as_ref().unwrap().key.clone()).collect();
    assert!(names.contains(&"www-authenticate".to_owned()), "{names:?}");
    assert!(names.contains(&"bailiwick-decision".to_owned()), "{names:?}");
    assert_eq!(problem["status"], 401);
    // What is known of a caller is told to that caller, with the status of HTTP's.
    let (chain, pop) = (holder.chain.join(","), proof(&holder, "getOrder", json!({"id": 99999})));
    let http = request("GET", "/v1/orders/99999", &[("aat-chain", &chain), ("aat-pop", &pop)], "");
    assert_eq!(envoy.told(http).await, (403, "argument-not-delegated".to_owned()));
    assert!(world.journal.decisions().is_empty());
    let denial = world.journal.denials().pop().unwrap();
    assert_eq!(denial.body.member("enforcement").unwrap().as_str(), Some("external"));
}

#[tokio::test]
async fn a_body_too_large_is_denied_and_one_far_too_large_is_not_even_read() {
    let world = World::with(Plan {
        workflow: WORKFLOW.to_owned(),
        config: Box::new(|config| config.max_request_bytes = 1 << 10),
        ..Plan::default()
    })
    .await;
    world.catalogue.put(orders("http://127.0.0.1:9/v1"));
    let envoy = Envoy::of(&world, "orders").await;
    let holder = runner(&world);
    let large = |bytes: usize| {
        let mut http = refund(&holder);
        http.raw_body = vec![b' '; bytes];
        http.size = i64::try_from(bytes).unwrap();
        http.headers.insert("content-length".to_owned(), bytes.to_string());
        http
    };
    assert_eq!(envoy.told(large(2 << 10)).await.0, 401);
    let attributes = AttributeContext {
        request: Some(Request { http: Some(large(1 << 20)), ..Request::default() }),
        ..AttributeContext::default()
    };
    let asked = CheckRequest { attributes: Some(attributes) };
    let refused = envoy.client.clone().check(asked).await.unwrap_err();
    assert_eq!(refused.code(), Code::OutOfRange);
    assert!(world.journal.decisions().is_empty());
}

#[tokio::test]
async fn a_tool_server_that_the_configuration_does_not_name_gets_no_answer() {
    let (world, envoy) = world().await;
    let http = get(&runner(&world));
    for named in [None, Some("No Server")] {
        let named = named.map(|name| ("tool_server".to_owned(), name.to_owned()));
        let attributes = AttributeContext {
            request: Some(Request { http: Some(http.clone()), ..Request::default() }),
            context_extensions: named.into_iter().collect(),
            ..AttributeContext::default()
        };
        let asked = CheckRequest { attributes: Some(attributes) };
        let refused = envoy.client.clone().check(asked).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    let nothing = envoy.client.clone().check(CheckRequest::default()).await.unwrap_err();
    assert_eq!(nothing.code(), Code::InvalidArgument);
    let other = Envoy { server: "nobody", ..envoy };
    assert_eq!(other.told(http).await.0, 401);
}

#[tokio::test]
async fn the_listener_speaks_nothing_else_and_nobody_holds_it() {
    let (world, _) = world().await;
    let head_timeout = Duration::from_secs(1);
    let bounds = Bounds { head_timeout, ..Bounds::new(2) };
    let (envoy, address) = Envoy::bounded(&world, "orders", bounds).await;
    // HTTP/1.1, where a 200 would mean something else.
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.write_all(b"GET /orders/v1/orders/7 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said).await;
    assert!(!String::from_utf8_lossy(&said).contains("200"), "{said:?}");
    // One who says nothing is let go, so that the next is let in.
    let mut silent = TcpStream::connect(&address).await.unwrap();
    let mut none = [0; 64];
    let ended = async { while silent.read(&mut none).await.unwrap_or(0) > 0 {} };
    tokio::time::timeout(head_timeout * 40, ended).await.unwrap();
    allowed(&envoy.check(get(&runner(&world))).await);
}

#[tokio::test]
async fn an_envoy_that_goes_away_stops_neither_the_record_nor_the_outcome() {
    let world = World::with(Plan {
        workflow: WORKFLOW.to_owned(),
        latency: Duration::from_millis(300),
        config: Box::new(|config| config.call_timeout = Duration::from_millis(300)),
        ..Plan::default()
    })
    .await;
    world.catalogue.put(orders("http://127.0.0.1:9/v1"));
    let envoy = Envoy::of(&world, "orders").await;
    let asked = envoy.check(get(&runner(&world)));
    assert!(tokio::time::timeout(Duration::from_millis(100), asked).await.is_err());
    // As it is once the decision is durable: recorded, and of unknown outcome.
    assert_eq!(world.outcomes(1).await, ["unknown"]);
    assert_eq!(world.journal.decisions().len(), 1);
}
