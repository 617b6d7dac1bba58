//! Handshakes and handoffs as the authority records them: once, between two
//! registered agents, for a delegation that stands, as policy lets it be.

use std::collections::BTreeSet;

use crate::support::*;

use bailiwick_authority::rules::handoffs::{MAX_OPEN, MAX_REFUSALS, REFUSAL_TYPE};
use bailiwick_authority::rules::identities::{REQUEST_TYPE, request_claims};
use bailiwick_authority::{ShownHandoff, Target};
use bailiwick_core::aat::make::{self, Content, Seen};
use bailiwick_core::crypto::{Digest, Signer as _, sha256};
use bailiwick_core::guarantee::{Grade, Guarantee};
use bailiwick_core::ids::{EntryId, HandoffId, InstanceId, TaskId};
use bailiwick_core::jose::{self, VerifyingKey};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::ChainLimits;
use bailiwick_core::peer::claim::{Claim, Provenance};
use bailiwick_core::peer::handoff::{Answer, ContextItem, Offer};
use bailiwick_core::peer::handshake::{Ask, Initiator, Responder};
use bailiwick_core::peer::record::Record;
use bailiwick_core::peer::returned::{Return, Status};
use bailiwick_core::peer::{Anchor, Channel, Own};
use bailiwick_core::wit::instance_spiffe_id;
use bailiwick_store::{Filter, Status as Life};

mod federation;

pub(crate) const A: u8 = 21;
pub(crate) const B: u8 = 22;
const C: u8 = 23;

/// An agent's instance, with its identity token.
pub(crate) struct Party {
    seed: u8,
    id: InstanceId,
    pub(crate) spiffe_id: String,
    wit: String,
}

/// Two agents at work on one task.
pub(crate) struct Desk {
    pub(crate) world: World,
    pub(crate) a: Party,
    pub(crate) b: Party,
    root: String,
    pub(crate) task: TaskId,
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|w| (*w).to_owned()).collect()
}

fn party(world: &World, name: &str, seed: u8) -> Party {
    let holder = key(seed).public_key().thumbprint();
    let read = world.authority.store().read(|view| view.instance_by_holder(&holder));
    let read: Result<_, bailiwick_store::StoreError> = read;
    let id = read.unwrap().unwrap().instance.row.id;
    let claims = request_claims(&id, URL, world.now(), &world.jti());
    let request = jose::sign(REQUEST_TYPE, None, &claims, &world.identity_of(seed)).unwrap();
    let issued = world.authority.identity_renew(&request).unwrap();
    let spiffe_id = instance_spiffe_id("example.test", &agent(name), &id);
    Party { seed, id, spiffe_id, wit: issued.token }
}

impl Desk {
    pub(crate) fn new() -> Self {
        let world = World::desk();
        let policy = bailiwick_policy::Bundle::guardrails().unwrap();
        world.authority.policy_publish(bailiwick_store::Place::Enforced, policy).unwrap();
        let issued = world.delegate();
        let (a, b) =
            (party(&world, "agent:support-runner", A), party(&world, "agent:order-reader", B));
        Self { world, a, b, root: issued.token, task: issued.task }
    }

    fn anchors(&self) -> Vec<Anchor> {
        let keys = self.world.authority.public_keys();
        let keys = keys.into_iter().filter_map(|k| match k.key {
            bailiwick_authority::keyring::AnyKey::P256(p256) => {
                Some((k.key.kid(), VerifyingKey::P256(p256)))
            }
            bailiwick_authority::keyring::AnyKey::Ed25519(_) => None,
        });
        vec![Anchor {
            trust_domain: "example.test".to_owned(),
            issuer: URL.to_owned(),
            keys: keys.collect(),
            max_guarantee: Guarantee::Attested,
        }]
    }

    fn shake(&self, from: &Party, to: &Party) -> Record {
        self.shake_over(from, to, &Channel::Tls { exporter: [9; 32] })
    }

    fn shake_over(&self, from: &Party, to: &Party, channel: &Channel) -> Record {
        self.shake_among(from, to, channel, &[])
    }

    /// The same between agents that believe `foreign` trust domains too.
    fn shake_among(
        &self,
        from: &Party,
        to: &Party,
        channel: &Channel,
        foreign: &[Anchor],
    ) -> Record {
        let (w, mut anchors) = (&self.world, self.anchors());
        anchors.extend_from_slice(foreign);
        let ask = Ask {
            audience: to.spiffe_id.clone(),
            purpose: "the order of ticket 8821".to_owned(),
            offered: set(&["handoff.1"]),
            required: set(&["handoff.1"]),
        };
        let nonce = || *sha256(w.jti().as_bytes()).bytes();
        let (from_keys, to_keys) = (w.identity_of(from.seed), w.identity_of(to.seed));
        let (from_holder, to_holder) = (key(from.seed), key(to.seed));
        let own = |p: &Party| (p.spiffe_id.clone(), p.wit.clone());
        let ((from_id, from_wit), (to_id, to_wit)) = (own(from), own(to));
        let from_own =
            Own { spiffe_id: &from_id, wit: &from_wit, identity: &from_keys, holder: &from_holder };
        let to_own =
            Own { spiffe_id: &to_id, wit: &to_wit, identity: &to_keys, holder: &to_holder };
        let (initiator, hello) =
            Initiator::begin(&from_own, ask, channel.clone(), nonce(), w.now()).unwrap();
        let able = set(&["handoff.1"]);
        let (_, reply) =
            Responder::on_hello(&to_own, &hello, &able, &anchors, channel, nonce(), w.now())
                .unwrap();
        let (_, finish) = initiator.on_reply(&from_own, &reply, &anchors, w.now()).unwrap();
        Record { hello, reply, finish, channel: channel.seen_by_others() }
    }

    /// A child of the root for `to`, for five minutes.
    fn child(&self, parent: &str, from: u8, to: u8) -> String {
        let seen = Seen::parse(parent, &ChainLimits::DEFAULT).unwrap();
        let content = Content {
            jti: self.world.jti(),
            now: self.world.now(),
            exp: seen.exp.min(self.world.now().seconds() + 300),
            nbf: None,
            holder: key(to).public_key(),
            scope: seen.scope,
            max_depth: seen.max_depth,
            aud: vec![],
            budget: Object::new(),
        };
        make::derive(parent, &content, &*key(from), &ChainLimits::DEFAULT).unwrap()
    }

    fn offer(&self, from: &Party, to: &Party, record: &Record, child: &str) -> Offer {
        let proven = record.verify(&self.anchors(), self.world.now()).unwrap();
        self.offer_of(from, to, child, proven.transcript())
    }

    fn offer_of(&self, from: &Party, to: &Party, child: &str, handshake: Digest) -> Offer {
        let now = self.world.now();
        let mut random = [0; 10];
        bailiwick_authority::host::Host::fill(&*self.world.host, &mut random);
        Offer {
            id: HandoffId::mint(now, random),
            from: from.spiffe_id.clone(),
            to: to.spiffe_id.clone(),
            holder: key(to.seed).public_key().thumbprint(),
            handshake,
            challenge: *sha256(&random).bytes(),
            task: self.task.clone(),
            purpose: "look the order up".to_owned(),
            leaf: leaf_hash(child),
            context: vec![ContextItem {
                digest: sha256(b"the ticket"),
                source: "mcp:support-desk:tools/get_ticket".to_owned(),
                label: "customer".to_owned(),
            }],
            claims: vec![Claim {
                statement: "the parcel arrived broken".to_owned(),
                speaker: from.spiffe_id.clone(),
                provenance: Provenance::None,
            }],
            constraints: vec![],
            guarantee: Guarantee::Jwt,
            issued_at: now.seconds(),
            expires_at: now.seconds() + 120,
        }
    }

    /// An honest offer of A's to B, signed, with what goes with it.
    pub(crate) fn offered(&self) -> (String, Record, Vec<String>, Offer) {
        let record = self.shake(&self.a, &self.b);
        let child = self.child(&self.root, A, B);
        let offer = self.offer(&self.a, &self.b, &record, &child);
        let signed = offer.sign(&key(A)).unwrap();
        (signed, record, vec![self.root.clone(), child], offer)
    }

    /// What the authority says to an offer that differs.
    fn but(&self, change: impl FnOnce(&mut Offer)) -> &'static str {
        let (_, record, chain, mut offer) = self.offered();
        change(&mut offer);
        self.told(&offer.sign(&key(A)).unwrap(), &record, &chain)
    }

    fn told(&self, signed: &str, record: &Record, chain: &[String]) -> &'static str {
        let before = self.world.log_size();
        let said = code(self.world.authority.handoff_offer(signed, &record.to_json(), chain));
        assert_eq!(self.world.log_size(), before, "something was written");
        said
    }

    fn made(&self) -> (String, ShownHandoff) {
        let (signed, record, chain, _) = self.offered();
        let shown = self.world.authority.handoff_offer(&signed, &record.to_json(), &chain).unwrap();
        (signed, shown)
    }

    pub(crate) fn answer(
        &self,
        signed: &str,
        answer: &Answer,
        guarantee: Guarantee,
        by: u8,
    ) -> String {
        answered(signed, answer, guarantee, by, self.world.now())
    }
}

fn leaf_hash(token: &str) -> Digest {
    bailiwick_core::aat::verify::Unverified::parse(&[token], &ChainLimits::DEFAULT)
        .unwrap()
        .claimed_hashes()[0]
}

/// The taker's signed answer.
fn answered(
    signed: &str,
    answer: &Answer,
    guarantee: Guarantee,
    by: u8,
    now: bailiwick_core::time::Timestamp,
) -> String {
    let o = Object::new()
        .with("v", 1u64)
        .with("handoff", sha256(signed.as_bytes()))
        .with("guarantee", guarantee.as_str())
        .with("iat", now.seconds());
    let o = match answer {
        Answer::Accepted => o.with("answer", "accepted"),
        Answer::Rejected { reason } => o.with("answer", "rejected").with("reason", reason.as_str()),
    };
    jose::sign(bailiwick_core::peer::handoff::ANSWER_TYPE, None, &o.into(), &*key(by)).unwrap()
}

pub(crate) fn hash(signed: &str) -> Digest {
    sha256(signed.as_bytes())
}

#[test]
fn a_handoff_is_offered_accepted_once_and_comes_back_with_graded_claims() {
    let desk = Desk::new();
    let a = &desk.world.authority;
    let (signed, shown) = desk.made();
    assert_eq!((shown.state, shown.claims[0].grade), ("offered", Grade::Signed));
    let accepted = desk.answer(&signed, &Answer::Accepted, Guarantee::Mtls, B);
    let shown = a.handoff_answer(&hash(&signed), &accepted).unwrap();
    // As sure as the less sure of both.
    assert_eq!((shown.state, shown.handoff.guarantee), ("accepted", Guarantee::Jwt));
    assert_eq!(code(a.handoff_answer(&hash(&signed), &accepted)), "handoff-settled");
    let back = Return {
        handoff: hash(&signed),
        status: Status::Done,
        claims: vec![
            Claim {
                statement: "the order is paid".to_owned(),
                speaker: desk.b.spiffe_id.clone(),
                provenance: Provenance::None,
            },
            // What A said, passed on, is no better for it.
            Claim {
                statement: "the parcel arrived broken".to_owned(),
                speaker: desk.a.spiffe_id.clone(),
                provenance: Provenance::None,
            },
        ],
    };
    let back_signed = back.sign(desk.world.now(), &key(B)).unwrap();
    let shown = a.handoff_return(&hash(&signed), &back_signed).unwrap();
    let (read, known) = shown.returned.unwrap();
    assert_eq!(read, back);
    assert_eq!((known[0].grade, known[1].grade), (Grade::Signed, Grade::Asserted));
    // An extra turn is none.
    assert_eq!(code(a.handoff_return(&hash(&signed), &back_signed)), "handoff-settled");
    let kinds = desk.world.kinds();
    let of = |kind: &str| kinds.iter().filter(|k| *k == kind).count();
    assert_eq!(
        (
            of("peer.handshake"),
            of("handoff.offered"),
            of("handoff.accepted"),
            of("handoff.returned")
        ),
        (1, 1, 1, 1)
    );
}

#[test]
fn the_chain_of_a_handoff_shows_by_which_and_how_surely_its_holder_came_to_it() {
    let desk = Desk::new();
    let record = desk.shake(&desk.a, &desk.b);
    let child = desk.child(&desk.root, A, B);
    let offer = desk.offer(&desk.a, &desk.b, &record, &child);
    let signed = offer.sign(&key(A)).unwrap();
    let chain = [desk.root.clone(), child.clone()];
    desk.world.authority.handoff_offer(&signed, &record.to_json(), &chain).unwrap();
    let hops = |desk: &Desk| {
        let verified = desk.world.call(&[&chain[0], &chain[1]], B).unwrap();
        verified.facts().hops.iter().map(|h| (h.guarantee, h.handoff.clone())).collect::<Vec<_>>()
    };
    // Before it is taken over nobody acts under it.
    let early = desk.world.call(&[&chain[0], &chain[1]], B).unwrap_err();
    assert_eq!((early.reason.code(), early.subject.as_deref()), ("revoked", Some("handoff")));
    let accepted = desk.answer(&signed, &Answer::Accepted, Guarantee::Attested, B);
    desk.world.authority.handoff_answer(&hash(&signed), &accepted).unwrap();
    assert_eq!(hops(&desk)[0], (Guarantee::Key, None));
    assert_eq!(hops(&desk)[1], (Guarantee::Jwt, Some(offer.id)));
}

#[test]
fn replayed_offers_challenges_and_children_are_refused() {
    let desk = Desk::new();
    let (signed, record, chain, _) = desk.offered();
    let a = &desk.world.authority;
    a.handoff_offer(&signed, &record.to_json(), &chain).unwrap();
    assert_eq!(desk.told(&signed, &record, &chain), "handoff-repeated");
    // Another offer for the same challenge, and for the same child.
    let (_, _, _, first) = desk.offered();
    let again = |change: &dyn Fn(&mut Offer, &Offer)| {
        let (_, record, chain, mut offer) = desk.offered();
        change(&mut offer, &first);
        let signed = offer.sign(&key(A)).unwrap();
        (signed, record, chain)
    };
    let (signed, record, chain) = again(&|_, _| ());
    a.handoff_offer(&signed, &record.to_json(), &chain).unwrap();
    let taken = a.handoff_by_hash(&hash(&signed)).unwrap().handoff.challenge;
    let (signed, record, chain) = again(&|offer, _| offer.challenge = *taken.bytes());
    assert_eq!(desk.told(&signed, &record, &chain), "handoff-repeated");
}

#[test]
fn an_offer_is_between_the_two_sides_of_its_handshake_and_for_its_own_task_and_child() {
    let desk = Desk::new();
    assert_eq!(desk.but(|o| o.to = desk.a.spiffe_id.clone()), "handoff-redirected");
    assert_eq!(desk.but(|o| o.handshake = sha256(b"another")), "handoff-redirected");
    assert_eq!(desk.but(|o| o.holder = key(C).public_key().thumbprint()), "handoff-redirected");
    assert_eq!(desk.but(|o| o.leaf = sha256(b"a wider child")), "handoff-other-delegation");
    let other = TaskId::mint(desk.world.now(), [9; 10]);
    assert_eq!(desk.but(|o| o.task = other), "handoff-other-task");
    assert_eq!(desk.but(|o| o.expires_at += 3_600), "handoff-time");
    // Signed by somebody else than the one that proved itself.
    let (_, record, chain, offer) = desk.offered();
    assert_eq!(
        desk.told(&offer.sign(&key(C)).unwrap(), &record, &chain),
        "handoff-signature-invalid"
    );
    // More certainty than a handshake without a connection gives.
    let record = desk.shake_over(&desk.a, &desk.b, &Channel::Unbound);
    let child = desk.child(&desk.root, A, B);
    let offer = desk.offer(&desk.a, &desk.b, &record, &child);
    let chain = [desk.root.clone(), child];
    let surer = desk.told(&offer.sign(&key(A)).unwrap(), &record, &chain);
    assert_eq!(surer, "handoff-guarantee");
}

#[test]
fn no_side_is_surer_than_the_connection_let_it_be() {
    let desk = Desk::new();
    let record = desk.shake_over(&desk.a, &desk.b, &Channel::Unbound);
    let child = desk.child(&desk.root, A, B);
    let offer =
        Offer { guarantee: Guarantee::Key, ..desk.offer(&desk.a, &desk.b, &record, &child) };
    let signed = offer.sign(&key(A)).unwrap();
    let a = &desk.world.authority;
    a.handoff_offer(&signed, &record.to_json(), &[desk.root.clone(), child]).unwrap();
    let surer = desk.answer(&signed, &Answer::Accepted, Guarantee::Jwt, B);
    assert_eq!(code(a.handoff_answer(&hash(&signed), &surer)), "handoff-guarantee");
    let plain = desk.answer(&signed, &Answer::Accepted, Guarantee::Key, B);
    assert_eq!(a.handoff_answer(&hash(&signed), &plain).unwrap().state, "accepted");
}

#[test]
fn a_child_wider_than_its_parent_is_not_handed_over() {
    let desk = Desk::new();
    let record = desk.shake(&desk.a, &desk.b);
    // A's own token says less than the root; the child says as much as the root.
    let narrow = desk.world.derive(&desk.root, A, A);
    let seen = Seen::parse(&narrow, &ChainLimits::DEFAULT).unwrap();
    let wide = Content {
        jti: desk.world.jti(),
        now: desk.world.now(),
        exp: seen.exp,
        nbf: None,
        holder: key(B).public_key(),
        scope: seen.scope,
        max_depth: seen.max_depth.saturating_add(5),
        aud: vec![],
        budget: Object::new(),
    };
    // The maker refuses; somebody who writes tokens by hand is refused as well.
    assert!(make::derive(&narrow, &wide, &*key(A), &ChainLimits::DEFAULT).is_err());
    let honest = desk.child(&desk.root, A, B);
    let payload = honest.split('.').nth(1).unwrap();
    let payload = bailiwick_core::crypto::from_base64url(payload).unwrap();
    let mut claims = json(std::str::from_utf8(&payload).unwrap()).as_object().unwrap().clone();
    claims.insert("exp", desk.world.now().seconds() + 86_400);
    let header = honest.split('.').next().unwrap();
    let body = bailiwick_core::crypto::base64url(Json::from(claims).canonical().as_bytes());
    let signature = key(A).sign(format!("{header}.{body}").as_bytes());
    let forged = format!("{header}.{body}.{}", bailiwick_core::crypto::base64url(&signature));
    let offer = desk.offer(&desk.a, &desk.b, &record, &forged);
    let told = desk.told(&offer.sign(&key(A)).unwrap(), &record, &[desk.root.clone(), forged]);
    assert_eq!(told, "handoff-delegation");
}

#[test]
fn only_registered_agents_with_their_own_keys_shake_hands_here() {
    let desk = Desk::new();
    let a = &desk.world.authority;
    let record = desk.shake(&desk.a, &desk.b);
    assert!(a.peer_handshake(&record.to_json()).is_ok());
    assert!(a.peer_handshake(&record.to_json()).is_ok());
    assert_eq!(desk.world.kinds().iter().filter(|k| *k == "peer.handshake").count(), 1);
    // A retired one is nobody, whatever its identity token still says.
    let record = desk.shake(&desk.a, &desk.b);
    a.instance_retire(&desk.b.id).unwrap();
    assert_eq!(code(a.peer_handshake(&record.to_json())), "peer-unregistered");
    // One whose identity token ran out.
    let desk = Desk::new();
    let record = desk.shake(&desk.a, &desk.b);
    desk.world.host.advance(700_000);
    let told = code(desk.world.authority.peer_handshake(&record.to_json()));
    assert_eq!(told, "wit-time-invalid");
}

#[test]
fn an_agent_with_a_stolen_name_but_another_holder_key_is_not_the_registered_one() {
    let desk = Desk::new();
    // B's identity token and identity key, with another holder key beside them.
    let impostor = Party {
        seed: C,
        id: desk.b.id.clone(),
        spiffe_id: desk.b.spiffe_id.clone(),
        wit: desk.b.wit.clone(),
    };
    desk.world.keep_identity(C, B);
    let record = desk.shake(&desk.a, &impostor);
    let told = code(desk.world.authority.peer_handshake(&record.to_json()));
    assert_eq!(told, "peer-unregistered");
}

#[test]
fn a_revoked_giver_takes_its_handoffs_along() {
    for take_back in [0, 1, 2] {
        let desk = Desk::new();
        let a = &desk.world.authority;
        let (signed, _) = desk.made();
        let runner = agent("agent:support-runner");
        match take_back {
            0 => a.instance_retire(&desk.a.id).unwrap(),
            1 => a.agent_status(&runner, Life::Suspended).unwrap(),
            _ => drop(a.revoke(&Target::Agent(runner), "compromised", None).unwrap()),
        }
        let accepted = desk.answer(&signed, &Answer::Accepted, Guarantee::Jwt, B);
        assert_eq!(code(a.handoff_answer(&hash(&signed), &accepted)), "handoff-delegation");
        // It can still be turned down.
        let no = Answer::Rejected { reason: "who are you".to_owned() };
        let rejected = desk.answer(&signed, &no, Guarantee::Jwt, B);
        assert_eq!(a.handoff_answer(&hash(&signed), &rejected).unwrap().state, "rejected");
    }
}

#[test]
fn what_was_turned_down_is_of_no_use_to_whom_it_was_offered() {
    let desk = Desk::new();
    let a = &desk.world.authority;
    let (signed, record, chain, _) = desk.offered();
    a.handoff_offer(&signed, &record.to_json(), &chain).unwrap();
    let no = Answer::Rejected { reason: "not mine".to_owned() };
    let rejected = desk.answer(&signed, &no, Guarantee::Jwt, B);
    let shown = a.handoff_answer(&hash(&signed), &rejected).unwrap();
    assert_eq!(shown.reason.as_deref(), Some("not mine"));
    assert_eq!(desk.world.verdict(&[&chain[0], &chain[1]], B), "revoked");
    // Nor is what was derived from it.
    let further = desk.world.derive(&chain[1], B, A);
    assert_eq!(desk.world.verdict(&[&chain[0], &chain[1], &further], A), "revoked");
}

#[test]
fn an_offer_is_answered_by_its_taker_in_its_time_while_both_are_known() {
    let desk = Desk::new();
    let a = &desk.world.authority;
    let (signed, _) = desk.made();
    let forged = desk.answer(&signed, &Answer::Accepted, Guarantee::Jwt, A);
    assert_eq!(code(a.handoff_answer(&hash(&signed), &forged)), "handoff-signature-invalid");
    desk.world.host.advance(121_000);
    let late = desk.answer(&signed, &Answer::Accepted, Guarantee::Jwt, B);
    assert_eq!(code(a.handoff_answer(&hash(&signed), &late)), "handoff-settled");
    assert_eq!(code(a.handoff_by_hash(&sha256(b"no offer"))), "unknown-name");
    // Identities that end before the offer does.
    let desk = Desk::new();
    let a = &desk.world.authority;
    desk.world.host.advance(500_000);
    let record = desk.shake(&desk.a, &desk.b);
    let child = desk.child(&desk.root, A, B);
    let mut offer = desk.offer(&desk.a, &desk.b, &record, &child);
    offer.expires_at += 100;
    let signed = offer.sign(&key(A)).unwrap();
    a.handoff_offer(&signed, &record.to_json(), &[desk.root.clone(), child]).unwrap();
    desk.world.host.advance(110_000);
    let accepted = desk.answer(&signed, &Answer::Accepted, Guarantee::Jwt, B);
    assert_eq!(code(a.handoff_answer(&hash(&signed), &accepted)), "handoff-time");
}

#[test]
fn a_task_is_not_handed_round() {
    let desk = Desk::new();
    let a = &desk.world.authority;
    let to_b = desk.child(&desk.root, A, B);
    let back = desk.child(&to_b, B, A);
    let record = desk.shake(&desk.b, &desk.a);
    let offer = desk.offer(&desk.b, &desk.a, &record, &back);
    let signed = offer.sign(&key(B)).unwrap();
    let chain = [desk.root.clone(), to_b, back];
    assert_eq!(code(a.handoff_offer(&signed, &record.to_json(), &chain)), "handoff-loop");
}

#[test]
fn a_flood_of_offers_ends_at_a_bound() {
    let desk = Desk::new();
    for _ in 0..MAX_OPEN {
        desk.made();
    }
    let (signed, record, chain, _) = desk.offered();
    assert_eq!(desk.told(&signed, &record, &chain), "handoff-flood");
}

#[test]
fn policy_says_who_hands_what_to_whom() {
    let desk = Desk::new();
    let policy = |text: &str| {
        let files = [("a.cedar".to_owned(), text.to_owned())];
        let bundle = bailiwick_policy::Bundle::parse(files).unwrap();
        desk.world.authority.policy_publish(bailiwick_store::Place::Enforced, bundle).unwrap();
    };
    policy(
        r#"@id("p") @reason("r") permit (principal, action == Action::"handoff", resource);
           @id("f") @reason("no customer data") forbid (principal, action == Action::"handoff", resource)
           when { context.labels.contains("customer") && context.guarantee != Guarantee::"attested" };"#,
    );
    let (signed, record, chain, _) = desk.offered();
    assert_eq!(desk.told(&signed, &record, &chain), "policy-denied");
    policy(r#"@id("p") @reason("r") permit (principal, action == Action::"handoff", resource);"#);
    assert_eq!(desk.made().1.state, "offered");
}

#[test]
fn claims_that_cite_what_is_not_so_end_the_offer() {
    let desk = Desk::new();
    let forged = Provenance::Receipt {
        entry: EntryId::mint(desk.world.now(), [4; 10]),
        result: sha256(b"made up"),
    };
    assert_eq!(desk.but(|o| o.claims[0].provenance = forged), "claim-receipt-unknown");
    let inflated =
        bailiwick_core::peer::claim::sign("another", &desk.b.spiffe_id, desk.world.now(), &*key(B));
    let inflated = Provenance::Signature(inflated.unwrap());
    assert_eq!(
        desk.but(|o| {
            o.claims[0].speaker = desk.b.spiffe_id.clone();
            o.claims[0].provenance = inflated;
        }),
        "claim-signature-invalid"
    );
}

#[test]
fn instances_report_whom_they_turned_away_a_few_times_a_minute() {
    let desk = Desk::new();
    let a = &desk.world.authority;
    let report = |by: u8, jti: &str, code: &str| {
        let claims = request_claims(&desk.b.id, URL, desk.world.now(), jti);
        let claims = claims.as_object().unwrap().clone();
        let claims = claims.with("code", code).with("claimed", "spiffe://example.test/agent/x/i-1");
        jose::sign(REFUSAL_TYPE, None, &claims.into(), &desk.world.identity_of(by)).unwrap()
    };
    let first = report(B, "r0", "handshake-signature-invalid");
    a.peer_refused(&first).unwrap();
    assert_eq!(code(a.peer_refused(&first)), "identity-request-unacceptable");
    assert_eq!(code(a.peer_refused(&report(A, "x", "c"))), "identity-request-unacceptable");
    assert_eq!(
        code(a.peer_refused(&report(B, "y", "Not a code"))),
        "identity-request-unacceptable"
    );
    for n in 1..20 {
        a.peer_refused(&report(B, &format!("r{n}"), "c")).unwrap();
    }
    let filter = Filter {
        kind: Some(bailiwick_core::ledger::Kind::PeerRefused),
        limit: 50,
        ..Filter::default()
    };
    let read: Result<_, bailiwick_store::StoreError> = a.store().read(|view| view.query(&filter));
    assert_eq!(read.unwrap().len(), usize::from(MAX_REFUSALS));
}

/// A handshake that was made once: its ES256 signatures are others each time.
fn frozen() -> (Record, Vec<Anchor>) {
    let path = crate::golden::folder().join("../handshake.json");
    if std::env::var_os("BAILIWICK_WRITE_VECTORS").is_some_and(|v| v == "1") && !path.exists() {
        let desk = Desk::new();
        let anchor = desk.anchors().remove(0);
        let (kid, key) = anchor.keys[0].clone();
        let VerifyingKey::P256(key) = key else { panic!("identity keys are on P-256") };
        let file = Object::new()
            .with("trust_domain", "example.test")
            .with("issuer", URL)
            .with("kid", kid)
            .with("jwk", key.to_jwk())
            .with("handshake", desk.shake(&desk.a, &desk.b).to_json());
        std::fs::write(&path, format!("{}\n", Json::from(file).canonical())).unwrap();
    }
    let file = json(std::fs::read_to_string(path).unwrap().trim_end());
    let file = file.as_object().unwrap();
    let text = |member: &str| file.member(member).unwrap().as_str().unwrap().to_owned();
    let jwk = file.member("jwk").unwrap().as_object().unwrap();
    let anchor = Anchor {
        trust_domain: text("trust_domain"),
        issuer: text("issuer"),
        keys: vec![(text("kid"), VerifyingKey::from_jwk(jwk).unwrap())],
        max_guarantee: Guarantee::Attested,
    };
    (Record::read(file.member("handshake").unwrap()).unwrap(), vec![anchor])
}

/// A world in which one handoff went its whole way, from fixed values.
pub(crate) fn played() -> World {
    use bailiwick_authority::host::Moment;
    use bailiwick_authority::rules::handoffs::{self, Offering, Side, child};
    use bailiwick_core::peer::handoff::{Answered, Offered};

    // A version that changes for no other reason than these entries.
    let workflow = include_str!("handoffs/frozen.yaml");
    let world = World::desk_under(workflow);
    // A ledger of its own: enrolments are made with random keys.
    let ledger = World::bare();
    ledger.authority.init().unwrap();
    let issued = world.delegate();
    let (record, anchors) = frozen();
    let proven = record.verify(&anchors, world.now()).unwrap();
    let derived = world.derive(&issued.token, A, B);
    let verified = world.call(&[&issued.token, &derived], B).unwrap();
    let (chain, facts) = (verified.chain(), verified.facts());
    let side = |hop: usize| Side {
        agent: facts.hops[hop].agent.clone(),
        instance: facts.hops[hop].instance.clone(),
    };
    let (from, to) = (side(0), side(1));
    let (giver, taker) = (proven.initiator(), proven.responder());
    let offer = Offer {
        id: HandoffId::mint(world.now(), [7; 10]),
        from: giver.spiffe_id.clone(),
        to: taker.spiffe_id.clone(),
        holder: taker.holder.thumbprint(),
        handshake: proven.transcript(),
        challenge: [8; 32],
        task: issued.task.clone(),
        purpose: "look the order up".to_owned(),
        leaf: chain.leaf_hash(),
        context: vec![],
        claims: vec![Claim {
            statement: "the parcel arrived broken".to_owned(),
            speaker: giver.spiffe_id.clone(),
            provenance: Provenance::None,
        }],
        constraints: vec![],
        guarantee: Guarantee::Jwt,
        issued_at: world.now().seconds(),
        expires_at: world.now().seconds() + 120,
    };
    let signed = offer.sign(&key(A)).unwrap();
    let child = child(chain, facts).unwrap();
    let offered = Offered::witness(&signed, &proven, &child, world.now()).unwrap();
    let (moment, at) = (Moment::of(&*ledger.host), installation());
    let step = handoffs::handshake(&moment, &at, &record, &proven, (&from, &to)).unwrap();
    crate::entries::write(&ledger, bailiwick_authority::plan::Plan::one(step, ()));
    let offering = Offering {
        offered: &offered,
        signed: &signed,
        chain,
        tokens: &[issued.token.clone(), derived.clone()],
        facts,
        from: &from,
        to: &to,
        workflow: &bailiwick_policy::Workflow::parse(workflow).unwrap(),
        policies: &bailiwick_policy::Policies::enforcing(
            bailiwick_policy::Bundle::guardrails().unwrap(),
        ),
        grades: &[Grade::Signed],
        domain: None,
        flood: (0, 0),
    };
    let plan = handoffs::offer(&moment, &at, &offering).unwrap();
    let row = plan.outcome.clone();
    crate::entries::write(&ledger, plan);
    let read: Result<_, bailiwick_store::StoreError> =
        ledger.authority.store().read(|view| view.handshake(&proven.transcript()));
    let shaken = read.unwrap().unwrap();
    let answer = |answer: Answer| {
        let signed = answered(&signed, &answer, Guarantee::Jwt, B, world.now());
        let said = Answered { answer, guarantee: Guarantee::Jwt };
        handoffs::answer(&moment, &at, &row, &shaken, &said, &signed).unwrap()
    };
    // Its entry alone: one handoff is answered once.
    let mut rejected = answer(Answer::Rejected { reason: "not mine".to_owned() });
    for step in &mut rejected.steps {
        step.row = None;
    }
    crate::entries::write(&ledger, rejected);
    let accepted = answer(Answer::Accepted);
    let row = accepted.outcome.clone();
    crate::entries::write(&ledger, accepted);
    let back = Return { handoff: row.hash, status: Status::Done, claims: vec![] };
    let signed = back.sign(world.now(), &key(B)).unwrap();
    let told = (&back, [].as_slice());
    crate::entries::write(&ledger, handoffs::returned(&moment, &at, &row, told, &signed).unwrap());
    let stranger = "spiffe://example.test/agent/order-reader2/i-1";
    let refused = handoffs::refused(&moment, &at, &to, "peer-unregistered", stranger).unwrap();
    crate::entries::write(&ledger, refused);
    ledger
}
