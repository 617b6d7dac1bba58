//! Workflows as people are shown them: which ones somebody sees, and how far each
//! one's agents may act.

use std::sync::Arc;

use bailiwick_core::ids::WorkflowId;
use bailiwick_core::stop::StopTarget;
use bailiwick_policy::Workflow;
use bailiwick_policy::autonomy::in_force;
use bailiwick_policy::grades::Level;
use bailiwick_store::{self as store, Stored, Subject, View};

use super::people::SignedIn;
use super::{Authority, Inner, autonomy, revoked};
use crate::people::roles::{Deed, require};
use crate::refusal::Refusal;
use crate::rules::autonomy::standing;

/// A workflow in a list.
#[derive(Clone, Debug)]
pub struct ListedWorkflow {
    /// The current version, as published.
    pub version: Stored<store::Workflow>,
    /// The same, as understood.
    pub workflow: Arc<Workflow>,
    /// How far its agents may act now.
    pub level: Level,
    /// Why, in a sentence.
    pub why: String,
    /// Whether it is stopped.
    pub stopped: bool,
    /// Whether it was revoked.
    pub revoked: bool,
}

/// Whoever sees what tools are sees every workflow, others those that they answer
/// for.
fn may_see(workflow: &Workflow, who: &SignedIn) -> bool {
    require(&who.roles, Deed::SeeCatalogue).is_ok() || workflow.owner == who.id
}

fn listed(
    cx: &Inner,
    view: &View<'_>,
    version: Stored<store::Workflow>,
) -> Result<ListedWorkflow, Refusal> {
    let workflow = cx.parsed.of(&version)?;
    let last = view.autonomy(&version.id)?.map(|last| last.row);
    let level = in_force(&workflow, standing(last.as_ref()).as_ref());
    let why = autonomy::why(&workflow, last.as_ref(), level);
    let stopped = view.stopped(&[StopTarget::Workflow(version.id.clone())])?.is_some();
    let revoked = revoked(view, &[Subject::Workflow { id: version.id.clone() }])?.is_some();
    Ok(ListedWorkflow { version, workflow, level, why, stopped, revoked })
}

/// The current version, for whoever may see it; to others it does not exist.
fn seen(
    cx: &Inner,
    view: &View<'_>,
    who: &SignedIn,
    id: &WorkflowId,
) -> Result<ListedWorkflow, Refusal> {
    let unknown = || Refusal::unknown("workflow", id);
    let found = listed(cx, view, view.workflow(id)?.ok_or_else(unknown)?)?;
    if may_see(&found.workflow, who) { Ok(found) } else { Err(unknown()) }
}

impl Authority {
    /// The workflows that somebody sees, by name.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn workflows_for(&self, who: &SignedIn) -> Result<Vec<ListedWorkflow>, Refusal> {
        let cx = self.now();
        self.0.store.read(|view| {
            let mut lines = Vec::new();
            for version in view.workflows()? {
                let line = listed(&cx, view, version)?;
                if may_see(&line.workflow, who) {
                    lines.push(line);
                }
            }
            Ok(lines)
        })
    }

    /// One of them.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], also for one that they may not see.
    pub fn workflow_for(&self, who: &SignedIn, id: &WorkflowId) -> Result<ListedWorkflow, Refusal> {
        let cx = self.now();
        self.0.store.read(|view| seen(&cx, view, who, id))
    }
}
