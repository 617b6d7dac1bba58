//! Reports of runs, over the real binary: the four questions answered, verified by
//! somebody who has the trust file and nothing else.

use std::fs;

use bailiwick_testkit::World;
use bailiwick_testkit::present::Chain;
use bailiwick_testkit::process::Answer;
use bailiwick_testkit::world::PRINCIPAL;
use serde_json::{Value, json};

use crate::EXE;
use crate::checks::{begin, claim, note, reader_chain};

const GOAL: &str = "Goal-Canary <script>alert(1)</script> | # answer";

fn complete(world: &World, chain: &Chain) -> String {
    let run = begin(world, chain, GOAL);
    let read = world.call(chain, "get_ticket", json!({"ticket_id": 8821}));
    world.assert_allowed(&read, "ok");
    let context = json!({"items": [
        {"kind": "document", "sha256": "cd".repeat(32), "source": "refund-policy"},
        {"kind": "memory", "sha256": "ef".repeat(32), "source": "Source-Canary"},
    ]});
    assert!(world.call(chain, "note_context", context).json()["error"].is_null());
    let denied = world.call(chain, "get_ticket", json!({"ticket_id": 9000}));
    world.assert_denied(&denied, "argument-not-delegated");
    let receipt = note(world, chain, "answered");
    claim(world, chain, &receipt);
    let owner = reader_chain(world, "owner", "owner/key.json", &["ticket:8821"]);
    let key = world.reader.key_file();
    world.ok(&["run", "check", &run, "--chain", &owner.path(), "--key", &key]);
    run
}

/// Verifies a file where there is nothing but the trust file.
fn verified(world: &World, file: &str) -> Answer {
    let nowhere = world.base.path().join("nowhere");
    let trust = world.path("trust.json");
    world.run_on(&nowhere, &["evidence", "verify", file, "--trust", &trust])
}

#[test]
fn a_report_answers_the_four_questions_and_is_verified_offline() {
    let world = World::new(EXE);
    let chain = world.delegate(&["ticket:8821", "tickets:note"], &[]);
    let run = complete(&world, &chain);
    let write = |format: &str, name: &str| {
        let file = world.path(name);
        let written = world.ok(&["run", "report", &run, "--format", format, "-o", &file]);
        assert_eq!(written["complete"], true, "{written}");
        fs::read_to_string(file).unwrap()
    };
    let (md, html) = (write("md", "run.md"), write("html", "run.html"));
    let text = write("json", "run.json");
    for question in [
        "What goal was attempted?",
        "What context was used?",
        "Which tools were called?",
        "Why was the task considered complete?",
    ] {
        assert!(md.contains(&format!("## {question}")), "{md}");
        assert!(html.contains(&format!("<h2>{question}</h2>")), "{html}");
    }
    for told in ["Goal-Canary", "refund-policy", "Source-Canary", "argument-not-delegated"] {
        assert!(md.contains(told), "{told}: {md}");
    }
    assert!(html.contains("&lt;script&gt;alert(1)") && !html.contains("<script"), "{html}");
    let report: Value = serde_json::from_str(&text).unwrap();
    let report = &report["report"];
    assert_eq!((&report["state"], &report["omitted"]), (&json!("claimed"), &json!(0)));
    assert_eq!(report["calls"].as_array().unwrap().len(), 3, "{report}");
    assert_eq!(report["delegation"][0]["hops"][0]["agent"], "agent:support-runner");

    world.ok(&["keys", "trust", "-o", &world.path("trust.json")]);
    let holds = verified(&world, &world.path("run.json"));
    assert_eq!(holds.status, 0, "{}{}", holds.out, holds.err);
    assert_eq!(
        (&holds.json()["verdict"], &holds.json()["complete"]),
        (&json!("holds"), &json!(true))
    );
    // Each thing that is said otherwise is found.
    for (from, to) in [
        ("\"complete\":true", "\"complete\":false"),
        ("refund-policy", "refund-polity"),
        ("Goal-Canary", "Goal-Cahary"),
        ("argument-not-delegated", "argument-not-delegatee"),
        ("\"finding\":\"met\"", "\"finding\":\"bet\""),
    ] {
        assert!(text.contains(from), "{from}");
        let file = world.path("tampered.json");
        let _ = fs::remove_file(&file);
        fs::write(&file, text.replacen(from, to, 1)).unwrap();
        let fails = verified(&world, &file);
        assert_eq!(
            (fails.status, &fails.json()["verdict"]),
            (1, &json!("does not hold")),
            "{from}"
        );
    }
    // The goal is behind the ledger, not in it.
    let entries = world.run(&["audit", "tail", "-n", "1000"]).out;
    assert!(entries.contains("run.checked"), "{entries}");
    assert!(!entries.contains("Goal-Canary"), "{entries}");
    // A report is written once; it never overwrites.
    let file = world.path("run.json");
    assert_ne!(world.run(&["run", "report", &run, "--format", "json", "-o", &file]).status, 0);
}

#[test]
fn what_was_erased_is_gone_from_later_reports_and_older_ones_still_verify() {
    let world = World::new(EXE);
    let chain = world.delegate(&["ticket:8821", "tickets:note"], &[]);
    let run = complete(&world, &chain);
    let (before, after) = (world.path("before.json"), world.path("after.json"));
    world.ok(&["run", "report", &run, "--format", "json", "-o", &before]);
    world.ok(&["principal", "suspend", PRINCIPAL]);
    world.ok(&["audit", "erase", PRINCIPAL, "--yes"]);
    world.ok(&["run", "report", &run, "--format", "json", "-o", &after]);
    world.ok(&["keys", "trust", "-o", &world.path("trust.json")]);
    let text = fs::read_to_string(&after).unwrap();
    assert!(!text.contains("Goal-Canary") && !text.contains("Source-Canary"), "{text}");
    for file in [&before, &after] {
        let verdict = verified(&world, file);
        assert_eq!(verdict.status, 0, "{}{}", verdict.out, verdict.err);
    }
    let shown = world.ok(&["run", "report", &run, "--format", "md"])["report"].clone();
    assert!(shown.as_str().unwrap().contains("text was erased"), "{shown}");
}
