//! Claiming that a run is complete.

use std::collections::BTreeSet;

use bailiwick_core::ids::ToolId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Workflow;
use bailiwick_policy::checklist::{Backing, Criterion};
use bailiwick_policy::completion::{Completion, of_receipt};
use bailiwick_policy::grades::EvidenceGrade;
use bailiwick_policy::run::{Backed, Claim};
use bailiwick_store::{Row, Run, RunEvidence, RunState};

use super::note::Noting;
use super::{Receipt, RunError};
use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::Plan;
use crate::refusal::Refusal;

/// What an agent claims of its run.
#[derive(Clone, Copy, Debug)]
pub struct Claiming<'a> {
    /// Criterion by criterion.
    pub claims: &'a [Claim],
    /// What was done, in the agent's words.
    pub summary: Option<&'a str>,
    /// The task's version of the workflow.
    pub workflow: &'a Workflow,
    /// What the ledger has of the calls that are cited.
    pub receipts: &'a [Receipt],
}

impl Claiming<'_> {
    /// The evidence that the claims are, each with the grade of what is brought for
    /// it. Its numbers go on from `before`.
    ///
    /// # Errors
    /// [`RunError`]: one claim that does not stand refuses all.
    pub fn evidence(
        &self,
        run: &Run,
        before: u32,
        now: Timestamp,
    ) -> Result<Vec<RunEvidence>, RunError> {
        let mut seen = BTreeSet::new();
        let mut evidence = Vec::with_capacity(self.claims.len());
        for (claim, n) in self.claims.iter().zip(before.saturating_add(1)..) {
            let id = &claim.criterion;
            let criterion = self.workflow.checklist.completion.iter().find(|c| c.id == *id);
            let unknown = || RunError::unknown_criterion(id, self.workflow);
            let criterion = criterion.ok_or_else(unknown)?;
            if !seen.insert(id) {
                return Err(RunError::CriterionTwice { criterion: id.clone() });
            }
            let (grade, holds, action) = match &claim.by {
                Backed::Word => (EvidenceGrade::SelfReport, true, None),
                Backed::Check { passed, .. } => (EvidenceGrade::SelfCheck, *passed, None),
                Backed::Receipt(action) => {
                    let receipt = Receipt::of(self.receipts, action, &run.id)?;
                    shows(receipt, criterion)?;
                    let grade = of_receipt(EvidenceGrade::Observed, receipt.external);
                    (grade, true, Some(action.clone()))
                }
            };
            evidence.push(RunEvidence {
                run: run.id.clone(),
                n,
                criterion: id.clone(),
                grade: grade.as_str().to_owned(),
                holds,
                action,
                by: run.agent.to_string(),
                made: now,
                seen: None,
            });
        }
        Ok(evidence)
    }
}

/// SECURITY: a receipt shows a criterion only by its outcome, and only if the call was
/// of the tool that the criterion names.
fn shows(receipt: &Receipt, criterion: &Criterion) -> Result<(), RunError> {
    let tool: Option<&ToolId> = match &criterion.by {
        Backing::Tool { tool } | Backing::ToolCheck { tool, .. } => Some(tool),
        _ => None,
    };
    let action = || receipt.action.clone();
    if tool.is_none() || receipt.tool.as_deref() != tool.map(|tool| tool.as_str()) {
        let criterion = criterion.id.clone();
        return Err(RunError::ReceiptOther { action: action(), criterion });
    }
    match receipt.outcome.as_deref() {
        Some("ok") => Ok(()),
        _ => Err(RunError::ReceiptFailed { action: action() }),
    }
}

/// Records that a run was claimed, which ends it. `evidence` is that of `claiming`,
/// `completion` what was derived with it.
///
/// # Errors
/// [`RunError::NotTheTasks`]; [`Refusal::NoEntropy`].
pub fn claim(
    moment: &Moment<'_>,
    installation: &Installation,
    noting: &Noting<'_>,
    claiming: &Claiming<'_>,
    evidence: Vec<RunEvidence>,
    completion: &Completion,
) -> Result<Plan<()>, Refusal> {
    noting.check()?;
    let complete = completion.is_complete();
    let brought: Vec<Json> = claiming.claims.iter().map(told).collect();
    let mut step = noting
        .step(moment, installation, Kind::RunClaimed)?
        .with("complete", complete)
        .commit(moment, "claims", brought)?;
    if let Some(summary) = claiming.summary {
        step = step.commit(moment, "summary", summary)?;
    }
    let run = noting.run.id.clone();
    let pending = completion.waits(&claiming.workflow.checklist.completion);
    let row = Row::RunEnded { run, state: RunState::Claimed, complete, pending, evidence };
    Ok(Plan::one(step.row(row), ()))
}

/// A claim with the agent's words, for the text beside the entry.
fn told(claim: &Claim) -> Json {
    let mut told = Object::new().with("criterion", claim.criterion.as_str());
    if let Some(statement) = &claim.statement {
        told.insert("statement", statement.as_str());
    }
    match &claim.by {
        Backed::Word => {}
        Backed::Receipt(action) => told.insert("receipt", action),
        Backed::Check { name, passed, output } => {
            let check = Object::new().with("name", name.as_str()).with("passed", *passed);
            told.insert(
                "check",
                match output {
                    Some(output) => check.with("output_sha256", *output),
                    None => check,
                },
            );
        }
    }
    told.into()
}
