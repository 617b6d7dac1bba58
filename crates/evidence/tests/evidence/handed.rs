//! An action by an agent that took the task over from a peer: evidence shows both
//! planes, and no handoff can be put there in hindsight.

use std::collections::BTreeSet;

use bailiwick_core::aat::jws::Compact;
use bailiwick_core::crypto::{Digest, Signer as _, sha256};
use bailiwick_core::enrolment::IdentitySigningKey;
use bailiwick_core::guarantee::{Guarantee, Isolation};
use bailiwick_core::ids::{EntryId, HandoffId};
use bailiwick_core::jose::{self, VerifyingKey};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::{Disclosure, Event, Kind, Subjects};
use bailiwick_core::peer::handoff::{ANSWER_TYPE, Offer};
use bailiwick_core::peer::handshake::{Ask, Initiator, Responder};
use bailiwick_core::peer::record::Record;
use bailiwick_core::peer::{Anchor, Channel, Own};
use bailiwick_core::time::Timestamp;
use bailiwick_core::wit::{Identity, instance_spiffe_id};
use bailiwick_evidence::trust::{IdentityIssuer, Role, Trust, Validity};
use bailiwick_evidence::{Check, Verdict, verify};

use crate::world::{ISSUER, Story, at, identity, instance, key, plan, seed, trust};

const DOMAIN: &str = "localhost";

/// The story of a handoff, and who vouches for the identities.
struct Handed {
    story: Story,
    ca: IdentitySigningKey,
}

fn spiffe_id(n: u8) -> String {
    let name = if n == 1 { "agent:support-runner" } else { "agent:order-reader" };
    instance_spiffe_id(DOMAIN, &bailiwick_core::ids::AgentId::parse(name).unwrap(), &instance(n))
}

struct Party {
    id: String,
    wit: String,
    identity: IdentitySigningKey,
    holder: u8,
}

fn kid(ca: &IdentitySigningKey) -> String {
    VerifyingKey::P256(ca.public_key()).thumbprint().to_string()
}

fn party(ca: &IdentitySigningKey, n: u8, holder: u8, now: Timestamp) -> Party {
    let own = identity();
    let stated = Identity {
        issuer: ISSUER.into(),
        spiffe_id: spiffe_id(n),
        key: own.public_key(),
        issued_at: now.seconds(),
        expires_at: now.seconds() + 600,
        jti: format!("w{n}"),
        isolation: Isolation::Unstated,
    };
    let wit = stated.issue(&kid(ca), ca).unwrap();
    Party { id: stated.spiffe_id, wit, identity: own, holder }
}

fn shake(ca: &IdentitySigningKey, from: &Party, to: &Party, now: Timestamp) -> Record {
    let anchors = [Anchor {
        trust_domain: DOMAIN.into(),
        issuer: ISSUER.into(),
        keys: vec![(kid(ca), VerifyingKey::P256(ca.public_key()))],
        max_guarantee: Guarantee::Attested,
    }];
    let set: BTreeSet<String> = BTreeSet::from(["handoff.1".to_owned()]);
    let ask = Ask {
        audience: to.id.clone(),
        purpose: "order 17".into(),
        offered: set.clone(),
        required: set.clone(),
    };
    let channel = Channel::Tls { exporter: [4; 32] };
    let (a, b) = (key(from.holder), key(to.holder));
    let own = Own { spiffe_id: &from.id, wit: &from.wit, identity: &from.identity, holder: &a };
    let other = Own { spiffe_id: &to.id, wit: &to.wit, identity: &to.identity, holder: &b };
    let (waits, hello) = Initiator::begin(&own, ask, channel.clone(), [1; 32], now).unwrap();
    let (_, reply) =
        Responder::on_hello(&other, &hello, &set, &anchors, &channel, [2; 32], now).unwrap();
    let (_, finish) = waits.on_reply(&own, &reply, &anchors, now).unwrap();
    Record { hello, reply, finish, channel: channel.seen_by_others() }
}

fn event(n: u8, time: Timestamp, kind: Kind, task: &str, body: Object) -> Event {
    Event {
        id: EntryId::mint(time, [n; 10]),
        org: bailiwick_core::ids::OrgId::parse("default").unwrap(),
        time,
        kind,
        subjects: Subjects {
            task: Some(task.to_owned()),
            instance: Some(instance(if kind == Kind::HandoffAccepted { 2 } else { 1 }).to_string()),
            ..Subjects::default()
        },
        body,
        disclosures: Vec::new(),
    }
}

fn opened(mut event: Event, field: &str, value: impl Into<Json>) -> Event {
    event.disclosures.push((field.to_owned(), Disclosure { salt: [9; 32], value: value.into() }));
    event
}

impl Handed {
    fn new() -> Self {
        Self::with(|_| {}, "accepted")
    }

    /// The same with an offer that differs, and another answer.
    fn with(change: impl FnOnce(&mut Offer), answer: &str) -> Self {
        Self::taken_by(2, change, answer)
    }

    /// The same by a taker whose identity token names this instance.
    fn taken_by(taker: u8, change: impl FnOnce(&mut Offer), answer: &str) -> Self {
        let (mut story, ca, now) = (plan().story(), identity(), at(20));
        let (a, b) = (party(&ca, 1, seed::RUNNER, now), party(&ca, taker, seed::READER, now));
        let record = shake(&ca, &a, &b, now);
        let transcript = transcript_of(&record, &ca, now);
        let decided = story.event(Kind::ActionDecided, 1);
        let task = decided.subjects.task.clone().unwrap();
        let chain = decided.disclosures.iter().find(|(f, _)| f == "chain").unwrap();
        let token = chain.1.value.as_array().unwrap()[1].as_str().unwrap().to_owned();
        let mut offer = Offer {
            id: HandoffId::mint(now, [5; 10]),
            from: a.id.clone(),
            to: b.id.clone(),
            holder: key(seed::READER).public_key().thumbprint(),
            handshake: transcript,
            challenge: [6; 32],
            task: task.parse().unwrap(),
            purpose: "look the order up".into(),
            leaf: Compact::parse(&token).unwrap().hash(),
            context: vec![],
            claims: vec![],
            constraints: vec![],
            guarantee: Guarantee::Mtls,
            issued_at: now.seconds(),
            expires_at: now.seconds() + 120,
        };
        change(&mut offer);
        let signed = offer.sign(&key(seed::RUNNER)).unwrap();
        let said = Object::new()
            .with("v", 1u64)
            .with("handoff", sha256(signed.as_bytes()))
            .with("guarantee", "jwt")
            .with("iat", now.seconds())
            .with("answer", answer);
        let said = if answer == "rejected" { said.with("reason", "no") } else { said };
        let said = jose::sign(ANSWER_TYPE, None, &said.into(), &key(seed::READER)).unwrap();
        let named = || Object::new().with("handoff", &offer.id).with("transcript", transcript);
        let shaken = event(0xf1, now, Kind::PeerHandshake, &task, named());
        let offered = event(0xf2, now, Kind::HandoffOffered, &task, named());
        let accepted = event(0xf3, at(21), Kind::HandoffAccepted, &task, named());
        let place = story.events.len()
            - usize::from(story.events.last().unwrap().1.kind == Kind::ActionCompleted)
            - 1;
        for (i, event) in [
            opened(shaken, "handshake", record.to_json()),
            opened(offered, "offer", signed),
            opened(accepted, "answer", said),
        ]
        .into_iter()
        .enumerate()
        {
            story.events.insert(place + i, (Role::Authority, event));
        }
        let mut handed = Self { story, ca };
        handed.state("jwt", Some(offer.id.as_str()));
        handed
    }

    /// What the decision and its inputs state of the second hop.
    fn state(&mut self, guarantee: &str, handoff: Option<&str>) {
        let stated = |hop: &Json| -> Json {
            let mut o = hop.as_object().unwrap().clone();
            o.insert("guarantee", guarantee);
            if let Some(handoff) = handoff {
                o.insert("handoff", handoff);
            }
            o.into()
        };
        let second = |list: &Json| -> Json {
            let mut list = list.as_array().unwrap().to_vec();
            list[1] = stated(&list[1]);
            list.into()
        };
        let decided = self.story.event(Kind::ActionDecided, 1);
        let hops = second(decided.body.member("hops").unwrap());
        decided.body.insert("hops", hops);
        let inputs = self.story.value(Kind::ActionDecided, 1, "inputs");
        let mut o = inputs.as_object().unwrap().clone();
        let mut standing = o.member("standing").unwrap().as_object().unwrap().clone();
        let hops = second(standing.member("hops").unwrap());
        standing.insert("hops", hops);
        o.insert("standing", standing);
        *inputs = o.into();
        let digest = inputs_commitment(self.story.event(Kind::ActionDecided, 1));
        if let Some(digest) = digest {
            self.story.body(Kind::ActionDecided, 1, "inputs", digest);
        }
    }

    fn trust(&self) -> Trust {
        Trust {
            identities: vec![IdentityIssuer {
                issuer: ISSUER.into(),
                trust_domain: DOMAIN.into(),
                key: self.ca.public_key(),
                validity: Validity::default(),
            }],
            ..trust()
        }
    }

    fn verdict(&self) -> Verdict {
        self.under(&self.trust())
    }

    fn under(&self, trust: &Trust) -> Verdict {
        verify(self.story.seal().bundle().to_text().as_bytes(), trust, &[])
    }

    fn found(&self) -> (Check, String) {
        let failure = self.verdict().result.unwrap_err();
        (failure.check, failure.found)
    }
}

/// The commitment that the body repeats, where it does.
fn inputs_commitment(decided: &Event) -> Option<Digest> {
    decided.body.member("inputs")?;
    let (_, disclosure) = decided.disclosures.iter().find(|(f, _)| f == "inputs")?;
    Some(disclosure.commitment())
}

fn transcript_of(record: &Record, ca: &IdentitySigningKey, now: Timestamp) -> Digest {
    let anchors = [Anchor {
        trust_domain: DOMAIN.into(),
        issuer: ISSUER.into(),
        keys: vec![(kid(ca), VerifyingKey::P256(ca.public_key()))],
        max_guarantee: Guarantee::Attested,
    }];
    record.verify(&anchors, now).unwrap().transcript()
}

#[test]
fn evidence_shows_by_which_handoff_the_acting_agent_came_to_the_task() {
    let handed = Handed::new();
    let verdict = handed.verdict();
    assert_eq!(verdict.passed, Check::ALL, "{:?}", verdict.result);
    let authority = verdict.result.as_ref().unwrap().authority.as_ref().unwrap();
    assert_eq!(authority.hops[1].guarantee, Guarantee::Jwt);
    assert!(authority.hops[1].handoff.is_some());
    assert!(verdict.report().contains("took the task over by handoff"));
}

#[test]
fn a_stated_handoff_needs_its_entries_its_signatures_and_keys_that_are_trusted() {
    let refused = |change: &dyn Fn(&mut Handed)| {
        let mut handed = Handed::new();
        change(&mut handed);
        let (check, found) = handed.found();
        assert_eq!(check, Check::Peers, "{found}");
        found
    };
    // More certainty than was proved, or another handoff.
    let mut surer = Handed::new();
    surer.state("attested", None);
    assert_eq!(surer.found().0, Check::Enrolment);
    // Another agent's identity token, or one of another authority.
    let found = refused(&|h| h.ca = identity());
    assert!(found.contains("handshake"), "{found}");
    // Not in this order.
    let found = refused(&|h| {
        let place = h.story.place(Kind::HandoffAccepted);
        let event = h.story.events.remove(place);
        h.story.events.push(event);
    });
    assert!(found.contains("order"), "{found}");
    // Without identity keys in the trust file nothing is proved.
    let handed = Handed::new();
    let failure = handed.under(&trust()).result.unwrap_err();
    assert_eq!(failure.check, Check::Peers);
    // A receipt that was taken out of the bundle.
    let mut bundle = handed.story.seal().bundle();
    bundle.receipts.retain(|r| r.name != Kind::HandoffAccepted);
    bundle.disclosures.retain(|(_, fields)| fields.iter().all(|(f, _)| f != "answer"));
    let verdict = verify(bundle.to_text().as_bytes(), &handed.trust(), &[]);
    assert_eq!(verdict.result.unwrap_err().check, Check::Peers);
}

#[test]
fn the_first_hop_is_as_sure_as_the_root_says_that_its_instance_was() {
    let mut handed = Handed::new();
    handed.story.body(Kind::DelegationIssued, 0, "guarantee", "jwt");
    // The decision states less than was known: somebody wrote something else.
    assert_eq!(handed.found().0, Check::Enrolment);
}

#[test]
fn an_offer_for_somebody_else_or_turned_down_proves_nothing() {
    let found = |handed: Handed| {
        let (check, found) = handed.found();
        assert_eq!(check, Check::Peers, "{found}");
    };
    found(Handed::with(|_| {}, "rejected"));
    // With the keys of whoever acted, and the name of another instance.
    found(Handed::taken_by(9, |_| {}, "accepted"));
    found(Handed::with(|o| o.leaf = sha256(b"another child"), "accepted"));
    found(Handed::with(|o| o.holder = key(seed::STRANGER).public_key().thumbprint(), "accepted"));
    found(Handed::with(|o| o.to = spiffe_id(1), "accepted"));
    let other = bailiwick_core::ids::TaskId::mint(at(1), [1; 10]);
    found(Handed::with(|o| o.task = other, "accepted"));
}
