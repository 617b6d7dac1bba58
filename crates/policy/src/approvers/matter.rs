//! A held call and the rules about it, to be asked again later.

use bailiwick_core::approval::Question;
use bailiwick_core::approval::standing::Terms;
use bailiwick_core::ids::PrincipalId;
use bailiwick_core::time::Timestamp;
use bailiwick_core::webauthn::RelyingParty;

use super::{Approvals, Approved, Held, Spoken, StandingApproved, Unsettled, Voice};
use crate::grades::Risk;

/// Everything but people's voices that it takes to settle a held call: the
/// same when stage 5 looks and when the call is recorded.
#[derive(Clone, Debug)]
pub struct Matter {
    /// The workflow's rules.
    pub rules: Approvals,
    /// On whose authority the agent acts.
    pub principal: PrincipalId,
    /// Who answers for the workflow.
    pub workflow_owner: PrincipalId,
    /// Who answers for the tool.
    pub tool_owner: PrincipalId,
    /// The tool's risk.
    pub risk: Risk,
    /// Where passkeys are used.
    pub relying_party: Option<RelyingParty>,
}

impl Matter {
    /// As the rules take it.
    #[must_use]
    pub const fn held(&self) -> Held<'_> {
        Held {
            principal: &self.principal,
            workflow_owner: &self.workflow_owner,
            tool_owner: &self.tool_owner,
            risk: self.risk,
        }
    }

    fn voices<'a>(&'a self, spoken: &'a [Spoken]) -> Vec<Voice<'a>> {
        spoken.iter().map(|spoken| spoken.voice(self.relying_party.as_ref())).collect()
    }

    /// Whether what people said settles `question` at `now`.
    ///
    /// # Errors
    /// [`Unsettled`].
    pub fn settle(
        &self,
        question: &Question,
        spoken: &[Spoken],
        now: Timestamp,
    ) -> Result<Approved, Unsettled> {
        self.rules.settle(question, &self.held(), &self.voices(spoken), now)
    }

    /// Whether enough people signed `terms`, and they last at `now`.
    ///
    /// # Errors
    /// [`Unsettled`].
    pub fn settle_standing(
        &self,
        terms: &Terms,
        spoken: &[Spoken],
        now: Timestamp,
    ) -> Result<StandingApproved, Unsettled> {
        self.rules.settle_standing(terms, &self.held(), &self.voices(spoken), now)
    }
}
