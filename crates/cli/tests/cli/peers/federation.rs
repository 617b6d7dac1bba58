//! Two trust domains: an agent of the second takes a task over from one of the first,
//! and acts at the first's gateway for as long as its own domain stands behind it.
//! Wiring: two installations that serve, the support desk, `connect` for each agent.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bailiwick_testkit::World;
use bailiwick_testkit::http::Request;
use bailiwick_testkit::present::{Call, Chain};
use bailiwick_testkit::world::{OWNER, READER, Setup};
use serde_json::{Value, json};

use super::{Agent, address, decision, offer};
use crate::EXE;
use crate::records::entries;

/// The taker, as its own domain and as the first one names it.
const TAKER: &str = "spiffe://b.example/agent/order-reader";
const NAMED: &str = "peer:b.example/agent/order-reader";
const GET_ORDER: &str = "mcp:support-desk:tools/get_order";

/// An installation whose trust domain is `b.example`.
fn second() -> World {
    World::with(EXE, &Setup { trust_domain: Some("b.example"), ..Setup::default() })
}

/// The table with which the first installation follows the second.
fn table(b: &World, more: &str) -> String {
    let url = &b.public_url;
    format!(
        "\n[[federates_with]]\nname = \"b.example\"\nissuer = \"{url}\"\nbundle = \"{url}/spiffe/bundle.json\"\n\
         revocations = \"{url}/spiffe/revocations\"\nowner = \"{OWNER}\"\nnetwork = \"inside\"\n{more}\n"
    )
}

/// Restarts the first with this at the end of its configuration.
fn configure(a: &mut World, table: &str) {
    let file = a.data.join("bailiwick.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.split("\n[[federates_with]]").next().unwrap_or_default().to_owned();
    std::fs::write(&file, text + table).unwrap();
    a.stop_serve();
    a.start_serve();
}

/// Lets the second's agent into the workflow, by the name that it has here.
fn admit(a: &World) {
    let workflow = std::fs::read_to_string(a.path("workflow.yaml")).unwrap();
    let workflow = workflow
        .replace("  - agent:order-reader\n", &format!("  - agent:order-reader\n  - {NAMED}\n"))
        .replace("version: \"1\"", "version: \"2\"");
    std::fs::write(a.path("workflow.yaml"), workflow).unwrap();
    a.ok(&["workflow", "publish", &a.path("workflow.yaml")]);
}

fn jwks(world: &World) -> Value {
    Request::bare("GET", "/jwks").send(world.address).unwrap().json()
}

/// A trust file at one of the two about `other`.
fn trust(at: &World, name: &str, other: (&World, &str), takes_over: bool) -> String {
    let (world, domain) = other;
    let mut entry = json!({
        "trust_domain": domain, "issuer": world.public_url, "jwks": jwks(world), "max_guarantee": "key",
    });
    if takes_over {
        entry["authority"] = json!(world.public_url);
    }
    let path = at.path(name);
    std::fs::write(&path, json!([entry]).to_string()).unwrap();
    path
}

/// The second's agent, which waits for offers of the first's at `at`.
fn taker(a: &World, b: &World, at: SocketAddr) -> Agent {
    let (file, at) = (trust(b, "a.json", (a, "bailiwick.local"), true), at.to_string());
    let more = ["--authority", &b.public_url, "--trust", &file, "--peer-listen", &at];
    Agent::start(a, &b.reader, &more)
}

/// The first's agent, which has the task.
fn giver(a: &World, b: &World, chain: &Chain, at: SocketAddr) -> Agent {
    let (file, peer) =
        (trust(a, "b.json", (b, "b.example"), false), format!("{TAKER}=http://{at}"));
    let more = ["--chain", &chain.path(), "--trust", &file, "--peer", &peer];
    Agent::start(a, &a.runner, &more)
}

fn offering(tools: &[&str]) -> Value {
    json!({
        "agent": TAKER, "purpose": "see what was ordered", "tools": tools,
        "arguments": {"order_id": 10072}, "seconds": 900, "wait_seconds": 0,
    })
}

fn code(answer: &Value) -> &str {
    answer["error"]["data"]["code"].as_str().unwrap_or("allowed")
}

/// Why the first denied, by its ledger: a caller who may be nobody is told little.
fn reason(a: &World, answer: &Value) -> String {
    if answer["error"].is_null() {
        return "allowed".to_owned();
    }
    let id = &answer["error"]["data"]["decision_id"];
    let decided = entries(a, "action.decided").into_iter().find(|e| e["action"] == *id);
    decided.and_then(|e| e["reason"].as_str().map(str::to_owned)).unwrap_or_default()
}

/// Calls until the answer is this.
fn until(a: &World, agent: &mut Agent, expected: &str) {
    let begun = Instant::now();
    loop {
        let answer = agent.call("get_order", json!({"order_id": 10072}));
        let found = reason(a, &answer);
        if found == expected {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{found} {answer}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Offers until the first knows what the second says; gives the answer.
fn offered(giver: &mut Agent, offering: &Value) -> Value {
    let begun = Instant::now();
    loop {
        let answer = giver.call("handoff_offer", offering.clone());
        let error = &answer["result"]["structuredContent"]["error"]["code"];
        let waits = error == "peer-domain-stale" || error == "wit-key-unknown";
        if !waits || begun.elapsed() > Duration::from_secs(30) {
            return answer;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn refused(answer: &Value) -> String {
    let error = &answer["result"]["structuredContent"]["error"];
    error["code"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[test]
fn an_agent_of_another_trust_domain_takes_over_and_acts_while_its_domain_stands_behind_it() {
    let (mut a, mut b) = (World::new(EXE), second());
    configure(&mut a, &table(&b, &format!("tools = [\"{GET_ORDER}\"]")));
    admit(&a);
    let (chain, at) = (a.chain(), address());
    let (mut taker, mut giver) = (taker(&a, &b, at), giver(&a, &b, &chain, at));
    let given = offered(&mut giver, &offering(&["get_order"]));
    assert_eq!(given["result"]["structuredContent"]["status"], "offered", "{given}");
    let waiting = offer(&mut taker);
    let taken = taker.done("handoff_accept", json!({"handoff": waiting["handoff"]}));
    assert_eq!(taken["status"], "accepted", "{taken}");

    // It does what was handed over, under its own name, and nothing else.
    let order = taker.call("get_order", json!({"order_id": 10072}));
    let decided = decision(&order);
    let beyond = taker.call("get_order", json!({"order_id": 10073}));
    assert_eq!(code(&beyond), "argument-not-delegated", "{beyond}");
    let decisions = entries(&a, "action.decided");
    let by_it = decisions.iter().filter(|e| e["agent"] == NAMED).count();
    assert_eq!(by_it, 2, "{decisions:?}");

    // Whoever has the bundle and the trust file needs neither domain.
    let (bundle, file) = (a.path("action.bundle"), a.path("trust.json"));
    a.ok(&["evidence", "get", &decided, "-o", &bundle]);
    a.ok(&["keys", "trust", "-o", &file]);
    let read: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    let domains: Vec<&Value> =
        read["identities"].as_array().unwrap().iter().map(|k| &k["trust_domain"]).collect();
    assert!(domains.contains(&&json!("b.example")), "{read}");
    let proved = a.ok(&["evidence", "verify", &bundle, "--trust", &file]);
    assert!(proved.to_string().contains(NAMED), "{proved}");

    // Suspended in its own domain: denied here, and back when it is back.
    b.ok(&["agent", "suspend", READER]);
    until(&a, &mut taker, "agent-inactive");
    b.ok(&["agent", "resume", READER]);
    until(&a, &mut taker, "allowed");
    // Its domain says nothing any more: it counts for nothing.
    b.stop_serve();
    until(&a, &mut taker, "peer-domain-stale");
    b.start_serve();
    until(&a, &mut taker, "allowed");
    // An agent here of the same path is another one.
    a.ok(&["agent", "suspend", READER]);
    until(&a, &mut taker, "allowed");
    // Not configured any more.
    configure(&mut a, "");
    until(&a, &mut taker, "key-not-enrolled");
}

#[test]
fn nothing_goes_to_another_trust_domain_that_is_not_configured_or_not_named() {
    let (mut a, b) = (World::new(EXE), second());
    let (chain, at) = (a.chain(), address());
    let (_taker, mut giver) = (taker(&a, &b, at), giver(&a, &b, &chain, at));
    // The two believe each other; the authority does not.
    let answer = giver.call("handoff_offer", offering(&["get_order"]));
    assert_eq!(refused(&answer), "peer-trust-domain-unknown", "{answer}");
    // No tools unless they are listed.
    configure(&mut a, &table(&b, ""));
    let answer = offered(&mut giver, &offering(&["get_order"]));
    assert_eq!(refused(&answer), "peer-tools", "{answer}");
    // The workflow names a local agent of the same path: that is another one.
    configure(&mut a, &table(&b, &format!("tools = [\"{GET_ORDER}\"]")));
    let answer = offered(&mut giver, &offering(&["get_order"]));
    assert_eq!(refused(&answer), "handoff-reach", "{answer}");
    assert!(entries(&a, "handoff.offered").is_empty());
}

#[test]
fn a_foreign_anchor_speaks_for_no_principal() {
    let (mut a, b) = (World::new(EXE), second());
    configure(&mut a, &table(&b, &format!("tools = [\"{GET_ORDER}\"]")));
    let chain = a.chain();
    // A root for the principal here, by the other domain's issuer: as itself, and as
    // ours.
    for issuer in [&b.public_url, &a.public_url] {
        let forged = chain.reissued(&b.issuer_key(), |claims| {
            claims.insert("iss", issuer.as_str());
        });
        let call = Call::new(&forged, &a.runner.key, "get_ticket", json!({"ticket_id": 8821}));
        let answer = a.send(&call).json();
        let said = reason(&a, &answer);
        assert!(["issuer-untrusted", "signature-invalid"].contains(&said.as_str()), "{said}");
    }
    assert!(a.executed().is_empty());
    let wished = table(&b, "principals = [\"user:142\"]");
    let file = a.data.join("bailiwick.toml");
    let text = std::fs::read_to_string(&file).unwrap() + &wished;
    std::fs::write(&file, text).unwrap();
    let answer = a.run(&["config", "check"]);
    assert_ne!(answer.status, 0);
    assert!(
        answer.err.contains("never for a principal")
            || answer.out.contains("never for a principal")
    );
}

#[test]
fn an_unknown_owner_or_tool_is_refused_before_anything_is_followed() {
    let (a, b) = (World::new(EXE), second());
    let file = a.data.join("bailiwick.toml");
    let plain = std::fs::read_to_string(&file).unwrap();
    let checked = |table: &str| {
        std::fs::write(&file, format!("{plain}{table}")).unwrap();
        a.run(&["config", "check"]).status
    };
    assert_eq!(checked(&table(&b, &format!("tools = [\"{GET_ORDER}\"]"))), 0);
    assert_ne!(checked(&table(&b, "tools = [\"mcp:support-desk:tools/no_such\"]")), 0);
    assert_ne!(checked(&table(&b, "").replace(OWNER, "user:nobody")), 0);
    let named = a.run(&["agent", "add", NAMED, "--owner", OWNER]);
    assert!(format!("{}{}", named.out, named.err).contains("agent-elsewhere"));
}
