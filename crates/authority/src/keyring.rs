//! Which keys were in force when: the present ones since when, the former ones
//! until when.
//!
//! The file holds public keys only. It is the operator's own word, like the
//! private keys beside it: the trust file is made from it, and a ledger that is
//! to be judged is not asked.

use bailiwick_core::crypto::{PublicKey, base64url, sha256};
use bailiwick_core::enrolment::IdentityKey;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_evidence::trust::Validity;

/// Former keys at most: the trust file takes 256 of a kind.
pub const MAX_FORMER: usize = 200;

/// What a key that can be replaced is for. The log's key names the log, and
/// the plaintext key wraps what was written: they stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Signs the authority's ledger entries.
    AuthorityMaker,
    /// Signs the gateway's ledger entries.
    GatewayMaker,
    /// Signs the identity tokens of instances (ES256).
    Identity,
    /// Signs roots.
    Issuer,
    /// Signs snapshots of the revocations.
    Snapshot,
    /// Signs X.509-SVIDs (ES256).
    Svid,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 6] = [
        Self::AuthorityMaker,
        Self::GatewayMaker,
        Self::Identity,
        Self::Issuer,
        Self::Snapshot,
        Self::Svid,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorityMaker => "authority-maker",
            Self::GatewayMaker => "gateway-maker",
            Self::Identity => "identity",
            Self::Issuer => "issuer",
            Self::Snapshot => "snapshot",
            Self::Svid => "svid",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|p| p.as_str() == text)
    }
}

/// A public key: Ed25519, or P-256 for identity tokens and SVIDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnyKey {
    /// Ed25519 (RFC 8037).
    Ed25519(PublicKey),
    /// P-256 for ES256 (RFC 7518 §3.4).
    P256(IdentityKey),
}

impl AnyKey {
    /// The public JWK.
    #[must_use]
    pub fn to_jwk(&self) -> Object {
        match self {
            Self::Ed25519(key) => key.to_jwk(),
            Self::P256(key) => key.to_jwk(),
        }
    }

    /// The JWK thumbprint (RFC 7638): its name in `kid`.
    #[must_use]
    pub fn kid(&self) -> String {
        base64url(sha256(Json::Object(self.to_jwk()).canonical().as_bytes()).bytes())
    }

    /// The algorithm's name in JWS headers. `EdDSA` is the older name that
    /// libraries read in a JWK.
    #[must_use]
    pub const fn algorithm(&self) -> &'static str {
        match self {
            Self::Ed25519(_) => "EdDSA",
            Self::P256(_) => "ES256",
        }
    }

    /// Reads the public JWK of a key for `purpose`.
    #[must_use]
    pub fn read(purpose: Purpose, jwk: &Object) -> Option<Self> {
        let key = match purpose {
            Purpose::Identity | Purpose::Svid => Self::P256(IdentityKey::from_jwk(jwk).ok()?),
            _ => Self::Ed25519(PublicKey::from_jwk(jwk).ok()?),
        };
        (key.to_jwk() == *jwk).then_some(key)
    }

    /// The Ed25519 key, if it is one.
    #[must_use]
    pub const fn ed25519(&self) -> Option<PublicKey> {
        match self {
            Self::Ed25519(key) => Some(*key),
            Self::P256(_) => None,
        }
    }

    /// The P-256 key, if it is one.
    #[must_use]
    pub const fn p256(&self) -> Option<IdentityKey> {
        match self {
            Self::P256(key) => Some(*key),
            Self::Ed25519(_) => None,
        }
    }
}

/// A key that is not used to sign any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormerKey {
    /// What it was for.
    pub purpose: Purpose,
    /// The key.
    pub key: AnyKey,
    /// Since when it was in force; since the log began, if nothing is said.
    pub from: Option<Timestamp>,
    /// Until when what it signed is accepted, exclusive.
    pub until: Timestamp,
    /// Whether it was given up as compromised.
    pub compromised: bool,
}

impl FormerKey {
    /// When what it signed is accepted; never, if it was compromised from the
    /// beginning.
    #[must_use]
    pub fn validity(&self, began: Option<Timestamp>) -> Option<Validity> {
        let not_before = self.from.or(began);
        let holds = not_before.is_none_or(|from| from < self.until);
        holds.then_some(Validity { not_before, not_after: Some(self.until) })
    }
}

/// Since when a present key is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Began {
    purpose: Purpose,
    key: AnyKey,
    from: Timestamp,
}

/// A key ring that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// The file is not a key ring.
    #[error("the key ring is malformed at `{member}`")]
    Malformed {
        /// Where.
        member: &'static str,
    },
    /// No room for another.
    #[error("the key ring holds {MAX_FORMER} former keys already")]
    Full,
}

impl KeyRingError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "keyring-malformed",
            Self::Full => "keyring-full",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "restore `keys/keyring.json` from the backup of the data dir",
            Self::Full => "begin a new installation: keys are not meant to change that often",
        }
    }
}

/// The key ring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRing {
    began: Vec<Began>,
    former: Vec<FormerKey>,
}

impl KeyRing {
    /// Reads the file. What is not understood is refused.
    ///
    /// # Errors
    /// [`KeyRingError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyRingError> {
        let bad = |member| KeyRingError::Malformed { member };
        let json = Json::parse(bytes, &JsonLimits::DEFAULT).map_err(|_| bad("."))?;
        let top = json.as_object().ok_or(bad("."))?;
        let list = |name| top.member(name).and_then(Json::as_array).unwrap_or_default();
        let mut ring = Self::default();
        for item in list("began") {
            let (purpose, key, item) = read_key(item).ok_or(bad("began"))?;
            let from = time(item, "from").ok_or(bad("began"))?;
            ring.began.push(Began { purpose, key, from });
        }
        for item in list("former") {
            let (purpose, key, item) = read_key(item).ok_or(bad("former"))?;
            let until = time(item, "until").ok_or(bad("former"))?;
            let from = time(item, "from");
            let compromised = item.member("compromised").is_some();
            ring.former.push(FormerKey { purpose, key, from, until, compromised });
        }
        if ring.former.len() > MAX_FORMER {
            return Err(KeyRingError::Full);
        }
        if ring.to_json() == json { Ok(ring) } else { Err(bad(".")) }
    }

    /// The file.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let key = |purpose: Purpose, key: &AnyKey| {
            Object::new().with("purpose", purpose.as_str()).with("jwk", key.to_jwk())
        };
        let began = self
            .began
            .iter()
            .map(|b| -> Json { key(b.purpose, &b.key).with("from", b.from.to_string()).into() });
        let former = self.former.iter().map(|f| -> Json {
            let mut o = key(f.purpose, &f.key).with("until", f.until.to_string());
            if let Some(from) = f.from {
                o.insert("from", from.to_string());
            }
            if f.compromised {
                o.insert("compromised", true);
            }
            o.into()
        });
        Object::new()
            .with("v", 1u64)
            .with("began", began.collect::<Vec<_>>())
            .with("former", former.collect::<Vec<_>>())
            .into()
    }

    /// Replaces `old` by `new` at `now`; what `old` signed is accepted until
    /// `until`.
    ///
    /// # Errors
    /// [`KeyRingError::Full`].
    pub fn replace(
        &mut self,
        purpose: Purpose,
        (old, new): (AnyKey, AnyKey),
        now: Timestamp,
        until: Timestamp,
        compromised: bool,
    ) -> Result<(), KeyRingError> {
        if self.former.len() >= MAX_FORMER {
            return Err(KeyRingError::Full);
        }
        let from = self.from(purpose, &old);
        self.former.push(FormerKey { purpose, key: old, from, until, compromised });
        self.began.retain(|b| b.purpose != purpose);
        self.began.push(Began { purpose, key: new, from: now });
        Ok(())
    }

    /// Gives up a former key as compromised from `until` on; gives whether
    /// there is such a key.
    pub fn compromise(&mut self, kid: &str, until: Timestamp) -> Option<FormerKey> {
        let found = self.former.iter_mut().find(|f| f.key.kid() == kid)?;
        found.compromised = true;
        found.until = found.until.min(until);
        Some(found.clone())
    }

    /// Since when `key` is in force; `None`: since the log began.
    #[must_use]
    pub fn from(&self, purpose: Purpose, key: &AnyKey) -> Option<Timestamp> {
        self.began.iter().find(|b| b.purpose == purpose && b.key == *key).map(|b| b.from)
    }

    /// The key that is to be in force for `purpose`, where the ring knows one:
    /// the file of a replacement that was cut off still has the old one.
    #[must_use]
    pub fn present(&self, purpose: Purpose) -> Option<AnyKey> {
        self.began.iter().find(|b| b.purpose == purpose).map(|b| b.key)
    }

    /// Former keys for `purpose`, apart from `present`, which is still in use
    /// while its replacement is under way.
    pub fn former(&self, purpose: Purpose, present: AnyKey) -> impl Iterator<Item = &FormerKey> {
        self.former.iter().filter(move |f| f.purpose == purpose && f.key != present)
    }

    /// Every former key, oldest first.
    #[must_use]
    pub fn all_former(&self) -> &[FormerKey] {
        &self.former
    }
}

fn read_key(item: &Json) -> Option<(Purpose, AnyKey, &Object)> {
    let item = item.as_object()?;
    let purpose = Purpose::parse(item.member("purpose")?.as_str()?)?;
    Some((purpose, AnyKey::read(purpose, item.member("jwk")?.as_object()?)?, item))
}

fn time(item: &Object, name: &str) -> Option<Timestamp> {
    item.member(name)?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bailiwick_core::crypto::{Signer as _, SigningKey};

    fn key(n: u8) -> AnyKey {
        AnyKey::Ed25519(SigningKey::from_seed(&[n; 32]).unwrap().public_key())
    }

    fn at(s: i64) -> Timestamp {
        Timestamp::from_seconds(s)
    }

    fn rotated() -> KeyRing {
        let mut ring = KeyRing::default();
        ring.replace(Purpose::Issuer, (key(1), key(2)), at(10), at(70), false).unwrap();
        ring.replace(Purpose::Issuer, (key(2), key(3)), at(100), at(90), true).unwrap();
        ring
    }

    #[test]
    fn a_ring_reads_back_and_keeps_when_each_key_was_in_force() {
        let ring = rotated();
        let text = ring.to_json().canonical();
        assert_eq!(KeyRing::parse(text.as_bytes()).unwrap(), ring);
        assert_eq!(ring.from(Purpose::Issuer, &key(3)), Some(at(100)));
        assert_eq!(ring.from(Purpose::Issuer, &key(1)), None);
        let began = Some(at(1));
        let windows: Vec<_> =
            ring.all_former().iter().map(|f| f.validity(began).unwrap()).collect();
        let window = |a, b| Validity { not_before: Some(at(a)), not_after: Some(at(b)) };
        assert_eq!(windows, [window(1, 70), window(10, 90)]);
    }

    #[test]
    fn a_key_that_was_compromised_from_the_beginning_is_never_valid() {
        let mut ring = rotated();
        let given_up = ring.compromise(&key(1).kid(), at(0)).unwrap();
        assert_eq!((given_up.validity(Some(at(1))), given_up.until), (None, at(0)));
        // It does not come back by being given up again for later.
        assert_eq!(ring.compromise(&key(1).kid(), at(50)).unwrap().until, at(0));
        assert_eq!(ring.compromise("nobody", at(0)), None);
    }

    #[test]
    fn a_key_whose_replacement_is_under_way_is_not_former_yet() {
        let ring = rotated();
        assert_eq!(ring.former(Purpose::Issuer, key(2)).count(), 1);
        assert_eq!(ring.former(Purpose::Issuer, key(3)).count(), 2);
        assert_eq!(ring.former(Purpose::Snapshot, key(3)).count(), 0);
        assert_eq!(ring.present(Purpose::Issuer), Some(key(3)));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let good = rotated().to_json().canonical();
        for (from, to) in [
            ("\"v\":1", "\"v\":2"),
            ("\"issuer\"", "\"issuers\""),
            ("\"until\"", "\"til\""),
            ("\"compromised\":true", "\"compromised\":false"),
            ("\"v\":1", "\"v\":1,\"more\":[]"),
            ("OKP", "oct"),
        ] {
            assert!(good.contains(from));
            let error = KeyRing::parse(good.replacen(from, to, 1).as_bytes()).unwrap_err();
            assert_eq!(error.code(), "keyring-malformed", "{to}");
            assert!(!error.remedy().is_empty());
        }
        let mut ring = KeyRing::default();
        for _ in 0..MAX_FORMER {
            ring.replace(Purpose::Issuer, (key(1), key(2)), at(1), at(2), false).unwrap();
        }
        let more = ring.replace(Purpose::Issuer, (key(1), key(2)), at(1), at(2), false);
        assert_eq!(more.unwrap_err().code(), "keyring-full");
    }
}
