//! Whether a run counts as complete, asked of the ledger.
//!
//! One place gathers what speaks for a run and what changed since; what follows
//! from it is [`derive`](bailiwick_policy::completion::derive)'s.

use std::collections::BTreeSet;

use bailiwick_core::ids::ToolId;
use bailiwick_policy::Workflow;
use bailiwick_policy::checklist::{Backing, Criterion};
use bailiwick_policy::completion::{Change, Completion, Evidence, REPORTED, derive, of_receipt};
use bailiwick_policy::grades::{Effect, EvidenceGrade};
use bailiwick_store::{ErrandKind, Run, RunEvidence, StoreError, View};

/// What was derived of a run, and from what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Derived {
    /// Each criterion with its finding.
    pub completion: Completion,
    /// What the findings point into.
    pub evidence: Vec<Evidence>,
}

/// The tools of a workflow's catalogue that write.
#[must_use]
pub fn writing_tools(workflow: &Workflow) -> BTreeSet<ToolId> {
    let writes = workflow.catalogue.tools().filter(|(_, rating)| rating.effect == Effect::Write);
    writes.map(|(tool, _)| tool).collect()
}

/// Derives a run's completion under its own version of the workflow.
///
/// `more` is evidence that is written in the same transaction, so that it stands
/// after everything that the ledger has yet. Calls of a criterion's tool that went
/// well are found whether or not the agent claims them.
///
/// # Errors
/// [`StoreError::Fault`].
pub fn derived(
    view: &View<'_>,
    run: &Run,
    workflow: &Workflow,
    more: &[RunEvidence],
) -> Result<Derived, StoreError> {
    let criteria = &workflow.checklist.completion;
    let writes = writing_tools(workflow);
    let mut evidence = recorded(view, run)?;
    evidence.extend(observed(view, run, workflow)?);
    let next = view.log_size()?;
    for item in more {
        // Of a receipt its outcome counts, not where it was claimed; of a check what it
        // was told of.
        let at = match (&item.action, item.seen) {
            (_, Some(seen)) => seen,
            (Some(action), None) => receipt_at(view, action, &item.grade)?.unwrap_or(next),
            (None, None) => next,
        };
        evidence.extend(graded(item, at));
    }
    let changes = changes(view, run, workflow)?;
    Ok(Derived { completion: derive(criteria, &writes, &evidence, &changes), evidence })
}

/// What was changed in a run, or undone since.
fn changes(view: &View<'_>, run: &Run, workflow: &Workflow) -> Result<Vec<Change>, StoreError> {
    let changed = |call: bailiwick_store::LastCall| Change {
        at: call.over.unwrap_or(u64::MAX),
        tool: call.tool,
    };
    let mut changes: Vec<Change> =
        view.last_calls_of_run(&run.id)?.into_iter().map(changed).collect();
    // What was undone, by whatever tool or person, is to be shown again, and not before
    // the calls that undo it are over.
    let undone = view.errands_of_run(&run.id, ErrandKind::Rollback)?;
    let calls = undone.iter().filter(|undo| undo.is_allowed());
    let over = calls.map(|undo| undo.over.unwrap_or(u64::MAX)).max();
    if let Some(at) = view.last_rollback(&run.id)?.max(over) {
        let named = workflow.checklist.completion.iter().filter_map(|c| c.changed_by.as_ref());
        let mut all = writing_tools(workflow);
        all.extend(named.flatten().cloned());
        changes.extend(all.into_iter().map(|tool| Change { tool, at }));
    }
    Ok(changes)
}

/// The index by which the last change was over of what a criterion is about;
/// `u64::MAX` while one goes on.
pub(crate) fn last_change(
    view: &View<'_>,
    run: &Run,
    workflow: &Workflow,
    criterion: &Criterion,
) -> Result<Option<u64>, StoreError> {
    let writes = writing_tools(workflow);
    let tools = criterion.changed_by.as_ref().unwrap_or(&writes);
    let changes = changes(view, run, workflow)?;
    Ok(changes.into_iter().filter(|c| tools.contains(&c.tool)).map(|c| c.at).max())
}

fn recorded(view: &View<'_>, run: &Run) -> Result<Vec<Evidence>, StoreError> {
    let of = |place: bailiwick_store::EvidencePlace| {
        Some(Evidence {
            criterion: place.criterion,
            grade: of_receipt(place.grade.parse().ok()?, place.external),
            holds: place.holds,
            action: place.action,
            by: if place.external { REPORTED.to_owned() } else { place.by },
            at: place.at,
        })
    };
    Ok(view.evidence_places(&run.id)?.into_iter().filter_map(of).collect())
}

fn observed(view: &View<'_>, run: &Run, workflow: &Workflow) -> Result<Vec<Evidence>, StoreError> {
    let calls = view.last_ok_calls_of_run(&run.id)?;
    let of = |call: &bailiwick_store::LastOk| -> Vec<Evidence> {
        let shown = workflow.checklist.completion.iter().filter(
            |criterion| matches!(&criterion.by, Backing::Tool { tool } if *tool == call.tool),
        );
        shown
            .map(|criterion| Evidence {
                criterion: criterion.id.clone(),
                grade: of_receipt(EvidenceGrade::Observed, call.external),
                holds: true,
                action: Some(call.action.clone()),
                by: if call.external { REPORTED.to_owned() } else { call.agent.to_string() },
                at: call.over,
            })
            .collect()
    };
    Ok(calls.iter().flat_map(of).collect())
}

fn graded(item: &RunEvidence, at: u64) -> Option<Evidence> {
    Some(Evidence {
        criterion: item.criterion.clone(),
        grade: item.grade.parse().ok()?,
        holds: item.holds,
        action: item.action.clone(),
        by: item.by.clone(),
        at,
    })
}

/// Where a receipt stands: at its outcome, or for an independent call at its
/// decision, since what it read may have been read then.
fn receipt_at(
    view: &View<'_>,
    action: &bailiwick_core::ids::ActionId,
    grade: &str,
) -> Result<Option<u64>, StoreError> {
    let Some(call) = view.action(action)? else { return Ok(None) };
    Ok(match grade.parse() {
        Ok(EvidenceGrade::Observed | EvidenceGrade::SelfCheck) => {
            call.completed.map(|entry| entry.index)
        }
        Ok(EvidenceGrade::Independent) => Some(call.decided.index),
        _ => None,
    })
}
