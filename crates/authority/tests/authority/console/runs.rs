//! Runs in the console: the four questions, who sees how much, and people's words.

use bailiwick_authority::people::roles::Role;
use bailiwick_authority::rules::requests::Asker;
use bailiwick_core::crypto::sha256;
use bailiwick_core::ids::{ActionId, EntryId, RunId};
use bailiwick_core::json::Object;
use bailiwick_core::ledger::{Disclosure, Event, Kind, Subjects};
use bailiwick_policy::run::{Item, ItemKind, ModelCall, Said, Word};
use bailiwick_store::StoreError;

use super::Served;
use crate::requests::asker;
use crate::support::{World, json, key, principal};

pub(crate) const GOAL: &str = "answer ticket 8821 <script>alert(1)</script>\u{202e}";
const NOTE: &str = "mcp:support-desk:tools/add_note";
const REFUND: &str = "mcp:support-desk:tools/refund_order";

fn say(world: &World, asker: &Asker, word: Word) -> Object {
    world.authority.run_said(asker, &Said { run: None, word }).unwrap()
}

/// What a gateway records of calls of a run: a decision, and its outcome if it has one.
pub(super) fn call(world: &World, asker: &Asker, run: &RunId, tool: &str, decision: &str) {
    let text = |text: &str| Some(text.to_owned());
    let subjects = Subjects {
        principal: text(asker.principal.as_str()),
        agent: text(asker.agent.as_str()),
        workflow: text("support-tickets"),
        task: text(asker.task.as_str()),
        run: text(run.as_str()),
        action: text(ActionId::parse(&world.jti()).unwrap().as_str()),
        tool: text(tool),
        decision: text(decision),
        reason: (decision == "deny").then(|| "argument-not-delegated".to_owned()),
        ..Subjects::default()
    };
    // The texts beside it, as far as it was allowed.
    let arguments =
        Disclosure { salt: [1; 32], value: json(r#"{"text":"answered","ticket_id":8821}"#) };
    let texts = |kind| match kind {
        Kind::ActionDecided => vec![("arguments".to_owned(), arguments.clone())],
        _ => Vec::new(),
    };
    let event = |kind, subjects| Event {
        id: EntryId::parse(&world.jti()).unwrap(),
        org: world.authority.installation().org.clone(),
        time: world.now(),
        kind,
        subjects,
        body: Object::new().with("staleness_ms", 3u64),
        disclosures: texts(kind),
    };
    let ok = Subjects { decision: None, reason: text("ok"), ..subjects.clone() };
    let completed = (decision == "allow").then(|| event(Kind::ActionCompleted, ok));
    let events = [Some(event(Kind::ActionDecided, subjects)), completed];
    let maker = world.authority.installation().makers[1].id.clone();
    let written = world.authority.store().write(move |tx| -> Result<(), StoreError> {
        for event in events.into_iter().flatten() {
            tx.append(&maker, &*key(3), event)?;
        }
        Ok(())
    });
    written.wait().unwrap();
}

/// A run of user 142's task that was claimed without everything that it needs.
pub(crate) fn played(world: &World) -> (Asker, RunId) {
    let issued = world.delegate();
    let asker = asker(world, &issued);
    let begun =
        say(world, &asker, Word::Begin { goal: GOAL.into(), instruction: Some(sha256(b"please")) });
    let run = RunId::parse(begun.member("run").unwrap().as_str().unwrap()).unwrap();
    let item = |source: &str| Item {
        kind: ItemKind::Document,
        digest: sha256(source.as_bytes()),
        source: source.into(),
        label: None,
    };
    let items = vec![item("customer-message"), item("a page from somewhere")];
    say(world, &asker, Word::Context { items });
    let model = ModelCall {
        model: "m-1".into(),
        input_tokens: 1_200,
        output_tokens: 300,
        cost_micros: 42_000,
    };
    let word =
        Word::Progress { iterations: 4, model_calls: vec![model], currency: Some("EUR".into()) };
    say(world, &asker, word);
    call(world, &asker, &run, NOTE, "allow");
    for _ in 0..3 {
        call(world, &asker, &run, REFUND, "deny");
    }
    say(world, &asker, Word::Complete { claims: Vec::new(), summary: None });
    world.host.advance(1_000);
    (asker, run)
}

pub(super) fn kinds(served: &Served, kind: &str) -> usize {
    served.world.kinds().iter().filter(|k| *k == kind).count()
}

#[test]
fn a_run_answers_its_four_questions_and_reading_it_is_an_entry() {
    let served = Served::start();
    let (_, run) = played(&served.world);
    let me = served.sign_in("user:142");
    let read = kinds(&served, "plaintext.read");
    let page = served.get(&format!("/runs/{run}"), Some(&me));
    assert_eq!(page.status, 200);
    for question in [
        "What goal was attempted?",
        "What context was used?",
        "Which tools were called?",
        "Why was the task considered complete?",
    ] {
        assert!(page.body.contains(question), "{question}");
    }
    assert!(
        page.body.contains("answer ticket 8821 &#60;script&#62;alert(1)&#60;/script&#62;\\u{202e}")
    );
    assert!(!page.body.contains("<script>alert") && !page.body.contains('\u{202e}'));
    // Its context with what the workflow lists and what not, by digest.
    assert!(page.body.contains("customer-message") && page.body.contains(">undeclared<"));
    assert!(page.body.contains("1 from sources that the workflow does not list"));
    assert!(page.body.contains("a page from somewhere"), "{}", page.body);
    assert!(page.body.contains(&sha256(b"a page from somewhere").to_string()));
    // Calls by tool, criteria with what was found of them, what it took.
    assert!(
        page.body.contains("3 × argument-not-delegated") && page.body.contains("4 calls in all")
    );
    assert!(page.body.contains("data-criterion=\"note-written\"") && page.body.contains(">met<"));
    assert!(
        page.body.contains("data-criterion=\"ticket-read-back\"")
            && page.body.contains(">missing<")
    );
    assert!(page.body.contains("0.042 EUR") && page.body.contains(">incomplete<"));
    assert_eq!(kinds(&served, "plaintext.read"), read + 1);
}

#[test]
fn whoever_sees_figures_only_sees_no_text_and_no_name_and_strangers_nothing() {
    let served = Served::start();
    let (_, run) = played(&served.world);
    let a = &served.world.authority;
    for (name, role) in [("user:dev", Some(Role::Developer)), ("user:143", None)] {
        let _ = a.principal_add(&principal(name), None);
        if let Some(role) = role {
            a.role_change(&principal(name), role, true).unwrap();
        }
    }
    let (dev, stranger) = (served.sign_in("user:dev"), served.sign_in("user:143"));
    let read = kinds(&served, "plaintext.read");
    for path in [format!("/runs/{run}"), "/runs".to_owned()] {
        let page = served.get(&path, Some(&dev));
        assert_eq!(page.status, 200);
        for text in ["8821", "user:142", "customer-message", "from somewhere"] {
            assert!(!page.body.contains(text), "{path}: {text}");
        }
        assert!(page.body.contains("support-tickets"));
    }
    let page = served.get(&format!("/runs/{run}"), Some(&dev));
    assert!(page.body.contains("4 calls in all") && !page.body.contains("/review\""));
    assert_eq!(kinds(&served, "plaintext.read"), read);
    // To somebody else there is no such run, and no list with it.
    assert_eq!(served.get(&format!("/runs/{run}"), Some(&stranger)).status, 404);
    assert_eq!(served.get(&format!("/runs/{run}/report?format=md"), Some(&stranger)).status, 404);
    assert!(!served.get("/runs", Some(&stranger)).body.contains(run.as_str()));
    assert_eq!(served.get(&format!("/runs/{run}/report?format=md"), Some(&dev)).status, 404);
    let other = RunId::mint(served.now(), [9; 10]);
    assert_eq!(served.get(&format!("/runs/{other}"), Some(&dev)).status, 404);
}

#[test]
fn a_reviewer_corrects_a_run_and_nobody_else_does() {
    let served = Served::start();
    let (_, run) = played(&served.world);
    let path = format!("/runs/{run}/review");
    let (owner, own) = (served.sign_in("user:owner"), served.sign_in("user:142"));
    // It waits for its reviewer, and for nobody else.
    assert!(served.get("/runs", Some(&owner)).body.contains("Waiting for your review"));
    assert!(!served.get("/runs", Some(&own)).body.contains("Waiting for your review"));
    assert!(served.get(&format!("/runs/{run}"), Some(&own)).body.contains("lets others review it"));
    let refused = served.post(&path, &own, &[("verdict", "accepted")]);
    assert_eq!((refused.status, kinds(&served, "run.reviewed")), (422, 0));
    // A correction without words is none, and neither is one from elsewhere.
    assert_eq!(served.post(&path, &owner, &[("verdict", "corrected")]).status, 422);
    assert_eq!(served.post(&path, &owner, &[("verdict", "splendid")]).status, 404);
    // The form is there again, with the message and with what was written.
    // What is not there names no id that the ledger would not know.
    let nothing = served.get("/runs/018cc251-f400-7000-8000-0000000000ff", Some(&owner));
    assert_eq!(nothing.status, 404);
    assert!(!nothing.body.contains("<dt>Decision</dt>") && !nothing.body.contains("In the log"));
    let half = [("verdict", "corrected"), ("what", "half <b>a</b> word")];
    let again = served.post(&path, &owner, &half);
    assert_eq!(again.status, 422);
    for part in [
        "`why` is missing",
        "half &#60;b&#62;a&#60;/b&#62; word</textarea>",
        "value=\"corrected\" checked",
        &format!("action=\"{path}\""),
    ] {
        assert!(again.body.contains(part), "{part}: {}", again.body);
    }
    let forged = served.send(
        "POST",
        &path,
        &[("Origin", "https://evil.example".into())],
        "verdict=accepted",
    );
    assert_eq!(forged.status, 403);
    let fields = [
        ("verdict", "corrected"),
        ("what", "the note named <b>another</b> customer"),
        ("why", "it read the wrong ticket"),
    ];
    assert_eq!(served.post(&path, &owner, &fields).status, 303);
    let page = served.get(&format!("/runs/{run}"), Some(&owner)).body;
    assert!(page.contains("the note named &#60;b&#62;another&#60;/b&#62; customer"));
    assert!(page.contains(">corrected<"));
    assert!(!served.get("/runs", Some(&owner)).body.contains("Waiting for your review"));
}

#[test]
fn the_list_is_narrowed_and_paged_and_guesses_nothing() {
    let served = Served::start();
    let mut runs = Vec::new();
    for _ in 0..52 {
        let issued = served.world.delegate();
        let asker = asker(&served.world, &issued);
        let begun =
            say(&served.world, &asker, Word::Begin { goal: "go".into(), instruction: None });
        runs.push(begun.member("run").unwrap().as_str().unwrap().to_owned());
        served.world.host.advance(10);
    }
    let owner = served.sign_in("user:owner");
    let page = served.get("/runs?state=open&workflow=support-tickets", Some(&owner)).body;
    assert!(page.contains(&runs[51]) && !page.contains(&runs[1]));
    let html = scraper::Html::parse_document(&page);
    let links = scraper::Selector::parse("main .buttons a").unwrap();
    let older = html.select(&links).filter_map(|a| a.attr("href")).find(|a| a.contains("before="));
    let page = served.get(older.unwrap(), Some(&owner)).body;
    assert!(page.contains(&runs[0]) && page.contains(&runs[1]) && !page.contains(&runs[2]));
    for nothing in ["?state=claimed", "?agent=agent:nobody", "?workflow=other"] {
        assert!(served.get(&format!("/runs{nothing}"), Some(&owner)).body.contains("No run fits."));
    }
    for (query, said) in [
        ("agent=agent:nobody", "There is no such agent."),
        ("workflow=support-ticket", "There is no such workflow. Did you mean support-tickets?"),
    ] {
        let page = served.get(&format!("/runs?{query}"), Some(&owner)).body;
        assert!(page.contains(said), "{query}: {page}");
    }
    let odd = served.get("/runs?state=done", Some(&owner));
    assert!(odd.status == 200 && odd.body.contains("There is no such state."));
}

#[test]
fn the_timeline_is_read_in_parts_from_the_beginning() {
    let served = Served::start();
    let (asker, run) = played(&served.world);
    for _ in 0..60 {
        call(&served.world, &asker, &run, NOTE, "deny");
    }
    let me = served.sign_in("user:142");
    let page = served.get(&format!("/runs/{run}"), Some(&me)).body;
    let html = scraper::Html::parse_document(&page);
    let links = scraper::Selector::parse("main .buttons a").unwrap();
    let next = html.select(&links).filter_map(|a| a.attr("href")).find(|a| a.contains("after="));
    let next = next.unwrap().split('#').next().unwrap().to_owned();
    assert_eq!(page.matches("<tr>\n<td class=\"when\">").count(), 50);
    let rest = served.get(&next, Some(&me)).body;
    let shown = rest.matches("<tr>\n<td class=\"when\">").count();
    assert!((10..50).contains(&shown), "{shown}");
    assert!(rest.contains("From the beginning"));
}
