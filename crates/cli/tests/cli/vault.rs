//! Credentials of tool servers: from the vault to the tool server, and nowhere
//! else.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bailiwick_core::crypto::base64url;
use bailiwick_testkit::http::Response;
use bailiwick_testkit::present::Chain;
use bailiwick_testkit::world::{PRINCIPAL, files, private};
use bailiwick_testkit::{Setup, World};
use serde_json::{Value, json};

use crate::EXE;
use crate::stock_clients::{Program, clients};

/// What opens the desk.
const CREDENTIAL: &str = "desk-credential-canary-0123456789";
/// What opens nothing.
const WRONG: &str = "wrong-credential-canary/4711+x";
const DESK: &str = "support-desk";

fn ticket(world: &World, chain: &Chain) -> Response {
    world.call(chain, "get_ticket", json!({"ticket_id": 8821}))
}

/// Longer than what was read of the vault is kept.
fn settle() {
    std::thread::sleep(Duration::from_millis(700));
}

fn set(world: &World, more: &[&str]) -> Value {
    let said = world.ok(&[&["vault", "set", DESK], more].concat());
    settle();
    said
}

/// Every form of a secret that is searched for.
fn forms(secret: &str) -> Vec<String> {
    let hex: String = secret.bytes().map(|b| format!("{b:02x}")).collect();
    let percent: String = secret.bytes().map(|b| format!("%{b:02X}")).collect();
    let mut forms = vec![secret.to_owned(), hex.to_uppercase(), hex, percent];
    // In base64 of a text around it, by the place at which it stands.
    for before in ["", "x", "xx"] {
        let whole = base64url(format!("{before}{secret}").as_bytes());
        let inner = whole[before.len() + 1..whole.len() - 1].to_owned();
        forms.push(inner.replace('-', "+").replace('_', "/"));
        forms.push(inner);
    }
    forms
}

fn denial(answer: &Response) -> String {
    answer.json()["error"]["data"]["code"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn credentials_stand_nowhere_but_in_their_place() {
    let config = vec![("log", "\"debug\"".to_owned())];
    let mut world = World::with(EXE, &Setup { config, ..Setup::default() });
    let chain = world.delegate(&["ticket:8821"], &[]);
    let (token, wrong) = (world.path("token"), world.path("wrong"));
    private(Path::new(&token), CREDENTIAL);
    private(Path::new(&wrong), WRONG);
    let folder = world.base.path().join("handed-over");
    fs::create_dir(&folder).unwrap();
    private(&folder.join("desk"), CREDENTIAL);
    world.stop_serve();
    let mut command = world.serve_command();
    command.env("CREDENTIALS_DIRECTORY", &folder);
    world.start_serve_as(&mut command);

    let mut said = String::new();
    let mut decided = String::new();
    let (file, command) = (format!("file:{token}"), format!("exec:/bin/cat {token}"));
    for (reference, source) in [
        (["--secret-file", token.as_str()], "value"),
        (["--secret-from", &file], "file"),
        (["--secret-from", "credential:desk"], "credential"),
        (["--secret-from", &command], "exec"),
    ] {
        let answer = set(&world, &[&["--bearer"], &reference[..]].concat());
        assert_eq!((&answer["kind"], &answer["source"]), (&json!("bearer"), &json!(source)));
        said.push_str(&answer.to_string());
        let answer = ticket(&world, &chain);
        decided = world.assert_allowed(&answer, "ok");
        said.push_str(&answer.text());
        let denied = world.call(&chain, "get_ticket", json!({"ticket_id": 1}));
        world.assert_denied(&denied, "argument-not-delegated");
        said.push_str(&denied.text());
    }
    let brief = world.delegate(&["reports:read"], &["--for", "2s"]);
    let late = world.call(&brief, "slow_report", json!({"seconds": 30}));
    world.assert_allowed(&late, "timeout");
    said.push_str(&late.text());
    // The record says by whose account the desk knew the call, and so does evidence.
    let shown = world.ok(&["audit", "show", &decided]);
    assert!(shown.to_string().contains(r#""upstream_identity":"shared""#), "{shown}");
    std::thread::sleep(Duration::from_millis(1200));
    let (bundle, trust) = (world.path("bundle.json"), world.path("trust.json"));
    world.ok(&["evidence", "get", &decided, "-o", &bundle]);
    world.ok(&["keys", "trust", "-o", &trust]);
    said.push_str(&world.ok(&["evidence", "verify", &bundle, "--trust", &trust]).to_string());
    said.push_str(&fs::read_to_string(&bundle).unwrap());

    // Those that the desk refuses, of every kind.
    for kind in [&["--bearer"][..], &["--basic", "robot"], &["--header", "X-Api-Key"]] {
        said.push_str(&set(&world, &[kind, &["--secret-file", &wrong]].concat()).to_string());
        let answer = ticket(&world, &chain);
        assert!(answer.json().get("error").is_some(), "{}", answer.text());
        said.push_str(&answer.text());
        said.push_str(&world.run(&["doctor"]).out);
    }
    // A vault that cannot be opened denies.
    let key = world.data.join("keys/vault.jwk");
    fs::rename(&key, world.base.path().join("away.jwk")).unwrap();
    set_twice_fails(&world, &wrong);
    // What was opened before is kept while the gateway runs.
    world.stop_serve();
    world.start_serve();
    let answer = ticket(&world, &chain);
    assert_eq!(denial(&answer), "credential-unavailable", "{}", answer.text());
    said.push_str(&answer.text());
    let doctor = world.run(&["doctor"]);
    assert!(doctor.status == 1 && doctor.out.contains("vault-key-missing"), "{}", doctor.out);
    said.push_str(&doctor.out);
    fs::rename(world.base.path().join("away.jwk"), &key).unwrap();

    // Sealed anew under another key, it still opens.
    set(&world, &["--bearer", "--secret-file", &token]);
    let before = fs::read(&key).unwrap();
    assert_eq!(world.ok(&["vault", "rotate-key"])["sealed_anew"], 1);
    assert_ne!(fs::read(&key).unwrap(), before);
    settle();
    world.assert_allowed(&ticket(&world, &chain), "ok");
    let listed = world.ok(&["vault", "list"]);
    assert_eq!(listed["credentials"][0]["tool_server"], DESK);
    said.push_str(&listed.to_string());
    for verb in [&["tool-server", "list"][..], &["audit", "tail", "-n", "200"], &["config", "show"]]
    {
        said.push_str(&world.run(verb).out);
    }
    world.ok(&["vault", "remove", DESK]);
    assert_eq!(world.run(&["vault", "remove", DESK]).status, 4);
    world.stop_serve();

    let mut places = vec![("what was said".to_owned(), said.into_bytes())];
    for file in files(&world.data) {
        if !file.starts_with(world.data.join("keys")) {
            places.push((file.display().to_string(), fs::read(&file).unwrap()));
        }
    }
    let log = fs::read(world.base.path().join("serve.log")).unwrap();
    assert!(String::from_utf8_lossy(&log).contains("credential"), "the log says something");
    places.push(("the log".to_owned(), log));
    let secret: Value = serde_json::from_slice(&fs::read(&key).unwrap()).unwrap();
    let vault_key = secret["d"].as_str().unwrap().to_owned();
    for form in [CREDENTIAL, WRONG].iter().flat_map(|s| forms(s)).chain([vault_key]) {
        for (place, bytes) in &places {
            let text = String::from_utf8_lossy(bytes);
            assert!(!text.contains(&form), "`{form}` stands in {place}");
        }
    }
}

/// Without its key nothing new is sealed beside what is there.
fn set_twice_fails(world: &World, file: &str) {
    let answer = world.run(&["vault", "set", DESK, "--bearer", "--secret-file", file]);
    assert_eq!(answer.status, 3, "{}", answer.out);
    assert!(answer.out.contains("vault-key-missing"), "{}", answer.out);
}

#[test]
fn a_server_that_knows_principals_is_shown_each_ones_own_account_until_they_leave() {
    let world = World::new(EXE);
    let chain = world.chain();
    let decided = world.assert_allowed(&ticket(&world, &chain), "ok");
    let shown = world.ok(&["audit", "show", &decided]).to_string();
    assert!(shown.contains(r#""upstream_identity":"shared""#), "{shown}");
    world.ok(&["tool-server", "identity", DESK, "principal"]);
    settle();
    // The gateway's own credential would open the desk, and is not used.
    let answer = ticket(&world, &chain);
    world.assert_denied(&answer, "upstream-account-missing");
    assert!(answer.text().contains("vault set"), "{}", answer.text());
    let token = world.path("token");
    private(Path::new(&token), CREDENTIAL);
    set(&world, &["--principal", PRINCIPAL, "--bearer", "--secret-file", &token]);
    let decided = world.assert_allowed(&ticket(&world, &chain), "ok");
    let shown = world.ok(&["audit", "show", &decided]).to_string();
    assert!(shown.contains(r#""upstream_identity":"principal""#), "{shown}");
    let listed = world.ok(&["vault", "list"]);
    assert_eq!(listed["credentials"][0]["principal"], PRINCIPAL);
    // The ledger names nobody, and nothing of the credential.
    let tail = world.run(&["audit", "tail", "-n", "50"]).out;
    assert!(tail.contains("vault.credential_set"), "{tail}");
    world.ok(&["principal", "offboard", PRINCIPAL, "--reason", "left the company"]);
    assert_eq!(world.ok(&["vault", "list"])["credentials"], json!([]));
    let tail = world.run(&["audit", "tail", "-n", "50"]).out;
    assert!(tail.contains("vault.credential_removed"), "{tail}");
}

#[test]
fn behind_a_shared_account_a_tool_that_may_touch_what_is_personal_needs_a_person() {
    let world = World::new(EXE);
    let text = fs::read_to_string(world.path("workflow.yaml")).unwrap();
    let unstated =
        text.replace(", resource: ticket_id", "").replace("version: \"1\"", "version: \"2\"");
    assert_ne!(unstated, text);
    fs::write(world.path("workflow.yaml"), unstated).unwrap();
    world.ok(&["workflow", "publish", &world.path("workflow.yaml")]);
    let chain = world.chain();
    let answer = ticket(&world, &chain);
    assert_eq!(denial(&answer), "approval-required", "{}", answer.text());
    let waiting = world.ok(&["approvals", "list"]);
    assert_eq!(waiting["approvals"][0]["rule"], "shared-identity", "{waiting}");
    // What is said to be nobody's own passes.
    let orders = world.call(&chain, "get_order", json!({"order_id": 10072}));
    world.assert_allowed(&orders, "ok");
    // So does the same tool where each principal has an account.
    world.ok(&["tool-server", "identity", DESK, "principal"]);
    let token = world.path("token");
    private(Path::new(&token), CREDENTIAL);
    set(&world, &["--principal", PRINCIPAL, "--bearer", "--secret-file", &token]);
    world.assert_allowed(&ticket(&world, &chain), "ok");
}

#[test]
fn a_token_is_fetched_for_the_clients_secret_kept_and_renewed_when_it_is_refused() {
    const SECRET: &str = "client-secret-canary-of-the-robot";
    let mut world = World::new(EXE);
    // The gate stands where the desk stood, and the desk behind it.
    world.stop_desk();
    let front = std::mem::take(&mut world.desk_url);
    world.start_desk("none");
    let port = front.split(':').nth(2).and_then(|p| p.split('/').next()).unwrap().to_owned();
    let mut command = Command::new("node");
    command
        .arg(clients().join("token_gate.mjs"))
        .args([port.as_str(), &world.desk_url, SECRET])
        .env("UPSTREAM_CREDENTIAL", CREDENTIAL);
    let gate = Program::start(&mut command);
    gate.expect("listening");
    let secret = world.path("secret");
    private(Path::new(&secret), SECRET);
    let url = format!("http://127.0.0.1:{port}/token");
    let oauth = |secret: &str, more: &[&str]| {
        let oauth = ["--oauth-token-url", &url, "--oauth-client-id", "robot"];
        let rest = ["--oauth-scope", "tickets", "--secret-file", secret];
        set(&world, &[&oauth, &rest[..], more].concat())
    };
    let chain = world.chain();
    // This machine is no public address: the operator has to say so.
    oauth(&secret, &[]);
    assert_eq!(denial(&ticket(&world, &chain)), "credential-unavailable");
    oauth(&secret, &["--inside"]);
    for _ in 0..3 {
        world.assert_allowed(&ticket(&world, &chain), "ok");
    }
    gate.expect("token");
    let forget = bailiwick_testkit::http::Request::post("/forget", "")
        .send(format!("127.0.0.1:{port}").parse().unwrap());
    assert_eq!(forget.unwrap().status, 204);
    world.assert_allowed(&ticket(&world, &chain), "ok");
    gate.expect("token");
    // A secret that the authorization server does not take.
    let wrong = world.path("wrong");
    private(Path::new(&wrong), WRONG);
    oauth(&wrong, &["--inside"]);
    let answer = ticket(&world, &chain);
    world.assert_denied(&answer, "credential-unavailable");
    assert!(answer.text().contains("token-refused"), "{}", answer.text());
    let doctor = world.run(&["doctor"]).out;
    assert!(doctor.contains("token-refused"), "{doctor}");
    let log = fs::read_to_string(world.base.path().join("serve.log")).unwrap();
    for form in [SECRET, WRONG].iter().flat_map(|s| forms(s)) {
        assert!(!log.contains(&form) && !answer.text().contains(&form), "{form}");
    }
}
