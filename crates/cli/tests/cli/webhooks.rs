//! Webhooks: what receivers are told, and what they cannot do. Wiring: `serve`, the
//! support desk, and a receiver on loopback that verifies with npm's
//! `standardwebhooks`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use bailiwick_testkit::World;
use bailiwick_testkit::world::{OWNER, free_port, private};
use serde_json::{Value, json};

use crate::approvals::{asking, first_question, is_allowed, is_asked, key, ticket};
use crate::stock_clients::{Program, clients};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const BEFORE: &str = "whsec_plJ3nmyCDGBKInavdOK15jsl36iM1Dpg";
const PATIENCE: Duration = Duration::from_secs(60);

fn receiver() -> (Program, String) {
    let mut command = Command::new(clients().join("node_modules/.bin/node"));
    let config = json!({"secrets": [SECRET, BEFORE]});
    let program =
        Program::start(command.arg(clients().join("webhook_receiver.mjs")).arg(config.to_string()));
    let url = program.expect("listening")["url"].as_str().unwrap().to_owned();
    (program, url)
}

/// Configures webhooks and starts `serve` anew.
fn configure(world: &mut World, webhooks: &[(&str, String)]) {
    world.stop_serve();
    private(&world.data.join("keys/webhook.secret"), &format!("{SECRET}\n{BEFORE}\n"));
    let file = world.data.join("bailiwick.toml");
    let mut file = OpenOptions::new().append(true).open(file).unwrap();
    for (name, url) in webhooks {
        write!(
            file,
            "\n[[webhook]]\nname = \"{name}\"\nurl = \"{url}\"\nsecret_file = \"keys/webhook.secret\"\nnetwork = \"inside\"\n"
        )
        .unwrap();
    }
    world.start_serve();
}

/// How a webhook fares, once it is so.
fn fares(world: &World, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let until = Instant::now() + PATIENCE;
    loop {
        let listed = world.ok(&["webhook", "list"]);
        let all = listed["webhooks"].as_array().unwrap().clone();
        let found = all.into_iter().find(|webhook| webhook["name"] == name).unwrap();
        if is_so(&found) {
            return found;
        }
        assert!(Instant::now() < until, "{found}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn members(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn a_receiver_verifies_what_it_is_told_and_is_told_nothing_that_decides() {
    let mut world = asking();
    let (owner, _) = key(&world, OWNER, "owner-approver.json");
    let (receiver, url) = receiver();
    // What happened before a webhook was there is not told.
    let chain = world.chain();
    let early = is_asked(&world.call(&chain, "get_ticket", json!({"ticket_id": 8821})));
    world.ok(&["approvals", "deny", &early, "--key", &owner]);
    configure(&mut world, &[("chat", format!("{url}/good"))]);
    world.ok(&["webhook", "test", "chat"]);
    let test = receiver.expect("message");
    assert_eq!(test["body"]["type"], "webhook.test", "{test}");
    assert_eq!(test["verified"], json!([true, true]), "both secrets sign: {test}");

    let chain = world.delegate(&["ticket:8821", "orders:read"], &[]);
    let id = first_question(&world, &chain);
    let asked = receiver.expect("message");
    assert_eq!(asked["verified"], json!([true, true]), "{asked}");
    assert_eq!(asked["forged"], false, "{asked}");
    assert_eq!((&asked["method"], &asked["type"]), (&json!("POST"), &json!("application/json")));
    let body = &asked["body"];
    assert_eq!(members(body), ["data", "timestamp", "type"]);
    assert_eq!(body["type"], "approval.requested");
    let data = &body["data"];
    assert_eq!(members(data), ["agent", "approval", "expires", "risk", "tool", "url", "workflow"]);
    assert_eq!(data["approval"], id.as_str());
    assert_eq!(data["url"], format!("{}/approvals/{id}", world.public_url));
    assert_eq!(data["tool"], "mcp:support-desk:tools/get_ticket");
    assert!(!body.to_string().contains("8821"), "no argument: {body}");

    // The receiver's answer says `approve`: nobody listens.
    fares(&world, "chat", |chat| chat["delivered"].is_string() && chat["waiting"] == 0);
    assert_eq!(is_asked(&ticket(&world, &chain)), id);

    world.ok(&["approvals", "approve", &id, "--key", &owner]);
    let settled = receiver.expect("message");
    assert_eq!(settled["verified"], json!([true, true]), "{settled}");
    assert_eq!(settled["body"]["type"], "approval.settled", "{settled}");
    assert_eq!(settled["body"]["data"]["approval"], id.as_str());
    assert_eq!(members(&settled["body"]["data"]), members(data), "no verdict");
    assert_ne!(settled["id"], asked["id"]);
    assert!(is_allowed(&ticket(&world, &chain)));
    world.ok(&["audit", "verify"]);
}

#[test]
fn what_a_receiver_did_not_take_is_sent_again_even_after_a_crash() {
    let mut world = asking();
    let (receiver, url) = receiver();
    configure(&mut world, &[("flaky", format!("{url}/flaky"))]);
    let id = first_question(&world, &world.chain());
    let first = receiver.expect("message");
    assert_eq!(first["body"]["data"]["approval"], id.as_str(), "{first}");
    let failed = fares(&world, "flaky", |flaky| flaky["failure"].is_string());
    assert!(failed["failure"].as_str().unwrap().starts_with("webhook-status"), "{failed}");
    assert_eq!((&failed["waiting"], &failed["given_up"]), (&json!(1), &json!(0)));
    world.kill_serve();
    world.start_serve();
    let again = receiver.expect("message");
    assert_eq!((&again["id"], &again["body"]), (&first["id"], &first["body"]));
    assert_eq!(again["verified"], json!([true, true]), "{again}");
    fares(&world, "flaky", |flaky| flaky["delivered"].is_string() && flaky["waiting"] == 0);
}

#[test]
fn a_receiver_that_is_slow_gone_or_lying_harms_nobody() {
    let mut world = asking();
    let (owner, _) = key(&world, OWNER, "owner-approver.json");
    let (receiver, url) = receiver();
    let mut webhooks: Vec<(&str, String)> = ["slow", "gone", "redirect", "chatty", "good"]
        .iter()
        .map(|name| (*name, format!("{url}/{name}")))
        .collect();
    webhooks.push(("nowhere", format!("http://127.0.0.1:{}/", free_port())));
    configure(&mut world, &webhooks);
    let chain = world.chain();
    let id = first_question(&world, &chain);
    world.ok(&["approvals", "approve", &id, "--key", &owner]);
    assert!(is_allowed(&ticket(&world, &chain)), "no call waits for a receiver");

    // Two messages to each; none of them went to where a receiver pointed.
    fares(&world, "good", |good| good["delivered"].is_string() && good["waiting"] == 0);
    let starts = |code: &'static str| {
        move |of: &Value| of["failure"].as_str().is_some_and(|failure| failure.starts_with(code))
    };
    fares(&world, "slow", starts("webhook-unreachable"));
    fares(&world, "nowhere", starts("webhook-unreachable"));
    fares(&world, "chatty", starts("webhook-unreachable"));
    fares(&world, "redirect", starts("webhook-status"));
    let gone = fares(&world, "gone", |gone| gone["given_up"] == 2);
    assert_eq!(gone["waiting"], 0, "{gone}");
    let mut good = 0;
    for _ in 0..10 {
        let said = receiver.expect("message");
        assert_ne!(said["path"], "/elsewhere", "{said}");
        good += usize::from(said["path"] == "/good");
    }
    assert_eq!(good, 2);
    let refused = world.run(&["webhook", "test", "redirect"]);
    assert_eq!((refused.status, refused.code().as_str()), (3, "webhook-status"));
    let unknown = world.run(&["webhook", "test", "nobody"]);
    assert_eq!((unknown.status, unknown.code().as_str()), (4, "webhook-unknown"));
}
