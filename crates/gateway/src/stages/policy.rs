//! Stage 4: the organisation's word, by the pure rules of `bailiwick-policy`.

use bailiwick_policy::permit::{Ask, Permit, Ruling, rule};

use super::Stopped;
use super::authority::{Covered, Covering};

/// A covered call on which policy spoke without denying it.
#[derive(Debug)]
pub struct Judged {
    pub(crate) call: Covering,
    pub(crate) word: Word,
}

/// What policy said.
#[derive(Debug)]
pub(crate) enum Word {
    /// Let it pass.
    Permit(Permit),
    /// Ask a person.
    Ask(Ask),
}

/// Asks the rules.
pub(crate) fn judge(covered: Covered) -> Result<Judged, Stopped> {
    let Covered { call, verified } = covered;
    let word = match rule(verified, &call.ground.workflow, &[], call.ground.identity) {
        Ruling::Permit(permit) => Word::Permit(permit),
        Ruling::Ask(ask) => Word::Ask(ask),
        Ruling::Refuse(refusal) => {
            let finding = refusal.finding().cloned();
            let stopped = Stopped::known(refusal.denial().clone(), refusal).on(call.ground);
            return Err(Stopped { finding, ..stopped });
        }
    };
    Ok(Judged { call, word })
}
