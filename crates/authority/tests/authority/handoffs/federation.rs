//! Another trust domain: what it says is its own and never older than before, and what
//! its agents are handed is bounded.

use super::*;

use bailiwick_authority::federation::DomainConfig;
use bailiwick_authority::http::provider::Network;
use bailiwick_core::crypto::P256SigningKey;
use bailiwick_core::guarantee::Isolation;
use bailiwick_core::peer::domain::Revocations;
use bailiwick_core::wit::Identity;

const DOMAIN: &str = "b.example";
const ISSUER: &str = "https://b.example";

/// The other domain: its key, and an agent of it with the path of one of here.
struct Other {
    signer: P256SigningKey,
    kid: String,
    taker: Party,
}

impl Other {
    fn new(desk: &Desk) -> Self {
        let w = &desk.world;
        let signer = identity();
        let kid = VerifyingKey::P256(signer.public_key()).thumbprint().to_string();
        w.keep_identity(C, B);
        let id = InstanceId::mint(w.now(), [C; 10]);
        let spiffe_id = instance_spiffe_id(DOMAIN, &agent("agent:order-reader"), &id);
        let token = Identity {
            issuer: ISSUER.to_owned(),
            spiffe_id: spiffe_id.clone(),
            key: w.identity_of(C).public_key(),
            issued_at: w.now().seconds(),
            expires_at: w.now().seconds() + 600,
            jti: w.jti(),
            isolation: Isolation::Unstated,
        };
        let wit = token.issue(&kid, &signer).unwrap();
        Self { signer, kid, taker: Party { seed: C, id, spiffe_id, wit } }
    }

    fn bundle(&self, sequence: u64) -> Vec<u8> {
        let jwk = self.signer.public_key().to_jwk().with("use", "wit-svid");
        let keys: Vec<Json> = vec![jwk.with("kid", self.kid.as_str()).into()];
        let bundle = Object::new().with("keys", keys).with("spiffe_sequence", sequence);
        Json::from(bundle).canonical().into_bytes()
    }

    fn word(&self, at: i64, revoked: &[&str]) -> Vec<u8> {
        let word = Revocations {
            issuer: ISSUER.to_owned(),
            trust_domain: DOMAIN.to_owned(),
            issued_at: at,
            revoked: set(revoked),
        };
        word.sign(&self.kid, &self.signer).unwrap().into_bytes()
    }

    /// The authority takes up what the domain says now.
    fn says(&self, desk: &Desk, revoked: &[&str]) -> &'static str {
        let (a, now) = (&desk.world.authority, desk.world.now());
        match a.domain_revocations(DOMAIN, &self.word(now.seconds(), revoked), now) {
            Ok(()) => "none",
            Err(refusal) => refusal.code(),
        }
    }
}

fn config() -> DomainConfig {
    DomainConfig {
        name: DOMAIN.to_owned(),
        issuer: ISSUER.to_owned(),
        bundle: format!("{ISSUER}/spiffe/bundle.json"),
        revocations: format!("{ISSUER}/spiffe/revocations"),
        owner: principal("user:owner"),
        tools: Vec::new(),
        max_guarantee: Guarantee::Key,
        network: Network::Public,
    }
}

impl Desk {
    /// An offer of A's to the other domain's agent, as both sides believe it.
    fn offered_elsewhere(&self, other: &Other, depth: u64) -> (Offer, Record, Vec<String>) {
        let foreign = Anchor {
            trust_domain: DOMAIN.to_owned(),
            issuer: ISSUER.to_owned(),
            keys: vec![(other.kid.clone(), VerifyingKey::P256(other.signer.public_key()))],
            max_guarantee: Guarantee::Attested,
        };
        let channel = Channel::Tls { exporter: [9; 32] };
        let record =
            self.shake_among(&self.a, &other.taker, &channel, std::slice::from_ref(&foreign));
        let seen = Seen::parse(&self.root, &ChainLimits::DEFAULT).unwrap();
        let content = Content {
            jti: self.world.jti(),
            now: self.world.now(),
            exp: self.world.now().seconds() + 300,
            nbf: None,
            holder: key(C).public_key(),
            scope: seen.scope,
            max_depth: depth,
            aud: vec![],
            budget: Object::new(),
        };
        let child = make::derive(&self.root, &content, &*key(A), &ChainLimits::DEFAULT).unwrap();
        let mut anchors = self.anchors();
        anchors.push(foreign);
        let proven = record.verify(&anchors, self.world.now()).unwrap();
        let mut offer = self.offer_of(&self.a, &other.taker, &child, proven.transcript());
        offer.guarantee = Guarantee::Key;
        (offer, record, vec![self.root.clone(), child])
    }

    fn said(&self, offered: &(Offer, Record, Vec<String>)) -> &'static str {
        let (offer, record, chain) = offered;
        self.told(&offer.sign(&key(A)).unwrap(), record, chain)
    }
}

#[test]
fn what_a_domain_says_is_its_own_and_never_older_than_before() {
    let desk = Desk::new();
    let (a, other) = (&desk.world.authority, Other::new(&desk));
    // Nobody is followed who is not configured.
    assert_eq!(code(a.domain_bundle(DOMAIN, &other.bundle(1))), "trust-domain-older");
    a.federate(&[config()]).unwrap();
    // Before there is a key nobody signs anything.
    assert_eq!(other.says(&desk, &[]), "trust-domain-key-unknown");
    a.domain_bundle(DOMAIN, &other.bundle(2)).unwrap();
    assert_eq!(code(a.domain_bundle(DOMAIN, &other.bundle(1))), "trust-domain-older");
    let (now, gone) = (desk.world.now(), "spiffe://b.example/agent/order-reader");
    a.domain_revocations(DOMAIN, &other.word(now.seconds(), &[gone]), now).unwrap();
    // The word of before, in which the agent was not named.
    let older = other.word(now.seconds() - 1, &[]);
    assert_eq!(code(a.domain_revocations(DOMAIN, &older, now)), "trust-domain-older");
    assert_eq!(a.trust_domains().unwrap()[0].revoked, [gone]);
    let ahead = other.word(now.seconds() + 31, &[]);
    assert_eq!(code(a.domain_revocations(DOMAIN, &ahead, now)), "trust-domain-clock");
    // Nor after it was not configured for a while.
    a.federate(&[]).unwrap();
    assert!(a.trust_domains().unwrap().is_empty());
    a.federate(&[config()]).unwrap();
    assert_eq!(code(a.domain_revocations(DOMAIN, &older, now)), "trust-domain-older");
}

#[test]
fn what_an_agent_of_another_domain_is_handed_is_bounded() {
    let desk = Desk::new();
    let (a, other) = (&desk.world.authority, Other::new(&desk));
    let offered = desk.offered_elsewhere(&other, 1);
    assert_eq!(desk.said(&offered), "peer-trust-domain-unknown");
    a.federate(&[config()]).unwrap();
    a.domain_bundle(DOMAIN, &other.bundle(1)).unwrap();
    assert_eq!(desk.said(&offered), "peer-domain-stale");
    assert_eq!(other.says(&desk, &[]), "none");
    assert_eq!(desk.said(&offered), "peer-tools");
    assert_eq!(desk.said(&desk.offered_elsewhere(&other, 2)), "peer-hands-on");
    let mut surer = desk.offered_elsewhere(&other, 1);
    surer.0.guarantee = Guarantee::Jwt;
    assert_eq!(desk.said(&surer), "handoff-guarantee");
    let agent = "spiffe://b.example/agent/order-reader";
    for named in [agent, other.taker.spiffe_id.as_str()] {
        desk.world.host.advance(1_000);
        assert_eq!(other.says(&desk, &[named]), "none");
        assert_eq!(desk.said(&offered), "peer-unregistered");
    }
}

#[test]
fn our_own_word_names_agents_that_do_not_act_and_instances_that_ended() {
    let desk = Desk::new();
    let a = &desk.world.authority;
    let read = || {
        let (word, keys) = (a.revocations_word().unwrap(), desk.anchors().remove(0).keys);
        let of = ("example.test", URL);
        Revocations::verify(&word, of, &keys, desk.world.now().seconds()).unwrap().revoked
    };
    assert!(read().is_empty());
    a.instance_retire(&desk.b.id).unwrap();
    assert_eq!(read(), set(&[&desk.b.spiffe_id]));
    a.agent_status(&agent("agent:support-runner"), Life::Suspended).unwrap();
    let both = set(&[&desk.b.spiffe_id, "spiffe://example.test/agent/support-runner"]);
    assert_eq!(read(), both);
    desk.world.host.advance(7_300_000);
    assert_eq!(read(), set(&["spiffe://example.test/agent/support-runner"]));
}
