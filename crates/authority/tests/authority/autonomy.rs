//! Autonomy: what is in force, what lowers it by itself, and what it takes to raise
//! it.

use bailiwick_authority::people::roles::Role;
use bailiwick_authority::rules::delegations::Issued;
use bailiwick_authority::rules::requests::Asker;
use bailiwick_authority::rules::runs::Reviewing;
use bailiwick_authority::{Granter, Refusal, Sayer, ShownAutonomy, level_in_force};
use bailiwick_core::approval::Signed;
use bailiwick_core::autonomy::{MAX_RAISE_SECONDS, Raise};
use bailiwick_core::crypto::{Digest, Signer as _};
use bailiwick_core::ids::WorkflowId;
use bailiwick_core::jose::VerifyingKey;
use bailiwick_policy::grades::Level;
use bailiwick_policy::run::{Backed, Claim, Said, Word};
use bailiwick_store::{ReviewVerdict, RunFilter};

use crate::requests::asker;
use crate::support::*;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// The bundled workflow with a checklist whose one criterion an agent can meet by
/// its word, and targets that three of three meet.
fn document(level: &str, more: &str) -> String {
    let (head, _) = WORKFLOW.split_once("# The rest of the checklist").unwrap();
    let head = head.replace("level: bounded", &format!("level: {level}"));
    format!(
        r"{head}
data_sources: {{tool_servers: [support-desk], classes: [ticket, customer, order, policy], context: []}}
completion:
  - {{id: done, says: It is done., by: self_report}}
review: {{by: [owner], when: incomplete}}
rollback:
  - {{id: undo, says: Undo it., how: manual}}
evaluation:
  targets: {{task_success_rate: {{at_least: 0.3}}}}
  window_days: 30
  minimum_runs: 3
  confidence_percent: 95
  error_budget: {{failed_runs: 2, window_hours: 24}}
{more}"
    )
}

fn desk(level: &str) -> World {
    let world = World::desk();
    world.authority.workflow_publish(&document(level, "")).unwrap();
    world
}

fn workflow() -> WorkflowId {
    WorkflowId::parse("support-tickets").unwrap()
}

fn shown(world: &World) -> ShownAutonomy {
    world.authority.autonomy(&workflow()).unwrap()
}

/// What a gateway is told.
fn in_force(world: &World) -> Level {
    let (_, current) = world.authority.workflow(&workflow()).unwrap();
    level_in_force(world.authority.store(), &current).unwrap()
}

fn say(world: &World, asker: &Asker, word: Word) {
    world.authority.run_said(asker, &Said { run: None, word }).unwrap();
}

fn begin(world: &World) -> (Issued, Asker) {
    let issued = world.delegate();
    let asker = asker(world, &issued);
    say(world, &asker, Word::Begin { goal: "answer the ticket".into(), instruction: None });
    (issued, asker)
}

/// A run that is claimed, with or without its criterion.
fn run(world: &World, met: bool) {
    let (_, asker) = begin(world);
    let claim = Claim { criterion: "done".into(), statement: None, by: Backed::Word };
    let claims = if met { vec![claim] } else { Vec::new() };
    say(world, &asker, Word::Complete { claims, summary: None });
    world.host.advance(1_000);
}

/// Approver keys that count, seeds 40 to 43: the owner, an operator, the author with
/// that role too, and somebody without a role.
fn people(world: &World) {
    for (name, seed) in [("user:owner", 40), ("user:142", 41), ("user:143", 42), ("user:144", 43)] {
        if world.authority.principal(&principal(name)).is_err() {
            let jwk = key(seed + 100).public_key().to_jwk();
            world.authority.principal_add(&principal(name), Some(&jwk)).unwrap();
        }
        let public = VerifyingKey::Ed25519(key(seed).public_key());
        world.authority.approver_key_add(&principal(name), &public, "key").unwrap();
    }
    for name in ["user:142", "user:143"] {
        world.authority.role_change(&principal(name), Role::Operator, true).unwrap();
    }
    world.host.advance(DAY);
}

pub(crate) fn asked(world: &World) -> Raise {
    shown(world).raise(world.now().plus_seconds(3_600)).unwrap()
}

pub(crate) fn sign(world: &World, seed: u8, raise: &Raise) -> Result<bool, Refusal> {
    let sayer = Sayer::Key(key(seed).public_key().thumbprint());
    let signed = Signed::Key(raise.sign(&*key(seed)).unwrap());
    world.authority.raise_autonomy(sayer, &workflow(), raise.clone(), signed)
}

/// Lowered by a person, with runs that meet the targets since.
pub(crate) fn lowered_and_good() -> World {
    let world = desk("bounded");
    world.authority.lower_autonomy(None, &workflow(), Level::Manual, "a drill").unwrap();
    people(&world);
    for _ in 0..3 {
        run(&world, true);
    }
    world.host.advance(2 * HOUR);
    world
}

#[test]
fn one_failure_beyond_the_budget_lowers_it_at_once_and_once() {
    let world = desk("bounded");
    assert_eq!(in_force(&world), Level::Bounded);
    run(&world, false);
    run(&world, true);
    run(&world, false);
    assert_eq!(in_force(&world), Level::Bounded);
    run(&world, false);
    assert_eq!(in_force(&world), Level::Supervised);
    let shown = shown(&world);
    assert_eq!(shown.changes.len(), 1);
    assert!(shown.why().contains("error budget"), "{}", shown.why());
    assert_eq!(world.kinds().iter().filter(|kind| *kind == "autonomy.lowered").count(), 1);
    // The same failures count once; as many again lower it again.
    run(&world, false);
    run(&world, false);
    assert_eq!(in_force(&world), Level::Supervised);
    run(&world, false);
    assert_eq!(in_force(&world), Level::Manual);
}

#[test]
fn failures_of_long_ago_do_not_count_and_abandoned_runs_do() {
    let world = desk("bounded");
    run(&world, false);
    run(&world, false);
    world.host.advance(DAY + HOUR);
    run(&world, false);
    assert_eq!(in_force(&world), Level::Bounded);
    // Another begin ends the open one; a third ends the second.
    let (_, asker) = begin(&world);
    say(&world, &asker, Word::Begin { goal: "try again".into(), instruction: None });
    assert_eq!(in_force(&world), Level::Bounded);
    say(&world, &asker, Word::Begin { goal: "and again".into(), instruction: None });
    assert_eq!(in_force(&world), Level::Supervised);
}

#[test]
fn publishing_again_raises_nothing() {
    let world = desk("bounded");
    world.authority.lower_autonomy(None, &workflow(), Level::Manual, "a drill").unwrap();
    let other = document("bounded", "").replace("version: \"1\"", "version: \"2\"");
    assert!(world.authority.workflow_publish(&other).unwrap().changed);
    assert_eq!(in_force(&world), Level::Manual);
}

#[test]
fn it_is_raised_by_the_owner_and_a_second_one_over_the_same_figures() {
    let world = lowered_and_good();
    let raise = asked(&world);
    assert_eq!((raise.from.as_str(), raise.to.as_str()), ("manual", "supervised"));
    assert!(!sign(&world, 40, &raise).unwrap());
    assert_eq!(in_force(&world), Level::Manual);
    assert_eq!(shown(&world).waiting.len(), 1);
    // Whoever looks later is shown the same to sign.
    world.host.advance(10 * 60 * 1_000);
    assert_eq!(asked(&world), raise);
    assert!(sign(&world, 41, &raise).unwrap());
    assert_eq!(in_force(&world), Level::Supervised);
    let shown = shown(&world);
    assert!(shown.waiting.is_empty());
    assert_eq!(shown.changes.first().unwrap().change.cause, "raised");
    assert_eq!(shown.changes.first().unwrap().signers.len(), 2, "both are named");
    assert_eq!(shown.why(), "raised to `supervised`, and not further yet");
    // One level at a time: the same signatures raise it no further.
    assert_eq!(code(sign(&world, 41, &raise)), "autonomy-changed");
}

#[test]
fn any_change_spends_what_was_signed_before_it() {
    let world = lowered_and_good();
    let raise = shown(&world).raise(world.now().plus_seconds(20 * 3_600)).unwrap();
    assert!(!sign(&world, 40, &raise).unwrap());
    assert!(sign(&world, 41, &raise).unwrap());
    // It falls by itself, to where it was when both signed.
    for _ in 0..3 {
        run(&world, false);
    }
    assert_eq!(in_force(&world), Level::Manual);
    for _ in 0..20 {
        run(&world, true);
    }
    assert_eq!(code(sign(&world, 41, &raise)), "autonomy-changed");
    assert_eq!(code(sign(&world, 40, &raise)), "autonomy-changed");
    // Nor does a window count that ends before the last change.
    let old = Raise { changes: raise.changes + 2, ..raise };
    assert_eq!(code(sign(&world, 41, &old)), "autonomy-changed");
    // The next one takes two again.
    world.host.advance(2 * HOUR);
    let next = asked(&world);
    assert!(!sign(&world, 41, &next).unwrap());
    assert_eq!(in_force(&world), Level::Manual);
    let shown = shown(&world);
    assert_eq!(shown.needed(), ["its owner user:owner"]);
    // Lowering does it too.
    assert!(sign(&world, 40, &next).unwrap());
    world.authority.lower_autonomy(None, &workflow(), Level::Manual, "a drill").unwrap();
    assert_eq!(code(sign(&world, 41, &next)), "autonomy-changed");
}

#[test]
fn a_raise_is_judged_up_to_now_whatever_window_is_signed() {
    let world = lowered_and_good();
    let raise = shown(&world).raise(world.now().plus_seconds(12 * 3_600)).unwrap();
    assert!(!sign(&world, 40, &raise).unwrap());
    run(&world, false);
    run(&world, false);
    // The window that was signed has no failure, and the one up to now misses the target.
    assert_eq!(asked(&world), raise);
    assert_eq!(code(sign(&world, 41, &raise)), "autonomy-targets");
    assert!(shown(&world).judged.unmet[0].ends_with("up to now"), "{:?}", shown(&world).judged);
    assert_eq!(in_force(&world), Level::Manual);
}

#[test]
fn nothing_is_raised_while_the_error_budget_is_spent() {
    let world = lowered_and_good();
    for _ in 0..3 {
        run(&world, false);
    }
    for _ in 0..10 {
        run(&world, true);
    }
    world.host.advance(2 * HOUR);
    let refused = sign(&world, 40, &asked(&world));
    assert!(refused.unwrap_err().to_string().contains("error budget is spent"));
    world.host.advance(DAY);
    assert!(!sign(&world, 40, &asked(&world)).unwrap());
}

#[test]
fn one_task_that_is_tried_again_shows_too_little() {
    let world = desk("bounded");
    world.authority.lower_autonomy(None, &workflow(), Level::Manual, "a drill").unwrap();
    people(&world);
    let (_, asker) = begin(&world);
    for attempt in 0..4 {
        if attempt > 0 {
            say(&world, &asker, Word::Begin { goal: "again".into(), instruction: None });
        }
        let claim = Claim { criterion: "done".into(), statement: None, by: Backed::Word };
        say(&world, &asker, Word::Complete { claims: vec![claim], summary: None });
        world.host.advance(1_000);
    }
    world.host.advance(2 * HOUR);
    let refused = sign(&world, 40, &asked(&world));
    assert!(refused.unwrap_err().to_string().contains("of 1 task"));
    run(&world, true);
    world.host.advance(2 * HOUR);
    assert!(!sign(&world, 40, &asked(&world)).unwrap());
}

#[test]
fn a_run_that_nobody_checked_fails_when_patience_has_run_out() {
    for (hours_after, level) in
        [(23, Level::Bounded), (25, Level::Supervised), (27, Level::Bounded)]
    {
        let world = World::desk();
        let text = document("bounded", "")
            .replace("by: self_report", "by: review")
            .replace("failed_runs: 2, window_hours: 24", "failed_runs: 0, window_hours: 2");
        world.authority.workflow_publish(&text).unwrap();
        run(&world, false);
        assert_eq!(in_force(&world), Level::Bounded, "it waits for a person");
        world.host.advance(hours_after * HOUR);
        world.authority.spend_error_budgets().unwrap();
        assert_eq!(in_force(&world), level, "{hours_after}");
        // Once.
        world.host.advance(HOUR);
        world.authority.spend_error_budgets().unwrap();
        if level == Level::Supervised {
            assert_eq!(in_force(&world), level, "{hours_after}");
        }
    }
}

#[test]
fn a_later_version_begins_at_the_level_in_force() {
    let world = desk("manual");
    let changed = shown(&world);
    assert_eq!(changed.changes.first().unwrap().change.cause, "published");
    assert_eq!(in_force(&world), Level::Manual);
    people(&world);
    let second = document("bounded", "").replace("version: \"1\"", "version: \"2\"");
    world.authority.workflow_publish(&second).unwrap();
    assert_eq!(in_force(&world), Level::Manual);
    assert!(shown(&world).why().contains("new version begins"), "{}", shown(&world).why());
    for _ in 0..3 {
        run(&world, true);
    }
    world.host.advance(2 * HOUR);
    let raise = asked(&world);
    assert_eq!((raise.from.as_str(), raise.to.as_str()), ("manual", "supervised"));
    assert!(!sign(&world, 40, &raise).unwrap());
    assert!(sign(&world, 41, &raise).unwrap());
    assert_eq!(in_force(&world), Level::Supervised);
}

#[test]
fn the_level_in_force_binds_what_was_delegated_under_every_version() {
    let world = desk("bounded");
    let (_, first) = world.authority.workflow(&workflow()).unwrap();
    let of_first = || level_in_force(world.authority.store(), &first).unwrap();
    let second = document("bounded", "").replace("version: \"1\"", "version: \"2\"");
    world.authority.workflow_publish(&second).unwrap();
    assert_eq!(of_first(), Level::Bounded);
    // A version that says less lowers earlier ones as well.
    let supervised = document("supervised", "").replace("version: \"1\"", "version: \"3\"");
    world.authority.workflow_publish(&supervised).unwrap();
    assert_eq!((of_first(), in_force(&world)), (Level::Supervised, Level::Supervised));
    // So does a person, and too many failures.
    for _ in 0..3 {
        run(&world, false);
    }
    assert_eq!((of_first(), in_force(&world)), (Level::Manual, Level::Manual));
}

#[test]
fn an_error_budget_counts_until_another_version_was_raised() {
    let world = desk("bounded");
    people(&world);
    let without = document("bounded", "")
        .replace("version: \"1\"", "version: \"2\"")
        .replace("  error_budget: {failed_runs: 2, window_hours: 24}\n", "");
    world.authority.workflow_publish(&without).unwrap();
    for _ in 0..3 {
        run(&world, false);
    }
    assert_eq!(in_force(&world), Level::Supervised);
    for _ in 0..20 {
        run(&world, true);
    }
    world.host.advance(2 * HOUR);
    let raise = asked(&world);
    sign(&world, 40, &raise).unwrap();
    assert!(sign(&world, 41, &raise).unwrap());
    for _ in 0..7 {
        run(&world, false);
    }
    assert_eq!(in_force(&world), Level::Bounded, "its own version has no error budget");
}

#[test]
fn whoever_wrote_a_version_wrote_it_however_often_it_is_published() {
    let world = desk("bounded");
    people(&world);
    let a = &world.authority;
    let one = document("bounded", "").replace("version: \"1\"", "version: \"2\"");
    let two = one.replace("version: \"2\"", "version: \"3\"");
    let (second, other) = (principal("user:142"), principal("user:144"));
    a.workflow_publish_by(&one, Some(&second)).unwrap();
    a.workflow_publish_by(&two, Some(&other)).unwrap();
    a.workflow_publish_by(&one, Some(&other)).unwrap();
    a.lower_autonomy(None, &workflow(), Level::Supervised, "a drill").unwrap();
    for _ in 0..3 {
        run(&world, true);
    }
    world.host.advance(2 * HOUR);
    let raise = asked(&world);
    assert_eq!(code(sign(&world, 41, &raise)), "autonomy-signer");
    assert!(!sign(&world, 42, &raise).unwrap());
    let authors: Vec<usize> =
        a.workflow_history(&workflow()).unwrap().iter().map(|p| p.authors.len()).collect();
    assert_eq!(authors, [1, 1, 1, 0, 0]);
}

#[test]
fn a_key_that_nobody_enrolled_is_no_signature_of_a_raise() {
    let world = lowered_and_good();
    assert_eq!(code(sign(&world, 77, &asked(&world))), "autonomy-signer");
}

#[test]
fn a_workflow_of_another_name_with_the_same_agents_and_tools_is_noticed() {
    let world = desk("bounded");
    let other = document("bounded", "").replace("workflow: support-tickets", "workflow: again");
    let other = bailiwick_policy::Workflow::parse(&other).unwrap();
    assert!(world.authority.lowered_alike(&other).unwrap().is_empty());
    world.authority.lower_autonomy(None, &workflow(), Level::Manual, "a drill").unwrap();
    let alike = world.authority.lowered_alike(&other).unwrap();
    assert_eq!(alike, [(workflow(), Level::Manual)]);
}

#[test]
fn two_signatures_of_the_same_part_raise_nothing() {
    let world = lowered_and_good();
    let raise = asked(&world);
    assert!(!sign(&world, 41, &raise).unwrap());
    assert!(!sign(&world, 42, &raise).unwrap());
    assert!(!sign(&world, 41, &raise).unwrap());
    assert_eq!(in_force(&world), Level::Manual);
    assert!(sign(&world, 40, &raise).unwrap());
}

#[test]
fn who_wrote_the_version_is_not_the_second_one() {
    let world = desk("bounded");
    let other = document("bounded", "").replace("version: \"1\"", "version: \"2\"");
    people(&world);
    let author = principal("user:143");
    world.authority.workflow_publish_by(&other, Some(&author)).unwrap();
    world.authority.lower_autonomy(None, &workflow(), Level::Supervised, "a drill").unwrap();
    for _ in 0..3 {
        run(&world, true);
    }
    world.host.advance(2 * HOUR);
    let raise = asked(&world);
    assert_eq!(code(sign(&world, 42, &raise)), "autonomy-signer");
    assert_eq!(code(sign(&world, 43, &raise)), "autonomy-signer");
    assert!(!sign(&world, 41, &raise).unwrap());
    // A role that was taken away meanwhile counts no more.
    world.authority.role_change(&principal("user:142"), Role::Operator, false).unwrap();
    assert!(!sign(&world, 40, &raise).unwrap());
    assert_eq!(in_force(&world), Level::Supervised);
}

#[test]
fn figures_that_miss_the_targets_are_not_signed() {
    let world = desk("bounded");
    world.authority.lower_autonomy(None, &workflow(), Level::Manual, "a drill").unwrap();
    people(&world);
    run(&world, true);
    run(&world, true);
    world.host.advance(2 * HOUR);
    // Two of two are too few.
    let raise = asked(&world);
    assert_eq!(code(sign(&world, 40, &raise)), "autonomy-targets");
    run(&world, true);
    world.host.advance(2 * HOUR);
    assert!(!sign(&world, 40, &asked(&world)).unwrap());
}

#[test]
fn other_figures_another_version_and_other_times_are_refused() {
    let world = lowered_and_good();
    let raise = asked(&world);
    let digest = Digest::from_array([7; 32]);
    for (bad, code_of) in [
        (Raise { figures: digest, ..raise.clone() }, "autonomy-other-figures"),
        (Raise { version: digest, ..raise.clone() }, "autonomy-other-figures"),
        (Raise { to: "bounded".into(), ..raise.clone() }, "autonomy-one-level"),
        (Raise { from: "supervised".into(), ..raise.clone() }, "autonomy-one-level"),
        (Raise { expires: world.now(), ..raise.clone() }, "autonomy-time"),
        (
            Raise { expires: world.now().plus_seconds(MAX_RAISE_SECONDS + 1), ..raise.clone() },
            "autonomy-time",
        ),
    ] {
        assert_eq!(code(sign(&world, 40, &bad)), code_of, "{bad:?}");
    }
    // A signature over something else.
    let other = Raise { figures: digest, ..raise.clone() };
    let sayer = Sayer::Key(key(40).public_key().thumbprint());
    let signed = Signed::Key(other.sign(&*key(40)).unwrap());
    let refused = world.authority.raise_autonomy(sayer, &workflow(), raise.clone(), signed);
    assert_eq!(code(refused), "approval-other-question");
    assert!(!sign(&world, 40, &raise).unwrap());
}

#[test]
fn a_run_judged_otherwise_meanwhile_makes_the_first_signature_void() {
    let world = lowered_and_good();
    let raise = shown(&world).raise(world.now().plus_seconds(12 * 3_600)).unwrap();
    assert!(!sign(&world, 40, &raise).unwrap());
    world.host.advance(HOUR);
    run(&world, false);
    world.host.advance(2 * HOUR);
    // What ended after the window that was signed changes nothing in it.
    assert_eq!(asked(&world), raise);
    // What people say of a run in it does.
    let filter = RunFilter { limit: 10, ..RunFilter::default() };
    let runs = world.authority.store().read(|view| view.runs(&filter)).unwrap();
    let judged = runs.last().unwrap();
    let owner = world.authority.principal(&principal("user:owner")).unwrap().row.alias;
    let reviewing = Reviewing {
        verdict: ReviewVerdict::Rejected,
        what: Some("the answer".to_owned()),
        why: Some("it is wrong".to_owned()),
        criteria: None,
    };
    let granter = Granter::Person(owner);
    world.authority.run_review(&granter, &judged.id, &reviewing, None).unwrap();
    assert_eq!(code(sign(&world, 41, &raise)), "autonomy-other-figures");
    assert!(shown(&world).waiting.is_empty());
    assert_eq!(in_force(&world), Level::Manual);
}

#[test]
fn an_incomplete_checklist_is_manual_and_is_not_raised() {
    let world = World::desk();
    let (head, _) = WORKFLOW.split_once("# The rest of the checklist").unwrap();
    world.authority.workflow_publish(head).unwrap();
    assert_eq!(in_force(&world), Level::Manual);
    let shown = shown(&world);
    assert_eq!(shown.next.clone().unwrap_err().code(), "autonomy-checklist");
    assert!(shown.raise(world.now()).is_none());
    assert!(shown.why().contains("checklist"), "{}", shown.why());
    assert!(!shown.missing.is_empty());
}

#[test]
fn lowering_needs_a_reason_and_a_lower_level() {
    let world = desk("supervised");
    let a = &world.authority;
    let lower = |to, reason: &str| code(a.lower_autonomy(None, &workflow(), to, reason));
    assert_eq!(lower(Level::Supervised, "why"), "autonomy-not-lower");
    assert_eq!(lower(Level::Bounded, "why"), "autonomy-not-lower");
    assert_eq!(lower(Level::Manual, " "), "autonomy-reason");
    assert!(a.lower_autonomy(None, &workflow(), Level::Manual, "why").is_ok());
}
