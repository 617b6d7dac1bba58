//! Agents that speak A2A behind the gateway: an agent on PyPI's library, the
//! clients of PyPI and npm, cards in both directions. Wiring: the binary serving, a
//! real agent, real clients, which prove each request as an agent's host would.

use std::path::{Path, PathBuf};
use std::process::Command;

use bailiwick_core::aat::make::{ProofFor, prove_unchecked};
use bailiwick_core::dpop::Occasion;
use bailiwick_testkit::World;
use bailiwick_testkit::http::{Request, Response};
use bailiwick_testkit::present::{Chain, Holder, fresh_id, fresh_key, now, object, seen};
use bailiwick_testkit::world::{OWNER, READER, RUNNER, Setup, command, free_port, private};
use serde_json::{Value, json};

use crate::EXE;
use crate::connect::Spoken;
use crate::services::{ASSERTION, EXCHANGE, assertion, client, form};
use crate::stock_clients::{Program, clients};

pub(crate) const AGENT: &str = "agent:billing-specialist";
pub(crate) const SECRET: &str = "billing-credential-canary-0123456789";

const WORKFLOW: &str = r#"
workflow: billing
version: "1"
owner: user:owner
purpose: Ask the billing specialist.
agents: [agent:support-runner, agent:order-reader, agent:billing-specialist]
level: bounded
window_seconds: 3600
max_depth: 2
budget: {max_calls: 500}
data_sources: {tool_servers: [billing]}
completion:
  - {id: asked, says: The specialist was asked., by: {tool: "a2a:billing:SendMessage"}}
review: {by: [owner], when: incomplete}
rollback:
  - {id: by-hand, says: Tell the specialist., how: manual}
evaluation:
  targets: {task_success_rate: {at_least: 0.9}}
  window_days: 30
  minimum_runs: 20
  confidence_percent: 95
tool_servers:
  billing:
    a2a:
"#;

/// Every operation is of low risk; those that get or list are reads.
fn workflow() -> String {
    let any = "{constraint_type: wildcard}";
    let optional = "{constraint_type: wildcard, optional: true}";
    let operations = [
        ("SendMessage", "message", "configuration metadata"),
        ("SendStreamingMessage", "message", "configuration metadata"),
        ("GetTask", "id", "historyLength"),
        ("ListTasks", "", "contextId status pageSize historyLength includeArtifacts"),
        ("CancelTask", "id", "metadata"),
        ("SubscribeToTask", "id", ""),
        ("CreateTaskPushNotificationConfig", "taskId url", "id token authentication"),
        ("GetTaskPushNotificationConfig", "taskId id", ""),
        ("ListTaskPushNotificationConfigs", "taskId", "pageSize pageToken"),
        ("DeleteTaskPushNotificationConfig", "taskId id", ""),
    ];
    let mut text = WORKFLOW.to_owned();
    for (name, ..) in operations {
        let reads = name.starts_with("Get") || name.starts_with("List");
        let effect = if reads { "read" } else { "write" };
        text.push_str(&format!("      {name}: {{risk: low, effect: {effect}, personal: false}}\n"));
    }
    text.push_str("shorthands:\n  \"billing:ask\":\n    tools:\n");
    for (name, required, more) in operations {
        let required = required.split_whitespace().map(|name| format!("{name}: {any}"));
        let more = more.split_whitespace().map(|name| format!("{name}: {optional}"));
        let rules: Vec<String> = required.chain(more).collect();
        text.push_str(&format!("      \"a2a:billing:{name}\": {{{}}}\n", rules.join(", ")));
    }
    text
}

/// A world with an agent behind the gateway.
pub(crate) struct Billing {
    pub(crate) world: World,
    pub(crate) agent: Program,
    pub(crate) base: String,
    pub(crate) holder: Holder,
    key: String,
}

impl Billing {
    pub(crate) fn new(setup: &Setup) -> Self {
        let billing = Self::unlisted(setup);
        billing.world.ok(&billing.add(&[]));
        billing.publish();
        billing
    }

    /// The same, before the agent is catalogued.
    pub(crate) fn unlisted(setup: &Setup) -> Self {
        let world = World::with(EXE, setup);
        let key = world.path("service.key");
        world.ok(&["principal", "add", "service:billing", "--key", &key]);
        world.ok(&["agent", "add", AGENT, "--owner", OWNER]);
        let holder = world.instance("billing", AGENT);
        world.enrol(&holder);
        private(Path::new(&world.path("billing.credential")), SECRET);
        let (agent, base) = start(&holder.key_file());
        Self { world, agent, base, holder, key }
    }

    /// The command that catalogues the agent.
    pub(crate) fn add<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let url: &'a str = Box::leak(format!("{}/.well-known/agent-card.json", self.base).into());
        let credential: &'a str = Box::leak(self.world.path("billing.credential").into());
        let line = ["a2a", "add", "billing", "--url", url, "--agent", AGENT];
        [&line[..], &["--credential", credential], more].concat()
    }

    pub(crate) fn publish(&self) {
        let file = self.world.path("billing.yaml");
        std::fs::write(&file, workflow()).unwrap();
        self.world.ok(&["workflow", "publish", &file]);
    }

    /// A delegation of a task of its own.
    pub(crate) fn chain(&self, agent: &str) -> Chain {
        self.granted(agent).0
    }

    /// The same, with its grant's id.
    fn granted(&self, agent: &str) -> (Chain, String) {
        let out = self.world.path(&format!("chain-{}.json", fresh_id()));
        let authority = self.world.public_url.clone();
        let line = ["delegate", "--authority", &authority, "--agent", agent, "--key", &self.key];
        let scope = ["--scope", "billing:ask", "--workflow", "billing", "--max-depth", "1"];
        let rest = ["--purpose", "find out about a refund", "--out", &out];
        let granted = self.world.ok(&[&line[..], &scope, &rest].concat());
        let grant = granted["grant"].as_str().unwrap().to_owned();
        (Chain::read(Path::new(&out)), grant)
    }

    /// What is shown as the agent's card from now on.
    pub(crate) fn show(&self, card: &str) {
        let address = self.base.strip_prefix("http://").unwrap().parse().unwrap();
        let changed = Request::bare("PUT", format!("/card/{card}")).send(address).unwrap();
        assert_eq!(changed.status, 204);
    }

    /// What the agent answers to the next request, whatever it asks.
    pub(crate) fn lie(&self, answer: &str) {
        let address = self.base.strip_prefix("http://").unwrap().parse().unwrap();
        assert_eq!(Request::post("/answer", answer).send(address).unwrap().status, 204);
    }

    pub(crate) fn ask(&self, chain: &Chain, by: &Holder, method: &str, params: Value) -> Value {
        self.send(&self.request(chain, by, method, params)).json()
    }

    pub(crate) fn send(&self, request: &Request) -> Response {
        request.send(self.world.address).unwrap()
    }

    /// A request of the JSON-RPC binding with its proof.
    pub(crate) fn request(
        &self,
        chain: &Chain,
        by: &Holder,
        method: &str,
        params: Value,
    ) -> Request {
        let arguments = object(&params);
        let (leaf, jti) = (seen(chain.leaf()), fresh_id());
        let proof = ProofFor {
            jti: &jti,
            now: now(),
            tool: &format!("a2a:billing:{method}"),
            arguments: &arguments,
            audience: Some(&chain.audience),
            nonce: None,
        };
        let proof = prove_unchecked(&leaf.jti, leaf.hash, &proof, &by.key);
        let body = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        Request::post("/a2a/billing", body.to_string())
            .with("a2a-version", "1.0")
            .with("aat-chain", &chain.tokens.join(","))
            .with("aat-pop", &proof)
    }

    /// A task that waits for more, of this caller.
    pub(crate) fn waiting(&self, chain: &Chain, by: &Holder) -> (String, String) {
        let answer = self.ask(chain, by, "SendMessage", message("wait", json!({})));
        let task = &answer["result"]["task"];
        assert_eq!(task["status"]["state"], "TASK_STATE_INPUT_REQUIRED", "{answer}");
        let text = |name: &str| task[name].as_str().unwrap().to_owned();
        (text("id"), text("contextId"))
    }

    /// What the agent heard, in order, without waiting.
    pub(crate) fn heard(&self) -> Vec<Value> {
        let mut heard = Vec::new();
        // Whatever was sent before this is told before it.
        self.show("good");
        let chain = self.chain(RUNNER);
        self.ask(&chain, &self.world.runner, "SendMessage", message("hello", json!({})));
        loop {
            let said = self.agent.next();
            if said["event"] == "message" && said["text"] == "hello" {
                // The request that brought it.
                heard.pop();
                return heard;
            }
            heard.push(said);
        }
    }
}

/// An agent on a port of its own, which signs with this key.
pub(crate) fn start(key: &str) -> (Program, String) {
    let port = free_port().to_string();
    let mut command = Command::new(clients().join("venv/bin/python"));
    let script: PathBuf = clients().join("a2a_agent.py");
    let agent = Program::start(command.arg(script).args([&port, SECRET, key]));
    agent.expect("ready");
    (agent, format!("http://127.0.0.1:{port}"))
}

/// Parameters of a message with this text.
pub(crate) fn message(text: &str, more: Value) -> Value {
    let mut message = json!({
        "messageId": fresh_id(), "role": "ROLE_USER", "parts": [{"text": text}],
    });
    for (name, value) in more.as_object().unwrap() {
        message[name] = value.clone();
    }
    json!({"message": message})
}

/// The reason in an answer's error.
pub(crate) fn reason(answer: &Value) -> &Value {
    &answer["error"]["data"][0]["metadata"]["code"]
}

#[test]
fn an_agent_behind_the_gateway_is_asked_under_a_delegation_and_the_ledger_knows_it() {
    let billing = Billing::new(&Setup::default());
    let chain = billing.chain(RUNNER);
    let runner = &billing.world.runner;
    let answer = billing.ask(&chain, runner, "SendMessage", message("hello", json!({})));
    assert_eq!(answer["result"]["message"]["parts"][0]["text"], "hello, größer", "{answer}");
    // The credential is the gateway's, and nothing of the caller's reaches the agent.
    let request = billing.agent.expect("request");
    assert_eq!(request["version"], "1.0");
    assert!(!request["headers"].to_string().contains("aat-"), "{request}");
    assert_eq!(billing.agent.expect("message")["text"], "hello");
    // What is not delegated is denied, with its decision; nobody else is known.
    let mut wide = message("hello", json!({}));
    wide["configuration"] = json!({"historyLength": 1});
    let allowed = billing.ask(&chain, runner, "SendMessage", wide);
    assert!(allowed["result"].is_object(), "{allowed}");
    let denied = billing.ask(&chain, runner, "GetExtendedAgentCard", json!({}));
    assert_eq!(denied["error"]["code"], -32007, "{denied}");
    assert_eq!(reason(&denied), "tool-not-delegated");
    assert!(denied["error"]["data"][0]["metadata"]["decision_id"].is_string(), "{denied}");
    let stranger = billing.ask(&chain, &billing.world.reader, "GetTask", json!({"id": "x"}));
    assert_eq!(stranger["error"]["code"], -32041, "{stranger}");
    // The record, and evidence that holds without the data dir.
    let found = billing.world.ok(&["audit", "query", "--tool", "a2a:billing:SendMessage"]);
    let actions = found["actions"].as_array().unwrap();
    assert_eq!(actions.len(), 2, "{found}");
    assert_eq!((&actions[0]["decision"], &actions[0]["outcome"]), (&json!("allow"), &json!("ok")));
    let world = &billing.world;
    std::thread::sleep(std::time::Duration::from_millis(1200));
    let (trust, bundle) = (world.path("trust.json"), world.path("a2a.evidence.json"));
    world.ok(&["keys", "trust", "-o", &trust]);
    world.ok(&["evidence", "get", actions[0]["action"].as_str().unwrap(), "-o", &bundle]);
    let nowhere = world.base.path().join("nowhere");
    let verified = world.run_on(&nowhere, &["evidence", "verify", &bundle, "--trust", &trust]);
    assert_eq!(verified.status, 0, "{}{}", verified.out, verified.err);
    assert_eq!(world.ok(&["audit", "verify"])["holds"], true);
    let shown = world.ok(&["a2a", "show", "billing"]);
    assert_eq!((&shown["agent"], &shown["status"]), (&json!(AGENT), &json!("pinned")));
}

#[test]
fn pypis_a2a_client_plays_a_task_through_the_gateway_in_both_bindings() {
    let billing = Billing::new(&Setup::default());
    let world = &billing.world;
    for binding in ["JSONRPC", "HTTP+JSON"] {
        let chain = billing.chain(RUNNER);
        let mut command = Command::new(clients().join("venv/bin/python"));
        let url = format!("{}/a2a/billing", world.public_url);
        let jwks = format!("{}/jwks", world.public_url);
        command.arg(clients().join("a2a_client.py")).args([&url, "billing"]);
        command.args([&chain.path(), &world.runner.key_file(), &jwks]).arg(binding);
        let client = Program::start(&mut command);
        // Its own verifier, over the card that we signed.
        let card = client.expect("card");
        assert_eq!(card["interfaces"], json!([url, url]), "{card}");
        let said = client.expect("message");
        let text = &said["events"][0]["message"]["parts"][0]["text"];
        assert_eq!(text, "hello, größer", "{said}");
        let task = client.expect("task");
        let state = &task["events"][0]["task"]["status"]["state"];
        assert_eq!(state, "TASK_STATE_COMPLETED", "{task}");
        let waiting = client.expect("waiting")["task"].clone();
        assert_eq!(client.expect("got")["task"]["id"], waiting["id"]);
        let listed = client.expect("listed");
        assert_eq!(listed["tasks"].as_array().unwrap().len(), 2, "{listed}");
        let on = client.expect("goes on");
        assert_eq!(on["events"][0]["task"]["id"], waiting["id"], "{on}");
        // The gateway's word, in the protocol's own errors.
        let ended = client.expect("ended");
        assert_eq!(ended["error"]["type"], "UnsupportedOperationError", "{ended}");
        let cancelled = client.expect("cancelled");
        assert_eq!(cancelled["task"]["status"]["state"], "TASK_STATE_CANCELED", "{cancelled}");
        let unknown = client.expect("unknown");
        assert_eq!(unknown["error"]["type"], "TaskNotFoundError", "{unknown}");
        let streamed = client.expect("streamed");
        let events = streamed["events"].as_array().unwrap();
        let last = &events.last().unwrap()["statusUpdate"]["status"]["state"];
        assert_eq!(last, "TASK_STATE_COMPLETED", "{streamed}");
        assert!(events.iter().any(|e| e["artifactUpdate"].is_object()), "{streamed}");
        client.expect("done");
    }
}

#[test]
fn npms_a2a_client_plays_a_task_through_the_gateway_in_both_bindings() {
    let billing = Billing::new(&Setup::default());
    let world = &billing.world;
    for binding in ["JSONRPC", "HTTP+JSON"] {
        let chain = billing.chain(RUNNER);
        let url = format!("{}/a2a/billing", world.public_url);
        let jwks = format!("{}/jwks", world.public_url);
        let mut command = Command::new("node");
        command.arg(clients().join("a2a_client.mjs")).args([&url, "billing"]);
        command.args([&chain.path(), &world.runner.key_file(), &jwks]).arg(binding);
        let client = Program::start(&mut command);
        assert_eq!(client.expect("card")["name"], "Billing specialist");
        let said = client.expect("message");
        assert!(said.to_string().contains("hello, größer"), "{said}");
        let waiting = client.expect("waiting");
        let got = client.expect("got");
        assert_eq!((&got["task"], &got["input"]), (&waiting["task"], &json!(true)), "{got}");
        let streamed = client.expect("streamed");
        assert!(streamed.to_string().contains("refunded once"), "{streamed}");
        assert_eq!(client.expect("cancelled")["state"], true);
        let unknown = client.expect("unknown");
        assert!(unknown["error"].as_str().unwrap().contains("TaskNotFound"), "{unknown}");
        client.expect("done");
    }
}

#[test]
fn npms_a2a_client_unchanged_uses_the_agent_that_connect_stands_in_for() {
    let billing = Billing::new(&Setup::default());
    let world = &billing.world;
    let chain = billing.chain(RUNNER);
    let mut command = command(Path::new(EXE), world.base.path());
    let (url, key) = (format!("{}/a2a/billing", world.public_url), world.runner.key_file());
    let line = ["--json", "connect", &url, "--chain", &chain.path(), "--key", &key];
    let mut spoken = Spoken::start(command.args(line).args(["--listen", "127.0.0.1:0"]));
    let base = spoken.next()["url"].as_str().expect("a URL").to_owned();
    for binding in ["JSONRPC", "HTTP+JSON"] {
        let mut command = Command::new("node");
        command.arg(clients().join("a2a_client.mjs")).args([&base, binding]);
        let client = Program::start(&mut command);
        client.expect("card");
        assert!(client.expect("message").to_string().contains("hello, größer"));
        client.expect("waiting");
        client.expect("got");
        assert!(client.expect("streamed").to_string().contains("refunded once"));
        assert_eq!(client.expect("cancelled")["state"], true);
        client.expect("unknown");
        client.expect("done");
    }
    // Who does not know the secret, and pages of other sites, get nothing.
    let (host, path) = base.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let address = host.parse().unwrap();
    let secret = path.split('/').next().unwrap();
    let guessed = format!("/{path}").replace(secret, &"a".repeat(secret.len()));
    let sent = |path: &str| Request::post(path, "{}").with("a2a-version", "1.0");
    assert_eq!(sent(&guessed).send(address).unwrap().status, 404);
    let page = sent(&format!("/{path}")).with("origin", "http://evil.example");
    assert_eq!(page.send(address).unwrap().status, 403);
    drop(spoken.child.kill());
    // On standard streams there is no A2A.
    let streams = world.run(&["connect", &url, "--chain", &chain.path(), "--key", &key]);
    assert_eq!(streams.status, 2, "{}", streams.out);
}

#[test]
fn a_card_of_a_key_that_was_named_is_taken_and_named_again_keeps_it() {
    let billing = Billing::unlisted(&Setup::default());
    let world = &billing.world;
    let python = clients().join("venv/bin/python");
    let (private_key, public) = (world.path("card.key"), world.path("card.jwk"));
    let make = "import json,sys,jwt\nfrom cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey as K\nk=K.generate();j=jwt.algorithms.OKPAlgorithm.to_jwk\nopen(sys.argv[1],'w').write(j(k));open(sys.argv[2],'w').write(j(k.public_key()))";
    let made = Command::new(python).args(["-c", make, &private_key, &public]).status().unwrap();
    assert!(made.success());
    // Ed25519, which no instance of the agent has: by its own library's signer.
    let (_agent, base) = start(&private_key);
    let url = format!("{base}/.well-known/agent-card.json");
    let line = ["a2a", "add", "other", "--url", &url, "--agent", AGENT];
    let refused = world.run(&line);
    assert_eq!(refused.status, 1, "{}", refused.out);
    assert!(refused.out.contains("card-signer-unknown"), "{}", refused.out);
    let added = world.ok(&[&line[..], &["--key", &public]].concat());
    assert_eq!(added["result"], "pinned", "{added}");
    assert_eq!(world.ok(&line)["result"], "unchanged");
}

#[test]
fn both_bindings_are_answered_in_their_own_form() {
    let billing = Billing::new(&Setup::default());
    let chain = billing.chain(READER);
    let reader = &billing.world.reader;
    let rpc = billing.request(&chain, reader, "SendMessage", message("hello", json!({})));
    let whole: Value = serde_json::from_slice(&rpc.body).unwrap();
    let mut http = Request::post("/a2a/billing/message:send", whole["params"].to_string());
    http.headers = rpc.headers.clone();
    let answer = billing.send(&http);
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/a2a+json")));
    assert!(answer.json()["message"].is_object());
    assert!(answer.header("bailiwick-decision").is_some());
    // The same proof again.
    let again = billing.send(&http);
    assert_eq!(
        (again.status, again.json()["error"]["status"].clone()),
        (401, json!("UNAUTHENTICATED"))
    );
    let get = billing.request(&chain, reader, "GetTask", json!({"id": "none"}));
    let mut http = Request::bare("GET", "/a2a/billing/tasks/none");
    http.headers = get.headers.clone();
    http.headers.retain(|(name, _)| name != "content-type");
    let answer = billing.send(&http);
    assert_eq!(answer.status, 404);
    assert_eq!(answer.json()["error"]["details"][0]["reason"], "TASK_NOT_FOUND");
    let stream =
        billing.request(&chain, reader, "SendStreamingMessage", message("refund?", json!({})));
    let events = billing.send(&stream);
    assert_eq!(events.header("content-type"), Some("text/event-stream"));
    assert!(events.text().contains("TASK_STATE_COMPLETED"), "{}", events.text());
}

#[test]
fn an_access_token_with_its_dpop_proof_asks_an_agent_in_both_bindings() {
    let billing = Billing::new(&Setup::default());
    let world = &billing.world;
    let (_, grant) = billing.granted(RUNNER);
    let asking = fresh_key();
    let asks = client(world, &asking, &[EXCHANGE], Some(RUNNER));
    let (authority, key) = (world.public_url.as_str(), world.runner.key_file());
    let line = ["instance", "identity", "--authority", authority, "--key", &key];
    let identity = world.ok(&line)["identity_token"].as_str().unwrap().to_owned();
    let proof = |method: &str, uri: &str, token: Option<&str>| {
        let jti = fresh_id();
        let occasion = Occasion { jti: &jti, now: now(), method, uri, token, nonce: None };
        occasion.prove(&world.runner.key).unwrap()
    };
    let by = assertion(world, &asks, &asking);
    let resource = format!("{authority}/mcp/billing");
    let pairs = [
        ("grant_type", EXCHANGE),
        ("client_assertion_type", ASSERTION),
        ("client_assertion", by.as_str()),
        ("subject_token", grant.as_str()),
        ("subject_token_type", "urn:bailiwick:token-type:grant"),
        ("actor_token", identity.as_str()),
        ("actor_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
        ("resource", resource.as_str()),
    ];
    let shown = proof("POST", &format!("{authority}/token"), None);
    let issued = form(world, "/token", &pairs, Some(&shown)).json();
    let token = issued["access_token"].as_str().expect("a token");
    let at = |path: &str, body: &Value, proof: &str| {
        let request = Request::post(path, body.to_string()).with("a2a-version", "1.0");
        let request = request.with("authorization", &format!("DPoP {token}"));
        billing.send(&request.with("dpop", proof))
    };
    let (rpc, http) = ("/a2a/billing", "/a2a/billing/tasks");
    let url = |path: &str| format!("{authority}{path}");
    let ask = |method: &str, params: Value| json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let body = ask("ListTasks", json!({}));
    let answer = at(rpc, &body, &proof("POST", &url(rpc), Some(token)));
    assert!(answer.json()["result"]["tasks"].is_array(), "{}", answer.text());
    let get = |proof: &str| {
        let request = Request::bare("GET", http).with("a2a-version", "1.0").with("dpop", proof);
        billing.send(&request.with("authorization", &format!("DPoP {token}")))
    };
    let answer = get(&proof("GET", &url(http), Some(token)));
    assert!(answer.json()["tasks"].is_array(), "{}", answer.text());
    // A proof for another address, and a bearer where nobody lists one.
    let answer = get(&proof("GET", &url(rpc), Some(token)));
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert!(answer.header("www-authenticate").is_some_and(|c| c.contains("invalid_token")));
    let bare = Request::post(rpc, body.to_string()).with("a2a-version", "1.0");
    let bare = billing.send(&bare.with("authorization", &format!("Bearer {token}")));
    assert_eq!(bare.status, 401, "{}", bare.text());
    // What has an effect wants a proof over the arguments.
    let send = ask("SendMessage", message("hello", json!({})));
    let answer = at(rpc, &send, &proof("POST", &url(rpc), Some(token))).json();
    assert_eq!(reason(&answer), "assurance-too-low", "{answer}");
    // Its evidence holds: the proof named the agent's endpoint.
    std::thread::sleep(std::time::Duration::from_millis(1200));
    let found = world.ok(&["audit", "query", "--tool", "a2a:billing:ListTasks"]);
    let action = found["actions"].as_array().unwrap().iter().find(|a| a["decision"] == "allow");
    let (trust, bundle) = (world.path("trust.json"), world.path("a2a.evidence.json"));
    world.ok(&["keys", "trust", "-o", &trust]);
    world.ok(&["evidence", "get", action.unwrap()["action"].as_str().unwrap(), "-o", &bundle]);
    let verified = world.run(&["evidence", "verify", &bundle, "--trust", &trust]);
    assert_eq!(verified.status, 0, "{}{}", verified.out, verified.err);
}
