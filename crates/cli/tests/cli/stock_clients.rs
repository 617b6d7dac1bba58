//! Clients that others wrote, unchanged: they know one URL and nothing of us.
//! They discover the authority, register themselves, send a person to the
//! consent page in a real browser and call tools. Wiring: the binary serving,
//! the support desk, npm's and PyPI's MCP client, headless Chromium with a
//! virtual authenticator.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bailiwick_testkit::browser::Browser;
use bailiwick_testkit::{Setup, World};
use serde_json::{Value, json};

use crate::EXE;

pub(crate) const WORKFLOW: &str = include_str!("../../../../workflows/desk-assistant.yaml");
pub(crate) const AGENT: &str = "agent:desk-assistant";
const PERSON: &str = "user:alice";
const PATIENCE: Duration = Duration::from_secs(180);

/// Where the clients' packages are installed by `scripts/test`.
pub(crate) fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../clients")
}

/// A program of somebody else, and what it says.
pub(crate) struct Program {
    child: Child,
    said: Receiver<Value>,
}

impl Program {
    pub(crate) fn start(command: &mut Command) -> Self {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().expect("the program starts");
        let out = child.stdout.take().expect("it has an output");
        let (to, said) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if let Ok(value) = serde_json::from_str(&line) {
                    let _ = to.send(value);
                }
            }
        });
        Self { child, said }
    }

    pub(crate) fn npm(world: &World, calls: &Value, dpop: bool) -> Self {
        let dpop: &[&str] = if dpop { &["--dpop"] } else { &[] };
        Self::npm_with(world, calls, dpop)
    }

    pub(crate) fn npm_with(world: &World, calls: &Value, options: &[&str]) -> Self {
        let mut command = Command::new("node");
        command.arg(clients().join("mcp-client.mjs")).arg(world.endpoint()).arg(calls.to_string());
        Self::start(command.args(options))
    }

    fn pypi(world: &World, calls: &Value) -> Self {
        Self::pypi_with(world, calls, &[])
    }

    pub(crate) fn pypi_with(world: &World, calls: &Value, more: &[&str]) -> Self {
        let mut command = Command::new(clients().join("venv/bin/python"));
        command.arg(clients().join("mcp_client.py")).arg(world.endpoint()).arg(calls.to_string());
        Self::start(command.args(more))
    }

    /// The next event; null when none comes.
    pub(crate) fn next(&self) -> Value {
        self.said.recv_timeout(PATIENCE).unwrap_or(Value::Null)
    }

    /// The next event, which must be this one.
    pub(crate) fn expect(&self, event: &str) -> Value {
        let said = self.next();
        assert_eq!(said["event"], event, "{said}");
        said
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A world with an assistant's workflow and a person who has a passkey.
async fn world_with_person() -> (World, Browser) {
    world_with_person_and(&Setup::default()).await
}

/// The same, of a world that differs.
pub(crate) async fn world_with_person_and(setup: &Setup) -> (World, Browser) {
    let world = World::with(EXE, setup);
    let browser = person_of(&world).await;
    (world, browser)
}

/// A person with a passkey, in a browser where they are signed in.
pub(crate) async fn person_of(world: &World) -> Browser {
    std::fs::write(world.base.path().join("assistant.yaml"), WORKFLOW).unwrap();
    world.ok(&["agent", "add", AGENT, "--owner", "user:owner"]);
    world.ok(&["workflow", "publish", &world.path("assistant.yaml")]);
    let added = world.ok(&["principal", "add", PERSON, "--passkey"]);
    let link = added["enrolment_link"].as_str().expect("a link").to_owned();
    let browser = Browser::start().await;
    browser.open(&link).await;
    browser.fill("#label", "Work laptop").await;
    browser.click("[data-passkey-enrol] button").await;
    browser.arrive(&format!("{}/", world.public_url)).await;
    browser
}

/// The person allows what the client asks for, as far as the page lets them.
pub(crate) async fn consent(browser: &Browser, url: &str, scope: &str) {
    browser.open(url).await;
    browser.arrive("/consent/").await;
    browser.fill("#scope", scope).await;
    agree(browser).await;
}

/// The person says what for, which the client did not, and signs what the page
/// shows.
async fn agree(browser: &Browser) {
    browser.fill("#purpose", "Look up what ticket 8821 is about").await;
    browser.picture("assistant-task").await;
    browser.click("form.stack button.primary").await;
    browser.text("[data-sign] button").await;
    browser.picture("assistant-consent").await;
    browser.click("[data-sign] button").await;
    browser.arrive("/callback").await;
}

pub(crate) fn calls() -> Value {
    json!([
        {"tool": "get_ticket", "arguments": {"ticket_id": 8821}},
        {"tool": "search_customers", "arguments": {"query": "Purpose"}},
        {"tool": "refund_order", "arguments": {"order_id": 10072, "amount_cents": 1, "reason": "x"}},
    ])
}

/// Plays one client from nothing to its refusals.
async fn play(world: &World, browser: &Browser, program: &Program, proves: bool) {
    let client = program.expect("registered");
    let id = client["client_id"].as_str().expect("an id").to_owned();
    let url = program.expect("authorize")["url"].as_str().expect("a URL").to_owned();
    // Nobody said which agent it is: it gets nothing.
    browser.open(&url).await;
    assert!(browser.text("main").await.contains("client map"), "{id}");
    world.ok(&["client", "map", &id, "--agent", AGENT]);
    // What needs proof of a key is not for a client that has none.
    let scope = if proves { "tickets:read customers:search" } else { "tickets:read orders:read" };
    consent(browser, &url, scope).await;
    let tokens = program.expect("tokens");
    let (kind, seconds) = (tokens["token_type"].as_str(), tokens["expires_in"].as_i64());
    assert!(kind.is_some_and(|k| k.eq_ignore_ascii_case(if proves { "dpop" } else { "bearer" })));
    assert!(seconds.is_some_and(|s| s > 0 && (proves || s <= 300)), "{tokens}");
    let tools = program.expect("tools")["tools"].clone();
    assert!(tools.as_array().is_some_and(|t| t.iter().any(|t| t == "get_ticket")), "{tools}");
    assert!(tools.as_array().is_some_and(|t| t.iter().all(|t| t != "refund_order")), "{tools}");
    let allowed = program.expect("result");
    assert_eq!(allowed["tool"], "get_ticket");
    let searched = program.expect(if proves { "result" } else { "refused" });
    assert_eq!(searched["tool"], "search_customers");
    assert_eq!(program.expect("refused")["tool"], "refund_order");
    program.expect("done");
    // The npm client shows the decision's id: whoever has it can prove the call.
    if let Some(decision) = allowed["decision"].as_str() {
        let (bundle, trust) = (world.path(decision), world.path("trust.json"));
        std::thread::sleep(Duration::from_millis(1200));
        world.ok(&["evidence", "get", decision, "-o", &bundle]);
        if !Path::new(&trust).exists() {
            world.ok(&["keys", "trust", "-o", &trust]);
        }
        let verdict = world.ok(&["evidence", "verify", &bundle, "--trust", &trust]);
        let assurance = if proves { "token" } else { "none" };
        assert!(
            verdict.to_string().contains(&format!("\"assurance\":\"{assurance}\"")),
            "{verdict}"
        );
        assert!(verdict.to_string().contains("\"signed\":\"passkey\""), "{verdict}");
    }
}

/// A token for one thing, a call for another: the client hears which scope it
/// lacks, asks for it beside what it has, and the person allows that too.
async fn step_up(world: &World, browser: &Browser, program: &Program, scheme: &str) {
    let registered = program.expect("registered");
    let id = registered["client_id"].as_str().expect("an id");
    world.ok(&["client", "map", id, "--agent", AGENT]);
    let url = program.expect("authorize")["url"].as_str().expect("a URL").to_owned();
    consent(browser, &url, "tickets:read").await;
    program.expect("tokens");
    program.expect("tools");
    assert_eq!(program.expect("result")["tool"], "get_ticket");

    // 403, and in the challenge what is missing.
    let challenged = program.expect("challenged");
    let challenge = challenged["challenge"].as_str().expect("a challenge");
    assert!(
        challenge.starts_with(&format!("{scheme} error=\"insufficient_scope\"")),
        "{challenge}"
    );
    assert!(challenge.contains("scope=\"orders:read\""), "{challenge}");
    let url = program.expect("authorize")["url"].as_str().expect("a URL").to_owned();
    let asked = reqwest::Url::parse(&url).expect("a URL");
    let scope = asked.query_pairs().find(|(name, _)| name == "scope").expect("a scope").1;
    let mut scopes: Vec<&str> = scope.split(' ').collect();
    scopes.sort_unstable();
    assert_eq!(scopes, ["orders:read", "tickets:read"]);
    // The page has what the client asked for; the person leaves it so.
    browser.open(&url).await;
    browser.arrive("/consent/").await;
    let shown = browser.script("return document.querySelector('#scope').value").await;
    assert_eq!(shown, json!(scope));
    agree(browser).await;
    program.expect("tokens");

    // The very same call works now, and what worked before still does.
    for tool in ["get_order", "get_ticket"] {
        let result = program.expect("result");
        assert_eq!(
            (&result["tool"], &result["is_error"]),
            (&json!(tool), &json!(false)),
            "{result}"
        );
    }
    program.expect("done");
}

fn beyond() -> Value {
    json!([
        {"tool": "get_ticket", "arguments": {"ticket_id": 8821}},
        {"tool": "get_order", "arguments": {"order_id": 10072}},
        {"tool": "get_ticket", "arguments": {"ticket_id": 8821}},
    ])
}

const STEPPED_UP: [&str; 3] = ["get_ticket", "get_order", "get_ticket"];

#[tokio::test(flavor = "multi_thread")]
async fn npms_mcp_client_asks_for_more_when_a_call_needs_it() {
    let (mut world, browser) = world_with_person().await;
    for (dpop, scheme) in [(false, "Bearer"), (true, "DPoP")] {
        let program = Program::npm(&world, &beyond(), dpop);
        step_up(&world, &browser, &program, scheme).await;
    }
    let executed: Vec<String> = world.executed().into_iter().map(|call| call.tool).collect();
    assert_eq!(executed, [STEPPED_UP, STEPPED_UP].concat());
    world.stop_serve();
}

#[tokio::test(flavor = "multi_thread")]
async fn pypis_mcp_client_asks_for_more_when_a_call_needs_it() {
    let (mut world, browser) = world_with_person().await;
    step_up(&world, &browser, &Program::pypi(&world, &beyond()), "Bearer").await;
    let executed: Vec<String> = world.executed().into_iter().map(|call| call.tool).collect();
    assert_eq!(executed, STEPPED_UP);
    world.stop_serve();
}

#[tokio::test(flavor = "multi_thread")]
async fn npms_mcp_client_logs_in_through_the_browser_and_is_held_to_the_grant() {
    let (mut world, browser) = world_with_person().await;
    play(&world, &browser, &Program::npm(&world, &calls(), false), false).await;
    play(&world, &browser, &Program::npm(&world, &calls(), true), true).await;
    let executed: Vec<String> = world.executed().into_iter().map(|call| call.tool).collect();
    assert_eq!(executed, ["get_ticket", "get_ticket", "search_customers"]);
    world.stop_serve();
}

#[tokio::test(flavor = "multi_thread")]
async fn pypis_mcp_client_logs_in_through_the_browser_and_is_held_to_the_grant() {
    let (mut world, browser) = world_with_person().await;
    play(&world, &browser, &Program::pypi(&world, &calls()), false).await;
    let executed: Vec<String> = world.executed().into_iter().map(|call| call.tool).collect();
    assert_eq!(executed, ["get_ticket"]);
    world.stop_serve();
}
