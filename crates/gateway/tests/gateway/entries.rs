//! What the gateway writes, byte for byte, from a fixed clock, fixed keys and
//! fixed random bytes: an allow and its outcome, denials of somebody known and
//! of a stranger, and the count of denials without an entry.

#[path = "../../../core/tests/entries/golden.rs"]
mod golden;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{body, headers, install_tls_provider, key, listen, send};
use axum::Router;
use axum::body::Bytes;
use axum::response::IntoResponse as _;
use bailiwick_core::aat::make::{self, Content, ProofFor, Seen};
use bailiwick_core::aat::verify::Anchors;
use bailiwick_core::accountable::{Authority, GrantStanding, Hop};
use bailiwick_core::crypto::{Digest, Signer as _, SigningKey};
use bailiwick_core::guarantee::Guarantee;
use bailiwick_core::ids::{AgentId, GrantId, InstanceId, OrgId, PrincipalId, ServerName, TaskId};
use bailiwick_core::json::Object;
use bailiwick_core::ledger::Event;
use bailiwick_core::limits::ChainLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_demo::agent::Presentation;
use bailiwick_gateway::config::StateKey;
use bailiwick_gateway::ports::{Pin, Ports, ToolServer, UpstreamIdentity};
use bailiwick_gateway::testing::{
    FixedHost, MemoryCatalogue, MemoryHolds, MemoryJournal, MemoryPeers, MemoryRegistry,
    MemoryRequests, MemoryRuns, MemoryVault,
};
use bailiwick_gateway::{Config, Gateway, router, serve};
use bailiwick_policy::catalogue::Definition;
use bailiwick_policy::expand::expand;
use bailiwick_policy::{Bundle, Policies, Workflow};
use golden::{Golden, TOOL, WORKFLOW, strict};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const URL: &str = "http://localhost:7417";
const START: i64 = 1_767_225_600;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(START + seconds)
}

/// A tool server that lists one tool and always answers alike.
async fn desk() -> String {
    let app = Router::new().fallback(|request: Bytes| async move {
        let request: Value = serde_json::from_slice(&request).unwrap();
        let result = if request["method"] == "tools/list" {
            format!(r#"{{"tools":[{TOOL}]}}"#)
        } else {
            r#"{"content":[{"type":"text","text":"open"}],"isError":false}"#.to_owned()
        };
        let answer = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{result}}}"#, request["id"]);
        ([("content-type", "application/json")], answer).into_response()
    });
    listen(app).await.0
}

struct Fixed {
    gateway: Gateway,
    journal: Arc<MemoryJournal>,
    /// Where it listens; what it is called is `URL`.
    address: String,
    chain: Vec<String>,
}

fn authority(workflow: &Workflow) -> Authority {
    Authority {
        principal: PrincipalId::parse("user:142").unwrap(),
        agent: AgentId::parse("agent:runner").unwrap(),
        client: None,
        task: TaskId::mint(at(0), [3; 10]),
        purpose: "resolve ticket".into(),
        workflow: workflow.id.clone(),
        workflow_digest: workflow.digest(),
        grant: GrantId::mint(at(0), [4; 10]),
        grant_digest: Digest::from_array([9; 32]),
    }
}

/// A root for the runner, and a child of it for the reader that ends earlier.
fn chain(workflow: &Workflow) -> Vec<String> {
    let scope = || expand(workflow, &["ticket:8821".to_owned()]).unwrap().scope;
    let content = |jti: &str, holder: u8, exp: i64| Content {
        jti: jti.to_owned(),
        now: at(10),
        exp: START + exp,
        nbf: None,
        holder: key(holder).public_key(),
        scope: scope(),
        max_depth: 2,
        aud: vec![format!("{URL}/mcp")],
        budget: Object::new().with("max_calls", 10u64),
    };
    let limits = ChainLimits::DEFAULT;
    let claims = authority(workflow).to_claims();
    let root = make::issue(URL, &content("root", 1, 900), &claims, &key(200), &limits).unwrap();
    let child = make::derive(&root, &content("leaf", 2, 600), &key(1), &limits).unwrap();
    vec![root, child]
}

async fn fixed(policies: Policies) -> Fixed {
    install_tls_provider();
    let host = Arc::new(FixedHost::at(at(60)));
    let workflow = Workflow::parse(WORKFLOW).unwrap();
    let registry = Arc::new(MemoryRegistry::new(host.clone()));
    for (n, agent) in [(1, "agent:runner"), (2, "agent:reader")] {
        let hop = Hop {
            instance: InstanceId::mint(at(0), [n; 10]),
            agent: AgentId::parse(agent).unwrap(),
            owner: Some(PrincipalId::parse("user:owner").unwrap()),
            instance_active: true,
            agent_active: true,
            guarantee: Guarantee::Key,
            handoff: None,
            isolation: bailiwick_core::guarantee::Isolation::Unstated,
            domain_as_of: None,
        };
        registry.enrol(key(n).public_key().thumbprint(), hop);
    }
    let standing = GrantStanding {
        digest: Digest::from_array([9; 32]),
        not_after: at(900),
        attested: false,
        ended: false,
        account: None,
    };
    registry.grant(authority(&workflow).grant, standing);
    let catalogue = Arc::new(MemoryCatalogue::default());
    let definition = Definition::of_tool(&strict(TOOL.as_bytes())).unwrap();
    let pin = Pin::of(&definition);
    catalogue.put(ToolServer::new(
        ServerName::parse("desk").unwrap(),
        desk().await.parse().unwrap(),
        UpstreamIdentity::Shared,
        BTreeMap::from([("tools/get_ticket".to_owned(), pin)]),
        false,
    ));
    let chain = chain(&workflow);
    catalogue.publish(workflow);
    catalogue.enforce(policies);
    let journal = Arc::new(MemoryJournal::new(registry.clone(), Duration::ZERO));
    let anchors = Anchors::new(vec![(URL.to_owned(), key(200).public_key())]).unwrap();
    let org = OrgId::parse("default").unwrap();
    let mut config = Config::new(URL, org, "example.test", anchors);
    config.stranger_entries = (1, 0);
    // Nothing is drawn for it, so that entries draw what they always drew.
    config.state_key = Some(StateKey::new([0; 32]));
    let vault = Arc::new(MemoryVault::new(host.clone()));
    let holds = Arc::new(MemoryHolds::new(journal.clone()));
    let requests = Arc::new(MemoryRequests::default());
    let runs = Arc::new(MemoryRuns::default());
    let peers = Arc::new(MemoryPeers::default());
    let kept = journal.clone();
    let ports =
        Ports { registry, journal: kept, catalogue, holds, peers, requests, runs, vault, host };
    let gateway = Gateway::new(config, ports).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/mcp/desk", listener.local_addr().unwrap());
    let app = router(gateway.clone());
    tokio::spawn(async move {
        serve(listener, app, bailiwick_gateway::Bounds::new(16), None, std::future::pending()).await
    });
    Fixed { gateway, journal, address, chain }
}

impl Fixed {
    /// A call with a proof of this name by `prover`.
    async fn call(&self, name: &str, arguments: Value, jti: &str, prover: &SigningKey) {
        let seen = Seen::parse(&self.chain[1], &ChainLimits::DEFAULT).unwrap();
        let object = strict(arguments.to_string().as_bytes()).as_object().unwrap().clone();
        let audience = format!("{URL}/mcp");
        let proof = ProofFor {
            jti,
            now: at(59),
            tool: &format!("mcp:desk:tools/{name}"),
            arguments: &object,
            audience: Some(&audience),
            nonce: None,
        };
        let aat_pop = make::prove_unchecked(&seen.jti, seen.hash, &proof, prover);
        let presented = Presentation { aat_chain: self.chain.clone(), aat_pop };
        let body = body(name, &arguments, Some(&presented)).to_string();
        assert_eq!(send("POST", &self.address, &headers(name), body).await.status, 200);
    }

    async fn completed(&self) -> Event {
        loop {
            if let Some(event) = self.journal.completed().pop() {
                return event;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn the_gateway_writes_the_golden_entries() {
    // Not the shipped guardrails, which may be said in other words one day.
    let all = r#"@id("all") @reason("everything") permit (principal, action, resource);"#;
    let none = r#"@id("none") @reason("nothing") forbid (principal, action, resource);"#;
    let bundle = |text: &str| {
        let files = [("golden.cedar".to_owned(), text.to_owned())];
        Arc::new(Bundle::parse(files).unwrap())
    };
    let enforced = Policies { enforced: Some(bundle(all)), candidate: None };
    let fixed = fixed(enforced).await;
    let maker = key(3);
    let check = |name: &str, event: &Event| {
        golden::check(name, &Golden::seal(event, "gateway:golden", &maker));
    };
    let ticket = || json!({"ticket_id": 8821});
    fixed.call("get_ticket", ticket(), "first", &key(2)).await;
    check("action.decided", &fixed.journal.decisions()[0].event);
    check("action.completed", &fixed.completed().await);
    // A tool that nobody catalogued: its name is the caller's own words.
    fixed.call("tell Mrs Example", json!({}), "second", &key(2)).await;
    check("action.decided+denied", &fixed.journal.denials()[0]);
    // Two thieves with the chain and without the key: one gets an entry.
    for jti in ["third", "fourth"] {
        fixed.call("get_ticket", ticket(), jti, &key(66)).await;
    }
    check("action.decided+stranger", &fixed.journal.denials()[1]);
    assert!(fixed.gateway.drain(Duration::from_secs(10)).await);
    let denials = fixed.journal.denials();
    assert_eq!(denials.len(), 3);
    check("denials.suppressed", &denials[2]);

    // Denied by policy, while another bundle is tried.
    let policies = Policies { enforced: Some(bundle(none)), candidate: Some(bundle(all)) };
    let fixed = self::fixed(policies).await;
    fixed.call("get_ticket", ticket(), "first", &key(2)).await;
    check("action.decided+candidate", &fixed.journal.denials()[0]);
}
