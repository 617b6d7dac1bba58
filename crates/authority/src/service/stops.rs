//! The stop button: who may stop what, what is stopped, and who resumes it.

use bailiwick_core::approval::Signed;
use bailiwick_core::crypto::{Digest, base64url};
use bailiwick_core::ids::{Alias, PrincipalId, StopId, WorkflowId};
use bailiwick_core::json::{Json, Object};
use bailiwick_core::ledger::Subjects;
use bailiwick_core::stop::{Resumption, StopTarget};
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Stop, StoppedBy, StoreError, Stored, View};

use super::approvals::Sayer;
use super::people::{SignedIn, person};
use super::signers::{Signer, Signers};
use super::{Authority, Inner};
use crate::people::roles::{Deed, Role, require};
use crate::refusal::Refusal;
use crate::rules::stops::{self, Progress, Signing};

/// A stop that was made, or stood already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopping {
    /// Its id.
    pub stop: StopId,
    /// Whether it is new: what was stopped before stays as it was.
    pub changed: bool,
}

/// Where a stop stands after somebody signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resuming {
    /// How many must sign, and how many did.
    pub progress: Progress,
}

/// What somebody signed so that a stop ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownResumption {
    /// Who; `None` once erased.
    pub principal: Option<PrincipalId>,
    /// How.
    pub grade: String,
    /// When.
    pub signed: Timestamp,
    /// Until when it counts.
    pub expires: Timestamp,
}

/// A stop as people are shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedStop {
    /// The stop.
    pub stop: Stored<Stop>,
    /// Which person stopped it; `None` when none did, or once erased.
    pub principal: Option<PrincipalId>,
    /// Which person signed last, so that it ended.
    pub resumed_by: Option<PrincipalId>,
    /// Why, with the salt of its commitment; `None` once erased.
    pub reason: Option<(String, [u8; 32])>,
    /// How many must sign so that it ends.
    pub needed: usize,
    /// What people signed.
    pub signed: Vec<ShownResumption>,
}

/// The first of `targets` that is stopped.
pub(super) fn stopped(
    view: &View<'_>,
    targets: &[StopTarget],
) -> Result<Option<StopTarget>, StoreError> {
    Ok(view.stopped(targets)?.map(|stop| stop.row.target))
}

/// Who and what a stop is about; refuses what does not exist.
fn about(view: &View<'_>, target: &StopTarget) -> Result<Subjects, Refusal> {
    let mut about = Subjects::default();
    match target {
        StopTarget::Everything => {}
        StopTarget::Agent(id) => {
            view.agent(id)?.ok_or_else(|| Refusal::unknown("agent", id))?;
            about.agent = Some(id.to_string());
        }
        StopTarget::Workflow(id) => {
            view.workflow(id)?.ok_or_else(|| Refusal::unknown("workflow", id))?;
            about.workflow = Some(id.to_string());
        }
        StopTarget::Task(id) => {
            let task = view.task(id)?.ok_or_else(|| Refusal::unknown("task", id))?;
            about.principal = Some(task.principal.to_string());
            about.agent = Some(task.agent.to_string());
            about.workflow = Some(task.workflow.to_string());
            about.task = Some(id.to_string());
        }
    }
    Ok(about)
}

/// Whether somebody may stop this: by a role, or because it is their own.
fn may_stop(
    cx: &Inner,
    view: &View<'_>,
    who: &SignedIn,
    target: &StopTarget,
) -> Result<(), Refusal> {
    if *target == StopTarget::Everything {
        return Ok(require(&who.roles, Deed::StopEverything)?);
    }
    if require(&who.roles, Deed::Stop).is_ok() {
        return Ok(());
    }
    let alias = &who.principal.alias;
    let own = match target {
        StopTarget::Everything => false,
        StopTarget::Agent(id) => view.agent(id)?.is_some_and(|agent| agent.owner == *alias),
        StopTarget::Task(id) => view.task(id)?.is_some_and(|task| task.principal == *alias),
        StopTarget::Workflow(id) => match view.workflow(id)? {
            Some(current) => cx.parsed.of(&current)?.owner == who.id,
            None => false,
        },
    };
    if own { Ok(()) } else { Err(Refusal::NotYoursToStop) }
}

/// Whether somebody may lower a workflow: whoever may stop it.
pub(super) fn may_stop_workflow(
    cx: &Inner,
    view: &View<'_>,
    who: &SignedIn,
    id: &WorkflowId,
) -> Result<(), Refusal> {
    may_stop(cx, view, who, &StopTarget::Workflow(id.clone()))
}

/// Owners who may sign now that something is resumed.
fn able(view: &View<'_>, now: Timestamp) -> Result<Vec<Alias>, Refusal> {
    let mut able = Vec::new();
    for holder in view.holders_of_role(Role::Owner.as_str())? {
        let signs = !Signers::read(view, &holder, now)?.credentials.is_empty();
        if signs && person(view, &holder)?.is_some() {
            able.push(holder);
        }
    }
    Ok(able)
}

/// People other than `alias` whose signatures for this stop count now: the right
/// is looked at again, and so is what they signed with.
fn agreed(
    view: &View<'_>,
    stop: &StopId,
    alias: &Alias,
    able: &[Alias],
    now: Timestamp,
) -> Result<usize, Refusal> {
    let mut agreed = 0_usize;
    for signed in view.resumptions(stop)? {
        let who = &signed.principal;
        if who == alias || signed.expires <= now || !able.contains(who) {
            continue;
        }
        let signers = Signers::read(view, who, now)?;
        if signers.credentials.iter().any(|c| c.id == signed.credential) {
            agreed = agreed.saturating_add(1);
        }
    }
    Ok(agreed)
}

fn name(view: &View<'_>, alias: Option<&Alias>) -> Result<Option<PrincipalId>, Refusal> {
    let Some(alias) = alias else { return Ok(None) };
    Ok(view.principal_by_alias(alias)?.and_then(|p| p.row.id))
}

fn listed(view: &View<'_>, stop: Stored<Stop>, able: usize) -> Result<ListedStop, Refusal> {
    let texts = view.read_plaintext(&stop.entry)?.unwrap_or_default();
    let reason = texts.into_iter().find(|(field, _)| field == "reason");
    let mut signed = Vec::new();
    for resumption in view.resumptions(&stop.id)? {
        signed.push(ShownResumption {
            principal: name(view, Some(&resumption.principal))?,
            grade: resumption.grade.clone(),
            signed: resumption.signed,
            expires: resumption.expires,
        });
    }
    Ok(ListedStop {
        principal: name(view, stop.principal.as_ref())?,
        resumed_by: name(view, stop.resumed_by.as_ref())?,
        reason: reason.and_then(|(_, d)| Some((d.value.as_str()?.to_owned(), d.salt))),
        needed: stops::needed(&stop.target, able),
        signed,
        stop,
    })
}

fn found(view: &View<'_>, id: &StopId) -> Result<Stored<Stop>, Refusal> {
    view.stop(id)?.ok_or_else(|| Refusal::unknown("stop", id))
}

/// Whether somebody may see a stop: whoever may stop the same, or reads everything.
fn may_see(cx: &Inner, view: &View<'_>, who: &SignedIn, stop: &Stop) -> Result<bool, Refusal> {
    let by_role = |deed| require(&who.roles, deed).is_ok();
    if by_role(Deed::SeeActivity) || by_role(Deed::Stop) {
        return Ok(true);
    }
    match may_stop(cx, view, who, &stop.target) {
        Ok(()) => Ok(true),
        Err(Refusal::NotYoursToStop | Refusal::NotYourRole(_)) => Ok(false),
        Err(other) => Err(other),
    }
}

impl Authority {
    /// Stops an agent, a task, a workflow or everything, as whoever has the data
    /// dir. What is stopped already stays as it was.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], [`Refusal::StopReason`].
    pub fn stop(&self, target: &StopTarget, reason: &str) -> Result<Stopping, Refusal> {
        self.stop_by(None, target, reason)
    }

    /// The same for somebody who is signed in.
    ///
    /// # Errors
    /// [`Refusal::NotYourRole`], [`Refusal::NotYoursToStop`], and as
    /// [`Authority::stop`].
    pub fn stop_in_session(
        &self,
        who: &SignedIn,
        target: &StopTarget,
        reason: &str,
    ) -> Result<Stopping, Refusal> {
        self.stop_by(Some(who.clone()), target, reason)
    }

    fn stop_by(
        &self,
        who: Option<SignedIn>,
        target: &StopTarget,
        reason: &str,
    ) -> Result<Stopping, Refusal> {
        let (target, reason) = (target.clone(), reason.to_owned());
        self.transact(move |cx, tx, moment| {
            // Whoever may not stop it learns nothing about what there is.
            if let Some(who) = &who {
                may_stop(cx, tx, who, &target)?;
            }
            let about = about(tx, &target)?;
            if let Some(standing) = tx.stopped(std::slice::from_ref(&target))? {
                return Ok(Stopping { stop: standing.row.id, changed: false });
            }
            let by = who.as_ref().map(|who| &who.principal.alias);
            let plan = stops::stop(moment, &cx.installation, &target, about, &reason, by)?;
            Ok(Stopping { stop: cx.write(tx, plan)?, changed: true })
        })
    }

    /// Whether somebody may stop this.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn may_stop(&self, who: &SignedIn, target: &StopTarget) -> Result<bool, Refusal> {
        let cx = self.now();
        self.0.store.read(|view| match may_stop(&cx, view, who, target) {
            Ok(()) => Ok(true),
            Err(Refusal::NotYoursToStop | Refusal::NotYourRole(_)) => Ok(false),
            Err(other) => Err(other),
        })
    }

    /// Stops that stand, newest first; with `all` also those that ended.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn stops(&self, all: bool, limit: u32) -> Result<Vec<ListedStop>, Refusal> {
        let now = self.0.host.now();
        self.0.store.read(|view| {
            let able = able(view, now)?.len();
            view.stops(all, limit)?.into_iter().map(|stop| listed(view, stop, able)).collect()
        })
    }

    /// Those that somebody who is signed in may see.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn stops_for(
        &self,
        who: &SignedIn,
        all: bool,
        limit: u32,
    ) -> Result<Vec<ListedStop>, Refusal> {
        let (cx, found) = (self.now(), self.stops(all, limit)?);
        self.0.store.read(|view| {
            let mut seen = Vec::new();
            for listed in found {
                if may_see(&cx, view, who, &listed.stop)? {
                    seen.push(listed);
                }
            }
            Ok(seen)
        })
    }

    /// One stop, as somebody who may see it reads it; `None`: whoever has the
    /// data dir.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], also for what one may not see.
    pub fn stop_shown(&self, who: Option<&SignedIn>, id: &StopId) -> Result<ListedStop, Refusal> {
        let (cx, now) = (self.now(), self.0.host.now());
        self.0.store.read(|view| {
            let stop = found(view, id)?;
            if let Some(who) = who
                && !may_see(&cx, view, who, &stop)?
            {
                return Err(Refusal::unknown("stop", id));
            }
            listed(view, stop, able(view, now)?.len())
        })
    }

    /// Takes an owner's signature that a stop ends; gives how far it is from its
    /// end. Rights to the data dir count for nothing here.
    ///
    /// # Errors
    /// [`Refusal::NotYourRole`], [`Refusal::StopEnded`],
    /// [`Refusal::ResumptionTime`], [`Refusal::Approval`], [`Refusal::Passkey`]
    /// for one that was copied, [`Refusal::PrincipalInactive`].
    pub fn resume(
        &self,
        sayer: Sayer,
        id: &StopId,
        expires: Timestamp,
        signed: Signed,
    ) -> Result<Resuming, Refusal> {
        let id = id.clone();
        self.transact(move |cx, tx, moment| {
            let now = moment.now();
            let signer = Signer::read(cx, tx, sayer, now)?;
            let roles = tx.roles_of(signer.alias())?;
            let roles: Vec<Role> = roles.iter().filter_map(|role| role.parse().ok()).collect();
            require(&roles, Deed::Resume)?;
            let stop = found(tx, &id)?;
            if stop.resumed.is_some() {
                return Err(Refusal::StopEnded);
            }
            let resumption = resumption(&stop, expires);
            let grade = resumption.verify(&signed, &signer.registered())?;
            let credential = signer.credential(&signed)?;
            signer.count(tx, &signed, &resumption.digest(), credential, now)?;
            let able = able(tx, now)?;
            let others = agreed(tx, &id, signer.alias(), &able, now)?;
            let signing = Signing {
                owner: signer.alias(),
                grade,
                credential: &credential.id,
                signed: &signed,
                expires,
            };
            let (installation, about) = (&cx.installation, about(tx, &stop.target)?);
            let known = (others, able.len());
            let plan = stops::resume(moment, installation, &stop, about, &signing, known)?;
            Ok(Resuming { progress: cx.write(tx, plan)? })
        })
    }
}

/// What is signed for a stop.
fn resumption(stop: &Stop, expires: Timestamp) -> Resumption {
    Resumption { stop: stop.id.clone(), target: stop.target.clone(), reason: stop.reason, expires }
}

impl ListedStop {
    /// What an owner signs so that it ends, until `expires`.
    #[must_use]
    pub fn resumption(&self, expires: Timestamp) -> Resumption {
        resumption(&self.stop, expires)
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> &'static str {
        if self.stop.resumed.is_some() { "resumed" } else { "stands" }
    }

    /// As it is shown.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let s = &self.stop;
        let signed: Vec<Json> = self
            .signed
            .iter()
            .map(|signed| {
                Object::new()
                    .with("principal", signed.principal.as_ref())
                    .with("grade", signed.grade.as_str())
                    .with("signed", signed.signed.to_string())
                    .with("expires", signed.expires.to_string())
                    .into()
            })
            .collect();
        let reason: Digest = s.reason;
        Object::new()
            .with("stop", &s.id)
            .with("target", &s.target)
            .with("state", self.state())
            .with("by", s.by.as_str())
            .with("principal", self.principal.as_ref())
            .with("stopped", s.stopped.to_string())
            .with("reason", self.reason.as_ref().map(|(text, _)| text.as_str()))
            .with("reason_salt", self.reason.as_ref().map(|(_, salt)| base64url(salt)))
            .with("reason_digest", reason)
            .with("needed", u64::try_from(self.needed).unwrap_or(u64::MAX))
            .with("signed", signed)
            .with("resumed", s.resumed.map(|at| at.to_string()))
            .with("resumed_by", self.resumed_by.as_ref())
            .with("entry", &s.entry)
    }

    /// Who stopped it, in words.
    #[must_use]
    pub fn by(&self) -> String {
        match (self.stop.by, &self.principal) {
            (StoppedBy::Gateway, _) => "the gateway".to_owned(),
            (StoppedBy::Operator, _) => "the operator on the host".to_owned(),
            (StoppedBy::Person, Some(id)) => id.to_string(),
            (StoppedBy::Person, None) => "somebody whose name was erased".to_owned(),
        }
    }
}

impl Resuming {
    /// As it is answered.
    #[must_use]
    pub fn to_json(self) -> Object {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let Progress { needed, signed } = self.progress;
        Object::new()
            .with("state", if self.progress.ends() { "resumed" } else { "stands" })
            .with("needed", count(needed))
            .with("signed", count(signed))
    }
}
