//! The two sides of a handshake, and what stands behind their names.

use crate::crypto::{
    Digest, P256PublicKey, P256SigningKey, PublicKey, Signer as _, SigningKey, sha256,
};
use crate::guarantee::{Guarantee, Isolation};
use crate::jose::{Jws, VerifyingKey};
use crate::json::{Json, Object};
use crate::time::Timestamp;
use crate::wit::{self, Identity};

use super::handshake::HandshakeError;

/// Seconds that the clocks of two trust domains may differ.
const SKEW_SECONDS: i64 = 30;
/// Seconds that an identity token lives at most: SVIDs are short.
const MAX_LIFETIME_SECONDS: i64 = 3_600;
const MAX_WIT_BYTES: usize = 4_096;

/// A trust domain whose identities are believed, as it is configured; nothing of
/// it is taken from what a peer sends.
#[derive(Clone, Debug)]
pub struct Anchor {
    /// The trust domain.
    pub trust_domain: String,
    /// Who speaks for it: the `iss` of its identity tokens.
    pub issuer: String,
    /// The issuer's keys by `kid`. None: the trust domain is revoked.
    pub keys: Vec<(String, VerifyingKey)>,
    /// The highest guarantee that it may give.
    pub max_guarantee: Guarantee,
}

/// The connection that a handshake runs over, as this side sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Bound to no connection, which lowers the guarantee to `key`.
    Unbound,
    /// TLS, by its exporter value (`tls-exporter`, RFC 9266).
    Tls {
        /// The value.
        exporter: [u8; 32],
    },
    /// TLS in which the other side showed an X.509-SVID.
    MutualTls {
        /// The value.
        exporter: [u8; 32],
        /// The SPIFFE ID of that SVID.
        peer: String,
    },
}

impl Channel {
    /// How sure the connection makes us of whom an identity token names. Over
    /// mutual TLS a workload counts as attested whose issuer vouches that its
    /// program runs apart from its keys.
    fn guarantee(&self, identity: &Identity) -> Result<Guarantee, HandshakeError> {
        match self {
            Self::Unbound => Ok(Guarantee::Key),
            Self::Tls { .. } => Ok(Guarantee::Jwt),
            Self::MutualTls { peer, .. } if *peer != identity.spiffe_id => {
                Err(HandshakeError::OtherConnection)
            }
            Self::MutualTls { .. } if identity.isolation >= Isolation::User => {
                Ok(Guarantee::Attested)
            }
            Self::MutualTls { .. } => Ok(Guarantee::Mtls),
        }
    }

    /// What anybody can see of it afterwards.
    #[must_use]
    pub const fn seen_by_others(&self) -> Binding {
        match self {
            Self::Unbound => Binding::None,
            Self::Tls { exporter } | Self::MutualTls { exporter, .. } => {
                Binding::Exporter(*exporter)
            }
        }
    }
}

/// A handshake's connection, as its record has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// None.
    None,
    /// The exporter value of a TLS connection.
    Exporter([u8; 32]),
}

impl Binding {
    pub(super) fn to_json(self) -> Json {
        match self {
            Self::None => "none".into(),
            Self::Exporter(exporter) => {
                Object::new().with("tls-exporter", Digest::from_array(exporter)).into()
            }
        }
    }

    pub(super) fn read(json: &Json) -> Option<Self> {
        if json.as_str() == Some("none") {
            return Some(Self::None);
        }
        let o = json.as_object().filter(|o| o.len() == 1)?;
        let exporter = Digest::from_text(o.member("tls-exporter")?.as_str()?)?;
        Some(Self::Exporter(*exporter.bytes()))
    }

    /// The most that either side can have been sure of over such a connection.
    const fn at_most(self) -> Guarantee {
        match self {
            Self::None => Guarantee::Key,
            Self::Exporter(_) => Guarantee::Attested,
        }
    }
}

/// This side: its identity token and its two keys.
#[derive(Clone, Copy)]
pub struct Own<'a> {
    /// The SPIFFE ID.
    pub spiffe_id: &'a str,
    /// The identity token that names it.
    pub wit: &'a str,
    /// The key of that token.
    pub identity: &'a P256SigningKey,
    /// The key that holds delegations.
    pub holder: &'a SigningKey,
}

impl Own<'_> {
    pub(super) fn facts(&self, nonce: [u8; 32]) -> Facts {
        Facts {
            spiffe_id: self.spiffe_id.to_owned(),
            identity: self.identity.public_key(),
            holder: self.holder.public_key(),
            wit: sha256(self.wit.as_bytes()),
            nonce,
        }
    }
}

/// What the transcript has of one side.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) spiffe_id: String,
    pub(super) identity: P256PublicKey,
    pub(super) holder: PublicKey,
    pub(super) wit: Digest,
    pub(super) nonce: [u8; 32],
}

impl Facts {
    pub(super) fn to_json(&self) -> Object {
        Object::new()
            .with("id", self.spiffe_id.as_str())
            .with("identity", self.identity.thumbprint())
            .with("holder", self.holder.thumbprint())
            .with("wit", self.wit)
            .with("nonce", Digest::from_array(self.nonce))
    }

    /// Whether both are one agent instance, or share a key.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.spiffe_id == other.spiffe_id
            || self.identity == other.identity
            || self.holder == other.holder
    }
}

/// The other side, once its identity token held. That it has the keys is only
/// known when its signatures held too.
#[derive(Clone, Debug)]
pub(super) struct Claimed {
    pub(super) facts: Facts,
    pub(super) expires_at: i64,
    pub(super) guarantee: Guarantee,
}

impl Claimed {
    /// Reads who the other side says it is.
    pub(super) fn read(
        presented: &super::wire::Presented,
        anchors: &[Anchor],
        channel: &Channel,
        now: Timestamp,
    ) -> Result<Self, HandshakeError> {
        Self::known(presented, anchors, now, |identity| channel.guarantee(identity))
    }

    /// Reads who a side said it was, for others: the guarantee is the most that
    /// the other side can have been sure of.
    pub(super) fn recorded(
        presented: &super::wire::Presented,
        anchors: &[Anchor],
        binding: Binding,
        at: Timestamp,
    ) -> Result<Self, HandshakeError> {
        Self::known(presented, anchors, at, |_| Ok(binding.at_most()))
    }

    fn known(
        presented: &super::wire::Presented,
        anchors: &[Anchor],
        now: Timestamp,
        guarantee: impl FnOnce(&Identity) -> Result<Guarantee, HandshakeError>,
    ) -> Result<Self, HandshakeError> {
        let anchor = anchor_of(&presented.wit, anchors)?;
        let expected = wit::Expected {
            issuer: &anchor.issuer,
            trust_domain: &anchor.trust_domain,
            keys: &anchor.keys,
            now,
            skew_seconds: SKEW_SECONDS,
            max_lifetime_seconds: MAX_LIFETIME_SECONDS,
        };
        let identity = Identity::verify(&presented.wit, &expected)?;
        let guarantee = guarantee(&identity)?.min(anchor.max_guarantee);
        let facts = Facts {
            spiffe_id: identity.spiffe_id,
            identity: identity.key,
            holder: presented.holder,
            wit: sha256(presented.wit.as_bytes()),
            nonce: presented.nonce,
        };
        Ok(Self { facts, expires_at: identity.expires_at, guarantee })
    }
}

/// The one anchor that speaks for the trust domain that the token names. The
/// name chooses an anchor and proves nothing: the anchor's keys do.
fn anchor_of<'a>(token: &str, anchors: &'a [Anchor]) -> Result<&'a Anchor, HandshakeError> {
    let jws = Jws::parse(token, MAX_WIT_BYTES).map_err(wit::WitError::from)?;
    let subject = jws.claim_hint("sub").unwrap_or_default();
    let domain = subject.strip_prefix("spiffe://").and_then(|rest| rest.split('/').next());
    anchors
        .iter()
        .find(|anchor| Some(anchor.trust_domain.as_str()) == domain)
        .ok_or(HandshakeError::UnknownTrustDomain)
}

/// A peer that proved who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its SPIFFE ID.
    pub spiffe_id: String,
    /// The key of its identity token.
    pub identity: P256PublicKey,
    /// The key under which it holds delegations.
    pub holder: PublicKey,
    /// When its identity token ends, seconds: it is known no longer than that.
    pub expires_at: i64,
    /// How sure we are of it.
    pub guarantee: Guarantee,
}

impl From<Claimed> for Peer {
    fn from(claimed: Claimed) -> Self {
        Self {
            spiffe_id: claimed.facts.spiffe_id,
            identity: claimed.facts.identity,
            holder: claimed.facts.holder,
            expires_at: claimed.expires_at,
            guarantee: claimed.guarantee,
        }
    }
}
