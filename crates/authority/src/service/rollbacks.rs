//! Undoing what a run did, by its workflow's rollback plan.
//!
//! A step that is a tool's call is an authorised action like any other: here it is
//! only said that it is started. Whether it was done is what the ledger has of it.

use bailiwick_core::ids::{ActionId, RunId, ToolId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_policy::checklist::{FillError, Rollback, RollbackStep, fill};
use bailiwick_store::{RunCall, View};

use super::checks::Ground;
use super::people::SignedIn;
use super::{Authority, Inner, disclosed};
use crate::refusal::Refusal;
use crate::rules::checks::{self, CheckError};

/// Calls of a run that a plan undoes at most, the newest. Who has more to undo
/// starts again when these are done.
const MAX_UNDONE: usize = 500;
/// Calls of a tool that are looked through for one that undid something.
const MAX_LOOKED: u32 = 200;

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

/// Where that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndoState {
    /// Nobody started it.
    Open,
    /// It was started, and the ledger has no call that did it.
    Started,
    /// It was started, and a call of the tool with these arguments went well since;
    /// or a person was told what to do.
    Done,
}

impl UndoState {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Started => "started",
            Self::Done => "done",
        }
    }
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

/// A start that the ledger has.
struct Start {
    index: u64,
    step: String,
    undoes: Option<String>,
}

fn starts(view: &View<'_>, run: &RunId) -> Result<Vec<Start>, Refusal> {
    let mut found = Vec::new();
    for entry in view.entries_of_run_kind(run, Kind::RollbackStarted)? {
        let leaf = Json::parse(&entry.leaf, &JsonLimits::DEFAULT).ok();
        let body = leaf.as_ref().and_then(|leaf| leaf.as_object()?.member("body")?.as_object());
        let text = |name: &str| body?.member(name)?.as_str().map(str::to_owned);
        if let Some(step) = text("step") {
            found.push(Start { index: entry.index, step, undoes: text("undoes") });
        }
    }
    Ok(found)
}

/// Calls that may have had an effect: those that went well, and those of which
/// nobody knows.
fn had_effect(call: &RunCall) -> bool {
    matches!(call.outcome.as_deref(), Some("ok" | "timeout" | "unknown"))
}

/// The calls of a run that may be undone, newest first.
fn effects(view: &View<'_>, run: &RunId) -> Result<Vec<RunCall>, Refusal> {
    let (mut found, mut before) = (Vec::new(), None);
    while found.len() < MAX_UNDONE {
        let page = view.calls_of_run(run, before, bailiwick_store::MAX_RUNS)?;
        let Some(last) = page.last() else { break };
        before = Some(last.decided);
        found.extend(page.into_iter().filter(had_effect));
    }
    found.truncate(MAX_UNDONE);
    Ok(found)
}

/// Everything that the plan undoes: in the reverse order of the calls that it
/// undoes, then what is of no call, in the plan's order.
fn plan(view: &View<'_>, ground: &Ground) -> Result<Vec<Undo>, Refusal> {
    let steps = &ground.workflow.checklist.rollback;
    let started = starts(view, &ground.run.id)?;
    let mut plan = Vec::new();
    for call in effects(view, &ground.run.id)? {
        for step in steps.iter().filter(|step| undone_by(step) == Some(&call.tool)) {
            plan.push(undo(view, step, Some(&call), &started)?);
        }
    }
    for step in steps.iter().filter(|step| undone_by(step).is_none()) {
        plan.push(undo(view, step, None, &started)?);
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
    started: &[Start],
) -> Result<Undo, Refusal> {
    let undoes = call.map(|call| call.action.clone());
    let of_it = |start: &&Start| {
        start.step == step.id && start.undoes.as_deref() == undoes.as_ref().map(|a| a.as_str())
    };
    let first = started.iter().find(of_it).map(|start| start.index);
    let (how, state) = match &step.how {
        Rollback::Manual => {
            let state = if first.is_some() { UndoState::Done } else { UndoState::Open };
            (UndoHow::Manual, state)
        }
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
            let state = match (first, &arguments) {
                (None, _) => UndoState::Open,
                (Some(first), Ok(arguments)) if was_done(view, tool, arguments, first)? => {
                    UndoState::Done
                }
                (Some(_), _) => UndoState::Started,
            };
            (UndoHow::Tool { tool: tool.clone(), arguments }, state)
        }
    };
    Ok(Undo { step: step.id.clone(), says: step.says.clone(), undoes, how, state })
}

/// Whether a call of the tool with exactly these arguments went well since.
fn was_done(
    view: &View<'_>,
    tool: &ToolId,
    arguments: &Object,
    since: u64,
) -> Result<bool, Refusal> {
    for call in view.calls_of_tool_since(tool, since, MAX_LOOKED)? {
        if call.outcome.as_deref() == Some("ok") {
            let given = disclosed(view, &call.entry, "arguments")?;
            if given.as_ref().and_then(Json::as_object) == Some(arguments) {
                return Ok(true);
            }
        }
    }
    Ok(false)
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
            plan(view, &ground)
        })
    }

    /// Records that something of the plan is started. What was done already is not
    /// started again: then nothing is written.
    ///
    /// # Errors
    /// [`CheckError`]; [`Refusal::Unknown`].
    pub fn start_rollback(
        &self,
        who: Option<&SignedIn>,
        id: &RunId,
        step: &str,
        undoes: Option<&ActionId>,
    ) -> Result<Undo, Refusal> {
        let (who, id, step) = (who.cloned(), id.clone(), step.to_owned());
        let undoes = undoes.cloned();
        self.commit(move |cx, tx, moment| {
            let ground = read(cx, tx, &id)?;
            ground.tended(who.as_ref())?;
            let found = plan(tx, &ground)?;
            let found = found.into_iter().find(|undo| undo.step == step && undo.undoes == undoes);
            let mut undo = found.ok_or(CheckError::NoStep { step })?;
            if undo.state == UndoState::Done {
                return Ok(crate::plan::Plan::nothing(undo));
            }
            let tool = match &undo.how {
                UndoHow::Tool { arguments: Err(e), .. } => return Err(e.clone().into()),
                UndoHow::Tool { tool, .. } => Some(tool.clone()),
                UndoHow::Manual => None,
            };
            let about = (undo.step.as_str(), tool.as_ref(), undo.undoes.as_ref());
            let started = checks::start_rollback(moment, &cx.installation, &ground.run, about)?;
            undo.state = match undo.how {
                UndoHow::Manual => UndoState::Done,
                UndoHow::Tool { .. } => UndoState::Started,
            };
            Ok(started.map(|()| undo))
        })
    }
}
