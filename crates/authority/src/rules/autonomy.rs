//! How far a workflow's agents may act without a person: lowered at once, by people
//! and by themselves when too many runs fail; raised by two signatures.

use bailiwick_core::approval::{Grade, Signed};
use bailiwick_core::autonomy::{MAX_RAISE_SECONDS, Raise};
use bailiwick_core::ids::{Alias, RunId};
use bailiwick_core::ledger::Kind;
use bailiwick_core::time::Timestamp;
use bailiwick_policy::Workflow;
use bailiwick_policy::autonomy::{self, Part, RaiseError, Standing};
use bailiwick_policy::checklist::ErrorBudget;
use bailiwick_policy::grades::Level;
use bailiwick_store::{Autonomy, AutonomySignature, Row};

use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;

/// Characters of the reason of lowering at most.
pub const MAX_REASON_CHARS: usize = 500;
/// Why, in the row and the entry: too many runs failed.
pub const ERROR_BUDGET: &str = "error-budget";
/// A person lowered it.
pub const PERSON: &str = "person";
/// People raised it.
pub const RAISED: &str = "raised";
/// A version was published, which begins no higher than what was in force.
pub const PUBLISHED: &str = "published";

/// What the last change left, as policy takes it. A level that does not read is
/// the lowest.
#[must_use]
pub fn standing(last: Option<&Autonomy>) -> Option<Standing> {
    last.map(|last| Standing {
        level: last.level.parse().unwrap_or(Level::Manual),
        version: last.version,
    })
}

fn step(
    moment: &Moment<'_>,
    installation: &Installation,
    kind: Kind,
    workflow: &Workflow,
    (from, to): (Level, Level),
) -> Result<Step, Refusal> {
    Ok(Step::new(moment, &installation.org, kind)?
        .about(|s| s.workflow = Some(workflow.id.to_string()))
        .with("workflow", &workflow.id)
        .with("version", workflow.digest())
        .with("from", from.as_str())
        .with("to", to.as_str()))
}

fn row(
    moment: &Moment<'_>,
    workflow: &Workflow,
    last: Option<&Autonomy>,
    level: Level,
    cause: &str,
) -> Autonomy {
    Autonomy {
        workflow: workflow.id.clone(),
        n: changes(last).saturating_add(1),
        level: level.as_str().to_owned(),
        version: None,
        cause: cause.to_owned(),
        changed: moment.now(),
    }
}

/// A person lowers it. That they may is known.
///
/// # Errors
/// [`RaiseError::NotLower`], [`RaiseError::Reason`].
pub fn lower(
    moment: &Moment<'_>,
    installation: &Installation,
    workflow: &Workflow,
    last: Option<&Autonomy>,
    to: Level,
    reason: &str,
    by: Option<&Alias>,
) -> Result<Plan<Level>, Refusal> {
    let reason = reason.trim();
    if reason.is_empty() || reason.chars().count() > MAX_REASON_CHARS {
        return Err(RaiseError::Reason { max: MAX_REASON_CHARS }.into());
    }
    let from = autonomy::in_force(workflow, standing(last).as_ref());
    if to >= from {
        return Err(RaiseError::NotLower { level: from }.into());
    }
    let row = row(moment, workflow, last, to, PERSON);
    let step = step(moment, installation, Kind::AutonomyLowered, workflow, (from, to))?
        .with("cause", PERSON)
        .with_some("session_of", by)
        .commit(moment, "reason", reason)?
        .row(Row::Autonomy { autonomy: row, signed: None });
    Ok(Plan::one(step, to))
}

/// Lowers it by one level when more runs failed than the workflow's error budget
/// has, without asking anybody; `because` is the run that failed last. `failed` runs
/// did within the budget's window, none of them before it last lowered the level.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn spend(
    moment: &Moment<'_>,
    installation: &Installation,
    workflow: &Workflow,
    last: Option<&Autonomy>,
    budget: &ErrorBudget,
    failed: u64,
    because: Option<&RunId>,
) -> Result<Plan<Option<Level>>, Refusal> {
    let from = autonomy::in_force(workflow, standing(last).as_ref());
    let Some(to) = autonomy::below(from).filter(|_| failed > u64::from(budget.failed_runs)) else {
        return Ok(Plan::nothing(None));
    };
    let row = row(moment, workflow, last, to, ERROR_BUDGET);
    let step = step(moment, installation, Kind::AutonomyLowered, workflow, (from, to))?
        .about(|s| s.run = because.map(ToString::to_string))
        .with("cause", ERROR_BUDGET)
        .with("failed_runs", failed)
        .with("budget", u64::from(budget.failed_runs))
        .with("window_hours", u64::from(budget.window_hours))
        .row(Row::Autonomy { autonomy: row, signed: None });
    Ok(Plan::one(step, Some(to)))
}

/// A version that is published raises nothing: where it would, and where it may do less
/// than the one before it, the level that is in force from then on is recorded for every
/// version's delegations. `None`, if nothing changes.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn published(
    moment: &Moment<'_>,
    installation: &Installation,
    workflow: &Workflow,
    current: Option<&Workflow>,
    last: Option<&Autonomy>,
) -> Result<Option<Step>, Refusal> {
    let standing = standing(last);
    let Some(change) = autonomy::at_publication(current, standing.as_ref(), workflow) else {
        return Ok(None);
    };
    let row = row(moment, workflow, last, change.level, PUBLISHED);
    let levels = (change.from, change.level);
    let step = step(moment, installation, Kind::AutonomyLowered, workflow, levels)?
        .with("cause", PUBLISHED)
        .row(Row::Autonomy { autonomy: row, signed: None });
    Ok(Some(step))
}

/// From when on failed runs count: the budget's window, and not before the budget last
/// lowered the level (`spent`), so that the same failures lower it once. SECURITY: no
/// other change begins the count anew: neither a raise nor a version makes a failure
/// undone.
#[must_use]
pub fn counted_since(budget: &ErrorBudget, spent: Option<&Autonomy>, now: Timestamp) -> Timestamp {
    let window = now.plus_seconds(-i64::from(budget.window_hours).saturating_mul(3_600));
    // The run that made the change was counted.
    let after = |last: &Autonomy| Timestamp::from_millis(last.changed.millis().saturating_add(1));
    spent.map_or(window, |spent| window.max(after(spent)))
}

/// Somebody's signature that a workflow's autonomy is raised; that it holds is
/// known.
#[derive(Clone, Copy, Debug)]
pub struct Signing<'a> {
    /// Who.
    pub who: &'a Alias,
    /// In which part.
    pub part: Part,
    /// How it is signed.
    pub grade: Grade,
    /// The id of the credential that signed.
    pub credential: &'a str,
    /// The signature.
    pub signed: &'a Signed,
}

/// Whether a raise is of a time that counts: its figures are of up to a day ago, and
/// its end is within a day.
///
/// # Errors
/// [`RaiseError::Time`].
pub fn check_time(raise: &Raise, now: Timestamp) -> Result<(), RaiseError> {
    let fresh = raise.until <= now && raise.until >= now.plus_seconds(-MAX_RAISE_SECONDS);
    let ends = raise.expires > now && raise.expires <= now.plus_seconds(MAX_RAISE_SECONDS);
    match fresh && ends {
        true => Ok(()),
        false => Err(RaiseError::Time { max: MAX_RAISE_SECONDS }),
    }
}

/// How often a workflow's autonomy changed so far.
#[must_use]
pub fn changes(last: Option<&Autonomy>) -> u32 {
    last.map_or(0, |last| last.n)
}

/// Whether what is signed is of after the last change.
///
/// SECURITY: whatever changed the level spends every signature that was on record.
///
/// # Errors
/// [`RaiseError::Changed`].
pub fn check_changes(raise: &Raise, last: Option<&Autonomy>) -> Result<(), RaiseError> {
    let before = last.is_some_and(|last| raise.until < last.changed);
    match raise.changes == changes(last) && !before {
        true => Ok(()),
        false => Err(RaiseError::Changed),
    }
}

/// Takes a signature; with the one of the other part it is raised. `other` says
/// whether that one is there, of somebody else, and counts now. That the figures
/// behind `raise` meet the targets is known.
///
/// # Errors
/// [`RaiseError::Changed`], [`RaiseError::OneAtATime`], and what keeps this version from
/// being raised.
pub fn sign(
    moment: &Moment<'_>,
    installation: &Installation,
    workflow: &Workflow,
    last: Option<&Autonomy>,
    raise: &Raise,
    signing: &Signing<'_>,
    other: bool,
) -> Result<Plan<bool>, Refusal> {
    check_time(raise, moment.now())?;
    check_changes(raise, last)?;
    let standing = standing(last);
    let from = autonomy::in_force(workflow, standing.as_ref());
    let next = autonomy::next(workflow, standing.as_ref())?;
    if raise.to != next.as_str() || raise.from != from.as_str() {
        return Err(RaiseError::OneAtATime { next }.into());
    }
    let kind = if other { Kind::AutonomyRaised } else { Kind::AutonomySigned };
    let signed = AutonomySignature {
        workflow: workflow.id.clone(),
        statement: raise.digest(),
        principal: signing.who.clone(),
        credential: signing.credential.to_owned(),
        grade: signing.grade.as_str().to_owned(),
        until: raise.until,
        signed: moment.now(),
        expires: raise.expires,
    };
    let row = match other {
        true => {
            let autonomy = row(moment, workflow, last, next, RAISED);
            let autonomy = Autonomy { version: Some(workflow.digest()), ..autonomy };
            Row::Autonomy { autonomy, signed: Some(signed) }
        }
        false => Row::AutonomySigned(signed),
    };
    let step = step(moment, installation, kind, workflow, (from, next))?
        .with("figures", raise.figures)
        .with("until", raise.until.seconds())
        .with("statement", raise.digest())
        .with("expires", raise.expires.seconds())
        .with("changes", u64::from(raise.changes))
        .with("part", signing.part.as_str())
        .with("session_of", signing.who)
        .with("grade", signing.grade.as_str())
        .with("credential", signing.credential)
        .commit(moment, "signed", signing.signed.to_text())?
        .row(row);
    Ok(Plan::one(step, other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(changed: i64) -> Autonomy {
        Autonomy {
            workflow: bailiwick_core::ids::WorkflowId::parse("w").unwrap(),
            n: 3,
            level: "supervised".to_owned(),
            version: None,
            cause: ERROR_BUDGET.to_owned(),
            changed: Timestamp::from_seconds(changed),
        }
    }

    #[test]
    fn failures_count_within_the_window_and_since_they_last_lowered_it() {
        let budget = ErrorBudget { failed_runs: 2, window_hours: 1 };
        let now = Timestamp::from_seconds(100_000);
        let window = now.plus_seconds(-3_600);
        assert_eq!(counted_since(&budget, None, now), window);
        assert_eq!(counted_since(&budget, Some(&last(50_000)), now), window);
        let later = last(99_000);
        assert_eq!(counted_since(&budget, Some(&later), now).millis(), 99_000_001);
    }

    #[test]
    fn a_level_that_does_not_read_is_the_lowest() {
        let odd = Autonomy { level: "free".to_owned(), ..last(1) };
        assert_eq!(standing(Some(&odd)).unwrap().level, Level::Manual);
    }

    #[test]
    fn a_signature_counts_from_now_on_and_for_a_day() {
        let now = Timestamp::from_seconds(1_700_000_000);
        let at = |until: i64, expires: i64| {
            let raise = Raise {
                workflow: last(1).workflow,
                version: bailiwick_core::crypto::sha256(b"version"),
                from: "manual".to_owned(),
                to: "supervised".to_owned(),
                changes: 3,
                figures: bailiwick_core::crypto::sha256(b"figures"),
                until: now.plus_seconds(until),
                expires: now.plus_seconds(expires),
            };
            check_time(&raise, now).is_ok()
        };
        assert!(at(0, 1) && at(-MAX_RAISE_SECONDS, MAX_RAISE_SECONDS));
        assert!(!at(0, 0) && !at(0, MAX_RAISE_SECONDS + 1));
        assert!(!at(1, 60) && !at(-MAX_RAISE_SECONDS - 1, 60));
    }

    #[test]
    fn what_was_signed_before_the_last_change_counts_no_more() {
        let raise = |changes, until| Raise {
            workflow: last(1).workflow,
            version: bailiwick_core::crypto::sha256(b"version"),
            from: "manual".to_owned(),
            to: "supervised".to_owned(),
            changes,
            figures: bailiwick_core::crypto::sha256(b"figures"),
            until: Timestamp::from_seconds(until),
            expires: Timestamp::from_seconds(9_000),
        };
        let at = last(1_000);
        assert_eq!(check_changes(&raise(3, 1_000), Some(&at)), Ok(()));
        for (changes, until) in [(2, 1_000), (4, 1_000), (3, 999)] {
            let refused = check_changes(&raise(changes, until), Some(&at));
            assert_eq!(refused, Err(RaiseError::Changed), "{changes} {until}");
        }
        assert_eq!(check_changes(&raise(0, 0), None), Ok(()));
        assert_eq!(check_changes(&raise(1, 0), None), Err(RaiseError::Changed));
    }
}
