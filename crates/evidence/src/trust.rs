//! Whom the verifier trusts: `trust.json`, which never comes from the bundle.
//!
//! An auditor gets the file once from the organisation, compares its
//! [`fingerprint`](Trust::fingerprint) by another channel, and keeps it.

use bailiwick_core::aat::verify::Anchors;
use bailiwick_core::crypto::{P256PublicKey, PublicKey, sha256};
use bailiwick_core::guarantee::Guarantee;
use bailiwick_core::ids::OrgId;
use bailiwick_core::jose::{SetKey, ThirdPartyKey, VerifyingKey};
use bailiwick_core::json::{Json, JsonError, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::peer::Anchor;
use bailiwick_core::time::Timestamp;
use bailiwick_tlog::{LogKey, WitnessKey};

use crate::read::{BadMember, Reader};

/// Keys of one kind at most; a file with more is a mistake.
pub const MAX_KEYS: usize = 256;

/// When a key may be used: from the first to before the second; either may be
/// open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validity {
    /// Not before.
    pub not_before: Option<Timestamp>,
    /// Before, exclusive.
    pub not_after: Option<Timestamp>,
}

impl Validity {
    /// Always.
    pub const ALWAYS: Self = Self { not_before: None, not_after: None };

    /// Whether `time` lies inside.
    #[must_use]
    pub fn contains(&self, time: Timestamp) -> bool {
        self.not_before.is_none_or(|t| t <= time) && self.not_after.is_none_or(|t| time < t)
    }

    fn overlaps(&self, other: &Self) -> bool {
        let starts_before_end = |a: &Self, b: &Self| match (a.not_before, b.not_after) {
            (Some(start), Some(end)) => start < end,
            _ => true,
        };
        starts_before_end(self, other) && starts_before_end(other, self)
    }

    fn read(reader: &Reader<'_>) -> Result<Self, BadMember> {
        let validity =
            Self { not_before: reader.time("not_before")?, not_after: reader.time("not_after")? };
        match (validity.not_before, validity.not_after) {
            (Some(start), Some(end)) if end <= start => Err(reader.bad("not_after")),
            _ => Ok(validity),
        }
    }

    fn write(&self, mut object: Object) -> Object {
        if let Some(t) = self.not_before {
            object.insert("not_before", t.to_string());
        }
        if let Some(t) = self.not_after {
            object.insert("not_after", t.to_string());
        }
        object
    }
}

/// A key that signs roots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerKey {
    /// The issuer's URI, exactly as in `iss`.
    pub uri: String,
    /// The key.
    pub key: PublicKey,
    /// When.
    pub validity: Validity,
}

/// Which kinds of entry a maker may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The control plane: everything but actions.
    Authority,
    /// The data plane: actions and what was seen of tools.
    Gateway,
}

impl Role {
    /// Its name in the file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Authority => "authority",
            Self::Gateway => "gateway",
        }
    }
}

/// A key that seals entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maker {
    /// The maker's name in entries.
    pub id: String,
    /// The key.
    pub key: PublicKey,
    /// What it may say.
    pub role: Role,
    /// When.
    pub validity: Validity,
}

/// Where people use their passkeys, to sign grants and to approve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approvers {
    /// The WebAuthn relying party's id.
    pub rp_id: String,
    /// Its origins.
    pub origins: Vec<String>,
}

/// A key with which an OpenID provider signs `id_token`s. Providers change
/// theirs often, so a file that vouches for old grants keeps the old keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdTokenKey {
    /// The provider's issuer identifier, exactly as in `iss`.
    pub issuer: String,
    /// The client id under which people log in to sign grants.
    pub client_id: String,
    /// The key.
    pub key: ThirdPartyKey,
    /// When.
    pub validity: Validity,
}

/// A key that signs identity tokens of instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityIssuer {
    /// The issuer, exactly as in `iss`.
    pub issuer: String,
    /// The trust domain for which it speaks.
    pub trust_domain: String,
    /// The key.
    pub key: P256PublicKey,
    /// When.
    pub validity: Validity,
}

/// The trust file.
#[derive(Clone, Debug, PartialEq)]
pub struct Trust {
    /// The organisation.
    pub org: OrgId,
    /// Keys that sign roots.
    pub issuers: Vec<IssuerKey>,
    /// The log; its key's name is its origin.
    pub log: LogKey,
    /// Keys that seal entries.
    pub makers: Vec<Maker>,
    /// Witnesses that may cosign checkpoints.
    pub witnesses: Vec<WitnessKey>,
    /// How many witnesses a checkpoint must have; 0 asks for none, and the
    /// verdict then names what it assumes.
    pub quorum: usize,
    /// The gateways' audiences, exact texts.
    pub audiences: Vec<String>,
    /// Where people use their passkeys; without it no passkey signs anything.
    pub approvers: Option<Approvers>,
    /// Keys of identity providers; without one no login signs anything.
    pub id_tokens: Vec<IdTokenKey>,
    /// Keys that sign identity tokens; without one no handshake proves anything.
    pub identities: Vec<IdentityIssuer>,
}

/// A trust file that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// Not strict JSON.
    #[error("the trust file is not strict JSON: {0}")]
    Json(JsonError),
    /// A member is missing, malformed or unknown.
    #[error("the trust file's member `{member}` is missing, malformed or not known")]
    Member {
        /// Its path.
        member: String,
    },
    /// Two keys of one name hold at the same time, or one key has two names.
    #[error("the trust file is ambiguous about `{name}`: two entries hold at the same time")]
    Ambiguous {
        /// The name.
        name: String,
    },
}

impl TrustError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json(e) => e.code(),
            Self::Member { .. } => "trust-malformed",
            Self::Ambiguous { .. } => "trust-ambiguous",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        "get the file again with `bailiwick keys trust` and compare its fingerprint"
    }
}

impl From<BadMember> for TrustError {
    fn from(BadMember(member): BadMember) -> Self {
        Self::Member { member }
    }
}

fn texts(reader: &Reader<'_>, name: &str) -> Result<Vec<String>, BadMember> {
    let list = reader.list(name)?;
    if list.len() > MAX_KEYS {
        return Err(reader.bad(name));
    }
    list.iter().map(|t| t.as_str().map(str::to_owned).ok_or_else(|| reader.bad(name))).collect()
}

fn key(reader: &Reader<'_>) -> Result<PublicKey, BadMember> {
    PublicKey::from_jwk(reader.object("jwk")?)
        .ok()
        .filter(|k| reader.object("jwk").is_ok_and(|jwk| *jwk == k.to_jwk()))
        .ok_or_else(|| reader.bad("jwk"))
}

/// Absent in files that were written before there were any.
fn id_tokens(top: &Reader<'_>) -> Result<Vec<IdTokenKey>, BadMember> {
    const MEMBERS: [&str; 5] = ["issuer", "client_id", "jwk", "not_before", "not_after"];
    if top.optional("id_tokens").is_none() {
        return Ok(Vec::new());
    }
    each(top, "id_tokens", &MEMBERS, |r| {
        let jwk = r.object("jwk")?;
        Ok(IdTokenKey {
            issuer: r.text("issuer")?.to_owned(),
            client_id: r.text("client_id")?.to_owned(),
            key: ThirdPartyKey::from_jwk(jwk)
                .ok()
                .filter(|key| key.to_jwk() == *jwk)
                .ok_or_else(|| r.bad("jwk"))?,
            validity: Validity::read(r)?,
        })
    })
}

/// Absent in files that were written before there were any.
fn identities(top: &Reader<'_>) -> Result<Vec<IdentityIssuer>, BadMember> {
    const MEMBERS: [&str; 5] = ["issuer", "trust_domain", "jwk", "not_before", "not_after"];
    if top.optional("identities").is_none() {
        return Ok(Vec::new());
    }
    each(top, "identities", &MEMBERS, |r| {
        let jwk = r.object("jwk")?;
        Ok(IdentityIssuer {
            issuer: r.text("issuer")?.to_owned(),
            trust_domain: r.text("trust_domain")?.to_owned(),
            key: P256PublicKey::from_jwk(jwk)
                .ok()
                .filter(|key| key.to_jwk() == *jwk)
                .ok_or_else(|| r.bad("jwk"))?,
            validity: Validity::read(r)?,
        })
    })
}

fn each<T>(
    reader: &Reader<'_>,
    name: &str,
    known: &[&str],
    read: impl Fn(&Reader<'_>) -> Result<T, BadMember>,
) -> Result<Vec<T>, BadMember> {
    let list = reader.list(name)?;
    if list.len() > MAX_KEYS {
        return Err(reader.bad(name));
    }
    list.iter()
        .enumerate()
        .map(|(i, item)| read(&Reader::new(&format!("{}[{i}]", reader.path(name)), item, known)?))
        .collect()
}

impl Trust {
    /// Reads the file. Members that are not known are refused, because they
    /// may restrict what they stand beside.
    ///
    /// # Errors
    /// See [`TrustError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, TrustError> {
        const MEMBERS: [&str; 12] = [
            "v",
            "kind",
            "org",
            "issuers",
            "log",
            "makers",
            "witnesses",
            "quorum",
            "audiences",
            "approvers",
            "id_tokens",
            "identities",
        ];
        let json = Json::parse(bytes, &JsonLimits::DEFAULT).map_err(TrustError::Json)?;
        let top = Reader::new("", &json, &MEMBERS)?;
        if top.integer("v")? != 1 {
            return Err(top.bad("v").into());
        }
        if top.text("kind")? != "bailiwick-trust" {
            return Err(top.bad("kind").into());
        }
        let log = Reader::new("log", top.member("log")?, &["origin", "vkey"])?;
        let log_key = LogKey::parse(log.text("vkey")?).map_err(|_| log.bad("vkey"))?;
        if log_key.name() != log.text("origin")? {
            return Err(log.bad("origin").into());
        }
        let trust = Self {
            org: OrgId::parse(top.text("org")?).map_err(|_| top.bad("org"))?,
            issuers: each(&top, "issuers", &["uri", "jwk", "not_before", "not_after"], |r| {
                Ok(IssuerKey {
                    uri: r.text("uri")?.to_owned(),
                    key: key(r)?,
                    validity: Validity::read(r)?,
                })
            })?,
            log: log_key,
            makers: each(&top, "makers", &["id", "jwk", "role", "not_before", "not_after"], |r| {
                Ok(Maker {
                    id: r.text("id")?.to_owned(),
                    key: key(r)?,
                    role: match r.text("role")? {
                        "authority" => Role::Authority,
                        "gateway" => Role::Gateway,
                        _ => return Err(r.bad("role")),
                    },
                    validity: Validity::read(r)?,
                })
            })?,
            witnesses: each(&top, "witnesses", &["vkey"], |r| {
                WitnessKey::parse(r.text("vkey")?).map_err(|_| r.bad("vkey"))
            })?,
            quorum: usize::try_from(top.integer("quorum")?).map_err(|_| top.bad("quorum"))?,
            audiences: texts(&top, "audiences")?,
            approvers: match top.optional("approvers") {
                None => None,
                Some(a) => {
                    let r = Reader::new("approvers", a, &["rp_id", "origins"])?;
                    Some(Approvers {
                        rp_id: r.text("rp_id")?.to_owned(),
                        origins: texts(&r, "origins")?,
                    })
                }
            },
            id_tokens: id_tokens(&top)?,
            identities: identities(&top)?,
        };
        trust.check()?;
        Ok(trust)
    }

    /// What a file that reads may still get wrong.
    ///
    /// # Errors
    /// [`TrustError::Ambiguous`], or [`TrustError::Member`] for a quorum that
    /// the witnesses can never reach.
    pub fn check(&self) -> Result<(), TrustError> {
        for (i, maker) in self.makers.iter().enumerate() {
            for other in self.makers.iter().take(i) {
                // One key in two roles could say everything alone.
                let clash = other.id == maker.id || other.key == maker.key;
                if clash && other.validity.overlaps(&maker.validity) {
                    return Err(TrustError::Ambiguous { name: maker.id.clone() });
                }
            }
        }
        if Anchors::new(self.issuers.iter().map(|i| (i.uri.clone(), i.key)).collect()).is_err() {
            return Err(TrustError::Ambiguous { name: "issuers".to_owned() });
        }
        let mut witnesses: Vec<_> = self.witnesses.iter().map(|w| w.public_key()).collect();
        witnesses.sort_unstable();
        witnesses.dedup();
        if self.quorum > witnesses.len() {
            return Err(TrustError::Member { member: "quorum".to_owned() });
        }
        Ok(())
    }

    /// The JSON form.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let list = |texts: &[String]| -> Vec<Json> {
            texts.iter().map(|t| Json::from(t.as_str())).collect()
        };
        let issuers: Vec<Json> = self
            .issuers
            .iter()
            .map(|i| {
                let o = Object::new().with("uri", i.uri.as_str()).with("jwk", i.key.to_jwk());
                i.validity.write(o).into()
            })
            .collect();
        let makers: Vec<Json> = self
            .makers
            .iter()
            .map(|m| {
                let o = Object::new()
                    .with("id", m.id.as_str())
                    .with("jwk", m.key.to_jwk())
                    .with("role", m.role.as_str());
                m.validity.write(o).into()
            })
            .collect();
        let witnesses: Vec<Json> = self
            .witnesses
            .iter()
            .map(|w| Object::new().with("vkey", w.to_string()).into())
            .collect();
        let mut json = Object::new()
            .with("v", 1u64)
            .with("kind", "bailiwick-trust")
            .with("org", &self.org)
            .with("issuers", issuers)
            .with(
                "log",
                Object::new().with("origin", self.log.name()).with("vkey", self.log.to_string()),
            )
            .with("makers", makers)
            .with("witnesses", witnesses)
            .with("quorum", u64::try_from(self.quorum).unwrap_or(u64::MAX))
            .with("audiences", list(&self.audiences));
        if let Some(a) = &self.approvers {
            json.insert(
                "approvers",
                Object::new().with("rp_id", a.rp_id.as_str()).with("origins", list(&a.origins)),
            );
        }
        if !self.id_tokens.is_empty() {
            let keys: Vec<Json> = self
                .id_tokens
                .iter()
                .map(|k| {
                    let o = Object::new()
                        .with("issuer", k.issuer.as_str())
                        .with("client_id", k.client_id.as_str())
                        .with("jwk", k.key.to_jwk());
                    k.validity.write(o).into()
                })
                .collect();
            json.insert("id_tokens", keys);
        }
        if !self.identities.is_empty() {
            let keys: Vec<Json> = self
                .identities
                .iter()
                .map(|k| {
                    let o = Object::new()
                        .with("issuer", k.issuer.as_str())
                        .with("trust_domain", k.trust_domain.as_str())
                        .with("jwk", k.key.to_jwk());
                    k.validity.write(o).into()
                })
                .collect();
            json.insert("identities", keys);
        }
        json.into()
    }

    /// SHA-256 over the canonical form, as sixteen groups of four hexadecimal
    /// digits, to be read out and compared by another channel.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let digest = sha256(self.to_json().canonical().as_bytes());
        let groups: Vec<String> = digest
            .bytes()
            .chunks(2)
            .map(|pair| pair.iter().map(|b| format!("{b:02x}")).collect())
            .collect();
        groups.join("-")
    }

    /// Whether `text` is this file's fingerprint, whole; case, spaces, `-` and
    /// `:` do not matter.
    #[must_use]
    pub fn has_fingerprint(&self, text: &str) -> bool {
        let plain = |t: &str| -> String {
            t.chars()
                .filter(|c| !c.is_whitespace() && !matches!(c, '-' | ':'))
                .map(|c| c.to_ascii_lowercase())
                .collect()
        };
        plain(text) == plain(&self.fingerprint())
    }

    /// The issuers whose keys hold at `time`.
    #[must_use]
    pub fn anchors_at(&self, time: Timestamp) -> Anchors {
        let pairs = self
            .issuers
            .iter()
            .filter(|i| i.validity.contains(time))
            .map(|i| (i.uri.clone(), i.key))
            .collect();
        // `check` refused keys under two issuers; without anchors nothing holds.
        Anchors::new(pairs).unwrap_or_default()
    }

    /// The trust domains whose identity tokens are believed at `time`.
    #[must_use]
    pub fn identities_at(&self, time: Timestamp) -> Vec<Anchor> {
        let mut anchors: Vec<Anchor> = Vec::new();
        for k in self.identities.iter().filter(|k| k.validity.contains(time)) {
            let key = VerifyingKey::P256(k.key);
            let named = (key.thumbprint().to_string(), key);
            let same = |a: &&mut Anchor| a.trust_domain == k.trust_domain && a.issuer == k.issuer;
            match anchors.iter_mut().find(same) {
                Some(anchor) => anchor.keys.push(named),
                None => anchors.push(Anchor {
                    trust_domain: k.trust_domain.clone(),
                    issuer: k.issuer.clone(),
                    keys: vec![named],
                    max_guarantee: Guarantee::Attested,
                }),
            }
        }
        anchors
    }

    /// The maker of this name whose key holds at `time`.
    #[must_use]
    pub fn maker_at(&self, id: &str, time: Timestamp) -> Option<&Maker> {
        self.makers.iter().find(|m| m.id == id && m.validity.contains(time))
    }
}

#[cfg(test)]
mod tests;
