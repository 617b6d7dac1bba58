//! The three messages of a handshake as they travel: JSON, read strictly.

use std::collections::BTreeSet;

use crate::crypto::{Digest, PublicKey};
use crate::json::{Json, Object};
use crate::limits::JsonLimits;

use super::handshake::HandshakeError;

/// Bytes of a message at most.
pub const MAX_MESSAGE_BYTES: usize = 16 << 10;
/// Characters of a purpose at most.
const MAX_PURPOSE_CHARS: usize = 500;
/// Capabilities that are offered at most.
const MAX_CAPABILITIES: usize = 16;
const MAX_CAPABILITY_BYTES: usize = 64;
const MAX_AUDIENCE_BYTES: usize = 2_048;
const JSON: JsonLimits = JsonLimits { max_bytes: MAX_MESSAGE_BYTES, max_depth: 4, max_values: 64 };

/// One side as it presents itself; nothing of it is believed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// Its identity token.
    pub wit: String,
    /// Its holder key.
    pub holder: PublicKey,
    /// Its 32 random bytes.
    pub nonce: [u8; 32],
}

/// The first message: who asks whom, what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Who asks.
    pub from: Presented,
    /// Who is asked: the SPIFFE ID of an agent or of one instance.
    pub audience: String,
    /// What for.
    pub purpose: String,
    /// What the asking side can do.
    pub offered: BTreeSet<String>,
}

/// Signatures of both of one side's keys over the same transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signatures {
    /// By the holder key.
    pub holder: String,
    /// By the identity key.
    pub identity: String,
}

/// The second message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Who answers.
    pub from: Presented,
    /// What is used of what was offered.
    pub chosen: BTreeSet<String>,
    /// The answering side's signatures.
    pub signatures: Signatures,
}

/// The third message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finish {
    /// The asking side's signatures.
    pub signatures: Signatures,
}

const fn bad(member: &'static str) -> HandshakeError {
    HandshakeError::Malformed { member }
}

fn object(bytes: &[u8], members: usize) -> Result<Object, HandshakeError> {
    let json = Json::parse(bytes, &JSON).map_err(|_| bad("message"))?;
    let object = json.as_object().cloned().ok_or(bad("message"))?;
    if object.member("v") != Some(&Json::from(1u64)) {
        return Err(bad("v"));
    }
    // Nothing that one side reads and the other does not.
    if object.len() == members { Ok(object) } else { Err(bad("message")) }
}

fn text<'o>(o: &'o Object, member: &'static str) -> Result<&'o str, HandshakeError> {
    o.member(member).and_then(Json::as_str).ok_or(bad(member))
}

/// Capabilities: few, short, plain, each once and in order.
pub(super) fn are_capabilities(set: &BTreeSet<String>) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    let fits = |c: &String| (1..=MAX_CAPABILITY_BYTES).contains(&c.len()) && c.bytes().all(plain);
    set.len() <= MAX_CAPABILITIES && set.iter().all(fits)
}

/// A SPIFFE ID with a path: a whole trust domain is nobody in particular.
pub(super) fn is_audience(audience: &str) -> bool {
    let path = audience.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/'));
    audience.len() <= MAX_AUDIENCE_BYTES
        && path.is_some_and(|(domain, path)| {
            !domain.is_empty() && path.split('/').all(|segment| !segment.is_empty())
        })
}

pub(super) fn is_purpose(purpose: &str) -> bool {
    (1..=MAX_PURPOSE_CHARS).contains(&purpose.chars().count())
}

fn capabilities(o: &Object, member: &'static str) -> Result<BTreeSet<String>, HandshakeError> {
    let list = o.member(member).and_then(Json::as_array).ok_or(bad(member))?;
    let set: Option<BTreeSet<String>> =
        list.iter().map(|c| c.as_str().map(str::to_owned)).collect();
    let set = set.filter(|set| set.len() == list.len() && are_capabilities(set));
    set.ok_or(bad(member))
}

fn list(set: &BTreeSet<String>) -> Vec<Json> {
    set.iter().map(|c| Json::from(c.as_str())).collect()
}

impl Presented {
    fn write(&self, o: Object) -> Object {
        o.with("wit", self.wit.as_str())
            .with("holder", self.holder.to_jwk())
            .with("nonce", Digest::from_array(self.nonce))
    }

    fn read(o: &Object) -> Result<Self, HandshakeError> {
        let holder = o.member("holder").and_then(Json::as_object).ok_or(bad("holder"))?;
        let holder = PublicKey::from_jwk(holder).map_err(|_| bad("holder"))?;
        let nonce = Digest::from_text(text(o, "nonce")?).ok_or(bad("nonce"))?;
        Ok(Self { wit: text(o, "wit")?.to_owned(), holder, nonce: *nonce.bytes() })
    }
}

impl Signatures {
    fn write(&self, o: Object) -> Object {
        let both = Object::new()
            .with("holder", self.holder.as_str())
            .with("identity", self.identity.as_str());
        o.with("signatures", both)
    }

    fn read(o: &Object) -> Result<Self, HandshakeError> {
        let both = o.member("signatures").and_then(Json::as_object).filter(|o| o.len() == 2);
        let both = both.ok_or(bad("signatures"))?;
        let text = |member| both.member(member).and_then(Json::as_str).map(str::to_owned);
        match (text("holder"), text("identity")) {
            (Some(holder), Some(identity)) => Ok(Self { holder, identity }),
            _ => Err(bad("signatures")),
        }
    }
}

fn message() -> Object {
    Object::new().with("v", 1u64)
}

impl Hello {
    /// As it is sent.
    #[must_use]
    pub fn to_json(&self) -> Json {
        self.from
            .write(message())
            .with("audience", self.audience.as_str())
            .with("purpose", self.purpose.as_str())
            .with("offered", list(&self.offered))
            .into()
    }

    /// Reads what [`Hello::to_json`] writes, and nothing more.
    ///
    /// # Errors
    /// [`HandshakeError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, HandshakeError> {
        let o = object(bytes, 7)?;
        let audience = text(&o, "audience")?;
        if !is_audience(audience) {
            return Err(bad("audience"));
        }
        let purpose = text(&o, "purpose")?;
        if !is_purpose(purpose) {
            return Err(bad("purpose"));
        }
        Ok(Self {
            from: Presented::read(&o)?,
            audience: audience.to_owned(),
            purpose: purpose.to_owned(),
            offered: capabilities(&o, "offered")?,
        })
    }
}

impl Reply {
    /// As it is sent.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let o = self.from.write(message()).with("chosen", list(&self.chosen));
        self.signatures.write(o).into()
    }

    /// Reads what [`Reply::to_json`] writes, and nothing more.
    ///
    /// # Errors
    /// [`HandshakeError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, HandshakeError> {
        let o = object(bytes, 6)?;
        Ok(Self {
            from: Presented::read(&o)?,
            chosen: capabilities(&o, "chosen")?,
            signatures: Signatures::read(&o)?,
        })
    }
}

impl Finish {
    /// As it is sent.
    #[must_use]
    pub fn to_json(&self) -> Json {
        self.signatures.write(message()).into()
    }

    /// Reads what [`Finish::to_json`] writes, and nothing more.
    ///
    /// # Errors
    /// [`HandshakeError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, HandshakeError> {
        Ok(Self { signatures: Signatures::read(&object(bytes, 2)?)? })
    }
}
