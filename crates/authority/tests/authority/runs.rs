//! Runs: what agents may say of them, what is derived, who reviews, and their end.

use bailiwick_authority::rules::delegations::Issued;
use bailiwick_authority::rules::requests::Asker;
use bailiwick_authority::rules::runs::{IDLE_SECONDS, MAX_CONTEXT, MAX_HOURLY, Reviewing};
use bailiwick_authority::{Granter, Refusal, Target};
use bailiwick_core::crypto::sha256;
use bailiwick_core::ids::{ActionId, EntryId, RunId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Event, Kind, Subjects};
use bailiwick_policy::run::{Said, Verb};
use bailiwick_store::{ReviewVerdict, Run, RunFilter, RunState, StoreError};

use crate::requests::asker;
use crate::support::*;

const NOTE: &str = "mcp:support-desk:tools/add_note";
const TICKET: &str = "mcp:support-desk:tools/get_ticket";

/// A task of four hours, whose note alone makes it complete.
fn task(completion: &str) -> (World, Issued) {
    let world = World::desk();
    let (before, rest) = WORKFLOW.split_once("completion:\n").unwrap();
    let (_, after) = rest.split_once("review:\n").unwrap();
    let text = format!("{before}completion:\n{completion}review:\n{after}")
        .replace("window_seconds: 3600", "window_seconds: 14400");
    world.authority.workflow_publish(&text).unwrap();
    let issued = delegated(&world);
    (world, issued)
}

fn delegated(world: &World) -> Issued {
    let prepared = world.prepare(&world.request(&["ticket:8821"], 240)).unwrap();
    let signed = prepared.statement.sign(&*key(11));
    world.authority.submit(&prepared, &signed, None).unwrap()
}

const BY_NOTE: &str =
    "  - {id: noted, says: The ticket has a note., by: {tool: support-desk/add_note}}\n";
const BY_PERSON: &str = "  - {id: seen, says: Somebody looked., by: review}\n";
const BY_WORD: &str = "  - {id: told, says: The customer was told., by: self_report}\n";

fn say(world: &World, who: &Asker, verb: Verb, text: &str) -> Result<Json, Refusal> {
    let said = Said::parse(verb, json(text).as_object().unwrap()).unwrap();
    world.authority.run_said(who, &said).map(Json::from)
}

fn code(said: Result<Json, Refusal>) -> &'static str {
    said.unwrap_err().code()
}

fn begin(world: &World, who: &Asker) -> RunId {
    let answer = say(world, who, Verb::Begin, r#"{"goal": "answer the ticket"}"#).unwrap();
    text(&answer, "run").parse().unwrap()
}

fn text(json: &Json, name: &str) -> String {
    json.as_object().unwrap().member(name).unwrap().as_str().unwrap().to_owned()
}

fn flag(json: &Json, name: &str) -> bool {
    json.as_object().unwrap().member(name).unwrap().as_bool().unwrap()
}

fn run(world: &World, id: &RunId) -> Run {
    let found: Result<_, StoreError> = world.authority.store().read(|view| view.run(id));
    found.unwrap().unwrap().row
}

fn listed(world: &World, id: &RunId) -> RunState {
    let all = RunFilter { limit: 50, ..RunFilter::default() };
    let runs = world.authority.runs(None, &all).unwrap();
    runs.runs.into_iter().find(|listed| listed.run.id == *id).unwrap().state
}

fn write(world: &World, event: Event) {
    let maker = installation().makers[1].id.clone();
    let written: Result<_, StoreError> = world
        .authority
        .store()
        .write(move |tx| tx.append(&maker, &*key(3), event).map(|_| ()))
        .wait();
    written.unwrap();
}

/// A call as the gateway records it; `outcome` of an allowed one that is over.
fn call(
    world: &World,
    run: Option<&RunId>,
    (tool, decision, outcome): (&str, &str, Option<&str>),
) -> ActionId {
    let id: EntryId = world.jti().parse().unwrap();
    let subjects = Subjects {
        action: Some(id.to_string()),
        agent: Some("agent:support-runner".into()),
        run: run.map(ToString::to_string),
        tool: Some(tool.into()),
        decision: Some(decision.into()),
        reason: (decision == "deny").then(|| "argument-not-delegated".into()),
        ..Subjects::default()
    };
    let event = |id: EntryId, kind, subjects: Subjects| Event {
        id,
        org: installation().org,
        time: world.now(),
        kind,
        subjects,
        body: Object::new(),
        disclosures: Vec::new(),
    };
    write(world, event(id.clone(), Kind::ActionDecided, subjects.clone()));
    if let Some(outcome) = outcome {
        let subjects = Subjects { decision: None, reason: Some(outcome.into()), ..subjects };
        write(world, event(world.jti().parse().unwrap(), Kind::ActionCompleted, subjects));
    }
    id.as_str().parse().unwrap()
}

#[test]
fn an_equal_begin_is_the_same_run_and_another_one_abandons_it_first() {
    let (world, issued) = task(BY_NOTE);
    let who = asker(&world, &issued);
    let first = begin(&world, &who);
    assert_eq!(begin(&world, &who), first);
    let other = say(&world, &who, Verb::Begin, r#"{"goal": "something else"}"#).unwrap();
    assert_ne!(text(&other, "run"), first.to_string());
    assert_eq!(run(&world, &first).state, RunState::Abandoned);
    assert_eq!(run(&world, &first).complete, Some(false));
    let kinds = world.kinds();
    assert_eq!(
        kinds[kinds.len() - 3..],
        ["run.started".to_owned(), "run.abandoned".into(), "run.started".into()]
    );
    let second: RunId = text(&other, "run").parse().unwrap();
    assert_eq!(run(&world, &second).attempt, 2);
}

#[test]
fn only_the_agent_that_has_the_task_speaks_of_its_run() {
    let (world, issued) = task(BY_NOTE);
    let who = asker(&world, &issued);
    let sub = Asker { agent: agent("agent:order-reader"), ..who.clone() };
    let size = world.log_size();
    assert_eq!(code(say(&world, &sub, Verb::Begin, r#"{"goal": "g"}"#)), "run-not-the-tasks");
    assert_eq!(world.log_size(), size);
    begin(&world, &who);
    for (verb, text) in
        [(Verb::Progress, r#"{"iterations": 1}"#), (Verb::Complete, r#"{"claims": []}"#)]
    {
        assert_eq!(code(say(&world, &sub, verb, text)), "run-not-the-tasks");
    }
    // Another task's agent names this run: its own task has none.
    let elsewhere = asker(&world, &delegated(&world));
    assert_eq!(
        code(say(&world, &elsewhere, Verb::Progress, r#"{"iterations": 1}"#)),
        "run-none-open"
    );
}

#[test]
fn notes_for_another_run_than_the_open_one_are_refused() {
    let (world, issued) = task(BY_NOTE);
    let (who, other) = (asker(&world, &issued), asker(&world, &delegated(&world)));
    let (mine, others) = (begin(&world, &who), begin(&world, &other));
    let note = |run: &RunId| format!(r#"{{"run": "{run}", "iterations": 1}}"#);
    assert_eq!(code(say(&world, &who, Verb::Progress, &note(&others))), "run-not-open");
    assert_eq!(run(&world, &others).spent.iterations, 0);
    say(&world, &who, Verb::Progress, &note(&mine)).unwrap();
    assert_eq!(run(&world, &mine).spent.iterations, 1);
}

#[test]
fn a_workflow_without_criteria_has_no_runs_unless_it_requires_them() {
    let world = World::desk();
    let (before, rest) = WORKFLOW.split_once("completion:\n").unwrap();
    let (_, after) = rest.split_once("review:\n").unwrap();
    let text = format!("{before}review:\n{after}").replace("seconds: 3600", "seconds: 14400");
    world.authority.workflow_publish(&text).unwrap();
    let who = asker(&world, &delegated(&world));
    assert_eq!(code(say(&world, &who, Verb::Begin, r#"{"goal": "g"}"#)), "run-not-offered");
    world.authority.workflow_publish(&format!("{text}\nruns: required\n")).unwrap();
    begin(&world, &asker(&world, &delegated(&world)));
}

#[test]
fn a_task_that_begins_again_and_again_is_bounded() {
    let (world, issued) = task(BY_NOTE);
    let who = asker(&world, &issued);
    for n in 0..MAX_HOURLY {
        say(&world, &who, Verb::Begin, &format!(r#"{{"goal": "try {n}"}}"#)).unwrap();
    }
    assert_eq!(code(say(&world, &who, Verb::Begin, r#"{"goal": "once more"}"#)), "run-too-many");
    world.host.advance(61 * 60_000);
    say(&world, &who, Verb::Begin, r#"{"goal": "once more"}"#).unwrap();
}

#[test]
fn context_from_unlisted_sources_is_labelled_and_its_words_are_not_in_the_ledger() {
    let (world, issued) = task(BY_NOTE);
    let who = asker(&world, &issued);
    let id = begin(&world, &who);
    let digest = "ab".repeat(32);
    let own = call(&world, Some(&id), (TICKET, "allow", Some("ok")));
    let note = format!(
        r#"{{"items": [
            {{"kind": "document", "sha256": "{digest}", "source": "refund-policy", "label": "ticket"}},
            {{"kind": "memory", "sha256": "{digest}", "source": "Source-Canary", "label": "Label-Canary"}},
            {{"kind": "tool_output", "sha256": "{digest}", "source": "{own}"}}
        ]}}"#
    );
    assert_eq!(
        world.authority.open_run(&who.task, world.now()).unwrap(),
        Some((id.clone(), false))
    );
    let answer = say(&world, &who, Verb::Context, &note).unwrap();
    // A call's id beside a digest that is not that of its result declares nothing.
    assert_eq!(answer.as_object().unwrap().member("undeclared"), Some(&json("[2,3]")));
    assert_eq!(world.authority.open_run(&who.task, world.now()).unwrap(), Some((id.clone(), true)));
    let shown = world.authority.run_read(None, &id).unwrap();
    let seen: Vec<_> =
        shown.context.iter().map(|i| (i.source.clone(), i.label.clone(), i.declared)).collect();
    assert_eq!(
        seen,
        [
            ("refund-policy".to_owned(), "ticket".to_owned(), true),
            ("Source-Canary".into(), "undeclared".into(), false),
            (own.to_string(), "undeclared".into(), false),
        ]
    );
    let entries: Result<_, StoreError> =
        world.authority.store().read(|view| view.entries_of_run(&id, None, 100));
    for entry in entries.unwrap() {
        let leaf = String::from_utf8(entry.leaf).unwrap();
        assert!(!leaf.contains("Canary") && !leaf.contains("answer the ticket"), "{leaf}");
    }
}

#[test]
fn outputs_of_calls_that_the_run_did_not_make_are_refused_whole() {
    let (world, issued) = task(BY_NOTE);
    let who = asker(&world, &issued);
    let id = begin(&world, &who);
    let other = begin(&world, &asker(&world, &delegated(&world)));
    let digest = "ab".repeat(32);
    let size = |world: &World| world.log_size();
    for (source, expected) in [
        (call(&world, Some(&other), (TICKET, "allow", Some("ok"))), "run-foreign-receipt"),
        (call(&world, None, (TICKET, "allow", Some("ok"))), "run-foreign-receipt"),
        (call(&world, Some(&id), (TICKET, "deny", None)), "run-receipt-denied"),
        (world.jti().parse().unwrap(), "run-foreign-receipt"),
    ] {
        let before = size(&world);
        let note = format!(
            r#"{{"items": [
                {{"kind": "document", "sha256": "{digest}", "source": "refund-policy"}},
                {{"kind": "tool_output", "sha256": "{digest}", "source": "{source}"}}
            ]}}"#
        );
        assert_eq!(code(say(&world, &who, Verb::Context, &note)), expected);
        assert_eq!(size(&world), before);
    }
    const { assert!(MAX_CONTEXT == 10_000) };
}

#[test]
fn what_a_run_took_adds_up_in_one_currency() {
    let (world, issued) = task(BY_NOTE);
    let who = asker(&world, &issued);
    let id = begin(&world, &who);
    let note = |cost: u64, currency: &str| {
        format!(
            r#"{{"iterations": 2, "model_calls": [
                {{"model": "Model-Canary", "input_tokens": 10, "output_tokens": 3, "cost_micros": {cost}}}
            ]{currency}}}"#
        )
    };
    assert_eq!(code(say(&world, &who, Verb::Progress, &note(5, ""))), "run-malformed");
    say(&world, &who, Verb::Progress, &note(5, r#", "currency": "EUR""#)).unwrap();
    say(&world, &who, Verb::Progress, &note(7, "")).unwrap();
    let other = note(7, r#", "currency": "USD""#);
    assert_eq!(code(say(&world, &who, Verb::Progress, &other)), "run-currency");
    let spent = run(&world, &id).spent;
    assert_eq!((spent.iterations, spent.model_calls, spent.cost_micros), (4, 2, 12));
    assert_eq!((spent.input_tokens, spent.currency.as_deref()), (20, Some("EUR")));
}

#[test]
fn claims_that_do_not_stand_refuse_all_and_end_nothing() {
    let (world, issued) = task(&format!("{BY_NOTE}{BY_WORD}"));
    let who = asker(&world, &issued);
    let id = begin(&world, &who);
    let other = begin(&world, &asker(&world, &delegated(&world)));
    let receipt = |action: &ActionId| format!(r#"{{"criterion": "noted", "receipt": "{action}"}}"#);
    let failed = call(&world, Some(&id), (NOTE, "allow", Some("error")));
    let open = call(&world, Some(&id), (NOTE, "allow", None));
    for (claims, expected) in [
        (receipt(&call(&world, Some(&other), (NOTE, "allow", Some("ok")))), "run-foreign-receipt"),
        (receipt(&call(&world, None, (NOTE, "allow", Some("ok")))), "run-foreign-receipt"),
        (receipt(&world.jti().parse().unwrap()), "run-foreign-receipt"),
        (receipt(&call(&world, Some(&id), (NOTE, "deny", None))), "run-receipt-denied"),
        (receipt(&failed), "run-receipt-failed"),
        (receipt(&open), "run-receipt-failed"),
        (
            receipt(&call(&world, Some(&id), (TICKET, "allow", Some("ok")))),
            "run-receipt-other-tool",
        ),
        (r#"{"criterion": "rich"}"#.to_owned(), "run-criterion-unknown"),
        (r#"{"criterion": "told"}, {"criterion": "told"}"#.to_owned(), "run-criterion-twice"),
    ] {
        let size = world.log_size();
        let said = format!(r#"{{"claims": [{{"criterion": "told"}}, {claims}]}}"#);
        let said = match claims.contains("told") {
            true => format!(r#"{{"claims": [{claims}]}}"#),
            false => said,
        };
        assert_eq!(code(say(&world, &who, Verb::Complete, &said)), expected, "{said}");
        assert_eq!(world.log_size(), size);
        assert_eq!(run(&world, &id).state, RunState::Open);
    }
}

#[test]
fn completion_is_derived_and_not_believed() {
    let (world, issued) = task(&format!("{BY_NOTE}{BY_WORD}"));
    let who = asker(&world, &issued);
    let id = begin(&world, &who);
    // Its word is too weak where a call must show it.
    let said = r#"{"claims": [{"criterion": "noted"}, {"criterion": "told"}], "summary": "done"}"#;
    let answer = say(&world, &who, Verb::Complete, said).unwrap();
    assert!(!flag(&answer, "complete"), "{}", answer.canonical());
    assert_eq!(run(&world, &id).complete, Some(false));
    // A later call is of no run, and ends in nothing.
    assert_eq!(world.authority.open_run(&who.task, world.now()).unwrap(), None);
    assert_eq!(code(say(&world, &who, Verb::Complete, said)), "run-none-open");

    let id = begin(&world, &who);
    let note = call(&world, Some(&id), (NOTE, "allow", Some("ok")));
    // Found without being claimed.
    let said = r#"{"claims": [{"criterion": "told", "statement": "by mail"}]}"#;
    let answer = say(&world, &who, Verb::Complete, said).unwrap();
    assert!(flag(&answer, "complete"), "{}", answer.canonical());
    assert_eq!(run(&world, &id).complete, Some(true));
    let shown = world.authority.run_read(None, &id).unwrap();
    assert!(shown.derived.evidence.iter().any(|e| e.action.as_ref() == Some(&note)));
    assert_eq!(shown.goal.as_deref(), Some("answer the ticket"));

    // A later attempt of the same tool that failed leaves open what it changed.
    let id = begin(&world, &who);
    let note = call(&world, Some(&id), (NOTE, "allow", Some("ok")));
    call(&world, Some(&id), (NOTE, "allow", Some("error")));
    let said = format!(
        r#"{{"claims": [{{"criterion": "told"}}, {{"criterion": "noted", "receipt": "{note}"}}]}}"#
    );
    let answer = say(&world, &who, Verb::Complete, &said).unwrap();
    assert!(!flag(&answer, "complete"), "{}", answer.canonical());
}

#[test]
fn a_run_of_which_nothing_comes_is_over_before_anybody_sweeps() {
    let (world, issued) = task(BY_NOTE);
    let who = asker(&world, &issued);
    let id = begin(&world, &who);
    let minutes = |n: i64| world.host.advance(n * 60_000);
    minutes(59);
    say(&world, &who, Verb::Progress, r#"{"iterations": 1}"#).unwrap();
    minutes(59);
    // A call moves the bound too.
    call(&world, Some(&id), (TICKET, "allow", Some("ok")));
    minutes(59);
    assert_eq!(world.authority.abandon_runs(true).unwrap(), 0);
    assert_eq!(listed(&world, &id), RunState::Open);
    minutes(2);
    assert_eq!(listed(&world, &id), RunState::Abandoned);
    assert_eq!(run(&world, &id).state, RunState::Open, "the row waits for its entry");
    assert_eq!(world.authority.open_run(&who.task, world.now()).unwrap(), None);
    assert_eq!(code(say(&world, &who, Verb::Progress, r#"{"iterations": 1}"#)), "run-none-open");
    assert_eq!(world.authority.abandon_runs(false).unwrap(), 1);
    assert_eq!(world.authority.abandon_runs(false).unwrap(), 0);
    assert_eq!(run(&world, &id).state, RunState::Abandoned);
    assert_eq!(world.kinds().last().map(String::as_str), Some("run.abandoned"));
    const { assert!(IDLE_SECONDS == 3_600) };
}

#[test]
fn a_run_ends_with_the_grant_and_with_what_is_revoked() {
    let (world, issued) = task(BY_NOTE);
    let who = asker(&world, &issued);
    let id = begin(&world, &who);
    // Kept busy until its grant ends.
    for _ in 0..5 {
        world.host.advance(47 * 60_000);
        call(&world, Some(&id), (TICKET, "allow", Some("ok")));
    }
    world.host.advance(5 * 60_000);
    assert_eq!(listed(&world, &id), RunState::Abandoned);
    assert_eq!(world.authority.abandon_runs(false).unwrap(), 1);

    let issued = delegated(&world);
    let id = begin(&world, &asker(&world, &issued));
    let target = Target::Grant(issued.grant.clone());
    world.authority.revoke(&target, "mistake", None).unwrap();
    assert_eq!(world.authority.abandon_runs(false).unwrap(), 0);
    assert_eq!(world.authority.abandon_runs(true).unwrap(), 1);
    assert_eq!(run(&world, &id).state, RunState::Abandoned);
}

fn reviewing(verdict: ReviewVerdict) -> Reviewing {
    let words = (verdict != ReviewVerdict::Accepted).then(|| "Review-Canary".to_owned());
    Reviewing { verdict, criteria: None, what: words.clone(), why: words }
}

/// The review of `user:NAME`, who signs with the key of this seed.
fn review(
    world: &World,
    id: &RunId,
    (name, seed): (&str, u8),
    said: &Reviewing,
) -> Result<bool, Refusal> {
    let before = world.authority.reviews_of(id).unwrap();
    let signed = said.sign((id, before), &*key(seed)).unwrap();
    let granter = Granter::Key(principal(name));
    world.authority.run_review(&granter, id, said, Some(&signed))
}

#[test]
fn only_whom_the_workflow_names_reviews_and_the_last_word_counts() {
    let (world, issued) = task(&format!("{BY_WORD}{BY_PERSON}"));
    let who = asker(&world, &issued);
    let id = begin(&world, &who);
    let accepted = reviewing(ReviewVerdict::Accepted);
    let owner = ("user:owner", 10);
    let refused = |said: Result<bool, Refusal>| said.unwrap_err().code();
    assert_eq!(refused(review(&world, &id, owner, &accepted)), "run-not-ended");
    let said = r#"{"claims": [{"criterion": "told"}]}"#;
    assert!(!flag(&say(&world, &who, Verb::Complete, said).unwrap(), "complete"));
    // Its principal sees it, and reviews it only where the workflow says so.
    assert_eq!(refused(review(&world, &id, ("user:142", 11), &accepted)), "run-not-reviewer");
    assert_eq!(refused(review(&world, &id, ("user:143", 12), &accepted)), "unknown-name");
    // As the owner, but with somebody else's key, or over another verdict.
    assert_eq!(refused(review(&world, &id, ("user:owner", 12), &accepted)), "run-review-unsigned");
    let signed = accepted.sign((&id, 0), &*key(10)).unwrap();
    let granter = Granter::Key(principal("user:owner"));
    let rejected = reviewing(ReviewVerdict::Rejected);
    let other = world.authority.run_review(&granter, &id, &rejected, Some(&signed));
    assert_eq!(refused(other), "run-review-unsigned");
    let bare = Reviewing { what: None, why: None, ..rejected.clone() };
    assert_eq!(refused(review(&world, &id, owner, &bare)), "run-review-words");
    let odd = Reviewing { criteria: Some(vec!["nope".to_owned()]), ..rejected.clone() };
    let odd = review(&world, &id, owner, &odd).unwrap_err();
    assert_eq!(odd.code(), "run-criterion-unknown");
    assert!(odd.to_string().contains("no criterion `nope`; it has `told`"), "{odd}");

    assert!(review(&world, &id, owner, &accepted).unwrap());
    assert_eq!(run(&world, &id).complete, Some(true));
    assert!(!review(&world, &id, owner, &rejected).unwrap());
    assert_eq!(run(&world, &id).review, Some(ReviewVerdict::Rejected));
    // What was said before is not said again by whoever kept it.
    let again = world.authority.run_review(&granter, &id, &accepted, Some(&signed));
    assert_eq!(refused(again), "run-review-unsigned");
    assert_eq!(run(&world, &id).review, Some(ReviewVerdict::Rejected));
    assert!(review(&world, &id, owner, &reviewing(ReviewVerdict::Corrected)).unwrap());
    let shown = world.authority.run_read(None, &id).unwrap();
    assert_eq!(shown.reviews.len(), 3, "all are kept");
    assert_eq!(shown.reviews[1].what.as_deref(), Some("Review-Canary"));
    assert_eq!(run(&world, &id).complete, Some(true));
    // What people wrote is not in the leaves.
    let entries: Result<_, StoreError> =
        world.authority.store().read(|view| view.entries_of_run(&id, None, 100));
    for entry in entries.unwrap() {
        assert!(!String::from_utf8(entry.leaf).unwrap().contains("Review-Canary"));
    }
}

#[test]
fn a_rejected_run_is_not_complete_whatever_speaks_for_it() {
    let (world, issued) = task(BY_WORD);
    let who = asker(&world, &issued);
    let id = begin(&world, &who);
    let said = r#"{"claims": [{"criterion": "told"}]}"#;
    assert!(flag(&say(&world, &who, Verb::Complete, said).unwrap(), "complete"));
    let owner = ("user:owner", 10);
    assert!(!review(&world, &id, owner, &reviewing(ReviewVerdict::Rejected)).unwrap());
    assert_eq!(run(&world, &id).complete, Some(false));
    // An abandoned one is not made complete by a kind word.
    let id = begin(&world, &who);
    world.host.advance(61 * 60_000);
    assert_eq!(world.authority.abandon_runs(false).unwrap(), 1);
    assert!(!review(&world, &id, owner, &reviewing(ReviewVerdict::Accepted)).unwrap());
}

#[test]
fn goals_can_be_erased_and_the_tables_are_made_again_from_the_ledger() {
    let (world, issued) = task(&format!("{BY_NOTE}{BY_PERSON}"));
    let who = asker(&world, &issued);
    let id = begin(&world, &who);
    say(&world, &who, Verb::Progress, r#"{"iterations": 3}"#).unwrap();
    let digest = sha256(b"x");
    let note = format!(
        r#"{{"items": [{{"kind": "memory", "sha256": "{digest}", "source": "somewhere"}}]}}"#
    );
    say(&world, &who, Verb::Context, &note).unwrap();
    call(&world, Some(&id), (NOTE, "allow", Some("ok")));
    say(&world, &who, Verb::Complete, r#"{"claims": []}"#).unwrap();
    review(&world, &id, ("user:owner", 10), &reviewing(ReviewVerdict::Accepted)).unwrap();
    let begun = world.authority.run_read(None, &id).unwrap().listed.run.entry.clone();

    let state = |world: &World| {
        let read: Result<_, StoreError> = world.authority.store().read(|view| {
            Ok((
                view.run(&id)?,
                view.run_context(&id, 1)?,
                view.run_evidence(&id)?,
                view.run_reviews(&id)?,
                view.run_calls(&id)?,
            ))
        });
        read.unwrap()
    };
    let before = state(&world);
    let rebuild = |world: &World| {
        let rebuilt: Result<_, StoreError> =
            world.authority.store().write(|tx| tx.rebuild().map(|_| ())).wait();
        rebuilt.unwrap();
    };
    rebuild(&world);
    assert_eq!(state(&world), before);
    let maker = installation().makers[0].id.clone();
    let event = Event {
        id: world.jti().parse().unwrap(),
        org: installation().org,
        time: world.now(),
        kind: Kind::PlaintextErased,
        subjects: Subjects::default(),
        body: Object::new(),
        disclosures: Vec::new(),
    };
    let erased: Result<_, StoreError> = world
        .authority
        .store()
        .write(move |tx| tx.erase(&maker, &*key(2), event, &[begun]).map(|_| ()))
        .wait();
    erased.unwrap();
    assert_eq!(world.authority.run_read(None, &id).unwrap().goal, None);
    rebuild(&world);
    assert_eq!(state(&world), before);
}
