//! Texts that are erased go; entries, proofs and everybody else's texts stay.

use std::collections::BTreeSet;

use crate::console::{peers, runs};
use crate::handoffs::Desk;
use crate::requests::{asker, granted, issued, wanted};
use crate::support::*;

use bailiwick_authority::rules::runs::Reviewing;
use bailiwick_authority::{Classification, Erased, Erasure, Granter, Kept, Resolution, Target};
use bailiwick_core::ids::EntryId;
use bailiwick_core::stop::StopTarget;
use bailiwick_policy::grades::Level;
use bailiwick_store::{
    FailureClass, FailureFilter, ReviewVerdict, Status, StoreError, StoredEntry,
};

fn entries(world: &World) -> Vec<StoredEntry> {
    let read: Result<_, StoreError> = world.authority.store().read(|view| view.tail(0, 1000));
    read.unwrap()
}

fn texts(world: &World, entry: &EntryId) -> Option<usize> {
    let read: Result<_, StoreError> =
        world.authority.store().read(|view| view.read_plaintext(entry));
    read.unwrap().map(|texts| texts.len())
}

#[test]
fn a_principal_that_may_still_grant_keeps_its_texts() {
    let world = World::desk();
    world.delegate();
    let before = entries(&world);
    let all = Erasure::Principal(principal("user:142"));
    assert_eq!(code(world.authority.erase(&all)), "still-active");
    let nobody = Erasure::Principal(principal("user:nobody"));
    assert_eq!(code(world.authority.erase(&nobody)), "unknown-name");
    assert_eq!(entries(&world), before);
}

#[test]
fn everything_about_a_principal_goes_with_its_name_and_nobody_elses() {
    let world = World::desk();
    world.delegate();
    let a = &world.authority;
    let alias = a.principal(&principal("user:142")).unwrap().row.alias;
    let before = entries(&world);
    a.principal_status(&principal("user:142"), Status::Suspended).unwrap();
    let erased = a.erase(&Erasure::Principal(principal("user:142"))).unwrap();
    // Registered, task, grant, delegation: each has texts.
    assert_eq!(erased, Erased { entries: 4 });
    for entry in &before {
        let about = entry.subjects.principal.as_deref() == Some(alias.as_str());
        let kept = texts(&world, &entry.id);
        assert!(!about || kept.is_none(), "{}", entry.kind);
    }
    let others = before.iter().filter(|e| e.kind == "principal.added");
    assert_eq!(others.filter(|e| texts(&world, &e.id).is_some()).count(), 2);
    // The name is gone from the registry; the entries are as they were.
    assert_eq!(code(a.principal(&principal("user:142"))), "unknown-name");
    let after = entries(&world);
    assert_eq!(after[..before.len()], before[..]);
    let said = after.iter().filter(|e| e.kind == "plaintext.erased").count();
    assert_eq!(said, 2, "the history, then the name");
}

#[test]
fn one_entry_is_erased_once() {
    let world = World::desk();
    world.delegate();
    let task = entries(&world).into_iter().find(|e| e.kind == "task.created").unwrap();
    let one = Erasure::Entry(task.id.clone());
    assert_eq!(world.authority.erase(&one), Ok(Erased { entries: 1 }));
    assert_eq!(texts(&world, &task.id), None);
    let size = world.log_size();
    assert_eq!(world.authority.erase(&one), Ok(Erased { entries: 0 }));
    assert_eq!(world.log_size(), size);
    let unknown = Erasure::Entry(EntryId::mint(world.now(), [9; 10]));
    assert_eq!(code(world.authority.erase(&unknown)), "unknown-name");
}

/// Erases the texts of one entry after the other; the state is what the entries make of
/// it each time, and is made again from them. Gives the kinds of which there were texts.
fn erased_one_by_one(world: &World) -> BTreeSet<String> {
    assert_eq!(world.findings(), Vec::<String>::new(), "before");
    let all = entries(world);
    let mut kinds = BTreeSet::new();
    for entry in all.into_iter().filter(|entry| texts(world, &entry.id).is_some()) {
        world.authority.erase(&Erasure::Entry(entry.id.clone())).unwrap();
        let kind = entry.kind;
        assert_eq!(world.findings(), Vec::<String>::new(), "erased: {kind} {}", entry.id);
        let rebuilt = world.authority.store().write(|tx| tx.rebuild()).wait();
        rebuilt.unwrap_or_else(|e: StoreError| panic!("{kind}: {e}"));
        assert_eq!(world.findings(), Vec::<String>::new(), "made again: {kind} {}", entry.id);
        kinds.insert(kind);
    }
    kinds
}

#[test]
fn whatever_texts_are_erased_the_state_is_what_the_entries_make_of_it() {
    let desk = Desk::new();
    let (world, a) = (&desk.world, &desk.world.authority);
    peers::played(&desk);
    peers::turned_down(&desk);
    // A run with a goal, context and a claim, reviewed in words.
    let (_, run) = runs::played(world);
    let owner = Granter::Person(a.principal(&principal("user:owner")).unwrap().row.alias);
    let reviewing = Reviewing {
        verdict: ReviewVerdict::Corrected,
        criteria: None,
        what: Some("the note".into()),
        why: Some("it was another ticket".into()),
    };
    a.run_review(&owner, &run, &reviewing, None).unwrap();
    // Failures with notes, one of them resolved in words.
    while a.failures_look().unwrap() {}
    let filter = FailureFilter { limit: 10, ..FailureFilter::default() };
    for found in a.failures(None, &filter).unwrap().failures {
        let said = Classification {
            class: FailureClass::ToolContract,
            owner: Some(principal("user:142")),
            note: Some("it is the schema".into()),
        };
        let id = &found.failure.row.id;
        a.failure_classify(None, id, said).unwrap();
        let why = Some("tried on purpose".to_owned());
        let said = Resolution { link: None, why, regression: Kept::default() };
        let _ = a.failure_resolve(None, id, said);
    }
    // Requests that were granted, refused and left.
    let root = issued(world, 60);
    let ask = |scope: &str| a.request_authority(&asker(world, &root), &wanted(&[scope])).unwrap();
    granted(world, &ask("orders:read").request);
    let principal_of = Granter::Person(asker(world, &root).principal);
    a.request_refuse(&principal_of, &ask("ticket:9").request, None, Some("not that one")).unwrap();
    ask("ticket:10");
    // What was stopped, lowered and taken back, with reasons.
    let workflow = bailiwick_core::ids::WorkflowId::parse("support-tickets").unwrap();
    a.lower_autonomy(None, &workflow, Level::Manual, "it guesses").unwrap();
    a.stop(&StopTarget::Agent(agent("agent:order-reader")), "it reports nonsense").unwrap();
    let gone = Target::Agent(agent("agent:order-reader"));
    a.revoke(&gone, "compromised", Some("its host was broken into")).unwrap();

    let kinds = erased_one_by_one(world);
    for kind in [
        "authority.refused",
        "authority.requested",
        "autonomy.lowered",
        "delegation.issued",
        "failure.classified",
        "grant.recorded",
        "handoff.accepted",
        "handoff.offered",
        "handoff.rejected",
        "peer.handshake",
        "principal.added",
        "revoked",
        "run.context",
        "run.reviewed",
        "run.started",
        "stopped",
        "task.created",
        "workflow.published",
    ] {
        assert!(kinds.contains(kind), "{kind} is not among {kinds:?}");
    }
}

#[test]
fn signatures_that_raise_a_level_are_erased_and_the_level_stays() {
    let world = crate::autonomy::lowered_and_good();
    let raise = crate::autonomy::asked(&world);
    assert!(!crate::autonomy::sign(&world, 40, &raise).unwrap());
    assert!(crate::autonomy::sign(&world, 41, &raise).unwrap());
    let kinds = erased_one_by_one(&world);
    assert!(kinds.contains("autonomy.signed") && kinds.contains("autonomy.raised"), "{kinds:?}");
    let workflow = bailiwick_core::ids::WorkflowId::parse("support-tickets").unwrap();
    let last = world.authority.store().read(|view| view.autonomy(&workflow)).unwrap().unwrap();
    assert_eq!(last.row.level, "supervised");
}
