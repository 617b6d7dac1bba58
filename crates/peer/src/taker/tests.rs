//! What peers may hold, and that everything that is good once is good once, by
//! values of time.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use bailiwick_core::crypto::{P256SigningKey, SigningKey};
use bailiwick_core::guarantee::{Guarantee, Isolation};
use bailiwick_core::jose::{JwsSigner as _, VerifyingKey};
use bailiwick_core::peer::handshake::{Ask, Initiator};
use bailiwick_core::peer::{Anchor, Own};
use bailiwick_core::wit::Identity;

use super::sessions::Sessions;
use super::*;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const B: &str = "spiffe://a.example/agent/billing-specialist/i-2";

fn p256() -> P256SigningKey {
    let document =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    P256SigningKey::from_pkcs8(document.unwrap().as_ref()).unwrap()
}

struct Party {
    spiffe_id: String,
    wit: String,
    identity: P256SigningKey,
    holder: SigningKey,
}

impl Party {
    fn own(&self) -> Own<'_> {
        Own {
            spiffe_id: &self.spiffe_id,
            wit: &self.wit,
            identity: &self.identity,
            holder: &self.holder,
        }
    }
}

struct World {
    ca: P256SigningKey,
    b: Party,
    nonce: u8,
}

impl World {
    fn new() -> Self {
        let ca = p256();
        let b = party(&ca, B, 2, 600);
        Self { ca, b, nonce: 0 }
    }

    fn anchors(&self) -> Vec<Anchor> {
        vec![Anchor {
            trust_domain: "a.example".to_owned(),
            issuer: "https://a.example".to_owned(),
            keys: vec![("ca".to_owned(), VerifyingKey::P256(self.ca.public_key()))],
            max_guarantee: Guarantee::Attested,
        }]
    }

    fn party(&self, name: &str, seed: u8, seconds: i64) -> Party {
        party(&self.ca, &format!("spiffe://a.example/agent/{name}/i-1"), seed, seconds)
    }

    /// The first two messages: the responder, and the last message.
    fn shake(&mut self, a: &Party) -> (Responder, bailiwick_core::peer::handshake::Finish) {
        self.nonce += 2;
        let able = BTreeSet::from([CAPABILITY.to_owned()]);
        let ask = Ask {
            audience: B.to_owned(),
            purpose: "p".to_owned(),
            offered: able.clone(),
            required: able.clone(),
        };
        let anchors = self.anchors();
        let began = Initiator::begin(&a.own(), ask, Channel::Unbound, [self.nonce; 32], NOW);
        let (state, hello) = began.unwrap();
        let nonce = [self.nonce + 1; 32];
        let met = Responder::on_hello(
            &self.b.own(),
            &hello,
            &able,
            &anchors,
            &Channel::Unbound,
            nonce,
            NOW,
        );
        let (responder, reply) = met.unwrap();
        let (_, finish) = state.on_reply(&a.own(), &reply, &anchors, NOW).unwrap();
        (responder, finish)
    }

    /// A whole handshake, in `sessions` as `name`.
    fn meet(&mut self, sessions: &mut Sessions, a: &Party, name: &str) {
        let (responder, finish) = self.shake(a);
        sessions
            .begin(name.to_owned(), responder, a.spiffe_id.clone(), Channel::Unbound, NOW)
            .unwrap();
        let finished = |r: Responder| r.on_finish(&finish, NOW);
        sessions.finish(name, &Channel::Unbound, [7; 32], NOW, finished).unwrap();
    }
}

fn party(ca: &P256SigningKey, spiffe_id: &str, seed: u8, seconds: i64) -> Party {
    let identity = p256();
    let statement = Identity {
        issuer: "https://a.example".to_owned(),
        spiffe_id: spiffe_id.to_owned(),
        key: identity.public_key(),
        issued_at: NOW.seconds(),
        expires_at: NOW.seconds() + seconds,
        jti: "w".to_owned(),
        isolation: Isolation::Unstated,
    };
    let wit = statement.issue("ca", ca).unwrap();
    let holder = SigningKey::from_seed(&[seed; 32]).unwrap();
    assert!(identity.verifying_key().algorithm() == "ES256");
    Party { spiffe_id: spiffe_id.to_owned(), wit, identity, holder }
}

fn code<T>(result: Result<T, PeerError>) -> String {
    result.err().expect("it is refused").code().to_owned()
}

#[test]
fn a_challenge_is_for_one_offer_and_a_new_one_voids_it() {
    let (mut world, mut sessions) = (World::new(), Sessions::new(Limits::default()));
    let a = world.party("runner", 1, 600);
    world.meet(&mut sessions, &a, "s");
    let plain = Channel::Unbound;
    assert_eq!(sessions.expect("s", &plain, NOW).ok().unwrap().challenge, [7; 32]);
    assert_eq!(code(sessions.expect("s", &plain, NOW)), "handoff-challenge");
    sessions.challenge("s", &plain, [8; 32], NOW).unwrap();
    sessions.challenge("s", &plain, [9; 32], NOW).unwrap();
    assert_eq!(sessions.expect("s", &plain, NOW).ok().unwrap().challenge, [9; 32]);
    assert_eq!(code(sessions.expect("t", &plain, NOW)), "peer-session-unknown");
}

#[test]
fn a_peer_whose_identity_expired_mid_session_is_a_stranger() {
    let (mut world, mut sessions) = (World::new(), Sessions::new(Limits::default()));
    let a = world.party("runner", 1, 60);
    world.meet(&mut sessions, &a, "s");
    let plain = Channel::Unbound;
    sessions.challenge("s", &plain, [8; 32], NOW.plus_seconds(59)).unwrap();
    let late = NOW.plus_seconds(60);
    assert_eq!(code(sessions.expect("s", &plain, late)), "peer-session-unknown");
    assert_eq!(code(sessions.challenge("s", &plain, [9; 32], late)), "peer-session-unknown");
}

#[test]
fn a_finish_has_one_try_on_its_own_connection_and_in_time() {
    let (mut world, mut sessions) = (World::new(), Sessions::new(Limits::default()));
    let a = world.party("runner", 1, 600);
    let (plain, tls) = (Channel::Unbound, Channel::Tls { exporter: [1; 32] });
    let mut tried = |channel: &Channel, after: i64, garbled: bool| {
        let (responder, mut finish) = world.shake(&a);
        if garbled {
            finish.signatures.holder.pop();
        }
        let now = NOW.plus_seconds(after);
        let id = a.spiffe_id.clone();
        sessions.begin("s".to_owned(), responder, id, Channel::Unbound, NOW).unwrap();
        let done = |r: Responder| r.on_finish(&finish, now);
        let first = sessions.finish("s", channel, [7; 32], now, done).map_err(|(e, _)| e);
        let again = |_: Responder| panic!("a handshake has one try");
        assert!(sessions.finish("s", &plain, [7; 32], now, again).is_err());
        first
    };
    assert!(tried(&plain, 0, false).is_ok());
    assert_eq!(code(tried(&tls, 0, false)), "handshake-other-connection");
    assert_eq!(code(tried(&plain, 0, true)), "handshake-signature-invalid");
    assert_eq!(code(tried(&plain, 31, false)), "peer-session-unknown");
}

#[test]
fn one_name_cannot_use_up_all_handshakes_and_a_peer_only_its_own_sessions() {
    let limits = Limits {
        handshakes: 3,
        handshakes_per_peer: 2,
        sessions: 3,
        sessions_per_peer: 2,
        ..Limits::default()
    };
    let (mut world, mut sessions) = (World::new(), Sessions::new(limits));
    let (a, c) = (world.party("runner", 1, 600), world.party("reader", 3, 600));
    let begin = |world: &mut World, sessions: &mut Sessions, party: &Party, name: &str| {
        let (responder, _) = world.shake(party);
        let id = party.spiffe_id.clone();
        sessions.begin(name.to_owned(), responder, id, Channel::Unbound, NOW)
    };
    begin(&mut world, &mut sessions, &a, "1").unwrap();
    begin(&mut world, &mut sessions, &a, "2").unwrap();
    assert_eq!(code(begin(&mut world, &mut sessions, &a, "3")), "peer-busy");
    begin(&mut world, &mut sessions, &c, "4").unwrap();
    assert_eq!(code(begin(&mut world, &mut sessions, &c, "5")), "peer-busy");

    let mut sessions = Sessions::new(limits);
    for name in ["a1", "a2", "a3"] {
        world.meet(&mut sessions, &a, name);
    }
    let plain = Channel::Unbound;
    // The oldest made room, and nobody else's.
    assert_eq!(code(sessions.expect("a1", &plain, NOW)), "peer-session-unknown");
    assert!(sessions.expect("a2", &plain, NOW).is_ok());
    world.meet(&mut sessions, &c, "c1");
    assert!(sessions.expect("a3", &plain, NOW).is_ok());
}

#[test]
fn an_offer_is_noted_once_until_it_ends() {
    let mut sessions = Sessions::new(Limits::default());
    let hash = Digest::from_array([5; 32]);
    sessions.note(hash, NOW.seconds() + 60).unwrap();
    assert_eq!(code(sessions.note(hash, NOW.seconds() + 60)), "handoff-repeated");
}
