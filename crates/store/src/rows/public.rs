//! Which rows may be read by whoever reads the log.

use super::Row;

impl Row {
    /// Whether the row may stand in the leaf: ids, hashes and codes only, so
    /// that revocations can be rebuilt even after every text was erased.
    pub(crate) const fn is_public(&self) -> bool {
        matches!(
            self,
            Self::AgentOwner { .. }
                | Self::AgentStatus { .. }
                | Self::Approval(_)
                | Self::ApprovalState { .. }
                | Self::AuthorityRequest(_)
                | Self::AuthorityRequestState { .. }
                | Self::Autonomy { .. }
                | Self::AutonomySigned(_)
                | Self::Derived(_)
                | Self::Errand(_)
                | Self::Failure(_)
                | Self::FailureClassified(_)
                | Self::FailureResolved(_)
                | Self::Handoff(_)
                | Self::HandoffAnswer { .. }
                | Self::HandoffReturn { .. }
                | Self::Handshake(_)
                | Self::InstanceStatus { .. }
                | Self::PinStatus { .. }
                | Self::PrincipalStatus { .. }
                | Self::Resumption { .. }
                | Self::Revocation { .. }
                | Self::Role { .. }
                | Self::Run(_)
                | Self::RunComplete { .. }
                | Self::RunContext { .. }
                | Self::RunEnded { .. }
                | Self::RunProgress { .. }
                | Self::RunReviewed { .. }
                | Self::StandingApproved(_)
                | Self::StandingRevoked { .. }
                | Self::StandingUsed { .. }
                | Self::Stop(_)
        )
    }
}
