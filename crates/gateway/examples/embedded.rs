//! A service that has its gateway in its own process: `app` is what to copy.
//!
//! The rest stands for an installation, so that the program runs by itself: ports
//! in memory, an issuer and one agent, which makes an allowed and a denied call.
#![allow(clippy::print_stdout, reason = "an example shows what happens")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use axum::routing::post;
use axum::{Extension, Router};
use bailiwick_core::aat::make::{self, Content, ProofFor, Seen};
use bailiwick_core::aat::verify::Anchors;
use bailiwick_core::accountable::{Authority, GrantStanding, Hop};
use bailiwick_core::crypto::{Digest, Signer as _, SigningKey};
use bailiwick_core::guarantee::{Guarantee, Isolation};
use bailiwick_core::ids::{
    AgentId, GrantId, InstanceId, OrgId, PrincipalId, ServerName, TaskId, uuid_v7,
};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::ChainLimits;
use bailiwick_gateway::layer::{Authorize, Authorized, Checked};
use bailiwick_gateway::ports::{Host as _, Pin, Ports, ToolServer, UpstreamIdentity};
use bailiwick_gateway::testing::{
    MemoryCatalogue, MemoryHolds, MemoryJournal, MemoryPeers, MemoryRegistry, MemoryRequests,
    MemoryRuns, MemoryVault, SystemHost,
};
use bailiwick_gateway::{Config, Gateway};
use bailiwick_policy::Workflow;
use bailiwick_policy::api::openapi;
use bailiwick_policy::catalogue::Definition;
use bailiwick_policy::expand::expand;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use tower::ServiceExt as _;
use tower_layer::Layer as _;

type Failed = Box<dyn Error + Send + Sync>;

const API: &str = r#"
openapi: 3.1.0
info: {title: Orders, version: "1"}
paths:
  /orders/{id}/refund:
    parameters:
      - {name: id, in: path, required: true, schema: {type: integer, minimum: 1}}
    post:
      operationId: refundOrder
      requestBody:
        required: true
        content: {application/json: {schema: {type: object, required: [cents], properties: {cents: {type: integer}}}}}
      responses: {"200": {description: Refunded.}}
"#;

const WORKFLOW: &str = r#"
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
  orders: {operations: {refundOrder: {risk: medium, effect: write, personal: false}}}
shorthands:
  "orders:refund":
    tools:
      "http:orders:refundOrder": {id: {constraint_type: exact, value: 10072}, cents: {constraint_type: range, min: 1, max: 5000}}
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

/// The service, behind the gateway as its API `orders`. What a handler acts on
/// is what was checked, and it knows for whom.
fn app(gateway: Gateway) -> Result<Authorized<Router>, Failed> {
    let refund = async |Extension(call): Extension<Checked>| {
        let cents = call.arguments.member("cents").map(Json::canonical).unwrap_or_default();
        let (agent, whose) = (&call.agent, &call.authority.principal);
        format!("{agent} refunded {cents} for {whose} ({})", call.authority.purpose)
    };
    let service = Router::new().route("/orders/{id}/refund", post(refund));
    Ok(Authorize::new(gateway, ServerName::parse("orders")?).layer(service))
}

/// Serve it with `axum::serve(listener, Router::new().fallback_service(app(gateway)?))`.
#[tokio::main]
async fn main() -> Result<(), Failed> {
    for (status, answer, outcomes) in run().await? {
        println!("{status}: {answer}\n  outcomes in the ledger: {outcomes:?}");
    }
    Ok(())
}

/// What was answered, and the outcomes that the ledger has by then.
type Shown = (StatusCode, String, Vec<String>);

/// An allowed and a denied call.
pub(crate) async fn run() -> Result<Vec<Shown>, Failed> {
    // Nobody is called over HTTP here, but the gateway has the client all the same.
    let _already = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (gateway, journal, agent) = installation()?;
    let app = app(gateway)?;
    let mut shown = Vec::new();
    for cents in [100, 1_000_000] {
        let request = agent.refund(cents)?;
        let answer = app.clone().oneshot(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        // The outcome is written when the answer was sent, beside it.
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let outcomes = journal.completed().into_iter().filter_map(|e| e.subjects.reason).collect();
        shown.push((status, String::from_utf8_lossy(&body).into_owned(), outcomes));
    }
    Ok(shown)
}

/// An agent with its key and its chain.
struct Agent {
    key: SigningKey,
    chain: String,
    audience: String,
    host: Arc<SystemHost>,
}

impl Agent {
    /// A request with chain and proof.
    fn refund(&self, cents: u64) -> Result<Request<Full<bytes::Bytes>>, Failed> {
        let body = Object::new().with("cents", cents);
        let arguments = body.clone().with("id", 10072u64);
        let seen = Seen::parse(&self.chain, &ChainLimits::DEFAULT).map_err(|d| d.to_string())?;
        let jti = fresh(&self.host);
        let proof = ProofFor {
            jti: &jti,
            now: self.host.now(),
            tool: "http:orders:refundOrder",
            arguments: &arguments,
            audience: Some(&self.audience),
            nonce: None,
        };
        let proof = make::prove_unchecked(&seen.jti, seen.hash, &proof, &self.key);
        let request = Request::post("/orders/10072/refund")
            .header("content-type", "application/json")
            .header("aat-chain", &self.chain)
            .header("aat-pop", proof);
        Ok(request.body(Full::from(Json::from(body).canonical()))?)
    }
}

fn fresh(host: &SystemHost) -> String {
    let mut bytes = [0; 10];
    host.fill(&mut bytes);
    uuid_v7(host.now(), bytes)
}

/// A gateway, its journal, and an agent that may refund up to 50.00.
fn installation() -> Result<(Gateway, Arc<MemoryJournal>, Agent), Failed> {
    let host = Arc::new(SystemHost::default());
    let registry = Arc::new(MemoryRegistry::new(host.clone()));
    let journal = Arc::new(MemoryJournal::new(registry.clone(), std::time::Duration::ZERO));
    let catalogue = Arc::new(MemoryCatalogue::default());
    let workflow = Workflow::parse(WORKFLOW).map_err(|_| "the workflow is wrong")?;
    let workflow_digest = catalogue.publish(workflow.clone());
    let listing = openapi::read(API).map_err(|_| "the description is wrong")?.listing;
    let listed = listing.as_object().and_then(|o| o.member("operations")?.as_array());
    let mut pins = BTreeMap::new();
    for item in listed.unwrap_or_default() {
        let definition = Definition::of_operation(item)?;
        pins.insert(definition.name().to_owned(), Pin::of(&definition));
    }
    let (name, url) = (ServerName::parse("orders")?, "http://127.0.0.1:9/".parse()?);
    catalogue.put(ToolServer::new(name, url, UpstreamIdentity::Shared, pins, false));
    let issuer = SigningKey::from_seed(&[1; 32])?;
    let anchors = Anchors::new(vec![("http://issuer.test".to_owned(), issuer.public_key())]);
    let anchors = anchors.map_err(|_| "the anchors are wrong")?;
    let org = OrgId::parse("default")?;
    let config = Config::new("http://localhost:7417", org, "example.test", anchors);
    let audience = config.audience();
    let ports = Ports {
        vault: Arc::new(MemoryVault::new(host.clone())),
        registry: registry.clone(),
        journal: journal.clone(),
        holds: Arc::new(MemoryHolds::new(journal.clone())),
        peers: Arc::new(MemoryPeers::default()),
        requests: Arc::new(MemoryRequests::default()),
        runs: Arc::new(MemoryRuns::default()),
        host: host.clone(),
        catalogue,
    };
    let gateway = Gateway::new(config, ports)?;
    let key = SigningKey::from_seed(&[2; 32])?;
    let now = host.now();
    let hop = Hop {
        instance: InstanceId::mint(now, [1; 10]),
        agent: AgentId::parse("agent:support-runner")?,
        owner: Some(PrincipalId::parse("user:owner")?),
        instance_active: true,
        agent_active: true,
        guarantee: Guarantee::Key,
        handoff: None,
        isolation: Isolation::Unstated,
        domain_as_of: None,
    };
    registry.enrol(key.public_key().thumbprint(), hop);
    let authority = Authority {
        principal: PrincipalId::parse("user:142")?,
        agent: AgentId::parse("agent:support-runner")?,
        client: None,
        task: TaskId::mint(now, [2; 10]),
        purpose: "a late delivery".to_owned(),
        workflow: workflow.id.clone(),
        workflow_digest,
        grant: GrantId::mint(now, [3; 10]),
        grant_digest: Digest::from_array([4; 32]),
    };
    let standing = GrantStanding {
        digest: authority.grant_digest,
        not_after: now.plus_seconds(3600),
        attested: false,
        ended: false,
        account: None,
    };
    registry.grant(authority.grant.clone(), standing);
    let scope = expand(&workflow, &["orders:refund".to_owned()]);
    let content = Content {
        jti: fresh(&host),
        now,
        exp: now.seconds() + 900,
        nbf: None,
        holder: key.public_key(),
        scope: scope.map_err(|_| "the scope is wrong")?.scope,
        max_depth: 1,
        aud: vec![audience.clone()],
        budget: Object::new(),
    };
    let (claims, limits) = (authority.to_claims(), ChainLimits::DEFAULT);
    let chain = make::issue("http://issuer.test", &content, &claims, &issuer, &limits)?;
    Ok((gateway, journal, Agent { key, chain, audience, host }))
}
