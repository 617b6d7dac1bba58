//! The bundle: one canonical JSON text with everything about one action.
//!
//! ```text
//! {"action":ID,"digest":…,"disclosures":{ENTRY:{FIELD:{"salt":…,"value":…}}},
//!  "kind":"bailiwick-evidence","receipts":[{"entry":LEAF,"name":KIND,"proof":TLOG-PROOF}],"v":1}
//! ```
//! and a newline. There is one text for one content: another white space,
//! order or spelling is refused, and `digest` (SHA-256 of the canonical form
//! without it) makes a damaged file fail before anything is interpreted. It
//! protects against accidents only; what the rest of the bundle says is
//! verified by signatures and proofs.

use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::ids::{ActionId, EntryId};
use bailiwick_core::json::{Json, JsonError, Object};
use bailiwick_core::ledger::{Disclosure, Kind};
use bailiwick_core::limits::JsonLimits;

use crate::read::{BadMember, Reader};

/// Bytes of a bundle at most. Two chains and proofs at their limits and
/// arguments of 1 MiB, written twice, leave room for the rest.
pub const MAX_BUNDLE_BYTES: usize = 8 << 20;
/// Bytes of a policy that is carried along, in canonical form; the text of a
/// larger one is handed to the verifier beside the bundle.
pub const MAX_POLICY_BYTES: usize = 3 << 20;
/// Receipts at most: nine hops with an owner each need 35.
pub const MAX_RECEIPTS: usize = 64;

/// `kind` of the file.
pub const KIND: &str = "bailiwick-evidence";

/// Room for a disclosed value at its own limit, a few levels down.
const LIMITS: JsonLimits =
    JsonLimits { max_bytes: MAX_BUNDLE_BYTES, max_depth: 110, max_values: 500_000 };

/// The kinds of entry that a bundle may hold.
pub const KINDS: [Kind; 21] = [
    Kind::ActionDecided,
    Kind::ApprovalDecided,
    Kind::CredentialTrusted,
    Kind::ActionCompleted,
    Kind::DelegationIssued,
    Kind::GrantRecorded,
    Kind::HandoffAccepted,
    Kind::HandoffOffered,
    Kind::PeerHandshake,
    Kind::TaskCreated,
    Kind::PrincipalAdded,
    Kind::CredentialAdded,
    Kind::AgentAdded,
    Kind::AgentChanged,
    Kind::ClientChanged,
    Kind::InstanceEnrolled,
    Kind::PolicyPublished,
    Kind::RoleChanged,
    Kind::StandingApproved,
    Kind::WorkflowPublished,
    Kind::ToolPinned,
];

/// One entry with its proof of inclusion; nothing in it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What the entry is said to be.
    pub name: Kind,
    /// The leaf, exactly as in the log.
    pub entry: String,
    /// A C2SP tlog-proof text: index, hashes and signed checkpoint.
    pub proof: String,
}

/// Values disclosed for one entry, by field.
pub type Fields = Vec<(String, Disclosure)>;

/// A bundle of the documented form; nothing in it is verified.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// The action it is about.
    pub action: ActionId,
    /// The receipts.
    pub receipts: Vec<Receipt>,
    /// What entries committed to.
    pub disclosures: Vec<(EntryId, Fields)>,
}

/// A file that is no bundle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Larger than [`MAX_BUNDLE_BYTES`].
    #[error("the bundle has {bytes} bytes; at most {MAX_BUNDLE_BYTES} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// Not strict JSON.
    #[error("the bundle is not strict JSON: {0}")]
    Json(JsonError),
    /// A member is missing, malformed or unknown.
    #[error("the bundle's member `{member}` is missing, malformed or not known")]
    Member {
        /// Its path.
        member: String,
    },
    /// The digest is not that of the rest.
    #[error("the bundle's digest is not that of its content")]
    Digest,
    /// Other white space, order or spelling than the one allowed.
    #[error("the bundle is not in canonical form")]
    NotCanonical,
}

impl BundleError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "bundle-too-large",
            Self::Json(e) => e.code(),
            Self::Member { .. } => "bundle-malformed",
            Self::Digest => "bundle-damaged",
            Self::NotCanonical => "bundle-not-canonical",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        "get the bundle again with `bailiwick evidence get` and keep it byte for byte"
    }
}

impl From<BadMember> for BundleError {
    fn from(BadMember(member): BadMember) -> Self {
        Self::Member { member }
    }
}

impl Bundle {
    /// Reads a file.
    ///
    /// # Errors
    /// See [`BundleError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        if bytes.len() > MAX_BUNDLE_BYTES {
            return Err(BundleError::TooLarge { bytes: bytes.len() });
        }
        let json = Json::parse(bytes, &LIMITS).map_err(BundleError::Json)?;
        let members = ["v", "kind", "action", "receipts", "disclosures", "digest"];
        let top = Reader::new("", &json, &members)?;
        if top.integer("v")? != 1 {
            return Err(top.bad("v").into());
        }
        if top.text("kind")? != KIND {
            return Err(top.bad("kind").into());
        }
        let digest = Digest::from_text(top.text("digest")?).ok_or_else(|| top.bad("digest"))?;
        let bundle = Self {
            action: ActionId::parse(top.text("action")?).map_err(|_| top.bad("action"))?,
            receipts: receipts(&top)?,
            disclosures: read_disclosures(&top)?,
        };
        if bundle.digest() != digest {
            return Err(BundleError::Digest);
        }
        if bundle.to_text().as_bytes() != bytes {
            return Err(BundleError::NotCanonical);
        }
        Ok(bundle)
    }

    fn content(&self) -> Object {
        Object::new()
            .with("v", 1u64)
            .with("kind", KIND)
            .with("action", &self.action)
            .with("receipts", write_receipts(&self.receipts))
            .with("disclosures", write_disclosures(&self.disclosures))
    }

    /// SHA-256 of the canonical form without `digest`.
    #[must_use]
    pub fn digest(&self) -> Digest {
        sha256(Json::from(self.content()).canonical().as_bytes())
    }

    /// The one text of this bundle.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = Json::from(self.content().with("digest", self.digest())).canonical();
        text.push('\n');
        text
    }
}

pub(crate) fn write_receipts(receipts: &[Receipt]) -> Vec<Json> {
    let written = |r: &Receipt| -> Json {
        Object::new()
            .with("name", r.name.as_str())
            .with("entry", r.entry.as_str())
            .with("proof", r.proof.as_str())
            .into()
    };
    receipts.iter().map(written).collect()
}

pub(crate) fn write_disclosures(disclosures: &[(EntryId, Fields)]) -> Object {
    let written = |(id, fields): &(EntryId, Fields)| -> (String, Json) {
        let fields: Object = fields.iter().map(|(f, d)| (f.clone(), d.to_json())).collect();
        (id.as_str().to_owned(), fields.into())
    };
    disclosures.iter().map(written).collect()
}

fn receipts(top: &Reader<'_>) -> Result<Vec<Receipt>, BundleError> {
    read_receipts(top, MAX_RECEIPTS, |kind| KINDS.contains(&kind))
}

/// At most `most` receipts, of the kinds that may stand there.
pub(crate) fn read_receipts(
    top: &Reader<'_>,
    most: usize,
    may: impl Fn(Kind) -> bool,
) -> Result<Vec<Receipt>, BundleError> {
    let list = top.list("receipts")?;
    if list.is_empty() || list.len() > most {
        return Err(top.bad("receipts").into());
    }
    list.iter()
        .enumerate()
        .map(|(i, item)| {
            let r = Reader::new(&format!("receipts[{i}]"), item, &["name", "entry", "proof"])?;
            let name = Kind::parse(r.text("name")?)
                .filter(|kind| may(*kind))
                .ok_or_else(|| r.bad("name"))?;
            Ok(Receipt {
                name,
                entry: r.text("entry")?.to_owned(),
                proof: r.text("proof")?.to_owned(),
            })
        })
        .collect()
}

pub(crate) fn read_disclosures(top: &Reader<'_>) -> Result<Vec<(EntryId, Fields)>, BundleError> {
    top.object("disclosures")?
        .iter()
        .map(|(id, fields)| {
            let path = format!("disclosures.{id}");
            let bad = || BadMember(path.clone());
            let id = EntryId::parse(id).map_err(|_| bad())?;
            let fields = fields.as_object().filter(|f| !f.is_empty()).ok_or_else(bad)?;
            let fields = fields
                .iter()
                .map(|(field, value)| {
                    let bad = || BadMember(format!("{path}.{field}"));
                    let known = Reader::new(&bad().0, value, &["salt", "value"]);
                    let disclosure =
                        known.ok().and_then(|_| Disclosure::from_json(value)).ok_or_else(bad)?;
                    Ok((field.to_owned(), disclosure))
                })
                .collect::<Result<_, BadMember>>()?;
            Ok((id, fields))
        })
        .collect()
}
