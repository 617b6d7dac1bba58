//! Runs that simply stop.

use bailiwick_core::ledger::Kind;
use bailiwick_store::{Row, Run, RunState};

use super::step;
use crate::host::Moment;
use crate::installation::Installation;
use crate::plan::Step;
use crate::refusal::Refusal;

/// Why a run is abandoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The grant under which it began has ended.
    GrantEnded,
    /// Nothing came of it for as long as it may be idle.
    Idle,
    /// Its agent began another one.
    Replaced,
    /// Something that it rests on was revoked: which kind.
    Revoked(&'static str),
}

impl Why {
    /// Its name in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GrantEnded => "grant_ended",
            Self::Idle => "idle",
            Self::Replaced => "replaced",
            Self::Revoked(_) => "revoked",
        }
    }
}

/// Records that a run is abandoned. It is not complete, whatever speaks for it.
///
/// # Errors
/// [`Refusal::NoEntropy`].
pub fn abandon(
    moment: &Moment<'_>,
    installation: &Installation,
    run: &Run,
    why: Why,
) -> Result<Step, Refusal> {
    let revoked = match why {
        Why::Revoked(kind) => Some(kind),
        _ => None,
    };
    Ok(step(moment, installation, Kind::RunAbandoned, run)?
        .with("why", why.as_str())
        .with_some("revoked", revoked)
        .row(Row::RunEnded {
            run: run.id.clone(),
            state: RunState::Abandoned,
            complete: false,
            pending: false,
            evidence: Vec::new(),
        }))
}
