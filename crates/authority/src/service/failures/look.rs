//! Looking through the ledger for failures: exactly once, a part at a time, from where
//! it was left.

use super::{
    Authority, Detected, FAILURE_WINDOW, FIRST_DAYS, Failure, FailureState, Inner, Json,
    JsonLimits, Kind, MAX_OF_TASK, Moment, Plan, Refusal, Seen, Shows, Step, StoreError, Stored,
    StoredEntry, Timestamp, Tx, back, failures,
};
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{TaskId, WorkflowId};
use bailiwick_core::json::Object;
use bailiwick_store::FailureKind;

impl Authority {
    /// Looks through the next part of the ledger, and keeps the failures that it
    /// shows; gives whether there is more.
    ///
    /// Entries, counts and the place in the ledger are written in one transaction, so
    /// whoever else does this at the same time, or again after a crash, counts nothing
    /// twice.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn failures_look(&self) -> Result<bool, Refusal> {
        // Most of the time there is nothing, which a read finds out.
        let now = self.0.host.now();
        let (size, begun) = self.read(|view| Ok((view.log_size()?, view.failures_upto()?)))?;
        if begun.is_some_and(|upto| upto >= size) {
            return Ok(false);
        }
        self.transact(move |cx, tx, moment| {
            let from = match tx.failures_upto()? {
                Some(from) => from,
                None => tx.first_entry_since(back(now, FIRST_DAYS))?,
            };
            let size = tx.log_size()?;
            let until = from.saturating_add(FAILURE_WINDOW).min(size);
            for entry in tx.entries_about_failures(from, until)? {
                look_at(cx, tx, moment, &entry)?;
            }
            tx.keep_failures_upto(until)?;
            Ok(until < size)
        })
    }
}

fn look_at(
    cx: &Inner,
    tx: &mut Tx<'_>,
    moment: &Moment<'_>,
    entry: &StoredEntry,
) -> Result<(), Refusal> {
    let Some(kind) = Kind::parse(&entry.kind) else { return Ok(()) };
    let leaf = Json::parse(&entry.leaf, &JsonLimits::DEFAULT).ok();
    let leaf = leaf.as_ref().and_then(Json::as_object);
    let none = Object::new();
    let body = leaf.and_then(|leaf| leaf.member("body")?.as_object()).unwrap_or(&none);
    let row = tx.row_in_leaf(entry);
    let seen = Seen { kind, subjects: &entry.subjects, body, row: row.as_ref() };
    match failures::detect(&seen) {
        None => Ok(()),
        Some(Shows::MetLater(run)) => {
            let fold = failures::fold_of_run(FailureKind::UnmetCriterion, &run);
            match tx.unresolved_failure(&fold)? {
                None => Ok(()),
                Some(failure) => {
                    let step = failures::met_later(moment, &cx.installation, &failure, &entry.id)?;
                    write(cx, tx, step)
                }
            }
        }
        Some(Shows::Failure(detected)) => keep(cx, tx, moment, entry, body, detected),
    }
}

fn write(cx: &Inner, tx: &mut Tx<'_>, step: Step) -> Result<(), Refusal> {
    cx.write(tx, Plan::one(step, ()))
}

/// What is kept of an entry's subjects.
struct About {
    task: Option<TaskId>,
    workflow: Option<WorkflowId>,
    version: Option<String>,
    agent: Option<String>,
}

fn about(tx: &Tx<'_>, entry: &StoredEntry, body: &Object) -> Result<About, StoreError> {
    let s = &entry.subjects;
    let run = match s.run.as_ref().and_then(|run| run.parse().ok()) {
        Some(run) => tx.run(&run)?,
        None => None,
    };
    let task: Option<TaskId> = match (&s.task, &run) {
        (Some(task), _) => task.parse().ok(),
        (None, Some(run)) => Some(run.task.clone()),
        (None, None) => None,
    };
    let row = match &task {
        Some(task) => tx.task(task)?,
        None => None,
    };
    let stated = body.member("workflow_digest").and_then(Json::as_str).and_then(Digest::from_text);
    let version = stated.or(row.as_ref().map(|task| task.workflow_digest));
    let workflow = s.workflow.as_ref().and_then(|workflow| workflow.parse().ok());
    // A verdict names who decided, not who called.
    let agent = s.agent.clone().or(row.as_ref().map(|task| task.agent.to_string()));
    Ok(About {
        workflow: workflow.or(row.map(|task| task.row.workflow)),
        version: version.map(|digest| digest.to_string()),
        task,
        agent,
    })
}

fn keep(
    cx: &Inner,
    tx: &mut Tx<'_>,
    moment: &Moment<'_>,
    entry: &StoredEntry,
    body: &Object,
    detected: Detected,
) -> Result<(), Refusal> {
    let about = about(tx, entry, body)?;
    let mut fold = detected.fold;
    if let Some(failure) = tx.unresolved_failure(&fold)? {
        return Ok(tx.count_failure(&failure.id, entry.time)?);
    }
    let mut tool = entry.subjects.tool.as_ref().and_then(|tool| tool.parse().ok());
    let mut reason = detected.reason;
    // SECURITY: a task that fails in very many ways fills no board.
    if let Some(task) = &about.task
        && tx.failures_of_task(task)? >= MAX_OF_TASK
    {
        fold = failures::fold_of_more(task.as_str());
        if let Some(failure) = tx.unresolved_failure(&fold)? {
            return Ok(tx.count_failure(&failure.id, entry.time)?);
        }
        (tool, reason) = (None, "many".to_owned());
    }
    let before: Option<Stored<Failure>> = tx.last_failure(&fold)?;
    let s = &entry.subjects;
    let failure = Failure {
        id: failures::mint(moment)?,
        state: FailureState::Detected,
        what: detected.what,
        fold,
        workflow: about.workflow,
        version: about.version,
        agent: about.agent.and_then(|agent| agent.parse().ok()),
        task: about.task,
        run: s.run.as_ref().and_then(|run| run.parse().ok()),
        action: s.action.as_ref().and_then(|action| action.parse().ok()),
        tool,
        suggested: failures::suggest(detected.what, &reason).class,
        reason,
        class: None,
        classifier: None,
        owner: None,
        regression: None,
        cases: None,
        held_before: None,
        again: before.map(|failure| failure.row.id),
        source: entry.id.clone(),
        detected: entry.time,
        classified: None,
        resolved: None,
    };
    let id = failure.id.clone();
    write(cx, tx, failures::detected(moment, &cx.installation, &failure)?)?;
    let at: Timestamp = entry.time;
    Ok(tx.count_failure(&id, at)?)
}
