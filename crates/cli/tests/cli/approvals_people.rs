//! The person behind an approval, in a real browser on a real `serve`: a refund
//! that waits, passes once and is proved; and what somebody who came by their
//! session cannot do with it.

use std::fs;
use std::path::Path;

use bailiwick_testkit::World;
use bailiwick_testkit::browser::Browser;
use bailiwick_testkit::http::{Request, Response};
use bailiwick_testkit::present::Chain;
use bailiwick_testkit::world::OWNER;
use serde_json::{Value, json};

use crate::EXE;

const ASK: &str = r#"
@id("all")
@reason("the rules decide")
permit (principal, action, resource);
@id("ask-first")
@reason("a person looks at this")
@approval
forbid (principal, action, resource == Tool::"mcp:support-desk:tools/TOOL");
"#;

/// A world in which calls of a tool take a person.
pub(crate) fn asking_about(tool: &str) -> World {
    let mut world = World::new(EXE);
    world.stop_serve();
    let folder = world.path("asking");
    fs::create_dir_all(&folder).unwrap();
    fs::write(Path::new(&folder).join("ask.cedar"), ASK.replace("TOOL", tool)).unwrap();
    world.ok(&["policy", "publish", &folder]);
    world.start_serve();
    world
}

/// A world in which a refund takes a person, and its owner at a browser.
async fn asking() -> (World, Browser) {
    let world = asking_about("refund_order");
    let link = world.ok(&["principal", "link", OWNER]);
    let browser = Browser::start().await;
    browser.open(link["enrolment_link"].as_str().unwrap()).await;
    browser.fill("#label", "Work laptop").await;
    browser.click("[data-passkey-enrol] button").await;
    browser.arrive(&format!("{}/", world.public_url)).await;
    (world, browser)
}

fn refund(world: &World, chain: &Chain) -> Response {
    let arguments = json!({"order_id": 10072, "amount_cents": 500, "reason": "arrived broken"});
    world.call(chain, "refund_order", arguments)
}

pub(crate) fn data(answer: &Response) -> Value {
    answer.json()["error"]["data"].clone()
}

pub(crate) fn waiting(answer: &Response) -> String {
    let data = data(answer);
    assert_eq!(data["code"], "approval-required", "{}", answer.text());
    data["approval"]["id"].as_str().unwrap().to_owned()
}

fn refunds(world: &World) -> usize {
    world.executed().iter().filter(|call| call.tool == "refund_order").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refund_is_approved_with_a_passkey_happens_once_and_is_proved() {
    let (world, browser) = asking().await;
    let chain = world.delegate(&["refund:10072"], &[]);
    let answer = refund(&world, &chain);
    let id = waiting(&answer);
    let url = data(&answer)["approval"]["url"].as_str().unwrap().to_owned();
    assert_eq!(url, format!("{}/approvals/{id}", world.public_url));

    browser.open(&url).await;
    let page = browser.text("main").await;
    for shown in ["refund_order", "10072", "500", "arrived broken", "policy:ask-first"] {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    browser.fill("#note", "the photo shows it").await;
    browser.click("[data-verdict=approve] button").await;
    browser.text("main .badge.good").await;
    assert_eq!(refunds(&world), 0, "nothing happens by itself");

    let passed = refund(&world, &chain);
    assert!(passed.json()["result"].is_object(), "{}", passed.text());
    assert_eq!(refunds(&world), 1);
    assert_ne!(waiting(&refund(&world, &chain)), id);
    assert_eq!(refunds(&world), 1);

    let found = world.ok(&["audit", "query", "--decision", "allow"]);
    let action = found["actions"][0]["action"].as_str().unwrap_or_else(|| panic!("{found}"));
    let (bundle, trust) = (world.path("evidence.json"), world.path("trust.json"));
    world.ok(&["evidence", "get", action, "-o", &bundle]);
    world.ok(&["keys", "trust", "-o", &trust]);
    let nowhere = world.base.path().join("nowhere");
    let verified = world.run_on(&nowhere, &["evidence", "verify", &bundle, "--trust", &trust]);
    assert_eq!(verified.status, 0, "{}{}", verified.out, verified.err);
    let verified = verified.json();
    let approver = verified.pointer("/proven/authority/approval/approvers/0");
    let approver = approver.unwrap_or_else(|| panic!("{verified}"));
    assert_eq!((&approver["approver"], &approver["grade"]), (&json!(OWNER), &json!("passkey")));
}

/// What a program that has a person's session, but not their device, is told.
fn posts(world: &World, session: &str, id: &str, csrf: &str, body: &Value) -> Response {
    Request::post(format!("/approvals/{id}/verdict"), body.to_string())
        .with("content-type", "application/json")
        .with("cookie", session)
        .with("origin", &world.public_url)
        .with("sec-fetch-site", "same-origin")
        .with("x-csrf-token", csrf)
        .send(world.address)
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_why_a_level_is_not_in_force() {
    let (world, browser) = asking().await;
    let waits = || {
        let chain = world.delegate(&["refund:10072"], &[]);
        waiting(&refund(&world, &chain))
    };
    let page = async |id: &str| {
        browser.open(&format!("{}/approvals/{id}", world.public_url)).await;
        browser.text("main").await
    };
    let whole = page(&waits()).await;
    assert!(!whole.contains("is in force at most"), "{whole}");
    crate::checklists::publish_without(&world, "review");
    let capped = page(&waits()).await;
    let said = "level bounded is stated, manual is in force at most: without review";
    assert!(capped.contains(said) && capped.contains("manual-effect"), "{capped}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_a_persons_session_without_their_device_approves_nothing() {
    let (world, browser) = asking().await;
    let chain = world.delegate(&["refund:10072"], &[]);
    let first = waiting(&refund(&world, &chain));
    let session: Vec<String> = browser
        .client
        .get_all_cookies()
        .await
        .unwrap()
        .iter()
        .map(|cookie| format!("{}={}", cookie.name(), cookie.value()))
        .collect();
    let session = session.join("; ");

    // What the person's device signs for one word is caught on its way.
    browser.open(&format!("{}/approvals/{first}", world.public_url)).await;
    let csrf = browser.script("return document.querySelector('[data-csrf]').dataset.csrf").await;
    let csrf = csrf.as_str().unwrap().to_owned();
    let caught = "const sent = window.fetch, done = arguments[arguments.length - 1];
        window.fetch = (url, what) => { done(JSON.parse(what.body)); return new Promise(() => {}); };
        document.querySelector('[data-verdict=deny] button').click();";
    let denial = browser.script_later(caught).await;
    assert_eq!(denial["verdict"], "deny", "{denial}");

    let mut as_approval = denial.clone();
    as_approval["verdict"] = json!("approve");
    let refused = |answer: Response, status: u16, code: &str| {
        let title = answer.json()["title"].clone();
        assert_eq!((answer.status, &title), (status, &json!(code)), "{}", answer.text());
        assert_eq!(waiting(&refund(&world, &chain)), first);
    };
    // A signed denial is no approval, and nothing is one without a signature.
    refused(posts(&world, &session, &first, &csrf, &as_approval), 422, "assertion-other-digest");
    let mut unsigned = denial.clone();
    unsigned["credential"]["response"]["signature"] = json!("AAAA");
    refused(posts(&world, &session, &first, &csrf, &unsigned), 422, "assertion-signature-invalid");
    refused(
        posts(&world, &session, &first, &csrf, &json!({"verdict": "approve"})),
        422,
        "passkey-malformed",
    );
    // Not without the page's token, and not from somewhere else.
    refused(posts(&world, &session, &first, "", &denial), 403, "csrf-token-invalid");
    let elsewhere = Request::post(format!("/approvals/{first}/verdict"), denial.to_string())
        .with("content-type", "application/json")
        .with("cookie", &session)
        .with("origin", "https://evil.example")
        .with("sec-fetch-site", "cross-site")
        .with("x-csrf-token", &csrf);
    refused(elsewhere.send(world.address).unwrap(), 403, "cross-site");

    // No page of another site frames the buttons.
    let page = Request::bare("GET", format!("/approvals/{first}"))
        .with("cookie", &session)
        .send(world.address)
        .unwrap();
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");

    // Sent as it was signed it counts: the refusals above were not for the form.
    let taken = posts(&world, &session, &first, &csrf, &denial);
    assert_eq!(taken.status, 200, "{}", taken.text());
    assert_eq!(data(&refund(&world, &chain))["code"], "approval-denied");
    // And once: the same signature says nothing about another question.
    let replayed = posts(&world, &session, &first, &csrf, &denial);
    assert_eq!(replayed.json()["title"], "approval-settled", "{}", replayed.text());
    assert_eq!(refunds(&world), 0);
}

#[test]
fn of_two_verdicts_at_once_one_counts_and_the_other_is_told() {
    let world = asking_about("get_ticket");
    let key = world.path("owner-approver.json");
    world.ok(&["approvals", "key", "new", "--for", OWNER, "--out", &key]);
    let chain = world.chain();
    let call = || world.call(&chain, "get_ticket", json!({"ticket_id": 8821}));
    for _ in 0..5 {
        let id = waiting(&call());
        let say = |word: &'static str| world.run(&["approvals", word, &id, "--key", &key]);
        let said = std::thread::scope(|scope| {
            ["approve", "deny"]
                .map(|word| scope.spawn(move || say(word)))
                .map(|t| t.join().unwrap())
        });
        let (counted, told): (Vec<_>, Vec<_>) = said.iter().partition(|a| a.status == 0);
        assert_eq!(counted.len(), 1);
        assert_eq!(told[0].code(), "approval-settled");
        let state = counted[0].json()["state"].clone();
        assert_eq!(call().json()["result"].is_object(), state == "approved", "{state}");
        if state == "denied" {
            // What was denied stays so until its time is over.
            assert_eq!(data(&call())["code"], "approval-denied");
            return;
        }
    }
}

#[test]
fn a_key_file_says_no_to_a_refund_and_never_yes() {
    let world = asking_about("refund_order");
    let key = world.path("owner-approver.json");
    world.ok(&["approvals", "key", "new", "--for", OWNER, "--out", &key]);
    let chain = world.delegate(&["refund:10072"], &[]);
    let id = waiting(&refund(&world, &chain));
    let say = |word| world.run(&["approvals", word, &id, "--key", &key]);
    assert_eq!(say("approve").code(), "approval-grade-too-low");
    // The agent's own key is none that signs verdicts.
    let own = world.runner.key_file();
    let by_agent = world.run(&["approvals", "approve", &id, "--key", &own]);
    assert_eq!(by_agent.code(), "key-file-malformed");
    assert_eq!(waiting(&refund(&world, &chain)), id);
    assert_eq!(say("deny").json()["state"], "denied");
    assert_eq!(data(&refund(&world, &chain))["code"], "approval-denied");
}

#[test]
fn the_call_verb_says_what_waits_and_a_key_that_is_not_enrolled_is_not_left_behind() {
    let world = asking_about("get_ticket");
    let key = world.path("nobodys.json");
    let new = ["approvals", "key", "new", "--for", "user:nobody", "--out", &key];
    assert_eq!(world.run(&new).code(), "unknown-name");
    assert!(!Path::new(&key).exists());
    let chain = world.chain();
    let (url, file, own) = (world.endpoint(), chain.path(), world.runner.key_file());
    let call = ["call", "--url", &url, "--chain", &file, "--key", &own];
    let answer = world.run(&[&call[..], &["get_ticket", "ticket_id=8821"]].concat());
    let said = answer.json();
    assert_eq!(said["code"], "approval-required", "{said}");
    assert_eq!(
        said["approval"]["id"],
        waiting(&world.call(&chain, "get_ticket", json!({"ticket_id": 8821})))
    );
    assert!(said["retry_after"].is_u64(), "{said}");
}
