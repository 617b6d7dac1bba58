//! Runs as people are shown them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bailiwick_core::ids::{Alias, EntryId, PrincipalId, RunId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Workflow;
use bailiwick_store::{
    ReviewVerdict, Run, RunCalls, RunContext, RunFilter, RunSpent, RunState, StoreError, Stored,
    View,
};

use super::{Inner, overdue, workflow_of};
use crate::completion::{Derived, derived};
use crate::people::roles::{Deed, Role, require};
use crate::refusal::Refusal;
use crate::rules::requests::texts_read;
use crate::rules::runs::may_review;
use crate::service::people::SignedIn;
use crate::service::{Authority, disclosed};

/// Items of context that a shown run has at most; all of them by pages.
const SHOWN_ITEMS: usize = 100;

/// A run in a list.
#[derive(Clone, Debug, PartialEq)]
pub struct ListedRun {
    /// The run.
    pub run: Stored<Run>,
    /// On whose authority its agent acted; `None` once erased.
    pub principal: Option<PrincipalId>,
    /// Where it stands now: what is overdue is not open.
    pub state: RunState,
}

/// A part of a list of runs.
#[derive(Clone, Debug, PartialEq)]
pub struct RunsPage {
    /// The runs, newest first.
    pub runs: Vec<ListedRun>,
    /// Where the next part begins: [`RunFilter::before`]; none, if this is the last.
    pub next: Option<(Timestamp, RunId)>,
}

impl RunsPage {
    /// For the API and `--json`.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let runs: Vec<Json> = self.runs.iter().map(|listed| listed.to_json().into()).collect();
        let next = self.next.as_ref().map(|(at, id)| format!("{}.{id}", at.millis()));
        Object::new().with("runs", runs).with("next", next)
    }
}

/// What somebody said of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownReview {
    /// The verdict.
    pub verdict: ReviewVerdict,
    /// By whom; `None` once erased.
    pub reviewer: Option<PrincipalId>,
    /// When.
    pub made: Timestamp,
    /// What was put right, or is wrong; `None` once erased.
    pub what: Option<String>,
    /// Why; `None` once erased.
    pub why: Option<String>,
    /// Whether the words were erased.
    pub is_erased: bool,
}

/// A run with all that people are shown of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownRun {
    /// The run.
    pub listed: ListedRun,
    /// What it attempts, in the agent's words; `None` once erased.
    pub goal: Option<String>,
    /// SHA-256 of the principal's instruction, as the agent stated it.
    pub instruction: Option<String>,
    /// Why it counts as complete, or what is missing.
    pub derived: Derived,
    /// Its first items of context, those that were undeclared labelled so.
    pub context: Vec<RunContext>,
    /// How many items there are, and how many undeclared ones.
    pub items: (u64, u64),
    /// Its calls by tool and decision.
    pub calls: Vec<RunCalls>,
    /// What people said of it, in order.
    pub reviews: Vec<ShownReview>,
}

pub(super) fn spent(spent: &RunSpent) -> Object {
    let sums = Object::new()
        .with("iterations", spent.iterations)
        .with("model_calls", spent.model_calls)
        .with("input_tokens", spent.input_tokens)
        .with("output_tokens", spent.output_tokens)
        .with("cost_micros", spent.cost_micros);
    match &spent.currency {
        Some(currency) => sums.with("currency", currency.as_str()),
        None => sums,
    }
}

impl ListedRun {
    /// For the API and `--json`.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let run = &self.run;
        let mut o = Object::new()
            .with("run", &run.id)
            .with("state", self.state.as_str())
            .with("task", &run.task)
            .with("attempt", u64::from(run.attempt))
            .with("workflow", &run.workflow)
            .with("workflow_digest", run.workflow_digest)
            .with("agent", &run.agent)
            .with("instance", &run.instance)
            .with("principal", self.principal.as_ref().map(PrincipalId::as_str))
            .with("grant", &run.grant)
            .with("started", run.started.to_string())
            .with("spent", spent(&run.spent));
        match run.ended {
            Some(ended) => o.insert("ended", ended.to_string()),
            None => o.insert("deadline", run.deadline.to_string()),
        };
        if let Some(complete) = run.complete {
            o.insert("complete", complete);
        }
        if let Some(review) = run.review {
            o.insert("review", review.as_str());
        }
        o
    }
}

impl ShownRun {
    /// For the API and `--json`.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let context = self.context.iter().map(|item| -> Json {
            Object::new()
                .with("n", u64::from(item.n))
                .with("kind", item.kind.as_str())
                .with("sha256", item.digest)
                .with("source", item.source.as_str())
                .with("label", item.label.as_str())
                .with("declared", item.declared)
                .into()
        });
        let calls = self.calls.iter().map(|calls| -> Json {
            Object::new()
                .with("tool", calls.tool.as_str())
                .with("decision", calls.decision.as_str())
                .with("reason", calls.reason.as_str())
                .with("calls", calls.calls)
                .into()
        });
        let evidence = self.derived.evidence.iter().map(|evidence| -> Json {
            Object::new()
                .with("criterion", evidence.criterion.as_str())
                .with("grade", evidence.grade)
                .with("holds", evidence.holds)
                .with("action", evidence.action.as_ref().map(|action| action.as_str()))
                .with("by", evidence.by.as_str())
                .into()
        });
        let reviews = self.reviews.iter().map(|review| -> Json {
            Object::new()
                .with("verdict", review.verdict.as_str())
                .with("reviewer", review.reviewer.as_ref().map(PrincipalId::as_str))
                .with("made", review.made.to_string())
                .with("what", review.what.as_deref())
                .with("why", review.why.as_deref())
                .into()
        });
        let reasons = self.derived.completion.reasons();
        let reasons = reasons.iter().map(|reason| Json::from(reason.as_str()));
        self.listed
            .to_json()
            .with("entry", &self.listed.run.entry)
            .with("goal", self.goal.as_deref())
            .with("instruction_sha256", self.instruction.as_deref())
            .with("completion", self.derived.completion.to_json())
            .with("reasons", reasons.collect::<Vec<_>>())
            .with("evidence", evidence.collect::<Vec<_>>())
            .with("context", context.collect::<Vec<_>>())
            .with("items", self.items.0)
            .with("undeclared", self.items.1)
            .with("calls", calls.collect::<Vec<_>>())
            .with("reviews", reviews.collect::<Vec<_>>())
    }
}

/// Whether somebody may see a run: its principal, who answers for its workflow, who
/// reviews it, and whoever sees everything by role.
pub(in crate::service) fn may_see(
    run: &Run,
    workflow: &Workflow,
    (id, alias): (&PrincipalId, &Alias),
    roles: &[Role],
) -> bool {
    require(roles, Deed::SeeActivity).is_ok()
        || *alias == run.principal
        || *id == workflow.owner
        || may_review(workflow, run, (id, alias), roles)
}

fn name_of(view: &View<'_>, alias: &Alias) -> Result<Option<PrincipalId>, Refusal> {
    Ok(view.principal_by_alias(alias)?.and_then(|p| p.row.id))
}

pub(super) fn listed(
    view: &View<'_>,
    run: Stored<Run>,
    now: Timestamp,
) -> Result<ListedRun, Refusal> {
    let state = match overdue(view, &run, now)? {
        Some(_) => RunState::Abandoned,
        None => run.state,
    };
    Ok(ListedRun { principal: name_of(view, &run.principal)?, state, run })
}

fn text_of(view: &View<'_>, entry: &EntryId, field: &str) -> Result<Option<String>, Refusal> {
    Ok(disclosed(view, entry, field)?.as_ref().and_then(Json::as_str).map(str::to_owned))
}

/// Items of context with what their agent called sources that the workflow does not
/// list; those stay as they are whose names were erased.
pub(crate) fn named(
    view: &View<'_>,
    items: Vec<Stored<RunContext>>,
) -> Result<Vec<RunContext>, StoreError> {
    let mut told: BTreeMap<EntryId, Option<Json>> = BTreeMap::new();
    let mut all = Vec::with_capacity(items.len());
    for Stored { mut row, entry } in items {
        if !row.declared {
            let names = match told.entry(entry) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let names = disclosed(view, new.key(), "items")?;
                    new.insert(names)
                }
            };
            if let Some(name) = names.as_ref().and_then(|names| source(names, row.n)) {
                row.source = name;
            }
        }
        all.push(row);
    }
    Ok(all)
}

/// What item `n` is called in the texts of its entry.
fn source(names: &Json, n: u32) -> Option<String> {
    let is_it = |item: &&Object| {
        let number = item.member("n").and_then(|n| n.as_number()?.as_plain_integer());
        number == Some(i64::from(n))
    };
    let item = names.as_array()?.iter().filter_map(Json::as_object).find(is_it)?;
    item.member("source")?.as_str().map(str::to_owned)
}

pub(super) fn shown(
    cx: &Inner,
    view: &View<'_>,
    run: Stored<Run>,
    now: Timestamp,
) -> Result<ShownRun, Refusal> {
    let workflow = workflow_of(cx, view, &run)?;
    let mut reviews = Vec::new();
    for review in view.run_reviews(&run.id)? {
        reviews.push(ShownReview {
            verdict: review.verdict,
            reviewer: name_of(view, &review.reviewer)?,
            made: review.made,
            what: text_of(view, &review.entry, "what")?,
            why: text_of(view, &review.entry, "why")?,
            is_erased: view.is_erased(&review.entry)?,
        });
    }
    let mut context = view.run_context(&run.id, 1)?;
    context.truncate(SHOWN_ITEMS);
    Ok(ShownRun {
        goal: text_of(view, &run.entry, "goal")?,
        instruction: text_of(view, &run.entry, "instruction_sha256")?,
        derived: derived(view, &run, &workflow, &[])?,
        context: named(view, context)?,
        items: view.run_context_counts(&run.id)?,
        calls: view.run_calls(&run.id)?,
        reviews,
        listed: listed(view, run, now)?,
    })
}

impl Authority {
    /// Runs that fit, newest first, of those that `who` may see; `None`: whoever has
    /// the data dir. Without a role that sees everything these are the runs of one's
    /// own tasks, or with a workflow in the filter those of it that one reviews.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn runs(&self, who: Option<&SignedIn>, filter: &RunFilter) -> Result<RunsPage, Refusal> {
        let (now, cx) = (self.0.host.now(), self.now());
        let mut filter = filter.clone();
        if let Some(who) = who
            && require(&who.roles, Deed::SeeActivity).is_err()
            && filter.workflow.is_none()
        {
            filter.principal = Some(who.principal.alias.to_string());
        }
        self.0.store.read(|view| {
            let (mut seen, found) = (Vec::new(), view.runs(&filter)?);
            let full = u32::try_from(found.len()).is_ok_and(|n| n >= filter.limit);
            let last = found.last().filter(|_| full);
            let next = last.map(|run| (run.started, run.row.id.clone()));
            for run in found {
                let may = match who {
                    None => true,
                    Some(who) => {
                        let workflow = workflow_of(&cx, view, &run)?;
                        let person = (&who.id, &who.principal.alias);
                        may_see(&run, &workflow, person, &who.roles)
                    }
                };
                if may {
                    seen.push(listed(view, run, now)?);
                }
            }
            Ok(RunsPage { runs: seen, next })
        })
    }

    /// A run as somebody who may see it reads it: that they read its goal is an
    /// entry. `None`: whoever has the data dir.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], also for what one may not see.
    pub fn run_read(&self, who: Option<&SignedIn>, id: &RunId) -> Result<ShownRun, Refusal> {
        let (now, cx) = (self.0.host.now(), self.now());
        let unknown = || Refusal::unknown("run", id);
        let shown = self.0.store.read(|view| {
            let run = view.run(id)?.ok_or_else(unknown)?;
            if let Some(who) = who {
                let workflow = workflow_of(&cx, view, &run)?;
                let person = (&who.id, &who.principal.alias);
                if !may_see(&run, &workflow, person, &who.roles) {
                    return Err(unknown());
                }
            }
            shown(&cx, view, run, now)
        })?;
        let (id, by) = (id.clone(), if who.is_some() { "reader" } else { "operator" });
        let begun = shown.listed.run.entry.clone();
        self.commit(move |cx, _, moment| {
            texts_read(moment, &cx.installation, ("run", id.as_str()), &begun, by)
        })?;
        Ok(shown)
    }
}
