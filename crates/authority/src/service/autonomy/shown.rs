//! A workflow's autonomy as people are shown it.

use std::sync::Arc;

use bailiwick_core::autonomy::Raise;
use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::PrincipalId;
use bailiwick_core::json::{Json, Object};
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Workflow;
use bailiwick_policy::autonomy::{self, Part, RaiseError};
use bailiwick_policy::checklist::Missing;
use bailiwick_policy::grades::Level;
use bailiwick_store::{Autonomy, Stored};

use super::judging::Judged;
use crate::rules::autonomy as rules;

/// A change of a workflow's autonomy as people are shown it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownChange {
    /// The change.
    pub change: Stored<Autonomy>,
    /// Who lowered it or signed last; `None` when nobody did, or once erased.
    pub principal: Option<PrincipalId>,
    /// Everybody who signed that it is raised, whose name was not erased, first the one
    /// who signed first.
    pub signers: Vec<PrincipalId>,
    /// Why, in words; `None` where none were given, or once erased.
    pub reason: Option<String>,
}

/// A signature that waits for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingSignature {
    /// Who; `None` once erased.
    pub principal: Option<PrincipalId>,
    /// In which part it counts; `None`, if it does no more.
    pub part: Option<Part>,
    /// When.
    pub signed: Timestamp,
    /// Until when it counts.
    pub expires: Timestamp,
}

/// A workflow's autonomy as people are shown it.
#[derive(Clone, Debug)]
pub struct ShownAutonomy {
    /// The current version.
    pub workflow: Arc<Workflow>,
    /// What is in force.
    pub level: Level,
    /// What the checklist lacks.
    pub missing: Vec<Missing>,
    /// The next level, or what keeps it from being raised.
    pub next: Result<Level, RaiseError>,
    /// The figures of its runs up to `until`.
    pub judged: Judged,
    /// The end of the figures' window: of what somebody signed who waits for another,
    /// else the last whole hour.
    pub until: Timestamp,
    /// Until when what waits for another signature counts.
    pub expires: Option<Timestamp>,
    /// How often it changed so far.
    pub so_far: u32,
    /// Every change, newest first.
    pub changes: Vec<ShownChange>,
    /// What people signed that still counts.
    pub waiting: Vec<WaitingSignature>,
}

pub(super) fn raise(
    workflow: &Workflow,
    (from, to): (Level, Level),
    changes: u32,
    figures: Digest,
    (until, expires): (Timestamp, Timestamp),
) -> Raise {
    Raise {
        workflow: workflow.id.clone(),
        version: workflow.digest(),
        from: from.as_str().to_owned(),
        to: to.as_str().to_owned(),
        changes,
        figures,
        until,
        expires,
    }
}

/// Why the level in force is what it is, in a sentence.
pub(in crate::service) fn why(
    workflow: &Workflow,
    last: Option<&Autonomy>,
    level: Level,
) -> String {
    let supports = workflow.supports();
    match last {
        _ if level == supports && supports < workflow.level => format!(
            "the version says `{}`, but its checklist supports `{supports}` at most",
            workflow.level
        ),
        _ if level == workflow.level => "as the version says".to_owned(),
        None => format!("nothing starts above `{}`", autonomy::FIRST),
        Some(last) if last.cause == rules::ERROR_BUDGET => {
            "lowered by itself: more runs failed than the error budget has".to_owned()
        }
        Some(last) if last.cause == rules::PERSON => "lowered by a person".to_owned(),
        Some(last) if last.cause == rules::PUBLISHED => {
            "a new version begins at the level that was in force before it".to_owned()
        }
        Some(last) if last.version == Some(workflow.digest()) => {
            format!("raised to `{level}`, and not further yet")
        }
        Some(_) => format!("raised to `{level}` under an earlier version, and not further yet"),
    }
}

impl ShownAutonomy {
    /// Why the level in force is what it is, in a sentence.
    #[must_use]
    pub fn why(&self) -> String {
        let last = self.changes.first().map(|shown| &shown.change.row);
        why(&self.workflow, last, self.level)
    }

    /// What people would sign to raise it by one level, until `expires` if nobody
    /// signed yet; none, if it cannot be raised.
    #[must_use]
    pub fn raise(&self, expires: Timestamp) -> Option<Raise> {
        let to = *self.next.as_ref().ok()?;
        let expires = self.expires.unwrap_or(expires);
        let times = (self.until, expires);
        let figures = self.judged.digest();
        Some(raise(&self.workflow, (self.level, to), self.so_far, figures, times))
    }

    /// Whose signatures are still needed to raise it; nobody's, if it cannot be raised
    /// now.
    #[must_use]
    pub fn needed(&self) -> Vec<String> {
        if self.next.is_err() || !self.judged.unmet.is_empty() {
            return Vec::new();
        }
        let missing = |part| self.waiting.iter().all(|waiting| waiting.part != Some(part));
        let owner = missing(Part::Owner).then(|| format!("its owner {}", self.workflow.owner));
        let second = missing(Part::Second).then(|| {
            "somebody else with the role owner, operator or approver who did not write the version"
                .to_owned()
        });
        owner.into_iter().chain(second).collect()
    }

    /// As it is shown.
    #[must_use]
    pub fn to_json(&self) -> Object {
        let texts = |list: &[String]| -> Vec<Json> {
            list.iter().map(|text| text.as_str().into()).collect()
        };
        let missing: Vec<Json> = self
            .missing
            .iter()
            .map(|m| {
                let object = Object::new().with("member", m.member).with("why", m.why);
                object.with("caps", m.caps.as_str()).into()
            })
            .collect();
        let changes: Vec<Json> = self
            .changes
            .iter()
            .map(|shown| {
                let c = &shown.change;
                Object::new()
                    .with("level", c.level.as_str())
                    .with("cause", c.cause.as_str())
                    .with("version", c.version)
                    .with("changed", c.changed.to_string())
                    .with("principal", shown.principal.as_ref())
                    .with("signers", shown.signers.iter().map(Json::from).collect::<Vec<_>>())
                    .with("reason", shown.reason.as_deref())
                    .with("entry", &c.entry)
                    .into()
            })
            .collect();
        let waiting: Vec<Json> = self
            .waiting
            .iter()
            .map(|w| {
                Object::new()
                    .with("principal", w.principal.as_ref())
                    .with("part", w.part.map(Part::as_str))
                    .with("signed", w.signed.to_string())
                    .with("expires", w.expires.to_string())
                    .into()
            })
            .collect();
        let next = match &self.next {
            Ok(level) => Object::new().with("level", level.as_str()),
            Err(error) => Object::new().with("code", error.code()).with("why", error.to_string()),
        };
        Object::new()
            .with("workflow", &self.workflow.id)
            .with("version", self.workflow.digest())
            .with("level", self.level.as_str())
            .with("why", self.why())
            .with("declared", self.workflow.level.as_str())
            .with("supports", self.workflow.supports().as_str())
            .with("missing", missing)
            .with("next", next)
            .with("figures", self.judged.figures.clone())
            .with("figures_digest", self.judged.digest())
            .with("unmet", texts(&self.judged.unmet))
            .with("until", self.until.to_string())
            .with("expires", self.expires.map(|at| at.to_string()))
            .with("change_count", u64::from(self.so_far))
            .with("changes", changes)
            .with("waiting", waiting)
            .with("needed", texts(&self.needed()))
    }
}
