//! How far workflows' agents may act without a person: what is in force and why,
//! lowering, and raising by two signatures.

use std::collections::BTreeSet;

use bailiwick_core::approval::Signed;
use bailiwick_core::autonomy::Raise;
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{Alias, PrincipalId, RunId, WorkflowId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::limits::JsonLimits;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Workflow;
use bailiwick_policy::autonomy::{Part, RaiseError, Standing, in_force, next, part};
use bailiwick_policy::grades::Level;
use bailiwick_store::{
    Autonomy, AutonomySignature, ErrandKind, ReviewVerdict, Row, Store, StoreError, Stored, Tx,
    View,
};

use super::approvals::Sayer;
use super::people::{SignedIn, person};
use super::signers::{Signer, Signers};
use super::stops::may_stop_workflow;
use super::workflows::authors;
use super::{Authority, Inner};
use crate::host::Moment;
use crate::people::roles::{Deed, Role, require};
use crate::plan::Step;
use crate::refusal::Refusal;
use crate::rules::autonomy::{
    self as rules, RAISED, Signing, changes, check_changes, check_time, standing,
};

mod judging;
mod shown;
pub use judging::Judged;
use judging::{digest, judged, last_hour, spent, window};
use shown::raise;
pub(super) use shown::why;
pub use shown::{ShownAutonomy, ShownChange, WaitingSignature};

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
) -> Result<(std::sync::Arc<Workflow>, Option<Autonomy>), Refusal> {
    let version = view.workflow(id)?.ok_or_else(|| Refusal::unknown("workflow", id))?;
    let last = view.autonomy(id)?.map(|last| last.row);
    Ok((cx.parsed.of(&version)?, last))
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
    authors: &BTreeSet<Alias>,
    alias: &Alias,
) -> Result<Part, Refusal> {
    let (_, id) = person(view, alias)?.ok_or(Refusal::PrincipalInactive)?;
    let wrote = authors.contains(alias);
    Ok(part(workflow, &id, (has_role(view, alias)?, wrote))?)
}

/// In which part a signature that is on record counts now: `None`, if it does not, by
/// whoever's right or credential is gone.
fn counts(
    view: &View<'_>,
    workflow: &Workflow,
    authors: &BTreeSet<Alias>,
    signed: &AutonomySignature,
    now: Timestamp,
) -> Result<Option<Part>, Refusal> {
    let who = &signed.principal;
    if signed.expires <= now || person(view, who)?.is_none() {
        return Ok(None);
    }
    let part = match part_of(view, workflow, authors, who) {
        Ok(part) => part,
        Err(Refusal::Raise(_)) => return Ok(None),
        Err(other) => return Err(other),
    };
    let signers = Signers::read(view, who, now)?;
    Ok(signers.credentials.iter().any(|c| c.id == signed.credential).then_some(part))
}

/// Whether somebody else signed this in the other part, whose right and whose
/// credential hold now.
fn other_signed(
    view: &View<'_>,
    workflow: &Workflow,
    authors: &BTreeSet<Alias>,
    raise: &Raise,
    (alias, mine): (&Alias, Part),
    now: Timestamp,
) -> Result<bool, Refusal> {
    for signed in view.autonomy_signatures(&workflow.id, &raise.digest())? {
        if signed.principal == *alias {
            continue;
        }
        let part = counts(view, workflow, authors, &signed, now)?;
        if part.is_some_and(|part| part != mine) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The change that the entry records, in words.
fn shown(view: &View<'_>, change: Stored<Autonomy>) -> Result<ShownChange, Refusal> {
    let entry = view.entry_by_id(&change.entry)?;
    let leaf = entry.and_then(|entry| Json::parse(&entry.leaf, &JsonLimits::DEFAULT).ok());
    let said = |name: &str| -> Option<String> {
        let body = leaf.as_ref()?.as_object()?.member("body")?.as_object()?;
        body.member(name)?.as_str().map(str::to_owned)
    };
    let by = said("session_of").and_then(|alias| Alias::parse(&alias).ok());
    let mut signers = Vec::new();
    if let (RAISED, Some(statement)) =
        (change.cause.as_str(), said("statement").and_then(|text| Digest::from_text(&text)))
    {
        for signed in view.autonomy_signatures(&change.workflow, &statement)? {
            signers.extend(name(view, Some(&signed.principal))?);
        }
    }
    let texts = view.read_plaintext(&change.entry)?.unwrap_or_default();
    let reason = texts.into_iter().find(|(field, _)| field == "reason");
    Ok(ShownChange {
        principal: name(view, by.as_ref())?,
        signers,
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

/// Lowers a workflow's autonomy when more of its runs failed than its error budget
/// has. `because` is the run that failed last; none, if one only waited too long.
fn spend(
    cx: &Inner,
    tx: &mut Tx<'_>,
    workflow: &WorkflowId,
    because: Option<&RunId>,
) -> Result<Option<Level>, Refusal> {
    let (version, last) = current(cx, tx, workflow)?;
    let moment = Moment::of(&*cx.host);
    let Some((budget, failed)) = spent(cx, tx, &version, moment.now())? else {
        return Ok(None);
    };
    let (installation, last) = (&cx.installation, last.as_ref());
    let plan = rules::spend(&moment, installation, &version, last, &budget, failed, because)?;
    cx.write(tx, plan)
}

/// What people are shown of a workflow's autonomy at `now`.
fn look(
    cx: &Inner,
    view: &View<'_>,
    id: &WorkflowId,
    now: Timestamp,
) -> Result<ShownAutonomy, Refusal> {
    let (workflow, last) = current(cx, view, id)?;
    let standing: Option<Standing> = standing(last.as_ref());
    let mut all = Vec::new();
    for change in view.autonomy_changes(id)? {
        all.push(shown(view, change)?);
    }
    let level = in_force(&workflow, standing.as_ref());
    let next = next(&workflow, standing.as_ref());
    let so_far = changes(last.as_ref());
    let wrote = authors(view, id, &workflow.digest())?;
    let (mut until, mut expires) = (last_hour(now), None);
    let mut figures = window(view, &workflow, until)?;
    let mut waiting = Vec::new();
    for signed in view.autonomy_waiting(id, now)? {
        // What was signed of other figures, another version or before a change waits for nobody.
        let Ok(to) = next else { continue };
        let then = window(view, &workflow, signed.until)?;
        let times = (signed.until, signed.expires);
        let stated = raise(&workflow, (level, to), so_far, digest(&then.figures), times);
        if stated.digest() != signed.statement {
            continue;
        }
        if expires.is_none() {
            (figures, until, expires) = (then, signed.until, Some(signed.expires));
        }
        waiting.push(WaitingSignature {
            principal: name(view, Some(&signed.principal))?,
            part: counts(view, &workflow, &wrote, &signed, now)?,
            signed: signed.signed,
            expires: signed.expires,
        });
    }
    let judged = judged(cx, view, (&workflow, last.as_ref()), figures, (until, now))?;
    Ok(ShownAutonomy {
        level,
        missing: workflow.checklist.missing(&workflow),
        next,
        judged,
        until,
        expires,
        so_far,
        changes: all,
        waiting,
        workflow,
    })
}

impl Authority {
    /// A workflow's autonomy: what is in force, why, and what it takes to raise it.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn autonomy(&self, id: &WorkflowId) -> Result<ShownAutonomy, Refusal> {
        let (cx, now) = (self.now(), self.0.host.now());
        self.0.store.read(|view| look(&cx, view, id, now))
    }

    /// The same as JSON for somebody: whoever may not see the workflow is not told that
    /// it exists, and whoever may neither see figures nor sign is shown none.
    ///
    /// # Errors
    /// [`Refusal::Unknown`].
    pub fn autonomy_for(&self, who: &SignedIn, id: &WorkflowId) -> Result<Object, Refusal> {
        self.workflow_for(who, id)?;
        let shown = self.autonomy(id)?;
        let sees = require(&who.roles, Deed::SeeFigures).is_ok() || shown.workflow.owner == who.id;
        let mut object = shown.to_json();
        if !sees && self.may_raise(who, id)?.is_err() {
            object.insert("figures", Json::Null);
        }
        Ok(object)
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
            let over_budget = self.0.store.read(|view| {
                let (version, _) = current(&cx, view, &workflow.id)?;
                Ok::<_, Refusal>(spent(&cx, view, &version, now)?.is_some())
            })?;
            if over_budget {
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
            let (workflow, last) = current(cx, tx, &id)?;
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
            let (workflow, _) = current(&cx, view, id)?;
            let wrote = authors(view, id, &workflow.digest())?;
            match part_of(view, &workflow, &wrote, &who.principal.alias) {
                Ok(_) => Ok(Ok(())),
                Err(Refusal::Raise(why)) => Ok(Err(why)),
                Err(other) => Err(other),
            }
        })
    }

    /// Takes somebody's signature over a raise; whether it is raised with it. The
    /// figures are made again for the window that they name: what is signed must be
    /// what they are now, and meet the targets then and now.
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
            let signer = Signer::read(cx, tx, sayer, now).map_err(|refusal| match refusal {
                // A key that nobody enrolled.
                Refusal::Barred(_) => RaiseError::Signer.into(),
                other => other,
            })?;
            check_time(&raise, now)?;
            let (workflow, last) = current(cx, tx, &id)?;
            let last = last.as_ref();
            // Whoever has no part in it is told nothing about it.
            let wrote = authors(tx, &id, &workflow.digest())?;
            let part = part_of(tx, &workflow, &wrote, signer.alias())?;
            if raise.workflow != id || raise.version != workflow.digest() {
                return Err(RaiseError::OtherFigures.into());
            }
            check_changes(&raise, last)?;
            let figures = window(tx, &workflow, raise.until)?;
            if raise.figures != digest(&figures.figures) {
                return Err(RaiseError::OtherFigures.into());
            }
            judged(cx, tx, (&workflow, last), figures, (raise.until, now))?.check()?;
            let grade = raise.verify(&signed, &signer.registered())?;
            let credential = signer.credential(&signed)?;
            signer.count(tx, &signed, &raise.digest(), credential, now)?;
            let mine = (signer.alias(), part);
            let other = other_signed(tx, &workflow, &wrote, &raise, mine, now)?;
            let signing = Signing {
                who: signer.alias(),
                part,
                grade,
                credential: &credential.id,
                signed: &signed,
            };
            let installation = &cx.installation;
            let plan = rules::sign(moment, installation, &workflow, last, &raise, &signing, other)?;
            cx.write(tx, plan)
        })
    }
}
