//! The demo, as a newcomer or a machine runs it.

use std::net::ToSocketAddrs as _;
use std::path::Path;

use bailiwick_testkit::http::Request;
use bailiwick_testkit::world::command;
use bailiwick_testkit::{Answer, Daemon};
use serde_json::Value;

use crate::EXE;

#[test]
fn every_line_of_the_demo_comes_out_as_expected() {
    let base = tempfile::tempdir().unwrap();
    let mut demo = command(Path::new(EXE), base.path());
    let answer = Answer::of(demo.args(["--json", "demo", "--data-dir", "played"]));
    assert_eq!(answer.status, 0, "{}{}", answer.out, answer.err);
    let events: Vec<Value> = answer
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}")))
        .collect();
    assert!(events.iter().all(Value::is_object), "{}", answer.out);
    for event in &events {
        assert!(event["event"].is_string(), "{event}");
        if !event["as_expected"].is_null() {
            assert_eq!(event["as_expected"], true, "{event}");
        }
    }
    let end = events.last().unwrap();
    assert_eq!((&end["event"], &end["ok"]), (&"end".into(), &true.into()), "{end}");
    assert_eq!(end["surprises"], 0, "{end}");
    // The story of the issue, by what each line came to.
    let actions: Vec<&Value> = events.iter().filter(|e| e["event"] == "action").collect();
    let expected: Vec<&str> = actions.iter().map(|a| a["expected"].as_str().unwrap()).collect();
    let story = [
        "allow",
        "allow",
        "argument-not-delegated",
        "tool-not-delegated",
        "approval-required",
        "allow",
        "approval-required",
        "allow",
        "argument-not-delegated",
        "authority-widened",
        "proof-invalid",
        "allow",
        "proof-replayed",
        "proof-other-arguments",
        "key-not-enrolled",
        "token-expired",
        "revoked",
        "revoked",
        // The second act.
        "allow",
        "allow",
        "approval-required",
        "allow",
        // The third act.
        "approval-required",
        "allow",
        "allow",
    ];
    assert_eq!(expected, story);
    let kinds = ["delegation", "listing", "bypass", "work", "report", "table", "call_log", "audit"];
    for kind in kinds.into_iter().chain(["evidence"]) {
        assert!(events.iter().any(|e| e["event"] == kind), "an event `{kind}`");
    }
    assert_agents_are_mcp_clients(&events, &actions);
    assert_the_ledger_answers(&events, &actions);
    // What it left behind can be looked at by the commands that it names.
    let verify = ["--json", "audit", "verify", "--data-dir", "played/authority"];
    let verified = Answer::of(command(Path::new(EXE), base.path()).args(verify));
    assert_eq!(verified.status, 0, "{}", verified.out);
    // It does not play over what is there.
    let again = Answer::of(command(Path::new(EXE), base.path()).args([
        "--json",
        "demo",
        "--data-dir",
        "played",
    ]));
    assert_ne!(again.status, 0, "{}", again.out);
    assert!(!again.code().is_empty(), "{}", again.out);
}

/// A call and a listing in each protocol version; only attackers go without
/// a client.
fn assert_agents_are_mcp_clients(events: &[Value], actions: &[&Value]) {
    for protocol in ["2025-11-25", "2026-07-28"] {
        let listing = events.iter().find(|e| e["event"] == "listing" && e["protocol"] == protocol);
        let tools = listing.unwrap_or_else(|| panic!("no listing in {protocol}"));
        assert!(tools["tools"].as_array().is_some_and(|t| !t.is_empty()), "{tools}");
        let allowed = |a: &&&Value| a["protocol"] == protocol && a["expected"] == "allow";
        let called = actions.iter().filter(allowed).filter(|a| a["direct"] == false).count();
        assert!(called > 0, "no call in {protocol}");
    }
    let direct: Vec<&str> = actions
        .iter()
        .filter(|a| a["direct"] == true)
        .map(|a| a["expected"].as_str().unwrap())
        .collect();
    let attacks = ["authority-widened", "proof-invalid", "proof-replayed", "proof-other-arguments"];
    assert_eq!(direct, attacks);
}

/// User, agent, task, requested action, decision, reason and outcome of every
/// call, of those the gateway does not know as well.
fn assert_the_ledger_answers(events: &[Value], actions: &[&Value]) {
    let table = events.iter().find(|e| e["event"] == "table").unwrap();
    let rows = table["rows"].as_array().unwrap();
    assert!(rows.len() >= actions.len(), "{table}");
    let text = |row: &Value, member: &str| row[member].as_str().unwrap_or_default().to_owned();
    for action in actions {
        let id = &action["record"]["action"];
        let row = rows.iter().find(|r| r["action"] == *id);
        let row = row.unwrap_or_else(|| panic!("no row of {action}"));
        let expected = action["expected"].as_str().unwrap();
        if expected == "allow" {
            assert_eq!((&row["decision"], &row["outcome"]), (&"allow".into(), &"ok".into()));
        } else {
            let asked = expected == "approval-required";
            let decision = if asked { "approval_required" } else { "deny" };
            assert_eq!((&row["decision"], &row["reason"]), (&decision.into(), &expected.into()));
            assert_eq!(row["outcome"], "not_executed");
        }
        assert!(text(row, "requested").starts_with("mcp:support-desk:"), "{row}");
        if row["authenticated"] == true {
            assert_eq!(row["user"], "user:142", "{row}");
            assert!(text(row, "agent").starts_with("agent:"), "{row}");
            assert_eq!(row["task"], action["record"]["task"], "{row}");
            assert!(!text(row, "task").is_empty(), "{row}");
        } else {
            for member in ["user", "agent", "task"] {
                assert_eq!(row[member], "not authenticated", "{row}");
            }
        }
    }
    let strangers: Vec<String> =
        rows.iter().filter(|r| r["authenticated"] == false).map(|r| text(r, "reason")).collect();
    let reasons = [
        "authority-widened",
        "proof-invalid",
        "proof-other-arguments",
        "key-not-enrolled",
        "token-expired",
    ];
    assert_eq!(strangers, reasons);
}

/// What a person reads, without what differs from run to run.
fn without_accidents(text: &str, base: &Path) -> String {
    let text = text.replace(&base.display().to_string(), "BASE");
    let mut out = String::new();
    for piece in text.split_inclusive([' ', '\n', '/', ')', ',']) {
        let word = piece.trim_end_matches([' ', '\n', '/', ')', ',', ':']);
        let hex = |w: &str| w.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        let id = word.strip_prefix("bailiwick-demo-").unwrap_or(word);
        let hidden = if id.len() == 36 && hex(id) {
            word.replace(id, "ID")
        } else if word.chars().count() == 9 && word.starts_with('…') {
            "…xxxxxxxx".to_owned()
        } else if let Some(host) =
            ["127.0.0.1:", "localhost:"].into_iter().find(|h| word.starts_with(h))
        {
            format!("{host}PORT")
        } else {
            word.to_owned()
        };
        out.push_str(&hidden);
        out.push_str(piece.get(word.len()..).unwrap());
    }
    out
}

#[test]
fn a_newcomer_reads_what_happened_where_it_lies_and_how_to_get_rid_of_it() {
    let base = tempfile::tempdir().unwrap();
    let mut demo = command(Path::new(EXE), base.path());
    let played = Answer::of(demo.env("TMPDIR", base.path()).arg("demo"));
    assert_eq!(played.status, 0, "{}{}", played.out, played.err);
    assert_eq!(played.err, "");
    // How many messages a client sends to say goodbye is its own affair.
    let lines = played.out.lines().filter(|line| !line.starts_with("besides, "));
    let lines =
        lines.map(|line| match (line.split_once("; trust "), line.split_once(" entries")) {
            (Some((before, _)), _) => format!("{before}; trust FINGERPRINT)"),
            (_, Some((before, after))) => {
                format!(
                    "{} N entries{after}",
                    before.trim_end_matches(|c: char| c.is_ascii_digit()).trim()
                )
            }
            _ => line.to_owned(),
        });
    let text = lines.collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!("demo", without_accidents(&text, base.path()));
    // It is where it says, and the way to remove it works.
    let remove = played.out.lines().find_map(|l| l.trim().strip_prefix("rm -r ")).unwrap();
    let folder = Path::new(remove.split_whitespace().next().unwrap());
    assert!(folder.starts_with(base.path()) && folder.join("authority/state.db").exists());
    std::fs::remove_dir_all(folder).unwrap();
    assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 0, "nothing else is left");
}

#[test]
fn a_demo_that_is_kept_serves_until_it_is_told_to_stop() {
    let base = tempfile::tempdir().unwrap();
    let mut demo = command(Path::new(EXE), base.path());
    demo.args(["--json", "demo", "--keep", "--data-dir", "played"]);
    let demo = Daemon::start_until("end", &mut demo, &base.path().join("log")).unwrap();
    let url = demo.said["url"].as_str().unwrap();
    let host = url.trim_start_matches("http://").split('/').next().unwrap();
    let address = host.to_socket_addrs().unwrap().find(|a| a.is_ipv4()).unwrap();
    let healthy = Request::bare("GET", "/healthz");
    assert_eq!(healthy.send(address).unwrap().text(), "ok\n");
    let status = demo.stop();
    assert!(status.success(), "{status}");
    assert!(healthy.send(address).is_err(), "nothing listens any more");
}
