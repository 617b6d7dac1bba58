//! Ledger entries: one signed JSON event each (DESIGN §7).
//!
//! An entry is the canonical form of
//! `{v, id, org, time, kind, maker: {id, seq, prev, run_seq?}, principal?, agent?, …,
//! body, commits, sig}`. `sig` is the maker's Ed25519 signature over
//! `"bailiwick-entry-v1\n"` and the canonical form without `sig`; `prev` is the
//! SHA-256 of that maker's previous entry as written, so a gap has a name; `run_seq`
//! numbers the entries of a run, whoever made them, so that none can be left out of a
//! report between two others.
//!
//! Entries hold ids, aliases, codes, times and salted commitments only; the
//! text behind a commitment lies beside the ledger and can be erased.

use crate::crypto::{Digest, PublicKey, Signer, base64url, from_base64url, sha256};
use crate::ids::{EntryId, OrgId};
use crate::json::{Json, JsonError, Object};
use crate::limits::JsonLimits;
use crate::time::Timestamp;

mod kind;
pub use kind::Kind;

/// Bytes of one entry at most (a log bundle allows 65,535).
pub const MAX_ENTRY_BYTES: usize = 60 * 1024;

/// The member that holds the maker's signature.
const SIGNATURE: &str = "sig";

const SIGNATURE_DOMAIN: &[u8] = b"bailiwick-entry-v1\n";

/// A value that the ledger commits to without writing it.
#[derive(Clone, Debug, PartialEq)]
pub struct Disclosure {
    /// 32 random bytes, so that the digest does not give a guessable value away.
    pub salt: [u8; 32],
    /// The value.
    pub value: Json,
}

impl Disclosure {
    /// The commitment: SHA-256 of [`Disclosure::canonical`].
    #[must_use]
    pub fn commitment(&self) -> Digest {
        sha256(self.canonical().as_bytes())
    }

    /// The canonical form of `{salt, value}`.
    #[must_use]
    pub fn canonical(&self) -> String {
        // In the order of their names; base64url has nothing to escape.
        format!("{{\"salt\":\"{}\",\"value\":{}}}", base64url(&self.salt), self.value.canonical())
    }

    /// `{"salt": base64url, "value": …}`
    #[must_use]
    pub fn to_json(&self) -> Json {
        Object::new().with("salt", base64url(&self.salt)).with("value", self.value.clone()).into()
    }

    /// Reads what [`Disclosure::to_json`] wrote.
    #[must_use]
    pub fn from_json(json: &Json) -> Option<Self> {
        let o = json.as_object()?;
        let salt = from_base64url(o.member("salt")?.as_str()?)?.try_into().ok()?;
        Some(Self { salt, value: o.member("value")?.clone() })
    }
}

/// Who or what an entry is about; what is absent is not written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subjects {
    /// The principal's random alias.
    pub principal: Option<String>,
    /// The acting agent.
    pub agent: Option<String>,
    /// The acting instance.
    pub instance: Option<String>,
    /// The workflow.
    pub workflow: Option<String>,
    /// The task.
    pub task: Option<String>,
    /// The run.
    pub run: Option<String>,
    /// The grant.
    pub grant: Option<String>,
    /// The leaf's token hash.
    pub delegation: Option<String>,
    /// The action (requested call).
    pub action: Option<String>,
    /// The tool id.
    pub tool: Option<String>,
    /// `allow`, `deny` or `approval_required`.
    pub decision: Option<String>,
    /// The reason code of a denial, or the outcome of a completed action.
    pub reason: Option<String>,
}

impl Subjects {
    /// The members in a fixed order, with their names in the entry.
    #[must_use]
    pub fn members(&self) -> [(&'static str, &Option<String>); 12] {
        [
            ("principal", &self.principal),
            ("agent", &self.agent),
            ("instance", &self.instance),
            ("workflow", &self.workflow),
            ("task", &self.task),
            ("run", &self.run),
            ("grant", &self.grant),
            ("delegation", &self.delegation),
            ("action", &self.action),
            ("tool", &self.tool),
            ("decision", &self.decision),
            ("reason", &self.reason),
        ]
    }

    fn from_object(o: &Object) -> Self {
        let text = |name| o.member(name).and_then(Json::as_str).map(str::to_owned);
        Self {
            principal: text("principal"),
            agent: text("agent"),
            instance: text("instance"),
            workflow: text("workflow"),
            task: text("task"),
            run: text("run"),
            grant: text("grant"),
            delegation: text("delegation"),
            action: text("action"),
            tool: text("tool"),
            decision: text("decision"),
            reason: text("reason"),
        }
    }
}

/// An event before its maker sealed it.
#[derive(Clone, Debug)]
pub struct Event {
    /// The entry's id (UUIDv7).
    pub id: EntryId,
    /// The organisation.
    pub org: OrgId,
    /// When it happened.
    pub time: Timestamp,
    /// What happened.
    pub kind: Kind,
    /// Who or what it is about.
    pub subjects: Subjects,
    /// The kind's own members: ids, codes, times, digests.
    pub body: Object,
    /// Values committed to, by field name.
    pub disclosures: Vec<(String, Disclosure)>,
}

/// A maker's place in its own sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MakerPosition {
    /// The number of the next entry, from 0.
    pub seq: u64,
    /// SHA-256 of the previous entry's bytes; zeros before the first.
    pub prev: Digest,
}

impl MakerPosition {
    /// Before the first entry.
    pub const START: Self = Self { seq: 0, prev: Digest::from_array([0; 32]) };
}

/// An entry as written: the exact leaf bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The canonical JSON text, which is the leaf.
    pub bytes: Vec<u8>,
    /// The maker's position after this entry.
    pub next: MakerPosition,
    /// The canonical texts that it commits to, by field: what lies beside it.
    pub texts: Vec<(String, String)>,
}

/// Why an entry cannot be made or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Larger than [`MAX_ENTRY_BYTES`].
    #[error("the entry has {bytes} bytes; at most {MAX_ENTRY_BYTES} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not strict JSON.
    #[error("the entry is not strict JSON: {0}")]
    Json(JsonError),
    /// Not in canonical form.
    #[error("the entry is not in canonical form")]
    NotCanonical,
    /// A member is missing or has the wrong form.
    #[error("the entry's member `{member}` is missing or malformed")]
    Member {
        /// Which one.
        member: &'static str,
    },
    /// The maker is not one of those trusted.
    #[error("the entry names a maker that the trust file does not list")]
    UnknownMaker,
    /// The signature does not hold.
    #[error("the maker's signature does not hold")]
    Signature,
}

impl EntryError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "entry-too-large",
            Self::Json(e) => e.code(),
            Self::NotCanonical => "entry-not-canonical",
            Self::Member { .. } => "entry-malformed",
            Self::UnknownMaker => "entry-unknown-maker",
            Self::Signature => "entry-bad-signature",
        }
    }
}

impl Event {
    /// Signs the event at `position`; `maker` is the maker's name in the trust
    /// file, for example `gateway:k7…`.
    ///
    /// # Errors
    /// [`EntryError::TooLarge`].
    pub fn seal(
        &self,
        maker: &str,
        position: MakerPosition,
        signer: &dyn Signer,
    ) -> Result<Sealed, EntryError> {
        Prepared::from(self.clone()).seal(maker, position, None, signer)
    }
}

/// An event of which all is written that does not depend on its place in the
/// maker's sequence, so that whoever keeps the sequence has little left to do.
#[derive(Clone, Debug)]
pub struct Prepared {
    event: Event,
    /// The canonical members before `maker`, between it and `sig`, and after.
    parts: [String; 3],
    texts: Vec<(String, String)>,
}

const MAKER: &str = "maker";
/// The maker's member that numbers the entries of a run.
const RUN_SEQ: &str = "run_seq";

impl From<Event> for Prepared {
    fn from(event: Event) -> Self {
        let texts: Vec<(String, String)> =
            event.disclosures.iter().map(|(field, d)| (field.clone(), d.canonical())).collect();
        let commits: Object = texts
            .iter()
            .map(|(field, text)| (field.clone(), Json::from(sha256(text.as_bytes()))))
            .collect();
        let mut entry = Object::new()
            .with("v", 1u64)
            .with("id", &event.id)
            .with("org", &event.org)
            .with("time", event.time.to_string())
            .with("kind", event.kind.as_str())
            .with("commits", commits)
            .with("body", event.body.clone());
        for (name, value) in event.subjects.members() {
            if let Some(value) = value {
                entry.insert(name, value.as_str());
            }
        }
        // There are members on all three sides: `id`, `org` and `v`.
        let (before, rest) = entry.split(MAKER);
        let (between, after) = rest.split(SIGNATURE);
        let parts = [before, between, after].map(|part| {
            let text = Json::from(part).canonical();
            let members = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
            members.unwrap_or_default().to_owned()
        });
        Self { event, parts, texts }
    }
}

impl Prepared {
    /// The event.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// [`Event::seal`]; `run_seq` is its number among the entries of its run, from 1.
    ///
    /// # Errors
    /// [`EntryError::TooLarge`].
    pub fn seal(
        &self,
        maker: &str,
        position: MakerPosition,
        run_seq: Option<u64>,
        signer: &dyn Signer,
    ) -> Result<Sealed, EntryError> {
        let [before, between, after] = &self.parts;
        let mut maker =
            Object::new().with("id", maker).with("seq", position.seq).with("prev", position.prev);
        if let Some(number) = run_seq {
            maker.insert(RUN_SEQ, number);
        }
        let maker = Json::from(maker).canonical();
        // The signature's member is set into the canonical text where its name
        // belongs.
        let head = format!("{{{before},\"{MAKER}\":{maker},{between}");
        let mut input = SIGNATURE_DOMAIN.to_vec();
        input.extend_from_slice(format!("{head},{after}}}").as_bytes());
        let signature = base64url(&signer.sign(&input));
        let bytes = format!("{head},\"{SIGNATURE}\":\"{signature}\",{after}}}").into_bytes();
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(EntryError::TooLarge { bytes: bytes.len() });
        }
        let next = MakerPosition { seq: position.seq.saturating_add(1), prev: sha256(&bytes) };
        Ok(Sealed { bytes, next, texts: self.texts.clone() })
    }
}

fn signing_input(unsigned: &Json) -> Vec<u8> {
    let mut input = SIGNATURE_DOMAIN.to_vec();
    input.extend_from_slice(unsigned.canonical().as_bytes());
    input
}

/// An entry read back whose maker's signature held.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The entry's id.
    pub id: EntryId,
    /// The organisation.
    pub org: OrgId,
    /// When it happened.
    pub time: Timestamp,
    /// What happened.
    pub kind: Kind,
    /// Who made it.
    pub maker: String,
    /// The maker's position before this entry.
    pub position: MakerPosition,
    /// Its number among the entries of its run, from 1; none, where it is of no run or
    /// was made before they were numbered.
    pub run_seq: Option<u64>,
    /// Who or what it is about.
    pub subjects: Subjects,
    /// The kind's own members.
    pub body: Object,
    /// Commitments by field.
    pub commits: Vec<(String, Digest)>,
}

impl Entry {
    /// Reads leaf bytes and checks the maker's signature; `key_of` knows the
    /// trusted makers and may refuse by the entry's time.
    ///
    /// # Errors
    /// See [`EntryError`].
    pub fn open(
        bytes: &[u8],
        key_of: &dyn Fn(&str, Timestamp) -> Option<PublicKey>,
    ) -> Result<Self, EntryError> {
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(EntryError::TooLarge { bytes: bytes.len() });
        }
        let json = Json::parse(bytes, &JsonLimits::DEFAULT).map_err(EntryError::Json)?;
        if json.canonical().as_bytes() != bytes {
            return Err(EntryError::NotCanonical);
        }
        let Json::Object(mut o) = json else {
            return Err(EntryError::Member { member: "v" });
        };
        let signature = o
            .remove(SIGNATURE)
            .and_then(|s| from_base64url(s.as_str()?))
            .ok_or(EntryError::Member { member: "sig" })?;
        let unsigned = Json::Object(o);
        let entry = Self::read(&unsigned)?;
        let key = key_of(&entry.maker, entry.time).ok_or(EntryError::UnknownMaker)?;
        if !key.verify(&signing_input(&unsigned), &signature) {
            return Err(EntryError::Signature);
        }
        Ok(entry)
    }

    fn read(json: &Json) -> Result<Self, EntryError> {
        let missing = |member| EntryError::Member { member };
        let o = json.as_object().ok_or(missing("v"))?;
        let text = |o: &Object, member: &'static str| -> Result<String, EntryError> {
            o.member(member).and_then(Json::as_str).map(str::to_owned).ok_or(missing(member))
        };
        let version = o.member("v").and_then(Json::as_number).and_then(|n| n.as_plain_integer());
        if version != Some(1) {
            return Err(missing("v"));
        }
        let maker = o.member("maker").and_then(Json::as_object).ok_or(missing("maker"))?;
        let number = |json: &Json| u64::try_from(json.as_number()?.as_plain_integer()?).ok();
        let seq = maker.member("seq").and_then(number).ok_or(missing("maker.seq"))?;
        let run_seq = match maker.member(RUN_SEQ) {
            None => None,
            Some(json) => Some(number(json).ok_or(missing("maker.run_seq"))?),
        };
        let prev = Digest::from_text(&text(maker, "prev")?).ok_or(missing("maker.prev"))?;
        let commits = o
            .member("commits")
            .and_then(Json::as_object)
            .ok_or(missing("commits"))?
            .iter()
            .map(|(field, digest)| {
                let digest = digest.as_str().and_then(Digest::from_text);
                Ok((field.to_owned(), digest.ok_or(missing("commits"))?))
            })
            .collect::<Result<_, EntryError>>()?;
        Ok(Self {
            id: EntryId::parse(&text(o, "id")?).map_err(|_| missing("id"))?,
            org: OrgId::parse(&text(o, "org")?).map_err(|_| missing("org"))?,
            time: text(o, "time")?.parse().map_err(|_| missing("time"))?,
            kind: Kind::parse(&text(o, "kind")?).ok_or(missing("kind"))?,
            maker: text(maker, "id")?,
            position: MakerPosition { seq, prev },
            run_seq,
            subjects: Subjects::from_object(o),
            body: o.member("body").and_then(Json::as_object).cloned().ok_or(missing("body"))?,
            commits,
        })
    }

    /// Whether `disclosure` is what this entry committed to under `field`.
    #[must_use]
    pub fn discloses(&self, field: &str, disclosure: &Disclosure) -> bool {
        let commitment = disclosure.commitment();
        self.commits.iter().any(|(name, digest)| name == field && *digest == commitment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SigningKey;

    fn event() -> Event {
        let now = Timestamp::from_millis(1_704_067_500_042);
        Event {
            id: EntryId::mint(now, [1; 10]),
            org: OrgId::parse("default").unwrap(),
            time: now,
            kind: Kind::ActionDecided,
            subjects: Subjects {
                agent: Some("agent:support-runner".into()),
                decision: Some("deny".into()),
                ..Subjects::default()
            },
            body: Object::new().with("staleness_ms", 12u64),
            disclosures: vec![(
                "arguments".into(),
                Disclosure { salt: [9; 32], value: Json::from("secret") },
            )],
        }
    }

    #[test]
    fn a_sealed_entry_opens_and_any_flipped_byte_is_found() {
        let key = SigningKey::from_seed(&[1; 32]).unwrap();
        let sealed = event().seal("gateway:1", MakerPosition::START, &key).unwrap();
        let public = key.public_key();
        let key_of = |maker: &str, _| (maker == "gateway:1").then_some(public);
        let entry = Entry::open(&sealed.bytes, &key_of).unwrap();
        assert_eq!(entry.kind, Kind::ActionDecided);
        let json = Json::parse(&sealed.bytes, &JsonLimits::DEFAULT).unwrap();
        assert_eq!(json.canonical().as_bytes(), sealed.bytes);
        assert_eq!(sealed.next, MakerPosition { seq: 1, prev: sha256(&sealed.bytes) });
        assert!(entry.discloses("arguments", &event().disclosures[0].1));
        assert!(!String::from_utf8_lossy(&sealed.bytes).contains("secret"));
        for i in 0..sealed.bytes.len() {
            let mut bad = sealed.bytes.clone();
            bad[i] ^= 1;
            assert!(Entry::open(&bad, &key_of).is_err(), "byte {i}");
        }
    }

    #[test]
    fn an_entry_beyond_60_kib_is_not_made() {
        let key = SigningKey::from_seed(&[1; 32]).unwrap();
        let mut event = event();
        event.body.insert("x", "y".repeat(MAX_ENTRY_BYTES));
        assert!(matches!(
            event.seal("gateway:1", MakerPosition::START, &key),
            Err(EntryError::TooLarge { .. })
        ));
    }
}
