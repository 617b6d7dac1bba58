//! `connect`: an unchanged client on standard streams, the gateway behind it.
//! Wiring: the binary serving, the support desk, `connect` started by npm's and
//! PyPI's MCP client or spoken to line by line.

use std::io::{BufRead as _, BufReader, Lines, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use bailiwick_testkit::World;
use bailiwick_testkit::world::{RUNNER, command};
use serde_json::{Value, json};

use crate::EXE;
use crate::stock_clients::{Program, clients};

/// npm's client, which starts `line`.
pub(crate) fn npm(era: &str, calls: &Value, line: &[&str]) -> Program {
    let mut command = Command::new("node");
    command.arg(clients().join("stdio_client.mjs")).arg(era).arg(calls.to_string()).args(line);
    Program::start(&mut command)
}

/// PyPI's client, which starts `line`.
pub(crate) fn pypi(calls: &Value, line: &[&str]) -> Program {
    let mut command = Command::new(clients().join("venv/bin/python"));
    command.arg(clients().join("stdio_client.py")).arg(calls.to_string()).args(line);
    Program::start(&mut command)
}

/// A stand-in that is spoken to line by line.
pub(crate) struct Spoken {
    pub(crate) child: Child,
    to: Option<ChildStdin>,
    said: Lines<BufReader<ChildStdout>>,
}

impl Spoken {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { to: child.stdin.take(), child, said }
    }

    pub(crate) fn write(&mut self, line: &str) {
        // Who does not read to the end is judged by its answer.
        let _ = writeln!(self.to.as_mut().unwrap(), "{line}");
    }

    /// The next line, which must be one message.
    pub(crate) fn next(&mut self) -> Value {
        let line = self.said.next().expect("a line").unwrap();
        serde_json::from_str(&line).expect("JSON and nothing else")
    }

    pub(crate) fn ask(&mut self, message: &Value) -> Value {
        self.write(&message.to_string());
        self.next()
    }

    pub(crate) fn hello(&mut self) -> Value {
        let answer = self.ask(&json!({
            "jsonrpc": "2.0", "id": "hello", "method": "initialize",
            "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
        }));
        self.write(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        answer
    }

    pub(crate) fn call(&mut self, id: u64, tool: &str, arguments: Value) -> Value {
        self.ask(&json!({
            "jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": {"name": tool, "arguments": arguments},
        }))
    }

    /// Closes its input; gives its status and what it logged.
    pub(crate) fn close(mut self) -> (Option<i32>, String) {
        self.to = None;
        self.rest()
    }

    pub(crate) fn rest(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        let mut err = self.child.stderr.take().unwrap();
        std::io::Read::read_to_string(&mut err, &mut log).unwrap();
        assert_eq!(self.said.by_ref().map_while(Result::ok).count(), 0, "nothing more is said");
        (self.child.wait().unwrap().code(), log)
    }
}

pub(crate) fn connect<'a>(url: &'a str, chain: &'a str, key: &'a str) -> Vec<&'a str> {
    vec![EXE, "connect", url, "--chain", chain, "--key", key]
}

fn spoken(world: &World, line: &[&str]) -> Spoken {
    let mut command = command(Path::new(EXE), world.base.path());
    Spoken::start(command.args(&line[1..]))
}

fn calls() -> Value {
    json!([
        {"tool": "get_ticket", "arguments": {"ticket_id": 8821}},
        {"tool": "get_ticket", "arguments": {"ticket_id": 9000}},
    ])
}

/// What an unchanged client sees: its tools, an answer, a denial.
fn plays(program: &Program) {
    program.expect("connected");
    let tools = program.expect("tools")["tools"].clone();
    assert!(tools.as_array().unwrap().iter().any(|t| t == "get_ticket"), "{tools}");
    assert!(tools.as_array().unwrap().iter().all(|t| t != "search_customers"), "{tools}");
    let allowed = program.expect("result");
    assert_eq!(allowed["is_error"], false, "{allowed}");
    let refused = program.expect("refused");
    assert_eq!(refused["code"], -32040, "{refused}");
    assert_eq!(refused["data"]["code"], "argument-not-delegated", "{refused}");
    assert!(refused["data"]["decision_id"].is_string(), "{refused}");
    program.expect("done");
}

#[test]
fn unchanged_clients_call_through_connect_and_hear_denials_as_the_gateway_says_them() {
    let mut world = World::new(EXE);
    let (url, chain, key) = (world.endpoint(), world.chain().path(), world.runner.key_file());
    let line = connect(&url, &chain, &key);
    for era in ["sessions", "stateless", "auto"] {
        plays(&npm(era, &calls(), &line));
    }
    plays(&pypi(&calls(), &line));
    let executed: Vec<String> = world.executed().into_iter().map(|call| call.tool).collect();
    assert_eq!(executed, ["get_ticket"; 4]);
    // Every one of them is proved over tool and arguments.
    let entries = world.ok(&["audit", "query"]).to_string();
    assert!(entries.contains("argument-not-delegated"), "{entries}");
    world.stop_serve();
}

#[test]
fn unchanged_clients_over_http_use_the_endpoint_that_connect_makes() {
    let mut world = World::new(EXE);
    let (url, chain, key) = (world.endpoint(), world.chain().path(), world.runner.key_file());
    let mut command = command(Path::new(EXE), world.base.path());
    command.arg("--json").args(&connect(&url, &chain, &key)[1..]);
    let mut spoken = Spoken::start(command.args(["--listen", "127.0.0.1:0"]));
    let endpoint = spoken.next()["url"].as_str().expect("an endpoint").to_owned();
    for era in ["sessions", "stateless", "auto"] {
        plays(&npm(era, &calls(), &[&endpoint]));
    }
    let executed: Vec<String> = world.executed().into_iter().map(|call| call.tool).collect();
    assert_eq!(executed, ["get_ticket"; 3]);
    // Who does not know the secret, and pages of other sites, get nothing.
    let (origin, path) = endpoint.split_at(endpoint.find("/mcp/").unwrap());
    let (host, secret) = origin.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let address: std::net::SocketAddr = host.parse().unwrap();
    let asked = |path: String, name: &str, value: &str| {
        let request = bailiwick_testkit::http::Request::post(path, "{}");
        request.with(name, value).send(address).unwrap().status
    };
    let other = "a".repeat(secret.len());
    assert_eq!(asked(format!("/{other}{path}"), "x", "y"), 404);
    assert_eq!(asked(format!("/{secret}/mcp/other"), "x", "y"), 404);
    assert_eq!(asked(format!("/{secret}{path}"), "origin", "http://evil.example"), 403);
    assert_eq!(asked(format!("/{secret}{path}"), "x", "y"), 400);
    drop(spoken.child.kill());
    world.stop_serve();
}

#[test]
fn a_session_goes_on_under_a_renewed_root_and_ends_with_the_grant() {
    let world = World::new(EXE);
    let (signer, file) = (world.principal_key(), world.path("granted.json"));
    let what = ["delegate", "--agent", RUNNER, "--purpose", "p", "--scope", "ticket:8821"];
    let more = ["--for", "16s", "--key", &signer, "--out", &file];
    let granted = world.ok(&[&what[..], &more[..]].concat());
    let grant = granted["grant"].as_str().expect("a grant").to_owned();
    let folder = world.base.path().join("agent");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(world.runner.key_file(), folder.join("instance.key")).unwrap();
    let (url, dir) = (world.endpoint(), folder.display().to_string());
    let line = [EXE, "connect", &url, "--agent-dir", &dir, "--grant", &grant];
    let mut spoken = spoken(&world, &line);
    assert_eq!(spoken.hello()["result"]["serverInfo"]["name"], "support-desk");
    let allowed =
        |answer: &Value| answer["result"]["_meta"]["io.bailiwick/decision"]["id"].is_string();
    let first = spoken.call(1, "get_ticket", json!({"ticket_id": 8821}));
    assert!(allowed(&first), "{first}");
    std::thread::sleep(Duration::from_secs(10));
    let second = spoken.call(2, "get_ticket", json!({"ticket_id": 8821}));
    assert!(allowed(&second), "{second}");
    std::thread::sleep(Duration::from_secs(13));
    let late = spoken.call(3, "get_ticket", json!({"ticket_id": 8821}));
    assert_eq!(late["id"], 3);
    assert!(late["error"]["code"].is_i64(), "{late}");
    let (status, log) = spoken.close();
    assert_eq!(status, Some(0), "{log}");
    assert!(log.contains("the delegation is renewed"), "{log}");
    assert!(log.contains("opened another session"), "{log}");
    assert!(log.contains("renewed no more"), "{log}");
    assert_eq!(world.executed().len(), 2);
    // A grant that does not stand is told before a client waits for anything.
    let mut command = command(Path::new(EXE), world.base.path());
    let refused = bailiwick_testkit::Answer::of(command.args(&line[1..]));
    assert_eq!(refused.status, 1, "{}", refused.err);
    assert!(refused.out.is_empty(), "standard output is the client's: {}", refused.out);
}

#[test]
fn what_a_client_writes_wrong_is_answered_and_its_end_is_the_end() {
    let world = World::new(EXE);
    let (url, chain, key) = (world.endpoint(), world.chain().path(), world.runner.key_file());
    let mut spoken = spoken(&world, &connect(&url, &chain, &key));
    for (line, code) in [
        ("hello", -32700),
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, -32700),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"no/such"}"#, -32601),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#, -32600),
    ] {
        spoken.write(line);
        let answer = spoken.next();
        assert_eq!(answer["error"]["code"], code, "{line}: {answer}");
    }
    assert!(spoken.hello()["result"].is_object());
    // What the client claims to present is replaced by what is held here.
    let forged = spoken.ask(&json!({
        "jsonrpc": "2.0", "id": 7, "method": "tools/call",
        "params": {"name": "get_ticket", "arguments": {"ticket_id": 8821}, "_meta": {"io.bailiwick/presentation": {"aat_chain": ["x"], "aat_pop": "y"}}},
    }));
    assert_eq!(forged["result"]["isError"], false, "{forged}");
    // Its session ends at the gateway as well.
    let (status, log) = spoken.close();
    assert_eq!(status, Some(0), "{log}");
    assert!(!log.contains("may still be open"), "{log}");
    // A line without end is cut off.
    let mut spoken = self::spoken(&world, &connect(&url, &chain, &key));
    spoken.write(&"x".repeat(2 << 20));
    assert_eq!(spoken.next()["error"]["code"], -32600);
    assert_eq!(spoken.rest().0, Some(0));
}

#[test]
fn a_gateway_that_is_away_is_an_error_and_the_client_goes_on_when_it_is_back() {
    let mut world = World::new(EXE);
    let (url, chain, key) = (world.endpoint(), world.chain().path(), world.runner.key_file());
    let mut spoken = spoken(&world, &connect(&url, &chain, &key));
    assert!(spoken.hello()["result"].is_object());
    world.kill_serve();
    let away = spoken.call(1, "get_ticket", json!({"ticket_id": 8821}));
    assert_eq!(away["error"]["data"]["code"], "gateway-unreachable", "{away}");
    world.start_serve();
    // The gateway forgot the session; the client knows none.
    let back = spoken.call(2, "get_ticket", json!({"ticket_id": 8821}));
    assert_eq!(back["result"]["isError"], false, "{back}");
    let pid = spoken.child.id().to_string();
    let began = Instant::now();
    assert!(Command::new("kill").arg(&pid).status().unwrap().success());
    assert_eq!(spoken.rest().0, Some(0), "SIGTERM ends it in good order");
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(world.executed().len(), 1);
}

#[test]
fn what_connect_lacks_is_said_on_standard_error() {
    let world = World::new(EXE);
    let (url, chain, key) = (world.endpoint(), world.chain().path(), world.runner.key_file());
    for (line, code) in [
        (vec!["connect", &url], "no-key"),
        (vec!["connect", &url, "--key", &key], "no-chain"),
        (
            vec!["connect", "http://gate.example.com/mcp/x", "--key", &key, "--chain", &chain],
            "endpoint-url",
        ),
        (vec!["connect", &url, "--key", &chain, "--chain", &chain], "key-file-malformed"),
    ] {
        let mut command = command(Path::new(EXE), world.base.path());
        let answer = bailiwick_testkit::Answer::of(command.args(&line));
        assert_eq!(answer.status, 2, "{line:?}: {}", answer.err);
        assert!(answer.err.contains(&format!("[{code}]")), "{line:?}: {}", answer.err);
        assert!(answer.out.is_empty(), "{}", answer.out);
    }
}
