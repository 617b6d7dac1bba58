//! A person lets a command line in, in a real browser; it acts for them over
//! the API. The API keeps what its description says: schemathesis (PyPI) reads
//! the one and calls the other.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use bailiwick_testkit::World;
use bailiwick_testkit::browser::Browser;
use bailiwick_testkit::process::Answer;
use bailiwick_testkit::world::command;
use serde_json::{Value, json};

use crate::EXE;

const PERSON: &str = "user:alice";

/// A person with a passkey who may run things.
async fn person(world: &World, roles: &[&str]) -> Browser {
    let mut args = vec!["principal", "add", PERSON, "--passkey"];
    for role in roles {
        args.extend(["--role", role]);
    }
    let link = world.ok(&args)["enrolment_link"].as_str().expect("a link").to_owned();
    let browser = Browser::start().await;
    browser.open(&link).await;
    browser.fill("#label", "Work laptop").await;
    browser.click("[data-passkey-enrol] button").await;
    // Signed in, that is on the page after this one.
    browser.text(".who form button").await;
    browser
}

/// The person's command line, on another machine as it were: no data dir.
fn remote(world: &World, args: &[&str]) -> Answer {
    let mut command = command(Path::new(EXE), world.base.path());
    Answer::of(command.args(["--json", "--logins"]).arg(world.path("logins")).args(args))
}

fn at(world: &World, args: &[&str]) -> Answer {
    let mut all = vec!["--at", world.public_url.as_str()];
    all.extend(args);
    remote(world, &all)
}

fn ok(answer: Answer) -> Value {
    assert_eq!(answer.status, 0, "{}{}", answer.out, answer.err);
    answer.json()
}

/// Signs in through the page.
async fn log_in(world: &World, browser: &Browser) -> Value {
    let mut command = command(Path::new(EXE), world.base.path());
    let logins = world.path("logins");
    let args = [
        "--json",
        "--logins",
        &logins,
        "login",
        &world.public_url,
        "--name",
        "bailiwick on a laptop",
    ];
    let mut child = command.args(args).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("an output")).lines();
    let mut line = || -> Value {
        serde_json::from_str(&lines.next().expect("a line").expect("text")).expect("JSON")
    };
    let opened = line();
    browser.open(opened["url"].as_str().expect("a URL")).await;
    let page = browser.text("main").await;
    assert!(page.contains(opened["mark"].as_str().expect("a mark")), "{page}");
    browser.picture("let-a-command-line-in").await;
    browser.click("form button.primary").await;
    browser.arrive("127.0.0.1").await;
    let made = line();
    assert!(child.wait().expect("it ends").success());
    made
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_signs_a_command_line_in_and_out_and_it_acts_for_them() {
    let mut world = World::new(EXE);
    let browser = person(&world, &["operator"]).await;
    assert_eq!(at(&world, &["grant", "list"]).code(), "not-signed-in");
    let made = log_in(&world, &browser).await;
    assert_eq!((&made["principal"], &made["roles"]), (&json!(PERSON), &json!(["operator"])));
    let kept = std::fs::read_dir(world.path("logins")).unwrap().next().unwrap().unwrap();
    let mode = std::os::unix::fs::PermissionsExt::mode(&kept.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);

    assert_eq!(ok(remote(&world, &["whoami", &world.public_url]))["principal"], PERSON);
    assert_eq!(ok(at(&world, &["grant", "list"]))["grants"], json!([]));
    let agents = ok(at(&world, &["agent", "list"]));
    assert_eq!(agents["agents"].as_array().unwrap().len(), 2);
    let added = ok(at(&world, &["agent", "add", "agent:new", "--owner", "user:owner"]));
    assert_eq!(added["owner"], "user:owner");
    assert_eq!(ok(at(&world, &["agent", "suspend", "agent:new"]))["status"], "suspended");
    let invited = ok(at(&world, &["instance", "invite", "--agent", "agent:support-runner"]));
    assert!(invited["enrolment_token"].is_string());

    // An operator takes back what somebody else granted.
    let chain = world.chain();
    let grants = ok(at(&world, &["grant", "list", "--principal", "user:142"]));
    let grant = grants["grants"][0]["grant"].as_str().unwrap().to_owned();
    let roots = ok(at(&world, &["delegation", "list", "--grant", &grant]));
    assert_eq!(roots["roots"][0]["state"], "active");
    ok(at(&world, &["revoke", "grant", &grant, "--reason", "drill"]));
    let shown = ok(at(&world, &["grant", "show", &grant]));
    assert_eq!(shown["state"], "revoked");
    drop(chain);

    // An operator stops, and does not resume; the reason is there to be read.
    let stop = ok(at(&world, &["stop", "agent:new", "--reason", "drill"]));
    let stop = stop["stop"].as_str().unwrap().to_owned();
    assert_eq!(ok(at(&world, &["stops", "show", &stop]))["reason"], "drill");
    let approver = world.path("approver.json");
    world.ok(&["approvals", "key", "new", "--for", PERSON, "--out", &approver]);
    assert_eq!(at(&world, &["resume", &stop, "--key", &approver]).code(), "role-missing");

    // What the role does not reach, what is malformed, what works elsewhere.
    let refused = at(&world, &["principal", "list"]);
    assert_eq!((refused.status, refused.code()), (1, "role-missing".to_owned()));
    let refused = at(&world, &["agent", "retire", "agent:new"]);
    assert_eq!((refused.status, refused.code()), (1, "role-missing".to_owned()));
    assert_eq!(at(&world, &["grant", "show", "x"]).code(), "unknown-name");
    assert_eq!(at(&world, &["keys", "list"]).code(), "not-at");
    // The variable does the same, and leaves verbs alone that cannot use it.
    let told = |args: &[&str]| {
        let mut command = command(Path::new(EXE), world.base.path());
        command.env("BAILIWICK_AT", &world.public_url);
        Answer::of(command.args(["--json", "--logins"]).arg(world.path("logins")).args(args))
    };
    assert_eq!(ok(told(&["agent", "list"]))["agents"].as_array().unwrap().len(), 3);
    assert_eq!(told(&["completions", "bash"]).status, 0);
    let data = world.data.display().to_string();
    assert!(
        ok(told(&["--data-dir", &data, "agent", "list"]))["agents"][0]["owner_alias"].is_string()
    );
    assert_eq!(remote(&world, &["--at", "http://gate.example", "grant", "list"]).status, 2);

    // An owner gives agents to somebody else, and ends accounts; an operator does not.
    let transfer = ["agent", "transfer", "agent:new", "--to", "user:142"];
    let leave = ["--agents-to", "user:owner", "--reason", "left the company"];
    let offboard = [["principal", "offboard", "user:142"].as_slice(), &leave].concat();
    assert_eq!(at(&world, &transfer).code(), "role-missing");
    assert_eq!(at(&world, &offboard).code(), "role-missing");
    world.ok(&["principal", "role", PERSON, "owner"]);
    let moved = ok(at(&world, &transfer));
    assert_eq!((&moved["changed"], &moved["owner"]), (&json!(true), &json!("user:142")));
    // An owner does, with a key that has come of age.
    let young = at(&world, &["resume", &stop, "--key", &approver]);
    assert_eq!(young.code(), "approval-signer-not-enrolled");
    assert_eq!(ok(at(&world, &["stops", "list"]))["stops"][0]["state"], "stands");
    let left = ok(at(&world, &offboard));
    assert_eq!(left["agents_moved"][0]["agent"], "agent:new");

    ok(remote(&world, &["logout", &world.public_url]));
    assert_eq!(at(&world, &["grant", "list"]).code(), "not-signed-in");
    world.stop_serve();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_keeps_what_its_description_says() {
    let mut world = World::new(EXE);
    let browser = person(&world, &["owner", "operator", "auditor"]).await;
    log_in(&world, &browser).await;
    let _chain = world.chain();
    let login = std::fs::read_dir(world.path("logins")).unwrap().next().unwrap().unwrap().path();
    let clients = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clients");
    let config = world.path("schemathesis.toml");
    // 413 is a refusal too.
    let refusals = "[400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429, 500, 503]";
    let statuses = format!("[checks]\nnegative_data_rejection.expected-statuses = {refusals}\n");
    std::fs::write(&config, statuses).unwrap();
    let output = Command::new(clients.join("venv/bin/schemathesis"))
        .env("SCHEMATHESIS_HOOKS", clients.join("schemathesis_hooks.py"))
        .env("LOGIN_FILE", login)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(world.base.path())
        .args(["--config-file", &config, "run", &format!("{}/openapi.json", world.public_url)])
        .args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance"])
        .args(["--checks", "response_headers_conformance,response_schema_conformance"])
        .args(["--checks", "negative_data_rejection,unsupported_method"])
        .args(["--phases", "examples,coverage,fuzzing", "--max-examples", "20", "--seed", "8821"])
        // These two end the login itself or never end, and the ledger is another's standard.
        .args(["--exclude-operation-id", "logout", "--exclude-operation-id", "revocationStream"])
        .args(["--exclude-operation-id", "ledger", "--no-color", "--continue-on-failure"])
        .args(["--generation-with-security-parameters", "false"])
        .output()
        .expect("schemathesis is installed by scripts/test");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    world.stop_serve();
}
