//! What somebody sets out to do because of a run that is over: a step of its rollback
//! plan, or a call that checks it. It is announced, so that nobody else does it
//! meanwhile, and so that the gateway knows its call.

use bailiwick_core::ledger::Kind;
use bailiwick_core::time::Timestamp;
use bailiwick_store::{Errand, ErrandKind, Row, Run, RunErrand};

use super::checks::{CheckError, about, is_over};
use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::{Plan, Step};
use crate::refusal::Refusal;

/// Seconds for which the call of an errand is waited for.
pub const ERRAND_SECONDS: i64 = 300;
/// Steps of one run's plan that are started at most.
pub const MAX_STARTS: usize = 5_000;

/// Where the undoing of one thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndoState {
    /// Nobody started it; or nothing came of that, and it is not waited for any more.
    Open,
    /// It was started: its call goes on, or is waited for.
    Started,
    /// Its call failed, or nobody knows what became of it.
    Failed,
    /// Its call went well; or a person was told what to do.
    Done,
}

impl UndoState {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Started => "started",
            Self::Failed => "failed",
            Self::Done => "done",
        }
    }

    /// Where it stands at `now` by its starts, newest first.
    ///
    /// SECURITY: only the very call counts that took a start up, whoever else made an
    /// equal one.
    pub fn of<'e>(
        starts: impl IntoIterator<Item = &'e RunErrand>,
        is_manual: bool,
        now: Timestamp,
    ) -> Self {
        let mut starts = starts.into_iter().peekable();
        let Some(newest) = starts.peek().copied() else { return Self::Open };
        if is_manual || starts.any(|start| start.outcome.as_deref() == Some("ok")) {
            return Self::Done;
        }
        match (newest.is_allowed(), newest.outcome.as_deref()) {
            (true, None) => Self::Started,
            (true, Some(_)) => Self::Failed,
            (false, _) if newest.decision.is_some() || newest.until <= now => Self::Open,
            (false, _) => Self::Started,
        }
    }
}

/// Announces an errand because of a run.
///
/// # Errors
/// [`CheckError::RunOpen`]; [`Refusal::NoEntropy`].
pub fn start(
    moment: &Moment<'_>,
    installation: &Installation,
    run: &Run,
    errand: Errand,
) -> Result<Plan<()>, Refusal> {
    is_over(run)?;
    let (kind, name) = match errand.what {
        ErrandKind::Check => (Kind::CheckStarted, "criterion"),
        ErrandKind::Rollback => (Kind::RollbackStarted, "step"),
    };
    let tool = errand.call.as_ref().map(|call| call.tool.to_string());
    let started = about(Step::new(moment, &installation.org, kind)?, run)
        .about(|s| s.tool = tool)
        .with(name, errand.name.as_str())
        .with_some("undoes", errand.undoes.as_ref());
    Ok(Plan::one(started.row(Row::Errand(Box::new(errand))), ()))
}

/// Whether a step may be started now.
///
/// # Errors
/// [`CheckError::Started`], [`CheckError::TooMany`].
pub fn may_start(state: UndoState, starts: usize) -> Result<(), CheckError> {
    if state == UndoState::Started {
        return Err(CheckError::Started);
    }
    match starts < MAX_STARTS {
        true => Ok(()),
        false => Err(CheckError::TooMany { max: u32::try_from(MAX_STARTS).unwrap_or(u32::MAX) }),
    }
}

#[cfg(test)]
mod tests {
    use bailiwick_core::ids::{ActionId, EntryId};

    use super::*;

    fn start(decision: Option<&str>, outcome: Option<&str>) -> RunErrand {
        let at = Timestamp::from_seconds(1_767_225_660);
        RunErrand {
            entry: EntryId::mint(at, [1; 10]),
            name: "reopen".into(),
            undoes: None,
            until: at,
            decision: decision.map(str::to_owned),
            action: decision.map(|_| ActionId::mint(at, [2; 10])),
            outcome: outcome.map(str::to_owned),
            over: outcome.map(|_| 9),
        }
    }

    #[test]
    fn a_step_is_started_again_only_when_nothing_can_come_of_it_any_more() {
        let until = Timestamp::from_seconds(1_767_225_660);
        let state = |starts: &[RunErrand], now| UndoState::of(starts, false, now);
        let before = until.plus_seconds(-1);
        assert_eq!(state(&[], before), UndoState::Open);
        assert_eq!(state(&[start(None, None)], before), UndoState::Started);
        assert_eq!(state(&[start(None, None)], until), UndoState::Open);
        assert_eq!(state(&[start(Some("deny"), None)], before), UndoState::Open);
        assert_eq!(state(&[start(Some("approval_required"), None)], before), UndoState::Open);
        // However long its call goes on.
        assert_eq!(state(&[start(Some("allow"), None)], until), UndoState::Started);
        for failed in ["error", "timeout", "unknown", "not_executed"] {
            assert_eq!(state(&[start(Some("allow"), Some(failed))], before), UndoState::Failed);
        }
        let done = [start(None, None), start(Some("allow"), Some("ok"))];
        assert_eq!(state(&done, until), UndoState::Done);
        assert_eq!(may_start(UndoState::Started, 1), Err(CheckError::Started));
        assert_eq!(may_start(UndoState::Failed, 1), Ok(()));
        assert!(may_start(UndoState::Open, MAX_STARTS).is_err());
    }
}
