//! Runs on the console's pages: who sees how much of one, and which wait for a review.

use std::sync::Arc;

use bailiwick_core::crypto::sha256;
use bailiwick_core::ids::RunId;
use bailiwick_policy::Workflow;
use bailiwick_policy::checklist::ReviewWhen;
use bailiwick_store::{Run, RunFilter};

use super::shown::{ListedRun, ShownRun, listed, may_see, shown};
use super::workflow_of;
use crate::people::roles::{Deed, require};
use crate::refusal::Refusal;
use crate::rules::runs::may_review;
use crate::service::Authority;
use crate::service::people::SignedIn;

/// Runs that nobody reviewed yet that are looked through at most, the newest.
const MAX_UNREVIEWED: u32 = 500;

/// A run as somebody sees it.
#[derive(Clone, Debug)]
pub struct SeenRun {
    /// The run. Without its texts and names, if they see its figures only.
    pub shown: ShownRun,
    /// Its version of the workflow.
    pub workflow: Arc<Workflow>,
    /// Whether they see its texts.
    pub has_texts: bool,
    /// Whether they may review it.
    pub may_review: bool,
}

/// Whether the workflow asks for a review of this run, which ended and of which nobody
/// said anything yet. Of complete ones every nth is chosen by its id, which no agent
/// chooses.
#[must_use]
pub fn wants_review(run: &Run, when: ReviewWhen) -> bool {
    match when {
        ReviewWhen::Always => true,
        _ if run.complete != Some(true) => true,
        ReviewWhen::Incomplete => false,
        ReviewWhen::Every { nth } => {
            let digest = sha256(run.id.as_str().as_bytes());
            let (drawn, _) = digest.bytes().split_at(8);
            let drawn = drawn.iter().fold(0u64, |n, byte| (n << 8) | u64::from(*byte));
            drawn % u64::from(nth.max(1)) == 0
        }
    }
}

/// Nothing that is a person's or the agent's text, and nobody's name.
fn without_texts(mut run: ShownRun) -> ShownRun {
    run.goal = None;
    run.instruction = None;
    run.context.clear();
    run.listed.principal = None;
    for review in &mut run.reviews {
        (review.reviewer, review.what, review.why) = (None, None, None);
    }
    run
}

impl Authority {
    /// Runs that fit, newest first, of those that somebody sees at all; whoever sees
    /// figures only is given no names.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn runs_seen(&self, who: &SignedIn, filter: &RunFilter) -> Result<Vec<ListedRun>, Refusal> {
        let all = require(&who.roles, Deed::SeeActivity).is_ok();
        if all || require(&who.roles, Deed::SeeFigures).is_err() {
            return Ok(self.runs(Some(who), filter)?.runs);
        }
        let mut runs = self.runs(None, filter)?.runs;
        for listed in &mut runs {
            if listed.run.principal != who.principal.alias {
                listed.principal = None;
            }
        }
        Ok(runs)
    }

    /// Runs that somebody may review and of which nobody said anything yet, as far as
    /// their workflows ask for it; those first that ended last.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn runs_to_review(&self, who: &SignedIn, limit: usize) -> Result<Vec<ListedRun>, Refusal> {
        let (now, cx) = (self.0.host.now(), self.now());
        self.0.store.read(|view| {
            let mut found = Vec::new();
            for run in view.unreviewed_runs(MAX_UNREVIEWED)? {
                if found.len() >= limit {
                    break;
                }
                let workflow = workflow_of(&cx, view, &run)?;
                let person = (&who.id, &who.principal.alias);
                let when =
                    workflow.checklist.review.as_ref().map_or(ReviewWhen::Incomplete, |r| r.when);
                if wants_review(&run, when) && may_review(&workflow, &run, person, &who.roles) {
                    found.push(listed(view, run, now)?);
                }
            }
            Ok(found)
        })
    }

    /// A run as somebody sees it. That they read its texts is an entry.
    ///
    /// # Errors
    /// [`Refusal::Unknown`], also for what one may not see.
    pub fn run_seen(&self, who: &SignedIn, id: &RunId) -> Result<SeenRun, Refusal> {
        let (now, cx) = (self.0.host.now(), self.now());
        let unknown = || Refusal::unknown("run", id);
        let (workflow, has_texts, may_review, figures) = self.0.store.read(|view| {
            let run = view.run(id)?.ok_or_else(unknown)?;
            let workflow = workflow_of(&cx, view, &run)?;
            let person = (&who.id, &who.principal.alias);
            let reviews = may_review(&workflow, &run, person, &who.roles);
            if may_see(&run, &workflow, person, &who.roles) {
                return Ok((workflow, true, reviews, None));
            }
            // SECURITY: to whoever sees neither its texts nor figures it is not there.
            require(&who.roles, Deed::SeeFigures).map_err(|_| unknown())?;
            let figures = without_texts(shown(&cx, view, run, now)?);
            Ok::<_, Refusal>((workflow, false, false, Some(figures)))
        })?;
        let shown = match figures {
            Some(figures) => figures,
            None => self.run_read(Some(who), id)?,
        };
        Ok(SeenRun { shown, workflow, has_texts, may_review })
    }
}
