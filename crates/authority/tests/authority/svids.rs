//! SVIDs: who gets them, for which key, and what a request cannot ask for.

use crate::support::*;

use bailiwick_authority::keyring::{AnyKey, KeyRing, Purpose};
use bailiwick_authority::rules::identities::{self, request_claims};
use bailiwick_authority::rules::keys::{Change, Why};
use bailiwick_authority::rules::svids::{self, REQUEST_TYPE};
use bailiwick_authority::{Installation, Keys};
use bailiwick_core::enrolment::IdentitySigningKey;
use bailiwick_core::ids::InstanceId;
use bailiwick_core::jose::{self, VerifyingKey};
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Kind;
use bailiwick_core::time::Timestamp;
use bailiwick_core::wit::{Expected, Identity};
use bailiwick_store::{Filter, Status, StoreError};
use bailiwick_svid::{Anchors, ChainError, SvidAuthority, Usage, request};

const AGENT: &str = "agent:support-runner";

/// An instance that enrolled itself, with its identity key.
fn joined(world: &World) -> (InstanceId, IdentitySigningKey) {
    let identity = identity();
    let token = world.authority.instance_invite(&agent(AGENT)).unwrap();
    let document = world.statement(AGENT, 41, &identity).sign(&*key(41), &identity).unwrap();
    (world.authority.instance_admit(&token, &document).unwrap().instance, identity)
}

fn signed(
    world: &World,
    id: &InstanceId,
    by: &IdentitySigningKey,
    jti: &str,
    more: impl FnOnce(Json) -> Json,
) -> String {
    let claims = more(request_claims(id, URL, world.now(), jti));
    jose::sign(REQUEST_TYPE, None, &claims, by).unwrap()
}

fn asked(world: &World, id: &InstanceId, by: &IdentitySigningKey, jti: &str, csr: &[u8]) -> String {
    signed(world, id, by, jti, |claims| svids::request_claims(claims, csr, None))
}

/// The X.509 authorities of the trust bundle.
fn certificates(bundle: &Json) -> Vec<Vec<u8>> {
    use base64::Engine as _;
    let keys = bundle.as_object().unwrap().member("keys").unwrap().as_array().unwrap();
    let ders = keys.iter().filter_map(|key| {
        let x5c = key.as_object()?.member("x5c")?.as_array()?;
        base64::engine::general_purpose::STANDARD.decode(x5c.first()?.as_str()?).ok()
    });
    ders.collect()
}

fn anchors(bundle: &Json) -> Anchors {
    let mut anchors = Anchors::default();
    anchors.set("example.test", &certificates(bundle)).unwrap();
    anchors
}

fn sequence(bundle: &Json) -> i64 {
    let n = bundle.as_object().unwrap().member("spiffe_sequence").unwrap();
    n.as_number().unwrap().as_plain_integer().unwrap()
}

#[test]
fn an_instance_gets_both_svids_for_a_fresh_key_and_the_entry_names_it() {
    let world = World::desk();
    let (id, identity) = joined(&world);
    let a = &world.authority;
    let fresh = crate::support::identity();
    let csr = request(&fresh).unwrap();
    let text = asked(&world, &id, &identity, "r1", &csr);
    let (issued, bundle) = a.svid_issue(&text).unwrap();
    let now = world.now();
    let expected = format!("spiffe://example.test/agent/support-runner/{id}");
    let peer = anchors(&bundle).verify(&issued.chain[0], &[], Usage::Server, now).unwrap();
    assert_eq!(peer.spiffe_id.as_str(), expected);
    assert_eq!(peer.key, Some(fresh.public_key()));
    assert_eq!(peer.not_after, Timestamp::from_seconds(now.seconds() + 600));
    let keys = [(
        VerifyingKey::P256(a.identity_key().public_key()).thumbprint().to_string(),
        VerifyingKey::P256(a.identity_key().public_key()),
    )];
    let expectation = Expected {
        issuer: URL,
        trust_domain: "example.test",
        keys: &keys,
        now,
        skew_seconds: 0,
        max_lifetime_seconds: 600,
    };
    let wit = Identity::verify(&issued.identity.token, &expectation).unwrap();
    assert_eq!((wit.key, wit.spiffe_id), (fresh.public_key(), expected));
    let filter = Filter { kind: Some(Kind::IdentityIssued), limit: 1, ..Filter::default() };
    let entries = a.store().read(|view| -> Result<_, StoreError> { view.query(&filter) }).unwrap();
    let leaf = String::from_utf8(entries[0].leaf.clone()).unwrap();
    let thumbprint = VerifyingKey::P256(fresh.public_key()).thumbprint().to_string();
    assert!(leaf.contains("\"x509\":{\"authority\":") && leaf.contains(&thumbprint), "{leaf}");
    // Shorter is given, longer is not.
    let with = |jti: &str, seconds: i64| {
        signed(&world, &id, &identity, jti, |c| svids::request_claims(c, &csr, Some(seconds)))
    };
    let (short, _) = a.svid_issue(&with("r2", 20)).unwrap();
    assert_eq!((short.seconds, short.identity.expires.millis_since(now)), (20, 20_000));
    for bad in [9, 601, -1] {
        let refused = a.svid_issue(&with(&format!("b{bad}"), bad));
        assert_eq!(code(refused), "svid-request-unacceptable", "{bad}");
    }
}

#[test]
fn a_request_that_is_not_the_instances_own_or_not_fresh_gets_nothing() {
    let world = World::desk();
    let (id, identity) = joined(&world);
    let a = &world.authority;
    let fresh = crate::support::identity();
    let csr = request(&fresh).unwrap();
    let once = asked(&world, &id, &identity, "r1", &csr);
    a.svid_issue(&once).unwrap();
    assert_eq!(code(a.svid_issue(&once)), "identity-request-unacceptable", "replayed");
    // What asks for one thing is not taken for another.
    assert_eq!(code(a.identity_renew(&once)), "identity-request-unacceptable");
    let claims = svids::request_claims(request_claims(&id, URL, world.now(), "r2"), &csr, None);
    let renewal = jose::sign(identities::REQUEST_TYPE, None, &claims, &identity).unwrap();
    assert_eq!(code(a.svid_issue(&renewal)), "identity-request-unacceptable");
    let stranger = asked(&world, &id, &fresh, "r3", &csr);
    assert_eq!(code(a.svid_issue(&stranger)), "identity-request-unacceptable");
    // A request of somebody else's key: its signature is not by this instance's doing, but a
    // key of which nothing is proved is not taken either.
    let mut broken = csr.clone();
    *broken.last_mut().unwrap() ^= 1;
    for (what, csr) in [
        ("a broken proof", broken.as_slice()),
        ("none", &[]),
        ("garbage", b"garbage"),
        ("a huge one", &[0x30; 1025]),
    ] {
        let text = asked(&world, &id, &identity, what, csr);
        assert_eq!(code(a.svid_issue(&text)), "svid-request-unacceptable", "{what}");
    }
    let without = signed(&world, &id, &identity, "r5", |claims| claims);
    assert_eq!(code(a.svid_issue(&without)), "svid-request-unacceptable");
    // The enrolled key is a credential here, and an SVID's is handed around.
    let own = asked(&world, &id, &identity, "r6", &request(&identity).unwrap());
    assert_eq!(code(a.svid_issue(&own)), "svid-request-unacceptable");
    let old = asked(&world, &id, &identity, "r7", &csr);
    world.host.advance((identities::FRESH_SECONDS + 1) * 1000);
    assert_eq!(code(a.svid_issue(&old)), "identity-request-unacceptable");
}

#[test]
fn whoever_was_stopped_gets_no_svid() {
    let world = World::desk();
    let (id, identity) = joined(&world);
    let a = &world.authority;
    let csr = request(&crate::support::identity()).unwrap();
    let ask = |jti: &str| a.svid_issue(&asked(&world, &id, &identity, jti, &csr));
    a.agent_status(&agent(AGENT), Status::Suspended).unwrap();
    assert_eq!(code(ask("r1")), "agent-inactive");
    a.agent_status(&agent(AGENT), Status::Active).unwrap();
    ask("r2").unwrap();
    a.principal_status(&principal("user:owner"), Status::Suspended).unwrap();
    assert_eq!(code(ask("r3")), "agent-inactive");
    a.principal_status(&principal("user:owner"), Status::Active).unwrap();
    ask("r4").unwrap();
    a.instance_retire(&id).unwrap();
    assert_eq!(code(ask("r5")), "instance-unsuitable");
}

#[test]
fn a_former_authority_stays_in_the_bundle_until_its_last_svid_ended() {
    let world = World::desk();
    let (id, identity) = joined(&world);
    let a = &world.authority;
    let csr = request(&crate::support::identity()).unwrap();
    let ask = |jti: &str| a.svid_issue(&asked(&world, &id, &identity, jti, &csr)).unwrap();
    let (before, bundle) = ask("r1");
    assert_eq!(sequence(&bundle), 1);
    let old = a.all_keys().into_iter().find(|k| k.purpose == Purpose::Svid).unwrap().key;
    let certificate = certificates(&bundle).remove(0);

    let next = IdentitySigningKey::from_pkcs8(&identity_document()).unwrap();
    let new = AnyKey::P256(next.public_key());
    let own = SvidAuthority::certificate_for(&next, "example.test", world.now(), [2; 16]).unwrap();
    let change = Change { purpose: Purpose::Svid, old, new: Some(new), why: Why::Rotated };
    let until = a.key_changed(change).unwrap();
    let mut ring = KeyRing::default();
    ring.replace(Purpose::Svid, (old, new), world.now(), until, false).unwrap();
    let svid = std::sync::Arc::new(SvidAuthority::new(next, own, vec![certificate]).unwrap());
    a.rekey(Installation { ring, ..installation() }, Keys { svid, ..keys() }).unwrap();

    let (after, bundle) = ask("r2");
    assert_eq!(sequence(&bundle), 2);
    for issued in [&before, &after] {
        let verified = anchors(&bundle).verify(&issued.chain[0], &[], Usage::Client, world.now());
        assert!(verified.is_ok());
    }
    // Only what others verify WIT-SVIDs with is a JWK by name; certificates are no JWS keys.
    assert!(a.public_keys().iter().all(|k| k.purpose != Purpose::Svid));
    let then = world.now();
    world.host.advance(661_000);
    let bundle = a.trust_bundle();
    assert_eq!(sequence(&bundle), 3, "a key that went is a change");
    let gone = anchors(&bundle).verify(&before.chain[0], &[], Usage::Client, then);
    assert_eq!(gone, Err(ChainError::Signature));
}
