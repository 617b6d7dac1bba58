//! The stop button: who may, what it ends, and what it takes to resume.

use crate::support::*;

use bailiwick_authority::people::roles::Role;
use bailiwick_authority::people::sessions::{Method, Session};
use bailiwick_authority::{ListedStop, Refusal, Resuming, Sayer, SignedIn};
use bailiwick_core::approval::{Question, Signed, Verdict};
use bailiwick_core::crypto::{Signer as _, SigningKey};
use bailiwick_core::ids::{ApprovalId, StopId};
use bailiwick_core::jose::VerifyingKey;
use bailiwick_core::stop::{MAX_RESUME_SECONDS, Resumption, StopTarget};
use bailiwick_core::time::Timestamp;
use bailiwick_store::Status;

const DAY: i64 = 86_400_000;

fn target(text: &str) -> StopTarget {
    StopTarget::parse(text).unwrap()
}

/// Somebody who is signed in, with these roles and no other.
fn person(world: &World, name: &str, roles: &[Role]) -> SignedIn {
    let row = world.authority.principal(&principal(name)).unwrap().row;
    for role in roles {
        world.authority.role_change(&principal(name), *role, true).unwrap();
    }
    SignedIn {
        id: principal(name),
        roles: roles.to_vec(),
        session: Session::begin(row.alias.clone(), Method::Passkey, world.now()),
        principal: row,
    }
}

/// An approver key of somebody.
fn enrol(world: &World, name: &str, seed: u8) {
    let public = VerifyingKey::Ed25519(key(seed).public_key());
    world.authority.approver_key_add(&principal(name), &public, "key").unwrap();
}

/// Two owners whose keys, seeds 40 and 41, count; `user:143` is none.
fn owned() -> World {
    let world = World::desk();
    for (name, seed) in [("user:owner", 40), ("user:142", 41), ("user:143", 42)] {
        if seed < 42 {
            world.authority.role_change(&principal(name), Role::Owner, true).unwrap();
        }
        enrol(&world, name, seed);
    }
    world.host.advance(DAY);
    world
}

fn stop(world: &World, text: &str) -> StopId {
    let made = world.authority.stop(&target(text), "a drill").unwrap();
    assert!(made.changed);
    made.stop
}

fn shown(world: &World, id: &StopId) -> ListedStop {
    world.authority.stop_shown(None, id).unwrap()
}

fn asked(world: &World, id: &StopId, seconds: i64) -> Resumption {
    shown(world, id).resumption(world.now().plus_seconds(seconds))
}

fn send(
    world: &World,
    id: &StopId,
    expires: Timestamp,
    seed: u8,
    signed: String,
) -> Result<Resuming, Refusal> {
    let sayer = Sayer::Key(key(seed).public_key().thumbprint());
    world.authority.resume(sayer, id, expires, Signed::Key(signed))
}

/// Signs and sends what is asked for this stop.
fn resume(world: &World, id: &StopId, seed: u8) -> Result<Resuming, Refusal> {
    let asked = asked(world, id, 60);
    send(world, id, asked.expires, seed, asked.sign(&*key(seed)).unwrap())
}

#[test]
fn who_may_stop_what() {
    let world = World::desk();
    let task = format!("task:{}", world.delegate().task);
    let a = &world.authority;
    let own = [
        ("user:142", task.as_str()),
        ("user:owner", "agent:support-runner"),
        ("user:owner", "workflow:support-tickets"),
    ];
    let all = [task.as_str(), "agent:support-runner", "workflow:support-tickets"];
    for name in ["user:142", "user:owner", "user:143"] {
        let who = person(&world, name, &[]);
        for text in all {
            let may = a.may_stop(&who, &target(text)).unwrap();
            assert_eq!(may, own.contains(&(name, text)), "{name} {text}");
            if !may {
                let refused = a.stop_in_session(&who, &target(text), "why");
                assert_eq!(code(refused), "not-yours-to-stop");
            }
        }
        let everything = a.stop_in_session(&who, &StopTarget::Everything, "why");
        assert_eq!(code(everything), "role-missing");
        // What there is not is told to nobody who may not stop it.
        let nobody = a.stop_in_session(&who, &target("agent:nobody"), "why");
        assert_eq!(code(nobody), "not-yours-to-stop");
    }
    for (role, everything) in [(Role::Owner, true), (Role::Operator, true), (Role::Approver, false)]
    {
        let who = person(&world, "user:143", &[role]);
        for text in all {
            assert!(a.may_stop(&who, &target(text)).unwrap(), "{role} {text}");
        }
        assert_eq!(a.may_stop(&who, &StopTarget::Everything).unwrap(), everything, "{role}");
    }
    for role in [Role::Auditor, Role::Developer] {
        let who = person(&world, "user:143", &[role]);
        assert!(!a.may_stop(&who, &target("agent:support-runner")).unwrap(), "{role}");
    }
    // The principal stops the own task, by name in the ledger, and sees it.
    let who = person(&world, "user:142", &[]);
    let made = a.stop_in_session(&who, &target(&task), "not what I asked for").unwrap();
    assert_eq!(shown(&world, &made.stop).principal, Some(principal("user:142")));
    assert_eq!(a.stops_for(&who, false, 10).unwrap().len(), 1);
    let other = person(&world, "user:143", &[]);
    assert!(a.stops_for(&other, false, 10).unwrap().is_empty());
    assert_eq!(code(a.stop_shown(Some(&other), &made.stop)), "unknown-name");
    assert_eq!(code(a.stop(&target("agent:support-runner"), "  ")), "stop-reason-missing");
    let long = "x".repeat(501);
    assert_eq!(code(a.stop(&target("agent:support-runner"), &long)), "stop-reason-missing");
}

#[test]
fn what_is_stopped_neither_acts_nor_is_issued_anything() {
    let world = owned();
    let issued = world.delegate();
    assert_eq!(world.verdict(&[&issued.token], 21), "allow");
    for text in ["agent:support-runner", "workflow:support-tickets", "everything"] {
        let id = stop(&world, text);
        let denial = world.call(&[&issued.token], 21).unwrap_err();
        assert_eq!(denial.reason.code(), "stopped");
        assert_eq!(denial.subject.as_deref(), Some(text));
        let a = &world.authority;
        assert_eq!(code(a.reissue(&issued.grant, None)), "stopped");
        assert_eq!(code(world.prepare(&world.request(&["orders:read"], 5))), "stopped");
        resume(&world, &id, 40).unwrap();
        if text == "everything" {
            assert_eq!(world.verdict(&[&issued.token], 21), "stopped");
            resume(&world, &id, 41).unwrap();
        }
        assert_eq!(world.verdict(&[&issued.token], 21), "allow");
        a.reissue(&issued.grant, None).unwrap();
    }
    // What was revoked meanwhile stays so.
    let id = stop(&world, "agent:support-runner");
    world.authority.agent_status(&agent("agent:support-runner"), Status::Suspended).unwrap();
    resume(&world, &id, 40).unwrap();
    assert_eq!(world.verdict(&[&issued.token], 21), "agent-inactive");
}

#[test]
fn a_signature_for_anything_else_resumes_nothing() {
    let world = owned();
    let (id, other) = (stop(&world, "agent:support-runner"), stop(&world, "agent:order-reader"));
    let right = asked(&world, &id, 60);
    let expires = right.expires;
    let signed = |resumption: &Resumption, key: &SigningKey| resumption.sign(key).unwrap();
    // Another stop's, another target's, another reason's, for another time.
    let wrong = [
        asked(&world, &other, 60),
        Resumption { target: StopTarget::Everything, ..right.clone() },
        Resumption { reason: asked(&world, &other, 60).reason, ..right.clone() },
        Resumption { expires: expires.plus_seconds(1), ..right.clone() },
    ];
    for resumption in wrong {
        let refused = send(&world, &id, expires, 40, signed(&resumption, &key(40)));
        assert_eq!(code(refused), "approval-other-question", "{resumption:?}");
    }
    // An approver's signature, over the same ids.
    let question = Question {
        id: ApprovalId::parse(id.as_str()).unwrap(),
        action: right.digest(),
        policy: right.reason,
        rule: "all".into(),
        expires,
    };
    let approved = question.sign(Verdict::Approve, &*key(40)).unwrap();
    assert_ne!(code(send(&world, &id, expires, 40, approved)), "stop-ended");
    // For too long, and one that is over.
    for seconds in [MAX_RESUME_SECONDS + 1, 0, -1] {
        let resumption = asked(&world, &id, seconds);
        let sent = send(&world, &id, resumption.expires, 40, signed(&resumption, &key(40)));
        assert_eq!(code(sent), "resumption-time", "{seconds}");
    }
    // Somebody else's key, one that nobody enrolled, and one of no owner.
    let theirs = signed(&right, &key(41));
    assert_eq!(code(send(&world, &id, expires, 40, theirs)), "approval-signer-not-enrolled");
    assert_eq!(code(resume(&world, &id, 43)), "approver-not-named");
    assert_eq!(code(resume(&world, &id, 42)), "role-missing");
    // One that was enrolled just now counts tomorrow.
    enrol(&world, "user:owner", 44);
    assert_eq!(code(resume(&world, &id, 44)), "approval-signer-not-enrolled");
    assert!(shown(&world, &id).stop.resumed.is_none());
    world.host.advance(DAY);
    assert!(resume(&world, &id, 44).unwrap().progress.ends());
    assert_eq!(code(resume(&world, &id, 40)), "stop-ended");
    assert!(shown(&world, &other).stop.resumed.is_none());
}

#[test]
fn everything_takes_two_different_owners_where_two_can_sign() {
    let world = owned();
    let id = stop(&world, "everything");
    assert_eq!(shown(&world, &id).needed, 2);
    // The same person twice is one.
    enrol(&world, "user:owner", 45);
    world.host.advance(DAY);
    for seed in [40, 45, 40] {
        let done = resume(&world, &id, seed).unwrap();
        assert_eq!((done.progress.signed, done.progress.ends()), (1, false));
    }
    // What one signed counts for a while only.
    world.host.advance(61_000);
    assert!(!resume(&world, &id, 41).unwrap().progress.ends());
    // Who lost the role meanwhile has signed nothing.
    world.authority.role_change(&principal("user:143"), Role::Owner, true).unwrap();
    world.authority.role_change(&principal("user:142"), Role::Owner, false).unwrap();
    assert!(!resume(&world, &id, 42).unwrap().progress.ends());
    assert!(resume(&world, &id, 40).unwrap().progress.ends());
    let listed = shown(&world, &id);
    assert_eq!(listed.resumed_by, Some(principal("user:owner")));
    let kinds = world.kinds();
    let count = |kind: &str| kinds.iter().filter(|k| *k == kind).count();
    assert_eq!((count("stopped"), count("resume.signed"), count("resumed")), (1, 5, 1));
}

#[test]
fn one_owner_alone_can_resume_everything() {
    let world = World::desk();
    world.authority.role_change(&principal("user:owner"), Role::Owner, true).unwrap();
    // The other one has nothing to sign with, so nobody could be the second.
    world.authority.role_change(&principal("user:142"), Role::Owner, true).unwrap();
    enrol(&world, "user:owner", 40);
    let id = stop(&world, "everything");
    assert!(resume(&world, &id, 40).unwrap().progress.ends());
}

#[test]
fn stops_are_made_again_from_the_ledger_also_without_their_texts() {
    let world = owned();
    let ids = [stop(&world, "everything"), stop(&world, "agent:support-runner")];
    resume(&world, &ids[0], 40).unwrap();
    resume(&world, &ids[1], 41).unwrap();
    let state = || ids.clone().map(|id| shown(&world, &id));
    let before = state();
    let store = world.authority.store();
    store.write(|tx| tx.rebuild()).wait().unwrap();
    assert_eq!(state(), before);
    assert_eq!(before[0].signed.len(), 1);
    // The texts of the entry are erased: the stop stands, its reason is gone.
    let entry = before[0].stop.entry.clone();
    world.authority.erase(&bailiwick_authority::Erasure::Entry(entry)).unwrap();
    store.write(|tx| tx.rebuild()).wait().unwrap();
    let after = shown(&world, &ids[0]);
    assert_eq!((after.reason.as_ref(), &after.stop), (None, &before[0].stop));
    assert!(resume(&world, &ids[0], 41).unwrap().progress.ends());
}
