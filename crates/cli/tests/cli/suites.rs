//! Suites and libraries that others wrote, each against a real `serve` with the
//! support desk behind it and, where a person consents, headless Chromium with a
//! virtual authenticator. The programs are in `clients/` and check themselves;
//! what is counted here is that every check was made.

mod authlib;
mod conformance;
mod oauth4webapi;
mod openid_client;
mod protocol;
mod published_tokens;
pub(crate) mod python_sdk;
mod stateless;
mod status_lists;

use std::path::PathBuf;
use std::process::Command;

use bailiwick_testkit::browser::Browser;
use bailiwick_testkit::{Setup, World};
use serde_json::Value;

use crate::stock_clients::{AGENT, Program, clients};

/// Node as npm brought it, which the conformance suite wants newer than a system's
/// may be.
fn node() -> PathBuf {
    clients().join("node_modules/.bin/node")
}

/// A program of `clients/` with its configuration.
fn program(runs: PathBuf, name: &str, config: &Value) -> Program {
    Program::start(Command::new(runs).arg(clients().join(name)).arg(config.to_string()))
}

/// Proofs must carry the server's nonces.
fn with_nonces() -> Setup {
    Setup { config: vec![("require_dpop_nonce", "true".into())], ..Setup::default() }
}

/// An instance that joins over the network: its key file and its identity token.
fn join(world: &World, agent: &str) -> (String, String) {
    let invited = world.ok(&["instance", "invite", "--agent", agent]);
    let token = invited["enrolment_token"].as_str().expect("a token");
    let (key, identity) = (world.path("joined.key"), world.path("joined.jwt"));
    world.ok(&[
        "instance",
        "join",
        "--authority",
        &world.public_url,
        "--token",
        token,
        "--agent",
        agent,
        "--owner",
        bailiwick_testkit::world::OWNER,
        "--key",
        &key,
        "--identity",
        &identity,
    ]);
    (key, identity)
}

/// Registers a client from its metadata; gives its id.
fn add_client(world: &World, metadata: &Value, agent: &str) -> String {
    let file = world.path("client.json");
    std::fs::write(&file, metadata.to_string()).expect("the metadata is written");
    let added = world.ok(&["client", "add", &file, "--agent", agent]);
    added["client_id"].as_str().expect("an id").to_owned()
}

/// The person allows what a client asks for in details that leave nothing open.
async fn allow(browser: &Browser, url: &str) {
    browser.open(url).await;
    browser.arrive("/consent/").await;
    browser.click("[data-sign] button").await;
    browser.arrive("/callback").await;
}

/// Plays a program to its end: what it registers is mapped, what it asks for is
/// allowed, what it wants revoked is revoked. Gives how many checks held.
async fn play(world: &World, browser: Option<&Browser>, program: &Program) -> usize {
    let mut held = 0;
    loop {
        let said = program.next();
        let text = |name: &str| said[name].as_str().unwrap_or_default();
        match text("event") {
            "registered" => {
                world.ok(&["client", "map", text("client_id"), "--agent", AGENT]);
            }
            "authorize" => allow(browser.expect("a browser"), text("url")).await,
            "revoke" => {
                world.ok(&["revoke", "delegation", text("delegation"), "--reason", "test"]);
            }
            "check" => {
                eprintln!(
                    "{}: {}",
                    if said["ok"] == true { "held" } else { "FAILED" },
                    text("name")
                );
                assert_eq!(said["ok"], true, "{said}");
                held += 1;
            }
            "done" => return held,
            _ => panic!("after {held} checks: {said}"),
        }
    }
}
