//! A handshake as its messages have it: what a third party can verify later.
//!
//! All four signatures are over the same hash, and the hash is made of what the
//! messages say. So whoever has the messages and the anchors can tell that both
//! sides proved who they are to each other, without having been there. Only
//! what each saw of the connection stays theirs to say.

use std::collections::BTreeSet;

use crate::crypto::{Digest, PublicKey, Thumbprint, sha256};
use crate::jose::{HeaderRules, Jws};
use crate::json::{Json, Object};
use crate::time::Timestamp;
use crate::wit;

use super::handshake::{self, HandshakeError, Role, Transcript};
use super::party::{Anchor, Binding, Claimed, Facts, Peer};
use super::wire::{Finish, Hello, MAX_MESSAGE_BYTES, Reply};

/// Bytes of a record at most.
pub const MAX_RECORD_BYTES: usize = 3 * MAX_MESSAGE_BYTES + 1_024;

/// The three messages and the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The first message.
    pub hello: Hello,
    /// The second.
    pub reply: Reply,
    /// The third.
    pub finish: Finish,
    /// The connection that both signed.
    pub channel: Binding,
}

/// Two agents that proved who they are to each other. The guarantee of each is
/// the most that the other can have been sure of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    initiator: Peer,
    responder: Peer,
    purpose: String,
    capabilities: BTreeSet<String>,
    transcript: Digest,
}

impl Proven {
    /// Who asked.
    #[must_use]
    pub const fn initiator(&self) -> &Peer {
        &self.initiator
    }

    /// Who answered.
    #[must_use]
    pub const fn responder(&self) -> &Peer {
        &self.responder
    }

    /// The two sides of what `from` made: it, and the other.
    #[must_use]
    pub fn sides(&self, from: &str) -> Option<(&Peer, &Peer)> {
        let (initiator, responder) = (&self.initiator, &self.responder);
        match from {
            _ if initiator.spiffe_id == from => Some((initiator, responder)),
            _ if responder.spiffe_id == from => Some((responder, initiator)),
            _ => None,
        }
    }

    /// The two sides of a signed offer by the `iss` that it names and that nobody
    /// verified yet: its maker, and the other.
    #[must_use]
    pub fn maker_of(&self, offer: &str) -> Option<(&Peer, &Peer)> {
        self.maker(offer, super::handoff::MAX_OFFER_BYTES)
    }

    /// The same, of a signed document by the `iss` that it names and that nobody
    /// verified yet.
    pub(super) fn maker(&self, signed: &str, most: usize) -> Option<(&Peer, &Peer)> {
        self.sides(&Jws::parse(signed, most).ok()?.claim_hint("iss")?)
    }

    /// What for.
    #[must_use]
    pub fn purpose(&self) -> &str {
        &self.purpose
    }

    /// What both agreed on.
    #[must_use]
    pub const fn capabilities(&self) -> &BTreeSet<String> {
        &self.capabilities
    }

    /// The hash that both signed.
    #[must_use]
    pub const fn transcript(&self) -> Digest {
        self.transcript
    }
}

impl Record {
    /// Verifies that it is a whole handshake, between two agents whose identity
    /// tokens stood at `at`.
    ///
    /// # Errors
    /// See [`HandshakeError`].
    pub fn verify(&self, anchors: &[Anchor], at: Timestamp) -> Result<Proven, HandshakeError> {
        let initiator = Claimed::recorded(&self.hello.from, anchors, self.channel, at)?;
        let responder = Claimed::recorded(&self.reply.from, anchors, self.channel, at)?;
        if initiator.facts.is_same(&responder.facts)
            || initiator.facts.nonce == responder.facts.nonce
        {
            return Err(HandshakeError::Reflected);
        }
        if !handshake::means(&self.hello.audience, &responder.facts.spiffe_id) {
            return Err(HandshakeError::OtherPeer);
        }
        if !self.reply.chosen.is_subset(&self.hello.offered) {
            return Err(HandshakeError::Capabilities);
        }
        let transcript = self.transcript(&initiator.facts, &responder.facts);
        let Reply { signatures, .. } = &self.reply;
        handshake::verify(&responder.facts, signatures, Role::Responder, transcript)?;
        let Finish { signatures } = &self.finish;
        handshake::verify(&initiator.facts, signatures, Role::Initiator, transcript)?;
        Ok(Proven {
            initiator: initiator.into(),
            responder: responder.into(),
            purpose: self.hello.purpose.clone(),
            capabilities: self.reply.chosen.clone(),
            transcript,
        })
    }

    fn transcript(&self, initiator: &Facts, responder: &Facts) -> Digest {
        Transcript {
            initiator,
            responder,
            hello: &self.hello,
            chosen: &self.reply.chosen,
            channel: self.channel,
        }
        .digest()
    }

    /// The holder key of this thumbprint that one of the sides presented.
    #[must_use]
    pub fn holder(&self, thumbprint: &Thumbprint) -> Option<PublicKey> {
        let sides = [&self.hello.from, &self.reply.from];
        sides.into_iter().map(|side| side.holder).find(|key| key.thumbprint() == *thumbprint)
    }

    /// The `kid` of the key that signed the identity token of each side, who asked
    /// first.
    #[must_use]
    pub fn token_kids(&self) -> [Option<String>; 2] {
        [&self.hello.from, &self.reply.from].map(|side| {
            let jws = Jws::parse(&side.wit, MAX_MESSAGE_BYTES).ok()?;
            jws.check_header(&HeaderRules::typed(&[wit::TYPE])).ok()?.kid().map(str::to_owned)
        })
    }

    /// SHA-256 of its canonical form.
    #[must_use]
    pub fn digest(&self) -> Digest {
        sha256(self.to_json().canonical().as_bytes())
    }

    /// As it is kept and sent.
    #[must_use]
    pub fn to_json(&self) -> Json {
        Object::new()
            .with("v", 1u64)
            .with("hello", self.hello.to_json())
            .with("reply", self.reply.to_json())
            .with("finish", self.finish.to_json())
            .with("channel", self.channel.to_json())
            .into()
    }

    /// Reads what [`Record::to_json`] writes, and nothing more.
    ///
    /// # Errors
    /// [`HandshakeError::Malformed`].
    pub fn read(json: &Json) -> Result<Self, HandshakeError> {
        let bad = |member| HandshakeError::Malformed { member };
        let o = json.as_object().filter(|o| o.len() == 5).ok_or(bad("handshake"))?;
        if o.member("v") != Some(&Json::from(1u64)) {
            return Err(bad("v"));
        }
        let message =
            |member: &'static str| o.member(member).map(Json::canonical).ok_or(bad(member));
        Ok(Self {
            hello: Hello::parse(message("hello")?.as_bytes())?,
            reply: Reply::parse(message("reply")?.as_bytes())?,
            finish: Finish::parse(message("finish")?.as_bytes())?,
            channel: o.member("channel").and_then(Binding::read).ok_or(bad("channel"))?,
        })
    }
}
