//! Requests of agents for more authority: what they may ask, how long it waits, and
//! what a grant may answer.

use bailiwick_authority::rules::delegations::{Issued, Narrowing, Options, Prepared};
use bailiwick_authority::rules::requests::{Asker, MAX_HOURLY, MAX_OPEN, Wanted};
use bailiwick_authority::{Granter, Lesser, PrepareOptions, RequestAnswer, Target};
use bailiwick_core::crypto::{Digest, Signer as _, base64url, sha256};
use bailiwick_core::ids::RequestId;
use bailiwick_core::json::Object;

use crate::authenticator::Authenticator;
use crate::people::{enrol, party};
use crate::support::*;

pub(crate) fn issued(world: &World, minutes: i64) -> Issued {
    let request = world.request(&["ticket:8821"], minutes);
    let options = Options { budget: Object::new().with("max_calls", 3u64), ..Options::default() };
    let options = PrepareOptions { options, ..PrepareOptions::default() };
    let prepared = world.authority.prepare(&request, &options).unwrap();
    let signed = prepared.statement.sign(&*key(11));
    world.authority.submit(&prepared, &signed, None).unwrap()
}

pub(crate) fn asker(world: &World, issued: &Issued) -> Asker {
    Asker {
        principal: world.authority.principal(&principal("user:142")).unwrap().row.alias,
        agent: issued.agent.clone(),
        instance: issued.instance.clone(),
        holder: key(21).public_key().thumbprint(),
        task: issued.task.clone(),
        grant: issued.grant.clone(),
        root: issued.root,
        leaf: issued.root,
    }
}

pub(crate) fn wanted(scope: &[&str]) -> Wanted {
    let scope = scope.iter().map(|s| (*s).to_owned()).collect();
    Wanted { scope, reason: "it is linked".into(), seconds: None }
}

fn asked(world: &World, issued: &Issued, scope: &[&str]) -> RequestAnswer {
    world.authority.request_authority(&asker(world, issued), &wanted(scope)).unwrap()
}

fn prepared(world: &World, name: &str, id: &RequestId) -> Prepared {
    let granter = Granter::Key(principal(name));
    world.authority.request_prepare(&granter, id, &Lesser::default()).unwrap()
}

pub(crate) fn granted(world: &World, id: &RequestId) -> Digest {
    let prepared = prepared(world, "user:142", id);
    let signed = prepared.statement.sign(&*key(11));
    world.authority.request_grant(&prepared, &signed).unwrap();
    prepared.statement.digest()
}

#[test]
fn a_request_expires_and_nobody_grants_or_refuses_it_afterwards() {
    let world = World::desk();
    let a = &world.authority;
    let root = issued(&world, 60);
    let id = asked(&world, &root, &["orders:read"]).request;
    let early = prepared(&world, "user:142", &id);
    let signed = early.statement.sign(&*key(11));
    world.host.advance(14 * 60_000);
    let seen = |all| a.requests(None, all, 10).unwrap().iter().map(|r| r.state).collect::<Vec<_>>();
    assert_eq!(seen(false), ["pending"]);
    world.host.advance(46 * 60_000);
    assert!(seen(false).is_empty());
    assert_eq!(seen(true), ["expired"]);
    let granter = Granter::Person(asker(&world, &root).principal);
    let late = a.request_prepare(&granter, &id, &Lesser::default());
    assert_eq!(code(late), "request-settled");
    assert_eq!(code(a.request_refuse(&granter, &id, None, None)), "request-settled");
    // What was prepared in time is old itself by now.
    assert_eq!(code(a.request_grant(&early, &signed)), "grant-not-prepared");
    assert_eq!(a.request_answer(&asker(&world, &root), &id).unwrap().state, "expired");
}

#[test]
fn what_was_prepared_is_no_answer_to_a_request_that_is_settled_meanwhile() {
    let world = World::desk();
    let a = &world.authority;
    let root = issued(&world, 60);
    let id = asked(&world, &root, &["orders:read"]).request;
    let (first, second) = (prepared(&world, "user:142", &id), prepared(&world, "user:142", &id));
    a.request_grant(&first, &first.statement.sign(&*key(11))).unwrap();
    let again = a.request_grant(&second, &second.statement.sign(&*key(11)));
    assert_eq!(code(again), "request-settled");
    // Nor does another's signature make it theirs.
    let id = asked(&world, &root, &["ticket:9000"]).request;
    let theirs = prepared(&world, "user:142", &id);
    let forged = a.request_grant(&theirs, &theirs.statement.sign(&*key(12)));
    assert_eq!(code(forged), "grant-signature-invalid");
}

#[test]
fn an_answer_has_no_more_to_spend_to_live_or_to_pass_on_than_was_asked() {
    let world = World::desk();
    let a = &world.authority;
    let root = issued(&world, 20);
    let id = asked(&world, &root, &["orders:read"]).request;
    let whole = prepared(&world, "user:142", &id);
    let sealed = |change: &dyn Fn(&mut bailiwick_core::grant::Statement)| {
        let mut statement = whole.statement.clone();
        change(&mut statement);
        let sealed = Prepared::new(statement, world.now(), &*key(2));
        let signed = sealed.statement.sign(&*key(11));
        a.request_grant(&sealed, &signed)
    };
    assert_eq!(whole.statement.max_depth, 0);
    assert_eq!(code(sealed(&|s| s.max_depth = 1)), "request-wider");
    assert_eq!(code(sealed(&|s| s.not_after += 1)), "request-wider");
    assert_eq!(code(sealed(&|s| s.budget.insert("max_calls", 4u64))), "request-wider");
    let unlimited = sealed(&|s| {
        s.budget.remove("max_calls");
    });
    assert!(["budget-too-large", "request-wider"].contains(&code(unlimited)));
    assert_eq!(code(sealed(&|s| s.requested.push("refund:1".into()))), "request-wider");
    let other = issued(&world, 20);
    assert_eq!(code(sealed(&|s| s.task = other.task.clone())), "request-wider");
    // One that names no request of a task that is somebody else's answers nothing.
    assert_eq!(code(sealed(&|s| s.request = None)), "unknown-name");
    let nobodys = RequestId::mint(world.now(), [9; 10]);
    assert_eq!(code(sealed(&|s| s.request = Some(nobodys.clone()))), "unknown-name");
    sealed(&|_| {}).unwrap();
}

#[test]
fn the_budget_of_an_answer_counts_where_the_tasks_did() {
    let world = World::desk();
    let root = issued(&world, 60);
    let first = asked(&world, &root, &["orders:read"]).request;
    granted(&world, &first);
    let answer = world.authority.request_answer(&asker(&world, &root), &first).unwrap();
    let taken = answer.taken.unwrap();
    let sibling = world.call(&[&taken.root], 21).unwrap();
    let account = |verified: &bailiwick_core::aat::verify::Verified<_>| {
        let facts: &bailiwick_core::accountable::Facts = verified.facts();
        let grant = facts.standing.grant.as_ref().unwrap();
        let account = grant.account.unwrap();
        // What was counted outlives the answer.
        assert!(account.not_after > grant.not_after, "{grant:?}");
        Some(account.digest)
    };
    assert_eq!(account(&sibling), Some(root.grant_digest));
    // Also of one that was asked for under the sibling.
    let mut again = asker(&world, &root);
    again.grant = taken.grant.clone();
    let second = world.authority.request_authority(&again, &wanted(&["orders:read", "ticket:1"]));
    let second = second.unwrap().request;
    granted(&world, &second);
    let taken = world.authority.request_answer(&again, &second).unwrap().taken.unwrap();
    assert_eq!(account(&world.call(&[&taken.root], 21).unwrap()), Some(root.grant_digest));
    // A root is issued again with the old one's account, and not too often.
    let same = world.authority.request_answer(&again, &second).unwrap().taken.unwrap();
    assert_eq!(same.root, taken.root);
    world.host.advance(10 * 60_000);
    let renewed = world.authority.request_answer(&again, &second).unwrap().taken.unwrap();
    assert_ne!(renewed.root, taken.root);
    assert_eq!(renewed.grant, taken.grant);
}

#[test]
fn a_person_grants_on_the_consent_page_by_passkey_and_a_session_alone_grants_nothing() {
    let world = World::desk();
    let a = &world.authority;
    let (mut mine, mut other) = (Authenticator::new(URL), Authenticator::new(URL));
    let me = a.session(&enrol(&world, "user:142", &mut mine)).unwrap().unwrap();
    let them = a.session(&enrol(&world, "user:143", &mut other)).unwrap().unwrap();
    let root = issued(&world, 60);
    let id = asked(&world, &root, &["orders:read", "ticket:9000"]).request;
    let whole = Lesser::default();
    assert_eq!(code(a.request_begin(&them, &id, &whole)), "unknown-name");
    assert!(a.requests(Some(&them), true, 10).unwrap().is_empty());
    assert_eq!(a.requests(Some(&me), true, 10).unwrap().len(), 1);
    let page = a.request_begin(&me, &id, &whole).unwrap();
    let digest = |page| {
        let statement = a.consent(page, &me).unwrap().prepared.unwrap().statement;
        base64url(statement.digest().bytes())
    };
    // Whoever has the session, and not the passkey, signs nothing.
    let forged = a.consent_sign(&party(), &page, &me, &other.sign(&digest(&page)));
    assert!(forged.is_err());
    let narrowing = Narrowing {
        requested: ["orders:read".to_owned()].into(),
        tools: ["mcp:support-desk:tools/get_order".to_owned()].into(),
        minutes: Some(5),
        ..Narrowing::default()
    };
    let narrowed = a.consent_narrow(&page, &me, &narrowing).unwrap();
    let signed = mine.sign(&digest(&narrowed));
    let location = a.consent_sign(&party(), &narrowed, &me, &signed).unwrap();
    assert_eq!(location, format!("/requests/{id}"));
    let answer = a.request_answer(&asker(&world, &root), &id).unwrap();
    let taken = answer.taken.unwrap();
    assert_eq!((answer.state, taken.scope), ("granted", vec!["orders:read".to_owned()]));
    assert_eq!(world.verdict(&[&taken.root], 21), "allow");
    // Refusing on that page refuses the request.
    let id = asked(&world, &root, &["ticket:1"]).request;
    let page = a.request_begin(&me, &id, &whole).unwrap();
    assert_eq!(a.consent_deny(&page, &me).unwrap(), format!("/requests/{id}"));
    assert_eq!(a.request_answer(&asker(&world, &root), &id).unwrap().state, "refused");
}

#[test]
fn what_a_request_rests_on_ends_it() {
    let world = World::desk();
    let a = &world.authority;
    let root = issued(&world, 60);
    let id = asked(&world, &root, &["orders:read"]).request;
    a.revoke(&Target::Grant(root.grant.clone()), "finished", None).unwrap();
    let granter = Granter::Key(principal("user:142"));
    assert_eq!(code(a.request_prepare(&granter, &id, &Lesser::default())), "revoked");
    // A grant that is nearly over is nothing to ask under.
    let short = issued(&world, 1);
    world.host.advance(1_000);
    let ending = a.request_authority(&asker(&world, &short), &wanted(&["orders:read"]));
    assert_eq!(code(ending), "request-ending");
    // Nor is a version of the workflow that is not the current one.
    let other = issued(&world, 60);
    let changed = WORKFLOW.replace("version: \"1\"", "version: \"2\"");
    a.workflow_publish(&changed).unwrap();
    let outdated = a.request_authority(&asker(&world, &other), &wanted(&["orders:read"]));
    assert_eq!(code(outdated), "task-mismatch");
}

#[test]
fn a_task_asks_so_often_and_equal_requests_are_one() {
    let world = World::desk();
    let a = &world.authority;
    let root = issued(&world, 60);
    let by_owner = Granter::Person(asker(&world, &root).principal);
    let mut made = 0;
    for n in 0..MAX_HOURLY {
        let id = asked(&world, &root, &[&format!("ticket:{n}")]).request;
        made += 1;
        if made % MAX_OPEN == 0 {
            for waiting in a.requests(None, false, 10).unwrap() {
                a.request_refuse(&by_owner, &waiting.request.id, None, None).unwrap();
            }
        } else {
            assert_eq!(asked(&world, &root, &[&format!("ticket:{n}")]).request, id);
        }
    }
    let more = || a.request_authority(&asker(&world, &root), &wanted(&["orders:read"]));
    assert_eq!(code(more()), "request-flood");
    let other = issued(&world, 60);
    assert_eq!(asked(&world, &other, &["orders:read"]).state, "pending");
}

#[test]
fn rows_of_requests_are_made_again_from_the_ledger() {
    let world = World::desk();
    let root = issued(&world, 60);
    let id = asked(&world, &root, &["orders:read"]).request;
    granted(&world, &id);
    asked(&world, &root, &["ticket:9"]);
    let store = world.authority.store();
    let rows = || -> Result<_, bailiwick_store::StoreError> {
        store.read(|view| Ok((view.authority_requests(10)?, view.grants_of_task(&root.task)?)))
    };
    let before = rows().unwrap();
    let rebuilt = store.write(|tx| -> Result<_, bailiwick_store::StoreError> { tx.rebuild() });
    rebuilt.wait().unwrap();
    assert_eq!(rows().unwrap(), before);
    assert!(before.1.iter().any(|grant| grant.account == Some(root.grant_digest)));
    assert_ne!(sha256(b""), root.grant_digest);
}
