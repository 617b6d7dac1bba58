//! Failures: found in the ledger, seen, classified and resolved.

use bailiwick_core::ids::{EntryId, FailureId, PrincipalId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Kind;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_evidence::retained::Retained;
use bailiwick_policy::bundle::Answer;
use bailiwick_policy::cases::{case_name, written};
use bailiwick_store::{
    FAILURE_WINDOW, Failure, FailureClass, FailureFilter, FailureSeen, FailureState, FailureTrend,
    MAX_FAILURES, MetricFilter, StoreError, Stored, StoredEntry, Tx, View,
};

use super::people::SignedIn;
use super::{Authority, Inner, disclosed};
use crate::host::Moment;
use crate::people::roles::{Deed, NotYourRole, require};
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;
use crate::rules::failures::{
    self, Classifying, Detected, Fix, How, MAX_OF_TASK, Resolving, Seen, Shows, Suggestion,
};

mod look;

/// Days back from the first look that are looked through.
const FIRST_DAYS: i64 = 7;
/// Days back in which scope that nobody used is looked for.
const UNUSED_DAYS: i64 = 30;

/// Pages of failures that are looked through for those that somebody may see.
const PAGES: u32 = 20;

/// A failure in a list.
#[derive(Clone, Debug)]
pub struct ListedFailure {
    /// The failure.
    pub failure: Stored<Failure>,
    /// How often it was seen.
    pub seen: Option<FailureSeen>,
    /// Who mends it; `None` while nobody does, or once erased.
    pub owner: Option<PrincipalId>,
}

/// A failure with what people said.
#[derive(Clone, Debug)]
pub struct ShownFailure {
    /// As in a list.
    pub listed: ListedFailure,
    /// What the rules suggest, and why.
    pub suggestion: Suggestion,
    /// How it may be mended, where it is one of permissions.
    pub fix: Option<Fix>,
    /// Who chose the class.
    pub classifier: Option<PrincipalId>,
    /// Their words.
    pub note: Option<String>,
    /// Where the fix is.
    pub link: Option<String>,
    /// Why there is no regression.
    pub why: Option<String>,
    /// Whether something that people said of it was erased.
    pub is_erased: bool,
    /// Whether the decision can be made a case.
    pub is_replayable: bool,
}

/// What somebody says of a failure.
#[derive(Clone, Debug)]
pub struct Classification {
    /// Its class.
    pub class: FailureClass,
    /// Who mends it; the workflow's owner, if nobody is named.
    pub owner: Option<PrincipalId>,
    /// In their words.
    pub note: Option<String>,
}

/// How somebody resolves a failure.
#[derive(Clone, Debug, Default)]
pub struct Resolution {
    /// Where the fix is.
    pub link: Option<String>,
    /// Why there is no regression, or nothing to mend.
    pub why: Option<String>,
    /// What keeps it from coming back.
    pub regression: Kept,
}

/// What keeps a failure from coming back.
#[derive(Clone, Debug, Default)]
pub enum Kept {
    /// A file of cases, its text.
    Case(String),
    /// Nothing that a test could hold.
    #[default]
    None,
    /// There was nothing to mend.
    Dismissed,
}

impl ListedFailure {
    /// As the API and the command line have it.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let f = &self.failure.row;
        Object::new()
            .with("failure", &f.id)
            .with("state", f.state.as_str())
            .with("what", f.what.as_str())
            .with("reason", f.reason.as_str())
            .with("times", self.seen.map_or(1, |seen| seen.times))
            .with("detected", f.detected.to_string())
            .with("last", self.seen.map_or(f.detected, |seen| seen.last).to_string())
            .with("workflow", f.workflow.as_ref())
            .with("version", f.version.as_deref())
            .with("agent", f.agent.as_ref())
            .with("task", f.task.as_ref())
            .with("run", f.run.as_ref())
            .with("action", f.action.as_ref())
            .with("tool", f.tool.as_ref())
            .with("suggested", f.suggested.as_str())
            .with("class", f.class.map(FailureClass::as_str))
            .with("owner", self.owner.as_ref())
            .with("regression", f.regression.map(bailiwick_store::Regression::as_str))
            .with("again", f.again.as_ref())
            .with("entry", &f.source)
    }
}

impl ShownFailure {
    /// As the API and the command line have it.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let f = &self.listed.failure.row;
        let fix = self.fix.as_ref().map(|fix| match fix {
            Fix::Narrower { leave_out } => {
                let tools: Vec<Json> = leave_out.iter().map(|t| t.as_str().into()).collect();
                Object::new().with("narrower", tools)
            }
            Fix::Review(how) => Object::new().with("review", *how),
        });
        self.listed
            .to_json()
            .with("suggested_why", self.suggestion.why)
            .with("classifier", self.classifier.as_ref())
            .with("classified", f.classified.map(|t| t.to_string()))
            .with("note", self.note.as_deref())
            .with("resolved", f.resolved.map(|t| t.to_string()))
            .with("link", self.link.as_deref())
            .with("why", self.why.as_deref())
            .with("cases", f.cases)
            .with("held_before", f.held_before)
            .with("fix", fix)
            .with("replayable", self.is_replayable)
    }
}

fn found(view: &View<'_>, id: &FailureId) -> Result<Stored<Failure>, Refusal> {
    view.failure(id)?.ok_or_else(|| Refusal::unknown("failure", id))
}

/// Whether somebody answers for the failure's workflow.
fn is_owner(
    cx: &Inner,
    view: &View<'_>,
    failure: &Failure,
    id: &PrincipalId,
) -> Result<bool, Refusal> {
    let Some(workflow) = &failure.workflow else { return Ok(false) };
    let Some(row) = view.workflow(workflow)? else { return Ok(false) };
    Ok(cx.parsed.of(&row)?.owner == *id)
}

/// SECURITY: whoever has the role, or answers for the workflow; without a person it is
/// the operator, on the data dir.
fn may(
    cx: &Inner,
    view: &View<'_>,
    person: Option<&SignedIn>,
    failure: &Failure,
    deed: Deed,
) -> Result<(), Refusal> {
    let Some(person) = person else { return Ok(()) };
    match require(&person.roles, deed) {
        Ok(()) => Ok(()),
        Err(_) if is_owner(cx, view, failure, &person.id)? => Ok(()),
        Err(missing) => Err(missing.into()),
    }
}

fn name_of(
    view: &View<'_>,
    alias: Option<&bailiwick_core::ids::Alias>,
) -> Result<Option<PrincipalId>, StoreError> {
    let Some(alias) = alias else { return Ok(None) };
    Ok(view.principal_by_alias(alias)?.and_then(|p| p.row.id))
}

fn listed(view: &View<'_>, failure: Stored<Failure>) -> Result<ListedFailure, StoreError> {
    let seen = view.failure_seen(&failure.id)?;
    let owner = name_of(view, failure.owner.as_ref())?;
    Ok(ListedFailure { failure, seen, owner })
}

fn said(
    view: &View<'_>,
    entry: Option<&EntryId>,
    field: &str,
) -> Result<Option<String>, StoreError> {
    let Some(entry) = entry else { return Ok(None) };
    Ok(disclosed(view, entry, field)?.as_ref().and_then(Json::as_str).map(str::to_owned))
}

/// The decision that shows a failure, as policy saw it; why not, if not.
fn recorded(view: &View<'_>, failure: &Failure) -> Result<Result<Retained, String>, Refusal> {
    let Some(mut entry) = view.entry_by_id(&failure.source)? else {
        return Ok(Err("its entry is gone".to_owned()));
    };
    // A verdict and an outcome name the decision that they are about.
    let about = match Kind::parse(&entry.kind) {
        Some(Kind::ApprovalDecided) => Some("asked"),
        Some(Kind::ActionCompleted) => Some("decided"),
        _ => None,
    };
    if let Some(member) = about
        && let Some(decided) = named(&entry, member)
        && let Some(found) = view.entry_by_id(&decided)?
    {
        entry = found;
    }
    if entry.kind != Kind::ActionDecided.as_str() {
        return Ok(Err("it is not about a call that was decided".to_owned()));
    }
    let leaf = Json::parse(&entry.leaf, &JsonLimits::DEFAULT).ok();
    let Some(leaf) = leaf.as_ref().and_then(Json::as_object) else {
        return Ok(Err("its entry cannot be read".to_owned()));
    };
    let texts = view.read_plaintext(&entry.id)?.unwrap_or_default();
    Ok(Retained::read(leaf, &texts).map_err(|why| why.to_string()))
}

/// The entry that another one's body names.
fn named(entry: &StoredEntry, member: &str) -> Option<EntryId> {
    let leaf = Json::parse(&entry.leaf, &JsonLimits::DEFAULT).ok()?;
    let body = leaf.as_object()?.member("body")?.as_object()?;
    EntryId::parse(body.member(member)?.as_str()?).ok()
}

fn answer(decision: &str) -> Option<Answer> {
    [Answer::Allow, Answer::ApprovalRequired, Answer::Deny]
        .into_iter()
        .find(|answer| answer.as_str() == decision)
}

/// A part of the list of failures.
#[derive(Clone, Debug)]
pub struct FailurePage {
    /// Failures.
    pub failures: Vec<ListedFailure>,
    /// After which the list goes on, if it does.
    pub next: Option<(Timestamp, FailureId)>,
}

impl FailurePage {
    /// As the API and the command line have it.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let all: Vec<Json> = self.failures.iter().map(|listed| listed.to_json().into()).collect();
        let next = self.next.as_ref().map(|(at, id)| format!("{}.{id}", at.millis()));
        Object::new().with("failures", all).with("next", next)
    }
}

/// Failures of a week by class, as the API and the command line have them.
#[must_use]
pub fn trend_json(trend: &FailureTrend) -> Object {
    let day: String = trend.week.to_string().chars().take(10).collect();
    Object::new()
        .with("week", day)
        .with("class", trend.class.map(FailureClass::as_str))
        .with("failures", trend.failures)
}

impl Authority {
    /// Failures that fit and that this person may see, newest first.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn failures(
        &self,
        person: Option<&SignedIn>,
        filter: &FailureFilter,
    ) -> Result<FailurePage, Refusal> {
        let cx = self.now();
        self.0.store.read(|view| {
            let limit = usize::try_from(filter.limit.min(MAX_FAILURES)).unwrap_or(usize::MAX);
            let mut filter = FailureFilter { limit: MAX_FAILURES, ..filter.clone() };
            let mut failures = Vec::new();
            for _ in 0..PAGES {
                let found = view.failures(&filter)?;
                let full = u32::try_from(found.len()).is_ok_and(|n| n >= filter.limit);
                filter.before = found.last().map(|f| (f.detected, f.id.clone()));
                for failure in found {
                    if may(&cx, view, person, &failure, Deed::SeeFailures).is_ok() {
                        failures.push(listed(view, failure)?);
                    }
                    if failures.len() == limit {
                        break;
                    }
                }
                if !full || failures.len() == limit {
                    break;
                }
            }
            // SECURITY: only of what is shown. Somebody else's failure is not named.
            let last: Option<&ListedFailure> = failures.last().filter(|_| failures.len() == limit);
            let next = last.map(|l| (l.failure.detected, l.failure.id.clone()));
            Ok(FailurePage { failures, next })
        })
    }

    /// One failure, with what people said.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::NotYourRole`], [`Refusal::Store`].
    pub fn failure_read(
        &self,
        person: Option<&SignedIn>,
        id: &FailureId,
    ) -> Result<ShownFailure, Refusal> {
        let (cx, now) = (self.now(), self.0.host.now());
        self.0.store.read(|view| {
            let failure = found(view, id)?;
            may(&cx, view, person, &failure, Deed::SeeFailures)?;
            let unused = unused_of(&cx, view, &failure, now)?;
            let (classified, resolved) = view.failure_entries(id)?;
            let mut is_erased = false;
            for entry in [&classified, &resolved].into_iter().flatten() {
                is_erased |= view.is_erased(entry)?;
            }
            Ok(ShownFailure {
                is_erased,
                suggestion: failures::suggest(failure.what, &failure.reason),
                fix: failures::fix(&failure, &unused),
                classifier: name_of(view, failure.classifier.as_ref())?,
                note: said(view, classified.as_ref(), "note")?,
                link: said(view, resolved.as_ref(), "link")?,
                why: said(view, resolved.as_ref(), "why")?,
                is_replayable: recorded(view, &failure)?.is_ok(),
                listed: listed(view, failure)?,
            })
        })
    }

    /// Whether somebody may classify and resolve it.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn may_tend_failure(&self, who: &SignedIn, failure: &Failure) -> Result<bool, Refusal> {
        let cx = self.now();
        self.0.store.read(|view| match may(&cx, view, Some(who), failure, Deed::TendFailures) {
            Ok(()) => Ok(true),
            Err(Refusal::NotYourRole(_)) => Ok(false),
            Err(other) => Err(other),
        })
    }

    /// Failures by week and class over the last `days`.
    ///
    /// # Errors
    /// [`Refusal::NotYourRole`], [`Refusal::Store`].
    pub fn failure_trends(
        &self,
        person: Option<&SignedIn>,
        days: i64,
    ) -> Result<Vec<FailureTrend>, Refusal> {
        if let Some(person) = person {
            require(&person.roles, Deed::SeeFailures).map_err(|e: NotYourRole| Refusal::from(e))?;
        }
        let now = self.0.host.now();
        let until = Timestamp::from_millis(now.millis().saturating_add(1));
        self.read(|view| view.failure_trends(back(now, days), until))
    }

    /// Says what kind of failure it is, and who mends it.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::NotYourRole`],
    /// [`FailureError`](failures::FailureError).
    pub fn failure_classify(
        &self,
        person: Option<&SignedIn>,
        id: &FailureId,
        said: Classification,
    ) -> Result<(), Refusal> {
        let (id, person) = (id.clone(), person.cloned());
        self.commit(move |cx, tx, moment| {
            let failure = found(tx, &id)?;
            may(cx, tx, person.as_ref(), &failure, Deed::TendFailures)?;
            let owner = match (&said.owner, &failure.workflow) {
                (Some(owner), _) => owner.clone(),
                (None, Some(workflow)) => {
                    let row = tx.workflow(workflow)?;
                    let row = row.ok_or_else(|| Refusal::unknown("workflow", workflow))?;
                    cx.parsed.of(&row)?.owner.clone()
                }
                (None, None) => match &person {
                    Some(person) => person.id.clone(),
                    None => return Err(Refusal::unknown("owner", "nobody named")),
                },
            };
            let found = cx.principal(tx, &owner)?;
            let found = found.ok_or_else(|| Refusal::unknown("principal", &owner))?;
            let classifying = Classifying {
                class: said.class,
                by: person.as_ref().map(|p| &p.principal.alias),
                owner: &found.alias,
                note: said.note.as_deref(),
            };
            failures::classify(moment, &cx.installation, &failure, &classifying)
        })
    }

    /// Resolves a failure; gives what [`failures::resolve`] does.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::NotYourRole`],
    /// [`FailureError`](failures::FailureError).
    pub fn failure_resolve(
        &self,
        person: Option<&SignedIn>,
        id: &FailureId,
        said: Resolution,
    ) -> Result<Option<bool>, Refusal> {
        let (id, person) = (id.clone(), person.cloned());
        self.commit(move |cx, tx, moment| {
            let failure = found(tx, &id)?;
            may(cx, tx, person.as_ref(), &failure, Deed::TendFailures)?;
            let retained = recorded(tx, &failure)?;
            let policies = cx.bundles.of(tx)?;
            let call = retained.as_ref().ok().and_then(|r| Some((&r.call, answer(&r.decision)?)));
            let how = match &said.regression {
                Kept::Case(cases) => How::Case { cases, recorded: call, policies: &policies },
                Kept::None => How::None,
                Kept::Dismissed => How::Dismissed,
            };
            let resolving = Resolving {
                by: person.as_ref().map(|p| &p.principal.alias),
                link: said.link.as_deref(),
                why: said.why.as_deref(),
                how,
            };
            failures::resolve(moment, &cx.installation, &failure, &resolving)
        })
    }

    /// The recorded decision of a failure as a case, with what it should be from now
    /// on. That its texts were read goes into the ledger.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::NotYourRole`],
    /// [`FailureError::NoDecision`](failures::FailureError::NoDecision).
    pub fn failure_case(
        &self,
        person: Option<&SignedIn>,
        id: &FailureId,
        expect: Answer,
    ) -> Result<String, Refusal> {
        let (id, person) = (id.clone(), person.cloned());
        self.commit(move |cx, tx, moment| {
            let failure = found(tx, &id)?;
            may(cx, tx, person.as_ref(), &failure, Deed::TendFailures)?;
            // SECURITY: a case has the call's arguments and the principal's name, as the
            // call itself has them.
            may(cx, tx, person.as_ref(), &failure, Deed::SeeActivity)?;
            let retained = recorded(tx, &failure)?;
            let retained = retained.map_err(|why| failures::FailureError::NoDecision { why })?;
            let by = if person.is_some() { "person" } else { "operator" };
            let step = Step::new(moment, &cx.installation.org, Kind::PlaintextRead)?
                .about(|s| {
                    s.principal = person.as_ref().map(|p| p.principal.alias.to_string());
                    s.action = failure.action.as_ref().map(ToString::to_string);
                    s.task = failure.task.as_ref().map(ToString::to_string);
                })
                .with("by", by)
                .with("failure", &failure.id);
            let text = written(&case_name(&failure.id), &retained.call, expect);
            Ok(Plan::one(step, text))
        })
    }
}

fn back(now: Timestamp, days: i64) -> Timestamp {
    now.plus_seconds(days.clamp(0, 36_500).saturating_mul(-86_400))
}

/// Tools that grants of the failure's workflow included and nobody used.
fn unused_of(
    cx: &Inner,
    view: &View<'_>,
    failure: &Failure,
    now: Timestamp,
) -> Result<Vec<String>, Refusal> {
    let Some(workflow) = &failure.workflow else { return Ok(Vec::new()) };
    if failure.class_so_far() != FailureClass::PermissionModel {
        return Ok(Vec::new());
    }
    let span = MetricFilter::span(back(now, UNUSED_DAYS), now);
    let filter = MetricFilter { workflow: Some(workflow.clone()), ..span };
    let unused = super::metrics::unused(cx, view, &filter)?;
    Ok(unused.into_iter().filter(|tool| tool.used == 0).map(|tool| tool.tool).collect())
}
