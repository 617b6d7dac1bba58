//! What lists show to people, and that every time in JSON has one form.

use std::path::Path;

use bailiwick_testkit::present::SERVER;
use bailiwick_testkit::world::{PRINCIPAL, READER, RUNNER, command};
use bailiwick_testkit::{Answer, World};
use serde_json::{Value, json};

use crate::EXE;

fn said(world: &World, args: &[&str]) -> String {
    let mut command = command(Path::new(EXE), world.base.path());
    let answer = Answer::of(command.arg("--data-dir").arg(&world.data).args(args));
    assert_eq!(answer.status, 0, "{args:?}: {}{}", answer.out, answer.err);
    answer.out
}

/// The line of a list that begins with this cell, by its columns.
fn row(text: &str, first: &str) -> Vec<String> {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(first));
    let line = line.unwrap_or_else(|| panic!("no line begins with {first}:\n{text}"));
    line.split("  ").map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).collect()
}

#[test]
fn lists_say_whose_a_thing_is_and_how_it_stands() {
    let world = World::new(EXE);
    let _chain = world.chain();
    let agents = said(&world, &["agent", "list"]);
    assert_eq!(row(&agents, "agent"), ["agent", "owner", "status", "version"]);
    assert_eq!(row(&agents, RUNNER)[..3], [RUNNER, "user:owner", "active"]);
    let instance = world.runner.instance.as_str();
    let instances = said(&world, &["instance", "list"]);
    assert_eq!(row(&instances, instance), [instance, RUNNER, "active"]);
    let workflows = said(&world, &["workflow", "list"]);
    assert_eq!(row(&workflows, "support-tickets")[1..3], ["user:owner", "published"]);
    let tasks = world.ok(&["task", "list"])["tasks"].clone();
    let task = tasks[0]["task"].as_str().unwrap();
    let text = said(&world, &["task", "list"]);
    assert_eq!(row(&text, task)[..5], [task, PRINCIPAL, RUNNER, "support-tickets", "open"]);
    let servers = said(&world, &["tool-server", "list"]);
    assert_eq!(row(&servers, SERVER)[1], "active");
    let grant = world.ok(&["grant", "list", "--principal", PRINCIPAL])["grants"][0].clone();
    let grant = grant["grant"].as_str().unwrap();
    let roots = |state: &str| {
        let text = said(&world, &["delegation", "list", "--grant", grant]);
        assert!(text.lines().nth(1).unwrap().ends_with(state), "{text}");
    };
    roots("stands");

    // What was revoked is shown as that, and an owner who is erased has no name.
    world.ok(&["revoke", "grant", grant, "--reason", "over"]);
    roots("revoked");
    world.ok(&["revoke", "task", task, "--reason", "over"]);
    assert_eq!(row(&said(&world, &["task", "list"]), task)[4], "revoked");
    world.ok(&["revoke", "instance", instance, "--reason", "stolen"]);
    assert_eq!(row(&said(&world, &["instance", "list"]), instance)[2], "revoked");
    world.ok(&["revoke", "workflow", "support-tickets", "--reason", "over"]);
    let workflows = said(&world, &["workflow", "list"]);
    assert_eq!(row(&workflows, "support-tickets")[2], "revoked");
    world.ok(&["revoke", "tool-server", SERVER, "--reason", "gone"]);
    assert_eq!(row(&said(&world, &["tool-server", "list"]), SERVER)[1], "revoked");
    world.ok(&["principal", "suspend", "user:owner"]);
    world.ok(&["audit", "erase", "user:owner", "--yes"]);
    assert_eq!(row(&said(&world, &["agent", "list"]), READER)[1], "(erased)");
    assert_eq!(world.ok(&["agent", "list"])["agents"][0]["owner"], Value::Null);
}

#[test]
fn a_renewal_says_what_was_renewed_until_when_and_what_comes_next() {
    let world = World::new(EXE);
    let _chain = world.chain();
    let grants = world.ok(&["grant", "list", "--principal", PRINCIPAL]);
    let grant = grants["grants"][0]["grant"].as_str().unwrap();
    let (out, key) = (world.path("fresh.json"), world.runner.key_file());
    let url = format!("{}/", world.public_url);
    let renew = ["delegation", "renew", "--authority", &url, "--key", &key, "--grant", grant];
    let text = said(&world, &[&renew[..], &["--out", &out]].concat());
    assert!(text.starts_with(&format!("renewed the chain {out}\n")), "{text}");
    let call = format!("bailiwick call --url {}/mcp/SERVER --chain {out}", world.public_url);
    for fact in [grant, "until  20", "ticket:8821 orders:read", "next:", "--keep", &call] {
        assert!(text.contains(fact), "no `{fact}` in {text}");
    }
}

/// Members that are points in time.
fn is_time(name: &str) -> bool {
    let times = ["not_after", "not_before", "issued", "expires", "time", "created", "published"];
    let more = ["added", "last_used", "since", "accepted_from", "accepted_until", "at"];
    name.ends_with("_at")
        || name.ends_with("_until")
        || times.contains(&name)
        || more.contains(&name)
}

/// Counts the times in an answer. What somebody signed keeps the form in
/// which it was signed: claims of tokens, the statement of a grant, the body of
/// an entry.
fn times(json: &Value, verb: &str) -> usize {
    match json {
        Value::Array(items) => items.iter().map(|item| times(item, verb)).sum(),
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| !["body", "claims", "record", "statement"].contains(&name.as_str()))
            .map(|(name, value)| match value {
                Value::Null => 0,
                value if is_time(name) => {
                    let text =
                        value.as_str().unwrap_or_else(|| panic!("{verb}: {name} is {value}"));
                    // 2026-11-26T08:00:00.000Z
                    let form: String =
                        text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
                    assert_eq!(form, "0000-00-00T00:00:00.000Z", "{verb}: {name} is {value}");
                    1
                }
                value => times(value, verb),
            })
            .sum(),
        _ => 0,
    }
}

#[test]
fn every_time_in_json_is_rfc_3339_with_milliseconds() {
    let world = World::new(EXE);
    let chain = world.chain();
    let answer = world.call(&chain, "get_ticket", json!({"ticket_id": 8821}));
    let action = world.assert_allowed(&answer, "ok");
    let grants = world.ok(&["grant", "list", "--principal", PRINCIPAL]);
    let grant = grants["grants"][0]["grant"].as_str().unwrap().to_owned();
    world.ok(&["keys", "rotate", "snapshot"]);
    let (file, runner, reader) = (chain.path(), world.runner.key_file(), world.reader.document());
    let (url, principal) = (world.public_url.as_str(), world.principal_key());
    let path = |name: &str| world.path(name);
    let trust = path("trust.json");
    world.ok(&["keys", "trust", "-o", &trust]);
    let bundle = path("bundle.json");
    world.ok(&["evidence", "get", &action, "-o", &bundle]);
    let verbs: &[(usize, &[&str])] = &[
        (2, &["grant", "list", "--principal", PRINCIPAL]),
        (2, &["grant", "show", &grant]),
        (2, &["delegation", "list", "--grant", &grant]),
        (1, &["delegation", "reissue", "--grant", &grant, "--out", &path("a.json")]),
        (
            1,
            &[
                "delegation",
                "renew",
                "--authority",
                url,
                "--key",
                &runner,
                "--grant",
                &grant,
                "--out",
                &path("b.json"),
            ],
        ),
        (
            1,
            &[
                "delegate",
                "--agent",
                RUNNER,
                "--scope",
                "orders:read",
                "--purpose",
                "p",
                "--key",
                &principal,
                "--out",
                &path("c.json"),
            ],
        ),
        (
            1,
            &[
                "delegate",
                "--authority",
                url,
                "--agent",
                RUNNER,
                "--scope",
                "orders:read",
                "--purpose",
                "p",
                "--key",
                &principal,
                "--out",
                &path("d.json"),
            ],
        ),
        (
            1,
            &[
                "attenuate",
                "--chain",
                &file,
                "--key",
                &runner,
                "--to",
                &reader,
                "--out",
                &path("e.json"),
            ],
        ),
        (1, &["instance", "identity", "--authority", url, "--key", &runner]),
        (1, &["task", "list"]),
        (1, &["workflow", "list"]),
        (2, &["keys", "list"]),
        (1, &["audit", "query"]),
        (1, &["audit", "show", &action]),
        (1, &["audit", "show", "0"]),
        (1, &["audit", "tail", "-n", "1"]),
        (2, &["evidence", "verify", &bundle, "--trust", &trust]),
        (0, &["audit", "verify"]),
        (0, &["inspect", &file]),
        (0, &["doctor"]),
    ];
    for (least, verb) in verbs {
        let found = times(&world.ok(verb), &verb.join(" "));
        assert!(found >= *least, "{verb:?} shows {found} times");
    }
}
