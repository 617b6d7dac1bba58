//! How grants and roots stand, as the console and the API tell it.

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
    told(view, &rests_on(view, grant)?, (grant.starts, grant.expires), now)
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
    let mut subjects = rests_on(view, grant)?;
    subjects.push(Subject::Delegation { token: root.root });
    subjects.push(Subject::HolderKey { holder: root.holder, root: root.root });
    told(view, &subjects, (root.issued, root.expires), now)
}

/// What ends a grant when it is revoked.
fn rests_on(view: &View<'_>, grant: &Grant) -> Result<Vec<Subject>, StoreError> {
    let mut subjects = vec![
        Subject::Grant { id: grant.id.clone() },
        Subject::Task { id: grant.task.clone() },
        Subject::Agent { id: grant.agent.clone() },
        Subject::Principal { alias: grant.principal.clone() },
    ];
    let task = view.task(&grant.task)?;
    subjects.extend(task.map(|task| Subject::Workflow { id: task.row.workflow }));
    Ok(subjects)
}

fn told(
    view: &View<'_>,
    subjects: &[Subject],
    (begins, ends): (Timestamp, Timestamp),
    now: Timestamp,
) -> Result<Standing, StoreError> {
    Ok(if view.is_revoked(subjects)?.is_some() {
        Standing::Revoked
    } else if ends <= now {
        Standing::Ended
    } else if begins > now {
        Standing::Waiting
    } else {
        Standing::Active
    })
}
