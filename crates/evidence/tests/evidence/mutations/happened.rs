//! What happened is changed: everybody signs it as it then is.

use bailiwick_core::crypto::sha256;
use bailiwick_core::guarantee::{Guarantee, Isolation};
use bailiwick_core::ids::{AgentId, GrantId, OrgId, PrincipalId, TaskId, WorkflowId};
use bailiwick_evidence::Check;

use super::{expect, fails};
use crate::world::{Plan, START, at, instance, object, plan, seed, trust};

#[test]
fn what_really_happened_otherwise_is_found() {
    use Check::*;
    type Edit = fn(&mut Plan);
    let table: &[(&str, Check, Edit)] = &[
        ("the grant is signed by a stranger", Grant, |p| p.grant_seed = seed::STRANGER),
        ("the grant is signed by the agent's owner", Grant, |p| p.grant_seed = seed::OWNER),
        ("the grant is of another principal", Grant, |p| {
            p.statement.principal = PrincipalId::parse("user:143").unwrap();
        }),
        ("the grant's principal has another issuer", Grant, |p| {
            p.statement.principal_issuer = "https://elsewhere".into();
        }),
        ("the grant is of another organisation", Grant, |p| {
            p.statement.org = OrgId::parse("other").unwrap();
        }),
        ("the enrolment is for another authority", Enrolment, |p| {
            p.enrolment = |s| s.audience = "https://elsewhere".into();
        }),
        ("the enrolment names another owner", Enrolment, |p| {
            p.enrolment = |s| s.owner = PrincipalId::parse("user:142").unwrap();
        }),
        ("the root is signed by a stranger", Delegation, |p| p.issuer_seed = seed::STRANGER),
        ("the root is signed by the authority's maker key", Delegation, |p| {
            p.issuer_seed = seed::AUTHORITY;
        }),
        ("the proof is by the parent's key", Delegation, |p| p.prover_seed = seed::RUNNER),
        ("the proof is by a stranger", Delegation, |p| p.prover_seed = seed::STRANGER),
        ("the proof is for other arguments", Delegation, |p| {
            p.proved_arguments = Some(object(r#"{"order":"o-18"}"#));
        }),
        ("the proof is for another gateway", Delegation, |p| {
            p.proof_audience = Some("https://elsewhere/mcp");
        }),
        ("the proof names no gateway", Delegation, |p| p.proof_audience = None),
        ("the leaf had run out", Delegation, |p| p.now = at(600)),
        ("the leaf was not valid yet", Delegation, |p| p.child = |c| c.nbf = Some(START + 61)),
        ("revocations were stale", Delegation, |p| {
            p.standing = |s| s.revocations_as_of = at(49);
        }),
        ("the clock was behind", Delegation, |p| p.standing = |s| s.last_durable = at(61)),
        ("the principal was suspended", Delegation, |p| {
            p.standing = |s| s.principal_active = false;
        }),
        ("an instance was suspended", Delegation, |p| {
            p.standing = |s| s.hops[0].as_mut().unwrap().instance_active = false;
        }),
        ("the retained inputs name another instance", Delegation, |p| {
            p.standing = |s| s.hops[1].as_mut().unwrap().instance = instance(9);
        }),
        ("the retained inputs know a better guarantee", Delegation, |p| {
            p.standing = |s| {
                s.hops[1].as_mut().unwrap().guarantee = Guarantee::Attested;
            };
        }),
        ("the retained inputs know a better isolation", Delegation, |p| {
            p.standing = |s| {
                s.hops[1].as_mut().unwrap().isolation = Isolation::Namespaces;
            };
        }),
        ("the retained inputs lack a hop", Delegation, |p| p.standing = |s| s.hops[1] = None),
        ("the retained inputs have another alias", Delegation, |p| {
            p.standing = |s| s.principal_alias = Some("somebody".into());
        }),
        ("the grant permits fewer tools than the root", Scope, |p| {
            p.statement.tools = object(
                r#"{"mcp:support-desk:tools/get_order":{"order":{"constraint_type":"one_of","values":["o-17","o-18"]}}}"#,
            );
        }),
        ("the grant permits fewer values than the root", Scope, |p| {
            p.statement.tools = object(
                r#"{"mcp:support-desk:tools/get_ticket":{"id":{"constraint_type":"exact","value":8821}},
                    "mcp:support-desk:tools/get_order":{"order":{"constraint_type":"exact","value":"o-17"}}}"#,
            );
        }),
        ("the root may go deeper than the grant", Scope, |p| p.root = |c| c.max_depth = 3),
        ("the root's budget is larger", Scope, |p| {
            p.root = |c| c.budget = object(r#"{"max_calls":11}"#);
        }),
        ("the root lost the budget", Scope, |p| p.root = |c| c.budget = object("{}")),
        ("the root reaches another gateway", Scope, |p| {
            p.root = |c| c.aud.push("https://elsewhere/mcp".into());
        }),
        ("the root outlives the grant", Agreement, |p| p.root = |c| c.exp = START + 901),
        ("the root begins before the grant", Agreement, |p| {
            p.root = |c| c.now = at(-1);
        }),
        ("the root says another purpose", Agreement, |p| {
            p.claims = |a| a.purpose = "something else".into();
        }),
        ("the grant says another purpose than the task", Agreement, |p| {
            p.statement.purpose = "something else".into();
        }),
        ("the root says another task", Agreement, |p| {
            p.claims = |a| a.task = TaskId::mint(at(9), [9; 10]);
        }),
        ("the root says another workflow", Agreement, |p| {
            p.claims = |a| a.workflow = WorkflowId::parse("other").unwrap();
        }),
        ("the root says another workflow version", Agreement, |p| {
            p.claims = |a| a.workflow_digest = sha256(b"other");
        }),
        ("the root says another principal", Agreement, |p| {
            p.claims = |a| a.principal = PrincipalId::parse("user:143").unwrap();
        }),
        ("the root says another grant", Agreement, |p| {
            p.claims = |a| a.grant = GrantId::mint(at(9), [9; 10]);
        }),
        ("the root says another agent than the grant", Agreement, |p| {
            p.statement.agent = AgentId::parse("agent:order-reader").unwrap();
            p.claims = |a| a.agent = AgentId::parse("agent:support-runner").unwrap();
        }),
        ("the call was outside the scope", Decision, |p| {
            p.arguments = object(r#"{"order":"o-18"}"#);
        }),
        ("the tool was not delegated", Decision, |p| {
            p.tool = "mcp:support-desk:tools/refund".into();
        }),
        ("the delegation was revoked", Decision, |p| {
            p.standing = |s| s.revoked = Some("delegation".into());
        }),
        ("the grant had ended", Decision, |p| {
            p.standing = |s| s.grant.as_mut().unwrap().ended = true;
        }),
        ("the grant was not on record", Decision, |p| p.standing = |s| s.grant = None),
        ("a permitted call was denied by scope", Decision, |p| {
            (p.decision, p.reason, p.outcome) = ("deny", Some("argument-not-delegated"), None);
        }),
        ("the denial has an unknown reason", Decision, |p| {
            (p.decision, p.reason, p.outcome) = ("deny", Some("because"), None);
        }),
        ("the decision is none", Decision, |p| p.decision = "maybe"),
        ("an allowed call has a reason to deny", Decision, |p| p.reason = Some("revoked")),
        ("a denied call has an outcome", Outcome, |p| {
            (p.decision, p.reason) = ("deny", Some("policy-denied"));
        }),
        ("the outcome is none that is known", Outcome, |p| p.outcome = Some("fine")),
    ];
    for (name, check, edit) in table {
        let mut plan = plan();
        edit(&mut plan);
        let ledger = plan.story().seal();
        expect(name, *check, fails(&ledger.text(), &trust(), None));
    }
    assert!(table.len() >= 40);
}
