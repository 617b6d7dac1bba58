//! Publishing the organisation's policy.

use crate::support::*;

use bailiwick_authority::rules::policies::read;
use bailiwick_core::crypto::sha256;
use bailiwick_core::json::Json;
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Bundle;
use bailiwick_store::{Filter, Place, Policy, StoreError};

fn bundle(id: &str) -> Bundle {
    let text = format!("@id(\"{id}\") @reason(\"r\") permit (principal, action, resource);");
    Bundle::parse([("a.cedar".to_owned(), text)]).unwrap()
}

fn entries(world: &World, kind: Kind) -> Vec<Json> {
    let filter = Filter { kind: Some(kind), limit: 100, ..Filter::default() };
    let found = world.authority.store().read(|v| -> Result<_, StoreError> { v.query(&filter) });
    let body = |leaf: &[u8]| {
        let leaf = Json::parse(leaf, &JsonLimits::DEFAULT).unwrap();
        leaf.as_object().unwrap().member("body").unwrap().clone()
    };
    found.unwrap().iter().map(|e| body(&e.leaf)).collect()
}

#[test]
fn a_bundle_is_in_force_from_its_entry_on_and_is_written_once() {
    let world = World::desk();
    let a = &world.authority;
    let none = a.policies().unwrap();
    assert!(none.enforced.is_none() && none.candidate.is_none());
    let (one, two) = (bundle("one"), bundle("two"));
    let published = a.policy_publish(Place::Enforced, one.clone()).unwrap();
    assert_eq!((published.digest, published.before), (Some(one.digest()), None));
    assert!(!a.policy_publish(Place::Enforced, one.clone()).unwrap().changed());
    let published = a.policy_publish(Place::Enforced, two.clone()).unwrap();
    assert_eq!(published.before, Some(one.digest()));
    assert_eq!(a.policies().unwrap().enforced.unwrap().digest(), two.digest());
    // Every version stays there to be asked again.
    for bundle in [&one, &two] {
        assert_eq!(a.policy_of(&bundle.digest()).unwrap().files(), bundle.files());
    }
    assert_eq!(a.policy_of(&sha256(b"other")).unwrap_err().code(), "unknown-name");
    let written = entries(&world, Kind::PolicyPublished);
    assert_eq!(written.len(), 2, "the same bundle twice is written once");
    let member = |name: &str| written[0].as_object().unwrap().member(name).cloned();
    assert_eq!(member("digest"), Some(Json::from(two.digest())));
    assert_eq!(member("before"), Some(Json::from(one.digest())));
}

#[test]
fn a_candidate_has_a_place_of_its_own_and_ends() {
    let world = World::desk();
    let a = &world.authority;
    let (one, two) = (bundle("one"), bundle("two"));
    a.policy_publish(Place::Enforced, one.clone()).unwrap();
    assert!(!a.policy_clear_candidate().unwrap().changed());
    a.policy_publish(Place::Candidate, two.clone()).unwrap();
    let policies = a.policies().unwrap();
    assert_eq!(policies.enforced.unwrap().digest(), one.digest());
    assert_eq!(policies.candidate.unwrap().digest(), two.digest());
    assert_eq!(a.policy_clear_candidate().unwrap().before, Some(two.digest()));
    let policies = a.policies().unwrap();
    assert_eq!(policies.enforced.unwrap().digest(), one.digest());
    assert!(policies.candidate.is_none());
    assert_eq!(entries(&world, Kind::PolicyCandidate).len(), 2);
    assert_eq!(a.policy_history().unwrap().len(), 3);
}

#[test]
fn a_document_that_is_not_what_was_published_is_refused() {
    let one = bundle("one");
    let document = one.to_json().canonical();
    let row = |document: &str| Policy {
        place: Place::Enforced,
        digest: Some(one.digest()),
        document: document.to_owned(),
        published: Timestamp::from_seconds(0),
    };
    assert_eq!(read(&row(&document)).unwrap().unwrap().digest(), one.digest());
    let half = &document[..document.len() / 2];
    let looser = bundle("two").to_json().canonical();
    for document in ["", half, &looser] {
        assert_eq!(read(&row(document)).unwrap_err().code(), "policy-unreadable", "{document}");
    }
}
