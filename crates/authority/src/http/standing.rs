//! How grants and roots stand, as the console and the API tell it.

use bailiwick_core::stop::StopTarget;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Delegation, Grant, StoreError, Subject, View};

use crate::console::Standing;

/// How a grant stands: taken back with whatever it rests on, or by its window.
///
/// # Errors
/// What the store answers.
pub(super) fn of_grant(
    view: &View<'_>,
    grant: &Grant,
    now: Timestamp,
) -> Result<Standing, StoreError> {
    let (subjects, targets) = rests_on(view, grant)?;
    told(view, (&subjects, &targets), (grant.starts, grant.expires), now)
}

/// How a root of `grant` stands: no better than the grant.
///
/// # Errors
/// What the store answers.
pub(super) fn of_root(
    view: &View<'_>,
    root: &Delegation,
    grant: &Grant,
    now: Timestamp,
) -> Result<Standing, StoreError> {
    let (mut subjects, targets) = rests_on(view, grant)?;
    subjects.push(Subject::Delegation { token: root.root });
    subjects.push(Subject::HolderKey { holder: root.holder, root: root.root });
    told(view, (&subjects, &targets), (root.issued, root.expires), now)
}

/// What ends a grant when it is revoked, and what stops it.
fn rests_on(view: &View<'_>, grant: &Grant) -> Result<(Vec<Subject>, Vec<StopTarget>), StoreError> {
    let mut subjects = vec![
        Subject::Grant { id: grant.id.clone() },
        Subject::Task { id: grant.task.clone() },
        Subject::Agent { id: grant.agent.clone() },
        Subject::Principal { alias: grant.principal.clone() },
    ];
    let task = view.task(&grant.task)?;
    let mut targets = vec![
        StopTarget::Everything,
        StopTarget::Agent(grant.agent.clone()),
        StopTarget::Task(grant.task.clone()),
    ];
    if let Some(task) = task {
        targets.push(StopTarget::Workflow(task.workflow.clone()));
        subjects.push(Subject::Workflow { id: task.row.workflow });
    }
    Ok((subjects, targets))
}

fn told(
    view: &View<'_>,
    (subjects, targets): (&[Subject], &[StopTarget]),
    (begins, ends): (Timestamp, Timestamp),
    now: Timestamp,
) -> Result<Standing, StoreError> {
    Ok(if view.is_revoked(subjects)?.is_some() {
        Standing::Revoked
    } else if ends <= now {
        Standing::Ended
    } else if view.stopped(targets)?.is_some() {
        Standing::Stopped
    } else if begins > now {
        Standing::Waiting
    } else {
        Standing::Active
    })
}
