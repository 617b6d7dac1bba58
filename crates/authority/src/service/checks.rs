//! Checks of runs: what is due, taking up what was made, named checks.

use std::sync::Arc;

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{ActionId, Alias, EntryId, RunId, ToolId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Workflow;
use bailiwick_policy::checklist::{Backing, Criterion};
use bailiwick_policy::grades::EvidenceGrade;
use bailiwick_store::{Errand, ErrandCall, ErrandKind, Run, RunCall, RunEvidence, Stored, View};

use super::people::SignedIn;
use super::runs::may_see;
use super::{Authority, Inner, disclosed};
use crate::completion::{Derived, derived, last_change, writing_tools};
use crate::host::Moment;
use crate::people::roles::{Deed, require};
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::rules::checks::{
    self, CheckError, Looking, MAX_CHANGES, MAX_CHECKS, MAX_OUTPUT_BYTES, Made, Verdict, Wanted,
    looking, shows,
};
use crate::rules::errands::{self, ERRAND_SECONDS};
use crate::rules::runs::counts;

mod looked;
mod shown;
use looked::{Looked, made_checks, told_calls};
pub(super) use looked::{is_external, result_of};
pub use shown::{CheckTaken, Checked, DueCheck, NamedResult, RunChecks};

/// Calls of a run that are read at once.
const PAGE: u32 = 200;

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

    /// What a tool's check of a criterion looks at: one thing for each that the run
    /// changed of what the criterion is about.
    fn looking(&self, view: &View<'_>, criterion: &Criterion) -> Result<Vec<Looking>, Refusal> {
        let Backing::ToolCheck { arguments, expect, .. } = &criterion.by else {
            return Err(CheckError::NoCriterion { criterion: criterion.id.clone() }.into());
        };
        let writes = writing_tools(&self.workflow);
        let tools = criterion.changed_by.as_ref().unwrap_or(&writes);
        let mut changes = Vec::new();
        for tool in tools {
            let mut before = None;
            loop {
                let page = view.calls_of_run_to(&self.run.id, tool, before, PAGE)?;
                let Some(last) = page.last() else { break };
                before = Some(last.decided);
                changes.extend(page.into_iter().filter(RunCall::had_effect));
                if changes.len() > MAX_CHANGES {
                    return Err(CheckError::TooManyChanges { max: MAX_CHANGES }.into());
                }
            }
        }
        changes.sort_by_key(|call| std::cmp::Reverse(call.decided));
        let mut given = Vec::with_capacity(changes.len());
        for call in changes {
            let arguments = disclosed(view, &call.entry, "arguments")?;
            given.push(arguments.as_ref().and_then(Json::as_object).cloned().unwrap_or_default());
        }
        Ok(looking(arguments, expect, &given, criterion.changed_by.is_some())?)
    }

    /// Where what a check found stands once everything that the criterion is about was
    /// looked at: the call of the oldest of the newest looks. None, while something is
    /// left, or was found not to hold.
    fn whole(
        &self,
        view: &View<'_>,
        (criterion, all): (&Criterion, &[Looking]),
        (looked, last_change): (&Looked, Option<u64>),
    ) -> Result<Option<ActionId>, Refusal> {
        let mut found = vec![(looked.decided.index, looked.action.clone())];
        let made = made_checks(view, &self.run.id, &criterion.id)?;
        for other in all.iter().filter(|other| !looked.is_of(other)) {
            let mut newest = None;
            for (action, verdict) in made.iter().rev() {
                let call = Looked::at(view, action)?;
                if call.is_of(other) && last_change.is_none_or(|last| call.decided.index > last) {
                    newest = (*verdict == Verdict::Holds).then_some((call.decided.index, action));
                    break;
                }
            }
            let Some((decided, action)) = newest else { return Ok(None) };
            found.push((decided, action.clone()));
        }
        Ok(found.into_iter().min_by_key(|(decided, _)| *decided).map(|(_, action)| action))
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
            let mut due = Vec::new();
            let all = ground.workflow.checklist.completion.iter().zip(&found.completion.criteria);
            for (criterion, (_, finding)) in all {
                let (id, finding) = (criterion.id.clone(), finding.as_str());
                match &criterion.by {
                    Backing::ToolCheck { tool, .. } => {
                        let one = |arguments| DueCheck::Tool {
                            criterion: id.clone(),
                            tool: tool.clone(),
                            arguments,
                            finding,
                        };
                        match ground.looking(view, criterion) {
                            Ok(all) => due.extend(all.into_iter().map(|l| one(Ok(l.arguments)))),
                            Err(Refusal::Check(fault)) => due.push(one(Err(fault))),
                            Err(refusal) => return Err(refusal),
                        }
                    }
                    Backing::NamedCheck { check } => {
                        let check = check.clone();
                        due.push(DueCheck::Named { criterion: id, check, finding });
                    }
                    _ => {}
                }
            }
            Ok(RunChecks {
                run: id.clone(),
                due,
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
            let Backing::ToolCheck { tool, .. } = &criterion.by else {
                return Err(CheckError::NoCriterion { criterion: checked.criterion }.into());
            };
            let n = ground.checkable(tx, criterion)?;
            let before = made_checks(tx, &id, &criterion.id)?;
            if before.iter().any(|(action, _)| *action == checked.action) {
                return Err(CheckError::TakenUp.into());
            }
            let all = ground.looking(tx, criterion)?;
            let looked = Looked::at(tx, &checked.action)?;
            let fault = checks::Fault::Arguments;
            let other = CheckError::ShowsNothing { criterion: checked.criterion.clone(), fault };
            let this = all.iter().find(|one| looked.is_of(one));
            let this = this.or(all.first()).ok_or(other)?;
            let owner = ground.owner(cx, tx)?;
            let last_change = last_change(tx, &ground.run, &ground.workflow, criterion)?;
            let wanted = Wanted {
                criterion: &criterion.id,
                tool,
                arguments: &this.arguments,
                expect: &this.expect,
                last_change,
                agent: &ground.run.agent,
                owner: &owner,
            };
            let holds = shows(&wanted, &looked.receipt(), &checked.result)?;
            // That one thing does not hold is enough; that it does is not.
            let stands = match holds {
                true => ground.whole(tx, (criterion, &all), (&looked, last_change))?,
                false => Some(checked.action.clone()),
            };
            let found = Found {
                criterion: criterion.id.clone(),
                by: format!("tool:{tool}"),
                verdict: if holds { Verdict::Holds } else { Verdict::DoesNotHold },
                receipt: Some(checked.action.clone()),
                is_whole: stands.is_some(),
                action: stands,
                output: None,
                seen: None,
                n,
            };
            recorded(cx, tx, moment, &ground, found)
        })
    }

    /// Announces a call that checks a run, so that the gateway knows it: made by the
    /// delegation whose root's token hash is `root`, with these arguments.
    ///
    /// # Errors
    /// [`CheckError`]; [`Refusal::Unknown`].
    pub fn announce_check(
        &self,
        who: Option<&SignedIn>,
        id: &RunId,
        criterion: &str,
        (arguments, root): (&Object, Digest),
    ) -> Result<(), Refusal> {
        let (who, id, criterion) = (who.cloned(), id.clone(), criterion.to_owned());
        let arguments = arguments.clone();
        self.commit(move |cx, tx, moment| {
            let ground = Ground::read(cx, tx, &id)?;
            ground.tended(who.as_ref())?;
            let criterion = ground.criterion(&criterion)?;
            let Backing::ToolCheck { tool, .. } = &criterion.by else {
                return Err(CheckError::NoCriterion { criterion: criterion.id.clone() }.into());
            };
            ground.checkable(tx, criterion)?;
            let announced = tx.errands_of_run(&id, ErrandKind::Check)?.len();
            if u32::try_from(announced).is_ok_and(|n| n >= MAX_CHECKS) {
                return Err(CheckError::TooMany { max: MAX_CHECKS }.into());
            }
            if !ground.looking(tx, criterion)?.iter().any(|one| one.arguments == arguments) {
                let criterion = criterion.id.clone();
                return Err(CheckError::OtherArguments { criterion }.into());
            }
            let call =
                ErrandCall { root, tool: tool.clone(), arguments: tx.errand_arguments(&arguments) };
            let errand = Errand {
                run: id.clone(),
                what: ErrandKind::Check,
                name: criterion.id.clone(),
                undoes: None,
                call: Some(call),
                until: moment.now().plus_seconds(ERRAND_SECONDS),
            };
            errands::start(moment, &cx.installation, &ground.run, errand)
        })
    }

    /// The run because of which somebody announced exactly this call of their
    /// delegation, with the entry that says so.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn awaited_errand(
        &self,
        (root, tool): (&Digest, &ToolId),
        arguments: &Object,
        now: Timestamp,
    ) -> Result<Option<(EntryId, RunId)>, Refusal> {
        self.read(|view| view.awaited_errand(root, tool, arguments, now))
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
                receipt: None,
                is_whole: true,
                action: None,
                output: Some(shortened(&result.output)),
                // What it was told is older than what it found.
                seen: Some(result.seen),
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
    /// their texts are kept and there is room, the newest first of all. With the index
    /// of the last entry of the log by then.
    ///
    /// # Errors
    /// [`CheckError`]; [`Refusal::Unknown`].
    pub fn check_input(&self, id: &RunId, criterion: &str) -> Result<(Json, u64), Refusal> {
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
            Ok((told.into(), view.log_size()?.saturating_sub(1)))
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
    /// The call that it is, if it is one.
    receipt: Option<ActionId>,
    /// Whether nothing else is to be checked.
    is_whole: bool,
    /// The call by which the evidence stands.
    action: Option<ActionId>,
    output: Option<String>,
    /// The index of the last entry that it was told of.
    seen: Option<u64>,
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
    let speaks = found.verdict != Verdict::NotRun && found.is_whole;
    let evidence = speaks.then(|| RunEvidence {
        run: run.id.clone(),
        n: found.n,
        criterion: found.criterion.clone(),
        grade: EvidenceGrade::Independent.as_str().to_owned(),
        holds: found.verdict == Verdict::Holds,
        action: found.action.clone(),
        by: found.by.clone(),
        made: moment.now(),
        seen: found.seen,
    });
    let more: Vec<RunEvidence> = evidence.iter().cloned().collect();
    let after = derived(view, run, &ground.workflow, &more)?;
    let complete = ground.complete(&after);
    let made = Made {
        criterion: &found.criterion,
        by: found.by,
        verdict: found.verdict,
        receipt: found.receipt.as_ref(),
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
        // The first line is ours; what follows is what it printed.
        why: found
            .output
            .filter(|_| found.verdict == Verdict::NotRun)
            .and_then(|output| output.lines().next().map(str::to_owned)),
        completion: after.completion,
        complete,
    };
    Ok(plan.map(|()| taken))
}
