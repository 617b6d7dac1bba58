//! Failures: found once, counted, classified and resolved by whoever may.

use std::collections::BTreeMap;

use bailiwick_authority::host::Moment;
use bailiwick_authority::people::roles::Role;
use bailiwick_authority::people::sessions::{Method, Session};
use bailiwick_authority::rules::delegations::Issued;
use bailiwick_authority::rules::failures::{self, Classifying, How, MAX_OF_TASK, Resolving};
use bailiwick_authority::{Classification, Kept, Refusal, Resolution, SignedIn};
use bailiwick_core::crypto::sha256;
use bailiwick_core::ids::{ActionId, Alias, EntryId, FailureId, RunId};
use bailiwick_core::json::Object;
use bailiwick_core::ledger::{Event, Kind, Subjects};
use bailiwick_policy::Policies;
use bailiwick_policy::bundle::{Answer, Bundle};
use bailiwick_policy::call::Call;
use bailiwick_policy::cases::{case_name, written};
use bailiwick_store::{
    Failure, FailureClass, FailureFilter, FailureKind, FailureState, Regression, ReviewVerdict,
    Row, Run, RunReview, RunSpent, RunState, StoreError,
};

use crate::golden::Golden;
use crate::support::*;

fn random(n: u64) -> [u8; 10] {
    let mut out = [0; 10];
    out[2..].copy_from_slice(&n.to_be_bytes());
    out
}

/// An event as its maker writes it.
fn tell(world: &World, n: u64, kind: Kind, subjects: Subjects, row: Option<Row>) -> EntryId {
    let event = Event {
        id: EntryId::mint(world.now(), random(n)),
        org: installation().org,
        time: world.now(),
        kind,
        subjects,
        body: Object::new(),
        disclosures: Vec::new(),
    };
    let (id, maker) = (event.id.clone(), installation().makers[0].id.clone());
    let done = world.authority.store().write(move |tx| -> Result<(), StoreError> {
        match &row {
            Some(row) => tx.record(&maker, &*key(2), event, row).map(drop),
            None => tx.append(&maker, &*key(2), event).map(drop),
        }
    });
    done.wait().unwrap();
    id
}

fn denied(world: &World, n: u64, task: &str, tool: &str, reason: &str) -> EntryId {
    let subjects = Subjects {
        workflow: Some("support-tickets".into()),
        agent: Some("agent:runner".into()),
        task: Some(task.into()),
        tool: Some(tool.into()),
        action: Some(ActionId::mint(world.now(), random(n)).to_string()),
        decision: Some("deny".into()),
        reason: Some(reason.into()),
        ..Subjects::default()
    };
    tell(world, n, Kind::ActionDecided, subjects, None)
}

fn look(world: &World) {
    while world.authority.failures_look().unwrap() {}
}

fn all(world: &World) -> Vec<bailiwick_authority::ListedFailure> {
    let filter = FailureFilter { limit: 100, ..FailureFilter::default() };
    world.authority.failures(None, &filter).unwrap().failures
}

const TOOL: &str = "mcp:support-desk:tools/refund_order";

fn desk() -> (World, Issued) {
    let world = World::desk();
    let issued = world.delegate();
    (world, issued)
}

fn person(world: &World, name: &str, roles: &[Role]) -> SignedIn {
    let found = world.authority.principal(&principal(name)).unwrap();
    SignedIn {
        id: principal(name),
        roles: roles.to_vec(),
        session: Session::begin(found.alias.clone(), Method::Passkey, world.now()),
        principal: found.row,
    }
}

#[test]
fn equal_failures_are_one_that_is_counted_exactly_once_each() {
    let (world, issued) = desk();
    let task = issued.task.to_string();
    for n in 0..3 {
        denied(&world, n, &task, TOOL, "argument-not-delegated");
    }
    denied(&world, 3, &task, TOOL, "budget-spent");
    look(&world);
    let found = all(&world);
    let told = |what: FailureKind| found.iter().find(|f| f.failure.what == what).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(told(FailureKind::BlockedCall).seen.unwrap().times, 3);
    assert_eq!(told(FailureKind::BlockedCall).failure.suggested, FailureClass::PermissionModel);
    assert_eq!(told(FailureKind::BudgetEnd).seen.unwrap().times, 1);
    let size = world.log_size();
    // Nothing is found twice, by whoever looks again.
    look(&world);
    look(&world);
    assert_eq!(world.log_size(), size);
    let again = all(&world);
    assert_eq!(again.iter().map(|f| f.seen.unwrap().times).sum::<u64>(), 4);
    denied(&world, 4, &task, TOOL, "argument-not-delegated");
    look(&world);
    assert_eq!(all(&world).iter().map(|f| f.seen.unwrap().times).sum::<u64>(), 5);
    assert_eq!(world.log_size(), size + 1);
    // A row of the ledger: made again from it alone.
    let before: Vec<_> = all(&world).into_iter().map(|f| f.failure).collect();
    world.authority.store().write(|tx| tx.rebuild()).wait().unwrap();
    assert_eq!(all(&world).into_iter().map(|f| f.failure).collect::<Vec<_>>(), before);
}

#[test]
fn one_that_was_resolved_and_comes_again_is_another_that_says_so() {
    let (world, issued) = desk();
    let task = issued.task.to_string();
    denied(&world, 0, &task, TOOL, "tool-not-delegated");
    look(&world);
    let first = all(&world).remove(0).failure.row.id;
    let dismissed = Resolution {
        why: Some("a drill".into()),
        regression: Kept::Dismissed,
        ..Resolution::default()
    };
    world.authority.failure_resolve(None, &first, dismissed.clone()).unwrap();
    let twice = world.authority.failure_resolve(None, &first, dismissed);
    assert_eq!(code(twice), "failure-settled");
    world.host.advance(1_000);
    denied(&world, 1, &task, TOOL, "tool-not-delegated");
    look(&world);
    let found = all(&world);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].failure.again.as_ref(), Some(&first));
    assert_eq!(found[1].failure.state, FailureState::Resolved);
    let shown = world.authority.failure_read(None, &first).unwrap();
    assert_eq!(shown.why.as_deref(), Some("a drill"));
}

/// An agent that tries everything fills no board.
#[test]
fn a_task_that_fails_in_very_many_ways_is_folded() {
    let (world, issued) = desk();
    let task = issued.task.to_string();
    for n in 0..60 {
        let tool = format!("mcp:support-desk:tools/tool_{n}");
        denied(&world, n, &task, &tool, "tool-not-delegated");
    }
    look(&world);
    let found = all(&world);
    assert_eq!(u64::try_from(found.len()).unwrap(), MAX_OF_TASK + 1);
    let more = found.iter().find(|f| f.failure.reason == "many").unwrap();
    assert_eq!(more.seen.unwrap().times, 60 - MAX_OF_TASK);
    assert_eq!(found.iter().map(|f| f.seen.unwrap().times).sum::<u64>(), 60);
}

fn run_of(world: &World, issued: &Issued, n: u8) -> RunId {
    let id = RunId::mint(world.now(), [n; 10]);
    let run = Run {
        id: id.clone(),
        state: RunState::Open,
        task: issued.task.clone(),
        attempt: u32::from(n),
        workflow: "support-tickets".parse().unwrap(),
        workflow_digest: sha256(b"version"),
        agent: issued.agent.clone(),
        instance: issued.instance.clone(),
        principal: Alias::mint(world.now(), [9; 10]),
        grant: issued.grant.clone(),
        root: issued.root,
        goal: sha256(b"goal"),
        instructed: false,
        started: world.now(),
        deadline: world.now().plus_seconds(600),
        ended: None,
        complete: None,
        review: None,
        spent: RunSpent::default(),
    };
    tell(world, 900 + u64::from(n), Kind::RunStarted, subjects(&id), Some(Row::Run(Box::new(run))));
    id
}

fn subjects(run: &RunId) -> Subjects {
    Subjects { run: Some(run.to_string()), ..Subjects::default() }
}

#[test]
fn a_run_that_is_complete_later_resolves_what_was_unmet() {
    let (world, issued) = desk();
    let run = run_of(&world, &issued, 1);
    let ended = |complete| Row::RunEnded {
        run: run.clone(),
        state: RunState::Claimed,
        complete,
        pending: false,
        evidence: Vec::new(),
    };
    tell(&world, 1, Kind::RunClaimed, subjects(&run), Some(ended(false)));
    look(&world);
    let unmet = all(&world).remove(0).failure;
    assert_eq!((unmet.what, unmet.state), (FailureKind::UnmetCriterion, FailureState::Detected));
    assert_eq!((unmet.run.as_ref(), unmet.task.as_ref()), (Some(&run), Some(&issued.task)));
    let review = |verdict| Row::RunReviewed {
        review: RunReview {
            run: run.clone(),
            n: 1,
            verdict,
            reviewer: Alias::mint(world.now(), [8; 10]),
            made: world.now(),
        },
        complete: true,
        evidence: Vec::new(),
    };
    let accepted = review(ReviewVerdict::Accepted);
    let source = tell(&world, 2, Kind::RunReviewed, subjects(&run), Some(accepted));
    look(&world);
    let met = all(&world).remove(0).failure;
    assert_eq!((met.state, met.regression), (FailureState::Resolved, Some(Regression::MetLater)));
    assert_ne!(met.source, source);
    assert!(world.kinds().contains(&"failure.resolved".to_owned()));
    let found = world.authority.store().read(|v| v.failures_of_run(&run)).unwrap();
    assert_eq!(found.len(), 1);
}

#[test]
fn only_who_may_sees_and_tends_failures() {
    let (world, issued) = desk();
    let a = &world.authority;
    denied(&world, 0, &issued.task.to_string(), TOOL, "tool-not-delegated");
    look(&world);
    let id = all(&world).remove(0).failure.row.id;
    let class = || Classification {
        class: FailureClass::PermissionModel,
        owner: None,
        note: Some("out of scope".into()),
    };
    let filter = FailureFilter { limit: 10, ..FailureFilter::default() };
    let seen = |who: &SignedIn| a.failures(Some(who), &filter).unwrap().failures.len();
    for (roles, sees, tends) in [
        (vec![], false, false),
        (vec![Role::Approver], false, false),
        (vec![Role::Auditor], true, false),
        (vec![Role::Developer], true, true),
        (vec![Role::Operator], true, true),
    ] {
        // Somebody else, who was never an auditor.
        let name = if roles.contains(&Role::Developer) { "user:143" } else { "user:142" };
        let who = person(&world, name, &roles);
        assert_eq!(seen(&who) == 1, sees, "{roles:?}");
        assert_eq!(a.failure_read(Some(&who), &id).is_ok(), sees, "{roles:?}");
        assert_eq!(a.failure_trends(Some(&who), 7).is_ok(), sees, "{roles:?}");
        let said = a.failure_classify(Some(&who), &id, class());
        assert_eq!(said.is_ok(), tends, "{roles:?} {said:?}");
        let case = a.failure_case(Some(&who), &id, Answer::Deny);
        // A case has the call's texts: whoever may not read the call does not read them here.
        let reads = tends && !roles.contains(&Role::Developer);
        assert_eq!(code(case), if reads { "failure-no-decision" } else { "role-missing" });
        let none = Resolution { why: None, ..Resolution::default() };
        let done = a.failure_resolve(Some(&who), &id, none);
        assert_eq!(code(done), if tends { "failure-reason-missing" } else { "role-missing" });
    }
    // Nobody is given the id of what they may not see.
    let first = FailureFilter { limit: 1, ..FailureFilter::default() };
    let page = a.failures(Some(&person(&world, "user:142", &[])), &first).unwrap();
    assert!(page.failures.is_empty() && page.next.is_none());
    // Whoever answers for the workflow, without any role.
    let owner = person(&world, "user:owner", &[]);
    assert_eq!(seen(&owner), 1);
    a.failure_classify(Some(&owner), &id, class()).unwrap();
    let shown = a.failure_read(Some(&owner), &id).unwrap();
    assert_eq!(shown.note.as_deref(), Some("out of scope"));
    assert_eq!(shown.classifier, Some(principal("user:owner")));
    assert_eq!(shown.listed.owner, Some(principal("user:owner")));
}

fn failure(world: &World) -> Failure {
    let now = world.now();
    let reason = "policy-denied";
    Failure {
        id: FailureId::mint(now, [1; 10]),
        state: FailureState::Detected,
        what: FailureKind::BlockedCall,
        fold: "blocked_call|t|x|policy-denied".into(),
        workflow: Some("tickets".parse().unwrap()),
        version: Some(sha256(b"version").to_string()),
        agent: Some(agent("agent:runner")),
        task: Some(bailiwick_core::ids::TaskId::mint(now, [2; 10])),
        run: Some(RunId::mint(now, [3; 10])),
        action: Some(ActionId::mint(now, [4; 10])),
        tool: Some("mcp:desk:tools/get_ticket".parse().unwrap()),
        reason: reason.into(),
        suggested: failures::suggest(FailureKind::BlockedCall, reason).class,
        class: None,
        classifier: None,
        owner: None,
        regression: None,
        cases: None,
        held_before: None,
        again: None,
        source: EntryId::mint(now, [5; 10]),
        detected: now,
        classified: None,
        resolved: None,
    }
}

fn call() -> Call {
    Call::parse(
        "agent: agent:runner\ntool: mcp:desk:tools/get_ticket\nrisk: low\neffect: read\narguments: {ticket_id: 7}",
    )
    .unwrap()
}

fn policies(effect: &str) -> Policies {
    let text = format!("@id(\"all\") @reason(\"r\") {effect} (principal, action, resource);");
    Policies::enforcing(Bundle::parse([("a.cedar".to_owned(), text)]).unwrap())
}

/// The rule that keeps what was learned from widening anything by itself.
#[test]
fn a_case_is_there_as_recorded_holds_and_widens_only_with_a_second_person() {
    let world = World::bare();
    let (moment, installation) = (Moment::of(&*world.host), installation());
    let alias = |n: u8| Alias::parse(&format!("018cc251-f400-4000-8000-00000000000{n}")).unwrap();
    let (one, two) = (alias(1), alias(2));
    let mut failed = failure(&world);
    let call = call();
    let (forbids, permits) = (policies("forbid"), policies("permit"));
    let file =
        |expect, call: &Call| format!("cases:\n{}", written(&case_name(&failed.id), call, expect));
    let (deny, allow) = (file(Answer::Deny, &call), file(Answer::Allow, &call));
    let mut other = call.clone();
    other.arguments.insert("ticket_id", 8u64);
    let another = file(Answer::Deny, &other);
    let resolve = |failed: &Failure, by, cases: &str, recorded, policies| {
        let how = How::Case { cases, recorded, policies };
        let said = Resolving { by, link: None, why: None, how };
        failures::resolve(&moment, &installation, failed, &said)
            .map(|plan| plan.steps[0].row.clone())
    };
    let recorded = Some((&call, Answer::Deny));
    let early = resolve(&failed, Some(&one), &deny, recorded, &forbids);
    assert_eq!(code(early), "failure-unclassified");
    failed.state = FailureState::Classified;
    failed.classifier = Some(one.clone());
    for (cases, recorded, policies, refused) in [
        ("", recorded, &forbids, "failure-cases-missing"),
        ("cases: []", recorded, &forbids, "failure-cases-malformed"),
        (another.as_str(), recorded, &forbids, "failure-case-missing"),
        (deny.as_str(), None, &forbids, "failure-no-decision"),
        (deny.as_str(), recorded, &permits, "failure-case-fails"),
        (allow.as_str(), recorded, &forbids, "failure-case-fails"),
        (allow.as_str(), recorded, &permits, "failure-widens-alone"),
    ] {
        let found = resolve(&failed, Some(&one), cases, recorded, policies);
        assert_eq!(code(found), refused);
    }
    // Nobody in particular, on the data dir, is no second person.
    let nobody = resolve(&failed, None, &allow, recorded, &permits);
    assert_eq!(code(nobody), "failure-widens-alone");
    failed.classifier = None;
    for by in [None, Some(&two)] {
        assert_eq!(code(resolve(&failed, by, &allow, recorded, &permits)), "failure-widens-alone");
    }
    failed.classifier = Some(one.clone());
    let kept = [(&one, &deny, &forbids, true), (&two, &allow, &permits, false)];
    for (by, cases, policies, held_before) in kept {
        let row = resolve(&failed, Some(by), cases, recorded, policies).unwrap();
        let Some(Row::FailureResolved(resolved)) = row else { panic!("{row:?}") };
        assert_eq!(resolved.regression, Regression::Case);
        assert_eq!(resolved.cases, Some(sha256(cases.as_bytes())));
        assert_eq!(resolved.held_before, Some(held_before));
    }
    // From allow to deny is narrower: one person does.
    let narrower = Some((&call, Answer::Allow));
    resolve(&failed, Some(&one), &deny, narrower, &forbids).unwrap();
}

#[test]
fn notes_have_a_bound() {
    let world = World::bare();
    let (moment, installation) = (Moment::of(&*world.host), installation());
    let owner = Alias::mint(world.now(), [1; 10]);
    let long = "x".repeat(1_001);
    let said =
        Classifying { class: FailureClass::Prompt, by: None, owner: &owner, note: Some(&long) };
    let refused = failures::classify(&moment, &installation, &failure(&world), &said);
    assert!(matches!(refused.map(drop), Err(Refusal::NoteTooLong { .. })));
}

/// One of each of the kinds, as the rules write them.
pub(crate) fn entries() -> BTreeMap<String, Golden> {
    let world = World::bare();
    let (moment, installation) = (Moment::of(&*world.host), installation());
    let alias = |n: u8| Alias::parse(&format!("018cc251-f400-4000-8000-00000000000{n}")).unwrap();
    let mut failed = failure(&world);
    let mut steps = vec![failures::detected(&moment, &installation, &failed).unwrap()];
    let (by, owner) = (alias(1), alias(2));
    let said = Classifying {
        class: FailureClass::ToolContract,
        by: Some(&by),
        owner: &owner,
        note: Some("it says nothing of cents"),
    };
    steps.extend(failures::classify(&moment, &installation, &failed, &said).unwrap().steps);
    failed.state = FailureState::Classified;
    failed.classifier = Some(by.clone());
    let call = call();
    let cases = format!("cases:\n{}", written(&case_name(&failed.id), &call, Answer::Deny));
    let policies = policies("forbid");
    let how =
        How::Case { cases: &cases, recorded: Some((&call, Answer::Deny)), policies: &policies };
    let link = Some("https://git.example.com/desk/pull/12");
    let said = Resolving { by: Some(&by), link, why: Some("the schema says so now"), how };
    steps.extend(failures::resolve(&moment, &installation, &failed, &said).unwrap().steps);
    let maker = installation.makers[0].id.clone();
    let mut found = BTreeMap::new();
    for mut step in steps {
        // As the store writes it: a row of ids and codes stands in the leaf.
        if let Some(row) = &step.row {
            let text = serde_json::to_vec(row).unwrap();
            step.event.body.insert("row", json(std::str::from_utf8(&text).unwrap()));
        }
        let kind = step.event.kind.as_str().to_owned();
        found.insert(kind, Golden::seal(&step.event, &maker, &key(2)));
    }
    found
}

#[test]
fn the_authority_writes_the_golden_entries_of_failures() {
    let found = entries();
    assert_eq!(found.len(), 3);
    for (name, written) in found {
        crate::golden::check(&name, &written);
    }
}
