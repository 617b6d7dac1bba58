//! `principal link|role|passkey|recover|offboard` and `agent transfer`: the
//! life of accounts, with a `serve` that runs.

use std::path::Path;

use bailiwick_testkit::world::{OWNER, PRINCIPAL, READER, RUNNER, command};
use bailiwick_testkit::{Answer, World};
use serde_json::{Value, json};

use crate::EXE;

fn said(world: &World, args: &[&str]) -> Answer {
    let mut command = command(Path::new(EXE), world.base.path());
    Answer::of(command.arg("--data-dir").arg(&world.data).args(args))
}

fn refused(world: &World, args: &[&str], expected: (i32, &str)) {
    let answer = world.run(args);
    assert_eq!((answer.status, answer.code().as_str()), expected, "{args:?}: {}", answer.out);
    assert!(answer.json()["error"]["remedy"].as_str().is_some_and(|r| !r.is_empty()));
}

fn kinds(world: &World) -> Vec<String> {
    let tail = world.run(&["audit", "tail", "-n", "200"]).out;
    let entries = tail.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    entries.map(|e| e["kind"].as_str().unwrap_or_default().to_owned()).collect()
}

fn roles(world: &World, principal: &str) -> Value {
    let list = world.ok(&["principal", "list"]);
    let all = list["principals"].as_array().unwrap();
    all.iter().find(|p| p["principal"] == principal).unwrap()["roles"].clone()
}

#[test]
fn roles_are_given_and_taken_and_the_last_owner_stays() {
    let world = World::new(EXE);
    let given = world.ok(&["principal", "role", PRINCIPAL, "owner"]);
    assert_eq!(given, json!({"principal": PRINCIPAL, "role": "owner", "held": true}));
    world.ok(&["principal", "role", PRINCIPAL, "auditor"]);
    assert_eq!(roles(&world, PRINCIPAL), json!(["auditor", "owner"]));
    refused(&world, &["principal", "role", PRINCIPAL, "owner", "--remove"], (1, "last-owner"));
    let offboard = ["principal", "offboard", PRINCIPAL, "--reason", "left"];
    refused(&world, &offboard, (1, "last-owner"));
    world.ok(&["principal", "role", OWNER, "owner"]);
    // Another owner who cannot sign in is none.
    refused(&world, &["principal", "role", PRINCIPAL, "owner", "--remove"], (1, "last-owner"));
    refused(&world, &offboard, (1, "last-owner"));
    let taken = world.ok(&["principal", "role", PRINCIPAL, "auditor", "--remove"]);
    assert_eq!(taken["held"], false);
    assert_eq!(roles(&world, PRINCIPAL), json!(["owner"]));
    world.ok(&["principal", "role", PRINCIPAL, "developer"]);
    let text = said(&world, &["principal", "role", PRINCIPAL, "developer", "--remove"]);
    assert_eq!(text.out.trim(), format!("{PRINCIPAL} is no longer developer"));
    refused(&world, &["principal", "role", PRINCIPAL, "king"], (2, "role-unknown"));
    refused(&world, &["principal", "role", "user:nobody", "owner"], (4, "unknown-name"));
    refused(&world, &["principal", "role", "nobody", "owner"], (2, "id-malformed"));
    world.ok(&["principal", "suspend", PRINCIPAL]);
    refused(&world, &["principal", "role", PRINCIPAL, "auditor"], (1, "principal-inactive"));
}

#[test]
fn a_link_is_for_who_may_sign_in_and_a_later_one_replaces_it() {
    let world = World::new(EXE);
    let link = |world: &World| {
        let made = world.ok(&["principal", "link", PRINCIPAL]);
        made["enrolment_link"].as_str().unwrap().to_owned()
    };
    let open = |url: &str| {
        let path = url.strip_prefix(&world.public_url).unwrap();
        let request = bailiwick_testkit::http::Request::bare("GET", path);
        request.send(world.address).unwrap().status
    };
    let first = link(&world);
    assert!(first.starts_with(&format!("{}/enrol/", world.public_url)), "{first}");
    assert_eq!(open(&first), 200);
    let second = link(&world);
    assert_eq!((open(&first), open(&second)), (410, 200));
    world.ok(&["principal", "suspend", PRINCIPAL]);
    assert_eq!(open(&second), 410);
    refused(&world, &["principal", "link", PRINCIPAL], (1, "principal-inactive"));
    refused(&world, &["principal", "link", "user:nobody"], (4, "unknown-name"));
    refused(&world, &["principal", "link", "nobody"], (2, "id-malformed"));
    world.ok(&["principal", "resume", PRINCIPAL]);
    let text = said(&world, &["principal", "link", PRINCIPAL]);
    assert!(text.out.contains("once, within a day"), "{}", text.out);
    let made = kinds(&world).into_iter().filter(|k| k == "principal.invited").count();
    assert_eq!(made, 3, "every link has its entry");
}

#[test]
fn passkeys_that_are_none_are_told_and_an_owner_is_recovered_loudly() {
    let world = World::new(EXE);
    let list = world.ok(&["principal", "passkey", "list", PRINCIPAL]);
    assert_eq!(list, json!({"principal": PRINCIPAL, "passkeys": []}));
    let text = said(&world, &["principal", "passkey", "list", PRINCIPAL]);
    assert!(text.out.contains("has no passkey"), "{}", text.out);
    assert!(text.out.contains(&format!("bailiwick principal link {PRINCIPAL}")), "{}", text.out);
    let remove = ["principal", "passkey", "remove", PRINCIPAL];
    refused(&world, &remove, (1, "passkey-unknown"));
    refused(&world, &["principal", "passkey", "list", "user:nobody"], (4, "unknown-name"));

    let recovered = world.ok(&["principal", "recover", PRINCIPAL]);
    assert_eq!(recovered["role_given"], true);
    assert_eq!(recovered["other_owners"], json!([]));
    assert_eq!(recovered["warning"]["code"], "owner-recovered");
    assert!(recovered["enrolment_link"].as_str().unwrap().contains("/enrol/"));
    assert_eq!(roles(&world, PRINCIPAL), json!(["owner"]));
    let text = said(&world, &["principal", "recover", OWNER]);
    assert_eq!(text.status, 0);
    assert!(
        text.err.contains("warning:") && text.err.contains("[owner-recovered]"),
        "{}",
        text.err
    );
    // The other one has a link, but no way in yet.
    assert!(!text.out.contains("also owner"), "{}", text.out);
    assert!(text.out.contains("next:"), "{}", text.out);
    refused(&world, &["principal", "recover", "user:nobody"], (4, "unknown-name"));
    let kinds = kinds(&world);
    assert_eq!(kinds.iter().filter(|k| *k == "principal.invited").count(), 2);
    assert_eq!(kinds.iter().filter(|k| *k == "role.changed").count(), 2);
    assert_eq!(world.ok(&["audit", "verify"])["holds"], true);
}

#[test]
fn who_leaves_takes_nothing_along_and_their_agents_go_on_under_another() {
    let world = World::new(EXE);
    let chain = world.chain();
    let call = || world.call(&chain, "get_ticket", json!({"ticket_id": 8821}));
    let before = world.assert_allowed(&call(), "ok");

    // The owner leaves: the grant is somebody else's and stands, what ran as
    // the agents has to be enrolled again.
    let offboard = |more: &[&str]| {
        world.run(&[&["principal", "offboard", OWNER, "--reason", "left"], more].concat())
    };
    assert_eq!(offboard(&["--agents-to", OWNER]).code(), "same-principal");
    assert_eq!(offboard(&["--agents-to", "user:nobody"]).code(), "unknown-name");
    refused(&world, &["principal", "offboard", OWNER], (2, "usage"));
    refused(&world, &["principal", "offboard", OWNER, "--reason", " "], (2, "reason-empty"));
    let left = offboard(&["--agents-to", PRINCIPAL]);
    assert_eq!(left.status, 0, "{}", left.out);
    let left = left.json();
    assert_eq!(left["agents_moved"].as_array().unwrap().len(), 2, "{left}");
    assert_eq!(left["agents_moved"][1]["instances_retired"], json!([world.runner.instance]));
    assert_eq!(left["workflows"], json!(["support-tickets"]));
    world.assert_not_authenticated(&call(), "instance-inactive");

    let host = world.path("new-host");
    std::fs::create_dir(&host).unwrap();
    let invited = world.ok(&["instance", "invite", "--agent", RUNNER]);
    let token = invited["enrolment_token"].as_str().unwrap();
    let key = format!("{host}/key.json");
    let (url, owner) = (world.public_url.as_str(), PRINCIPAL);
    let join = |owner: &str, key: &str| {
        world.run(&[
            "instance",
            "join",
            "--authority",
            url,
            "--token",
            token,
            "--agent",
            RUNNER,
            "--owner",
            owner,
            "--key",
            key,
        ])
    };
    assert_eq!(join(owner, &key).status, 0);
    let again = world.chain();
    let signer = bailiwick_testkit::present::Holder::read(Path::new(&host)).key;
    let call = |chain| {
        let arguments = json!({"ticket_id": 8821});
        world.send(&bailiwick_testkit::present::Call::new(chain, &signer, "get_ticket", arguments))
    };
    let after = world.assert_allowed(&call(&again), "ok");
    // Evidence of both times holds: under the former owner, and under this one.
    let trust = world.path("trust.json");
    world.ok(&["keys", "trust", "-o", &trust]);
    for action in [before, after] {
        let file = world.path("evidence.json");
        let _ = std::fs::remove_file(&file);
        world.ok(&["evidence", "get", &action, "-o", &file]);
        let verdict = world.run(&["evidence", "verify", &file, "--trust", &trust]);
        assert_eq!(verdict.status, 0, "{}{}", verdict.out, verdict.err);
    }

    // The principal leaves too: nobody takes the agents over.
    let text = said(&world, &["principal", "offboard", PRINCIPAL, "--reason", "Left with Canary"]);
    assert_eq!(text.status, 0, "{}", text.err);
    assert!(text.out.contains(&format!("retired      {READER}")), "{}", text.out);
    // A second time there is nothing to do, and nothing is written.
    let size = || world.ok(&["audit", "checkpoint"])["entries"].clone();
    let before = size();
    let leave = ["principal", "offboard", PRINCIPAL, "--reason", "again"];
    let twice = said(&world, &leave);
    assert_eq!(twice.status, 0, "{}", twice.err);
    assert_eq!(twice.out, format!("{PRINCIPAL} is offboarded already; nothing was written\n"));
    assert_eq!(world.ok(&leave)["changed"], false);
    assert_eq!(size(), before);
    world.assert_not_authenticated(&call(&again), "agent-inactive");
    let refused = world.run(&[
        "delegate",
        "--agent",
        RUNNER,
        "--scope",
        "orders:read",
        "--purpose",
        "x",
        "--key",
        &world.principal_key(),
        "--out",
        &world.path("refused.json"),
    ]);
    assert_eq!(refused.code(), "principal-inactive");
    assert_eq!(world.ok(&["audit", "verify"])["holds"], true);
    for file in bailiwick_testkit::world::files(&world.data.join("ledger")) {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("Canary"), "{}", file.display());
    }
}

#[test]
fn an_agent_moves_to_another_owner_and_says_what_has_to_be_done() {
    let world = World::new(EXE);
    let text = said(&world, &["agent", "transfer", RUNNER, "--to", PRINCIPAL]);
    assert_eq!(text.status, 0, "{}", text.err);
    assert!(text.out.contains(&format!("{RUNNER} is owned by {PRINCIPAL} now")), "{}", text.out);
    assert!(text.out.contains(&world.runner.instance), "{}", text.out);
    let next = format!("bailiwick instance invite --agent {RUNNER}");
    assert!(text.out.contains(&next), "{}", text.out);
    let again = world.ok(&["agent", "transfer", RUNNER, "--to", PRINCIPAL]);
    assert_eq!(again, json!({"agent": RUNNER, "owner": PRINCIPAL, "changed": false}));
    refused(&world, &["agent", "transfer", RUNNER, "--to", "user:nobody"], (4, "unknown-name"));
    refused(&world, &["agent", "transfer", "runner", "--to", OWNER], (2, "id-malformed"));
    refused(&world, &["agent", "transfer", RUNNER], (2, "usage"));
    world.ok(&["revoke", "agent", READER, "--reason", "x"]);
    refused(&world, &["agent", "transfer", READER, "--to", PRINCIPAL], (1, "revoked"));
}
