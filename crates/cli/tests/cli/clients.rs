//! `client`: who a program is, said by an operator.

use std::path::Path;

use bailiwick_testkit::world::{READER, RUNNER, command};
use bailiwick_testkit::{Answer, World};
use serde_json::{Value, json};

use crate::EXE;

const METADATA: &str =
    r#"{"client_name": "desk bot", "redirect_uris": ["http://127.0.0.1/callback"]}"#;

/// The same command for people, without `--json`.
fn said(world: &World, args: &[&str]) -> Answer {
    let mut command = command(Path::new(EXE), world.base.path());
    Answer::of(command.arg("--data-dir").arg(&world.data).args(args))
}

fn write(world: &World, text: &str) -> String {
    let file = world.path("client.json");
    std::fs::write(&file, text).unwrap();
    file
}

fn id(client: &Value) -> String {
    client["client_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_client_is_added_mapped_paused_and_retired() {
    let world = World::new(EXE);
    assert_eq!(world.ok(&["client", "list"])["clients"], json!([]));
    let file = write(&world, METADATA);
    let added = world.ok(&["client", "add", &file]);
    let client = id(&added);
    assert_eq!(added["name"], "desk bot");
    assert_eq!((&added["source"], &added["status"]), (&json!("configured"), &json!("active")));
    assert!(added["agent"].is_null() && added["instance"].is_null(), "{added}");

    let mapped = world.ok(&["client", "map", &client, "--agent", RUNNER]);
    assert_eq!(mapped["agent"], RUNNER);
    let first = mapped["instance"].clone();
    assert!(first.is_string(), "{mapped}");
    // The same again changes nothing; another agent is another instance.
    assert_eq!(world.ok(&["client", "map", &client, "--agent", RUNNER])["instance"], first);
    let moved = world.ok(&["client", "map", &client, "--agent", READER]);
    assert_eq!(moved["agent"], READER);
    assert_ne!(moved["instance"], first);

    for (verb, status) in [("suspend", "suspended"), ("resume", "active"), ("retire", "retired")] {
        assert_eq!(world.ok(&["client", verb, &client])["status"], status);
        let listed = world.ok(&["client", "list"]);
        assert_eq!(listed["clients"][0]["status"], status, "{listed}");
    }
    for again in
        [vec!["client", "resume", &client], vec!["client", "map", &client, "--agent", RUNNER]]
    {
        let refused = world.run(&again);
        assert_eq!((refused.status, refused.code().as_str()), (1, "already-retired"));
    }
    // Added and mapped at once.
    let added = world.ok(&["client", "add", &file, "--agent", RUNNER]);
    assert_eq!(added["agent"], RUNNER);
    assert_eq!(world.ok(&["client", "list"])["clients"].as_array().unwrap().len(), 2);
    assert_eq!(world.ok(&["audit", "verify"])["holds"], true);
}

#[test]
fn what_is_no_client_is_refused_and_nothing_is_registered() {
    let world = World::new(EXE);
    let refuse = |text: &str, expected: (i32, &str)| {
        let file = write(&world, text);
        let refused = world.run(&["client", "add", &file]);
        assert_eq!((refused.status, refused.code().as_str()), expected, "{text}: {}", refused.out);
    };
    refuse("[]", (2, "client-metadata-invalid"));
    refuse("{}", (2, "client-metadata-invalid"));
    refuse(r#"{"redirect_uris": ["javascript:alert(1)"]}"#, (2, "client-metadata-invalid"));
    refuse(r#"{"redirect_uris": ["http://evil.example/cb"]}"#, (2, "client-metadata-invalid"));
    refuse(
        r#"{"redirect_uris": ["http://127.0.0.1/a"], "redirect_uris": ["http://127.0.0.1/b"]}"#,
        (2, "json-duplicate-member"),
    );
    let missing = world.run(&["client", "add", &world.path("nowhere.json")]);
    assert_eq!((missing.status, missing.code().as_str()), (2, "file"));
    let file = write(&world, METADATA);
    let malformed = world.run(&["client", "add", &file, "--agent", "runner"]);
    assert_eq!((malformed.status, malformed.code().as_str()), (2, "id-malformed"));
    for verb in ["suspend", "resume", "retire"] {
        let unknown = world.run(&["client", verb, "nobody"]);
        assert_eq!((unknown.status, unknown.code().as_str()), (4, "unknown-name"), "{verb}");
    }
    let unknown = world.run(&["client", "map", "nobody", "--agent", RUNNER]);
    assert_eq!((unknown.status, unknown.code().as_str()), (4, "unknown-name"));
    let usage = world.run(&["client", "map", "nobody"]);
    assert_eq!((usage.status, usage.code().as_str()), (2, "usage"));
    assert_eq!(world.ok(&["client", "list"])["clients"], json!([]));
    // A client of an agent that may not act is mapped to nobody.
    world.ok(&["agent", "suspend", READER]);
    let client = id(&world.ok(&["client", "add", &file]));
    let refused = world.run(&["client", "map", &client, "--agent", READER]);
    assert_eq!((refused.status, refused.code().as_str()), (1, "agent-inactive"));
    let refused = world.run(&["client", "map", &client, "--agent", "agent:nobody"]);
    assert_eq!((refused.status, refused.code().as_str()), (4, "unknown-name"));
    // Nothing is registered for an agent that nobody knows.
    let before = world.ok(&["client", "list"]);
    let refused = world.run(&["client", "add", &file, "--agent", "agent:nobody"]);
    assert_eq!((refused.status, refused.code().as_str()), (4, "unknown-name"));
    assert_eq!(world.ok(&["client", "list"]), before);
}

#[test]
fn people_read_what_a_client_is_and_what_to_do_next() {
    let world = World::new(EXE);
    assert_eq!(said(&world, &["client", "list"]).out.trim(), "no client is registered");
    let hostile = METADATA.replace("desk bot", "desk\\u001b[31m\\nbot");
    let file = write(&world, &hostile);
    let refused = said(&world, &["client", "add", &file]);
    assert_eq!(refused.status, 2, "a name that steers a terminal is none");
    assert!(refused.err.contains("[client-metadata-invalid]"), "{}", refused.err);
    let file = write(&world, METADATA);
    let added = said(&world, &["client", "add", &file]);
    assert_eq!(added.status, 0, "{}", added.err);
    let listed = world.ok(&["client", "list"]);
    let client = id(&listed["clients"][0]);
    assert!(added.out.contains("agent   none: it gets nothing"), "{}", added.out);
    let next = format!("bailiwick client map {client} --agent agent:NAME");
    assert!(added.out.contains(&next), "{}", added.out);
    let mapped = said(&world, &["client", "map", &client, "--agent", RUNNER]);
    assert!(mapped.out.contains(&format!("{client} is {RUNNER} from now on")), "{}", mapped.out);
    assert!(!mapped.out.contains("next:"), "nothing is left to do: {}", mapped.out);
    let listed = said(&world, &["client", "list"]);
    assert!(listed.out.contains(RUNNER) && listed.out.contains("configured"), "{}", listed.out);
    assert!(!refused.err.contains('\u{1b}'), "{:?}", refused.err);
}
