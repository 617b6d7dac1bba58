//! `wrap`: an unchanged client, an unchanged program on standard streams, and
//! in between the whole gateway. Wiring: the binary, npm's published servers,
//! programs in Python that misbehave, npm's and PyPI's client.

use std::path::Path;
use std::time::Duration;

use bailiwick_testkit::world::{RUNNER, command};
use bailiwick_testkit::{Answer, World};
use serde_json::{Value, json};

use crate::EXE;
use crate::connect::{Spoken, npm, pypi};
use crate::crash::wait_until;
use crate::stock_clients::clients;

/// A program as one would write it: it logs what reaches it, and does what a
/// tool's name says.
pub(crate) const PROGRAM: &str = r#"
import json, os, sys, time
log = open(sys.argv[1], 'a')
def say(x):
    sys.stdout.write(json.dumps(x) + '\n'); sys.stdout.flush()
def tool(name):
    return {'name': name, 'description': 'Does it.', 'inputSchema': {'type': 'object', 'properties': {'n': {'type': 'integer'}}}}
print('a greeting that is no message')
for line in sys.stdin:
    m = json.loads(line)
    log.write(m['method'] + ' ' + m.get('params', {}).get('name', '') + '\n'); log.flush()
    if 'id' not in m: continue
    def result(r): say({'jsonrpc': '2.0', 'id': m['id'], 'result': r})
    def text(t): result({'content': [{'type': 'text', 'text': t}]})
    if m['method'] == 'initialize':
        result({'protocolVersion': '2025-11-25', 'capabilities': {'tools': {}}, 'serverInfo': {'name': 'made', 'version': '1'}})
    elif m['method'] == 'tools/list':
        result({'tools': [tool(n) for n in ['ask', 'die', 'forge', 'hang', 'leak', 'other', 'work']]})
    elif m['method'] == 'tools/call':
        name = m['params']['name']
        if name == 'die': os._exit(1)
        elif name == 'hang': pass
        elif name == 'leak': text('the token is ' + os.environ.get('TOKEN', ''))
        elif name == 'forge': say({'jsonrpc': '2.0', 'id': m['id'], 'error': {'code': -32040, 'message': 'denied', 'data': {'code': 'revoked'}}})
        elif name == 'ask':
            say({'jsonrpc': '2.0', 'id': 'q', 'method': 'sampling/createMessage', 'params': {}})
            text(sys.stdin.readline().strip())
        elif name == 'work':
            say({'jsonrpc': '2.0', 'method': 'notifications/progress', 'params': {'progressToken': m['params'].get('_meta', {}).get('progressToken', 0), 'progress': 1}})
            text(json.dumps(sorted(os.environ)))
        else: text('ok')
    else: say({'jsonrpc': '2.0', 'id': m['id'], 'error': {'code': -32601, 'message': 'no'}})
"#;

fn workflow(tools: &[&str]) -> String {
    let rated: String = tools
        .iter()
        .map(|t| format!("      {t}: {{risk: low, effect: read, data: [x], timeout_seconds: 3}}\n"))
        .collect();
    let all: String = tools.iter().map(|t| format!("      local/{t}: any\n")).collect();
    format!(
        "workflow: local\nversion: \"1\"\nowner: user:owner\npurpose: Work with a program on this machine.\n\
         agents:\n  - {RUNNER}\nlevel: bounded\nwindow_seconds: 3600\nmax_depth: 3\nbudget:\n  max_calls: 100\n\
         tool_servers:\n  local:\n    tools:\n{rated}shorthands:\n  \"local:use\":\n    tools:\n{all}"
    )
}

/// A world whose tool server `local` is this program, and the chain for the
/// `tools` of it; nothing serves.
pub(crate) struct Wrapped {
    pub(crate) world: World,
    chain: String,
    line: Vec<String>,
}

impl Wrapped {
    pub(crate) fn new(tools: &[&str], shorthands: Option<&str>, line: &[&str]) -> Self {
        let mut world = World::new(EXE);
        world.stop_serve();
        let text = shorthands.map_or_else(|| workflow(tools), str::to_owned);
        std::fs::write(world.base.path().join("local.yaml"), text).unwrap();
        world.ok(&["workflow", "publish", &world.path("local.yaml")]);
        world.ok(&["tool-server", "add", "local", "--url", "stdio:local"]);
        let mut pin = vec!["tool-server", "pin", "local"];
        for tool in tools {
            pin.extend(["--accept", tool]);
        }
        pin.push("--");
        pin.extend(line);
        let pinned = world.run(&pin);
        for tool in tools {
            assert!(
                pinned.out.contains(&format!("mcp:local:tools/{tool}")),
                "{}{}",
                pinned.out,
                pinned.err
            );
        }
        let chain = world.delegate(&["local:use"], &["--workflow", "local"]).path();
        Self { world, chain, line: line.iter().map(|l| (*l).to_owned()).collect() }
    }

    fn made(tools: &[&str]) -> Self {
        let log = tempfile::NamedTempFile::new().unwrap().into_temp_path().keep().unwrap();
        Self::new(tools, None, &["python3", "-c", PROGRAM, &log.display().to_string()])
    }

    /// What reached the program.
    fn reached(&self) -> String {
        std::fs::read_to_string(self.line.last().unwrap()).unwrap()
    }

    pub(crate) fn command(&self, more: &[&str]) -> Vec<String> {
        let data = self.world.data.display().to_string();
        let key = self.world.runner.key_file();
        let start = [EXE, "--data-dir", &data, "wrap", "--key", &key, "--chain", &self.chain];
        let all = start.iter().chain(more).chain(&["--"]).map(|a| (*a).to_owned());
        all.chain(self.line.iter().cloned()).collect()
    }

    fn start(&self, more: &[&str], environment: &[(&str, &str)]) -> Spoken {
        let line = self.command(more);
        let mut command = command(Path::new(&line[0]), self.world.base.path());
        command.envs(environment.iter().copied());
        Spoken::start(command.args(&line[1..]))
    }

    /// Outcomes in the ledger, in order.
    fn outcomes(&self) -> String {
        self.world.ok(&["audit", "query"]).to_string()
    }
}

pub(crate) fn published(name: &str) -> String {
    let main = clients().join("node_modules/@modelcontextprotocol").join(name);
    main.join("dist/index.js").display().to_string()
}

pub(crate) const FILES: &str = r#"
workflow: local
version: "1"
owner: user:owner
purpose: Read notes.
agents: [agent:support-runner]
level: bounded
window_seconds: 3600
max_depth: 3
budget: {max_calls: 100}
tool_servers:
  local:
    tools:
      read_text_file: {risk: low, effect: read, idempotent: true, data: [note]}
      write_file: {risk: high, effect: write, data: [note]}
shorthands:
  "local:use":
    tools:
      local/read_text_file: {path: "PATH"}
"#;

#[test]
fn unchanged_clients_use_an_unchanged_program_within_the_delegation_and_no_further() {
    let folder = tempfile::tempdir().unwrap();
    let (note, secret) = (folder.path().join("note.txt"), folder.path().join("secret.txt"));
    std::fs::write(&note, "buy milk").unwrap();
    std::fs::write(&secret, "SECRET-CANARY").unwrap();
    let (note, secret) = (note.display().to_string(), secret.display().to_string());
    let (main, dir) = (published("server-filesystem"), folder.path().display().to_string());
    let workflow = FILES.replace("PATH", &note);
    let line = ["node", main.as_str(), dir.as_str()];
    let wrapped = Wrapped::new(&["read_text_file", "write_file"], Some(&workflow), &line);
    let command = wrapped.command(&["--server", "local"]);
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    let calls = json!([
        {"tool": "read_text_file", "arguments": {"path": note}},
        {"tool": "read_text_file", "arguments": {"path": secret}},
        {"tool": "write_file", "arguments": {"path": note, "content": "x"}},
    ]);
    // One after the other: each is the gateway of the data dir while it runs.
    for client in ["sessions", "auto", "pypi"] {
        let program = match client {
            "pypi" => pypi(&calls, &command),
            era => npm(era, &calls, &command),
        };
        program.expect("connected");
        assert_eq!(
            program.expect("tools")["tools"],
            json!(["read_text_file", "request_authority"])
        );
        let read = program.expect("result");
        assert_eq!(
            (&read["text"], &read["is_error"]),
            (&json!("buy milk"), &json!(false)),
            "{read}"
        );
        for code in ["argument-not-delegated", "tool-not-delegated"] {
            let refused = program.expect("refused");
            assert_eq!(refused["code"], -32040, "{refused}");
            assert_eq!(refused["data"]["code"], code, "{refused}");
            assert!(!refused.to_string().contains("CANARY"), "{refused}");
        }
        program.expect("done");
    }
    assert_eq!(std::fs::read_to_string(&note).unwrap(), "buy milk");
    let listed = wrapped.world.ok(&["audit", "query"]).to_string();
    assert_eq!(listed.matches("\"allow\"").count(), 3, "{listed}");
    assert_eq!(wrapped.world.ok(&["audit", "verify"])["holds"], true);
}

#[test]
fn published_programs_work_in_both_protocols() {
    for (name, tool, arguments) in [
        ("server-memory", "read_graph", json!({})),
        ("server-everything", "echo", json!({"message": "hello"})),
    ] {
        let workflow = workflow(&[tool]).replace("local/echo: any", "local/echo: {message: hello}");
        let main = published(name);
        let wrapped = Wrapped::new(&[tool], Some(&workflow), &["node", &main]);
        let command = wrapped.command(&[]);
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let program = npm("auto", &json!([{"tool": tool, "arguments": arguments}]), &command);
        program.expect("connected");
        assert_eq!(program.expect("tools")["tools"], json!([tool, "request_authority"]));
        assert_eq!(program.expect("result")["is_error"], false, "{name}");
        program.expect("done");
    }
}

#[test]
fn what_is_not_allowed_never_reaches_the_program() {
    let wrapped = Wrapped::made(&["work", "other"]);
    let narrow = wrapped.world.run(&["delegate"]);
    assert_eq!(narrow.status, 2);
    let mut spoken = wrapped.start(&[], &[("TOKEN", "s3cret-canary-0123"), ("HOME", "/nowhere")]);
    assert!(spoken.hello()["result"].is_object());
    assert_eq!(spoken.call(1, "hang", json!({}))["error"]["code"], -32040);
    // Two values for one name: what is read here is what would be read there.
    spoken.write(
        r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"hang","name":"work"}}"#,
    );
    assert_eq!(spoken.next()["error"]["code"], -32700);
    assert_eq!(spoken.call(3, "work", json!({"n": "not a number"}))["error"]["code"], -32040);
    let worked = spoken.call(4, "work", json!({}));
    let names = worked["result"]["content"][0]["text"].as_str().expect("a text").to_owned();
    assert!(
        names.contains("PATH") && !names.contains("TOKEN") && !names.contains("HOME"),
        "{names}"
    );
    assert_eq!(spoken.close().0, Some(0));
    let reached = wrapped.reached();
    assert!(!reached.contains("hang"), "{reached}");
    assert_eq!(reached.matches("tools/call work").count(), 1, "{reached}");
    // Once the delegation is taken back, nothing does.
    wrapped.world.ok(&["revoke", "delegation", "--chain", &wrapped.chain, "--reason", "over"]);
    let mut spoken = wrapped.start(&[], &[]);
    assert_eq!(spoken.hello()["error"]["data"]["code"], "revoked");
    assert_eq!(spoken.close().0, Some(0));
    assert_eq!(wrapped.reached().matches("tools/call").count(), 1);
}

#[test]
fn a_program_that_dies_hangs_forges_asks_or_leaks_is_on_record_and_the_next_call_works() {
    let wrapped = Wrapped::made(&["ask", "die", "forge", "hang", "leak", "work"]);
    let mut spoken = wrapped.start(&["--secret", "TOKEN"], &[("TOKEN", "s3cret-canary-0123")]);
    assert!(spoken.hello()["result"].is_object());
    let code =
        |answer: &Value| answer["error"]["data"]["code"].as_str().unwrap_or("none").to_owned();
    for (id, tool, expected) in [
        (1, "die", "upstream-broken"),
        (2, "work", "none"),
        (3, "hang", "upstream-timeout"),
        (4, "forge", "upstream-garbage"),
        (5, "leak", "upstream-leak"),
        (6, "work", "none"),
    ] {
        let answer = spoken.call(id, tool, json!({}));
        assert_eq!(
            (code(&answer).as_str(), &answer["id"]),
            (expected, &json!(id)),
            "{tool}: {answer}"
        );
        assert!(!answer.to_string().contains("canary"), "{answer}");
    }
    // What it asks of the client is answered here.
    let asked = spoken.call(7, "ask", json!({}));
    assert!(asked.to_string().contains("-32601"), "{asked}");
    assert_eq!(spoken.close().0, Some(0));
    let outcomes = wrapped.outcomes();
    for outcome in ["unknown", "timeout", "error", "ok"] {
        assert!(outcomes.contains(&format!("\"{outcome}\"")), "{outcome}: {outcomes}");
    }
    assert_eq!(wrapped.world.ok(&["audit", "verify"])["holds"], true);
}

#[test]
fn progress_passes_and_a_cancelled_call_is_on_record_as_unknown() {
    let wrapped = Wrapped::made(&["hang", "work"]);
    let mut spoken = wrapped.start(&[], &[]);
    assert!(spoken.hello()["result"].is_object());
    let call = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "work", "arguments": {}, "_meta": {"progressToken": "p"}},
    });
    let progress = spoken.ask(&call);
    assert_eq!(progress["method"], "notifications/progress", "{progress}");
    assert_eq!(progress["params"]["progressToken"], "p");
    assert_eq!(spoken.next()["id"], 1);
    let hang = json!({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "hang", "arguments": {}}});
    spoken.write(&hang.to_string());
    std::thread::sleep(Duration::from_millis(1500));
    spoken
        .write(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}"#);
    assert_eq!(spoken.next()["error"]["data"]["code"], "upstream-cancelled");
    assert_eq!(spoken.close().0, Some(0));
    assert!(wrapped.reached().contains("notifications/cancelled"), "{}", wrapped.reached());
    assert!(wrapped.outcomes().contains("\"unknown\""));
}

#[test]
fn what_wrap_lacks_is_said_on_standard_error_and_nothing_starts() {
    let wrapped = Wrapped::made(&["work"]);
    let before = wrapped.reached();
    let (key, chain) = (wrapped.world.runner.key_file(), wrapped.chain.clone());
    let data = wrapped.world.data.display().to_string();
    let run = |more: &[&str]| {
        let mut command = command(Path::new(EXE), wrapped.world.base.path());
        Answer::of(command.args(["--data-dir", &data, "wrap"]).args(more))
    };
    for (more, status, code) in [
        (vec!["--key", &key, "--chain", &chain], 2, "no-command"),
        (vec!["--", "true"], 2, "no-key"),
        (
            vec!["--server", "support-desk", "--key", &key, "--chain", &chain, "--", "true"],
            4,
            "not-found",
        ),
        (
            vec!["--key", &key, "--chain", &chain, "--secret", "NO_SUCH", "--", "true"],
            2,
            "variable-missing",
        ),
    ] {
        let answer = run(&more);
        assert_eq!(answer.status, status, "{more:?}: {}", answer.err);
        assert!(answer.err.contains(&format!("[{code}]")), "{more:?}: {}", answer.err);
        assert!(answer.out.is_empty(), "{}", answer.out);
    }
    assert_eq!(wrapped.reached(), before);
}

#[test]
fn a_program_asks_what_its_workflow_lists_and_hears_the_clients_answer() {
    let log = tempfile::NamedTempFile::new().unwrap().into_temp_path().keep().unwrap();
    let listed =
        workflow(&["ask"]).replacen("  local:\n", "  local:\n    questions: [sampling]\n", 1);
    let line = ["python3", "-c", PROGRAM, &log.display().to_string()];
    let wrapped = Wrapped::new(&["ask"], Some(&listed), &line);
    let mut client = wrapped.start(&[], &[]);
    client.ask(&json!({
        "jsonrpc": "2.0", "id": "hello", "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {"sampling": {}},
            "clientInfo": {"name": "t", "version": "1"}},
    }));
    client.write(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    let question = client.call(1, "ask", json!({}));
    assert_eq!(question["method"], "sampling/createMessage", "{question}");
    assert_ne!(question["id"], "q");
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"model": "mine"}});
    let answered = client.ask(&answer);
    assert_eq!(answered["id"], 1, "{answered}");
    let heard = answered["result"]["content"][0]["text"].as_str().unwrap();
    let heard: Value = serde_json::from_str(heard).unwrap();
    assert_eq!(heard, json!({"jsonrpc": "2.0", "id": "q", "result": {"model": "mine"}}));
    assert_eq!(client.close().0, Some(0));
}

/// Everything that the process with this command line, and what it started, was
/// told on a command line.
fn command_lines(marker: &str) -> String {
    let mut all = String::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(marker) {
            all.push_str(&line);
            all.push('\n');
        }
    }
    all
}

#[test]
fn a_programs_secret_comes_from_the_vault_and_stands_nowhere_else() {
    const SECRET: &str = "s3cret-canary-of-the-vault-0123";
    let wrapped = Wrapped::made(&["leak", "work"]);
    let world = &wrapped.world;
    let token = world.path("token");
    bailiwick_testkit::world::private(Path::new(&token), SECRET);
    let set = |server: &str, more: &[&str]| {
        world.run(&[&["vault", "set", server], more, &["--secret-file", &token]].concat())
    };
    // A program is shown nothing but its environment, and nobody else has one.
    for (server, more, code) in [
        ("local", &["--bearer"][..], "program-credential"),
        ("support-desk", &["--env", "TOKEN"][..], "not-a-program"),
        ("local", &["--env", "LD_PRELOAD"][..], "variable-refused"),
        ("local", &["--env", "A-B"][..], "variable-malformed"),
    ] {
        let refused = set(server, more);
        assert_eq!((refused.status, refused.code().as_str()), (2, code), "{}", refused.out);
    }
    assert_eq!(set("local", &["--env", "TOKEN"]).status, 0);
    let exec = format!("exec:/bin/cat {token}");
    world.ok(&["vault", "set", "local", "--env", "OTHER", "--secret-from", &exec]);
    let listed = world.ok(&["vault", "list"]);
    let names = |listed: &Value| listed["credentials"][0]["variables"].to_string();
    assert!(names(&listed).contains("TOKEN") && names(&listed).contains("exec"), "{listed}");
    let doctor = world.run(&["doctor"]).out;
    assert!(doctor.contains("environment of the gateway for local"), "{doctor}");

    // The account behind it is one for everybody: what may be personal needs a person.
    let mut spoken = wrapped.start(&[], &[]);
    assert!(spoken.hello()["result"].is_object());
    let call = json!({"name": "work", "arguments": {}});
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call});
    spoken.write(&call.to_string());
    let rule = || world.ok(&["approvals", "list"])["approvals"][0]["rule"].clone();
    wait_until("the call waits", || rule() == "shared-identity");
    let (status, log) = spoken.close();
    assert_eq!(status, Some(0), "{log}");
    let text = workflow(&["leak", "work"]).replace("timeout_seconds: 3", "personal: false");
    let text = text.replace("version: \"1\"", "version: \"2\"");
    std::fs::write(world.path("local.yaml"), text).unwrap();
    world.ok(&["workflow", "publish", &world.path("local.yaml")]);
    let chain = world.delegate(&["local:use"], &["--workflow", "local"]).path();
    let wrapped = Wrapped { chain, ..wrapped };
    let world = &wrapped.world;

    let mut spoken = wrapped.start(&[], &[]);
    assert!(spoken.hello()["result"].is_object());
    let worked = spoken.call(1, "work", json!({}));
    let names = worked["result"]["content"][0]["text"].as_str().expect("a text").to_owned();
    assert!(names.contains("TOKEN") && names.contains("OTHER"), "{names}");
    // The program shows it: nobody hears that.
    let leaked = spoken.call(2, "leak", json!({}));
    assert_eq!(leaked["error"]["data"]["code"], "upstream-leak", "{leaked}");
    assert!(!leaked.to_string().contains(SECRET), "{leaked}");
    let marker = wrapped.line.last().unwrap();
    let lines = command_lines(marker);
    assert!(lines.lines().count() >= 2 && !lines.contains(SECRET), "{lines}");
    let (status, log) = spoken.close();
    assert_eq!(status, Some(0));
    assert!(!log.contains(SECRET), "{log}");
    let decided = wrapped.outcomes();
    assert!(!decided.contains(SECRET), "{decided}");
    for file in bailiwick_testkit::world::files(&world.data) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains(SECRET), "in {}", file.display());
    }
    let entry = world.run(&["audit", "tail", "-n", "50"]).out;
    assert!(entry.contains("upstream_identity") && entry.contains("environment"), "{entry}");

    // Named twice, it would depend on the order which one counts.
    let line = wrapped.command(&["--env", "TOKEN"]);
    let twice = Answer::of(
        command(Path::new(&line[0]), world.base.path())
            .env("TOKEN", "x")
            .arg("--json")
            .args(&line[1..]),
    );
    assert_eq!((twice.status, twice.code().as_str()), (2, "variable-twice"), "{}", twice.err);
    world.ok(&["vault", "remove", "local", "--env", "TOKEN"]);
    assert_eq!(world.run(&["vault", "remove", "local", "--env", "TOKEN"]).status, 4);
    let mut spoken = wrapped.start(&[], &[]);
    assert!(spoken.hello()["result"].is_object());
    let worked = spoken.call(1, "work", json!({}));
    let names = worked["result"]["content"][0]["text"].as_str().expect("a text").to_owned();
    assert!(!names.contains("TOKEN") && names.contains("OTHER"), "{names}");
    assert_eq!(spoken.close().0, Some(0));
    // What cannot be had starts nothing.
    std::fs::remove_file(&token).unwrap();
    let line = wrapped.command(&[]);
    let refused = Answer::of(command(Path::new(&line[0]), world.base.path()).args(&line[1..]));
    assert_eq!(refused.status, 3, "{}", refused.err);
    world.ok(&["vault", "remove", "local"]);
}
