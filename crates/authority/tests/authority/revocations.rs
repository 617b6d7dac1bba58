use crate::support::*;

use std::sync::Arc;

use bailiwick_authority::follower::RevocationFollower;
use bailiwick_authority::rules::delegations::Issued;
use bailiwick_authority::rules::revocations::Statement;
use bailiwick_authority::{DelegationRef, PrepareOptions, Target};
use bailiwick_core::aat::jws::Compact;
use bailiwick_core::crypto::{Digest, Signer};
use bailiwick_core::grant::Request;
use bailiwick_core::ids::{ServerName, WorkflowId};
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Status, Subject};

fn hash(token: &str) -> Digest {
    Compact::parse(token).unwrap().hash()
}

fn tokens(chain: &[&str]) -> Target {
    let tokens = chain.iter().map(|t| (*t).to_owned()).collect();
    Target::Delegation(DelegationRef::Tokens(tokens))
}

fn root(issued: &Issued) -> Target {
    Target::Delegation(DelegationRef::Hash(issued.root))
}

#[test]
fn revoking_anything_above_denies_every_chain_that_rests_on_it() {
    let workflow = || Target::Workflow(WorkflowId::parse("support-tickets").unwrap());
    type Choose = Box<dyn Fn(&World, &Issued) -> Target>;
    let cases: Vec<(&str, Choose)> = vec![
        ("revoked", Box::new(|_, i| root(i))),
        ("revoked", Box::new(|_, i| tokens(&[&i.token]))),
        ("grant-not-standing", Box::new(|_, i| Target::Grant(i.grant.clone()))),
        ("revoked", Box::new(|_, i| Target::Task(i.task.clone()))),
        ("revoked", Box::new(|_, _| Target::Agent(agent("agent:support-runner")))),
        ("revoked", Box::new(|_, i| Target::Instance(i.instance.clone()))),
        ("revoked", Box::new(|_, _| Target::Principal(principal("user:142")))),
        ("revoked", Box::new(move |_, _| workflow())),
        (
            "revoked",
            Box::new(|_, i| Target::HolderKey {
                holder: key(21).public_key().thumbprint(),
                root: i.root,
            }),
        ),
        // The owner of the agents: nobody owns them any more.
        ("agent-inactive", Box::new(|_, _| Target::Principal(principal("user:owner")))),
    ];
    for (n, (expected, choose)) in cases.into_iter().enumerate() {
        let world = World::desk();
        let issued = world.delegate();
        let child = world.derive(&issued.token, 21, 22);
        let (short, long) = ([issued.token.as_str()], [issued.token.as_str(), child.as_str()]);
        assert_eq!((world.verdict(&short, 21), world.verdict(&long, 22)), ("allow", "allow"));
        let taken = world.authority.revoke(&choose(&world, &issued), "finished", None).unwrap();
        assert!(taken.changed);
        assert_eq!(taken.subjects.len(), 1, "case {n}");
        assert_eq!(
            (world.verdict(&short, 21), world.verdict(&long, 22)),
            (expected, expected),
            "case {n}"
        );
        assert_eq!(world.kinds().last().unwrap(), "revoked");
    }
}

#[test]
fn a_revoked_child_cannot_be_derived_again_under_another_name() {
    let world = World::desk();
    let issued = world.delegate();
    let child = world.derive(&issued.token, 21, 22);
    let target = tokens(&[&issued.token, &child]);
    let taken = world.authority.revoke(&target, "finished", None).unwrap();
    assert_eq!(taken.subjects.len(), 2);
    let holder = key(22).public_key().thumbprint();
    assert_eq!(taken.subjects[1].0, Subject::HolderKey { holder, root: issued.root });
    let again = world.derive(&issued.token, 21, 22);
    assert_ne!(hash(&again), hash(&child));
    assert_eq!(world.verdict(&[&issued.token, &child], 22), "revoked");
    assert_eq!(world.verdict(&[&issued.token, &again], 22), "revoked");
    let below = world.derive(&child, 22, 22);
    assert_eq!(world.verdict(&[&issued.token, &child, &below], 22), "revoked");
    // The parent goes on, and the key under another root too.
    assert_eq!(world.verdict(&[&issued.token], 21), "allow");
    let other = world.delegate();
    let elsewhere = world.derive(&other.token, 21, 22);
    assert_eq!(world.verdict(&[&other.token, &elsewhere], 22), "allow");
}

#[test]
fn revoking_a_child_of_ones_own_key_does_not_end_the_parent() {
    let world = World::desk();
    let issued = world.delegate();
    let own = world.derive(&issued.token, 21, 21);
    let taken = world.authority.revoke(&tokens(&[&issued.token, &own]), "finished", None).unwrap();
    assert_eq!(taken.subjects.len(), 1);
    assert_eq!(world.verdict(&[&issued.token, &own], 21), "revoked");
    assert_eq!(world.verdict(&[&issued.token], 21), "allow");
}

#[test]
fn a_token_alone_is_enough_when_its_parent_is_on_record() {
    let world = World::desk();
    let issued = world.delegate();
    let child = world.derive(&issued.token, 21, 22);
    let grandchild = world.derive(&child, 22, 21);
    let a = &world.authority;
    assert_eq!(code(a.revoke(&tokens(&[&grandchild]), "finished", None)), "chain-incomplete");
    let spliced = tokens(&[&issued.token, &grandchild]);
    assert_eq!(code(a.revoke(&spliced, "finished", None)), "chain-incomplete");
    assert_eq!(code(a.revoke(&tokens(&[]), "finished", None)), "chain-incomplete");
    assert_eq!(code(a.revoke(&tokens(&["x"]), "finished", None)), "presentation-malformed");
    let by_hash = Target::Delegation(DelegationRef::Hash(hash(&child)));
    assert_eq!(code(a.revoke(&by_hash, "finished", None)), "unknown-name");
    assert_eq!(a.revoke(&tokens(&[&child]), "finished", None).unwrap().subjects.len(), 2);
}

#[test]
fn taking_back_twice_writes_once() {
    let world = World::desk();
    let issued = world.delegate();
    let first = world.authority.revoke(&root(&issued), "finished", None).unwrap();
    let size = world.log_size();
    let second = world.authority.revoke(&root(&issued), "compromised", None).unwrap();
    assert!(!second.changed);
    assert_eq!(second.subjects, first.subjects);
    assert_eq!(world.log_size(), size);
}

#[test]
fn a_reason_is_a_code_and_details_are_only_committed_to() {
    let world = World::desk();
    let issued = world.delegate();
    for bad in ["", "Because", "a b", "x\n", &"a".repeat(65)] {
        assert_eq!(code(world.authority.revoke(&root(&issued), bad, None)), "reason-malformed");
    }
    world.authority.revoke(&root(&issued), "key-compromised", Some("laptop of Ann")).unwrap();
    let last = world.log_size() - 1;
    let entry = world.authority.store().read(|v| v.entry(last));
    let entry = entry.map_err(|e: bailiwick_store::StoreError| e).unwrap().unwrap();
    assert_eq!(entry.subjects.reason.as_deref(), Some("key-compromised"));
    assert_eq!(entry.subjects.grant.as_deref(), Some(issued.grant.as_str()));
    assert!(!String::from_utf8(entry.leaf).unwrap().contains("Ann"));
}

#[test]
fn what_does_not_exist_is_not_revoked() {
    let world = World::desk();
    let a = &world.authority;
    for target in [
        Target::Agent(agent("agent:x")),
        Target::Principal(principal("user:0")),
        Target::ToolServer(ServerName::parse("x").unwrap()),
        Target::Workflow(WorkflowId::parse("x").unwrap()),
        Target::Delegation(DelegationRef::Hash(Digest::from_array([1; 32]))),
    ] {
        assert_eq!(code(a.revoke(&target, "finished", None)), "unknown-name");
    }
}

fn signed(world: &World, target: &Target, who: &str, seed: u8) -> String {
    signed_with(world, target, who, seed, &|_| {})
}

fn signed_with(
    world: &World,
    target: &Target,
    who: &str,
    seed: u8,
    change: &dyn Fn(&mut Statement),
) -> String {
    let mut statement = Statement {
        audience: URL.into(),
        principal: principal(who),
        subject: world.authority.revocation_subject(target).unwrap(),
        reason: "finished".into(),
        made_at: world.now(),
    };
    change(&mut statement);
    statement.sign(&*key(seed)).unwrap()
}

#[test]
fn a_principal_takes_back_its_own_by_its_own_signature() {
    let world = World::desk();
    let issued = world.delegate();
    let target = root(&issued);
    let statement = signed(&world, &target, "user:142", 11);
    assert!(world.authority.revoke_signed(&target, &statement, None).unwrap().changed);
    assert_eq!(world.verdict(&[&issued.token], 21), "revoked");
    // A suspended principal may still take back: that only shrinks.
    let issued = world.delegate();
    world.authority.principal_status(&principal("user:142"), Status::Suspended).unwrap();
    let target = Target::Grant(issued.grant);
    let statement = signed(&world, &target, "user:142", 11);
    assert!(world.authority.revoke_signed(&target, &statement, None).unwrap().changed);
    // An owner may stop its agent.
    let target = Target::Agent(agent("agent:support-runner"));
    let statement = signed(&world, &target, "user:owner", 10);
    assert!(world.authority.revoke_signed(&target, &statement, None).unwrap().changed);
}

#[test]
fn nobody_takes_back_what_is_not_theirs() {
    let world = World::desk();
    let issued = world.delegate();
    let a = &world.authority;
    let workflow = Target::Workflow(WorkflowId::parse("support-tickets").unwrap());
    for target in [
        root(&issued),
        Target::Grant(issued.grant.clone()),
        Target::Task(issued.task.clone()),
        Target::Agent(issued.agent.clone()),
        Target::Principal(principal("user:142")),
        workflow,
    ] {
        let statement = signed(&world, &target, "user:143", 12);
        assert_eq!(code(a.revoke_signed(&target, &statement, None)), "not-yours");
    }
    let target = root(&issued);
    let other = Target::Grant(issued.grant.clone());
    let refused = |statement: String| {
        let outcome = a.revoke_signed(&target, &statement, None);
        assert_eq!(code(outcome), "revocation-statement-invalid");
    };
    refused(signed(&world, &target, "user:142", 12));
    refused(signed(&world, &target, "user:0", 11));
    refused(signed(&world, &other, "user:142", 11));
    let ten = 600_001;
    let at = |ms: i64| Timestamp::from_millis(world.now().millis() + ms);
    refused(signed_with(&world, &target, "user:142", 11, &|s| s.made_at = at(ten)));
    refused(signed_with(&world, &target, "user:142", 11, &|s| s.made_at = at(-ten)));
    refused(signed_with(&world, &target, "user:142", 11, &|s| s.audience = "http://x".into()));
    refused("x.y.z".into());
    assert_eq!(world.verdict(&[&issued.token], 21), "allow");
}

#[test]
fn the_follower_sees_what_was_revoked_and_goes_stale_when_nobody_polls() {
    let world = World::desk();
    let issued = world.delegate();
    let follower = Arc::new(RevocationFollower::start(Arc::new(world.authority.feed())).unwrap());
    let registry = world.authority.registry(Some(Arc::clone(&follower)));
    let verdict = || match world.call_at(&registry, &[&issued.token], 21) {
        Ok(_) => "allow",
        Err(denial) => denial.reason.code(),
    };
    assert_eq!(verdict(), "allow");
    world.host.advance(10_000);
    assert_eq!(verdict(), "allow");
    world.host.advance(1);
    assert_eq!(verdict(), "revocation-stale");
    assert_eq!(follower.poll(), Ok(0));
    assert_eq!(verdict(), "allow");
    world.authority.revoke(&root(&issued), "finished", None).unwrap();
    // Not polled yet: the recording transaction looks again.
    assert_eq!(verdict(), "allow");
    assert_eq!(world.verdict(&[&issued.token], 21), "revoked");
    assert_eq!(follower.poll(), Ok(1));
    assert_eq!(follower.poll(), Ok(0));
    assert_eq!(verdict(), "revoked");
    // A follower that begins later knows the same.
    let late = RevocationFollower::start(Arc::new(world.authority.feed())).unwrap();
    assert!(late.look(&[Subject::Delegation { token: issued.root }]).0.is_some());
}

#[test]
fn a_tool_server_that_was_revoked_does_not_stand() {
    let world = World::desk();
    let name = ServerName::parse("support-desk").unwrap();
    let stands = || world.registry().tool_server_stands(&name).unwrap().0;
    assert!(!stands());
    let new = bailiwick_authority::rules::tool_servers::NewServer {
        name: name.clone(),
        url: "http://127.0.0.1:9/mcp".into(),
        credential: None,
        identity_mode: bailiwick_store::IdentityMode::Shared,
        replace: false,
    };
    world.authority.tool_server_add(new.clone()).unwrap();
    assert!(stands());
    world.authority.revoke(&Target::ToolServer(name.clone()), "compromised", None).unwrap();
    assert!(!stands());
    let back = bailiwick_authority::rules::tool_servers::NewServer { replace: true, ..new };
    assert_eq!(code(world.authority.tool_server_add(back)), "revoked");
}

#[test]
fn suspended_parties_are_denied_and_may_be_resumed() {
    let world = World::desk();
    let issued = world.delegate();
    let chain = [issued.token.as_str()];
    let a = &world.authority;
    let set = |status| a.agent_status(&agent("agent:support-runner"), status).unwrap();
    set(Status::Suspended);
    assert_eq!(world.verdict(&chain, 21), "agent-inactive");
    set(Status::Active);
    assert_eq!(world.verdict(&chain, 21), "allow");
    a.principal_status(&principal("user:142"), Status::Suspended).unwrap();
    assert_eq!(world.verdict(&chain, 21), "principal-inactive");
    a.principal_status(&principal("user:142"), Status::Active).unwrap();
    a.principal_status(&principal("user:owner"), Status::Suspended).unwrap();
    assert_eq!(world.verdict(&chain, 21), "agent-inactive");
    a.principal_status(&principal("user:owner"), Status::Active).unwrap();
    a.instance_retire(&issued.instance).unwrap();
    assert_eq!(world.verdict(&chain, 21), "instance-inactive");
}

#[test]
fn a_clock_that_was_stepped_back_revives_nothing() {
    let world = World::desk();
    let issued = world.delegate();
    world.host.advance(15 * 60_000);
    assert_eq!(world.verdict(&[&issued.token], 21), "token-expired");
    // Something durable happens, then the clock goes back to when it held.
    world
        .authority
        .principal_add(&principal("user:9"), Some(&key(90).public_key().to_jwk()))
        .unwrap();
    world.host.advance(-10 * 60_000);
    assert_eq!(world.verdict(&[&issued.token], 21), "clock-behind");
}

#[test]
fn nothing_is_granted_on_what_was_revoked() {
    let world = World::desk();
    let issued = world.delegate();
    let request: Request = world.request(&["ticket:8821"], 15);
    let options = PrepareOptions { task: Some(issued.task.clone()), ..PrepareOptions::default() };
    assert!(world.authority.prepare(&request, &options).is_ok());
    world.authority.revoke(&Target::Task(issued.task.clone()), "finished", None).unwrap();
    assert_eq!(code(world.authority.prepare(&request, &options)), "revoked");
    assert!(world.prepare(&request).is_ok());
    world.authority.revoke(&Target::Agent(issued.agent), "lost", None).unwrap();
    assert_eq!(code(world.prepare(&request)), "revoked");
    assert_eq!(code(world.enrol("agent:support-runner", 80)), "revoked");
}

#[test]
fn the_last_look_before_the_record_sees_whatever_ended_meanwhile() {
    type Change = fn(&World, &Issued);
    let changes: [(&str, Change); 9] = [
        ("delegation", |w, i| drop(w.authority.revoke(&root(i), "lost", None).unwrap())),
        ("grant", |w, i| {
            w.authority.revoke(&Target::Grant(i.grant.clone()), "lost", None).unwrap();
        }),
        ("task", |w, i| {
            w.authority.revoke(&Target::Task(i.task.clone()), "lost", None).unwrap();
        }),
        ("instance", |w, i| w.authority.instance_retire(&i.instance).unwrap()),
        ("agent", |w, i| w.authority.agent_status(&i.agent, Status::Suspended).unwrap()),
        ("agent", |w, _| {
            w.authority.principal_status(&principal("user:owner"), Status::Suspended).unwrap();
        }),
        ("principal", |w, _| {
            w.authority.principal_status(&principal("user:142"), Status::Suspended).unwrap();
        }),
        ("tool_server", |w, _| {
            let name = ServerName::parse("support-desk").unwrap();
            w.authority.revoke(&Target::ToolServer(name), "lost", None).unwrap();
        }),
        ("", |_, _| {}),
    ];
    for (expected, change) in changes {
        let world = World::desk();
        let name = ServerName::parse("support-desk").unwrap();
        let new = bailiwick_authority::rules::tool_servers::NewServer {
            name: name.clone(),
            url: "http://127.0.0.1:9/mcp".into(),
            credential: None,
            identity_mode: bailiwick_store::IdentityMode::Shared,
            replace: false,
        };
        world.authority.tool_server_add(new).unwrap();
        let issued = world.delegate();
        let verified = world.call(&[&issued.token], 21).unwrap();
        let links = verified.chain().links();
        let question = bailiwick_core::accountable::Question {
            authority: &verified.facts().authority,
            tokens: links.iter().map(|l| l.hash).collect(),
            holders: links.iter().map(|l| l.holder).collect(),
        };
        change(&world, &issued);
        let (now, ceilings) = (world.now(), world.authority.ceilings());
        let looked = world.authority.store().read(|view| {
            bailiwick_authority::standing::ended(view, URL, &question, &name, now, &ceilings)
        });
        let ended = looked.unwrap();
        assert_eq!(ended.as_ref().map_or("", |ended| ended.what()), expected);
    }
}
