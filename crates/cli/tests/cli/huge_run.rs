//! A run of very many calls: it is ended, opened, told of and reported as quickly and in
//! as many bytes as a long one.

use std::fs;
use std::sync::Arc;

use bailiwick_core::crypto::{Signer as _, from_base64url, sha256};
use bailiwick_core::ids::{EntryId, OrgId};
use bailiwick_core::json::Object;
use bailiwick_core::ledger::{Event, Kind, Subjects};
use bailiwick_store::{Options, PlaintextKey, Store, StoreError};
use bailiwick_testkit::World;
use bailiwick_testkit::browser::Browser;
use bailiwick_testkit::present::{key_file, now};
use bailiwick_testkit::world::PRINCIPAL;
use serde_json::{Value, json};

use crate::EXE;
use crate::checks::{SCOPE, begin, claim, note};

const NOTE: &str = "mcp:support-desk:tools/add_note";
const TICKET: &str = "mcp:support-desk:tools/get_ticket";
/// Entries in one transaction.
const TOGETHER: u32 = 1_000;
/// What a page may weigh.
const PAGE_BYTES: usize = 150 * 1_024;
/// What a report may: the program that asks for one reads no more over the API.
const REPORT_BYTES: usize = 4 << 20;

/// Calls of the run: as many as the figures are measured with, or enough to be far
/// beyond every bound.
fn many() -> u32 {
    if std::env::var_os("BAILIWICK_FULL").is_some() { 100_000 } else { 10_000 }
}

/// What a decision of this world says of whom, as the ledger has it.
fn subjects(entry: &Value) -> Subjects {
    let text = |name: &str| entry[name].as_str().map(str::to_owned);
    Subjects {
        principal: text("principal"),
        agent: text("agent"),
        workflow: text("workflow"),
        task: text("task"),
        grant: text("grant"),
        run: text("run"),
        ..Subjects::default()
    }
}

/// Writes the calls as a gateway would have: each with its decision, and its outcome
/// where it was allowed.
fn fill(world: &World, like: &Subjects) {
    let read = |name: &str| fs::read_to_string(world.data.join("keys").join(name)).unwrap();
    let jwk: Value = serde_json::from_str(&read("plaintext.jwk")).unwrap();
    let seed = from_base64url(jwk["d"].as_str().unwrap()).unwrap();
    let entropy = Arc::new(|out: &mut [u8]| getrandom::fill(out).is_ok());
    let org = OrgId::parse("default").unwrap();
    let plaintext = PlaintextKey::new(seed.try_into().unwrap());
    let store = Store::open(&world.data, Options::new(org.clone(), plaintext, entropy)).unwrap();
    let key = Arc::new(key_file(&world.data.join("keys/gateway.jwk")));
    let maker = format!("gateway:{}", key.public_key().thumbprint());
    let mut waiting = Vec::new();
    for first in (0..many()).step_by(TOGETHER as usize) {
        let (org, like, key, maker) = (org.clone(), like.clone(), Arc::clone(&key), maker.clone());
        waiting.push(store.write(move |tx| -> Result<(), StoreError> {
            for nth in first..(first + TOGETHER).min(many()) {
                for event in call(&org, &like, nth) {
                    tx.append(&maker, &*key, event)?;
                }
            }
            Ok(())
        }));
    }
    waiting.into_iter().for_each(|written| written.wait().unwrap());
}

fn call(org: &OrgId, like: &Subjects, nth: u32) -> Vec<Event> {
    let mut random = [0; 10];
    let id = |part: u32| {
        random.copy_from_slice(&sha256(format!("{nth} {part}").as_bytes()).bytes()[..10]);
        EntryId::mint(now(), random)
    };
    let mut id = id;
    let denied = nth % 10 == 3;
    let decided = Subjects {
        action: Some(id(0).to_string()),
        tool: Some(if nth.is_multiple_of(3) { NOTE } else { TICKET }.to_owned()),
        decision: Some(if denied { "deny" } else { "allow" }.to_owned()),
        reason: denied.then(|| "argument-not-delegated".to_owned()),
        ..like.clone()
    };
    let over = Subjects { decision: None, reason: Some("ok".to_owned()), ..decided.clone() };
    let mut event = |kind, subjects, part| Event {
        id: id(part),
        org: org.clone(),
        time: now(),
        kind,
        subjects,
        body: Object::new().with("staleness_ms", 3u64),
        disclosures: Vec::new(),
    };
    let mut events = vec![event(Kind::ActionDecided, decided, 1)];
    if !denied {
        events.push(event(Kind::ActionCompleted, over, 2));
    }
    events
}

/// What a page of the console weighs, with the person's own session.
async fn page(browser: &Browser, url: &str) -> String {
    browser.open(url).await;
    browser.text("main h1").await;
    let script = "const done = arguments[arguments.length - 1];
        fetch(location.href).then((r) => r.text()).then(done)";
    browser.script_later(script).await.as_str().unwrap().to_owned()
}

#[test]
fn a_run_of_very_many_calls_is_ended_opened_and_reported_within_bounds() {
    let mut world = World::new(EXE);
    let chain = world.delegate(&SCOPE, &[]);
    let run = begin(&world, &chain, "answer the ticket, again and again");
    let first = note(&world, &chain, "first");
    let decision = world.ok(&["audit", "show", &first]);
    world.stop_serve();
    fill(&world, &subjects(&decision));
    world.start_serve();
    // The run still takes a call and its end; what it did last is what counts.
    let last = note(&world, &chain, "last");
    assert_eq!(claim(&world, &chain, &last)["complete"], false);
    let calls = u64::from(many()) + 2;

    // Told in numbers, and read in parts.
    let shown = world.run(&["run", "show", &run]);
    assert_eq!(shown.status, 0, "{}", shown.err);
    assert!(shown.out.len() < PAGE_BYTES, "{} bytes", shown.out.len());
    let shown = shown.json();
    let by_tool = shown["calls"].as_array().unwrap();
    let counted = by_tool.iter().map(|count| count["calls"].as_u64().unwrap()).sum::<u64>();
    assert!(counted >= calls, "{shown}");

    // Each form of the report is bounded, and says what it leaves out.
    let mut sizes = Vec::new();
    for format in ["md", "html", "json"] {
        let file = world.path(&format!("huge.{format}"));
        world.ok(&["run", "report", &run, "--format", format, "-o", &file]);
        sizes.push(fs::metadata(&file).unwrap().len() as usize);
    }
    assert!(sizes.iter().all(|size| *size < REPORT_BYTES), "{sizes:?}");
    let file = world.path("huge.json");
    let report: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let listed = report["report"]["calls"].as_array().unwrap();
    assert!((400..=420).contains(&listed.len()), "{}", listed.len());
    let omitted = report["report"]["omitted"].as_u64().unwrap();
    assert!(omitted + listed.len() as u64 >= calls, "{omitted}");
    // The first and the last are among those listed, and it is verified offline.
    for action in [&first, &last] {
        assert!(listed.iter().any(|call| call["action"] == action.as_str()), "{action}");
    }
    let markdown = fs::read_to_string(world.path("huge.md")).unwrap();
    assert!(markdown.contains(&omitted.to_string()), "what is left out is told");
    world.ok(&["keys", "trust", "-o", &world.path("trust.json")]);
    let trust = world.path("trust.json");
    let verified = world.run(&["evidence", "verify", &file, "--trust", &trust]);
    assert_eq!(verified.status, 0, "{}{}", verified.out, verified.err);

    // In a browser, each part of it is a page.
    let link =
        world.ok(&["principal", "link", PRINCIPAL])["enrolment_link"].as_str().unwrap().to_owned();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let browser = Browser::start().await;
        browser.open(&link).await;
        browser.fill("#label", "Work laptop").await;
        browser.click("[data-passkey-enrol] button").await;
        browser.text(".who").await;
        let url = format!("{}/runs/{run}", world.public_url);
        for path in [url.clone(), format!("{}/runs", world.public_url)] {
            let text = page(&browser, &path).await;
            assert!(text.len() < PAGE_BYTES, "{path}: {} bytes", text.len());
        }
        browser.open(&url).await;
        let all = browser.text("main").await;
        assert!(all.contains("calls in all"), "{all}");
        // The timeline goes on, part after part.
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..5 {
            let more = "return document.querySelector('a[href*=\"?after=\"]')?.href ?? ''";
            let next = browser.script(more).await.as_str().unwrap().to_owned();
            assert!(next.contains("after=") && seen.insert(next.clone()), "{next}");
            let text = page(&browser, &next).await;
            assert!(text.len() < PAGE_BYTES, "{next}: {} bytes", text.len());
        }
    });
    // Claims of more than anybody reads are refused as ever, and the world goes on.
    let again = begin(&world, &chain, "another");
    assert_ne!(again, run);
    assert_eq!(world.call(&chain, "get_ticket", json!({"ticket_id": 8821})).status, 200);
}
