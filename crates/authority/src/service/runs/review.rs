//! People's words on runs.

use bailiwick_core::ids::{Alias, PrincipalId, RunId};
use bailiwick_policy::Workflow;
use bailiwick_store::{Principal, Run, View};

use super::shown::may_see;
use super::workflow_of;
use crate::completion::derived;
use crate::people::roles::Role;
use crate::refusal::Refusal;
use crate::rules::runs::{self, MAX_EVIDENCE, MAX_REVIEWS, Reviewing, RunError};
use crate::service::delegations::own_keys;
use crate::service::people::person;
use crate::service::{Authority, Granter, Inner};

impl Authority {
    /// Somebody accepts, corrects or rejects a run that has ended. A `Granter::Key`
    /// proves itself by `signed`. Says whether the run counts as complete now.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] for what they may not see; [`Refusal::Run`].
    pub fn run_review(
        &self,
        granter: &Granter,
        id: &RunId,
        reviewing: &Reviewing,
        signed: Option<&str>,
    ) -> Result<bool, Refusal> {
        let (granter, id, reviewing) = (granter.clone(), id.clone(), reviewing.clone());
        let signed = signed.map(str::to_owned);
        self.commit(move |cx, tx, moment| {
            let run = tx.run(&id)?.ok_or_else(|| Refusal::unknown("run", &id))?;
            let workflow = workflow_of(cx, tx, &run)?;
            let (who, _) = reviewer(cx, tx, &granter, &run, &workflow)?;
            let reviews = tx.run_reviews(&id)?;
            if let Granter::Key(_) = granter {
                let keys = own_keys(Some(&who))?;
                let signed = signed.as_deref().unwrap_or_default();
                if !reviewing.is_signed((&id, reviews.len()), signed, &keys) {
                    return Err(RunError::Unsigned.into());
                }
            }
            let known: Vec<_> =
                tx.run_evidence(&id)?.into_iter().map(|evidence| evidence.row).collect();
            let evidence = reviewing.evidence(&run, &workflow, &known, (&who.alias, moment))?;
            let full = known.len().saturating_add(evidence.len()) > MAX_EVIDENCE;
            if full || reviews.len() >= MAX_REVIEWS {
                let (what, max) = ("reviews", MAX_REVIEWS as u64);
                return Err(RunError::TooMany { what, max }.into());
            }
            let n = reviews.iter().map(|review| review.n).max().unwrap_or(0).saturating_add(1);
            let complete = derived(tx, &run, &workflow, &evidence)?.completion.is_complete();
            let about = (&run.row, &who.alias, n);
            let word = (evidence, complete);
            runs::review(moment, &cx.installation, about, &reviewing, signed.as_deref(), word)
        })
    }
}

impl Authority {
    /// How many reviews a run has: whoever signs one signs that too.
    ///
    /// # Errors
    /// [`Refusal::Store`].
    pub fn reviews_of(&self, id: &RunId) -> Result<usize, Refusal> {
        self.read(|view| Ok(view.run_reviews(id)?.len()))
    }
}

/// Who somebody is that reviews, if they may act and the workflow names them.
fn reviewer(
    cx: &Inner,
    view: &View<'_>,
    granter: &Granter,
    run: &Run,
    workflow: &Workflow,
) -> Result<(Principal, PrincipalId), Refusal> {
    let unknown = || Refusal::unknown("run", &run.id);
    let alias: Alias = match granter {
        Granter::Person(alias) => alias.clone(),
        Granter::Key(id) => cx.principal(view, id)?.ok_or_else(unknown)?.row.alias,
    };
    let (who, id) = person(view, &alias)?.ok_or(Refusal::PrincipalInactive)?;
    let roles: Vec<Role> =
        view.roles_of(&alias)?.iter().filter_map(|role| role.parse().ok()).collect();
    if runs::may_review(workflow, run, (&id, &alias), &roles) {
        return Ok((who, id));
    }
    // Who sees it hears why; to everybody else it is not there.
    match may_see(run, workflow, (&id, &alias), &roles) {
        true => Err(RunError::NotReviewer.into()),
        false => Err(unknown()),
    }
}
