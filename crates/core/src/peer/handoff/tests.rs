//! Handing over, honest and attacked, one rule at a time.

use super::*;
use crate::crypto::Signer as _;
use crate::peer::claim::Provenance;
use crate::peer::handshake::tests::{BILLING, NOW, RUNNER, recorded, shaken};
use crate::peer::returned::{Return, Status};

const A: u8 = 1;
const B: u8 = 2;
const E: u8 = 3;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap()
}

fn public(seed: u8) -> PublicKey {
    key(seed).public_key()
}

fn thumbprint(seed: u8) -> Thumbprint {
    key(seed).public_key().thumbprint()
}

fn task(n: u8) -> TaskId {
    TaskId::mint(NOW, [n; 10])
}

/// The taker's side of a handshake, an offer of A's, and the delegation beside it.
struct World {
    at_b: Established,
    offer: Offer,
    child: Child,
}

impl World {
    fn new() -> Self {
        let (_, at_b) = shaken(A, B);
        let leaf = sha256(b"the child's token");
        let offer = Offer {
            id: HandoffId::mint(NOW, [1; 10]),
            from: RUNNER.to_owned(),
            to: BILLING.to_owned(),
            holder: thumbprint(B),
            handshake: at_b.transcript(),
            challenge: [7; 32],
            task: task(1),
            purpose: "decide on the refund".to_owned(),
            leaf,
            context: vec![ContextItem {
                digest: sha256(b"the ticket"),
                source: "mcp:support-desk:tools/get_ticket".to_owned(),
                label: "customer".to_owned(),
            }],
            claims: vec![Claim {
                statement: "the parcel arrived broken".to_owned(),
                speaker: RUNNER.to_owned(),
                provenance: Provenance::None,
            }],
            constraints: vec!["no more than the order's price".to_owned()],
            guarantee: Guarantee::Jwt,
            issued_at: NOW.seconds(),
            expires_at: NOW.seconds() + 300,
        };
        let child = Child {
            leaf,
            holder: thumbprint(B),
            parent_holder: thumbprint(A),
            task: task(1),
            expires: NOW.seconds() + 300,
        };
        Self { at_b, offer, child }
    }

    fn taker(&self) -> Taker<'_> {
        Taker {
            spiffe_id: BILLING,
            holder: thumbprint(B),
            challenge: [7; 32],
            child: &self.child,
            now: NOW,
        }
    }

    fn verify(&self, signed: &str) -> Result<Offered, HandoffError> {
        Offered::verify(signed, &self.at_b, &self.taker())
    }

    fn judged(&self) -> Result<Offered, HandoffError> {
        self.verify(&self.offer.sign(&key(A)).unwrap())
    }

    /// What becomes of an offer that differs.
    fn but(change: impl FnOnce(&mut Self)) -> HandoffError {
        let mut world = Self::new();
        change(&mut world);
        world.judged().unwrap_err()
    }
}

#[test]
fn an_offer_is_taken_and_both_sides_have_the_answer() {
    let world = World::new();
    let offered = world.judged().unwrap();
    assert_eq!(offered.offer(), &world.offer);
    for answer in [Answer::Accepted, Answer::Rejected { reason: "not my department".to_owned() }] {
        let signed = offered.answer(&answer, Guarantee::Jwt, NOW, &key(B)).unwrap();
        let read = Answer::verify(&signed, public(B), offered.hash());
        assert_eq!(read, Ok(Answered { answer, guarantee: Guarantee::Jwt }));
    }
    assert_eq!(offered.offer().context[0].check(b"the ticket"), Ok(()));
    assert_eq!(offered.offer().context[0].check(b"the ticket."), Err(HandoffError::Context));
}

#[test]
fn only_the_peer_of_this_handshake_hands_over() {
    let world = World::new();
    let by_e = world.offer.sign(&key(E)).unwrap();
    assert_eq!(world.verify(&by_e).unwrap_err(), HandoffError::Signature);
    // The answer of the taker is no offer, nor one of A's claims.
    let offered = world.judged().unwrap();
    let answer = offered.answer(&Answer::Accepted, Guarantee::Jwt, NOW, &key(A)).unwrap();
    assert_eq!(world.verify(&answer).unwrap_err(), HandoffError::Signature);
    // The same keys in another handshake.
    let (_, again) = shaken(A, B);
    let signed = world.offer.sign(&key(A)).unwrap();
    let error = Offered::verify(&signed, &again, &world.taker()).unwrap_err();
    assert_eq!(error, HandoffError::Redirected);
}

#[test]
fn an_offer_is_for_one_agent_and_its_proved_key() {
    let to = "spiffe://b.example/agent/warehouse/i-3".to_owned();
    assert_eq!(World::but(|w| w.offer.to = to), HandoffError::Redirected);
    assert_eq!(World::but(|w| w.offer.holder = thumbprint(E)), HandoffError::Redirected);
    assert_eq!(World::but(|w| w.offer.from = BILLING.to_owned()), HandoffError::Redirected);
    // Somebody else who gets hold of it takes nothing over.
    let world = World::new();
    let signed = world.offer.sign(&key(A)).unwrap();
    let (_, at_e) = shaken(A, E);
    let taker = Taker { holder: thumbprint(E), ..world.taker() };
    let error = Offered::verify(&signed, &at_e, &taker).unwrap_err();
    assert_eq!(error, HandoffError::Redirected);
}

#[test]
fn an_offer_answers_one_challenge() {
    assert_eq!(World::but(|w| w.offer.challenge = [8; 32]), HandoffError::Challenge);
}

#[test]
fn the_delegation_is_the_named_one_of_this_task_and_the_givers_own() {
    let other = sha256(b"a wider child");
    assert_eq!(World::but(|w| w.child.leaf = other), HandoffError::OtherDelegation);
    assert_eq!(World::but(|w| w.child.holder = thumbprint(E)), HandoffError::OtherDelegation);
    assert_eq!(World::but(|w| w.child.task = task(2)), HandoffError::OtherTask);
    assert_eq!(World::but(|w| w.offer.task = task(2)), HandoffError::OtherTask);
    assert_eq!(World::but(|w| w.child.parent_holder = thumbprint(E)), HandoffError::NotTheirs);
}

#[test]
fn an_offer_stands_for_a_time_that_its_delegation_covers() {
    let now = NOW.seconds();
    assert_eq!(World::but(|w| w.offer.expires_at = now), HandoffError::Time);
    assert_eq!(World::but(|w| w.offer.issued_at = now + 31), HandoffError::Time);
    assert_eq!(World::but(|w| w.child.expires = now + 299), HandoffError::Time);
    let long = |w: &mut World| {
        w.child.expires = now + MAX_SECONDS + 1;
        w.offer.expires_at = now + MAX_SECONDS + 1;
    };
    assert_eq!(World::but(long), HandoffError::Time);
    // The giver's identity ended after the handshake.
    let world = World::new();
    let signed = world.offer.sign(&key(A)).unwrap();
    let late = NOW.plus_seconds(600);
    let child = Child { expires: now + 900, ..world.child.clone() };
    let mut offer = world.offer.clone();
    offer.expires_at = now + 900;
    let later = offer.sign(&key(A)).unwrap();
    let taker = Taker { now: late, child: &child, ..world.taker() };
    assert_eq!(Offered::verify(&signed, &world.at_b, &taker).unwrap_err(), HandoffError::Time);
    assert_eq!(Offered::verify(&later, &world.at_b, &taker).unwrap_err(), HandoffError::Time);
    let before = Taker { now: NOW.plus_seconds(599), ..taker };
    assert!(Offered::verify(&later, &world.at_b, &before).is_ok());
}

#[test]
fn an_answer_is_the_takers_to_this_offer() {
    let world = World::new();
    let offered = world.judged().unwrap();
    let accepted = offered.answer(&Answer::Accepted, Guarantee::Jwt, NOW, &key(B)).unwrap();
    let other = sha256(b"another offer");
    let told = Answer::verify(&accepted, public(B), other);
    assert_eq!(told, Err(HandoffError::OtherHandoff));
    let forged = offered.answer(&Answer::Accepted, Guarantee::Jwt, NOW, &key(E)).unwrap();
    let told = Answer::verify(&forged, public(B), offered.hash());
    assert_eq!(told, Err(HandoffError::Signature));
    // A rejection without a reason, and more than an answer.
    let reasonless =
        offered.answer(&Answer::Rejected { reason: String::new() }, Guarantee::Jwt, NOW, &key(B));
    let told = Answer::verify(&reasonless.unwrap(), public(B), offered.hash());
    assert_eq!(told, Err(HandoffError::Malformed { member: "reason" }));
    let more =
        Answer::Accepted.to_json(offered.hash(), Guarantee::Jwt, NOW).with("scope", "everything");
    let more = jose::sign(ANSWER_TYPE, None, &more.into(), &key(B)).unwrap();
    let told = Answer::verify(&more, public(B), offered.hash());
    assert_eq!(told, Err(HandoffError::Malformed { member: "answer" }));
}

#[test]
fn offers_are_read_strictly() {
    let world = World::new();
    let good = world.offer.to_json();
    let with = |member: &str, value: Json| {
        let changed: Json = good.as_object().unwrap().clone().with(member, value).into();
        world.verify(&jose::sign(TYPE, None, &changed, &key(A)).unwrap()).unwrap_err()
    };
    let bad = |member| HandoffError::Malformed { member };
    assert_eq!(with("v", 2u64.into()), bad("v"));
    assert_eq!(with("more", 1u64.into()), bad("v"));
    assert_eq!(with("jti", "x".into()), bad("jti"));
    assert_eq!(with("purpose", "x".repeat(501).into()), bad("purpose"));
    assert_eq!(with("aud", Json::from(vec![Json::from(BILLING)])), bad("aud"));
    let many = |n: usize| Json::from(vec![Json::from("x"); n]);
    assert_eq!(with("constraints", many(MAX_CONSTRAINTS + 1)), bad("constraints"));
    assert_eq!(with("claims", many(MAX_ITEMS + 1)), bad("claims"));
    assert_eq!(with("context", many(1)), bad("context"));
}

/// The same offer, as the authority that was not there sees it.
fn witnessed(change: impl FnOnce(&mut World)) -> Result<Offered, HandoffError> {
    let (record, anchors) = recorded(A, B);
    let proven = record.verify(&anchors, NOW).unwrap();
    let mut world = World::new();
    world.offer.handshake = proven.transcript();
    change(&mut world);
    let signed = world.offer.sign(&key(A)).unwrap();
    Offered::witness(&signed, &proven, &world.child, NOW)
}

#[test]
fn a_third_party_verifies_an_offer_by_the_record_of_the_handshake() {
    assert!(witnessed(|_| ()).is_ok());
    let wrong = |change: fn(&mut World)| witnessed(change).unwrap_err();
    assert_eq!(wrong(|w| w.offer.handshake = sha256(b"other")), HandoffError::Redirected);
    assert_eq!(wrong(|w| w.offer.holder = thumbprint(E)), HandoffError::Redirected);
    let elsewhere = "spiffe://b.example/agent/warehouse/i-3";
    assert_eq!(
        witnessed(|w| w.offer.to = elsewhere.to_owned()).unwrap_err(),
        HandoffError::Redirected
    );
    assert_eq!(
        witnessed(|w| w.offer.from = elsewhere.to_owned()).unwrap_err(),
        HandoffError::Redirected
    );
    assert_eq!(wrong(|w| w.child.parent_holder = thumbprint(E)), HandoffError::NotTheirs);
    assert_eq!(wrong(|w| w.child.task = task(2)), HandoffError::OtherTask);
    assert_eq!(wrong(|w| w.offer.expires_at = NOW.seconds()), HandoffError::Time);
    // Signed by the other side, or by somebody else.
    assert_eq!(wrong(|w| w.offer.from = BILLING.to_owned()), HandoffError::Signature);
}

#[test]
fn no_more_certainty_is_stated_than_the_handshake_can_have_given() {
    let (record, anchors) = recorded(A, B);
    let bound: Vec<_> = anchors
        .into_iter()
        .map(|anchor| crate::peer::Anchor { max_guarantee: Guarantee::Jwt, ..anchor })
        .collect();
    let proven = record.verify(&bound, NOW).unwrap();
    let mut world = World::new();
    world.offer.handshake = proven.transcript();
    for (stated, refused) in [(Guarantee::Jwt, false), (Guarantee::Mtls, true)] {
        world.offer.guarantee = stated;
        let signed = world.offer.sign(&key(A)).unwrap();
        let seen = Offered::witness(&signed, &proven, &world.child, NOW);
        assert_eq!(seen.err(), refused.then_some(HandoffError::Guarantee));
    }
}

#[test]
fn what_comes_back_is_the_takers_word_about_this_handoff() {
    let hash = sha256(b"the offer");
    let claim = Claim {
        statement: "the refund was made".to_owned(),
        speaker: BILLING.to_owned(),
        provenance: Provenance::None,
    };
    let back = Return { handoff: hash, status: Status::Done, claims: vec![claim] };
    let signed = back.sign(NOW, &key(B)).unwrap();
    assert_eq!(Return::verify(&signed, public(B), hash), Ok(back));
    assert_eq!(Return::verify(&signed, public(E), hash), Err(HandoffError::Signature));
    let other = sha256(b"another");
    assert_eq!(Return::verify(&signed, public(B), other), Err(HandoffError::OtherHandoff));
}
