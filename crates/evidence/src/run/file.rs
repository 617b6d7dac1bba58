//! The JSON form of a report: what it says, and the entries that it follows from.
//!
//! ```text
//! {"v":1,"kind":"bailiwick-run-report","report":{…},"stated":[…],
//!  "receipts":[{"entry":LEAF,"name":KIND,"proof":TLOG-PROOF}],
//!  "disclosures":{ENTRY:{FIELD:{"salt":…,"value":…}}},"digest":…}
//! ```
//! and a newline; canonical, as an evidence bundle. `stated` are the calls by tool and
//! decision of a run too long to list: the authority's count, which no receipt shows.

use bailiwick_core::crypto::{Digest, sha256};
use bailiwick_core::ids::EntryId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;

use super::leaf::Leaf;
use super::{Count, RunReport};
use crate::bundle::{
    BundleError, Fields, Receipt, read_disclosures, read_receipts, write_disclosures,
    write_receipts,
};
use crate::read::Reader;

/// Bytes of a report's JSON form at most.
pub const MAX_REPORT_BYTES: usize = 24 << 20;
/// Entries of a report at most.
pub const MAX_ENTRIES: usize = 4_096;
/// Tools and decisions that are counted apart at most.
const MAX_COUNTS: usize = 2_048;

/// `kind` of the file.
pub(super) const KIND: &str = "bailiwick-run-report";

pub(super) const LIMITS: JsonLimits =
    JsonLimits { max_bytes: MAX_REPORT_BYTES, max_depth: 110, max_values: 2_000_000 };

/// Why there is no report, or why a file is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// Not of the documented form.
    #[error("the file is no report of the documented form: {0}")]
    Form(#[from] BundleError),
    /// An entry lacks what a report is made of.
    #[error("the entries make no report: `{what}` is missing, stands there twice or is malformed")]
    Entries {
        /// What.
        what: &'static str,
    },
    /// More than a report carries.
    #[error(
        "the run has more entries than one report carries ({MAX_ENTRIES} entries, {MAX_REPORT_BYTES} bytes)"
    )]
    TooLarge,
}

impl ReportError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Form(e) => e.code(),
            Self::Entries { .. } => "report-entries",
            Self::TooLarge => "report-too-large",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Form(_) => {
                "get the report again with `bailiwick run report ID --format json` and keep it byte for byte"
            }
            Self::Entries { .. } => "run `bailiwick audit verify` on the data directory",
            Self::TooLarge => "read the run's entries with `bailiwick audit query`",
        }
    }
}

/// A report with the entries that it follows from; nothing in it is verified.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportFile {
    pub(super) receipts: Vec<Receipt>,
    pub(super) disclosures: Vec<(EntryId, Fields)>,
    pub(super) stated: Vec<Count>,
    /// What the file says of the run.
    pub(super) said: Json,
    /// What its entries say.
    report: RunReport,
}

impl ReportFile {
    /// The report that follows from entries of one run. `stated` are its calls by tool
    /// and decision, where not all of them are among the entries; else empty.
    ///
    /// # Errors
    /// [`ReportError::Entries`], [`ReportError::TooLarge`].
    pub fn new(
        receipts: Vec<Receipt>,
        disclosures: Vec<(EntryId, Fields)>,
        stated: Vec<Count>,
    ) -> Result<Self, ReportError> {
        if receipts.len() > MAX_ENTRIES || stated.len() > MAX_COUNTS {
            return Err(ReportError::TooLarge);
        }
        let report = made(&receipts, &disclosures, &stated)?;
        let file = Self { receipts, disclosures, stated, said: report.to_json(), report };
        match file.to_text().len() <= MAX_REPORT_BYTES {
            true => Ok(file),
            false => Err(ReportError::TooLarge),
        }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// See [`ReportError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ReportError> {
        if bytes.len() > MAX_REPORT_BYTES {
            return Err(BundleError::TooLarge { bytes: bytes.len() }.into());
        }
        let json = Json::parse(bytes, &LIMITS).map_err(BundleError::Json)?;
        let members = ["v", "kind", "report", "stated", "receipts", "disclosures", "digest"];
        let top = Reader::new("", &json, &members).map_err(BundleError::from)?;
        if top.integer("v").map_err(BundleError::from)? != 1 {
            return Err(BundleError::from(top.bad("v")).into());
        }
        if top.text("kind").map_err(BundleError::from)? != KIND {
            return Err(BundleError::from(top.bad("kind")).into());
        }
        let digest = top.text("digest").map_err(BundleError::from)?;
        let digest =
            Digest::from_text(digest).ok_or_else(|| BundleError::from(top.bad("digest")))?;
        let receipts = read_receipts(&top, MAX_ENTRIES, carries)?;
        let disclosures = read_disclosures(&top)?;
        let stated = stated(&top)?;
        let said = top.member("report").map_err(BundleError::from)?.clone();
        let report = made(&receipts, &disclosures, &stated)?;
        let file = Self { receipts, disclosures, stated, said, report };
        if file.digest() != digest {
            return Err(BundleError::Digest.into());
        }
        if file.to_text().as_bytes() != bytes {
            return Err(BundleError::NotCanonical.into());
        }
        Ok(file)
    }

    /// The report that follows from the file's entries.
    #[must_use]
    pub const fn report(&self) -> &RunReport {
        &self.report
    }

    /// The form that [`ReportFile::to_text`] writes.
    #[must_use]
    pub fn to_json(&self) -> Json {
        self.content().with("digest", self.digest()).into()
    }

    fn content(&self) -> Object {
        let stated: Vec<Json> = self.stated.iter().map(|count| count.to_json().into()).collect();
        Object::new()
            .with("v", 1u64)
            .with("kind", KIND)
            .with("report", self.said.clone())
            .with("stated", stated)
            .with("receipts", write_receipts(&self.receipts))
            .with("disclosures", write_disclosures(&self.disclosures))
    }

    /// SHA-256 of the canonical form without `digest`.
    #[must_use]
    pub fn digest(&self) -> Digest {
        sha256(Json::from(self.content()).canonical().as_bytes())
    }

    /// The one text of this report.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = self.to_json().canonical();
        text.push('\n');
        text
    }
}

fn made(
    receipts: &[Receipt],
    disclosures: &[(EntryId, Fields)],
    stated: &[Count],
) -> Result<RunReport, ReportError> {
    let leaves = Leaf::all(receipts, disclosures);
    let report = leaves.and_then(|leaves| RunReport::of(&leaves, stated));
    report.map_err(|what| ReportError::Entries { what })
}

/// The kinds of entry that a report is made of.
const fn carries(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::ActionDecided
            | Kind::ActionCompleted
            | Kind::ApprovalDecided
            | Kind::AutonomyLowered
            | Kind::CheckStarted
            | Kind::FailureClassified
            | Kind::FailureDetected
            | Kind::FailureResolved
            | Kind::RollbackStarted
            | Kind::RunAbandoned
            | Kind::RunChecked
            | Kind::RunClaimed
            | Kind::RunContext
            | Kind::RunProgress
            | Kind::RunReviewed
            | Kind::RunStarted
            | Kind::StandingApproved
            | Kind::WorkflowPublished
    )
}

fn stated(top: &Reader<'_>) -> Result<Vec<Count>, BundleError> {
    let list = top.list("stated")?;
    if list.len() > MAX_COUNTS {
        return Err(top.bad("stated").into());
    }
    let count = |(i, item): (usize, &Json)| {
        let members = ["tool", "decision", "reason", "calls"];
        let r = Reader::new(&format!("stated[{i}]"), item, &members)?;
        Ok(Count {
            tool: r.text("tool")?.to_owned(),
            decision: r.text("decision")?.to_owned(),
            reason: r.text("reason")?.to_owned(),
            calls: u64::try_from(r.integer("calls")?).map_err(|_| r.bad("calls"))?,
        })
    };
    list.iter().enumerate().map(count).collect()
}
