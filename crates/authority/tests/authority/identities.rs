//! Enrolment by a one-time token, and identity tokens that are renewed.

use crate::support::*;

use bailiwick_authority::people::sessions::Secret;
use bailiwick_authority::rules::identities::{
    FRESH_SECONDS, REQUEST_TYPE, RETIREMENT_TYPE, request_claims, retirement_claims,
};
use bailiwick_core::enrolment::IdentitySigningKey;
use bailiwick_core::ids::InstanceId;
use bailiwick_core::jose;
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Kind;
use bailiwick_store::{Filter, Status, StoreError};

const AGENT: &str = "agent:support-runner";

fn enrolment(world: &World, name: &str, seed: u8, identity: &IdentitySigningKey) -> Json {
    world.statement(name, seed, identity).sign(&*key(seed), identity).unwrap()
}

/// An instance that enrolled itself, with its identity key.
fn joined(world: &World) -> (InstanceId, IdentitySigningKey) {
    let identity = identity();
    let token = world.authority.instance_invite(&agent(AGENT)).unwrap();
    let document = enrolment(world, AGENT, 41, &identity);
    let issued = world.authority.instance_admit(&token, &document).unwrap();
    assert!(issued.spiffe_id.ends_with(&format!("/agent/support-runner/{}", issued.instance)));
    assert_eq!(issued.expires.millis_since(world.now()) / 1000, 600);
    (issued.instance, identity)
}

fn request(world: &World, id: &InstanceId, by: &IdentitySigningKey, to: &str, jti: &str) -> String {
    let claims = request_claims(id, to, world.now(), jti);
    jose::sign(REQUEST_TYPE, None, &claims, by).unwrap()
}

#[test]
fn an_enrolment_token_enrols_one_instance_of_its_agent_once() {
    let world = World::desk();
    let a = &world.authority;
    let token = a.instance_invite(&agent(AGENT)).unwrap();
    let (first, second) = (identity(), identity());
    a.instance_admit(&token, &enrolment(&world, AGENT, 41, &first)).unwrap();
    let again = a.instance_admit(&token, &enrolment(&world, AGENT, 42, &second));
    assert_eq!(code(again), "link-used-or-expired");
    // For another agent, made up, and too late.
    let token = a.instance_invite(&agent("agent:order-reader")).unwrap();
    let other = a.instance_admit(&token, &enrolment(&world, AGENT, 43, &second));
    assert_eq!(code(other), "link-used-or-expired");
    let nobody = Secret::parse(&"A".repeat(43)).unwrap();
    let made_up = a.instance_admit(&nobody, &enrolment(&world, AGENT, 44, &second));
    assert_eq!(code(made_up), "link-used-or-expired");
    let token = a.instance_invite(&agent(AGENT)).unwrap();
    world.host.advance(3_600_001);
    let late = a.instance_admit(&token, &enrolment(&world, AGENT, 45, &second));
    assert_eq!(code(late), "link-used-or-expired");
    assert_eq!(code(a.instance_invite(&agent("agent:nobody"))), "unknown-name");
}

#[test]
fn an_identity_is_renewed_by_its_own_key_once_per_request() {
    let world = World::desk();
    let (id, identity) = joined(&world);
    let a = &world.authority;
    let good = request(&world, &id, &identity, URL, "r1");
    let renewed = a.identity_renew(&good).unwrap();
    assert_eq!(renewed.instance, id);
    let bad = "identity-request-unacceptable";
    assert_eq!(code(a.identity_renew(&good)), bad, "used before");
    let stranger = crate::support::identity();
    let unknown = InstanceId::mint(world.now(), [99; 10]);
    for (what, text) in [
        ("another key", request(&world, &id, &stranger, URL, "r2")),
        ("another authority", request(&world, &id, &identity, "https://other.example", "r3")),
        ("nobody", request(&world, &unknown, &identity, URL, "r4")),
        ("no jti", request(&world, &id, &identity, URL, "")),
        ("garbage", "x.y.z".to_owned()),
    ] {
        assert_eq!(code(a.identity_renew(&text)), bad, "{what}");
    }
    let early = request(&world, &id, &identity, URL, "r5");
    world.host.advance((FRESH_SECONDS + 1) * 1000);
    assert_eq!(code(a.identity_renew(&early)), bad, "old");
    let filter = Filter { kind: Some(Kind::IdentityIssued), limit: 10, ..Filter::default() };
    let entries = a.store().read(|view| -> Result<_, StoreError> { view.query(&filter) }).unwrap();
    assert_eq!(entries.len(), 2);
}

#[test]
fn whoever_was_stopped_gets_no_identity_any_more() {
    let world = World::desk();
    let (id, identity) = joined(&world);
    let a = &world.authority;
    a.agent_status(&agent(AGENT), Status::Suspended).unwrap();
    let asked = request(&world, &id, &identity, URL, "r1");
    assert_eq!(code(a.identity_renew(&asked)), "agent-inactive");
    a.agent_status(&agent(AGENT), Status::Active).unwrap();
    a.instance_retire(&id).unwrap();
    let asked = request(&world, &id, &identity, URL, "r2");
    assert_eq!(code(a.identity_renew(&asked)), "instance-unsuitable");
}

#[test]
fn an_instance_is_retired_by_its_own_word_whoever_brings_it_and_by_nobody_elses() {
    let world = World::desk();
    let (id, identity) = joined(&world);
    let a = &world.authority;
    let word = |of: &InstanceId, by: &IdentitySigningKey, to: &str, typ: &str| {
        jose::sign(typ, None, &retirement_claims(of, to), by).unwrap()
    };
    let stranger = crate::support::identity();
    let nobody = InstanceId::mint(world.now(), [99; 10]);
    for (what, text) in [
        ("another key", word(&id, &stranger, URL, RETIREMENT_TYPE)),
        ("another authority", word(&id, &identity, "https://other.example", RETIREMENT_TYPE)),
        ("nobody", word(&nobody, &identity, URL, RETIREMENT_TYPE)),
        ("a request for something else", request(&world, &id, &identity, URL, "r1")),
        ("garbage", "x.y.z".to_owned()),
    ] {
        assert_eq!(
            code(a.instance_retire_signed(&text)),
            "identity-request-unacceptable",
            "{what}"
        );
    }
    let good = word(&id, &identity, URL, RETIREMENT_TYPE);
    // It asks for nothing: it is no request for an identity token.
    assert_eq!(code(a.identity_renew(&good)), "identity-request-unacceptable");
    a.identity_renew(&request(&world, &id, &identity, URL, "r2")).unwrap();
    // Long afterwards, when nobody has the keys any more.
    world.host.advance(86_400_000);
    for _ in 0..2 {
        assert_eq!(a.instance_retire_signed(&good).unwrap(), id);
    }
    let asked = request(&world, &id, &identity, URL, "r3");
    assert_eq!(code(a.identity_renew(&asked)), "instance-unsuitable");
    let filter = Filter { kind: Some(Kind::InstanceChanged), limit: 10, ..Filter::default() };
    let entries = a.store().read(|view| -> Result<_, StoreError> { view.query(&filter) }).unwrap();
    assert_eq!(entries.len(), 1);
}
