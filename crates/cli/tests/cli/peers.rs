//! Two agents as programs: each a process with its own keys and its own socket,
//! an authority that knows both, and whoever is between them. Wiring: the binary
//! serving, the support desk, `connect` with its own tools for each agent, npm's
//! MCP client, and a proxy that keeps the bytes that went over the wire.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Child;

use bailiwick_testkit::World;
use bailiwick_testkit::present::{Chain, Holder};
use bailiwick_testkit::world::{RUNNER, command, free_port};
use serde_json::{Value, json};

use crate::EXE;
use crate::connect::{Spoken, npm};
use crate::records::entries;

mod attacks;
mod deputies;
mod domains;
mod federation;
mod proxy;
mod tls;

/// Who takes over.
const READER: &str = "agent:order-reader";

/// One agent: `connect` with its own tools, spoken to line by line.
struct Agent {
    spoken: Option<Spoken>,
    asked: u64,
}

impl Agent {
    fn start(world: &World, holder: &Holder, more: &[&str]) -> Self {
        let (url, key) = (world.endpoint(), holder.key_file());
        let mut command = command(Path::new(EXE), &holder.home);
        command.args(["connect", &url, "--key", &key, "--peers"]).args(more);
        let mut agent = Self { spoken: Some(Spoken::start(&mut command)), asked: 0 };
        agent.spoken.as_mut().unwrap().hello();
        agent
    }

    fn ask(&mut self, method: &str, params: &Value) -> Value {
        self.asked += 1;
        let (id, spoken) = (self.asked, self.spoken.as_mut().unwrap());
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        spoken.write(&message.to_string());
        loop {
            // What a server says uninvited stands between.
            let said = spoken.next();
            if said["id"] == id {
                return said;
            }
        }
    }

    fn call(&mut self, tool: &str, arguments: Value) -> Value {
        self.ask("tools/call", &json!({"name": tool, "arguments": arguments}))
    }

    /// What an own tool answers, which must be no error.
    fn done(&mut self, tool: &str, arguments: Value) -> Value {
        let answer = self.call(tool, arguments);
        assert_eq!(answer["result"]["isError"], false, "{answer}");
        answer["result"]["structuredContent"].clone()
    }

    /// The code with which an own tool refuses.
    fn refused(&mut self, tool: &str, arguments: Value) -> String {
        let answer = self.call(tool, arguments);
        assert_eq!(answer["result"]["isError"], true, "{answer}");
        let error = &answer["result"]["structuredContent"]["error"];
        error["code"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    fn tools(&mut self) -> Vec<String> {
        let answer = self.ask("tools/list", &json!({}));
        let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}"));
        tools.iter().map(|t| t["name"].as_str().unwrap().to_owned()).collect()
    }

    fn kill(mut self) {
        if let Some(mut spoken) = self.spoken.take() {
            end(&mut spoken.child);
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(spoken) = &mut self.spoken {
            end(&mut spoken.child);
        }
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// A free address on loopback.
fn address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

/// The taker, which has no chain and listens at `at`.
fn taker(world: &World, at: SocketAddr) -> Agent {
    Agent::start(world, &world.reader, &["--peer-listen", &at.to_string()])
}

/// The giver, which has the task and finds the taker at `at`.
fn giver(world: &World, chain: &Chain, at: SocketAddr) -> Agent {
    let peer = format!("{READER}=http://{at}");
    Agent::start(world, &world.runner, &["--chain", &chain.path(), "--peer", &peer])
}

/// An offer that is not waited for.
fn offering(purpose: &str) -> Value {
    json!({
        "agent": READER, "purpose": purpose, "tools": ["get_order"], "arguments": {"order_id": 10072},
        "context": [{"text": "the parcel never came", "source": "ticket 8821", "label": "ticket"}],
        "claims": [{"statement": "the ticket is of Mrs Purpose-Canary"}],
        "wait_seconds": 0,
    })
}

/// The first offer that waits at the taker.
fn offer(taker: &mut Agent) -> Value {
    let listed = taker.done("handoff_accept", json!({}));
    let first = listed["offers"][0].clone();
    assert!(first["handoff"].is_string(), "{listed}");
    first
}

fn decision(answer: &Value) -> String {
    let id = &answer["result"]["_meta"]["io.bailiwick/decision"]["id"];
    id.as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[test]
fn a_task_is_handed_over_worked_on_under_the_child_and_given_back_with_proof() {
    let world = World::new(EXE);
    let (chain, at) = (world.chain(), address());
    let (mut b, mut a) = (taker(&world, at), giver(&world, &chain, at));

    // Before anything was handed over the taker has an identity and nothing else.
    let me = b.done("whoami", json!({}));
    assert!(me["spiffe_id"].as_str().unwrap().contains("/agent/order-reader/"), "{me}");
    assert_eq!(me["delegation"], Value::Null);
    assert!(b.tools().iter().all(|tool| tool != "get_order"));
    let early = b.call("get_order", json!({"order_id": 10072}));
    assert_eq!(early["error"]["data"]["code"], "no-delegation", "{early}");
    // The giver's own tools stand beside the tool server's.
    let tools = a.tools();
    for tool in ["get_ticket", "whoami", "handoff_offer", "verify_peer"] {
        assert!(tools.iter().any(|t| t == tool), "{tools:?}");
    }
    let met = a.done("verify_peer", json!({"agent": READER}));
    assert_eq!((&met["verified"], &met["guarantee"]), (&json!(true), &json!("key")), "{met}");
    assert_eq!(met["spiffe_id"], me["spiffe_id"]);

    // A claim that rests on a recorded call, and one that does not.
    let seen = a.call("get_ticket", json!({"ticket_id": 8821}));
    let mut asked = offering("see what was ordered");
    asked["claims"] = json!([
        {"statement": "ticket 8821 is open", "decision": decision(&seen)},
        {"statement": "the customer is angry"},
    ]);
    let given = a.done("handoff_offer", asked);
    assert_eq!(given["status"], "offered", "{given}");
    let offered = offer(&mut b);
    assert_eq!(offered["handoff"], given["handoff"]);
    let said = &offered["peer_says"];
    assert_eq!(said["purpose"], "see what was ordered");
    assert_eq!(said["context"][0]["text"], "the parcel never came");
    let grades: Vec<&Value> =
        said["claims"].as_array().unwrap().iter().map(|c| &c["grade"]).collect();
    assert_eq!(grades, [&json!("proven"), &json!("signed")], "{offered}");

    let taken = b.done("handoff_accept", json!({"handoff": given["handoff"]}));
    assert_eq!(taken["status"], "accepted");
    assert_eq!(taken["delegation"]["handoff"], given["handoff"], "{taken}");
    assert!(b.tools().iter().any(|tool| tool == "get_order"));
    let order = b.call("get_order", json!({"order_id": 10072}));
    let cited = decision(&order);
    // It does what was handed over, and nothing else.
    let beyond = b.call("get_order", json!({"order_id": 10073}));
    assert_eq!(beyond["error"]["data"]["code"], "argument-not-delegated", "{beyond}");
    let beyond = b.call("get_ticket", json!({"ticket_id": 8821}));
    assert_eq!(beyond["error"]["data"]["code"], "tool-not-delegated", "{beyond}");

    let claims = json!([{"statement": "order 10072 is what it is", "decision": cited}]);
    let back = json!({"handoff": given["handoff"], "status": "done", "claims": claims});
    let returned = b.done("handoff_return", back.clone());
    assert_eq!(returned["delegation"], Value::Null, "{returned}");
    assert_eq!(b.refused("handoff_return", back), "handoff-unknown");
    let stands = a.done("handoff_status", json!({"handoff": given["handoff"], "wait_seconds": 20}));
    assert_eq!(stands["status"], "returned", "{stands}");
    assert_eq!(stands["peer_says"]["claims"][0]["grade"], "proven", "{stands}");
    let executed: Vec<String> = world.executed().into_iter().map(|call| call.tool).collect();
    assert_eq!(executed, ["get_ticket", "get_order"]);
    // The greeting and the one of the handoff; a matched pair, and what came back.
    for (kind, count) in [
        ("peer.handshake", 2),
        ("handoff.offered", 1),
        ("handoff.accepted", 1),
        ("handoff.returned", 1),
        ("peer.refused", 0),
    ] {
        assert_eq!(entries(&world, kind).len(), count, "{kind}");
    }
}

#[test]
fn an_offer_is_rejected_with_a_reason_and_the_latest_that_is_taken_counts() {
    let world = World::new(EXE);
    let (chain, at) = (world.chain(), address());
    let (mut b, mut a) = (taker(&world, at), giver(&world, &chain, at));
    let first = a.done("handoff_offer", offering("one"));
    let refused = json!({"handoff": first["handoff"], "reject": "not my work"});
    assert_eq!(b.done("handoff_accept", refused)["status"], "rejected");
    let stands = a.done("handoff_status", json!({"handoff": first["handoff"]}));
    assert_eq!(stands["status"], "rejected", "{stands}");
    let late = json!({"handoff": first["handoff"]});
    assert_eq!(b.refused("handoff_accept", late), "handoff-unknown");
    // Two tasks at once: the one that was taken last, and no mixture.
    let mut other = offering("two");
    other["arguments"] = json!({"order_id": 10073});
    let (one, two) = (a.done("handoff_offer", offering("one")), a.done("handoff_offer", other));
    b.done("handoff_accept", json!({"handoff": one["handoff"]}));
    b.done("handoff_accept", json!({"handoff": two["handoff"]}));
    assert_eq!(b.done("whoami", json!({}))["delegation"]["handoff"], two["handoff"]);
    let other = b.call("get_order", json!({"order_id": 10072}));
    assert_eq!(other["error"]["data"]["code"], "argument-not-delegated", "{other}");
}

#[test]
fn a_stock_client_meets_a_peer_and_hands_over() {
    let world = World::new(EXE);
    let (chain, at) = (world.chain(), address());
    let mut b = taker(&world, at);
    let (url, key, chain) = (world.endpoint(), world.runner.key_file(), chain.path());
    let peer = format!("{READER}=http://{at}");
    let line = [EXE, "connect", &url, "--chain", &chain, "--key", &key, "--peer", &peer];
    let calls = json!([
        {"tool": "whoami", "arguments": {}},
        {"tool": "verify_peer", "arguments": {"agent": READER}},
        {"tool": "handoff_offer", "arguments": offering("see what was ordered")},
        {"tool": "get_ticket", "arguments": {"ticket_id": 8821}},
    ]);
    for era in ["sessions", "stateless"] {
        let program = npm(era, &calls, &line);
        program.expect("connected");
        let tools = program.expect("tools")["tools"].to_string();
        assert!(tools.contains("handoff_offer") && tools.contains("get_ticket"), "{tools}");
        for _ in 0..4 {
            let result = program.expect("result");
            assert_eq!(result["is_error"], false, "{result}");
        }
        program.expect("done");
        let offered = offer(&mut b);
        assert_eq!(offered["guarantee"], "key");
        b.done("handoff_accept", json!({"handoff": offered["handoff"], "reject": "later"}));
    }
}

#[test]
fn programs_that_speak_no_mcp_do_the_same_over_a_socket() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new(EXE);
    let (chain, at) = (world.chain(), address());
    let mut a = giver(&world, &chain, at);
    let socket = world.reader.home.join("peers.sock");
    let (at, path) = (at.to_string(), socket.display().to_string());
    let _b = Agent::start(&world, &world.reader, &["--peer-listen", &at, "--peer-api", &path]);
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let ask = |operation: &str, arguments: Value| -> (String, Value) {
        let mut curl = std::process::Command::new("curl");
        let url = format!("http://localhost/{operation}");
        curl.args(["--silent", "--unix-socket", &path, "--write-out", "\n%{http_code}"]);
        let out = curl.args(["--data", &arguments.to_string(), &url]).output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (status.to_owned(), serde_json::from_str(body).unwrap_or_default())
    };
    let (status, me) = ask("whoami", json!({}));
    assert_eq!((status.as_str(), &me["delegation"]), ("200", &Value::Null), "{me}");
    let given = a.done("handoff_offer", offering("see what was ordered"));
    let (_, listed) = ask("handoff_accept", json!({}));
    assert_eq!(listed["offers"][0]["handoff"], given["handoff"], "{listed}");
    let (status, taken) = ask("handoff_accept", json!({"handoff": given["handoff"]}));
    assert_eq!((status.as_str(), &taken["status"]), ("200", &json!("accepted")), "{taken}");
    let (status, refused) = ask("handoff_accept", json!({"handof": "x"}));
    assert_eq!((status.as_str(), &refused["title"]), ("422", &json!("argument-malformed")));
    let back = json!({"handoff": given["handoff"], "status": "failed"});
    assert_eq!(ask("handoff_return", back).0, "200");
    assert_eq!(ask("tools", json!({})).0, "404");
}

/// The agent that gives is the runner in every test.
#[test]
fn a_peer_that_is_not_configured_is_not_guessed() {
    let world = World::new(EXE);
    let mut a = giver(&world, &world.chain(), address());
    assert_eq!(a.refused("verify_peer", json!({"agent": READER})), "peer-away");
    assert_eq!(a.refused("verify_peer", json!({"agent": "agent:other"})), "peer-address-unknown");
    assert_eq!(a.refused("verify_peer", json!({"agent": "order-reader"})), "peer-name");
    let elsewhere = json!({"agent": RUNNER, "url": "http://192.0.2.1:7001"});
    assert_eq!(a.refused("verify_peer", elsewhere), "peer-not-loopback");
    assert_eq!(a.refused("handoff_accept", json!({})), "peer-listen-missing");
}
