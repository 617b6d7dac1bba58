//! Keys that sign verdicts: one's own, and counted only when somebody else who
//! answers for the installation says so, or after a day.

use super::*;
use bailiwick_authority::Installation;
use bailiwick_authority::rules::approvers::may_sign;
use bailiwick_core::json::Json;

use crate::authenticator::Authenticator;
use crate::people::{enrol, log_in};
use crate::support::installation;

/// Enrols a key for whoever this is; gives the credential and since when it counts.
fn enrolled(served: &Served, who: &Program, seed: u8) -> (String, String) {
    let body = json!({"name": "laptop", "jwk": jwk(seed)});
    let answer = served.post(who, "/api/v1/approver-keys", &body);
    assert_eq!(answer.status, 201, "{}", answer.text());
    let made = answer.json();
    (made["credential"].as_str().unwrap().to_owned(), made["trusted"].as_str().unwrap().to_owned())
}

fn jwk(seed: u8) -> Value {
    let jwk = Json::from(key(seed).verifying_key().to_jwk()).canonical();
    serde_json::from_str(&jwk).unwrap()
}

#[test]
fn a_new_key_counts_at_once_only_by_the_word_of_another_owner() {
    let served = Served::start();
    // There was nobody yet who could have been asked about the first, which is
    // the owner's passkey: it counts at once, also to vouch.
    let session = enrol(&served.world, "user:owner", &mut Authenticator::new(URL));
    let (owner, me) = (served.let_in(&session, 80), served.log_in("user:142", 81));
    let now = served.now().to_string();
    enrolled(&served, &owner, 90);
    let (own, waits) = enrolled(&served, &owner, 91);
    assert!(waits > now, "{waits}");
    let (mine, waits) = enrolled(&served, &me, 92);
    assert!(waits > now, "{waits}");

    let size = served.world.log_size();
    let vouch = |who: &Program, id: &str| {
        served.post(who, &format!("/api/v1/credentials/{id}/vouch"), &json!({}))
    };
    assert_eq!(refused(&vouch(&me, &own)), (403, "role-missing".to_owned()));
    assert_eq!(refused(&vouch(&me, &mine)), (403, "role-missing".to_owned()));
    assert_eq!(refused(&vouch(&owner, &own)).1, "not-yourself");
    assert_eq!(refused(&vouch(&owner, "nothing")), (404, "unknown-name".to_owned()));
    assert_eq!(served.world.log_size(), size, "nothing was written");

    let done = vouch(&owner, &mine);
    assert_eq!(done.status, 204, "{}", done.text());
    let listed = served.get(&me, "/api/v1/approver-keys").json();
    assert_eq!(
        (&listed["keys"][0]["credential"], &listed["keys"][0]["trusted"]),
        (&json!(mine), &json!(now))
    );
    let alias = served.world.authority.principal(&principal("user:owner")).unwrap().row.alias;
    let entry = &served.entries("credential.trusted")[0];
    assert!(entry.contains(&format!(r#""by":"{alias}""#)), "{entry}");
    // A key is one person's.
    let taken = served.post(&me, "/api/v1/approver-keys", &json!({"name": "x", "jwk": jwk(90)}));
    assert!(taken.status == 409 || taken.status == 422, "{}", taken.text());
}

#[test]
fn a_new_key_counts_after_as_long_as_the_installation_says() {
    let world = World::of(Installation { new_key_seconds: 7_200, ..installation() });
    let (a, ana) = (&world.authority, principal("user:ana"));
    a.init().unwrap();
    a.principal_add(&ana, None).unwrap();
    let enrol = |seed: u8| a.approver_key_add(&ana, &key(seed).verifying_key(), "key").unwrap();
    assert_eq!(enrol(90).trusted, Some(world.now()), "the very first");
    let later = enrol(91);
    assert_eq!(later.trusted, Some(world.now().plus_seconds(7_200)));
    assert!(!may_sign(&later, world.now().plus_seconds(7_199)));
    assert!(may_sign(&later, world.now().plus_seconds(7_200)));
    // The entry says it, so that evidence is judged by what applied.
    let none = Installation { new_key_seconds: 0, ..installation() };
    assert!(none.check().is_err());
}

/// SECURITY: two keys of a moment ago must not make each other count.
#[test]
fn what_is_as_new_vouches_for_nothing() {
    let served = Served::start();
    let (world, a) = (&served.world, &served.world.authority);
    let first = served.let_in(&enrol(world, "user:owner", &mut Authenticator::new(URL)), 80);
    a.role_change(&principal("user:143"), Role::Owner, true).unwrap();
    let mut device = Authenticator::new(URL);
    let new = served.let_in(&enrol(world, "user:143", &mut device), 82);
    let me = served.log_in("user:142", 81);
    let (mine, _) = enrolled(&served, &me, 92);
    let vouch = |who: &Program, id: &str| {
        served.post(who, &format!("/api/v1/credentials/{id}/vouch"), &json!({}))
    };
    let too_new = (403, "voucher-too-new".to_owned());
    let lost = enrol(world, "user:owner", &mut Authenticator::new(URL));
    let size = world.log_size();
    assert_eq!(refused(&vouch(&new, &mine)), too_new);
    // Nor one that nobody knows how it began, nor a new passkey of whoever has an
    // older one, as a link for a lost device makes it.
    assert_eq!(refused(&vouch(&served.log_in("user:owner", 83), &mine)), too_new);
    assert_eq!(refused(&vouch(&served.let_in(&lost, 84), &mine)), too_new);
    assert_eq!(world.log_size(), size, "nothing was written");
    // Nor what somebody else vouched for within the wait: it signs, and no more.
    let alias = a.principal(&principal("user:143")).unwrap().row.alias;
    let theirs = a.passkeys(&alias).unwrap().remove(0).id;
    assert_eq!(vouch(&first, &theirs).status, 204);
    assert_eq!(refused(&vouch(&new, &mine)), too_new);
    // Of age, it vouches.
    world.host.advance(installation().new_key_seconds * 1000);
    device.counter = 1;
    let aged = served.let_in(&log_in(world, &device).unwrap(), 85);
    let (another, waits) = enrolled(&served, &served.log_in("user:142", 86), 93);
    assert!(waits > served.now().to_string());
    assert_eq!(vouch(&aged, &another).status, 204);
}
