//! The handshake, honest and attacked, one rule at a time.

use proptest::prelude::*;

use super::*;
use crate::crypto::{P256SigningKey, SigningKey, fresh_p256};
use crate::guarantee::{Guarantee, Isolation};
use crate::jose::{JwsSigner, VerifyingKey};
use crate::peer::record::Record;
use crate::wit::Identity;

pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
pub(crate) const RUNNER: &str = "spiffe://a.example/agent/support-runner/i-1";
pub(crate) const BILLING: &str = "spiffe://b.example/agent/billing-specialist/i-7";
const BILLING_AGENT: &str = "spiffe://b.example/agent/billing-specialist";

/// A trust domain's authority.
struct Domain {
    name: &'static str,
    key: P256SigningKey,
}

impl Domain {
    fn new(name: &'static str) -> Self {
        Self { name, key: fresh_p256() }
    }

    fn anchor(&self) -> Anchor {
        Anchor {
            trust_domain: self.name.to_owned(),
            issuer: format!("https://authority.{}", self.name),
            keys: vec![("ca".to_owned(), self.key.verifying_key())],
            max_guarantee: Guarantee::Attested,
        }
    }

    fn side(&self, spiffe_id: &'static str, seed: u8) -> Side {
        self.side_until(spiffe_id, seed, 600)
    }

    fn side_until(&self, spiffe_id: &'static str, seed: u8, seconds: i64) -> Side {
        self.side_apart(spiffe_id, seed, seconds, Isolation::Namespaces)
    }

    fn side_apart(
        &self,
        spiffe_id: &'static str,
        seed: u8,
        seconds: i64,
        isolation: Isolation,
    ) -> Side {
        let identity = fresh_p256();
        let statement = Identity {
            issuer: format!("https://authority.{}", self.name),
            spiffe_id: spiffe_id.to_owned(),
            key: identity.public_key(),
            issued_at: NOW.seconds(),
            expires_at: NOW.seconds() + seconds,
            jti: "w".to_owned(),
            isolation,
        };
        let wit = statement.issue("ca", &self.key).unwrap();
        Side { spiffe_id, wit, identity, holder: SigningKey::from_seed(&[seed; 32]).unwrap() }
    }
}

/// One agent's instance.
struct Side {
    spiffe_id: &'static str,
    wit: String,
    identity: P256SigningKey,
    holder: SigningKey,
}

impl Side {
    fn own(&self) -> Own<'_> {
        Own {
            spiffe_id: self.spiffe_id,
            wit: &self.wit,
            identity: &self.identity,
            holder: &self.holder,
        }
    }
}

/// Two domains, the two agents, and a third one that is no friend.
struct World {
    anchors: Vec<Anchor>,
    a: Side,
    b: Side,
    e: Side,
    channel: Channel,
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|w| (*w).to_owned()).collect()
}

fn ask() -> Ask {
    Ask {
        audience: BILLING_AGENT.to_owned(),
        purpose: "decide on the refund of ticket 8821".to_owned(),
        offered: set(&["handoff.1", "claims.1"]),
        required: set(&["handoff.1"]),
    }
}

impl World {
    fn new() -> Self {
        let (mine, theirs) = (Domain::new("a.example"), Domain::new("b.example"));
        Self {
            anchors: vec![mine.anchor(), theirs.anchor()],
            a: mine.side(RUNNER, 1),
            b: theirs.side(BILLING, 2),
            e: theirs.side("spiffe://b.example/agent/billing-specialist2/i-9", 3),
            channel: Channel::Tls { exporter: [9; 32] },
        }
    }

    fn begin(&self) -> (Initiator, Hello) {
        Initiator::begin(&self.a.own(), ask(), self.channel.clone(), [1; 32], NOW).unwrap()
    }

    fn answer_as(&self, side: &Side, hello: &Hello) -> Result<(Responder, Reply), HandshakeError> {
        let able = set(&["handoff.1", "claims.1", "other"]);
        let own = side.own();
        Responder::on_hello(&own, hello, &able, &self.anchors, &self.channel, [2; 32], NOW)
    }

    fn answer(&self, hello: &Hello) -> (Responder, Reply) {
        self.answer_as(&self.b, hello).unwrap()
    }

    fn take(
        &self,
        initiator: Initiator,
        reply: &Reply,
    ) -> Result<(Established, Finish), HandshakeError> {
        initiator.on_reply(&self.a.own(), reply, &self.anchors, NOW)
    }
}

/// A handshake of two agents of these keys: as each side has it, and its record.
fn shake(a: u8, b: u8) -> (World, Established, Established, Record) {
    let (mine, theirs) = (Domain::new("a.example"), Domain::new("b.example"));
    let world = World {
        anchors: vec![mine.anchor(), theirs.anchor()],
        a: mine.side(RUNNER, a),
        b: theirs.side(BILLING, b),
        ..World::new()
    };
    let (initiator, hello) = world.begin();
    let (responder, reply) = world.answer(&hello);
    let (at_a, finish) = world.take(initiator, &reply).unwrap();
    let at_b = responder.on_finish(&finish, NOW).unwrap();
    let record = Record { hello, reply, finish, channel: world.channel.seen_by_others() };
    (world, at_a, at_b, record)
}

/// A handshake of two agents of these keys, as each side has it.
pub(crate) fn shaken(a: u8, b: u8) -> (Established, Established) {
    let (_, at_a, at_b, _) = shake(a, b);
    (at_a, at_b)
}

/// The same, as others have it, with the anchors of both.
pub(crate) fn recorded(a: u8, b: u8) -> (Record, Vec<Anchor>) {
    let (world, _, _, record) = shake(a, b);
    (record, world.anchors)
}

#[test]
fn a_record_proves_to_others_that_both_sides_proved_themselves() {
    let (world, at_a, _, record) = shake(1, 2);
    let record = Record::read(&record.to_json()).unwrap();
    let proven = record.verify(&world.anchors, NOW).unwrap();
    assert_eq!(proven.transcript(), at_a.transcript());
    assert_eq!(proven.responder().holder, at_a.peer().holder);
    assert_eq!(proven.initiator().spiffe_id, RUNNER);
    assert_eq!((proven.purpose(), proven.capabilities()), (at_a.purpose(), at_a.capabilities()));
    // Each of the four signatures counts, and everything that was said.
    let fails = |change: &dyn Fn(&mut Record), error| {
        let mut changed = record.clone();
        change(&mut changed);
        assert_eq!(changed.verify(&world.anchors, NOW), Err(error));
    };
    let (reply, finish) = (record.reply.signatures.clone(), record.finish.signatures.clone());
    let wrong = HandshakeError::Signature;
    fails(&|r| r.reply.signatures.holder = finish.holder.clone(), wrong);
    fails(&|r| r.reply.signatures.identity = finish.identity.clone(), wrong);
    fails(&|r| r.finish.signatures.holder = reply.holder.clone(), wrong);
    fails(&|r| r.finish.signatures.identity = reply.identity.clone(), wrong);
    fails(&|r| r.hello.purpose = "another".to_owned(), wrong);
    fails(&|r| r.hello.from.nonce = [3; 32], wrong);
    fails(&|r| r.hello.offered = set(&["handoff.1", "claims.1", "more"]), wrong);
    fails(&|r| r.reply.chosen = set(&["handoff.1"]), wrong);
    fails(&|r| r.reply.chosen = set(&["handoff.2"]), HandshakeError::Capabilities);
    fails(&|r| r.channel = Binding::None, wrong);
    fails(&|r| r.hello.audience = RUNNER.to_owned(), HandshakeError::OtherPeer);
    fails(&|r| r.reply.from = r.hello.from.clone(), HandshakeError::Reflected);
    let late = NOW.plus_seconds(700);
    let expired = HandshakeError::Identity(WitError::Time);
    assert_eq!(record.verify(&world.anchors, late), Err(expired));
    let unknown = HandshakeError::UnknownTrustDomain;
    assert_eq!(record.verify(&world.anchors[..1], NOW), Err(unknown));
}

#[test]
fn both_sides_know_each_other_and_the_same_handshake() {
    let world = World::new();
    let (initiator, hello) = world.begin();
    let hello = Hello::parse(hello.to_json().canonical().as_bytes()).unwrap();
    let (responder, reply) = world.answer(&hello);
    let reply = Reply::parse(reply.to_json().canonical().as_bytes()).unwrap();
    let (at_a, finish) = world.take(initiator, &reply).unwrap();
    let finish = Finish::parse(finish.to_json().canonical().as_bytes()).unwrap();
    let at_b = responder.on_finish(&finish, NOW).unwrap();

    assert_eq!(at_a.transcript(), at_b.transcript());
    assert_eq!((at_a.purpose(), at_a.capabilities()), (at_b.purpose(), at_b.capabilities()));
    assert_eq!(at_a.capabilities(), &set(&["handoff.1", "claims.1"]));
    assert_eq!(at_a.peer().spiffe_id, BILLING);
    assert_eq!(at_a.peer().holder, world.b.holder.public_key());
    assert_eq!(at_b.peer().spiffe_id, RUNNER);
    assert_eq!(at_b.peer().identity, world.a.identity.public_key());
    assert_eq!(at_a.peer().guarantee, Guarantee::Jwt);
}

#[test]
fn the_guarantee_is_that_of_the_connection_and_the_anchor_bounds_it() {
    let reached =
        |channel: Channel, bound: Guarantee| reached_by(Isolation::Namespaces, channel, bound);
    fn reached_by(apart: Isolation, channel: Channel, bound: Guarantee) -> Guarantee {
        let (mine, theirs) = (Domain::new("a.example"), Domain::new("b.example"));
        let mut world = World {
            anchors: vec![mine.anchor(), theirs.anchor()],
            a: mine.side_apart(RUNNER, 1, 600, apart),
            b: theirs.side(BILLING, 2),
            ..World::new()
        };
        world.anchors[0].max_guarantee = bound;
        world.channel = channel;
        let (initiator, hello) = world.begin();
        let (responder, reply) = world.answer(&hello);
        // Its own view of the connection: what the certificate said of the other one.
        let mut initiator = initiator;
        if let Channel::MutualTls { peer, .. } = &mut initiator.channel {
            *peer = BILLING.to_owned();
        }
        let (_, finish) = world.take(initiator, &reply).unwrap();
        responder.on_finish(&finish, NOW).unwrap().peer().guarantee
    }
    let mutual = || Channel::MutualTls { exporter: [9; 32], peer: RUNNER.to_owned() };
    assert_eq!(reached(Channel::Unbound, Guarantee::Attested), Guarantee::Key);
    assert_eq!(reached(Channel::Tls { exporter: [9; 32] }, Guarantee::Attested), Guarantee::Jwt);
    // The issuer vouches in this one's token that its program runs apart.
    assert_eq!(reached(mutual(), Guarantee::Attested), Guarantee::Attested);
    for none in [Isolation::None, Isolation::Unstated] {
        assert_eq!(reached_by(none, mutual(), Guarantee::Attested), Guarantee::Mtls);
    }
    assert_eq!(reached(mutual(), Guarantee::Key), Guarantee::Key);
}

#[test]
fn a_copied_identity_without_its_keys_proves_nothing() {
    let world = World::new();
    let (initiator, hello) = world.begin();
    // E shows B's identity token, and has neither of B's keys.
    let spoof = |holder: SigningKey| Side {
        spiffe_id: BILLING,
        wit: world.b.wit.clone(),
        identity: fresh_p256(),
        holder,
    };
    let own = spoof(SigningKey::from_seed(&[3; 32]).unwrap());
    let (_, reply) = world.answer_as(&own, &hello).unwrap();
    assert_eq!(world.take(initiator, &reply).unwrap_err(), HandshakeError::Signature);
    // Nor does one of the two keys do.
    let (initiator, hello) = world.begin();
    let stolen = spoof(SigningKey::from_seed(&[2; 32]).unwrap());
    let (_, reply) = world.answer_as(&stolen, &hello).unwrap();
    assert_eq!(world.take(initiator, &reply).unwrap_err(), HandshakeError::Signature);
    let (initiator, hello) = world.begin();
    let (_, mut reply) = world.answer(&hello);
    reply.from.holder = world.e.holder.public_key();
    assert_eq!(world.take(initiator, &reply).unwrap_err(), HandshakeError::Signature);
    // The asking side is nobody until it signed.
    let (_, mut hello) = world.begin();
    hello.from.holder = world.e.holder.public_key();
    let (responder, _) = world.answer(&hello);
    let by_e = sign(&world.e.own(), Role::Initiator, responder.transcript).unwrap();
    let error = responder.on_finish(&Finish { signatures: by_e }, NOW).unwrap_err();
    assert_eq!(error, HandshakeError::Signature);
}

#[test]
fn whoever_answers_must_be_who_was_asked_even_with_a_name_that_looks_like_it() {
    let world = World::new();
    let (initiator, mut hello) = world.begin();
    // E is a real agent of the same trust domain, whose name begins alike.
    assert_eq!(world.answer_as(&world.e, &hello).unwrap_err(), HandshakeError::OtherAudience);
    hello.audience = "spiffe://b.example/agent/billing-specialist2".to_owned();
    let (_, reply) = world.answer_as(&world.e, &hello).unwrap();
    assert_eq!(world.take(initiator, &reply).unwrap_err(), HandshakeError::OtherPeer);
}

#[test]
fn what_is_sent_back_to_its_sender_is_refused() {
    let world = World::new();
    // A's own hello, answered by A.
    let mut at_myself = ask();
    at_myself.audience = RUNNER.to_owned();
    let own = world.a.own();
    let (initiator, hello) =
        Initiator::begin(&own, at_myself, world.channel.clone(), [1; 32], NOW).unwrap();
    assert_eq!(world.answer_as(&world.a, &hello).unwrap_err(), HandshakeError::Reflected);
    let reply = Reply {
        from: hello.from.clone(),
        chosen: hello.offered.clone(),
        signatures: sign(&own, Role::Responder, sha256(b"any")).unwrap(),
    };
    assert_eq!(world.take(initiator, &reply).unwrap_err(), HandshakeError::Reflected);
    // The responder's own signatures are none of the initiator's.
    let (_, hello) = world.begin();
    let (responder, reply) = world.answer(&hello);
    let finish = Finish { signatures: reply.signatures };
    assert_eq!(responder.on_finish(&finish, NOW).unwrap_err(), HandshakeError::Signature);
    // Not even by the right keys in the other role.
    let (_, hello) = world.begin();
    let (responder, _) = world.answer(&hello);
    let signatures = sign(&own, Role::Responder, responder.transcript).unwrap();
    let error = responder.on_finish(&Finish { signatures }, NOW).unwrap_err();
    assert_eq!(error, HandshakeError::Signature);
}

#[test]
fn nobody_stands_between_the_two_under_a_third_name() {
    let world = World::new();
    // E passes A's hello on as its own: B would talk to E, and A to B.
    let (initiator, hello) = world.begin();
    let mut as_e = hello.clone();
    as_e.from = Presented {
        wit: world.e.wit.clone(),
        holder: world.e.holder.public_key(),
        nonce: hello.from.nonce,
    };
    let (responder, reply) = world.answer(&as_e);
    assert_eq!(world.take(initiator, &reply).unwrap_err(), HandshakeError::Signature);
    // What A signs for another handshake does not finish that one.
    let (initiator, hello) = world.begin();
    let (_, honest) = world.answer(&hello);
    let (_, finish) = world.take(initiator, &honest).unwrap();
    assert_eq!(responder.on_finish(&finish, NOW).unwrap_err(), HandshakeError::Signature);
}

#[test]
fn messages_of_another_handshake_are_of_no_use() {
    let world = World::new();
    let (initiator, hello) = world.begin();
    let (_, old_reply) = world.answer(&hello);
    let (_, old_finish) = world.take(initiator, &old_reply).unwrap();
    // The reply again, to a hello with another nonce.
    let own = world.a.own();
    let (again, _) = Initiator::begin(&own, ask(), world.channel.clone(), [5; 32], NOW).unwrap();
    assert_eq!(world.take(again, &old_reply).unwrap_err(), HandshakeError::Signature);
    // Hello and finish again, to a responder with another nonce.
    let b = world.b.own();
    let able = set(&["handoff.1", "claims.1"]);
    let (responder, _) =
        Responder::on_hello(&b, &hello, &able, &world.anchors, &world.channel, [6; 32], NOW)
            .unwrap();
    assert_eq!(responder.on_finish(&old_finish, NOW).unwrap_err(), HandshakeError::Signature);
}

#[test]
fn nothing_that_was_agreed_on_can_be_lowered_on_the_way() {
    let world = World::new();
    // Offers taken out on the way to B.
    let (initiator, mut hello) = world.begin();
    hello.offered = set(&["handoff.1"]);
    let (_, reply) = world.answer(&hello);
    assert_eq!(world.take(initiator, &reply).unwrap_err(), HandshakeError::Signature);
    // The choice changed on the way back, within and beyond what was offered.
    let chosen = |words: &[&str]| {
        let (initiator, hello) = world.begin();
        let (_, mut reply) = world.answer(&hello);
        reply.chosen = set(words);
        world.take(initiator, &reply).unwrap_err()
    };
    assert_eq!(chosen(&["handoff.1"]), HandshakeError::Signature);
    assert_eq!(chosen(&["claims.1"]), HandshakeError::Capabilities);
    assert_eq!(chosen(&["handoff.1", "other"]), HandshakeError::Capabilities);
    // Another purpose, and another connection on either side.
    let (initiator, mut hello) = world.begin();
    hello.purpose = "pay it twice".to_owned();
    let (_, reply) = world.answer(&hello);
    assert_eq!(world.take(initiator, &reply).unwrap_err(), HandshakeError::Signature);
    for other in [Channel::Unbound, Channel::Tls { exporter: [8; 32] }] {
        let mut there = World { channel: other, ..World::new() };
        there.anchors.clone_from(&world.anchors);
        let (initiator, hello) = world.begin();
        let (_, reply) = there.answer_as(&world.b, &hello).unwrap();
        assert_eq!(world.take(initiator, &reply).unwrap_err(), HandshakeError::Signature);
    }
    // A certificate of somebody else.
    let mut initiator = world.begin().0;
    let (_, reply) = world.answer(&world.begin().1);
    let peer = "spiffe://b.example/agent/billing-specialist/i-8".to_owned();
    initiator.channel = Channel::MutualTls { exporter: [9; 32], peer };
    assert_eq!(world.take(initiator, &reply).unwrap_err(), HandshakeError::OtherConnection);
}

#[test]
fn only_configured_trust_domains_speak_and_each_for_itself() {
    let world = World::new();
    let answered = |anchors: Vec<Anchor>| {
        let (_, hello) = world.begin();
        let able = set(&["handoff.1"]);
        let own = world.b.own();
        Responder::on_hello(&own, &hello, &able, &anchors, &world.channel, [2; 32], NOW)
            .map(drop)
            .unwrap_err()
    };
    let theirs = world.anchors[1].clone();
    assert_eq!(answered(vec![theirs.clone()]), HandshakeError::UnknownTrustDomain);
    // Another domain's keys under this name, and a domain without keys.
    let mut other = world.anchors[0].clone();
    other.keys.clone_from(&theirs.keys);
    assert!(matches!(answered(vec![other]), HandshakeError::Identity(_)));
    let mut revoked = world.anchors[0].clone();
    revoked.keys.clear();
    assert_eq!(answered(vec![revoked]), HandshakeError::Identity(WitError::Key));
    // B's own domain names an agent of A's.
    let foreign = Domain { name: "a.example", key: fresh_p256() }.side(RUNNER, 7);
    let (initiator, _) =
        Initiator::begin(&foreign.own(), ask(), world.channel.clone(), [1; 32], NOW).unwrap();
    let hello = initiator.hello;
    assert!(matches!(world.answer_as(&world.b, &hello).unwrap_err(), HandshakeError::Identity(_)));
}

#[test]
fn a_handshake_ends_with_its_time_and_with_either_identity() {
    let world = World::new();
    let late = NOW.plus_seconds(MAX_SECONDS + 1);
    let (initiator, hello) = world.begin();
    let (responder, reply) = world.answer(&hello);
    let own = world.a.own();
    let slow = initiator.on_reply(&own, &reply, &world.anchors, late);
    assert_eq!(slow.unwrap_err(), HandshakeError::Expired);
    let (initiator, hello) = world.begin();
    let (_, reply) = world.answer(&hello);
    let back = initiator.on_reply(&own, &reply, &world.anchors, NOW.plus_seconds(-1));
    assert_eq!(back.unwrap_err(), HandshakeError::Expired);
    let finish = Finish { signatures: sign(&own, Role::Initiator, responder.transcript).unwrap() };
    assert_eq!(responder.on_finish(&finish, late).unwrap_err(), HandshakeError::Expired);

    // B's identity token ends while A waits.
    let theirs = Domain::new("b.example");
    let mut world = World::new();
    world.anchors[1] = theirs.anchor();
    world.b = theirs.side_until(BILLING, 2, 10);
    let (initiator, hello) = world.begin();
    let (_, reply) = world.answer(&hello);
    let own = world.a.own();
    let ended = initiator.on_reply(&own, &reply, &world.anchors, NOW.plus_seconds(11));
    assert_eq!(ended.unwrap_err(), HandshakeError::Expired);
}

#[test]
fn messages_are_read_strictly() {
    let world = World::new();
    let (_, hello) = world.begin();
    let (_, reply) = world.answer(&hello);
    let good = hello.to_json();
    let with = |member: &str, value: Json| {
        let changed = good.as_object().unwrap().clone().with(member, value);
        Hello::parse(Json::from(changed).canonical().as_bytes()).map(drop)
    };
    let bad = |member| Err(HandshakeError::Malformed { member });
    assert_eq!(with("v", 2u64.into()), bad("v"));
    assert_eq!(with("more", 1u64.into()), bad("message"));
    assert_eq!(with("nonce", "short".into()), bad("nonce"));
    assert_eq!(with("purpose", "".into()), bad("purpose"));
    assert_eq!(with("purpose", "x".repeat(501).into()), bad("purpose"));
    for audience in ["billing", "spiffe://b.example", "spiffe://b.example/", "spiffe:///agent/b"] {
        assert_eq!(with("audience", audience.into()), bad("audience"), "{audience}");
    }
    let list = |words: &[&str]| Json::from(words.iter().map(|w| (*w).into()).collect::<Vec<_>>());
    assert_eq!(with("offered", list(&["a", "a"])), bad("offered"));
    assert_eq!(with("offered", list(&["A"])), bad("offered"));
    let many: Vec<String> = (0..17).map(|n| format!("c{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(with("offered", list(&many)), bad("offered"));
    // There is no form of a reply or a finish without signatures.
    let mut unsigned = reply.to_json().as_object().unwrap().clone();
    unsigned.remove("signatures");
    let text = Json::from(unsigned.with("none", true)).canonical();
    assert_eq!(
        Reply::parse(text.as_bytes()),
        Err(HandshakeError::Malformed { member: "signatures" })
    );
    assert!(Finish::parse(b"{\"v\":1}").is_err());
}

#[test]
fn a_key_that_is_no_p256_key_names_no_identity() {
    let mut world = World::new();
    let other = SigningKey::from_seed(&[4; 32]).unwrap();
    world.anchors[0].keys = vec![("ca".to_owned(), VerifyingKey::Ed25519(other.public_key()))];
    let (_, hello) = world.begin();
    assert!(matches!(world.answer_as(&world.b, &hello).unwrap_err(), HandshakeError::Identity(_)));
}

proptest! {
    #[test]
    fn no_byte_of_a_reply_can_be_changed(at in 0usize..4096, bit in 0u8..8) {
        let world = World::new();
        let (initiator, hello) = world.begin();
        let (_, reply) = world.answer(&hello);
        let mut bytes = reply.to_json().canonical().into_bytes();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let taken = Reply::parse(&bytes).and_then(|changed| {
            // The same signatures in another writing are the same reply.
            if changed == reply { return Err(HandshakeError::Signature); }
            world.take(initiator, &changed)
        });
        prop_assert!(taken.is_err());
    }

    #[test]
    fn no_bytes_make_a_message_that_panics(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        let _ = (Hello::parse(&bytes), Reply::parse(&bytes), Finish::parse(&bytes));
    }
}
