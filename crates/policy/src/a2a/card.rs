//! Agent cards: what another agent says it is, signed by keys that are known.
//!
//! A card says who signed it, and nothing about who answers at its address: it
//! is good only for the address that a person catalogued, signed by a key that
//! is registered for that agent. An address of keys inside it (`jku`) is never
//! followed.

use std::collections::BTreeSet;

use bailiwick_core::crypto::base64url;
use bailiwick_core::ids::AgentId;
use bailiwick_core::jose::{HeaderRules, Jws, VerifyingKey};
use bailiwick_core::json::{Json, Object};
use url::Url;

use super::form::Unknown;
use super::messages;
use crate::catalogue::{Definition, DefinitionKind};

mod published;

pub use published::{Place, published};

/// The operation under which a card is pinned.
pub const CARD: &str = "card";
/// Bytes of a card at most.
pub const MAX_CARD_BYTES: usize = 128 * 1024;

const MAX_SIGNATURES: usize = 8;
const MAX_SKILLS: usize = 256;
const MAX_INTERFACES: usize = 16;
const MAX_KEYS: usize = 64;
const TYPES: &[&str] = &["JOSE"];
/// The binding in which agents are called.
const BINDING: &str = "JSONRPC";

/// Why a card counts for nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardRefused {
    /// Not a card of A2A 1.0.
    #[error("the agent card's `{place}` is missing, too large or not of its form")]
    Malformed {
        /// Where.
        place: String,
    },
    /// Nobody signed it.
    #[error("the agent card is not signed")]
    Unsigned,
    /// No signature is by a registered key, over this card.
    #[error("no signature of the agent card holds under a key that is registered for the agent")]
    Signer,
    /// It names an address that is not the catalogued one's.
    #[error("the agent card names another address than the one it is catalogued for")]
    Elsewhere,
    /// It names no interface that can be called.
    #[error("the agent card names no JSON-RPC interface of A2A 1.x")]
    Interface,
}

impl CardRefused {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "card-malformed",
            Self::Unsigned => "card-unsigned",
            Self::Signer => "card-signer-unknown",
            Self::Elsewhere => "card-elsewhere",
            Self::Interface => "card-interface-missing",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "have the agent publish a card as A2A 1.0 defines it",
            Self::Unsigned => {
                "have the agent sign its card (ES256 or EdDSA, `typ` JOSE) with a key of its own"
            }
            Self::Signer => {
                "have the card signed with the identity key of an enrolled instance of the agent, or name the signer's key with --key"
            }
            Self::Elsewhere => {
                "catalogue the agent where it is really reached; if this is the place, its card is somebody else's"
            }
            Self::Interface => {
                "have the agent offer `protocolBinding` JSONRPC with `protocolVersion` 1.0"
            }
        }
    }
}

/// A card as it came; nothing in it is believed.
#[derive(Clone, Debug)]
pub struct Presented {
    card: Object,
    signatures: Vec<(String, String)>,
}

/// A card that a registered key signed.
#[derive(Clone, Debug, PartialEq)]
pub struct Signed {
    card: Object,
}

/// A card for the address that its agent is catalogued at.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    card: Object,
    interface: Interface,
}

/// Where an agent is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its address.
    pub url: Url,
    /// What it wants to be told as `tenant`.
    pub tenant: Option<String>,
}

fn malformed(place: &str) -> CardRefused {
    CardRefused::Malformed { place: place.to_owned() }
}

/// The same without whatever says nothing: how both of the protocol's own
/// libraries make the text that is signed.
fn cleaned(json: &Json) -> Option<Json> {
    match json {
        Json::Null => None,
        Json::String(text) => (!text.is_empty()).then(|| json.clone()),
        Json::Array(items) => {
            let items: Vec<Json> = items.iter().filter_map(cleaned).collect();
            (!items.is_empty()).then(|| items.into())
        }
        Json::Object(members) => {
            let members: Object = members
                .iter()
                .filter_map(|(name, value)| Some((name.to_owned(), cleaned(value)?)))
                .collect();
            (!members.is_empty()).then(|| members.into())
        }
        other => Some(other.clone()),
    }
}

/// What a card's signature is over (A2A §8.4.1, RFC 8785).
#[must_use]
pub fn signed_form(card: &Object) -> Json {
    cleaned(&Json::from(card.clone())).unwrap_or_else(|| Object::new().into())
}

impl Presented {
    /// Reads a card. Members that A2A 1.0 does not have are left out: nobody
    /// signs them.
    ///
    /// # Errors
    /// [`CardRefused::Malformed`], [`CardRefused::Unsigned`].
    pub fn read(json: &Json) -> Result<Self, CardRefused> {
        let whole = json.as_object().ok_or_else(|| malformed("card"))?;
        let card = messages::CARD
            .read(whole, Unknown::Dropped)
            .map_err(|e| CardRefused::Malformed { place: e.place })?;
        let text = |name: &str| card.member(name).and_then(Json::as_str).unwrap_or_default();
        for required in ["name", "description", "version"] {
            if text(required).is_empty() {
                return Err(malformed(required));
            }
        }
        let count = |name: &str| card.member(name).and_then(Json::as_array).map_or(0, <[_]>::len);
        if count("skills") > MAX_SKILLS {
            return Err(malformed("skills"));
        }
        if !(1..=MAX_INTERFACES).contains(&count("supportedInterfaces")) {
            return Err(malformed("supportedInterfaces"));
        }
        if !Json::from(card.clone()).is_admissible() {
            return Err(malformed("capabilities"));
        }
        let listed = whole.member("signatures").and_then(Json::as_array).unwrap_or_default();
        if listed.is_empty() {
            return Err(CardRefused::Unsigned);
        }
        if listed.len() > MAX_SIGNATURES {
            return Err(malformed("signatures"));
        }
        let signatures = listed.iter().map(|signature| {
            let one = messages::SIGNATURE.read(signature.as_object()?, Unknown::Dropped).ok()?;
            let text = |name| one.member(name)?.as_str().map(str::to_owned);
            Some((text("protected")?, text("signature")?))
        });
        let signatures = signatures.collect::<Option<Vec<_>>>();
        Ok(Self { card, signatures: signatures.ok_or_else(|| malformed("signatures"))? })
    }

    /// The card, if one of these keys signed it.
    ///
    /// The signature is tried over the card without whatever is empty, as the
    /// libraries sign it, and over the card with what was set to be empty, as
    /// the specification's text has it. INVARIANT: what is pinned is the latter,
    /// so that an empty member which comes or goes is a change.
    ///
    /// # Errors
    /// [`CardRefused::Signer`].
    pub fn verify(self, keys: &[VerifyingKey]) -> Result<Signed, CardRefused> {
        const RULES: HeaderRules<'_> = HeaderRules::typed(TYPES).or_untyped().key_set_ignored();
        let payloads = [signed_form(&self.card), Json::from(self.card.clone())]
            .map(|payload| base64url(payload.canonical().as_bytes()));
        let holds = |(protected, signature): &(String, String)| {
            payloads.iter().any(|payload| {
                let text = format!("{protected}.{payload}.{signature}");
                let Ok(jws) = Jws::parse(&text, 4 * MAX_CARD_BYTES) else { return false };
                let Ok(acceptable) = jws.check_header(&RULES) else { return false };
                acceptable.kid().is_some() && keys.iter().any(|key| acceptable.verify(key).is_ok())
            })
        };
        if self.signatures.iter().any(holds) {
            Ok(Signed { card: self.card })
        } else {
            Err(CardRefused::Signer)
        }
    }
}

impl Signed {
    /// The card, if it is one for the address that it was asked for: every
    /// interface of it has that address's scheme, host and port.
    ///
    /// # Errors
    /// [`CardRefused::Elsewhere`], [`CardRefused::Interface`].
    pub fn at(self, catalogued: &Url) -> Result<Card, CardRefused> {
        Card::of(self.card, Some(catalogued))
    }
}

impl Card {
    /// `catalogued` is `None` for a card that was accepted there before.
    fn of(card: Object, catalogued: Option<&Url>) -> Result<Self, CardRefused> {
        let listed = card.member("supportedInterfaces").and_then(Json::as_array);
        let mut chosen = None;
        for interface in listed.unwrap_or_default().iter().filter_map(Json::as_object) {
            let text = |name: &str| interface.member(name).and_then(Json::as_str);
            let url = text("url").and_then(|url| Url::parse(url).ok());
            let url = url.ok_or(CardRefused::Elsewhere)?;
            let is_plain = url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
                && url.has_host();
            // SECURITY: the credential for the agent goes to its catalogued
            // address and nowhere else, and a copied card leads to its owner.
            let is_there = catalogued.is_none_or(|at| url.origin() == at.origin());
            if !is_plain || !is_there {
                return Err(CardRefused::Elsewhere);
            }
            let version = text("protocolVersion").unwrap_or_default();
            if chosen.is_none()
                && text("protocolBinding") == Some(BINDING)
                && super::is_spoken(version)
            {
                let tenant = text("tenant").map(str::to_owned);
                chosen = Some(Interface { url, tenant });
            }
        }
        let interface = chosen.ok_or(CardRefused::Interface)?;
        Ok(Self { card, interface })
    }

    /// Where the agent is called.
    #[must_use]
    pub const fn interface(&self) -> &Interface {
        &self.interface
    }

    /// The whole card, without signatures.
    #[must_use]
    pub const fn members(&self) -> &Object {
        &self.card
    }

    /// The extensions that it declares.
    pub fn extensions(&self) -> impl Iterator<Item = &str> {
        let capabilities = self.card.member("capabilities").and_then(Json::as_object);
        let listed = capabilities.and_then(|c| c.member("extensions")?.as_array());
        let listed = listed.unwrap_or_default().iter().filter_map(Json::as_object);
        listed.filter_map(|e| e.member("uri")?.as_str())
    }

    /// As it is pinned: with the agent that it is the card of, and the keys that
    /// a person named for it besides those of its enrolled instances.
    #[must_use]
    pub fn definition(&self, agent: &AgentId, keys: &[VerifyingKey]) -> Json {
        let keys: Vec<Json> = keys.iter().map(|key| key.to_jwk().into()).collect();
        Object::new()
            .with("name", CARD)
            .with("title", self.card.member("name").cloned())
            .with("description", self.card.member("description").cloned())
            .with("agent", agent)
            .with("keys", keys)
            .with("card", self.card.clone())
            .into()
    }
}

/// A card that a person accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Accepted {
    /// Whose it is.
    pub agent: AgentId,
    /// Keys that may sign it besides those of the agent's instances.
    pub keys: Vec<VerifyingKey>,
    /// The card.
    pub card: Card,
}

impl Accepted {
    /// Understands a definition; `None`, if it is no card's.
    #[must_use]
    pub fn of(definition: &Definition) -> Option<Self> {
        if definition.kind() != DefinitionKind::Card {
            return None;
        }
        let members = definition.members();
        let keys = members.member("keys")?.as_array()?;
        if keys.len() > MAX_KEYS {
            return None;
        }
        let keys = keys.iter().map(|jwk| VerifyingKey::from_jwk(jwk.as_object()?).ok());
        Some(Self {
            agent: AgentId::parse(members.member("agent")?.as_str()?).ok()?,
            keys: keys.collect::<Option<_>>()?,
            card: Card::of(members.member("card")?.as_object()?.clone(), None).ok()?,
        })
    }
}

/// Whether `after` asks less of its callers than `before`: there is a way in
/// that none of the earlier ways is a part of.
#[must_use]
pub fn is_weaker(before: &Definition, after: &Definition) -> bool {
    let ways = |definition: &Definition| -> Vec<BTreeSet<String>> {
        let card = definition.members().member("card").and_then(Json::as_object);
        card.map(ways_in).unwrap_or_default()
    };
    let (before, after) = (ways(before), ways(after));
    !before.is_empty()
        && (after.is_empty()
            || after.iter().any(|way| !before.iter().any(|earlier| earlier.is_subset(way))))
}

/// The alternatives of a card's security requirements, each the schemes that it
/// takes together, as they are defined.
fn ways_in(card: &Object) -> Vec<BTreeSet<String>> {
    let schemes = card.member("securitySchemes").and_then(Json::as_object);
    let required = card.member("securityRequirements").and_then(Json::as_array);
    let defined = |name: &str| {
        let scheme = schemes.and_then(|all| all.member(name));
        scheme.map_or_else(|| format!("?{name}"), Json::canonical)
    };
    let way = |requirement: &Json| -> BTreeSet<String> {
        let named = requirement.as_object().and_then(|r| r.member("schemes")?.as_object());
        named.map(|named| named.iter().map(|(name, _)| defined(name)).collect()).unwrap_or_default()
    };
    required.unwrap_or_default().iter().map(way).collect()
}

#[cfg(test)]
mod tests;
