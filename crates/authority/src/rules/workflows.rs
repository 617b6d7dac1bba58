//! Workflows: no workflow, no delegation.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::{Alias, WorkflowId};
use bailiwick_core::ledger::Kind;
use bailiwick_policy::Workflow;
use bailiwick_store::{self as store, Principal, Row};

use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;
use crate::rules::autonomy;
use crate::rules::principals::active;

/// What publishing came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The workflow.
    pub id: WorkflowId,
    /// The version that is current now.
    pub digest: Digest,
    /// Whether anything changed: the same version twice is written once.
    pub changed: bool,
}

/// The version before, and how far its agents may act.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    /// What it says.
    pub workflow: &'a Workflow,
    /// The last change of the workflow's autonomy.
    pub autonomy: Option<&'a store::Autonomy>,
}

/// Publishes a version, which becomes the current one. `workflow` is what the
/// text `document` says, `author` whoever wrote it, if that is known.
///
/// SECURITY: publishing raises nothing: see [`autonomy::published`].
///
/// # Errors
/// [`Refusal::Unknown`] or [`Refusal::PrincipalInactive`] for its owner,
/// [`Refusal::Revoked`].
pub fn publish(
    moment: &Moment<'_>,
    installation: &Installation,
    (workflow, document): (&Workflow, &str),
    owner: Option<&Principal>,
    author: Option<&Alias>,
    before: Option<Before<'_>>,
    revoked: bool,
) -> Result<Plan<Published>, Refusal> {
    let owner = active(workflow.owner.as_str(), owner)?;
    if revoked {
        return Err(Refusal::Revoked { kind: "workflow" });
    }
    let digest = workflow.digest();
    let mut published = Published { id: workflow.id.clone(), digest, changed: false };
    let current = before.map(|before| before.workflow);
    if current.is_some_and(|current| current.digest() == digest) {
        return Ok(Plan::nothing(published));
    }
    published.changed = true;
    let row = store::Workflow {
        id: workflow.id.clone(),
        digest,
        document: document.to_owned(),
        published: moment.now(),
    };
    let step = Step::new(moment, &installation.org, Kind::WorkflowPublished)?
        .about(|s| {
            s.principal = Some(owner.alias.to_string());
            s.workflow = Some(workflow.id.to_string());
        })
        .with("workflow", &workflow.id)
        .with("digest", digest)
        .with("level", workflow.level)
        .with_some("author", author)
        .commit(moment, "document", workflow.to_json())?
        .row(Row::Workflow(row));
    let last = before.and_then(|before| before.autonomy);
    let change = autonomy::published(moment, installation, workflow, current, last)?;
    let steps = std::iter::once(step).chain(change).collect();
    Ok(Plan { steps, outcome: published })
}
