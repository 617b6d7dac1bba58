//! Verification of a report: offline and pure.

use std::collections::BTreeMap;

use bailiwick_core::json::{Json, Object};
use bailiwick_tlog::SignedCheckpoint;

use super::file::{KIND, LIMITS, ReportFile};
use super::{Count, RunReport, plain};
use crate::check::{Check, Failure};
use crate::trust::Trust;
use crate::verdict::LogState;
use crate::verify::{log, receipts};

/// One check of a report, in the order in which they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportCheck {
    /// The file is one well-formed, undamaged text.
    File,
    /// Every entry was sealed by a maker that the trust file lists.
    Makers,
    /// Every entry is in the log, under one checkpoint.
    Inclusion,
    /// Every disclosed value is what its entry committed to.
    Disclosures,
    /// What the report says follows from these entries.
    Follows,
    /// Witnesses and kept checkpoints do not contradict the log.
    Witnesses,
}

impl ReportCheck {
    /// Every check, in order.
    pub const ALL: [Self; 6] = [
        Self::File,
        Self::Makers,
        Self::Inclusion,
        Self::Disclosures,
        Self::Follows,
        Self::Witnesses,
    ];

    /// The stable id.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Makers => "makers",
            Self::Inclusion => "inclusion",
            Self::Disclosures => "disclosures",
            Self::Follows => "follows",
            Self::Witnesses => "witnesses",
        }
    }

    /// What to do when it did not pass.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::File => {
                "get the report again with `bailiwick run report ID --format json` and keep it byte for byte"
            }
            Self::Makers => Check::Makers.remedy(),
            Self::Inclusion => Check::Inclusion.remedy(),
            Self::Disclosures => Check::Disclosures.remedy(),
            Self::Follows => "do not rely on this report: it says other things than the log",
            Self::Witnesses => Check::Witnesses.remedy(),
        }
    }
}

/// What a report proves.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportProven {
    /// The report, made again from its entries.
    pub report: RunReport,
    /// The log.
    pub log: LogState,
}

/// The verdict on one report under one trust file.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportVerdict {
    /// The fingerprint of the trust file that was used.
    pub trust: String,
    /// The checks that passed, in order.
    pub passed: Vec<ReportCheck>,
    /// What is proved, or the first check that did not hold and what was found.
    pub result: Result<ReportProven, (ReportCheck, String)>,
}

/// Whether a file says that it is a report.
#[must_use]
pub fn is_report(bytes: &[u8]) -> bool {
    let json = Json::parse(bytes, &LIMITS).ok();
    let kind = json.as_ref().and_then(|json| json.as_object()?.member("kind")?.as_str());
    kind == Some(KIND)
}

/// Verifies the bytes of a report under `trust`; `kept` are checkpoints of the same
/// log that the verifier holds from elsewhere.
#[must_use]
pub fn verify_report(bytes: &[u8], trust: &Trust, kept: &[SignedCheckpoint]) -> ReportVerdict {
    let mut passed = Vec::new();
    let result = run(bytes, trust, kept, &mut passed);
    ReportVerdict { trust: trust.fingerprint(), passed, result }
}

fn run(
    bytes: &[u8],
    trust: &Trust,
    kept: &[SignedCheckpoint],
    passed: &mut Vec<ReportCheck>,
) -> Result<ReportProven, (ReportCheck, String)> {
    let at = |check| move |failure: Failure| (check, failure.found);
    let file = ReportFile::parse(bytes).map_err(|e| (ReportCheck::File, e.to_string()))?;
    passed.push(ReportCheck::File);
    let entries = receipts::open(&file.receipts, trust).map_err(at(ReportCheck::Makers))?;
    passed.push(ReportCheck::Makers);
    let located = receipts::locate(&file.receipts, entries, trust);
    let (located, checkpoint) = located.map_err(at(ReportCheck::Inclusion))?;
    passed.push(ReportCheck::Inclusion);
    receipts::opened(&file.disclosures, located).map_err(at(ReportCheck::Disclosures))?;
    passed.push(ReportCheck::Disclosures);
    // The same report is made again from what was just verified.
    let report = file.report();
    follows(&file, report).map_err(|found| (ReportCheck::Follows, found))?;
    passed.push(ReportCheck::Follows);
    let log = log::state(&checkpoint, trust, kept).map_err(at(ReportCheck::Witnesses))?;
    passed.push(ReportCheck::Witnesses);
    Ok(ReportProven { report: report.clone(), log })
}

/// What is said is what the entries say, and what is only stated does not contradict
/// them.
fn follows(file: &ReportFile, report: &RunReport) -> Result<(), String> {
    let made = report.to_json();
    if made != file.said {
        let differs = made.as_object().into_iter().flat_map(Object::iter).find(|(name, value)| {
            file.said.as_object().and_then(|said| said.member(name)) != Some(*value)
        });
        let what = differs.map_or("a member that no report has", |(name, _)| name);
        return Err(format!("`{what}` of the report is not what its entries say"));
    }
    // A call that is only counted has a decision, and an outcome at most.
    let omitted = report.omitted;
    let is_counted = |unshown| (omitted..=omitted.saturating_mul(2)).contains(&unshown);
    if let Some(unshown) = report.unshown.filter(|unshown| !is_counted(*unshown)) {
        return Err(format!(
            "{unshown} entries of the run are left out, and {omitted} calls are said to be"
        ));
    }
    let mut stated: BTreeMap<(&str, &str, &str), u64> = BTreeMap::new();
    for Count { tool, decision, reason, calls } in &file.stated {
        let key = (tool.as_str(), decision.as_str(), reason.as_str());
        if stated.insert(key, *calls).is_some() {
            return Err("calls of one tool and decision are counted twice".to_owned());
        }
    }
    if file.stated.is_empty() {
        return Ok(());
    }
    for call in &report.calls {
        let reason = match call.decision.as_str() {
            "allow" => "",
            _ => call.reason.as_deref().unwrap_or_default(),
        };
        let key = (call.tool.as_deref().unwrap_or_default(), call.decision.as_str(), reason);
        let left = stated.get_mut(&key).filter(|left| **left > 0);
        let left = left.ok_or_else(|| "more calls are listed than are counted".to_owned())?;
        *left = left.saturating_sub(1);
    }
    Ok(())
}

impl ReportVerdict {
    /// Whether everything holds.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.result.is_ok()
    }

    /// For `--json`.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let passed: Vec<Json> = self.passed.iter().map(|check| Json::from(check.id())).collect();
        let object = Object::new()
            .with("verdict", if self.holds() { "holds" } else { "does not hold" })
            .with("trust", self.trust.as_str())
            .with("passed", passed);
        match &self.result {
            Ok(proven) => object
                .with("run", proven.report.run.as_str())
                .with("complete", proven.report.complete)
                .with("listed_calls", proven.report.calls.len() as u64)
                .with("omitted_calls", proven.report.omitted)
                .with("unshown_entries", proven.report.unshown)
                .with("log_size", proven.log.size)
                .with("log_state", proven.log.state())
                .with("not_proved", not_proved(&proven.report)),
            Err((check, found)) => object
                .with("check", check.id())
                .with("found", found.as_str())
                .with("remedy", check.remedy()),
        }
    }

    /// The verdict as lines of text.
    #[must_use]
    pub fn report(&self) -> String {
        let names: Vec<&str> = self.passed.iter().map(|check| check.id()).collect();
        let checked = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
        let mut lines = Vec::new();
        match &self.result {
            Ok(ReportProven { report, log }) => {
                lines.push(format!("REPORT HOLDS for run {}", plain(&report.run)));
                let goal = report.goal.text.as_ref();
                let goal = goal.map_or("erased, or not disclosed".to_owned(), |goal| plain(goal));
                lines.push(format!("  goal        {goal}"));
                lines.push(format!("  standing    {}", report.standing()));
                lines.push(format!("  shown       {}", report.shown_note()));
                for found in report.criteria.iter().flatten() {
                    lines.push(format!("              {}", plain(&found.why)));
                }
                lines.push(format!(
                    "  log         {}, {} entries, {}",
                    plain(&log.origin),
                    log.size,
                    log.state()
                ));
                for gap in not_proved(report) {
                    lines.push(format!("  not proved  {}", gap.as_str().unwrap_or_default()));
                }
            }
            Err((check, found)) => {
                lines.push("REPORT DOES NOT HOLD".to_owned());
                lines.push(format!("  check       {}", check.id()));
                lines.push(format!("  found       {}", plain(found)));
                lines.push(format!("  remedy      {}", check.remedy()));
            }
        }
        lines.push(format!("  checked     {checked}"));
        lines.push(format!("  trust       {}", self.trust));
        lines.join("\n")
    }
}

fn not_proved(report: &RunReport) -> Vec<Json> {
    let mut gaps = vec![
        match report.unshown {
            Some(_) => {
                "that nothing came after the last entry shown: a newer report or an audit of the log shows it"
            }
            None => "that these are all entries of the run: an audit of the log shows it",
        },
        "what its agent reported itself: context, iterations, costs",
    ];
    if report.omitted > 0 {
        gaps.push("how many calls there were besides those listed: the authority's count");
    }
    gaps.into_iter().map(Json::from).collect()
}
