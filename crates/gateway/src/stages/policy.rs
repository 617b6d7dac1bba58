//! Stage 4: the organisation's word, by the pure rules of `bailiwick-policy`
//! and the bundle in force.

use bailiwick_core::accountable::Unavailable;
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_policy::permit::{Ask, Permit, Ruling, rule};

use super::Stopped;
use super::authority::{Covered, Covering};
use crate::gateway::Inner;

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

/// Asks the rules and the bundles that are published now.
pub(crate) fn judge(gateway: &Inner, covered: Covered) -> Result<Judged, Stopped> {
    let Covered { call, verified } = covered;
    let policies = match gateway.ports.catalogue.policies() {
        Ok(policies) => policies,
        Err(Unavailable) => {
            let denial = Denial::new(Reason::PolicyUnavailable);
            return Err(Stopped::known(denial, verified).on(call.ground));
        }
    };
    let circumstances = call.ground.circumstances();
    let word = match rule(verified, &call.ground.workflow, &policies, circumstances) {
        Ruling::Permit(permit) => Word::Permit(permit),
        Ruling::Ask(ask) => Word::Ask(ask),
        Ruling::Refuse(refusal) => {
            let finding = refusal.finding().cloned();
            let heard = Some(Box::new(refusal.heard().clone()));
            let stopped = Stopped::known(refusal.denial().clone(), refusal).on(call.ground);
            return Err(Stopped { finding, heard, ..stopped });
        }
    };
    Ok(Judged { call, word })
}
