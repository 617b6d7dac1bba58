use crate::support::*;

use bailiwick_authority::keyring::{AnyKey, KeyRing, Purpose};
use bailiwick_authority::rules::keys::{Change, Why};
use bailiwick_authority::{Installation, Keys, Maker, PublishedKey};
use bailiwick_core::crypto::Signer as _;
use bailiwick_core::enrolment::IdentitySigningKey;
use bailiwick_core::ledger::Kind;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Filter, StoreError};

fn ed25519(seed: u8) -> AnyKey {
    AnyKey::Ed25519(key(seed).public_key())
}

/// Puts the key of seed `to` in the place of the issuer's, as the operator's
/// command does; gives until when the old one is accepted.
fn replace_issuer(world: &mut World, ring: &mut KeyRing, from: u8, to: u8, why: Why) -> Timestamp {
    let (purpose, old, new) = (Purpose::Issuer, ed25519(from), ed25519(to));
    let change = Change { purpose, old, new: Some(new), why };
    let until = world.authority.key_changed(change).unwrap();
    ring.replace(purpose, (old, new), world.now(), until, why != Why::Rotated).unwrap();
    let other =
        Installation { issuer_key: key(to).public_key(), ring: ring.clone(), ..installation() };
    world.authority.rekey(other, Keys { issuer: key(to), ..keys() }).unwrap();
    world.anchors = world.authority.anchors().unwrap();
    until
}

fn of_issuer(keys: Vec<PublishedKey>) -> Vec<(AnyKey, Option<Timestamp>)> {
    let keys = keys.into_iter().filter(|k| k.purpose == Purpose::Issuer);
    keys.map(|k| (k.key, k.until)).collect()
}

#[test]
fn a_rotated_issuer_key_is_accepted_until_its_last_root_has_ended_and_no_longer() {
    let (mut world, mut ring) = (World::desk(), KeyRing::default());
    let before = world.delegate();
    let until = replace_issuer(&mut world, &mut ring, 1, 7, Why::Rotated);
    assert_eq!(until, world.now().plus_seconds(installation().max_root_seconds + 1));
    let after = world.delegate();
    for issued in [&before, &after] {
        assert_eq!(world.verdict(&[&issued.token], 21), "allow");
    }
    let published = of_issuer(world.authority.public_keys());
    assert_eq!(published, [(ed25519(7), None), (ed25519(1), Some(until))]);
    // Each was signed by the key of its time.
    let trust = world.authority.trust().unwrap();
    let windows: Vec<_> = trust.issuers.iter().map(|i| i.validity).collect();
    assert_eq!(windows[0].not_before, Some(world.now()));
    assert_eq!(windows[1].not_after, Some(until));
    world.host.advance(until.millis_since(world.now()));
    assert_eq!(of_issuer(world.authority.public_keys()), [(ed25519(7), None)]);
    world.anchors = world.authority.anchors().unwrap();
    let late = world.delegate();
    assert_eq!(world.verdict(&[&late.token], 21), "allow");
    assert_eq!(world.anchors, {
        let pairs = vec![(URL.to_owned(), key(7).public_key())];
        bailiwick_core::aat::verify::Anchors::new(pairs).unwrap()
    });
}

#[test]
fn a_compromised_issuer_key_is_no_anchor_any_more_and_its_roots_are_revoked() {
    let (mut world, mut ring) = (World::desk(), KeyRing::default());
    let first = world.delegate();
    world.host.advance(1_000);
    let second = world.delegate();
    world
        .authority
        .revoke(&bailiwick_authority::Target::Grant(second.grant.clone()), "finished", None)
        .unwrap();
    let since = world.now();
    world.host.advance(60_000);
    let until = replace_issuer(&mut world, &mut ring, 1, 7, Why::Compromised { since });
    assert_eq!(until, since);
    let denied = world.verdict(&[&first.token], 21);
    assert_ne!(denied, "allow", "the anchor is gone before anything is revoked");
    let after = world.delegate();
    let ended = world.authority.end_roots(None, Some(world.now())).unwrap();
    assert_eq!(ended.roots, 3, "those of the moment of the change are on the safe side");
    // What can be reissued is what stands: not the grant that was ended.
    assert!(ended.grants.contains(&first.grant) && !ended.grants.contains(&second.grant));
    assert!(ended.instances.contains(&first.instance) && !ended.more);
    // Again, it finds nothing left to do.
    assert_eq!(world.authority.end_roots(None, None).unwrap().roots, 0);
    // Also where the old key is still an anchor, they are revoked.
    world.anchors = {
        let both = [1, 7].map(|n| (URL.to_owned(), key(n).public_key()));
        bailiwick_core::aat::verify::Anchors::new(both.to_vec()).unwrap()
    };
    for issued in [&first, &after] {
        assert_eq!(world.verdict(&[&issued.token], 21), "revoked");
    }
    world.host.advance(10_000);
    let fresh = world.delegate();
    assert_eq!(world.verdict(&[&fresh.token], 21), "allow");
    // Roots of later keys are not its.
    let none = world.authority.end_roots(None, Some(since)).unwrap();
    assert_eq!(none.roots, 0);
    assert_eq!(world.verdict(&[&fresh.token], 21), "allow");
}

#[test]
fn every_change_of_a_key_is_an_entry_that_names_both() {
    let world = World::desk();
    let now = world.now();
    let cases = [
        (Purpose::Issuer, Why::Rotated, now.plus_seconds(3601)),
        (Purpose::Identity, Why::Rotated, now.plus_seconds(3601)),
        (Purpose::Snapshot, Why::Rotated, now.plus_seconds(86_400)),
        (Purpose::AuthorityMaker, Why::Rotated, now.plus_seconds(60)),
        (Purpose::GatewayMaker, Why::Compromised { since: now }, now.plus_seconds(60)),
        (Purpose::Snapshot, Why::Compromised { since: now }, now),
    ];
    for (purpose, why, until) in cases {
        let change = Change { purpose, old: ed25519(1), new: Some(ed25519(7)), why };
        assert_eq!(world.authority.key_changed(change).unwrap(), until, "{purpose:?}");
    }
    let filter = Filter { kind: Some(Kind::KeyChanged), limit: 10, ..Filter::default() };
    let store = world.authority.store();
    let entries = store.read(|v| -> Result<_, StoreError> { v.query(&filter) }).unwrap();
    assert_eq!(entries.len(), cases.len());
    for (entry, (purpose, why, _)) in entries.iter().rev().zip(cases) {
        let reason = if why == Why::Rotated { "rotated" } else { "compromised" };
        assert_eq!(entry.subjects.reason.as_deref(), Some(reason));
        let leaf = String::from_utf8(entry.leaf.clone()).unwrap();
        for fact in [purpose.as_str(), &ed25519(1).kid(), &ed25519(7).kid()] {
            assert!(leaf.contains(fact), "{leaf} does not name {fact}");
        }
    }
    let since = now.plus_seconds(1);
    let change = Change {
        purpose: Purpose::Issuer,
        old: ed25519(1),
        new: Some(ed25519(7)),
        why: Why::Compromised { since },
    };
    assert_eq!(code(world.authority.key_changed(change)), "since-in-future");
}

#[test]
fn keys_are_taken_up_whole_or_not_at_all() {
    let world = World::desk();
    let refused =
        |installation: Installation, keys: Keys| code(world.authority.rekey(installation, keys));
    let i = installation;
    // The private key of another issuer, of no maker, the names of another
    // installation, and one key for two purposes.
    assert_eq!(refused(i(), Keys { issuer: key(7), ..keys() }), "installation-invalid");
    assert_eq!(refused(i(), Keys { maker: key(7), ..keys() }), "installation-invalid");
    let named = Installation { issuer: "http://localhost:4001".into(), ..i() };
    assert_eq!(refused(named, keys()), "installation-invalid");
    for taken in [1, 2, 3, 4] {
        let shared = Keys { snapshot: key(taken), ..keys() };
        assert_eq!(refused(i(), shared), "installation-invalid", "{taken}");
    }
    let both = identity_document();
    let of_svids = svid_authority_of(IdentitySigningKey::from_pkcs8(&both).unwrap());
    let of_identities = std::sync::Arc::new(IdentitySigningKey::from_pkcs8(&both).unwrap());
    let shared = Keys { svid: of_svids, identity: of_identities, ..keys() };
    assert_eq!(refused(i(), shared), "installation-invalid", "SVIDs");
    let shared = Installation { issuer_key: key(6).public_key(), ..i() };
    assert_eq!(refused(shared, Keys { issuer: key(6), ..keys() }), "installation-invalid");
    let issued = world.delegate();
    assert_eq!(world.verdict(&[&issued.token], 21), "allow", "all is as it was");
}

#[test]
fn entries_of_a_new_maker_follow_and_the_trust_file_knows_both() {
    let world = World::desk();
    let old = installation().makers[0].id.clone();
    let change = Change {
        purpose: Purpose::AuthorityMaker,
        old: ed25519(2),
        new: Some(ed25519(8)),
        why: Why::Rotated,
    };
    let until = world.authority.key_changed(change).unwrap();
    let mut ring = KeyRing::default();
    let pair = (ed25519(2), ed25519(8));
    ring.replace(Purpose::AuthorityMaker, pair, world.now(), until, false).unwrap();
    let mut other = Installation { ring, ..installation() };
    other.makers[0] = Maker::authority(key(8).public_key());
    let new = other.makers[0].id.clone();
    world.authority.rekey(other, Keys { maker: key(8), ..keys() }).unwrap();
    world.delegate();
    let store = world.authority.store();
    let entries = store.read(|v| -> Result<_, StoreError> { v.tail(0, 1000) }).unwrap();
    let (of_old, of_new): (Vec<_>, Vec<_>) = entries.iter().partition(|e| e.maker == old);
    assert_eq!(of_old.last().unwrap().kind, "key.changed", "the old maker names the new one");
    assert!(of_new.iter().all(|e| e.maker == new) && !of_new.is_empty());
    let sequence: Vec<u64> = of_new.iter().map(|e| e.seq).collect();
    assert_eq!(sequence, (sequence[0]..).take(sequence.len()).collect::<Vec<_>>());
    let trust = world.authority.trust().unwrap();
    assert!(trust.check().is_ok());
    let after = world.now().plus_seconds(61);
    assert_eq!(trust.maker_at(&old, world.now()).unwrap().key, key(2).public_key());
    assert!(trust.maker_at(&old, after).is_none(), "it makes no more entries");
    assert_eq!(trust.maker_at(&new, after).unwrap().key, key(8).public_key());
}
