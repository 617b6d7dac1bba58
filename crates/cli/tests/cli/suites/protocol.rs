//! The server scenarios of the Model Context Protocol's conformance suite, both
//! eras: run against a tool server, and against the same one behind the gateway.
//! What the suite says of the one it must say of the other, check by check.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};

use bailiwick_testkit::World;
use bailiwick_testkit::present::Chain;
use bailiwick_testkit::world::{RUNNER, command, free_port};
use serde_json::{Value, json};

use super::node;
use crate::EXE;
use crate::connect::Spoken;
use crate::stock_clients::{Program, clients};

/// Scenarios that the suite runs besides those that a revision requires, and that
/// are compared too.
const MORE: [&str; 15] = [
    "http-custom-header-server-validation",
    "http-header-validation",
    "json-schema-2020-12",
    "server-session-lifecycle",
    "server-sse-polling",
    "tasks-capability-negotiation",
    "tasks-dispatch-and-envelope",
    "tasks-lifecycle",
    "tasks-mrtr-composition",
    "tasks-mrtr-input",
    "tasks-request-headers",
    "tasks-request-state-removal",
    "tasks-required-task-error",
    "tasks-status-notifications",
    "tasks-wire-fields",
];

fn suite() -> Command {
    let mut command = Command::new(node());
    command.arg(clients().join("node_modules/@modelcontextprotocol/conformance/dist/index.js"));
    command
}

/// The scenarios that a revision requires of a server, as the suite lists them.
fn required(revision: &str) -> BTreeSet<String> {
    let listed = suite().args(["list", "--requirements", revision]).output().unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    let of_servers = text.split("Server scenarios").nth(1).unwrap();
    let of_servers = of_servers.split("\n\n").next().unwrap();
    of_servers
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- "))
        .map(str::to_owned)
        .collect()
}

/// What was found: by scenario, id and name of a check, its statuses in order.
type Checks = BTreeMap<(String, String, String), Vec<String>>;

/// Runs everything that the suite has for a revision.
fn run(url: &str, revision: &str, out: &Path) -> Checks {
    let ran = suite()
        .args(["server", "--url", url, "--requirements", revision, "-o"])
        .arg(out)
        .stdout(Stdio::null())
        .status()
        .expect("the suite runs");
    eprintln!("{url} {revision}: {ran}");
    let mut checks = Checks::new();
    for folder in std::fs::read_dir(out).expect("it wrote its results") {
        let folder = folder.unwrap();
        // `server-<scenario>-<time>`, the time from its year on.
        let name = folder.file_name().into_string().unwrap();
        let scenario = name.strip_prefix("server-").unwrap();
        let scenario = scenario.get(..scenario.len() - "-2026-11-27T03-26-32-840Z".len()).unwrap();
        let text = std::fs::read(folder.path().join("checks.json")).unwrap();
        let found: Vec<Value> = serde_json::from_slice(&text).unwrap();
        for check in found {
            let text = |member: &str| check[member].as_str().unwrap_or_default().to_owned();
            if text("status") == "FAILURE" {
                eprintln!("  {scenario} {}: {}", text("id"), text("errorMessage"));
            }
            let key = (scenario.to_owned(), text("id"), text("name"));
            checks.entry(key).or_default().push(text("status"));
        }
    }
    checks
}

/// A part of the conformance suite's server.
const SOME: &str = r#"  some:
    tools:
      everything/test_trigger_tool_change: any
      everything/test_trigger_prompt_change: any
      everything/test_headers: any
      "mcp:everything:resources/read": {uri: "test://watched-resource"}
"#;

/// The proposed workflow, rated by somebody who knows that this server harms
/// nobody, with all of it under one shorthand.
fn rated(proposed: &str) -> String {
    let (head, _) = proposed.split_once("\nshorthands:").unwrap();
    let mut tools = Vec::new();
    for line in head.lines() {
        let name = line.trim().split_once(": {risk: high").map(|(name, _)| name.trim_matches('"'));
        match name {
            Some(name) if line.contains("effect") => tools.push(format!("everything/{name}: any")),
            Some(name) => tools.push(format!("\"mcp:everything:prompts/{name}\": any")),
            None => {}
        }
    }
    let tools: Vec<_> = tools.iter().filter(|tool| !tool.contains("prompts/resources")).collect();
    let tools: String = tools.iter().map(|tool| format!("      {tool}\n")).collect();
    let head = head
        .replace("{risk: high, effect: write}", "{risk: low, effect: read}")
        .replace("{risk: high}", "{risk: low}")
        .replace("agent:everything-runner", RUNNER)
        .replace("max_depth: 1", "max_depth: 3")
        .replace("max_calls: 100", "max_calls: 10000")
        .replace(
            "  everything:\n",
            "  everything:\n    task_seconds: 600\n    questions: [elicitation, roots, sampling]\n",
        );
    let all = format!("  all:\n    tools:\n{tools}      \"mcp:everything:resources/read\": any\n");
    let some = match tools.contains("test_trigger_tool_change") {
        true => SOME,
        false => "",
    };
    format!("{head}\nshorthands:\n{all}{some}")
}

/// The server and a world whose gateway stands before it; gives both addresses.
fn stand() -> (World, Program, Spoken, [String; 2]) {
    let (server, direct) = everything();
    let (world, connect, through, _) = before(&direct, "all");
    (world, server, connect, [direct, through])
}

/// The conformance suite's server, and its address.
pub(super) fn everything() -> (Program, String) {
    let port = free_port();
    let mut server = Command::new(node());
    let server = Program::start(server.arg(clients().join("everything.mjs")).arg(port.to_string()));
    server.expect("ready");
    (server, format!("http://127.0.0.1:{port}/mcp"))
}

/// A world whose gateway stands before a server, the address of its stand-in,
/// and the delegation of this scope that it presents.
pub(super) fn before(direct: &str, scope: &str) -> (World, Spoken, String, Chain) {
    let world = World::new(EXE);
    let file = world.path("everything.yaml");
    world.ok(&["catalogue", "learn", "everything", "--url", direct, "--out", &file]);
    let text = rated(&std::fs::read_to_string(&file).unwrap());
    std::fs::write(&file, text).unwrap();
    world.ok(&["workflow", "publish", &file]);
    let chain = world.delegate(&[scope], &["--workflow", "everything"]);
    let url = format!("{}/mcp/everything", world.public_url);
    let mut connect = command(Path::new(EXE), world.base.path());
    connect.args(["--json", "connect", &url, "--chain", &chain.path()]);
    connect.args(["--key", &world.runner.key_file(), "--listen", "127.0.0.1:0"]);
    let mut connect = Spoken::start(&mut connect);
    let through = connect.next()["url"].as_str().expect("an endpoint").to_owned();
    (world, connect, through, chain)
}

#[test]
fn a_stock_client_resumes_its_stream_and_hears_what_a_stock_server_says() {
    let port = free_port();
    let mut server = Command::new(node());
    server
        .arg(clients().join("node_modules/@modelcontextprotocol/server-everything/dist/index.js"));
    let _server = Program::start(server.arg("streamableHttp").env("PORT", port.to_string()));
    let begun = std::time::Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(begun.elapsed().as_secs() < 60, "the server starts");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    let direct = format!("http://127.0.0.1:{port}/mcp");
    let (mut world, mut connect, through, _) = before(&direct, "all");
    let mut client = Command::new(node());
    let client = Program::start(client.arg(clients().join("streams.mjs")).arg(&through));
    let mut checks = 0;
    loop {
        let said = client.next();
        match said["event"].as_str() {
            Some("check") => assert_eq!(said["ok"], true, "{said}"),
            Some("done") => break,
            _ => panic!("{said}"),
        }
        checks += 1;
    }
    assert_eq!(checks, 6);
    drop(connect.child.kill());
    world.stop_serve();
    // The call that went on as a task is on record with what it came to.
    let found = world.ok(&["audit", "query", "--tool", "simulate-research-query"]);
    let actions = found["actions"].as_array().expect("actions");
    assert_eq!(actions.len(), 1, "{found}");
    let record = world.recorded(actions[0]["action"].as_str().expect("an id"));
    assert_eq!((&record["decision"], &record["outcome"]), (&json!("allow"), &json!("ok")));
}

#[test]
fn the_suite_finds_the_same_through_the_gateway_as_without_it() {
    let (mut world, _server, mut connect, urls) = stand();
    let (mut differences, mut compared) = (Vec::new(), 0);
    for revision in ["2025-11-25", "2026-07-28"] {
        let required = required(revision);
        assert!(required.len() >= 30, "{required:?}");
        let [direct, through] = [(&urls[0], "direct"), (&urls[1], "through")].map(|(url, way)| {
            let out = world.base.path().join(format!("{way}-{revision}"));
            let mut checks = run(url, revision, &out);
            checks.retain(|(name, ..), _| required.contains(name) || MORE.contains(&&**name));
            checks
        });
        let ran: BTreeSet<_> = direct.keys().map(|(scenario, ..)| scenario.clone()).collect();
        assert!(required.is_subset(&ran), "not run: {:?}", required.difference(&ran));
        let all: BTreeSet<_> = direct.keys().chain(through.keys()).collect();
        compared += all.len();
        for key in all {
            let (without, with) = (direct.get(key), through.get(key));
            if without != with {
                differences.push(format!("{revision} {key:?}: {without:?} became {with:?}"));
            }
            // Two servers that fail alike prove nothing.
            if required.contains(&key.0) || key.0.starts_with("tasks-") {
                let failed = without.is_some_and(|s| s.iter().any(|status| status == "FAILURE"));
                assert!(!failed, "{key:?} fails without the gateway");
            }
        }
    }
    eprintln!("{compared} checks compared");
    assert!(compared > 200, "{compared}");
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    drop(connect.child.kill());
    world.stop_serve();
}

#[test]
fn a_client_on_standard_streams_hears_questions_and_its_answers_arrive() {
    let (mut world, _server, mut http, urls) = stand();
    drop(http.child.kill());
    let chain = world.delegate(&["all"], &["--workflow", "everything"]);
    let url = format!("{}/mcp/everything", world.public_url);
    let mut connect = command(Path::new(EXE), world.base.path());
    connect.args(["connect", &url, "--chain", &chain.path(), "--key", &world.runner.key_file()]);
    let mut client = Spoken::start(&mut connect);
    let opened = client.ask(&json!({
        "jsonrpc": "2.0", "id": "hello", "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}},
            "clientInfo": {"name": "t", "version": "1"}},
    }));
    assert_eq!(opened["result"]["serverInfo"]["name"], "everything", "{urls:?} {opened}");
    client.write(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    let question = client.call(1, "test_elicitation", json!({"message": "Who are you?"}));
    assert_eq!(question["method"], "elicitation/create", "{question}");
    assert_eq!(question["params"]["message"], "Who are you?");
    let content = json!({"username": "me", "email": "me@example.com"});
    let answered = client.ask(&json!({
        "jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept", "content": content},
    }));
    assert_eq!(answered["id"], 1, "{answered}");
    assert!(answered["result"]["content"][0]["text"].as_str().unwrap().contains("me@example.com"));
    // What this client does not offer is not asked of it.
    let none = client.call(2, "test_sampling", json!({"prompt": "p"}));
    assert_eq!((&none["id"], &none["result"]["isError"]), (&json!(2), &json!(true)), "{none}");
    assert_eq!(client.close().0, Some(0));
    world.stop_serve();
}
