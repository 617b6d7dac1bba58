//! The demo, as a newcomer or a machine runs it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::net::ToSocketAddrs as _;
use std::path::Path;

use bailiwick_testkit::http::Request;
use bailiwick_testkit::world::command;
use bailiwick_testkit::{Answer, Daemon};
use serde_json::Value;

const EXE: &str = env!("CARGO_BIN_EXE_bailiwick");

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
    ];
    assert_eq!(expected, story);
    for kind in ["delegation", "bypass", "call_log", "audit", "evidence"] {
        assert!(events.iter().any(|e| e["event"] == kind), "an event `{kind}`");
    }
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
