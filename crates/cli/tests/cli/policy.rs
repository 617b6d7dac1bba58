//! The organisation's policy, from the folder to the decision and back.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use bailiwick_testkit::World;
use bailiwick_testkit::http::Response;
use bailiwick_testkit::present::now;
use serde_json::{Value, json};

use crate::EXE;
use crate::command_line::{initialised, run};

const ALL: &str =
    "@id(\"all\") @reason(\"the rules decide\")\npermit (principal, action, resource);\n";
const CLOSED: &str = r#"
@id("tickets-closed")
@reason("tickets are closed to agents this week")
forbid (principal, action == Action::"call", resource == Tool::"mcp:support-desk:tools/get_ticket")
when { context.arguments.integers.hasTag("ticket_id") && context.arguments.integers.getTag("ticket_id") == 8821 };
"#;

fn folder(path: &str, files: &[(&str, &str)]) {
    for (name, text) in files {
        let file = Path::new(path).join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
}

fn ticket(world: &World, chain: &bailiwick_testkit::present::Chain) -> Response {
    world.call(chain, "get_ticket", json!({"ticket_id": 8821}))
}

/// `serve` looks twice a second.
fn within_a_second(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !holds() {
        assert!(Instant::now() < deadline, "it was not taken up");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn is_denied(answer: &Response, code: &str) -> bool {
    answer.json()["error"]["data"]["code"] == code
}

#[test]
fn a_bundle_is_checked_offline_and_refused_as_a_whole_with_every_problem() {
    let base = tempfile::tempdir().unwrap();
    let home = base.path();
    let path = |name: &str| home.join(name).to_str().unwrap().to_owned();
    folder(&path("good"), &[("all.cedar", ALL), ("sub/closed.cedar", CLOSED), ("README.md", "#")]);
    let good = run(home, &["--json", "policy", "check", "good"]);
    assert_eq!(good.status, 0, "{}", good.out);
    assert_eq!((&good.json()["policies"], &good.json()["unscoped"]), (&json!(2), &json!(1)));

    let wrong = CLOSED.replace("ticket_id\") == 8821", "ticket_id\") == \"8821\"");
    folder(&path("bad"), &[("all.cedar", &format!("{ALL}{ALL}")), ("closed.cedar", &wrong)]);
    let bad = run(home, &["--json", "policy", "check", "bad"]);
    assert_eq!((bad.status, bad.code().as_str()), (2, "policy-id-repeated"), "{}", bad.out);
    let problems = bad.json()["error"]["problems"].as_array().unwrap().clone();
    let places: Vec<(&str, &str, u64)> = problems
        .iter()
        .map(|p| {
            assert!(p["remedy"].as_str().is_some_and(|r| !r.is_empty()), "{p}");
            (p["code"].as_str().unwrap(), p["file"].as_str().unwrap(), p["line"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(
        places,
        [("policy-id-repeated", "all.cedar", 3), ("policy-type", "closed.cedar", 5)]
    );

    for (name, code) in [("all.ceder", "policy-stray-file"), ("x.json", "policy-stray-file")] {
        let stray = path(name);
        folder(&stray, &[("all.cedar", ALL), (name, ALL)]);
        assert_eq!(run(home, &["--json", "policy", "check", &stray]).code(), code);
    }
    folder(&path("link"), &[("all.cedar", ALL)]);
    std::os::unix::fs::symlink(home.join("good/all.cedar"), home.join("link/more.cedar")).unwrap();
    assert_eq!(run(home, &["--json", "policy", "check", "link"]).code(), "policy-stray-file");
    fs::create_dir(home.join("empty")).unwrap();
    assert_eq!(run(home, &["--json", "policy", "check", "empty"]).code(), "policy-empty");
}

#[test]
fn a_new_installation_has_the_guardrails_and_they_can_be_shown_and_kept() {
    let (base, _data) = initialised();
    let home = base.path();
    let ok = |args: &[&str]| {
        let answer = run(home, &[&["--json"], args].concat());
        assert_eq!(answer.status, 0, "{args:?}: {}{}", answer.out, answer.err);
        answer.json()
    };
    let list = ok(&["policy", "list"]);
    assert_eq!(list["policies"].as_array().unwrap().len(), 1);
    assert_eq!(list["policies"][0]["counts"], true);
    let shown = ok(&["policy", "show"]);
    assert_eq!(list["policies"][0]["digest"], shown["digest"]);
    let ids: Vec<&str> =
        shown["policies"].as_array().unwrap().iter().map(|p| p["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&"consent-attested"), "{ids:?}");
    ok(&["policy", "show", "--out", "kept"]);
    assert_eq!(ok(&["policy", "check", "kept"])["digest"], shown["digest"]);
    assert_eq!(ok(&["policy", "publish", "kept"])["changed"], false);
    assert_eq!(ok(&["policy", "publish", "--guardrails"])["changed"], false);
    assert_eq!(run(home, &["--json", "policy", "show", "--candidate"]).status, 4);
    // A folder that is there is not written into.
    assert_eq!(run(home, &["--json", "policy", "show", "--out", "kept"]).status, 3);
    // A bundle that is refused changes nothing.
    folder(
        home.join("bad").to_str().unwrap(),
        &[("a.cedar", "permit (principal, action, resource);")],
    );
    let refused = run(home, &["--json", "policy", "publish", "bad"]);
    assert_eq!((refused.status, refused.code().as_str()), (2, "policy-id"));
    assert_eq!(ok(&["policy", "list"]), list);
}

#[test]
fn what_is_published_decides_within_a_second_and_is_explained_proved_and_replayed() {
    let world = World::new(EXE);
    let chain = world.chain();
    let (open, closed) = (world.path("open"), world.path("closed"));
    folder(&open, &[("all.cedar", ALL)]);
    folder(&closed, &[("all.cedar", ALL), ("closed.cedar", CLOSED)]);
    let allowed = world.assert_allowed(&ticket(&world, &chain), "ok");

    // Tried beside: recorded, and nobody is told.
    world.ok(&["policy", "candidate", &closed]);
    within_a_second(|| {
        let answer = ticket(&world, &chain);
        let id = world.assert_allowed(&answer, "ok");
        assert!(!answer.text().contains("tickets-closed"), "{}", answer.text());
        world.ok(&["policy", "explain", &id])["candidate"]["answer"] == "deny"
    });
    assert_eq!(world.ok(&["policy", "candidate", "--clear"])["changed"], true);

    // In force: denied by name.
    let digest = world.ok(&["policy", "publish", &closed])["digest"].clone();
    within_a_second(|| is_denied(&ticket(&world, &chain), "policy-denied"));
    let record = world.assert_denied(&ticket(&world, &chain), "policy-denied");
    let id = record["action"].as_str().unwrap();
    let explained = world.ok(&["policy", "explain", id]);
    assert_eq!(explained["rule"], "policy:tickets-closed", "{explained}");
    assert_eq!(explained["sentence"], "tickets are closed to agents this week");
    assert_eq!(explained["policy"]["bundle"], digest);
    assert_eq!(explained["policy"]["policies"][0]["file"], "closed.cedar");
    assert_eq!(explained["policy"]["policies"][0]["line"], 2);

    // Both are proved with the policy of then, without a data dir.
    let trust = world.path("trust.json");
    world.ok(&["keys", "trust", "-o", &trust]);
    for action in [&*allowed, id] {
        let file = world.path(&format!("evidence-{}.json", now().millis()));
        world.ok(&["evidence", "get", action, "-o", &file]);
        let nowhere = world.base.path().join("nowhere");
        let answer = world.run_on(&nowhere, &["evidence", "verify", &file, "--trust", &trust]);
        let decision = answer.json()["proven"]["decision"].clone();
        assert_eq!(decision["policy_recomputed"], true, "{}", answer.out);
        assert_eq!(decision["policy"] == digest, action == id, "{decision}");
    }

    // What the past would have been: every allowed call would flip, and back.
    let replayed = world.ok(&["policy", "replay", &closed]);
    assert!(replayed["changes"]["allow -> deny"].as_u64().unwrap() >= 2, "{replayed}");
    assert_eq!(replayed["by_rule"]["policy:tickets-closed"], replayed["flipped"]);
    let replayed = world.ok(&["policy", "replay", &open]);
    assert!(replayed["changes"]["deny -> allow"].as_u64().unwrap() >= 2, "{replayed}");
    let flips: Vec<&Value> = replayed["flips"].as_array().unwrap().iter().collect();
    assert!(flips.iter().any(|f| f["action"] == id && f["rule"] == "within-level"), "{flips:?}");
    assert_eq!(replayed["not_replayable"], json!({}));
    // Erased texts are reported, and the rest is still replayed.
    world.ok(&["audit", "erase", id, "--yes"]);
    let fewer = world.ok(&["policy", "replay", &open, "--limit", "0"]);
    assert_eq!(fewer["not_replayable"], json!({"inputs-erased": 1}));
    assert_eq!(fewer["flips"], json!([]));
    assert_eq!(
        fewer["flipped"].as_u64().unwrap() + 1,
        replayed["flipped"].as_u64().unwrap(),
        "{fewer}"
    );
    let later = world.ok(&["policy", "replay", &open, "--since", "2100-01-01T00:00:00Z"]);
    assert_eq!(later["replayed"], 0);

    // Back to the one before, from the ledger.
    let list = world.ok(&["policy", "list"]);
    let before = list["policies"].as_array().unwrap().last().unwrap()["digest"].clone();
    let out = world.path("before");
    world.ok(&["policy", "show", "--digest", before.as_str().unwrap(), "--out", &out]);
    world.ok(&["policy", "publish", &out]);
    within_a_second(|| ticket(&world, &chain).json()["result"].is_object());
    let report = world.ok(&["audit", "verify"]);
    assert_eq!(report["holds"], true, "{report}");
}

#[test]
fn a_policy_too_large_for_its_evidence_is_given_beside_it() {
    let world = World::new(EXE);
    let trust = world.path("trust.json");
    world.ok(&["keys", "trust", "-o", &trust]);
    // Nearly as large as a bundle may be: plain text is carried along, one that
    // is twice as long in JSON is not.
    let sizes = [("plain", "x", 2_900_000, true), ("quoted", "\"", 2_000_000, false)];
    for (name, letter, size, carried) in sizes {
        let path = world.path(name);
        let comment = format!("// {}\n", letter.repeat(size));
        folder(&path, &[("all.cedar", &format!("{comment}{ALL}"))]);
        let digest = world.ok(&["policy", "publish", &path])["digest"].clone();
        let chain = world.chain();
        let mut id = String::new();
        within_a_second(|| {
            id = world.assert_allowed(&ticket(&world, &chain), "ok");
            world.ok(&["policy", "explain", &id])["policy"]["bundle"] == digest
        });
        let file = world.path(&format!("{name}.json"));
        world.ok(&["audit", "verify"]);
        world.ok(&["evidence", "get", &id, "-o", &file]);
        let verify = ["evidence", "verify", &file, "--trust", &trust];
        let recomputed = |args: &[&str]| {
            let decision = world.ok(args)["proven"]["decision"].clone();
            assert_eq!(decision["policy"], digest);
            decision["policy_recomputed"] == true
        };
        assert_eq!(recomputed(&verify), carried, "{name}");
        assert!(recomputed(&[&verify[..], &["--policy", &path]].concat()), "{name}");
    }
    // Beyond that nothing is published.
    let path = world.path("beyond");
    folder(&path, &[("all.cedar", &format!("// {}\n{ALL}", "\"".repeat(2_900_000)))]);
    let refused = world.run(&["policy", "publish", &path]);
    assert_eq!((refused.status, refused.code().as_str()), (2, "policy-too-large"));
}

#[test]
fn a_policy_that_is_missing_or_damaged_denies_and_the_remedy_is_told() {
    let mut world = World::new(EXE);
    let chain = world.chain();
    world.assert_allowed(&ticket(&world, &chain), "ok");
    let state = world.data.join("state.db");
    let database = || rusqlite::Connection::open(&state).unwrap();
    let guardrails: String =
        database().query_row("SELECT document FROM policies", [], |r| r.get(0)).unwrap();
    // Half of it, and another one under its digest.
    let set = |document: &str| {
        database().execute("UPDATE policies SET document = ?1", [document]).unwrap();
    };
    let looser = guardrails.replacen("forbid", "permit", 1);
    for damaged in [&guardrails[..guardrails.len() / 2], &looser] {
        world.stop_serve();
        set(damaged);
        world.start_serve();
        world.assert_denied(&ticket(&world, &chain), "policy-unavailable");
        let doctor = world.run(&["doctor"]);
        assert_eq!(doctor.status, 1, "{}", doctor.out);
        let checks = doctor.json()["checks"].as_array().unwrap().clone();
        let policy = checks.iter().find(|c| c["what"] == "policy").unwrap();
        assert_eq!(policy["code"], "policy-unreadable");
    }
    world.stop_serve();
    set(&guardrails);
    world.start_serve();
    world.assert_allowed(&ticket(&world, &chain), "ok");
    // None, as in an installation of before.
    database().execute("DELETE FROM policies", []).unwrap();
    within_a_second(|| is_denied(&ticket(&world, &chain), "no-policy"));
    let answer = ticket(&world, &chain);
    assert!(answer.text().contains("bailiwick policy publish"), "{}", answer.text());
    let doctor = world.run(&["doctor"]).json();
    let checks = doctor["checks"].as_array().unwrap();
    let policy = checks.iter().find(|c| c["what"] == "policy").unwrap();
    assert_eq!(policy["remedy"], "bailiwick policy publish --guardrails");
    world.ok(&["policy", "publish", "--guardrails"]);
    within_a_second(|| ticket(&world, &chain).json()["result"].is_object());
}

#[test]
fn cases_beside_a_bundle_are_run_and_calls_are_explained_without_a_data_dir() {
    let base = tempfile::tempdir().unwrap();
    let home = base.path();
    let cases = "cases:\n\
        \x20 - name: a ticket that is closed\n\
        \x20   call: {agent: 'agent:a', tool: 'mcp:support-desk:tools/get_ticket', risk: low, effect: read, arguments: {ticket_id: 8821}}\n\
        \x20   expect: deny\n\
        \x20   policies: [tickets-closed]\n";
    let path = home.join("closed");
    let files = [("all.cedar", ALL), ("closed.cedar", CLOSED), ("cases.yaml", cases)];
    folder(path.to_str().unwrap(), &files);
    let test = |expected: i32| {
        let answer = run(home, &["--json", "policy", "test", "closed"]);
        assert_eq!(answer.status, expected, "{}", answer.out);
        answer.json()
    };
    let held = test(0);
    assert_eq!((&held["ok"], &held["not_settling"]), (&json!(true), &json!(["all"])));
    fs::write(path.join("cases.yaml"), cases.replace("deny", "allow")).unwrap();
    let failed = test(1);
    let told = failed["cases"][0]["failures"][0].as_str().unwrap();
    assert!(told.contains("expected `allow`, got `deny` by `policy:tickets-closed`"), "{told}");
    assert_eq!(
        (&failed["cases"][0]["file"], &failed["cases"][0]["line"]),
        (&json!("cases.yaml"), &json!(2))
    );
    let page = run(home, &["policy", "test", "closed"]).out;
    assert!(page.contains("closed/cases.yaml:2"), "{page}");
    fs::write(path.join("cases.yaml"), "cases: [{name: x}]\n").unwrap();
    assert_eq!(test(2)["error"]["code"], "workflow-member-missing");
    fs::remove_file(path.join("cases.yaml")).unwrap();
    assert_eq!(test(2)["error"]["code"], "policy-no-cases");

    fs::write(
        home.join("call.yaml"),
        "agent: agent:a\ntool: mcp:support-desk:tools/get_ticket\nrisk: low\neffect: read\narguments: {ticket_id: 8821}\n",
    )
    .unwrap();
    let explain = ["--json", "policy", "explain", "--call", "call.yaml", "--bundle", "closed"];
    let answer = run(home, &explain).json();
    assert_eq!((&answer["decision"], &answer["built_in"]), (&json!("deny"), &json!("allow")));
    assert_eq!(answer["policy"]["policies"][0]["id"], "tickets-closed");
    let page = run(home, &explain[1..]).out;
    assert!(page.contains("tickets are closed to agents this week"), "{page}");
}

#[test]
fn the_cases_of_the_shipped_guardrails_hold() {
    let base = tempfile::tempdir().unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/guardrails");
    let answer = run(base.path(), &["--json", "policy", "test", shipped.to_str().unwrap()]);
    assert_eq!(answer.status, 0, "{}", answer.out);
    assert_eq!(answer.json()["not_settling"], json!([]), "every guardrail has a case");
}
