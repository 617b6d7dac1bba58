//! Checks and the undoing of runs where a workflow requires runs, and by two at once.

use std::sync::Arc;

use bailiwick_testkit::World;
use bailiwick_testkit::present::Call;
use bailiwick_testkit::process::Answer;
use serde_json::{Value, json};

use crate::EXE;
use crate::checks::{begin, claim, note, reader_chain};

const SCOPE: [&str; 2] = ["ticket:8821", "tickets:note"];

fn outcomes(answer: &Answer) -> Vec<String> {
    let plan = answer.json()["plan"].clone();
    let outcome = |undo: &Value| undo["outcome"].as_str().unwrap().to_owned();
    plan.as_array().unwrap().iter().map(outcome).collect()
}

#[test]
fn a_run_that_is_required_is_checked_and_undone_without_another_one_and_once() {
    let world = World::new(EXE);
    let text = include_str!("../../../../workflows/support-tickets.yaml");
    let file = world.path("required.yaml");
    std::fs::write(&file, format!("{text}\nruns: required\n")).unwrap();
    world.ok(&["workflow", "publish", &file]);
    let chain = world.delegate(&SCOPE, &[]);
    let run = begin(&world, &chain, "answer the ticket");
    let receipt = note(&world, &chain, "answered");
    claim(&world, &chain, &receipt);
    let key = world.reader.key_file();
    let owner = reader_chain(&world, "owner", "owner/key.json", &["ticket:8821"]);
    let checked = world.run(&["run", "check", &run, "--chain", &owner.path(), "--key", &key]);
    assert_eq!(checked.status, 0, "{}{}", checked.out, checked.err);
    let failures = world.ok(&["failure", "list"])["failures"].clone();
    // It was claimed before it was checked; no call was blocked.
    let failures = failures.as_array().unwrap();
    assert!(failures.iter().all(|failure| failure["what"] == "unmet_criterion"), "{failures:?}");
    // The very same call that nobody announced is outside of any run.
    let outside = Call::new(&owner, &world.reader.key, "get_ticket", json!({"ticket_id": 8821}));
    world.assert_denied(&world.send(&outside), "run-required");

    let undo = reader_chain(&world, "undo", "owner/key.json", &["tickets:note"]);
    let before = world.executed().len();
    let world = Arc::new(world);
    let both: Vec<_> = (0..2)
        .map(|_| {
            let (world, run) = (Arc::clone(&world), run.clone());
            let (chain, key) = (undo.path(), key.clone());
            std::thread::spawn(move || {
                let step = ["--step", "note-withdrawn"];
                let args = ["run", "rollback", &run, "--chain", &chain, "--key", &key];
                world.run(&[&args[..], &step].concat())
            })
        })
        .collect();
    let mut came: Vec<String> =
        both.into_iter().flat_map(|one| outcomes(&one.join().unwrap())).collect();
    came.sort();
    assert!(came.contains(&"done".to_owned()), "{came:?}");
    assert_eq!(came.iter().filter(|outcome| *outcome == "done").count(), 1, "{came:?}");
    assert_eq!(world.executed().len(), before + 1);
    // What was done is not suggested again.
    let args = ["run", "rollback", &run, "--step", "note-withdrawn"];
    let plan = world.ok(&args);
    assert_eq!(plan["plan"][0]["state"], "done");
    let report = world.ok(&["run", "report", &run])["report"].clone();
    assert_eq!(report["complete"], json!(false));
    let file = world.path("run.json");
    world.ok(&["run", "report", &run, "--format", "json", "-o", &file]);
    assert_eq!(world.ok(&["audit", "verify"])["holds"], true);
}

#[test]
fn a_check_that_nobody_configured_says_so() {
    let world = World::new(EXE);
    let text = include_str!("../../../../workflows/support-tickets.yaml");
    let (before, rest) = text.split_once("  - id: ticket-read-back").unwrap();
    let (_, after) = rest.split_once("\nreview:").unwrap();
    let criterion = "  - {id: books-agree, says: The books agree., by: {check: boooks}}\n";
    let file = world.path("named.yaml");
    std::fs::write(&file, format!("{before}{criterion}\nreview:{after}")).unwrap();
    let published = world.run(&["workflow", "publish", &file]);
    assert_eq!(published.status, 0, "{}", published.err);
    assert_eq!(published.json()["checks_not_configured"], json!(["boooks"]));
    let doctor = world.run(&["doctor"]);
    assert!(doctor.out.contains("check-not-configured"), "{}", doctor.out);
    let chain = world.delegate(&SCOPE, &[]);
    let run = begin(&world, &chain, "answer the ticket");
    claim(&world, &chain, &note(&world, &chain, "answered"));
    let checked = world.run(&["run", "check", &run]).json();
    assert_eq!(checked["made"][0]["verdict"], "not_run", "{checked}");
    let why = checked["made"][0]["why"].as_str().unwrap();
    assert!(why.contains("no check `boooks` is configured"), "{why}");
}
