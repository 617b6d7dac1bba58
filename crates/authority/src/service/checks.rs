//! Checks of runs: what is due, taking up what was made, named checks.

use std::sync::Arc;

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{ActionId, Alias, RunId, ToolId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_policy::Workflow;
use bailiwick_policy::checklist::{Backing, Criterion, Expectation};
use bailiwick_policy::completion::Completion;
use bailiwick_policy::grades::EvidenceGrade;
use bailiwick_store::{Run, RunCall, RunEvidence, Stored, StoredEntry, View};

use super::people::SignedIn;
use super::runs::may_see;
use super::{Authority, Inner, disclosed};
use crate::completion::{Derived, derived, last_change};
use crate::host::Moment;
use crate::people::roles::{Deed, require};
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::rules::checks::{
    self, CheckError, MAX_CHECKS, MAX_OUTPUT_BYTES, Made, Receipt, Verdict, Wanted, filled, shows,
};
use crate::rules::runs::counts;

/// Calls of a run that arguments are filled from at most, the newest.
const MAX_FILLING: u32 = 200;
/// Bytes of what a named check is told.
const MAX_INPUT_BYTES: usize = 1 << 20;
/// Entries of an action are few; of its texts, none is larger.
const TEXTS: JsonLimits = JsonLimits { max_bytes: 8 << 20, max_depth: 96, max_values: 500_000 };

/// A check that the workflow names for a criterion.
#[derive(Clone, Debug)]
pub enum DueCheck {
    /// A call through the gateway, on the workflow owner's authority.
    Tool {
        /// The criterion's id.
        criterion: String,
        /// The tool.
        tool: ToolId,
        /// Its arguments, filled; or why they cannot be.
        arguments: Result<Object, CheckError>,
        /// What was found of the criterion until now.
        finding: &'static str,
    },
    /// A check of the server's configuration.
    Named {
        /// The criterion's id.
        criterion: String,
        /// The check's name.
        check: String,
        /// What was found of the criterion until now.
        finding: &'static str,
    },
}

impl DueCheck {
    /// For `--json` and the API.
    #[must_use]
    pub fn to_json(&self) -> Json {
        match self {
            Self::Tool { criterion, tool, arguments, finding } => {
                let object = Object::new()
                    .with("criterion", criterion.as_str())
                    .with("finding", *finding)
                    .with("tool", tool);
                match arguments {
                    Ok(arguments) => object.with("arguments", arguments.clone()).into(),
                    Err(e) => object.with("fault", e.to_string()).into(),
                }
            }
            Self::Named { criterion, check, finding } => Object::new()
                .with("criterion", criterion.as_str())
                .with("finding", *finding)
                .with("check", check.as_str())
                .into(),
        }
    }
}

/// What is checked of a run by others than its agent, and where that stands.
#[derive(Clone, Debug)]
pub struct RunChecks {
    /// The run.
    pub run: RunId,
    /// The checks.
    pub due: Vec<DueCheck>,
    /// What was derived until now.
    pub completion: Completion,
    /// Whether the run counts as complete.
    pub complete: bool,
}

impl RunChecks {
    /// For `--json` and the API.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let due: Vec<Json> = self.due.iter().map(DueCheck::to_json).collect();
        let reasons: Vec<Json> = self.completion.reasons().into_iter().map(Json::from).collect();
        Object::new()
            .with("run", &self.run)
            .with("complete", self.complete)
            .with("checks", due)
            .with("derived", self.completion.to_json())
            .with("reasons", reasons)
    }
}

/// A check that was taken up.
#[derive(Clone, Debug)]
pub struct CheckTaken {
    /// The run.
    pub run: RunId,
    /// Of which criterion.
    pub criterion: String,
    /// What came of it.
    pub verdict: Verdict,
    /// What was derived with it.
    pub completion: Completion,
    /// Whether the run counts as complete from now on.
    pub complete: bool,
}

impl CheckTaken {
    /// For `--json` and the API.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let reasons: Vec<Json> = self.completion.reasons().into_iter().map(Json::from).collect();
        Object::new()
            .with("run", &self.run)
            .with("criterion", self.criterion.as_str())
            .with("verdict", self.verdict.as_str())
            .with("complete", self.complete)
            .with("derived", self.completion.to_json())
            .with("reasons", reasons)
    }
}

/// A call that somebody made to check a run, with what it gave.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Of which criterion.
    pub criterion: String,
    /// The call.
    pub action: ActionId,
    /// Its result, as the tool server gave it: without what the gateway adds.
    pub result: Json,
}

/// What a named check found.
#[derive(Clone, Debug)]
pub struct NamedResult {
    /// Of which criterion.
    pub criterion: String,
    /// The check.
    pub check: String,
    /// What came of it.
    pub verdict: Verdict,
    /// What it printed, or why it was not run.
    pub output: String,
}

/// A run with its own version of the workflow.
pub(super) struct Ground {
    pub(super) run: Stored<Run>,
    pub(super) workflow: Arc<Workflow>,
}

impl Ground {
    pub(super) fn read(cx: &Inner, view: &View<'_>, id: &RunId) -> Result<Self, Refusal> {
        let run = view.run(id)?.ok_or_else(|| Refusal::unknown("run", id))?;
        let version = view.workflow_version(&run.workflow, &run.workflow_digest)?;
        let version = version.ok_or_else(|| Refusal::unknown("workflow version", &run.workflow))?;
        let workflow = cx.parsed.of(&version)?;
        Ok(Self { run, workflow })
    }

    /// The alias of the workflow's owner.
    fn owner(&self, cx: &Inner, view: &View<'_>) -> Result<Alias, Refusal> {
        let owner = cx.principal(view, &self.workflow.owner)?;
        let gone = || Refusal::unknown("principal", &self.workflow.owner);
        Ok(owner.ok_or_else(gone)?.row.alias)
    }

    /// Whoever may see a run. For everybody else it is not there.
    pub(super) fn readable(&self, who: Option<&SignedIn>) -> Result<(), Refusal> {
        let Some(who) = who else { return Ok(()) };
        let person = (&who.id, &who.principal.alias);
        match may_see(&self.run, &self.workflow, person, &who.roles) {
            true => Ok(()),
            false => Err(Refusal::unknown("run", &self.run.id)),
        }
    }

    /// Whoever has a run checked or undone: those whose it is, and whoever may take
    /// back what others granted.
    pub(super) fn tended(&self, who: Option<&SignedIn>) -> Result<(), Refusal> {
        self.readable(who)?;
        let Some(who) = who else { return Ok(()) };
        let own = who.principal.alias == self.run.principal || who.id == self.workflow.owner;
        if own || require(&who.roles, Deed::RevokeAny).is_ok() {
            return Ok(());
        }
        Err(CheckError::NotYours.into())
    }

    /// Arguments of the run's newest calls that went well, newest first.
    fn arguments(&self, view: &View<'_>) -> Result<Vec<Object>, Refusal> {
        let mut found = Vec::new();
        for call in view.calls_of_run(&self.run.id, None, MAX_FILLING)? {
            if call.outcome.as_deref() == Some("ok") {
                let arguments = disclosed(view, &call.entry, "arguments")?;
                found.extend(arguments.as_ref().and_then(Json::as_object).cloned());
            }
        }
        Ok(found)
    }

    fn criterion(&self, id: &str) -> Result<&Criterion, CheckError> {
        let found = self.workflow.checklist.completion.iter().find(|c| c.id == id);
        found.ok_or_else(|| CheckError::NoCriterion { criterion: id.to_owned() })
    }

    /// Whether the run counts as complete.
    fn complete(&self, derived: &Derived) -> bool {
        counts(self.run.state, self.run.review, derived.completion.is_complete())
    }

    /// Whether it waits for others alone.
    fn waits(&self, derived: &Derived) -> bool {
        derived.completion.waits(&self.workflow.checklist.completion)
    }

    /// Nothing that changes something goes on any more, and there is room for one
    /// more check.
    fn checkable(&self, view: &View<'_>, criterion: &Criterion) -> Result<u32, Refusal> {
        checks::is_over(&self.run)?;
        if last_change(view, &self.run, &self.workflow, criterion)? == Some(u64::MAX) {
            return Err(CheckError::UnderWay.into());
        }
        let n = view.evidence_places(&self.run.id)?.first().map_or(0, |last| last.n);
        let kind = bailiwick_core::ledger::Kind::RunChecked;
        let made = view.entries_of_run_kind(&self.run.id, kind)?.len();
        match u32::try_from(made).is_ok_and(|made| made < MAX_CHECKS) {
            true => Ok(n.saturating_add(1)),
            false => Err(CheckError::TooMany { max: MAX_CHECKS }.into()),
        }
    }
}

/// A call's entry with the parts that a check looks at.
struct Looked {
    decided: StoredEntry,
    is_ok: bool,
    agents: Vec<String>,
    arguments: Option<Json>,
    result: Option<Digest>,
    grant: Option<bailiwick_store::Grant>,
}

impl Looked {
    fn at(view: &View<'_>, action: &ActionId) -> Result<Self, Refusal> {
        let call = view.action(action)?.ok_or_else(|| Refusal::unknown("action", action))?;
        let (decided, completed) = (call.decided, call.completed);
        let is_ok = decided.subjects.decision.as_deref() == Some("allow")
            && completed
                .as_ref()
                .is_some_and(|c| c.subjects.reason.as_deref() == Some("ok") && !is_error(c));
        let result = match &completed {
            Some(completed) => disclosed(view, &completed.id, "result")?,
            None => None,
        };
        let result = result
            .as_ref()
            .and_then(|result| Digest::from_text(result.as_object()?.member("sha256")?.as_str()?));
        let grant = decided.subjects.grant.as_deref().and_then(|id| id.parse().ok());
        let grant = match grant {
            Some(id) => view.grant(&id)?.map(|grant| grant.row),
            None => None,
        };
        let arguments = disclosed(view, &decided.id, "arguments")?;
        Ok(Self { agents: agents(&decided), is_ok, arguments, result, grant, decided })
    }

    fn receipt(&self) -> Receipt<'_> {
        Receipt {
            decided: self.decided.index,
            is_ok: self.is_ok,
            tool: self.decided.subjects.tool.as_deref(),
            principal: self.decided.subjects.principal.as_deref(),
            agents: self.agents.iter().map(String::as_str).collect(),
            arguments: self.arguments.as_ref(),
            result: self.result,
            grant: self.grant.as_ref(),
        }
    }
}

fn body(entry: &StoredEntry) -> Option<Object> {
    let leaf = Json::parse(&entry.leaf, &TEXTS).ok()?;
    leaf.as_object()?.member("body")?.as_object().cloned()
}

fn is_error(completed: &StoredEntry) -> bool {
    let told = body(completed).and_then(|body| body.member("is_error")?.as_bool());
    told != Some(false)
}

/// Every agent of the chain that a decision names.
fn agents(decided: &StoredEntry) -> Vec<String> {
    let body = body(decided).unwrap_or_default();
    let hops = body.member("hops").and_then(Json::as_array).unwrap_or_default();
    let named = |hop: &Json| Some(hop.as_object()?.member("agent")?.as_str()?.to_owned());
    hops.iter().filter_map(named).collect()
}

impl Authority {
    /// What is checked of a run by others than its agent.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], also for a run that `who` may not see.
    pub fn run_checks(&self, who: Option<&SignedIn>, id: &RunId) -> Result<RunChecks, Refusal> {
        let cx = self.now();
        self.0.store.read(|view| {
            let ground = Ground::read(&cx, view, id)?;
            ground.readable(who)?;
            let found = derived(view, &ground.run, &ground.workflow, &[])?;
            let calls = ground.arguments(view)?;
            let due = ground.workflow.checklist.completion.iter().zip(&found.completion.criteria);
            let due = due.filter_map(|(criterion, (_, finding))| {
                let (criterion_id, finding) = (criterion.id.clone(), finding.as_str());
                match &criterion.by {
                    Backing::ToolCheck { tool, arguments, .. } => Some(DueCheck::Tool {
                        criterion: criterion_id,
                        tool: tool.clone(),
                        arguments: object_filled(arguments, &calls),
                        finding,
                    }),
                    Backing::NamedCheck { check } => Some(DueCheck::Named {
                        criterion: criterion_id,
                        check: check.clone(),
                        finding,
                    }),
                    _ => None,
                }
            });
            Ok(RunChecks {
                run: id.clone(),
                due: due.collect(),
                complete: ground.complete(&found),
                completion: found.completion,
            })
        })
    }

    /// Takes up a call that somebody made to check a run. Nothing that is said of it
    /// is believed: what counts is what the ledger has of the call.
    ///
    /// # Errors
    /// [`CheckError`]; [`Refusal::Unknown`].
    pub fn take_up_check(
        &self,
        who: Option<&SignedIn>,
        id: &RunId,
        checked: &Checked,
    ) -> Result<CheckTaken, Refusal> {
        let (who, id, checked) = (who.cloned(), id.clone(), checked.clone());
        self.commit(move |cx, tx, moment| {
            let ground = Ground::read(cx, tx, &id)?;
            ground.tended(who.as_ref())?;
            let criterion = ground.criterion(&checked.criterion)?;
            let Backing::ToolCheck { tool, arguments, expect } = &criterion.by else {
                return Err(CheckError::NoCriterion { criterion: checked.criterion }.into());
            };
            let n = ground.checkable(tx, criterion)?;
            let places = tx.evidence_places(&id)?;
            let is_it = |e: &bailiwick_store::EvidencePlace| {
                e.criterion == criterion.id && e.action.as_ref() == Some(&checked.action)
            };
            if places.iter().any(is_it) {
                return Err(CheckError::TakenUp.into());
            }
            let calls = ground.arguments(tx)?;
            let arguments = object_filled(arguments, &calls)?;
            let expect = expect.iter().map(|e| expected(e, &calls));
            let expect: Vec<Expectation> = expect.collect::<Result<_, _>>()?;
            let owner = ground.owner(cx, tx)?;
            let wanted = Wanted {
                criterion: &criterion.id,
                tool,
                arguments: &arguments,
                expect: &expect,
                last_change: last_change(tx, &ground.run, &ground.workflow, criterion)?,
                agent: &ground.run.agent,
                owner: &owner,
            };
            let looked = Looked::at(tx, &checked.action)?;
            let holds = shows(&wanted, &looked.receipt(), &checked.result)?;
            let found = Found {
                criterion: criterion.id.clone(),
                by: format!("tool:{tool}"),
                verdict: if holds { Verdict::Holds } else { Verdict::DoesNotHold },
                action: Some(checked.action.clone()),
                output: None,
                n,
            };
            recorded(cx, tx, moment, &ground, found)
        })
    }

    /// Records what a named check found.
    ///
    /// # Errors
    /// [`CheckError`]; [`Refusal::Unknown`].
    pub fn record_named_check(
        &self,
        id: &RunId,
        result: &NamedResult,
    ) -> Result<CheckTaken, Refusal> {
        let (id, result) = (id.clone(), result.clone());
        self.commit(move |cx, tx, moment| {
            let ground = Ground::read(cx, tx, &id)?;
            let criterion = ground.criterion(&result.criterion)?;
            // What is recorded is what the workflow names, whoever asks for it.
            if !matches!(&criterion.by, Backing::NamedCheck { check } if *check == result.check) {
                return Err(CheckError::NoCriterion { criterion: result.criterion }.into());
            }
            let n = ground.checkable(tx, criterion)?;
            let found = Found {
                criterion: criterion.id.clone(),
                by: format!("check:{}", result.check),
                verdict: result.verdict,
                action: None,
                output: Some(shortened(&result.output)),
                n,
            };
            recorded(cx, tx, moment, &ground, found)
        })
    }

    /// Whether somebody may have a run checked.
    ///
    /// # Errors
    /// [`CheckError::NotYours`], [`CheckError::RunOpen`]; [`Refusal::Unknown`].
    pub fn may_check(&self, who: Option<&SignedIn>, id: &RunId) -> Result<(), Refusal> {
        let cx = self.now();
        self.0.store.read(|view| {
            let ground = Ground::read(&cx, view, id)?;
            ground.tended(who)?;
            Ok(checks::is_over(&ground.run)?)
        })
    }

    /// What a named check of a criterion is told: the run and its calls, as far as
    /// their texts are kept and there is room, the newest first of all.
    ///
    /// # Errors
    /// [`CheckError`]; [`Refusal::Unknown`].
    pub fn check_input(&self, id: &RunId, criterion: &str) -> Result<Json, Refusal> {
        let cx = self.now();
        self.0.store.read(|view| {
            let ground = Ground::read(&cx, view, id)?;
            let criterion = ground.criterion(criterion)?;
            ground.checkable(view, criterion)?;
            let run = &ground.run;
            let (calls, whole) = told_calls(view, id)?;
            let told = Object::new()
                .with("v", 1u64)
                .with("run", id)
                .with("task", &run.task)
                .with("attempt", u64::from(run.attempt))
                .with("workflow", &run.workflow)
                .with("workflow_digest", run.workflow_digest)
                .with("agent", &run.agent)
                .with("criterion", criterion.id.as_str())
                .with("says", criterion.says.as_str())
                .with("calls", calls)
                .with("calls_complete", whole);
            Ok(told.into())
        })
    }

    /// Runs that were claimed after the index `after` of the log, in order.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn claimed_runs_since(&self, after: u64) -> Result<Vec<(u64, RunId)>, Refusal> {
        self.read(|view| view.claims_since(after, 100))
    }

    /// How many entries the log has.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn log_size(&self) -> Result<u64, Refusal> {
        self.read(|view| view.log_size())
    }
}

fn object_filled(template: &Object, calls: &[Object]) -> Result<Object, CheckError> {
    match filled(&template.clone().into(), calls)? {
        Json::Object(arguments) => Ok(arguments),
        _ => Ok(Object::new()),
    }
}

fn expected(expectation: &Expectation, calls: &[Object]) -> Result<Expectation, CheckError> {
    let equals = filled(&expectation.equals, calls)?;
    Ok(Expectation { at: expectation.at.clone(), equals })
}

/// As much of a text as is kept.
fn shortened(text: &str) -> String {
    let mut end = text.len().min(MAX_OUTPUT_BYTES);
    while !text.is_char_boundary(end) {
        end = end.saturating_sub(1);
    }
    text.get(..end).unwrap_or_default().to_owned()
}

/// A check whose verdict is known.
struct Found {
    criterion: String,
    by: String,
    verdict: Verdict,
    action: Option<ActionId>,
    output: Option<String>,
    n: u32,
}

fn recorded(
    cx: &Inner,
    view: &View<'_>,
    moment: &Moment<'_>,
    ground: &Ground,
    found: Found,
) -> Result<Plan<CheckTaken>, Refusal> {
    let run = &ground.run;
    let evidence = (found.verdict != Verdict::NotRun).then(|| RunEvidence {
        run: run.id.clone(),
        n: found.n,
        criterion: found.criterion.clone(),
        grade: EvidenceGrade::Independent.as_str().to_owned(),
        holds: found.verdict == Verdict::Holds,
        action: found.action.clone(),
        by: found.by.clone(),
        made: moment.now(),
    });
    let more: Vec<RunEvidence> = evidence.iter().cloned().collect();
    let after = derived(view, run, &ground.workflow, &more)?;
    let complete = ground.complete(&after);
    let made = Made {
        criterion: &found.criterion,
        by: found.by,
        verdict: found.verdict,
        evidence,
        output: found.output.as_deref(),
        completion: &after.completion,
        complete,
        pending: ground.waits(&after),
    };
    let plan = checks::record(moment, &cx.installation, run, made)?;
    let taken = CheckTaken {
        run: run.id.clone(),
        criterion: found.criterion.clone(),
        verdict: found.verdict,
        completion: after.completion,
        complete,
    };
    Ok(plan.map(|()| taken))
}

/// A run's allowed calls in order, and whether these are all.
fn told_calls(view: &View<'_>, id: &RunId) -> Result<(Vec<Json>, bool), Refusal> {
    let (mut told, mut bytes, mut before) = (Vec::new(), 0usize, None);
    loop {
        let page = view.calls_of_run(id, before, MAX_FILLING)?;
        let Some(last) = page.last() else { break };
        before = Some(last.decided);
        for call in &page {
            let object = told_call(view, call)?;
            bytes = bytes.saturating_add(object.canonical().len());
            if bytes > MAX_INPUT_BYTES {
                told.reverse();
                return Ok((told, false));
            }
            told.push(object);
        }
    }
    told.reverse();
    Ok((told, true))
}

fn told_call(view: &View<'_>, call: &RunCall) -> Result<Json, Refusal> {
    let mut object = Object::new()
        .with("action", &call.action)
        .with("tool", &call.tool)
        .with("outcome", call.outcome.clone());
    if let Some(arguments) = disclosed(view, &call.entry, "arguments")? {
        object.insert("arguments", arguments);
    }
    if let Some(completed) = view.action(&call.action)?.and_then(|action| action.completed)
        && let Some(result) = disclosed(view, &completed.id, "result")?
    {
        object.insert("result", result);
    }
    Ok(object.into())
}
