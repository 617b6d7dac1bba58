//! A call that is the same again: people signed terms that cover it.

use bailiwick_core::accountable::Unavailable;
use bailiwick_core::approval::standing::Terms;
use bailiwick_core::denial::{Denial, Reason};
use bailiwick_core::ids::{ApprovalId, EntryId};
use bailiwick_core::json::{Json, Object};
use bailiwick_policy::approvers::{Matter, StandingApproved};
use bailiwick_policy::permit::Ask;

use super::{Cleared, Used, matter, policy_of, stopped};
use crate::gateway::Inner;
use crate::holds::{HeldCall, Standing};
use crate::stages::Stopped;
use crate::stages::authority::Covering;

/// One use of a standing approval, with the decision to allow.
#[derive(Clone, Debug)]
pub struct UsedStanding {
    /// What was approved.
    pub terms: Terms,
    /// By which rules, to be asked again when the call is recorded.
    pub matter: Matter,
    /// How the weakest of the signatures was made.
    grade: &'static str,
    /// The entries of the signatures.
    signatures: Vec<EntryId>,
    /// A question about this very call, which needs no answer any more.
    pub answers: Option<ApprovalId>,
    /// Under what it waited.
    pub fold: String,
}

impl UsedStanding {
    /// One use of a standing approval, by the rules of `matter`. `approved` is
    /// the witness that it counts; `answers` waits for people about the same
    /// call.
    #[must_use]
    pub fn new(
        standing: Standing,
        approved: &StandingApproved,
        matter: Matter,
        answers: Option<ApprovalId>,
        fold: String,
    ) -> Self {
        Self {
            grade: approved.grade().as_str(),
            signatures: standing.signed.iter().map(|s| s.entry.clone()).collect(),
            terms: standing.terms,
            matter,
            answers,
            fold,
        }
    }

    pub(super) fn to_json(&self) -> Object {
        let signatures: Vec<Json> = self.signatures.iter().map(Json::from).collect();
        Object::new()
            .with("standing", &self.terms.id)
            .with("policy", self.terms.policy)
            .with("grade", self.grade)
            .with("signatures", signatures)
    }
}

/// Whether a standing approval covers a call.
pub(super) enum Again {
    /// It does.
    Cleared(Box<Cleared>),
    /// None does: the call as it was.
    Not(Box<Covering>, Box<Ask>),
}

/// Lets the call pass that a standing approval covers, by the first that does.
pub(super) fn clear(
    gateway: &Inner,
    call: Covering,
    ask: Ask,
    fold: &str,
    held: Option<&HeldCall>,
) -> Result<Again, Stopped> {
    let verified = ask.case().verified();
    let (root, now) = (verified.chain().root_hash(), verified.now());
    let caller = verified.facts().caller().map(|hop| hop.agent.clone());
    let found = match gateway.ports.holds.standings(&root, verified.tool(), now) {
        Ok(found) => found,
        Err(Unavailable) => {
            return Err(stopped(call, ask, Denial::new(Reason::ApprovalUnavailable), None));
        }
    };
    let (pin, policy) = (call.ground.pin, policy_of(&ask));
    let mut ask = ask;
    for standing in found {
        // SECURITY: for the agent that people saw, not for those to which it passed its
        // delegation on.
        if caller.as_ref() != Some(&standing.agent) {
            continue;
        }
        let matter = matter(&call, &ask, standing.relying_party.clone());
        let settled = matter.settle_standing(&standing.terms, &standing.signed, now);
        // One that does not count (any more) is none: people are asked.
        let Ok(approved) = settled else { continue };
        match ask.approve_again(&approved, pin, policy) {
            Ok(permit) => {
                let answers = held.map(|held| held.question.id.clone());
                let fold = fold.to_owned();
                let used = UsedStanding::new(standing, &approved, matter, answers, fold);
                let used = Some(Used::Standing(Box::new(used)));
                return Ok(Again::Cleared(Box::new(Cleared { call, permit, used })));
            }
            Err(back) => ask = *back,
        }
    }
    Ok(Again::Not(Box::new(call), Box::new(ask)))
}
