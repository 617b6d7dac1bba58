//! The first ten minutes: from a program that somebody uses already to an allowed and a denied
//! call. Wiring: the binary alone, npm's published server, unchanged clients, `serve` beside it.

use std::path::Path;
use std::time::{Duration, Instant};

use bailiwick_testkit::world::{RUNNER, command};
use bailiwick_testkit::{Answer, World};
use serde_json::{Value, json};

use crate::EXE;
use crate::connect::{Spoken, npm, pypi};
use crate::stock_clients::clients;
use crate::wrap::{FILES, PROGRAM, Wrapped, published};

/// A person's machine on which nothing is set up yet.
struct Machine {
    home: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("notes")).unwrap();
        std::fs::write(home.path().join("notes/milk.txt"), "buy milk").unwrap();
        Self { home }
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }

    fn ok(&self, args: &[&str]) -> String {
        let mut line = command(Path::new(EXE), self.home.path());
        let answer = Answer::of(line.env("HOME", self.home.path()).args(args));
        assert_eq!(answer.status, 0, "{args:?}: {}{}", answer.out, answer.err);
        answer.out
    }
}

fn count(text: &str, what: &str) -> usize {
    text.matches(what).count()
}

#[test]
fn three_commands_lead_from_an_existing_program_to_an_allowed_and_a_denied_call() {
    let machine = Machine::new();
    let (main, notes) = (published("server-filesystem"), machine.path("notes"));
    let milk = machine.path("notes/milk.txt");
    let program = ["--", "node", &main, &notes];

    machine.ok(&["init", "--yes", "--me", "user:ana"]);
    let learn = ["catalogue", "learn", "files", "--reads", "read_text_file", "--publish"];
    let said = machine.ok(&[&learn[..], &program].concat());
    assert!(said.contains("published workflow files"), "{said}");
    assert!(said.contains("bailiwick wrap --server files --task"), "{said}");
    let (data, logins) = (machine.path("bailiwick-data"), machine.path(".config/bailiwick"));
    let wrap = [EXE, "--data-dir", &data, "--logins", &logins, "wrap", "--task", "read my notes"];
    let wrap = [&wrap[..], &program].concat();

    let calls = json!([
        {"tool": "read_text_file", "arguments": {"path": milk}},
        {"tool": "write_file", "arguments": {"path": milk, "content": "x"}},
    ]);
    for client in ["sessions", "auto", "pypi"] {
        let played = match client {
            "pypi" => pypi(&calls, &wrap),
            era => npm(era, &calls, &wrap),
        };
        played.expect("connected");
        // What nobody rated is not delegated unasked, and not even shown.
        let shown = played.expect("tools")["tools"].clone();
        assert_eq!(shown, json!(["read_text_file", "request_authority"]));
        let read = played.expect("result");
        assert_eq!(
            (&read["text"], &read["is_error"]),
            (&json!("buy milk"), &json!(false)),
            "{read}"
        );
        let refused = played.expect("refused");
        assert_eq!(refused["data"]["code"], "tool-not-delegated", "{refused}");
        played.expect("done");
    }
    assert_eq!(std::fs::read_to_string(&milk).unwrap(), "buy milk");
    // Each of them was granted by Ana, signed with her key, and ended with its client.
    let grants = machine.ok(&["--json", "grant", "list", "--principal", "user:ana"]);
    // A client may start it once to ask which protocol it speaks, and once to use it.
    assert!(count(&grants, "\"revoked\"") >= 3 && !grants.contains("\"stands\""), "{grants}");
    let instances = machine.ok(&["--json", "instance", "list"]);
    assert!(count(&instances, "\"retired\"") >= 3 && !instances.contains("\"active\""));
    let allowed: Value =
        serde_json::from_str(&machine.ok(&["--json", "audit", "query", "--decision", "allow"]))
            .unwrap();
    let action = allowed["actions"][0]["action"].as_str().unwrap_or_else(|| panic!("{allowed}"));
    machine.ok(&["evidence", "get", action, "-o", "evidence.json"]);
    machine.ok(&["keys", "trust", "-o", "trust.json"]);
    let holds = machine.ok(&["evidence", "verify", "evidence.json", "--trust", "trust.json"]);
    assert!(holds.contains("user:ana"), "{holds}");
    assert!(holds.contains("by its own signature"), "{holds}");
}

#[test]
fn what_nobody_rated_is_not_granted_unasked_and_nobody_grants_without_a_key() {
    let machine = Machine::new();
    let program = ["--", "python3", "-c", PROGRAM, "log"];
    let fails = |args: &[&str]| {
        let mut line = command(Path::new(EXE), machine.home.path());
        let answer = Answer::of(line.env("HOME", machine.home.path()).args(args));
        assert_ne!(answer.status, 0, "{args:?}");
        answer.err
    };
    machine.ok(&["init", "--yes", "--me", "user:ana"]);
    // The key is the person's, outside of the data dir, and read by nobody else.
    let key = machine.home.path().join(".config/bailiwick/principal.key");
    let mode = std::os::unix::fs::PermissionsExt::mode(&key.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let refused = fails(&["init", "--yes", "--me", "user:eve", "--data-dir", "other"]);
    assert!(refused.contains("[not-your-key]"), "{refused}");
    let learn = ["catalogue", "learn", "made"];
    let stray = fails(&[&learn[..], &["--reads", "no_such", "--publish"], &program].concat());
    assert!(stray.contains("[not-found]") && stray.contains("work"), "{stray}");
    machine.ok(&[&learn[..], &["--publish"], &program].concat());
    let wrap = ["wrap", "--task", "t"];
    let refused = fails(&[&wrap[..], &program].concat());
    assert!(refused.contains("[nothing-rated-low]"), "{refused}");
    // Unrated tools can be asked for by name; an effect that nothing isolates then needs a person.
    let mut line = command(Path::new(EXE), machine.home.path());
    let asked = ["--scope", "made:work"];
    line.env("HOME", machine.home.path()).args([&wrap[..], &asked, &program].concat());
    let mut spoken = Spoken::start(&mut line);
    assert!(spoken.hello()["result"].is_object());
    // The client just waits; what a person says, it hears.
    machine.ok(&["approvals", "key", "new", "--for", "user:ana", "--out", "approver.json"]);
    let call = json!({
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "work", "arguments": {}},
    });
    spoken.write(&call.to_string());
    let id = waiting(&machine);
    let signed = ["--key", "approver.json"];
    // A key in a file is not enough for what is of high risk.
    let refused = fails(&[&["approvals", "approve", &id], &signed[..]].concat());
    assert!(refused.contains("[approval-grade-too-low]"), "{refused}");
    machine.ok(&[&["approvals", "deny", &id], &signed[..]].concat());
    let answer = spoken.next();
    assert_eq!(answer["error"]["data"]["code"], "approval-denied", "{answer}");
    assert_eq!(spoken.close().0, Some(0));
    std::fs::remove_file(&key).unwrap();
    let refused = fails(&[&wrap[..], &program].concat());
    assert!(refused.contains("[no-principal-key]"), "{refused}");
    let instances = machine.ok(&["--json", "instance", "list"]);
    assert_eq!(count(&instances, "\"active\""), 0, "{instances}");
}

/// The id of the one call that waits.
fn waiting(machine: &Machine) -> String {
    for _ in 0..100 {
        let listed = machine.ok(&["--json", "approvals", "list"]);
        let listed: Value = serde_json::from_str(&listed).unwrap();
        if let Some(id) = listed["approvals"][0]["approval"].as_str() {
            return id.to_owned();
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("no call waits");
}

/// The program `local` at a world, learned and published; its tools `hang` and `work` are rated
/// low.
fn learned(world: &World) -> Vec<String> {
    let line = ["python3", "-c", PROGRAM, &world.path("log")].map(str::to_owned).to_vec();
    let reads = ["--reads", "work", "--reads", "hang"];
    let learn = ["catalogue", "learn", "local", "--publish", "--agent", RUNNER];
    let mut args = [&learn[..], &reads].concat();
    args.push("--");
    args.extend(line.iter().map(String::as_str));
    world.ok(&args);
    line
}

fn wrap(world: &World, more: &[&str], line: &[String]) -> std::process::Command {
    let mut wrap = command(Path::new(EXE), world.base.path());
    wrap.arg("--data-dir").arg(&world.data).arg("wrap").args(["--server", "local"]).args(more);
    wrap.arg("--").args(line);
    wrap
}

/// A wrap that is up.
fn greeted(world: &World, more: &[&str], line: &[String]) -> Spoken {
    let mut spoken = Spoken::start(&mut wrap(world, more, line));
    assert!(spoken.hello()["result"].is_object());
    spoken
}

fn allowed(answer: &Value) -> bool {
    answer["result"]["_meta"]["io.bailiwick/decision"]["id"].is_string()
}

#[test]
fn wraps_work_beside_a_serve_and_each_other_on_one_data_dir() {
    let mut world = World::new(EXE);
    let line = learned(&world);
    let key = world.principal_key();
    let task = ["--task", "work", "--principal-key", &key];
    let chain = world.chain();
    let mut one = greeted(&world, &task, &line);
    let mut two = greeted(&world, &task, &line);
    for id in 1..=3 {
        for spoken in [&mut one, &mut two] {
            let answer = spoken.call(id, "work", json!({}));
            assert!(allowed(&answer), "{answer}");
        }
        let served = world.call(&chain, "get_ticket", json!({"ticket_id": 8821}));
        assert_eq!(served.status, 200, "{served:?}");
    }
    // A call under way elsewhere is not taken for one of an earlier life.
    let hang = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call",
        "params": {"name": "work", "arguments": {}}});
    one.write(&hang.to_string());
    let three = greeted(&world, &task, &line);
    assert!(allowed(&one.next()));
    for spoken in [one, two, three] {
        assert_eq!(spoken.close().0, Some(0));
    }
    let listed = world.ok(&["audit", "query"]).to_string();
    assert_eq!((count(&listed, "\"allow\""), count(&listed, "\"unknown\"")), (10, 0), "{listed}");
    assert_eq!(world.ok(&["audit", "verify"])["holds"], true);
    world.stop_serve();
}

#[test]
fn a_wrap_follows_keys_that_are_replaced_while_it_runs() {
    let mut world = World::new(EXE);
    let line = learned(&world);
    world.stop_serve();
    let key = world.principal_key();
    let task = ["--task", "work", "--principal-key", &key];
    let mut spoken = greeted(&world, &task, &line);
    assert!(allowed(&spoken.call(1, "work", json!({}))));
    let makers = || {
        let state = rusqlite::Connection::open(world.data.join("state.db")).unwrap();
        let sql = "SELECT count(DISTINCT maker) FROM entries WHERE kind = 'action.decided'";
        state.query_row(sql, [], |r| r.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(makers(), 1);
    world.ok(&["keys", "rotate", "gateway-maker"]);
    // What an old key signs after its overlap nobody believes any more.
    let until = Instant::now() + Duration::from_secs(10);
    while makers() < 2 {
        assert!(Instant::now() < until, "the key that was replaced still signs");
        std::thread::sleep(Duration::from_millis(200));
        assert!(allowed(&spoken.call(2, "work", json!({}))));
    }
    spoken.close();
}

#[test]
fn under_a_standing_grant_nobody_signs_and_the_grant_outlives_the_wrap() {
    let mut world = World::new(EXE);
    let line = learned(&world);
    let (out, key) = (world.path("unused.json"), world.principal_key());
    let granted = world.ok(&[
        "delegate",
        "--agent",
        RUNNER,
        "--workflow",
        "local",
        "--scope",
        "local:work",
        "--purpose",
        "p",
        "--key",
        &key,
        "--out",
        &out,
    ]);
    let grant = granted["grant"].as_str().unwrap().to_owned();
    world.stop_serve();
    for _ in 0..2 {
        let mut spoken = greeted(&world, &["--grant", &grant], &line);
        assert!(allowed(&spoken.call(1, "work", json!({}))));
        assert_eq!(spoken.close().0, Some(0));
    }
    world.ok(&["revoke", "grant", &grant, "--reason", "over"]);
    let refused = Answer::of(&mut wrap(&world, &["--grant", &grant], &line));
    assert_eq!(refused.status, 1, "{}", refused.err);
    let instances = world.ok(&["instance", "list"]).to_string();
    assert_eq!(count(&instances, "\"active\""), 2, "the world's own two: {instances}");
}

#[test]
fn what_a_killed_wrap_left_is_ended_by_whoever_comes_next() {
    let mut world = World::new(EXE);
    let line = learned(&world);
    world.stop_serve();
    let key = world.principal_key();
    let task = ["--task", "work", "--principal-key", &key];
    let mut spoken = greeted(&world, &task, &line);
    spoken.child.kill().unwrap();
    spoken.child.wait().unwrap();
    let active = |world: &World| count(&world.ok(&["instance", "list"]).to_string(), "\"active\"");
    let stands = |world: &World| {
        let grants = world.ok(&["grant", "list", "--principal", "user:142"]).to_string();
        count(&grants, "\"stands\"")
    };
    assert_eq!((active(&world), stands(&world)), (3, 1), "nobody looked yet");
    let doctor = world.run(&["doctor"]);
    assert!(doctor.out.contains("1 of killed runs were retired"), "{}", doctor.out);
    assert_eq!((active(&world), stands(&world)), (2, 0));
    // Where a serve runs, nobody needs to come.
    let mut spoken = greeted(&world, &task, &line);
    world.start_serve();
    spoken.child.kill().unwrap();
    spoken.child.wait().unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    while active(&world) > 2 || stands(&world) > 0 {
        assert!(Instant::now() < until, "the instance or its grant still stands");
        std::thread::sleep(Duration::from_millis(200));
    }
    world.stop_serve();
}

/// Allowed calls: how many are without an outcome, and of how many it is unknown.
fn outcomes(world: &World) -> (usize, usize) {
    let listed = world.ok(&["audit", "query", "--decision", "allow"]);
    let actions = listed["actions"].as_array().unwrap();
    let with = |outcome: &Value| actions.iter().filter(|a| a["outcome"] == *outcome).count();
    (with(&Value::Null), with(&json!("unknown")))
}

/// Waits until it is so.
fn until_outcomes(world: &World, expected: (usize, usize)) {
    let until = Instant::now() + Duration::from_secs(20);
    while outcomes(world) != expected {
        assert!(Instant::now() < until, "{:?}", outcomes(world));
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// A wrap with a call under way.
fn under_way(world: &World, task: &[&str], line: &[String]) -> Spoken {
    let mut spoken = greeted(world, task, line);
    let hang = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/call",
        "params": {"name": "hang", "arguments": {}}});
    spoken.write(&hang.to_string());
    spoken
}

#[test]
fn the_calls_of_a_killed_wrap_become_unknown_beside_gateways_that_live_and_theirs_do_not() {
    let mut world = World::new(EXE);
    let line = learned(&world);
    world.stop_serve();
    let key = world.principal_key();
    let task = ["--task", "work", "--principal-key", &key];
    let mut living = under_way(&world, &task, &line);
    until_outcomes(&world, (1, 0));
    let mut killed = under_way(&world, &task, &line);
    until_outcomes(&world, (2, 0));
    // Whoever looks while both live closes neither: a doctor, a wrap that comes and goes.
    let doctor = world.run(&["doctor"]);
    assert!(doctor.out.contains("killed processes left nothing"), "{}", doctor.out);
    let coming = greeted(&world, &task, &line);
    assert_eq!(coming.close().0, Some(0));
    assert_eq!(outcomes(&world), (2, 0));
    killed.child.kill().unwrap();
    killed.child.wait().unwrap();
    // The wrap that lives notices within seconds; its own call stays under way.
    until_outcomes(&world, (1, 1));
    living.child.kill().unwrap();
    living.child.wait().unwrap();
    let doctor = world.run(&["doctor"]);
    assert!(doctor.out.contains("1 calls of killed gateways"), "{}", doctor.out);
    assert_eq!(outcomes(&world), (0, 2));
    assert_eq!(world.ok(&["audit", "verify"])["holds"], true);
}

#[test]
fn what_a_program_started_ends_with_its_wrap() {
    let mut world = World::new(EXE);
    world.stop_serve();
    learned(&world);
    let pids = world.path("pids");
    let script =
        format!("sleep 300 & echo $! >> {pids}; python3 -c \"$0\" {}; true", world.path("log"));
    let line: Vec<String> =
        ["sh", "-c", &script, PROGRAM].iter().map(|part| (*part).to_owned()).collect();
    let key = world.principal_key();
    let task = ["--task", "work", "--principal-key", &key];
    let mut spoken = greeted(&world, &task, &line);
    assert!(allowed(&spoken.call(1, "work", json!({}))));
    let started = std::fs::read_to_string(&pids).unwrap();
    assert!(started.lines().any(lives), "{started}");
    assert_eq!(spoken.close().0, Some(0));
    let started = std::fs::read_to_string(&pids).unwrap();
    assert!(!started.lines().any(lives), "{started}");
}

/// The MCP Inspector's command line, as npm has it, which starts `line`.
fn inspector(home: &Path, method: &[&str], line: &[&str]) -> Answer {
    let bin = clients().join("node_modules/.bin");
    let mut command = command(&bin.join("node"), home);
    command.env("HOME", home).arg(bin.join("inspector")).args(["--cli", "--method"]).args(method);
    Answer::of(command.arg("--").args(line))
}

/// It lists what is delegated, has an allowed call answered and hears of a denied one.
fn inspects(world: &World, tools: [&str; 2], allowed: [&str; 2], denied: &str, line: &[&str]) {
    let home = world.base.path();
    let listed = inspector(home, &["tools/list"], line);
    assert_eq!(listed.status, 0, "{}{}", listed.out, listed.err);
    assert!(listed.out.contains(tools[0]) && !listed.out.contains(tools[1]), "{}", listed.out);
    let call = |argument: &str| {
        inspector(home, &["tools/call", "--tool-name", tools[0], "--tool-arg", argument], line)
    };
    let answer = call(allowed[0]);
    assert_eq!(answer.status, 0, "{}{}", answer.out, answer.err);
    assert!(answer.out.contains(allowed[1]), "{}", answer.out);
    let refused = call(denied);
    assert_ne!(refused.status, 0, "{}", refused.out);
    let said = format!("{}{}", refused.out, refused.err);
    assert!(said.contains("an argument lies outside the delegated scope"), "{said}");
    let denials = world.ok(&["audit", "query", "--decision", "deny"]).to_string();
    assert!(denials.contains("argument-not-delegated"), "{denials}");
}

#[test]
fn the_inspector_works_through_connect() {
    let mut world = World::new(EXE);
    let (url, chain, key) = (world.endpoint(), world.chain().path(), world.runner.key_file());
    let line = [EXE, "connect", &url, "--chain", &chain, "--key", &key];
    let tools = ["get_ticket", "search_customers"];
    inspects(&world, tools, ["ticket_id=8821", "The box was dented"], "ticket_id=9000", &line);
    assert_eq!(world.executed().len(), 1);
    world.stop_serve();
}

#[test]
fn the_inspector_works_through_wrap() {
    let notes = tempfile::tempdir().unwrap();
    let (milk, other) = (notes.path().join("milk.txt"), notes.path().join("other.txt"));
    std::fs::write(&milk, "buy milk").unwrap();
    std::fs::write(&other, "SECRET-CANARY").unwrap();
    let [milk, other, folder] =
        [&milk, &other, &notes.path().to_owned()].map(|path| path.display().to_string());
    let (main, files) = (published("server-filesystem"), FILES.replace("PATH", &milk));
    let program = ["node", &main, &folder];
    let wrapped = Wrapped::new(&["read_text_file", "write_file"], Some(&files), &program);
    let line = wrapped.command(&[]);
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    let (read, beyond) = (format!("path={milk}"), format!("path={other}"));
    let tools = ["read_text_file", "write_file"];
    inspects(&wrapped.world, tools, [&read, "buy milk"], &beyond, &line);
}

/// Whether a process is there and not only waiting to be reaped.
pub(crate) fn lives(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
}
