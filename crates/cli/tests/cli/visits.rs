//! A call that waits, as clients of others hear it: those that open pages for
//! their user are sent to the approval's, in both eras; behind `connect` nobody
//! sees anything of it. Wiring: the binary serving, the support desk, npm's and
//! PyPI's MCP client over OAuth with headless Chromium, and started by `connect`.

use bailiwick_testkit::browser::Browser;
use bailiwick_testkit::http::Request;
use bailiwick_testkit::present::{Call, Chain, SERVER};
use bailiwick_testkit::world::OWNER;
use bailiwick_testkit::{Setup, World};
use serde_json::{Value, json};

use crate::EXE;
use crate::approvals::{ask_first, asking, data, is_allowed, is_asked, key, ticket};
use crate::connect::{connect, npm};
use crate::crash::wait_until;
use crate::stock_clients::{AGENT, Program, consent, person_of};

const ASK: &str = r#"
@id("all")
@reason("the rules decide")
permit (principal, action, resource);
@id("ask-first")
@reason("a person looks at this")
@approval
forbid (principal, action, resource == Tool::"mcp:support-desk:tools/get_ticket");
"#;

fn calls() -> Value {
    json!([{"tool": "get_ticket", "arguments": {"ticket_id": 8821}}])
}

/// One client from nothing to the one call that its user's page was opened for.
async fn visits(world: &World, browser: &Browser, program: &Program, owner: &str, back: &str) {
    let client = program.expect("registered");
    world.ok(&["client", "map", client["client_id"].as_str().unwrap(), "--agent", AGENT]);
    let url = program.expect("authorize")["url"].as_str().expect("a URL").to_owned();
    consent(browser, &url, "tickets:read").await;
    program.expect("tokens");
    program.expect("tools");
    let before = world.executed().len();
    let visit = program.expect("visit");
    let page = visit["url"].as_str().unwrap_or_else(|| panic!("{visit}"));
    let id = page.strip_prefix(&format!("{}/approvals/", world.public_url)).expect("its page");
    assert_eq!(visit["mode"], "url");
    assert!(visit["message"].as_str().unwrap().contains("tools/get_ticket"), "{visit}");
    assert_eq!(world.executed().len(), before);
    world.ok(&["approvals", "approve", id, "--key", owner]);
    std::fs::write(back, "").unwrap();
    let result = program.expect("result");
    assert_eq!(result["is_error"], false, "{result}");
    program.expect("done");
    assert_eq!(world.executed().len(), before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_clients_that_open_pages_are_sent_to_the_approval_and_their_next_try_passes() {
    let mut world = World::with(EXE, &Setup::default());
    ask_first(&mut world, ASK);
    // The first key that signs verdicts counts at once.
    let (owner, _) = key(&world, OWNER, "owner-approver.json");
    let browser = person_of(&world).await;
    for era in ["stateless", "sessions"] {
        let back = world.path(era);
        let options = ["--dpop", &format!("--era={era}"), &format!("--visits={back}")];
        let program = Program::npm_with(&world, &calls(), &options);
        visits(&world, &browser, &program, &owner, &back).await;
    }
    let back = world.path("pypi");
    let program = Program::pypi_with(&world, &calls(), &[&back]);
    visits(&world, &browser, &program, &owner, &back).await;
    world.stop_serve();
}

#[test]
fn behind_connect_a_client_that_opens_pages_just_waits() {
    let mut world = asking();
    let (owner, _) = key(&world, OWNER, "owner-approver.json");
    let (url, file) = (world.endpoint(), world.runner.key_file());
    for era in ["sessions+visits", "stateless+visits"] {
        let chain = world.chain().path();
        let before = world.executed().len();
        let program = npm(era, &calls(), &connect(&url, &chain, &file));
        program.expect("connected");
        program.expect("tools");
        let waiting = || world.ok(&["approvals", "list"])["approvals"].clone();
        wait_until("somebody is asked", || waiting().as_array().is_some_and(|all| !all.is_empty()));
        let id = waiting()[0]["approval"].as_str().unwrap().to_owned();
        world.ok(&["approvals", "approve", &id, "--key", &owner]);
        let result = program.expect("result");
        assert_eq!(result["is_error"], false, "{result}");
        program.expect("done");
        assert_eq!(world.executed().len(), before + 1, "{era}");
    }
    world.stop_serve();
}

/// A call of a client that opens pages, and what it sends back.
fn able(world: &World, chain: &Chain, back: Option<&str>) -> Request {
    let call = Call::new(chain, &world.runner.key, "get_ticket", json!({"ticket_id": 8821}));
    let mut message = call.message();
    let meta = &mut message["params"]["_meta"];
    meta["io.modelcontextprotocol/clientCapabilities"] = json!({"elicitation": {"url": {}}});
    if let Some(state) = back {
        message["params"]["requestState"] = json!(state);
        let accepted = json!({"io.bailiwick/approval": {"action": "accept"}});
        message["params"]["inputResponses"] = accepted;
    }
    call.with_body(message.to_string())
}

/// Where a call stands, as its caller hears it.
fn poll(world: &World, chain: &Chain, id: &str) -> Value {
    let path = format!("/mcp/{SERVER}/approvals/{id}");
    let url = format!("{}{path}", world.public_url);
    let request = Request::bare("GET", path);
    let signed = bailiwick_testkit::present::signed(request, chain, &world.runner.key, "GET", &url);
    let answer = signed.send(world.address).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn what_a_client_keeps_of_a_waiting_call_holds_over_a_restart_and_for_that_call_only() {
    let mut world = asking();
    let (owner, _) = key(&world, OWNER, "owner-approver.json");
    let chain = world.chain();
    let held = able(&world, &chain, None).send(world.address).unwrap().json();
    let state = held["result"]["requestState"].as_str().unwrap_or_else(|| panic!("{held}"));
    let id = held["result"]["_meta"]["io.bailiwick/approval"]["id"].as_str().unwrap();
    assert_eq!(poll(&world, &chain, id)["state"], "pending");

    world.kill_serve();
    world.start_serve();
    let other = world.chain();
    let foreign = able(&world, &other, Some(state)).send(world.address).unwrap();
    assert_eq!(data(&foreign)["code"], "request-state-invalid", "{}", foreign.text());
    let again = able(&world, &chain, Some(state)).send(world.address).unwrap().json();
    assert_eq!(again["result"]["_meta"]["io.bailiwick/approval"]["id"], id, "{again}");
    // A client that knows nothing of it hears of the same question.
    assert_eq!(is_asked(&ticket(&world, &chain)), id);
    world.ok(&["approvals", "approve", id, "--key", &owner]);
    assert_eq!(poll(&world, &chain, id)["state"], "approved");
    let before = world.executed().len();
    let passed = able(&world, &chain, Some(state)).send(world.address).unwrap();
    assert!(is_allowed(&passed), "{}", passed.text());
    assert_eq!(passed.json()["result"]["isError"], false, "{}", passed.text());
    assert_eq!(world.executed().len(), before + 1);
    assert_eq!(poll(&world, &chain, id)["state"], "spent");
    let found = world.ok(&["audit", "query", "--decision", "approval_required"]).to_string();
    assert!(found.contains("request-state-invalid"), "{found}");
    world.ok(&["audit", "verify"]);
}
