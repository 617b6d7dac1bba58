//! Accounts: lost passkeys, recovery, people who leave, agents that move.

use crate::support::*;

use bailiwick_authority::people::roles::Role;
use bailiwick_authority::people::sessions::Secret;
use bailiwick_authority::rules::clients::NewClient;
use bailiwick_authority::rules::life::Administrator;
use bailiwick_core::grant::Login;
use bailiwick_core::ledger::Kind;
use bailiwick_store::{ClientSource, Filter, Status, StoreError, StoredEntry};

use crate::authenticator::Authenticator;
use crate::people::{enrol, log_in, party};

const RUNNER: &str = "agent:support-runner";
const BY: Administrator = Administrator::OnHost;

fn entries(world: &World, kind: Kind) -> Vec<StoredEntry> {
    let filter = Filter { kind: Some(kind), limit: 100, ..Filter::default() };
    world.authority.store().read(|view| view.query(&filter)).unwrap()
}

fn body(entry: &StoredEntry, member: &str) -> Option<String> {
    let leaf = json(std::str::from_utf8(&entry.leaf).unwrap());
    let body = leaf.as_object()?.member("body")?.as_object()?.member(member)?.clone();
    Some(body.as_str().map_or_else(|| body.canonical(), str::to_owned))
}

fn alias(world: &World, name: &str) -> bailiwick_core::ids::Alias {
    world.authority.principal(&principal(name)).unwrap().row.alias
}

/// Makes the state anew from the entries.
fn rebuild(world: &World) {
    world.authority.store().write(|tx| tx.rebuild()).wait().unwrap();
}

fn is_signed_in(world: &World, session: &Secret) -> bool {
    world.authority.session(session).unwrap().is_some()
}

fn passkey() -> Authenticator {
    Authenticator::new(URL)
}

fn client(world: &World, id: &str, agent_id: &str) {
    let a = &world.authority;
    let (name, metadata) = ("Desk assistant".into(), "{}".into());
    let source = ClientSource::Configured;
    a.client_register(NewClient { id: id.into(), source, name, metadata }).unwrap();
    a.client_map(id, &agent(agent_id)).unwrap();
}

#[test]
fn nothing_of_somebody_who_left_works() {
    let world = World::desk();
    let a = &world.authority;
    let mut key_of_142 = passkey();
    let session = enrol(&world, "user:142", &mut key_of_142);
    a.role_change(&principal("user:142"), Role::Operator, true).unwrap();
    let issued = world.delegate();
    let child = world.derive(&issued.token, 21, 22);
    assert_eq!(world.verdict(&[&issued.token], 21), "allow");
    assert_eq!(world.verdict(&[&issued.token, &child], 22), "allow");
    let prepared = world.prepare(&world.request(&["ticket:8821"], 15)).unwrap();
    let link = a.enrolment_link(&principal("user:142")).unwrap();

    let left = a.offboard(&principal("user:142"), None, &BY, "left the company").unwrap();
    assert!(left.changed);
    assert_eq!((left.grants, left.credentials, left.sessions), (1, 1, 1));
    assert_eq!(left.roles, [Role::Operator]);

    // The chain and what was derived from it, the session, the link, the
    // passkey, the roles.
    assert_eq!(world.verdict(&[&issued.token], 21), "principal-inactive");
    assert_eq!(world.verdict(&[&issued.token, &child], 22), "principal-inactive");
    assert!(!is_signed_in(&world, &session));
    assert_eq!(code(a.invited(&link)), "link-used-or-expired");
    assert_eq!(code(log_in(&world, &key_of_142)), "passkey-unknown");
    assert!(a.passkeys(&left.alias).unwrap().is_empty());
    assert!(a.roles(&principal("user:142")).unwrap().is_empty());
    // No new grant, not even one that was prepared before; no new root under
    // the old one; no way back in, and no role.
    let signed = prepared.statement.sign(&*key(11));
    assert_eq!(code(a.submit(&prepared, &signed, None)), "principal-inactive");
    assert_eq!(code(world.prepare(&world.request(&["ticket:8821"], 15))), "principal-inactive");
    assert!(a.reissue(&issued.grant, None).is_err());
    assert_eq!(code(a.enrolment_link(&principal("user:142"))), "principal-inactive");
    assert_eq!(code(a.recover(&principal("user:142"))), "principal-inactive");
    let given = a.role_change(&principal("user:142"), Role::Owner, true);
    assert_eq!(code(given), "principal-inactive");
    let resumed = a.principal_status(&principal("user:142"), Status::Active);
    assert_eq!(code(resumed), "already-retired");

    let revoked = entries(&world, Kind::Revoked);
    assert_eq!(revoked.len(), 1);
    assert_eq!(revoked[0].subjects.reason.as_deref(), Some("offboarded"));
    let retired = &entries(&world, Kind::PrincipalChanged)[0];
    assert_eq!(retired.subjects.reason.as_deref(), Some("offboarded"));
    assert_eq!(body(retired, "by").as_deref(), Some("operator"));
    assert_eq!(
        body(&entries(&world, Kind::CredentialChanged)[0], "by").as_deref(),
        Some("operator")
    );
    // The words may name people: they are committed to, not written.
    assert!(!String::from_utf8_lossy(&revoked[0].leaf).contains("left the company"));
    // Again it finds nothing to do.
    let before = world.log_size();
    let again = a.offboard(&principal("user:142"), None, &BY, "again").unwrap();
    assert_eq!((again.credentials, again.sessions, again.roles.len()), (0, 0, 0));
    assert_eq!((again.changed, again.grants), (false, 0));
    assert_eq!(world.log_size(), before);
    // The state can still be made from the ledger.
    rebuild(&world);
    assert_eq!(world.verdict(&[&issued.token], 21), "principal-inactive");
}

#[test]
fn agents_of_somebody_who_left_move_and_what_ran_as_them_enrols_again() {
    let world = World::desk();
    let a = &world.authority;
    client(&world, "client-1", RUNNER);
    let issued = world.delegate();
    let invitation = a.instance_invite(&agent(RUNNER)).unwrap();
    let instances = a.instances(Some(&agent(RUNNER))).unwrap();

    let to = principal("user:143");
    let left = a.offboard(&principal("user:owner"), Some(&to), &BY, "left").unwrap();
    let moved: Vec<&str> = left.moved.iter().map(|m| m.agent.as_str()).collect();
    assert_eq!(moved, ["agent:order-reader", RUNNER]);
    assert_eq!(left.moved[1].instances, [instances[0].id.clone()]);
    assert_eq!(left.moved[1].clients, ["client-1"]);
    assert!(left.retired.is_empty());
    assert_eq!(left.workflows, ["support-tickets"]);

    // The grant is user 142's and stands; the key that was enrolled under the
    // former owner does not, nor the client, nor an unused token.
    assert_eq!(world.verdict(&[&issued.token], 21), "instance-inactive");
    assert_eq!(code(world.enrol(RUNNER, 23)), "enrolment-other-owner");
    assert_eq!(a.client("client-1").unwrap().agent, None);
    let identity = identity();
    let mut statement = world.statement(RUNNER, 24, &identity);
    statement.owner = to.clone();
    let document = statement.sign(&*key(24), &identity).unwrap();
    assert_eq!(code(a.instance_admit(&invitation, &document)), "link-used-or-expired");
    // Under the new owner, with keys of its own, it goes on.
    let instance = a.instance_enrol(&document).unwrap();
    let reissued = a.reissue(&issued.grant, Some(&instance.id)).unwrap();
    assert_eq!(world.verdict(&[&reissued.token], 24), "allow");
    let mapped = a.client_map("client-1", &agent(RUNNER)).unwrap();
    assert_ne!(mapped.instance, None);

    let changed = entries(&world, Kind::AgentChanged);
    assert_eq!(changed.len(), 2);
    let owner = alias(&world, "user:143").to_string();
    assert!(changed.iter().all(|e| body(e, "owner").as_deref() == Some(owner.as_str())));
    assert_eq!(changed[0].subjects.reason.as_deref(), Some("transferred"));
    rebuild(&world);
    assert_eq!(world.verdict(&[&reissued.token], 24), "allow");
    assert_eq!(a.agents().unwrap()[0].owner.to_string(), owner);
}

#[test]
fn agents_that_nobody_takes_over_are_retired() {
    let world = World::desk();
    let issued = world.delegate();
    let a = &world.authority;
    let left = a.offboard(&principal("user:owner"), None, &BY, "left").unwrap();
    assert_eq!(left.retired.len(), 2);
    assert_eq!(world.verdict(&[&issued.token], 21), "agent-inactive");
    let invited = a.agent_transfer(&agent(RUNNER), &principal("user:143"), &BY);
    assert_eq!(code(invited), "already-retired");
}

#[test]
fn the_last_active_owner_cannot_leave() {
    let world = World::desk();
    let a = &world.authority;
    for name in ["user:owner", "user:142"] {
        a.role_change(&principal(name), Role::Owner, true).unwrap();
    }
    enrol(&world, "user:142", &mut passkey());
    // An owner who is suspended is none.
    a.principal_status(&principal("user:142"), Status::Suspended).unwrap();
    let before = world.log_size();
    let refused = a.offboard(&principal("user:owner"), None, &BY, "left");
    assert_eq!(code(refused), "last-owner");
    let refused = a.role_change(&principal("user:owner"), Role::Owner, false);
    assert_eq!(code(refused), "last-owner");
    assert_eq!(world.log_size(), before, "nothing was written");
    a.principal_status(&principal("user:142"), Status::Active).unwrap();
    a.offboard(&principal("user:owner"), None, &BY, "left").unwrap();
}

#[test]
fn an_owner_who_cannot_sign_in_does_not_make_another_one_dispensable() {
    let world = World::desk();
    let a = &world.authority;
    let (owner, other) = (principal("user:owner"), principal("user:142"));
    for id in [&owner, &other] {
        a.role_change(id, Role::Owner, true).unwrap();
    }
    let refused = || {
        let taken = code(a.role_change(&owner, Role::Owner, false));
        (taken, code(a.offboard(&owner, None, &BY, "left")))
    };
    let last = ("last-owner", "last-owner");
    assert_eq!(refused(), last, "no credential at all");
    a.enrolment_link(&other).unwrap();
    assert_eq!(refused(), last, "a link that nobody used");
    let provider = crate::logins::provider("user:*", false);
    a.login_add(&other, &provider, "00u142").unwrap();
    let login = Login { issuer: provider.issuer.clone(), subject: "00u142".to_owned() };
    a.login_remove(&other, &login).unwrap();
    assert_eq!(refused(), last, "a login that was taken away");
    enrol(&world, "user:142", &mut passkey());
    a.passkeys_lost(&other, None, &BY).unwrap();
    assert_eq!(refused(), last, "a passkey that is lost");
    a.login_add(&other, &provider, "00u142").unwrap();
    a.offboard(&owner, None, &BY, "left").unwrap();
}

#[test]
fn a_service_has_neither_passkeys_nor_roles() {
    let world = World::desk();
    let (a, service) = (&world.authority, principal("service:billing"));
    a.principal_add(&service, None).unwrap();
    let before = world.log_size();
    assert_eq!(code(a.enrolment_link(&service)), "not-a-person");
    assert_eq!(code(a.recover(&service)), "not-a-person");
    assert_eq!(code(a.role_change(&service, Role::Owner, true)), "not-a-person");
    assert_eq!(world.log_size(), before, "nothing was written");
}

#[test]
fn agents_go_to_somebody_else_who_is_active() {
    let world = World::desk();
    let a = &world.authority;
    let offboard =
        |to: &str| a.offboard(&principal("user:owner"), Some(&principal(to)), &BY, "left");
    assert_eq!(code(offboard("user:owner")), "same-principal");
    assert_eq!(code(offboard("user:nobody")), "unknown-name");
    a.principal_status(&principal("user:143"), Status::Suspended).unwrap();
    assert_eq!(code(offboard("user:143")), "principal-inactive");
    a.revoke(&bailiwick_authority::Target::Principal(principal("user:142")), "x", None).unwrap();
    assert_eq!(code(offboard("user:142")), "revoked");
    let transfer = |id: &str, to: &str| a.agent_transfer(&agent(id), &principal(to), &BY);
    assert_eq!(code(transfer(RUNNER, "user:143")), "principal-inactive");
    assert_eq!(code(transfer(RUNNER, "user:142")), "revoked");
    assert_eq!(code(transfer(RUNNER, "user:nobody")), "unknown-name");
    assert_eq!(code(transfer("agent:nobody", "user:owner")), "unknown-name");
    assert_eq!(transfer(RUNNER, "user:owner").unwrap(), None, "it is already");
    a.principal_status(&principal("user:143"), Status::Active).unwrap();
    a.revoke(&bailiwick_authority::Target::Agent(agent(RUNNER)), "x", None).unwrap();
    assert_eq!(code(transfer(RUNNER, "user:143")), "revoked");
    // Who leaves keeps what was revoked; it is retired, not handed on.
    let left = offboard("user:143").unwrap();
    assert_eq!(left.retired, [agent(RUNNER)]);
    assert_eq!(left.moved.len(), 1);
    let unknown = a.offboard(&principal("user:nobody"), None, &BY, "left");
    assert_eq!(code(unknown), "unknown-name");
}

#[test]
fn a_lost_passkey_is_retired_with_every_session_and_a_link_replaces_it() {
    let world = World::desk();
    let a = &world.authority;
    let (mut lost, mut other) = (passkey(), passkey());
    let first = enrol(&world, "user:142", &mut lost);
    let second = enrol(&world, "user:142", &mut other);
    let alias = alias(&world, "user:142");
    let own = a.passkeys(&alias).unwrap();
    let id = principal("user:142");
    assert_eq!(code(a.passkeys_lost(&id, Some("nothing"), &BY)), "passkey-unknown");
    assert!(is_signed_in(&world, &first));
    let removed = a.passkeys_lost(&id, Some(&own[0].id), &BY).unwrap();
    assert_eq!((removed.left, removed.sessions, removed.passkeys.len()), (1, 2, 1));
    assert!(!is_signed_in(&world, &first) && !is_signed_in(&world, &second));
    assert_eq!(code(log_in(&world, &lost)), "passkey-unknown");
    other.counter = 1;
    log_in(&world, &other).unwrap();
    // Also the last one: the operator's way, not the person's.
    let removed = a.passkeys_lost(&id, None, &BY).unwrap();
    assert_eq!((removed.left, removed.sessions), (0, 1));
    other.counter = 2;
    assert_eq!(code(log_in(&world, &other)), "passkey-unknown");
    assert_eq!(code(a.passkeys_lost(&id, None, &BY)), "passkey-unknown");
    let changed = entries(&world, Kind::CredentialChanged);
    assert_eq!(changed.len(), 2);
    assert!(changed.iter().all(|e| body(e, "by").as_deref() == Some("operator")));
    // A new one by a new link; the lost one does not come back by it.
    let link = a.enrolment_link(&id).unwrap();
    let (ceremony, options) = a.enrolment_begin(&party(), &link).unwrap();
    let made = lost.make(&options);
    let taken = a.enrolment_finish(&party(), &link, &ceremony, &made, "Found again");
    assert_eq!(code(taken), "passkey-taken");
    enrol(&world, "user:142", &mut passkey());
}

#[test]
fn every_link_has_an_entry_that_says_who_made_it() {
    let world = World::desk();
    let a = &world.authority;
    a.enrolment_link(&principal("user:142")).unwrap();
    let owner = alias(&world, "user:owner");
    let by = Administrator::SignedIn(owner.clone());
    a.enrolment_link_by(&principal("user:142"), &by).unwrap();
    let made = entries(&world, Kind::PrincipalInvited);
    assert_eq!(made.len(), 2);
    let of = alias(&world, "user:142").to_string();
    assert!(made.iter().all(|e| e.subjects.principal.as_deref() == Some(of.as_str())));
    assert_eq!(body(&made[1], "by").as_deref(), Some("operator"));
    assert_eq!(body(&made[0], "by").as_deref(), Some("owner"));
    assert_eq!(body(&made[0], "session_of"), Some(owner.to_string()));
    let until = world.now().plus_seconds(24 * 60 * 60).seconds().to_string();
    assert_eq!(body(&made[0], "until"), Some(until));
}

#[test]
fn an_owner_who_lost_every_way_in_is_let_in_again_and_the_ledger_says_so() {
    let world = World::desk();
    let a = &world.authority;
    let owner = principal("user:owner");
    a.role_change(&owner, Role::Owner, true).unwrap();
    let mut lost = passkey();
    let session = enrol(&world, "user:owner", &mut lost);
    let recovered = a.recover(&owner).unwrap();
    assert!(!recovered.role_given && recovered.others.is_empty());
    assert_eq!(recovered.sessions, 1);
    assert!(!is_signed_in(&world, &session));
    let made = &entries(&world, Kind::PrincipalInvited)[0];
    assert_eq!(made.subjects.reason.as_deref(), Some("recovery"));
    assert_eq!(body(made, "by").as_deref(), Some("operator"));
    let (ceremony, options) = a.enrolment_begin(&party(), &recovered.link).unwrap();
    let made = passkey().make(&options);
    let session = a.enrolment_finish(&party(), &recovered.link, &ceremony, &made, "New").unwrap();
    assert_eq!(a.session(&session).unwrap().unwrap().roles, [Role::Owner]);

    // Somebody who was none becomes one, and learns who else is.
    let recovered = a.recover(&principal("user:143")).unwrap();
    assert!(recovered.role_given);
    assert_eq!(recovered.others, [owner]);
    assert_eq!(a.roles(&principal("user:143")).unwrap(), [Role::Owner]);
    assert_eq!(code(a.recover(&principal("user:nobody"))), "unknown-name");
    a.principal_status(&principal("user:142"), Status::Suspended).unwrap();
    assert_eq!(code(a.recover(&principal("user:142"))), "principal-inactive");
    assert!(a.roles(&principal("user:142")).unwrap().is_empty());
}

#[test]
fn nobody_ends_or_stops_their_own_account_in_the_console() {
    let world = World::desk();
    let a = &world.authority;
    let by = Administrator::SignedIn(alias(&world, "user:142"));
    let id = principal("user:142");
    assert_eq!(code(a.offboard(&id, None, &by, "bye")), "not-yourself");
    assert_eq!(code(a.principal_status_by(&id, Status::Suspended, &by)), "not-yourself");
    let other = principal("user:143");
    a.principal_status_by(&other, Status::Suspended, &by).unwrap();
    let changed = &entries(&world, Kind::PrincipalChanged)[0];
    assert_eq!(body(changed, "by").as_deref(), Some("owner"));
    assert_eq!(body(changed, "session_of"), Some(alias(&world, "user:142").to_string()));
}

/// Rows that the entries do not hold are no state: a move is rebuilt.
#[test]
fn what_an_agent_of_a_new_owner_may_is_counted_from_the_ledger() {
    let world = World::desk();
    let a = &world.authority;
    let moved = a.agent_transfer(&agent(RUNNER), &principal("user:143"), &BY).unwrap().unwrap();
    assert_eq!(moved.instances.len(), 1);
    let owners = |world: &World| -> Result<Vec<String>, StoreError> {
        let store = world.authority.store();
        store.read(|v| Ok(v.agents()?.iter().map(|a| a.owner.to_string()).collect()))
    };
    let before = owners(&world).unwrap();
    assert_ne!(before[0], before[1]);
    rebuild(&world);
    assert_eq!(owners(&world).unwrap(), before);
}
