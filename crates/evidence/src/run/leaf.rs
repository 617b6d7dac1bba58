//! A leaf of the log as a report reads it; no signature is checked here.

use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_tlog::{TlogProof, leaf_hash};

use crate::bundle::{Fields, Receipt};
use bailiwick_core::ids::EntryId;

pub(super) struct Leaf {
    pub(super) index: u64,
    pub(super) kind: Kind,
    pub(super) time: Timestamp,
    pub(super) id: String,
    pub(super) hash: String,
    /// Its number among the entries of its run.
    pub(super) run_seq: Option<u64>,
    members: Object,
    body: Object,
    values: Fields,
}

impl Leaf {
    /// Every leaf of `receipts`, in the order of the log, with what is disclosed.
    pub(super) fn all(
        receipts: &[Receipt],
        disclosures: &[(EntryId, Fields)],
    ) -> Result<Vec<Self>, &'static str> {
        let mut leaves: Vec<Self> =
            receipts.iter().map(Self::read).collect::<Result<_, &'static str>>()?;
        for (id, fields) in disclosures {
            if let Some(leaf) = leaves.iter_mut().find(|leaf| leaf.id == id.as_str()) {
                leaf.values.clone_from(fields);
            }
        }
        leaves.sort_by_key(|leaf| leaf.index);
        Ok(leaves)
    }

    fn read(receipt: &Receipt) -> Result<Self, &'static str> {
        let proof = TlogProof::parse(receipt.proof.as_bytes()).map_err(|_| "proof")?;
        let json = Json::parse(receipt.entry.as_bytes(), &JsonLimits::DEFAULT);
        let Ok(Json::Object(members)) = json else { return Err("entry") };
        let text = |name: &str| members.member(name).and_then(Json::as_str);
        let time = text("time").and_then(|t| t.parse().ok()).ok_or("time")?;
        let maker = members.member("maker").and_then(Json::as_object);
        let run_seq = maker.filter(|maker| maker.member("run_seq").is_some());
        let run_seq = run_seq.map(|maker| number(maker, "run_seq"));
        let body = members.member("body").and_then(Json::as_object).cloned().ok_or("body")?;
        Ok(Self {
            index: proof.index(),
            kind: receipt.name,
            time,
            id: text("id").ok_or("id")?.to_owned(),
            hash: leaf_hash(receipt.entry.as_bytes()).to_base64(),
            run_seq,
            body,
            members,
            values: Fields::new(),
        })
    }

    /// A subject.
    pub(super) fn subject(&self, name: &str) -> Option<&str> {
        self.members.member(name)?.as_str()
    }

    pub(super) fn body(&self, name: &str) -> Option<&Json> {
        self.body.member(name)
    }

    /// The texts of a list within the body's object of that name.
    pub(super) fn listed(&self, object: &str, list: &str) -> Vec<&str> {
        let list = self.body(object).and_then(|o| o.as_object()?.member(list)?.as_array());
        list.unwrap_or_default().iter().filter_map(Json::as_str).collect()
    }

    /// The row that the entry wrote.
    pub(super) fn row(&self) -> Option<&Object> {
        self.body("row")?.as_object()
    }

    /// What the entry committed to under `field`.
    pub(super) fn commitment(&self, field: &str) -> Option<String> {
        let commits = self.members.member("commits")?.as_object()?;
        commits.member(field)?.as_str().map(str::to_owned)
    }

    /// A disclosed value.
    pub(super) fn value(&self, field: &str) -> Option<&Json> {
        self.values.iter().find(|(name, _)| name == field).map(|(_, d)| &d.value)
    }
}

/// A member that is a text.
pub(super) fn text(object: &Object, name: &str) -> Option<String> {
    object.member(name)?.as_str().map(str::to_owned)
}

/// A member that is a whole number; else 0.
pub(super) fn number(object: &Object, name: &str) -> u64 {
    let number = object.member(name).and_then(|n| n.as_number()?.as_plain_integer());
    number.and_then(|n| u64::try_from(n).ok()).unwrap_or(0)
}

/// The objects of a list.
pub(super) fn objects<'o>(object: &'o Object, name: &str) -> Vec<&'o Object> {
    let list = object.member(name).and_then(Json::as_array).unwrap_or_default();
    list.iter().filter_map(Json::as_object).collect()
}
