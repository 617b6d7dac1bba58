//! Workflows, runs, failures and figures in a browser: what was done is read there,
//! and a person signs with a passkey that a level is raised.

use bailiwick_authority::people::roles::Role;
use bailiwick_authority::people::sessions::{Method, Session};
use bailiwick_authority::rules::requests::Asker;
use bailiwick_authority::rules::runs::Reviewing;
use bailiwick_authority::{Authority, Classification, Granter, Maker, PrepareOptions};
use bailiwick_core::crypto::{Signer as _, sha256};
use bailiwick_core::grant::Request;
use bailiwick_core::ids::{AgentId, EntryId, GrantId, OrgId, RunId, WorkflowId};
use bailiwick_core::json::Object;
use bailiwick_core::ledger::{Event, Kind, Subjects};
use bailiwick_policy::grades::Level;
use bailiwick_policy::run::{Backed, Claim, Item, ItemKind, ModelCall, Said, Word};
use bailiwick_store::{FailureClass, FailureFilter, ReviewVerdict, StoreError};
use bailiwick_testkit::browser::Browser;

use crate::consent::enrol;
use crate::site::{Site, key, now, principal};

const NOTE: &str = "mcp:support-desk:tools/add_note";
const REFUND: &str = "mcp:support-desk:tools/refund_order";

/// What was played.
pub(crate) struct Done {
    /// A run that was claimed, and reviewed.
    pub(crate) run: RunId,
    /// One that goes on.
    pub(crate) open: RunId,
    /// A failure.
    pub(crate) failure: String,
}

fn asker(a: &Authority, grant: &GrantId) -> Asker {
    let read = a.store().read(|view| {
        let grant = view.grant(grant)?.unwrap();
        let instance = view.instances(Some(&grant.agent))?[0].row.clone();
        Ok::<_, StoreError>((grant, instance))
    });
    let (grant, instance) = read.unwrap();
    let root = a.delegations(&grant.id).unwrap()[0].row.root;
    Asker {
        principal: grant.principal.clone(),
        agent: grant.agent.clone(),
        holder: instance.holder,
        instance: instance.id,
        task: grant.task.clone(),
        grant: grant.id.clone(),
        root,
        leaf: root,
    }
}

fn say(a: &Authority, asker: &Asker, word: Word) -> Object {
    a.run_said(asker, &Said { run: None, word }).unwrap()
}

fn begin(a: &Authority, asker: &Asker, goal: &str) -> RunId {
    let instruction = Some(sha256(b"please answer ticket 8821"));
    let begun = say(a, asker, Word::Begin { goal: goal.to_owned(), instruction });
    RunId::parse(begun.member("run").unwrap().as_str().unwrap()).unwrap()
}

fn random(nth: usize) -> [u8; 10] {
    let mut random = [0; 10];
    random.copy_from_slice(&sha256(format!("{nth} {}", now().millis()).as_bytes()).bytes()[..10]);
    random
}

/// What a gateway records of a call: its decision and, if it was allowed, its outcome.
fn call(a: &Authority, asker: &Asker, run: &RunId, (tool, decision): (&str, &str), nth: usize) {
    let text = |text: &str| Some(text.to_owned());
    let subjects = Subjects {
        principal: text(asker.principal.as_str()),
        agent: text(asker.agent.as_str()),
        workflow: text("support-tickets"),
        task: text(asker.task.as_str()),
        run: text(run.as_str()),
        action: text(EntryId::mint(now(), random(nth * 3)).as_str()),
        tool: text(tool),
        decision: text(decision),
        reason: (decision == "deny").then(|| "argument-not-delegated".to_owned()),
        ..Subjects::default()
    };
    let event = |kind, subjects, nth| Event {
        id: EntryId::mint(now(), random(nth)),
        org: OrgId::parse("default").unwrap(),
        time: now(),
        kind,
        subjects,
        body: Object::new().with("staleness_ms", 3u64),
        disclosures: Vec::new(),
    };
    let ok = Subjects { decision: None, reason: text("ok"), ..subjects.clone() };
    let completed = (decision == "allow").then(|| event(Kind::ActionCompleted, ok, nth * 3 + 1));
    let events = [Some(event(Kind::ActionDecided, subjects, nth * 3 + 2)), completed];
    let maker = Maker::gateway(key(3).public_key()).id;
    let written = a.store().write(move |tx| {
        for event in events.into_iter().flatten() {
            tx.append(&maker, &*key(3), event)?;
        }
        Ok::<_, StoreError>(())
    });
    written.wait().unwrap();
}

fn worked(a: &Authority, asker: &Asker, goal: &str) -> RunId {
    let run = begin(a, asker, goal);
    let item = |kind, source: &str| Item {
        kind,
        digest: sha256(source.as_bytes()),
        source: source.to_owned(),
        label: None,
    };
    let items = vec![
        item(ItemKind::Document, "customer-message"),
        item(ItemKind::Document, "refund-policy"),
        item(ItemKind::Memory, goal),
    ];
    say(a, asker, Word::Context { items });
    let model = ModelCall {
        model: "model-1".into(),
        input_tokens: 5_210,
        output_tokens: 914,
        cost_micros: 31_400,
    };
    let currency = Some("EUR".into());
    say(a, asker, Word::Progress { iterations: 5, model_calls: vec![model], currency });
    let calls = [(NOTE, "allow"), (REFUND, "deny"), (REFUND, "approval_required"), (NOTE, "allow")];
    for (nth, of) in calls.into_iter().enumerate() {
        call(a, asker, &run, of, nth);
    }
    run
}

/// A claimed run with a review, one that goes on, and what was learned. `text` stands
/// wherever somebody writes one.
pub(crate) fn play(a: &Authority, grant: &GrantId, text: &str) -> Done {
    let asker = asker(a, grant);
    let run = worked(a, &asker, text);
    let claims = vec![Claim {
        criterion: "ticket-read-back".into(),
        statement: Some(text.to_owned()),
        by: Backed::Word,
    }];
    say(a, &asker, Word::Complete { claims, summary: Some(text.to_owned()) });
    let owner = a.principal(&principal("user:owner")).unwrap().row.alias;
    let reviewing = Reviewing {
        verdict: ReviewVerdict::Corrected,
        criteria: None,
        what: Some(text.to_owned()),
        why: Some(text.to_owned()),
    };
    a.run_review(&Granter::Person(owner), &run, &reviewing, None).unwrap();
    let open = worked(a, &asker, text);
    while a.failures_look().unwrap() {}
    let filter = FailureFilter { limit: 20, ..FailureFilter::default() };
    let found = a.failures(None, &filter).unwrap().failures;
    let said = || Classification {
        class: FailureClass::ToolContract,
        owner: Some(principal("user:owner")),
        note: Some(text.to_owned()),
    };
    let denied = found.iter().find(|f| f.failure.reason == "argument-not-delegated").unwrap();
    a.failure_classify(None, &denied.failure.row.id, said()).unwrap();
    Done { run, open, failure: denied.failure.row.id.to_string() }
}

/// The pages that show what was played.
pub(crate) fn pages(done: &Done) -> Vec<(String, &'static str)> {
    vec![
        ("/workflows".to_owned(), "workflows"),
        ("/workflows/support-tickets".to_owned(), "workflow"),
        ("/runs".to_owned(), "runs"),
        (format!("/runs/{}", done.run), "run"),
        (format!("/runs/{}", done.open), "run-open"),
        ("/failures".to_owned(), "failures"),
        (format!("/failures/{}", done.failure), "failure"),
        ("/figures?workflow=support-tickets".to_owned(), "figures"),
        (
            "/figures/compare?workflow=support-tickets&before=2026-01-01..2026-02-01\
             &after=2026-02-01..2099-01-01"
                .to_owned(),
            "compare",
        ),
    ]
}

/// The bundled workflow with targets that few runs meet, at `supervised`.
const LENIENT: &str = r"
data_sources: {tool_servers: [support-desk], classes: [ticket, customer, order, policy], context: []}
completion:
  - {id: done, says: It is done., by: self_report}
review: {by: [owner], when: incomplete}
rollback:
  - {id: undo, says: Undo it., how: manual}
evaluation:
  targets: {task_success_rate: {at_least: 0.05}}
  window_days: 30
  minimum_runs: 1
  confidence_percent: 80
";

/// Somebody's own signed grant for the support desk.
pub(crate) fn granted(a: &Authority) -> GrantId {
    let said = principal("user:said");
    if a.principal(&said).is_err() {
        a.principal_add(&said, Some(&key(31).public_key().to_jwk())).unwrap();
    }
    let request = Request {
        principal: said,
        agent: AgentId::parse("agent:support-runner").unwrap(),
        scope: vec!["ticket:8821".to_owned()],
        expires_at: now().plus_seconds(1_800),
        purpose: "resolve support ticket 8821".to_owned(),
        workflow: Some(WorkflowId::parse("support-tickets").unwrap()),
    };
    let prepared = a.prepare(&request, &PrepareOptions::default()).unwrap();
    let signed = prepared.statement.sign(&*key(31));
    a.submit(&prepared, &signed, None).unwrap().grant
}

fn support_tickets() -> WorkflowId {
    WorkflowId::parse("support-tickets").unwrap()
}

/// A version by `author`, lowered to `supervised`, with a run that meets its targets.
async fn to_raise(site: &Site, author: &'static str) {
    let document = crate::accessibility::instance(site);
    site.ask(move |a| a.instance_enrol(&document).map(drop).unwrap()).await;
    site.ask(move |a| {
        let text = include_str!("../../../../workflows/support-tickets.yaml");
        let (head, _) = text.split_once("# The rest of the checklist").unwrap();
        let text = format!("{head}{LENIENT}");
        a.workflow_publish_by(&text, Some(&principal(author))).unwrap();
        a.lower_autonomy(None, &support_tickets(), Level::Supervised, "a drill").unwrap();
        // Two tasks: one alone shows too little.
        for _ in 0..2 {
            let asker = asker(a, &granted(a));
            begin(a, &asker, "answer the ticket");
            let claim = Claim { criterion: "done".into(), statement: None, by: Backed::Word };
            say(a, &asker, Word::Complete { claims: vec![claim], summary: None });
        }
    })
    .await;
    // Figures are of whole hours: those of this run come with the next one.
    site.later(3_700);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_signs_a_raise_with_a_passkey_and_it_waits_for_a_second_person() {
    let (site, browser) = (Site::start().await, Browser::start().await);
    to_raise(&site, "user:owner").await;
    let level = || site.ask(|a| a.autonomy(&support_tickets()).unwrap().level);
    let page = format!("{}/workflows/support-tickets", site.url);
    enrol(&browser, &site, "user:owner").await;
    browser.open(&page).await;
    browser.text("[data-digest]").await;
    browser.picture("workflow-to-raise").await;
    // An authenticator that does not know its person signs nothing.
    browser.verify_person(false).await;
    browser.click("[data-verdict=raise] button").await;
    browser.text("[data-problem]:not([hidden])").await;
    browser.verify_person(true).await;
    browser.click("[data-verdict=raise] button").await;
    browser.text("[aria-label='Signed, waiting for another']").await;
    // One signature raises nothing.
    assert_eq!(level().await, Level::Supervised);
    let waiting = site.ask(|a| a.autonomy(&support_tickets()).unwrap().waiting.len()).await;
    assert_eq!(waiting, 1);
    browser.picture("workflow-signed").await;

    // Lowered there, with a reason: then what was signed waits for nobody.
    browser.script("for (const d of document.querySelectorAll('details')) d.open = true").await;
    browser.fill("#lower-reason", "it <b>guesses</b>").await;
    browser.click("form[action$='/lower'] button").await;
    assert!(browser.text("main .timeline").await.contains("a drill"));
    let page = browser.text("main").await;
    assert!(page.contains("“it <b>guesses</b>”"), "{page}");
    assert_eq!(level().await, Level::Manual);
    assert_eq!(browser.count("[aria-label='Signed, waiting for another']").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_person_signs_the_raise_and_neither_its_author_nor_the_owner_again() {
    let site = Site::start().await;
    site.ask(|a| {
        a.principal_add(&principal("user:second"), None).unwrap();
        a.principal_add(&principal("user:nobody"), None).unwrap();
        a.role_change(&principal("user:142"), Role::Operator, true).unwrap();
        a.role_change(&principal("user:second"), Role::Approver, true).unwrap();
    })
    .await;
    to_raise(&site, "user:142").await;
    let state = || site.ask(|a| a.autonomy(&support_tickets()).unwrap());
    let page = format!("{}/workflows/support-tickets", site.url);
    let sign = "[data-verdict=raise] button";
    let (owner, second) = (Browser::start().await, Browser::start().await);
    enrol(&owner, &site, "user:owner").await;
    owner.open(&page).await;
    let shown = "return document.querySelector('[data-digest]')?.textContent \
        ?? document.querySelector('main').innerText";
    let digest = owner.script(shown).await;
    owner.click(sign).await;
    owner.text("[aria-label='Signed, waiting for another']").await;
    // The owner is not the second one: there is nothing to sign, and the page says why.
    let said = owner.text("#autonomy ~ .notice").await;
    assert!(said.starts_with("You signed that it is raised to bounded."), "{said}");
    assert_eq!(owner.count(sign).await, 0);
    owner.picture("workflow-signed-by-me").await;

    // Nor is who wrote the version, though with a role, nor somebody without one.
    for name in ["user:142", "user:nobody"] {
        enrol(&second, &site, name).await;
        second.open(&page).await;
        let said = second.text("main").await;
        assert_eq!(second.count(sign).await, 0, "{name}: {said}");
        let why = said.contains("somebody else with a role who did not write the version");
        assert!(why == (name == "user:142"), "{name}: {said}");
        second.click(".who form button").await;
        second.arrive("/login").await;
    }
    assert_eq!((state().await.level, state().await.waiting.len()), (Level::Supervised, 1));

    enrol(&second, &site, "user:second").await;
    second.open(&page).await;
    // A new passkey signs after a day, or when an owner vouches for it.
    let said = second.text("#autonomy ~ .notice").await;
    assert!(said.contains("counts after a day"), "{said}");
    site.ask(|a| {
        let alias = |name| a.principal(&principal(name)).unwrap().row.alias;
        let (owner, second) = (alias("user:owner"), alias("user:second"));
        let first_of = |alias| {
            let all = a.store().read(|view| view.credentials_of(alias));
            all.map_err(|e: StoreError| e).unwrap()[0].row.id.clone()
        };
        // The installation's first passkey vouches at once.
        let mut session = Session::begin(owner.clone(), Method::Passkey, now());
        session.credential = Some(first_of(&owner));
        a.credential_vouch(&session, &first_of(&second)).unwrap();
    })
    .await;
    second.open(&page).await;
    // Both are shown the same to sign.
    assert_eq!(second.script(shown).await, digest);
    assert!(second.text("[aria-label='Signed, waiting for another']").await.contains("user:owner"));
    // Another person's touch is none of theirs.
    second.verify_person(false).await;
    second.click(sign).await;
    second.text("[data-problem]:not([hidden])").await;
    assert_eq!(state().await.level, Level::Supervised);
    second.verify_person(true).await;
    second.click(sign).await;
    let now = second.text("main .timeline li.good").await;
    assert!(now.contains("raised") && now.contains("user:second"), "{now}");
    assert_eq!(second.text("[data-level]").await, "bounded");
    second.picture("workflow-raised").await;
    let raised = state().await;
    assert_eq!((raised.level, raised.waiting.len()), (Level::Bounded, 0));
    assert_eq!(raised.changes[0].change.cause, "raised");
    // The version says no more than that.
    assert_eq!(second.count(sign).await, 0);
    owner.open(&page).await;
    let said = owner.text("#autonomy ~ .notice").await;
    assert!(said.contains("says bounded at most"), "{said}");
}
