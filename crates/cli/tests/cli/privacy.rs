//! What never stands anywhere: personal data in leaves, secrets in the ledger,
//! the state, logs or answers.

use std::fs;

use bailiwick_testkit::browser::Browser;
use bailiwick_testkit::present::Call;
use bailiwick_testkit::world::{OWNER, PRINCIPAL, PURPOSE, files};
use bailiwick_testkit::{Setup, World};
use serde_json::{Value, json};

use crate::EXE;
use crate::checks::{SCOPE, begin, note};

fn ticket() -> Value {
    json!({"ticket_id": 8821})
}

fn leaves(data: &std::path::Path) -> Vec<Vec<u8>> {
    let database = rusqlite::Connection::open(data.join("state.db")).unwrap();
    let mut query = database.prepare("SELECT leaf FROM entries ORDER BY idx").unwrap();
    query.query_map([], |r| r.get(0)).unwrap().map(Result::unwrap).collect()
}

#[test]
fn leaves_hold_no_personal_data_and_nothing_holds_a_secret() {
    let config = vec![("log", "\"debug\"".to_owned())];
    let mut world = World::with(EXE, &Setup { config, ..Setup::default() });
    let chain = world.delegate(&["ticket:8821", "ticket:8821:note", "customers:search"], &[]);
    let child = world.attenuate(&chain, &world.runner, &world.reader, &[]);
    let mut heard = String::new();
    // Values that try to break out of lines and JSON as well (log injection).
    let note =
        json!({"ticket_id": 8821, "text": "argument-canary\n{\"level\":\"ERROR\"}\r\u{1b}[2J"});
    let query = json!({"query": "argument-canary@example.com"});
    for (tool, arguments) in
        [("get_ticket", ticket()), ("add_note", note), ("search_customers", query)]
    {
        let answer = world.call(&chain, tool, arguments.clone());
        world.assert_allowed(&answer, "ok");
        heard.push_str(&answer.text());
        let answer = world.send(&Call::new(&child, &world.reader.key, tool, arguments));
        world.assert_allowed(&answer, "ok");
    }
    let denied = world.call(&chain, "get_ticket", json!({"ticket_id": "argument-canary"}));
    world.assert_denied(&denied, "argument-not-delegated");
    heard.push_str(&denied.text());
    let stranger = world.send(&Call::new(&chain, &world.reader.key, "get_ticket", ticket()));
    world.assert_not_authenticated(&stranger, "proof-invalid");
    heard.push_str(&stranger.text());
    world.ok(&[
        "revoke",
        "delegation",
        "--chain",
        &chain.path(),
        "--reason",
        "reason-canary of Mrs Purpose-Canary",
    ]);
    world.stop_serve();

    let jwk = |name: &str| {
        let file = fs::read_to_string(world.data.join("keys").join(name)).unwrap();
        let jwk: Value = serde_json::from_str(&file).unwrap();
        jwk["d"].as_str().unwrap().to_owned()
    };
    let admin = fs::read_to_string(world.data.join("keys/admin.credential")).unwrap();
    let mut secrets = vec!["desk-credential-canary".to_owned(), admin.trim().to_owned()];
    let keys = ["issuer.jwk", "authority.jwk", "gateway.jwk", "log.jwk", "plaintext.jwk"];
    secrets.extend(keys.iter().map(|k| jwk(k)));
    for holder in [&world.runner, &world.reader] {
        let file = fs::read_to_string(holder.home.join("key.json")).unwrap();
        let file: Value = serde_json::from_str(&file).unwrap();
        secrets.push(file["holder"]["d"].as_str().unwrap().to_owned());
        secrets.push(file["identity_pkcs8"].as_str().unwrap().to_owned());
    }
    let leaf = chain.leaf().rsplit('.').next().unwrap().to_owned();
    let log = world.base.path().join("serve.log");
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("\"level\":\"INFO\""), "the log says something: {log}");
    for line in log.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "a log line is JSON: {line}");
    }
    let state = fs::read(world.data.join("state.db")).unwrap();
    let state = String::from_utf8_lossy(&state).into_owned();
    let tiles: Vec<u8> =
        files(&world.data.join("ledger")).iter().flat_map(|f| fs::read(f).unwrap()).collect();
    let tiles = String::from_utf8_lossy(&tiles).into_owned();
    for secret in &secrets {
        for (place, text) in
            [("log", &log), ("state", &state), ("ledger", &tiles), ("answers", &heard)]
        {
            assert!(!text.contains(secret.as_str()), "a secret stands in {place}");
        }
    }
    // Tokens, purposes, arguments, names: in no log and in no leaf.
    let personal = [
        "argument-canary",
        "reason-canary",
        PURPOSE,
        "Purpose-Canary",
        PRINCIPAL,
        "user:owner",
        "ticket_id",
    ];
    for text in personal.iter().copied().chain([leaf.as_str()]) {
        assert!(!tiles.contains(text), "`{text}` stands in the ledger");
    }
    for text in ["argument-canary", "reason-canary", "Purpose-Canary", PRINCIPAL, leaf.as_str()] {
        assert!(!log.contains(text), "`{text}` stands in the log");
    }
    // The texts beside the ledger are not in the clear either.
    assert!(!state.contains("argument-canary"), "an argument lies in the clear");
    let entries = leaves(&world.data);
    assert!(entries.len() > 20);
    for entry in entries {
        assert!(!entry.contains(&b'@'), "{}", String::from_utf8_lossy(&entry));
    }
}

#[test]
fn erased_texts_are_in_no_file_and_every_proof_still_holds() {
    let mut world = World::new(EXE);
    let chain = world.delegate(&["ticket:8821:note"], &[]);
    let note = |text: &str| json!({"ticket_id": 8821, "text": text});
    let first = world.call(&chain, "add_note", note("first"));
    let first = world.assert_allowed(&first, "ok");
    let second = world.call(&chain, "add_note", note("second"));
    let second = world.assert_allowed(&second, "ok");
    let plain = |action: &str| world.ok(&["audit", "show", action, "--plaintext"]);
    assert_eq!(plain(&first)["plaintext"]["arguments"]["text"], "first");
    let kept = world.path("kept.json");
    world.ok(&["evidence", "get", &first, "-o", &kept]);

    // It asks for a yes first.
    assert_eq!(world.run(&["audit", "erase", &first]).status, 2);
    let erased = world.ok(&["audit", "erase", &first, "--yes"]);
    assert_eq!(erased["entries"], 2, "the decision and the outcome: {erased}");
    assert_eq!(plain(&first)["plaintext"], json!({}));
    assert_eq!(plain(&second)["plaintext"]["arguments"]["text"], "second");
    // A bundle made before still proves; a new one cannot be made.
    let trust = world.path("trust.json");
    world.ok(&["keys", "trust", "-o", &trust]);
    world.ok(&["evidence", "verify", &kept, "--trust", &trust]);
    let again = world.run(&["evidence", "get", &first, "-o", &world.path("again.json")]);
    assert_eq!(again.status, 1, "{}", again.out);

    // Everything about the principal, after it was suspended. What was taken
    // back before stays on record as taken back.
    world.ok(&["revoke", "delegation", "--chain", &chain.path(), "--reason", "done"]);
    let all = ["audit", "erase", PRINCIPAL, "--yes"];
    let active = world.run(&all);
    assert_eq!(active.json()["error"]["code"], "still-active");
    world.ok(&["principal", "suspend", PRINCIPAL]);
    world.ok(&all);
    assert_eq!(plain(&second)["plaintext"], json!({}));
    let listed = world.ok(&["principal", "list"]).to_string();
    assert!(!listed.contains(PRINCIPAL) && listed.contains("(erased)"), "{listed}");
    world.stop_serve();
    let report = world.ok(&["audit", "verify"]);
    assert_eq!(report["holds"], true, "{report}");
    let state = fs::read(world.data.join("state.db")).unwrap();
    assert!(!String::from_utf8_lossy(&state).contains(PRINCIPAL), "the name lies in the state");
}

/// What is said of a run, by its agent and by people.
const SAID: [&str; 8] = [
    "Goal-Canary",
    "Source-Canary",
    "Summary-Canary",
    "Statement-Canary",
    "What-Canary",
    "Why-Canary",
    "Request-Canary",
    "Class-Canary",
];

/// A run of the principal of which everybody says something; gives the run, its failure
/// and its agent's request.
fn talked_about(world: &World) -> (String, String, String) {
    let chain = world.delegate(&SCOPE, &[]);
    let told = |tool: &str, arguments: Value| {
        let answer = world.call(&chain, tool, arguments);
        assert_eq!(answer.json()["result"]["isError"], false, "{}", answer.text());
        answer.json()["result"]["structuredContent"].clone()
    };
    let run = begin(world, &chain, "Goal-Canary: answer Ada");
    let item = json!({"kind": "memory", "sha256": "ef".repeat(32), "source": "Source-Canary"});
    told("note_context", json!({"items": [item]}));
    let denied = world.call(&chain, "get_ticket", json!({"ticket_id": 9000}));
    world.assert_denied(&denied, "argument-not-delegated");
    let asked = json!({"scope": ["orders:read"], "reason": "Request-Canary: she asks"});
    let request = told("request_authority", asked)["request"].as_str().unwrap().to_owned();
    let receipt = note(world, &chain, "answered");
    let claim =
        json!({"criterion": "note-written", "receipt": receipt, "statement": "Statement-Canary"});
    told("complete_task", json!({"claims": [claim], "summary": "Summary-Canary"}));
    let key = world.path("owner/key.json");
    let said = ["--verdict", "corrected", "--what", "What-Canary", "--why", "Why-Canary"];
    world.ok(&[&["run", "review", &run, "--key", &key], &said[..]].concat());
    let failure = (0..100)
        .find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(200));
            let all = world.ok(&["failure", "list"])["failures"].as_array().unwrap().clone();
            let found = all.iter().find(|f| f["reason"] == "argument-not-delegated")?;
            Some(found["failure"].as_str().unwrap().to_owned())
        })
        .unwrap();
    let class = ["--class", "permission_model", "--note", "Class-Canary"];
    world.ok(&[&["failure", "classify", &failure], &class[..]].concat());
    (run, failure, request)
}

#[test]
fn what_was_said_of_somebodys_runs_is_erased_and_their_pages_say_so() {
    let mut world = World::new(EXE);
    let (run, failure, request) = talked_about(&world);
    world.ok(&["principal", "role", OWNER, "owner"]);
    let link = world.ok(&["principal", "link", OWNER]);
    let pages = [
        (format!("/runs/{run}"), ["The goal's text was erased", "What was said was erased"]),
        (format!("/failures/{failure}"), ["What somebody said of it was erased", ""]),
        (format!("/requests/{request}"), ["The text of this request was erased", ""]),
        ("/runs".to_owned(), ["", ""]),
        ("/failures".to_owned(), ["", ""]),
        ("/requests".to_owned(), ["", ""]),
        ("/activity".to_owned(), ["", ""]),
    ];
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let browser = runtime.block_on(Browser::start());
    let shown = |path: &str| {
        runtime.block_on(async {
            browser.open(&format!("{}{path}", world.public_url)).await;
            browser.text("main h1").await;
            browser.script("return document.documentElement.outerHTML").await.to_string()
        })
    };
    runtime.block_on(async {
        browser.open(link["enrolment_link"].as_str().unwrap()).await;
        browser.fill("#label", "Work laptop").await;
        browser.click("[data-passkey-enrol] button").await;
        browser.text(".who").await;
    });
    let before: String = pages.iter().map(|(path, _)| shown(path)).collect();
    // Every text that a page shows is there, and none says that it was erased.
    for said in ["Goal-Canary", "What-Canary", "Why-Canary", "Class-Canary"] {
        assert!(before.contains(said), "{said}");
    }
    assert!(!before.contains("was erased"), "{before}");

    world.ok(&["principal", "suspend", PRINCIPAL]);
    world.ok(&["audit", "erase", PRINCIPAL, "--yes"]);
    // What an operator wrote about a failure names nobody: it is erased by its entry.
    let tail = world.run(&["audit", "tail", "-n", "1000"]).out;
    let entry = tail.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let entry = entry.into_iter().find(|e| e["kind"] == "failure.classified").unwrap();
    world.ok(&["audit", "erase", entry["id"].as_str().unwrap(), "--yes"]);

    assert_eq!(world.ok(&["audit", "verify"])["holds"], true);
    for (path, told) in &pages {
        let page = shown(path);
        for said in SAID {
            assert!(!page.contains(said), "{said} on {path}");
        }
        for told in told {
            assert!(page.contains(told), "{told} is not on {path}: {page}");
        }
    }
    let mut told = String::new();
    for args in [
        &["run", "show", &run][..],
        &["run", "report", &run],
        &["run", "report", &run, "--format", "html"],
        &["run", "report", &run, "--format", "md"],
        &["failure", "show", &failure],
    ] {
        told.push_str(&world.ok(args).to_string());
    }
    for said in SAID {
        assert!(!told.contains(said), "{said}: {told}");
    }
    // Also once it serves again, over the files that are left.
    world.stop_serve();
    let verified = world.ok(&["audit", "verify"]);
    assert_eq!(verified["holds"], true, "{verified}");
    world.start_serve();
}
