//! How far workflows' agents may act without a person: what is in force and why,
//! lowering, and raising by two signatures.

use bailiwick_core::approval::Signed;
use bailiwick_core::autonomy::Raise;
use bailiwick_core::ids::{Alias, EntryId, PrincipalId, RunId, WorkflowId};
use bailiwick_core::json::Json;
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Workflow;
use bailiwick_policy::autonomy::{Part, RaiseError, Standing, in_force, next, part};
use bailiwick_policy::checklist::ErrorBudget;
use bailiwick_policy::grades::Level;
use bailiwick_policy::metrics::{self, Target, evaluate};
use bailiwick_store::{
    Autonomy, ErrandKind, MetricFilter, ReviewVerdict, Row, Store, StoreError, Stored, Tx, View,
};

use super::approvals::Sayer;
use super::metrics::figures_of;
use super::people::{SignedIn, person};
use super::signers::{Signer, Signers};
use super::stops::may_stop_workflow;
use super::{Authority, Inner};
use crate::host::Moment;
use crate::people::roles::Role;
use crate::plan::Step;
use crate::refusal::Refusal;
use crate::rules::autonomy::{self as rules, Signing, check_time, counted_since, standing};

mod shown;
use shown::raise;
pub(super) use shown::why;
pub use shown::{Judged, ShownAutonomy, ShownChange, WaitingSignature};

/// Seconds for which a claimed run may wait for checks and reviews by others before
/// it counts as failed.
const PATIENCE_SECONDS: i64 = 86_400;

/// Roles whose holders may be the second one to sign.
const SECONDS: [Role; 3] = [Role::Owner, Role::Operator, Role::Approver];

/// How far a version's agents may act now: what a gateway asks with every call.
///
/// # Errors
/// When it cannot be read: the call is denied.
pub fn level_in_force(store: &Store, workflow: &Workflow) -> Result<Level, StoreError> {
    let last = store.read(|view| view.autonomy(&workflow.id))?;
    let last = last.map(|last| last.row);
    Ok(in_force(workflow, standing(last.as_ref()).as_ref()))
}

/// The current version of a workflow, and what its last change left.
fn current(
    cx: &Inner,
    view: &View<'_>,
    id: &WorkflowId,
) -> Result<(std::sync::Arc<Workflow>, EntryId, Option<Autonomy>), Refusal> {
    let version = view.workflow(id)?.ok_or_else(|| Refusal::unknown("workflow", id))?;
    let last = view.autonomy(id)?.map(|last| last.row);
    Ok((cx.parsed.of(&version)?, version.entry, last))
}

/// Who wrote the version, as its entry says.
fn author(view: &View<'_>, published: &EntryId) -> Result<Option<PrincipalId>, Refusal> {
    let Some(entry) = view.entry_by_id(published)? else { return Ok(None) };
    let leaf = Json::parse(&entry.leaf, &JsonLimits::DEFAULT).ok();
    let body = leaf.as_ref().and_then(|leaf| leaf.as_object()?.member("body")?.as_object());
    let alias = body.and_then(|body| {
        let by = body.member("author").or_else(|| body.member("session_of"))?;
        Alias::parse(by.as_str()?).ok()
    });
    name(view, alias.as_ref())
}

fn name(view: &View<'_>, alias: Option<&Alias>) -> Result<Option<PrincipalId>, Refusal> {
    let Some(alias) = alias else { return Ok(None) };
    Ok(view.principal_by_alias(alias)?.and_then(|p| p.row.id))
}

fn has_role(view: &View<'_>, alias: &Alias) -> Result<bool, Refusal> {
    let roles = view.roles_of(alias)?;
    Ok(roles.iter().any(|role| SECONDS.iter().any(|second| second.as_str() == role)))
}

/// In which part somebody signs, as of now.
fn part_of(
    view: &View<'_>,
    workflow: &Workflow,
    author: Option<&PrincipalId>,
    alias: &Alias,
) -> Result<Part, Refusal> {
    let (_, id) = person(view, alias)?.ok_or(Refusal::PrincipalInactive)?;
    Ok(part(workflow, author, &id, has_role(view, alias)?)?)
}

/// Whether somebody else signed this in the other part, whose right and whose
/// credential hold now.
fn other_signed(
    view: &View<'_>,
    workflow: &Workflow,
    author: Option<&PrincipalId>,
    raise: &Raise,
    (alias, mine): (&Alias, Part),
    now: Timestamp,
) -> Result<bool, Refusal> {
    for signed in view.autonomy_signatures(&workflow.id, &raise.digest())? {
        let who = &signed.principal;
        if who == alias || signed.expires <= now || person(view, who)?.is_none() {
            continue;
        }
        let part = match part_of(view, workflow, author, who) {
            Ok(part) => part,
            Err(Refusal::Raise(_)) => continue,
            Err(other) => return Err(other),
        };
        let signers = Signers::read(view, who, now)?;
        if part != mine && signers.credentials.iter().any(|c| c.id == signed.credential) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Figures of a version's runs of the window that ends at `until`, against its
/// evaluation targets.
fn judged(view: &View<'_>, workflow: &Workflow, until: Timestamp) -> Result<Judged, Refusal> {
    let Some(evaluation) = &workflow.checklist.evaluation else {
        let unmet = vec!["the workflow has no evaluation targets".to_owned()];
        return Ok(Judged { figures: Json::Null, unmet });
    };
    let days = i64::from(evaluation.window_days);
    let from = until.plus_seconds(days.saturating_mul(-86_400));
    let filter = MetricFilter {
        workflow: Some(workflow.id.clone()),
        version: Some(workflow.digest()),
        ..MetricFilter::span(from, until)
    };
    let figures = figures_of(view, &filter)?;
    let evaluated = evaluate(evaluation, &figures);
    let mut unmet = Vec::new();
    if evaluated.runs < evaluated.minimum_runs {
        let (runs, least) = (evaluated.runs, evaluated.minimum_runs);
        unmet.push(format!("there are {runs} ended runs of at least {least}"));
    }
    unmet.extend(evaluated.targets.iter().filter_map(missed));
    let figures = figures
        .to_json()
        .with("workflow", &workflow.id)
        .with("version", workflow.digest())
        .with("from", from.seconds())
        .with("until", until.seconds());
    Ok(Judged { figures: figures.into(), unmet })
}

/// What keeps a target from being met, in a sentence.
fn missed(target: &Target) -> Option<String> {
    let measure = target.measure.as_str();
    Some(match target.standing {
        metrics::Standing::Met => return None,
        metrics::Standing::Missed => format!("`{measure}` is beyond its bound"),
        metrics::Standing::Unsure => {
            format!("`{measure}` is within its bound, but too uncertain: it may be luck")
        }
        metrics::Standing::NoData => format!("`{measure}` has no data"),
        metrics::Standing::SeveralCurrencies => format!("`{measure}` is in several currencies"),
    })
}

/// The last whole hour: calls are counted by the hour, so figures up to it do not
/// change while people sign them.
const fn last_hour(now: Timestamp) -> Timestamp {
    Timestamp::from_seconds(now.seconds() - now.seconds().rem_euclid(3_600))
}

/// The change that the entry records, in words.
fn shown(view: &View<'_>, change: Stored<Autonomy>) -> Result<ShownChange, Refusal> {
    let entry = view.entry_by_id(&change.entry)?;
    let leaf = entry.and_then(|entry| Json::parse(&entry.leaf, &JsonLimits::DEFAULT).ok());
    let by = leaf.as_ref().and_then(|leaf| {
        let body = leaf.as_object()?.member("body")?.as_object()?;
        Alias::parse(body.member("session_of")?.as_str()?).ok()
    });
    let texts = view.read_plaintext(&change.entry)?.unwrap_or_default();
    let reason = texts.into_iter().find(|(field, _)| field == "reason");
    Ok(ShownChange {
        principal: name(view, by.as_ref())?,
        reason: reason.and_then(|(_, d)| d.value.as_str().map(str::to_owned)),
        change,
    })
}

/// The runs that failed by what is written: they were abandoned, rejected, or claimed
/// without what their own agent could have brought.
pub(super) fn failed(steps: &[Step]) -> Vec<RunId> {
    let failed = |step: &Step| match step.row.as_ref()? {
        Row::RunEnded { run, complete: false, pending: false, .. }
        | Row::RunComplete { run, complete: false, pending: false, .. } => Some(run.clone()),
        Row::Errand(errand) if errand.what == ErrandKind::Rollback => Some(errand.run.clone()),
        Row::RunReviewed { review, .. } if review.verdict == ReviewVerdict::Rejected => {
            Some(review.run.clone())
        }
        _ => None,
    };
    steps.iter().filter_map(failed).collect()
}

/// Lowers the autonomy of a run's workflow when that was one failure too many; in
/// the transaction that records it, so at once.
pub(super) fn after_failure(cx: &Inner, tx: &mut Tx<'_>, run: &RunId) -> Result<(), Refusal> {
    let Some(run) = tx.run(run)? else { return Ok(()) };
    spend(cx, tx, &run.workflow, Some(&run.id)).map(drop)
}

/// A version's error budget, and how many runs failed that count against it at `now`.
fn failures<'w>(
    view: &View<'_>,
    version: &'w Workflow,
    last: Option<&Autonomy>,
    now: Timestamp,
) -> Result<Option<(&'w ErrorBudget, u64)>, Refusal> {
    let evaluation = version.checklist.evaluation.as_ref();
    let Some(budget) = evaluation.and_then(|e| e.error_budget.as_ref()) else { return Ok(None) };
    let (since, patience) = (counted_since(budget, last, now), now.plus_seconds(-PATIENCE_SECONDS));
    Ok(Some((budget, view.failed_runs(&version.id, since, patience)?)))
}

/// Lowers a workflow's autonomy when more of its runs failed than its error budget
/// has. `because` is the run that failed last; none, if one only waited too long.
fn spend(
    cx: &Inner,
    tx: &mut Tx<'_>,
    workflow: &WorkflowId,
    because: Option<&RunId>,
) -> Result<Option<Level>, Refusal> {
    let (version, _, last) = current(cx, tx, workflow)?;
    let moment = Moment::of(&*cx.host);
    let Some((budget, failed)) = failures(tx, &version, last.as_ref(), moment.now())? else {
        return Ok(None);
    };
    let (installation, last) = (&cx.installation, last.as_ref());
    let plan = rules::spend(&moment, installation, &version, last, budget, failed, because)?;
    cx.write(tx, plan)
}

impl Authority {
    /// A workflow's autonomy: what is in force, why, and what it takes to raise it.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn autonomy(&self, id: &WorkflowId) -> Result<ShownAutonomy, Refusal> {
        let (cx, now) = (self.now(), self.0.host.now());
        self.0.store.read(|view| {
            let (workflow, _, last) = current(&cx, view, id)?;
            let standing: Option<Standing> = standing(last.as_ref());
            let mut changes = Vec::new();
            for change in view.autonomy_changes(id)? {
                changes.push(shown(view, change)?);
            }
            let level = in_force(&workflow, standing.as_ref());
            let next = next(&workflow, standing.as_ref());
            let mut waiting = Vec::new();
            let mut until = last_hour(now);
            let (mut judged_then, mut expires) = (judged(view, &workflow, until)?, None);
            for signed in view.autonomy_waiting(id, now)? {
                // What was signed of other figures, or another version, waits for nobody.
                let Ok(to) = next else { continue };
                let then = judged(view, &workflow, signed.until)?;
                let times = (signed.until, signed.expires);
                if raise(&workflow, (level, to), &then, times).digest() != signed.statement {
                    continue;
                }
                if expires.is_none() {
                    (judged_then, until, expires) = (then, signed.until, Some(signed.expires));
                }
                waiting.push(WaitingSignature {
                    principal: name(view, Some(&signed.principal))?,
                    signed: signed.signed,
                    expires: signed.expires,
                });
            }
            Ok(ShownAutonomy {
                level,
                missing: workflow.checklist.missing(&workflow),
                next,
                judged: judged_then,
                until,
                expires,
                changes,
                waiting,
                workflow,
            })
        })
    }

    /// Looks at every workflow's error budget: a run that waited too long for others
    /// has failed too. Gives how many were lowered.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn spend_error_budgets(&self) -> Result<usize, Refusal> {
        let (cx, now) = (self.now(), self.0.host.now());
        let mut over = Vec::new();
        for workflow in self.workflows()? {
            let spent = self.0.store.read(|view| {
                let (version, _, last) = current(&cx, view, &workflow.id)?;
                let Some((budget, failed)) = failures(view, &version, last.as_ref(), now)? else {
                    return Ok::<_, Refusal>(false);
                };
                Ok(failed > u64::from(budget.failed_runs))
            })?;
            if spent {
                over.push(workflow.row.id);
            }
        }
        let mut lowered = 0_usize;
        for workflow in over {
            let done = self.transact(move |cx, tx, _| spend(cx, tx, &workflow, None))?;
            lowered = lowered.saturating_add(usize::from(done.is_some()));
        }
        Ok(lowered)
    }

    /// Lowers a workflow's autonomy: `None` is whoever has the data dir, others may
    /// what they may stop.
    ///
    /// # Errors
    /// [`RaiseError::NotLower`], [`RaiseError::Reason`], [`Refusal::NotYoursToStop`].
    pub fn lower_autonomy(
        &self,
        who: Option<&SignedIn>,
        id: &WorkflowId,
        to: Level,
        reason: &str,
    ) -> Result<Level, Refusal> {
        let (who, id, reason) = (who.cloned(), id.clone(), reason.to_owned());
        self.transact(move |cx, tx, moment| {
            if let Some(who) = &who {
                may_stop_workflow(cx, tx, who, &id)?;
            }
            let (workflow, _, last) = current(cx, tx, &id)?;
            let by = who.as_ref().map(|who| &who.principal.alias);
            let (installation, last) = (&cx.installation, last.as_ref());
            let plan = rules::lower(moment, installation, &workflow, last, to, &reason, by)?;
            cx.write(tx, plan)
        })
    }

    /// Whether somebody's signature over a raise would count, or why not.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::Store`].
    pub fn may_raise(
        &self,
        who: &SignedIn,
        id: &WorkflowId,
    ) -> Result<Result<(), RaiseError>, Refusal> {
        let cx = self.now();
        self.0.store.read(|view| {
            let (workflow, published, _) = current(&cx, view, id)?;
            let author = author(view, &published)?;
            match part_of(view, &workflow, author.as_ref(), &who.principal.alias) {
                Ok(_) => Ok(Ok(())),
                Err(Refusal::Raise(why)) => Ok(Err(why)),
                Err(other) => Err(other),
            }
        })
    }

    /// Takes somebody's signature over a raise; whether it is raised with it. The
    /// figures are made again for the window that they name: what is signed must be
    /// what they are now, and meet the targets.
    ///
    /// # Errors
    /// [`Refusal::Raise`], [`Refusal::Approval`], [`Refusal::Passkey`],
    /// [`Refusal::PrincipalInactive`].
    pub fn raise_autonomy(
        &self,
        sayer: Sayer,
        id: &WorkflowId,
        raise: Raise,
        signed: Signed,
    ) -> Result<bool, Refusal> {
        let id = id.clone();
        self.transact(move |cx, tx, moment| {
            let now = moment.now();
            let signer = Signer::read(cx, tx, sayer, now)?;
            check_time(&raise, now)?;
            let (workflow, published, last) = current(cx, tx, &id)?;
            if raise.workflow != id || raise.version != workflow.digest() {
                return Err(RaiseError::OtherFigures.into());
            }
            let judged = judged(tx, &workflow, raise.until)?;
            if raise.figures != judged.digest() {
                return Err(RaiseError::OtherFigures.into());
            }
            judged.check()?;
            let author = author(tx, &published)?;
            let part = part_of(tx, &workflow, author.as_ref(), signer.alias())?;
            let grade = raise.verify(&signed, &signer.registered())?;
            let credential = signer.credential(&signed)?;
            signer.count(tx, &signed, &raise.digest(), credential, now)?;
            let mine = (signer.alias(), part);
            let other = other_signed(tx, &workflow, author.as_ref(), &raise, mine, now)?;
            let signing = Signing {
                who: signer.alias(),
                part,
                grade,
                credential: &credential.id,
                signed: &signed,
            };
            let (installation, last) = (&cx.installation, last.as_ref());
            let plan = rules::sign(moment, installation, &workflow, last, &raise, &signing, other)?;
            cx.write(tx, plan)
        })
    }
}
