use crate::support::*;

use bailiwick_authority::rules::delegations::{Options, Prepared};
use bailiwick_authority::{PrepareOptions, Refusal, Target};
use bailiwick_core::aat::make::Seen;
use bailiwick_core::accountable::{Authority, BUDGET};
use bailiwick_core::crypto::Signer;
use bailiwick_core::ids::{InstanceId, TaskId, WorkflowId};
use bailiwick_core::json::Object;
use bailiwick_core::limits::ChainLimits;
use bailiwick_store::Status;

const SCOPE: [&str; 2] = ["ticket:8821", "orders:read"];

fn sign(prepared: &Prepared, seed: u8) -> String {
    prepared.statement.sign(&*key(seed))
}

fn with(options: Options) -> PrepareOptions {
    PrepareOptions { options, ..PrepareOptions::default() }
}

#[test]
fn a_signed_grant_becomes_a_root_that_a_gateway_accepts() {
    let world = World::desk();
    let issued = world.delegate();
    let verified = world.call(&[&issued.token], 21).unwrap();
    let facts = verified.facts();
    assert!(facts.grant_signed);
    assert_eq!(facts.authority.task, issued.task);
    assert_eq!(facts.authority.grant_digest, issued.grant_digest);
    assert_eq!(facts.authority.principal, principal("user:142"));
    let entries = world.kinds();
    // The grant is in the ledger before the root is signed.
    assert_eq!(
        entries[entries.len() - 3..],
        ["task.created", "grant.recorded", "delegation.issued"]
    );
    let seen = Seen::parse(&issued.token, &ChainLimits::DEFAULT).unwrap();
    let claims = Authority::from_claims(&seen.claims).unwrap();
    assert_eq!(claims.purpose, "resolve support ticket");
    assert_eq!(seen.claims.member("aud").unwrap().as_str(), Some("http://localhost:4000/mcp"));
    // The workflow's ceiling is in the budget although nobody asked for one.
    assert_eq!(seen.budget.member("max_calls").unwrap(), &500u64.into());
    assert!(seen.claims.member(BUDGET).is_some());
    assert_eq!(world.authority.root(&issued.root).unwrap(), issued.token);
    assert_eq!(world.authority.delegations(&issued.grant).unwrap().len(), 1);
}

#[test]
fn nobody_grants_without_the_principals_own_signature() {
    let world = World::desk();
    let before = world.log_size();
    let prepared = world.prepare(&world.request(&SCOPE, 15)).unwrap();
    // The administrator's own keys (issuer, authority, gateway), the owner,
    // another principal, the agent's own key.
    for seed in [1, 2, 3, 10, 12, 21] {
        let outcome = world.authority.submit(&prepared, &sign(&prepared, seed), None);
        assert_eq!(code(outcome), "grant-signature-invalid", "key {seed}");
    }
    for nothing in ["", "x", "e30.e30.e30"] {
        let code = code(world.authority.submit(&prepared, nothing, None));
        assert!(code == "grant-malformed" || code.starts_with("jws-"), "{nothing}: {code}");
    }
    assert_eq!(world.log_size(), before);
}

#[test]
fn a_signature_over_another_grant_is_no_consent_to_this_one() {
    let world = World::desk();
    let one = world.prepare(&world.request(&SCOPE, 15)).unwrap();
    let other = world.prepare(&world.request(&["ticket:1"], 15)).unwrap();
    let outcome = world.authority.submit(&one, &sign(&other, 11), None);
    assert_eq!(code(outcome), "grant-other-statement");
}

#[test]
fn what_was_prepared_cannot_be_changed_even_by_the_principal() {
    let world = World::desk();
    let prepared = world.prepare(&world.request(&["ticket:8821"], 15)).unwrap();
    let wider = world.prepare(&world.request(&SCOPE, 15)).unwrap();
    let edits: [&dyn Fn(&mut Prepared); 5] = [
        &|p| p.statement.tools = wider.statement.tools.clone(),
        &|p| p.statement.not_after += 60,
        &|p| p.statement.task = TaskId::mint(world.now(), [9; 10]),
        &|p| p.statement.audience.push("https://elsewhere.test/mcp".into()),
        &|p| p.seal = wider.seal.clone(),
    ];
    for edit in edits {
        let mut edited = prepared.clone();
        edit(&mut edited);
        let outcome = world.authority.submit(&edited, &sign(&edited, 11), None);
        assert_eq!(code(outcome), "grant-not-prepared");
    }
    // A task is never minted by the caller, not even with a seal of its own.
    let mut edited = prepared.clone();
    edited.statement.task = TaskId::mint(world.now(), [9; 10]);
    let forged = Prepared::new(edited.statement, world.now(), &*key(11));
    let outcome = world.authority.submit(&forged, &sign(&forged, 11), None);
    assert_eq!(code(outcome), "grant-not-prepared");
}

#[test]
fn a_seal_does_not_stand_for_the_rules() {
    // Even a statement that the authority itself sealed is held against what
    // the rules make of it now.
    let world = World::desk();
    let wider = world.prepare(&world.request(&SCOPE, 15)).unwrap();
    let narrow = world.prepare(&world.request(&["ticket:8821"], 15)).unwrap();
    type Edit<'a> = (&'a str, &'a dyn Fn(&mut bailiwick_core::grant::Statement));
    let edits: [Edit<'_>; 4] = [
        ("grant-outdated", &|s| s.tools = wider.statement.tools.clone()),
        ("grant-outdated", &|s| s.audience = vec!["https://elsewhere.test".into()]),
        ("depth-too-large", &|s| s.max_depth = 4),
        ("budget-too-large", &|s| s.budget = Object::new()),
    ];
    for (expected, edit) in edits {
        let mut statement = narrow.statement.clone();
        edit(&mut statement);
        let prepared = Prepared::new(statement, world.now(), &*key(2));
        let outcome = world.authority.submit(&prepared, &sign(&prepared, 11), None);
        assert_eq!(code(outcome), expected);
    }
}

#[test]
fn a_workflow_that_changed_in_between_makes_the_grant_outdated() {
    let world = World::desk();
    let prepared = world.prepare(&world.request(&SCOPE, 15)).unwrap();
    world
        .authority
        .workflow_publish(&WORKFLOW.replace("max_calls: 500", "max_calls: 900"))
        .unwrap();
    let outcome = world.authority.submit(&prepared, &sign(&prepared, 11), None);
    let Err(Refusal::StatementChanged { member }) = outcome else { panic!("issued") };
    assert_eq!(member, "workflow");
}

#[test]
fn whoever_became_inactive_in_between_gets_nothing() {
    type Change = fn(&World);
    let changes: [(&str, Change); 6] = [
        ("principal-inactive", |w| {
            w.authority.principal_status(&principal("user:142"), Status::Suspended).unwrap();
        }),
        ("agent-inactive", |w| {
            w.authority.agent_status(&agent("agent:support-runner"), Status::Suspended).unwrap();
        }),
        ("agent-inactive", |w| {
            w.authority.principal_status(&principal("user:owner"), Status::Retired).unwrap();
        }),
        ("instance-missing", |w| {
            let all = w.authority.instances(Some(&agent("agent:support-runner"))).unwrap();
            w.authority.instance_retire(&all[0].id).unwrap();
        }),
        ("instance-missing", |w| {
            let all = w.authority.instances(Some(&agent("agent:support-runner"))).unwrap();
            w.authority.revoke(&Target::Instance(all[0].id.clone()), "lost", None).unwrap();
        }),
        ("revoked", |w| {
            let target = Target::Agent(agent("agent:support-runner"));
            w.authority.revoke(&target, "lost", None).unwrap();
        }),
    ];
    for (expected, change) in changes {
        let world = World::desk();
        let prepared = world.prepare(&world.request(&SCOPE, 15)).unwrap();
        change(&world);
        let before = world.log_size();
        let outcome = world.authority.submit(&prepared, &sign(&prepared, 11), None);
        assert_eq!(code(outcome), expected);
        assert_eq!(world.log_size(), before, "{expected}");
    }
}

#[test]
fn a_grant_is_submitted_once() {
    let world = World::desk();
    let prepared = world.prepare(&world.request(&SCOPE, 15)).unwrap();
    let signed = sign(&prepared, 11);
    world.authority.submit(&prepared, &signed, None).unwrap();
    assert_eq!(code(world.authority.submit(&prepared, &signed, None)), "grant-used");
}

#[test]
fn a_prepared_grant_holds_for_fifteen_minutes() {
    let world = World::desk();
    let prepared = world.prepare(&world.request(&SCOPE, 60)).unwrap();
    world.host.advance(15 * 60_000 + 1);
    let late = world.authority.submit(&prepared, &sign(&prepared, 11), None);
    assert_eq!(code(late), "grant-not-prepared");
    world.host.advance(-1);
    assert!(world.authority.submit(&prepared, &sign(&prepared, 11), None).is_ok());
}

#[test]
fn the_window_ends_in_the_future_and_within_the_workflows_hour() {
    let world = World::desk();
    let at = |seconds: i64| {
        let request = world.request(&SCOPE, 0);
        let expires_at = world.now().plus_seconds(seconds);
        world.prepare(&bailiwick_core::grant::Request { expires_at, ..request })
    };
    assert_eq!(code(at(-1)), "window-invalid");
    assert_eq!(code(at(0)), "window-invalid");
    assert!(at(1).is_ok());
    assert!(at(3600).is_ok());
    assert_eq!(code(at(3601)), "window-too-long");
    // A later begin moves the hour, but not into the past.
    let starts = |seconds: i64| {
        let options =
            Options { starts: Some(world.now().plus_seconds(seconds)), ..Options::default() };
        let request = world.request(&SCOPE, 70);
        world.authority.prepare(&request, &with(options))
    };
    assert!(starts(600).is_ok());
    assert_eq!(code(starts(599)), "window-too-long");
    assert_eq!(code(starts(-1)), "window-invalid");
    assert_eq!(code(starts(4200)), "window-invalid");
}

#[test]
fn a_window_that_passed_before_submission_issues_nothing() {
    let world = World::desk();
    let prepared = world.prepare(&world.request(&SCOPE, 1)).unwrap();
    world.host.advance(60_000);
    let outcome = world.authority.submit(&prepared, &sign(&prepared, 11), None);
    assert_eq!(code(outcome), "window-invalid");
}

#[test]
fn a_root_holds_from_its_begin_to_its_end_and_not_a_moment_longer() {
    let world = World::desk();
    let options = Options { starts: Some(world.now().plus_seconds(60)), ..Options::default() };
    let prepared = world.authority.prepare(&world.request(&SCOPE, 15), &with(options)).unwrap();
    let issued = world.authority.submit(&prepared, &sign(&prepared, 11), None).unwrap();
    let chain = [issued.token.as_str()];
    assert_eq!(world.verdict(&chain, 21), "token-not-yet-valid");
    world.host.advance(60_000);
    assert_eq!(world.verdict(&chain, 21), "allow");
    world.host.advance(14 * 60_000 - 1);
    assert_eq!(world.verdict(&chain, 21), "allow");
    world.host.advance(1);
    assert_eq!(world.verdict(&chain, 21), "token-expired");
}

#[test]
fn depth_and_budget_stay_within_the_workflow() {
    let world = World::desk();
    let prepare = |max_depth: Option<u64>, budget: &str| {
        let budget = json(budget).as_object().unwrap().clone();
        let options = Options { max_depth, budget, ..Options::default() };
        world.authority.prepare(&world.request(&SCOPE, 15), &with(options))
    };
    assert_eq!(code(prepare(Some(4), "{}")), "depth-too-large");
    assert_eq!(prepare(Some(0), "{}").unwrap().statement.max_depth, 0);
    assert_eq!(prepare(None, "{}").unwrap().statement.max_depth, 3);
    assert_eq!(code(prepare(None, r#"{"max_calls":501}"#)), "budget-too-large");
    for odd in [
        r#"{"max_calls":-1}"#,
        r#"{"max_calls":1.5}"#,
        r#"{"max_call":1}"#,
        r#"{"max_calls/get_order":1}"#,
        r#"{"sum/mcp:d:tools/x":"1"}"#,
        r#"{"per/0/max_calls":1}"#,
        r#"{"per/01/max_calls":1}"#,
        r#"{"per/31536001/max_calls":1}"#,
        r#"{"per/99999999999999999999/max_calls":1}"#,
        r#"{"per/60/max_calls/get_order":1}"#,
        r#"{"per/60/max_calls":1.5}"#,
        r#"{"per/60/per/60/max_calls":1}"#,
    ] {
        assert_eq!(code(prepare(None, odd)), "budget-invalid", "{odd}");
    }
    let sum = r#"{"max_calls":5,"sum/mcp:support-desk:tools/refund_order/amount_cents":100}"#;
    assert_eq!(prepare(None, sum).unwrap().statement.budget.len(), 2);
    let window = r#"{"per/3600/max_calls":20,"per/60/max_calls/mcp:support-desk:tools/x":1}"#;
    let budget = prepare(None, window).unwrap().statement.budget;
    assert_eq!((budget.len(), budget.member("max_calls")), (3, Some(&500u64.into())));
}

#[test]
fn the_workflow_is_the_only_one_that_lists_the_agent_and_knows_the_scope() {
    let world = World::desk();
    let a = &world.authority;
    let mut request = world.request(&["ticket:8821", "refunds:all"], 15);
    assert_eq!(code(world.prepare(&request)), "scope-shorthand-unknown");
    // An agent that there is not is no matter of workflows.
    request.agent = agent("agent:unlisted");
    assert_eq!(code(world.prepare(&request)), "unknown-name");
    a.agent_add(&request.agent, &principal("user:owner"), Default::default()).unwrap();
    assert_eq!(code(world.prepare(&request)), "no-workflow");
    a.workflow_publish(&WORKFLOW.replace("workflow: support-tickets", "workflow: second")).unwrap();
    let Err(Refusal::WorkflowAmbiguous { workflows }) = world.prepare(&world.request(&SCOPE, 15))
    else {
        panic!("chosen")
    };
    assert_eq!(workflows.len(), 2);
    let mut named = world.request(&SCOPE, 15);
    named.workflow = Some(WorkflowId::parse("second").unwrap());
    assert_eq!(world.prepare(&named).unwrap().statement.workflow, named.workflow.unwrap());
    let mut unknown = world.request(&SCOPE, 15);
    unknown.workflow = Some(WorkflowId::parse("third").unwrap());
    assert_eq!(code(world.prepare(&unknown)), "unknown-name");
    // Nobody grants for somebody who is not registered.
    named = world.request(&SCOPE, 15);
    named.workflow = Some(WorkflowId::parse("second").unwrap());
    named.principal = principal("user:0");
    assert_eq!(code(world.prepare(&named)), "unknown-name");
}

#[test]
fn with_several_instances_one_has_to_be_named() {
    let world = World::desk();
    let second = world.enrol("agent:support-runner", 23).unwrap();
    let reader = world.authority.instances(Some(&agent("agent:order-reader"))).unwrap();
    let submit = |instance: Option<&InstanceId>| {
        let prepared = world.prepare(&world.request(&SCOPE, 15)).unwrap();
        world.authority.submit(&prepared, &sign(&prepared, 11), instance)
    };
    let refused = submit(None).unwrap_err();
    assert_eq!(refused.code(), "instance-ambiguous");
    assert!(refused.remedy().contains(second.id.as_str()));
    assert_eq!(code(submit(Some(&reader[0].id))), "instance-unsuitable");
    let issued = submit(Some(&second.id)).unwrap();
    assert_eq!(world.verdict(&[&issued.token], 23), "allow");
}

#[test]
fn a_grant_is_for_one_task_of_one_principal_agent_and_workflow() {
    let world = World::desk();
    let a = &world.authority;
    let workflow = WorkflowId::parse("support-tickets").unwrap();
    let runner = agent("agent:support-runner");
    let new = |who: &str, agent_name: &str| {
        let purpose = "resolve support ticket";
        a.task_new(&principal(who), &agent(agent_name), &workflow, purpose).unwrap().id
    };
    let for_task = |task: &TaskId, purpose: &str| {
        let mut request = world.request(&SCOPE, 15);
        request.purpose = purpose.into();
        let options = PrepareOptions { task: Some(task.clone()), ..PrepareOptions::default() };
        a.prepare(&request, &options)
    };
    let (mine, theirs) = (new("user:142", runner.as_str()), new("user:143", runner.as_str()));
    assert_eq!(code(for_task(&theirs, "resolve support ticket")), "task-mismatch");
    assert_eq!(
        code(for_task(&new("user:142", "agent:order-reader"), "resolve support ticket")),
        "task-mismatch"
    );
    assert_eq!(code(for_task(&mine, "something else")), "task-mismatch");
    let none = TaskId::mint(world.now(), [7; 10]);
    assert_eq!(code(for_task(&none, "resolve support ticket")), "unknown-name");
    let prepared = for_task(&mine, "resolve support ticket").unwrap();
    let issued = a.submit(&prepared, &sign(&prepared, 11), None).unwrap();
    assert_eq!(issued.task, mine);
    // A statement that names another principal's task does not pass either.
    let mut statement = prepared.statement.clone();
    statement.task = theirs;
    statement.id = bailiwick_core::ids::GrantId::mint(world.now(), [8; 10]);
    let forged = Prepared::new(statement, world.now(), &*key(2));
    assert_eq!(code(a.submit(&forged, &sign(&forged, 11), None)), "task-mismatch");
}

#[test]
fn a_key_that_nobody_enrolled_is_denied_at_every_hop() {
    let world = World::desk();
    let issued = world.delegate();
    let child = world.derive(&issued.token, 21, 22);
    assert_eq!(world.verdict(&[&issued.token, &child], 22), "allow");
    let stranger = world.derive(&issued.token, 21, 77);
    assert_eq!(world.verdict(&[&issued.token, &stranger], 77), "key-not-enrolled");
    let below = world.derive(&stranger, 77, 22);
    assert_eq!(world.verdict(&[&issued.token, &stranger, &below], 22), "key-not-enrolled");
}

#[test]
fn a_root_that_is_not_on_record_is_denied_although_the_issuer_signed_it() {
    // What somebody with the issuer's key alone could make.
    let world = World::desk();
    let issued = world.delegate();
    let seen = Seen::parse(&issued.token, &ChainLimits::DEFAULT).unwrap();
    let authority = Authority::from_claims(&seen.claims).unwrap();
    let content = bailiwick_core::aat::make::Content {
        jti: world.jti(),
        now: world.now(),
        exp: seen.exp,
        nbf: None,
        holder: key(22).public_key(),
        scope: seen.scope,
        max_depth: 3,
        aud: issued.audience.clone(),
        budget: Object::new(),
    };
    let claims = Authority { agent: agent("agent:order-reader"), ..authority }.to_claims();
    let forged =
        bailiwick_core::aat::make::issue(URL, &content, &claims, &*key(1), &ChainLimits::DEFAULT);
    let denied = world.verdict(&[&forged.unwrap()], 22);
    assert_eq!(denied, "principal-inactive");
}

#[test]
fn a_grant_outlives_its_roots_and_another_is_issued_while_it_stands() {
    let world = World::desk();
    let issued = world.delegate();
    let again = world.authority.reissue(&issued.grant, None).unwrap();
    assert_ne!(again.root, issued.root);
    assert_eq!(
        (again.grant.clone(), again.grant_digest),
        (issued.grant.clone(), issued.grant_digest)
    );
    assert_eq!(world.verdict(&[&again.token], 21), "allow");
    let unknown = bailiwick_core::ids::GrantId::mint(world.now(), [7; 10]);
    assert_eq!(code(world.authority.reissue(&unknown, None)), "unknown-name");
    world.authority.revoke(&Target::Grant(issued.grant.clone()), "finished", None).unwrap();
    assert_eq!(code(world.authority.reissue(&issued.grant, None)), "revoked");
    let other = world.delegate();
    world.host.advance(15 * 60_000);
    assert_eq!(code(world.authority.reissue(&other.grant, None)), "window-invalid");
}

#[test]
fn a_root_lives_no_longer_than_the_installation_says_although_the_grant_does() {
    let world = World::desk();
    let short = bailiwick_authority::Installation { max_root_seconds: 60, ..installation() };
    let a = &world.authority;
    let a =
        bailiwick_authority::Authority::new(a.store().clone(), world.host.clone(), short, keys());
    let a = a.unwrap();
    let prepared = a.prepare(&world.request(&SCOPE, 15), &PrepareOptions::default()).unwrap();
    let issued = a.submit(&prepared, &sign(&prepared, 11), None).unwrap();
    assert_eq!(issued.not_after, world.now().plus_seconds(60));
    world.host.advance(60_000);
    assert_eq!(world.verdict(&[&issued.token], 21), "token-expired");
    let again = a.reissue(&issued.grant, None).unwrap();
    assert_eq!(world.verdict(&[&again.token], 21), "allow");
    // Near its end the grant is the bound.
    world.host.advance(14 * 60_000 - 5_000);
    let last = a.reissue(&issued.grant, None).unwrap();
    assert_eq!(last.not_after, world.now().plus_seconds(5));
}

#[test]
fn prepared_grants_read_back_and_reject_what_they_do_not_know() {
    let world = World::desk();
    let prepared = world.prepare(&world.request(&SCOPE, 15)).unwrap();
    assert_eq!(Prepared::from_json(&prepared.to_json()), Ok(prepared.clone()));
    let more = prepared.to_json().as_object().unwrap().clone().with("x", 1u64);
    assert!(Prepared::from_json(&more.into()).is_err());
}

#[test]
fn a_root_that_says_something_else_than_its_record_has_no_grant() {
    use bailiwick_authority::standing::{Revoked, read};
    use bailiwick_core::accountable::Question;
    use bailiwick_core::crypto::sha256;
    use bailiwick_core::ids::GrantId;

    let world = World::desk();
    let issued = world.delegate();
    let verified = world.call(&[&issued.token], 21).unwrap();
    let recorded = verified.facts().authority.clone();
    let holder = key(21).public_key().thumbprint();
    let standing = |authority: &Authority, holder| {
        let question = Question { authority, tokens: vec![issued.root], holders: vec![holder] };
        let source = Revoked::Direct(world.now());
        let read = world
            .authority
            .store()
            .read(|view| read(view, URL, &question, source, &world.authority.ceilings()));
        let standing: Result<_, bailiwick_store::StoreError> = read;
        let standing = standing.unwrap();
        (standing.principal_active, standing.grant.is_some())
    };
    assert_eq!(standing(&recorded, holder), (true, true));
    let edits: [fn(&mut Authority); 5] = [
        |a| a.agent = agent("agent:order-reader"),
        |a| a.task = TaskId::parse("00000000-0000-7000-8000-000000000000").unwrap(),
        |a| a.workflow = WorkflowId::parse("other").unwrap(),
        |a| a.workflow_digest = sha256(b"other"),
        |a| a.grant = GrantId::parse("00000000-0000-7000-8000-000000000000").unwrap(),
    ];
    for (n, edit) in edits.iter().enumerate() {
        let mut other = recorded.clone();
        edit(&mut other);
        assert_eq!(standing(&other, holder), (false, false), "edit {n}");
    }
    let reader = key(22).public_key().thumbprint();
    assert_eq!(standing(&recorded, reader), (false, false));
    let other = Authority { principal: principal("user:143"), ..recorded };
    assert_eq!(standing(&other, holder), (false, true));
}
