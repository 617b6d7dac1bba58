use bailiwick_core::crypto::sha256;
use bailiwick_core::ids::{AgentId, Alias, GrantId, InstanceId, PrincipalId, TaskId, WorkflowId};
use bailiwick_policy::Workflow;
use bailiwick_policy::checklist::{Review, ReviewWhen, Reviewer};
use bailiwick_store::{ReviewVerdict, RunState};

use super::*;
use crate::people::roles::Role;

const WORKFLOW: &str = include_str!("../../../../../workflows/support-tickets.yaml");

fn alias(n: u8) -> Alias {
    Alias::parse(&format!("018cc251-f400-4000-8000-00000000000{n}")).unwrap()
}

fn run() -> Run {
    let now = Timestamp::from_seconds(1_767_225_600);
    Run {
        id: RunId::mint(now, [1; 10]),
        state: RunState::Claimed,
        task: TaskId::mint(now, [2; 10]),
        attempt: 1,
        workflow: WorkflowId::parse("support-tickets").unwrap(),
        workflow_digest: sha256(b"w"),
        agent: AgentId::parse("agent:runner").unwrap(),
        instance: InstanceId::mint(now, [3; 10]),
        principal: alias(1),
        grant: GrantId::mint(now, [4; 10]),
        root: sha256(b"root"),
        goal: sha256(b"goal"),
        instructed: false,
        started: now,
        deadline: now.plus_seconds(IDLE_SECONDS),
        ended: Some(now),
        complete: Some(true),
        review: None,
        spent: RunSpent::default(),
    }
}

fn workflow(by: Option<&[Reviewer]>) -> Workflow {
    let mut workflow = Workflow::parse(WORKFLOW).unwrap();
    workflow.checklist.review =
        by.map(|by| Review { by: by.iter().cloned().collect(), when: ReviewWhen::Always });
    workflow
}

#[test]
fn who_reviews_is_whom_the_workflow_names() {
    let id = |name: &str| PrincipalId::parse(name).unwrap();
    let (owner, granter, other) =
        ((id("user:owner"), alias(2)), (id("user:142"), alias(1)), (id("user:143"), alias(3)));
    let role = Reviewer::Role("approver".into());
    let named = Reviewer::Named(id("user:143"));
    let may = |by: Option<&[Reviewer]>, (id, alias): &(PrincipalId, Alias), roles: &[Role]| {
        may_review(&workflow(by), &run(), (id, alias), roles)
    };
    let approver = [Role::Approver];
    // Nobody but the owner, where the workflow names nobody.
    assert!(may(None, &owner, &[]));
    assert!(!may(None, &granter, &approver) && !may(None, &other, &[Role::Owner]));
    assert!(may(Some(&[Reviewer::Principal]), &granter, &[]));
    assert!(!may(Some(&[Reviewer::Principal]), &owner, &[]));
    assert!(may(Some(std::slice::from_ref(&named)), &other, &[]));
    assert!(!may(Some(&[named]), &granter, &approver));
    assert!(may(Some(std::slice::from_ref(&role)), &other, &approver));
    assert!(!may(Some(std::slice::from_ref(&role)), &other, &[Role::Auditor]));
    // A role does not reach what its holder granted; being listed does.
    assert!(!may(Some(std::slice::from_ref(&role)), &granter, &approver));
    assert!(may(Some(&[role, Reviewer::Principal]), &granter, &approver));
}

#[test]
fn a_run_counts_as_complete_by_claim_evidence_and_the_last_word() {
    use ReviewVerdict::{Accepted, Corrected, Rejected};
    let claimed = |review, derived| counts(RunState::Claimed, review, derived);
    assert!(claimed(None, true) && claimed(Some(Accepted), true) && claimed(Some(Corrected), true));
    assert!(!claimed(Some(Rejected), true));
    assert!(!claimed(None, false) && !claimed(Some(Accepted), false));
    assert!(!counts(RunState::Abandoned, Some(Accepted), true));
    assert!(!counts(RunState::Open, None, true));
}

#[test]
fn no_run_outlives_its_grant_by_being_busy() {
    let now = Timestamp::from_seconds(1_000);
    assert_eq!(deadline(now, now.plus_seconds(10)), now.plus_seconds(10));
    assert_eq!(deadline(now, now.plus_seconds(100_000)), now.plus_seconds(IDLE_SECONDS));
}

#[test]
fn sums_end_below_their_bound() {
    let sum = RunSpent { cost_micros: MAX_SUM, ..RunSpent::default() };
    let one = RunSpent { cost_micros: 1, ..RunSpent::default() };
    assert_eq!(added(&sum, &RunSpent::default()), Ok(()));
    let error = added(&sum, &one).unwrap_err();
    assert_eq!(error.code(), "run-too-many");
}
