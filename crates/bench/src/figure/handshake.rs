//! Two agents that prove who they are to each other, and an offer that rests on
//! it.

use std::collections::BTreeSet;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    UnparsedPublicKey,
};
use bailiwick_core::aat::verify::{Chain, Context, ProofPolicy, Unverified};
use bailiwick_core::accountable::{Accountable, Authority};
use bailiwick_core::crypto::{P256SigningKey, Signer as _, SigningKey};
use bailiwick_core::guarantee::{Guarantee, Isolation};
use bailiwick_core::ids::HandoffId;
use bailiwick_core::jose::VerifyingKey;
use bailiwick_core::peer::handoff::{Child, Offer, Offered, Taker};
use bailiwick_core::peer::handshake::{Ask, Established, Initiator, Responder};
use bailiwick_core::peer::{Anchor, Channel, Own};
use bailiwick_core::time::Timestamp;
use bailiwick_core::wit::Identity;

use crate::Failure;
use crate::fixture::{NOW, Presentation, key};
use crate::machine::Machine;
use crate::measure::{Plan, Side, turns};
use crate::peer::bare::Bare;
use crate::report::{Comparison, Report};

const BARE: &str = "signatures alone";

const ABOUT: &str = "handshake: both sides of one, from the first message to the last; each \
verifies the other's identity token and two signatures, and makes two. offer: the taker's side, \
with a chain of two tokens and no network. The bare side makes and verifies the same signatures \
over messages of the same length.";

const NAME: &str = "spiffe://bench.example/agent/";
const ABLE: &str = "handoff.1";

struct Party {
    spiffe_id: String,
    wit: String,
    identity: P256SigningKey,
    pkcs8: Vec<u8>,
    holder: SigningKey,
}

fn p256() -> Result<(P256SigningKey, Vec<u8>), Failure> {
    let document =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())?;
    Ok((P256SigningKey::from_pkcs8(document.as_ref())?, document.as_ref().to_vec()))
}

impl Party {
    fn new(name: &str, number: u8, ca: &P256SigningKey) -> Result<Self, Failure> {
        let (identity, pkcs8) = p256()?;
        let spiffe_id = format!("{NAME}{name}/i-1");
        let statement = Identity {
            issuer: "https://authority.example".to_owned(),
            spiffe_id: spiffe_id.clone(),
            key: identity.public_key(),
            issued_at: NOW,
            expires_at: NOW + 600,
            jti: "018f3c2e-7b1a-7c55-9d20-c0ffee000002".to_owned(),
            isolation: Isolation::Namespaces,
        };
        let wit = statement.issue("ca", ca)?;
        Ok(Self { spiffe_id, wit, identity, pkcs8, holder: key(number)? })
    }

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
    anchors: [Anchor; 1],
    able: BTreeSet<String>,
    a: Party,
    b: Party,
}

/// A handshake's outcome on the taker's side, and the four signatures over it.
struct Met {
    established: Established,
    by_holders: [String; 2],
    by_identities: [String; 2],
}

impl World {
    fn new() -> Result<Self, Failure> {
        let (ca, _) = p256()?;
        let anchor = Anchor {
            trust_domain: "bench.example".to_owned(),
            issuer: "https://authority.example".to_owned(),
            keys: vec![("ca".to_owned(), VerifyingKey::P256(ca.public_key()))],
            max_guarantee: Guarantee::Attested,
        };
        let (a, b) = (Party::new("runner", 1, &ca)?, Party::new("clerk", 2, &ca)?);
        Ok(Self { ca, anchors: [anchor], able: BTreeSet::from([ABLE.to_owned()]), a, b })
    }

    fn shake(&self) -> Result<Met, Failure> {
        let (now, channel) = (Timestamp::from_seconds(NOW + 1), Channel::Unbound);
        let ask = Ask {
            audience: format!("{NAME}clerk"),
            purpose: "decide on a refund".to_owned(),
            offered: self.able.clone(),
            required: self.able.clone(),
        };
        let (a, b) = (self.a.own(), self.b.own());
        let (asking, hello) = Initiator::begin(&a, ask, channel.clone(), [1; 32], now)?;
        let (answering, reply) =
            Responder::on_hello(&b, &hello, &self.able, &self.anchors, &channel, [2; 32], now)?;
        let (_, finish) = asking.on_reply(&a, &reply, &self.anchors, now)?;
        let established = answering.on_finish(&finish, now)?;
        Ok(Met {
            established,
            by_holders: [reply.signatures.holder, finish.signatures.holder],
            by_identities: [reply.signatures.identity, finish.signatures.identity],
        })
    }

    /// The signatures of one handshake: two tokens and four over the transcript
    /// verified, four made.
    fn bare(&self, met: &Met) -> Result<impl FnMut() -> bool + use<>, Failure> {
        let split = |jws: &str| -> Option<(Vec<u8>, Vec<u8>)> {
            let (input, signature) = jws.rsplit_once('.')?;
            let signature = bailiwick_core::crypto::from_base64url(signature)?;
            Some((input.as_bytes().to_vec(), signature))
        };
        let [by_b, by_a] = &met.by_identities;
        let (ca, a, b) = (&self.ca, &self.a, &self.b);
        let p256 = [
            (ca.public_key(), a.wit.as_str()),
            (ca.public_key(), b.wit.as_str()),
            (b.identity.public_key(), by_b.as_str()),
            (a.identity.public_key(), by_a.as_str()),
        ];
        let p256: Vec<([u8; 65], Vec<u8>, Vec<u8>)> = p256
            .into_iter()
            .map(|(key, jws)| split(jws).map(|(m, s)| (key.point(), m, s)))
            .collect::<Option<_>>()
            .ok_or("not a compact JWS")?;
        let [by_b, by_a] = &met.by_holders;
        let holders = |party: &Party| *party.holder.public_key().as_bytes();
        let ed25519 = Bare::of([(holders(b), by_b.as_str()), (holders(a), by_a.as_str())])?;
        let identities = [a, b]
            .map(|party| EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &party.pkcs8));
        let identities = identities.into_iter().collect::<Result<Vec<_>, _>>()?;
        let holders = [1, 2].map(|n| Ed25519KeyPair::from_seed_unchecked(&[n; 32]));
        let holders = holders.into_iter().collect::<Result<Vec<_>, _>>()?;
        let message = p256.last().map(|(_, m, _)| m.clone()).ok_or("no message")?;
        let random = SystemRandom::new();
        Ok(move || {
            p256.iter().all(|(key, message, signature)| {
                let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key);
                key.verify(message, signature).is_ok()
            }) && ed25519.verify()
                && identities.iter().all(|key| key.sign(&random, &message).is_ok())
                && holders.iter().all(|key| ed25519.sign(key))
        })
    }
}

/// A chain of two tokens as the taker verifies it.
fn child(presentation: &Presentation, now: Timestamp) -> Result<Child, Failure> {
    let context = Context {
        now,
        anchors: &presentation.anchors,
        audiences: &presentation.audiences,
        require_chain_audience: true,
        proof: ProofPolicy { require_audience: true, accepted_nonces: None, used: &[] },
        limits: &presentation.limits,
    };
    let refused = |denial: bailiwick_core::denial::Denial| denial.to_string();
    let unverified = Unverified::parse(&presentation.tokens, context.limits).map_err(refused)?;
    let chain = Chain::verify::<Accountable>(&unverified, &context).map_err(refused)?;
    let [root, .., leaf] = chain.links() else { return Err("no child".into()) };
    let task = Authority::from_claims(&root.claims.all).map_err(refused)?.task;
    Ok(Child {
        leaf: leaf.hash,
        holder: leaf.holder,
        parent_holder: root.holder,
        task,
        expires: chain.expires(),
    })
}

pub(crate) fn report(plan: &Plan) -> Result<Report, Failure> {
    let world = World::new()?;
    let met = world.shake()?;
    let mut sides =
        [Side::new(BARE, world.bare(&met)?), Side::new("bailiwick", || world.shake().is_ok())];
    let handshake = turns(plan, &mut sides, BARE)?;

    let now = Timestamp::from_seconds(NOW + 1);
    let presentation = Presentation::accountable(2)?;
    let made = child(&presentation, now)?;
    let offer = Offer {
        id: HandoffId::mint(now, [3; 10]),
        from: world.a.spiffe_id.clone(),
        to: world.b.spiffe_id.clone(),
        holder: world.b.holder.public_key().thumbprint(),
        handshake: met.established.transcript(),
        challenge: [5; 32],
        task: made.task.clone(),
        purpose: "decide on a refund".to_owned(),
        leaf: made.leaf,
        context: Vec::new(),
        claims: Vec::new(),
        constraints: Vec::new(),
        guarantee: Guarantee::Key,
        issued_at: NOW,
        expires_at: NOW + 300,
    };
    let signed = offer.sign(&world.a.holder)?;
    let [root, leaf] = presentation.tokens.as_slice() else { return Err("no child".into()) };
    let key_of =
        |number: u8| -> Result<[u8; 32], Failure> { Ok(*key(number)?.public_key().as_bytes()) };
    let bare = Bare::of([
        (key_of(0)?, root.as_str()),
        (key_of(1)?, leaf.as_str()),
        (key_of(1)?, signed.as_str()),
    ])?;
    let verify = || -> Result<Offered, Failure> {
        let child = child(&presentation, now)?;
        let taker = Taker {
            spiffe_id: &world.b.spiffe_id,
            holder: world.b.holder.public_key().thumbprint(),
            challenge: [5; 32],
            child: &child,
            now,
        };
        Ok(Offered::verify(&signed, &met.established, &taker)?)
    };
    verify()?;
    let mut sides =
        [Side::new(BARE, || bare.verify()), Side::new("bailiwick", || verify().is_ok())];
    let offers = turns(plan, &mut sides, BARE)?;
    let compared =
        |title: &str, timings| Comparison { title: title.to_owned(), against: BARE, timings };
    Ok(Report {
        figure: "handshake",
        about: ABOUT,
        machine: Machine::here(),
        comparisons: vec![
            compared("one handshake, both sides", handshake),
            compared("one offer, by its taker", offers),
        ],
    })
}
