//! The level in force: how far a workflow's agents may act without a person now,
//! and what it takes to let them go further.
//!
//! A version says how far at most ([`Workflow::level`]), its checklist how far that
//! is justified ([`Workflow::supports`]), and what happened since how far it holds
//! ([`Standing`]). The least of them is in force.
//!
//! INVARIANT: under no version may agents go further than under the current one:
//! whatever is published begins at the level in force at most ([`at_publication`]),
//! and where that is lower, the standing says so, which binds every version.

use bailiwick_core::crypto::Digest;
use bailiwick_core::ids::PrincipalId;

use crate::grades::Level;
use crate::workflow::Workflow;

/// How far a workflow starts at most: nothing is known of it yet, so nobody can have
/// agreed to more.
pub const FIRST: Level = Level::Bounded;

/// What the last change of a workflow's autonomy left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The highest level since.
    pub level: Level,
    /// The version that was raised to it; none, if it was lowered.
    pub version: Option<Digest>,
}

/// How far agents may act under this version now.
#[must_use]
pub fn in_force(workflow: &Workflow, standing: Option<&Standing>) -> Level {
    workflow.permitted_level().min(cap(workflow, standing))
}

/// What the past allows.
fn cap(workflow: &Workflow, standing: Option<&Standing>) -> Level {
    match standing {
        None => FIRST,
        // SECURITY: people agreed to one version; another one is as it begins.
        Some(Standing { level, version: Some(version) }) if *version != workflow.digest() => {
            (*level).min(FIRST)
        }
        Some(standing) => standing.level,
    }
}

/// What publishing changes: `None`, if nothing is to be recorded, or the highest level
/// from then on, whichever version a call is made under. `current` is the version in
/// force before; a workflow's first has none, and changes nothing.
///
/// SECURITY: publishing raises nothing, and what was raised was another version. Where
/// the new version may do less, so may every earlier one's delegations.
#[must_use]
pub fn at_publication(
    current: Option<&Workflow>,
    standing: Option<&Standing>,
    new: &Workflow,
) -> Option<Publication> {
    let current = current?;
    let (before, says) = (in_force(current, standing), in_force(new, standing));
    // What a checklist lacks is no word on how far agents may act: completed, it says
    // what it said.
    let limit = allowed(new, standing).min(allowed(current, standing)).min(FIRST);
    let begins = says.min(limit);
    let is_lower = before > begins;
    (is_lower || allowed(new, standing) > limit).then(|| Publication {
        from: allowed(new, standing).max(before),
        level: if is_lower { begins } else { limit },
    })
}

/// How far agents might act under this version, if its checklist were complete.
fn allowed(workflow: &Workflow, standing: Option<&Standing>) -> Level {
    workflow.level.min(cap(workflow, standing))
}

/// A change that comes with a new version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The higher one of what was in force and what the new version says.
    pub from: Level,
    /// What is in force with it.
    pub level: Level,
}

/// The level below; [`Level::Manual`] has none.
#[must_use]
pub fn below(level: Level) -> Option<Level> {
    Level::ALL.iter().rev().copied().find(|other| *other < level)
}

/// The level above; [`Level::Autonomous`] has none.
#[must_use]
pub fn above(level: Level) -> Option<Level> {
    Level::ALL.iter().copied().find(|other| *other > level)
}

/// Why a workflow's autonomy is not raised.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RaiseError {
    /// The version itself says no more.
    #[error("this version of the workflow says `{level}` at most")]
    Declared {
        /// What it says.
        level: Level,
    },
    /// The checklist is not complete enough.
    #[error("the checklist supports `{supports}` at most: {missing} is missing")]
    Checklist {
        /// What it supports.
        supports: Level,
        /// The first member that is missing.
        missing: &'static str,
    },
    /// Not by one level.
    #[error("autonomy is raised by one level at a time: `{next}` is next")]
    OneAtATime {
        /// The next level.
        next: Level,
    },
    /// Its evaluation targets are not met, its error budget is spent, or its figures are
    /// not of after the last change.
    #[error("its runs do not carry more yet: {why}")]
    Targets {
        /// What is not so, in a sentence.
        why: String,
    },
    /// The figures are others by now.
    #[error("the figures are others by now")]
    OtherFigures,
    /// The autonomy changed since this was made, or its figures end before that.
    #[error(
        "the level was changed since: signatures and figures of before its last change count no more"
    )]
    Changed,
    /// Somebody whose signature does not count.
    #[error(
        "a raise is signed by the workflow's owner and by somebody else with a role who did not write the version"
    )]
    Signer,
    /// A signature that counts too long, or no more.
    #[error("a signature counts for {max} seconds at most, and not after its end")]
    Time {
        /// How long.
        max: i64,
    },
    /// Lowering without a reason, or with one that is too long.
    #[error("say why, in up to {max} characters")]
    Reason {
        /// How many.
        max: usize,
    },
    /// It is at that level or below already.
    #[error("the level in force is `{level}` already")]
    NotLower {
        /// The level in force.
        level: Level,
    },
}

impl RaiseError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Declared { .. } => "autonomy-declared",
            Self::Checklist { .. } => "autonomy-checklist",
            Self::OneAtATime { .. } => "autonomy-one-level",
            Self::Targets { .. } => "autonomy-targets",
            Self::OtherFigures => "autonomy-other-figures",
            Self::Changed => "autonomy-changed",
            Self::Signer => "autonomy-signer",
            Self::Time { .. } => "autonomy-time",
            Self::Reason { .. } => "autonomy-reason",
            Self::NotLower { .. } => "autonomy-not-lower",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Declared { .. } => "publish a version that says more, then raise it",
            Self::Checklist { .. } => "complete the checklist: `bailiwick workflow check FILE`",
            Self::OneAtATime { .. } => "raise to the next level first, and let it run",
            Self::Targets { .. } => {
                "let more runs be completed, or mend what fails: `bailiwick autonomy show NAME`"
            }
            Self::OtherFigures | Self::Changed => {
                "look at it again with `bailiwick autonomy show NAME`, and sign what it is now"
            }
            Self::Signer => {
                "ask the workflow's owner, and an owner, operator or approver who had no part in it"
            }
            Self::Time { .. } => "sign anew",
            Self::Reason { .. } => "give a reason",
            Self::NotLower { .. } => "nothing: choose a lower level, or sign a raise",
        }
    }
}

/// The level to which this version may be raised next, by its own word and its
/// checklist. Whether its figures meet the targets is asked beside it.
///
/// # Errors
/// [`RaiseError::Declared`], [`RaiseError::Checklist`].
pub fn next(workflow: &Workflow, standing: Option<&Standing>) -> Result<Level, RaiseError> {
    let declared = RaiseError::Declared { level: workflow.level };
    let next = above(in_force(workflow, standing)).ok_or(declared.clone())?;
    if next > workflow.level {
        return Err(declared);
    }
    let supports = workflow.supports();
    if next > supports {
        let missing = workflow.checklist.missing(workflow);
        let missing = missing.first().map_or("a part of it", |missing| missing.member);
        return Err(RaiseError::Checklist { supports, missing });
    }
    Ok(next)
}

/// In which part somebody signs a raise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// As the workflow's owner.
    Owner,
    /// As the second one.
    Second,
}

impl Part {
    /// Its name in entries and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Second => "second",
        }
    }
}

/// In which part `who` signs that `workflow` is raised: its owner, or somebody with
/// a role that counts (`has_role`) who did not write the version (`wrote`).
///
/// # Errors
/// [`RaiseError::Signer`].
pub fn part(
    workflow: &Workflow,
    who: &PrincipalId,
    (has_role, wrote): (bool, bool),
) -> Result<Part, RaiseError> {
    if *who == workflow.owner {
        return Ok(Part::Owner);
    }
    match has_role && !wrote {
        true => Ok(Part::Second),
        false => Err(RaiseError::Signer),
    }
}

#[cfg(test)]
mod tests;
