//! The authorization scenarios of the Model Context Protocol's conformance suite.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use bailiwick_testkit::Setup;
use bailiwick_testkit::browser::Browser;
use bailiwick_testkit::world::free_port;
use serde_json::json;

use super::{add_client, node};
use crate::stock_clients::{AGENT, clients, world_with_person_and};

/// The suite asks for no scope and sends no details: the person says what for.
async fn allow(browser: &Browser, url: &str) {
    browser.open(url).await;
    browser.arrive("/consent/").await;
    browser.fill("#purpose", "See that the server conforms").await;
    browser.fill("#scope", "tickets:read").await;
    browser.click("form.stack button.primary").await;
    browser.click("[data-sign] button").await;
    browser.arrive("/callback").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_context_protocols_authorization_scenarios_pass() {
    let (mut world, browser) = world_with_person_and(&Setup::default()).await;
    let metadata = json!({
        "client_name": "conformance suite",
        "redirect_uris": ["http://127.0.0.1/callback"],
    });
    let client = add_client(&world, &metadata, AGENT);
    let mut suite = Command::new(node())
        .arg(clients().join("node_modules/@modelcontextprotocol/conformance/dist/index.js"))
        .args(["authorization", "--url", &world.public_url, "--client-id", &client])
        .args(["--resource", &world.endpoint(), "--port", &free_port().to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("the suite starts");
    let out = BufReader::new(suite.stdout.take().expect("it has an output"));
    let mut lines = Vec::new();
    for line in out.lines().map_while(Result::ok) {
        eprintln!("{line}");
        if line.starts_with(&format!("{}/authorize?", world.public_url)) {
            allow(&browser, &line).await;
        }
        lines.push(line);
    }
    assert!(suite.wait().expect("it ends").success());
    for passed in [
        "✓ authorization-server-metadata-endpoint: 2 passed, 0 failed",
        "✓ authorization-code-grant: 1 passed, 0 failed",
        "Total: 3 passed, 0 failed",
    ] {
        assert!(lines.iter().any(|line| line == passed), "{passed}");
    }
    world.stop_serve();
}
