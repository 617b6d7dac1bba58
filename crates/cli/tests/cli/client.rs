//! An agent as an MCP client: `call` in both protocol versions, from its
//! opening to its goodbye, over the real gateway.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use bailiwick_testkit::present::{Chain, Holder, SESSIONS, STATELESS};
use bailiwick_testkit::world::{OWNER, READER, RUNNER, command};
use bailiwick_testkit::{Answer, World};
use serde_json::{Value, json};

use crate::EXE;

/// What an agent says to `call` besides where to go and who it is.
fn call(world: &World, chain: &Chain, holder: &Holder, protocol: &str, more: &[&str]) -> Answer {
    let (url, chain, key) = (world.endpoint(), chain.path(), holder.key_file());
    let who = ["call", "--url", &url, "--chain", &chain, "--key", &key, "--protocol", protocol];
    world.run(&[&who[..], more].concat())
}

/// The names in a listing.
fn names(listed: &Value) -> Vec<&str> {
    let mut names: Vec<&str> =
        listed["tools"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn both_protocols_list_call_and_tell_errors_from_denials() {
    let world = World::new(EXE);
    let chain = world.chain();
    for protocol in [SESSIONS, STATELESS] {
        let before = world.executed().len();
        let ask = |more: &[&str]| call(&world, &chain, &world.runner, protocol, more);
        let listed = ask(&[]);
        assert_eq!(listed.status, 0, "{protocol}: {}{}", listed.out, listed.err);
        let listed = listed.json();
        assert_eq!(listed["protocol"], protocol);
        let mut shown = names(&listed);
        shown.retain(|name| bailiwick_gateway::own::Own::named(name).is_none());
        assert_eq!(shown, ["get_order", "get_ticket", "list_orders"]);

        let allowed = ask(&["get_ticket", "ticket_id=8821"]);
        assert_eq!(allowed.status, 0, "{protocol}: {}{}", allowed.out, allowed.err);
        let allowed = allowed.json();
        assert_eq!(
            (&allowed["protocol"], &allowed["tool_error"]),
            (&protocol.into(), &false.into())
        );
        assert!(allowed["result"]["content"][0]["text"].as_str().unwrap().contains("8821"));
        let record = world.recorded(allowed["decision_id"].as_str().unwrap());
        assert_eq!((&record["decision"], &record["outcome"]), (&"allow".into(), &"ok".into()));

        // The tool's own error is an answer, not a denial.
        let failed = ask(&["get_order", "order_id=99999999"]);
        assert_eq!(failed.status, 0, "{protocol}: {}{}", failed.out, failed.err);
        let failed = failed.json();
        assert_eq!((&failed["decision"], &failed["tool_error"]), (&"allow".into(), &true.into()));
        let record = world.recorded(failed["decision_id"].as_str().unwrap());
        assert_eq!((&record["decision"], &record["outcome"]), (&"allow".into(), &"error".into()));

        let denied = ask(&["get_ticket", "ticket_id=9000"]);
        assert_eq!(denied.status, 1, "{protocol}: {}{}", denied.out, denied.err);
        let denied = denied.json();
        assert_eq!(denied["code"], "argument-not-delegated", "{denied}");
        assert!(denied["remedy"].as_str().is_some_and(|r| !r.is_empty()), "{denied}");
        assert_eq!(world.recorded(denied["decision_id"].as_str().unwrap())["decision"], "deny");
        assert_eq!(world.executed().len(), before + 2, "{protocol}");
    }
}

#[test]
fn whoever_is_not_enrolled_does_not_even_connect() {
    let world = World::new(EXE);
    let chain = world.chain();
    let stranger = world.instance("stranger", READER);
    let derived = world.attenuate(&chain, &world.runner, &stranger, &[]);
    for protocol in [SESSIONS, STATELESS] {
        for more in [&[][..], &["get_ticket", "ticket_id=8821"]] {
            let refused = call(&world, &derived, &stranger, protocol, more);
            assert_eq!(refused.status, 1, "{protocol}: {}{}", refused.out, refused.err);
            let refused = refused.json();
            assert_eq!(
                (&refused["decision"], &refused["code"]),
                (&"deny".into(), &"not-authenticated".into())
            );
            let record = world.recorded(refused["decision_id"].as_str().unwrap());
            assert_eq!(record["reason"], "key-not-enrolled", "{protocol}: {record}");
        }
    }
    assert!(world.executed().is_empty());
    // Nobody there is another matter: the network, not a refusal.
    let url = "http://127.0.0.1:9/mcp/support-desk";
    let (path, key) = (chain.path(), world.runner.key_file());
    let away = world.run(&["call", "--url", url, "--chain", &path, "--key", &key]);
    assert_eq!((away.status, away.code().as_str()), (3, "cannot-connect"), "{}", away.out);
}

#[test]
fn one_connection_serves_call_after_call_until_it_is_revoked() {
    let world = World::new(EXE);
    for protocol in [SESSIONS, STATELESS] {
        let chain = world.chain();
        let mut agent = command(Path::new(EXE), world.base.path());
        let (url, key) = (world.endpoint(), world.runner.key_file());
        agent
            .args(["--json", "call", "--url", &url, "--chain", &chain.path(), "--key", &key])
            .args(["--protocol", protocol, "--stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut agent = agent.spawn().unwrap();
        let mut stdin = agent.stdin.take().unwrap();
        let stdout = std::io::BufReader::new(agent.stdout.take().unwrap());
        let mut lines = std::io::BufRead::lines(stdout);
        let mut next = || -> Value {
            serde_json::from_str(&lines.next().expect("an answer").unwrap()).unwrap()
        };
        let hello = next();
        assert_eq!((&hello["event"], &hello["protocol"]), (&"connected".into(), &protocol.into()));
        let ticket = json!({"tool": "get_ticket", "arguments": {"ticket_id": 8821}});
        writeln!(stdin, "{{}}\n\n{ticket}").unwrap();
        // Three tools of the desk, and five of the gateway's own.
        assert_eq!(names(&next()).len(), 8);
        assert_eq!(next()["decision"], "allow", "{protocol}");
        world.ok(&["revoke", "delegation", "--chain", &chain.path(), "--reason", "done"]);
        writeln!(stdin, "{ticket}").unwrap();
        let denied = next();
        assert_eq!(denied["code"], "revoked", "{protocol}: {denied}");
        let record = world.recorded(denied["decision_id"].as_str().unwrap());
        assert_eq!(record["tool"], "mcp:support-desk:tools/get_ticket", "{record}");
        drop(stdin);
        assert_eq!(agent.wait().unwrap().code(), Some(1), "a call was denied");
    }
    assert_eq!(world.executed().len(), 2);
}

#[test]
fn nothing_is_granted_when_there_is_no_place_for_the_chain() {
    let world = World::new(EXE);
    let key = world.principal_key();
    let taken = world.path("taken.json");
    std::fs::write(&taken, "something").unwrap();
    let size = || world.ok(&["audit", "checkpoint"])["entries"].clone();
    let before = size();
    for (out, code) in [(taken.as_str(), "file-exists"), ("/nowhere/chain.json", "file")] {
        let answer = world.run(&[
            "delegate",
            "--agent",
            RUNNER,
            "--purpose",
            "x",
            "--key",
            &key,
            "--scope",
            "ticket:8821",
            "--out",
            out,
        ]);
        assert_eq!((answer.status, answer.code().as_str()), (3, code), "{}", answer.out);
    }
    // Refused: the place that was kept for it is free again.
    let free = world.path("free.json");
    let refused = world.run(&[
        "delegate",
        "--agent",
        RUNNER,
        "--purpose",
        "x",
        "--key",
        &key,
        "--scope",
        "no-such",
        "--out",
        &free,
    ]);
    assert_ne!(refused.status, 0);
    assert!(!std::path::Path::new(&free).exists());
    assert_eq!(std::fs::read_to_string(&taken).unwrap(), "something");
    assert_eq!(size(), before);
}

#[test]
fn the_ledger_is_searched_by_the_names_that_it_shows() {
    let world = World::new(EXE);
    let chain = world.chain();
    world.assert_allowed(&world.call(&chain, "get_ticket", json!({"ticket_id": 8821})), "ok");
    let found = |args: &[&str]| {
        let all = world.ok(&[&["audit", "query"], args].concat());
        all["actions"].as_array().unwrap().len()
    };
    let task = world.ok(&["task", "list"])["tasks"][0]["task"].as_str().unwrap().to_owned();
    let end = &task[task.len() - 8..];
    for args in [
        ["--agent", "support-runner"],
        ["--agent", RUNNER],
        ["--tool", "get_ticket"],
        ["--tool", "mcp:support-desk:tools/get_ticket"],
        ["--task", end],
        ["--task", task.as_str()],
    ] {
        assert_eq!(found(&args), 1, "{args:?}");
    }
    for args in [["--tool", "get_tickets"], ["--task", "nothing"]] {
        let answer = world.run(&["audit", "query", args[0], args[1]]);
        assert_eq!((answer.status, answer.code().as_str()), (4, "unknown-name"), "{}", answer.out);
    }
}

#[test]
fn a_revoked_agent_is_shown_as_such_and_does_not_come_back() {
    let world = World::new(EXE);
    world.ok(&["revoke", "agent", RUNNER, "--reason", "key stolen"]);
    let agents = world.ok(&["agent", "list"]);
    let listed = agents["agents"].as_array().unwrap().iter().find(|a| a["agent"] == RUNNER);
    assert_eq!(listed.unwrap()["status"], "revoked", "{agents}");
    let resumed = world.run(&["agent", "resume", RUNNER]);
    assert_eq!((resumed.status, resumed.code().as_str()), (1, "revoked"), "{}", resumed.out);
}

#[test]
fn an_instance_on_another_host_needs_the_authoritys_name() {
    let world = World::new(EXE);
    let elsewhere = world.base.path().join("elsewhere");
    let (key, out) = (world.path("new.key"), world.path("new.json"));
    let args =
        ["instance", "new", "--agent", RUNNER, "--owner", OWNER, "--key", &key, "--out", &out];
    let answer = world.run_on(&elsewhere, &args);
    assert_eq!((answer.status, answer.code().as_str()), (2, "authority-missing"), "{}", answer.out);
    assert!(!std::path::Path::new(&key).exists());
}
