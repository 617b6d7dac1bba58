//! Runs, over the real binary: begun, linked, claimed, reviewed, abandoned.

use bailiwick_core::crypto::sha256;
use bailiwick_core::json::Json;
use bailiwick_core::limits::JsonLimits;
use bailiwick_testkit::World;
use bailiwick_testkit::http::{Request, Response};
use bailiwick_testkit::present::{Call, Chain, signed};
use serde_json::{Value, json};

use crate::EXE;

const SCOPE: [&str; 3] = ["ticket:8821", "tickets:note", "orders:read"];

fn answered(response: &Response) -> Value {
    let result = response.json()["result"].clone();
    assert_eq!(result["isError"], false, "{}", response.text());
    result["structuredContent"].clone()
}

/// The refusal's code, and why, as only the caller hears it.
fn refused(response: &Response) -> (String, String) {
    let data = response.json()["error"]["data"].clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&data["code"]), text(&data["why"]["code"]))
}

fn begin(world: &World, chain: &Chain, goal: &str) -> String {
    let answer = answered(&world.call(chain, "run_begin", json!({"goal": goal})));
    assert_eq!(answer["state"], "open", "{answer}");
    answer["run"].as_str().unwrap().to_owned()
}

fn complete(world: &World, chain: &Chain, claims: Value) -> Response {
    world.call(chain, "complete_task", json!({"claims": claims, "summary": "done"}))
}

fn note(world: &World, chain: &Chain) -> String {
    let arguments = json!({"ticket_id": 8821, "text": "answered"});
    world.assert_allowed(&world.call(chain, "add_note", arguments), "ok")
}

fn ticket(world: &World, chain: &Chain) -> String {
    world.assert_allowed(&world.call(chain, "get_ticket", json!({"ticket_id": 8821})), "ok")
}

/// What a tool server gave, without what the gateway adds.
fn digest_of(result: &Value) -> String {
    let mut result = result.clone();
    result["_meta"].as_object_mut().unwrap().remove("io.bailiwick/decision");
    if result["_meta"].as_object().unwrap().is_empty() {
        result.as_object_mut().unwrap().remove("_meta");
    }
    let result = Json::parse(result.to_string().as_bytes(), &JsonLimits::DEFAULT).unwrap();
    sha256(result.canonical().as_bytes()).to_string()
}

fn shown(world: &World, id: &str) -> Value {
    world.ok(&["runs", "show", id])
}

fn calls_of(run: &Value) -> u64 {
    let calls = run["calls"].as_array().unwrap().iter();
    calls.map(|calls| calls["calls"].as_u64().unwrap()).sum()
}

#[test]
fn a_run_is_begun_linked_claimed_and_reviewed() {
    let world = World::new(EXE);
    let chain = world.delegate(&SCOPE, &[]);
    let outside = ticket(&world, &chain);
    let id = begin(&world, &chain, "Goal-Canary: answer the ticket");
    // An equal begin is the same run.
    assert_eq!(begin(&world, &chain, "Goal-Canary: answer the ticket"), id);
    let answer = world.call(&chain, "get_ticket", json!({"ticket_id": 8821}));
    let digest = digest_of(&answer.json()["result"]);
    let read = world.assert_allowed(&answer, "ok");
    let context = json!({"items": [
        {"kind": "tool_output", "sha256": digest, "source": read},
        {"kind": "document", "sha256": "cd".repeat(32), "source": "refund-policy"},
        {"kind": "memory", "sha256": "ef".repeat(32), "source": "Source-Canary", "label": "Label-Canary"},
    ]});
    assert_eq!(answered(&world.call(&chain, "note_context", context))["undeclared"], json!([3]));
    let took = json!({"iterations": 2, "currency": "EUR", "model_calls": [
        {"model": "Model-Canary", "input_tokens": 900, "output_tokens": 40, "cost_micros": 1200},
    ]});
    answered(&world.call(&chain, "note_progress", took));
    // A sub-agent's calls belong to it, and so do those that are denied.
    let arguments = ["--tool", "mcp:support-desk:tools/get_ticket"];
    let child = world.attenuate(&chain, &world.runner, &world.reader, &arguments);
    let sub = Call::new(&child, &world.reader.key, "get_ticket", json!({"ticket_id": 8821}));
    world.assert_allowed(&world.send(&sub), "ok");
    let denied = world.call(&chain, "get_ticket", json!({"ticket_id": 9000}));
    world.assert_denied(&denied, "argument-not-delegated");
    // Who has a part of the task does not say what the whole attempts, or that it is done.
    let theirs = Call::new(&child, &world.reader.key, "complete_task", json!({"claims": []}));
    assert_eq!(
        refused(&world.send(&theirs)),
        ("run-refused".to_owned(), "run-not-the-tasks".to_owned())
    );
    // Nothing shows the note yet: claims by other calls and by none are refused whole.
    let claim = |receipt: &str| json!([{"criterion": "note-written", "receipt": receipt}]);
    for (receipt, why) in [
        (outside.as_str(), "run-foreign-receipt"),
        ("018cc251-f400-7000-8000-000000000002", "run-foreign-receipt"),
        (read.as_str(), "run-receipt-other-tool"),
    ] {
        let refusal = refused(&complete(&world, &chain, claim(receipt)));
        assert_eq!(refusal, ("run-refused".to_owned(), why.to_owned()));
    }
    assert_eq!(shown(&world, &id)["state"], "open");
    let written = note(&world, &chain);
    let answer = answered(&complete(&world, &chain, claim(&written)));
    assert_eq!((&answer["state"], &answer["complete"]), (&json!("claimed"), &json!(false)));
    let reasons = answer["reasons"].to_string();
    assert!(reasons.contains("`note-written` is met") && reasons.contains("`ticket-read-back`"));

    let run = shown(&world, &id);
    assert_eq!(run["goal"], "Goal-Canary: answer the ticket");
    assert_eq!((&run["items"], &run["undeclared"]), (&json!(3), &json!(1)));
    assert_eq!(run["spent"]["cost_micros"], 1200);
    let counted = calls_of(&run);
    // Later calls are of no run, nor is what is said of it then.
    let later = ticket(&world, &chain);
    assert_eq!(calls_of(&shown(&world, &id)), counted);
    let noted = world.call(&chain, "note_progress", json!({"iterations": 1}));
    assert_eq!(refused(&noted).0, "run-unknown");
    let linked = |decision: &str| {
        let actions = world.ok(&["audit", "query", "--task", &task_of(&run)]);
        let all = actions["actions"].as_array().unwrap().clone();
        let found = all.iter().find(|action| action["action"] == decision);
        found.map(|action| action["run"].as_str().map(str::to_owned))
    };
    assert_eq!(linked(&read), Some(Some(id.clone())));
    assert_eq!(linked(&outside), Some(None));
    assert_eq!(linked(&later), Some(None));

    // The owner reviews with their own key, the principal may not, and nobody without.
    let review = |more: &[&str]| world.run(&[&["run", "review", &id], more].concat());
    let owner = world.path("owner/key.json");
    let theirs = world.principal_key();
    let accepted = ["--verdict", "accepted", "--key", &theirs];
    assert_eq!(review(&accepted).code(), "run-not-reviewer");
    assert_eq!(review(&["--verdict", "accepted"]).code(), "argument-missing");
    let bare = ["--verdict", "rejected", "--key", &owner];
    assert_eq!(review(&bare).status, 2);
    let odd = ["--verdict", "accepted", "--criterion", "nope", "--key", &owner];
    let odd = review(&odd);
    assert_eq!((odd.status, odd.code().as_str()), (2, "run-criterion-unknown"));
    assert!(odd.json()["error"]["message"].to_string().contains("`note-written`"), "{}", odd.out);
    let words = ["--what", "Review-Canary", "--why", "Review-Canary"];
    let corrected = review(&[&["--verdict", "corrected", "--key", &owner][..], &words].concat());
    assert_eq!(corrected.status, 0, "{}{}", corrected.out, corrected.err);
    let run = shown(&world, &id);
    assert_eq!(
        (&run["review"], &run["reviews"][0]["what"]),
        (&json!("corrected"), &json!("Review-Canary"))
    );
    let listed = world.ok(&["run", "list", "--state", "claimed"]);
    assert_eq!(listed["runs"][0]["run"], id.as_str());
    assert_eq!(world.run(&["runs", "show", "018cc251-f400-7000-8000-000000000002"]).status, 4);

    // No words of anybody are in what everybody may keep.
    let entries = world.ok(&["audit", "query", "--limit", "500"]).to_string();
    for canary in ["Goal-Canary", "Source-Canary", "Label-Canary", "Model-Canary", "Review-Canary"]
    {
        assert!(!entries.contains(canary), "{canary}");
    }
    assert_eq!(world.ok(&["audit", "verify"])["holds"], true);
    world.ok(&["audit", "erase", run["entry"].as_str().unwrap(), "--yes"]);
    let run = shown(&world, &id);
    assert_eq!((&run["goal"], &run["state"]), (&Value::Null, &json!("claimed")));
    assert_eq!(world.ok(&["audit", "verify"])["holds"], true);
    // What was decided in a run replays as it was decided.
    let (bundle, trust) = (world.path("evidence.json"), world.path("trust.json"));
    world.ok(&["evidence", "get", &read, "-o", &bundle]);
    world.ok(&["keys", "trust", "-o", &trust]);
    let nowhere = world.base.path().join("nowhere");
    let verified = world.run_on(&nowhere, &["evidence", "verify", &bundle, "--trust", &trust]);
    assert_eq!(verified.status, 0, "{}{}", verified.out, verified.err);
}

fn task_of(run: &Value) -> String {
    run["task"].as_str().unwrap().to_owned()
}

#[test]
fn a_run_of_somebody_elses_task_is_out_of_reach() {
    let world = World::new(EXE);
    let (mine, other) = (world.delegate(&SCOPE, &[]), world.delegate(&SCOPE, &[]));
    let theirs = begin(&world, &other, "theirs");
    let written = note(&world, &other);
    // Without a run of its own it names theirs, and with one too.
    let named = json!({"run": theirs, "iterations": 1});
    assert_eq!(refused(&world.call(&mine, "note_progress", named.clone())).0, "run-unknown");
    begin(&world, &mine, "mine");
    assert_eq!(refused(&world.call(&mine, "note_progress", named)).0, "run-unknown");
    let claims = json!([{"criterion": "note-written", "receipt": written}]);
    assert_eq!(refused(&complete(&world, &mine, claims)).1, "run-foreign-receipt");
    let item = json!({"kind": "tool_output", "sha256": "ab".repeat(32), "source": written});
    let noted = world.call(&mine, "note_context", json!({"items": [item]}));
    assert_eq!(refused(&noted).1, "run-foreign-receipt");
    assert_eq!(shown(&world, &theirs)["spent"]["iterations"], 0);
}

#[test]
fn a_run_ends_when_its_grant_is_revoked() {
    let world = World::new(EXE);
    let chain = world.delegate(&SCOPE, &[]);
    let id = begin(&world, &chain, "answer the ticket");
    ticket(&world, &chain);
    let grant = shown(&world, &id)["grant"].as_str().unwrap().to_owned();
    world.ok(&["revoke", "grant", &grant, "--reason", "done"]);
    let begun = world.call(&chain, "run_begin", json!({"goal": "another"}));
    assert_eq!(refused(&begun).0, "grant-not-standing", "{}", begun.text());
    // The running `serve` looks for such runs by itself.
    let ended = (0..300).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        shown(&world, &id)["state"] == "abandoned"
    });
    assert!(ended);
}

#[test]
fn the_same_over_http_and_on_the_command_line() {
    let world = World::new(EXE);
    let chain = world.delegate(&SCOPE, &[]);
    let ask = |path: &str, body: Value| {
        let request =
            Request::post(path, body.to_string()).with("content-type", "application/json");
        let url = format!("{}{path}", world.public_url);
        signed(request, &chain, &world.runner.key, "POST", &url).send(world.address).unwrap()
    };
    let begun = ask("/runs/v1/begin", json!({"goal": "over HTTP"}));
    assert_eq!(begun.status, 200, "{}", begun.text());
    let id = begun.json()["run"].as_str().unwrap().to_owned();
    ask("/runs/v1/progress", json!({"iterations": 3}));
    let item = json!({"kind": "prompt", "sha256": "ab".repeat(32), "source": "customer-message"});
    assert_eq!(ask("/runs/v1/context", json!({"items": [item]})).status, 200);
    let wrong = ask("/runs/v1/complete", json!({"claims": [{"criterion": "rich"}]}));
    assert_eq!(
        (wrong.status, wrong.json()["why"]["code"].clone()),
        (422, json!("run-criterion-unknown"))
    );
    assert_eq!(ask("/runs/v1/complete", json!({"claims": []})).status, 200);
    assert_eq!(ask("/runs/v1/progress", json!({"iterations": 3})).status, 404);
    let run = shown(&world, &id);
    assert_eq!((&run["state"], &run["spent"]["iterations"]), (&json!("claimed"), &json!(3)));

    let (file, key) = (chain.path(), world.runner.key_file());
    let url = world.endpoint();
    let called = world.ok(&[
        "call",
        "--url",
        &url,
        "--chain",
        &file,
        "--key",
        &key,
        "run_begin",
        "goal=by hand",
    ]);
    let text = called.to_string();
    assert!(text.contains("\"state\""), "{text}");
    let listed = world.ok(&["runs", "list", "--state", "open"]);
    assert_eq!(listed["runs"].as_array().unwrap().len(), 1, "{listed}");
}

#[test]
fn run_still_takes_a_program_after_two_dashes_alone() {
    let world = World::new(EXE);
    let wrong = world.run(&["run", "--", "list"]);
    assert_eq!(wrong.status, 2, "{}{}", wrong.out, wrong.err);
    assert!(wrong.err.contains("--task") || wrong.out.contains("--task"), "{}", wrong.err);
}
