//! `run`: an agent's program with a sidecar beside it. Wiring: the binary
//! serving, the support desk, a program in Python that calls a tool and then
//! looks for what it must not have.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use bailiwick_testkit::world::{OWNER, RUNNER, command};
use bailiwick_testkit::{Answer, World};
use serde_json::{Value, json};

use crate::EXE;
use crate::connect::npm;
use crate::first::lives;

/// Calls a tool twice, once within its delegation, and then tries what a curious
/// agent would: files by name, other processes, other sockets, other addresses.
const AGENT: &str = r#"
import json, os, socket, sys, urllib.request
found = {'environment': sorted(os.environ), 'uid': os.getuid()}
VERSION = {'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {}}
def call(number):
    body = {'jsonrpc': '2.0', 'id': 1, 'method': 'tools/call', 'params': {
        'name': 'get_ticket', 'arguments': {'ticket_id': number}, '_meta': VERSION}}
    headers = {'content-type': 'application/json', 'accept': 'application/json, text/event-stream',
        'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'get_ticket'}
    request = urllib.request.Request(os.environ['BAILIWICK_MCP_URL'], json.dumps(body).encode(), headers)
    try:
        text = urllib.request.urlopen(request).read().decode()
    except urllib.error.HTTPError as e:
        text = e.read().decode()
    for line in text.splitlines():
        line = line.removeprefix('data: ')
        if line.startswith('{'): return json.loads(line)
found['allowed'], found['denied'] = call(8821), call(9000)
found['config'] = json.load(open(os.environ['BAILIWICK_MCP_CONFIG']))
def readable(path):
    try:
        with open(path, 'rb') as f: return len(f.read(16)) > 0
    except OSError: return False
plan = json.loads(sys.argv[1])
found['read'] = [p for p in plan['files'] if readable(p)]
def listed(path):
    try: return os.listdir(path) != []
    except OSError: return False
found['listed'] = [p for p in plan['folders'] if listed(p)]
found['memory'] = [p for p in os.listdir('/proc') if p.isdigit() and int(p) != os.getpid() and readable(f'/proc/{p}/mem')]
def is_sidecar(pid):
    try: line = open(f'/proc/{pid}/cmdline', 'rb').read().split(b'\0')
    except OSError: return False
    return line[0].endswith(b'/bailiwick') and b'run' in line
found['sidecar'] = [p for p in os.listdir('/proc') if p.isdigit() and is_sidecar(p)]
def reached(address):
    try:
        socket.create_connection(address, 2).close(); return True
    except OSError: return False
found['reached'] = [a for a in plan['addresses'] if reached(tuple(a))]
def connects(path):
    try:
        s = socket.socket(socket.AF_UNIX); s.connect(path); return True
    except OSError: return False
found['sockets'] = [p for p in plan['sockets'] if connects(p)]
found['leads'] = os.getsid(0) == os.getpid() == os.getpgid(0)
try:
    open('/dev/tty').close(); found['terminal'] = True
except OSError: found['terminal'] = False
open('written', 'w').write('by the agent')
json.dump(found, open(plan['out'], 'w'))
sys.exit(7)
"#;

struct Agent {
    world: World,
    _other: std::os::unix::net::UnixListener,
    plan: Value,
}

impl Agent {
    fn new() -> Self {
        let world = World::new(EXE);
        std::fs::create_dir(world.path("work")).unwrap();
        std::fs::write(world.base.path().join("work/agent.py"), AGENT).unwrap();
        let socket = world.path("other.sock");
        let other = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let files: Vec<String> = bailiwick_testkit::world::files(&world.data)
            .iter()
            .map(|p| p.display().to_string())
            .chain([world.principal_key(), world.runner.key_file()])
            .collect();
        assert!(files.iter().any(|f| f.ends_with("state.db")), "{files:?}");
        let data = world.data.display().to_string();
        let desk: std::net::SocketAddr = world.address;
        let plan = json!({
            "files": files, "folders": [data], "sockets": [socket], "out": "found.json",
            "addresses": [["127.0.0.1", desk.port()]],
        });
        Self { world, _other: other, plan }
    }

    /// Runs the agent and gives what it found, and what `run` said.
    fn run(&self, more: &[&str]) -> (Value, Answer) {
        let work = self.world.base.path().join("work");
        let mut line = command(Path::new(EXE), &work);
        line.env("GITHUB_TOKEN", "canary").env("LANG", "C.UTF-8");
        line.args(["--json", "--data-dir"]).arg(&self.world.data);
        line.args(["run", "--agent", RUNNER, "--task", "resolve ticket 8821"]);
        line.args(["--scope", "ticket:8821", "--key", &self.world.principal_key()]).args(more);
        line.args(["--", "/usr/bin/python3", "agent.py", &self.plan.to_string()]);
        let answer = Answer::of(&mut line);
        let found = std::fs::read(work.join("found.json"))
            .unwrap_or_else(|e| panic!("{e}: {}{}", answer.out, answer.err));
        (serde_json::from_slice(&found).unwrap(), answer)
    }
}

fn said(answer: &Answer) -> Value {
    let line = answer.err.lines().find(|l| l.contains("\"isolation\"")).expect(&answer.err);
    serde_json::from_str(line).unwrap()
}

/// What holds however it is isolated.
fn works(found: &Value, answer: &Answer, world: &World) {
    assert_eq!(answer.status, 7, "the program's own status: {}", answer.err);
    let allowed = &found["allowed"]["result"]["_meta"]["io.bailiwick/decision"]["id"];
    assert!(allowed.is_string(), "{found}");
    assert_eq!(found["denied"]["error"]["data"]["code"], "argument-not-delegated", "{found}");
    assert!(found["config"]["mcpServers"]["support-desk"]["url"].is_string(), "{found}");
    let names: Vec<&str> =
        found["environment"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for name in &names {
        let expected = [
            "BAILIWICK_MCP_CONFIG",
            "BAILIWICK_MCP_URL",
            "HOME",
            "LANG",
            "LC_CTYPE",
            "PATH",
            "PWD",
        ];
        assert!(expected.contains(name), "{names:?}");
    }
    assert_eq!(said(answer)["stripped"], json!(["GITHUB_TOKEN"]));
    // The record says how it was isolated, and so does its evidence.
    let decision = allowed.as_str().unwrap();
    let entry = world.ok(&["audit", "show", decision]);
    let hops = find(&entry, "hops").expect("the hops").clone();
    assert_eq!(hops[0]["isolation"], said(answer)["isolation"], "{entry}");
    // The instance ended with its run.
    let instances = world.ok(&["instance", "list"]).to_string();
    let instance = said(answer)["instance"].as_str().unwrap().to_owned();
    assert!(instances.contains(&instance) && instances.contains("retired"), "{instances}");
}

/// The member of this name, wherever it stands.
fn find<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Object(o) => o.get(name).or_else(|| o.values().find_map(|v| find(v, name))),
        Value::Array(a) => a.iter().find_map(|v| find(v, name)),
        _ => None,
    }
}

fn sees_nothing(found: &Value) {
    for what in ["read", "listed", "memory", "sidecar", "sockets"] {
        assert_eq!(found[what], json!([]), "{what}: {found}");
    }
}

#[test]
fn in_namespaces_a_program_has_its_endpoint_and_sees_neither_keys_nor_data_nor_sidecar() {
    let mut agent = Agent::new();
    let (found, answer) = agent.run(&["--isolation", "namespaces"]);
    works(&found, &answer, &agent.world);
    assert_eq!(said(&answer)["isolation"], "namespaces");
    sees_nothing(&found);
    assert_eq!(found["reached"], agent.plan["addresses"], "the host's network is there: {found}");
    assert!(agent.world.base.path().join("work/written").is_file(), "its folder is its own");
    // What is started in a folder with secrets in it does not see them there either.
    std::fs::copy(agent.world.path("work/agent.py"), agent.world.path("agent.py")).unwrap();
    let above = agent.world.base.path().display().to_string();
    let (found, answer) = agent.run(&["--isolation", "namespaces", "--write", &above]);
    works(&found, &answer, &agent.world);
    let runner = agent.world.runner.key_file();
    assert_eq!(found["read"], json!([runner]), "only what nobody named as a secret: {found}");
    agent.world.stop_serve();
}

#[test]
fn what_is_refused_leaves_nothing_behind_and_what_ends_ends_all_of_it() {
    let mut world = World::new(EXE);
    let key = world.principal_key();
    let data = world.data.display().to_string();
    let run = |from: &Path, more: &[&str]| {
        let mut line = command(Path::new(EXE), from);
        line.args(["--data-dir", &data, "run", "--agent", RUNNER, "--task", "t", "--key", &key]);
        line.args(["--scope", "ticket:8821"]).args(more);
        line
    };
    let active = |world: &World| {
        let listed = world.ok(&["instance", "list"]);
        listed["instances"].as_array().unwrap().iter().filter(|i| i["status"] == "active").count()
    };
    let before = active(&world);
    // A view that would show the host's processes, sockets or temporary files is none.
    let isolated = ["--isolation", "namespaces"];
    for (from, more, code) in [
        ("/", &["--", "true"][..], "place-too-wide"),
        ("/tmp", &["--", "true"], "place-too-wide"),
        (&data, &["--", "true"], "place-inside-secrets"),
        (&world.path("desk"), &["--read", "/", "--", "true"], "place-too-wide"),
        (&world.path("desk"), &["--", "no-such-program"], "program-unknown"),
    ] {
        let answer = Answer::of(run(Path::new(from), &isolated).args(more));
        assert!(answer.err.contains(code), "{from} {more:?}: {}", answer.err);
        assert_ne!(answer.status, 0);
    }
    assert_eq!(active(&world), before, "nothing was enrolled for what was refused");
    // The credential of a tool server is not seen, also where it lies in the folder.
    let looks = ["--", "sh", "-c", "cat credential; test -s credential"];
    let desk = world.base.path().join("desk");
    let answer = Answer::of(run(&desk, &isolated).args(looks));
    assert_eq!((answer.status, answer.out.as_str()), (1, ""), "{}", answer.err);
    // A program that does not listen ends all the same, and nothing of its run stands.
    let stubborn = [
        "--isolation",
        "none",
        "--",
        "sh",
        "-c",
        "trap '' TERM HUP; sleep 600 & echo $! > pid; echo up > up; wait; sleep 60",
    ];
    let mut running = run(&desk, &stubborn).spawn().unwrap();
    let up = desk.join("up");
    for _ in 0..300 {
        if up.is_file() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let pid = running.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    assert!(!running.wait().unwrap().success());
    let started = std::fs::read_to_string(desk.join("pid")).unwrap();
    assert!(!lives(&started), "what it started ends with it");
    assert_eq!(active(&world), before);
    let grants = world.ok(&["grant", "list", "--principal", "user:142"]).to_string();
    assert!(!grants.contains("\"stands\""), "{grants}");
    world.stop_serve();
}

#[test]
fn a_secret_that_the_host_replaces_while_the_program_runs_stays_out_of_its_sight() {
    let mut world = World::new(EXE);
    let work = world.base.path().join("work");
    let keys = work.join("keys");
    std::fs::create_dir_all(&keys).unwrap();
    let key = keys.join("alice.key");
    std::fs::copy(world.principal_key(), &key).unwrap();
    let look = "ls keys; echo up > up; until test -e go; do sleep 0.1; done; ls keys; cat keys/*";
    let mut line = command(Path::new(EXE), &work);
    line.arg("--data-dir").arg(&world.data).args(["run", "--agent", RUNNER, "--task", "t"]);
    line.args(["--scope", "ticket:8821", "--key", "keys/alice.key", "--isolation", "namespaces"]);
    line.args(["--", "sh", "-c", look]).stdout(std::process::Stdio::piped());
    let running = line.spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while !work.join("up").is_file() {
        assert!(Instant::now() < until, "the program does not run");
        std::thread::sleep(Duration::from_millis(100));
    }
    // As a rotation writes it: a new file, and its name changed.
    std::fs::write(keys.join("new"), "REPLACED-CANARY").unwrap();
    std::fs::rename(keys.join("new"), &key).unwrap();
    std::fs::write(work.join("go"), "").unwrap();
    let seen = running.wait_with_output().unwrap().stdout;
    assert_eq!(String::from_utf8_lossy(&seen), "");
    world.stop_serve();
}

#[test]
fn in_namespaces_the_first_program_that_is_seen_there_is_run() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut world = World::new(EXE);
    let (work, shims) = (world.base.path().join("work"), world.base.path().join("shims"));
    for folder in [&work, &shims] {
        std::fs::create_dir(folder).unwrap();
    }
    // As version managers put them in front of the system's programs.
    for name in ["python3", "only-shim"] {
        std::fs::write(shims.join(name), "#!/bin/sh\necho the shim\n").unwrap();
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(shims.join(name), mode).unwrap();
    }
    let run = |more: &[&str]| {
        let mut line = command(Path::new(EXE), &work);
        line.env("PATH", format!("{}:/usr/bin:/bin", shims.display()));
        line.arg("--data-dir").arg(&world.data).args(["run", "--agent", RUNNER, "--task", "t"]);
        line.args(["--scope", "ticket:8821", "--key", &world.principal_key()]);
        Answer::of(line.args(["--isolation", "namespaces"]).args(more))
    };
    let system = run(&["--", "python3", "-c", "print('the system')"]);
    assert_eq!((system.status, system.out.as_str()), (0, "the system\n"), "{}", system.err);
    let shown = shims.display().to_string();
    let shim = run(&["--read", &shown, "--", "python3", "-c", "print('the system')"]);
    assert_eq!((shim.status, shim.out.as_str()), (0, "the shim\n"), "{}", shim.err);
    let hidden = run(&["--", "only-shim"]);
    assert_eq!(hidden.status, 2, "{}", hidden.err);
    assert!(hidden.err.contains("[program-not-visible]"), "{}", hidden.err);
    world.stop_serve();
}

#[test]
fn by_option_a_program_reaches_the_gateway_and_nothing_else() {
    let mut agent = Agent::new();
    let (found, answer) = agent.run(&["--network", "gateway"]);
    works(&found, &answer, &agent.world);
    assert_eq!(said(&answer)["network"], "gateway");
    sees_nothing(&found);
    assert_eq!(found["reached"], json!([]), "{found}");
    agent.world.stop_serve();
}

#[test]
fn another_user_is_kept_from_the_sidecar_by_the_system() {
    if !rustix_is_root() {
        // Only root may change users; the refusal is what others see.
        let agent = Agent::new();
        let work = agent.world.base.path().join("work");
        let mut line = command(Path::new(EXE), &work);
        line.arg("--data-dir").arg(&agent.world.data);
        line.args(["run", "--task", "t", "--agent", RUNNER, "--scope", "ticket:8821"]);
        line.args(["--key", &agent.world.principal_key(), "--user", "nobody", "--", "true"]);
        let answer = Answer::of(&mut line);
        assert!(answer.err.contains("user-not-root"), "{}", answer.err);
        return;
    }
    let mut agent = Agent::new();
    let work = agent.world.base.path().join("work");
    let opened = |path: &Path| {
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
    };
    opened(agent.world.base.path());
    opened(&work);
    let (found, answer) = agent.run(&["--user", "nobody"]);
    works(&found, &answer, &agent.world);
    assert_eq!(said(&answer)["isolation"], "user");
    assert_ne!(found["uid"], 0, "{found}");
    // It has no terminal into which it could type what the shell of `run` then reads.
    assert_eq!((&found["leads"], &found["terminal"]), (&json!(true), &json!(false)), "{found}");
    for what in ["read", "listed", "memory", "sockets"] {
        assert_eq!(found[what], json!([]), "{what}: {found}");
    }
    agent.world.stop_serve();
}

#[test]
fn without_isolation_it_is_said_so() {
    let mut agent = Agent::new();
    let (found, answer) = agent.run(&["--isolation", "none"]);
    works(&found, &answer, &agent.world);
    assert_eq!(said(&answer)["isolation"], "none");
    assert_eq!((&found["leads"], &found["terminal"]), (&json!(true), &json!(false)), "{found}");
    assert_ne!(found["sidecar"], json!([]), "the look for a sidecar finds one: {found}");
    assert_ne!(found["sockets"], json!([]), "and that for sockets: {found}");
    agent.world.stop_serve();
}

#[test]
fn an_unchanged_client_is_the_agent() {
    let mut world = World::new(EXE);
    let calls = json!([{"tool": "get_ticket", "arguments": {"ticket_id": 8821}}]);
    let key = world.principal_key();
    let data = world.data.display().to_string();
    let mut line = command(Path::new(EXE), world.base.path());
    line.args(["--data-dir", &data, "run", "--agent", RUNNER, "--task", "t", "--scope"]);
    line.args(["ticket:8821", "--key", &key, "--isolation", "none", "--", "sh", "-c"]);
    line.arg("printf %s \"$BAILIWICK_MCP_URL\" > url; sleep 30");
    let mut running: std::process::Child = Command::spawn(&mut line).unwrap();
    let url = (0..300).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        std::fs::read_to_string(world.path("url")).ok().filter(|url| !url.is_empty())
    });
    let program = npm("auto", &calls, &[&url.expect("the program runs")]);
    program.expect("connected");
    program.expect("tools");
    assert_eq!(program.expect("result")["is_error"], false);
    program.expect("done");
    running.kill().unwrap();
    running.wait().unwrap();
    world.stop_serve();
}

#[test]
fn what_a_killed_run_left_is_ended_by_the_serve_beside_it() {
    let mut world = World::new(EXE);
    let (key, up) = (world.principal_key(), world.base.path().join("up"));
    let mut line = command(Path::new(EXE), world.base.path());
    line.arg("--data-dir").arg(&world.data).args(["run", "--agent", RUNNER, "--task", "t"]);
    line.args(["--scope", "ticket:8821", "--key", &key, "--isolation", "none", "--"]);
    let mut running = line.args(["sh", "-c", "echo up > up; sleep 60"]).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    let waits = |done: &dyn Fn() -> bool| {
        while !done() {
            assert!(Instant::now() < until, "it takes too long");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    waits(&|| up.is_file());
    let stands = |world: &World| {
        let granted = world.ok(&["grant", "list", "--principal", "user:142"]).to_string();
        let instances = world.ok(&["instance", "list"]).to_string();
        granted.contains("\"stands\"") || instances.matches("\"active\"").count() > 2
    };
    // It lives: nobody ends it, whoever looks.
    let _ = world.run(&["doctor"]);
    assert!(stands(&world));
    running.kill().unwrap();
    running.wait().unwrap();
    waits(&|| !stands(&world));
    world.stop_serve();
}

#[test]
fn elsewhere_an_instance_ends_with_its_run_and_that_of_a_killed_one_with_the_next() {
    let mut world = World::new(EXE);
    let (logins, url) = (world.path("logins"), world.public_url.clone());
    let invite = world.path("invite");
    let run = |program: &str| {
        let made = world.ok(&["instance", "invite", "--agent", RUNNER]);
        std::fs::write(&invite, made["enrolment_token"].as_str().unwrap()).unwrap();
        let mut line = command(Path::new(EXE), world.base.path());
        line.args(["--logins", &logins, "run", "--authority", &url, "--agent", RUNNER]);
        line.args(["--owner", OWNER, "--invite", &invite, "--task", "t", "--scope"]);
        line.args(["ticket:8821", "--key", &world.principal_key(), "--isolation", "none"]);
        line.args(["--", "sh", "-c", program]);
        line
    };
    let active = || {
        let listed = world.ok(&["instance", "list"]);
        listed["instances"].as_array().unwrap().iter().filter(|i| i["status"] == "active").count()
    };
    let notes = || std::fs::read_dir(format!("{logins}/lives")).unwrap().count();
    let before = active();
    let answer = Answer::of(&mut run("exit 5"));
    assert_eq!(answer.status, 5, "{}", answer.err);
    assert_eq!((active(), notes()), (before, 0));
    let mut running = run("echo up > up; sleep 60").spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    while !world.base.path().join("up").is_file() {
        assert!(Instant::now() < until, "the program does not run");
        std::thread::sleep(Duration::from_millis(100));
    }
    // It lives: another run does not end it.
    assert_eq!(Answer::of(&mut run("exit 5")).status, 5);
    assert_eq!((active(), notes()), (before + 1, 1));
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(active(), before + 1, "nobody looked yet");
    assert_eq!(Answer::of(&mut run("exit 5")).status, 5);
    assert_eq!((active(), notes()), (before, 0));
    world.stop_serve();
}

fn rustix_is_root() -> bool {
    let output = Command::new("id").arg("-u").output().expect("id runs");
    output.stdout.trim_ascii() == b"0"
}
