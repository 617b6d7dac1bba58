//! Runs: what agents say of them, who sees them, what people say of them, and their
//! end where nothing comes of them.

use std::sync::Arc;

use bailiwick_core::ids::{ActionId, RunId, TaskId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Workflow;
use bailiwick_policy::run::{Backed, Claim, Item, Said, Word};
use bailiwick_store::{Run, RunState, Stored, Subject, View};

use super::checks::{is_external, result_of};
use super::{Authority, Inner, revoked};
use crate::completion::{Derived, derived};
use crate::host::Moment;
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::rules::requests::Asker;
use crate::rules::runs::{
    self, Claiming, FLOOD_SECONDS, Ground, Noting, Receipt, Why, deadline, meant,
};

mod review;
mod seen;
mod shown;
pub use seen::{SeenRun, wants_review};
pub(super) use shown::may_see;
pub(crate) use shown::named;
pub use shown::{ListedRun, RunsPage, ShownReview, ShownRun};

/// What equal goals share is known by its keyed digest.
const GOAL: &str = "run-goal";
/// Open runs that are looked at in one transaction.
const BATCH: u32 = 200;

/// The task's version of its workflow, by which its runs are judged.
fn workflow_of(cx: &Inner, view: &View<'_>, run: &Run) -> Result<Arc<Workflow>, Refusal> {
    let version = view.workflow_version(&run.workflow, &run.workflow_digest)?;
    let version = version.ok_or_else(|| Refusal::unknown("workflow version", &run.workflow))?;
    cx.parsed.of(&version)
}

/// The end of the grant under which a run began; the past, if there is none.
fn ends(view: &View<'_>, run: &Run) -> Result<Timestamp, Refusal> {
    Ok(view.grant(&run.grant)?.map_or(run.started, |grant| grant.expires))
}

/// Why a run that its row calls open is over by the clock, if it is.
fn overdue(view: &View<'_>, run: &Run, now: Timestamp) -> Result<Option<Why>, Refusal> {
    if run.state != RunState::Open || run.deadline > now {
        return Ok(None);
    }
    let ends = ends(view, run)?;
    if ends <= now {
        return Ok(Some(Why::GrantEnded));
    }
    // Whatever it did moves its deadline: what it says, and every call.
    let last = view.last_of_run(&run.id)?.unwrap_or(run.started);
    Ok((deadline(last, ends) <= now).then_some(Why::Idle))
}

/// The same, also because something that it rests on was revoked.
fn over(view: &View<'_>, run: &Run, now: Timestamp) -> Result<Option<Why>, Refusal> {
    if run.state != RunState::Open {
        return Ok(None);
    }
    let subjects = [
        Subject::Delegation { token: run.root },
        Subject::Grant { id: run.grant.clone() },
        Subject::Task { id: run.task.clone() },
        Subject::Instance { id: run.instance.clone() },
        Subject::Agent { id: run.agent.clone() },
        Subject::Principal { alias: run.principal.clone() },
        Subject::Workflow { id: run.workflow.clone() },
    ];
    match revoked(view, &subjects)? {
        Some(kind) => Ok(Some(Why::Revoked(kind))),
        None => overdue(view, run, now),
    }
}

/// The open run of a task.
fn open(view: &View<'_>, task: &TaskId, now: Timestamp) -> Result<Option<Stored<Run>>, Refusal> {
    match view.open_run(task)? {
        Some(run) if overdue(view, &run, now)?.is_none() => Ok(Some(run)),
        _ => Ok(None),
    }
}

/// What the ledger has of the calls that are cited.
fn receipts<'a>(
    view: &View<'_>,
    cited: impl Iterator<Item = &'a ActionId>,
) -> Result<Vec<Receipt>, Refusal> {
    let mut found = Vec::new();
    for action in cited {
        let Some(call) = view.action(action)? else { continue };
        let result = match &call.completed {
            Some(completed) => result_of(view, &completed.id)?,
            None => None,
        };
        let external = is_external(&call.decided);
        let subjects = call.decided.subjects;
        found.push(Receipt {
            action: action.clone(),
            run: subjects.run,
            tool: subjects.tool,
            agent: subjects.agent,
            allowed: subjects.decision.as_deref() == Some("allow"),
            outcome: call.completed.and_then(|completed| completed.subjects.reason),
            result,
            external,
        });
    }
    Ok(found)
}

fn texts<'a>(items: impl IntoIterator<Item = &'a str>) -> Vec<Json> {
    items.into_iter().map(Json::from).collect()
}

impl Authority {
    /// The run of a task that is open at `now`, and whether it noted context from a
    /// source that its workflow does not list.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn open_run(
        &self,
        task: &TaskId,
        now: Timestamp,
    ) -> Result<Option<(RunId, bool)>, Refusal> {
        self.0.store.read(|view| match open(view, task, now)? {
            Some(run) => {
                let undeclared = view.run_has_undeclared(&run.id)?;
                Ok(Some((run.row.id, undeclared)))
            }
            None => Ok(None),
        })
    }

    /// Takes what an agent says of its run, and answers.
    ///
    /// # Errors
    /// [`Refusal::Run`]; nothing of it was written then.
    pub fn run_said(&self, asker: &Asker, said: &Said) -> Result<Object, Refusal> {
        let (asker, Said { run, word }) = (asker.clone(), said.clone());
        self.transact(move |cx, tx, moment| {
            let written = match &word {
                Word::Begin { goal, instruction } => {
                    let workflow = task_workflow(cx, tx, &asker)?;
                    let begun = begin(cx, tx, moment, (&asker, &workflow, goal, *instruction))?;
                    return Ok(begun_answer(&cx.write(tx, begun)?, &workflow));
                }
                Word::Context { items } => context(cx, tx, moment, (&asker, run.as_ref(), items))?,
                Word::Progress { iterations, model_calls, currency } => {
                    let open = open(tx, &asker.task, moment.now())?;
                    let open = meant(open.as_deref(), run.as_ref())?;
                    let noting = Noting { run: open, asker: &asker, ends: ends(tx, open)? };
                    let note = (*iterations, model_calls.as_slice(), currency.as_deref());
                    let plan = runs::progress(moment, &cx.installation, &noting, note)?;
                    let answer = Object::new().with("run", &open.id).with("state", "open");
                    plan.map(|more| answer.with("noted", shown::spent(&more)))
                }
                Word::Complete { claims, summary } => {
                    complete(cx, tx, moment, (&asker, run.as_ref()), (claims, summary.as_deref()))?
                }
            };
            cx.write(tx, written)
        })
    }

    /// Ends open runs of which nothing came within their bound, and with `all` also
    /// those that rest on something that was revoked. Gives how many.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn abandon_runs(&self, all: bool) -> Result<usize, Refusal> {
        let (mut after, mut ended): (Option<(Timestamp, RunId)>, usize) = (None, 0);
        loop {
            let now = self.0.host.now();
            let (page, over) = self.0.store.read(|view| -> Result<_, Refusal> {
                let until = (!all).then_some(now);
                let cursor = after.as_ref().map(|(at, id)| (*at, id));
                let page = view.open_runs(until, cursor, BATCH)?;
                let mut gone = Vec::new();
                for run in &page {
                    if over(view, run, now)?.is_some() {
                        gone.push(run.id.clone());
                    }
                }
                Ok((page, gone))
            })?;
            if !over.is_empty() {
                ended = ended.saturating_add(self.abandon(over)?);
            }
            after = match page.last() {
                Some(last) => Some((last.deadline, last.row.id.clone())),
                None => return Ok(ended),
            };
        }
    }

    fn abandon(&self, over_now: Vec<RunId>) -> Result<usize, Refusal> {
        self.commit(move |cx, tx, moment| {
            let mut steps = Vec::new();
            for id in &over_now {
                // Somebody else may have ended it, or something may have come of it.
                let Some(run) = tx.run(id)? else { continue };
                if let Some(why) = over(tx, &run, moment.now())? {
                    steps.push(runs::abandon(moment, &cx.installation, &run, why)?);
                }
            }
            let outcome = steps.len();
            Ok(Plan { steps, outcome })
        })
    }
}

fn task_workflow(cx: &Inner, view: &View<'_>, asker: &Asker) -> Result<Arc<Workflow>, Refusal> {
    let gone = || Refusal::unknown("task", &asker.task);
    let task = view.task(&asker.task)?.ok_or_else(gone)?;
    let version = view.workflow_version(&task.workflow, &task.workflow_digest)?;
    let version = version.ok_or_else(gone)?;
    cx.parsed.of(&version)
}

fn begin(
    cx: &Inner,
    view: &View<'_>,
    moment: &Moment<'_>,
    (asker, workflow, goal, instruction): (
        &Asker,
        &Workflow,
        &str,
        Option<bailiwick_core::crypto::Digest>,
    ),
) -> Result<Plan<Run>, Refusal> {
    let now = moment.now();
    let gone = || Refusal::unknown("task", &asker.task);
    let task = view.task(&asker.task)?.ok_or_else(gone)?;
    let grant = view.grant(&asker.grant)?.ok_or_else(gone)?;
    let open = view.open_run(&asker.task)?;
    let open = match &open {
        Some(run) => Some((&run.row, over(view, run, now)?)),
        None => None,
    };
    let (attempts, hourly) = view.attempts(&asker.task, now.plus_seconds(-FLOOD_SECONDS))?;
    let ground = Ground {
        task: &task,
        workflow,
        ends: grant.expires,
        attempts,
        hourly,
        open,
        goal_digest: view.keyed_digest(GOAL, goal.as_bytes()),
    };
    runs::begin(moment, &cx.installation, asker, (goal, instruction), &ground)
}

/// What the agent is told of a run that began: by what it is judged.
fn begun_answer(run: &Run, workflow: &Workflow) -> Object {
    let criteria: Vec<Json> = workflow
        .checklist
        .completion
        .iter()
        .map(|criterion| {
            Object::new()
                .with("criterion", criterion.id.as_str())
                .with("says", criterion.says.as_str())
                .with("least", criterion.by.least())
                .into()
        })
        .collect();
    let sources = workflow.checklist.data_sources.as_ref().map(|sources| &sources.context);
    Object::new()
        .with("run", &run.id)
        .with("state", run.state.as_str())
        .with("attempt", u64::from(run.attempt))
        .with("deadline", run.deadline.to_string())
        .with("criteria", criteria)
        .with("context_sources", texts(sources.into_iter().flatten().map(String::as_str)))
}

fn context(
    cx: &Inner,
    view: &View<'_>,
    moment: &Moment<'_>,
    (asker, named, items): (&Asker, Option<&RunId>, &[Item]),
) -> Result<Plan<Object>, Refusal> {
    let open = open(view, &asker.task, moment.now())?;
    let open = meant(open.as_deref(), named)?;
    let noting = Noting { run: open, asker, ends: ends(view, open)? };
    let cited: Vec<ActionId> = items.iter().filter_map(runs::cited).collect();
    let receipts = receipts(view, cited.iter())?;
    let (noted, _) = view.run_context_counts(&open.id)?;
    let workflow = workflow_of(cx, view, open)?;
    let about = (&*workflow, noted, receipts.as_slice());
    let plan = runs::context(moment, &cx.installation, &noting, items, about)?;
    Ok(plan.map(|rows| {
        let undeclared =
            rows.iter().filter(|row| !row.declared).map(|row| Json::from(u64::from(row.n)));
        let undeclared: Vec<Json> = undeclared.collect();
        Object::new()
            .with("run", &open.id)
            .with("state", "open")
            .with("items", noted.saturating_add(rows.len() as u64))
            .with("undeclared", undeclared)
    }))
}

fn complete(
    cx: &Inner,
    view: &View<'_>,
    moment: &Moment<'_>,
    (asker, named): (&Asker, Option<&RunId>),
    (claims, summary): (&[Claim], Option<&str>),
) -> Result<Plan<Object>, Refusal> {
    let open = open(view, &asker.task, moment.now())?;
    let open = meant(open.as_deref(), named)?;
    let noting = Noting { run: open, asker, ends: ends(view, open)? };
    let cited = claims.iter().filter_map(|claim| match &claim.by {
        Backed::Receipt(action) => Some(action),
        _ => None,
    });
    let receipts = receipts(view, cited)?;
    let workflow = workflow_of(cx, view, open)?;
    let claiming = Claiming { claims, summary, workflow: &workflow, receipts: &receipts };
    let before = view.run_evidence(&open.id)?.iter().map(|e| e.n).max().unwrap_or(0);
    let evidence = claiming.evidence(open, before, moment.now())?;
    let Derived { completion, .. } = derived(view, open, &workflow, &evidence)?;
    let plan = runs::claim(moment, &cx.installation, &noting, &claiming, evidence, &completion)?;
    let reasons = completion.reasons();
    let answer = Object::new()
        .with("run", &open.id)
        .with("state", RunState::Claimed.as_str())
        .with("completion", completion.to_json())
        .with("complete", completion.is_complete())
        .with("reasons", texts(reasons.iter().map(String::as_str)));
    Ok(plan.map(|()| answer))
}
