//! Checks of runs and their undoing, over the real binary: by the workflow's owner
//! through the gateway, by programs of the server's configuration, by the plan.

use std::time::Duration;

use bailiwick_testkit::World;
use bailiwick_testkit::present::Chain;
use bailiwick_testkit::process::Answer;
use bailiwick_testkit::world::{OWNER, READER};
use serde_json::{Value, json};

use crate::EXE;

pub(crate) const SCOPE: [&str; 2] = ["ticket:8821", "tickets:note"];

/// What an agent is answered.
fn told(world: &World, chain: &Chain, tool: &str, arguments: Value) -> Value {
    let response = world.call(chain, tool, arguments);
    let result = response.json()["result"].clone();
    assert_eq!(result["isError"], false, "{}", response.text());
    result["structuredContent"].clone()
}

pub(crate) fn begin(world: &World, chain: &Chain, goal: &str) -> String {
    let begun = told(world, chain, "run_begin", json!({"goal": goal}));
    begun["run"].as_str().unwrap().to_owned()
}

pub(crate) fn note(world: &World, chain: &Chain, text: &str) -> String {
    let arguments = json!({"ticket_id": 8821, "text": text});
    world.assert_allowed(&world.call(chain, "add_note", arguments), "ok")
}

pub(crate) fn claim(world: &World, chain: &Chain, receipt: &str) -> Value {
    let claims = json!([{"criterion": "note-written", "receipt": receipt}]);
    told(world, chain, "complete_task", json!({"claims": claims}))
}

/// A run that wrote a note and was claimed.
pub(crate) fn claimed(world: &World, chain: &Chain, goal: &str) -> String {
    let run = begin(world, chain, goal);
    let receipt = note(world, chain, "answered");
    assert_eq!(claim(world, chain, &receipt)["complete"], false);
    run
}

/// A chain of the second agent, under a grant that this key signs.
pub(crate) fn reader_chain(world: &World, name: &str, key: &str, scope: &[&str]) -> Chain {
    let file = world.path(&format!("reader-{name}.json"));
    let key = world.path(key);
    let mut args = vec!["delegate", "--agent", READER, "--purpose", "check runs"];
    args.extend(["--key", &key, "--out", &file]);
    scope.iter().for_each(|scope| args.extend(["--scope", scope]));
    world.ok(&args);
    Chain::read(std::path::Path::new(&file))
}

fn check(world: &World, run: &str, chain: &Chain, key: &str) -> Answer {
    world.run(&["run", "check", run, "--chain", &chain.path(), "--key", key])
}

/// What was found of a criterion.
fn finding(answer: &Value, criterion: &str) -> String {
    let criteria = answer["derived"]["criteria"].as_array().unwrap();
    let found = criteria.iter().find(|c| c["criterion"] == criterion).unwrap();
    found["finding"].as_str().unwrap().to_owned()
}

/// Why the only check that was made is none.
fn fault(answer: &Answer) -> String {
    let answer = answer.json();
    assert_eq!(answer["made"][0]["verdict"], "not_run", "{answer}");
    answer["made"][0]["why"].as_str().unwrap().to_owned()
}

#[test]
fn a_check_on_the_owners_authority_completes_a_run_and_nobody_elses_does() {
    let world = World::new(EXE);
    let chain = world.delegate(&SCOPE, &[]);
    let open = begin(&world, &chain, "answer the ticket");
    let receipt = note(&world, &chain, "answered");
    let reader = world.reader.key_file();
    let owner = reader_chain(&world, "owner", "owner/key.json", &["ticket:8821"]);
    // While it goes on there is nothing to take up.
    let early = check(&world, &open, &owner, &reader);
    assert!(fault(&early).contains("goes on"), "{}", early.out);
    claim(&world, &chain, &receipt);
    let run = open;
    let due = world.run(&["run", "check", &run]);
    assert_eq!((due.status, finding(&due.json(), "note-written")), (1, "met".to_owned()));
    assert_eq!(finding(&due.json(), "ticket-read-back"), "missing");

    // The agent that did it reads it back itself.
    let own = check(&world, &run, &chain, &world.runner.key_file());
    assert!(fault(&own).contains("own agent"), "{}", own.out);
    // Another agent, but on the principal's authority.
    let theirs = reader_chain(&world, "principal", "principal/key.json", &["ticket:8821"]);
    let theirs = check(&world, &run, &theirs, &reader);
    assert!(fault(&theirs).contains("owner signed"), "{}", theirs.out);
    // On the owner's, but it reaches another ticket only.
    let narrow = reader_chain(&world, "narrow", "owner/key.json", &["ticket:9000"]);
    let narrow = check(&world, &run, &narrow, &reader);
    assert!(fault(&narrow).contains("argument-not-delegated"), "{}", narrow.out);
    assert_eq!(finding(&narrow.json(), "ticket-read-back"), "missing");

    let checked = check(&world, &run, &owner, &reader);
    assert_eq!(checked.status, 0, "{}{}", checked.out, checked.err);
    let checked = checked.json();
    assert_eq!(
        (&checked["complete"], &checked["made"][0]["verdict"]),
        (&json!(true), &json!("holds"))
    );
    assert_eq!(finding(&checked, "ticket-read-back"), "met");
    // What is met is not asked again.
    let again = check(&world, &run, &owner, &reader);
    assert_eq!((again.status, &again.json()["made"]), (0, &json!([])));
    // The state is the ledger's.
    assert_eq!(world.ok(&["audit", "verify"])["holds"], true);
    let report = world.ok(&["run", "report", &run]);
    assert_eq!(report["report"]["complete"], true, "{report}");
}

/// Writes checks into the configuration, and serves with them.
fn configure(world: &mut World, checks: &str) {
    world.stop_serve();
    let file = world.data.join("bailiwick.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.split("\n[[check]]").next().unwrap().to_owned();
    std::fs::write(&file, format!("{text}\n{checks}")).unwrap();
    world.start_serve();
}

fn named(script: &str) -> String {
    let user = if rustix::process::geteuid().is_root() { "nobody" } else { "" };
    format!(
        "[[check]]\nname = \"books\"\ncommand = [\"/bin/sh\", \"-c\", {script:?}]\nuser = \"{user}\"\nseconds = 20\n"
    )
}

/// The workflow with a criterion that a named check shows, and without the read.
fn publish_named(world: &World) {
    let text = include_str!("../../../../workflows/support-tickets.yaml");
    let (before, rest) = text.split_once("  - id: ticket-read-back").unwrap();
    let (_, after) = rest.split_once("\nreview:").unwrap();
    let criterion = "  - {id: books-agree, says: The books agree., by: {check: books}}\n";
    let file = world.path("named.yaml");
    std::fs::write(&file, format!("{before}{criterion}\nreview:{after}")).unwrap();
    world.ok(&["workflow", "publish", &file]);
}

/// Waits until a run was checked by the server.
fn awaited(world: &World, run: &str) -> Value {
    for _ in 0..200 {
        // It says so while its newest entry is not published yet.
        let answer = world.run(&["run", "report", run]);
        if answer.status == 0 {
            let report = answer.json()["report"].clone();
            if report["timeline"].to_string().contains("run.checked") {
                return report;
            }
        }
        std::thread::sleep(Duration::from_millis(250));
    }
    panic!("the run was not checked: {}", world.serve.as_ref().unwrap().errors());
}

fn found(report: &Value, criterion: &str) -> String {
    let criteria = report["criteria"].as_array().unwrap();
    let found = criteria.iter().find(|c| c["id"] == criterion).unwrap();
    found["finding"].as_str().unwrap().to_owned()
}

#[test]
fn a_named_check_is_made_by_the_server_when_a_run_is_claimed() {
    let mut world = World::new(EXE);
    publish_named(&world);
    // It is told of the run's calls, and of no key: it runs as somebody else.
    let script = "grep -q add_note && grep -q . /dev/null; test ! -r \"$BAILIWICK_DATA\" && echo Output-Canary";
    configure(&mut world, &named(script));
    let chain = world.delegate(&SCOPE, &[]);
    let run = claimed(&world, &chain, "answer the ticket");
    let report = awaited(&world, &run);
    assert_eq!(
        (found(&report, "books-agree"), &report["complete"]),
        ("met".to_owned(), &json!(true))
    );
    let evidence = report["evidence"].as_array().unwrap();
    let check = evidence.iter().find(|e| e["criterion"] == "books-agree").unwrap();
    assert_eq!((&check["grade"], &check["by"]), (&json!("independent"), &json!("check:books")));
    // What it printed is behind the entry.
    let entries = world.run(&["audit", "tail", "-n", "1000"]).out;
    assert!(entries.contains("run.checked"), "{entries}");
    assert!(!entries.contains("Output-Canary"), "{entries}");

    configure(&mut world, &named("exit 1"));
    let run = claimed(&world, &chain, "answer it again");
    let report = awaited(&world, &run);
    assert_eq!(found(&report, "books-agree"), "contradicted");
    assert_eq!(report["complete"], false);

    // Where nothing of this name is configured, nothing is found, and a later check finds it.
    configure(&mut world, "");
    let run = claimed(&world, &chain, "and once more");
    assert_eq!(found(&awaited(&world, &run), "books-agree"), "missing");
    configure(&mut world, &named("exit 0"));
    let checked = world.run(&["run", "check", &run]);
    assert_eq!(checked.status, 0, "{}{}", checked.out, checked.err);
    assert_eq!(checked.json()["made"][0]["verdict"], "holds");
}

#[test]
fn a_run_is_undone_once_in_reverse_order_and_a_failed_step_stops_the_rest() {
    let mut world = World::new(EXE);
    let chain = world.delegate(&SCOPE, &[]);
    let run = begin(&world, &chain, "answer the ticket");
    assert_eq!(world.run(&["run", "rollback", &run]).code(), "run-open");
    let first = note(&world, &chain, "first");
    let second = note(&world, &chain, "second");
    claim(&world, &chain, &second);
    let plan = world.ok(&["run", "rollback", &run]);
    let undone: Vec<&Value> = plan["plan"].as_array().unwrap().iter().collect();
    let of = |n: usize| (undone[n]["step"].as_str().unwrap(), undone[n]["undoes"].as_str());
    assert_eq!(of(0), ("note-withdrawn", Some(second.as_str())));
    assert_eq!(of(1), ("note-withdrawn", Some(first.as_str())));
    assert_eq!(of(2), ("refund-reclaimed", None));
    assert_eq!(undone[0]["arguments"]["ticket_id"], 8821, "{plan}");

    let undo = reader_chain(&world, "undo", "owner/key.json", &["tickets:note"]);
    let key = world.reader.key_file();
    let roll = |world: &World, more: &[&str]| {
        let path = undo.path();
        let args = ["run", "rollback", &run, "--chain", &path, "--key", &key];
        world.run(&[&args[..], more].concat())
    };
    assert_eq!(roll(&world, &["--step", "nothing"]).code(), "rollback-step-unknown");
    world.stop_desk();
    let failed = roll(&world, &[]);
    let outcomes = |answer: &Answer| -> Vec<String> {
        let plan = answer.json()["plan"].clone();
        let outcome = |undo: &Value| undo["outcome"].as_str().unwrap().to_owned();
        plan.as_array().unwrap().iter().map(outcome).collect()
    };
    let stopped = outcomes(&failed);
    assert_eq!(
        (failed.status, &stopped[1], &stopped[2]),
        (1, &"not_tried".into(), &"not_tried".into())
    );
    world.start_desk("none");
    let before = world.executed().len();
    let done = roll(&world, &[]);
    assert_eq!(done.status, 0, "{}{}", done.out, done.err);
    assert_eq!(outcomes(&done), ["done", "done", "by_hand"]);
    assert_eq!(world.executed().len(), before + 2);
    // Once is enough.
    assert_eq!(outcomes(&roll(&world, &[])), ["done_before", "done_before", "done_before"]);
    assert_eq!(world.executed().len(), before + 2);
    // Each start is an entry, and what was undone is not complete.
    let report = world.ok(&["run", "report", &run])["report"].clone();
    assert_eq!(found(&report, "note-written"), "stale", "{report}");
    assert_eq!(report["complete"], false);
    let timeline = report["timeline"].to_string();
    assert_eq!(timeline.matches("rollback.started").count(), 4, "{timeline}");
    assert_eq!(world.ok(&["audit", "verify"])["holds"], true);
}

#[test]
fn nobody_elses_run_is_checked_or_undone() {
    let world = World::new(EXE);
    let unknown = "01a217df-3963-7cc4-85ff-4548a0f38598";
    for verb in ["check", "rollback", "report"] {
        let answer = world.run(&["run", verb, unknown]);
        assert_eq!(answer.code(), "unknown-name", "{verb}: {}", answer.err);
        assert_ne!(world.run(&["run", verb, "no id"]).status, 0);
    }
    assert!(world.ok(&["principal", "list"]).to_string().contains(OWNER));
}
