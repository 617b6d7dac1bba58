//! A small world: an issuer, agents with keys, a gateway over ports in memory,
//! a real desk behind a tap that writes down what passes.

#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    clippy::disallowed_methods,
    reason = "each test file uses some of it; tests write files"
)]

use std::sync::{Arc, Once};
use std::time::Duration;

use bailiwick_core::aat::make::{self, Content, ProofFor, Seen};
use bailiwick_core::aat::verify::Anchors;
use bailiwick_core::accountable::{Authority, GrantStanding, Hop};
use bailiwick_core::crypto::{Digest, Signer, SigningKey};
use bailiwick_core::dpop;
use bailiwick_core::guarantee::Guarantee;
use bailiwick_core::ids::{
    AgentId, GrantId, InstanceId, OrgId, PrincipalId, ServerName, TaskId, uuid_v7,
};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::{ChainLimits, JsonLimits};
use bailiwick_core::scope::Scope;
use bailiwick_core::time::Timestamp;
use bailiwick_demo::agent::{
    Connection, Era, MessageHeaders, PresentError, Presentation, Presenter,
};
use bailiwick_demo::desk::{self, DeskConfig, RunningDesk};
use bailiwick_gateway::ports::{Credential, Host, Pin, Ports, ToolServer, UpstreamIdentity};
use bailiwick_gateway::testing::{
    MemoryCatalogue, MemoryHolds, MemoryJournal, MemoryPeers, MemoryRegistry, MemoryRequests,
    MemoryRuns, MemoryVault, SystemHost,
};
use bailiwick_gateway::{Bounds, Config, Gateway, router, serve};
use bailiwick_policy::Workflow;
use bailiwick_policy::catalogue::Definition;
use bailiwick_policy::expand::expand;
use http::HeaderMap;
use rmcp::model::JsonObject;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub const CREDENTIAL: &str = "desk-credential-0123456789";
pub const SERVER: &str = "support-desk";
pub const ISSUER: &str = "http://issuer.test";
pub mod certificates;
mod tap;
pub use tap::{Tap, listen};

/// What the runner is shown of the desk, the gateway's own tools with it.
pub const SHOWN: [&str; 8] = [
    "complete_task",
    "get_order",
    "get_ticket",
    "list_orders",
    "note_context",
    "note_progress",
    "request_authority",
    "run_begin",
];
/// How many of them are the gateway's own.
pub const OWN: usize = 5;

const WORKFLOW: &str = include_str!("../../../../../workflows/support-tickets.yaml");

pub fn install_tls_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _already = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
}

pub fn object(value: Value) -> JsonObject {
    match value {
        Value::Object(o) => o,
        other => panic!("`{other}` is no object"),
    }
}

pub fn strict(text: &str) -> Json {
    Json::parse(text.as_bytes(), &JsonLimits::DEFAULT).unwrap()
}

fn to_object(members: &JsonObject) -> Object {
    match strict(&Value::Object(members.clone()).to_string()) {
        Json::Object(o) => o,
        _ => panic!("no object"),
    }
}

/// What the world can be told before it starts.
pub struct Plan {
    pub workflow: String,
    pub config: Box<dyn FnOnce(&mut Config)>,
    /// Another upstream instead of the desk.
    pub upstream: Option<String>,
    pub json_response: bool,
    /// How long a record takes.
    pub latency: Duration,
    pub bounds: Bounds,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            workflow: WORKFLOW.to_owned(),
            config: Box::new(|_| ()),
            upstream: None,
            json_response: true,
            latency: Duration::ZERO,
            bounds: Bounds::new(256),
        }
    }
}

pub struct World {
    pub gateway: Gateway,
    pub registry: Arc<MemoryRegistry>,
    pub journal: Arc<MemoryJournal>,
    pub holds: Arc<MemoryHolds>,
    pub requests: Arc<MemoryRequests>,
    pub runs: Arc<MemoryRuns>,
    pub catalogue: Arc<MemoryCatalogue>,
    pub vault: Arc<MemoryVault>,
    pub host: Arc<SystemHost>,
    pub desk: RunningDesk,
    pub tap: Tap,
    pub base: String,
    pub workflow: Workflow,
    pub workflow_digest: Digest,
    pub grant: GrantId,
    pub issuer: SigningKey,
    _dir: tempfile::TempDir,
    serving: JoinHandle<()>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

pub fn key(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32]).unwrap()
}

pub fn random_id(host: &dyn Host) -> String {
    let mut bytes = [0; 10];
    host.fill(&mut bytes);
    uuid_v7(host.now(), bytes)
}

impl World {
    pub async fn new() -> Self {
        Self::with(Plan::default()).await
    }

    pub async fn with(plan: Plan) -> Self {
        install_tls_provider();
        let dir = tempfile::tempdir().unwrap();
        let credential = dir.path().join("credential");
        std::fs::write(&credential, CREDENTIAL).unwrap();
        let mut desk_config = DeskConfig::new(dir.path().join("desk.db"), credential);
        desk_config.json_response = plan.json_response;
        let desk = desk::serve(desk_config).await.unwrap();
        let tap = Tap::start(plan.upstream.unwrap_or_else(|| desk.url())).await;

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let issuer = key(200);
        let anchors = Anchors::new(vec![(ISSUER.to_owned(), issuer.public_key())]).unwrap();
        let host = Arc::new(SystemHost::default());
        let registry = Arc::new(MemoryRegistry::new(host.clone()));
        let journal = Arc::new(MemoryJournal::new(registry.clone(), plan.latency));
        let holds = Arc::new(MemoryHolds::new(journal.clone()));
        let requests = Arc::new(MemoryRequests::default());
        let runs = Arc::new(MemoryRuns::default());
        let catalogue = Arc::new(MemoryCatalogue::default());
        let workflow = Workflow::parse(&plan.workflow).unwrap();
        let workflow_digest = catalogue.publish(workflow.clone());
        let name = ServerName::parse(SERVER).unwrap();
        let url = tap.url.parse().unwrap();
        let identity = UpstreamIdentity::Shared;
        catalogue.put(ToolServer::new(name.clone(), url, identity, pins(&desk).await, false));
        let vault = Arc::new(MemoryVault::new(host.clone()));
        vault.put(&name, None, Credential::bearer(CREDENTIAL).unwrap());
        let org = OrgId::parse("default").unwrap();
        let mut config = Config::new(&base, org, "example.test", anchors);
        (plan.config)(&mut config);
        let ports = Ports {
            registry: registry.clone(),
            journal: journal.clone(),
            catalogue: catalogue.clone(),
            holds: holds.clone(),
            peers: Arc::new(MemoryPeers::default()),
            requests: requests.clone(),
            runs: runs.clone(),
            vault: vault.clone(),
            host: host.clone(),
        };
        let gateway = Gateway::new(config, ports).unwrap();
        let app = router(gateway.clone());
        let bounds = plan.bounds;
        let serving = tokio::spawn(async move {
            serve(listener, app, bounds, None, std::future::pending()).await;
        });
        let grant = GrantId::mint(host.now(), [7; 10]);
        let world = Self {
            gateway,
            registry,
            journal,
            holds,
            requests,
            runs,
            catalogue,
            vault,
            host,
            desk,
            tap,
            base,
            workflow,
            workflow_digest,
            grant,
            issuer,
            _dir: dir,
            serving,
        };
        world.stand_grant(false);
        world.enrol(1, "agent:support-runner");
        world.enrol(2, "agent:order-reader");
        world
    }

    pub fn stand_grant(&self, ended: bool) {
        self.stand_grant_of(&self.authority(), ended);
    }

    /// The grant of this authority, standing or ended.
    pub fn stand_grant_of(&self, authority: &Authority, ended: bool) {
        let standing = GrantStanding {
            digest: authority.grant_digest,
            not_after: self.host.now().plus_seconds(3600),
            attested: false,
            ended,
            account: None,
        };
        self.registry.grant(authority.grant.clone(), standing);
    }

    pub fn enrol(&self, n: u8, agent: &str) {
        let hop = self.hop(n, agent);
        self.registry.enrol(key(n).public_key().thumbprint(), hop);
    }

    pub fn hop(&self, n: u8, agent: &str) -> Hop {
        Hop {
            instance: InstanceId::mint(Timestamp::from_seconds(1_700_000_000), [n; 10]),
            agent: AgentId::parse(agent).unwrap(),
            owner: Some(PrincipalId::parse("user:owner").unwrap()),
            instance_active: true,
            agent_active: true,
            guarantee: Guarantee::Key,
            handoff: None,
            isolation: bailiwick_core::guarantee::Isolation::Unstated,
            domain_as_of: None,
        }
    }

    pub fn url(&self) -> String {
        format!("{}/mcp/{SERVER}", self.base)
    }

    pub fn audience(&self) -> String {
        format!("{}/mcp", self.base)
    }

    pub fn authority(&self) -> Authority {
        Authority {
            principal: PrincipalId::parse("user:142").unwrap(),
            agent: AgentId::parse("agent:support-runner").unwrap(),
            client: None,
            task: TaskId::mint(Timestamp::from_seconds(1_700_000_000), [3; 10]),
            purpose: "resolve support ticket".into(),
            workflow: self.workflow.id.clone(),
            workflow_digest: self.workflow_digest,
            grant: self.grant.clone(),
            grant_digest: Digest::from_array([9; 32]),
        }
    }

    pub fn scope(&self, shorthands: &[&str]) -> Scope {
        let asked: Vec<String> = shorthands.iter().map(|s| (*s).to_owned()).collect();
        expand(&self.workflow, &asked).unwrap().scope
    }

    pub fn content(&self, holder: u8, scope: Scope) -> Content {
        Content {
            jti: random_id(self.host.as_ref()),
            now: self.host.now(),
            exp: self.host.now().seconds() + 900,
            nbf: None,
            holder: key(holder).public_key(),
            scope,
            max_depth: 3,
            aud: vec![self.audience()],
            budget: Object::new(),
        }
    }

    /// Issues a root; `change` spoils it.
    pub fn issue(
        &self,
        holder: u8,
        shorthands: &[&str],
        change: impl FnOnce(&mut Content),
    ) -> String {
        let mut content = self.content(holder, self.scope(shorthands));
        change(&mut content);
        let claims = self.authority().to_claims();
        let limits = ChainLimits::DEFAULT;
        make::issue(ISSUER, &content, &claims, &self.issuer, &limits).unwrap()
    }

    /// What the runner usually holds.
    pub fn runner(&self) -> Arc<Holder> {
        let root = self.issue(1, &["ticket:8821", "orders:read"], |_| ());
        Arc::new(self.holder(1, vec![root]))
    }

    pub fn holder(&self, n: u8, chain: Vec<String>) -> Holder {
        Holder { chain, key: key(n), audience: self.audience(), host: self.host.clone() }
    }

    pub async fn connect(
        &self,
        era: Era,
        holder: Arc<Holder>,
    ) -> bailiwick_demo::agent::AgentClient {
        Connection::new(self.url(), SERVER, era)
            .presenting(holder)
            .with_timeout(Duration::from_secs(20))
            .connect()
            .await
            .unwrap()
    }

    /// The outcomes, once there are `count`.
    pub async fn outcomes(&self, count: usize) -> Vec<String> {
        for _ in 0..200 {
            let completed = self.journal.completed();
            if completed.len() >= count {
                return completed.into_iter().map(|e| e.subjects.reason.unwrap()).collect();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("only {} outcomes", self.journal.completed().len());
    }

    pub fn denial_codes(&self) -> Vec<String> {
        self.journal.denials().into_iter().filter_map(|e| e.subjects.reason).collect()
    }
}

async fn pins(desk: &RunningDesk) -> std::collections::BTreeMap<String, Pin> {
    let client = Connection::new(desk.url(), "desk", Era::Stateless)
        .with_bearer(CREDENTIAL)
        .connect()
        .await
        .unwrap();
    let mut pins = std::collections::BTreeMap::new();
    for tool in client.list_tools().await.unwrap() {
        let item = strict(&serde_json::to_string(&tool).unwrap());
        let definition = Definition::of_tool(&item).unwrap();
        let schema = definition.input_schema().cloned();
        pins.insert(
            format!("tools/{}", definition.name()),
            Pin { digest: definition.digest(), schema, operation: None, card: None },
        );
    }
    for prompt in client.list_prompts().await.unwrap() {
        let item = strict(&serde_json::to_string(&prompt).unwrap());
        let definition = Definition::of_prompt(&item).unwrap();
        let schema = item.as_object().unwrap().member("arguments").cloned();
        pins.insert(
            format!("prompts/{}", definition.name()),
            Pin { digest: definition.digest(), schema, operation: None, card: None },
        );
    }
    client.close().await;
    pins
}

/// Somebody with a chain and a key.
pub struct Holder {
    pub chain: Vec<String>,
    pub key: SigningKey,
    pub audience: String,
    pub host: Arc<SystemHost>,
}

impl Holder {
    pub fn leaf(&self) -> &str {
        self.chain.last().unwrap()
    }

    pub fn leaf_hash(&self) -> Digest {
        Seen::parse(self.leaf(), &ChainLimits::DEFAULT).unwrap().hash
    }

    pub fn proof(
        &self,
        tool: &str,
        arguments: &Object,
        change: impl FnOnce(&mut ProofFor<'_>),
    ) -> String {
        let jti = random_id(self.host.as_ref());
        let seen = Seen::parse(self.leaf(), &ChainLimits::DEFAULT).unwrap();
        let mut proof = ProofFor {
            jti: &jti,
            now: self.host.now(),
            tool,
            arguments,
            audience: Some(&self.audience),
            nonce: None,
        };
        change(&mut proof);
        make::prove_unchecked(&seen.jti, seen.hash, &proof, &self.key)
    }

    pub fn present(&self, name: &str, arguments: &Value) -> Presentation {
        self.for_call(&format!("mcp:{SERVER}:tools/{name}"), &object(arguments.clone())).unwrap()
    }

    pub fn dpop(&self, verb: &str, url: &str) -> String {
        let jti = random_id(self.host.as_ref());
        dpop::prove(&self.key, &jti, self.host.now(), verb, url, self.leaf())
    }
}

impl Presenter for Holder {
    fn for_call(&self, tool: &str, arguments: &JsonObject) -> Result<Presentation, PresentError> {
        let aat_pop = self.proof(tool, &to_object(arguments), |_| ());
        Ok(Presentation { aat_chain: self.chain.clone(), aat_pop })
    }

    fn for_message(&self, method: &str, url: &str) -> Result<MessageHeaders, PresentError> {
        Ok(MessageHeaders { aat_chain: self.chain.join(","), dpop: self.dpop(method, url) })
    }
}

/// A raw answer.
#[derive(Clone, Debug)]
pub struct Raw {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Raw {
    pub fn json(&self) -> Value {
        // The one message, or the last of a stream.
        let event = self.text.lines().rev().find_map(|line| line.strip_prefix("data: "));
        serde_json::from_str(event.unwrap_or(&self.text)).unwrap_or_default()
    }

    /// The answer without what is random in it.
    pub fn shape(&self) -> (u16, Value) {
        let mut json = self.json();
        if let Some(data) = json.pointer_mut("/error/data/decision_id") {
            *data = json!("…");
        }
        (self.status, json)
    }

    pub fn code(&self) -> String {
        self.json()["error"]["data"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// The body of a call of protocol 2026-07-28.
pub fn body(name: &str, arguments: &Value, presentation: Option<&Presentation>) -> Value {
    let mut meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "0"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    if let Some(p) = presentation {
        meta["io.bailiwick/presentation"] = json!(p);
    }
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call",
        "params": {"name": name, "arguments": arguments, "_meta": meta}})
}

pub fn headers(name: &str) -> Vec<(&'static str, String)> {
    vec![
        ("accept", "application/json, text/event-stream".into()),
        ("content-type", "application/json".into()),
        ("mcp-protocol-version", "2026-07-28".into()),
        ("mcp-method", "tools/call".into()),
        ("mcp-name", name.to_owned()),
    ]
}

pub async fn send(
    verb: &str,
    url: &str,
    headers: &[(&'static str, String)],
    body: impl Into<reqwest::Body>,
) -> Raw {
    install_tls_provider();
    let mut request = reqwest::Client::new().request(verb.parse().unwrap(), url).body(body.into());
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let answer = request.send().await.unwrap();
    Raw {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        text: answer.text().await.unwrap_or_default(),
    }
}

impl World {
    /// A well-formed call with whatever presentation.
    pub async fn call(
        &self,
        name: &str,
        arguments: Value,
        presentation: Option<&Presentation>,
    ) -> Raw {
        let body = body(name, &arguments, presentation).to_string();
        send("POST", &self.url(), &headers(name), body).await
    }
}
