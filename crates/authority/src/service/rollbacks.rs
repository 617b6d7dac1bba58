//! Undoing what a run did, by its workflow's rollback plan.
//!
//! A step that is a tool's call is an authorised action like any other: here it is
//! only said that somebody starts it, who then is the only one. Whether it was done is
//! what the ledger has of the call that took this up.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{ActionId, RunId, ToolId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_policy::checklist::{FillError, Rollback, RollbackStep, fill};
use bailiwick_store::{Errand, ErrandCall, ErrandKind, RunCall, RunErrand, View};

use super::checks::Ground;
use super::people::SignedIn;
use super::{Authority, Inner, disclosed};
use crate::refusal::Refusal;
use crate::rules::checks::{self, CheckError};
use crate::rules::errands::{self, ERRAND_SECONDS, UndoState, may_start};

/// Calls of a run that a plan undoes at most, the newest. Who has more to undo
/// starts again when these are done.
const MAX_UNDONE: usize = 500;

/// How one thing is undone.
#[derive(Clone, Debug, PartialEq)]
pub enum UndoHow {
    /// By a call of a tool; the arguments, or why they cannot be filled.
    Tool {
        /// The tool.
        tool: ToolId,
        /// Its arguments.
        arguments: Result<Object, CheckError>,
    },
    /// By a person, as the step says.
    Manual,
}

/// One thing that is undone, of one call of the run or of the run as a whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Undo {
    /// The plan's step.
    pub step: String,
    /// What it undoes, for people.
    pub says: String,
    /// The call that is undone, if it is one.
    pub undoes: Option<ActionId>,
    /// How.
    pub how: UndoHow,
    /// Where it stands.
    pub state: UndoState,
}

impl Undo {
    /// For `--json` and the API.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let mut object = Object::new()
            .with("step", self.step.as_str())
            .with("says", self.says.as_str())
            .with("state", self.state.as_str());
        if let Some(undoes) = &self.undoes {
            object.insert("undoes", undoes);
        }
        if let UndoHow::Tool { tool, arguments } = &self.how {
            object.insert("tool", tool);
            match arguments {
                Ok(arguments) => object.insert("arguments", arguments.clone()),
                Err(e) => object.insert("fault", e.to_string()),
            }
        }
        object
    }
}

/// The calls of a run that one of the steps undoes, newest first: no others, or its
/// agent would hide what it did behind calls of no consequence.
fn effects(view: &View<'_>, run: &RunId, steps: &[RollbackStep]) -> Result<Vec<RunCall>, Refusal> {
    let is_undone = |call: &RunCall| {
        call.had_effect() && steps.iter().any(|step| undone_by(step) == Some(&call.tool))
    };
    let (mut found, mut before) = (Vec::new(), None);
    while found.len() < MAX_UNDONE {
        let page = view.calls_of_run(run, before, bailiwick_store::MAX_RUNS)?;
        let Some(last) = page.last() else { break };
        before = Some(last.decided);
        found.extend(page.into_iter().filter(is_undone));
    }
    found.truncate(MAX_UNDONE);
    Ok(found)
}

/// Everything that the plan undoes: in the reverse order of the calls that it
/// undoes, then what is of no call, in the plan's order.
fn plan(
    view: &View<'_>,
    ground: &Ground,
    starts: &[RunErrand],
    now: Timestamp,
) -> Result<Vec<Undo>, Refusal> {
    let steps = &ground.workflow.checklist.rollback;
    let mut plan = Vec::new();
    for call in effects(view, &ground.run.id, steps)? {
        for step in steps.iter().filter(|step| undone_by(step) == Some(&call.tool)) {
            plan.push(undo(view, step, Some(&call), (starts, now))?);
        }
    }
    for step in steps.iter().filter(|step| undone_by(step).is_none()) {
        plan.push(undo(view, step, None, (starts, now))?);
    }
    Ok(plan)
}

fn undone_by(step: &RollbackStep) -> Option<&ToolId> {
    match &step.how {
        Rollback::Tool { undoes, .. } => undoes.as_ref(),
        Rollback::Manual => None,
    }
}

fn undo(
    view: &View<'_>,
    step: &RollbackStep,
    call: Option<&RunCall>,
    (starts, now): (&[RunErrand], Timestamp),
) -> Result<Undo, Refusal> {
    let undoes = call.map(|call| call.action.clone());
    let own = starts.iter().filter(|start| start.name == step.id && start.undoes == undoes);
    let state = UndoState::of(own, step.how == Rollback::Manual, now);
    let how = match &step.how {
        Rollback::Manual => UndoHow::Manual,
        Rollback::Tool { tool, arguments, .. } => {
            let given = match call {
                Some(call) => disclosed(view, &call.entry, "arguments")?,
                None => None,
            };
            let given = given.as_ref().and_then(Json::as_object).cloned().unwrap_or_default();
            let arguments = match fill(&arguments.clone().into(), &given) {
                Ok(Json::Object(arguments)) => Ok(arguments),
                Ok(_) => Ok(Object::new()),
                Err(FillError { name }) => Err(CheckError::Unfilled { name }),
            };
            UndoHow::Tool { tool: tool.clone(), arguments }
        }
    };
    Ok(Undo { step: step.id.clone(), says: step.says.clone(), undoes, how, state })
}

fn read(cx: &Inner, view: &View<'_>, id: &RunId) -> Result<Ground, Refusal> {
    let ground = Ground::read(cx, view, id)?;
    checks::is_over(&ground.run)?;
    Ok(ground)
}

impl Authority {
    /// What a run's rollback plan undoes, in the order in which it is undone, and
    /// where each stands.
    ///
    /// # Errors
    /// [`CheckError::RunOpen`]; [`Refusal::Unknown`], also for a run that `who` may
    /// not see.
    pub fn rollback_plan(&self, who: Option<&SignedIn>, id: &RunId) -> Result<Vec<Undo>, Refusal> {
        let cx = self.now();
        self.0.store.read(|view| {
            let ground = read(&cx, view, id)?;
            ground.readable(who)?;
            let starts = view.errands_of_run(id, ErrandKind::Rollback)?;
            plan(view, &ground, &starts, self.0.host.now())
        })
    }

    /// Records that somebody starts something of the plan, and with a call by which
    /// delegation: that whose root's token hash is `root`. What was done already is not
    /// started again: then nothing is written.
    ///
    /// # Errors
    /// [`CheckError::Started`], if somebody did already and it may still come to
    /// something; other [`CheckError`]s; [`Refusal::Unknown`].
    pub fn start_rollback(
        &self,
        who: Option<&SignedIn>,
        id: &RunId,
        (step, undoes): (&str, Option<&ActionId>),
        root: Option<Digest>,
    ) -> Result<Undo, Refusal> {
        let (who, id, step) = (who.cloned(), id.clone(), step.to_owned());
        let undoes = undoes.cloned();
        self.commit(move |cx, tx, moment| {
            let ground = read(cx, tx, &id)?;
            ground.tended(who.as_ref())?;
            let starts = tx.errands_of_run(&id, ErrandKind::Rollback)?;
            let found = plan(tx, &ground, &starts, moment.now())?;
            let found = found.into_iter().find(|undo| undo.step == step && undo.undoes == undoes);
            let mut undo = found.ok_or(CheckError::NoStep { step })?;
            if undo.state == UndoState::Done {
                return Ok(crate::plan::Plan::nothing(undo));
            }
            // SECURITY: looked at and written in one transaction, so that of two who
            // start it at once one is refused.
            may_start(undo.state, starts.len())?;
            let call = match &undo.how {
                UndoHow::Tool { arguments: Err(e), .. } => return Err(e.clone().into()),
                UndoHow::Tool { tool, arguments: Ok(arguments) } => Some(ErrandCall {
                    root: root.ok_or(CheckError::NoDelegation)?,
                    tool: tool.clone(),
                    arguments: tx.errand_arguments(arguments),
                }),
                UndoHow::Manual => None,
            };
            undo.state = if call.is_some() { UndoState::Started } else { UndoState::Done };
            let errand = Errand {
                run: id,
                what: ErrandKind::Rollback,
                name: undo.step.clone(),
                undoes: undo.undoes.clone(),
                call,
                until: moment.now().plus_seconds(ERRAND_SECONDS),
            };
            let started = errands::start(moment, &cx.installation, &ground.run, errand)?;
            Ok(started.map(|()| undo))
        })
    }
}
