//! The command line: help, exit statuses, errors for people and machines.

use std::fs;
use std::path::{Path, PathBuf};

use bailiwick_testkit::world::{READER, RUNNER, command, free_port};
use bailiwick_testkit::{Answer, World};
use serde_json::json;

use crate::EXE;
const WORKFLOW: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../workflows/support-tickets.yaml");

/// Runs the binary in a folder.
pub(crate) fn run(home: &Path, args: &[&str]) -> Answer {
    Answer::of(command(Path::new(EXE), home).args(args))
}

/// A data dir that was just initialised.
pub(crate) fn initialised() -> (tempfile::TempDir, PathBuf) {
    let base = tempfile::tempdir().unwrap();
    let listen = format!("127.0.0.1:{}", free_port());
    let answer = run(base.path(), &["init", "--yes", "--listen", &listen]);
    assert_eq!(answer.status, 0, "{}", answer.err);
    let data = base.path().join("bailiwick-data");
    (base, data)
}

#[test]
fn a_listener_follows_the_port_of_a_public_url_on_this_machine() {
    let base = tempfile::tempdir().unwrap();
    for (dir, more, listen) in [
        ("near", &["--public-url", "http://localhost:7520"][..], "127.0.0.1:7520"),
        ("far", &["--public-url", "https://gate.example.com"], "127.0.0.1:7417"),
        (
            "said",
            &["--public-url", "http://localhost:7520", "--listen", "127.0.0.1:7521"],
            "127.0.0.1:7521",
        ),
    ] {
        let made =
            run(base.path(), &[&["--json", "init", "--yes", "--data-dir", dir], more].concat());
        assert_eq!(made.json()["listen"], listen, "{}{}", made.out, made.err);
        let shown = run(base.path(), &["--json", "config", "show", "--data-dir", dir]).json();
        assert_eq!(shown["listen"]["value"], listen);
    }
}

/// Every verb, as its help lists them.
pub(crate) fn verbs(home: &Path, above: &[&str]) -> Vec<Vec<String>> {
    let help = run(home, &[above, &["--help"]].concat()).out;
    let listed = help.split("Commands:\n").nth(1).unwrap_or_default();
    let listed = listed.split("\n\n").next().unwrap_or_default();
    let names = listed
        .lines()
        .filter(|l| l.starts_with("  ") && !l.starts_with("   "))
        .filter_map(|l| l.split_whitespace().next())
        .filter(|n| *n != "help");
    let mut all = vec![above.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>()];
    for name in names {
        all.extend(verbs(home, &[above, &[name]].concat()));
    }
    all
}

#[test]
fn help_says_what_every_verb_does() {
    let base = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for verb in verbs(base.path(), &[]) {
        let verb: Vec<&str> = verb.iter().map(String::as_str).collect();
        let help = run(base.path(), &[&verb[..], &["--help"]].concat());
        assert_eq!((help.status, help.err.as_str()), (0, ""), "{verb:?}");
        text.push_str(&format!(
            "$ bailiwick {}\n\n{}\n",
            [&verb[..], &["--help"]].concat().join(" "),
            help.out
        ));
    }
    insta::assert_snapshot!("help", text);
}

#[test]
fn failures_have_a_status_a_code_a_sentence_and_a_remedy() {
    let (base, data) = initialised();
    let home = base.path();
    fs::write(home.join("bad.json"), "{\"a\":1,\"a\":2}").unwrap();
    fs::write(home.join("bad.yaml"), "workflow: [").unwrap();
    run(home, &["principal", "add", "user:1", "--key", "one.key"]);
    let cases: &[(&[&str], i32, &str)] = &[
        // 1: refused.
        (&["init", "--yes"], 1, "already-initialised"),
        (&["principal", "add", "user:1", "--key", "two.key"], 1, "already-exists"),
        // 2: wrong usage or input.
        (&["nonsense"], 2, "usage"),
        (&["audit", "show"], 2, "usage"),
        (&["principal", "add", "nobody"], 2, "id-malformed"),
        (&["evidence", "verify", "bad.json"], 2, "no-trust-file"),
        (&["audit", "verify", "--ledger", "."], 2, "no-trust-file"),
        (&["workflow", "check", "bad.yaml"], 2, "workflow-malformed"),
        (&["instance", "enrol", "missing.json"], 2, "file"),
        (&["instance", "enrol", "bad.json"], 2, "json-duplicate-member"),
        (&["audit", "query", "--from", "yesterday"], 2, "time-malformed"),
        // 3: the environment.
        (&["audit", "verify", "--data-dir", "nowhere"], 3, "no-data-dir"),
        (&["serve", "--data-dir", "nowhere"], 3, "no-data-dir"),
        (&["principal", "add", "user:2", "--key", "one.key"], 3, "file-exists"),
        // 4: nothing by that name.
        (&["audit", "show", "no-such-thing"], 4, "not-found"),
        (&["agent", "add", "agent:a", "--owner", "user:nobody"], 4, "unknown-name"),
        (&["tool-server", "pin", "nobody"], 4, "not-found"),
    ];
    for (args, status, code) in cases {
        let told = run(home, args);
        assert_eq!(told.status, *status, "{args:?}: {}{}", told.out, told.err);
        assert!(told.err.starts_with("error: "), "{args:?}: {}", told.err);
        let machine = run(home, &[&["--json"], *args].concat());
        assert_eq!(machine.status, *status, "{args:?}: {}{}", machine.out, machine.err);
        let error = &machine.json()["error"];
        assert_eq!(error["code"], *code, "{args:?}: {error}");
        let members: Vec<&String> = error.as_object().unwrap().keys().collect();
        assert_eq!(members, ["code", "message", "remedy"], "{error}");
        for member in ["message", "remedy"] {
            assert!(error[member].as_str().is_some_and(|t| !t.is_empty()), "{args:?}: {error}");
        }
        for text in [&told.err, &machine.err, &machine.out] {
            for trace in ["panicked", "RUST_BACKTRACE", "src/", ".rs:", "Error {"] {
                assert!(!text.contains(trace), "{args:?} shows `{trace}`: {text}");
            }
        }
    }
    assert!(data.exists());
    // Each problem of a file is one line that says where, what, and what to do, once.
    let workflow = run(home, &["workflow", "check", "bad.yaml"]).err;
    assert_eq!(workflow.lines().count(), 3, "{workflow}");
    assert_eq!(workflow.matches("mend the line").count(), 1, "{workflow}");
    assert!(workflow.contains("line 1, column "), "{workflow}");
    fs::write(home.join("several.yaml"), "workflow: X Y\nlevel: none\n").unwrap();
    let several = run(home, &["workflow", "check", "several.yaml"]).err;
    let problems: Vec<&str> = several.lines().filter(|l| l.ends_with(']')).collect();
    assert!(problems.len() > 2, "{several}");
    assert!(problems.iter().all(|l| l.matches(" [").count() == 1), "{several}");
    let many = format!("{} problems [", problems.len() - 1);
    assert!(problems.last().is_some_and(|l| l.contains(&many)), "{several}");
    // A command that failed did nothing by halves.
    let known = run(home, &["--json", "principal", "list"]).out;
    assert!(known.contains("user:1") && !known.contains("user:2"), "{known}");
    assert!(!home.join("two.key").exists());
}

#[test]
fn a_scope_shorthand_is_explained() {
    let (base, _data) = initialised();
    let home = base.path();
    let none = run(home, &["--json", "scope", "explain", "orders:read"]);
    assert_eq!((none.status, none.code().as_str()), (1, "no-workflow"), "{}", none.out);
    let explain = ["scope", "explain", "orders:read", "ticket:8821", "--file", WORKFLOW];
    let text = run(home, &explain);
    assert_eq!(text.status, 0, "{}", text.err);
    insta::assert_snapshot!("scope-explain", text.out);
    let machine = run(home, &[&["--json"], &explain[..]].concat()).json();
    let tools = machine["tools"].as_object().unwrap();
    assert_eq!(tools.len(), 3, "{machine}");
    let exactly = json!({"constraint_type": "exact", "value": 8821});
    assert_eq!(
        machine["tools"]["mcp:support-desk:tools/get_ticket"],
        json!({"ticket_id": exactly})
    );
    let unknown = run(home, &["--json", "scope", "explain", "orders:raed", "--file", WORKFLOW]);
    assert_ne!(unknown.status, 0);
    assert!(unknown.out.contains("orders:read"), "it names what may be meant: {}", unknown.out);
    let injected = run(home, &["scope", "explain", "ticket:8821\u{1b}[2J", "--file", WORKFLOW]);
    assert!(!injected.err.contains('\u{1b}'), "{:?}", injected.err);
}

#[test]
fn only_the_principals_own_key_signs_its_grants() {
    let world = World::new(EXE);
    let request = json!({
        "principal": "user:142", "agent": RUNNER, "scope": ["orders:read"],
        "expiresAt": bailiwick_testkit::present::now().plus_seconds(600).to_string(),
        "purpose": "resolve support ticket",
    });
    fs::write(world.path("request.json"), request.to_string()).unwrap();
    let delegate = |key: &str, out: &str| {
        world.run(&[
            "delegate",
            "--request",
            &world.path("request.json"),
            "--key",
            key,
            "--out",
            out,
        ])
    };
    // Somebody else's key, and the keys that an administrator has.
    let admin = world.data.join("keys/issuer.jwk").display().to_string();
    let out = world.path("stolen.json");
    assert_eq!(delegate(&world.path("owner/key.json"), &out).code(), "not-your-grant");
    assert_eq!(delegate(&admin, &out).code(), "key-file-malformed");
    // The owner's key under the principal's name.
    let owner = fs::read_to_string(world.path("owner/key.json")).unwrap();
    let forged = world.path("forged.json");
    bailiwick_testkit::world::private(Path::new(&forged), &owner.replace("user:owner", "user:142"));
    let answer = delegate(&forged, &out);
    assert_eq!(answer.status, 1, "{}", answer.out);
    assert!(!Path::new(&out).exists(), "no chain was written");
    assert_eq!(delegate(&world.principal_key(), &out).status, 0);
    // Who inspects it sees for whom and what.
    let seen = world.ok(&["inspect", &out]).to_string();
    for fact in ["user:142", RUNNER, "get_order"] {
        assert!(seen.contains(fact), "{seen}");
    }
    assert!(!seen.contains(READER), "{seen}");
}

#[test]
fn an_argument_that_would_narrow_nothing_is_an_error() {
    let world = World::new(EXE);
    let chain = world.chain();
    let (path, out) = (chain.path(), world.path("child.json"));
    let (key, document) = (world.runner.key_file(), world.reader.document());
    let attenuate = |more: &[&str]| {
        let args = ["attenuate", "--chain", &path, "--key", &key, "--to", &document, "--out", &out];
        world.run(&[&args[..], more].concat())
    };
    let order = "mcp:support-desk:tools/get_order";
    for more in [
        &["--argument", "order=10072"][..],
        &["--argument", "ticket_id=8821", "--tool", order],
        &["--argument", "order_id=10072", "--argument", "odrer_id=1"],
    ] {
        let refused = attenuate(more);
        assert_eq!((refused.status, refused.code().as_str()), (2, "argument-not-in-parent"));
        assert!(!Path::new(&out).exists(), "a child was written for {more:?}");
    }
    // What it narrows and what it leaves is said.
    let derived = attenuate(&["--argument", "order_id=10072"]);
    assert_eq!(derived.status, 0, "{}", derived.out);
    let derived = derived.json();
    assert_eq!(derived["tools"][order]["order_id"]["value"], 10072, "{derived}");
    let untouched: Vec<&str> = derived["untouched"]
        .as_array()
        .unwrap()
        .iter()
        .map(|u| {
            assert_eq!(u["argument"], "order_id");
            u["tool"].as_str().unwrap()
        })
        .collect();
    let others = ["mcp:support-desk:tools/get_ticket", "mcp:support-desk:tools/list_orders"];
    assert_eq!(untouched, others);
}

#[test]
fn completions_know_every_verb() {
    let base = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let answer = run(base.path(), &["completions", shell]);
        assert_eq!(answer.status, 0, "{}", answer.err);
        for verb in ["attenuate", "tool-server", "evidence"] {
            assert!(answer.out.contains(verb), "{shell} does not know {verb}");
        }
    }
    let version = run(base.path(), &["--version"]);
    assert_eq!(version.out, format!("bailiwick {}\n", env!("CARGO_PKG_VERSION")));
}
