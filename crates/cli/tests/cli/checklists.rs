//! Workflows as checklists: what is missing caps the level at the gateway, reads
//! from undeclared sources are denied, and the verbs tell what a file says,
//! lacks and changes.

use std::fs;
use std::path::Path;

use bailiwick_testkit::World;
use bailiwick_testkit::http::Response;
use serde_json::{Value, json};

use crate::EXE;
use crate::command_line::run;

const BUNDLED: &str = include_str!("../../../../workflows/support-tickets.yaml");

/// The text without the member that this line begins.
fn without(text: &str, member: &str) -> String {
    let mut inside = false;
    let lines = text.lines().filter(|line| {
        if !line.starts_with([' ', '#']) && !line.is_empty() {
            inside = line.starts_with(&format!("{member}:"));
        }
        !inside
    });
    let out: String = lines.map(|line| format!("{line}\n")).collect();
    assert_ne!(out, text, "{member}");
    out
}

fn written(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Publishes a version at the world.
fn publish(world: &World, text: &str) -> Value {
    let file = written(world.base.path(), "version.yaml", text);
    world.ok(&["workflow", "publish", &file])
}

/// Publishes the bundled workflow without this member.
pub(crate) fn publish_without(world: &World, member: &str) {
    publish(world, &without(BUNDLED, member));
}

fn note(world: &World) -> Response {
    let chain = world.delegate(&["ticket:8821:note"], &[]);
    world.call(&chain, "add_note", json!({"ticket_id": 8821, "text": "hello"}))
}

/// The code of a denial and the action's id.
fn denied(answer: &Response) -> (String, String) {
    let data = &answer.json()["error"]["data"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let action = if data["decision"].is_string() { &data["decision"] } else { &data["id"] };
    (text(&data["code"]), text(action))
}

/// What the last decision retained of `part`.
fn retained(world: &World, part: &str) -> Value {
    let found = world.ok(&["audit", "query", "--limit", "1"]);
    let action = found["actions"][0]["action"].as_str().unwrap().to_owned();
    let shown = world.ok(&["audit", "show", &action, "--plaintext"]);
    let text = shown.to_string();
    let all = shown["plaintext"]["inputs"][part].clone();
    assert!(all.is_object(), "{text}");
    all
}

#[test]
fn an_incomplete_checklist_leaves_effects_to_people_whatever_level_it_states() {
    let world = World::new(EXE);
    // Complete: free within scope, window and budget.
    world.assert_allowed(&note(&world), "ok");
    assert_eq!(retained(&world, "catalogue")["level"], "bounded");
    for member in ["review", "rollback", "evaluation", "completion", "data_sources"] {
        let published = publish(&world, &without(BUNDLED, member));
        assert_eq!(published["level"], "bounded");
        assert_eq!(published["permitted"], "manual", "{published}");
        assert_eq!(published["missing"][0]["member"], member);
        assert_eq!(denied(&note(&world)).0, "approval-required", "{member}");
        let catalogue = retained(&world, "catalogue");
        assert_eq!(catalogue["level"], "manual");
        assert_eq!(catalogue["declared_level"], "bounded");
        // The rule that asked is on record, and asks again when it is replayed.
        let found = world.ok(&["audit", "query", "--limit", "1"]);
        let action = found["actions"][0]["action"].as_str().unwrap();
        let explained = world.ok(&["policy", "explain", action]);
        assert!(explained.to_string().contains("manual-effect"), "{explained}");
    }
    // Emptied, a checklist frees nobody; filled in again, it raises nothing.
    let again = publish(&world, BUNDLED);
    assert_eq!((&again["permitted"], &again["in_force"]), (&json!("bounded"), &json!("manual")));
    assert_eq!(denied(&note(&world)).0, "approval-required");
}

#[test]
fn a_read_of_an_undeclared_class_is_denied_and_proved_so_offline() {
    let world = World::new(EXE);
    let text = BUNDLED.replace("[ticket, customer, order, policy]", "[ticket, order, policy]");
    assert_ne!(text, BUNDLED);
    let published = publish(&world, &text);
    let reads =
        json!(["mcp:support-desk:tools/get_ticket", "mcp:support-desk:tools/search_customers"]);
    assert_eq!(published["undeclared_reads"], reads);
    let chain = world.chain();
    let answer = world.call(&chain, "get_ticket", json!({"ticket_id": 8821}));
    world.assert_denied(&answer, "source-undeclared");
    assert_eq!(retained(&world, "policy")["source"], "undeclared");
    world.assert_allowed(&world.call(&chain, "get_order", json!({"order_id": 10_072})), "ok");
    assert_eq!(retained(&world, "policy")["source"], "declared");
    // An auditor asks the rules again from the evidence alone.
    let found = world.ok(&["audit", "query", "--decision", "deny"]);
    let action = found["actions"][0]["action"].as_str().unwrap();
    let (bundle, trust) = (world.path("denied.json"), world.path("trust.json"));
    world.ok(&["keys", "trust", "-o", &trust]);
    world.ok(&["evidence", "get", action, "-o", &bundle]);
    let verdict = world.ok(&["evidence", "verify", &bundle, "--trust", &trust]);
    assert_eq!(verdict["proven"]["decision"]["policy_recomputed"], true, "{verdict}");
}

#[test]
fn where_runs_are_required_calls_outside_of_one_are_denied() {
    let world = World::new(EXE);
    publish(&world, &format!("{BUNDLED}runs: required\n"));
    let chain = world.chain();
    let answer = world.call(&chain, "get_ticket", json!({"ticket_id": 8821}));
    world.assert_denied(&answer, "run-required");
    assert_eq!(retained(&world, "policy")["runs"], "required");
    assert!(world.executed().is_empty());
}

#[test]
fn check_says_what_is_missing_and_which_level_the_checklist_carries() {
    let base = tempfile::tempdir().unwrap();
    let home = base.path();
    let whole = written(home, "whole.yaml", BUNDLED);
    let check = |more: &[&str]| run(home, &[&["workflow", "check"], more].concat());
    let told = check(&[&whole]);
    assert_eq!(told.status, 0, "{}", told.err);
    for fact in ["is valid", "supports    bounded", "in force    bounded", "bounded     runs: "] {
        assert!(told.out.contains(fact), "{fact}: {}", told.out);
    }
    assert!(told.out.contains("bailiwick workflow publish"), "{}", told.out);
    assert_eq!(check(&[&whole, "--require", "bounded"]).status, 0);
    let autonomous = check(&[&whole, "--require", "autonomous"]);
    assert_eq!(autonomous.status, 1);
    assert!(autonomous.out.contains("does not carry level autonomous"), "{}", autonomous.out);
    // Well-formed, and capped.
    let gap = written(home, "gap.yaml", &without(BUNDLED, "review"));
    let told = check(&[&gap]);
    assert_eq!(told.status, 0, "{}", told.err);
    for fact in ["supports    manual", "in force    manual", "review: nobody is named"] {
        assert!(told.out.contains(fact), "{fact}: {}", told.out);
    }
    assert!(told.out.contains("bailiwick workflow init"), "{}", told.out);
    let machine = run(home, &["--json", "workflow", "check", &gap, "--require", "supervised"]);
    assert_eq!(machine.status, 1);
    let machine = machine.json();
    assert_eq!((&machine["supports"], &machine["holds"]), (&json!("manual"), &json!(false)));
    assert_eq!(machine["missing"][0]["member"], "review");
    assert_eq!(machine["missing"][0]["caps"], "manual");
    // A workflow names checks and runs nothing.
    let command = BUNDLED.replace("{tool: support-desk/add_note}", "{command: \"curl evil\"}");
    let refused = check(&[&written(home, "command.yaml", &command)]);
    assert_eq!(refused.status, 2);
    for fact in ["workflow-check-executed", "named in server configuration"] {
        assert!(refused.err.contains(fact), "{fact}: {}", refused.err);
    }
}

#[test]
fn init_writes_a_file_that_is_valid_with_the_tools_that_are_accepted() {
    let base = tempfile::tempdir().unwrap();
    let home = base.path();
    let told = run(home, &["workflow", "init"]);
    assert_eq!(told.status, 0, "{}", told.err);
    let file = written(home, "printed.yaml", &told.out);
    assert_eq!(run(home, &["workflow", "check", &file]).status, 0);

    let world = World::new(EXE);
    let file = world.path("new.yaml");
    let made = world.ok(&["workflow", "init", "--tool-server", "support-desk", "--out", &file]);
    assert_eq!(made["tool_servers"], json!(["support-desk"]));
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("\"refund_order\": {risk: high, effect: write}"), "{text}");
    let checked = world.ok(&["workflow", "check", &file]);
    let unregistered =
        json!({"owner": null, "agents": ["agent:support-desk-runner"], "tool_servers": []});
    assert_eq!(checked["unregistered"], unregistered);
    // What nobody wrote yet is told as missing.
    let missing = checked["missing"].as_array().unwrap();
    assert!(missing.iter().any(|m| m["member"] == "purpose"), "{checked}");
    let args = ["--owner", "user:142", "--agent", "agent:mine"];
    let named = world.path("named.yaml");
    world.ok(&[&["workflow", "init", "--out", &named][..], &args].concat());
    let checked = world.ok(&["workflow", "check", &named]);
    assert_eq!(checked["owner"], "user:142");
    assert_eq!(checked["unregistered"]["agents"], json!(["agent:mine"]));
    assert_eq!((&checked["level"], &checked["supports"]), (&json!("manual"), &json!("manual")));
    // Nothing is replaced, and nothing is left of what was refused.
    let again = world.run(&["workflow", "init", "--out", &file]);
    assert_eq!((again.status, again.code().as_str()), (3, "file-exists"));
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    let other = world.path("other.yaml");
    assert_eq!(world.run(&["workflow", "init", "--tool-server", "x", "--out", &other]).status, 4);
    assert!(!Path::new(&other).exists());
}

#[test]
fn versions_are_listed_shown_and_compared() {
    let world = World::new(EXE);
    let first = world.ok(&["workflow", "show", "support-tickets"]);
    let changed = without(BUNDLED, "review")
        .replace("version: \"1\"", "version: \"2\"")
        .replace("add_note:         {risk: medium", "add_note:         {risk: low")
        .replace("max_calls: 500", "max_calls: 900");
    let file = written(world.base.path(), "next.yaml", &changed);
    let diff = world.ok(&["workflow", "diff", &file]);
    let told: Vec<(String, bool)> = diff["changes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| {
            let path: Vec<&str> =
                change["path"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect();
            (path.join(" > "), change["widens"] == true)
        })
        .collect();
    let expected = [
        ("budget > max_calls", true),
        ("review", true),
        ("tool_servers > support-desk > tools > add_note > risk", true),
        ("version", false),
    ];
    assert_eq!(told, expected.map(|(path, widens)| (path.to_owned(), widens)));
    assert_eq!(diff["permitted"], json!({"before": "bounded", "after": "manual"}));
    let second = world.ok(&["workflow", "publish", &file]);
    assert_eq!(world.ok(&["workflow", "diff", &file])["changes"], json!([]));
    publish(&world, BUNDLED);

    let history = world.ok(&["workflow", "history", "support-tickets"]);
    let versions = history["versions"].as_array().unwrap();
    let rows: Vec<_> = versions
        .iter()
        .map(|v| (&v["digest"], &v["level"], &v["permitted"], &v["current"]))
        .collect();
    let (bounded, manual, yes, no) = (json!("bounded"), json!("manual"), json!(true), json!(false));
    assert_eq!(
        rows,
        [
            (&first["digest"], &bounded, &bounded, &yes),
            (&second["digest"], &bounded, &manual, &no),
            (&first["digest"], &bounded, &bounded, &no),
        ]
    );
    // Each version is an entry of the ledger.
    for version in versions {
        let entry = world.ok(&["audit", "show", version["entry"].as_str().unwrap()]);
        assert_eq!(entry["kind"], "workflow.published", "{entry}");
    }
    let digest = |version: &Value| version["digest"].as_str().unwrap().to_owned();
    let (one, two) = (digest(&first), digest(&second));
    let back = world.ok(&["workflow", "diff", "support-tickets", &two, &one]);
    assert_eq!(back["widens"], true, "the level in force rises: {back}");
    let shown = world.ok(&["workflow", "show", "support-tickets", "--version", &two]);
    assert_eq!((&shown["document"], &shown["digest"]), (&json!(changed), &second["digest"]));
    assert_eq!(shown["says"]["budget"]["max_calls"], 900);
    let unknown = "A".repeat(43);
    for line in [
        &["workflow", "show", "support-tickets", "--version", &unknown][..],
        &["workflow", "diff", "support-tickets", &unknown, &one],
    ] {
        assert_eq!(world.run(line).status, 4, "{line:?}");
    }
    // As people see it.
    let data = world.data.display().to_string();
    let told = run(world.base.path(), &["--data-dir", &data, "workflow", "diff", &file]);
    assert_eq!(told.status, 0, "{}", told.err);
    for fact in
        ["- review: ", "max_calls: 500 -> 900  WIDENS", "bounded -> manual", "4 changed, 3 of it"]
    {
        assert!(told.out.contains(fact), "{fact}: {}", told.out);
    }
}
